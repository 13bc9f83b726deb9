"""In: nothing. Out: the golden files of this folder, written anew. Run by `make golden`. Never here: a comparison."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.golden import CASES, FOLDER, outputs

with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    expected = set()
    for case in CASES:
        for name, text in outputs(case, Path(work)):
            expected.add(name)
            path = FOLDER / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                print(f"changed: {name}")
    for path in FOLDER.iterdir():
        if path.suffix in (".txt", ".json") and path.name not in expected:
            path.unlink()
            print(f"removed: {path.name}")
