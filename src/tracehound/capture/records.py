"""In: nothing. Out: the shape of what every capture format yields: records, as columns over one buffer of capture bytes.
Never here: a format (pcap.py, pcapng.py) or a file (edges/evidence.py)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Records(NamedTuple):
    """Packet records found in a buffer; every array has length n.

    ts          int64, ns since 1970 UTC
    caplen      int32, bytes captured
    wirelen     int32, bytes on the wire
    offset      int64, where the packet's bytes begin in the buffer
    link_type   int32, LINKTYPE number of the interface (https://www.tcpdump.org/linktypes.html)
    """

    ts: NDArray[np.int64]
    caplen: NDArray[np.int32]
    wirelen: NDArray[np.int32]
    offset: NDArray[np.int64]
    link_type: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Note:
    """Words that a capture file carries beside its packets: one row of the table `capture_notes` without evidence_id."""

    kind: str
    text: str
    frame: int | None = None
    subject: str | None = None


@dataclass(slots=True)
class Walk:
    """What one call of a format's `walk` found.

    records     the records, offsets into the buffer given
    consumed    bytes of the buffer that are done with; the rest begins the next buffer
    state       the format's state, to be passed to the next call
    notes       comments and names met on the way
    damage      why nothing after `consumed` can be read, with byte offset and frame; None = nothing wrong so far
    """

    records: Records
    consumed: int
    state: Any
    notes: list[Note] = field(default_factory=list)
    damage: str | None = None


@dataclass(slots=True)
class RawBatch:
    """A buffer of capture bytes with its records, as the evidence edge hands it on.

    buffer           uint8 array with limits.BATCH_SLACK_BYTES of spare room after `length`, which the receiver may fill.
                     It is reused: edges/evidence.py says for how long it stays valid
    length           bytes of `buffer` that are filled
    base_offset      position of buffer[0] in the (decompressed) file
    evidence_id      number of the file in this run, from 1
    first_frame      frame number of records[0], from 1
    frames           frame number of each record where some were left out (a capture filter); None = one after the other
    chain            number of the flow state that these packets belong to, from 0: a file that begins after another ended
                     continues its chain; one that overlaps all others in time is another witness and begins a chain
    finished_chains  chains that no later packet of this run continues, said once: their flows can be closed before
                     this batch is read. Chains not named here end with the run
    """

    buffer: NDArray[np.uint8]
    length: int
    base_offset: int
    evidence_id: int
    first_frame: int
    records: Records
    chain: int = 0
    finished_chains: tuple[int, ...] = ()
    frames: NDArray[np.int64] | None = None

    def frame_numbers(self) -> NDArray[np.int64]:
        """The frame number of each record, ascending."""
        if self.frames is not None:
            return self.frames
        return np.arange(self.first_frame, self.first_frame + self.records.ts.size, dtype=np.int64)

    def only(self, keep: NDArray[np.bool_]) -> RawBatch:
        """The same batch without the records for which `keep` is false."""
        r = self.records
        records = Records(r.ts[keep], r.caplen[keep], r.wirelen[keep], r.offset[keep], r.link_type[keep])
        return replace(self, records=records, frames=self.frame_numbers()[keep])
