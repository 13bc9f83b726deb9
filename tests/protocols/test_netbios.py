"""NetBIOS: names, node status, browser announcements, the request that opens a session."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import ENDS, datagrams, talk
from tests.wire import Wire
from tracehound.edges.reading import read

NS, DGM = ENDS._replace(originator_port=137, responder_port=137), ENDS._replace(originator_port=138, responder_port=138)


def name(text: str, suffix: int) -> bytes:
    raw = text.encode().ljust(15) + bytes((suffix,))
    return b"\x20" + bytes(x for c in raw for x in (0x41 + (c >> 4), 0x41 + (c & 15))) + b"\0"


def service(flags: int, questions: bytes, records: bytes = b"") -> bytes:
    return struct.pack(">HHHHHH", 1, flags, bool(questions), bool(records), 0, 0) + questions + records


QUERY = service(0x0110, name("FILESRV", 0x20) + b"\0\x20\0\1")
FOUND = service(0x8500, b"", name("FILESRV", 0x20) + b"\0\x20\0\1\0\0\0\0\0\6\0\0" + bytes((10, 0, 0, 9)))
NAMES = b"\2" + b"PC7".ljust(15) + b"\0\4\0" + b"HOME".ljust(15) + b"\0\x84\0" + bytes.fromhex("020000000001")
STATUS = service(0x8400, b"", name("*", 0) + b"\0\x21\0\1\0\0\0\0" + struct.pack(">H", len(NAMES)) + NAMES)


def test_names():
    rows = datagrams("netbios_ns", [(True, QUERY), (True, QUERY), (False, FOUND), (False, STATUS)], NS)["netbios"]
    asked, found, status = rows
    assert (asked["operation"], asked["netbios_name"], asked["name_type"], asked["messages"]) == ("query", "FILESRV", "file server", 2)
    assert (found["is_response"], found["addresses"], found["is_group"], found["rcode"]) == (True, ["10.0.0.9"], False, "NOERROR")
    assert (status["operation"], status["host_name"], status["mac"]) == ("node_status", "PC7", "02:00:00:00:00:01")
    assert status["node_names"] == ["PC7<00>", "HOME<00> group"]


def announced(opcode: int, host: bytes, words: bytes) -> bytes:
    body = bytes((opcode, 0)) + bytes(4) + host.ljust(16, b"\0") + b"\6\1" + bytes(4) + bytes(4) + words + b"\0"
    slot = b"\\MAILSLOT\\BROWSE\0"
    words_ = bytearray(34)
    struct.pack_into("<HH", words_, 22, len(body), 32 + 1 + 34 + 2 + len(slot))
    smb = b"\xffSMB\x25" + bytes(27) + b"\x11" + bytes(words_) + b"\0\0" + slot + body
    return b"\x11\2\0\1" + bytes((10, 0, 0, 5)) + b"\0\x8a\0\0\0\0" + name("PC7", 0) + name("HOME", 0x1D) + smb


def test_announcements():
    said = [(True, announced(1, b"PC7", b"kitchen")), (True, announced(12, b"HOME", b"PC7"))]
    host, domain = datagrams("netbios_dgm", said, DGM)["netbios"]
    assert (host["operation"], host["host_name"], host["os_version"], host["comment"]) == ("host announcement", "PC7", "6.1", "kitchen")
    assert (domain["host_name"], domain["comment"], domain["called_name"]) == ("PC7", "domain HOME", "HOME")
    assert host["addresses"] == ["10.0.0.5"]


def test_a_session_is_asked_for():
    (row,) = talk("netbios_ssn", [(True, b"\x81\0\0\x44" + name("SRV", 0x20) + name("PC7", 0)), (False, b"\x82\0\0\0")])["netbios"]
    assert (row["operation"], row["netbios_name"], row["called_name"]) == ("session", "PC7", "SRV")


def test_smb_in_a_session_is_called_smb(tmp_path):
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("10.1.0.6")
    asked = b"\x81\0\0\x44" + name("SRV", 0x20) + name("PC7", 0)
    hello = b"\xffSMB\x72" + bytes(27) + b"\0\x0c\0\2NT LM 0.12\0"
    client.connect(server, 139, 1.0).send(asked).reply(b"\x82\0\0\0").send(b"\0\0\0" + bytes((len(hello),)) + hello).close()
    path = tmp_path / "session.pcap"
    path.write_bytes(wire.pcap())
    with read(str(path)) as reading:
        assert reading.table("flows")["service"].to_pylist() == ["smb"] and len(reading.table("netbios")) == 1


@given(st.integers(0, 300), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    for service_, ends, whole in (("netbios_ns", NS, STATUS), ("netbios_dgm", DGM, announced(1, b"PC7", b"x"))):
        damaged = bytearray(whole)
        damaged[at % len(damaged)] = byte
        datagrams(service_, [(True, bytes(damaged)), (True, bytes(whole[:at]))], ends)


@needs_shared
def test_a_real_host_names_itself():
    with read(str(SHARED / "captures/malcolm/plugins/zeek-EternalSafety/eternalblue-failed-patched-win7.pcap")) as reading:
        rows = reading.table("netbios").to_pylist()
    assert ("IE11WIN7", "6.1") in {(r["host_name"], r["os_version"]) for r in rows}
