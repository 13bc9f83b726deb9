"""In: captures with files in them. Out: what `tracehound files` writes, and what it never writes. Never here: parsing."""

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import Wire
from tracehound.cli import files
from tracehound.edges.extraction import INDEX, Spill, safe_name
from tracehound.errors import RuleError, UsageError

BODY = b"MZ" + bytes(range(256)) * 40


@pytest.fixture
def capture(tmp_path):
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    for n, (target, body) in enumerate(((b"/..%2f..%2fetc/../evil%00.exe", BODY), (b"/", b"<html>hi</html>"))):
        talk = client.connect(server, 80, 1.0 + n).send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body).close()
    path = tmp_path / "in.pcap"
    path.write_bytes(wire.pcap())
    return path


def test_files_are_written_with_an_index(capture, tmp_path, capsys):
    out = tmp_path / "out"
    assert files.main([str(capture), "--extract", str(out), "-q", "--format", "jsonl"]) == 0
    index = [json.loads(line) for line in (out / INDEX).read_text().splitlines()]
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [i["sha256"] for i in index] == [p["sha256"] for p in printed] and len(index) == 2
    assert {p.name for p in out.iterdir()} == {INDEX, *(i["extracted"] for i in index)}
    evil = out / index[0]["extracted"]
    assert evil.read_bytes() == BODY and not stat.S_IMODE(evil.stat().st_mode) & 0o177
    assert index[0]["extracted"] == f"{index[0]['txn_id']}-evil_.exe" and index[0]["frame"] > 0
    assert index[1]["extracted"] == f"{index[1]['txn_id']}.html"


def test_only_what_is_asked_for(capture, tmp_path, capsys):
    out = tmp_path / "out"
    files.main([str(capture), "--extract", str(out), "--where", "kind = 'html'", "-q"])
    assert len(list(out.iterdir())) == 2 and len(capsys.readouterr().out.splitlines()) == 1


def test_nothing_is_overwritten(capture, tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        files.main([str(capture), "--extract", str(tmp_path)])
    assert (tmp_path / "kept").read_text() == "mine"


def test_limits_hold_and_are_told(capture, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tracehound.edges.extraction.MAX_EXTRACTED_FILE_BYTES", 100)
    out = tmp_path / "out"
    files.main([str(capture), "--extract", str(out), "-q"])
    first = json.loads((out / INDEX).read_text().splitlines()[0])
    assert first["extracted_bytes"] == 100 and "limit" in first["note"]
    assert (out / first["extracted"]).stat().st_size == 100


def test_the_spill_goes(tmp_path):
    with Spill(tmp_path) as spill:
        spill.keep(1, b"abc")
        spill.keep(1, b"def")
        assert spill.content(1, 4) == b"abcd" and spill.size(1) == 6 and spill.content(2, 4) == b""
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=200), st.sampled_from(["pe", "html", None, "jpeg"]))
def test_names_are_safe(name, kind):
    said = safe_name(7, name, kind)
    assert said.startswith("7") and len(said) < 120 and said.isascii() and not set(said) & set('/\\:*?"<>| \0')
    assert ".." not in said.split("-")[0]


RULE = 'rule mz { strings: $a = "MZ" condition: $a at 0 }\nrule never { condition: filesize == 7 }\n'


def test_yara(capture, tmp_path, capsys):
    pytest.importorskip("yara_x")
    rules = tmp_path / "r.yar"
    rules.write_text(RULE)
    assert files.main([str(capture), "--yara", str(rules), "-q", "--columns", "kind,yara", "--format", "jsonl"]) == 0
    assert [json.loads(line)["yara"] for line in capsys.readouterr().out.splitlines()] == [["mz"], []]
    rules.write_text("rule ok { condition: true }\nrule x { condition: nonsense }\n")
    with pytest.raises(RuleError) as wrong:
        files.main([str(capture), "--yara", str(rules)])
    assert wrong.value.line == 2


def test_without_yara_it_is_said(capture, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yara_x", None)
    with pytest.raises(UsageError, match=r"tracehound\[yara\]"):
        files.main([str(capture), "--yara", str(tmp_path / "r.yar")])
