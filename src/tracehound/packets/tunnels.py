"""In: a packet whose protocol or ports may mean a tunnel. Out: what it carries: where, of which link type, by which tunnel.
Never here: decoding what is carried, or how often that is done (decode.py).

Tunnels over IP are named by the IP protocol. Tunnels over UDP are known by their registered port, as Zeek and Wireshark
do, and Teredo by its content on any port, as Zeek does; all of them must also be well-formed, because any client may have
such a port by chance. Sources stand above the code that follows them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Bool, Int, kernel
from tracehound.packets.batch import TUNNEL
from tracehound.packets.link import (
    ETHER_BRIDGED,
    ETHER_IPV4,
    ETHER_IPV6,
    ETHER_MPLS,
    ETHER_MPLS_MULTICAST,
    ETHER_NSH,
    ETHER_PPP,
    ETHERNET,
    IEEE802_11,
    PPP,
    RAW,
    TYPED_LINK,
    common_type,
)
from tracehound.packets.octets import be16, be32

GRE: Final = 47
ETHERIP: Final = 97
MPLS_IN_IP: Final = 137
IP_CARRIERS: Final = (4, 41, GRE, ETHERIP, MPLS_IN_IP)
"""IP protocols that carry packets."""

_VXLAN_PORT: Final = 4789
_VXLAN_OLD_PORT: Final = 8472
_GENEVE_PORT: Final = 6081
_GTP_PORTS: Final = (2152, 2123)
_TEREDO_PORT: Final = 3544
_AYIYA_PORT: Final = 5072
_L2TP_PORT: Final = 1701
_TEREDO_NETWORK: Final = 0x20010000

_4IN4: Final = np.int64(TUNNEL["4in4"])
_4IN6: Final = np.int64(TUNNEL["4in6"])
_6IN4: Final = np.int64(TUNNEL["6in4"])
_6IN6: Final = np.int64(TUNNEL["6in6"])
_GRE: Final = np.int64(TUNNEL["gre"])
_ERSPAN: Final = np.int64(TUNNEL["erspan"])
_PPTP: Final = np.int64(TUNNEL["pptp"])
_ETHERIP: Final = np.int64(TUNNEL["etherip"])
_VXLAN: Final = np.int64(TUNNEL["vxlan"])
_GENEVE: Final = np.int64(TUNNEL["geneve"])
_GTP: Final = np.int64(TUNNEL["gtp"])
_TEREDO: Final = np.int64(TUNNEL["teredo"])
_AYIYA: Final = np.int64(TUNNEL["ayiya"])
_L2TP: Final = np.int64(TUNNEL["l2tp"])
_NOTHING: Final = (np.int64(0), np.int64(0), np.int64(-1))


@kernel
def may_tunnel(buffer: NDArray[np.uint8], at: Int, end: Int, sport: Int, dport: Int) -> Bool:
    """Whether a UDP datagram is worth a look by `udp_tunnel`; `at` is its payload. This is all that ordinary UDP costs."""
    if dport in (_VXLAN_PORT, _VXLAN_OLD_PORT, _GENEVE_PORT, _AYIYA_PORT, _L2TP_PORT, *_GTP_PORTS, _TEREDO_PORT):
        return True
    if sport in (_AYIYA_PORT, _L2TP_PORT, *_GTP_PORTS, _TEREDO_PORT):
        return True
    # Teredo on any port: an IPv6 header whose length is right, or an indicator (0000, 0001) before one.
    if at + 40 > end:
        return False
    first = np.int64(buffer[at])
    return first >> 4 == 6 or (first == 0 and buffer[at + 1] <= 1)


@kernel
def ip_at(buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int) -> Bool:
    """Whether an IPv4 or IPv6 header stands at `at` whose length fits into what the tunnel carries."""
    if at + 20 > end:
        return False
    version = np.int64(buffer[at]) >> 4
    if version == 4:
        return buffer[at] & 15 >= 5 and 20 <= be16(buffer, at + 2) <= wire_end - at
    return version == 6 and at + 40 <= end and be16(buffer, at + 4) + 40 <= wire_end - at


@kernel
def gre(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Returns (tunnel code, where what is carried begins, its link type or -1)."""
    # RFC 2784, 2890: C, R, K, S, strict source route, recursion 3, flags 5 (RFC 2637: A first), version 3; EtherType;
    # then checksum and offset if C or R, key if K, sequence if S, in version 1 acknowledgment if A; routing if R (RFC 1701).
    if at + 4 > end:
        return _NOTHING
    flags = be16(buffer, at)
    version = flags & 7
    kind = be16(buffer, at + 2)
    sequenced = flags & 0x1000 != 0
    at += 4
    if flags & 0xC000:
        at += 4
    if flags & 0x2000:
        at += 4
    if sequenced:
        at += 4
    if version == 1:
        # RFC 2637 4.1: the key holds payload length and call; the EtherType is PPP's.
        if kind != ETHER_PPP or not flags & 0x2000:
            return _NOTHING
        if flags & 0x0080:
            at += 4
        return (_PPTP, at, np.int64(PPP)) if at < end else _NOTHING
    if version != 0:
        return _NOTHING
    if flags & 0x4000:
        # RFC 1701: source route entries: address family 2, offset 1, length 1; a length of 0 ends them.
        while at + 4 <= end:
            length = np.int64(buffer[at + 3])
            at += 4 + length
            if length == 0:
                break
    if at >= end:
        return _NOTHING
    if kind in (ETHER_IPV4, ETHER_IPV6):
        return _GRE, at, np.int64(RAW)
    if kind == 0x88BE:
        # ERSPAN I has no header of its own and no GRE sequence number; II has 8 bytes (draft-foschiano-erspan).
        return _ERSPAN, at + (8 if sequenced else 0), np.int64(ETHERNET)
    if kind == 0x22EB:
        # ERSPAN III: 12 bytes, and 8 more if the O bit, the last of them, is set.
        if at + 12 > end:
            return _NOTHING
        return _ERSPAN, at + (20 if buffer[at + 11] & 1 else 12), np.int64(ETHERNET)
    if 0x8200 <= kind <= 0x83FF or kind == 0x9000:
        # Aruba access points send 802.11 frames to their controller (zeek/tunnels/gre-aruba-amsdu.pcap).
        return _GRE, at, np.int64(IEEE802_11)
    if kind in (ETHER_BRIDGED, ETHER_PPP, ETHER_MPLS, ETHER_MPLS_MULTICAST, ETHER_NSH):
        return _GRE, at, np.int64(TYPED_LINK | kind)
    return _NOTHING


@kernel
def ip_tunnel(buffer: NDArray[np.uint8], at: Int, end: Int, version: Int, proto: Int) -> tuple[Int, Int, Int]:
    """What an IP packet of one of IP_CARRIERS carries: (tunnel code, where it begins, its link type or -1)."""
    if at >= end:
        return _NOTHING
    if proto == GRE:
        return gre(buffer, at, end)
    if proto == ETHERIP:
        # RFC 3378: version 3 in the first four bits, the rest is 0; then the frame.
        return (_ETHERIP, at + 2, np.int64(ETHERNET)) if at + 2 <= end and be16(buffer, at) == 0x3000 else _NOTHING
    if proto == MPLS_IN_IP:
        # RFC 4023. `mpls` is put on the path where the labels are read, so there is no code here.
        return np.int64(0), at, np.int64(TYPED_LINK | ETHER_MPLS)
    inner = np.int64(buffer[at]) >> 4
    if proto == 4 and inner == 4:
        return (_4IN4 if version == 4 else _4IN6), at, np.int64(RAW)
    if proto == 41 and inner == 6:
        return (_6IN4 if version == 4 else _6IN6), at, np.int64(RAW)
    return _NOTHING


@kernel
def gtp(buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int) -> tuple[Int, Int, Int]:
    # 3GPP TS 29.281 5.1: version 3 bits (1), protocol type 1, spare, E, S, PN; message type (255 = G-PDU); length of what
    # follows the first 8 bytes; TEID 4. E, S or PN: sequence 2, N-PDU 1, next extension 1; an extension: length in 4
    # bytes, contents, next extension.
    if at + 8 > end or buffer[at] & 0xF0 != 0x30 or buffer[at + 1] != 255:
        return _NOTHING
    last = at + 8 + be16(buffer, at + 2)
    if last > wire_end:
        return _NOTHING
    here = at + 8
    if buffer[at] & 7:
        here += 4
        following = np.int64(buffer[here - 1]) if here <= end else np.int64(0)
        if buffer[at] & 4:
            while following != 0 and here + 4 <= end:
                step = np.int64(buffer[here]) * 4
                if step == 0 or here + step > end:
                    return _NOTHING
                following = np.int64(buffer[here + step - 1])
                here += step
    return (_GTP, here, np.int64(RAW)) if ip_at(buffer, here, end, last) else _NOTHING


@kernel
def teredo(buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int, on_port: Bool) -> tuple[Int, Int, Int]:
    # RFC 4380 5.1.1: authentication (0001, identifier length 1, value length 1, both, nonce 8, confirmation 1) and origin
    # (0000, port 2, address 4) may stand before the IPv6 packet, whose length must be right to the byte.
    for _ in range(2):
        if at + 4 <= end and be16(buffer, at) == 1:
            at += 13 + np.int64(buffer[at + 2]) + np.int64(buffer[at + 3])
        elif at + 8 <= end and be16(buffer, at) == 0:
            at += 8
    if at + 40 > end or np.int64(buffer[at]) >> 4 != 6 or be16(buffer, at + 4) + 40 != wire_end - at:
        return _NOTHING
    # On another port than Teredo's one end must have a Teredo address.
    if not on_port and be32(buffer, at + 8) != _TEREDO_NETWORK and be32(buffer, at + 24) != _TEREDO_NETWORK:
        return _NOTHING
    return _TEREDO, at, np.int64(RAW)


@kernel
def ayiya(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int, Int]:
    # draft-massar-v6ops-ayiya 4: identity length (a power of two) and type, signature length (in 4 bytes) and hash method,
    # authentication method and operation (1 = forward), next header, time 4; then identity and signature.
    if at + 8 > end or buffer[at + 2] & 15 != 1 or buffer[at + 3] not in (4, 41):
        return _NOTHING
    inner = at + 8 + (1 << (np.int64(buffer[at]) >> 4)) + (np.int64(buffer[at + 1]) >> 4) * 4
    if inner >= end or np.int64(buffer[inner]) >> 4 != (4 if buffer[at + 3] == 4 else 6):
        return _NOTHING
    return _AYIYA, inner, np.int64(RAW)


@kernel
def l2tp(buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int) -> tuple[Int, Int, Int]:
    # RFC 2661 3.1: T, L, 2 reserved, S, reserved, O, P, 4 reserved, version 2; length if L; tunnel 2, session 2; Ns and Nr if
    # S; offset size 2 and that much padding if O. T is 0 in data messages, which carry PPP.
    if at + 6 > end or be16(buffer, at) & 0xB4FF != 2:
        return _NOTHING
    flags = be16(buffer, at)
    here = at + 2
    if flags & 0x4000:
        if be16(buffer, here) != wire_end - at:
            return _NOTHING
        here += 2
    here += 4
    if flags & 0x0800:
        here += 4
    if flags & 0x0200:
        if here + 2 > end:
            return _NOTHING
        here += 2 + be16(buffer, here)
    return (_L2TP, here, np.int64(PPP)) if here < end else _NOTHING


@kernel
def udp_tunnel(buffer: NDArray[np.uint8], at: Int, end: Int, wire_end: Int, sport: Int, dport: Int) -> tuple[Int, Int, Int]:
    """What a UDP payload from `at` carries: (tunnel code, where it begins, its link type or -1).

    end, wire_end   where it ends in the buffer and on the wire"""
    if dport in (_VXLAN_PORT, _VXLAN_OLD_PORT) and at + 8 <= end:
        # RFC 7348 5: flags with I (0x08) set, reserved 3, VNI 3, reserved 1. Both directions are sent to the port. Extensions
        # use what is reserved; then a common EtherType must stand in its place.
        if be32(buffer, at) == 0x08000000 and buffer[at + 7] == 0:
            return _VXLAN, at + 8, np.int64(ETHERNET)
        if buffer[at] & 8 and common_type(buffer, at + 20, end):
            return _VXLAN, at + 8, np.int64(ETHERNET)
    if dport == _GENEVE_PORT and at + 8 <= end:
        # RFC 8926 3.4: version 2 bits (0), options length 6 in 4 bytes; O, C, reserved 6; EtherType; VNI 3; reserved 1.
        size = 8 + np.int64(buffer[at]) * 4
        kind = be16(buffer, at + 2)
        if buffer[at] <= 63 and buffer[at + 1] & 0x3F == 0 and buffer[at + 7] == 0 and at + size <= end:
            if kind in (ETHER_BRIDGED, ETHER_IPV4, ETHER_IPV6, ETHER_MPLS, ETHER_NSH):
                return _GENEVE, at + size, np.int64(TYPED_LINK | kind)
    if dport in _GTP_PORTS or sport in _GTP_PORTS:
        found = gtp(buffer, at, end, wire_end)
        if found[2] >= 0:
            return found
    if dport == _AYIYA_PORT or sport == _AYIYA_PORT:
        found = ayiya(buffer, at, end)
        if found[2] >= 0:
            return found
    if dport == _L2TP_PORT or sport == _L2TP_PORT:
        found = l2tp(buffer, at, end, wire_end)
        if found[2] >= 0:
            return found
    return teredo(buffer, at, end, wire_end, dport == _TEREDO_PORT or sport == _TEREDO_PORT)
