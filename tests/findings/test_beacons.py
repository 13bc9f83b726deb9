"""Scores against the published vectors, and who is accused: a clock is not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tables_of import verdict_of_capture
from tests.wire import Wire
from tracehound.findings.beacons import beacon_score, hidden_period, phase_chance, rayleigh, timestamp_score

DAY = 86_400


def jittered():
    chance = random.Random(1)
    at, times = 0.0, []
    while at < DAY:
        times.append(int(at))
        at += 60 * chance.uniform(0.8, 1.2)
    return times


@pytest.mark.parametrize(
    ("times", "sizes", "score"),
    [
        (list(range(0, DAY + 1, 60)), [100], 1.0),
        (list(range(0, DAY // 2 + 1, 600)), [100], 1.0),
        (list(range(0, 3 * 3600 + 1, 60)), [100], 0.5),
    ],
)
def test_scores_of_exact_clocks(times, sizes, score):
    assert beacon_score(times, sizes * len(times), 0, DAY) == pytest.approx(score, abs=0.0005)


def test_the_score_of_times_alone():
    assert timestamp_score([0, 10, 20, 31, 40, 50, 61, 70, 80]) == 0.975
    assert timestamp_score([80, 0, 0, 10, 20, 31, 40, 50, 61, 70]) == 0.975
    assert timestamp_score([1, 2]) == 0


def test_jitter_lowers_the_score_a_little():
    times = jittered()
    assert 0.9 < timestamp_score(times) < 1
    assert 0.97 < beacon_score(times, [100] * len(times), 0, DAY) < 1


def test_rayleigh_vector():
    times = np.array([0, 61, 119, 182, 240, 299, 361, 418, 480, 541], float)
    want = {60: 9.8594, 61: 8.9579, 45: 0.1270, 30: 9.4479, 20: 8.7955}
    for period, z in want.items():
        assert rayleigh(times, period) == pytest.approx(z, abs=0.0001)
    assert phase_chance(times, 60) < 0.01


@given(st.lists(st.integers(0, DAY), min_size=4, max_size=300), st.integers(0, 5000))
def test_scores_stay_in_bounds_and_order_does_not_matter(times, size):
    sizes = [size] * len(times)
    score = beacon_score(times, sizes, 0, DAY)
    assert 0 <= score <= 1
    assert beacon_score(times[::-1], sizes, 0, DAY) == score


def office(wire):
    """Four hosts that look at a few pages, and a resolver that does not matter here."""
    hosts = [wire.host(f"10.1.0.{n}") for n in range(5, 9)]
    chance = random.Random(4)
    for host in hosts:
        for _ in range(12):
            page = wire.host(f"192.0.2.{chance.randint(10, 60)}")
            talk = host.connect(page, 80, chance.uniform(0, 7000)).send(b"GET / HTTP/1.1\r\nHost: pages.example\r\n\r\n")
            talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").close()
    return hosts


def test_a_beacon_to_a_nameless_place_is_told():
    wire = Wire()
    host = office(wire)[0]
    master = wire.host("203.0.113.66")
    chance = random.Random(2)
    for n in range(100):
        talk = host.connect(master, 4711, 60 * n + chance.uniform(0, 4)).send(b"\x07\x01" + bytes(30)).reply(b"\x01\x02\x03")
        talk.close()
    verdict = verdict_of_capture(wire.pcap())
    (found,) = [f for f in verdict.findings if f.kind == "beacon"]
    assert found.host == "10.1.0.5" and "203.0.113.66" in found.statement and "every 59.9 s" in found.statement
    assert found.confidence.value >= 0.6 and found.citations.total == 100
    assert "10.1.0.5" in verdict.summary and "1 host behaves strangely" in verdict.summary


def test_a_dead_master_is_called_on_and_on():
    wire = Wire()
    host = office(wire)[1]
    for n in range(60):
        host.unanswered(wire.host("203.0.113.67"), 8081, 100.0 * n)
    verdict = verdict_of_capture(wire.pcap())
    (found,) = [f for f in verdict.findings if f.kind == "beacon"]
    assert found.host == "10.1.0.6" and "in vain" in found.statement


def test_a_mail_client_that_polls_is_let_go():
    wire = Wire()
    host = office(wire)[2]
    for n in range(100):
        talk = host.connect(wire.host("192.0.2.25"), 110, 60.0 * n).reply(b"+OK ready\r\n").send(b"USER a\r\n").reply(b"+OK\r\n")
        talk.close()
    verdict = verdict_of_capture(wire.pcap())
    assert not verdict.findings
    assert any(i.looked_like == "beacon" and i.host == "10.1.0.7" for i in verdict.innocents)


def test_beats_that_are_missing_do_not_hide_the_period():
    chance = random.Random(11)
    times = np.array([n * 300 + chance.uniform(-6, 6) for n in range(288) if chance.random() < 0.4])
    period, p = hidden_period(times)
    assert period == pytest.approx(300, rel=0.01) and p < 1e-9


def test_people_have_no_hidden_period():
    chance = random.Random(12)
    seen = 0
    for _ in range(40):
        at, times = 0.0, []
        for _visit in range(120):
            at += chance.expovariate(1 / 400)
            times.append(at)
        seen += hidden_period(np.array(times))[1] <= 1e-4
    assert seen == 0
    assert hidden_period(np.array([1.0, 2.0]))[1] == 1


def test_a_list_of_places_asked_in_turn_is_one_finding():
    wire = Wire()
    host = office(wire)[3]
    for n in range(120):
        place = wire.host(f"203.0.113.{70 + n % 4}")
        host.connect(place, 4712, 30.0 * n).send(b"\x07\x01" + bytes(30)).reply(b"\x01\x02\x03").close()
    (found,) = [f for f in verdict_of_capture(wire.pcap()).findings if f.kind == "beacon"]
    assert "and 3 other places alike" in found.statement and found.citations.total == 120
