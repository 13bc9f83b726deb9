"""In: the targets of one suspect and their rows of the table `addresses`. Out: model.TargetSummary: networks, providers,
countries, kinds, the share of access lines, spread or clustered. Never here: look-ups (enrich/) or text for a report."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracehound.findings.model import TargetGroup, TargetSummary

MOST_GROUPS: Final = 20
MOST_NAMED: Final = 20
OLD_DAYS: Final = 2 * 365
"""Address blocks change hands: beyond two years between evidence and table the providers are those of today."""
CLUSTERED_SHARE: Final = 0.5
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the suspect: canonical address, attempts, and the commonest outcome."""

    address: str
    attempts: int
    outcome: str = ""


def _groups(
    targets: Sequence[Target], key: Callable[[Target], str | None], reason: Callable[[str], str] | None = None
) -> tuple[TargetGroup, ...]:
    count: dict[str, list[int]] = {}
    for t in targets:
        name = key(t)
        if name is not None:
            entry = count.setdefault(name, [0, 0])
            entry[0] += 1
            entry[1] += t.attempts
    total = len(targets)
    ordered = sorted(count.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))[:MOST_GROUPS]
    return tuple(TargetGroup(n, c[0], c[1], c[0] / total, reason(n) if reason else "") for n, c in ordered)


def _block(address: str, octets: int) -> str:
    """/8 or /16 of an IPv4 address as text; /32 or /48 of an IPv6 address."""
    if ":" not in address:
        parts = address.split(".")[:octets]
        return ".".join([*parts, *["0"] * (4 - octets)]) + f"/{octets * 8}"
    import ipaddress

    size = {1: 32, 2: 48}.get(octets, 64)
    return str(ipaddress.ip_network((address, size), strict=False))


def _spread(targets: Sequence[Target], own: str) -> str:
    """Spread over the address space, or clustered: distinct /8 and /16 blocks, the largest of them, and the own network."""
    n = len(targets)
    eights = {_block(t.address, 1) for t in targets}
    sixteens: dict[str, int] = {}
    for t in targets:
        block = _block(t.address, 2)
        sixteens[block] = sixteens.get(block, 0) + 1
    largest, most = max(sixteens.items(), key=lambda item: (item[1], item[0]))
    if n == 1:
        word = "one target"
    elif most / n >= CLUSTERED_SHARE:
        word = f"clustered: {most / n:.0%} of {n} targets lie in {largest}"
    elif len(sixteens) >= 0.5 * n:
        word = f"spread: {n} targets in {len(sixteens)} networks of size /16 ({len(eights)} of size /8)"
    else:
        word = f"in groups: {n} targets in {len(sixteens)} networks of size /16, most in {largest} ({most / n:.0%})"
    if own:
        near = sum(_block(t.address, 2) == _block(own, 2) for t in targets)
        wide = sum(_block(t.address, 1) == _block(own, 1) for t in targets)
        word += f"; {near / n:.0%} in the suspect's own /16, {wide / n:.0%} in its /8" if ":" not in own else ""
    return word


def own_shares(targets: Sequence[Target], own: str) -> dict[str, float]:
    """Measures own_16_share and own_8_share for the matcher of profiles (empty for IPv6)."""
    if not targets or ":" in own or not own:
        return {}
    v4 = [t for t in targets if ":" not in t.address]
    if not v4:
        return {}
    return {
        f"own_{8 * octets}_share": sum(_block(t.address, octets) == _block(own, octets) for t in v4) / len(v4)
        for octets in (1, 2)
    }


def _age(table_date: str, evidence_start_ns: int | None) -> tuple[str, bool]:
    """The table's date as shown, and whether it is too far from the evidence to name the provider of then."""
    if not table_date or evidence_start_ns is None:
        return table_date, False
    day = datetime.datetime.fromtimestamp(evidence_start_ns // 1_000_000_000, datetime.UTC).date()
    apart = abs((datetime.date.fromisoformat(table_date) - day).days)
    if apart <= OLD_DAYS:
        return table_date, False
    years = math.floor(apart / 365.25)
    return f"{table_date}, {years} years from the evidence ({day.isoformat()}): holders may have changed", True


def _access(rows: Sequence[Mapping[str, Any]], total: int, old: bool) -> tuple[float | None, str]:
    """Share of targets taken as access lines among all, and a sentence with its parts."""
    yes = sum(r["is_access"] is True for r in rows)
    no = sum(r["is_access"] is False for r in rows)
    named = sum(r["is_access"] is True and r["name"] is not None for r in rows)
    if yes + no == 0:
        return None, "nothing is known of the targets' lines"
    text = (
        f"{yes} of {total} targets are taken as access lines ({named} of them by a name seen in the evidence, "
        f"{yes - named} by their provider alone), {no} as servers, {total - yes - no} cannot be told"
    )
    if old:
        text += "; the providers are those of the address table's date, not of the evidence"
    return yes / total, text


def summarise(
    targets: Sequence[Target],
    addresses: pa.Table,
    *,
    own: str = "",
    table_date: str = "",
    evidence_start_ns: int | None = None,
    kind_reasons: Mapping[str, str] | None = None,
    order: str = "",
    revisits: str = "",
) -> TargetSummary:
    """Who the targets are.

    addresses       rows of tables.ADDRESSES that hold the targets (others may be among them)
    own             the suspect's address
    kind_reasons    ProviderKinds.reasons
    order, revisits passed through from the detector
    """
    if not targets:
        return TargetSummary(0, table_date=table_date, order=order, revisits=revisits)
    wanted = {t.address for t in targets}
    known: dict[str, dict[str, Any]] = {}
    mask = pc.is_in(addresses["address"], value_set=pa.array(sorted(wanted), pa.string()))
    for row in addresses.filter(mask).to_pylist():
        known[row["address"]] = row
    nothing: dict[str, Any] = dict.fromkeys(addresses.column_names)
    rows = [known.get(t.address, nothing) for t in targets]
    shown_date, old = _age(table_date, evidence_start_ns)
    share, reason = _access(rows, len(targets), old)
    reasons = kind_reasons or {}

    def field(name: str) -> Callable[[Target], str | None]:
        return lambda t: known.get(t.address, nothing)[name]

    def kind(t: Target) -> str:
        return known.get(t.address, nothing)["provider_kind"] or UNKNOWN

    named = [(t.address, known[t.address]["name"]) for t in targets if known.get(t.address, nothing)["name"]]
    return TargetSummary(
        targets=len(targets),
        networks=_groups(targets, field("network")),
        providers=_groups(targets, field("provider")),
        countries=_groups(targets, field("country")),
        classes=_groups(targets, kind, lambda k: reasons.get(k, "neither number nor name of the provider tells")),
        access_share=share,
        access_reason=reason,
        spread=_spread(targets, own),
        order=order,
        revisits=revisits,
        table_date=shown_date,
        named=tuple(sorted(set(named))[:MOST_NAMED]),
    )
