"""In: one fragment after another. Out: the datagram, when its last missing piece has come.
Never here: headers. Bounded by limits.MAX_FRAGMENT_BYTES and FRAGMENT_TIMEOUT_NS; what is given up is counted.

RFC 815 and RFC 8200 4.5. Overlapping fragments: the bytes that came first stay (RFC 5722 forbids overlaps in IPv6; such a
datagram is kept and counted here, because a forensic tool shows what was sent)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tracehound.limits import FRAGMENT_TIMEOUT_NS, MAX_FRAGMENT_BYTES, MAX_FRAGMENTS_PER_DATAGRAM

Key = tuple[int, int, int, int, int, int, int]


class Fragment(NamedTuple):
    """key: addresses as four numbers, protocol (IPv6: 0), identification, and the tunnels and VLANs that it came through.
    offset, length: bytes in the datagram. data may be shorter than `length` where the capture cut it.
    header: the IP header before it, of the first fragment at least."""

    key: Key
    offset: int
    more: bool
    length: int
    data: bytes
    proto: int
    header: bytes
    ts_ns: int


class Datagram(NamedTuple):
    header: bytes
    data: bytes
    proto: int


@dataclass(slots=True)
class _Waiting:
    since_ns: int
    pieces: list[Fragment] = field(default_factory=list)
    held: int = 0
    total: int | None = None


@dataclass(slots=True)
class DefragState:
    """Datagrams that wait for fragments, oldest first, and what happened so far."""

    waiting: dict[Key, _Waiting] = field(default_factory=dict)
    held: int = 0
    joined: int = 0
    overlaps: int = 0
    given_up: int = 0


def _drop(state: DefragState, key: Key) -> None:
    state.held -= state.waiting.pop(key).held
    state.given_up += 1


def _make_room(state: DefragState, now_ns: int) -> None:
    """Give up what has waited too long, then the oldest while too much is held."""
    for key in list(state.waiting):
        if now_ns - state.waiting[key].since_ns <= FRAGMENT_TIMEOUT_NS and state.held <= MAX_FRAGMENT_BYTES:
            break
        _drop(state, key)


def _whole(state: DefragState, entry: _Waiting) -> bytes | None:
    """The datagram's bytes if no hole is left."""
    if entry.total is None:
        return None
    data = bytearray(entry.total)
    filled = 0
    overlap = False
    # Arrival order decides who owns a byte; sorting by offset (stable) is enough to see holes.
    reach = 0
    for piece in sorted(entry.pieces, key=lambda p: p.offset):
        if piece.offset > reach:
            return None
        overlap = overlap or piece.offset < reach
        reach = max(reach, piece.offset + piece.length)
    if reach < entry.total:
        return None
    for piece in reversed(entry.pieces):
        part = piece.data[: max(0, entry.total - piece.offset)]
        data[piece.offset : piece.offset + len(part)] = part
        filled += len(part)
    state.overlaps += overlap
    return bytes(data)


def add_fragment(state: DefragState, fragment: Fragment) -> Datagram | None:
    """Take one fragment; returns the datagram when it is whole."""
    _make_room(state, fragment.ts_ns)
    end = fragment.offset + fragment.length
    if end > 65535 or fragment.length <= 0:
        # Ping of death and its kin: no datagram is longer than its own length field can say.
        state.given_up += 1
        return None
    entry = state.waiting.setdefault(fragment.key, _Waiting(fragment.ts_ns))
    entry.pieces.append(fragment)
    entry.held += len(fragment.data)
    state.held += len(fragment.data)
    if not fragment.more:
        entry.total = end if entry.total is None else min(entry.total, end)
    if len(entry.pieces) > MAX_FRAGMENTS_PER_DATAGRAM:
        _drop(state, fragment.key)
        return None
    data = _whole(state, entry)
    if data is None:
        return None
    first = min(entry.pieces, key=lambda p: p.offset)
    state.held -= state.waiting.pop(fragment.key).held
    state.joined += 1
    return Datagram(first.header, data, first.proto)
