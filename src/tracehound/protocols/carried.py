"""In: the bytes of a file as a protocol carries it, in order. Out: a row of table `files`, and its content to whoever wants to
keep it. Never here: where a protocol's file begins or ends, or the writing of files (edges)."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from tracehound.limits import MAX_FACT_HEAD_BYTES, MAX_FACT_TAIL_BYTES, MAX_FACT_TOTAL_BYTES
from tracehound.protocols.body_kind import body_kind
from tracehound.protocols.file_facts import FACTS, file_facts
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds, Interest

_HEAD_BYTES = 1024
_COUNTED_AT_ONCE = 65_536


class _Details:
    """What only a look at the file as such needs: MD5, entropy, and as much of the content as its facts are read from."""

    __slots__ = ("_counts", "_interest", "_sampled", "_wanted", "head", "md5", "tail")

    def __init__(self, interest: Interest) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.head = bytearray()
        self.tail = b""
        self._counts: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None
        self._interest = interest
        self._sampled = 0
        self._wanted = True

    def add(self, data: bytes, kind_of: CarriedFile) -> None:
        self.md5.update(data)
        octets = np.frombuffer(data, np.uint8)
        # bincount makes eight octets of each.
        for at in range(0, octets.size, _COUNTED_AT_ONCE):
            counts = np.bincount(octets[at : at + _COUNTED_AT_ONCE], minlength=256)
            self._counts = counts if self._counts is None else self._counts + counts
        if self._wanted:
            self._sample(data, kind_of)

    def _sample(self, data: bytes, kind_of: CarriedFile) -> None:
        room = min(MAX_FACT_HEAD_BYTES - len(self.head), MAX_FACT_TOTAL_BYTES - self._interest.held_bytes)
        taken = data[: max(0, room)]
        self.head += taken
        self._sampled += len(taken)
        self._interest.held_bytes += len(taken)
        if len(data) > len(taken):
            self.tail = (self.tail + data[len(taken) :])[-MAX_FACT_TAIL_BYTES:]
        if len(self.head) >= _HEAD_BYTES and kind_of.kind_so_far() not in FACTS:
            self._wanted = False
            self.release()

    def release(self) -> None:
        """Let the sample go."""
        self._interest.held_bytes -= self._sampled
        self._sampled = 0
        self.head, self.tail = bytearray(), b""

    def entropy(self, size: int) -> float | None:
        """Shannon entropy, bits per byte; None for an empty file."""
        if self._counts is None or not size:
            return None
        share = self._counts[self._counts > 0] / size
        return max(0.0, -math.fsum((share * np.log2(share)).tolist()))


class CarriedFile:
    """One file that a flow carries: counted, hashed and recognised as it passes.

    number         number of the file within its flow, from 0
    sent_by_src    whether the flow's src (client) sends it
    declared_type  MIME type that the sender claims, lower case, without parameters
    is_file        False: only counted, hashed and recognised; it has no row of its own, and nobody keeps its content"""

    __slots__ = ("_details", "_ends", "_head", "_keep", "_kind", "_number", "_packet_id", "_sent_by_src", "_service", "_sha256",
                 "_ts_ns", "bytes", "declared_type", "is_file", "name")  # fmt: skip

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
        is_file: bool = True,
    ) -> None:
        self.name = name
        self.declared_type = declared_type
        self.bytes = 0
        self.is_file = is_file
        self._ends = ends
        self._service = service
        self._number = number
        self._sent_by_src = sent_by_src
        self._ts_ns = ts_ns
        self._packet_id = packet_id
        self._head = b""
        self._sha256 = hashlib.sha256()
        self._kind: str | None = None
        interest = ends.interest
        self._keep = interest.keep if is_file else None
        self._details = _Details(interest) if interest.details and is_file else None

    @property
    def txn_id(self) -> int:
        return self._ends.flow_id << TXN_SHIFT | self._number

    def add(self, data: bytes) -> None:
        """The next bytes, codings removed."""
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        self.bytes += len(data)
        self._sha256.update(data)
        if self._details is not None and data:
            self._details.add(data, self)
        if self._keep is not None and data:
            self._keep(self.txn_id, data)

    @property
    def head(self) -> bytes:
        """The first bytes, 1,024 at most."""
        return self._head

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the bytes so far; None while there are none."""
        return self._sha256.hexdigest() if self.bytes else None

    def kind_so_far(self) -> str:
        """What the first bytes say; to be asked once they are there."""
        if self._kind is None:
            self._kind = body_kind(self._head, self.declared_type)
        return self._kind

    @property
    def kind(self) -> str | None:
        """What the first bytes say the finished file is; None for an empty one."""
        return self.kind_so_far() if self.bytes else None

    @property
    def entropy(self) -> float | None:
        """Shannon entropy, bits per byte; None for an empty file, or where details are not wanted."""
        return None if self._details is None else self._details.entropy(self.bytes)

    def close(self, emit: Emit, *, complete: bool, note: str | None = None) -> None:
        """No more comes: hand out the row."""
        e = self._ends
        details = self._details
        md5 = entropy = facts = None
        if details is not None:
            if self.bytes:
                md5, entropy = details.md5.hexdigest(), details.entropy(self.bytes)
                facts = file_facts(self.kind_so_far(), bytes(details.head), details.tail, self.bytes)
            details.release()
        emit(
            "files",
            (
                self.txn_id, e.flow_id, self._ts_ns, e.originator, e.originator_port, e.responder,
                e.responder_port, self._service, self._sent_by_src, self.name, self.declared_type,
                self.kind, self.bytes, self.sha256, md5, entropy, facts, None,
                complete, self._packet_id, note or None,
            ),
        )  # fmt: skip
