"""In: rules, refusals, settings. Out: everything that is wrong, in the order of the files; the table of all checks. START HERE
for what `rules check` does. Never here: printing (sarif.py, cli/rules_check.py)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tracehound.errors import RuleError
from tracehound.rules.checks import single, together
from tracehound.rules.checks.finding import LEVELS, Check, Finding, at_option, run
from tracehound.rules.ruleset import RuleSet
from tracehound.rules.settings import Settings
from tracehound.rules.support import missing, prefixes_of

_LOADING: Final = (
    Check(
        "syntax", "error", "The rule cannot be read",
        "Words of the header are missing or wrong, a parenthesis or semicolon is missing, brackets do not match. Every engine "
        "refuses the rule.",
    ),
    Check(
        "unknown-keyword", "error", "No engine knows the keyword",
        "It is a keyword neither of Suricata nor of Snort, most often misspelled. docs/rule-keywords.md has all that are known.",
    ),
    Check(
        "invalid-option", "error", "The option's value cannot be meant",
        "A number out of its range, a value in the wrong form, a modifier with nothing to modify.",
    ),
    Check(
        "contradiction", "error", "Options contradict each other",
        "No traffic can satisfy them together (a depth smaller than its content, a request buffer in a rule for responses), or they "
        "exclude each other (offset and distance on one content). Suricata refuses such rules as well.",
    ),
    Check(
        "undefined-variable", "error", "A variable is not defined",
        "Neither the configuration (-c, --set) nor the rule file says what the variable stands for, or no byte_extract before it "
        "sets it.",
    ),
    Check(
        "duplicate-sid", "error", "Two rules have the same gid and sid",
        "Of two rules with one sid the one with the higher rev is kept; with equal or lower rev the later one is refused, as in "
        "Suricata. Give it a sid of its own, or raise rev.",
    ),
    Check(
        "replaced", "note", "A higher revision of the rule stands elsewhere",
        "Two revisions of one sid are in the files. The higher one is kept.",
    ),
    Check(
        "not-honoured", "warning", "tracehound does not match this rule",
        "The keyword is known, and nothing here verifies it (docs/rule-keywords.md says why). The rule is left out of "
        "`tracehound alerts`, never half-honoured. Where Suricata or Snort runs it, nothing is wrong with it.",
    ),
)  # fmt: skip
_KINDS: Final = {"unsupported": "not-honoured"}

CHECKS: Final[dict[str, Check]] = {c.id: c for c in (*_LOADING, *single.CHECKS, *together.CHECKS)}
"""Every check by its name, in the order of the documentation."""


def _refusal(wrong: RuleError) -> Finding:
    check = CHECKS[_KINDS.get(wrong.kind, wrong.kind)]
    return Finding(check.id, check.level, wrong.cause, wrong.source, wrong.line, wrong.column or 1, 0, wrong.keyword)


def find(result: RuleSet, settings: Settings, honours: Collection[str], wanted: Collection[str] = ()) -> list[Finding]:
    """What is wrong with the rules of some files. `honours`: what the engine can do (support.py); `wanted`: ids of checks, () is
    all. In the order of the files."""
    chosen = [c for c in CHECKS.values() if not wanted or c.id in wanted]
    ids = {c.id for c in chosen}
    found = [_refusal(wrong) for wrong in result.refused]
    found += [at_option(CHECKS["replaced"], rule, "a higher revision of this sid is kept", -1) for rule in result.replaced]
    prefixes = prefixes_of(honours)
    for rule in result.rules:
        need = missing(rule, honours, prefixes)
        if need is not None:
            found.append(at_option(CHECKS["not-honoured"], rule, f"nothing here verifies {need.name}", need.option))
    found += run(chosen, result.rules, settings)
    order: dict[str, int] = {}
    for f in found:
        order.setdefault(f.source, len(order))
    found = [f for f in found if f.check in ids]
    return sorted(found, key=lambda f: (order[f.source], f.line, f.column, LEVELS.index(f.level), f.check))
