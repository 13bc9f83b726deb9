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
from tracehound.kernels import kernel
from tracehound.limits import MAX_QUALITY_KINDS
from tracehound.packets.addresses import tunnel_text
from tracehound.packets.batch import NOTE, NOTES, PacketBatch, one_a_record
from tracehound.packets.defrag import DefragState
from tracehound.tables import EVIDENCE_SHIFT, FRAME_MASK

_RING: Final = 1 << 16
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
    ring_hash: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))
    ring_ts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))
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
def observe_packets(
    p: PacketBatch, rows: NDArray[np.int64], notes: NDArray[np.int64], counts: NDArray[np.int64], ring_hash: NDArray[np.int64],
    ring_ts: NDArray[np.int64],
) -> None:
    """Count the given rows of one batch.

    A packet is a duplicate if it repeats one of the last few thousand within _DUPLICATE_WITHIN_NS: addresses, ports, IP
    identification, sequence, flags and length hash alike. Packets whose IP identification is 0 (stacks that send it so
    repeat honestly) and those that are not IPv4 are not looked at."""
    mask = np.uint64(ring_hash.size - 1)
    last = counts[LAST_TS]
    for n in range(rows.size):
        i = rows[n]
        now = p.ts[i]
        note = np.int64(p.note[i])
        notes[note] += 1
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
        at = np.int64(h & mask)
        key = np.int64(h >> np.uint64(1))
        if ring_hash[at] == key and 0 <= now - ring_ts[at] <= _DUPLICATE_WITHIN_NS:
            counts[DUPLICATES] += 1
        ring_hash[at] = key
        ring_ts[at] = now
    counts[LAST_TS] = last


def observe(raw: RawBatch, packets: PacketBatch, state: QualityState) -> None:
    """Count one batch; a record that holds several packets counts once, by the innermost."""
    file = state.files.setdefault(raw.evidence_id, FileCounts())
    chosen = one_a_record(packets)
    rows = np.arange(packets.ts.size) if chosen is None else chosen
    file.packets += rows.size
    unknown, not_ip = int(file.notes[_UNKNOWN_LINK]), int(file.notes[_NOT_IP])
    # Plain Python checks for overflow where the compiled kernel wraps round, as a hash is meant to.
    with np.errstate(over="ignore"):
        observe_packets(packets, rows, file.notes, file.counts, file.ring_hash, file.ring_ts)
    if file.notes[_UNKNOWN_LINK] > unknown:
        record = np.searchsorted(raw.frame_numbers(), packets.packet_id[rows] & FRAME_MASK)
        _tally(file.links, raw.records.link_type[record[packets.note[rows] == _UNKNOWN_LINK]])
    if file.notes[_NOT_IP] > not_ip:
        _tally(file.ether_types, packets.dport[rows][packets.note[rows] == _NOT_IP])
    tunnel = packets.tunnel[rows]
    if tunnel.any():
        _tally(file.tunnels, tunnel[tunnel != 0])


def leave_out(evidence_id: int, count: int, state: QualityState) -> None:
    """So many records did not pass the capture filter."""
    state.files.setdefault(evidence_id, FileCounts()).left_out += count


def _tally(counter: Counter[int], values: NDArray[Any]) -> None:
    """Count each value; what comes after the first MAX_QUALITY_KINDS kinds is counted as kind -1."""
    distinct, counts = np.unique(values, return_counts=True)
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
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
