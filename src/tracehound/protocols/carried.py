"""In: the bytes of a file as a protocol carries it, in order. Out: a row of table `files`. Never here: where a protocol's file
begins or ends, or the writing of files (edges)."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from tracehound.protocols.body_kind import body_kind
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds

_HEAD_BYTES = 1024


class CarriedFile:
    """One file that a flow carries: counted, hashed and recognised as it passes.

    number         number of the file within its flow, from 0
    sent_by_src    whether the flow's src (client) sends it
    declared_type  MIME type that the sender claims, lower case, without parameters"""

    def __init__(
        self,
        ends: FlowEnds,
        service: str,
        number: int,
        *,
        sent_by_src: bool,
        ts_ns: int,
        packet_id: int,
        name: str | None = None,
        declared_type: str | None = None,
    ) -> None:
        self.name = name
        self.declared_type = declared_type
        self.bytes = 0
        self._ends = ends
        self._service = service
        self._number = number
        self._sent_by_src = sent_by_src
        self._ts_ns = ts_ns
        self._packet_id = packet_id
        self._head = b""
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._counts = np.zeros(256, np.int64)

    def add(self, data: bytes) -> None:
        """The next bytes, codings removed."""
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        self.bytes += len(data)
        self._sha256.update(data)
        self._md5.update(data)
        self._counts += np.bincount(np.frombuffer(data, np.uint8), minlength=256)

    @property
    def entropy(self) -> float | None:
        """Shannon entropy, bits per byte; None for an empty file."""
        if not self.bytes:
            return None
        share = self._counts[self._counts > 0] / self.bytes
        return max(0.0, -math.fsum((share * np.log2(share)).tolist()))

    def close(self, emit: Emit, *, complete: bool, note: str | None = None) -> None:
        """No more comes: hand out the row."""
        e = self._ends
        there = self.bytes > 0
        emit(
            "files",
            (
                e.flow_id << TXN_SHIFT | self._number, e.flow_id, self._ts_ns, e.originator, e.originator_port, e.responder,
                e.responder_port, self._service, self._sent_by_src, self.name, self.declared_type,
                body_kind(self._head, self.declared_type) if there else None, self.bytes,
                self._sha256.hexdigest() if there else None, self._md5.hexdigest() if there else None, self.entropy,
                complete, self._packet_id, note or None,
            ),
        )  # fmt: skip
