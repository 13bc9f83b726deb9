"""In: parcels of packets in shared memory, announced on standard input; a folder, the memory's descriptor and what is wanted of
flows on the command line. Out: the tables of what the flows say (shards.py has both ends of the way). Never here: reading a flow.

A program of its own, because the interpreter must be set up before what reads is loaded: without pandas, with machine code."""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
from pathlib import Path

from tracehound.edges.lean_imports import collect_seldom, leave_pandas_out


def main(folder: str, shared: str, wanted: str) -> int:
    """Read until told to finish; 1 where whoever feeds this process is gone."""
    # An interrupt is for the process that was asked; this one ends with its pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_pandas_out()
    from tracehound.edges import machine_code

    machine_code.install()
    from tracehound.edges.shards import worker
    from tracehound.protocols.session import Interest

    told = json.loads(wanted)
    tables = None if told["tables"] is None else frozenset(told["tables"])
    collect_seldom()
    memory = mmap.mmap(int(shared), 0)
    os.close(int(shared))
    try:
        worker(sys.stdin.buffer, sys.stdout.buffer, memory, Path(folder), Interest(details=told["details"], tables=tables))
    except EOFError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
