"""In: nothing. Out: the options that verbs share, spelled and explained once, and what they mean for reading evidence.
Never here: a verb."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracehound.edges.progress import progress_line
from tracehound.edges.reading import PassOn, Reading, read
from tracehound.edges.table_output import FORMATS, STDOUT, write_answer
from tracehound.errors import UsageError
from tracehound.pipeline import Wanted
from tracehound.protocols.session import Keep

if TYPE_CHECKING:
    from tracehound.flowlogs.reader import Options
    from tracehound.packets.bpf_machine import Filter

EXIT_PARTLY: Final = 4


def parser(verb: str, summary: str) -> argparse.ArgumentParser:
    """A parser for one verb; wrong usage ends with status 2."""
    return argparse.ArgumentParser(prog=f"tracehound {verb}", description=summary, allow_abbrev=False)


def add_evidence(p: argparse.ArgumentParser) -> None:
    """EVIDENCE... and how packets are taken."""
    p.add_argument(
        "evidence", nargs="+", metavar="EVIDENCE",
        help="capture file, folder, or - for standard input; a capture filter may follow, as with tcpdump: tcp port 80",
    )  # fmt: skip
    p.add_argument("--bpf", metavar="EXPR", help="take only packets that this capture filter lets pass (see docs/filter.md)")
    p.add_argument(
        "-k", dest="checksums", choices=("none", "all", "auto"), default="none",
        help="verify checksums: none (default; hosts that offload leave them wrong), all (bad ones are left out), "
        "auto (as none: nothing is left out silently)",
    )  # fmt: skip
    p.add_argument(
        "--year", type=int, metavar="YYYY",
        help="of the first line of logs whose lines tell no year (default: the latest before the file was written)",
    )  # fmt: skip
    p.add_argument("--utc-offset", metavar="+HH:MM", help="zone of logs whose times tell none (default: UTC); =-HH:MM west of it")
    p.add_argument(
        "--log-columns", metavar="NAME=TITLE,...",
        help="which columns of delimited text say what: src=client,dst=server,start=when; numbers from 1 where there is no title line",
    )  # fmt: skip
    p.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on standard error")


def add_output(p: argparse.ArgumentParser, more_formats: Sequence[str] = ()) -> None:
    """--where, --columns, --format, -o."""
    p.add_argument("--where", metavar="SQL", help="only rows for which this SQL condition holds, e.g. \"dport = 80\"")
    p.add_argument("--columns", metavar="A,B,...", help="only these columns, in this order")
    add_format(p, more_formats)


def add_format(p: argparse.ArgumentParser, more_formats: Sequence[str] = ()) -> None:
    forms = (*FORMATS, *more_formats)
    p.add_argument(
        "--format", choices=forms, metavar="FORMAT", help=f"{', '.join(forms)} (default: table on a terminal, jsonl in a pipe or file)"
    )
    p.add_argument("-o", "--output", default=STDOUT, metavar="FILE", help="write to FILE (- is standard output)")


def chosen_format(args: argparse.Namespace) -> str:
    """The format asked for, else a table for people and JSON lines for programs."""
    if args.format:
        return str(args.format)
    return "table" if args.output == STDOUT and sys.stdout.isatty() else "jsonl"


def reading_of(
    args: argparse.Namespace,
    *,
    packets: bool = False,
    records: bool = True,
    transactions: bool = False,
    tables: frozenset[str] | None = None,
    hashes: bool = False,
    file_details: bool = False,
    link_addresses: bool = False,
    keep: Keep | None = None,
    flows_to: PassOn | None = None,
) -> Reading:
    """Read the evidence that the command line names, with progress on a terminal."""
    evidence, expression = evidence_and_filter(args)
    wanted = Wanted(
        packets=packets, records=records, transactions=transactions, tables=tables,
        verify_checksums=args.checksums == "all", file_details=file_details, link_addresses=link_addresses, only=_compiled(expression),
    )  # fmt: skip
    with progress_line(quiet=args.quiet) as progress:
        return read(
            evidence, wanted=wanted, hashes=hashes, progress=progress, keep=keep, flows_to=flows_to, log_options=log_options(args)
        )


_ZONE: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_YEARS: Final = range(1970, 2262)


def log_options(args: argparse.Namespace) -> Options | None:
    """What the command line says of flow logs that do not say it themselves."""
    if args.year is None and args.utc_offset is None and args.log_columns is None:
        return None
    from tracehound.flowlogs.delimited_titles import TITLES
    from tracehound.flowlogs.reader import Options

    if args.year is not None and args.year not in _YEARS:
        raise UsageError(f"--year: {args.year} is not between {_YEARS.start} and {_YEARS.stop - 1}")
    zone = _ZONE.fullmatch(args.utc_offset or "+00:00")
    if zone is None or int(zone[2]) > 14 or int(zone[3]) > 59:
        raise UsageError(f"--utc-offset: {args.utc_offset!r} is no distance from UTC such as +12:00 or -05:30")
    seconds = (int(zone[2]) * 60 + int(zone[3])) * 60
    columns: dict[str, str] = {}
    for part in args.log_columns.split(",") if args.log_columns else ():
        name, sign, title = part.partition("=")
        if not sign or not title or name.strip() not in TITLES:
            raise UsageError(f"--log-columns: {part!r} is not NAME=TITLE with one of the names {', '.join(TITLES)}")
        columns[name.strip()] = title.strip()
    return Options(columns=columns, utc_offset_s=-seconds if zone[1] == "-" else seconds, year=args.year)


def evidence_and_filter(args: argparse.Namespace) -> tuple[list[str], str | None]:
    """The paths of the command line, and the capture filter that follows them or that --bpf gives.

    The filter begins at the first word behind a path that is no path itself and looks like one word of a filter, or like neither:
    a name with a dot or a slash in it is a file that is missing, and evidence that is missing is said so."""
    words: list[str] = args.evidence
    if len(words) == 1:
        return words, args.bpf
    from tracehound.packets.bpf_grammar import begins_filter

    for at, word in enumerate(words[1:], 1):
        if word == STDOUT or Path(word).exists():
            if begins_filter(word) and not args.quiet:
                print(f"tracehound: {word!r} is taken as evidence, because it exists; --bpf takes a filter", file=sys.stderr)
            continue
        if begins_filter(word) or not any(c in word for c in "./"):
            expression = " ".join(words[at:])
            return words[:at], f"({args.bpf}) and ({expression})" if args.bpf else expression
    return words, args.bpf


def _compiled(expression: str | None) -> Filter | None:
    if expression is None:
        return None
    from tracehound.packets.bpf_machine import compiled

    return compiled(expression)


def warn_of_damage(reading: Reading, *, quiet: bool) -> int:
    """Name every file that was read in part only; returns the exit status that this calls for."""
    if not quiet:
        for file in reading.files:
            if file.damage is not None:
                print(f"tracehound: {file.path}: {file.damage}", file=sys.stderr)
    return EXIT_PARTLY if reading.damaged else 0


def print_table(
    args: argparse.Namespace, reading: Reading, base: str, *, key: str, terminal_columns: str, zeek: tuple[str, str] | None,
    zeek_group: str = "",
) -> int:  # fmt: skip
    """Print one table as the command line asks: `base` is the SQL that gives all its columns and `file`; rows that have
    `zeek_group` in common are one line of Zeek's log."""
    form = chosen_format(args)
    # SQL written by a user is met by a database that can reach nothing but these tables.
    duck = reading.duck()
    duck.lock()
    columns = args.columns or (terminal_columns if form == "table" else "*")
    where = f" WHERE ({args.where}\n)" if args.where else ""
    if form == "zeek" and zeek is not None:
        group = f" GROUP BY {zeek_group} ORDER BY min(ts)" if zeek_group else ""
        sql = f"SELECT {zeek[1]} FROM (SELECT * FROM ({base}){where} ORDER BY {key}) t{group}"
    else:
        sql = f"SELECT {columns} FROM ({base}){where} ORDER BY {key}"
    write_answer(duck, sql, form, args.output, zeek_path=zeek[0] if zeek else None)
    return warn_of_damage(reading, quiet=args.quiet)
