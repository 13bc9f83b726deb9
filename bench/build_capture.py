"""In: the shared real captures, and a size. Out: one large classic pcap made of them: copies with other addresses, times
shifted and interleaved, checksums kept as they were. Never here: timing (run.py).

The capture is the same bytes every time for the same recipe, and is kept in a folder to be used again. Copies
that overlap have addresses of their own, so that a capture ten times larger holds ten times the flows, at the same packets a
second: more evidence, not a busier network."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import struct
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.kernels import Int, kernel
from tracehound.packets.octets import be16, be32

RECIPE: Final = 3
"""Changed with every change of this file that changes a byte of the capture."""
ETHERNET: Final = 1
SNAPLEN: Final = 262_144
"""libpcap's MAXIMUM_SNAPLEN: no tool reads more of one packet."""
EPOCH_NS: Final = 1_700_000_000 * 1_000_000_000
COPY_EVERY_NS: Final = 30 * 1_000_000_000
FILES_WITHIN_NS: Final = 300 * 1_000_000_000
"""A copy begins every 30 s and its files begin within 300 s of that: ten copies overlap at any time."""
ADDRESS_SETS: Final = 128
"""After so many copies (64 minutes) the addresses come again: longer evidence of the same network, not of ever more hosts."""
LONGEST_NS: Final = 3500 * 1_000_000_000
"""Captures that last longer are left out. So no two flows with the same addresses and ports overlap."""
OUT_BYTES: Final = 32 << 20

SHARED: Final = Path(__file__).resolve().parents[2] / "shared" / "captures"
DEFAULT_FOLDER: Final = Path(tempfile.gettempdir()) / "tracehound-bench"


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: sizes in bytes, and how many files and copies went into it."""

    path: str
    size_bytes: int
    packets: int
    files: int
    left_out: int
    copies: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Template:
    """All packets of the source captures, file after file. rel_ns is the time since the file's earliest packet."""

    buffer: NDArray[np.uint8]
    offset: NDArray[np.int64]
    caplen: NDArray[np.int64]
    wirelen: NDArray[np.int64]
    rel_ns: NDArray[np.int64]
    file: NDArray[np.int64]
    files: int
    left_out: int


def load(folder: Path) -> Template:
    """Read every Ethernet capture in `folder` through tracehound's own reader."""
    files = sorted(list_evidence([str(folder)]), key=lambda f: f.path)
    bytes_: list[NDArray[np.uint8]] = []
    columns: list[NDArray[np.int64]] = []
    at = kept = left_out = 0
    for file in files:
        pieces: list[NDArray[np.uint8]] = []
        rows: list[NDArray[np.int64]] = []
        here = at
        ordinary = True
        for batch in read_batches([file]):
            r = batch.records
            ordinary &= bool((r.link_type == ETHERNET).all() and (r.caplen <= SNAPLEN).all() and (r.caplen > 0).all())
            pieces.append(batch.buffer[: batch.length].copy())
            rows.append(
                np.stack([r.offset + here, r.caplen, r.wirelen, r.ts, np.full(r.ts.size, kept)]).astype(np.int64)
            )
            here += batch.length
        if not rows or not ordinary:
            left_out += 1
            continue
        joined = np.concatenate(rows, axis=1)
        joined[3] -= joined[3].min()
        if joined[3].max() > LONGEST_NS:
            left_out += 1
            continue
        bytes_ += pieces
        columns.append(joined)
        at = here
        kept += 1
    offset, caplen, wirelen, rel_ns, number = np.concatenate(columns, axis=1)
    return Template(np.concatenate(bytes_), offset, caplen, wirelen, rel_ns, number, kept, left_out)


@kernel
def put16(out: NDArray[np.uint8], at: int, value: int) -> None:
    out[at] = value >> 8 & 0xFF
    out[at + 1] = value & 0xFF


@kernel
def put32_little(out: NDArray[np.uint8], at: int, value: int) -> None:
    for k in range(4):
        out[at + k] = value >> (8 * k) & 0xFF


@kernel
def correct(out: NDArray[np.uint8], at: int, change: int) -> None:
    """RFC 1624: HC' = ~(~HC + ~m + m'); `change` is the sum of ~m + m' over all words changed."""
    total = (be16(out, at) ^ 0xFFFF) + change
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    put16(out, at, total ^ 0xFFFF)


@kernel
def exchange(out: NDArray[np.uint8], at: int, mask: int) -> Int:
    """XOR the 16-bit word at `at`; returns ~m + m' for `correct`."""
    old = be16(out, at)
    put16(out, at, old ^ mask)
    return (old ^ 0xFFFF) + (old ^ mask)


@kernel
def rewrite_ipv4(out: NDArray[np.uint8], at: int, copy: int) -> int:
    """Other addresses for the IPv4 header at `at`, and its checksum with them; returns the change for `correct`."""
    change = 0
    for address in (at + 12, at + 16):
        # Multicast, broadcast and 0.0.0.0 mean the same everywhere.
        if out[address] >= 224 or be32(out, address) == 0:
            continue
        # Private networks stay private: 192.168/16 moves to 10.128/9; elsewhere the lower half of the second octet and the
        # third change. So the copies also differ in the first 12 bits, which are all that tcpdump's table of names looks at:
        # hosts that share them make it slower by the square, and what is compared here would be that alone.
        if be16(out, address) == 0xC0A8:
            change += exchange(out, address, 0xC0A8 ^ (0x0A80 | copy))
        else:
            change += exchange(out, address, copy & 0x0F)
            change += exchange(out, address + 2, (copy >> 4) << 8)
    correct(out, at + 10, change)
    return change


@kernel
def rewrite(out: NDArray[np.uint8], at: int, end: int, copy: int) -> None:
    """Give the Ethernet frame out[at:end] the addresses of copy number `copy`."""
    if at + 14 > end:
        return
    kind, at = be16(out, at + 12), at + 14
    while kind in (0x8100, 0x88A8) and at + 4 <= end:
        kind, at = be16(out, at + 2), at + 4
    checksum_at = -1
    change = 0
    if kind == 0x0800 and at + 20 <= end:
        change = rewrite_ipv4(out, at, copy)
        proto, here = int(out[at + 9]), at + (int(out[at]) & 15) * 4
        if be16(out, at + 6) & 0x1FFF:
            return
        # An ICMP error quotes the header it speaks of. Rewritten with its own checksum it sums to the same, so that the
        # message's checksum holds.
        if proto == 1 and here + 28 <= end and out[here] in (3, 4, 5, 11, 12) and out[here + 8] >> 4 == 4:
            rewrite_ipv4(out, here + 8, copy)
    elif kind == 0x86DD and at + 40 <= end:
        for address in (at + 8, at + 24):
            if out[address] != 0xFF:
                change += exchange(out, address + 6, copy)
        proto, here = int(out[at + 6]), at + 40
        if proto == 0 and here + 8 <= end:
            proto, here = int(out[here]), here + 8 + int(out[here + 1]) * 8
    else:
        return
    if proto == 6:
        checksum_at = here + 16
    elif proto == 17 and here + 8 <= end and be16(out, here + 6) != 0:
        checksum_at = here + 6
    elif proto == 58:
        checksum_at = here + 2
    if checksum_at >= 0 and checksum_at + 2 <= end:
        correct(out, checksum_at, change)


@kernel
def write_records(
    source: NDArray[np.uint8], rows: NDArray[np.int64], order: NDArray[np.int64], begin: int, out: NDArray[np.uint8]
) -> tuple[int, int]:
    """Write records `order[begin:]` while they fit. `order` is copy << 32 | packet of the template, `rows` is offset,
    caplen, wirelen, start of the packet within a copy. Returns (next, bytes written)."""
    at = 0
    for place in range(begin, order.size):
        copy, k = int(order[place]) >> 32, int(order[place]) & 0xFFFFFFFF
        length = int(rows[1, k])
        if at + 16 + length > out.size:
            return place, at
        # pcap record header, little-endian: seconds, microseconds, captured length, length on the wire.
        micro = (EPOCH_NS + copy * COPY_EVERY_NS + int(rows[3, k])) // 1000
        put32_little(out, at, micro // 1_000_000)
        put32_little(out, at + 4, micro % 1_000_000)
        put32_little(out, at + 8, length)
        put32_little(out, at + 12, int(rows[2, k]))
        at += 16
        first = int(rows[0, k])
        # Byte by byte: a slice would need numba's reference counting, which kernels do without.
        for i in range(length):
            out[at + i] = source[first + i]
        # Copy 0 is the capture as it was.
        if copy % ADDRESS_SETS:
            rewrite(out, at, at + length, copy % ADDRESS_SETS)
        at += length
    return order.size, at


def _starts(files: int) -> NDArray[np.int64]:
    """When each file begins within a copy: scattered by a fixed multiplicative sequence, not by chance."""
    golden = 0x9E3779B97F4A7C15
    return np.array([(i * golden % 2**64) / 2**64 * FILES_WITHIN_NS for i in range(files)], dtype=np.int64)


def build(
    size_bytes: int, *, packets: int | None = None, folder: Path = DEFAULT_FOLDER, source: Path = SHARED
) -> Built:
    """The capture of at least `size_bytes` (and `packets`), from the folder if it was built before."""
    listed = sorted((str(p.relative_to(source)), p.stat().st_size) for p in source.rglob("*") if p.is_file())
    recipe = json.dumps([RECIPE, size_bytes, packets, COPY_EVERY_NS, FILES_WITHIN_NS, ADDRESS_SETS, LONGEST_NS, listed])
    name = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path, facts = folder / f"{name}.pcap", folder / f"{name}.json"
    if path.exists() and facts.exists():
        return Built(**json.loads(facts.read_text()))
    t = load(source)
    one_copy = int(t.caplen.sum()) + 16 * t.caplen.size
    copies = max(1, math.ceil((size_bytes - 24) / one_copy), math.ceil((packets or 0) / t.caplen.size))
    when = t.rel_ns + _starts(t.files)[t.file]
    # Merge by time. The sort is stable, so packets with one time keep the order of their file.
    order = np.argsort(
        (np.arange(copies, dtype=np.int64)[:, None] * COPY_EVERY_NS + when[None, :]).reshape(-1), kind="stable"
    )
    order = order // when.size << 32 | order % when.size
    rows = np.stack([t.offset, t.caplen, t.wirelen, when])
    out = np.empty(OUT_BYTES, np.uint8)
    part = path.with_suffix(f".{os.getpid()}.part")
    done, size = 0, 24
    with part.open("wb") as file:
        # pcap file header: magic, version 2.4, zone, accuracy, snap length, link type.
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, ETHERNET))
        while done < order.size:
            done, length = write_records(t.buffer, rows, order, done, out)
            file.write(out.data[:length])
            size += length
    part.replace(path)
    duration = float((copies - 1) * COPY_EVERY_NS + int(when.max() - when.min())) / 1e9
    built = Built(str(path), size, int(order.size), t.files, t.left_out, copies, duration)
    facts.write_text(json.dumps(asdict(built)))
    return built


def main() -> None:
    """`python -m bench.build_capture`: prints what was built as JSON."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gb", type=float, default=1.0, help="size in units of 10^9 bytes (default 1.0)")
    p.add_argument("--times", type=float, default=1.0, help="so many times that size (10: for the scaling measurement)")
    p.add_argument("--packets", type=int, help="at least so many packets")
    p.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help=f"where captures are kept ({DEFAULT_FOLDER})")
    p.add_argument("--source", type=Path, default=SHARED, help="folder of real captures")
    args = p.parse_args()
    print(
        json.dumps(
            asdict(build(int(args.gb * args.times * 1e9), packets=args.packets, folder=args.folder, source=args.source))
        )
    )


if __name__ == "__main__":
    main()
