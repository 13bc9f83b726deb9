"""The gate to DuckDB lets SQL see tables and nothing else."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracehound.edges.duck import Duck
from tracehound.errors import UsageError


def test_arrow_in_arrow_out():
    with Duck() as duck:
        duck.register("t", pa.table({"a": [1, 2, 3]}))
        assert duck.ask("SELECT sum(a) AS s FROM t WHERE a > $least", {"least": 1}).to_pylist() == [{"s": 5}]
        assert duck.ask("CREATE TEMPORARY TABLE u AS SELECT a FROM t", {}) is not None
        assert duck.ask("SELECT count(*) AS n FROM u")["n"][0].as_py() == 3


def test_nanoseconds_survive():
    ns = pa.array([1_028_219_400_123_456_789], pa.timestamp("ns", tz="UTC"))
    with Duck() as duck:
        duck.register("t", pa.table({"ts": ns}))
        assert duck.ask("SELECT epoch_ns(ts) AS n FROM t")["n"][0].as_py() == 1_028_219_400_123_456_789


def test_sql_errors_are_the_users():
    with Duck() as duck, pytest.raises(UsageError, match="nowhere"):
        duck.ask("SELECT * FROM nowhere")


def test_a_locked_database_reads_no_file(tmp_path):
    part = tmp_path / "it's one.parquet"
    other = tmp_path / "other.csv"
    pq.write_table(pa.table({"a": [7]}), part)
    other.write_text("a\n1\n")
    work = tmp_path / "work"
    work.mkdir()
    with Duck(work_folder=work) as duck:
        duck.register("t", [part])
        duck.allow_files([part])
        duck.lock()
        duck.lock()
        assert duck.ask("SELECT a FROM t").to_pylist() == [{"a": 7}]
        for sql in (
            f"SELECT * FROM read_csv('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/x.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
        ):
            with pytest.raises(UsageError, match="SQL: "):
                duck.ask(sql)
        with pytest.raises(UsageError, match="locked"):
            duck.register("more", [other])
    assert not (tmp_path / "out.csv").exists()
