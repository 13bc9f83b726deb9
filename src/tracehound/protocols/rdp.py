"""In: the ordered bytes of both directions of a flow that speaks RDP. Out: one row of table `rdp`, one of `logins` where the client names
a user, and of `tls` what follows in TLS. Never here: the desktop itself, or TLS (tls.py).

[MS-RDPBCGR] 2.2.1.1 (negotiation), 2.2.1.3 (client data), 2.2.1.4 (server data); ITU-T T.123 (TPKT), X.224, T.125 and T.124 around them.
Words of columns are Zeek's where it has some."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_RDP_MESSAGE_BYTES
from tracehound.protocols.certificate import parse_certificate
from tracehound.protocols.lines import visible, words_of
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Emit, FlowEnds, Session
from tracehound.protocols.tls import open_session as open_tls
from tracehound.streams.reassemble import Chunk

_TPKT, _TLS = 3, 0x16
_REQUEST, _CONFIRM, _DATA = 0xE0, 0xD0, 0xF0
_COOKIE: Final = re.compile(rb"Cookie: mstshash=([^\r\n]{0,512})")
_TOKEN: Final = re.compile(rb"(?:Cookie: )?(msts=[^\r\n]{0,512}|tsv://[^\r\n]{0,512})")
_PROTOCOLS: Final[dict[int, str]] = {0: "RDP", 1: "SSL", 2: "HYBRID", 4: "RDSTLS", 8: "HYBRID_EX", 16: "RDSAAD"}
_FAILURES: Final[dict[int, str]] = {
    1: "SSL_REQUIRED_BY_SERVER", 2: "SSL_NOT_ALLOWED_BY_SERVER", 3: "SSL_CERT_NOT_ON_SERVER", 4: "INCONSISTENT_FLAGS",
    5: "HYBRID_REQUIRED_BY_SERVER", 6: "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
}  # fmt: skip
_MCS_RESULTS: Final = (
    "Success", "Domain merging", "Domain not hierarchical", "No such channel", "No such domain", "No such user", "Not admitted",
    "Other user id", "Parameters unacceptable", "Token not available", "Token not possessed", "Too many channels", "Too many tokens",
    "Too many users", "Unspecified failure", "User rejected",
)  # fmt: skip
_BUILDS: Final[dict[int, str]] = {
    419: "RDP 4.0", 2195: "RDP 5.0", 2221: "RDP 5.0", 2600: "RDP 5.1", 3790: "RDP 5.2", 6000: "RDP 6.0", 6001: "RDP 6.1",
    6002: "RDP 6.2", 7600: "RDP 7.0", 7601: "RDP 7.1", 9200: "RDP 8.0", 9600: "RDP 8.1", 25189: "RDP 8.0 (Mac)",
    25282: "RDP 8.0 (Mac)",
}  # fmt: skip
_VERSIONS: Final[dict[int, str]] = {
    0x80001: "4.0", 0x80004: "5.0 to 8.1", **{0x80005 + i: f"10.{i}" for i in range(13)},
}  # fmt: skip
"""[MS-RDPBCGR] 2.2.1.3.2."""
_LEVELS: Final[dict[int, str]] = {0: "None", 1: "Low", 2: "Client compatible", 3: "High", 4: "FIPS"}
_METHODS: Final[dict[int, str]] = {0: "None", 1: "40bit", 2: "128bit", 8: "56bit", 16: "FIPS"}
_WANTS_32_BITS: Final = 0x2
_KEYBOARDS: Final[dict[int, str]] = {
    0x401: "Arabic", 0x402: "Bulgarian", 0x403: "Catalan", 0x404: "Chinese - Taiwan", 0x405: "Czech", 0x406: "Danish",
    0x407: "German - Germany", 0x408: "Greek", 0x409: "English - United States", 0x40A: "Spanish - Spain (Traditional Sort)",
    0x40B: "Finnish", 0x40C: "French - France", 0x40D: "Hebrew", 0x40E: "Hungarian", 0x40F: "Icelandic", 0x410: "Italian - Italy",
    0x411: "Japanese", 0x412: "Korean", 0x413: "Dutch - Netherlands", 0x414: "Norwegian (Bokmal)", 0x415: "Polish",
    0x416: "Portuguese - Brazil", 0x418: "Romanian", 0x419: "Russian", 0x41A: "Croatian", 0x41B: "Slovak", 0x41C: "Albanian",
    0x41D: "Swedish", 0x41E: "Thai", 0x41F: "Turkish", 0x420: "Urdu", 0x421: "Indonesian", 0x422: "Ukrainian", 0x423: "Belarusian",
    0x424: "Slovenian", 0x425: "Estonian", 0x426: "Latvian", 0x427: "Lithuanian", 0x429: "Farsi", 0x42A: "Vietnamese",
    0x42B: "Armenian", 0x42D: "Basque", 0x437: "Georgian", 0x439: "Hindi", 0x43F: "Kazakh", 0x804: "Chinese - PRC",
    0x807: "German - Switzerland", 0x809: "English - United Kingdom", 0x80A: "Spanish - Mexico", 0x80C: "French - Belgium",
    0x813: "Dutch - Belgium", 0x816: "Portuguese - Portugal", 0x81A: "Serbian (Latin)", 0xC07: "German - Austria",
    0xC09: "English - Australia", 0xC0A: "Spanish - Spain (Modern Sort)", 0xC0C: "French - Canada", 0xC1A: "Serbian (Cyrillic)",
    0x1009: "English - Canada", 0x100C: "French - Switzerland", 0x1409: "English - New Zealand", 0x1809: "English - Ireland",
    0x4009: "English - India",
}  # fmt: skip
"""[MS-LCID]; others as 'keyboard-' and their number, as in Zeek."""
_CLIENT_DATA, _SERVER_DATA = b"Duca", b"McDn"
_CS_CORE, _CS_NET, _SC_SECURITY = 0xC001, 0xC003, 0x0C02
_BLOCKS: Final = 16
_CHANNELS: Final = 31
"""[MS-RDPBCGR] 2.2.1.3.4: no more channels are allowed."""


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _wide(raw: bytes) -> str | None:
    return visible(raw.decode("utf-16-le", "replace").split("\0", 1)[0]) or None


def _blocks(data: bytes, key: bytes) -> dict[int, bytes]:
    """Data blocks behind the H.221 key of T.124: each with type and length in two bytes, the header included."""
    at = data.find(key)
    if at < 0:
        return {}
    # The length of the user data is in one byte or, its top bit set, in two.
    at += len(key) + (2 if data[at + len(key) : at + len(key) + 1] >= b"\x80" else 1)
    found: dict[int, bytes] = {}
    for _ in range(_BLOCKS):
        size = _number(data, at + 2, 2)
        if size < 4 or at + 4 > len(data):
            break
        found.setdefault(_number(data, at, 2), data[at + 4 : at + size])
        at += size
    return found


class _Side:
    __slots__ = ("begun", "data", "done", "tls")

    def __init__(self) -> None:
        self.data = b""
        self.begun = False
        self.tls = False
        self.done = False


class RdpSession(Reporter):
    service = "rdp"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.finished = False
        self._sides = {True: _Side(), False: _Side()}
        self._first: tuple[int, int] | None = None
        self._inner: Session | None = None
        self._cookie: str | None = None
        self._token: str | None = None
        self._requested: list[str] | None = None
        self._chosen: str | None = None
        self._result: str | None = None
        self._core = b""
        self._channels: list[str] | None = None
        self._level: str | None = None
        self._method: str | None = None
        self._certificates: int | None = None
        self._subject: str | None = None
        self._done = False

    def feed(self, chunk: Chunk) -> None:
        if self._first is None:
            self._first = chunk.segments.packet_at(chunk.offset)
        side = self._sides[chunk.from_originator]
        if chunk.gap_before and not side.tls:
            self.note("bytes are missing")
            side.done = True
        if side.tls:
            self._to_tls(chunk)
        elif not side.done:
            self._clear(side, chunk)
        if all(s.done for s in self._sides.values()) or (self._inner is not None and self._inner.finished):
            self._finish()

    def _to_tls(self, chunk: Chunk) -> None:
        """[MS-RDPBCGR] 5.4.5.1: behind the negotiation everything is TLS, which its own reader reads."""
        self._result = self._result or "encrypted"
        if self._inner is None:
            self._inner = open_tls(self.ends, chunk, self.emit)
        if not self._inner.finished:
            self._inner.feed(chunk)

    def _clear(self, side: _Side, chunk: Chunk) -> None:
        side.data += chunk.data
        while side.data and not side.done:
            if side.begun and side.data[0] == _TLS:
                side.tls = True
                rest = len(side.data)
                data, side.data = side.data, b""
                offset = chunk.offset + len(chunk.data) - rest
                self._to_tls(chunk._replace(data=data, offset=offset, gap_before=0))
                return
            if len(side.data) < 7:
                return
            size = side.data[2] << 8 | side.data[3]
            if side.data[0] != _TPKT or size < 7:
                # RDP's fast path begins where the connection is made.
                side.done = True
                return
            if size > len(side.data):
                if len(side.data) > MAX_RDP_MESSAGE_BYTES:
                    side.done = True
                return
            message, side.data = side.data[:size], side.data[size:]
            side.begun = True
            self._message(side, message, chunk.from_originator)

    def _message(self, side: _Side, message: bytes, client: bool) -> None:
        kind = message[5]
        if kind == _REQUEST and client:
            self._request(message)
        elif kind == _CONFIRM and not client:
            self._confirm(side, message)
        elif kind == _DATA:
            self._connect(message, client)
            side.done = True

    def _request(self, message: bytes) -> None:
        """[MS-RDPBCGR] 2.2.1.1: 11 bytes of X.224, then cookie or token up to CR LF, then the negotiation."""
        rest = message[11:]
        cookie, token = _COOKIE.search(rest), _TOKEN.search(rest)
        self._cookie = words_of(cookie.group(1)).rstrip() if cookie else None
        self._token = words_of(token.group(1)) if token else None
        at = rest.find(b"\r\n") + 2 if cookie or token else 0
        if len(rest) >= at + 8 and rest[at] == 1:
            mask = _number(rest, at + 4, 4)
            self._requested = [name for bit, name in _PROTOCOLS.items() if (bit and mask & bit)] or ["RDP"]

    def _confirm(self, side: _Side, message: bytes) -> None:
        """2.2.1.2: type 2 chooses, type 3 refuses."""
        if len(message) < 19:
            # A server that does not know of the negotiation.
            self._chosen = "RDP" if len(message) == 11 else None
            return
        value = _number(message, 15, 4)
        if message[11] == 2:
            self._chosen = _PROTOCOLS.get(value, str(value))
        elif message[11] == 3:
            self._result = _FAILURES.get(value, f"failure {value}")
            side.done = True

    def _connect(self, message: bytes, client: bool) -> None:
        if client:
            blocks = _blocks(message, _CLIENT_DATA)
            self._core = blocks.get(_CS_CORE, b"")
            net = blocks.get(_CS_NET)
            if net is not None:
                count = min(_number(net, 0, 4), _CHANNELS)
                names = (net[at : at + 8].split(b"\0", 1)[0] for at in range(4, 4 + 12 * count, 12))
                self._channels = [words_of(n) for n in names if n]
            return
        # T.125: the result is an enumerated value (tag 10) of one byte; it comes first.
        at = message.find(b"\x0a\x01", 7, 40)
        if at >= 0 and at + 2 < len(message) and message[at + 2] < len(_MCS_RESULTS):
            self._result = _MCS_RESULTS[message[at + 2]]
        security = _blocks(message, _SERVER_DATA).get(_SC_SECURITY)
        if security is not None and len(security) >= 8:
            # 2.2.1.4.3: method, level, lengths of random and certificate, both.
            self._method, self._level = _METHODS.get(_number(security, 0, 4)), _LEVELS.get(_number(security, 4, 4))
            at = 16 + _number(security, 8, 4)
            self._certificate(security[at : at + _number(security, 12, 4)])

    def _certificate(self, data: bytes) -> None:
        """2.2.1.4.3.1: version 1 is proprietary; version 2 is a chain of X.509 certificates behind their length."""
        version = _number(data, 0, 4) & 0x7FFFFFFF
        if version == 1:
            self._certificates = 1
        elif version == 2:
            self._certificates = min(_number(data, 4, 4), 200)
            size = _number(data, 8, 4)
            self._subject = parse_certificate(data[12 : 12 + size]).subject or None if size and 12 + size <= len(data) else None

    # -- the row --------------------------------------------------------------------------------------------------------------
    def close(self, note: str) -> None:
        self.note(note)
        self._finish()
        if self._inner is not None:
            self._inner.close(note)

    def _finish(self) -> None:
        self.finished = self._inner is None or self._inner.finished
        if self._done or self._first is None:
            return
        self._done = True
        packet_id, ts_ns = self._first
        c = self._core
        version = _number(c, 0, 4) if len(c) >= 4 else None
        build = _number(c, 16, 4) if len(c) >= 20 else None
        layout = _number(c, 12, 4) if len(c) >= 16 else None
        depth = _number(c, 136, 2) if len(c) >= 138 else None
        if depth is not None and len(c) >= 142 and _number(c, 140, 2) & _WANTS_32_BITS:
            depth = 32
        self.row(
            "rdp", ts_ns, self._cookie, self._token, self._requested, self._chosen, self._result,
            _wide(c[20:52]) if len(c) >= 52 else None,
            _BUILDS.get(build, f"client_build-{build}") if build is not None else None, build,
            _VERSIONS.get(version, f"0x{version:08x}") if version is not None else None,
            _KEYBOARDS.get(layout & 0xFFFF, f"keyboard-{layout}") if layout is not None else None,
            _wide(c[142:206]) if len(c) >= 206 else None, _number(c, 4, 2) if len(c) >= 8 else None,
            _number(c, 6, 2) if len(c) >= 8 else None, f"{depth}bit" if depth is not None else None, self._channels, self._level,
            self._method, self._certificates, self._subject, packet_id, self.said,
        )  # fmt: skip
        if self._cookie:
            # Whether it was let in is not told in the clear.
            self.login(self._cookie, self._chosen, cleartext=False, accepted=None, answer=self._result, packet_id=packet_id, ts_ns=ts_ns)


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> RdpSession:
    """Opener for STREAMS."""
    return RdpSession(ends, emit)
