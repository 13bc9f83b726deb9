"""The terminal verdict: never too wide, never obeyed by a terminal, complete, the same every time."""

import dataclasses
import datetime
import re
import zoneinfo

import pytest

from tests.report import sample
from tracehound.findings.model import DraftedRule
from tracehound.report import brief, terminal
from tracehound.report.visible import cells

FORMS = pytest.mark.parametrize("form", [terminal, brief], ids=["whole", "brief"])


@FORMS
@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("name", sample.ALL)
def test_no_line_is_wider_than_asked(form, name, width):
    text = form.render(sample.ALL[name](), width=width, color=False)
    assert max(cells(line) for line in text.splitlines()) <= width
    assert not re.search(r"[^\x20-\x7e\n\u00a0-\uffff]", text) and "\x1b" not in text and "\u202e" not in text


@FORMS
@pytest.mark.parametrize("name", sample.ALL)
def test_colour_only_adds_our_own_codes(form, name):
    plain = form.render(sample.ALL[name](), color=False)
    coloured = form.render(sample.ALL[name](), color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert set(re.findall(r"\x1b[^m]*m", coloured)) <= {*terminal.STYLES.values(), terminal.RESET}


def test_the_sentence_comes_first_and_every_question_is_answered():
    text = terminal.render(sample.model_case(), color=False)
    flat = " ".join(text.split())
    assert (
        flat.index("SYNTHETIC EVIDENCE") < flat.index("One host behaves strangely") < flat.index("HOST 130.216.54.131")
    )
    for expected in (
        "GET /b.cgi?alt&<digit{9}>&<digit{12}> HTTP/1.1",
        "never Referer",
        "4,902 79 %",
        "HTTP 404, HTML page: 109 from 3 targets",
        "54 of 63 targets",
        "1. 6.2 s before, 24.201.28.90",
        "0000 11 5a a3 ec",
        "W32/Frethem.K: likely",
        "not observable in this evidence",
        "130.216.54.77: asks for /b.cgi",
        "midstream 14",
        f"sha256 {sample.sha('model')}",
        "What on the host changed around that moment?",
        "model-case.pcap frames 1, 9, 15, 44, 61, 77 (6,211 in all)",
    ):
        assert expected in flat, expected
    assert "checksum" not in flat


def test_quiet_evidence_says_so_and_what_was_looked_for():
    text = terminal.render(sample.quiet(), color=False)
    assert "No strange host" in text and "Looked for, and not found:" in text and "slow_probing 0.1.0" in text


def test_times_in_another_zone():
    text = terminal.render(sample.model_case(), color=False, tz=zoneinfo.ZoneInfo("Pacific/Auckland"))
    assert "2002-08-02 16:30:09.402 NZST" in text
    fixed = datetime.timezone(datetime.timedelta(hours=-3))
    assert "2002-08-02 01:30:09.402 UTC-03:00" in terminal.render(sample.model_case(), color=False, tz=fixed)


def test_hosts_beyond_the_first_few_get_a_line():
    base = sample.three_hosts()
    many = dataclasses.replace(base, findings=base.findings[:3] * 5)
    text = terminal.render(many, color=False)
    assert "MORE HOSTS" in text and text.count("What it sends") == 6


def test_drafted_rules_stand_in_their_section_only():
    rule = DraftedRule("10.0.0.5 tcp/80", 3, 9, "alert tcp any any -> any 80 (sid:1;)", 1, ("a note",), None, "sid 1  measured")
    none = DraftedRule("POST requests", 1, refused="too few", needs="more of them")
    verdict = dataclasses.replace(sample.model_case(), drafted_rules=(rule, none), extra={"external_scanners": 2})
    for text in (terminal.render(verdict, color=False), brief.render(verdict, color=False)):
        assert "DRAFTED RULES" in text and "sid 1  measured" in text and "- a note" in text
        assert "No rule for POST requests: too few. It would take more of them." in text and "DraftedRule(" not in text
    assert "external scanners: 2" in terminal.render(verdict, color=False)
