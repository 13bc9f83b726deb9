"""In: a buffer of capture bytes with its records. Out: a `PacketBatch`: its packets, decoded as far as it goes.
Never here: flows, or a file.

Two passes: a kernel decodes every record (columns.py); what is rare, fragments and packets within packets, is looked at again
(nesting.py), and only then is a batch more than one row a record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch, Records
from tracehound.packets.batch import PacketBatch
from tracehound.packets.columns import Frames, decode_frames
from tracehound.packets.defrag import DefragState
from tracehound.packets.nesting import Layout, Level, gathered, unfold
from tracehound.tables import EVIDENCE_SHIFT


@dataclass(slots=True)
class DecodeState:
    """What decoding keeps between batches: fragments that wait, one set per evidence file."""

    verify_checksums: bool = False
    fragments: dict[int, DefragState] = field(default_factory=dict)


def _batch(raw: RawBatch, buffer: NDArray[np.uint8], columns: dict[str, NDArray[Any]], layout: Layout | None) -> PacketBatch:
    """Columns with those of the records that they came in; `layout` None: one row a record."""
    r = raw.records
    own: dict[str, NDArray[Any]] = {
        "packet_id": raw.frame_numbers() + (np.int64(raw.evidence_id) << EVIDENCE_SHIFT), "ts": r.ts, "caplen": r.caplen,
        "wirelen": r.wirelen, "file_offset": r.offset + raw.base_offset,
    }  # fmt: skip
    if layout is not None:
        own = {name: layout.of_records(column) for name, column in own.items()}
    return PacketBatch(buffer=buffer, **own, **columns)


def no_packets() -> PacketBatch:
    """A batch of no packets, of the same types as any other."""
    none = Records(*(np.empty(0, t) for t in (np.int64, np.int32, np.int32, np.int64, np.int32)))  # type: ignore[arg-type]
    return decode(RawBatch(np.empty(0, np.uint8), 0, 0, 1, 1, none), DecodeState())


def decode(raw: RawBatch, state: DecodeState) -> PacketBatch:
    """Decode one batch. The result shares `raw.buffer` (copied only where reassembled datagrams do not fit behind it)."""
    records = raw.records
    frames = Frames(records.offset, records.caplen, records.wirelen, records.link_type)
    blocks, rare = decode_frames(raw.buffer, frames, state.verify_checksums)
    if rare.size == 0:
        return _batch(raw, raw.buffer, blocks.columns(), None)
    n = records.offset.size
    level = Level(blocks, rare, np.arange(n, dtype=np.int64), np.ones(n, np.bool_))
    fragments = state.fragments.setdefault(raw.evidence_id, DefragState())
    work = unfold(raw.buffer, raw.length, level, records.ts, state.verify_checksums, fragments)
    if len(work.levels) == 1:
        return _batch(raw, work.buffer, blocks.columns(), None)
    layout, gathered_blocks = gathered(work.levels)
    return _batch(raw, work.buffer, gathered_blocks.columns(), layout)
