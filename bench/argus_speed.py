"""In: an Argus file. Out: CPU time (user and system) to print it with `ra -n -c ,` and to read it here: into columns of records, into
flows, and into flows with all that the records tell. Never here: agreement (argus_agreement.py).

    python -m bench.argus_speed FILE"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tracehound import limits
from tracehound.edges.reading import read
from tracehound.flowlogs.argus import ArgusReader
from tracehound.pipeline import Wanted


def records(path: Path, *, details: bool) -> int:
    """Read the file into columns, a chunk at a time; the number of records."""
    reader = ArgusReader(details=details)
    buffer = np.empty(limits.LOG_CHUNK_BYTES, np.uint8)
    kept, count = 0, 0
    with path.open("rb") as file:
        while True:
            got = file.readinto(buffer.data[kept:])
            length = kept + got
            took = reader.feed(buffer, length, final=length < len(buffer))
            count += sum(len(block) for block in took.blocks)
            kept = length - took.consumed
            if length < len(buffer) or took.damage:
                return count
            buffer[:kept] = buffer[took.consumed : length].copy()


def flows(path: Path, *, details: bool) -> int:
    with read([str(path)], wanted=Wanted(transactions=False, records=details)) as reading:
        return int(reading.files[0].records)


def best(work: Callable[[], int], times: int = 3) -> tuple[float, int]:
    found = []
    count = work()
    for _ in range(times):
        before = time.process_time()
        count = work()
        found.append(time.process_time() - before)
    return min(found), count


def ra(path: Path) -> float:
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["ra", "-r", str(path), "-n", "-c", ","], stdout=subprocess.DEVNULL, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> int:
    path = Path(sys.argv[1])
    theirs = ra(path)
    print(f"ra -n -c ,                       {theirs:6.2f} s CPU")
    works: tuple[tuple[str, Callable[[], int]], ...] = (
        ("records into columns", lambda: records(path, details=False)),
        ("records with all they tell", lambda: records(path, details=True)),
        ("flows", lambda: flows(path, details=False)),
        ("flows, records, table argus", lambda: flows(path, details=True)),
    )
    for name, work in works:
        seconds, count = best(work)
        print(f"{name:32} {seconds:6.2f} s CPU  {count:9,} records  {theirs / seconds:5.1f} times as fast as ra")
    return 0


if __name__ == "__main__":
    sys.exit(main())
