"""In: rules, captures, alerts of our own engine. Out: what Suricata or Snort 3, where installed, says of the same, compared.
Never here: our own matching. The program is started with the captures and a folder of its own; it is never downloaded."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tracehound.edges import rule_lab
from tracehound.edges.evidence import list_evidence
from tracehound.errors import UsageError
from tracehound.lab.trial import Expected
from tracehound.rules.settings import Settings

_SECONDS: Final = 600
_PRIVATE: Final = ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12")


def compared(
    engine: str, rules: Sequence[str], evidence: Sequence[str], settings: Settings, events: Sequence[Mapping[str, Any]],
    more: Sequence[str] = (), home: Sequence[str] = (),
) -> list[Expected]:  # fmt: skip
    """For each sid whether the other engine gives as many alerts as ours.

    events   our alerts of the evidence, but for `more`, on which our engine is run here
    Raises UsageError where the program is not installed or does not run."""
    program = shutil.which(engine)
    if program is None:
        raise UsageError(f"--engine {engine}: {engine} is not installed (not found on PATH); without --engine our own engine is used alone")
    ours = Counter(int(e["alert"]["signature_id"]) for e in events)
    if more:
        ours += rule_lab.run(rule_lab.make_ready(rules, settings), more).alerts
    theirs: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(prefix="tracehound-engine-") as name:
        folder = Path(name)
        merged = folder / "all.rules"
        merged.write_text("".join(Path(r).read_text(encoding="utf-8") + "\n" for r in rules), encoding="utf-8")
        for file in list_evidence(list(evidence)):
            theirs += _RUN[engine](program, merged, str(Path(file.path).absolute()), folder, f"[{','.join(home or _PRIVATE)}]")
    return [
        Expected(f"sid {sid}: {engine} gives as many alerts", ours[sid] == theirs[sid], f"ours {ours[sid]}, {engine} {theirs[sid]}")
        for sid in sorted(set(ours) | set(theirs))
    ] or [Expected(f"{engine} is as silent as our engine", True, "no alert")]


def _started(words: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise UsageError(f"--engine: {words[0]}: {cause}") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise UsageError(f"--engine: {words[0]} ended with status {done.returncode}: {' / '.join(last)}")
    return done.stdout


def _suricata(program: str, rules: Path, capture: str, folder: Path, home: str) -> Counter[int]:
    log = folder / "eve.json"
    log.unlink(missing_ok=True)
    _started([program, "-r", capture, "-S", str(rules), "-l", str(folder), "-k", "none", "--runmode", "single",
              "--set", f"vars.address-groups.HOME_NET={home}"], folder)  # fmt: skip
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return Counter(int(e["alert"]["signature_id"]) for e in events if e.get("event_type") == "alert")


def _snort(program: str, rules: Path, capture: str, folder: Path, home: str) -> Counter[int]:
    words = f"alert_csv = {{ fields = 'gid sid rev' }} HOME_NET = [[ {home} ]]"
    out = _started([program, "-q", "-k", "none", "-r", capture, "-R", str(rules), "-A", "csv", "--lua", words], folder)
    return Counter(int(row[1]) for row in csv.reader(out.splitlines()) if len(row) >= 3 and row[1].strip().isdigit())


_RUN: Final[dict[str, Callable[[str, Path, str, Path, str], Counter[int]]]] = {"suricata": _suricata, "snort": _snort}
