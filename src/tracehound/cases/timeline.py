"""In: what a case holds: findings, turning points, host events, mail, notes, log. Out: one timeline in order of time.
Never here: reading any of them, or how the timeline is printed.

Two times matter of everything: when it happened, and when the case learned of it. The timeline is of the first; what the case did
itself (status, evidence taken) stands in it at the time it was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tracehound.report.incident import Moment

NETWORK: Final = "network"
HOST: Final = "host"
MAIL: Final = "mail"
CASE: Final = "case"


FACETS: Final = frozenset({"answers", "outcomes", "stack", "targets", "request_template", "turning_point"})
"""Kinds of findings that describe another finding's behaviour further: its beginning and end are theirs."""


def of_findings(rows: Iterable[Mapping[str, Any]]) -> list[Moment]:
    """When each finding's behaviour began and ended."""
    out = []
    for r in rows:
        if r["kind"] in FACETS:
            continue
        if r["from_ns"] is not None:
            out.append(Moment(r["from_ns"], NETWORK, f"{r['kind']} begins", r["statement"], r["finding_id"]))
        if r["to_ns"] is not None and r["to_ns"] != r["from_ns"]:
            out.append(Moment(r["to_ns"], NETWORK, f"{r['kind']} ends", f"{r['host'] or ''}: last seen".lstrip(": "), r["finding_id"]))
    return out


def of_turning_points(verdict: Mapping[str, Any], ns_of: Any) -> list[Moment]:
    """Turning points and their first candidates, from a verdict's JSON; `ns_of` reads its times."""
    out = []
    for finding in verdict.get("findings", ()):
        probing = finding.get("probing") or {}
        for turn in probing.get("turning_points", ()):
            if turn.get("at_edge"):
                continue
            out.append(Moment(ns_of(turn["ts"]), NETWORK, f"behaviour {turn['change']}", turn["statement"], finding["finding_id"]))
            out += [
                Moment(ns_of(c["ts"]), NETWORK, "candidate transfer", f"{c['what']} ({c['judgement']})", finding["finding_id"])
                for c in turn.get("candidates", ())[:3]
            ]
    return out


def of_mail(rows: Iterable[Mapping[str, Any]]) -> list[Moment]:
    return [
        Moment(r["sent_ns"], MAIL, "mail", f"{r['sender']}: {r['subject']}", r["message_key"]) for r in rows if r["sent_ns"] is not None
    ]


SAID: Final[dict[str, str]] = {
    "open": "case opened: {title}",
    "status": "status {before} to {status}",
    "assign": "assigned to {assignee}",
    "note": "note: {text}",
    "task": "task: {text}",
    "evidence": "evidence taken: {name} ({kind}, SHA-256 {sha256})",
    "run": "investigated: {summary}",
    "hypothesis": "hypothesis: {statement}",
    "recheck": "asked {host} port {port}: {outcome}",
    "rule": "rule {origin}: {says}",
    "share": "shared as {format}",
    "link": "tied to {other}",
}
"""Actions that are moments of the case, and how they are said."""


def of_log(entries: Iterable[Any]) -> list[Moment]:
    """Entries of the case's log (cases/chain.py) that are worth a line."""
    return [
        Moment(e.at_ns, CASE, e.action, SAID[e.action].format_map({k: " ".join(str(v).split()) for k, v in e.data.items()}), f"log {e.seq}")
        for e in entries
        if e.action in SAID
    ]


def of_host(rows: Iterable[Mapping[str, Any]]) -> list[Moment]:
    """Rows of `host_events` with a time (`ts` in ns)."""
    return [
        Moment(
            int(r["ts"]), HOST, f"{r['kind']} {r['time_kind']}",
            (r["detection"] and f"{r['detection']}: {r['path'] or r['message']}") or r["path"] or r["message"] or r["process"] or "",
            f"{r['source']}:{r['line']}",
        )
        for r in rows
        if r["ts"] is not None
    ]  # fmt: skip


def merged(*parts: Iterable[Moment]) -> list[Moment]:
    """All in order of time; of one moment the network comes first, then the host, then words."""
    order = {NETWORK: 0, HOST: 1, MAIL: 2, CASE: 3}
    return sorted((m for part in parts for m in part), key=lambda m: (m.ts_ns, order[m.side], m.kind, m.what))
