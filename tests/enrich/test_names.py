"""In: DNS, HTTP and note rows. Out: whether names come from the evidence, the more trusted source first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.enrich.asking import ask_over, flow
from tracehound import tables
from tracehound.edges.packaged import address_table, provider_text
from tracehound.enrich.access import parse_kinds
from tracehound.enrich.addresses import address_rows
from tracehound.enrich.names import Name, clean, names, reverse_address


def dns(query, kind, *answers):
    return {
        "query": query,
        "answers": [a for _, a in answers],
        "answer_types": [kind] * len(answers),
        "answer_names": [owner for owner, _ in answers],
    }


def test_sources_in_order_of_trust():
    rows = ask_over(
        dns=[
            dns("www.example.com", "A", ("www.example.com", "192.0.2.1"), ("www.example.com", "192.0.2.2")),
            dns("1.2.0.192.in-addr.arpa", "PTR", ("1.2.0.192.in-addr.arpa", "dsl-1.example.net")),
            dns("v6.example.com", "AAAA", ("v6.example.com", "2001:DB8::1")),
            dns("alias.example.com", "CNAME", ("alias.example.com", "192.0.2.99")),
        ],
        http=[
            {"dst": "192.0.2.3", "host": "shop.example.org"},
            {"dst": "192.0.2.4", "host": "192.0.2.4"},
            *({"dst": "192.0.2.5", "host": f"h{i}.example.org"} for i in range(20)),
        ],
        capture_notes=[{"kind": "name", "subject": "192.0.2.2", "text": "noted.example"}],
    )
    assert names(rows) == {
        "192.0.2.1": Name("dsl-1.example.net", "ptr"),
        "192.0.2.2": Name("noted.example", "capture_notes"),
        "2001:db8::1": Name("v6.example.com", "dns"),
        "192.0.2.3": Name("shop.example.org", "http_host"),
    }


def test_reverse_addresses():
    assert reverse_address("131.54.216.130.in-addr.arpa") == "130.216.54.131"
    assert reverse_address("54.216.130.in-addr.arpa") is None
    assert reverse_address("999.54.216.130.IN-ADDR.ARPA") is None
    assert reverse_address("1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa") == "2001:db8::1"


@given(st.text(max_size=80))
def test_clean_takes_anything(text):
    tidy = clean(text)
    assert tidy is None or (len(tidy) <= 255 and " " not in tidy and "<" not in tidy)
    reverse_address(text)


def test_address_rows():
    ask = ask_over(flows=[flow("130.216.54.131", "202.178.254.2"), flow("130.216.54.131", "10.0.0.1")])
    known = {"202.178.254.2": Name("n002.n202-178-254-0-24.ethome.net", "dns")}
    table = address_rows(ask, address_table(), parse_kinds(provider_text()), ("130.216.0.0/16",), known)
    assert table.schema == tables.ADDRESSES.schema
    rows = {r["address"]: r for r in table.to_pylist()}
    assert set(rows) == {"130.216.54.131", "202.178.254.2", "10.0.0.1"}
    target = rows["202.178.254.2"]
    assert (target["is_access"], target["name_source"], target["country"]) == (True, "dns", "TW")
    assert "address in the name" in target["access_reason"]
    assert rows["130.216.54.131"]["is_home"]
    assert rows["10.0.0.1"]["is_access"] is None
    assert "RFC 1918" in rows["10.0.0.1"]["access_reason"]
