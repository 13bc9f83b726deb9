"""In: where a transport header begins. Out: ports, where its payload begins and ends, and whether its checksum holds.
Never here: IP, or what the payload says.

RFC 9293 (TCP), RFC 768 (UDP), RFC 792 and RFC 4443 (ICMP), RFC 9260 (SCTP)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Bool, Int, kernel
from tracehound.packets.batch import NOTE
from tracehound.packets.octets import be16

_TRANSPORT_CUT: Final = NOTE["transport header cut"]
_TRANSPORT_BAD: Final = NOTE["transport header malformed"]
_TRANSPORT_OTHER: Final = NOTE["transport not decoded"]

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58
SCTP: Final = 132


@kernel
def ones_complement(buffer: NDArray[np.uint8], at: Int, end: Int, total: Int) -> Int:
    """RFC 1071: the running sum of 16-bit words, not yet folded or complemented."""
    while at + 1 < end:
        total += be16(buffer, at)
        at += 2
    if at < end:
        total += np.int64(buffer[at]) << 8
    return total


@kernel
def folded(total: Int) -> Int:
    """RFC 1071: carries added back in; 0xFFFF means that the checksum holds."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@kernel
def transport(buffer: NDArray[np.uint8], at: Int, end: Int, ip_end: Int, proto: Int) -> tuple[Int, Int, Int, Int, Int]:
    """Read the transport header at `at`. Returns (note, sport, dport, header bytes, end of the transport on the wire)."""
    captured = min(end, ip_end)
    sport, dport = np.int64(0), np.int64(0)
    if proto == TCP or proto == UDP:
        # RFC 9293 3.1: ports 4, sequence 4, acknowledgment 4, data offset 4 bits, flags, window 2, checksum 2, urgent 2.
        # RFC 768: ports 4, length 2 (header included), checksum 2.
        if at + 4 <= captured:
            sport, dport = be16(buffer, at), be16(buffer, at + 2)
        if at + (20 if proto == TCP else 8) > captured:
            return _TRANSPORT_CUT, sport, dport, np.int64(0), ip_end
        if proto == TCP:
            header = (np.int64(buffer[at + 12]) >> 4) * 4
            if header < 20 or at + header > ip_end:
                return _TRANSPORT_BAD, sport, dport, np.int64(0), ip_end
            return np.int64(0), sport, dport, header, ip_end
        length = be16(buffer, at + 4)
        if 0 < length < 8:
            return _TRANSPORT_BAD, sport, dport, np.int64(0), ip_end
        return np.int64(0), sport, dport, np.int64(8), min(ip_end, at + length) if length else ip_end
    if proto == ICMP or proto == ICMPV6:
        # RFC 792, RFC 4443: type, code, checksum 2, then 4 bytes that depend on the type.
        if at + 2 <= captured:
            sport, dport = np.int64(buffer[at]), np.int64(buffer[at + 1])
        if at + 8 > captured:
            # A message shorter than its own eight bytes was never whole; otherwise the capture cut it.
            return _TRANSPORT_BAD if at + 8 > ip_end else _TRANSPORT_CUT, sport, dport, np.int64(0), ip_end
        return np.int64(0), sport, dport, np.int64(8), ip_end
    if proto == SCTP:
        # RFC 9260 3.1: ports 4, verification tag 4, checksum 4, then chunks.
        if at + 4 <= captured:
            sport, dport = be16(buffer, at), be16(buffer, at + 2)
        if at + 12 > captured:
            return _TRANSPORT_CUT, sport, dport, np.int64(0), ip_end
        return np.int64(0), sport, dport, np.int64(12), ip_end
    return _TRANSPORT_OTHER, sport, dport, np.int64(0), ip_end


@kernel
def address_sum(hi: np.uint64, lo: np.uint64, version: Int) -> Int:
    """RFC 9293 3.1, RFC 8200 8.1: an address as 16-bit words of the pseudo header, summed."""
    total = np.int64(0)
    if version == 4:
        lo = lo & np.uint64(0xFFFFFFFF)
    for _ in range(4):
        total += np.int64(lo & np.uint64(0xFFFF)) + np.int64(hi & np.uint64(0xFFFF))
        lo = lo >> np.uint64(16)
        hi = hi >> np.uint64(16)
    return total


@kernel
def transport_checksum_bad(buffer: NDArray[np.uint8], at: Int, end: Int, ip_end: Int, proto: Int, pseudo: Int) -> Bool:
    """True where the whole segment is captured and its checksum does not hold (a UDP checksum of 0 means none)."""
    if ip_end > end or (proto != TCP and proto != UDP and proto != ICMP and proto != ICMPV6):
        return False
    if proto == UDP and be16(buffer, at + 6) == 0:
        return False
    total = np.int64(0) if proto == ICMP else pseudo + (ip_end - at) + proto
    return folded(ones_complement(buffer, at, ip_end, total)) != 0xFFFF
