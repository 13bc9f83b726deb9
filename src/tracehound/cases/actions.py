"""In: nothing. Out: every action that a case knows: the fields it needs, and the SQL that carries it out on the case's tables.
Never here: a database (edges/casefile.py runs these statements), or the check of a person's words (lifecycle.py).

The log is the truth and the tables are what it says: each table can be made anew by carrying out the log from its first entry.
That is how `case verify` finds a table that was altered behind the log's back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.errors import UsageError


@dataclass(frozen=True, slots=True)
class Each:
    """A statement that runs once for every dict in list `of`; its values go under their own names beside the action's."""

    of: str
    sql: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Action:
    """What one kind of log entry does.

    fields    name -> type; `| None` in the type means that the field may be missing
    statements run in order with the fields as named parameters, and :seq, :at_ns, :who"""

    name: str
    says: str
    fields: Mapping[str, type | tuple[type, ...]]
    statements: tuple[str, ...] = ()
    each: tuple[Each, ...] = field(default=())


_NONE: Final = type(None)
_TEXT: Final = str
_MAYBE: Final = (str, _NONE)
_MAYBE_INT: Final = (int, _NONE)


_ANEW: Final = "ON CONFLICT(name) DO UPDATE SET value = excluded.value, seq = excluded.seq"


def _set(name: str) -> str:
    return f"INSERT INTO facts(name, value, seq) VALUES ('{name}', :{name}, :seq) {_ANEW}"


_ALL: Final = (
    Action(
        "open", "opens the case",
        {"case_id": _TEXT, "number": int, "title": _TEXT, "severity": _TEXT, "tlp": _TEXT},
        (_set("case_id"), _set("number"), _set("title"), _set("severity"), _set("tlp"),
         "INSERT INTO facts(name, value, seq) VALUES ('status', 'new', :seq)",
         "INSERT INTO facts(name, value, seq) VALUES ('opened_ns', :at_ns, :seq)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('case', 'title', :title, :title)"),
    ),
    Action("title", "renames the case", {"title": _TEXT},
           (_set("title"), "INSERT INTO words(kind, ref, title, text) VALUES ('case', 'title', :title, :title)")),
    Action("severity", "sets the severity", {"severity": _TEXT}, (_set("severity"),)),
    Action("tlp", "sets the TLP label", {"tlp": _TEXT}, (_set("tlp"),)),
    Action("host", "names the host that the case is about", {"host": _TEXT}, (_set("host"),)),
    Action("assign", "gives the case to someone", {"assignee": _TEXT}, (_set("assignee"),)),
    Action(
        "status", "moves the case on", {"status": _TEXT, "before": _TEXT, "resolution": _MAYBE, "reason": _MAYBE},
        (_set("status"),
         f"INSERT INTO facts(name, value, seq) SELECT 'resolution', :resolution, :seq WHERE :resolution IS NOT NULL {_ANEW}",
         "INSERT INTO statuses(seq, at_ns, who, before, status, resolution, reason) "
         "VALUES (:seq, :at_ns, :who, :before, :status, :resolution, :reason)"),
    ),
    Action(
        "note", "writes a note", {"text": _TEXT, "about": _MAYBE},
        ("INSERT INTO notes(note_id, at_ns, who, about, text) VALUES (:seq, :at_ns, :who, :about, :text)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('note', CAST(:seq AS TEXT), '', :text)"),
    ),
    Action(
        "retract", "takes a note back (it stays, marked)", {"note_id": int, "reason": _TEXT},
        ("UPDATE notes SET retracted = :reason WHERE note_id = :note_id",),
    ),
    Action(
        "task", "adds a task", {"text": _TEXT, "assignee": _MAYBE, "due_ns": _MAYBE_INT},
        ("INSERT INTO tasks(task_id, at_ns, who, text, assignee, due_ns, state) "
         "VALUES (:seq, :at_ns, :who, :text, :assignee, :due_ns, 'open')",
         "INSERT INTO words(kind, ref, title, text) VALUES ('task', CAST(:seq AS TEXT), '', :text)"),
    ),
    Action(
        "task_state", "finishes, drops or reopens a task", {"task_id": int, "state": _TEXT},
        ("UPDATE tasks SET state = :state, state_ns = :at_ns, state_who = :who WHERE task_id = :task_id",),
    ),
    Action(
        "person", "names somebody the case concerns",
        {"role": _TEXT, "name": _TEXT, "contact": _MAYBE, "organisation": _MAYBE, "note": _MAYBE},
        ("INSERT INTO people(person_id, at_ns, who, role, name, contact, organisation, note) "
         "VALUES (:seq, :at_ns, :who, :role, :name, :contact, :organisation, :note)",),
    ),
    Action("tag", "adds a tag", {"tag": _TEXT}, ("INSERT OR IGNORE INTO tags(tag, seq) VALUES (:tag, :seq)",)),
    Action("untag", "removes a tag", {"tag": _TEXT}, ("DELETE FROM tags WHERE tag = :tag",)),
    Action(
        "technique", "adds an ATT&CK technique", {"technique": _TEXT},
        ("INSERT OR IGNORE INTO techniques(technique, seq) VALUES (:technique, :seq)",),
    ),
    Action("untechnique", "removes an ATT&CK technique", {"technique": _TEXT},
           ("DELETE FROM techniques WHERE technique = :technique",)),
    Action(
        "link", "ties the case to another", {"other": _TEXT, "why": _TEXT},
        ("INSERT INTO links(other, why, seq) VALUES (:other, :why, :seq) "
         "ON CONFLICT(other) DO UPDATE SET why = excluded.why, seq = excluded.seq",),
    ),
    Action(
        "evidence", "adds evidence",
        {"name": _TEXT, "path": _TEXT, "stored": _MAYBE, "kind": _TEXT, "size_bytes": int, "sha256": _TEXT, "note": _MAYBE},
        ("INSERT INTO evidence(evidence_id, at_ns, who, name, path, stored, kind, size_bytes, sha256, note) "
         "VALUES (:seq, :at_ns, :who, :name, :path, :stored, :kind, :size_bytes, :sha256, :note)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('evidence', CAST(:seq AS TEXT), :name, coalesce(:note, '') || ' ' || :sha256)"),
    ),
    Action(
        "run", "investigates the evidence",
        {"version": _TEXT, "question": dict, "evidence": list, "summary": _TEXT, "files": list, "findings": list, "indicators": list},
        ("INSERT INTO runs(run_id, at_ns, who, version, summary) VALUES (:seq, :at_ns, :who, :version, :summary)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('run', CAST(:seq AS TEXT), '', :summary)"),
        (
            Each("files", "INSERT INTO files(seq, name, size_bytes, sha256) VALUES (:seq, :name, :size_bytes, :sha256)",
                 frozenset({"name", "size_bytes", "sha256"})),
            Each("findings",
                 "INSERT INTO findings(run_id, finding_id, kind, host, from_ns, to_ns, statement, confidence, technique) "
                 "VALUES (:seq, :finding_id, :kind, :host, :from_ns, :to_ns, :statement, :confidence, :technique)",
                 frozenset({"finding_id", "kind", "host", "from_ns", "to_ns", "statement", "confidence", "technique"})),
            Each("findings", "INSERT INTO words(kind, ref, title, text) VALUES ('finding', :finding_id, coalesce(:host, ''), :statement)",
                 frozenset({"finding_id", "host", "statement"})),
            Each("indicators",
                 "INSERT INTO indicators(type, value, source, seq) VALUES (:type, :value, :source, :seq) "
                 "ON CONFLICT(type, value) DO NOTHING",
                 frozenset({"type", "value", "source"})),
        ),
    ),
    Action(
        "file", "keeps a file that was made from the case (tables, reports, exports)",
        {"name": _TEXT, "size_bytes": int, "sha256": _TEXT, "says": _TEXT},
        ("INSERT INTO files(seq, name, size_bytes, sha256, says) VALUES (:seq, :name, :size_bytes, :sha256, :says)",),
    ),
    Action(
        "indicator", "adds an indicator by hand or from an import", {"type": _TEXT, "value": _TEXT, "source": _TEXT},
        ("INSERT INTO indicators(type, value, source, seq) VALUES (:type, :value, :source, :seq) ON CONFLICT(type, value) DO NOTHING",),
    ),
    Action(
        "hypothesis", "states a hypothesis", {"statement": _TEXT, "source": _TEXT},
        ("INSERT INTO hypotheses(hypothesis_id, at_ns, who, statement, source) VALUES (:seq, :at_ns, :who, :statement, :source)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('hypothesis', CAST(:seq AS TEXT), '', :statement)"),
    ),
    Action(
        "weigh", "says how one piece of evidence bears on a hypothesis",
        {"hypothesis_id": int, "item": _TEXT, "mark": _TEXT, "reason": _TEXT, "source": _TEXT},
        ("INSERT INTO weighings(hypothesis_id, item, mark, reason, source, at_ns, who) "
         "VALUES (:hypothesis_id, :item, :mark, :reason, :source, :at_ns, :who) "
         "ON CONFLICT(hypothesis_id, item) DO UPDATE SET mark = excluded.mark, reason = excluded.reason, "
         "source = excluded.source, at_ns = excluded.at_ns, who = excluded.who",),
    ),
    Action(
        "mail", "adds correspondence", {"source": _TEXT, "messages": list},
        (),
        (
            Each("messages",
                 "INSERT INTO messages(message_key, thread, sent_ns, sender, recipients, subject, in_reply_to, sha256, text, seq) "
                 "VALUES (:message_key, :thread, :sent_ns, :sender, :recipients, :subject, :in_reply_to, :sha256, :text, :seq) "
                 "ON CONFLICT(message_key) DO NOTHING",
                 frozenset({"message_key", "thread", "sent_ns", "sender", "recipients", "subject", "in_reply_to", "sha256", "text"})),
            Each("messages", "INSERT INTO words(kind, ref, title, text) VALUES ('mail', :message_key, :subject, :sender || ' ' || :text)",
                 frozenset({"message_key", "subject", "sender", "text"})),
        ),
    ),
    Action(
        "host_events", "adds what a host's own records say",
        {"source": _TEXT, "host": _MAYBE, "rows": int, "skew_ns": int, "name": _TEXT, "size_bytes": int, "sha256": _TEXT},
        ("INSERT INTO host_sources(seq, source, host, rows, skew_ns, name) VALUES (:seq, :source, :host, :rows, :skew_ns, :name)",
         "INSERT INTO files(seq, name, size_bytes, sha256) VALUES (:seq, :name, :size_bytes, :sha256)"),
    ),
    Action(
        "recheck", "asks whether a site answers now",
        {"host": _TEXT, "port": int, "how": _TEXT, "outcome": _TEXT, "detail": _MAYBE, "asked_ns": int, "took_ms": int},
        ("INSERT INTO rechecks(seq, asked_ns, host, port, how, outcome, detail, took_ms) "
         "VALUES (:seq, :asked_ns, :host, :port, :how, :outcome, :detail, :took_ms)",),
    ),
    Action(
        "rule", "drafts or tests rules on the case's captures",
        {"origin": _TEXT, "text": _TEXT, "says": _TEXT, "name": _TEXT, "size_bytes": int, "sha256": _TEXT},
        ("INSERT INTO rules(rule_id, at_ns, who, origin, text, says, name) VALUES (:seq, :at_ns, :who, :origin, :text, :says, :name)",
         "INSERT INTO files(seq, name, size_bytes, sha256) VALUES (:seq, :name, :size_bytes, :sha256)",
         "INSERT INTO words(kind, ref, title, text) VALUES ('rule', CAST(:seq AS TEXT), :says, :text)"),
    ),
    Action("share", "notes that something left the case", {"format": _TEXT, "to": _MAYBE, "name": _TEXT, "sha256": _TEXT},
           ("INSERT INTO shares(seq, at_ns, who, format, recipient, name, sha256) "
            "VALUES (:seq, :at_ns, :who, :format, :to, :name, :sha256)",)),
)  # fmt: skip

ACTIONS: Final[dict[str, Action]] = {a.name: a for a in _ALL}


def checked(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an action with every field there and of its type. Raises UsageError naming the field."""
    action = ACTIONS.get(name)
    if action is None:
        raise UsageError(f"case: no action {name!r}")
    unknown = sorted(set(data) - set(action.fields))
    if unknown:
        raise UsageError(f"case: action {name} has no field {unknown[0]!r}")
    out = {key: data.get(key) for key in action.fields}
    for key, kind in action.fields.items():
        if not isinstance(out[key], kind) or isinstance(out[key], bool):
            raise UsageError(f"case: action {name}: field {key} is {out[key]!r}")
    for each in action.each:
        for row in out[each.of] or ():
            missing = sorted(each.names - set(row))
            if missing:
                raise UsageError(f"case: action {name}: an entry of {each.of} lacks {missing[0]}")
    return out
