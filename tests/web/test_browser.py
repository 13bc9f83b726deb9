"""In: the worked example as a small case, served, and Chromium without a window. Out: that an analyst finds the host, opens the turning
point, tests a rule and hands the case on; that pages hold in dark, on a telephone, on paper and for who cannot see them. Never here: how
a browser is driven (chromium.py). Skipped where there is no Chromium."""

import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("websockets")

from tests.web import walk
from tests.web.chromium import Browser, axe_script, program

pytestmark = [
    pytest.mark.skipif(program() is None, reason="needs Chromium (Debian: apt install chromium)"),
    pytest.mark.xdist_group("browser"),
]
RULE = (
    'alert http $HOME_NET any -> $EXTERNAL_NET any (msg:"worked example, request for b.cgi"; flow:to_server,established; '
    'http.uri; content:"/b.cgi?alt&"; startswith; sid:1000001; rev:1;)'
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    from tracehound.demo.model_case import ModelCase, evidence
    from tracehound.edges.demo_case import build

    folder = tmp_path_factory.mktemp("browser")
    capture = folder / "SYNTHETIC-small.pcapng"
    with capture.open("wb") as out:
        for chunk in evidence(ModelCase(probing_hours=5, after_hours=2.5)):
            out.write(chunk)
    build(folder / "cases", capture, "ann")
    return folder / "cases"


@pytest.fixture(scope="module")
def address(cases):
    with walk.served(cases) as printed:
        yield printed


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def test_an_analyst_walks_from_the_list_of_cases_to_the_export(browser, address):
    walk.enter(browser, address)
    walk.find_the_host(browser)
    walk.open_the_turning_point(browser)
    walk.test_the_rule(browser, RULE)
    said = walk.export(browser)
    assert walk.HOST in said or walk.HOST.replace(".", "[.]") in said
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (380, True)], ids=["wide and light", "telephone and dark"])
def test_no_serious_problem_for_who_cannot_see_and_nothing_wider_than_the_page(browser, address, width, dark):
    script = axe_script()
    if script is None:
        pytest.skip("needs axe-core (pip install axe-core-python, or npm install axe-core)")
    browser.open(address)
    base = address.split("/login")[0]
    browser.size(width, 800, dark=dark)
    try:
        for page in ("/", "/search?q=frethem", *(f"/cases/1{p}" for p in walk.PAGES)):
            browser.open(base + page)
            assert browser.ask("document.documentElement.scrollWidth") <= width, page
            browser.ask(script + "; true")
            found = json.loads(browser.ask("axe.run().then(r => JSON.stringify(r.violations.map(v => [v.impact, v.id, v.nodes[0].html])))"))
            assert [v for v in found if v[0] in ("serious", "critical")] == [], page
    finally:
        browser.size(1280, 900)


def test_pages_are_walked_by_keyboard_alone(browser, address):
    browser.open(address)
    browser.key("Tab")
    assert browser.ask("document.activeElement.textContent") == "Skip to the content"

    browser.key("Enter")
    assert browser.ask("document.activeElement.id") == "main"
    reached = set()
    for _ in range(40):
        browser.key("Tab")
        reached.add(browser.ask("document.activeElement.getAttribute('href') || document.activeElement.name || ''"))
    assert "/cases/1" in reached


def test_paper_has_no_forms_and_all_rows(browser, address):
    browser.open(address.split("/login")[0] + "/cases/1/tables/flows")
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.ask("getComputedStyle(document.querySelector('form.filter')).display") == "none"
        assert browser.ask("getComputedStyle(document.querySelector('.tall')).maxHeight") == "none"
        assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert len(browser.command("Page.printToPDF")["data"]) > 10_000
    finally:
        browser.size(1280, 900)
