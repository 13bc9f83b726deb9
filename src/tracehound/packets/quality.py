"""In: batches of decoded packets. Out: the packet part of the capture-quality record: what is odd, each counted per file.
Never here: flows (their share is counted by SQL over table `flows`), or words for a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch
from tracehound.kernels import Int, kernel
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
    short: int = 0
    payload_cut: int = 0
    disorder: int = 0
    duplicates: int = 0
    no_time: int = 0
    last_ts: int = 0
    ring_hash: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))
    ring_ts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_RING, dtype=np.int64))


@dataclass(slots=True)
class QualityState:
    """Counts per evidence_id."""

    files: dict[int, FileCounts] = field(default_factory=dict)


@kernel
def count_duplicates(
    ts: NDArray[np.int64], packet_hash: NDArray[np.int64], ring_hash: NDArray[np.int64], ring_ts: NDArray[np.int64]
) -> Int:
    """How many packets repeat one of the last few thousand, hash for hash, within _DUPLICATE_WITHIN_NS."""
    found = 0
    mask = ring_hash.size - 1
    for i in range(ts.size):
        h = packet_hash[i]
        if h == 0:
            continue
        at = h & mask
        if ring_hash[at] == h and 0 <= ts[i] - ring_ts[at] <= _DUPLICATE_WITHIN_NS:
            found += 1
        ring_hash[at] = h
        ring_ts[at] = ts[i]
    return found


def _hashes(p: PacketBatch) -> NDArray[np.int64]:
    """A number that two packets share only if addresses, ports, IP identification, sequence, flags and length agree; 0 where
    the IP identification is 0 (stacks that send it so repeat honestly) or the packet is not IPv4."""
    with np.errstate(over="ignore"):
        mixed = (p.src_lo ^ p.dst_lo * np.uint64(0x9E3779B97F4A7C15)) + (
            p.ip_id.astype(np.uint64) << np.uint64(32) | p.sport.astype(np.uint64) << np.uint64(16) | p.dport
        ) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= (p.seq.astype(np.uint64) << np.uint64(24) | p.tcp_flags.astype(np.uint64)) * np.uint64(0x94D049BB133111EB)
        mixed += p.payload_len.astype(np.uint64) + (p.ack.astype(np.uint64) << np.uint64(20))
        mixed ^= mixed >> np.uint64(29)
    out = mixed.view(np.int64) & np.int64(0x7FFFFFFFFFFFFFFF)
    return np.where((p.ip_version == 4) & (p.ip_id != 0), out, 0)


def observe(raw: RawBatch, packets: PacketBatch, state: QualityState) -> None:
    """Count one batch."""
    counts = state.files.setdefault(raw.evidence_id, FileCounts())
    ts = packets.ts
    counts.packets += ts.size
    counts.notes += np.bincount(packets.note, minlength=len(NOTES))
    counts.short += int(np.count_nonzero(packets.caplen < packets.wirelen))
    counts.payload_cut += int(np.count_nonzero((packets.payload_caplen < packets.payload_len) & (packets.note == 0)))
    counts.no_time += int(np.count_nonzero(ts == 0))
    if ts.size:
        earlier = np.concatenate([[counts.last_ts], ts[:-1]])
        counts.disorder += int(np.count_nonzero(ts < earlier))
        counts.last_ts = int(ts[-1])
    counts.duplicates += count_duplicates(ts, _hashes(packets), counts.ring_hash, counts.ring_ts)


def items(state: QualityState, fragments: dict[int, DefragState]) -> list[tuple[int, str, int, str | None]]:
    """Rows (evidence_id, item, count, note) of table `quality`; only what is not zero, and always the packets."""
    rows: list[tuple[int, str, int, str | None]] = []
    for evidence_id, c in sorted(state.files.items()):
        defrag = fragments.get(evidence_id, DefragState())
        waiting = NOTES.index("fragment, waiting for the rest")
        notes = {NOTES[code]: int(n) for code, n in enumerate(c.notes) if code and n and code != waiting}
        counted: list[tuple[str, int, str | None]] = [
            ("packets", c.packets, None),
            ("packets captured short (snap length)", c.short, "their ends are missing"),
            ("packets with payload cut short", c.payload_cut, "payload ends early; transactions may be partial"),
            ("packets out of time order", c.disorder, "times run backwards; durations use earliest and latest"),
            ("packets without a time", c.no_time, "the capture format gave none"),
            ("duplicated packets", c.duplicates, "seen twice within 50 ms, byte for byte in the headers; counted in flows"),
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
