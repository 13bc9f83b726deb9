"""Conversations written as conversations, and what the flows say of them."""

import os
import subprocess
import sys

from tests.conftest import SHARED, needs_shared
from tests.tables_of import flows_of, tables
from tests.wire import Wire, capture

A, B = "10.0.0.1", "192.0.2.1"


def one(tmp_path, write, **options):
    rows = flows_of(tmp_path, capture(write, **options))
    assert len(rows) == 1, [(r["src"], r["dst"], r["history"]) for r in rows]
    return rows[0]


def told(row):
    return row["conn_state"], row["history"], row["outcome"]


def test_whole_conversation(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.connect(b, 80, at=1).send(b"hello").reply(b"good day").close())
    assert told(row)[0] == "SF" and told(row)[2] == "answered"
    assert row["history"].startswith("ShAD") and set("Ff") < set(row["history"])
    assert (row["payload_src"], row["payload_dst"], row["syn_count"], row["originator_reason"]) == (5, 8, 1, "syn")
    assert row["missed"] == 0


def test_unanswered_attempt_is_one_flow_however_often_it_is_tried(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.unanswered(b, 80, at=1, times=(0, 3, 9, 21, 45)))
    assert told(row) == ("S0", "S", "unanswered")
    assert (row["syn_count"], row["pkts_src"], row["pkts_dst"]) == (5, 5, 0)


def test_refused(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.refused(b, 80, at=1, times=(0,)))
    assert told(row) == ("REJ", "Sr", "refused")


def test_unreachable_is_tied_to_the_attempt(tmp_path):
    def write(w, a, b):
        a.unreachable(b, 80, at=1, router=w.host("198.51.100.1"), code=1, times=(0, 3))

    rows = flows_of(tmp_path, capture(write))
    attempt = next(r for r in rows if r["proto"] == 6)
    assert (attempt["outcome"], attempt["icmp_type"], attempt["icmp_code"]) == ("unreachable", 3, 1)
    assert attempt["icmp_from"] == "198.51.100.1"
    error = next(r for r in rows if r["proto"] == 1)
    assert (error["src"], error["sport"], error["dport"], error["outcome"]) == ("198.51.100.1", 3, 1, None)


def test_accepted_but_silent(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.connect(b, 80, at=1).close())
    assert row["outcome"] == "accepted" and row["payload_dst"] == 0


def test_half_open_scan(tmp_path):
    def write(w, a, b):
        talk = a.talk(b, 80, at=1)
        talk.syn()
        talk.syn_ack()
        talk.reset()

    row = one(tmp_path, write)
    assert row["conn_state"] == "RSTO" and row["outcome"] == "accepted" and row["history"] == "ShR"


def test_reset_by_the_responder_after_the_request(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.connect(b, 80, at=1).send(b"GET /").server_reset())
    assert row["conn_state"] == "RSTR" and row["history"] == "ShADar" and row["outcome"] == "accepted"


def test_only_the_originator_was_captured(tmp_path):
    wire = Wire()
    a, b = wire.host(A), wire.host(B)
    a.connect(b, 80, at=1).send(b"x" * 10).reply(b"y" * 20).close()
    kept = Wire()
    for at, frame in [(f[0], f[1]) for f in wire.frames()]:
        if frame[26:30] == bytes([10, 0, 0, 1]):
            kept.add((at - kept.ns(0)) / 1e9, frame)
    rows = flows_of(tmp_path, kept.pcap())
    assert len(rows) == 1 and rows[0]["outcome"] == "one_sided" and rows[0]["pkts_dst"] == 0


def test_midstream_takes_the_server_port_as_responder(tmp_path):
    row = one(tmp_path, lambda w, a, b: a.midstream(b, 80, at=1).reply(b"late").send(b"thanks"))
    assert (row["src"], row["dport"], row["outcome"]) == ("10.1.0.5", 80, "midstream")
    assert row["originator_reason"] == "port" and row["history"][0] == "^"


def test_same_ports_again_are_a_second_flow(tmp_path):
    def write(w, a, b):
        a.connect(b, 80, at=1, sport=4000, seq=1000).send(b"one").reply(b"1").close()
        a.connect(b, 80, at=30, sport=4000, seq=90000).send(b"two2").reply(b"22").close()

    rows = flows_of(tmp_path, capture(write))
    assert [(r["payload_src"], r["payload_dst"]) for r in rows] == [(3, 1), (4, 2)]


def test_retransmission_and_loss_in_the_capture(tmp_path):
    def write(w, a, b):
        a.connect(b, 80, at=1).send(b"q").reply(b"z" * 4000, repeated=(0,)).reply(b"y" * 4000, lost=(1,)).send(
            b"more"
        ).close()

    row = one(tmp_path, write)
    assert "t" in row["history"] and "g" in row["history"]
    assert 0 < row["missed"] < 4000 and row["payload_dst"] == 8000


def test_udp_and_echo(tmp_path):
    def write(w, a, b):
        a.exchange(b, 9999, b"ask", b"tell", at=1)
        a.exchange(b, 9998, b"ask", None, at=2)
        a.ping(b, at=3)

    rows = flows_of(tmp_path, capture(write))
    assert [(r["proto"], r["dport"], r["outcome"]) for r in rows] == [
        (17, 9999, "answered"),
        (17, 9998, "unanswered"),
        (1, 0, "answered"),
    ]
    assert rows[0]["conn_state"] == "SF" and rows[0]["history"] == "Dd"
    assert rows[2]["sport"] == 8 and rows[2]["conn_state"] == "OTH" and rows[2]["history"] is None


def test_udp_goes_idle_after_a_minute(tmp_path):
    def write(w, a, b):
        a.datagram(b, 9999, b"x", at=200, sport=5555)
        a.datagram(b, 9999, b"x", at=230, sport=5555)
        a.datagram(b, 9999, b"x", at=300, sport=5555)

    rows = [r for r in flows_of(tmp_path, capture(write)) if r["sport"] == 5555]
    assert [r["pkts_src"] for r in rows] == [2, 1]


def test_sequence_numbers_wrap(tmp_path):
    row = one(
        tmp_path,
        lambda w, a, b: (
            a.connect(b, 80, at=1, seq=2**32 - 3, server_seq=2**32 - 100).send(b"w" * 50).reply(b"v" * 5000).close()
        ),
    )
    assert (row["payload_src"], row["payload_dst"], row["missed"]) == (50, 5000, 0)


def test_ipv6_and_vlan(tmp_path):
    wire = Wire()
    a, b = wire.host("2001:db8::1", vlan=(10, 200)), wire.host("2001:db8::2", vlan=(10, 200))
    a.connect(b, 443, at=1).send(b"x").reply(b"y").close()
    rows = flows_of(tmp_path, wire.pcap())
    assert [(r["src"], r["dst"], r["vlan"]) for r in rows] == [("2001:db8::1", "2001:db8::2", "10.200")]


@needs_shared
def test_kernels_give_the_same_plain():
    """The text of the kernels, run as plain Python (NUMBA_DISABLE_JIT), gives the same packets and flows."""
    names = ["zeek/http/get.pcap", "zeek/smtp.pcap", "zeek/icmp/5-pings.pcap", "zeek/ipv6-fragmented-dns.pcap"]
    paths = [str(SHARED / "captures" / n) for n in names]

    def lines(plain):
        return [
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "tracehound", *verb, *paths, "-q", "--format", "jsonl"],
                env=os.environ | {"NUMBA_DISABLE_JIT": plain},
                check=True,
                capture_output=True,
            ).stdout
            for verb in (["flows", "--no-service"], ["packets"])
        ]

    assert lines("1") == lines("0")


@needs_shared
def test_zeeks_own_expectations():
    """A few of Zeek's rows that show one rule each (the whole agreement is measured by flow_agreement.py)."""
    expected = {
        "zeek/tcp/miss_end_data.pcap": [("SF", "ShADafgF")],
        "zeek/http/get-without-fins.pcap": [("S1", "ShADad")],
        "zeek/ftp/bigtransfer.pcap": [("SF", "ShAdDaFf"), ("SF", "ShAdfFa"), ("SF", "ShAdgfFa")],
    }
    for name, want in expected.items():
        rows = tables([SHARED / "captures" / name], transactions=False)["flows"].to_pylist()
        assert sorted((r["conn_state"], r["history"]) for r in rows if r["proto"] == 6) == want, name
