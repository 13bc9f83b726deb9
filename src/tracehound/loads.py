"""In: a buffer and a place in it. Out: one load of a whole number, a copy of many elements, or the wish for a cache line, as what
kernels are given inline.
Never here: a check. Whoever uses one has compared the place with the buffer's size first: packets/octets.py does so for every
number, capture/pcap.py once for all numbers of a record header.

Plain Python (NUMBA_DISABLE_JIT=1) does the same with slices. Machines that numba compiles for are little-endian."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Inline, Int


def _wide_load(bits: int, big_endian: int) -> Any:
    """An intrinsic (buffer, at) -> `bits` bits from `at` on as an unsigned number of 64 bits. It checks nothing."""
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
            if big_endian:
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


def _memcpy() -> Any:
    """An intrinsic (target, place, source, place, count): copy so many elements between arrays that do not overlap. It checks
    nothing."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def copy(_context: Any, target: Any, _at: Any, source: Any, _from: Any, _count: Any) -> Any:
        for array in (target, source):
            if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
                return None
        if target.dtype != source.dtype:
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            out = context.make_array(signature.args[0])(context, builder, arguments[0])
            into = context.make_array(signature.args[2])(context, builder, arguments[2])
            there, here = builder.gep(out.data, [arguments[1]]), builder.gep(into.data, [arguments[3]])
            cgutils.raw_memcpy(builder, there, here, arguments[4], context.get_abi_sizeof(there.type.pointee))
            return context.get_dummy_value()

        return types.void(target, types.int64, source, types.int64, types.int64), code

    return copy


def _plain_copy(target: NDArray[Any], at: Int, source: NDArray[Any], begin: Int, count: Int) -> None:
    target[int(at) : int(at) + int(count)] = source[int(begin) : int(begin) + int(count)]


def _plain(bits: int, big_endian: int) -> Any:
    def read(buffer: NDArray[np.uint8], at: Int) -> int:
        return int.from_bytes(buffer[int(at) : int(at) + bits // 8].tobytes(), "big" if big_endian else "little")

    return read


def _plain_ask(buffer: NDArray[np.uint8], at: Int) -> None:
    """Plain Python does not wait for caches."""


def _load(bits: int, big_endian: int) -> Inline:
    return Inline(_plain(bits, big_endian), _wide_load, bits, big_endian)


big16: Final = _load(16, 1)
big32: Final = _load(32, 1)
big64: Final = _load(64, 1)
little32: Final = _load(32, 0)
"""A number from a place that the caller has checked."""
ask: Final = Inline(_plain_ask, _prefetch)
"""Begin to fetch the cache line at a place."""
copy_elements: Final = Inline(_plain_copy, _memcpy)
"""Copy: (target, place in it, source, place in it, how many elements); both places and the number checked by the caller."""
