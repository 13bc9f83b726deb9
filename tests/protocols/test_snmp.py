"""SNMP: versions, communities that are not kept, what an agent says of itself."""

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams
from tracehound.edges.reading import read


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, 0x82)) + len(body).to_bytes(2, "big") + body


def number(value: int, tag: int = 2) -> bytes:
    return ber(tag, value.to_bytes(5, "big"))


DESCR, UP, NAME = (bytes((0x2B, 6, 1, 2, 1, 1, n, 0)) for n in (1, 3, 5))


def pdu(tag: int, *bindings: tuple[bytes, bytes], status: int = 0) -> bytes:
    pairs = [ber(0x30, ber(6, name), value) for name, value in bindings]
    return ber(tag, number(7), number(status), number(0), ber(0x30, *pairs))


def message(community: bytes, inner: bytes, version: int = 1) -> bytes:
    return ber(0x30, number(version), ber(4, community), inner)


NULL = ber(5)
ASK = pdu(0xA0, (DESCR, NULL), (NAME, NULL))
TOLD = pdu(0xA2, (DESCR, ber(4, b"Box OS")), (NAME, ber(4, b"box1")), (UP, number(100, 0x43)))


def test_an_agent_says_what_it_is():
    rows = datagrams("snmp", [(True, message(b"public", ASK)), (False, message(b"public", TOLD))])
    (row,) = rows["snmp"]
    assert (row["version"], row["community"], row["get_requests"], row["get_responses"]) == ("2c", "public", 1, 1)
    assert (row["display_string"], row["host_name"], row["up_since"]) == ("Box OS", "box1", 20 - 1_000_000_000)
    assert row["oids"] == ["1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.3.0"]
    (login,) = rows["logins"]
    assert (login["method"], login["user"], login["cleartext"], login["accepted"]) == ("community", None, True, True)


def test_communities_are_guessed_and_never_kept():
    said = [(True, message(b"s3cret%d" % n, ASK)) for n in range(5)] + [(False, message(b"s3cret4", TOLD))]
    rows = datagrams("snmp", said)
    assert [r["accepted"] for r in rows["logins"]] == [None] * 4 + [True]
    assert rows["snmp"][0]["community"] == "<hidden>" and "s3cret" not in str(rows)


def test_errors_traps_and_bulk():
    said = [(True, message(b"private", pdu(tag, (DESCR, NULL)), 0)) for tag in (0xA1, 0xA3, 0xA5, 0xA6)]
    said.append((False, message(b"private", pdu(0xA2, (DESCR, NULL), status=2), 0)))
    (row,) = datagrams("snmp", said)["snmp"]
    assert [row[c] for c in ("get_requests", "set_requests", "get_bulk_requests", "traps", "error_status")] == [1, 1, 1, 1, "noSuchName"]


def secured(user: bytes, inner: bytes, flags: int) -> bytes:
    globals_ = ber(0x30, number(1), number(65_507), ber(4, bytes((flags,))), number(3))
    security = ber(0x30, ber(4, b"\x80\0\1"), number(1), number(2), ber(4, user), ber(4), ber(4))
    return ber(0x30, number(3), globals_, ber(4, security), inner)


def test_version_3():
    scoped = ber(0x30, ber(4, b"\x80\0\1"), ber(4), ASK)
    rows = datagrams("snmp", [(True, secured(b"joe", scoped, 1)), (True, secured(b"joe", ber(4, b"encrypted"), 3))])
    (row,), (login,) = rows["snmp"], rows["logins"]
    assert (row["version"], row["user"], row["engine_id"], row["security_level"]) == ("3", "joe", "800001", "authPriv")
    assert (login["user"], login["method"], login["cleartext"]) == ("joe", "USM", False) and row["get_requests"] == 1


def test_more_time_ticks_than_there_are():
    told = pdu(0xA2, (UP, ber(0x43, b"\xff" * 5)))
    (row,) = datagrams("snmp", [(False, message(b"public", told))])["snmp"]
    assert row["up_since"] is None


@given(st.integers(0, 200), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    whole = bytearray(secured(b"joe", ber(0x30, ber(4), ber(4), TOLD), 1) if at % 2 else message(b"public", TOLD))
    whole[at % len(whole)] = byte
    assert len(datagrams("snmp", [(True, bytes(whole)), (False, bytes(whole[:at]))])["snmp"]) == 1


@needs_shared
def test_a_real_walk():
    with read(str(SHARED / "captures/zeek/snmp/snmpwalk-short.pcap")) as reading:
        (row,) = reading.table("snmp").to_pylist()
    assert (row["get_requests"], row["get_responses"], row["community"]) == (200, 200, "public")
    assert row["display_string"].startswith("Linux ubuntu-512mb-sfo2-01 4.4.0-31-generic")
