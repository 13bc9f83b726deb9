"""In: where an IP header begins. Out: its fields, and where the transport begins or that it is a fragment.
Never here: the transport itself, or putting fragments together (defrag.py).

RFC 791 (IPv4), RFC 8200 (IPv6), RFC 4302 (AH)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_IPV6_EXTENSIONS
from tracehound.packets.batch import NOTE
from tracehound.packets.octets import be16, be32

_CUT: Final = NOTE["IP header cut"]
_BAD: Final = NOTE["IP header malformed"]
_FRAGMENT: Final = NOTE["fragment, waiting for the rest"]
_EXTENSIONS: Final = NOTE["IPv6 extension headers malformed"]
_ESP: Final = NOTE["encrypted (ESP)"]
_NONE: Final = NOTE["no transport (IPv6 no next header)"]


@kernel
def ipv4_header(
    buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int
) -> tuple[Int, Int, Int, Int, Int, Int]:
    """Returns (transport offset, IP end on the wire, proto, ip id, fragment field, note).

    The fragment field is the 16 bits of flags and offset as they stand in the header."""
    if at + 20 > end:
        return at, at, 0, 0, 0, _CUT
    header = (np.int64(buffer[at]) & 15) * 4
    total = be16(buffer, at + 2)
    if np.int64(buffer[at]) >> 4 != 4 or header < 20:
        return at, at, 0, 0, 0, _BAD
    if total == 0:
        # Segmentation offload: a host that captures its own large sends shows total length 0; the frame's length holds.
        total = wire_end - at
    if total < header:
        return at, at, 0, 0, 0, _BAD
    proto = np.int64(buffer[at + 9])
    ip_id = be16(buffer, at + 4)
    if at + header > end:
        return at, at + total, proto, ip_id, 0, _CUT
    fragment = be16(buffer, at + 6)
    note = 0
    # More fragments (0x2000) or an offset: part of a datagram.
    if fragment & 0x3FFF != 0:
        note = _FRAGMENT
    return at + header, at + total, proto, ip_id, fragment, note


@kernel
def ipv6_header(
    buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int
) -> tuple[Int, Int, Int, Int, Int, Int]:
    """Returns (transport offset, IP end on the wire, proto, fragment id, fragment field, note).

    The fragment field is that of the fragment header with bit 0 as "more"; the offset returned for a fragment is the
    first byte behind the fragment header."""
    if at + 40 > end:
        return at, at, 0, 0, 0, _CUT
    if np.int64(buffer[at]) >> 4 != 6:
        return at, at, 0, 0, 0, _BAD
    payload = be16(buffer, at + 4)
    ip_end = at + 40 + payload
    if payload == 0:
        # A jumbogram (RFC 2675) or segmentation offload.
        ip_end = wire_end
    proto = np.int64(buffer[at + 6])
    here = at + 40
    for _ in range(MAX_IPV6_EXTENSIONS):
        if proto in (0, 43, 60, 135):
            # Hop-by-hop, routing, destination options, mobility: next header, length in 8 bytes beyond the first 8.
            if here + 8 > end:
                return here, ip_end, proto, 0, 0, _CUT
            step = (np.int64(buffer[here + 1]) + 1) * 8
        elif proto == 51:
            # RFC 4302 2.2: payload length is in 4 bytes, minus 2.
            if here + 8 > end:
                return here, ip_end, proto, 0, 0, _CUT
            step = (np.int64(buffer[here + 1]) + 2) * 4
        elif proto == 44:
            # RFC 8200 4.5: next header, reserved, offset 13 bits, reserved 2, M 1, identification 32.
            if here + 8 > end:
                return here, ip_end, proto, 0, 0, _CUT
            fragment = be16(buffer, here + 2) & 0xFFF9
            ip_id = be32(buffer, here + 4)
            proto = np.int64(buffer[here])
            here += 8
            if fragment == 0:
                # RFC 6946: an atomic fragment is a whole datagram.
                continue
            return here, ip_end, proto, ip_id, fragment, _FRAGMENT
        elif proto == 50:
            return here, ip_end, proto, 0, 0, _ESP
        elif proto == 59:
            return here, ip_end, proto, 0, 0, _NONE
        else:
            return here, ip_end, proto, 0, 0, 0
        if proto == 135:
            # RFC 6275 6.1.1: a mobility header is the last; it counts as the transport.
            return here, ip_end, proto, 0, 0, 0
        proto = np.int64(buffer[here])
        here += step
        if here > ip_end:
            return here, ip_end, proto, 0, 0, _EXTENSIONS
    return here, ip_end, proto, 0, 0, _EXTENSIONS
