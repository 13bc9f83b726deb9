"""In: nothing. Out: what a check is and what it finds. Never here: any single check (single.py, together.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tracehound.rules.rule import Rule
from tracehound.rules.settings import Settings

Level = Literal["error", "warning", "note"]
LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, at its place."""

    check: str
    level: Level
    message: str
    source: str
    line: int
    column: int
    sid: int = 0
    keyword: str = ""

    def text(self) -> str:
        """As compilers say it: `file:line:column: level: message [check]`."""
        keyword = f"{self.keyword}: " if self.keyword else ""
        return f"{self.source}:{self.line}:{self.column}: {self.level}: {keyword}{self.message} [{self.check}]"


Single = Callable[[Rule, Settings], Iterable[tuple[str, int]]]
"""A check of one rule by itself: yields (message, index of the option it is about; -1 is the rule)."""
Together = Callable[[tuple[Rule, ...], Settings], Iterable[tuple[Rule, str, int]]]
"""A check of all rules together: yields (rule, message, index of the option)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of fault. `page` says what it means, why it matters, and what to do."""

    id: str
    level: Level
    title: str
    page: str
    single: Single | None = None
    together: Together | None = None


def at_option(check: Check, rule: Rule, message: str, option: int) -> Finding:
    """The finding at one option of a rule (-1: at its beginning)."""
    w = rule.written
    if option < 0:
        return Finding(check.id, check.level, message, w.source, w.line, w.column, rule.sid)
    o = w.options[option]
    return Finding(check.id, check.level, message, w.source, o.line, o.column, rule.sid, o.name)


def run(checks: Iterable[Check], rules: tuple[Rule, ...], settings: Settings) -> Iterator[Finding]:
    """What the checks find."""
    for check in checks:
        if check.single is not None:
            for rule in rules:
                for message, option in check.single(rule, settings):
                    yield at_option(check, rule, message, option)
        if check.together is not None:
            for rule, message, option in check.together(rules, settings):
                yield at_option(check, rule, message, option)
