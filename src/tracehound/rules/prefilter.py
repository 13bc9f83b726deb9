"""In: the plans of all rules. Out: which of them the bytes of a flow's direction may match, by one scan for all their literals.
Never here: flows or packets.

Hyperscan looks for the rarest literal of every rule at once; each is reported once a scan (SINGLEMATCH), so that a literal
found a thousand times in one direction costs one call into Python. The other literals of a rule are then looked for one by
one, which throws out most of what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Final, NamedTuple

import hyperscan
import numpy as np
from numpy.typing import NDArray

from tracehound.rules.literals import Literal, chosen, expression, without_ends
from tracehound.rules.outline import Outline, Pattern
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Pcre

Counts = NDArray[np.int64]

CODED: Final = 0
MAILED: Final = 1
"""Patterns that are no rule's: a body with a coding, mail with attachments: their decoded text must be looked at too."""
_CODED: Final = (
    rb"\r?\n(?i:transfer-encoding)[ \t]*:[ \t]*(?i:chunked)",
    rb"\r?\n(?i:content-encoding)[ \t]*:[ \t]*(?i:x-)?(?i:gzip|deflate|lzma)",
)
_MAILED: Final = rb"\n(?i:content-transfer-encoding)[ \t]*:[ \t]*(?i:base64|quoted-printable)"
_ENDS: Final = re.compile(rb"(?<!\\)(?<!\[)\^|(?<!\\)\$|\\[AzZbB]")
_FLAGS: Final = {"i": hyperscan.HS_FLAG_CASELESS, "s": hyperscan.HS_FLAG_DOTALL, "m": hyperscan.HS_FLAG_MULTILINE}


class Others(NamedTuple):
    """Literals of a rule beside the one that it is looked for by. numbers: those that the scan finds as well; rest: the others."""

    numbers: frozenset[int]
    rest: list[Literal]


def pattern_of(literal: Literal) -> Pattern:
    """A literal as the scan looks for it."""
    return expression(literal), hyperscan.HS_FLAG_SINGLEMATCH | (hyperscan.HS_FLAG_CASELESS if literal.nocase else 0)


@dataclass(slots=True)
class Prefilter:
    """database: compiled patterns; outline: which rules they stand for."""

    database: Any
    outline: Outline
    _orders: tuple[Counts, Counts, Counts] | None = None
    _numbers: dict[Pattern, int] | None = None
    _others: dict[int, Others] = field(default_factory=dict)

    def others(self, order: int) -> Others | None:
        """The further literals of a rule: which of them are patterns themselves, and which are to be looked for; None: it has none."""
        literals = self.outline.others.get(order)
        if not literals:
            return None
        found = self._others.get(order)
        if found is None:
            if self._numbers is None:
                self._numbers = {pattern: number for number, pattern in enumerate(self.outline.expressions)}
            numbers = {literal: self._numbers.get(pattern_of(literal)) for literal in literals}
            found = self._others[order] = Others(
                frozenset(n for n in numbers.values() if n is not None), [x for x, n in numbers.items() if n is None]
            )
        return found

    def found(self, data: bytes) -> list[int]:
        """Numbers of the patterns that are in `data`."""
        out: list[int] = []
        if data:
            self.database.scan(data, match_event_handler=_collect, context=out)
        return out


    def orders(self, patterns: Counts) -> tuple[Counts, Counts]:
        """The rules of each of the given patterns, one behind the other, and how many each pattern has."""
        if self._orders is None:
            sizes = np.array([len(orders) for orders in self.outline.by_pattern], np.int64)
            self._orders = (
                np.fromiter((o for orders in self.outline.by_pattern for o in orders), np.int64, int(sizes.sum())),
                np.cumsum(sizes) - sizes, sizes,
            )  # fmt: skip
        flat, starts, sizes = self._orders
        many = sizes[patterns]
        ends = np.cumsum(many)
        return flat[np.repeat(starts[patterns] - (ends - many), many) + np.arange(int(many.sum()))], many


def _collect(number: int, _start: int, _end: int, _flags: int, context: list[int]) -> None:
    context.append(number)


def _expression_of_pcre(plan: Plan) -> tuple[bytes, int] | None:
    """A rule without literal may have an expression that Hyperscan understands."""
    if plan.payload is None:
        return None
    for step in plan.payload.chain.steps:
        if isinstance(step, Pcre) and not step.negated and not set(step.flags) - set("ismGEO") and len(step.pattern) > 8:
            flags = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH
            for letter in step.flags:
                flags |= _FLAGS.get(letter, 0)
            # What is joined for the scan has other ends than the packet that the expression is meant for.
            pattern = without_ends(step.pattern)
            if pattern is None and not _ENDS.search(step.pattern):
                # Hyperscan leaves out what it does not understand, and so finds more.
                pattern = step.pattern
            return (pattern, flags) if pattern else None
    return None


def _compiles(pattern: bytes, flags: int) -> bool:
    try:
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(expressions=[pattern], ids=[0], flags=[flags])
    except hyperscan.HyperscanError:
        return False
    return True


def outline_of(plans: Sequence[Plan]) -> Outline:
    """Patterns of all rules, and what else is to be known of them beforehand."""
    numbers: dict[tuple[bytes, int], int] = {}
    out = Outline()
    out.expressions += [
        (b"(?:" + b"|".join(_CODED) + b")", hyperscan.HS_FLAG_SINGLEMATCH), (_MAILED, hyperscan.HS_FLAG_SINGLEMATCH),
    ]  # fmt: skip
    out.by_pattern += [[], []]
    for plan in plans:
        literal, rest = chosen(plan.rule) if plan.unit != "ip_only" else (None, [])
        pattern: tuple[bytes, int] | None = None
        if literal is not None:
            pattern = pattern_of(literal)
            if rest:
                out.others[plan.order] = rest
        elif plan.unit == "packet" and (made := _expression_of_pcre(plan)) is not None and _compiles(*made):
            pattern = made
        if pattern is None:
            out.without.append(plan.order)
            continue
        number = numbers.get(pattern)
        if number is None:
            number = numbers[pattern] = len(out.expressions)
            out.expressions.append(pattern)
            out.by_pattern.append([])
        out.by_pattern[number].append(plan.order)
    out.add_states(plans)
    out.add_headers(plans)
    return out


def build(plans: Sequence[Plan]) -> Prefilter:
    """The prefilter of all plans."""
    outline = outline_of(plans)
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[e for e, _ in outline.expressions], ids=list(range(len(outline.expressions))),
        flags=[f for _, f in outline.expressions],
    )  # fmt: skip
    return Prefilter(database, outline)


def written(prefilter: Prefilter) -> bytes:
    """The compiled patterns, to be kept."""
    data: bytes = hyperscan.dumpb(prefilter.database)
    return data


def read_back(data: bytes, outline: Outline) -> Prefilter:
    """A prefilter whose patterns were compiled by an earlier run; raises ValueError where this Hyperscan or this processor does not
    take them."""
    try:
        database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except hyperscan.HyperscanError as problem:
        raise ValueError(str(problem)) from None
    return Prefilter(database, outline)


MAKER: Final = f"hyperscan {metadata.version('hyperscan')}"
"""What compiled patterns depend on beside the patterns."""


def has_all(literals: list[Literal], data: bytes, lower: Callable[[], bytes]) -> bool:
    """Whether all literals are in the data."""
    for literal in literals:  # noqa: SIM110 (it is asked very often)
        if literal.data not in (lower() if literal.nocase else data):
            return False
    return True
