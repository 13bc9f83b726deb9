"""In: decoded packets of a capture. Out: those that may be datagrams of NetFlow or IPFIX. Every batch of every capture is looked at, so
this needs nothing else. Never here: whether they are (export_traffic.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.packets.batch import PacketBatch

_UDP = 17
_VERSIONS = (1, 5, 7, 9, 10)
_SHORTEST = 16
"""RFC 7011 3.1: the header of IPFIX; those of the others are longer."""


@kernel
def find_candidates(p: PacketBatch, rows: NDArray[np.int64]) -> Int:
    """Fill `rows`; returns how many there are."""
    count = np.int64(0)
    for i in range(p.proto.size):
        if p.proto[i] != _UDP or p.payload_caplen[i] < _SHORTEST or p.payload_caplen[i] != p.payload_len[i]:
            continue
        at = p.payload_offset[i]
        if at >= 0 and p.buffer[at] == 0 and p.buffer[at + 1] in _VERSIONS:
            rows[count] = i
            count += 1
    return count


def candidates(packets: PacketBatch) -> NDArray[np.int64]:
    """Rows of datagrams that were captured whole and begin with a version: few packets of other traffic do."""
    rows = np.empty(packets.proto.size, np.int64)
    return rows[: int(find_candidates(packets, rows))]
