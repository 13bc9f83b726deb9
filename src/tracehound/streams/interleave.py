"""In: the TCP packets of a batch, or its chunks as reassemble.py gives them, flow by flow and one direction after the other. Out:
the same bytes in the order in which they came, cut where the other direction took over. Never here: what the bytes say.

A conversation read in its order reads the same however the capture is cut into batches: whoever greets is met first, and an answer
to a request that is not in the evidence comes before the request that is. Where both directions of a flow simply go on, a kernel
has found the turns, and each is made a chunk; only where one has disorder, overlap or loss are chunks made first, and cut."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.packets.batch import PacketBatch
from tracehound.streams.reassemble import (
    Chunk,
    Direction,
    Directions,
    StreamState,
    advance,
    direction_chunks,
    directions,
    goes_on,
    opened,
)
from tracehound.streams.segment_map import SegmentMap

_tuple: Final[Callable[..., Any]] = tuple.__new__
"""Makes a NamedTuple of what is known to be whole: in half the time of its own constructor, which counts where turns are many."""


def in_turns(
    packets: PacketBatch, assignment: Assignment, wanted: NDArray[np.bool_], state: StreamState
) -> Iterator[Chunk]:
    """`interleave(reassemble(...))`."""
    there = directions(packets, assignment, wanted, state)
    if there is None:
        return
    keys, n = there.keys, 0
    while n < len(keys):
        key = keys[n]
        both = n + 1 < len(keys) and keys[n + 1] == key + 1 and not key & 1
        last = n + 2 if both else n + 1
        ways = [opened(key, state), opened(key + 1, state)] if both else [opened(key, state)]
        if goes_on(n, there, ways[0]) and (not both or goes_on(n + 1, there, ways[1])):
            yield from _turns(n, last, there, ways)
            _settled(n, there, ways, state)
        else:
            yield from _merge([chunk for one in range(n, last) for chunk in direction_chunks(one, there, state)])
        n = last


def _turns(n: int, last: int, there: Directions, ways: list[Direction]) -> Iterator[Chunk]:
    """The chunks of a flow whose directions, n and where there are two the next, simply go on."""
    edges, whole, ids, times, turns = there.edges, there.whole, there.ids, there.times, there.turns
    key, starts = there.keys[n], there.starts
    flow_id, middle = key >> 1, starts[n + 1]
    own = [d.offset - edges[starts[n + i]] for i, d in enumerate(ways)]
    sent, rows = not key & 1, there.first_row[n:last]
    begin, end = there.first_turn[n], there.first_turn[last]
    for turn in range(begin, end):
        start = turns[turn]
        second = start >= middle
        # Turns alternate: this one ends where the next but one begins.
        stop = turns[turn + 2] if turn + 2 < end else starts[last] if second else middle
        shift = own[second]
        if stop == start + 1:
            offset = edges[start] + shift
            segments = _tuple(SegmentMap, ((offset,), (ids[start],), (times[start],)))
        else:
            offsets = [edge + shift for edge in edges[start:stop]]
            offset = offsets[0]
            segments = _tuple(SegmentMap, (offsets, ids[start:stop], times[start:stop]))
        data = bytes(whole[edges[start] : edges[stop]])
        yield _tuple(Chunk, (flow_id, sent != second, data, offset, 0, segments, rows[second]))


def _settled(n: int, there: Directions, ways: list[Direction], state: StreamState) -> None:
    """The directions of a flow were read to the end of the batch, and heard what the other acknowledges."""
    for i, d in enumerate(ways):
        advance(n + i, there, d)
    if len(ways) == 2:
        ways[0].peer_ack, ways[1].peer_ack = there.last_ack[n + 1], there.last_ack[n]
        return
    peer = state.directions.get(there.keys[n] ^ 1)
    if peer is not None:
        peer.peer_ack = there.last_ack[n]


def interleave(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Chunks in the order of the packets that made their bytes readable, within each flow. A flow's chunks must come together,
    the originator's before the responder's."""
    held: list[Chunk] = []
    flow_id = -1
    for chunk in chunks:
        if chunk.flow_id == flow_id:
            held.append(chunk)
            continue
        if len(held) == 1:
            yield held[0]
        elif held:
            yield from _merge(held)
        held, flow_id = [chunk], chunk.flow_id
    yield from _merge(held)


def _merge(chunks: list[Chunk]) -> Iterable[Chunk]:
    """The chunks of one flow."""
    ways = [chunk.from_originator for chunk in chunks]
    turn = ways.index(False) if False in ways else 0
    if not turn:
        return chunks
    sent, back = chunks[:turn], chunks[turn:]
    if _last(sent) < back[0].segments.packet_ids[0]:
        return chunks
    if _last(back) < sent[0].segments.packet_ids[0]:
        return back + sent
    return _alternate(sent, back)


def _last(chunks: list[Chunk]) -> int:
    return max([max(chunk.segments.packet_ids) for chunk in chunks])


class _Side:
    """One direction and how far it was handed out."""

    __slots__ = ("_arrivals", "_at", "_chunk", "_chunks", "_segment")

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks
        self._arrivals: list[list[int]] = []
        latest = 0
        for chunk in chunks:
            # A byte that waited for one before it can be read once that has come.
            arrivals = list(accumulate(chunk.segments.packet_ids, max, initial=latest))[1:]
            latest = arrivals[-1]
            self._arrivals.append(arrivals)
        self._at = 0
        self._segment = 0

    @property
    def next_arrival(self) -> int | None:
        """The packet with which the next bytes can be read; None where there are no more."""
        return self._arrivals[self._at][self._segment] if self._at < len(self._chunks) else None

    def until(self, arrival: int | None) -> Iterator[Chunk]:
        """What can be read before the packet `arrival`; all of it where that is None."""
        while self._at < len(self._chunks):
            chunk, arrivals, begin = self._chunks[self._at], self._arrivals[self._at], self._segment
            end = len(arrivals) if arrival is None else bisect_left(arrivals, arrival, begin)
            if end == begin:
                return
            yield part_of(chunk, begin, end)
            if end < len(arrivals):
                self._segment = end
                return
            self._at += 1
            self._segment = 0


def _alternate(sent: list[Chunk], back: list[Chunk]) -> Iterator[Chunk]:
    one, other = _Side(sent), _Side(back)
    while (mine := one.next_arrival) is not None:
        theirs = other.next_arrival
        if theirs is not None and theirs < mine:
            one, other = other, one
            mine, theirs = theirs, mine
        yield from one.until(theirs)
        one, other = other, one
    yield from other.until(None)


def part_of(chunk: Chunk, begin: int, end: int) -> Chunk:
    """Segments begin to end (not included) of a chunk."""
    starts, packet_ids, ts_ns = chunk.segments
    if begin == 0 and end == len(starts):
        return chunk
    first = starts[begin] - chunk.offset
    last = starts[end] - chunk.offset if end < len(starts) else len(chunk.data)
    return chunk._replace(
        data=chunk.data[first:last],
        offset=chunk.offset + first,
        gap_before=0 if begin else chunk.gap_before,
        segments=SegmentMap(starts[begin:end], packet_ids[begin:end], ts_ns[begin:end]),
    )


def packets_of(chunk: Chunk) -> Iterator[Chunk]:
    """A chunk packet by packet, for readers that name the packet something began in while they take its bytes."""
    for i in range(len(chunk.segments.starts)):
        yield part_of(chunk, i, i + 1)
