"""In: rules. Out: for each the bytes that must stand in the raw payload of its flow if it is to match, where there are such.
Never here: scanning (scan.py).

A buffer is not always bytes of the payload, so a literal is projected: what a buffer normalises is cut away until a part is
left that stands there as it was sent, or in one of the decoded texts that scan.py adds (URIs without escapes, bodies without
codings). The longest and rarest part is taken, never a run of one byte: what decides the speed is how seldom it is found."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from tracehound.rules.rule import Content, Group, Rule

MAX_LITERAL_BYTES: Final = 24
"""Bytes of a literal that are looked for; more of them find nothing less."""


class Literal(NamedTuple):
    """data is in lower case where nocase."""

    data: bytes
    nocase: bool


_COMMON: Final = (
    b'get post head http/1.1 http/1.0 \r\nhost: www. .com .net .org .php?id= .html .asp .exe index.html mozi'
    b'lla/4.0 (compatible; msie 6.0; windows nt 5.1; sv1) mozilla/5.0 (windows nt 6.1; wow64) applewebkit/'
    b'537.36 (khtml, like gecko) chrome/ safari/537.36 firefox/ gecko/20100101 trident/ .net clr \r\nuser-ag'
    b'ent: \r\naccept: */* text/html,application/xhtml+xml,application/xml;q=0.9 \r\naccept-language: en-us,en'
    b';q=0.5 \r\naccept-encoding: gzip, deflate \r\nconnection: keep-alive close \r\nreferer: http:// https:// \r'
    b'\ncookie: \r\ncontent-type: application/x-www-form-urlencoded text/html text/plain application/octet-st'
    b'ream image/gif image/jpeg application/json charset=utf-8 iso-8859-1 \r\ncontent-length: \r\ncache-contro'
    b'l: no-cache no-store max-age=0 must-revalidate \r\npragma: no-cache \r\nserver: apache microsoft-iis ngi'
    b'nx \r\ndate: gmt \r\nlast-modified: \r\netag: \r\nexpires: \r\ntransfer-encoding: chunked \r\nset-cookie: path=/'
    b' http/1.1 200 ok\r\n 302 found 301 moved permanently 404 not found 304 not modified 403 forbidden loca'
    b'tion: \r\n\r\n <html> <head> <body> <title> <script language=javascript> </script> type="text/javascript'
    b'" <!doctype function( document.write var window.location unescape( .length .replace( string.fromchar'
    b'code <object classid="clsid: <applet <iframe <div style=" <a href=" <img src=" this program cannot b'
    b'e run in dos mode pe\x00\x00 mz ehlo helo mail from: rcpt to: data quit user pass 220 250 ok \xffsmb \x00\x00\x00\x00 \xff\xff\xff'
    b'\xff private jmp user nick join privmsg :// boundary= content-disposition: form-data; name=" applicatio'
    b'n/x- filename= %pdf- obj endobj stream endstream /javascript accept: application/ method=" value=" a'
    b'ction=" sql select from union where insert into delete update set and or '
)
_PADDING: Final = frozenset(b"\x00\xff \x20\x90")
_SEPARATORS: Final = re.compile(rb"(: |\r\n|, )")


def _byte_bits() -> list[float]:
    """How much a byte says, in bits: frequent bytes of text and of binary protocols say little."""
    bits = [7.0] * 256
    for byte in b"etaoinsrhldcumfpgwybvk":
        bits[byte] = 4.5
        bits[byte - 32] = 5.5
    for byte in b"0123456789/.=-_ ":
        bits[byte] = 4.5
    for byte in (0, 1, 2, 3, 4, 13, 10, 255, 32, 144):
        bits[byte] = 2.5
    return bits


_BITS: Final = _byte_bits()


@lru_cache(maxsize=1 << 16)
def weight(data: bytes) -> float:
    """How rare a literal is to be expected, in bits."""
    if not data:
        return 0.0
    if len(set(data)) == 1:
        # Runs of padding stand everywhere; of a letter, hardly anywhere.
        return 0.0 if len(data) < 4 or (data[0] in _PADDING and (len(data) < 8 or data[0] != 0x90)) else 8.0
    total = sum(_BITS[b] for b in data[:MAX_LITERAL_BYTES])
    # Repeated pairs say little the second time.
    distinct = len({data[k : k + 2] for k in range(len(data) - 1)}) or 1
    total *= min(1.0, (distinct + 1) / len(data[:MAX_LITERAL_BYTES]))
    low = data.lower()
    if low in _COMMON:
        total *= 0.25
    elif len(low) > 6 and any(low[k : k + len(low) - 2] in _COMMON for k in (0, 1, 2)):
        total *= 0.6
    return total


def _same(content: Content) -> list[Literal]:
    return [Literal(content.pattern, content.nocase)]


def _pieces(content: Content) -> list[Literal]:
    """Header text: what is between separators that are sent in more than one way."""
    return [Literal(p, content.nocase) for p in _SEPARATORS.split(content.pattern) if p and not _SEPARATORS.fullmatch(p)]


def _folded(content: Content) -> list[Literal]:
    return [Literal(content.pattern, True)]


def _path(content: Content) -> list[Literal]:
    return [Literal(content.pattern, content.nocase)]


def _labels(content: Content) -> list[Literal]:
    """Names of the DNS: a dot is a length byte there."""
    return [Literal(p, True) for p in content.pattern.split(b".") if p]


def _name_parts(content: Content) -> list[Literal]:
    """Distinguished names: the words behind `CN=` and between commas."""
    return [Literal(p, content.nocase) for p in re.split(rb"[A-Za-z]+=|, |\\", content.pattern) if p]


def _word(content: Content) -> list[Literal]:
    return [Literal(p, content.nocase) for p in content.pattern.replace(b"\\", b"/").split(b"/") if p]


def _nothing(_content: Content) -> list[Literal]:
    return []


PROJECTIONS: Final[dict[str, Callable[[Content], list[Literal]]]] = {
    "payload": _same, "raw_data": _same,
    "http.uri": _path, "http.uri.raw": _same, "http.method": _same, "http.protocol": _same, "http.request_line": _same,
    "http.request_body": _same, "http.response_body": _same, "file.data": _same,
    "http.header": _pieces, "http.header.raw": _same, "http.header_names": _pieces, "http.request_header": _pieces,
    "http.response_header": _pieces, "http.start": _pieces,
    **{
        f"http.{n}": _pieces for n in (
            "cookie", "cookie.raw", "user_agent", "referer", "accept", "accept_enc", "accept_lang", "connection", "content_type",
            "content_len", "location", "server",
        )
    },
    "http.host": _folded, "http.host.raw": _same,
    "http.stat_code": _same, "http.stat_msg": _same, "http.response_line": _same,
    "file.name": _word,
    **dict.fromkeys(("dns.query", "dns.query.name", "dns.queries.rrname", "dns.answers.rrname", "dns.answer.name"), _labels),
    "tls.sni": _folded, "tls.alpn": _same, "tls.cert_subject": _name_parts, "tls.cert_issuer": _name_parts,
    "ssh.proto": _same, "ssh.software": _same,
    "smtp.helo": _same, "smtp.mail_from": _same, "smtp.rcpt_to": _same,
    "email.from": _nothing, "email.subject": _nothing, "email.to": _nothing,
    "ftp.command": _folded, "ftp.command_data": _same, "ftp.reply": _same,
    "sip.method": _same, "sip.uri": _same, "sip.request_line": _same, "sip.stat_code": _same, "sip.stat_msg": _same,
    "sip.response_line": _same, "sip.protocol": _same,
    "snmp.community": _same, "rfb.name": _same,
}  # fmt: skip
"""How the contents of a buffer stand in the payload; buffers that are not here cannot be looked for there."""

_KEEP: Final = {"to_lowercase", "to_uppercase", "header_lowercase"}


def _candidates(group: Group) -> list[Literal]:
    project = PROJECTIONS.get(group.buffer.name)
    if project is None or group.absent == "or_else":
        return []
    names = {t.name for t in group.transforms}
    folded = bool(names & _KEEP)
    dotted = "dotprefix" in names
    if names - _KEEP - {"dotprefix"}:
        return []
    out: list[Literal] = []
    for step in group.steps:
        if not isinstance(step, Content) or step.negated:
            continue
        for data, nocase in project(step):
            whole = data
            if dotted and whole.startswith(b"."):
                whole = whole[1:]
            if not whole:
                continue
            out.append(Literal(whole.lower(), True) if nocase or folded else Literal(whole, False))
    return out


def best_window(literal: Literal) -> Literal:
    """The part of a long literal that is looked for: its rarest."""
    data = literal.data
    if len(data) <= MAX_LITERAL_BYTES:
        return literal
    last = len(data) - MAX_LITERAL_BYTES
    places = range(0, last + 1, max(1, last // 6))
    best = max(places, key=lambda k: (weight(data[k : k + MAX_LITERAL_BYTES]), -k))
    return Literal(data[best : best + MAX_LITERAL_BYTES], literal.nocase)


LEAST_BITS: Final = 4.0
"""Weight below which a literal is of no use: it would be found everywhere."""


def literals_of(rule: Rule) -> list[Literal]:
    """All literals of a rule that must stand in the payload, the rarest first."""
    # SMB writes names in UTF-16: no rule that may speak of it is looked for by the name of a file.
    wide = (not rule.header.protocol.service and not rule.services) or "smb" in (rule.header.protocol.service, *rule.services)
    named = {c for group in rule.groups if group.buffer.name == "file.name" for c in _candidates(group) if weight(c.data)}
    found = {c for group in rule.groups if group.buffer.name != "file.name" for c in _candidates(group) if weight(c.data)}
    # The request names the file, the response brings it: one side need not say both.
    if not found and not wide:
        found = named
    return sorted((best_window(c) for c in found), key=lambda c: (-weight(c.data), c.data))


def payload_literal(rule: Rule) -> Literal | None:
    """The rarest literal that a rule asks of the payload itself."""
    found = [
        Literal(s.pattern.lower() if s.nocase else s.pattern, s.nocase)
        for g in rule.groups if g.buffer.name == "payload" and not g.transforms
        for s in g.steps if isinstance(s, Content) and not s.negated and s.pattern
    ]  # fmt: skip
    return max(found, key=lambda c: (weight(c.data), len(c.data)), default=None)


def chosen(rule: Rule) -> tuple[Literal | None, list[Literal]]:
    """The literal that a rule is looked for by, None where it has none that is rare enough, and its other literals."""
    found = literals_of(rule)
    if found and weight(found[0].data) >= LEAST_BITS:
        return found[0], found[1:]
    return None, found


def expression(literal: Literal) -> bytes:
    """The literal as Hyperscan reads it."""
    return b"".join(b"\\x%02x" % b for b in literal.data)


_NOT_MORE_BYTES: Final = re.compile(rb"\(\?(?:[>(|#]|[0-9+R&]|P>|[a-zA-Z-]*\))|\(\*|\\[GRXCQEK]|[*+?}]\+")
_PART: Final = re.compile(rb"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:<?[!=])?|.", re.S)
_ENDS: Final = frozenset((b"^", b"$", b"\\A", b"\\z", b"\\Z", b"\\b", b"\\B"))
_LOOKS: Final = frozenset((b"(?!", b"(?<!", b"(?<="))
_MANY: Final = frozenset((b"*", b"+", b"?", b"{"))


def without_ends(pattern: bytes, *, starts: bool = False) -> bytes | None:
    """An expression without what asks for the ends of the bytes or of words, or for what must not stand there, so that it matches
    within more bytes wherever it did; None where other parts of it may stop matching when there are more bytes. starts: `^` and
    `\\A` are left, as the bytes begin where they did."""
    parts = _PART.findall(pattern)
    if _NOT_MORE_BYTES.search(b"".join(b"." if p[:1] == b"[" else p if p != b"\\\\" else b"." for p in parts)):
        return None
    out: list[bytes] = []
    k = 0
    while k < len(parts):
        part, begin = parts[k], k
        k += 1
        if part in _LOOKS:
            depth = 1
            while depth and k < len(parts):
                depth += (parts[k][:1] == b"(") - (parts[k] == b")")
                k += 1
            if depth or b"(" in parts[begin + 1 : k]:
                return None
        elif part not in _ENDS or (starts and part in (b"^", b"\\A")):
            out.append(part)
            continue
        if k < len(parts) and parts[k] in _MANY:
            return None
    return b"".join(out)
