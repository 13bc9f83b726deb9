"""In: batches of decoded packets. Out: the packet part of the capture-quality record: what is odd, each counted per file.
Never here: flows (their share is counted by SQL over table `flows`), or words for a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch
from tracehound.kernels import kernel
from tracehound.packets.batch import NOTES, PacketBatch
from tracehound.packets.defrag import DefragState
from tracehound.tables import EVIDENCE_SHIFT

_RING: Final = 1 << 16
_DUPLICATE_WITHIN_NS: Final = 50_000_000
"""A copy from a mirror port follows its original within milliseconds; a retransmission has another IP identification."""

_MEANING: Final[dict[str, str]] = {
    "unknown link type": "not decoded; counted only",
    "bad checksum": "left out of every answer",
    "fragment, waiting for the rest": "the rest of the datagram is not in the capture, or came too late",
    "tunnelled in an encapsulation that is not followed": "what is inside was not looked at",
}


@dataclass(slots=True)
class FileCounts:
    notes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(NOTES), dtype=np.int64))
    packets: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(6, dtype=np.int64))
    ring_hash: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))
    ring_ts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))


@dataclass(slots=True)
class QualityState:
    """Counts per evidence_id."""

    files: dict[int, FileCounts] = field(default_factory=dict)


# Places in FileCounts.counts.
SHORT, PAYLOAD_CUT, NO_TIME, DISORDER, DUPLICATES, LAST_TS = range(6)


@kernel
def observe_packets(
    p: PacketBatch, notes: NDArray[np.int64], counts: NDArray[np.int64], ring_hash: NDArray[np.int64],
    ring_ts: NDArray[np.int64],
) -> None:
    """Count one batch.

    A packet is a duplicate if it repeats one of the last few thousand within _DUPLICATE_WITHIN_NS: addresses, ports, IP
    identification, sequence, flags and length hash alike. Packets whose IP identification is 0 (stacks that send it so
    repeat honestly) and those that are not IPv4 are not looked at."""
    mask = np.uint64(ring_hash.size - 1)
    last = counts[LAST_TS]
    for i in range(p.ts.size):
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
    """Count one batch."""
    file = state.files.setdefault(raw.evidence_id, FileCounts())
    file.packets += packets.ts.size
    # Plain Python checks for overflow where the compiled kernel wraps round, as a hash is meant to.
    with np.errstate(over="ignore"):
        observe_packets(packets, file.notes, file.counts, file.ring_hash, file.ring_ts)


def items(state: QualityState, fragments: dict[int, DefragState]) -> list[tuple[int, str, int, str | None]]:
    """Rows (evidence_id, item, count, note) of table `quality`; only what is not zero, and always the packets."""
    rows: list[tuple[int, str, int, str | None]] = []
    for evidence_id, c in sorted(state.files.items()):
        defrag = fragments.get(evidence_id, DefragState())
        waiting = NOTES.index("fragment, waiting for the rest")
        notes = {NOTES[code]: int(n) for code, n in enumerate(c.notes) if code and n and code != waiting}
        counted: list[tuple[str, int, str | None]] = [
            ("packets", c.packets, None),
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
        rows += [(evidence_id, item, n, note) for item, n, note in counted if n or item == "packets"]
    return rows


def frame_of(packet_id: int) -> tuple[int, int]:
    """(evidence_id, frame) of a packet_id."""
    return packet_id >> EVIDENCE_SHIFT, packet_id & ((1 << EVIDENCE_SHIFT) - 1)
