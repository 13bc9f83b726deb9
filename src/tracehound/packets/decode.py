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
from tracehound.kernels import Bool, Int, kernel
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


@kernel
def decode_records(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], wirelen: NDArray[np.int32],
    link_type: NDArray[np.int32], verify: bool, addresses: NDArray[np.uint64], ports: NDArray[np.uint16],
    numbers: NDArray[np.uint32], small: NDArray[np.uint8], payload_offset: NDArray[np.int64], payload: NDArray[np.int32],
) -> Int:
    """Fill the blocks (see `_Blocks`), which come zeroed, from the records. Returns how many fragments there are."""
    src_hi, src_lo, dst_hi, dst_lo = addresses[0], addresses[1], addresses[2], addresses[3]
    sport, dport, window = ports[0], ports[1], ports[2]
    seq, ack, ip_ids = numbers[0], numbers[1], numbers[2]
    tcp_flags, option_len, ttl = small[0], small[1], small[2]
    notes, ip_version, protos = small[3], small[4], small[5]
    payload_len, payload_caplen, ip_bytes, vlans = payload[0], payload[1], payload[2], payload[3]
    fragments = 0
    for i in range(offset.size):
        start = offset[i]
        end = start + np.int64(caplen[i])
        wire_end = max(start + np.int64(wirelen[i]), end)
        version, at, vlan, note = network_layer(buffer, start, end, np.int64(link_type[i]))
        payload_offset[i] = -1
        if vlan != 0:
            vlans[i] = vlan
        if version == 4:
            here, ip_end, proto, ip_id, fragment, note = ipv4_header(buffer, at, end, wire_end)
            if ip_end > at:
                src_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 12))
                dst_lo[i] = _V4_MAPPED | np.uint64(be32(buffer, at + 16))
                ttl[i] = buffer[at + 8]
        elif version == 6:
            here, ip_end, proto, ip_id, fragment, note = ipv6_header(buffer, at, end, wire_end)
            if ip_end > at:
                src_hi[i] = be64(buffer, at + 8)
                src_lo[i] = be64(buffer, at + 16)
                dst_hi[i] = be64(buffer, at + 24)
                dst_lo[i] = be64(buffer, at + 32)
                ttl[i] = buffer[at + 7]
        else:
            notes[i] = note
            continue
        if ip_end > at:
            ip_version[i] = version
            protos[i] = proto
            ip_ids[i] = ip_id
            ip_bytes[i] = ip_end - at
            if note == _WAITING:
                fragments += 1
                # Kept for defrag.py: the fragment field travels in `window`, the fragment's data in the payload columns.
                window[i] = fragment
                payload_len[i] = ip_end - here
                payload_caplen[i] = max(0, min(end, ip_end) - here)
                payload_offset[i] = here
            elif note == 0:
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
                if note == 0 or note == _TRANSPORT_OTHER:
                    payload_len[i] = max(0, last - here - header)
                    have = min(end, last) - here - header
                    if have > 0:
                        payload_offset[i] = here + header
                        payload_caplen[i] = have
                if verify and note == 0:
                    pseudo = address_sum(src_hi[i], src_lo[i], version) + address_sum(dst_hi[i], dst_lo[i], version)
                    bad = version == 4 and folded(ones_complement(buffer, at, here, np.int64(0))) != 0xFFFF
                    if bad or transport_checksum_bad(buffer, here, end, ip_end, proto, pseudo):
                        note = np.int64(_CHECKSUM)
        if note != 0:
            notes[i] = note
    return fragments


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Columns of one type side by side: few arguments make kernels that compile fast. Rows of each block in order:

    addresses  src_hi src_lo dst_hi dst_lo      ports  sport dport window       numbers  seq ack ip_id
    small      tcp_flags option_len ttl note ip_version proto
    payload    payload_len payload_caplen ip_bytes vlan"""

    addresses: NDArray[np.uint64]
    ports: NDArray[np.uint16]
    numbers: NDArray[np.uint32]
    small: NDArray[np.uint8]
    payload_offset: NDArray[np.int64]
    payload: NDArray[np.int32]


def _blocks(n: int) -> _Blocks:
    return _Blocks(
        np.zeros((4, n), np.uint64), np.zeros((3, n), np.uint16), np.zeros((3, n), np.uint32),
        np.zeros((6, n), np.uint8), np.empty(n, np.int64), np.zeros((4, n), np.int32),
    )


def _batch(raw: RawBatch, blocks: _Blocks) -> PacketBatch:
    """The blocks' rows under their names."""
    n = raw.records.offset.size
    first = np.int64(raw.evidence_id) << EVIDENCE_SHIFT | np.int64(raw.first_frame)
    src_hi, src_lo, dst_hi, dst_lo = blocks.addresses
    sport, dport, window = blocks.ports
    seq, ack, ip_id = blocks.numbers
    tcp_flags, option_len, ttl, note, ip_version, proto = blocks.small
    payload_len, payload_caplen, ip_bytes, vlan = blocks.payload
    return PacketBatch(
        buffer=raw.buffer, packet_id=np.arange(first, first + n, dtype=np.int64), ts=raw.records.ts,
        caplen=raw.records.caplen, wirelen=raw.records.wirelen, file_offset=raw.records.offset + raw.base_offset,
        ip_version=ip_version, src_hi=src_hi, src_lo=src_lo, dst_hi=dst_hi, dst_lo=dst_lo, proto=proto,
        sport=sport, dport=dport, tcp_flags=tcp_flags, seq=seq, ack=ack, window=window, ttl=ttl, ip_id=ip_id,
        ip_bytes=ip_bytes, payload_offset=blocks.payload_offset, payload_len=payload_len,
        payload_caplen=payload_caplen, option_len=option_len, vlan=vlan, note=note,
    )  # fmt: skip


def _fill_datagram(out: PacketBatch, i: int, buffer: NDArray[np.uint8], at: int, end: int) -> None:
    """The transport of a datagram put together from fragments, into row i: what `decode_records` does for a whole packet."""
    proto = int(out.proto[i])
    note, sport, dport, header, last = transport(buffer, at, end, end, proto)
    out.note[i], out.sport[i], out.dport[i] = note, sport, dport
    if note == 0 and proto == TCP:
        out.seq[i], out.ack[i] = be32(buffer, at + 4), be32(buffer, at + 8)
        out.tcp_flags[i], out.window[i], out.option_len[i] = buffer[at + 13], be16(buffer, at + 14), header - 20
    if note in (0, _TRANSPORT_OTHER):
        out.payload_len[i] = max(0, last - at - header)
        if last > at + header:
            out.payload_offset[i], out.payload_caplen[i] = at + header, last - at - header


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
    for row, data in pieces:
        buffer[tail : tail + len(data)] = np.frombuffer(data, dtype=np.uint8)
        _fill_datagram(out, row, buffer, tail, tail + len(data))
        tail += len(data)
    return out


def no_packets() -> PacketBatch:
    """A batch of no packets, of the same types as any other."""
    none = Records(*(np.empty(0, t) for t in (np.int64, np.int32, np.int32, np.int64, np.int32)))  # type: ignore[arg-type]
    return _batch(RawBatch(np.empty(0, np.uint8), 0, 0, 1, 1, none), _blocks(0))


def decode(raw: RawBatch, state: DecodeState) -> PacketBatch:
    """Decode one batch. The result shares `raw.buffer` (copied only where reassembled datagrams do not fit behind it)."""
    records = raw.records
    blocks = _blocks(records.offset.size)
    fragments = decode_records(
        raw.buffer, records.offset, records.caplen, records.wirelen, records.link_type, state.verify_checksums,
        blocks.addresses, blocks.ports, blocks.numbers, blocks.small, blocks.payload_offset, blocks.payload,
    )
    out = _batch(raw, blocks)
    if fragments:
        out = _join_fragments(raw, out, state.fragments.setdefault(raw.evidence_id, DefragState()))
    return out
