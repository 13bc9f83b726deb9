"""In: evidence. Out: its flows, printed. Never here: how a flow comes about."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from tracehound.cli import options
from tracehound.edges.evidence import EvidenceFile
from tracehound.edges.flow_output import BINARY, WRITERS, write_flows_as
from tracehound.edges.reading import Reading
from tracehound.edges.table_output import STDOUT, ParquetRows
from tracehound.errors import UsageError
from tracehound.tables import FLOWS

SUMMARY: Final = "Print the flows of captures and flow logs: who talked to whom, how it began and ended, how it fared."
_SQL: Final = "SELECT f.*, e.path AS file FROM flows f JOIN evidence e USING (evidence_id)"
_TERMINAL: Final = (
    "strftime(start::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%g') AS start, proto, src, sport, dst, dport, service, "
    "pkts_src, pkts_dst, payload_src, payload_dst, conn_state, history, outcome"
)
_PROTO: Final = "CASE proto WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' WHEN 1 THEN 'icmp' WHEN 58 THEN 'icmp' ELSE 'unknown_transport' END"
_ZEEK: Final = (
    'start AS ts, printf(\'C%017d\', flow_id) AS uid, src AS "id.orig_h", sport AS "id.orig_p", dst AS "id.resp_h", '
    f'dport AS "id.resp_p", {_PROTO} AS proto, service, '
    '(epoch_ns("end") - epoch_ns(start)) / 1e9 AS duration, payload_src AS orig_bytes, payload_dst AS resp_bytes, conn_state, '
    "missed AS missed_bytes, history, pkts_src AS orig_pkts, bytes_src AS orig_ip_bytes, pkts_dst AS resp_pkts, "
    "bytes_dst AS resp_ip_bytes, community_id"
)


_SCHEMA: Final = FLOWS.schema.append(pa.field("file", pa.dictionary(pa.int32(), pa.string())))


def _with_file(files: Sequence[EvidenceFile], flows: pa.Table) -> pa.Table:
    """What _SQL asks for; no database is needed for that."""
    path_of = {file.evidence_id: file.path for file in files}
    # Without Arrow's functions of computing, whose loading takes as long as reading 100,000 packets.
    number = flows["evidence_id"].to_numpy()
    used = np.flatnonzero(np.bincount(number))
    paths = pa.array([path_of[n] for n in used.tolist()], pa.string())
    return flows.append_column(_SCHEMA.field("file"), pa.DictionaryArray.from_arrays(np.searchsorted(used, number).astype(np.int32), paths))


def main(argv: list[str]) -> int:
    """`tracehound flows`."""
    p = options.parser("flows", SUMMARY)
    options.add_evidence(p)
    options.add_output(p, tuple(WRITERS))
    p.add_argument(
        "--no-service", action="store_true", help="do not look at payload (column service stays empty; faster)"
    )
    args = p.parse_intermixed_args(argv)
    if args.format == "parquet" and not args.where and not args.columns:
        return _parquet(args)
    with options.reading_of(args, transactions=not args.no_service and args.format not in WRITERS, records=False) as reading:
        if args.format in WRITERS:
            return _write_as(args, reading)
        return options.print_table(args, reading, _SQL, key="flow_id", terminal_columns=_TERMINAL, zeek=("conn", _ZEEK))


def _parquet(args: argparse.Namespace) -> int:
    """All flows, some thousand at a time as they end: nothing is kept that can be written."""
    with ParquetRows(_SCHEMA, args.output) as out:
        reading = options.reading_of(
            args, transactions=not args.no_service, records=False, flows_to=lambda files, flows: out.add(_with_file(files, flows))
        )
        with reading:
            return options.warn_of_damage(reading, quiet=args.quiet)


def _write_as(args: argparse.Namespace, reading: Reading) -> int:
    """As other tools write theirs: whole flows, in order of time."""
    if args.columns:
        raise UsageError(f"--columns does not go with --format {args.format}: its columns are its own")
    if args.format in BINARY and args.output == STDOUT and sys.stdout.isatty():
        raise UsageError(f"--format {args.format} is binary: write it to a file (-o FILE) or into a pipe")
    duck = reading.duck()
    duck.lock()
    where = f" WHERE ({args.where}\n)" if args.where else ""
    write_flows_as(duck, f"SELECT * FROM ({_SQL}){where} ORDER BY start, flow_id", args.format, args.output)
    return options.warn_of_damage(reading, quiet=args.quiet)
