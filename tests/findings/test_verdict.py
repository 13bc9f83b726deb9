"""Whole verdicts over made-up evidence: every kind of prober is named, every look-alike is let go."""

from typing import Any

import pytest

from tests.findings.scenario import DAY, HOUR, MINUTE, T0, Evidence, S, detectors
from tracehound.findings.model import Probing, Verdict
from tracehound.findings.verdict import Run, judge

HOST = "10.0.0.5"


def verdict(evidence: Evidence, *without: str, **more) -> Verdict:
    with evidence.duck(*without) as duck:
        return judge(duck.ask, detectors(), Run(), **more)


def accused(v: Verdict) -> list[str]:
    return sorted({f.host or "" for f in v.findings if f.kind == "probing_host"})


def one(v: Verdict) -> Probing:
    found = [f.probing for f in v.findings if f.kind == "probing_host" and f.probing is not None]
    assert len(found) == 1, [(p.host, p.service, p.shape) for p in found]
    return found[0]


def background(evidence: Evidence, end: int, hosts: int = 6) -> None:
    for n in range(hosts):
        evidence.browse(f"10.0.2.{n + 1}", T0, T0 + end, sites=20, visits_per_hour=10)


def test_model_case_fixed_list_beside_ordinary_traffic():
    e = Evidence()
    targets = [e.outside() for _ in range(63)]
    e.browse(HOST, T0, T0 + 30 * HOUR)
    e.probe(HOST, T0, T0 + 27 * HOUR, 3.5, targets=targets)
    background(e, 30 * HOUR)
    v = verdict(e)
    p = one(v)
    assert (p.host, p.proto, p.dport, p.shape, p.targets) == (HOST, 6, 80, "horizontal", 63)
    assert p.attempts_per_min == pytest.approx(3.5, rel=0.05)
    assert "fixed list of 63 worked through in turn" in p.order
    assert "18 minutes apart" in p.revisits
    assert p.stack.verdict == "ordinary"
    assert "counting up" in p.stack.source_ports
    assert p.stack.retry_counts == ((4, p.outcomes[0].attempts),)
    assert sum(c.attempts for c in p.outcomes) == p.attempts
    assert {c.outcome: c.targets for c in p.outcomes}["answered"] == 63 - {c.outcome: c.targets for c in p.outcomes}[
        "unanswered"
    ]
    began, stopped = p.turning_points
    assert began.at_edge and not stopped.at_edge
    assert abs(stopped.ts_ns - (T0 + 27 * HOUR)) < MINUTE
    assert v.summary.startswith("1 host behaves strangely: 10.0.0.5.")
    assert v.findings[0].confidence.value >= 0.9


def test_model_case_from_flow_logs_alone():
    e = Evidence()
    e.browse(HOST, T0, T0 + 20 * HOUR, named=False)
    e.probe(HOST, T0, T0 + 20 * HOUR, 3.5, targets=[e.outside() for _ in range(63)])
    for row in e.flows:
        row.update(first_packet_id=None, last_packet_id=None, syn_window=None, syn_options=None, ttl_src=None)
    v = verdict(e, "dns", "http", "heads", "addresses")
    p = one(v)
    assert p.targets == 63 and p.template is None
    assert ("What do the probes send, and what answers them?", "packets: flow logs carry no payload") in v.unanswerable
    assert v.findings[0].citations.shown[0].frame is None
    assert v.findings[0].citations.shown[0].file == "synthetic.pcap"


@pytest.mark.parametrize(
    ("per_min", "span"),
    [(3.5, 6 * HOUR), (1.0, 8 * HOUR), (0.2, DAY), (1 / 7, 3 * DAY)],
    ids=["3.5", "1", "0.2", "1/7"],
)
@pytest.mark.parametrize("fail", [0.95, 0.85, 0.7])
def test_slow_scanner_of_new_addresses(per_min, span, fail):
    e = Evidence()
    e.browse(HOST, T0, T0 + span, visits_per_hour=8)
    e.probe(HOST, T0 + MINUTE, T0 + span, per_min, dport=445, fail=fail, sent=80, jitter=1.0)
    background(e, span, hosts=3)
    p = one(verdict(e))
    assert (p.host, p.dport) == (HOST, 445)
    assert p.attempts_per_min == pytest.approx(per_min, rel=0.15)
    assert p.targets == p.attempts


def test_half_of_the_probes_succeed():
    e = Evidence()
    e.browse(HOST, T0, T0 + 6 * HOUR)
    e.probe(HOST, T0, T0 + 6 * HOUR, 2, dport=23, fail=0.5, sent=12)
    p = one(verdict(e))
    assert (p.host, p.dport, p.shape) == (HOST, 23, "horizontal")


def test_sweep_in_order_where_most_answer():
    e = Evidence()
    for n in range(1, 120):
        make = e.accepted if n % 5 else e.unanswered
        make(T0 + n * 10 * S, HOST, f"10.0.9.{n}", 22)
    p = one(verdict(e))
    assert p.dport == 22 and p.order.startswith("ascending addresses")


def test_vertical_scan_with_crafted_syns():
    e = Evidence()
    ports = list(range(1, 101))
    e.random.shuffle(ports)
    for n, port in enumerate(ports):
        common = {"sport": 51034, "syn_options": 4, "syn_window": 1024}
        if port in (22, 80):
            e.accepted(T0 + n * S // 100, HOST, "10.0.0.80", port, **common)
        else:
            e.refused(T0 + n * S // 100, HOST, "10.0.0.80", port, **common)
    v = verdict(e)
    p = one(v)
    assert p.shape == "vertical" and p.host == HOST
    assert "10.0.0.80" in v.findings[0].statement and "100 ports from 1 to 100" in v.findings[0].statement
    assert p.stack.verdict == "crafted"
    assert any("window always 1024" in r for r in p.stack.reasons)


def test_vertical_scan_names_what_is_open():
    e = Evidence()
    for n in range(200):
        (e.answered if n + 1 in (22, 80) else e.unanswered)(T0 + n * S, HOST, "10.0.0.80", n + 1)
    v = verdict(e)
    p = one(v)
    answered = next(c for c in p.outcomes if c.outcome == "answered")
    assert answered.detail == (("open ports 22, 80", 2),)
    assert "tries 200 ports from 1 to 200 of one target, 10.0.0.80," in v.summary
    assert "Open ports 22, 80 (2 answered)." in v.summary
    assert "access lines" not in v.summary


def test_block_scan_is_one_finding():
    e = Evidence()
    n = 0
    for target in range(1, 30):
        for port in (21, 22, 23, 80, 445, 3389):
            (e.answered if port == 80 and target % 7 == 0 else e.refused)(T0 + n * S, HOST, f"10.0.3.{target}", port)
            n += 1
    p = one(verdict(e))
    assert p.shape == "block" and p.targets == 29


def test_block_scan_of_random_pairs():
    e = Evidence()
    for n in range(150):
        e.unanswered(
            T0 + n * 20 * S, HOST, e.outside(), e.random.choice([21, 22, 23, 25, 80, 110, 135, 139, 443, 445]), syns=1
        )
    background(e, HOUR, 3)
    p = one(verdict(e))
    assert p.shape == "block" and p.host == HOST


def test_two_services_are_two_findings():
    e = Evidence()
    e.probe(HOST, T0, T0 + 3 * HOUR, 2, dport=445)
    e.probe(HOST, T0, T0 + 3 * HOUR, 2, dport=139)
    v = verdict(e)
    assert sorted(p.dport or 0 for p in v.probing) == [139, 445]


def test_several_scanners_at_once():
    e = Evidence()
    for host in ("10.0.0.5", "10.0.0.6", "10.0.0.7"):
        e.probe(host, T0, T0 + 4 * HOUR, 1.5, dport=135)
    background(e, 4 * HOUR, 4)
    assert accused(verdict(e)) == ["10.0.0.5", "10.0.0.6", "10.0.0.7"]


def test_three_scanners_alone_are_no_outage():
    e = Evidence()
    for host in ("10.0.0.5", "10.0.0.6", "10.0.0.7"):
        e.probe(host, T0, T0 + 4 * HOUR, 1.5, dport=135, fail=1.0)
    assert accused(verdict(e)) == ["10.0.0.5", "10.0.0.6", "10.0.0.7"]


def test_worm_in_its_own_network():
    e = Evidence()
    for n in range(300):
        dst = f"10.0.{e.random.randrange(256)}.{e.random.randrange(1, 255)}"
        (e.answered if n % 9 == 0 else e.unanswered)(T0 + n * 5 * S, HOST, dst, 445)
    p = one(verdict(e))
    assert "10.0.0.0/16" in p.order and "one network" in p.order


def test_udp_scan_with_port_unreachable():
    e = Evidence()
    for n in range(60):
        more: dict[str, Any] = {"outcome": "unreachable", "icmp_type": 3, "icmp_code": 3} if n % 2 else {}
        e.udp(T0 + n * 30 * S, HOST, f"10.0.4.{n + 1}", 161, sent=43, **more)
    p = one(verdict(e))
    assert (p.proto, p.dport) == (17, 161)
    outcomes = {c.outcome: c for c in p.outcomes}
    assert outcomes["unreachable"].detail == (("port unreachable (the host is alive)", 30),)


def test_udp_worm_that_nobody_answers():
    e = Evidence()
    for n in range(400):
        e.udp(T0 + n * S, HOST, e.outside(), 1434, sent=376, sport=1040)
    p = one(verdict(e))
    assert (p.proto, p.dport, p.targets) == (17, 1434, p.attempts)


def test_udp_vertical_scan():
    e = Evidence()
    for n in range(40):
        e.udp(
            T0 + n * S, HOST, "10.0.0.80", n + 100, sent=0, sport=41000, outcome="unreachable", icmp_type=3, icmp_code=3
        )
    p = one(verdict(e))
    assert (p.proto, p.shape) == (17, "vertical")


def test_ping_sweep():
    e = Evidence()
    for n in range(1, 255):
        e.ping(T0 + n * S, HOST, f"10.0.6.{n}", answered=n % 8 == 0)
    p = one(verdict(e))
    assert (p.proto, p.dport, p.shape) == (1, None, "horizontal")
    assert p.service == "ping (ICMP echo)"


def test_ipv6_scan():
    e = Evidence()
    for n in range(80):
        (e.refused if n % 4 else e.accepted)(T0 + n * 20 * S, "fd00::5", f"2001:db8:{n:x}::1", 22)
    p = one(verdict(e))
    assert p.host == "fd00::5" and p.targets == 80


def test_scanner_behind_address_translation():
    e = Evidence()
    for n in range(10):
        e.browse("10.0.0.1", T0 + n * S, T0 + 6 * HOUR, sites=30, visits_per_hour=20)
    e.probe("10.0.0.1", T0, T0 + 6 * HOUR, 1, dport=5900)
    p = one(verdict(e))
    assert (p.host, p.dport) == ("10.0.0.1", 5900)


def test_peer_to_peer_client_that_also_scans():
    e = Evidence()
    e.torrent(HOST, T0, T0 + 5 * HOUR)
    e.probe(HOST, T0, T0 + 5 * HOUR, 1, dport=445)
    p = one(verdict(e))
    assert p.dport == 445


# -- look-alikes ----------------------------------------------------------------------------------------------------------


def innocent(v: Verdict, host: str) -> str:
    assert accused(v) == [], v.summary
    return next((i.reason for i in v.innocents if i.host == host), "")


def test_quiet_capture_says_so():
    e = Evidence()
    background(e, 5 * HOUR)
    v = verdict(e)
    assert accused(v) == []
    assert v.summary.startswith("No host behaves strangely in this evidence")


def test_torrent_client_is_innocent():
    e = Evidence()
    e.torrent(HOST, T0, T0 + 5 * HOUR)
    assert innocent(verdict(e), HOST).startswith("peer-to-peer client")


@pytest.mark.parametrize("lookups", [True, False])
def test_mail_server_is_innocent(lookups):
    e = Evidence()
    e.mail_server(HOST, T0, T0 + 20 * HOUR, lookups=lookups)
    assert innocent(verdict(e), HOST).startswith("mail server")


def test_resolver_is_innocent():
    e = Evidence()
    e.resolver(HOST, T0, T0 + 20 * HOUR)
    assert innocent(verdict(e), HOST).startswith("name server")


def test_monitoring_with_an_outage_is_innocent():
    e = Evidence()
    e.monitor(HOST, T0, T0 + 20 * HOUR)
    assert "fixed list of 40 services" in innocent(verdict(e), HOST)


def test_monitoring_that_starts_in_the_outage_is_innocent():
    e = Evidence()
    e.monitor(HOST, T0, T0 + 3 * HOUR, hosts=10)
    v = verdict(e)
    assert accused(v) == []


def test_retry_loop_is_innocent():
    e = Evidence()
    for n in range(500):
        e.unanswered(T0 + n * 30 * S, HOST, "24.1.2.3", 8443)
    assert innocent(verdict(e), HOST).startswith("retry loop")


@pytest.mark.parametrize("lookups", [True, False])
def test_crawler_is_innocent(lookups):
    e = Evidence()
    for n in range(400):
        dst = e.outside()
        if lookups:
            e.lookup(T0 + n * 10 * S, HOST, f"site{n}.example", dst)
        (e.unanswered if n % 8 == 0 else e.answered)(
            T0 + n * 10 * S + S, HOST, dst, 80, **({} if n % 8 == 0 else {"sent": 200 + n % 90})
        )
    assert innocent(verdict(e), HOST).startswith("crawler")


def test_named_targets_that_fail_accuse_nobody():
    e = Evidence()
    for n in range(60):
        dst = e.outside()
        e.lookup(T0 + n * MINUTE, HOST, f"dead{n}.example", dst)
        e.unanswered(T0 + n * MINUTE + S, HOST, dst, 443)
    assert accused(verdict(e)) == []


def test_site_outage_is_frozen():
    e = Evidence()
    down, up = T0 + 3 * HOUR, T0 + 3 * HOUR + 30 * MINUTE
    for n in range(5):
        host = f"10.0.2.{n + 1}"
        for at in range(T0, T0 + 6 * HOUR, 90 * S):
            dst = e.outside()
            if down <= at < up:
                e.unanswered(at, host, dst, 443)
            elif e.random.random() < 0.5:
                e.answered(at, host, dst, 443, sent=e.random.randrange(300, 900))
    # One host made new contacts in the outage only.
    for at in range(down, up, 60 * S):
        e.unanswered(at, "10.0.2.9", e.outside(), 443)
    for at in range(T0, T0 + 6 * HOUR, 20 * MINUTE):
        e.answered(at, "10.0.2.9", "24.9.9.9", 25, sent=500 + at % 77)
    v = verdict(e)
    assert accused(v) == []
    assert any(i.host == "10.0.2.9" and i.reason.startswith("outage") for i in v.innocents)


def test_backscatter_is_nothing():
    e = Evidence()
    for n in range(300):
        e.flow(
            T0 + n * S,
            e.outside(),
            f"10.0.{n % 250}.{n % 200 + 1}",
            outcome="one_sided",
            pkts_src=0,
            pkts_dst=1,
            tcp_flags_src=0,
            tcp_flags_dst=18,
        )
    background(e, HOUR, 2)
    v = verdict(e)
    assert v.findings == () and v.summary.startswith("No host behaves strangely")


def test_scanner_from_outside_is_another_kind():
    e = Evidence()
    for n in range(200):
        e.unanswered(T0 + n * S, "45.1.2.3", f"10.0.1.{n + 1}", 23, syns=1, syn_options=0)
    background(e, HOUR, 2)
    v = verdict(e)
    assert accused(v) == []
    assert [f.kind for f in v.findings] == ["external_scan"]
    assert v.summary.startswith("No host of the home networks behaves strangely")
    assert "45.1.2.3" in v.summary


def test_one_sided_capture_refuses():
    e = Evidence()
    for n in range(200):
        e.flow(
            T0 + n * S,
            f"10.0.0.{n % 20}",
            e.outside(),
            outcome="one_sided",
            pkts_src=5,
            pkts_dst=0,
            tcp_flags_src=27,
            payload_src=300,
        )
    v = verdict(e)
    assert v.findings == ()
    assert v.summary.startswith("No verdict on probing: it needs a capture of both directions")


def test_traceroute_is_no_scan():
    e = Evidence()
    for n in range(60):
        e.udp(
            T0 + n * S,
            HOST,
            "24.3.4.5",
            33434 + n,
            sent=32,
            outcome="unreachable",
            icmp_type=11,
            icmp_code=0,
            sport=40000,
        )
    assert accused(verdict(e)) == []


def test_ftp_data_connections_are_no_scan():
    e = Evidence()
    for n in range(200):
        e.answered(T0 + n * S, HOST, "24.3.4.5", 40000 + n, sent=0, got=5000, service="ftp-data")
    assert accused(verdict(e)) == []


def test_nothing_at_all():
    v = verdict(Evidence())
    assert v.findings == () and v.unanswerable[0][0] == "Which hosts behave strangely?"


def test_host_narrows_the_verdict():
    e = Evidence()
    e.probe("10.0.0.5", T0, T0 + 3 * HOUR, 2, dport=445)
    e.probe("10.0.0.6", T0, T0 + 3 * HOUR, 2, dport=445)
    assert accused(verdict(e, host="10.0.0.6")) == ["10.0.0.6"]
    assert verdict(e, host="10.0.0.99").summary.startswith("Host 10.0.0.99 does not behave strangely")


def test_overrides_reach_the_detector():
    e = Evidence()
    e.probe(HOST, T0, T0 + HOUR, 1, dport=445)
    assert accused(verdict(e)) == [HOST]
    high = {
        "probing_hosts": {"min_targets": 1000, "few_targets": 1000},
        "block_scans": {"few_pairs": 9999, "min_pairs": 9999},
    }
    assert accused(verdict(e, overrides=high)) == []


def test_flow_records_that_reach_back_beyond_the_capture_beside_them():
    """Five days of flow records, packets and DNS of the last only: what was visited before may have had a name."""
    e = Evidence()
    lists = {"10.0.0.80": [e.outside() for _ in range(150)], "10.0.0.90": [e.outside() for _ in range(150)]}
    for host, targets in lists.items():
        for n, at in enumerate(range(T0, T0 + 5 * DAY, 6 * MINUTE)):
            stray = e.random.random() < 0.05 and host == "10.0.0.90"
            dst = e.outside() if stray else targets[n % len(targets)]
            e.lookup(at, host, f"site{n if stray else n % len(targets)}.example", dst)
            if stray or (n % len(targets) % 15 == 0 and host == "10.0.0.80"):
                e.unanswered(at + S, host, dst)
            else:
                e.answered(at + S, host, dst, sent=200 + n % 90)
    for at in range(T0, T0 + 4 * DAY, HOUR):
        e.answered(at, "10.0.0.31", "128.143.10.9", 80, sent=150, service=None)
    e.browse(HOST, T0, T0 + 5 * DAY, visits_per_hour=5)
    e.probe(HOST, T0, T0 + 5 * DAY - 3 * HOUR, 1, targets=[e.outside() for _ in range(63)])
    background(e, 5 * DAY, hosts=1)
    for row in e.flows:
        if row["start"] < T0 + 4 * DAY:
            row.update(first_packet_id=None, last_packet_id=None, syn_window=None, syn_options=None, ttl_src=None)
            if row["dport"] == 80:
                row["service"] = None
    e.dns = [row for row in e.dns if row["ts"] >= T0 + 4 * DAY]
    v = verdict(e)
    assert one(v).host == HOST and one(v).targets == 63
    assert not [f for f in v.findings if f.kind == "beacon"]


def test_a_host_that_only_sends_mail_and_finds_many_exchangers_dead():
    e = Evidence()
    exchangers = [e.outside() for _ in range(300)]
    for n, at in enumerate(range(T0, T0 + 6 * HOUR, 12 * S)):
        dst = exchangers[n * 7 % 300]
        # Of the living, most turn it away at first.
        if n * 7 % 300 % 10 < 3 or n % 3:
            e.unanswered(at, HOST, dst, 25, syns=3)
        else:
            e.answered(at, HOST, dst, 25, sent=3300, got=900, service=None)
    e.mail_server("10.0.0.25", T0, T0 + 6 * HOUR, lookups=False)
    background(e, 6 * HOUR, hosts=2)
    for row in e.flows:
        row.update(first_packet_id=None, last_packet_id=None, syn_window=None, syn_options=None, ttl_src=None)
    v = verdict(e, "dns", "http", "heads")
    assert accused(v) == [HOST]
    assert one(v).dport == 25


@pytest.mark.parametrize(("every", "strange"), [(25, False), (2, True)])
def test_many_people_behind_one_address_where_nobody_watched_for_names(every, strange):
    """A dead server now and then, never come back to, is people; as many dead as live ones are not."""
    e = Evidence()
    places = [e.outside() for _ in range(60)]
    at = T0
    for _ in range(3000):
        at += int(e.random.expovariate(1 / 60) * S)
        if e.random.random() < 1 / every:
            e.unanswered(at, HOST, e.outside(), syns=3)
        else:
            e.answered(at, HOST, e.random.choice(places), sent=e.random.randrange(180, 900), service=None)
    for row in e.flows:
        row.update(first_packet_id=None, last_packet_id=None, syn_window=None, syn_options=None, ttl_src=None)
    v = verdict(e, "dns", "http", "heads")
    assert accused(v) == ([HOST] if strange else [])
    if not strange:
        assert innocent(v, HOST).startswith("client, or many clients behind one address")
