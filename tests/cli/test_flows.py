"""`tracehound flows`: the same rows, whichever way they are written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.test_chunking import mixed
from tracehound.cli.main import run
from tracehound.errors import EvidenceError, UsageError


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


def _rows(capsys, *words: str) -> list[str]:
    assert run(["flows", "-q", "--format", "csv", "--columns", "start,src,dst,dport", *words]) == 0
    out: str = capsys.readouterr().out
    return out.splitlines()[1:]


def test_what_the_user_says_of_a_log_that_does_not_say_it(tmp_path, capsys):
    firewall = tmp_path / "fw.log"
    lines = [("Dec 31 23:59:58", "10.0.0.1"), ("Jan  1 00:00:02", "10.0.0.2")]
    said = [f"{at} gw kernel: DROP IN=eth0 OUT= SRC=203.0.113.5 DST={dst} LEN=60 PROTO=TCP SPT=1 DPT=22 SYN\n" for at, dst in lines]
    firewall.write_text("".join(said))
    assert _rows(capsys, str(firewall), "--year", "2019") == [
        "2019-12-31T23:59:58.000000000Z,203.0.113.5,10.0.0.1,22", "2020-01-01T00:00:02.000000000Z,203.0.113.5,10.0.0.2,22",
    ]  # fmt: skip
    assert _rows(capsys, str(firewall), "--year", "2019", "--utc-offset=-05:30")[0].startswith("2020-01-01T05:29:58")
    line = "10.0.0.1;192.0.2.9;2024-01-01 10:00:00;443;tcp\n"
    odd, bare = tmp_path / "odd.csv", tmp_path / "bare.csv"
    odd.write_text(f"who;whom;at;svc;kind\n{line}")
    bare.write_text(line * 2)
    with pytest.raises(EvidenceError, match="no flow log"):
        run(["flows", "-q", str(odd)])
    wanted = "2024-01-01T10:00:00.000000000Z,10.0.0.1,192.0.2.9,443"
    assert _rows(capsys, str(odd), "--log-columns", "src=who,dst=whom,start=at,dport=svc,proto=kind") == [wanted]
    assert set(_rows(capsys, str(bare), "--log-columns", "src=1,dst=2,start=3,dport=4,proto=5")) == {wanted}


def test_what_the_user_says_of_logs_must_make_sense(tmp_path):
    (tmp_path / "a.pcap").write_bytes(mixed())
    for words in (["--year", "19"], ["--utc-offset", "NZST"], ["--log-columns", "client=1"]):
        with pytest.raises(UsageError, match=words[0]):
            run(["flows", str(tmp_path / "a.pcap"), *words])
