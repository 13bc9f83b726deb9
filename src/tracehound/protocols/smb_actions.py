"""In: what a reader of SMB made of requests and answers: sessions, shares, opens, data. Out: rows of table `smb`, the files and pipes
that pass, logins. Never here: the layout of a message (smb_classic.py, smb_modern.py).

Data of one open file is put in order by its offsets; every read and every write of it go into one row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tracehound.limits import MAX_SMB_DISORDER_BYTES, MAX_SMB_OPEN
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.dce_rpc import HEADER_BYTES, RpcConversation, pdu_size
from tracehound.protocols.kerberos import report
from tracehound.protocols.kerberos_message import ticket_in
from tracehound.protocols.lines import visible
from tracehound.protocols.nt_status import MORE_PROCESSING, SUCCESS, status_name
from tracehound.protocols.ntlm import NtlmExchange, messages_in
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.tables import SMB

DISK, PIPE, PRINTER = "DISK", "PIPE", "PRINTER"
_COLUMNS: Final = tuple(SMB.names[7:-2])
_EPOCH_100NS: Final = 116_444_736_000_000_000
"""1970 in the 100 ns that [MS-DTYP] FILETIME counts from 1601."""
_MAX_NS: Final = 2**63 - 1
_ACCESS: Final = (
    (0x1, "read"), (0x2, "write"), (0x4, "append"), (0x20, "execute"), (0x10000, "delete"), (0x40000, "change permissions"),
    (0x80000, "change owner"), (0x80000000, "read"), (0x40000000, "write"), (0x20000000, "execute"), (0x10000000, "all"),
    (0x2000000, "maximum"),
)  # fmt: skip
"""[MS-SMB2] 2.2.13.1.1, the rights that say what is wanted."""
DISPOSITIONS: Final[dict[int, str]] = {0: "superseded", 1: "opened", 2: "created", 3: "overwritten"}


def filetime_ns(raw: bytes) -> int | None:
    """FILETIME as ns since 1970; None for 0 (unknown) and beyond what the column holds."""
    ticks = int.from_bytes(raw, "little")
    ns = (ticks - _EPOCH_100NS) * 100
    return ns if ticks and -_MAX_NS < ns < _MAX_NS else None


def access_text(mask: int) -> str | None:
    """An access mask in words."""
    return ", ".join(dict.fromkeys(word for bit, word in _ACCESS if mask & bit)) or None


def wide(raw: bytes) -> str:
    """UTF-16 text up to a NUL."""
    return visible(raw.decode("utf-16-le", "replace").split("\0", 1)[0])


class When(NamedTuple):
    """Where a request stands: its packet and time."""

    packet_id: int
    ts_ns: int


@dataclass(slots=True)
class Account:
    user: str | None = None
    domain: str | None = None
    host_name: str | None = None


@dataclass(slots=True)
class Tree:
    share: str | None
    kind: str | None


class _InOrder:
    """Data of one direction of one open file, put in order."""

    __slots__ = ("begin", "bytes", "file", "first", "holes", "pending", "pending_bytes", "reach")

    def __init__(self, first: When) -> None:
        self.first = first
        self.begin = 0
        self.reach = 0
        self.bytes = 0
        self.holes = False
        self.pending: dict[int, bytes] = {}
        self.pending_bytes = 0
        self.file: CarriedFile | None = None

    def add(self, offset: int, data: bytes) -> None:
        self.bytes += len(data)
        if self.file is None:
            return
        if offset > self.reach:
            if len(data) > len(self.pending.get(offset, b"")):
                self.pending_bytes += len(data) - len(self.pending.pop(offset, b""))
                self.pending[offset] = data
            while self.pending_bytes > MAX_SMB_DISORDER_BYTES:
                self._skip()
            return
        self._take(offset, data)
        self._drain()

    def _take(self, offset: int, data: bytes) -> None:
        new = data[self.reach - offset :]
        if new and self.file is not None:
            self.file.add(new)
            self.reach += len(new)

    def _drain(self) -> None:
        while self.pending:
            offset = min(self.pending)
            if offset > self.reach:
                return
            data = self.pending.pop(offset)
            self.pending_bytes -= len(data)
            self._take(offset, data)

    def _skip(self) -> None:
        self.reach = min(self.pending)
        if self.file is not None and self.file.bytes:
            self.holes = True
        else:
            self.begin = self.reach
        self._drain()

    def end(self) -> None:
        while self.pending:
            self._skip()


@dataclass(slots=True)
class OpenFile:
    """What was opened; pipe is set where it is one."""

    tree: Tree
    account: Account
    name: str | None
    is_folder: bool | None = None
    size: int | None = None
    pipe: RpcPipe | None = None
    listed: bool = False
    delete_on_close: bool = False
    sides: dict[bool, _InOrder] = field(default_factory=dict)
    """True: reads, False: writes."""


class RpcPipe:
    """DCE/RPC over a pipe: messages may be spread over reads and writes."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._conversation = RpcConversation(reporter, "smb", name)
        self._held = {True: b"", False: b""}

    def data(self, data: bytes, when: When, *, client: bool) -> None:
        held = self._held[client] + data
        at = 0
        while at + HEADER_BYTES <= len(held):
            size = pdu_size(held[at : at + HEADER_BYTES])
            if size < HEADER_BYTES:
                held, at = b"", 0
                break
            if at + size > len(held):
                break
            self._conversation.message(held[at : at + size], *when, client=client)
            at += size
        self._held[client] = held[at:]

    def end(self) -> None:
        self._conversation.end()


class SmbActions(Reporter):
    """What happens on one connection."""

    service = "smb"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.version = "SMB1"
        self.dialect: str | None = None
        self.files: dict[Any, OpenFile] = {}
        self._ntlm = NtlmExchange(self, "smb")
        self._carried = 0

    # -- rows ---------------------------------------------------------------------------------------------------------------
    def action(
        self, what: str, when: When, *, result: str | None, tree: Tree | None = None, account: Account | None = None,
        note: str | None = None, **cells: Any,
    ) -> None:  # fmt: skip
        """A row; cells are columns by name."""
        cells |= {"version": self.version, "action": what, "dialect": self.dialect, "result": result}
        if tree is not None:
            cells |= {"share": tree.share, "share_type": tree.kind}
        if account is not None:
            cells |= {"user": account.user, "domain": account.domain, "host_name": account.host_name}
        notes = "; ".join(filter(None, (self.said, note))) or None
        self.row("smb", when.ts_ns, *map(cells.get, _COLUMNS), when.packet_id, notes)

    def on_file(self, what: str, when: When, file: OpenFile, result: str | None, **cells: Any) -> None:
        """A row about an open file."""
        self.action(what, when, result=result, tree=file.tree, account=file.account,
                    **{"name": file.name, "is_folder": file.is_folder, **cells})  # fmt: skip

    # -- sessions -------------------------------------------------------------------------------------------------------------
    def session_setup(
        self, when: When, asked: bytes, answered: bytes, status: int | None, account: Account, *, guest: bool = False
    ) -> None:
        """A security token of the client and what the server says to it. Fills the account once the client names itself."""
        message = messages_in(asked)
        said = self._ntlm.authenticate(message, *when) if message is not None else None
        reply = messages_in(answered)
        if reply is not None:
            self._ntlm.challenge(reply)
        if said is not None:
            account.user, account.domain, account.host_name = said.user, said.domain, said.host_name
        if status == MORE_PROCESSING:
            return
        accepted = None if status is None else status == SUCCESS
        answer = None if status is None else status_name(status) + (", as guest" if guest else "")
        if said is not None:
            self._ntlm.answered(accepted, answer)
        elif message is None and asked:
            ticket = ticket_in(asked)
            if ticket is not None:
                report(self, "smb", ticket, None, *when, result=answer)
            self.login(None, "Kerberos", cleartext=False, accepted=accepted, answer=answer, packet_id=when.packet_id, ts_ns=when.ts_ns)
        elif message is not None and status is None:
            return
        self.action("session", when, result=None if status is None else status_name(status), account=account,
                    note="as guest" if guest else None)  # fmt: skip

    # -- files ------------------------------------------------------------------------------------------------------------------
    def opened(
        self, key: Any, when: When, tree: Tree, account: Account, name: str, result: str | None, *, mask: int,
        disposition: str | None = None, is_folder: bool | None = None, size: int | None = None,
        times: tuple[int | None, ...] = (None, None, None, None), delete_on_close: bool = False,
    ) -> None:  # fmt: skip
        """A file, folder or pipe was opened (key is its handle), or was not (key None)."""
        is_pipe = tree.kind == PIPE or (tree.share or "").upper().endswith("\\IPC$")
        created, accessed, modified, changed = times
        self.action("open", when, result=result, tree=tree, account=account, name=name, is_folder=is_folder,
                    access=access_text(mask), disposition=disposition, file_size=None if is_pipe or is_folder else size,
                    created_ts=created, modified_ts=modified, accessed_ts=accessed, changed_ts=changed)  # fmt: skip
        if key is None:
            return
        if len(self.files) >= MAX_SMB_OPEN:
            self.closed(next(iter(self.files)))
        self.closed(key)
        pipe = RpcPipe(self, name) if is_pipe else None
        self.files[key] = OpenFile(tree, account, name, is_folder, size, pipe, False, delete_on_close)

    def file(self, key: Any, tree: Tree, account: Account) -> OpenFile:
        """What a handle stands for; one whose opening is not in the evidence has no name."""
        found = self.files.get(key)
        if found is None:
            if len(self.files) >= MAX_SMB_OPEN:
                self.closed(next(iter(self.files)))
            found = self.files[key] = OpenFile(tree, account, None)
            if tree.kind == PIPE:
                found.pipe = RpcPipe(self, "")
        return found

    def data(self, file: OpenFile, when: When, offset: int, data: bytes, *, read: bool) -> None:
        """Bytes that were read from a file or pipe, or written to it."""
        if file.pipe is not None:
            file.pipe.data(data, when, client=not read)
            return
        side = file.sides.get(read)
        if side is None:
            side = file.sides[read] = _InOrder(when)
            side.file = CarriedFile(
                self.ends, "smb", self._carried, sent_by_src=not read, ts_ns=when.ts_ns, packet_id=when.packet_id, name=file.name
            )
            self._carried += 1
        side.add(offset, data)

    def closed(self, key: Any, when: When | None = None) -> None:
        """A handle is closed, or nothing more comes of it."""
        file = self.files.pop(key, None)
        if file is None:
            return
        if file.pipe is not None:
            file.pipe.end()
        for read, side in sorted(file.sides.items(), reverse=True):
            side.end()
            self.on_file("read" if read else "write", side.first, file, status_name(SUCCESS), file_size=file.size,
                         data_bytes=side.bytes)  # fmt: skip
            self._end_carried(file, side, read=read, is_closed=when is not None)
        if file.delete_on_close and when is not None:
            self.on_file("delete", when, file, status_name(SUCCESS))

    def _end_carried(self, file: OpenFile, side: _InOrder, *, read: bool, is_closed: bool) -> None:
        assert side.file is not None
        if not side.file.bytes:
            return
        whole = side.begin == 0 and not side.holes and (side.reach == file.size if read and file.size is not None else is_closed)
        notes = [f"from byte {side.begin} on" if side.begin else "", "parts are missing" if side.holes else ""]
        if read and file.size is not None and side.reach < file.size:
            notes.append(f"{side.reach} of {file.size} bytes were read")
        side.file.name = file.name
        side.file.close(self.emit, complete=whole, note="; ".join(filter(None, (*notes, self.said))))

    def end(self) -> None:
        """The connection is over."""
        for key in list(self.files):
            self.closed(key)
        self._ntlm.end()
