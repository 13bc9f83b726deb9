"""In: nothing. Out: the shape of an entry in the table of keywords. Never here: any single keyword (payload.py, header.py, ...).

A keyword says how it is read (`read` adds its meaning to the rule being assembled) and, by the names it leaves in
`Rule.needs`, what the matching engine must be able to do for it. support.py compares those names with what the engine
declares; a rule that needs more is refused, naming the option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tracehound.rules.keywords.assembly import Assembly

Kind = Literal["meta", "header", "flow", "buffer", "payload", "modifier", "transform", "state", "file", "protocol", "event", "action"]

Reader = Callable[["Assembly", str | None], None]
"""Adds one option to the rule being assembled; raises `KeywordError` with the reason where its value cannot be meant."""


class KeywordError(ValueError):
    """Why an option cannot be honoured; ruleset.py adds file, line, column and keyword. `kind` is RuleError's."""

    kind = "invalid-option"


class ContradictionError(KeywordError):
    """Options that no traffic can satisfy together, or that exclude each other."""

    kind = "contradiction"


class UndefinedVariableError(KeywordError):
    """A variable that nothing defines."""

    kind = "undefined-variable"


class NeverError(KeywordError):
    """An option that is known and never honoured."""

    kind = "unsupported"


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword."""

    name: str
    """As Suricata 8 spells it; Snort's own keep Snort's spelling."""
    kind: Kind
    meaning: str
    read: Reader
    needs: tuple[str, ...] = ()
    """What the engine must be able to do, where it is the same whatever the value; readers add what depends on the value."""
    aliases: tuple[str, ...] = ()
    dialects: str = "s"
    """Letters: s Suricata, 2 Snort 2, 3 Snort 3."""
    never: str = ""
    """Why no rule with this keyword is ever honoured."""
