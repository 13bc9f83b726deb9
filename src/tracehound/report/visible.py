"""In: text that came out of evidence, so out of an attacker's hands. Out: the same text with nothing in it that a terminal
or a browser would obey: controls, escapes, direction marks and invisible characters are written out as \\x1b or \\u202e.
Never here: HTML (html.py escapes on top of this) or knowledge of a verdict."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

SHORT_ESCAPES: Final[dict[str, str]] = {"\r": "\\r", "\n": "\\n", "\t": "\\t", "\0": "\\0"}

OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
"""Unicode categories written out: controls, formats (direction marks, zero width), surrogates, private, unassigned, line
separators; and combining marks, which stack over neighbouring lines without end."""

_PLAIN_OR_ONE: Final = re.compile(r"[ -~]+|[^ -~]")
"""Printable ASCII as a whole, anything else one character at a time."""
HEX_ROW_BYTES: Final = 16


class Run(NamedTuple):
    """A piece of text; `escaped` says that it stands for characters that were written out."""

    text: str
    escaped: bool


class Preview(NamedTuple):
    """First bytes of a transfer as lines to show: `kind` is text or hex; `bytes_shown` counts what the lines hold."""

    kind: str
    lines: tuple[str, ...]
    bytes_shown: int


def written_out(char: str) -> str:
    """One character as its escape, the shortest of \\n, \\x1b, \\u202e, \\U000e0001."""
    short = SHORT_ESCAPES.get(char)
    if short is not None:
        return short
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def obeyed(char: str) -> bool:
    """True for a character that must not reach a terminal or a page as it is."""
    if " " <= char <= "~":
        return False
    return unicodedata.category(char) in OBEYED or (char != " " and char.isspace())


def runs(text: str, limit: int | None = None) -> list[Run]:
    """`text` as runs of plain and written-out characters; at most `limit` characters, and a last run that counts the rest."""
    kept = text if limit is None or len(text) <= limit else text[:limit]
    out: list[Run] = []
    for found in _PLAIN_OR_ONE.findall(kept):
        escaped = not " " <= found[0] <= "~" and obeyed(found)
        piece = written_out(found) if escaped else found
        if out and out[-1].escaped == escaped:
            out[-1] = Run(out[-1].text + piece, escaped)
        else:
            out.append(Run(piece, escaped))
    if len(kept) < len(text):
        out.append(Run(f"... ({len(text) - len(kept):,} characters more)", True))
    return out


def visible(text: str, limit: int | None = None) -> str:
    """`text` made harmless as one string."""
    return "".join(run.text for run in runs(text, limit))


def cells(text: str) -> int:
    """Terminal columns that harmless text takes: East Asian wide characters take two (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> tuple[str, str]:
    """Harmless text split so that the first piece takes at most `width` columns (and at least one character)."""
    used = 0
    for at, char in enumerate(text):
        used += cells(char)
        if used > width and at:
            return text[:at], text[at:]
    return text, ""


def clip(text: str, width: int) -> str:
    """Harmless text in at most `width` columns; dots mark what is missing."""
    if cells(text) <= width:
        return text
    return cut(text, max(1, width - 3))[0] + "..." if width > 4 else cut(text, max(1, width))[0]


def wrap(text: str, width: int) -> list[str]:
    """Harmless text in lines of at most `width` columns, broken at spaces where there are any, else anywhere."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        candidate = f"{line} {word}" if line else word
        if cells(candidate) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = word
        while cells(line) > width:
            head, line = cut(line, width)
            lines.append(head)
    lines.append(line)
    return lines or [""]


def raw_bytes(preview: str) -> bytes:
    """The bytes behind a preview: one character a byte where that is possible (Latin-1), else UTF-8."""
    try:
        return preview.encode("latin-1")
    except UnicodeEncodeError:
        return preview.encode("utf-8", "surrogatepass")


def as_text(raw: bytes) -> str | None:
    """The bytes as text, or None where they read better as hex: not UTF-8, or with controls other than line ends."""
    for lost in range(4):  # a cut after `lost` bytes of a UTF-8 sequence is the preview's fault, not the page's
        try:
            text = raw[: len(raw) - lost].decode("utf-8")
            break
        except UnicodeDecodeError:
            continue
    else:
        return None
    controls = sum(1 for char in text if char < " " and char not in "\r\n\t\x0c\x1b")
    return None if controls * 20 > len(text) or "\0" in text[:4] else text


def preview(text: str, *, width: int = 76, most_lines: int = 16) -> Preview:
    """A preview as harmless lines: text line by line, anything else as offset, hex and ASCII as in hexdump -C."""
    raw = raw_bytes(text)
    readable = as_text(raw)
    if readable is not None:
        lines: list[str] = []
        for line in readable.replace("\r\n", "\n").split("\n"):
            shown = visible(line)
            while cells(shown) > width:
                head, shown = cut(shown, width)
                lines.append(head)
            lines.append(shown)
        while lines and not lines[-1].strip():
            lines.pop()
        if len(lines) > most_lines:
            lines = [*lines[: most_lines - 1], f"... ({len(lines) - most_lines + 1} lines more)"]
        return Preview("text", tuple(lines), len(raw))
    dump = hex_lines(raw, width=width, most_lines=most_lines)
    return Preview("hex", dump, min(len(raw), most_lines * _per_row(width)))


def _per_row(width: int) -> int:
    return HEX_ROW_BYTES if width >= 71 else 8


def hex_lines(raw: bytes, *, width: int = 76, most_lines: int = 16) -> tuple[str, ...]:
    """Bytes as offset, hex and ASCII, as hexdump -C has them."""
    per_row = _per_row(width)
    rows = [raw[at : at + per_row] for at in range(0, min(len(raw), most_lines * per_row), per_row)]
    return tuple(
        f"{at * per_row:04x}  {row.hex(' '):<{per_row * 3 - 1}}  " + "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        for at, row in enumerate(rows)
    )
