"""In: nothing. Out: the tables of a case as numbered migrations, each a step from the one before. Never here: a database.

A step that was released is never edited: what must change is a further step. tests/cases/test_casefile.py makes a case with each
step and brings it to the newest."""

from __future__ import annotations

from typing import Final

_STEP_ONE: Final = """
CREATE TABLE log(
  seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, data TEXT NOT NULL,
  previous TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TRIGGER log_keeps BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_stays BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TABLE facts(name TEXT PRIMARY KEY, value ANY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE statuses(
  seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, before TEXT NOT NULL, status TEXT NOT NULL,
  resolution TEXT, reason TEXT) STRICT;
CREATE TABLE notes(
  note_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, about TEXT, text TEXT NOT NULL, retracted TEXT) STRICT;
CREATE TABLE tasks(
  task_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL, assignee TEXT, due_ns INTEGER,
  state TEXT NOT NULL, state_ns INTEGER, state_who TEXT) STRICT;
CREATE TABLE people(
  person_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, contact TEXT,
  organisation TEXT, note TEXT) STRICT;
CREATE TABLE tags(tag TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE techniques(technique TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE links(other TEXT PRIMARY KEY, why TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE TABLE evidence(
  evidence_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, stored TEXT,
  kind TEXT NOT NULL, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, note TEXT) STRICT;
CREATE TABLE runs(
  run_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, version TEXT NOT NULL, summary TEXT NOT NULL) STRICT;
CREATE TABLE files(
  seq INTEGER NOT NULL, name TEXT NOT NULL, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, says TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(seq, name)) STRICT;
CREATE TABLE findings(
  run_id INTEGER NOT NULL, finding_id TEXT NOT NULL, kind TEXT NOT NULL, host TEXT, from_ns INTEGER, to_ns INTEGER,
  statement TEXT NOT NULL, confidence REAL NOT NULL, technique TEXT, PRIMARY KEY(run_id, finding_id)) STRICT;
CREATE TABLE indicators(
  type TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(type, value)) STRICT;
CREATE TABLE hypotheses(
  hypothesis_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, statement TEXT NOT NULL, source TEXT NOT NULL) STRICT;
CREATE TABLE weighings(
  hypothesis_id INTEGER NOT NULL, item TEXT NOT NULL, mark TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL,
  at_ns INTEGER NOT NULL, who TEXT NOT NULL, PRIMARY KEY(hypothesis_id, item)) STRICT;
CREATE TABLE messages(
  message_key TEXT PRIMARY KEY, thread TEXT NOT NULL, sent_ns INTEGER, sender TEXT NOT NULL, recipients TEXT NOT NULL,
  subject TEXT NOT NULL, in_reply_to TEXT, sha256 TEXT NOT NULL, text TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE TABLE host_sources(
  seq INTEGER PRIMARY KEY, source TEXT NOT NULL, host TEXT, rows INTEGER NOT NULL, skew_ns INTEGER NOT NULL, name TEXT NOT NULL) STRICT;
CREATE TABLE rechecks(
  seq INTEGER PRIMARY KEY, asked_ns INTEGER NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, how TEXT NOT NULL,
  outcome TEXT NOT NULL, detail TEXT, took_ms INTEGER NOT NULL) STRICT;
CREATE TABLE shares(
  seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, format TEXT NOT NULL, recipient TEXT, name TEXT NOT NULL,
  sha256 TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(kind UNINDEXED, ref UNINDEXED, title, text);
"""

_STEP_TWO: Final = """
CREATE TABLE rules(
  rule_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL, text TEXT NOT NULL, says TEXT NOT NULL,
  name TEXT NOT NULL) STRICT;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_STEP_ONE, _STEP_TWO)
"""Step n brings a case from version n to n + 1 (PRAGMA user_version)."""

TOLD_TABLES: Final = (
    "facts", "statuses", "notes", "tasks", "people", "tags", "techniques", "links", "evidence", "runs", "files", "findings", "indicators",
    "hypotheses", "weighings", "messages", "host_sources", "rechecks", "shares", "words",
    "rules",
)  # fmt: skip
"""Tables that the log tells: all but the log itself."""
