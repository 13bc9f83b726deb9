"""In: a rule that looks at headers only, and the columns of a batch. Out: the rows that may match it, all at once.
Never here: the exact answer (plan.py gives it for the few rows that are left)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.packets.batch import PacketBatch
from tracehound.rules.packet import WITH_PORTS
from tracehound.rules.plan import Plan
from tracehound.rules.rule import AddressSet, Event, FlagTest, Numbers, NumberTest, PortSet, Test, WordTest

Mask = NDArray[np.bool_]
_ALL: Final = 0xFFFFFFFFFFFFFFFF


class Columns:
    """A batch's columns with the masks that several rules share, made once."""

    def __init__(self, p: PacketBatch, fragment: NDArray[np.uint16] | None = None, header_len: NDArray[np.uint8] | None = None) -> None:
        self.p = p
        self.fragment = fragment
        self.header_len = header_len
        self._masks: dict[tuple[int, str], Mask | None] = {}
        self._dports = np.zeros(65536, np.bool_)
        self._dports[p.dport] = True
        self._sports = np.zeros(65536, np.bool_)
        self._sports[p.sport] = True
        self._by_side: dict[str, tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]] = {}
        self.by_head: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self._by_proto: dict[frozenset[int], Mask] = {}
        self._protos = frozenset(np.unique(p.proto).tolist())

    def address(self, addresses: AddressSet, side: str) -> Mask | None:
        key = (id(addresses), side)
        if key not in self._masks:
            if addresses.is_any:
                self._masks[key] = None
            else:
                # Packets are many, hosts are few.
                hi, lo, places = self._hosts(side)
                mask = in_addresses(addresses, hi, lo)
                self._masks[key] = None if mask is None else mask[places]
        return self._masks[key]

    def _hosts(self, side: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
        """The addresses of one side, each once, and for each row its place among them."""
        if side not in self._by_side:
            p = self.p
            hi, lo = (p.src_hi, p.src_lo) if side == "src" else (p.dst_hi, p.dst_lo)
            order = np.lexsort((lo, hi)) if hi.any() else np.argsort(lo, kind="stable")
            new = np.ones(order.size, np.bool_)
            new[1:] = (hi[order[1:]] != hi[order[:-1]]) | (lo[order[1:]] != lo[order[:-1]])
            places = np.empty(order.size, np.int64)
            places[order] = np.cumsum(new) - 1
            self._by_side[side] = hi[order[new]], lo[order[new]], places
        return self._by_side[side]

    def port(self, ports: PortSet, side: str) -> Mask | None:
        key = (id(ports), side + "port")
        if key not in self._masks:
            self._masks[key] = in_ports(ports, self.p.sport if side == "src" else self.p.dport)
        return self._masks[key]

    def protos(self, wanted: frozenset[int]) -> Mask:
        if wanted not in self._by_proto:
            self._by_proto[wanted] = np.isin(self.p.proto, list(wanted))
        return self._by_proto[wanted]

    def has(self, plan: Plan) -> bool:
        """Whether any packet has the protocol and the ports of a rule."""
        if plan.protos is not None and not plan.protos & self._protos:
            return False
        header = plan.rule.header
        if self._any(self._dports, header.dst_ports) and self._any(self._sports, header.src_ports):
            return True
        return plan.both_ways and self._any(self._sports, header.dst_ports) and self._any(self._dports, header.src_ports)

    @staticmethod
    def _any(present: Mask, ports: PortSet) -> bool:
        return ports.is_any or any(bool(present[low : high + 1].any()) for low, high in ports.ranges)


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


def _ends(plan: Plan, columns: Columns, *, swapped: bool) -> Mask | None:
    header = plan.rule.header
    src, dst = ("dst", "src") if swapped else ("src", "dst")
    out = _and(columns.port(header.src_ports, src), columns.port(header.dst_ports, dst))
    return _and(out, _and(columns.address(header.src, src), columns.address(header.dst, dst)))


_ODD: Final[dict[str, Callable[[PacketBatch], Mask]]] = {
    "ipv6": lambda p: p.ip_version == 6, "icmpv4": lambda p: p.proto == 1, "icmpv6": lambda p: p.proto == 58,
    "tcp": lambda p: p.proto == 6, "udp": lambda p: p.proto == 17,
}  # fmt: skip


def _may_be_odd(name: str, columns: Columns) -> Mask:
    """Rows that may have an event of the decoder: those with a note or an unusual protocol or carrier, and all of the layer that the
    event belongs to."""
    p = columns.p
    out: Mask = (p.note != 0) | ~np.isin(p.proto, (1, 6, 17, 58)) | (p.tunnel != 0) | (p.vlan != 0)
    layer = name.partition(".")[0]
    if layer in _ODD:
        out |= _ODD[layer](p)
    elif layer == "ipv4" and columns.header_len is not None and columns.fragment is not None:
        out |= (columns.header_len > 20) | ((columns.fragment & 0x3FFF) != 0)
    elif layer in ("ltnull", "ipraw", "sll", "sll2"):
        out |= p.ip_version == 0
    return out


def header_mask(plan: Plan, columns: Columns) -> Mask:
    """Rows that a rule's protocol, addresses and ports hold of: the exact answer where the rows have whole headers."""
    p = columns.p
    if not columns.has(plan):
        return np.zeros(p.ts.size, np.bool_)
    out: Mask = p.ip_version > 0 if not plan.link_only else np.ones(p.ts.size, np.bool_)
    if plan.protos is not None:
        out = out & columns.protos(plan.protos)
    if plan.family:
        out = out & (p.ip_version == plan.family)
    if plan.sports is not None or plan.dports is not None:
        out = out & columns.protos(WITH_PORTS)
    ends = _ends(plan, columns, swapped=False)
    if plan.both_ways and ends is not None:
        other = _ends(plan, columns, swapped=True)
        ends = ends | other if other is not None else None
    return out if ends is None else out & ends


def _header_rows(plan: Plan, columns: Columns) -> NDArray[np.int64]:
    """Rows that protocol, addresses and ports do not exclude; many rules share them."""
    p = columns.p
    if not columns.has(plan):
        return np.empty(0, np.int64)
    out: Mask | None = None
    if plan.protos is not None:
        out = columns.protos(plan.protos) & (p.ip_version > 0)
    elif not plan.link_only:
        out = p.ip_version > 0
    if plan.family:
        out = _and(out, p.ip_version == plan.family)
    ends = _ends(plan, columns, swapped=False)
    if plan.both_ways and ends is not None:
        other = _ends(plan, columns, swapped=True)
        ends = ends | other if other is not None else None
    out = _and(out, ends)
    return np.flatnonzero(out) if out is not None else np.arange(p.ts.size)


def _held(test: Test, p: PacketBatch, columns: Columns, rows: NDArray[np.int64]) -> Mask | None:
    """Which of the rows a test of the header holds of; None where it is not told by columns."""
    if isinstance(test, NumberTest):
        if test.keyword in _COLUMNS:
            return _within(test.numbers, getattr(p, _COLUMNS[test.keyword])[rows].astype(np.int64))
        if test.keyword == "fragoffset" and columns.fragment is not None:
            return _within(test.numbers, (columns.fragment[rows] & 0x1FFF).astype(np.int64))
        if test.keyword == "id":
            return _within(test.numbers, p.ip_id[rows].astype(np.int64))
    elif isinstance(test, FlagTest):
        tcp = test.keyword == "tcp.flags"
        if tcp:
            have, bits = p.tcp_flags[rows] & (0xFF & ~test.ignored), test.bits & ~test.ignored
        elif columns.fragment is not None:
            have, bits = (columns.fragment[rows] >> 13) & (7 & ~test.ignored), test.bits
        else:
            return None
        held: Mask = {
            "=": have == bits, "+": (have & bits) == bits, "*": (have & bits) != 0, "!": (have & bits) == 0,
        }[test.mode]  # fmt: skip
        held &= p.proto[rows] == 6 if tcp else p.ip_version[rows] == 4
        return held
    elif isinstance(test, WordTest):
        if test.keyword == "ipopts" and columns.header_len is not None:
            longer: Mask = columns.header_len[rows] > 20
            return longer
        if test.keyword == "sameip":
            same: Mask = (p.src_hi[rows] == p.dst_hi[rows]) & (p.src_lo[rows] == p.dst_lo[rows])
            return same
    elif isinstance(test, Event) and test.kind == "decode":
        return _may_be_odd(test.name, columns)[rows]
    return None


def rows_that_may_match(plan: Plan, columns: Columns) -> NDArray[np.int64]:
    """Rows that protocol, addresses, ports and the simple header tests do not exclude."""
    rows = columns.by_head.get(plan.head)
    if rows is None:
        rows = columns.by_head[plan.head] = _header_rows(plan, columns)
    p = columns.p
    if rows.size and plan.payload is not None and any(not getattr(s, "negated", False) for s in plan.payload.chain.steps):
        rows = rows[p.payload_caplen[rows] > 0]
    for test in plan.rule.tests:
        if not rows.size:
            break
        held = _held(test, p, columns, rows)
        if held is not None:
            rows = rows[held]
    return rows
