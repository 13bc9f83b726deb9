"""ONC RPC: which procedures of which programs a flow calls."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams, talk
from tracehound.edges.reading import read
from tracehound.protocols.identify import service_of


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value + bytes(-len(value) & 3)


UNIX = struct.pack(">I", 9) + text(b"pc7") + struct.pack(">III", 1000, 1000, 0)


def call(xid: int, program: int, version: int, procedure: int, arguments: bytes = b"", credentials: bytes = b"") -> bytes:
    head = struct.pack(">IIIIII", xid, 0, 2, program, version, procedure)
    return head + struct.pack(">I", 1 if credentials else 0) + text(credentials) + bytes(8) + arguments


def reply(xid: int, results: bytes = b"", status: int = 0) -> bytes:
    return struct.pack(">IIIIII", xid, 1, 0, 0, 0, status) + results


DUMPED = b"".join(struct.pack(">IIIII", 1, *entry) for entry in ((100003, 3, 6, 2049), (100005, 3, 17, 20048))) + bytes(4)
SAID = [
    (True, call(1, 100000, 2, 3, struct.pack(">IIII", 100003, 3, 6, 0))), (False, reply(1, struct.pack(">I", 2049))),
    (True, call(2, 100000, 2, 4)), (False, reply(2, DUMPED)),
    (True, call(3, 100005, 3, 1, text(b"/export"), UNIX)), (False, reply(3, struct.pack(">I", 13))),
    (True, call(4, 100005, 3, 5)), (False, reply(4, struct.pack(">I", 1) + text(b"/export") + bytes(8))),
    (True, call(5, 100003, 3, 1)), (True, call(6, 100003, 3, 1)), (False, struct.pack(">IIIII", 5, 1, 1, 1, 5)),
]  # fmt: skip


def test_procedures():
    rows = {(r["program"], r["operation"]): r for r in datagrams("portmapper", SAID)["sunrpc"]}
    port, listed, mount = rows["portmapper", "GETPORT"], rows["portmapper", "DUMP"], rows["mountd", "MNT"]
    assert (port["argument"], port["answer"], port["result"]) == ("nfs 3 tcp", "2049", "SUCCESS")
    assert listed["answer"] == "nfs 3 tcp 2049, mountd 3 udp 20048"
    assert (mount["argument"], mount["answer"], mount["host_name"], mount["uid"]) == ("/export", "EACCES", "pc7", 1000)
    assert rows["mountd", "EXPORT"]["answer"] == "/export"
    nfs = rows["nfs", "GETATTR"]
    assert (nfs["calls"], nfs["replies"], nfs["result"]) == (2, 1, "AUTH_ERROR")


def records(*messages: bytes, cut: int = 40) -> bytes:
    """RFC 5531 11: fragments, the last of them marked."""
    return b"".join(
        struct.pack(">I", len(m[:cut])) + m[:cut] + struct.pack(">I", 0x80000000 | len(m[cut:])) + m[cut:] for m in messages
    )


def test_over_tcp_cut_anywhere():
    said = [(side, records(*(d for client, d in SAID if client == side), cut=12 + 8 * side)) for side in (True, False)]
    whole = talk("nfs", said)
    assert sorted((r["program"], r["operation"], r["calls"]) for r in whole["sunrpc"])[-1] == ("portmapper", "GETPORT", 1)
    assert talk("nfs", said, range(1, 300, 7)) == whole


@given(st.integers(0, 80), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    for client, data in SAID:
        whole = bytearray(data)
        whole[at % len(whole)] = byte
        datagrams("sunrpc", [(True, SAID[2][1]), (client, bytes(whole)), (client, data[:at])])


def test_other_programs_are_identified():
    assert service_of(17, call(1, 100024, 1, 0), b"", 1000, 4000) == "sunrpc"
    assert service_of(6, records(call(1, 100232, 10, 0), cut=0)[4:], b"", 1000, 4000) == "sunrpc"


@needs_shared
def test_a_real_mount():
    with read(str(SHARED / "captures/zeek/nfs/nfs_write.pcap")) as reading:
        rows = reading.table("sunrpc").to_pylist()
    assert ("mountd", "MNT", "/export", "SUCCESS") in {(r["program"], r["operation"], r["argument"], r["result"]) for r in rows}
