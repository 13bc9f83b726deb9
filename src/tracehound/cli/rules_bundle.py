"""In: rules, the evidence they were made for, harmless evidence. Out: a folder and a zip to hand over.
Never here: the work (edges/bundling.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.errors import UsageError

SUMMARY: Final = (
    "Write what a list or a rules project wants of a submission: the rules in each dialect, their documentation, the measured table, a "
    "minimal anonymised capture in a test folder that passes, lines of sid-msg.map; as one folder and one zip."
)


def main(argv: list[str]) -> int:
    """`tracehound rules bundle`."""
    p = options.parser("rules bundle", SUMMARY)
    p.add_argument("rules", nargs="+", metavar="RULES", help="rule files")
    p.add_argument("--malicious", action="append", required=True, metavar="EVIDENCE|CASE", help="evidence that they match in")
    p.add_argument("--benign", action="append", default=[], metavar="EVIDENCE", help="harmless evidence; may be given again")
    p.add_argument("--flows", metavar="SQL", help="which flows of the malicious evidence are, as a condition on table flows")
    p.add_argument("--finding", metavar="ID", help="... as a finding of its verdict; 'strongest' takes that")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--home", action="append", default=[], metavar="NET", help="HOME_NET (default: the private ranges)")
    p.add_argument("--key", metavar="WORDS", help="words that the mapping of addresses follows from (default: a new mapping every time)")
    p.add_argument("--contributor", action="append", default=[], metavar="NAME", help="who made the rule; may be given again")
    for name, says in (
        ("impact", "what it means for the host"), ("affected", "systems that are affected"), ("scenarios", "how an attack goes"),
        ("ease", "how easy an attack is"), ("corrective", "what is to be done"),
    ):  # fmt: skip
        p.add_argument(f"--{name}", default="", metavar="TEXT", help=f"documentation: {says}")
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; the zip goes beside it")
    p.add_argument("-q", "--quiet", action="store_true", help="no notes on standard error")
    args = p.parse_intermixed_args(argv)
    if args.flows and args.finding:
        raise UsageError("rules bundle: --finding and --flows exclude each other")
    from tracehound.edges import bundling, rule_lab
    from tracehound.edges.rule_files import read_settings
    from tracehound.lab.bundle import Author

    args.malicious = rule_lab.captures_of(args.malicious)
    settings, _ = read_settings(None, assignments=args.assignments, home=args.home, classification=None, thresholds=None)
    outcomes = rule_lab.trial(args.rules, args.malicious, args.benign, settings, flows=args.flows, finding=args.finding)
    author = Author(tuple(args.contributor), args.impact, args.affected, args.scenarios, args.ease, args.corrective)
    made = bundling.write_bundle(
        Path(args.output), args.rules, args.malicious, outcomes, settings, args.home, author, bundling.key_of(args.key)
    )
    if not args.quiet:
        m = made.minimal
        print(f"{made.folder} and {made.archive}: {m.packets} packets of {m.flows} flows in its capture; {m.says}", file=sys.stderr)
        for why in made.refused:
            print(str(why), file=sys.stderr)
    return 0
