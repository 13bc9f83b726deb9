"""In: pcapng bytes as the demo writes them. Out: packets, read by code that shares nothing with the program.
Never here: anything from tracehound."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Seen(NamedTuple):
    ts: int
    frame: bytes
    comment: str


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        yield kind, data[at + 8 : at + length - 4]
        at += length


def packets(data: bytes) -> Iterator[Seen]:
    for kind, body in blocks(data):
        if kind == 6:
            _interface, high, low, caplen, _wirelen = struct.unpack_from("<IIIII", body)
            options = body[20 + caplen + (-caplen % 4) :]
            comment = ""
            if options:
                code, length = struct.unpack_from("<HH", options)
                assert code == 1
                comment = options[4 : 4 + length].decode()
            yield Seen(high << 32 | low, body[20 : 20 + caplen], comment)


class Tcp(NamedTuple):
    ts: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    ttl: int
    window: int
    ip_id: int
    payload: bytes
    comment: str


def tcp(data: bytes) -> Iterator[Tcp]:
    """TCP over IPv4 over Ethernet."""
    for ts, frame, comment in packets(data):
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        total, ip_id = struct.unpack_from("!HH", frame, 16)
        sport, dport, seq, ack, offset_flags, window = struct.unpack_from("!HHIIHH", frame, 34)
        payload = frame[34 + (offset_flags >> 12) * 4 : 14 + total]
        src, dst, ttl, flags = frame[26:30], frame[30:34], frame[22], offset_flags & 63
        yield Tcp(ts, src, dst, sport, dport, seq, ack, flags, ttl, window, ip_id, payload, comment)
