"""In: answers of the detector `admin_shares` (administrative shares and remote services by pair). Out: who goes from machine to
machine by them, and look-alikes that were let go. Never here: SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.wording import count, listing, moment, size

KIND: Final = "lateral_movement"
WEIGHT_NEEDED: Final = 2.0
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5
MANY_TARGETS: Final = 3
_TOOLS: Final = ("psexesvc", "remcom", "paexec", "csexec")
_DAY_NS: Final = 86_400 * 1_000_000_000


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go, one a source."""
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["src"] != row["dst"] and setting.asked(row["src"], row["dst"]):
            by_source[row["src"]].append(row)
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for src, some in by_source.items():
        odd = _oddities(some)
        excuse = _excuse(some)
        if excuse is None and odd.weight >= WEIGHT_NEEDED and len(findings) < MAX_FINDINGS:
            cited = [c for r in some[:5] for c in setting.cite(r)[:3]]
            span = min(r["first_ns"] for r in some), max(r["last_ns"] for r in some)
            findings.append(
                setting.finding(
                    KIND, len(findings) + 1, src, span, _statement(src, some, odd),
                    Confidence(round(min(0.35 + 0.12 * odd.weight, 0.9), 2), odd.signs), cited, _total(some, "actions"),
                )
            )  # fmt: skip
        elif _total(some, "connected") and len(let_go) < MAX_LET_GO:
            what = f"a host that goes from machine to machine ({listing(_names(some, 'shares'))} of {listing([r['dst'] for r in some])})"
            reason = excuse or "an administrator, a backup or an inventory: no program was written and started there"
            let_go.append(Innocent(src, what, reason, (("targets", f"{len(some):,}"), ("actions", f"{_total(some, 'actions'):,}"))))
    return findings, let_go


def _total(rows: Sequence[Row], name: str) -> int:
    return sum(r[name] for r in rows)


def _names(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({n for r in rows for n in r[name] or () if n})


def _excuse(rows: Sequence[Row]) -> str | None:
    written = _names(rows, "program_names")
    span = max(r["last_ns"] for r in rows) - min(r["first_ns"] for r in rows)
    if len(rows) >= 20 and span >= 3 * _DAY_NS and not any(t in p for t in _TOOLS for p in (*written, *_names(rows, "pipes"))):
        return f"software deployment: {count(len(rows), 'machine')} over several days"
    return None


def _oddities(rows: Sequence[Row]) -> Oddities:
    written, pipes = _names(rows, "program_names"), _names(rows, "pipes")
    targets = [r for r in rows if r["connected"] or r["creates"] or r["tasks"]]
    tools = [t for t in _TOOLS if any(t in name for name in (*written, *pipes))]
    both = [r for r in rows if r["programs"] and (r["creates"] or r["starts"] or r["tasks"])]
    return Oddities.of(
        [
            (bool(written), 1.0, f"writes {count(len(written), 'program')} to administrative shares ({listing(written, 3)})"),
            (_total(rows, "creates") > 0, 1.0, "creates a service there"),
            (_total(rows, "starts") > 0, 0.5, "starts a service there"),
            (_total(rows, "tasks") > 0, 1.0, "registers a task there"),
            (bool(both), 0.5, "on the very machine that it wrote a program to"),
            (bool(tools), 1.0, f"as {listing(tools)} does"),
            (len(targets) >= MANY_TARGETS, 1.0, f"on {len(targets):,} machines"),
            (_total(rows, "denied") > 0, 0.5, f"was refused at {count(sum(r['denied'] > 0 for r in rows), 'machine')}"),
        ]
    )


def _statement(src: str, rows: Sequence[Row], odd: Oddities) -> str:
    shares, users = _names(rows, "shares"), _names(rows, "users")
    first, last = min(r["first_ns"] for r in rows), max(r["last_ns"] for r in rows)
    by = f" by {listing(shares)}" if shares else " by remote services"
    account = f" as {listing(users, 3)}" if users else ""
    written = f", {size(_total(rows, 'written_bytes'))} written" if _total(rows, "written_bytes") else ""
    return (
        f"{src} goes to {listing([r['dst'] for r in rows])}{by}{account} from {moment(first)} to {moment(last)}{written}: "
        f"{'; '.join(odd.signs)}."
    )
