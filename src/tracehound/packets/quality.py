"""In: batches of decoded packets. Out: the packet part of the capture-quality record: what is odd, each counted per file.
Never here: flows (their share is counted by SQL over table `flows`), or words for a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.link_types import link_type_name
from tracehound.capture.records import RawBatch
from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_QUALITY_KINDS
from tracehound.loads import ask
from tracehound.packets.addresses import tunnel_text
from tracehound.packets.batch import NOTE, NOTES, PacketBatch
from tracehound.packets.defrag import DefragState
from tracehound.tables import EVIDENCE_SHIFT, FRAME_MASK

_RING: Final = 1 << 16
_BEHIND: Final = 16
"""Packets between asking for a place in the ring and looking at it."""
_DUPLICATE_WITHIN_NS: Final = 50_000_000
"""A copy from a mirror port follows its original within milliseconds; a retransmission has another IP identification."""

_MEANING: Final[dict[str, str]] = {
    "unknown link type": "not decoded; counted only",
    "bad checksum": "left out of every answer",
    "fragment, waiting for the rest": "the rest of the datagram is not in the capture, or came too late",
    "tunnelled in an encapsulation that is not followed": "what is inside was not looked at",
    "tunnelled deeper than is followed": "what is inside was not looked at",
    "802.11 encrypted (WEP, WPA)": "the keys are not in the capture; what is inside was not looked at",
    "encrypted or compressed link (MACsec, PPP)": "what is inside was not looked at",
}
_UNKNOWN_LINK: Final = NOTE["unknown link type"]
_NOT_IP: Final = NOTE["not IP"]
_WAITING: Final = NOTE["fragment, waiting for the rest"]
_ARP: Final = NOTE["ARP"]


@dataclass(slots=True)
class FileCounts:
    notes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(NOTES), dtype=np.int64))
    packets: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(6, dtype=np.int64))
    ring: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * _RING, dtype=np.int64))
    left_out: int = 0
    links: Counter[int] = field(default_factory=Counter)
    ether_types: Counter[int] = field(default_factory=Counter)
    tunnels: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class QualityState:
    """Counts per evidence_id."""

    files: dict[int, FileCounts] = field(default_factory=dict)


# Places in FileCounts.counts.
SHORT, PAYLOAD_CUT, NO_TIME, DISORDER, DUPLICATES, LAST_TS = range(6)


@kernel
def compare_and_keep(ring: NDArray[np.int64], at: Int, key: Int, now: Int) -> Int:
    """1 if the packet that was last met with this place in the ring has the same key and is not long ago; keeps this one."""
    again = np.int64(1 if ring[at] == key and 0 <= now - ring[at + 1] <= _DUPLICATE_WITHIN_NS else 0)
    ring[at] = key
    ring[at + 1] = now
    return again


@kernel
def observe_packets(
    p: PacketBatch, notes: NDArray[np.int64], counts: NDArray[np.int64], ring: NDArray[np.int64], queue: NDArray[np.int64],
    odd: NDArray[np.int64],
) -> tuple[Int, Int]:
    """Count the packets of one batch; of rows that follow one another with one packet_id only the first of those in most tunnels.

    A packet is a duplicate if it repeats one of the last few thousand within _DUPLICATE_WITHIN_NS: addresses, ports, IP
    identification, sequence, flags and length hash alike. Packets whose IP identification is 0 (stacks that send it so
    repeat honestly) and those that are not IPv4 are not looked at.

    ring    key and time of the packet last met with each place, side by side
    queue   room for _BEHIND places, keys and times: the ring is larger than a near cache, so that a place is asked for first and
            looked at some packets later
    odd     filled with the rows whose kind is counted, too: unknown link, not IP, in a tunnel
    Returns how many records there are, and how many odd rows."""
    mask = np.uint64(ring.size // 2 - 1)
    last = counts[LAST_TS]
    records = np.int64(0)
    odds = np.int64(0)
    queued: Int = np.int64(0)
    n = p.ts.size
    next_row = np.int64(0)
    while next_row < n:
        i = next_row
        next_row += 1
        first_tunnel = p.tunnel[i]
        # A path of more tunnels is a larger number, because further ones stand in higher bits.
        while next_row < n and p.packet_id[next_row] == p.packet_id[i]:
            if p.tunnel[next_row] > first_tunnel:
                i = next_row
                first_tunnel = p.tunnel[i]
            next_row += 1
        records += 1
        now = p.ts[i]
        note = np.int64(p.note[i])
        notes[note] += 1
        if note == _UNKNOWN_LINK or note == _NOT_IP or first_tunnel != 0:
            odd[odds] = i
            odds += 1
        if p.caplen[i] < p.wirelen[i]:
            counts[SHORT] += 1
        if note == 0 and p.payload_caplen[i] < p.payload_len[i]:
            counts[PAYLOAD_CUT] += 1
        if now == 0:
            counts[NO_TIME] += 1
        if now < last:
            counts[DISORDER] += 1
        last = now
        if p.ip_version[i] != 4 or p.ip_id[i] == 0:
            continue
        h = np.uint64(p.src_lo[i]) ^ np.uint64(p.dst_lo[i]) * np.uint64(0x9E3779B97F4A7C15)
        ends = np.uint64(p.ip_id[i]) << np.uint64(32) | np.uint64(p.sport[i]) << np.uint64(16) | np.uint64(p.dport[i])
        h += ends * np.uint64(0xBF58476D1CE4E5B9)
        h ^= (np.uint64(p.seq[i]) << np.uint64(24) | np.uint64(p.tcp_flags[i])) * np.uint64(0x94D049BB133111EB)
        h += np.uint64(p.payload_len[i]) + (np.uint64(p.ack[i]) << np.uint64(20))
        h ^= h >> np.uint64(29)
        at = np.int64(h & mask) * 2
        ask(ring, at)
        place = queued % _BEHIND * 3
        if queued >= _BEHIND:
            counts[DUPLICATES] += compare_and_keep(ring, queue[place], queue[place + 1], queue[place + 2])
        queue[place], queue[place + 1], queue[place + 2] = at, np.int64(h >> np.uint64(1)), now
        queued += 1
    for k in range(int(min(queued, _BEHIND))):
        # Those that are left, oldest first.
        place = (queued - min(queued, _BEHIND) + k) % _BEHIND * 3
        counts[DUPLICATES] += compare_and_keep(ring, queue[place], queue[place + 1], queue[place + 2])
    counts[LAST_TS] = last
    return records, odds


def observe(raw: RawBatch, packets: PacketBatch, state: QualityState) -> None:
    """Count one batch; a record that holds several packets counts once, by the innermost."""
    file = state.files.setdefault(raw.evidence_id, FileCounts())
    room = np.empty(packets.ts.size, np.int64)
    # Plain Python checks for overflow where the compiled kernel wraps round, as a hash is meant to.
    with np.errstate(over="ignore"):
        records, odds = observe_packets(packets, file.notes, file.counts, file.ring, np.empty(3 * _BEHIND, np.int64), room)
    file.packets += int(records)
    odd = room[: int(odds)]
    if not odd.size:
        return
    note = packets.note[odd]
    unknown, not_ip = odd[note == _UNKNOWN_LINK], odd[note == _NOT_IP]
    if unknown.size:
        record = np.searchsorted(raw.frame_numbers(), packets.packet_id[unknown] & FRAME_MASK)
        _tally(file.links, raw.records.link_type[record])
    if not_ip.size:
        _tally(file.ether_types, packets.dport[not_ip])
    tunnel = packets.tunnel[odd]
    if tunnel.any():
        _tally(file.tunnels, tunnel[tunnel != 0])


def leave_out(evidence_id: int, count: int, state: QualityState) -> None:
    """So many records did not pass the capture filter."""
    state.files.setdefault(evidence_id, FileCounts()).left_out += count


def _tally(counter: Counter[int], values: NDArray[Any]) -> None:
    """Count each value; what comes after the first MAX_QUALITY_KINDS kinds is counted as kind -1."""
    for value, count in sorted(Counter(values.tolist()).items()):
        counter[value if value in counter or len(counter) < MAX_QUALITY_KINDS else -1] += count


def _kinds(c: FileCounts) -> Iterator[tuple[str, int, str | None]]:
    """What was not decoded, and what was inside tunnels, by kind."""
    for link, n in c.links.most_common():
        name = "others" if link < 0 else f"{link_type_name(link)} ({link})"
        yield f"not decoded: unknown link type: {name}", n, _MEANING["unknown link type"]
    for kind, n in c.ether_types.most_common():
        name = "others" if kind < 0 else f"EtherType 0x{kind:04x}" if kind else "no EtherType"
        yield f"not decoded: not IP: {name}", n, None
    for path, n in c.tunnels.most_common():
        yield f"packets inside tunnels: {tunnel_text(path) if path > 0 else 'others'}", n, "decoded as any other"


def items(state: QualityState, fragments: dict[int, DefragState]) -> list[tuple[int, str, int, str | None]]:
    """Rows (evidence_id, item, count, note) of table `quality`; only what is not zero, and always the packets."""
    rows: list[tuple[int, str, int, str | None]] = []
    for evidence_id, c in sorted(state.files.items()):
        defrag = fragments.get(evidence_id, DefragState())
        apart = (_WAITING, _UNKNOWN_LINK, _NOT_IP, _ARP)
        notes = {NOTES[code]: int(n) for code, n in enumerate(c.notes) if code and n and code not in apart}
        counted: list[tuple[str, int, str | None]] = [
            ("packets", c.packets, None),
            ("packets of ARP", int(c.notes[_ARP]), "address resolution: no flow, and nothing is wrong with it"),
            ("packets left out by the capture filter", c.left_out, "they are in no table and no answer"),
            ("packets captured short (snap length)", int(c.counts[SHORT]), "their ends are missing"),
            ("packets with payload cut short", int(c.counts[PAYLOAD_CUT]), "payload ends early; transactions may be partial"),
            ("packets out of time order", int(c.counts[DISORDER]), "times run backwards; durations use earliest and latest"),
            ("packets without a time", int(c.counts[NO_TIME]), "the capture format gave none"),
            ("duplicated packets", int(c.counts[DUPLICATES]), "seen twice within 50 ms, byte for byte in the headers; counted in flows"),
            ("datagrams put together from fragments", defrag.joined, None),
            ("datagrams with overlapping fragments", defrag.overlaps, "the bytes that came first were kept"),
            ("fragments given up", defrag.given_up + sum(len(w.pieces) for w in defrag.waiting.values()),
             _MEANING["fragment, waiting for the rest"]),
        ]  # fmt: skip
        counted += [(f"not decoded: {text}", n, _MEANING.get(text)) for text, n in notes.items()]
        counted += _kinds(c)
        rows += [(evidence_id, item, n, note) for item, n, note in counted if n or item == "packets"]
    return rows


def frame_of(packet_id: int) -> tuple[int, int]:
    """(evidence_id, frame) of a packet_id."""
    return packet_id >> EVIDENCE_SHIFT, packet_id & ((1 << EVIDENCE_SHIFT) - 1)
