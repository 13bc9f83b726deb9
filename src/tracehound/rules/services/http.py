"""In: the bytes of an HTTP/1 connection, side by side. Out: transactions with the buffers that rules name.
Never here: rules.

What libhtp and Suricata's layer over it do (htp_request.c, htp_response.c, htp_util.c, app-layer-htp.c): lines end with LF,
folded lines are joined, header values that occur twice are joined by a comma, a response without a request gets one of its
own, bodies are inspected up to a limit and after their codings were taken off."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_HTTP_HEADERS, MAX_HTTP_LINE_BYTES, MAX_RULE_BODY_BYTES, MAX_RULE_FILE_BYTES
from tracehound.rules.magic import magic
from tracehound.rules.services.service import COMPLETE, File, Service, Source, Transaction
from tracehound.rules.services.uri import hostname, normalised

LINE: Final = 1
HEADERS: Final = 2
BODY: Final = 3

METHODS: Final = frozenset((
    b"GET PUT POST HEAD TRACE OPTIONS CONNECT DELETE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK CHECKOUT UNCHECKOUT "
    b"CHECKIN UPDATE LABEL REPORT MKWORKSPACE MKACTIVITY MERGE INVALID VERSION-CONTROL BASELINE-CONTROL"
).split())  # fmt: skip

Header = tuple[bytes, bytes]


class Body:
    """A message's body as it is inspected: decoded, up to the limit."""

    __slots__ = ("_left", "_steps", "broken", "data", "size", "wire")

    def __init__(self, codings: list[bytes]) -> None:
        self.data = bytearray()
        self.size = 0
        self.wire = 0
        self.broken = False
        self._steps: list[Any] = [_decoder(c) for c in codings]

    def add(self, data: bytes) -> bytes:
        """Take bytes of the message; returns what they decode to."""
        self.wire += len(data)
        for k, step in enumerate(self._steps):
            if step is None:
                continue
            try:
                data = step.decompress(data, 16 * MAX_RULE_BODY_BYTES)
            except (zlib.error, ValueError, EOFError, OSError):
                if k == 0 and self.size == 0 and isinstance(step, _Deflate) and step.other():
                    try:
                        data = step.decompress(data, 16 * MAX_RULE_BODY_BYTES)
                        continue
                    except zlib.error:
                        pass
                # libhtp: what cannot be decompressed is passed on as it is.
                self.broken = True
                self._steps[k] = None
        self.size += len(data)
        if len(self.data) < MAX_RULE_BODY_BYTES:
            self.data += data[: MAX_RULE_BODY_BYTES - len(self.data)]
        return data


class _Deflate:
    """zlib or raw deflate: both are sent as "deflate"."""

    def __init__(self, window: int) -> None:
        self._z = zlib.decompressobj(window)
        self._raw = window < 0

    def other(self) -> bool:
        if self._raw:
            return False
        self._z, self._raw = zlib.decompressobj(-zlib.MAX_WBITS), True
        return True

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._z.decompress(data, limit)


class _Gzip:
    def __init__(self) -> None:
        self._z = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._z.decompress(data, limit)


class _Lzma:
    def __init__(self) -> None:
        import lzma

        self._z = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=1 << 20)

    def decompress(self, data: bytes, limit: int) -> bytes:
        import lzma

        try:
            return self._z.decompress(data, limit)
        except lzma.LZMAError as problem:
            raise ValueError(str(problem)) from problem


def _decoder(name: bytes) -> Any:
    if name in (b"gzip", b"x-gzip"):
        return _Gzip()
    if name in (b"deflate", b"x-deflate"):
        return _Deflate(zlib.MAX_WBITS)
    if name in (b"lzma", b"x-lzma"):
        return _Lzma()
    return None


@dataclass(slots=True)
class Message:
    """One side of a transaction."""

    line: bytes = b""
    raw_headers: bytearray = field(default_factory=bytearray)
    headers: list[Header] = field(default_factory=list)
    body: Body | None = None
    body_started: bool = False

    def value(self, name: bytes) -> bytes | None:
        """The value of a header, several joined as libhtp joins them; None where it is absent."""
        found = [v for n, v in self.headers if n.lower() == name]
        return b", ".join(found) if found else None


@dataclass(slots=True)
class HttpTransaction(Transaction):
    request: Message = field(default_factory=Message)
    response: Message = field(default_factory=Message)
    method: bytes | None = None
    uri: bytes | None = None
    normal_uri: bytes | None = None
    protocol: bytes | None = None
    status_protocol: bytes | None = None
    status: bytes | None = None
    reason: bytes | None = None
    unseen_request: bool = False
    host: bytes | None = None
    boundary: bytes | None = None
    continued: bool = False

    def message(self, to_server: bool) -> Message:
        return self.request if to_server else self.response


# -- buffers ----------------------------------------------------------------------------------------------------------


def _header_block(tx: HttpTransaction, to_server: bool) -> bytes | None:
    """http.header: every header but the cookie as `name: value`, and an empty line."""
    message = tx.message(to_server)
    if not message.headers:
        return None
    cookie = b"cookie" if to_server else b"set-cookie"
    lines = [n + b": " + v + b"\r\n" for n, v in joined(message.headers) if n.lower() != cookie]
    return b"".join(lines) + b"\r\n" if lines else None


def joined(headers: list[Header]) -> list[Header]:
    """Headers of the same name as libhtp keeps them: one, in the place of the first, its values joined by a comma."""
    if len({n.lower() for n, _ in headers}) == len(headers):
        return headers
    out: dict[bytes, Header] = {}
    for name, value in headers:
        key = name.lower()
        if key in out:
            out[key] = (out[key][0], out[key][1] + b", " + value)
        else:
            out[key] = (name, value)
    return list(out.values())


def _header_names(tx: HttpTransaction, to_server: bool) -> bytes | None:
    headers = joined(tx.message(to_server).headers)
    if not headers:
        return None
    return b"\r\n" + b"".join(n + b"\r\n" for n, _ in headers) + b"\r\n"


def _start(tx: HttpTransaction, to_server: bool) -> bytes | None:
    message = tx.message(to_server)
    if not message.line:
        return None
    return message.line + b"\r\n" + bytes(message.raw_headers)


def _value(name: bytes) -> Any:
    def get(tx: HttpTransaction, to_server: bool) -> bytes | None:
        return tx.message(to_server).value(name)

    return get


def _host(tx: HttpTransaction, _to_server: bool) -> bytes | None:
    return tx.host


def _body(tx: HttpTransaction, to_server: bool) -> bytes | None:
    body = tx.message(to_server).body
    return bytes(body.data) if body is not None and body.data else None


def _header_list(tx: HttpTransaction, to_server: bool) -> list[bytes]:
    return [n + b": " + v for n, v in joined(tx.message(to_server).headers)]


def _file_data(tx: HttpTransaction, to_server: bool) -> Any:
    if not to_server:
        return _body(tx, False)
    return [bytes(f.content) for f in tx.files if f.to_server and f.content] or None


def _file_names(tx: HttpTransaction, to_server: bool) -> list[bytes] | None:
    return [f.name.encode("latin1", "replace") for f in tx.files if f.to_server == to_server and f.name] or None


def magics(tx: Transaction, to_server: bool) -> list[bytes] | None:
    """file.magic: what libmagic calls each file."""
    return [magic(bytes(f.content)).encode() for f in tx.files if f.to_server == to_server and f.content] or None


def _attribute(name: str) -> Any:
    return lambda tx, _to_server: getattr(tx, name)


def _stat_line(tx: HttpTransaction, _to_server: bool) -> bytes | None:
    return tx.response.line or None


SOURCES: Final[dict[str, Source]] = {
    "http.uri": Source(True, LINE, _attribute("normal_uri")),
    "http.uri.raw": Source(True, LINE, _attribute("uri")),
    "http.method": Source(True, LINE, _attribute("method")),
    "http.request_line": Source(True, LINE, lambda tx, _s: tx.request.line or None),
    "http.protocol": Source(None, LINE, lambda tx, s: tx.protocol if s else tx.status_protocol),
    "http.header": Source(None, HEADERS, _header_block),
    "http.header.raw": Source(None, HEADERS, lambda tx, s: bytes(tx.message(s).raw_headers) or None),
    "http.header_names": Source(None, HEADERS, _header_names),
    "http.start": Source(None, HEADERS, _start),
    "http.cookie": Source(None, HEADERS, lambda tx, s: tx.message(s).value(b"cookie" if s else b"set-cookie")),
    "http.user_agent": Source(True, HEADERS, _value(b"user-agent")),
    "http.host": Source(True, HEADERS, _host),
    "http.host.raw": Source(True, HEADERS, _value(b"host")),
    "http.referer": Source(True, HEADERS, _value(b"referer")),
    "http.accept": Source(True, HEADERS, _value(b"accept")),
    "http.accept_enc": Source(True, HEADERS, _value(b"accept-encoding")),
    "http.accept_lang": Source(True, HEADERS, _value(b"accept-language")),
    "http.connection": Source(None, HEADERS, _value(b"connection")),
    "http.content_type": Source(None, HEADERS, _value(b"content-type")),
    "http.content_len": Source(None, HEADERS, _value(b"content-length")),
    "http.location": Source(False, HEADERS, _value(b"location")),
    "http.server": Source(False, HEADERS, _value(b"server")),
    "http.request_header": Source(True, HEADERS, _header_list),
    "http.response_header": Source(False, HEADERS, _header_list),
    "http.request_body": Source(True, BODY, _body, grows=True),
    "http.response_body": Source(False, BODY, _body, grows=True),
    "file.data": Source(None, BODY, _file_data, grows=True),
    "file.magic": Source(None, BODY, magics, grows=True),
    "file.name": Source(None, HEADERS, _file_names, grows=True),
    "http.stat_code": Source(False, LINE, _attribute("status")),
    "http.stat_msg": Source(False, LINE, _attribute("reason")),
    "http.response_line": Source(False, LINE, _stat_line),
}

EVENTS: Final = (
    "request_chunk_extension", "request_line_missing_protocol", "request_line_incomplete", "request_body_unexpected",
    "too_many_encoding_layers", "gzip_decompression_failed", "request_field_missing_colon", "response_field_missing_colon",
    "request_header_invalid", "response_header_invalid", "request_header_repetition", "response_header_repetition",
    "invalid_request_field_folding", "invalid_response_field_folding", "request_field_too_long", "response_field_too_long",
    "invalid_request_chunk_len", "invalid_response_chunk_len", "invalid_transfer_encoding_value_in_request",
    "invalid_transfer_encoding_value_in_response", "invalid_content_length_field_in_request",
    "invalid_content_length_field_in_response", "duplicate_content_length_field_in_request",
    "duplicate_content_length_field_in_response", "status_100_continue_already_seen", "100_continue_already_seen",
    "unable_to_match_response_to_request", "missing_host_header", "host_header_ambiguous", "request_header_host_invalid",
    "request_uri_host_invalid", "uri_host_invalid", "invalid_server_port_in_request", "invalid_authority_port", "abnormal_ce_header",
    "request_line_leading_whitespace", "request_auth_unrecognized", "response_multipart_byteranges",
    "response_abnormal_transfer_encoding", "response_chunked_old_proto", "response_invalid_status", "response_invalid_protocol",
    "double_encoded_uri", "method_delim_non_compliant", "uri_delim_non_compliant",
)  # fmt: skip
"""What libhtp notes of messages that are not as they should be, by Suricata's names (app-layer-htp.c: htp_errors, htp_warnings).
double_encoded_uri comes of decoding twice, which Suricata does only where its configuration asks for it: by default, never."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LABEL: Final = re.compile(rb"[^.]{1,63}")

_SPACE: Final = b" \t\r\n\x0b\x0c"
_FILENAME: Final = re.compile(rb"""filename\s*=\s*(?:"([^"]*)"|'([^']*)'|([^;\s]+))""", re.I)
_BOUNDARY: Final = re.compile(rb"""boundary\s*=\s*(?:"([^"]+)"|([^;\s,]+))""", re.I)


class _Side:
    """What is kept of one side between calls. step: the method that takes the next bytes."""

    __slots__ = ("buffer", "ended", "file", "left", "step", "tx")

    def __init__(self, step: str) -> None:
        self.buffer = bytearray()
        self.step = step
        self.left = 0
        self.tx: HttpTransaction | None = None
        self.ended = False
        self.file: File | None = None


def _host_events(tx: HttpTransaction, absolute: bytes | None, host: bytes | None) -> None:
    """htp_transaction.c: the host of the URI and that of the header, and their ports."""
    if tx.method == b"CONNECT":
        _, colon, port = (tx.uri or b"").rpartition(b":")
        if not colon or not _is_port(port):
            tx.event("invalid_authority_port", True)
    elif absolute is not None:
        authority = re.match(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", tx.uri or b"")
        place = authority.group(1).rpartition(b"@")[2] if authority else b""
        after = re.search(rb":([^\]]*)$", place)
        if after and not _is_port(after.group(1)):
            tx.event("invalid_server_port_in_request", True)
        if not _is_host(absolute):
            tx.event("request_uri_host_invalid", True)
            tx.event("uri_host_invalid", True)
        if host is not None and _without_port(host).lower() != _without_port(absolute).lower():
            tx.event("host_header_ambiguous", True)
    if host is not None and not _is_host(_without_port(host)):
        tx.event("request_header_host_invalid", True)


def _is_port(text: bytes) -> bool:
    return text.isdigit() and 0 < int(text[:9]) < 65536


def _without_port(host: bytes) -> bytes:
    return re.sub(rb":\d*$", b"", host.strip(_SPACE)) if not host.startswith(b"[") else host.partition(b"]")[0] + b"]"


def _is_host(name: bytes) -> bool:
    """htp_validate_hostname: 1 to 255 bytes, labels of 1 to 63; an IPv6 address in brackets."""
    if name.startswith(b"["):
        return name.endswith(b"]") and len(name) > 2
    name = name.rstrip(b".")
    if not 0 < len(name) <= 255:
        return False
    return all(_LABEL.fullmatch(label) for label in name.split(b".")) and not re.search(rb"[\s/?#@]", name)


class Http(Service):
    name = "http"
    sources = SOURCES
    events = EVENTS

    def __init__(self) -> None:
        super().__init__()
        self._in = _Side("_request_line")
        self._out = _Side("_status_line")
        self._waiting: list[HttpTransaction] = []
        self._tunnel = False

    # -- what comes in ----------------------------------------------------------------------------------------------------

    def feed(self, to_server: bool, data: bytes) -> None:
        side = self._in if to_server else self._out
        if side.ended or self._tunnel:
            return
        side.buffer += data
        while side.buffer:
            before = (len(side.buffer), side.step)
            getattr(self, side.step)(side)
            if (len(side.buffer), side.step) == before:
                break

    def gap(self, to_server: bool, size: int) -> None:
        """Inside a body, missing bytes are skipped; elsewhere nothing can be made of what follows."""
        side = self._in if to_server else self._out
        if side.step in ("_request_fixed", "_response_fixed") and side.left >= size:
            side.left -= size
            if side.tx is not None:
                for file in side.tx.files:
                    file.gap = True
            if not side.left:
                self._finish(side, to_server)
            return
        if side.step == "_response_to_end":
            return
        side.ended = True
        self.stopped = self._in.ended and self._out.ended

    def rest(self) -> dict[bool, bytes]:
        """What was not read when the connection turned to another protocol."""
        return {side: bytes(half.buffer) for side, half in ((True, self._in), (False, self._out)) if half.buffer}

    def end(self, to_server: bool) -> None:
        side = self._in if to_server else self._out
        if side.ended:
            return
        if side.buffer and side.step in ("_request_line", "_status_line", "_request_headers", "_response_headers"):
            cut = side.step == "_request_line"
            side.buffer += b"\n"
            getattr(self, side.step)(side)
            if cut and self.transactions:
                self.transactions[-1].event("request_line_incomplete", True)
            if side.step in ("_request_headers", "_response_headers"):
                side.buffer += b"\n"
                getattr(self, side.step)(side)
        side.ended = True
        if side.tx is not None:
            self._finish(side, to_server)
        if not to_server:
            for tx in self.transactions:
                tx.progress[0] = COMPLETE

    def _open(self) -> HttpTransaction:
        tx = HttpTransaction(self.count)
        self.count += 1
        self.transactions.append(tx)
        self._waiting.append(tx)
        return tx

    def _finish(self, side: _Side, to_server: bool) -> None:
        tx = side.tx
        side.tx, side.step = None, "_after_request" if to_server else "_status_line"
        if tx is None:
            return
        tx.progress[to_server] = COMPLETE
        self.wants_raw.add(to_server)
        for file in tx.files:
            if file.to_server == to_server:
                file.done = True
        if not to_server:
            if tx in self._waiting:
                self._waiting.remove(tx)
            if not tx.done(True) and tx.unseen_request:
                tx.progress[1] = COMPLETE

    # -- lines and headers ------------------------------------------------------------------------------------------------

    def _take_line(self, side: _Side) -> bytes | None:
        end = side.buffer.find(b"\n")
        if end < 0:
            if len(side.buffer) > MAX_HTTP_LINE_BYTES:
                if side.tx is not None:
                    side.tx.event(("request" if side is self._in else "response") + "_field_too_long", side is self._in)
                side.ended = True
                side.buffer.clear()
            return None
        line = bytes(side.buffer[: end + 1])
        del side.buffer[: end + 1]
        return line

    def _read_headers(self, side: _Side, message: Message, to_server: bool) -> bool:
        """Take header lines; True when the empty line has come."""
        while (line := self._take_line(side)) is not None:
            message.raw_headers += line
            text = line.rstrip(b"\r\n")
            if not text.strip(b" \t"):
                return True
            if text[:1] in (b" ", b"\t") and not message.headers:
                self._odd(side, "invalid_{}_field_folding", to_server)
            if text[:1] in (b" ", b"\t") and message.headers:
                name, value = message.headers[-1]
                message.headers[-1] = (name, value + b" " + text.strip(_SPACE) if value else text.strip(_SPACE))
                continue
            if len(message.headers) >= MAX_HTTP_HEADERS:
                continue
            name, colon, value = text.partition(b":")
            if not colon:
                self._odd(side, "{}_field_missing_colon", to_server)
                message.headers.append((b"", text.strip(_SPACE)))
                continue
            if not _TOKEN.fullmatch(name):
                # RFC 9112 5.1: no space between the name and the colon, and the name is a token.
                self._odd(side, "{}_header_invalid", to_server)
            name = name.strip(_SPACE)
            if any(n.lower() == name.lower() for n, _ in message.headers):
                self._odd(side, "{}_header_repetition", to_server)
            message.headers.append((name, value.strip(_SPACE)))
        return False

    @staticmethod
    def _odd(side: _Side, name: str, to_server: bool) -> None:
        if side.tx is not None:
            side.tx.event(name.format("request" if to_server else "response"), to_server)

    def _body_headers(self, side: _Side, message: Message, to_server: bool) -> None:
        """What the headers say of the body, where it cannot be so (RFC 9112 6.3)."""
        lengths = {v.strip(_SPACE) for n, v in message.headers if n.lower() == b"content-length"}
        if len(lengths) > 1:
            self._odd(side, "duplicate_content_length_field_in_{}", to_server)
        if any(not re.match(rb"\d+", v) for v in lengths):
            self._odd(side, "invalid_content_length_field_in_{}", to_server)
        coding = message.value(b"transfer-encoding")
        if coding is not None and b"chunked" not in coding.lower():
            self._odd(side, "invalid_transfer_encoding_value_in_{}", to_server)
        elif coding is not None and not to_server and coding.strip(_SPACE).lower() != b"chunked":
            self._odd(side, "response_abnormal_transfer_encoding", False)

    # -- requests ---------------------------------------------------------------------------------------------------------

    def _after_request(self, side: _Side) -> None:
        """Behind a complete request: another one, or bytes that were not announced."""
        if bytes(side.buffer[:1]) in (b"\r", b"\n") and not side.buffer.strip(b"\r\n"):
            side.buffer.clear()
            return
        word = re.split(rb"[\s]", bytes(side.buffer.lstrip(b"\r\n")[:32]), maxsplit=1)
        known = word[0] in METHODS if len(word) > 1 else any(m.startswith(word[0]) for m in METHODS)
        last = self.transactions[-1] if self.transactions else None
        if known or last is None or last.request.body is not None or last.done(False):
            side.step = "_request_line"
            return
        last.event("request_body_unexpected", True)
        last.request.body = last.request.body or Body([])
        end = side.buffer.find(b"\n")
        taken = bytes(side.buffer[: end + 1 or len(side.buffer)])
        del side.buffer[: len(taken)]
        last.request.body.add(taken)

    def _request_line(self, side: _Side) -> None:
        line = self._take_line(side)
        if line is None:
            return
        if not line.strip(b"\r\n"):
            return
        tx = side.tx = self._open()
        text = line.rstrip(b"\r\n")
        tx.request.line = text
        stripped = text.lstrip(_SPACE)
        if stripped != text:
            tx.event("request_line_leading_whitespace", True)
        parts = stripped.split(None, 1)
        tx.method = parts[0] if parts else b""
        rest = parts[1] if len(parts) > 1 else b""
        if rest and stripped[len(tx.method) : len(stripped) - len(rest)].strip(b" "):
            tx.event("method_delim_non_compliant", True)
        if re.search(rb"[\t\x0b\x0c\r]", rest.partition(b" ")[0].rstrip(b"\r")):
            tx.event("uri_delim_non_compliant", True)
        if rest:
            # htp_request_generic.c: the URI ends at the first space; what follows is the protocol. Where that is none, spaces
            # belong to the URI.
            uri, _, protocol = rest.partition(b" ")
            if protocol:
                last = rest.rstrip(_SPACE).rsplit(b" ", 1)
                if len(last) == 2 and last[1].lstrip(_SPACE).upper().startswith(b"HTTP/"):
                    uri, protocol = last[0].rstrip(b" \t"), last[1]
                elif not protocol.lstrip(_SPACE).upper().startswith(b"HTTP"):
                    uri, protocol = rest.rstrip(_SPACE), b""
            elif b"\t" in uri:
                uri, _, protocol = uri.partition(b"\t")
            tx.uri = uri
            tx.protocol = protocol.strip(_SPACE) or None
        else:
            tx.uri = None
        if tx.uri is not None:
            tx.normal_uri = tx.uri if tx.method == b"CONNECT" else normalised(tx.uri)
        tx.progress[1] = LINE
        side.step = "_request_headers"
        if tx.protocol is None:
            following = bytes(side.buffer).lstrip(b" \t")
            if following[:1] not in (b"", b"\r", b"\n"):
                tx.event("request_line_missing_protocol", True)
                return
            tx.progress[1] = HEADERS
            self._finish(side, True)

    def _request_headers(self, side: _Side) -> None:
        tx = side.tx
        if tx is None or not self._read_headers(side, tx.request, True):
            return
        message = tx.request
        host = message.value(b"host")
        absolute = hostname(tx.uri or b"") if tx.method != b"CONNECT" else None
        if host is None and tx.protocol == b"HTTP/1.1":
            tx.event("missing_host_header", True)
        self._body_headers(side, message, True)
        _host_events(tx, absolute, host)
        given = message.value(b"authorization")
        if given is not None and not given.lower().startswith((b"basic", b"digest", b"bearer")):
            tx.event("request_auth_unrecognized", True)
        named = absolute if absolute is not None else host
        if named is not None:
            named = re.sub(rb":\d*$", b"", named.strip(_SPACE)).rstrip(b".") if not named.startswith(b"[") else named
            tx.host = named.lower()
        tx.progress[1] = HEADERS
        kind = message.value(b"content-type") or b""
        if b"multipart/form-data" in kind.lower() and (found := _BOUNDARY.search(kind)):
            tx.boundary = found.group(1) or found.group(2)
        coding = (message.value(b"transfer-encoding") or b"").lower()
        length = message.value(b"content-length")
        if b"chunked" in coding:
            side.step, message.body = "_request_chunk", Body([])
        elif length is not None and (number := re.match(rb"\s*(\d+)", length)) and int(number.group(1)):
            side.left, side.step = int(number.group(1)), "_request_fixed"
            message.body = Body([])
        elif tx.method == b"CONNECT":
            tx.progress[1] = BODY
            self._finish(side, True)
            return
        else:
            tx.progress[1] = BODY
            self._finish(side, True)
            return
        tx.progress[1] = BODY
        if tx.method in (b"POST", b"PUT") and tx.boundary is None:
            side.file = File(_path(tx.uri), True)
            tx.files.append(side.file)

    def _request_bytes(self, side: _Side, data: bytes) -> None:
        tx = side.tx
        if tx is None or tx.request.body is None:
            return
        plain = tx.request.body.add(data)
        if tx.boundary is not None:
            _form_files(tx)
        elif side.file is not None and tx.files:
            to_file(side.file, plain)

    def _request_fixed(self, side: _Side) -> None:
        taken = bytes(side.buffer[: side.left])
        del side.buffer[: len(taken)]
        side.left -= len(taken)
        self._request_bytes(side, taken)
        if not side.left:
            self._finish(side, True)

    def _request_chunk(self, side: _Side) -> None:
        self._chunk_line(side, True)

    def _request_chunk_data(self, side: _Side) -> None:
        taken = bytes(side.buffer[: side.left])
        del side.buffer[: len(taken)]
        side.left -= len(taken)
        self._request_bytes(side, taken)
        if not side.left:
            side.step = "_request_chunk_end"

    def _request_chunk_end(self, side: _Side) -> None:
        if self._take_line(side) is not None:
            side.step = "_request_chunk"

    def _request_trailer(self, side: _Side) -> None:
        if side.tx is not None and self._read_headers(side, side.tx.request, True):
            self._finish(side, True)

    def _chunk_line(self, side: _Side, to_server: bool) -> None:
        line = self._take_line(side)
        if line is None or side.tx is None:
            return
        found = re.match(rb"\s*([0-9a-fA-F]+)", line)
        word = "request" if to_server else "response"
        if found is None:
            if not line.strip():
                return
            side.tx.event(f"invalid_{word}_chunk_len", to_server)
            side.ended = to_server
            if not to_server:
                # htp_response.c: what cannot be a chunk is taken as a body that lasts until the end.
                side.buffer[:0] = line
                side.step = "_response_to_end"
            return
        rest = line[found.end() :].strip(_SPACE)
        if rest.startswith(b";"):
            side.tx.event(f"{word}_chunk_extension", to_server)
        side.left = int(found.group(1)[-15:], 16)
        side.step = f"_{word}_chunk_data" if side.left else f"_{word}_trailer"

    # -- responses --------------------------------------------------------------------------------------------------------

    def _status_line(self, side: _Side) -> None:
        if side.tx is None:
            if not side.buffer.strip(b"\r\n"):
                return
            if self._waiting:
                side.tx = self._waiting[0]
            else:
                tx = side.tx = self._open()
                tx.unseen_request = True
                tx.uri = tx.normal_uri = b"/libhtp::request_uri_not_seen"
                tx.event("unable_to_match_response_to_request", False)
        tx = side.tx
        head = bytes(side.buffer.lstrip(b"\r\n \t")[:4])
        if not b"HTTP".startswith(head[:4].upper()) and len(head) >= min(4, len(side.buffer)):
            # htp_response.c (htp_treat_response_line_as_body): no status line, so all of it is body.
            tx.progress[0] = BODY
            tx.response.body = Body([])
            side.step = "_response_to_end"
            return
        line = self._take_line(side)
        if line is None:
            return
        if not line.strip(b"\r\n"):
            return
        text = line.rstrip(b"\r\n")
        tx.response.line = text
        parts = text.strip(_SPACE).split(None, 2)
        tx.status_protocol = parts[0] if parts else b""
        tx.status = parts[1] if len(parts) > 1 else b""
        tx.reason = parts[2] if len(parts) > 2 else b""
        if not (tx.status.isdigit() and 100 <= int(tx.status[:9]) <= 999):
            tx.event("response_invalid_status", False)
        if not re.fullmatch(rb"HTTP/\s*(?:0\.9|1\.[01])", tx.status_protocol):
            tx.event("response_invalid_protocol", False)
        tx.progress[0] = LINE
        tx.response.headers.clear()
        tx.response.raw_headers.clear()
        side.step = "_response_headers"

    def _response_headers(self, side: _Side) -> None:
        tx = side.tx
        if tx is None or not self._read_headers(side, tx.response, False):
            return
        message = tx.response
        if tx.status == b"100" and message.value(b"content-length") is None:
            # htp_response.c: the real response is still to come.
            if tx.continued:
                tx.event("status_100_continue_already_seen", False)
                tx.event("100_continue_already_seen", False)
            tx.continued = True
            message.headers.clear()
            message.raw_headers.clear()
            tx.progress[0] = 0
            side.step = "_status_line"
            return
        tx.progress[0] = HEADERS
        if tx.method == b"CONNECT" and (tx.status or b"")[:1] == b"2":
            self._finish(side, False)
            self._tunnel = True
            self.upgrade = ""
            return
        if tx.status == b"101":
            self._finish(side, False)
            upgrade = (message.value(b"upgrade") or b"").lower()
            self._tunnel, self.upgrade = True, {b"h2c": "http2", b"websocket": "websocket"}.get(upgrade, "")
            return
        codings = [c.strip().lower() for c in (message.value(b"content-encoding") or b"").split(b",") if c.strip()]
        if len([c for c in codings if _decodes(c)]) > 2:
            tx.event("too_many_encoding_layers", True)
            tx.event("too_many_encoding_layers", False)
        for coding in codings:
            if not _decodes(coding) and coding not in (b"inflate", b"identity", b"none", b"br"):
                tx.event("abnormal_ce_header", False)
        if tx.method == b"HEAD" or tx.status in (b"204", b"304") or (tx.status or b"")[:1] == b"1":
            self._finish(side, False)
            return
        self._body_headers(side, message, False)
        if b"multipart/byteranges" in (message.value(b"content-type") or b"").lower():
            tx.event("response_multipart_byteranges", False)
        if b"chunked" in (message.value(b"transfer-encoding") or b"").lower() and tx.status_protocol in (b"HTTP/1.0", b"HTTP/0.9"):
            tx.event("response_chunked_old_proto", False)
        message.body = Body(list(reversed([c for c in codings if _decodes(c)][:2])))
        tx.progress[0] = BODY
        disposition = message.value(b"content-disposition") or b""
        named = _FILENAME.search(disposition)
        side.file = File((named.group(1) or named.group(2) or named.group(3) or b"").decode("latin1") if named else _path(tx.uri), False)
        tx.files.append(side.file)
        coding = (message.value(b"transfer-encoding") or b"").lower()
        length = message.value(b"content-length")
        number = re.match(rb"\s*(\d+)", length) if length is not None else None
        if b"chunked" in coding:
            side.step = "_response_chunk"
        elif number:
            side.left, side.step = int(number.group(1)), "_response_fixed"
            if not side.left:
                tx.files.remove(side.file)
                self._finish(side, False)
        else:
            side.step = "_response_to_end"

    def _response_bytes(self, side: _Side, data: bytes) -> None:
        tx = side.tx
        if tx is None or tx.response.body is None:
            return
        plain = tx.response.body.add(data)
        if tx.response.body.broken:
            tx.event("gzip_decompression_failed", False)
        if side.file is not None:
            to_file(side.file, plain)

    def _response_fixed(self, side: _Side) -> None:
        taken = bytes(side.buffer[: side.left])
        del side.buffer[: len(taken)]
        side.left -= len(taken)
        self._response_bytes(side, taken)
        if not side.left:
            self._finish(side, False)

    def _response_chunk(self, side: _Side) -> None:
        self._chunk_line(side, False)

    def _response_chunk_data(self, side: _Side) -> None:
        taken = bytes(side.buffer[: side.left])
        del side.buffer[: len(taken)]
        side.left -= len(taken)
        self._response_bytes(side, taken)
        if not side.left:
            side.step = "_response_chunk_end"

    def _response_chunk_end(self, side: _Side) -> None:
        if self._take_line(side) is not None:
            side.step = "_response_chunk"

    def _response_trailer(self, side: _Side) -> None:
        if side.tx is not None and self._read_headers(side, side.tx.response, False):
            self._finish(side, False)

    def _response_to_end(self, side: _Side) -> None:
        taken = bytes(side.buffer)
        side.buffer.clear()
        self._response_bytes(side, taken)

    # -- what alerts say ----------------------------------------------------------------------------------------------------

    def summary(self, tx: HttpTransaction) -> dict[str, Any] | None:
        """Suricata's `http` object (output-json-http.c)."""
        out: dict[str, Any] = {}
        if tx.host is not None:
            out["hostname"] = _text(tx.host)
            raw = tx.request.value(b"host") or b""
            if port := re.search(rb":(\d+)\s*$", raw):
                out["http_port"] = int(port.group(1)[-6:])
        if tx.uri is not None:
            out["url"] = _text(tx.uri)
        for key, value in (
            ("http_user_agent", tx.request.value(b"user-agent")), ("http_content_type", tx.response.value(b"content-type")),
            ("http_refer", tx.request.value(b"referer")), ("http_method", tx.method), ("protocol", tx.protocol),
        ):  # fmt: skip
            if value is not None:
                out[key] = _text(value.split(b";")[0] if key == "http_content_type" else value)
        if tx.status is not None and tx.status.isdigit():
            out["status"] = int(tx.status[:9])
        if (location := tx.response.value(b"location")) is not None:
            out["redirect"] = _text(location)
        out["length"] = tx.response.body.wire if tx.response.body is not None else 0
        return {"http": out}


def _decodes(coding: bytes) -> bool:
    return coding in (b"gzip", b"x-gzip", b"deflate", b"x-deflate", b"lzma", b"x-lzma")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _path(uri: bytes | None) -> str:
    """The name a file has from its URI: the path, as it stands there."""
    if uri is None:
        return ""
    whole = normalised(uri)
    return whole.split(b"?", 1)[0].split(b"#", 1)[0].decode("latin1")


def to_file(file: File, data: bytes) -> None:
    import hashlib

    if not file.hashes:
        file.hashes = {name: hashlib.new(name) for name in ("md5", "sha1", "sha256")}
    for digest in file.hashes.values():
        digest.update(data)
    file.size += len(data)
    if len(file.content) < MAX_RULE_FILE_BYTES:
        file.content += data[: MAX_RULE_FILE_BYTES - len(file.content)]


def _form_files(tx: HttpTransaction) -> None:
    """The files of a multipart form, as far as the body has come."""
    body = tx.request.body
    if body is None or tx.boundary is None:
        return
    tx.files = [f for f in tx.files if not f.to_server]
    parts = bytes(body.data).split(b"--" + tx.boundary)
    for k, part in enumerate(parts[1:], 1):
        head, blank, content = part.partition(b"\r\n\r\n")
        named = _FILENAME.search(head)
        if not blank or named is None:
            continue
        done = k < len(parts) - 1
        file = File((named.group(1) or named.group(2) or named.group(3) or b"").decode("latin1"), True, done=done)
        to_file(file, content.removesuffix(b"\r\n") if done else content)
        tx.files.append(file)
