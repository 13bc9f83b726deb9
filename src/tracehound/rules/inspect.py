"""In: the packets of one flow in order, and the rules that may match in it. Out: matches, each with its packet.
Never here: choosing flows and rules (scan.py), what becomes of a match (hits.py).

Each packet goes the way it goes in Suricata (flow-worker.c, detect.c): the session takes it; bytes that it acknowledges are
read by the application layer of the other side; then the rules of its own direction see packet, stream and transactions.
So a match carries the packet at which it was complete: the first packet of its direction after the bytes were acknowledged.
A session that ends is inspected once more in both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import BODY_INSPECT_BYTES, MAX_RULE_TRANSACTIONS, RAW_CHUNK_BYTES, RAW_SEAM_BYTES
from tracehound.rules import state as states
from tracehound.rules.packet import TCP, UDP, Packet
from tracehound.rules.plan import GroupPlan, Plan
from tracehound.rules.predicates import covers
from tracehound.rules.services import catalog
from tracehound.rules.services.identify import FAILED, by_content, hopeless
from tracehound.rules.services.service import Service
from tracehound.rules.state import Memory
from tracehound.rules.tcp import Segment, Session
from tracehound.rules.tcp_events import Watch
from tracehound.rules.transforms import apply
from tracehound.rules.verify import Sight, Trace

FIRED: Final = 1
DEAD: Final = 2

Clock = Callable[[], int]
"""Nanoseconds, for the time that rules take."""

Window = list[tuple[int, bytes]]
"""Stretches of a stream: (offset, bytes)."""


@dataclass(slots=True)
class Match:
    """A rule that holds. tx: the transaction it holds in; context: what data sets say of what the rule found in them."""

    plan: Plan
    packet: Packet
    service: Service | None
    tx: Any
    service_name: str | None
    context: dict[str, Any] | None = None

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the application layer says, as far as it had come when the rule matched."""
        return self.service.summary(self.tx) if self.service is not None and self.tx is not None else None


@dataclass(slots=True)
class Note:
    """What `rules explain` prints: how far a rule came on a packet. stage: header, test, buffer, state, matched."""

    plan: Plan
    packet: Packet
    stage: str
    depth: float
    words: str
    buffer: str = ""
    data: bytes = b""
    offset: int = 0
    step: int = -1


class Flow:
    """What is known of one flow. spoken: (to_client, to_server) recognised protocols."""

    __slots__ = (
        "began",
        "bits",
        "chosen",
        "dead",
        "dports",
        "dropped",
        "earlier",
        "ended",
        "flow_id",
        "heads",
        "ints",
        "ip_only_done",
        "last",
        "octets",
        "original_service",
        "packets",
        "passed",
        "seen_sides",
        "service",
        "session",
        "sides",
        "spoken",
        "start",
        "told",
        "turned",
        "watch",
    )  # fmt: skip

    def __init__(self, flow_id: int, start: int) -> None:
        self.flow_id = flow_id
        self.start = start
        self.session: Session | None = None
        self.service: Service | None = None
        self.original_service: str | None = None
        self.spoken: list[str | None] = [None, None]
        self.bits: set[str] = set()
        self.ints: dict[str, int] = {}
        self.heads = [bytearray(), bytearray()]
        self.dead = False
        self.dropped = False
        self.passed = False
        self.ended = False
        self.sides = (Rules(), Rules())
        self.packets = [0, 0]
        self.octets = [0, 0]
        self.ip_only_done = [False, False]
        self.last: Packet | None = None
        self.chosen: set[int] = set()
        self.seen_sides = 0
        self.dports = (0, 0)
        self.told: set[int] = set()
        self.turned = False
        self.earlier: Service | None = None
        self.watch: Watch | None = None
        self.began: bool | None = None

    @property
    def service_name(self) -> str | None:
        if self.service is not None:
            return self.service.name
        return self.spoken[1] or self.spoken[0]


@dataclass(slots=True)
class Rules:
    """Rules to be tried in a flow, by the way they are inspected, each in order. always: those of `packet` that a packet of the
    stream is to be tried with by itself; the rest of them waits for a window of the stream."""

    packet: list[Plan] = field(default_factory=list)
    always: list[Plan] = field(default_factory=list)
    transaction: list[Plan] = field(default_factory=list)

    def take(self, plans: list[Plan], ends: Packet | None) -> None:
        """Add those whose header holds of packets with these ends."""
        self.add([p for p in plans if p.transactional or ends is None or p.header_holds(ends)])

    def add(self, plans: list[Plan]) -> None:
        for plan in plans:
            if plan.unit == "transaction":
                self.transaction.append(plan)
            else:
                self.packet.append(plan)
        self.packet.sort(key=lambda p: p.order)
        self.transaction.sort(key=lambda p: p.order)
        self.always = [p for p in self.packet if p.payload is None or p.wants_packet]

    def on(self, p: Packet, window: Window | None) -> list[Plan]:
        """Those that can hold on this packet at all."""
        if p.proto == TCP and not window and (p.added or not p.payload):
            return self.always
        return self.packet


class Inspector:
    """Carries rules out on flows. midstream: sessions without handshake are followed. notes: filled for `explain`. watches: rules
    ask for events of the stream."""

    def __init__(self, memory: Memory, *, midstream: bool = False, notes: list[Note] | None = None, clock: Clock | None = None,
                 watches: bool = False) -> None:
        self.memory = memory
        self.watches = watches
        self.midstream = midstream
        self.notes = notes
        self.clock = clock
        self.exhausted: set[int] = set()

    # -- the way of a packet ----------------------------------------------------------------------------------------------

    def packet(self, flow: Flow | None, p: Packet, extra: list[Plan]) -> list[Match]:
        """Everything that happens because of one packet. extra: rules to be tried on this packet beside the flow's."""
        if flow is None:
            return self._alerts(None, p, None, extra, final=False)
        p.flow, p.has_flow = flow, True
        if flow.turned:
            p.to_server = not p.to_server
        flow.last = p
        flow.packets[p.to_server] += 1
        flow.octets[p.to_server] += len(p.ip)
        out: list[Match] = []
        if p.proto == TCP:
            if flow.dead:
                return []
            out = self._tcp(flow, p, extra)
        else:
            flow.seen_sides |= 2 if p.to_server else 1
            p.established = flow.seen_sides == 3
            if p.proto == UDP:
                self._datagram(flow, p)
            out = self._alerts(flow, p, None, extra, final=False)
            self._tidy(flow)
        return out

    def _tcp(self, flow: Flow, p: Packet, extra: list[Plan]) -> list[Match]:
        session = flow.session
        if session is None:
            session = flow.session = Session()
        before = session.established
        fast_open = bool(p.flags & 2) and bool(p.payload) and p.fast_open
        if session.state == 1 and p.payload and session.client.blocks:
            fast_open = True
        if self.watches:
            if flow.watch is None:
                flow.watch = Watch()
            odd = flow.watch.packet(p, session)
            p.events = (*p.events, *odd) if odd else p.events
        deep = session.client.depth_reached or session.server.depth_reached
        outcome = session.packet(Segment(p.to_server, p.flags, p.seq, p.ack, p.window, p.payload, fast_open), self.midstream)
        p.added = outcome.added
        if outcome.event:
            p.events = (*p.events, outcome.event)
        if not deep and (session.client.depth_reached or session.server.depth_reached):
            p.events = (*p.events, "reassembly_depth_reached")
        # flow.c: whether the packet belongs to an established flow is decided before the session takes it.
        p.established = before
        ended = outcome.ended and not flow.ended
        if session.established or session.state == 5:
            self._read(flow, not p.to_server, final=False)
        window = self._window(session, p, final=False) if p.established or session.established else None
        out = self._alerts(flow, p, window, extra, final=False)
        if window is not None:
            self._inspected(session, p)
        self._tidy(flow)
        if ended:
            out += self.end(flow)
        return out

    def end(self, flow: Flow) -> list[Match]:
        """The session is over: read what is left and inspect both directions."""
        session, last = flow.session, flow.last
        if session is None or last is None or flow.ended:
            flow.ended = True
            return []
        flow.ended = True
        out: list[Match] = []
        for to_server in (True, False):
            if not self._something_left(flow, session, to_server):
                continue
            self._read(flow, to_server, final=True)
            if flow.service is not None:
                flow.service.end(to_server)
            p = last.swapped(to_server)
            p.established = True
            window = self._window(session, p, final=True)
            out += self._alerts(flow, p, window, [], final=True)
            if window is not None:
                self._inspected(session, p)
        self._tidy(flow)
        return out

    def _something_left(self, flow: Flow, session: Session, to_server: bool) -> bool:
        """Whether one side has bytes or transactions that were not inspected (flow-timeout.c: FlowNeedsReassembly)."""
        d = session.side(to_server)
        if d.seen > d.read or d.seen > d.raw:
            return True
        service = flow.service
        return service is not None and any(not tx.verdicts.get(-1 - to_server) for tx in service.transactions)

    # -- the application layer --------------------------------------------------------------------------------------------

    def _read(self, flow: Flow, to_server: bool, *, final: bool) -> None:
        """Give acknowledged bytes of one side to the application layer."""
        session = flow.session
        if session is None:
            return
        d = session.side(to_server)
        limit = d.seen if final or session.state == 5 else min(d.acked, d.seen)
        if d.acked > d.seen and not final:
            limit = d.seen
        if limit <= d.read:
            return
        for at, data in d.chunks(d.read, limit):
            if at > d.read:
                self._missing(flow, to_server, at - d.read)
                # What the other side has not acknowledged was not lost by the capture.
                if flow.last is not None and at <= d.acked:
                    flow.last.events = (*flow.last.events, "reassembly_seq_gap")
            d.read = at + len(data)
            self._said(flow, to_server, data)
        if flow.service is not None:
            for side in flow.service.wants_raw:
                session.side(side).trigger = True
            flow.service.wants_raw.clear()

    def _missing(self, flow: Flow, to_server: bool, size: int) -> None:
        if flow.service is not None and not flow.service.stopped:
            flow.service.gap(to_server, size)
        elif flow.service is None:
            flow.spoken[to_server] = flow.spoken[to_server] or FAILED

    def _said(self, flow: Flow, to_server: bool, data: bytes) -> None:
        service = flow.service
        if service is not None:
            if flow.last is not None:
                service.now_ns = flow.last.ts
            if not service.stopped:
                if flow.spoken[to_server] is None:
                    self._recognise_other(flow, to_server, data)
                service.feed(to_server, data)
                self._upgrade(flow, service)
            return
        if flow.spoken[to_server] == FAILED:
            return
        head = flow.heads[to_server]
        if flow.began is None:
            flow.began = to_server
        head += data
        name = by_content(bytes(head[:512]), to_server) or catalog.by_port(bytes(head[:512]), to_server, flow.dports)
        if name is None and flow.session is not None and flow.session.midstream and not flow.heads[not to_server]:
            # Without a handshake the first packet may have been the server's.
            name = by_content(bytes(head[:512]), not to_server)
            if name is not None:
                self._turn(flow)
                to_server = not to_server
        if name is None:
            if hopeless(bytes(head[:512])):
                flow.spoken[to_server] = FAILED
                head.clear()
            return
        if flow.spoken[not to_server] not in (None, FAILED, name):
            flow.spoken[to_server] = name
            return
        flow.spoken[to_server] = name
        self._begin(flow, name, to_server)

    def _turn(self, flow: Flow) -> None:
        """The sides were taken for each other (flow.c: FlowSwap)."""
        flow.turned = not flow.turned
        session = flow.session
        if session is not None:
            session.client, session.server = session.server, session.client
        flow.sides = (flow.sides[1], flow.sides[0])
        flow.began = None if flow.began is None else not flow.began
        flow.heads.reverse()
        flow.spoken.reverse()
        flow.packets.reverse()
        flow.octets.reverse()
        if flow.last is not None:
            flow.last.to_server = not flow.last.to_server

    def _recognise_other(self, flow: Flow, to_server: bool, data: bytes) -> None:
        """The second side may speak something else than the first."""
        flow.spoken[to_server] = by_content(data[:512], to_server) or flow.service_name

    def _begin(self, flow: Flow, name: str, to_server: bool) -> None:
        made = catalog.open_service(name)
        if made is None:
            return
        flow.service = made
        made.now_ns = flow.last.ts if flow.last is not None else 0
        flow.original_service = flow.original_service or name
        # app-layer.c: the side that spoke first is read first, though the protocol was recognised by the other.
        first = flow.began if flow.began is not None else to_server
        for side in (first, not first):
            if flow.heads[side]:
                made.feed(side, bytes(flow.heads[side]))
                flow.heads[side].clear()
        self._upgrade(flow, made)

    def _upgrade(self, flow: Flow, service: Service) -> None:
        """A protocol hands over to another one (STARTTLS, CONNECT, Upgrade)."""
        if service.upgrade is None:
            return
        name, service.upgrade = service.upgrade, None
        rest = service.rest() if hasattr(service, "rest") else {}
        made = catalog.open_service(name) if name else None
        flow.original_service = service.name
        if made is None and name:
            flow.spoken = [name, name]
            return
        if made is None:
            # What is spoken now must be recognised anew.
            flow.earlier = service
            flow.service, flow.spoken, flow.began = None, [None, None], None
            for side, data in rest.items():
                self._said(flow, side, data)
            return
        made.count = service.count
        flow.earlier = service
        flow.service, flow.spoken = made, [name, name]
        for side, data in rest.items():
            made.feed(side, data)

    def _datagram(self, flow: Flow, p: Packet) -> None:
        if not p.payload:
            return
        if flow.service is None and flow.spoken[p.to_server] != FAILED:
            name = catalog.by_datagram(p.payload, p.to_server, p.sport, p.dport)
            if name is None:
                flow.spoken[p.to_server] = FAILED
                return
            flow.spoken[p.to_server] = name
            flow.service = catalog.open_datagrams(name)
            flow.original_service = name
        if flow.service is not None and not flow.service.stopped:
            flow.spoken[p.to_server] = flow.spoken[p.to_server] or flow.service.name
            flow.service.feed(p.to_server, p.payload)

    def _tidy(self, flow: Flow) -> None:
        """Let go of transactions that both sides have finished and that have been inspected."""
        if flow.earlier is not None:
            left = [tx for tx in flow.earlier.transactions if not (tx.verdicts.get(-1) and tx.verdicts.get(-2))]
            flow.earlier.transactions = left
            flow.earlier = flow.earlier if left else None
        service = flow.service
        if service is None or not service.transactions:
            return
        if len(service.transactions) > MAX_RULE_TRANSACTIONS:
            del service.transactions[: MAX_RULE_TRANSACTIONS // 2]
        service.transactions = [tx for tx in service.transactions if not (tx.verdicts.get(-1) and tx.verdicts.get(-2))]

    # -- the stream as such -----------------------------------------------------------------------------------------------

    def _window(self, session: Session, p: Packet, *, final: bool) -> Window | None:
        """What is inspected of the stream at this packet (stream-tcp-reassemble.c: StreamReassembleRaw)."""
        d = session.side(p.to_server)
        right = d.seen if final or session.state == 5 else min(d.acked, d.seen)
        if right <= d.raw:
            return None
        due = final or d.trigger or d.depth_reached or session.state == 5 or right - d.raw >= RAW_CHUNK_BYTES
        if not due:
            return None
        return d.chunks(d.raw, right)

    def _inspected(self, session: Session, p: Packet) -> None:
        d = session.side(p.to_server)
        d.raw = d.seen if p.pseudo or session.state == 5 else max(d.raw, min(d.acked, d.seen))
        d.trigger = False

    # -- the rules --------------------------------------------------------------------------------------------------------

    def _alerts(self, flow: Flow | None, p: Packet, window: Window | None, extra: list[Plan], *, final: bool) -> list[Match]:
        """Rules in order; then what pass and drop do to them (detect-engine-alert.c: PacketAlertFinalize)."""
        if flow is not None and (flow.dropped or flow.passed):
            return []
        found: list[Match] = []
        rules = flow.sides[p.to_server] if flow is not None else None
        if extra:
            once = [plan for plan in extra if plan.unit == "ip_only"]
            for plan in once:
                self._try_packet(plan, flow, p, None, found)
            rest = [plan for plan in extra if plan.unit == "packet"]
            mine = rules.on(p, window) if rules is not None else []
            if rest and mine:
                rest = sorted([*rest, *mine], key=lambda x: x.order)
                for plan in rest:
                    self._try_packet(plan, flow, p, window, found)
            else:
                for plan in rest:
                    self._try_packet(plan, flow, p, window, found)
                if not rest:
                    for plan in mine:
                        self._try_packet(plan, flow, p, window, found)
        elif rules is not None and rules.packet:
            self._try_all(rules.on(p, window), flow, p, window, found)
        if flow is not None:
            for service in (flow.earlier, flow.service):
                if service is not None and service.transactions:
                    self._transactions(flow, service, p, window, found, final)
        if not found:
            return found
        found.sort(key=lambda m: m.plan.order)
        out: list[Match] = []
        for match in found:
            action = match.plan.action
            if action == "pass":
                if flow is not None and match.plan.flow_wide:
                    flow.passed = True
                break
            out.append(match)
            if action in ("drop", "reject", "rejectsrc", "rejectdst", "rejectboth") and flow is not None:
                flow.dropped = True
        return out

    def _try_all(self, plans: list[Plan], flow: Flow | None, p: Packet, window: Window | None, found: list[Match]) -> None:
        """Rules whose header holds; those whose literal is nowhere in packet and window are not even begun."""
        if self.notes is not None:
            for plan in plans:
                self._try_packet(plan, flow, p, window, found, True)
            return
        texts = [data for _, data in window] if window else []
        if window and window[0][0] and p.flow is not None and p.flow.session is not None:
            begin = window[0][0]
            tail = p.flow.session.side(p.to_server).window(max(0, begin - RAW_SEAM_BYTES), begin)[1]
            texts[0] = tail + texts[0]
        if p.payload:
            texts.append(p.payload)
        lower: list[bytes] = []
        for plan in plans:
            must = plan.must
            if must is not None:
                if must.nocase and not lower:
                    lower = [data.lower() for data in texts]
                if not any(must.data in data for data in (lower if must.nocase else texts)):
                    continue
            self._try_packet(plan, flow, p, window, found, True)

    def _note(self, plan: Plan, p: Packet, stage: str, depth: float, words: str, **more: Any) -> None:
        if self.notes is not None:
            self.notes.append(Note(plan, p, stage, depth, words, **more))

    def _try_packet(
        self, plan: Plan, flow: Flow | None, p: Packet, window: Window | None, found: list[Match], known: bool = False
    ) -> None:
        if self.clock is not None:
            begin = self.clock()
            plan.counts.checked += 1
            held = self._packet_rule(plan, flow, p, window, known)
            plan.counts.time_ns += self.clock() - begin
        else:
            held = self._packet_rule(plan, flow, p, window, known)
        if held and plan.once and flow is not None:
            held = plan.order not in flow.told
            flow.told.add(plan.order)
        if held:
            plan.counts.passed += 1
            self._note(plan, p, "matched", 99, "matched")
            self._effects(plan, p)
            service = flow.service if flow is not None else None
            tx = self._current(service, p)
            name = flow.service_name if flow is not None else None
            # detect-parse.c: `<>` makes two rules, one for each direction.
            times = 2 if plan.both_ways and plan.holds_both_ways(p) else 1
            found += [Match(plan, p, service, tx, name, _context(p, plan))] * times

    def _current(self, service: Service | None, p: Packet) -> Any:
        """The transaction that an alert on a packet or the stream is told with."""
        if service is None or not service.transactions:
            return None
        for tx in service.transactions:
            if not tx.done(p.to_server):
                return tx
        return service.transactions[-1]

    def _effects(self, plan: Plan, p: Packet) -> None:
        for effect in plan.effects:
            states.carry_out(effect, p, self.memory)

    def _service_fits(self, plan: Plan, flow: Flow | None, service: Service | None) -> bool:
        if not plan.service and not plan.rule.services:
            return True
        if flow is None:
            return False
        name = service.name if service is not None else flow.service_name
        if name is None or name == FAILED:
            return False
        if plan.service:
            return covers(plan.service, name)
        return any(covers(s, name) for s in plan.rule.services)

    def _early(
        self, plan: Plan, flow: Flow | None, p: Packet, service: Service | None = None, *, known: bool = False
    ) -> bool:
        """Header, protocol and tests of the packet."""
        if not known and not plan.header_holds(p):
            if self.notes is not None:
                self._note(plan, p, "header", 0, plan.why_header_fails(p))
            return False
        if plan.side is not None and (not p.has_flow or p.to_server != plan.side):
            self._note(plan, p, "flow", 1, f"the packet goes to the {'server' if p.to_server else 'client'}")
            return False
        if not self._service_fits(plan, flow, service):
            if self.notes is not None:
                name = flow.service_name if flow is not None else None
                self._note(plan, p, "service", 1, f"the flow is recognised as {name or 'nothing'}, not {plan.service}")
            return False
        for name, check in plan.early:
            if not check(p):
                self._note(plan, p, "test", 2, f"{name} does not hold")
                return False
        return True

    def _packet_rule(self, plan: Plan, flow: Flow | None, p: Packet, window: Window | None, known: bool) -> bool:
        if plan.payload is not None and flow is not None and flow.service is not None and flow.service.encrypted:
            # app-layer-ssl.c, app-layer-ssh.c: what is encrypted is not looked at (encryption-handling: default).
            return False
        if plan.payload is not None and not p.payload and not window:
            if p.pseudo or (plan.payload.chain.steps and not _negative_only(plan.payload)):
                return False
        if not self._early(plan, flow, p, None, known=known):
            return False
        p.stream_match = False
        for group in plan.packet_groups:
            data = group.get(p) if group.get is not None else p.payload or None
            if not self._group_on(plan, p, group, data, 0):
                return False
        if plan.payload is not None and not self._payload(plan, p, window):
            return False
        if p.pseudo and plan.payload is None and plan.service == "" and not plan.flow_wide and not plan.conditions:
            return False
        if plan.flow is not None and not plan.flow(p):
            self._note(plan, p, "flow", 1, "flow does not hold: " + _flow_words(p))
            return False
        return self._conditions(plan, p)

    def _conditions(self, plan: Plan, p: Packet) -> bool:
        for condition in plan.conditions:
            if not states.holds(condition, p, self.memory):
                self._note(plan, p, "state", 50, f"{condition.name if hasattr(condition, 'name') else ', '.join(condition.names)} "
                           f"is not as {condition.command} asks")
                return False
        return True

    def _payload(self, plan: Plan, p: Packet, window: Window | None) -> bool:
        """The stream first; packets that are part of it only where the rule asks for packets (detect.c)."""
        group = plan.payload
        if group is None:
            return True
        if plan.wants_stream and window:
            for _, data in window:
                if self._group_on(plan, p, group, data, 0):
                    p.stream_match = True
                    return True
            if plan.straddles and self._across(plan, p, group, window):
                p.stream_match = True
                return True
        if plan.only_stream:
            return False
        if plan.stream_first and not plan.wants_packet and p.added:
            return False
        if p.pseudo:
            return False
        if not p.payload and not _negative_only(group):
            return False
        return self._group_on(plan, p, group, p.payload, 0)

    def _across(self, plan: Plan, p: Packet, group: GroupPlan, window: Window) -> bool:
        """Whether it holds over the seam between this window and the one before. Suricata sees no seam, and misses what lies
        across one; words that a sender cut in two would be missed with it."""
        begin, data = window[0]
        if not begin or p.flow is None or p.flow.session is None:
            return False
        before = p.flow.session.side(p.to_server).window(max(0, begin - RAW_SEAM_BYTES), begin)
        tail = before[1]
        if not tail or before[0] + len(tail) != begin:
            return False
        held = self._group_on(plan, p, group, tail + data[:RAW_SEAM_BYTES], 0)
        return held and not self._group_on(plan, p, group, tail, 0) and not self._group_on(plan, p, group, data[:RAW_SEAM_BYTES], 0)

    def _group_on(self, plan: Plan, p: Packet, group: GroupPlan, data: bytes | None, start: int, captures: Any = None) -> bool:
        """Whether what a rule asks of one buffer holds of these bytes."""
        if data is None:
            if group.absent:
                return True
            self._note(plan, p, "buffer", 10 + group.number, "the buffer does not exist", buffer=group.name)
            return False
        if group.absent == "only":
            self._note(plan, p, "buffer", 10 + group.number, "the buffer exists", buffer=group.name)
            return False
        if group.transforms:
            data = apply(data, group.transforms)
        trace = Trace() if self.notes is not None else None
        sight = Sight(data, start, names=p_names(p, plan), trace=trace)
        held = group.chain.holds(sight)
        if held and sight.context:
            p.matched[2].update(sight.context)
        if sight.exhausted:
            plan.counts.exhausted += 1
            self.exhausted.add(plan.rule.sid)
        if captures is not None and held:
            captures += sight.captures
        if not held and trace is not None:
            self._note(plan, p, "buffer", 10 + group.number + min(trace.step, 39) / 40, trace.why, buffer=group.name, data=data,
                       offset=trace.offset, step=trace.step)
        return held

    # -- transactions -----------------------------------------------------------------------------------------------------

    def _transactions(self, flow: Flow, service: Service, p: Packet, window: Window | None, found: list[Match], final: bool) -> None:
        side = p.to_server
        rules = flow.sides[side].transaction
        for tx in list(service.transactions):
            if tx.verdicts.get(-1 - side):
                continue
            if (rules and tx.progress[side] > 0) or tx.events:
                for plan in rules:
                    key = plan.order * 2 + (0 if plan.transactional else side)
                    if tx.verdicts.get(key, 0):
                        continue
                    if self.clock is not None:
                        begin = self.clock()
                        plan.counts.checked += 1
                        verdict = self._transaction_rule(plan, flow, service, p, tx, window, final)
                        plan.counts.time_ns += self.clock() - begin
                    else:
                        verdict = self._transaction_rule(plan, flow, service, p, tx, window, final)
                    if verdict is None:
                        continue
                    if not verdict:
                        tx.verdicts[key] = DEAD
                        continue
                    tx.verdicts[key] = FIRED
                    plan.counts.passed += 1
                    self._note(plan, p, "matched", 99, f"matched in transaction {tx.number}")
                    self._effects(plan, p)
                    found.append(Match(plan, p, service, tx, service.name, _context(p, plan)))
            if tx.done(side):
                tx.verdicts[-1 - side] = 1

    def _transaction_rule(
        self, plan: Plan, flow: Flow, service: Service, p: Packet, tx: Any, window: Window | None, final: bool
    ) -> bool | None:
        """True: it holds; False: it cannot hold in this transaction any more; None: not yet."""
        if not self._early(plan, flow, p, service, known=not plan.transactional):
            return None
        if plan.flow is not None and not plan.flow(p):
            self._note(plan, p, "flow", 1, "flow does not hold: " + _flow_words(p))
            return None
        sources = service.sources
        place = -3 - plan.order * 2 - (0 if plan.transactional else p.to_server)
        done = tx.verdicts.get(place, 0)
        waiting = False
        matched_here = False
        for group in plan.groups:
            source = sources.get(group.name)
            if source is None:
                return False
            side = source.to_server if source.to_server is not None else group.side if group.side is not None else p.to_server
            bit = 1 << group.number
            if plan.transactional and done & bit:
                matched_here = True
                continue
            if side != p.to_server:
                if not plan.transactional:
                    return None
                waiting = True
                continue
            if done & bit:
                matched_here = True
                continue
            complete = tx.done(side)
            if tx.progress[side] < source.progress:
                waiting = True
                if complete:
                    return False
                continue
            if source.grows and not complete:
                # What still grows is looked at each time that it has doubled.
                grown = place - (1 << 40)
                size = source.size(tx, side)
                if not final and size < BODY_INSPECT_BYTES << tx.verdicts.get(grown, 0):
                    waiting = True
                    continue
                tx.verdicts[grown] = size.bit_length() - BODY_INSPECT_BYTES.bit_length() + 1
            if self._values(plan, p, group, source.get(tx, side)):
                done |= bit
                matched_here = True
                continue
            if source.grows and not complete:
                waiting = True
                continue
            return False
        for late in plan.late:
            if late.service and service.name not in late.service:
                return False
            if late.to_server is not None and late.to_server != p.to_server:
                if not plan.transactional:
                    return None
                continue
            held = late.check(tx, p.to_server)
            if held is None:
                self._note(plan, p, "test", 40, f"{late.name} does not hold (yet)")
                waiting = True
            elif not held:
                self._note(plan, p, "test", 40, f"{late.name} does not hold")
                return False
        for group in plan.packet_groups:
            if not self._group_on(plan, p, group, group.get(p) if group.get is not None else p.payload or None, 0):
                waiting = True
        if plan.payload is not None and not done & 1 << 30:
            if self._payload_beside(plan, p, window):
                done |= 1 << 30
            else:
                waiting = True
        if matched_here:
            tx.verdicts[place] = done
        if waiting:
            return None
        if not self._conditions(plan, p):
            return False if tx.done(p.to_server) or not any(sources[g.name].grows for g in plan.groups if g.name in sources) else None
        return True

    def _payload_beside(self, plan: Plan, p: Packet, window: Window | None) -> bool:
        """Contents without a buffer in a rule with buffers: the stream's bytes, or the datagram's."""
        group = plan.payload
        if group is None:
            return True
        if p.proto == TCP:
            return any(self._group_on(plan, p, group, data, 0) for _, data in window or ())
        return self._group_on(plan, p, group, p.payload, 0)

    def _values(self, plan: Plan, p: Packet, group: GroupPlan, data: Any) -> bool:
        """A buffer's value, or any of several."""
        if isinstance(data, list):
            if not data:
                return self._group_on(plan, p, group, None, 0)
            return any(self._group_on(plan, p, group, value, 0) for value in data)
        return self._group_on(plan, p, group, data, 0)


def p_names(p: Packet, plan: Plan) -> dict[str, int]:
    """Variables of a rule on this packet: what one buffer sets, the next may use."""
    if p.matched and p.matched[0] is plan:
        names: dict[str, int] = p.matched[1]
        return names
    p.matched = [plan, {}, {}]
    return p.matched[1]  # type: ignore[no-any-return]


def _context(p: Packet, plan: Plan) -> dict[str, Any] | None:
    return p.matched[2] or None if p.matched and p.matched[0] is plan else None


def _negative_only(group: GroupPlan) -> bool:
    return all(getattr(s, "negated", False) for s in group.chain.steps)


def _flow_words(p: Packet) -> str:
    return f"the packet goes to the {'server' if p.to_server else 'client'}, {'established' if p.established else 'not established'}"


