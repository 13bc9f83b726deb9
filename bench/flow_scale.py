"""In: a number of records. Out: an Argus file of so many synthetic flow records over some days, its investigation, and what that took:
CPU time and peak memory. Never here: real traffic, or claims about other machines.

    python -m bench.flow_scale [--records 100000000] [--days 30] [--keep FILE] [--read-only]

Hosts of 10.0.0.0/16 visit web and name servers; one of them tries 63 addresses over and over, 3 to 4 a minute, and stops on the last
day but one. The file takes about 130 bytes a record."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tracehound.edges.investigation import verdict_of
from tracehound.edges.reading import read
from tracehound.flowlogs.argus_write import write_flows
from tracehound.pipeline import Wanted
from tracehound.tables import FLOWS

START_S = 1_700_000_000
PROBER = "10.0.0.77"
_AT_ONCE = 200_000
_HOSTS = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(2_000)]
_SERVERS = [f"198.{18 + n // 62500 % 2}.{n // 250 % 250}.{n % 250 + 1}" for n in range(20_000)]
_FIXED = [f"203.{n}.113.0" for n in range(63)]


def flows(records: int, days: int, seed: int = 1) -> Iterator[pa.Table]:
    """The flows in order of time."""
    rng = np.random.default_rng(seed)
    span_s = days * 86_400
    step_ns = span_s * 1_000_000_000 // records
    probe_every = max(2, round(records / (span_s / 60 * 3.5)))
    addresses = pa.array([*_HOSTS, *_SERVERS, *_FIXED], pa.string())
    for begin in range(0, records, _AT_ONCE):
        n = min(_AT_ONCE, records - begin)
        number = np.arange(begin, begin + n)
        start = START_S * 1_000_000_000 + number * step_ns
        probing = (number % probe_every == 0) & (number < records * (days - 1) // days)
        tcp = (rng.random(n) < 0.6) | probing
        prober = _HOSTS.index(PROBER)
        src = np.where(probing, prober, rng.integers(prober + 1, len(_HOSTS), n))
        dst = np.where(probing, len(_HOSTS) + len(_SERVERS) + number // probe_every % 63, len(_HOSTS) + rng.integers(0, len(_SERVERS), n))
        # One in seven of the fixed addresses is there.
        failed = np.where(probing, number // probe_every % 63 % 7 != 0, rng.random(n) < 0.02)
        sent, back = rng.integers(4, 20, n), rng.integers(4, 40, n)
        columns: dict[str, np.ndarray | pa.Array] = {
            "start": pa.array(start).cast(FLOWS.schema.field("start").type),
            "end": pa.array(start + rng.integers(1_000_000, 5_000_000_000, n)).cast(FLOWS.schema.field("end").type),
            "proto": np.where(tcp, 6, 17).astype(np.uint8),
            "src": pa.DictionaryArray.from_arrays(pa.array(src.astype(np.int32)), addresses),
            "dst": pa.DictionaryArray.from_arrays(pa.array(dst.astype(np.int32)), addresses),
            "sport": (1024 + number % 60_000).astype(np.uint16),
            "dport": np.where(tcp, 80, 53).astype(np.uint16),
            "pkts_src": np.where(failed, 4, np.where(tcp, sent, 1)),
            "pkts_dst": np.where(failed, 0, np.where(tcp, back, 1)),
            "bytes_src": np.where(failed, 240, np.where(tcp, sent * 70, 80)),
            "bytes_dst": np.where(failed, 0, np.where(tcp, back * 900, 160)),
            "payload_src": np.where(failed, 0, np.where(tcp, sent * 20, 38)),
            "payload_dst": np.where(failed, 0, np.where(tcp, back * 850, 118)),
            "tcp_flags_src": pa.array(np.where(failed, 2, 27).astype(np.uint8), mask=~tcp),
            "tcp_flags_dst": pa.array(np.where(failed, 0, 27).astype(np.uint8), mask=~tcp),
            "syn_count": pa.array(np.where(failed, 4, 1).astype(np.int32), mask=~tcp),
            "ttl_src": np.full(n, 64, np.uint8),
        }
        arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in FLOWS.schema]
        yield pa.table([a if isinstance(a, pa.Array) else pa.array(a) for a in arrays], names=FLOWS.names)


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--records", type=int, default=100_000_000)
    p.add_argument("--days", type=int, default=30)
    p.add_argument("--keep", type=Path, help="write the file here and keep it; used again if it is there")
    p.add_argument("--write", type=Path, help="only write the file")
    p.add_argument("--read-only", action="store_true", help="read into tables, ask nothing")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder) / "flows.argus"
        if args.write:
            with args.write.open("wb") as out:
                for piece in write_flows(flows(args.records, args.days), "SYNTHETIC flow records of a benchmark"):
                    out.write(piece)
            return 0
        if not path.exists():
            # In a process of its own: peak memory is that of reading.
            sizes = ["--records", str(args.records), "--days", str(args.days)]
            subprocess.run([sys.executable, "-m", "bench.flow_scale", *sizes, "--write", str(path)], check=True)
        print(f"{args.records:,} records over {args.days} days, {path.stat().st_size / 1e6:,.0f} MB; before reading {peak_mib()} MiB")
        began, cpu = time.monotonic(), time.process_time()
        with read([str(path)], wanted=Wanted(records=False)) as reading:
            print(f"read into flows   {time.process_time() - cpu:8.1f} s CPU  {time.monotonic() - began:8.1f} s  peak {peak_mib():,} MiB")
            sys.stdout.flush()
            if not args.read_only:
                verdict = verdict_of(reading)
                took = f"{time.process_time() - cpu:8.1f} s CPU  {time.monotonic() - began:8.1f} s"
                print(f"and investigated  {took}  peak {peak_mib():,} MiB; suspects: {[f.host for f in verdict.findings if f.probing]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
