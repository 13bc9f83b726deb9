"""In: nothing. Out: the shape of an incident as it is handed to others: what every exchange format and report is made from.
Never here: a format (the other files of this folder), or a case on disk (the edge fills this shape).

Identifiers of what is exported are UUIDs version 5 from the case's own: exporting twice gives the same objects, so that a partner
who imports both has one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

PROGRAM: Final = "tracehound"


class Moment(NamedTuple):
    """One line of the timeline: when, which side of the story (network, host, mail, case), what kind, in words, where it is from."""

    ts_ns: int
    side: str
    kind: str
    what: str
    source: str


class Sign(NamedTuple):
    """An indicator: MISP's attribute type where there is one, its value, and the finding it comes from."""

    type: str
    value: str
    source: str


class Evidence(NamedTuple):
    name: str
    kind: str
    size_bytes: int
    sha256: str
    taken_ns: int
    taken_by: str


class Statement(NamedTuple):
    """A finding as it is shared."""

    finding_id: str
    kind: str
    host: str | None
    from_ns: int | None
    to_ns: int | None
    statement: str
    confidence: float
    technique: str | None


class Person(NamedTuple):
    role: str
    name: str
    contact: str | None
    organisation: str | None


class Standing(NamedTuple):
    """A hypothesis, what speaks against it (0 = nothing), and the weighed pieces of evidence as (mark, item, reason)."""

    statement: str
    against: int
    cells: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident. Times are ns UTC. `verdict` is the newest investigation as JSON values; `rules` are rules that detect it."""

    case_id: str
    number: int
    title: str
    status: str
    severity: str
    tlp: str
    opened_ns: int
    made_ns: int
    head: str
    version: str
    host: str | None = None
    source_port: int | None = None
    assignee: str | None = None
    resolution: str | None = None
    synthetic: str = ""
    summary: str = ""
    findings: tuple[Statement, ...] = ()
    signs: tuple[Sign, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    timeline: tuple[Moment, ...] = ()
    people: tuple[Person, ...] = ()
    techniques: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[tuple[int, str, str], ...] = ()
    hypotheses: tuple[Standing, ...] = ()
    host_changes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    verdict: dict[str, Any] = field(default_factory=dict)

    @property
    def start_ns(self) -> int | None:
        return min((f.from_ns for f in self.findings if f.from_ns is not None), default=None)

    @property
    def end_ns(self) -> int | None:
        return max((f.to_ns for f in self.findings if f.to_ns is not None), default=None)

    def uuid(self, *name: str) -> str:
        """The identifier of a part of the incident: always the same for the same part."""
        text = "/".join(name).encode("utf-8", "backslashreplace").decode("utf-8")
        return str(uuid.uuid5(uuid.UUID(self.case_id), text))


def probing(incident: Incident) -> dict[str, Any]:
    """The strongest probing of the verdict as JSON values; empty where there is none."""
    return next((f["probing"] for f in incident.verdict.get("findings", ()) if f.get("probing")), {})


def probing_parts(finding: dict[str, Any]) -> dict[str, Any]:
    """What a page shows of a probing finding of a verdict's JSON: all but its bins and its citations."""
    p = finding["probing"]
    left_out = ("timeline", "measures")
    return {"finding_id": finding["finding_id"], "confidence": finding["confidence"], **{k: v for k, v in p.items() if k not in left_out}}


def defanged(text: str) -> str:
    """An address or URL that nobody opens by accident; for prose only, machines get it as it is."""
    return text.replace("http://", "hxxp://").replace("https://", "hxxps://").replace(".", "[.]")
