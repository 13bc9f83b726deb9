"""In: the texts of the detectors (.sql files, passed in) and a function that runs SQL. Out: parsed pages and answers as
Arrow tables. Never here: reading the files (edges/packaged.py), thresholds (they are parameters on the pages), or what an
answer means (findings/).

A detector is one SQL query with its page on top, as comments:

    -- id: trw
    -- what: One sentence
    --   and its continuation, indented.
    -- parameter: min_targets = 10 (targets) what it means
    -- tables: contacts

`tables` names the tables of tables.py that the query reads, or other detectors, which are then put in front as common
table expressions. A table named under `optional` may be absent; the query then sees it empty.

`divided` says `src` where rows of one source never meet those of another: of large evidence such a query is asked once for each
part of the sources (DIVIDED, `part_name`), so that what it must hold in memory is bounded by the part, not by the evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from tracehound import tables
from tracehound.errors import RuleError, Unanswerable, UsageError

Ask = Callable[[str, Mapping[str, object]], pa.Table]
"""Runs one SQL statement with named parameters ($name) over the tables of the run."""

_REQUIRED: Final = ("id", "version", "title", "question", "what", "why", "look-alikes", "tables", "cannot", "source")
_OPTIONAL: Final = ("technique", "optional", "divided", "seen")
"""`seen` names public captures of what the detector looks for, in which it was found."""
_FIELD = re.compile(r"-- ([a-z-]+): ?(.*)$")
_CONTINUATION = re.compile(r"--   +(\S.*)$")
_PARAMETER = re.compile(r"([a-z][a-z0-9_]*) = (\S+) \(([^)]*)\) (.+)$")
_LEADING_WITH = re.compile(r"\s*WITH\s+", re.IGNORECASE)
_NAMED = re.compile(r"\$([a-z][a-z0-9_]*)")
_ALIAS = re.compile(r"\b[a-z]\.(?=[a-z])")
DIVIDED: Final = "flows"
"""The table that lies in parts, of which every source is in one, where the evidence is large."""


def part_name(name: str, part: int) -> str:
    """The table that holds one part of the rows of table `name`."""
    return f"{name}_p{part:04}"


_SQL_TYPES: Final[dict[pa.DataType, str]] = {
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "SMALLINT",
    pa.uint16(): "INTEGER",
    pa.uint32(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    pa.float64(): "DOUBLE",
    pa.binary(): "BLOB",
    tables.TS: "TIMESTAMP",
    tables.TEXT: "VARCHAR",
    tables.NAME: "VARCHAR",
    pa.list_(tables.TEXT): "VARCHAR[]",
    pa.list_(pa.uint32()): "BIGINT[]",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number or a word that a query takes, with its default, unit and meaning."""

    name: str
    default: int | float | str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector: its page and its query."""

    id: str
    version: int
    title: str
    question: str
    what: str
    why: str
    look_alikes: str
    parameters: tuple[Parameter, ...]
    tables: tuple[str, ...]
    optional: tuple[str, ...]
    divided: bool
    cannot: str
    source: str
    technique: str | None
    sql: str
    file: str
    seen: str | None = None

    @property
    def label(self) -> str:
        """Name and version, as findings cite it."""
        return f"{self.id} {self.version}"

    def default(self, name: str) -> int | float | str:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter.default
        raise UsageError(f"detector {self.id} has no parameter {name}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All detectors by id.

    materialised  those whose answer already stands as a table of that name
    parts         how many parts table DIVIDED, and the answers of divided detectors that stand as tables, lie in; 0 = undivided"""

    detectors: Mapping[str, Detector]
    materialised: frozenset[str] = field(default_factory=frozenset)
    parts: int = 0

    def __getitem__(self, name: str) -> Detector:
        try:
            return self.detectors[name]
        except KeyError:
            raise UsageError(f"no detector {name}; there are {', '.join(sorted(self.detectors))}") from None

    def reads(self) -> frozenset[str]:
        """Every table that some detector asks, as the pages name them."""
        named = {name for d in self.detectors.values() for name in (*d.tables, *d.optional)}
        return frozenset(named - set(self.detectors))

    def query(self, detector: Detector, available: Collection[str], part: int | None = None) -> str:
        """The whole query: detectors it builds on and absent optional tables in front as common table expressions; over one part
        of the sources where `part` is given. Raises Unanswerable when a table it needs is not there."""
        parts: list[str] = []
        done: set[str] = set()
        self._dependencies(detector, available, parts, done, part)
        if not parts:
            return detector.sql
        body, merged = _LEADING_WITH.subn("", detector.sql, count=1) if _opens_with(detector.sql) else (detector.sql, 0)
        joint = ",\n" if merged else "\n"
        return "WITH " + ",\n".join(parts) + joint + body

    def _dependencies(
        self, detector: Detector, available: Collection[str], parts: list[str], done: set[str], part: int | None
    ) -> None:
        for name in (*detector.tables, *detector.optional):
            if name in done:
                continue
            done.add(name)
            if part is not None and self._in_parts(name):
                parts.append(f"{name} AS (SELECT * FROM {part_name(name, part)})")
            elif name in self.materialised:
                continue
            elif name in self.detectors:
                inner = self.detectors[name]
                self._dependencies(inner, available, parts, done, part)
                parts.append(f"{name} AS (\n{inner.sql})")
            elif name in available:
                continue
            elif name in detector.optional:
                parts.append(f"{name} AS ({_empty(tables.ALL[name])})")
            else:
                raise Unanswerable(detector.question, f"the table {name}")

    def _in_parts(self, name: str) -> bool:
        return name == DIVIDED or (name in self.materialised and self.detectors[name].divided)

    def parameters(self, detector: Detector, overrides: Mapping[str, object]) -> dict[str, object]:
        """Every parameter that the composed query uses: defaults of the pages, then `overrides` on top."""
        values: dict[str, object] = {}
        stack, seen = [detector], set()
        while stack:
            one = stack.pop()
            if one.id in seen or (one is not detector and one.id in self.materialised):
                continue
            seen.add(one.id)
            values.update({p.name: p.default for p in one.parameters if one is detector or p.name not in values})
            stack += [self.detectors[n] for n in (*one.tables, *one.optional) if n in self.detectors]
        unknown = set(overrides) - set(values)
        if unknown:
            raise UsageError(f"detector {detector.id} has no parameter {', '.join(sorted(unknown))}")
        values.update(overrides)
        return values

    def run(self, name: str, ask: Ask, available: Collection[str] | None = None, **overrides: object) -> pa.Table:
        """The answer of one detector. `available` are the tables of the run (asked for when not given)."""
        detector = self[name]
        there = tables_of(ask) if available is None else available
        values = self.parameters(detector, overrides)
        if not self.parts:
            return ask(self.query(detector, there), values)
        ready = self._with_what_it_needs(detector, ask, there, values)
        if not detector.divided:
            return _asked(ask, ready.query(detector, there), values)
        head, order = _order(detector.sql)
        undivided = replace(detector, sql=head)
        # Of an answer the rows of all parts stand in one table.
        for part in range(self.parts):
            put = f"INSERT INTO answer_{name}" if part else f"CREATE OR REPLACE TABLE answer_{name} AS"
            _asked(ask, f"{put}\n{ready.query(undivided, there, part)}", values)
        return _asked(ask, f"SELECT * FROM answer_{name}\n{order}", values)

    def materialise(self, name: str, ask: Ask, available: Collection[str], **overrides: object) -> Catalog:
        """Keep the answer of one detector as a table of its name, and return the catalog that builds on it."""
        detector = self[name]
        return self._kept(detector, ask, available, self.parameters(detector, overrides))

    def _kept(self, detector: Detector, ask: Ask, available: Collection[str], values: Mapping[str, object]) -> Catalog:
        # An order means nothing to a table, and sorting would cost as much as all the rest.
        unordered = replace(detector, sql=_order(detector.sql)[0])
        name = detector.id
        if not self.parts:
            ask(f"CREATE OR REPLACE TEMPORARY TABLE {name} AS\n{self.query(unordered, available)}", values)
            return replace(self, materialised=self.materialised | {name})
        ready = self._with_what_it_needs(detector, ask, available, values)
        if detector.divided:
            for part in range(self.parts):
                _asked(ask, f"CREATE OR REPLACE TABLE {part_name(name, part)} AS\n{ready.query(unordered, available, part)}", values)
            every = " UNION ALL ".join(f"SELECT * FROM {part_name(name, part)}" for part in range(self.parts))
            ask(f"CREATE OR REPLACE VIEW {name} AS {every}", {})
        else:
            _asked(ask, f"CREATE OR REPLACE TABLE {name} AS\n{ready.query(unordered, available)}", values)
        return replace(self, materialised=self.materialised | {name})

    def _with_what_it_needs(
        self, detector: Detector, ask: Ask, available: Collection[str], values: Mapping[str, object]
    ) -> Catalog:
        """The catalog in which all detectors that this one builds on stand as tables."""
        ready = self
        for name in (*detector.tables, *detector.optional):
            if name in self.detectors and name not in ready.materialised:
                ready = ready._kept(self.detectors[name], ask, available, values)
        return ready


def tables_of(ask: Ask) -> frozenset[str]:
    """Names of the tables that can be asked."""
    return frozenset(ask("SELECT table_name FROM information_schema.tables", {})["table_name"].to_pylist())


def parse(text: str, file: str) -> Detector:
    """One detector from its text. Raises RuleError naming file and line for a malformed page."""
    fields: dict[str, str] = {}
    parameters: list[tuple[int, str]] = []
    current = ""
    lines = text.splitlines()
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.startswith("--"):
            break
        if found := _FIELD.match(line):
            current = found[1]
            if current == "parameter":
                parameters.append((number, found[2]))
            elif current not in _REQUIRED + _OPTIONAL:
                raise RuleError(file, number, f"unknown field '{current}'")
            elif current in fields:
                raise RuleError(file, number, f"field '{current}' twice")
            else:
                fields[current] = found[2].strip()
        elif (more := _CONTINUATION.match(line)) and current:
            if current == "parameter":
                parameters[-1] = (parameters[-1][0], f"{parameters[-1][1]} {more[1]}")
            else:
                fields[current] = f"{fields[current]} {more[1].strip()}".strip()
        else:
            raise RuleError(file, number, "neither a field ('-- name: text') nor its continuation ('--   text')")
    for name in _REQUIRED:
        if not fields.get(name):
            raise RuleError(file, number, f"the page has no '{name}'")
    if not fields["version"].isdigit():
        raise RuleError(file, number, "'version' is not a number")
    sql = "\n".join(lines[number - 1 :]).strip()
    if not sql or sql.startswith("--"):
        raise RuleError(file, number, "there is no query under the page")
    declared = tuple(_parameter(file, at, words) for at, words in parameters)
    used = set(_NAMED.findall(sql))
    names = {p.name for p in declared}
    if used != names:
        odd = ", ".join(sorted(used ^ names))
        raise RuleError(file, number, f"parameters of the page and of the query differ: {odd}")
    technique = fields.get("technique", "none")
    return Detector(
        id=fields["id"],
        version=int(fields["version"]),
        title=fields["title"],
        question=fields["question"],
        what=fields["what"],
        why=fields["why"],
        look_alikes=fields["look-alikes"],
        parameters=declared,
        tables=_names(fields["tables"]),
        optional=_names(fields.get("optional", "none")),
        divided=_divided(fields.get("divided", "none"), file, number),
        cannot=fields["cannot"],
        source=fields["source"],
        technique=None if technique == "none" else technique,
        sql=sql + "\n",
        file=file,
        seen=fields.get("seen"),
    )


def load(pages: Mapping[str, str]) -> Catalog:
    """The catalog of all pages, file name -> text. A page's id is its file name without `.sql`."""
    detectors: dict[str, Detector] = {}
    for file, text in sorted(pages.items()):
        detector = parse(text, file)
        if detector.id != file.removesuffix(".sql"):
            raise RuleError(file, 1, f"the id '{detector.id}' is not the file's name")
        detectors[detector.id] = detector
    for detector in detectors.values():
        for name in (*detector.tables, *detector.optional):
            if name not in detectors and name not in tables.ALL:
                raise RuleError(detector.file, 1, f"'{name}' is neither a table nor a detector")
    return Catalog(detectors)


def _parameter(file: str, line: int, words: str) -> Parameter:
    found = _PARAMETER.match(words)
    if not found:
        raise RuleError(file, line, "a parameter reads 'name = default (unit) meaning'")
    default: int | float | str
    try:
        default = int(found[2])
    except ValueError:
        try:
            default = float(found[2])
        except ValueError:
            default = found[2].strip("'")
    return Parameter(found[1], default, found[3], found[4].strip())


def _names(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(name.strip() for name in text.split(","))


def _divided(text: str, file: str, line: int) -> bool:
    if text not in ("none", "src"):
        raise RuleError(file, line, f"'divided' is src or none, not '{text}'")
    return text == "src"


def _opens_with(sql: str) -> bool:
    return _LEADING_WITH.match(sql) is not None


def _order(sql: str) -> tuple[str, str]:
    """`sql` without the ORDER BY that ends it (window orders stand in parentheses on other lines), and that order by itself, for
    rows of the answer: without aliases of the query's own tables."""
    head, mark, tail = sql.rpartition("\nORDER BY ")
    return (head + "\n", "ORDER BY " + _ALIAS.sub("", tail)) if mark else (sql, "")


def _asked(ask: Ask, sql: str, values: Mapping[str, object]) -> pa.Table:
    """Ask with those of the values that the statement names."""
    used = set(_NAMED.findall(sql))
    return ask(sql, {name: value for name, value in values.items() if name in used})


def _empty(table: tables.Table) -> str:
    columns = ", ".join(f'CAST(NULL AS {_SQL_TYPES[c.type]}) AS "{c.name}"' for c in table.columns)
    return f"SELECT {columns} WHERE 1 = 0"
