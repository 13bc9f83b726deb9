"""In: messages. Out: which thread each belongs to, and each thread in the order of its answers. Never here: reading mail.

After J. Zawinski's message threading (1997): References and In-Reply-To tie messages, also through ones that are missing; what has
neither joins a thread by its subject where that subject says that it answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tracehound.correspondence.mailbox import Message, bare_subject

_ANSWERS: Final = re.compile(r"^\s*(?:\[[^\]]{1,40}\]\s*)?(?:re|aw|sv|antw)(?:\[\d+\])?:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A message, the key of its thread (its oldest known ancestor), and how deep it answers."""

    message: Message
    thread: str
    depth: int


class _Sets:
    """Union of keys that belong together; the representative is the oldest ancestor known."""

    def __init__(self) -> None:
        self.above: dict[str, str] = {}

    def root(self, key: str) -> str:
        path = []
        while (up := self.above.get(key, key)) != key:
            path.append(key)
            key = up
        for k in path:
            self.above[k] = key
        return key

    def join(self, child: str, parent: str) -> None:
        top, own = self.root(parent), self.root(child)
        if top != own:
            self.above[own] = top


def threads(messages: Sequence[Message]) -> list[Placed]:
    """Every message once (later copies of the same Message-ID are left out), threads in order of their first message, and within a
    thread answers after what they answer."""
    known: dict[str, Message] = {}
    for m in sorted(messages, key=lambda m: (m.sent_ns is None, m.sent_ns or 0)):
        known.setdefault(m.key, m)
    parents: dict[str, str] = {}
    sets = _Sets()
    for m in known.values():
        chain = [*m.references, m.key]
        for older, newer in pairwise(chain):
            if older != newer:
                sets.join(newer, older)
        parent = next((r for r in reversed(m.references) if r in known and r != m.key), None)
        if parent is not None:
            parents[m.key] = parent
    subjects: dict[str, str] = {}
    for m in known.values():
        subject = bare_subject(m.subject)
        if subject and subject in subjects and not m.references and _ANSWERS.match(m.subject):
            sets.join(m.key, subjects[subject])
            parents.setdefault(m.key, subjects[subject])
        elif subject:
            subjects.setdefault(subject, m.key)
    return list(_in_order(known, parents, sets))


def _in_order(known: dict[str, Message], parents: dict[str, str], sets: _Sets) -> Iterator[Placed]:
    answers: dict[str, list[str]] = {}
    tops: dict[str, list[str]] = {}
    for key in known:
        if key in parents and not _circular(key, parents):
            answers.setdefault(parents[key], []).append(key)
        else:
            tops.setdefault(sets.root(key), []).append(key)
    for keys in tops.values():
        first = keys[0]
        waiting = [(key, 0) for key in reversed(keys)]
        while waiting:
            key, depth = waiting.pop()
            yield Placed(known[key], first, depth)
            waiting += [(k, depth + 1) for k in reversed(answers.get(key, []))]


def _circular(key: str, parents: dict[str, str]) -> bool:
    """Whether following parents from `key` comes back: hostile References can say anything."""
    seen = {key}
    while key in parents:
        key = parents[key]
        if key in seen:
            return True
        seen.add(key)
    return False
