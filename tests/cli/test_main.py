"""The first word of the command line: a verb, a habit of older tools, or a slip."""

from __future__ import annotations

import pytest

from tracehound.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["flow"], "did you mean flows"),
        (["a.pcap", "--json"], "tracehound investigate a.pcap --json"),
        (["xyzzy"], "--help lists them"),
    ],
)
def test_an_unknown_verb_is_answered_with_what_may_have_been_meant(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pcap").write_bytes(b"")
    assert main.run(words) == 2
    assert expected in capsys.readouterr().err


def test_help_names_every_verb(capsys):
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [verb for verb in main.VERBS if f"  {verb} " not in shown] == []


def test_no_word_is_a_question_for_help_and_no_success(capsys):
    assert main.run([]) == 2
    assert "usage: tracehound VERB" in capsys.readouterr().out
