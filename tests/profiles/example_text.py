"""In: a regular expression as profiles write it. Out: a short text that it matches, so that every profile can be tried on a
synthetic trace. Never here: a test."""

from __future__ import annotations

import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_OF_CATEGORY: dict[Any, str] = {
    codes.CATEGORY_DIGIT: "7",
    codes.CATEGORY_WORD: "w",
    codes.CATEGORY_NOT_SPACE: "x",
    codes.CATEGORY_SPACE: " ",
}


def example_of(pattern: str) -> str:
    """A text that `pattern` finds. Raises AssertionError where the shortest way through the pattern does not match."""
    text = "".join(_piece(op, value) for op, value in parser.parse(pattern))
    assert re.search(pattern, text), (pattern, text)
    return text


def _sequence(items: Any) -> str:
    return "".join(_piece(op, value) for op, value in items)


def _piece(op: Any, value: Any) -> str:
    if op == codes.LITERAL:
        return chr(value)
    if op == codes.NOT_LITERAL:
        return "y" if value != ord("y") else "z"
    if op == codes.ANY:
        return "a"
    if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        low, _high, inner = value
        return _sequence(inner) * int(low)
    if op == codes.SUBPATTERN:
        return _sequence(value[3])
    if op == codes.BRANCH:
        return _sequence(value[1][0])
    if op == codes.IN:
        return _one_of(value)
    if op == codes.AT:
        return ""
    raise AssertionError(f"no example of {op}")


def _one_of(members: Any) -> str:
    if members[0][0] == codes.NEGATE:
        taken = {v for op, v in members[1:] if op == codes.LITERAL}
        return str(next(c for c in "abcdefg0" if ord(c) not in taken))
    op, value = members[0]
    if op == codes.LITERAL:
        return chr(value)
    if op == codes.RANGE:
        return chr(value[0])
    return _OF_CATEGORY[value]
