"""In: the ordered bytes of both directions of a flow. Out: HTTP/1 transactions as rows of table `http`.
Never here: packets, or reassembly; which packet carried a byte is asked of the chunk's segment map.

RFC 9112 (HTTP/1.1), RFC 1945 (HTTP/1.0), the 1991 note on HTTP/0.9. Evidence is not bound to them: a malformed message is a
row with a note. Each direction is a reader that moves through the states of `_STEPS`:

    head -> (length | chunk_size -> chunk_data -> chunk_end ... -> trailer | until_close) -> head
    lost: after a gap or nonsense, until something looks like the start of a message
    tunnel: after CONNECT or an upgrade the bytes are no longer HTTP
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import (
    HTTP_PREVIEW_BYTES,
    MAX_HTTP_BODY_DECODED_BYTES,
    MAX_HTTP_HEADERS,
    MAX_HTTP_LINE_BYTES,
    MAX_HTTP_PIPELINE,
)
from tracehound.protocols.body_kind import body_kind
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds, Row
from tracehound.streams.reassemble import Chunk

_REQUEST: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40} +\S")
_STATUS: Final = re.compile(rb"HTTP/(\d+(?:\.\d+)?)[ \t]*(\d{3})?[ \t]*(.*)", re.DOTALL)
_METHOD_START: Final = re.compile(
    rb"(?:^|\n)((?:GET|POST|HEAD|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PROPFIND|REPORT|SEARCH) +\S)"
)
_STATUS_START: Final = re.compile(rb"(?:^|\n)(HTTP/\d)")
_VERSION: Final = re.compile(rb"[ \t]+HTTP/(\d+(?:\.\d*)?)[ \t]*$", re.IGNORECASE)
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_ESCAPE: Final = {c: f"\\x{c:02x}" for c in [*range(0x20), *range(0x7F, 0x100)]}
_MAX_HEAD_BYTES: Final = 4 * MAX_HTTP_LINE_BYTES
_KIND_BYTES: Final = 1024
_CHUNK_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?$", re.DOTALL)


def text(raw: bytes) -> str:
    """Bytes as text: printable ASCII as it is, everything else as \\xNN."""
    decoded = raw.decode("latin-1")
    return decoded if decoded.isascii() and decoded.isprintable() else decoded.translate(_ESCAPE)


class Body:
    """A message body: counted, hashed and recognised as it passes, content coding removed."""

    __slots__ = ("_decoder", "_hash", "_raw_deflate", "head", "length", "note", "wire")

    def __init__(self, coding: str) -> None:
        self._hash = hashlib.sha256()
        self.length = 0
        self.wire = 0
        self.head = b""
        self.note = ""
        self._raw_deflate = coding == "deflate"
        # RFC 1952 gzip, RFC 1950 zlib ("deflate"), which many servers send raw (RFC 1951) instead.
        self._decoder = zlib.decompressobj(31 if coding in ("gzip", "x-gzip") else 15) if coding in _CODINGS else None

    def add(self, data: bytes) -> None:
        """Bytes of the body as transferred, transfer coding already removed."""
        self.wire += len(data)
        if self._decoder is not None:
            data = self._decode(data)
        if not data:
            return
        if len(self.head) < _KIND_BYTES:
            self.head += data[: _KIND_BYTES - len(self.head)]
        self.length += len(data)
        self._hash.update(data)

    def _decode(self, data: bytes) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        room = MAX_HTTP_BODY_DECODED_BYTES - self.length
        if room <= 0:
            self.note = "decoded body cut at the limit"
            return b""
        try:
            out = decoder.decompress(data, room)
        except zlib.error:
            if self._raw_deflate and self.length == 0:
                self._raw_deflate = False
                self._decoder = zlib.decompressobj(-15)
                return self._decode(data)
            if self.length == 0:
                # Not what Content-Encoding says; taken as it is.
                self._decoder = None
                self.note = "content coding does not hold; body taken as sent"
                return data
            self.note = "content coding broken off"
            self._decoder = zlib.decompressobj(31)
            return b""
        if decoder.unconsumed_tail:
            self.note = "decoded body cut at the limit"
        return out

    @property
    def sha256(self) -> str | None:
        return self._hash.hexdigest() if self.length else None


_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(slots=True)
class Message:
    """One request or response as far as it was seen."""

    packet_id: int
    ts_ns: int
    end_ns: int
    line: bytes = b""
    names: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    head_bytes: int = 0
    body: Body | None = None
    method: str | None = None
    uri: str | None = None
    version: str | None = None
    status: int | None = None
    reason: str | None = None
    complete: bool = False
    missing: int = 0
    notes: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """First value of a header, whatever its case; None = absent."""
        for have, value in zip(self.names, self.values, strict=True):
            if have.lower() == name:
                return value
        return None


@dataclass(slots=True)
class Transaction:
    depth: int
    request: Message | None = None
    response: Message | None = None
    opened: bool = False


class Reader:
    """One direction of an HTTP connection."""

    def __init__(self, connection: Connection, requests: bool) -> None:
        self.connection = connection
        self.requests = requests
        self.state = "head"
        self.buffer = b""
        self.buffer_at = 0
        self.message: Message | None = None
        self.left = 0
        self.seen_any = False

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes."""
        if chunk.gap_before:
            self.gap(chunk.gap_before)
        data = chunk.data
        at = chunk.offset
        while data:
            before = len(data)
            state = self.state
            data = _STEPS[state](self, data, at, chunk)
            at += before - len(data)
            if len(data) == before and self.state == state:
                # A step that neither moved nor consumed would never end.
                self.state = "lost"
                break

    # -- steps: each takes bytes beginning at stream offset `at` and returns what it did not use ------------------------

    def step_head(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        if not self.buffer:
            stripped = data.lstrip(b"\r\n")
            at += len(data) - len(stripped)
            if not stripped:
                return b""
            data = stripped
            self.buffer_at = at
            packet_id, ts = chunk.segments.packet_at(at)
            self.message = Message(packet_id, ts, ts)
        assert self.message is not None
        held = len(self.buffer)
        buffer = self.buffer + data
        message = self.message
        if not self._plausible(buffer):
            return self._nonsense(data)
        if self.requests and (simple := self._simple_request(buffer)):
            self.buffer = b""
            self._begin(message, buffer[:simple])
            message.end_ns = chunk.segments.packet_at(at + max(0, simple - held - 1))[1]
            self._end_message(message, complete=True)
            return data[max(0, simple - held) :]
        end = _HEAD_END.search(buffer, max(0, held - 3))
        if end is None:
            if len(buffer) > _MAX_HEAD_BYTES:
                message.notes.append("header section longer than the limit")
                self._begin(message, buffer[:_MAX_HEAD_BYTES])
                self._abandon()
                return b""
            self.buffer = buffer
            message.end_ns = chunk.segments.last_ts_ns
            return b""
        self.buffer = b""
        self._begin(message, buffer[: end.end()])
        message.end_ns = chunk.segments.packet_at(at + max(0, end.end() - held - 1))[1]
        self._choose_body(message)
        return data[end.end() - held :]

    def _plausible(self, buffer: bytes) -> bool:
        if self.requests:
            line = buffer.split(b"\n", 1)[0]
            if b"\n" in buffer or len(line) > 60:
                return _REQUEST.match(line) is not None
            return all(c > 0x20 or c == 0x20 for c in line.rstrip(b"\r")[:40]) or line == b""
        return buffer[:5] == b"HTTP/"[: len(buffer)]

    def _simple_request(self, buffer: bytes) -> int:
        """HTTP/0.9: "GET /path" alone on a line, nothing behind it. Returns its length with the line end, or 0."""
        end = buffer.find(b"\n")
        if end < 0 or _VERSION.search(buffer[:end].rstrip(b"\r")) is not None:
            return 0
        rest = buffer[end + 1 :].lstrip(b"\r\n")
        if rest and b":" in rest.split(b"\n", 1)[0]:
            return 0
        return end + 1 if buffer[:4] == b"GET " else 0

    def _nonsense(self, data: bytes) -> bytes:
        self.buffer = b""
        if not self.requests and not self.seen_any:
            # RFC 1945 3.1: an HTTP/0.9 response is the body alone.
            transaction = self.connection.expecting()
            if transaction is not None:
                message = self.message
                assert message is not None
                message.version = "0.9"
                message.body = Body("")
                self.seen_any = True
                self.connection.response(message)
                self.state = "until_close"
                return data
        self.message = None
        self.state = "lost"
        return data

    def _begin(self, message: Message, head: bytes) -> None:
        """Read the start line and the headers."""
        self.seen_any = True
        message.head_bytes = len(head)
        lines = head.split(b"\n")
        message.line = lines[0].rstrip(b"\r")
        if len(message.line) > MAX_HTTP_LINE_BYTES:
            message.notes.append("start line longer than the limit")
            message.line = message.line[:MAX_HTTP_LINE_BYTES]
        for raw in lines[1:]:
            line = raw.rstrip(b"\r")
            if not line:
                continue
            if line[:1] in b" \t" and message.values:
                # RFC 9112 5.2: obsolete line folding.
                message.values[-1] += " " + text(line.strip(b" \t"))
                continue
            name, colon, value = line.partition(b":")
            if not colon:
                message.notes.append("header line without colon")
                continue
            if len(message.names) >= MAX_HTTP_HEADERS:
                message.notes.append("more headers than the limit")
                break
            message.names.append(text(name))
            message.values.append(text(value.strip(b" \t")))
        if self.requests:
            self._request_line(message)
            self.connection.request(message)
        else:
            self._status_line(message)
            self.connection.response(message)

    def _request_line(self, message: Message) -> None:
        line = message.line
        version = _VERSION.search(line)
        if version is not None:
            message.version = version.group(1).decode()
            line = line[: version.start()]
        else:
            message.version = "0.9"
        method, _, uri = line.partition(b" ")
        message.method = text(method)
        message.uri = text(uri.strip(b" \t"))

    def _status_line(self, message: Message) -> None:
        match = _STATUS.match(message.line)
        if match is None:
            message.notes.append("malformed status line")
            return
        message.version = match.group(1).decode()
        if match.group(2) is None:
            message.notes.append("status line without status")
        else:
            message.status = int(match.group(2))
            message.reason = text(match.group(3).strip())

    def _choose_body(self, message: Message) -> None:
        """RFC 9112 6.3: how long is the body?"""
        encoding = (message.header("content-encoding") or "").strip().lower()
        if not self.requests and message.status is not None:
            asked = self.connection.method_of(message)
            if 100 <= message.status < 200 and message.status != 101:
                self.connection.interim(message)
                self.message = None
                return
            if message.status == 101 or (asked == "CONNECT" and 200 <= message.status < 300):
                self._end_message(message, complete=True)
                self.connection.tunnel()
                return
            if asked == "HEAD" or message.status in (204, 304):
                self._end_message(message, complete=True)
                return
        length = self._content_length(message)
        if "chunked" in (message.header("transfer-encoding") or "").lower():
            message.body = Body(encoding)
            self.state = "chunk_size"
        elif length is not None:
            if length == 0:
                self._end_message(message, complete=True)
                return
            message.body = Body(encoding)
            self.left = length
            self.state = "length"
        elif self.requests:
            self._end_message(message, complete=True)
        else:
            message.body = Body(encoding)
            self.state = "until_close"

    def _content_length(self, message: Message) -> int | None:
        values = [v for n, v in zip(message.names, message.values, strict=True) if n.lower() == "content-length"]
        numbers = {int(p) for v in values for p in v.split(",") if p.strip().isdigit() and len(p.strip()) <= 18}
        if values and not numbers:
            message.notes.append("Content-Length is no number")
        if len(numbers) > 1:
            message.notes.append("several Content-Lengths that differ")
        return min(numbers) if numbers else None

    def step_length(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        message = self._current()
        part = data[: self.left]
        assert message.body is not None
        message.body.add(part)
        self.left -= len(part)
        message.end_ns = chunk.segments.packet_at(at + len(part) - 1)[1]
        if self.left == 0:
            self._end_message(message, complete=True)
        return data[len(part) :]

    def step_until_close(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        message = self._current()
        assert message.body is not None
        message.body.add(data)
        message.end_ns = chunk.segments.packet_at(at + len(data) - 1)[1]
        return b""

    def _line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """The next line, put together over chunks; None while it is not whole."""
        end = data.find(b"\n")
        if end < 0:
            self.buffer += data
            return None, b""
        line = self.buffer + data[:end]
        self.buffer = b""
        return line.rstrip(b"\r"), data[end + 1 :]

    def step_chunk_size(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        message = self._current()
        line, rest = self._line(data)
        message.end_ns = chunk.segments.packet_at(at + len(data) - len(rest) - 1)[1]
        if line is None:
            if len(self.buffer) > MAX_HTTP_LINE_BYTES:
                message.notes.append("chunk size longer than the limit")
                self._abandon()
            return b""
        match = _CHUNK_SIZE.match(line)
        if match is None:
            message.notes.append("malformed chunk size")
            self._abandon()
            return rest
        self.left = int(match.group(1), 16)
        self.state = "chunk_data" if self.left else "trailer"
        return rest

    def step_chunk_data(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        message = self._current()
        part = data[: self.left]
        assert message.body is not None
        message.body.add(part)
        self.left -= len(part)
        message.end_ns = chunk.segments.packet_at(at + len(part) - 1)[1]
        if self.left == 0:
            self.state = "chunk_end"
        return data[len(part) :]

    def step_chunk_end(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        line, rest = self._line(data)
        if line is not None:
            if line:
                self._current().notes.append("chunk longer than its size")
            self.state = "chunk_size"
        return rest

    def step_trailer(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        message = self._current()
        line, rest = self._line(data)
        message.end_ns = chunk.segments.packet_at(at + len(data) - len(rest) - 1)[1]
        if line is None:
            if len(self.buffer) > MAX_HTTP_LINE_BYTES:
                self._abandon()
            return b""
        if not line:
            self._end_message(message, complete=True)
        return rest

    def step_lost(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        """Look for the next thing that can be the start of a message."""
        match = (_METHOD_START if self.requests else _STATUS_START).search(data)
        if match is None:
            return b""
        self.state = "head"
        return data[match.start(1) :]

    def step_tunnel(self, data: bytes, at: int, chunk: Chunk) -> bytes:
        return b""

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _current(self) -> Message:
        assert self.message is not None
        return self.message

    def _end_message(self, message: Message, *, complete: bool) -> None:
        message.complete = complete and message.missing == 0
        self.message = None
        self.state = "head"
        self.buffer = b""
        self.connection.ended(message, requests=self.requests)

    def _abandon(self) -> None:
        message = self.message
        if message is not None:
            self._end_message(message, complete=False)
        self.state = "lost"

    def gap(self, missing: int) -> None:
        """Bytes are missing here."""
        message = self.message
        if self.state in ("length", "chunk_data") and message is not None and missing <= self.left:
            message.missing += missing
            self.left -= missing
            if self.left == 0 and self.state == "length":
                self._end_message(message, complete=True)
            elif self.left == 0:
                self.state = "chunk_end"
            return
        if self.state == "until_close" and message is not None:
            message.missing += missing
            return
        if self.state == "tunnel":
            return
        if message is not None:
            message.missing += missing
            if not message.line and self.buffer:
                message.notes.append("header section not whole")
                self._begin(message, self.buffer)
            self._abandon()
        self.buffer = b""
        self.state = "lost"

    def close(self) -> None:
        """The direction is over."""
        message = self.message
        if message is None:
            return
        if not message.line and self.buffer and message.version is None:
            message.notes.append("header section not whole")
            self._begin(message, self.buffer)
            self._end_message(message, complete=False)
            return
        # RFC 9112 6.3 (8): only a response without length ends with its connection.
        self._end_message(message, complete=self.state == "until_close")


_STEPS: Final[dict[str, Callable[[Reader, bytes, int, Chunk], bytes]]] = {
    "head": Reader.step_head,
    "length": Reader.step_length,
    "until_close": Reader.step_until_close,
    "chunk_size": Reader.step_chunk_size,
    "chunk_data": Reader.step_chunk_data,
    "chunk_end": Reader.step_chunk_end,
    "trailer": Reader.step_trailer,
    "lost": Reader.step_lost,
    "tunnel": Reader.step_tunnel,
}


@dataclass(slots=True)
class Ends:
    """Client and server of a connection as text and port."""

    client: str
    client_port: int
    server: str
    server_port: int


class Connection:
    """Both directions of one HTTP connection: pairs responses with requests and hands out finished transactions."""

    def __init__(self, flow_id: int, ends: Ends, *, originator_is_client: bool) -> None:
        self.flow_id = flow_id
        self.ends = ends
        self.originator_is_client = originator_is_client
        self.client = Reader(self, requests=True)
        self.server = Reader(self, requests=False)
        self.depth = 0
        self.open: deque[Transaction] = deque()
        self.done: list[Transaction] = []
        self.note = ""

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of either direction."""
        reader = self.client if chunk.from_originator == self.originator_is_client else self.server
        reader.feed(chunk)

    def request(self, message: Message) -> None:
        self.depth += 1
        if len(self.open) >= MAX_HTTP_PIPELINE:
            self.done.append(self.open.popleft())
        # The response may have come first (batches are read one direction after the other, captures lose packets).
        self.open.append(Transaction(self.depth, request=message))

    def expecting(self) -> Transaction | None:
        """The oldest request that has no response yet."""
        return next((t for t in self.open if t.response is None), None)

    def response(self, message: Message) -> None:
        transaction = self.expecting()
        if transaction is None:
            self.depth += 1
            transaction = Transaction(self.depth)
            self.open.append(transaction)
        transaction.response = message

    def method_of(self, response: Message) -> str | None:
        transaction = next((t for t in self.open if t.response is response), None)
        return transaction.request.method if transaction is not None and transaction.request is not None else None

    def interim(self, message: Message) -> None:
        """A 1xx response is not the answer: the request goes on waiting."""
        for transaction in self.open:
            if transaction.response is message:
                transaction.response = None
                if transaction.request is None:
                    self.open.remove(transaction)
                    self.depth -= 1
                return

    def tunnel(self) -> None:
        self.client.state = self.server.state = "tunnel"
        self.client.message = self.server.message = None

    def ended(self, message: Message, *, requests: bool) -> None:
        """A message is whole: hand out transactions from the front whose response has ended."""
        while self.open and self.open[0].response is not None and self.open[0].response is not self.server.message:
            request = self.open[0].request
            if request is not None and request is self.client.message:
                return
            self.done.append(self.open.popleft())

    def close(self) -> None:
        """The flow is over."""
        self.client.close()
        self.server.close()
        self.done += self.open
        self.open.clear()


def _host(request: Message | None) -> str | None:
    """Host header without port; a proxy request's own authority where there is none."""
    if request is None:
        return None
    value = request.header("host")
    if value is None and request.uri is not None and "://" in request.uri[:12]:
        value = request.uri.split("://", 1)[1].split("/", 1)[0].rsplit("@", 1)[-1]
    if value is None:
        return None
    if value.startswith("["):
        return value[1:].split("]", 1)[0]
    name, colon, port = value.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name and request.method != "CONNECT" else value


def _body_length(message: Message | None) -> int | None:
    if message is None:
        return None
    return message.body.length if message.body is not None else 0


def _kind(message: Message | None) -> str | None:
    if message is None or message.body is None or not message.body.length:
        return None
    return body_kind(message.body.head, message.header("content-type"))


def _notes(transaction: Transaction, connection: Connection) -> str | None:
    notes: list[str] = []
    for who, message in (("request", transaction.request), ("response", transaction.response)):
        if message is None:
            notes.append(f"{who} not in the capture" if who == "request" else "no response")
            continue
        body_note = message.body.note if message.body is not None else ""
        notes += [f"{who}: {n}" for n in dict.fromkeys([*message.notes, *([body_note] if body_note else [])])]
        if message.missing:
            notes.append(f"{who}: {message.missing} bytes not in the capture")
        elif not message.complete:
            notes.append(f"{who}: not whole")
    if connection.note:
        notes.append(connection.note)
    return "; ".join(notes) or None


def row(transaction: Transaction, connection: Connection) -> Row:
    """One transaction as a row of table `http`, in the order of its columns."""
    request, response = transaction.request, transaction.response
    first = request or response
    assert first is not None
    last_ns = max(m.end_ns for m in (request, response) if m is not None)
    ends = connection.ends
    content_type = response.header("content-type") if response is not None else None
    request_body = request.body if request is not None else None
    body = response.body if response is not None else None
    return (
        connection.flow_id << TXN_SHIFT | transaction.depth,
        connection.flow_id,
        transaction.depth,
        first.ts_ns,
        response.ts_ns if response is not None else None,
        last_ns,
        ends.client,
        ends.client_port,
        ends.server,
        ends.server_port,
        request.method if request is not None else None,
        request.uri if request is not None else None,
        request.version if request is not None else None,
        _host(request),
        request.header("user-agent") if request is not None else None,
        request.header("referer") if request is not None else None,
        request.names if request is not None else None,
        request.values if request is not None else None,
        request.head_bytes if request is not None else None,
        _body_length(request),
        request_body.sha256 if request_body is not None else None,
        _kind(request),
        response.status if response is not None else None,
        response.reason if response is not None else None,
        response.header("server") if response is not None else None,
        content_type.split(";", 1)[0].strip().lower() if content_type is not None else None,
        response.names if response is not None else None,
        response.values if response is not None else None,
        _body_length(response),
        body.sha256 if body is not None else None,
        _kind(response),
        body.head[:HTTP_PREVIEW_BYTES] if body is not None and body.length else None,
        request is not None and response is not None and request.complete and response.complete,
        request.packet_id if request is not None else None,
        response.packet_id if response is not None else None,
        _notes(transaction, connection),
    )


class HttpSession:
    """One flow of HTTP: its finished transactions go out as rows."""

    finished = False

    def __init__(self, connection: Connection, emit: Emit) -> None:
        self._connection = connection
        self._emit = emit

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of either direction."""
        self._connection.feed(chunk)
        if self._connection.done:
            self._take()

    def _take(self) -> None:
        for transaction in self._connection.done:
            self._emit("http", row(transaction, self._connection))
        self._connection.done.clear()

    def close(self, note: str) -> None:
        """The flow is over."""
        self._connection.note = note
        self._connection.close()
        self._take()


def open_session(flow: FlowEnds, chunk: Chunk, emit: Emit) -> HttpSession:
    """A session from its first chunk. Who sends "HTTP/" is the server, whatever the ports or the start of the capture made
    of it."""
    originator_is_client = chunk.from_originator == (chunk.data[:5] != b"HTTP/")
    originator, responder = (flow.originator, flow.originator_port), (flow.responder, flow.responder_port)
    ends = Ends(*originator, *responder) if originator_is_client else Ends(*responder, *originator)
    return HttpSession(Connection(flow.flow_id, ends, originator_is_client=originator_is_client), emit)
