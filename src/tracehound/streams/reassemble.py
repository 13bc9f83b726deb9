"""In: a batch of packets with their flows, the flows that a parser wants, and the state of their streams. Out: the payload of
each flow and direction as in-order chunks of one buffer, with gaps and the segment map. Never here: a protocol.

TCP: RFC 9293 section 3. Ordinary segments go through one kernel; a direction with a hole takes the exact slow path below
until the hole is filled or declared lost. Bytes that arrive twice: the first copy wins, as in Zeek and BSD-style stacks;
copies that differ are counted (`conflicts`), because they are how detection is evaded (Ptacek and Newsham 1998).

A hole is declared lost (a gap) when the peer acknowledges beyond it after later data was seen, when the pending data exceeds
its bounds, at RST, and at the end of the flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.kernels import kernel
from tracehound.limits import (
    MAX_OVERLAP_WINDOW_BYTES,
    MAX_PENDING_PER_STREAM_BYTES,
    MAX_PENDING_STREAM_BYTES,
    MAX_RECENT_BYTES,
    MAX_STREAM_HOLE_BYTES,
    MAX_STREAMS,
)
from tracehound.packets.batch import PacketBatch
from tracehound.streams.flow_window import SYN_SEEN, UNDECIDED, UNWANTED, FlowWindow, inside
from tracehound.streams.segment_map import Place, SegmentMap

# One row a stream (both directions), int64. Two columns each, COLUMN + side; side 0 is the originator.
NEXT: Final = 0  # offset of the next byte expected; offset 0 is the first byte after the SYN, or the first byte seen
SEQ: Final = 2  # its sequence number
STARTED: Final = 4  # SEQ is known
PENDING: Final = 6  # a hole is open: the slow path has this direction
FIN: Final = 8  # offset of the FIN, -1 = not seen
DELIVERED: Final = 10  # end of the last byte handed on
AGAIN: Final = 12  # retransmitted segments
ENDED: Final = 14  # FIN reached or RST seen
HI: Final = 16  # address
LO: Final = 18
PORT: Final = 20
FLOW: Final = 22
LAST_TS: Final = 23
VERSION: Final = 24
KIND: Final = 25  # parser that wants it
WIDTH: Final = 26

# Events for the slow path.
DATA: Final = 0
ACKED: Final = 1
AGAIN_EVENT: Final = 2
END: Final = 3
RESET: Final = 4

# Places in the counts that the kernel keeps.
AT: Final = 0  # packet to go on with
SEGMENTS: Final = 1
EVENTS: Final = 2
FREE: Final = 3
COUNTS: Final = 4

_SYN: Final = 2
_FIN: Final = 1
_RST: Final = 4
_ACK: Final = 16
_TCP: Final = 6
_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000


@kernel
def order_segments(
    p: PacketBatch,
    flow_id: NDArray[np.int64],
    from_originator: NDArray[np.bool_],
    base: int,
    want: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    slot: NDArray[np.int32],
    isn: NDArray[np.uint32],
    rows: NDArray[np.int64],
    free: NDArray[np.int32],
    counts: NDArray[np.int64],
    segments: NDArray[np.int64],
    events: NDArray[np.int64],
) -> None:
    """Classify the TCP packets of wanted flows from packet counts[AT] on; stops early where a new stream finds no free row.

    segments   int64 (n, 4): slot * 2 + side, stream offset, place in the buffer, length; and in column 4 the packet
    events     int64 (3 n, 5): slot * 2 + side, kind, stream offset, length, packet
    """
    n = flow_id.size
    i = counts[AT]
    while i < n:
        f = flow_id[i]
        k = f - base
        if p.proto[i] != _TCP or f < 0 or k < 0 or k >= want.size or want[k] == UNWANTED:
            i += 1
            continue
        side = 0 if from_originator[i] else 1
        flags = np.int64(p.tcp_flags[i])
        seq = np.int64(p.seq[i])
        if flags & _SYN and not seen[k] & (SYN_SEEN << side):
            isn[k, side] = p.seq[i]
            seen[k] |= SYN_SEEN << side
        if want[k] == UNDECIDED:
            i += 1
            continue
        # RFC 9293 3.10.7.4: text in a RST segment is not data.
        length = np.int64(0) if flags & _RST else np.int64(p.payload_len[i])
        have = min(np.int64(p.payload_caplen[i]), length)
        s = np.int64(slot[k])
        if s < 0:
            if length == 0:
                i += 1
                continue
            if counts[FREE] == 0:
                break
            counts[FREE] -= 1
            s = np.int64(free[counts[FREE]])
            slot[k] = s
            rows[s, :] = 0
            rows[s, FIN] = -1
            rows[s, FIN + 1] = -1
            rows[s, FLOW] = f
            rows[s, KIND] = want[k]
            rows[s, VERSION] = p.ip_version[i]
            rows[s, HI + side] = np.int64(p.src_hi[i])
            rows[s, LO + side] = np.int64(p.src_lo[i])
            rows[s, PORT + side] = p.sport[i]
            rows[s, HI + 1 - side] = np.int64(p.dst_hi[i])
            rows[s, LO + 1 - side] = np.int64(p.dst_lo[i])
            rows[s, PORT + 1 - side] = p.dport[i]
        row = rows[s]
        row[LAST_TS] = max(row[LAST_TS], p.ts[i])
        other = 1 - side
        if flags & _ACK and row[PENDING + other] and row[STARTED + other]:
            ack = row[NEXT + other] + ((np.int64(p.ack[i]) - row[SEQ + other] + _HALF) & _MASK) - _HALF
            e = counts[EVENTS]
            events[e, 0] = s * 2 + other
            events[e, 1] = ACKED
            events[e, 2] = ack
            events[e, 3] = 0
            events[e, 4] = i
            counts[EVENTS] += 1
        if length > 0 or flags & _FIN:
            # The SYN occupies one sequence number before the data (RFC 9293 3.4; data with SYN: RFC 7413).
            first = (seq + 1) & _MASK if flags & _SYN else seq
            if not row[STARTED + side]:
                row[STARTED + side] = 1
                row[SEQ + side] = first
                if seen[k] & (SYN_SEEN << side):
                    row[SEQ + side] = (np.int64(isn[k, side]) + 1) & _MASK
                    # A SYN that is too far from the data belongs to another connection: the data defines the base.
                    if abs(((first - row[SEQ + side] + _HALF) & _MASK) - _HALF) > MAX_STREAM_HOLE_BYTES:
                        row[SEQ + side] = first
            at = row[NEXT + side]
            offset = at + ((first - row[SEQ + side] + _HALF) & _MASK) - _HALF
            end = offset + length
            if length > 0 and offset - at <= MAX_STREAM_HOLE_BYTES:
                if row[PENDING + side] or offset > at:
                    row[PENDING + side] = 1
                    e = counts[EVENTS]
                    events[e, 0] = s * 2 + side
                    events[e, 1] = DATA
                    events[e, 2] = offset
                    events[e, 3] = length
                    events[e, 4] = i
                    counts[EVENTS] += 1
                else:
                    skip = at - offset
                    # RFC 9293 3.8.4: a keep-alive repeats one byte (or none) before the next; its content means nothing.
                    if skip > 0 and not (length == 1 and skip == 1):
                        row[AGAIN + side] += 1
                        e = counts[EVENTS]
                        events[e, 0] = s * 2 + side
                        events[e, 1] = AGAIN_EVENT
                        events[e, 2] = offset
                        events[e, 3] = min(skip, length)
                        events[e, 4] = i
                        counts[EVENTS] += 1
                    if end > at:
                        if have > skip:
                            m = counts[SEGMENTS]
                            segments[m, 0] = s * 2 + side
                            segments[m, 1] = at
                            segments[m, 2] = p.payload_offset[i] + skip
                            segments[m, 3] = have - skip
                            segments[m, 4] = i
                            counts[SEGMENTS] += 1
                        row[NEXT + side] = end
                        row[SEQ + side] = (first + length) & _MASK
            if flags & _FIN and row[FIN + side] < 0:
                row[FIN + side] = end
            if row[FIN + side] >= 0 and not row[ENDED + side]:
                if not row[PENDING + side] and row[NEXT + side] >= row[FIN + side]:
                    row[ENDED + side] = 1
                    e = counts[EVENTS]
                    events[e, 0] = s * 2 + side
                    events[e, 1] = END
                    events[e, 2] = row[FIN + side]
                    events[e, 3] = 0
                    events[e, 4] = i
                    counts[EVENTS] += 1
        if flags & _RST:
            e = counts[EVENTS]
            events[e, 0] = s * 2 + side
            events[e, 1] = RESET
            events[e, 2] = 0
            events[e, 3] = 0
            events[e, 4] = i
            counts[EVENTS] += 1
        i += 1
    counts[AT] = i


@kernel
def gather(
    buffer: NDArray[np.uint8],
    kept: NDArray[np.uint8],
    source: NDArray[np.int64],
    length: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Copy segments one after another into `out`; a negative source is place -1 - source of `kept`."""
    at = np.int64(0)
    for i in range(source.size):
        m = length[i]
        s = source[i]
        if s >= 0:
            out[at : at + m] = buffer[s : s + m]
        else:
            s = -1 - s
            out[at : at + m] = kept[s : s + m]
        at += m


class _Piece(NamedTuple):
    """Bytes that wait behind a hole: `length` bytes of the stream, of which `have` were captured."""

    offset: int
    length: int
    have: int
    source: int  # place in the buffer of this batch, -1 = `data` holds the bytes
    data: bytes
    packet_id: int
    ts: int


@dataclass(slots=True)
class _Hole:
    """One direction that waits: pieces in order of offset, never overlapping."""

    pieces: list[_Piece] = field(default_factory=list)
    size: int = 0


class Ended(NamedTuple):
    """One direction has ended: by FIN or RST (`reset`), or because the flow was closed or dropped (`closed`)."""

    slot: int
    side: int
    reset: bool
    closed: bool
    missing: int


class Chunk(NamedTuple):
    """Contiguous bytes of one direction of one stream."""

    slot: int
    side: int
    offset: int
    gap_before: int
    data: bytes
    place: Place


@dataclass(slots=True)
class StreamChunks:
    """In-order payload of one batch. Arrays with one entry a chunk, ordered by (slot, side, offset):

    slot, side          row of the stream table; 0 = from the originator
    offset              of the first byte in the stream
    gap_before          bytes missing between the chunk before and this one
    start, stop         where its bytes lie in `buffer`
    first, last         its segments in `segments` (last is exclusive)
    ended               directions that ended in this batch, in order
    conflicts           slot -> retransmissions whose bytes differ from those delivered
    """

    buffer: NDArray[np.uint8]
    slot: NDArray[np.int64]
    side: NDArray[np.int64]
    offset: NDArray[np.int64]
    gap_before: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    segments: SegmentMap
    ended: list[Ended]
    conflicts: dict[int, int]

    def __iter__(self) -> Iterator[Chunk]:
        offsets = self.segments.offset.tolist()
        packet_ids = self.segments.packet_id.tolist()
        times = self.segments.ts.tolist()
        view = memoryview(self.buffer)
        columns = (self.slot, self.side, self.offset, self.gap_before, self.start, self.stop, self.first, self.last)
        for slot, side, offset, gap, start, stop, a, b in zip(*(c.tolist() for c in columns), strict=True):
            place = Place(offsets[a:b], packet_ids[a:b], times[a:b])
            yield Chunk(slot, side, offset, gap, bytes(view[start:stop]), place)


def _first_rows() -> NDArray[np.int64]:
    return np.zeros((256, WIDTH), dtype=np.int64)


@dataclass(slots=True)
class StreamState:
    """Streams being reassembled. `rows` is the stream table; `free` the unused rows as a stack of `unused` entries."""

    rows: NDArray[np.int64] = field(default_factory=_first_rows)
    free: NDArray[np.int32] = field(default_factory=lambda: np.arange(255, -1, -1, dtype=np.int32))
    unused: int = 256
    holes: dict[int, _Hole] = field(default_factory=dict)
    pending_bytes: int = 0
    recent: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    recent_bytes: int = 0
    dropped: int = 0
    again: int = 0
    conflicts: int = 0


class _Delivery:
    """Segments that the slow path hands on in one batch, beside those of the kernel."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, int, int]] = []  # key, offset, source, length, packet_id, ts
        self.kept: list[bytes] = []
        self.kept_size = 0
        self.ended: list[Ended] = []
        self.conflicts: dict[int, int] = {}

    def add(self, key: int, piece: _Piece, skip: int) -> None:
        have = piece.have - skip
        if have <= 0:
            return
        if piece.source >= 0:
            source = piece.source + skip
        else:
            source = -1 - (self.kept_size + skip)
            self.kept.append(piece.data)
            self.kept_size += len(piece.data)
        self.rows.append((key, piece.offset + skip, source, have, piece.packet_id, piece.ts))


def _insert(hole: _Hole, new: _Piece, buffer: memoryview) -> int:
    """Put a piece among those that wait; where both have a byte the first one stays. Returns 1 if common bytes differ."""
    begin, end = new.offset, new.offset + new.length
    pieces = hole.pieces
    if not pieces or pieces[-1].offset + pieces[-1].length <= begin:
        pieces.append(new)
        hole.size += new.have
        return 0
    fresh: list[_Piece] = []
    differ = 0
    at = begin
    for old in pieces:
        old_end = old.offset + old.length
        if old_end <= begin or old.offset >= end:
            continue
        if at < old.offset:
            fresh.append(_cut(new, at, old.offset))
        low, high = max(begin, old.offset), min(end, old_end)
        high = min(high, old.offset + old.have, begin + new.have)
        if low < high and _bytes(old, low, high, buffer) != _bytes(new, low, high, buffer):
            differ = 1
        at = max(at, old_end)
    if at < end:
        fresh.append(_cut(new, at, end))
    pieces.extend(fresh)
    pieces.sort(key=lambda piece: piece.offset)
    hole.size += sum(piece.have for piece in fresh)
    return differ


def _cut(piece: _Piece, begin: int, end: int) -> _Piece:
    skip = begin - piece.offset
    have = max(0, min(piece.have - skip, end - begin))
    source = piece.source + skip if piece.source >= 0 else -1
    data = piece.data[skip : skip + have] if piece.source < 0 else b""
    return _Piece(begin, end - begin, have, source, data, piece.packet_id, piece.ts)


def _bytes(piece: _Piece, begin: int, end: int, buffer: memoryview) -> bytes:
    a, b = begin - piece.offset, end - piece.offset
    return piece.data[a:b] if piece.source < 0 else bytes(buffer[piece.source + a : piece.source + b])


def _deliver(state: StreamState, key: int, hole: _Hole, out: _Delivery, upto: int) -> None:
    """Hand on what follows without a hole; holes that begin below `upto` are given up."""
    row = state.rows[key >> 1]
    side = key & 1
    begin = at = int(row[NEXT + side])
    done = 0
    for piece in hole.pieces:
        if piece.offset > at and piece.offset > upto:
            break
        out.add(key, piece, 0)
        at = piece.offset + piece.length
        hole.size -= piece.have
        state.pending_bytes -= piece.have
        done += 1
    del hole.pieces[:done]
    row[NEXT + side] = at
    row[SEQ + side] = (int(row[SEQ + side]) + at - begin) & _MASK
    if not hole.pieces:
        state.holes.pop(key, None)
        row[PENDING + side] = 0


_ALL: Final = 1 << 62


def _slow_path(
    state: StreamState, batch: PacketBatch, events: NDArray[np.int64], out: _Delivery
) -> list[tuple[int, int, int, int]]:
    """Events of directions with a hole, in order. Returns the retransmissions: (key, offset, length, packet)."""
    again: list[tuple[int, int, int, int]] = []
    rows = state.rows
    buffer = memoryview(batch.buffer)
    # The kernel computed offsets from NEXT as it stood when the hole opened; they are absolute, so they stay right.
    for key, kind, offset, length, i in events.tolist():
        side = key & 1
        row = rows[key >> 1]
        if kind == AGAIN_EVENT:
            again.append((key, offset, length, i))
        elif kind == DATA:
            hole = state.holes.setdefault(key, _Hole())
            have = min(int(batch.payload_caplen[i]), length)
            at = int(row[NEXT + side])
            source = int(batch.payload_offset[i])
            piece = _Piece(offset, length, have, source, b"", int(batch.packet_id[i]), int(batch.ts[i]))
            if offset < at:
                again.append((key, offset, min(length, at - offset), i))
                row[AGAIN + side] += 1
                if offset + length <= at:
                    piece = None
                else:
                    piece = _cut(piece, at, offset + length)
            if piece is not None:
                before = hole.size
                out.conflicts[key >> 1] = out.conflicts.get(key >> 1, 0) + _insert(hole, piece, buffer)
                state.pending_bytes += hole.size - before
            _deliver(state, key, hole, out, -1)
            while hole.pieces and (
                hole.size > MAX_PENDING_PER_STREAM_BYTES or state.pending_bytes > MAX_PENDING_STREAM_BYTES
            ):
                _deliver(state, key, hole, out, hole.pieces[0].offset)
            _end_if_reached(row, key, out)
        elif kind == ACKED:
            waiting = state.holes.get(key)
            if waiting is not None and waiting.pieces and offset > waiting.pieces[0].offset:
                _deliver(state, key, waiting, out, offset - 1)
                _end_if_reached(row, key, out)
        elif kind == END:
            out.ended.append(Ended(key >> 1, side, False, False, 0))
        elif kind == RESET:
            for both in (key, key ^ 1):
                waiting = state.holes.get(both)
                if waiting is not None:
                    _deliver(state, both, waiting, out, _ALL)
                if not row[ENDED + (both & 1)]:
                    row[ENDED + (both & 1)] = 1
                    out.ended.append(Ended(key >> 1, both & 1, True, False, 0))
    return again


def _end_if_reached(row: NDArray[np.int64], key: int, out: _Delivery) -> None:
    side = key & 1
    if 0 <= row[FIN + side] <= row[NEXT + side] and not row[PENDING + side] and not row[ENDED + side]:
        row[ENDED + side] = 1
        out.ended.append(Ended(key >> 1, side, False, False, 0))


def _close(state: StreamState, slots: list[int], out: _Delivery) -> None:
    """Flows that are over: what waits is handed on with its gaps, both directions end."""
    for slot in slots:
        row = state.rows[slot]
        for side in (0, 1):
            key = slot * 2 + side
            hole = state.holes.get(key)
            if hole is not None:
                _deliver(state, key, hole, out, _ALL)
                _end_if_reached(row, key, out)
            out.ended.append(Ended(slot, side, False, True, 0))


def _grow(state: StreamState) -> bool:
    """Double the stream table; False where its bound is reached."""
    size = state.rows.shape[0]
    if size >= MAX_STREAMS:
        return False
    rows = np.zeros((size * 2, WIDTH), dtype=np.int64)
    rows[:size] = state.rows
    free = np.empty(size * 2, dtype=np.int32)
    free[: state.unused] = state.free[: state.unused]
    free[state.unused : state.unused + size] = np.arange(size * 2 - 1, size - 1, -1)
    state.rows, state.free, state.unused = rows, free, state.unused + size
    return True


def _keep(state: StreamState) -> None:
    """Copy what still waits out of the batch's buffer is done by the caller; here the bound over all streams is held."""
    while state.recent_bytes > MAX_RECENT_BYTES and state.recent:
        key = next(iter(state.recent))
        state.recent_bytes -= len(state.recent.pop(key)[1])


def _compare(
    state: StreamState,
    batch: PacketBatch,
    again: list[tuple[int, int, int, int]],
    chunks: StreamChunks,
    out: _Delivery,
) -> None:
    """Compare retransmitted bytes with those delivered, and keep the last delivered bytes of each direction for later."""
    view = memoryview(chunks.buffer)
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for slot, side, offset, start, stop in zip(
        *(c.tolist() for c in (chunks.slot, chunks.side, chunks.offset, chunks.start, chunks.stop)), strict=True
    ):
        spans.setdefault(slot * 2 + side, []).append((offset, start, stop))
    buffer = memoryview(batch.buffer)
    for key, offset, length, i in again:
        have = min(length, int(batch.payload_caplen[i]))
        source = int(batch.payload_offset[i])
        new = buffer[source : source + have]
        old_at, old = state.recent.get(key, (0, b""))
        known = [(old_at, memoryview(old))] if old else []
        known += [(at, view[start:stop]) for at, start, stop in spans.get(key, ())]
        for at, data in known:
            low, high = max(offset, at), min(offset + have, at + len(data))
            if low < high and new[low - offset : high - offset] != data[low - at : high - at]:
                out.conflicts[key >> 1] = out.conflicts.get(key >> 1, 0) + 1
                break
    state.again += len(again)
    for key, parts in spans.items():
        offset, start, stop = parts[-1]
        old_at, old = state.recent.pop(key, (0, b""))
        state.recent_bytes -= len(old)
        tail = bytes(view[max(start, stop - MAX_OVERLAP_WINDOW_BYTES) : stop])
        if len(parts) == 1 and old and old_at + len(old) == offset and len(tail) < MAX_OVERLAP_WINDOW_BYTES:
            tail = (old + tail)[-MAX_OVERLAP_WINDOW_BYTES:]
        state.recent[key] = (offset + stop - start - len(tail), tail)
        state.recent_bytes += len(tail)
    _keep(state)


def _chunks(
    state: StreamState, batch: PacketBatch, segments: NDArray[np.int64], out: _Delivery
) -> StreamChunks:
    """Put the segments of kernel and slow path in order and copy them into one buffer."""
    packet = segments[:, 4]
    columns = np.empty((segments.shape[0], 6), dtype=np.int64)
    columns[:, :4] = segments[:, :4]
    columns[:, 4] = batch.packet_id[packet]
    columns[:, 5] = batch.ts[packet]
    if out.rows:
        columns = np.concatenate([columns, np.array(out.rows, dtype=np.int64)])
    # Stable: within one direction the order of delivery is the order of offsets.
    columns = columns[np.argsort(columns[:, 0], kind="stable")]
    key, offset, source, length = (np.ascontiguousarray(columns[:, c]) for c in range(4))
    stops = np.cumsum(length)
    total = int(stops[-1]) if stops.size else 0
    buffer = np.empty(total, dtype=np.uint8)
    kept = np.frombuffer(b"".join(out.kept), dtype=np.uint8) if out.kept else np.empty(0, dtype=np.uint8)
    gather(batch.buffer, kept.copy(), source, length, buffer)
    new = np.ones(key.size, dtype=np.bool_)
    new[1:] = (key[1:] != key[:-1]) | (offset[1:] != offset[:-1] + length[:-1])
    first = np.nonzero(new)[0]
    last = np.append(first[1:], key.size) if first.size else first
    starts = (stops - length)[first]
    ends = stops[last - 1] if first.size else starts
    slot, side = key[first] >> 1, key[first] & 1
    end_offset = offset[first] + ends - starts
    before = state.rows[slot, DELIVERED + side]
    same = np.zeros(first.size, dtype=np.bool_)
    same[1:] = key[first][1:] == key[first][:-1]
    before[1:][same[1:]] = end_offset[:-1][same[1:]]
    state.rows[slot, DELIVERED + side] = end_offset  # the last of equal indices stays (numpy assigns in order)
    return StreamChunks(
        buffer, slot, side, offset[first], np.maximum(offset[first] - before, 0), starts, ends, first, last,
        SegmentMap(offset, np.ascontiguousarray(columns[:, 4]), np.ascontiguousarray(columns[:, 5])),
        out.ended, out.conflicts,
    )  # fmt: skip


def reassemble(
    batch: PacketBatch,
    assignment: Assignment,
    window: FlowWindow,
    state: StreamState,
    closed: NDArray[np.int64],
) -> StreamChunks:
    """Order the payload of the wanted flows of one batch. `closed` are flows that are over after this batch.

    The caller gives every stream that it is done with back through `release`."""
    n = batch.ts.size
    segments = np.empty((n, 5), dtype=np.int64)
    events = np.empty((3 * n, 5), dtype=np.int64)
    counts = np.zeros(COUNTS, dtype=np.int64)
    while True:
        counts[FREE] = state.unused
        order_segments(
            batch, assignment.flow_id, assignment.from_originator, window.base, window.want, window.seen, window.slot,
            window.isn, state.rows, state.free, counts, segments, events,
        )  # fmt: skip
        state.unused = int(counts[FREE])
        if counts[AT] >= n:
            break
        if not _grow(state):
            # No room for another stream: this flow is not followed, and the count says so.
            window.want[assignment.flow_id[counts[AT]] - window.base] = UNWANTED
            state.dropped += 1
    out = _Delivery()
    again = _slow_path(state, batch, events[: counts[EVENTS]], out)
    ids = inside(window, closed)
    slots = window.slot[ids - window.base]
    _close(state, slots[slots >= 0].tolist(), out)
    chunks = _chunks(state, batch, segments[: counts[SEGMENTS]], out)
    _compare(state, batch, again, chunks, out)
    state.conflicts += sum(out.conflicts.values())
    ended = chunks.ended
    for i, end in enumerate(ended):
        row = state.rows[end.slot]
        missing = int(row[NEXT + end.side] - row[DELIVERED + end.side])
        if missing > 0:
            ended[i] = end._replace(missing=missing)
    buffer = memoryview(batch.buffer)
    for hole in state.holes.values():
        if hole.pieces and hole.pieces[-1].source >= 0 or any(piece.source >= 0 for piece in hole.pieces):
            hole.pieces = [
                p if p.source < 0 else p._replace(source=-1, data=bytes(buffer[p.source : p.source + p.have]))
                for p in hole.pieces
            ]
    return chunks


def release(state: StreamState, window: FlowWindow, slot: int) -> None:
    """Forget a stream; its flow is not followed any more."""
    flow = int(state.rows[slot, FLOW])
    at = flow - window.base
    if 0 <= at < window.want.size and window.slot[at] == slot:
        window.want[at] = UNWANTED
        window.slot[at] = -1
    for key in (slot * 2, slot * 2 + 1):
        hole = state.holes.pop(key, None)
        if hole is not None:
            state.pending_bytes -= hole.size
        recent = state.recent.pop(key, None)
        if recent is not None:
            state.recent_bytes -= len(recent[1])
    state.free[state.unused] = slot
    state.unused += 1
