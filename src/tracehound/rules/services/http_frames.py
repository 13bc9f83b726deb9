"""In: the frames of an HTTP/2 connection. Out: one transaction a stream, with its headers and bodies; DNS over HTTP is told by its
content type. Never here: rules. RFC 9113, RFC 8484; header blocks are read by protocols/hpack.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_RULE_BODY_BYTES
from tracehound.protocols.hpack import Hpack, HpackError
from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS: Final = 1
BODY: Final = 2
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 1, 4, 8, 32
Header = tuple[bytes, bytes]


@dataclass(slots=True)
class StreamTransaction(Transaction):
    """Lists by side: [to_client, to_server]."""

    headers: tuple[list[Header], list[Header]] = field(default_factory=lambda: ([], []))
    bodies: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))

    def value(self, name: bytes, side: bool) -> bytes | None:
        return next((v for n, v in self.headers[side] if n == name), None)


def _value(name: bytes) -> Any:
    return lambda tx, to_server: tx.value(name, to_server)


def _block(tx: StreamTransaction, to_server: bool) -> bytes | None:
    lines = [n + b": " + v + b"\r\n" for n, v in tx.headers[to_server]]
    return b"".join(lines) + b"\r\n" if lines else None


def _body(tx: StreamTransaction, to_server: bool) -> bytes | None:
    return bytes(tx.bodies[to_server]) or None


def _host(tx: StreamTransaction, _to_server: bool) -> bytes | None:
    found = tx.value(b":authority", True) or tx.value(b"host", True)
    return found.partition(b":")[0].lower() if found is not None else None


SOURCES: Final[dict[str, Source]] = {
    "http2.header_name": Source(None, HEADERS, lambda tx, s: [n for n, _ in tx.headers[s]]),
    "http2.header": Source(None, HEADERS, lambda tx, s: [n + b": " + v for n, v in tx.headers[s]]),
    "http.uri": Source(True, HEADERS, _value(b":path")),
    "http.uri.raw": Source(True, HEADERS, _value(b":path")),
    "http.method": Source(True, HEADERS, _value(b":method")),
    "http.host": Source(True, HEADERS, _host),
    "http.host.raw": Source(True, HEADERS, lambda tx, _s: tx.value(b":authority", True) or tx.value(b"host", True)),
    "http.user_agent": Source(True, HEADERS, _value(b"user-agent")),
    "http.referer": Source(True, HEADERS, _value(b"referer")),
    "http.cookie": Source(None, HEADERS, lambda tx, s: tx.value(b"cookie" if s else b"set-cookie", s)),
    "http.content_type": Source(None, HEADERS, _value(b"content-type")),
    "http.accept": Source(True, HEADERS, _value(b"accept")),
    "http.header": Source(None, HEADERS, _block),
    "http.header.raw": Source(None, HEADERS, _block),
    "http.stat_code": Source(False, HEADERS, _value(b":status")),
    "http.request_header": Source(True, HEADERS, lambda tx, s: [n + b": " + v for n, v in tx.headers[s]]),
    "http.response_header": Source(False, HEADERS, lambda tx, s: [n + b": " + v for n, v in tx.headers[s]]),
    "http.request_body": Source(True, BODY, _body, grows=True),
    "http.response_body": Source(False, BODY, _body, grows=True),
    "file.data": Source(None, BODY, _body, grows=True),
}  # fmt: skip


class _Side:
    __slots__ = ("block", "buffer", "flags", "hpack", "preface", "stream")

    def __init__(self, preface: bytes) -> None:
        self.buffer = bytearray()
        self.preface = preface
        self.hpack: Hpack | None = Hpack()
        self.block = bytearray()
        self.stream = 0
        self.flags = 0


class Http2(Service):
    name = "http2"
    sources = SOURCES

    def __init__(self) -> None:
        super().__init__()
        self._sides = (_Side(b""), _Side(PREFACE))
        self._streams: dict[int, StreamTransaction] = {}

    def feed(self, to_server: bool, data: bytes) -> None:
        side = self._sides[to_server]
        side.buffer += data
        if side.preface:
            if len(side.buffer) < len(side.preface):
                return
            if side.buffer.startswith(side.preface):
                del side.buffer[: len(side.preface)]
            side.preface = b""
        while len(side.buffer) >= 9:
            # RFC 9113 4.1: length 3, type 1, flags 1, stream 4.
            size, kind, flags = int.from_bytes(side.buffer[:3], "big"), side.buffer[3], side.buffer[4]
            stream = int.from_bytes(side.buffer[5:9], "big") & 0x7FFFFFFF
            if size > 1 << 20:
                self.stopped = True
                return
            if len(side.buffer) < 9 + size:
                return
            body = bytes(side.buffer[9 : 9 + size])
            del side.buffer[: 9 + size]
            self._frame(to_server, side, kind, flags, stream, body)

    def _frame(self, to_server: bool, side: _Side, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind in (_DATA, _HEADERS) and flags & _PADDED and body:
            body = body[1 : max(1, len(body) - body[0])]
        if kind == _HEADERS:
            side.block = bytearray(body[5:] if flags & _PRIORITY else body)
            side.stream, side.flags = stream, flags
            if flags & _END_HEADERS:
                self._headers(to_server, side)
        elif kind == _CONTINUATION and stream == side.stream:
            side.block += body
            if flags & _END_HEADERS:
                self._headers(to_server, side)
        elif kind == _DATA and stream in self._streams:
            tx = self._streams[stream]
            part = tx.bodies[to_server]
            part += body[: max(0, MAX_RULE_BODY_BYTES - len(part))]
            tx.progress[to_server] = max(tx.progress[to_server], BODY)
            if flags & _END_STREAM:
                self._finish(tx, stream, to_server)

    def _headers(self, to_server: bool, side: _Side) -> None:
        if side.hpack is None:
            return
        try:
            headers = side.hpack.decode(bytes(side.block))
        except HpackError:
            side.hpack = None
            return
        tx = self._streams.get(side.stream)
        if tx is None:
            tx = self._streams[side.stream] = StreamTransaction(self.count)
            self.count += 1
            self.transactions.append(tx)
        tx.headers[to_server].extend(headers)
        tx.progress[to_server] = max(tx.progress[to_server], HEADERS)
        if any(n in (b"content-type", b"accept") and v == b"application/dns-message" for n, v in headers):
            self.name = "doh2"  # type: ignore[misc]
        if side.flags & _END_STREAM:
            self._finish(tx, side.stream, to_server)

    def _finish(self, tx: StreamTransaction, stream: int, to_server: bool) -> None:
        tx.progress[to_server] = COMPLETE
        if tx.done(True) and tx.done(False):
            self._streams.pop(stream, None)

    def summary(self, tx: StreamTransaction) -> dict[str, Any] | None:
        out: dict[str, Any] = {"version": "2"}
        for key, name, side in (
            ("hostname", b":authority", True), ("url", b":path", True), ("http_method", b":method", True),
            ("http_user_agent", b"user-agent", True), ("http_content_type", b"content-type", False),
        ):  # fmt: skip
            value = tx.value(name, side)
            if value is not None:
                out[key] = value.decode("utf-8", "backslashreplace")
        status = tx.value(b":status", False)
        if status is not None and status.isdigit():
            out["status"] = int(status[:4])
        return {"http": out}
