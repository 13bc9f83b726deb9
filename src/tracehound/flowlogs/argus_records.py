"""In: bytes of an Argus file, versions 3 and 5. Out: one row (argus_layout.py) a record, as the probe stored it: framing, flow keys,
times, counters, protocol state. Never here: rules about what a record means (argus_rules.py).

The format is described in argus' own headers (argus_def.h, argus_out.h); it has no published specification. A record is a list of
data specific records (DSRs), each with its length: every read is bounded by the DSR's end, and that by the record's."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flowlogs.argus_layout import (
    ACK_BYTES,
    ACK_DATA,
    ACTIVE_MEAN,
    ACTIVE_SD,
    AGR,
    APP,
    ASN,
    BASE,
    BEGIN,
    BLOCK,
    BYTES,
    CAUSE,
    COUNTRY,
    ENCAPS,
    ENCAPS_QUALIFIER,
    FINISH,
    FLAGS,
    FRAGMENT,
    HI,
    HIGH_SEQ,
    ICMP,
    ICMP_ASN,
    ICMP_CODE,
    ICMP_NODE,
    ICMP_TYPE,
    IDLE_MEAN,
    IDLE_SD,
    INTERFACE_AT,
    IP_ID,
    IP_OPTIONS,
    IPATTR,
    JITTER,
    KEY,
    KEY_ARP,
    KEY_ETHERNET,
    KEY_EXTRA,
    KEY_IPV4,
    KEY_IPV6,
    KEY_ISIS,
    KEY_MATRIX,
    KEY_OTHER,
    KEY_QUALIFIER,
    KEY_RARP,
    KEY_WLAN,
    LABEL_AT,
    LABEL_SIZE,
    LABELS,
    LO,
    MAC,
    MAC_QUALIFIER,
    MAR,
    MAX_SIZE,
    METER,
    MIN_SIZE,
    MPLS,
    NET,
    NET_FRAGMENT,
    NET_ICMP,
    NET_ICMP_STATE,
    NET_QUALIFIER,
    NET_TCP_INITIAL,
    NET_TCP_PERFORMANCE,
    NET_TCP_STATUS,
    NET_WORDS,
    NUMBER,
    OFFSET,
    OPTIONS,
    PAIRS,
    PKTS,
    PORT,
    PROTO,
    RETRANS,
    REVERSED,
    SENSOR_AT,
    SENSOR_KIND,
    SENSOR_SIZE,
    SEQ,
    SHIFT,
    STATUS,
    STROKES,
    SYN_ACK,
    TCP_BYTES,
    TCP_STATE,
    TOS,
    TTL,
    TYPE,
    USER_AT,
    USER_SIZE,
    VERSION,
    VLAN,
    VLAN_QUALIFIER,
    WIDTH,
    WIN_BYTES,
    WINDOW,
)
from tracehound.kernels import Bool, Int, kernel

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]
"""The file in words: everything in it is aligned to 32 bits, and a word is read with one check of bounds instead of four. Places are
counted in bytes all the same."""
Rows = NDArray[np.int64]
"""(n, WIDTH)."""

COOKIES: Final[dict[bytes, str]] = {bytes.fromhex("e5712dcb"): "3", bytes.fromhex("e57150cb"): "5"}
COOKIE_OF_ARGUS_2: Final = bytes.fromhex("e5617acb")
V4_MAPPED: Final = 0xFFFF00000000
TIME_UNSEEN: Final = -0x10000001
"""0xEFFFFFFF as a signed number: seconds of a probe that saw no time."""



def words_of(buffer: Bytes, length: int) -> Words:
    """The bytes as words in the machine's order; up to three bytes at the end are left out."""
    return buffer[: length & ~3].view(">u4").astype(np.uint32)


GOOD: Final = np.int64(0)
CUT: Final = np.int64(1)
NO_RECORD: Final = np.int64(2)


@kernel
def u8(w: Words, at: Int) -> Int:
    return np.int64(w[at >> 2]) >> (24 - ((at & 3) << 3)) & 0xFF


@kernel
def u16(w: Words, at: Int) -> Int:
    """16 bits at an even place."""
    return np.int64(w[at >> 2]) >> (16 - ((at & 2) << 3)) & 0xFFFF


@kernel
def u32(w: Words, at: Int) -> Int:
    """32 bits at a place divisible by four: all of the format's are."""
    return np.int64(w[at >> 2])


@kernel
def i32(w: Words, at: Int) -> Int:
    v = np.int64(w[at >> 2])
    return v - 0x100000000 if v >= 0x80000000 else v


@kernel
def le32(w: Words, at: Int) -> Int:
    """32 bits that the probe forgot to convert."""
    v = np.int64(w[at >> 2])
    return v >> 24 | v >> 8 & 0xFF00 | (v & 0xFF00) << 8 | (v & 0xFF) << 24


@kernel
def u48(w: Words, at: Int) -> Int:
    return u16(w, at) << 32 | u16(w, at + 2) << 16 | u16(w, at + 4)


@kernel
def u64(w: Words, at: Int) -> Int:
    """64 bits as int64, wrapped where the first bit is set."""
    return i32(w, at) * 0x100000000 + u32(w, at + 4)


@kernel
def time_ns(w: Words, at: Int, unit: Int) -> Int:
    """Seconds and fraction, both signed as ra reads them; 0 = unset. `unit` is the fraction's length in ns."""
    seconds = i32(w, at)
    if seconds == 0 or seconds == TIME_UNSEEN:
        return 0
    fraction = min(i32(w, at + 4), 1_000_000_000 // unit - 1)
    return seconds * 1_000_000_000 + fraction * unit


@kernel
def read_key(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The FLOW DSR, sections 6.3 and 7.1: who talks with whom. `row` is int64[WIDTH]."""
    subtype = u8(w, at + 1)
    reverse = subtype & 0x40 != 0
    kind = subtype & 0x3F
    qualifier = u8(w, at + 2)
    family = qualifier & 0x1F
    row[KEY_QUALIFIER] = qualifier
    row[KEY] = KEY_OTHER
    if kind == 0x01 and family == 0x01 and size >= 20:
        row[KEY] = KEY_IPV4
        row[LO] = V4_MAPPED | u32(w, at + 4)
        row[LO + 1] = V4_MAPPED | u32(w, at + 8)
        proto = u8(w, at + 12)
        row[PROTO] = proto
        row[KEY_EXTRA] = u16(w, at + 16)
        if proto == 50:
            row[KEY_EXTRA] = u32(w, at + 16)
        if qualifier & FRAGMENT:
            row[KEY_EXTRA] = u16(w, at + 18)
            if proto == 6 or proto == 17:
                row[PORT] = 0
                row[PORT + 1] = 0
        elif proto == 1:
            row[PORT] = u8(w, at + 14)
            row[PORT + 1] = u8(w, at + 15)
        elif proto == 6 or proto == 17 or proto == 132:
            row[PORT] = u16(w, at + 14)
            row[PORT + 1] = u16(w, at + 16)
        if reverse:
            row[LO], row[LO + 1] = row[LO + 1], row[LO]
            if proto != 1:
                row[PORT], row[PORT + 1] = row[PORT + 1], row[PORT]
    elif kind == 0x01 and family == 0x02 and size >= 44:
        row[KEY] = KEY_IPV6
        for end in range(2):
            row[HI + end] = u64(w, at + 4 + 16 * end)
            row[LO + end] = u64(w, at + 12 + 16 * end)
        proto = u8(w, at + 36)
        row[PROTO] = proto
        row[KEY_EXTRA] = u32(w, at + 40)
        if proto == 58 and not qualifier & FRAGMENT:
            row[PORT] = u8(w, at + 40)
            row[PORT + 1] = u8(w, at + 41)
            row[KEY_EXTRA] = u16(w, at + 42)
        elif proto == 6 or proto == 17 or proto == 132:
            # Of a fragment these are its identification: kept, as ra does, for it tells the datagrams apart.
            row[PORT] = u16(w, at + 40)
            row[PORT + 1] = u16(w, at + 42)
        if reverse:
            row[HI], row[HI + 1] = row[HI + 1], row[HI]
            row[LO], row[LO + 1] = row[LO + 1], row[LO]
            if proto != 58:
                row[PORT], row[PORT + 1] = row[PORT + 1], row[PORT]
    elif kind == 0x03 and family == 0x01 and size >= 12:
        # Addresses of a layer-3 matrix were never converted to network order.
        row[KEY] = KEY_MATRIX
        first, second = (1, 0) if reverse else (0, 1)
        row[LO + first] = V4_MAPPED | le32(w, at + 4)
        row[LO + second] = V4_MAPPED | le32(w, at + 8)
    elif kind == 0x03 and family == 0x02 and size >= 36:
        row[KEY] = KEY_MATRIX
        first, second = (1, 0) if reverse else (0, 1)
        row[HI + first], row[LO + first] = u64(w, at + 4), u64(w, at + 12)
        row[HI + second], row[LO + second] = u64(w, at + 20), u64(w, at + 28)
    elif kind == 0x06 and (family == 0x04 or family == 0x05) and size >= 20:
        row[KEY] = KEY_ARP if family == 0x04 else KEY_RARP
        if family == 0x04:
            row[LO] = V4_MAPPED | u32(w, at + 12)
            row[LO + 1] = V4_MAPPED | u32(w, at + 16)
            # The addresses stay; everything else of the record belongs to the other end (argus_rules.STORED_REPLY_FIRST).
            row[REVERSED] = 3 if reverse else 0
        else:
            hardware = u8(w, at + 8)
            if hardware == 6 and size >= 28:
                row[LO + 1] = u48(w, at + 16)
                row[LO] = u48(w, at + 22)
    elif kind == 0x01 and (family == 0x03 or family == 0x08) and size >= 20:
        row[KEY] = KEY_ETHERNET if family == 0x03 else KEY_WLAN
        row[LO + 1] = u48(w, at + 4)
        row[LO] = u48(w, at + 10)
        if family == 0x03:
            row[PROTO] = u16(w, at + 16)
            row[PORT] = u8(w, at + 19)
            row[PORT + 1] = u8(w, at + 18)
    elif family == 0x0A and size >= 24:
        row[KEY] = KEY_ISIS
        row[KEY_EXTRA] = u32(w, at + 4)
        row[LO] = u48(w, at + 8)
        row[LO + 1] = u48(w, at + 14)


@kernel
def read_times(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The TIME DSR, section 6.2: up to four times. The length is trusted, not the shape bits."""
    subtype, qualifier = u8(w, at + 1), u8(w, at + 2)
    unit = 1 if qualifier == 0x19 or qualifier == 0x1B else 1000
    relative_unit = 1 if qualifier == 0x1B else 1000
    words = size >> 2
    bits = subtype >> 3 & 0xF
    if bits & 0b0101 == 0:
        # Form A: one start, one end.
        begin = time_ns(w, at + 4, unit) if size >= 12 else 0
        finish = begin
        if size >= 20:
            finish = time_ns(w, at + 12, unit)
        elif size >= 16 and begin:
            finish = begin + u32(w, at + 12) * 1000
        row[BEGIN] = begin if begin else finish
        row[FINISH] = finish if finish else begin
        return
    # Form B: a bit each for src start, src end, dst start, dst end; an end without its start is ignored, but takes its place.
    present: Int = 0
    for k in range(4):
        present += bits >> k & 1
    absolute = words >= 1 + 2 * present
    first = 0
    place = at + 4
    met = 0
    for k in range(4):
        if not bits >> k & 1:
            continue
        value = 0
        if absolute or met == 0:
            if place + 8 <= at + size:
                value = time_ns(w, place, unit)
            place += 8
            first = value if met == 0 else first
        else:
            if place + 4 <= at + size and first:
                value = first + i32(w, place) * relative_unit
            place += 4
        met += 1
        target = (BEGIN if k & 1 == 0 else FINISH) + (k >> 1)
        if k & 1 == 1 and not bits >> (k - 1) & 1:
            continue
        row[target] = value
    for end in range(2):
        if row[FINISH + end] == 0:
            row[FINISH + end] = row[BEGIN + end]
        if row[BEGIN + end] > row[FINISH + end]:
            row[BEGIN + end], row[FINISH + end] = row[FINISH + end], row[BEGIN + end]


@kernel
def read_meter(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The METER DSR, section 6.4: packets, bytes and payload of each direction."""
    subtype, qualifier = u8(w, at + 1), u8(w, at + 2) & 0xF
    if subtype & 0x01:
        fields = 2
        row[METER] = 1
    elif subtype & 0x04:
        fields = 3
        row[METER] = 4
    else:
        return
    if qualifier < 1 or qualifier > 12:
        return
    # ra reads no counters of these two without payload, and no probe writes them.
    if fields == 2 and (qualifier == 5 or qualifier == 9):
        return
    width = 1 << ((qualifier - 1) & 3)
    begin, stop = (1, 2) if qualifier >= 9 else ((0, 1) if qualifier >= 5 else (0, 2))
    place = at + 4
    for end in range(begin, stop):
        for field in range(fields):
            if place + width > at + size:
                return
            value: Int = 0
            if width == 1:
                value = u8(w, place)
            elif width == 2:
                value = u16(w, place)
            elif width == 4:
                value = u32(w, place)
            else:
                value = max(u64(w, place), 0)
            place += width
            row[PKTS + 2 * field + end] = value


@kernel
def read_network(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The NETWORK DSR, section 6.5: what the probe knows of the transport protocol."""
    subtype = u8(w, at + 1)
    row[NET] = subtype
    row[NET_WORDS] = size >> 2
    row[NET_QUALIFIER] = u8(w, at + 2)
    if size < 8:
        return
    row[STATUS] = le32(w, at + 4) if subtype == NET_FRAGMENT else u32(w, at + 4)
    if subtype == NET_TCP_INITIAL and size >= 20:
        row[BASE] = u32(w, at + 8)
        row[OPTIONS] = u32(w, at + 12)
        row[WINDOW] = u16(w, at + 16)
        row[FLAGS] = u8(w, at + 18)
        row[SHIFT] = u8(w, at + 19)
    elif subtype == NET_TCP_STATUS and size >= 12:
        row[FLAGS] = u8(w, at + 8)
        row[FLAGS + 1] = u8(w, at + 9)
    elif subtype == NET_TCP_PERFORMANCE and size >= 24:
        row[TCP_STATE] = u32(w, at + 8)
        row[OPTIONS] = u32(w, at + 12)
        row[SYN_ACK] = u32(w, at + 16)
        row[ACK_DATA] = u32(w, at + 20)
        # Version 5 adds the maximum segment size; the qualifier says so.
        block = 52 if row[NET_QUALIFIER] == 2 else 48
        for end in range(2):
            p = at + 24 + block * end
            if p + 48 > at + size:
                break
            row[BLOCK + end] = 1
            row[BASE + end] = u32(w, p + 12)
            row[HIGH_SEQ + end] = u32(w, p + 16)
            row[TCP_BYTES + end] = u32(w, p + 28)
            row[RETRANS + end] = u32(w, p + 32)
            row[ACK_BYTES + end] = u32(w, p + 36)
            row[WIN_BYTES + end] = u32(w, p + 40)
            row[WINDOW + end] = u16(w, p + 44)
            row[FLAGS + end] = u8(w, p + 46)
            row[SHIFT + end] = u8(w, p + 47)
    elif subtype == NET_ICMP_STATE:
        row[NET_ICMP] = u16(w, at + 4)


@kernel
def read_attributes(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The IPATTR DSR, section 6.13: TTL, TOS, identification, options."""
    qualifier = u8(w, at + 2)
    row[IPATTR] = qualifier
    place = at + 4
    for end in range(2):
        if qualifier >> end & 1:
            if place + 4 > at + size:
                return
            row[TTL + end] = u8(w, place)
            row[TOS + end] = u8(w, place + 1)
            row[IP_ID + end] = u16(w, place + 2)
            place += 4
        if qualifier >> (2 + end) & 1:
            if place + 4 > at + size:
                return
            row[IP_OPTIONS + end] = u32(w, place)
            place += 4


@kernel
def read_jitter(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The JITTER DSR, section 6.12: times between packets, as bits of float32."""
    qualifier = u8(w, at + 2) & 0xF
    row[JITTER] = qualifier
    blocks: Int = 0
    for k in range(4):
        blocks += qualifier >> k & 1
    if blocks == 0:
        return
    words = ((size >> 2) - 1) // blocks
    if words < 5:
        return
    place = at + 4
    for k in range(4):
        if qualifier >> k & 1:
            mean = (ACTIVE_MEAN if k & 1 == 0 else IDLE_MEAN) + (k >> 1)
            row[mean] = u32(w, place + 8)
            row[mean + ACTIVE_SD - ACTIVE_MEAN] = u32(w, place + 12)
            place += 4 * words


@kernel
def read_sizes(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The PSIZE DSR, section 6.10."""
    stored = u8(w, at + 2) & 0xF
    begin, stop = (0, 0)
    if stored == 2:
        begin, stop = (0, 2)
    elif stored == 6:
        begin, stop = (0, 1)
    elif stored == 10:
        begin, stop = (1, 2)
    place = at + 4
    for end in range(begin, stop):
        if place + 4 > at + size:
            return
        row[MIN_SIZE + end] = u16(w, place)
        row[MAX_SIZE + end] = u16(w, place + 2)
        place += 4


@kernel
def read_transport(w: Words, at: Int, size: Int, row: Rows) -> None:
    """The TRANSPORT DSR, section 6.1: which probe, and its number of the record."""
    subtype, qualifier = u8(w, at + 1), u8(w, at + 2)
    if row[SENSOR_KIND] < 0:
        # Version 3: always an id and a number.
        if size >= 12:
            row[SENSOR_KIND] = qualifier & 0x2F
            row[SENSOR_AT] = at + 4
            row[SENSOR_SIZE] = 4
            row[SEQ] = u32(w, at + 8)
        return
    kind = qualifier & 0x2F
    place = at + 4
    if subtype & 0x01:
        width = 4
        if kind == 0x02 or kind == 0x22:
            width = 16
        elif kind == 0x03:
            width = 8
        if place + width > at + size:
            return
        row[SENSOR_KIND] = kind
        row[SENSOR_AT] = place
        row[SENSOR_SIZE] = width
        place += width
        if qualifier & 0x10 and place + 4 <= at + size:
            row[INTERFACE_AT] = place
            place += 4
    if subtype & 0x02 and place + 4 <= at + size:
        row[SEQ] = u32(w, place)


@kernel
def read_dsr(w: Words, at: Int, size: Int, row: Rows, details: Bool) -> None:
    """One DSR of `size` bytes, header included (section 5). Without `details` only what makes a flow."""
    kind = u8(w, at)
    if kind == 0x02:
        read_key(w, at, size, row)
    elif kind == 0x03:
        read_times(w, at, size, row)
    elif kind == 0x10:
        read_meter(w, at, size, row)
    elif kind == 0x30:
        read_network(w, at, size, row)
    elif kind == 0x48:
        read_attributes(w, at, size, row)
    elif kind == 0x34 and size >= 12:
        row[ICMP] = u8(w, at + 2)
        row[ICMP_TYPE] = u8(w, at + 4)
        row[ICMP_CODE] = u8(w, at + 5)
        row[ICMP_NODE] = u32(w, at + 8)
    elif kind == 0x40 and size >= 8:
        row[VLAN_QUALIFIER] = u8(w, at + 2)
        for end in range(2):
            if row[VLAN_QUALIFIER] >> end & 1:
                row[VLAN + end] = u16(w, at + 4 + 2 * end)
    elif not details:
        return
    elif kind == 0x01:
        read_transport(w, at, size, row)
    elif kind == 0x42 and size >= 16:
        row[MAC_QUALIFIER] = u8(w, at + 2)
        row[MAC + 1] = u48(w, at + 4)
        row[MAC] = u48(w, at + 10)
    elif kind == 0x44:
        row[MPLS] = u8(w, at + 1)
        place = at + 4
        for end in range(2):
            if row[MPLS] >> end & 1 and place + 4 <= at + size:
                row[LABELS + end] = u32(w, place) >> 12
                place += 4
    elif kind == 0x20 and size >= 12:
        row[ENCAPS_QUALIFIER] = u8(w, at + 2)
        row[ENCAPS] = u32(w, at + 4)
        row[ENCAPS + 1] = u32(w, at + 8)
    elif kind == 0x46:
        read_jitter(w, at, size, row)
    elif kind == 0x12:
        read_sizes(w, at, size, row)
    elif kind == 0x60 and size >= 8:
        row[AGR] = u32(w, at + 4)
    elif kind == 0x66:
        row[LABEL_AT] = at + 4
        row[LABEL_SIZE] = size - 4
    elif kind == 0x64 and size >= 8:
        row[COUNTRY] = u16(w, at + 4)
        row[COUNTRY + 1] = u16(w, at + 6)
    elif kind == 0x32 and size >= 12:
        row[ASN] = u32(w, at + 4)
        row[ASN + 1] = u32(w, at + 8)
        if size >= 16:
            row[ICMP_ASN] = u32(w, at + 12)
    elif kind == 0x54 and size >= 12:
        row[STROKES] = u32(w, at + 4)
        row[STROKES + 1] = u32(w, at + 8)
    elif kind == 0x50 and size >= 8 and u8(w, at + 1) & 0x80:
        end = 0 if u8(w, at + 1) & 0x10 else 1
        row[USER_AT + end] = at + 8
        row[USER_SIZE + end] = min(u16(w, at + 6), size - 8)


@kernel
def read_management(w: Words, at: Int, size: Int, row: Rows) -> None:
    """A management record, section 3, put where ra prints its fields (section 9.4)."""
    if size < 104:
        return
    row[BEGIN] = time_ns(w, at + 32, 1000)  # now
    row[FINISH] = time_ns(w, at + 24, 1000)
    row[SEQ] = u32(w, at + 20)
    row[PKTS] = max(u64(w, at + 48), 0)
    row[BYTES] = max(u64(w, at + 56), 0)
    row[PKTS + 1] = u32(w, at + 72)  # records
    row[BYTES + 1] = u32(w, at + 80)  # packets dropped by the kernel
    row[LO] = row[APP + 1] = u32(w, at + 84)  # queue
    row[LO + 1] = row[APP] = u32(w, at + 96)  # bufs
    row[PORT] = u32(w, at + 80)
    row[PORT + 1] = u32(w, at + 92)  # clients
    row[SENSOR_SIZE] = 4
    row[SENSOR_KIND] = u32(w, at + 4) >> 16 & 0xE0
    if u8(w, at) & 0xF == 3:
        row[SENSOR_AT] = at + 120 if u8(w, at + 1) >> 4 == 1 and size >= 124 else at + 8


ABSENT: Final = np.zeros(WIDTH, dtype=np.int64)
"""A row that says nothing: 0 for counts and flags, -1 for what may be absent."""
for _place in (
    PROTO, SENSOR_AT, INTERFACE_AT, SEQ, NET, NET_ICMP, ICMP, MAC_QUALIFIER, VLAN_QUALIFIER, MPLS, ENCAPS_QUALIFIER, IPATTR, JITTER,
    AGR, LABEL_AT, ICMP_ASN,
):  # fmt: skip
    ABSENT[_place] = -1
for _place in (
    PORT, MAC, VLAN, LABELS, MIN_SIZE, MAX_SIZE, TTL, TOS, IP_ID, ACTIVE_MEAN, ACTIVE_SD, IDLE_MEAN, IDLE_SD, USER_AT, ASN, STROKES,
):  # fmt: skip
    ABSENT[_place : _place + 2] = -1
assert ABSENT[:PAIRS].shape[0] == PAIRS


@kernel
def read_record(w: Words, at: Int, size: Int, row: Rows, details: Bool) -> None:
    """The DSRs of a flow record. `row` says nothing yet but for TYPE, VERSION, CAUSE, OFFSET and NUMBER."""
    place = at + 4
    stop = at + size
    while place + 4 <= stop:
        # Length rule of section 4: immediate, 16 bits, 8 bits.
        words: Int = 1
        if u8(w, place) & 0x80:
            words = 1
        elif u8(w, place + 1) & 0x80:
            words = u16(w, place + 2)
        else:
            words = u8(w, place + 3)
        if words == 0 or place + words * 4 > stop:
            return
        if not u8(w, place) & 0x80:
            read_dsr(w, place, words * 4, row, details)
        place += words * 4


@kernel
def next_record(w: Words, at: Int, length: Int) -> tuple[Int, Int, Int]:
    """Where the next record begins from `at` on, its bytes, and GOOD | CUT | NO_RECORD; 0 bytes at the end."""
    while True:
        if at + 4 > length:
            return at, np.int64(0), (GOOD if at == length else CUT)
        size = u16(w, at + 2) * 4
        if size > 0:
            break
        # Padding is zero; ra skips four bytes and tries again.
        if u8(w, at) != 0 or u8(w, at + 1) != 0:
            return at, np.int64(0), NO_RECORD
        at += 4
    kind, version = u8(w, at) & 0xF0, u8(w, at) & 0xF
    if (version != 3 and version != 5) or kind == 0 or (kind > 0x70 and kind != MAR):
        return at, np.int64(0), NO_RECORD
    if at + size > length:
        return at, np.int64(0), CUT
    return at, size, GOOD


@kernel
def copy_row(source: Rows, target: Rows) -> None:
    for place in range(source.shape[0]):
        target[place] = source[place]


@kernel
def begin_row(w: Words, at: Int, base: Int, number: Int, absent: Rows, row: Rows) -> None:
    """A row of the record at `at` that says nothing else yet."""
    copy_row(absent, row)
    row[TYPE] = u8(w, at) & 0xF0
    row[VERSION] = u8(w, at) & 0xF
    row[CAUSE] = u8(w, at + 1)
    row[OFFSET] = base + at
    row[NUMBER] = number
    if row[VERSION] == 3:
        row[SENSOR_KIND] = -1


def room(count: int) -> NDArray[Any]:
    """Rows for `count` records."""
    return np.empty((count, WIDTH), dtype=np.int64)
