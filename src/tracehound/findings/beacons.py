"""In: answers of the detector `beacons` (contacts at regular times). Out: how regular each is, whether it is strange, and the
findings and the look-alikes let go that follow. Never here: SQL.

The score is that of RITA v5 (activecm/rita, its four parts and their thresholds), so that figures can be compared; the phase
test is Rayleigh's. Regularity alone accuses nobody, because clocks, updates and mail polling are regular, too: a contact is
strange only with enough of what honest software seldom does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import S_NS, count, duration, moment, percent, service

KIND: Final = "beacon"
REGULAR: Final = 0.8
"""Score of the times from which on contacts count as regular (human browsing stays below 0.6, Poisson arrivals near 0.5)."""
PHASE_P: Final = 1e-4
"""Family-wise chance of the phase test below which contacts keep a beat."""
WEIGHT_NEEDED: Final = 2.5
"""Polling of a common service by its address, by one host, with the same bytes each time, weighs 2 and stays innocent."""
ALIKE_PERIODS: Final = 0.2
"""Share by which two periods may differ and still be one."""
STEADY: Final = 0.4
"""Spread of the distances (as the detector's max_spread) up to which their median is the period; beyond it beats are missing, and
the period must be found."""
LEAST_PERIOD_S: Final = 5.0
MOST_PERIOD_S: Final = 21_600.0
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5
_DAY_S: Final = 86_400
_BINS: Final = 24
_STROBE: Final = 86_400
_MAX_BINS: Final = 1 << 20
COMMON_PORTS: Final = frozenset(
    (6, p) for p in (20, 21, 22, 25, 80, 88, 110, 119, 135, 139, 143, 389, 443, 445, 465, 563, 587, 631, 636, 853, 873, 989, 990,
                     993, 995, 1723, 3128, 3306, 3389, 5060, 5061, 5222, 5223, 5228, 5432, 8080, 8443)
) | frozenset((17, p) for p in (69, 88, 389, 443, 500, 1194, 1701, 1812, 1813, 3478, 4500, 5060, 51820))  # fmt: skip


def _round_up(value: float) -> float:
    return math.ceil(value * 1000 - 1e-9) / 1000


def _round3(value: float) -> float:
    return math.floor(value * 1000 + 0.5) / 1000


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _spread_score(values: Sequence[float], default: float) -> float:
    """Half for symmetry (Bowley's skewness), half for closeness to the median (its absolute deviation)."""
    ordered = sorted(values)
    half = len(ordered) // 2
    q1, q2, q3 = _median(ordered[:half]), _median(ordered), _median(ordered[len(ordered) - half :])
    skew = 0.0 if q3 - q1 < 10 or q2 in (q1, q3) else (q1 + q3 - 2 * q2) / (q3 - q1)
    deviation = _median([abs(v - q2) for v in ordered])
    close = max(0.0, (q2 - deviation) / q2) if q2 >= 1 else default
    return _round3((1 - abs(skew) + close) / 2)


def timestamp_score(times_s: Sequence[int]) -> float:
    """RITA's score of the distances in time; whole seconds, the same second counts once. 0 for fewer than four moments."""
    gaps = [float(g) for g in np.diff(sorted(set(times_s))) if g > 0]
    return _spread_score(gaps, 1.0) if len(gaps) >= 3 else 0.0


def size_score(sizes: Sequence[int]) -> float:
    """RITA's score of the bytes sent."""
    return _spread_score([float(s) for s in sizes], 0.0) if len(sizes) >= 3 else 0.0


def _histogram(times_s: Sequence[int], low: int, high: int) -> NDArray[np.int64]:
    counts, _edges = np.histogram(np.asarray(times_s), bins=_BINS, range=(low, max(high, low + 1)))
    return counts.astype(np.int64)


def histogram_score(bins: NDArray[np.int64]) -> float:
    """RITA's score of how evenly the contacts fill the window: by variation, or as two heights."""
    mean = float(bins.mean())
    variation = float(bins.std()) / mean if mean else 2.0
    even = _round3(1 - variation) if variation <= 1 else 0.0
    bars = int(np.count_nonzero(bins))
    if bars < 11:
        return even
    size = max(1, math.ceil(int(bins.max()) * 0.05))
    heights = Counter((bins[bins > 0] // size).tolist())
    two = sum(n for _height, n in heights.most_common(2))
    return max(even, _round3(min(1.0, two / max(bars - 1, 1))))


def duration_score(times_s: Sequence[int], bins: NDArray[np.int64], low: int, high: int) -> float:
    """RITA's score of how much of the window the contacts cover."""
    if int(np.count_nonzero(bins)) < 6:
        return 0.0
    longest = run = 0
    for filled in [*(bins > 0).tolist()] * 2:
        run = run + 1 if filled else 0
        longest = max(longest, run)
    covered = (max(times_s) - min(times_s)) / max(high - low, 1)
    return max(min(1.0, _round_up(covered)), min(1.0, _round_up(min(longest, _BINS) / 12)))


def beacon_score(times_s: Sequence[int], sizes: Sequence[int], low_s: int, high_s: int) -> float:
    """RITA v5's beacon score, 0..1. low_s, high_s: the window (RITA takes the last 24 hours of the evidence)."""
    if len(times_s) >= _STROBE:
        return REGULAR
    bins = _histogram(times_s, low_s, high_s)
    parts = (
        timestamp_score(times_s), size_score(sizes), duration_score(times_s, bins, low_s, high_s), histogram_score(bins),
    )  # fmt: skip
    return _round3(sum(parts) / 4)


def rayleigh(times_s: NDArray[np.float64], period_s: float) -> float:
    """Rayleigh's z of the phases at one period: large where events keep the beat, missed beats or not."""
    angle = 2 * np.pi * times_s / period_s
    return float((np.cos(angle).sum() ** 2 + np.sin(angle).sum() ** 2) / times_s.size)


def phase_chance(times_s: NDArray[np.float64], period_s: float) -> float:
    """Chance that events without a beat reach this z at any of the periods that the span can tell apart (Sidak)."""
    span = float(times_s[-1] - times_s[0])
    tried = max(1.0, span / max(period_s / 2, 1e-9))
    single = math.exp(-min(rayleigh(times_s - times_s[0], period_s), 700.0))
    return float(-math.expm1(tried * math.log1p(-min(single, 1 - 1e-12))))


def hidden_period(times_s: NDArray[np.float64]) -> tuple[float, float]:
    """The period in seconds, between `LEAST_PERIOD_S` and `MOST_PERIOD_S`, that contacts with missing beats keep best, and the
    chance that contacts without a beat do as well at any period (Sidak). (0, 1) where there is none.

    The periodogram of the contacts, in bins of a quarter of the shortest period, is Rayleigh's z at all periods at once. Halves and
    thirds of a period peak as well: the longest whose z is near the largest is taken, and tried again at the exact times."""
    at = times_s - times_s[0]
    span = float(at[-1])
    if at.size < 10 or span < 3 * LEAST_PERIOD_S:
        return 0.0, 1.0
    bins = min(int(span / (LEAST_PERIOD_S / 4)) + 1, _MAX_BINS)
    width = span / bins
    padded = 4 * bins
    counted = np.minimum(np.bincount(np.minimum((at / width).astype(np.int64), bins - 1), minlength=bins), 1)
    power = np.abs(np.fft.rfft(counted - counted.mean(), padded)) ** 2 / max(int(counted.sum()), 1)
    periods = padded * width / np.maximum(np.arange(power.size), 1)
    usable = (periods >= max(LEAST_PERIOD_S, 4 * width)) & (periods <= min(MOST_PERIOD_S, span / 3))
    if not usable.any():
        return 0.0, 1.0
    best = float(power[usable].max())
    longest = float(periods[usable & (power >= 0.95 * best)].max())
    near = longest * (1 + np.linspace(-1, 1, 41) * longest / (2 * span))
    exact = float(near[int(np.argmax([rayleigh(at, float(p)) for p in near]))])
    tried = max(1.0, span * (1 / LEAST_PERIOD_S - 1 / MOST_PERIOD_S))
    single = math.exp(-min(rayleigh(at, exact), 700.0))
    return exact, float(-math.expm1(tried * math.log1p(-min(single, 1 - 1e-12))))


@dataclass(frozen=True, slots=True)
class Beacon:
    """One series of contacts, judged. `odd` is what honest software seldom does, with its weight."""

    row: Mapping[str, Any]
    score: float
    times_score: float
    chance: float
    period_ns: float
    jitter: float
    missed: float
    odd: tuple[tuple[float, str], ...]

    @property
    def signs(self) -> tuple[str, ...]:
        return tuple(text for _weight, text in self.odd)

    @property
    def weight(self) -> float:
        return sum(weight for weight, _text in self.odd)

    @property
    def regular(self) -> bool:
        return self.times_score >= REGULAR or self.chance <= PHASE_P

    @property
    def strange(self) -> bool:
        return self.regular and self.weight >= WEIGHT_NEEDED


def judge_series(row: Mapping[str, Any], last_ns: int, first_ns: int, hosts: int) -> Beacon:
    """One row of the detector. `first_ns` and `last_ns` bound the evidence; `hosts` is how many home hosts there are."""
    times = np.asarray(row["times_ns"], np.int64)
    low = max(first_ns, last_ns - _DAY_S * S_NS)
    recent = times >= low
    seconds = (times[recent] // S_NS).tolist()
    sizes = [s for s, inside in zip(row["sizes"], recent.tolist(), strict=True) if inside]
    window = (int(low // S_NS), int(last_ns // S_NS))
    period = float(row["gap_median_ns"])
    spread = float(row["gap_mad_ns"]) / period
    exact = times.astype(np.float64) / S_NS
    chance = phase_chance(exact, period / S_NS)
    if spread > STEADY:
        found, chance = hidden_period(exact)
        if not found or chance > PHASE_P:
            return Beacon(row, 0.0, 0.0, 1.0, period, spread, 0.0, ())
        period = found * S_NS
        spread = _off_beat(exact, found)
    expected = (int(times[-1]) - int(times[0])) / period + 1
    return Beacon(
        row=row,
        score=beacon_score(seconds, sizes, *window) if len(seconds) >= 4 else 0.0,
        times_score=timestamp_score((times // S_NS).tolist()),
        chance=chance,
        period_ns=period,
        jitter=spread,
        missed=max(0.0, 1 - len(times) / expected),
        odd=_signs(row, hosts),
    )


def _off_beat(times_s: NDArray[np.float64], period_s: float) -> float:
    """How far contacts usually are from the beat, as a share of the period."""
    phase = np.angle(np.exp(2j * np.pi * times_s / period_s) / np.exp(1j * np.angle(np.exp(2j * np.pi * times_s / period_s).sum())))
    return float(np.median(np.abs(phase))) / (2 * np.pi)


def _signs(row: Mapping[str, Any], hosts: int) -> tuple[tuple[float, str], ...]:
    """What is odd beside the regularity, each with its weight."""
    beats, failures = row["beats"], row["failures"]
    spoken = row["answered"] >= 0.5 * beats
    told: list[tuple[bool, float, str]] = [
        (failures >= 0.8 * beats, 1.0, f"{percent(failures / beats)} of the contacts failed, and it goes on"),
        (failures >= 0.8 * beats and beats >= 30, 0.5, f"that is {beats} contacts in vain"),
        (row["asks_dns"] and not row["named"], 1.0, "no name led to the address"),
        ((row["proto"], row["dport"]) not in COMMON_PORTS, 1.0, "the port is not one of common services"),
        (spoken and row["service"] is None and row["captured"] >= 0.5 * beats, 1.0, "what is spoken there is no known protocol"),
        (row["bare"] >= 0.8 * beats, 1.0, "its requests name no User-Agent"),
        (row["self_signed"] >= 1, 0.5, "the server's certificate is signed by itself"),
        (row["nameless"] >= 0.8 * beats, 0.5, "its handshakes ask for no server by name"),
        (row["users"] == 1 and hosts >= 3, 0.5, f"none of the other {hosts - 1} hosts contacts the place"),
        (spoken and row["size_median"] > 0 and row["size_mad"] == 0, 0.5, f"it mostly sends exactly {row['size_median']:.0f} bytes"),
    ]
    return tuple((weight, text) for holds, weight, text in told if holds)


def statement(b: Beacon, others: Sequence[Beacon] = ()) -> str:
    """Who contacts what, how regularly, how often, since when; `others` are further places that are contacted alike."""
    row = b.row
    place = row["place"] if row["place"] == row["dst"] else f"{row['place']} ({row['dst']})"
    fared = {
        "answered": "usually answered", "refused": "usually refused", "unanswered": "usually unanswered",
        "unreachable": "usually unreachable", "accepted": "usually accepted without a word",
    }.get(row["usual_outcome"], row["usual_outcome"])  # fmt: skip
    more = f" and {count(len(others), 'other place')} alike" if others else ""
    missed = f", {percent(b.missed)} of the beats missing" if b.missed >= 0.05 else ""
    return (
        f"{row['src']} contacts {place}{more}, {service(row['proto'], row['dport'])}, every {duration(round(b.period_ns))} "
        f"(half of the distances within {percent(b.jitter)} of that{missed}): {count(row['beats'], 'time')} from "
        f"{moment(row['first_ns'])} to {moment(row['last_ns'])}, {fared}; {'; '.join(b.signs)}."
    )


def _confidence(b: Beacon) -> Confidence:
    value = 0.3 + 0.1 * b.weight + (0.1 if b.row["beats"] >= 50 else 0.0)
    kept = f"chance that they keep no beat {b.chance:.0e}" if b.chance <= PHASE_P else "the distances keep close to their median"
    return Confidence(round(min(value, 0.85), 2), (f"RITA score {b.score:.3f}, of the times alone {b.times_score:.3f}", kept, *b.signs))


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Strange beacons as findings, other regular contacts as look-alikes let go. A prober's beat belongs to its probing; beats of
    one source on one port with one distance belong together (a list of places that are asked in turn)."""
    strange: list[Beacon] = []
    let_go: list[Innocent] = []
    for row in rows:
        if not setting.asked(row["src"]) or setting.outside(row["src"]) or (setting.home and row["dst"] in setting.home):
            continue
        if {(row["src"], row["proto"], row["dport"]), (row["src"], row["proto"], None)} & setting.accused:
            continue
        beacon = judge_series(row, setting.last_ns, setting.first_ns, setting.hosts)
        if beacon.strange:
            strange.append(beacon)
        elif beacon.regular and len(let_go) < MAX_LET_GO:
            let_go.append(_let_go(beacon))
    findings: list[Finding] = []
    for group in _together(strange)[:MAX_FINDINGS]:
        first = group[0]
        cited = [c for b in group for c in setting.cite(b.row)]
        span = min(b.row["first_ns"] for b in group), max(b.row["last_ns"] for b in group)
        findings.append(
            setting.finding(
                KIND, len(findings) + 1, first.row["src"], span, statement(first, group[1:]), _confidence(first), cited,
                sum(b.row["beats"] for b in group),
            )
        )  # fmt: skip
    return findings, let_go


def _together(strange: Sequence[Beacon]) -> list[list[Beacon]]:
    """Beacons of one source and port whose periods differ by a fifth at most, strongest first."""
    groups: list[list[Beacon]] = []
    for beacon in strange:
        for group in groups:
            first = group[0]
            same = all(first.row[k] == beacon.row[k] for k in ("src", "proto", "dport"))
            if same and abs(first.period_ns - beacon.period_ns) <= ALIKE_PERIODS * first.period_ns:
                group.append(beacon)
                break
        else:
            groups.append([beacon])
    return [sorted(g, key=lambda b: (-b.weight, -b.row["beats"])) for g in groups]


def _let_go(beacon: Beacon) -> Innocent:
    return Innocent(
        host=beacon.row["src"],
        looked_like=KIND,
        reason=f"contacts {beacon.row['place']} every {duration(round(beacon.period_ns))}, as clocks, updates and polling do; "
        + ("only this is odd: " + "; ".join(beacon.signs) if beacon.signs else "nothing else is odd"),
        figures=(("contacts", f"{beacon.row['beats']:,}"), ("RITA score", f"{beacon.score:.3f}")),
    )
