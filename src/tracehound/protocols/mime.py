"""In: a mail message's bytes in order, in any pieces. Out: its header fields, and each of its parts, decoded, as a CarriedFile.
Never here: how a protocol carries the message (dots, chunks, literals: smtp.py, pop.py, imap.py).

RFC 5322 (message), 2045 and 2046 (MIME), 2047 and 2231 (names in other scripts). Work is linear in the message, and what is held is
bounded: a header section, or the beginning of what may be a boundary."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Final

from tracehound.limits import MAX_MAIL_HEADER_BYTES, MAX_MAIL_PARTS, MAX_MIME_DEPTH
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.lines import visible
from tracehound.protocols.session import Emit

OpenFile = Callable[[str | None, str | None, int, int], CarriedFile | None]
"""(name, declared type, packet_id, ts_ns) -> where a part goes; None = no more of them."""

_HEAD_END: Final = re.compile(rb"(?:\A|\n)\r?\n")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN: Final = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")
_PARAMETER: Final = re.compile(r';[ \t]*([^\s=;"]{1,80})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)
_CHARSET: Final = re.compile(
    r"utf-?(?:7|8|16|16le|16be)|us-ascii|ascii|iso-?8859-?\d{1,2}|iso-2022-(?:jp|kr)|windows-\d{3,4}|cp\d{3,4}|koi8-[rut]|"
    r"gb2312|gbk|gb18030|big5|shift[_-]jis|euc-(?:jp|kr)|ks_c_5601-1987|mac\w{0,12}", re.IGNORECASE)  # fmt: skip
_BASE64: Final = bytes(c for c in range(256) if not (chr(c).isascii() and (chr(c).isalnum() or c in b"+/=")))
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_MAX_DELIMITER: Final = 300
_MAX_VALUE: Final = 8_192


def _decoded(raw: bytes, charset: str) -> str:
    """Only charsets of text are tried: others of Python's codecs take time that grows faster than their input."""
    try:
        return raw.decode(charset if _CHARSET.fullmatch(charset) else "utf-8")
    except (UnicodeError, LookupError):
        return raw.decode("latin-1")


def _word(match: re.Match[str]) -> str:
    charset, how, body = match.groups()
    if not body.isascii():  # RFC 2047 section 2: encoded-text is printable ASCII; anything else is left as it was sent
        return match.group()
    if how in "bB":
        try:
            raw = binascii.a2b_base64(body + "=" * (-len(body) % 4))
        except (binascii.Error, ValueError):
            return match.group()
    else:
        raw = binascii.a2b_qp(body, header=True)
    return _decoded(raw, charset.split("*")[0])


def header_text(value: str) -> str:
    """A header field's text, its encoded words decoded (RFC 2047: white space between two of them is not part of the text)."""
    return visible(_WORD.sub(_word, _BETWEEN.sub(r"\1", value[:_MAX_VALUE])))


def parameter(value: str, name: str) -> str | None:
    """A parameter of Content-Type or Content-Disposition; None = absent.

    RFC 2231: name*=charset'language'%41..., name*0=..., name*1*=..."""
    pieces: dict[int, tuple[str, bool]] = {}
    for spelled, quoted, plain in _PARAMETER.findall(value[:_MAX_VALUE]):
        key = spelled.lower()
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip()
        if key == name:
            return header_text(text) or None
        stem, star, rest = key.partition("*")
        if stem != name or not star:
            continue
        at, _, coded = rest.partition("*")
        if at == "" or (at.isdigit() and len(at) < 4):
            pieces[int(at or 0)] = text, rest == "" or rest.endswith("*") or coded != ""
    if not pieces:
        return None
    charset = "utf-8"
    out = b""
    for at in sorted(pieces):
        text, coded_piece = pieces[at]
        if coded_piece:
            if at == 0 and text.count("'") >= 2:
                charset, _, text = text.split("'", 2)
            out += _PERCENT.sub(lambda m: bytes((int(m[1], 16),)), text.encode("utf-8"))
        else:
            out += text.encode("utf-8")
    return visible(_decoded(out, charset or "utf-8")) or None


class Base64:
    """RFC 2045 6.8: characters outside the alphabet are ignored; padding ends the data."""

    def __init__(self) -> None:
        self.note = ""
        self._rest = b""
        self._ended = False

    def add(self, data: bytes) -> bytes:
        data = self._rest + data.translate(None, _BASE64)
        self._rest = b""
        if self._ended:
            self.note = "base64 goes on behind its padding" if data.strip(b"=") else self.note
            return b""
        pad = data.find(b"=")
        if pad >= 0:
            self._ended = True
            data = data[:pad]
            if len(data) % 4 == 1:
                self.note, data = "base64 broken off", data[:-1]
            return binascii.a2b_base64(data + b"=" * (-len(data) % 4))
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        return binascii.a2b_base64(data[:whole])

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        if len(rest) < 2:
            return b""
        return binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))


class QuotedPrintable:
    """RFC 2045 6.7, a whole line at a time."""

    note = ""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) > _MAX_VALUE:
            whole = len(data) - 2 if b"=" in data[-2:] else len(data)
        self._rest = data[whole:]
        return binascii.a2b_qp(data[:whole])

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        return binascii.a2b_qp(rest)


class Plain:
    """7bit, 8bit, binary, and encodings that are not known."""

    note = ""

    def add(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


_ENCODINGS: Final[dict[str, Callable[[], Base64 | QuotedPrintable | Plain]]] = {
    "base64": Base64, "quoted-printable": QuotedPrintable,
}  # fmt: skip


class Message:
    """One mail as it passes.

    headers   name in lower case -> values in order, of the outermost header section only
    bytes     size of the message; sha256 its hash, as carried (transport's dots and chunks removed)"""

    def __init__(self, emit: Emit, open_file: OpenFile) -> None:
        self.headers: dict[str, list[str]] = {}
        self.bytes = 0
        self.notes: list[str] = []
        self._emit = emit
        self._open_file = open_file
        self._sha256 = hashlib.sha256()
        self._buffer = b""
        self._step = self._head
        self._outermost = True
        self._boundaries: list[bytes] = []
        self._delimiter: re.Pattern[bytes] | None = None
        self._virtual = False
        self._file: CarriedFile | None = None
        self._decoder: Base64 | QuotedPrintable | Plain = Plain()
        self._parts = 0
        self._broken = False
        self._where = (0, 0)

    @property
    def sha256(self) -> str | None:
        return self._sha256.hexdigest() if self.bytes else None

    def header(self, name: str) -> str | None:
        """First value of a header field."""
        values = self.headers.get(name)
        return values[0] if values else None

    def add(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        """The next bytes, from this packet on."""
        self.bytes += len(data)
        self._sha256.update(data)
        self._where = packet_id, ts_ns
        self._buffer += data
        while self._step():
            pass

    def gap(self) -> None:
        """Bytes are missing here."""
        self._broken = True

    def close(self, *, complete: bool) -> None:
        """No more comes."""
        self._broken |= not complete
        if self._step == self._head:
            self._begin(self._buffer)
        elif self._step == self._body:
            match = self._delimiter.search(self._buffer + b"\n") if self._delimiter else None
            self._deliver(self._buffer[: match.start()] if match else self._buffer)
        self._buffer = b""
        self._end_part()

    # -- steps: True = call again -------------------------------------------------------------------------------------------
    def _head(self) -> bool:
        end = _HEAD_END.search(self._buffer)
        if end is None and len(self._buffer) <= MAX_MAIL_HEADER_BYTES:
            return False
        if end is None:
            self._say("header section longer than the limit")
        stop = end.end() if end else MAX_MAIL_HEADER_BYTES
        head, self._buffer = self._buffer[:stop], self._buffer[stop:]
        self._begin(head)
        return True

    def _begin(self, head: bytes) -> None:
        fields: dict[str, list[str]] = {}
        for line in _FOLD.sub(b"", head).split(b"\n"):
            name, colon, value = line.rstrip(b"\r").partition(b":")
            if colon and len(name) < 80 and name.strip():
                fields.setdefault(name.strip().lower().decode("latin-1"), []).append(_decoded(value.strip(), "utf-8"))
        if self._outermost:
            self.headers, self._outermost = fields, False
        kind = fields.get("content-type", ["text/plain"])[0]
        media = kind.split(";", 1)[0].strip().lower()[:100]
        boundary = (parameter(kind, "boundary") or "").encode("utf-8") if media.startswith("multipart/") else b""
        self._parts += 1
        if media == "message/rfc822" and self._parts <= MAX_MAIL_PARTS and "base64" not in str(
            fields.get("content-transfer-encoding", "")
        ).lower():
            return
        if boundary and len(boundary) <= 200 and len(self._boundaries) < MAX_MIME_DEPTH:
            self._boundaries.append(boundary)
            self._compile()
        else:
            self._open_part(fields, media)
        self._step = self._body
        # RFC 2046 5.1.1: a delimiter begins a line; the line end before the body is put back for the search.
        self._buffer = b"\n" + self._buffer
        self._virtual = True

    def _open_part(self, fields: dict[str, list[str]], media: str) -> None:
        if self._parts > MAX_MAIL_PARTS:
            self._say("more parts than the limit")
            return
        disposition = fields.get("content-disposition", [""])[0]
        name = parameter(disposition, "filename") or parameter(fields.get("content-type", [""])[0], "name")
        self._file = self._open_file(name, media or None, *self._where)
        encoding = fields.get("content-transfer-encoding", [""])[0].strip().lower()
        self._decoder = _ENCODINGS.get(encoding, Plain)()

    def _compile(self) -> None:
        names = b"|".join(b"(" + re.escape(b) + b")" for b in self._boundaries)
        self._delimiter = re.compile(rb"\r?\n--(?:" + names + rb")(--)?[ \t]*\r?\n") if self._boundaries else None

    def _body(self) -> bool:
        if self._delimiter is None:
            data, self._buffer = self._buffer, b""
            self._deliver(data)
            return False
        match = self._delimiter.search(self._buffer)
        if match is None:
            keep = self._held()
            data, self._buffer = self._buffer[:keep], self._buffer[keep:]
            self._deliver(data)
            return False
        self._deliver(self._buffer[: match.start()])
        self._end_part()
        self._buffer = self._buffer[match.end() :]
        which = next(i for i in range(len(self._boundaries)) if match.group(i + 1) is not None)
        last = match.group(len(self._boundaries) + 1) is not None
        del self._boundaries[which + (not last) :]
        self._compile()
        if last:
            self._buffer = b"\n" + self._buffer
            self._virtual = True
        else:
            self._virtual = False
            self._step = self._head
        return True

    def _held(self) -> int:
        """Where what may be the beginning of a delimiter begins."""
        buffer = self._buffer
        newline = buffer.rfind(b"\n")
        tail = buffer[newline + 1 :]
        if newline < 0 or len(tail) > _MAX_DELIMITER or tail[:2] != b"--"[: len(tail)]:
            return len(buffer) - buffer.endswith(b"\r")
        return newline - (newline > 0 and buffer[newline - 1] == 13)

    def _deliver(self, data: bytes) -> None:
        if self._virtual and data:
            data, self._virtual = data[1:], False
        if data and self._file is not None:
            self._write(self._decoder.add(data))

    def _write(self, data: bytes) -> None:
        if data and self._file is not None:
            self._file.add(data)

    def _end_part(self) -> None:
        file = self._file
        if file is not None:
            self._write(self._decoder.end())
            if file.bytes or file.name:
                note = "bytes are missing" if self._broken else ""
                file.close(self._emit, complete=not self._broken, note="; ".join(filter(None, (note, self._decoder.note))))
        self._file, self._decoder = None, Plain()

    def _say(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


class Dotted:
    """RFC 5321 4.5.2, RFC 1939 3: a message ends with a line that is a single dot; other lines that begin with one have one more."""

    _END: Final = re.compile(rb"\n\.\r?\n")
    _AT_ONCE: Final = 65_536

    def __init__(self) -> None:
        self._held = b"\n"
        self._virtual = True

    def take(self, data: bytes, at: int) -> tuple[bytes, int, bool]:
        """Takes some of data[at:]; gives (message bytes, where it stopped, whether the message is over)."""
        stop = min(len(data), at + self._AT_ONCE)
        held = len(self._held)
        buffer = self._held + data[at:stop]
        end = self._END.search(buffer)
        if end is not None:
            return self._plain(buffer[: end.start() + 1]), at + end.end() - held, True
        keep = next((k for k in (3, 2, 1) if buffer[-k:] == b"\n.\r"[:k]), 0)
        self._held = buffer[len(buffer) - keep :]
        return self._plain(buffer[: len(buffer) - keep]), stop, False

    def _plain(self, data: bytes) -> bytes:
        data = data.replace(b"\n.", b"\n")
        if self._virtual and data:
            data, self._virtual = data[1:], False
        return data
