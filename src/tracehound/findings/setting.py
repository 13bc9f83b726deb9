"""In: nothing. Out: the shape of what a judge of findings knows beside its detector's answer, and what findings and
look-alikes have in common. Never here: a judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracehound.findings.citations import Citer
from tracehound.findings.model import Citation, Confidence, Finding, Innocent

Row = Mapping[str, Any]
Judged = tuple[list[Finding], list[Innocent]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of the run.

    first_ns, last_ns  bounds of the evidence
    home               home hosts; empty = not known
    hosts              how many home hosts reached something
    accused            (host, protocol, port; None = all ports) that are findings already
    roles              answer of host_roles by host
    host               the only host that is asked about
    packets            whether there are packets behind the flows"""

    first_ns: int
    last_ns: int
    home: frozenset[str]
    hosts: int
    citer: Citer
    detector: str
    technique: str | None
    accused: frozenset[tuple[str, int, int | None]] = frozenset()
    roles: Mapping[str, Row] = field(default_factory=dict)
    host: str | None = None
    packets: bool = True

    def asked(self, *hosts: str | None) -> bool:
        """Whether one of these hosts is asked about."""
        return self.host is None or self.host in hosts

    def outside(self, host: str) -> bool:
        return bool(self.home) and host not in self.home

    def cite(self, row: Row) -> list[Citation]:
        """The flows (with their packets) of a row that names some."""
        packets: Sequence[int | None] = row.get("packet_ids") or [None] * len(row["flow_ids"])
        return [
            self.citer.packet(packet, flow_id=flow) for packet, flow in zip(packets, row["flow_ids"], strict=False)
        ]

    def finding(
        self,
        kind: str,
        serial: int,
        host: str | None,
        span: tuple[int, int],
        statement: str,
        confidence: Confidence,
        citations: Sequence[Citation],
        total: int | None = None,
    ) -> Finding:
        return Finding(
            finding_id=f"{kind}-{serial}",
            kind=kind,
            host=host,
            from_ns=span[0],
            to_ns=span[1],
            statement=statement,
            confidence=confidence,
            citations=self.citer.some(citations, total),
            detector=self.detector,
            technique=self.technique,
        )


@dataclass(frozen=True, slots=True)
class Oddities:
    """What honest software seldom does, each with its weight."""

    odd: tuple[tuple[float, str], ...]

    @classmethod
    def of(cls, told: Sequence[tuple[bool, float, str]]) -> Oddities:
        """Those that hold, of (holds, weight, words)."""
        return cls(tuple((weight, text) for holds, weight, text in told if holds))

    @property
    def signs(self) -> tuple[str, ...]:
        return tuple(text for _weight, text in self.odd)

    @property
    def weight(self) -> float:
        return sum(weight for weight, _text in self.odd)
