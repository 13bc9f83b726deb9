"""In: datagrams of NetFlow v1, v5 or v7, one behind another. Out: records of one direction (one_way.py) and what each header says.
Never here: templates (templates.py), sequence numbers' meaning (netflow.py).

Cisco, "NetFlow Export Datagram Format": header and record layouts of versions 1, 5 and 7."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flowlogs.one_way import (
    BYTES,
    DPORT,
    DST_LO,
    END,
    FLAGS,
    PKTS,
    PROTO,
    SAMPLING,
    SPORT,
    SRC_LO,
    START,
    VERSION,
    Records,
)
from tracehound.flows.key import V4_MAPPED
from tracehound.kernels import Int, kernel
from tracehound.packets.octets import be16, be32

LAYOUTS: Final[dict[int, tuple[int, int]]] = {1: (16, 52), 5: (24, 48), 7: (24, 52)}
"""version -> (header bytes, record bytes)"""
MAX_RECORDS: Final = 1_364
"""Records that fit into one UDP datagram. The protocol's own 30 is what an Ethernet frame holds; exporters with jumbo frames pass it."""

# What a header says, one column a datagram.
H_AT: Final = 0
H_COUNT: Final = 1
H_SEQUENCE: Final = 2
H_ENGINE: Final = 3  # engine type and id
H_SAMPLING: Final = 4  # one packet in so many
HEADER_FIELDS: Final = 5


@kernel
def read_fixed(
    b: NDArray[np.uint8], at: Int, end: Int, version: Int, header_bytes: Int, record_bytes: Int, out: Records,
    offset: NDArray[np.int64], headers: NDArray[np.int64],
) -> tuple[Int, Int, Int]:  # fmt: skip
    """Read datagrams of `version` from b[at:end] while they are whole and there is room. Returns (records, datagrams, where reading
    stopped)."""
    records, datagrams = 0, 0
    while at + header_bytes <= end and datagrams < headers.shape[1]:
        if be16(b, at) != version:
            break
        count = be16(b, at + 2)
        if count > MAX_RECORDS or at + header_bytes + count * record_bytes > end or records + count > out.shape[1]:
            break
        # "sysUptime ms, unix_secs, unix_nsecs": when the datagram was sent, by both clocks of the exporter
        uptime = be32(b, at + 4)
        sent_ns = be32(b, at + 8) * 1_000_000_000 + min(be32(b, at + 12), 999_999_999)
        sampling = 1
        headers[H_AT, datagrams] = at
        headers[H_COUNT, datagrams] = count
        headers[H_SEQUENCE, datagrams] = -1
        headers[H_ENGINE, datagrams] = 0
        if version != 1:
            headers[H_SEQUENCE, datagrams] = be32(b, at + 16)
        if version == 5:
            headers[H_ENGINE, datagrams] = be16(b, at + 20)
            # "sampling u16: top 2 bits mode, 14 bits interval"
            word = be16(b, at + 22)
            if word & 0x3FFF > 1:
                sampling = word & 0x3FFF
        headers[H_SAMPLING, datagrams] = sampling
        datagrams += 1
        at += header_bytes
        for _ in range(count):
            out[SRC_LO, records] = V4_MAPPED | be32(b, at)
            out[DST_LO, records] = V4_MAPPED | be32(b, at + 4)
            out[VERSION, records] = 4
            out[PKTS, records] = be32(b, at + 16)
            out[BYTES, records] = be32(b, at + 20)
            # First and Last are ms of uptime, which wraps after 49.7 days: the shorter way round is the right one.
            first = uptime - be32(b, at + 24)
            last = uptime - be32(b, at + 28)
            out[START, records] = sent_ns - (((first + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * 1_000_000
            out[END, records] = sent_ns - (((last + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * 1_000_000
            sport, dport = be16(b, at + 32), be16(b, at + 34)
            flags, proto = np.int64(b[at + 37]), np.int64(b[at + 38])
            if version == 1:
                flags = np.int64(b[at + 40])
            if proto == 1:
                # "ICMP: dstport = type * 256 + code"
                sport, dport = dport >> 8, dport & 0xFF
            out[SPORT, records] = sport
            out[DPORT, records] = dport
            out[PROTO, records] = proto
            # Some exporters leave the flags out: no TCP segment is without any.
            out[FLAGS, records] = flags if proto == 6 and flags else -1
            out[SAMPLING, records] = sampling
            offset[records] = at
            records += 1
            at += record_bytes
    return records, datagrams, at
