"""In: a case's folder, and actions on the case. Out: the case kept on disk, its tables to be read, and proof of its custody.
Never here: what an action means (cases/actions.py), or its words checked (cases/lifecycle.py).

    FOLDER/case.sqlite     the log and the tables it tells (SQLite in WAL mode: readers never wait, writers wait for each other)
    FOLDER/evidence/       copies of evidence, where copies were asked for; read-only, named by their SHA-256
    FOLDER/runs/N/         what investigation N made: verdict.json, report.html, tables/*.parquet
    FOLDER/made/           timelines, exports, tables of host events

An action is one transaction: its log entry and what it does to the tables. It is on the disk (synchronous = FULL) before `act`
returns, so a kill at any instant loses nothing that was acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from tracehound.cases import lifecycle
from tracehound.cases.actions import ACTIONS, checked
from tracehound.cases.chain import Entry, broken, canonical, follow
from tracehound.cases.schema import MIGRATIONS, TOLD_TABLES
from tracehound.edges.clock import now_ns
from tracehound.errors import EvidenceError, UsageError

DATABASE: Final = "case.sqlite"
WAIT_S: Final = 30.0
"""How long a writer waits for the others."""
_READ_BYTES: Final = 1 << 20


def file_digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file. Raises EvidenceError."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
    except OSError as cause:
        raise EvidenceError(str(path), cause.strerror or str(cause)) from None
    return size, digest.hexdigest()


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest step, each step a transaction of its own."""
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version >= len(MIGRATIONS):
                connection.execute("COMMIT")
                return
            for statement in _statements(MIGRATIONS[version]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; sqlite3's own executescript would commit before each."""
    held = ""
    for line in script.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            yield held
            held = ""


def _carry_out(connection: sqlite3.Connection, entry: Entry) -> None:
    """Do to the tables what a log entry says."""
    action = ACTIONS[entry.action]
    values = {k: v for k, v in entry.data.items() if not isinstance(v, list | dict)}
    values |= {"seq": entry.seq, "at_ns": entry.at_ns, "who": entry.who}
    for statement in action.statements:
        connection.execute(statement, values)
    for each in action.each:
        connection.executemany(each.sql, [values | {n: row[n] for n in each.names} for row in entry.data[each.of]])


class Case:
    """One case. Not shared between threads: each opens its own."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where `folder` is no case, or was written by a newer version of the program."""
        self.folder = folder
        if not (folder / DATABASE).is_file():
            raise UsageError(f"{folder}: is no case (no {DATABASE} in it)")
        self._connection = self._connected(folder / DATABASE)
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise UsageError(f"{folder}: written by a newer tracehound (tables of version {version}, this one knows {len(MIGRATIONS)})")
        if version < len(MIGRATIONS):
            _migrate(self._connection)

    @staticmethod
    def _connected(path: Path | str) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
        except sqlite3.DatabaseError as cause:
            raise EvidenceError(str(path), f"no readable case database: {cause}") from None
        return connection

    @classmethod
    def create(cls, folder: Path, who: str, *, title: str, number: int, severity: str = "medium", tlp: str = "TLP:AMBER") -> Case:
        """Make a case in `folder`, which must be new or empty. Raises UsageError."""
        title = lifecycle.text("title", title)
        severity, tlp = lifecycle.one_of("severity", severity, lifecycle.SEVERITIES), lifecycle.tlp(tlp)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"{folder}: is not empty; a case needs a folder of its own")
        except OSError as cause:
            raise UsageError(f"{folder}: {cause.strerror}") from None
        connection = cls._connected(folder / DATABASE)
        _migrate(connection)
        connection.close()
        case = cls(folder)
        case.act(who, "open", {"case_id": str(uuid4()), "number": number, "title": title, "severity": severity, "tlp": tlp})
        return case

    def act(
        self,
        who: str,
        action: str,
        data: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        *,
        at_ns: int | None = None,
    ) -> Entry:
        """Carry out one action; returns its log entry once it is on the disk.

        data    the action's fields; or a function that makes them from what the case says at that moment, called when no other
                writer can change it any more
        Raises UsageError where the action does not fit; nothing is changed then."""
        with self._writing():
            fields = checked(action, data() if callable(data) else data)
            if self.status == lifecycle.CLOSED and action not in ("status", "share", "recheck"):
                raise UsageError(f"{self.folder}: the case is closed; reopen it first (case status ... reopened)")
            entry = follow(self.last_entry(), now_ns() if at_ns is None else at_ns, who, action, fields)
            self._connection.execute(
                "INSERT INTO log(seq, at_ns, who, action, data, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.seq, entry.at_ns, entry.who, entry.action, canonical(entry.data).decode("utf-8"), entry.previous, entry.hash),
            )
            _carry_out(self._connection, entry)
        return entry

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; waits for other writers, and takes everything back where an exception leaves it."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as cause:
            raise UsageError(f"{self.folder}: {cause} (another program has been writing for {WAIT_S:.0f} s)") from None
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def rows(self, sql: str, parameters: Mapping[str, object] | tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """Rows of the case's tables. Never a user's SQL."""
        return [dict(row) for row in self._connection.execute(sql, parameters)]

    def fact(self, name: str) -> Any:
        """One of the case's facts (title, status, severity, tlp, assignee, host, ...); None where it was never said."""
        found = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    @property
    def status(self) -> str:
        """The status; empty before the case is opened."""
        return str(self.fact("status") or "")

    def last_entry(self) -> Entry | None:
        return next(self._entries("ORDER BY seq DESC LIMIT 1"), None)

    def entries(self) -> Iterator[Entry]:
        """The log from its first entry."""
        return self._entries("ORDER BY seq")

    def _entries(self, order: str) -> Iterator[Entry]:
        for r in self._connection.execute(f"SELECT seq, at_ns, who, action, data, previous, hash FROM log {order}"):
            try:
                data = json.loads(r["data"])
            except ValueError:
                data = {"unreadable": r["data"]}
            yield Entry(r["seq"], r["at_ns"], r["who"], r["action"], data, r["previous"], r["hash"])

    # -- evidence and what is made of it ------------------------------------------------------------------------------

    def add_evidence(self, who: str, path: Path, *, kind: str, copy: bool = False, note: str | None = None) -> Entry:
        """Take a file into custody: its size and SHA-256, and where asked for a read-only copy. Raises EvidenceError."""
        size, sha256 = file_digest(path)
        stored: str | None = None
        if copy:
            target = self.folder / "evidence" / f"{sha256[:16]}-{_safe_name(path.name)}"
            _copied(path, target, sha256)
            stored = str(target.relative_to(self.folder))
        return self.act(
            who, "evidence",
            {"name": path.name, "path": str(path.resolve()), "stored": stored, "kind": kind, "size_bytes": size, "sha256": sha256,
             "note": note},
        )  # fmt: skip

    def evidence_path(self, row: Mapping[str, Any]) -> Path:
        """Where the bytes of one row of table `evidence` lie: the copy where there is one."""
        return self.folder / row["stored"] if row["stored"] else Path(row["path"])

    def describe(self, path: Path) -> dict[str, Any]:
        """A file inside the case as the log names it: name below the case's folder, size, SHA-256."""
        size, sha256 = file_digest(path)
        return {"name": path.relative_to(self.folder).as_posix(), "size_bytes": size, "sha256": sha256}

    def next_run(self) -> Path:
        """A folder for what an investigation makes; its number is one above those that are there."""
        parent = self.folder / "runs"
        parent.mkdir(exist_ok=True)
        while True:
            numbers = [int(p.name) for p in parent.iterdir() if p.name.isdigit()]
            path = parent / str(max(numbers, default=0) + 1)
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path

    # -- custody ------------------------------------------------------------------------------------------------------

    def verify(self, *, head: str | None = None) -> list[str]:
        """What does not hold, in words: altered log, altered tables, altered or missing evidence and files. Empty = all holds.

        head   a hash that was noted down earlier; the log must contain it"""
        with contextlib.closing(self._connected(self.folder / DATABASE)) as connection:
            check = [str(r[0]) for r in connection.execute("PRAGMA integrity_check")]
        wrong = [f"{DATABASE}: {line}" for line in check if line != "ok"]
        entries = list(self.entries())
        wrong += broken(entries)
        if head is not None and head not in {e.hash for e in entries}:
            wrong.append(f"log: no entry has the hash {head}: entries were removed or written anew")
        wrong += self._altered_tables(entries)
        for row in self.rows("SELECT * FROM evidence ORDER BY evidence_id"):
            wrong += _altered(self.evidence_path(row), f"evidence {row['evidence_id']} ({row['name']})", row)
        for row in self.rows("SELECT * FROM files ORDER BY seq, name"):
            wrong += _altered(self.folder / row["name"], f"file {row['name']}", row)
        return wrong

    def _altered_tables(self, entries: list[Entry]) -> list[str]:
        """Carry out the log on empty tables and compare."""
        fresh = self._connected(":memory:")
        with contextlib.closing(fresh):
            _migrate(fresh)
            for entry in entries:
                try:
                    _carry_out(fresh, entry)
                except (KeyError, TypeError, sqlite3.Error) as cause:
                    return [f"log entry {entry.seq} ({entry.action}): cannot be carried out: {cause!r}"]
            wrong = []
            for table in TOLD_TABLES:
                sql = f"SELECT * FROM {table} ORDER BY rowid"
                told, kept = [tuple(r) for r in fresh.execute(sql)], [tuple(r) for r in self._connection.execute(sql)]
                if told != kept:
                    differing = sorted(set(told) ^ set(kept), key=repr)
                    wrong.append(f"table {table}: {len(differing)} rows differ from what the log says, among them {differing[0]!r}")
        return wrong

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Case:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _safe_name(name: str) -> str:
    """A file name of letters, digits and ._- only: evidence's names are hostile too."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name).lstrip(".")[-80:] or "evidence"


def _copied(path: Path, target: Path, sha256: str) -> None:
    """Copy, flush to the disk, check the copy, make it read-only."""
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.copyfile(path, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        if file_digest(partial)[1] != sha256:
            raise EvidenceError(str(path), "changed while it was copied")
        partial.chmod(0o444)
        partial.rename(target)
    except OSError as cause:
        raise EvidenceError(str(path), f"cannot be copied into the case: {cause.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _altered(path: Path, what: str, row: Mapping[str, Any]) -> list[str]:
    if not path.is_file():
        return [f"{what}: is missing at {path}"]
    size, sha256 = file_digest(path)
    if (size, sha256) != (row["size_bytes"], row["sha256"]):
        return [f"{what}: altered: {size:,} bytes with SHA-256 {sha256}, where {row['size_bytes']:,} with {row['sha256']} were taken"]
    return []


# -- a folder of cases ------------------------------------------------------------------------------------------------

def case_folders(cases: Path) -> list[Path]:
    """Folders of a folder that are cases, by name."""
    return sorted(p.parent for p in cases.glob(f"*/{DATABASE}")) if cases.is_dir() else []


def new_case_folder(cases: Path, title: str) -> tuple[int, Path]:
    """Number and folder of a new case: 0007-title. Two programs at once get two numbers."""
    words = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in title.lower()).split())[:40].strip("-") or "case"
    cases.mkdir(parents=True, exist_ok=True)
    while True:
        numbers = [int(p.name.split("-")[0]) for p in cases.iterdir() if p.name.split("-")[0].isdigit()]
        number = max(numbers, default=0) + 1
        claim = cases / f".{number:04d}.claim"
        with contextlib.suppress(FileExistsError):
            claim.touch(exist_ok=False)
            try:
                folder = cases / f"{number:04d}-{words}"
                folder.mkdir()
                return number, folder
            finally:
                claim.unlink()


def find_case(cases: Path, named: str) -> Path:
    """The folder of a case: as a path, or by its number within `cases`. Raises UsageError."""
    path = Path(named)
    if (path / DATABASE).is_file():
        return path
    if named.lstrip("#").isdigit():
        for folder in case_folders(cases):
            if folder.name.split("-")[0].lstrip("0") == named.lstrip("#0"):
                return folder
        raise UsageError(f"{cases}: there is no case {named}")
    raise UsageError(f"{named}: is neither a case's folder nor a case's number in {cases}")
