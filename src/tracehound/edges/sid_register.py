"""In: the file in which a site keeps the sids that it has given to rules. Out: the next free one, and new ones entered.
Never here: a rule's contents.

One line a sid: number, day, message. Lines that are no entry are kept as they are; two programs at once never get the same number."""

from __future__ import annotations

import datetime
import fcntl
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tracehound.edges.clock import now_ns
from tracehound.errors import UsageError

FIRST_SID: Final = 1_000_001
"""Local rules have 1,000,000 to 1,999,999 by custom."""
LAST_SID: Final = 1_999_999
_ENTRY: Final = re.compile(r"^(\d{1,10})\b", re.MULTILINE)
_MESSAGE: Final = re.compile(r'\bmsg:"((?:[^"\\]|\\.)*)"')


def next_sid(register: Path | None) -> int:
    """The number after the highest that is entered. Raises UsageError where the register cannot be read or is full."""
    if register is None or not register.exists():
        return FIRST_SID
    try:
        text = register.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(f"--register: {register}: {cause}") from None
    used = [n for n in map(int, _ENTRY.findall(text)) if FIRST_SID <= n <= LAST_SID]
    found = max(used, default=FIRST_SID - 1) + 1
    if found > LAST_SID:
        raise UsageError(f"--register: {register}: the local range ends at {LAST_SID}; clear it up or give --sid")
    return found


def record(register: Path, rules: Mapping[int, str]) -> None:
    """Enter rules by sid. Raises UsageError where a number is taken by another rule."""
    day = f"{datetime.datetime.fromtimestamp(now_ns() / 1e9, datetime.UTC):%Y-%m-%d}"
    try:
        register.parent.mkdir(parents=True, exist_ok=True)
        with register.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            taken = {int(n) for n in _ENTRY.findall(file.read())}
            clash = sorted(taken & set(rules))
            if clash:
                raise UsageError(f"--register: {register}: sid {clash[0]} is taken")
            for sid, text in rules.items():
                found = _MESSAGE.search(text)
                file.write(f"{sid} {day} {found[1] if found else ''}\n")
    except OSError as cause:
        raise UsageError(f"--register: {register}: {cause.strerror}") from None
