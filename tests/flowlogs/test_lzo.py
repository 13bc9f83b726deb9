"""LZO1X blocks: every kind of instruction, and every kind of damage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.flowlogs import lzo

END = b"\x11\0\0"


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (END, b""),
        # a first run of byte - 17 literals
        (b"\x16hello" + END, b"hello"),
        (b"\x14abc" + END, b"abc"),
        # a run of 3 + 15 + 2 literals, its length in a byte of its own; zeros add 255 each
        (b"\0\x02" + b"x" * 20 + END, b"x" * 20),
        (b"\0\0\x02" + b"y" * 275 + END, b"y" * 275),
        # 3 and more bytes from nearby: length 3 + 1, distance 4 (M2)
        (b"\x15abcd" + bytes([0x60 | 3 << 2, 0]) + END, b"abcdabcd"),
        # the copy may overlap what it writes: length 5 + 3, distance 1
        (b"\x12a" + bytes([0xE0, 0]) + END, b"a" * 9),
        # length 2 + 3, distance 4 (M3), and two literals behind it
        (b"\x15abcd" + bytes([0x23, 3 << 2 | 2, 0]) + b"yz" + END, b"abcdabcdayz"),
        # a long M3: 2 + 31 + 9
        (b"\x12a" + bytes([0x20, 9, 0, 0]) + END, b"a" * 43),
        # two bytes from nearby behind a match with one literal (state 1): distance 2
        (b"\x15abcd" + bytes([0x60 | 3 << 2 | 1, 0]) + b"X" + bytes([1 << 2, 0]) + END, b"abcdabcdXdX"),
    ],
)
def test_instructions(packed, plain):
    assert lzo.decompress(packed, 1000) == plain


def test_far_matches():
    literals = 3 + 15 + 64 * 255 + 0xD2
    far = b"\0" + b"\0" * 64 + b"\xd2" + (bytes(range(250)) * 67)[:literals]
    # M4: 16384 + distance - 16384 bytes back, here 100 more; length 2 + 5
    plain = lzo.decompress(far + bytes([0x15, 100 << 2 & 0xFF, 100 >> 6]) + END, 40_000)
    assert plain[literals:] == plain[literals - 16484 : literals - 16484 + 7]
    # behind a long literal run (state 4) a short code reaches beyond 2048
    plain = lzo.decompress(far + bytes([1 << 2, 1]) + END, 40_000)
    assert plain[literals:] == plain[literals - 2054 : literals - 2051]


@pytest.mark.parametrize(
    ("packed", "cause"),
    [
        (b"", "ends in the middle"),
        (b"\x16he", "ends in the middle"),
        (b"\0\0\0", "ends in the middle"),
        (b"\x12a\xe0", "ends in the middle"),
        (b"\x12a" + bytes([0xE4, 0]) + END, "points before"),
        (END + b"x", "goes on"),
        (b"\x12a\x20" + b"\0" * 50_000 + b"\1", "longer than"),
        (b"\x12a" + bytes([0xE0, 0]) * 200 + END, "longer than"),
    ],
)
def test_damage_is_named(packed, cause):
    with pytest.raises(ValueError, match=cause):
        lzo.decompress(packed, 1000)


@given(st.binary(max_size=200))
def test_any_bytes_compiled_and_plain(data):
    source = np.frombuffer(data, np.uint8)
    results = []
    kernel: Any = lzo.decompress_into
    for function in (kernel, kernel.py_func):
        out = np.zeros(2000, np.uint8)
        results.append((int(function(source, out)), out.tobytes()))
    assert results[0] == results[1]
