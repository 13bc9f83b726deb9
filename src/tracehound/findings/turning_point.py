"""In: the probes of one suspect, the bounds of the evidence, the host's other activity and the transfers that reached it.
Out: when the probing began and stopped, and which transfers just before are candidate causes, ranked.
Never here: the claim that one caused it; a ranking says "precedes".

The weights are log-odds (natural logarithm); a placebo test says how often a random moment of the same host has a candidate
that scores as high. Without it the ranking would be decoration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.findings.answers import preview
from tracehound.findings.citations import Citer
from tracehound.findings.model import Candidate, TurningPoint
from tracehound.findings.probes import Probes
from tracehound.findings.statistics import fano, pelt
from tracehound.findings.wording import S_NS, duration, moment, per_minute, size
from tracehound.protocols.body_kind import EXECUTABLE_KINDS

Row = Mapping[str, Any]

WINDOW_NS: Final = 24 * 3600 * S_NS
"""Transfers up to a day before the moment are candidates."""
AFTER_NS: Final = 120 * S_NS
"""The exchange that the last probe itself began belongs to the candidates of a stop."""
PLACEBOS: Final = 200
MAX_CANDIDATES: Final = 5
STANDS_OUT_P: Final = 0.05
MIN_SCORE: Final = 2.0
"""Below this score (odds of 7 to 1) a candidate is not named even when no placebo does better."""
SURE_SILENT: Final = 7.0
"""Expected attempts in the silence from which on it is a stop and not a pause: e^-7 is one in a thousand."""

W_EXECUTABLE: Final = 4.0
W_ARCHIVE: Final = 2.0
W_CONTRADICTION: Final = 4.0
W_INBOUND: Final = 3.0
W_PROBE_ANSWER: Final = 3.0
W_FIRST: Final = 1.0
W_RARITY: Final = 0.7
W_RECENCY: Final = 0.5
RECENCY_NS: Final = 300 * S_NS
W_LARGE: Final = 0.5
LARGE_BYTES: Final = 10_000
W_OPAQUE: Final = 1.0
W_ERROR_PAGE: Final = -2.0
W_POPULAR: Final = -3.0
POPULAR_SHARE: Final = 0.2
POPULAR_HOSTS: Final = 5
W_EMPTY: Final = -1.0

ARCHIVES: Final = frozenset({"zip", "rar", "7z", "cab", "arj", "iso", "ole"})
"""Wrappings that programs travel in; `ole` is also the old Office document and the MSI package."""
PROGRAMS: Final = frozenset({"pe", "dos_exe", "elf", "macho", "class", "dex", "jar", "apk", "cab"})
"""Kinds that no honest server declares as text, sound or picture."""
TEXTUAL: Final = frozenset({"html", "text", "xml", "json", "css", "javascript", "pem"})
MEDIA: Final = frozenset(
    {
        "gif",
        "png",
        "jpeg",
        "bmp",
        "ico",
        "webp",
        "tiff",
        "svg",
        "avi",
        "wav",
        "mp3",
        "mp4",
        "ogg",
        "flac",
        "midi",
        "flv",
    }
    | {"asf", "matroska", "mpeg", "woff", "ttf", "swf", "pdf"}
)
"""Pictures, sound, film, fonts and documents: what pages consist of beside their text."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer with the part of its score that does not depend on the moment."""

    row: Row
    base: float
    reasons: tuple[str, ...]
    judgement: str


def turning_points(
    probes: Probes,
    *,
    evidence_from_ns: int,
    evidence_to_ns: int,
    activity: Row | None,
    transfers: Callable[[], Sequence[Row]],
    probe_flows: frozenset[int],
    hosts: int,
    citer: Citer,
) -> tuple[TurningPoint, ...]:
    """Begin and stop of the probing; at the edge of the evidence nothing is known about a change, and the transfers are not
    even asked for."""
    starts = probes.start_ns
    first, last = int(starts[0]), int(starts[-1])
    began_at_edge, began_why = at_edge(probes, first - evidence_from_ns)
    stopped_at_edge, stopped_why = at_edge(probes, evidence_to_ns - last)
    judged = [] if began_at_edge and stopped_at_edge else judge_transfers(transfers(), probe_flows, hosts)
    before = None if activity is None else activity["last_before_ns"]
    after = None if activity is None else activity["first_after_ns"]
    began_statement = (
        f"Already under way when the evidence begins ({moment(evidence_from_ns)}); when it began is not in the capture."
        if began_at_edge
        else f"Began {moment(first)}: {began_why} before it"
        + (
            f", though the host was active ({activity['before']:,} flows)."
            if activity and activity["before"]
            else ", and nothing else of the host either."
        )
    )
    stopped_statement = (
        f"Still going on when the evidence ends ({moment(evidence_to_ns)})."
        if stopped_at_edge
        else f"Stopped {moment(last)}: {stopped_why} after it"
        + (
            f", though the host went on with other traffic ({activity['after']:,} flows)."
            if activity and activity["after"]
            else "; the host itself fell silent, so it may have been switched off or cut off."
        )
    )
    began_causes = () if began_at_edge else rank(judged, first, citer, window_end=first)
    stop_causes = () if stopped_at_edge else rank(judged, last, citer, window_end=last + AFTER_NS)
    first_row, last_row = (
        probes.citation(citer, 0, "first probe"),
        probes.citation(citer, len(probes) - 1, "last probe"),
    )
    return (
        TurningPoint(
            change="began",
            ts_ns=first,
            bracket_from_ns=before,
            bracket_to_ns=first,
            at_edge=began_at_edge,
            statement=began_statement + ("" if began_at_edge else _causes_text(began_causes)),
            candidates=began_causes,
            citations=citer.some([first_row]),
        ),
        TurningPoint(
            change="stopped",
            ts_ns=last,
            bracket_from_ns=last,
            bracket_to_ns=after if not stopped_at_edge else None,
            at_edge=stopped_at_edge,
            statement=stopped_statement + ("" if stopped_at_edge else _causes_text(stop_causes)),
            candidates=stop_causes,
            citations=citer.some([last_row]),
        ),
    )


def at_edge(probes: Probes, silence_ns: int) -> tuple[bool, str]:
    """Is a silence of this length still what the pace of the probing would show by chance?"""
    starts = np.sort(probes.start_ns)
    if len(starts) < 2:
        return True, ""
    span = float(starts[-1] - starts[0])
    longest = float(np.max(np.diff(starts)))
    mean = span / (len(starts) - 1)
    expected = silence_ns / mean if mean > 0 else (math.inf if silence_ns > S_NS else 0.0)
    if expected < SURE_SILENT or silence_ns < 1.5 * longest:
        return True, ""
    return False, f"{duration(silence_ns)} without a probe"


def phases(probes: Probes, from_ns: int, to_ns: int, bins: int = 240) -> list[tuple[int, int, float]]:
    """Spans of steady pace, by PELT over counts per bin: start, end (ns) and attempts a minute."""
    if to_ns <= from_ns or len(probes) < 20:
        return []
    bins = max(8, min(bins, len(probes) // 5))
    width = (to_ns - from_ns) / bins
    counts, _ = np.histogram(probes.start_ns, bins=bins, range=(float(from_ns), float(to_ns)))
    values = [float(c) for c in counts]
    busy = [v for v in values if v > 0]
    # Counts that vary more than a Poisson process would make PELT see stairs everywhere: the penalty grows with them.
    changes, _cost = pelt(values, 3.0 * math.log(bins) * max(1.0, fano(busy)))
    edges = [0, *changes, bins]
    return [
        (int(from_ns + a * width), int(from_ns + b * width), sum(values[a:b]) / ((b - a) * width / (60 * S_NS)))
        for a, b in itertools.pairwise(edges)
    ]


def phases_text(spans: Sequence[tuple[int, int, float]]) -> str:
    """'3.5 a minute for 28 hours, then nothing for 2 hours'."""
    parts = [f"{per_minute(rate) if rate > 0 else 'nothing'} for {duration(b - a)}" for a, b, rate in spans[:6]]
    return ", then ".join(parts) + (", ..." if len(spans) > 6 else "")


# -- candidates -----------------------------------------------------------------------------------------------------------


def judge_transfers(transfers: Sequence[Row], probe_flows: frozenset[int], hosts: int) -> list[Transfer]:
    """Scores of all transfers, without the recency that depends on the moment."""
    answers: dict[tuple[int, str, int], int] = {}
    probe_answers = [t for t in transfers if t["flow_id"] in probe_flows]
    for t in probe_answers:
        key = _answer_class(t)
        answers[key] = answers.get(key, 0) + 1
    return [_judge(t, t["flow_id"] in probe_flows, answers, len(probe_answers), hosts) for t in transfers]


def _answer_class(t: Row) -> tuple[int, str, int]:
    return (t["status"] or 0, t["body_kind"] or "", int(math.log2((t["size_bytes"] or 0) + 1)))


def _judge(
    t: Row, is_probe: bool, answers: Mapping[tuple[int, str, int], int], probe_answers: int, hosts: int
) -> Transfer:
    score = 0.0
    reasons: list[str] = []
    kind = (t["body_kind"] or "").lower()
    declared = (t["content_type"] or "").lower()
    n = t["size_bytes"] or 0
    status = t["status"]
    executable = kind in EXECUTABLE_KINDS
    error = status is not None and status >= 400
    if executable:
        score += W_EXECUTABLE
        reasons.append(f"delivered a program or script ({kind})")
    elif kind in ARCHIVES:
        score += W_ARCHIVE
        reasons.append(f"delivered an archive ({kind})")
    if contradicts(kind, declared):
        score += W_CONTRADICTION
        reasons.append(f"declared as {declared}, but is {kind}")
    if t["kind"] == "inbound" and t["met_ns"] >= t["ts_ns"] and t["proto"] == 6:
        score += W_INBOUND
        reasons.append("came in from a source never seen before")
    if is_probe:
        same = answers.get(_answer_class(t), 1)
        if probe_answers >= 3 and same == 1 and not error and n > 0:
            score += W_PROBE_ANSWER
            reasons.append(f"the only answer of its kind among {probe_answers:,} that the probes got")
        elif probe_answers >= 3:
            score -= math.log(same) * W_RARITY
    if t["met_ns"] >= t["ts_ns"] - S_NS:
        score += W_FIRST
        reasons.append("first contact with this peer")
    if hosts > 1:
        rare = math.log(hosts / max(1, min(t["peer_hosts"], hosts)))
        score += W_RARITY * rare
        if t["peer_hosts"] <= 1 and not is_probe:
            reasons.append("no other host knows this peer")
    if hosts >= POPULAR_HOSTS and t["peer_hosts"] > max(1.0, POPULAR_SHARE * hosts):
        score += W_POPULAR
        reasons.append(f"a popular server ({t['peer_hosts']:,} of {hosts:,} hosts)")
    if n >= LARGE_BYTES:
        score += W_LARGE
        reasons.append(f"{size(n)}")
    if status is not None and not error and n >= 256 and kind and kind not in TEXTUAL and kind not in MEDIA:
        score += W_OPAQUE
        reasons.append(f"a body that is neither text nor picture ({kind})")
    if error:
        score += W_ERROR_PAGE
    if n == 0:
        score += W_EMPTY
    return Transfer(t, score, tuple(reasons), judgement(t))


def contradicts(kind: str, declared: str) -> bool:
    """A declared type of text, sound or picture over content that is a program, or the other way round."""
    if not kind or not declared:
        return False
    return kind in PROGRAMS and declared.startswith(("audio/", "image/", "video/", "text/"))


def judgement(t: Row) -> str:
    """Error page or payload, as far as the evidence can tell."""
    status, kind, n = t["status"], (t["body_kind"] or "").lower(), t["size_bytes"] or 0
    if t["kind"] != "http":
        about = "about " if t.get("estimated") else ""
        read = "content not looked into" if t.get("packet_id") is not None else "what it carried needs packets"
        return f"{about}{size(n)} of {t['service'] or 'unknown protocol'}; {read}"
    if status is None:
        return "response without a status line"
    if n == 0:
        return "no body"
    if status >= 400:
        return "error page" if n < 20_000 and (not kind or kind in TEXTUAL) else f"error status, but its body is {kind}"
    if kind in EXECUTABLE_KINDS:
        return "payload: a program or script"
    if kind in ARCHIVES:
        return "payload: an archive"
    if kind in TEXTUAL:
        return "text or page, no error status"
    if kind in MEDIA:
        return "picture, sound, film or document"
    return "payload: neither error page nor text"


def rank(judged: Sequence[Transfer], moment_ns: int, citer: Citer, *, window_end: int) -> tuple[Candidate, ...]:
    """The best candidates before `moment_ns`, each with its placebo p-value."""
    if not judged:
        return ()
    times = np.array([t.row["ts_ns"] for t in judged], dtype=np.int64)
    base = np.array([t.base for t in judged], dtype=np.float64)
    scores = _scores(times, base, moment_ns, window_end)
    places = [int(p) for p in np.argsort(-scores, kind="stable")[:MAX_CANDIDATES] if math.isfinite(scores[p])]
    if not places:
        return ()
    tops = placebo(times, base, moment_ns, window_end - moment_ns)
    found = []
    for n, place in enumerate(places, start=1):
        t = judged[place]
        row = t.row
        ago = max(0.0, (moment_ns - row["ts_ns"]) / S_NS)
        found.append(
            Candidate(
                rank=n,
                score=round(float(scores[place]), 2),
                ts_ns=row["ts_ns"],
                seconds_before=round(ago, 3),
                what=row["request"] or f"{row['kind']} {row['service'] or ''} port {row['dport']}".replace("  ", " "),
                peer=row["peer"],
                status=row["status"],
                body_kind=row["body_kind"],
                size_bytes=row["size_bytes"],
                sha256=row["body_sha256"],
                preview=preview(row["body_preview"]),
                judgement=t.judgement,
                reasons=(*t.reasons, f"{duration(ago * S_NS)} before" if ago >= 1 else "at that very moment"),
                placebo_p=round(float((1 + np.sum(tops >= scores[place] - 1e-9)) / (1 + len(tops))), 4),
                citations=citer.some(
                    [
                        citer.packet(
                            row["packet_id"], flow_id=row["flow_id"], http_txn_id=row["txn_id"], ts_ns=row["ts_ns"],
                            evidence_id=row.get("evidence_id"),
                        )
                    ]
                ),
            )
        )
    return tuple(found)


def placebo(times: NDArray[np.int64], base: NDArray[np.float64], moment_ns: int, after_ns: int) -> NDArray[np.float64]:
    """Best score at each of PLACEBOS other moments, spread evenly over the time in which transfers reached the host."""
    begin, end = int(times.min()), int(max(int(times.max()), moment_ns))
    tops = []
    for n in range(PLACEBOS):
        at = begin + (end - begin) * (2 * n + 1) // (2 * PLACEBOS)
        scores = _scores(times, base, at, at + after_ns)
        best = float(scores.max())
        tops.append(best if math.isfinite(best) else -math.inf)
    return np.array(tops)


def _scores(times: NDArray[np.int64], base: NDArray[np.float64], at: int, window_end: int) -> NDArray[np.float64]:
    ago = np.maximum(0, at - times).astype(np.float64)
    scores = base - W_RECENCY * np.log1p(ago / RECENCY_NS)
    return np.where((times > at - WINDOW_NS) & (times <= window_end), scores, -np.inf)


def stands_out(candidates: Sequence[Candidate]) -> bool:
    """Does the first candidate score high enough, and higher than chance would?"""
    return bool(
        candidates
        and candidates[0].score >= MIN_SCORE
        and candidates[0].placebo_p is not None
        and candidates[0].placebo_p <= STANDS_OUT_P
    )


def _causes_text(candidates: Sequence[Candidate]) -> str:
    if not stands_out(candidates):
        return " No transfer before it stands out: none in capture."
    c = candidates[0]
    what = f"an answer of {size(c.size_bytes or 0)}" if c.status else f"{size(c.size_bytes or 0)}"
    status = f", status {c.status}" if c.status else ""
    ago = f"{duration(c.seconds_before * S_NS)} before" if c.seconds_before >= 0.001 else "at that very moment"
    return (
        f" It was preceded by {what} from {c.peer} ({ago}{status}; {c.judgement})."
    )
