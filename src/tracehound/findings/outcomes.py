"""In: the answer of probe_outcomes and the probes themselves. Out: how the attempts fared, by outcome, with detail.
Never here: what the answers were (answers.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tracehound.findings.citations import Citer
from tracehound.findings.model import OutcomeCount
from tracehound.findings.probes import Probes
from tracehound.findings.wording import count, number, percent

ORDER: Final = ("unanswered", "refused", "unreachable", "accepted", "answered")

OPEN: Final = frozenset({"accepted", "answered"})

ICMP4: Final[dict[tuple[int, int], str]] = {
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable (the host is alive)",
    (3, 3): "port unreachable (the host is alive)",
    (3, 4): "fragmentation needed",
    (3, 5): "source route failed",
    (3, 6): "net unknown",
    (3, 7): "host unknown",
    (3, 8): "source host isolated",
    (3, 9): "net prohibited (a filter)",
    (3, 10): "host prohibited (a filter)",
    (3, 11): "net unreachable for this type of service",
    (3, 12): "host unreachable for this type of service",
    (3, 13): "prohibited (a filter)",
    (11, 0): "time exceeded on the way",
}
ICMP6: Final[dict[tuple[int, int], str]] = {
    (1, 0): "no route",
    (1, 1): "prohibited (a filter)",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable (the host is alive)",
    (1, 5): "source address failed policy (a filter)",
    (1, 6): "route rejected",
    (3, 0): "hop limit exceeded on the way",
}


def outcome_counts(
    rows: Sequence[Mapping[str, Any]], probes: Probes, citer: Citer, *, version6: bool
) -> tuple[OutcomeCount, ...]:
    """One count an outcome, in the order of the way: nothing came back, refused, unreachable, accepted, answered."""
    total = sum(r["attempts"] for r in rows) or 1
    several = any(r["ports"] > 1 for r in rows)
    found = []
    for name in ORDER:
        mine = [r for r in rows if r["outcome"] == name]
        if not mine:
            continue
        attempts = sum(r["attempts"] for r in mine)
        mask = probes.mask(name)
        found.append(
            OutcomeCount(
                outcome=name,
                attempts=attempts,
                share=attempts / total,
                targets=max(len(set(probes.target[mask].tolist())), *(r["targets"] for r in mine)),
                detail=_open_ports(mine) if several and name in OPEN else _detail(name, mine, version6),
                citations=probes.cite(citer, mask, attempts),
            )
        )
    return tuple(found)


def statement(counts: Sequence[OutcomeCount]) -> str:
    """One sentence for all outcomes."""
    words = {
        "unanswered": "unanswered",
        "refused": "refused (reset)",
        "unreachable": "unreachable (ICMP)",
        "accepted": "accepted but silent",
        "answered": "answered",
    }
    total = sum(c.attempts for c in counts)
    parts = [f"{c.attempts:,} {words[c.outcome]} ({percent(c.share)})" for c in counts]
    return f"Of {count(total, 'attempt')}: " + ", ".join(parts)


def _detail(name: str, rows: Sequence[Mapping[str, Any]], version6: bool) -> tuple[tuple[str, int], ...]:
    if name == "unreachable":
        texts = ICMP6 if version6 else ICMP4
        sums: dict[str, int] = {}
        for r in rows:
            kind, code = r["icmp_type"], r["icmp_code"]
            text = (
                "ICMP error of unknown kind"
                if kind is None
                else texts.get((kind, code or 0), f"ICMP type {kind} code {code}")
            )
            sums[text] = sums.get(text, 0) + r["attempts"]
        return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
    if name == "unanswered":
        tries = sum(r["tries"] for r in rows)
        return (("SYNs sent", tries),) if tries else ()
    return ()


def _open_ports(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    """What a scan of many ports found open, by number, and how many ports that is."""
    shown = sorted({port for r in rows for port in r["open_ports"] or ()})
    ports = max(r["ports"] for r in rows)
    more = ", ..." if ports > len(shown) else ""
    noun = "open ports" if ports > 1 else "open port"
    return ((f"{noun} {', '.join(map(str, shown))}{more}", ports),) if shown else ()


def retries_text(counts: Sequence[OutcomeCount]) -> str:
    """'4.2 SYNs per unanswered attempt', or nothing."""
    for c in counts:
        for label, n in c.detail:
            if label == "SYNs sent" and c.attempts:
                return f"{number(n / c.attempts)} SYNs per unanswered attempt"
    return ""
