"""In: messages of SMB 2 and 3. Out: what they do, told to SmbActions. Never here: SMB 1, or rows.

[MS-SMB2] 2.2. Requests wait for their responses by message id: only a response tells what a request became, and which handle it gave.
What is encrypted (SMB 3) is not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from tracehound.limits import MAX_SMB_HELD_BYTES, MAX_SMB_WAITING
from tracehound.protocols.nt_status import BUFFER_OVERFLOW, PENDING, SUCCESS, status_name
from tracehound.protocols.smb_actions import (
    DISK,
    DISPOSITIONS,
    PIPE,
    PRINTER,
    Account,
    OpenFile,
    SmbActions,
    Tree,
    When,
    filetime_ns,
    wide,
)

HEADER_BYTES: Final = 64
(_NEGOTIATE, _SESSION_SETUP, _LOGOFF, _TREE_CONNECT, _TREE_DISCONNECT, _CREATE, _CLOSE, _FLUSH, _READ, _WRITE, _LOCK, _IOCTL, _CANCEL,
 _ECHO, _QUERY_DIRECTORY, _CHANGE_NOTIFY, _QUERY_INFO, _SET_INFO) = range(18)  # fmt: skip
_RESPONSE, _ASYNC, _RELATED = 1, 2, 4
_DIALECTS: Final[dict[int, str]] = {0x202: "2.0.2", 0x210: "2.1", 0x2FF: "2.???", 0x300: "3.0", 0x302: "3.0.2", 0x311: "3.1.1"}
_SHARES: Final[dict[int, str]] = {1: DISK, 2: PIPE, 3: PRINTER}
_FOLDER, _DELETE_ON_CLOSE = 0x10, 0x1000
_PIPE_TRANSCEIVE: Final = 0x11C017
_RENAME, _DISPOSITION, _DISPOSITION_EX = 10, 13, 64
_GUEST: Final = 1
_SAME_FILE: Final = b"\xff" * 16


@dataclass(slots=True)
class _Request:
    """data: from the header on; previous: the request before it in the same message, whose handle it may mean."""

    command: int
    data: bytes
    when: When
    session_id: int
    tree_id: int
    previous: _Request | None = None
    file_id: bytes | None = None


_REQUEST_HEAD: Final = Struct("<12xH6xIQ4xIQ").unpack_from
"""[MS-SMB2] 2.2.1.2: command, offset of the next command, message id, tree id, session id."""
_ANSWER_HEAD: Final = Struct("<8xIH10xQ").unpack_from
"""Status, command, message id."""
_STEP_FLAGS: Final = Struct("<16xII").unpack_from


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _part(data: bytes, offset: int, size: int) -> bytes:
    """A buffer: offsets count from the beginning of the header."""
    return data[offset : offset + size]


class SmbModern:
    """One connection."""

    def __init__(self, actions: SmbActions) -> None:
        self._do = actions
        self._waiting: dict[int, _Request] = {}
        self._early: dict[int, tuple[bytes, When]] = {}
        self._held_bytes = 0
        self._accounts: dict[int, Account] = {}
        self._trees: dict[tuple[int, int], Tree] = {}

    def message(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        """A message: one command or several, chained by offsets."""
        when = When(packet_id, ts_ns)
        at = 0
        previous: _Request | None = None
        while at + HEADER_BYTES <= len(data) and data[at : at + 4] == b"\xfeSMB":
            flags, step = _STEP_FLAGS(data, at)
            one = data[at : at + step] if HEADER_BYTES <= step < len(data) - at else data[at:] if at else data
            if flags & _RESPONSE:
                self._response(one, flags, when)
            else:
                previous = self._request(one, flags, when, previous)
            if len(one) == len(data) - at:
                return
            at += step

    def _request(self, data: bytes, flags: int, when: When, previous: _Request | None) -> _Request:
        command, _, message_id, tree_id, session_id = _REQUEST_HEAD(data)
        related = previous if flags & _RELATED else None
        if related is not None:
            # [MS-SMB2] 3.3.5.2.7.2: a related request may leave its session and tree out.
            session_id, tree_id = related.session_id, related.tree_id
        request = _Request(command, data, when, session_id, tree_id, related)
        if command not in _PAIRED:
            return request
        early = self._early.pop(message_id, None)
        if early is not None:
            self._paired(request, early[0])
            return request
        self._waiting[message_id] = request
        self._held_bytes += len(data)
        while len(self._waiting) > MAX_SMB_WAITING or self._held_bytes > MAX_SMB_HELD_BYTES:
            self._unanswered(self._waiting.pop(next(iter(self._waiting))))
        return request

    def _response(self, data: bytes, flags: int, when: When) -> None:
        status, command, message_id = _ANSWER_HEAD(data)
        if flags & _ASYNC and status == PENDING:
            return
        request = self._waiting.pop(message_id, None)
        if request is not None:
            self._held_bytes -= len(request.data)
            self._paired(request, data)
        elif command == _NEGOTIATE and status == SUCCESS:
            # The answer to a negotiation that began with SMB 1.
            self._negotiated(_Request(_NEGOTIATE, b"", when, 0, 0), data)
        elif command in _PAIRED and len(self._early) < MAX_SMB_WAITING:
            self._early[message_id] = data, when

    def _paired(self, request: _Request, response: bytes) -> None:
        _PAIRED[request.command](self, request, response)

    def _unanswered(self, request: _Request) -> None:
        self._held_bytes -= len(request.data)
        if request.command in _UNANSWERED:
            _UNANSWERED[request.command](self, request)

    def end(self) -> None:
        for request in list(self._waiting.values()):
            self._unanswered(request)
        self._waiting.clear()

    # -- who and where -----------------------------------------------------------------------------------------------------
    def _account(self, session_id: int) -> Account:
        return self._accounts.setdefault(session_id, Account())

    def _tree(self, request: _Request) -> Tree:
        return self._trees.get((request.session_id, request.tree_id)) or Tree(None, None)

    def _file_key(self, request: _Request, at: int) -> bytes | None:
        """The handle in a request; all ones mean that of the request before it."""
        file_id = request.data[at : at + 16]
        if file_id == _SAME_FILE:
            before = request.previous
            file_id = before.file_id or b"" if before is not None else b""
        request.file_id = file_id
        return file_id if len(file_id) == 16 else None

    def _file(self, request: _Request, at: int) -> OpenFile | None:
        key = self._file_key(request, at)
        return self._do.file(key, self._tree(request), self._account(request.session_id)) if key is not None else None

    # -- pairs: each takes a request and its response ------------------------------------------------------------------------
    def _negotiated(self, request: _Request, response: bytes) -> None:
        # 2.2.4: StructureSize 65, security mode, dialect.
        dialect = _number(response, 68, 2)
        self._do.version = "SMB3" if 0x300 <= dialect <= 0x3FF else "SMB2"
        self._do.dialect = _DIALECTS.get(dialect, f"0x{dialect:04x}")
        if dialect != 0x2FF:
            self._do.action("negotiate", request.when, result=status_name(_number(response, 8, 4)))

    def _session(self, request: _Request, response: bytes) -> None:
        # 2.2.5: buffer offset and length at 12 and 14 of the body; 2.2.6: flags, offset, length at 2, 4, 6.
        q, r = request.data, response
        asked = _part(q, _number(q, 76, 2), _number(q, 78, 2))
        answered = _part(r, _number(r, 68, 2), _number(r, 70, 2))
        session_id = _number(r, 40, 8) or request.session_id
        status = _number(r, 8, 4)
        self._do.session_setup(request.when, asked, answered, status, self._account(session_id), guest=bool(_number(r, 66, 2) & _GUEST))

    def _tree_connected(self, request: _Request, response: bytes) -> None:
        # 2.2.9: path offset and length at 4 and 6 of the body; 2.2.10: share type at 2.
        q, status = request.data, _number(response, 8, 4)
        share = wide(_part(q, _number(q, 68, 2), _number(q, 70, 2)))
        tree = Tree(share, _SHARES.get(response[66]) if status == SUCCESS and len(response) > 66 else None)
        if status == SUCCESS:
            self._trees[request.session_id, _number(response, 36, 4)] = tree
        self._do.action("tree_connect", request.when, result=status_name(status), tree=tree, account=self._account(request.session_id))

    def _created(self, request: _Request, response: bytes | None) -> None:
        # 2.2.13: access at 24, options at 40, name offset and length at 44 and 46 of the body.
        q = request.data
        name = wide(_part(q, _number(q, 108, 2), _number(q, 110, 2)))
        mask, options = _number(q, 88, 4), _number(q, 104, 4)
        tree, account = self._tree(request), self._account(request.session_id)
        if response is None or _number(response, 8, 4) != SUCCESS or len(response) < 144:
            result = None if response is None else status_name(_number(response, 8, 4))
            self._do.opened(None, request.when, tree, account, name, result, mask=mask)
            return
        # 2.2.14: action at 4, four times at 8, size at 48, attributes at 56, handle at 64 of the body.
        r = response
        times = tuple(filetime_ns(r[at : at + 8]) for at in (72, 80, 88, 96))
        request.file_id = r[128:144]
        self._do.opened(
            request.file_id, request.when, tree, account, name, status_name(SUCCESS), mask=mask,
            disposition=DISPOSITIONS.get(_number(r, 68, 4)), is_folder=bool(_number(r, 120, 4) & _FOLDER), size=_number(r, 112, 8),
            times=times, delete_on_close=bool(options & _DELETE_ON_CLOSE),
        )  # fmt: skip

    def _closed(self, request: _Request, response: bytes) -> None:
        key = self._file_key(request, 72)
        if key is not None:
            self._do.closed(key, request.when)

    def _read(self, request: _Request, response: bytes) -> None:
        # 2.2.19: offset at 8, handle at 16; 2.2.20: data offset at 2, length at 4 of the body.
        status = _number(response, 8, 4)
        file = self._file(request, 80)
        if file is not None and status in (SUCCESS, BUFFER_OVERFLOW):
            data = _part(response, response[66] if len(response) > 66 else 0, _number(response, 68, 4))
            self._do.data(file, request.when, _number(request.data, 72, 8), data, read=True)

    def _written(self, request: _Request, response: bytes | None) -> None:
        # 2.2.21: data offset at 2, length at 4, offset at 8, handle at 16 of the body.
        q = request.data
        if response is not None and _number(response, 8, 4) != SUCCESS:
            return
        file = self._file(request, 80)
        if file is not None:
            self._do.data(file, request.when, _number(q, 72, 8), _part(q, _number(q, 66, 2), _number(q, 68, 4)), read=False)

    def _ioctl(self, request: _Request, response: bytes) -> None:
        # 2.2.31: code at 4, handle at 8, input offset and count at 24 and 28; 2.2.32: output offset and count at 32 and 36.
        q, r = request.data, response
        if _number(q, 68, 4) != _PIPE_TRANSCEIVE:
            return
        file = self._file(request, 72)
        if file is None:
            return
        if file.pipe is None:
            return
        self._do.data(file, request.when, 0, _part(q, _number(q, 88, 4), _number(q, 92, 4)), read=False)
        if _number(r, 8, 4) in (SUCCESS, BUFFER_OVERFLOW):
            self._do.data(file, request.when, 0, _part(r, _number(r, 96, 4), _number(r, 100, 4)), read=True)

    def _listed(self, request: _Request, response: bytes) -> None:
        # 2.2.33: handle at 8, name offset and length at 24 and 26 of the body.
        q = request.data
        file = self._file(request, 72)
        if file is None or file.listed:
            return
        file.listed = True
        pattern = wide(_part(q, _number(q, 88, 2), _number(q, 90, 2)))
        name = "\\".join(filter(None, (file.name, pattern)))
        self._do.on_file("list", request.when, file, status_name(_number(response, 8, 4)), name=name, is_folder=True)

    def _set(self, request: _Request, response: bytes) -> None:
        # 2.2.39: type at 2, class at 3, length at 4, offset at 8, handle at 16 of the body.
        q = request.data
        file = self._file(request, 80)
        if file is None or len(q) < 80 or q[66] != 1:
            return
        status = _number(response, 8, 4)
        value = _part(q, _number(q, 72, 2), _number(q, 68, 4))
        if q[67] == _RENAME:
            # [MS-FSCC] 2.4.37.2: name length at 16, name at 20.
            new = wide(value[20 : 20 + _number(value, 16, 4)])
            self._do.on_file("rename", request.when, file, status_name(status), new_name=new)
            if status == SUCCESS:
                file.name = new
        elif q[67] in (_DISPOSITION, _DISPOSITION_EX) and value[:1] and value[0] & 1:
            self._do.on_file("delete", request.when, file, status_name(status))
            file.delete_on_close = False


_PAIRED: Final[dict[int, Callable[[SmbModern, _Request, bytes], None]]] = {
    _NEGOTIATE: SmbModern._negotiated, _SESSION_SETUP: SmbModern._session, _TREE_CONNECT: SmbModern._tree_connected,
    _CREATE: SmbModern._created, _CLOSE: SmbModern._closed, _READ: SmbModern._read, _WRITE: SmbModern._written,
    _IOCTL: SmbModern._ioctl, _QUERY_DIRECTORY: SmbModern._listed, _SET_INFO: SmbModern._set,
}  # fmt: skip
_UNANSWERED: Final[dict[int, Callable[[SmbModern, _Request], None]]] = {
    _CREATE: lambda smb, request: smb._created(request, None),
    _WRITE: lambda smb, request: smb._written(request, None),
}
