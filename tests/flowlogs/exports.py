"""In: flows as words and numbers. Out: datagrams of NetFlow v1, v5, v7, v9 and IPFIX, and nfdump files of both layouts, written from
their descriptions and not with tracehound's own readers. Never here: a test."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

NOW = 1_668_586_100
"""When the datagrams are sent, s since 1970."""


@dataclass(frozen=True)
class Flow:
    src: str = "192.0.2.1"
    dst: str = "198.51.100.7"
    sport: int = 40_000
    dport: int = 80
    proto: int = 6
    pkts: int = 5
    octets: int = 400
    flags: int = 0x1B
    start_ms: int = NOW * 1000 - 3000
    end_ms: int = NOW * 1000 - 1000

    @property
    def packed(self) -> tuple[bytes, bytes]:
        return ipaddress.ip_address(self.src).packed, ipaddress.ip_address(self.dst).packed


UPTIME_MS = 5_000_000


def _uptime(ms: int) -> int:
    return (UPTIME_MS - (NOW * 1000 - ms)) & 0xFFFFFFFF


def v5(flows: list[Flow], *, sequence: int = 0, sampling: int = 0, engine: int = 0, uptime_ms: int | None = None) -> bytes:
    head = struct.pack("!HHIIIIHH", 5, len(flows), UPTIME_MS, NOW, 0, sequence, engine, sampling)
    body = b""
    for f in flows:
        src, dst = f.packed
        body += src + dst + bytes(4) + struct.pack("!HHII", 1, 2, f.pkts, f.octets)
        body += struct.pack("!IIHH", _uptime(f.start_ms), _uptime(f.end_ms), f.sport, f.dport)
        body += struct.pack("!BBBBHHBBH", 0, f.flags, f.proto, 0, 0, 0, 24, 24, 0)
    return head + body


def v7(flows: list[Flow], *, sequence: int = 0) -> bytes:
    head = struct.pack("!HHIIIII", 7, len(flows), UPTIME_MS, NOW, 0, sequence, 0)
    records = v5(flows)[24:]
    return head + b"".join(records[k : k + 48] + bytes(4) for k in range(0, len(records), 48))


def v1(flows: list[Flow]) -> bytes:
    head = struct.pack("!HHIII", 1, len(flows), UPTIME_MS, NOW, 0)
    body = b""
    for f in flows:
        src, dst = f.packed
        body += src + dst + bytes(4) + struct.pack("!HHII", 1, 2, f.pkts, f.octets)
        body += struct.pack("!IIHHH", _uptime(f.start_ms), _uptime(f.end_ms), f.sport, f.dport, 0)
        body += struct.pack("!BBB", f.proto, 0, f.flags) + bytes(11)
    return head + body


Field = tuple[int, int] | tuple[int, int, int]
"""(element, length) or (element, length, enterprise)."""


def _specifier(field: Field) -> bytes:
    if len(field) == 3:
        return struct.pack("!HHI", field[0] | 0x8000, field[1], field[2])
    return struct.pack("!HH", *field)


def template(number: int, fields: Sequence[Field]) -> bytes:
    return struct.pack("!HH", number, len(fields)) + b"".join(_specifier(f) for f in fields)


def one_set(number: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", number, len(body) + 4) + body


def v9(sets: list[bytes], *, sequence: int = 0, source: int = 0) -> bytes:
    return struct.pack("!HHIIII", 9, len(sets), UPTIME_MS, NOW, sequence, source) + b"".join(sets)


def ipfix(sets: list[bytes], *, sequence: int = 0, domain: int = 0) -> bytes:
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), NOW, sequence, domain) + body


V9_FIELDS: list[Field] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4), (22, 4), (21, 4)]


def v9_record(f: Flow) -> bytes:
    src, dst = f.packed
    return (
        src
        + dst
        + struct.pack("!HHBBIIII", f.sport, f.dport, f.proto, f.flags, f.pkts, f.octets, _uptime(f.start_ms), _uptime(f.end_ms))
    )


IPFIX_FIELDS: list[Field] = [(27, 16), (28, 16), (7, 2), (11, 2), (4, 1), (6, 2), (2, 8), (1, 8), (152, 8), (153, 8)]


def ipfix_record(f: Flow) -> bytes:
    src, dst = f.packed
    return src + dst + struct.pack("!HHBHQQQQ", f.sport, f.dport, f.proto, f.flags, f.pkts, f.octets, f.start_ms, f.end_ms)


def nfdump_v3_record(f: Flow, *, order: str = "<", out: tuple[int, int] | None = None, flags: int = 0) -> bytes:
    """A record of layout 2: elements generic, addresses, and (if given) packets and bytes of the other direction."""
    elements = [
        (1, struct.pack(order + "QQQQQHHBBBB", f.start_ms, f.end_ms, 0, f.pkts, f.octets, f.sport, f.dport, f.proto, f.flags, 0, 0))
    ]
    src, dst = f.packed
    if len(src) == 4:
        elements.append((2, struct.pack(order + "II", *(int.from_bytes(a, "big") for a in (src, dst)))))
    else:
        halves = [int.from_bytes(a[k : k + 8], "big") for a in (src, dst) for k in (0, 8)]
        elements.append((3, struct.pack(order + "QQQQ", *halves)))
    if out is not None:
        elements.append((5, struct.pack(order + "QQQ", 1, *out)))
    body = b"".join(struct.pack(order + "HH", kind, len(data) + 4) + data for kind, data in elements)
    return struct.pack(order + "HHHBBHBB", 11, 12 + len(body), len(elements), 0, 0, 0, flags, 9) + body


def nfdump_v2(blocks: list[bytes], counts: list[int], *, packing: int = 0, order: str = "<") -> bytes:
    """A file of layout 2; the blocks are packed already."""
    head = struct.pack(order + "HHIQBBHIqII", 0xA50C, 2, 0x01070100, NOW, packing, 0, 0, 0, 0, 0, len(blocks))
    return head + b"".join(struct.pack(order + "IIHH", n, len(b), 3, 0) + b for b, n in zip(blocks, counts, strict=True))


def nfdump_v1_map(number: int, extensions: list[int], *, order: str = "<") -> bytes:
    words = [*extensions, 0]
    words += [0] * (len(words) % 2)
    return struct.pack(order + f"HHHH{len(words)}H", 2, 8 + 2 * len(words), number, 0, *words)


def nfdump_v1_record(f: Flow, number: int, extensions: bytes = b"", *, order: str = "<", wide: bool = False, kind: int = 10) -> bytes:
    """A record of layout 1, type 1 or 10, with the extensions of map `number` behind the required ones."""
    src, dst = f.packed
    six = len(src) == 16
    flags = (1 if six else 0) | (6 if wide else 0)
    if six:
        addresses = struct.pack(order + "QQQQ", *(int.from_bytes(a[k : k + 8], "big") for a in (src, dst) for k in (0, 8)))
    else:
        addresses = struct.pack(order + "II", *(int.from_bytes(a, "big") for a in (src, dst)))
    counters = struct.pack(order + ("QQ" if wide else "II"), f.pkts, f.octets)
    head = struct.pack(
        order + "HHIIBBBBHH",
        f.start_ms % 1000,
        f.end_ms % 1000,
        f.start_ms // 1000,
        f.end_ms // 1000,
        0,
        f.flags,
        f.proto,
        0,
        f.sport,
        f.dport,
    )
    mark = struct.pack(order + "HH", flags, number) if kind == 10 else struct.pack(order + "BBH", flags, 0, number)
    body = mark + head + (bytes(4) if kind == 10 else b"") + addresses + counters + extensions
    return struct.pack(order + "HH", kind, 4 + len(body)) + body


def nfdump_v1(blocks: list[bytes], counts: list[int], *, flags: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "HHII128s", 0xA50C, 1, flags, len(blocks), b"none") + bytes(136)
    packed = 2 if flags else 0
    return head + b"".join(struct.pack(order + "IIHH", n, len(b), 2, packed) + b for b, n in zip(blocks, counts, strict=True))
