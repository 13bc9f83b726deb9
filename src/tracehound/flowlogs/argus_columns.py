"""In: bytes of an Argus file. Out: its flow records as rows of joining.py, and as rows of argus_layout.py where more is wanted of them.
Never here: how a record's bytes are laid out (argus_records.py), which rules hold (argus_rules.py), words.

One kernel does all of it, a record at a time: the record's row of argus_layout.py stays in the nearest cache."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import joining as j
from tracehound.flowlogs.argus_layout import (
    AFLOW,
    APP,
    BEGIN,
    BLOCK,
    BYTES,
    ESTABLISHED,
    EVENT,
    FAR,
    FIN,
    FIN_ACK,
    FINISH,
    FLAGS,
    HI,
    ICMP,
    ICMP_CODE,
    ICMP_NODE,
    ICMP_TYPE,
    KEY,
    KEY_ARP,
    KEY_ETHERNET,
    KEY_IPV4,
    KEY_IPV6,
    KEY_MATRIX,
    KEY_NONE,
    KEY_WLAN,
    LO,
    MAR,
    METER,
    NET,
    NET_TCP_INITIAL,
    NET_TCP_PERFORMANCE,
    NET_TCP_STATUS,
    NETFLOW,
    NORMAL_CLOSE,
    NUMBER,
    PKTS,
    PORT,
    PROTO,
    RESET,
    SAW_SYN,
    SAW_SYN_SENT,
    STATUS,
    TCP_BYTES,
    TTL,
    VLAN,
)
from tracehound.flowlogs.argus_records import (
    GOOD,
    V4_MAPPED,
    Rows,
    Words,
    begin_row,
    copy_row,
    next_record,
    read_management,
    read_record,
    u8,
)
from tracehound.flowlogs.argus_rules import settle
from tracehound.flowlogs.reader import PART
from tracehound.flows.key import icmp_counterpart
from tracehound.kernels import Bool, Int, kernel

SPORT: Final = j.FIELDS
"""Beyond joining's fields: port as the record has it, -1 where it has none."""
DPORT: Final = j.FIELDS + 1
WIDTH: Final = j.FIELDS + 2

# Places of `tally`.
DROPPED: Final = 0  # packets that the probe's machine dropped
STRANGE: Final = 1  # records that tell of no flow
TIMELESS: Final = 2  # records without a time
TALLIES: Final = 3

_HARDWARE: Final = 48
_CLOSING: Final = RESET | FIN | FIN_ACK | NORMAL_CLOSE
assert ESTABLISHED & _CLOSING == 0


@kernel
def payload(row: Rows, end: Int) -> Int:
    """Payload of one side: counted by the meter, or by the TCP model; -1 where neither was asked to."""
    if row[METER] == 0:
        return -1
    if row[METER] == 4:
        return row[APP + end]
    if row[PKTS + end] == 0:
        return 0
    if row[PROTO] != 6:
        return -1
    if row[BLOCK + end]:
        return row[TCP_BYTES + end]
    # Without PUSH no stack sends the last of its data (RFC 9293, 3.9.1): SYN, ACK and RST alone carried none.
    if (row[NET] == NET_TCP_INITIAL or row[NET] == NET_TCP_STATUS) and not row[FLAGS + end] & 8:
        return 0
    return -1


@kernel
def start_of(row: Rows) -> Int:
    """Section 7.2: the earlier start of the sides that have a time."""
    if row[BEGIN] == 0 or row[BEGIN + 1] == 0:
        return row[BEGIN] + row[BEGIN + 1]
    return min(row[BEGIN], row[BEGIN + 1])


@kernel
def end_of(row: Rows) -> Int:
    if row[FINISH] == 0 or row[FINISH + 1] == 0:
        return row[FINISH] + row[FINISH + 1]
    return max(row[FINISH], row[FINISH + 1])


@kernel
def write_input(row: Rows, out: NDArray[np.int64]) -> None:
    """A settled row as a record of joining.py. `out` is int64[WIDTH]."""
    out[:] = -1
    key, proto = row[KEY], row[PROTO]
    ip = key == KEY_IPV4 or key == KEY_IPV6
    out[j.I_START] = start_of(row)
    out[j.I_END] = max(out[j.I_START], end_of(row))
    out[j.I_PROTO] = proto if ip else -1
    version = 0
    if key == KEY_IPV4 or key == KEY_ARP:
        version = 4
    elif key == KEY_IPV6:
        version = 6
    elif key == KEY_MATRIX:
        version = 4 if row[HI] == 0 and row[LO] >> 32 == V4_MAPPED >> 32 else 6
    elif key == KEY_ETHERNET or key == KEY_WLAN:
        version = _HARDWARE
    out[j.I_VERSION] = version
    ported = ip and (proto == 6 or proto == 17 or proto == 1 or proto == 58 or proto == 132)
    for end in range(2):
        out[j.I_HI + end] = row[HI + end]
        out[j.I_LO + end] = row[LO + end]
        out[j.I_PORT + end] = max(row[PORT + end], 0) if ported else 0
        if ported:
            out[SPORT + end] = row[PORT + end]
        if row[METER]:
            out[j.I_PKTS + end] = row[PKTS + end] if row[PKTS + end] <= limits.MAX_LOG_COUNTER else -1
            out[j.I_BYTES + end] = row[BYTES + end] if row[BYTES + end] <= limits.MAX_LOG_COUNTER else -1
        sent = payload(row, end)
        out[j.I_PAYLOAD + end] = sent if sent <= limits.MAX_LOG_COUNTER else -1
    if ip and (proto == 1 or proto == 58) and 0 <= row[PORT] <= 255:
        answer = icmp_counterpart(proto, row[PORT])
        if answer >= 0:
            out[j.I_PORT + 1] = answer
    tcp = ip and proto == 6
    net = row[NET]
    told = tcp and (net == NET_TCP_INITIAL or net == NET_TCP_STATUS or net == NET_TCP_PERFORMANCE)
    out[j.I_OPENS] = out[j.I_CLOSES] = 0
    out[j.I_CERTAIN] = 0 if tcp else 1
    if told:
        status, flags = row[STATUS], row[FLAGS]
        out[j.I_FLAGS] = flags
        out[j.I_FLAGS + 1] = row[FLAGS + 1]
        opens = flags & 2 > 0 and status & SAW_SYN > 0
        # SYNs and nothing else from the originator: as many tries as packets.
        out[j.I_SYNS] = row[PKTS] if flags == 2 else (1 if opens else 0)
        out[j.I_OPENS] = 1 if opens else 0
        out[j.I_CLOSES] = 1 if status & _CLOSING else 0
        out[j.I_CERTAIN] = 1 if status & (SAW_SYN | SAW_SYN_SENT) else 0
    out[j.I_JOINS] = PART
    out[j.I_ICMP_VERSION] = 0
    if row[ICMP] >= 0:
        out[j.I_ICMP_TYPE] = row[ICMP_TYPE]
        out[j.I_ICMP_CODE] = row[ICMP_CODE]
        out[j.I_ICMP_HI] = 0
        out[j.I_ICMP_LO] = V4_MAPPED | row[ICMP_NODE]
        out[j.I_ICMP_VERSION] = 4
    out[j.I_TTL] = row[TTL]
    if row[VLAN] >= 0:
        out[j.I_VLAN] = row[VLAN] & 0xFFF
    out[j.I_RECORD] = row[NUMBER]


@kernel
def read_columns(
    w: Words, length: Int, base: Int, number: Int, absent: Rows, scratch: Rows, known: NDArray[np.bool_], correct: Bool,
    out: NDArray[np.int64], rows: Rows, tally: NDArray[np.int64],
) -> tuple[Int, Int, Int, Int]:
    """Flow records of the first `length` bytes into `out`, as many as it has room for, and into `rows` if that has room for them.

    scratch  int64[argus_layout.WIDTH], to work in
    tally    int64[TALLIES], counted up
    Returns (bytes consumed, rows filled, number of the last record, GOOD | CUT | NO_RECORD): CUT where the last record is not
    whole, NO_RECORD where no record begins at the bytes consumed."""
    at = np.int64(0)
    count = 0
    verdict = GOOD
    keep = rows.shape[0] >= out.shape[0]
    while count < out.shape[0]:
        at, size, verdict = next_record(w, at, length)
        if size == 0:
            break
        number += 1
        kind = u8(w, at) & 0xF0
        if kind == MAR:
            copy_row(absent, scratch)
            read_management(w, at, size, scratch)
            tally[DROPPED] += max(scratch[BYTES + 1], 0)
        elif kind == FAR or kind == NETFLOW or kind == AFLOW:
            begin_row(w, at, base, number, absent, scratch)
            read_record(w, at, size, scratch, keep)
            if scratch[KEY] == KEY_NONE:
                tally[STRANGE] += 1
            else:
                settle(scratch, known, correct)
                write_input(scratch, out[count])
                if out[count, j.I_START] == 0:
                    tally[TIMELESS] += 1
                if keep:
                    copy_row(scratch, rows[count])
                count += 1
        elif kind == EVENT:
            tally[STRANGE] += 1
        at += size
    return at, count, number, verdict
