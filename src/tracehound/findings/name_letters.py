"""In: names. Out: how their letters look: how evenly spread, and whether people could say them. Never here: DNS."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

_VOWELS: Final = frozenset("aeiouy")
_CONSONANTS: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}")
_LETTER_RUNS: Final = re.compile(r"[a-z]+|[0-9]+")
_WORD: Final = 7
"""Shorter names tell nothing by their letters."""
_RARE_AFTER: Final[dict[str, str]] = {
    "b": "fgkqxz", "c": "bfgjvx", "d": "x", "f": "bgjkpqvwxz", "g": "cjkqvxz", "h": "jkqvxz", "j": "bcdfghjklmnpqrstvwxyz",
    "k": "qvxz", "l": "qx", "m": "jqxz", "p": "qvxz", "q": "abcdefghijklmnopqrstvwxyz", "r": "x", "s": "xz", "t": "qx",
    "v": "bcdfghjklmnpqstwxz", "w": "bcfgjkquvxz", "x": "bdfghjklmnqrsvwz", "y": "jqvx", "z": "bcdfgjkmnpqrstvwx",
}  # fmt: skip
"""Letters that words of the languages written in Latin letters hardly have after this one: 167 of the 676 pairs, so of
random letters 25 in a hundred pairs are such."""


def entropy_bits(texts: Iterable[str]) -> float:
    """Shannon entropy of the characters of all texts together, bits a character."""
    counted = Counter("".join(texts))
    total = sum(counted.values())
    return -sum(n / total * math.log2(n / total) for n in counted.values()) if total else 0.0


def unspeakable(name: str) -> bool:
    """Whether a name of at least `_WORD` characters looks as if no person had made it up."""
    name = name.replace("-", "")
    if len(name) < _WORD or not name.isascii() or name.startswith("xn"):
        return False
    letters = [c for c in name if c.isalpha()]
    if len(letters) < 0.5 * len(name):
        return True
    runs = _LETTER_RUNS.findall(name)
    vowels = sum(c in _VOWELS for c in letters) / len(letters)
    pairs = [name[n : n + 2] for n in range(len(name) - 1) if name[n : n + 2].isalpha()]
    rare = sum(p[1] in _RARE_AFTER.get(p[0], "") for p in pairs) / max(len(pairs), 1)
    signs = (vowels < 0.2, rare > 0, _CONSONANTS.search(name) is not None, len(runs) >= 4)
    return rare >= 0.15 or len(runs) >= 4 or sum(signs) >= 2
