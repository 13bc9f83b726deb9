"""In: detectors whose answer accuses a host of more than probing, and what is known of the run. Out: their findings, the
look-alikes that were let go, and the questions that this evidence cannot answer.
Never here: a judgement; each is a file of its own beside this one, and stands in `JUDGES` under its detector's id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tracehound.detectors.catalog import Catalog
from tracehound.errors import Unanswerable
from tracehound.findings import (
    admin_shares,
    arp_spoofing,
    bare_programs,
    beacons,
    credentials,
    disguised,
    dns_tunnels,
    generated_names,
    login_guessing,
    outward,
    rpc_attacks,
    spread,
    tls_attacks,
)
from tracehound.findings.model import Finding, Innocent
from tracehound.findings.setting import Judged, Row, Setting

Judge = Callable[[Sequence[Row], Setting], Judged]

JUDGES: Final[dict[str, Judge]] = {
    "beacons": beacons.judge,
    "login_guessing": login_guessing.judge,
    "dns_tunnels": dns_tunnels.judge,
    "generated_names": generated_names.judge,
    "outward_transfers": outward.judge,
    "internal_spread": spread.judge,
    "admin_shares": admin_shares.judge,
    "rpc_attacks": rpc_attacks.judge,
    "tls_attacks": tls_attacks.judge,
    "disguised_programs": disguised.judge,
    "bare_programs": bare_programs.judge,
    "arp_claims": arp_spoofing.judge,
    "cleartext_logins": credentials.judge,
}
EXPOSURES: Final = frozenset({credentials.KIND, tls_attacks.WEAKNESS})
"""Kinds of finding that tell of a weakness, not of a host that behaves strangely."""
ON_LINK: Final = frozenset({arp_spoofing.KIND})
"""Kinds of finding about hosts on the very network of the capture: at home, whatever their addresses."""
WITHOUT_FLOWS: Final = ("arp_claims",)
"""Detectors that need no flow."""


def judged(
    catalog: Catalog,
    answer: Callable[..., list[dict[str, Any]]],
    setting: Callable[[str, str | None], Setting],
    only: Sequence[str] = tuple(JUDGES),
) -> tuple[list[Finding], list[Innocent], list[tuple[str, str]]]:
    """All findings of `JUDGES`, surest first; look-alikes; questions with what would answer them.

    answer   runs a detector by its id
    setting  makes the setting for a detector from its label and technique"""
    findings: list[Finding] = []
    innocents: list[Innocent] = []
    unanswerable: list[tuple[str, str]] = []
    for name in only:
        judge, page = JUDGES[name], catalog[name]
        try:
            rows: list[Mapping[str, Any]] = [*answer(name)]
        except Unanswerable as why:
            unanswerable.append((page.question, why.needs))
            continue
        found, let_go = judge(rows, setting(page.label, page.technique))
        findings += found
        innocents += let_go
    findings.sort(key=lambda f: (f.kind in EXPOSURES, -f.confidence.value))
    return findings, innocents, unanswerable
