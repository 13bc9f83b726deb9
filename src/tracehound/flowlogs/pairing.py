"""In: records of one direction each, in the order of a flow log (one_way.py). Out: flows of both directions: what a connection's
records add up to, src = originator and why. Never here: a format, or what the flows mean (flag_outcome.py).

Records of one 5-tuple belong together while no more than the idle time lies between them (limits.TCP_IDLE_NS, UDP_IDLE_NS): so the
two directions meet, and so do the pieces of a long connection that the exporter's active timeout cut. A new SYN behind the end of
what was there begins a new flow; SYNs alone that repeat within limits.ATTEMPT_MERGE_NS are one attempt.

Exporters send a record when its flow is over, so records do not come in order of their start. A flow waits
limits.PAIRING_WAIT_NS for its other direction; how many wait is bounded by limits.MAX_PAIRING_FLOWS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs.one_way import (
    BYTES,
    DENIED,
    DPORT,
    DST_HI,
    DST_LO,
    END,
    FLAGS,
    INITIATOR,
    PKTS,
    PROTO,
    RECORD,
    REPLY_BYTES,
    REPLY_FLAGS,
    REPLY_PKTS,
    SAMPLING,
    SPORT,
    SRC_HI,
    SRC_LO,
    START,
    TTL,
    VERSION,
    VLAN,
    Records,
)
from tracehound.flows.key import SERVER_PORTS, flow_hash
from tracehound.flows.state import REASONS
from tracehound.kernels import Bool, Int, kernel

# A row is one flow; a pair is two columns, COLUMN + end, end 0 being the sender of the first record.
R_HASH: Final = 0
R_PROTO: Final = 1
R_VERSION: Final = 2
R_HI: Final = 3  # pair
R_LO: Final = 5  # pair
R_PORT: Final = 7  # pair
R_START: Final = 9  # pair: NEVER where nothing of that direction was seen
R_END: Final = 11  # pair
R_PKTS: Final = 13  # pair
R_BYTES: Final = 15  # pair
R_FLAGS: Final = 17  # pair: or-ed; -1 = not one record of that direction says them
R_RECORDS: Final = 19  # pair: records of that direction
R_FIRST: Final = 21  # number of the first record
R_LAST: Final = 22
R_INITIATOR: Final = 23  # end that began as the exporter says; -1
R_VLAN: Final = 24
R_TTL: Final = 25  # pair
R_SAMPLING: Final = 27
R_DENIED: Final = 28
R_SYNS: Final = 29  # pair: packets of records that are SYNs and nothing else
R_LATEST: Final = 31  # end of whichever direction ended last
R_ID: Final = 32  # number of the flow, in order of first records
WIDTH: Final = 33

NEVER: Final = np.int64(2**62)
_FIN: Final = 1
_SYN: Final = 2
_RST: Final = 4
_ACK: Final = 16

Rows = NDArray[np.int64]
"""Flows: (n, WIDTH)."""


@dataclass(slots=True)
class PairState:
    """Flows that wait for their other direction or their next piece.

    rows, slots   the flows, and a hash table of their numbers (+ 1; 0 = free)
    count         rows in use
    clock_ns      the latest end of a record so far
    next_id       number that the next flow gets
    evicted       flows that had to be given up before their time"""

    rows: Rows = field(default_factory=lambda: np.zeros((1024, WIDTH), dtype=np.int64))
    slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4096, dtype=np.int64))
    count: int = 0
    clock_ns: int = -(2**62)
    next_id: int = 1
    evicted: int = 0


@kernel
def idle_ns(proto: Int) -> Int:
    return limits.TCP_IDLE_NS if proto == 6 else limits.UDP_IDLE_NS


@kernel
def _direction(rows: Rows, i: Int, records: Records, k: Int) -> Int:
    """0 if record k goes from the flow's first end to its second, 1 if back, -1 if it is of another flow."""
    if rows[i, R_PROTO] != records[PROTO, k] or rows[i, R_VERSION] != records[VERSION, k]:
        return -1
    for d in range(2):
        if (
            rows[i, R_LO + d] == records[SRC_LO, k]
            and rows[i, R_LO + 1 - d] == records[DST_LO, k]
            and rows[i, R_PORT + d] == records[SPORT, k]
            and rows[i, R_PORT + 1 - d] == records[DPORT, k]
            and rows[i, R_HI + d] == records[SRC_HI, k]
            and rows[i, R_HI + 1 - d] == records[DST_HI, k]
        ):
            return d
    return -1


@kernel
def _belongs(rows: Rows, i: Int, d: Int, records: Records, k: Int) -> Bool:
    """Whether record k continues flow i in direction d."""
    idle = idle_ns(records[PROTO, k])
    first = min(rows[i, R_START], rows[i, R_START + 1])
    if records[START, k] > rows[i, R_LATEST] + idle or records[END, k] < first - idle:
        return False
    if records[PROTO, k] == 6 and rows[i, R_RECORDS + d] > 0 and records[FLAGS, k] > 0 and rows[i, R_FLAGS + d] > 0:
        if records[FLAGS, k] & _SYN and rows[i, R_FLAGS + d] & _SYN and records[START, k] > rows[i, R_END + d]:
            # SYNs without anything else and without an answer: the same attempt, tried again.
            alone = rows[i, R_FLAGS + d] & (_ACK | _RST | _FIN) == 0 and rows[i, R_RECORDS + 1 - d] == 0
            return alone and records[START, k] - rows[i, R_END + d] <= limits.ATTEMPT_MERGE_NS
    return True


@kernel
def _add(rows: Rows, i: Int, d: Int, records: Records, k: Int) -> None:
    """Count record k into flow i."""
    flags = records[FLAGS, k]
    rows[i, R_START + d] = min(rows[i, R_START + d], records[START, k])
    rows[i, R_END + d] = max(rows[i, R_END + d], records[END, k])
    rows[i, R_LATEST] = max(rows[i, R_LATEST], records[END, k])
    rows[i, R_PKTS + d] += records[PKTS, k]
    rows[i, R_BYTES + d] += records[BYTES, k]
    rows[i, R_RECORDS + d] += 1
    if flags >= 0:
        rows[i, R_FLAGS + d] = flags | max(rows[i, R_FLAGS + d], 0)
        if flags & (_SYN | _ACK | _RST | _FIN) == _SYN:
            rows[i, R_SYNS + d] += records[PKTS, k]
    if records[REPLY_PKTS, k] > 0:
        back = 1 - d
        rows[i, R_START + back] = min(rows[i, R_START + back], records[START, k])
        rows[i, R_END + back] = max(rows[i, R_END + back], records[END, k])
        rows[i, R_PKTS + back] += records[REPLY_PKTS, k]
        rows[i, R_BYTES + back] += max(records[REPLY_BYTES, k], 0)
        rows[i, R_RECORDS + back] += 1
        if records[REPLY_FLAGS, k] >= 0:
            rows[i, R_FLAGS + back] = records[REPLY_FLAGS, k] | max(rows[i, R_FLAGS + back], 0)
    if records[INITIATOR, k] >= 0:
        rows[i, R_INITIATOR] = d if records[INITIATOR, k] == 0 else 1 - d
    if rows[i, R_VLAN] < 0:
        rows[i, R_VLAN] = records[VLAN, k]
    if rows[i, R_TTL + d] < 0:
        rows[i, R_TTL + d] = records[TTL, k]
    rows[i, R_SAMPLING] = max(rows[i, R_SAMPLING], records[SAMPLING, k])
    rows[i, R_DENIED] = max(rows[i, R_DENIED], records[DENIED, k])
    rows[i, R_FIRST] = min(rows[i, R_FIRST], records[RECORD, k])
    rows[i, R_LAST] = max(rows[i, R_LAST], records[RECORD, k])


@kernel
def _begin(rows: Rows, i: Int, key: Int, records: Records, k: Int, flow_id: Int) -> None:
    """Make row i the flow of record k."""
    rows[i, :] = 0
    rows[i, R_ID] = flow_id
    rows[i, R_HASH] = key
    rows[i, R_PROTO] = records[PROTO, k]
    rows[i, R_VERSION] = records[VERSION, k]
    rows[i, R_HI] = records[SRC_HI, k]
    rows[i, R_LO] = records[SRC_LO, k]
    rows[i, R_PORT] = records[SPORT, k]
    rows[i, R_HI + 1] = records[DST_HI, k]
    rows[i, R_LO + 1] = records[DST_LO, k]
    rows[i, R_PORT + 1] = records[DPORT, k]
    rows[i, R_FIRST] = records[RECORD, k]
    rows[i, R_INITIATOR] = -1
    rows[i, R_VLAN] = -1
    rows[i, R_LATEST] = -NEVER
    for d in range(2):
        rows[i, R_START + d] = NEVER
        rows[i, R_END + d] = -NEVER
        rows[i, R_FLAGS + d] = -1
        rows[i, R_TTL + d] = -1
    _add(rows, i, 0, records, k)


@kernel
def pair_records(
    records: Records, rows: Rows, slots: NDArray[np.int64], count: Int, done: Rows, flow_id: NDArray[np.int64], next_id: Int
) -> tuple[Int, Int, Int]:
    """Count every record into its flow, and write the flow's number into `flow_id`. Flows that a later one of the same 5-tuple
    replaces go to `done`. `rows` must have room for as many flows as there are records, `done` too, and `slots` (a power of two)
    be at least twice as large. Returns (rows in use, rows of `done`, next_id)."""
    mask = slots.size - 1
    finished = 0
    for k in range(records.shape[1]):
        key = flow_hash(
            records[SRC_HI, k], records[SRC_LO, k], records[SPORT, k],
            records[DST_HI, k], records[DST_LO, k], records[DPORT, k], records[PROTO, k],
        )  # fmt: skip
        slot = key & mask
        found, d = -1, -1
        while slots[slot] != 0:
            i = slots[slot] - 1
            if rows[i, R_HASH] == key:
                d = _direction(rows, i, records, k)
                if d >= 0:
                    found = i
                    break
            slot = (slot + 1) & mask
        if found < 0:
            slots[slot] = count + 1
            _begin(rows, count, key, records, k, next_id)
            count += 1
        elif _belongs(rows, found, d, records, k):
            _add(rows, found, d, records, k)
            flow_id[k] = rows[found, R_ID]
            continue
        elif records[END, k] < min(rows[found, R_START], rows[found, R_START + 1]):
            # A late record of a connection that is over: nothing else of it will come.
            _begin(done, finished, key, records, k, next_id)
            finished += 1
        else:
            done[finished, :] = rows[found, :]
            finished += 1
            _begin(rows, found, key, records, k, next_id)
        flow_id[k] = next_id
        next_id += 1
    return count, finished, next_id


@kernel
def _fill_slots(rows: Rows, count: Int, slots: NDArray[np.int64]) -> None:
    mask = slots.size - 1
    for i in range(count):
        slot = rows[i, R_HASH] & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = i + 1


def _keep(state: PairState, keep: NDArray[np.bool_]) -> None:
    kept = state.rows[: state.count][keep]
    state.rows[: kept.shape[0]] = kept
    state.count = kept.shape[0]


def _sweep(state: PairState) -> Rows:
    """Take out the flows that nothing more can belong to, and the oldest beyond the bound."""
    rows = state.rows[: state.count]
    latest = rows[:, R_LATEST]
    wait = np.where(rows[:, R_PROTO] == 6, limits.TCP_IDLE_NS, limits.UDP_IDLE_NS) + limits.PAIRING_WAIT_NS
    over = latest + wait < state.clock_ns
    excess = state.count - int(over.sum()) - limits.MAX_PAIRING_FLOWS
    if excess > 0:
        # A quarter more than must go, so that the next batch does not come back here at once.
        excess = min(excess + limits.MAX_PAIRING_FLOWS // 4, state.count - int(over.sum()))
        open_rows = np.flatnonzero(~over)
        oldest = open_rows[np.argpartition(latest[open_rows], excess - 1)[:excess]]
        over[oldest] = True
        state.evicted += excess
    if not over.any():
        return rows[:0].copy()
    done: Rows = rows[over].copy()
    _keep(state, ~over)
    return done


def pair(records: Records, state: PairState) -> tuple[Rows, NDArray[np.int64]]:
    """Count `records` into the flows of `state`. Returns the flows that are over, (n, WIDTH), and for every record the number of
    its flow (R_ID)."""
    finished = [np.zeros((0, WIDTH), dtype=np.int64)]
    flow_id = np.zeros(records.shape[1], dtype=np.int64)
    for begin in range(0, records.shape[1], limits.PAIRING_BATCH):
        part = slice(begin, begin + limits.PAIRING_BATCH)
        finished.append(_pair(np.ascontiguousarray(records[:, part]), state, flow_id[part]))
    return np.concatenate(finished), flow_id


def _pair(records: Records, state: PairState, flow_id: NDArray[np.int64]) -> Rows:
    n = records.shape[1]
    need = state.count + n
    if need > state.rows.shape[0]:
        rows = np.zeros((1 << (need - 1).bit_length(), WIDTH), dtype=np.int64)
        rows[: state.count] = state.rows[: state.count]
        state.rows = rows
    if need * 2 > state.slots.size:
        state.slots = np.zeros(1 << (need * 2 - 1).bit_length(), dtype=np.int64)
        _fill_slots(state.rows, state.count, state.slots)
    replaced = np.empty((n, WIDTH), dtype=np.int64)
    count, finished, next_id = pair_records(records, state.rows, state.slots, state.count, replaced, flow_id, state.next_id)
    state.count, state.next_id = int(count), int(next_id)
    state.clock_ns = max(state.clock_ns, int(records[END].max()))
    over = _sweep(state)
    if over.shape[0]:
        state.slots[:] = 0
        _fill_slots(state.rows, state.count, state.slots)
    return np.concatenate([replaced[: int(finished)], over])


def finish(state: PairState) -> Rows:
    """The log is over: every flow that is still open."""
    done = state.rows[: state.count].copy()
    state.count = 0
    state.slots[:] = 0
    return done


_REASON: Final = {name: code for code, name in enumerate(REASONS)}


def originators(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which end (0 or 1) of each flow is the originator, and why (codes into flows.state.REASONS).

    Flags are or-ed over a record, so a SYN-ACK shows as SYN and ACK on the server's side, and SYN and ACK are what a client's
    whole connection shows as well: the earlier side that shows a SYN is the client. Where both begin in the same instant (exporters
    count milliseconds) the ports decide, as they do where no SYN was seen and only the answer's port is one that servers use."""
    n = rows.shape[0]
    flags = [np.maximum(rows[:, R_FLAGS + d], 0) for d in (0, 1)]
    starts = [rows[:, R_START + d] for d in (0, 1)]
    pkts = [rows[:, R_PKTS + d] for d in (0, 1)]
    ports = [np.clip(rows[:, R_PORT + d], 0, 65535) for d in (0, 1)]
    tcp, udp = rows[:, R_PROTO] == 6, rows[:, R_PROTO] == 17
    kind = np.where(udp, 1, 0)
    ported = tcp | udp
    server = [SERVER_PORTS[kind, ports[d]] & ported for d in (0, 1)]
    low = [(ports[d] < 1024) & ported for d in (0, 1)]
    first = np.where(starts[1] < starts[0], 1, 0)
    tie = (starts[0] == starts[1]) & (starts[0] != NEVER)
    # The end whose port looks like a client's: 0, 1, or -1 where ports do not tell.
    by_port = np.full(n, -1, dtype=np.int64)
    for sign in (low, server):
        by_port[sign[1] & ~sign[0]] = 0
        by_port[sign[0] & ~sign[1]] = 1
    syn = [tcp & (flags[d] & _SYN > 0) for d in (0, 1)]
    pure = [syn[d] & (flags[d] & (_ACK | _FIN | _RST) == 0) for d in (0, 1)]
    # One packet with SYN and ACK is a SYN-ACK.
    answer = [syn[d] & (flags[d] & _ACK > 0) & (flags[d] & (_RST | _FIN) == 0) & (pkts[d] == 1) for d in (0, 1)]
    both_seen = (rows[:, R_RECORDS] > 0) & (rows[:, R_RECORDS + 1] > 0)

    told = rows[:, R_INITIATOR]
    rules: list[tuple[NDArray[np.bool_], NDArray[np.int64] | int, str]] = [
        (told >= 0, told, "message"),
        (pure[0] & ~pure[1], 0, "syn"),
        (pure[1] & ~pure[0], 1, "syn"),
        (answer[0] & ~answer[1], 1, "syn_ack"),
        (answer[1] & ~answer[0], 0, "syn_ack"),
        (both_seen & syn[0] & ~syn[1], 0, "syn"),
        (both_seen & syn[1] & ~syn[0], 1, "syn"),
        (syn[0] & syn[1] & ~tie, first, "syn"),
        (tie & (by_port >= 0), by_port, "port"),
        (~(syn[0] | syn[1]) & (server[0] != server[1]), by_port, "port"),
        (~both_seen & (by_port >= 0), by_port, "port"),
    ]
    conditions = [c for c, _, _ in rules]
    ends = np.select(conditions, [np.broadcast_to(np.asarray(e), (n,)) for _, e, _ in rules], default=first)
    reasons = np.select(conditions, [np.full(n, _REASON[r]) for _, _, r in rules], default=_REASON["first_packet"])
    return ends.astype(np.int64), reasons.astype(np.int64)
