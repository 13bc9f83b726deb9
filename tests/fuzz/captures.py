"""Damage real captures and investigate them: each cut short at many places, and with many bytes flipped.

    python -m tests.fuzz.captures FOLDER [--cuts 20] [--flips 50] [--seed 1] [--judge 5] [--processes 2] [--only TEXT] [--keep DIR]

Every damaged copy is read, and every fifth (--judge) is judged, too. What is wrong is printed, one line each: a traceback (its
last line and place), no end after 10 s, a row that does not fit its table, or a quality record that counts other packets than
were read. Each capture is worked on in a process whose peak memory is looked at. Status 1 if anything was wrong. Of a capture
larger than 2 MB its beginning is taken."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Final

from tracehound import limits
from tracehound.edges.investigation import verdict_of
from tracehound.edges.reading import read
from tracehound.errors import TracehoundError

_SECONDS: Final = 10
_LARGEST_BYTES: Final = 2_000_000
_FLIPS_A_COPY: Final = 5
_BASE_BYTES: Final = 640 * limits.MIB
"""What a process that has judged an empty capture takes, with every library loaded: the ceiling is beside it."""


class TooLong(Exception):
    pass


def _stop(_number: int, _frame: object) -> None:
    raise TooLong


def damaged_copies(data: bytes, cuts: int, flips: int, chance: random.Random) -> list[tuple[str, bytes]]:
    """(what was done, bytes)"""
    out = []
    for _ in range(cuts):
        at = chance.randrange(len(data))
        out.append((f"cut at {at}", data[:at]))
    for _ in range(flips):
        copy = bytearray(data)
        places = [chance.randrange(len(copy)) for _ in range(_FLIPS_A_COPY)]
        for at in places:
            copy[at] ^= 1 << chance.randrange(8)
        out.append((f"flipped at {','.join(map(str, places))}", bytes(copy)))
    return out


def _said(problem: BaseException) -> str:
    place = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__}: {problem} ({Path(place.filename).name}:{place.lineno} {place.name})"


def check(path: str, *, judge: bool) -> str | None:
    """Read (and judge) one file; what is wrong, or None."""
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        with read(path) as reading:
            if judge:
                verdict_of(reading)
            counted = sum(r["count"] for r in reading.table("quality").to_pylist() if r["item"] == "packets")
            if counted != sum(f.packets for f in reading.files):
                return "the quality record counts other packets than were read"
    except TracehoundError:
        return None
    except TooLong as problem:
        return f"no end after {_SECONDS} s: {_said(problem)}"
    except Exception as problem:  # any kind: that is what is looked for
        return _said(problem)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def work(task: tuple[str, int, int, int, int, str]) -> tuple[str, int, list[tuple[str, str]], int]:
    """One capture: (path, copies tried, [(what was done, what is wrong)], peak bytes)."""
    path, cuts, flips, seed, judge, keep = task
    signal.signal(signal.SIGALRM, _stop)
    data = Path(path).read_bytes()[:_LARGEST_BYTES]
    chance = random.Random(f"{seed} {Path(path).name}")
    wrong = []
    copies = damaged_copies(data, cuts, flips, chance) if data else []
    for number, (what, copy) in enumerate(copies):
        with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as file:
            file.write(copy)
            file.flush()
            problem = check(file.name, judge=number % judge == 0)
        if problem is not None:
            wrong.append((what, problem))
            if keep:
                (Path(keep) / f"{Path(path).name}-{number}").write_bytes(copy)
    return path, len(copies), wrong, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _captures(folder: str, only: str) -> list[str]:
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file() and only in str(p))
    return [str(p) for p in files if p.suffix not in {".md", ".txt", ".json", ".jsonl", ".tsv", ".csv"}]


def main(words: list[str]) -> int:
    p = argparse.ArgumentParser(prog="python -m tests.fuzz.captures", description="Damage captures and investigate them.")
    p.add_argument("folder")
    p.add_argument("--cuts", type=int, default=20)
    p.add_argument("--flips", type=int, default=50)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--judge", type=int, default=5, help="judge one copy in so many (judging takes ten times as long as reading)")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--only", default="", help="captures whose path holds this text")
    p.add_argument("--keep", default="", help="folder for the copies that went wrong")
    args = p.parse_args(words)
    tasks = [(path, args.cuts, args.flips, args.seed, args.judge, args.keep) for path in _captures(args.folder, args.only)]
    tried, kinds, worst = 0, Counter[str](), 0
    with multiprocessing.get_context("spawn").Pool(args.processes, maxtasksperchild=8) as pool:
        for path, copies, wrong, peak in pool.imap_unordered(work, tasks):
            tried += copies
            worst = max(worst, peak)
            for what, problem in wrong:
                kinds[problem] += 1
                print(f"{path}: {what}: {problem}", flush=True)
            if peak > limits.MEMORY_CEILING_BYTES + _BASE_BYTES:
                kinds["memory"] += 1
                print(f"{path}: peak memory {peak / limits.MIB:.0f} MiB", flush=True)
    print(f"{len(tasks)} captures, {tried} damaged copies, {sum(kinds.values())} wrong, peak {worst / limits.MIB:.0f} MiB")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
