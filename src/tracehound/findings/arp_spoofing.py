"""In: answers of the detector `arp_claims` (hardware addresses that claim several addresses, or one that another claims). Out: who
poses as another host, and look-alikes that were let go. Never here: SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.wording import count, listing, moment

KIND: Final = "arp_spoofing"
WEIGHT_NEEDED: Final = 2.0
PROXY: Final = 16
"""Addresses claimed by one hardware address from which on it is a router that answers for others."""
MAX_FINDINGS: Final = 5
MAX_LET_GO: Final = 5
_VIRTUAL: Final = ("00:00:5e:00:01", "00:00:0c:07:ac", "00:00:0c:9f:f")


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go, one a hardware address."""
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for row in rows:
        claimed = sorted(row["claimed"])
        if not setting.asked(*claimed):
            continue
        odd = _oddities(row)
        excuse = _excuse(row)
        own = _own(row, claimed)
        if excuse is None and odd.weight >= WEIGHT_NEEDED and len(findings) < MAX_FINDINGS:
            findings.append(
                setting.finding(
                    KIND, len(findings) + 1, own, (row["first_ns"], row["last_ns"]), _statement(row, own, claimed, odd),
                    Confidence(round(min(0.35 + 0.15 * odd.weight, 0.9), 2), odd.signs),
                    [setting.citer.packet(p) for p in row["packet_ids"]], row["messages"],
                )
            )  # fmt: skip
        elif len(let_go) < MAX_LET_GO and (excuse or row["shared"]):
            reason = excuse or "an address that moved to another machine (a lease, a spare that took over)"
            let_go.append(Innocent(own, f"a host that claims {listing(claimed)} by ARP", reason, (("messages", f"{row['messages']:,}"),)))
    return findings, let_go


def _own(row: Row, claimed: Sequence[str]) -> str:
    """The address that is most likely its own: not the one that it asks for, nor one that others claim as well."""
    others = {row["self_asked"], *(a for a in row["shared_addresses"] or () if a)}
    return next((a for a in claimed if a not in others), claimed[0])


def _excuse(row: Row) -> str | None:
    if row["mac"].startswith(_VIRTUAL):
        return "a virtual router (VRRP or HSRP)"
    if row["addresses"] >= PROXY and not row["self_asked"]:
        return f"a router that answers for others (proxy ARP): {row['addresses']:,} addresses"
    return None


def _oddities(row: Row) -> Oddities:
    return Oddities.of(
        [
            (row["addresses"] >= 2, 0.5, f"claims {count(row['addresses'], 'address', 'addresses')}"),
            (row["self_asked"] is not None, 1.5, f"asks for {row['self_asked']}, which it claims itself"),
            (row["shared"] > 0, 1.0, f"another host claims {listing(sorted(a for a in row['shared_addresses'] if a))} as well"),
            (row["unasked"] >= 3, 1.0, f"{row['unasked']:,} of {count(row['replies'], 'reply', 'replies')} answer nobody's question"),
            (row["borrowed"] > 0, 0.5, "frames come from another hardware address than the message names"),
            (row["moved"] > 0, 1.0, f"{count(row['moved'], 'address', 'addresses')} of other networks came by another host before"),
        ]
    )


def _statement(row: Row, own: str, claimed: Sequence[str], odd: Oddities) -> str:
    others = [a for a in claimed if a != own]
    return (
        f"{own} ({row['mac']}) poses as {listing(others) if others else own} by ARP: "
        f"{count(row['messages'], 'message')} from {moment(row['first_ns'])} to {moment(row['last_ns'])}; {'; '.join(odd.signs)}."
    )
