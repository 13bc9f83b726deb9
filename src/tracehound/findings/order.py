"""In: the probes of one suspect. Out: in which order targets (or ports) were taken, and how they were visited again.
Never here: whether that is bad."""

from __future__ import annotations

import ipaddress
import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.findings.probes import Ints, Probes
from tracehound.findings.wording import count, duration, number, percent

ORDERED: Final = 0.9
"""Share of steps in one direction that makes an order."""
ROUND: Final = 0.8
"""Share of visits that repeat the target one round earlier that makes a fixed list in turn."""


@dataclass(frozen=True, slots=True)
class Order:
    """`kind`: ascending, descending, in turn, one network, scattered, mixed; `text` says it with figures."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Revisits:
    """`again` targets were visited more than once, `visits` times each (median), `every_ns` apart (median)."""

    again: int
    visits: float
    every_ns: float | None
    fixed_list: bool
    text: str


def first_rows(probes: Probes) -> Ints:
    """Row of the first attempt on each target, in order."""
    _, rows = np.unique(probes.target, return_index=True)
    return np.asarray(np.sort(rows), dtype=np.int64)


def steps(values: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of rising and of falling steps."""
    if len(values) < 2:
        return 0.0, 0.0
    diff = np.diff(values)
    return float(np.mean(diff > 0)), float(np.mean(diff < 0))


def target_order(probes: Probes) -> Order:
    """Order in which the targets were first contacted, or a fixed list worked through in turn."""
    targets = len(probes.targets)
    if targets < 3:
        return Order("few", count(targets, "target"))
    addresses = [ipaddress.ip_address(t) for t in probes.targets]
    numbers = np.array([float(int(a) & ((1 << 64) - 1)) if a.version == 6 else float(int(a)) for a in addresses])
    high = np.array([float(int(a) >> 64) if a.version == 6 else 0.0 for a in addresses])
    up, down = steps(high * 2.0**64 + numbers) if len(set(high.tolist())) > 1 else steps(numbers)
    nets = [_network(t) for t in probes.targets]
    largest = max(nets, key=nets.count)
    share = nets.count(largest) / targets
    turn = _round_robin(probes)
    where = (
        f"{percent(share)} of them in {_spelled(largest)}"
        if share >= 0.5
        else f"over {count(len(set(nets)), 'network')} ({_unit(largest)})"
    )
    if up >= ORDERED:
        kind, text = "ascending", f"ascending addresses ({percent(up)} of steps), {where}"
    elif down >= ORDERED:
        kind, text = "descending", f"descending addresses ({percent(down)} of steps), {where}"
    elif share >= 0.9:
        kind, text = "one network", f"no order inside one network, {where}"
    elif len(set(nets)) >= 0.5 * targets:
        kind, text = "scattered", f"no order, scattered {where}"
    else:
        kind, text = "mixed", f"no order, {where}"
    if turn >= ROUND:
        return Order(
            "in turn",
            f"a fixed list of {targets:,} worked through in turn ({percent(turn)} of visits repeat the round before); {text}",
        )
    return Order(kind, text)


def port_order(probes: Probes) -> Order:
    """Order of the ports of a vertical scan."""
    ports, rows = np.unique(probes.dport, return_index=True)
    taken = probes.dport[np.sort(rows)].astype(np.float64)
    up, down = steps(taken)
    span = f"{count(len(ports), 'port')} from {ports.min()} to {ports.max()}"
    if up >= ORDERED:
        return Order("ascending", f"{span}, ascending ({percent(up)} of steps)")
    if down >= ORDERED:
        return Order("descending", f"{span}, descending ({percent(down)} of steps)")
    return Order("shuffled", f"{span}, shuffled")


def revisits(probes: Probes) -> Revisits:
    """How often, and how far apart, the same target and port were tried again."""
    keys = probes.target * 65536 + probes.dport
    order = np.lexsort((probes.start_ns, keys))
    same = np.diff(keys[order]) == 0
    gaps = np.diff(probes.start_ns[order])[same]
    _, visits = np.unique(keys, return_counts=True)
    again = int(np.sum(visits > 1))
    total = len(visits)
    median = float(np.median(visits)) if total else 0.0
    every = float(np.median(gaps)) if len(gaps) else None
    if again == 0 or every is None:
        return Revisits(0, median, None, False, "each was tried once")
    span = float(probes.start_ns[-1] - probes.start_ns[0])
    half = probes.start_ns[0] + span / 2
    new_later = int(np.sum(probes.start_ns[first_rows(probes)] > half))
    fixed = total >= 10 and median >= 3 and new_later <= 0.05 * len(probes.targets)
    what = f"{again:,} of {total:,} tried again, {number(median)} times each (median), {duration(every)} apart (median)"
    if fixed:
        return Revisits(
            again,
            median,
            every,
            True,
            f"a fixed list: {what}; no new target in the second half" if new_later == 0 else f"a fixed list: {what}",
        )
    return Revisits(again, median, every, False, what)


def _round_robin(probes: Probes) -> float:
    """Share of attempts whose target is the one that followed the same target in the round before."""
    n = len(probes.targets)
    if len(probes) < 2 * n or n < 3:
        return 0.0
    follower: dict[int, int] = {}
    same = total = 0
    targets = probes.target.tolist()
    for here, after in itertools.pairwise(targets):
        known = follower.get(here)
        if known is not None:
            total += 1
            same += known == after
        follower[here] = after
    return same / total if total else 0.0


def _network(address: str) -> str:
    if ":" in address:
        return str(ipaddress.ip_network(f"{address}/48", strict=False))
    return ".".join(address.split(".")[:2])


def _spelled(network: str) -> str:
    return network if ":" in network else f"{network}.0.0/16"


def _unit(network: str) -> str:
    return "/48" if ":" in network else "/16"
