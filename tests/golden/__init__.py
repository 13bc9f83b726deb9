"""In: the demo's scenarios and model case. Out: what the program says of them, as files in this folder that a reviewer can read.
Never here: a judgement of what is right: `make golden` writes what is, the reviewer of the difference says whether it should be.

Text is kept of everything; JSON of the smaller scenarios only, because a verdict's JSON grows with its citations."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tracehound.demo import model_case
from tracehound.demo.scenarios import SCENARIOS
from tracehound.edges.investigation import investigate
from tracehound.findings.model import Verdict
from tracehound.report import brief, terminal
from tracehound.report.as_json import as_json

FOLDER = Path(__file__).resolve().parent
JSON_TOO = ("horizontal", "quiet")
MODEL_CASE = "model_case"
BRIEF_TOO = ("horizontal", "quiet", MODEL_CASE)
WIDTH = 80


def _scenario(name: str) -> Iterable[bytes]:
    return [SCENARIOS[name](1).pcapng()]


CASES: dict[str, Callable[[], Iterable[bytes]]] = {
    **{name: partial(_scenario, name) for name in SCENARIOS},
    MODEL_CASE: model_case.evidence,
}


def verdict(name: str, work: Path) -> Verdict:
    """Investigate one case. The file lies in `work`, which must be the current folder: paths are part of a verdict."""
    path = work / f"{name}.pcapng"
    with path.open("wb") as out:
        out.writelines(CASES[name]())
    try:
        return investigate([path.name])
    finally:
        path.unlink()


def outputs(name: str, work: Path) -> Iterator[tuple[str, str]]:
    """(file name, text) of every golden file of one case."""
    found = verdict(name, work)
    yield f"{name}.txt", terminal.render(found, width=WIDTH, color=False)
    if name in BRIEF_TOO:
        yield f"{name}.brief.txt", brief.render(found, width=WIDTH, color=False)
    if name in JSON_TOO:
        yield f"{name}.json", as_json(found, indent=1)


def differences(kept: Any, now: Any, where: str = "") -> Iterator[str]:
    """Where two JSON documents differ. Figures may differ in the last digits: they come from sums whose order is free."""
    if isinstance(kept, dict) and isinstance(now, dict):
        for key in kept.keys() | now.keys():
            if key not in kept or key not in now:
                yield f"{where}.{key}: only {'kept' if key in kept else 'now'}"
            else:
                yield from differences(kept[key], now[key], f"{where}.{key}")
    elif isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        for i, (a, b) in enumerate(zip(kept, now, strict=True)):
            yield from differences(a, b, f"{where}[{i}]")
    elif isinstance(kept, float) and isinstance(now, float):
        if not math.isclose(kept, now, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{where}: {kept!r} is now {now!r}"
    elif kept != now:
        yield f"{where}: {str(kept)[:200]!r} is now {str(now)[:200]!r}"


def parsed(text: str) -> Any:
    return json.loads(text)
