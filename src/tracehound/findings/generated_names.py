"""In: answers of the detector `generated_names` (sources that ask for many names that do not exist). Out: who tries names that a
program makes up, and look-alikes that were let go. Never here: SQL."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.name_letters import unspeakable
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import count, listing, moment, percent

KIND: Final = "generated_names"
UNSPEAKABLE_SHARE: Final = 0.5
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go."""
    servers = {r["server"] for r in rows}
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for row in rows:
        if not setting.asked(row["src"]) or setting.outside(row["src"]):
            continue
        names = [n for n in row["names"] if n]
        strange = [n for n in names if unspeakable(n.rsplit(".", 1)[0])]
        share = len(strange) / max(len(names), 1)
        if row["src"] in servers:
            continue  # A resolver repeats what its clients ask.
        if share >= UNSPEAKABLE_SHARE and len(findings) < MAX_FINDINGS:
            findings.append(_finding(row, names, strange, share, len(findings) + 1, setting))
        elif len(let_go) < MAX_LET_GO:
            let_go.append(
                Innocent(
                    row["src"],
                    f"a host that asks for {count(row['missing'], 'name')} that {'does' if row['missing'] == 1 else 'do'} not exist",
                    f"most of them are words that people make up: {listing(names, 3)}",
                    (("names that do not exist", f"{row['missing']:,}"), ("names that do", f"{row['zones'] - row['missing']:,}")),
                )
            )
    return findings, let_go


def _finding(row: Row, names: list[str], strange: list[str], share: float, serial: int, setting: Setting) -> Finding:
    found = [n for n in row["found"] if n and unspeakable(n.rsplit(".", 1)[0])]
    lengths = [len(n.rsplit(".", 1)[0]) for n in names]
    even = statistics.pstdev(lengths) <= 3
    value = 0.5 + (0.1 if row["missing"] >= 30 else 0) + (0.1 if row["missing"] >= 100 else 0) + (0.1 if share >= 0.7 else 0) + (
        0.1 if even else 0
    )
    reasons = [
        f"{count(row['missing'], 'registered name')} that do not exist, under {count(row['suffixes'], 'suffix', 'suffixes')}",
        f"{percent(share)} of them have letters that no language has",
    ]
    if even:
        reasons.append(f"nearly one length: {min(lengths)} to {max(lengths)} characters")
    there = f"; of the same look, but registered: {listing(found, 3)}" if found else "; none of that look exists"
    return setting.finding(
        KIND,
        serial,
        row["src"],
        (row["first_ns"], row["last_ns"]),
        f"{row['src']} tries names that a program makes up: {count(row['missing'], 'registered name')} that do not exist, such as "
        f"{listing(strange[:3])}, from {moment(row['first_ns'])} to {moment(row['last_ns'])}{there}.",
        Confidence(round(min(value, 0.9), 2), tuple(reasons)),
        setting.cite(row),
        row["missing"],
    )
