"""In: nothing. Out: the shape of a batch of decoded packets: columns over one buffer, the note codes and the tunnel codes.
Never here: decoding (decode.py and its neighbours)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


class PacketBatch(NamedTuple):
    """Decoded packets; every array but `buffer` has length n, in capture order.

    A record of the capture is one row, unless a UDP tunnel was opened or a frame bundles several packets (A-MSDU): then its rows
    follow one another with the same packet_id, the outer one first. Tunnels without ports (GRE, IP in IP) leave no row of
    their own once opened.

    buffer          uint8; payloads lie in it (datagrams put together from fragments are appended at its end)
    packet_id       int64, evidence_id << 40 | frame
    ts              int64, ns UTC
    caplen, wirelen int32, bytes
    file_offset     int64, start of the packet's bytes in the (decompressed) file
    ip_version      uint8, 4, 6, or 0 where the packet is not IP (then the columns below hold 0, save that ARP has the IPv4
                    addresses of sender and target)
    src_hi, src_lo  uint64, address in 128 bits, network order as numbers; IPv4 is ::ffff:a.b.c.d
    dst_hi, dst_lo  uint64
    proto           uint8, transport protocol after IPv6 extension headers
    sport, dport    uint16; ICMP: type and code; not IP: dport is the EtherType where there is one
    tcp_flags       uint8; SCTP: RST where the packet begins with an ABORT
    seq, ack        uint32
    window          uint16
    ttl             uint8
    ip_id           uint32
    ip_bytes        int32, bytes of the IP packet by its own header (a whole datagram for a reassembled one)
    payload_offset  int64, first payload byte in `buffer`; -1 where there is none
    payload_len     int32, transport payload by the headers (wire), whatever was captured
    payload_caplen  int32, payload bytes really in the buffer (<= payload_len)
    option_len      uint8, length of the TCP options
    vlan            int32, 0 none; VLAN id + 1 of the outer tag, inner tag's id + 1 shifted left by 13; a packet in a tunnel
                    without tags of its own has those of the frame that carries it
    tunnel          int32, codes into TUNNELS of TUNNEL_BITS bits each, the outermost in the lowest bits; 0 none
    note            uint8, index into NOTES, 0 = clean
    """

    buffer: NDArray[np.uint8]
    packet_id: NDArray[np.int64]
    ts: NDArray[np.int64]
    caplen: NDArray[np.int32]
    wirelen: NDArray[np.int32]
    file_offset: NDArray[np.int64]
    ip_version: NDArray[np.uint8]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    proto: NDArray[np.uint8]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    tcp_flags: NDArray[np.uint8]
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]
    window: NDArray[np.uint16]
    ttl: NDArray[np.uint8]
    ip_id: NDArray[np.uint32]
    ip_bytes: NDArray[np.int32]
    payload_offset: NDArray[np.int64]
    payload_len: NDArray[np.int32]
    payload_caplen: NDArray[np.int32]
    option_len: NDArray[np.uint8]
    vlan: NDArray[np.int32]
    tunnel: NDArray[np.int32]
    note: NDArray[np.uint8]




def one_a_record(p: PacketBatch) -> NDArray[np.int64] | None:
    """Rows that stand for their records: the first of those in most tunnels. None: every row does."""
    same = p.packet_id[1:] == p.packet_id[:-1]
    if not same.any():
        return None
    # A path of more tunnels is a larger number, because further ones stand in higher bits.
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    deepest = np.maximum.reduceat(p.tunnel, begins)
    record = np.cumsum(np.concatenate([[0], ~same]))
    rows = np.flatnonzero(p.tunnel == deepest[record])
    return rows[np.unique(record[rows], return_index=True)[1]]


CLEAN: Final = 0
NOTES: Final[tuple[str, ...]] = (
    "",
    "unknown link type",
    "link header cut",
    "not IP",
    "ARP",
    "IP header cut",
    "IP header malformed",
    "fragment, waiting for the rest",
    "fragment, not the first of a known datagram",
    "IPv6 extension headers malformed",
    "transport header cut",
    "transport header malformed",
    "transport not decoded",
    "encrypted (ESP)",
    "bad checksum",
    "link-layer control (LLC, LLDP, STP, CDP, LCP)",
    "tunnelled in an encapsulation that is not followed",
    "tunnelled deeper than is followed",
    "802.11 management or control",
    "802.11 encrypted (WEP, WPA)",
    "802.11 fragment, not put together",
    "encrypted or compressed link (MACsec, PPP)",
    "no transport (IPv6 no next header)",
)
NOTE: Final[dict[str, int]] = {text: code for code, text in enumerate(NOTES)}
"""Texts are what the packets table shows in `decode_note`; kernels use the codes."""

ENCRYPTED: Final = ("802.11 encrypted (WEP, WPA)", "encrypted or compressed link (MACsec, PPP)")
"""Why what a frame or a tunnel carries cannot be read."""

TUNNELS: Final[tuple[str, ...]] = (
    "", "4in4", "4in6", "6in4", "6in6", "gre", "erspan", "pptp", "etherip", "vxlan", "geneve", "gtp", "teredo", "ayiya", "l2tp",
    "mpls", "pppoe", "nsh", "vntag", "pbb", "macsec",
)  # fmt: skip
"""What tables show in `tunnel`."""
TUNNEL: Final[dict[str, int]] = {text: code for code, text in enumerate(TUNNELS)}
TUNNEL_BITS: Final = 5
