"""In: the unpacked blocks of nfdump files, layouts 1 (nfdump 1.5 and 1.6) and 2 (1.7). Out: records of one direction (one_way.py).
Never here: the file around the blocks (nfdump_file.py).

Layouts: nfdump's nffile.h (1.6: records of type 1 and 10, described by extension maps) and nfxV3.h (1.7: records of type 11 made of
typed elements). Numbers lie in the byte order of the machine that wrote the file."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flowlogs.one_way import (
    BYTES,
    DENIED,
    DPORT,
    DST_HI,
    DST_LO,
    END,
    FLAGS,
    PKTS,
    PROTO,
    REPLY_BYTES,
    REPLY_PKTS,
    SPORT,
    SRC_HI,
    SRC_LO,
    START,
    VERSION,
    VLAN,
    Records,
)
from tracehound.flows.key import V4_MAPPED
from tracehound.kernels import Bool, Int, kernel

COMMON_V0: Final = 1
EXTENSION_MAP: Final = 2
EXPORTER_INFO: Final = 7
COMMON: Final = 10
V3: Final = 11

SAMPLED_V1: Final = 128
SAMPLED_V3: Final = 2

# Elements of a V3 record.
EX_GENERIC: Final = 1
EX_IPV4: Final = 2
EX_IPV6: Final = 3
EX_COUNT: Final = 5
EX_VLAN: Final = 6
EX_NSEL: Final = 19
EX_PF: Final = 37

EXTENSION_BYTES: Final[dict[int, int]] = {
    4: 4, 5: 8, 6: 4, 7: 8, 8: 4, 9: 4, 10: 16, 11: 4, 12: 16, 13: 4, 14: 4, 15: 8, 16: 4, 17: 8, 18: 4, 19: 8, 20: 16, 21: 16,
    22: 40, 23: 4, 24: 16, 25: 4, 26: 8, 27: 8,
}  # fmt: skip
"""Sizes of layout 1's optional extensions. What stands behind an extension of unknown size is not read."""

# What an extension map comes to: where the counters of the other direction and the VLAN lie behind the required extensions; -1 = not.
M_KNOWN: Final = 0
M_PKTS: Final = 1
M_PKTS_BYTES: Final = 2
M_BYTES: Final = 3
M_BYTES_BYTES: Final = 4
M_VLAN: Final = 5
MAP_FIELDS: Final = 6
_COUNTERS: Final = {14: (M_PKTS, 4), 15: (M_PKTS, 8), 16: (M_BYTES, 4), 17: (M_BYTES, 8)}

X_RECORD_EXPORTER: Final = 0
X_RECORD_SAMPLED: Final = 1
EXTRA_FIELDS: Final = 2
"""Beside a record: number of its exporter, and whether it is of sampled traffic."""

_LONGEST_MS: Final = 2**61 // 1_000_000
_MAX_COUNT: Final = 2**50


def new_maps() -> NDArray[np.int64]:
    """Extension maps by their number; none is known yet."""
    maps = np.full((65_536, MAP_FIELDS), -1, dtype=np.int64)
    maps[:, M_KNOWN] = 0
    return maps


def learn_map(data: bytes, maps: NDArray[np.int64], *, big: bool) -> None:
    """A record of type 2: type, size, number of the map, size of the extensions, then their numbers up to a zero."""
    order = ">u2" if big else "<u2"
    words = np.frombuffer(data[: len(data) & ~1], dtype=order).tolist()
    if len(words) < 4:
        return
    row = maps[words[2]]
    row[:] = -1
    row[M_KNOWN] = 1
    at = 0
    for extension in words[4:]:
        if extension == 0:
            break
        if extension in _COUNTERS:
            place, size = _COUNTERS[extension]
            row[place], row[place + 1] = at, size
        if extension == 13:
            row[M_VLAN] = at
        if extension > 3:
            if extension not in EXTENSION_BYTES:
                break
            at += EXTENSION_BYTES[extension]


@kernel
def _word(b: NDArray[np.uint8], at: Int, size: Int, big: Bool) -> Int:
    """An unsigned number of `size` bytes; of eight the upper bit is dropped."""
    value = np.int64(0)
    for k in range(size):
        value = (value & 0x7FFFFFFFFFFFFF) << 8 | np.int64(b[at + k] if big else b[at + size - 1 - k])
    return value


@kernel
def _half(b: NDArray[np.uint8], at: Int, big: Bool) -> Int:
    """Eight bytes of an IPv6 address as int64."""
    top = np.int64(b[at] if big else b[at + 7])
    value = top - 256 if top >= 128 else top
    for k in range(1, 8):
        value = value << 8 | np.int64(b[at + k] if big else b[at + 7 - k])
    return value


@kernel
def _write_v6(b: NDArray[np.uint8], at: Int, big: Bool, out: Records, n: Int) -> None:
    out[VERSION, n] = 6
    out[SRC_HI, n] = _half(b, at, big)
    out[SRC_LO, n] = _half(b, at + 8, big)
    out[DST_HI, n] = _half(b, at + 16, big)
    out[DST_LO, n] = _half(b, at + 24, big)


@kernel
def _write_v4(b: NDArray[np.uint8], at: Int, big: Bool, out: Records, n: Int) -> None:
    out[VERSION, n] = 4
    out[SRC_LO, n] = V4_MAPPED | _word(b, at, 4, big)
    out[DST_LO, n] = V4_MAPPED | _word(b, at + 4, 4, big)


@kernel
def _ports(out: Records, n: Int, sport: Int, dport: Int) -> None:
    """ICMP: type * 256 + code lie in the destination port."""
    if out[PROTO, n] == 1 or out[PROTO, n] == 58:
        sport, dport = dport >> 8, dport & 0xFF
    out[SPORT, n] = sport
    out[DPORT, n] = dport


@kernel
def _flags(out: Records, n: Int, flags: Int) -> None:
    # No TCP segment is without any flag: 0 is an exporter that does not tell.
    if out[PROTO, n] == 6 and flags != 0:
        out[FLAGS, n] = flags


@kernel
def _reply(out: Records, n: Int, field: Int, value: Int) -> None:
    """A counter of the other direction; zero is what records of one direction carry."""
    if value > 0:
        out[field, n] = min(value, _MAX_COUNT)


@kernel
def _read_v1(b: NDArray[np.uint8], at: Int, size: Int, big: Bool, kind: Int, maps: NDArray[np.int64], out: Records, n: Int) -> Int:
    """One record of layout 1 into column n; returns its flags, or -1 if it is too short for what it says."""
    # type, size, flags, tag or (type 10) flags of 16 bits, map, msec_first, msec_last, first, last, fwd_status, tcp_flags, prot,
    # tos, srcport, dstport; type 10: exporter id, reserved
    head = 28 if kind == COMMON_V0 else 32
    if size < head:
        return -1
    flags = np.int64(b[at + 4]) if kind == COMMON_V0 else _word(b, at + 4, 2, big)
    need = head + (32 if flags & 1 else 8) + (8 if flags & 2 else 4) + (8 if flags & 4 else 4)
    if size < need:
        return -1
    out[START, n] = _word(b, at + 12, 4, big) * 1_000_000_000 + _word(b, at + 8, 2, big) * 1_000_000
    out[END, n] = _word(b, at + 16, 4, big) * 1_000_000_000 + _word(b, at + 10, 2, big) * 1_000_000
    out[PROTO, n] = b[at + 22]
    _flags(out, n, np.int64(b[at + 21]))
    _ports(out, n, _word(b, at + 24, 2, big), _word(b, at + 26, 2, big))
    p = at + head
    if flags & 1:
        _write_v6(b, p, big, out, n)
        p += 32
    else:
        _write_v4(b, p, big, out, n)
        p += 8
    width = 8 if flags & 2 else 4
    out[PKTS, n] = min(_word(b, p, width, big), _MAX_COUNT)
    p += width
    width = 8 if flags & 4 else 4
    out[BYTES, n] = min(_word(b, p, width, big), _MAX_COUNT)
    p += width
    m = _word(b, at + 6, 2, big)
    if maps[m, M_PKTS] >= 0 and p + maps[m, M_PKTS] + maps[m, M_PKTS_BYTES] <= at + size:
        _reply(out, n, REPLY_PKTS, _word(b, p + maps[m, M_PKTS], maps[m, M_PKTS_BYTES], big))
    if maps[m, M_BYTES] >= 0 and p + maps[m, M_BYTES] + maps[m, M_BYTES_BYTES] <= at + size:
        _reply(out, n, REPLY_BYTES, _word(b, p + maps[m, M_BYTES], maps[m, M_BYTES_BYTES], big))
    if maps[m, M_VLAN] >= 0 and p + maps[m, M_VLAN] + 2 <= at + size:
        vlan = _word(b, p + maps[m, M_VLAN], 2, big) & 0xFFF
        out[VLAN, n] = vlan if vlan > 0 else -1
    return flags


@kernel
def _read_v3(b: NDArray[np.uint8], at: Int, size: Int, big: Bool, out: Records, n: Int) -> Int:
    """One record of layout 2 into column n; returns its flags, or -1 if its elements do not fit, -2 if it is no flow."""
    # type, size, numElements, engineType, engineID, exporterID, flags, nfversion
    if size < 12:
        return -1
    flags = np.int64(b[at + 10])
    elements = _word(b, at + 4, 2, big)
    p, end = at + 12, at + size
    flow = False
    sport, dport = 0, 0
    for _ in range(elements):
        if p + 4 > end:
            return -1
        kind, length = _word(b, p, 2, big), _word(b, p + 2, 2, big)
        if length < 4 or p + length > end:
            return -1
        d, room = p + 4, length - 4
        if kind == EX_GENERIC and room >= 48:
            # msecFirst, msecLast, msecReceived, inPackets, inBytes, srcPort, dstPort, proto, tcpFlags, fwdStatus, srcTos
            out[START, n] = min(_word(b, d, 8, big), _LONGEST_MS) * 1_000_000
            out[END, n] = min(_word(b, d + 8, 8, big), _LONGEST_MS) * 1_000_000
            out[PKTS, n] = min(_word(b, d + 24, 8, big), _MAX_COUNT)
            out[BYTES, n] = min(_word(b, d + 32, 8, big), _MAX_COUNT)
            sport, dport = _word(b, d + 40, 2, big), _word(b, d + 42, 2, big)
            out[PROTO, n] = b[d + 44]
            _flags(out, n, np.int64(b[d + 45]))
            # RFC 7270 4.12: 10 in the upper bits = dropped
            if b[d + 46] >> 6 == 2:
                out[DENIED, n] = 1
            flow = True
        elif kind == EX_IPV4 and room >= 8:
            _write_v4(b, d, big, out, n)
        elif kind == EX_IPV6 and room >= 32:
            _write_v6(b, d, big, out, n)
        elif kind == EX_COUNT and room >= 24:
            _reply(out, n, REPLY_PKTS, _word(b, d + 8, 8, big))
            _reply(out, n, REPLY_BYTES, _word(b, d + 16, 8, big))
        elif kind == EX_VLAN and room >= 8:
            vlan = _word(b, d, 4, big) & 0xFFF
            out[VLAN, n] = vlan if vlan > 0 else -1
        elif kind == EX_NSEL and room >= 16:
            # msecEvent, connID, fwXevent, fwEvent: 3 = denied
            if b[d + 14] == 3:
                out[DENIED, n] = 1
        elif kind == EX_PF and room >= 4:
            # pf's action: 0 = pass, 1 = drop
            if b[d] == 1:
                out[DENIED, n] = 1
        p += length
    if not flow:
        return -2
    _ports(out, n, sport, dport)
    return flags


@kernel
def read_block(
    b: NDArray[np.uint8], at: Int, end: Int, big: Bool, maps: NDArray[np.int64], out: Records, offset: NDArray[np.int64],
    extra: NDArray[np.int64],
) -> tuple[Int, Int, Int, Int]:  # fmt: skip
    """Read the records of b[at:end] until there is no room or one that the caller must look at (extension maps, exporters).
    Returns (flow records, records skipped, where reading stopped, why: 0 the end or no room, 1 a record for the caller, -1 a
    record that is damaged)."""
    n, skipped = 0, 0
    while at + 4 <= end and n < out.shape[1]:
        kind, size = _word(b, at, 2, big), _word(b, at + 2, 2, big)
        if size < 4 or at + size > end:
            return n, skipped, at, -1
        if kind == EXTENSION_MAP or kind == EXPORTER_INFO:
            return n, skipped, at, 1
        flags = np.int64(-2)
        if kind == V3:
            flags = _read_v3(b, at, size, big, out, n)
        elif kind == COMMON or kind == COMMON_V0:
            flags = _read_v1(b, at, size, big, kind, maps, out, n)
        if flags == -1:
            return n, skipped, at, -1
        if flags < 0:
            # Statistics, names and samplers are no flows either, but nothing is lost with them.
            skipped += 1 if kind == V3 else 0
        else:
            sampled = flags & (SAMPLED_V3 if kind == V3 else SAMPLED_V1)
            extra[X_RECORD_SAMPLED, n] = 1 if sampled else 0
            place = 8 if kind == V3 else (28 if kind == COMMON else -1)
            extra[X_RECORD_EXPORTER, n] = _word(b, at + place, 2, big) if place >= 0 else np.int64(b[at + 5])
            offset[n] = at
            n += 1
        at += size
    return n, skipped, at, 0
