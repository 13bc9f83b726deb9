"""In: command lines of `tracehound case`. Out: a case walked through from opening to custody. Never here: what single pieces do."""

import hashlib
import json
import zipfile

import pytest

from tests.wire import Wire
from tracehound.cli.main import run
from tracehound.errors import EvidenceError, UsageError

HOST = "10.0.0.5"


@pytest.fixture
def cases(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACEHOUND_CASES", str(tmp_path / "cases"))
    monkeypatch.setenv("TRACEHOUND_USER", "ann")
    assert run(["case", "new", "Strange", "host", "--host", HOST, "--severity", "high", "--tlp", "red"]) == 0
    return tmp_path


def shown(capsys, *words):
    capsys.readouterr()
    assert run(["case", *words]) == 0
    return capsys.readouterr().out


def scan():
    wire = Wire(1_028_219_400 * 10**9)
    host = wire.host(HOST)
    for i in range(1, 60):
        host.unanswered(wire.host(f"198.51.100.{i}"), 445, i * 10.0)
    return wire.pcap()


def test_a_case_from_opening_to_custody(cases, capsys):
    (cases / "scan.pcap").write_bytes(scan())
    (cases / "body.txt").write_text("0|/WINDOWS/taskbar.exe|1|r/r|0|0|49152|1028219500|1028219400|1028219400|1028219400\n")
    header = "From: a@b\nMessage-ID: <1@b>\nDate: Thu, 1 Aug 2002 17:00:00 +0000\nSubject: scan\n"
    (cases / "mail.eml").write_text(f"{header}\nfrom {HOST}\n")
    said = shown(capsys, "add", "1", *(str(cases / n) for n in ("scan.pcap", "body.txt", "mail.eml")), "--copy", "--note", "router")
    assert ["scan.pcap: pcap" in said, "body.txt: bodyfile: 4 events" in said, "mail.eml: mail: 1 messages" in said] == [True] * 3
    assert "1 host behaves strangely: 10.0.0.5" in shown(capsys, "run", "1", "-q")
    for words in (
        ["note", "1", "the", "owner", "was", "told"], ["task", "1", "call", "--to", "bob", "--due", "2002-08-09"],
        ["tag", "1", "worm", "lab"], ["technique", "1", "t1046"],
        ["person", "1", "owner", "Bob", "--contact", "bob@example.org"], ["assign", "1", "bob"],
        ["hypothesis", "1", "it", "is", "a", "test"], ["status", "1", "confirmed", "--reason", "seen"],
    ):  # fmt: skip
        assert run(["case", *words]) == 0
    case = json.loads(shown(capsys, "show", "1", "--json"))
    assert (case["status"], case["severity"], case["tlp"], case["host"], case["assignee"]) == ("confirmed", "high", "TLP:RED", HOST, "bob")
    assert [e["kind"] for e in case["evidence"]] == ["pcap", "bodyfile", "mail"]
    assert case["findings"][0]["host"] == HOST
    assert ["ip-src", HOST] in [[i["type"], i["value"]] for i in case["indicators"]]
    assert case["mail_links"][0]["value"] == HOST
    assert [t["state"] for t in case["tasks"]] == ["open"]
    assert any(h["statement"].startswith("The host looks for new victims") for h in case["hypotheses"])
    assert run(["case", "task", "1", "--done", str(case["tasks"][0]["task_id"])]) == 0
    text = shown(capsys, "show", "1")
    assert "[x] call (bob), due 2002-08-09" in text
    assert max(map(len, text.splitlines())) <= 80
    lines = [json.loads(line) for line in shown(capsys, "timeline", "1", "--json").splitlines()]
    assert [m["ts"] for m in lines] == sorted(m["ts"] for m in lines)
    assert {m["side"] for m in lines} == {"network", "host", "mail", "case"}
    assert "owner was told" in shown(capsys, "search", "owner", "told")
    verified = json.loads(shown(capsys, "verify", "1", "--json"))
    assert verified["holds"]
    capsys.readouterr()
    assert run(["case", "verify", "1", "--head", "0" * 64]) == 1
    assert "removed or written anew" in capsys.readouterr().out


def test_lists_can_be_filtered(cases, capsys):
    assert run(["case", "new", "Another", "one"]) == 0
    assert [c["number"] for c in json.loads(shown(capsys, "list", "--json"))] == [1, 2]
    assert [c["number"] for c in json.loads(shown(capsys, "list", "--json", "--severity", "high"))] == [1]
    assert "Another one" in shown(capsys, "list")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["status", "1", "contained"], "new cannot become contained"),
        (["status", "1", "closed"], "needs --resolution"),
        (["note", "1", " "], "nothing is said"),
        (["note", "7", "x"], "no case 7"),
        (["set", "1"], "nothing to set"),
        (["set", "1", "--host", "nowhere"], "no address"),
        (["technique", "1", "X1"], "ATT&CK"),
        (["tag", "1", "A B"], "tag"),
        (["task", "1", "--done", "99"], "no task 99"),
        (["weigh", "1", "9", "C", "x", "y"], "no hypothesis 9"),
        (["retract", "1", "99", "why"], "no note 99"),
        (["task", "1", "x", "--due", "tomorrow"], "no date"),
        (["run", "1"], "no capture"),
        (["timeline", "1", "--around", "noon"], "no time"),
    ],
)
def test_what_does_not_fit_is_said(cases, words, why):
    with pytest.raises(UsageError, match=why):
        run(["case", *words])


def test_evidence_that_is_not_there(cases):
    with pytest.raises(EvidenceError, match="no such file"):
        run(["case", "add", "1", str(cases / "none.pcap")])


def test_words_that_are_no_verb(cases, capsys):
    assert run(["case"]) == 2
    assert run(["case", "burn"]) == 2
    assert run(["case", "--help"]) == 0
    assert "custody" in capsys.readouterr().out


def test_an_advisory_of_the_library_is_found_by_what_it_shares(cases, capsys):
    (cases / "advisory.txt").write_text("W32/Frethem.K\n\nThe worm asks for b.cgi and leaves taskbar.exe behind.\n")
    (cases / "other.txt").write_text("A web board\n\nIts script is b.cgi.\n")
    library = [str(cases / name) for name in ("advisory.txt", "other.txt")]
    found = json.loads(shown(capsys, "search", "b.cgi", "taskbar.exe", "--json", "--library", *library))
    assert [f["title"] for f in found] == ["W32/Frethem.K", "A web board"]


def test_the_clock_of_a_host_is_estimated_from_a_file_seen_on_both_sides(cases, capsys):
    wire, begin = Wire(1_028_219_400 * 10**9), 1_028_219_400
    program = b"MZ" + bytes(range(256)) * 8
    talk = wire.host(HOST).connect(wire.host("198.51.100.7"), 80, 1.0)
    talk.send(b"GET /x.exe HTTP/1.1\r\nHost: x\r\n\r\n")
    talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(program) + program)
    talk.close()
    (cases / "load.pcap").write_bytes(wire.pcap())
    late = begin + 1 + 7_200
    digest = hashlib.md5(program, usedforsecurity=False).hexdigest()
    (cases / "body.txt").write_text(f"{digest}|/WINDOWS/x.exe|1|r/r|0|0|{len(program)}|{late}|{late}|{late}|{late}\n")
    shown(capsys, "new", "clock", "--host", HOST)
    shown(capsys, "add", "1", str(cases / "load.pcap"))
    shown(capsys, "run", "1", "-q")
    assert "The host's clock was about 7,200 s ahead" in shown(capsys, "add", "1", str(cases / "body.txt"), "--skew", "estimate")
    assert "The host's clock was about 7,200 s ahead" in shown(capsys, "show", "1")
    events = [json.loads(line) for line in shown(capsys, "timeline", "1", "--json").splitlines()]
    assert all(abs(m["ts_ns"] - begin * 10**9) < 60 * 10**9 for m in events if m["side"] == "host")
    assert sum(m["side"] == "host" for m in events) == 4


def test_rules_are_tested_on_the_cases_captures_and_kept(cases, capsys):
    (cases / "scan.pcap").write_bytes(scan())
    (cases / "one.rules").write_text('alert tcp any any -> any 445 (msg:"scan"; flags:S; sid:1000001;)\n')
    shown(capsys, "add", "1", str(cases / "scan.pcap"))
    assert run(["case", "rules", "1", str(cases / "one.rules"), "--flows", f"src = '{HOST}'"]) == 0
    assert "ok    sid 1000001: recall" in capsys.readouterr().out
    shown(capsys, "export", "1", "--format", "advisory", "-o", str(cases / "advisory.md"))
    assert 'msg:"scan"' in (cases / "advisory.md").read_text()
    assert run(["case", "rules", "1", "--bundle"]) == 0
    assert "bundle of 1 rules that held" in capsys.readouterr().err
    (made,) = (cases / "cases" / "0001-strange-host" / "made").glob("rules-bundle-*.zip")
    assert any(name.endswith(".rules") for name in zipfile.ZipFile(made).namelist())
    narrow = str(cases / "narrow.rules")
    (cases / "narrow.rules").write_text('alert tcp any any -> any 446 (msg:"scan"; flags:S; sid:1000001;)\n')
    assert run(["case", "rules", "1", narrow, "--flows", f"src = '{HOST}'"]) == 1
    assert "custody holds" in shown(capsys, "verify", "1")
    with pytest.raises(UsageError, match="No such file"):
        run(["case", "rules", "1", str(cases / "none.rules")])
