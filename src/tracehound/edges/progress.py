"""In: bytes done and bytes in all. Out: one line on a terminal's standard error, redrawn; nothing anywhere else.
Never here: work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tracehound.edges.first_use import announce

_EVERY_S: Final = 0.1
_MIB: Final = 1 << 20


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Yields a function to report bytes to, or None where nobody watches. The line is cleared at the end."""
    if quiet:
        announce(lambda _text: None)
        yield None
        return
    announce(lambda text: print(text, end="", file=sys.stderr, flush=True))
    if not sys.stderr.isatty():
        yield None
        return
    last = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY_S:
            return
        last = now
        share = f" of {total / _MIB:.0f} MiB ({100 * done / total:.0f} %)" if total else " MiB"
        print(f"\rreading {done / _MIB:.0f}{share}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
