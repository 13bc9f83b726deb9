"""In: words that people enter about a case. Out: the same words checked, and which status may follow which.
Never here: keeping them (edges/casefile.py)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from tracehound import limits
from tracehound.errors import UsageError

STATUS_AFTER: Final[dict[str, frozenset[str]]] = {
    "new": frozenset({"triage", "confirmed", "closed"}),
    "triage": frozenset({"confirmed", "closed"}),
    "confirmed": frozenset({"contained", "closed", "triage"}),
    "contained": frozenset({"closed", "confirmed"}),
    "closed": frozenset({"reopened"}),
    "reopened": frozenset({"triage", "confirmed", "contained", "closed"}),
}
"""Status -> those that may follow it. A closed case changes only by being opened again, so that nothing slips in unseen."""
CLOSED: Final = "closed"
SEVERITIES: Final = ("low", "medium", "high", "critical")
TLP: Final = ("TLP:RED", "TLP:AMBER+STRICT", "TLP:AMBER", "TLP:GREEN", "TLP:CLEAR")
"""FIRST's Traffic Light Protocol 2.0, strictest first."""
RESOLUTIONS: Final = ("true-positive", "false-positive", "benign", "duplicate", "undetermined")
ROLES: Final = ("owner", "analyst", "reporter", "cert", "provider", "vendor", "list", "other")
TASK_STATES: Final = ("open", "done", "dropped")
_TECHNIQUE: Final = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")
_TAG: Final = re.compile(r"[a-z0-9][a-z0-9:._=/-]{0,63}")


def one_of(what: str, word: str, allowed: tuple[str, ...]) -> str:
    """`word` where it is one of `allowed`, whatever its case. Raises UsageError that lists them."""
    found = {a.lower(): a for a in allowed}.get(word.strip().lower())
    if found is None:
        raise UsageError(f"{what}: {word!r} is none of {', '.join(allowed)}")
    return found


def tlp(word: str) -> str:
    """A TLP 2.0 label, 'TLP:' may be left out; WHITE of TLP 1 is CLEAR."""
    bare = word.strip().upper().removeprefix("TLP:")
    return one_of("TLP", "TLP:" + {"WHITE": "CLEAR"}.get(bare, bare), TLP)


def next_status(now: str, wanted: str) -> str:
    """`wanted` where it may follow `now`. Raises UsageError that lists what may."""
    wanted = one_of("status", wanted, tuple(STATUS_AFTER))
    if wanted not in STATUS_AFTER[now]:
        raise UsageError(f"status: {now} cannot become {wanted}; it can become {', '.join(sorted(STATUS_AFTER[now]))}")
    return wanted


def technique(word: str) -> str:
    """An ATT&CK technique id, T1046 or T1059.003."""
    found = word.strip().upper()
    if not _TECHNIQUE.fullmatch(found):
        raise UsageError(f"technique: {word!r} is no ATT&CK technique (T1046, T1059.003)")
    return found


def tag(word: str) -> str:
    """A tag: lower-case letters, digits and :._=/- (machine tags of MISP fit)."""
    found = word.strip().lower()
    if not _TAG.fullmatch(found):
        raise UsageError(f"tag: {word!r} may have 1 to 64 of a-z, 0-9 and :._=/-")
    return found


def text(what: str, words: str) -> str:
    """Text that a person wrote: not empty, bounded, without NUL. Raises UsageError."""
    if not words.strip():
        raise UsageError(f"{what}: nothing is said")
    if len(words) > limits.MAX_ENTRY_CHARACTERS:
        raise UsageError(f"{what}: {len(words):,} characters; {limits.MAX_ENTRY_CHARACTERS:,} are kept at most (attach it as evidence)")
    if "\x00" in words:
        raise UsageError(f"{what}: contains a NUL character")
    return words


def address(word: str) -> str:
    """An IP address in canonical text (RFC 5952)."""
    try:
        return str(ipaddress.ip_address(word.strip()))
    except ValueError:
        raise UsageError(f"host: {word!r} is no address") from None
