"""In: tables of a case as Parquet files; filters, an order, a place. Out: one page of rows, and how many rows there are in all.
Never here: what a row means, or a user's SQL (case_runs.duck_of makes a database for that).

Made for tables of ten million rows. A page is found in two steps: the places of its rows (file and row number), for which only the
columns of filter and order are read; then those rows, from the row groups that hold them. Pages follow each other by the place of
their last row (keyset paging), so that the thousandth page costs what the first does. Databases stay open between requests, and
counts of rows are remembered: a file that a case's log names never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

import pyarrow as pa

from tracehound import limits
from tracehound.edges.duck import Duck
from tracehound.errors import UsageError

END: Final = "end"
"""As `before`: the last page."""
_FILE_SHIFT: Final = 40
_HIDDEN: Final = ("file_row_number", "file_index")

T = TypeVar("T")
Files = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """`sql` compares columns with $parameters, and nothing else."""

    sql: str = ""
    parameters: Mapping[str, object] | None = None

    def key(self) -> tuple[object, ...]:
        return self.sql, tuple(sorted((self.parameters or {}).items()))


@dataclass(frozen=True, slots=True)
class Page:
    """`places` names each row (for `after` and `before`); `total` counts the rows that fit the filter."""

    rows: pa.Table
    places: tuple[int, ...]
    total: int


def bounded(duck: Duck, sql: str, parameters: Mapping[str, object] | None = None, seconds: float = limits.SQL_TIME_S) -> pa.Table:
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


class Paging:
    """The open tables of some cases. Safe for many threads: each request has a connection of its own."""

    def __init__(self, most_open: int = 4) -> None:
        self._most = most_open
        self._open: OrderedDict[Files, Duck] = OrderedDict()
        self._known: OrderedDict[tuple[object, ...], object] = OrderedDict()
        self._guard = threading.Lock()

    @contextmanager
    def tables(self, tables: Mapping[str, Sequence[Path]]) -> Iterator[OpenTables]:
        """The tables of one case, opened or still open."""
        files: Files = tuple((name, tuple(str(p) for p in paths)) for name, paths in sorted(tables.items()))
        with self._guard:
            duck = self._open.get(files)
            if duck is None:
                duck = self._open[files] = _opened(files)
                while len(self._open) > self._most:
                    # Not closed by hand: a request may still read from it. It closes when the last connection goes.
                    self._open.popitem(last=False)
            self._open.move_to_end(files)
            mine = duck.beside()
        try:
            yield OpenTables(mine, dict(files), self)
        finally:
            mine.close()

    def remember(self, key: tuple[object, ...], ask: Callable[[], T]) -> T:
        """An answer that is asked for once: what is kept in a case's files does not change."""
        with self._guard:
            known = self._known.get(key)
        if known is None:
            known = ask()
            with self._guard:
                self._known[key] = known
                while len(self._known) > limits.MAX_REMEMBERED_COUNTS:
                    self._known.popitem(last=False)
        return cast("T", known)


def _opened(files: Files) -> Duck:
    duck = Duck()
    paths = [p for _, several in files for p in several]
    if paths:
        duck.allow_files(paths)
    for name, several in files:
        duck.register_numbered(name, several)
    duck.lock()
    return duck


@dataclass(slots=True)
class OpenTables:
    """The tables of one case for one request."""

    duck: Duck
    files: dict[str, tuple[str, ...]]
    paging: Paging

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """The table's columns with their types."""
        return self.paging.remember(
            ("columns", self.files[table]),
            lambda: {f.name: f.type for f in self.duck.schema(f'SELECT * FROM "{table}"') if f.name not in _HIDDEN},
        )

    def place(self, table: str) -> str:
        """The SQL that names a row of a table: its row number, above it the number of its file where there are several."""
        several = len(self.files[table]) > 1
        return f"((file_index::BIGINT << {_FILE_SHIFT}) | file_row_number)" if several else "file_row_number"

    def total(self, table: str, where: Filter) -> int:
        """How many rows fit."""
        sql = f'SELECT count(*) AS n FROM "{table}"{_where(where.sql)}'
        key = ("total", self.files[table], *where.key())
        return self.paging.remember(key, lambda: int(bounded(self.duck, sql, where.parameters)["n"][0].as_py()))

    def page(
        self, table: str, select: Mapping[str, str], where: Filter, *, sort: str = "", descending: bool = False, size: int = 100,
        offset: int = 0, after: int | None = None, before: int | str | None = None,
    ) -> Page:  # fmt: skip
        """One page of a table.

        select           name -> SQL of each column that is wanted
        sort             column; '' is the order in which rows were made. Rows without a value come last either way.
        after, before    the place of the row that the page follows, or stands before (END: the last page); else `offset` rows are left
                         out
        Raises UsageError."""
        total = self.total(table, where)
        places = self._places(table, where, sort, descending, size, offset, after, before, total)
        return Page(self._rows(table, select, places), tuple(places), total)

    def _places(
        self, table: str, where: Filter, sort: str, descending: bool, size: int, offset: int, after: int | None, before: int | str | None,
        total: int,
    ) -> list[int]:  # fmt: skip
        place = self.place(table)
        backwards = before is not None
        if before == END:
            size, offset, from_place = (total % size or size), 0, None
        else:
            from_place = after if after is not None else None if before is None else int(before)
        if not sort and not where.sql and len(self.files[table]) == 1:
            # Rows as they lie: their numbers need no look-up.
            first = total - size if before == END else from_place - size if backwards and from_place is not None else offset
            first = after + 1 if after is not None else first
            return list(range(max(first, 0), max(0, min(first + size, total))))
        terms = [where.sql] if where.sql else []
        parameters = dict(where.parameters or {})
        if from_place is not None:
            offset = 0
            terms.append(self._beyond(table, sort, descending, backwards, from_place, parameters))
        order = [f'"{sort}" {"DESC" if descending != backwards else "ASC"} NULLS {"FIRST" if backwards else "LAST"}'] if sort else []
        order.append(f"{place} {'DESC' if backwards else 'ASC'}")
        found: list[int] = bounded(
            self.duck, f'SELECT {place} AS place FROM "{table}"{_where(" AND ".join(terms))} ORDER BY {", ".join(order)} '
            f"LIMIT {size} OFFSET {offset}", parameters,
        )["place"].to_pylist()  # fmt: skip
        return found[::-1] if backwards else found

    def _beyond(self, table: str, sort: str, descending: bool, backwards: bool, at: int, parameters: dict[str, object]) -> str:
        """What holds of the rows behind (before) the row at a place. Adds to `parameters`."""
        place, further = self.place(table), "<" if backwards else ">"
        parameters["at"] = at
        if not sort:
            return f"{place} {further} $at"
        got = bounded(
            self.duck, f'SELECT "{sort}"::VARCHAR AS v, typeof("{sort}") AS t FROM "{table}" WHERE {place} = $at', {"at": at}
        ).to_pylist()  # fmt: skip
        if not got:
            raise UsageError("after, before: there is no such row")
        tied = f"{place} {further} $at"
        if got[0]["v"] is None:  # those without a value stand last
            return f'("{sort}" IS NOT NULL OR {tied})' if backwards else f'("{sort}" IS NULL AND {tied})'
        parameters["last"] = got[0]["v"]
        value = f"CAST($last AS {got[0]['t']})"
        compared = "<" if descending != backwards else ">"
        beyond = f'"{sort}" {compared} {value} OR ("{sort}" = {value} AND {tied})'
        return f"({beyond})" if backwards else f'({beyond} OR "{sort}" IS NULL)'

    def _rows(self, table: str, select: Mapping[str, str], places: Sequence[int]) -> pa.Table:
        """The rows at some places, in that order."""
        place = self.place(table)
        columns = ", ".join(f'{sql} AS "{name}"' for name, sql in select.items())
        rows = bounded(self.duck, f'SELECT {columns}, {place} AS " place" FROM "{table}" WHERE {_at(place, places)}')
        nth = {p: i for i, p in enumerate(places)}
        order = sorted(range(rows.num_rows), key=lambda i: nth[rows[" place"][i].as_py()])
        return rows.take(pa.array(order, pa.int64())).drop_columns([" place"])


def _at(place: str, places: Sequence[int]) -> str:
    if not places:
        return "false"
    if places[-1] - places[0] == len(places) - 1:
        return f"{place} BETWEEN {places[0]} AND {places[-1]}"
    return f"{place} IN ({', '.join(map(str, places))})"


def _where(sql: str) -> str:
    return f" WHERE {sql}" if sql else ""
