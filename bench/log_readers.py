"""In: how many records. Out: for each kind of flow log the processor seconds that its reader takes, and where nfdump is installed what
`nfdump -o csv` takes for the same records. Never here: joining records into flows, or writing them.

    python -m bench.log_readers [--records 1000000]

The records are written here: made-up hosts, both directions of each conversation, one day. Readers are measured in this process,
over bytes that are in memory already, after one round over a small file (kernels are compiled then); nfdump by what the system
says of its process, reading from a file in the page cache and writing to /dev/null."""

from __future__ import annotations

import argparse
import resource
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tracehound import limits
from tracehound.flowlogs.formats import FORMATS, log_kind
from tracehound.flowlogs.reader import Options

NOW: Final = 1_668_586_100
_DAY_MS: Final = 86_400_000


def conversations(records: int) -> dict[str, Any]:
    """Columns of `records` records: even rows go from client to server, the odd row behind each goes back."""
    chance = np.random.default_rng(1)
    n = records // 2
    client, server = 0x0A000000 | chance.integers(0, 1 << 16, n), chance.integers(1 << 24, 3 << 30, n)
    sport, dport = chance.integers(1024, 65536, n), chance.choice([80, 443, 53, 25], n)
    start = np.sort(chance.integers(0, _DAY_MS, n))
    pkts = chance.integers(1, 30, (2, n))
    size = pkts * chance.integers(40, 1400, (2, n))
    proto = np.where(dport == 53, 17, 6)

    def both(a: Any, b: Any) -> Any:
        return np.stack([a, b], axis=1).ravel()

    return {
        "src": both(client, server), "dst": both(server, client), "sport": both(sport, dport), "dport": both(dport, sport),
        "start": both(start, start), "end": both(start + 2000, start + 2000), "pkts": both(*pkts), "bytes": both(*size),
        "proto": both(proto, proto), "flags": both(*(np.where(proto == 6, 0x1B, 0),) * 2),
    }  # fmt: skip


def netflow5(c: dict[str, Any]) -> bytes:
    record = np.dtype([
        ("src", ">u4"), ("dst", ">u4"), ("hop", ">u4"), ("if", ">u4"), ("pkts", ">u4"), ("bytes", ">u4"), ("start", ">u4"), ("end", ">u4"),
        ("sport", ">u2"), ("dport", ">u2"), ("pad", "u1"), ("flags", "u1"), ("proto", "u1"), ("rest", "u1", 9),
    ])  # fmt: skip
    rows = np.zeros(len(c["src"]), dtype=record)
    for name in ("src", "dst", "pkts", "bytes", "start", "end", "sport", "dport", "flags", "proto"):
        rows[name] = c[name]
    parts = []
    for begin in range(0, len(rows), 30):
        part = rows[begin : begin + 30]
        parts.append(struct.pack("!HHIIIIHH", 5, len(part), _DAY_MS, NOW, 0, begin, 0, 0) + part.tobytes())
    return b"".join(parts)


def nfdump(c: dict[str, Any]) -> bytes:
    record = np.dtype([
        ("head", "<u2", 3), ("engine", "<u2"), ("exporter", "<u2"), ("marks", "u1", 2), ("ex1", "<u2", 2), ("start", "<u8"), ("end", "<u8"),
        ("received", "<u8"), ("pkts", "<u8"), ("bytes", "<u8"), ("sport", "<u2"), ("dport", "<u2"), ("proto", "u1"), ("flags", "u1"),
        ("rest", "u1", 2), ("ex2", "<u2", 2), ("src", "<u4"), ("dst", "<u4"),
    ])  # fmt: skip
    rows = np.zeros(len(c["src"]), dtype=record)
    rows["head"], rows["ex1"], rows["ex2"] = (11, record.itemsize, 2), (1, 52), (2, 12)
    for name in ("pkts", "bytes", "sport", "dport", "proto", "flags", "src", "dst"):
        rows[name] = c[name]
    for name in ("start", "end"):
        rows[name] = c[name] + (NOW * 1000 - _DAY_MS)
    blocks = [rows[begin : begin + 13_000] for begin in range(0, len(rows), 13_000)]
    head = struct.pack("<HHIQBBHIqII", 0xA50C, 2, 0x01070100, NOW, 0, 0, 0, 0, 0, 0, len(blocks))
    return head + b"".join(struct.pack("<IIHH", len(b), b.nbytes, 3, 0) + b.tobytes() for b in blocks)


_FIELDS: Final = (
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service", "duration", "orig_bytes", "resp_bytes",
    "conn_state", "local_orig", "local_resp", "missed_bytes", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts",
    "resp_ip_bytes", "tunnel_parents",
)  # fmt: skip


def zeek(c: dict[str, Any]) -> bytes:
    """One line a conversation, so half as many as records."""
    forth, back = slice(0, None, 2), slice(1, None, 2)
    lines = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
    lines.append("#fields\t" + "\t".join(_FIELDS))
    there = [c[name][forth].tolist() for name in ("start", "src", "sport", "dst", "dport", "proto", "pkts", "bytes")]
    rows = zip(*there, c["pkts"][back].tolist(), c["bytes"][back].tolist(), strict=True)
    for number, (start, src, sport, dst, dport, proto, pkts, size, pkts_back, size_back) in enumerate(rows):
        a, b = (".".join(str(x >> s & 255) for s in (24, 16, 8, 0)) for x in (src, dst))
        name, history = ("tcp", "ShADadFf") if proto == 6 else ("udp", "Dd")
        values = (
            f"{NOW + start / 1000:.6f}", f"C{number:017d}", a, sport, b, dport, name, "-", "2.000000", size - 40 * pkts,
            size_back - 40 * pkts_back, "SF", "T", "F", 0, history, pkts, size, pkts_back, size_back, "-",
        )  # fmt: skip
        lines.append("\t".join(map(str, values)))
    return "\n".join(lines).encode() + b"\n"


WRITERS: Final[dict[str, Callable[[dict[str, Any]], bytes]]] = {"NetFlow v5": netflow5, "nfdump 1.7": nfdump, "Zeek conn.log": zeek}


def read_all(data: bytes) -> int:
    """Records that the reader of these bytes finds."""
    kind = log_kind(data[: limits.LOG_HEAD_BYTES])
    assert kind is not None
    reader = FORMATS[kind].open(data[: limits.LOG_HEAD_BYTES], Options())
    whole = np.frombuffer(bytearray(data), dtype=np.uint8)
    at, found = 0, 0
    while at < len(whole):
        end = min(at + limits.LOG_CHUNK_BYTES, len(whole))
        took = reader.feed(whole[at:end], end - at, final=end == len(whole))
        assert took.damage is None, took.damage
        found += sum(len(block) for block in took.blocks)
        at += took.consumed if end < len(whole) else end - at
    return found


def _nfdump_s(path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Path("/dev/null").open("wb") as nowhere:
        subprocess.run(["nfdump", "-r", str(path), "-o", "csv"], stdout=nowhere, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _say(name: str, data: bytes, found: int, spent_s: float) -> None:
    size = len(data) / 1e6
    print(f"{name:14} {size:7.1f} MB {found:9,} records {spent_s:6.2f} s {found / spent_s:12,.0f} records/s {size / spent_s:6.0f} MB/s")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--records", type=int, default=1_000_000)
    records = words.parse_args().records
    columns = conversations(records)
    small = conversations(1000)
    for name, write in WRITERS.items():
        read_all(write(small))
        data = write(columns)
        begin = time.process_time()
        found = read_all(data)
        spent = time.process_time() - begin
        _say(name, data, found, spent)
        if name == "nfdump 1.7" and shutil.which("nfdump") is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "nfcapd"
                path.write_bytes(data)
                spent = min(_nfdump_s(path) for _ in range(3))
            _say("nfdump -o csv", data, found, spent)


if __name__ == "__main__":
    main()
