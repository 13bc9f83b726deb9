"""In: the first bytes of a flow's two sides, and its ports. Out: the application protocol, as the rule engine recognises it.
Never here: parsing.

By content, as Suricata's patterns and probing parsers do (app-layer-*.c); a few protocols are looked for at their port only."""

from __future__ import annotations

import re
from typing import Final

FAILED: Final = "failed"
_ENOUGH: Final = 256
"""Bytes after which no pattern can match any more."""

_METHODS: Final = (
    b"GET|PUT|POST|HEAD|TRACE|OPTIONS|CONNECT|DELETE|PATCH|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|LOCK|UNLOCK|CHECKOUT|UNCHECKOUT|CHECKIN|"
    b"UPDATE|LABEL|REPORT|MKWORKSPACE|MKACTIVITY|MERGE|INVALID|VERSION-CONTROL|BASELINE-CONTROL"
)
SIP: Final = re.compile(
    rb"(?:(?:INVITE|ACK|BYE|CANCEL|REGISTER|OPTIONS|MESSAGE|SUBSCRIBE|NOTIFY|INFO|PRACK|UPDATE|REFER|PUBLISH) (?:sips?|tel):|SIP/2\.0 \d)"
)
"""RFC 3261 7: a request or a status line."""
_TLS: Final = rb"\x16\x03[\x00-\x04].."
TO_SERVER: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("http", re.compile(rb"(?:" + _METHODS + rb")[ \t]")),
    ("http2", re.compile(rb"PRI \* HTTP/2\.0\r\n")),
    ("tls", re.compile(_TLS + rb"[\x01\x02\x00]", re.S)),
    ("tls", re.compile(rb"..\x01(?:\x00\x02|\x03[\x00-\x03])", re.S)),
    ("tls", re.compile(rb"...?\x01\x03[\x00-\x03]", re.S)),
    ("ssh", re.compile(rb"SSH-")),
    ("smtp", re.compile(rb"(?:EHLO|HELO|QUIT)[ \r\n]", re.I)),
    ("ftp", re.compile(rb"(?:USER |PASS |PORT |EPRT |FEAT\r)", re.I)),
    ("smb", re.compile(rb"....[\xff\xfe]SMB", re.S)),
    ("dcerpc", re.compile(rb"\x05\x00[\x00-\x13]", re.S)),
    ("imap", re.compile(rb"[A-Za-z0-9]+ (?:CAPABILITY|LOGIN|STARTTLS|AUTHENTICATE|ID)\b", re.I)),
    ("pop3", re.compile(rb"(?:CAPA|AUTH|APOP|STLS)(?: [^\r\n]*)?\r\n", re.I)),
    ("sip", SIP),
    ("rdp", re.compile(rb"\x03\x00..[\x00-\xff]\xe0", re.S)),
    ("rfb", re.compile(rb"RFB \d{3}\.\d{3}\n")),
    ("irc", re.compile(rb"(?:NICK|USER|CAP) [^\r\n]+\r?\n(?:USER|NICK) ")),
    ("mqtt", re.compile(rb"\x10.{1,4}\x00[\x04\x06]MQ", re.S)),
    ("telnet", re.compile(rb"\xff[\xfb-\xfe].\xff", re.S)),
)  # fmt: skip
TO_CLIENT: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("sip", SIP),
    ("http", re.compile(rb"HTTP/(?:0\.9|1\.[01])")),
    ("tls", re.compile(_TLS + rb"\x02|\x15\x03[\x00-\x04]\x00\x02", re.S)),
    ("ssh", re.compile(rb"SSH-")),
    ("smb", re.compile(rb"....[\xff\xfe]SMB", re.S)),
    ("rfb", re.compile(rb"RFB \d{3}\.\d{3}\n")),
)  # fmt: skip


def by_content(head: bytes, to_server: bool) -> str | None:
    """The protocol that the first bytes of one side speak; None: nothing known (yet)."""
    for name, pattern in TO_SERVER if to_server else TO_CLIENT:
        if pattern.match(head):
            return name
    return None


def hopeless(head: bytes) -> bool:
    """Whether more bytes could still change the answer."""
    return len(head) >= _ENOUGH


def looks_like_dns(data: bytes) -> bool:
    """A plausible DNS header and question (RFC 1035 4.1)."""
    if len(data) < 12:
        return False
    questions = int.from_bytes(data[4:6], "big")
    answers = int.from_bytes(data[6:8], "big")
    if data[2] & 0x80 == 0 and not 0 < questions <= 32 and answers == 0:
        return False
    if questions > 256 or answers > 512:
        return False
    at = 12
    if questions:
        for _ in range(128):
            if at >= len(data):
                return False
            size = data[at]
            if size == 0:
                return at + 5 <= len(data)
            if size & 0xC0:
                return size & 0xC0 == 0xC0 and at + 6 <= len(data)
            at += 1 + size
        return False
    return True
