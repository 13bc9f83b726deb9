"""In: rows of table `flows`. Out: export datagrams of NetFlow v5, as a router would have sent them, one behind the other.
Never here: files, sockets, reading (netflow.py).

Cisco, NetFlow Export Datagram Format: 24 bytes of header, at most 30 records of 48 bytes. A record is one direction; a flow gives
one or two. v5 knows IPv4 only, counts in 32 bits, and times by a clock that counts milliseconds from the router's start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flowlogs.argus_write import Flows

RECORDS_PER_DATAGRAM: Final = 30
_HEADER: Final = np.dtype(
    [("version", ">u2"), ("count", ">u2"), ("uptime", ">u4"), ("secs", ">u4"), ("nsecs", ">u4"), ("sequence", ">u4"), ("engine", ">u2"),
     ("sampling", ">u2")]
)  # fmt: skip
_RECORD: Final = np.dtype(
    [("src", ">u4"), ("dst", ">u4"), ("hop", ">u4"), ("input", ">u2"), ("output", ">u2"), ("pkts", ">u4"), ("bytes", ">u4"),
     ("first", ">u4"), ("last", ">u4"), ("sport", ">u2"), ("dport", ">u2"), ("pad", "u1"), ("flags", "u1"), ("proto", "u1"), ("tos", "u1"),
     ("src_as", ">u2"), ("dst_as", ">u2"), ("src_mask", "u1"), ("dst_mask", "u1"), ("pad2", ">u2")]
)  # fmt: skip
_MOST: Final = 2**32 - 1


def _direction(flows: Flows, pick: NDArray[np.bool_], boot_ms: int, *, back: bool) -> NDArray[np.void]:
    out = np.zeros(int(pick.sum()), dtype=_RECORD)
    ends = (flows.dst, flows.src) if back else (flows.src, flows.dst)
    low = np.uint64(0xFFFFFFFF)
    out["src"], out["dst"] = (ends[0].lo & low)[pick], (ends[1].lo & low)[pick]
    sport, dport = np.maximum(flows.sport, 0), np.maximum(flows.dport, 0)
    icmp = flows.proto == 1
    # ICMP: type * 256 + code in the destination port. Of a message that is answered, dport holds the answer's type.
    answered = icmp & np.isin(sport, (8, 13, 15, 17, 10))
    kind = np.where(answered & back, dport, sport)
    code = np.where(answered, 0, dport)
    ports = (dport, sport) if back else (sport, dport)
    out["sport"] = np.where(icmp, 0, ports[0])[pick]
    out["dport"] = np.where(icmp, kind << 8 | code & 0xFF, ports[1])[pick]
    out["pkts"] = np.clip(flows.pkts_dst if back else flows.pkts_src, 0, _MOST)[pick]
    out["bytes"] = np.clip(flows.bytes_dst if back else flows.bytes_src, 0, _MOST)[pick]
    out["flags"] = np.maximum(flows.tcp_flags_dst if back else flows.tcp_flags_src, 0)[pick]
    out["proto"] = flows.proto[pick]
    for name, ns in (("first", flows.start), ("last", flows.end)):
        out[name] = ((ns // 1_000_000 - boot_ms) & _MOST)[pick]
    return out


def write_flows(batches: Iterator[pa.RecordBatch] | Iterator[pa.Table]) -> Iterator[bytes]:
    """Datagrams of these flows (in order of time), piece by piece. Flows of IPv6, and directions in which nobody counted packets
    nor bytes, cannot be told in v5 and are left out."""
    sequence = 0
    boot_ms = -1
    for batch in batches:
        if batch.num_rows == 0:
            continue
        flows = Flows(batch)
        v4 = (flows.src.version == 4) & (flows.dst.version == 4)
        if boot_ms < 0:
            boot_ms = int(flows.start.min()) // 1_000_000 - 1000
        there = v4 & (flows.pkts_src > 0)
        back = v4 & (flows.pkts_dst > 0)
        records = np.concatenate([_direction(flows, there, boot_ms, back=False), _direction(flows, back, boot_ms, back=True)])
        ends = np.concatenate([flows.end[there], flows.end[back]])
        order = np.argsort(np.concatenate([flows.start[there], flows.start[back]]), kind="stable")
        # numpy puts things together in the byte order of the machine.
        records, ends = records[order].astype(_RECORD), ends[order]
        for begin in range(0, len(records), RECORDS_PER_DATAGRAM):
            part = records[begin : begin + RECORDS_PER_DATAGRAM]
            now_ns = int(ends[begin : begin + RECORDS_PER_DATAGRAM].max())
            header = np.zeros(1, dtype=_HEADER)
            header["version"], header["count"], header["sequence"] = 5, len(part), sequence & _MOST
            header["uptime"] = now_ns // 1_000_000 - boot_ms & _MOST
            # The header's time is that of its uptime, to the millisecond: so first and last come out as they are.
            header["secs"], header["nsecs"] = now_ns // 1_000_000_000, now_ns % 1_000_000_000 // 1_000_000 * 1_000_000
            sequence += len(part)
            yield header.tobytes() + part.tobytes()
