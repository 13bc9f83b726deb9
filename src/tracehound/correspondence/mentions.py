"""In: text that people wrote, defanged or not. Out: the addresses, names, hashes, URLs, sids, CVEs and malware that it names.
Never here: whether a name is malicious, or which finding it belongs to (cases/linking.py)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from tracehound import limits


class Mention(NamedTuple):
    """`type` as in indicators (MISP's names where there is one), `value` in one spelling, `at` where in the text it stands."""

    type: str
    value: str
    at: int


_REFANG: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\bh(?:xx|\*\*|__)p(s?)(?=:|\[)", re.IGNORECASE), r"http\1"),
    (re.compile(r"\s?[\[({](?:\.|dot|DOT)[\])}]\s?"), "."),
    (re.compile(r"[\[({](?:@|at|AT)[\])}]"), "@"),
    (re.compile(r"\[(:|://|/)\]"), r"\1"),
)


def refanged(text: str) -> str:
    """hxxp://, [.], (dot), [at] and [:] as they were before somebody made them harmless."""
    for pattern, with_ in _REFANG:
        text = pattern.sub(with_, text)
    return text


def _ip(word: str) -> str | None:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return None


def _sid(word: str) -> str | None:
    return word if len(word) <= 9 else None


TOP_LEVEL: Final = frozenset({
    "com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "io", "co", "me", "tv", "cc", "ws", "ru", "cn", "de",
    "uk", "nl", "fr", "it", "es", "pl", "se", "no", "fi", "dk", "jp", "kr", "tw", "br", "au", "nz", "ca", "us", "mx", "in", "za",
    "ch", "at", "be", "cz", "tr", "ua", "ro", "hu", "gr", "pt", "ie", "il", "ir", "th", "vn", "id", "my", "sg", "hk", "ph", "su",
    "eu", "asia", "xyz", "top", "club", "online", "site", "shop", "live", "pw", "to", "la", "onion", "local",
})  # fmt: skip
_EXTENSIONS: Final = frozenset({"exe", "dll", "scr", "pif", "bat", "sys", "txt", "log", "html", "php", "cgi", "asp", "zip", "rules"})
"""Endings that are files rather than names, though some are also top-level domains."""


def _domain(word: str) -> str | None:
    labels = word.lower().rstrip(".").split(".")
    last = labels[-1]
    if last not in TOP_LEVEL or last in _EXTENSIONS or not all(0 < len(label) <= 63 for label in labels):
        return None
    return ".".join(labels)


_LOWER: Final[Callable[[str], str | None]] = str.lower
_UPPER: Final[Callable[[str], str | None]] = str.upper
_KINDS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], str | None]], ...]] = (
    ("url", re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`{}|\\^]{3,2000}", re.IGNORECASE), lambda w: w.rstrip(".,;:!?)]")),
    ("email", re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b"), _LOWER),
    ("sha256", re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])"), _LOWER),
    ("sha1", re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{40}(?![0-9A-Fa-f])"), _LOWER),
    ("md5", re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32}(?![0-9A-Fa-f])"), _LOWER),
    ("ip", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"), _ip),
    ("ip", re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"), _ip),
    ("vulnerability", re.compile(r"\bCVE-\d{4}-\d{4,7}\b", re.IGNORECASE), _UPPER),
    ("sid", re.compile(r"\bsid[:=\s]{1,3}(\d{1,10})\b", re.IGNORECASE), _sid),
    ("domain", re.compile(r"(?<![\w@./-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,24}(?![\w-]|\.\w)"), _domain),
    ("filename", re.compile(r"(?<![\w./\\-])[\w$~-]{1,64}\.(?:exe|dll|scr|pif|bat|vbs|js|ps1|cgi|php|sys)\b", re.IGNORECASE), _LOWER),
)


def mentions(text: str, families: Iterable[tuple[str, str]] = ()) -> list[Mention]:
    """Everything that a text names, each once, in the order of its first place.

    families   (alias, family) of known malware; an alias counts as a whole word only"""
    text = refanged(text[: limits.MAX_ENTRY_CHARACTERS])
    found: dict[tuple[str, str], int] = {}
    for kind, pattern, spelled in _KINDS:
        for m in pattern.finditer(text):
            value = spelled(m[m.lastindex or 0])
            if value:
                found.setdefault((kind, value), m.start())
    lower = text.lower()
    for alias, family in families:
        at = _word_at(lower, alias.lower())
        if at >= 0:
            found.setdefault(("malware-family", family), at)
    return sorted((Mention(kind, value, at) for (kind, value), at in found.items()), key=lambda m: (m.at, m.type, m.value))


def _word_at(text: str, word: str) -> int:
    at = text.find(word)
    while at >= 0:
        before = text[at - 1] if at else " "
        after = text[at + len(word)] if at + len(word) < len(text) else " "
        if not before.isalnum() and not after.isalnum():
            return at
        at = text.find(word, at + 1)
    return -1
