"""In: the ordered bytes of both directions of a flow that speaks SSH. Out: one row of table `ssh`, and one of `logins` where lengths
tell how a login fared. Never here: decryption.

RFC 4253 (transport), 4252 (authentication), 4419 (group exchange), 8308 (extensions), 5647 (GCM); OpenSSH's PROTOCOL files for
chacha20-poly1305 and encrypt-then-MAC. HASSH: salesforce/hassh (BSD licence). Logins are told from lengths as in Zeek: the answer that
lets a client in is 16 bytes shorter than the one that accepts the service, whatever the cipher."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from typing import Final

from tracehound.limits import MAX_SSH_PACKET_BYTES, MAX_SSH_SEGMENTS
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_BANNER: Final = re.compile(rb"(?:\A|\n)(SSH-(\d{1,4}\.\d{1,4})-([^\r\n]{0,255}))\r?\n")
_MAX_BEFORE_BANNER: Final = 8_192
_KEXINIT, _NEWKEYS = 20, 21
_LISTS: Final = 10
"""RFC 4253 7.1: name-lists of KEXINIT."""
_KEX, _KEY, _CIPHER_OUT, _CIPHER_IN, _MAC_OUT, _MAC_IN, _ZIP_OUT, _ZIP_IN = range(8)
_KEY_TYPES: Final = re.compile(rb"ssh-(?:rsa|dss|ed25519|ed448)|ecdsa-sha2-|rsa-sha2-|sk-|x509v3-|ssh-rsa-cert|pgp-sign-|null")
_MACS: Final[dict[str, int]] = {
    "hmac-md5": 16, "hmac-md5-96": 12, "hmac-sha1": 20, "hmac-sha1-96": 12, "hmac-sha2-256": 32, "hmac-sha2-512": 64,
    "hmac-ripemd160": 20, "umac-64": 8, "umac-128": 16,
}  # fmt: skip
_ACCEPT_TO_SUCCESS: Final = 16
"""SERVICE_ACCEPT for ssh-userauth has 17 bytes, USERAUTH_SUCCESS one: padded to blocks of 8 or 16 they differ by 16."""


def _lists(payload: bytes) -> list[str] | None:
    """The name-lists of a KEXINIT: type, 16 random bytes, ten lists behind their length."""
    at, found = 17, []
    for _ in range(_LISTS):
        size = int.from_bytes(payload[at : at + 4], "big")
        if at + 4 + size > len(payload):
            return None
        found.append(payload[at + 4 : at + 4 + size].decode("latin-1"))
        at += 4 + size
    return found


def _agreed(client: str, server: str) -> str | None:
    """RFC 4253 7.1: the first of the client's that the server has."""
    offered = set(server.split(","))
    return next((name for name in client.split(",") if name in offered and name), None)


def _accept_size(cipher: str, mac: str) -> int | None:
    """Length on the wire of the packet that accepts the service; None = the lengths of this MAC are not known."""
    if "chacha20-poly1305" in cipher:
        return 4 + 24 + 16
    if "gcm" in cipher:
        return 4 + 32 + 16
    size = _MACS.get(mac.split("@", maxsplit=1)[0].removesuffix("-etm"))
    if size is None:
        return None
    block = 16 if cipher.startswith(("aes", "rijndael", "twofish", "serpent", "camellia")) else 8
    # 5 bytes of lengths, 17 of message, 4 of padding at least; encrypt-then-MAC leaves the length in the clear.
    clear = 4 if "-etm" in mac else 0
    inner = 5 - clear + 17 + 4
    return clear + -(-inner // block) * block + size


class _Side:
    """One direction up to its NEWKEYS."""

    __slots__ = ("banner", "buffer", "encrypted", "lists", "lost", "software", "version")

    def __init__(self) -> None:
        self.buffer = b""
        self.banner: str | None = None
        self.version: str | None = None
        self.software: str | None = None
        self.lists: list[str] | None = None
        self.encrypted = False
        self.lost = False


class SshSession(Reporter):
    service = "ssh"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.finished = False
        self._sides = {True: _Side(), False: _Side()}
        self._first: tuple[int, int] | None = None
        self._host_key: bytes | None = None
        self._answers: list[int] = []
        self._answered_at = (0, 0)
        self._beside_newkeys = False
        self._done = False
        self._client_lost = False

    def feed(self, chunk: Chunk) -> None:
        if self._first is None:
            self._first = chunk.segments.packet_at(chunk.offset)
        client = chunk.from_originator
        side = self._sides[client]
        if chunk.gap_before:
            self.note("bytes are missing")
            side.lost = side.lost or not side.encrypted
            if not client:
                self._answers.append(0)
        if not side.lost:
            if side.encrypted:
                self._lengths(client, chunk, chunk.offset)
            else:
                self._clear(client, side, chunk)
        if self._complete():
            self._finish()

    def _complete(self) -> bool:
        both = self._sides.values()
        if all(s.encrypted or s.lost or _is_first(s.version) for s in both):
            if any(s.lost for s in both) or not self._sides[False].encrypted:
                return True
            return len(self._answers) >= MAX_SSH_SEGMENTS or self._guess()[1] is True
        return False

    # -- in the clear -----------------------------------------------------------------------------------------------------
    def _clear(self, client: bool, side: _Side, chunk: Chunk) -> None:
        side.buffer += chunk.data
        if side.banner is None:
            found = _BANNER.search(side.buffer)
            if found is None:
                side.lost = len(side.buffer) > _MAX_BEFORE_BANNER
                return
            side.banner, side.version = words_of(found.group(1)), found.group(2).decode()
            side.software = words_of(found.group(3)).split(" ", 1)[0] or None
            side.buffer = side.buffer[found.end() :]
        if _is_first(side.version):
            side.buffer = b""
            return
        while len(side.buffer) >= 6:
            # RFC 4253 6: length of all that follows, length of the padding, payload, padding.
            size = int.from_bytes(side.buffer[:4], "big")
            if not 2 <= size <= MAX_SSH_PACKET_BYTES:
                side.lost = True
                self.note("not an SSH packet where one should begin")
                return
            if len(side.buffer) < 4 + size:
                return
            payload = side.buffer[5 : max(5, 4 + size - side.buffer[4])]
            side.buffer = side.buffer[4 + size :]
            self._message(client, side, payload)
            if side.encrypted:
                rest, side.buffer = len(side.buffer), b""
                if rest:
                    self._beside_newkeys = self._beside_newkeys or not client
                    self._lengths(client, chunk, chunk.offset + len(chunk.data) - rest)
                return

    def _message(self, client: bool, side: _Side, payload: bytes) -> None:
        kind = payload[0] if payload else 0
        if kind == _KEXINIT and side.lists is None:
            side.lists = _lists(payload)
            if side.lists is None:
                self.note("KEXINIT malformed")
        elif kind == _NEWKEYS:
            side.encrypted = True
        elif not client and self._host_key is None and 31 <= kind <= 33:
            # RFC 4253 8, RFC 4419 3: the reply of the key exchange begins with the host key, which begins with its type.
            key = payload[5 : 5 + int.from_bytes(payload[1:5], "big")]
            if _KEY_TYPES.match(key[4:]):
                self._host_key = key

    # -- encrypted ----------------------------------------------------------------------------------------------------------
    def _lengths(self, client: bool, chunk: Chunk, begin: int) -> None:
        """Lengths of the server's segments from stream offset `begin`."""
        if client:
            return
        starts = [*chunk.segments.starts, chunk.offset + len(chunk.data)]
        for at, stop in pairwise(starts):
            size = int(stop) - max(int(at), begin)
            if size > 0 and len(self._answers) < MAX_SSH_SEGMENTS:
                if not self._answers:
                    self._answered_at = chunk.segments.packet_at(max(int(at), begin))
                self._answers.append(size)

    def _guess(self) -> tuple[int | None, bool | None]:
        """(attempts, whether one worked); None where lengths do not tell."""
        client, server = self._sides[True].lists, self._sides[False].lists
        answers = [a for a in self._answers if a]
        if self.ends.interest.nesting:
            # Inside another protocol segments are not this one's packets.
            return None, None
        if client is None or server is None or len(answers) != len(self._answers) or not answers:
            return None, None
        cipher = _agreed(client[_CIPHER_IN], server[_CIPHER_IN]) or ""
        mac = _agreed(client[_MAC_IN], server[_MAC_IN]) or ""
        accept = _accept_size(cipher, mac)
        if accept is None:
            accept = answers[0]
        # RFC 8308 2.4: a server may send EXT_INFO first; it is no answer. It may share a segment with SERVICE_ACCEPT.
        begin = next((i for i, size in enumerate(answers[:3]) if size == accept or size - accept > 40), None)
        if begin is None:
            return None, None
        failure: int | None = None
        attempts = 0
        for size in answers[begin + 1 :]:
            if size == accept - _ACCEPT_TO_SUCCESS:
                return attempts + 1, True
            if failure is None:
                # Clients ask with method "none" first, to hear which methods there are.
                failure = size
            elif size == failure:
                attempts += 1
        if failure is None:
            return 0, None
        return attempts, False if attempts else None

    # -- rows ---------------------------------------------------------------------------------------------------------------
    def close(self, note: str) -> None:
        self.note(note)
        self._finish()

    def _finish(self) -> None:
        self.finished = True
        if self._done or self._first is None:
            return
        self._done = True
        client, server = self._sides[True], self._sides[False]
        c, s = client.lists, server.lists
        packet_id, ts_ns = self._first
        attempts, success = self._guess()

        def agreed(which: int) -> str | None:
            return _agreed(c[which], s[which]) if c is not None and s is not None else None

        cipher = agreed(_CIPHER_OUT)
        mac = agreed(_MAC_OUT)
        if cipher is not None and ("chacha20-poly1305" in cipher or "gcm" in cipher):
            # OpenSSH PROTOCOL 1.6: these ciphers bring their own integrity.
            mac = "<implicit>"
        offered = None if c is None else ";".join((c[_KEX], c[_CIPHER_OUT], c[_MAC_OUT], c[_ZIP_OUT]))
        given = None if s is None else ";".join((s[_KEX], s[_CIPHER_IN], s[_MAC_IN], s[_ZIP_IN]))
        key = self._host_key
        self.row(
            "ssh", ts_ns, _version(client.version, server.version), client.banner, server.banner, client.software, server.software,
            agreed(_KEX), agreed(_KEY), cipher, mac, agreed(_ZIP_OUT), _colons(key) if key else None,
            base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=") if key else None,
            _md5(offered), offered, _md5(given), given, attempts, success, packet_id, self.said,
        )  # fmt: skip
        if attempts:
            at, when = self._answered_at
            self.login(None, None, cleartext=False, accepted=success, answer=None, packet_id=at, ts_ns=when,
                       note="; ".join(filter(None, (self.said, f"{attempts} attempts, told from lengths"))))  # fmt: skip


def _is_first(version: str | None) -> bool:
    """Protocol 1, whose packets look otherwise."""
    return version is not None and version.startswith("1.") and version != "1.99"


def _version(client: str | None, server: str | None) -> str | None:
    """RFC 4253 5.1: 1.99 is spoken by servers that know both."""
    known = [v for v in (client, server) if v]
    if not known:
        return None
    return "2" if all(v == "1.99" or v.startswith("2") for v in known) else "1"


def _md5(text: str | None) -> str | None:
    return None if text is None else hashlib.md5(text.encode("latin-1"), usedforsecurity=False).hexdigest()


def _colons(key: bytes) -> str:
    return hashlib.md5(key, usedforsecurity=False).digest().hex(":")


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> SshSession:
    """Opener for STREAMS."""
    return SshSession(ends, emit)
