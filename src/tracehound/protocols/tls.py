"""In: the ordered bytes of both directions of a flow that speaks TLS. Out: one row of table `tls`: what both sides said before
they went silent to us. Never here: decryption, or the inside of a certificate (certificate.py).

RFC 8446 (TLS 1.3), RFC 5246 (1.2) and their predecessors, RFC 6066 (server name), RFC 7301 (ALPN), the SSL 2.0 draft for its
hello. JA3 and JA3S: salesforce/ja3; JA4: FoxIO's published method (BSD licence). Fingerprints leave out GREASE (RFC 8701)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct, unpack
from typing import Any, Final

from tracehound.limits import MAX_CERTIFICATES, MAX_TLS_HANDSHAKE_BYTES
from tracehound.protocols.certificate import Certificate, parse_certificate
from tracehound.protocols.cipher_suites import cipher_name, group_name
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _DATA, _HEARTBEAT = 20, 21, 22, 23, 24
_SESSION_TICKET: Final = 35
_KEY_NAME_BYTES: Final = 16
ZERO_KEY: Final = "session ticket under a key whose name is all zeros"
"""GnuTLS 3.6.4 to 3.6.13 encrypted tickets under a key of zeros: whoever records the connection can read it (CVE-2020-13777)."""
OVER_ASKED: Final = "heartbeat asks for more than it brought"
OVER_ANSWERED: Final = "heartbeat is answered with more than it brought"
"""CVE-2014-0160 (Heartbleed): OpenSSL 1.0.1 to 1.0.1f answers with what lies behind the message in its memory."""
_SIDES: Final = {True: "client's", False: "server's"}
_HEARTBEAT_HEAD_BYTES: Final = 3
_HEARTBEAT_PADDING_BYTES: Final = 16
_HEARTBEAT_SLACK_BYTES: Final = 256
"""How much longer an honest answer may be under encryption: RFC 6520 4 leaves the padding free, ciphers pad to blocks."""
_RECORD_BYTES: Final = 5
_MAX_RECORD: Final = 16384 + 2048
_VERSIONS: Final[dict[int, str]] = {
    0x0002: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv10", 0x0302: "TLSv11", 0x0303: "TLSv12", 0x0304: "TLSv13",
    0xFEFF: "DTLSv10", 0xFEFD: "DTLSv12", 0xFEFC: "DTLSv13",
}  # fmt: skip
_JA4_VERSIONS: Final[dict[int, str]] = {
    0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2", 0xFEFF: "d1", 0xFEFD: "d2", 0xFEFC: "d3",
}  # fmt: skip
_ALERTS: Final[dict[int, str]] = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required",
    120: "no_application_protocol",
}  # fmt: skip
_SNI, _GROUPS, _POINTS, _SIGNATURES, _ALPN, _PSK, _SUPPORTED_VERSIONS, _KEY_SHARE = 0, 10, 11, 13, 16, 41, 43, 51
_EXTENSION: Final = Struct(">HH").unpack_from
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""RFC 8446 4.1.3: a ServerHello with this random value is a HelloRetryRequest."""


class Cut(Exception):
    """A message ends before its fields do; becomes a note."""


class _Fields:
    """Reads numbers and vectors off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        at, data = self.at, self.data
        end = self.at = at + size
        if end > len(data):
            self.at = at
            raise Cut
        return data[at:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """A vector behind its length of `size` bytes."""
        return self.take(self.number(size))

    def left(self) -> int:
        return len(self.data) - self.at


def _numbers(data: bytes, size: int = 2) -> list[int]:
    if size == 2:
        count = len(data) // 2
        return list(unpack(f">{count}H", data[: 2 * count]))
    if size == 1:
        return list(data)
    return [int.from_bytes(data[i : i + size], "big") for i in range(0, len(data) - size + 1, size)]


GREASE: Final = frozenset(0x0A0A + 0x1010 * n for n in range(16))
"""RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa mean nothing."""


def is_grease(number: int) -> bool:
    return number in GREASE


def _plain(numbers: Iterable[int]) -> list[int]:
    return [n for n in numbers if n not in GREASE]


@dataclass(slots=True)
class ClientHello:
    """A client's hello. extensions: (number, data) in order."""

    version: int
    session_id: bytes = b""
    ciphers: list[int] = field(default_factory=list)
    extensions: list[tuple[int, bytes]] = field(default_factory=list)

    def extension(self, number: int) -> bytes | None:
        for kind, data in self.extensions:
            if kind == number:
                return data
        return None

    def server_name(self) -> str | None:
        """RFC 6066 3: a list of (type, name); type 0 is a host name."""
        try:
            names = _Fields(_Fields(self.extension(_SNI) or b"").vector(2))
            while names.left():
                kind, name = names.number(1), names.vector(2)
                if kind == 0:
                    return name.decode("latin-1")
        except Cut:
            return None
        return None

    def protocols(self) -> list[bytes]:
        """RFC 7301 3.1."""
        return _alpn(self.extension(_ALPN))

    def list_of(self, number: int, length_bytes: int, size: int) -> list[int]:
        """An extension that is a vector of numbers."""
        data = self.extension(number)
        if data is None:
            return []
        try:
            return _numbers(_Fields(data).vector(length_bytes), size)
        except Cut:
            return []

    def ja3(self) -> str:
        """MD5 of version, cipher suites, extensions, groups and point formats in decimal."""
        return _ja3(
            self.version, tuple(self.ciphers), tuple([kind for kind, _ in self.extensions]), tuple(self.list_of(_GROUPS, 2, 2)),
            tuple(self.list_of(_POINTS, 1, 1)),
        )  # fmt: skip

    def ja4(self, transport: str) -> str:
        """JA4: a readable part, a hash of the sorted cipher suites, a hash of the sorted extensions with the signature
        algorithms. transport: 't' TCP, 'q' QUIC, 'd' DTLS."""
        return _ja4(
            transport, self.version, tuple(self.list_of(_SUPPORTED_VERSIONS, 1, 2)), tuple(self.ciphers),
            tuple([kind for kind, _ in self.extensions]), tuple(self.list_of(_SIGNATURES, 2, 2)), _alpn_letters(self.protocols()),
        )  # fmt: skip


Numbers = tuple[int, ...]


@lru_cache(maxsize=4096)
def _ja3(version: int, ciphers: Numbers, extensions: Numbers, groups: Numbers, points: Numbers) -> str:
    """A program says the same hello again and again."""
    parts = (_plain(ciphers), _plain(extensions), _plain(groups), points)
    text = ",".join([str(version), *("-".join(map(str, part)) for part in parts)])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4096)
def _ja4(
    transport: str, legacy: int, versions: Numbers, suites: Numbers, extensions: Numbers, algorithms: Numbers, letters: str
) -> str:
    offered = _plain(versions)
    # Versions of DTLS count down.
    newest = min if transport == "d" else max
    version = _JA4_VERSIONS.get(newest(offered, default=legacy), "00")
    ciphers = sorted(f"{c:04x}" for c in _plain(suites))
    kinds = _plain(extensions)
    hashed = sorted(f"{k:04x}" for k in kinds if k not in (_SNI, _ALPN))
    signatures = [f"{s:04x}" for s in _plain(algorithms)]
    reached = "d" if _SNI in kinds else "i"
    counts = f"{min(len(ciphers), 99):02d}{min(len(kinds), 99):02d}"
    text = ",".join(hashed) + (f"_{','.join(signatures)}" if signatures else "")
    return (
        f"{transport}{version}{reached}{counts}{letters}"
        f"_{_short_hash(','.join(ciphers))}_{_short_hash(text if hashed else '')}"
    )


@lru_cache(maxsize=4096)
def _ja3s(version: int, cipher: int, extensions: Numbers) -> str:
    """MD5 of version, cipher suite and extensions in decimal."""
    text = f"{version},{cipher},{'-'.join(map(str, extensions))}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _alpn(data: bytes | None) -> list[bytes]:
    names = []
    try:
        fields = _Fields(_Fields(data or b"").vector(2))
        while fields.left():
            names.append(fields.vector(1))
    except Cut:
        pass
    return names


def _alpn_letters(names: list[bytes]) -> str:
    """First and last letter of the first protocol; hexadecimal digits where they are not letters or digits; '00' for none."""
    if not names or not names[0]:
        return "00"
    first, last = names[0][:1], names[0][-1:]
    if first.isalnum() and last.isalnum():
        return (first + last).decode("ascii")
    return first.hex()[0] + last.hex()[1]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "000000000000"


def parse_client_hello(data: bytes) -> ClientHello:
    """The body of a ClientHello (RFC 8446 4.1.2). Raises Cut."""
    f = _Fields(data)
    hello = ClientHello(f.number(2))
    f.take(32)
    hello.session_id = f.vector(1)
    hello.ciphers = _numbers(f.vector(2))
    f.vector(1)
    if f.left() >= 2:
        hello.extensions = _extensions(f.vector(2))
    return hello


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at, end = 0, len(data)
    while end - at >= 4:
        kind, size = _EXTENSION(data, at)
        at += 4 + size
        if at > end:
            raise Cut
        found.append((kind, data[at - size : at]))
    return found


class _Side:
    """One direction: bytes that are not a whole record yet, and handshake bytes that are not a whole message yet."""

    __slots__ = ("changed", "data", "handshake", "heartbeat_bytes", "lost", "spoke")

    def __init__(self) -> None:
        self.data = b""
        self.handshake = b""
        self.heartbeat_bytes = 0
        self.changed = False
        self.spoke = False
        self.lost = False


class TlsSession:
    """One flow of TLS; its row goes out once both sides send data, or at the end."""

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool, transport: str = "t") -> None:
        self.finished = False
        self._ends = ends
        self._emit = emit
        self._originator_is_client = originator_is_client
        self._transport = transport
        self._sides = {True: _Side(), False: _Side()}
        self._hello: ClientHello | None = None
        self._packet_id = -1
        self._ts_ns = 0
        self._version: int | None = None
        self._cipher: int | None = None
        self._curve: int | None = None
        self._protocol: str | None = None
        self._ja3s: str | None = None
        self._resumed: bool | None = None
        self._certificates: list[Certificate] = []
        self._client_certificates: list[Certificate] = []
        self._alert: str | None = None
        self._read_bytes = 0
        self._notes: list[str] = []
        self._done = False

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of either direction."""
        if self._packet_id < 0:
            self._packet_id, self._ts_ns = chunk.segments.packet_at(chunk.offset)
        client = chunk.from_originator == self._originator_is_client
        side = self._sides[client]
        if chunk.gap_before and not side.lost:
            side.lost = True
            self._note("bytes are missing in the capture")
        if side.lost:
            return
        self._read_bytes += len(chunk.data)
        side.data = self._records(client, side, side.data + chunk.data)
        both = self._sides[True].spoke and self._sides[False].spoke
        if both or self._read_bytes > MAX_TLS_HANDSHAKE_BYTES:
            self._finish()

    def handshake(self, client: bool, data: bytes, packet_id: int, ts_ns: int) -> None:
        """Take handshake messages that come without records (QUIC, RFC 9001 4)."""
        if self._packet_id < 0:
            self._packet_id, self._ts_ns = packet_id, ts_ns
        self._messages(client, self._sides[client], data)

    def record(self, client: bool, kind: int, data: bytes) -> None:
        """Take the content of a record that is no handshake (DTLS)."""
        reader = _READERS.get(kind)
        if reader is not None and kind != _HANDSHAKE:
            reader(self, client, self._sides[client], data)

    def encrypted(self, client: bool) -> None:
        """One side sends what only a finished handshake allows."""
        self._sides[client].spoke = True

    @property
    def hello(self) -> ClientHello | None:
        """What the client said, if it is whole."""
        return self._hello

    @property
    def both_encrypted(self) -> bool:
        """Whether nothing more can be read of either side."""
        return self._sides[True].spoke and self._sides[False].spoke

    @property
    def answered(self) -> bool:
        """Whether a server's hello was read."""
        return self._version is not None

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _records(self, client: bool, side: _Side, data: bytes) -> bytes:
        """Read whole records; returns the rest."""
        at, end = 0, len(data)
        if client and self._hello is None and not side.spoke and end >= 5 and data[0] & 0x80 and data[2] == 1:
            at = self._old_hello(data)
            if at == 0:
                return data
        while at + _RECORD_BYTES <= end and not side.lost:
            kind, size = data[at], data[at + 3] << 8 | data[at + 4]
            reader = _READERS.get(kind)
            if reader is None or data[at + 1] != 3 or size > _MAX_RECORD:
                side.lost = True
                self._note("not a TLS record where one should begin")
                return b""
            if at + _RECORD_BYTES + size > end:
                break
            reader(self, client, side, data[at + _RECORD_BYTES : at + _RECORD_BYTES + size])
            at += _RECORD_BYTES + size
        return data[at:]

    def _old_hello(self, data: bytes) -> int:
        """SSL 2.0 draft 2.5: length with its top bit set, type 1, version, lengths, three-byte ciphers. Returns what it took."""
        size = (data[0] & 0x7F) << 8 | data[1]
        if len(data) < 2 + size:
            return 0
        try:
            f = _Fields(data[3 : 2 + size])
            hello = ClientHello(f.number(2))
            cipher_bytes, session_bytes = f.number(2), f.number(2)
            f.number(2)
            # A cipher kind whose first byte is 0 is a TLS cipher suite (RFC 5246 appendix E.2).
            hello.ciphers = [c for c in _numbers(f.take(cipher_bytes), 3) if c < 0x10000]
            hello.session_id = f.take(session_bytes)
            self._hello = hello
        except Cut:
            self._note("client hello malformed")
        return 2 + size

    # -- records: each takes the bytes of one -------------------------------------------------------------------------
    def _change(self, _client: bool, side: _Side, _data: bytes) -> None:
        side.changed = True

    def _alerted(self, _client: bool, side: _Side, data: bytes) -> None:
        if len(data) == 2 and not side.changed:
            self._alert = _ALERTS.get(data[1], f"alert_{data[1]}")

    def _application(self, client: bool, side: _Side, _data: bytes) -> None:
        # In TLS 1.3 the rest of the handshake looks like data; the client's first such record ends it.
        if self._version == 0x0304 or side.changed or self._version is None:
            side.spoke = True

    def _messages(self, client: bool, side: _Side, data: bytes) -> None:
        if side.changed:
            return
        side.handshake += data
        while len(side.handshake) >= 4:
            size = int.from_bytes(side.handshake[1:4], "big")
            if size > MAX_TLS_HANDSHAKE_BYTES:
                side.lost = True
                self._note("handshake message longer than the limit")
                return
            if len(side.handshake) < 4 + size:
                return
            kind, body = side.handshake[0], side.handshake[4 : 4 + size]
            side.handshake = side.handshake[4 + size :]
            reader = _MESSAGES.get(kind)
            if reader is not None:
                try:
                    reader(self, client, body)
                except Cut:
                    self._note(f"handshake message {kind} malformed")

    def _beat(self, client: bool, side: _Side, data: bytes) -> None:
        """RFC 6520 4: type (1 asks, 2 answers), length of the payload in two bytes, payload, at least 16 bytes of padding."""
        asked = self._sides[not client].heartbeat_bytes
        # Under encryption the type cannot be read, and who sends first asks.
        kind = data[0] if data and not side.changed else 2 if asked else 1
        if kind == 1:
            side.heartbeat_bytes = max(side.heartbeat_bytes, len(data))
            # "The receiver MUST discard" a message whose payload does not fit beside its padding. One that claims nothing takes nothing.
            declared = int.from_bytes(data[1:_HEARTBEAT_HEAD_BYTES], "big")
            if not side.changed and declared > max(len(data) - _HEARTBEAT_HEAD_BYTES - _HEARTBEAT_PADDING_BYTES, 0):
                self._note(f"{_SIDES[client]} {OVER_ASKED}")
        elif asked and len(data) > asked + (_HEARTBEAT_SLACK_BYTES if side.changed else 0):
            self._note(f"{_SIDES[not client]} {OVER_ANSWERED}")

    # -- messages: each takes the body of one --------------------------------------------------------------------------
    def _client_hello(self, _client: bool, body: bytes) -> None:
        if self._hello is None:
            self._hello = parse_client_hello(body)

    def _server_hello(self, _client: bool, body: bytes) -> None:
        f = _Fields(body)
        legacy = f.number(2)
        random = f.take(32)
        session_id = f.vector(1)
        cipher = f.number(2)
        f.take(1)
        extensions = _extensions(f.vector(2)) if f.left() >= 2 else []
        if random == _RETRY_RANDOM:
            return
        found = dict(extensions)
        selected = found.get(_SUPPORTED_VERSIONS, b"")
        self._version = int.from_bytes(selected, "big") if len(selected) == 2 else legacy
        self._cipher = cipher
        # draft versions of TLS 1.3 name themselves 0x7fNN
        if self._version >> 8 == 0x7F:
            self._version = 0x0304
        protocols = _alpn(found.get(_ALPN))
        self._protocol = protocols[0].decode("latin-1") if protocols else None
        if self._version in (0x0304, 0xFEFC):
            share = found.get(_KEY_SHARE, b"")
            self._curve = int.from_bytes(share[:2], "big") if len(share) >= 2 else None
            self._resumed = _PSK in found
        elif self._hello is not None:
            self._resumed = bool(session_id) and session_id == self._hello.session_id
        self._ja3s = _ja3s(legacy, cipher, tuple([kind for kind, _ in extensions]))

    def _certificate(self, client: bool, body: bytes) -> None:
        # RFC 5246 7.4.2: a vector of certificates, each behind its length in three bytes.
        f = _Fields(_Fields(body).vector(3))
        into = self._client_certificates if client else self._certificates
        while f.left() and len(into) < MAX_CERTIFICATES:
            into.append(parse_certificate(f.vector(3)))

    def _key_exchange(self, _client: bool, body: bytes) -> None:
        # RFC 8422 5.4: curve type 3 is a named curve.
        if len(body) >= 3 and body[0] == 3 and self._cipher is not None and "ECDH" in cipher_name(self._cipher):
            self._curve = body[1] << 8 | body[2]

    def _ticket(self, _client: bool, body: bytes) -> None:
        # RFC 5077 3.3: lifetime 4, then the ticket behind its length; 4 recommends that it begins with the name of its key, 16 bytes.
        f = _Fields(body)
        f.take(4)
        self._named_by_zeros(f.vector(2))

    def _named_by_zeros(self, ticket: bytes) -> None:
        if len(ticket) >= _KEY_NAME_BYTES and not any(ticket[:_KEY_NAME_BYTES]):
            self._note(ZERO_KEY)

    # -- the row --------------------------------------------------------------------------------------------------------
    def close(self, note: str) -> None:
        """The flow is over."""
        if note:
            self._note(note)
        self._finish()

    def _finish(self) -> None:
        self.finished = True
        if self._done:
            return
        self._done = True
        e, hello = self._ends, self._hello
        originator, responder = (e.originator, e.originator_port), (e.responder, e.responder_port)
        client, server = (originator, responder) if self._originator_is_client else (responder, originator)
        leaf = self._certificates[0] if self._certificates else None
        first, second = self._sides[True], self._sides[False]
        modern = self._version in (0x0304, 0xFEFC)
        established = first.spoke and self._alert is None if modern else first.changed and second.changed
        if hello is not None:
            self._named_by_zeros(hello.extension(_SESSION_TICKET) or b"")
            with contextlib.suppress(Cut):
                # RFC 8446 4.2.11: identities behind their length; each is a ticket behind its length, and its age in 4 bytes.
                self._named_by_zeros(_Fields(_Fields(hello.extension(_PSK) or b"").vector(2)).vector(2))
        notes = [*self._notes, *(c.note for c in self._certificates if c.note)]
        notes += [f"client's {c.note}" for c in self._client_certificates if c.note]
        if hello is None:
            notes.append("no client hello in the capture")
        offered = [p.decode("latin-1") for p in hello.protocols()] if hello is not None else None
        row: tuple[Any, ...] = (
            e.flow_id << TXN_SHIFT, e.flow_id, self._ts_ns, *client, *server,
            _VERSIONS.get(self._version, f"0x{self._version:04x}") if self._version is not None else None,
            cipher_name(self._cipher) if self._cipher is not None else None,
            group_name(self._curve) if self._curve is not None else None,
            hello.server_name() if hello is not None else None,
            self._resumed, self._protocol, offered or None, established and self._version is not None, self._alert,
            hello.ja3() if hello is not None else None, self._ja3s, hello.ja4(self._transport) if hello is not None else None,
            leaf.subject if leaf else None, leaf.issuer if leaf else None, leaf.serial if leaf else None,
            leaf.not_before_ns if leaf else None, leaf.not_after_ns if leaf else None, leaf.key if leaf else None,
            leaf.signature if leaf else None, list(leaf.names) if leaf else None, leaf.self_signed if leaf else None,
            leaf.sha1 if leaf else None, [c.sha256 for c in self._certificates] or None,
            self._client_certificates[0].subject if self._client_certificates else None,
            self._packet_id, "; ".join(dict.fromkeys(notes)) or None,
        )  # fmt: skip
        self._emit("tls", row)


_READERS: Final[dict[int, Callable[[TlsSession, bool, _Side, bytes], None]]] = {
    _CHANGE_CIPHER: TlsSession._change,
    _ALERT: TlsSession._alerted,
    _HANDSHAKE: TlsSession._messages,
    _DATA: TlsSession._application,
    _HEARTBEAT: TlsSession._beat,
}
_MESSAGES: Final[dict[int, Callable[[TlsSession, bool, bytes], None]]] = {
    1: TlsSession._client_hello,
    2: TlsSession._server_hello,
    4: TlsSession._ticket,
    11: TlsSession._certificate,
    12: TlsSession._key_exchange,
}


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> TlsSession:
    """A session from its first chunk. Who sends a ServerHello is the server, whatever the ports made of it."""
    data = chunk.data
    says_server = len(data) > 5 and data[0] == _HANDSHAKE and data[5] == 2
    return TlsSession(ends, emit, originator_is_client=chunk.from_originator != says_server)
