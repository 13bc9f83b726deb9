"""Pages are parsed strictly, queries are composed, and every query can be carried to another SQL engine."""

from typing import Any

import pyarrow as pa
import pytest
import sqlglot

from tests.findings.scenario import HOUR, T0, Evidence, S, detectors
from tracehound import tables
from tracehound.detectors import catalog
from tracehound.edges.packaged import detector_pages
from tracehound.errors import RuleError, Unanswerable, UsageError

PAGE = """-- id: one
-- version: 2
-- title: A title
-- question: What is asked?
-- what: One line
--   and another.
-- why: Because.
-- look-alikes: None.
-- parameter: least = 3 (rows) fewest
--   rows
-- tables: flows
-- cannot: fly
-- source: a paper
-- technique: T1046
SELECT src FROM flows WHERE pkts_src >= $least
"""


def test_a_page():
    d = catalog.parse(PAGE, "one.sql")
    assert (d.id, d.version, d.label, d.technique) == ("one", 2, "one 2", "T1046")
    assert d.what == "One line and another."
    assert d.parameters == (catalog.Parameter("least", 3, "rows", "fewest rows"),)
    assert d.tables == ("flows",) and d.optional == ()
    assert d.sql == "SELECT src FROM flows WHERE pkts_src >= $least\n"
    assert d.default("least") == 3
    with pytest.raises(UsageError, match="no parameter most"):
        d.default("most")


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("-- id: one", "-- idea: one", 1, "unknown field 'idea'"),
        ("-- why: Because.", "-- title: again", 7, "field 'title' twice"),
        ("-- why: Because.\n", "", 14, "no 'why'"),
        ("-- version: 2", "-- version: two", 15, "not a number"),
        ("--   and another.", "-- and another.", 6, "neither a field"),
        ("= 3 (rows)", "is 3", 9, "a parameter reads"),
        ("$least", "3", 15, "differ: least"),
        ("$least", "$least + $most", 15, "differ: most"),
        ("SELECT src FROM flows WHERE pkts_src >= $least\n", "", 14, "no query"),
    ],
)
def test_malformed_pages_name_file_and_line(old, new, line, why):
    with pytest.raises(RuleError, match=why) as caught:
        catalog.parse(PAGE.replace(old, new), "one.sql")
    assert (caught.value.source, caught.value.line) == ("one.sql", line)


def test_load_checks_names():
    with pytest.raises(RuleError, match="not the file's name"):
        catalog.load({"two.sql": PAGE})
    with pytest.raises(RuleError, match="neither a table nor a detector"):
        catalog.load({"one.sql": PAGE.replace("tables: flows", "tables: flaws")})


def test_every_detector_is_portable_and_deterministic():
    c = detectors()
    assert len(c.detectors) >= 15
    available = frozenset(tables.ALL)
    for d in c.detectors.values():
        query = c.query(d, available)
        (spark,) = sqlglot.transpile(query, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
        assert spark
        if d.id != "capture_health" and d.id != "host_activity":
            assert "ORDER BY" in d.sql.rsplit("\n", 6)[-6] + d.sql[-200:], d.id
        assert " RANGE " not in d.sql, d.id


def test_what_is_missing_is_said():
    e = Evidence()
    e.answered(T0, "10.0.0.1", "24.1.1.1")
    c = detectors()
    with e.duck("http") as duck:
        with pytest.raises(Unanswerable, match="needs the table http"):
            c.run("host_requests", duck.ask, hosts="10.0.0.1")
        with pytest.raises(UsageError, match="no detector nothing"):
            c.run("nothing", duck.ask)
        with pytest.raises(UsageError, match="no parameter theta9"):
            c.run("trw", duck.ask, theta9=1)


def test_an_optional_table_may_be_absent():
    e = Evidence()
    e.answered(T0, "10.0.0.1", "24.1.1.1")
    with e.duck("dns") as duck:
        assert detectors().run("contacts", duck.ask)["named"].to_pylist() == [False]


def test_materialised_answers_equal_composed_ones():
    e = Evidence()
    e.probe("10.0.0.5", T0, T0 + 3 * HOUR, 2, dport=445)
    e.browse("10.0.0.5", T0, T0 + 3 * HOUR)
    with e.duck() as duck:
        c = detectors()
        whole = {n: c.run(n, duck.ask) for n in ("probing_hosts", "trw", "host_roles", "block_scans")}
        there = catalog.tables_of(duck.ask)
        c = c.materialise("attempts", duck.ask, there).materialise("contacts", duck.ask, there)
        for name, table in whole.items():
            assert c.run(name, duck.ask).equals(table), name


def test_pages_are_in_the_package():
    assert {"attempts.sql", "contacts.sql", "probing_hosts.sql", "trw.sql"} <= set(detector_pages())


# -- attempts and contacts ------------------------------------------------------------------------------------------------


def attempts(e: Evidence, **more) -> Any:
    with e.duck() as duck:
        return detectors().run("attempts", duck.ask, **more).to_pylist()


def test_retries_are_one_attempt():
    e = Evidence()
    for n, at in enumerate((0, 6, 9, 30, 104)):  # gaps of at most 75 s
        e.flow(T0 + at * S, "10.0.0.5", "24.1.1.1", sport=2000, syn_count=1 + n % 2)
    e.flow(T0 + 180 * S, "10.0.0.5", "24.1.1.1", sport=2000)  # 76 s later: another attempt
    e.flow(T0 + 1 * S, "10.0.0.5", "24.1.1.1", sport=2001)
    rows = attempts(e)
    assert [(r["sport"], r["flows"], r["tries"]) for r in rows] == [(2000, 5, 7), (2001, 1, 1), (2000, 1, 1)]
    assert rows[0]["end_ns"] == T0 + 104 * S
    assert [r["flows"] for r in attempts(e, merge_ns=0)] == [1] * 7


def test_the_hardest_outcome_of_merged_flows_wins():
    e = Evidence()
    e.flow(T0, "10.0.0.5", "24.1.1.1", sport=2000)
    e.refused(T0 + S, "10.0.0.5", "24.1.1.1", sport=2000)
    e.flow(T0, "10.0.0.5", "24.1.1.2", sport=2001)
    e.flow(T0 + S, "10.0.0.5", "24.1.1.2", sport=2001, outcome="unreachable", icmp_type=3, icmp_code=1)
    assert [(r["outcome"], r["icmp_code"]) for r in attempts(e)] == [("refused", None), ("unreachable", 1)]


def test_classes():
    e = Evidence()
    e.answered(T0, "10.0.0.5", "24.1.1.1")
    e.accepted(T0 + 1, "10.0.0.5", "24.1.1.2")
    e.unanswered(T0 + 2, "10.0.0.5", "24.1.1.3")
    e.udp(T0 + 3, "10.0.0.5", "24.1.1.4", 99)
    e.udp(T0 + 4, "10.0.0.5", "24.1.1.5", 99, outcome="unreachable")
    e.ping(T0 + 5, "10.0.0.5", "24.1.1.6", answered=False)
    e.flow(T0 + 6, "10.0.0.5", "24.1.1.7", outcome="midstream", tcp_flags_src=41, tcp_flags_dst=20, pkts_dst=1)
    left_out: list[dict[str, Any]] = [
        {"outcome": "one_sided"},
        {"outcome": "midstream", "tcp_flags_src": 24},
        {"outcome": "unanswered", "tcp_flags_src": 26},
        {"dst": "224.0.0.251"},
        {"dst": "255.255.255.255"},
        {"dst": "ff02::fb"},
        {"src": "0.0.0.0"},
        {"proto": 1, "sport": 3, "dport": 1},
    ]
    for n, more in enumerate(left_out):
        e.flow(T0 + 10 + n, more.pop("src", "10.0.0.5"), more.pop("dst", "24.1.1.8"), **more)
    assert [(r["class"], r["outcome"]) for r in attempts(e)] == [
        ("success", "answered"),
        ("success", "accepted"),
        ("failure", "unanswered"),
        ("neutral", "unanswered"),
        ("failure", "unreachable"),
        ("failure", "unanswered"),
        ("failure", "refused"),
    ]


def test_contacts_know_names_of_the_asker_only():
    e = Evidence()
    e.lookup(T0, "10.0.0.5", "a.example", "24.1.1.1")
    e.lookup(T0, "10.0.0.6", "b.example", "24.1.1.2")
    for n in (1, 2):
        e.unanswered(T0 + n * S, "10.0.0.5", f"24.1.1.{n}")
        e.unanswered(T0 + n * S, "10.0.0.7", f"24.1.1.{n}")
    e.unanswered(T0 - S, "10.0.0.6", "24.1.1.2")  # before its name was known
    with e.duck() as duck:
        rows = detectors().run("contacts", duck.ask).to_pylist()
    named = {(r["src"], r["dst"]): r["named"] for r in rows if r["dport"] == 80}
    assert named == {
        ("10.0.0.5", "24.1.1.1"): True,
        ("10.0.0.5", "24.1.1.2"): False,
        ("10.0.0.6", "24.1.1.2"): False,
        ("10.0.0.7", "24.1.1.1"): True,  # its own DNS is not in the evidence: any answer counts
        ("10.0.0.7", "24.1.1.2"): True,
    }


# -- sequential test ------------------------------------------------------------------------------------------------------


def walk(outcomes: str, **more) -> Any:
    e = Evidence()
    for n, letter in enumerate(outcomes):
        (e.unanswered if letter == "F" else e.answered)(T0 + n * S, "10.0.0.5", f"24.1.{n // 250}.{n % 250 + 1}")
    with e.duck() as duck:
        (row,) = detectors().run("trw", duck.ask, **more).to_pylist()
    return row


CB = {"theta0": 0.7, "theta1": 0.1, "pf": 5e-5}


def test_trw_golden_trace():
    row = walk("FFSFFF")
    assert (row["verdict"], row["scanner_at"], row["benign_at"], row["alarm_at"]) == ("scanner", 6, None, 6)
    assert row["cusum_max"] == pytest.approx(5.545, abs=1e-3)
    assert row["onset_at"] == 1 and row["alarm_ns"] == T0 + 5 * S


def test_trw_decides_either_way():
    assert walk("FFFF")["scanner_at"] == 4
    assert walk("SSSS")["verdict"] == "benign"
    assert walk("FSFSFS")["verdict"] == "pending"


def test_trw_counts_a_target_once():
    e = Evidence()
    for n in range(5):
        e.unanswered(T0 + n * 200 * S, "10.0.0.5", "24.1.1.1")
    with e.duck() as duck:
        assert detectors().run("trw", duck.ask).num_rows == 0


def test_trw_cb_needs_ten_failures():
    assert walk("F" * 9, **CB)["alarm_at"] is None
    assert walk("F" * 10, **CB)["alarm_at"] == 10
    row = walk("S" * 200 + "F" * 10, **CB)
    assert (row["alarm_at"], row["onset_at"], row["verdict"]) == (210, 201, "benign")


@pytest.mark.parametrize(("rate", "share"), [(0.95, 1.0), (0.85, 0.999), (0.7, 0.967), (0.5, 0.48), (0.2, 0.003)])
def test_trw_within_63_targets(rate, share):
    """Share of scanner verdicts in 600 simulated hosts, against the simulation of 4,000 that the methods quote."""
    import numpy as np

    rng = np.random.default_rng(63)
    hosts, targets = 600, 63
    failed = rng.random((hosts, targets)) < rate
    n = hosts * targets
    src = [f"10.0.{h // 250}.{h % 250}" for h in range(hosts) for _ in range(targets)]
    dst = [f"24.1.{t}.1" for _ in range(hosts) for t in range(targets)]
    from tests.findings.scenario import FLOW_DEFAULTS
    from tracehound import tables
    from tracehound.edges.duck import Duck

    columns = {
        "flow_id": pa.array(range(n), pa.int64()),
        "start": pa.array([T0 + i for i in range(n)], tables.TS),
        "end": pa.array([T0 + i for i in range(n)], tables.TS),
        "src": pa.array(src),
        "dst": pa.array(dst),
        "outcome": pa.array(["unanswered" if f else "answered" for f in failed.ravel()]),
    }
    for f in tables.FLOWS.schema:
        if f.name not in columns:
            columns[f.name] = pa.array([FLOW_DEFAULTS.get(f.name)] * n, f.type)
    with Duck(threads=2) as duck:
        duck.register("flows", pa.table(columns))
        verdicts = detectors().run("trw", duck.ask)["verdict"].to_pylist()
    assert verdicts.count("scanner") / hosts == pytest.approx(share, abs=0.06)
