"""In: a plain function over numpy arrays. Out: the same function compiled by numba: nogil, cached, bounds-checked.
Never here: a kernel itself; each lives with the stage that it serves.

Captures are hostile: `boundscheck=True` turns an overlooked index into an IndexError instead of a wild read. A kernel
checks every length before it reads, so that error is a bug of ours and never an answer to bad input.
A kernel allocates nothing (room to work in is passed to it), so it is compiled without numba's counting of references: an
array that is handed from one kernel to another would otherwise be counted up and down by atomic operations, which took a third
of the time of decoding and half of that of flow assembly.
NUMBA_DISABLE_JIT=1 runs the same text as plain Python (tests do, to compare)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba

Int: TypeAlias = Any
"""A whole number in a kernel: int64 when compiled, int or numpy's int64 when the same text runs as plain Python. numba infers
the real type; a checker of Python types cannot follow it there."""

Bool: TypeAlias = Any
"""A truth value in a kernel, likewise."""

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` lazily with the project's options; the result is cached on disk."""
    return cast(F, numba.njit(nogil=True, cache=True, boundscheck=True, _nrt=False)(function))


def on_first_compile(tell: Callable[[str], None]) -> None:
    """Call `tell(name)` whenever a kernel is really compiled (not loaded from the cache), so that a first use can say why
    it waits."""
    from numba.core import event

    class _Compiles(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            tell(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event: Any) -> None:
            return

    event.register("numba:compile", _Compiles())
