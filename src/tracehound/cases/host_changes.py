"""In: a host's events and a moment (a turning point of the traffic). Out: what changed on the host around it, ranked with reasons, or
that nothing did; and how far the host's clock was off. Never here: reading a host's records.

An event counts by how close it is, what it is (a program that is born says more than a file that is read), and whether the family
that the traffic fits is known for it. How ordinary such a moment is on this host is measured: the same score is taken at other
moments of the same records, and the share of them that is at least as high is the placebo p."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

S_NS: Final = 1_000_000_000
WINDOW_S: Final = 3600
"""Events farther from the moment than this are not candidates."""
_HALF_S: Final = 300.0
"""Distance at which an event counts half."""
_PLACEBOS: Final = 200
_PROGRAM: Final = re.compile(r"\.(?:exe|dll|scr|pif|com|bat|cmd|vbs|js|ps1|sys|ocx|cpl|jar|sh|py|elf|so)$", re.IGNORECASE)
_AUTOSTART: Final = re.compile(
    r"\\(?:currentversion\\run(?:once|services)?|startup|start menu|services)\b|win\.ini|system\.ini|autoexec|"
    r"/etc/(?:cron|init|systemd|rc)|scheduled|\\tasks\\",
    re.IGNORECASE,
)
_PROTECTION: Final = re.compile(
    r"anti.?virus|defender|norton|symantec|mcafee|sophos|f-prot|clam|kaspersky|avast|avg|panda|virusscan|schedule[dr]?\b",
    re.IGNORECASE,
)
KIND_WEIGHT: Final[dict[tuple[str, str], float]] = {
    ("file", "born"): 1.0, ("file", "modified"): 0.8, ("file", "changed"): 0.5, ("file", "accessed"): 0.1, ("file", "ended"): 0.8,
    ("process", "started"): 1.0, ("process", "ended"): 0.9, ("service", "logged"): 1.0, ("registry", "changed"): 0.8,
    ("detection", "logged"): 1.5, ("login", "logged"): 0.5, ("connection", "started"): 0.4, ("scan", "logged"): 0.3,
    ("scan", "started"): 0.3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One thing on the host near the moment. `seconds` is negative where it came before."""

    what: str
    ts_ns: int
    seconds: float
    score: float
    reasons: tuple[str, ...]
    source: str
    line: int
    kind: str
    time_kind: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The answer. `p` is the share of other moments of this host that look at least as eventful (None: too few to tell)."""

    at_ns: int
    changes: tuple[Change, ...]
    p: float | None
    covered: bool
    statement: str


def _weight(e: Mapping[str, Any], known: Collection[str]) -> tuple[float, list[str]]:
    base = KIND_WEIGHT.get((e["kind"], e["time_kind"]), 0.2)
    reasons = [f"{e['kind']} {e['time_kind']}"]
    path = e["path"] or ""
    name = re.split(r"[\\/]", path)[-1].lower()
    if name and name in known:
        base, reasons = base + 3.0, [*reasons, "the family is known for it"]
    if _PROGRAM.search(path) and e["time_kind"] in ("born", "modified", "started"):
        base, reasons = base + 0.7, [*reasons, "a program"]
    if _AUTOSTART.search(path) or _AUTOSTART.search(e["message"] or ""):
        base, reasons = base + 0.7, [*reasons, "where programs are started from"]
    if _PROTECTION.search(path) or _PROTECTION.search(e["message"] or ""):
        base, reasons = base + 0.5, [*reasons, "concerns protection"]
    if e["detection"]:
        base, reasons = base + 1.0, [*reasons, f"detected as {e['detection']}"]
    return base, reasons


def _near(distance_s: float) -> float:
    return 1.0 / (1.0 + abs(distance_s) / _HALF_S)


def _score(weights: Sequence[float], times: Sequence[int], at: int) -> float:
    """What happens around a moment: the sum of the weights in its window. Nearness does not count here: moments of the traffic
    that are compared fall on no event but by chance."""
    low, high = bisect.bisect_left(times, at - WINDOW_S * S_NS), bisect.bisect_left(times, at + WINDOW_S * S_NS)
    return round(math.fsum(weights[low:high]), 6)


def around(
    events: Sequence[Mapping[str, Any]], at_ns: int, *, known: Collection[str] = (), most: int = 20
) -> Changes:
    """What changed on the host around `at_ns`.

    events   rows of `host_events` of this host (dicts), in any order; those without a time are left out
    known    file names (lower case) that the identified family leaves"""
    timed = sorted((e for e in events if e["ts"] is not None), key=lambda e: e["ts"])
    if not timed:
        return Changes(at_ns, (), None, False, "The host's records hold no time at all: needs a file listing or a log with times.")
    times = [int(e["ts"]) for e in timed]
    covered = times[0] - WINDOW_S * S_NS <= at_ns <= times[-1] + WINDOW_S * S_NS
    # A file stands in a listing up to four times, and its name says the same each time.
    named: dict[tuple[Any, ...], tuple[float, list[str]]] = {}
    told = []
    for e in timed:
        key = (e["kind"], e["time_kind"], e["path"], e["message"], e["detection"])
        found = named.get(key)
        if found is None:
            found = named[key] = _weight(e, known)
        told.append(found)
    weights = [w for w, _ in told]
    low, high = bisect.bisect_left(times, at_ns - WINDOW_S * S_NS), bisect.bisect_right(times, at_ns + WINDOW_S * S_NS)
    changes = [
        Change(
            timed[i]["path"] or timed[i]["message"] or timed[i]["process"] or timed[i]["kind"], times[i], (times[i] - at_ns) / S_NS,
            round(weights[i] * _near((times[i] - at_ns) / S_NS), 3), tuple(told[i][1]), timed[i]["source"], timed[i]["line"],
            timed[i]["kind"], timed[i]["time_kind"],
        )
        for i in range(low, high)
    ]  # fmt: skip
    changes.sort(key=lambda c: (-c.score, abs(c.seconds), c.what))
    here = _score(weights, times, at_ns)
    p = _placebo(weights, times, at_ns, here)
    return Changes(at_ns, tuple(_one_a_thing(changes)[:most]), p, covered, _statement(changes, p, covered))


def _one_a_thing(changes: Sequence[Change]) -> list[Change]:
    """A file has up to four times at one moment: its strongest is kept."""
    seen: set[str] = set()
    out = []
    for c in changes:
        if c.what not in seen:
            seen.add(c.what)
            out.append(c)
    return out


def _placebo(weights: Sequence[float], times: Sequence[int], at: int, here: float) -> float | None:
    """The share of evenly spaced other moments between the first and the last event that score at least as high."""
    first, last = times[0], times[-1]
    if last - first < 20 * WINDOW_S * S_NS:
        return None
    step = (last - first) // _PLACEBOS
    moments = [first + i * step for i in range(_PLACEBOS) if abs(first + i * step - at) > 2 * WINDOW_S * S_NS]
    return sum(_score(weights, times, m) >= here for m in moments) / max(len(moments), 1)


def _statement(changes: Sequence[Change], p: float | None, covered: bool) -> str:
    minutes = WINDOW_S // 60
    if not changes:
        return (
            f"Nothing on the host changed within {minutes} minutes of it."
            if covered
            else "The host's records do not reach this moment: nothing can be said of it."
        )
    best = changes[0]
    when = f"{abs(best.seconds):.0f} s {'before' if best.seconds < 0 else 'after'}"
    rarely = "" if p is None else f" Of other moments of this host {p:.0%} are at least as eventful."
    return f"{len(changes):,} events within {minutes} minutes; foremost {best.what} ({', '.join(best.reasons)}), {when}.{rarely}"


# -- the host's clock ---------------------------------------------------------------------------------------------------

_AGREE_S: Final = 120.0
_LEAST_PAIRS: Final = 3


@dataclass(frozen=True, slots=True)
class Skew:
    """How far the host's clock was ahead, from how many things seen on both sides, within which spread."""

    seconds: float
    pairs: int
    spread_s: float
    reason: str


def estimate_skew(events: Sequence[Mapping[str, Any]], carried: Sequence[Mapping[str, Any]]) -> Skew | None:
    """The clock's error from files that the host received over the network (rows of `files`: ts, name, bytes, sha256, md5) and that
    its records show as born or modified. Three must agree within two minutes, or one with the same hash; None = cannot be told.

    Files of equal hash are the same; equal names count only with equal size."""
    by_hash: dict[str, list[int]] = {}
    by_name: dict[tuple[str, int], list[int]] = {}
    for e in events:
        if e["ts_host"] is None or e["time_kind"] not in ("born", "modified") or e["kind"] != "file":
            continue
        for digest in (e["sha256"], e["md5"]):
            if digest:
                by_hash.setdefault(digest, []).append(int(e["ts_host"]))
        if e["path"] and e["size"] is not None:
            by_name.setdefault((re.split(r"[\\/]", e["path"])[-1].lower(), int(e["size"])), []).append(int(e["ts_host"]))
    exact: list[float] = []
    loose: list[float] = []
    for f in carried:
        same = [t for digest in (f.get("sha256"), f.get("md5")) if digest for t in by_hash.get(digest, ())]
        if same:
            exact.append((min(same, key=lambda t, at=f["ts"]: abs(t - at)) - f["ts"]) / S_NS)  # type: ignore[misc]
        elif f.get("name") and f.get("bytes"):
            named = by_name.get((re.split(r"[\\/]", str(f["name"]))[-1].lower(), int(f["bytes"])), ())
            loose += [(t - f["ts"]) / S_NS for t in named]
    for found, least, what in ((exact, 1, "the same hash"), (loose, _LEAST_PAIRS, "the same name and size")):
        best = _agreeing(found)
        if len(best) >= least:
            middle = best[len(best) // 2]
            return Skew(middle, len(best), best[-1] - best[0], f"{len(best)} files seen on the wire and on the disk with {what}")
    return None


def _agreeing(found: Sequence[float]) -> list[float]:
    """The largest group of differences within two minutes of each other, sorted."""
    ordered = sorted(found)
    best: list[float] = []
    low = 0
    for high in range(len(ordered)):
        while ordered[high] - ordered[low] > _AGREE_S:
            low += 1
        if high - low + 1 > len(best):
            best = ordered[low : high + 1]
    return best
