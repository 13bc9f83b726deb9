"""In: both directions of a connection once HTTP has agreed to WebSocket. Out: one row of table `websocket`, and what travels in
its binary messages, identified again by content. Never here: the handshake's framing (http.py).

RFC 6455 section 5.2: FIN, RSV1-3, opcode (4 bits) | MASK, length (7 bits) | extended length 16 or 64 bits | masking key | data.
RFC 7692: with permessage-deflate, RSV1 on a message's first frame says that it is compressed; such messages are counted only."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tracehound.limits import HEAD_BYTES, MAX_WEBSOCKET_TEXT_BYTES
from tracehound.protocols.http_message import Message, host_of, text
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds
from tracehound.protocols.tunnel import Tunnel
from tracehound.streams.reassemble import Chunk

_OPCODES: Final = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_CONTROL: Final = 8
_COMPRESSED: Final = 0x40
_LONGEST_HEADER: Final = 14


def _unmasked(data: bytes, key: bytes, phase: int) -> bytes:
    """RFC 6455 5.3: octet i is XORed with octet i mod 4 of the key; `phase` is i of data[0]."""
    size = len(data)
    turned = key[phase % 4 :] + key[: phase % 4]
    stream = turned * (size // 4 + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")


class _Direction:
    """One direction: frames as they pass."""

    def __init__(self) -> None:
        self.buffer = b""
        self.opcodes: Counter[str] = Counter()
        self.data_bytes = 0
        self.left = 0
        self.key = b""
        self.phase = 0
        self.opcode = 0
        self.message_opcode = 0
        self.compressed = False
        self.first_text: bytes | None = None
        self.text_open = False
        self.control = b""
        self.lost = False
        self.note = ""


class WebSocket:
    """One WebSocket connection; fed with chunks whose from_originator means the client."""

    def __init__(self, ends: FlowEnds, emit: Emit, depth: int, request: Message | None, response: Message) -> None:
        self.finished = False
        self._ends = ends
        self._emit = emit
        self._depth = depth
        self._request = request
        self._response = response
        self._directions = {True: _Direction(), False: _Direction()}
        self._end_ns = response.end_ns
        self._close: bytes | None = None
        self._tunnel = Tunnel(ends, emit, ends.responder_port)

    def feed(self, chunk: Chunk) -> None:
        """The next bytes of one direction."""
        d = self._directions[chunk.from_originator]
        self._end_ns = max(self._end_ns, chunk.segments.packet_at(chunk.offset + len(chunk.data) - 1)[1])
        if chunk.gap_before:
            self._gap(d, chunk.gap_before)
        if d.lost:
            return
        data, at, end = chunk.data, 0, len(chunk.data)
        while at < end:
            if d.left:
                part = data[at : at + d.left]
                self._data(d, part, chunk, at)
                at += len(part)
                continue
            held = len(d.buffer)
            header = d.buffer + data[at : at + _LONGEST_HEADER - held]
            size = self._header(d, header)
            if size == 0:
                d.buffer = header
                return
            if size < 0:
                d.lost = True
                d.note = "not a WebSocket frame"
                return
            d.buffer = b""
            at += size - held

    def _gap(self, d: _Direction, missing: int) -> None:
        d.note = "bytes not in the capture"
        if missing <= d.left:
            d.left -= missing
            d.phase += missing
            d.text_open = False
            return
        d.lost = True

    def _header(self, d: _Direction, h: bytes) -> int:
        """Read a frame's header: its size; 0 while it is not whole; -1 if it is none."""
        if len(h) < 2:
            return 0
        code = h[0] & 15
        if code not in _OPCODES or h[0] & 0x30:
            return -1
        length = h[1] & 127
        # 126 and 127 stand for an extended length of 2 and 8 octets.
        extended = {126: 2, 127: 8}.get(length, 0)
        size = 2 + extended + (4 if h[1] & 128 else 0)
        if len(h) < size:
            return 0
        if extended:
            length = int.from_bytes(h[2 : 2 + extended], "big")
        if length >> 63 or (code >= _CONTROL and length > 125):
            return -1
        d.key = h[2 + extended : size] if h[1] & 128 else b""
        d.phase = 0
        d.left = length
        d.opcode = code
        d.opcodes[_OPCODES[code]] += 1
        if code < _CONTROL:
            if code:
                d.message_opcode = code
                d.compressed = bool(h[0] & _COMPRESSED)
            d.text_open = d.message_opcode == 1 and (code == 0 or d.first_text is None) and not d.compressed
            if code == 1 and not d.compressed and d.first_text is None:
                d.first_text = b""
        else:
            d.control = b""
            if code == _CONTROL and not length and self._close is None:
                self._close = b""
        return size

    def _data(self, d: _Direction, part: bytes, chunk: Chunk, at: int) -> None:
        d.left -= len(part)
        d.data_bytes += len(part)
        wanted = d.text_open or d.opcode >= _CONTROL or (
            d.message_opcode == 2 and not d.compressed and not self._tunnel.finished
        )  # fmt: skip
        if not wanted:
            d.phase += len(part)
            return
        plain = _unmasked(part, d.key, d.phase) if d.key else part
        d.phase += len(part)
        if d.opcode >= _CONTROL:
            d.control += plain[:125]
            if d.opcode == _CONTROL and not d.left and self._close is None:
                self._close = d.control
        elif d.message_opcode == 2:
            self._tunnel.feed(chunk._replace(data=plain, offset=chunk.offset + at, gap_before=0))
        elif d.first_text is not None and len(d.first_text) < MAX_WEBSOCKET_TEXT_BYTES:
            d.first_text = (d.first_text + plain)[:MAX_WEBSOCKET_TEXT_BYTES]

    def _list(self, message: Message | None, header: str) -> list[str] | None:
        """Elements of a list header that may stand several times."""
        if message is None:
            return None
        values = [v for n, v in zip(message.names, message.values, strict=True) if n.lower() == header]
        return [p.strip() for v in values for p in v.split(",") if p.strip()] or None

    def close(self, note: str) -> None:
        """The connection is over: hand out the row."""
        self._tunnel.close(note)
        self.finished = True
        e, request = self._ends, self._request
        client, server = self._directions[True], self._directions[False]
        first = request or self._response
        code = int.from_bytes(self._close[:2], "big") if self._close and len(self._close) >= 2 else None
        notes = [note, *(f"{who}: {d.note}" for who, d in (("client", client), ("server", server)) if d.note)]
        chosen = self._response.first.get("sec-websocket-protocol")
        self._emit(
            "websocket",
            (
                e.flow_id << TXN_SHIFT | self._depth, e.flow_id, first.ts_ns, e.originator, e.originator_port, e.responder,
                e.responder_port, host_of(request), request.uri if request else None,
                request.first.get("user-agent") if request else None, chosen,
                self._list(request, "sec-websocket-protocol"), self._list(request, "sec-websocket-extensions"),
                self._list(self._response, "sec-websocket-extensions"), self._end_ns,
                client.opcodes.total(), server.opcodes.total(), _counted(client), _counted(server), client.data_bytes,
                server.data_bytes, _shown(client), _shown(server), self._tunnel.service, code,
                text(self._close[2:HEAD_BYTES]) if self._close and len(self._close) > 2 else None,
                "; ".join(n for n in notes if n) or None,
            ),
        )  # fmt: skip


def _counted(d: _Direction) -> str | None:
    return ", ".join(f"{name} {count}" for name, count in d.opcodes.items()) or None


def _shown(d: _Direction) -> str | None:
    if d.first_text is None:
        return None
    shown = d.first_text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
