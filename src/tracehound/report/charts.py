"""In: figures of a verdict. Out: inline SVG, drawn with classes that the report's style sheet colours (light, dark, print),
each with a title and a description for readers who cannot see it. Outcomes differ by pattern as well as by colour.
Never here: evidence text that is not made harmless first, scripts, or links out."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from tracehound.findings.model import TimelineBin
from tracehound.report import narrative
from tracehound.report.visible import visible

MILLI_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000

TICK_STEPS_NS: Final = tuple(
    [n * MILLI_NS for n in (1, 5, 10, 50, 100, 250, 500)]
    + [n * SECOND_NS for n in (1, 2, 5, 10, 15, 30)]
    + [n * 60 * SECOND_NS for n in (1, 2, 5, 10, 15, 30)]
    + [n * 3_600 * SECOND_NS for n in (1, 2, 3, 6, 12)]
    + [n * 86_400 * SECOND_NS for n in (1, 2, 7, 14, 28, 91, 182, 365, 1_825, 9_125)]
)

PATTERNED: Final = ("refused", "unreachable", "accepted", "one_sided", "midstream")
"""Outcomes drawn with a pattern; unanswered and answered are plain."""

GLYPH_WIDTH: Final = 0.56
"""Mean width of a sans-serif glyph per unit of font size: enough to keep labels apart and inside."""


class Mark(NamedTuple):
    """A moment to mark on a time axis."""

    ts_ns: int
    label: str


class Frame(NamedTuple):
    """Where a chart's plot lies in its picture, and the time that its width stands for."""

    left: float
    right: float
    top: float
    bottom: float
    from_ns: int
    to_ns: int

    def x(self, ns: int) -> float:
        """Horizontal place of a moment."""
        return self.left + (self.right - self.left) * (ns - self.from_ns) / max(1, self.to_ns - self.from_ns)


def element(name: str, attributes: Mapping[str, object], *children: str) -> Markup:
    """One SVG element; attribute values and plain-text children are escaped."""
    written = "".join(f' {key}="{escape(figure(value))}"' for key, value in attributes.items())
    inside = "".join(str(child if isinstance(child, Markup) else escape(child)) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704 - its pieces were escaped above


def figure(value: object) -> str:
    """Coordinates with two digits at most, so that equal verdicts give equal bytes."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def outcome_class(outcome: str) -> str:
    """The style class of an outcome; unknown ones share a class."""
    return f"o-{outcome.replace('_', '-')}" if outcome in narrative.OUTCOME_ORDER else "o-other"


def pattern_definitions() -> Markup:
    """The fill patterns, once per document, in a picture without a size."""
    lines: dict[str, str] = {
        "refused": '<path d="M-1,1 l2,-2 M0,6 l6,-6 M5,7 l2,-2"/>',
        "unreachable": '<circle cx="1.5" cy="1.5" r="1.1"/><circle cx="4.5" cy="4.5" r="1.1"/>',
        "accepted": '<path d="M0,1.5 h6 M0,4.5 h6"/>',
        "one_sided": '<path d="M1.5,0 v6 M4.5,0 v6"/>',
        "midstream": '<path d="M0,0 l6,6 M6,0 l-6,6"/>',
    }
    patterns = "".join(
        f'<pattern id="p-{name.replace("_", "-")}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect width="6" height="6" class="p-ground"/><g class="p-line p-{name.replace("_", "-")}">{lines[name]}</g>'
        "</pattern>"
        for name in PATTERNED
    )
    opening = '<svg class="defs" width="0" height="0" aria-hidden="true"><defs>'
    return Markup(f"{opening}{patterns}</defs></svg>")  # noqa: S704 - constants of this file only


def bar(part: float, css_class: str, *, width: int = 220, height: int = 12) -> Markup:
    """A share as a bar. The figure stands beside it in the table, so it is hidden from readers' aids."""
    part = min(1.0, max(0.0, part)) if math.isfinite(part) else 0.0
    drawn = max(1.5, part * width) if part > 0 else 0.0
    return element(
        "svg",
        {"class": "bar", "viewBox": f"0 0 {width} {height}", "preserveAspectRatio": "none", "aria-hidden": "true"},
        element("rect", {"class": "bar-ground", "x": 0, "y": 0, "width": width, "height": height}),
        element("rect", {"class": css_class, "x": 0, "y": 0, "width": drawn, "height": height}),
    )


def swatch(outcome: str) -> Markup:
    """A legend's sample of an outcome's fill."""
    return element(
        "svg",
        {"class": "swatch", "viewBox": "0 0 14 14", "width": 14, "height": 14, "aria-hidden": "true"},
        element("rect", {"class": outcome_class(outcome), "x": 0.5, "y": 0.5, "width": 13, "height": 13}),
    )


def axis_range(
    bins: Sequence[TimelineBin], bin_ns: int, evidence_from: int | None, evidence_to: int | None
) -> tuple[int, int]:
    """The time to draw: the bins, and the quiet evidence beside them up to a third of their length on each side, so that a
    beginning or an end inside the evidence is seen as one."""
    start = min(b.start_ns for b in bins)
    end = max(b.start_ns for b in bins) + bin_ns
    beside = (end - start) // 3
    from_ns = start if evidence_from is None else min(start, max(evidence_from, start - beside))
    to_ns = end if evidence_to is None else max(end, min(evidence_to, end + beside))
    return from_ns, to_ns


def rebinned(bins: Sequence[TimelineBin], bin_ns: int, most: int) -> tuple[list[TimelineBin], int]:
    """Neighbouring bins added up until at most `most` of them span the time."""
    start = min(b.start_ns for b in bins)
    spanned = (max(b.start_ns for b in bins) - start) // bin_ns + 1
    factor = -(-spanned // most)
    wide = bin_ns * factor
    totals: dict[int, dict[str, int]] = {}
    for item in bins:
        slot = totals.setdefault((item.start_ns - start) // wide, {})
        for outcome, count in item.counts:
            slot[outcome] = slot.get(outcome, 0) + count
    return [
        TimelineBin(start + at * wide, tuple(sorted(counts.items()))) for at, counts in sorted(totals.items())
    ], wide


def nice_top(value: int) -> tuple[int, int]:
    """An axis end at or above `value` and its step: 1, 2 or 5 times a power of ten."""
    step = 1
    while step * 4 < value:
        text = str(step)
        step = int({"1": "2", "2": "5", "5": "10"}[text[0]] + text[1:])
    return step * max(1, -(-value // step)), step


def ticks(from_ns: int, to_ns: int, most: int, tz: datetime.tzinfo | None) -> tuple[list[int], int]:
    """At most `most` round moments of the zone's clock inside the span, and the step between them."""
    step = next((s for s in TICK_STEPS_NS if (to_ns - from_ns) / s <= most), TICK_STEPS_NS[-1])
    offset = narrative.moment(from_ns, tz).utcoffset() or datetime.timedelta()
    shift = int(offset.total_seconds()) * SECOND_NS
    first = -(-(from_ns + shift) // step) * step - shift
    return list(range(first, to_ns + 1, step))[: most + 2], step


def tick_label(ns: int, step: int, tz: datetime.tzinfo | None) -> str:
    """A clock time, or a date where ticks are days apart or at midnight."""
    at = narrative.moment(ns, tz)
    if step >= 86_400 * SECOND_NS:
        return f"{at:%Y-%m-%d}" if step >= 91 * 86_400 * SECOND_NS else f"{at.day} {at:%b}"
    if step < SECOND_NS:
        return f"{at:%H:%M:%S}.{ns % SECOND_NS // MILLI_NS:03d}"
    if step < 60 * SECOND_NS:
        return f"{at:%H:%M:%S}"
    return f"{at.day} {at:%b}" if at.hour == 0 and at.minute == 0 else f"{at:%H:%M}"


def text(x: float, y: float, css_class: str, words: str, anchor: str = "start") -> Markup:
    """A label."""
    return element("text", {"x": x, "y": y, "class": css_class, "text-anchor": anchor}, visible(words))


def line(x1: float, y1: float, x2: float, y2: float, css_class: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css_class})


def time_axis(frame: Frame, height: float, font: float, tz: datetime.tzinfo | None) -> list[Markup]:
    """Ticks and labels under the plot; labels that would leave the picture or touch are left out."""
    out: list[Markup] = [line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]
    moments, step = ticks(frame.from_ns, frame.to_ns, max(2, int((frame.right - frame.left) / (font * 6.5))), tz)
    taken = -1e9
    for moment in moments:
        x = frame.x(moment)
        out.append(line(x, frame.bottom, x, frame.bottom + 4, "axis"))
        label = tick_label(moment, step, tz)
        half = len(label) * font * GLYPH_WIDTH / 2
        if x - half < max(taken, 0) or x + half > frame.right + 8:
            continue
        taken = x + half + 6
        out.append(text(x, height - 6, "tick", label, "middle"))
    return out


def value_axis(frame: Frame, top: int, step: int) -> list[Markup]:
    """Horizontal grid with its figures."""
    out: list[Markup] = []
    for value in range(0, top + 1, step):
        y = frame.bottom - (frame.bottom - frame.top) * value / top
        if value:
            out.append(line(frame.left, y, frame.right, y, "grid"))
        out.append(text(frame.left - 6, y + 4, "tick", short_number(value), "end"))
    return out


def short_number(value: int) -> str:
    """A figure for an axis: 250, 2.5k, 3M."""
    for unit, factor in (("G", 1_000_000_000), ("M", 1_000_000), ("k", 10_000)):
        if value >= factor:
            scale = 1_000 if unit == "k" else factor
            return f"{value / scale:g}{unit}"
    return str(value)


def stacks(frame: Frame, bins: Sequence[TimelineBin], bin_ns: int, top: int) -> list[Markup]:
    """One stack per bin, outcomes from the bottom in the order of the table contract."""
    out: list[Markup] = []
    scale = (frame.bottom - frame.top) / top
    full = frame.x(frame.from_ns + bin_ns) - frame.left
    gap = 1.0 if full >= 5 else 0.0
    for item in bins:
        counts = dict(item.counts)
        known = [o for o in narrative.OUTCOME_ORDER if o in counts]
        y = frame.bottom
        x = frame.x(item.start_ns)
        for outcome in [*known, *sorted(o for o in counts if o not in known)]:
            tall = counts[outcome] * scale
            y -= tall
            width = max(0.8, min(full, frame.right - x) - gap)
            if tall > 0:
                attributes = {"class": outcome_class(outcome), "x": x, "y": y, "width": width, "height": tall}
                out.append(element("rect", attributes))
    return out


def marked(frame: Frame, marks: Sequence[Mark], font: float) -> list[Markup]:
    """Labelled vertical lines; a label stands on the side that has room, each on a row of its own."""
    out: list[Markup] = []
    for row, mark in enumerate(marks):
        x = min(frame.right, max(frame.left, frame.x(mark.ts_ns)))
        y = font * 2 + 4 + row * (font + 5)
        wide = len(mark.label) * font * GLYPH_WIDTH + 8
        anchor = "end" if x + wide > frame.right and x - wide > 0 else "start"
        out.append(line(x, y - font + 2, x, frame.bottom, "mark"))
        out.append(text(x + (-6 if anchor == "end" else 6), y, "mark-label", mark.label, anchor))
    return out


def timeline(
    bins: Sequence[TimelineBin],
    bin_ns: int,
    *,
    evidence: tuple[int | None, int | None],
    marks: Sequence[Mark],
    wide: bool,
    tz: datetime.tzinfo | None,
    ident: str,
) -> Markup:
    """Attempts over time as stacked bars by outcome, turning points marked. Empty where there are no bins.

    evidence    first and last moment of all evidence (ns UTC), to show the quiet before and after
    wide        True for a page, False for a phone: fewer bins and labels in a narrower picture, the same letter height
    ident       prefix of the ids inside, unique in the document; never evidence text
    """
    if not bins or bin_ns <= 0:
        return Markup("")
    width, height, most = (760, 250, 190) if wide else (350, 240, 60)
    font = 12.0
    shown, shown_ns = rebinned(bins, bin_ns, most)
    from_ns, to_ns = axis_range(shown, shown_ns, *evidence)
    head = 18 + len(marks) * (font + 5)
    totals = [sum(count for _, count in b.counts) for b in shown]
    top, step = nice_top(max(totals))
    left = max(26.0, len(short_number(top)) * font * 0.62 + 12)
    frame = Frame(left, width - 10.0, head + 4, height - 28.0, from_ns, to_ns)
    caption = f"Attempts per {narrative.duration(shown_ns)}, by outcome"
    described = (
        f"{narrative.count_of(sum(totals), 'attempt')} from {narrative.when(bins[0].start_ns, tz)} to "
        f"{narrative.when(shown[-1].start_ns + shown_ns, tz)}; at most {narrative.number(max(totals))} per "
        f"{narrative.duration(shown_ns)}. " + " ".join(f"{m.label}." for m in marks)
    )
    return element(
        "svg",
        {
            "class": "chart wide" if wide else "chart narrow",
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": f"{ident}-t {ident}-d",
        },
        element("title", {"id": f"{ident}-t"}, caption),
        element("desc", {"id": f"{ident}-d"}, visible(described)),
        text(0.0, font, "tick", f"attempts per {narrative.duration(shown_ns)}"),
        *value_axis(frame, top, step),
        *stacks(frame, shown, shown_ns, top),
        *time_axis(frame, height, font, tz),
        *marked(frame, marks, font),
    )
