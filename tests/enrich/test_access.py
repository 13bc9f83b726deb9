"""In: names as providers make them. Out: whether they are told apart as the table of points says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.edges.packaged import provider_text
from tracehound.enrich.access import address_in_name, is_access, judge, judge_name, left_of_registrable, parse_kinds
from tracehound.errors import RuleError

CASES = [
    ("YahooBB219173000034.bbtec.net", "219.173.0.34", "access"),
    ("pD9E4F89F.dip.t-dialin.net", "217.228.248.159", "access"),
    ("modemcable090.28-201-24.mc.videotron.ca", "24.201.28.90", "access"),
    ("n002.n202-178-254-0-24.ethome.net", "202.178.254.2", "access"),
    ("024-210-034-053.nc.example.com", "24.210.34.53", "access"),
    ("ool-18c1d2e3.dyn.optonline.net", "24.193.210.227", "access"),
    ("adsl-64-123-4-5.dsl.example.net", "64.123.4.5", "access"),
    ("p5-4-123-64.example.co.jp", "64.123.4.5", "access"),
    # The three that the table's own trial names as not decided, or decided wrongly.
    ("h0002a5d76857.ne.client2.attbi.com", "24.1.2.3", "unknown"),
    ("static-71-162-1-2.phlapa.fios.verizon.net", "71.162.1.2", "unknown"),
    ("dynamic.reallybigsite.com", "1.2.3.4", "access"),
    ("ec2-52-1-2-3.compute-1.amazonaws.com", "52.1.2.3", "server"),
    ("www.example.com", "1.1.1.1", "server"),
    ("ns1.example.org", "1.1.1.1", "server"),
    ("xe-0.core.example.net", "1.1.1.1", "server"),
    ("geb.phy.auckland.ac.nz", "130.216.54.131", "unknown"),
    ("ethome.net", "1.1.1.1", "unknown"),
]


@pytest.mark.parametrize(("name", "address", "kind"), CASES)
def test_names(name, address, kind):
    judgement = judge_name(name, address)
    assert judgement.kind == kind, judgement


def test_each_row_adds_once():
    assert judge_name("dsl1.dsl2.adsl.example.net").points == 2
    assert judge_name("1-2-3-4.001002003004.example.net", "1.2.3.4").points == 2


def test_left_of_registrable():
    assert left_of_registrable("a.b.example.com") == "a.b"
    assert left_of_registrable("pc1.lab.auckland.ac.nz.") == "pc1.lab"
    assert left_of_registrable("example.com") == "example.com"


@pytest.mark.parametrize(
    "name", ["1-2-3-40.example.net", "11-2-3-4.example.net", "102030405.example.net", "4.example.net"]
)
def test_another_address_is_not_in_the_name(name):
    assert not address_in_name(name, "1.2.3.4")


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_text_is_judged(name, address):
    assert judge_name(name, address).kind in ("access", "server", "unknown")


@given(st.ip_addresses(v=4))
def test_every_form_of_the_address_is_found(address):
    octets = str(address).split(".")
    for form in ("-".join(octets), "x".join(reversed(octets)), "".join(o.zfill(3) for o in octets)):
        assert address_in_name(f"a{form}.example", str(address))
    assert address_in_name("p" + "".join(f"{int(o):02x}" for o in octets) + ".example", str(address))


def test_provider_and_name_together():
    assert is_access(judge(None, "24.0.0.1", "access", "Comcast")) is True
    assert is_access(judge("www.example.com", "24.0.0.1", "access", "Comcast")) is False
    assert is_access(judge(None, "5.9.0.1", "hosting", "Hetzner")) is False
    # Neither no name nor a university is evidence of anything.
    assert is_access(judge(None, "130.216.1.1", "education", "University")) is None
    assert is_access(judge(None, "1.1.1.1", None, None)) is None


def test_provider_kinds():
    kinds = parse_kinds(provider_text())
    wanted = {
        (7922, "Comcast Cable Communications, LLC"): "access",
        (3320, "Deutsche Telekom AG"): "access",
        (3462, "Chunghwa Telecom Co., Ltd."): "access",
        (16509, "Amazon.com, Inc."): "hosting",
        (24940, "Hetzner Online GmbH"): "hosting",
        (15169, "Google LLC"): "content",
        (9431, "The University of Auckland"): "education",
        (65001, "Example State University Hospital"): "education",
        (65002, "Ministry of Examples"): "government",
        (65003, "Example Mobile Ltd"): "mobile",
        (65004, "Example Cablevision S.A."): "access",
        (65005, "Example VPS"): "hosting",
        (65006, "Bank of Examples"): "enterprise",
        (65007, "Something Else"): None,
        (3356, "Level 3 Parent, LLC"): "transit",
    }
    assert {key: kinds.kind(*key) for key in wanted} == wanted
    assert all(kinds.reasons.values())


def test_a_bad_table_is_told():
    with pytest.raises(RuleError):
        parse_kinds("[[class]]\nkind = 'castle'\n")
    with pytest.raises(RuleError):
        parse_kinds("x = ")
