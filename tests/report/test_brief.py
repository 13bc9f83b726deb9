"""The verdict in brief: every question answered in a line, and nothing left out without a word. What holds of both forms is in
test_terminal.py."""

import dataclasses
import re

from tests.report import sample
from tracehound.report import brief, terminal


def test_every_question_is_answered_and_much_is_left_to_the_whole_verdict():
    text = brief.render(sample.model_case(), color=False)
    flat = " ".join(text.split())
    for expected in (
        "One host behaves strangely",
        "HOST 130.216.54.131",
        "Sends GET /b.cgi?alt&<digit{9}>&<digit{12}> HTTP/1.1",
        "never Referer",
        "4,902 79 %",
        "HTTP 404, HTML page (109)",
        "Stopped 2002-08-02 04:30:09",
        "just before 24.201.28.90",
        "It is W32/Frethem.K: likely. Signs:",
        "130.216.54.77",
        "What on the host changed around that moment?",
        f"sha256 {sample.sha('model')}",
        "--full prints",
    ):
        assert expected in flat, expected
    assert len(text.splitlines()) < len(terminal.render(sample.model_case(), color=False).splitlines()) / 2


def test_quiet_evidence_names_what_was_not_found():
    text = brief.render(sample.quiet(), color=False)
    assert "No strange host" in text and "Not found" in text and "slow probing" in text


def test_what_is_beyond_the_screen_is_counted():
    base = sample.three_hosts()
    many = dataclasses.replace(base, findings=base.findings[:3] * 5)
    assert re.search(r"\.\.\. and \d+ more strange hosts", brief.render(many, color=False))
    innocent = dataclasses.replace(sample.model_case(), innocents=sample.model_case().innocents[:1] * 30)
    assert "... and 20 more hosts" in brief.render(innocent, color=False)


def test_frames_name_their_file_only_where_there_are_several():
    one = sample.model_case()
    one = dataclasses.replace(one, evidence=one.evidence[:1])
    two = dataclasses.replace(one, evidence=(one.evidence[0], one.evidence[0]))
    path = one.evidence[0].path
    assert f"{path} frame" not in " ".join(brief.render(one, color=False).split())
    assert f"{path} frame" in " ".join(brief.render(two, color=False).split())
