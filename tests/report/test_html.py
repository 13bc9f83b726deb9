"""The HTML report: well formed, self-contained, harmless, complete, the same every time."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from tests.report import sample
from tracehound import limits
from tracehound.report import html
from tracehound.report.visible import visible

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Checks that tags balance, and keeps elements, ids and text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attrs)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


PAGES = {name: html.render(make()) for name, make in sample.ALL.items()}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_well_formed_and_loads_nothing(name):
    reader = read(PAGES[name])
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"} & set(reader.tags)
    for _, attribute, value in reader.attributes:
        assert not attribute.startswith("on") and attribute not in ("src", "srcset", "data", "action")
        if attribute in ("href", "xlink:href"):
            assert value.startswith("#")
    assert not re.search(r"url\((?!#p-)|@import", PAGES[name])
    csp = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", "content", csp) in reader.attributes


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_references_resolve(name):
    reader = read(PAGES[name])
    ids = [value for _, attribute, value in reader.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))
    wanted = {v[1:] for _, a, v in reader.attributes if a == "href"}
    wanted |= {ident for _, a, v in reader.attributes if a == "aria-labelledby" for ident in v.split()}
    assert wanted <= set(ids)
    assert "main" in reader.tags and reader.tags.count("h1") == 1
    for tag in ("title", "desc"):
        assert reader.tags.count(tag) >= sum(a == ("svg", "role", "img") for a in reader.attributes)


def test_hostile_text_is_shown_and_not_obeyed():
    page = PAGES["hostile"]
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not [
        c for c in page if c != "\n" and (ord(c) < 32 or c in "\u202e\u200b\u0301\u007f" or 0xD800 <= ord(c) <= 0xDFFF)
    ]
    text = "".join(read(page).text)
    assert r"\x1b" in text and r"\u202e" in text and r"\ud800" in text and "characters more)" in text
    page.encode("utf-8")


def texts(value, name=""):
    """Every text of a verdict with the name of its field."""
    if dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            yield from texts(getattr(value, f.name), f.name)
    elif isinstance(value, tuple):
        for item in value:
            yield from texts(item, name)
    elif isinstance(value, str) and value:
        yield name, value


WORDED = {"state", "outcome", "item", "kind", "tier", "preview", "text", "counts", "summary", "category"}
"""Fields that are put in other words, or drawn; Template.text stands in its parts."""


@pytest.mark.parametrize("name", ["model", "quiet"])
def test_every_text_of_the_verdict_appears(name):
    shown = " ".join("".join(read(PAGES[name]).text).split())
    missing = [
        (field, value)
        for field, value in texts(dataclasses.replace(sample.ALL[name](), quality=()))
        if field not in WORDED and " ".join(visible(value).split()) not in shown
    ]
    assert missing == []
    assert sample.ALL[name]().summary in shown


def test_payload_is_hex_and_page_is_text():
    text = "".join(read(PAGES["model"]).text)
    assert "0000  11 5a a3 ec" in text and "<p>The requested URL /b.cgi was not found.</p>" in text


def test_synthetic_evidence_is_labelled_and_only_it():
    assert 'class="synthetic"' in PAGES["model"] and 'class="synthetic"' not in PAGES["quiet"]


def test_tables_are_capped_and_the_rest_counted():
    assert PAGES["ipv6"].count("2001:db8:") <= limits.MAX_REPORT_ROWS + 20
    assert "60 more rows" in PAGES["ipv6"]


def test_turning_point_is_marked_on_the_timeline():
    assert re.search(r'class="mark-label"[^>]*>stopped 04:30:09<', PAGES["model"])
    for width, place in re.findall(
        r'viewBox="0 0 (\d+) \d+" role="img".*?<line x1="([\d.]+)"[^>]*class="mark"', PAGES["model"]
    ):
        assert float(place) <= int(width)


def test_same_verdict_same_bytes():
    assert html.render(sample.model_case()) == PAGES["model"]
