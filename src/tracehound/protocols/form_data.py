"""In: the body of a form as a browser sends it, in order. Out: its files (table `files`) and the names of its fields.
Never here: what a field means (http_logins.py), HTTP.

multipart/form-data is RFC 7578 over RFC 2046 5.1: parts between lines of "--boundary", each with headers of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tracehound.limits import MAX_FORM_HEADER_BYTES, MAX_FORM_PARTS
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.session import Emit

_PARAMETER: Final = re.compile(r';\s{0,8}([\w*-]{1,40})\s{0,8}=\s{0,8}(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_BOUNDARY: Final = re.compile(r"[ -~]{1,70}")
_VALUE_BYTES: Final = 256
_PIECE_BYTES: Final = 32_768

OpenFile = Callable[[str, str | None], CarriedFile]
"""Begins a file with this name and declared type."""


def parameters(value: str) -> dict[str, str]:
    """Parameters of a header value, names in lower case: 'form-data; name="a"' -> {'name': 'a'}. A name* (RFC 8187) comes
    without its asterisk and takes precedence."""
    out: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value[:MAX_FORM_HEADER_BYTES]):
        plain = re.sub(r'\\(["\\])', r"\1", quoted) or bare
        key = name.lower()
        if key.endswith("*"):
            out[key[:-1]] = unescaped(plain.split("'", 2)[-1])
        else:
            out.setdefault(key, plain)
    return out


def unescaped(value: str) -> str:
    """Text with %NN taken back: as UTF-8 where it is, what is not printable as \\xNN."""
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes((int(m[1], 16),)), value.encode("utf-8", "replace"))
    shown = raw.decode("utf-8", "backslashreplace")
    return shown if shown.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)


class FormParts:
    """The parts of one multipart/form-data body. `fields` has the first bytes of every part that is no file, by its name."""

    __slots__ = ("_buffer", "_delimiter", "_field", "_file", "_open", "_parts", "_state", "emit", "fields", "files")

    def __init__(self, content_type: str, open_file: OpenFile, emit: Emit) -> None:
        boundary = parameters(content_type).get("boundary", "")
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace") if _BOUNDARY.fullmatch(boundary) else b""
        # RFC 2046 5.1.1: the first delimiter may stand at the very beginning, without the line end before it.
        self._buffer = b"\r\n"
        self._state = "preamble" if self._delimiter else "over"
        self._open = open_file
        self._file: CarriedFile | None = None
        self._field: str | None = None
        self._parts = 0
        self.emit = emit
        self.fields: dict[str, bytes] = {}
        self.files = 0

    def add(self, data: bytes) -> None:
        """The next bytes of the body."""
        if self._state == "over":
            return
        # In pieces: every delimiter copies what is left of the buffer.
        for at in range(0, len(data), _PIECE_BYTES):
            self._buffer += data[at : at + _PIECE_BYTES]
            while _STEPS[self._state](self):
                pass

    def _part_data(self) -> bool:
        """Preamble or content: everything before the next delimiter."""
        size = len(self._delimiter)
        at, after = self._buffer.find(self._delimiter), b""
        # RFC 2046 5.1.1: "--" or the line's end follows, perhaps after blanks; anything else is a longer word of the content.
        while at >= 0 and (after := self._buffer[at + size : at + size + 2]) and after[:1] not in (b"-", b"\r", b" ", b"\t"):
            at = self._buffer.find(self._delimiter, at + 1)
        if at < 0 or not after:
            # The delimiter, or what follows it, may be cut: so much of the end is kept.
            hold = len(self._delimiter)
            self._content(self._buffer[:-hold])
            self._buffer = self._buffer[-hold:]
            return False
        self._content(self._buffer[:at])
        self._end_part(complete=True)
        self._buffer = self._buffer[at + len(self._delimiter) :]
        self._state = "delimiter"
        return True

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        end = self._buffer.find(b"\r\n")
        if self._buffer[:2] == b"--":
            self._state = "over"
            self._buffer = b""
            return False
        if end < 0:
            if len(self._buffer) > MAX_FORM_HEADER_BYTES:
                self._state = "over"
            return False
        # The line end stays: a part without headers begins with an empty line.
        self._buffer = self._buffer[end:]
        self._state = "header"
        return True

    def _header(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_FORM_HEADER_BYTES or self._parts >= MAX_FORM_PARTS:
            if end >= 0 or len(self._buffer) > MAX_FORM_HEADER_BYTES:
                self._state = "over"
                self._buffer = b""
            return False
        headers = self._buffer[:end].decode("utf-8", "backslashreplace").split("\r\n")
        # An empty part's delimiter begins with the line end that closes its header.
        self._buffer = self._buffer[end + 2 :] if self._buffer.startswith(self._delimiter, end + 2) else self._buffer[end + 4 :]
        self._parts += 1
        values = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in headers) if v}
        said = parameters(values.get("content-disposition", ""))
        name = said.get("filename")
        if name is not None:
            declared = values.get("content-type")
            self._file = self._open(unescaped(name), declared.split(";", 1)[0].strip().lower() if declared else None)
        else:
            self._field = said.get("name")
        self._state = "content"
        return True

    def _content(self, data: bytes) -> None:
        if not data:
            return
        if self._file is not None:
            self._file.add(data)
        elif self._field is not None:
            self.fields[self._field] = (self.fields.get(self._field, b"") + data[:_VALUE_BYTES])[:_VALUE_BYTES]

    def _end_part(self, *, complete: bool) -> None:
        file, self._file = self._file, None
        if self._field is not None:
            self.fields.setdefault(self._field, b"")
            self._field = None
        # RFC 7578 4.2: a file field that was left empty has a part with an empty name and no bytes.
        if file is not None and (file.bytes or file.name):
            file.close(self.emit, complete=complete)
            self.files += 1

    def close(self) -> None:
        """No more comes."""
        if self._state == "content":
            self._content(self._buffer)
        self._buffer = b""
        self._end_part(complete=False)
        self._state = "over"


_STEPS: Final[dict[str, Callable[[FormParts], bool]]] = {
    "preamble": FormParts._part_data,
    "delimiter": FormParts._after_delimiter,
    "header": FormParts._header,
    "content": FormParts._part_data,
    "over": lambda _parts: False,
}


def urlencoded_fields(text: str) -> dict[str, str]:
    """Fields of application/x-www-form-urlencoded text (WHATWG URL, section 5), first value of each name."""
    out: dict[str, str] = {}
    for pair in text.split("&")[:MAX_FORM_PARTS]:
        name, _, value = pair.partition("=")
        if name:
            out.setdefault(unescaped(name.replace("+", " ")), unescaped(value.replace("+", " ")))
    return out
