"""In: which packet carried which stretch of a stream. Out: the packet and time of any byte. Never here: the bytes.

Streams carry this map so that protocols never look at packets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class SegmentMap(NamedTuple):
    """Segments of a chunk in stream order.

    starts      stream offset at which each segment begins, ascending
    packet_ids  packet that carried it
    ts_ns       its time
    """

    starts: Sequence[int]
    packet_ids: Sequence[int]
    ts_ns: Sequence[int]

    def packet_at(self, offset: int) -> tuple[int, int]:
        """(packet_id, ts_ns) of the byte at stream offset `offset`; before the first segment: the first."""
        starts = self.starts
        i = bisect_right(starts, offset) - 1 if len(starts) > 1 else 0
        return (self.packet_ids[i], self.ts_ns[i]) if i > 0 else (self.packet_ids[0], self.ts_ns[0])

    @property
    def last_ts_ns(self) -> int:
        """Time of the latest segment."""
        return int(max(self.ts_ns))
