"""In: a rule that looks at headers only, and the columns of a batch. Out: the rows that may match it, all at once.
Never here: the exact answer (plan.py gives it for the few rows that are left)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.packets.batch import PacketBatch
from tracehound.rules.plan import Plan
from tracehound.rules.rule import AddressSet, Event, FlagTest, Numbers, NumberTest, PortSet, WordTest

Mask = NDArray[np.bool_]
_ALL: Final = 0xFFFFFFFFFFFFFFFF


def in_addresses(addresses: AddressSet, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Mask | None:
    """Rows whose address is in the set; None: all."""
    if addresses.is_any:
        return None
    out = np.zeros(hi.size, np.bool_)
    v4 = [(low, high) for low, high in addresses.ranges if low >> 32 == 0xFFFF and high >> 32 == 0xFFFF]
    if v4:
        starts = np.array([low & _ALL for low, _ in v4], np.uint64)
        ends = np.array([high & _ALL for _, high in v4], np.uint64)
        at = np.searchsorted(starts, lo, side="right") - 1
        out |= (hi == 0) & (at >= 0) & (lo <= ends[np.maximum(at, 0)])
    for low, high in addresses.ranges:
        if low >> 32 == 0xFFFF and high >> 32 == 0xFFFF:
            continue
        low_hi, low_lo, high_hi, high_lo = low >> 64, low & _ALL, high >> 64, high & _ALL
        above = (hi > np.uint64(low_hi)) | ((hi == np.uint64(low_hi)) & (lo >= np.uint64(low_lo)))
        below = (hi < np.uint64(high_hi)) | ((hi == np.uint64(high_hi)) & (lo <= np.uint64(high_lo)))
        out |= above & below
    return out


def in_ports(ports: PortSet, port: NDArray[np.uint16]) -> Mask | None:
    if ports.is_any:
        return None
    out = np.zeros(port.size, np.bool_)
    for low, high in ports.ranges:
        out |= (port >= low) & (port <= high)
    return out


def _within(numbers: Numbers, values: NDArray[np.int64]) -> Mask:
    if numbers.mask is not None:
        values = values & numbers.mask
    out = np.zeros(values.size, np.bool_)
    for low, high in numbers.spans:
        out |= (values >= low) & (values <= high)
    return out


_COLUMNS: Final = {
    "dsize": "payload_len", "ttl": "ttl", "window": "window", "seq": "seq", "ack": "ack", "itype": "sport", "icode": "dport",
    "ip_proto": "proto",
}  # fmt: skip


def _and(a: Mask | None, b: Mask | None) -> Mask | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _ends(plan: Plan, p: PacketBatch, *, swapped: bool) -> Mask | None:
    header = plan.rule.header
    src = (p.src_hi, p.src_lo, p.sport)
    dst = (p.dst_hi, p.dst_lo, p.dport)
    if swapped:
        src, dst = dst, src
    out = _and(in_addresses(header.src, src[0], src[1]), in_addresses(header.dst, dst[0], dst[1]))
    return _and(out, _and(in_ports(header.src_ports, src[2]), in_ports(header.dst_ports, dst[2])))


def may_match(plan: Plan, p: PacketBatch) -> Mask:
    """Rows that protocol, addresses, ports and the simple header tests do not exclude."""
    out: Mask | None = None
    if plan.protos is not None:
        out = np.isin(p.proto, tuple(plan.protos)) & (p.ip_version > 0)
    elif not plan.link_only:
        out = p.ip_version > 0
    if plan.family:
        out = _and(out, p.ip_version == plan.family)
    ends = _ends(plan, p, swapped=False)
    if plan.both_ways and ends is not None:
        other = _ends(plan, p, swapped=True)
        ends = ends | other if other is not None else None
    out = _and(out, ends)
    for test in plan.rule.tests:
        if isinstance(test, NumberTest) and test.keyword in _COLUMNS:
            out = _and(out, _within(test.numbers, getattr(p, _COLUMNS[test.keyword]).astype(np.int64)))
        elif isinstance(test, FlagTest) and test.keyword == "tcp.flags":
            have = p.tcp_flags & (0xFF & ~test.ignored)
            bits = test.bits & ~test.ignored
            held = {
                "=": have == bits, "+": (have & bits) == bits, "*": (have & bits) != 0, "!": (have & bits) == 0,
            }[test.mode]  # fmt: skip
            out = _and(out, held & (p.proto == 6))
        elif isinstance(test, WordTest) and test.keyword == "sameip":
            out = _and(out, (p.src_hi == p.dst_hi) & (p.src_lo == p.dst_lo))
        elif isinstance(test, Event) and test.kind == "decode":
            out = _and(out, (p.note != 0) | ~np.isin(p.proto, (1, 6, 17, 58)))
    return out if out is not None else np.ones(p.ts.size, np.bool_)
