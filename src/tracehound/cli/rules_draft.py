"""In: evidence, and which of its flows are malicious. Out: a rule for them, or why none is written; optionally tried at once.
Never here: how a rule is drafted (lab/)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError

SUMMARY: Final = "Draft a rule for the malicious flows of evidence, weighed against all its other traffic."


def main(argv: list[str]) -> int:
    """`tracehound rules draft`. Exit status 1 where no rule was written."""
    p = options.parser("rules draft", SUMMARY)
    p.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="capture file or folder with the malicious flows")
    p.add_argument("--finding", metavar="ID", help="the finding that the rule is for (default: the strongest of the verdict)")
    p.add_argument("--flows", metavar="SQL", help="the malicious flows, as a condition on table flows: \"src = '10.0.0.5' AND dport = 80\"")
    p.add_argument("--benign", action="append", default=[], metavar="EVIDENCE", help="further harmless traffic; may be given again")
    p.add_argument("--family", metavar="NAME", help="name of the malware (default: as identified)")
    p.add_argument("--sid", type=int, metavar="N", help="first sid (default: the next of the register, from 1000001)")
    p.add_argument("--register", metavar="FILE", help="file that keeps the sids this site has given away")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write the rules to FILE (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no notes on standard error")
    args = p.parse_intermixed_args(argv)
    if args.finding and args.flows:
        raise UsageError("rules draft: --finding and --flows exclude each other")
    from tracehound.edges import rule_lab
    from tracehound.edges.sid_register import next_sid, record
    from tracehound.lab.draft import Draft

    register = Path(args.register) if args.register else None
    sid = args.sid if args.sid is not None else next_sid(register)
    if not 1 <= sid < 2**31:
        raise UsageError(f"--sid: {sid} is not between 1 and {2**31 - 1}")
    got = rule_lab.draft(args.evidence, finding=args.finding, flows=args.flows, benign=args.benign, family=args.family, sid=sid)
    written = [r for r in got.results if isinstance(r, Draft)]
    if register is not None:
        record(register, {d.sid: d.text for d in written})
    with opened(args.output) as out:
        if args.json:
            rows = [{"rule": r.text, "sid": r.sid, "samples": r.samples, "notes": list(r.notes)} if isinstance(r, Draft)
                    else {"refused": r.why, "needs": r.needs, "kind": r.kind, "samples": r.samples} for r in got.results]  # fmt: skip
            out.write((json.dumps({"drafts": rows, "samples": got.samples, "others": got.others}, indent=2) + "\n").encode())
        else:
            out.write("".join(d.text + "\n" for d in written).encode("utf-8", "replace"))
    if not args.quiet and not args.json:
        print(f"{got.samples:,} malicious requests, weighed against {got.others:,} others", file=sys.stderr)
        for r in got.results:
            if isinstance(r, Draft):
                for note in r.notes:
                    print(f"sid {r.sid}: {note}", file=sys.stderr)
            else:
                print(f"no rule for {r.samples} requests like {r.kind}: {r.why}; it would take {r.needs}", file=sys.stderr)
    return 0 if written else 1
