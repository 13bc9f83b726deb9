"""In: evidence. Out: the files that were transferred, printed as a table; on request their content, and YARA rules tried on it.
Never here: reading or writing of content (edges/extraction.py)."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracehound.cli import options

if TYPE_CHECKING:
    from tracehound.edges.extraction import Spill
    from tracehound.edges.reading import Reading

SUMMARY: Final = "Print files that were transferred, whatever the protocol; extract them, try YARA rules on them."
_BASE: Final = "SELECT t.*, e.path AS file FROM files t JOIN flows f USING (flow_id) JOIN evidence e USING (evidence_id)"
_TERMINAL: Final = (
    "strftime(ts::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%g') AS ts, src, dst, service, sent_by_src, name, kind, bytes, sha256"
)
_ZEEK: Final = (
    "ts, printf('F%017d', txn_id) AS fuid, printf('C%017d', flow_id) AS uid, "
    'src AS "id.orig_h", sport AS "id.orig_p", dst AS "id.resp_h", dport AS "id.resp_p", upper(service) AS source, '
    "kind AS mime_type, name AS filename, sent_by_src AS is_orig, bytes AS seen_bytes, md5, sha256"
)


def _parser() -> argparse.ArgumentParser:
    p = options.parser("files", SUMMARY)
    options.add_evidence(p)
    options.add_output(p)
    p.add_argument("--extract", metavar="DIR",
                   help="write the content of the files printed into DIR (new or empty), with an index")  # fmt: skip
    p.add_argument("--yara", metavar="RULES", action="append", default=[],
                   help="try the YARA rules of this file on every file; may be repeated (needs tracehound[yara])")  # fmt: skip
    return p


def main(argv: list[str]) -> int:
    """`tracehound files`."""
    args = _parser().parse_intermixed_args(argv)
    if not args.extract and not args.yara:
        with options.reading_of(args, transactions=True, file_details=True) as reading:
            return _print(args, reading)
    from tracehound.edges.extraction import Spill, prepared_folder

    rules = None
    if args.yara:
        from tracehound.edges.yara import YaraRules

        # A wrong rule is told before gigabytes are read.
        rules = YaraRules(args.yara)
    folder = prepared_folder(args.extract) if args.extract else None
    with contextlib.ExitStack() as stack:
        spill = stack.enter_context(Spill(folder))
        reading = stack.enter_context(
            options.reading_of(args, transactions=True, file_details=True, keep=spill.keep)
        )
        if rules is not None:
            _try_rules(reading, spill, rules.matches)
            if rules.timeouts and not args.quiet:
                print(f"tracehound: YARA took too long over {rules.timeouts} files", file=sys.stderr)
        if folder is not None:
            _extract(args, reading, spill, folder)
        return _print(args, reading)


def _print(args: argparse.Namespace, reading: Reading) -> int:
    shown = _TERMINAL + (", array_to_string(yara, ' ') AS yara" if args.yara else "")
    return options.print_table(args, reading, _BASE, key="txn_id", terminal_columns=shown, zeek=("files", _ZEEK))


def _try_rules(reading: Reading, spill: Spill, matches: object) -> None:
    """Fill the column `yara`: names of rules, an empty list where none matches."""
    import pyarrow as pa

    from tracehound.limits import MAX_YARA_BYTES

    assert callable(matches)
    table = reading.table("files")
    known: dict[str, list[str]] = {}
    found: list[list[str]] = []
    for txn_id, digest in zip(table["txn_id"].to_pylist(), table["sha256"].to_pylist(), strict=True):
        if digest not in known:
            known[digest] = matches(spill.content(txn_id, MAX_YARA_BYTES))
        found.append(known[digest])
    at = table.schema.get_field_index("yara")
    field = table.schema.field(at)
    reading.register("files", table.set_column(at, field, pa.array(found, field.type)))


def _extract(args: argparse.Namespace, reading: Reading, spill: Spill, folder: Path) -> None:
    """Write the files for which --where holds."""
    from tracehound.edges.extraction import write_files
    from tracehound.edges.table_output import rfc3339_sql
    from tracehound.tables import FRAME_MASK

    duck = reading.duck()
    duck.lock()
    where = f" WHERE ({args.where}\n)" if args.where else ""
    rows = duck.ask(
        f"SELECT * REPLACE ({rfc3339_sql('ts')} AS ts), packet_id & {FRAME_MASK} AS frame FROM ({_BASE}){where} ORDER BY txn_id"
    ).to_pylist()
    written = write_files(rows, spill, folder)
    if not args.quiet:
        print(f"tracehound: {written} files written to {args.extract}", file=sys.stderr)
        if spill.left_out:
            print(f"tracehound: {spill.left_out} pieces of further files left out: too many files", file=sys.stderr)
