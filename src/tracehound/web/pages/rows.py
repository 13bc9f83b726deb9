"""In: a table of a case, and how it is to be sorted, filtered, paged; a row's key; a user's SQL. Out: rows as JSON values.
Never here: what a row means. The database is locked: no file, no setting, no network; time and rows are bounded."""

from __future__ import annotations

import base64
import math
import threading
from typing import Any, Final

import pyarrow as pa

from tracehound import limits
from tracehound.edges.case_runs import duck_of, tables_of
from tracehound.edges.duck import Duck
from tracehound.errors import UsageError
from tracehound.report.visible import preview
from tracehound.tables import ALL
from tracehound.web.page import Ask, NotFound, Page, Param
from tracehound.web.pages.overview import facts

COMPARED: Final[dict[str, str]] = {
    "eq": "{c} = $v{n}", "ne": "{c} IS DISTINCT FROM $v{n}", "lt": "{c} < $v{n}", "ge": "{c} >= $v{n}",
    "has": "contains(lower({c}::VARCHAR), lower($v{n}))", "null": "{c} IS NULL", "notnull": "{c} IS NOT NULL",
}  # fmt: skip
"""Comparisons of a filter `column.comparison=value`."""
_MOST_FILTERS: Final = 12


def value(item: Any) -> Any:
    """A cell as JSON has it: bytes as base64 under a name of their own, times as RFC 3339, lists as lists."""
    if isinstance(item, bytes):
        return {"base64": base64.b64encode(item).decode("ascii"), "bytes": len(item)}
    if isinstance(item, list):
        return [value(x) for x in item]
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if item is None or isinstance(item, bool | int | str):
        return item
    return str(item)


def _selected(name: str, columns: dict[str, pa.DataType]) -> str:
    """All columns, times as text with their nanoseconds."""
    shown = [
        f"strftime(\"{c}\"::TIMESTAMP_NS, '%Y-%m-%dT%H:%M:%S.%n') || 'Z' AS \"{c}\"" if pa.types.is_timestamp(t) else f'"{c}"'
        for c, t in columns.items()
    ]
    return f'SELECT {", ".join(shown)} FROM "{name}"'


def bounded(duck: Duck, sql: str, parameters: dict[str, object] | None = None, seconds: float = limits.SQL_TIME_S) -> pa.Table:
    """Run SQL for so long at most. Raises UsageError."""
    timer = threading.Timer(seconds, duck.interrupt)
    timer.start()
    try:
        return duck.ask(sql, parameters)
    except UsageError as cause:
        if "interrupt" in str(cause).lower():
            raise UsageError(f"SQL: took longer than {seconds:.0f} s") from None
        raise
    finally:
        timer.cancel()


def _filters(ask: Ask, columns: dict[str, pa.DataType]) -> tuple[str, dict[str, object]]:
    terms: list[str] = []
    parameters: dict[str, object] = {}
    for key, text in ask.query.items():
        column, dot, how = key.rpartition(".")
        if not dot or column not in columns:
            if dot:
                raise UsageError(f"{key}: there is no column {column!r}")
            continue
        if how not in COMPARED:
            raise UsageError(f"{key}: {how!r} is none of {', '.join(COMPARED)}")
        terms.append(COMPARED[how].format(c=f'"{column}"', n=len(terms)))
        if "$v" in terms[-1]:
            parameters[f"v{len(terms) - 1}"] = _typed(text, columns[column], how, key)
    if len(terms) > _MOST_FILTERS:
        raise UsageError(f"more than {_MOST_FILTERS} filters")
    return (" WHERE " + " AND ".join(terms) if terms else ""), parameters


def _typed(text: str, kind: pa.DataType, how: str, key: str) -> object:
    if how == "has" or pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return text
    try:
        if pa.types.is_integer(kind):
            number = int(text)
            if not -(2**63) <= number < 2**63:
                raise ValueError
            return number
        if pa.types.is_floating(kind):
            return float(text)
    except ValueError:
        raise UsageError(f"{key}: {text!r} is no number") from None
    return {"true": True, "false": False}.get(text.lower(), text) if pa.types.is_boolean(kind) else text


def table(ask: Ask) -> dict[str, Any]:
    """One page of one table of the newest run."""
    name = ask.path["table"]
    with ask.case() as case:
        if name not in tables_of(case):
            raise NotFound(f"the case has no table {name!r}; it has {', '.join(sorted(tables_of(case))) or 'none'}")
        size = ask.number("size", limits.PAGE_ROWS, least=1, most=limits.MAX_PAGE_ROWS)
        offset = ask.number("offset", 0)
        with duck_of(case) as duck:
            columns = {f.name: f.type for f in duck.schema(f'SELECT * FROM "{name}"')}
            where, parameters = _filters(ask, columns)
            sort, descending = ask.query.get("sort", ""), ask.query.get("order", "asc") == "desc"
            if sort and sort not in columns:
                raise UsageError(f"sort: there is no column {sort!r}")
            order = f' ORDER BY "{sort}" {"DESC" if descending else "ASC"} NULLS LAST' if sort else ""
            total = bounded(duck, f'SELECT count(*) AS n FROM "{name}"{where}', parameters).to_pylist()[0]["n"]
            # The page's rows are found by one column, and only they are read whole.
            inner = f'(SELECT * FROM "{name}"{where}{order} LIMIT {size} OFFSET {offset})'
            rows = bounded(duck, _selected(name, columns).replace(f'FROM "{name}"', f"FROM {inner} t"), parameters).to_pylist()
        described = {c.name: c.meaning for c in ALL[name].columns} if name in ALL else {}
        return {
            "case": facts(case), "table": name,
            "columns": [{"name": c, "type": str(t), "says": described.get(c, "")} for c, t in columns.items()],
            "rows": [[value(r[c]) for c in columns] for r in rows], "total": total, "offset": offset, "size": size, "sort": sort,
            "order": "desc" if descending else "asc", "filters": {k: v for k, v in ask.query.items() if "." in k},
            "tables": sorted(tables_of(case)), "comparisons": list(COMPARED),
        }  # fmt: skip


KEYS: Final = ("txn_id", "flow_id", "packet_id", "event_id", "evidence_id")
"""Columns that name a row, first come."""


def row(ask: Ask) -> dict[str, Any]:
    """One row with all it holds, bytes as hex and text; and what else the case knows of its flow."""
    name, key = ask.path["table"], ask.path["key"]
    with ask.case() as case:
        if name not in tables_of(case):
            raise NotFound(f"the case has no table {name!r}")
        if not key.isascii() or not key.isdigit() or len(key) > 18:
            raise NotFound(f"{key!r} is no number of a row")
        with duck_of(case) as duck:
            columns = {f.name: f.type for f in duck.schema(f'SELECT * FROM "{name}"')}
            by = next((k for k in KEYS if k in columns), None)
            if by is None:
                raise NotFound(f"rows of {name} have no key")
            found = bounded(duck, f'{_selected(name, columns)} WHERE "{by}" = $key LIMIT 1', {"key": int(key)}).to_pylist()
            if not found:
                raise NotFound(f"{name} has no row {key}")
            flow_id = found[0].get("flow_id")
            others = {}
            for other in sorted(set(tables_of(case)) - {name}) if flow_id is not None else ():
                fields = [f.name for f in duck.schema(f'SELECT * FROM "{other}"')]
                if "flow_id" in fields and (other_key := next((k for k in KEYS if k in fields), None)):
                    sql = f'SELECT "{other_key}" AS key FROM "{other}" WHERE flow_id = $flow LIMIT 50'
                    keys = [r["key"] for r in bounded(duck, sql, {"flow": flow_id}).to_pylist()]
                    if keys:
                        others[other] = keys
        described = {c.name: c.meaning for c in ALL[name].columns} if name in ALL else {}
        return {
            "case": facts(case), "table": name, "key": key,
            "fields": [{"name": c, "value": value(v), "says": described.get(c, ""), "shown": _shown(v)} for c, v in found[0].items()],
            "of_the_same_flow": others,
        }  # fmt: skip


def _shown(item: Any) -> list[str] | None:
    """Bytes as lines of text, or of hex and text."""
    return list(preview(item.decode("latin-1"), width=76, most_lines=64).lines) if isinstance(item, bytes) else None


def sql(ask: Ask) -> dict[str, Any]:
    """A user's SQL over the case's tables."""
    statement = ask.query.get("q", "").strip().rstrip(";")
    with ask.case() as case:
        tables = sorted(tables_of(case))
        out: dict[str, Any] = {"case": facts(case), "q": statement, "tables": tables, "columns": [], "rows": [], "cut": False}
        if statement:
            with duck_of(case) as duck:
                found = bounded(duck, f"SELECT * FROM ({statement}\n) LIMIT {limits.SQL_ROWS + 1}")
            out["columns"] = found.column_names
            out["rows"] = [[value(x) for x in r.values()] for r in found.slice(0, limits.SQL_ROWS).to_pylist()]
            out["cut"] = found.num_rows > limits.SQL_ROWS
        return out


_PAGED: Final = (
    Param("sort", "string", "column to sort by"), Param("order", "string", "asc or desc", ("asc", "desc")),
    Param("offset", "integer", "rows to leave out"), Param("size", "integer", f"rows of a page, 1 to {limits.MAX_PAGE_ROWS}"),
)  # fmt: skip
PAGES: Final = (
    Page("/cases/{number}/tables/{table}", "Table", table, "table.html", _PAGED),
    Page("/cases/{number}/tables/{table}/{key}", "Row", row, "row.html"),
    Page("/cases/{number}/sql", "SQL", sql, "sql.html", (Param("q", "string", "one SELECT over the case's tables", long=True),)),
)
