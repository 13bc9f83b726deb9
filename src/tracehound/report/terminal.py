"""In: a verdict, a width and whether colour is wanted. Out: the whole verdict as text for a terminal, a pipe or a mail: the sentence
first, then each strange host question by question, then everything that backs it. brief.py says the same on a screen or two.
Never here: escape codes when colour is off, or evidence text that was not made harmless; not a line wider than asked."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tracehound import limits
from tracehound.findings.model import (
    AnswerKind,
    Candidate,
    Finding,
    Identity,
    OutcomeCount,
    Probing,
    TargetGroup,
    Template,
    TurningPoint,
    Verdict,
)
from tracehound.report import narrative
from tracehound.report.visible import cells, clip, preview, visible, wrap

STYLES: Final[dict[str, str]] = {
    "title": "\x1b[1m",
    "strange": "\x1b[1;31m",
    "quiet": "\x1b[1;32m",
    "warn": "\x1b[33m",
    "label": "\x1b[36m",
    "faint": "\x1b[2m",
}
RESET: Final = "\x1b[0m"

LEAST_WIDTH: Final = 40
LABEL_CELLS: Final = 13
TERMINAL_GROUPS: Final = 5
TERMINAL_ANSWERS: Final = 6
TERMINAL_CANDIDATES: Final = 3
TERMINAL_INDICATORS: Final = 12
TERMINAL_INNOCENTS: Final = 20
PREVIEW_LINES: Final = 4


class Page:
    """Lines of at most `width` columns, in order. All text given to it is made harmless here, once, whatever its source."""

    def __init__(self, width: int, color: bool, tz: datetime.tzinfo | None) -> None:
        self.width = max(LEAST_WIDTH, width)
        self.color = color
        self.tz = tz
        self.lines: list[str] = []

    def styled(self, text: str, style: str) -> str:
        """A piece of a finished line in a style, or as it is where colour is off."""
        return f"{STYLES[style]}{text}{RESET}" if self.color and style and text else text

    def blank(self) -> None:
        """One empty line, never two."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def put(self, text: str, *, indent: int = 2, hang: int = 0, style: str = "") -> None:
        """A paragraph; lines after the first stand `hang` columns further in."""
        room = self.width - indent
        harmless = visible(text, limits.MAX_REPORT_TEXT)
        first, *rest = wrap(harmless, room)
        if rest and hang:
            rest = wrap(harmless[len(first) :].removeprefix(" "), room - hang)
        self.lines.append(" " * indent + self.styled(first, style))
        self.lines.extend(" " * (indent + hang) + self.styled(line, style) for line in rest)

    def heading(self, text: str, style: str = "title", rule: str = "=") -> None:
        """A section's title with a rule under it."""
        self.blank()
        for line in wrap(visible(text, limits.MAX_REPORT_TEXT), self.width):
            self.lines.append(self.styled(line, style))
        self.lines.append(self.styled(rule * self.width, "faint"))

    def question(self, text: str) -> None:
        """The title of an answer inside a host's section."""
        self.blank()
        self.put(text, indent=2, style="title")

    def pair(self, label: str, value: str, *, indent: int = 4, label_cells: int = LABEL_CELLS) -> None:
        """A labelled value; the value wraps in its own column, or under the label where the label is too long."""
        if not value:
            return
        name = visible(label, limits.MAX_REPORT_TEXT)
        left = indent + label_cells + 1
        lines = wrap(visible(value, limits.MAX_REPORT_TEXT), self.width - left)
        if cells(name) > label_cells:
            self.put(label, indent=indent, style="label")
            self.lines.extend(" " * left + line for line in lines)
            return
        padded = name + " " * (label_cells - cells(name) + 1)
        self.lines.append(" " * indent + self.styled(padded, "label") + lines[0])
        self.lines.extend(" " * left + line for line in lines[1:])

    def items(self, texts: Iterable[str], *, indent: int = 4) -> None:
        """A list with dashes."""
        for text in texts:
            self.put(f"- {text}", indent=indent, hang=2)

    def verbatim(self, lines: Sequence[str], *, indent: int = 6) -> None:
        """Harmless lines behind a bar, cut at the width: what was really sent."""
        self.lines.extend(
            self.styled(" " * indent + "| " + clip(line, self.width - indent - 2), "faint") for line in lines
        )

    def more(self, total: int, shown: int, noun: str, *, indent: int = 4) -> None:
        """How many rows a cut list leaves out."""
        if total > shown:
            self.put(f"... and {narrative.count_of(total - shown, 'more ' + noun)}", indent=indent, style="faint")


def render(verdict: Verdict, *, width: int = 80, color: bool, tz: datetime.tzinfo | None = None) -> str:
    """The verdict as text, lines of at most `width` columns (40 at least), ending in a line end.

    color   True only for a terminal: with False there is not one escape code in the text
    tz      zone that times are printed in; None is UTC
    """
    page = Page(width, color, tz)
    opening(page, verdict)
    strange = narrative.hosts(verdict)
    for at, finding in enumerate(strange[: limits.MAX_TERMINAL_HOSTS], 1):
        if finding.probing is not None:
            host_section(page, finding, finding.probing, at, len(strange))
    remaining_hosts(page, strange[limits.MAX_TERMINAL_HOSTS :])
    for section in SECTIONS:
        section(page, verdict)
    return "\n".join(page.lines).rstrip("\n") + "\n"


# -- the sentence -----------------------------------------------------------------------------------------------------
def opening(page: Page, verdict: Verdict) -> None:
    """The sentence, what was looked for where nothing was found, and what it rests on."""
    sentence(page, verdict)
    page.blank()
    if not verdict.findings and verdict.looked_for:
        page.put("Looked for, and not found:")
        page.items(verdict.looked_for)
    rests_on(page, verdict)


def sentence(page: Page, verdict: Verdict) -> None:
    """Title, label of synthetic evidence, the sentence."""
    page.heading("VERDICT")
    if verdict.synthetic:
        page.put(f"SYNTHETIC EVIDENCE. {verdict.synthetic}", style="warn")
        page.blank()
    page.put(verdict.summary, style="strange" if verdict.findings else "quiet")


def rests_on(page: Page, verdict: Verdict) -> None:
    """When the evidence was, how much was read, and which networks are home."""
    page.pair("Evidence", narrative.period(verdict.start_ns, verdict.end_ns, page.tz), indent=2)
    page.pair("Read", narrative.looked_for(verdict) or "nothing", indent=2)
    homes = ", ".join(verdict.home_networks)
    page.pair("Home", f"{homes} ({verdict.home_reason})" if homes and verdict.home_reason else homes, indent=2)


# -- one strange host ---------------------------------------------------------------------------------------------------
def host_section(page: Page, finding: Finding, probing: Probing, at: int, total: int) -> None:
    """The answers to the officer's questions about one host and service."""
    place = f"HOST {at} of {total}: " if total > 1 else "HOST "
    page.heading(f"{place}{probing.host} probes {narrative.service(probing)}", "strange")
    if finding.statement:
        page.put(finding.statement)
    page.question("Since when, and how fast")
    page.pair("Period", narrative.period(probing.start_ns, probing.end_ns, page.tz))
    page.pair(
        "Attempts", f"{narrative.number(probing.attempts)}; {narrative.rate(probing.attempts_per_min, 'attempt')}"
    )
    page.pair(
        "Targets", f"{narrative.number(probing.targets)}; {narrative.rate(probing.new_targets_per_min, 'new target')}"
    )
    page.pair("Active", f"{narrative.share(probing.active_share)} of that time")
    page.pair("Shape", probing.shape)
    page.pair("Order", probing.order)
    page.pair("Revisits", probing.revisits)
    for label, value in probing.measures:
        page.put(f"{label}: {value}", indent=4, hang=2)
    page.pair("Confidence", with_reasons(narrative.confidence(finding.confidence), finding.confidence.reasons))
    sends(page, probing)
    fared(page, probing)
    targets(page, probing)
    for point in probing.turning_points:
        turning_point(page, point)
    identities(page, probing)


def with_reasons(head: str, reasons: Sequence[str]) -> str:
    """A judgement and what it rests on."""
    return f"{head}: {'; '.join(reasons)}" if reasons else head


def sends(page: Page, probing: Probing) -> None:
    """Question 2: template and stack."""
    page.question("What it sends")
    if probing.template is None:
        page.put(narrative.no_template(probing), indent=4)
    else:
        template_lines(page, probing.template)
    stack = probing.stack
    page.pair("Stack", with_reasons(stack.verdict, stack.reasons))
    page.pair("Source ports", stack.source_ports)
    page.pair("SYN retries", stack.syn_retries)
    counts = ", ".join(f"{tries} SYN: {narrative.number(n)}" for tries, n in stack.retry_counts)
    page.pair("SYNs sent", counts)


def template_lines(page: Page, template: Template) -> None:
    """The template, <variable parts> in angle brackets, one line a place."""
    for where, text in template_places(template):
        page.pair(where, text)
    if not template.parts:
        page.pair(template.protocol or "payload", template.text)
    variable = [part for part in template.parts if not part.constant]
    samples = narrative.count_of(template.samples, template.protocol + " sample" if template.protocol else "sample")
    length = narrative.size_range(template.length_min, template.length_max)
    note = "<...> varies, all else is constant" if variable else "constant in every byte shown"
    page.pair("Common to", f"{samples} of {length}; {note}")
    for part in variable:
        seen = f": {', '.join(part.examples)}" if part.examples else ""
        page.pair(f"<{part.text}>", f"{narrative.count_of(part.distinct, 'value')}{seen}")
    page.pair("Headers", ", ".join(template.headers_present))
    page.pair("sometimes", ", ".join(template.headers_sometimes))
    page.pair("never", ", ".join(template.headers_absent))
    page.pair("Note", template.note)
    page.pair("Seen in", narrative.cited(template.citations))


def template_places(template: Template) -> list[tuple[str, str]]:
    """(place, text) with neighbouring parts of one place joined, variable ones in angle brackets."""
    out: list[tuple[str, str]] = []
    for part in template.parts:
        text = part.text if part.constant else f"<{part.text}>"
        if out and out[-1][0] == part.where:
            out[-1] = (part.where, out[-1][1] + text)
        else:
            out.append((part.where, text))
    return out


def fared(page: Page, probing: Probing) -> None:
    """Question 3: a bar per outcome, then the answers."""
    page.question("How the attempts fared")
    for item in narrative.outcomes_in_order(probing.outcomes):
        outcome_bar(page, item)
    if probing.answers:
        page.blank()
        page.put("The answers were:", indent=4)
    for answer in probing.answers[:TERMINAL_ANSWERS]:
        answer_lines(page, answer)
    page.more(len(probing.answers), TERMINAL_ANSWERS, "kind of answer")


def outcome_bar(page: Page, item: OutcomeCount) -> None:
    """A bar, and under it how many targets and what else is known."""
    outcome_line(page, item, indent=4)
    under = [narrative.count_of(item.targets, "target"), narrative.detail(item)]
    page.put("; ".join(part for part in under if part), indent=4 + LABEL_CELLS + 1, style="faint")


def outcome_line(page: Page, item: OutcomeCount, *, indent: int) -> None:
    """unanswered   #####....   4,902   79 %."""
    label = clip(visible(narrative.outcome_label(item.outcome)), LABEL_CELLS)
    figures = f"{narrative.number(item.attempts):>9} {narrative.share(item.share):>7}"
    room = page.width - indent - LABEL_CELLS - 2 - len(figures) - 1
    part = min(1.0, max(0.0, item.share)) if math.isfinite(item.share) else 0.0
    full = max(1, round(part * room)) if part > 0 else 0
    bar = "#" * full + "." * (room - full)
    if room < 8:
        page.put(f"{label} {figures.strip()}", indent=indent)
    else:
        padded = label + " " * (LABEL_CELLS - cells(label) + 1)
        page.lines.append(" " * indent + page.styled(padded, "label") + bar + " " + figures)


def answer_lines(page: Page, answer: AnswerKind) -> None:
    """One kind of answer with its first bytes."""
    size = narrative.size_range(answer.bytes_min, answer.bytes_max)
    facts = [
        f"{narrative.number(answer.count)} from {narrative.count_of(answer.targets, 'target')}",
        size,
        narrative.cited(answer.citations, 3),
    ]
    page.put(f"- {answer.label}: " + "; ".join(fact for fact in facts if fact), indent=4, hang=2)
    first_bytes(page, answer.preview)


def first_bytes(page: Page, text: str) -> None:
    """The first lines of a preview."""
    if text:
        shown = preview(text, width=page.width - 8, most_lines=PREVIEW_LINES)
        page.verbatim(shown.lines)


def targets(page: Page, probing: Probing) -> None:
    """Question 4: who the targets are."""
    summary = probing.target_summary
    page.question("Who the targets are")
    page.pair("Targets", narrative.number(summary.targets))
    if summary.access_share is not None:
        reason = f": {summary.access_reason}" if summary.access_reason else ""
        page.pair("Access lines", narrative.share(summary.access_share) + reason)
    page.pair("Spread", summary.spread)
    page.pair("Order", summary.order)
    page.pair("Revisits", summary.revisits)
    for title, groups in (
        ("Classes", summary.classes),
        ("Networks", summary.networks),
        ("Providers", summary.providers),
        ("Countries", summary.countries),
    ):
        target_groups(page, title, groups)
    if summary.named:
        page.pair("Names seen", "; ".join(f"{address} {name}" for address, name in summary.named[:TERMINAL_GROUPS]))
        page.more(len(summary.named), TERMINAL_GROUPS, "name", indent=5 + LABEL_CELLS)
    page.pair(
        "Table of",
        summary.table_date and f"{summary.table_date} (networks and countries then, not at the time of the evidence)",
    )


def target_groups(page: Page, title: str, groups: Sequence[TargetGroup]) -> None:
    """Groups of targets, largest first as the verdict has them."""
    for at, group in enumerate(groups[:TERMINAL_GROUPS]):
        reason = f" ({group.reason})" if group.reason else ""
        figures = f"{narrative.count_of(group.targets, 'target')}, {narrative.share(group.share)}"
        page.pair(title if at == 0 else " ", f"{group.name}: {figures}{reason}")
    page.more(len(groups), TERMINAL_GROUPS, "group", indent=5 + LABEL_CELLS)


def turning_point(page: Page, point: TurningPoint) -> None:
    """Question 5: what changed the behaviour."""
    page.question(f"When it {narrative.repeats(point)}")
    page.put(narrative.turning(point, page.tz), indent=4)
    page.pair("Moment", narrative.when(point.ts_ns, page.tz, millis=True))
    page.pair("Bracket", narrative.bracket(point, page.tz))
    page.pair("Seen in", narrative.cited(point.citations))
    if not point.candidates:
        page.put(narrative.no_candidate(point), indent=4)
        return
    page.put("Transfers just before it, likeliest first (they precede it; that is not proof):", indent=4)
    for candidate in point.candidates[:TERMINAL_CANDIDATES]:
        candidate_lines(page, candidate)
    page.more(len(point.candidates), TERMINAL_CANDIDATES, "transfer")


def candidate_lines(page: Page, item: Candidate) -> None:
    """One candidate transfer: when, what it carried, why it ranks here."""
    page.put(
        f"{item.rank}. {narrative.before(item.seconds_before)}, {item.peer}: {item.what}", indent=4, hang=3
    )
    carried = [
        "" if item.status is None else f"status {item.status}",
        item.body_kind or "",
        "" if item.size_bytes is None else narrative.size(item.size_bytes),
        item.judgement,
    ]
    page.pair("carried", "; ".join(part for part in carried if part), indent=7, label_cells=8)
    placebo = "" if item.placebo_p is None else f"; by chance p = {item.placebo_p:.3g}"
    page.pair("score", with_reasons(f"{item.score:.1f}{placebo}", item.reasons), indent=7, label_cells=8)
    page.pair("sha256", item.sha256 or "", indent=7, label_cells=8)
    page.pair("seen in", narrative.cited(item.citations, 3), indent=7, label_cells=8)
    first_bytes(page, item.preview)


def identities(page: Page, probing: Probing) -> None:
    """Question 6: what it is, and from what that follows."""
    page.question("What it is")
    if not probing.identities:
        page.put(narrative.no_identity(probing), indent=4)
    for item in probing.identities:
        identity_lines(page, item)


def identity_lines(page: Page, item: Identity) -> None:
    """One known behaviour: how well it fits, why, and indicator by indicator."""
    page.put(narrative.identity(item), indent=4, hang=2, style="title")
    if item.explanation:
        page.put(item.explanation, indent=4)
    for hit in item.indicators[:TERMINAL_INDICATORS]:
        sign = narrative.STATE_SIGNS.get(hit.state, "?")
        where = f" ({hit.where})" if hit.where else ""
        page.put(
            f"{sign} {hit.weight:4.1f} {hit.kind} {hit.value}: {narrative.state(hit.state)}{where}",
            indent=4,
            hang=7,
        )
    page.more(len(item.indicators), TERMINAL_INDICATORS, "indicator")
    page.pair("Next best", item.runner_up)
    page.pair("Sources", "; ".join(item.sources))


def remaining_hosts(page: Page, findings: Sequence[Finding]) -> None:
    """One line for each host beyond those described in full."""
    if not findings:
        return
    page.heading("MORE HOSTS")
    for finding in findings[: limits.MAX_REPORT_ROWS]:
        page.put(f"{finding.host}: {finding.statement}", hang=2)
    page.more(len(findings), limits.MAX_REPORT_ROWS, "host", indent=2)


# -- what backs it ------------------------------------------------------------------------------------------------------
def drafted_rules(page: Page, verdict: Verdict) -> None:
    """The rule that was drafted for the strongest finding, with what was measured of it; or what is missing for one."""
    drafted = verdict.drafted_rules
    if not drafted:
        return
    page.heading("DRAFTED RULE" if len(drafted) == 1 else "DRAFTED RULES")
    for one in drafted[: limits.MAX_TERMINAL_HOSTS]:
        page.blank()
        if not one.rule:
            page.put(f"No rule for {one.kind}: {one.refused}. It would take {one.needs}.", hang=2)
            continue
        for line in narrative.rule_lines(one.rule):
            page.put(line.strip(), indent=4 if line.startswith(" ") else 2, hang=2)
        page.blank()
        page.lines.extend("  " + clip(visible(line, limits.MAX_REPORT_TEXT), page.width - 2) for line in one.table.split("\n"))
        page.items(one.notes, indent=2)


def other_findings(page: Page, verdict: Verdict) -> None:
    """Findings about hosts without a section."""
    others = narrative.other_findings(verdict)
    if not others:
        return
    page.heading(narrative.title_of_others(verdict).upper())
    for finding in others[: limits.MAX_REPORT_ROWS]:
        span = narrative.span_note(finding, page.tz)
        page.put(f"- {finding.statement}{' ' + span + '.' if span else ''}", hang=2)
        page.put(f"Confidence {with_reasons(narrative.confidence(finding.confidence), finding.confidence.reasons)}.", indent=4)
        cited = narrative.cited(finding.citations)
        if cited:
            page.put(f"Seen in {cited}.", indent=4)
        if finding.identity is not None:
            identity_lines(page, finding.identity)
    page.more(len(others), limits.MAX_REPORT_ROWS, "finding", indent=2)


def let_go(page: Page, verdict: Verdict) -> None:
    """Hosts that look alike and were let go, with the reason."""
    if not verdict.innocents:
        return
    page.heading("LOOKED ALIKE, AND WERE LET GO")
    for item in verdict.innocents[:TERMINAL_INNOCENTS]:
        figures = "; ".join(f"{label} {value}" for label, value in item.figures)
        page.put(f"{item.host}: {item.looked_like}", hang=2)
        page.put(item.reason + (f" ({figures})" if figures else ""), indent=4)
    page.more(len(verdict.innocents), TERMINAL_INNOCENTS, "host", indent=2)


def unanswered_questions(page: Page, verdict: Verdict) -> None:
    """What this evidence cannot answer."""
    if not verdict.unanswerable:
        return
    page.heading("COULD NOT BE ANSWERED")
    for question, needs in verdict.unanswerable[: limits.MAX_REPORT_ROWS]:
        page.put(f"- {question} {needs}", hang=2)


def capture_quality(page: Page, verdict: Verdict) -> None:
    """What the evidence lacks."""
    page.heading("CAPTURE QUALITY")
    shown = narrative.quality_shown(verdict.quality)
    damaged = [item for item in verdict.evidence if item.damage]
    if not shown and not damaged:
        page.put("Nothing that weakens the answers was noticed.")
    for evidence in damaged:
        page.put(f"- {evidence.path}: {evidence.damage}", hang=2, style="warn")
    for item in shown[: limits.MAX_REPORT_ROWS]:
        note = f": {item.note}" if item.note else ""
        file = f" [{item.file}]" if item.file and len(verdict.evidence) > 1 else ""
        page.put(f"- {narrative.quality_item(item)} {narrative.number(item.count)}{note}{file}", hang=2)
    page.more(len(shown), limits.MAX_REPORT_ROWS, "item", indent=2)


def evidence_files(page: Page, verdict: Verdict) -> None:
    """Files with their SHA-256."""
    if not verdict.evidence:
        return
    page.heading("EVIDENCE")
    for item in verdict.evidence[: limits.MAX_REPORT_ROWS]:
        kind = f"{item.kind}, {item.compression}" if item.compression else item.kind
        size = "" if item.size_bytes is None else f", {narrative.size(item.size_bytes)}"
        page.put(f"{item.path} ({kind}{size}, {narrative.count_of(item.packets, 'packet')})", hang=2)
        page.put(f"sha256 {item.sha256 or 'not known (stream)'}", indent=4)
        if item.start_ns is not None:
            page.put(narrative.period(item.start_ns, item.end_ns, page.tz), indent=4)
    page.more(len(verdict.evidence), limits.MAX_REPORT_ROWS, "file", indent=2)


def found_by(page: Page, verdict: Verdict) -> None:
    """Detectors, their thresholds, and the findings with their citations."""
    page.heading("HOW IT WAS FOUND")
    page.put(f"tracehound {verdict.version}, times in {narrative.zone_name(page.tz)}")
    page.items(verdict.method, indent=2)
    for finding in verdict.findings[: limits.MAX_REPORT_ROWS]:
        technique = f", ATT&CK {finding.technique}" if finding.technique else ""
        cited = narrative.cited(finding.citations)
        page.put(
            f"{finding.finding_id} {finding.kind.replace('_', ' ')} by {finding.detector}{technique}"
            + (f": {cited}" if cited else ""),
            hang=3,
        )
    page.more(len(verdict.findings), limits.MAX_REPORT_ROWS, "finding", indent=2)
    for key, value in narrative.extra_facts(verdict):
        if verdict.extra[key]:
            page.put(f"{key.replace('_', ' ')}: {value}")


SECTIONS: Final[tuple[Callable[[Page, Verdict], None], ...]] = (
    drafted_rules,
    other_findings,
    let_go,
    unanswered_questions,
    capture_quality,
    evidence_files,
    found_by,
)
