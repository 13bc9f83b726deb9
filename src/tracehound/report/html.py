"""In: a verdict. Out: one HTML page that needs nothing else: no script, no font, no picture, no address outside itself.
Never here: writing the file. Every value that the template prints passes `harmless`, so nothing from evidence is markup."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tracehound import limits
from tracehound.findings.model import Probing, TemplatePart, TurningPoint, Verdict
from tracehound.report import charts, narrative
from tracehound.report.visible import clip, preview, runs, visible

TEMPLATE: Final = "report.html.j2"


def harmless(value: object) -> object:
    """Any printed value as escaped markup; characters that a browser would obey are written out and marked as such."""
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return Markup("").join(
        Markup('<span class="esc">{}</span>').format(run.text) if run.escaped else escape(run.text)
        for run in runs(value, limits.MAX_REPORT_TEXT)
    )


def attribute(value: str) -> Markup:
    """Text for an attribute: written out and escaped, without the marks of `harmless`."""
    return escape(visible(value, limits.MAX_REPORT_TEXT))


def places(parts: tuple[TemplatePart, ...]) -> list[tuple[str, list[TemplatePart]]]:
    """Template parts grouped by the place they stand in, in order."""
    out: list[tuple[str, list[TemplatePart]]] = []
    for part in parts:
        if out and out[-1][0] == part.where:
            out[-1][1].append(part)
        else:
            out.append((part.where, [part]))
    return out


def hex_or_text(text: str) -> Markup:
    """First bytes of a transfer as a block: lines of text, or offset, hex and ASCII."""
    shown = preview(text, width=72, most_lines=14)
    label = "First bytes, as text" if shown.kind == "text" else "First bytes, as hex and ASCII"
    body = Markup("\n").join(escape(line) for line in shown.lines)
    return Markup('<pre class="bytes" tabindex="0" aria-label="{}">{}</pre>').format(label, body)


def marks(points: tuple[TurningPoint, ...], tz: datetime.tzinfo | None) -> list[charts.Mark]:
    """Turning points inside the evidence as marks of the time axis."""
    return [
        charts.Mark(p.ts_ns, f"{clip(visible(p.change), 16)} {narrative.moment(p.ts_ns, tz):%H:%M:%S}")
        for p in points
        if not p.at_edge
    ]


def drawn_timeline(verdict: Verdict, probing: Probing, ident: str, tz: datetime.tzinfo | None, *, wide: bool) -> Markup:
    """The timeline of one host's attempts."""
    return charts.timeline(
        probing.timeline,
        probing.bin_ns,
        evidence=(verdict.start_ns, verdict.end_ns),
        marks=marks(probing.turning_points, tz),
        wide=wide,
        tz=tz,
        ident=f"{ident}-{'wide' if wide else 'narrow'}",
    )


def legend(probing: Probing) -> list[str]:
    """The outcomes that the timeline draws, in the order they are stacked."""
    seen = {outcome for item in probing.timeline for outcome, count in item.counts if count}
    return [o for o in narrative.OUTCOME_ORDER if o in seen] + sorted(seen - set(narrative.OUTCOME_ORDER))


def headline_figures(probing: Probing) -> list[tuple[str, str]]:
    """The few figures that matter most: (figure, what it is)."""
    answered = sum(o.share for o in probing.outcomes if o.outcome == "answered")
    fast, _, unit = narrative.rate(probing.attempts_per_min, "attempt").partition(" ")
    figures = [
        (narrative.number(probing.attempts), "attempts" if probing.attempts != 1 else "attempt"),
        (narrative.number(probing.targets), "different targets" if probing.targets != 1 else "target"),
        (fast, unit),
        (narrative.duration(probing.end_ns - probing.start_ns), "from first to last"),
    ]
    if any(o.outcome == "answered" for o in probing.outcomes):
        figures.append((narrative.share(answered), "were answered"))
    return figures


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The template environment: escaping on, undefined names are errors, every printed value made harmless."""
    env = Environment(
        loader=PackageLoader("tracehound.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(narrative=narrative, charts=charts, limits=limits, places=places, legend=legend)
    env.globals.update(hex_or_text=hex_or_text, headline_figures=headline_figures, attribute=attribute)
    return env


def render(verdict: Verdict, *, tz: datetime.tzinfo | None = None) -> str:
    """The verdict as one self-contained HTML document; equal verdicts give equal text. Times in `tz` (None is UTC)."""
    strange = narrative.hosts(verdict)
    context: dict[str, Any] = {
        "verdict": verdict,
        "tz": tz,
        "strange": strange,
        "described": strange[: limits.MAX_REPORT_HOSTS],
        "others": narrative.other_findings(verdict),
        "quality": narrative.quality_shown(verdict.quality),
        "damaged": [item for item in verdict.evidence if item.damage],
        "extra": narrative.extra_facts(verdict),
        "chart": lambda probing, ident, wide: drawn_timeline(verdict, probing, ident, tz, wide=wide),
    }
    return environment().get_template(TEMPLATE).render(context) + "\n"
