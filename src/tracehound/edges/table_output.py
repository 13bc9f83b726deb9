"""In: a question over the tables, a format, a place. Out: the answer written there, a batch at a time.
Never here: what to ask, or words for a report.

Text from evidence is hostile: control characters never reach a terminal as they are."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final

import pyarrow as pa

from tracehound.errors import UsageError
from tracehound.tables import ALL

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from tracehound.edges.duck import Duck

FORMATS: Final = ("table", "csv", "tsv", "jsonl", "zeek", "parquet")
STDOUT: Final = "-"
_ROWS: Final = 20_000
_GROUP: Final = 16_384
"""Rows that are worth a group of their own in a Parquet file that is written as they come."""
_REPEATING: Final = {
    column.name
    for table in ALL.values()
    for column in table.columns
    if pa.types.is_dictionary(column.type) or column.type in (pa.uint8(), pa.int32())
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Text with control and direction-changing characters written out."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


@contextmanager
def opened(target: str) -> Iterator[IO[bytes]]:
    """The place to write to: '-' is standard output; a file is written beside its name first, so none is left half done."""
    if target == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.exists() and not path.is_file():
        # A device or a pipe (/dev/null, /dev/stdout, a process substitution) is written to, never replaced.
        try:
            with path.open("wb") as out:
                yield out
        except OSError as problem:
            raise UsageError(f"cannot write {target}: {problem.strerror}") from None
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    except OSError as problem:
        raise UsageError(f"cannot write {target}: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def rfc3339_sql(name: str) -> str:
    """SQL for a time as RFC 3339 text with nanoseconds. (DuckDB's own %n pads wrongly when text follows it.)"""
    return (
        f"(strftime({name}::TIMESTAMP_NS, '%Y-%m-%dT%H:%M:%S') || '.' || "
        f"lpad((epoch_ns({name}) % 1000000000)::VARCHAR, 9, '0') || 'Z')"
    )


def _quoted(field: pa.Field) -> str:
    """The column's name in SQL; that of a computed column may hold quotes itself."""
    name: str = field.name
    return '"' + name.replace('"', '""') + '"'


def _as_text(field: pa.Field) -> str:
    """SQL that turns one column into text: RFC 3339 times, escaped bytes, JSON lists."""
    name = _quoted(field)
    if pa.types.is_timestamp(field.type):
        return f"{rfc3339_sql(name)} AS {name}"
    if pa.types.is_list(field.type):
        return f"to_json({name})::VARCHAR AS {name}"
    return f"{name}::VARCHAR AS {name}"


def _json_value(field: pa.Field) -> str:
    name = _quoted(field)
    if pa.types.is_timestamp(field.type):
        return f"{rfc3339_sql(name)} AS {name}"
    if pa.types.is_binary(field.type):
        return f"{name}::VARCHAR AS {name}"
    return name


def _batches(duck: Duck, sql: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from duck.stream(f"SELECT {', '.join(columns)} FROM ({sql})", _ROWS)


def _write_jsonl(duck: Duck, sql: str, schema: pa.Schema, out: IO[bytes]) -> None:
    values = ", ".join(_json_value(f) for f in schema)
    for batch in duck.stream(f"SELECT to_json(one_row)::VARCHAR AS line FROM (SELECT {values} FROM ({sql})) one_row", _ROWS):
        out.write("".join(f"{line}\n" for line in batch.column(0).to_pylist()).encode())


def _write_separated(separator: str) -> Callable[[Duck, str, pa.Schema, IO[bytes]], None]:
    def write(duck: Duck, sql: str, schema: pa.Schema, out: IO[bytes]) -> None:
        class _Lines:
            def write(self, text: str) -> int:
                return out.write(text.encode("utf-8", "surrogateescape"))

        writer = csv.writer(_Lines(), delimiter=separator, lineterminator="\n")
        writer.writerow(schema.names)
        for batch in _batches(duck, sql, [_as_text(f) for f in schema]):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))

    return write


def _write_parquet(duck: Duck, sql: str, schema: pa.Schema, out: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    # A dictionary is made where values repeat; where they do not (numbers of flows, times) it would cost more than writing.
    repeating = [name for name in schema.names if name in _REPEATING]
    with pq.ParquetWriter(out, schema, compression="zstd", use_dictionary=repeating) as writer:
        for batch in duck.stream(sql, _ROWS * 4):
            writer.write_batch(batch)


class ParquetRows:
    """A Parquet file that is written as rows come, as the database would give them: texts rather than numbers of texts, every column
    nullable. Use as a context manager: the file has its name once that ends well."""

    def __init__(self, schema: pa.Schema, target: str) -> None:
        """schema   of the rows; the file is begun when the first come, or at the end"""
        self._schema = pa.schema([field.with_nullable(True) for field in schema])
        self._target = target
        self._open = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self._held_rows = 0

    def add(self, rows: pa.Table) -> None:
        """Append rows: they are held until they fill a group of rows."""
        self._held.append(rows)
        self._held_rows += rows.num_rows
        if self._held_rows >= _GROUP:
            self._write()

    def _write(self) -> None:
        if self._writer is None:
            import pyarrow.parquet as pq

            repeating = [field.name for field in self._schema if field.name in _REPEATING or pa.types.is_dictionary(field.type)]
            out = self._open.enter_context(opened(self._target))
            # Without Arrow's own schema beside Parquet's, a reader meets texts; dictionaries are only how they are stored.
            self._writer = self._open.enter_context(
                pq.ParquetWriter(out, self._schema, compression="zstd", use_dictionary=repeating, store_schema=False)
            )
        tables = [pa.table(rows.columns, schema=self._schema) for rows in self._held]
        if tables:
            whole = tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries()
            self._writer.write_table(whole, row_group_size=_ROWS * 4)
        self._held.clear()
        self._held_rows = 0

    def __enter__(self) -> ParquetRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._write()
        self._open.__exit__(kind, value, trace)


def _number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _write_table(duck: Duck, sql: str, schema: pa.Schema, out: IO[bytes]) -> None:
    """Columns side by side; widths come from the first batch, later longer values simply run over."""
    widths: list[int] = []
    right = [_number(f.type) for f in schema]
    for batch in _batches(duck, sql, [_as_text(f) for f in schema]):
        rows = [
            ["" if v is None else visible(v) for v in row]
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]
        if not widths:
            widths = [max(len(name), *(len(r[i]) for r in rows)) for i, name in enumerate(schema.names)]
            rows.insert(0, list(schema.names))
        for row in rows:
            cells = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(row, widths, right, strict=True))
            out.write(("  ".join(cells).rstrip() + "\n").encode("utf-8", "replace"))


_ZEEK_TYPES: Final[tuple[tuple[Callable[[pa.DataType], bool], str], ...]] = (
    (pa.types.is_timestamp, "time"),
    (pa.types.is_integer, "count"),
    (pa.types.is_floating, "interval"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_list, "vector[string]"),
)


def _zeek_type(field: pa.Field) -> str:
    if field.name.endswith(("_h", "_addr")):
        return "addr"
    if field.name.endswith("_p"):
        return "port"
    return next((name for is_kind, name in _ZEEK_TYPES if is_kind(field.type)), "string")


def _zeek_value(field: pa.Field) -> str:
    """Zeek's ASCII writer: '-' unset, '(empty)' empty, T/F, seconds with 6 decimals, separators escaped as \\xNN."""
    name = _quoted(field)
    if pa.types.is_timestamp(field.type):
        text = f"printf('%d.%06d', epoch_ns({name}) // 1000000000, epoch_ns({name}) % 1000000000 // 1000)"
    elif pa.types.is_boolean(field.type):
        text = f"CASE WHEN {name} THEN 'T' ELSE 'F' END"
    elif pa.types.is_floating(field.type):
        text = f"printf('%.6f', {name})"
    elif pa.types.is_list(field.type):
        text = f"array_to_string({name}, ',')"
    else:
        text = f"{name}::VARCHAR"
    escaped = f"replace(replace({text}, chr(9), '\\x09'), chr(10), '\\x0a')"
    return f"CASE WHEN {name} IS NULL THEN '-' WHEN {text} = '' THEN '(empty)' ELSE {escaped} END AS {name}"


def write_zeek(duck: Duck, sql: str, schema: pa.Schema, out: IO[bytes], path: str) -> None:
    """Zeek's TSV log: header lines, rows, `#close`."""
    out.write(
        (
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"
            f"#path\t{path}\n#fields\t" + "\t".join(schema.names) + "\n#types\t" + "\t".join(map(_zeek_type, schema)) + "\n"
        ).encode()
    )
    for batch in _batches(duck, sql, [_zeek_value(f) for f in schema]):
        lines = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        out.write("".join("\t".join(line) + "\n" for line in lines).encode())
    out.write(b"#close\n")


_WRITERS: Final[dict[str, Callable[[Duck, str, pa.Schema, IO[bytes]], None]]] = {
    "jsonl": _write_jsonl,
    "csv": _write_separated(","),
    "tsv": _write_separated("\t"),
    "parquet": _write_parquet,
    "table": _write_table,
}


def write_answer(duck: Duck, sql: str, form: str, target: str, *, zeek_path: str | None = None) -> None:
    """Run `sql` and write the answer to `target` as `form`. Raises UsageError for bad SQL, format or place."""
    schema = duck.schema(sql)
    if form == "zeek":
        if zeek_path is None:
            raise UsageError("--format zeek is for flows, http and dns")
        with opened(target) as out:
            write_zeek(duck, sql, schema, out, zeek_path)
        return
    with opened(target) as out:
        _WRITERS[form](duck, sql, schema, out)
