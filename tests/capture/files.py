"""In: records, blocks. Out: bytes of pcap and pcapng files, written by hand from the specifications. Never here: the code
under test."""

from __future__ import annotations

import struct
from collections.abc import Iterable

SECOND = 1_000_000_000


def pcap_header(order="<", magic=0xA1B2C3D4, snaplen=262_144, link=1, version=(2, 4)):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def pcap_record(data: bytes, ts_ns=0, wirelen=None, order="<", tick_ns=1000, extra=b""):
    seconds, rest = divmod(ts_ns, SECOND)
    wire = len(data) if wirelen is None else wirelen
    return struct.pack(order + "IIII", seconds, rest // tick_ns, len(data), wire) + extra + data


def block(kind: int, body: bytes, order="<") -> bytes:
    body += bytes(-len(body) % 4)
    total = len(body) + 12
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def option(code: int, value: bytes, order="<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def options(pairs: Iterable[tuple[int, bytes]], order="<") -> bytes:
    made = b"".join(option(code, value, order) for code, value in pairs)
    return made + struct.pack(order + "HH", 0, 0) if made else b""


def section(order="<", opts=()):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options(opts, order), order)


def interface(link=1, snaplen=0, order="<", opts=()):
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options(opts, order), order)


def enhanced(data: bytes, ticks=0, which=0, wirelen=None, order="<", opts=()):
    wire = len(data) if wirelen is None else wirelen
    body = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), wire)
    return block(6, body + data + bytes(-len(data) % 4) + options(opts, order), order)


def obsolete(data: bytes, ticks=0, which=0, order="<", opts=()):
    body = struct.pack(order + "HHIIII", which, 7, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), len(data))
    return block(2, body + data + bytes(-len(data) % 4) + options(opts, order), order)


def simple(data: bytes, wirelen=None, order="<"):
    return block(3, struct.pack(order + "I", len(data) if wirelen is None else wirelen) + data, order)
