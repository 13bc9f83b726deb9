"""In: DTLS datagrams. Out: rows of table `tls`. Never here: what a handshake says (tls.py).

RFC 6347 (DTLS 1.2): records with epoch and number, handshake messages in fragments; RFC 9147 (1.3)."""

from __future__ import annotations

from typing import Final

from tracehound.limits import MAX_DTLS_DATAGRAMS, MAX_TLS_HANDSHAKE_BYTES
from tracehound.protocols.reporter import ends_of
from tracehound.protocols.session import Datagram, Emit
from tracehound.protocols.tls import TlsSession

_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_CLIENT_HELLO, _VERIFY = 1, 3
_RECORD_BYTES, _MESSAGE_BYTES = 13, 12
_MOST_RECORDS: Final = 64
_MOST_MESSAGES: Final = 64


def without_cookie(body: bytes) -> bytes:
    """A DTLS ClientHello as one of TLS: RFC 6347 4.2.1 puts a cookie behind the session id."""
    at = 35 + (body[34] if len(body) > 34 else 0)
    cookie = body[at] if at < len(body) else 0
    return body[:at] + body[at + 1 + cookie :]


class _Fragments:
    """Handshake messages of one side, put together from their fragments (RFC 6347 4.2.3)."""

    def __init__(self) -> None:
        self.parts: dict[int, tuple[int, int, dict[int, bytes]]] = {}
        self.done: set[int] = set()
        self.size = 0

    def add(self, data: bytes) -> tuple[int, bytes] | None:
        """A fragment; gives type and body of the message that it completes."""
        kind, length, number = data[0], int.from_bytes(data[1:4], "big"), int.from_bytes(data[4:6], "big")
        offset, size = int.from_bytes(data[6:9], "big"), int.from_bytes(data[9:12], "big")
        part = data[_MESSAGE_BYTES : _MESSAGE_BYTES + size]
        if number in self.done or len(self.parts) >= _MOST_MESSAGES or length > MAX_TLS_HANDSHAKE_BYTES:
            return None
        kind, length, parts = self.parts.setdefault(number, (kind, length, {}))
        if self.size > MAX_TLS_HANDSHAKE_BYTES or len(part) < size:
            return None
        if size > len(parts.get(offset, b"")) or not size:
            parts[offset] = part
            self.size += size
        whole = b""
        for begin in sorted(parts):
            if begin > len(whole):
                return None
            whole += parts[begin][len(whole) - begin :]
        if len(whole) < length:
            return None
        self.done.add(number)
        del self.parts[number]
        return kind, whole[:length]


class _Flow:
    def __init__(self, first: Datagram, emit: Emit) -> None:
        self.tls = TlsSession(ends_of(first), emit, originator_is_client=True, transport="d")
        self.datagrams = 0
        self.told = False
        self._fragments = {True: _Fragments(), False: _Fragments()}

    def datagram(self, d: Datagram) -> bool:
        """Returns whether both sides have gone over to encryption."""
        self.datagrams += 1
        client, at = d.from_originator, 0
        for _ in range(_MOST_RECORDS):
            if at >= len(d.data):
                break
            if d.data[at] & 0xE0 == 0x20:
                # RFC 9147 4: the header of an encrypted record begins with 001.
                self.tls.encrypted(client)
                break
            if at + _RECORD_BYTES > len(d.data):
                break
            kind, epoch = d.data[at], int.from_bytes(d.data[at + 3 : at + 5], "big")
            size = int.from_bytes(d.data[at + 11 : at + 13], "big")
            body = d.data[at + _RECORD_BYTES : at + _RECORD_BYTES + size]
            at += _RECORD_BYTES + size
            if epoch:
                self.tls.encrypted(client)
            elif kind == _HANDSHAKE:
                self._messages(client, body, d)
            else:
                self.tls.record(client, kind, body)
        return self.datagrams >= MAX_DTLS_DATAGRAMS or self.tls.both_encrypted

    def _messages(self, client: bool, data: bytes, d: Datagram) -> None:
        at = 0
        while at + _MESSAGE_BYTES <= len(data):
            size = int.from_bytes(data[at + 9 : at + 12], "big")
            found = self._fragments[client].add(data[at : at + _MESSAGE_BYTES + size])
            if found is not None and found[0] != _VERIFY:
                kind, body = found
                if kind == _CLIENT_HELLO:
                    body = without_cookie(body)
                self.tls.handshake(client, bytes((kind,)) + len(body).to_bytes(3, "big") + body, d.packet_id, d.ts_ns)
                self.told = True
            at += _MESSAGE_BYTES + size


class DtlsDatagrams:
    """All flows of DTLS."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Flow] = {}

    def datagram(self, datagram: Datagram) -> bool:
        flow = self._flows.get(datagram.flow_id)
        if flow is None:
            flow = self._flows[datagram.flow_id] = _Flow(datagram, self._emit)
        return flow.datagram(datagram)

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None and flow.told:
            flow.tls.close("")
