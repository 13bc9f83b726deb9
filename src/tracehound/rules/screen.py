"""In: a rule, and all bytes that each side of a flow has said so far. Out: whether the rule could hold in them, told from what it
must find whatever packet and window it is tried on. Never here: packets, or the exact answer (inspect.py and verify.py).

A rule that is held back by this is tried again with the next bytes of its side, so nothing is lost: what is asked here is always
less than what the rule asks. Places that count from the beginning of a buffer are let go, because packets and windows of a stream begin
anywhere; so are steps that must not hold. What relates to the match before is asked as it stands. Buffers of HTTP are exact: the
whole of both sides is read once, as inspect.py would read it piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tracehound.limits import MAX_RULE_SCREEN_STEPS, MAX_RULE_STREAM_BYTES
from tracehound.rules.literals import without_ends
from tracehound.rules.plan import GroupPlan, Plan
from tracehound.rules.rule import ByteExtract, ByteJump, ByteMath, ByteTest, Content, IsDataAt, Pcre, Step
from tracehound.rules.services.http import Http
from tracehound.rules.services.identify import by_content
from tracehound.rules.services.service import Source
from tracehound.rules.transforms import apply
from tracehound.rules.verify import Chain, Sight, number_fits

# -- the payload ------------------------------------------------------------------------------------------------------------


def _variables(step: Step) -> list[str]:
    return [v for name in ("offset", "depth", "distance", "within", "count", "value", "at", "post_offset", "rvalue")
            if isinstance(v := getattr(step, name, None), str)]  # fmt: skip


def _expression(step: Pcre, *, begins: bool) -> Pcre | None:
    """An expression that matches wherever this one does, with whatever bytes around it. begins: the bytes begin where they did."""
    if step.negated or set(step.flags) - set("imsG"):
        return None
    pattern = without_ends(step.pattern, starts=begins or (step.relative and "m" not in step.flags))
    return None if pattern is None else replace(step, pattern=pattern, captures=())


class _Relaxing:
    """Steps as they are let go of one by one. adrift: what relates to the match before has nothing to relate to; place: where the search
    stands, counted from the beginning of the buffer, where every step so far was at a fixed place; begins: the buffer's beginning is
    known."""

    def __init__(self, *, begins: bool) -> None:
        self.out: list[Step] = []
        self.known: set[str] = set()
        self.begins = begins
        self.adrift = not begins
        self.place: int | None = None

    def _lost(self, step: Step) -> bool:
        relative = bool(getattr(step, "relative", False))
        return (relative and self.adrift) or any(name not in self.known for name in _variables(step))

    def content(self, step: Content, never: bytes) -> None:
        size = len(step.pattern)
        lost, begin = self._lost(step), _fixed(step)
        relative = step.relative and not lost
        if self.begins and not lost:
            self.out.append(replace(step, endswith=False))
        elif relative:
            self.out.append(replace(step, offset=None, depth=None, startswith=False, endswith=False))
            self.place = None
        elif begin is not None and self.place is not None and not never:
            distance = begin - self.place
            self.out.append(Content(step.pattern, nocase=step.nocase, distance=distance, within=size))
            self.place = begin + size
        elif never:
            self.out.append(Pcre(b"(?!" + _escaped(never) + b")(?i:" + _escaped(step.pattern) + b")", "s"))
            self.place = (begin or 0) + size
        else:
            self.out.append(Content(step.pattern, nocase=step.nocase))
            self.place = begin + size if begin is not None else None
        self.adrift = False

    def expression(self, step: Pcre) -> None:
        made = None if self._lost(step) else _expression(step, begins=self.begins)
        if made is not None:
            self.out.append(made)
        if not step.negated:
            # Where it ends depends on what follows.
            self.adrift, self.place = True, None

    def number(self, step: ByteTest | ByteJump | ByteExtract | ByteMath) -> None:
        kept: Step | None = None
        if not step.digits and not self._lost(step) and getattr(step, "origin", "here") == "here":
            if step.relative or self.begins:
                kept = step
            elif self.place is not None and isinstance(step.offset, int):
                kept = replace(step, relative=True, offset=step.offset - self.place)
        if kept is not None:
            self.out.append(kept)
        if isinstance(step, ByteTest):
            return
        name = step.name if isinstance(step, ByteExtract) else step.result if isinstance(step, ByteMath) else ""
        self.known.discard(name)
        self.place = None
        if kept is None:
            self.adrift = True
        elif name:
            self.known.add(name)

    def more(self, step: IsDataAt) -> None:
        if step.negated or self._lost(step):
            return
        if step.relative or self.begins:
            self.out.append(step)
        elif self.place is not None and isinstance(step.at, int):
            self.out.append(replace(step, relative=True, at=step.at - self.place + 1))


def _fixed(step: Content) -> int | None:
    """Where in the buffer a content must begin; None where there is more than one place."""
    if step.relative:
        return None
    if step.startswith:
        return 0
    offset = 0 if step.offset is None else step.offset
    return offset if isinstance(offset, int) and step.depth == len(step.pattern) else None


def _escaped(data: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data)


def _never_there(steps: tuple[Step, ...], step: Content) -> bytes:
    """What must not stand where a content must, where a rule tells two spellings apart so."""
    begin = _fixed(step)
    if begin is None or not step.nocase:
        return b""
    for other in steps:
        if not isinstance(other, Content) or not other.negated or other.nocase or _fixed(other) != begin:
            continue
        if len(other.pattern) == len(step.pattern):
            return other.pattern
    return b""


def relaxed(steps: tuple[Step, ...], *, begins: bool = False) -> tuple[Step, ...]:
    """What is left of the steps of a buffer when it is not known where it ends, nor, unless `begins`, where it begins."""
    state = _Relaxing(begins=begins)
    for step in steps:
        if isinstance(step, Content):
            if not step.negated:
                state.content(step, b"" if begins else _never_there(steps, step))
        elif isinstance(step, Pcre):
            state.expression(step)
        elif isinstance(step, ByteTest | ByteJump | ByteExtract | ByteMath):
            state.number(step)
        elif isinstance(step, IsDataAt):
            state.more(step)
        else:
            state.adrift, state.place = True, None
    return tuple(state.out)


def runs_of(steps: tuple[Step, ...]) -> list[re.Pattern[bytes]]:
    """What relaxed steps must find, as expressions, the longest first: contents at known distances with what single bytes must be."""
    runs: list[list[bytes]] = []
    together = False
    for step in steps:
        if isinstance(step, Content):
            text = _escaped(step.pattern) if not step.nocase else b"(?i:" + _escaped(step.pattern) + b")"
            distance, within, size = step.distance or 0, step.within, len(step.pattern)
            if together and step.relative and isinstance(distance, int) and isinstance(within, int) and distance >= 0:
                runs[-1].append(b"(?s:.{%d,%d}?)" % (distance, distance + max(within - size, 0)) + text)
            else:
                runs.append([text])
            together = True
        elif isinstance(step, ByteTest) and together:
            if step.count == 1 and isinstance(step.offset, int) and step.offset >= 0 and isinstance(step.value, int):
                fits = bytes(n for n in range(256) if number_fits(step, n))
                runs[-1].append(b"(?=(?s:.{%d})[%s])" % (step.offset, _escaped(fits)) if fits else b"(?!)")
        elif not isinstance(step, IsDataAt | ByteTest):
            together = False
    return [re.compile(b"".join(run)) for run in sorted(runs, key=lambda run: -sum(map(len, run)))]


def fixed_of(steps: tuple[Step, ...]) -> re.Pattern[bytes] | None:
    """What must stand at places counted from the beginning of a packet or window."""
    parts: list[bytes] = []
    found = False
    for step in steps:
        if isinstance(step, Content) and not step.negated and not step.relative:
            begin, size = _fixed(step), len(step.pattern)
            offset = 0 if step.offset is None else step.offset
            if begin is None and isinstance(offset, int) and isinstance(step.depth, int) and step.depth >= size:
                last = offset + step.depth - size
            elif begin is not None:
                offset = last = begin
            else:
                continue
            found = True
            text = (b"(?i:" if step.nocase else b"(?:") + _escaped(step.pattern) + b")"
            parts.append(b"(?=(?s:.{%d,%d}?)%s)" % (offset, last, text))
        elif isinstance(step, ByteTest) and not step.relative and not step.digits and step.count == 1:
            if isinstance(step.offset, int) and step.offset >= 0 and isinstance(step.value, int):
                fits = bytes(n for n in range(256) if number_fits(step, n))
                parts.append(b"(?=(?s:.{%d})[%s])" % (step.offset, _escaped(fits)) if fits else b"(?!)")
    return re.compile(b"".join(parts)) if found or len(parts) > 1 else None


# -- HTTP -------------------------------------------------------------------------------------------------------------------


def _head(said: list[bytes | int]) -> bytes:
    return said[0][:512] if said and isinstance(said[0], bytes) else b""


class Heard:
    """What both sides of a flow said, as HTTP: its transactions when no more comes. Between the bytes stands how many are missing."""

    def __init__(self, requests: list[bytes | int], responses: list[bytes | int]) -> None:
        self.readable = False
        self._buffers: dict[tuple[int, str, bool], list[tuple[bytes, bytes] | None]] = {}
        if by_content(_head(requests), True) != "http" or by_content(_head(responses), False) not in (None, "http"):
            return
        reader = Http()
        for side, said in ((True, requests), (False, responses)):
            size = 0
            for piece in said:
                if isinstance(piece, int):
                    reader.gap(side, piece)
                    size += piece
                else:
                    reader.feed(side, piece[: max(0, MAX_RULE_STREAM_BYTES - size)])
                    size += len(piece)
        turned = reader.upgrade is not None or reader.stopped
        odd = any(name == "request_body_unexpected" for tx in reader.transactions for name, _ in tx.events)
        for side in (True, False):
            reader.end(side)
        self.transactions: list[Any] = reader.transactions
        # Where a connection turns to another protocol, or bytes come that were not announced, it depends on the packets what is read.
        self.readable = not turned and not odd and not any(
            tx.method == b"CONNECT" or tx.unseen_request for tx in self.transactions
        )


    def buffer(self, tx: Any, name: str, side: bool) -> list[tuple[bytes, bytes] | None]:
        """What a buffer of a transaction holds, beside it in lower case: one value, several, or one None where it does not exist."""
        key = (tx.number, name, side)
        values = self._buffers.get(key)
        if values is None:
            data = Http.sources[name].get(tx, side)
            found = (data or [None]) if isinstance(data, list) else [data]
            values = self._buffers[key] = [None if value is None else (value, value.lower()) for value in found]
        return values


def _beginning_of(group: GroupPlan) -> Chain | None:
    """What must hold of all of a body where its group held of the beginning; None where nothing must."""
    steps = relaxed(group.chain.steps, begins=True) if not group.transforms and not group.absent else ()
    return Chain(steps) if steps else None


def _asks_sets(chain: Chain) -> bool:
    return chain.sets is not None and any(type(s).__name__ in ("Dataset", "Datarep") for s in chain.steps)


def _group_may(asked: Asked, value: tuple[bytes, bytes] | None, names: dict[str, int]) -> bool:
    group = asked.group
    if value is None:
        return bool(group.absent)
    if group.absent == "only":
        return False
    if asked.chain is None:
        return True
    data, lower = value
    if asked.literal is not None and asked.literal not in (lower if asked.folds else data):
        return False
    if group.transforms:
        sight = Sight(apply(data, group.transforms), names=names)
    else:
        sight = Sight(data, names=names)
        sight._lower = lower
    return asked.chain.holds(sight) or sight.exhausted or sight.budget < 0


class Asked(NamedTuple):
    """What a rule asks of one buffer of HTTP. chain: None where nothing can be told; literal: the longest of it, folds: in lower case."""

    group: GroupPlan
    source: Source
    chain: Chain | None
    literal: bytes | None
    folds: bool


def _asked(group: GroupPlan, source: Source) -> Asked:
    chain = _beginning_of(group) if source.grows else None if _asks_sets(group.chain) else group.chain
    contents = [s for s in (chain.steps if chain is not None and not group.transforms else ()) if isinstance(s, Content) and not s.negated]
    longest = max(contents, key=lambda s: len(s.pattern), default=None)
    if longest is None:
        return Asked(group, source, chain, None, False)
    return Asked(group, source, chain, longest.pattern.lower() if longest.nocase else longest.pattern, longest.nocase)


@dataclass(slots=True)
class Screen:
    """What one rule must find. chain: steps in the payload of its direction, folds: in lower case too; http: it is tried on
    what was heard as HTTP; asked: what it asks of them; runs: parts
    of the chain that are found at once; fixed: what stands at places counted from the beginning."""

    plan: Plan
    chain: Chain | None
    http: bool
    folds: bool
    asked: list[Asked]
    runs: list[re.Pattern[bytes]]
    fixed: re.Pattern[bytes] | None

    @property
    def asks(self) -> bool:
        return self.chain is not None or self.http

    def chain_may(self, data: bytes, lower: Callable[[], bytes], starts: list[int] | None) -> bool:
        """Whether the payload's steps may hold somewhere in these bytes. starts: where packets and windows may begin."""
        if self.chain is None:
            return True
        for run in self.runs:
            if run.search(data) is None:
                return False
        if self.fixed is not None and starts is not None:
            match = self.fixed.match
            if not any(match(data, start) for start in starts):
                return False
        sight = Sight(data, budget=MAX_RULE_SCREEN_STEPS)
        if self.folds:
            sight._lower = lower()
        return self.chain.holds(sight) or sight.exhausted or sight.budget < 0

    def http_may(self, heard: Heard, to_server: bool) -> bool:
        """Whether it may hold in one of the transactions, on packets of this direction."""
        return any(self._transaction_may(heard, tx, to_server) for tx in heard.transactions)

    def _transaction_may(self, heard: Heard, tx: Any, to_server: bool) -> bool:
        for late in self.plan.late:
            if late.name == "urilen" and late.check(tx, to_server) is False:
                return False
        names: dict[str, int] = {}
        for asked in self.asked:
            group, source = asked.group, asked.source
            side = source.to_server if source.to_server is not None else group.side if group.side is not None else to_server
            if side != to_server or tx.progress[side] < source.progress:
                return False
            values = heard.buffer(tx, group.name, side)
            if not any(_group_may(asked, value, names) for value in values):
                return False
        return True


def screen_of(plan: Plan) -> Screen:
    """What must be found for a rule to hold."""
    chain = None
    if plan.payload is not None and not plan.payload.transforms and not plan.payload.absent:
        steps = relaxed(plan.payload.chain.steps)
        chain = Chain(steps) if steps else None
    http = plan.unit == "transaction" and not plan.transactional and bool(plan.groups)
    # The request names the file that the response brings: what one side says does not settle such a rule.
    http = http and all(g.name in Http.sources and g.name != "file.name" for g in plan.groups)
    asked = [_asked(g, Http.sources[g.name]) for g in plan.groups] if http else []
    runs = runs_of(chain.steps) if chain is not None else []
    fixed = fixed_of(plan.payload.chain.steps) if chain is not None and plan.payload is not None else None
    folds = chain is not None and any(isinstance(s, Content) and s.nocase for s in chain.steps)
    return Screen(plan, chain, http, folds, asked, runs, fixed)
