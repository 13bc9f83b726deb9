"""In: what one suspect did (a Probing with its probes), and what else is seen of the host. Out: observations in the words of
the profiles, and the identities that fit. Never here: weighing (profiles/match.py)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.findings.citations import Citer
from tracehound.findings.model import Identity, IndicatorHit, Probing
from tracehound.findings.probes import Probes
from tracehound.findings.wording import S_NS
from tracehound.profiles.match import Match, Observations, Seen, match
from tracehound.profiles.profile import Profile

Row = Mapping[str, Any]

NAMES: Final[dict[int, str]] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
MAX_IDENTITIES: Final = 3


@dataclass(frozen=True, slots=True)
class HostSigns:
    """What else is seen of the host, as rows; None: this evidence cannot show it."""

    requests: Sequence[Row] | None
    payloads: Sequence[Row] | None
    names: Sequence[Row] | None
    services: Sequence[Row]
    probed: frozenset[str]


def service_name(proto: int, dport: int | None) -> str:
    """'tcp/80', 'icmp': as profiles write it."""
    name = NAMES.get(proto, f"ip/{proto}")
    return name if dport is None or name == "icmp" else f"{name}/{dport}"


def identities(
    profiles: Sequence[Profile], probing: Probing, probes: Probes, signs: HostSigns, citer: Citer
) -> tuple[Identity, ...]:
    """Profiles that fit at least possibly, best first."""
    if not profiles:
        return ()
    found = match(profiles, observations(probing, probes, signs))
    return tuple(_identity(m, citer) for m in found if m.tier != "none")[:MAX_IDENTITIES]


def observations(probing: Probing, probes: Probes, signs: HostSigns) -> Observations:
    """The host in the words of the profiles."""
    requests = None
    agents = None
    domains: list[Seen] = []
    if signs.requests is not None:
        requests = tuple(
            Seen(
                f"{r['method']} {r['uri']} HTTP/{r['version']}" if r["version"] else f"{r['method']} {r['uri']}",
                f"request to {r['dst']}",
                _key(r),
            )
            for r in signs.requests
        )
        agents = tuple(
            Seen(r["user_agent"], f"request to {r['dst']}", _key(r)) for r in signs.requests if r["user_agent"]
        )
        domains += [Seen(r["name"], f"Host header to {r['dst']}", _key(r)) for r in signs.requests if r["name"]]
    if signs.names is not None:
        domains += [Seen(r["query"], "DNS query", _key(r)) for r in signs.names]
    payloads = None
    if signs.payloads is not None:
        payloads = tuple(
            Seen(
                bytes(r["head"]).decode("latin-1"),
                f"first bytes to {r['dst']}",
                _key(r),
                r["payload_len"],
                service_name(r["proto"], r["dport"]),
            )
            for r in signs.payloads
        )
    return Observations(
        services=signs.probed,
        contacts=frozenset(service_name(r["proto"], r["dport"]) for r in signs.services),
        requests=requests,
        user_agents=agents,
        payloads=payloads,
        domains=tuple(domains) if signs.requests is not None or signs.names is not None else None,
        measures=measures(probing, probes, signs),
        start=(
            datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=probing.start_ns // S_NS)
        ).date(),
    )


def measures(probing: Probing, probes: Probes, signs: HostSigns) -> dict[str, float]:
    """Figures by the names that profiles use; what the evidence does not show is absent."""
    found: dict[str, float] = {
        "attempts_per_min": probing.attempts_per_min,
        "targets": float(probing.targets),
        "days": (probing.end_ns - probing.start_ns) / (86_400 * S_NS),
        "revisits": probing.attempts / max(1, probing.targets) - 1,
    }
    if probing.end_ns > probing.start_ns:
        found["new_targets_per_min"] = probing.new_targets_per_min
    if probing.target_summary.access_share is not None:
        found["access_share"] = probing.target_summary.access_share
    own = ipaddress.ip_address(probing.host)
    if own.version == 4:
        numbers = np.array([int(ipaddress.ip_address(t)) for t in probes.targets if ":" not in t], dtype=np.int64)
        if len(numbers):
            found["own_16_share"] = _share(numbers >> 16 == int(own) >> 16)
            found["own_8_share"] = _share(numbers >> 24 == int(own) >> 24)
            if np.any(probes.seq >= 0) and len(numbers) == len(probes.targets):
                found["seq_equals_dst_share"] = _share(probes.seq == numbers[probes.target])
    silent = probes.mask("unanswered") & (probes.tries > 0)
    if np.any(silent):
        found["syn_per_silent_target"] = float(np.median(probes.tries[silent]))
    for name, column, value in (
        ("no_options_share", probes.options, 0),
        ("ttl_64_share", None, 0),
        ("udp_sport_4000_share", probes.sport if probing.proto == 17 else None, 4000),
    ):
        if column is not None and np.any(column >= 0):
            found[name] = _share(column[column >= 0] == value)
    ttl = probes.ttl[probes.ttl >= 0]
    if len(ttl):
        # A sender that starts from 64 is seen with 33 to 64 hops left.
        found["ttl_64_share"] = _share((ttl > 32) & (ttl <= 64))
    if probing.proto in (6, 17) and len(probes) >= 2:
        _, counts = np.unique(probes.sport, return_counts=True)
        found["one_source_port_share"] = float(counts.max()) / len(probes)
        found["source_port_step"] = float(np.median(np.diff(probes.sport)))
    if signs.payloads is not None:
        found.update(_payload_measures(probing, signs.payloads))
    return found


def _payload_measures(probing: Probing, payloads: Sequence[Row]) -> dict[str, float]:
    mine = [r for r in payloads if r["proto"] == probing.proto and probing.dport in (None, r["dport"])]
    total = sum(r["times"] for r in mine)
    if not total:
        return {}
    sizes: dict[int, int] = {}
    for r in mine:
        sizes[r["payload_len"]] = sizes.get(r["payload_len"], 0) + r["times"]
    found = {"payload_size_share": max(sizes.values()) / total}
    if probing.proto == 1:
        aa = sum(r["times"] for r in mine if r["head"] and set(bytes(r["head"])[-16:]) == {0xAA})
        found["icmp_aa_share"] = aa / total
    return found


def _share(values: NDArray[np.bool_]) -> float:
    return float(np.mean(values))


def _key(row: Row) -> str:
    return "" if row["packet_id"] is None else str(row["packet_id"])


def _identity(m: Match, citer: Citer) -> Identity:
    return Identity(
        family=m.profile.name,
        tier=m.tier,
        score=round(m.score, 2),
        probability=round(m.probability, 4),
        coverage=round(m.coverage, 3),
        indicators=tuple(
            IndicatorHit(
                kind=h.indicator.kind,
                value=h.indicator.value,
                state=h.state,
                weight=round(h.weight, 2),
                where=h.where,
                citations=citer.some([citer.packet(int(h.packet))] if h.packet else []),
            )
            for h in m.hits
        ),
        sources=m.profile.sources,
        runner_up=m.runner_up,
        explanation=m.explanation,
    )
