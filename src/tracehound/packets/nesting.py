"""In: the decoded frames of a batch and which of their rows need a second look. Out: all rows: datagrams put together from
fragments, packets within packets, frames bundled in one. Never here: headers (link.py, ip.py, tunnels.py, defrag.py).

What a packet carries is a frame in the same buffer; it is decoded as such by the same kernel, a whole level at a time, and may
carry another. limits.MAX_TUNNEL_DEPTH ends that. Fragments are put together in the order of the capture, so that a batch may
be cut anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_BUNDLED_FRAMES, MAX_TUNNEL_DEPTH
from tracehound.packets.batch import ENCRYPTED, NOTE, TUNNEL_BITS
from tracehound.packets.columns import CARRIER, WAITING, Blocks, Frames, decode_frames
from tracehound.packets.defrag import Datagram, DefragState, Fragment, add_fragment
from tracehound.packets.link import BUNDLE, LLC, RAW
from tracehound.packets.octets import be16
from tracehound.packets.transport import UDP, folded, ones_complement
from tracehound.packets.tunnels import IP_CARRIERS, ip_tunnel, may_tunnel, udp_tunnel

_TUNNEL: Final = NOTE["tunnelled in an encapsulation that is not followed"]
_DEEP: Final = NOTE["tunnelled deeper than is followed"]
_CHECKSUM: Final = NOTE["bad checksum"]
_SEEN: Final = (NOTE["ARP"], NOTE["link-layer control (LLC, LLDP, STP, CDP, LCP)"], BUNDLE)
"""What is worth a row of its own inside a tunnel although it is not IP."""
_TELLING: Final = tuple(NOTE[text] for text in ENCRYPTED)
"""Why a tunnel could not be followed: the reason becomes that of the packet which carries it."""


@dataclass(slots=True)
class Level:
    """Rows decoded together. record: number of the capture's record that each row came in; keep: whether it stays a row."""

    blocks: Blocks
    rare: NDArray[np.int32]
    record: NDArray[np.int64]
    keep: NDArray[np.bool_]


@dataclass(slots=True)
class Nesting:
    """What this module works on: the buffer (grown where datagrams do not fit behind `tail`) and the levels so far."""

    buffer: NDArray[np.uint8]
    tail: int
    verify: bool
    levels: list[Level] = field(default_factory=list)


@kernel
def find_inside(
    buffer: NDArray[np.uint8], rows: NDArray[np.int32], ports: NDArray[np.uint16], small: NDArray[np.uint8],
    payload_offset: NDArray[np.int64], payload: NDArray[np.int32], found: NDArray[np.int64],
) -> Int:
    """What the given rows carry, into the columns of `found`: row, offset, caplen, wirelen, link type, tunnel code. Returns
    how many there are; one row may carry many (BUNDLE)."""
    count = np.int64(0)
    for n in range(rows.size):
        i = rows[n]
        at = payload_offset[i]
        end = at + np.int64(payload[1, i])
        wire_end = at + np.int64(payload[0, i])
        if small[3, i] == BUNDLE:
            # IEEE 802.11-2020 9.3.2.2: destination 6, source 6, length 2, then LLC and what it carries, padded to four bytes but
            # for the last.
            for _ in range(MAX_BUNDLED_FRAMES):
                if at + 14 > end:
                    break
                size = 14 + be16(buffer, at + 12)
                if at + size > wire_end:
                    break
                found[0, count], found[1, count] = i, at + 14
                found[2, count], found[3, count] = min(size, end - at) - 14, size - 14
                found[4, count], found[5, count] = LLC, 0
                count += 1
                at += (size + 3) & ~3
            continue
        if small[3, i] == CARRIER:
            code, inner, link = ip_tunnel(buffer, at, end, np.int64(small[4, i]), np.int64(small[5, i]))
        else:
            code, inner, link = udp_tunnel(buffer, at, end, wire_end, np.int64(ports[0, i]), np.int64(ports[1, i]))
        if link >= 0 and inner < end:
            found[0, count], found[1, count] = i, inner
            found[2, count], found[3, count] = end - inner, wire_end - inner
            found[4, count], found[5, count] = link, code
            count += 1
    return count


def depth(path: NDArray[Any]) -> NDArray[np.int64]:
    """How many tunnels each path has."""
    levels = np.zeros(path.shape, np.int64)
    for level in range(MAX_TUNNEL_DEPTH):
        levels += path >> (TUNNEL_BITS * level) > 0
    return levels


def _joined(outer: NDArray[np.int64], code: NDArray[np.int64], inner: NDArray[np.int64]) -> NDArray[np.int32]:
    """Tunnel paths one behind the other; what is beyond the depth limit is not kept."""
    path = outer | code << TUNNEL_BITS * depth(outer)
    path |= inner << TUNNEL_BITS * depth(path)
    return (path & (1 << TUNNEL_BITS * MAX_TUNNEL_DEPTH) - 1).astype(np.int32)


def _add_level(
    work: Nesting, frames: Frames, record: NDArray[np.int64], vlan: NDArray[np.int32], path: NDArray[np.int32],
    code: NDArray[np.int64],
) -> Level:  # fmt: skip
    """Decode frames that were found inside others, and hand down what those others went through."""
    blocks, rare = decode_frames(work.buffer, frames, work.verify)
    own_vlan, own_path = blocks.payload[3], blocks.payload[4]
    own_vlan[:] = np.where(own_vlan == 0, vlan, own_vlan)
    own_path[:] = _joined(path.astype(np.int64), code, own_path.astype(np.int64))
    level = Level(blocks, rare, record, np.ones(record.size, np.bool_))
    work.levels.append(level)
    return level


def _settle(outer: Level, rows: NDArray[np.int64], inner: Level | None) -> None:
    """Decide which rows stay once the rows of `outer` that may carry something were looked into; rows[i] of `outer` carries
    row i of `inner`."""
    note, version = outer.blocks.small[3], outer.blocks.small[4]
    opened = np.zeros(note.size, np.bool_)
    if inner is not None:
        inside = inner.blocks.small[3]
        useful = (inner.blocks.small[4] != 0) | np.isin(inside, _SEEN) | (note[rows] == BUNDLE)
        inner.keep &= useful
        opened[rows[useful]] = True
        told = np.isin(inside, _TELLING) & (note[rows] == CARRIER)
        note[rows[told]] = inside[told]
    closed = outer.rare[np.isin(note[outer.rare], (CARRIER, BUNDLE)) & ~opened[outer.rare]]
    note[closed] = _TUNNEL
    # A packet that only carries another is no row of its own; a UDP tunnel is also a flow between its ends.
    outer.keep &= ~(opened & ((note == CARRIER) | (note == BUNDLE) | (version == 0)))


def _open(work: Nesting, first: int) -> None:
    """Decode what the levels from `first` on carry, and what that carries, until nothing is left."""
    for _ in range(2 * MAX_TUNNEL_DEPTH):
        if first == len(work.levels):
            return
        outer = work.levels[first]
        first += 1
        b = outer.blocks
        note = b.small[3]
        rows = outer.rare[(note[outer.rare] != WAITING) & (note[outer.rare] != _CHECKSUM)]
        if rows.size == 0:
            continue
        full = depth(b.payload[4, rows]) >= MAX_TUNNEL_DEPTH
        note[rows[full & (note[rows] != 0)]] = _DEEP
        rows = rows[~full]
        found = np.empty((6, rows.size + MAX_BUNDLED_FRAMES * int((note[rows] == BUNDLE).sum())), np.int64)
        count = find_inside(work.buffer, rows, b.ports, b.small, b.payload_offset, b.payload, found)
        row, offset, caplen, wirelen, link, code = found[:, : int(count)]
        if row.size == 0:
            _settle(outer, row, None)
            continue
        frames = Frames(offset.copy(), caplen.astype(np.int32), wirelen.astype(np.int32), link.astype(np.int32))
        _settle(outer, row, _add_level(work, frames, outer.record[row], b.payload[3, row], b.payload[4, row], code))


def _fragment(buffer: NDArray[np.uint8], level: Level, i: int, ts_ns: int) -> Fragment:
    """Row i as a fragment; its columns are left as those of a packet that only waits."""
    c = level.blocks.columns()
    at, bits, v6 = int(c["payload_offset"][i]), int(c["window"][i]), c["ip_version"][i] == 6
    header_bytes = int(c["ip_bytes"][i]) - int(c["payload_len"][i])
    # IPv4: offset in 13 bits, eights of bytes. IPv6: the same 13 bits stand three places higher, which is bytes already.
    fragment = Fragment(
        key=(
            int(c["src_hi"][i]), int(c["src_lo"][i]), int(c["dst_hi"][i]), int(c["dst_lo"][i]),
            0 if v6 else int(c["proto"][i]), int(c["ip_id"][i]), int(c["vlan"][i]) << 32 | int(c["tunnel"][i]),
        ),
        offset=(bits & 0xFFF8) if v6 else (bits & 0x1FFF) * 8,
        more=bool(bits & 1) if v6 else bool(bits & 0x2000),
        length=int(c["payload_len"][i]),
        data=buffer[at : at + int(c["payload_caplen"][i])].tobytes(),
        proto=int(c["proto"][i]),
        header=buffer[at - header_bytes : at].tobytes(),
        ts_ns=ts_ns,
    )  # fmt: skip
    for name, value in (("window", 0), ("payload_offset", -1), ("payload_len", 0), ("payload_caplen", 0)):
        c[name][i] = value
    return fragment


def _whole_packet(whole: Datagram) -> bytes:
    """The datagram as an IP packet that was never cut."""
    header = bytearray(whole.header)
    if header[0] >> 4 == 4:
        # Total length (0 says "to the end of the frame" to ip.py), no fragment, and the checksum of that.
        size = len(header) + len(whole.data)
        header[2:4] = (size if size <= 0xFFFF else 0).to_bytes(2, "big")
        header[6:8] = header[10:12] = b"\0\0"
        total = folded(ones_complement(np.frombuffer(header, np.uint8), 0, len(header), 0))
        header[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
        return bytes(header) + whole.data
    # RFC 8200 4.5: the fragment header, the last 8 bytes here, goes; the header before it names what follows now.
    del header[-8:]
    names, here = 6, 40
    while here < len(header):
        names, here = here, here + (header[here + 1] + 1) * 8
    header[names] = whole.proto
    size = len(header) - 40 + len(whole.data)
    header[4:6] = (size if size <= 0xFFFF else 0).to_bytes(2, "big")
    return bytes(header) + whole.data


def _append(work: Nesting, packet: bytes) -> int:
    """Put bytes behind the batch's; returns where they begin."""
    begin = work.tail
    work.tail += len(packet)
    if work.tail > work.buffer.size:
        work.buffer = np.concatenate([work.buffer, np.zeros(max(work.buffer.size // 2, len(packet)), np.uint8)])
    work.buffer[begin : work.tail] = np.frombuffer(packet, np.uint8)
    return begin


def _carries(whole: Datagram) -> bool:
    """Whether a datagram may hold packets, which may be fragments themselves."""
    if whole.proto != UDP:
        return whole.proto in IP_CARRIERS
    data = np.frombuffer(whole.data, np.uint8)
    return data.size >= 8 and may_tunnel(data, 8, data.size, be16(data, 0), be16(data, 2))


def _join(work: Nesting, ts: NDArray[np.int64], fragments: DefragState) -> None:
    """Put fragments together in capture order; the row that completes a datagram gives way to the datagram's row."""
    later: list[tuple[Level, int, int, int]] = []

    def decode(packets: list[tuple[Level, int, int, int]]) -> None:
        frames = Frames(
            np.array([p[2] for p in packets], np.int64), np.array([p[3] for p in packets], np.int32),
            np.array([p[3] for p in packets], np.int32), np.full(len(packets), RAW, np.int32),
        )  # fmt: skip
        record = np.array([level.record[i] for level, i, _, _ in packets], np.int64)
        vlan = np.array([level.blocks.payload[3, i] for level, i, _, _ in packets], np.int32)
        path = np.array([level.blocks.payload[4, i] for level, i, _, _ in packets], np.int32)
        first = len(work.levels)
        _add_level(work, frames, record, vlan, path, np.zeros(len(packets), np.int64))
        _open(work, first)
        take(first)

    def take(first: int) -> None:
        waiting = [
            (int(level.record[i]), level, int(i))
            for level in work.levels[first:]
            for i in level.rare[level.blocks.small[3, level.rare] == WAITING]
        ]
        waiting.sort(key=lambda w: w[0])
        for record, level, i in waiting:
            whole = add_fragment(fragments, _fragment(work.buffer, level, i, int(ts[record])))
            if whole is None or not whole.header:
                continue
            packet = _whole_packet(whole)
            level.keep[i] = False
            made = (level, i, _append(work, packet), len(packet))
            if _carries(whole):
                decode([made])
            else:
                later.append(made)

    take(0)
    if later:
        decode(later)


def unfold(
    buffer: NDArray[np.uint8], length: int, level: Level, ts: NDArray[np.int64], verify: bool, fragments: DefragState
) -> Nesting:
    """Give every row of a decoded batch that needs it its second look.

    length      bytes of the buffer that are the batch's
    level       its rows, one a record
    ts          the records' times, ns"""
    work = Nesting(buffer, length, verify, [level])
    _open(work, 0)
    if any((lv.blocks.small[3, lv.rare] == WAITING).any() for lv in work.levels):
        _join(work, ts, fragments)
    return work


def gathered(levels: list[Level]) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The rows that stay, in the order of the capture, outer before inner: (record of each, columns by name)."""
    kept = [np.flatnonzero(level.keep) for level in levels]
    record = np.concatenate([level.record[rows] for level, rows in zip(levels, kept, strict=True)])
    order = np.argsort(record, kind="stable")
    columns = [level.blocks.columns() for level in levels]
    return record[order], {
        name: np.concatenate([c[name][rows] for c, rows in zip(columns, kept, strict=True)])[order] for name in columns[0]
    }
