"""In: addresses as two 64-bit numbers, VLAN tags and tunnels as one. Out: canonical text, as dictionary-encoded Arrow columns in which
each distinct value is formatted once. Never here: what an address belongs to (enrich/)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound.packets.batch import TUNNEL_BITS, TUNNELS

_V4_MAPPED = 0xFFFF00000000
"""Upper part of ::ffff:a.b.c.d in the lower 64 bits."""


def packed(hi: int, lo: int, version: int) -> bytes:
    """An address in network order: 4 bytes for IPv4, 16 for IPv6."""
    return struct.pack("!I", lo & 0xFFFFFFFF) if version == 4 else struct.pack("!QQ", hi, lo)


@lru_cache(maxsize=16_384)
def address_text(hi: int, lo: int, version: int) -> str:
    """Canonical text: dotted quad, or RFC 5952."""
    return socket.inet_ntop(socket.AF_INET if version == 4 else socket.AF_INET6, packed(hi, lo, version))


def address_number(text: str | None) -> tuple[int, int, int]:
    """Text as (upper 64 bits, lower 64 bits, version): version 4 (as ::ffff:a.b.c.d), 6, 48 for a hardware address
    (aa:bb:cc:dd:ee:ff, in the lower 48 bits), 0 where it is none of them. A zone (fe80::1%eth0) is left out."""
    if not text:
        return 0, 0, 0
    try:
        if ":" not in text:
            return 0, _V4_MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big"), 4
        if len(text) == 17 and text[2::3] == ":::::":
            return 0, int(text.replace(":", ""), 16), 48
        high, low = struct.unpack("!QQ", socket.inet_pton(socket.AF_INET6, text.partition("%")[0]))
    except (OSError, ValueError):
        return 0, 0, 0
    return high, low, 6


def dictionary(codes: NDArray[Any], names: Sequence[str], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Codes into `names` as a dictionary-encoded text column."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=missing), pa.array(names, type=pa.string()))


def address_column(
    hi: NDArray[np.uint64], lo: NDArray[np.uint64], version: NDArray[Any], missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Addresses as dictionary-encoded canonical text."""
    # Arrow numbers distinct values by hashing, which is many times faster than numpy's sorting. Version is part of the key:
    # an IPv6 packet may carry ::ffff:a.b.c.d, and that is another address than a.b.c.d.
    keys = np.stack([hi, lo, version.astype(np.uint64)], axis=1)
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(24), hi.size, [None, pa.py_buffer(keys)])
    if missing is not None:
        column = pc.if_else(pa.array(~missing), column, pa.scalar(None, column.type))
    encoded = column.dictionary_encode()
    distinct = np.frombuffer(b"".join(encoded.dictionary.to_pylist()), np.uint64).reshape(-1, 3)
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(_texts(distinct), pa.string()))


def _texts(keys: NDArray[np.uint64]) -> list[str]:
    """Canonical text of each row (hi, lo, version)."""
    quads = (keys[:, 1] & np.uint64(0xFFFFFFFF)).astype(">u4").tobytes()
    unpack = socket.inet_ntoa
    texts = [unpack(quads[i : i + 4]) for i in range(0, len(quads), 4)]
    for i in np.flatnonzero(keys[:, 2] != 4).tolist():
        texts[i] = address_text(*keys[i].tolist())
    return texts


def vlan_column(vlan: NDArray[np.int64]) -> pa.Array:
    """VLAN paths as text, from the outside in ('10', '10.200'); null where untagged."""
    distinct, inverse = np.unique(vlan, return_inverse=True)
    texts = [str((v & 0x1FFF) - 1) + (f".{(v >> 13) - 1}" if v >> 13 else "") if v else "" for v in distinct.tolist()]
    return dictionary(inverse, texts, vlan == 0)


def tunnel_text(path: int) -> str:
    """A tunnel path from the outside in: 'gtp.teredo'."""
    names = []
    while path > 0:
        names.append(TUNNELS[path & (1 << TUNNEL_BITS) - 1])
        path >>= TUNNEL_BITS
    return ".".join(names)


def tunnel_column(path: NDArray[Any]) -> pa.Array:
    """Tunnel paths as text; null where there is none."""
    if not path.any():
        return pa.DictionaryArray.from_arrays(pa.nulls(path.size, pa.int32()), pa.array([], pa.string()))
    distinct, inverse = np.unique(path, return_inverse=True)
    return dictionary(inverse, [tunnel_text(p) for p in distinct.tolist()], path == 0)
