"""In: a folder of captures, and argus and nfdump where installed. Out: hosts that a verdict names from a log of a capture alone, or from
capture and log together, and not from the capture. Never here: what is right (the capture is taken for it), or time.

    python -m bench.named_hosts CAPTURES

Of each capture with five flows at least a log of each kind is written: by argus, by nfpcapd, and as Zeek's and Suricata's."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tracehound.cli.main import run
from tracehound.edges.investigation import verdict_of, verdict_tables
from tracehound.edges.reading import read
from tracehound.errors import EvidenceError
from tracehound.pipeline import Wanted

FEWEST_FLOWS = 5
Named = frozenset[tuple[str, str]]


def named(paths: list[str]) -> tuple[Named, int]:
    """(kind of finding, host) of every finding that names one, and how many flows there are."""
    with read(paths, wanted=Wanted(tables=verdict_tables())) as reading:
        verdict = verdict_of(reading)
        flows = int(reading.ask("SELECT COUNT(*) AS n FROM flows")["n"][0].as_py())
    return frozenset((f.kind, f.host) for f in verdict.findings if f.host is not None), flows


def logs(capture: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The logs of one capture that could be made, each with its kind."""
    if shutil.which("argus"):
        subprocess.run(["argus", "-r", str(capture), "-w", str(folder / "argus")], capture_output=True, check=False)
    if shutil.which("nfpcapd") and shutil.which("nfdump"):
        rotated = folder / "rotated"
        rotated.mkdir()
        subprocess.run(["nfpcapd", "-r", str(capture), "-l", str(rotated)], capture_output=True, check=False)
        subprocess.run(["nfdump", "-R", str(rotated), "-w", str(folder / "nfdump")], capture_output=True, check=False)
    for kind in ("zeek", "eve"):
        with contextlib.suppress(EvidenceError):
            run(["flows", "-q", str(capture), "--format", kind, "-o", str(folder / kind)])
    for kind in ("argus", "nfdump", "zeek", "eve"):
        path = folder / kind
        if path.exists() and path.stat().st_size > 100:
            yield kind, path


def main() -> int:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("captures", type=Path)
    args = p.parse_args()
    asked: Counter[str] = Counter()
    more: Counter[str] = Counter()
    differs: Counter[str] = Counter()
    for capture in sorted(path for path in args.captures.rglob("*") if path.is_file()):
        try:
            known, flows = named([str(capture)])
        except EvidenceError:
            continue
        if flows < FEWEST_FLOWS:
            continue
        hosts = {host for _, host in known}
        with tempfile.TemporaryDirectory() as folder:
            for kind, path in logs(capture, Path(folder)):
                alone, _ = named([str(path)])
                both, _ = named([str(capture), str(path)])
                asked[kind] += 1
                if extra := {n for n in alone if n[1] not in hosts}:
                    more[kind] += 1
                    print(f"{capture}: {kind} alone names {sorted(extra)}")
                if both != known:
                    differs[kind] += 1
                    print(f"{capture}: with {kind} other findings: {sorted(both ^ known)}")
    for kind, n in asked.items():
        print(f"{kind}: {n} captures; {more[kind]} where the log alone names another host; {differs[kind]} where capture and log differ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
