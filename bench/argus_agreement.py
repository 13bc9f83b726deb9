"""In: a folder of captures, what `ra` printed of them (oracles/argus-flows.jsonl.gz), and argus on this machine. Out: how far records
read by tracehound from what argus makes of the captures agree with it, field by field. Never here: reading Argus files.

    python -m bench.argus_agreement CAPTURES ORACLE [--argus-files FOLDER] [--only SUBSTRING] [--show N]

Argus files are made with `argus -r CAPTURE -w FILE` (argus sleeps about a second each) and kept in FOLDER where one is given, to be
used again. Compared are start, addresses, ports, packets, bytes and state of every TCP and UDP record, as a multiset."""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tracehound.edges.reading import read
from tracehound.errors import EvidenceError
from tracehound.pipeline import Wanted

FIELDS = ("start", "proto", "src", "sport", "dst", "dport", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "state")
_SQL = """
SELECT printf('%d.%06d', epoch_ns(start) // 1000000000, epoch_ns(start) % 1000000000 // 1000) AS start, proto_name, src,
       sport::VARCHAR, dst, dport::VARCHAR, pkts_src::VARCHAR, pkts_dst::VARCHAR, bytes_src::VARCHAR, bytes_dst::VARCHAR, state
FROM records WHERE proto_name IN ('tcp', 'udp') ORDER BY record_id"""


def argus_file(capture: Path, name: str, folder: Path) -> Path:
    made = folder / (name.replace("/", "~") + ".argus")
    if not made.exists():
        subprocess.run(["argus", "-r", str(capture), "-w", str(made)], check=False, capture_output=True, timeout=60)
    return made


def rows_of(path: Path) -> list[tuple[str, ...]]:
    try:
        with read([str(path)], wanted=Wanted(transactions=False)) as reading:
            return [tuple(row.values()) for row in reading.ask(_SQL).to_pylist()]
    except EvidenceError as problem:
        print(f"not read: {problem}", file=sys.stderr)
        return []


def main() -> int:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("captures", type=Path)
    p.add_argument("oracle", type=Path)
    p.add_argument("--argus-files", type=Path)
    p.add_argument("--only", default="")
    p.add_argument("--show", type=int, default=0)
    args = p.parse_args()
    total, same, files, whole = 0, 0, 0, 0
    fields: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.argus_files or Path(temporary)
        for line in gzip.decompress(args.oracle.read_bytes()).decode().splitlines():
            wanted = json.loads(line)
            if args.only not in wanted["capture"]:
                continue
            theirs = Counter(tuple(row) for row in wanted["rows"])
            ours = Counter(rows_of(argus_file(args.captures / wanted["capture"], wanted["capture"], folder)))
            both = sum((theirs & ours).values())
            files += 1
            whole += theirs == ours
            total += max(theirs.total(), ours.total())
            same += both
            missing, extra = sorted((theirs - ours).elements()), sorted((ours - theirs).elements())
            for a, b in zip(missing, extra, strict=False):
                fields.update(name for name, x, y in zip(FIELDS, a, b, strict=True) if x != y)
            if (missing or extra) and args.show > 0:
                args.show -= 1
                print(wanted["capture"], *(f"  ra   {row}" for row in missing[:3]), *(f"  ours {row}" for row in extra[:3]), sep="\n")
    print(f"{whole} of {files} captures agree wholly; {same} of {total} records", dict(fields))
    return 0 if same == total else 1


if __name__ == "__main__":
    sys.exit(main())
