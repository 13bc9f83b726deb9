"""In: payloads with their ports. Out: a PacketBatch and Assignment as decoding and flow assembly would give.
Never here: a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tracehound.flows.assignment import Assignment
from tracehound.packets.batch import PacketBatch

CLIENT, SERVER = 0xFFFF0A000001, 0xFFFFC0000250
TYPES = {
    **dict.fromkeys(("buffer", "ip_version", "proto", "tcp_flags", "ttl", "option_len", "note"), "u1"),
    **dict.fromkeys(("sport", "dport", "window"), "u2"),
    **dict.fromkeys(("seq", "ack", "ip_id"), "u4"),
    **dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo"), "u8"),
    **dict.fromkeys(("caplen", "wirelen", "ip_bytes", "payload_len", "payload_caplen", "vlan", "tunnel"), "i4"),
    **dict.fromkeys(("packet_id", "ts", "file_offset", "payload_offset"), "i8"),
}
"""The type of each column."""


class Sent(NamedTuple):
    """One packet of a flow between CLIENT (the originator) and SERVER."""

    flow_id: int
    from_originator: bool
    payload: bytes
    sport: int = 5000
    dport: int = 53
    proto: int = 17
    flags: int = 24
    cut: int | None = None


def batch(packets: Sequence[Sent], first: int = 1) -> tuple[PacketBatch, Assignment]:
    """packet_id counts from `first`, ts is packet_id * 1000; sport and dport are those of originator and responder."""
    n = len(packets)
    columns: dict[str, Any] = {name: np.zeros(n, kind) for name, kind in TYPES.items()}
    sent = np.array([p.from_originator for p in packets], np.bool_)
    captured = [p.payload if p.cut is None else p.payload[: p.cut] for p in packets]
    size = np.array([len(c) for c in captured], np.int64)
    columns["buffer"] = np.frombuffer(b"".join(captured) + b"\0", np.uint8)
    columns["packet_id"] = np.arange(first, first + n, dtype=np.int64)
    columns["ts"] = columns["packet_id"] * 1000
    columns["proto"] = np.array([p.proto for p in packets], np.uint8)
    columns["ip_version"][:] = 4
    columns["tcp_flags"] = np.array([p.flags if p.proto == 6 else 0 for p in packets], np.uint8)
    ports = np.array([(p.sport, p.dport) for p in packets], np.uint16).reshape(-1, 2)
    columns["sport"] = np.where(sent, ports[:, 0], ports[:, 1])
    columns["dport"] = np.where(sent, ports[:, 1], ports[:, 0])
    columns["src_lo"] = np.where(sent, CLIENT, SERVER).astype(np.uint64)
    columns["dst_lo"] = np.where(sent, SERVER, CLIENT).astype(np.uint64)
    columns["payload_offset"] = np.cumsum(size) - size
    columns["payload_caplen"] = size.astype(np.int32)
    columns["payload_len"] = np.array([len(p.payload) for p in packets], np.int32)
    flow_id = np.array([p.flow_id for p in packets], np.int64)
    return PacketBatch(**columns), Assignment(flow_id, sent)
