"""In: the ordered bytes of both directions of a flow. Out: mail transactions as rows of table `smtp`, their parts as rows of
`files`, logins as rows of `logins`. Never here: a message's own structure (mime.py), or a password.

RFC 5321 (SMTP), 3030 (BDAT), 2920 (pipelining), 4954 (AUTH), 3207 (STARTTLS), 2033 (LMTP). Either direction may be missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_RECIPIENTS
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.lines import Exchange, Replies, TextSession, words_of
from tracehound.protocols.mime import Dotted, Message, header_text
from tracehound.protocols.sasl import Sasl
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_COMMAND: Final = re.compile(
    rb"(?:HELO|EHLO|LHLO|MAIL FROM:|RCPT TO:|DATA\r?\n|BDAT \d|RSET\r?\n|QUIT\r?\n|NOOP|STARTTLS\r?\n|AUTH )", re.IGNORECASE)
_PATH: Final = re.compile(r"\s*<?([^<>\s]*)>?")
_RECEIVED_FROM: Final = re.compile(r"\bfrom\b.{0,300}?[\[(]((?:\d{1,3}\.){3}\d{1,3}|(?:IPv6:)?[0-9a-f:]{3,39})[\])]", re.IGNORECASE)


@dataclass(slots=True)
class Mail:
    number: int | None
    depth: int
    ts_ns: int
    packet_id: int
    mailfrom: str | None = None
    rcptto: list[str] = field(default_factory=list)
    message: Message | None = None
    last_reply: str | None = None
    complete: bool = False
    emitted: bool = False


class SmtpSession(TextSession):
    service = "smtp"

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        super().__init__(ends, chunk, emit)
        self._exchange = Exchange(self._paired)
        self._replies = Replies()
        self._helo: str | None = None
        self._mail: Mail | None = None
        self._open: list[Mail] = []
        self._depth = 0
        self._sasl: Sasl | None = None
        self._dotted = Dotted()
        self._after_data = False
        self._left = 0
        self._last_chunk = False
        self._first_reply = True
        self._last_reply: str | None = None
        self._first = (0, 0)

    # -- client -------------------------------------------------------------------------------------------------------------
    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        if not self._first[1]:
            self._first = packet_id, ts_ns
        if self._after_data:
            self._after_data = False
            if not _COMMAND.match(line):
                self._begin_body(line, packet_id, ts_ns)
                return
        if self._sasl is not None:
            if not _COMMAND.match(line):
                self._exchange.command(("continue", self._sasl))
                if not self._sasl.response(line.rstrip(b"\r\n"), packet_id, ts_ns):
                    self._sasl = None
                return
            self._sasl = None
        verb, _, rest = line.rstrip(b"\r\n").partition(b" ")
        name = verb.upper()[:12].decode("latin-1")
        act = _ACTS.get(name)
        if act is not None:
            act(self, rest, packet_id, ts_ns)
        else:
            self._exchange.command((name, self._mail))

    def _do_helo(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        self._helo = words_of(rest.strip()) or None
        self._exchange.command(("HELO", None))

    def _do_mail(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        self._finish_mail()
        self._depth += 1
        self._mail = Mail(self.number("smtp"), self._depth, ts_ns, packet_id, mailfrom=_address(rest))
        self._open.append(self._mail)
        self._exchange.command(("MAIL", self._mail))

    def _do_rcpt(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        mail = self._current(packet_id, ts_ns)
        if len(mail.rcptto) < MAX_RECIPIENTS:
            mail.rcptto.append(_address(rest))
        self._exchange.command(("RCPT", mail))

    def _do_data(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        self._exchange.command(("DATA", self._current(packet_id, ts_ns)))
        self._after_data = True

    def _do_bdat(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        """RFC 3030 2: BDAT chunk-size [LAST]."""
        words = rest.split()
        mail = self._current(packet_id, ts_ns)
        size = int(words[0]) if words and words[0].isdigit() and len(words[0]) <= 12 else 0
        self._last_chunk = len(words) > 1 and words[1].upper() == b"LAST"
        if mail.message is None:
            mail.message = self._new_message()
        self._exchange.command(("END" if self._last_chunk else "BDAT", mail))
        self._left = size
        self.client.raw = self._bdat if size else None
        if not size and self._last_chunk:
            self._end_message()

    def _do_rset(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        self._finish_mail()
        self._exchange.command(("RSET", None))

    def _do_auth(self, rest: bytes, packet_id: int, ts_ns: int) -> None:
        words = rest.split(None, 1)
        sasl = Sasl(words[0] if words else b"")
        self._exchange.command(("AUTH", sasl))
        if sasl.start(words[1] if len(words) > 1 else None, packet_id, ts_ns):
            self._sasl = sasl

    def _current(self, packet_id: int, ts_ns: int) -> Mail:
        """The transaction, also where its beginning is not in the evidence."""
        if self._mail is None:
            self._depth += 1
            self._mail = Mail(self.number("smtp"), self._depth, ts_ns, packet_id)
            self._open.append(self._mail)
        return self._mail

    # -- the message ----------------------------------------------------------------------------------------------------------
    def _open_file(self, name: str | None, kind: str | None, packet_id: int, ts_ns: int) -> CarriedFile | None:
        number = self.number("files")
        if number is None:
            return None
        return CarriedFile(
            self.ends, self.service, number, sent_by_src=True, ts_ns=ts_ns, packet_id=packet_id, name=name, declared_type=kind
        )

    def _new_message(self) -> Message:
        return Message(self.emit, self._open_file)

    def _begin_body(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        mail = self._current(packet_id, ts_ns)
        mail.message = self._new_message()
        self._dotted = Dotted()
        if not self._take_dotted(mail.message, line, 0, packet_id, ts_ns)[1]:
            self.client.raw = self._data

    def _take_dotted(self, message: Message, data: bytes, at: int, packet_id: int, ts_ns: int) -> tuple[int, bool]:
        body, at, over = self._dotted.take(data, at)
        if body:
            message.add(body, packet_id, ts_ns)
        if over:
            self._exchange.command(("END", self._mail))
            self._end_message()
        return at, over

    def _data(self, data: bytes, at: int, chunk: Chunk) -> int:
        mail = self._mail
        if mail is None or mail.message is None:
            self.client.raw = None
            return at
        at, over = self._take_dotted(mail.message, data, at, *chunk.segments.packet_at(chunk.offset + at))
        if over:
            self.client.raw = None
        return at

    def _bdat(self, data: bytes, at: int, chunk: Chunk) -> int:
        part = data[at : at + self._left]
        self._left -= len(part)
        if self._mail is not None and self._mail.message is not None:
            self._mail.message.add(part, *chunk.segments.packet_at(chunk.offset + at))
        if not self._left:
            self.client.raw = None
            if self._last_chunk:
                self._end_message()
        return at + len(part)

    def _end_message(self) -> None:
        mail, self._mail = self._mail, None
        if mail is not None and mail.message is not None:
            mail.complete = not any("missing" in n for n in self.notes)
            mail.message.close(complete=mail.complete)
            if not self._exchange.aligned:
                self._emit_mail(mail)

    def _finish_mail(self) -> None:
        """A transaction that ends without its message."""
        mail, self._mail = self._mail, None
        if mail is not None:
            if mail.message is not None:
                mail.message.close(complete=False)
            if not self._exchange.aligned:
                self._emit_mail(mail)

    # -- server -----------------------------------------------------------------------------------------------------------------
    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        if not self._first[1]:
            self._first = packet_id, ts_ns
        reply = self._replies.line(line)
        if reply is None:
            return
        code, text = reply
        self._last_reply = f"{code} {text}"
        # RFC 5321 4.3.1: the greeting answers no command.
        greeting, self._first_reply = self._first_reply and code in (220, 421, 554), False
        if not greeting:
            self._exchange.reply(reply)

    def _paired(self, command: tuple[str, object], reply: tuple[int, str] | None) -> None:
        name, about = command
        said = f"{reply[0]} {reply[1]}" if reply else None
        if isinstance(about, Mail):
            about.last_reply = said or about.last_reply
            if name == "END":
                self._emit_mail(about)
        elif isinstance(about, Sasl) and (reply is None or reply[0] != 334) and not about.told:
            about.told = True
            accepted = None if reply is None else reply[0] == 235
            self.login(about.user, about.method, cleartext=about.cleartext, accepted=accepted, answer=said,
                       packet_id=about.packet_id, ts_ns=about.ts_ns)  # fmt: skip

    # -- rows -------------------------------------------------------------------------------------------------------------------
    def gap(self, client: bool) -> None:
        mail = self._mail
        if client and mail is not None and mail.message is not None:
            mail.message.gap()
            if self.client.raw == self._bdat:
                # How much of the chunk is missing is not known here; commands cannot be found again inside it.
                self.client.raw = None
        self._exchange.lose()

    def _emit_mail(self, mail: Mail) -> None:
        if mail.emitted or mail.number is None:
            return
        mail.emitted = True
        m = mail.message
        notes = [*self.notes, *(m.notes if m else [])]

        def field_of(name: str) -> str | None:
            value = m.header(name) if m else None
            return header_text(value) if value is not None else None

        received = [header_text(v) for v in (m.headers.get("received", []) if m else [])[:30]]
        path = [self.ends.responder, self.ends.originator]
        path += [found.group(1).removeprefix("IPv6:") for r in received if (found := _RECEIVED_FROM.search(r))]
        self.emit(
            "smtp",
            (
                *self.begin(mail.number, mail.ts_ns), mail.depth, self._helo, mail.mailfrom, mail.rcptto, field_of("date"),
                field_of("from"), _addresses(m, "to"), _addresses(m, "cc"), field_of("reply-to"), field_of("message-id"),
                field_of("in-reply-to"), field_of("subject"), field_of("x-originating-ip"), received, path,
                field_of("user-agent") or field_of("x-mailer"), mail.last_reply, self.tls, m.bytes if m else None,
                m.sha256 if m else None, mail.complete, mail.packet_id, "; ".join(notes) or None,
            ),
        )  # fmt: skip

    def done(self) -> None:
        if self._mail is not None and self._mail.message is not None:
            self._mail.message.close(complete=False)
        self._exchange.lose()
        for mail in self._open:
            self._emit_mail(mail)
        if not self._open and self._first[1]:
            # A conversation in which no mail was given over is a row as well.
            packet_id, ts_ns = self._first
            mail = Mail(self.number("smtp"), 1, ts_ns, packet_id, last_reply=self._last_reply)
            self._emit_mail(mail)


_ACTS: Final[dict[str, Callable[[SmtpSession, bytes, int, int], None]]] = {
    "HELO": SmtpSession._do_helo, "EHLO": SmtpSession._do_helo, "LHLO": SmtpSession._do_helo, "MAIL": SmtpSession._do_mail,
    "RCPT": SmtpSession._do_rcpt, "DATA": SmtpSession._do_data, "BDAT": SmtpSession._do_bdat, "RSET": SmtpSession._do_rset,
    "AUTH": SmtpSession._do_auth,
}  # fmt: skip


def _address(rest: bytes) -> str:
    """RFC 5321 4.1.1.2: FROM:<path> [parameters]."""
    found = _PATH.match(words_of(rest.partition(b":")[2]))
    return found.group(1) if found else ""


def _addresses(message: Message | None, name: str) -> list[str]:
    """Addresses of To or Cc, separated by commas outside quotes."""
    value = message.header(name) if message else None
    if not value:
        return []
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"]|")+', value[:8_192])
    return [header_text(p.strip()) for p in parts if p.strip()][:MAX_RECIPIENTS]


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> SmtpSession:
    """Opener for STREAMS."""
    return SmtpSession(ends, chunk, emit)
