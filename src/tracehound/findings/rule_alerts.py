"""In: a verdict, and the alerts of the rules that the officer gave. Out: the verdict with what the rules say: a finding for each
rule and host. Never here: rules or how they match (rules/), reading evidence."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tracehound import limits
from tracehound.findings.citations import evenly
from tracehound.findings.model import Citation, Citations, Confidence, Finding, Verdict
from tracehound.findings.wording import count, listing

KIND: Final = "rule_alert"
_BY_SEVERITY: Final = {1: 0.7, 2: 0.5, 3: 0.35}
"""A signature says that bytes look like something; how much that means is its author's severity (1 the gravest)."""
_SEEN: Final = 0.2
_NAMED: Final = 3


class Alert(NamedTuple):
    """One alert. ts_ns: of the packet that completed the match; file and frame: where that packet stands."""

    gid: int
    sid: int
    msg: str
    category: str
    severity: int
    ts_ns: int
    src: str
    dst: str
    dport: int | None
    proto: str
    service: str | None
    file: str
    frame: int
    flow_id: int | None


@dataclass(slots=True)
class _Group:
    """The alerts of one rule about one host."""

    alerts: list[Alert] = field(default_factory=list)
    total: int = 0
    peers: dict[str, None] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0

    def add(self, alert: Alert, peer: str) -> None:
        self.total += 1
        self.first_ns = alert.ts_ns if self.total == 1 else min(self.first_ns, alert.ts_ns)
        self.last_ns = max(self.last_ns, alert.ts_ns)
        if len(self.peers) < limits.MAX_REPORT_ROWS:
            self.peers.setdefault(peer)
        if len(self.alerts) < limits.MAX_RULE_ALERTS_KEPT:
            self.alerts.append(alert)


class _Home:
    """Whether an address is at home; each is asked once."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(n, strict=False) for n in networks]
        self._known: dict[str, bool] = {}

    def has(self, address: str) -> bool:
        if address not in self._known:
            try:
                ip = ipaddress.ip_address(address)
            except ValueError:
                return False
            self._known[address] = any(ip in n for n in self._networks if n.version == ip.version)
        return self._known[address]


def _grouped(alerts: Iterable[Alert], home: _Home, only: str | None) -> dict[tuple[int, int, str], _Group]:
    groups: dict[tuple[int, int, str], _Group] = {}
    for alert in alerts:
        # The host that an alert is about is the one at home; where both or neither are, the sender of the packet.
        host, peer = (alert.dst, alert.src) if home.has(alert.dst) and not home.has(alert.src) else (alert.src, alert.dst)
        if only is not None and only not in (host, peer):
            continue
        if only is not None and peer == only:
            host, peer = peer, host
        groups.setdefault((alert.gid, alert.sid, host), _Group()).add(alert, peer)
    return groups


def _finding(key: tuple[int, int, str], group: _Group, number: int) -> Finding:
    gid, sid, host = key
    one = group.alerts[0]
    about = f" on {one.proto}" + (f" port {one.dport}" if one.dport else "") + (f" ({one.service})" if one.service else "")
    peers = listing(list(group.peers), _NAMED)
    times = count(group.total, "time")
    statement = f"{host}: rule {gid}:{sid} \"{one.msg}\" matches {times}{about}, with {count(len(group.peers), 'peer')}: {peers}."
    reasons = [f"severity {one.severity} of the rule", *([one.category] if one.category else []), count(group.total, "alert")]
    shown = [group.alerts[k] for k in evenly(len(group.alerts), limits.MAX_CITATIONS)]
    cited = tuple(Citation(file=a.file, frame=a.frame, flow_id=a.flow_id, ts_ns=a.ts_ns, note=f"{a.src} to {a.dst}") for a in shown)
    return Finding(
        finding_id=f"R{number}", kind=KIND, host=host, from_ns=group.first_ns, to_ns=group.last_ns, statement=statement,
        confidence=Confidence(_BY_SEVERITY.get(one.severity, _SEEN), tuple(reasons)), citations=Citations(cited, group.total),
        detector="rules",
    )  # fmt: skip


def with_alerts(verdict: Verdict, alerts: Iterable[Alert], *, loaded: int, refused: int, host: str | None = None) -> Verdict:
    """The verdict and what the rules say: findings behind its own, the gravest rule first.

    loaded, refused  rules that were carried out, and those that could not be honoured
    host             only alerts of this host"""
    groups = _grouped(alerts, _Home(verdict.home_networks), host)
    order = sorted(groups.items(), key=lambda g: (g[1].alerts[0].severity, -g[1].total, g[0]))
    made = tuple(_finding(key, group, number) for number, (key, group) in enumerate(order, 1))
    total = sum(g.total for g in groups.values())
    sids = {key[:2] for key in groups}
    rules = f"{count(loaded, 'rule')}" + (f" ({refused} refused)" if refused else "")
    told = f"{count(len(sids), 'matches', 'match')}, {count(total, 'alert')}"
    if made:
        named = "; ".join(f"{key[2]} \"{group.alerts[0].msg}\"" for key, group in order[:_NAMED])
        more = f"; {len(made) - _NAMED} more" if len(made) > _NAMED else ""
        said = f" Of {rules}, {told}: {named}{more}."
    else:
        said = f" Of {rules}, none matches."
    extra = verdict.extra | {"rules": f"{loaded:,} carried out, {refused:,} refused; {told}"}
    return replace(verdict, summary=verdict.summary + said, findings=(*verdict.findings, *made), extra=extra)
