"""In: the decoded frames of a batch and which of their rows need a second look. Out: all rows: datagrams put together from
fragments, packets within packets, frames bundled in one. Never here: headers (link.py, ip.py, tunnels.py, defrag.py).

What a packet carries is a frame in the same buffer; it is decoded as such by the same kernel, a whole level at a time, and may
carry another. limits.MAX_TUNNEL_DEPTH ends that. Fragments are put together in the order of the capture, so that a batch may
be cut anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from struct import unpack
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_BUNDLED_FRAMES, MAX_IPV6_EXTENSIONS, MAX_TUNNEL_DEPTH
from tracehound.loads import copy_elements
from tracehound.packets.batch import ENCRYPTED, NOTE, TUNNEL_BITS
from tracehound.packets.columns import CARRIER, WAITING, Blocks, Frames, decode_frames
from tracehound.packets.defrag import Datagram, DefragState, Fragment, add_fragment
from tracehound.packets.link import BUNDLE, LLC, RAW
from tracehound.packets.octets import be16
from tracehound.packets.tunnels import ip_tunnel, udp_tunnel


def _notes(*codes: int) -> NDArray[np.bool_]:
    """A table that says of each note whether it is one of these."""
    table = np.zeros(256, np.bool_)
    table[list(codes)] = True
    return table


_TUNNEL: Final = NOTE["tunnelled in an encapsulation that is not followed"]
_DEEP: Final = NOTE["tunnelled deeper than is followed"]
_CHECKSUM: Final = NOTE["bad checksum"]
_SEEN: Final = _notes(NOTE["ARP"], NOTE["link-layer control (LLC, LLDP, STP, CDP, LCP)"], BUNDLE)
"""What is worth a row of its own inside a tunnel although it is not IP."""
_TELLING: Final = _notes(*(NOTE[text] for text in ENCRYPTED))
"""Why a tunnel could not be followed: the reason becomes that of the packet which carries it."""
_UNOPENED: Final = _notes(CARRIER, BUNDLE)


@dataclass(slots=True)
class Level:
    """Rows decoded together. record: number of the capture's record that each row came in; keep: whether it stays a row;
    fragments: rows that wait to be put together, once they were looked for."""

    blocks: Blocks
    rare: NDArray[np.int32]
    record: NDArray[np.int64]
    keep: NDArray[np.bool_]
    fragments: NDArray[np.int32] | None = None


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
    if not path.any():
        return levels
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
        useful = (inner.blocks.small[4] != 0) | _SEEN[inside] | (note[rows] == BUNDLE)
        inner.keep &= useful
        opened[rows[useful]] = True
        told = _TELLING[inside] & (note[rows] == CARRIER)
        note[rows[told]] = inside[told]
    closed = outer.rare[_UNOPENED[note[outer.rare]] & ~opened[outer.rare]]
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
        # A frame of a bundle takes 14 bytes at least.
        bundled = np.minimum(b.payload[1, rows[note[rows] == BUNDLE]] // 14, MAX_BUNDLED_FRAMES)
        found = np.empty((6, rows.size + int(bundled.sum())), np.int64)
        count = find_inside(work.buffer, rows, b.ports, b.small, b.payload_offset, b.payload, found)
        row, offset, caplen, wirelen, link, code = found[:, : int(count)]
        if row.size == 0:
            _settle(outer, row, None)
            continue
        frames = Frames(offset.copy(), caplen.astype(np.int32), wirelen.astype(np.int32), link.astype(np.int32))
        _settle(outer, row, _add_level(work, frames, outer.record[row], b.payload[3, row], b.payload[4, row], code))


def _fragments(buffer: NDArray[np.uint8], b: Blocks, rows: NDArray[np.int64], ts_ns: NDArray[np.int64]) -> list[Fragment]:
    """Rows as fragments; their columns are left as those of packets that only wait."""
    view = buffer.data
    columns = zip(
        ts_ns.tolist(), b.payload_offset[rows].tolist(), b.ports[2, rows].tolist(), b.numbers[2, rows].tolist(),
        b.small[4, rows].tolist(), b.small[5, rows].tolist(), b.addresses[:, rows].T.tolist(), b.payload[:, rows].T.tolist(),
        strict=True,
    )  # fmt: skip
    out: list[Fragment] = []
    for when, at, bits, ip_id, version, proto, ends, (length, held, ip_bytes, vlan, tunnel) in columns:
        v6 = version == 6
        # IPv4: offset in 13 bits, eights of bytes. IPv6: the same 13 bits stand three places higher, which is bytes already.
        key = (*ends, 0 if v6 else proto, ip_id, vlan << 32 | tunnel)
        offset = (bits & 0xFFF8) if v6 else (bits & 0x1FFF) * 8
        more = bool(bits & 1) if v6 else bool(bits & 0x2000)
        header = bytes(view[at - (ip_bytes - length) : at])
        out.append(Fragment(key, offset, more, length, bytes(view[at : at + held]), proto, header, when))
    b.ports[2, rows], b.payload_offset[rows] = 0, -1
    b.payload[:2, rows] = 0
    return out


def _whole_packet(whole: Datagram) -> bytes:
    """The datagram as an IP packet that was never cut."""
    header = bytearray(whole.header)
    if header[0] >> 4 == 4:
        # Total length (0 says "to the end of the frame" to ip.py), no fragment, and the checksum of that.
        size = len(header) + whole.length
        header[2:4] = (size if size <= 0xFFFF else 0).to_bytes(2, "big")
        header[6:8] = header[10:12] = b"\0\0"
        # RFC 1071: carries are added back in. That leaves the rest of a division by 2^16 - 1, and 2^16 - 1 for none.
        total = (sum(unpack(f"!{len(header) // 2}H", header)) - 1) % 0xFFFF + 1
        header[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
        return bytes(header) + whole.data
    # RFC 8200 4.5: the fragment header, the last 8 bytes here, goes; the header before it names what follows now.
    del header[-8:]
    names, here = 6, 40
    while here < len(header):
        names, here = here, here + (header[here + 1] + 1) * 8
    header[names] = whole.proto
    size = len(header) - 40 + whole.length
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


def _unseen(level: Level) -> NDArray[np.int32]:
    """Rows of fragments that are not looked at yet."""
    if level.fragments is None:
        level.fragments = level.rare[level.blocks.small[3, level.rare] == WAITING]
    return level.fragments


def _waiting(work: Nesting, ts: NDArray[np.int64], deep: int) -> list[tuple[int, Level, int, Fragment]]:
    """Fragments that are not looked at yet and have come through `deep` tunnels: (record, level, row, fragment), in capture order."""
    found: list[tuple[int, Level, int, Fragment]] = []
    for level in work.levels:
        rows = _unseen(level)
        if not rows.size:
            continue
        here = depth(level.blocks.payload[4, rows]) == deep
        level.fragments, rows = rows[~here], rows[here]
        record = level.record[rows]
        pieces = _fragments(work.buffer, level.blocks, rows.astype(np.int64), ts[record])
        found += [(r, level, i, piece) for r, i, piece in zip(record.tolist(), rows.tolist(), pieces, strict=True)]
    found.sort(key=lambda w: w[0])
    return found


def _join(work: Nesting, ts: NDArray[np.int64], fragments: DefragState) -> None:
    """Put fragments together in capture order; the row that completes a datagram gives way to the datagram's row.

    Those in fewer tunnels come first, all of them: what they carry is in more tunnels, so each time all fragments of a depth
    are known, and a batch may be cut anywhere."""
    for deep in range(MAX_TUNNEL_DEPTH + 1):
        # More than one round where an IPv6 datagram is in fragments within fragments.
        for _ in range(MAX_IPV6_EXTENSIONS):
            if not any(_unseen(level).size for level in work.levels):
                return
            made: list[tuple[Level, int, int, int, int]] = []
            for _, level, i, piece in _waiting(work, ts, deep):
                whole = add_fragment(fragments, piece)
                if whole is not None and whole.header:
                    packet = _whole_packet(whole)
                    level.keep[i] = False
                    missing = whole.length - len(whole.data)
                    made.append((level, i, _append(work, packet), len(packet), len(packet) + missing))
            if not made:
                break
            frames = Frames(
                np.array([m[2] for m in made], np.int64), np.array([m[3] for m in made], np.int32),
                np.array([m[4] for m in made], np.int32), np.full(len(made), RAW, np.int32),
            )  # fmt: skip
            record_of = np.array([m[0].record[m[1]] for m in made], np.int64)
            vlan, path = (np.array([m[0].blocks.payload[row, m[1]] for m in made], np.int32) for row in (3, 4))
            first = len(work.levels)
            _add_level(work, frames, record_of, vlan, path, np.zeros(len(made), np.int64))
            _open(work, first)


def unfold(
    buffer: NDArray[np.uint8], length: int, level: Level, ts: NDArray[np.int64], verify: bool, fragments: DefragState
) -> Nesting:
    """Give every row of a decoded batch that needs it its second look.

    length      bytes of the buffer that are the batch's
    level       its rows, one a record
    ts          the records' times, ns"""
    work = Nesting(buffer, length, verify, [level])
    _open(work, 0)
    _join(work, ts, fragments)
    return work


def _take_places(whole: Level, others: list[Level], kept: list[NDArray[np.int64]]) -> bool:
    """Where each row of further levels stands for one row of the first that goes, write it in its place; returns whether so."""
    records = np.concatenate([level.record[rows] for level, rows in zip(others, kept[1:], strict=True)])
    if records.size != whole.keep.size - kept[0].size or not np.array_equal(np.sort(records), np.flatnonzero(~whole.keep)):
        return False
    for level, rows in zip(others, kept[1:], strict=True):
        for f in fields(Blocks):
            getattr(whole.blocks, f.name)[..., level.record[rows]] = getattr(level.blocks, f.name)[..., rows]
    return True


@kernel
def lay_out(
    keep: NDArray[np.bool_], extra: NDArray[np.int64], runs: NDArray[np.int64], here: NDArray[np.int64], record: NDArray[np.int64]
) -> Int:
    """Where rows go that stay, and further rows, each behind that of its record. Returns how many runs there are.

    extra   record of each further row, ascending
    runs    columns: one for each run of rows that stay together: first row, its new place, rows
    here    the place of each further row
    record  the record of each row in its new place"""
    count = np.int64(0)
    begin: Int = np.int64(0)
    k = np.int64(0)
    e = np.int64(0)
    for i in range(keep.size + 1):
        more = i < keep.size and e < extra.size and extra[e] == i
        after = np.int64(i)
        if i < keep.size and keep[i]:
            record[k] = i
            k += 1
            after += 1
        if more or after == i:
            # The run ends with this row, or before it.
            if after > begin:
                runs[0, count], runs[1, count], runs[2, count] = begin, k - (after - begin), after - begin
                count += 1
            begin = i + 1
        while more:
            here[e] = k
            record[k] = i
            k += 1
            e += 1
            more = e < extra.size and extra[e] == i
    return count


@kernel
def copy_runs(
    source: NDArray[np.uint8], target: NDArray[np.uint8], columns: Int, source_bytes: Int, target_bytes: Int, item_bytes: Int,
    runs: NDArray[np.int64],
) -> None:
    """Copy runs of rows (of `lay_out`) of so many columns, which stand one behind the other, of so many bytes each."""
    if columns * source_bytes > source.size or columns * target_bytes > target.size or item_bytes < 1:
        raise IndexError("columns beyond their arrays")
    for n in range(runs.shape[1]):
        first, place, size = runs[0, n] * item_bytes, runs[1, n] * item_bytes, runs[2, n] * item_bytes
        # The check for all copies of this run.
        if first < 0 or place < 0 or size < 0 or first + size > source_bytes or place + size > target_bytes:
            raise IndexError("rows beyond their column")
        for column in range(columns):
            copy_elements(target, column * target_bytes + place, source, column * source_bytes + first, size)


class Layout:
    """Where the rows of several levels go: see `lay_out`. `record`: the record of each row in its new place."""

    def __init__(self, levels: list[Level], kept: list[NDArray[np.int64]]) -> None:
        extra = np.concatenate([level.record[rows] for level, rows in zip(levels[1:], kept[1:], strict=True)])
        self._order = np.argsort(extra, kind="stable")
        self._here = np.empty(extra.size, np.int64)
        self.record = np.empty(kept[0].size + extra.size, np.int64)
        keep = levels[0].keep
        runs = np.empty((3, keep.size - kept[0].size + extra.size + 1), np.int64)
        self._runs = runs[:, : int(lay_out(keep, extra[self._order], runs, self._here, self.record))].copy()

    def moved(self, block: NDArray[Any], further: NDArray[Any]) -> NDArray[Any]:
        """Columns of the first level, and the further rows, in their new places."""
        block = np.ascontiguousarray(block)
        out = np.empty((*block.shape[:-1], self.record.size), block.dtype)
        width = block.itemsize
        copy_runs(
            block.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8), block.size // max(block.shape[-1], 1),
            block.shape[-1] * width, self.record.size * width, width, self._runs,
        )  # fmt: skip
        out[..., self._here] = further[..., self._order]
        return out

    def of_records(self, column: NDArray[Any]) -> NDArray[Any]:
        """A column of the records for the rows in their new places."""
        out = self.moved(column, np.empty(self._order.size, column.dtype))
        out[self._here] = column[self.record[self._here]]
        return out


def gathered(levels: list[Level]) -> tuple[Layout | None, Blocks]:
    """The rows that stay, in the order of the capture, outer before inner: (their layout, or None if every record has one row;
    columns)."""
    whole, others = levels[0], levels[1:]
    kept = [np.flatnonzero(level.keep) for level in levels]
    if _take_places(whole, others, kept):
        return None, whole.blocks
    layout = Layout(levels, kept)

    def column(name: str) -> NDArray[Any]:
        parts = [getattr(level.blocks, name)[..., rows] for level, rows in zip(others, kept[1:], strict=True)]
        return layout.moved(getattr(whole.blocks, name), np.concatenate(parts, axis=-1))

    return layout, Blocks(*(column(f.name) for f in fields(Blocks)))
