"""In: the unpacked npm packages @ip-location-db/asn and @ip-location-db/asn-country. Out: the address table that ships in
the package, src/tracehound/enrich/data/*.parquet. Never here: the network; fetch the packages first:

    npm pack @ip-location-db/asn @ip-location-db/asn-country
    mkdir asn country
    tar xzf ip-location-db-asn-2.*.tgz -C asn && tar xzf ip-location-db-asn-country-*.tgz -C country
    python tools/build_address_table.py asn/package country/package

Each family and attribute becomes one sorted column of range starts beside the value that holds from there up to the next
start (0 or an empty country where nothing is known). IPv6 is kept at /64: the source has some two hundred finer ranges,
which are dropped."""

from __future__ import annotations

import argparse
import csv
import datetime
import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

ATTRIBUTION = (
    "IP to AS number: RouteViews (routeviews.org), DB-IP (db-ip.com) and NRO (nro.net), CC BY 4.0, merged by ip-location-db. "
    "IP to country: NRO statistics (nro.net), CC BY 4.0, as compiled by ip-location-db (CC0)."
)
Range = tuple[int, int, Any]
LOW_64 = (1 << 64) - 1


def read_ranges(path: Path, *, v6: bool) -> list[Range]:
    """Ranges (first, last, value) of one CSV; IPv6 as upper 64 bits, those finer than a /64 left out."""
    ranges: list[Range] = []
    with path.open(newline="", encoding="utf-8") as file:
        for first_text, last_text, value, *_ in csv.reader(file):
            first, last = int(ipaddress.ip_address(first_text)), int(ipaddress.ip_address(last_text))
            if v6:
                if first & LOW_64 or last & LOW_64 != LOW_64:
                    continue
                first, last = first >> 64, last >> 64
            ranges.append((first, last, value))
    ranges.sort(key=lambda r: r[0])
    return ranges


def read_names(path: Path) -> dict[int, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row[2]): row[3].strip() for row in csv.reader(file)}


def breakpoints(ranges: list[Range], nothing: Any) -> tuple[list[int], list[Any]]:
    """Starts and values: each value holds from its start up to the next start; gaps hold `nothing`."""
    starts: list[int] = [0]
    values: list[Any] = [nothing]

    def put(start: int, value: Any) -> None:
        if start == starts[-1]:
            values[-1] = value
            if len(values) > 1 and values[-2] == value:
                starts.pop()
                values.pop()
        elif values[-1] != value:
            starts.append(start)
            values.append(value)

    end = -1
    for first, last, value in ranges:
        if last <= end:
            continue  # the source has a rare overlap; the range that begins first holds
        put(max(first, end + 1), value)
        put(last + 1, nothing)
        end = last
    return starts, values


def write(path: Path, columns: dict[str, pa.Array], metadata: dict[str, str], encodings: dict[str, str]) -> None:
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=encodings,
        write_statistics=False,
        row_group_size=table.num_rows,
    )


def split(starts: list[int], values: list[Any], top: int) -> tuple[list[int], list[Any]]:
    """Without a start beyond the address space."""
    keep = [i for i, start in enumerate(starts) if start <= top]
    return [starts[i] for i in keep], [values[i] for i in keep]


def starts_column(starts: list[int], *, v6: bool) -> pa.Array:
    kind: Any = np.uint64 if v6 else np.uint32
    column: NDArray[Any] = np.array(starts, dtype=kind)
    return pa.array(column)


def build(asn: Path, country: Path, out: Path) -> None:
    version = json.loads((asn / "package.json").read_text(encoding="utf-8"))["version"]
    stamp = re.search(r"(\d{8})\d{0,2}$", version)
    if stamp is None:
        raise SystemExit(f"no date in version {version}")
    date = datetime.date.fromisoformat(stamp[1]).isoformat()
    metadata = {"date": date, "attribution": ATTRIBUTION, "source": f"@ip-location-db/asn {version}"}
    out.mkdir(parents=True, exist_ok=True)
    for family, v6, top in (("ipv4", False, (1 << 32) - 1), ("ipv6", True, LOW_64)):
        starts, values = split(*breakpoints(read_ranges(asn / f"asn-{family}.csv", v6=v6), "0"), top)
        write(
            out / f"asn_{family}.parquet",
            {
                "start": starts_column(starts, v6=v6),
                "asn": pa.array([int(v) for v in values], pa.uint32()),
            },
            metadata,
            {"start": "DELTA_BINARY_PACKED", "asn": "PLAIN"},
        )
        starts, values = split(*breakpoints(read_ranges(country / f"asn-country-{family}.csv", v6=v6), ""), top)
        codes = sorted(set(values))
        place = {code: i for i, code in enumerate(codes)}
        write(
            out / f"country_{family}.parquet",
            {
                "start": starts_column(starts, v6=v6),
                "country": pa.array([place[v] for v in values], pa.uint8()),
            },
            {**metadata, "countries": " ".join(codes).strip()},
            {"start": "DELTA_BINARY_PACKED", "country": "PLAIN"},
        )
    names = read_names(asn / "asn-ipv6.csv") | read_names(asn / "asn-ipv4.csv")
    numbers = sorted(names)
    write(
        out / "names.parquet",
        {"asn": pa.array(numbers, pa.uint32()), "name": pa.array([names[n] for n in numbers], pa.string())},
        metadata,
        {"asn": "DELTA_BINARY_PACKED", "name": "DELTA_LENGTH_BYTE_ARRAY"},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("asn", type=Path, help="folder of the unpacked package @ip-location-db/asn")
    parser.add_argument("country", type=Path, help="folder of the unpacked package @ip-location-db/asn-country")
    default = Path(__file__).resolve().parents[1] / "src/tracehound/enrich/data"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    build(arguments.asn, arguments.country, arguments.out)
