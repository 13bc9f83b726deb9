"""In: the words of a comparison (`>5`, `!10`, `3<>9`, `&0xc0=0x80`, `1kb`). Out: inclusive spans (rule.Numbers).
Never here: which keyword allows what (its reader says the bounds).

Comparisons are strict and ranges exclude their ends, as Suricata's integer keywords do; Snort 3's `<=>` includes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.rule import LARGEST, Numbers

_UNITS: Final = {"": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30}
_NUMBER: Final = re.compile(r"(0[xX][0-9a-fA-F]{1,16}|\d{1,20})(?:\s*([kKmMgG][iI]?[bB]))?")
_SIMPLE: Final = re.compile(r"(!=|<=|>=|==|[=!<>])?\s*(.+)", re.DOTALL)
_RANGE: Final = re.compile(r"(!)?\s*([^<>=&-]+?)\s*(<>|<=>|-)\s*([^<>=&-]+)")
_MASK: Final = re.compile(r"(!)?\s*&\s*(\w+)\s*(?:(!?=)\s*(\w+))?")


def number(text: str, names: Mapping[str, int] | None = None) -> int:
    """A decimal or hexadecimal number with an optional unit, or a name that stands for one; raises KeywordError."""
    text = text.strip()
    m = _NUMBER.fullmatch(text)
    if m is None:
        if names is not None:
            known = names.get(text.lower())
            if known is not None:
                return known
        raise KeywordError(f"{text[:40]!r} is no number" + (" and none of the names known" if names is not None else ""))
    return int(m[1], 0 if m[1][:2] in ("0x", "0X") else 10) * _UNITS[(m[2] or "").lower()]


def numbers(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> Numbers:
    """The values of `low` to `high` for which the comparison holds; raises KeywordError where it is none or none can hold."""
    text = text.strip()
    if "&" in text:
        return _masked(text, low, high)
    m = _RANGE.fullmatch(text)
    if m is not None and (m[3] != "-" or names is None or text.lower().lstrip("! ") not in names):
        inclusive = m[3] == "<=>"
        first, last = _within(m[2], low, high, names), _within(m[4], low, high, names)
        if not inclusive:
            first, last = first + 1, last - 1
        if first == last + 1 and not m[1]:
            # `33<>34`: both ends are excluded and nothing is left. Such rules are about; they never match.
            return Numbers(())
        if first > last:
            raise KeywordError(f"{text[:60]!r}: nothing lies in that range")
        return _spans(bool(m[1]), first, last, low, high, text)
    m = _SIMPLE.fullmatch(text)
    if m is None:
        raise KeywordError("needs a number")
    value = _within(m[2], low, high, names)
    first, last = {
        "<": (low, value - 1),
        "<=": (low, value),
        ">": (value + 1, high),
        ">=": (value, high),
    }.get(m[1] or "", (value, value))
    if first > last:
        raise KeywordError(f"{text[:60]!r}: no value is so")
    return _spans(m[1] in ("!", "!="), first, last, low, high, text)


def _within(text: str, low: int, high: int, names: Mapping[str, int] | None) -> int:
    value = number(text, names)
    if not low <= value <= high:
        raise KeywordError(f"{value} is not within {low} to {high}")
    return value


def _spans(negated: bool, first: int, last: int, low: int, high: int, text: str) -> Numbers:
    if not negated:
        return Numbers(((first, last),))
    spans = [(a, b) for a, b in ((low, first - 1), (last + 1, high)) if a <= b]
    if not spans:
        raise KeywordError(f"{text[:60]!r}: no value is so")
    return Numbers(tuple(spans))


def _masked(text: str, low: int, high: int) -> Numbers:
    m = _MASK.fullmatch(text)
    if m is None:
        raise KeywordError(f"{text[:60]!r} is no comparison under a mask")
    mask = _within(m[2], low, high, None)
    if m[3] is None:
        # Snort and older keywords: &mask holds where any bit is set.
        return Numbers(((0, 0),) if m[1] else ((1, LARGEST),), mask)
    value = _within(m[4], low, high, None)
    if value & ~mask:
        raise KeywordError(f"{text[:60]!r} can never hold: {value:#x} has bits outside the mask")
    if (m[3] == "!=") != bool(m[1]):
        return Numbers(tuple((a, b) for a, b in ((0, value - 1), (value + 1, LARGEST)) if a <= b), mask)
    return Numbers(((value, value),), mask)
