"""In: what a client says in a SASL exchange, line by line. Out: who logs in and how. Never here: the secret, beyond telling where it
is, or the protocol that carries the exchange (smtp.py, pop.py, imap.py).

RFC 4422 (SASL), 4616 (PLAIN), 2195 (CRAM-MD5), 2831 (DIGEST-MD5), 5802 (SCRAM), MS-NLMP (NTLM), 7628 (OAUTHBEARER); LOGIN as
draft-murchison-sasl-login describes it."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Final

from tracehound.protocols.lines import words_of

_CLEAR: Final = frozenset({"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"})
_RESPONSES: Final = {"PLAIN": 1, "LOGIN": 2, "CRAM-MD5": 1, "XOAUTH2": 1, "OAUTHBEARER": 1, "NTLM": 2, "DIGEST-MD5": 2}
_MOST: Final = 6


def decoded(raw: bytes) -> bytes | None:
    """Base64 of a line; None = it is none."""
    try:
        return binascii.a2b_base64(raw.strip(), strict_mode=True)
    except binascii.Error:
        return None


def _plain(said: bytes, _count: int) -> str | None:
    """RFC 4616: [authzid] NUL authcid NUL passwd."""
    parts = said.split(b"\0")
    return words_of(parts[1]) if len(parts) >= 3 else None


def _login(said: bytes, count: int) -> str | None:
    """The first response is the name, the second the password."""
    return words_of(said) if count == 1 else None


def _cram(said: bytes, _count: int) -> str | None:
    """RFC 2195: user, a space, the digest."""
    return words_of(said.rpartition(b" ")[0]) or None


def _digest(said: bytes, _count: int) -> str | None:
    found = re.search(rb'username="([^"]{0,400})"', said)
    return words_of(found.group(1)) if found else None


def _scram(said: bytes, _count: int) -> str | None:
    """RFC 5802 7: n=user in the first message."""
    found = re.search(rb",n=([^,]{1,400})", said)
    return words_of(found.group(1)) if found else None


def _bearer(said: bytes, _count: int) -> str | None:
    found = re.search(rb"(?:user=|,a=)([^\x01,]{1,400})", said)
    return words_of(found.group(1)) if found else None


def ntlm_user(said: bytes) -> str | None:
    """MS-NLMP 2.2.1.3: AUTHENTICATE_MESSAGE has domain and user as length, room, offset at 28 and 36, flags at 60."""
    if said[:8] != b"NTLMSSP\0" or said[8:12] != b"\x03\0\0\0" or len(said) < 64:
        return None
    unicode = said[60] & 1

    def field(at: int) -> str:
        size, start = int.from_bytes(said[at : at + 2], "little"), int.from_bytes(said[at + 4 : at + 8], "little")
        return words_of(said[start : start + size].decode("utf-16-le" if unicode else "latin-1", "replace").encode("utf-8"))

    domain, user = field(28), field(36)
    return f"{domain}\\{user}" if domain else user


_USERS: Final[dict[str, Callable[[bytes, int], str | None]]] = {
    "PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram, "DIGEST-MD5": _digest, "XOAUTH2": _bearer, "OAUTHBEARER": _bearer,
    "NTLM": lambda said, _count: ntlm_user(said),
}  # fmt: skip


class Sasl:
    """One exchange. `told` is for the protocol: whether its row has been handed out."""

    def __init__(self, method: bytes) -> None:
        self.method = words_of(method.strip()).upper()[:40] or "?"
        self.user: str | None = None
        self.packet_id = 0
        self.ts_ns = 0
        self.told = False
        self._count = 0

    @property
    def cleartext(self) -> bool:
        """Whether the secret can be read from the exchange."""
        return self.method in _CLEAR

    def start(self, initial: bytes | None, packet_id: int, ts_ns: int) -> bool:
        """The command itself, with an initial response if it has one; returns whether responses are to follow."""
        self.packet_id, self.ts_ns = packet_id, ts_ns
        # RFC 4954 4: an initial response of no bytes is sent as "=".
        return self.response(initial, packet_id, ts_ns) if initial else True

    def response(self, line: bytes, packet_id: int, ts_ns: int) -> bool:
        """A response; returns whether another is to follow."""
        self.packet_id, self.ts_ns = packet_id, ts_ns
        self._count += 1
        if line.strip() == b"*":
            return False
        said = decoded(line) or b""
        if self.user is None:
            read = _USERS.get(self.method, _scram if self.method.startswith("SCRAM-") else None)
            self.user = read(said, self._count) if read else None
        return self._count < _RESPONSES.get(self.method, _MOST)
