"""In: the ordered bytes of a flow that speaks TDS (Microsoft SQL Server). Out: a row of table `database`. Never here: results of queries,
or the password, which a login only disguises.

[MS-TDS] 2.2.3 (packets), 2.2.6.4 (LOGIN7), 2.2.6.5 (PRELOGIN), 2.2.7 (tokens)."""

from __future__ import annotations

import struct
from typing import Final

from tracehound.limits import MAX_DATABASE_MESSAGE_BYTES
from tracehound.protocols.database import DatabaseSession, one_line
from tracehound.protocols.framed import NOT_A_MESSAGE, Framer
from tracehound.protocols.lines import visible
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_BATCH, _RPC, _RESPONSE, _ATTENTION, _LOGIN, _SSPI, _PRELOGIN = 1, 3, 4, 6, 16, 17, 18
_LAST: Final = 1
_HOST, _USER, _APPLICATION, _DATABASE = 36, 40, 48, 68
_PASSWORD_LENGTH: Final = 46
_ERROR, _INFO, _LOGINACK, _ENVCHANGE, _DONE = 0xAA, 0xAB, 0xAD, 0xE3, 0xFD
_ENCRYPTION: Final = 1


def _size(head: bytes) -> int:
    return int.from_bytes(head[2:4], "big") if head[0] in (1, 2, 3, 4, 6, 7, 14, 16, 17, 18) else NOT_A_MESSAGE


def _wide(raw: bytes) -> str | None:
    return visible(raw.decode("utf-16-le", "replace")) or None


class TdsSession(DatabaseSession):
    service = "tds"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self._framers = {side: Framer(8, _size, MAX_DATABASE_MESSAGE_BYTES) for side in (True, False)}
        self._parts: dict[bool, bytes] = {True: b"", False: b""}

    def read(self, chunk: Chunk) -> None:
        side = chunk.from_originator
        if not side and self.accepted is not None:
            return
        framer = self._framers[side]
        for data, packet_id, ts_ns in framer.feed(chunk):
            # A message is what lies up to a packet marked as the last.
            if len(self._parts[side]) < MAX_DATABASE_MESSAGE_BYTES:
                self._parts[side] += data[8:]
            if data[1] & _LAST:
                whole, self._parts[side] = self._parts[side], b""
                self._message(data[0], whole, side, packet_id, ts_ns)
        if framer.lost and self.tls:
            self.finished = True

    def _message(self, kind: int, body: bytes, client: bool, packet_id: int, ts_ns: int) -> None:
        if kind == _PRELOGIN and body[:2] == b"\x16\x03":
            # 2.2.6.5: the TLS handshake travels in packets of this kind.
            self.tls = True
        elif kind == _PRELOGIN and client:
            return
        elif kind == _LOGIN and client:
            self._login(body, packet_id, ts_ns)
        elif kind == _RESPONSE and not client:
            self._prelogin(body) if self.asked is None and body[:1] == b"\0" else self._tokens(body)
        elif kind == _BATCH and client:
            # 2.2.5.3: headers behind their length, since TDS 7.2.
            size = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
            text = body[size:] if 4 < size < 512 and size < len(body) else body
            self.command(one_line(text.decode("utf-16-le", "replace").encode("utf-8", "replace")))
        elif kind == _RPC and client:
            self.command("RPC")

    def _prelogin(self, body: bytes) -> None:
        """2.2.6.5: options of number, offset and length; number 0 is the server's version."""
        at = 0
        while at + 5 <= len(body) and body[at] != 0xFF:
            option, offset, size = body[at], int.from_bytes(body[at + 1 : at + 3], "big"), int.from_bytes(body[at + 3 : at + 5], "big")
            value = body[offset : offset + size]
            if option == 0 and len(value) >= 4:
                self.server_version = f"{value[0]}.{value[1]}.{int.from_bytes(value[2:4], 'big')}"
            at += 5

    def _login(self, body: bytes, packet_id: int, ts_ns: int) -> None:
        """2.2.6.4: offsets and lengths (in letters) of the texts, from the beginning of the message."""
        self.asked = packet_id, ts_ns

        def field(at: int) -> str | None:
            offset, letters = int.from_bytes(body[at : at + 2], "little"), int.from_bytes(body[at + 2 : at + 4], "little")
            return _wide(body[offset : offset + 2 * letters])

        self.host_name, self.user = field(_HOST), field(_USER)
        self.client_software, self.database = field(_APPLICATION), field(_DATABASE)
        secret = int.from_bytes(body[_PASSWORD_LENGTH : _PASSWORD_LENGTH + 2], "little")
        # 2.2.6.4: the password is turned about by a fixed rule, which hides it from nobody.
        self.method, self.cleartext = ("password", secret > 0) if self.user else ("SSPI", False)

    def _tokens(self, body: bytes) -> None:
        """2.2.7: tokens up to the one that lets the client in or refuses it."""
        at = 0
        while at + 3 <= len(body):
            kind, size = body[at], int.from_bytes(body[at + 1 : at + 3], "little")
            value = body[at + 3 : at + 3 + size]
            if kind == _LOGINACK:
                self.accepted = True
                letters = value[5] if len(value) > 5 else 0
                name, version = _wide(value[6 : 6 + 2 * letters]), value[6 + 2 * letters :]
                number = f" {version[0]}.{version[1]}.{int.from_bytes(version[2:4], 'big')}" if len(version) >= 4 else ""
                self.server_version = (name or "").rstrip("\0").removesuffix("\\x00") + number
                return
            if kind == _ERROR and self.asked is not None:
                # Number, state, class, then the words.
                letters = int.from_bytes(value[6:8], "little")
                self.answer = _wide(value[8 : 8 + 2 * letters])
                self.accepted = False
                return
            if kind not in (_ENVCHANGE, _INFO, _ERROR):
                return
            at += 3 + size


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> TdsSession:
    """Opener for STREAMS."""
    return TdsSession(ends, emit)
