"""In: the worked example's host records. Out: every reader reads them, they say that they are synthetic, and they agree with the case."""

from tracehound.cases.host_changes import around
from tracehound.correspondence.mailbox import message, split
from tracehound.correspondence.threads import threads
from tracehound.demo import host_evidence
from tracehound.demo.model_case import HOST, STOP_NS
from tracehound.hostlogs.event import Context
from tracehound.hostlogs.kinds import events, kind_of


def read(text, name):
    kind = kind_of(text.splitlines())
    assert kind is not None
    assert kind.name == name
    got = events(kind.read, list(enumerate(text.splitlines(), 1)), Context(), source="x")
    assert got.bad == []
    return [{**r, "ts": int(r["ts"].value), "ts_host": int(r["ts_host"].value)} for r in got.table.to_pylist()]


def test_the_disk_shows_the_file_and_what_came_at_the_stop():
    rows = read(host_evidence.body(), "bodyfile")
    assert host_evidence.body() == host_evidence.body()
    assert any(r["path"] == "/WINDOWS/taskbar.exe" and r["time_kind"] == "born" for r in rows)
    changes = around(rows, STOP_NS, known={"taskbar.exe"})
    assert changes.changes[0].what == "/WINDOWS/SYSTEM/status.ini"


def test_the_scanner_found_nothing_and_its_schedule_was_switched_off():
    rows = read(host_evidence.antivirus_log(), "clamav")
    assert not any(r["kind"] == "detection" for r in rows)
    assert any("Schedule changed" in r["message"] for r in rows)


def test_the_thread_is_one_and_names_the_host():
    placed = threads([message(part) for part in split("".join(host_evidence.thread()).encode())])
    assert len(placed) == 4
    assert len({p.thread for p in placed}) == 1
    assert HOST in placed[0].message.text


def test_all_of_it_says_that_it_is_synthetic():
    for text in (host_evidence.body(), host_evidence.antivirus_log(), *host_evidence.thread()):
        assert "SYNTHETIC" in text
