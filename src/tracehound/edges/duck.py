"""In: Arrow tables and Parquet files, and SQL. Out: Arrow tables. The one gate to DuckDB.
Never here: what to ask (detectors/, findings/).

The database lives in memory, spills to the work folder, never loads an extension, and sees no file but those registered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import duckdb
import pyarrow as pa

from tracehound import limits
from tracehound.detectors.catalog import part_name
from tracehound.errors import UsageError

_CONFIG: Final[dict[str, str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "preserve_insertion_order": "false",
}


def _quoted(path: str | Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


_ROWS_GATHERED: Final = 60_000
_PARTS_AT_ONCE: Final = 16
"""Parts that are written at once: each holds a writer with its buffers. For more, the table is read again."""
_ROWS_WAITING: Final = 1_000_000
"""Rows of all parts together that wait for the row group of their part to be full."""


class Duck:
    """An in-process DuckDB with named tables. Not shared between threads."""

    def __init__(
        self,
        *,
        memory_bytes: int = limits.DUCKDB_MEMORY_BYTES,
        work_folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        """`work_folder` is where DuckDB spills (none: nothing is spilled); `threads` None leaves the choice to DuckDB."""
        config: dict[str, str | bool | int | float | list[str]] = {
            **_CONFIG,
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": str(work_folder or ""),
        }
        if threads is not None:
            config["threads"] = str(threads)
        self._connection = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET parquet_metadata_cache = true")
        self._locked = False
        self._work_folder = work_folder

    def register(self, name: str, data: pa.Table | Sequence[str | Path]) -> None:
        """Make `data` (an Arrow table, or Parquet files of one schema) available as table `name`."""
        if isinstance(data, pa.Table):
            self._connection.register(name, data)
            return
        if self._locked:
            raise UsageError(f"{name}: files cannot be added once the database is locked")
        files = ", ".join(map(_quoted, data))
        self._connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM read_parquet([{files}])')

    def register_numbered(self, name: str, paths: Sequence[str | Path]) -> None:
        """Make Parquet files available as table `name` with two more columns, `file_index` and `file_row_number`: the place of a row."""
        if self._locked:
            raise UsageError(f"{name}: files cannot be added once the database is locked")
        files = ", ".join(map(_quoted, paths))
        self._connection.execute(
            f'CREATE OR REPLACE VIEW "{name}" AS SELECT *, file_index FROM read_parquet([{files}], file_row_number = true)'
        )

    def beside(self) -> Duck:
        """Another connection to the same tables, locked as this one is, for another thread."""
        other = object.__new__(Duck)
        other._connection, other._locked = self._connection.cursor(), self._locked
        other._work_folder = self._work_folder
        return other

    def divide(self, name: str, parts: int, without: Sequence[str] = ()) -> None:
        """Lay the rows of table `name` out as tables `part_name(name, 0 ... parts - 1)` in the work folder, each source (`src`) in one
        of them, without the columns `without`. Tables that are made from here on lie in a file of the work folder, too: compressed,
        and in memory only while they are read."""
        if self._work_folder is None:
            raise UsageError(f"{name}: there is no work folder to lay it out in")
        folder = self._work_folder / f"{name}-parts"
        folder.mkdir()
        self._connection.execute(f"ATTACH {_quoted(self._work_folder / 'divided.duckdb')} AS divided")
        self._connection.execute("SET search_path = 'divided,memory'")
        self._connection.execute(f"SET partitioned_write_max_open_files = {_PARTS_AT_ONCE + 1}")
        # Rows that each thread gathers before it writes some of each part: more would not fit.
        self._connection.execute(f"SET partitioned_write_flush_threshold = {_ROWS_GATHERED}")
        left_out = f" EXCLUDE ({', '.join(without)})" if without else ""
        for begin in range(0, parts, _PARTS_AT_ONCE):
            self._connection.execute(
                f'COPY (SELECT *{left_out}, CAST(hash(src) % {parts} AS INTEGER) AS part FROM "{name}" '
                f"WHERE hash(src) % {parts} BETWEEN {begin} AND {begin + _PARTS_AT_ONCE - 1}) TO {_quoted(folder / str(begin))} "
                f"(FORMAT parquet, PARTITION_BY (part), COMPRESSION zstd, COMPRESSION_LEVEL 1, "
                f"ROW_GROUP_SIZE {_ROWS_WAITING // _PARTS_AT_ONCE})"
            )
        for part in range(parts):
            files = sorted(folder.glob(f"*/part={part}/*.parquet"))
            rows = f"read_parquet([{', '.join(map(_quoted, files))}], hive_partitioning = false)"
            if not files:
                rows = f'(SELECT *{left_out} FROM "{name}" LIMIT 0)'
            self._connection.execute(f"CREATE VIEW memory.main.{part_name(name, part)} AS SELECT * FROM {rows}")

    def allow_files(self, paths: Sequence[str | Path]) -> None:
        """Keep these files readable after `lock` (those in the work folder are readable anyway)."""
        listed = ", ".join(map(_quoted, paths))
        self._connection.execute(f"SET allowed_paths = [{listed}]")

    def lock(self) -> None:
        """From here on SQL reaches no file, no setting and no network: needed before a user's SQL is run."""
        if self._locked:
            return
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._locked = True

    def ask(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run one statement. Parameters are named ($name). Raises UsageError with DuckDB's own words."""
        try:
            relation = self._connection.sql(sql, params=dict(parameters) if parameters else None)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as cause:
            raise UsageError(f"SQL: {cause}") from None

    def schema(self, sql: str) -> pa.Schema:
        """The columns that a query gives, without running it. Raises UsageError."""
        return self.ask(f"SELECT * FROM ({sql}) LIMIT 0").schema

    def stream(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and hand its answer over some `rows` at a time. Raises UsageError."""
        try:
            yield from self._connection.sql(sql).to_arrow_reader(rows)
        except duckdb.Error as cause:
            raise UsageError(f"SQL: {cause}") from None

    def interrupt(self) -> None:
        """Stop what is being asked, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._connection.close()

    def __enter__(self) -> Duck:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
