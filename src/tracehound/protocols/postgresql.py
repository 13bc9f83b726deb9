"""In: the ordered bytes of a flow that speaks PostgreSQL's protocol. Out: a row of table `database`. Never here: results of queries.

PostgreSQL documentation, chapter "Frontend/Backend Protocol" (start-up, authentication, message formats)."""

from __future__ import annotations

from typing import Final

from tracehound.limits import MAX_DATABASE_MESSAGE_BYTES
from tracehound.protocols.database import DatabaseSession, one_line
from tracehound.protocols.framed import NOT_A_MESSAGE, Framer
from tracehound.protocols.lines import words_of
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_SSL_REQUEST, _GSS_REQUEST, _CANCEL = 80877103, 80877104, 80877102
_METHODS: Final[dict[int, str]] = {2: "Kerberos 5", 3: "password", 5: "MD5", 7: "GSSAPI", 9: "SSPI", 10: "SASL"}
_TEXTS: Final = {b"Q": "", b"P": "PARSE "}


def _typed(head: bytes) -> int:
    """A letter, then the length of all but the letter."""
    size = int.from_bytes(head[1:5], "big")
    return 1 + size if size >= 4 and 0x31 <= head[0] < 0x7F else NOT_A_MESSAGE


class PostgresqlSession(DatabaseSession):
    service = "postgresql"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self._framers = {side: Framer(5, _typed, MAX_DATABASE_MESSAGE_BYTES) for side in (True, False)}
        self._start = b""
        self._started = False
        self._asked_tls = False
        self._tls_answers = 0
        self._settled = False
        self._side_tls = {True: False, False: False}

    def read(self, chunk: Chunk) -> None:
        client = chunk.from_originator
        if self._side_tls[client]:
            self.to_tls(chunk)
        elif client and not self._started:
            self._begin(chunk)
        elif not client and not self._settled:
            self._before_server(chunk)
        else:
            self._messages(chunk)

    def _begin(self, chunk: Chunk) -> None:
        """Start-up packets have no letter: length, number, and for number 3.0 pairs of names and values."""
        self._start += chunk.data
        while len(self._start) >= 8 and not self._started:
            offset = chunk.offset + len(chunk.data) - len(self._start)
            if self._asked_tls and self._start[:2] == b"\x16\x03":
                self._side_tls[True] = True
                self.to_tls(chunk._replace(data=self._start, offset=offset, gap_before=0))
                self._start = b""
                return
            size, number = int.from_bytes(self._start[:4], "big"), int.from_bytes(self._start[4:8], "big")
            if not 8 <= size <= MAX_DATABASE_MESSAGE_BYTES:
                self._started = True
                return
            if len(self._start) < size:
                return
            packet, self._start = self._start[:size], self._start[size:]
            if number in (_SSL_REQUEST, _GSS_REQUEST):
                self._asked_tls = True
                continue
            self._started = True
            if number == _CANCEL:
                self.command("CANCEL")
                continue
            self._parameters(packet[8:])
            self.asked = chunk.segments.packet_at(max(offset, chunk.offset))
            rest, self._start = self._start, b""
            if rest:
                at = chunk.offset + len(chunk.data) - len(rest)
                self._messages(chunk._replace(data=rest, offset=at, gap_before=0))

    def _parameters(self, data: bytes) -> None:
        parts = [words_of(p) for p in data.split(b"\0")[:64]]
        found = dict(zip(parts[::2], parts[1::2], strict=False))
        self.user = found.get("user") or None
        self.database = found.get("database") or self.user
        self.client_software = found.get("application_name") or None

    def _before_server(self, chunk: Chunk) -> None:
        """One letter answers a request for TLS: S yes, N no. Both sides are told apart here by what comes first."""
        self._settled = True
        data = chunk.data
        if data[:1] in (b"S", b"N", b"G") and (len(data) == 1 or data[1:3] == b"\x16\x03" or data[1:2] == b"R" or data[1:2] == b"E"):
            self._settled = len(data) > 1
            rest = chunk._replace(data=data[1:], offset=chunk.offset + 1, gap_before=0)
            if data[:1] == b"S":
                self._side_tls[False] = self.tls = True
                self._settled = True
                if rest.data:
                    self.to_tls(rest)
            elif rest.data:
                self._before_server(rest)
            return
        self._messages(chunk)

    def _messages(self, chunk: Chunk) -> None:
        client = chunk.from_originator
        if not client and self.accepted is not None and self.server_version is not None:
            return
        for data, packet_id, ts_ns in self._framers[client].feed(chunk):
            if client:
                self._from_client(data[:1], data[5:], packet_id, ts_ns)
            else:
                self._from_server(data[:1], data[5:])

    def _from_client(self, kind: bytes, body: bytes, packet_id: int, ts_ns: int) -> None:
        if kind == b"p":
            self.asked = packet_id, ts_ns
        elif kind in _TEXTS:
            # Parse names the statement first.
            text = body.split(b"\0", 1)[1] if kind == b"P" and b"\0" in body else body
            self.command(_TEXTS[kind] + one_line(text.split(b"\0", 1)[0]))

    def _from_server(self, kind: bytes, body: bytes) -> None:
        if kind == b"R":
            number = int.from_bytes(body[:4], "big")
            if number == 0:
                self.accepted = True
            elif number in _METHODS:
                self.method = _METHODS[number]
                self.cleartext = number == 3
                if number == 10:
                    self.method = words_of(body[4:].split(b"\0", 1)[0]) or "SASL"
        elif kind == b"S" and body.startswith(b"server_version\0"):
            self.server_version = words_of(body[15:].split(b"\0", 1)[0]) or None
        elif kind == b"E" and self.accepted is None:
            self.accepted = False
            found = {part[:1]: words_of(part[1:]) for part in body.split(b"\0") if part}
            self.answer = found.get(b"M")


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> PostgresqlSession:
    """Opener for STREAMS."""
    return PostgresqlSession(ends, emit)
