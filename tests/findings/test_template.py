"""In: requests as malware and browsers send them. Out: whether their template is right."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tracehound.findings.model import Citation, Template
from tracehound.findings.template import Sample, align, columns, show_bytes, tokens

CHANCE = random.Random(20020802)
NS = 1_000_000_000


def aligned(samples, usual_headers=()) -> Template:
    template = align(samples, usual_headers)
    assert template is not None
    return template


def request(i, uri, method="GET", names=("Host", "Accept"), target=None, **more):
    address = target or f"192.0.2.{i % 250}"
    values = tuple(address if n == "Host" else "*/*" for n in names)
    return Sample(
        method, uri, "1.1", names, values, b"", 117, address, "130.216.54.131", 1028250000 * NS + i * 17 * NS, **more
    )


def test_the_model_case():
    samples = [
        request(i, f"/b.cgi?alt&{CHANCE.randrange(10**8, 10**9)}&000000000000", citation=Citation("a.pcap", i))
        for i in range(60)
    ]
    t = aligned(samples, ("Host", "Referer", "User-Agent"))
    assert t.text == "GET /b.cgi?alt&{digit×9}&000000000000 HTTP/1.1"
    assert (t.samples, t.length_min, t.length_max) == (60, 117, 117)
    assert t.headers_present == ("Host", "Accept")
    assert {"Referer", "User-Agent"} <= set(t.headers_absent)
    assert "Referer" in t.note
    variable = [p for p in t.parts if not p.constant]
    assert [(p.where, p.text) for p in variable] == [("request line", "digit{9}"), ("Host", "target address")]
    assert variable[0].distinct == 60
    assert t.citations.total == 60
    assert len(t.citations.shown) == 20


def test_one_sample_is_a_guess_and_says_so():
    t = aligned([request(1, "/b.cgi?alt&174642967&000000000000")])
    assert t.text == "GET /b.cgi?alt&{digit×9}&000000000000 HTTP/1.1"
    assert "guess" in t.note


def test_classes():
    samples = [
        request(
            i,
            f"/s.php?t={1028250000 + i * 17}&n={100 + i}&h={i * 2654435761 % 2**32 | 0xA0000000:08x}&to=192.0.2.{i}"
            f"&me=130.216.54.131&w={'abc'[: 1 + i % 3]}&q=10.{i}.2.3",
        )
        for i in range(40)
    ]
    assert aligned(samples).text == (
        "GET /s.php?t={timestamp}&n={counter digit×3}&h={hex×8}&to={target address}"
        "&me=130.216.54.131&w={lower×1-3}&q={dotted quad} HTTP/1.1"
    )


def test_optional_parts_are_free():
    t = aligned([request(i, ("/a?x=1", "/a?x=2&y=5", "/a?x=7")[i % 3]) for i in range(30)])
    assert t.text.startswith("GET /a?x=")
    assert any(p.text.startswith("free{0,") for p in t.parts)


def test_headers_that_come_sometimes_and_in_another_order():
    samples = [request(i, "/a", names=("Host", "Accept")) for i in range(10)]
    samples += [request(i, "/a", names=("Accept", "Host", "Cookie")) for i in range(10, 15)]
    t = aligned(samples)
    assert set(t.headers_present) == {"Host", "Accept"}
    assert t.headers_sometimes == ("Cookie",)
    assert "order" in t.note


def test_two_kinds_of_request():
    samples = [request(i, f"/b.cgi?alt&{10**8 + i * 7919}&0") for i in range(40)]
    samples += [request(i, "/images/logo.gif", names=("Host", "User-Agent", "Referer")) for i in range(10)]
    t = aligned(samples)
    assert t.samples == 40
    assert "10 of 50" in t.note
    assert "logo.gif" in t.note


def test_binary_payloads():
    body = b"\x04" + b"\x01" * 96 + b"\xdc\xc9"
    samples = [Sample(payload=body + bytes([i]) + b"Qh.dll", length=376, ts_ns=i) for i in range(6)]
    t = aligned(samples)
    assert t.protocol == "payload"
    assert t.text == "|04||01|×96|DC C9|{byte×1}Qh.dll"
    assert (t.length_min, t.length_max) == (376, 376)


def test_text_payloads():
    samples = [Sample(payload=f"USER root{i}\r\n".encode(), length=12, ts_ns=i) for i in range(6)]
    t = aligned(samples)
    assert not all(p.constant for p in t.parts)
    assert any(p.constant and p.text.startswith("USER ") for p in t.parts)


def test_nothing():
    assert align([]) is None
    assert aligned([Sample(payload=b"")]).text == ""


def test_show_bytes():
    assert show_bytes(b"GET /\r\n") == "GET /|0D 0A|"
    assert show_bytes(b"a|b") == "a|7C|b"
    assert show_bytes(b"\x00" * 20 + b"x") == "|00|×20x"


@given(st.text(max_size=200))
def test_tokens_lose_nothing(text):
    assert "".join(tokens(text)) == text


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=40), min_size=1, max_size=8))
def test_columns_lose_nothing(texts):
    rows = list(zip(*columns(texts), strict=True)) or [()] * len(texts)
    assert ["".join(row) for row in rows] == texts


@given(
    st.lists(
        st.builds(
            Sample,
            method=st.sampled_from(["GET", "POST", None]),
            uri=st.text(max_size=30),
            version=st.sampled_from(["0.9", "1.0", "1.1"]),
            header_names=st.lists(st.sampled_from(["Host", "host", "X-A", ""]), max_size=4).map(tuple),
            header_values=st.lists(st.text(max_size=10), max_size=4).map(tuple),
            payload=st.binary(max_size=60),
            target=st.sampled_from(["192.0.2.1", ""]),
            ts_ns=st.integers(0, 2**62),
        ),
        max_size=12,
    )
)
def test_any_samples_have_a_template(samples):
    t = align(samples)
    assert (t is None) == (not samples)
    if t is not None:
        assert 1 <= t.samples <= len(samples)
