"""In: a buffer and a place in it that the caller has checked. Out: numbers, big-endian (network byte order) and little-endian.
Never here: bounds of packets; the caller compares lengths first.

A number is one load of its whole width, checked once against the buffer: a header read byte by byte, each byte checked, takes
several times as long. Plain Python (NUMBA_DISABLE_JIT=1) does the same with slices."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Inline, Int, kernel


def _wide_load(bits: int) -> Any:
    """An intrinsic (buffer, at) -> `bits` bits from `at` on, big-endian, as an unsigned number of 64 bits. It checks nothing."""
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_context: Any, buffer: Any, _at: Any) -> Any:
        if not (isinstance(buffer, types.Array) and buffer.dtype == types.uint8 and buffer.ndim == 1 and buffer.layout == "C"):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            word = ir.IntType(bits)
            pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), word.as_pointer())
            value = builder.load(pointer)
            value.align = 1
            value = builder.bswap(value)
            return builder.zext(value, ir.IntType(64)) if bits < 64 else value

        return types.uint64(buffer, types.int64), code

    return load


def _prefetch() -> Any:
    """An intrinsic (buffer, at): ask for the cache line at `at`; nothing is read, so any place will do."""
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(_context: Any, buffer: Any, _at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            number = ir.IntType(32)
            pointer = builder.gep(array.data, [arguments[1]])
            ask = builder.module.declare_intrinsic(
                "llvm.prefetch", [pointer.type], ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
            )
            # For reading, to be kept in all levels, data.
            builder.call(ask, [pointer, number(0), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(buffer, types.int64), code

    return prefetch


def _plain(size: int) -> Any:
    def read(buffer: NDArray[np.uint8], at: Int) -> int:
        return int.from_bytes(buffer[int(at) : int(at) + size].tobytes(), "big")

    return read


def _plain_ask(buffer: NDArray[np.uint8], at: Int) -> None:
    """Plain Python does not wait for caches."""


_load16: Final = Inline(_plain(2), _wide_load, 16)
_load32: Final = Inline(_plain(4), _wide_load, 32)
_load64: Final = Inline(_plain(8), _wide_load, 64)
_ask: Final = Inline(_plain_ask, _prefetch)


@kernel
def ask_for(buffer: NDArray[np.uint8], at: Int) -> None:
    """Begin to fetch what will be read soon: headers lie far apart, and memory takes as long as decoding one of them."""
    at = np.int64(at)
    if 0 <= at < buffer.size:
        _ask(buffer, at)


@kernel
def be16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, big-endian, as int64."""
    at = np.int64(at)
    if at < 0 or at + 2 > buffer.size:
        raise IndexError("16 bits beyond the buffer")
    return np.int64(_load16(buffer, at))


@kernel
def be32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, big-endian, as int64."""
    at = np.int64(at)
    if at < 0 or at + 4 > buffer.size:
        raise IndexError("32 bits beyond the buffer")
    return np.int64(_load32(buffer, at))


@kernel
def be64(buffer: NDArray[np.uint8], at: Int) -> np.uint64:
    """64 bits, big-endian, as uint64."""
    at = np.int64(at)
    if at < 0 or at + 8 > buffer.size:
        raise IndexError("64 bits beyond the buffer")
    return np.uint64(_load64(buffer, at))


@kernel
def le16(buffer: NDArray[np.uint8], at: Int) -> Int:
    """16 bits, little-endian, as int64."""
    return np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8


@kernel
def le32(buffer: NDArray[np.uint8], at: Int) -> Int:
    """32 bits, little-endian, as int64."""
    return le16(buffer, at) | le16(buffer, at + 2) << 16
