"""In: Argus files of both versions and what `ra` printed of them. Out: the binary reader and the text reader tell the same, field by
field, which is what `ra` tells. Never here: flows (test_flow_rows.py)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import SHARED
from tracehound.flowlogs import argus, argus_text, flow_rows
from tracehound.flowlogs.reader import Options, Reader

SAMPLES = SHARED / "specs" / "argus-samples"
NAMES = ("v3-mixed", "v3-full", "v3-client", "v5-mixed")
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the Argus samples beside the repository (../shared)")


def tables_of(reader: Reader, data: bytes) -> dict[str, pa.Table]:
    took = reader.feed(np.frombuffer(bytearray(data), np.uint8), len(data), final=True)
    assert took.damage is None
    parts: dict[str, list[pa.Table]] = {}
    state, number = flow_rows.LogState(), 1
    for block in took.blocks:
        made = flow_rows.take(block, state, number, 1, with_records=True, with_community_id=True)
        number = made.next_flow_id
        for name, rows in made.tables.items():
            parts.setdefault(name, []).append(rows)
    return {name: pa.concat_tables(rows).unify_dictionaries() for name, rows in parts.items()}


def binary(name: str) -> dict[str, pa.Table]:
    # What ra 5.0 printed beside the sample of version 5 is without its corrections (ra -X).
    return tables_of(argus.ArgusReader(correct=name.startswith("v3")), (SAMPLES / f"{name}.argus").read_bytes())


def text(name: str) -> dict[str, pa.Table]:
    data = (SAMPLES / f"{name}.csv").read_bytes()
    header = argus_text.header_of(data.split(b"\n")[0].decode())
    assert header is not None
    return tables_of(argus_text.RaText(header, Options()), data)


def spelled(table: pa.Table, column: str) -> list[str | None]:
    values = table[column].to_pylist()
    return [None if v in (None, "", "0.0.0.0") else str(v) for v in values]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "column",
    ["proto_name", "proto", "src", "dst", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "state", "direction"],
)  # fmt: skip
def test_a_record_is_what_ra_prints(name, column):
    assert spelled(binary(name)["records"], column) == spelled(text(f"{name}")["records"], column)


@pytest.mark.parametrize("name", NAMES)
def test_ports_are_what_ra_prints(name):
    ours, theirs = binary(name)["records"].to_pylist(), text(name)["records"].to_pylist()
    for a, b in zip(ours, theirs, strict=True):
        if a["proto"] in (6, 17):
            assert (a["sport"], a["dport"]) == (b["sport"], b["dport"])
        elif a["proto"] == 1 and name.startswith("v3"):
            assert (a["sport"] or 0, a["dport"] or 0) == (b["sport"] or 0, b["dport"] or 0)


@pytest.mark.parametrize("name", NAMES)
def test_payload_is_what_ra_prints_where_it_was_counted(name):
    theirs = [line.split(",") for line in (SAMPLES / f"{name}.csv").read_text().splitlines()[1:] if ",man," not in line]
    ours = binary(name)["records"].to_pylist()
    counted = [(r["payload_src"], r["payload_dst"]) for r in ours]
    printed = [(int(f[12]), int(f[13])) for f in theirs]
    assert any(p != (0, 0) for p in printed) or name == "v3-mixed"
    assert [c for c, p in zip(counted, printed, strict=True) if p != (0, 0)] == [p for p in printed if p != (0, 0)]


MORE = [
    "seq_number", "transactions", "tos_src", "tos_dst", "ttl_src", "ttl_dst", "ip_id_src", "ip_id_dst", "mac_src", "mac_dst",
    "tcp_base_src", "tcp_base_dst", "window_src", "window_dst", "min_size_src", "max_size_src", "min_size_dst", "max_size_dst", "icmp_node",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_further_fields_are_what_ra_prints(name):
    ours, theirs = binary(name), text(f"{name}.more")
    for column in ("start", "end", "sensor", "state_flags", "cause"):
        if column in ("start", "end"):
            assert [v // 1000 for v in ours["records"][column].cast(pa.int64()).to_pylist()] == [
                v // 1000 for v in theirs["records"][column].cast(pa.int64()).to_pylist()
            ], column
            continue
        assert spelled(ours["records"], column) == spelled(theirs["records"], column), column
    for column in MORE:
        mine, printed = ours["argus"][column].to_pylist(), theirs["argus"][column].to_pylist()
        if column.startswith(("min_size", "max_size")):
            # ra prints no size, or 0, where it turned an ARP record round.
            ip = [r["proto"] is not None for r in ours["records"].to_pylist()]
            mine, printed = ([v or None for v, counts in zip(values, ip, strict=True) if counts] for values in (mine, printed))
        assert mine == printed, column
    # ra prints 0 where nothing is told.
    for column in ("lost_src", "lost_dst", "syn_ack_us", "ack_data_us", "tcp_options"):
        mine, printed = ours["argus"][column].to_pylist(), theirs["argus"][column].to_pylist()
        assert [v or 0 for v in mine] == [v or 0 for v in printed], column
    for column in ("interval_src_us", "jitter_src_us"):
        pairs = zip(ours["argus"][column].to_pylist(), theirs["argus"][column].to_pylist(), strict=True)
        assert all((a or 0) == pytest.approx(b or 0, abs=0.01, rel=1e-5) for a, b in pairs), column


def test_tcp_flags_are_those_of_the_state_that_shows_them():
    ours, theirs = binary("v3-full")["records"].to_pylist(), text("v3-full.more")["records"].to_pylist()
    assert [(r["tcp_flags_src"], r["tcp_flags_dst"]) for r in ours if r["proto"] == 6] == [
        (r["tcp_flags_src"], r["tcp_flags_dst"]) for r in theirs if r["proto"] == 6
    ]
