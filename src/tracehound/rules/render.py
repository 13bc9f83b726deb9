"""In: a rule as written, or parts of a rule's meaning. Out: their text, which reads as the same again. Never here: which dialect
can say what (dialects.py)."""

from __future__ import annotations

from typing import Final

from tracehound.rules.rule import LARGEST, Numbers, Written

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - frozenset(b'";:|\\')
"""Bytes that stand in a content as they are; the others are hexadecimal."""


def written_text(written: Written) -> str:
    """A rule as its author wrote it, on one line."""
    head = [
        word
        for word in (
            written.action, written.protocol, written.src, written.src_ports, written.direction, written.dst, written.dst_ports,
        )
        if word
    ]  # fmt: skip
    options = " ".join(f"{o.name};" if o.value is None else f"{o.name}:{o.value};" for o in written.options)
    return f"{' '.join(head)} ({options})"


def content_text(pattern: bytes) -> str:
    """A content between its quotes: printable characters as they are, all else as |0D 0A|."""
    out: list[str] = []
    run: list[str] = []
    for byte in pattern:
        if byte in _PLAIN:
            if run:
                out.append(f"|{' '.join(run)}|")
                run = []
            out.append(chr(byte))
        else:
            run.append(f"{byte:02X}")
    if run:
        out.append(f"|{' '.join(run)}|")
    return "".join(out)


def message_text(text: str) -> str:
    """A msg between its quotes."""
    for mark in ("\\", ";", '"'):
        text = text.replace(mark, "\\" + mark)
    return text


def numbers_text(numbers: Numbers, low: int, high: int) -> str | None:
    """A comparison as keywords write it, for values of `low` to `high`; None where none says it."""
    spans = numbers.spans
    if numbers.mask is not None:
        return _mask_text(numbers)
    if not spans:
        # An empty range: the least that reads as one.
        return f"{low}<>{low + 1}"
    if len(spans) == 2:
        (a, b), (c, d) = spans
        if a == low and d == high and c == b + 2:
            return f"!{b + 1}"
        return f"!{b}-{c}" if a == low and d == high else None
    if len(spans) > 2:
        return None
    first, last = spans[0]
    if first == last:
        return str(first)
    if first == low:
        return f"<{last + 1}" if last < high else f">={low}"
    if last == high:
        return f">{first - 1}"
    return f"{first - 1}<>{last + 1}"


def _mask_text(numbers: Numbers) -> str | None:
    spans, mask = numbers.spans, numbers.mask
    if spans == ((0, 0),):
        return f"&{mask:#x}=0"
    if spans == ((1, LARGEST),):
        return f"&{mask:#x}"
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return f"&{mask:#x}={spans[0][0]:#x}"
    if len(spans) == 2 and spans[1][0] == spans[0][1] + 2:
        return f"&{mask:#x}!={spans[0][1] + 1:#x}"
    return None
