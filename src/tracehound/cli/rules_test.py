"""In: rules, malicious and harmless evidence, expectations. Out: what each rule is worth, as text, JSON, JUnit; a test folder.
Never here: judging (lab/trial.py) or matching (rules/)."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from tracehound.cli import options
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError

_VARIABLE: Final = re.compile(r"vars\.(address|port)-groups\.(\w+=.+)")
SUMMARY: Final = "Test rules: hits, misses, false alarms, how much harmless traffic could have reached them, near misses."


def main(argv: list[str]) -> int:
    """`tracehound rules test`. Exit status 1 where an expectation does not hold."""
    p = options.parser("rules test", SUMMARY)
    p.add_argument("rules", nargs="+", metavar="RULES", help="rule files")
    p.add_argument("--malicious", action="append", default=[], metavar="EVIDENCE|CASE", help="evidence with malicious flows, or a case")
    p.add_argument("--benign", action="append", default=[], metavar="EVIDENCE", help="harmless evidence; may be given again")
    p.add_argument("--flows", metavar="SQL", help="which flows of the malicious evidence are, as a condition on table flows")
    p.add_argument("--finding", metavar="ID", help="... as a finding of its verdict; 'strongest' takes that")
    p.add_argument("--cover", "--others", action="append", default=[], metavar="RULES", help="rules that may cover the same flows already")
    p.add_argument("--expect", metavar="test.yaml", help="checks as suricata-verify has them, over the alerts of the malicious evidence")
    p.add_argument("--least-recall", type=float, default=0.95, metavar="R", help="expect this share of hits (default: %(default)s)")
    p.add_argument("--most-alarms", type=int, default=0, metavar="N", help="expect no more false alarms (default: %(default)s)")
    p.add_argument("--held-out", choices=("targets", "time", "flows"), help="also draft without a part of the flows and try on that part")
    p.add_argument("--parts", type=int, default=2, metavar="N", help="parts of the flows, each held out once (default: %(default)s)")
    p.add_argument("--engine", choices=("suricata", "snort"), help="also run the rules in this engine, if it is installed, and compare")
    p.add_argument("--folder", metavar="DIR", help="write a test folder as suricata-verify has them: rules, anonymised capture, test.yaml")
    p.add_argument("--key", metavar="WORDS", help="words that the mapping of the folder's addresses follows from (default: a new mapping)")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--home", action="append", default=[], metavar="NET", help="HOME_NET (default: the private ranges)")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--junit", metavar="FILE", help="also write the expectations as JUnit XML")
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no notes on standard error")
    args = p.parse_intermixed_args(argv)
    if args.flows and args.finding:
        raise UsageError("rules test: --finding and --flows exclude each other")
    if args.parts < 2:
        raise UsageError("--parts: at least 2")
    if (args.held_out or args.folder or args.expect) and not args.malicious:
        raise UsageError("rules test: --held-out, --folder and --expect need --malicious")
    if not args.malicious and not args.benign:
        raise UsageError("rules test: nothing to test on (--malicious, --benign)")
    from tracehound.edges import rule_lab
    from tracehound.edges.rule_files import read_settings
    from tracehound.lab import trial

    checks, assigned = _read_expectations(args.expect) if args.expect else ([], [])
    args.malicious = rule_lab.captures_of(args.malicious)
    settings, _ = read_settings(
        None, assignments=[*assigned, *args.assignments], home=args.home, classification=None, thresholds=None
    )  # fmt: skip
    events: list[dict[str, Any]] = []
    outcomes = rule_lab.trial(
        args.rules, args.malicious, args.benign, settings, flows=args.flows, finding=args.finding, others=args.cover, events=events
    )
    folds = []
    if args.held_out:
        folds = rule_lab.held_out(
            args.malicious, settings, flows=args.flows, finding=args.finding, benign=args.benign, count=args.parts, over=args.held_out
        )
    # With --expect alone the file says what is wanted; a rule of it may well be meant to stay silent.
    expected = [] if args.expect and not (args.flows or args.finding or args.benign) else trial.expectations(
        outcomes, least_recall=args.least_recall, most_alarms=args.most_alarms
    )  # fmt: skip
    expected += trial.folds_hold(folds, least_recall=args.least_recall)
    expected += trial.checked(events, checks)
    if args.engine:
        from tracehound.edges import other_engines

        paths = [*args.malicious, *args.benign]
        expected += other_engines.compared(args.engine, args.rules, paths, settings, events, args.benign, args.home)
    if args.folder:
        from tracehound.edges import bundling

        bundling.write_test_folder(Path(args.folder), args.rules, args.malicious, settings, args.home, bundling.key_of(args.key))
    text = json.dumps(trial.as_dict(outcomes, expected, folds), indent=2) + "\n" if args.json else trial.table(outcomes, expected, folds)
    with opened(args.output) as out:
        out.write(text.encode("utf-8", "replace"))
    if args.junit:
        with opened(args.junit) as out:
            out.write(trial.junit(expected).encode("utf-8", "replace"))
    failed = sum(not x.held for x in expected)
    if failed and not args.quiet:
        print(f"{failed} of {len(expected)} expectations do not hold", file=sys.stderr)
    return 1 if failed else 0


def _read_expectations(path: str) -> tuple[list[Any], list[str]]:
    """The checks of a test.yaml, and the variables that its arguments set. Raises UsageError."""
    import yaml

    try:
        spec = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as cause:
        raise UsageError(f"--expect: {path}: {cause.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise UsageError(f"--expect: {path}: {cause}") from None
    checks = spec.get("checks") if isinstance(spec, dict) else None
    if not isinstance(checks, list):
        raise UsageError(f"--expect: {path}: has no list of checks")
    words = " ".join(str(a) for a in spec.get("args") or []).split()
    return checks, [m[2] for w in words if (m := _VARIABLE.fullmatch(w)) is not None]
