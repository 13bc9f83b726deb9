"""In: the bytes of a TLS connection. Out: one transaction with what its handshake says. Never here: rules.

RFC 5246, RFC 8446, SSL 2 hellos; the spelling of names and serial numbers is Suricata's (app-layer-ssl.c, rust/src/x509)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_CERTIFICATES, MAX_TLS_HANDSHAKE_BYTES
from tracehound.protocols import certificate as certificates
from tracehound.protocols.der import OBJECT_ID, Broken, element, elements, object_id, time_ns
from tracehound.protocols.der import text as der_text
from tracehound.protocols.tls import ClientHello, is_grease
from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

_INTEGER: Final = 0x02
_SEQUENCE: Final = 0x30
HELLO: Final = 1
CERTIFICATE: Final = 2
_MAX_RECORD: Final = (1 << 14) + 2048
"""RFC 5246 6.2.3: what a record may have, encrypted and compressed."""
_HANDSHAKE, _CHANGE, _ALERT, _DATA, _HEARTBEAT = 22, 20, 21, 23, 24


@dataclass(slots=True)
class TlsTransaction(Transaction):
    hello: ClientHello | None = None
    hello_random: bytes = b""
    server_random: bytes = b""
    sni: bytes | None = None
    version: int = 0
    server_version: int = 0
    ja3: str | None = None
    ja3s: str | None = None
    ja4: str | None = None
    certificates: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    subject: list[str | None] = field(default_factory=lambda: [None, None])
    issuer: list[str | None] = field(default_factory=lambda: [None, None])
    serial: list[str | None] = field(default_factory=lambda: [None, None])
    names: tuple[str, ...] = ()
    server_alpn: bytes | None = None
    times: tuple[int | None, int | None] = (None, None)
    seen_ns: int = 0
    record_version: list[int] = field(default_factory=lambda: [0, 0])
    states: set[str] = field(default_factory=set)

    def chain_length(self, to_server: bool) -> int | None:
        return len(self.certificates[to_server]) or None


def _of_certificate(name: str) -> Any:
    def get(tx: TlsTransaction, to_server: bool) -> bytes | None:
        value = getattr(tx, name)[to_server]
        return value.encode() if value is not None else None

    return get


def _fingerprint(tx: TlsTransaction, to_server: bool) -> bytes | None:
    chain = tx.certificates[to_server]
    if not chain:
        return None
    digest = hashlib.sha1(chain[0], usedforsecurity=False).hexdigest()
    return ":".join(digest[k : k + 2] for k in range(0, 40, 2)).encode()


def _text(name: str, change: Any = None) -> Any:
    def get(tx: TlsTransaction, _to_server: bool) -> bytes | None:
        value: str | None = getattr(tx, name)
        if value is None:
            return None
        text: str = change(value) if change is not None else value
        return text.encode()

    return get


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _random(begin: int, end: int) -> Any:
    def get(tx: TlsTransaction, to_server: bool) -> bytes | None:
        return (tx.hello_random if to_server else tx.server_random)[begin:end] or None

    return get


def _alpn(tx: TlsTransaction, to_server: bool) -> list[bytes]:
    if not to_server:
        return [tx.server_alpn] if tx.server_alpn is not None else []
    return tx.hello.protocols() if tx.hello is not None else []


SOURCES: Final[dict[str, Source]] = {
    "tls.sni": Source(True, HELLO, lambda tx, _s: tx.sni),
    "tls.cert_subject": Source(None, CERTIFICATE, _of_certificate("subject")),
    "tls.cert_issuer": Source(None, CERTIFICATE, _of_certificate("issuer")),
    "tls.cert_serial": Source(None, CERTIFICATE, _of_certificate("serial")),
    "tls.cert_fingerprint": Source(None, CERTIFICATE, _fingerprint),
    "tls.certs": Source(None, CERTIFICATE, lambda tx, s: list(tx.certificates[s])),
    "tls.subjectaltname": Source(False, CERTIFICATE, lambda tx, _s: [n.encode() for n in tx.names]),
    "tls.alpn": Source(None, HELLO, _alpn),
    "tls.random": Source(None, HELLO, _random(0, 32)),
    "tls.random_time": Source(None, HELLO, _random(0, 4)),
    "tls.random_bytes": Source(None, HELLO, _random(4, 32)),
    "ja3.hash": Source(True, HELLO, _text("ja3", _md5)),
    "ja3.string": Source(True, HELLO, _text("ja3")),
    "ja3s.hash": Source(False, HELLO, _text("ja3s", _md5)),
    "ja3s.string": Source(False, HELLO, _text("ja3s")),
    "ja4.hash": Source(True, HELLO, _text("ja4")),
}  # fmt: skip


class _Cut(Exception):
    """The message ends before its fields do."""


class _Fields:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise _Cut
        part, self.at = self.data[self.at : end], end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    def left(self) -> int:
        return len(self.data) - self.at


def _extensions(f: _Fields) -> list[tuple[int, bytes]]:
    out: list[tuple[int, bytes]] = []
    if f.left() < 2:
        return out
    inner = _Fields(f.vector(2))
    while inner.left() >= 4:
        out.append((inner.number(2), inner.vector(2)))
    return out


def _plain(numbers: list[int]) -> list[int]:
    return [n for n in numbers if not is_grease(n)]


def name_text(data: bytes, at: Any) -> str:
    """A distinguished name in its own order, parts apart by ", " (x509.rs)."""
    parts = []
    for group in elements(data, at, 64):
        for pair in elements(data, group, 16):
            two = elements(data, pair, 2)
            if len(two) < 2 or two[0].tag != OBJECT_ID:
                raise Broken("name malformed")
            oid = object_id(data, two[0])
            parts.append(f"{certificates._NAMES.get(oid, oid)}={der_text(data, two[1])}")
    return ", ".join(parts)


class _Half:
    """One direction: bytes of an incomplete record, and of an incomplete handshake message."""

    __slots__ = ("changed", "handshake", "record", "seen", "started")

    def __init__(self) -> None:
        self.record = bytearray()
        self.handshake = bytearray()
        self.changed = False
        self.seen = 0
        self.started = False


class Tls(Service):
    name = "tls"
    sources = SOURCES
    events = (
        "invalid_record_version", "invalid_record_type", "invalid_record_length", "invalid_handshake_message", "invalid_certificate",
        "certificate_invalid_length", "certificate_invalid_der", "error_message_encountered", "invalid_ssl_record",
        "handshake_invalid_length", "multiple_sni_extensions", "invalid_sni_type", "invalid_sni_length", "invalid_heartbeat_message",
        "overflow_heartbeat_message", "certificate_invalid_version", "certificate_invalid_serial", "certificate_invalid_x509name",
        "certificate_invalid_algorithmidentifier", "certificate_invalid_date", "certificate_invalid_extensions",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._tx = TlsTransaction(0)
        self.record_version = self._tx.record_version
        self.states = self._tx.states
        self.count = 1
        self.transactions.append(self._tx)
        self._halves = (_Half(), _Half())
        self._beating: bool | None = None

    def feed(self, to_server: bool, data: bytes) -> None:
        half = self._halves[to_server]
        if self.encrypted or half.seen > MAX_TLS_HANDSHAKE_BYTES:
            return
        half.seen += len(data)
        half.record += data
        while len(half.record) >= 5 and not self.stopped:
            kind, version, size = half.record[0], half.record[1] << 8 | half.record[2], half.record[3] << 8 | half.record[4]
            if not half.started and kind & 0x80 and half.record[2] in (1, 2, 4):
                if not self._old_record(to_server, half):
                    return
                continue
            if kind not in (_CHANGE, _ALERT, _HANDSHAKE, _DATA, _HEARTBEAT):
                self._tx.event("invalid_record_type", to_server)
                self._tx.event("invalid_ssl_record", to_server)
                self.stopped = True
                return
            if version >> 8 != 3 or version & 0xFF > 4:
                self._tx.event("invalid_record_version", to_server)
                self._tx.event("invalid_ssl_record", to_server)
                self.stopped = True
                return
            if size > _MAX_RECORD:
                self._tx.event("invalid_record_length", to_server)
                self._tx.event("invalid_ssl_record", to_server)
                self.stopped = True
                return
            half.started = True
            self.record_version[to_server] = version
            if kind == _HANDSHAKE and not half.changed:
                # A handshake message is read as its bytes come, before the record is whole.
                have = min(size, len(half.record) - 5)
                if have < size:
                    break
            if len(half.record) < 5 + size:
                break
            body = bytes(half.record[5 : 5 + size])
            del half.record[: 5 + size]
            self._record(to_server, half, kind, body)

    def gap(self, to_server: bool, size: int) -> None:
        self.stopped = True

    def _old_record(self, to_server: bool, half: _Half) -> bool:
        """SSL 2: two bytes of length with the top bit set, then a message."""
        size = (half.record[0] & 0x7F) << 8 | half.record[1]
        if len(half.record) < 2 + size:
            return False
        body = bytes(half.record[2 : 2 + size])
        del half.record[: 2 + size]
        half.started = True
        if body[0] == 1 and len(body) >= 9:
            version = body[1] << 8 | body[2]
            self.record_version[to_server] = 0x0200 if version == 2 else version
            self.states.add("client_hello")
            if version < 0x0300:
                self._tx.version = 0x0200
            self._tx.progress[to_server] = max(self._tx.progress[to_server], HELLO)
        elif body[0] == 4:
            self.states.add("server_hello")
            self.record_version[to_server] = 0x0200
        return True

    def _record(self, to_server: bool, half: _Half, kind: int, body: bytes) -> None:
        if kind == _HANDSHAKE and not half.changed:
            half.handshake += body
            self._messages(to_server, half)
        elif kind == _CHANGE:
            half.changed = True
            self._tx.progress[to_server] = COMPLETE
            self.wants_raw.add(to_server)
        elif kind == _ALERT:
            if not half.changed and len(body) == 2 and body[0] == 2:
                self._tx.event("error_message_encountered", to_server)
        elif kind == _DATA:
            half.changed = True
            self._tx.progress[to_server] = max(self._tx.progress[to_server], COMPLETE)
            if self._halves[0].changed and self._halves[1].changed:
                self._finished()
        elif kind == _HEARTBEAT and not half.changed and len(body) >= 3:
            self._heartbeat(to_server, body)

    def _heartbeat(self, to_server: bool, body: bytes) -> None:
        """RFC 6520 4: type 1, length 2, payload, 16 bytes of padding at least. What is longer than its record asks for memory."""
        told = body[1] << 8 | body[2]
        if body[0] not in (1, 2) or self._beating == to_server:
            self._tx.event("invalid_heartbeat_message", to_server)
            return
        if self._beating is not None:
            self._beating = None
            return
        self._beating = to_server
        if told > len(body) - 3:
            self._tx.event("overflow_heartbeat_message", to_server)
        elif len(body) - 3 - told < 16:
            self._tx.event("invalid_heartbeat_message", to_server)

    def _finished(self) -> None:
        self.encrypted = True
        for side in (0, 1):
            self._tx.progress[side] = COMPLETE
            self.wants_raw.add(bool(side))

    def _messages(self, to_server: bool, half: _Half) -> None:
        data = half.handshake
        while len(data) >= 4:
            kind, size = data[0], int.from_bytes(data[1:4], "big")
            if len(data) < 4 + size:
                return
            body = bytes(data[4 : 4 + size])
            del data[: 4 + size]
            try:
                if kind == 1 and to_server:
                    self._client_hello(body)
                elif kind == 2:
                    self._server_hello(body)
                elif kind == 11:
                    self._certificates(to_server, body)
                elif kind == 12:
                    self.states.add("server_keyx")
                elif kind == 16:
                    self.states.add("client_keyx")
            except _Cut:
                self._tx.event("invalid_handshake_message", to_server)
                self._tx.event("handshake_invalid_length", to_server)

    def _client_hello(self, body: bytes) -> None:
        tx, f = self._tx, _Fields(body)
        hello = ClientHello(f.number(2))
        tx.hello_random = f.take(32)
        hello.session_id = f.vector(1)
        suites = f.vector(2)
        hello.ciphers = [suites[k] << 8 | suites[k + 1] for k in range(0, len(suites) - 1, 2)]
        f.vector(1)
        hello.extensions = _extensions(f)
        tx.hello = hello
        self._server_names([value for kind, value in hello.extensions if kind == 0])
        name = hello.server_name()
        tx.sni = name.encode("latin1") if name is not None else None
        parts = (
            _plain(hello.ciphers), _plain([k for k, _ in hello.extensions]), _plain(hello.list_of(10, 2, 2)), hello.list_of(11, 1, 1),
        )  # fmt: skip
        tx.ja3 = ",".join([str(hello.version), *("-".join(map(str, p)) for p in parts)])
        tx.ja4 = hello.ja4("t")
        tx.version = hello.version
        self.states.add("client_hello")
        tx.progress[1] = max(tx.progress[1], HELLO)
        self.wants_raw.add(True)

    def _server_names(self, values: list[bytes]) -> None:
        """RFC 6066 3: length of the list 2, then type 1 (0: host name), length 2, name."""
        if len(values) > 1:
            self._tx.event("multiple_sni_extensions", True)
        for value in values[:1]:
            if not value:
                continue
            size = int.from_bytes(value[3:5], "big")
            if len(value) < 5 or size + 5 != len(value):
                self._tx.event("invalid_sni_length", True)
            elif value[2] != 0:
                self._tx.event("invalid_sni_type", True)

    def _server_hello(self, body: bytes) -> None:
        tx, f = self._tx, _Fields(body)
        version = f.number(2)
        tx.server_random = f.take(32)
        f.vector(1)
        cipher = f.number(2)
        f.take(1)
        extensions = _extensions(f)
        found = dict(extensions)
        selected = found.get(43, b"")
        tx.version = int.from_bytes(selected, "big") if len(selected) == 2 else version
        if tx.version >> 8 == 0x7F:
            tx.version = 0x0304
        tx.ja3s = f"{version},{cipher},{'-'.join(str(k) for k, _ in extensions)}"
        names = _Fields(found.get(16, b""))
        if names.left() >= 3:
            tx.server_alpn = _Fields(names.vector(2)).vector(1)
        self.states.add("server_hello")
        tx.progress[0] = max(tx.progress[0], HELLO)
        if tx.version == 0x0304:
            # RFC 8446: everything after the hello is encrypted.
            tx.progress[0] = COMPLETE
        self.wants_raw.add(False)

    def _certificates(self, to_server: bool, body: bytes) -> None:
        tx = self._tx
        chain = tx.certificates[to_server]
        f = _Fields(body)
        whole = f.number(3)
        if whole > f.left():
            tx.event("invalid_certificate", to_server)
            tx.event("certificate_invalid_length", to_server)
            raise _Cut
        inner = _Fields(f.take(whole))
        while inner.left() and len(chain) < MAX_CERTIFICATES:
            size = inner.number(3) if inner.left() >= 3 else 1 << 24
            if size > inner.left():
                tx.event("invalid_certificate", to_server)
                tx.event("certificate_invalid_length", to_server)
                raise _Cut
            chain.append(inner.take(size))
        if chain:
            self._first_certificate(to_server, chain[0])
        tx.progress[to_server] = max(tx.progress[to_server], CERTIFICATE)
        self.wants_raw.add(to_server)

    def _first_certificate(self, to_server: bool, data: bytes) -> None:
        """Fields of RFC 5280 4.1: version [0], serial, algorithm, issuer, validity, subject, ..."""
        tx = self._tx
        try:
            whole = element(data, 0, len(data))
            fields = elements(data, elements(data, whole, 3)[0], 16)
            if fields and fields[0].tag == 0xA0:
                version = element(data, fields[0].start, fields[0].stop)
                if version.tag != _INTEGER or int.from_bytes(data[version.start : version.stop], "big") > 2:
                    self._bad_certificate(to_server, "certificate_invalid_version")
                fields = fields[1:]
            serial, algorithm, issuer, validity, subject = fields[:5]
        except (Broken, ValueError, IndexError):
            for name in ("invalid_certificate", "certificate_invalid_der", "certificate_invalid_length", "invalid_handshake_message"):
                tx.event(name, to_server)
            return
        if serial.tag != _INTEGER:
            self._bad_certificate(to_server, "certificate_invalid_serial")
            return
        tx.serial[to_server] = ":".join(f"{b:02X}" for b in data[serial.start : serial.stop])
        if algorithm.tag != _SEQUENCE:
            self._bad_certificate(to_server, "certificate_invalid_algorithmidentifier")
            return
        try:
            tx.issuer[to_server] = name_text(data, issuer)
            tx.subject[to_server] = name_text(data, subject)
        except (Broken, IndexError):
            self._bad_certificate(to_server, "certificate_invalid_x509name")
            return
        try:
            times = [time_ns(data, e) for e in elements(data, validity, 2)]
        except (Broken, IndexError, ValueError):
            times = []
        if len(times) != 2:
            self._bad_certificate(to_server, "certificate_invalid_date")
            return
        try:
            parsed = certificates.parse_certificate(data)
        except (Broken, IndexError):
            self._bad_certificate(to_server, "certificate_invalid_extensions")
            return
        if not to_server:
            tx.names = parsed.names
            tx.times = (parsed.not_before_ns, parsed.not_after_ns)
            tx.seen_ns = self.now_ns

    def _bad_certificate(self, to_server: bool, why: str) -> None:
        self._tx.event("invalid_certificate", to_server)
        self._tx.event(why, to_server)

    def summary(self, tx: TlsTransaction) -> dict[str, Any] | None:
        """Suricata's `tls` object (output-json-tls.c)."""
        out: dict[str, Any] = {}
        if tx.subject[0] is not None:
            out["subject"] = tx.subject[0]
        if tx.issuer[0] is not None:
            out["issuerdn"] = tx.issuer[0]
        if tx.serial[0] is not None:
            out["serial"] = tx.serial[0]
        if (fingerprint := _fingerprint(tx, False)) is not None:
            out["fingerprint"] = fingerprint.decode()
        if tx.sni is not None:
            out["sni"] = tx.sni.decode("utf-8", "backslashreplace")
        if tx.version:
            out["version"] = _VERSIONS.get(tx.version, f"0x{tx.version:04x}")
        if tx.ja3 is not None:
            out["ja3"] = {"hash": _md5(tx.ja3), "string": tx.ja3}
        if tx.ja3s is not None:
            out["ja3s"] = {"hash": _md5(tx.ja3s), "string": tx.ja3s}
        if tx.ja4 is not None:
            out["ja4"] = tx.ja4
        return {"tls": out}


_VERSIONS: Final = {0x0200: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
