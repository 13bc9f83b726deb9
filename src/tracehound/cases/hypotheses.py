"""In: hypotheses of a case, and how pieces of evidence bear on them; a verdict. Out: the table of competing hypotheses, which of
them the evidence speaks against least, and the cells that the evidence itself can fill. Never here: keeping them.

The method is Heuer's analysis of competing hypotheses (Psychology of Intelligence Analysis, 1999, chapter 8): evidence is weighed
across all hypotheses, a hypothesis is ranked by what speaks AGAINST it, and evidence that fits all of them equally decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tracehound.findings.model import Probing, Verdict

MARKS: Final[dict[str, str]] = {
    "CC": "very consistent",
    "C": "consistent",
    "N": "neutral",
    "I": "inconsistent",
    "II": "very inconsistent",
    "NA": "not applicable",
}
AGAINST: Final[dict[str, int]] = {"I": 1, "II": 2}
"""What a mark counts against a hypothesis; consistency proves nothing and counts nothing."""
_ENGINE: Final = "tracehound"
_MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence: its mark for each hypothesis ('' where nobody weighed it). `decides` is false where all marks agree."""

    item: str
    marks: tuple[str, ...]
    reasons: tuple[str, ...]
    decides: bool


@dataclass(frozen=True, slots=True)
class Competition:
    """The table. `against` is the sum of what speaks against each hypothesis; `order` lists them, least contradicted first."""

    hypotheses: tuple[tuple[int, str], ...]
    rows: tuple[Row, ...]
    against: tuple[int, ...]
    order: tuple[int, ...]
    unweighed: tuple[int, ...]


def compete(hypotheses: Sequence[Mapping[str, Any]], weighings: Iterable[Mapping[str, Any]]) -> Competition:
    """The table of a case's rows `hypotheses` and `weighings`."""
    ids = [int(h["hypothesis_id"]) for h in hypotheses]
    place = {number: i for i, number in enumerate(ids)}
    marks: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for w in weighings:
        if w["hypothesis_id"] in place:
            marks.setdefault(w["item"], [""] * len(ids))[place[w["hypothesis_id"]]] = w["mark"]
            reasons.setdefault(w["item"], [""] * len(ids))[place[w["hypothesis_id"]]] = w["reason"]
    rows = tuple(
        Row(item, tuple(m), tuple(reasons[item]), len({AGAINST.get(x, 0) for x in m if x and x != "NA"}) > 1)
        for item, m in marks.items()
    )
    against = tuple(sum(AGAINST.get(r.marks[i], 0) for r in rows) for i in range(len(ids)))
    unweighed = tuple(sum(not r.marks[i] for r in rows) for i in range(len(ids)))
    order = tuple(sorted(range(len(ids)), key=lambda i: (against[i], ids[i])))
    return Competition(tuple((n, str(h["statement"])) for n, h in zip(ids, hypotheses, strict=True)), rows, against, order, unweighed)


# -- what the engine can test itself ----------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that the evidence fills: the piece of evidence, its mark, and why."""

    item: str
    mark: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A hypothesis that the engine can test, and what the evidence says of it."""

    statement: str
    cells: tuple[Cell, ...]


def _share(p: Probing, outcome: str) -> float:
    return sum(o.share for o in p.outcomes if o.outcome == outcome)


def _referer(p: Probing, *, sent: str, absent: str) -> list[Cell]:
    t = p.template
    if t is None or t.protocol != "http":
        return []
    lower = {h.lower() for h in t.headers_present}
    if "referer" in lower:
        return [Cell("a Referer is sent", sent, f"present in all {t.samples:,} requests")]
    if "referer" in {h.lower() for h in t.headers_absent}:
        return [Cell("no Referer is sent", absent, f"absent from all {t.samples:,} requests")]
    return []


def _access(p: Probing, *, mostly: str, seldom: str) -> list[Cell]:
    share = p.target_summary.access_share
    if share is None:
        return []
    many = share >= _MOSTLY
    return [Cell("targets are access lines", mostly if many else seldom, f"{share:.0%} of {p.targets:,} targets")]


def _answers(p: Probing, *, payload: str, silent: str) -> list[Cell]:
    answered = _share(p, "answered")
    sizes = [a.bytes_max or 0 for a in p.answers if a.status is not None and 200 <= a.status < 300]
    if answered == 0:
        return [Cell("nothing is handed out", silent, "no attempt was answered with payload")]
    if sizes and max(sizes) > 0:
        return [Cell("answers carry payload", payload, f"2xx answers of up to {max(sizes):,} bytes; {answered:.0%} of attempts answered")]
    return [Cell("answers carry no payload", silent, f"{answered:.0%} of attempts answered, none of them 2xx with a body")]


def _pace(p: Probing, *, steady: str, hasty: str) -> list[Cell]:
    slow = p.attempts_per_min < 60
    return [Cell("pace", steady if slow else hasty, f"{p.attempts_per_min:.1f} attempts a minute")]


def _list(p: Probing, *, fixed: str, growing: str) -> list[Cell]:
    again = p.attempts >= 3 * max(p.targets, 1)
    return [Cell("the same targets again and again", fixed if again else growing, f"{p.attempts:,} attempts on {p.targets:,} targets")]


_TESTED: Final[tuple[tuple[str, Callable[[Probing], list[Cell]]], ...]] = (
    (
        "The requests earn money with affiliate clicks",
        lambda p: [
            *_referer(p, sent="C", absent="I"), *_access(p, mostly="II", seldom="C"), *_answers(p, payload="C", silent="I"),
            *_pace(p, steady="N", hasty="C"),
        ],
    ),
    (
        "The requests fetch updates or orders from other infected hosts",
        lambda p: [
            *_referer(p, sent="I", absent="C"), *_access(p, mostly="CC", seldom="I"), *_answers(p, payload="CC", silent="I"),
            *_list(p, fixed="CC", growing="I"), *_pace(p, steady="C", hasty="I"),
        ],
    ),
    (
        "The host looks for new victims",
        lambda p: [
            *_list(p, fixed="I", growing="CC"), *_answers(p, payload="N", silent="C"), *_access(p, mostly="N", seldom="N"),
            *_pace(p, steady="N", hasty="C"),
        ],
    ),
    (
        "A legitimate client whose server moved or is down",
        lambda p: [
            *_referer(p, sent="C", absent="N"), *_access(p, mostly="II", seldom="C"),
            Cell("number of targets", "II" if p.targets >= 20 else "C", f"{p.targets:,} targets"),
            *_list(p, fixed="C", growing="I"),
        ],
    ),
)  # fmt: skip


def proposals(verdict: Verdict) -> list[Proposal]:
    """Hypotheses about the strangest probing host that this evidence can test, with the cells it fills."""
    probing = verdict.probing
    if not probing:
        return []
    return [Proposal(statement, tuple(test(probing[0]))) for statement, test in _TESTED]


ENGINE: Final = _ENGINE
"""Who is named as the source of what the engine weighed."""
