"""In: paths of capture files and flow logs, folders, '-' for standard input. Out: files in order of their first packet, and what they
hold: captures as `RawBatch`es, logs as blocks of records, with what was learned on the way (times, counts, damage, words, hashes).
Never here: a format (capture/, flowlogs/), what a packet holds (packets/).

Damage is a fact of the file, not an exception: everything before it is read. An EvidenceError is raised only where a path
that the user named gives nothing at all."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import stat
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits, tables
from tracehound.capture import kinds, pcap, pcapng
from tracehound.capture.link_types import link_type_name
from tracehound.capture.records import Note, RawBatch, Records, Walk
from tracehound.errors import EvidenceError
from tracehound.pipeline import LogBatch

if TYPE_CHECKING:
    from tracehound.flowlogs.reader import Block, Options

STDIN: Final = "-"
BUFFERS: Final = 4
"""Buffers in the ring of `read_batches`: a yielded buffer stays valid until three further batches have been asked for. With
`ahead` one is being worked on, one is ready, one is being filled, and one is to spare."""
_INPUT_BYTES: Final = 64 * limits.KIB
_OUTPUT_BYTES: Final = 64 * limits.KIB
_ZSTD_INPUT_BYTES: Final = 2 * limits.KIB
"""zstandard gives no bound for one call's output; 2 KiB of input are at most 512 blocks of 128 KiB."""
_FIRST_PEEK_BYTES: Final = 4 * limits.KIB

_PASSED_BYTES: Final = 1 << 18
"""Piece in which `read_stretches` decompresses."""
_FORMATS: Final[dict[str, tuple[Callable[[bytes], Any], Callable[..., Walk]]]] = {
    "pcap": (pcap.open_state, pcap.walk),
    "pcapng": (pcapng.open_state, pcapng.walk),
}


@dataclass(slots=True)
class EvidenceFile:
    """One file of the run. The first part is known from `list_evidence`, the second once `read_batches` is through it.

    size            bytes as the file lies on disk; None for pipes
    first_ts_ns     time of the first packet record; None where the file holds none
    start_ns        time of the earliest packet, ns UTC
    link_types      LINKTYPE numbers in order of appearance
    records         records of a flow log
    source          witness that the file is, or a part of: 0 for captures, a number from 1 for logs (those that continue each other
                    share it)
    log_counts      what the reader of a flow log counted for the quality record
    dropped         packets that the capturing machine says it lost (pcapng statistics); None where it does not say
    """

    path: str
    kind: str
    compression: str | None
    size: int | None
    first_ts_ns: int | None
    evidence_id: int = 0

    packets: int = 0
    records: int = 0
    source: int = 0
    log_counts: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int | None = None
    link_types: list[int] = field(default_factory=list)
    damage: str | None = None
    notes: list[Note] = field(default_factory=list)
    dropped: int | None = None
    sha256: str | None = None
    pipe: _Raw | None = field(default=None, repr=False, compare=False)

    @property
    def is_log(self) -> bool:
        """A flow log, not a capture."""
        return self.kind not in _FORMATS


# -- bytes of a file ----------------------------------------------------------------------------------------------------


class _Raw:
    """Bytes of a path as they lie there. For a pipe, `rewind` gives back what was read so far; it can be used once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.position = 0
        self.failure: str | None = None
        try:
            self._file = (
                open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
                if path == STDIN
                else open(path, "rb", buffering=0)  # noqa: SIM115, PTH123
            )
            mode = os.fstat(self._file.fileno()).st_mode
        except (OSError, ValueError) as problem:
            raise EvidenceError(path, f"cannot be opened: {_cause(problem)}") from problem
        self.size = os.fstat(self._file.fileno()).st_size if stat.S_ISREG(mode) and path != STDIN else None
        self.written_s = None if self.size is None else int(os.fstat(self._file.fileno()).st_mtime)
        self._kept: bytearray | None = bytearray() if self.size is None else None
        self._again = memoryview(b"")
        self._hash = hashlib.sha256() if self.size is None else None

    def readinto(self, target: memoryview) -> int:
        """Fill some of `target`; 0 = the end, or `failure` says why it is taken for the end."""
        if self._again:
            n = min(len(self._again), len(target))
            target[:n] = self._again[:n]
            self._again = self._again[n:]
        else:
            try:
                n = self._file.readinto(target) or 0
            except OSError as problem:
                self.failure = f"cannot be read beyond byte {self.position}: {_cause(problem)}"
                return 0
            if self._hash is not None:
                self._hash.update(target[:n])
            if self._kept is not None:
                self._kept += target[:n]
        self.position += n
        return n

    def rewind(self) -> None:
        """Begin again with the first byte. A pipe's bytes read from now on are no longer kept."""
        if self._kept is None:
            self._file.seek(0)
        else:
            self._again = memoryview(bytes(self._kept))
            self._kept = None
        self.position = 0

    def put_back(self, head: bytes) -> None:
        """Give `head`, which was just read, once more."""
        self._again = memoryview(head + bytes(self._again))
        self.position -= len(head)

    def digest(self) -> str | None:
        """SHA-256 of a pipe that was read to its end; None otherwise (`sha256` reads files by itself)."""
        return None if self._hash is None else self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()


def _cause(problem: BaseException) -> str:
    return getattr(problem, "strerror", None) or str(problem)


class _Decoder(Protocol):
    """One member (stream, frame) of a compressed file."""

    input_bytes: int

    def decode(self, data: bytes) -> bytes:
        """Take `data`, give a bounded piece of output; b"" as data asks for more output."""

    def hungry(self) -> bool:
        """No more output without more input."""

    def ended(self) -> bytes | None:
        """The bytes behind the member's end; None while it has not ended."""


class _Gzip:
    """zlib throws away the output of a call that fails; so a failed call is made again on a copy of the state
    before it with less and less input, until all that comes before the damage is out."""

    input_bytes = _INPUT_BYTES

    def __init__(self) -> None:
        self._z = zlib.decompressobj(wbits=31)
        self._input = b""
        self._full = False
        self._failure: zlib.error | None = None

    def decode(self, data: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        self._input += data
        before = self._z.copy()
        try:
            out = self._z.decompress(self._input, _OUTPUT_BYTES)
        except zlib.error as problem:
            self._failure = problem
            return self._rescue(before)
        self._input = self._z.unconsumed_tail
        self._full = len(out) == _OUTPUT_BYTES
        return out

    def _rescue(self, z: Any) -> bytes:
        out = bytearray()
        rest = self._input
        take = len(rest)
        while take:
            trial = z.copy()
            try:
                piece = trial.decompress(rest[:take], _OUTPUT_BYTES)
            except zlib.error:
                take //= 2
                continue
            out += piece
            rest = trial.unconsumed_tail + rest[take:]
            z, take = trial, min(take, len(rest))
        return bytes(out)

    def hungry(self) -> bool:
        return self._failure is None and not self._input and not self._full

    def ended(self) -> bytes | None:
        return self._z.unused_data if self._z.eof and self._failure is None else None


class _Stepwise:
    """bz2, lzma and lz4 share one interface."""

    input_bytes = _INPUT_BYTES

    def __init__(self, decompressor: Any) -> None:
        self._d = decompressor

    def decode(self, data: bytes) -> bytes:
        out: bytes = self._d.decompress(data, max_length=_OUTPUT_BYTES)
        return out

    def hungry(self) -> bool:
        return bool(self._d.needs_input)

    def ended(self) -> bytes | None:
        return (self._d.unused_data or b"") if self._d.eof else None


class _Zstd:
    input_bytes = _ZSTD_INPUT_BYTES

    def __init__(self) -> None:
        import zstandard

        self._d = zstandard.ZstdDecompressor(max_window_size=128 * limits.MIB).decompressobj()

    def decode(self, data: bytes) -> bytes:
        return self._d.decompress(data) if data else b""

    def hungry(self) -> bool:
        return True

    def ended(self) -> bytes | None:
        return self._d.unused_data if self._d.eof else None


def _lz4() -> _Stepwise:
    import lz4.frame

    return _Stepwise(lz4.frame.LZ4FrameDecompressor())


_DECODERS: Final[dict[str, Callable[[], _Decoder]]] = {
    "gzip": _Gzip,
    "bzip2": lambda: _Stepwise(bz2.BZ2Decompressor()),
    "xz": lambda: _Stepwise(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.MAX_DECOMPRESSOR_BYTES)),
    "zstd": _Zstd,
    "lz4": _lz4,
}


class _Plain:
    """An uncompressed file as a source of bytes. `damage` is set once it ends too early."""

    def __init__(self, raw: _Raw) -> None:
        self.raw = raw

    @property
    def damage(self) -> str | None:
        return self.raw.failure

    def readinto(self, target: memoryview) -> int:
        return self.raw.readinto(target)


class _Decompressed:
    """A compressed file as a source of bytes: members one after another, read up to the first damage."""

    def __init__(self, raw: _Raw, name: str) -> None:
        self.raw = raw
        self.damage: str | None = None
        self._name = name
        self._decoder: _Decoder | None = _DECODERS[name]()
        self._room = bytearray(self._decoder.input_bytes)
        self._input = b""
        self._output = memoryview(b"")
        self._produced = 0

    def readinto(self, target: memoryview) -> int:
        while not self._output:
            if self._decoder is None or not self._advance():
                return 0
        n = min(len(self._output), len(target))
        target[:n] = self._output[:n]
        self._output = self._output[n:]
        return n

    def _advance(self) -> bool:
        """Decode one piece; False = the end."""
        decoder = self._decoder
        assert decoder is not None
        if decoder.hungry() and not self._input:
            self._input = self._more()
            if not self._input:
                return self._end(self.raw.failure or f"{self._name} data is cut short at byte {self.raw.position}")
        data, self._input = self._input[: decoder.input_bytes], self._input[decoder.input_bytes :]
        try:
            out = decoder.decode(data)
        except MemoryError:
            raise
        except Exception as problem:  # lz4 raises RuntimeError; zlib, lzma and zstandard their own kinds
            return self._end(f"{self._name} data is damaged at or before byte {self.raw.position}: {problem}")
        self._produced += len(out)
        self._output = memoryview(out)
        bound = limits.DECOMPRESSED_HEADSTART_BYTES + limits.MAX_DECOMPRESSED_RATIO * self.raw.position
        if self._produced > bound:
            ratio = limits.MAX_DECOMPRESSED_RATIO
            self._end(f"{self._name} data grows to more than {ratio} times its size: not read beyond that")
        elif (rest := decoder.ended()) is not None:
            self._next_member(rest + self._input)
        return True

    def _more(self) -> bytes:
        n = self.raw.readinto(memoryview(self._room))
        return bytes(self._room[:n])

    def _next_member(self, rest: bytes) -> None:
        """Begin the member that follows, past zero bytes that pad (xz stream padding, tapes), or end here."""
        while True:
            rest = rest.lstrip(b"\0")
            if len(rest) >= 4 or not (more := self._more()):
                break
            rest += more
        if not rest:
            self._end(None)
        elif kinds.compression(rest + bytes(8)) == self._name or rest[1:4] == b"\x2a\x4d\x18":
            self._decoder = _DECODERS[self._name]()
            self._input = rest
        else:
            at = self.raw.position - len(rest)
            self._end(f"{self._name} data is followed by other bytes at byte {at}")

    def _end(self, damage: str | None) -> bool:
        self._decoder = None
        self.damage = damage
        return False


_Source = _Plain | _Decompressed


def _fill(source: _Source, target: memoryview) -> int:
    """Read until `target` is full or the source ends; return the bytes read."""
    n = 0
    while n < len(target):
        got = source.readinto(target[n:])
        if got == 0:
            break
        n += got
    return n


# -- which files there are ----------------------------------------------------------------------------------------------


def list_evidence(
    paths: Sequence[str], *, options: Options | None = None, skipped: Callable[[str, str], None] | None = None
) -> list[EvidenceFile]:
    """The evidence that `paths` name: files, folders (read through, in order of names), '-' for standard input.

    Kind and compression are decided from content. The result is in order of first packets (files without packets last)
    and numbered from 1. Files inside folders that are no evidence are left out; `skipped(path, what it looks like)` hears
    of each. A path named directly that is missing, empty or no evidence raises EvidenceError, as does a folder that holds
    none. A file named twice is read once. `options`: what the user says of logs."""
    found: list[EvidenceFile] = []
    seen: set[str] = set()
    try:
        for path in paths:
            for name, named in _expand(path):
                identity = STDIN if name == STDIN else os.path.realpath(name)
                if identity in seen:
                    continue
                seen.add(identity)
                try:
                    found.append(_examine(name, options))
                except EvidenceError as problem:
                    if named:
                        raise
                    if skipped is not None:
                        skipped(name, problem.cause)
            if Path(path).is_dir() and not any(_inside(file.path, path) for file in found):
                raise EvidenceError(path, "the folder holds no capture file and no flow log")
    except BaseException:
        for file in found:
            if file.pipe is not None:
                file.pipe.close()
        raise
    found.sort(key=lambda file: (file.first_ts_ns is None, file.first_ts_ns or 0))
    for number, file in enumerate(found, 1):
        file.evidence_id = number
    return found


def _inside(path: str, folder: str) -> bool:
    return path != STDIN and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _expand(path: str) -> Iterator[tuple[str, bool]]:
    """Files that `path` stands for, each with whether the user named it. Pipes and devices inside folders are left alone."""
    if path == STDIN or not Path(path).is_dir():
        yield path, True
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            inner = Path(folder) / name
            if inner.is_file():
                yield str(inner), False


def _examine(path: str, options: Options | None) -> EvidenceFile:
    """Open `path`, tell its kind, and find the time of its first packet."""
    raw = _Raw(path)
    keep = False
    try:
        source, squeezed, data = _open(raw)
        kind = kinds.capture_kind(data[: kinds.HEAD_BYTES])
        if kind is None:
            file = _examine_log(path, raw, source, squeezed, data, options)
        else:
            if _FORMATS[kind][0](data) is None:
                raise EvidenceError(path, f"a {kind} file that is cut short within its file header", offset=len(data))
            file = EvidenceFile(path, kind, squeezed, raw.size, _first_time(kind, source, data))
        if raw.size is None:
            raw.rewind()
            file.pipe, keep = raw, True
        return file
    finally:
        if not keep:
            raw.close()


def _examine_log(
    path: str, raw: _Raw, source: _Source, squeezed: str | None, data: bytes, told: Options | None
) -> EvidenceFile:
    from tracehound.flowlogs.formats import log_kind, open_log
    from tracehound.flowlogs.reader import Options

    options = replace(told or Options(), details=False, written_s=raw.written_s)
    data += _read(source, limits.LOG_HEAD_BYTES - len(data))
    kind = log_kind(data, options)
    if kind is None:
        raise EvidenceError(path, _no_capture(data, squeezed, source.damage))
    more = data + _read(source, _FIRST_PEEK_BYTES * 16)
    # A cut in the middle of a record is no damage yet: not the last bytes of the file.
    took = open_log(kind, data, options).feed(np.frombuffer(bytearray(more), np.uint8), len(more), final=False)
    first = min((int(block.start.min()) for block in took.blocks if len(block)), default=None)
    return EvidenceFile(path, kind, squeezed, raw.size, first)


def _open(raw: _Raw) -> tuple[_Source, str | None, bytes]:
    """The source of capture bytes in `raw`, its compression, and the first bytes (which the source has given already)."""
    head = _read(_Plain(raw), kinds.HEAD_BYTES)
    squeezed = kinds.compression(head)
    if squeezed is None:
        return _Plain(raw), None, head
    raw.put_back(head)
    source = _Decompressed(raw, squeezed)
    return source, squeezed, _read(source, kinds.HEAD_BYTES)


def read_stretches(path: str, stretches: Sequence[tuple[int, int]], *, most_passed: int) -> list[bytes]:
    """Bytes of a capture: where each stretch begins in the (decompressed) file, and how many bytes it has; in the order asked for.

    most_passed   how many bytes of a compressed file may be decompressed on the way
    Raises EvidenceError where the file cannot be read, ends before a stretch does, or a stretch lies beyond `most_passed`."""
    raw = _Raw(path)
    try:
        source, squeezed, window = _open(raw)
        if squeezed is None:
            with open(path, "rb") as file:  # noqa: PTH123
                found = dict(enumerate(os.pread(file.fileno(), count, begin) for begin, count in stretches))
        else:
            found, start = {}, 0
            for nth in sorted(range(len(stretches)), key=lambda n: stretches[n]):
                begin, count = stretches[nth]
                if begin + count > most_passed:
                    raise EvidenceError(path, f"is compressed: bytes beyond {most_passed:,} are not looked up", offset=begin)
                while start + len(window) < begin + count and (piece := _read(source, _PASSED_BYTES)):
                    drop = min(len(window), max(0, begin - start))
                    window, start = window[drop:] + piece, start + drop
                found[nth] = window[begin - start : begin - start + count]
    finally:
        raw.close()
    for nth, (begin, count) in enumerate(stretches):
        if len(found[nth]) != count:
            raise EvidenceError(path, "ends before the bytes that were asked for", offset=begin)
    return [found[nth] for nth in range(len(stretches))]


def _read(source: _Source, count: int) -> bytes:
    room = bytearray(count)
    return bytes(room[: _fill(source, memoryview(room))])


def _no_capture(head: bytes, squeezed: str | None, damage: str | None) -> str:
    if squeezed is None:
        return "is empty" if not head else f"is no capture file and no flow log: it looks like {kinds.looks_like(head)}"
    if damage is not None and len(head) < kinds.HEAD_BYTES:
        return f"nothing can be read: {damage}"
    return f"is {squeezed} data, but no capture file and no flow log inside: it looks like {kinds.looks_like(head)}"


def _first_time(kind: str, source: _Source, data: bytes) -> int | None:
    """Time of the first packet record; None where none is found in the first limits.MAX_PEEK_BYTES."""
    open_state, walk = _FORMATS[kind]
    want = _FIRST_PEEK_BYTES
    while True:
        more = _read(source, want - len(data))
        data += more
        # Writable, as read_batches' buffers are: numba would compile the kernel once more for bytes.
        found = walk(np.frombuffer(bytearray(data), np.uint8), len(data), open_state(data), final=len(data) < want)
        if len(found.records.ts):
            return int(found.records.ts[0])
        if len(data) < want or found.damage is not None or want >= limits.MAX_PEEK_BYTES:
            return None
        want *= 4


# -- reading ------------------------------------------------------------------------------------------------------------


class _Chains:
    """Which flow state a file belongs to. A file continues the chain that ended last among those that ended before it
    begins; where there is none, it is another witness and begins a chain.

    Files come in order of their first packet. So a chain that ended more than limits.TCP_IDLE_NS before a file begins holds
    no flow that this or any later file could continue: it is finished, and is said to be so once."""

    def __init__(self) -> None:
        self._end: dict[int, int] = {}
        self._count = 0

    def begin(self, first_ts: int) -> tuple[int, tuple[int, ...]]:
        """The chain of a file whose first packet is at `first_ts`, and the chains that are finished now."""
        finished = tuple(number for number, end in self._end.items() if first_ts - end > limits.TCP_IDLE_NS)
        for number in finished:
            del self._end[number]
        before = [(end, number) for number, end in self._end.items() if end <= first_ts]
        if before:
            return max(before)[1], finished
        self._count += 1
        self._end[self._count - 1] = first_ts
        return self._count - 1, finished

    def reach(self, number: int, ts: int) -> None:
        self._end[number] = max(self._end[number], ts)


class _Ring:
    """Buffers used in turn. Each grows to what it was last asked for and stays so."""

    def __init__(self, count: int) -> None:
        self._buffers: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * count
        self._next = 0

    def take(self, size: int) -> NDArray[np.uint8]:
        """The buffer unused for longest, with `size` bytes and limits.BATCH_SLACK_BYTES to spare."""
        place = self._next
        self._next = (place + 1) % len(self._buffers)
        if len(self._buffers[place]) < size + limits.BATCH_SLACK_BYTES:
            self._buffers[place] = np.empty(size + limits.BATCH_SLACK_BYTES, np.uint8)
        return self._buffers[place]


Progress = Callable[[int, int | None], None]
"""Told (bytes read so far as they lie on disk, bytes in all or None where a pipe is among the files)."""


def read_batches(
    files: Sequence[EvidenceFile],
    *,
    chunk_bytes: int = limits.CHUNK_BYTES,
    progress: Progress | None = None,
) -> Iterator[RawBatch]:
    """Read `files` (from `list_evidence`) one after another; yield a batch of about `chunk_bytes` at a time, none empty.

    A batch's buffer is one of a ring of BUFFERS and stays valid until BUFFERS - 1 further batches have been asked for. What
    is learned is kept in the EvidenceFile: packets, times, link types, damage, words. Raises EvidenceError only where a
    file cannot be opened any more or has become something else since it was listed."""
    ring = _Ring(BUFFERS)
    chains = _Chains()
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    done = 0
    for file in files:
        if file.is_log:
            continue
        raw = file.pipe or _Raw(file.path)
        file.pipe = None
        _forget(file)
        try:
            for batch in _read_file(file, raw, ring, chains, chunk_bytes):
                if progress is not None:
                    progress(done + raw.position, total)
                yield batch
            if file.size is None and file.damage is None:
                file.sha256 = raw.digest()
            done += raw.position if file.size is None else file.size
        finally:
            raw.close()
        if progress is not None:
            progress(done, total)


def _forget(file: EvidenceFile) -> None:
    """Undo what an earlier reading learned, so that a file can be read again."""
    file.packets, file.start_ns, file.end_ns, file.damage, file.dropped = 0, None, None, None, None
    file.link_types, file.notes, file.records, file.log_counts = [], [], 0, {}


def _read_file(file: EvidenceFile, raw: _Raw, ring: _Ring, chains: _Chains, chunk_bytes: int) -> Iterator[RawBatch]:
    """Batches of one file. The bytes of an incomplete record move to the front of the next buffer."""
    source, squeezed, carry = _open(raw)
    kind = kinds.capture_kind(carry)
    state = _FORMATS[kind][0](carry) if kind is not None else None
    if kind != file.kind or squeezed != file.compression or state is None:
        raise EvidenceError(file.path, "is no longer the file that was listed")
    walk = _FORMATS[file.kind][1]
    tail: NDArray[np.uint8] = np.frombuffer(carry, np.uint8)
    base = 0
    chain: int | None = None
    size = max(chunk_bytes, len(tail))
    while True:
        size = max(size, len(tail))
        buffer = ring.take(size)
        buffer[: len(tail)] = tail
        length = len(tail) + _fill(source, buffer.data[len(tail) : size])
        final = length < size
        walked = walk(buffer, length, state, final=final)
        records: Records = walked.records
        _learn(file, walked)
        if len(records.ts):
            finished: tuple[int, ...] = ()
            if chain is None:
                chain, finished = chains.begin(int(records.ts[0]))
            chains.reach(chain, int(records.ts.max()))
            first_frame = file.packets - len(records.ts) + 1
            yield RawBatch(buffer, length, base, file.evidence_id, first_frame, records, chain, finished)
        if walked.damage is not None or final:
            file.damage = "; ".join(words for words in (source.damage, walked.damage) if words) or None
            return
        # A record that is longer than the buffer: the formats bound how long one can be, so this ends.
        size = chunk_bytes if walked.consumed else size * 2
        state = walked.state
        base += walked.consumed
        tail = buffer[walked.consumed : length]


def _learn(file: EvidenceFile, walked: Walk) -> None:
    records = walked.records
    file.notes.extend(walked.notes)
    file.dropped = getattr(walked.state, "dropped", None)
    if not len(records.ts):
        return
    file.packets += len(records.ts)
    earliest, latest = int(records.ts.min()), int(records.ts.max())
    file.start_ns = earliest if file.start_ns is None else min(file.start_ns, earliest)
    file.end_ns = latest if file.end_ns is None else max(file.end_ns, latest)
    # Nearly always one link type: comparing with it is much cheaper than sorting.
    if bool((records.link_type == records.link_type[0]).all()):
        if int(records.link_type[0]) not in file.link_types:
            file.link_types.append(int(records.link_type[0]))
        return
    kinds_here, first = np.unique(records.link_type, return_index=True)
    for place in np.argsort(first).tolist():
        if (link_type := int(kinds_here[place])) not in file.link_types:
            file.link_types.append(link_type)


# -- flow logs ------------------------------------------------------------------------------------------------------------


class _LogChains(_Chains):
    """Which flow state a log belongs to: as with captures, but logs are written when flows are over, so one file begins before the
    last flow of the file before it ended."""

    def begin(self, first_ts: int) -> tuple[int, tuple[int, ...]]:
        return super().begin(first_ts + limits.LOG_OVERLAP_NS)


def read_logs(
    files: Sequence[EvidenceFile],
    *,
    options: Options | None = None,
    chunk_bytes: int = limits.LOG_CHUNK_BYTES,
    progress: Progress | None = None,
) -> Iterator[LogBatch]:
    """Read the flow logs among `files` (from `list_evidence`) one after another, block by block.

    What is learned is kept in the EvidenceFile, as by `read_batches`. A block's addresses and numbers stay valid; raises as
    `read_batches` does."""
    from tracehound.flowlogs.reader import Options

    options = options or Options()
    chains: dict[str, _LogChains] = {}
    numbers: dict[tuple[str, int], int] = {}
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    done = sum(file.size or 0 for file in files if not file.is_log)
    for file in files:
        if not file.is_log:
            continue
        raw = file.pipe or _Raw(file.path)
        file.pipe = None
        _forget(file)
        mine = chains.setdefault(file.kind, _LogChains())
        chain, finished = mine.begin(file.first_ts_ns or 0)
        over = tuple(numbers[file.kind, n] for n in finished)
        number = numbers.setdefault((file.kind, chain), len(numbers))
        file.source = number + 1
        try:
            for block in _read_log(file, raw, replace(options, written_s=raw.written_s), chunk_bytes):
                mine.reach(chain, int(block.end.max()))
                if progress is not None:
                    progress(done + raw.position, total)
                yield LogBatch(block, file.evidence_id, number, over)
                over = ()
            if file.size is None and file.damage is None:
                file.sha256 = raw.digest()
            done += raw.position if file.size is None else file.size
        finally:
            raw.close()
        if progress is not None:
            progress(done, total)


def _read_log(file: EvidenceFile, raw: _Raw, options: Options, chunk_bytes: int) -> Iterator[Block]:
    from tracehound.flowlogs.formats import log_kind, open_log

    source, squeezed, carry = _open(raw)
    carry += _read(source, limits.LOG_HEAD_BYTES - len(carry))
    if log_kind(carry, options) != file.kind or squeezed != file.compression:
        raise EvidenceError(file.path, "is no longer the file that was listed")
    reader = open_log(file.kind, carry, options)
    size = max(chunk_bytes, len(carry))
    buffer = np.empty(size, np.uint8)
    buffer[: len(carry)] = np.frombuffer(carry, np.uint8)
    kept = len(carry)
    while True:
        length = kept + _fill(source, buffer.data[kept:size])
        final = length < size
        took = reader.feed(buffer, length, final=final)
        for block in took.blocks:
            _learn_log(file, block)
            yield block
        file.log_counts = reader.counts
        if took.damage is not None or final:
            file.damage = "; ".join(words for words in (source.damage, took.damage) if words) or None
            file.notes = [Note("log", text) for text in reader.words[: limits.MAX_COMMENTS]]
            return
        kept = length - took.consumed
        size = max(chunk_bytes, kept * 2)
        if size > limits.MAX_LOG_RECORD_BYTES * 2:
            file.damage = f"byte {raw.position}: a record is longer than {limits.MAX_LOG_RECORD_BYTES} bytes"
            return
        fresh = np.empty(size, np.uint8) if size > len(buffer) else buffer
        fresh[:kept] = buffer[took.consumed : length].copy()
        buffer = fresh


def _learn_log(file: EvidenceFile, block: Block) -> None:
    file.records += len(block)
    earliest, latest = int(block.start.min()), int(block.end.max())
    file.start_ns = earliest if file.start_ns is None else min(file.start_ns, earliest)
    file.end_ns = latest if file.end_ns is None else max(file.end_ns, latest)


# -- what was learned ---------------------------------------------------------------------------------------------------


def sha256(path: str) -> str:
    """SHA-256 of a file as it lies on disk."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise EvidenceError(path, f"cannot be hashed: {_cause(problem)}") from problem


def hash_in_background(files: Sequence[EvidenceFile]) -> Callable[[], None]:
    """Begin to hash `files`, beside the work of the caller; call the result to wait until each has its `sha256`.

    Pipes get theirs from `read_batches`. A file that cannot be read (any more) keeps None."""
    wanted = [file for file in files if file.size is not None]

    def work() -> None:
        for file in wanted:
            try:
                file.sha256 = sha256(file.path)
            except EvidenceError:
                file.sha256 = None

    thread = threading.Thread(target=work, name="tracehound-hash", daemon=True)
    thread.start()
    return thread.join


def link_types_text(file: EvidenceFile) -> str | None:
    """ "1 ETHERNET, 101 RAW", or None where no packet was read."""
    return ", ".join(f"{number} {link_type_name(number)}" for number in file.link_types) or None


def evidence_table(files: Sequence[EvidenceFile]) -> pa.Table:
    """The table `evidence`, one row a file."""
    rows = [
        {
            "evidence_id": file.evidence_id,
            "path": file.path,
            "kind": file.kind,
            "compression": file.compression,
            "size": file.size,
            "sha256": file.sha256,
            "packets": file.packets,
            "records": file.records,
            "start": file.start_ns,
            "end": file.end_ns,
            "link_types": link_types_text(file),
            "damage": file.damage,
        }
        for file in files
    ]
    return pa.Table.from_pylist(rows, schema=tables.EVIDENCE.schema)


def notes_table(files: Sequence[EvidenceFile]) -> pa.Table:
    """The table `capture_notes`, one row a comment or name."""
    rows = [
        {
            "evidence_id": file.evidence_id,
            "kind": note.kind,
            "frame": note.frame,
            "subject": note.subject,
            "text": note.text,
        }
        for file in files
        for note in file.notes
    ]
    return pa.Table.from_pylist(rows, schema=tables.NOTES.schema)
