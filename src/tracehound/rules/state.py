"""In: what rules remember: bits, counters, thresholds. Out: whether they hold now, and whether a match becomes an alert.
Never here: matching.

Flow bits and flow ints live with their flow; xbits, hostbits and thresholds are values that outlive flows and are passed
along. Semantics: detect-flowbits.c, detect-flowint.c, detect-xbits.c, detect-engine-threshold.c."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracehound.limits import MAX_RULE_COUNTERS
from tracehound.rules.rule import Bits, FlowInt, Rule, State, Threshold

if TYPE_CHECKING:
    from tracehound.rules.packet import Packet

HONOURS: Final = frozenset((
    "flowbits", "xbits", "hostbits", "flowint", "threshold", "threshold:backoff", "detection_filter", "detection_filter:unique_on", "tag",
))  # fmt: skip

_DEFAULT_EXPIRE_S: Final = 30


@dataclass(slots=True)
class Memory:
    """What outlives a flow.

    bits      (name, track, host or pair) -> time until which it is set, ns
    counters  (gid, sid, track, key) -> Counter"""

    bits: dict[tuple[Any, ...], int] = field(default_factory=dict)
    counters: dict[tuple[Any, ...], Counter] = field(default_factory=dict)

    def set_bit(self, key: tuple[Any, ...], until: int) -> None:
        self.bits[key] = until
        _bound(self.bits)


def _bound(table: dict[Any, Any]) -> None:
    """Forget the oldest entries of a table that has become too long."""
    if len(table) > MAX_RULE_COUNTERS:
        for key in list(table)[: MAX_RULE_COUNTERS // 8]:
            del table[key]


@dataclass(slots=True)
class Counter:
    """since: begin of the window, ns; count: matches in it; following: backoff's next count; ports: for unique_on."""

    since: int
    count: int = 0
    following: int = 0
    ports: set[int] = field(default_factory=set)


# -- bits -------------------------------------------------------------------------------------------------------------


def _keys(state: Bits, p: Packet) -> list[tuple[Any, ...]]:
    if state.kind == "xbits":
        if state.track == "ip_pair":
            key: Any = (min(p.src, p.dst), max(p.src, p.dst))
        else:
            key = p.src if state.track == "ip_src" else p.dst
        return [("x", name, state.track, key) for name in state.names]
    hosts = {"src": [p.src], "dst": [p.dst], "both": [p.src, p.dst], "": [p.src]}[state.track]
    return [("h", name, host) for name in state.names for host in hosts]


def holds(state: State, p: Packet, memory: Memory) -> bool:
    """Whether a condition holds; True for what only sets."""
    if isinstance(state, FlowInt):
        return _flowint_holds(state, p)
    if state.command not in ("isset", "isnotset"):
        return True
    if state.kind == "flowbits":
        if p.flow is None:
            return False
        have = [name in p.flow.bits for name in state.names]
    elif state.track == "tx":
        have = [name in p.flow.bits for name in state.names] if p.flow is not None else [False]
    else:
        have = [memory.bits.get(key, -1) >= p.ts for key in _keys(state, p)]
    if state.command == "isset":
        return all(have) if state.join == "&" else any(have)
    return not (all(have) if state.join == "&" else any(have))


def carry_out(state: State, p: Packet, memory: Memory) -> None:
    """What is done when the rule has matched."""
    if isinstance(state, FlowInt):
        _flowint_set(state, p)
        return
    if state.command in ("isset", "isnotset"):
        return
    if state.kind == "flowbits" or state.track == "tx":
        if p.flow is not None:
            _BIT_ACTIONS[state.command](p.flow.bits, state.names)
        return
    until = p.ts + (state.expire_s or _DEFAULT_EXPIRE_S) * 1_000_000_000
    for key in _keys(state, p):
        if state.command == "set" or (state.command == "toggle" and memory.bits.get(key, -1) < p.ts):
            memory.set_bit(key, until)
        else:
            memory.bits.pop(key, None)


_BIT_ACTIONS: Final[dict[str, Callable[[set[str], tuple[str, ...]], None]]] = {
    "set": lambda bits, names: bits.update(names),
    "unset": lambda bits, names: bits.difference_update(names),
    "toggle": lambda bits, names: bits.symmetric_difference_update(names),
}

_INT_TESTS: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def _operand(state: FlowInt, ints: dict[str, int]) -> int | None:
    return ints.get(state.value) if isinstance(state.value, str) else state.value


def _flowint_holds(state: FlowInt, p: Packet) -> bool:
    if p.flow is None:
        return False
    ints = p.flow.ints
    if state.command == "isset":
        return state.name in ints
    if state.command == "notset":
        return state.name not in ints
    if state.command in _INT_TESTS:
        operand = _operand(state, ints)
        return state.name in ints and operand is not None and _INT_TESTS[state.command](ints[state.name], operand)
    return True


def _flowint_set(state: FlowInt, p: Packet) -> None:
    if p.flow is None or state.command not in ("+", "-", "="):
        return
    ints = p.flow.ints
    operand = _operand(state, ints) or 0
    if state.command == "=":
        ints[state.name] = operand
    else:
        # A counter that was never set counts from 0.
        ints[state.name] = (ints.get(state.name, 0) + (operand if state.command == "+" else -operand)) & 0xFFFFFFFF


class Told(NamedTuple):
    """Of a match what decides whether it becomes an alert: who, when, in which flow."""

    ts: int
    src: int
    dst: int
    sport: int
    dport: int
    flow_id: int


def becomes_alert(rule: Rule, told: Told, memory: Memory, replaced: Threshold | None = None) -> bool:
    """Whether a match becomes an alert, by the rule's detection_filter and threshold. replaced: the user's own in its place."""
    for t in (rule.detection_filter, replaced or rule.threshold):
        if t is None:
            continue
        key = counter_key(t, rule.gid, rule.sid, told.src, told.dst, told.flow_id)
        if not passes(t, key, told.ts, (told.sport, told.dport), memory):
            return False
    return True


def above_rate(t: Threshold, timeout_s: int, rule: Rule, told: Told, memory: Memory) -> bool:
    """Whether a match falls where a rate_filter gives its rule another action: it comes more often than `count` in `seconds`, or
    did so less than `timeout_s` ago (0: for ever)."""
    key = ("rate", *counter_key(t, rule.gid, rule.sid, told.src, told.dst, told.flow_id))
    counter = memory.counters.get(key)
    if counter is None:
        memory.counters[key] = Counter(told.ts, 1)
        _bound(memory.counters)
        return False
    if counter.following:
        if not timeout_s or told.ts - counter.following <= timeout_s * 1_000_000_000:
            return True
        counter.following = 0
    if told.ts - counter.since >= t.seconds * 1_000_000_000:
        counter.since, counter.count = told.ts, 1
        return False
    counter.count += 1
    if counter.count > t.count:
        counter.following = told.ts
        return True
    return False


# -- thresholds -------------------------------------------------------------------------------------------------------


def counter_key(t: Threshold, gid: int, sid: int, src: int, dst: int, flow_id: int) -> tuple[Any, ...]:
    who: Any = {
        "by_src": src, "by_dst": dst, "by_both": (min(src, dst), max(src, dst)) if t.track == "by_both" else 0, "by_rule": 0,
        "by_flow": flow_id,
    }[t.track]  # fmt: skip
    return (t.kind, gid, sid, t.track, who)


def passes(t: Threshold, key: tuple[Any, ...], ts: int, ports: tuple[int, int], memory: Memory) -> bool:
    """Whether this match becomes an alert."""
    counter = memory.counters.get(key)
    fresh = counter is None
    if counter is None:
        counter = memory.counters[key] = Counter(ts, following=t.count)
        _bound(memory.counters)
    return _KINDS[t.kind](t, counter, ts, fresh, ports)


def _inside(t: Threshold, c: Counter, ts: int, fresh: bool) -> bool:
    if fresh or ts - c.since >= t.seconds * 1_000_000_000:
        c.since, c.count = ts, 1
        return False
    c.count += 1
    return True


def _limit(t: Threshold, c: Counter, ts: int, fresh: bool, _ports: tuple[int, int]) -> bool:
    _inside(t, c, ts, fresh)
    return c.count <= t.count


def _threshold(t: Threshold, c: Counter, ts: int, fresh: bool, _ports: tuple[int, int]) -> bool:
    _inside(t, c, ts, fresh)
    if c.count >= t.count:
        c.count = 0
        return True
    return False


def _both(t: Threshold, c: Counter, ts: int, fresh: bool, _ports: tuple[int, int]) -> bool:
    _inside(t, c, ts, fresh)
    return c.count == t.count


def _detection_filter(t: Threshold, c: Counter, ts: int, fresh: bool, ports: tuple[int, int]) -> bool:
    if t.unique_on:
        port = ports[0] if t.unique_on == "src_port" else ports[1]
        if fresh or ts - c.since >= t.seconds * 1_000_000_000:
            c.since, c.ports = ts, {port}
            return False
        before = len(c.ports)
        c.ports.add(port)
        return len(c.ports) > max(before, t.count)
    return _inside(t, c, ts, fresh) and c.count > t.count


def _backoff(t: Threshold, c: Counter, _ts: int, _fresh: bool, _ports: tuple[int, int]) -> bool:
    c.count += 1
    if c.count == c.following:
        c.following *= t.multiplier
        return True
    return False


_KINDS: Final[dict[str, Callable[[Threshold, Counter, int, bool, tuple[int, int]], bool]]] = {
    "limit": _limit, "threshold": _threshold, "both": _both, "detection_filter": _detection_filter, "backoff": _backoff,
}  # fmt: skip
