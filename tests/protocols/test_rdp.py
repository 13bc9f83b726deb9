"""RDP: cookie, negotiation, what the client says of itself, and TLS behind it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import talk
from tracehound.edges.reading import read


def tpkt(body: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, len(body) + 4) + body


def request(words: bytes = b"", protocols: int | None = None) -> bytes:
    ask = b"" if protocols is None else struct.pack("<BBHI", 1, 0, 8, protocols)
    return tpkt(bytes((6 + len(words) + len(ask), 0xE0)) + bytes(5) + words + ask)


def confirm(kind: int, value: int) -> bytes:
    return tpkt(b"\x0e\xd0" + bytes(5) + struct.pack("<BBHI", kind, 0, 8, value))


def block(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, 4 + len(data)) + data


CORE = b"".join((
    struct.pack("<IHHHHII", 0x80004, 1920, 1080, 0xCA01, 0xAA03, 0x407, 2600), "PC7".encode("utf-16-le").ljust(32, b"\0"), bytes(76),
    struct.pack("<HHIHHH", 0xCA01, 1, 0, 24, 7, 1), "55274-OEM".encode("utf-16-le").ljust(64, b"\0"),
))  # fmt: skip
NET = struct.pack("<I", 2) + b"rdpdr\0\0\0" + bytes(4) + b"cliprdr\0" + bytes(4)
USER_DATA = block(0xC001, CORE) + block(0xC003, NET)
CLIENT = tpkt(b"\x02\xf0\x80" + b"\x7f\x65" + bytes(20) + b"Duca" + struct.pack(">H", 0x8000 | len(USER_DATA)) + USER_DATA)
SECURITY = block(0x0C01, bytes(8)) + block(0x0C02, struct.pack("<IIII", 2, 3, 4, 8) + bytes(4) + struct.pack("<II", 1, 0))
SERVER = tpkt(b"\x02\xf0\x80" + b"\x7f\x66\x20\x0a\x01\x00" + bytes(20) + b"McDn" + bytes((len(SECURITY),)) + SECURITY)
TALK = [(True, request(b"Cookie: mstshash=joe\r\n", 0)), (False, confirm(2, 0)), (True, CLIENT), (False, SERVER), (True, b"\x03junk")]


def test_what_the_client_says():
    rows = talk("rdp", TALK)
    (row,) = rows["rdp"]
    assert (row["cookie"], row["requested_protocols"], row["security_protocol"], row["result"]) == ("joe", ["RDP"], "RDP", "Success")
    assert (row["client_name"], row["client_build"], row["client_build_number"]) == ("PC7", "RDP 5.1", 2600)
    assert (row["keyboard_layout"], row["desktop_width"], row["desktop_height"]) == ("German - Germany", 1920, 1080)
    assert (row["client_dig_product_id"], row["requested_color_depth"], row["client_version"]) == ("55274-OEM", "24bit", "5.0 to 8.1")
    assert (row["client_channels"], row["encryption_level"], row["encryption_method"]) == (["rdpdr", "cliprdr"], "High", "128bit")
    assert row["cert_count"] == 1
    (login,) = rows["logins"]
    assert (login["user"], login["accepted"], login["cleartext"]) == ("joe", None, False)


@given(st.lists(st.integers(1, 500), max_size=6))
def test_cut_anywhere(cuts):
    assert talk("rdp", TALK, cuts) == talk("rdp", TALK)


def test_refused_and_load_balanced():
    (row,) = talk("rdp", [(True, request(b"Cookie: msts=3640205228.15629.0000\r\n", 3)), (False, confirm(3, 5))])["rdp"]
    assert (row["routing_token"], row["result"]) == ("msts=3640205228.15629.0000", "HYBRID_REQUIRED_BY_SERVER")
    assert row["requested_protocols"] == ["SSL", "HYBRID"] and row["cookie"] is None


def test_tls_is_read_where_it_was_chosen():
    hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0"
    rows = talk("rdp", [(True, request(b"", 11)), (False, confirm(2, 2)), (True, hello)])
    assert rows["rdp"][0]["result"] == "encrypted" and rows["rdp"][0]["security_protocol"] == "HYBRID"
    assert len(rows["tls"]) == 1 and rows["tls"][0]["ja3"]


@needs_shared
@pytest.mark.parametrize("name,expected", [
    ("rdp-x509", ("JOHN-PC", "JOHN-PC-LAPTOP", "RDP 8.1", "English - United States", "Success")),
    ("rdp-proprietary-encryption", ("FTBCO\\A70", "FROG-POND", "RDP 6.0", "English - United States", "Success")),
])  # fmt: skip
def test_real_captures(name, expected):
    with read(str(SHARED / f"captures/zeek/rdp/{name}.pcap")) as reading:
        rows = reading.table("rdp").to_pylist()
    assert expected in {tuple(r[c] for c in ("cookie", "client_name", "client_build", "keyboard_layout", "result")) for r in rows}
