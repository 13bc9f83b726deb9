"""In: bytes of a pcap file, a buffer at a time. Out: its records as columns. Never here: opening or decompressing a file
(edges/evidence.py), what a packet holds (packets/).

Source: draft-ietf-opsawg-pcap; libpcap's sf-pcap.c for the modified header and for swapped lengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.capture.records import Records, Walk
from tracehound.kernels import kernel
from tracehound.loads import ask, big32, little32

FILE_HEADER_BYTES: Final = 24
_MODIFIED: Final = 0xA1B2CD34

_NS_PER_TICK: Final[dict[int, int]] = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1, _MODIFIED: 1_000}
"""File magic -> nanoseconds in one unit of the record's sub-second field."""

_LENGTHS_IN_ORDER: Final = 0
_LENGTHS_SWAPPED: Final = 1
_LENGTHS_UNSURE: Final = 2

_AHEAD_BYTES: Final = 4096
_LINES_ASKED: Final = 4
_AT_END: Final = 0
_HEADER_CUT: Final = 1
_PACKET_CUT: Final = 2
_CAPLEN_ABSURD: Final = 3
_WIRELEN_ABSURD: Final = 4
_FULL: Final = 5
_SMALL_RECORD_BYTES: Final = 76
"""A record header and a frame of 60 bytes, the shortest of Ethernet."""


@dataclass(frozen=True, slots=True)
class PcapState:
    """What the file header says, and how far the file has been read.

    record_header   bytes of a record header: 16, or 24 in the modified format
    lengths         whether caplen and wirelen change places (versions before 2.4)
    link_type       LINKTYPE number; the FCS length that shares its field is in `fcs_bytes`
    position        bytes of the file that are done with
    frames          records that are done with
    """

    big_endian: bool
    ns_per_tick: int
    record_header: int
    lengths: int
    link_type: int
    fcs_bytes: int
    snaplen: int
    position: int = 0
    frames: int = 0


def open_state(head: bytes) -> PcapState | None:
    """Read the file header (24 bytes). None where `head` is shorter or is no pcap file header."""
    if len(head) < FILE_HEADER_BYTES:
        return None
    big_endian = int.from_bytes(head[:4], "big") in _NS_PER_TICK
    order: Final = "big" if big_endian else "little"
    # Magic Number (32), Major Version (16), Minor Version (16), Reserved1 (32), Reserved2 (32), SnapLen (32), LinkType (32)
    magic = int.from_bytes(head[:4], order)
    if magic not in _NS_PER_TICK:
        return None
    major = int.from_bytes(head[4:6], order)
    minor = int.from_bytes(head[6:8], order)
    snaplen = int.from_bytes(head[16:20], order)
    link = int.from_bytes(head[20:24], order)
    return PcapState(
        big_endian=big_endian,
        ns_per_tick=_NS_PER_TICK[magic],
        record_header=24 if magic == _MODIFIED else 16,
        lengths=_order_of_lengths(major, minor),
        # "FCS len (4 bits), R, P (1 bit: FCS length present), Reserved3, Link-layer type"; libpcap masks with 0x03FFFFFF
        link_type=link & 0x03FF_FFFF,
        fcs_bytes=(link >> 28) * 2 if link & 0x0400_0000 else 0,
        snaplen=snaplen,
    )


def _order_of_lengths(major: int, minor: int) -> int:
    """libpcap: before version 2.3 the two lengths stood in the other order, as they do in DG/UX files (543.0); 2.3 was
    written both ways, and there the smaller one is the captured length."""
    if major == 543 or (major == 2 and minor < 3):
        return _LENGTHS_SWAPPED
    return _LENGTHS_UNSURE if major == 2 and minor == 3 else _LENGTHS_IN_ORDER


@kernel
def _walk_records(
    buffer: NDArray[np.uint8],
    start: int,
    length: int,
    big_endian: int,
    ns_per_tick: int,
    record_header: int,
    lengths: int,
    max_caplen: int,
    max_wirelen: int,
    ts: NDArray[np.int64],
    caplen: NDArray[np.int32],
    wirelen: NDArray[np.int32],
    offset: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Fill the columns; return (records, position of the first record not taken, why it was not taken)."""
    # The one check for all loads below: they lie within `record_header` bytes of `at`, which only grows, and are made only where
    # so many are left before `length`.
    if start < 0 or record_header < 16 or length > buffer.size:
        raise IndexError("records beyond the buffer")
    n = 0
    at = start
    why = 0
    while at < length:
        if at + record_header > length:
            why = 1
            break
        if n == ts.size:
            why = 5
            break
        # Where the next record begins is known only now, so that memory would be waited for each time: lines far ahead are asked for.
        for line in range(_LINES_ASKED):
            ask(buffer, at + _AHEAD_BYTES + line * 64)
        # Timestamp (Seconds) (32), Timestamp (Microseconds or nanoseconds) (32), Captured Packet Length (32),
        # Original Packet Length (32); the modified header goes on with interface, protocol, packet type and padding.
        if big_endian:
            seconds, ticks = np.int64(big32(buffer, at)), np.int64(big32(buffer, at + 4))
            cap, wire = np.int64(big32(buffer, at + 8)), np.int64(big32(buffer, at + 12))
        else:
            seconds, ticks = np.int64(little32(buffer, at)), np.int64(little32(buffer, at + 4))
            cap, wire = np.int64(little32(buffer, at + 8)), np.int64(little32(buffer, at + 12))
        if lengths == 1 or (lengths == 2 and cap > wire):
            cap, wire = wire, cap
        if cap > max_caplen:
            why = 3
            break
        if wire > max_wirelen:
            why = 4
            break
        if at + record_header + cap > length:
            why = 2
            break
        # A sub-second field of a second or more is added as it stands, and one with the sign bit set is negative: some tools
        # that shift times leave such (malcolm/protocols/DHCP.pcap, frame 72: -268432, which fits its neighbours; unsigned it
        # would be 71 minutes late). Wireshark does the same.
        if ticks >= 0x8000_0000:
            ticks -= 0x1_0000_0000
        ts[n] = seconds * 1_000_000_000 + ticks * ns_per_tick
        caplen[n] = cap
        wirelen[n] = wire
        offset[n] = at + record_header
        n += 1
        at += record_header + int(cap)
    return n, at, why


def walk(buffer: NDArray[np.uint8], length: int, state: PcapState, *, final: bool) -> Walk:
    """Records of `buffer[:length]`, which begins at byte `state.position` of the file (at 0: with the file header).

    `final` says that nothing follows; only then is an incomplete record damage. Records after damage cannot be found
    (nothing in the format says where the next begins), so reading ends there."""
    start = FILE_HEADER_BYTES if state.position == 0 else 0
    most = max(length - start, 0) // state.record_header + 1
    # Room for so many small Ethernet frames; only where they are still smaller on average it is done again with the most there can be.
    for room in (min(most, max(length - start, 0) // _SMALL_RECORD_BYTES + 1024), most):
        ts, offset = np.empty(room, np.int64), np.empty(room, np.int64)
        caplen, wirelen = np.empty(room, np.int32), np.empty(room, np.int32)
        n, at, why = _walk_records(
            buffer, start, length, int(state.big_endian), state.ns_per_tick, state.record_header, state.lengths,
            limits.MAX_CAPLEN_BYTES, limits.MAX_WIRELEN_BYTES, ts, caplen, wirelen, offset,
        )  # fmt: skip
        if int(why) != _FULL:
            break
    n, at = int(n), min(int(at), length)
    records = Records(ts[:n], caplen[:n], wirelen[:n], offset[:n], np.full(n, state.link_type, np.int32))
    after = replace(state, position=state.position + at, frames=state.frames + n)
    damage = _damage(int(why), after, state.position + length, final)
    return Walk(records, at, after, damage=damage)


def _damage(why: int, state: PcapState, end: int, final: bool) -> str | None:
    """Words for a kernel's stop at `state`; `end` is the position after the last byte at hand."""
    frame = state.frames + 1
    if why in (_CAPLEN_ABSURD, _WIRELEN_ABSURD):
        what = "captured" if why == _CAPLEN_ABSURD else "on the wire"
        return f"record header at byte {state.position}, frame {frame}, states an absurd length {what}"
    if why in (_HEADER_CUT, _PACKET_CUT) and final:
        where = "header" if why == _HEADER_CUT else "packet"
        return f"cut short at byte {end}, frame {frame}: within the {where} of the record at byte {state.position}"
    return None
