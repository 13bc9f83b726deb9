"""In: a buffer and a place in it that the caller has checked. Out: numbers, big-endian (network byte order) and little-endian.
Never here: bounds of packets; the caller compares lengths first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel


@kernel
def be16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits as int64."""
    return np.int64(buffer[at]) << 8 | np.int64(buffer[at + 1])


@kernel
def be32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits as int64."""
    return (
        np.int64(buffer[at]) << 24
        | np.int64(buffer[at + 1]) << 16
        | np.int64(buffer[at + 2]) << 8
        | np.int64(buffer[at + 3])
    )


@kernel
def be64(buffer: NDArray[np.uint8], at: Int) -> np.uint64:
    """64 bits as uint64."""
    return np.uint64(be32(buffer, at)) << np.uint64(32) | np.uint64(be32(buffer, at + 4))


@kernel
def le16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, little-endian, as int64."""
    return np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8


@kernel
def le32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, little-endian, as int64."""
    return le16(buffer, at) | le16(buffer, at + 2) << 16
