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
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.packets.batch import TUNNEL_BITS, TUNNELS

_V4_MAPPED = 0xFFFF00000000
"""Upper part of ::ffff:a.b.c.d in the lower 64 bits."""


_NONE = np.zeros(0, np.bool_)
_QUAD_CHARS = 15
"""Characters of 255.255.255.255."""


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
    # Version is part of the key: an IPv6 packet may carry ::ffff:a.b.c.d, and that is another address than a.b.c.d.
    return key_column(np.stack([hi, lo, version.astype(np.uint64)], axis=1).view(np.int64), missing)


@kernel
def end_hash(hi: Int, lo: Int, port: Int) -> np.uint64:
    """Mix one end (splitmix64's finalizer); ends are added so that both directions hash alike."""
    x = np.uint64(hi) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(lo) ^ np.uint64(port) << np.uint64(40)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


@kernel
def number_keys(
    keys: NDArray[np.int64], missing: NDArray[np.bool_], index: NDArray[np.int32], codes: NDArray[np.int32], distinct: NDArray[np.int64]
) -> Int:
    """Number the distinct keys (upper half, lower half, version) in the order in which they come. Returns how many there are.

    missing    keys that are none and have no number; empty where there are no such
    index      an empty (-1) hash table, a power of two and larger than there are keys
    codes      filled with the number of each key
    distinct   filled with the keys by number"""
    mask = index.size - 1
    count = np.int64(0)
    for i in range(codes.size):
        if i < missing.size and missing[i]:
            codes[i] = 0
            continue
        hi, lo, version = keys[3 * i], keys[3 * i + 1], keys[3 * i + 2]
        at = np.int64(end_hash(hi, lo, version) & np.uint64(mask))
        code = np.int64(index[at])
        while code >= 0 and not (distinct[3 * code] == hi and distinct[3 * code + 1] == lo and distinct[3 * code + 2] == version):
            at = (at + 1) & mask
            code = np.int64(index[at])
        if code < 0:
            code = count
            index[at] = code
            distinct[3 * code], distinct[3 * code + 1], distinct[3 * code + 2] = hi, lo, version
            count += 1
        codes[i] = code
    return count


@kernel
def write_quads(
    keys: NDArray[np.int64], others: NDArray[np.uint8], others_at: NDArray[np.int32], text: NDArray[np.uint8],
    ends: NDArray[np.int32],
) -> None:
    """Write the text of each key: dotted quads of IPv4, and of all others what stands in `others` from others_at[n] to
    others_at[n + 1] for the n-th of them. ends[i + 1] is where that of key i ends."""
    at = np.int64(0)
    other = np.int64(0)
    ends[0] = 0
    for i in range(ends.size - 1):
        if keys[3 * i + 2] == 4:
            for place in range(4):
                byte = keys[3 * i + 1] >> (24 - 8 * place) & 0xFF
                if byte >= 100:
                    text[at] = 48 + byte // 100
                    at += 1
                if byte >= 10:
                    text[at] = 48 + byte // 10 % 10
                    at += 1
                text[at] = 48 + byte % 10
                at += 1
                if place < 3:
                    text[at] = 46
                    at += 1
        else:
            for n in range(others_at[other], others_at[other + 1]):
                text[at] = others[n]
                at += 1
            other += 1
        ends[i + 1] = at


def key_column(keys: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Addresses, one a row (upper half, lower half, version), as dictionary-encoded canonical text."""
    n = keys.shape[0]
    index = np.full(2 << n.bit_length(), -1, np.int32)
    codes, distinct = np.empty(n, np.int32), np.empty((n, 3), np.int64)
    # Plain Python checks for overflow where the compiled kernel wraps round, as a hash is meant to.
    with np.errstate(over="ignore"):
        count = int(number_keys(keys.reshape(-1), _NONE if missing is None else missing, index, codes, distinct.reshape(-1)))
    there = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    numbers = pa.Array.from_buffers(pa.int32(), n, [there, pa.py_buffer(codes)])
    return pa.DictionaryArray.from_arrays(numbers, _texts(distinct[:count]))


def _texts(keys: NDArray[np.int64]) -> pa.Array:
    """Canonical text of each row (upper half, lower half, version)."""
    rest = keys[keys[:, 2] != 4]
    others = [address_text(*row).encode() for row in zip(*rest.view(np.uint64).T.tolist(), strict=True)] if rest.size else []
    others_at = np.zeros(len(others) + 1, np.int32)
    np.cumsum([len(text) for text in others], out=others_at[1:], dtype=np.int32)
    quads = keys.shape[0] - len(others)
    text = np.empty(_QUAD_CHARS * quads + int(others_at[-1]), np.uint8)
    ends = np.empty(keys.shape[0] + 1, np.int32)
    write_quads(np.ascontiguousarray(keys).reshape(-1), np.frombuffer(bytearray(b"".join(others)), np.uint8), others_at, text, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text[: int(ends[-1])].copy())]
    return pa.Array.from_buffers(pa.string(), keys.shape[0], buffers)


def vlan_column(vlan: NDArray[np.int64]) -> pa.Array:
    """VLAN paths as text, from the outside in ('10', '10.200'); null where untagged."""
    if not vlan.any():
        return pa.DictionaryArray.from_arrays(pa.nulls(vlan.size, pa.int32()), pa.array([], pa.string()))
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
