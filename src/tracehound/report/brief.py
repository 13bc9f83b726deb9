"""In: a verdict, a width and whether colour is wanted. Out: the verdict in brief, as text for a terminal: the sentence, then one line
or two for each question about each strange host, then what else was seen, let go and lacking. terminal.py says all of it.
Never here: escape codes when colour is off, evidence text that was not made harmless, or a finding left out without a word."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from tracehound import limits
from tracehound.findings import naming
from tracehound.findings.model import (
    Candidate,
    Citations,
    Finding,
    Identity,
    Probing,
    TargetSummary,
    TurningPoint,
    Verdict,
)
from tracehound.findings.outcomes import OPEN
from tracehound.report import narrative
from tracehound.report.terminal import (
    Page,
    drafted_rules,
    evidence_files,
    outcome_line,
    rests_on,
    sentence,
    template_places,
    unanswered_questions,
)

BRIEF_GROUPS: Final = 4
BRIEF_ANSWERS: Final = 4
BRIEF_FRAMES: Final = 4
BRIEF_FINDINGS: Final = 12
BRIEF_INNOCENTS: Final = 10


class Brief(Page):
    """A page that knows the one file of evidence, which need not be named with every frame."""

    only_file = ""

    def cited(self, citations: Citations, most: int = BRIEF_FRAMES) -> str:
        """Citations in short: frames 12, 40 (1,204 in all); with their file where there are several."""
        return narrative.cited(citations, most).removeprefix(f"{self.only_file} " if self.only_file else "")


def render(verdict: Verdict, *, width: int = 80, color: bool, tz: datetime.tzinfo | None = None) -> str:
    """The verdict in brief, lines of at most `width` columns (40 at least), ending in a line end. Arguments as terminal.render."""
    page = Brief(width, color, tz)
    page.only_file = verdict.evidence[0].path if len(verdict.evidence) == 1 else ""
    sentence(page, verdict)
    page.blank()
    rests_on(page, verdict)
    if verdict.looked_for and not verdict.findings:
        page.pair("Not found", narrative.listed(map(question_name, verdict.looked_for)), indent=2)
    strange = narrative.hosts(verdict)
    shown = strange[: limits.MAX_TERMINAL_HOSTS]
    for finding in shown:
        if finding.probing is not None:
            host_section(page, finding, finding.probing)
    page.more(len(strange), len(shown), "strange host", indent=2)
    for section in SECTIONS:
        section(page, verdict)
    return "\n".join(page.lines).rstrip("\n") + "\n"


def question_name(looked_for: str) -> str:
    """'probing_hosts 1: Which hosts ...?' -> probing hosts; 'profiles: Does a host behave as one of 83 known ...?' -> its question."""
    name, _, question = looked_for.partition(":")
    words = name.rstrip("0123456789. ").replace("_", " ")
    known = re.search(r"one of (\d+ known [^?]+)", question)
    return known[1] if known else words


# -- one strange host ---------------------------------------------------------------------------------------------------
def host_section(page: Brief, finding: Finding, probing: Probing) -> None:
    """Questions 1 to 6 about one host and service."""
    page.heading(f"HOST {probing.host} probes {narrative.service(probing)}", "strange")
    pace = narrative.rate(probing.attempts_per_min, "attempt")
    page.pair("When", f"{narrative.period(probing.start_ns, probing.end_ns, page.tz)}; {pace}", indent=2)
    page.pair("How", "; ".join(part for part in (probing.shape, probing.order) if part), indent=2)
    sends(page, probing)
    page.pair("Stack", probing.stack.verdict, indent=2)
    for item in narrative.outcomes_in_order(probing.outcomes):
        outcome_line(page, item, indent=2)
        if item.outcome in OPEN:
            page.pair("", narrative.detail(item), indent=2)
    answers(page, probing)
    page.pair("Targets", targets(probing.target_summary), indent=2)
    for point in probing.turning_points:
        turning_point(page, point)
    identity = next(iter(probing.identities), None)
    page.pair("It is", narrative.no_identity(probing) if identity is None else named(identity), indent=2)
    page.pair("Confidence", narrative.confidence(finding.confidence), indent=2)
    page.pair("Seen in", page.cited(finding.citations), indent=2)


def sends(page: Brief, probing: Probing) -> None:
    """Question 2: the request, and the headers that it never carries."""
    template = probing.template
    if template is None:
        page.pair("Sends", narrative.no_template(probing), indent=2)
        return
    places = template_places(template) or [(template.protocol, template.text)]
    page.pair("Sends", places[0][1], indent=2)
    page.pair("", f"headers {', '.join(template.headers_present)}" if template.headers_present else "", indent=2)
    page.pair("", f"never {', '.join(template.headers_absent)}" if template.headers_absent else "", indent=2)


def answers(page: Brief, probing: Probing) -> None:
    """Question 3: what the answers were, most frequent first."""
    kinds = [f"{kind.label} ({narrative.number(kind.count)})" for kind in probing.answers[:BRIEF_ANSWERS]]
    left = len(probing.answers) - len(kinds)
    page.pair("Answers", "; ".join([*kinds, *([narrative.count_of(left, "more kind")] if left > 0 else [])]), indent=2)


def targets(summary: TargetSummary) -> str:
    """Question 4 in one sentence: how many, what lines, where."""
    access = "" if summary.access_share is None else f"{narrative.share(summary.access_share)} access lines"
    groups = (
        ", ".join(f"{group.name} {narrative.number(group.targets)}" for group in some[:BRIEF_GROUPS])
        for some in (summary.countries, summary.providers)
    )
    return "; ".join(part for part in (narrative.number(summary.targets), access, *groups) if part)


def turning_point(page: Brief, point: TurningPoint) -> None:
    """Question 5: when the behaviour changed, and the likeliest cause. Where the edge of the evidence hides it, that is said."""
    if point.at_edge:
        page.pair(point.change.capitalize(), "not seen: it lies beyond the edge of the evidence", indent=2)
        return
    page.pair(point.change.capitalize(), narrative.when(point.ts_ns, page.tz), indent=2)
    best = next(iter(point.candidates), None)
    page.pair("  just before", narrative.no_candidate(point) if best is None else transfer(page, best), indent=2)


def transfer(page: Brief, item: Candidate) -> str:
    """A candidate transfer in one sentence with what proves it."""
    carried = [
        "" if item.status is None else f"status {item.status}",
        " of ".join(part for part in ("" if item.size_bytes is None else narrative.size(item.size_bytes), item.body_kind) if part),
        item.judgement,
        page.cited(item.citations, 1),
        f"sha256 {item.sha256}" if item.sha256 else "",
    ]
    return f"{item.peer} ({narrative.before(item.seconds_before)}): {item.what}; " + "; ".join(part for part in carried if part)


def named(item: Identity) -> str:
    """Question 6: the name, how sure, and the heaviest signs as they were seen."""
    signs = naming.signs(item)
    return f"{item.family}: {narrative.TIER_WORDS.get(item.tier, item.tier)}" + (f". Signs: {signs}" if signs else "")


# -- the rest -------------------------------------------------------------------------------------------------------------
def other_findings(page: Brief, verdict: Verdict) -> None:
    """Findings about hosts without a section. What the opening sentence says already is not said again."""
    others = narrative.other_findings(verdict)
    if not others:
        return
    page.heading(narrative.title_of_others(verdict).upper())
    told = verdict.summary
    for finding in others[:BRIEF_FINDINGS]:
        statement = finding.statement if finding.statement not in told else f"{finding.host}: {kind_of(finding)}"
        page.put(f"- {statement}", hang=2)
        page.put(
            "; ".join(
                part
                for part in (f"confidence {narrative.confidence(finding.confidence)}", page.cited(finding.citations))
                if part
            ),
            indent=4,
        )
    page.more(len(others), BRIEF_FINDINGS, "finding", indent=2)


def kind_of(finding: Finding) -> str:
    """What a finding is about, in two or three words."""
    if finding.identity is not None:
        return named(finding.identity)
    return finding.kind.replace("_", " ")


def let_go(page: Brief, verdict: Verdict) -> None:
    """Look-alikes, a line each: what was taken for strange, and what it is."""
    if not verdict.innocents:
        return
    page.heading("LOOKED ALIKE, AND WERE LET GO")
    for item in verdict.innocents[:BRIEF_INNOCENTS]:
        page.pair(item.host, item.reason, indent=2, label_cells=15)
    page.more(len(verdict.innocents), BRIEF_INNOCENTS, "host", indent=2)


def weaknesses(page: Brief, verdict: Verdict) -> None:
    """What the evidence lacks, in one sentence."""
    damaged = [item for item in verdict.evidence if item.damage]
    shown = narrative.weaknesses(verdict.quality)
    if not damaged and not shown:
        return
    page.heading("CAPTURE QUALITY")
    for evidence in damaged:
        page.put(f"- {evidence.path}: {evidence.damage}", hang=2, style="warn")
    by_item: Sequence[tuple[str, int]] = [
        (name, sum(item.count for item in items))
        for name, items in groupby(sorted(shown, key=narrative.quality_item), key=narrative.quality_item)
    ]
    if by_item:
        page.put("; ".join(f"{name} {narrative.number(count)}" for name, count in by_item))


def further(page: Brief, verdict: Verdict) -> None:
    """Where the rest is."""
    page.blank()
    rest = "every answer, its packets and how it was found" if verdict.findings else "what was asked of the evidence"
    page.put(f"--full prints {rest}; --report FILE.html makes a page of it.", style="faint")


SECTIONS: Final[tuple[Callable[[Brief, Verdict], None], ...]] = (
    other_findings,
    drafted_rules,
    let_go,
    unanswered_questions,
    weaknesses,
    evidence_files,
    further,
)
