"""In: packet, flow and transaction ids. Out: citations that name file and frame. Never here: what they prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracehound import limits, tables
from tracehound.findings.model import Citation, Citations


def evenly(total: int, wanted: int) -> list[int]:
    """At most `wanted` places out of `total`, first and last among them."""
    if total <= wanted:
        return list(range(total))
    return sorted({round(n * (total - 1) / (wanted - 1)) for n in range(wanted)})


class Citer:
    """Turns ids into citations; `files` maps evidence_id to the path as it was given."""

    def __init__(self, files: Mapping[int, str]) -> None:
        self.files = dict(files)

    def packet(
        self,
        packet_id: int | None,
        *,
        flow_id: int | None = None,
        http_txn_id: int | None = None,
        dns_txn_id: int | None = None,
        ts_ns: int | None = None,
        note: str = "",
        evidence_id: int | None = None,
    ) -> Citation:
        """One citation; without a packet (flow logs) it names the file and the flow."""
        number = evidence_id if packet_id is None else packet_id >> tables.EVIDENCE_SHIFT
        return Citation(
            file=self.files.get(number or 0, ""),
            frame=None if packet_id is None else packet_id & tables.FRAME_MASK,
            flow_id=flow_id,
            http_txn_id=http_txn_id,
            dns_txn_id=dns_txn_id,
            ts_ns=ts_ns,
            note=note,
        )

    def some(self, citations: Sequence[Citation], total: int | None = None) -> Citations:
        """At most limits.MAX_CITATIONS of them, evenly over the whole, and how many there are."""
        places = evenly(len(citations), limits.MAX_CITATIONS)
        return Citations(tuple(citations[p] for p in places), len(citations) if total is None else total)
