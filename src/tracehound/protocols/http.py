"""In: the ordered bytes of both directions of a flow. Out: HTTP/1 transactions as rows of table `http`, and what goes with them:
bodies (`files`), logins, WebSockets. Never here: packets, or reassembly; which packet carried a byte is asked of the chunk's
segment map.

RFC 9112 (HTTP/1.1), RFC 1945 (HTTP/1.0), the 1991 note on HTTP/0.9. Evidence is not bound to them: a malformed message is a
row with a note. Each direction is a reader that moves through the states of `_STEPS`:

    head -> (length | chunk_size -> chunk_data -> chunk_end ... -> trailer | until_close) -> head
    lost: after a gap or nonsense, until something looks like the start of a message
    waiting: after CONNECT or Upgrade, until the server says whether the connection leaves HTTP
    tunnel: it has left HTTP; what is spoken instead is read by `Connection.inner`
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from tracehound.limits import MAX_HTTP_HEADERS, MAX_HTTP_LINE_BYTES, MAX_HTTP_PIPELINE, MAX_TUNNEL_WAIT_BYTES
from tracehound.protocols.http_files import Bodies
from tracehound.protocols.http_frames import PREFACE, FrameSession
from tracehound.protocols.http_logins import Logins
from tracehound.protocols.http_message import Ends, Message, Transaction, host_of, row, text
from tracehound.protocols.session import Emit, FlowEnds, Interest, Row, Session
from tracehound.protocols.tunnel import Tunnel
from tracehound.protocols.websocket import WebSocket
from tracehound.streams.reassemble import Chunk

_REQUEST: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40} +[^ \r\n]")
_ORDINARY: Final = re.compile(rb"[A-Z]{3,20} [^ \r\n]{1,4000} HTTP/1\.[01]\r\n")
_STATUS: Final = re.compile(rb"HTTP/(\d+(?:\.\d+)?)[ \t]*(\d{3})?[ \t]*(.*)", re.DOTALL)
_METHOD_START: Final = re.compile(
    rb"(?:^|\n)((?:GET|POST|HEAD|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PROPFIND|REPORT|SEARCH) +\S)"
)
_STATUS_START: Final = re.compile(rb"(?:^|\n)(HTTP/\d)")
_VERSION: Final = re.compile(rb"[ \t]HTTP/(\d+(?:\.\d*)?)[ \t]*$", re.IGNORECASE)
_MAX_HEAD_BYTES: Final = 4 * MAX_HTTP_LINE_BYTES
_CHUNK_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?$", re.DOTALL)


def _head_end(buffer: bytes, start: int) -> int:
    """Where the head ends that `buffer` begins with, its empty line included; -1 while it is not whole. RFC 9112 2.2: a line
    may end in LF alone."""
    end = buffer.find(b"\n\r\n", start)
    bare = buffer.find(b"\n\n", start, end if end >= 0 else len(buffer))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def read_headers(message: Message, head: bytes) -> bytes:
    """Split a head into `message`'s headers; returns the start line without its line end."""
    message.begun = True
    message.head_bytes = len(head)
    decoded = head.decode("latin-1")
    lines = decoded.split("\r\n")
    names, values, first = message.names, message.values, message.first
    if len(lines) < MAX_HTTP_HEADERS and decoded.isascii() and "".join(lines).isprintable() and "\r\n " not in decoded:
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                value = value.strip()
                names.append(name)
                values.append(value)
                first.setdefault(name.lower().rstrip(), value)
            elif line:
                message.notes.append("header line without colon")
        return head[: len(lines[0])]
    return _odd_headers(message, head)


def _odd_headers(message: Message, head: bytes) -> bytes:
    """The same for heads with bare line feeds, folded lines, tabs or bytes that are not printable ASCII."""
    names, values = message.names, message.values
    lines = head.split(b"\n")
    for raw in lines[1:]:
        line = raw.rstrip(b"\r")
        if not line:
            continue
        if line[:1] in b" \t" and values:
            # RFC 9112 5.2: obsolete line folding.
            values[-1] += " " + text(line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            message.notes.append("header line without colon")
            continue
        if len(names) >= MAX_HTTP_HEADERS:
            message.notes.append("more headers than the limit")
            break
        names.append(text(name))
        values.append(text(value.strip(b" \t")))
    for have, said in zip(names, values, strict=True):
        message.first.setdefault(have.lower().rstrip(), said)
    return lines[0].rstrip(b"\r")


class Reader:
    """One direction of an HTTP connection. Every step takes a chunk and where to begin in its data, and returns where it
    stopped."""

    def __init__(self, connection: Connection, requests: bool) -> None:
        self.connection = connection
        self.requests = requests
        self.state = "head"
        self.buffer = b""
        self.message: Message | None = None
        self.left = 0
        self.seen_any = False

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes."""
        if chunk.gap_before:
            self.gap(chunk.gap_before)
        self.go_on(chunk, 0)

    def go_on(self, chunk: Chunk, at: int) -> None:
        """Take a chunk's bytes from `at` on."""
        end = len(chunk.data)
        while at < end:
            before, state = at, self.state
            at = _STEPS[state](self, chunk, at)
            if at == before and self.state == state:
                # A step that neither moved nor consumed would never end.
                self.state = "lost"
                break

    # -- steps --------------------------------------------------------------------------------------------------------------

    def step_head(self, chunk: Chunk, at: int) -> int:
        data = chunk.data
        if not self.buffer:
            while data[at : at + 1] in (b"\r", b"\n"):
                at += 1
            if at == len(data):
                return at
            packet_id, ts = chunk.segments.packet_at(chunk.offset + at)
            self.message = Message(packet_id, ts, ts)
        assert self.message is not None
        message, held = self.message, len(self.buffer)
        if not held and self.requests and _ORDINARY.match(data, at) is not None:
            end = _head_end(data, at)
            if end >= 0:
                return self._whole_head(message, data[at:end], chunk, end)
        buffer = self.buffer + data[at : at + _MAX_HEAD_BYTES]
        if not self._plausible(buffer):
            return self._nonsense(len(data), at)
        end = _head_end(buffer, max(0, held - 3))
        if end < 0:
            if len(buffer) > _MAX_HEAD_BYTES:
                message.notes.append("header section longer than the limit")
                self._begin(message, buffer[:_MAX_HEAD_BYTES])
                self._abandon()
                return len(data)
            self.buffer = buffer
            message.end_ns = chunk.segments.last_ts_ns
            return len(data)
        self.buffer = b""
        return self._whole_head(message, buffer[:end], chunk, at + end - held)

    def _whole_head(self, message: Message, head: bytes, chunk: Chunk, end: int) -> int:
        if self.requests and head == PREFACE[: len(head)] and len(head) == PREFACE.find(b"SM"):
            self.connection.speak_frames(PREFACE[len(head) :])
            return end
        message.end_ns = chunk.segments.packet_at(chunk.offset + end - 1)[1]
        self._begin(message, head)
        self._choose_body(message)
        return end

    def _plausible(self, buffer: bytes) -> bool:
        if self.requests:
            if _REQUEST.match(buffer) is not None:
                return True
            line, end, _ = buffer.partition(b"\n")
            if end or len(line) > 60:
                return False
            return min(line.rstrip(b"\r")[:40], default=0x20) >= 0x20
        if self.connection.answers_simple_request():
            return False
        return buffer[:5] == b"HTTP/"[: len(buffer)]

    def settle(self) -> None:
        """HTTP/0.9: a request line without a version needs no empty line behind it; the answer is there, so it is whole."""
        line, end, rest = self.buffer.partition(b"\n")
        message = self.message
        if self.state != "head" or not end or message is None or _VERSION.search(line.rstrip(b"\r")) is not None:
            return
        if rest.strip(b"\r\n") and b":" in rest.partition(b"\n")[0]:
            return
        head, self.buffer = self.buffer, b""
        self._begin(message, head)
        self._end_message(message, complete=True)

    def _nonsense(self, end: int, at: int) -> int:
        self.buffer, held = b"", self.buffer
        if not self.requests and (not self.seen_any or self.connection.answers_simple_request()):
            # RFC 1945 3.1: an HTTP/0.9 response is the body alone.
            transaction = self.connection.expecting()
            message = self.message
            request = transaction.request if transaction is not None else None
            # A capture that begins inside a response has its rest before the first request (malcolm/protocols/NTP.pcap, frame 5).
            if request is not None and message is not None and message.ts_ns >= request.ts_ns:
                self._bare_body(message, request, held)
                return at
        self.message = None
        self.state = "lost"
        return at

    def _bare_body(self, message: Message, request: Message, held: bytes) -> None:
        self.seen_any = True
        message.begun = True
        message.version = "0.9"
        # RFC 9112 has no answer without a status line: after a request in HTTP/1.1 this is something else.
        message.foreign = request.version not in ("0.9", "1.0")
        if message.foreign:
            message.notes.append("answer without a status line")
        self.connection.response(message)
        message.body = self.connection.bodies.open(
            message, request, by_client=False, ts_ns=message.ts_ns, packet_id=message.packet_id
        )
        message.body.add(held)
        self.state = "until_close"

    def _begin(self, message: Message, head: bytes) -> None:
        """Read the start line and the headers."""
        self.seen_any = True
        line = read_headers(message, head)
        if len(line) > MAX_HTTP_LINE_BYTES:
            message.notes.append("start line longer than the limit")
            line = line[:MAX_HTTP_LINE_BYTES]
        if self.requests:
            self._request_line(message, line)
            self.connection.request(message)
        else:
            self._status_line(message, line)
            self.connection.response(message)

    def _request_line(self, message: Message, line: bytes) -> None:
        if line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
            message.version = "1.1" if line.endswith(b"1") else "1.0"
            line = line[:-9]
        else:
            version = _VERSION.search(line)
            message.version = version.group(1).decode() if version is not None else "0.9"
            line = line[: version.start()] if version is not None else line
        method, space, uri = line.partition(b" ")
        message.method = text(method)
        message.uri = text(uri.strip(b" \t"))
        if not space:
            message.notes.append("request line without target")

    def _status_line(self, message: Message, line: bytes) -> None:
        match = _STATUS.match(line)
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
        first = message.first
        request: Message | None = message
        if not self.requests:
            request = self.connection.request_of(message)
            if self._no_body(message, request):
                return
        length = self._content_length(message) if "content-length" in first else None
        chunked = "transfer-encoding" in first and "chunked" in first["transfer-encoding"].lower()
        if not chunked and (length == 0 or (length is None and self.requests)):
            self._end_message(message, complete=True)
            return
        self.left = length or 0
        self.state = "chunk_size" if chunked else "until_close" if length is None else "length"

    def _no_body(self, message: Message, request: Message | None) -> bool:
        """Responses that end with their head: interim ones, those that leave HTTP, those to HEAD, 204 and 304."""
        status = message.status
        if status is None:
            return False
        asked = request.method if request is not None else None
        if 100 <= status < 200 and status != 101:
            self.connection.interim(message)
            self.message = None
            return True
        if status == 101 or (asked == "CONNECT" and 200 <= status < 300):
            self._end_message(message, complete=True)
            self.connection.leave(message, request)
            return True
        if asked == "HEAD" or status in (204, 304):
            self._end_message(message, complete=True)
            return True
        return False

    def _content_length(self, message: Message) -> int | None:
        said = message.first["content-length"]
        if len(said) <= 18 and said.isdigit() and sum(n.lower() == "content-length" for n in message.names) == 1:
            return int(said)
        values = [v for n, v in zip(message.names, message.values, strict=True) if n.lower().rstrip() == "content-length"]
        parts = [p.strip() for v in values for p in v.split(",")]
        numbers = {int(p) for p in parts if p.isdigit() and p.isascii() and len(p) <= 18}
        if values and not numbers:
            message.notes.append("Content-Length is no number")
        if len(numbers) > 1:
            message.notes.append("several Content-Lengths that differ")
        return min(numbers) if numbers else None

    def _take(self, chunk: Chunk, at: int, length: int) -> int:
        """Bytes of the body."""
        message = self._current()
        data = chunk.data
        part = data if not at and length >= len(data) else data[at : at + length]
        body = message.body
        if body is None:
            request = message if self.requests else self.connection.request_of(message)
            packet_id, ts_ns = chunk.segments.packet_at(chunk.offset + at)
            body = message.body = self.connection.bodies.open(
                message, request, by_client=self.requests, ts_ns=ts_ns, packet_id=packet_id
            )
        body.add(part)
        message.end_ns = chunk.segments.packet_at(chunk.offset + at + len(part) - 1)[1]
        return len(part)

    def step_length(self, chunk: Chunk, at: int) -> int:
        taken = self._take(chunk, at, self.left)
        self.left -= taken
        if self.left == 0:
            self._end_message(self._current(), complete=True)
        return at + taken

    def step_until_close(self, chunk: Chunk, at: int) -> int:
        return at + self._take(chunk, at, len(chunk.data))

    def _line(self, chunk: Chunk, at: int) -> tuple[bytes | None, int]:
        """The next line, put together over chunks (None while it is not whole), and where it ends."""
        end = chunk.data.find(b"\n", at)
        if end < 0:
            self.buffer += chunk.data[at : at + _MAX_HEAD_BYTES]
            return None, len(chunk.data)
        line = self.buffer + chunk.data[at : min(end, at + _MAX_HEAD_BYTES)]
        self.buffer = b""
        return line.rstrip(b"\r"), end + 1

    def step_chunk_size(self, chunk: Chunk, at: int) -> int:
        message = self._current()
        line, end = self._line(chunk, at)
        message.end_ns = chunk.segments.packet_at(chunk.offset + end - 1)[1]
        if line is None:
            if len(self.buffer) > MAX_HTTP_LINE_BYTES:
                message.notes.append("chunk size longer than the limit")
                self._abandon()
            return end
        match = _CHUNK_SIZE.match(line)
        if match is None:
            message.notes.append("malformed chunk size")
            self._abandon()
            return end
        self.left = int(match.group(1), 16)
        self.state = "chunk_data" if self.left else "trailer"
        return end

    def step_chunk_data(self, chunk: Chunk, at: int) -> int:
        taken = self._take(chunk, at, self.left)
        self.left -= taken
        if self.left == 0:
            self.state = "chunk_end"
        return at + taken

    def step_chunk_end(self, chunk: Chunk, at: int) -> int:
        line, end = self._line(chunk, at)
        if line is not None:
            if line:
                self._current().notes.append("chunk longer than its size")
            self.state = "chunk_size"
        return end

    def step_trailer(self, chunk: Chunk, at: int) -> int:
        message = self._current()
        line, end = self._line(chunk, at)
        message.end_ns = chunk.segments.packet_at(chunk.offset + end - 1)[1]
        if line is None:
            if len(self.buffer) > MAX_HTTP_LINE_BYTES:
                self._abandon()
        elif not line:
            self._end_message(message, complete=True)
        return end

    def step_lost(self, chunk: Chunk, at: int) -> int:
        """Look for the next thing that can be the start of a message."""
        match = (_METHOD_START if self.requests else _STATUS_START).search(chunk.data, at)
        if match is None:
            return len(chunk.data)
        self.state = "head"
        return match.start(1)

    def step_waiting(self, chunk: Chunk, at: int) -> int:
        self.connection.wait(_rest(chunk, at))
        return len(chunk.data)

    def step_tunnel(self, chunk: Chunk, at: int) -> int:
        self.connection.inside(_rest(chunk, at), by_client=self.requests)
        return len(chunk.data)

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
            message.missing_body += missing
            self.left -= missing
            if self.left == 0 and self.state == "length":
                self._end_message(message, complete=True)
            elif self.left == 0:
                self.state = "chunk_end"
            return
        if self.state == "until_close" and message is not None:
            message.missing += missing
            message.missing_body += missing
            return
        if self.state in ("tunnel", "waiting"):
            return
        if message is not None:
            message.missing += missing
            if not message.begun and self.buffer:
                message.notes.append("header section not whole")
                self._begin(message, self.buffer)
            self._abandon()
        self.buffer = b""
        self.state = "lost"

    def close(self) -> None:
        """The direction is over."""
        self.settle()
        message = self.message
        if message is None:
            return
        if not message.begun:
            if self.buffer:
                message.notes.append("header section not whole")
                self._begin(message, self.buffer)
                self._end_message(message, complete=False)
            return
        # RFC 9112 6.3 (8): only a response without length ends with its connection.
        self._end_message(message, complete=self.state == "until_close")


def _rest(chunk: Chunk, at: int) -> Chunk:
    """A chunk from `at` on."""
    return chunk if not at else chunk._replace(data=chunk.data[at:], offset=chunk.offset + at, gap_before=0)


_STEPS: Final[dict[str, Callable[[Reader, Chunk, int], int]]] = {
    "head": Reader.step_head,
    "length": Reader.step_length,
    "until_close": Reader.step_until_close,
    "chunk_size": Reader.step_chunk_size,
    "chunk_data": Reader.step_chunk_data,
    "chunk_end": Reader.step_chunk_end,
    "trailer": Reader.step_trailer,
    "lost": Reader.step_lost,
    "waiting": Reader.step_waiting,
    "tunnel": Reader.step_tunnel,
}


class Inner(Protocol):
    """What a connection speaks once it has left HTTP; chunks say from_originator for the client."""

    finished: bool

    def feed(self, chunk: Chunk) -> None: ...

    def close(self, note: str) -> None: ...


def _nobody(_table: str, _row: Row) -> None:
    return None


class Connection:
    """Both directions of one HTTP connection: pairs responses with requests and hands out finished transactions (`done`)."""

    def __init__(
        self,
        flow_id: int,
        ends: Ends,
        *,
        originator_is_client: bool,
        emit: Emit = _nobody,
        interest: Interest | None = None,
    ) -> None:
        self.flow_id = flow_id
        self.ends = ends
        self.flow_ends = FlowEnds(
            flow_id, ends.client, ends.client_port, ends.server, ends.server_port, interest or Interest()
        )
        self.originator_is_client = originator_is_client
        self.emit = emit
        self.bodies = Bodies(self.flow_ends, emit)
        self.client = Reader(self, requests=True)
        self.server = Reader(self, requests=False)
        self.depth = 0
        self.open: deque[Transaction] = deque()
        self.done: list[Transaction] = []
        self.note = ""
        self.inner: Inner | None = None
        self._waiting: list[Chunk] = []
        self._waiting_bytes = 0
        self._left_out = 0
        self._versioned = False

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of either direction."""
        reader = self.client if chunk.from_originator == self.originator_is_client else self.server
        reader.feed(chunk)

    @property
    def finished(self) -> bool:
        """No more of this connection is of use."""
        return self.inner is not None and self.inner.finished and not self.open

    def request(self, message: Message) -> None:
        self.depth += 1
        if len(self.open) >= MAX_HTTP_PIPELINE:
            self.done.append(self.open.popleft())
        # The response may have come first (a capture may begin behind the request, and lose packets).
        self.open.append(Transaction(self.depth, request=message))
        if message.version == "0.9" and self._versioned:
            message.notes.append("no version, after requests that have one")
        self._versioned |= message.version != "0.9"

    def expecting(self) -> Transaction | None:
        """The oldest request that has no response yet."""
        found = next((t for t in self.open if t.response is None), None)
        if found is None and self.client.buffer:
            self.client.settle()
            found = next((t for t in self.open if t.response is None), None)
        return found

    def answers_simple_request(self) -> bool:
        """Whether what the server sends next answers an HTTP/0.9 request, which RFC 1945 section 6 answers with a body alone.
        Zeek takes a status line there as part of the body, too (zeek/http/methods.pcap, frame 174); on a connection that has
        spoken a later version, a line without version is only malformed (http-11-request-then-cruft.pcap, frame 10)."""
        if self._versioned:
            return False
        asked = self.expecting()
        return asked is not None and asked.request is not None and asked.request.version == "0.9"

    def response(self, message: Message) -> None:
        transaction = self.expecting()
        if transaction is None:
            self.depth += 1
            transaction = Transaction(self.depth)
            self.open.append(transaction)
        transaction.response = message

    def request_of(self, response: Message) -> Message | None:
        """The request that a response answers."""
        return next((t.request for t in self.open if t.response is response), None)

    def interim(self, message: Message) -> None:
        """A 1xx response is not the answer: the request goes on waiting."""
        for transaction in self.open:
            if transaction.response is message:
                transaction.response = None
                if transaction.request is None:
                    self.open.remove(transaction)
                    self.depth -= 1
                return

    # -- leaving HTTP -------------------------------------------------------------------------------------------------------

    def wait(self, chunk: Chunk) -> None:
        """The client goes on before it is known what the server says to CONNECT or Upgrade."""
        if self._waiting_bytes <= MAX_TUNNEL_WAIT_BYTES:
            self._waiting.append(_rest(chunk, 0)._replace(data=chunk.data[:MAX_TUNNEL_WAIT_BYTES]))
            self._left_out += max(0, len(chunk.data) - MAX_TUNNEL_WAIT_BYTES)
        else:
            self._left_out += chunk.gap_before + len(chunk.data)
        self._waiting_bytes += len(chunk.data)

    def _waited(self) -> list[Chunk]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def _missing_before(self, chunk: Chunk) -> Chunk:
        """What could not be kept while waiting is a gap for what reads on."""
        left_out, self._left_out = self._left_out, 0
        return chunk._replace(gap_before=chunk.gap_before + left_out) if left_out else chunk

    def leave(self, response: Message, request: Message | None) -> None:
        """CONNECT was answered with 2xx, or an upgrade with 101: from here on the bytes are something else."""
        self.client.state = self.server.state = "tunnel"
        self.client.message = self.server.message = None
        self.inner = self._inner(response, request)
        left_out, self._left_out = self._left_out, 0
        for chunk in self._waited():
            self.inside(chunk, by_client=True)
        self._left_out = left_out

    def speak_frames(self, preface: bytes) -> None:
        """The client begins HTTP/2 with prior knowledge; `preface` is what of its preface is still to come."""
        self.client.state = self.server.state = "tunnel"
        self.client.message = self.server.message = None
        self.inner = FrameSession(self.flow_ends, self.emit, first_depth=self.depth, preface=preface)

    def _inner(self, response: Message, request: Message | None) -> Inner:
        upgrade = (response.first.get("upgrade") or "").lower()
        if upgrade == "websocket":
            return WebSocket(self.flow_ends, self.emit, self.depth, request, response)
        if upgrade == "h2c":
            return FrameSession(self.flow_ends, self.emit, first_depth=self.depth, upgraded=request)
        port = (request.uri or "").rpartition(":")[2] if request is not None and request.method == "CONNECT" else ""
        known = port.isdigit() and port.isascii() and len(port) <= 5
        return Tunnel(self.flow_ends, self.emit, int(port) if known else self.ends.server_port)

    def inside(self, chunk: Chunk, *, by_client: bool) -> None:
        """Bytes of what is spoken instead of HTTP."""
        if self.inner is not None and not self.inner.finished:
            if by_client:
                chunk = self._missing_before(chunk)
            self.inner.feed(chunk if chunk.from_originator == by_client else chunk._replace(from_originator=by_client))

    # -- ends -----------------------------------------------------------------------------------------------------------------

    def ended(self, message: Message, *, requests: bool) -> None:
        """A message is whole: hand out transactions from the front whose response has ended."""
        if message.body is not None:
            self.bodies.finish(message)
        if requests:
            if message.method == "CONNECT" or "upgrade" in message.first:
                self._perhaps_leaving(message)
            elif message.version == "0.9" and self._versioned:
                # Whatever follows a line that is no request any more is looked through for one.
                self.client.state = "lost"
        elif self.client.state == "waiting" and not any(
            t.response is None and t.request is not None and _may_leave(t.request) for t in self.open
        ):
            self._stay(message)
        while self.open and self.open[0].response is not None and self.open[0].response is not self.server.message:
            request = self.open[0].request
            if request is not None and request is self.client.message:
                return
            self.done.append(self.open.popleft())

    def _perhaps_leaving(self, request: Message) -> None:
        answer = next((t.response for t in self.open if t.request is request), None)
        if answer is None and _may_leave(request):
            self.client.state = "waiting"

    def _stay(self, response: Message) -> None:
        """The server did not agree: what the client went on with is HTTP."""
        request = self.request_of(response)
        if response.status == 101 or (request is not None and request.method == "CONNECT" and _agrees(response)):
            return
        self.client.state = "head"
        waiting = self._waited()
        for chunk in waiting:
            if chunk.gap_before:
                self.client.gap(chunk.gap_before)
            self.client.go_on(chunk, 0)
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self.client.gap(left_out)

    def close(self) -> None:
        """The flow is over."""
        if self.client.state == "waiting":
            self.client.state = "head"
            self._waited()
        self.client.close()
        self.server.close()
        self.bodies.close()
        if self.inner is not None:
            self.inner.close(self.note)
        self.done += self.open
        self.open.clear()


def _agrees(response: Message) -> bool:
    return response.status is not None and 200 <= response.status < 300


def _may_leave(request: Message) -> bool:
    """Whether the answer to a request may end HTTP on its connection."""
    return request.method == "CONNECT" or request.first.get("upgrade", "").lower() in ("websocket", "h2c")


class HttpSession:
    """One flow of HTTP: its finished transactions go out as rows."""

    def __init__(self, connection: Connection) -> None:
        self.finished = False
        self._connection = connection
        self._logins = Logins(connection.flow_ends, connection.emit)

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of either direction."""
        self._connection.feed(chunk)
        if self._connection.done:
            self._take()
        if self._connection.inner is not None:
            self.finished = self._connection.finished

    def _take(self) -> None:
        connection = self._connection
        for transaction in connection.done:
            connection.emit("http", row(transaction, connection.flow_id, connection.ends, connection.note))
            if transaction.request is not None:
                self._logins.read(transaction)
        connection.done.clear()

    def close(self, note: str) -> None:
        """The flow is over."""
        self._connection.note = note
        self._connection.close()
        self._take()


def open_session(flow: FlowEnds, chunk: Chunk, emit: Emit) -> Session:
    """A session from its first chunk. Who sends "HTTP/" is the server, whatever the ports or the start of the capture made
    of it. HTTP/2 with prior knowledge (RFC 9113 3.3) begins with its own preface."""
    data = chunk.data
    if data[: len(PREFACE)] == PREFACE[: len(data)] and len(data) >= 14:
        return FrameSession(_from_client(flow, chunk.from_originator), emit, first_depth=0, swapped=not chunk.from_originator)
    originator_is_client = chunk.from_originator == (data[:5] != b"HTTP/")
    client = _from_client(flow, originator_is_client)
    ends = Ends(client.originator, client.originator_port, client.responder, client.responder_port)
    return HttpSession(
        Connection(flow.flow_id, ends, originator_is_client=originator_is_client, emit=emit, interest=flow.interest)
    )


def _from_client(flow: FlowEnds, originator_is_client: bool) -> FlowEnds:
    """The ends with the client as originator."""
    if originator_is_client:
        return flow
    return FlowEnds(
        flow.flow_id, flow.responder, flow.responder_port, flow.originator, flow.originator_port, flow.interest
    )


__all__ = ["Connection", "Ends", "HttpSession", "host_of", "open_session", "row"]
