"""In: a buffer and a place in it that the caller has checked. Out: numbers, big-endian (network byte order) and little-endian.
Never here: bounds of packets; the caller compares lengths first.

A number is one load of its whole width, checked once against the buffer: a header read byte by byte, each byte checked, takes
several times as long. Plain Python (NUMBA_DISABLE_JIT=1) does the same with slices."""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel


def _wide_load(bits: int, swapped: bool) -> Any:
    """An intrinsic (buffer, at) -> `bits` bits from `at` on, as an unsigned number of 64 bits. It checks nothing."""

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_context: Any, buffer: Any, _at: Any) -> Any:
        if not (isinstance(buffer, types.Array) and buffer.dtype == types.uint8 and buffer.ndim == 1 and buffer.layout == "C"):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir  # type: ignore[import-untyped]

            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            word = ir.IntType(bits)
            pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), word.as_pointer())
            value = builder.load(pointer)
            value.align = 1
            if swapped:
                value = builder.bswap(value)
            return builder.zext(value, ir.IntType(64)) if bits < 64 else value

        return types.uint64(buffer, types.int64), code

    return load


_load16_swapped: Final = _wide_load(16, swapped=True)
_load32_swapped: Final = _wide_load(32, swapped=True)
_load64_swapped: Final = _wide_load(64, swapped=True)


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(_context: Any, buffer: Any, _at: Any) -> Any:
    """Ask for the cache line at `at`; nothing is read, so any place will do."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number = ir.IntType(32)
        pointer = builder.gep(array.data, [arguments[1]])
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [pointer.type], ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        )
        # For reading, to be kept in all levels, data.
        builder.call(prefetch, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(buffer, types.int64), code


def _compiled_ask(buffer: NDArray[np.uint8], at: Int) -> None:
    at = np.int64(at)
    if 0 <= at < buffer.size:
        _prefetch(buffer, at)


def _plain_ask(buffer: NDArray[np.uint8], at: Int) -> None:
    """Plain Python does not wait for caches."""


def _compiled16(buffer: NDArray[np.uint8], at: Int) -> Int:
    at = np.int64(at)
    if at < 0 or at + 2 > buffer.size:
        raise IndexError("16 bits beyond the buffer")
    return np.int64(_load16_swapped(buffer, at))


def _compiled32(buffer: NDArray[np.uint8], at: Int) -> Int:
    at = np.int64(at)
    if at < 0 or at + 4 > buffer.size:
        raise IndexError("32 bits beyond the buffer")
    return np.int64(_load32_swapped(buffer, at))


def _compiled64(buffer: NDArray[np.uint8], at: Int) -> np.uint64:
    at = np.int64(at)
    if at < 0 or at + 8 > buffer.size:
        raise IndexError("64 bits beyond the buffer")
    return np.uint64(_load64_swapped(buffer, at))


def _plain(buffer: NDArray[np.uint8], at: Int, size: int) -> int:
    at = int(at)
    if at < 0 or at + size > buffer.size:
        raise IndexError(f"{8 * size} bits beyond the buffer")
    return int.from_bytes(buffer[at : at + size].tobytes(), "big")


def _plain16(buffer: NDArray[np.uint8], at: Int) -> Int:
    return np.int64(_plain(buffer, at, 2))


def _plain32(buffer: NDArray[np.uint8], at: Int) -> Int:
    return np.int64(_plain(buffer, at, 4))


def _plain64(buffer: NDArray[np.uint8], at: Int) -> np.uint64:
    return np.uint64(_plain(buffer, at, 8))


_JIT: Final = not numba.config.DISABLE_JIT
ask_for: Final = kernel(_compiled_ask) if _JIT else _plain_ask
"""Begin to fetch what will be read soon: headers lie far apart, and memory takes as long as decoding one of them."""
be16: Final = kernel(_compiled16) if _JIT else _plain16
"""16 bits, big-endian, as int64."""
be32: Final = kernel(_compiled32) if _JIT else _plain32
"""32 bits, big-endian, as int64."""
be64: Final = kernel(_compiled64) if _JIT else _plain64
"""64 bits, big-endian, as uint64."""


@kernel
def le16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, little-endian, as int64."""
    return np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8


@kernel
def le32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, little-endian, as int64."""
    return le16(buffer, at) | le16(buffer, at + 2) << 16
