"""In: the messages of an NTLM exchange, in whatever protocol. Out: a row of table `ntlm`, and one of `logins`. Never here: what carries
them, or a response beyond its kind and length.

[MS-NLMP] 2.2.1 (messages), 2.2.2 (structures), 3.3 (which response is of which version)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tracehound.limits import MAX_NTLM_PAIRS
from tracehound.protocols.lines import visible
from tracehound.protocols.reporter import Reporter

SIGNATURE: Final = b"NTLMSSP\0"
_UNICODE, _EXTENDED, _VERSION = 0x1, 0x80000, 0x2000000
(_NB_COMPUTER, _NB_DOMAIN, _DNS_COMPUTER, _DNS_DOMAIN, _DNS_TREE, _TARGET) = (1, 2, 3, 4, 5, 9)
_V1_RESPONSE: Final = 24


@dataclass(slots=True)
class Challenge:
    """What the server says of itself: AV pairs by number."""

    target: str | None
    pairs: dict[int, str]
    os_version: str | None


@dataclass(slots=True)
class Authenticate:
    """What the client says of itself."""

    user: str | None
    domain: str | None
    host_name: str | None
    version: str
    os_version: str | None
    target_spn: str | None


def _field(data: bytes, at: int) -> bytes:
    """[MS-NLMP] 2.2.1: length, room, offset."""
    size, start = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
    return data[start : start + size]


def _text(raw: bytes, unicode: bool) -> str | None:
    return visible(raw.decode("utf-16-le" if unicode else "latin-1", "replace").rstrip("\0")) or None


def _os_version(data: bytes, at: int) -> str | None:
    """[MS-NLMP] 2.2.2.10: major, minor, build."""
    if len(data) < at + 8 or not any(data[at : at + 4]):
        return None
    return f"{data[at]}.{data[at + 1]}.{int.from_bytes(data[at + 2 : at + 4], 'little')}"


def _pairs(raw: bytes) -> dict[int, str]:
    """[MS-NLMP] 2.2.2.1: AV pairs; number 0 ends them."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(MAX_NTLM_PAIRS):
        number, size = int.from_bytes(raw[at : at + 2], "little"), int.from_bytes(raw[at + 2 : at + 4], "little")
        if number == 0 or at + 4 + size > len(raw):
            break
        if number in (_NB_COMPUTER, _NB_DOMAIN, _DNS_COMPUTER, _DNS_DOMAIN, _DNS_TREE, _TARGET):
            found[number] = _text(raw[at + 4 : at + 4 + size], True) or ""
        at += 4 + size
    return found


def parse_challenge(data: bytes) -> Challenge | None:
    """CHALLENGE_MESSAGE (2.2.1.2)."""
    if data[:8] != SIGNATURE or data[8:12] != b"\x02\0\0\0" or len(data) < 32:
        return None
    flags = int.from_bytes(data[20:24], "little")
    pairs = _pairs(_field(data, 40)) if len(data) >= 48 else {}
    version = _os_version(data, 48) if flags & _VERSION else None
    return Challenge(_text(_field(data, 12), bool(flags & _UNICODE)), pairs, version)


def parse_authenticate(data: bytes) -> Authenticate | None:
    """AUTHENTICATE_MESSAGE (2.2.1.3)."""
    if data[:8] != SIGNATURE or data[8:12] != b"\x03\0\0\0" or len(data) < 52:
        return None
    flags = int.from_bytes(data[60:64], "little") if len(data) >= 64 else 0
    unicode = bool(flags & _UNICODE)
    lm, nt = _field(data, 12), _field(data, 20)
    user = _text(_field(data, 36), unicode)
    spn = None
    if len(nt) > _V1_RESPONSE:
        # 2.2.2.7: 16 bytes of proof, 28 of version, time and challenge, then AV pairs.
        version = "NTLMv2"
        spn = _pairs(nt[44:]).get(_TARGET)
    elif user is None and not nt:
        version = "anonymous"
    elif nt:
        # 3.3.1: with extended session security the LM field holds a client challenge of 8 bytes, and zeros.
        version = "NTLMv1 with session security" if len(lm) == _V1_RESPONSE and not any(lm[8:]) and any(lm[:8]) else "NTLMv1"
    else:
        version = "LM"
    return Authenticate(user, _text(_field(data, 28), unicode), _text(_field(data, 44), unicode), version,
                        _os_version(data, 64) if flags & _VERSION else None, spn)  # fmt: skip


def messages_in(blob: bytes) -> bytes | None:
    """The NTLM message in a security token: bare, or somewhere inside SPNEGO (RFC 4178) or SASL."""
    at = blob.find(SIGNATURE)
    return blob[at:] if at >= 0 else None


class NtlmExchange:
    """The exchanges of one session of a protocol. The server's answer to the last message is told by `answered`.

    logins   whether rows of `logins` are wanted, too (a protocol that has its own says no)"""

    def __init__(self, reporter: Reporter, service: str, *, logins: bool = True) -> None:
        self._reporter = reporter
        self._service = service
        self._logins = logins
        self._challenge: Challenge | None = None
        self._waiting: tuple[Authenticate, int, int] | None = None

    def challenge(self, data: bytes) -> None:
        """A message of the server."""
        read = parse_challenge(data)
        if read is not None:
            self._challenge = read

    def authenticate(self, data: bytes, packet_id: int, ts_ns: int) -> Authenticate | None:
        """A message of the client; gives what it says if it names somebody."""
        read = parse_authenticate(data)
        if read is not None:
            self.end()
            self._waiting = read, packet_id, ts_ns
        return read

    def answered(self, accepted: bool | None, answer: str | None = None) -> None:
        """How the server answers the last message."""
        if self._waiting is None:
            return
        said, packet_id, ts_ns = self._waiting
        self._waiting = None
        c = self._challenge
        pairs = c.pairs if c is not None else {}
        r = self._reporter
        r.row(
            "ntlm", ts_ns, self._service, said.user, said.domain, said.host_name, said.version, said.os_version,
            c.os_version if c else None, c.target if c else None, pairs.get(_NB_COMPUTER), pairs.get(_NB_DOMAIN),
            pairs.get(_DNS_COMPUTER), pairs.get(_DNS_DOMAIN), pairs.get(_DNS_TREE), said.target_spn, accepted, packet_id, r.said,
        )  # fmt: skip
        if not self._logins:
            return
        name = f"{said.domain}\\{said.user}" if said.domain and said.user else said.user
        r.login(name, "NTLM", cleartext=False, accepted=accepted, answer=answer, packet_id=packet_id, ts_ns=ts_ns,
                note="anonymous" if said.user is None else None)  # fmt: skip

    def end(self) -> None:
        """No answer comes any more."""
        self.answered(None)
