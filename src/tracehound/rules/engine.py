"""In: rules, batches of capture records. Out: matches in packet order, and the state that lasts from batch to batch.
START HERE for rules. Never here: reading files, printing.

A batch goes through six steps: what is inside tunnels becomes rows (frames.py); flows are assigned; the payload of each
direction is scanned once for the literals of all rules (prefilter.py), rules that look at headers only are masks over columns
(columns.py); rules whose literal is found are screened on all that the direction said (screen.py), and held back where they cannot hold
in it so far; flows in which a rule may match are taken up; their packets, and single packets that a header rule may match, go
through inspect.py in order.

Most flows are never taken up. Their packets are kept (compactly, and up to a bound) until they end, so that a flow in which
something is found later is inspected from its first packet on."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch
from tracehound.flows import assemble as flows
from tracehound.flows.state import FLOW_ID, NEXT_ID, FlowState
from tracehound.limits import MAX_RULE_COUNTERS, MAX_RULE_HISTORY_BYTES, MAX_RULE_SCREENED_BYTES, MAX_RULE_STREAM_BYTES
from tracehound.packets.batch import NOTE, PacketBatch
from tracehound.packets.decode import DecodeState, decode
from tracehound.rules.columns import Columns, Mask, header_mask, rows_that_may_match
from tracehound.rules.events import decode_events
from tracehound.rules.frames import Frames, frames, inside_ip
from tracehound.rules.inspect import Clock, Flow, Inspector, Match, Note
from tracehound.rules.link_events import link_events
from tracehound.rules.outline import BOTH_SIDES, Outline
from tracehound.rules.packet import TCP, UDP, WITH_PORTS, Packet
from tracehound.rules.plan import Plan
from tracehound.rules.predicates import covers
from tracehound.rules.prefilter import CODED, MAILED, Others, Prefilter, has_all
from tracehound.rules.rule import Event
from tracehound.rules.screen import Heard, Screen, screen_of
from tracehound.rules.services import catalog
from tracehound.rules.services.http import Http
from tracehound.rules.services.identify import by_content
from tracehound.rules.services.uri import normalised
from tracehound.rules.state import Memory
from tracehound.rules.verify import decoded_base64_2045
from tracehound.streams.reassemble import gather

_INVALID: Final = frozenset(NOTE[n] for n in ("IP header cut", "IP header malformed", "IPv6 extension headers malformed"))
_WHOLE: Final = frozenset((0, NOTE["bad checksum"], NOTE["transport not decoded"], NOTE["encrypted (ESP)"]))
_FRAGMENT: Final = NOTE["fragment, waiting for the rest"]
_NOT_FIRST: Final = NOTE["fragment, not the first of a known datagram"]
_TAIL_BYTES: Final = 128
"""Last bytes of a direction that are scanned again with its next ones: more than any literal has."""
_REQUEST: Final = re.compile(rb"(?m)^[A-Z-]{3,20}[ \t]([^\r\n]*(?:%[0-9a-fA-F]{2}|//|/\.|\\)[^\r\n]*)")
_BASE64_LINES: Final = re.compile(rb"(?:[A-Za-z0-9+/]{60,76}={0,2}\r?\n){1,}[A-Za-z0-9+/]*={0,2}")

_COLUMNS: Final = (
    "packet_id", "ts", "ip_version", "proto", "sport", "dport", "tcp_flags", "seq", "ack", "window", "payload_len", "note",
)  # fmt: skip


_KEPT: Final = np.dtype([
    ("packet_id", "<i8"), ("ts", "<i8"), ("ip_version", "u1"), ("proto", "u1"), ("sport", "<u2"), ("dport", "<u2"), ("tcp_flags", "u1"),
    ("seq", "<u4"), ("ack", "<u4"), ("window", "<u2"), ("payload_len", "<i4"), ("note", "u1"), ("src_hi", "<u8"), ("src_lo", "<u8"),
    ("dst_hi", "<u8"), ("dst_lo", "<u8"), ("payload_offset", "<i8"), ("payload_caplen", "<i4"), ("size", "<i4"), ("to_server", "?"),
])  # fmt: skip
"""What is kept of a packet beside its bytes. payload_offset: from its IP header on; size: its bytes from there on."""


@dataclass(slots=True)
class Options:
    """midstream: follow sessions without handshake; verify_checksums: leave out packets with wrong ones; everything: do not
    prefilter (to test the prefilter); clock: takes the time of each rule; events: what is odd about frames is asked for."""

    midstream: bool = False
    verify_checksums: bool = False
    everything: bool = False
    clock: Clock | None = None


@dataclass(slots=True)
class _Held:
    """Packets of a flow that has not been taken up: rows as columns, and their bytes."""

    pieces: list[tuple[bytes, bytes]] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Known:
    """What is kept of every open flow. end: who sent its first packet (a hash); sides: bits 1 to_client seen, 2 to_server seen;
    service: recognised by content; coded: reader of decoded bodies; once: sides for which IP-only rules are done; whole: all of it is in
    this batch; held_back: by direction, rules that may hold when more is said; broken: its beginning is
    not kept any more."""

    end: int
    sides: int = 0
    service: str | None = None
    looked: int = 0
    coded: Http | None = None
    waiting: set[int] = field(default_factory=set)
    mailed: bool = False
    tails: list[bytes] = field(default_factory=lambda: [b"", b""])
    asked: int = 0
    whole: bool = True
    broken: bool = False
    held_back: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))


@dataclass(slots=True)
class _Said:
    """What one direction of a flow says in a batch. row: its first packet; data: its bytes in order; as_it_came: where the packets were
    not in order, their bytes as they were; extra: texts decoded from it; sound: all bytes are there that the packets had, and those that
    came twice were the same; holes: (place in data, how many) are missing there; first: sequence number of the first; starts: of datagrams,
    where each begins; found: patterns that are in it."""

    flow_id: int
    row: int
    to_server: bool
    proto: int
    data: bytes
    sound: bool
    as_it_came: bytes = b""
    extra: bytes = b""
    holes: list[tuple[int, int]] = field(default_factory=list)
    first: int = 0
    starts: list[int] = field(default_factory=list)
    found: frozenset[int] = frozenset()


class _Text:
    """All that a direction has said: data in order, texts with whatever else is to be looked through for literals; starts: where
    packets and windows of the stream may begin, None where that is not known."""

    __slots__ = ("_folded", "_lower", "data", "holes", "sound", "starts", "texts")

    def __init__(
        self, data: bytes, as_it_came: bytes, extra: bytes, sound: bool, holes: list[tuple[int, int]], starts: list[int] | None
    ) -> None:
        self.data = data
        self.starts = starts
        self.sound = sound
        self.holes = holes
        self.texts = data + b"\0" + as_it_came if as_it_came else data
        if extra:
            self.texts += b"\0" + extra
        self._lower: bytes | None = None
        self._folded: bytes | None = None

    def lower(self) -> bytes:
        if self._lower is None:
            self._lower = self.data.lower()
        return self._lower

    def folded(self) -> bytes:
        if self._folded is None:
            self._folded = self.texts.lower() if self.texts is not self.data else self.lower()
        return self._folded


def _pieces(text: _Text) -> list[bytes | int]:
    """The bytes of a direction, and between them how many are missing."""
    out: list[bytes | int] = []
    begin = 0
    for place, missing in text.holes:
        out += [text.data[begin:place], missing]
        begin = place
    return [*out, text.data[begin:]]


class _Before(NamedTuple):
    """What a direction said in batches before: first sequence number, bytes, whether they follow each other without contradiction or
    hole, sequence numbers at which packets begin and end or that were acknowledged."""

    first: int
    data: bytes
    sound: bool
    marks: NDArray[np.int64]


@dataclass(slots=True)
class Lost:
    """What could not be inspected from its beginning because of bounds."""

    flows: int = 0


class _Attempts:
    """Flows that begin with a SYN while another one between the same ends is neither closed nor reset. They are connections of their
    own in all tables; to Suricata's stream engine they are one session to which odd things happen, and rules ask for those."""

    def __init__(self) -> None:
        self._open: dict[tuple[tuple[int, ...], ...], int] = {}
        self._same: dict[int, int] = {}
        self._latest: dict[int, int] = {}

    def joined(self, p: PacketBatch, flow_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """The flows of a batch with such ones counted as the first of them."""
        out = flow_id.copy()
        rows = np.flatnonzero((flow_id >= 0) & (p.proto == TCP))
        columns = [c[rows].tolist() for c in (p.src_hi, p.src_lo, p.sport, p.dst_hi, p.dst_lo, p.dport, flow_id, p.tcp_flags)]
        for row, *ends, number, flags in zip(rows.tolist(), *columns, strict=True):
            key = tuple(sorted((tuple(ends[:3]), tuple(ends[3:]))))
            root = self._same.get(number, number)
            if flags & 0x17 == 2:
                before = self._open.get(key)
                if before is not None and before != root and root not in self._latest:
                    root = self._same[number] = before
            self._latest[root] = number
            if flags & 5:
                # FIN or RST: what begins now is another one.
                self._open.pop(key, None)
            elif flags & 0x17 == 2:
                self._open[key] = root
            out[row] = root
        while len(self._open) > MAX_RULE_COUNTERS:
            del self._open[next(iter(self._open))]
        return out

    def ended(self, ids: Iterable[int]) -> list[int]:
        """Those of the flows that ended which are not to go on under another number."""
        out = []
        for number in ids:
            root = self._same.pop(number, number)
            if self._latest.get(root, number) == number:
                self._latest.pop(root, None)
                out.append(root)
        return out


class Engine:
    """The rules over one run. `add` takes batches in order, `finish` ends what is open."""

    def __init__(self, plans: Sequence[Plan], prefilter: Prefilter, options: Options, notes: list[Note] | None = None,
                 mine: Callable[[PacketBatch], Mask] | None = None, history_bytes: int = MAX_RULE_HISTORY_BYTES) -> None:
        self.plans = plans
        self.prefilter = prefilter
        self.options = options
        self._memories: dict[int, Memory] = {}
        outline = prefilter.outline
        watches = outline.stream_events
        self.inspector = Inspector(Memory(), midstream=options.midstream, notes=notes, clock=options.clock, watches=watches)
        self.lost = Lost()
        self._places: NDArray[np.int64] = np.empty(0, np.int64)
        self._ends: dict[int, tuple[Packet | None, Packet | None]] = {}
        self._mine = mine
        self._history_bytes = history_bytes
        self._decode = DecodeState(verify_checksums=options.verify_checksums)
        self._chains: dict[int, FlowState] = {}
        self._next_flow = 1
        self._attempts = _Attempts()
        self._taken: dict[int, Flow] = {}
        self._known: dict[int, _Known] = {}
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._held_bytes = 0
        self._ip_only = [plans[order] for order in outline.ip_only]
        self._asks_events = outline.decode_events
        self._by_header: list[Plan] = []
        self._by_service: list[Plan] = []
        self._by_flow: list[Plan] = []
        for plan in plans if options.everything else [plans[order] for order in outline.without]:
            if plan.unit == "ip_only":
                continue
            if options.everything:
                self._by_flow.append(plan)
            elif plan.unit == "transaction" or plan.service or plan.rule.services:
                self._by_service.append(plan)
            elif _needs_flow(plan):
                self._by_flow.append(plan)
            else:
                self._by_header.append(plan)
        self._setters = _setters(outline, frozenset(p.order for p in (*self._ip_only, *self._by_header)))
        self._silent, self._readers = _silent(outline)
        self._heads: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._like: dict[int, int] = {}
        self._screens: dict[int, Screen] = {}
        self._heard_now: dict[int, Heard] = {}
        self._marks: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._flow_id: NDArray[np.int64] = np.empty(0, np.int64)
        self._to_server: Mask = np.empty(0, np.bool_)
        self._may_speak: dict[str | None, list[Plan]] = {}
        # Sides that may turn out to be the other way round are not told apart beforehand.
        self._screening = not options.midstream and notes is None

    # -- batches ----------------------------------------------------------------------------------------------------------

    def add(self, raw: RawBatch) -> list[Match]:
        """Matches of one batch, in packet order."""
        out: list[Match] = []
        for number in raw.finished_chains:
            out += self._end_chain(number)
        seen = frames(raw, decode(raw, self._decode))
        p = seen.packets
        state = self._chains.setdefault(raw.chain, FlowState())
        self.inspector.memory = self._memories.setdefault(raw.chain, Memory())
        state.clock[NEXT_ID] = self._next_flow
        assignment, closed = flows.assemble(p, state)
        self._next_flow = int(state.clock[NEXT_ID])
        flow_numbers = self._attempts.joined(p, assignment.flow_id) if self.inspector.watches else assignment.flow_id
        flow_id = flow_numbers
        if self._mine is not None:
            # Every process assigns all flows, so that all of them number and end flows alike; then it keeps its own.
            rows = np.flatnonzero(self._mine(p))
            p = _rows(p, rows)
            rest: list[Any] = [column[rows] for column in seen[1:]]
            seen, flow_id = Frames(p, *rest), flow_numbers[rows]
            self._places = rows
        else:
            self._places = np.arange(flow_id.size)
        to_server = self._directions(p, flow_id)
        extra = self._header_rules(seen, flow_id, to_server)
        fresh = self._scan(p, flow_id, to_server)
        out += self._carry_out(seen, flow_id, to_server, extra, fresh)
        self._keep(seen, flow_id, to_server)
        out += self._end_flows(closed[FLOW_ID].tolist())
        out.sort(key=_place)
        return out

    def finish(self) -> list[Match]:
        """The evidence is over."""
        out: list[Match] = []
        for number in sorted(self._chains):
            out += self._end_chain(number)
        return out

    def _end_chain(self, number: int) -> list[Match]:
        state = self._chains.pop(number, None)
        if state is None:
            return []
        self.inspector.memory = self._memories.pop(number)
        return sorted(self._end_flows(flows.finish(state)[FLOW_ID].tolist()), key=_place)

    def _end_flows(self, ids: Iterable[int]) -> list[Match]:
        out: list[Match] = []
        for flow_id in self._attempts.ended(ids) if self.inspector.watches else ids:
            flow = self._taken.pop(flow_id, None)
            if flow is not None:
                out += self.inspector.end(flow)
            held = self._held.pop(flow_id, None)
            if held is not None:
                self._held_bytes -= held.size
            self._known.pop(flow_id, None)
        return out

    # -- flows and directions ---------------------------------------------------------------------------------------------

    def _directions(self, p: PacketBatch, flow_id: NDArray[np.int64]) -> Mask:
        """Whether each packet goes to the server: the other end than the one that sent the flow's first packet."""
        with np.errstate(over="ignore"):
            ends = (p.src_lo ^ p.src_hi * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
            ends ^= np.where(np.isin(p.proto, (6, 17, 132)), p.sport, 0).astype(np.uint64) << np.uint64(17)
            others = (p.dst_lo ^ p.dst_hi * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
            others ^= np.where(np.isin(p.proto, (6, 17, 132)), p.dport, 0).astype(np.uint64) << np.uint64(17)
        # stream-tcp.c: a session that is taken up at its SYN-ACK began with the other side.
        begun = (p.proto == TCP) & ((p.tcp_flags & 0x12) == 0x12) & self.options.midstream
        out = np.zeros(flow_id.size, np.bool_)
        rows = np.flatnonzero(flow_id >= 0)
        if not rows.size:
            return out
        ids, first, inverse = np.unique(flow_id[rows], return_index=True, return_inverse=True)
        known = self._known
        ends_here = ends[rows]
        firsts = np.empty(ids.size, np.uint64)
        for k, (number, at) in enumerate(zip(ids.tolist(), first.tolist(), strict=True)):
            have = known.get(number)
            if have is None:
                have = known[number] = _Known(int(others[rows[at]] if begun[rows[at]] else ends_here[at]))
            firsts[k] = have.end
        out[rows] = ends_here == firsts[inverse]
        return out

    # -- rules that look at headers -----------------------------------------------------------------------------------------

    def _header_rules(self, seen: Frames, flow_id: NDArray[np.int64], to_server: Mask) -> dict[int, list[Plan]]:
        """Rows that rules without payload may match: row -> rules."""
        out: dict[int, list[Plan]] = {}
        p = seen.packets
        if not p.ts.size:
            return out
        if self._ip_only:
            rows = self._first_of_direction(p, flow_id, to_server)
            if rows.size:
                part = Columns(_rows(p, rows))
                for plan in self._ip_only:
                    for row in rows[rows_that_may_match(plan, part)].tolist():
                        out.setdefault(row, []).append(plan)
        columns = Columns(p, seen.fragment, seen.header_len)
        for plan in self._by_header:
            for row in rows_that_may_match(plan, columns).tolist():
                out.setdefault(row, []).append(plan)
        return out

    def _first_of_direction(self, p: PacketBatch, flow_id: NDArray[np.int64], to_server: Mask) -> NDArray[np.int64]:
        """The first packet of each flow and direction, and every packet without a flow."""
        rows = np.flatnonzero(flow_id >= 0)
        keys = flow_id[rows] * 2 + to_server[rows]
        _, first = np.unique(keys, return_index=True)
        out = [int(r) for r in np.flatnonzero((flow_id < 0) & (p.ip_version > 0)).tolist()]
        for row in rows[first].tolist():
            known = self._known[int(flow_id[row])]
            bit = 2 if to_server[row] else 1
            if not known.sides & bit:
                known.sides |= bit
                out.append(row)
        return np.array(sorted(out), np.int64)

    # -- scanning -----------------------------------------------------------------------------------------------------------

    def _scan(self, p: PacketBatch, flow_id: NDArray[np.int64], to_server: Mask) -> dict[int, set[int]]:
        """Rules that each flow of the batch is to be tried with beside those it has: flow -> orders."""
        fresh: dict[int, set[int]] = {}
        asked: dict[int, set[int]] = {}
        self._heard_now.clear()
        self._marks, self._flow_id, self._to_server = None, flow_id, to_server
        rows = np.flatnonzero(flow_id >= 0)
        if self.options.everything:
            everything = {plan.order for plan in self._by_flow}
            for number in np.unique(flow_id[rows]).tolist():
                fresh[number] = set(everything)
            return fresh
        if self._by_flow:
            self._flow_rules(p, rows, flow_id, fresh, asked)
        with_payload = rows[(p.payload_caplen[rows] > 0) & (p.payload_offset[rows] >= 0)]
        if not with_payload.size:
            return fresh
        keys = flow_id[with_payload] * 2 + to_server[with_payload]
        order = np.argsort(keys, kind="stable")
        with_payload, keys = with_payload[order], keys[order]
        held = p.payload_caplen[with_payload].astype(np.int64)
        joined = np.empty(int(held.sum()), np.uint8)
        gather(p.buffer, p.payload_offset[with_payload], held, joined)
        ends = np.cumsum(held)
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        stops = np.append(starts[1:], keys.size)
        whole = joined.tobytes()
        seq = p.seq[with_payload].astype(np.int64)
        wire = p.payload_len[with_payload].astype(np.int64)
        follows = np.ones(keys.size, np.bool_)
        follows[1:] = (seq[1:] == (seq[:-1] + wire[:-1]) & 0xFFFFFFFF) | (keys[1:] != keys[:-1])
        in_order = np.logical_and.reduceat(follows, starts).tolist()
        uncut = np.logical_and.reduceat(held == wire, starts).tolist()
        said: list[_Said] = []
        for start, stop, ordered, whole_packets in zip(starts.tolist(), stops.tolist(), in_order, uncut, strict=True):
            data = whole[int(ends[start] - held[start]) : int(ends[stop - 1])]
            row = int(with_payload[start])
            one = _Said(int(flow_id[row]), row, bool(to_server[row]), int(p.proto[row]), data, sound=whole_packets)
            if one.proto == TCP:
                one.first = int(seq[start])
            else:
                one.starts = (ends[start:stop] - ends[start] + held[start] - held[start:stop]).tolist()
            if not ordered and one.proto == TCP:
                one.as_it_came = data
                one.first, one.data, agrees, holes = _by_sequence(
                    seq[start:stop], ends[start:stop] - held[start:stop], held[start:stop], whole
                )
                one.sound, one.holes = one.sound and agrees, holes
            said.append(one)
        self._choose(p, said, asked, fresh)
        return fresh

    def _choose(self, p: PacketBatch, said: list[_Said], asked: dict[int, set[int]], fresh: dict[int, set[int]]) -> None:
        """The rules that each direction of the batch may match: by their literals and headers, then by what else they must find."""
        found: list[int] = []
        counts = np.zeros(len(said), np.int64)
        for k, one in enumerate(said):
            numbers = self._patterns_of(p, one, fresh)
            found += numbers
            counts[k] = len(numbers)
        orders, many = self.prefilter.orders(np.array(found, np.int64))
        of = np.repeat(np.repeat(np.arange(len(said)), counts), many)
        keep = self._header_allows(p, said, of, orders)
        of, orders = of[keep], orders[keep]
        bounds = np.searchsorted(of, np.arange(len(said) + 1)).tolist()
        chosen = orders.tolist()
        by_flow: dict[int, list[_Said]] = {}
        for one in said:
            by_flow.setdefault(one.flow_id, []).append(one)
        for k, one in enumerate(said):
            known = self._known[one.flow_id]
            mine = set(chosen[bounds[k] : bounds[k + 1]])
            if one.flow_id in asked:
                mine |= asked[one.flow_id]
            back = known.held_back[one.to_server]
            if back:
                mine |= back
                back.clear()
            if not mine:
                continue
            taken = self._taken.get(one.flow_id)
            if taken is not None:
                mine -= taken.chosen
            have = fresh.get(one.flow_id)
            if have:
                mine -= have
            if mine:
                self._screen(p, one, mine, by_flow[one.flow_id], fresh)

    def _patterns_of(self, p: PacketBatch, one: _Said, fresh: dict[int, set[int]]) -> frozenset[int]:
        """Patterns that are found in what one direction says, in whatever form."""
        known = self._known[one.flow_id]
        data = one.data
        found: list[int] = []
        if one.proto == TCP:
            # What began in the batch before may end in this one.
            before = known.tails[one.to_server]
            known.tails[one.to_server] = data[-_TAIL_BYTES:] if len(data) >= _TAIL_BYTES else (before + data)[-_TAIL_BYTES:]
            found = self.prefilter.found(before + data if before else data)
        else:
            found = self.prefilter.found(data)
        if one.as_it_came:
            found += self.prefilter.found(one.as_it_came)
        if MAILED in found:
            known.mailed = True
        one.extra = self._decoded(known, one.to_server, one.proto, data, CODED in found)
        if one.extra:
            found += self.prefilter.found(one.extra)
        if self._by_service and not known.looked & (2 if one.to_server else 1):
            self._service_rules(known, one.proto, one.to_server, data, _ends_of(p, one.row, one.to_server), one.flow_id, fresh)
        one.found = frozenset(found)
        return one.found

    def _header_allows(self, p: PacketBatch, said: list[_Said], of: NDArray[np.int64], orders: NDArray[np.int64]) -> Mask:
        """Whether the header of each rule holds of the direction that it was found in (`of`: place in `said`)."""
        if self._heads is None:
            outline = self.prefilter.outline
            self._heads = np.array(outline.heads, np.int64), np.array(outline.sides, np.int64)
            for order, head in enumerate(outline.heads):
                self._like.setdefault(head, order)
        heads, sides = self._heads
        to_server = np.array([one.to_server for one in said], np.int64)
        asks = sides[orders]
        keep: Mask = (asks < 0) | (asks == to_server[of])
        if self.options.midstream:
            keep[:] = True
        rows = np.flatnonzero(keep & (asks != BOTH_SIDES))
        if rows.size:
            columns = Columns(_rows(p, np.array([one.row for one in said], np.int64)))
            # Thousands of rules share a few headers.
            distinct, place = np.unique(heads[orders[rows]], return_inverse=True)
            holds = np.array([header_mask(self.plans[self._like[head]], columns) for head in distinct.tolist()])
            keep[rows] = holds[place, of[rows]]
        return keep

    def _screen(self, p: PacketBatch, one: _Said, orders: set[int], of_flow: list[_Said], fresh: dict[int, set[int]]) -> None:
        """Take those rules that may hold in all that this direction has said; keep the others in mind."""
        known = self._known[one.flow_id]
        mine = fresh.setdefault(one.flow_id, set())
        so_far = self._so_far(p, known, one)
        heard: Heard | None = None
        for order in orders:
            plan = self.plans[order]
            if so_far is not None and not plan.transactional:
                others = self.prefilter.others(order)
                held = others is None or self._has(others, one, known, so_far, order)
                if held and self._screening:
                    screen = self._screen_for(plan)
                    if screen.chain is not None and so_far.sound:
                        held = screen.chain_may(so_far.data, so_far.lower, so_far.starts)
                    if held and screen.http and one.proto == TCP:
                        if heard is None:
                            heard = self._heard(p, known, of_flow, one)
                        held = not heard.readable or screen.http_may(heard, one.to_server)
                if not held:
                    if one.proto == TCP:
                        known.held_back[one.to_server].add(order)
                    continue
            plan.counts.candidates += 1
            mine.add(order)
        if not mine:
            del fresh[one.flow_id]

    def _has(self, others: Others, one: _Said, known: _Known, so_far: _Text, order: int) -> bool:
        """Whether the further literals of a rule are in what was said."""
        if one.found >= others.numbers:
            return has_all(others.rest, so_far.texts, so_far.folded)
        # What was not found in this batch may have been in one before.
        return not known.whole and has_all(self.prefilter.outline.others[order], so_far.texts, so_far.folded)

    def _so_far(self, p: PacketBatch, known: _Known, one: _Said) -> _Text | None:
        """All that a direction has said; None where not all of it is known any more."""
        if one.proto != TCP:
            return _Text(one.data, b"", one.extra, one.sound, [], one.starts)
        marks = self._marks_of(p, one)
        if known.whole:
            starts = None if one.holes else sorted({m for m in ((marks - one.first) & 0xFFFFFFFF).tolist() if m < len(one.data)} | {0})
            return _Text(one.data, one.as_it_came, one.extra, one.sound, one.holes, starts)
        if known.coded is not None or known.mailed:
            return None
        before = self._said_before(one.flow_id, one.to_server)
        if before is None or not before.sound or not one.sound or one.as_it_came:
            return None
        first = before.first if before.data else one.first
        if one.first != (first + len(before.data)) & 0xFFFFFFFF:
            return None
        data = before.data + one.data
        marks = np.concatenate([before.marks, marks])
        starts = sorted({m for m in ((marks - first) & 0xFFFFFFFF).tolist() if m < len(data)} | {0})
        return _Text(data, b"", one.extra, True, [], starts)

    def _marks_of(self, p: PacketBatch, one: _Said) -> NDArray[np.int64]:
        """Sequence numbers at which packets of a direction begin and end in this batch, or up to which they were acknowledged."""
        if self._marks is None:
            rows = np.flatnonzero((self._flow_id >= 0) & (p.proto == TCP))
            keys = self._flow_id[rows] * 2 + self._to_server[rows]
            seq = p.seq[rows].astype(np.int64)
            keys = np.concatenate([keys, keys, keys ^ 1])
            values = np.concatenate([seq, seq + p.payload_len[rows], p.ack[rows].astype(np.int64)])
            order = np.argsort(keys, kind="stable")
            self._marks = keys[order], values[order]
        keys, values = self._marks
        key = one.flow_id * 2 + one.to_server
        return values[np.searchsorted(keys, key) : np.searchsorted(keys, key + 1)]

    def _said_before(self, number: int, to_server: bool) -> _Before | None:
        """What a direction of a flow that is not taken up said before this batch; None where not all is kept."""
        held = self._held.get(number)
        if held is None or self._known[number].broken or number in self._taken or held.size > MAX_RULE_SCREENED_BYTES:
            return None
        out = bytearray()
        first, sound = 0, True
        marks: list[NDArray[np.int64]] = []
        for rows, data in held.pieces:
            kept = np.frombuffer(rows, _KEPT)
            seq, wire, offset, caplen, size = (
                kept[name].astype(np.int64) for name in ("seq", "payload_len", "payload_offset", "payload_caplen", "size")
            )
            mine = kept["to_server"] == to_server
            marks += [seq[mine], seq[mine] + wire[mine], kept["ack"][~mine].astype(np.int64)]
            at = np.cumsum(size) - size
            for k in np.flatnonzero((caplen > 0) & mine).tolist():
                if not out:
                    first = int(seq[k])
                elif int(seq[k]) != (first + len(out)) & 0xFFFFFFFF:
                    sound = False
                sound = sound and caplen[k] == wire[k] and offset[k] >= 0 and offset[k] + caplen[k] <= size[k]
                out += data[at[k] + offset[k] : at[k] + offset[k] + caplen[k]]
        return _Before(first, bytes(out), sound, np.concatenate(marks) if marks else np.empty(0, np.int64))

    def _heard(self, p: PacketBatch, known: _Known, of_flow: list[_Said], one: _Said) -> Heard:
        """What the flow said so far, as HTTP. Read once for both of its directions."""
        if one.flow_id in self._heard_now:
            return self._heard_now[one.flow_id]
        said: dict[bool, list[bytes | int]] = {}
        complete = True
        for each in of_flow:
            text = self._so_far(p, known, each)
            complete = complete and text is not None and text.sound
            said[each.to_server] = _pieces(text) if text is not None else []
        for side in (True, False):
            if side not in said:
                before = None if known.whole else self._said_before(one.flow_id, side)
                complete = complete and (known.whole or (before is not None and before.sound))
                said[side] = [before.data] if before is not None and before.data else []
        heard = self._heard_now[one.flow_id] = Heard(said[True] if complete else [], said[False] if complete else [])
        return heard

    def _decoded(self, known: _Known, to_server: bool, proto: int, data: bytes, coded: bool) -> bytes:
        """Texts that are in the payload in another form: URIs with escapes, bodies with codings, mail in base64."""
        out: list[bytes] = []
        if proto == TCP and to_server:
            if not known.asked:
                known.asked = 1 if by_content(data[:32], True) == "http" else 2
            if known.asked == 1:
                out.extend(normalised(found.group(1)) for found in _REQUEST.finditer(data))
        if proto == TCP and (coded or known.coded is not None):
            reader = known.coded
            if reader is None:
                reader = known.coded = Http()
            reader.feed(to_server, data)
            for tx in reader.transactions:
                bodies = (tx.request.body, tx.response.body)
                out.extend(bytes(body.data) for body in bodies if body is not None and body.data)
            reader.transactions = [tx for tx in reader.transactions if not (tx.done(False))][-4:]
        if known.mailed and to_server:
            out.extend(decoded_base64_2045(block.group()) for block in _BASE64_LINES.finditer(data))
        return b"\0".join(out)

    def _service_rules(
        self, known: _Known, proto: int, to_server: bool, data: bytes, ends: Packet, flow_id: int, fresh: dict[int, set[int]]
    ) -> None:
        """Rules of an application protocol that have no literal: tried in every flow that speaks it."""
        known.looked |= 2 if to_server else 1
        if proto == TCP:
            name = by_content(data[:512], to_server)
            if name is None and self.options.midstream:
                name = by_content(data[:512], not to_server)
            name = name or catalog.by_port(data[:512], to_server, (ends.sport, ends.dport))
        elif proto == UDP:
            name = catalog.by_datagram(data, to_server, ends.sport, ends.dport)
        else:
            return
        plans = self._may_speak.get(name)
        if plans is None:
            plans = self._may_speak[name] = [plan for plan in self._by_service if _may_speak(plan, name)]
        heads: dict[tuple[object, ...], bool] = {}
        for plan in plans:
            fits = heads.get(plan.head)
            if fits is None:
                fits = heads[plan.head] = _either_way(plan, ends)
            if not fits:
                continue
            if proto == TCP and self._screening and plan.side is not None and not plan.transactional and self._screen_for(plan).asks:
                known.held_back[plan.side].add(plan.order)
            else:
                fresh.setdefault(flow_id, set()).add(plan.order)

    def _screen_for(self, plan: Plan) -> Screen:
        screen = self._screens.get(plan.order)
        if screen is None:
            screen = self._screens[plan.order] = screen_of(plan)
        return screen

    def _flow_rules(
        self, p: PacketBatch, rows: NDArray[np.int64], flow_id: NDArray[np.int64], fresh: dict[int, set[int]], asked: dict[int, set[int]]
    ) -> None:
        """Rules without literal that ask about the flow: tried in all flows that their header allows. asked: those of them that must
        find something in the payload."""
        if not rows.size:
            return
        columns = Columns(_rows(p, rows))
        for plan in self._by_flow:
            screened = self._screening and plan.unit == "packet" and self._screen_for(plan).chain is not None
            where = asked if screened else fresh
            for number in np.unique(flow_id[rows[rows_that_may_match(plan, columns)]]).tolist():
                taken = self._taken.get(number)
                if taken is None or plan.order not in taken.chosen:
                    where.setdefault(number, set()).add(plan.order)

    # -- carrying out -------------------------------------------------------------------------------------------------------

    def _carry_out(
        self, seen: Frames, flow_id: NDArray[np.int64], to_server: Mask, extra: dict[int, list[Plan]], fresh: dict[int, set[int]]
    ) -> list[Match]:
        """Take up flows, then inspect packets in order."""
        p = seen.packets
        out: list[Match] = []
        past: list[tuple[Packet, Flow]] = []
        self._find_ends(p, flow_id, to_server, fresh)
        for number, found in fresh.items():
            flow = self._taken.get(number)
            orders = self._possible(number, flow, found)
            if not orders:
                continue
            if flow is None:
                flow = self._taken[number] = Flow(number, 0)
                past += [(packet, flow) for packet in self._past(number)]
            flow.chosen |= orders
            chosen = [self.plans[order] for order in orders]
            for side, ends in enumerate(self._ends.get(number, (None, None))):
                flow.sides[side ^ flow.turned].take(chosen, ends if self.inspector.notes is None else None)
        past.sort(key=lambda pair: pair[0].number)
        for packet, flow in past:
            out += self._one(flow, packet, [])
        taken = self._taken
        if taken:
            ids = np.fromiter(taken, np.int64, len(taken))
            wanted = np.isin(flow_id, ids)
        else:
            wanted = np.zeros(flow_id.size, np.bool_)
        if extra:
            wanted[np.fromiter(extra, np.int64, len(extra))] = True
            traced = [row for row, plans in extra.items() if any(_leaves_traces(plan) for plan in plans)]
            if traced:
                wanted |= np.isin(flow_id, flow_id[traced]) & (flow_id >= 0)
        rows = np.flatnonzero(wanted)
        nothing: list[Plan] = []
        for packet in self._packets(seen, rows, to_server):
            number = int(flow_id[packet.row])
            flow = taken.get(number)
            rules = extra.get(packet.row, nothing)
            if flow is None and number >= 0 and any(_leaves_traces(plan) for plan in rules):
                flow = taken[number] = Flow(number, 0)
                for before in self._past(number):
                    out += self._one(flow, before, [])
            if flow is None and number >= 0:
                if not rules:
                    continue
                packet.has_flow = True
                packet.flow_id = number
                out += self.inspector.packet(None, packet, rules)
                continue
            out += self._one(flow, packet, rules)
        return out

    def _find_ends(self, p: PacketBatch, flow_id: NDArray[np.int64], to_server: Mask, fresh: dict[int, set[int]]) -> None:
        """Of each flow that is taken up, its ends as a packet to the client and one to the server."""
        self._ends = {}
        if not fresh:
            return
        rows = np.flatnonzero(np.isin(flow_id, np.fromiter(fresh, np.int64, len(fresh))))
        ids, first = np.unique(flow_id[rows], return_index=True)
        for number, row in zip(ids.tolist(), rows[first].tolist(), strict=True):
            one = _ends_of(p, row, bool(to_server[row]))
            other = one.swapped(not one.to_server)
            self._ends[number] = (other, one) if one.to_server else (one, other)

    def _possible(self, number: int, flow: Flow | None, orders: set[int]) -> set[int]:
        """Without those rules that wait for a flow bit which no rule of this flow could have set so far; they are kept in mind."""
        known = self._known[number]
        if known.waiting:
            orders = orders | known.waiting
        all_of_them = orders
        have = orders | flow.chosen if flow is not None else orders
        setters = self._setters
        asking = {o for o in orders if o in setters}
        if asking:
            # From those that ask for nothing on: a rule can hold once one that sets its bit can.
            have = have - asking if flow is None else (have - asking) | flow.chosen
            while True:
                more = {o for o in asking if all(s & have for s in setters[o])}
                if not more:
                    break
                have |= more
                asking -= more
            orders = orders - asking
        if flow is None and orders <= self._silent:
            # Nothing that could be told: bits are set that no rule of this flow asks for.
            orders = {o for o in orders if self._readers.get(o, _NOBODY) & have}
        known.waiting = set(all_of_them - orders)
        return orders

    def _one(self, flow: Flow | None, packet: Packet, rules: list[Plan]) -> list[Match]:
        if flow is not None and not flow.start:
            flow.start = packet.ts
            flow.dports = (packet.dport, packet.sport)
        return self.inspector.packet(flow, packet, rules)

    def _packets(self, seen: Frames, rows: NDArray[np.int64], to_server: Mask) -> Iterable[Packet]:
        p = seen.packets
        columns = [getattr(p, name)[rows].tolist() for name in _COLUMNS]
        wide = [getattr(p, name)[rows].tolist() for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "payload_offset", "payload_caplen")]
        sides = to_server[rows].tolist()
        deep = inside_ip(p.tunnel) if p.tunnel.any() else np.zeros(p.ts.size, np.bool_)
        places = [a[rows].tolist() for a in (seen.ip_at, seen.ip_end, seen.link_at, seen.link_type, p.caplen, deep)]
        view = p.buffer.data
        for row, side, values, more, (ip_at, ip_end, link_at, link_type, caplen, tunnel) in zip(
            rows.tolist(), sides, zip(*columns, strict=True), zip(*wide, strict=True), zip(*places, strict=True), strict=True
        ):
            packet = _packet(values, side)
            packet.row, packet.place, packet.link_type = row, int(self._places[row]), link_type
            packet.src, packet.dst = more[0] << 64 | more[1], more[2] << 64 | more[3]
            if ip_at >= 0:
                packet.ip = bytes(view[ip_at:ip_end])
                packet.link = bytes(view[link_at:ip_at])
            else:
                packet.link = bytes(view[link_at:ip_end])
            if self._asks_events:
                packet.events = decode_events(packet, packet.ip or (b"" if tunnel else _behind_ethernet(packet.link, link_type)))
                if not tunnel:
                    packet.events = (*packet.events, *link_events(bytes(view[link_at : link_at + caplen]), link_type))
            if more[4] >= 0:
                packet.payload = bytes(view[more[4] : more[4] + more[5]])
                if not ip_at <= more[4] < ip_end:
                    packet.rebuilt = True
                    packet.ip = _rebuilt(packet, view, more[4], more[5])
            yield packet

    # -- what is kept of flows that were not taken up --------------------------------------------------------------------------

    def _keep(self, seen: Frames, flow_id: NDArray[np.int64], to_server: Mask) -> None:
        """Keep the packets of TCP flows that were not taken up."""
        p = seen.packets
        rows = np.flatnonzero((flow_id >= 0) & (p.proto == TCP))
        if not rows.size:
            return
        ids, starts = np.unique(flow_id[rows], return_index=True)
        for number in ids.tolist():
            self._known[number].whole = False
        if self._taken:
            rows = rows[~np.isin(flow_id[rows], np.fromiter(self._taken, np.int64, len(self._taken)))]
            if not rows.size:
                return
        rows = rows[np.argsort(flow_id[rows], kind="stable")]
        ids, starts = np.unique(flow_id[rows], return_index=True)
        stops = np.append(starts[1:], rows.size)
        begin = np.maximum(seen.ip_at[rows], 0)
        size = np.where(seen.ip_at[rows] >= 0, seen.ip_end[rows] - begin, 0).astype(np.int64)
        table = np.empty(rows.size, _KEPT)
        for name in (*_COLUMNS, "src_hi", "src_lo", "dst_hi", "dst_lo", "payload_caplen"):
            table[name] = getattr(p, name)[rows]
        table["payload_offset"] = p.payload_offset[rows] - seen.ip_at[rows]
        table["size"], table["to_server"] = size, to_server[rows]
        places = np.append(0, np.cumsum(size))
        data = np.empty(int(places[-1]), np.uint8)
        gather(p.buffer, begin, size, data)
        view = data.data
        for number, start, stop, first, last in zip(
            ids.tolist(), starts.tolist(), stops.tolist(), places[starts].tolist(), places[stops].tolist(), strict=True
        ):
            held = self._held.setdefault(number, _Held())
            if held.size > 2 * MAX_RULE_STREAM_BYTES:
                continue
            held.pieces.append((table[start:stop].tobytes(), bytes(view[first:last])))
            took = last - first + _KEPT.itemsize * (stop - start)
            held.size += took
            self._held_bytes += took
        while self._held_bytes > self._history_bytes and self._held:
            number, oldest = self._held.popitem(last=False)
            if number in self._known:
                self._known[number].broken = True
            self._held_bytes -= oldest.size
            self.lost.flows += 1

    def _past(self, number: int) -> list[Packet]:
        """The packets of a flow before this batch."""
        held = self._held.pop(number, None)
        if held is None:
            return []
        self._held_bytes -= held.size
        out: list[Packet] = []
        for rows, data in held.pieces:
            at = 0
            for values in np.frombuffer(rows, _KEPT).tolist():
                packet = _packet(values[: len(_COLUMNS)], values[-1])
                src_hi, src_lo, dst_hi, dst_lo, offset, caplen, size = values[len(_COLUMNS) : -1]
                packet.src, packet.dst = src_hi << 64 | src_lo, dst_hi << 64 | dst_lo
                packet.ip = data[at : at + size]
                if 0 <= offset <= size:
                    packet.payload = packet.ip[offset : offset + caplen]
                at += size
                out.append(packet)
        return out


def _place(m: Match) -> tuple[int, bool, int, int]:
    """Where a match stands among those of its batch: by packet, the ends of sessions behind packets, then by rule."""
    return m.packet.number, m.packet.pseudo, m.packet.place, m.plan.order


def _by_sequence(
    seq: NDArray[np.int64], begin: NDArray[np.int64], held: NDArray[np.int64], whole: bytes
) -> tuple[int, bytes, bool, list[tuple[int, int]]]:
    """Segments in the order of their sequence numbers, without what comes twice: the first number, the bytes, whether what came twice
    was the same, and where how many are missing in between."""
    ahead = (seq - seq[0] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    out, reach = bytearray(), -(1 << 40)
    agrees = True
    holes: list[tuple[int, int]] = []
    places = np.argsort(ahead, kind="stable").tolist()
    for k in places:
        at, size, start = int(ahead[k]), int(held[k]), int(begin[k])
        skip = max(0, reach - at) if reach > -(1 << 39) else 0
        if skip:
            again = min(skip, size)
            from_ = len(out) - skip
            # What came twice must lie behind the last hole: only there is its place known.
            agrees = agrees and from_ >= (holes[-1][0] if holes else 0) and out[from_ : from_ + again] == whole[start : start + again]
        elif out and at > reach:
            holes.append((len(out), at - reach))
        if skip < size:
            out += whole[start + skip : start + size]
            reach = at + size
    return int(seq[places[0]]), bytes(out), agrees, holes


def _rows(p: PacketBatch, rows: NDArray[np.int64]) -> PacketBatch:
    columns: list[Any] = [c[rows] for c in p[1:]]
    return PacketBatch(p.buffer, *columns)


def _setters(outline: Outline, loose: frozenset[int]) -> dict[int, tuple[frozenset[int], ...]]:
    """For rules that ask for flow bits: by condition, the rules that set one of them. loose: rules that are not chosen by flow;
    a bit that one of them sets may be set anywhere."""
    out: dict[int, tuple[frozenset[int], ...]] = {}
    for order, conditions in outline.asked.items():
        asked = [frozenset(o for name in names for o in outline.bit_setters.get(name, ())) for names in conditions]
        asked = [orders for orders in asked if not orders & loose]
        if asked:
            out[order] = tuple(asked)
    return out


_NOBODY: Final[frozenset[int]] = frozenset()


def _silent(outline: Outline) -> tuple[frozenset[int], dict[int, frozenset[int]]]:
    """Rules that do nothing but set flow bits, and for each the rules that ask for one of them."""
    out = {
        order: frozenset(reader for name in names for reader in outline.bit_readers.get(name, ()))
        for order, names in outline.silent.items()
    }
    return frozenset(out), out


def _leaves_traces(plan: Plan) -> bool:
    """Whether a match changes what other rules see of the flow."""
    return plan.action in ("pass", "drop", "reject", "rejectsrc", "rejectdst", "rejectboth") or bool(plan.effects or plan.conditions)


_FLOW_TESTS: Final = frozenset(("stream_size", "flow.age", "flow.pkts", "flow.bytes", "app-layer-protocol"))


def _needs_flow(plan: Plan) -> bool:
    """Whether a rule without literal asks about more than the packet at hand."""
    flow = plan.rule.flow
    asks = flow is not None and (flow.state in ("established", "not_established") or flow.stream == "only_stream")
    if any(isinstance(t, Event) and t.kind == "stream" for t in plan.rule.tests):
        return True
    return bool(asks or plan.conditions or plan.effects or (plan.payload is not None and plan.wants_stream) or any(
        getattr(t, "keyword", "") in _FLOW_TESTS
        for t in plan.rule.tests
    ))


def _may_speak(plan: Plan, name: str | None) -> bool:
    if name is None:
        return False
    words = [plan.service] if plan.service else list(plan.rule.services)
    return not words or any(covers(w, name) for w in words)


def _ends_of(p: PacketBatch, row: int, to_server: bool) -> Packet:
    """A packet with nothing but its ends."""
    out = Packet()
    out.proto, out.family = int(p.proto[row]), int(p.ip_version[row])
    out.src = int(p.src_hi[row]) << 64 | int(p.src_lo[row])
    out.dst = int(p.dst_hi[row]) << 64 | int(p.dst_lo[row])
    if out.proto in WITH_PORTS or out.proto in (1, 58):
        out.sport, out.dport = int(p.sport[row]), int(p.dport[row])
    out.to_server = to_server
    out.has_flow = True
    return out


def _either_way(plan: Plan, ends: Packet) -> bool:
    if plan.header_holds(ends):
        return True
    other = ends.swapped(not ends.to_server)
    return plan.header_holds(other)


def _rebuilt(p: Packet, view: memoryview, at: int, size: int) -> bytes:
    """A datagram put together from fragments, as a packet: the header says that it is whole."""
    header = bytearray(p.ip[: p.l4])
    p.forget_places()
    if p.family == 4 and len(header) >= 20:
        header[6:8] = b"\0\0"
        before = 8 if p.proto != TCP else 20
        total = len(header) + before + size
        header[2:4] = min(total, 65535).to_bytes(2, "big")
    else:
        header = bytearray(p.ip[:40])
        if len(header) == 40:
            header[6] = p.proto
        before = 8 if p.proto != TCP else 20
    return bytes(header) + bytes(view[max(0, at - before) : at + size])


_ETHERNET: Final = 1


def _behind_ethernet(frame: bytes, link_type: int) -> bytes:
    """What an Ethernet header says is IP, where it could not be taken for that."""
    if link_type == _ETHERNET and frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
        return frame[14:]
    return b""


def _packet(values: tuple[Any, ...], to_server: bool) -> Packet:
    p = Packet()
    (p.number, p.ts, p.family, p.proto, p.sport, p.dport, p.flags, p.seq, p.ack, p.window, p.payload_len, note) = values
    p.fragment = note in (_FRAGMENT, _NOT_FIRST)
    p.headed = note in _WHOLE
    if note in _INVALID:
        # decode-ipv4.c, decode-ipv6.c: a packet whose IP header does not hold is seen by rules for such events only.
        p.family = 0
    if p.fragment:
        p.payload_len = p.window = 0
    p.to_server = to_server
    return p


