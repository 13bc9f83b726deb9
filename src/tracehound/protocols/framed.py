"""In: the ordered bytes of one direction of a flow whose messages begin with their length. Out: whole messages, each with the packet
and time of its first byte. Never here: what a message says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from tracehound.streams.reassemble import Chunk

NOT_A_MESSAGE: Final = -1


Framed = tuple[bytes, int, int]
"""A message: its bytes, packet_id and ts_ns."""


class Framer:
    """One direction.

    header    bytes that tell a message's length
    size_of   the length of the whole message from its first `header` bytes; NOT_A_MESSAGE where none begins so
    limit     longest message believed
    resync    where a message may begin after a gap; None: after a gap nothing more is read
    lost      nothing more is read"""

    __slots__ = ("_buffer", "_header", "_limit", "_resync", "_seeking", "_size_of", "_where", "lost", "met_gap")

    def __init__(
        self, header: int, size_of: Callable[[bytes], int], limit: int, resync: re.Pattern[bytes] | None = None
    ) -> None:
        self.lost = False
        self.met_gap = False
        self._header = header
        self._size_of = size_of
        self._limit = limit
        self._resync = resync
        self._buffer = b""
        self._where = (0, 0)
        self._seeking = False

    def feed(self, chunk: Chunk) -> Iterator[Framed]:
        """The next bytes; gives the messages that they complete."""
        if chunk.gap_before:
            self.met_gap = True
            self._buffer = b""
            self._seeking = True
            self.lost = self.lost or self._resync is None
        if self.lost:
            return
        held = len(self._buffer)
        data = self._buffer + chunk.data if held else chunk.data
        base = chunk.offset - held
        at, end = 0, len(data)
        while True:
            if self._seeking:
                found = self._resync.search(data, at) if self._resync is not None else None
                if found is None:
                    # A beginning may lie across the edge.
                    self._buffer = data[max(at, end - 16) :]
                    self._where = chunk.segments.packet_at(base + max(at, end - 16))
                    return
                at = found.start()
                self._seeking = False
            if at + self._header > end:
                break
            size = self._size_of(data[at : at + self._header])
            if size < self._header or size > self._limit:
                if self._resync is None:
                    self.lost = True
                    self._buffer = b""
                    return
                self._seeking = True
                at += 1
                continue
            if at + size > end:
                break
            where = self._where if at < held else chunk.segments.packet_at(base + at)
            yield data[at : at + size], where[0], where[1]
            at += size
        if at >= held:
            self._where = chunk.segments.packet_at(base + at) if at < end else (0, 0)
        self._buffer = data[at:]
