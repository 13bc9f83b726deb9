"""In: addresses, ports, protocol. Out: what makes two packets one flow: a symmetric hash, the ICMP counterparts, Zeek's
likely server ports, and the Community ID. Never here: flow state.

Community ID v1: https://github.com/corelight/community-id-spec. ICMP counterparts: RFC 792, RFC 1256, RFC 4443, RFC 4861."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.state import HI, LO, ONE_WAY, ORIG, PORT, PROTO, VERSION, Closed
from tracehound.kernels import Int, kernel
from tracehound.packets.addresses import end_hash

V4_MAPPED: Final = 0xFFFF00000000
"""Upper part of ::ffff:a.b.c.d in the lower 64 bits."""

ICMP_PAIRS: Final[dict[int, int]] = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}
ICMPV6_PAIRS: Final[dict[int, int]] = {
    128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135, 130: 131, 131: 130, 139: 140, 140: 139, 144: 145, 145: 144,
}  # fmt: skip
_ICMP_TABLE: Final = np.full(256, -1, dtype=np.int64)
_ICMPV6_TABLE: Final = np.full(256, -1, dtype=np.int64)
for _a, _b in ICMP_PAIRS.items():
    _ICMP_TABLE[_a] = _b
for _a, _b in ICMPV6_PAIRS.items():
    _ICMPV6_TABLE[_a] = _b

LIKELY_TCP: Final = (
    21, 22, 25, 53, 79, 80, 81, 88, 110, 111, 113, 135, 137, 139, 143, 389, 443, 445, 502, 514, 563, 585, 587, 614, 631,
    636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5060, 5222, 5223, 5269, 5432, 6379, 6666,
    6667, 6668, 6669, 8000, 8080, 8888, 20000,
)  # fmt: skip
LIKELY_UDP: Final = (
    53, 67, 69, 88, 111, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3389, 3544, 4011, 4789, 5060, 5072, 5353, 5355,
    6081, 20000,
)  # fmt: skip
"""Ports at which Zeek's own analyzers listen (its likely_server_ports): they decide who the responder is when the start of
a conversation is not in the capture."""

SERVER_PORTS: Final = np.zeros((2, 65536), dtype=np.bool_)
SERVER_PORTS[0, list(LIKELY_TCP)] = True
SERVER_PORTS[1, list(LIKELY_UDP)] = True


@kernel
def icmp_counterpart(proto: Int, kind: Int) -> Int:
    """The ICMP type that answers `kind`, or -1 where the message expects no answer."""
    if proto == 1:
        return _ICMP_TABLE[kind]
    return _ICMPV6_TABLE[kind]


@kernel
def flow_hash(src_hi: Int, src_lo: Int, sport: Int, dst_hi: Int, dst_lo: Int, dport: Int, proto: Int) -> Int:
    """32 bits that are the same for both directions of a flow. Addresses are 64-bit halves as int64."""
    both = np.uint64(end_hash(src_hi, src_lo, sport)) + np.uint64(end_hash(dst_hi, dst_lo, dport)) + np.uint64(proto)
    return np.int64((both ^ both >> np.uint64(32)) & np.uint64(0xFFFFFFFF))


def community_id(
    source: bytes, destination: bytes, proto: int, sport: int, dport: int, *, one_way: bool, has_ports: bool, seed: int = 0
) -> str:
    """Community ID v1 of one flow; addresses in network order. For ICMP, sport is the type, dport its counterpart or code."""
    # "1:" + base64(sha1(seed . saddr . daddr . proto . 0 . sport . dport)), the smaller end first; one-way ICMP as it is;
    # protocols without ports order the addresses and leave the ports out.
    a, b = (source, sport), (destination, dport)
    if not has_ports:
        a, b = (source, 0), (destination, 0)
    if not one_way and a > b:
        a, b = b, a
    data = struct.pack("!H", seed) + a[0] + b[0] + struct.pack("!BB", proto, 0)
    if has_ports:
        data += struct.pack("!HH", a[1], b[1])
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


_BASE64: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8)
_ID_CHARS: Final = 30
"""'1:' and 28 letters of base64 for 20 bytes of SHA-1."""
_HAS_PORTS: Final = np.zeros(256, dtype=np.bool_)
_HAS_PORTS[[1, 6, 17, 58, 132]] = True


@kernel
def write_community_ids(closed: Closed, text: NDArray[np.uint8], words: NDArray[np.int64], message: NDArray[np.int64]) -> None:
    """Write the Community ID of each finished flow as _ID_CHARS letters into the row of `text`. `words` (80) and `message` (64)
    are room to work in."""
    for i in range(closed.shape[1]):
        a = int(closed[ORIG, i])
        b = 1 - a
        ported = _HAS_PORTS[closed[PROTO, i]]
        # The smaller end (address, then port) goes first; a one-way ICMP message stays as it is.
        if not (ported and closed[ONE_WAY, i]):
            swap = 0
            for column in (HI, LO):
                x, y = np.uint64(closed[column + a, i]), np.uint64(closed[column + b, i])
                if swap == 0 and x != y:
                    swap = 1 if x > y else -1
            if swap == 0 and ported and closed[PORT + a, i] > closed[PORT + b, i]:
                swap = 1
            if swap == 1:
                a, b = b, a
        # seed 2 (zero), the two addresses, protocol, zero, and the ports where there are any.
        message[:] = 0
        n = 2
        for end in (a, b):
            if closed[VERSION, i] != 4:
                for k in range(8):
                    message[n + k] = closed[HI + end, i] >> (56 - 8 * k) & 0xFF
                n += 8
            width = 4 if closed[VERSION, i] == 4 else 8
            for k in range(width):
                message[n + k] = closed[LO + end, i] >> (8 * (width - 1 - k)) & 0xFF
            n += width
        message[n] = closed[PROTO, i]
        n += 2
        if ported:
            for end in (a, b):
                message[n] = closed[PORT + end, i] >> 8 & 0xFF
                message[n + 1] = closed[PORT + end, i] & 0xFF
                n += 2
        # FIPS 180-4 section 5.1.1: a one bit, zeros, and the length in bits in the last 8 bytes. One block holds 55 bytes,
        # and the longest message here has 42.
        message[n] = 0x80
        message[62], message[63] = n * 8 >> 8, n * 8 & 0xFF
        for t in range(16):
            words[t] = message[4 * t] << 24 | message[4 * t + 1] << 16 | message[4 * t + 2] << 8 | message[4 * t + 3]
        # Section 6.1.2: SHA-1 of one block.
        for t in range(16, 80):
            w = words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]
            words[t] = (w << 1 | w >> 31) & 0xFFFFFFFF
        h0, h1, h2, h3, h4 = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0
        for t in range(80):
            if t < 20:
                mixed = ((h1 & h2) | (~h1 & h3)) + 0x5A827999
            elif t < 40:
                mixed = (h1 ^ h2 ^ h3) + 0x6ED9EBA1
            elif t < 60:
                mixed = ((h1 & h2) | (h1 & h3) | (h2 & h3)) + 0x8F1BBCDC
            else:
                mixed = (h1 ^ h2 ^ h3) + 0xCA62C1D6
            mixed = (mixed + (h0 << 5 | h0 >> 27) + h4 + int(words[t])) & 0xFFFFFFFF
            h4, h3, h2, h1, h0 = h3, h2, (h1 << 30 | h1 >> 2) & 0xFFFFFFFF, h0, mixed
        message[0] = (h0 + 0x67452301) & 0xFFFFFFFF
        message[1] = (h1 + 0xEFCDAB89) & 0xFFFFFFFF
        message[2] = (h2 + 0x98BADCFE) & 0xFFFFFFFF
        message[3] = (h3 + 0x10325476) & 0xFFFFFFFF
        message[4] = (h4 + 0xC3D2E1F0) & 0xFFFFFFFF
        message[5] = 0
        # RFC 4648 section 4: six bits a letter; 160 bits are 27 letters, the last of them half empty, and one '='.
        text[i, 0], text[i, 1], text[i, _ID_CHARS - 1] = 49, 58, 61
        for k in range(27):
            # Behind the five words of the hash stands a zero, of which the last letter takes two bits.
            bit = 6 * k
            two = int(message[bit >> 5]) << 32 | int(message[(bit >> 5) + 1])
            text[i, 2 + k] = _BASE64[two >> (58 - (bit & 31)) & 63]


def community_ids(closed: Closed) -> pa.Array:
    """Community IDs of finished flows, in their order, as a text column."""
    n = closed.shape[1]
    text = np.empty((n, _ID_CHARS), dtype=np.uint8)
    write_community_ids(closed, text, np.empty(80, np.int64), np.empty(64, np.int64))
    ends = np.arange(0, (n + 1) * _ID_CHARS, _ID_CHARS, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(ends), pa.py_buffer(text)])
