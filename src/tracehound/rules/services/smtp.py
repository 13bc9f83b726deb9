"""In: the lines of an SMTP connection. Out: one transaction a mail, with envelope, header fields, URLs and attachments.
Never here: rules. Details are those of Suricata's parser (app-layer-smtp.c, util-decode-mime.c)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import quopri
import re
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_RULE_FILE_BYTES
from tracehound.rules.services.http import magics
from tracehound.rules.services.service import COMPLETE, File, Service, Source, Transaction

ENVELOPE: Final = 1
HEADERS: Final = 2
BODY: Final = 3
_MAX_LINE: Final = 16_384
_COMMAND_LINE: Final = 512
_NAME: Final = re.compile(rb"""(?:file)?name\*?\s*=\s*(?:"([^"]*)"|([^;\s]+))""", re.I)
_BOUNDARY: Final = re.compile(rb"""boundary\s*=\s*(?:"([^"]*)"|([^;\s]+))""", re.I)
_URL: Final = re.compile(rb"(?:https?|ftp)://[^\s\"'<>)]+", re.I)
_FIELDS: Final = {
    "email.from": b"from", "email.subject": b"subject", "email.to": b"to", "email.cc": b"cc", "email.date": b"date",
    "email.message_id": b"message-id", "email.x_mailer": b"x-mailer",
}  # fmt: skip


@dataclass(slots=True)
class SmtpTransaction(Transaction):
    helo: bytes | None = None
    mail_from: bytes | None = None
    recipients: list[bytes] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    urls: list[bytes] = field(default_factory=list)
    command: bytes | None = None


def _field(name: bytes) -> Any:
    def get(tx: SmtpTransaction, _to_server: bool) -> bytes | None:
        return next((v for n, v in tx.headers if n.lower() == name), None)

    return get


SOURCES: Final[dict[str, Source]] = {
    "smtp.helo": Source(True, 0, lambda tx, _s: tx.helo),
    "smtp.mail_from": Source(True, ENVELOPE, lambda tx, _s: tx.mail_from),
    "smtp.rcpt_to": Source(True, ENVELOPE, lambda tx, _s: list(tx.recipients)),
    **{name: Source(True, HEADERS, _field(header)) for name, header in _FIELDS.items()},
    "email.received": Source(True, HEADERS, lambda tx, _s: [v for n, v in tx.headers if n.lower() == b"received"]),
    "email.url": Source(True, BODY, lambda tx, _s: list(tx.urls)),
    "file.data": Source(True, HEADERS, lambda tx, _s: [bytes(f.content) for f in tx.files if f.content] or None, grows=True),
    "file.magic": Source(True, HEADERS, magics, grows=True),
    "file.name": Source(True, HEADERS, lambda tx, _s: [f.name.encode("latin1", "replace") for f in tx.files if f.name] or None, grows=True),
}  # fmt: skip


_MIME_LINE: Final = 998
_MIME_NAME: Final = 75
_MIME_VALUE: Final = 2000
"""RFC 5322 2.1.1, and what Suricata takes for long (smtp-mime: header-value-depth)."""


class _Part:
    """A part of a mail being read: its header lines, then its content through its transfer encoding."""

    __slots__ = ("boundary", "encoding", "file", "head", "is_text", "kind", "rest")

    def __init__(self, boundary: bytes | None) -> None:
        self.boundary = boundary
        self.head: list[bytes] | None = []
        self.encoding = b""
        self.kind = b""
        self.file: File | None = None
        self.rest = b""
        self.is_text = True


class Smtp(Service):
    name = "smtp"
    sources = SOURCES
    events = (
        "invalid_reply", "unable_to_match_reply_with_request", "max_command_line_len_exceeded", "max_reply_line_len_exceeded",
        "tls_rejected", "data_command_rejected", "mime_long_boundary", "duplicate_fields",
        "no_server_welcome_message", "invalid_pipelined_sequence", "mime_invalid_base64", "mime_long_line", "mime_long_header_name",
        "mime_long_header_value",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._lines = [bytearray(), bytearray()]
        self._tx: SmtpTransaction | None = None
        self._helo: bytes | None = None
        self._in_data = False
        self._commands: list[bytes] = []
        self._welcomed = self._pipelining = False
        self._parts: list[_Part] = []
        self._left = 0

    def feed(self, to_server: bool, data: bytes) -> None:
        buffer = self._lines[to_server]
        buffer += data
        while True:
            if to_server and self._left:
                taken = bytes(buffer[: self._left])
                del buffer[: len(taken)]
                self._left -= len(taken)
                for line in taken.splitlines(keepends=True):
                    self._data_line(line)
                if not self._left:
                    self._end_mail()
                if not buffer:
                    return
                continue
            end = buffer.find(b"\n")
            if end < 0:
                if len(buffer) > _MAX_LINE:
                    buffer.clear()
                return
            line = bytes(buffer[: end + 1])
            del buffer[: end + 1]
            if self.stopped or self.upgrade is not None:
                buffer[:0] = line
                return
            if to_server:
                self._client_line(line)
            else:
                self._server_line(line)

    def rest(self) -> dict[bool, bytes]:
        """What was not read when the connection turned to TLS."""
        return {side: bytes(self._lines[side]) for side in (True, False) if self._lines[side]}

    def end(self, to_server: bool) -> None:
        if to_server and self._in_data:
            self._end_parts(0)
        super().end(to_server)

    def _current(self) -> SmtpTransaction:
        if self._tx is None or self._tx.done(True):
            self._tx = SmtpTransaction(self.count)
            self.count += 1
            self._tx.helo = self._helo
            self.transactions.append(self._tx)
        return self._tx

    # -- commands and replies ---------------------------------------------------------------------------------------------

    def _client_line(self, line: bytes) -> None:
        if self._in_data:
            self._message_line(line)
            return
        tx = self._current()
        text = line.rstrip(b"\r\n")
        if len(text) > _COMMAND_LINE:
            tx.event("max_command_line_len_exceeded", True)
        word = text[:4].upper()
        if not self._welcomed and word in (b"EHLO", b"HELO"):
            tx.event("no_server_welcome_message", True)
            self._welcomed = True
        if self._commands and not self._pipelining and self._commands[-1][:4] in (b"EHLO", b"HELO"):
            # RFC 2920 3.1: these must be the last command of a group.
            tx.event("invalid_pipelined_sequence", True)
        tx.command = text
        self._commands.append(text[:8].upper())
        if word in (b"EHLO", b"HELO"):
            self._helo = tx.helo = text[5:].strip()
            self.wants_raw.add(True)
        elif text[:10].upper() == b"MAIL FROM:":
            if tx.mail_from is not None:
                tx.event("duplicate_fields", True)
            tx.mail_from = text[10:].strip().split(b" ", 1)[0]
            tx.progress[1] = max(tx.progress[1], ENVELOPE)
        elif text[:8].upper() == b"RCPT TO:":
            tx.recipients.append(text[8:].strip().split(b" ", 1)[0])
            tx.progress[1] = max(tx.progress[1], ENVELOPE)
        elif word == b"DATA":
            self._in_data = True
            self._parts = [_Part(None)]
            self.wants_raw.add(True)
        elif word == b"BDAT":
            found = re.match(rb"BDAT\s+(\d+)", text, re.I)
            if found:
                self._left = int(found.group(1)[-9:])
                self._parts = [_Part(None)]
        elif word == b"RSET":
            tx.progress[1] = COMPLETE
            tx.progress[0] = COMPLETE
        elif word == b"QUIT":
            self.wants_raw.add(True)
        if len(self._commands) > 20_000:
            self._commands.clear()

    def _server_line(self, line: bytes) -> None:
        tx = self._tx
        text = line.rstrip(b"\r\n")
        if len(text) > _COMMAND_LINE and tx is not None:
            tx.event("max_reply_line_len_exceeded", False)
        code = text[:3]
        if not code.isdigit():
            if tx is None:
                tx = self._current()
            tx.event("invalid_reply", False)
            return
        if text[4:].upper().startswith(b"PIPELINING"):
            self._pipelining = True
        if text[3:4] == b"-":
            return
        if not self._welcomed:
            self._welcomed = True
            if code == b"220":
                return
        command = self._commands.pop(0) if self._commands else None
        if command is None:
            if code != b"421":
                # RFC 5321 4.2.1: 421 may come unasked.
                self._current().event("unable_to_match_reply_with_request", False)
            return
        if command.startswith(b"STARTTLS"):
            if code == b"220":
                self.upgrade = "tls"
                if tx is not None:
                    tx.progress = [COMPLETE, COMPLETE]
            elif tx is not None:
                tx.event("tls_rejected", False)
        elif command.startswith(b"DATA") and code != b"354" and tx is not None:
            tx.event("data_command_rejected", False)
            if self._in_data and code[:1] in (b"4", b"5"):
                self._in_data = False

    # -- the mail -----------------------------------------------------------------------------------------------------------

    def _message_line(self, line: bytes) -> None:
        if line.rstrip(b"\r\n") == b".":
            self._in_data = False
            self._commands.append(b".")
            self._end_mail()
            return
        self._data_line(line[1:] if line.startswith(b"..") else line)

    def _end_mail(self) -> None:
        self._end_parts(0)
        tx = self._current()
        tx.progress[1] = COMPLETE
        tx.progress[0] = COMPLETE
        self.wants_raw.add(True)

    def _end_parts(self, depth: int) -> None:
        while len(self._parts) > depth:
            part = self._parts.pop()
            self._content(part, b"", last=True)
            if part.file is not None:
                part.file.done = True

    def _data_line(self, line: bytes) -> None:
        tx = self._current()
        if len(line.rstrip(b"\r\n")) > _MIME_LINE:
            tx.event("mime_long_line", True)
        tx.progress[1] = max(tx.progress[1], ENVELOPE)
        if line.startswith(b"--"):
            for depth in range(len(self._parts) - 1, -1, -1):
                boundary = self._parts[depth].boundary
                if boundary is not None and self._parts[depth].head is None and line[2:].startswith(boundary):
                    self._end_parts(depth + 1)
                    if line[2 + len(boundary) :].startswith(b"--"):
                        self._parts[depth].boundary = None
                    else:
                        self._parts.append(_Part(None))
                    return
        if not self._parts:
            return
        part = self._parts[-1]
        if part.head is not None:
            if not line.strip(b"\r\n"):
                self._headers_end(tx, part)
            elif line[:1] in (b" ", b"\t") and part.head:
                part.head[-1] += line
            elif len(part.head) < 1000:
                part.head.append(line)
            return
        self._content(part, line, last=False)

    def _headers_end(self, tx: SmtpTransaction, part: _Part) -> None:
        fields = []
        for line in part.head or []:
            name, colon, value = line.partition(b":")
            if len(name) > _MIME_NAME:
                tx.event("mime_long_header_name", True)
            if len(value) > _MIME_VALUE:
                tx.event("mime_long_header_value", True)
            if colon:
                fields.append((name.strip(), re.sub(rb"\r?\n[ \t]+", b" ", value.strip(b" \t\r\n")).strip()))
        part.head = None
        if len(self._parts) == 1:
            tx.headers = fields
            tx.progress[1] = max(tx.progress[1], HEADERS)
        disposition = kind = b""
        for name, value in fields:
            low = name.lower()
            if low == b"content-transfer-encoding":
                part.encoding = value.lower()
            elif low == b"content-type":
                kind = value
            elif low == b"content-disposition":
                disposition = value
        part.kind = kind.lower()
        if part.kind.startswith(b"multipart/"):
            found = _BOUNDARY.search(kind)
            if found:
                part.boundary = found.group(1) if found.group(1) is not None else found.group(2)
                if len(part.boundary) > 254:
                    tx.event("mime_long_boundary", True)
                    part.boundary = part.boundary[:254]
            return
        named = _NAME.search(disposition) or _NAME.search(kind)
        title = ((named.group(1) if named.group(1) is not None else named.group(2)) if named else b"").decode("latin1")
        attached = bool(title) or disposition.lower().startswith(b"attachment")
        part.is_text = not attached and (not part.kind or part.kind.startswith((b"text/", b"message/")))
        if attached or (part.kind and not part.is_text) or part.encoding == b"base64" or part.is_text:
            part.file = File(title, True)
            tx.files.append(part.file)

    def _content(self, part: _Part, line: bytes, *, last: bool) -> None:
        if part.head is not None or part.boundary is not None:
            return
        data = part.rest + line
        part.rest = b""
        if part.encoding == b"base64":
            if re.search(rb"[^A-Za-z0-9+/=\s]", data) and self._tx is not None:
                self._tx.event("mime_invalid_base64", True)
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
            keep = 0 if last else len(letters) % 4
            part.rest = letters[len(letters) - keep :] if keep else b""
            letters = letters[: len(letters) - keep]
            if len(letters) % 4 == 1:
                letters = letters[:-1]
            try:
                data = base64.b64decode(letters + b"=" * (-len(letters) % 4))
            except binascii.Error:
                data = b""
        elif part.encoding == b"quoted-printable":
            data = quopri.decodestring(data)
        elif not last:
            # RFC 2046 5.1.1: the line break before a boundary belongs to the boundary.
            text = data.rstrip(b"\r\n")
            cut = max(len(text), len(data) - (2 if data.endswith(b"\r\n") else 1))
            data, part.rest = data[:cut], data[cut:]
        else:
            data = b""
        if not data:
            return
        if part.file is not None:
            _grow(part.file, data)
        if part.is_text and self._tx is not None:
            self._tx.urls += _URL.findall(data)[:100]

    def summary(self, tx: SmtpTransaction) -> dict[str, Any] | None:
        """Suricata's `smtp` and `email` objects."""
        smtp: dict[str, Any] = {}
        if tx.helo is not None:
            smtp["helo"] = tx.helo.decode("latin1")
        if tx.mail_from is not None:
            smtp["mail_from"] = tx.mail_from.decode("latin1")
        if tx.recipients:
            smtp["rcpt_to"] = [r.decode("latin1") for r in tx.recipients]
        out: dict[str, Any] = {"smtp": smtp}
        email: dict[str, Any] = {}
        for key, name in (("from", b"from"), ("subject", b"subject")):
            value = _field(name)(tx, True)
            if value is not None:
                email[key] = value.decode("utf-8", "replace")
        for key in ("to", "cc"):
            value = _field(key.encode())(tx, True)
            if value is not None:
                email[key] = [v.strip() for v in value.decode("utf-8", "replace").split(",")]
        names = [f.name for f in tx.files if f.name]
        if names:
            email["attachment"] = names
        if email:
            out["email"] = email
        return out


def _grow(file: File, data: bytes) -> None:
    if not file.hashes:
        file.hashes = {name: hashlib.new(name) for name in ("md5", "sha1", "sha256")}
    for digest in file.hashes.values():
        digest.update(data)
    file.size += len(data)
    if len(file.content) < MAX_RULE_FILE_BYTES:
        file.content += data[: MAX_RULE_FILE_BYTES - len(file.content)]
