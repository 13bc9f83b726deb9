"""In: addresses. Out: whether the look-up agrees with the plain reading of the ranges, and with what is known."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.edges.packaged import address_table
from tracehound.enrich.networks import contains, is_v4, lookup, parse, special_use


@pytest.fixture(scope="module")
def table():
    return address_table()


@given(st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=30))
def test_parse_agrees_with_ipaddress(addresses):
    hi, lo = parse([str(a) for a in addresses])
    for a, h, low in zip(addresses, hi.tolist(), lo.tolist(), strict=True):
        number = int(a) | (0xFFFF << 32) if a.version == 4 else int(a)
        assert (h << 64) | low == number


def test_parse_takes_dictionary_columns_and_nonsense():
    column = pa.chunked_array([pa.array(["10.0.0.1", None, "1.2.3.999", "no", "fe80::1%eth0"]).dictionary_encode()])
    hi, lo = parse(column)
    assert is_v4(hi, lo).tolist() == [True, False, False, False, False]
    assert (hi.tolist()[1:4], lo.tolist()[1:4]) == ([0, 0, 0], [0, 0, 0])
    assert hi.tolist()[4] == 0xFE80 << 48


def test_parse_survives_overlong_numbers():
    hi, lo = parse(["999.999.999.999", "1.2.3.4.5", ""])
    assert hi.tolist() == [0, 0, 0]
    assert lo.tolist() == [0, 0, 0]


@given(
    st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), min_size=1, max_size=20),
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.integers(0, 128),
)
def test_contains_agrees_with_ipaddress(addresses, base, length):
    net = ipaddress.ip_network((base, min(length, base.max_prefixlen)), strict=False)
    # IPv4 addresses are IPv4 wherever they come from: ::ffff:a.b.c.d is not looked for in IPv6 networks.
    plain = [a for a in addresses if a.version == 4 or a.ipv4_mapped is None]
    got = contains([str(net)], *parse([str(a) for a in plain])).tolist()
    assert got == [a.version == net.version and a in net for a in plain]


def test_known_networks(table):
    wanted = {
        "130.216.54.131": (9431, "NZ", "130.216.0.0/16"),
        "8.8.8.8": (15169, "US", "8.8.8.0/24"),
        "10.1.2.3": (0, None, "10.1.2.0/24"),
        "2a00:1450:4001:81b::200e": (15169, "IE", "2a00:1450::/32"),
        "fe80::1": (0, None, "fe80::/48"),
    }
    found = lookup(table, *parse(list(wanted)))
    rows = zip(found.asn.tolist(), found.country.to_pylist(), found.network.to_pylist(), strict=True)
    assert dict(zip(wanted, rows, strict=True)) == wanted
    assert table.provider(9431) == "The University of Auckland"
    assert table.provider(4_200_000_001) is None


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=50))
def test_a_network_holds_its_address_and_one_system_only(table, addresses):
    texts = [str(a) for a in addresses]
    found = lookup(table, *parse(texts))
    for i, text in enumerate(texts):
        net = ipaddress.ip_network(found.network[i].as_py())
        assert ipaddress.ip_address(text) in net
        ends = lookup(table, *parse([str(net[0]), str(net[-1])]))
        if found.asn[i]:
            assert set(ends.asn.tolist()) == {int(found.asn[i])}


def test_table_is_sorted_and_says_where_it_is_from(table):
    for starts in (table.v4_start, table.v6_start, table.v4_country_start, table.v6_country_start, table.name_asn):
        assert (np.diff(starts.astype(object)) > 0).all()
    assert table.v4_start[0] == 0
    assert table.date >= "2026-01-01"
    assert "DB-IP" in table.attribution


def test_special_use():
    said = special_use(*parse(["192.168.1.1", "224.0.0.1", "8.8.8.8", "100.64.1.1", "ff02::1", "2001:db8::1"]))
    assert [s.split(" (")[0] if s else None for s in said] == [
        "private use",
        "multicast",
        None,
        "shared address space behind carrier NAT",
        "multicast",
        "documentation",
    ]


def test_no_addresses(table):
    found = lookup(table, *parse([]))
    assert len(found.asn) == len(found.country) == len(found.network) == 0
