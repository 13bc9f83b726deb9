"""In: batches of packets with their flows, and what those speak. Out: the tables of what they say, read by several processes
at once. Never here: a protocol (protocols/transactions.py reads them, in the processes too).

What flows say is read in Python, which uses one processor a process. So the packets that matter are cut out, with their
payload, and sent to the process that answers for their pair of hosts: conversations between two hosts may refer to each other
(a data connection, a transfer from another port). A connection that is announced between other hosts than those that announce it
(FTP from server to server, DCC) is not tied to its announcement here. A process keeps its rows as Parquet files in the
work folder and names them when all is over.

The way there is a pipe with frames of numpy arrays; what travels is bytes and lengths, never code or pickles."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits
from tracehound.edges.store import Store
from tracehound.flows.assignment import Assignment
from tracehound.packets.batch import PacketBatch
from tracehound.packets.decode import no_packets
from tracehound.protocols.identify import Spoken
from tracehound.protocols.session import Interest
from tracehound.protocols.transactions import ANNOUNCERS, Transactions, reads, useful_rows
from tracehound.streams.reassemble import gather

_BATCH, _ENDED, _FINISH = 1, 2, 3
_PAIRS: Final = 0xFFFF
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


@cache
def _types() -> tuple[np.dtype[Any], ...]:
    """Of the arrays of a parcel: the buffer and the other columns of PacketBatch, then flow_id, from_originator, codes, undecided.

    Asked once a parcel is there: to make a batch takes a kernel, and a kernel the machine code that the process sets up first."""
    own = tuple(column.dtype for column in no_packets()[1:])
    return (np.dtype(np.uint8), *own, *(np.dtype(t) for t in (np.int64, np.bool_, np.uint8, np.bool_)))


def pair_of(packets: PacketBatch) -> NDArray[np.int64]:
    """A number for each packet's pair of hosts, the same in both directions."""
    with np.errstate(over="ignore"):
        both = packets.src_lo + packets.dst_lo + packets.src_hi + packets.dst_hi
        mixed = (both ^ both >> np.uint64(29)) * _MIX
    return (mixed >> np.uint64(40)).astype(np.int64)


def parcel(packets: PacketBatch, assignment: Assignment, spoken: Spoken, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The given rows as arrays: buffer (their payloads one behind the other), then the columns of _types."""
    held = np.where(packets.payload_offset[rows] >= 0, packets.payload_caplen[rows], 0).astype(np.int64)
    ends = np.cumsum(held)
    buffer = np.empty(int(ends[-1]) if rows.size else 0, np.uint8)
    gather(packets.buffer, packets.payload_offset[rows], held, buffer)
    columns: dict[str, NDArray[Any]] = {name: getattr(packets, name)[rows] for name in PacketBatch._fields[1:]}
    columns["payload_offset"] = np.where(columns["payload_offset"] >= 0, ends - held, -1)
    return [buffer, *columns.values(), *(c[rows] for c in assignment), *(c[rows] for c in spoken)]


def unpack(arrays: list[NDArray[Any]]) -> tuple[PacketBatch, Assignment, Spoken]:
    """What `parcel` packed."""
    columns = len(PacketBatch._fields)
    return PacketBatch(*arrays[:columns]), Assignment(*arrays[columns : columns + 2]), Spoken(*arrays[columns + 2 :])


def _send(out: IO[bytes], kind: int, arrays: list[NDArray[Any]]) -> None:
    sizes = np.array([kind, len(arrays), *(a.nbytes for a in arrays)], np.int64)
    out.write(sizes.tobytes())
    for array in arrays:
        out.write(np.ascontiguousarray(array).data)


def _read(source: IO[bytes], size: int) -> bytearray:
    block = bytearray(size)
    view = memoryview(block)
    at = 0
    while at < size:
        got = source.readinto(view[at:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        at += got
    return block


def _receive(source: IO[bytes]) -> tuple[int, list[bytearray]]:
    kind, count = np.frombuffer(_read(source, 16), np.int64).tolist()
    sizes = np.frombuffer(_read(source, 8 * count), np.int64).tolist()
    return kind, [_read(source, size) for size in sizes]


def worker(source: IO[bytes], out: IO[bytes], folder: Path, interest: Interest) -> None:
    """A process's work, until it is told to finish: then it names the files of each table, and the services that flows told of
    others, as one line of JSON."""
    transactions = Transactions(interest)
    services: dict[int, int] = {}
    store = Store(memory_bytes=limits.STORE_MEMORY_BYTES // 4, folder=folder)
    while True:
        kind, blocks = _receive(source)
        if kind == _FINISH:
            break
        if kind == _ENDED:
            tables = transactions.end(np.frombuffer(blocks[0], np.int64))
        else:
            arrays = [np.frombuffer(b, t) for b, t in zip(blocks, _types(), strict=True)]
            tables = transactions.add(*unpack(arrays))
        for name, table in tables.items():
            store.add(name, table)
        services |= transactions.take_services()
    for name, table in transactions.finish().items():
        store.add(name, table)
    files = {name: [str(p) for p in paths] for name, paths in store.all_files().items()}
    out.write(json.dumps({"files": files, "services": list(services.items())}).encode() + b"\n")
    out.flush()


class _Process:
    """One process and the thread that feeds it."""

    def __init__(self, folder: Path, interest: Interest) -> None:
        folder.mkdir(parents=True)
        tables = None if interest.tables is None else sorted(interest.tables)
        wanted = json.dumps({"details": interest.details, "tables": tables})
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tracehound.edges.shard_process", str(folder), wanted],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=limits.PIPE_BYTES,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        self._waiting: queue.Queue[tuple[int, list[NDArray[Any]]]] = queue.Queue(maxsize=limits.PARCELS_WAITING)
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._feed, name="tracehound-shard", daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        assert self._child.stdin is not None
        while True:
            kind, arrays = self._waiting.get()
            if self._problem is None:
                try:
                    _send(self._child.stdin, kind, arrays)
                    if kind == _FINISH:
                        self._child.stdin.close()
                except OSError as problem:
                    # The process is gone; `said` says so. Until then nothing may block on a full queue.
                    self._problem = problem
            if kind == _FINISH:
                return

    def put(self, kind: int, arrays: list[NDArray[Any]]) -> None:
        self._waiting.put((kind, arrays))

    def said(self) -> dict[str, Any]:
        """What it says once it has finished: files, services."""
        assert self._child.stdout is not None
        self._thread.join()
        said = self._child.stdout.read()
        if self._child.wait() or not said:
            raise RuntimeError(f"a process that reads conversations ended with status {self._child.returncode}")
        answer: dict[str, Any] = json.loads(said)
        return answer

    def stop(self) -> None:
        """Give up: end the process whatever it does."""
        self._child.kill()
        self._child.wait()


class Shards:
    """`Conversations` of the pipeline, spread over processes. Rows come out at the end, by `collect`."""

    def __init__(self, count: int, folder: Path, interest: Interest | None = None) -> None:
        """interest   what is wanted of flows, but for the content of files, which goes through no pipe"""
        wanted = interest if interest is not None else Interest()
        self._read = reads(wanted.tables)
        self._processes = [_Process(folder / f"shard-{i}", wanted) for i in range(count)]
        self._announcers = np.zeros(_PAIRS + 1, np.bool_)

    def add(self, packets: PacketBatch, assignment: Assignment, spoken: Spoken) -> dict[str, pa.Table]:
        """Send the packets that matter to where they are read."""
        pair = pair_of(packets)
        self._announcers[pair[ANNOUNCERS[spoken.codes]] & _PAIRS] = True
        rows = useful_rows(packets, assignment, spoken, self._announcers[pair & _PAIRS], self._read)
        shard = pair[rows] % len(self._processes)
        for number, process in enumerate(self._processes):
            mine = rows[shard == number]
            if mine.size:
                process.put(_BATCH, parcel(packets, assignment, spoken, mine))
        return {}

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """Tell all that these flows are over."""
        for process in self._processes:
            process.put(_ENDED, [np.ascontiguousarray(flow_ids)])
        return {}

    def take_services(self) -> dict[int, int]:
        """The processes tell at the end (`collect`)."""
        return {}

    def finish(self) -> dict[str, pa.Table]:
        """Tell all that the evidence is over; their rows come by `collect`."""
        for process in self._processes:
            process.put(_FINISH, [])
        return {}

    def collect(self, take: Callable[[str, list[Path]], None]) -> dict[int, int]:
        """After `finish`: wait until all have; hand the files of each table to `take`. Returns the services that flows told of
        others: flow_id -> code."""
        services: dict[int, int] = {}
        for process in self._processes:
            said = process.said()
            for name, paths in said["files"].items():
                take(name, [Path(p) for p in paths])
            services |= {int(flow_id): int(code) for flow_id, code in said["services"]}
        return services

    def stop(self) -> None:
        """Give up."""
        for process in self._processes:
            process.stop()
