"""In: a host and a port named on the command line. Out: whether it answers now, entered in a case if one is named.
Never here: hosts taken from evidence. This verb alone sends anything, and only to what its command line names."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from tracehound import limits
from tracehound.cli import options
from tracehound.cli.case import cases_folder
from tracehound.edges.casefile import Case, find_case
from tracehound.edges.clock import who
from tracehound.edges.recheck import HOWS, Answer, ask, check
from tracehound.errors import UsageError
from tracehound.findings.model import rfc3339

SUMMARY: Final = "Ask whether a site answers now: one connection, or one HEAD or GET. Sends to the named host only."


def main(argv: list[str]) -> int:
    """`tracehound recheck`. Exit status 1 where the site does not answer."""
    p = options.parser("recheck", SUMMARY)
    p.add_argument("host", metavar="HOST", help="address or name")
    p.add_argument("port", type=int, metavar="PORT", help="TCP port")
    p.add_argument("--how", choices=HOWS, default="connect", help="connect only (default), or one HEAD or GET request of /")
    p.add_argument("--case", metavar="CASE", help="enter every answer in this case")
    p.add_argument("--cases", metavar="DIR", help="folder of cases")
    p.add_argument("--as", dest="who", metavar="WHO", default=who(), help="who asks (default: %(default)s)")
    p.add_argument("--every", type=float, metavar="S", help=f"ask again every S seconds (at least {limits.RECHECK_LEAST_S:.0f})")
    p.add_argument("--times", type=int, default=1, metavar="N", help="how often to ask with --every (default: %(default)s)")
    p.add_argument(
        "--timeout", type=float, default=limits.RECHECK_TIMEOUT_S, metavar="S", help="seconds to wait (default: %(default)s)"
    )
    args = p.parse_intermixed_args(argv)
    check(args.host, args.port, args.how)
    if args.every is not None and args.every < limits.RECHECK_LEAST_S:
        raise UsageError(f"--every: at least {limits.RECHECK_LEAST_S:.0f} s lie between two questions")
    if not 0 < args.times <= limits.MAX_RECHECKS or (args.times > 1 and args.every is None):
        raise UsageError(f"--times: 1 to {limits.MAX_RECHECKS:,}, with --every")
    folder = find_case(cases_folder(args), args.case) if args.case else None
    answer = None
    for number in range(args.times):
        if number:
            time.sleep(args.every)
        answer = ask(args.host, args.port, args.how, timeout_s=args.timeout)
        _tell(args, folder, answer)
    return 0 if answer is not None and answer.outcome in ("accepted", "answered") else 1


def _tell(args: argparse.Namespace, folder: Path | None, a: Answer) -> None:
    shown = f"{rfc3339(a.asked_ns)[:19]}Z {args.host} port {args.port}: {a.outcome}" + (f" ({a.detail})" if a.detail else "")
    print(f"{shown}, {a.took_ms} ms", flush=True)
    if folder is None:
        return
    with Case(folder) as case:
        entry = case.act(
            args.who, "recheck",
            {
                "host": args.host, "port": args.port, "how": args.how, "outcome": a.outcome, "detail": a.detail or None,
                "asked_ns": a.asked_ns, "took_ms": a.took_ms,
            },
        )  # fmt: skip
    print(f"entered as {entry.seq}", file=sys.stderr)
