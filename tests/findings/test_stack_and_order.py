"""How a suspect sends and in which order it takes its targets, from columns written by hand."""

import numpy as np
import pytest

from tracehound.findings.order import port_order, revisits, target_order
from tracehound.findings.probes import Probes
from tracehound.findings.stack import source_ports, stack

S = 1_000_000_000


def probes(targets, *, every=10 * S, outcome="unanswered", **columns) -> Probes:
    """One attempt a target, in the order given; a column is one value or a list."""
    n = len(targets)
    names = list(dict.fromkeys(targets))

    def column(name, default):
        value = columns.get(name, default)
        return np.array([value] * n if isinstance(value, int) else list(value), dtype=np.int64)

    start = np.arange(n, dtype=np.int64) * every
    return Probes(
        targets=tuple(names),
        outcomes=(outcome,),
        target=np.array([names.index(t) for t in targets], dtype=np.int64),
        outcome=np.zeros(n, dtype=np.int64),
        start_ns=start,
        end_ns=start + 9 * S,
        sport=column("sport", range(1024, 1024 + n)),
        dport=column("dport", 80),
        tries=column("tries", 4),
        payload_src=column("payload_src", 0),
        payload_dst=column("payload_dst", 0),
        icmp_type=column("icmp_type", -1),
        icmp_code=column("icmp_code", -1),
        ttl=column("ttl", 127),
        seq=column("seq", [1000 + 77 * k for k in range(n)]),
        window=column("window", 8760),
        options=column("options", 8),
        ip_id=column("ip_id", range(n)),
        flags=column("flags", 2),
        flow_id=column("flow_id", range(n)),
        evidence_id=column("evidence_id", 0),
        packet_id=column("packet_id", range(1, n + 1)),
        last_packet_id=column("last_packet_id", range(1, n + 1)),
    )


def near(n, step=1):
    return [f"192.0.2.{k * step + 1}" for k in range(n)]


FAR = [f"{24 + k * 37 % 180}.{k * 59 % 250}.{k * 83 % 250}.{k * 7 % 250 + 1}" for k in range(60)]


def test_ordinary_stack():
    found = stack(probes(FAR), 6)
    assert found.verdict == "ordinary"
    assert (
        found.source_ports == "counting up (small steps up in 100 % of attempts, by exactly one in 100 %), 1024 to 1083"
    )
    assert found.retry_counts == ((4, 60),)
    assert found.syn_retries == "4 SYNs where nobody answered, over 9 s"
    assert "SYNs are repeated with growing pauses" in found.reasons


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"options": 0}, "no TCP options in 100 %"),
        ({"window": 1024, "options": 4}, "window always 1024 with only MSS"),
        ({"seq": 12345}, "only 1 different sequence numbers"),
        ({"ip_id": 54321}, "IP identification always 54321 (zmap's)"),
        ({"sport": 51000}, "from one source port"),
        ({"flags": 41}, "FIN, PSH and URG"),
        ({"flags": 0}, "no flag at all"),
    ],
)
def test_packets_made_by_hand(columns, word):
    found = stack(probes(FAR, **columns), 6)
    assert found.verdict == "crafted"
    assert any(word in r for r in found.reasons), found.reasons


def test_sequence_number_equal_to_the_target():
    import ipaddress

    found = stack(probes(FAR, seq=[int(ipaddress.ip_address(t)) for t in FAR], tries=1), 6)
    assert found.reasons[0] == "the TCP sequence number equals the destination address in 100 % of the SYNs"
    assert "a single SYN, never repeated, where nobody answered" in found.reasons


def test_too_few_to_tell():
    assert stack(probes(FAR[:4], options=0), 6).verdict == "cannot be told"


def test_flow_log_columns_that_are_not_there():
    found = stack(
        probes(
            FAR,
            options=-1,
            window=-1,
            seq=-1,
            ip_id=-1,
            ttl=-1,
            sport=[5000 + k * 977 % 40000 for k in range(60)],
            tries=0,
        ),
        6,
    )
    assert found.verdict == "cannot be told"
    assert found.syn_retries == "no unanswered attempt shows SYNs"


def test_source_ports():
    assert source_ports(probes(FAR[:1]))[0] == "single"
    assert source_ports(probes(FAR, sport=20))[1] == "always 20"
    assert source_ports(probes(FAR, sport=[20, 21] * 30))[0] == "few"
    assert source_ports(probes(FAR, sport=[5000 + k * 977 % 40000 for k in range(60)]))[0] == "shuffled"
    assert source_ports(probes(FAR, sport=[4990 + k if k < 10 else 1014 + k for k in range(60)]))[0] == "counting"


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (near(40), "ascending"),
        (near(40)[::-1], "descending"),
        (near(40)[::2] + near(40)[1::2] * 1, "ascending"),
        ([f"10.0.{k * 37 % 256}.{k * 91 % 254}" for k in range(60)], "one network"),
        (FAR, "scattered"),
        (FAR[:20] * 5, "in turn"),
        (FAR[:2], "few"),
        ([f"2001:db8:{k:x}::1" for k in range(30)], "ascending"),
    ],
)
def test_orders(targets, kind):
    assert target_order(probes(targets)).kind == kind


def test_fixed_list():
    again = revisits(probes(FAR[:20] * 6))
    assert (again.fixed_list, again.again, again.visits, again.every_ns) == (True, 20, 6.0, 200.0 * S)
    assert again.text == (
        "a fixed list: 20 of 20 tried again, 6 times each (median), 3.3 minutes apart (median); "
        "no new target in the second half"
    )
    assert revisits(probes(FAR)).text == "each was tried once"
    assert not revisits(probes(FAR + FAR[:5])).fixed_list


def test_port_order():
    one = ["192.0.2.1"] * 50
    assert port_order(probes(one, dport=range(1, 51))).text == "50 ports from 1 to 50, ascending (100 % of steps)"
    assert port_order(probes(one, dport=range(50, 0, -1))).kind == "descending"
    assert port_order(probes(one, dport=[k * 17 % 101 for k in range(50)])).kind == "shuffled"
