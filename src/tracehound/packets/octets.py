"""In: a buffer and a place in it that the caller has checked. Out: numbers, big-endian (network byte order) and little-endian.
Never here: bounds of packets; the caller compares lengths first.

A number is one load of its whole width, checked once against the buffer: a header read byte by byte, each byte checked, takes
several times as long."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.loads import ask, big16, big32, big64


@kernel
def ask_for(buffer: NDArray[np.uint8], at: Int) -> None:
    """Begin to fetch what will be read soon: headers lie far apart, and memory takes as long as decoding one of them."""
    at = np.int64(at)
    if 0 <= at < buffer.size:
        ask(buffer, at)


@kernel
def be16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, big-endian, as int64."""
    at = np.int64(at)
    if at < 0 or at + 2 > buffer.size:
        raise IndexError("16 bits beyond the buffer")
    return np.int64(big16(buffer, at))


@kernel
def be32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, big-endian, as int64."""
    at = np.int64(at)
    if at < 0 or at + 4 > buffer.size:
        raise IndexError("32 bits beyond the buffer")
    return np.int64(big32(buffer, at))


@kernel
def be64(buffer: NDArray[np.uint8], at: Int) -> np.uint64:
    """64 bits, big-endian, as uint64."""
    at = np.int64(at)
    if at < 0 or at + 8 > buffer.size:
        raise IndexError("64 bits beyond the buffer")
    return np.uint64(big64(buffer, at))


@kernel
def le16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, little-endian, as int64."""
    return np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8


@kernel
def le32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, little-endian, as int64."""
    return le16(buffer, at) | le16(buffer, at + 2) << 16
