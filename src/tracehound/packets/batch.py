"""In: nothing. Out: the shape of a batch of decoded packets: columns over one buffer, and the note codes.
Never here: decoding (decode.py and its neighbours)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


class PacketBatch(NamedTuple):
    """Decoded packets; every array but `buffer` has length n, in capture order.

    buffer          uint8; payloads lie in it (datagrams put together from fragments are appended at its end)
    packet_id       int64, evidence_id << 40 | frame
    ts              int64, ns UTC
    caplen, wirelen int32, bytes
    file_offset     int64, start of the packet's bytes in the (decompressed) file
    ip_version      uint8, 4, 6, or 0 where the packet is not IP (then the columns below hold 0)
    src_hi, src_lo  uint64, address in 128 bits, network order as numbers; IPv4 is ::ffff:a.b.c.d
    dst_hi, dst_lo  uint64
    proto           uint8, transport protocol after IPv6 extension headers
    sport, dport    uint16; ICMP: type and code
    tcp_flags       uint8
    seq, ack        uint32
    window          uint16
    ttl             uint8
    ip_id           uint32
    ip_bytes        int32, bytes of the IP packet by its own header (a whole datagram for a reassembled one)
    payload_offset  int64, first payload byte in `buffer`; -1 where there is none
    payload_len     int32, transport payload by the headers (wire), whatever was captured
    payload_caplen  int32, payload bytes really in the buffer (<= payload_len)
    option_len      uint8, length of the TCP options
    vlan            int32, 0 none; VLAN id + 1 of the outer tag, inner tag's id + 1 shifted left by 13
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
    note: NDArray[np.uint8]


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
    "link-layer control (LLC, LLDP, STP, CDP)",
    "tunnelled in an encapsulation that is not followed",
)
NOTE: Final[dict[str, int]] = {text: code for code, text in enumerate(NOTES)}
"""Texts are what the packets table shows in `decode_note`; kernels use the codes."""
