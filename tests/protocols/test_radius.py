"""RADIUS, syslog and SSDP: short messages that say who and what."""

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams, talk
from tracehound.edges.reading import read


def attribute(number: int, value: bytes) -> bytes:
    return bytes((number, 2 + len(value))) + value


def radius(code: int, ident: int, *attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return bytes((code, ident)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body


ASK = radius(1, 1, attribute(1, b"joe"), attribute(2, b"x" * 16), attribute(31, b"02-00-00-00-00-AB"), attribute(4, bytes((10, 0, 0, 1))))


def test_radius():
    said = [(True, ASK), (True, ASK), (False, radius(3, 1, attribute(18, b"go away"))), (True, ASK),
            (False, radius(2, 1, attribute(8, bytes((10, 9, 8, 7))))), (True, radius(4, 9, attribute(40, b"\0\0\0\2")))]  # fmt: skip
    rows = datagrams("radius", said)
    refused, let_in, accounting = rows["radius"]
    assert (refused["user"], refused["mac"], refused["nas_addr"]) == ("joe", "02:00:00:00:00:ab", "10.0.0.1")
    assert refused["result"] == "Access-Reject"
    assert (let_in["framed_addr"], accounting["accounting_status"], accounting["result"]) == ("10.9.8.7", "Stop", None)
    assert [(r["user"], r["method"], r["accepted"], r["answer"]) for r in rows["logins"]] == [
        ("joe", "PAP", False, "go away"), ("joe", "PAP", True, "Access-Accept"),
    ]  # fmt: skip


SYSLOG = [
    b"<38>Oct 11 22:14:15 gate sshd[42]: Failed password for root", b"<165>1 2003-10-11T22:14:15.003Z gate app - ID47 - hello",
    b"<13>tool: words", b"just words",
]  # fmt: skip
PARTS = [("AUTH", "INFO", "gate", "sshd"), ("LOCAL4", "NOTICE", "gate", "app"), ("USER", "NOTICE", None, "tool"), (None, None, None, None)]


def parts(rows):
    return [tuple(r[c] for c in ("facility", "severity", "host_name", "program")) for r in rows]


def test_syslog():
    rows = datagrams("syslog", [(True, m) for m in SYSLOG])["syslog"]
    assert parts(rows) == PARTS
    assert rows[0]["message"] == "Oct 11 22:14:15 gate sshd[42]: Failed password for root"
    lines = talk("syslog", [(True, b"\n".join(SYSLOG) + b"\n")])["syslog"]
    counted = talk("syslog", [(True, b"".join(b"%d %s" % (len(m), m) for m in SYSLOG[:3]))])["syslog"]
    assert parts(lines) == PARTS and parts(counted) == PARTS[:3]


@given(st.lists(st.integers(1, 200), max_size=8))
def test_syslog_cut_anywhere(cuts):
    for stream in (b"\n".join(SYSLOG) + b"\n", b"".join(b"%d %s" % (len(m), m) for m in SYSLOG[:3])):
        assert talk("syslog", [(True, stream)], cuts) == talk("syslog", [(True, stream)])


def test_ssdp():
    search = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\nUSER-AGENT: x/1\r\n\r\n"
    alive = (b"NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\nLocation: http://10.0.0.1/d.xml\r\nUSN: uuid:1\r\n"
             b"SERVER: os\r\n\r\n")  # fmt: skip
    asked, told = datagrams("ssdp", [(True, search), (True, search), (True, alive)])["ssdp"]
    assert (asked["operation"], asked["target"], asked["user_agent"], asked["messages"]) == ("search", "ssdp:all", "x/1", 2)
    assert (told["operation"], told["location"], told["usn"], told["server"]) == ("alive", "http://10.0.0.1/d.xml", "uuid:1", "os")


@given(st.integers(0, 90), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    whole = bytearray(ASK)
    whole[at % len(whole)] = byte
    datagrams("radius", [(True, bytes(whole)), (False, bytes(whole[:at]))])


@needs_shared
def test_a_real_login():
    with read(str(SHARED / "captures/zeek/radius/radius.pcap")) as reading:
        (login,) = reading.table("logins").to_pylist()
    assert (login["user"], login["accepted"], login["service"]) == ("John.McGuirk", True, "radius")
