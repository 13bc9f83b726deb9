"""In: nothing. Out: the row that stands for one open flow, and the table of open flows as one value.
Never here: what moves the state (assemble.py) or what it means (tcp_outcome.py).

An open flow is a row of WIDTH int64 columns: one array means one type in the kernels (they compile in seconds, not minutes),
and one flow lies in neighbouring cache lines. A finished flow is a column of `Closed`: from there on whole columns are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

HISTORY_BYTES: Final = 40
"""Letters of history kept; Zeek's log-scaled letters make longer ones very rare."""

# A pair is two columns, COLUMN + end; end 0 is the sender of the flow's first packet. What every packet reads and writes comes
# first, in few cache lines; what only the state machine needs, from KEPT on, is left out of a finished flow's record.
_PAIR: Final = 2
HASH: Final = 0
PROTO: Final = 1
ONE_WAY: Final = 2
ORIG: Final = 3
HI: Final = 4  # pair: address, upper 64 bits, as int64
LO: Final = 6  # pair
PORT: Final = 8  # pair: port; ICMP: type, and counterpart or code
LAST: Final = 10
END: Final = 11
LAST_PACKET: Final = 12
FLOW_ID: Final = 13
PKTS: Final = 14  # pair: packets
BYTES: Final = 16  # pair: IP bytes
FLAGS: Final = 18  # pair: TCP flags or-ed
STATE: Final = 20  # pair: endpoint state
SHUT: Final = 22  # pair: this end has closed
SEEN: Final = 24  # pair: history letters already written, as bits
LAST_REL: Final = 26  # pair, TCP: end of the last byte sent, relative to the SYN, 64 bits wide
LAST_SEQ: Final = 28  # pair: LAST_REL as sequence number
ACK_REL: Final = 30  # pair: highest byte of this end that the peer acknowledged
ACK_SEQ: Final = 32  # pair: ACK_REL as sequence number
DELIVERED: Final = 34  # pair: payload up to here is in the capture without a hole
FINS: Final = 36  # pair: FIN seen
FIRST_SEEN: Final = 38
STRETCHES: Final = 39  # out-of-order stretches of payload that are remembered, of both ends
PAYLOAD: Final = 40  # pair: payload bytes (not TCP)
BEFORE: Final = 42  # pair: endpoint state before STATE
SYN_ACK: Final = 44  # pair: SYN-ACK seen from this end
VERSION: Final = 46
SYNS: Final = 47
REASON: Final = 48
TTL: Final = 49
IP_ID: Final = 50
VLAN: Final = 51
FIRST_PACKET: Final = 52
SYN_SEQ: Final = 53
SYN_WINDOW: Final = 54
SYN_OPTIONS: Final = 55
MISSED: Final = 56
ICMP: Final = 57
ICMP_HI: Final = 58
ICMP_LO: Final = 59
ICMP_TYPE: Final = 60
ICMP_CODE: Final = 61
HISTORY_LEN: Final = 62
START: Final = 63
TUNNEL: Final = 64
HISTORY: Final = 65  # HISTORY_BYTES letters, packed
KEPT: Final = HISTORY + HISTORY_BYTES // 8
PARTIAL_START: Final = KEPT
START_SEQ: Final = KEPT + 1  # pair: sequence number of the SYN
HIST_SYN: Final = START_SEQ + _PAIR  # pair: position of the last SYN in the history
HIST_FIN: Final = HIST_SYN + _PAIR  # pair: ... FIN
HIST_RST: Final = HIST_FIN + _PAIR  # pair: ... RST
FIN_REL: Final = HIST_RST + _PAIR  # pair: position of the FIN
AGAIN: Final = FIN_REL + _PAIR  # pair: retransmissions
AGAIN_AT: Final = AGAIN + _PAIR  # pair: count at which the next T is written
ZERO: Final = AGAIN_AT + _PAIR  # pair: zero windows
ZERO_AT: Final = ZERO + _PAIR
GAPS: Final = ZERO_AT + _PAIR  # pair: gaps
GAPS_AT: Final = GAPS + _PAIR
RANGES: Final = 4
"""Out-of-order stretches of TCP payload that are remembered an end."""
RANGE_FROM: Final = GAPS_AT + _PAIR  # RANGES columns for end 0, then as many for end 1
RANGE_TO: Final = RANGE_FROM + 2 * RANGES
LINE: Final = 8
"""Columns in a cache line."""
WIDTH: Final = -(-(RANGE_TO + 2 * RANGES) // LINE) * LINE

# Endpoint states (Zeek's names). numpy numbers, so that a kernel that takes one is compiled once, not once a literal.
INACTIVE: Final = np.int64(0)
SYN_SENT: Final = np.int64(1)
SYN_ACK_SENT: Final = np.int64(2)
PARTIAL: Final = np.int64(3)
ESTABLISHED: Final = np.int64(4)
CLOSED: Final = np.int64(5)
RESET: Final = np.int64(6)

REASONS: Final[tuple[str, ...]] = ("first_packet", "syn", "syn_ack", "port", "message")

# Places in FlowState.clock.
NOW: Final = 0
NEXT_ID: Final = 1
OPEN: Final = 2
CLOSED_ROWS: Final = 3
DISORDER: Final = 4
EVICTED: Final = 5
CLOCK_FIELDS: Final = 6

Rows = NDArray[np.int64]
"""Open flows: (slots, WIDTH)."""
Closed = NDArray[np.int64]
"""Records of finished flows: (KEPT, n). In memory each record's fields lie side by side, as they were written."""
Flat = NDArray[np.int64]
"""Rows as one dimension, for kernels: an index is then one addition and one check."""
FEWEST_TO_SWEEP: Final = 8192
"""Open flows that are never too many: their rows fit a second-level cache nearly."""
PACKETS_AT_ONCE: Final = 16_384
"""Packets that the kernel takes in one call: as many flows can end in it."""
Number = TypeVar("Number", np.int64, np.uint64)


def empty_rows(slots: int) -> Rows:
    """Rows of zeros, each at the beginning of a cache line."""
    room = np.zeros(slots * WIDTH + LINE, dtype=np.int64)
    skip = -(room.ctypes.data // 8) % LINE
    return room[skip : skip + slots * WIDTH].reshape(slots, WIDTH)


def _first_rows() -> Rows:
    return empty_rows(1024)


@dataclass(slots=True)
class FlowState:
    """All open flows of one chain of capture files.

    rows    int64 (slots, WIDTH); the slots in use are those that `index` names
    free    stack of unused slots; the last clock[OPEN] entries are in use
    index   open-addressing hash table of slots, -1 empty
    closing int64 (PACKETS_AT_ONCE, KEPT): records that the kernel writes; one buffer for all batches
    sweep_above  open flows beyond which it is worth while to look for those whose time is over
    clock   int64[CLOCK_FIELDS]: latest packet time (the network clock), next flow_id, open flows, ...
    """

    rows: Rows = field(default_factory=_first_rows)
    free: NDArray[np.int32] = field(default_factory=lambda: np.arange(1023, -1, -1, dtype=np.int32))
    index: NDArray[np.int32] = field(default_factory=lambda: np.full(4096, -1, dtype=np.int32))
    closing: Rows = field(default_factory=lambda: np.empty((PACKETS_AT_ONCE, KEPT), dtype=np.int64))
    clock: NDArray[np.int64] = field(default_factory=lambda: np.zeros(CLOCK_FIELDS, dtype=np.int64))
    sweep_above: int = FEWEST_TO_SWEEP


def at_end(closed: NDArray[Number], column: int, end: NDArray[np.int64]) -> NDArray[Number]:
    """One of a pair of columns for each finished flow: that of the given end (0 or 1)."""
    picked: NDArray[Number] = np.where(end == 0, closed[column], closed[column + 1])
    return picked
