"""In: a rule and captures. Out: for each flow how far the rule comes there, and what stops it, with the bytes shown. Never here:
matching (rules/inspect.py keeps the notes that are printed here)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from tracehound.cli import options

if TYPE_CHECKING:
    from tracehound.rules.hits import Descriptions
    from tracehound.rules.inspect import Note

SUMMARY: Final = "Say for each flow how far a rule comes, and which part of it stops it, with the bytes shown."
_AROUND: Final = 24
_MAX_FLOWS: Final = 20


def _parser() -> argparse.ArgumentParser:
    p = options.parser("rules explain", SUMMARY)
    p.add_argument("rule", metavar="RULE|SID", help="a rule as text, or the sid of a rule in the files of -S")
    p.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="capture file, folder, or - for standard input")
    p.add_argument("-S", "--rules", action="append", default=[], metavar="FILE", help="rule file, folder or pattern")
    p.add_argument("-c", "--config", metavar="FILE", help="suricata.yaml or snort.conf")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--midstream", action="store_true", help="follow sessions whose handshake is not in the evidence")
    p.add_argument("--flow", metavar="TEXT", help="only flows whose ends contain this (an address, address:port)")
    p.add_argument("--all", action="store_true", help=f"print every flow (default: the {_MAX_FLOWS} in which the rule comes furthest)")
    return p


def _window(note: Note) -> str:
    """The bytes around the place where a step failed."""
    begin = max(0, min(note.offset, len(note.data)) - 4)
    part = note.data[begin : begin + _AROUND]
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
    return f"byte {begin}: {part.hex(' ')}  {text}" if part else "no bytes there"


def _ends(note: Note, say: Descriptions) -> str:
    p = note.packet
    if not p.family:
        return "not IP"
    return f"{say.address(p.src, p.family)}:{p.sport} -> {say.address(p.dst, p.family)}:{p.dport}"


def _lines(note: Note, say: Descriptions) -> list[str]:
    frame = note.packet.number & ((1 << 40) - 1)
    out = [f"{_ends(note, say)}  frame {frame}  {note.stage}: {note.words}"]
    if note.stage == "buffer":
        step = ""
        groups = [note.plan.payload, *note.plan.groups, *note.plan.packet_groups]
        group = next((g for g in groups if g is not None and g.name == note.buffer), None)
        if group is not None and 0 <= note.step < len(group.chain.steps):
            step = f", option {note.step + 1}: {group.chain.steps[note.step]}"
        out.append(f"    {note.buffer}{step}")
        out.append(f"    {_window(note)}")
    return out


def main(argv: list[str]) -> int:
    """`tracehound rules explain`. Status 0: the rule matched somewhere; 1: nowhere."""
    args = _parser().parse_intermixed_args(argv)
    from tracehound.edges import alerting
    from tracehound.edges.rule_files import load_rules, read_settings
    from tracehound.errors import UsageError
    from tracehound.rules.engine import Options
    from tracehound.rules.inspect import Note as Kept
    from tracehound.rules.ruleset import RuleSet, parse_rules

    settings, _ = read_settings(args.config, assignments=args.assignments)
    if args.rule.isdigit():
        if not args.rules:
            raise UsageError(f"sid {args.rule}: name the rule file with -S")
        found = load_rules(args.rules, settings)
        chosen = [r for r in found.rules if r.sid == int(args.rule)]
        refused = [e for e in found.refused if args.rule in str(e)]
        if not chosen:
            raise UsageError(f"sid {args.rule}: no such rule in {', '.join(args.rules)}" + "".join(f"; {e}" for e in refused))
        rules = RuleSet(tuple(chosen), (), (), found.variables)
    else:
        rules = parse_rules([("rule", args.rule)], settings.variables)
    ready = alerting.make_ready(rules, settings)
    for wrong in ready.refused:
        print(f"tracehound: {wrong}", file=sys.stderr)
    if not ready.plans:
        return 3
    notes: list[Kept] = []
    files = alerting.list_evidence(args.evidence)
    matched = 0
    for _ in alerting.alerts(files, ready, Options(midstream=args.midstream or settings.midstream, everything=True), notes=notes):
        matched += 1
    furthest: dict[object, Kept] = {}
    for note in notes:
        p = note.packet
        key = p.flow.flow_id if p.flow is not None else (p.src, p.sport, p.dst, p.dport, p.proto)
        if key not in furthest or note.depth > furthest[key].depth:
            furthest[key] = note
    shown = sorted(furthest.values(), key=lambda n: (-n.depth, n.packet.number))
    if args.flow:
        shown = [n for n in shown if args.flow in _ends(n, ready.descriptions)]
    rest = max(0, len(shown) - _MAX_FLOWS) if not args.all else 0
    for note in shown if args.all else shown[:_MAX_FLOWS]:
        print("\n".join(_lines(note, ready.descriptions)))
    if rest:
        print(f"... and {rest} more flows (--all prints them)")
    print(f"{matched} alerts, {len(furthest)} flows looked at")
    return 0 if matched else 1
