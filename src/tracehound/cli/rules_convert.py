"""In: rule files. Out: the rules in another dialect's spelling, and why some cannot be said in it. Never here: the spelling
(rules/dialects.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.cli.rules_check import add_settings, rules_of, settings_of
from tracehound.errors import RuleError

SUMMARY: Final = (
    "Print rules in Suricata's, Snort 2's or Snort 3's spelling. Each is read back and must mean the same; one that the dialect cannot "
    "say is refused with the reason on standard error. Exit status 1 where a rule was refused."
)
_DIALECTS: Final = ("suricata", "snort2", "snort3")


def _convert(verb: str, _says: str, argv: list[str]) -> int:
    p = options.parser(verb, SUMMARY)
    p.add_argument("rules", nargs="*", metavar="RULES", help="file, folder with *.rules, pattern, or - for standard input")
    p.add_argument("--to", choices=_DIALECTS, required=True, help="the dialect to print")
    add_settings(p)
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no reasons and no summary on standard error")
    args = p.parse_intermixed_args(argv)

    from tracehound.rules.dialects import convert

    settings = settings_of(args)
    result = rules_of(args, settings)
    lines: list[str] = []
    reasons: list[RuleError] = list(result.refused)
    for rule in result.rules:
        try:
            lines.append(convert(rule, args.to, result.variables))
        except RuleError as why:
            reasons.append(why)
    text = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
    if args.output == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        Path(args.output).write_bytes(text)
    if not args.quiet:
        for reason in reasons:
            print(str(reason).encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr)
        print(f"tracehound: {len(lines)} rules converted, {len(reasons)} refused", file=sys.stderr)
    return 1 if reasons else 0


VERBS: Final = {"convert": _convert}
"""Inner verbs of this file (cli/rules.py)."""
