"""In: figures and parts of a verdict. Out: the phrases that every form of the report shares: counts with their nouns,
shares, durations, rates, times, and how a citation, an outcome or a turning point is put in words.
Never here: layout, escaping, or judgement beyond what the verdict already says."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tracehound.findings.model import (
    Citation,
    Citations,
    Confidence,
    Finding,
    Identity,
    OutcomeCount,
    Probing,
    QualityItem,
    TurningPoint,
    Verdict,
)
from tracehound.tables import OUTCOMES

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

DURATION_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))

SIZE_UNITS: Final = (("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000))

RATE_UNITS: Final = (("a second", 1 / 60), ("a minute", 1.0), ("an hour", 60.0), ("a day", 1_440.0))
"""Unit and how many of a figure per minute it makes."""

OUTCOME_ORDER: Final = tuple(OUTCOMES)

PARTS_OF_PROBING: Final = frozenset(
    {"outcomes", "answers", "request_template", "targets", "stack", "turning_point", "identity"}
)
"""Kinds of finding that a host's own section tells."""

PLAIN_COUNTS: Final = frozenset({"packets", "packets of ARP"})
"""Capture-quality items that say how much was read, not what is wrong with it."""

PROTOCOL_NAMES: Final[dict[int, str]] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}

TIER_WORDS: Final[dict[str, str]] = {
    "confirmed": "confirmed",
    "likely": "likely",
    "possible": "possible, not shown",
    "none": "no known malware fits",
}

STATE_WORDS: Final[dict[str, str]] = {
    "matched": "matched",
    "contradicted": "contradicted",
    "not observable": "not observable in this evidence",
    "not_observable": "not observable in this evidence",
    "unobservable": "not observable in this evidence",
}

STATE_SIGNS: Final[dict[str, str]] = {"matched": "+", "contradicted": "-"}


class FrameGroup(NamedTuple):
    """Citations of one file: frames in order."""

    file: str
    frames: tuple[int, ...]


def number(value: float) -> str:
    """1234567 -> 1,234,567; 3.04 -> 3.0; 120.4 -> 120."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 99.95 or value == int(value) else f"{value:,.1f}"


def count_of(value: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: 1 target, 63 targets, 2 addresses."""
    return f"{number(value)} {noun if value == 1 else plural or plural_of(noun)}"


def plural_of(noun: str) -> str:
    """The regular English plural of a noun, or of the last noun of a phrase."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def share(value: float | None) -> str:
    """0.024 -> 2.4 %; what is not quite none or all is never printed as none or all."""
    if value is None or not math.isfinite(value):
        return "unknown"
    percent = value * 100
    if percent <= 0:
        return "0 %"
    if percent < 0.1:
        return "<0.1 %"
    if percent >= 100:
        return "100 %"
    if percent > 99.9:
        return ">99.9 %"
    if percent < 10 or percent > 99:
        return f"{percent:.1f} %"
    return f"{percent:.0f} %"


def duration(ns: int) -> str:
    """A span in its two largest units: 29 h 14 min, 4 d 23 h (from two days on), 12 s, 1.5 s, 35 ms."""
    if ns <= 0:
        return "-" + duration(-ns) if ns else "0 s"
    if ns < SECOND_NS:
        return f"{ns / 1e6:.0f} ms" if ns >= 1_000_000 else f"{ns / 1e3:.0f} us"
    if ns < 10 * SECOND_NS:
        return f"{ns / 1e9:.1f}".removesuffix(".0") + " s"
    left = (ns + SECOND_NS // 2) // SECOND_NS
    if left >= 172_800:
        left = (left + 1_800) // 3_600 * 3_600
    elif left >= 3_600:
        left = (left + 30) // 60 * 60
    parts = []
    for unit, seconds in DURATION_UNITS if left >= 172_800 else DURATION_UNITS[1:]:
        whole, left = divmod(left, seconds)
        if whole:
            parts.append(f"{number(whole)} {unit}")
    return " ".join(parts[:2])


def seconds(value: float) -> str:
    """A span given in seconds."""
    return duration(round(value * SECOND_NS)) if abs(value) < 1e12 else "unknown"


def before(value: float) -> str:
    """How long before something else, given in seconds: 35 ms before; at that very moment."""
    return f"{seconds(value)} before" if abs(value) >= 0.001 else "at that very moment"


def rate(per_min: float, noun: str) -> str:
    """A rate in the unit that keeps the figure readable: 3.5 targets a minute, 8.2 targets an hour, 160 targets a second."""
    if not math.isfinite(per_min) or per_min <= 0:
        return f"0 {plural_of(noun)} a minute"
    unit, factor = next(
        ((u, f) for u, f in RATE_UNITS if per_min * f >= (5 if u == "a second" else 0.95)), RATE_UNITS[-1]
    )
    figure = per_min * factor
    text = number(figure) if figure >= 0.95 else f"{figure:.2g}"
    return f"{text} {noun if text == '1' else plural_of(noun)} {unit}"


def size(value: int | None) -> str:
    """Bytes: 4,099 bytes, 48.6 kB, 1.2 GB (powers of 1000)."""
    if value is None:
        return "size unknown"
    if abs(value) < 10_000:
        return count_of(value, "byte")
    unit, factor = next(((u, f) for u, f in SIZE_UNITS if abs(value) < f * 1_000), SIZE_UNITS[-1])
    return f"{value / factor:,.1f} {unit}"


def size_range(least: int | None, most: int | None) -> str:
    """Two sizes as one phrase: 180 bytes, 180 to 4,099 bytes."""
    if least is None or most is None:
        return size(most if least is None else least) if (least, most) != (None, None) else ""
    return size(most) if least == most else f"{number(least)} to {size(most)}"


def zone_name(tz: datetime.tzinfo | None) -> str:
    """The zone that times are printed in: UTC, or its key as given (Pacific/Auckland)."""
    return "UTC" if tz is None else str(tz)


def moment(ns: int, tz: datetime.tzinfo | None) -> datetime.datetime:
    """Nanoseconds since 1970 UTC as a datetime in `tz` (UTC when None), whole seconds rounded down."""
    return (EPOCH + datetime.timedelta(seconds=ns // SECOND_NS)).astimezone(tz or datetime.UTC)


def when(ns: int | None, tz: datetime.tzinfo | None = None, *, millis: bool = False) -> str:
    """A time with its zone: 2002-08-02 04:30:09 UTC; with `millis` three digits more."""
    if ns is None:
        return "time unknown"
    at = moment(ns, tz)
    fraction = f".{ns % SECOND_NS // 1_000_000:03d}" if millis else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} {at.tzname() or 'UTC'}"


def period(start_ns: int | None, end_ns: int | None, tz: datetime.tzinfo | None = None) -> str:
    """A span of time with its length; the date of the end only where it differs."""
    if start_ns is None or end_ns is None:
        return "time unknown" if start_ns is end_ns else when(end_ns if start_ns is None else start_ns, tz)
    return f"{when(start_ns, tz)} to {when(end_ns, tz)} ({duration(end_ns - start_ns)})"


def listed(items: Iterable[str], last: str = "and") -> str:
    """a; a and b; a, b and c."""
    parts = list(items)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""


def service(probing: Probing) -> str:
    """What is probed: TCP port 80 (HTTP), tcp/80 (http), udp, many ports of tcp."""
    name = PROTOCOL_NAMES.get(probing.proto, f"protocol {probing.proto}")
    if probing.dport is None:
        return probing.service or name
    place = f"{name}/{probing.dport}"
    if str(probing.dport) in probing.service.split() and name in probing.service.lower():
        return probing.service
    return place if probing.service in ("", place, name) else f"{place} ({probing.service})"


def outcomes_in_order(outcomes: Sequence[OutcomeCount]) -> list[OutcomeCount]:
    """Outcomes in the order of the table contract, so that every chart and list agrees; unknown ones last."""
    place = {name: at for at, name in enumerate(OUTCOME_ORDER)}
    return sorted(outcomes, key=lambda o: (place.get(o.outcome, len(place)), o.outcome))


def outcome_meaning(outcome: str) -> str:
    """What an outcome means, in the words of the table contract."""
    return OUTCOMES.get(outcome, "").split(";")[0]


def outcome_label(outcome: str) -> str:
    """An outcome's name as a reader sees it."""
    return outcome.replace("_", "-")


def detail(item: OutcomeCount) -> str:
    """How an outcome splits: 404 38, silent 12."""
    return ", ".join(f"{label}: {number(count)}" for label, count in item.detail)


def confidence(value: Confidence) -> str:
    """high (0.97)."""
    return f"{value.word} ({value.value:.2f})"


def by_file(citations: Citations) -> list[FrameGroup]:
    """The frames cited, grouped by file in order of first mention."""
    groups: dict[str, list[int]] = {}
    for item in citations.shown:
        frames = groups.setdefault(item.file, [])
        if item.frame is not None and item.frame not in frames:
            frames.append(item.frame)
    return [FrameGroup(file, tuple(frames)) for file, frames in groups.items()]


def no_template(probing: Probing) -> str:
    """Why no request is shown."""
    if not probing.payload_seen:
        return "Cannot be told from this evidence: it needs packets. Flow logs carry no payload."
    return "No request is common to the attempts in this evidence."


def no_identity(probing: Probing) -> str:
    """Why nothing is named."""
    if not probing.payload_seen:
        return (
            "Not named: what tells one malware from another is what it sends, and that needs packets. From flows alone the "
            "services, the pace, the order of targets, the retries and the outcomes were compared, and no profile came near."
        )
    return "No profile of known malware was compared, or none came near."


def cited(citations: Citations, most: int = 6) -> str:
    """Citations in short: model.pcap frames 12, 40, 61; 1,204 in all. Empty where nothing is cited."""
    parts: list[str] = []
    left = most
    for group in by_file(citations):
        frames = group.frames[:left]
        left -= len(frames)
        noun = "frame" if len(frames) == 1 else "frames"
        parts.append(f"{group.file} {noun} {', '.join(str(f) for f in frames)}" if frames else group.file)
        if left <= 0:
            break
    if not parts:
        return count_of(citations.total, "citation") if citations.total else ""
    more = f" ({number(citations.total)} in all)" if citations.total > most - left else ""
    return "; ".join(parts) + more


def citation(item: Citation) -> str:
    """One citation in full, without its file: frame 12, flow 3, HTTP transaction 4."""
    parts = [
        f"{label} {value}"
        for label, value in (
            ("frame", item.frame),
            ("flow", item.flow_id),
            ("HTTP transaction", item.http_txn_id),
            ("DNS transaction", item.dns_txn_id),
        )
        if value is not None
    ]
    return ", ".join(parts)


def turning(point: TurningPoint, tz: datetime.tzinfo | None = None) -> str:
    """A turning point as a sentence, where the verdict has not put it in words itself."""
    if point.statement:
        return point.statement
    if point.at_edge:
        return f"The behaviour runs to the edge of the evidence at {when(point.ts_ns, tz)}: no change was seen."
    return f"The behaviour {point.change} at {when(point.ts_ns, tz)}."


def bracket(point: TurningPoint, tz: datetime.tzinfo | None = None) -> str:
    """The last event before the change and the first after it, with the span between."""
    if point.bracket_from_ns is None or point.bracket_to_ns is None:
        only = point.bracket_from_ns if point.bracket_to_ns is None else point.bracket_to_ns
        return "" if only is None else when(only, tz, millis=True)
    return (
        f"between {when(point.bracket_from_ns, tz, millis=True)} and {when(point.bracket_to_ns, tz, millis=True)}"
        f" ({duration(point.bracket_to_ns - point.bracket_from_ns)})"
    )


def no_candidate(point: TurningPoint) -> str:
    """Why a turning point has no candidate transfer."""
    if point.at_edge:
        return "What came before or after it lies outside the evidence."
    return "No transfer just before it can be offered as the cause from this evidence."


def identity(item: Identity) -> str:
    """W32/Frethem.K: likely (score 0.62, probability 0.91, coverage 0.55)."""
    tier = TIER_WORDS.get(item.tier, item.tier)
    figures = f"score {item.score:.2f}, probability {item.probability:.2f}, coverage {item.coverage:.2f}"
    return f"{item.family}: {tier} ({figures})" if item.family else f"{tier} ({figures})"


def state(value: str) -> str:
    """An indicator's state in words."""
    return STATE_WORDS.get(value, value)


def quality_item(item: QualityItem) -> str:
    """Name of a capture-quality item as words."""
    return item.item.replace("_", " ")


def quality_shown(items: Sequence[QualityItem]) -> list[QualityItem]:
    """The capture-quality items worth a line: what did not happen is left out."""
    return [item for item in items if item.count]


def weaknesses(items: Sequence[QualityItem]) -> list[QualityItem]:
    """The capture-quality items that weaken an answer: those shown, without the plain counts."""
    return [item for item in quality_shown(items) if item.item not in PLAIN_COUNTS]


def repeats(point: TurningPoint) -> str:
    """Heading of a turning point: how the behaviour changed, or that it ran to the edge."""
    return f"{point.change} (edge of the evidence)" if point.at_edge else point.change


def hosts(verdict: Verdict) -> list[Finding]:
    """Findings that carry the whole answer about one host and service, in the verdict's order."""
    return [f for f in verdict.findings if f.probing is not None]


def other_findings(verdict: Verdict) -> list[Finding]:
    """Findings that stand in no host's section: those of other hosts, and what a described host does beside probing."""
    described = {f.probing.host for f in verdict.findings if f.probing is not None}
    return [f for f in verdict.findings if f.probing is None and not (f.host in described and f.kind in PARTS_OF_PROBING)]


def title_of_others(verdict: Verdict) -> str:
    """What the list of other findings is called: where no host has a section, they are all there is."""
    return "Also seen" if verdict.probing else "Findings"


def span_note(finding: Finding, tz: datetime.tzinfo | None = None) -> str:
    """When a finding was, where its sentence does not say so itself."""
    if finding.from_ns is None or finding.to_ns is None or re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", finding.statement):
        return ""
    return period(finding.from_ns, finding.to_ns, tz)


def looked_for(verdict: Verdict) -> str:
    """What a verdict without a strange host rests on: how much was read."""
    counts = [
        f"{number(count)} {singular(name.replace('_', ' ')) if count == 1 else name.replace('_', ' ')}"
        for name, count in verdict.counts
        if count
    ]
    return listed(counts)


def singular(plural: str) -> str:
    """One of what a count is named after: suspects, hosts that tried something, http transactions."""
    head, mark, rest = plural.partition(" that ")
    return head.removesuffix("s") + mark + rest


def extra_facts(verdict: Verdict) -> list[tuple[str, str]]:
    """What else a verdict says, as (name, text) in order of name."""
    return [(str(key), str(verdict.extra[key])) for key in sorted(verdict.extra, key=str)]


# -- drafted rules --------------------------------------------------------------------------------------------------------
def rule_lines(rule: str) -> list[str]:
    """A rule's text in lines that can be read: header, then options as they belong together; joined by blanks they are the rule."""
    head, _, rest = rule.partition(" (")
    out = [head + " ("]
    for option in re.findall(r'(?:[^;"\\]|\\.|"(?:[^"\\]|\\.)*")+;', rest):
        word = option.strip()
        begins = re.match(r"(?:msg|flow|http|dns|tls|content|pcre|threshold|reference|classtype|metadata|dsize|icmp)\b", word)
        if begins is not None or len(out) == 1:
            out.append("  " + word)
        else:
            out[-1] += " " + word
    return [*out, ")"]
