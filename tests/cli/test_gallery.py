"""In: a capture. Out: its page in the gallery says what the verdict says; the kept page shows ten captures."""

from __future__ import annotations

from pathlib import Path

from tracehound.cli import gallery
from tracehound.demo.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


def test_page_says_what_the_verdict_says(tmp_path, capsys):
    (tmp_path / "scan.pcapng").write_bytes(SCENARIOS["horizontal"](1).pcapng())
    exhibits = (gallery.Exhibit("scan.pcapng", "A scan", "made here"),)
    text = gallery.page(tmp_path, exhibits)
    assert "## A scan" in text and "`scan.pcapng`, made here" in text
    assert "> 1 host behaves strangely: " in text and "| probing host | " in text
    assert str(tmp_path) not in text, "the page says nothing of the machine it was written on"


def test_missing_capture_is_said(tmp_path, capsys):
    assert gallery.main([str(tmp_path), str(tmp_path / "gallery.md")]) == 3
    assert "cannot be opened" in capsys.readouterr().err


def test_kept_page_shows_ten_captures():
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert len(gallery.EXHIBITS) == 10
    for exhibit in gallery.EXHIBITS:
        assert f"## {exhibit.title}\n" in text and f"`{exhibit.path}`" in text
    assert text.count("\n> ") == 10 and "behaves strangely: " in text
