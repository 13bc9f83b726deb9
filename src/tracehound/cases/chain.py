"""In: what was done in a case, one entry an action. Out: the hash that ties each entry to all before it, and the first entry
that does not fit. Never here: what an action means (actions.py) or where entries are kept.

An entry's hash is SHA-256 over the hash of the entry before it and the entry itself as canonical JSON (RFC 8785's rules for
what occurs here: sorted keys, no white space, UTF-8; only text, whole numbers, true, false, null, lists and objects). Who changes
an old entry must therefore change every later one; whoever noted the last hash elsewhere notices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

GENESIS: Final = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `data` holds what the action was told, as JSON values."""

    seq: int
    at_ns: int
    who: str
    action: str
    data: dict[str, Any]
    previous: str
    hash: str


def canonical(value: object) -> bytes:
    """JSON in one spelling only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def digest(seq: int, at_ns: int, who: str, action: str, data: dict[str, Any], previous: str) -> str:
    """The hash of an entry that follows `previous`."""
    body = canonical({"seq": seq, "at_ns": at_ns, "who": who, "action": action, "data": data})
    return hashlib.sha256(previous.encode("ascii") + b"\n" + body).hexdigest()


def follow(previous: Entry | None, at_ns: int, who: str, action: str, data: dict[str, Any]) -> Entry:
    """The entry that comes after `previous` (None: the first)."""
    seq, before = (1, GENESIS) if previous is None else (previous.seq + 1, previous.hash)
    return Entry(seq, at_ns, who, action, data, before, digest(seq, at_ns, who, action, data, before))


def broken(entries: Iterable[Entry]) -> list[str]:
    """What does not fit in a log, in words; empty = the chain holds."""
    wrong: list[str] = []
    seq, before = 0, GENESIS
    for e in entries:
        if e.seq != seq + 1:
            wrong.append(f"log entry {seq + 1}: missing (entry {e.seq} follows {seq})")
        if e.previous != before:
            wrong.append(f"log entry {e.seq}: does not follow the entry before it")
        if digest(e.seq, e.at_ns, e.who, e.action, e.data, e.previous) != e.hash:
            wrong.append(f"log entry {e.seq} ({e.action}): was altered after it was written")
        seq, before = e.seq, e.hash
    return wrong
