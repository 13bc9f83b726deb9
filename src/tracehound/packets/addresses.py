"""In: addresses as two 64-bit numbers, VLAN tags as one. Out: canonical text, as dictionary-encoded Arrow columns in which
each distinct value is formatted once. Never here: what an address belongs to (enrich/)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def packed(hi: int, lo: int, version: int) -> bytes:
    """An address in network order: 4 bytes for IPv4, 16 for IPv6."""
    return struct.pack("!I", lo & 0xFFFFFFFF) if version == 4 else struct.pack("!QQ", hi, lo)


def address_text(hi: int, lo: int, version: int) -> str:
    """Canonical text: dotted quad, or RFC 5952."""
    return socket.inet_ntop(socket.AF_INET if version == 4 else socket.AF_INET6, packed(hi, lo, version))


def dictionary(codes: NDArray[Any], names: Sequence[str], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Codes into `names` as a dictionary-encoded text column."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=missing), pa.array(names, type=pa.string()))


def address_column(
    hi: NDArray[np.uint64], lo: NDArray[np.uint64], version: NDArray[Any], missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Addresses as dictionary-encoded canonical text."""
    if not np.any(version == 6):
        distinct_lo, inverse = np.unique(lo, return_inverse=True)
        unpack = socket.inet_ntoa
        quads = (distinct_lo & np.uint64(0xFFFFFFFF)).astype(">u4").tobytes()
        return dictionary(inverse, [unpack(quads[i : i + 4]) for i in range(0, len(quads), 4)], missing)
    keys = np.empty(hi.size, dtype=[("hi", "u8"), ("lo", "u8"), ("version", "u1")])
    keys["hi"], keys["lo"], keys["version"] = hi, lo, version
    distinct, inverse = np.unique(keys, return_inverse=True)
    texts = [address_text(a, b, v) for a, b, v in distinct.tolist()]
    return dictionary(inverse.reshape(-1), texts, missing)


def vlan_column(vlan: NDArray[np.int64]) -> pa.Array:
    """VLAN paths as text, from the outside in ('10', '10.200'); null where untagged."""
    distinct, inverse = np.unique(vlan, return_inverse=True)
    texts = [str((v & 0x1FFF) - 1) + (f".{(v >> 13) - 1}" if v >> 13 else "") if v else "" for v in distinct.tolist()]
    return dictionary(inverse, texts, vlan == 0)
