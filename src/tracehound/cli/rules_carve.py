"""In: evidence, and rules or a condition on flows. Out: a capture of the flows that fit, with comments that say why.
Never here: choosing or cutting (edges/carving.py)."""

from __future__ import annotations

import sys
from typing import Final

from tracehound.cli import options
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError

SUMMARY: Final = (
    "Write the packets of chosen flows as pcapng: those in which rules match, those for which a condition on table flows holds. Comments "
    "on packets say why."
)


def main(argv: list[str]) -> int:
    """`tracehound rules carve`."""
    p = options.parser("rules carve", SUMMARY)
    p.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="capture file or folder")
    p.add_argument("--hits", action="append", default=[], metavar="RULES", help="flows in which a rule of this file matches")
    p.add_argument("--where", metavar="SQL", help="flows for which this holds: \"dport = 25 AND payload_src > 0\"")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--home", action="append", default=[], metavar="NET", help="HOME_NET (default: the private ranges)")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the capture to write (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no notes on standard error")
    args = p.parse_intermixed_args(argv)
    if not args.hits and args.where is None:
        raise UsageError("rules carve: say which flows (--hits RULES, --where SQL)")
    from tracehound.edges import carving, rule_lab
    from tracehound.edges.rule_files import read_settings

    ready = None
    if args.hits:
        settings, _ = read_settings(None, assignments=args.assignments, home=args.home, classification=None, thresholds=None)
        ready = rule_lab.make_ready(args.hits, settings, rationed=False)
    found = carving.chosen(args.evidence, where=args.where, ready=ready)
    why = "; ".join([*(f"hit by {r}" for r in args.hits), *([f"where {args.where}"] if args.where else [])])
    with opened(args.output) as out:
        for piece in carving.capture(found, carving.frames(found), f"flows cut out by tracehound: {why}"):
            out.write(piece)
    if not args.quiet:
        print(f"{len(found.packets):,} packets of {len(found.flows):,} flows: {args.output}", file=sys.stderr)
    return 0
