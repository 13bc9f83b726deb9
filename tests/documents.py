"""In: Markdown text. Out: its fenced examples and links; and a shell in which `tracehound` is this program.
Never here: a test.

Convention: in a ```console block, a line `$ tracehound ...` is a command (it may go on in further lines after a backslash, and
may be piped); the lines below it are what it prints on standard output. A line `...` stands for any number of lines, `...`
inside a line for any text. A command with nothing below it only has to succeed. Every ```python block is run as it stands.
Anything else (```sh, ```text) is shown, not run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One command or program of a page, with the output that the page shows for it (None: none is shown)."""

    page: str
    line: int
    language: str
    text: str
    shown: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def examples(path: Path) -> Iterator[Example]:
    """Every example of a page that is to be run."""
    text = path.read_text(encoding="utf-8")
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            yield Example(name_of(path), line, "python", block[2])
        elif block[1] == "console":
            yield from commands(name_of(path), line, block[2])


def commands(page: str, line: int, text: str) -> Iterator[Example]:
    """The commands of one console block."""
    command: list[str] = []
    shown: list[str] = []
    at = line

    def done() -> Example:
        return Example(page, at, "console", "\n".join(command), "\n".join(shown) or None)

    more = False
    for number, row in enumerate(text.splitlines(), line):
        if more:
            command.append(row)
        elif row.startswith("$ "):
            if command:
                yield done()
            command, shown, at = [row[2:]], [], number
        else:
            assert command, f"{page}:{number}: output without a command"
            shown.append(row)
        more = row.endswith("\\") and not shown
    if command:
        yield done()


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what the page shows, `...` standing for anything."""
    pattern = ""
    for row in shown.strip("\n").split("\n"):
        if row.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in row.rstrip().split("...")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


def run(example: Example, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one example in `folder`, with this Python's own `tracehound`."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    env = {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "80"}
    words = ["bash", "-o", "pipefail", "-c", example.text] if example.language == "console" else [sys.executable, "-c", example.text]
    return subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )
