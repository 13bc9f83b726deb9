"""The phrases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.findings.model import Citation, Citations
from tracehound.report import charts, narrative
from tracehound.report.visible import cells, obeyed, preview, visible, wrap

S = 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        (0, "0 s"),
        (35_000_000, "35 ms"),
        (1_500_000_000, "1.5 s"),
        (12 * S, "12 s"),
        (59_600_000_000, "1 min"),
        (105_240 * S, "29 h 14 min"),
        (5 * 86_400 * S - S, "5 d"),
        (428_400 * S, "4 d 23 h"),
        (3_599_900_000_000, "1 h"),
    ],
)
def test_duration(ns, words):
    assert narrative.duration(ns) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.021, "2.1 %"),
        (0.789, "79 %"),
        (0.9996, ">99.9 %"),
        (1.0, "100 %"),
        (float("nan"), "unknown"),
    ],
)
def test_share(value, words):
    assert narrative.share(value) == words


@pytest.mark.parametrize(
    ("per_min", "words"),
    [
        (3.5, "3.5 targets a minute"),
        (0.2, "12 targets an hour"),
        (9_600.0, "160 targets a second"),
        (1.0, "1 target a minute"),
        (0.001, "1.4 targets a day"),
    ],
)
def test_rate(per_min, words):
    assert narrative.rate(per_min, "target") == words


def test_counts_and_sizes():
    assert narrative.count_of(1, "address") == "1 address" and narrative.count_of(2, "address") == "2 addresses"
    assert narrative.count_of(2, "query") == "2 queries"
    assert narrative.size(4_099) == "4,099 bytes" and narrative.size(48_600) == "48.6 kB"


def test_citations_name_file_and_frames_and_count_the_rest():
    shown = (*(Citation("a.pcap", frame=n) for n in (1, 2, 3)), Citation("b.pcap", frame=9))
    assert narrative.cited(Citations(shown, 4)) == "a.pcap frames 1, 2, 3; b.pcap frame 9"
    assert narrative.cited(Citations(shown, 40), 2) == "a.pcap frames 1, 2 (40 in all)"


@given(st.text())
def test_visible_text_holds_nothing_that_is_obeyed(text):
    assert not any(obeyed(char) for char in visible(text))


@given(st.text(), st.integers(2, 60))
def test_wrap_keeps_every_letter_and_the_width(text, width):
    shown = visible(text)
    lines = wrap(shown, width)
    assert max(cells(line) for line in lines) <= width
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "")


@given(st.binary(max_size=300), st.sampled_from([40, 72, 76]))
def test_preview_of_any_bytes_fits_and_is_harmless(raw, width):
    shown = preview(raw.decode("latin-1"), width=width)
    assert all(cells(line) <= width and not any(obeyed(c) for c in line) for line in shown.lines)


def test_preview_reads_utf8_that_is_cut_in_a_letter():
    raw = "<p>Grüße</p> é".encode()[:-1]
    assert preview(raw.decode("latin-1")).lines == ("<p>Grüße</p>",) or preview(raw.decode("latin-1")).kind == "text"


@given(st.integers(1, 10**12))
def test_axis_holds_its_value(value):
    top, step = charts.nice_top(value)
    assert top >= value and top % step == 0 and top // step <= 8


@given(st.integers(0, 2 * 10**18), st.integers(10**6, 10**17), st.integers(2, 12))
def test_ticks_lie_inside(start, span, most):
    moments, step = charts.ticks(start, start + span, most, None)
    assert len(moments) <= most + 2 and all(start <= m <= start + span for m in moments) and step > 0
