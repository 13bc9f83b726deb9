"""In: a buffer and the places of frames in it. Out: the columns of their headers, one row a frame, and which rows need a second
look. Never here: that second look (nesting.py): fragments, and packets within packets.

This kernel meets every packet. What is rare is only marked here, so that it costs the ordinary packet nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.packets.batch import NOTE
from tracehound.packets.ip import ipv4_header, ipv6_header
from tracehound.packets.link import BUNDLE, ETHERNET, network_layer
from tracehound.packets.octets import ask_for, be16, be32, be64
from tracehound.packets.transport import (
    SCTP,
    TCP,
    UDP,
    address_sum,
    folded,
    ones_complement,
    transport,
    transport_checksum_bad,
)
from tracehound.packets.tunnels import ETHERIP, GRE, MPLS_IN_IP, may_tunnel

WAITING: Final = NOTE["fragment, waiting for the rest"]
CARRIER: Final = 254
"""A note that no reader of a batch ever sees: an IP packet of tunnels.IP_CARRIERS."""
_ARP: Final = NOTE["ARP"]
_OTHER: Final = NOTE["transport not decoded"]
_CHECKSUM: Final = NOTE["bad checksum"]
_LOW: Final = np.uint64(0xFFFFFFFF)
_AHEAD: Final = 12
"""Frames between the one that is decoded and the one whose headers are asked for."""
_V4_MAPPED: Final = np.uint64(0xFFFF00000000)


class Frames(NamedTuple):
    """Where frames lie in a buffer: the columns of capture.records.Records that decoding reads."""

    offset: NDArray[np.int64]
    caplen: NDArray[np.int32]
    wirelen: NDArray[np.int32]
    link_type: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Columns of one type side by side: few arguments make kernels that compile fast. Rows of each block in order:

    addresses  src_hi src_lo dst_hi dst_lo      ports  sport dport window       numbers  seq ack ip_id
    small      tcp_flags option_len ttl note ip_version proto
    payload    payload_len payload_caplen ip_bytes vlan tunnel

    Until nesting.py has been there, rows of which `rare` speaks are not finished: a fragment has its fragment field in `window`, and
    a fragment, a CARRIER and a BUNDLE have what they carry in the payload columns."""

    addresses: NDArray[np.uint64]
    ports: NDArray[np.uint16]
    numbers: NDArray[np.uint32]
    small: NDArray[np.uint8]
    payload_offset: NDArray[np.int64]
    payload: NDArray[np.int32]

    def columns(self) -> dict[str, NDArray[Any]]:
        """The rows of the blocks under the names of PacketBatch."""
        named: dict[str, NDArray[Any]] = {"payload_offset": self.payload_offset}
        named |= zip(("src_hi", "src_lo", "dst_hi", "dst_lo"), self.addresses, strict=True)
        named |= zip(("sport", "dport", "window"), self.ports, strict=True)
        named |= zip(("seq", "ack", "ip_id"), self.numbers, strict=True)
        named |= zip(("tcp_flags", "option_len", "ttl", "note", "ip_version", "proto"), self.small, strict=True)
        named |= zip(("payload_len", "payload_caplen", "ip_bytes", "vlan", "tunnel"), self.payload, strict=True)
        return named


def blocks(n: int) -> Blocks:
    return Blocks(
        np.zeros((4, n), np.uint64), np.zeros((3, n), np.uint16), np.zeros((3, n), np.uint32),
        np.zeros((6, n), np.uint8), np.empty(n, np.int64), np.zeros((5, n), np.int32),
    )


@kernel
def decode_records(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], wirelen: NDArray[np.int32],
    link_type: NDArray[np.int32], verify: bool, addresses: NDArray[np.uint64], ports: NDArray[np.uint16],
    numbers: NDArray[np.uint32], small: NDArray[np.uint8], payload_offset: NDArray[np.int64], payload: NDArray[np.int32],
    rare: NDArray[np.int32],
) -> Int:
    """Fill the blocks, which come zeroed, from the frames. Returns how many entries of `rare` are rows that need more."""
    src_hi, src_lo, dst_hi, dst_lo = addresses[0], addresses[1], addresses[2], addresses[3]
    sport, dport, window = ports[0], ports[1], ports[2]
    seq, ack, ip_ids = numbers[0], numbers[1], numbers[2]
    tcp_flags, option_len, ttl = small[0], small[1], small[2]
    notes, ip_version, protos = small[3], small[4], small[5]
    payload_len, payload_caplen, ip_bytes = payload[0], payload[1], payload[2]
    more = np.int64(0)
    for i in range(offset.size):
        if i + _AHEAD < offset.size:
            ask_for(buffer, offset[i + _AHEAD] + 12)
            ask_for(buffer, offset[i + _AHEAD] + 60)
        at = offset[i]
        end = at + np.int64(caplen[i])
        wire_end = max(at + np.int64(wirelen[i]), end)
        link = np.int64(link_type[i])
        note = np.int64(0)
        version = np.int64(4)
        payload_offset[i] = -1
        if link == ETHERNET and at + 54 <= end and not verify and be16(buffer, at + 12) == 0x0800:
            # IPv4 in plain Ethernet with TCP or UDP and nothing odd: most of all packets need no more than this. It says the
            # same as the general way below, in few wide loads. IPv4 (RFC 791): version, header length, service, total length;
            # identification, fragment field; time to live, protocol, checksum; source; destination.
            word = be64(buffer, at + 14)
            top, low = np.int64(word >> np.uint64(32)), np.int64(word & _LOW)
            here = at + 14 + (top >> 22 & 60)
            total = top & 0xFFFF
            ip_end = at + 14 + total
            word = be64(buffer, at + 22)
            third, source = np.int64(word >> np.uint64(32)), word & _LOW
            proto = third >> 16 & 0xFF
            last = ip_end
            header = np.int64(0)
            if top >> 28 == 4 and here >= at + 34 and low & 0x3FFF == 0 and here + 20 <= end and here <= ip_end:
                if proto == TCP and here + 20 <= ip_end:
                    # RFC 9293 3.1: ports, sequence; acknowledgment, data offset, flags, window.
                    word = be64(buffer, here)
                    more_word = be64(buffer, here + 8)
                    fourth = np.int64(more_word & _LOW)
                    header = fourth >> 26 & 60
                    if header >= 20 and here + header <= ip_end:
                        seq[i] = np.int64(word & _LOW)
                        ack[i] = np.int64(more_word >> np.uint64(32))
                        tcp_flags[i] = fourth >> 16 & 0xFF
                        window[i] = fourth & 0xFFFF
                        option_len[i] = header - 20
                    else:
                        header = np.int64(0)
                elif proto == UDP and here + 8 <= ip_end:
                    # RFC 768: ports, length, checksum.
                    word = be64(buffer, here)
                    length = np.int64(word >> np.uint64(16) & np.uint64(0xFFFF))
                    if length >= 8:
                        last = min(ip_end, here + length)
                        header = np.int64(8)
            if header != 0:
                ports_word = np.int64(word >> np.uint64(32))
                src_lo[i] = _V4_MAPPED | source
                dst_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 30))
                sport[i] = ports_word >> 16
                dport[i] = ports_word & 0xFFFF
                ttl[i] = third >> 24
                ip_version[i] = 4
                protos[i] = proto
                ip_ids[i] = low >> 16
                ip_bytes[i] = total
                begin = here + header
                payload_len[i] = last - begin
                have = min(end, last) - begin
                if have > 0:
                    payload_offset[i] = begin
                    payload_caplen[i] = have
                    if proto == UDP and may_tunnel(buffer, begin, begin + have, ports_word >> 16, ports_word & 0xFFFF):
                        rare[more] = i
                        more += 1
                continue
            at += 14
        elif link == ETHERNET and at + 14 <= end and buffer[at + 12] == 8 and buffer[at + 13] == 0:
            at += 14
        else:
            version, at, vlan, path, ether_type, note = network_layer(buffer, at, end, link)
            payload[3, i] = vlan
            payload[4, i] = path
            if version == 0:
                notes[i] = note
                dport[i] = ether_type
                # RFC 826 with addresses of 6 and 4 bytes, IPv4: hardware 2, protocol 2, lengths 2, operation 2, sender 6 and 4,
                # target 6 and 4.
                if note == _ARP and at + 28 <= end and be32(buffer, at + 2) == 0x08000604:
                    src_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 14))
                    dst_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 24))
                if note == BUNDLE:
                    payload_len[i] = wire_end - at
                    payload_caplen[i] = end - at
                    payload_offset[i] = at
                    rare[more] = i
                    more += 1
                continue
        if version == 4:
            here, ip_end, proto, ip_id, fragment, note = ipv4_header(buffer, at, end, wire_end)
            if ip_end > at:
                src_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 12))
                dst_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 16))
                ttl[i] = buffer[at + 8]
        else:
            here, ip_end, proto, ip_id, fragment, note = ipv6_header(buffer, at, end, wire_end)
            if ip_end > at:
                src_hi[i] = be64(buffer, at + 8)
                src_lo[i] = be64(buffer, at + 16)
                dst_hi[i] = be64(buffer, at + 24)
                dst_lo[i] = be64(buffer, at + 32)
                ttl[i] = buffer[at + 7]
        if ip_end > at:
            ip_version[i] = version
            protos[i] = proto
            ip_ids[i] = ip_id
            ip_bytes[i] = ip_end - at
            if note == 0:
                # Written out here: passing ten arrays to a function costs more than the function does.
                note, source, destination, header, last = transport(buffer, here, end, ip_end, proto)
                sport[i] = source
                dport[i] = destination
                if note == 0 and proto == TCP:
                    seq[i] = be32(buffer, here + 4)
                    ack[i] = be32(buffer, here + 8)
                    tcp_flags[i] = buffer[here + 13]
                    window[i] = be16(buffer, here + 14)
                    option_len[i] = header - 20
                elif note == 0 and proto == SCTP and here + 13 <= end and buffer[here + 12] == 6:
                    # RFC 9260 3.3.7: ABORT refuses or ends an association, as RST does.
                    tcp_flags[i] = 4
                if note == 0 or note == _OTHER:
                    payload_len[i] = max(0, last - here - header)
                    have = min(end, last) - here - header
                    if have > 0:
                        payload_offset[i] = here + header
                        payload_caplen[i] = have
                        if proto == UDP:
                            if may_tunnel(buffer, here + 8, here + 8 + have, source, destination):
                                rare[more] = i
                                more += 1
                        elif proto == GRE or proto == 4 or proto == 41 or proto == ETHERIP or proto == MPLS_IN_IP:
                            note = np.int64(CARRIER)
                            rare[more] = i
                            more += 1
                if verify and (note == 0 or note == CARRIER):
                    pseudo = address_sum(src_hi[i], src_lo[i], version) + address_sum(dst_hi[i], dst_lo[i], version)
                    bad = version == 4 and folded(ones_complement(buffer, at, here, np.int64(0))) != 0xFFFF
                    if bad or transport_checksum_bad(buffer, here, end, ip_end, proto, pseudo):
                        note = np.int64(_CHECKSUM)
            elif note == WAITING:
                window[i] = fragment
                payload_len[i] = ip_end - here
                payload_caplen[i] = max(0, min(end, ip_end) - here)
                payload_offset[i] = here
                rare[more] = i
                more += 1
        if note != 0:
            notes[i] = note
    return more


def decode_frames(buffer: NDArray[np.uint8], frames: Frames, verify: bool) -> tuple[Blocks, NDArray[np.int32]]:
    """Decode frames into new blocks. Returns them, and the rows that need a second look, ascending."""
    out = blocks(frames.offset.size)
    rare = np.empty(frames.offset.size, np.int32)
    count = decode_records(
        buffer, frames.offset, frames.caplen, frames.wirelen, frames.link_type, verify,
        out.addresses, out.ports, out.numbers, out.small, out.payload_offset, out.payload, rare,
    )  # fmt: skip
    return out, rare[: int(count)]
