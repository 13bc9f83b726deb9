"""In: what both sides of a flow say, turn by turn. Out: the rows that its reader gives, by table, as dicts. Never here: a test."""

import importlib
from itertools import pairwise
from typing import Any

from tracehound.protocols.session import Datagram, FlowEnds, rows_table
from tracehound.protocols.transactions import DATAGRAMS, STREAMS
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap
from tracehound.tables import ALL

ENDS = FlowEnds(7, "10.0.0.1", 4000, "192.0.2.1", 25)


def talk(service, turns, cuts=(), announced=None):
    """turns: (from client?, bytes or gap size). Returns rows by table."""
    module, _, name = STREAMS[service].partition(":")
    rows: dict[str, list[Any]] = {}
    session = None
    offset, gap = {True: 0, False: 0}, {True: 0, False: 0}
    for turn, (client, data) in enumerate(turns, 1):
        if isinstance(data, int):
            gap[client] += data
            offset[client] += data
            continue
        begin = offset[client]
        edges = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
        for a, b in pairwise(edges):
            if a == b:
                continue
            chunk = Chunk(7, client, data[a:b], begin + a, gap[client], SegmentMap([begin], [turn], [turn * 10]), 0)
            if session is None:
                session = getattr(importlib.import_module(module), name)(
                    ENDS, chunk, lambda table, row: rows.setdefault(table, []).append(row)
                )
            session.feed(chunk)
            if announced is not None:
                announced += session.expected
                session.expected.clear()
            gap[client] = 0
        offset[client] += len(data)
    if session is not None:
        session.close("")
    return {name: rows_of(name, some) for name, some in rows.items()}


def rows_of(name, rows):
    table = rows_table(ALL[name], rows)
    table.validate(full=True)
    columns = [c.cast("int64") if str(c.type).startswith("timestamp") else c for c in table.columns]
    return [dict(zip(table.column_names, v, strict=True)) for v in zip(*(c.to_pylist() for c in columns), strict=True)]


def datagrams(service, said, ends=ENDS):
    """said: (from originator?, datagram). Returns rows by table."""
    module, _, name = DATAGRAMS[service].partition(":")
    rows: dict[str, list[Any]] = {}
    reader = getattr(importlib.import_module(module), name)(lambda table, row: rows.setdefault(table, []).append(row))
    near, far = (ends.originator, ends.originator_port), (ends.responder, ends.responder_port)
    for number, (sent, data) in enumerate(said, 1):
        both = (*near, *far) if sent else (*far, *near)
        if reader.datagram(Datagram(ends.flow_id, sent, number * 10, number, *both, data, len(data))):
            break
    reader.end(ends.flow_id)
    return {name: rows_of(name, some) for name, some in rows.items()}
