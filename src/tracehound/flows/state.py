"""In: nothing. Out: the row that stands for one open flow, and the table of open flows as one value.
Never here: what moves the state (assemble.py) or what it means (tcp_outcome.py).

A row is WIDTH int64 columns: one array means one type in the kernels (they compile in seconds, not minutes), and one flow
lies in neighbouring cache lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

HISTORY_BYTES: Final = 40
"""Letters of history kept; Zeek's log-scaled letters make longer ones very rare."""

# Two columns each: COLUMN + end. End 0 is the sender of the flow's first packet.
HI: Final = 0  # address, upper 64 bits, as int64
LO: Final = 2  # address, lower 64 bits
PORT: Final = 4  # port; ICMP: type, and counterpart or code
PKTS: Final = 6  # packets
BYTES: Final = 8  # IP bytes
PAYLOAD: Final = 10  # payload bytes (not TCP)
LAST_REL: Final = 12  # TCP: end of the last byte sent, relative to the SYN, 64 bits wide
ACK_REL: Final = 14  # highest byte of this end that the peer acknowledged
DELIVERED: Final = 16  # payload up to here is in the capture without a hole
HIST_SYN: Final = 18  # position of the last SYN in the history
HIST_FIN: Final = 20  # ... FIN
HIST_RST: Final = 22  # ... RST
FIN_REL: Final = 24  # position of the FIN
START_SEQ: Final = 26  # sequence number of the SYN
LAST_SEQ: Final = 28  # LAST_REL as sequence number
ACK_SEQ: Final = 30  # ACK_REL as sequence number
AGAIN: Final = 32  # retransmissions
AGAIN_AT: Final = 34  # count at which the next T is written
ZERO: Final = 36  # zero windows
ZERO_AT: Final = 38
GAPS: Final = 40  # gaps
GAPS_AT: Final = 42
STATE: Final = 44  # endpoint state
BEFORE: Final = 46  # endpoint state before that
SHUT: Final = 48  # this end has closed
SEEN: Final = 50  # history letters already written, as bits
FLAGS: Final = 52  # TCP flags or-ed
FINS: Final = 54  # FIN seen
SYN_ACK: Final = 56  # SYN-ACK seen from this end
# Out-of-order stretches of TCP payload: RANGES columns an end.
RANGES: Final = 4
RANGE_FROM: Final = 58
RANGE_TO: Final = 66
# One column each.
START: Final = 74
END: Final = 75
LAST: Final = 76
FLOW_ID: Final = 77
FIRST_PACKET: Final = 78
LAST_PACKET: Final = 79
MISSED: Final = 80
ICMP_HI: Final = 81
ICMP_LO: Final = 82
ICMP: Final = 83
ICMP_TYPE: Final = 84
ICMP_CODE: Final = 85
SYNS: Final = 86
SYN_SEQ: Final = 87
SYN_WINDOW: Final = 88
SYN_OPTIONS: Final = 89
HASH: Final = 90
VLAN: Final = 91
IP_ID: Final = 92
TTL: Final = 93
VERSION: Final = 94
PROTO: Final = 95
ORIG: Final = 96
ONE_WAY: Final = 97
REASON: Final = 98
PARTIAL_START: Final = 99
FIRST_SEEN: Final = 100
HISTORY_LEN: Final = 101
HISTORY: Final = 102  # HISTORY_BYTES letters, packed
WIDTH: Final = 107

# Endpoint states (Zeek's names). numpy numbers, so that a kernel that takes one is compiled once, not once a literal.
INACTIVE: Final = np.int64(0)
SYN_SENT: Final = np.int64(1)
SYN_ACK_SENT: Final = np.int64(2)
PARTIAL: Final = np.int64(3)
ESTABLISHED: Final = np.int64(4)
CLOSED: Final = np.int64(5)
RESET: Final = np.int64(6)

REASONS: Final[tuple[str, ...]] = ("first_packet", "syn", "syn_ack", "port")

# Places in FlowState.clock.
NOW: Final = 0
NEXT_ID: Final = 1
OPEN: Final = 2
CLOSED_ROWS: Final = 3
DISORDER: Final = 4
EVICTED: Final = 5
CLOCK_FIELDS: Final = 6

Rows = NDArray[np.int64]
"""(n, WIDTH)"""
Flat = NDArray[np.int64]
"""The same as one dimension, for kernels: an index is then one addition and one check."""
Number = TypeVar("Number", np.int64, np.uint64)


def _first_rows() -> Rows:
    return np.zeros((1024, WIDTH), dtype=np.int64)


@dataclass(slots=True)
class FlowState:
    """All open flows of one chain of capture files.

    rows    int64 (slots, WIDTH); the slots in use are those that `index` names
    free    stack of unused slots; the last clock[OPEN] entries are in use
    index   open-addressing hash table of slots, -1 empty
    clock   int64[CLOCK_FIELDS]: latest packet time (the network clock), next flow_id, open flows, ...
    """

    rows: Rows = field(default_factory=_first_rows)
    free: NDArray[np.int32] = field(default_factory=lambda: np.arange(1023, -1, -1, dtype=np.int32))
    index: NDArray[np.int32] = field(default_factory=lambda: np.full(4096, -1, dtype=np.int32))
    clock: NDArray[np.int64] = field(default_factory=lambda: np.zeros(CLOCK_FIELDS, dtype=np.int64))
    swept_at_ns: int = 0


def no_rows() -> Rows:
    return np.empty((0, WIDTH), dtype=np.int64)


def at_end(rows: NDArray[Number], column: int, end: NDArray[np.int64]) -> NDArray[Number]:
    """Column of the given end (0 or 1) of each row."""
    return np.where(end == 0, rows[:, column], rows[:, column + 1])
