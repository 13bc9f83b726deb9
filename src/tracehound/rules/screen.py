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
from typing import Any, Final

from tracehound.rules.plan import GroupPlan, Plan
from tracehound.rules.rule import ByteExtract, ByteJump, ByteMath, ByteTest, Content, IsDataAt, Pcre, Step
from tracehound.rules.services.http import Http
from tracehound.rules.services.identify import by_content
from tracehound.rules.services.service import COMPLETE
from tracehound.rules.transforms import apply
from tracehound.rules.verify import Chain, Sight

MOST_STEPS: Final = 20_000
"""Steps after which the answer is yes."""
_NOT_MORE_BYTES: Final = re.compile(rb"\(\?[!<>(|]|\\[bBAzZGKRXC1-9gk]|[$^]|[*+?}]\+|\(\*|\(\?P[>=]|\(\?[a-zA-Z-]*\)")
"""What makes an expression say something else when more bytes stand around those that it matched: ends, bounds, what must not
stand there, and what does not give back."""


# -- the payload ------------------------------------------------------------------------------------------------------------


def _holds_in_more(step: Pcre) -> bool:
    """Whether an expression that matches in some bytes matches in all that contain them."""
    pattern = step.pattern
    if step.relative and pattern.startswith(b"^") and "m" not in step.flags:
        pattern = pattern[1:]
    if set(step.flags) - set("isG") or _NOT_MORE_BYTES.search(re.sub(rb"\\\\|\[\^", b"..", pattern)):
        return False
    return True


def _variables(step: Step) -> list[str]:
    return [v for name in ("offset", "depth", "distance", "within", "count", "value", "at", "post_offset", "rvalue")
            if isinstance(v := getattr(step, name, None), str)]  # fmt: skip


def relaxed(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """What is left of the steps of a buffer when it is not known where it begins and ends."""
    out: list[Step] = []
    known: set[str] = set()
    adrift = True
    for step in steps:
        relative = bool(getattr(step, "relative", False))
        lost = (relative and adrift) or any(name not in known for name in _variables(step))
        if isinstance(step, Content):
            if step.negated:
                continue
            if lost or not relative:
                out.append(replace(step, offset=None, depth=None, distance=None, within=None, startswith=False, endswith=False))
            else:
                out.append(replace(step, offset=None, depth=None, startswith=False, endswith=False))
            adrift = False
        elif isinstance(step, Pcre):
            if not step.negated and not lost and _holds_in_more(step):
                out.append(replace(step, captures=()))
            if not step.negated:
                # Where it ends depends on what follows.
                adrift = True
        elif isinstance(step, ByteTest):
            if relative and not lost and not step.digits:
                out.append(step)
        elif isinstance(step, ByteJump):
            if relative and not lost and not step.digits and step.origin == "here":
                out.append(step)
            else:
                adrift = True
        elif isinstance(step, ByteExtract | ByteMath):
            name = step.name if isinstance(step, ByteExtract) else step.result
            if relative and not lost and not step.digits:
                out.append(step)
                known.add(name)
            else:
                known.discard(name)
                adrift = True
        elif isinstance(step, IsDataAt):
            if relative and not lost and not step.negated:
                out.append(step)
        else:
            adrift = True
    return tuple(out)


# -- HTTP -------------------------------------------------------------------------------------------------------------------


class Heard:
    """What both sides of a flow said, as HTTP: its transactions when no more comes."""

    def __init__(self, requests: bytes, responses: bytes) -> None:
        self.readable = False
        if by_content(requests[:512], True) != "http" or by_content(responses[:512], False) not in (None, "http"):
            return
        reader = Http()
        for side, said in ((True, requests), (False, responses)):
            reader.feed(side, said)
        turned = reader.upgrade is not None or reader.stopped
        odd = any(name == "request_body_unexpected" for tx in reader.transactions for name, _ in tx.events)
        for side in (True, False):
            reader.end(side)
        self.transactions: list[Any] = reader.transactions
        # Where a connection turns to another protocol, or bytes come that were not announced, it depends on the packets what is read.
        self.readable = not turned and not odd and not any(
            tx.method == b"CONNECT" or tx.unseen_request for tx in self.transactions
        )


_GROWS: Final = (Content, ByteTest, ByteJump, ByteExtract, ByteMath, IsDataAt)


def _grows_with(group: GroupPlan) -> bool:
    """Whether what holds of the beginning of a body holds of all of it."""
    return not group.transforms and not group.absent and all(
        (isinstance(s, _GROWS) and not getattr(s, "endswith", False) and not (isinstance(s, Content | IsDataAt) and s.negated)
         and getattr(s, "origin", "here") != "end")
        or (isinstance(s, Pcre) and not s.negated and _holds_in_more(replace(s, pattern=s.pattern.removeprefix(b"^"))))
        for s in group.chain.steps
    )


def _asks_sets(chain: Chain) -> bool:
    return chain.sets is not None and any(type(s).__name__ in ("Dataset", "Datarep") for s in chain.steps)


def _group_may(group: GroupPlan, data: bytes | None, names: dict[str, int]) -> bool:
    if data is None:
        return bool(group.absent)
    if group.absent == "only":
        return False
    sight = Sight(apply(data, group.transforms) if group.transforms else data, names=names)
    return group.chain.holds(sight) or sight.exhausted or sight.budget < 0


@dataclass(slots=True)
class Screen:
    """What one rule must find. chain: steps in the payload of its direction; http: it is tried on what was heard as HTTP."""

    plan: Plan
    chain: Chain | None
    http: bool
    folds: bool = False

    @property
    def asks(self) -> bool:
        return self.chain is not None or self.http

    def chain_may(self, data: bytes, lower: Callable[[], bytes]) -> bool:
        """Whether the payload's steps may hold somewhere in these bytes."""
        if self.chain is None:
            return True
        sight = Sight(data, budget=MOST_STEPS)
        if self.folds:
            sight._lower = lower()
        return self.chain.holds(sight) or sight.exhausted or sight.budget < 0

    def http_may(self, heard: Heard, to_server: bool) -> bool:
        """Whether it may hold in one of the transactions, on packets of this direction."""
        return any(self._transaction_may(tx, to_server) for tx in heard.transactions)

    def _transaction_may(self, tx: Any, to_server: bool) -> bool:
        for late in self.plan.late:
            if late.name == "urilen" and late.check(tx, to_server) is False:
                return False
        names: dict[str, int] = {}
        for group in self.plan.groups:
            source = Http.sources.get(group.name)
            if source is None:
                return False
            side = source.to_server if source.to_server is not None else group.side if group.side is not None else to_server
            if side != to_server:
                return False
            if tx.progress[side] < min(source.progress, COMPLETE):
                return False
            if _asks_sets(group.chain) or (source.grows and not _grows_with(group)):
                continue
            data = source.get(tx, side)
            values = (data or [None]) if isinstance(data, list) else [data]
            if not any(_group_may(group, value, names) for value in values):
                return False
        return True


def screen_of(plan: Plan) -> Screen:
    """What must be found for a rule to hold."""
    chain = None
    if plan.payload is not None and not plan.payload.transforms and not plan.payload.absent:
        steps = relaxed(plan.payload.chain.steps)
        chain = Chain(steps) if steps else None
    http = plan.unit == "transaction" and not plan.transactional and any(g.name in Http.sources for g in plan.groups)
    return Screen(plan, chain, http, chain is not None and any(isinstance(s, Content) and s.nocase for s in chain.steps))
