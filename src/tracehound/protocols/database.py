"""In: what readers of database protocols learn of one connection. Out: its row in table `database`, and one in `logins`. Never here: a
protocol (mysql.py, postgresql.py, tds.py, redis.py), or a secret: passwords in commands are hidden."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_DATABASE_COMMANDS, MAX_FIRST_COMMANDS
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Emit, FlowEnds, Session
from tracehound.protocols.tls import open_session as open_tls
from tracehound.streams.reassemble import Chunk

_SECRETS: Final = re.compile(
    r"((?:identified\s+(?:with\s+\S{1,64}\s+)?(?:by|as)|password(?:\s*=|\s*\(|\s+for\s+\S{1,64}\s*=)?|pwd\s*=)\s*\(?\s*N?)"
    r"('(?:[^'\\]|\\.){0,256}'|\"[^\"]{0,256}\")",
    re.IGNORECASE,
)
_COMMAND_CHARACTERS: Final = 300


class DatabaseSession(Reporter):
    """One connection; subclasses read its bytes. The client is the flow's originator unless they say otherwise."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.finished = False
        self.server_version: str | None = None
        self.user: str | None = None
        self.database: str | None = None
        self.client_software: str | None = None
        self.host_name: str | None = None
        self.method: str | None = None
        self.cleartext = False
        self.accepted: bool | None = None
        self.answer: str | None = None
        self.commands = 0
        self.first_commands: list[str] = []
        self.asked: tuple[int, int] | None = None
        self.tls = False
        self._first: tuple[int, int] | None = None
        self._inner: Session | None = None
        self._done = False

    # -- Session ----------------------------------------------------------------------------------------------------------------
    def feed(self, chunk: Chunk) -> None:
        if self._first is None:
            self._first = chunk.segments.packet_at(chunk.offset)
        if chunk.gap_before:
            self.note("bytes are missing")
        self.read(chunk)

    def read(self, chunk: Chunk) -> None:
        """The next bytes of one direction."""

    def close(self, note: str) -> None:
        self.note(note)
        self._report()
        if self._inner is not None:
            self._inner.close(note)

    # -- what subclasses tell ------------------------------------------------------------------------------------------------------
    def command(self, text: str) -> None:
        """A command behind the login; once there are enough of them, the rest is not read."""
        self.commands += 1
        if len(self.first_commands) < MAX_FIRST_COMMANDS and text:
            self.first_commands.append(_SECRETS.sub(r"\1'<hidden>'", text)[:_COMMAND_CHARACTERS])
        if self.commands >= MAX_DATABASE_COMMANDS:
            self.note("later commands were not counted")
            self.finished = True

    def to_tls(self, chunk: Chunk) -> None:
        """From here on it is TLS, which its own reader reads."""
        self.tls = True
        if self._inner is None:
            self._inner = open_tls(self.ends, chunk, self.emit)
        if not self._inner.finished:
            self._inner.feed(chunk)
        self.finished = self._inner.finished

    def _report(self) -> None:
        if self._done or self._first is None:
            return
        self._done = True
        packet_id, ts_ns = self._first
        self.row(
            "database", ts_ns, self.service, self.server_version, self.user, self.database, self.client_software, self.host_name,
            self.method, self.accepted, self.tls, self.commands, self.first_commands or None, self.answer, packet_id, self.said,
        )  # fmt: skip
        if self.asked is not None:
            at, when = self.asked
            self.login(self.user, self.method, cleartext=self.cleartext, accepted=self.accepted, answer=self.answer, packet_id=at,
                       ts_ns=when)  # fmt: skip


def one_line(raw: bytes) -> str:
    """A command as one line of text."""
    return " ".join(words_of(raw[: 4 * _COMMAND_CHARACTERS].replace(b"\n", b" ").replace(b"\r", b" ").replace(b"\t", b" ")).split())
