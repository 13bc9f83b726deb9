"""In: messages of SMB 1. Out: what they do, told to SmbActions. Never here: SMB 2 and 3, or rows.

[MS-CIFS] 2.2 and [MS-SMB] 2.2. Requests wait for their responses by process and multiplex id. A message may chain commands (AndX)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tracehound.limits import MAX_SMB_HELD_BYTES, MAX_SMB_WAITING
from tracehound.protocols.lines import visible
from tracehound.protocols.nt_status import BUFFER_OVERFLOW, MORE_PROCESSING, SUCCESS, status_name
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

HEADER_BYTES: Final = 32
_DELETE_FOLDER, _CREATE_FOLDER, _CLOSE, _DELETE, _RENAME = 0x01, 0x00, 0x04, 0x06, 0x07
_TRANSACTION, _OPEN, _READ, _WRITE, _TRANSACTION2, _NT_TRANSACT, _NT_CREATE = 0x25, 0x2D, 0x2E, 0x2F, 0x32, 0xA0, 0xA2
_NEGOTIATE, _SESSION_SETUP, _TREE_CONNECT = 0x72, 0x73, 0x75
_SECONDARY: Final = frozenset({0x26, 0x33, 0xA1})
"""The rest of a transaction; one answer is for all of it."""
_CHAINED: Final = frozenset({0x24, _OPEN, _READ, _WRITE, _SESSION_SETUP, 0x74, _TREE_CONNECT, _NT_CREATE})
_MOST_CHAINED: Final = 8
_REPLY, _UNICODE, _NT_STATUS = 0x80, 0x8000, 0x4000
_SHARES: Final[dict[bytes, str]] = {b"A:": DISK, b"IPC": PIPE, b"LPT1:": PRINTER, b"?????": ""}
_TRANSACT_PIPE, _PEEK_PIPE = 0x26, 0x23
_FIND_FIRST, _TRANS2_SESSION_SETUP, _OPEN2, _SET_FILE_INFO = 0x01, 0x0E, 0x00, 0x08
_ORDINARY_MULTIPLEX: Final = 64
"""DoublePulsar asks with 65, and answers with 81, 82, 83 (65 + 16...)."""


@dataclass(slots=True)
class _Command:
    """One command of a message: words after their count, bytes after theirs; `base` is the message from its header on."""

    code: int
    words: bytes
    data: bytes
    data_at: int
    base: bytes


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def commands(base: bytes) -> list[_Command]:
    """The commands of a message ([MS-CIFS] 2.2.3.4: AndX names the next command and where it stands)."""
    found: list[_Command] = []
    code, at = base[4], HEADER_BYTES
    for _ in range(_MOST_CHAINED):
        if at >= len(base):
            break
        words_end = at + 1 + 2 * base[at]
        words = base[at + 1 : words_end]
        size = _number(base, words_end, 2)
        found.append(_Command(code, words, base[words_end + 2 : words_end + 2 + size], words_end + 2, base))
        if code not in _CHAINED or len(words) < 4 or words[0] == 0xFF or _number(words, 2, 2) <= at:
            break
        code, at = words[0], _number(words, 2, 2)
    return found


@dataclass(slots=True)
class _Request:
    commands: list[_Command]
    when: When
    tree_id: int
    user_id: int
    unicode: bool
    multiplex: int
    size: int


def _string(c: _Command, at: int, unicode: bool, size: int | None = None) -> tuple[str, int]:
    """A string at c.data[at:]: UTF-16 on an even offset of the message, or of one byte a letter; up to its NUL (or `size` bytes).
    Gives it and where it ends."""
    if unicode:
        at += (c.data_at + at) & 1
        stop = at
        if size is None:
            while stop + 1 < len(c.data) and c.data[stop : stop + 2] != b"\0\0":
                stop += 2
            return wide(c.data[at:stop]), stop + 2
        return wide(c.data[at : at + size]), at + size
    end = c.data.find(b"\0", at) if size is None else at + size
    end = len(c.data) if end < 0 else end
    return visible(c.data[at:end].split(b"\0", 1)[0].decode("latin-1")), end + 1


class SmbClassic:
    """One connection."""

    def __init__(self, actions: SmbActions) -> None:
        self._do = actions
        self._waiting: dict[tuple[int, int, int], deque[_Request]] = {}
        self._waiting_count = 0
        self._held_bytes = 0
        self._accounts: dict[int, Account] = {}
        self._pending_account = Account()
        self._trees: dict[int, Tree] = {}
        self._dialects: list[str] = []

    def message(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        """A message from its header on."""
        if len(data) <= HEADER_BYTES:
            return
        # A client may use a number again once it is answered; its requests are read before the answers.
        key = _number(data, 26, 2), _number(data, 30, 2), data[4]
        if data[9] & _REPLY:
            queue = self._waiting.get(key)
            if queue:
                self._paired(self._taken(key, queue), data)
            return
        if data[4] in _SECONDARY:
            return
        request = _Request(commands(data), When(packet_id, ts_ns), _number(data, 24, 2), _number(data, 28, 2),
                           bool(_number(data, 10, 2) & _UNICODE), key[1], len(data))  # fmt: skip
        self._waiting.setdefault(key, deque()).append(request)
        self._waiting_count += 1
        self._held_bytes += len(data)
        while self._waiting_count > MAX_SMB_WAITING or self._held_bytes > MAX_SMB_HELD_BYTES:
            oldest = next(iter(self._waiting))
            self._taken(oldest, self._waiting[oldest])

    def _taken(self, key: tuple[int, int, int], queue: deque[_Request]) -> _Request:
        request = queue.popleft()
        self._waiting_count -= 1
        self._held_bytes -= request.size
        if not queue:
            del self._waiting[key]
        return request

    def _paired(self, request: _Request, reply: bytes) -> None:
        status = _number(reply, 5, 4)
        if not _number(reply, 10, 2) & _NT_STATUS and status:
            # [MS-CIFS] 2.2.3.1: class and code of an error, as DOS and LAN Manager had them.
            status = 0xC0000001 if status & 0xFF else 0
        answers = {c.code: c for c in commands(reply)}
        for asked in request.commands:
            act = _ACTS.get(asked.code)
            answer = answers.get(asked.code)
            if act is not None:
                act(self, request, asked, answer if answer is not None else _Command(asked.code, b"", b"", 0, reply), status)

    def end(self) -> None:
        self._waiting.clear()

    # -- who and where -----------------------------------------------------------------------------------------------------
    def _account(self, request: _Request) -> Account:
        return self._accounts.get(request.user_id) or self._pending_account

    def _tree(self, request: _Request) -> Tree:
        return self._trees.get(request.tree_id) or Tree(None, None)

    def _file(self, request: _Request, file_id: int) -> OpenFile:
        return self._do.file(file_id, self._tree(request), self._account(request))

    def _named(self, request: _Request, what: str, status: int, name: str, **cells: Any) -> None:
        self._do.action(what, request.when, result=status_name(status), tree=self._tree(request), account=self._account(request),
                        name=name, **cells)  # fmt: skip

    # -- pairs ------------------------------------------------------------------------------------------------------------------
    def _negotiated(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        dialects = [visible(d.decode("latin-1")) for d in q.data.replace(b"\x02", b"").split(b"\0") if d]
        index = _number(r.words, 0, 2)
        self._do.dialect = dialects[index] if r.words and index < len(dialects) else None
        self._do.action("negotiate", request.when, result=status_name(status))

    def _session(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        account = self._pending_account
        reply_user = _number(r.base, 28, 2)
        guest = bool(_number(r.words, 4, 2) & 1)
        if len(q.words) >= 26:
            # [MS-CIFS] 2.2.4.53.1: lengths of the two responses at 14 and 16; account, domain and systems behind them.
            lm, nt = _number(q.words, 14, 2), _number(q.words, 16, 2)
            user, at = _string(q, lm + nt, request.unicode)
            domain, _ = _string(q, at, request.unicode)
            account.user, account.domain = user or None, domain or None
            name = f"{domain}\\{user}" if domain and user else user or None
            accepted = status == SUCCESS
            # A response has 24 bytes or more; anything else but nothing is the password itself.
            hidden, shown = lm == 24 or nt >= 24, lm + nt > 1
            self._do.login(name, "NTLM" if hidden else "password" if shown else None, cleartext=shown and not hidden,
                           accepted=accepted, answer=status_name(status) + (", as guest" if guest else ""),
                           packet_id=request.when.packet_id, ts_ns=request.when.ts_ns,
                           note=None if user else "anonymous")  # fmt: skip
            self._do.action("session", request.when, result=status_name(status), account=account, note="as guest" if guest else None)
        else:
            # [MS-SMB] 2.2.4.6: the token's length at 14 of the words; of the answer at 6.
            asked, answered = q.data[: _number(q.words, 14, 2)], r.data[: _number(r.words, 6, 2)]
            self._do.session_setup(request.when, asked, answered, status, account, guest=guest)
        if status == SUCCESS:
            self._accounts[reply_user] = account
        if status != MORE_PROCESSING:
            self._pending_account = Account()

    def _tree_connected(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.55: the password's length at 6 of the words; path and service behind it.
        share, _ = _string(q, _number(q.words, 6, 2), request.unicode)
        kind = _SHARES.get(r.data.split(b"\0", 1)[0]) if status == SUCCESS else None
        tree = Tree(share, kind or None)
        if status == SUCCESS:
            self._trees[_number(r.base, 24, 2)] = tree
        account = self._accounts.get(_number(r.base, 28, 2)) or self._account(request)
        self._do.action("tree_connect", request.when, result=status_name(status), tree=tree, account=account)

    def _created(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.64.1: name length at 5, access at 15, options at 39 of the words.
        name, _ = _string(q, 0, request.unicode, _number(q.words, 5, 2))
        mask, w = _number(q.words, 15, 4), r.words
        tree, account = self._tree(request), self._account(request)
        if status != SUCCESS or len(w) < 67:
            self._do.opened(None, request.when, tree, account, name, status_name(status), mask=mask)
            return
        # 2.2.4.64.2: handle at 5, action at 7, times at 11, attributes at 43, size at 55, folder at 67.
        times = tuple(filetime_ns(w[at : at + 8]) for at in (11, 19, 27, 35))
        self._do.opened(
            _number(w, 5, 2), request.when, tree, account, name, status_name(status), mask=mask, size=_number(w, 55, 8) & (2**63 - 1),
            disposition=DISPOSITIONS.get(_number(w, 7, 4)), is_folder=bool(w[67]) if len(w) > 67 else None, times=times,
            delete_on_close=bool(_number(q.words, 39, 4) & 0x1000),
        )  # fmt: skip

    def _opened(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.41: access at 6 of the words; handle at 4, size at 12 of the answer's.
        name, _ = _string(q, 0, request.unicode)
        mode = _number(q.words, 6, 2) & 3
        key = _number(r.words, 4, 2) if status == SUCCESS and len(r.words) >= 16 else None
        self._do.opened(key, request.when, self._tree(request), self._account(request), name, status_name(status),
                        mask=(1, 2, 3, 0x20)[mode], size=_number(r.words, 12, 4) if key is not None else None)  # fmt: skip

    def _close(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        self._do.closed(_number(q.words, 0, 2), request.when)

    def _read(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.42: handle 4, offset 6 and 20; length 10 and 14, offset of the data 12 of the answer's words.
        if status not in (SUCCESS, BUFFER_OVERFLOW) or len(r.words) < 24:
            return
        at, size = _number(r.words, 12, 2), _number(r.words, 10, 2) | _number(r.words, 14, 2) << 16
        offset = _number(q.words, 6, 4) | (_number(q.words, 20, 4) << 32 if len(q.words) >= 24 else 0)
        self._do.data(self._file(request, _number(q.words, 4, 2)), request.when, offset, r.base[at : at + size], read=True)

    def _write(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.43: handle 4, offset 6 and 24, length 20 and 18, offset of the data 22.
        if status != SUCCESS or len(q.words) < 24:
            return
        at, size = _number(q.words, 22, 2), _number(q.words, 20, 2) | _number(q.words, 18, 2) << 16
        offset = _number(q.words, 6, 4) | (_number(q.words, 24, 4) << 32 if len(q.words) >= 28 else 0)
        if offset >= 0xFFFFFFFF:
            offset = 0
        self._do.data(self._file(request, _number(q.words, 4, 2)), request.when, offset, q.base[at : at + size], read=False)

    def _delete(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        self._named(request, "delete", status, _string(q, 1, request.unicode)[0], is_folder=q.code == _DELETE_FOLDER)

    def _make_folder(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        self._named(request, "open", status, _string(q, 1, request.unicode)[0], is_folder=True, disposition="created")

    def _rename(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        old, at = _string(q, 1, request.unicode)
        new, _ = _string(q, at + 1, request.unicode)
        self._named(request, "rename", status, old, new_name=new)

    # -- transactions ---------------------------------------------------------------------------------------------------------
    def _parts(self, c: _Command, at: int) -> tuple[bytes, bytes]:
        """Parameters and data: count and offset of each, beginning at `at` of the words."""
        count, offset, step = _number(c.words, at, 2), _number(c.words, at + 2, 2), 4 if at == 18 else 6
        size, start = _number(c.words, at + step, 2), _number(c.words, at + step + 2, 2)
        return c.base[offset : offset + count], c.base[start : start + size]

    def _transaction(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        # [MS-CIFS] 2.2.4.33: set-up words from 28 on; \PIPE\ with 0x26 writes to a pipe and reads its answer.
        if len(q.words) < 28:
            return
        setup, file_id = _number(q.words, 28, 2), _number(q.words, 30, 2)
        if q.words[26] and setup == _TRANSACT_PIPE:
            file = self._file(request, file_id)
            if file.pipe is None:
                return
            self._do.data(file, request.when, 0, self._parts(q, 18)[1], read=False)
            if status in (SUCCESS, BUFFER_OVERFLOW) and len(r.words) >= 20:
                self._do.data(file, request.when, 0, self._parts(r, 6)[1], read=True)
        elif q.words[26] and setup == _PEEK_PIPE:
            self._named(request, "peek_pipe", status, "")
        else:
            name, _ = _string(q, 0, request.unicode)
            if name:
                self._named(request, "transaction", status, name)

    def _transaction_two(self, request: _Request, q: _Command, r: _Command, status: int) -> None:
        if len(q.words) < 30:
            return
        setup = _number(q.words, 28, 2)
        parameters = self._parts(q, 18)[0]
        if setup == _FIND_FIRST:
            # [MS-CIFS] 2.2.6.2: 12 bytes, then the pattern.
            raw = parameters[12:]
            name = wide(raw) if request.unicode else visible(raw.split(b"\0", 1)[0].decode("latin-1"))
            self._named(request, "list", status, name, is_folder=True)
        elif setup == _TRANS2_SESSION_SETUP:
            # [MS-CIFS] 2.2.6.15: never used by an honest client; EternalBlue and DoublePulsar do. What is told stands in the answer's id.
            self._do.action("trans2_session_setup", request.when, result=status_name(status), tree=self._tree(request),
                            account=self._account(request),
                            note=f"multiplex id {request.multiplex} answered with {_number(r.base, 30, 2)}")  # fmt: skip
        elif setup == _SET_FILE_INFO and _number(parameters, 2, 2) in (0x102, 1013):
            # [MS-CIFS] 2.2.8.4.3: disposition.
            if self._parts(q, 18)[1][:1] == b"\x01":
                file = self._file(request, _number(parameters, 0, 2))
                self._do.on_file("delete", request.when, file, status_name(status))
                file.delete_on_close = False


_ACTS: Final[dict[int, Callable[[SmbClassic, _Request, _Command, _Command, int], None]]] = {
    _NEGOTIATE: SmbClassic._negotiated, _SESSION_SETUP: SmbClassic._session, _TREE_CONNECT: SmbClassic._tree_connected,
    _NT_CREATE: SmbClassic._created, _OPEN: SmbClassic._opened, _CLOSE: SmbClassic._close, _READ: SmbClassic._read,
    _WRITE: SmbClassic._write, _DELETE: SmbClassic._delete, _DELETE_FOLDER: SmbClassic._delete, _CREATE_FOLDER: SmbClassic._make_folder,
    _RENAME: SmbClassic._rename, _TRANSACTION: SmbClassic._transaction, _TRANSACTION2: SmbClassic._transaction_two,
}  # fmt: skip
