"""In: targets with their address rows. Out: whether the summary says who they are."""

from __future__ import annotations

import datetime

import pytest

from tracehound.edges.packaged import address_table, provider_text
from tracehound.enrich.access import parse_kinds
from tracehound.enrich.addresses import describe
from tracehound.enrich.names import Name
from tracehound.findings.targets import Target, own_shares, summarise

OWN = "130.216.54.131"
LINES = ["202.178.254.2", "24.201.28.90", "73.1.1.1", "217.228.248.159", "81.130.1.1", "1.160.1.1"]
SERVERS = ["5.9.1.1"]


@pytest.fixture(scope="module")
def kinds():
    return parse_kinds(provider_text())


@pytest.fixture(scope="module")
def table():
    return address_table()


def test_access_lines_all_over_the_world(table, kinds):
    targets = [Target(a, 10, "unanswered") for a in LINES + SERVERS]
    rows = describe(
        [OWN, *LINES, *SERVERS], table, kinds, names={LINES[0]: Name("n002.n202-178-254-0-24.ethome.net", "dns")}
    )
    start = int(datetime.datetime(2002, 7, 28, tzinfo=datetime.UTC).timestamp()) * 10**9
    s = summarise(
        targets,
        rows,
        own=OWN,
        table_date=table.date,
        evidence_start_ns=start,
        kind_reasons=kinds.reasons,
        order="random",
    )
    assert s.targets == 7
    assert s.access_share == pytest.approx(6 / 7)
    assert "6 of 7" in s.access_reason
    assert "1 of them by a name" in s.access_reason
    # 2002 addresses against a table of today: said, not hidden.
    assert "2002-07-28" in s.table_date
    assert "not of the evidence" in s.access_reason
    assert s.classes[0].name == "access"
    assert s.classes[0].reason
    assert s.spread.startswith("spread: 7 targets")
    assert s.named == (("202.178.254.2", "n002.n202-178-254-0-24.ethome.net"),)
    assert {c.name for c in s.countries} >= {"TW", "CA", "US", "DE", "GB"}
    assert sum(g.attempts for g in s.classes) == 70
    assert s.order == "random"


def test_clustered_near_home(table, kinds):
    targets = [Target(f"130.216.{i}.9", 1) for i in range(50)]
    s = summarise(targets, describe([t.address for t in targets], table, kinds), own=OWN, table_date=table.date)
    assert s.spread.startswith("clustered: 100% of 50 targets lie in 130.216.0.0/16")
    assert "100% in the suspect's own /16" in s.spread
    assert s.access_share is None
    assert own_shares(targets, OWN) == {"own_16_share": 1.0, "own_8_share": 1.0}


def test_unknown_addresses_and_none(table, kinds):
    s = summarise([Target("10.0.0.1", 3), Target("2001:db8::1", 1)], describe([], table, kinds))
    assert s.targets == 2
    assert s.classes[0].name == "unknown"
    assert summarise([], describe([], table, kinds)).targets == 0
