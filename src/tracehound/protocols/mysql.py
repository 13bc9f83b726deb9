"""In: the ordered bytes of a flow that speaks MySQL's protocol. Out: a row of table `database`. Never here: results of queries.

MySQL Internals: connection phase (HandshakeV10, HandshakeResponse41, SSLRequest, OK, ERR), text protocol."""

from __future__ import annotations

from typing import Final

from tracehound.limits import MAX_DATABASE_MESSAGE_BYTES
from tracehound.protocols.database import DatabaseSession, one_line
from tracehound.protocols.framed import Framer
from tracehound.protocols.lines import words_of
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_OK, _ERR, _SWITCH, _MORE = 0x00, 0xFF, 0xFE, 0x01
_WITH_DB, _PROTOCOL_41, _SSL, _SECURE, _PLUGIN, _ATTRIBUTES, _LENGTHS = 0x8, 0x200, 0x800, 0x8000, 0x80000, 0x100000, 0x200000
_SSL_REQUEST_BYTES: Final = 32
_COMMANDS: Final[dict[int, str]] = {
    0: "SLEEP", 1: "QUIT", 2: "INIT_DB", 3: "QUERY", 4: "FIELD_LIST", 5: "CREATE_DB", 6: "DROP_DB", 7: "REFRESH", 8: "SHUTDOWN",
    9: "STATISTICS", 10: "PROCESS_INFO", 12: "PROCESS_KILL", 13: "DEBUG", 14: "PING", 17: "CHANGE_USER", 18: "BINLOG_DUMP",
    20: "CONNECT_OUT", 21: "REGISTER_SLAVE", 22: "PREPARE", 23: "EXECUTE", 25: "CLOSE", 26: "RESET", 27: "SET_OPTION", 28: "FETCH",
    30: "BINLOG_DUMP_GTID", 31: "RESET_CONNECTION",
}  # fmt: skip
_SILENT: Final = frozenset({1, 14, 23, 25, 26, 28})
"""Commands that say nothing of themselves in text."""


def _zero_ended(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\0", at)
    end = len(data) if end < 0 else end
    return data[at:end], end + 1


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer."""
    first = data[at] if at < len(data) else 0
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    return (int.from_bytes(data[at + 1 : at + 1 + size], "little") if size else first), at + 1 + size


class MysqlSession(DatabaseSession):
    service = "mysql"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self._framers = {
            side: Framer(4, lambda head: 4 + int.from_bytes(head[:3], "little"), MAX_DATABASE_MESSAGE_BYTES) for side in (True, False)
        }
        self._begun = False
        self._ssl = False
        self._logged_in = False
        self._answered = False

    def read(self, chunk: Chunk) -> None:
        client = chunk.from_originator
        if self.tls or (self._ssl and chunk.data[:2] == b"\x16\x03"):
            if client or self.tls:
                self.to_tls(chunk)
            return
        if not client and self._answered:
            # What follows are results, which are not read.
            return
        for data, packet_id, ts_ns in self._framers[client].feed(chunk):
            if client:
                rest = self._client(data[4:], data[3], packet_id, ts_ns)
                if rest:
                    at = chunk.data.find(b"\x16\x03")
                    if at >= 0:
                        self.to_tls(chunk._replace(data=chunk.data[at:], offset=chunk.offset + at, gap_before=0))
                    return
            else:
                self._server(data[4:])
                if self._answered:
                    return

    def _client(self, p: bytes, number: int, packet_id: int, ts_ns: int) -> bool:
        """Returns whether TLS follows."""
        if not self._begun and len(p) >= _SSL_REQUEST_BYTES and len(p) == _SSL_REQUEST_BYTES and p[1] & (_SSL >> 8):
            self._ssl = self.tls = True
            return True
        if not self._begun:
            self._begun = True
            self._hello(p, packet_id, ts_ns)
        elif number == 0 and p:
            name = _COMMANDS.get(p[0], f"command {p[0]}")
            if p[0] == 17:
                self.command(f"{name} {words_of(_zero_ended(p, 1)[0])}")
            else:
                self.command(name if p[0] in _SILENT else f"{name} {one_line(self._argument(p))}".strip())
        return False

    @staticmethod
    def _argument(p: bytes) -> bytes:
        """A query; with attributes (CLIENT_QUERY_ATTRIBUTES) they come first, as their count and 1."""
        return p[3:] if p[1:3] == b"\x00\x01" else p[1:]

    def _hello(self, p: bytes, packet_id: int, ts_ns: int) -> None:
        """HandshakeResponse41: capabilities, size, character set, 23 bytes, user, proof, database, plugin, attributes."""
        self.asked = packet_id, ts_ns
        flags = int.from_bytes(p[:4], "little")
        if not flags & _PROTOCOL_41:
            # HandshakeResponse320: two bytes of capabilities, three of size.
            user, at = _zero_ended(p, 5)
            self.user, self.method = words_of(user) or None, "mysql_old_password"
            return
        user, at = _zero_ended(p, 32)
        self.user = words_of(user) or None
        if flags & _LENGTHS:
            size, at = _length(p, at)
        elif flags & _SECURE:
            size, at = (p[at] if at < len(p) else 0), at + 1
        else:
            size, at = 0, _zero_ended(p, at)[1]
        at += size
        if flags & _WITH_DB:
            name, at = _zero_ended(p, at)
            self.database = words_of(name) or None
        if flags & _PLUGIN:
            name, at = _zero_ended(p, at)
            self.method = words_of(name) or None
        self.cleartext = self.method == "mysql_clear_password"
        if flags & _ATTRIBUTES:
            self._attributes(p, at)

    def _attributes(self, p: bytes, at: int) -> None:
        size, at = _length(p, at)
        end = min(len(p), at + size)
        found: dict[bytes, bytes] = {}
        while at < end and len(found) < 32:
            pair = []
            for _ in range(2):
                size, at = _length(p, at)
                pair.append(p[at : at + size])
                at += size
            found[pair[0]] = pair[1]
        name = found.get(b"program_name") or found.get(b"_client_name")
        self.client_software = words_of(name) or None if name else None

    def _server(self, p: bytes) -> None:
        if not p:
            return
        if self.server_version is None and p[0] == 10:
            self.server_version = words_of(_zero_ended(p, 1)[0]) or None
        elif p[0] == _ERR:
            # Code, then '#' and five letters of SQL state, then words.
            self.answer = words_of(p[9:] if p[3:4] == b"#" else p[3:]) or None
            self.accepted, self._answered = False, True
        elif p[0] == _OK and len(p) >= 5:
            self.accepted, self._answered = True, True
        elif p[0] == _SWITCH and len(p) > 1:
            self.method = words_of(_zero_ended(p, 1)[0]) or self.method
            self.cleartext = self.method == "mysql_clear_password"


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> MysqlSession:
    """Opener for STREAMS."""
    return MysqlSession(ends, emit)
