"""In: which flows a rule hit, in malicious and in other evidence, and how far each flow could have come. Out: what the rule is worth: hits,
misses, false alarms, and whether a zero means anything. Never here: matching (rules/), reading evidence.

Exposure (methods: 5.4): a flow is exposed to a rule if it passes its header (protocol, ports), has the buffer that the rule looks at
first, and holds the literal that the engine looks for first. A zero over flows that none of this holds for is blind, over few it is
thin, and only over many it is measured. The upper bound of the false-alarm rate is that of Clopper and Pearson at 95 %."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

THIN_FLOWS: Final = 1_000
"""Fewer exposed flows than this say little (the bound is 0.3 % at best)."""
_CONFIDENCE: Final = 0.95


def upper_bound(hits: int, tried: int) -> float:
    """The largest rate that still fits `hits` of `tried` at 95 % (one-sided Clopper and Pearson 1934); 1 where nothing was tried."""
    if tried <= 0 or hits >= tried:
        return 1.0
    if hits == 0:
        return 1.0 - math.exp(math.log(1.0 - _CONFIDENCE) / tried)
    low, high = hits / tried, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, tried, middle) > 1.0 - _CONFIDENCE else (low, middle)
    return high


def _at_most(hits: int, tried: int, rate: float) -> float:
    """P(X <= hits) of a binomial, by logarithms."""
    total = 0.0
    for k in range(hits + 1):
        ways = math.lgamma(tried + 1) - math.lgamma(k + 1) - math.lgamma(tried - k + 1)
        total += math.exp(ways + k * math.log(rate) + (tried - k) * math.log1p(-rate))
    return min(total, 1.0)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Other flows, and how many of them passed each stage: header, buffer, prefilter."""

    flows: int
    header: int
    buffer: int
    prefilter: int

    @property
    def word(self) -> str:
        """What a zero over them is worth: blind, thin or measured."""
        return "blind" if self.buffer == 0 else "thin" if self.buffer < THIN_FLOWS else "measured"


@dataclass(frozen=True, slots=True)
class Twin:
    """A near miss: a malicious request with one token changed, and whether the rule still fired (it should not)."""

    changed: str
    fired: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of the malicious flows that a rule was drafted anew without, and how many of it that rule hit. refused: why no rule
    came of the other parts."""

    name: str
    flows: int
    hit: int
    false_alarms: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule did. cost_us: microseconds a megabyte of evidence; covered_by: other rules that
    hit the same malicious flows (sid, how many)."""

    sid: int
    msg: str
    malicious: int
    hit: int
    benign: int
    false_alarms: int
    exposure: Exposure
    twins: tuple[Twin, ...] = ()
    covered_by: tuple[tuple[int, int], ...] = ()
    cost_us: float | None = None
    missed: tuple[str, ...] = ()
    alarmed: tuple[str, ...] = ()

    @property
    def recall(self) -> float | None:
        return self.hit / self.malicious if self.malicious else None

    @property
    def bound(self) -> float:
        """The largest false-alarm rate among exposed flows that still fits."""
        return upper_bound(self.false_alarms, self.exposure.buffer)


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation and whether it held."""

    says: str
    held: bool
    found: str


def expectations(outcomes: Sequence[Outcome], *, least_recall: float, most_alarms: int) -> list[Expected]:
    """What a detection team asks of every rule: that it finds the bad and leaves the good alone."""
    out = []
    for o in outcomes:
        if o.recall is not None:
            found = f"{o.hit} of {o.malicious}"
            out.append(Expected(f"sid {o.sid}: recall at least {least_recall:.2f}", o.recall >= least_recall, found))
        found = f"{o.false_alarms} in {o.benign:,} flows ({o.exposure.word})"
        out.append(Expected(f"sid {o.sid}: at most {most_alarms} false alarms", o.false_alarms <= most_alarms, found))
        out += [
            Expected(f"sid {o.sid}: a near miss stays silent ({t.changed})", not t.fired, "fired" if t.fired else "silent")
            for t in o.twins
        ]
    return out


def folds_hold(folds: Sequence[Fold], *, least_recall: float) -> list[Expected]:
    """Whether rules drafted without a part of the flows hit that part."""
    return [
        Expected(f"held out, {f.name}: recall at least {least_recall:.2f}", bool(f.flows) and f.hit >= least_recall * f.flows,
                 f.refused or f"{f.hit} of {f.flows}")
        for f in folds
    ]  # fmt: skip


def matched(event: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    """Whether an alert is what a check of suricata-verify's test.yaml asks for (dotted names, has-key, not-has-key)."""
    for key, want in match.items():
        if key == "has-key" or key == "not-has-key":
            if (_dotted(event, str(want)) is None) == (key == "has-key"):
                return False
        elif _dotted(event, key) != want and str(_dotted(event, key)) != str(want):
            return False
    return True


def _dotted(event: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(event, list) and step.isdigit() and int(step) < len(event):
            event = event[int(step)]
        elif isinstance(event, Mapping) and step in event:
            event = event[step]
        else:
            return None
    return event


def checked(events: Sequence[Mapping[str, Any]], checks: Sequence[Any]) -> list[Expected]:
    """The checks of a test.yaml over alerts; those of other events are left out, and said to be."""
    out = []
    for check in checks:
        wanted = check.get("filter") if isinstance(check, Mapping) else None
        if not isinstance(wanted, Mapping) or not isinstance(wanted.get("match"), Mapping):
            continue
        match = dict(wanted["match"])
        if match.get("event_type", "alert") != "alert":
            continue
        found = sum(matched(e, match) for e in events)
        says = f"{wanted.get('count')} alerts with {json.dumps(match, default=str)}"
        out.append(Expected(says, found == wanted.get("count"), f"{found}"))
    return out


# -- how it is told -------------------------------------------------------------------------------------------------------

def table(outcomes: Sequence[Outcome], expected: Sequence[Expected], folds: Sequence[Fold] = ()) -> str:
    """The measured table as text in 80 columns."""
    lines = []
    for o in outcomes:
        recall = "no labelled flow" if o.recall is None else f"{o.hit} of {o.malicious} ({o.recall:.0%})"
        e = o.exposure
        lines += [f"sid {o.sid}  {o.msg}"[:80], f"  hits          {recall}"]
        lines += [
            f"  false alarms  {o.false_alarms} in {o.benign:,} other flows",
            f"  exposure      {e.word}: {e.header:,} passed the header, {e.buffer:,} have the buffer,",
            f"                {e.prefilter:,} hold the fast pattern; rate at most {o.bound:.2g} (95 %)",
        ]
        if o.twins:
            silent = sum(not t.fired for t in o.twins)
            lines.append(f"  near misses   {silent} of {len(o.twins)} stay silent")
            lines += [f"                fires although changed: {t.changed}" for t in o.twins if t.fired]
        if o.cost_us is not None:
            lines.append(f"  cost          {o.cost_us:,.1f} us of inspection for each MB of evidence")
        if o.covered_by:
            lines.append("  covered by    " + ", ".join(f"sid {s} ({n})" for s, n in o.covered_by[:5]))
        lines += [f"  missed        {m}"[:80] for m in o.missed[:5]] + [f"  alarmed       {m}"[:80] for m in o.alarmed[:5]]
        lines.append("")
    if folds:
        lines.append("drafted anew without a part of the malicious flows, and tried on that part")
        for f in folds:
            found = f"no rule: {f.refused}" if f.refused else f"{f.hit} of {f.flows} hit, {f.false_alarms} false alarms"
            lines.append(f"  {f.name:<13} {found}"[:80])
        lines.append("")
    lines += [f"{'ok  ' if x.held else 'FAIL'}  {x.says}: {x.found}" for x in expected]
    return "\n".join(lines) + "\n"


def as_dict(outcomes: Sequence[Outcome], expected: Sequence[Expected], folds: Sequence[Fold] = ()) -> dict[str, Any]:
    """Outcomes, expectations and held-out parts as JSON values."""
    rows = [
        {**asdict(o), "recall": o.recall, "bound": o.bound, "exposure": {**asdict(o.exposure), "word": o.exposure.word}} for o in outcomes
    ]
    return {
        "rules": rows, "held_out": [asdict(f) for f in folds], "expectations": [asdict(x) for x in expected],
        "held": all(x.held for x in expected),
    }  # fmt: skip


def junit(expected: Sequence[Expected]) -> str:
    """Expectations as JUnit XML, as build servers read it."""
    failed = [x for x in expected if not x.held]
    suite = Element("testsuite", {"name": "tracehound rules test", "tests": str(len(expected)), "failures": str(len(failed))})
    for x in expected:
        case = SubElement(suite, "testcase", {"classname": "rules", "name": x.says})
        if not x.held:
            SubElement(case, "failure", {"message": f"found {x.found}"})
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suite, encoding="unicode") + "\n"
