"""In: nothing. Out: the shapes of a verdict: findings with citations, and the answers to the officer's questions.
Never here: how they are found (the other files of this folder) or shown (report/).

Everything is plain data: `as_dict` gives what `--json` prints, with times as RFC 3339 text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Citation:
    """One piece of evidence: a packet by file and frame, and the flow or transaction it belongs to."""

    file: str
    frame: int | None = None
    flow_id: int | None = None
    http_txn_id: int | None = None
    dns_txn_id: int | None = None
    ts_ns: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Citations:
    """Some citations and how many there are in all (limits.MAX_CITATIONS are kept)."""

    shown: tuple[Citation, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Confidence:
    """`value` 0..1 and the reasons it rests on, strongest first, each a phrase with its figure."""

    value: float
    reasons: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        return "high" if self.value >= 0.8 else "medium" if self.value >= 0.5 else "low"


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many attempts had one outcome; `detail` splits it (ICMP code, HTTP status, silent, not HTTP...)."""

    outcome: str
    attempts: int
    share: float
    targets: int
    detail: tuple[tuple[str, int], ...] = ()
    citations: Citations = Citations()


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """One kind of answer that probes got: HTTP status with body kind, or the first bytes of another protocol.

    `preview` holds the first bytes, one character a byte (latin-1), so that a report can choose text or hex."""

    label: str
    count: int
    targets: int
    status: int | None = None
    body_kind: str | None = None
    bytes_min: int | None = None
    bytes_max: int | None = None
    sha256: str | None = None
    preview: str = ""
    citations: Citations = Citations()


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """A piece of the request template: `constant` text, or a variable part with the class that covers all samples.

    where       request line, header name, body, or payload
    text        the constant text, or the class, for instance digit{9}, hex{8}, target address, timestamp, free
    """

    where: str
    text: str
    constant: bool
    examples: tuple[str, ...] = ()
    distinct: int = 1


@dataclass(frozen=True, slots=True)
class Template:
    """What the probes have in common, aligned over `samples` requests."""

    protocol: str
    samples: int
    parts: tuple[TemplatePart, ...]
    length_min: int
    length_max: int
    headers_present: tuple[str, ...] = ()
    headers_sometimes: tuple[str, ...] = ()
    headers_absent: tuple[str, ...] = ()
    text: str = ""
    note: str = ""
    citations: Citations = Citations()


@dataclass(frozen=True, slots=True)
class Stack:
    """How the sender's TCP/IP stack behaves: an ordinary one, or packets made by hand."""

    verdict: str
    source_ports: str
    syn_retries: str
    retry_counts: tuple[tuple[int, int], ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Targets that share a network, provider, country or class."""

    name: str
    targets: int
    attempts: int
    share: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """Who the targets are. `access_share` counts the targets taken as access lines (cable, DSL, dial-up, mobile)."""

    targets: int
    networks: tuple[TargetGroup, ...] = ()
    providers: tuple[TargetGroup, ...] = ()
    countries: tuple[TargetGroup, ...] = ()
    classes: tuple[TargetGroup, ...] = ()
    access_share: float | None = None
    access_reason: str = ""
    spread: str = ""
    order: str = ""
    revisits: str = ""
    table_date: str = ""
    named: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transfer just before a turning point that may have caused it; `preview` as in AnswerKind."""

    rank: int
    score: float
    ts_ns: int
    seconds_before: float
    what: str
    peer: str
    status: int | None = None
    body_kind: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    preview: str = ""
    judgement: str = ""
    reasons: tuple[str, ...] = ()
    placebo_p: float | None = None
    citations: Citations = Citations()


@dataclass(frozen=True, slots=True)
class TurningPoint:
    """When the behaviour changed: `change` is began or stopped; the bracket is the last event before and first after.

    at_edge: the behaviour simply runs to the edge of the evidence, so nothing is known about a change there."""

    change: str
    ts_ns: int
    bracket_from_ns: int | None = None
    bracket_to_ns: int | None = None
    at_edge: bool = False
    statement: str = ""
    candidates: tuple[Candidate, ...] = ()
    citations: Citations = Citations()


@dataclass(frozen=True, slots=True)
class IndicatorHit:
    """One indicator of a profile: matched, contradicted or not observable in this evidence; with its weight."""

    kind: str
    value: str
    state: str
    weight: float
    where: str = ""
    citations: Citations = Citations()
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """How well the behaviour fits one known malware; `tier` is confirmed, likely, possible or none."""

    family: str
    tier: str
    score: float
    probability: float
    coverage: float
    indicators: tuple[IndicatorHit, ...] = ()
    sources: tuple[str, ...] = ()
    runner_up: str = ""
    explanation: str = ""
    category: str = "malware"
    summary: str = ""


@dataclass(frozen=True, slots=True)
class TimelineBin:
    """Attempts in one bin of time, by outcome."""

    start_ns: int
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Probing:
    """Everything about one host that probes one service: the flagship answer (questions 1 to 6)."""

    host: str
    service: str
    proto: int
    dport: int | None
    shape: str
    start_ns: int
    end_ns: int
    attempts: int
    targets: int
    attempts_per_min: float
    new_targets_per_min: float
    active_share: float
    order: str
    revisits: str
    stack: Stack
    outcomes: tuple[OutcomeCount, ...]
    answers: tuple[AnswerKind, ...]
    template: Template | None
    target_summary: TargetSummary
    turning_points: tuple[TurningPoint, ...]
    identities: tuple[Identity, ...]
    timeline: tuple[TimelineBin, ...]
    bin_ns: int
    measures: tuple[tuple[str, str], ...] = ()
    payload_seen: bool = True
    """Whether the evidence could hold what the probes send: flow logs cannot."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of the verdict."""

    finding_id: str
    kind: str
    host: str | None
    from_ns: int | None
    to_ns: int | None
    statement: str
    confidence: Confidence
    citations: Citations
    detector: str
    technique: str | None = None
    probing: Probing | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Innocent:
    """A host that looks similar and was let go, with the reason: look-alikes stay innocent, visibly."""

    host: str
    looked_like: str
    reason: str
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class QualityItem:
    """One line of the capture-quality record."""

    item: str
    count: int
    note: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One file of evidence, as the report names it."""

    path: str
    kind: str
    size_bytes: int | None
    sha256: str | None
    packets: int
    start_ns: int | None
    end_ns: int | None
    damage: str | None = None
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class DraftedRule:
    """A rule that was drafted for what a host did; or, where `rule` is empty, why there is none (refused) and what it would take (needs).

    kind      which requests it is made of
    samples   how many of them; total: how many there are
    notes     what a reader must know of it
    measured  what the engine found on the evidence (lab/trial.as_dict of it); None = not tried
    table     the same as text, or why it was not tried"""

    kind: str
    samples: int
    total: int = 0
    rule: str = ""
    sid: int | None = None
    notes: tuple[str, ...] = ()
    measured: dict[str, Any] | None = None
    table: str = ""
    refused: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: a sentence, the findings behind it, those let go, what could not be answered, and how it was found."""

    summary: str
    findings: tuple[Finding, ...]
    innocents: tuple[Innocent, ...]
    unanswerable: tuple[tuple[str, str], ...]
    quality: tuple[QualityItem, ...]
    evidence: tuple[EvidenceItem, ...]
    home_networks: tuple[str, ...]
    home_reason: str
    counts: tuple[tuple[str, int], ...]
    method: tuple[str, ...]
    version: str
    synthetic: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    looked_for: tuple[str, ...] = ()
    drafted_rules: tuple[DraftedRule, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def probing(self) -> tuple[Probing, ...]:
        return tuple(f.probing for f in self.findings if f.probing is not None)


def rfc3339(ns: int) -> str:
    """Nanoseconds since 1970 UTC as RFC 3339 text with nine digits and Z."""
    seconds, rest = divmod(ns, 1_000_000_000)
    import datetime

    stamp = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def as_dict(value: Any) -> Any:
    """A verdict (or a part of it) as plain dicts, lists, text and numbers; a field `x_ns` becomes text under `x`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        for f in dataclasses.fields(value):
            item = getattr(value, f.name)
            if f.name.endswith("_ns") and f.name != "bin_ns":
                out[f.name.removesuffix("_ns")] = None if item is None else rfc3339(item)
            else:
                out[f.name] = as_dict(item)
        return out
    if isinstance(value, tuple | list):
        return [as_dict(v) for v in value]
    if isinstance(value, dict):
        return {k: as_dict(v) for k, v in value.items()}
    return value
