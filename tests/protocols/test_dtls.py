"""DTLS: handshakes in fragments, in whatever order; cookies left out."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams
from tracehound.edges.reading import read


def record(kind: int, body: bytes, epoch: int = 0) -> bytes:
    return struct.pack(">BHHHIH", kind, 0xFEFD, epoch, 0, 7, len(body)) + body


def fragments(kind: int, number: int, body: bytes, size: int = 1000) -> list[bytes]:
    """RFC 6347 4.2.2: type, length, number, offset and length of the fragment."""
    out = []
    for at in range(0, len(body), size):
        part = body[at : at + size]
        head = bytes((kind,)) + len(body).to_bytes(3, "big") + struct.pack(">H", number) + b"".join(
            n.to_bytes(3, "big") for n in (at, len(part))
        )
        out.append(record(22, head + part))
    return out


EXTENSIONS = b"\0\0\0\x10\0\x0e\0\0\x0bwww.example"
HELLO = b"\xfe\xfd" + bytes(32) + b"\0" + b"\4cook" + b"\0\2\xc0\x2b" + b"\1\0" + struct.pack(">H", len(EXTENSIONS)) + EXTENSIONS
SERVER = b"\xfe\xfd" + bytes(32) + b"\0" + b"\xc0\x2b" + b"\0"
CHANGE, DARK = record(20, b"\1"), record(23, b"secret", epoch=1)


def test_a_handshake_in_fragments_out_of_order():
    pieces = fragments(1, 1, HELLO, 30)
    said = [(False, fragments(3, 0, b"\xfe\xff\4cook")[0]), *((True, p) for p in reversed(pieces)), (True, pieces[0]),
            (False, fragments(2, 1, SERVER)[0] + CHANGE + DARK), (True, CHANGE + DARK), (True, record(23, b"not read"))]  # fmt: skip
    (row,) = datagrams("dtls", said)["tls"]
    assert (row["version"], row["cipher"], row["server_name"]) == ("DTLSv12", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "www.example")
    assert row["ja4"].startswith("dd2d010100_") and row["established"]


@given(st.integers(0, 150), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    whole = bytearray(fragments(1, 1, HELLO)[0])
    whole[at % len(whole)] = byte
    datagrams("dtls", [(True, bytes(whole)), (False, bytes(whole[:at]))])


@needs_shared
def test_fingerprint_agrees_with_tshark():
    """tshark -r FILE -Y dtls.handshake.type==1 -T fields -e dtls.handshake.ja3"""
    with read(str(SHARED / "captures/zeek/tls/dtls13-wolfssl.pcap")) as reading:
        (row,) = reading.table("tls").to_pylist()
    assert (row["version"], row["ja3"]) == ("DTLSv13", "ab7ea25b30fb7a01b2705f9286cdca5b")
