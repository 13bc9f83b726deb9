"""In: batches of packets with their flows, and what those speak. Out: the tables of what they say, read by several processes
at once. Never here: a protocol (protocols/transactions.py reads them, in the processes too).

What flows say is read in Python, which uses one processor a process. So the packets that matter are cut out, with their
payload, and sent to the process that answers for their pair of hosts: conversations between two hosts may refer to each other
(a data connection, a transfer from another port). A connection that is announced between other hosts than those that announce it
(FTP from server to server, DCC) is not tied to its announcement here. A process keeps its rows as Parquet files in the
work folder and names them when all is over.

The way there is memory that both share, used round and round: arrays are laid down in it, a pipe says how long they are, and
the process says each time that it is through with the oldest. What travels is bytes and lengths, never code or pickles."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections import deque
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
_READ: Final = b"."
_ALIGN: Final = 64
_PAIRS: Final = 0xFFFF
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


@cache
def _types() -> tuple[np.dtype[Any], ...]:
    """Of the arrays of a parcel: the buffer and the other columns of PacketBatch, then flow_id, from_originator, codes, undecided.

    Asked once a parcel is there: to make a batch takes a kernel, and a kernel the machine code that the process sets up first."""
    own = tuple(column.dtype for column in no_packets()[1:])
    return (np.dtype(np.uint8), *own, *(np.dtype(t) for t in (np.int64, np.bool_, np.uint8, np.bool_)))


def _shared_file(folder: Path, size: int) -> int:
    """A file of memory, or where there is none an unnamed one in the folder: its descriptor."""
    if hasattr(os, "memfd_create"):
        shared = os.memfd_create("tracehound")
    else:
        with tempfile.TemporaryFile(dir=folder) as file:
            shared = os.dup(file.fileno())
    os.truncate(shared, size)
    return shared


def pair_of(packets: PacketBatch) -> NDArray[np.int64]:
    """A number for each packet's pair of hosts, the same in both directions."""
    with np.errstate(over="ignore"):
        both = packets.src_lo + packets.dst_lo + packets.src_hi + packets.dst_hi
        mixed = (both ^ both >> np.uint64(29)) * _MIX
    return (mixed >> np.uint64(40)).astype(np.int64)


def parcel(packets: PacketBatch, assignment: Assignment, spoken: Spoken, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The given rows as arrays: buffer (their payloads one behind the other), then the columns of _types."""
    held, columns = _columns(packets, assignment, spoken, rows)
    buffer = np.empty(int(held.sum()), np.uint8)
    gather(packets.buffer, packets.payload_offset[rows], held, buffer)
    return [buffer, *columns]


def _columns(
    packets: PacketBatch, assignment: Assignment, spoken: Spoken, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """How much payload each of the rows has, and their columns, as if the payloads lay one behind the other."""
    offset = packets.payload_offset[rows]
    held = np.where(offset >= 0, packets.payload_caplen[rows], 0).astype(np.int64)
    columns: dict[str, NDArray[Any]] = {name: getattr(packets, name)[rows] for name in PacketBatch._fields[1:]}
    columns["payload_offset"] = np.where(offset >= 0, np.cumsum(held) - held, -1)
    return held, [*columns.values(), *(c[rows] for c in assignment), *(c[rows] for c in spoken)]


def unpack(arrays: list[NDArray[Any]]) -> tuple[PacketBatch, Assignment, Spoken]:
    """What `parcel` packed."""
    columns = len(PacketBatch._fields)
    return PacketBatch(*arrays[:columns]), Assignment(*arrays[columns : columns + 2]), Spoken(*arrays[columns + 2 :])


class Ring:
    """Memory for parcels. Each lies in one piece, beginning at a multiple of 64 bytes, behind the one before it or at the front."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: deque[tuple[int, int]] = deque()

    @property
    def waiting(self) -> int:
        """Parcels that were not given back."""
        return len(self._taken)

    def place(self, size: int) -> int | None:
        """Where a parcel of `size` bytes may lie now; None where there is no room yet."""
        if not self._taken:
            begin = 0
        else:
            oldest, end = self._taken[0][0], -(-self._taken[-1][1] // _ALIGN) * _ALIGN
            if end > oldest:
                begin, limit = (end, self._size) if end + size <= self._size else (0, oldest)
            else:
                begin, limit = end, oldest
            if begin + size > limit:
                return None
        self._taken.append((begin, begin + max(size, 1)))
        return begin

    def free(self) -> None:
        """The oldest was read."""
        self._taken.popleft()


def _whole(source: IO[bytes], size: int) -> bytearray:
    block = bytearray(source.read(size))
    if len(block) < size:
        raise EOFError
    return block


def _receive(source: IO[bytes], memory: mmap.mmap) -> tuple[int, list[memoryview | bytearray]]:
    """The kind of a message and its arrays: views of the shared memory, or their bytes where they came by the pipe."""
    kind, place, count = np.frombuffer(_whole(source, 24), np.int64).tolist()
    sizes = np.frombuffer(_whole(source, 8 * count), np.int64).tolist()
    if place < 0:
        return kind, [_whole(source, size) for size in sizes]
    arrays: list[memoryview | bytearray] = []
    view = memoryview(memory)
    for size in sizes:
        arrays.append(view[place : place + size])
        place += -(-size // _ALIGN) * _ALIGN
    return kind, arrays


def worker(source: IO[bytes], out: IO[bytes], memory: mmap.mmap, folder: Path, interest: Interest) -> None:
    """A process's work, until it is told to finish: then it names the files of each table, and the services that flows told of
    others, as one line of JSON. Before that it says _READ once for each parcel, when it is through with it."""
    transactions = Transactions(interest)
    services: dict[int, int] = {}
    store = Store(memory_bytes=limits.STORE_MEMORY_BYTES // 4, folder=folder)
    while True:
        kind, blocks = _receive(source, memory)
        if kind == _FINISH:
            break
        if kind == _ENDED:
            tables = transactions.end(np.frombuffer(blocks[0], np.int64).copy())
        else:
            arrays = [np.frombuffer(b, t) for b, t in zip(blocks, _types(), strict=True)]
            tables = transactions.add(*unpack(arrays))
            del arrays
        del blocks
        out.write(_READ)
        out.flush()
        for name, table in tables.items():
            store.add(name, table)
        services |= transactions.take_services()
    for name, table in transactions.finish().items():
        store.add(name, table)
    files = {name: [str(p) for p in paths] for name, paths in store.all_files().items()}
    out.write(json.dumps({"files": files, "services": list(services.items())}).encode() + b"\n")
    out.flush()


class _Process:
    """One process, and the memory shared with it."""

    def __init__(self, folder: Path, interest: Interest) -> None:
        folder.mkdir(parents=True)
        tables = None if interest.tables is None else sorted(interest.tables)
        wanted = json.dumps({"details": interest.details, "tables": tables})
        shared = _shared_file(folder, limits.SHARD_MEMORY_BYTES)
        try:
            self._memory = mmap.mmap(shared, limits.SHARD_MEMORY_BYTES)
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tracehound.edges.shard_process", str(folder), str(shared), wanted],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=limits.PIPE_BYTES, pass_fds=(shared,), bufsize=0,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )  # fmt: skip
        finally:
            os.close(shared)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._ring = Ring(limits.SHARD_MEMORY_BYTES)
        self._gone = False

    def put(self, kind: int, arrays: list[NDArray[Any]], lay: Callable[[NDArray[np.uint8]], None] | None = None) -> None:
        """Send arrays. lay: fills the first one, which then tells only its length."""
        sizes = [a.nbytes for a in arrays]
        place = self._room(sum(-(-size // _ALIGN) * _ALIGN for size in sizes))
        if self._gone:
            return
        head = np.array([kind, place, len(arrays), *sizes], np.int64).tobytes()
        if place < 0:
            whole = [np.ascontiguousarray(a) for a in arrays]
            if lay is not None:
                lay(whole[0])
            self._write(b"".join([head, *(a.tobytes() for a in whole)]))
            return
        for number, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
            room = self._bytes[place : place + size]
            if number == 0 and lay is not None:
                lay(room)
            else:
                room.view(array.dtype)[:] = array
            place += -(-size // _ALIGN) * _ALIGN
        self._write(head)

    def _room(self, size: int) -> int:
        """Where a parcel of this size may lie, once there is room; -1: it is larger than all the room there is, or nobody is there."""
        large = size > limits.SHARD_MEMORY_BYTES
        while not self._gone:
            place = self._ring.place(0 if large else size) if self._ring.waiting < limits.PARCELS_WAITING else None
            if place is not None:
                return -1 if large else place
            self._heard()
        return -1

    def _heard(self) -> None:
        """Wait until the process has read a parcel."""
        assert self._child.stdout is not None
        if self._child.stdout.read(1) == _READ:
            self._ring.free()
        else:
            self._gone = True

    def _write(self, data: bytes) -> None:
        assert self._child.stdin is not None
        left = memoryview(data)
        try:
            while left:
                left = left[self._child.stdin.write(left) :]
        except OSError:
            # The process is gone; `said` says so.
            self._gone = True

    def finish(self) -> None:
        """Tell it that the evidence is over."""
        assert self._child.stdin is not None
        if not self._gone:
            self._write(np.array([_FINISH, -1, 0], np.int64).tobytes())
        self._child.stdin.close()

    def said(self) -> dict[str, Any]:
        """What it says once it has finished: files, services."""
        assert self._child.stdout is not None
        said = self._child.stdout.read().lstrip(_READ)
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
                self._send(process, packets, assignment, spoken, mine)
        return {}

    def _send(
        self, process: _Process, packets: PacketBatch, assignment: Assignment, spoken: Spoken, rows: NDArray[np.int64]
    ) -> None:
        """As `parcel`, but payload is gathered where it is read."""
        held, columns = _columns(packets, assignment, spoken, rows)
        at = packets.payload_offset[rows]
        process.put(_BATCH, [np.empty(int(held.sum()), np.uint8), *columns], lambda room: gather(packets.buffer, at, held, room))

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """Tell all that these flows are over."""
        for process in self._processes:
            process.put(_ENDED, [flow_ids])
        return {}

    def take_services(self) -> dict[int, int]:
        """The processes tell at the end (`collect`)."""
        return {}

    def finish(self) -> dict[str, pa.Table]:
        """Tell all that the evidence is over; their rows come by `collect`."""
        for process in self._processes:
            process.finish()
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
