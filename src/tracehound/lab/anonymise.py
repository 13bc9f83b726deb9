"""In: frames of chosen flows, a key, and which payload bytes a rule looks at. Out: frames that may be given away. Never here: choosing
flows, the rule's meaning.

Addresses are mapped one to one such that two that share n leading bits share n leading bits afterwards (Xu, Fan, Ammar, Moon:
Prefix-Preserving IP Address Anonymization, 2002); the function behind each bit is BLAKE2b under the key. Private, link-local, loopback
and multicast prefixes stay what they are, for a rule and a reader need to know them. The link layer is written anew, TCP options
are kept but for time stamps, which tell a host's uptime, and checksums are computed again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracehound.demo.wire import Frame, checksum, number

_KEPT_4: Final = ((0x0A000000, 8), (0xAC100000, 12), (0xC0A80000, 16), (0xA9FE0000, 16), (0x64400000, 10))
_WHOLE_4: Final = ((0x7F000000, 8), (0xE0000000, 4), (0xFFFFFFFF, 32), (0x00000000, 32))
_KEPT_6: Final = ((0xFC, 7, 8), (0xFE80, 10, 16))
_LINK_BYTES: Final = {0: 4, 1: 14, 12: 0, 14: 0, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20}
"""Bytes before the network layer (https://www.tcpdump.org/linktypes.html); Ethernet may have VLAN tags beyond."""
_ETHERNET: Final = bytes.fromhex("020000000002020000000001")
FILLER: Final = ord("x")


class Addresses:
    """A prefix-preserving mapping under one key; the same key gives the same mapping."""

    def __init__(self, key: bytes) -> None:
        self._key = key[:64]
        self._known: dict[bytes, bytes] = {}

    def _bit(self, size: int, length: int, prefix: int) -> int:
        data = struct.pack("!BB", size, length) + prefix.to_bytes(16)
        return hashlib.blake2b(data, digest_size=1, key=self._key).digest()[0] & 1

    def map(self, packed: bytes) -> bytes:
        """Another address of the same length, 4 or 16 bytes."""
        if packed not in self._known:
            self._known[packed] = self._mapped(packed)
        return self._known[packed]

    def _mapped(self, packed: bytes) -> bytes:
        bits = len(packed) * 8
        value = int.from_bytes(packed)
        keep = _kept_bits(value, bits)
        out = 0
        for length in range(bits):
            bit = value >> (bits - 1 - length) & 1
            flip = 0 if length < keep else self._bit(bits, length, value >> (bits - length))
            out = out << 1 | (bit ^ flip)
        made = out.to_bytes(len(packed))
        # What was global must not come to lie in a range with a meaning of its own: then the first bits stay.
        if keep == 0 and _kept_bits(out, bits):
            return (out & ((1 << bits - 8) - 1) | value >> (bits - 8) << (bits - 8)).to_bytes(len(packed))
        return made


def _kept_bits(value: int, bits: int) -> int:
    """Leading bits that stay: of a range with a meaning, or all of an address that is no host's."""
    if bits == 32:
        for base, length in _WHOLE_4:
            if value >> (32 - length) == base >> (32 - length):
                return 32
        return next((n for base, n in _KEPT_4 if value >> (32 - n) == base >> (32 - n)), 0)
    if value in (0, 1) or value >> 120 == 0xFF:
        return 128
    return next((n for base, n, size in _KEPT_6 if value >> (128 - n) == base >> (size - n)), 0)


class _Parts(NamedTuple):
    """Where a frame's layers begin; payload == len where the transport carries none."""

    network: int
    version: int
    proto: int
    transport: int
    payload: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A frame with its payload apart. direction: the sending end as (address, port)."""

    frame: Frame
    parts: _Parts
    direction: tuple[bytes, int]
    payload: bytes


def take_apart(frame: Frame, link_type: int) -> Piece | None:
    """A frame's layers; None for what is no whole TCP, UDP or ICMP packet over IP (fragments, tunnels' outer packets, ARP)."""
    data = frame.data
    at = _LINK_BYTES.get(link_type)
    if at is None:
        return None
    if link_type == 1:
        while data[at - 2 : at] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00") and len(data) > at + 4:
            at += 4
    if len(data) < at + 20:
        return None
    version = data[at] >> 4
    if version == 4:
        head = (data[at] & 15) * 4
        end = min(len(data), at + (int.from_bytes(data[at + 2 : at + 4]) or len(data) - at))
        if head < 20 or int.from_bytes(data[at + 6 : at + 8]) & 0x3FFF:
            return None
        proto, transport, source = data[at + 9], at + head, data[at + 12 : at + 16]
    elif version == 6 and len(data) >= at + 40:
        end = min(len(data), at + 40 + int.from_bytes(data[at + 4 : at + 6]))
        proto, transport, source = data[at + 6], at + 40, data[at + 8 : at + 24]
    else:
        return None
    if proto == 6 and end >= transport + 20:
        payload = transport + max(20, (data[transport + 12] >> 4) * 4)
    elif (proto == 17 and end >= transport + 8) or (proto in (1, 58) and end >= transport + 8):
        payload = transport + 8
    else:
        return None
    if payload > end or (proto == 1 and data[transport] in (3, 4, 5, 11, 12)) or (proto == 58 and data[transport] < 128):
        return None
    port = int.from_bytes(data[transport : transport + 2]) if proto in (6, 17) else 0
    return Piece(frame, _Parts(at, version, proto, transport, payload, end), (source, port), data[payload:end])


def put_together(piece: Piece, payload: bytes, addresses: Addresses) -> Frame:
    """The frame with other addresses and payload (of the same length), behind an Ethernet header of its own."""
    p, data = piece.parts, piece.frame.data
    packet = bytearray(data[p.network : p.payload] + payload)
    at = p.transport - p.network
    if p.version == 4:
        packet[12:16], packet[16:20] = addresses.map(bytes(packet[12:16])), addresses.map(bytes(packet[16:20]))
        packet[2:4] = len(packet).to_bytes(2)
        packet[20:at] = bytes(1 for _ in range(at - 20))  # options may hold addresses: no-operations instead
        packet[10:12] = b"\0\0"
        packet[10:12] = checksum(number(bytes(packet[:at]))).to_bytes(2)
        ends = bytes(packet[12:20])
    else:
        packet[8:24], packet[24:40] = addresses.map(bytes(packet[8:24])), addresses.map(bytes(packet[24:40]))
        packet[4:6] = (len(packet) - 40).to_bytes(2)
        ends = bytes(packet[8:40])
    if p.proto == 6:
        _without_times(packet, at + 20, p.payload - p.network)
    place = at + {6: 16, 17: 6}.get(p.proto, 2)
    if p.proto != 17 or packet[place : place + 2] != b"\0\0":
        packet[place : place + 2] = b"\0\0"
        covered = bytes(packet[at:])
        pseudo = b"" if p.proto == 1 else ends + struct.pack("!II", len(covered), p.proto)
        packet[place : place + 2] = (checksum(number(pseudo + covered)) or (0xFFFF if p.proto == 17 else 0)).to_bytes(2)
    kind = b"\x08\x00" if p.version == 4 else b"\x86\xdd"
    return replace_data(piece.frame, _ETHERNET + kind + bytes(packet))


def replace_data(frame: Frame, data: bytes) -> Frame:
    """The frame with other bytes, without comment, on the only interface."""
    return Frame(frame.ts_ns, data, None, 0)


def _without_times(packet: bytearray, at: int, end: int) -> None:
    """TCP time stamps (kind 8, RFC 7323) become no-operations."""
    while at < end and packet[at] not in (0,):
        if packet[at] == 1:
            at += 1
            continue
        size = packet[at + 1] if at + 1 < end else 0
        if size < 2:
            return
        if packet[at] == 8:
            packet[at : min(at + size, end)] = b"\x01" * (min(at + size, end) - at)
        at += size


# -- payload ------------------------------------------------------------------------------------------------------------

Looks = Callable[[bytes], Sequence[tuple[int, int]]]
"""Says of the bytes of one direction which stretches (begin, end) a rule looks at."""


def masked(pieces: Sequence[Piece], looks: Looks) -> list[bytes]:
    """Payloads with every byte hidden that the rule does not look at. Directions are looked at as streams, so that what stands
    in two segments is found. Line ends stay, so that a text protocol stays one."""
    out = [p.payload for p in pieces]
    for direction in dict.fromkeys(p.direction for p in pieces):
        mine = [i for i, p in enumerate(pieces) if p.direction == direction]
        stream = b"".join(out[i] for i in mine)
        hidden = bytearray(b if b in b"\r\n" else FILLER for b in stream)
        for begin, end in looks(stream):
            hidden[begin:end] = stream[begin:end]
        at = 0
        for i in mine:
            size = len(out[i])
            out[i] = bytes(hidden[at : at + size])
            at += size
    return out


def anonymised(pieces: Sequence[Piece], looks: Looks | None, addresses: Addresses) -> list[Frame]:
    """The frames of flows, ready to be given away; `looks` None keeps all payload."""
    payloads = [p.payload for p in pieces] if looks is None else masked(pieces, looks)
    return [put_together(p, payload, addresses) for p, payload in zip(pieces, payloads, strict=True)]


__all__ = ["Addresses", "Looks", "Piece", "anonymised", "masked", "put_together", "take_apart"]
