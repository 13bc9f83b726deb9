"""In: words of headers. Out: sets of addresses and ports, as Suricata reads them."""

from __future__ import annotations

import ipaddress
import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.variables import Variables, difference, union

V = Variables(
    {"HOME_NET": "[10.0.0.0/8,192.168.0.0/16]", "EXTERNAL_NET": "!$HOME_NET", "ANY": "any", "LOOP": "[$LOOP2]", "LOOP2": "$LOOP"},
    {"HTTP_PORTS": "80", "PORTS": "[$HTTP_PORTS,8000:8010,!8005]"},
)


def has(text: str, address: str) -> bool:
    number = ipaddress.ip_address(address)
    n = int(number) | (0xFFFF_0000_0000 if number.version == 4 else 0)
    return any(low <= n <= high for low, high in V.address_set(text).ranges)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("any", ["1.2.3.4", "2001:db8::1"], []),
        ("$HOME_NET", ["10.1.1.1", "192.168.1.1"], ["11.0.0.1", "::1"]),
        # A set that only negates IPv4 is the rest of IPv4, without IPv6 (detect-engine-address.c).
        ("$EXTERNAL_NET", ["11.0.0.1"], ["10.1.1.1", "2001:db8::1"]),
        ("!fe80::/10", ["2001:db8::1"], ["fe80::1", "1.2.3.4"]),
        ("![10.0.0.0/8,fe80::/10]", ["1.2.3.4", "2001:db8::1"], ["10.0.0.1", "fe80::1"]),
        ("[10.0.0.0/8,![10.1.0.0/16,!10.1.1.0/24]]", ["10.2.0.1", "10.1.1.1"], ["10.1.2.1"]),
        ("[1.2.3.4, 1.2.3.6-1.2.3.9]", ["1.2.3.4", "1.2.3.7"], ["1.2.3.5", "1.2.3.10"]),
        ("1.2.3.0/255.255.255.0", ["1.2.3.255"], ["1.2.4.0"]),
        ("$(NONE:-1.1.1.1)", ["1.1.1.1"], ["1.1.1.2"]),
        ("[any,!1.1.1.1]", ["1.1.1.2", "::1"], ["1.1.1.1"]),
    ],
)
def test_addresses(text, inside, outside):
    assert [a for a in inside if not has(text, a)] == []
    assert [a for a in outside if has(text, a)] == []


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("any", ((0, 65535),)),
        ("80", ((80, 80),)),
        ("1024:", ((1024, 65535),)),
        (":1023", ((0, 1023),)),
        ("!80", ((0, 79), (81, 65535))),
        ("$PORTS", ((80, 80), (8000, 8004), (8006, 8010))),
        ("[80,81,82]", ((80, 82),)),
        ("[80: 82]", ((80, 82),)),
        ("[1024: ]", ((1024, 65535),)),
        ("[ :7 , 9 ]", ((0, 7), (9, 9))),
        ("[1:100,!10:20,!15]", ((1, 9), (21, 100))),
    ],
)
def test_ports(text, ranges):
    assert V.port_set(text).ranges == ranges


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!any", "leave nothing"),
        ("![1.2.3.4,any]", "leave nothing"),
        ("[10.0.0.0/8,!10.0.0.0/7]", "leave nothing"),
        ("$NONE", "no address variable $NONE"),
        ("$LOOP", "stands for itself"),
        ("[1.1.1.1", "unbalanced"),
        ("1.1.1.1]", "unbalanced"),
        ("[1.1.1.1,,2.2.2.2]", "between two commas"),
        ("[1.1.1.1 2.2.2.2]", "comma is missing"),
        ("1.1.1.256", "no address"),
        ("2.2.2.2-1.1.1.1", "no range"),
        ("example.org", "no address"),
        ("[" * 100 + "any" + "]" * 100, "nested deeper"),
    ],
)
def test_what_is_no_set_of_addresses(text, said):
    with pytest.raises(KeywordError, match=said.replace("$", r"\$")):
        V.address_set(text)


@pytest.mark.parametrize("text", ["65536", "90:80", ":", "http", "-1", "!any", "[80,]"])
def test_what_is_no_set_of_ports(text):
    with pytest.raises(KeywordError):
        V.port_set(text)


def test_sets_that_would_never_end():
    doubling = {f"V{n}": f"[$V{n + 1},$V{n + 1}]" for n in range(25)} | {"V25": "1.1.1.1"}
    with pytest.raises(KeywordError, match="parts in one set"):
        Variables(doubling).address_set("$V0")


RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda x: (x[0], x[0] + x[1])), max_size=8)


@given(RANGES, RANGES)
def test_arithmetic_of_ranges(a, b):
    def members(ranges):
        return {n for low, high in ranges for n in range(low, high + 1)}

    first, second = union(a), union(b)
    assert members(first) == members(a)
    left = difference(first, second)
    assert members(left) == members(a) - members(b)
    assert all(x[1] < y[0] for x, y in itertools.pairwise(left))


@given(st.text(alphabet="![],$:.-/ 0123456789abcANYHOME_NET", max_size=40))
def test_any_words_are_a_set_or_refused(text):
    for read in (V.address_set, V.port_set):
        try:
            ranges = read(text).ranges
        except KeywordError:
            continue
        assert ranges
        assert all(low <= high for low, high in ranges)
