"""In: template sets and data sets of NetFlow v9 and IPFIX. Out: templates as values, records of one direction (one_way.py), what
options data say of sampling. Never here: datagrams, or which template a set wants (netflow.py).

RFC 3954 section 5 (NetFlow v9), RFC 7011 section 3 (IPFIX)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import export_elements as e
from tracehound.flowlogs.one_way import (
    BYTES,
    DENIED,
    DPORT,
    DST_HI,
    END,
    FIELDS,
    FLAGS,
    INITIATOR,
    PKTS,
    PROTO,
    REPLY_BYTES,
    REPLY_FLAGS,
    REPLY_PKTS,
    SAMPLING,
    SPORT,
    SRC_HI,
    START,
    TTL,
    VERSION,
    VLAN,
    Records,
    empty,
)
from tracehound.flows.key import V4_MAPPED
from tracehound.kernels import Int, kernel

VARIABLE: Final = 65535
"""RFC 7011 3.2: a field of this length says its length itself."""

# Scratch columns behind those of a record.
X_SAMPLER: Final = FIELDS
X_SET: Final = FIELDS + 1
X_TAKEN: Final = FIELDS + 2
X_SPACE: Final = FIELDS + 3
X_POPULATION: Final = FIELDS + 4
X_ICMP: Final = FIELDS + 5  # 1: the ports are ICMP type and code
X_FIRST: Final = FIELDS + 6  # flags of the first packet
X_FIRST_BACK: Final = FIELDS + 7
WIDE: Final = FIELDS + 8

# What a set of data records is, one column a set.
S_AT: Final = 0
S_END: Final = 1
S_TEMPLATE: Final = 2
S_EXPORT_NS: Final = 3
S_BOOT_NS: Final = 4  # when the exporter's uptime began
S_DOMAIN: Final = 5
SET_FIELDS: Final = 6

_NTP_TO_UNIX_S: Final = 2_208_988_800
_LONGEST_NS: Final = 2**61
MAX_COUNT: Final = 2**50
"""Packets and bytes of one record that are believed: sums of them must fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Template:
    """fields (meaning, length in bytes or VARIABLE); options = its records tell of the exporter, not of flows."""

    fields: tuple[tuple[int, int], ...]
    options: bool
    min_bytes: int


@dataclass(slots=True)
class Parsed:
    """Templates of one set: id -> Template, None = withdrawn; `wrong` says what could not be read."""

    found: dict[int, Template | None]
    wrong: str | None = None


def _template(fields: list[tuple[int, int]], *, options: bool) -> Template | None:
    smallest = sum(1 if size == VARIABLE else size for _, size in fields)
    return Template(tuple(fields), options, smallest) if smallest else None


def _u16(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _read_fields(data: bytes, at: int, count: int, *, ipfix: bool) -> tuple[list[tuple[int, int]], int] | None:
    """`count` field specifiers from `at`: (meaning, length), and where they end; None if the set ends before."""
    fields = []
    for _ in range(count):
        if at + 4 > len(data):
            return None
        element, size = _u16(data, at), _u16(data, at + 2)
        at += 4
        enterprise = 0
        # RFC 7011 3.2: the first bit says that a 32-bit enterprise number follows.
        if ipfix and element & 0x8000:
            if at + 4 > len(data):
                return None
            enterprise = _u16(data, at) << 16 | _u16(data, at + 2)
            element &= 0x7FFF
            at += 4
        fields.append((e.meaning(enterprise, element), size))
    return fields, at


def parse_templates(data: bytes, *, ipfix: bool, options: bool) -> Parsed:
    """The templates of one set, its four-byte header taken off."""
    parsed = Parsed({})
    at = 0
    # RFC 7011 3.3.1: what is left and shorter than the smallest template is padding.
    while at + 4 <= len(data):
        number, count = _u16(data, at), _u16(data, at + 2)
        if number < 256:
            if not any(data[at:]) or number == 0:
                break
            if ipfix and count == 0:
                # RFC 7011 8.1: an id of 2 or 3 without fields withdraws all templates of that kind.
                at += 4
                continue
            parsed.wrong = f"template number {number}"
            break
        if count == 0 and ipfix:
            parsed.found[number] = None
            at += 4
            continue
        at += 4
        if options:
            if at + 2 > len(data):
                parsed.wrong = "an options template is cut"
                break
            second = _u16(data, at)
            at += 2
            # RFC 3954 6.1: lengths of scopes and options in bytes; RFC 7011 3.4.2.2: fields in all, and scopes among them.
            count, scopes = (count, second) if ipfix else ((count + second) // 4, count // 4)
        else:
            scopes = 0
        if count > limits.MAX_TEMPLATE_FIELDS:
            parsed.wrong = f"a template of {count} fields"
            break
        got = _read_fields(data, at, count, ipfix=ipfix)
        if got is None:
            parsed.wrong = "a template is cut"
            break
        fields, at = got
        if not ipfix:
            # RFC 3954 6.1: scope field types are numbers of their own (1 system, 2 interface, ...), not elements.
            fields[:scopes] = [(e.SKIP, size) for _, size in fields[:scopes]]
        template = _template(fields, options=options)
        if template is None:
            parsed.wrong = "a template without length"
            break
        parsed.found[number] = template
    return parsed


def flatten(templates: list[Template]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Templates for the kernel: where each one's fields begin (n + 1), and all fields (meaning, length)."""
    begins = np.cumsum([0] + [len(t.fields) for t in templates]).astype(np.int64)
    fields = np.array([f for t in templates for f in t.fields], dtype=np.int64).reshape(-1, 2)
    return begins, fields


@kernel
def _number(buffer: NDArray[np.uint8], at: Int, size: Int) -> Int:
    """A big-endian number: of more than 8 bytes the last 8, as 63 bits."""
    value: Int = 0
    for k in range(max(at, at + size - 8), at + size):
        value = (value & 0x7FFFFFFFFFFFFF) << 8 | np.int64(buffer[k])
    return value


@kernel
def _signed(buffer: NDArray[np.uint8], at: Int) -> Int:
    """Eight bytes as int64."""
    top = np.int64(buffer[at])
    value: Int = top - 256 if top >= 128 else top
    for k in range(at + 1, at + 8):
        value = value << 8 | np.int64(buffer[k])
    return value


@kernel
def _ntp_ns(buffer: NDArray[np.uint8], at: Int, size: Int) -> Int:
    """A time of RFC 7011 6.1.9: seconds since 1900 (after February 2036 since then) and their fraction."""
    if size != 8:
        return -1
    seconds, fraction = _number(buffer, at, 4), _number(buffer, at + 4, 4)
    seconds += 0 if seconds >= 0x80000000 else 0x100000000
    return (seconds - _NTP_TO_UNIX_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)


@kernel
def _ns(value: Int, unit_ns: Int) -> Int:
    """`value` units in ns; -1 where no time of this world is so long."""
    return value * unit_ns if value <= _LONGEST_NS // unit_ns else -1


@kernel
def read_sets(
    buffer: NDArray[np.uint8], sets: NDArray[np.int64], begins: NDArray[np.int64], fields: NDArray[np.int64], out: Records,
    offset: NDArray[np.int64],
) -> Int:  # fmt: skip
    """Read the records of `sets` (SET_FIELDS, n), which lie inside `buffer`, into `out` (WIDE, room) and where each begins into
    `offset`; returns how many. `out` comes as one_way.empty gives it, scratch columns -1."""
    count = 0
    for s in range(sets.shape[1]):
        at, end = sets[S_AT, s], sets[S_END, s]
        template = sets[S_TEMPLATE, s]
        first, last = begins[template], begins[template + 1]
        export_ns, boot_ns = sets[S_EXPORT_NS, s], sets[S_BOOT_NS, s]
        whole = True
        while whole and at < end and count < out.shape[1]:
            start_of_record = at
            duration = -1
            start, finish, observed = -1, -1, -1
            uptime_start, uptime_end = -1, -1
            boot = boot_ns
            for k in range(first, last):
                meaning, size = fields[k, 0], fields[k, 1]
                if size == VARIABLE:
                    # RFC 7011 section 7: one byte of length, or 255 and two bytes.
                    if at >= end:
                        whole = False
                        break
                    size = np.int64(buffer[at])
                    at += 1
                    if size == 255:
                        if at + 2 > end:
                            whole = False
                            break
                        size = np.int64(buffer[at]) << 8 | np.int64(buffer[at + 1])
                        at += 2
                if at + size > end:
                    whole = False
                    break
                if meaning == e.SKIP:
                    at += size
                    continue
                if meaning == e.V6_SRC or meaning == e.V6_DST:
                    if size == 16:
                        hi, lo = _signed(buffer, at), _signed(buffer, at + 8)
                        # An all-zero IPv6 address beside an IPv4 one is an empty place in a template for both.
                        if (hi != 0 or lo != 0) or out[VERSION, count] == 0:
                            side = SRC_HI if meaning == e.V6_SRC else DST_HI
                            out[side, count] = hi
                            out[side + 1, count] = lo
                            out[VERSION, count] = 6
                    at += size
                    continue
                value = _number(buffer, at, size)
                at += size
                if meaning >= e.EITHER:
                    field = meaning - e.EITHER
                    out[field, count] = value & 0xFF | max(out[field, count], 0)
                elif meaning >= e.ELSE:
                    field = meaning - e.ELSE
                    if out[field, count] <= 0:
                        out[field, count] = value
                elif meaning >= e.SET:
                    out[meaning - e.SET, count] = value
                elif meaning == e.V4_SRC or meaning == e.V4_DST:
                    if size == 4 and (value != 0 or out[VERSION, count] != 6):
                        side = SRC_HI if meaning == e.V4_SRC else DST_HI
                        out[side, count] = 0
                        out[side + 1, count] = V4_MAPPED | value
                        out[VERSION, count] = 4
                elif meaning == e.UPTIME_START:
                    uptime_start = value
                elif meaning == e.UPTIME_END:
                    uptime_end = value
                elif meaning == e.MILLIS_START:
                    start = _ns(value, 1_000_000)
                elif meaning == e.MILLIS_END:
                    finish = _ns(value, 1_000_000)
                elif meaning == e.SECONDS_START:
                    start = _ns(value, 1_000_000_000)
                elif meaning == e.SECONDS_END:
                    finish = _ns(value, 1_000_000_000)
                elif meaning == e.NTP_START:
                    start = _ntp_ns(buffer, at - size, size)
                elif meaning == e.NTP_END:
                    finish = _ntp_ns(buffer, at - size, size)
                elif meaning == e.BEFORE_START:
                    start = export_ns - max(_ns(value, 1000), 0)
                elif meaning == e.BEFORE_END:
                    finish = export_ns - max(_ns(value, 1000), 0)
                elif meaning == e.OBSERVED_MILLIS:
                    observed = _ns(value, 1_000_000)
                elif meaning == e.OBSERVED_SECONDS:
                    observed = _ns(value, 1_000_000_000)
                elif meaning == e.BOOT_MILLIS:
                    boot = _ns(value, 1_000_000)
                elif meaning == e.DURATION_MILLIS:
                    duration = _ns(value, 1_000_000)
                elif meaning == e.DURATION_MICROS:
                    duration = _ns(value, 1000)
                elif meaning == e.ICMP_BOTH:
                    if out[PROTO, count] == 0 or out[PROTO, count] == 1 or out[PROTO, count] == 58:
                        if value != 0 or out[X_ICMP, count] < 0:
                            out[X_ICMP, count] = value & 0xFFFF
                elif meaning == e.ICMP_TYPE:
                    out[X_ICMP, count] = (value & 0xFF) << 8 | max(out[X_ICMP, count], 0) & 0xFF
                elif meaning == e.ICMP_CODE:
                    out[X_ICMP, count] = max(out[X_ICMP, count], 0) & 0xFF00 | value & 0xFF
                elif meaning == e.SAMPLER:
                    out[X_SAMPLER, count] = value
                elif meaning == e.SAMPLING_EVERY:
                    out[SAMPLING, count] = max(value, 1)
                elif meaning == e.SAMPLING_TAKEN:
                    out[X_TAKEN, count] = value
                elif meaning == e.SAMPLING_SPACE:
                    out[X_SPACE, count] = value
                elif meaning == e.SAMPLING_POPULATION:
                    out[X_POPULATION, count] = value
                elif meaning == e.FIREWALL_EVENT:
                    out[DENIED, count] = 1 if value == 3 else out[DENIED, count]
                elif meaning == e.FORWARDING:
                    out[DENIED, count] = 1 if size == 1 and value >> 6 == 2 else out[DENIED, count]
                elif meaning == e.BIFLOW:
                    if value == 1 or value == 2:
                        out[INITIATOR, count] = value - 1
                elif meaning == e.FIRST_FLAGS:
                    out[X_FIRST, count] = value & 0xFF
                elif meaning == e.FIRST_FLAGS_BACK:
                    out[X_FIRST_BACK, count] = value & 0xFF
            if not whole:
                break
            # RFC 3954: sysUptime wraps after 49.7 days; the shorter way round is the right one.
            if boot != -1:
                uptime = (export_ns - boot) // 1_000_000
                if uptime_start >= 0 and start < 0:
                    start = export_ns - (((uptime - uptime_start + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * 1_000_000
                if uptime_end >= 0 and finish < 0:
                    finish = export_ns - (((uptime - uptime_end + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * 1_000_000
            if start < 0 and finish >= 0:
                start = finish - duration if duration >= 0 else finish
            if finish < 0 and start >= 0:
                finish = start + duration if duration >= 0 else max(start, observed)
            if start < 0:
                start = observed if observed >= 0 else export_ns
                finish = start
            out[START, count] = start
            out[END, count] = max(finish, start)
            out[X_SET, count] = s
            offset[count] = start_of_record
            count += 1
            # RFC 7011 3.3.1: padding is shorter than any record.
            if at == start_of_record:
                break
    return count


def room_for(sets: NDArray[np.int64], templates: list[Template]) -> int:
    """More records than `sets` can hold."""
    smallest = np.array([t.min_bytes for t in templates], dtype=np.int64)
    return int(((sets[S_END] - sets[S_AT]) // smallest[sets[S_TEMPLATE]]).sum())


def wide(n: int) -> Records:
    """Room for `n` records with their scratch columns."""
    out = np.full((WIDE, n), -1, dtype=np.int64)
    out[:FIELDS] = empty(n)
    return out


def settle(out: Records) -> None:
    """Turn what scratch columns say into fields of the record: ICMP, who began."""
    out[PROTO] &= 0xFF
    out[[SPORT, DPORT]] &= 0xFFFF
    out[VLAN] = np.where(out[VLAN] > 0, out[VLAN] & 0xFFF, -1)
    out[TTL] = np.where(out[TTL] > 0, out[TTL] & 0xFF, -1)
    for field in (PKTS, BYTES, REPLY_PKTS, REPLY_BYTES):
        np.minimum(out[field], MAX_COUNT, out=out[field])
    # Half a reply is a reply: NSEL gives bytes of both sides, packets only since ASA 9.
    for field, other in ((REPLY_PKTS, REPLY_BYTES), (REPLY_BYTES, REPLY_PKTS)):
        out[field] = np.where((out[field] < 0) & (out[other] >= 0), np.minimum(out[other], 1), out[field])
    icmp = (out[PROTO] == 1) | (out[PROTO] == 58)
    told = icmp & (out[X_ICMP] >= 0)
    # Where the element is there but zero, and the port is not, the port tells (exporters that fill templates for all protocols).
    both = np.where(told & ((out[X_ICMP] > 0) | (out[DPORT] == 0)), out[X_ICMP], out[DPORT])
    out[SPORT][icmp] = (both >> 8 & 0xFF)[icmp]
    out[DPORT][icmp] = (both & 0xFF)[icmp]
    for field in (FLAGS, REPLY_FLAGS):
        # Some exporters leave the flags out: no TCP segment is without any.
        out[field][(out[PROTO] != 6) | (out[field] == 0)] = -1
    first, back = out[X_FIRST], out[X_FIRST_BACK]
    for field, seen in ((FLAGS, first), (REPLY_FLAGS, back)):
        out[field] = np.where(seen >= 0, np.maximum(out[field], 0) | np.maximum(seen, 0), out[field])
    tells = (out[PROTO] == 6) & (out[INITIATOR] < 0) & (out[REPLY_PKTS] >= 0)
    # Flags of the first packets: a SYN alone comes from who began, a SYN-ACK from who did not.
    out[INITIATOR][tells & (first & 0x12 == 0x02) & (first >= 0)] = 0
    out[INITIATOR][tells & (first & 0x12 == 0x12) & (first >= 0) & (back & 0x12 == 0x02)] = 1


def sampling_of(out: Records) -> NDArray[np.int64]:
    """One packet in so many, as an options record says it in one of three ways; 0 where it does not say."""
    taken, space, population = out[X_TAKEN], out[X_SPACE], out[X_POPULATION]
    every = np.where(out[SAMPLING] > 1, out[SAMPLING], 0)
    with np.errstate(divide="ignore"):
        # RFC 5477: systematic count-based sampling takes samplingPacketInterval packets and leaves out samplingPacketSpace;
        # random n-out-of-N takes samplingSize out of samplingPopulation.
        systematic = np.where((taken > 0) & (space >= 0), (taken + space) // np.maximum(taken, 1), 0)
        random = np.where((taken > 0) & (population > 0), population // np.maximum(taken, 1), 0)
    return np.maximum(np.maximum(every, systematic), random)
