"""In: what one suspect did (a Probing with its probes), and what else is seen of the host. Out: observations in the words of
the profiles, and the identities that fit. Never here: weighing (profiles/match.py)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """What else is seen of the host, as rows; None: this evidence cannot show it. `more` as findings/observed.py gives it."""

    requests: Sequence[Row] | None
    payloads: Sequence[Row] | None
    names: Sequence[Row] | None
    services: Sequence[Row]
    probed: frozenset[str]
    more: Mapping[str, tuple[Seen, ...]] = field(default_factory=dict)


def service_name(proto: int, dport: int | None) -> str:
    """'tcp/80', 'icmp': as profiles write it."""
    name = NAMES.get(proto, f"ip/{proto}")
    return name if dport is None or name == "icmp" else f"{name}/{dport}"


def identities(
    profiles: Sequence[Profile], probing: Probing, probes: Probes, signs: HostSigns, citer: Citer
) -> tuple[Identity, ...]:
    """Profiles that fit a probing host at least possibly, best first."""
    return named(profiles, observations(signs, measures(probing, probes, signs), probing.start_ns), citer)


def named(profiles: Sequence[Profile], seen: Observations, citer: Citer) -> tuple[Identity, ...]:
    """Profiles that fit at least possibly, best first; of one family only the best."""
    best: dict[str, Identity] = {}
    for found in match(profiles, seen) if profiles else ():
        if found.tier != "none":
            best.setdefault(found.profile.family, _identity(found, citer))
    return tuple(best.values())[:MAX_IDENTITIES]


def observations(signs: HostSigns, figures: Mapping[str, float], start_ns: int) -> Observations:
    """The host in the words of the profiles; `figures` as measures() gives them, none for a host that does not probe."""
    requests = None
    agents = None
    domains = list(signs.more.get("domains", ()))
    queries = None
    if signs.requests is not None:
        requests = tuple(Seen(request_text(r), f"request to {r['dst']}", _key(r)) for r in signs.requests)
        agents = tuple(
            Seen(r["user_agent"], f"request to {r['dst']}", _key(r)) for r in signs.requests if r["user_agent"]
        )
        domains += [Seen(r["name"], f"Host header to {r['dst']}", _key(r)) for r in signs.requests if r["name"]]
    if signs.names is not None:
        domains += [Seen(r["query"], "DNS query", _key(r)) for r in signs.names]
        queries = tuple(
            Seen(f"{r['qtype']} {'tcp' if r['proto'] == 6 else 'udp'} {r['query']}", "DNS query", _key(r))
            for r in signs.names
        )
    there = signs.requests is not None or signs.names is not None or "domains" in signs.more
    return Observations(
        services=signs.probed,
        contacts=frozenset(service_name(r["proto"], r["dport"]) for r in signs.services),
        requests=requests,
        user_agents=agents,
        payloads=_payloads(signs, sent=True),
        replies=_payloads(signs, sent=False),
        domains=tuple(domains) if there else None,
        queries=queries,
        certificates=signs.more.get("certificates"),
        ja3=signs.more.get("ja3"),
        ja3s=signs.more.get("ja3s"),
        ja4=signs.more.get("ja4"),
        irc=signs.more.get("irc"),
        hashes=signs.more.get("hashes"),
        files=signs.more.get("files"),
        attachments=signs.more.get("attachments"),
        mail_subjects=signs.more.get("mail_subjects"),
        measures=figures,
        # What lies on the host or came by another way is not in the evidence.
        partial=frozenset({"files", "attachments", "hashes"}),
        start=(datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=start_ns // S_NS)).date(),
    )


def request_text(r: Row) -> str:
    """A request as profiles see it: the request line, a line 'Name: value' a header, and after an empty line what a body begins with."""
    line = f"{r['method']} {r['uri']} HTTP/{r['version']}" if r["version"] else f"{r['method']} {r['uri']}"
    headers = zip(r["header_names"] or (), r["header_values"] or (), strict=False)
    body = ("", r["body"].decode("latin-1")) if r.get("body") else ()
    return "\n".join([line, *(f"{name}: {value}" for name, value in headers), *body])


def _payloads(signs: HostSigns, *, sent: bool) -> tuple[Seen, ...] | None:
    if signs.payloads is None:
        return None
    return tuple(
        Seen(
            bytes(r["head"]).decode("latin-1"),
            f"first bytes {'to' if sent else 'from'} {r['dst']}",
            _key(r),
            r["payload_len"],
            service_name(r["proto"], r["dport"]),
        )
        for r in signs.payloads
        if r["sent"] == sent
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


NETLOGON: Final = bytes.fromhex("785634123412cdabef0001234567cffb")
"""Interface 12345678-1234-abcd-ef00-01234567cffb of MS-NRPC section 1.9, as a DCE/RPC bind carries it."""
MIN_NETLOGON_BINDS: Final = 15
"""An ordinary member binds once when it starts; a handful of restarts is no attack."""


def host_measures(signs: HostSigns, dropped: Sequence[Row], span_ns: int) -> dict[str, float]:
    """Figures that need no probing: how often a minute the host opens the logon service without authentication; which share
    of its connections it drops without a byte, and on how many services (`dropped`, row of dropped_handshakes)."""
    found = {f"dropped_{name}": float(row[name]) for row in dropped for name in ("share", "pairs")}
    return found | _netlogon(signs.payloads or (), span_ns)


def _netlogon(payloads: Sequence[Row], span_ns: int) -> dict[str, float]:
    # A bind PDU (type 11) without authentication has the length 0 at byte 10 (C706 12.6.4.3).
    binds = sum(
        r["times"]
        for r in payloads
        if r["sent"] and (head := bytes(r["head"]))[:3] == b"\x05\x00\x0b" and head[10:12] == b"\0\0" and NETLOGON in head
    )
    return {"netlogon_binds_per_min": binds / max(1.0, span_ns / (60 * S_NS))} if binds >= MIN_NETLOGON_BINDS else {}


def _payload_measures(probing: Probing, payloads: Sequence[Row]) -> dict[str, float]:
    mine = [r for r in payloads if r["sent"] and r["proto"] == probing.proto and probing.dport in (None, r["dport"])]
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
                seen=h.seen,
            )
            for h in m.hits
        ),
        sources=m.profile.sources,
        runner_up=m.runner_up,
        explanation=m.explanation,
        category=m.profile.category,
        summary=m.profile.summary,
    )
