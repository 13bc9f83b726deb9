"""In: the demo's scenarios. Out: whether a verdict that was reached one part of the sources after the other is the same as in one go."""

from __future__ import annotations

import pytest

from tests.golden import CASES, differences, parsed, verdict
from tracehound import limits
from tracehound.edges.duck import Duck
from tracehound.errors import UsageError
from tracehound.report.as_json import as_json


@pytest.mark.parametrize("name", sorted(CASES))
def test_parts_change_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = verdict(name, tmp_path)
    asked: list[str] = []
    ask = Duck.ask

    def noted(self, sql, parameters=None):
        asked.append(sql)
        return ask(self, sql, parameters)

    monkeypatch.setattr(Duck, "ask", noted)
    monkeypatch.setattr(limits, "FLOWS_AT_ONCE", max(1, dict(whole.counts)["flows"] // 3))
    parted = parsed(as_json(verdict(name, tmp_path)))
    assert any("contacts_p0002" in sql for sql in asked)
    assert list(differences(parsed(as_json(whole)), parted)) == []


def test_every_source_lies_in_one_part(tmp_path):
    with Duck(work_folder=tmp_path) as duck:
        duck.register("flows", duck.ask("SELECT '10.0.0.' || (i % 50) AS src, i AS flow_id FROM range(1000) AS t(i)"))
        duck.divide("flows", 7)
        every = " UNION ALL ".join(f"SELECT {part} AS part, * FROM flows_p{part:04}" for part in range(7))
        found = duck.ask(f"SELECT COUNT(*) AS n, SUM(flow_id) AS total, COUNT(DISTINCT src || ' ' || part) AS pairs FROM ({every})")
        assert found.to_pylist() == [{"n": 1000, "total": 499_500, "pairs": 50}]


def test_a_part_may_be_empty(tmp_path):
    with Duck(work_folder=tmp_path) as duck:
        duck.register("flows", duck.ask("SELECT '10.0.0.1' AS src, 1 AS flow_id"))
        duck.divide("flows", 3)
        assert sorted(duck.ask(f"SELECT COUNT(*) AS n FROM flows_p000{part}")["n"][0].as_py() for part in range(3)) == [0, 0, 1]


def test_without_a_work_folder():
    with Duck() as duck, pytest.raises(UsageError, match="no work folder"):
        duck.divide("flows", 2)
