"""In: a folder of cases, and advisories that somebody collected. Out: one search over notes, mail, findings of all cases and over the
advisories. Never here: how hits are ranked (cases/search.py).

    CASES/library.sqlite   advisories, one row a document, in a full-text index of their own"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tracehound import limits
from tracehound.cases.search import Hit, fts, ranked, terms
from tracehound.correspondence import mailbox
from tracehound.edges.casefile import DATABASE, Case, case_folders, file_digest
from tracehound.errors import EvidenceError

LIBRARY: Final = "library.sqlite"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS documents(
  doc_id INTEGER PRIMARY KEY, source TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL UNIQUE) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(kind UNINDEXED, ref UNINDEXED, title, text);
"""


class Found(NamedTuple):
    """One hit: where (a case's folder name or 'library'), what kind of document, its reference, a stretch of its text."""

    where: str
    kind: str
    ref: str
    title: str
    snippet: str
    score: float
    held: tuple[str, ...]


def _open(cases: Path) -> sqlite3.Connection:
    cases.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(cases / LIBRARY, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.executescript(_TABLES)
    return connection


def add(cases: Path, path: Path) -> int:
    """Add a text, a mail or a mailbox of advisories; returns how many documents are new. Raises EvidenceError."""
    file_digest(path)
    data = path.read_bytes()
    if mailbox.is_mbox(data):
        documents = [(m.subject, m.sender + "\n" + m.text, m.sha256) for m in map(mailbox.message, mailbox.split(data))]
    elif mailbox.is_mail(data):
        m = mailbox.message(data)
        documents = [(m.subject, m.sender + "\n" + m.text, m.sha256)]
    else:
        if b"\x00" in data[: limits.MAX_MAIL_BYTES]:
            raise EvidenceError(str(path), "is no text: an advisory is text, HTML or mail")
        text = data[: limits.MAX_MAIL_BYTES].decode("utf-8", "replace")
        documents = [(next((line.strip() for line in text.splitlines() if line.strip()), path.name)[:200], text, file_digest(path)[1])]
    new = 0
    with contextlib.closing(_open(cases)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for title, text, sha256 in documents:
            row = connection.execute(
                "INSERT INTO documents(source, title, sha256) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING doc_id",
                (path.name, title, sha256),
            ).fetchone()
            if row is not None:
                entry = (str(row[0]), title, text)
                connection.execute("INSERT INTO words(kind, ref, title, text) VALUES ('advisory', ?, ?, ?)", entry)
                new += 1
        connection.execute("COMMIT")
    return new


def _shelves(cases: Path) -> Iterator[tuple[str, sqlite3.Connection]]:
    """Every full-text index, opened for reading, with the name that hits are shown under."""
    for folder in case_folders(cases):
        with Case(folder):
            pass  # brings an old case to the newest tables
        connection = sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True, timeout=30)
        with contextlib.closing(connection):
            yield folder.name, connection
    if (cases / LIBRARY).is_file():
        with contextlib.closing(_open(cases)) as connection:
            yield "library", connection


def search(cases: Path, words: str, *, most: int = 20) -> list[Found]:
    """Documents that hold any of the words (or "quoted phrases"), best first."""
    wanted = terms(words)
    holders: dict[str, set[Hashable]] = {t: set() for t in wanted}
    documents = 0
    texts: dict[Hashable, Any] = {}
    for name, connection in _shelves(cases):
        documents += int(connection.execute("SELECT count(*) FROM words").fetchone()[0])
        for term in wanted:
            rows = connection.execute(
                "SELECT rowid, kind, ref, title, snippet(words, 3, '', '', ' ... ', 24) FROM words WHERE words MATCH ?", (fts(term),)
            )
            for rowid, *shown in rows:
                holders[term].add((name, rowid))
                texts.setdefault((name, rowid), shown)
    return [_found(hit, texts[hit.document]) for hit in ranked(holders, documents)[:most]]


def _found(hit: Hit, shown: list[str]) -> Found:
    name = hit.document[0] if isinstance(hit.document, tuple) else ""
    kind, ref, title, snippet = (str(x) for x in shown)
    return Found(name, kind, ref, title, " ".join(snippet.split()), hit.score, hit.held)


def other_indicators(cases: Path, own: Path) -> dict[str, list[dict[str, Any]]]:
    """Indicators of every other case, by its folder's name."""
    out = {}
    for folder in case_folders(cases):
        if folder.resolve() != own.resolve():
            with Case(folder) as case:
                out[folder.name] = case.rows("SELECT type, value, source FROM indicators")
    return out
