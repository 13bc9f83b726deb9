"""In: Kerberos over UDP or TCP, and tickets that other protocols carry. Out: rows of table `kerberos`, a request with its answer each, and
of `logins` where a client proves its key. Never here: the layout of a message (kerberos_message.py).

RFC 4120 7.2.1 and 7.2.2 (transports). Answers come in the order of requests."""

from __future__ import annotations

from collections import deque
from typing import Final

from tracehound.limits import MAX_KERBEROS_MESSAGE_BYTES, MAX_KERBEROS_WAITING
from tracehound.protocols.der import Broken
from tracehound.protocols.framed import Framer
from tracehound.protocols.kerberos_message import (
    AP_REQ,
    AS_REP,
    AS_REQ,
    ERROR,
    TGS_REP,
    TGS_REQ,
    KerberosMessage,
    error_text,
    parse_kerberos,
)
from tracehound.protocols.reporter import Reporter, ends_of, swapped
from tracehound.protocols.session import Datagram, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_TYPES: Final[dict[int, str]] = {AS_REQ: "AS", TGS_REQ: "TGS", AP_REQ: "AP"}
_ANSWERS: Final[dict[int, int]] = {AS_REP: AS_REQ, TGS_REP: TGS_REQ}


def report(
    reporter: Reporter, service: str, asked: KerberosMessage, answer: KerberosMessage | None, packet_id: int, ts_ns: int,
    result: str | None = None, note: str | None = None,
) -> None:  # fmt: skip
    """A row for a request, or for a ticket that is shown to a service."""
    if answer is not None:
        result = "SUCCESS" if answer.error is None else error_text(answer.error)
    ticket = answer if answer is not None and answer.ticket_cipher else asked
    name = asked.client or (answer.client if answer is not None else None)
    realm = asked.realm or (answer.realm if answer is not None else None)
    client = f"{name}@{realm}" if name and realm and "@" not in name else name
    reporter.row(
        "kerberos", ts_ns, service, _TYPES.get(asked.kind, "AS"), client, realm, asked.service or (answer.service if answer else None),
        result, asked.proved if asked.kind == AS_REQ else None, asked.ciphers or None, ticket.ticket_cipher,
        answer.reply_cipher if answer else None, asked.forwardable, asked.renewable, asked.till_ns, asked.host_name,
        answer.error_text if answer else None, packet_id, note or reporter.said,
    )  # fmt: skip
    if asked.kind == AS_REQ and asked.proved:
        accepted = None if answer is None else answer.error is None
        reporter.login(client, "Kerberos", cleartext=False, accepted=accepted, answer=result, packet_id=packet_id, ts_ns=ts_ns)


class _Exchange(Reporter):
    """Requests of one flow and their answers."""

    def __init__(self, ends: FlowEnds, emit: Emit, service: str) -> None:
        super().__init__(ends, emit)
        self.service = service
        self._waiting: deque[tuple[KerberosMessage, int, int]] = deque()

    def message(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        try:
            m = parse_kerberos(data)
        except Broken:
            self.note("a message is malformed")
            return
        if m is None:
            return
        if m.kind in _TYPES:
            self._waiting.append((m, packet_id, ts_ns))
            if len(self._waiting) > MAX_KERBEROS_WAITING:
                self._unanswered(*self._waiting.popleft())
            return
        wanted = _ANSWERS.get(m.kind)
        for i, (asked, at, when) in enumerate(self._waiting):
            if (wanted is None and m.kind == ERROR) or asked.kind == wanted:
                del self._waiting[i]
                report(self, self.service, asked, m, at, when)
                return
        if m.kind == ERROR or wanted is not None:
            # The request is not in the evidence: the answer names client and service, too.
            asked = KerberosMessage(wanted or AS_REQ, m.client, m.realm, m.service)
            report(self, self.service, asked, m, packet_id, ts_ns, note="the request is missing")

    def end(self) -> None:
        for waiting in self._waiting:
            self._unanswered(*waiting)
        self._waiting.clear()

    def _unanswered(self, asked: KerberosMessage, packet_id: int, ts_ns: int) -> None:
        report(self, self.service, asked, None, packet_id, ts_ns)


class KerberosSession:
    """Kerberos over TCP: each message behind its length in four bytes, whose top bit is reserved."""

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool) -> None:
        self.finished = False
        self._exchange = _Exchange(ends if originator_is_client else swapped(ends), emit, "krb_tcp")
        self._framers = {
            side: Framer(4, lambda head: 4 + int.from_bytes(head, "big"), MAX_KERBEROS_MESSAGE_BYTES) for side in (True, False)
        }

    def feed(self, chunk: Chunk) -> None:
        if chunk.gap_before:
            self._exchange.note("bytes are missing")
        for data, packet_id, ts_ns in self._framers[chunk.from_originator].feed(chunk):
            self._exchange.message(data[4:], packet_id, ts_ns)

    def close(self, note: str) -> None:
        self._exchange.note(note)
        self._exchange.end()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> KerberosSession:
    """Opener for STREAMS."""
    answers = chunk.data[4:5] in (b"\x6b", b"\x6d", b"\x7e", b"\x6f")
    return KerberosSession(ends, emit, originator_is_client=chunk.from_originator != answers)


class KerberosDatagrams:
    """All flows of Kerberos over UDP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Exchange] = {}

    def datagram(self, datagram: Datagram) -> bool:
        flow = self._flows.get(datagram.flow_id)
        if flow is None:
            flow = self._flows[datagram.flow_id] = _Exchange(ends_of(datagram), self._emit, "krb")
        flow.message(datagram.data, datagram.packet_id, datagram.ts_ns)
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            flow.end()
