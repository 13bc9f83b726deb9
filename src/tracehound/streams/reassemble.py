"""In: TCP packets of the flows that somebody wants to read, a batch at a time. Out: for each flow and direction its bytes in
order, with gaps named and the map from byte to packet. Never here: what the bytes say (protocols/).

Most of a capture is in order: rows are grouped per flow and direction with one sort, checked for contiguity by a kernel, and
their payload is gathered by another. Only a direction with disorder, overlap or loss takes the exact path
segment by segment. Where bytes arrive twice, the first arrival stays (as Zeek and the BSD stacks do); a second arrival that
differs is counted, because that is how detection is evaded (Ptacek and Newsham, 1998).

A hole is given up when the peer acknowledges bytes beyond it, when what waits for it exceeds its bounds, and when the flow
ends."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.kernels import Int, kernel
from tracehound.limits import (
    MAX_OVERLAP_WINDOW_BYTES,
    MAX_PENDING_PER_STREAM_BYTES,
    MAX_PENDING_STREAM_BYTES,
)
from tracehound.packets.batch import PacketBatch
from tracehound.streams.segment_map import SegmentMap

_SYN = 2
_RST = 4


class Segment(NamedTuple):
    """One TCP segment: sequence number of its first byte, captured bytes, bytes on the wire, packet and time."""

    seq: int
    data: bytes
    length: int
    packet_id: int
    ts_ns: int


class Chunk(NamedTuple):
    """The next bytes of one direction of a flow.

    offset      stream offset of data[0], counted from the first byte after the SYN (or the first byte seen)
    gap_before  bytes that are missing between the previous chunk and this one
    first_row   a packet of this batch that belongs to the chunk's flow and direction; -1 once the flow has ended
    """

    flow_id: int
    from_originator: bool
    data: bytes
    offset: int
    gap_before: int
    segments: SegmentMap
    first_row: int


@dataclass(slots=True)
class Direction:
    """One direction of one flow. next_seq is the sequence number expected next (None before the first segment)."""

    next_seq: int | None = None
    offset: int = 0
    pending: list[Segment] = field(default_factory=list)
    """What waits behind a hole, by sequence number; of equal numbers the first to come stands first."""
    pending_bytes: int = 0
    tail: bytes = b""
    gap: int = 0
    peer_ack: int | None = None


def _no_counts() -> dict[str, int]:
    return {"out of order": 0, "retransmitted": 0, "retransmitted with other bytes": 0, "gap bytes": 0}


@dataclass(slots=True)
class StreamState:
    """All directions being read, by flow_id * 2 + (0 originator, 1 responder), and what was met."""

    directions: dict[int, Direction] = field(default_factory=dict)
    first_seq: dict[int, int] = field(default_factory=dict)
    pending_bytes: int = 0
    counts: dict[str, int] = field(default_factory=_no_counts)
    differing: set[int] = field(default_factory=set)


@kernel
def gather(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], length: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    """Copy stretches of `buffer` one behind the other into `out`, which must hold them all."""
    at = np.int64(0)
    for i in range(offset.size):
        size = length[i]
        if size <= 0:
            continue
        if offset[i] < 0 or offset[i] + size > buffer.size or at + size > out.size:
            raise IndexError("a stretch outside of its buffer")
        # Unsigned, because an index that may count from the end keeps the loop from becoming a copy of many bytes at once.
        begin, to = np.uint64(offset[i]), np.uint64(at)
        for j in range(np.uint64(size)):
            out[to + j] = buffer[begin + j]
        at += size


def _ahead(a: int, b: int) -> int:
    """RFC 1982: how far sequence number a is ahead of b."""
    d = (a - b) & 0xFFFFFFFF
    return d - 0x100000000 if d >= 0x80000000 else d


def _differs(tail: bytes, end_seq: int, segment: Segment) -> bool:
    """Whether a repeated segment contradicts the delivered bytes that are still at hand."""
    begin = _ahead(segment.seq, end_seq) + len(tail)
    data = segment.data
    if begin < 0:
        data, begin = data[-begin:], 0
    old = tail[begin : begin + len(data)]
    return old != data[: len(old)]


class _Output:
    """Contiguous pieces collected into chunks."""

    def __init__(self, key: int, first_row: int) -> None:
        self.key = key
        self.first_row = first_row
        self.chunks: list[Chunk] = []
        self._data: list[bytes] = []
        self._starts: list[int] = []
        self._packets: list[int] = []
        self._ts: list[int] = []
        self._gap = 0

    def piece(self, d: Direction, data: bytes, segment: Segment) -> None:
        """The next bytes of the direction; a gap before them begins a new chunk."""
        if d.gap:
            self.flush()
            self._gap, d.gap = d.gap, 0
            d.offset += self._gap
        self._data.append(data)
        self._starts.append(d.offset)
        self._packets.append(segment.packet_id)
        self._ts.append(segment.ts_ns)
        d.offset += len(data)

    def flush(self) -> None:
        """End the chunk that is being collected."""
        if not self._data:
            return
        self.chunks.append(
            Chunk(
                self.key >> 1,
                not self.key & 1,
                b"".join(self._data),
                self._starts[0],
                self._gap,
                SegmentMap(self._starts, self._packets, self._ts),
                self.first_row,
            )
        )
        self._data, self._starts, self._packets, self._ts, self._gap = [], [], [], [], 0


def _accept(d: Direction, segment: Segment, out: _Output) -> None:
    """Take a segment that begins at or before next_seq and reaches beyond it."""
    assert d.next_seq is not None
    skip = -_ahead(segment.seq, d.next_seq)
    data = segment.data[skip:]
    if data:
        out.piece(d, data, segment)
        d.tail = (d.tail + data)[-MAX_OVERLAP_WINDOW_BYTES:]
    cut = segment.length - max(skip, len(segment.data))
    if cut > 0:
        # The capture kept less of this packet than was on the wire.
        d.gap += cut
        d.tail = b""
    d.next_seq = (segment.seq + segment.length) & 0xFFFFFFFF


def _drain(d: Direction, state: StreamState, out: _Output) -> None:
    """Deliver pending segments that have become contiguous."""
    while d.pending and d.next_seq is not None and _ahead(d.pending[0].seq, d.next_seq) <= 0:
        segment = d.pending.pop(0)
        d.pending_bytes -= len(segment.data)
        state.pending_bytes -= len(segment.data)
        _take(d, segment, state, out)


def _take(d: Direction, segment: Segment, state: StreamState, out: _Output) -> None:
    """The exact path: put one segment where it belongs."""
    if d.next_seq is None:
        d.next_seq = segment.seq
    distance = _ahead(segment.seq, d.next_seq)
    end = _ahead((segment.seq + segment.length) & 0xFFFFFFFF, d.next_seq)
    if distance > 0:
        state.counts["out of order"] += 1
        base = d.next_seq
        if d.pending and distance < _ahead(d.pending[-1].seq, base):
            insort_right(d.pending, segment, key=lambda s: _ahead(s.seq, base))
        else:
            d.pending.append(segment)
        d.pending_bytes += len(segment.data)
        state.pending_bytes += len(segment.data)
        return
    if distance < 0:
        if segment.length == 1 and end <= 0:
            # RFC 1122 4.2.3.6: a keep-alive may carry one garbage byte just before what is expected.
            return
        state.counts["retransmitted"] += 1
        if d.tail and _differs(d.tail, d.next_seq, segment):
            state.counts["retransmitted with other bytes"] += 1
            state.differing.add(out.key >> 1)
    if end > 0:
        _accept(d, segment, out)


def _skip_hole(d: Direction, state: StreamState, out: _Output) -> None:
    """Give up waiting: what lies between next_seq and the first pending segment is missing."""
    if not d.pending or d.next_seq is None:
        return
    hole = _ahead(d.pending[0].seq, d.next_seq)
    d.gap += max(0, hole)
    d.tail = b""
    state.counts["gap bytes"] += max(0, hole)
    d.next_seq = d.pending[0].seq
    _drain(d, state, out)


def _settle(d: Direction, state: StreamState, out: _Output) -> None:
    """Give up holes that will not be filled: acknowledged by the peer, or too much held for their sake. What is pending is in
    order."""
    while d.pending and d.next_seq is not None:
        beyond = d.peer_ack is not None and _ahead(d.peer_ack, d.pending[0].seq) > 0
        full = d.pending_bytes > MAX_PENDING_PER_STREAM_BYTES or state.pending_bytes > MAX_PENDING_STREAM_BYTES
        if not beyond and not full:
            return
        _skip_hole(d, state, out)


def _note_syns(packets: PacketBatch, assignment: Assignment, tcp: NDArray[np.bool_], state: StreamState) -> None:
    """Remember where each direction begins (RFC 9293 3.4: the first byte follows the SYN)."""
    rows = np.flatnonzero(tcp & ((packets.tcp_flags & _SYN) > 0))
    keys = assignment.flow_id[rows] * 2 + ~assignment.from_originator[rows]
    state.first_seq.update(zip(keys.tolist(), (packets.seq[rows] + np.uint32(1)).tolist(), strict=True))


class _Acks:
    """Acknowledgments of one direction in one batch, by packet."""

    __slots__ = ("_acks", "_at", "_rows")

    def __init__(self, packets: PacketBatch, rows: NDArray[np.int64]) -> None:
        self._rows: list[int] = rows.tolist()
        self._acks: list[int] = packets.ack[rows].tolist()
        self._at = 0

    def before(self, row: int, known: int | None) -> int | None:
        """The last one before a packet, packets being asked for in order; `known` where there is none."""
        while self._at < len(self._rows) and self._rows[self._at] < row:
            known = self._acks[self._at]
            self._at += 1
        return known


@kernel
def _survey(
    keys: NDArray[np.int64],
    rows: NDArray[np.int64],
    seq: NDArray[np.int64],
    length: NDArray[np.int64],
    held: NDArray[np.int64],
    starts: NDArray[np.int64],
    odd: NDArray[np.bool_],
    turns: NDArray[np.int64],
    first_turn: NDArray[np.int64],
) -> tuple[Int, Int]:
    """What lies in rows that are sorted by direction: where each direction begins, whether it has disorder, overlap or loss, and
    where the other direction of its flow takes over. The last four arguments must have room for all
    rows, and one more.

    turns        place where a stretch begins that the other direction does not interrupt, in order of arrival within a flow
    first_turn   by direction: the first of its flow's turns; those of the second direction of a flow are among them
    Returns how many directions and how many turns there are."""
    count, turn, i = np.int64(0), np.int64(0), np.int64(0)
    while i < keys.size:
        key = keys[i]
        middle, begin = i, i
        while middle < keys.size and keys[middle] == key:
            middle += 1
        end = middle
        if key & 1 == 0:
            while end < keys.size and keys[end] == key + 1:
                end += 1
        while begin < end:
            stop = middle if begin < middle else end
            starts[count] = begin
            first_turn[count] = turn
            strange = held[begin] != length[begin]
            for row in range(begin + 1, stop):
                if held[row] != length[row] or seq[row] != (seq[row - 1] + length[row - 1]) & 0xFFFFFFFF:
                    strange = True
            odd[count] = strange
            count += 1
            begin = stop
        one, other = i, middle
        while one < middle or other < end:
            if other >= end or (one < middle and rows[one] < rows[other]):
                turns[turn] = one
                while one < middle and (other >= end or rows[one] < rows[other]):
                    one += 1
            else:
                turns[turn] = other
                while other < end and (one >= middle or rows[other] <= rows[one]):
                    other += 1
            turn += 1
        i = end
    starts[count] = keys.size
    first_turn[count] = turn
    return count, turn


class Directions(NamedTuple):
    """The rows of a batch that carry bytes, by flow and direction; Python's own numbers, as each is used once or twice, and taking
    one out of an array costs more than that.

    packets, rows, seq, length   rows of the batch, sorted by direction, with sequence number and length
    whole, edges, ids, times     their bytes one behind the other, where each row's begin (one more at the end), packet and time
    keys, starts, odd            by direction: flow_id * 2 + (0 originator, 1 responder), its first place, and whether it needs the
                                 exact path; starts has one more at the end
    first, first_row, last_ack   by direction: first sequence number, first row, and what its last packet acknowledges
    turns, first_turn            as _survey gives them; turns has one more at the end"""

    packets: PacketBatch
    rows: NDArray[np.int64]
    seq: NDArray[np.int64]
    length: NDArray[np.int64]
    whole: memoryview
    edges: list[int]
    ids: list[int]
    times: list[int]
    keys: list[int]
    starts: list[int]
    odd: list[bool]
    first: list[int]
    first_row: list[int]
    last_ack: list[int]
    turns: list[int]
    first_turn: list[int]


def directions(
    packets: PacketBatch, assignment: Assignment, wanted: NDArray[np.bool_], state: StreamState
) -> Directions | None:
    """What of a batch belongs to which direction of the flows that are read; None where nothing does."""
    tcp = wanted & (packets.proto == 6) & (packets.note == 0) & (assignment.flow_id >= 0)
    _note_syns(packets, assignment, tcp, state)
    rows = np.flatnonzero(tcp & (packets.payload_len > 0) & ((packets.tcp_flags & _RST) == 0))
    if not rows.size:
        return None
    keys = assignment.flow_id[rows] * 2 + ~assignment.from_originator[rows]
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    # RFC 9293 3.4: with SYN set, the sequence number is that of the SYN, and the data begins one behind it.
    seq = (packets.seq[rows].astype(np.int64) + ((packets.tcp_flags[rows] & _SYN) > 0)) & 0xFFFFFFFF
    length = packets.payload_len[rows].astype(np.int64)
    held = packets.payload_caplen[rows].astype(np.int64)
    out = np.empty(int(held.sum()), dtype=np.uint8)
    gather(packets.buffer, packets.payload_offset[rows], held, out)
    starts, turns, first_turn = (np.empty(rows.size + 1, np.int64) for _ in range(3))
    odd = np.empty(rows.size, np.bool_)
    count, turn = _survey(keys, rows, seq, length, held, starts, odd, turns, first_turn)
    begins = starts[:count]
    return Directions(
        packets, rows, seq, length, out.data, [0, *np.cumsum(held).tolist()], packets.packet_id[rows].tolist(),
        packets.ts[rows].tolist(), keys[begins].tolist(), starts[: count + 1].tolist(), odd[:count].tolist(), seq[begins].tolist(),
        rows[begins].tolist(), packets.ack[rows[starts[1 : count + 1] - 1]].tolist(), [*turns[:turn].tolist(), -1],
        first_turn[: count + 1].tolist(),
    )  # fmt: skip


def opened(key: int, state: StreamState) -> Direction:
    """A direction as it stands; a new one begins behind its SYN."""
    d = state.directions.get(key)
    if d is None:
        d = state.directions[key] = Direction(next_seq=state.first_seq.pop(key, None))
    return d


def goes_on(n: int, there: Directions, d: Direction) -> bool:
    """Whether the n-th direction of a batch simply continues what was read of it."""
    return not there.odd[n] and not d.pending and not d.gap and d.next_seq in (None, there.first[n])


def advance(n: int, there: Directions, d: Direction) -> None:
    """A direction that simply continues was read to the end of the batch."""
    begin, end = there.edges[there.starts[n]], there.edges[there.starts[n + 1]]
    d.offset += end - begin
    d.next_seq = (there.first[n] + end - begin) & 0xFFFFFFFF
    # All that is held of a row was sent, so the window holds nothing from before where the batch brought more than it.
    d.tail = bytes(there.whole[max(begin, end - MAX_OVERLAP_WINDOW_BYTES) : end])


def reassemble(
    packets: PacketBatch, assignment: Assignment, wanted: NDArray[np.bool_], state: StreamState
) -> Iterator[Chunk]:
    """Chunks of this batch, flow by flow, the originator's before the responder's (interleave.py has them in turns).

    wanted   for each packet whether its flow is read; False costs nothing"""
    there = directions(packets, assignment, wanted, state)
    for n in range(len(there.keys) if there is not None else 0):
        assert there is not None
        yield from direction_chunks(n, there, state)


def direction_chunks(n: int, there: Directions, state: StreamState) -> list[Chunk]:
    """The n-th direction of a batch, whatever is wrong with it; of a flow's two the originator's must be asked first."""
    key = there.keys[n]
    d = opened(key, state)
    start, stop = there.starts[n], there.starts[n + 1]
    # What the other direction acknowledges counts from the packet on that says so, wherever the batch was cut.
    other = n - 1 if key & 1 else n + 1
    beside = 0 <= other < len(there.keys) and there.keys[other] == key ^ 1
    peer = state.directions.get(key ^ 1)
    if peer is not None and not (beside and not key & 1):
        peer.peer_ack = there.last_ack[n]
    edges = there.edges
    if goes_on(n, there, d):
        shift = d.offset - edges[start]
        segments = SegmentMap([edge + shift for edge in edges[start:stop]], there.ids[start:stop], there.times[start:stop])
        data = bytes(there.whole[edges[start] : edges[stop]])
        chunk = Chunk(key >> 1, not key & 1, data, d.offset, 0, segments, there.first_row[n])
        advance(n, there, d)
        if beside and key & 1:
            d.peer_ack = there.last_ack[other]
        return [chunk]
    output = _Output(key, there.first_row[n])
    rows = there.rows
    acks = _Acks(there.packets, rows[there.starts[other] : there.starts[other + 1]] if beside else rows[:0])
    columns = (rows[start:stop].tolist(), there.seq[start:stop].tolist(), there.length[start:stop].tolist())
    for i, row, number, size in zip(range(start, stop), *columns, strict=True):
        d.peer_ack = acks.before(row, d.peer_ack)
        data = bytes(there.whole[edges[i] : edges[i + 1]])
        _take(d, Segment(number, data, size, there.ids[i], there.times[i]), state, output)
        if d.pending:
            _drain(d, state, output)
            _settle(d, state, output)
    d.peer_ack = acks.before(there.packets.ts.size, d.peer_ack)
    output.flush()
    return output.chunks


def forget(flow_id: int, state: StreamState) -> None:
    """The flow is over, and nobody reads it: what is kept of it goes."""
    for key in (flow_id * 2, flow_id * 2 + 1):
        state.first_seq.pop(key, None)
        d = state.directions.pop(key, None)
        if d is not None:
            state.pending_bytes -= d.pending_bytes
    state.differing.discard(flow_id)


def end_flow(flow_id: int, state: StreamState) -> list[Chunk]:
    """The flow is over: deliver what was waiting behind holes, and forget the flow."""
    chunks: list[Chunk] = []
    for key in (flow_id * 2, flow_id * 2 + 1):
        state.first_seq.pop(key, None)
        d = state.directions.pop(key, None)
        if d is None or not d.pending:
            continue
        output = _Output(key, -1)
        while d.pending:
            _skip_hole(d, state, output)
        output.flush()
        chunks += output.chunks
    return chunks
