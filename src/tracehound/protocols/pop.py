"""In: the ordered bytes of both directions of a flow. Out: POP3 commands with their answers as rows of table `pop3`, logins as rows
of `logins`, parts of retrieved mails as rows of `files`. Never here: a mail's structure (mime.py), or a password.

RFC 1939 (POP3), 2449 (CAPA), 5034 (AUTH), 2595 (STLS)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.lines import Exchange, TextSession, words_of
from tracehound.protocols.mime import Dotted, Message
from tracehound.protocols.sasl import Sasl
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_COMMAND: Final = re.compile(
    rb"(?:USER|PASS|APOP|AUTH|CAPA|STAT|LIST|UIDL|RETR|TOP|DELE|NOOP|RSET|QUIT|STLS)\b", re.IGNORECASE)
_MAILS: Final = frozenset({"RETR", "TOP"})
_ALWAYS_LONG: Final = frozenset({"RETR", "TOP", "CAPA"})
_LONG_ALONE: Final = frozenset({"LIST", "UIDL", "AUTH"})
_LOGINS: Final = frozenset({"USER", "PASS", "APOP", "AUTH"})


@dataclass(slots=True)
class Command:
    number: int | None
    name: str
    arg: str | None
    user: str | None
    packet_id: int
    ts_ns: int
    sasl: Sasl | None = None
    continued: bool = False


class Pop3Session(TextSession):
    service = "pop3"
    server_first = re.compile(rb"[+-]")

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        super().__init__(ends, chunk, emit)
        self._exchange = Exchange(self._paired)
        self._user: str | None = None
        self._sasl: Sasl | None = None
        self._greeting = True
        self._dotted = Dotted()
        self._message: Message | None = None

    # -- client -------------------------------------------------------------------------------------------------------------
    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        if self._sasl is not None and not _COMMAND.match(line):
            sasl = self._sasl
            self._exchange.command(Command(None, "", None, None, packet_id, ts_ns, sasl, continued=True))
            if not sasl.response(line.rstrip(b"\r\n"), packet_id, ts_ns):
                self._sasl = None
            return
        self._sasl = None
        verb, _, rest = line.rstrip(b"\r\n").partition(b" ")
        name = words_of(verb).upper()[:40]
        arg = words_of(rest) or None
        command = Command(self.number("pop3"), name, arg, self._user, packet_id, ts_ns)
        if name == "USER":
            self._user = command.user = arg
        elif name == "PASS":
            command.arg = "<hidden>"
        elif name == "APOP":
            # RFC 1939 7: APOP name digest.
            self._user = command.user = command.arg = words_of(rest.split(b" ")[0])
        elif name == "AUTH" and arg:
            words = rest.split(None, 1)
            command.sasl = Sasl(words[0])
            command.arg = command.sasl.method
            if command.sasl.start(words[1] if len(words) > 1 else None, packet_id, ts_ns):
                self._sasl = command.sasl
        self._exchange.command(command)

    # -- server ---------------------------------------------------------------------------------------------------------------
    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        status, _, rest = line.rstrip(b"\r\n").partition(b" ")
        if status not in (b"+OK", b"-ERR", b"+"):
            return
        greeting, self._greeting = self._greeting, False
        due = self._exchange.oldest
        # RFC 1939 4: the server greets first; where the capture begins later, the answer of a waiting command may be first.
        if greeting and due is not None and due.name not in _LOGINS | {"CAPA", "STLS", "QUIT", ""}:
            greeting = False
        if greeting and status != b"+":
            return
        long = due is not None and (due.name in _ALWAYS_LONG or (due.name in _LONG_ALONE and not due.arg))
        mail = due is not None and due.name in _MAILS
        self._exchange.reply((status.decode("latin-1"), words_of(rest)))
        if long and status == b"+OK":
            self._dotted = Dotted()
            self._message = Message(self.emit, self._open_file) if mail else None
            self.server.raw = self._answer

    def _answer(self, data: bytes, at: int, chunk: Chunk) -> int:
        where = chunk.segments.packet_at(chunk.offset + at)
        body, at, over = self._dotted.take(data, at)
        if self._message is not None and body:
            self._message.add(body, *where)
        if over:
            self.server.raw = None
            self._end_message(complete=True)
        return at

    def _end_message(self, *, complete: bool) -> None:
        message, self._message = self._message, None
        if message is not None:
            message.close(complete=complete)

    def _open_file(self, name: str | None, kind: str | None, packet_id: int, ts_ns: int) -> CarriedFile | None:
        number = self.number("files")
        if number is None:
            return None
        return CarriedFile(
            self.ends, self.service, number, sent_by_src=False, ts_ns=ts_ns, packet_id=packet_id, name=name, declared_type=kind
        )

    def _paired(self, command: Command, reply: tuple[str, str] | None) -> None:
        status, said = reply or (None, None)
        accepted = {"+OK": True, "-ERR": False}.get(status or "")
        answer = f"{status} {said}".rstrip() if reply else None
        sasl = command.sasl
        if sasl is not None and status != "+" and not sasl.told:
            sasl.told = True
            self.login(sasl.user, sasl.method, cleartext=sasl.cleartext, accepted=accepted, answer=answer,
                       packet_id=sasl.packet_id, ts_ns=sasl.ts_ns)  # fmt: skip
        elif command.name in ("PASS", "APOP"):
            plain = command.name == "PASS"
            self.login(command.user, "password" if plain else "APOP", cleartext=plain, accepted=accepted, answer=answer,
                       packet_id=command.packet_id, ts_ns=command.ts_ns)  # fmt: skip
        if command.number is not None and not command.continued:
            self.emit("pop3", (*self.begin(command.number, command.ts_ns), command.name, command.arg, status, said,
                               command.packet_id, self.said))  # fmt: skip

    def gap(self, client: bool) -> None:
        if not client and self._message is not None:
            self._message.gap()
        self._exchange.lose()

    def done(self) -> None:
        self._end_message(complete=False)
        self._exchange.lose()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> Pop3Session:
    """Opener for STREAMS."""
    return Pop3Session(ends, chunk, emit)
