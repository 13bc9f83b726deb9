"""In: the unpacked npm package oui-data. Out: the table of makers of network hardware that ships in the package,
src/tracehound/enrich/data/hardware.parquet. Never here: the network; fetch the package first:

    npm pack oui-data && npm view oui-data time --json    # the second tells the date of the version
    mkdir oui && tar xzf oui-data-*.tgz -C oui
    python tools/build_hardware_table.py oui/package 2026-08-26

The source has the three registries of the IEEE (MA-L, MA-M, MA-S): prefixes of 6, 7 and 9 hexadecimal digits with the maker's
name and postal address. Names alone are kept; capitals of companies that write themselves so stay."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ATTRIBUTION = "Assignments of the IEEE Registration Authority (MA-L, MA-M, MA-S), as compiled by oui-data (BSD-2-Clause)."
DIGITS = 9
"""Longest prefix; shorter ones are padded on the right, and their length is kept."""


def build(package: Path, date: str, out: Path) -> None:
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    given = json.loads((package / "index.json").read_text(encoding="utf-8"))
    rows = sorted(
        (int(prefix.ljust(DIGITS, "0"), 16), len(prefix), words.split("\n", 1)[0].strip())
        for prefix, words in given.items()
        if words.split("\n", 1)[0].strip() != "IEEE Registration Authority"
    )
    names = sorted({name for _, _, name in rows})
    place = {name: n for n, name in enumerate(names)}
    meta = {"date": date, "attribution": ATTRIBUTION, "source": f"oui-data {version}"}
    table = pa.table(
        {
            "prefix": pa.array(np.array([r[0] for r in rows], np.int64)),
            "digits": pa.array(np.array([r[1] for r in rows], np.uint8)),
            "maker": pa.DictionaryArray.from_arrays(pa.array([place[r[2]] for r in rows], pa.int32()), pa.array(names)),
        }
    ).replace_schema_metadata(meta)
    pq.write_table(table, out / "hardware.parquet", compression="zstd", compression_level=19, write_statistics=False,
                   column_encoding={"prefix": "DELTA_BINARY_PACKED"}, use_dictionary=["digits", "maker"])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("package", type=Path, help="folder of the unpacked package oui-data")
    parser.add_argument("date", type=datetime.date.fromisoformat, help="day on which that version was published")
    default = Path(__file__).resolve().parents[1] / "src/tracehound/enrich/data"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    build(arguments.package, arguments.date.isoformat(), arguments.out)
