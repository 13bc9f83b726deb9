"""In: the ordered bytes of a flow that carries one file and nothing else. Out: its row in table `files`. Never here: what announced
the flow, or how it is named; that session fills the Transfer, before the flow's bytes or after."""

from __future__ import annotations

from dataclasses import dataclass

from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk


@dataclass(slots=True)
class Transfer:
    """What is known of the file beside its bytes.

    size    bytes that were announced; None = until the connection ends"""

    service: str
    name: str | None = None
    note: str | None = None
    size: int | None = None
    taken: bool = False


class TransferSession:
    """A session of one connection that carries one file. Where both ends send, the side that speaks first carries the file."""

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit, transfer: Transfer) -> None:
        self.finished = False
        self._transfer = transfer
        self._emit = emit
        self._sender = chunk.from_originator
        packet_id, ts_ns = chunk.segments.packet_at(chunk.offset)
        self._file = CarriedFile(
            ends, transfer.service, 0, sent_by_src=chunk.from_originator, ts_ns=ts_ns, packet_id=packet_id, name=transfer.name
        )
        self._whole = True
        transfer.taken = True

    def feed(self, chunk: Chunk) -> None:
        if chunk.from_originator != self._sender:
            return
        self._whole &= not chunk.gap_before
        self._file.add(chunk.data)

    def close(self, note: str) -> None:
        transfer = self._transfer
        self._file.name = transfer.name
        whole = self._whole and (transfer.size is None or self._file.bytes >= transfer.size)
        notes = [note, transfer.note or "", "" if self._whole else "bytes are missing"]
        self._file.close(self._emit, complete=whole, note="; ".join(filter(None, notes)))
