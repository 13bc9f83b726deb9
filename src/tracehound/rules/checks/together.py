"""In: all rules. Out: what is wrong between them: duplicates, shadowed rules, marks that nothing sets. Never here: checks of one
rule by itself (single.py).

One rule covers another where it asks for nothing that the other does not ask for as well. To find such pairs among thousands,
every rule is filed under one thing that it asks for (its rarest content), and every rule is compared only with those that are
filed under a thing it has itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tracehound.rules.checks.finding import Check
from tracehound.rules.checks.single import option_at
from tracehound.rules.dialects import normal
from tracehound.rules.rule import AddressSet, Bits, Content, Flow, Group, PortSet, Rule, Step
from tracehound.rules.settings import Settings

Key = tuple[str, str, bytes]


def _form(rule: Rule) -> Rule:
    """The rule's normal form without hints."""
    form = normal(rule)
    if not any(isinstance(s, Content) and s.fast_pattern is not None for g in form.groups for s in g.steps):
        return form
    return replace(form, groups=tuple(replace(g, steps=tuple(_plain(s) for s in g.steps)) for g in form.groups))


def _plain(step: Step) -> Step:
    return replace(step, fast_pattern=None) if isinstance(step, Content) and step.fast_pattern is not None else step


def _nameless(form: Rule) -> Rule:
    """What matches and happens, without what it is called."""
    return replace(
        form, sid=0, gid=0, rev=0, msg="", classtype="", priority=None, references=(), metadata=(), target="", services=form.services
    )


def _place(rule: Rule) -> str:
    return f"{rule.written.source}:{rule.written.line}"


def _duplicates(rules: tuple[Rule, ...], settings: Settings) -> Iterator[tuple[Rule, str, int]]:
    seen: dict[Rule, Rule] = {}
    for rule in rules:
        first = seen.setdefault(_nameless(_form(rule)), rule)
        if first is not rule:
            yield rule, f"means the same as sid {first.sid} ({_place(first)})", -1


# -- one rule covers another --------------------------------------------------------------------------------------------------------


def _inside(a: tuple[tuple[int, int], ...], b: tuple[tuple[int, int], ...]) -> bool:
    """Whether all of `a` is in `b`; both ascending and apart."""
    j = 0
    for low, high in a:
        while j < len(b) and b[j][1] < low:
            j += 1
        if j == len(b) or b[j][0] > low or b[j][1] < high:
            return False
    return True


def _narrower(a: AddressSet | PortSet, b: AddressSet | PortSet) -> bool:
    return a is b or _inside(a.ranges, b.ranges)


def _flow_covered(a: Flow | None, b: Flow | None) -> bool:
    """Whether what flow `b` asks for, `a` asks for too."""
    if b is None:
        return True
    if a is None:
        return False
    pairs = ((a.side, b.side), (a.state, b.state), (a.stream, b.stream), (a.fragments, b.fragments))
    return all(y is None or x == y or (y == "stateless" and x is not None) for x, y in pairs)


def _steps_covered(a: Group, b: Group) -> bool:
    """Whether the steps of `b` are among those of `a`: all of them in order from the first on if positions depend on each other."""
    mine, theirs = a.steps, b.steps
    if any(not isinstance(s, Content) or s.relative for s in theirs):
        return mine[: len(theirs)] == theirs
    return all(any(_content_covered(x, y) for x in mine) for y in theirs)


def _content_covered(x: Step, y: Step) -> bool:
    if x == y:
        return True
    if not isinstance(x, Content) or not isinstance(y, Content) or x.negated or y.negated or x.relative:
        return False
    anywhere = y.offset is None and y.depth is None and not y.startswith and not y.endswith
    if not anywhere or (x.nocase and not y.nocase):
        return False
    return y.pattern.lower() in x.pattern.lower() if y.nocase else y.pattern in x.pattern


def covers(b: Rule, a: Rule) -> bool:
    """Whether everything that `a` matches, `b` matches too (as far as their texts tell)."""
    p, q = a.header.protocol, b.header.protocol
    if p != q and not (q.service == "" and q.only == "" and p.ip_protocols == q.ip_protocols and p.only == "" and q.family == p.family):
        return False
    if b.states or b.threshold or b.detection_filter or a.header.direction != b.header.direction or set(b.services) - set(a.services):
        return False
    if not all(test in a.tests for test in b.tests) or not _flow_covered(a.flow, b.flow):
        return False
    for group in b.groups:
        same = [g for g in a.groups if g.buffer is group.buffer and g.transforms == group.transforms and g.detail == group.detail]
        if not any(g.absent == group.absent and _steps_covered(g, group) for g in same):
            return False
    h, k = a.header, b.header
    return all(
        _narrower(x, y)
        for x, y in ((h.src, k.src), (h.dst, k.dst), (h.src_ports, k.src_ports), (h.dst_ports, k.dst_ports))
    )


def _keys(rule: Rule) -> list[Key]:
    return [
        (g.buffer.name, repr(g.transforms), s.pattern.lower())
        for g in rule.groups
        for s in g.steps
        if isinstance(s, Content) and not s.negated
    ]


def _shadowed(rules: tuple[Rule, ...], settings: Settings) -> Iterator[tuple[Rule, str, int]]:
    forms = [(rule, _form(rule)) for rule in rules]
    often = Counter(key for _, form in forms for key in set(_keys(form)))
    filed: dict[Key, list[tuple[Rule, Rule]]] = defaultdict(list)
    unfiled: list[tuple[Rule, Rule]] = []
    for rule, form in forms:
        keys = _keys(form)
        if keys:
            filed[min(keys, key=lambda k: often[k])].append((rule, form))
        elif form.header.action == "pass":
            unfiled.append((rule, form))
    for rule, form in forms:
        near = [other for key in dict.fromkeys(_keys(form)) for other in filed.get(key, ())] + unfiled
        for other, theirs in near:
            if other is rule or not _hides(theirs, form) or not covers(theirs, form):
                continue
            if covers(form, theirs) and other.sid > rule.sid:
                continue
            what = "passes" if theirs.header.action == "pass" else "alerts on"
            if not (what == "alerts on" and covers(form, theirs)):
                yield rule, f"sid {other.sid} ({_place(other)}) {what} everything that this rule matches", -1
                break


def _hides(b: Rule, a: Rule) -> bool:
    """Whether `b` makes `a` superfluous when it covers it."""
    if a.header.action == "pass":
        return b.header.action == "pass"
    return b.header.action == "pass" or (b.header.action == a.header.action and not b.noalert and not a.noalert and not _sets(a))


def _sets(rule: Rule) -> bool:
    return any(not isinstance(s, Bits) or s.command in ("set", "unset", "toggle") for s in rule.states)


# -- marks ----------------------------------------------------------------------------------------------------------------------------


def _marks(rules: tuple[Rule, ...], commands: tuple[str, ...]) -> dict[tuple[str, str], Rule]:
    found: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        for s in rule.states:
            if isinstance(s, Bits) and s.command in commands:
                for name in s.names:
                    found.setdefault((s.kind, name), rule)
    return found


def _option_with(rule: Rule, kind: str, name: str, command: str) -> int:
    for n, o in enumerate(rule.written.options):
        if o.name == kind and o.value and name in o.value and o.value.replace(" ", "").startswith(command + ","):
            return n
    return option_at(rule, kind)


def _never_set(rules: tuple[Rule, ...], settings: Settings) -> Iterator[tuple[Rule, str, int]]:
    made = _marks(rules, ("set", "toggle"))
    for rule in rules:
        for s in rule.states:
            if isinstance(s, Bits) and s.command == "isset" and not any((s.kind, n) in made for n in s.names):
                yield rule, f"no rule sets {s.join.join(s.names)}: this rule never matches", _option_with(rule, s.kind, s.names[0], "isset")


def _never_asked(rules: tuple[Rule, ...], settings: Settings) -> Iterator[tuple[Rule, str, int]]:
    asked = _marks(rules, ("isset", "isnotset"))
    for rule in rules:
        made = [s for s in rule.states if isinstance(s, Bits) and s.command in ("set", "toggle")]
        if made and rule.noalert and not any((s.kind, n) in asked for s in made for n in s.names):
            s = made[0]
            at = _option_with(rule, s.kind, s.names[0], "set")
            yield rule, f"no rule asks for {s.names[0]}, and this one does not alert: it has no effect", at


CHECKS: Final = (
    Check(
        "duplicate", "warning", "Two rules mean the same",
        "They match and act alike, whatever they are called and however they are written; each alert comes twice.",
        together=_duplicates,
    ),
    Check(
        "shadowed", "note", "Another rule covers this one",
        "The other rule asks for nothing that this one does not ask for as well. If it passes, this one never alerts; if it alerts, "
        "both do, which may be meant (one general, one exact) or left over.",
        together=_shadowed,
    ),
    Check(
        "mark-never-set", "warning", "A mark is asked for that no rule sets",
        "The rule waits for a flowbit, xbit or hostbit; the rule that sets it was removed, disabled or refused. It never matches.",
        together=_never_set,
    ),
    Check(
        "mark-never-asked", "note", "A mark is set that no rule asks for",
        "The rule does nothing but set the mark (noalert), and nothing uses it.",
        together=_never_asked,
    ),
)  # fmt: skip
"""Checks of rules together."""
