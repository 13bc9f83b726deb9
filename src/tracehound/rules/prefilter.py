"""In: the plans of all rules. Out: which of them the bytes of a flow's direction may match, by one scan for all their literals.
Never here: flows or packets.

Hyperscan looks for the rarest literal of every rule at once; each is reported once a scan (SINGLEMATCH), so that a literal
found a thousand times in one direction costs one call into Python. The other literals of a rule are then looked for one by
one, which throws out most of what is left."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import hyperscan

from tracehound.rules.literals import Literal, chosen, expression, literals_of
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Pcre

CODED: Final = 0
MAILED: Final = 1
"""Patterns that are no rule's: a body with a coding, mail with attachments: their decoded text must be looked at too."""
_CODED: Final = (
    rb"\r?\n(?i:transfer-encoding)[ \t]*:[ \t]*(?i:chunked)",
    rb"\r?\n(?i:content-encoding)[ \t]*:[ \t]*(?i:x-)?(?i:gzip|deflate|lzma)",
)
_MAILED: Final = rb"\n(?i:content-transfer-encoding)[ \t]*:[ \t]*(?i:base64|quoted-printable)"
_FLAGS: Final = {"i": hyperscan.HS_FLAG_CASELESS, "s": hyperscan.HS_FLAG_DOTALL, "m": hyperscan.HS_FLAG_MULTILINE}


@dataclass(slots=True)
class Prefilter:
    """database: compiled patterns; by_pattern: plans by pattern number; others: further literals of a plan by its order;
    without: plans that no pattern stands for."""

    database: Any
    by_pattern: list[list[Plan]]
    others: dict[int, list[Literal]]
    without: list[Plan]
    expressions: list[tuple[bytes, int]] = field(default_factory=list)

    def found(self, data: bytes) -> list[int]:
        """Numbers of the patterns that are in `data`."""
        out: list[int] = []
        if data:
            self.database.scan(data, match_event_handler=_collect, context=out)
        return out


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
            pattern = step.pattern.removeprefix(b"^")
            if re.search(rb"(?<!\\)(?<!\[)\^|(?<!\\)\$|\\[AzZbB]", pattern):
                # What is joined for the scan has other ends than the packet that the expression is meant for.
                return None
            return pattern, flags
    return None


def _compiles(pattern: bytes, flags: int) -> bool:
    try:
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(expressions=[pattern], ids=[0], flags=[flags])
    except hyperscan.HyperscanError:
        return False
    return True


def patterns_of(plans: list[Plan]) -> tuple[list[tuple[bytes, int]], list[list[Plan]], dict[int, list[Literal]], list[Plan]]:
    """(expressions with flags, plans by expression, further literals, plans without)."""
    numbers: dict[tuple[bytes, int], int] = {}
    expressions: list[tuple[bytes, int]] = [
        (b"(?:" + b"|".join(_CODED) + b")", hyperscan.HS_FLAG_SINGLEMATCH), (_MAILED, hyperscan.HS_FLAG_SINGLEMATCH),
    ]  # fmt: skip
    by_pattern: list[list[Plan]] = [[], []]
    others: dict[int, list[Literal]] = {}
    without: list[Plan] = []
    for plan in plans:
        literal = chosen(plan.rule) if plan.unit != "ip_only" else None
        pattern: tuple[bytes, int] | None = None
        if literal is not None:
            flags = hyperscan.HS_FLAG_SINGLEMATCH | (hyperscan.HS_FLAG_CASELESS if literal.nocase else 0)
            pattern = expression(literal), flags
            rest = [other for other in literals_of(plan.rule) if other != literal]
            if rest:
                others[plan.order] = rest
        elif plan.unit == "packet" and (made := _expression_of_pcre(plan)) is not None and _compiles(*made):
            pattern = made
        if pattern is None:
            without.append(plan)
            continue
        number = numbers.get(pattern)
        if number is None:
            number = numbers[pattern] = len(expressions)
            expressions.append(pattern)
            by_pattern.append([])
        by_pattern[number].append(plan)
    return expressions, by_pattern, others, without


def build(plans: list[Plan], stored: Callable[[], bytes | None] | None = None) -> Prefilter:
    """The prefilter of all plans. stored: gives the compiled database where an earlier run kept it."""
    expressions, by_pattern, others, without = patterns_of(plans)
    data = stored() if stored is not None else None
    if data is not None:
        database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    else:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[e for e, _ in expressions], ids=list(range(len(expressions))), flags=[f for _, f in expressions],
        )
    return Prefilter(database, by_pattern, others, without, expressions)


def has_all(literals: list[Literal], data: bytes, lower: Callable[[], bytes]) -> bool:
    """Whether all literals are in the data."""
    return all((literal.data in lower()) if literal.nocase else (literal.data in data) for literal in literals)
