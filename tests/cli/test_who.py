"""In: addresses on the command line. Out: whether `tracehound who` names their holders without asking anyone."""

from __future__ import annotations

import json

import pytest

from tracehound.cli.who import COLUMNS, main, who_rows
from tracehound.edges.packaged import address_table, provider_text
from tracehound.enrich.access import parse_kinds
from tracehound.errors import UsageError


def test_rows_in_the_order_given():
    rows = who_rows(["130.216.54.131", "10.0.0.1", "2A00:1450::1"], address_table(), parse_kinds(provider_text()))
    assert [tuple(r) for r in rows] == [COLUMNS] * 3
    assert [r["address"] for r in rows] == ["130.216.54.131", "10.0.0.1", "2a00:1450::1"]
    assert rows[0]["provider"] == "The University of Auckland"
    assert rows[1]["note"] == "private use (RFC 1918)"
    assert rows[2]["country"] == "IE"


def test_no_address():
    with pytest.raises(UsageError, match="nonsense"):
        who_rows(["nonsense"], address_table(), parse_kinds(provider_text()))


def test_command_line(capfdbinary):
    assert main(["8.8.8.8", "--format", "jsonl"]) == 0
    row = json.loads(capfdbinary.readouterr().out)
    assert (row["asn"], row["provider_kind"]) == (15169, "content")
