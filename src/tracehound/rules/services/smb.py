"""In: the bytes of an SMB connection. Out: transactions: sessions, shares, opened files and pipes, and the files that are read and
written. Never here: the layout of messages (protocols/smb_classic.py, smb_modern.py), rules.

A request and its reply are one step here: it is told when the reply has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from tracehound.limits import MAX_SMB_MESSAGE_BYTES
from tracehound.protocols.session import FlowEnds
from tracehound.protocols.smb_actions import PIPE, Account, OpenFile, SmbActions, Tree, When
from tracehound.protocols.smb_classic import SmbClassic
from tracehound.protocols.smb_modern import SmbModern
from tracehound.rules.services.http import magics, to_file
from tracehound.rules.services.service import COMPLETE, File, Service, Source, Transaction

_ENDS: Final = FlowEnds(0, "", 0, "", 0)
_HEAD: Final = 4


@dataclass(slots=True)
class SmbTransaction(Transaction):
    share: bytes | None = None
    pipe: bytes | None = None
    account: Account | None = None
    version: int = 0


def _text(name: str) -> Any:
    return lambda tx, _to_server: getattr(tx, name)


def _account(name: str) -> Any:
    def get(tx: SmbTransaction, _to_server: bool) -> bytes | None:
        value = getattr(tx.account, name) if tx.account is not None else None
        return value.encode("utf-8", "replace") if value is not None else None

    return get


def _contents(tx: SmbTransaction, to_server: bool) -> list[bytes] | None:
    return [bytes(f.content) for f in tx.files if f.to_server == to_server and f.content] or None


def _names(tx: SmbTransaction, to_server: bool) -> list[bytes] | None:
    return [f.name.encode("utf-8", "replace") for f in tx.files if f.to_server == to_server and f.name] or None


class _Watched(SmbActions):
    """What happens on the connection, told to the service as it happens."""

    def __init__(self, service: Smb) -> None:
        super().__init__(_ENDS, lambda _table, _row: None)
        self._service_of_rules = service
        self._growing: dict[tuple[int, bool], File] = {}

    def action(self, what: str, when: When, *, tree: Tree | None = None, account: Account | None = None, **cells: Any) -> None:
        if what == "tree_connect" and tree is not None and tree.share is not None:
            self._service_of_rules.told(share=tree.share.encode("utf-8", "replace"))

    def session_setup(
        self, when: When, asked: bytes, answered: bytes, status: int | None, account: Account, *, guest: bool = False
    ) -> None:
        before = account.user
        super().session_setup(when, asked, answered, status, account, guest=guest)
        if account.user != before:
            self._service_of_rules.told(account=Account(account.user, account.domain, account.host_name))

    def opened(self, key: Any, when: When, tree: Tree, account: Account, name: str, result: str | None, **more: Any) -> None:
        super().opened(key, when, tree, account, name, result, **more)
        if tree.kind == PIPE or (tree.share or "").upper().endswith("\\IPC$"):
            self._service_of_rules.told(pipe=name.encode("utf-8", "replace"))

    def data(self, file: OpenFile, when: When, offset: int, data: bytes, *, read: bool) -> None:
        super().data(file, when, offset, data, read=read)
        if file.pipe is not None:
            return
        key = (id(file), read)
        growing = self._growing.get(key)
        if growing is None:
            growing = self._growing[key] = self._service_of_rules.carries((file.name or "").replace("\\", "/"), to_server=not read)
        if offset <= growing.size:
            to_file(growing, data[growing.size - offset :])
        else:
            growing.gap = True

    def closed(self, key: Any, when: When | None = None) -> None:
        file = self.files.get(key)
        super().closed(key, when)
        for read in (True, False):
            growing = self._growing.pop((id(file), read), None)
            if growing is not None:
                self._service_of_rules.ended(growing)


class Smb(Service):
    name = "smb"
    sources: ClassVar[dict[str, Source]] = {
        "smb.share": Source(True, 1, _text("share")),
        "smb.named_pipe": Source(True, 1, _text("pipe")),
        "smb.ntlmssp_user": Source(True, 1, _account("user")),
        "smb.ntlmssp_domain": Source(True, 1, _account("domain")),
        "smb.ntlmssp_host": Source(True, 1, _account("host_name")),
        "file.data": Source(None, 1, _contents, grows=True),
        "file.magic": Source(None, 1, magics, grows=True),
        "file.name": Source(None, 1, _names, grows=True),
    }
    events: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._parts = [bytearray(), bytearray()]
        self._skip = [0, 0]
        self._actions = _Watched(self)
        self._classic = SmbClassic(self._actions)
        self._modern = SmbModern(self._actions)
        self.version = 0

    def feed(self, to_server: bool, data: bytes) -> None:
        part = self._parts[to_server]
        part += data
        while len(part) >= _HEAD:
            if self._skip[to_server]:
                gone = min(self._skip[to_server], len(part))
                del part[:gone]
                self._skip[to_server] -= gone
                continue
            # RFC 1002 4.3.1: type 1, length 3.
            size = int.from_bytes(part[1:4], "big")
            if size > MAX_SMB_MESSAGE_BYTES:
                self._skip[to_server] = _HEAD + size
                continue
            if len(part) < _HEAD + size:
                return
            message = bytes(part[_HEAD : _HEAD + size])
            del part[: _HEAD + size]
            self._message(message)

    def _message(self, message: bytes) -> None:
        if message[:4] == b"\xfeSMB":
            self.version = 2
            self._modern.message(message, 0, self.now_ns)
        elif message[:4] == b"\xffSMB":
            self.version = 1
            self._classic.message(message, 0, self.now_ns)

    def gap(self, to_server: bool, size: int) -> None:
        """What is missing inside a large message leaves the next one to be found."""
        part = self._parts[to_server]
        want = _HEAD + int.from_bytes(part[1:4], "big") - len(part) if len(part) >= _HEAD else 0
        if want < size:
            self.stopped = True
            return
        part.clear()
        self._skip[to_server] = want - size

    def end(self, to_server: bool) -> None:
        for reader in (self._classic, self._modern):
            reader.end()
        self._actions.end()
        super().end(to_server)

    # -- what the actions tell ----------------------------------------------------------------------------------------------

    def _open(self) -> SmbTransaction:
        tx = SmbTransaction(self.count)
        tx.version = self.version
        self.count += 1
        self.transactions.append(tx)
        return tx

    def told(self, **what: Any) -> None:
        """A step of its own: a share, a pipe, an account."""
        tx = self._open()
        for name, value in what.items():
            setattr(tx, name, value)
        tx.progress = [COMPLETE, COMPLETE]

    def carries(self, name: str, *, to_server: bool) -> File:
        """A file begins."""
        tx = self._open()
        tx.progress = [1, 1]
        file = File(name, to_server)
        tx.files.append(file)
        return file

    def ended(self, file: File) -> None:
        """A file is over."""
        file.done = True
        for tx in self.transactions:
            if file in tx.files:
                tx.progress = [COMPLETE, COMPLETE]

    def summary(self, tx: SmbTransaction) -> dict[str, Any] | None:
        """Suricata's `smb` object, as far as rules are concerned."""
        out: dict[str, Any] = {}
        for key, value in (("share", tx.share), ("named_pipe", tx.pipe)):
            if value is not None:
                out[key] = value.decode("utf-8", "replace")
        if tx.files:
            out["filename"] = tx.files[0].name
        if tx.account is not None:
            out["ntlmssp"] = {"user": tx.account.user, "domain": tx.account.domain, "host": tx.account.host_name}
        return {"smb": out} if out else None
