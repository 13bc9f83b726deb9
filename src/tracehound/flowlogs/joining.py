"""In: records of one flow log as columns, in the order of the log. Out: flows: what the records of one conversation add up to, and
for each record the number of its flow. Never here: a format, text, or tables (flow_rows.py).

How far records belong together is said by each (reader.py: WHOLE, PART, ONE_WAY, MENTION). Intervals of one flow are added up while
no more than the idle time lies between them; both directions meet under one key; SYNs alone that repeat within
limits.ATTEMPT_MERGE_NS are one attempt, as in captures; a SYN behind what was there begins a new flow. Logs are written when a flow
is over, so records come out of order: a flow waits limits.PAIRING_WAIT_NS for what else belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs.reader import MENTION, PART, WHOLE
from tracehound.flows.key import flow_hash
from tracehound.kernels import Bool, Int, kernel

# -- one record: a row of FIELDS places, MISSING where the source does not tell -----------------------------------
I_START: Final = 0
I_END: Final = 1
I_PROTO: Final = 2
I_VERSION: Final = 3
I_HI: Final = 4  # pair: src, dst
I_LO: Final = 6  # pair
I_PORT: Final = 8  # pair; ICMP: type, and the type that answers or the code
I_PKTS: Final = 10  # pair
I_BYTES: Final = 12  # pair
I_PAYLOAD: Final = 14  # pair
I_FLAGS: Final = 16  # pair
I_SYNS: Final = 18
I_OPENS: Final = 19
I_CLOSES: Final = 20
I_CERTAIN: Final = 21
I_JOINS: Final = 22
I_OUTCOME: Final = 23
I_STATE: Final = 24
I_ICMP_TYPE: Final = 25
I_ICMP_CODE: Final = 26
I_ICMP_HI: Final = 27
I_ICMP_LO: Final = 28
I_ICMP_VERSION: Final = 29
I_TTL: Final = 30
I_VLAN: Final = 31
I_SERVICE: Final = 32
I_HISTORY: Final = 33
I_TUNNEL: Final = 34
I_RECORD: Final = 35
FIELDS: Final = 36

# -- one flow: a row; pairs by end, end 0 being the source of the first record --------------------------------------------
HASH: Final = 0
ID: Final = 1
PROTO: Final = 2
VERSION: Final = 3
HI: Final = 4  # pair
LO: Final = 6  # pair
PORT: Final = 8  # pair
PKTS: Final = 10  # pair; MISSING until some record tells
BYTES: Final = 12  # pair
PAYLOAD: Final = 14  # pair
FLAGS: Final = 16  # pair
SYNS: Final = 18  # pair
SIDE_START: Final = 20  # pair: first time that this end is known to have sent; NEVER
SIDE_END: Final = 22  # pair
TTL: Final = 24  # pair
START: Final = 26
END: Final = 27
JOINS: Final = 28  # the most telling kind of its records: MENTION only where there is nothing else
CERTAIN: Final = 29  # end that a record was sure of as the originator; MISSING
CLOSED: Final = 30
OUTCOME: Final = 31
STATE: Final = 32
ICMP_TYPE: Final = 33
ICMP_CODE: Final = 34
ICMP_HI: Final = 35
ICMP_LO: Final = 36
ICMP_VERSION: Final = 37
VLAN: Final = 38
SERVICE: Final = 39
HISTORY: Final = 40
TUNNEL: Final = 41
FIRST: Final = 42  # number of the first record
LAST: Final = 43
RECORDS: Final = 44
ANSWERS: Final = 45  # pair: records that told of packets of this end
WIDTH: Final = 47

NEVER: Final = np.int64(2**62)
_SYN: Final = 2
_FIN_RST_ACK: Final = 1 | 4 | 16

Rows = NDArray[np.int64]
"""(n, WIDTH)."""
Inputs = NDArray[np.int64]
"""(n, FIELDS): a record's fields are read together."""


@dataclass(slots=True)
class JoinState:
    """Flows of one chain of log files that wait for more of their records.

    rows, slots   the flows, and a hash table of their numbers (+ 1; 0 = free)
    count         rows in use
    clock_ns      the latest end of a record so far
    evicted       flows that had to be given up before their time"""

    rows: Rows = field(default_factory=lambda: np.zeros((1024, WIDTH), dtype=np.int64))
    slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4096, dtype=np.int64))
    count: int = 0
    clock_ns: int = -(2**62)
    evicted: int = 0


@kernel
def _side(rows: Rows, i: Int, records: Inputs, k: Int) -> Int:
    """The end of flow i that is the source of record k, or -1 if the record has another key."""
    if rows[i, PROTO] != records[k, I_PROTO] or rows[i, VERSION] != records[k, I_VERSION]:
        return -1
    for d in range(2):
        if (
            rows[i, LO + d] == records[k, I_LO]
            and rows[i, LO + 1 - d] == records[k, I_LO + 1]
            and rows[i, PORT + d] == records[k, I_PORT]
            and rows[i, PORT + 1 - d] == records[k, I_PORT + 1]
            and rows[i, HI + d] == records[k, I_HI]
            and rows[i, HI + 1 - d] == records[k, I_HI + 1]
        ):
            return d
    return -1


@kernel
def _silent(pkts: Int, size: Int, flags: Int) -> Bool:
    """Whether an end sent nothing: packets that nobody counted show as bytes or flags."""
    return pkts == 0 or (pkts < 0 and size <= 0 and flags <= 0)


@kernel
def _belongs(rows: Rows, i: Int, d: Int, records: Inputs, k: Int) -> Bool:
    """Whether record k, whose source is end d of flow i, is of the same conversation."""
    row = rows[i]
    tcp = records[k, I_PROTO] == 6
    idle = limits.TCP_IDLE_NS if tcp else limits.UDP_IDLE_NS
    if records[k, I_START] > row[END] + idle or records[k, I_END] < row[START] - idle:
        return False
    joins = records[k, I_JOINS]
    if joins == MENTION or row[JOINS] == MENTION:
        return True
    # SYNs and nothing else, without an answer: the attempt, tried again.
    flags = records[k, I_FLAGS]
    alone = (
        tcp
        and _silent(row[PKTS + 1 - d], row[BYTES + 1 - d], row[FLAGS + 1 - d])
        and _silent(records[k, I_PKTS + 1], records[k, I_BYTES + 1], records[k, I_FLAGS + 1])
        and (row[FLAGS + d] <= 0 or row[FLAGS + d] & _FIN_RST_ACK == 0)
        and (flags <= 0 or flags & _FIN_RST_ACK == 0)
        and row[OUTCOME] == records[k, I_OUTCOME]
        and records[k, I_START] - row[END] <= limits.ATTEMPT_MERGE_NS
        and row[START] - records[k, I_END] <= limits.ATTEMPT_MERGE_NS
    )
    if joins == WHOLE:
        return alone and (flags > 0 or row[STATE] >= 0 or row[OUTCOME] >= 0)
    if records[k, I_OPENS] > 0 and row[ANSWERS + d] > 0 and records[k, I_START] > row[SIDE_END + d]:
        # A SYN of an end that has sent already: another connection, unless it only tries again.
        return alone
    return True


@kernel
def _count(row: Rows, place: Int, value: Int) -> None:
    """Add what is told; what nobody tells stays MISSING."""
    if value >= 0:
        row[place] = value + max(row[place], 0)


@kernel
def _add(row: Rows, d: Int, records: Inputs, k: Int) -> None:
    """Count record k into the flow; d is the end that is its source."""
    for side in range(2):
        end = d if side == 0 else 1 - d
        pkts = records[k, I_PKTS + side]
        _count(row, PKTS + end, pkts)
        _count(row, BYTES + end, records[k, I_BYTES + side])
        if pkts > 0 and records[k, I_PAYLOAD + side] < 0 and row[ANSWERS + end] > 0:
            # A part of unknown payload makes the sum unknown.
            row[PAYLOAD + end] = -1
        elif row[ANSWERS + end] == 0 or row[PAYLOAD + end] >= 0:
            _count(row, PAYLOAD + end, records[k, I_PAYLOAD + side])
        flags = records[k, I_FLAGS + side]
        if flags >= 0:
            row[FLAGS + end] = flags | max(row[FLAGS + end], 0)
        if pkts > 0 or (pkts < 0 and side == 0):
            row[SIDE_START + end] = min(row[SIDE_START + end], records[k, I_START])
            row[SIDE_END + end] = max(row[SIDE_END + end], records[k, I_END])
            row[ANSWERS + end] += 1
    row[START] = min(row[START], records[k, I_START])
    row[END] = max(row[END], records[k, I_END])
    _count(row, SYNS + d, records[k, I_SYNS])
    row[JOINS] = min(row[JOINS], records[k, I_JOINS])
    if records[k, I_CERTAIN] > 0:
        row[CERTAIN] = d
    if records[k, I_CLOSES] > 0:
        row[CLOSED] = 1
    if row[TTL + d] < 0:
        row[TTL + d] = records[k, I_TTL]
    for place, source in (
        (OUTCOME, I_OUTCOME), (STATE, I_STATE), (HISTORY, I_HISTORY), (VLAN, I_VLAN), (SERVICE, I_SERVICE), (TUNNEL, I_TUNNEL),
    ):  # fmt: skip
        if row[place] < 0:
            row[place] = records[k, source]
    if row[ICMP_TYPE] < 0 and records[k, I_ICMP_TYPE] >= 0:
        row[ICMP_TYPE] = records[k, I_ICMP_TYPE]
        row[ICMP_CODE] = records[k, I_ICMP_CODE]
        row[ICMP_HI] = records[k, I_ICMP_HI]
        row[ICMP_LO] = records[k, I_ICMP_LO]
        row[ICMP_VERSION] = records[k, I_ICMP_VERSION]
    row[FIRST] = min(row[FIRST], records[k, I_RECORD])
    row[LAST] = max(row[LAST], records[k, I_RECORD])
    row[RECORDS] += 1


@kernel
def _begin(row: Rows, key: Int, records: Inputs, k: Int, flow_id: Int) -> None:
    """Make the row the flow of record k."""
    row[:] = -1
    row[HASH] = key
    row[ID] = flow_id
    row[PROTO] = records[k, I_PROTO]
    row[VERSION] = records[k, I_VERSION]
    for end in range(2):
        row[HI + end] = records[k, I_HI + end]
        row[LO + end] = records[k, I_LO + end]
        row[PORT + end] = records[k, I_PORT + end]
        row[SIDE_START + end] = NEVER
        row[SIDE_END + end] = -NEVER
        row[ANSWERS + end] = 0
    row[START] = NEVER
    row[END] = -NEVER
    row[JOINS] = MENTION
    row[CLOSED] = 0
    row[ICMP_VERSION] = 0
    row[FIRST] = NEVER
    row[RECORDS] = 0
    _add(row, 0, records, k)


@kernel
def join_records(
    records: Inputs, rows: Rows, slots: NDArray[np.int64], count: Int, done: Rows, flow_id: NDArray[np.int64], next_id: Int
) -> tuple[Int, Int, Int]:
    """Count every record into its flow, and write the flow's number into `flow_id`. Flows that a later one of the same key replaces
    go to `done`. `rows` and `done` must have room for as many flows as there are records, and `slots` (a power of two) be at
    least twice as large. Returns (rows in use, rows of `done`, next_id)."""
    mask = slots.size - 1
    finished = 0
    for k in range(records.shape[0]):
        key = flow_hash(
            records[k, I_HI], records[k, I_LO], records[k, I_PORT],
            records[k, I_HI + 1], records[k, I_LO + 1], records[k, I_PORT + 1], records[k, I_PROTO],
        )  # fmt: skip
        slot = key & mask
        found, d = -1, -1
        while slots[slot] != 0:
            i = slots[slot] - 1
            if rows[i, HASH] == key:
                d = _side(rows, i, records, k)
                if d >= 0:
                    found = i
                    break
            slot = (slot + 1) & mask
        if found < 0:
            slots[slot] = count + 1
            _begin(rows[count], key, records, k, next_id)
            count += 1
        elif _belongs(rows, found, d, records, k):
            _add(rows[found], d, records, k)
            flow_id[k] = rows[found, ID]
            continue
        elif records[k, I_END] < rows[found, START]:
            # A late record of a connection that is over: what is open goes on.
            _begin(done[finished], key, records, k, next_id)
            finished += 1
        else:
            for place in range(WIDTH):
                done[finished, place] = rows[found, place]
            finished += 1
            _begin(rows[found], key, records, k, next_id)
        flow_id[k] = next_id
        next_id += 1
    return count, finished, next_id


@kernel
def _fill_slots(rows: Rows, count: Int, slots: NDArray[np.int64]) -> None:
    mask = slots.size - 1
    slots[:] = 0
    for i in range(count):
        slot = rows[i, HASH] & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = i + 1


def _sweep(state: JoinState) -> Rows:
    """Take out the flows that nothing more can belong to, and the oldest beyond the bound."""
    rows = state.rows[: state.count]
    ends = rows[:, END]
    wait = np.where(rows[:, PROTO] == 6, limits.TCP_IDLE_NS, limits.UDP_IDLE_NS) + limits.PAIRING_WAIT_NS
    # A whole flow only waits for the attempt's repetition.
    wait = np.where(rows[:, JOINS] < PART, limits.ATTEMPT_MERGE_NS + limits.PAIRING_WAIT_NS, wait)
    over = ends + wait < state.clock_ns
    excess = state.count - int(over.sum()) - limits.MAX_PAIRING_FLOWS
    if excess > 0:
        # A quarter more than must go, so that the next batch does not come back here at once.
        excess = min(excess + limits.MAX_PAIRING_FLOWS // 4, state.count - int(over.sum()))
        open_rows = np.flatnonzero(~over)
        over[open_rows[np.argpartition(ends[open_rows], excess - 1)[:excess]]] = True
        state.evicted += excess
    done: Rows = rows[over].copy()
    if len(done):
        kept = rows[~over]
        state.rows[: len(kept)] = kept
        state.count = len(kept)
        _fill_slots(state.rows, state.count, state.slots)
    return done


def join(records: Inputs, state: JoinState, next_id: int) -> tuple[Rows, NDArray[np.int64], int]:
    """Count `records` into the flows of `state`. Returns the flows that are over, for every record the number of its flow, and
    the number that the next new flow gets."""
    finished = [np.zeros((0, WIDTH), dtype=np.int64)]
    flow_id = np.zeros(records.shape[0], dtype=np.int64)
    for begin in range(0, records.shape[0], limits.PAIRING_BATCH):
        part = records[begin : begin + limits.PAIRING_BATCH]
        n = part.shape[0]
        _make_room(state, state.count + n)
        done = np.empty((n, WIDTH), dtype=np.int64)
        count, over, next_id = join_records(
            part, state.rows, state.slots, state.count, done, flow_id[begin : begin + n], np.int64(next_id)
        )
        state.count, next_id = int(count), int(next_id)
        state.clock_ns = max(state.clock_ns, int(part[:, I_END].max()))
        finished += [done[: int(over)], _sweep(state)]
    return np.concatenate(finished), flow_id, next_id


def _make_room(state: JoinState, need: int) -> None:
    if need > state.rows.shape[0]:
        rows = np.zeros((1 << (need - 1).bit_length(), WIDTH), dtype=np.int64)
        rows[: state.count] = state.rows[: state.count]
        state.rows = rows
    if need * 2 > state.slots.size:
        state.slots = np.zeros(1 << (need * 2 - 1).bit_length(), dtype=np.int64)
        _fill_slots(state.rows, state.count, state.slots)


def finish(state: JoinState) -> Rows:
    """The log is over: every flow that is still open."""
    done: Rows = state.rows[: state.count].copy()
    state.count = 0
    state.slots[:] = 0
    return done
