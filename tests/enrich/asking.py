"""In: rows of the tables flows, dns, http and capture_notes as dicts. Out: an `ask` over them. Never here: a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tracehound import tables
from tracehound.edges.duck import Duck


def ask_over(**rows: list[dict[str, Any]]):
    """Each row names the columns that matter; the others get a harmless value."""
    duck = Duck(threads=1)
    for table in (tables.FLOWS, tables.DNS, tables.HTTP, tables.NOTES):
        given = rows.get(table.name, [])
        arrays = [
            pa.array([row.get(c.name, None if c.nullable else _filler(c.type)) for row in given], _plain(c.type))
            for c in table.columns
        ]
        duck.register(table.name, pa.Table.from_arrays(arrays, names=table.names))

    def ask(sql: str, parameters: Mapping[str, object]) -> pa.Table:
        return duck.ask(sql, parameters)

    return ask


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _filler(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return False
    return 0 if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) else "x"


def flow(src: str, dst: str, **more: Any) -> dict[str, Any]:
    return {"src": src, "dst": dst, "proto": 6, "sport": 1024, "dport": 80, "outcome": "answered", **more}
