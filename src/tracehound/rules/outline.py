"""In: the plans of all rules. Out: what must be known of all of them before any is looked at: which pattern stands for which rule,
which rules have none, which set and ask for flow bits. It can be written down as JSON and read back, so that a run can begin
without reading 18,000 rules: a plan is then made when the prefilter first lets something through to it.
Never here: files (edges/rule_cache.py), scanning (prefilter.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

from tracehound.rules.literals import Literal
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Bits, Dataset, Event

Pattern = tuple[bytes, int]
"""An expression and its flags, as Hyperscan takes them."""
EITHER_SIDE: Final = -1
BOTH_SIDES: Final = -2


@dataclass(slots=True)
class Outline:
    """Rules are named by their order. expressions: all patterns; by_pattern: rules of each; others: further literals of a rule;
    without: rules that no pattern stands for; ip_only: rules of addresses alone; bit_setters, bit_readers: rules by flow bit;
    asked: of rules that ask for flow bits, the names of each condition; silent: of rules that do nothing but set flow bits, their
    names; decode_events, stream_events: some rule asks for them; shared: some rule remembers over flows while it matches. heads: of
    each rule the number of its header, which thousands share; sides: of each the direction it asks for (1 to the server, 0 to the client,
    -1 either), -2 where it looks at both sides of a transaction."""

    expressions: list[Pattern] = field(default_factory=list)
    by_pattern: list[list[int]] = field(default_factory=list)
    others: dict[int, list[Literal]] = field(default_factory=dict)
    without: list[int] = field(default_factory=list)
    ip_only: list[int] = field(default_factory=list)
    bit_setters: dict[str, list[int]] = field(default_factory=dict)
    bit_readers: dict[str, list[int]] = field(default_factory=dict)
    asked: dict[int, list[list[str]]] = field(default_factory=dict)
    silent: dict[int, list[str]] = field(default_factory=dict)
    decode_events: bool = False
    stream_events: bool = False
    shared: bool = False
    heads: list[int] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)

    def add_headers(self, plans: Sequence[Plan]) -> None:
        """Which rules have the same header, and the direction they ask for."""
        numbers: dict[tuple[object, ...], int] = {}
        for plan in plans:
            self.heads.append(numbers.setdefault(plan.head, len(numbers)))
            self.sides.append(BOTH_SIDES if plan.transactional else EITHER_SIDE if plan.side is None else int(plan.side))

    def add_states(self, plans: Sequence[Plan]) -> None:
        """What rules remember, and which events they ask for."""
        for plan in plans:
            if plan.unit == "ip_only":
                self.ip_only.append(plan.order)
            self._add_bits(plan)
            events = {t.kind for t in plan.rule.tests if isinstance(t, Event)}
            self.decode_events |= "decode" in events
            self.stream_events |= "stream" in events
            self.shared |= any(isinstance(s, Bits) and s.kind != "flowbits" and s.track != "tx" for s in plan.rule.states)
            self.shared |= any(isinstance(s, Dataset) and s.command in ("set", "unset") for g in plan.rule.groups for s in g.steps)

    def _add_bits(self, plan: Plan) -> None:
        effects = [e for e in plan.effects if isinstance(e, Bits) and e.kind == "flowbits"]
        conditions = [c for c in plan.conditions if isinstance(c, Bits) and c.kind == "flowbits"]
        for e in effects:
            for name in e.names if e.command in ("set", "toggle") else ():
                self.bit_setters.setdefault(name, []).append(plan.order)
        for c in conditions:
            for name in c.names:
                self.bit_readers.setdefault(name, []).append(plan.order)
        asked = [list(c.names) for c in conditions if c.command == "isset"]
        if asked:
            self.asked[plan.order] = asked
        bits = [e for e in effects if e.command == "set"]
        if plan.quiet and plan.action == "alert" and len(bits) == len(plan.effects) and bits:
            self.silent[plan.order] = [name for e in bits for name in e.names]

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has; bytes as text of the same code points."""
        return {
            "expressions": [[e.decode("latin-1"), flags] for e, flags in self.expressions],
            "by_pattern": self.by_pattern,
            "others": [[k, [[x.data.decode("latin-1"), x.nocase] for x in v]] for k, v in self.others.items()],
            "without": self.without,
            "ip_only": self.ip_only,
            "bit_setters": self.bit_setters,
            "bit_readers": self.bit_readers,
            "asked": list(self.asked.items()),
            "silent": list(self.silent.items()),
            "decode_events": self.decode_events,
            "stream_events": self.stream_events,
            "shared": self.shared,
            "heads": self.heads,
            "sides": self.sides,
        }


def outline_from_json(said: dict[str, Any]) -> Outline:
    """What `as_json` wrote down; raises KeyError, TypeError or ValueError where it is something else."""
    return Outline(
        [(e.encode("latin-1"), int(flags)) for e, flags in said["expressions"]],
        said["by_pattern"],
        {int(k): [Literal(data.encode("latin-1"), bool(nocase)) for data, nocase in v] for k, v in said["others"]},
        said["without"],
        said["ip_only"],
        said["bit_setters"],
        said["bit_readers"],
        {int(k): v for k, v in said["asked"]},
        {int(k): v for k, v in said["silent"]},
        bool(said["decode_events"]),
        bool(said["stream_events"]),
        bool(said["shared"]),
        said["heads"],
        said["sides"],
    )


class LatePlans(Sequence[Plan]):
    """Plans that are made when they are first asked for. make: order -> plan."""

    def __init__(self, count: int, make: Callable[[int], Plan]) -> None:
        self._made: dict[int, Plan] = {}
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, order: int) -> Plan: ...
    @overload
    def __getitem__(self, order: slice) -> list[Plan]: ...
    def __getitem__(self, order: int | slice) -> Plan | list[Plan]:
        if isinstance(order, slice):
            return [self[k] for k in range(*order.indices(self._count))]
        plan = self._made.get(order)
        if plan is None:
            if not 0 <= order < self._count:
                raise IndexError(order)
            plan = self._made[order] = self._make(order)
            plan.order = order
        return plan

    def made(self) -> Iterator[Plan]:
        """Those that were asked for."""
        return iter(self._made.values())


def looked_at(plans: Sequence[Plan]) -> Iterator[Plan]:
    """Plans that may have counted something; none is made for it."""
    return plans.made() if isinstance(plans, LatePlans) else iter(plans)
