"""In: capture bytes or files. Out: tables of a run with a chosen batch size. Never here: a test."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.edges.investigation import investigate
from tracehound.findings.model import Verdict
from tracehound.pipeline import Wanted, build_tables
from tracehound.tables import ALL, TRANSACTIONS


def tables(paths: list[Path], *, chunk_bytes: int = 8 << 20, **wanted: Any) -> dict[str, pa.Table]:
    """All tables of a run over `paths`, rows in order of their key."""
    parts: dict[str, list[pa.Table]] = {}
    run = build_tables(
        read_batches(list_evidence([str(p) for p in paths]), chunk_bytes=chunk_bytes),
        Wanted(**wanted),
        lambda name, rows: parts.setdefault(name, []).append(rows),
    )
    out = {
        name: (pa.concat_tables(rows).unify_dictionaries() if rows else ALL[name].schema.empty_table()).sort_by(
            [(k, "ascending") for k in keys if k in ALL[name].names]
        )
        for name, keys in KEYS.items()
        for rows in [parts.get(name, [])]
    }
    out["counts"] = pa.table({"disorder": [run.disorder], "flows": [run.next_flow_id - 1]})
    return out


KEYS = {
    "flows": ["flow_id"],
    "packets": ["packet_id"],
    **{table.name: ["txn_id"] for table in TRANSACTIONS},
    "heads": ["flow_id", "from_originator"],
}


def flows_of(tmp_path: Path, capture: bytes) -> list[dict[str, object]]:
    """Flows of one capture as dicts."""
    path = tmp_path / "capture"
    path.write_bytes(capture)
    rows: list[dict[str, object]] = tables([path], transactions=False)["flows"].drop(["start", "end"]).to_pylist()
    return rows


def verdict_of_capture(capture: bytes) -> Verdict:
    """What is said of a capture."""
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(capture)
        file.flush()
        return investigate([file.name])
