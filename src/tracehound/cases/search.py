"""In: words that somebody looks for, and in which documents each occurs. Out: the documents in order. Never here: the index itself.

A document's score is the sum of the weights of the words that it holds, and a word weighs the more the fewer documents hold it
(K. Sparck Jones, 1972: log((N + 1) / (n + 1/2))). So several weak indicators together outrank one common word: that a text has
`b.cgi` says little, that it has `b.cgi`, `taskbar.exe` and the same address says much."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass
from typing import Final

_TERM: Final = re.compile(r'"([^"]+)"|(\S+)')
MAX_TERMS: Final = 64


def terms(words: str) -> list[str]:
    """Words and "quoted phrases", each once."""
    found = [phrase or word for phrase, word in _TERM.findall(words)]
    return list(dict.fromkeys(t.strip().lower() for t in found if any(c.isalnum() for c in t)))[:MAX_TERMS]


def fts(term: str) -> str:
    """A term as an FTS5 string: nothing in it is syntax."""
    return '"' + term.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Hit:
    """A document with its score and the terms that it holds, weightiest first."""

    document: Hashable
    score: float
    held: tuple[str, ...]


def ranked(holders: Mapping[str, Set[Hashable]], documents: int) -> list[Hit]:
    """Documents that hold any term, best first.

    holders     term -> the documents that hold it
    documents   how many documents there are in all"""
    weight = {t: math.log((documents + 1) / (len(found) + 0.5)) for t, found in holders.items() if found}
    held: dict[Hashable, list[str]] = {}
    for t in sorted(weight, key=lambda t: -weight[t]):
        for document in holders[t]:
            held.setdefault(document, []).append(t)
    hits = [Hit(d, sum(max(weight[t], 0.01) for t in names), tuple(names)) for d, names in held.items()]
    return sorted(hits, key=lambda h: (-h.score, repr(h.document)))
