"""In: both directions of a connection that speaks HTTP/2 in the clear (with prior knowledge, or after an upgrade to h2c). Out: its
transactions as rows of table `http`, version "2". Never here: header compression (hpack.py), HTTP/1 (http.py).

RFC 9113. A frame: length (24 bits), type (8), flags (8), stream (31), payload. After a gap outside of DATA nothing more of the
direction can be read: header blocks build on one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tracehound.limits import MAX_HTTP2_FRAME_BYTES, MAX_HTTP2_STREAMS, MAX_HTTP_LINE_BYTES
from tracehound.protocols.hpack import Hpack, HpackError
from tracehound.protocols.http_files import Bodies
from tracehound.protocols.http_logins import Logins
from tracehound.protocols.http_message import Ends, Message, Transaction, row, text
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0, 1, 3, 5, 7, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 1, 4, 8, 32
_HEADER_BYTES: Final = 9
_MAX_BLOCK_BYTES: Final = 4 * MAX_HTTP_LINE_BYTES


class _Direction:
    """One direction: what of it is not read yet, and its header compression."""

    def __init__(self, preface: bytes) -> None:
        self.buffer = b""
        self.need = len(preface) or _HEADER_BYTES
        self.preface = preface
        self.hpack = Hpack()
        self.data_left = 0
        self.data_stream = 0
        self.data_ends = False
        self.block = b""
        self.block_stream = 0
        self.block_ends = False
        self.block_bytes = 0
        self.promised = 0
        self.begin: tuple[int, int] = (0, 0)
        self.lost = ""


class FrameSession:
    """One connection of HTTP/2. `ends` has the client as originator; where the flow's originator is the server, the chunks are
    swapped."""

    def __init__(
        self,
        ends: FlowEnds,
        emit: Emit,
        *,
        first_depth: int,
        upgraded: Message | None = None,
        swapped: bool = False,
        preface: bytes = PREFACE,
    ) -> None:
        """first_depth   transactions that the connection had before
        upgraded      the request in HTTP/1.1 that asked for HTTP/2
        preface       what of the client's preface is still to come"""
        self.finished = False
        self._ends = ends
        self._emit = emit
        self._swapped = swapped
        self._depth = first_depth
        self._text_ends = Ends(ends.originator, ends.originator_port, ends.responder, ends.responder_port)
        self._directions = {True: _Direction(preface), False: _Direction(b"")}
        self._streams: dict[int, Transaction] = {}
        self._bodies = Bodies(ends, emit)
        self._logins = Logins(ends, emit)
        self._note = ""
        if upgraded is not None:
            # RFC 7540 3.2: the request that asked for the upgrade is stream 1, half closed.
            self._open(1).request = upgraded

    def feed(self, chunk: Chunk) -> None:
        """The next bytes of one direction."""
        by_client = chunk.from_originator != self._swapped
        d = self._directions[by_client]
        if chunk.gap_before:
            self._gap(d, chunk.gap_before, by_client)
        at, data = 0, chunk.data
        while at < len(data) and not d.lost:
            if d.data_left:
                at += self._body(d, chunk, at, by_client)
                continue
            if not d.buffer:
                d.begin = chunk.segments.packet_at(chunk.offset + at)
            part = data[at : at + d.need - len(d.buffer)]
            d.buffer += part
            at += len(part)
            if len(d.buffer) == d.need:
                self._whole(d, chunk, at, by_client)
        self.finished = all(x.lost for x in self._directions.values())

    def _gap(self, d: _Direction, missing: int, by_client: bool) -> None:
        if missing <= d.data_left:
            message = self._message(d.data_stream, by_client)
            if message is not None:
                message.missing += missing
                message.missing_body += missing
            d.data_left -= missing
            if not d.data_left and d.data_ends:
                self._end(d.data_stream, by_client)
            return
        d.lost = "bytes not in the capture"

    # -- frames ---------------------------------------------------------------------------------------------------------------

    def _whole(self, d: _Direction, chunk: Chunk, at: int, by_client: bool) -> None:
        """The buffer has what was needed: the preface, a frame's header, or a whole frame."""
        frame = d.buffer
        if d.preface:
            expected, d.preface = d.preface, b""
            d.buffer, d.need = b"", _HEADER_BYTES
            if frame != expected:
                d.lost = "no preface of HTTP/2"
            return
        length = int.from_bytes(frame[:3], "big")
        kind, flags, stream = frame[3], frame[4], int.from_bytes(frame[5:9], "big") & 0x7FFFFFFF
        if kind == _DATA and not flags & _PADDED:
            d.buffer, d.need = b"", _HEADER_BYTES
            d.data_left, d.data_stream, d.data_ends = length, stream, bool(flags & _END_STREAM)
            if not length and d.data_ends:
                self._end(stream, by_client)
            return
        d.need = _HEADER_BYTES + length
        if d.need > (MAX_HTTP2_FRAME_BYTES if kind == _DATA else _MAX_BLOCK_BYTES):
            d.lost = "frame longer than the limit"
        if len(frame) < d.need:
            return
        d.buffer, d.need = b"", _HEADER_BYTES
        handle = _FRAMES.get(kind)
        if handle is not None:
            ts_ns = chunk.segments.packet_at(chunk.offset + at - 1)[1]
            handle(self, d, frame[_HEADER_BYTES:], flags, stream, ts_ns, by_client)

    def _unpadded(self, d: _Direction, payload: bytes, flags: int) -> bytes:
        """6.1: with PADDED the first octet says how many octets at the end are padding."""
        if not flags & _PADDED:
            return payload
        pad = payload[0] if payload else 0
        if pad >= max(1, len(payload)):
            d.lost = "padding longer than its frame"
            return b""
        return payload[1 : len(payload) - pad]

    def _padded_data(self, d: _Direction, payload: bytes, flags: int, stream: int, ts_ns: int, by_client: bool) -> None:
        self._add(stream, self._unpadded(d, payload, flags), ts_ns, d.begin[0], by_client)
        if flags & _END_STREAM:
            self._end(stream, by_client)

    def _headers(self, d: _Direction, payload: bytes, flags: int, stream: int, ts_ns: int, by_client: bool) -> None:
        block = self._unpadded(d, payload, flags)
        # 6.2: with PRIORITY a dependency (4) and a weight (1) stand before the block.
        d.block = block[5:] if flags & _PRIORITY else block
        d.block_stream, d.block_ends, d.promised = stream, bool(flags & _END_STREAM), 0
        if flags & _END_HEADERS:
            self._block(d, ts_ns, by_client)

    def _push_promise(self, d: _Direction, payload: bytes, flags: int, stream: int, ts_ns: int, by_client: bool) -> None:
        block = self._unpadded(d, payload, flags)
        d.block, d.block_stream, d.block_ends = block[4:], stream, False
        d.promised = int.from_bytes(block[:4], "big") & 0x7FFFFFFF
        if flags & _END_HEADERS:
            self._block(d, ts_ns, by_client)

    def _continuation(self, d: _Direction, payload: bytes, flags: int, stream: int, ts_ns: int, by_client: bool) -> None:
        if stream != d.block_stream or len(d.block) + len(payload) > _MAX_BLOCK_BYTES:
            d.lost = "header block out of order or longer than the limit"
            return
        d.block += payload
        if flags & _END_HEADERS:
            self._block(d, ts_ns, by_client)

    def _reset(self, d: _Direction, payload: bytes, flags: int, stream: int, ts_ns: int, by_client: bool) -> None:
        transaction = self._streams.get(stream)
        if transaction is not None:
            said = transaction.response or transaction.request
            code = int.from_bytes(payload[:4], "big")
            if said is not None:
                said.notes.append(f"stream reset by the {'client' if by_client else 'server'} with code {code}")
            self._hand_out(stream)

    # -- messages --------------------------------------------------------------------------------------------------------------

    def _open(self, stream: int) -> Transaction:
        transaction = self._streams.get(stream)
        if transaction is None:
            while len(self._streams) >= MAX_HTTP2_STREAMS:
                self._hand_out(next(iter(self._streams)))
            self._depth += 1
            transaction = self._streams[stream] = Transaction(self._depth)
        return transaction

    def _message(self, stream: int, by_client: bool) -> Message | None:
        transaction = self._streams.get(stream)
        if transaction is None:
            return None
        return transaction.request if by_client else transaction.response

    def _block(self, d: _Direction, ts_ns: int, by_client: bool) -> None:
        """A header block is whole: a head, or trailers."""
        block, d.block = d.block, b""
        try:
            headers = d.hpack.decode(block)
        except HpackError as problem:
            d.lost = f"headers: {problem}"
            return
        stream = d.promised or d.block_stream
        as_request = by_client or bool(d.promised)
        have = self._message(stream, as_request)
        if have is not None and not (have.status is not None and have.status < 200):
            have.end_ns = max(have.end_ns, ts_ns)
        else:
            transaction = self._open(stream)
            message = _message_of(headers, *d.begin, ts_ns)
            message.head_bytes = len(block)
            if as_request:
                transaction.request = message
            else:
                transaction.response = message
        if d.promised:
            self._complete(stream, by_client=True)
        elif d.block_ends:
            self._end(stream, by_client)

    def _body(self, d: _Direction, chunk: Chunk, at: int, by_client: bool) -> int:
        part = chunk.data[at : at + d.data_left]
        packet_id, ts_ns = chunk.segments.packet_at(chunk.offset + at)
        self._add(d.data_stream, part, ts_ns, packet_id, by_client)
        d.data_left -= len(part)
        if not d.data_left and d.data_ends:
            self._end(d.data_stream, by_client)
        return len(part)

    def _add(self, stream: int, data: bytes, ts_ns: int, packet_id: int, by_client: bool) -> None:
        message = self._message(stream, by_client)
        if message is None or not data:
            return
        if message.body is None:
            request = self._streams[stream].request
            message.body = self._bodies.open(message, request, by_client=by_client, ts_ns=ts_ns, packet_id=packet_id)
        message.body.add(data)
        message.end_ns = max(message.end_ns, ts_ns)

    def _complete(self, stream: int, *, by_client: bool) -> None:
        message = self._message(stream, by_client)
        if message is not None and not message.complete:
            message.complete = not message.missing

    def _end(self, stream: int, by_client: bool) -> None:
        """One side of a stream is over; the transaction goes out once the response is, and the request too."""
        transaction = self._streams.get(stream)
        message = self._message(stream, by_client)
        if transaction is None or message is None:
            return
        self._complete(stream, by_client=by_client)
        self._bodies.finish(message)
        request, response = transaction.request, transaction.response
        if response is not None and response.complete and (request is None or request.complete):
            self._hand_out(stream, finished=True)

    def _hand_out(self, stream: int, *, finished: bool = False) -> None:
        transaction = self._streams.pop(stream)
        for message in (transaction.request, transaction.response):
            if message is not None and not message.complete and not finished:
                self._bodies.finish(message)
        if transaction.request is None and transaction.response is None:
            return
        self._emit("http", row(transaction, self._ends.flow_id, self._text_ends, self._note))
        if transaction.request is not None:
            self._logins.read(transaction)

    def close(self, note: str) -> None:
        """The flow is over."""
        notes = [note, *(f"{who}: {self._directions[c].lost}" for who, c in (("client", True), ("server", False))
                         if self._directions[c].lost)]  # fmt: skip
        self._note = "; ".join(n for n in notes if n)
        for stream in list(self._streams):
            self._hand_out(stream)
        self._bodies.close()
        self.finished = True


_Frame = Callable[[FrameSession, _Direction, bytes, int, int, int, bool], None]
_FRAMES: Final[dict[int, _Frame]] = {
    _DATA: FrameSession._padded_data,
    _HEADERS: FrameSession._headers,
    _RST_STREAM: FrameSession._reset,
    _PUSH_PROMISE: FrameSession._push_promise,
    _CONTINUATION: FrameSession._continuation,
}
"""Frames that a transaction is made of; PRIORITY, SETTINGS, PING, GOAWAY and WINDOW_UPDATE say nothing of one."""


def _message_of(headers: list[tuple[bytes, bytes]], packet_id: int, ts_ns: int, end_ns: int) -> Message:
    """8.3: pseudo-headers say what HTTP/1 has in its start line."""
    message = Message(packet_id, ts_ns, end_ns, begun=True, version="2")
    for raw_name, raw_value in headers:
        name, value = text(raw_name), text(raw_value)
        message.names.append(name)
        message.values.append(value)
        message.first.setdefault(name.lower(), value)
    first = message.first
    message.method = first.get(":method")
    message.uri = first.get(":path") or (first.get(":authority") if message.method == "CONNECT" else None)
    if ":authority" in first:
        first.setdefault("host", first[":authority"])
    status = first.get(":status", "")
    if len(status) == 3 and status.isdigit() and status.isascii():
        message.status = int(status)
    return message
