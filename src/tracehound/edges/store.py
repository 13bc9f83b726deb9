"""In: finished rows of tables, a few thousand at a time. Out: the same tables whole: in memory while they are small, as
Parquet files in a work folder once they are not. Never here: SQL (duck.py) or what the rows mean."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa

from tracehound import limits
from tracehound.tables import ALL

_ROW_GROUP: Final = 65_536
"""Rows of a spilled table that are read back at once."""


class Store:
    """The tables of one run. Use as a context manager: the work folder goes with it."""

    def __init__(self, *, memory_bytes: int = limits.STORE_MEMORY_BYTES, folder: Path | None = None) -> None:
        """folder   where to spill (default: a temporary folder, removed by `close`)"""
        self._memory_bytes = memory_bytes
        self._given = folder
        self._parts: dict[str, list[pa.Table]] = {}
        self._held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, list[Path]] = {}

    @property
    def folder(self) -> Path:
        """The work folder, made when it is first needed."""
        if self._given is not None:
            return self._given
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tracehound-")
        return Path(self._folder.name)

    def add(self, name: str, rows: pa.Table) -> None:
        """Append rows; spills everything held once the bound is passed."""
        if rows.num_rows == 0:
            return
        self._parts.setdefault(name, []).append(rows)
        self._held += rows.nbytes
        if self._held > self._memory_bytes:
            for table in list(self._parts):
                self._spill(table)
            self._held = 0

    def _spill(self, name: str) -> None:
        import pyarrow.parquet as pq

        files = self._files.setdefault(name, [])
        path = self.folder / f"{name}-{len(files):05d}.parquet"
        pq.write_table(self._memory(name), path, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
        files.append(path)
        self._parts.pop(name)

    def _memory(self, name: str) -> pa.Table:
        parts = self._parts.get(name, [])
        if not parts:
            return ALL[name].schema.empty_table()
        return pa.concat_tables(parts).unify_dictionaries()

    def whole(self, name: str) -> pa.Table | list[Path]:
        """The table: Arrow where all of it is in memory, otherwise the Parquet files that hold it."""
        if name not in self._files:
            return self._memory(name)
        if name in self._parts:
            self._spill(name)
        return self._files[name]

    def pieces(self, name: str) -> Iterator[pa.Table]:
        """All rows in the order in which they were added, some at a time."""
        import pyarrow.parquet as pq

        for path in self._files.get(name, []):
            with pq.ParquetFile(path) as file:
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number).cast(ALL[name].schema)
        yield from self._parts.get(name, [])

    def rewrite(self, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Change rows that were added before; `change` gives back the same table where it has nothing to do."""
        import pyarrow.parquet as pq

        self._parts[name] = [change(part) for part in self._parts.get(name, [])]
        for path in self._files.get(name, []):
            before = pq.read_table(path, schema=ALL[name].schema)
            after = change(before)
            if after is not before:
                pq.write_table(after, path, compression="zstd", compression_level=1)

    def adopt(self, name: str, files: list[Path]) -> None:
        """Files that another store spilled are a part of the table."""
        self._files.setdefault(name, []).extend(files)

    def all_files(self) -> dict[str, list[Path]]:
        """Spill everything; the files of each table."""
        for name in list(self._parts):
            self._spill(name)
        return self._files

    def close(self) -> None:
        """Forget everything and remove the work folder."""
        self._parts.clear()
        self._files.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
