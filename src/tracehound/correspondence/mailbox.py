"""In: the bytes of an mbox file, of one mail, or the mails of a Maildir. Out: messages with their text. Never here: opening files,
or what a message means for a case (mentions.py).

Sources: RFC 5322 (messages), RFC 4155 and the mboxrd convention (mbox), RFC 2045 to 2047 (MIME), read by the standard library's email
package under its most tolerant policy. Mail is hostile: sizes, depths and counts are bounded, and nothing of it is ever obeyed."""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message as Mail
from email.parser import BytesParser
from typing import Final

from tracehound import limits
from tracehound.protocols.mime import header_text

_FROM_LINE: Final = re.compile(rb"^From [^\r\n]{1,300}(?:19|20)\d{2}[^\r\n]{0,40}\r?$", re.MULTILINE)
_QUOTED_FROM: Final = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEADER_LINE: Final = re.compile(rb"(?:[!-9;-~]{1,60}:[^\r\n]*\r?\n|[ \t][^\r\n]*\r?\n){1,400}")
_ID: Final = re.compile(r"<([^<>\s]{1,400})>")
_TAG: Final = re.compile(r"<(?:style|script|head)\b.*?</(?:style|script|head)\s*>|<[^>]{0,2000}>", re.IGNORECASE | re.DOTALL)
_SUBJECT_MARK: Final = re.compile(r"^\s*(?:(?:re|aw|fw|fwd|sv|wg|antw)(?:\[\d+\])?:\s*|\[[^\]]{1,40}\]\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is no text of the message."""

    name: str
    kind: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. `key` is its Message-ID, or the SHA-256 of its bytes where it has none; `references` oldest first.

    note   what was missing or malformed; empty = clean"""

    key: str
    sent_ns: int | None
    sender: str
    recipients: tuple[str, ...]
    subject: str
    in_reply_to: str | None
    references: tuple[str, ...]
    text: str
    attachments: tuple[Attachment, ...]
    sha256: str
    note: str = ""


def is_mbox(head: bytes) -> bool:
    return _FROM_LINE.match(head) is not None


def is_mail(head: bytes) -> bool:
    """Header lines of which one is of the kind that every mail has."""
    found = _HEADER_LINE.match(head)
    if found is None:
        return False
    names = {line.split(b":", 1)[0].lower() for line in found[0].splitlines() if line[:1] not in b" \t"}
    return len(names & {b"from", b"date", b"subject", b"message-id", b"received", b"to", b"return-path", b"mime-version"}) >= 2


def split(data: bytes) -> Iterator[bytes]:
    """The mails of an mbox file. A line "From " that begins no mail (unquoted in a text) is told by the missing date or header."""
    starts = []
    for found in _FROM_LINE.finditer(data):
        before = data[max(found.start() - 2, 0) : found.start()]
        # RFC 4155: an empty line comes before it, except at the start.
        if (found.start() == 0 or before.endswith((b"\n\n", b"\r\n")) or before == b"\n") and _HEADER_LINE.match(
            data, found.end() + 1
        ):
            starts.append((found.start(), found.end() + 1))
    for i, (_, begin) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else len(data)
        yield _QUOTED_FROM.sub(rb"\1", data[begin:end]).rstrip(b"\r\n") + b"\n"


def message(data: bytes) -> Message:
    """One mail; never raises, whatever the bytes."""
    kept = data[: limits.MAX_MAIL_BYTES]
    digest = hashlib.sha256(data).hexdigest()
    notes = [] if len(kept) == len(data) else [f"longer than {limits.MAX_MAIL_BYTES:,} bytes: the rest was left out"]
    try:
        mail: Mail = BytesParser(policy=policy.compat32).parsebytes(kept)
        text, attachments = _contents(mail)
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError, AssertionError) as cause:
        # The standard library's parser promises not to raise and sometimes does.
        return Message(digest, None, "", (), "", None, (), kept.decode("utf-8", "replace"), (), digest, f"no readable mail: {cause}")
    ids = _ID.findall(_field(mail, "Message-ID")) or [digest]
    if ids == [digest]:
        notes.append("has no Message-ID")
    sent = _date_ns(_field(mail, "Date"))
    if sent is None:
        notes.append("has no readable Date")
    replied = _ID.findall(_field(mail, "In-Reply-To"))
    references = tuple(dict.fromkeys([*_ID.findall(_field(mail, "References")), *replied[:1]]))[-limits.MAX_RECIPIENTS :]
    return Message(
        ids[0], sent, header_text(_field(mail, "From")), tuple(_addresses(mail)), header_text(_field(mail, "Subject")),
        replied[0] if replied else None, references, text, attachments, digest, "; ".join(notes),
    )  # fmt: skip


def _field(mail: Mail, name: str) -> str:
    """A header field unfolded; bytes outside ASCII as the standard library gives them."""
    value = mail.get(name)
    return "" if value is None else re.sub(r"\r?\n[ \t]+", " ", str(value))[: limits.MAX_MAIL_HEADER_BYTES]


def _addresses(mail: Mail) -> list[str]:
    fields = [re.sub(r"\s+", " ", str(v)) for name in ("To", "Cc") for v in mail.get_all(name, [])]
    pairs = email.utils.getaddresses([f[: limits.MAX_MAIL_HEADER_BYTES] for f in fields])[: limits.MAX_RECIPIENTS]
    return [header_text(address) for _, address in pairs if address]


def _date_ns(text: str) -> int | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # RFC 5322 3.3: "-0000" says a time in UTC whose place is not told
        moment = moment.replace(tzinfo=datetime.UTC)
    try:
        return int(moment.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        return None


def _contents(mail: Mail) -> tuple[str, tuple[Attachment, ...]]:
    texts: list[str] = []
    rich: list[str] = []
    attachments: list[Attachment] = []
    for count, part in enumerate(mail.walk()):
        if count >= limits.MAX_MAIL_PARTS:
            break
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        kind = part.get_content_type()
        name = part.get_filename()
        if kind in ("text/plain", "text/html") and name is None and part.get_content_disposition() != "attachment":
            (texts if kind == "text/plain" else rich).append(_decoded(data, part.get_content_charset()))
        else:
            attachments.append(Attachment(header_text(name or ""), kind, len(data), hashlib.sha256(data).hexdigest()))
    if not texts and rich:
        texts = [html.unescape(_TAG.sub(" ", r)) for r in rich]
    return "\n".join(texts)[: limits.MAX_ENTRY_CHARACTERS], tuple(attachments)


def _decoded(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8")
    except (LookupError, UnicodeError):
        return data.decode("latin-1")


def bare_subject(subject: str) -> str:
    """A subject without "Re:", "Fwd:" and a list's name in brackets, as threads compare them."""
    return " ".join(_SUBJECT_MARK.sub("", subject).lower().split())
