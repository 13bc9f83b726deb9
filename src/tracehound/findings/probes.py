"""In: the answer of probe_attempts, an Arrow table in order of time. Out: the same as numpy columns, with the targets as
numbers. Never here: judgement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.findings.citations import Citer, evenly
from tracehound.findings.model import Citation, Citations

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Probes:
    """The attempts of one suspect, in order of time (arrays of one length).

    target      index into `targets`, which are numbered in order of first contact
    outcome     index into `outcomes`
    *           a header field that the evidence does not have is -1
    stride      1, or: one run of flows in `stride` was taken"""

    targets: tuple[str, ...]
    outcomes: tuple[str, ...]
    target: Ints
    outcome: Ints
    start_ns: Ints
    end_ns: Ints
    sport: Ints
    dport: Ints
    tries: Ints
    payload_src: Ints
    payload_dst: Ints
    icmp_type: Ints
    icmp_code: Ints
    ttl: Ints
    seq: Ints
    window: Ints
    options: Ints
    ip_id: Ints
    flags: Ints
    flow_id: Ints
    evidence_id: Ints
    packet_id: Ints
    last_packet_id: Ints
    stride: int = 1

    def __len__(self) -> int:
        return len(self.start_ns)

    def mask(self, outcome: str) -> NDArray[np.bool_]:
        """Which attempts had this outcome."""
        if outcome not in self.outcomes:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(self.outcome == self.outcomes.index(outcome), dtype=np.bool_)

    def cite(self, citer: Citer, which: NDArray[np.bool_] | None = None, total: int | None = None) -> Citations:
        """Citations of the attempts in `which` (all when None), evenly over time."""
        rows = np.arange(len(self)) if which is None else np.nonzero(which)[0]
        shown = [self.citation(citer, int(rows[p])) for p in evenly(len(rows), limits.MAX_CITATIONS)]
        return Citations(tuple(shown), len(rows) if total is None else total)

    def citation(self, citer: Citer, row: int, note: str = "") -> Citation:
        packet = int(self.packet_id[row])
        return citer.packet(
            None if packet < 0 else packet,
            flow_id=int(self.flow_id[row]),
            ts_ns=int(self.start_ns[row]),
            evidence_id=int(self.evidence_id[row]),
            note=note,
        )


def from_table(table: pa.Table, stride: int = 1) -> Probes:
    """Columns of one suspect's attempts; text becomes numbers."""

    def ints(name: str) -> Ints:
        column = pc.fill_null(pc.cast(table[name], pa.int64()), -1)
        return np.asarray(column.to_numpy(), dtype=np.int64)

    outcome = table["outcome"].combine_chunks().dictionary_encode()
    names: list[str] = table["dst"].to_pylist()
    numbers: dict[str, int] = {}
    target = np.fromiter((numbers.setdefault(n, len(numbers)) for n in names), dtype=np.int64, count=len(names))
    return Probes(
        targets=tuple(numbers),
        outcomes=tuple(outcome.dictionary.to_pylist()),
        target=target,
        outcome=np.asarray(outcome.indices.to_numpy(zero_copy_only=False), dtype=np.int64),
        start_ns=ints("start_ns"),
        end_ns=ints("end_ns"),
        sport=ints("sport"),
        dport=ints("dport"),
        tries=ints("tries"),
        payload_src=ints("payload_src"),
        payload_dst=ints("payload_dst"),
        icmp_type=ints("icmp_type"),
        icmp_code=ints("icmp_code"),
        ttl=ints("ttl_src"),
        seq=ints("syn_seq"),
        window=ints("syn_window"),
        options=ints("syn_options"),
        ip_id=ints("ip_id_src"),
        flags=ints("tcp_flags_src"),
        flow_id=ints("flow_id"),
        evidence_id=ints("evidence_id"),
        packet_id=ints("first_packet_id"),
        last_packet_id=ints("last_packet_id"),
        stride=stride,
    )
