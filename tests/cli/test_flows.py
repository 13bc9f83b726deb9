"""`tracehound flows`: the same rows, whichever way they are written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from tests.test_chunking import mixed
from tracehound.cli.main import run


def _numbers(table: pa.Table) -> list[dict[str, object]]:
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, table[field.name].cast(pa.int64()))
    return list(table.to_pylist())


def test_parquet_is_the_same_with_and_without_the_database(tmp_path):
    for name in ("a.pcap", "b.pcap"):
        (tmp_path / name).write_bytes(mixed())
    ways = {"direct": [], "asked": ["--where", "true"]}
    for name, more in ways.items():
        said = ["flows", "-q", str(tmp_path / "a.pcap"), str(tmp_path / "b.pcap"), "--format", "parquet", "-o", str(tmp_path / name)]
        assert run([*said, *more]) == 0
    direct, asked = (pq.read_table(tmp_path / name) for name in ways)
    assert direct.schema.names == asked.schema.names
    assert [f.type for f in direct.schema if not pa.types.is_timestamp(f.type)] == [
        f.type for f in asked.schema if not pa.types.is_timestamp(f.type)
    ]
    assert direct.num_rows > 10
    assert _numbers(direct) == _numbers(asked)
