"""In: a number of flows. Out: how long pages of a table of so many flows take to answer, over HTTP, with what the server's processor
spent. Never here: a judgement that fails a build.

    python -m bench.case_pages [--flows 10000000] [--folder DIR] [--rounds 3]

The flows are those of the worked example over and over, a quarter of an hour later each time: real columns of a real reading, in the
file as an investigation writes it. The folder is kept, and used again. Each page is asked for with its JSON twin's address, first
when the server has just begun, then again."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracehound.edges.casefile import Case
from tracehound.edges.duck import Duck

_STEP_NS: Final = 900 * 1_000_000_000
_GROUP: Final = 100_000
PAGES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("first page", {}),
    ("row 9 million", {"offset": 9_000_000}),
    ("last page", {"before": "end"}),
    ("by bytes, descending", {"sort": "bytes_dst", "order": "desc"}),
    ("by start, descending", {"sort": "start", "order": "desc"}),
    ("by source", {"sort": "src"}),
    ("by source, last page", {"sort": "src", "before": "end"}),
    ("by bytes, behind row 5 million", {"sort": "bytes_dst", "after": 5_000_000}),
    ("one source", {"src.eq": "130.216.54.131"}),
    ("port 80, more than 10 kB, by bytes", {"dport.eq": 80, "bytes_dst.ge": 10_000, "sort": "bytes_dst"}),
    ("address contains 216.54, by start", {"src.has": "216.54", "sort": "start", "order": "desc"}),
    ("all columns, by bytes", {"columns": "*", "sort": "bytes_dst", "order": "desc"}),
    ("10,000 rows left out, by bytes", {"sort": "bytes_dst", "order": "desc", "offset": 10_000}),
)


def build(folder: Path, flows: int) -> None:
    """A case whose newest run has so many flows."""
    from tracehound.demo.model_case import evidence
    from tracehound.edges.case_intake import take
    from tracehound.edges.case_runs import run
    from tracehound.edges.casefile import new_case_folder

    folder.mkdir(parents=True, exist_ok=True)
    capture = folder / "model.pcapng"
    with capture.open("wb") as out:
        for chunk in evidence():
            out.write(chunk)
    number, place = new_case_folder(folder / "cases", "large")
    with Case.create(place, "bench", title="Large", number=number) as case:
        take(case, "bench", capture)
        kept = run(case, "bench")
        path = kept.folder / "tables" / "flows.parquet"
        with Duck() as duck:
            duck.register("flows", [path])
            once = duck.ask("SELECT * FROM flows ORDER BY flow_id")
        path.unlink()
        _repeat(once, path, flows)
    (folder / "built").write_text(str(flows))


def _repeat(once: pa.Table, path: Path, flows: int) -> None:
    ids = int(pc.max(once["flow_id"]).as_py()) + 1
    written, nth = 0, 0
    with pq.ParquetWriter(path, once.schema, compression="lz4") as out:
        while written < flows:
            part = once.slice(0, min(once.num_rows, flows - written))
            for name, step in (("flow_id", ids), ("start", _STEP_NS), ("end", _STEP_NS)):
                i = part.schema.get_field_index(name)
                moved = pc.add(part[name].cast(pa.int64()), pa.scalar(step * nth, pa.int64())).cast(part.schema.field(name).type)
                part = part.set_column(i, part.schema.field(name), moved)
            out.write_table(part, row_group_size=_GROUP)
            written, nth = written + part.num_rows, nth + 1


def serve(cases: Path) -> tuple[subprocess.Popen[str], str]:
    """A server over a folder of cases, and the address that it printed."""
    begun = subprocess.Popen(
        [sys.executable, "-m", "tracehound", "serve", str(cases), "--port", "0"], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    assert begun.stdout is not None
    return begun, begun.stdout.readline().strip()


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    p = argparse.ArgumentParser(description="Pages over a large table.")
    p.add_argument("--flows", type=int, default=10_000_000)
    p.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tracehound-bench" / "pages")
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    if not (args.folder / "built").is_file() or (args.folder / "built").read_text() != str(args.flows):
        build(args.folder, args.flows)
    server, address = serve(args.folder / "cases")
    try:
        measure(server.pid, address, args.rounds)
    finally:
        server.terminate()
        server.wait()


def measure(pid: int, address: str, rounds: int) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(address).read()
    base = address.split("/login", maxsplit=1)[0] + "/cases/1/tables/flows"
    print(f"load {os.getloadavg()[0]:.1f}; ms until the last byte: first time, median of {rounds} more; ms of the server's processor")
    for says, query in PAGES:
        url = base + (f"?{urlencode(query)}" if query else "")
        took, spent = [], []
        for _ in range(rounds + 1):
            before, begin = cpu_s(pid), time.perf_counter()
            opener.open(url).read()
            took.append(1e3 * (time.perf_counter() - begin))
            spent.append(1e3 * (cpu_s(pid) - before))
        print(f"{took[0]:7.0f} {statistics.median(took[1:]):7.0f}   {spent[0]:7.0f} {statistics.median(spent[1:]):7.0f}   {says}")


if __name__ == "__main__":
    main()
