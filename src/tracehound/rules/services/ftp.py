"""In: the lines of an FTP control connection. Out: one transaction a command, with its replies. Never here: rules. RFC 959."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

_MAX_LINE: Final = 4_096


@dataclass(slots=True)
class FtpTransaction(Transaction):
    command: bytes | None = None
    data: bytes | None = None
    replies: list[bytes] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)


SOURCES: Final[dict[str, Source]] = {
    "ftp.command": Source(True, 1, lambda tx, _s: tx.command),
    "ftp.command_data": Source(True, 1, lambda tx, _s: tx.data),
    "ftp.reply": Source(False, 1, lambda tx, _s: list(tx.replies)),
    "ftp.completion_code": Source(False, 1, lambda tx, _s: list(tx.codes)),
}


class Ftp(Service):
    name = "ftp"
    sources = SOURCES

    def __init__(self) -> None:
        super().__init__()
        self._lines = [bytearray(), bytearray()]
        self._waiting: list[FtpTransaction] = []

    def feed(self, to_server: bool, data: bytes) -> None:
        buffer = self._lines[to_server]
        buffer += data
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            if to_server:
                self._command(line)
            else:
                self._reply(line)
        if len(buffer) > _MAX_LINE:
            buffer.clear()

    def _open(self) -> FtpTransaction:
        tx = FtpTransaction(self.count)
        self.count += 1
        self.transactions.append(tx)
        return tx

    def _command(self, line: bytes) -> None:
        word, _, rest = line.strip().partition(b" ")
        if not word:
            return
        tx = self._open()
        tx.command, tx.data = word, rest
        tx.progress[1] = COMPLETE
        self._waiting.append(tx)

    def _reply(self, line: bytes) -> None:
        if not self._waiting:
            tx = self._open()
            tx.progress[1] = COMPLETE
            self._waiting.append(tx)
        tx = self._waiting[0]
        tx.replies.append(line[4:] if line[:3].isdigit() else line)
        if line[:3].isdigit() and line[3:4] != b"-":
            tx.codes.append(line[:3])
            tx.progress[0] = 1
            if not line.startswith(b"1"):
                tx.progress[0] = COMPLETE
                self._waiting.pop(0)

    def summary(self, tx: FtpTransaction) -> dict[str, Any] | None:
        if tx.command is None:
            return None
        out: dict[str, Any] = {"command": tx.command.decode("latin1")}
        if tx.data:
            out["command_data"] = tx.data.decode("latin1")
        if tx.replies:
            out["reply"] = [r.decode("latin1") for r in tx.replies]
        if tx.codes:
            out["completion_code"] = [c.decode("latin1") for c in tx.codes]
        return {"ftp": out}
