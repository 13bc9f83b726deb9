"""In: a folder of captures. Out: which command lines over them end with another status than 0 (done) or 4 (partly readable), say a
traceback, write something else than JSON lines, or take too long. Never here: a judgement of what a command prints.

    python -m bench.exit_statuses CAPTURES [--verbs flows,http,...] [--only TEXT] [--seconds 60] [--processes 2]

Each command is the program's entry point with its own arguments, standard output and standard error, in a process that was
forked from one that has loaded it: the walk costs what the work costs, not a start of the interpreter for each. Status 1 if
anything was wrong."""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

VERBS: Final = ("flows", "packets", "http", "dns", "tls", "files", "logins", "hosts", "investigate")
ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {"investigate": (), "hosts": ()}
"""What follows the capture; other verbs print their table."""
TABLE: Final = ("--format", "jsonl", "-o", "-")
GOOD: Final = (0, 4)
_AHEAD: Final = (
    "tracehound.edges.reading",
    "tracehound.cli.flows",
    "tracehound.cli.protocol",
    "tracehound.cli.investigate",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended; `wrong` says what is wrong with that, empty where nothing is."""

    capture: str
    verb: str
    status: int
    seconds: float
    wrong: str


def _become(argv: Sequence[str], out: int, err: int) -> None:
    """In the forked process: be the command."""
    from tracehound.cli import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["tracehound", *argv]
    status = 70
    try:
        main.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(pid: int, seconds: float) -> int | None:
    """The status of a process, -n where a signal ended it; None where it had to be stopped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, raw = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(raw)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _odd(verb: str, status: int | None, out: Path, err: Path) -> str:
    if status is None:
        return "no end in time"
    said = err.read_text(encoding="utf-8", errors="replace")
    last = said.strip().splitlines()[-1:] or [""]
    if "Traceback (most recent call last)" in said:
        return f"traceback: {last[0]}"
    if status not in GOOD:
        return f"status {status}: {last[0]}"
    if status == 4 and not said.strip():
        return "status 4 without a word why"
    if verb not in ARGUMENTS:
        with out.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    json.loads(line)
                except ValueError as problem:
                    return f"line {number} is no JSON: {problem}"
    elif verb == "investigate" and not out.stat().st_size:
        return "nothing printed"
    return ""


def walk(capture: Path, verbs: Sequence[str], seconds: float) -> list[Ended]:
    """Every verb over one capture."""
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        for verb in verbs:
            out, err = Path(folder, "out"), Path(folder, "err")
            argv = [verb, str(capture), *ARGUMENTS.get(verb, TABLE)]
            began = time.monotonic()
            with out.open("wb") as stdout, err.open("wb") as stderr:
                pid = os.fork()
                if not pid:
                    _become(argv, stdout.fileno(), stderr.fileno())
                status = _wait(pid, seconds)
            wrong = _odd(verb, status, out, err)
            ends.append(Ended(str(capture), verb, -99 if status is None else status, time.monotonic() - began, wrong))
    return ends


def _load_ahead() -> None:
    for name in _AHEAD:
        importlib.import_module(name)


def main(argv: list[str] | None = None) -> int:
    """Walk and print; 1 if anything was wrong."""
    p = argparse.ArgumentParser(prog="bench.exit_statuses", description="Exit statuses of verbs over captures.")
    p.add_argument("captures", type=Path)
    p.add_argument("--verbs", default=",".join(VERBS), help="verbs, separated by commas")
    p.add_argument("--only", default="", help="captures whose path holds this text")
    p.add_argument("--seconds", type=float, default=60, help="what one command may take")
    p.add_argument("--processes", type=int, default=2)
    args = p.parse_args(argv)
    verbs = args.verbs.split(",")
    captures = [f for f in sorted(args.captures.resolve().rglob("*")) if f.is_file() and args.only in str(f)]
    counts: Counter[int] = Counter()
    wrong, slowest = 0, Ended("", "", 0, 0.0, "")
    # Workers start afresh, so that what each forks has no threads of another.
    with multiprocessing.get_context("spawn").Pool(args.processes, _load_ahead) as pool:
        for ends in pool.imap(partial(walk, verbs=verbs, seconds=args.seconds), captures):
            for end in ends:
                counts[end.status] += 1
                slowest = max(slowest, end, key=lambda e: e.seconds)
                if end.wrong:
                    wrong += 1
                    print(f"{end.verb} {os.path.relpath(end.capture, args.captures)}: {end.wrong}", flush=True)
    print(
        f"{len(captures)} captures, {len(verbs)} verbs, {counts.total()} commands: "
        + ", ".join(f"{number} ended with {status}" for status, number in sorted(counts.items()))
        + f"; {wrong} wrong"
    )
    print(f"slowest: {slowest.verb} {Path(slowest.capture).name}, {slowest.seconds:.1f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
