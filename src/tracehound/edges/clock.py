"""In: the machine's clock and the name of who uses it. Out: both as values. Never here: anything that acts on them.

The one place where the program asks what time it is and who asks; everything else is told."""

from __future__ import annotations

import getpass
import os
import time


def now_ns() -> int:
    """Nanoseconds since 1970 UTC."""
    return time.time_ns()


def who() -> str:
    """Who acts: TRACEHOUND_USER, else the account that runs the program."""
    named = os.environ.get("TRACEHOUND_USER", "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
