"""In: the probes of one suspect. Out: how the sender's stack behaves: an ordinary one, or packets made by hand.
Never here: which tool or malware it is (profiles/)."""

from __future__ import annotations

import ipaddress
from typing import Final

import numpy as np

from tracehound.findings.model import Stack
from tracehound.findings.probes import Ints, Probes
from tracehound.findings.wording import duration, listing, percent

MOST: Final = 0.9
FEW: Final = 5
"""Fewer probes than this say nothing about a stack."""


def stack(probes: Probes, proto: int) -> Stack:
    """Source ports, SYN retries and header fields with their verdict: ordinary, crafted or cannot be told."""
    ports_kind, ports_text = source_ports(probes)
    retries, retry_counts = syn_retries(probes) if proto == 6 else ("not TCP", ())
    crafted = crafted_reasons(probes, proto, ports_kind)
    ordinary = ordinary_reasons(probes, proto, ports_kind)
    if len(probes) < FEW:
        verdict = "cannot be told"
    elif crafted:
        verdict = "crafted"
    elif ordinary:
        verdict = "ordinary"
    else:
        verdict = "cannot be told"
    return Stack(verdict, ports_text, retries, retry_counts, tuple(crafted or ordinary))


def source_ports(probes: Probes) -> tuple[str, str]:
    """Kind and words: constant, counting up, from a few, or no order."""
    ports = probes.sport
    distinct = len(np.unique(ports))
    if len(ports) < 2:
        return "single", f"one probe, from port {int(ports[0])}" if len(ports) else "none"
    if distinct == 1:
        return "constant", f"always {int(ports[0])}"
    # Attempts that share a moment may have been sent in either order; the ports of an ordinary stack go up by one, or by
    # a few where the host opens other connections in between, and fall back at the end of the range.
    diff = np.diff(ports)
    up = float(np.mean((diff > 0) & (diff <= 64)))
    by_one = float(np.mean(diff == 1))
    if up >= 0.8:
        often = f", by exactly one in {percent(by_one)}" if by_one >= 0.1 else ""
        return (
            "counting",
            f"counting up (small steps up in {percent(up)} of attempts{often}), {int(ports.min())} to {int(ports.max())}",
        )
    if distinct <= min(16, max(3, len(ports) // 10)):
        return "few", f"{distinct} ports: {listing([str(p) for p in np.unique(ports)[:5].tolist()])}"
    return "shuffled", f"no order, {distinct:,} different ports from {int(ports.min())} to {int(ports.max())}"


def syn_retries(probes: Probes) -> tuple[str, tuple[tuple[int, int], ...]]:
    """How many SYNs an unanswered attempt took, and how long they were spread."""
    silent = probes.mask("unanswered") & (probes.tries > 0)
    if not np.any(silent):
        return "no unanswered attempt shows SYNs", ()
    tries = probes.tries[silent]
    values, counts = np.unique(tries, return_counts=True)
    table = tuple(zip(values.tolist(), counts.tolist(), strict=True))
    shares = {v: c / len(tries) for v, c in table}
    usual = [v for v, s in shares.items() if s >= 0.1]
    named = " or ".join(str(v) for v in usual) if usual else f"{int(tries.min())} to {int(tries.max())}"
    text = f"{named} SYN{'s' if usual != [1] else ''} where nobody answered"
    many = silent & (probes.tries > 1)
    if np.any(many):
        text += f", over {duration(float(np.median(probes.end_ns[many] - probes.start_ns[many])))}"
    return text, table


def crafted_reasons(probes: Probes, proto: int, ports_kind: str) -> list[str]:
    """Signs of packets made by hand, each with its figure. Sources: Mirai (sequence number = destination), zmap (IP ID
    54321), masscan and nmap -sS (window 1024, no or one option, one or two SYNs from one port)."""
    reasons: list[str] = []
    if len(probes) < FEW:
        return reasons
    n = len(probes)
    if proto == 6:
        no_syn = float(np.mean((probes.flags >= 0) & (probes.flags & 2 == 0)))
        if no_syn >= MOST:
            flags = {0: "no flag at all", 1: "only FIN", 41: "FIN, PSH and URG"}.get(
                int(np.bincount(np.maximum(probes.flags, 0)).argmax()), "no SYN"
            )
            reasons.append(f"the probes carry {flags}: no stack opens a connection so")
            return reasons
        if np.any(probes.seq >= 0):
            numeric = np.array([_low32(t) for t in probes.targets], dtype=np.int64)
            equal = float(np.mean(probes.seq == numeric[probes.target]))
            if equal >= 0.5:
                reasons.append(
                    f"the TCP sequence number equals the destination address in {percent(equal)} of the SYNs"
                )
            distinct = len(np.unique(probes.seq))
            if n >= 10 and distinct <= max(1, n // 10) and equal < 0.5:
                reasons.append(f"only {distinct} different sequence numbers in {n:,} SYNs")
        known = probes.options >= 0
        if np.any(known):
            bare = float(np.mean(probes.options[known] == 0))
            if bare >= MOST:
                reasons.append(f"no TCP options in {percent(bare)} of the SYNs; an ordinary stack sends at least MSS")
        window = _constant(probes.window)
        if window in (1024, 2048, 3072, 4096) and _same(probes.options, {4, 0}):
            options = "only MSS" if _same(probes.options, {4}) else "at most MSS"
            reasons.append(f"TCP window always {window} with {options}, as nmap's SYN scan sends it")
        singles = probes.mask("unanswered")
        if ports_kind in ("constant", "few") and n >= 10:
            reasons.append("many connections from one source port: an ordinary stack takes a new one for each")
        if np.sum(singles) >= 10 and float(np.mean(probes.tries[singles] == 1)) >= MOST and reasons:
            reasons.append("a single SYN, never repeated, where nobody answered")
    ids = probes.ip_id[probes.ip_id >= 0]
    constant_id = _constant(ids)
    if constant_id is not None and constant_id != 0 and len(ids) >= 10:
        reasons.append(f"IP identification always {constant_id}" + (" (zmap's)" if constant_id == 54321 else ""))
    return reasons


def ordinary_reasons(probes: Probes, proto: int, ports_kind: str) -> list[str]:
    """Signs of an ordinary stack."""
    reasons: list[str] = []
    if ports_kind == "counting":
        reasons.append("source ports count up")
    if proto == 6:
        known = probes.options >= 0
        if np.any(known) and float(np.mean(probes.options[known] > 0)) >= MOST:
            reasons.append("SYNs carry TCP options")
        silent = probes.mask("unanswered")
        if np.any(silent) and float(np.mean(probes.tries[silent] >= 3)) >= 0.5:
            reasons.append("SYNs are repeated with growing pauses")
        if np.any(probes.seq >= 0) and len(np.unique(probes.seq)) >= MOST * len(probes):
            reasons.append("sequence numbers differ")
    return reasons


def _constant(values: Ints) -> int | None:
    """The one value of all (-1, not known, counts as none)."""
    if len(values) == 0 or values[0] < 0:
        return None
    return int(values[0]) if bool(np.all(values == values[0])) else None


def _same(values: Ints, allowed: set[int]) -> bool:
    return len(values) > 0 and bool(np.all(np.isin(values, list(allowed))))


def _low32(address: str) -> int:
    return int(ipaddress.ip_address(address)) & 0xFFFFFFFF
