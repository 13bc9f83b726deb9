"""In: the ordered bytes of both directions of a flow, or datagrams. Out: SIP requests with their final responses as rows of table
`sip`, registrations that carry credentials as rows of `logins`. Never here: the media that a call sets up.

RFC 3261 (SIP). A response belongs to the request with the same Call-ID and CSeq that went the other way; provisional responses (1xx)
are passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_OPEN_SIP, MAX_SIP_MESSAGE_BYTES, MAX_TEXT_COMMANDS
from tracehound.protocols.lines import words_of
from tracehound.protocols.session import TXN_SHIFT, Datagram, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_REQUEST: Final = re.compile(rb"([A-Z]{2,20}) +([^\r\n]{1,2000}?) +SIP/2\.0[ \t]*\r?\n")
_STATUS: Final = re.compile(rb"SIP/2\.0 +([1-6]\d\d)(?: +([^\r\n]*))?\r?\n")
_START: Final = re.compile(rb"(?:\A|\n)(?=[A-Z]{2,20} +[^\r\n]{1,2000}? +SIP/2\.0[ \t]*\r?\n|SIP/2\.0 +[1-6]\d\d)")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_COMPACT: Final = {
    "i": "call-id", "m": "contact", "e": "content-encoding", "l": "content-length", "c": "content-type", "f": "from",
    "s": "subject", "k": "supported", "t": "to", "v": "via",
}  # fmt: skip
"""RFC 3261 7.3.3."""
_USER: Final = re.compile(r'username="([^"]{1,400})"', re.IGNORECASE)


@dataclass(slots=True)
class Message:
    packet_id: int
    ts_ns: int
    by_originator: bool
    method: str | None = None
    uri: str | None = None
    status: int | None = None
    reason: str | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        values = self.fields.get(name)
        return values[0] if values else None

    @property
    def body_bytes(self) -> int | None:
        value = (self.get("content-length") or "").strip()
        return int(value) if value.isdigit() and len(value) < 12 else None


def parse(head: bytes, packet_id: int, ts_ns: int, by_originator: bool) -> Message | None:
    """Start line and header fields; None = this is no SIP message."""
    message = Message(packet_id, ts_ns, by_originator)
    request = _REQUEST.match(head)
    status = None if request else _STATUS.match(head)
    if request:
        message.method, message.uri = words_of(request.group(1)), words_of(request.group(2))
    elif status:
        message.status, message.reason = int(status.group(1)), words_of(status.group(2) or b"") or None
    else:
        return None
    section = re.sub(rb"\r?\n[ \t]+", b" ", head.split(b"\n", 1)[1])
    for line in section.split(b"\n")[:200]:
        name, colon, value = line.rstrip(b"\r").partition(b":")
        if colon and name.strip():
            key = words_of(name.strip()).lower()[:80]
            message.fields.setdefault(_COMPACT.get(key, key), []).append(words_of(value.strip()))
    return message


class Dialogue:
    """Requests of one flow and their responses."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self._ends = ends
        self._emit = emit
        self._open: dict[tuple[str, str, bool], tuple[int, Message]] = {}
        self._early: dict[tuple[str, str, bool], Message] = {}
        self._count = 0
        self._logins = 0

    def message(self, message: Message) -> None:
        """The next message of either side."""
        if message.status is not None and message.status < 200:
            return
        call, cseq = message.get("call-id") or "", " ".join((message.get("cseq") or "").split())
        if message.method is not None:
            key = call, cseq, message.by_originator
            early = self._early.pop(key, None)
            if early is not None or message.method == "ACK":
                # RFC 3261 17.1.1.3: no response answers an ACK.
                self._row(self._next(), message, early)
                return
            if key in self._open:
                # Sent again for want of a response.
                return
            if len(self._open) >= MAX_OPEN_SIP:
                self._row(*self._open.pop(next(iter(self._open))), None)
            self._open[key] = self._next(), message
            return
        key = call, cseq, not message.by_originator
        waiting = self._open.pop(key, None)
        if waiting is not None:
            self._row(*waiting, message)
        elif len(self._early) < MAX_OPEN_SIP:
            # Bytes of one side may come before those of the other that they answer.
            self._early.setdefault(key, message)

    def _next(self) -> int:
        self._count += 1
        return self._count

    def end(self) -> None:
        """The flow is over."""
        for number, message in self._open.values():
            self._row(number, message, None)
        for message in self._early.values():
            self._row(self._next(), None, message)
        self._open.clear()
        self._early.clear()

    def _row(self, depth: int, request: Message | None, response: Message | None) -> None:
        first = request or response
        if first is None or depth > MAX_TEXT_COMMANDS:
            return
        e = self._ends
        originator, responder = (e.originator, e.originator_port), (e.responder, e.responder_port)
        forward = request.by_originator if request else not first.by_originator
        ends = (*originator, *responder) if forward else (*responder, *originator)

        def asked(name: str) -> str | None:
            return request.get(name) if request else None

        def said(name: str) -> str | None:
            return response.get(name) if response else None

        cseq = first.get("cseq")
        method = request.method if request else (cseq or "").rpartition(" ")[2] or None
        self._emit(
            "sip",
            (
                e.flow_id << TXN_SHIFT | depth - 1, e.flow_id, first.ts_ns, *ends, depth, method,
                request.uri if request else None, asked("date") or said("date"), asked("from"), asked("to"), said("from"),
                said("to"), asked("reply-to"), first.get("call-id"), cseq, asked("subject"),
                request.fields.get("via", []) if request else [], response.fields.get("via", []) if response else [],
                asked("user-agent"), response.status if response else None, response.reason if response else None,
                said("warning"), request.body_bytes if request else None, response.body_bytes if response else None,
                said("content-type"), first.packet_id, None,
            ),
        )  # fmt: skip
        given = asked("authorization") or asked("proxy-authorization")
        if given and request is not None:
            self._login(given, ends, request, response)

    def _login(self, given: str, ends: tuple[object, ...], request: Message, response: Message | None) -> None:
        """RFC 3261 22: as in HTTP; 401, 403 and 407 refuse."""
        scheme = given.split(None, 1)[0][:20]
        user = _USER.search(given)
        status = response.status if response else None
        accepted = None if status is None else True if status < 300 else False if status in (401, 403, 407) else None
        answer = f"{status} {response.reason or ''}".rstrip() if response else None
        flow_id = self._ends.flow_id
        self._emit("logins", (flow_id << TXN_SHIFT | self._logins, flow_id, request.ts_ns, *ends, "sip",
                              user.group(1) if user else None, scheme, scheme.lower() == "basic", accepted, answer,
                              request.packet_id, None))  # fmt: skip
        self._logins += 1


class _Half:
    """One direction of a stream, split into messages (RFC 3261 18.3: by Content-Length)."""

    def __init__(self) -> None:
        self.buffer = b""
        self.where = (0, 0)
        self.skip = 0


class SipSession:
    """SIP over TCP."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self.finished = False
        self._dialogue = Dialogue(ends, emit)
        self._halves = {True: _Half(), False: _Half()}

    def feed(self, chunk: Chunk) -> None:
        half = self._halves[chunk.from_originator]
        if chunk.gap_before:
            half.buffer, half.skip = b"", 0
        at = 0
        data = chunk.data
        while at < len(data):
            if half.skip:
                step = min(half.skip, len(data) - at)
                half.skip -= step
                at += step
                continue
            if not half.buffer:
                half.where = chunk.segments.packet_at(chunk.offset + at)
            piece = data[at : at + 65_536]
            held = len(half.buffer)
            half.buffer += piece
            end = _HEAD_END.search(half.buffer, max(0, held - 3))
            if end is None:
                at += len(piece)
                if len(half.buffer) > MAX_SIP_MESSAGE_BYTES:
                    half.buffer = b""
                continue
            head, half.buffer = half.buffer[: end.end()], b""
            at += end.end() - held
            start = _START.search(head)
            message = parse(head[start.end() :], *half.where, chunk.from_originator) if start else None
            if message is not None:
                half.skip = message.body_bytes or 0
                self._dialogue.message(message)

    def close(self, note: str) -> None:
        self._dialogue.end()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> SipSession:
    """Opener for STREAMS."""
    return SipSession(ends, emit)


class SipDatagrams:
    """SIP over UDP: a datagram is a message."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, Dialogue] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        dialogue = self._flows.get(d.flow_id)
        if dialogue is None:
            near, far = (d.src, d.sport), (d.dst, d.dport)
            ends = FlowEnds(d.flow_id, *near, *far) if d.from_originator else FlowEnds(d.flow_id, *far, *near)
            dialogue = self._flows[d.flow_id] = Dialogue(ends, self._emit)
        start = _START.search(d.data[:4096])
        head = d.data[start.end() :].split(b"\r\n\r\n", 1)[0] + b"\r\n" if start else b""
        message = parse(head, d.packet_id, d.ts_ns, d.from_originator)
        if message is not None:
            dialogue.message(message)
        return False

    def end(self, flow_id: int) -> None:
        dialogue = self._flows.pop(flow_id, None)
        if dialogue is not None:
            dialogue.end()
