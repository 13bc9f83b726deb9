"""In: evidence and one SQL statement. Out: the answer, printed. Never here: tables; `tracehound sql EVIDENCE` lists them."""

from __future__ import annotations

from typing import Final

from tracehound.cli import options
from tracehound.edges.table_output import write_answer

SUMMARY: Final = "Ask the tables of captures with SQL (DuckDB's dialect); without SQL, list the tables and their columns."
_TABLES: Final = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY table_name, ordinal_position"
)


def main(argv: list[str]) -> int:
    """`tracehound sql`."""
    p = options.parser("sql", SUMMARY)
    options.add_evidence(p)
    p.add_argument("-c", "--command", metavar="SQL", help="the statement (default: the last argument if it is not a file)")
    options.add_format(p)
    args = p.parse_intermixed_args(argv)
    statement = args.command
    if statement is None and len(args.evidence) > 1 and " " in args.evidence[-1].strip():
        # tracehound sql FILE... "SELECT ...": a statement has spaces and a verb in front; a file so named can use -c.
        statement = args.evidence.pop()
    with options.reading_of(
        args, packets="packets" in (statement or "packets"), transactions=True, file_details="files" in (statement or "")
    ) as reading:
        duck = reading.duck()
        duck.lock()
        write_answer(duck, statement or _TABLES, options.chosen_format(args), args.output)
        return options.warn_of_damage(reading, quiet=args.quiet)
