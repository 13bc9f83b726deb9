"""In: flows as captures of several kinds have them. Out: whether the home networks are those an officer would name."""

from __future__ import annotations

import pytest

from tests.enrich.asking import ask_over, flow
from tracehound.enrich.home import PRIVATE, given, infer_home, is_home
from tracehound.enrich.networks import parse
from tracehound.errors import UsageError


def home_of(flows):
    return infer_home(ask_over(flows=flows))


def test_private_ranges_in_use():
    home, reason = home_of([flow("192.168.1.5", f"93.184.{i}.34") for i in range(50)])
    assert home == ("192.168.0.0/16",)
    assert "100%" in reason


def test_a_public_campus():
    flows = [flow(f"130.216.{i}.{i}", f"{20 + i}.{i}.3.4", ttl_src=126) for i in range(60)]
    flows += [flow(f"{80 + i}.1.1.1", "130.216.1.80", ttl_src=50) for i in range(60)]
    home, reason = home_of(flows)
    assert home == ("130.216.0.0/16",)
    assert "130.216.0.0/16" in reason


def test_a_public_campus_with_a_few_leaks():
    flows = [flow(f"130.216.{i}.{i}", f"{20 + i}.{i}.3.4") for i in range(100)] + [flow("10.0.0.1", "9.9.9.9")]
    assert home_of(flows)[0] == ("130.216.0.0/16",)


def test_campus_and_private_side_by_side():
    flows = [flow(f"130.216.{i}.{i}", f"{20 + i}.{i}.3.4") for i in range(50)]
    flows += [flow(f"10.0.0.{i}", f"{20 + i}.{i}.3.4") for i in range(50)]
    assert set(home_of(flows)[0]) == {"10.0.0.0/8", "130.216.0.0/16"}


def test_one_host():
    home, reason = home_of([flow("203.0.114.9", f"{20 + i}.{i}.3.4") for i in range(50)])
    assert home == ("203.0.114.9/32",)
    assert "no other host" in reason


def test_at_a_server():
    assert home_of([flow(f"{20 + i}.{i}.3.4", "93.184.216.34") for i in range(50)])[0] == ("93.184.216.34/32",)


def test_scanned_from_outside():
    """Scanner and scanned network both take part in every flow: the scanner's packets have come far."""
    flows = [flow("61.1.2.3", f"130.216.{i}.7", ttl_src=49, outcome="unanswered") for i in range(80)]
    flows += [flow("130.216.3.4", "61.1.2.3", ttl_src=127) for i in range(2)]
    assert home_of(flows)[0] == ("130.216.0.0/16",)


def test_ipv6():
    assert home_of([flow(f"2001:200:1:{i % 3}::{i}", f"2a00:{i + 10:x}::1") for i in range(40)])[0] == (
        "2001:200:1::/48",
    )


def test_group_traffic_tells_nothing_and_nothing_is_nothing():
    assert set(PRIVATE) <= set(home_of([flow("0.0.0.0", "255.255.255.255"), flow("fe80::1", "ff02::1")])[0])
    assert home_of([flow("127.0.0.1", "127.0.0.1")])[0] == (*PRIVATE, "127.0.0.0/8")
    assert home_of([])[0] == PRIVATE


def test_a_backbone_has_no_home():
    home, reason = home_of([flow(f"{20 + i}.{i}.1.1", f"{120 + i % 90}.{i}.1.1") for i in range(90)])
    assert home == PRIVATE
    assert "no network" in reason


def test_given():
    assert given([" 130.216.0.1/16", "2001:db8::/32"]) == ("130.216.0.0/16", "2001:db8::/32")
    with pytest.raises(UsageError):
        given(["campus"])
    assert is_home(("130.216.0.0/16",), *parse(["130.216.9.9", "130.217.9.9"])).tolist() == [True, False]
