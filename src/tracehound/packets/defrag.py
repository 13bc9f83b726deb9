"""In: one fragment after another. Out: the datagram, when its last missing piece has come.
Never here: headers. Bounded by limits.MAX_FRAGMENT_BYTES and FRAGMENT_TIMEOUT_NS; what is given up is counted.

RFC 815 and RFC 8200 4.5. Overlapping fragments: the bytes that came first stay (RFC 5722 forbids overlaps in IPv6; such a
datagram is kept and counted here, because a forensic tool shows what was sent)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from tracehound.limits import FRAGMENT_TIMEOUT_NS, MAX_FRAGMENT_BYTES, MAX_FRAGMENTS_PER_DATAGRAM

Key = tuple[int, ...]


class Fragment(NamedTuple):
    """key: seven numbers: addresses as four numbers, protocol (IPv6: 0), identification, and the tunnels and VLANs that it came through.
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
    """data: what was captured of it from its beginning without a hole; length: its bytes on the wire."""

    header: bytes
    data: bytes
    length: int
    proto: int


@dataclass(slots=True)
class _Waiting:
    since_ns: int
    pieces: list[Fragment] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    held: int = 0
    total: int | None = None
    overlaps: bool = False


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
    while state.waiting:
        key = next(iter(state.waiting))
        if now_ns - state.waiting[key].since_ns <= FRAGMENT_TIMEOUT_NS and state.held <= MAX_FRAGMENT_BYTES:
            break
        _drop(state, key)


def _cover(entry: _Waiting, begin: int, end: int) -> bool:
    """Note that the bytes from begin to end have come; returns whether some of them had come before."""
    spans = entry.spans
    if not spans or begin > spans[-1][1]:
        spans.append((begin, end))
        return False
    if begin == spans[-1][1]:
        # In order, as most come.
        spans[-1] = spans[-1][0], end
        return False
    first = bisect_left(spans, begin, key=lambda span: span[1])
    last = first
    again = False
    while last < len(spans) and spans[last][0] <= end:
        again = again or (spans[last][0] < end and spans[last][1] > begin)
        begin, end = min(begin, spans[last][0]), max(end, spans[last][1])
        last += 1
    spans[first:last] = [(begin, end)]
    return again


def _whole(entry: _Waiting, total: int) -> bytes:
    """The datagram's bytes; the order of arrival decides who owns a byte.

    Where the capture cut fragments short only the bytes before the first hole are given: a few captured bytes must not become a
    datagram of 65,535."""
    reach = 0
    for piece in entry.pieces:
        if piece.offset != reach or len(piece.data) != piece.length:
            break
        reach += piece.length
    else:
        # Whole and in order, as most come.
        return b"".join([piece.data for piece in entry.pieces])[:total]
    reach = 0
    for piece in sorted(entry.pieces, key=lambda p: p.offset):
        if piece.offset > reach:
            break
        reach = max(reach, piece.offset + len(piece.data))
    reach = min(reach, total)
    data = bytearray(reach)
    for piece in reversed(entry.pieces):
        part = piece.data[: max(0, reach - piece.offset)]
        data[piece.offset : piece.offset + len(part)] = part
    return bytes(data)


def add_fragment(state: DefragState, fragment: Fragment) -> Datagram | None:
    """Take one fragment; returns the datagram when it is whole."""
    _make_room(state, fragment.ts_ns)
    end = fragment.offset + fragment.length
    if end > 65535 or fragment.length <= 0:
        # Ping of death and its kin: no datagram is longer than its own length field can say.
        state.given_up += 1
        return None
    entry = state.waiting.get(fragment.key)
    if entry is None:
        entry = state.waiting[fragment.key] = _Waiting(fragment.ts_ns)
    entry.pieces.append(fragment)
    entry.held += len(fragment.data)
    state.held += len(fragment.data)
    if not fragment.more:
        entry.total = end if entry.total is None else min(entry.total, end)
    if len(entry.pieces) > MAX_FRAGMENTS_PER_DATAGRAM:
        _drop(state, fragment.key)
        return None
    entry.overlaps |= _cover(entry, fragment.offset, end)
    if entry.total is None or entry.spans[0][0] > 0 or entry.spans[0][1] < entry.total:
        return None
    state.overlaps += entry.overlaps
    data = _whole(entry, entry.total)
    first = min(entry.pieces, key=lambda p: p.offset)
    state.held -= state.waiting.pop(fragment.key).held
    state.joined += 1
    return Datagram(first.header, data, entry.total, first.proto)
