"""In: DCE/RPC messages over TCP, over UDP or over a pipe of SMB. Out: rows of table `dce_rpc`, a call with its answer each, and what
NTLM says in them. Never here: the arguments of a call beyond their size, or the pipe (smb.py).

C706 (DCE 1.1: RPC) chapters 12 and 14, [MS-RPCE] 2.2.1.1 (security levels), 2.2.2.11 (authentication). A response belongs to the
request with the same call id; requests of one direction are read before the responses that answer them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Final, Literal

from tracehound.limits import MAX_RPC_CALLS, MAX_RPC_CONTEXTS, MAX_RPC_FRAGMENT_BYTES
from tracehound.protocols.dce_rpc_interfaces import PIPES, interface_name, operation_name
from tracehound.protocols.framed import NOT_A_MESSAGE, Framer
from tracehound.protocols.ntlm import NtlmExchange, messages_in
from tracehound.protocols.reporter import Reporter, ends_of, swapped
from tracehound.protocols.session import Datagram, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_Order = Literal["little", "big"]
HEADER_BYTES: Final = 16
(_REQUEST, _PING, _RESPONSE, _FAULT, _BIND, _BIND_ACK, _BIND_NAK, _ALTER, _ALTER_RESPONSE, _AUTH3) = (
    0, 1, 2, 3, 11, 12, 13, 14, 15, 16)  # fmt: skip
_FIRST_FRAGMENT, _OBJECT = 0x01, 0x80
_LITTLE: Final = 0x10
_LEVELS: Final[dict[int, str]] = {2: "connect", 3: "call", 4: "packet", 5: "integrity", 6: "privacy"}
_FAULTS: Final[dict[int, str]] = {
    0x1C010002: "nca_op_rng_error", 0x1C010003: "nca_unk_if", 0x1C000009: "nca_context_mismatch", 0x1C00001B: "nca_remote_no_memory",
    0x5: "access_denied", 0x6F7: "bad_stub_data", 0x1C01000B: "nca_proto_error", 0x1C010014: "nca_server_too_busy",
    0x1C00001C: "nca_invalid_pres_context_id", 0x1C000001: "nca_divide_by_zero",
}  # fmt: skip


_TAIL: Final[dict[_Order, Callable[..., tuple[int, int]]]] = {
    "little": Struct("<HI").unpack_from, "big": Struct(">HI").unpack_from,
}  # fmt: skip
"""Behind the length: bytes of authentication, number of the call."""
_ASKED: Final[dict[_Order, Callable[..., tuple[int, int]]]] = {
    "little": Struct("<HH").unpack_from, "big": Struct(">HH").unpack_from,
}  # fmt: skip
"""Of a request: context, operation."""


def pdu_size(head: bytes) -> int:
    """Length of a connection-oriented message from its first 16 bytes (C706 12.6.3.1)."""
    if head[0] != 5 or head[1] > 1 or head[2] > 19:
        return NOT_A_MESSAGE
    return head[8] | head[9] << 8 if head[4] & _LITTLE else head[8] << 8 | head[9]


@lru_cache(maxsize=4096)
def uuid_text(raw: bytes, order: _Order) -> str:
    """16 bytes as a UUID; its first three fields are in the sender's byte order (C706 appendix A)."""
    if order == "little":
        raw = raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@dataclass(slots=True)
class _Call:
    uuid: str | None
    version: str | None
    opnum: int
    stub_bytes: int
    level: int
    packet_id: int
    ts_ns: int
    row: int | None = None


class RpcConversation:
    """One association. `message` takes whole messages of either side."""

    def __init__(self, reporter: Reporter, service: str, pipe: str | None = None) -> None:
        self._reporter = reporter
        self._service = service
        self._pipe = pipe
        self._contexts: dict[int, tuple[str, str]] = {}
        self._calls: dict[int, deque[_Call]] = {}
        self._waiting = 0
        self._early: dict[int, tuple[str, int | None, int | None]] = {}
        self._responses: dict[int, int] = {}
        self._ntlm = NtlmExchange(reporter, service)
        self._level = 0

    def message(self, data: bytes, packet_id: int, ts_ns: int, *, client: bool) -> None:
        """A message from its 16 bytes of header on."""
        order: _Order = "little" if data[4] & _LITTLE else "big"
        kind = data[2]
        auth_bytes, call_id = _TAIL[order](data, 10)
        trailer = len(data) - auth_bytes - 8 if auth_bytes else len(data)
        level = data[trailer + 1] if auth_bytes and HEADER_BYTES <= trailer < len(data) - 1 else 0
        if auth_bytes and kind != _REQUEST and kind != _RESPONSE:
            self._security(data[max(HEADER_BYTES, trailer + 8) :], packet_id, ts_ns, client=client)
        if kind in (_BIND, _ALTER):
            self._bind(data, order)
        elif kind == _REQUEST and data[3] & _FIRST_FRAGMENT and len(data) >= 24:
            context, opnum = _ASKED[order](data, 20)
            name, version = self._contexts.get(context, (None, None))
            object_bytes = 16 if data[3] & _OBJECT else 0
            call = _Call(
                name, version, opnum, max(0, trailer - 24 - object_bytes), level, packet_id, ts_ns, self._reporter.number("dce_rpc")
            )
            if call.uuid is None and self._pipe is not None:
                call.uuid = PIPES.get(self._pipe.lower().rpartition("\\")[2])
            # A number may be used again once it is answered; requests are read before the answers.
            self._calls.setdefault(call_id, deque()).append(call)
            self._waiting += 1
            early = self._early.pop(call_id, None)
            if early is not None and (early[2] or 0) >= ts_ns:
                self._answer(call_id, *early)
            if self._waiting > MAX_RPC_CALLS:
                self._answer(next(iter(self._calls)), None, None, None)
        elif kind == _REQUEST and call_id in self._calls:
            self._calls[call_id][-1].stub_bytes += max(0, trailer - 24)
        elif kind == _RESPONSE:
            # What is answered was let in.
            self._ntlm.answered(True)
            last = bool(data[3] & 2)
            size = self._responses.pop(call_id, 0) + max(0, trailer - 24)
            if last:
                self._answer(call_id, "response", size, ts_ns)
            elif len(self._responses) < MAX_RPC_CALLS:
                self._responses[call_id] = size
        elif kind == _FAULT:
            status = int.from_bytes(data[24:28], order)
            if status == 5:
                self._ntlm.answered(False, "access_denied")
            self._answer(call_id, "fault " + _FAULTS.get(status, f"0x{status:08x}"), 0, ts_ns)
        elif kind == _BIND_NAK:
            self._ntlm.answered(False, "bind refused")

    def _security(self, token: bytes, packet_id: int, ts_ns: int, *, client: bool) -> None:
        message = messages_in(token)
        if message is None:
            return
        if client:
            self._ntlm.authenticate(message, packet_id, ts_ns)
        else:
            self._ntlm.challenge(message)

    def _bind(self, data: bytes, order: _Order) -> None:
        """C706 12.6.4.3: sizes, group, number of contexts; each with its interface and transfer syntaxes."""
        at = 28
        for _ in range(data[24] if len(data) > 24 else 0):
            if at + 24 > len(data) or len(self._contexts) >= MAX_RPC_CONTEXTS:
                return
            context = int.from_bytes(data[at : at + 2], order)
            raw = data[at + 4 : at + 20]
            name = uuid_text(raw, order)
            major, minor = (int.from_bytes(data[i : i + 2], order) for i in (at + 20, at + 22))
            # [MS-RPCE] 3.3.1.5.3: bind time features are offered as a second transfer syntax of the same interface.
            self._contexts[context] = name, f"{major}.{minor}"
            at += 24 + 20 * data[at + 2]

    def _answer(self, call_id: int, result: str | None, stub_bytes: int | None, ts_ns: int | None) -> None:
        """The oldest call of this number is answered, or given up."""
        calls = self._calls.get(call_id)
        if calls is None:
            if result is not None and len(self._early) < MAX_RPC_CALLS:
                # Where the flow was taken for the other way round, answers are read before their requests.
                self._early.setdefault(call_id, (result, stub_bytes, ts_ns))
            return
        call = calls.popleft()
        self._waiting -= 1
        if not calls:
            del self._calls[call_id]
        self._row(call, result, stub_bytes, ts_ns)

    def _row(self, call: _Call, result: str | None, stub_bytes: int | None, response_ns: int | None) -> None:
        r = self._reporter
        if call.row is None:
            return
        name = interface_name(call.uuid) if call.uuid else None
        r.emit("dce_rpc", (
            *r.begin(call.row, call.ts_ns), self._service, self._pipe, name, call.uuid, call.version, call.opnum,
            operation_name(call.uuid, call.opnum) if call.uuid else None, response_ns, result, _LEVELS.get(call.level), call.stub_bytes,
            stub_bytes, call.packet_id, r.said,
        ))  # fmt: skip

    def end(self) -> None:
        """The association is over."""
        for calls in self._calls.values():
            for call in calls:
                self._row(call, None, None, None)
        self._calls.clear()
        self._ntlm.end()


class RpcSession(Reporter):
    """DCE/RPC over TCP."""

    service = "dce_rpc"

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool) -> None:
        super().__init__(ends if originator_is_client else swapped(ends), emit)
        self.finished = False
        self._originator_is_client = originator_is_client
        self._framers = {side: Framer(HEADER_BYTES, pdu_size, MAX_RPC_FRAGMENT_BYTES) for side in (True, False)}
        self._conversation = RpcConversation(self, "dce_rpc")

    def feed(self, chunk: Chunk) -> None:
        framer = self._framers[chunk.from_originator]
        if chunk.gap_before:
            self.note("bytes are missing")
        client = chunk.from_originator == self._originator_is_client
        for message in framer.feed(chunk):
            self._conversation.message(*message, client=client)
        if framer.lost and self._framers[not chunk.from_originator].lost:
            self.finished = True

    def close(self, note: str) -> None:
        self.note(note)
        self._conversation.end()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> RpcSession:
    """Opener for STREAMS. Who answers (bind_ack, response) is the server, whatever the ports made of it."""
    says_server = len(chunk.data) > 2 and chunk.data[2] in (_RESPONSE, _FAULT, _BIND_ACK, _BIND_NAK, _ALTER_RESPONSE)
    return RpcSession(ends, emit, originator_is_client=chunk.from_originator != says_server)


class _ConnectionlessCalls(Reporter):
    service = "dce_rpc"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.waiting: dict[tuple[bytes, int], _Call] = {}

    def answer(self, key: tuple[bytes, int], result: str | None, stub_bytes: int | None, ts_ns: int | None) -> None:
        call = self.waiting.pop(key, None)
        if call is not None:
            self.row(
                "dce_rpc", call.ts_ns, "dce_rpc", None, interface_name(call.uuid or ""), call.uuid, call.version, call.opnum,
                operation_name(call.uuid or "", call.opnum), ts_ns, result, None, call.stub_bytes, stub_bytes, call.packet_id, None,
            )  # fmt: skip


class RpcDatagrams:
    """DCE/RPC over UDP (C706 12.5.2.1): a header of 80 bytes names interface, activity and operation in every message."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _ConnectionlessCalls] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d, data = datagram, datagram.data
        if len(data) < 80 or data[0] != 4:
            return False
        order: _Order = "little" if data[4] & _LITTLE else "big"
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = _ConnectionlessCalls(ends_of(d), self._emit)
        kind, size = data[1], int.from_bytes(data[74:76], order)
        key = data[40:56], int.from_bytes(data[64:68], order)
        if kind == _REQUEST and key not in flow.waiting:
            raw = data[24:40]
            name = uuid_text(raw, order)
            version = int.from_bytes(data[60:64], order)
            call = _Call(name, f"{version & 0xFFFF}.{version >> 16}", int.from_bytes(data[68:70], order), size, 0, d.packet_id, d.ts_ns)
            flow.ends = FlowEnds(d.flow_id, d.src, d.sport, d.dst, d.dport)
            flow.waiting[key] = call
            if len(flow.waiting) > MAX_RPC_CALLS:
                flow.answer(next(iter(flow.waiting)), None, None, None)
        elif kind == _RESPONSE:
            flow.answer(key, "response", size, d.ts_ns)
        elif kind in (_FAULT, 6):
            status = int.from_bytes(data[80:84], order)
            flow.answer(key, ("fault " if kind == _FAULT else "reject ") + _FAULTS.get(status, f"0x{status:08x}"), 0, d.ts_ns)
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            for key in list(flow.waiting):
                flow.answer(key, None, None, None)
