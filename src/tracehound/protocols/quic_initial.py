"""In: QUIC datagrams, one at a time. Out: their packets, those of type Initial decrypted. Never here: a connection (quic.py), or what the
handshake says (tls.py).

RFC 8999 (invariants), 9000 section 17 (packets), 9001 section 5 (protection of Initial packets, whose keys anyone can derive), 9369
(version 2); drafts 23 to 34 differ in the salt."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

INITIAL, ZERO_RTT, HANDSHAKE, RETRY, NEGOTIATION, ONE_RTT = "initial", "0-rtt", "handshake", "retry", "negotiation", "1-rtt"
VERSION_2: Final = 0x6B3343CF
_SALT_1: Final = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_2: Final = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SALT_29: Final = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_SALT_23: Final = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_TYPES: Final = (INITIAL, ZERO_RTT, HANDSHAKE, RETRY)
_TYPES_2: Final = (RETRY, INITIAL, ZERO_RTT, HANDSHAKE)
"""RFC 9369 3.2."""
_MAX_ID: Final = 20
_SAMPLE, _TAG = 16, 16
_MOST_PACKETS: Final = 16
"""Packets of one datagram that are read: a datagram of 65,535 bytes could hold thousands."""


class Packet(NamedTuple):
    """One packet. payload: of Initials the protected part, from the packet number on; header: what stands before it."""

    kind: str
    version: int
    dcid: bytes
    scid: bytes
    header: bytes
    payload: bytes


class Keys(NamedTuple):
    key: bytes
    iv: bytes
    mask: bytes


def varint(data: bytes, at: int) -> tuple[int, int]:
    """RFC 9000 16: a number and where it ends; (-1, at) where it is cut."""
    if at >= len(data):
        return -1, at
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return -1, at
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def version_name(version: int) -> str:
    """'1', '2', 'draft-29', 'Q050', otherwise hexadecimal."""
    if version in (1, VERSION_2):
        return "1" if version == 1 else "2"
    if version >> 8 == 0xFF0000:
        return f"draft-{version & 0xFF}"
    raw = version.to_bytes(4, "big")
    return raw.decode("ascii") if raw[:1] in (b"Q", b"T") and raw.isalnum() else f"0x{version:08x}"


def packets(data: bytes) -> Iterator[Packet]:
    """The packets of a datagram (RFC 9000 12.2: several may share one)."""
    at = 0
    for _ in range(_MOST_PACKETS):
        if at >= len(data):
            return
        first = data[at]
        if not first & 0x80:
            # Zeros that pad a datagram (some senders do) are no packet.
            if first & 0x40:
                yield Packet(ONE_RTT, 0, b"", b"", b"", data[at:])
            return
        version = int.from_bytes(data[at + 1 : at + 5], "big")
        end = at + 6 + (data[at + 5] if at + 5 < len(data) else 0)
        dcid = data[at + 6 : end]
        scid_end = end + 1 + (data[end] if end < len(data) else 0)
        scid = data[end + 1 : scid_end]
        if scid_end > len(data) or len(dcid) > _MAX_ID or len(scid) > _MAX_ID:
            return
        if version == 0:
            yield Packet(NEGOTIATION, 0, dcid, scid, b"", data[scid_end:])
            return
        kind = (_TYPES_2 if version == VERSION_2 else _TYPES)[first >> 4 & 3]
        if kind == RETRY:
            yield Packet(RETRY, version, dcid, scid, b"", data[scid_end:])
            return
        here = scid_end
        if kind == INITIAL:
            token, here = varint(data, here)
            if token < 0:
                return
            here += token
        size, here = varint(data, here)
        if size < 0 or here > len(data):
            return
        yield Packet(kind, version, dcid, scid, data[at:here], data[here : here + size])
        at = here + size


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """RFC 8446 7.1: HKDF-Expand-Label without context; no more than one block of SHA-256 is needed."""
    name = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return hmac.digest(secret, info + b"\x01", hashlib.sha256)[:size]


def _salt(version: int) -> bytes:
    if version == VERSION_2:
        return _SALT_2
    if version >> 8 == 0xFF0000 and version & 0xFF < 33:
        return _SALT_29 if version & 0xFF >= 29 else _SALT_23
    return _SALT_1


def keys_for(version: int, dcid: bytes) -> dict[bool, Keys]:
    """RFC 9001 5.2: keys of the client (True) and the server, from the connection id that the client chose for the server."""
    common = hmac.digest(_salt(version), dcid, hashlib.sha256)
    prefix = b"quicv2 " if version == VERSION_2 else b"quic "
    found = {}
    for client, label in ((True, b"client in"), (False, b"server in")):
        secret = _expand(common, label, 32)
        found[client] = Keys(*(_expand(secret, prefix + name, size) for name, size in ((b"key", 16), (b"iv", 12), (b"hp", 16))))
    return found


def decrypted(packet: Packet, keys: Keys) -> bytes | None:
    """The frames of an Initial packet (RFC 9001 5.3, 5.4); None where the keys do not fit."""
    if len(packet.payload) < 4 + _SAMPLE:
        return None
    aead, ecb, refused = _ciphers()
    mask = ecb(keys.mask, packet.payload[4 : 4 + _SAMPLE])
    first = packet.header[0] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(packet.payload[:size], mask[1 : 1 + size], strict=True))
    nonce = (int.from_bytes(keys.iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    header = bytes((first,)) + packet.header[1:] + number
    try:
        plain: bytes = aead(keys.key).decrypt(nonce, packet.payload[size:], header)
    except refused:
        return None
    return plain


def _ciphers() -> tuple[Any, Any, Any]:
    """AES-GCM, one block of AES, and what says that a tag does not fit. Loaded where the first packet asks for it."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def block(key: bytes, sample: bytes) -> bytes:
        # RFC 9001 5.4.3: the mask is one block of AES in ECB mode; nothing is kept secret with it here.
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(sample)  # noqa: S305

    return AESGCM, block, InvalidTag
