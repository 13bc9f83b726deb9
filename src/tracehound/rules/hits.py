"""In: matches. Out: hits, as EVE objects, fast.log lines, rows of table `hits`. Never here: matching, or writing files.

Field names and their order are those of Suricata's eve.json (output-json-alert.c); addresses are in Suricata's spelling."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from tracehound.flows.key import community_id
from tracehound.packets.addresses import address_text as canonical
from tracehound.rules.inspect import Match
from tracehound.rules.packet import ICMP, ICMPV6, Packet
from tracehound.rules.rule import Rule
from tracehound.tables import EVIDENCE_SHIFT

_FRAME_MASK: Final = (1 << EVIDENCE_SHIFT) - 1
_PROTO_NAMES: Final = {6: "TCP", 17: "UDP", 1: "ICMP", 58: "IPv6-ICMP", 132: "SCTP", 47: "GRE", 50: "ESP", 51: "AH", 2: "IGMP", 4: "IPv4",
                       41: "IPv6", 103: "PIM", 89: "OSPF", 88: "EIGRP", 112: "VRRP", 115: "L2TP"}  # fmt: skip
SERVICE_NAMES: Final = {"http": "http", "http1": "http"}


def address_text(address: int, family: int) -> str:
    """Dotted quad, or eight groups of four as Suricata prints IPv6."""
    if family == 4:
        return canonical(0, address & 0xFFFFFFFF, 4)
    raw = address.to_bytes(16, "big").hex()
    return ":".join(raw[k : k + 4] for k in range(0, 32, 4))


def short_address_text(address: int, family: int) -> str:
    """RFC 5952."""
    return canonical(address >> 64, address & 0xFFFFFFFFFFFFFFFF, family)


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def timestamp(ts_ns: int) -> str:
    """2010-01-01T00:00:00.000000+0000, as Suricata prints it."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{_second(seconds)}{rest // 1000:06d}+0000"


def flow_number(p: Packet) -> str:
    """Community ID of the packet's flow."""
    return _flow_number(p.family, p.proto, p.src, p.dst, p.sport, p.dport)


@lru_cache(maxsize=4096)
def _flow_number(family: int, proto: int, src: int, dst: int, sport: int, dport: int) -> str:
    ends = [address.to_bytes(16, "big")[12 if family == 4 else 0 :] for address in (src, dst)]
    ports = proto in (6, 17, 132)
    if proto in (ICMP, ICMPV6):
        from tracehound.flows.key import ICMP_PAIRS, ICMPV6_PAIRS

        answer = (ICMP_PAIRS if proto == ICMP else ICMPV6_PAIRS).get(sport)
        return community_id(
            ends[0], ends[1], proto, sport, answer if answer is not None else dport, one_way=answer is None, has_ports=True
        )
    return community_id(ends[0], ends[1], proto, sport, dport, one_way=False, has_ports=ports)


class Ends(NamedTuple):
    """Of a packet what a line of fast.log says."""

    ts: int
    family: int
    proto: int
    src: int
    dst: int
    sport: int
    dport: int


def ends_of(p: Packet) -> Ends:
    return Ends(p.ts, p.family, p.proto, p.src, p.dst, p.sport, p.dport)


class Descriptions:
    """What alerts say of rules: category and severity by classtype. blocking: the engine is inline (drop means blocked)."""

    def __init__(self, classtypes: dict[str, tuple[str, int]] | None = None, *, short_addresses: bool = False) -> None:
        self.classtypes = classtypes or {}
        self.short_addresses = short_addresses
        self._alerts: dict[int, dict[str, Any]] = {}

    def priority(self, rule: Rule) -> int:
        if rule.priority is not None:
            return rule.priority
        return self.classtypes.get(rule.classtype, ("", 3))[1]

    def alert(self, rule: Rule) -> dict[str, Any]:
        found = self._alerts.get(id(rule))
        if found is None:
            found = {
                "action": "allowed", "gid": rule.gid, "signature_id": rule.sid, "rev": rule.rev, "signature": rule.msg,
                "category": self.classtypes.get(rule.classtype, ("", 3))[0], "severity": self.priority(rule),
            }  # fmt: skip
            metadata: dict[str, list[str]] = {}
            for entry in rule.metadata:
                key, _, value = entry.partition(" ")
                if value:
                    metadata.setdefault(key, []).append(value)
            if metadata:
                found["metadata"] = metadata
            self._alerts[id(rule)] = found
        return found

    def address(self, address: int, family: int) -> str:
        return short_address_text(address, family) if self.short_addresses else address_text(address, family)

    def eve(self, m: Match, filename: str) -> dict[str, Any]:
        """The EVE object of a match."""
        p, rule = m.packet, m.plan.rule
        out: dict[str, Any] = {"timestamp": timestamp(p.ts)}
        if p.flow is not None or p.flow_id >= 0:
            out["flow_id"] = p.flow.flow_id if p.flow is not None else p.flow_id
        out["pcap_cnt"] = p.number & _FRAME_MASK
        out["pcap_filename"] = filename
        out["event_type"] = "alert"
        if p.family:
            out["src_ip"] = self.address(p.src, p.family)
            if p.proto in (6, 17, 132):
                out["src_port"] = p.sport
            out["dest_ip"] = self.address(p.dst, p.family)
            if p.proto in (6, 17, 132):
                out["dest_port"] = p.dport
            out["proto"] = _PROTO_NAMES.get(p.proto, str(p.proto))
            out["ip_v"] = p.family
            if p.proto in (ICMP, ICMPV6):
                out["icmp_type"], out["icmp_code"] = p.sport, p.dport
        if p.pseudo:
            out["pkt_src"] = "stream (flow timeout)"
        if p.has_flow and p.family:
            out["community_id"] = flow_number(p)
        if m.tx is not None:
            out["tx_id"] = m.tx.number
        out["alert"] = self.alert(rule) if m.context is None else self.alert(rule) | {"context": m.context}
        if m.summary:
            out |= m.summary
        if m.service_name is not None:
            out["app_proto"] = SERVICE_NAMES.get(m.service_name, m.service_name)
        if p.has_flow:
            out["direction"] = "to_server" if p.to_server else "to_client"
        return out

    def fast(self, rule: Rule, p: Ends) -> str:
        """A line as in Suricata's fast.log."""
        seconds, rest = divmod(p.ts, 1_000_000_000)
        when = datetime.fromtimestamp(seconds, UTC).strftime("%m/%d/%Y-%H:%M:%S.") + f"{rest // 1000:06d}"
        ends = [self.address(p.src, p.family) if p.family else "", self.address(p.dst, p.family) if p.family else ""]
        ports = (p.sport, p.dport)
        category = self.classtypes.get(rule.classtype, ("(null)", 3))[0] or "(null)"
        proto = _PROTO_NAMES.get(p.proto, str(p.proto))
        return (
            f"{when}  [**] [{rule.gid}:{rule.sid}:{rule.rev}] {rule.msg} [**] [Classification: {category}] "
            f"[Priority: {self.priority(rule)}] {{{proto}}} {ends[0]}:{ports[0]} -> {ends[1]}:{ports[1]}"
        )


def eve_line(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False)
