"""In: nothing. Out: what a page and an action are: entries of tables from which app.py makes routes, JSON twins and OpenAPI.
Never here: one page (pages/), HTTP (app.py).

A page gives plain data; HTML and JSON are two views of the same. What a page does not give as data, no template can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tracehound.edges.casefile import Case, find_case
from tracehound.errors import UsageError
from tracehound.web.accounts import User
from tracehound.web.jobs import Jobs


class NotFound(UsageError):
    """What the address names is not there."""


class Param(NamedTuple):
    """A value that a page or an action takes. `kind` is a JSON type; `choices` empty = anything of that type."""

    name: str
    kind: str
    says: str
    choices: tuple[str, ...] = ()
    required: bool = False
    long: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as pages see it: where the cases are, who asks, what the address and the query say."""

    cases: Path
    user: User
    path: Mapping[str, str]
    query: Mapping[str, str]
    jobs: Jobs

    def case(self) -> Case:
        """The case of the address. Raises NotFound."""
        number = self.path["number"]
        try:
            return Case(find_case(self.cases, number))
        except UsageError as cause:
            raise NotFound(str(cause)) from None

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number of the query. Raises UsageError."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or not least <= int(text[:16]) <= most:
            raise UsageError(f"{name}: {text!r} is no whole number from {least} to {most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its address ({number} is the case's), its title, its data, its template."""

    path: str
    title: str
    data: Callable[[Ask], dict[str, Any]]
    template: str
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """A change: what it takes, what it does (returns its answer and the address to go to), and who may."""

    path: str
    says: str
    do: Callable[[Ask, Mapping[str, Any]], tuple[dict[str, Any], str]]
    params: tuple[Param, ...] = ()
    role: str = "analyst"
    more: Mapping[str, str] = field(default_factory=dict)
