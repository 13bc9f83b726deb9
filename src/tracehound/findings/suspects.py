"""In: the answers of probing_hosts, vertical_scans, block_scans, trw, host_roles, capture_health. Out: the suspects, one a
host and service, with the reasons and the confidence they rest on, and the look-alikes that were let go.
Never here: what exactly the suspects did (probes.py and its neighbours)."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tracehound.findings.model import Confidence, Innocent
from tracehound.findings.statistics import wilson
from tracehound.findings.wording import S_NS, count, duration, number, percent, protocol, service

Row = Mapping[str, Any]

PEER_PORTS: Final = frozenset(
    [1214, 4661, 4662, 4672, 5060, 6346, 6347, 6699, 8333, 18333, 30303, 51413, *range(6880, 6900), 9000, 9001, 4001]
)
"""Usual ports of peer-to-peer programs (FastTrack, eDonkey, Gnutella, BitTorrent, Bitcoin, Ethereum, Tor, IPFS)."""
MAIL_PORTS: Final = frozenset([25, 465, 587])
RULE_WORDS: Final[dict[str, str]] = {
    "few": "not one of its targets was reached",
    "failures": "most of its targets were never reached",
    "revisits": "dead targets were tried again and again",
    "sweep": "addresses were taken in order",
    "silence": "datagrams of one kind that hardly anybody answered",
    "mixed": "a share of the targets was never reached, and the way of trying is a machine's",
}
FEW_PAIRS: Final = 10
MANY_PAIRS: Final = 30
"""Pairs of target and port from which a block scan is believed in part, and in full."""
RULE_BASE: Final[dict[str, float]] = {
    "few": 0.4,
    "failures": 0.72,
    "revisits": 0.75,
    "sweep": 0.65,
    "silence": 0.6,
    "mixed": 0.55,
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """One host and what it probes. `dport` for a horizontal scan, `target` for a vertical one; `ports` as
    probe_attempts takes it."""

    host: str
    proto: int
    shape: str
    dport: int | None
    target: str | None
    ports: str
    attempts: int
    first_ns: int
    last_ns: int
    confidence: Confidence
    detector: str
    figures: tuple[tuple[str, str], ...]

    @property
    def parameters(self) -> dict[str, object]:
        return {"host": self.host, "proto": self.proto, "ports": self.ports, "target": self.target or "all"}


@dataclass(frozen=True, slots=True)
class Answers:
    """The detectors' answers that suspects are drawn from, as rows."""

    services: Sequence[Row]
    verticals: Sequence[Row]
    blocks: Sequence[Row]
    walks: Sequence[Row]
    roles: Sequence[Row]
    outages: Sequence[Row]
    agents: Sequence[Row] = ()


def choose(answers: Answers, home: Collection[str] = ()) -> tuple[list[Suspect], list[Innocent]]:
    """Suspects, strongest first, and look-alikes with the reason why they are innocent. `home` are the addresses of the home
    networks (empty: nothing is known of them)."""

    def outsider(host: str) -> bool:
        return bool(home) and host not in home

    roles = {r["src"]: r for r in answers.roles}
    walks = {(w["src"], w["proto"], w["dport"]): w for w in answers.walks}
    outages = {(o["src"], o["proto"], o["dport"]): o for o in answers.outages}
    agents = {a["src"]: int(a["agents"]) for a in answers.agents}
    innocents: dict[tuple[str, str], Innocent] = {}
    horizontal: dict[tuple[str, int], list[Row]] = defaultdict(list)
    vertical: dict[tuple[str, int], list[Row]] = defaultdict(list)
    names = any(row["asks_dns"] for row in answers.services)
    for row in answers.services:
        key = (row["src"], row["proto"], row["dport"])
        excuse = explained(row, roles.get(row["src"]), outages.get(key)) or _many_users(
            row, roles.get(row["src"]), agents.get(row["src"], 0)
        )
        if excuse is None and not (names and row["watched"]):
            excuse = _led_by_names(row) or _shared_address(row)
        if excuse is not None:
            innocents.setdefault((row["src"], excuse.looked_like), excuse)
        elif row["rule"] == "few" and not _few_suffice(row, outsider(row["src"])):
            continue
        elif row["rule"] is not None:
            horizontal[(row["src"], row["proto"])].append(row)
    for row in answers.verticals:
        if row["rule"] is not None:
            vertical[(row["src"], row["proto"])].append(row)
    blocks = {(b["src"], b["proto"]): b for b in answers.blocks}
    suspects: list[Suspect] = []
    for pair in sorted(set(horizontal) | set(vertical) | set(blocks)):
        across, down, block = horizontal.get(pair, []), vertical.get(pair, []), blocks.get(pair)
        role = roles.get(pair[0])
        if block is not None and block["rule"] == "few" and not outsider(pair[0]):
            block = None
        if role is not None and role["peer_to_peer"] and block is not None:
            # Its pairs are those of its peers; a service that stands out from them is judged alone.
            if not across:
                excuse = _peer(role, protocol(pair[1]))
                innocents.setdefault((pair[0], excuse.looked_like), excuse)
            block = None
        if _is_block(across, down, block):
            suspects.append(_block(pair, across, down, block))
            continue
        suspects += [_horizontal(row, walks.get((row["src"], row["proto"], row["dport"]))) for row in across]
        suspects += [_vertical(row) for row in down]
        if not across and not down and block is not None and block["rule"] is not None:
            suspects.append(_block(pair, [], [], block))
    for row in answers.roles:
        excuse = honest(row)
        if excuse is not None and not any(host == row["src"] for host, _ in innocents):
            innocents[(row["src"], excuse.looked_like)] = excuse
    suspects.sort(key=lambda s: (-s.confidence.value, -s.attempts, s.host, s.proto, s.dport or 0, s.target or ""))
    return suspects, _one_each(innocents[k] for k in sorted(innocents))


# -- why somebody is innocent ---------------------------------------------------------------------------------------------


def explained(row: Row, role: Row | None, outage: Row | None) -> Innocent | None:
    """The look-alike that explains this group of contacts, or None."""
    for explanation in (_peer_service, _resolver_service, _mail_service, _outage_service):
        found = explanation(row, role, outage)
        if found is not None:
            return found
    return None


def _clients(n: int, what: str) -> str:
    return f", {count(n, 'client')} {what}" if n else ""


def _looked(row: Row) -> str:
    return f"{service(row['proto'], row['dport'])} on {count(row['targets'], 'target')}"


def _peer_service(row: Row, role: Row | None, _outage: Row | None) -> Innocent | None:
    if role is None or row["rule"] == "revisits" or row["proto"] not in (6, 17):
        return None
    port, targets = row["dport"], row["targets"]
    if role["peer_to_peer"]:
        # A popular port of the network, or the few peers that hide behind a port of the web; one port that stands out
        # from all others is something else that the host does beside it.
        usual = port in PEER_PORTS or (port > 1023 and targets <= 0.6 * role["high_pairs"])
        hidden = port <= 1023 and targets <= 0.05 * role["high_pairs"]
        return _peer(role, service(row["proto"], port)) if usual or hidden else None
    lively = row["reached"] >= 0.05 * targets and (row["reply_median"] or 0) > 0
    if port in PEER_PORTS and role["high_clients"] >= 3 and (lively or row["reached"] >= 3):
        return _peer(role, service(row["proto"], port))
    return None


def _peer(role: Row, what: str) -> Innocent:
    return Innocent(
        host=role["src"],
        looked_like=f"a host that probes {what}",
        reason=(
            f"peer-to-peer client: {count(role['high_pairs'], 'contact')} over {count(role['high_ports'], 'port')} above 1023, "
            f"{role['high_answered']:,} of them answered, {count(role['high_clients'], 'client')} came to it"
        ),
        figures=(
            ("ports above 1023", f"{role['high_ports']:,}"),
            ("peers answered", f"{role['high_answered']:,}"),
            ("bytes sent / received", f"{role['sent']:,} / {role['received']:,}"),
        ),
    )


def _resolver_service(row: Row, role: Row | None, _outage: Row | None) -> Innocent | None:
    if row["dport"] != 53 or row["proto"] not in (6, 17) or role is None:
        return None
    clients = role["dns_clients"]
    if (clients >= 2 and row["reached"] >= 0.1 * row["targets"]) or row["reached"] >= 0.6 * row["targets"]:
        return Innocent(
            host=row["src"],
            looked_like=f"a host that probes {_looked(row)}",
            reason=(
                f"name server: {row['reached']:,} of {row['targets']:,} servers answered it{_clients(clients, 'asked it')}"
            ),
            figures=(("servers answered", percent(row["reached"] / row["targets"])), ("clients", f"{clients:,}")),
        )
    return None


def _mail_service(row: Row, role: Row | None, _outage: Row | None) -> Innocent | None:
    if row["dport"] not in MAIL_PORTS or row["proto"] != 6 or role is None or row["rule"] == "sweep":
        return None
    clients = role["mail_clients"]
    share = row["reached"] / row["targets"]
    # Whoever only sends, and finds many exchangers dead, sends what nobody asked for.
    if share >= (0.6 if clients else 0.75) or (clients >= 2 and share >= 0.35):
        return Innocent(
            host=row["src"],
            looked_like=f"a host that probes {_looked(row)}",
            reason=f"mail server: {percent(share)} of the exchangers took its mail{_clients(clients, 'brought it mail')}",
            figures=(("exchangers answered", percent(share)), ("clients", f"{clients:,}")),
        )
    return None


def _outage_service(row: Row, _role: Row | None, outage: Row | None) -> Innocent | None:
    if outage is None or row["rule"] is None:
        return None
    left = row["dead"] + row["silent"] - outage["excused"]
    rest = row["targets"] - outage["excused"]
    if outage["excused"] >= 5 and (rest < 10 or wilson(left, rest)[0] < 0.3):
        return Innocent(
            host=row["src"],
            looked_like=f"a host that probes {_looked(row)}",
            reason=(
                f"outage: {outage['excused']:,} of its {row['dead'] + row['silent']:,} failed targets failed "
                "while most hosts failed"
            ),
            figures=(("failed in an outage", f"{outage['excused']:,}"),),
        )
    return None


def _many_users(row: Row, role: Row | None, agents: int) -> Innocent | None:
    """Address translation or a proxy: many browsers behind one address now and then meet a dead server. A steady prober among
    them still shows: it has more dead targets than the others have live ones, comes back to them, or is quicker."""
    if role is None or agents < 4 or row["dport"] not in (80, 443, 8080) or row["rule"] not in ("few", "failures", "mixed"):
        return None
    slow = row["gap_median_ns"] is None or row["gap_median_ns"] >= 480_000_000_000
    if not slow or row["dead"] > 0.5 * role["web_answered"] or row["dead_revisited"] >= 10:
        return None
    return Innocent(
        host=row["src"],
        looked_like=f"a host that probes {_looked(row)}",
        reason=(
            f"many users behind one address ({agents:,} kinds of browser): {role['web_answered']:,} web servers answered them, "
            f"{row['dead']:,} did not, now and then and once each"
        ),
        figures=(("kinds of browser", f"{agents:,}"), ("servers answered", f"{role['web_answered']:,}")),
    )


def _led_by_names(row: Row) -> Innocent | None:
    """Nobody watched for lookups (flow logs alone, a capture without DNS): a client that returns to a few dead servers among many
    live ones was most likely led to all of them by names, which this evidence does not show."""
    if row["rule"] != "revisits" or row["all_reached"] < 0.8 * row["all_targets"]:
        return None
    return Innocent(
        host=row["src"],
        looked_like=f"a host that probes {_looked(row)}",
        reason=(
            f"client of many servers: {row['all_reached']:,} of {row['all_targets']:,} answered it; whether names led to those "
            "that did not needs DNS in the evidence"
        ),
        figures=(("servers answered", percent(row["all_reached"] / row["all_targets"])),),
    )


def _shared_address(row: Row) -> Innocent | None:
    """Nobody watched for lookups (flow logs alone, a capture without DNS): many people behind one address, or one busy client. Nearly
    all visits go to servers that answer and are come back to; a dead one is met now and then, at no machine's pace, and let be. Kinds
    of browser would tell, and need packets. Over days the dead grow in number while the servers that people like do not: visits are
    compared, not targets."""
    if row["dport"] not in (80, 443, 8080) or row["rule"] not in ("few", "failures", "mixed") or row["all_reached"] < 20:
        return None
    between_ns = (row["last_ns"] - row["first_ns"]) / max(1, row["dead"])
    steady = row["regular"] or row["in_order"] or row["one_size"] or row["no_options"] or row["wordless"]
    if row["dead"] > 0.1 * row["all_attempts"] or between_ns < 480 * S_NS or row["dead_revisited"] or steady:
        return None
    return Innocent(
        host=row["src"],
        looked_like=f"a host that probes {_looked(row)}",
        reason=(
            f"client, or many clients behind one address: of {row['all_attempts']:,} visits nearly all went to {row['all_reached']:,} "
            f"servers that answered; {row['dead']:,} did not, one every {duration(between_ns)} and none for long; whether names "
            "led to them needs DNS in the evidence"
        ),
        figures=(("servers answered", f"{row['all_reached']:,}"), ("servers dead", f"{row['dead']:,}")),
    )


def honest(role: Row) -> Innocent | None:
    """A host with many targets or failures that no rule fired for, and what it is."""
    for test in (_monitor, _retry_loop, _mail, _resolver, _crawler):
        found = test(role)
        if found is not None:
            return found
    return (
        _peer(role, f"{count(role['targets'], 'target')}") if role["peer_to_peer"] and role["targets"] >= 20 else None
    )


def _monitor(role: Row) -> Innocent | None:
    if (
        role["targets"] < 10
        or role["visits_median"] < 10
        or role["reached"] < 0.8 * role["pairs"]
        or role["failures"] < 20
    ):
        return None
    return Innocent(
        host=role["src"],
        looked_like=f"a host with {count(role['failures'], 'failed attempt')} on {count(role['targets'], 'target')}",
        reason=(
            f"fixed list of {count(role['pairs'], 'service')} visited {number(role['visits_median'])} times each, "
            f"{role['reached']:,} of them reached; {role['sometimes']:,} failed for a time only"
        ),
        figures=(
            ("visits each", number(role["visits_median"])),
            ("ever reached", percent(role["reached"] / role["pairs"])),
        ),
    )


def _retry_loop(role: Row) -> Innocent | None:
    if role["dead"] == 0 or role["dead"] > 3 or role["failures"] < 30 or role["failures"] < 0.5 * role["attempts"]:
        return None
    return Innocent(
        host=role["src"],
        looked_like=f"a host with {count(role['failures'], 'failed attempt')}",
        reason=f"retry loop: all of it goes to {count(role['dead'], 'dead service')}",
        figures=(("dead services", f"{role['dead']:,}"), ("failed attempts", f"{role['failures']:,}")),
    )


def _mail(role: Row) -> Innocent | None:
    if role["mail_pairs"] < 10 or role["mail_answered"] < 0.5 * role["mail_pairs"]:
        return None
    share = role["mail_answered"] / role["mail_pairs"]
    return Innocent(
        host=role["src"],
        looked_like=f"a host that probes TCP port 25 (SMTP) on {count(role['mail_pairs'], 'target')}",
        reason=(
            f"mail server: {percent(share)} of the exchangers took its mail"
            f"{_clients(role['mail_clients'], 'brought it mail')}"
        ),
        figures=(("exchangers answered", percent(share)), ("looked up by name", f"{role['named']:,}")),
    )


def _resolver(role: Row) -> Innocent | None:
    if role["dns_pairs"] < 10 or role["dns_reached"] < 0.5 * role["dns_pairs"]:
        return None
    return Innocent(
        host=role["src"],
        looked_like=f"a host that probes DNS on {count(role['dns_pairs'], 'target')}",
        reason=f"name server: {role['dns_reached']:,} servers answered it{_clients(role['dns_clients'], 'asked it')}",
        figures=(
            ("servers answered", percent(role["dns_reached"] / role["dns_pairs"])),
            ("clients", f"{role['dns_clients']:,}"),
        ),
    )


def _crawler(role: Row) -> Innocent | None:
    if role["web_pairs"] < 30 or role["web_answered"] < 0.6 * role["web_pairs"]:
        return None
    share = role["web_answered"] / role["web_pairs"]
    named = f", {role['named']:,} looked up by name" if role["named"] else ""
    return Innocent(
        host=role["src"],
        looked_like=f"a host that probes the web on {count(role['web_pairs'], 'target')}",
        reason=f"crawler or busy browser: {percent(share)} of the servers answered{named}",
        figures=(("servers answered", percent(share)), ("looked up by name", f"{role['named']:,}")),
    )


# -- why somebody is a suspect --------------------------------------------------------------------------------------------


def _one_each(innocents: Iterable[Innocent]) -> list[Innocent]:
    """One entry a host: what it looked like, joined, and the first reason."""
    by_host: dict[str, Innocent] = {}
    for one in innocents:
        known = by_host.get(one.host)
        if known is None:
            by_host[one.host] = one
        elif known.looked_like.count(",") < 2 and one.reason == known.reason:
            more = one.looked_like.removeprefix("a host that probes ")
            by_host[one.host] = dataclasses.replace(known, looked_like=f"{known.looked_like}, {more}")
    return list(by_host.values())


def _few_suffice(row: Row, outside: bool) -> bool:
    """A handful of dead targets accuses an outsider, who has no honest reason to try them, and a home host only where the
    way of trying is a machine's."""
    return outside or (row["targets"] >= 6 and row["traits"] >= 2 and row["dport"] not in (80, 443, 53, 123))


def _is_block(across: Sequence[Row], down: Sequence[Row], block: Row | None) -> bool:
    if len(down) >= 3:
        return True
    if block is None:
        return False
    # Most of the dead pairs belong to no service that shows alone: the host walks ports and addresses together.
    if across and not down and block["rule"] is not None and sum(r["dead"] for r in across) < 0.7 * block["dead"]:
        return bool(block["ports"] >= 3)
    if len(across) < 3:
        return False
    return bool(sum(r["targets"] for r in across) >= 1.5 * max(r["targets"] for r in across))


def _horizontal(row: Row, walk: Row | None) -> Suspect:
    reasons = [
        f"{percent(row['fail_share'])} of {row['targets']:,} targets never reached "
        f"(at least {percent(row['fail_lo'])} with 95 % certainty)",
        RULE_WORDS[row["rule"]],
    ]
    value = RULE_BASE[row["rule"]]
    figures = _horizontal_figures(row)
    if walk is not None and walk["alarm_at"] is not None:
        value += 0.08
        first = " from its first contact" if walk["onset_at"] == 1 else ""
        reasons.append(f"sequential test (TRW) alarms at contact {walk['alarm_at']:,} of {walk['contacts']:,}{first}")
        figures.append(("TRW alarm at contact", f"{walk['alarm_at']:,} of {walk['contacts']:,}"))
    if row["targets"] >= 30:
        value += 0.06
        reasons.append(f"{row['targets']:,} distinct targets")
    if row["dead_revisited"] >= 10:
        value += 0.06
        reasons.append(f"{row['dead_revisited']:,} dead targets tried again for an hour or more")
    if row["fail_lo"] >= 0.6:
        value += 0.05
    if row["asks_dns"]:
        value += 0.05
        reasons.append("the host uses DNS, but no name led to these targets")
    value += 0.02 * row["traits"]
    return Suspect(
        host=row["src"],
        proto=row["proto"],
        shape="horizontal",
        dport=None if row["proto"] in (1, 58) else row["dport"],
        target=None,
        ports=f",{row['dport']},",
        attempts=row["attempts"],
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        confidence=Confidence(round(min(value, 0.99), 2), tuple(reasons)),
        detector="probing_hosts",
        figures=tuple(figures),
    )


def _horizontal_figures(row: Row) -> list[tuple[str, str]]:
    figures = [
        ("distinct targets", f"{row['targets']:,}"),
        ("never reached", f"{row['dead']:,}"),
        ("silent", f"{row['silent']:,}"),
        ("reached", f"{row['reached']:,}"),
        ("share never reached, lower 95 % bound", percent(row["fail_lo"])),
        ("networks (/16 or /48)", f"{row['nets']:,}"),
        ("visits per target, median", number(row["visits_median"])),
    ]
    if row["gap_median_ns"] is not None:
        figures.append(("gap between first contacts, median", duration(row["gap_median_ns"])))
        if row["gap_mad_ns"] is not None and row["gap_median_ns"]:
            figures.append(("spread of that gap (MAD / median)", number(row["gap_mad_ns"] / row["gap_median_ns"])))
    return figures


def _vertical(row: Row) -> Suspect:
    reasons = [
        f"{percent(row['fail_share'])} of {row['ports']:,} ports of one target failed "
        f"(at least {percent(row['fail_lo'])} with 95 % certainty)",
        f"{row['open']:,} ports open",
    ]
    value = 0.75 + (0.1 if row["ports"] >= 30 else 0) + (0.1 if row["fail_lo"] >= 0.7 else 0)
    return Suspect(
        host=row["src"],
        proto=row["proto"],
        shape="vertical",
        dport=None,
        target=row["dst"],
        ports="all",
        attempts=row["attempts"],
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        confidence=Confidence(round(min(value, 0.99), 2), tuple(reasons)),
        detector="vertical_scans",
        figures=(
            ("ports", f"{row['ports']:,}"),
            ("failed", f"{row['dead']:,}"),
            ("silent", f"{row['silent']:,}"),
            ("open", f"{row['open']:,}"),
        ),
    )


def _block_base(pairs: int) -> float:
    """A handful of dead pairs may be chance, a renumbered network or a stray client; hundreds are not."""
    return 0.35 if pairs < FEW_PAIRS else 0.55 if pairs < MANY_PAIRS else 0.75


def _block(key: tuple[str, int], across: Sequence[Row], down: Sequence[Row], block: Row | None) -> Suspect:
    rows: Iterable[Row] = [*across, *down, *([block] if block is not None else [])]
    walked = block is not None and sum(r["dead"] for r in across) < 0.7 * block["dead"]
    ports = (
        "all"
        if down or not across or walked
        else "," + "".join(f"{r['dport']}," for r in sorted(across, key=lambda r: r["dport"]))
    )
    parts = [*across, *down] if across or down else [block] if block is not None else []
    worst = max(p["fail_lo"] for p in parts)
    reasons = []
    if down:
        reasons.append(f"{count(len(down), 'target')} with at least 10 ports each tried, most of them closed")
    if across:
        reasons.append(f"{count(len(across), 'service')} tried on at least 10 targets each, most of them not reached")
    if block is not None:
        reasons.append(
            f"{percent(block['fail_share'])} of {block['pairs']:,} pairs of target and port failed "
            f"({count(block['ports'], 'port')}, {count(block['targets'], 'target')})"
        )
    pairs = max(sum(p["targets"] for p in across), sum(p["ports"] for p in down), 0 if block is None else block["pairs"])
    value = _block_base(pairs) + (0.1 if worst >= 0.7 else 0) + (0.1 if across or down else 0)
    if pairs < MANY_PAIRS:
        reasons.append(f"only {count(pairs, 'pair')}")
    figures = (
        ()
        if block is None
        else (
            ("pairs of target and port", f"{block['pairs']:,}"),
            ("failed", f"{block['dead']:,}"),
            ("ports", f"{block['ports']:,}"),
            ("targets", f"{block['targets']:,}"),
        )
    )
    return Suspect(
        host=key[0],
        proto=key[1],
        shape="block",
        dport=None,
        target=None,
        ports=ports,
        attempts=max(
            sum(p["attempts"] for p in across),
            sum(p["attempts"] for p in down),
            0 if block is None or across else block["attempts"],
        ),
        first_ns=min(r["first_ns"] for r in rows),
        last_ns=max(r["last_ns"] for r in rows),
        confidence=Confidence(round(min(value, 0.99), 2), tuple(reasons)),
        detector="block_scans",
        figures=figures,
    )
