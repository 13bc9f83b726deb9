"""In: evidence and a question. Out: the verdict on the terminal, as JSON, as an HTML report. Never here: a judgement."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.edges.investigation import verdict_of, verdict_tables
from tracehound.edges.reading import Reading
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError
from tracehound.findings.model import Verdict
from tracehound.pipeline import Question

SUMMARY: Final = "Find the strange hosts in captures: who, since when, what they send, how it fared, what changed, what it is."


def add_answers(p: argparse.ArgumentParser) -> None:
    """How the verdict is wanted."""
    p.add_argument("--report", metavar="FILE.html", help="also write the report: one HTML file that works offline")
    p.add_argument("--json", action="store_true", help="print the verdict as JSON instead of text")
    p.add_argument("--full", action="store_true", help="print all of it: every answer, its packets, how it was found")
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write text or JSON to FILE")


def main(argv: list[str]) -> int:
    """`tracehound investigate`."""
    p = options.parser("investigate", SUMMARY)
    options.add_evidence(p)
    p.add_argument("--host", metavar="ADDR", help="only this host")
    p.add_argument(
        "--home", metavar="NET", action="append", default=[], help="a home network (CIDR); may be repeated; inferred otherwise"
    )
    p.add_argument("-S", "--rules", action="append", default=[], metavar="FILE", help="also match these rules; may be given again")
    p.add_argument("-c", "--config", metavar="FILE", help="suricata.yaml or snort.conf with variables and rule files")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    add_answers(p)
    args = p.parse_intermixed_args(argv)
    _check_host(args.host)
    if args.assignments and not (args.rules or args.config):
        raise UsageError("--set: of which rules? (-S FILE, or -c with rule-files)")
    if args.rules or args.config:
        evidence, expression = options.evidence_and_filter(args)
        if expression is not None:
            raise UsageError("-S: rules look at all packets; leave the capture filter away")
        if "-" in evidence:
            raise UsageError("-S: rules need the evidence a second time: give a file, not -")
    with options.reading_of(args, transactions=True, tables=verdict_tables(), hashes=True) as reading:
        verdict = verdict_of(reading, Question(args.host, tuple(args.home)))
        verdict = drafted(reading, verdict, args.home)
        if args.rules or args.config:
            verdict = _with_rules(args, verdict)
        answer(args, verdict)
        return options.warn_of_damage(reading, quiet=args.quiet)


def drafted(reading: Reading, verdict: Verdict, home: Sequence[str] = ()) -> Verdict:
    """The verdict with a drafted rule where a host probes; the rule engine is loaded only then."""
    if not verdict.probing:
        return verdict
    from tracehound.edges.rule_lab import with_drafts

    return with_drafts(reading, verdict, home)


_NAMED: Final = 5


def _with_rules(args: argparse.Namespace, verdict: Verdict) -> Verdict:
    """The verdict with the alerts of the rules on the command line."""
    from tracehound.edges.investigation import with_rules
    from tracehound.edges.progress import progress_line
    from tracehound.errors import RuleError

    refused: list[RuleError] = []
    with progress_line(quiet=args.quiet) as progress:
        out = with_rules(
            verdict, options.evidence_and_filter(args)[0], args.rules, config=args.config, assignments=args.assignments, home=args.home,
            host=args.host, verify_checksums=args.checksums == "all", refused=refused.append, progress=progress,
        )  # fmt: skip
    for wrong in refused[:_NAMED] if not args.quiet else ():
        print(f"tracehound: {wrong}", file=sys.stderr)
    if len(refused) > _NAMED and not args.quiet:
        print(f"tracehound: ... `tracehound rules check` names the other {len(refused) - _NAMED} refused rules", file=sys.stderr)
    return out


def _check_host(host: str | None) -> None:
    import ipaddress

    try:
        if host is not None:
            ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"--host: {host!r} is no address") from None


def answer(args: argparse.Namespace, verdict: Verdict) -> None:
    """Print the verdict, and write the report if one is wanted."""
    if args.json:
        from tracehound.report.as_json import as_json

        text = as_json(verdict)
    else:
        from tracehound.report import brief, terminal

        to_terminal = args.output == "-" and sys.stdout.isatty()
        color = to_terminal and "NO_COLOR" not in os.environ
        width = min(shutil.get_terminal_size((80, 24)).columns, 100) if to_terminal else 80
        text = (terminal if args.full else brief).render(verdict, width=width, color=color)
    with opened(args.output) as out:
        out.write(text.encode("utf-8", "replace"))
        if not text.endswith("\n"):
            out.write(b"\n")
    if args.report:
        from tracehound.report.html import render as html

        with opened(args.report) as out:
            out.write(html(verdict).encode("utf-8", "replace"))
        if not args.quiet:
            print(f"report: {Path(args.report)}", file=sys.stderr)
