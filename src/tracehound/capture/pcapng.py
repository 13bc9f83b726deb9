"""In: bytes of a pcapng file, a buffer at a time. Out: its packets as columns, and its words (comments, names) as notes.
Never here: opening or decompressing a file (edges/evidence.py), what a packet holds (packets/).

Source: draft-ietf-opsawg-pcapng. The kernel takes packet blocks by itself and passes over blocks that say nothing here
(custom, secrets, unknown); it hands section headers and interface descriptions to Python, since they change how all that
follows is read, and lists the blocks whose words Python collects afterwards."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.capture.records import Note, Records, Walk
from tracehound.kernels import kernel

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6

_OPTIONS_AT: Final = {SECTION_HEADER: 24, INTERFACE_DESCRIPTION: 16, INTERFACE_STATISTICS: 20}
"""Where options begin in blocks of fixed shape."""
_OPT_END: Final = 0
_OPT_COMMENT: Final = 1
_IF_TSRESOL: Final = 9
_IF_TSOFFSET: Final = 14
_ISB_IFDROP: Final = 5

_NO_TIME: Final = -1
_MAX_NS: Final = 2**63 - 1
_NS: Final = 1_000_000_000

_AT_END: Final = 0
_SECTION: Final = 1
_INTERFACE: Final = 2
_DAMAGE: Final[dict[int, str]] = {
    3: "states a length that no block has",
    4: "has two lengths that do not agree",
    5: "is a packet of an interface that was not described",
    6: "is a packet with an absurd length",
    7: "is longer than its own length allows",
}
"""Kernel's reason for stopping -> what is wrong with the block at that place."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of the section being read. `tsresol` is the option's byte: high bit set = negative power of two."""

    link_type: int
    snaplen: int
    tsresol: int = 6
    tsoffset_s: int = 0


@dataclass(frozen=True, slots=True)
class PcapngState:
    """What the blocks so far say. `dropped` counts packets that the capturing machine says it lost (latest statistics of
    each interface); `notes` counts notes taken, which are bounded."""

    big_endian: bool = False
    interfaces: tuple[Interface, ...] = ()
    sections: int = 0
    dropped_before: int = 0
    dropped_here: tuple[tuple[int, int], ...] = ()
    notes: int = 0
    position: int = 0
    frames: int = 0

    @property
    def dropped(self) -> int | None:
        """Packets lost before they were written; None where no statistics say so."""
        here = [count for _, count in self.dropped_here]
        return self.dropped_before + sum(here) if here or self.dropped_before else None


def open_state(head: bytes) -> PcapngState | None:
    """The state before the first block. None where `head` (12 bytes or more) does not begin a section."""
    if len(head) < 12 or head[:4] != b"\x0a\x0d\x0d\x0a" or _byte_order(head[8:12]) is None:
        return None
    return PcapngState()


def _byte_order(magic: bytes) -> bool | None:
    """Byte-Order Magic 0x1A2B3C4D: True = big-endian, None = neither."""
    return {b"\x1a\x2b\x3c\x4d": True, b"\x4d\x3c\x2b\x1a": False}.get(magic)


@kernel
def _walk_blocks(
    buffer: NDArray[np.uint8],
    start: int,
    length: int,
    big_endian: int,
    interfaces: int,
    snaplen: int,
    want_notes: int,
    max_block: int,
    max_caplen: int,
    max_wirelen: int,
    n: int,
    ticks: NDArray[np.uint32],
    caplen: NDArray[np.int32],
    wirelen: NDArray[np.int32],
    offset: NDArray[np.int64],
    interface: NDArray[np.int32],
    noted: int,
    wordy: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Take blocks from `start` on; packets fill the columns from row `n`, blocks with words fill `wordy` from row `noted`
    (position, row of the packet or -1). Return (n, noted, position, reason for stopping)."""
    s0 = 24 if big_endian else 0
    s1 = 16 if big_endian else 8
    s2 = 8 if big_endian else 16
    s3 = 0 if big_endian else 24
    t0 = 8 if big_endian else 0
    t1 = 0 if big_endian else 8
    at = start
    why = 0
    while at + 12 <= length:
        # Block Type (32), Block Total Length (32), Block Body, Block Total Length (32)
        h = buffer[at : at + 12]
        kind = (np.int64(h[0]) << s0) | (np.int64(h[1]) << s1) | (np.int64(h[2]) << s2) | (np.int64(h[3]) << s3)
        if kind == 0x0A0D0D0A:
            why = 1
            break
        total = (np.int64(h[4]) << s0) | (np.int64(h[5]) << s1) | (np.int64(h[6]) << s2) | (np.int64(h[7]) << s3)
        if total < 12 or total > max_block:
            why = 3
            break
        # "This value MUST be a multiple of 4"; some writers leave the padding out of the length, not out of the file.
        padded = (total + 3) & ~np.int64(3)
        if at + padded > length:
            break
        t = buffer[at + padded - 4 : at + padded]
        trailing = (np.int64(t[0]) << s0) | (np.int64(t[1]) << s1) | (np.int64(t[2]) << s2) | (np.int64(t[3]) << s3)
        if trailing != total:
            why = 4
            break
        if kind == 1:
            why = 2
            break
        if kind in (6, 2):
            if total < 32:
                why = 7
                break
            # Enhanced: Interface ID (32); obsolete: Interface ID (16), Drops Count (16). Then both: Timestamp Upper (32),
            # Timestamp Lower (32), Captured Packet Length (32), Original Packet Length (32), Packet Data, Options
            b = buffer[at + 8 : at + 28]
            if kind == 6:
                which = (
                    (np.int64(b[0]) << s0) | (np.int64(b[1]) << s1) | (np.int64(b[2]) << s2) | (np.int64(b[3]) << s3)
                )
            else:
                which = (np.int64(b[0]) << t0) | (np.int64(b[1]) << t1)
            upper = (np.int64(b[4]) << s0) | (np.int64(b[5]) << s1) | (np.int64(b[6]) << s2) | (np.int64(b[7]) << s3)
            lower = (np.int64(b[8]) << s0) | (np.int64(b[9]) << s1) | (np.int64(b[10]) << s2) | (np.int64(b[11]) << s3)
            cap = (np.int64(b[12]) << s0) | (np.int64(b[13]) << s1) | (np.int64(b[14]) << s2) | (np.int64(b[15]) << s3)
            wire = (np.int64(b[16]) << s0) | (np.int64(b[17]) << s1) | (np.int64(b[18]) << s2) | (np.int64(b[19]) << s3)
            if which >= interfaces:
                why = 5
                break
            if cap > max_caplen or wire > max_wirelen:
                why = 6
                break
            if cap > padded - 32:
                why = 7
                break
            if want_notes:
                # Option Code (16), Option Length (16), value padded to 32 bits; opt_endofopt and the block's end stop them
                o = at + 28 + ((cap + 3) & ~np.int64(3))
                end = at + padded - 4
                while o + 4 <= end:
                    code = (np.int64(buffer[o]) << t0) | (np.int64(buffer[o + 1]) << t1)
                    size = (np.int64(buffer[o + 2]) << t0) | (np.int64(buffer[o + 3]) << t1)
                    if code == 1:
                        wordy[noted, 0] = at
                        wordy[noted, 1] = n
                        noted += 1
                        break
                    if code == 0:
                        break
                    o += 4 + ((size + 3) & ~np.int64(3))
            ticks[n, 0] = lower
            ticks[n, 1] = upper
            caplen[n] = cap
            wirelen[n] = wire
            offset[n] = at + 28
            interface[n] = which
            n += 1
        elif kind == 3:
            # Original Packet Length (32), Packet Data: "the SnapLen value MUST be used to determine the size of Packet Data"
            if total < 16:
                why = 7
                break
            if interfaces == 0:
                why = 5
                break
            b = buffer[at + 8 : at + 12]
            wire = (np.int64(b[0]) << s0) | (np.int64(b[1]) << s1) | (np.int64(b[2]) << s2) | (np.int64(b[3]) << s3)
            cap = wire if snaplen == 0 else min(wire, np.int64(snaplen))
            # A snap length that the file does not state: the block itself says how much there is.
            cap = min(cap, padded - 16)
            if cap > max_caplen or wire > max_wirelen:
                why = 6
                break
            ticks[n, 0] = 0
            ticks[n, 1] = 0
            caplen[n] = cap
            wirelen[n] = wire
            offset[n] = at + 12
            interface[n] = -1
            n += 1
        elif (kind == 4 and want_notes) or kind == 5:
            wordy[noted, 0] = at
            wordy[noted, 1] = -1
            noted += 1
        at += int(padded)
    return n, noted, at, why


class _Columns:
    """Room for all packets that `length` bytes can hold (the smallest packet block has 16) and for all blocks with words.
    Memory that is not written to is never really taken."""

    def __init__(self, length: int) -> None:
        room = length // 16 + 1
        self.ticks = np.empty((room, 2), np.uint32)
        self.caplen = np.empty(room, np.int32)
        self.wirelen = np.empty(room, np.int32)
        self.offset = np.empty(room, np.int64)
        self.interface = np.empty(room, np.int32)
        self.ts = np.empty(room, np.int64)
        self.link_type = np.empty(room, np.int32)
        self.wordy = np.empty((length // 12 + 1, 2), np.int64)


def walk(buffer: NDArray[np.uint8], length: int, state: PcapngState, *, final: bool) -> Walk:
    """Packets of `buffer[:length]`, which begins at byte `state.position` of the file, at a block.

    `final` says that nothing follows; only then is an incomplete block damage. A packet of a simple packet block has no
    time of its own: its ts is 0."""
    columns = _Columns(length)
    notes: list[Note] = []
    damage: str | None = None
    at = n = noted = 0
    begin = state.position
    first = state.frames
    while True:
        snaplen = state.interfaces[0].snaplen if state.interfaces else 0
        stop_n, stop_noted, stop_at, why = (
            int(value)
            for value in _walk_blocks(
                buffer,
                at,
                length,
                int(state.big_endian),
                len(state.interfaces) if state.sections else 0,
                snaplen,
                int(state.notes < limits.MAX_COMMENTS),
                limits.MAX_BLOCK_BYTES,
                limits.MAX_CAPLEN_BYTES,
                limits.MAX_WIRELEN_BYTES,
                n,
                columns.ticks,
                columns.caplen,
                columns.wirelen,
                columns.offset,
                columns.interface,
                noted,
                columns.wordy,
            )
        )
        _finish(columns, n, stop_n, state.interfaces)
        for position, row in columns.wordy[noted:stop_noted].tolist():
            state = _collect(buffer, position, first + row + 1 if row >= 0 else None, state, notes)
        at, n, noted = stop_at, stop_n, stop_noted
        state = replace(state, position=begin + at, frames=first + n)
        if why not in (_SECTION, _INTERFACE):
            break
        step = _SPECIAL[why](buffer, at, length, state, notes)
        if step is None:
            why = _AT_END
            break
        if isinstance(step, str):
            damage = step
            break
        size, state = step
        at += size
        state = replace(state, position=begin + at)
    if why in _DAMAGE:
        damage = _DAMAGE[why]
    if damage is not None:
        damage = f"the block at byte {state.position}, after frame {state.frames}, {damage}"
    elif final and at < length:
        frame = state.frames + 1
        damage = f"cut short at byte {begin + length}, frame {frame}: within the block at byte {state.position}"
    records = Records(
        columns.ts[:n], columns.caplen[:n], columns.wirelen[:n], columns.offset[:n], columns.link_type[:n]
    )
    return Walk(records, at, state, notes, damage)


# -- times ------------------------------------------------------------------------------------------------------------


def _finish(columns: _Columns, begin: int, end: int, interfaces: tuple[Interface, ...]) -> None:
    """Turn interface numbers of rows begin..end into link types, and ticks into nanoseconds."""
    if begin == end:
        return
    which = columns.interface[begin:end]
    raw = np.ascontiguousarray(columns.ticks[begin:end])
    ticks = raw[:, 0].astype(np.uint64) | (raw[:, 1].astype(np.uint64) << np.uint64(32))
    types = np.array([interface.link_type for interface in interfaces], np.int32)
    columns.link_type[begin:end] = types[np.maximum(which, 0)]
    ts = columns.ts[begin:end]
    clocks: dict[tuple[int, int], list[int]] = {}
    for number, interface in enumerate(interfaces):
        clocks.setdefault((interface.tsresol, interface.tsoffset_s), []).append(number)
    if len(clocks) == 1 and int(which.min()) >= 0:
        ts[:] = to_ns(ticks, *next(iter(clocks)))
        return
    ts[:] = 0
    clock_of = np.empty(len(interfaces), np.int32)
    for number, members in enumerate(clocks.values()):
        clock_of[members] = number
    clock = np.where(which == _NO_TIME, -1, clock_of[np.maximum(which, 0)])
    for number in np.unique(clock).tolist():
        if number >= 0:
            rows = clock == number
            ts[rows] = to_ns(ticks[rows], *list(clocks)[number])


def to_ns(ticks: NDArray[np.uint64], tsresol: int, tsoffset_s: int) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of `ticks`, rounded down, exact for every resolution; what int64 cannot hold becomes its
    nearest value. if_tsresol: "if the Most Significant Bit is equal to zero, the remaining bits indicate the resolution
    as a negative power of 10 (...) equal to one, as a negative power of 2"."""
    power = tsresol & 0x7F
    ns = _from_binary(ticks, power) if tsresol & 0x80 else _from_decimal(ticks, power)
    # if_tsoffset: "an offset (in seconds) that must be added to the timestamp of each packet", signed 64 bits
    shift = max(-_MAX_NS, min(_MAX_NS, tsoffset_s * _NS))
    moved: NDArray[np.int64] = np.minimum(ns, _MAX_NS - shift) + shift if shift > 0 else ns + shift
    return moved


def _from_decimal(ticks: NDArray[np.uint64], power: int) -> NDArray[np.int64]:
    if power <= 9:
        factor = 10 ** (9 - power)
        scaled: NDArray[np.int64] = np.minimum(ticks, np.uint64(_MAX_NS // factor)).astype(np.int64) * factor
        return scaled
    if power - 9 > 19:
        return np.zeros(len(ticks), np.int64)
    whole: NDArray[np.int64] = np.minimum(ticks // np.uint64(10 ** (power - 9)), np.uint64(_MAX_NS)).astype(np.int64)
    return whole


def _from_binary(ticks: NDArray[np.uint64], power: int) -> NDArray[np.int64]:
    if power > 63:
        seconds = np.zeros(len(ticks), np.uint64)
        fraction = ticks
    else:
        seconds = ticks >> np.uint64(power)
        fraction = ticks & np.uint64((1 << power) - 1)
    # fraction * 1e9 needs up to 94 bits: multiply its halves, and drop low bits only where the shift drops them anyway.
    billion = np.uint64(_NS)
    low = (fraction & np.uint64(0xFFFF_FFFF)) * billion
    high = (fraction >> np.uint64(32)) * billion
    if power <= 32:
        below = low >> np.uint64(power)  # fraction < 2^32, so its upper half is 0
    elif power - 32 > 63:
        below = np.zeros(len(ticks), np.uint64)
    else:
        below = (high + (low >> np.uint64(32))) >> np.uint64(power - 32)
    whole: NDArray[np.int64] = np.minimum(seconds, np.uint64(_MAX_NS // _NS - 1)).astype(np.int64) * _NS
    return whole + below.astype(np.int64)


# -- blocks that Python reads ---------------------------------------------------------------------------------------

_Step = tuple[int, PcapngState] | str | None
"""Bytes taken and the state after; words for damage; None = the block is not complete yet."""


def _order(state: PcapngState) -> str:
    return ">" if state.big_endian else "<"


def _section(buffer: NDArray[np.uint8], at: int, length: int, state: PcapngState, notes: list[Note]) -> _Step:
    """Section Header Block: Block Type, Block Total Length, Byte-Order Magic (32), Major, Minor (16), Section Length (64)."""
    big_endian = _byte_order(buffer[at + 8 : at + 12].tobytes())
    if big_endian is None:
        return "is a section header without byte-order magic"
    state = replace(state, big_endian=big_endian)
    block = _block(buffer, at, length, state, 28)
    if not isinstance(block, bytes):
        return block
    if state.sections >= limits.MAX_SECTIONS:
        return f"begins section {state.sections + 1}, more than are believed"
    state = _words(_options(block, 24, _order(state)), _SECTION_WORDS, None, state, notes)
    before = state.dropped_before + sum(count for _, count in state.dropped_here)
    return len(block), replace(
        state, interfaces=(), sections=state.sections + 1, dropped_before=before, dropped_here=()
    )


def _interface(buffer: NDArray[np.uint8], at: int, length: int, state: PcapngState, notes: list[Note]) -> _Step:
    """Interface Description Block: Block Type, Block Total Length, LinkType (16), Reserved (16), SnapLen (32), Options."""
    block = _block(buffer, at, length, state, 20)
    if not isinstance(block, bytes):
        return block
    if len(state.interfaces) >= limits.MAX_INTERFACES:
        return f"describes interface {len(state.interfaces)}, more than are believed"
    order = _order(state)
    link_type, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
    options = list(_options(block, 16, order))
    tsresol = next((value[0] for code, value in options if code == _IF_TSRESOL and len(value) >= 1), 6)
    tsoffset = next((value[:8] for code, value in options if code == _IF_TSOFFSET and len(value) >= 8), bytes(8))
    interface = Interface(link_type, snaplen, tsresol, struct.unpack(order + "q", tsoffset)[0])
    state = _words(iter(options), _INTERFACE_WORDS, None, state, notes)
    return len(block), replace(state, interfaces=(*state.interfaces, interface))


_SPECIAL: Final[dict[int, Callable[[NDArray[np.uint8], int, int, PcapngState, list[Note]], _Step]]] = {
    _SECTION: _section,
    _INTERFACE: _interface,
}

_SECTION_WORDS: Final = {_OPT_COMMENT: "comment_section", 2: "hardware", 3: "os", 4: "application"}
_INTERFACE_WORDS: Final = {_OPT_COMMENT: "comment_interface", 12: "os", 15: "hardware"}
_PACKET_WORDS: Final = {_OPT_COMMENT: "comment_packet"}
_NAME_WORDS: Final = {_OPT_COMMENT: "comment_section"}


def _block(buffer: NDArray[np.uint8], at: int, length: int, state: PcapngState, least: int) -> bytes | str | None:
    """The whole block at `at`, padding included, its two lengths checked; or damage, or None if it is not complete."""
    order = _order(state)
    (total,) = struct.unpack(order + "I", buffer[at + 4 : at + 8].tobytes())
    if total < 12 or total > limits.MAX_BLOCK_BYTES:
        return _DAMAGE[3]
    padded = (total + 3) & ~3
    if at + padded > length:
        return None
    block = buffer[at : at + padded].tobytes()
    if struct.unpack_from(order + "I", block, padded - 4)[0] != total:
        return _DAMAGE[4]
    return _DAMAGE[7] if total < least else block


def _options(block: bytes, at: int, order: str) -> Iterator[tuple[int, bytes]]:
    """Options of `block` from `at` up to its trailing length: Option Code (16), Option Length (16), value padded to 32 bits."""
    end = len(block) - 4
    while at + 4 <= end:
        code, size = struct.unpack_from(order + "HH", block, at)
        if code == _OPT_END or at + 4 + size > end:
            return
        yield code, block[at + 4 : at + 4 + size]
        at += 4 + ((size + 3) & ~3)


def _words(
    options: Iterator[tuple[int, bytes]],
    kinds: dict[int, str],
    frame: int | None,
    state: PcapngState,
    notes: list[Note],
) -> PcapngState:
    """Take the options that are words as notes."""
    for code, value in options:
        if code in kinds:
            state = _note(Note(kinds[code], _text(value), frame=frame), state, notes)
    return state


def _note(note: Note, state: PcapngState, notes: list[Note]) -> PcapngState:
    if state.notes >= limits.MAX_COMMENTS:
        return state
    notes.append(note)
    return replace(state, notes=state.notes + 1)


def _text(value: bytes) -> str:
    """UTF-8 by the specification; what is not, is replaced. Some writers end strings with NUL."""
    return value[: limits.MAX_COMMENT_BYTES].decode("utf-8", "replace").rstrip("\0")


def _collect(
    buffer: NDArray[np.uint8], at: int, frame: int | None, state: PcapngState, notes: list[Note]
) -> PcapngState:
    """Take the words of a block that the kernel listed; its lengths were checked there."""
    order = _order(state)
    kind, total = struct.unpack(order + "II", buffer[at : at + 8].tobytes())
    block = buffer[at : at + ((total + 3) & ~3)].tobytes()
    return _COLLECT[kind](block, order, frame, state, notes)


def _packet_words(block: bytes, order: str, frame: int | None, state: PcapngState, notes: list[Note]) -> PcapngState:
    (caplen,) = struct.unpack_from(order + "I", block, 20)
    return _words(_options(block, 28 + ((caplen + 3) & ~3), order), _PACKET_WORDS, frame, state, notes)


def _names(block: bytes, order: str, frame: int | None, state: PcapngState, notes: list[Note]) -> PcapngState:
    """Name Resolution Block: records of Record Type (16), Record Value Length (16), value padded to 32 bits, ended by
    nrb_record_end; then options. A value is an address and one or more names, each ended by NUL."""
    at, end = 8, len(block) - 4
    while at + 4 <= end:
        kind, size = struct.unpack_from(order + "HH", block, at)
        value = block[at + 4 : at + 4 + size]
        if kind == 0:
            return _words(_options(block, at + 4, order), _NAME_WORDS, None, state, notes)
        if len(value) < size or at + 4 + size > end:
            return state
        address_bytes = {1: 4, 2: 16}.get(kind)
        if address_bytes is not None and size > address_bytes:
            subject = str(ipaddress.ip_address(value[:address_bytes]))
            for name in value[address_bytes:].split(b"\0"):
                if name:
                    state = _note(Note("name", _text(name), subject=subject), state, notes)
        at += 4 + ((size + 3) & ~3)
    return state


def _statistics(block: bytes, order: str, frame: int | None, state: PcapngState, notes: list[Note]) -> PcapngState:
    """Interface Statistics Block: Interface ID (32), Timestamp (64), Options; isb_ifdrop counts from the capture's start."""
    if len(block) < 24:
        return state
    (which,) = struct.unpack_from(order + "I", block, 8)
    options = list(_options(block, 20, order))
    for code, value in options:
        if code == _ISB_IFDROP and len(value) >= 8 and which < len(state.interfaces):
            latest = dict(state.dropped_here)
            latest[which] = struct.unpack(order + "Q", value[:8])[0]
            state = replace(state, dropped_here=tuple(latest.items()))
    return _words(iter(options), {_OPT_COMMENT: "comment_interface"}, None, state, notes)


_COLLECT: Final[dict[int, Callable[[bytes, str, int | None, PcapngState, list[Note]], PcapngState]]] = {
    ENHANCED_PACKET: _packet_words,
    OBSOLETE_PACKET: _packet_words,
    NAME_RESOLUTION: _names,
    INTERFACE_STATISTICS: _statistics,
}
