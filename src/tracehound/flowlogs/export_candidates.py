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
def find_candidates(
    buffer: NDArray[np.uint8], proto: NDArray[np.uint8], offset: NDArray[np.int64], length: NDArray[np.int32],
    caplen: NDArray[np.int32], rows: NDArray[np.int64],
) -> Int:
    """Fill `rows`; returns how many there are."""
    count = np.int64(0)
    for i in range(proto.size):
        if proto[i] != _UDP or caplen[i] < _SHORTEST or caplen[i] != length[i]:
            continue
        at = offset[i]
        if at >= 0 and buffer[at] == 0 and buffer[at + 1] in _VERSIONS:
            rows[count] = i
            count += 1
    return count


def candidates(packets: PacketBatch) -> NDArray[np.int64]:
    """Rows of datagrams that were captured whole and begin with a version: few packets of other traffic do."""
    rows = np.empty(packets.proto.size, np.int64)
    p = packets
    return rows[: int(find_candidates(p.buffer, p.proto, p.payload_offset, p.payload_len, p.payload_caplen, rows))]
