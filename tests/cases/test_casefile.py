"""In: cases in temporary folders. Out: what is acknowledged stays, what is altered is named. Never here: what a case's words mean."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.cases import lifecycle
from tracehound.cases.actions import ACTIONS, checked
from tracehound.cases.chain import broken, digest, follow
from tracehound.cases.schema import MIGRATIONS, TOLD_TABLES
from tracehound.edges import casefile
from tracehound.edges.casefile import Case, case_folders, find_case, new_case_folder
from tracehound.errors import EvidenceError, UsageError


@pytest.fixture
def case(tmp_path):
    with Case.create(tmp_path / "one", "ann", title="A strange host", number=1) as made:
        yield made


def note(case, text="seen"):
    return case.act("ann", "note", {"text": text, "about": None})


def around_the_log(case, *statements):
    """Alter the database behind the program's back, as an editor of SQLite files could."""
    with contextlib.closing(sqlite3.connect(case.folder / casefile.DATABASE)) as db:
        db.execute("DROP TRIGGER log_keeps")
        db.execute("DROP TRIGGER log_stays")
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_a_new_case_says_what_it_was_told(case):
    assert (case.status, case.fact("title"), case.fact("severity"), case.fact("tlp")) == ("new", "A strange host", "medium", "TLP:AMBER")
    assert case.verify() == []


def test_every_action_is_logged_in_order_and_can_be_carried_out_anew(case):
    note(case)
    case.act("bob", "tag", {"tag": "worm"})
    case.act("bob", "untag", {"tag": "worm"})
    case.act("ann", "task", {"text": "call", "assignee": None, "due_ns": None})
    assert [e.action for e in case.entries()] == ["open", "note", "tag", "untag", "task"]
    assert [e.seq for e in case.entries()] == [1, 2, 3, 4, 5]
    assert case.verify() == []


def test_an_altered_note_is_named(case):
    note(case, "the owner was told")
    around_the_log(case, "UPDATE notes SET text = 'the owner was not told'")
    assert ["table notes" in w for w in case.verify()] == [True]


def test_an_altered_log_entry_is_named(case):
    note(case)
    note(case)
    around_the_log(case, "UPDATE log SET data = replace(data, 'seen', 'heard') WHERE seq = 2")
    wrong = case.verify()
    assert any(w.startswith("log entry 2 (note): was altered") for w in wrong)


def test_a_removed_log_entry_is_named(case):
    note(case)
    note(case)
    around_the_log(case, "DELETE FROM log WHERE seq = 2")
    assert any("log entry 2: missing" in w for w in case.verify())


def test_a_log_cut_at_its_end_is_told_by_a_hash_that_was_noted(case):
    head = note(case).hash
    around_the_log(case, "DELETE FROM log WHERE seq = 2", "DELETE FROM notes", "DELETE FROM words WHERE kind = 'note'")
    assert case.verify() == []
    assert any(head in w for w in case.verify(head=head))


def test_a_log_that_is_rewritten_with_right_hashes_is_told_by_a_hash_that_was_noted(case):
    head = note(case, "true").hash
    entry = next(e for e in case.entries() if e.seq == 2)
    data = {**entry.data, "text": "false"}
    forged = digest(2, entry.at_ns, entry.who, entry.action, data, entry.previous)
    around_the_log(
        case, f"UPDATE log SET hash = '{forged}', data = '{json.dumps(data)}' WHERE seq = 2",
        "UPDATE notes SET text = 'false'", "UPDATE words SET text = 'false' WHERE kind = 'note'",
    )  # fmt: skip
    assert case.verify() == []
    assert case.verify(head=head) != []


def test_the_log_refuses_to_be_changed_or_cut(case):
    for statement in ("UPDATE log SET who = 'x'", "DELETE FROM log"):
        with contextlib.closing(sqlite3.connect(case.folder / casefile.DATABASE)) as db, pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)


@pytest.mark.parametrize("copy", [True, False])
def test_altered_evidence_is_named(case, tmp_path, copy):
    file = tmp_path / "x.pcap"
    file.write_bytes(b"evidence")
    case.add_evidence("ann", file, kind="pcap", copy=copy)
    assert case.verify() == []
    kept = case.evidence_path(case.rows("SELECT * FROM evidence")[0])
    kept.chmod(0o644)
    kept.write_bytes(b"evidencE")
    assert any("x.pcap" in w and "altered" in w for w in case.verify())
    kept.unlink()
    assert any("x.pcap" in w and "missing" in w for w in case.verify())


def test_a_copy_outlives_the_original(case, tmp_path):
    file = tmp_path / ".. weird\nname"
    file.write_bytes(b"evidence")
    case.add_evidence("ann", file, kind="other", copy=True)
    file.unlink()
    assert case.verify() == []
    assert case.evidence_path(case.rows("SELECT * FROM evidence")[0]).read_bytes() == b"evidence"


def test_evidence_that_is_not_there_changes_nothing(case, tmp_path):
    with pytest.raises(EvidenceError, match="No such file"):
        case.add_evidence("ann", tmp_path / "none", kind="pcap")
    assert [e.action for e in case.entries()] == ["open"]


def test_an_action_that_fails_leaves_no_trace(case):
    with pytest.raises(UsageError):
        case.act("ann", "note", {"text": 7, "about": None})
    with pytest.raises(sqlite3.IntegrityError):  # no hypothesis table row may lack a statement
        case.act("ann", "run", {"version": "1", "question": {}, "evidence": [], "summary": "x", "findings": [], "indicators": [], "files": [
            {"name": "a", "size_bytes": 1, "sha256": None}]})
    assert [e.action for e in case.entries()] == ["open"]
    assert case.verify() == []


def test_a_closed_case_changes_only_by_being_opened_again(case):
    case.act("ann", "status", {"status": "closed", "before": "new", "resolution": "benign", "reason": None})
    with pytest.raises(UsageError, match="closed"):
        note(case)
    case.act("ann", "status", {"status": "reopened", "before": "closed", "resolution": None, "reason": "more came"})
    note(case)
    assert case.fact("resolution") == "benign"


@pytest.mark.parametrize("now", list(lifecycle.STATUS_AFTER))
def test_every_status_can_be_left_and_closed_can_be_reached(now):
    reached, waiting = {now}, [now]
    while waiting:
        for after in lifecycle.STATUS_AFTER[waiting.pop()]:
            if after not in reached:
                reached.add(after)
                waiting.append(after)
    assert "closed" in reached
    with pytest.raises(UsageError, match="can become"):
        lifecycle.next_status(now, now)


def test_labels_of_the_traffic_light():
    words = ("red", "TLP:amber+strict", "white", "Clear")
    assert [lifecycle.tlp(w) for w in words] == ["TLP:RED", "TLP:AMBER+STRICT", "TLP:CLEAR", "TLP:CLEAR"]
    with pytest.raises(UsageError, match="PURPLE"):
        lifecycle.tlp("purple")


@pytest.mark.parametrize("steps", range(len(MIGRATIONS)))
def test_a_case_of_any_older_version_is_brought_to_the_newest(tmp_path, steps):
    folder = tmp_path / "old"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / casefile.DATABASE)) as db:
        for step in MIGRATIONS[:steps]:
            db.executescript(step)
        db.execute(f"PRAGMA user_version = {steps}")
    with Case(folder) as case:
        assert {r["name"] for r in case.rows("SELECT name FROM sqlite_schema")} >= {*TOLD_TABLES, "log"}


def test_a_case_of_a_newer_version_is_left_alone(case):
    with contextlib.closing(sqlite3.connect(case.folder / casefile.DATABASE)) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(UsageError, match="newer"):
        Case(case.folder)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / casefile.DATABASE).write_bytes(b"not a database at all, " * 50)
    with pytest.raises(EvidenceError, match=r"case\.sqlite"):
        Case(tmp_path)


def test_numbers_and_folders(tmp_path):
    first, one = new_case_folder(tmp_path, "Strange: host / Auckland")
    second, two = new_case_folder(tmp_path, "../../etc")
    assert (first, one.name, second, two.name) == (1, "0001-strange-host-auckland", 2, "0002-etc")
    Case.create(one, "ann", title="x", number=1).close()
    assert case_folders(tmp_path) == [one]
    assert find_case(tmp_path, "1") == find_case(tmp_path, "#1") == find_case(tmp_path, str(one)) == one
    with pytest.raises(UsageError, match="no case 9"):
        find_case(tmp_path, "9")


ANY_JSON = st.recursive(
    st.none() | st.integers(-(2**70), 2**70) | st.text(max_size=8), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=6
)


@given(ANY_JSON)
def test_the_chain_holds_for_any_data_and_breaks_for_any_other(value):
    first = follow(None, 1, "ann", "note", {"value": value})
    second = follow(first, 2, "ann", "note", {"value": [value]})
    assert broken([first, second]) == []
    assert broken([first.__class__(1, 1, "ann", "note", {"value": [value]}, first.previous, first.hash), second]) != []


def test_fields_are_checked_by_name():
    assert checked("tag", {"tag": "x"}) == {"tag": "x"}
    for name, data in (("tag", {}), ("tag", {"tag": "x", "more": 1}), ("nothing", {}), ("task_state", {"task_id": True, "state": "done"})):
        with pytest.raises(UsageError):
            checked(name, data)
    assert all(action.says for action in ACTIONS.values())


# -- many at once, and kills --------------------------------------------------------------------------------------------

def _write_notes(folder, count):
    with Case(folder) as case:
        return [case.act("ann", "note", {"text": f"{os.getpid()}-{i}", "about": None}).seq for i in range(count)]


def test_writers_at_once_lose_nothing(case):
    with ProcessPoolExecutor(3) as pool:
        numbers = [n for part in pool.map(_write_notes, [case.folder] * 3, [20] * 3) for n in part]
    assert sorted(numbers) == list(range(2, 62))
    assert len(case.rows("SELECT * FROM notes")) == 60
    assert case.verify() == []


WRITER = """
import sys
from pathlib import Path
from tracehound.edges.casefile import Case
with Case(Path(sys.argv[1])) as case:
    for i in range(100_000):
        entry = case.act("ann", "note", {"text": f"note {i}", "about": None})
        print(entry.seq, flush=True)
"""


@pytest.mark.parametrize("wait_ms", [3, 17, 41])
def test_a_kill_at_any_instant_loses_nothing_that_was_acknowledged(case, wait_ms):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(case.folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(wait_ms / 1000)
        writer.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in (first + writer.stdout.read()).split("\n") if line]
    assert acknowledged
    kept = {r["note_id"] for r in case.rows("SELECT note_id FROM notes")}
    assert set(acknowledged) <= kept
    assert case.verify() == []
