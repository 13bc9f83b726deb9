"""In: the shared captures and what Zeek says of them. Out: the agreement that docs/fidelity.md states, held. Never here: cases
made up."""

from pathlib import Path

from bench.http_agreement import compare, references

from tests.conftest import SHARED, needs_shared
from tracehound.edges.reading import read
from tracehound.pipeline import Wanted


def rows_of(paths):
    for path in paths:
        with read(path, wanted=Wanted(file_details=False)) as reading:
            columns = ["src", "sport", "dst", "dport", "trans_depth", "method", "host", "uri", "status", "request_bytes",
                       "response_bytes"]  # fmt: skip
            for row in reading.table("http").select(columns).to_pylist():
                yield {**row, "file": path}


@needs_shared
def test_http_agrees_with_zeek():
    captures = SHARED / "captures"
    wanted = references(captures, SHARED / "oracles" / "zeek-http.jsonl.gz", "", "tunnels")
    assert all(Path(p).exists() for p in wanted) and len(wanted) > 15
    result = compare(wanted, rows_of(sorted(wanted)), captures)
    fields = ("method", "host", "uri", "status_code", "request_body_len", "response_body_len")
    assert {name: result.share(name) for name in fields if result.share(name) < 0.98} == {}
    assert result.missing <= 2 and result.extra <= 2
