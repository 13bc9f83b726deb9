"""In: a browser and the address of the served worked example. Out: the ways of an analyst through the case, step by step; pictures of the
pages for the docs. Never here: an assertion about one build's numbers (test_browser.py starts it on a small case).

    python -m tests.web.walk CASES_DIR docs [web-timeline web-lab ...]   takes pictures (all, or those named) of the case that
                                                                         `tracehound demo --case` makes"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.web.chromium import Browser

HOST = "130.216.54.131"
Keep = Callable[[str], Any]


@contextmanager
def served(cases: Path):
    """`tracehound serve` over a folder of cases; gives the address with its key."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tracehound", "serve", str(cases), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(30)


def nothing(_name: str) -> None:
    """Keeps no picture."""


def enter(b: Browser, address: str, keep: Keep = nothing) -> None:
    """Open the printed address; the list of cases is there, and the case in it."""
    b.open(address)
    assert b.ask("location.pathname") == "/"
    keep("cases")
    b.click("td a, th a")
    assert b.ask("document.querySelector('h1').textContent") == "Verdict"


def find_the_host(b: Browser, keep: Keep = nothing) -> None:
    """The verdict names the host and what it does."""
    said = b.text()
    assert f"{HOST} probes" in said
    assert "Each sends" in said
    assert "Turning point: stopped" in said
    keep("case")
    b.click(".tabs a[href$='/tables/flows']")
    b.write("[data-value]", HOST)
    b.ask("document.querySelector('[data-column]').value = 'src'")
    b.click("[data-add]")
    assert b.ask(f"[...document.querySelectorAll('tbody tr')].every(r => r.textContent.includes('{HOST}'))")
    b.click("thead a[href*='sort=bytes_dst']")
    b.click("thead a[href*='sort=bytes_dst']")
    assert b.ask("document.querySelector('[aria-sort=descending]').textContent.trim()") == "bytes_dst"
    keep("flows")
    first = b.ask("document.querySelector('tbody').textContent")
    b.click("a[rel=next]")
    assert b.ask("document.querySelector('tbody').textContent") != first
    b.click("a[rel=prev]")
    assert b.ask("document.querySelector('tbody').textContent") == first


def open_the_turning_point(b: Browser, keep: Keep = nothing) -> None:
    """Both timelines, zoomed by button and by hand; then the hour around the stop."""
    b.click(".tabs a[href$='/timeline']")
    whole = b.ask("document.querySelector('.chart [role=status]').textContent")
    assert "attempts" in whole
    assert "events on the host" in whole
    keep("timeline")
    b.click("[data-zoom=mark]", leaves=False)
    near = b.ask("document.querySelector('.chart [role=status]').textContent")
    assert near != whole
    assert "status.ini" in b.ask("document.querySelector('.chart svg').textContent")
    assert b.ask("document.querySelectorAll('.chart svg .mark').length") >= 1
    keep("turning-point")
    b.click("[data-zoom=all]", leaves=False)
    assert b.ask("document.querySelector('.chart [role=status]').textContent") == whole
    b.drag(".chart svg", 0.6, 0.9)
    assert b.ask("document.querySelector('.chart [role=status]').textContent") != whole
    b.click(".tabs a")
    b.click("a[href*='/timeline?around=']")
    assert "The hour around" in b.text()
    assert "status.ini" in b.text()


def test_the_rule(b: Browser, rule: str, keep: Keep = nothing) -> None:
    """Write a rule that is too narrow, see what it misses, widen it, see that it misses nothing."""
    b.click(".tabs a[href$='/lab']")
    narrow = rule.replace("/b.cgi?", "/c.cgi?")
    for text, held in ((narrow, False), (rule, True)):
        kept = b.ask("document.querySelectorAll('#kept ~ ul li').length")
        b.write("#rule", text)
        b.click("form[action$='/lab/test'] button")
        b.wait(f"document.querySelectorAll('#kept ~ ul li').length > {kept}", 600)
        first = b.ask("document.querySelector('.figures b').textContent")
        hit, of = (int(n.replace(",", "")) for n in first.split(" of "))
        assert (hit == of) == held, first
        assert ("Missed" in b.text()) != held
    assert b.ask("document.querySelector('details pre').textContent").count("frame") > 0
    keep("lab")


test_the_rule.__test__ = False  # type: ignore[attr-defined]


def export(b: Browser) -> str:
    """Hand the case on as Markdown; gives what was downloaded."""
    b.click(".tabs a")
    b.ask("document.querySelector('form[action$=\"/export\"] select').value = 'markdown'")
    b.click("form[action$='/export'] button", leaves=False)
    return b.downloaded().read_text(encoding="utf-8")


PAGES = (
    "", "/timeline", "/tables/flows", "/tables/flows/1", "/flows/1/wire", "/lab", "/hypotheses", "/words", "/mail", "/sql", "/jobs", "/log",
    "/custody",
)  # fmt: skip


def main() -> None:
    """Pictures of the pages for the docs."""
    cases, folder, wanted = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with served(cases) as address, Browser(width=1180, height=860) as b:
        def keep(name: str) -> None:
            if not wanted or f"web-{name}" in wanted:
                b.picture(folder / f"web-{name}.png")

        enter(b, address, keep)
        find_the_host(b, keep)
        b.click(".tabs a")
        open_the_turning_point(b, keep)
        b.click(".tabs a[href$='/lab']")
        keep("lab")
        b.click(".tabs a[href$='/hypotheses']")
        keep("hypotheses")
        assert not b.complaints(), b.complaints()


if __name__ == "__main__":
    main()
