"""In: the first lines of a text file. Out: which kind of a host's records it is, and its events. START HERE for host evidence.
Never here: a format (one file a family), opening a file (edges/case_intake.py).

A kind is one line of KINDS: how it is recognised, and who reads it. They are tried in order, the most particular first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import pyarrow as pa

from tracehound.hostlogs import antivirus, listings, processes, timelines, windows_events
from tracehound.hostlogs.event import Bad, Context, Event, Lines, Reader
from tracehound.protocols.session import rows_table
from tracehound.tables import HOST_EVENTS

FIRST_LINES: Final = 60
"""Lines that a kind is told from."""
_MAX_BAD_KEPT: Final = 20
_ROWS: Final = 20_000


class Kind(NamedTuple):
    """`told` looks at one line; `share` of the first lines that are not empty must be told so (0: one suffices)."""

    name: str
    told: Callable[[str], bool]
    read: Reader
    share: float = 0.0


KINDS: Final[tuple[Kind, ...]] = (
    Kind("l2t-csv", timelines.is_l2t, timelines.l2t),
    Kind("plaso-csv", timelines.is_plaso_csv, timelines.plaso_csv),
    Kind("plaso-json", timelines.is_plaso_json, timelines.plaso_json, 0.6),
    Kind("mactime", timelines.is_mactime, timelines.mactime),
    Kind("bodyfile", timelines.is_body, timelines.body, 0.6),
    Kind("windows-events-xml", windows_events.is_xml, windows_events.xml),
    Kind("windows-events-csv", windows_events.is_csv, windows_events.csv_export),
    Kind("process-list", processes.is_processes, processes.processes),
    Kind("connection-list", processes.is_connections, processes.connections),
    Kind("dir-listing", listings.is_dir, listings.dir_listing),
    Kind("ls-listing", listings.is_ls, listings.ls, 0.4),
    Kind("find-listing", listings.is_find, listings.find, 0.6),
    Kind("clamav", antivirus.is_clamav, antivirus.clamav, 0.3),
    Kind("defender", antivirus.is_defender, antivirus.defender, 0.1),
)
BY_NAME: Final[dict[str, Kind]] = {k.name: k for k in KINDS}


def kind_of(first: Sequence[str]) -> Kind | None:
    """The kind of records that begin with these lines; None where it is none that is known."""
    lines = [line for line in first[:FIRST_LINES] if line.strip()]
    for kind in KINDS:
        told = sum(kind.told(line) for line in lines)
        if told and told >= kind.share * len(lines):
            return kind
    return None


@dataclass(slots=True)
class Events:
    """The rows of one file, and what could not be read: the first causes with their lines, and how many in all."""

    table: pa.Table
    bad: list[Bad] = field(default_factory=list)
    bad_count: int = 0


def events(read: Reader, lines: Lines, context: Context, *, source: str, skew_ns: int = 0, first_id: int = 1) -> Events:
    """All events of one file as table `host_events`.

    skew_ns   how far the host's clock was ahead; it is taken off"""
    out = Events(HOST_EVENTS.schema.empty_table())
    parts: list[pa.Table] = []
    rows: list[tuple[Any, ...]] = []
    number = first_id
    for item in read(lines, context):
        if isinstance(item, Bad):
            out.bad_count += 1
            if len(out.bad) < _MAX_BAD_KEPT:
                out.bad.append(item)
            continue
        rows.append(_row(item, number, source, skew_ns))
        number += 1
        if len(rows) >= _ROWS:
            parts.append(_table(rows))
            rows = []
    parts.append(_table(rows))
    out.table = pa.concat_tables(parts).unify_dictionaries()
    return out


def _row(e: Event, number: int, source: str, skew_ns: int) -> tuple[Any, ...]:
    ts_ns = None if e.ts_ns is None or not -(2**63) < e.ts_ns - skew_ns < 2**63 else e.ts_ns - skew_ns
    return (
        number, source, e.line, ts_ns, e.ts_ns, e.time_kind, e.kind, e.path, e.process, e.pid, e.user, e.size, e.md5, e.sha256,
        e.peer, e.peer_port, e.detection, e.message, e.note,
    )  # fmt: skip


def _table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return rows_table(HOST_EVENTS, rows)
