"""In: nothing but the kernels. Out: they are compiled, on two processors at once, and the user is told why the first use
waits. Never here: a kernel.

numba compiles one kernel at a time in a process, and keeps the result on disk for all. The flow kernel takes as long as all
others together; so when a first use begins to compile, a second process compiles that one, and this one compiles what is needed
afterwards while it would only wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from tracehound.edges import machine_code
from tracehound.kernels import on_first_compile

T = TypeVar("T")

_HELPER: Final = "TRACEHOUND_FIRST_USE"
_helper: list[subprocess.Popen[bytes]] = []
_told: list[str] = []


def announce(write: Callable[[str], None]) -> None:
    """When a kernel has to be compiled in this process: say so once, and start the second process."""
    if os.environ.get(_HELPER) or os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return

    def tell(name: str) -> None:
        _told.append(name)
        if len(_told) > 1:
            return
        write("tracehound: first use on this machine: compiling kernels (once, under 20 s) ...\n")
        _helper.append(
            subprocess.Popen(
                [sys.executable, "-m", "tracehound.edges.first_use"],
                env=os.environ | {_HELPER: "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    on_first_compile(tell)


def after_helper(items: Iterator[T]) -> Iterator[T]:
    """Hand `items` on, the first one not before the second process (if any) has finished."""
    for item in items:
        while _helper:
            if _helper[0].poll() is None:
                compile_tables()
            # Whether it succeeded does not matter: what it did not compile is compiled here.
            _helper.pop().wait()
        yield item


def compile_flows() -> None:
    """Compile the kernels of flow assembly: call them with nothing."""
    from tracehound.flows.assemble import assemble, finish
    from tracehound.flows.state import FlowState
    from tracehound.packets.decode import no_packets

    state = FlowState()
    assemble(no_packets(), state)
    finish(state)


def compile_tables() -> None:
    """Compile the kernels that make a table of finished flows: call them with two of nothing, since one row has no layout."""
    import numpy as np

    from tracehound.flows.state import KEPT
    from tracehound.flows.tcp_outcome import flow_table

    flow_table(np.zeros((2, KEPT), np.int64).T)


if __name__ == "__main__":
    machine_code.install()
    compile_flows()
