"""In: a rule. Out: its plan: header predicate, tests, chains of steps by buffer, and how it is inspected (once per flow, packet
by packet, over the stream, per transaction). Never here: carrying it out (inspect.py) or choosing what to look at (scan.py).

How a rule is inspected follows Suricata (detect-parse.c, detect-engine-build.c):
- no payload, no ports, nothing but what goes with it: once per flow and direction ("IP only");
- a buffer of an application protocol: per transaction, once;
- payload over TCP: the stream, and packets that did not become part of one; packets as well where a content has an offset or
  a depth; only packets with dsize, flow:no_stream, tcp-pkt; only the stream with flow:only_stream, tcp-stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tracehound.rules import packet as packets
from tracehound.rules.literals import Literal as Literal_
from tracehound.rules.literals import payload_literal
from tracehound.rules.packet import WITH_PORTS, Packet
from tracehound.rules.predicates import Late, PacketCheck, flow_check, late_check, packet_check
from tracehound.rules.rule import (
    AddressSet,
    Bits,
    Content,
    FlagTest,
    FlowInt,
    Group,
    PortSet,
    Rule,
    State,
    Transform,
)
from tracehound.rules.verify import Chain, chain_of

Unit = Literal["ip_only", "packet", "transaction"]
PACKET_KEYWORDS: Final = frozenset((
    "dsize", "ttl", "id", "tos", "seq", "ack", "window", "tcp.mss", "tcp.wscale", "itype", "icode", "icmp_id", "icmp_seq", "icmpv6.mtu",
    "ip_proto", "fragoffset", "ipopts", "sameip", "ipv4.len", "ipv4-csum", "tcpv4-csum", "tcpv6-csum", "udpv4-csum", "udpv6-csum",
    "icmpv4-csum", "icmpv6-csum", "sctp.vtag", "sctp.chunk_cnt", "sctp.chunk_type", "igmp.type",
))  # fmt: skip
LINK_PROTOCOLS: Final = frozenset(("pkthdr", "ether", "arp"))
"""What a rule's header may say that holds of frames without IP too."""
_ACTIONS: Final = {"pass": 0, "drop": 1, "reject": 2, "rejectsrc": 2, "rejectdst": 2, "rejectboth": 2, "alert": 3, "log": 3, "config": 4}


def address_check(addresses: AddressSet) -> Callable[[int], bool] | None:
    """Whether an address is in the set; None: any is."""
    if addresses.is_any:
        return None
    lows = [low for low, _ in addresses.ranges]
    highs = [high for _, high in addresses.ranges]

    def check(address: int) -> bool:
        k = bisect_right(lows, address) - 1
        return k >= 0 and address <= highs[k]

    return check


def port_check(ports: PortSet) -> Callable[[int], bool] | None:
    if ports.is_any:
        return None
    if len(ports.ranges) == 1 and ports.ranges[0][0] == ports.ranges[0][1]:
        only = ports.ranges[0][0]
        return lambda port: port == only
    ranges = ports.ranges
    return lambda port: any(low <= port <= high for low, high in ranges)


@dataclass(slots=True)
class GroupPlan:
    """One buffer of a rule: its name, how it is transformed, what is asked of it. `number`: its place among the rule's groups."""

    name: str
    number: int
    transforms: tuple[Transform, ...]
    chain: Chain
    absent: str
    side: bool | None
    multi: bool
    detail: str = ""
    get: Callable[[Packet], bytes | None] | None = None


@dataclass(slots=True)
class Counts:
    """What --profile prints of one rule."""

    candidates: int = 0
    checked: int = 0
    passed: int = 0
    time_ns: int = 0
    exhausted: int = 0


@dataclass(slots=True)
class Plan:
    """A rule ready to be carried out. `order`: place among all rules, in which they are evaluated on a packet."""

    rule: Rule
    order: int = 0
    unit: Unit = "packet"
    protos: frozenset[int] | None = None
    family: int = 0
    service: str = ""
    src: Callable[[int], bool] | None = None
    dst: Callable[[int], bool] | None = None
    sports: Callable[[int], bool] | None = None
    dports: Callable[[int], bool] | None = None
    both_ways: bool = False
    transactional: bool = False
    side: bool | None = None
    early: list[tuple[str, PacketCheck]] = field(default_factory=list)
    flow: PacketCheck | None = None
    conditions: tuple[State, ...] = ()
    effects: tuple[State, ...] = ()
    payload: GroupPlan | None = None
    packet_groups: list[GroupPlan] = field(default_factory=list)
    groups: list[GroupPlan] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    wants_stream: bool = False
    wants_packet: bool = True
    stream_first: bool = False
    only_stream: bool = False
    link_only: bool = False
    quiet: bool = False
    must: Literal_ | None = None
    """A literal without which neither a packet nor a window of the stream can match; only where the payload itself is asked."""
    straddles: bool = False
    """Its payload steps hold wherever they stand: nothing is asked of an absolute place, and nothing must be absent."""
    once: bool = False
    """Nothing but the flow's protocol is asked: told once a flow (SIG_TYPE_PDONLY)."""
    flow_wide: bool = False
    """Its action (pass, drop) is applied to the whole flow."""
    counts: Counts = field(default_factory=Counts)
    head: tuple[object, ...] = ()
    """Equal for plans whose headers hold of the same packets; the sets of addresses and ports stand in it by identity."""

    @property
    def action(self) -> str:
        return self.rule.header.action

    def header_holds(self, p: Packet) -> bool:
        """Protocol, addresses and ports (detect.c: DetectRunInspectRuleHeader)."""
        if self.protos is not None and p.proto not in self.protos:
            return False
        if self.family and p.family != self.family:
            return False
        if p.family == 0:
            return self.link_only
        if self._ends(p.src, p.sport, p.dst, p.dport, p):
            return True
        return self.both_ways and self._ends(p.dst, p.dport, p.src, p.sport, p)

    def _ends(self, src: int, sport: int, dst: int, dport: int, p: Packet) -> bool:
        if self.dports is not None or self.sports is not None:
            if p.proto not in WITH_PORTS or not p.headed:
                return False
            if self.dports is not None and not self.dports(dport):
                return False
            if self.sports is not None and not self.sports(sport):
                return False
        if self.dst is not None and not self.dst(dst):
            return False
        return self.src is None or self.src(src)

    def holds_both_ways(self, p: Packet) -> bool:
        """Whether a `<>` rule's header holds in either direction of the packet."""
        return self._ends(p.src, p.sport, p.dst, p.dport, p) and self._ends(p.dst, p.dport, p.src, p.sport, p)

    def why_header_fails(self, p: Packet) -> str:
        """The first part of the header that excludes the packet, in words; "" where none does."""
        if self.protos is not None and p.proto not in self.protos:
            return f"protocol {p.proto} is not {self.rule.header.protocol.name}"
        if self.header_holds(p):
            return ""
        for name, check, value in (
            ("destination port", self.dports, p.dport), ("source port", self.sports, p.sport),
        ):  # fmt: skip
            if check is not None and (p.proto not in WITH_PORTS or not check(value)):
                return f"{name} {value} is not in {getattr(self.rule.written, 'dst_ports' if name[0] == 'd' else 'src_ports')}"
        if self.dst is not None and not self.dst(p.dst):
            return f"destination address is not in {self.rule.written.dst}"
        if self.src is not None and not self.src(p.src):
            return f"source address is not in {self.rule.written.src}"
        return f"IP version {p.family} is not the rule's"



def _is_condition(state: State) -> bool:
    if isinstance(state, FlowInt):
        return state.command not in ("+", "-", "=")
    return state.command in ("isset", "isnotset")


_IP_ONLY_TESTS: Final = frozenset(("geoip", "iprep"))


def _is_ip_only(rule: Rule, plan: Plan) -> bool:
    """detect-engine-build.c: SignatureIsIPOnly."""
    header = rule.header
    if plan.service or rule.groups or rule.flow is not None or header.protocol.only or plan.link_only:
        return False
    with_ports = plan.protos is None or bool(plan.protos & {6, 17})
    if plan.protos is not None and with_ports and not (header.src_ports.is_any and header.dst_ports.is_any):
        return False
    if plan.protos is None and not (header.src_ports.is_any and header.dst_ports.is_any):
        return False
    if "!" in rule.written.src or "!" in rule.written.dst:
        return False
    for test in rule.tests:
        if getattr(test, "keyword", "") not in _IP_ONLY_TESTS:
            return False
    if rule.detection_filter is not None:
        return False
    return all((isinstance(s, Bits) and s.command == "set") or (isinstance(s, Bits) and s.kind != "flowbits") for s in rule.states)


def _group_plan(group: Group, number: int, decoded: Group | None, sets: Any) -> GroupPlan:
    chain = chain_of(group, decoded, sets)
    side = None if group.side is None else group.side == "to_server"
    return GroupPlan(
        group.buffer.name, number, group.transforms, chain, group.absent, side, group.buffer.multi, group.detail,
        packets.BUFFERS.get(group.buffer.name),
    )  # fmt: skip


def plan_of(rule: Rule, *, lists: Any = None, sets: Any = None) -> Plan:
    """The plan of one rule. lists: digests of files that filemd5 and its kin name; sets: data sets."""
    header = rule.header
    proto = header.protocol
    plan = Plan(rule)
    plan.protos = frozenset(proto.ip_protocols) if proto.ip_protocols else None
    plan.family = {"": 0, "ipv4": 4, "ipv6": 6}[proto.family]
    plan.service = proto.service
    plan.src, plan.dst = address_check(header.src), address_check(header.dst)
    plan.sports, plan.dports = port_check(header.src_ports), port_check(header.dst_ports)
    # detect-parse.c: a `<>` whose sides are the same is no more than `->`.
    plan.both_ways = header.direction == "<>" and (header.src, header.src_ports) != (header.dst, header.dst_ports)
    plan.transactional = header.direction == "=>"
    plan.link_only = proto.name in LINK_PROTOCOLS
    if proto.name == "arp":
        plan.early.append(("arp", lambda p: packets.arp_message(p) is not None))
    plan.head = (proto.name, id(header.src), id(header.dst), id(header.src_ports), id(header.dst_ports), header.direction)
    if rule.flow is not None:
        plan.flow = flow_check(rule.flow)
        plan.side = None if rule.flow.side is None else rule.flow.side == "to_server"
    for test in rule.tests:
        check = packet_check(test)
        if check is not None:
            plan.early.append((getattr(test, "keyword", getattr(test, "name", "")), check))
            continue
        late = late_check(test, lists)
        if late is not None:
            plan.late.append(late)
    plan.conditions = tuple(s for s in rule.states if _is_condition(s))
    plan.effects = tuple(s for s in rule.states if not _is_condition(s))
    open_base64: Group | None = next((g for g in rule.groups if g.buffer.name == "base64_data"), None)
    for number, group in enumerate(rule.groups):
        if group.buffer.name == "base64_data":
            continue
        decodes = open_base64 if any(type(s).__name__ == "Base64Decode" for s in group.steps) else None
        made = _group_plan(group, number, decodes, sets)
        if group.buffer.name == "payload":
            if plan.payload is None or not group.transforms:
                plan.payload = made
            else:
                plan.packet_groups.append(made)
        elif made.get is not None:
            plan.packet_groups.append(made)
        else:
            plan.groups.append(made)
    if plan.groups or plan.late:
        plan.unit = "transaction"
    elif _is_ip_only(rule, plan):
        plan.unit = "ip_only"
    plan.once = (
        plan.unit == "packet" and bool(rule.tests) and not rule.groups and not rule.states
        and all(getattr(t, "keyword", "") == "app-layer-protocol" for t in rule.tests)
    )
    _choose_inspection(plan, rule)
    if plan.unit == "packet" and plan.payload is not None:
        plan.must = payload_literal(rule)
        plan.straddles = plan.wants_stream and all(
            isinstance(s, Content) and not s.negated and s.offset is None and s.depth is None and not s.startswith and not s.endswith
            for s in plan.payload.chain.steps
        )
    plan.quiet = rule.noalert or header.action in ("pass", "config")
    plan.flow_wide = plan.unit != "packet" or bool(plan.service) or (plan.stream_first and not plan.wants_packet)
    return plan


def _choose_inspection(plan: Plan, rule: Rule) -> None:
    """Packets, the stream, or both."""
    only = rule.header.protocol.only
    stream = rule.flow.stream if rule.flow is not None else None
    tcp = plan.protos is None or 6 in plan.protos
    if not tcp:
        return
    # A keyword of the packet's header makes a rule look at packets only (SIG_FLAG_REQUIRE_PACKET).
    by_packet = only == "packet" or stream == "no_stream" or bool(plan.packet_groups) or any(
        isinstance(t, FlagTest) or getattr(t, "keyword", "") in PACKET_KEYWORDS for t in rule.tests
    )
    by_stream = only == "stream" or stream == "only_stream"
    if by_stream:
        plan.wants_stream = plan.stream_first = plan.only_stream = True
        plan.wants_packet = False
        return
    if by_packet:
        return
    plan.wants_stream = plan.stream_first = True
    steps = plan.payload.chain.steps if plan.payload is not None else ()
    anchored = any(isinstance(s, Content) and (s.offset is not None or s.depth is not None or s.startswith) for s in steps)
    sized = any(getattr(t, "keyword", "") == "stream_size" for t in rule.tests)
    plan.wants_packet = anchored or sized or plan.payload is None


def _bit_rank(rule: Rule, kind: str) -> int:
    """detect-engine-sigorder.c: rules that set come before those that set and ask, those before such as only ask."""
    asks = sets = False
    for s in rule.states:
        if (isinstance(s, Bits) and s.kind == kind) or (isinstance(s, FlowInt) and kind == "flowint"):
            if _is_condition(s):
                asks = True
            else:
                sets = True
    return 0 if sets and not asks else 1 if sets else 2 if asks else 3


def put_in_order(plans: list[Plan], priorities: Callable[[Rule], int]) -> list[Plan]:
    """Sort as Suricata does (action, bits, priority), and number."""
    ranked = sorted(
        plans,
        key=lambda p: (
            _ACTIONS.get(p.action, 3), _bit_rank(p.rule, "flowbits"), _bit_rank(p.rule, "flowint"),
            _bit_rank(p.rule, "hostbits"), _bit_rank(p.rule, "xbits"), priorities(p.rule),
        ),
    )  # fmt: skip
    for order, plan in enumerate(ranked):
        plan.order = order
    return ranked


