"""In: a buffer of capture bytes with its records. Out: a `PacketBatch`: one row a record, decoded as far as it goes.
Never here: flows, or a file.

Two passes: a kernel decodes every record; fragments, which are rare, are then put together one by one (defrag.py), and the
record that completes a datagram is decoded again over the whole of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch, Records
from tracehound.kernels import kernel
from tracehound.packets.batch import NOTE, PacketBatch
from tracehound.packets.defrag import DefragState, Fragment, add_fragment
from tracehound.packets.ip import ipv4_header, ipv6_header
from tracehound.packets.link import network_layer
from tracehound.packets.octets import be16, be32, be64
from tracehound.tables import EVIDENCE_SHIFT

_WAITING: Final = NOTE["fragment, waiting for the rest"]
_TRANSPORT_CUT: Final = NOTE["transport header cut"]
_TRANSPORT_BAD: Final = NOTE["transport header malformed"]
_TRANSPORT_OTHER: Final = NOTE["transport not decoded"]
_CHECKSUM: Final = NOTE["bad checksum"]
_V4_MAPPED: Final = np.uint64(0xFFFF00000000)

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58


@dataclass(slots=True)
class DecodeState:
    """What decoding keeps between batches: fragments that wait, one set per evidence file."""

    verify_checksums: bool = False
    fragments: dict[int, DefragState] = field(default_factory=dict)


@kernel
def ones_complement(buffer: NDArray[np.uint8], at: int, end: int, total: int) -> int:
    """RFC 1071: the running sum of 16-bit words, not yet folded or complemented."""
    while at + 1 < end:
        total += be16(buffer, at)
        at += 2
    if at < end:
        total += np.int64(buffer[at]) << 8
    return total


@kernel
def folded(total: int) -> int:
    """RFC 1071: carries added back in; 0xFFFF means that the checksum holds."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@kernel
def transport(
    buffer: NDArray[np.uint8], at: int, end: int, ip_end: int, proto: int, out: PacketBatch, i: int
) -> int:
    """Decode the transport header at `at` into row i; returns the note."""
    captured = min(end, ip_end)
    out.payload_offset[i] = -1
    out.payload_len[i] = 0
    out.payload_caplen[i] = 0
    if proto == TCP:
        # RFC 9293 3.1: ports 4, sequence 4, acknowledgment 4, data offset 4 bits, flags, window 2, checksum 2, urgent 2.
        if at + 4 <= captured:
            out.sport[i] = be16(buffer, at)
            out.dport[i] = be16(buffer, at + 2)
        if at + 20 > captured:
            return _TRANSPORT_CUT
        header = (np.int64(buffer[at + 12]) >> 4) * 4
        if header < 20 or at + header > ip_end:
            return _TRANSPORT_BAD
        out.seq[i] = be32(buffer, at + 4)
        out.ack[i] = be32(buffer, at + 8)
        out.tcp_flags[i] = buffer[at + 13]
        out.window[i] = be16(buffer, at + 14)
        out.option_len[i] = header - 20
    elif proto == UDP:
        # RFC 768: ports 4, length 2 (header included), checksum 2.
        if at + 4 <= captured:
            out.sport[i] = be16(buffer, at)
            out.dport[i] = be16(buffer, at + 2)
        if at + 8 > captured:
            return _TRANSPORT_CUT
        length = be16(buffer, at + 4)
        if 8 <= length < ip_end - at:
            ip_end = at + length
        elif 0 < length < 8:
            return _TRANSPORT_BAD
        header = 8
    elif proto in (ICMP, ICMPV6):
        # RFC 792, RFC 4443: type, code, checksum 2, then 4 bytes that depend on the type.
        if at + 2 <= captured:
            out.sport[i] = buffer[at]
            out.dport[i] = buffer[at + 1]
        if at + 8 > captured:
            # An ICMP message shorter than its own eight bytes was never whole; otherwise the capture cut it.
            return _TRANSPORT_BAD if at + 8 > ip_end else _TRANSPORT_CUT
        header = 8
    else:
        out.payload_len[i] = max(0, ip_end - at)
        out.payload_caplen[i] = max(0, captured - at)
        if captured > at:
            out.payload_offset[i] = at
        return _TRANSPORT_OTHER
    out.payload_len[i] = max(0, ip_end - at - header)
    have = min(end, ip_end) - at - header
    if have > 0:
        out.payload_offset[i] = at + header
        out.payload_caplen[i] = have
    return 0


@kernel
def transport_checksum_bad(
    buffer: NDArray[np.uint8], at: int, end: int, ip_end: int, proto: int, out: PacketBatch, i: int
) -> bool:
    """True where the whole segment is captured and its checksum does not hold (a UDP checksum of 0 means none)."""
    if ip_end > end or proto not in (TCP, UDP, ICMP, ICMPV6):
        return False
    if proto == UDP and be16(buffer, at + 6) == 0:
        return False
    length = ip_end - at
    total = np.int64(0)
    if proto != ICMP:
        # RFC 9293 3.1, RFC 8200 8.1: pseudo header of both addresses, length and protocol.
        for word in range(4):
            shift = np.uint64(48 - 16 * word)
            mask = np.uint64(0xFFFF)
            if out.ip_version[i] == 6 or word >= 2:
                total += np.int64(out.src_lo[i] >> shift & mask) + np.int64(out.dst_lo[i] >> shift & mask)
            if out.ip_version[i] == 6:
                total += np.int64(out.src_hi[i] >> shift & mask) + np.int64(out.dst_hi[i] >> shift & mask)
        total += length + proto
    return folded(ones_complement(buffer, at, ip_end, total)) != 0xFFFF


@kernel
def decode_records(
    buffer: NDArray[np.uint8], records: Records, verify: bool, at_ip: NDArray[np.int64], out: PacketBatch
) -> int:
    """Fill the rows of `out` from `records`. at_ip gets, for a fragment, where its data begins. Returns how many fragments."""
    fragments = 0
    for i in range(records.offset.size):
        start = records.offset[i]
        end = start + records.caplen[i]
        wire_end = start + max(records.wirelen[i], records.caplen[i])
        version, at, vlan, note = network_layer(buffer, start, end, records.link_type[i])
        out.vlan[i] = vlan
        at_ip[i] = at
        # Every column gets a value: the arrays come uninitialised.
        out.ip_version[i] = 0
        out.src_hi[i] = 0
        out.src_lo[i] = 0
        out.dst_hi[i] = 0
        out.dst_lo[i] = 0
        out.proto[i] = 0
        out.sport[i] = 0
        out.dport[i] = 0
        out.tcp_flags[i] = 0
        out.seq[i] = 0
        out.ack[i] = 0
        out.window[i] = 0
        out.ttl[i] = 0
        out.ip_id[i] = 0
        out.ip_bytes[i] = 0
        out.payload_offset[i] = -1
        out.payload_len[i] = 0
        out.payload_caplen[i] = 0
        out.option_len[i] = 0
        if version == 4:
            here, ip_end, proto, ip_id, fragment, note = ipv4_header(buffer, at, end, wire_end)
            if ip_end > at:
                out.ip_version[i] = 4
                out.src_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 12))
                out.dst_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 16))
                out.ttl[i] = buffer[at + 8]
        elif version == 6:
            here, ip_end, proto, ip_id, fragment, note = ipv6_header(buffer, at, end, wire_end)
            if ip_end > at:
                out.ip_version[i] = 6
                out.src_hi[i] = be64(buffer, at + 8)
                out.src_lo[i] = be64(buffer, at + 16)
                out.dst_hi[i] = be64(buffer, at + 24)
                out.dst_lo[i] = be64(buffer, at + 32)
                out.ttl[i] = buffer[at + 7]
        else:
            out.note[i] = note
            continue
        if out.ip_version[i] != 0:
            out.proto[i] = proto
            out.ip_id[i] = ip_id
            out.ip_bytes[i] = ip_end - at
            if note == _WAITING:
                fragments += 1
                at_ip[i] = here
                # Kept for defrag.py: the fragment field travels in `window`, the end of the fragment in `payload_len`.
                out.window[i] = fragment
                out.payload_len[i] = ip_end - here
                out.payload_caplen[i] = max(0, min(end, ip_end) - here)
                out.payload_offset[i] = here
            elif note == 0:
                note = transport(buffer, here, end, ip_end, proto, out, i)
                if verify and note == 0:
                    bad = version == 4 and folded(ones_complement(buffer, at, here, np.int64(0))) != 0xFFFF
                    if bad or transport_checksum_bad(buffer, here, end, ip_end, proto, out, i):
                        note = _CHECKSUM
        out.note[i] = note
    return fragments


@kernel
def decode_datagram(buffer: NDArray[np.uint8], at: int, end: int, i: int, out: PacketBatch) -> int:
    """Decode the transport of a datagram put together from fragments into row i; returns the note."""
    return transport(buffer, at, end, end, np.int64(out.proto[i]), out, i)


def _empty(raw: RawBatch) -> PacketBatch:
    n = raw.records.offset.size
    first = np.int64(raw.evidence_id) << EVIDENCE_SHIFT | np.int64(raw.first_frame)

    def column(dtype: type) -> NDArray[np.generic]:
        return np.empty(n, dtype=dtype)

    return PacketBatch(
        buffer=raw.buffer,
        packet_id=np.arange(first, first + n, dtype=np.int64),
        ts=raw.records.ts,
        caplen=raw.records.caplen,
        wirelen=raw.records.wirelen,
        file_offset=raw.records.offset + raw.base_offset,
        ip_version=column(np.uint8),  # type: ignore[arg-type]
        src_hi=column(np.uint64),  # type: ignore[arg-type]
        src_lo=column(np.uint64),  # type: ignore[arg-type]
        dst_hi=column(np.uint64),  # type: ignore[arg-type]
        dst_lo=column(np.uint64),  # type: ignore[arg-type]
        proto=column(np.uint8),  # type: ignore[arg-type]
        sport=column(np.uint16),  # type: ignore[arg-type]
        dport=column(np.uint16),  # type: ignore[arg-type]
        tcp_flags=column(np.uint8),  # type: ignore[arg-type]
        seq=column(np.uint32),  # type: ignore[arg-type]
        ack=column(np.uint32),  # type: ignore[arg-type]
        window=column(np.uint16),  # type: ignore[arg-type]
        ttl=column(np.uint8),  # type: ignore[arg-type]
        ip_id=column(np.uint32),  # type: ignore[arg-type]
        ip_bytes=column(np.int32),  # type: ignore[arg-type]
        payload_offset=column(np.int64),  # type: ignore[arg-type]
        payload_len=column(np.int32),  # type: ignore[arg-type]
        payload_caplen=column(np.int32),  # type: ignore[arg-type]
        option_len=column(np.uint8),  # type: ignore[arg-type]
        vlan=column(np.int32),  # type: ignore[arg-type]
        note=column(np.uint8),  # type: ignore[arg-type]
    )


def _join_fragments(raw: RawBatch, out: PacketBatch, state: DefragState) -> PacketBatch:
    """Put fragments together in capture order; a completed datagram is appended to the buffer and decoded into its row."""
    buffer = out.buffer
    tail = raw.length
    pieces: list[tuple[int, bytes]] = []
    for i in np.flatnonzero(out.note == _WAITING):
        at = int(out.payload_offset[i])
        data = buffer[at : at + int(out.payload_caplen[i])].tobytes()
        field_bits = int(out.window[i])
        v6 = out.ip_version[i] == 6
        # IPv4: offset in 13 bits, eights of bytes. IPv6: the same 13 bits stand three places higher, which is bytes already.
        fragment = Fragment(
            key=(
                int(out.src_hi[i]), int(out.src_lo[i]), int(out.dst_hi[i]), int(out.dst_lo[i]),
                0 if v6 else int(out.proto[i]), int(out.ip_id[i]),
            ),
            offset=(field_bits & 0xFFF8) if v6 else (field_bits & 0x1FFF) * 8,
            more=bool(field_bits & 1) if v6 else bool(field_bits & 0x2000),
            length=int(out.payload_len[i]),
            data=data,
            proto=int(out.proto[i]),
            header_bytes=int(out.ip_bytes[i]) - int(out.payload_len[i]),
            ts_ns=int(out.ts[i]),
        )
        out.window[i] = 0
        out.payload_offset[i] = -1
        out.payload_len[i] = 0
        out.payload_caplen[i] = 0
        whole = add_fragment(state, fragment)
        if whole is not None:
            out.proto[i] = whole.proto
            out.ip_bytes[i] = whole.header_bytes + len(whole.data)
            pieces.append((int(i), whole.data))
    need = sum(len(data) for _, data in pieces)
    if tail + need > buffer.size:
        buffer = np.concatenate([buffer[:tail], np.zeros(need, dtype=np.uint8)])
        out = out._replace(buffer=buffer)
    for i, data in pieces:
        buffer[tail : tail + len(data)] = np.frombuffer(data, dtype=np.uint8)
        out.note[i] = decode_datagram(buffer, tail, tail + len(data), i, out)
        tail += len(data)
    return out


def decode(raw: RawBatch, state: DecodeState) -> PacketBatch:
    """Decode one batch. The result shares `raw.buffer` (copied only where reassembled datagrams do not fit behind it)."""
    out = _empty(raw)
    at_ip = np.empty(out.ts.size, dtype=np.int64)
    if decode_records(raw.buffer, raw.records, state.verify_checksums, at_ip, out):
        out = _join_fragments(raw, out, state.fragments.setdefault(raw.evidence_id, DefragState()))
    return out
