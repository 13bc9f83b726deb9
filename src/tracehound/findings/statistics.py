"""In: counts and series as plain numbers. Out: the tests and bounds that findings rest on: Wilson interval, CUSUM, PELT.
Never here: tables, hosts, words."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959964


def wilson(k: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Bounds of a share of k in n (Wilson, JASA 1927); (0, 1) for n = 0."""
    if n <= 0:
        return 0.0, 1.0
    p = k / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    centre = p + z * z / (2 * n)
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def poisson_cusum(
    counts: Sequence[float], before: float, after: float, threshold: float
) -> tuple[int | None, int | None, list[float]]:
    """Page's CUSUM (1954) over counts per bin: rates `before` and `after` the change, alarm at `threshold`.

    Returns the bin of the alarm, the bin of the onset (the one after the last zero), and the walk."""
    walk: list[float] = []
    s, zero = 0.0, -1
    alarm = onset = None
    step, drift = math.log(after / before), after - before
    for n, count in enumerate(counts):
        s = max(0.0, s + count * step - drift)
        walk.append(s)
        if s <= 0.0:
            zero = n
        if alarm is None and s >= threshold:
            alarm, onset = n, zero + 1
    return alarm, onset, walk


def poisson_cost(total: float, length: int) -> float:
    """Twice the negative log-likelihood of one Poisson segment, without the terms that no segmentation changes."""
    return 0.0 if total <= 0 else 2.0 * (total - total * math.log(total / length))


def pelt(counts: Sequence[float], penalty: float | None = None) -> tuple[list[int], float]:
    """Changes in the rate of Poisson counts (Killick, Fearnhead, Eckley 2012): the first bin of each new segment, and the
    cost of the best segmentation. `penalty` defaults to 2 ln n (BIC)."""
    n = len(counts)
    if n == 0:
        return [], 0.0
    beta = 2.0 * math.log(n) if penalty is None else penalty
    sums = [0.0]
    for count in counts:
        sums.append(sums[-1] + count)
    best = [-beta] + [0.0] * n
    last = [0] * (n + 1)
    open_starts = [0]
    for t in range(1, n + 1):
        costs = [(best[s] + poisson_cost(sums[t] - sums[s], t - s), s) for s in open_starts]
        value, start = min(costs)
        best[t], last[t] = value + beta, start
        open_starts = [s for cost, s in costs if cost <= best[t]] + [t]
    changes: list[int] = []
    t = n
    while t > 0:
        t = last[t]
        if t > 0:
            changes.append(t)
    return changes[::-1], best[n]


def fano(counts: Sequence[float]) -> float:
    """Variance over mean: 1 for a Poisson process; above it PELT must be damped."""
    n = len(counts)
    if n < 2:
        return 1.0
    mean = sum(counts) / n
    if mean <= 0:
        return 1.0
    return sum((c - mean) ** 2 for c in counts) / (n - 1) / mean
