"""In: nothing but the installed package. Out: the data files that lie in it, as text or bytes.
Never here: understanding them (detectors/catalog.py, profiles/, enrich/)."""

from __future__ import annotations

from importlib import resources


def detector_pages() -> dict[str, str]:
    """File name -> text of every detector."""
    folder = resources.files("tracehound.detectors")
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".sql")}
