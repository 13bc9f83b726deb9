"""In: the ordered bytes of both directions of a flow that speaks SMB, bare or in a NetBIOS session. Out: rows of table `smb`, and of
those that what it carries belongs to. Never here: the layout of a message (smb_classic.py, smb_modern.py), or rows (smb_actions.py).

RFC 1002 4.3 (NetBIOS session), [MS-SMB2] 2.1 (direct TCP): a type, a length in three bytes, a message."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_SMB_MESSAGE_BYTES
from tracehound.protocols.framed import NOT_A_MESSAGE, Framer
from tracehound.protocols.netbios import session_request
from tracehound.protocols.reporter import swapped
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.protocols.smb_actions import SmbActions, When
from tracehound.protocols.smb_classic import SmbClassic
from tracehound.protocols.smb_modern import SmbModern
from tracehound.streams.reassemble import Chunk

_MESSAGE, _SESSION_REQUEST = 0, 0x81
_SESSION_TYPES: Final = frozenset({0x81, 0x82, 0x83, 0x84, 0x85})
_RESYNC: Final = re.compile(rb"\x00[\x00\x01].{2}[\xff\xfe\xfd]SMB", re.DOTALL)
_COMPRESSED_HEAD_BYTES: Final = 16
OVERFLOW: Final = "size and offset of a compressed message overflow 32 bits"
_SMB1, _SMB2, _ENCRYPTED, _COMPRESSED = b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB"


def _size(head: bytes) -> int:
    if head[0] != _MESSAGE and head[0] not in _SESSION_TYPES:
        return NOT_A_MESSAGE
    return 4 + (head[1] << 16 | head[2] << 8 | head[3])


def _is_answer(message: bytes) -> bool:
    """[MS-CIFS] 2.2.3.1: flag 0x80; [MS-SMB2] 2.2.1: flag 1; RFC 1002 4.3.1: types 0x82 to 0x84."""
    if message[4:8] == _SMB1:
        return len(message) > 13 and bool(message[13] & 0x80)
    if message[4:8] == _SMB2:
        return len(message) > 20 and bool(message[20] & 1)
    return message[:1] in (b"\x82", b"\x83", b"\x84")


class SmbSession:
    """One connection; sessions, trees and handles of both versions live in it."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self.finished = False
        self.spoken = ""
        self._in_netbios = False
        self._overflowed = False
        self._ends = ends
        self._emit = emit
        self._framers = {side: Framer(4, _size, MAX_SMB_MESSAGE_BYTES, _RESYNC) for side in (True, False)}
        self._actions: SmbActions | None = None
        self._classic: SmbClassic | None = None
        self._modern: SmbModern | None = None

    def feed(self, chunk: Chunk) -> None:
        for message, packet_id, ts_ns in self._framers[chunk.from_originator].feed(chunk):
            self._message(message, packet_id, ts_ns, chunk.from_originator)
        if chunk.gap_before and self._actions is not None:
            self._actions.note("bytes are missing")

    def _message(self, message: bytes, packet_id: int, ts_ns: int, by_originator: bool) -> None:
        if self._actions is None:
            forward = by_originator != _is_answer(message)
            self._actions = SmbActions(self._ends if forward else swapped(self._ends), self._emit)
        if message[0] == _SESSION_REQUEST:
            self._in_netbios = True
            session_request(self._actions, message, packet_id, ts_ns)
            return
        mark = message[4:8]
        if self._in_netbios and mark in (_SMB1, _SMB2):
            self.spoken, self._in_netbios = "smb", False
        if mark == _SMB2:
            if self._modern is None:
                self._modern = SmbModern(self._actions)
                if self._actions.version == "SMB1":
                    self._actions.version = "SMB2"
            self._modern.message(message[4:], packet_id, ts_ns)
        elif mark == _SMB1:
            if self._classic is None:
                self._classic = SmbClassic(self._actions)
            self._classic.message(message[4:], packet_id, ts_ns)
        elif mark == _ENCRYPTED:
            self._actions.note("encrypted from here on")
        elif mark == _COMPRESSED:
            self._compressed(self._actions, message[4:], When(packet_id, ts_ns))

    def _compressed(self, actions: SmbActions, message: bytes, when: When) -> None:
        """[MS-SMB2] 2.2.42.1: mark, size before compression, algorithm, flags (1: chained), offset of the compressed part. Windows 10
        1903 and 1909 add size and offset in 32 bits and copy beyond what they then allot (CVE-2020-0796)."""
        if len(message) >= _COMPRESSED_HEAD_BYTES:
            original, offset = int.from_bytes(message[4:8], "little"), int.from_bytes(message[12:16], "little")
            if not message[10] & 1 and original + offset > 0xFFFFFFFF and not self._overflowed:
                self._overflowed = True
                actions.action("compressed", when, result=None, note=OVERFLOW)
        actions.note("compressed messages are not read")

    def close(self, note: str) -> None:
        if self._actions is None:
            return
        self._actions.note(note)
        for reader in (self._classic, self._modern):
            if reader is not None:
                reader.end()
        self._actions.end()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> SmbSession:
    """Opener for STREAMS."""
    return SmbSession(ends, emit)
