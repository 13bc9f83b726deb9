"""In: a table of a case, and how it is to be sorted, filtered, paged; a row's key; a user's SQL. Out: rows as JSON values.
Never here: what a row means. The database is locked: no file, no setting, no network; time and rows are bounded."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import pyarrow as pa

from tracehound import limits
from tracehound.edges.case_paging import END, Filter, Paging, bounded
from tracehound.edges.case_runs import duck_of, tables_of
from tracehound.edges.evidence import read_stretches
from tracehound.errors import UsageError
from tracehound.report.visible import as_text, hex_lines, preview
from tracehound.tables import ALL
from tracehound.web.page import Ask, NotFound, Page, Param
from tracehound.web.pages.overview import facts

PAGING: Final = Paging()
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


def _shown_as(name: str, kind: pa.DataType) -> str:
    """The SQL of a column as the pages show it: times as text with their nanoseconds."""
    return f"strftime(\"{name}\"::TIMESTAMP_NS, '%Y-%m-%dT%H:%M:%S.%n') || 'Z'" if pa.types.is_timestamp(kind) else f'"{name}"'


def _filters(ask: Ask, columns: dict[str, pa.DataType]) -> Filter:
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
    return Filter(" AND ".join(terms), parameters)


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


MAIN: Final[dict[str, tuple[str, ...]]] = {
    "flows": ("flow_id", "start", "end", "proto", "src", "sport", "dst", "dport", "service", "conn_state", "outcome", "pkts_src",
              "pkts_dst", "bytes_src", "bytes_dst", "history"),
    "packets": ("packet_id", "ts", "src", "sport", "dst", "dport", "proto", "tcp_flags", "payload_len", "wirelen", "ttl", "flow_id",
                "decode_note"),
    "http": ("txn_id", "flow_id", "ts", "src", "dst", "dport", "method", "host", "uri", "user_agent", "referer", "status",
             "content_type", "response_bytes", "note"),
    "dns": ("txn_id", "flow_id", "ts", "src", "dst", "query", "qtype", "rcode", "answers", "note"),
    "records": ("record_id", "flow_id", "source", "start", "end", "proto_name", "src", "sport", "dst", "dport", "pkts_src", "pkts_dst",
                "bytes_src", "bytes_dst", "state"),
}  # fmt: skip
"""Columns of wide tables that a page shows unless others are asked for (those that the table has)."""
ALL_COLUMNS: Final = "*"


def _columns(ask: Ask, name: str, columns: dict[str, pa.DataType]) -> list[str]:
    """Which columns are wanted. Raises UsageError."""
    wanted = ask.query.get("columns", "")
    if wanted == ALL_COLUMNS or (not wanted and name not in MAIN):
        return list(columns)
    if not wanted:
        return [c for c in MAIN[name] if c in columns]
    named = list(dict.fromkeys(c.strip() for c in wanted.split(",") if c.strip()))
    for c in named:
        if c not in columns:
            raise UsageError(f"columns: there is no column {c[:80]!r}")
    return named or list(columns)


def _place(ask: Ask, name: str) -> int | None:
    return ask.number(name, 0) if ask.query.get(name) else None


def table(ask: Ask) -> dict[str, Any]:
    """One page of one table of the newest run."""
    name = ask.path["table"]
    with ask.case() as case:
        files = tables_of(case)
        top = facts(case)
    if name not in files:
        raise NotFound(f"the case has no table {name!r}; it has {', '.join(sorted(files)) or 'none'}")
    size, offset = ask.number("size", limits.PAGE_ROWS, least=1, most=limits.MAX_PAGE_ROWS), ask.number("offset", 0)
    sort, descending = ask.query.get("sort", ""), ask.query.get("order", "asc") == "desc"
    before: int | str | None = END if ask.query.get("before") == END else _place(ask, "before")
    with PAGING.tables({name: files[name]}) as tables:
        columns = tables.columns(name)
        if sort and sort not in columns:
            raise UsageError(f"sort: there is no column {sort!r}")
        shown = _columns(ask, name, columns)
        page = tables.page(
            name, {c: _shown_as(c, columns[c]) for c in shown}, _filters(ask, columns), sort=sort, descending=descending, size=size,
            offset=offset, after=_place(ask, "after"), before=before,
        )  # fmt: skip
    if before == END:
        offset = page.total - page.rows.num_rows
    described = {c.name: c.meaning for c in ALL[name].columns} if name in ALL else {}
    return {
        "case": top, "table": name,
        "columns": [{"name": c, "type": str(columns[c]), "says": described.get(c, "")} for c in shown],
        "rows": [[value(r[c]) for c in shown] for r in page.rows.to_pylist()], "total": page.total, "offset": offset, "size": size,
        "sort": sort, "order": "desc" if descending else "asc", "filters": {k: v for k, v in ask.query.items() if "." in k},
        "all_columns": list(columns), "places": list(page.places), "tables": sorted(files), "comparisons": list(COMPARED),
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
            select = ", ".join(f'{_shown_as(c, t)} AS "{c}"' for c, t in columns.items())
            found = bounded(duck, f'SELECT {select} FROM "{name}" WHERE "{by}" = $key LIMIT 1', {"key": int(key)}).to_pylist()
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
            "of_the_same_flow": others, "flow_id": flow_id if "packets" in tables_of(case) else None,
        }  # fmt: skip


def wire(ask: Ask) -> dict[str, Any]:
    """The payload of one flow as it went over the wire, packet by packet in both directions, read from the evidence itself."""
    key = ask.path["key"]
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise NotFound(f"{key!r} is no number of a flow")
    with ask.case() as case:
        top, files = facts(case), tables_of(case)
    if "packets" not in files:
        raise NotFound("the newest investigation kept no packets: investigate captures (again)")
    with PAGING.tables({n: files[n] for n in ("packets", "flows", "evidence")}) as tables:
        flow = bounded(tables.duck, "SELECT src, sport, dst, dport, proto FROM flows WHERE flow_id = $key", {"key": int(key)}).to_pylist()
        if not flow:
            raise NotFound(f"there is no flow {key}")
        packets = bounded(
            tables.duck, "SELECT packet_id, evidence_id, frame, strftime(ts::TIMESTAMP_NS, '%Y-%m-%dT%H:%M:%S.%n') || 'Z' AS ts, "
            "src, sport, seq, payload_offset, least(payload_len, caplen) AS n FROM packets WHERE flow_id = $key AND payload_len > 0 "
            f"AND payload_offset IS NOT NULL ORDER BY packet_id LIMIT {limits.FLOW_PACKETS_SHOWN + 1}", {"key": int(key)},
        ).to_pylist()  # fmt: skip
        paths = {r["evidence_id"]: r["path"] for r in bounded(tables.duck, "SELECT evidence_id, path FROM evidence").to_pylist()}
    cut = len(packets) > limits.FLOW_PACKETS_SHOWN
    packets, room = packets[: limits.FLOW_PACKETS_SHOWN], limits.FLOW_BYTES_SHOWN
    for p in packets:
        p["n"], room = min(p["n"], room), max(0, room - p["n"])
    cut, packets = cut or room == 0, [p for p in packets if p["n"] > 0]
    data: dict[int, bytes] = {}
    for evidence_id, path in paths.items():
        mine = [p for p in packets if p["evidence_id"] == evidence_id]
        found = read_stretches(path, [(p["payload_offset"], p["n"]) for p in mine], most_passed=limits.MAX_PASSED_BYTES) if mine else []
        data |= {p["packet_id"]: d for p, d in zip(mine, found, strict=True)}
    end = (flow[0]["src"], flow[0]["sport"])
    return {
        "case": top, "key": key, "flow": flow[0], "cut": cut,
        "packets": [
            {"packet_id": p["packet_id"], "frame": p["frame"], "ts": p["ts"], "from_originator": (p["src"], p["sport"]) == end,
             "seq": p["seq"], "payload": value(data[p["packet_id"]]), "hex": list(hex_lines(data[p["packet_id"]], most_lines=128)),
             "text": _shown(data[p["packet_id"]]) if as_text(data[p["packet_id"]]) is not None else None}
            for p in packets
        ],
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
    Param("offset", "integer", "rows to leave out; beside `after` or `before` only what the page says of its place"),
    Param("after", "integer", "the page behind this row (one of `places`)"),
    Param("before", "string", "the page before this row; end: the last page"),
    Param("columns", "string", "columns, with commas between them; * is all"),
    Param("size", "integer", f"rows of a page, 1 to {limits.MAX_PAGE_ROWS}"),
)  # fmt: skip
PAGES: Final = (
    Page("/cases/{number}/tables/{table}", "Table", table, "table.html", _PAGED),
    Page("/cases/{number}/tables/{table}/{key}", "Row", row, "row.html"),
    Page("/cases/{number}/flows/{key}/wire", "Bytes on the wire", wire, "wire.html"),
    Page("/cases/{number}/sql", "SQL", sql, "sql.html", (Param("q", "string", "one SELECT over the case's tables", long=True),)),
)
