import socket
from collections import Counter

import pytest

from tests.demo.reading import packets, tcp
from tracehound.demo.scenarios import SCENARIOS, mirai_like, revisits, slow


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_is_labelled_ordered_and_repeatable(name):
    scenario = SCENARIOS[name](1)
    data = scenario.pcapng()
    assert b"SYNTHETIC scenario" in data[:300]
    times = [p.ts for p in packets(data)]
    assert times == sorted(times)
    assert len(times) == len(scenario.wire)
    assert data == SCENARIOS[name](1).pcapng()
    assert sum(scenario.outcomes.values()) == scenario.attempts
    assert bool(scenario.probing) == (scenario.attempts > 0)


@pytest.mark.parametrize("name", ["horizontal", "slow", "vertical", "block", "code_red_like", "revisits"])
def test_attempts_are_those_counted_in_the_bytes(name):
    scenario = SCENARIOS[name](2)
    source = socket.inet_aton(scenario.probing[0][0])
    tried, refused, answered = set(), set(), set()
    for p in tcp(scenario.pcapng()):
        if p.src == source and p.flags == 2:
            tried.add((p.dst, p.dport, p.seq))
        if p.dst == source and p.flags & 4:
            refused.add((p.src, p.sport, p.ack - 1))
        if p.dst == source and p.payload:
            answered.add((p.src, p.sport, p.dport, p.ack))
    assert len(tried) == scenario.attempts
    assert len(refused) == scenario.outcomes.get("refused", 0)
    assert len(answered) >= scenario.outcomes.get("answered", 0)
    targets = {(d, q) for d, q, _ in tried}
    assert scenario.targets in (len({d for d, _ in targets}), len(targets))


def test_slow_scan_lasts_a_week_and_is_slow():
    scenario = slow(3)
    times = [p.ts for p in packets(scenario.pcapng())]
    assert 6.9 < (times[-1] - times[0]) / 86_400e9 < 7.1
    assert scenario.attempts / (7 * 24 * 60) == pytest.approx(0.25, rel=0.02)


def test_mirai_sequence_number_is_the_target():
    found = list(tcp(mirai_like(4).pcapng()))
    assert all(p.seq == int.from_bytes(p.dst) for p in found)
    ports = Counter(p.dport for p in found)
    assert set(ports) == {23, 2323}
    assert ports[2323] * 9 == ports[23]


def test_revisits_go_round_a_fixed_list():
    scenario = revisits(5, hours=2)
    visits = Counter(p.dst for p in tcp(scenario.pcapng()) if p.flags == 2 and p.dport == 80)
    assert len(visits) == 63
    assert scenario.attempts == pytest.approx(420, rel=0.1)
