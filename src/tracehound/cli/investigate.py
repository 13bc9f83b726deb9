"""In: evidence and a question. Out: the verdict on the terminal, as JSON, as an HTML report. Never here: a judgement."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.edges.investigation import verdict_of, verdict_tables
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
    add_answers(p)
    args = p.parse_intermixed_args(argv)
    _check_host(args.host)
    with options.reading_of(args, transactions=True, tables=verdict_tables(), hashes=True) as reading:
        verdict = verdict_of(reading, Question(args.host, tuple(args.home)))
        answer(args, verdict)
        return options.warn_of_damage(reading, quiet=args.quiet)


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
