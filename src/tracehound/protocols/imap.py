"""In: the ordered bytes of both directions of a flow. Out: IMAP commands with their answers as rows of table `imap`, logins as rows
of `logins`, parts of fetched mails as rows of `files`. Never here: a mail's structure (mime.py), or a password.

RFC 9051 and 3501 (IMAP4), 7888 (non-synchronizing literals), 4959 (initial responses). Answers carry the tag of their command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tracehound.limits import MAX_LITERAL_BYTES, MAX_TEXT_LINE_BYTES, MAX_TEXT_PIPELINE
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.lines import TextSession, words_of
from tracehound.protocols.mime import Message
from tracehound.protocols.sasl import Sasl
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_LITERAL: Final = re.compile(rb"~?\{(\d{1,12})\+?\}\r?\n\Z")
_WHOLE_MAIL: Final = re.compile(rb"(?:BODY\[\](?:<0>)?|RFC822(?:\.PEEK)?) ~?\{\d{1,12}\+?\}\r?\n\Z", re.IGNORECASE)
_COMMAND: Final = re.compile(rb"([^\s+*(){%\"\\]{1,64}) +(UID +[A-Za-z]{2,16}|[A-Za-z]{2,16})(?: +(.*))?", re.DOTALL | re.IGNORECASE)
_ANSWER: Final = re.compile(rb"([^\s+*(){%\"\\]{1,64}) (OK|NO|BAD)\b ?(.*)", re.DOTALL | re.IGNORECASE)
_ASTRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^\s"]+)', re.DOTALL)


@dataclass(slots=True)
class Command:
    number: int | None
    tag: str
    name: str
    arg: str | None
    packet_id: int
    ts_ns: int
    user: str | None = None
    sasl: Sasl | None = None


class ImapSession(TextSession):
    service = "imap"
    server_first = re.compile(rb"[*+]|\S{1,64} (?:OK|NO|BAD)\b", re.IGNORECASE)

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        super().__init__(ends, chunk, emit)
        self._commands: dict[str, Command] = {}
        self._answers: dict[str, tuple[str, str]] = {}
        self._sasl: Sasl | None = None
        self._line = b""
        self._kept = b""
        self._started = (0, 0)
        self._left = 0
        self._client_left = 0
        self._message: Message | None = None

    # -- client -------------------------------------------------------------------------------------------------------------
    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        if self._sasl is not None:
            if not self._sasl.response(line.rstrip(b"\r\n"), packet_id, ts_ns):
                self._sasl = None
            return
        if not self._line:
            self._started = packet_id, ts_ns
        literal = _LITERAL.search(line)
        if literal is None:
            whole, self._line = self._line + line, b""
            self._command(whole, *self._started)
            return
        # RFC 9051 4.3: a literal's bytes follow the line; here they go on in it as a quoted string.
        self._line = (self._line + line[: literal.start()])[:MAX_TEXT_LINE_BYTES]
        self._client_left, self._kept = int(literal.group(1)), b""
        self.client.raw = self._literal

    def _literal(self, data: bytes, at: int, chunk: Chunk) -> int:
        stop = min(len(data), at + self._client_left)
        self._kept += data[at : min(stop, at + MAX_LITERAL_BYTES - len(self._kept))]
        self._client_left -= stop - at
        if not self._client_left:
            self.client.raw = None
            quoted = re.sub(rb'(["\\])', rb"\\\1", self._kept)
            self._line = (self._line + b'"' + quoted + b'"')[:MAX_TEXT_LINE_BYTES]
        return stop

    def _command(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        found = _COMMAND.match(line.rstrip(b"\r\n"))
        if found is None:
            return
        name = re.sub(r" +", " ", words_of(found.group(2)).upper())
        rest = found.group(3) or b""
        command = Command(self.number("imap"), words_of(found.group(1)), name, words_of(rest) or None, packet_id, ts_ns)
        if name == "LOGIN":
            user = _ASTRING.match(rest)
            plain = re.sub(rb"\\(.)", rb"\1", user.group(1)) if user and user.group(1) is not None else user and user.group(2)
            command.user = words_of(plain or b"")
            command.arg = f"{command.user} <hidden>"
        elif name == "AUTHENTICATE":
            words = rest.split(None, 1)
            command.sasl = Sasl(words[0] if words else b"")
            command.arg = command.sasl.method
            if command.sasl.start(words[1] if len(words) > 1 else None, packet_id, ts_ns):
                self._sasl = command.sasl
        answer = self._answers.pop(command.tag, None)
        if answer is not None or len(self._commands) >= MAX_TEXT_PIPELINE:
            self._emit_row(command, answer)
        else:
            earlier = self._commands.pop(command.tag, None)
            if earlier is not None:
                self._emit_row(earlier, None)
            self._commands[command.tag] = command

    # -- server ---------------------------------------------------------------------------------------------------------------
    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        literal = _LITERAL.search(line)
        if literal is not None:
            self._left = int(literal.group(1))
            if self._left and _WHOLE_MAIL.search(line):
                self._message = Message(self.emit, self._open_file)
            self.server.raw = self._fetched if self._left else None
            return
        found = _ANSWER.match(line.rstrip(b"\r\n"))
        if found is None:
            return
        tag, answer = words_of(found.group(1)), (words_of(found.group(2)).upper(), words_of(found.group(3)))
        command = self._commands.pop(tag, None)
        if command is not None:
            self._emit_row(command, answer)
        elif len(self._answers) < MAX_TEXT_PIPELINE:
            self._answers[tag] = answer

    def _fetched(self, data: bytes, at: int, chunk: Chunk) -> int:
        stop = min(len(data), at + min(self._left, 65_536))
        if self._message is not None:
            self._message.add(data[at:stop], *chunk.segments.packet_at(chunk.offset + at))
        self._left -= stop - at
        if not self._left:
            self.server.raw = None
            self._end_message(complete=True)
        return stop

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

    # -- rows -------------------------------------------------------------------------------------------------------------------
    def _emit_row(self, command: Command, answer: tuple[str, str] | None) -> None:
        status, said = answer or (None, None)
        accepted = status == "OK" if status else None
        whole = f"{status} {said}".rstrip() if status else None
        sasl = command.sasl
        if sasl is not None:
            self.login(sasl.user, sasl.method, cleartext=sasl.cleartext, accepted=accepted, answer=whole,
                       packet_id=sasl.packet_id, ts_ns=sasl.ts_ns)  # fmt: skip
        elif command.name == "LOGIN":
            self.login(command.user, "password", cleartext=True, accepted=accepted, answer=whole,
                       packet_id=command.packet_id, ts_ns=command.ts_ns)  # fmt: skip
        if command.number is not None:
            self.emit("imap", (*self.begin(command.number, command.ts_ns), command.tag, command.name, command.arg, status, said,
                               command.packet_id, self.said))  # fmt: skip

    def gap(self, client: bool) -> None:
        if client:
            self.client.raw, self._line, self._sasl = None, b"", None
        else:
            self.server.raw = None
            if self._message is not None:
                self._message.gap()
            self._end_message(complete=False)

    def done(self) -> None:
        self._end_message(complete=False)
        for command in self._commands.values():
            self._emit_row(command, None)
        self._commands.clear()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> ImapSession:
    """Opener for STREAMS."""
    return ImapSession(ends, chunk, emit)
