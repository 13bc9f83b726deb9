"""In: a verdict. Out: what can be looked for elsewhere: addresses, requests, hashes, families, each with the finding it comes from.
Never here: a format that they are shared in (report/), or what another case holds.

Only what the verdict says of a strange host becomes an indicator: its targets are victims, and its evidence is full of innocent
addresses. Types are MISP's attribute types where there is one."""

from __future__ import annotations

from typing import Final, NamedTuple

from tracehound.findings.conduct import EXPOSURES
from tracehound.findings.model import Finding, Identity, Probing, Verdict

_LEAST_CONFIDENCE: Final = 0.5
"""Below it a finding is a question, and a question is not handed on as something to block."""
_LEAST_SCORE: Final = 0.5
"""A transfer ranked below it was merely there at the time."""


class Indicator(NamedTuple):
    """One thing to look for. `source` is the finding_id."""

    type: str
    value: str
    source: str


def _of_probing(p: Probing, source: str) -> list[Indicator]:
    found = []
    if p.template is not None and p.template.text:
        found.append(Indicator("http-request" if p.template.protocol == "http" else "pattern-in-traffic", p.template.text, source))
    for turn in p.turning_points:
        found += [
            Indicator("sha256", c.sha256, source)
            for c in turn.candidates
            if c.sha256 and c.rank == 1 and c.score >= _LEAST_SCORE and not turn.at_edge
        ]
    return found


def _of_identity(identity: Identity, source: str) -> list[Indicator]:
    if identity.tier in ("none", "possible"):
        return []
    found = [Indicator("malware-family", identity.family, source)]
    kinds = {"domain": "domain", "sha256": "sha256", "md5": "md5", "ja3": "ja3-fingerprint-md5", "user_agent": "user-agent"}
    found += [
        Indicator(kinds[i.kind], i.seen or i.value, source)
        for i in identity.indicators
        if i.state == "matched" and i.kind in kinds
    ]
    return found


def of_finding(finding: Finding) -> list[Indicator]:
    """What one finding gives to look for, strongest first."""
    if finding.confidence.value < _LEAST_CONFIDENCE or finding.kind in EXPOSURES:
        return []
    found = [Indicator("ip-src", finding.host, finding.finding_id)] if finding.host else []
    if finding.probing is not None:
        found += _of_probing(finding.probing, finding.finding_id)
        for identity in finding.probing.identities[:1]:
            found += _of_identity(identity, finding.finding_id)
    if finding.identity is not None:
        found += _of_identity(finding.identity, finding.finding_id)
    return found


def of_verdict(verdict: Verdict) -> list[Indicator]:
    """Every indicator once, in the order of the findings."""
    seen: dict[tuple[str, str], Indicator] = {}
    for finding in verdict.findings:
        for i in of_finding(finding):
            seen.setdefault((i.type, i.value), i)
    return list(seen.values())
