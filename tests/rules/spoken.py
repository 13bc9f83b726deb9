"""In: options. Out: a rule with them, read. Never here: a test."""

from __future__ import annotations

from tracehound.errors import RuleError
from tracehound.rules.classes import ADDRESS_VARIABLES, PORT_VARIABLES
from tracehound.rules.rule import Group, Rule
from tracehound.rules.ruleset import parse_rule
from tracehound.rules.variables import Variables

VARIABLES = Variables(dict(ADDRESS_VARIABLES), dict(PORT_VARIABLES))


def rule(options: str, header: str = "alert tcp any any -> any any") -> Rule:
    """The rule `HEADER (OPTIONS sid:1;)`."""
    return parse_rule(f"{header} ({options} sid:1;)", VARIABLES)


def refusal(options: str, header: str = "alert tcp any any -> any any") -> RuleError:
    """Why that rule is refused."""
    try:
        read = rule(options, header)
    except RuleError as wrong:
        return wrong
    raise AssertionError(f"it was read: {read}")


def groups(options: str, header: str = "alert tcp any any -> any any") -> dict[str, Group]:
    """Its groups by the name of their buffer."""
    return {g.buffer.name: g for g in rule(options, header).groups}
