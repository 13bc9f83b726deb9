"""In: the bytes of an nfdump file (nfcapd, nfpcapd, sfcapd): layout 1 of nfdump 1.5 and 1.6, layout 2 of 1.7, blocks plain or
packed with LZO, LZ4, bzip2 or Zstandard. Out: blocks of records, one direction each. Never here: the records inside
(nfdump_records.py).

Layouts: nfdump's nffile.h and nffileV2.h. Layout 1: header of 140 bytes, statistics of 136, blocks; layout 2: header of 40 bytes,
blocks, of which the last (the appendix) hold words about the file."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import lzo
from tracehound.flowlogs import nfdump_records as r
from tracehound.flowlogs.one_way import (
    RECORD,
    REPLY_BYTES,
    REPLY_PKTS,
    SAMPLING,
    UNKNOWN_RATE,
    Records,
    block,
    empty,
)
from tracehound.flowlogs.reader import Block, Format, Options, Took
from tracehound.packets.addresses import address_text, dictionary

MAGIC: Final = 0xA50C
_HEADER: Final = {1: 140 + 136, 2: 40}
_BLOCK_HEADER: Final = 12
_FLOW_BLOCKS: Final = {1: (2,), 2: (3,)}
"""Block types that hold flow records; 1 is nfdump 1.5's, which nfdump itself no longer reads."""


def _unlz4(data: bytes, limit: int) -> bytes:
    import lz4.block

    out: bytes = lz4.block.decompress(data, uncompressed_size=limit)
    return out


def _unbz2(data: bytes, limit: int) -> bytes:
    d = bz2.BZ2Decompressor()
    out = d.decompress(data, max_length=limit)
    if not d.eof:
        raise ValueError("bzip2 data is cut or too long")
    return out


def _unzstd(data: bytes, limit: int) -> bytes:
    import zstandard

    # A frame may name a content size that nobody has memory for.
    size = zstandard.frame_content_size(data)
    if size > limit:
        raise ValueError(f"Zstandard data says that it holds {size} bytes")
    unpacked: bytes = zstandard.ZstdDecompressor(max_window_size=limits.MAX_NFDUMP_BLOCK_BYTES).decompress(data, max_output_size=limit)
    return unpacked


_UNPACK: Final[dict[int, tuple[str, Callable[[bytes, int], bytes]]]] = {
    1: ("LZO", lzo.decompress),
    2: ("bzip2", _unbz2),
    3: ("LZ4", _unlz4),
    4: ("Zstandard", _unzstd),
}
_LAYOUT_1_PACKING: Final = {0x01: 1, 0x08: 2, 0x10: 3}
"""Bits of layout 1's file flags -> packing."""


class NfdumpFile:
    """Reader of one nfdump file."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._base = 0
        self._layout = 0
        self._big = False
        self._packing = 0
        self._maps = r.new_maps()
        self._exporters: dict[int, str] = {}
        self._records = 0
        self._blocks: list[Block] = []

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        at, damage = 0, None
        if self._layout == 0:
            at, damage = self._header(buffer, length)
        while self._layout and damage is None and at + _BLOCK_HEADER <= length:
            records, size, kind, flags = self._block_header(buffer, at)
            if size > limits.MAX_NFDUMP_BLOCK_BYTES:
                damage = f"{self._place(at)}: a block of {size} bytes"
                break
            if at + _BLOCK_HEADER + size > length:
                break
            damage = self._block(buffer[at + _BLOCK_HEADER : at + _BLOCK_HEADER + size], at, records, kind, flags)
            if damage is not None:
                break
            at += _BLOCK_HEADER + size
        if damage is None and final and at < length:
            damage = f"{self._place(at)}: the last block is cut after {length - at} bytes"
            if self._layout and at + _BLOCK_HEADER <= length:
                self._cut_block(buffer[at:length], at)
        blocks, self._blocks = self._blocks, []
        self._base += at
        return Took(at, blocks, damage)

    def _place(self, at: int) -> str:
        return f"byte {self._base + at}, record {self._records + 1}"

    def _number(self, buffer: NDArray[np.uint8], at: int, size: int) -> int:
        return int.from_bytes(buffer[at : at + size].tobytes(), "big" if self._big else "little")

    def _header(self, buffer: NDArray[np.uint8], length: int) -> tuple[int, str | None]:
        if length < 12:
            return 0, None
        self._big = bool(buffer[0] == MAGIC >> 8)
        layout = self._number(buffer, 2, 2)
        if layout not in _HEADER:
            return 0, f"byte 2: layout {layout} of nfdump is not known here (1 and 2 are)"
        if length < _HEADER[layout]:
            return 0, None
        if layout == 1:
            flags = self._number(buffer, 4, 4)
            self._packing = next((code for bit, code in _LAYOUT_1_PACKING.items() if flags & bit), 0)
        else:
            # magic, version, nfversion, created (8 bytes), compression, encryption
            self._packing = int(buffer[16])
            if buffer[17]:
                return 0, "byte 17: the file is encrypted"
        if self._packing and self._packing not in _UNPACK:
            return 0, f"blocks are packed in a way (number {self._packing}) that is not known here: unpack with nfdump -J 0"
        self._layout = layout
        return _HEADER[layout], None

    def _block_header(self, buffer: NDArray[np.uint8], at: int) -> tuple[int, int, int, int]:
        """records, bytes behind this header, type, flags"""
        n = self._number
        return n(buffer, at, 4), n(buffer, at + 4, 4), n(buffer, at + 8, 2), n(buffer, at + 10, 2)

    def _block(self, data: NDArray[np.uint8], at: int, records: int, kind: int, flags: int) -> str | None:
        if kind not in _FLOW_BLOCKS[self._layout]:
            return None
        place = self._base + at + _BLOCK_HEADER
        # "flags: 1 - block uncompressed", although the file is packed
        if self._packing and not flags & 1:
            name, unpack = _UNPACK[self._packing]
            try:
                raw = unpack(data.tobytes(), limits.MAX_NFDUMP_BLOCK_BYTES)
            except Exception as problem:  # each library has errors of its own
                return f"{self._place(at)}: a block packed with {name} cannot be unpacked: {problem}"
            self._read(np.frombuffer(bytearray(raw), dtype=np.uint8), None)
        else:
            self._read(data, place)
        return None

    def _cut_block(self, data: NDArray[np.uint8], at: int) -> None:
        """What is whole of a block that the end of the file cuts; a packed one gives nothing."""
        _, _, kind, flags = self._block_header(data, 0)
        if kind in _FLOW_BLOCKS[self._layout] and (not self._packing or flags & 1):
            self._read(data[_BLOCK_HEADER:], self._base + at + _BLOCK_HEADER, cut=True)

    def _read(self, data: NDArray[np.uint8], place: int | None, *, cut: bool = False) -> None:
        """Read the records of one block; `place` is where it begins in the file, None for what was packed."""
        at, size = 0, data.size
        data = np.ascontiguousarray(data)
        while at + 4 <= size:
            room = min(limits.LOG_ROWS_AT_ONCE, (size - at) // 12 + 1)
            out, offset = empty(room), np.empty(room, dtype=np.int64)
            extra = np.zeros((r.EXTRA_FIELDS, room), dtype=np.int64)
            n, skipped, stop, why = r.read_block(data, at, size, self._big, self._maps, out, offset, extra)
            if skipped:
                self._count("records that tell of no flow", int(skipped), "records of the log that are no flows")
            if n:
                self._emit(out[:, :n], None if place is None else offset[:n] + place, extra[:, :n])
            at = int(stop)
            if why == 1:
                at += self._learn(data, at)
            elif why == -1:
                if not cut:
                    self._count("damaged blocks", 1, "blocks of which only the records before a damaged one were read")
                return

    def _count(self, item: str, n: int, note: str) -> None:
        self.counts[item] = (self.counts.get(item, (0, None))[0] + n, note)

    def _learn(self, data: NDArray[np.uint8], at: int) -> int:
        """Extension maps and exporters; returns the record's size."""
        kind, size = self._number(data, at, 2), self._number(data, at + 2, 2)
        record = data[at : at + size]
        if kind == r.EXTENSION_MAP:
            r.learn_map(record.tobytes(), self._maps, big=self._big)
        elif size >= 32 and len(self._exporters) < limits.MAX_EXPORTERS:
            # header, version (4), address (16), family (2), number (2), id (4)
            family, number = self._number(record, 24, 2), self._number(record, 26, 2)
            if family == 2:
                lo = self._number(record, 12 if self._big and self._layout == 1 else 16, 4)
                self._exporters[number] = address_text(0, lo, 4)
            else:
                self._exporters[number] = address_text(self._number(record, 8, 8), self._number(record, 16, 8), 6)
        return size

    def _emit(self, records: Records, offset: NDArray[np.int64] | None, extra: NDArray[np.int64]) -> None:
        n = records.shape[1]
        records[RECORD] = np.arange(self._records + 1, self._records + n + 1)
        self._records += n
        for field, other in ((REPLY_PKTS, REPLY_BYTES), (REPLY_BYTES, REPLY_PKTS)):
            records[field] = np.where((records[field] < 0) & (records[other] >= 0), np.minimum(records[other], 1), records[field])
        records[SAMPLING] = np.where(extra[r.X_RECORD_SAMPLED] > 0, UNKNOWN_RATE, 1)
        sampled = int(extra[r.X_RECORD_SAMPLED].sum())
        if sampled:
            note = "the exporter looked at a part of the packets only; nfdump does not keep which part, and has scaled the counts"
            self._count("sampled records", sampled, note)
        made = block(records, "nfdump", offset)
        sensors = self._sensors(extra[r.X_RECORD_EXPORTER])
        if sensors is not None:
            made.texts = {**made.texts, "sensor": sensors}
        self._blocks.append(made)

    def _sensors(self, numbers: NDArray[np.int64]) -> pa.Array | None:
        if not self._exporters:
            return None
        known = sorted(self._exporters)
        place = np.searchsorted(known, numbers).clip(0, len(known) - 1)
        missing = np.asarray(known)[place] != numbers
        return dictionary(place, [self._exporters[k] for k in known], missing)


def recognise(head: bytes) -> bool:
    """nfdump's magic number in either byte order, and a layout."""
    return head[:4] in (b"\x0c\xa5\x01\x00", b"\x0c\xa5\x02\x00", b"\xa5\x0c\x00\x01", b"\xa5\x0c\x00\x02")


def _open_file(head: bytes, options: Options) -> NfdumpFile:
    return NfdumpFile()


FORMAT: Final = Format(recognise, _open_file)
