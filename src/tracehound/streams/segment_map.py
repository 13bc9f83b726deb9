"""In: where each delivered segment lies in its stream. Out: the segment map: stream offset -> packet and time, so that a
protocol can name the packet that carried a byte without ever looking at packets. Never here: how segments are ordered."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class SegmentMap:
    """Segments of all streams of a batch; those of one chunk are neighbours, in order of offset.

    offset      int64, offset of the segment's first byte in its stream
    packet_id   int64
    ts          int64, ns UTC
    """

    offset: NDArray[np.int64]
    packet_id: NDArray[np.int64]
    ts: NDArray[np.int64]


@dataclass(slots=True)
class Place:
    """The segments of one direction that matter now, as plain lists (a look-up of one byte in numpy costs more than it finds)."""

    offset: list[int]
    packet_id: list[int]
    ts: list[int]

    def find(self, offset: int) -> tuple[int, int]:
        """(packet_id, ts) of the packet that carried the byte at `offset`; before the first segment: the first."""
        i = max(bisect_right(self.offset, offset) - 1, 0)
        return self.packet_id[i], self.ts[i]

    def after(self, offset: int) -> Place:
        """The part of the map from the segment that carries `offset` on."""
        i = max(bisect_right(self.offset, offset) - 1, 0)
        return Place(self.offset[i:], self.packet_id[i:], self.ts[i:])

    def joined(self, later: Place) -> Place:
        return Place(self.offset + later.offset, self.packet_id + later.packet_id, self.ts + later.ts)
