"""In: a way to make a page of the documentation from a folder of captures. Out: the page written, and the exit status. Never here: a
word of the page (gallery.py, rule_gallery.py)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tracehound.errors import TracehoundError


def write(page: Callable[[Path], str], module: str, description: str, usual: str, words: Sequence[str] | None = None) -> int:
    """`python -m tracehound.cli.MODULE CAPTURES PAGE`; `usual` is where the page usually lies. The status is that of what went wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m tracehound.cli.{module}", description=description)
    parser.add_argument("captures", type=Path, help="folder of the captures")
    parser.add_argument("page", type=Path, help=f"file to write, {usual}")
    given = parser.parse_args(words)
    try:
        text = page(given.captures)
    except TracehoundError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_status
    given.page.write_text(text, encoding="utf-8")
    print(f"wrote {given.page}")
    return 0
