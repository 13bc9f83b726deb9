"""In: a plain function over numpy arrays. Out: the same function compiled by numba: nogil, cached, bounds-checked.
Never here: a kernel itself; each lives with the stage that it serves.

Captures are hostile: `boundscheck=True` turns an overlooked index into an IndexError instead of a wild read. A kernel
checks every length before it reads, so that error is a bug of ours and never an answer to bad input.
A kernel allocates nothing (room to work in is passed to it), so it is compiled without numba's counting of references: an
array that is handed from one kernel to another would otherwise be counted up and down by atomic operations, which took a third
of the time of decoding and half of that of flow assembly.
numba itself is loaded only where a kernel has to be compiled: importing it and waking its caches takes longer than all that a
small capture needs. `provide` lets an edge keep the machine code (edges/machine_code.py); without one numba's own cache is used.
NUMBA_DISABLE_JIT=1 runs the same text as plain Python (tests do, to compare)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

import numpy as np

Int: TypeAlias = Any
"""A whole number in a kernel: int64 when compiled, int or numpy's int64 when the same text runs as plain Python. numba infers
the real type; a checker of Python types cannot follow it there."""

Bool: TypeAlias = Any
"""A truth value in a kernel, likewise."""

F = TypeVar("F", bound=Callable[..., Any])
Call = Callable[..., Any]
Shape = tuple[Any, ...]

OPTIONS: Final[dict[str, bool]] = {"nogil": True, "boundscheck": True, "_nrt": False}
"""What every kernel is compiled with."""
_INT64_MAX: Final = 2**63 - 1


def shape_of(value: Any) -> Any:
    """What of an argument decides which machine code takes it: type, dimensions, layout, whether it may be written."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        return value.dtype.str, value.ndim, layout, flags.writeable, flags.aligned
    if isinstance(value, tuple):
        return type(value).__name__, getattr(value, "_fields", ()), tuple(shape_of(v) for v in value)
    if isinstance(value, np.generic):
        return value.dtype.str
    if isinstance(value, bool):
        return "|b1"
    if isinstance(value, int):
        return "<i8" if value <= _INT64_MAX else "<u8"
    return type(value).__name__


class Kernel:
    """A compiled function; called as the function is. `py_func` is the function itself."""

    def __init__(self, function: Call) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._dispatcher: Any = None
        self._run: Call | None = None
        self._ready: dict[Shape, Call] = {}

    def __call__(self, *args: Any) -> Any:
        run = self._run
        if run is None:
            run = self._run = self._by_shape if _provider else self.dispatcher()
        return run(*args)

    def _by_shape(self, *args: Any) -> Any:
        shape = tuple([shape_of(a) for a in args])
        call = self._ready.get(shape)
        if call is None:
            assert _provider
            call = self._ready[shape] = _provider[0](self, args, shape) or self.dispatcher()
        return call(*args)

    def dispatcher(self) -> Any:
        """numba's own way to compile, keep and call the function; the function itself under NUMBA_DISABLE_JIT=1."""
        if self._dispatcher is None:
            import numba

            self._dispatcher = numba.njit(cache=True, **OPTIONS)(self.py_func)
            _introduce()
        return self._dispatcher


class Inline:
    """A few instructions that kernels are given as they are. `plain` does the same in Python; `build(*marks)` makes numba's
    intrinsic, once a kernel that uses it is compiled. `plain`, `build` and the marks must tell all that it depends on."""

    def __init__(self, plain: Call, build: Call, *marks: int) -> None:
        self.plain, self.build, self.marks = plain, build, marks
        self._intrinsic: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.plain(*args)

    def intrinsic(self) -> Any:
        if self._intrinsic is None:
            self._intrinsic = self.build(*self.marks)
        return self._intrinsic


def _introduce() -> None:
    """Tell numba, once, what it meets in a kernel that uses another one, or an Inline."""
    if _introduced:
        return
    _introduced.append(True)
    import numba
    from numba.core import registry
    from numba.extending import typeof_impl

    @typeof_impl.register(Kernel)  # type: ignore[untyped-decorator]
    def of_kernel(value: Kernel, _context: object) -> Any:
        return numba.types.Dispatcher(value.dispatcher())

    @typeof_impl.register(Inline)  # type: ignore[untyped-decorator]
    def of_inline(value: Inline, _context: object) -> Any:
        intrinsic, typing = value.intrinsic(), registry.cpu_target.typing_context
        typing.refresh()
        return typing.resolve_value_type(intrinsic)


Provider = Callable[[Kernel, tuple[Any, ...], Shape], Call | None]
"""Gives what runs a kernel for arguments of this shape; None leaves it to numba."""
_provider: Final[list[Provider]] = []
_listeners: Final[list[Callable[[str], None]]] = []
_introduced: Final[list[bool]] = []


def kernel(function: F) -> F:
    """Compile `function` when it is first called, with the project's options; the result is cached on disk."""
    return cast(F, Kernel(function))


def provide(provider: Provider) -> None:
    """Let `provider` keep machine code from here on."""
    _provider[:] = [provider]


def on_first_compile(tell: Callable[[str], None]) -> None:
    """Call `tell(name)` whenever a kernel is really compiled (not loaded from the cache), so that a first use can say why
    it waits."""
    _listeners.append(tell)


def compiling(name: str) -> None:
    """A kernel is being compiled: tell those who asked."""
    for tell in _listeners:
        tell(name)
