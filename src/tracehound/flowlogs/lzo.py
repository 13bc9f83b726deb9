"""In: a block compressed with LZO1X, as nfdump writes it. Out: its bytes.
Never here: what the bytes mean (nfdump_file.py).

Format: Documentation/staging/lzo.rst of the Linux kernel. The stream version of lzo-rle is not read: nfdump has never written it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel

TRUNCATED: Final = -1
TOO_LONG: Final = -2
TOO_FAR: Final = -3
TRAILING: Final = -4

CAUSES: Final[dict[int, str]] = {
    TRUNCATED: "ends in the middle of an instruction",
    TOO_LONG: "is longer than the block may be",
    TOO_FAR: "points before its own beginning",
    TRAILING: "goes on behind its end mark",
}


@kernel
def _byte(data: NDArray[np.uint8], at: Int) -> Int:
    return np.int64(data[at])


@kernel
def decompress_into(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> Int:
    """Unpack `data` into `out`; returns the bytes written, or a negative number of CAUSES."""
    size, room = data.size, out.size
    at, written, state = 0, 0, 0
    if size == 0:
        return TRUNCATED
    # A first byte above 17 is a run of byte - 17 literals; 17 and below is an instruction like any other (an empty block is the
    # end mark alone). Runs of four and more leave the state of a long literal run behind.
    literals = 0
    if data[0] > 17:
        literals = _byte(data, 0) - 17
        state = literals if literals < 4 else 4
        at = 1
    while True:
        if literals:
            if at + literals > size:
                return TRUNCATED
            if written + literals > room:
                return TOO_LONG
            for k in range(literals):
                out[written + k] = data[at + k]
            at += literals
            written += literals
        if at >= size:
            return TRUNCATED
        code = _byte(data, at)
        at += 1
        length, distance, literals = 0, 0, 0
        if code < 16 and state == 0:
            # "0 0 0 0 L L L L (0..15), state 0: length = 3 + (L ?: 15 + zeros * 255 + non-zero byte)"
            literals = code
            if code == 0:
                while at < size and data[at] == 0:
                    literals += 255
                    at += 1
                    if literals > room:
                        return TOO_LONG
                if at >= size:
                    return TRUNCATED
                literals += 15 + _byte(data, at)
                at += 1
            literals += 3
            state = 4
            continue
        if code < 16:
            # states 1 to 3: two bytes from nearby; state 4: three bytes from 2049 and more away
            if at >= size:
                return TRUNCATED
            distance = (_byte(data, at) << 2) + (code >> 2) + (2049 if state == 4 else 1)
            length = 3 if state == 4 else 2
            literals = code & 3
            at += 1
        elif code < 64:
            mask = 31 if code >= 32 else 7
            length = code & mask
            if length == 0:
                while at < size and data[at] == 0:
                    length += 255
                    at += 1
                    if length > room:
                        return TOO_LONG
                if at >= size:
                    return TRUNCATED
                length += mask + _byte(data, at)
                at += 1
            length += 2
            if at + 2 > size:
                return TRUNCATED
            word = _byte(data, at) | _byte(data, at + 1) << 8
            at += 2
            literals = word & 3
            if code >= 32:
                distance = (word >> 2) + 1
            else:
                # "distance = 16384 + (H << 14) + D; a distance of 16384 ends the stream"
                distance = 16384 + ((code & 8) << 11) + (word >> 2)
                if distance == 16384:
                    return written if at == size else TRAILING
        else:
            if at >= size:
                return TRUNCATED
            length = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            distance = (_byte(data, at) << 3) + (code >> 2 & 7) + 1
            literals = code & 3
            at += 1
        state = literals
        if distance > written:
            return TOO_FAR
        if written + length > room:
            return TOO_LONG
        for _ in range(length):
            out[written] = out[written - distance]
            written += 1


def decompress(data: bytes, limit_bytes: int) -> bytes:
    """The bytes of one LZO1X block, at most `limit_bytes` of them. ValueError says what is wrong with it."""
    out = np.empty(limit_bytes, dtype=np.uint8)
    written = int(decompress_into(np.frombuffer(data, np.uint8), out))
    if written < 0:
        raise ValueError(f"LZO data {CAUSES[written]}")
    return out[:written].tobytes()
