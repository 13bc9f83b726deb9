"""In: the bytes of one captured frame and its LINKTYPE. Out: which network protocol begins where, behind which VLAN tags.
Never here: anything above the link layer.

LINKTYPE numbers and layouts: https://www.tcpdump.org/linktypes.html. Ethernet: IEEE 802.3, 802.1Q, 802.1ad."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_LINK_HEADERS
from tracehound.packets.batch import NOTE
from tracehound.packets.octets import be16, be32

ETHERNET: Final = 1
NULL: Final = 0
LOOP: Final = 108
RAW: Final = 101
RAW_OPENBSD: Final = 14
RAW_BSD: Final = 12
IPV4_ONLY: Final = 228
IPV6_ONLY: Final = 229
LINUX_SLL: Final = 113
LINUX_SLL2: Final = 276
NFLOG: Final = 239

ETHER_IPV4: Final = 0x0800
ETHER_IPV6: Final = 0x86DD
ETHER_ARP: Final = 0x0806
ETHER_LLDP: Final = 0x88CC
ETHER_VLAN: Final = 0x8100
ETHER_QINQ: Final = 0x88A8
ETHER_QINQ_OLD: Final = 0x9100
ETHER_MPLS: Final = 0x8847
ETHER_PPPOE: Final = 0x8864
ETHER_PBB: Final = 0x88E7

_UNKNOWN: Final = NOTE["unknown link type"]
_CUT: Final = NOTE["link header cut"]
_NOT_IP: Final = NOTE["not IP"]
_ARP: Final = NOTE["ARP"]
_CONTROL: Final = NOTE["link-layer control (LLC, LLDP, STP, CDP)"]
_TUNNEL: Final = NOTE["tunnelled in an encapsulation that is not followed"]


@kernel
def ether_payload(
    buffer: NDArray[np.uint8], at: Int, end: Int, ether_type: Int
) -> tuple[Int, Int, Int, Int]:
    """Follow VLAN tags from `at`, just behind an EtherType. Returns (ip version or 0, offset, vlan, note)."""
    vlan = 0
    for depth in range(MAX_LINK_HEADERS):
        # IEEE 802.1Q: 16 bits tag control (3 priority, 1 drop eligible, 12 VLAN id), then the next EtherType.
        if ether_type not in (ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD):
            break
        if at + 4 > end:
            return 0, at, vlan, _CUT
        tag = (be16(buffer, at) & 0xFFF) + 1
        if depth == 0:
            vlan = tag
        elif depth == 1:
            vlan |= tag << 13
        ether_type = be16(buffer, at + 2)
        at += 4
    if ether_type == ETHER_IPV4:
        return 4, at, vlan, 0
    if ether_type == ETHER_IPV6:
        return 6, at, vlan, 0
    if ether_type == ETHER_ARP:
        return 0, at, vlan, _ARP
    if ether_type <= 1500:
        # IEEE 802.3: a value up to 1500 is a length, and LLC follows. RFC 1042: AA AA 03, OUI 00 00 00, EtherType.
        if at + 8 <= end and be32(buffer, at) == 0xAAAA0300 and be16(buffer, at + 4) == 0:
            inner = be16(buffer, at + 6)
            if inner == ETHER_IPV4:
                return 4, at + 8, vlan, 0
            if inner == ETHER_IPV6:
                return 6, at + 8, vlan, 0
        return 0, at, vlan, _CONTROL
    if ether_type == ETHER_LLDP:
        return 0, at, vlan, _CONTROL
    if ether_type in (ETHER_MPLS, ETHER_PPPOE, ETHER_PBB):
        return 0, at, vlan, _TUNNEL
    return 0, at, vlan, _NOT_IP


@kernel
def raw_ip(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int, Int, Int]:
    """No link header: the IP version nibble tells."""
    if at >= end:
        return 0, at, 0, _CUT
    version = np.int64(buffer[at]) >> 4
    if version in (4, 6):
        return version, at, 0, 0
    return 0, at, 0, _NOT_IP


@kernel
def loopback(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int, Int, Int]:
    """LINKTYPE_NULL and LINKTYPE_LOOP: a 4-byte address family, in the byte order of the host that captured."""
    if at + 4 > end:
        return 0, at, 0, _CUT
    # AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 on the BSDs and macOS, 10 on Linux. Either byte order occurs.
    family = be32(buffer, at)
    if family > 0xFFFF:
        family = np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8
    if family == 2:
        return 4, at + 4, 0, 0
    if family in (10, 24, 28, 30):
        return 6, at + 4, 0, 0
    return 0, at, 0, _NOT_IP


@kernel
def nflog(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int, Int, Int]:
    """LINKTYPE_NFLOG: family, version, resource id; then TLVs in host order; type 9 (NFULA_PAYLOAD) is the packet."""
    if at + 4 > end:
        return 0, at, 0, _CUT
    at += 4
    while at + 4 <= end:
        length = np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8
        kind = (np.int64(buffer[at + 2]) | np.int64(buffer[at + 3]) << 8) & 0x7FFF
        if length < 4:
            return 0, at, 0, _CUT
        if kind == 9:
            return raw_ip(buffer, at + 4, end)
        at += (length + 3) & ~3
    return 0, at, 0, _CUT


@kernel
def network_layer(
    buffer: NDArray[np.uint8], at: Int, end: Int, link_type: Int
) -> tuple[Int, Int, Int, Int]:
    """Returns (IP version or 0, offset of the IP header, vlan, note)."""
    if link_type == ETHERNET:
        # Destination 6, source 6, EtherType 2.
        if at + 14 > end:
            return 0, at, 0, _CUT
        return ether_payload(buffer, at + 14, end, be16(buffer, at + 12))
    if link_type in (RAW, RAW_OPENBSD, RAW_BSD, IPV4_ONLY, IPV6_ONLY):
        return raw_ip(buffer, at, end)
    if link_type == LINUX_SLL:
        # Packet type 2, ARPHRD 2, address length 2, address 8, protocol 2.
        if at + 16 > end:
            return 0, at, 0, _CUT
        return ether_payload(buffer, at + 16, end, be16(buffer, at + 14))
    if link_type == LINUX_SLL2:
        # Protocol 2, reserved 2, interface 4, ARPHRD 2, packet type 1, address length 1, address 8.
        if at + 20 > end:
            return 0, at, 0, _CUT
        return ether_payload(buffer, at + 20, end, be16(buffer, at))
    if link_type in (NULL, LOOP):
        return loopback(buffer, at, end)
    if link_type == NFLOG:
        return nflog(buffer, at, end)
    return 0, at, 0, _UNKNOWN
