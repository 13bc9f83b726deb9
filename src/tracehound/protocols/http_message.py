"""In: one request or response as far as a reader of HTTP has taken it apart. Out: the shapes that all versions of HTTP share,
and a row of table `http`. Never here: how a version frames its messages (http.py, http_frames.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import HTTP_PREVIEW_BYTES, HTTP_REQUEST_PREVIEW_BYTES
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.content_coding import Decoding
from tracehound.protocols.form_data import FormParts
from tracehound.protocols.session import TXN_SHIFT, Row

_ESCAPE: Final = {c: f"\\x{c:02x}" for c in [*range(0x20), *range(0x7F, 0x100)]}


def text(raw: bytes) -> str:
    """Bytes as text: printable ASCII as it is, everything else as \\xNN."""
    decoded = raw.decode("latin-1")
    return decoded if decoded.isascii() and decoded.isprintable() else decoded.translate(_ESCAPE)


class Body:
    """A message body: content coding removed, then counted, hashed and recognised as it passes.

    whole   the body as such; a file of its own unless it is a range of one
    sink    takes the content, too: the parts of a form, the ranges of a larger file
    closed  its files have gone out"""

    __slots__ = ("_decoding", "closed", "sink", "whole", "wire")

    def __init__(self, encoding: str, whole: CarriedFile, sink: FormParts | RangedPart | None = None) -> None:
        self.whole = whole
        self.wire = 0
        self.closed = False
        self.sink = sink
        self._decoding = Decoding(encoding) if encoding else None

    def add(self, data: bytes) -> None:
        """Bytes of the body as transferred, transfer coding already removed."""
        self.wire += len(data)
        if self._decoding is not None:
            data = self._decoding.decode(data)
        if not data:
            return
        self.whole.add(data)
        if self.sink is not None:
            self.sink.add(data)

    @property
    def note(self) -> str:
        return self._decoding.note if self._decoding is not None else ""

    @property
    def length(self) -> int:
        """Bytes of it that are in the capture, codings removed."""
        return self.whole.bytes

    @property
    def coded(self) -> bool:
        """Whether a content coding was removed."""
        return self._decoding is not None


class RangedPart:
    """One part of a file that comes in ranges; `file` is the file that it continues (RFC 9110 14.4).

    first, last   numbers of the part's first and last byte in the file
    total         size of the file; None = not said"""

    __slots__ = ("file", "first", "last", "missing", "total")

    def __init__(self, file: CarriedFile, first: int, last: int, total: int | None) -> None:
        self.file = file
        self.first = first
        self.last = last
        self.total = total
        self.missing = False

    def add(self, data: bytes) -> None:
        self.file.add(data)


@dataclass(slots=True)
class Message:
    """One request or response as far as it was seen. `first` has the first value of each header by its name in lower case.

    missing       bytes of it that are not in the capture
    missing_body  those of them that lie in its body"""

    packet_id: int
    ts_ns: int
    end_ns: int
    begun: bool = False
    names: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)
    head_bytes: int = 0
    body: Body | None = None
    method: str | None = None
    uri: str | None = None
    version: str | None = None
    status: int | None = None
    reason: str | None = None
    complete: bool = False
    foreign: bool = False
    missing: int = 0
    missing_body: int = 0
    notes: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """First value of a header; its name is given in lower case. None = absent."""
        return self.first.get(name)

    def media_type(self) -> str | None:
        """Content-Type, lower case, without parameters."""
        value = self.first.get("content-type")
        return value.split(";", 1)[0].strip().lower() if value is not None else None


@dataclass(slots=True)
class Transaction:
    """A request and the response to it, as far as they are there; `depth` numbers it within its flow, from 1."""

    depth: int
    request: Message | None = None
    response: Message | None = None


@dataclass(slots=True)
class Ends:
    """Client and server of a connection as text and port."""

    client: str
    client_port: int
    server: str
    server_port: int


def host_of(request: Message | None) -> str | None:
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
    if message is None or message.foreign:
        return None
    body = message.body
    if body is None:
        return message.missing_body
    # How long the body was is known also where some of it was not captured, unless it has to be decoded first.
    return body.length if body.coded else body.length + message.missing_body


def _notes(transaction: Transaction, connection_note: str) -> str | None:
    request, response = transaction.request, transaction.response
    if (
        request is not None and response is not None and not connection_note and request.complete and response.complete
        and not request.notes and not response.notes
        and (request.body is None or not request.body.note) and (response.body is None or not response.body.note)
    ):  # fmt: skip
        return None
    notes: list[str] = []
    for who, message in (("request", request), ("response", response)):
        if message is None:
            notes.append(f"{who} not in the capture" if who == "request" else "no response")
            continue
        body_note = message.body.note if message.body is not None else ""
        notes += [f"{who}: {n}" for n in dict.fromkeys([*message.notes, *([body_note] if body_note else [])])]
        if message.missing:
            notes.append(f"{who}: {message.missing} bytes not in the capture")
        elif not message.complete:
            notes.append(f"{who}: not whole")
    if connection_note:
        notes.append(connection_note)
    return "; ".join(notes) or None


_NO_MESSAGE: Final = (None,) * 8


def _request_columns(request: Message | None) -> Row:
    if request is None:
        return (*_NO_MESSAGE, None, None, None, None, None)
    body = request.body
    first = request.first
    return (
        request.method, request.uri, request.version, host_of(request), first.get("user-agent"), first.get("referer"),
        request.names, request.values, request.head_bytes, _body_length(request),
        body.whole.sha256 if body is not None else None, body.whole.kind if body is not None else None,
        body.whole.head[:HTTP_REQUEST_PREVIEW_BYTES] if body is not None and body.length else None,
    )  # fmt: skip


def _response_columns(response: Message | None) -> Row:
    if response is None:
        return (*_NO_MESSAGE, None, None)
    body = response.body
    sha256, kind, preview = None, None, None
    if body is not None and body.length:
        sha256, kind, preview = body.whole.sha256, body.whole.kind, body.whole.head[:HTTP_PREVIEW_BYTES]
    return (
        response.status, response.reason, response.first.get("server"), response.media_type(), response.names,
        response.values, _body_length(response), sha256, kind, preview,
    )  # fmt: skip


def row(transaction: Transaction, flow_id: int, ends: Ends, note: str = "") -> Row:
    """One transaction as a row of table `http`, in the order of its columns. `note` says what befell the connection."""
    request, response = transaction.request, transaction.response
    first = request or response
    assert first is not None
    last_ns = first.end_ns if response is None or response is first else max(first.end_ns, response.end_ns)
    return (
        flow_id << TXN_SHIFT | transaction.depth, flow_id, transaction.depth, first.ts_ns,
        response.ts_ns if response is not None else None, last_ns, ends.client, ends.client_port, ends.server,
        ends.server_port, *_request_columns(request), *_response_columns(response),
        request is not None and response is not None and request.complete and response.complete,
        request.packet_id if request is not None else None,
        response.packet_id if response is not None else None,
        _notes(transaction, note),
    )  # fmt: skip
