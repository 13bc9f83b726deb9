"""In: the bytes of one captured frame and its LINKTYPE. Out: which network protocol begins where, behind which VLAN tags and
encapsulations of the link layer. Never here: anything above the link layer, or 802.11 headers (wireless.py).

A frame is followed one header at a time, in one bounded loop: each step knows what stands at a place (a layer) and says what
stands behind it. LINKTYPE numbers and layouts: https://www.tcpdump.org/linktypes.html. Ethernet: IEEE 802.3, 802.1Q, 802.1ad."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Bool, Int, kernel
from tracehound.limits import MAX_LINK_HEADERS, MAX_TUNNEL_DEPTH
from tracehound.packets.batch import NOTE, TUNNEL, TUNNEL_BITS
from tracehound.packets.octets import be16, be32, le16, le32
from tracehound.packets.wireless import data_frame, ppi, prism_or_avs, radiotap

ETHERNET: Final = 1
PPP: Final = 9
RAW: Final = 101
IEEE802_11: Final = 105
LLC: Final = 100
"""LINKTYPE_ATM_RFC1483: nothing before the LLC header."""

ETHER_IPV4: Final = 0x0800
ETHER_IPV6: Final = 0x86DD
ETHER_ARP: Final = 0x0806
ETHER_RARP: Final = 0x8035
ETHER_VLAN: Final = 0x8100
ETHER_QINQ: Final = 0x88A8
ETHER_QINQ_OLD: Final = 0x9100
ETHER_BRIDGED: Final = 0x6558
ETHER_PPP: Final = 0x880B
ETHER_MPLS: Final = 0x8847
ETHER_MPLS_MULTICAST: Final = 0x8848
ETHER_PPPOE: Final = 0x8864
ETHER_PBB: Final = 0x88E7
ETHER_VNTAG: Final = 0x8926
ETHER_ETAG: Final = 0x893F
ETHER_NSH: Final = 0x894F
ETHER_MACSEC: Final = 0x88E5
ETHER_JUMBO_LLC: Final = 0x8870

# What can stand at a place in a frame. TYPED is a place just behind an EtherType.
_IP: Final = 1
_TYPED: Final = 2
_TYPE: Final = 3
_ETHER: Final = 4
_LLC: Final = 5
_PPP: Final = 6
_HDLC: Final = 7
_FRAME_RELAY: Final = 8
_PPPOE: Final = 9
_MPLS: Final = 10
_NSH: Final = 11
_FAMILY: Final = 12
_NFLOG: Final = 13
_WLAN: Final = 14
_WLAN_PADDED: Final = 15
_RADIOTAP: Final = 16
_PRISM: Final = 17
_PPI: Final = 18
_PKTAP: Final = 19
_PFLOG: Final = 20
_SLL2: Final = 21
_TOKEN_RING: Final = 22

LINKS: Final[dict[int, tuple[int, int]]] = {
    0: (0, _FAMILY), 108: (0, _FAMILY),  # NULL, LOOP
    1: (0, _ETHER),
    6: (0, _TOKEN_RING),
    8: (16, _IP),  # SLIP: direction 1, compressed header 15
    9: (0, _PPP), 50: (0, _PPP), 51: (0, _PPPOE),  # PPP, PPP_HDLC, PPP_ETHER
    166: (0, _PPP), 204: (1, _PPP),  # PPP_PPPD, PPP_WITH_DIR
    10: (13, _LLC),  # FDDI: frame control 1, destination 6, source 6
    12: (0, _IP), 14: (0, _IP), 101: (0, _IP), 228: (0, _IP), 229: (0, _IP),  # RAW in its numbers, IPV4, IPV6
    100: (0, _LLC),  # ATM_RFC1483
    104: (0, _HDLC), 205: (1, _HDLC),  # C_HDLC, C_HDLC_WITH_DIR
    105: (0, _WLAN),
    107: (0, _FRAME_RELAY), 206: (1, _FRAME_RELAY),  # FRELAY, FRELAY_WITH_DIR
    109: (12, _IP),  # ENC: address family 4, SPI 4, flags 4
    113: (14, _TYPE),  # LINUX_SLL: packet type 2, ARPHRD 2, address length 2, address 8, protocol 2
    117: (0, _PFLOG),
    119: (0, _PRISM), 163: (0, _PRISM),  # IEEE802_11_PRISM, IEEE802_11_AVS
    122: (16, _LLC),  # IP_OVER_FC, RFC 2625: destination 8, source 8
    123: (4, _LLC),  # SUNATM: flags 1, VPI 1, VCI 2
    127: (0, _RADIOTAP),
    138: (16, _TYPE),  # APPLE_IP_OVER_IEEE1394: destination 8, source 8, EtherType 2
    192: (0, _PPI),
    219: (0, _MPLS),
    226: (24, _IP),  # IPNET
    239: (0, _NFLOG),
    240: (4, _ETHER), 241: (12, _ETHER),  # NETANALYZER: header 4; transparent: preamble 8 too
    242: (0, _TYPE),  # IPOIB, RFC 4391: EtherType 2, reserved 2 (stepped over below)
    258: (0, _PKTAP),
    259: (8, _ETHER), 274: (8, _ETHER),  # EPON, ETHERNET_MPACKET: preamble 8
    276: (0, _SLL2),
}  # fmt: skip
"""LINKTYPE -> bytes in front, and what stands behind them. All others are counted by name."""

IPOIB: Final = 242
TYPED_LINK: Final = 0x10000
"""TYPED_LINK | EtherType is a link type of our own: what stands there is of that EtherType (inner packets of tunnels)."""

_SKIP: Final = np.zeros(512, dtype=np.int64)
_LAYER: Final = np.zeros(512, dtype=np.int64)
for _link, (_bytes, _layer) in LINKS.items():
    _SKIP[_link] = _bytes
    _LAYER[_link] = _layer

_UNKNOWN: Final = NOTE["unknown link type"]
_CUT: Final = NOTE["link header cut"]
_NOT_IP: Final = NOTE["not IP"]
_ARP: Final = NOTE["ARP"]
_CONTROL: Final = NOTE["link-layer control (LLC, LLDP, STP, CDP, LCP)"]
_TUNNEL: Final = NOTE["tunnelled in an encapsulation that is not followed"]
_SECRET: Final = NOTE["encrypted or compressed link (MACsec, PPP)"]
BUNDLE: Final = 255
"""A note that no reader of a batch ever sees: an 802.11 A-MSDU, whose frames decode.py takes out one by one."""

_TO_MPLS: Final = np.int64(TUNNEL["mpls"])
_TO_PPPOE: Final = np.int64(TUNNEL["pppoe"])
_TO_NSH: Final = np.int64(TUNNEL["nsh"])
_TO_VNTAG: Final = np.int64(TUNNEL["vntag"])
_TO_PBB: Final = np.int64(TUNNEL["pbb"])
_TO_MACSEC: Final = np.int64(TUNNEL["macsec"])

# EtherTypes of protocols that only links speak among themselves: slow protocols (LACP), EAPOL, LLDP, CFM, loopback test, PPPoE
# discovery, Cisco's CDP and DTP, DEC's maintenance.
_CONTROL_TYPES: Final = (0x8809, 0x888E, 0x88CC, 0x8902, 0x9000, 0x8863, 0x2000, 0x2004, 0x6001, 0x6002)


@kernel
def pushed(path: Int, code: Int) -> Int:
    """A tunnel path with one more encapsulation inside; what does not fit is not kept."""
    for level in range(MAX_TUNNEL_DEPTH):
        if path >> (TUNNEL_BITS * level) == 0:
            return path | code << (TUNNEL_BITS * level)
    return path


@kernel
def common_type(buffer: NDArray[np.uint8], at: Int, end: Int) -> Bool:
    """Whether a common EtherType stands at `at`."""
    if at + 2 > end:
        return False
    return be16(buffer, at) in (ETHER_IPV4, ETHER_IPV6, ETHER_ARP, ETHER_VLAN, ETHER_QINQ, ETHER_MPLS, ETHER_PPPOE)


@kernel
def ppp_protocol(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """PPP, with or without HDLC-like framing: (protocol or -1, where its data begins)."""
    # RFC 1662 3.1: address 0xFF, control 0x03; pppd writes the direction (0, 1) where the address stands. Both may be
    # left out (RFC 1661 6.6). RFC 1661 2: a protocol is two bytes, or one if its first is odd (6.5).
    if at + 2 <= end and buffer[at + 1] == 3 and (buffer[at] == 0xFF or buffer[at] <= 1):
        at += 2
    if at < end and buffer[at] & 1:
        return np.int64(buffer[at]), at + 1
    if at + 2 > end:
        return -1, at
    return be16(buffer, at), at + 2


@kernel
def frame_relay(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """RFC 2427 and Cisco's own framing: (NLPID, or EtherType if above 255, or -1; where its data begins)."""
    # Q.922 address: the last of its 2 to 4 bytes has bit 0 set.
    size = 2
    while size < 4 and at + size <= end and not buffer[at + size - 1] & 1:
        size += 1
    at += size
    if at + 2 > end:
        return -1, at
    if buffer[at] != 3:
        return be16(buffer, at), at + 2
    # Unnumbered information, perhaps a byte of padding, then the NLPID.
    at += 1
    if buffer[at] == 0:
        at += 1
    if at >= end:
        return -1, at
    return np.int64(buffer[at]), at + 1


@kernel
def nflog_payload(buffer: NDArray[np.uint8], at: Int, end: Int) -> Int:
    """LINKTYPE_NFLOG: family, version, resource id; then TLVs in host order; type 9 (NFULA_PAYLOAD) is the packet. -1: none."""
    at += 4
    while at + 4 <= end:
        length = le16(buffer, at)
        if length < 4:
            return -1
        if le16(buffer, at + 2) & 0x7FFF == 9:
            return at + 4
        at += (length + 3) & ~3
    return -1


@kernel
def network_layer(buffer: NDArray[np.uint8], at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int, Int, Int, Int]:
    """Returns (IP version or 0, offset of the IP header, vlan, tunnel path, EtherType or 0, note)."""
    vlan: Int = np.int64(0)
    path: Int = np.int64(0)
    ether_type: Int = np.int64(0)
    layer: Int = np.int64(0)
    tags = 0
    if link_type >= TYPED_LINK:
        ether_type, layer = link_type & 0xFFFF, _TYPED
    elif 0 <= link_type < _LAYER.size:
        at, layer = at + _SKIP[link_type], _LAYER[link_type]
    if layer == 0:
        return 0, at, 0, 0, 0, _UNKNOWN
    for _ in range(MAX_LINK_HEADERS):
        if layer == _ETHER:
            # Destination 6, source 6, EtherType 2.
            at += 12
            layer = _TYPE
        if layer == _TYPE:
            if at + 2 > end:
                return 0, at, vlan, path, 0, _CUT
            ether_type = be16(buffer, at)
            at += 4 if link_type == IPOIB else 2
            layer = _TYPED
        if layer == _TYPED:
            if ether_type == ETHER_IPV4:
                return 4, at, vlan, path, ether_type, 0
            if ether_type == ETHER_IPV6:
                return 6, at, vlan, path, ether_type, 0
            if ether_type in (ETHER_ARP, ETHER_RARP):
                return 0, at, vlan, path, ether_type, _ARP
            if ether_type in (ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD):
                # IEEE 802.1Q: 16 bits tag control (3 priority, 1 drop eligible, 12 VLAN id), then the next EtherType.
                if at + 4 > end:
                    return 0, at, vlan, path, ether_type, _CUT
                if tags < 2:
                    vlan |= ((be16(buffer, at) & 0xFFF) + 1) << (13 * tags)
                tags += 1
                at += 2
                layer = _TYPE
            elif ether_type <= 1500 or ether_type == ETHER_JUMBO_LLC:
                # IEEE 802.3: a value up to 1500 is a length, and LLC follows.
                layer = _LLC
            elif ether_type in (ETHER_MPLS, ETHER_MPLS_MULTICAST):
                layer = _MPLS
            elif ether_type == ETHER_PPPOE:
                layer = _PPPOE
            elif ether_type == ETHER_VNTAG:
                # Cisco VN-Tag: direction, destination and source interface in 4 bytes, then the next EtherType.
                path = pushed(path, _TO_VNTAG)
                at += 4
                layer = _TYPE
            elif ether_type == ETHER_ETAG:
                # IEEE 802.1BR: 6 bytes, then the next EtherType.
                path = pushed(path, _TO_VNTAG)
                at += 6
                layer = _TYPE
            elif ether_type == ETHER_PBB:
                # IEEE 802.1ah: flags and service instance in 4 bytes, then the customer's frame.
                path = pushed(path, _TO_PBB)
                at += 4
                layer = _ETHER
            elif ether_type == ETHER_BRIDGED:
                layer = _ETHER
            elif ether_type == ETHER_PPP:
                layer = _PPP
            elif ether_type == ETHER_NSH:
                layer = _NSH
            elif ether_type == ETHER_MACSEC:
                # IEEE 802.1AE: TCI (version, ES, SC, SCB, E, C) and AN, short length, packet number 4, SCI 8 if SC. E or C:
                # the user data was changed; neither: only its integrity is protected, and it can be read.
                if at + 1 > end:
                    return 0, at, vlan, path, ether_type, _CUT
                if buffer[at] & 0x0C:
                    return 0, at, vlan, path, ether_type, _SECRET
                path = pushed(path, _TO_MACSEC)
                at += 14 if buffer[at] & 0x20 else 6
                layer = _TYPE
            elif ether_type in _CONTROL_TYPES:
                return 0, at, vlan, path, ether_type, _CONTROL
            else:
                return 0, at, vlan, path, ether_type, _NOT_IP
        elif layer == _LLC:
            # IEEE 802.2: DSAP, SSAP, control. AA AA 03 is SNAP (RFC 1042): OUI 3, protocol 2; OUI 00 00 00 and 00 00 F8
            # (802.1H) make it an EtherType, 00 80 C2 00 07 is a bridged Ethernet frame (RFC 2427, RFC 2684).
            if at + 3 > end:
                return 0, at, vlan, path, 0, _CUT
            if buffer[at] == 6 and buffer[at + 1] == 6 and buffer[at + 2] == 3:
                at += 3
                layer = _IP
            elif at + 8 <= end and be32(buffer, at) >> 8 == 0xAAAA03:
                organisation = be32(buffer, at + 2) & 0xFFFFFF
                ether_type = be16(buffer, at + 6)
                at += 8
                if organisation in (0, 0xF8) and ether_type > 1500:
                    layer = _TYPED
                elif organisation == 0x80C2 and ether_type in (1, 7):
                    layer = _ETHER
                else:
                    return 0, at, vlan, path, 0, _CONTROL
            else:
                return 0, at, vlan, path, 0, _CONTROL
        elif layer == _MPLS:
            # RFC 3032 2.1: label 20, class 3, bottom of stack 1, TTL 8.
            path = pushed(path, _TO_MPLS)
            bottom = False
            for _label in range(MAX_LINK_HEADERS):
                if at + 4 > end:
                    return 0, at, vlan, path, 0, _CUT
                bottom = buffer[at + 2] & 1 == 1
                at += 4
                if bottom:
                    break
            if not bottom or at >= end:
                return 0, at, vlan, path, 0, _TUNNEL
            # Nothing says what the label stands for. RFC 4928: an IP version, or 0 for a pseudo-wire's control word
            # (RFC 4385), or 1 for its associated channel; anything else is a pseudo-wire without control word.
            first = np.int64(buffer[at]) >> 4
            if first in (4, 6):
                layer = _IP
            elif first == 1:
                return 0, at, vlan, path, 0, _CONTROL
            else:
                if first == 0 and not (common_type(buffer, at + 12, end) and not common_type(buffer, at + 16, end)):
                    # Addresses may begin with 0 as well: then only the EtherType's place tells.
                    at += 4
                layer = _ETHER
        elif layer == _PPPOE:
            # RFC 2516 4: version and type 0x11, code 0 in a session, session 2, length 2.
            if at + 6 > end:
                return 0, at, vlan, path, ether_type, _CUT
            if buffer[at] != 0x11 or buffer[at + 1] != 0:
                return 0, at, vlan, path, ether_type, _CONTROL
            path = pushed(path, _TO_PPPOE)
            at += 6
            layer = _PPP
        elif layer == _PPP:
            if at + 2 <= end and buffer[at] in (0x0F, 0x8F) and buffer[at + 1] == 0:
                # LINKTYPE_PPP_HDLC: Cisco's framing on the same kind of line.
                layer = _HDLC
            else:
                protocol, at = ppp_protocol(buffer, at, end)
                if protocol < 0:
                    return 0, at, vlan, path, 0, _CUT
                if protocol == 0x21:
                    return 4, at, vlan, path, ETHER_IPV4, 0
                if protocol == 0x57:
                    return 6, at, vlan, path, ETHER_IPV6, 0
                if protocol in (0x281, 0x283):
                    layer = _MPLS
                elif protocol >= 0x4000:
                    return 0, at, vlan, path, 0, _CONTROL
                elif protocol in (0x00FD, 0x00FB, 0x0053, 0x0055, 0x002D, 0x002F):
                    # Compressed datagrams (and MPPE), encryption, Van Jacobson's headers.
                    return 0, at, vlan, path, 0, _SECRET
                else:
                    return 0, at, vlan, path, 0, _NOT_IP
        elif layer == _HDLC:
            # Address 1 (0x0F unicast, 0x8F broadcast), control 1, EtherType 2; 0x8035 is SLARP there, and nobody's RARP.
            if at + 4 > end:
                return 0, at, vlan, path, 0, _CUT
            ether_type = be16(buffer, at + 2)
            at += 4
            if ether_type == ETHER_RARP:
                return 0, at, vlan, path, 0, _CONTROL
            layer = _TYPED
        elif layer == _FRAME_RELAY:
            kind, at = frame_relay(buffer, at, end)
            if kind < 0:
                return 0, at, vlan, path, 0, _CUT
            if kind > 255:
                ether_type = kind
                layer = _TYPED
            elif kind in (0xCC, 0x8E):
                layer = _IP
            elif kind == 0xCF:
                layer = _PPP
            elif kind == 0x80 and at + 5 <= end:
                ether_type = be16(buffer, at + 3)
                organisation = be32(buffer, at) >> 8
                at += 5
                if organisation == 0:
                    layer = _TYPED
                elif organisation == 0x80C2 and ether_type in (1, 7):
                    layer = _ETHER
                else:
                    return 0, at, vlan, path, 0, _CONTROL
            else:
                return 0, at, vlan, path, 0, _CONTROL
        elif layer == _NSH:
            # RFC 8300 2.2: version 2 bits, O, U, TTL 6, length 6 in 4 bytes; MD type; next protocol.
            if at + 8 > end:
                return 0, at, vlan, path, ether_type, _CUT
            path = pushed(path, _TO_NSH)
            following = np.int64(buffer[at + 3])
            size = (np.int64(buffer[at + 1]) & 0x3F) * 4
            if size < 8:
                return 0, at, vlan, path, ether_type, _TUNNEL
            at += size
            if following in (1, 2):
                layer = _IP
            elif following == 3:
                layer = _ETHER
            elif following == 4:
                layer = _NSH
            elif following == 5:
                layer = _MPLS
            else:
                return 0, at, vlan, path, ether_type, _TUNNEL
        elif layer == _IP:
            # No EtherType: the IP version nibble tells.
            if at >= end:
                return 0, at, vlan, path, 0, _CUT
            version = np.int64(buffer[at]) >> 4
            if version in (4, 6):
                return version, at, vlan, path, 0, 0
            return 0, at, vlan, path, 0, _NOT_IP
        elif layer == _FAMILY:
            # LINKTYPE_NULL and LINKTYPE_LOOP: a 4-byte address family, in the byte order of the host that captured.
            if at + 4 > end:
                return 0, at, vlan, path, 0, _CUT
            # AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 on the BSDs and macOS, 10 on Linux. Either byte order occurs.
            family = be32(buffer, at)
            if family > 0xFFFF:
                family = le16(buffer, at)
            at += 4
            if family == 2:
                return 4, at, vlan, path, 0, 0
            if family in (10, 24, 28, 30):
                return 6, at, vlan, path, 0, 0
            return 0, at, vlan, path, 0, _NOT_IP
        elif layer == _NFLOG:
            at = nflog_payload(buffer, at, end)
            if at < 0:
                return 0, end, vlan, path, 0, _CUT
            layer = _IP
        elif layer in (_WLAN, _WLAN_PADDED):
            at, note, bundled = data_frame(buffer, at, end, 4 if layer == _WLAN_PADDED else 1)
            if note != 0:
                return 0, at, vlan, path, 0, note
            if bundled:
                return 0, at, vlan, path, 0, BUNDLE
            layer = _LLC
        elif layer == _RADIOTAP:
            at, align = radiotap(buffer, at, end)
            if at < 0:
                return 0, end, vlan, path, 0, _CUT
            layer = _WLAN_PADDED if align == 4 else _WLAN
        elif layer == _PRISM:
            at = prism_or_avs(buffer, at, end)
            if at < 0:
                return 0, end, vlan, path, 0, _CUT
            layer = _WLAN
        elif layer in (_PPI, _PKTAP):
            inner = np.int64(-1)
            begin = at
            if layer == _PPI:
                begin, inner = ppi(buffer, at, end)
            elif at + 12 <= end:
                # LINKTYPE_PKTAP: header length 4, record type 4, DLT 4, in the byte order of the (little-endian) Mac.
                begin, inner = at + le32(buffer, at), le32(buffer, at + 8)
            if inner < 0 or begin < at + 8 or begin > end:
                return 0, end, vlan, path, 0, _CUT
            if inner >= _LAYER.size or _LAYER[inner] == 0:
                return 0, begin, vlan, path, 0, _UNKNOWN
            at, layer = begin + _SKIP[inner], _LAYER[inner]
        elif layer == _PFLOG:
            # The first byte is the header's length, which is padded to four bytes.
            if at >= end:
                return 0, at, vlan, path, 0, _CUT
            at += (np.int64(buffer[at]) + 3) & ~3
            layer = _IP
        elif layer == _SLL2:
            # LINUX_SLL2: protocol 2, reserved 2, interface 4, ARPHRD 2, packet type 1, address length 1, address 8.
            if at + 20 > end:
                return 0, at, vlan, path, 0, _CUT
            ether_type = be16(buffer, at)
            at += 20
            layer = _TYPED
        elif layer == _TOKEN_RING:
            # IEEE 802.5: access control 1, frame control 1, destination 6, source 6; the source's first bit says that routing
            # information follows, whose length is the low five bits of its first byte.
            if at + 15 > end:
                return 0, at, vlan, path, 0, _CUT
            at += 14 + (np.int64(buffer[at + 14]) & 0x1F if buffer[at + 8] & 0x80 else 0)
            layer = _LLC
    return 0, at, vlan, path, ether_type, _TUNNEL
