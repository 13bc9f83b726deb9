"""In: a case. Out: it exported, published, or the indicators of others taken in. Never here: a format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tracehound.cli.case import acting, parser
from tracehound.cli.case_entries import case_of
from tracehound.edges import case_export
from tracehound.edges.table_output import STDOUT, opened
from tracehound.errors import UsageError
from tracehound.report.archive import files


def export(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument(
        "--format", choices=tuple(case_export.FORMATS), metavar="FORMAT", default="markdown",
        help=f"{', '.join(case_export.FORMATS)} (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("-o", "--output", default=STDOUT, metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("--to", metavar="WHOM", help="who gets it: noted in the case's log")
    args = p.parse_intermixed_args(argv)
    with case_of(args) as case:
        made = case_export.export(case, args.format)
        if args.format == "pdf" and args.output == STDOUT and sys.stdout.isatty():
            raise UsageError("case export --format pdf: needs -o FILE")
        with opened(args.output) as out:
            out.write(made)
        case_export.share(case, args.who, args.format, args.to, Path(args.output).name, made)
    return 0


def publish(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("folder", metavar="DIR", help="new or empty folder for the archive")
    p.add_argument("--to", metavar="WHOM", help="who gets it: noted in the case's log")
    args = p.parse_intermixed_args(argv)
    folder = Path(args.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there and not empty")
    with case_of(args) as case:
        incident = case_export.incident_of(case)
        made = files(incident, case.rows("SELECT * FROM messages ORDER BY thread, sent_ns"))
        try:
            for path, text in made.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", errors="replace")
        except OSError as cause:
            raise UsageError(f"{folder}: {cause.strerror}") from None
        case_export.share(case, args.who, "archive", args.to, folder.name, json.dumps(made, sort_keys=True).encode("utf-8", "replace"))
    print(f"{len(made)} files: {folder / 'index.html'}")
    return 0


def take(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("files", nargs="+", metavar="FILE", help="STIX 2 bundle or MISP event, as JSON")
    args = p.parse_intermixed_args(argv)
    with case_of(args) as case:
        for file in args.files:
            form, new = case_export.take_indicators(case, args.who, Path(file))
            print(f"{file}: {form}, {new} new indicators")
        for s in case_export.sightings(case):
            print(f"seen in this case: {s['type']} {s['value']} ({s['rows']:,} rows of {s['table']})")
    return 0


VERBS: Final[dict[str, Callable[[str, str, list[str]], int]]] = {"export": export, "publish": publish, "import": take}
