"""In: rule files. Out: what is wrong with them, as text, JSON or SARIF, and an exit status for CI. Never here: any check
(rules/checks/)."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracehound.cli import options
from tracehound.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracehound.rules.checks.finding import Finding
    from tracehound.rules.ruleset import RuleSet
    from tracehound.rules.settings import Settings

SUMMARY: Final = (
    "Say what is wrong with Snort and Suricata rules: what keeps a rule from loading, and what makes it slow, useless or a double of "
    "another. Exit status 1 where something of the level of --fail-on was found."
)
_LEVELS: Final = ("error", "warning", "note", "never")


def add_settings(p: argparse.ArgumentParser) -> None:
    """-c, --set and the files beside a configuration, shared by all that reads rules."""
    p.add_argument("-c", "--config", metavar="FILE", help="suricata.yaml or snort.conf: variables, and the files that it names")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a variable, e.g. HOME_NET=[10.0.0.0/8] or HTTP_PORTS=[80,8080]; as often as needed",
    )  # fmt: skip
    p.add_argument("--classification-file", metavar="FILE", help="classification.config instead of Suricata's")
    p.add_argument("--reference-config-file", metavar="FILE", help="reference.config instead of Suricata's")
    p.add_argument("--threshold-file", metavar="FILE", help="threshold.config: suppress, event_filter, rate_filter")


def settings_of(args: argparse.Namespace) -> Settings:
    """Settings that the command line asks for; files that a configuration names and that are not there are noted on stderr."""
    from tracehound.edges.rule_files import read_settings

    settings, notes = read_settings(
        args.config,
        assignments=args.set,
        classification=args.classification_file,
        references=args.reference_config_file,
        thresholds=args.threshold_file,
    )
    for note in notes:
        print(f"tracehound: {note}", file=sys.stderr)
    return settings


def rules_of(args: argparse.Namespace, settings: Settings) -> RuleSet:
    """The rules that the command line names, or else those that its configuration names."""
    from tracehound.edges.rule_files import configured_rule_files, load_rules

    paths = args.rules or (configured_rule_files(args.config, settings) if args.config else [])
    if not paths:
        raise UsageError("name rule files, or a configuration (-c) that names some")
    return load_rules(paths, settings)


def _check(verb: str, _says: str, argv: list[str]) -> int:
    p = options.parser(verb, SUMMARY)
    p.add_argument("rules", nargs="*", metavar="RULES", help="file, folder with *.rules, pattern, or - for standard input")
    add_settings(p)
    p.add_argument("--only", metavar="CHECK,...", help="only these checks; `--list` names all")
    p.add_argument("--skip", metavar="CHECK,...", help="all but these checks")
    p.add_argument("--list", action="store_true", help="list the checks with what they mean, and end")
    p.add_argument("--format", choices=("text", "json", "sarif"), default="text", help="default: text, a finding a line")
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("--fail-on", choices=_LEVELS, default="error", help="level from which on the status is 1 (default: error)")
    p.add_argument("-T", dest="test", action="store_true", help="only whether all rules load; nothing is printed but what does not")
    p.add_argument("-q", "--quiet", action="store_true", help="no summary on standard error")
    args = p.parse_intermixed_args(argv)

    from tracehound.rules.checks.catalog import CHECKS, find
    from tracehound.rules.honours import HONOURS

    if args.list:
        for check in CHECKS.values():
            print(f"{check.id}  ({check.level})\n    {check.title}. {check.page}\n")
        return 0
    wanted = _wanted(args, list(CHECKS))
    settings = settings_of(args)
    result = rules_of(args, settings)
    found = find(result, settings, HONOURS, wanted)
    if args.test:
        found = [f for f in found if f.level == "error"]
    text = _written(found, result, args.format)
    if args.output == "-":
        sys.stdout.write(text)
    else:
        Path(args.output).write_text(text, encoding="utf-8", errors="backslashreplace")
    if not args.quiet:
        print(f"tracehound: {_summary(found, result)}", file=sys.stderr)
    fatal = _LEVELS[: _LEVELS.index(args.fail_on) + 1] if args.fail_on != "never" else ()
    return 1 if any(f.level in fatal for f in found) else 0


def _wanted(args: argparse.Namespace, known: list[str]) -> set[str]:
    chosen = {}
    for option in ("only", "skip"):
        words = [w for w in (getattr(args, option) or "").split(",") if w]
        for word in words:
            if word not in known:
                raise UsageError(f"--{option}: no check {word!r}; there are {', '.join(known)}")
        chosen[option] = set(words)
    return (chosen["only"] or set(known)) - chosen["skip"]


def _written(found: Sequence[Finding], result: RuleSet, form: str) -> str:
    if form == "sarif":
        from tracehound.rules.checks.sarif import sarif

        return json.dumps(sarif(found), indent=1) + "\n"
    if form == "json":
        counts = Counter(f.level for f in found)
        tree = {
            "rules": len(result.rules),
            "refused": len(result.refused),
            "disabled": len(result.disabled),
            "counts": {level: counts[level] for level in ("error", "warning", "note")},
            "findings": [asdict(f) for f in found],
        }
        return json.dumps(tree, indent=1) + "\n"
    # Text of a rule may hold bytes that are no characters (surrogateescape); they are shown, not written raw.
    return "".join(f.text() + "\n" for f in found).encode("utf-8", "backslashreplace").decode("utf-8")


def _summary(found: Sequence[Finding], result: RuleSet) -> str:
    counts = Counter[str](f.level for f in found)
    levels = [level for level in _LEVELS if counts[level]]
    said = ", ".join(f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in levels)
    rules = f"{len(result.rules)} rules load, {len(result.refused)} refused, {len(result.disabled)} disabled"
    return f"{rules}; {said or 'nothing found'}"


VERBS: Final = {"check": _check}
"""Inner verbs of this file (cli/rules.py)."""
