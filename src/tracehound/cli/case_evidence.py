"""In: files for a case. Out: them in custody; an investigation of all of them kept in the case. Never here: a format or a judgement."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tracehound.cli.case import acting, parser
from tracehound.cli.case_entries import case_of
from tracehound.edges.progress import progress_line
from tracehound.errors import EvidenceError, UsageError


def _files(paths: list[str]) -> list[Path]:
    """Files as named, folders as their files. Raises EvidenceError."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise EvidenceError(name, "no such file")
    return found


def _skew(text: str) -> float | str:
    return text if text == "estimate" else float(text)


def add(name: str, says: str, argv: list[str]) -> int:
    from tracehound.edges.case_intake import take

    p = parser(name, says)
    acting(p)
    p.add_argument("files", nargs="+", metavar="FILE", help="file or folder; its kind is told from content")
    p.add_argument("--copy", action="store_true", help="keep a read-only copy in the case (default: by reference)")
    p.add_argument("--note", help="where it comes from")
    p.add_argument("--host", metavar="ADDR|NAME", help="the host that a listing or log was made on")
    p.add_argument(
        "--skew", type=_skew, default=None, metavar="S|estimate",
        help="seconds that the host's clock was ahead (negative: behind); estimate: from files seen on the wire and on the disk",
    )  # fmt: skip
    p.add_argument("--tz", default="UTC", metavar="ZONE", help="time zone of listings that name none (default: %(default)s)")
    p.add_argument("--kind", help="treat the files as this kind instead of telling it from content")
    args = p.parse_intermixed_args(argv)
    files = _files(args.files)
    with case_of(args) as case:
        for path in files:
            taken = take(
                case, args.who, path, copy=args.copy, note=args.note, host=args.host, skew_s=args.skew, zone=args.tz, kind=args.kind
            )
            print(taken)
    return 0


def run(name: str, says: str, argv: list[str]) -> int:
    import ipaddress

    from tracehound.edges.case_runs import propose
    from tracehound.edges.case_runs import run as investigated
    from tracehound.pipeline import Question

    p = parser(name, says)
    acting(p)
    p.add_argument("--host", metavar="ADDR", help="only this host (default: the case's host)")
    p.add_argument("--home", metavar="NET", action="append", default=[], help="a home network (CIDR); may be repeated")
    p.add_argument("--evidence", metavar="N", type=int, action="append", help="only this piece of evidence; may be repeated (default: all)")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress")
    args = p.parse_intermixed_args(argv)
    for net in args.home:
        try:
            ipaddress.ip_network(net, strict=False)
        except ValueError:
            raise UsageError(f"--home: {net!r} is no network") from None
    with case_of(args) as case:
        question = Question(args.host or case.fact("host"), tuple(args.home))
        with progress_line(quiet=args.quiet) as progress:
            kept = investigated(case, args.who, question, progress=progress, evidence=args.evidence)
        propose(case, args.who, kept.verdict)
        print(kept.verdict.summary)
        print(f"run {kept.run_id}: {kept.folder}", file=sys.stderr)
    return 0


def rules(name: str, says: str, argv: list[str]) -> int:
    from tracehound.edges import case_rules

    p = parser(name, says)
    acting(p)
    p.add_argument("rules", nargs="?", metavar="RULES", help="file of rules to test (- reads standard input); without it rules are drafted")
    p.add_argument("--bundle", action="store_true", help="keep the rules of the newest test that held as a bundle to hand over")
    p.add_argument("--flows", default="", metavar="SQL", help="which flows are malicious (default: those of the strongest finding)")
    args = p.parse_intermixed_args(argv)
    if args.bundle and args.rules is not None:
        raise UsageError("case rules: --bundle takes the rules that held; test RULES first")
    with case_of(args) as case:
        if args.bundle:
            kept = case_rules.bundle(case, args.who)
        elif args.rules is None:
            kept = case_rules.draft(case, args.who)
            print(kept.text, end="")
        else:
            try:
                text = sys.stdin.read() if args.rules == "-" else Path(args.rules).read_text(encoding="utf-8", errors="replace")
            except OSError as cause:
                raise UsageError(f"{args.rules}: {cause.strerror}") from None
            kept = case_rules.test(case, args.who, text, args.flows)
            for x in kept.result["expectations"]:
                print(f"{'ok  ' if x['held'] else 'FAIL'}  {x['says']}: {x['found']}")
    print(f"entry {kept.rule_id}: {kept.says}", file=sys.stderr)
    return 0 if kept.result.get("held", True) else 1


VERBS: Final[dict[str, Callable[[str, str, list[str]], int]]] = {"add": add, "run": run, "rules": rules}
