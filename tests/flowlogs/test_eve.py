"""Suricata's EVE: every event that tells of a connection, in the forms of several versions; broken lines counted with their numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flowlogs.reading import read
from tracehound.flowlogs.eve import FORMAT
from tracehound.flowlogs.reader import MENTION, ONE_WAY, WHOLE

ENDS = {
    "src_ip": "192.0.2.1",
    "src_port": 40000,
    "dest_ip": "198.51.100.7",
    "dest_port": 80,
    "proto": "TCP",
    "flow_id": 586497171462735,
}
BACK = {
    "src_ip": "198.51.100.7",
    "src_port": 80,
    "dest_ip": "192.0.2.1",
    "dest_port": 40000,
    "proto": "TCP",
    "flow_id": 586497171462735,
}
ASK = {"src_ip": "192.0.2.1", "src_port": 40000, "dest_ip": "198.51.100.7", "dest_port": 53, "proto": "UDP", "flow_id": 1}
ANSWER = {"src_ip": "198.51.100.7", "src_port": 53, "dest_ip": "192.0.2.1", "dest_port": 40000, "proto": "UDP", "flow_id": 1}


def lines(*events):
    return b"".join(json.dumps({"timestamp": "2022-11-16T09:08:18.757001+0100", **e}).encode() + b"\n" for e in events)


def test_flow():
    data = lines(
        {
            "event_type": "flow",
            **ENDS,
            "app_proto": "http",
            "vlan": [10],
            "flow": {
                "pkts_toserver": 5,
                "pkts_toclient": 6,
                "bytes_toserver": 700,
                "bytes_toclient": 5000,
                "start": "2022-11-16T09:08:10.000001+0100",
                "end": "2022-11-16T09:08:12.000001+0100",
                "state": "closed",
                "reason": "timeout",
            },
            "tcp": {"tcp_flags": "1b", "tcp_flags_ts": "1b", "tcp_flags_tc": "1a", "state": "closed"},
        }
    )
    assert FORMAT.recognise(data)
    (row,) = read(FORMAT, data).rows()
    assert row == {
        "number": 1,
        "start": 1_668_586_090_000_001_000,
        "end": 1_668_586_092_000_001_000,
        "src": "192.0.2.1",
        "sport": 40000,
        "dst": "198.51.100.7",
        "dport": 80,
        "proto": 6,
        "proto_name": "TCP",
        "joins": WHOLE,
        "source": "eve flow",
        "pkts_src": 5,
        "pkts_dst": 6,
        "bytes_src": 700,
        "bytes_dst": 5000,
        "tcp_flags_src": 0x1B,
        "tcp_flags_dst": 0x1A,
        "certain": True,
        "vlan": 10,
        "uid": "586497171462735",
        "service": "http",
        "state": "closed/closed",
        "cause": "timeout",
    }


def test_an_attempt_without_answer():
    data = lines(
        {
            "event_type": "flow",
            **ENDS,
            "flow": {"pkts_toserver": 4, "pkts_toclient": 0, "state": "new", "reason": "timeout"},
            "tcp": {"tcp_flags_ts": "02", "tcp_flags_tc": "00", "state": "syn_sent"},
        }
    )
    (row,) = read(FORMAT, data).rows()
    assert (row["syn_count"], row["pkts_dst"], row["tcp_flags_dst"], row["state"]) == (4, 0, 0, "new/syn_sent")


def test_netflow_icmp():
    data = lines(
        {
            "event_type": "netflow",
            "src_ip": "192.0.2.1",
            "dest_ip": "198.51.100.7",
            "proto": "ICMP",
            "icmp_type": 8,
            "icmp_code": 0,
            "netflow": {"pkts": 2, "bytes": 168, "min_ttl": 63, "start": "2022-11-16T09:08:10+0100", "end": "2022-11-16T09:08:11+0100"},
        }
    )
    (row,) = read(FORMAT, data).rows()
    assert (row["joins"], row["sport"], row["dport"], row["pkts_src"], row["ttl_src"]) == (ONE_WAY, 8, 0, 2, 63)


def test_http():
    http = {
        "hostname": "198.51.100.7",
        "url": "/b.cgi?alt",
        "http_user_agent": "x",
        "http_content_type": "text/html; charset=a",
        "http_method": "GET",
        "protocol": "HTTP/1.1",
        "status": "200",
        "length": 17,
        "http_refer": "http://a/",
        "request_headers": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}],
    }
    data = lines({"event_type": "http", **ENDS, "tx_id": 2, "http": http}, {"event_type": "http", **ENDS, "http": {"url": "/"}})
    got = read(FORMAT, data)
    one, two = got.table("http")
    assert (one["uri"], one["status"], one["version"], one["content_type"], one["response_bytes"]) == (
        "/b.cgi?alt",
        200,
        "1.1",
        "text/html",
        17,
    )
    assert (one["trans_depth"], one["header_names"], one["header_values"], one["referer"]) == (3, ["A", "A"], ["b", "c"], "http://a/")
    assert (two["status"], two["response_bytes"], two["complete"]) == (None, None, False)
    assert {r["joins"] for r in got.rows()} == {MENTION}


V2 = {
    "type": "answer",
    "id": 7,
    "flags": "8180",
    "rd": True,
    "ra": True,
    "rcode": "NOERROR",
    "rrname": "a.example",
    "rrtype": "A",
    "version": 2,
    "answers": [
        {"rrname": "a.example", "rrtype": "CNAME", "ttl": 5, "rdata": "b"},
        {"rrname": "b", "rrtype": "A", "ttl": 6, "rdata": "192.0.2.8"},
    ],
}
V3 = {
    "type": "response",
    "id": 7,
    "rd": True,
    "rcode": "NOERROR",
    "version": 3,
    "queries": [{"rrname": "a.example", "rrtype": "A"}],
    "answers": [{"rrname": "a.example", "rrtype": "A", "ttl": 5, "rdata": "192.0.2.8"}],
}
QUERY = {"type": "query", "id": 7, "rrname": "a.example", "rrtype": "A"}


@pytest.mark.parametrize(
    ("events", "answers"),
    [
        ([(ASK, QUERY), (ANSWER, V2)], ["b", "192.0.2.8"]),
        # Suricata 8 names the client first in both events
        (
            [(ASK, {"type": "request", "id": 7, "version": 3, "queries": [{"rrname": "a.example", "rrtype": "A"}]}), (ASK, V3)],
            ["192.0.2.8"],
        ),
        # version 1: an event for each record of the answer
        (
            [
                (ASK, QUERY),
                *[
                    (
                        ANSWER,
                        {"type": "answer", "id": 7, "rcode": "NOERROR", "rrname": "a.example", "rrtype": "A", "ttl": 5, "rdata": d},
                    )
                    for d in ("192.0.2.8", "192.0.2.9")
                ],
            ],
            ["192.0.2.8", "192.0.2.9"],
        ),
    ],
)
def test_a_dns_query_and_its_answer_are_one_row(events, answers):
    got = read(FORMAT, lines(*({"event_type": "dns", **ends, "dns": dns} for ends, dns in events)))
    (row,) = got.table("dns")
    assert (row["src"], row["sport"], row["dport"], row["query"], row["qtype"]) == ("192.0.2.1", 40000, 53, "a.example", "A")
    assert (row["rcode"], row["answers"], row["trans_id"], row["flow_id"]) == ("NOERROR", answers, 7, 1)
    assert row["response_ts"] is not None
    assert {(r["src"], r["dport"]) for r in got.rows()} == {("192.0.2.1", 53)}


def test_a_query_alone_and_an_answer_alone():
    other = {**V2, "id": 9}
    rows = read(FORMAT, lines({"event_type": "dns", **ASK, "dns": QUERY}, {"event_type": "dns", **ANSWER, "dns": other})).table("dns")
    assert [(r["rcode"], r["response_ts"] is None, r["answers"] is None) for r in rows] == [
        (None, True, True),
        ("NOERROR", False, False),
    ]


def test_tls_smtp_fileinfo():
    tls = {
        "subject": "CN=x",
        "issuerdn": "CN=y",
        "serial": "0C:A5",
        "fingerprint": "34:F6",
        "sni": "x.example",
        "version": "TLS 1.2",
        "notbefore": "2020-01-01T00:00:00",
        "notafter": "2030-01-01T00:00:00",
        "ja3": {"hash": "aa"},
        "ja3s": {"hash": "bb"},
        "chain": ["AAEC"],
    }
    got = read(
        FORMAT,
        lines(
            {"event_type": "tls", **ENDS, "dest_port": 443, "tls": tls},
            {
                "event_type": "smtp",
                **ENDS,
                "dest_port": 25,
                "smtp": {"helo": "a", "mail_from": "<x@y>", "rcpt_to": ["<p@q>"]},
                "email": {"from": "x@y", "to": ["p@q"], "subject": "hi"},
            },
            {
                "event_type": "fileinfo",
                **BACK,
                "app_proto": "http",
                "fileinfo": {"filename": "/a", "size": 9, "state": "CLOSED", "sha256": "cc"},
            },
        ),
    )
    (row,) = got.table("tls")
    assert (row["version"], row["serial"], row["certificate_sha1"], row["ja3s"], row["established"]) == (
        "TLSv12",
        "0ca5",
        "34f6",
        "bb",
        True,
    )
    assert row["not_after"].year == 2030 and len(row["chain_sha256"][0]) == 64
    (row,) = got.table("smtp")
    assert (row["mailfrom"], row["rcptto"], row["mail_subject"]) == ("<x@y>", ["<p@q>"], "hi")
    (row,) = got.table("files")
    assert (row["src"], row["sent_by_src"], row["bytes"], row["complete"]) == ("192.0.2.1", False, 9, True)


def test_alerts_stand_in_a_table_of_their_own():
    alert = {
        "action": "allowed",
        "gid": 1,
        "signature_id": 2018358,
        "rev": 10,
        "signature": "ET TEST",
        "category": "Bad",
        "severity": 2,
        "metadata": {"created_at": ["2014_04_04"]},
    }
    got = read(FORMAT, lines({"event_type": "alert", **BACK, "alert": alert}))
    (row,) = got.table("log_alerts")
    assert (row["src"], row["sport"], row["sid"], row["rev"], row["message"], row["alert_severity"]) == (
        "198.51.100.7",
        80,
        2018358,
        10,
        "ET TEST",
        2,
    )
    assert json.loads(row["metadata"]) == {"created_at": ["2014_04_04"]}
    # The source of an alert is that of its packet: it says nothing of who began.
    assert "certain" not in got.rows()[0]


def test_other_events_and_bad_lines():
    data = lines({"event_type": "ssh", **ENDS}, {"event_type": "stats", "stats": {}}) + b"broken\n[1]\n"
    data += lines({"event_type": 5, **ENDS}, {"event_type": "flow", **ENDS, "timestamp": "soon"}, {"event_type": "anomaly", **ENDS})
    got = read(FORMAT, data)
    assert [(r["source"], r["number"]) for r in got.rows()] == [("eve ssh", 1), ("eve anomaly", 7)]
    assert got.counts == {"lines that could not be read": 4, "events that tell of no connection": 1}
    assert "line 3" in got.note("lines that could not be read")
    cut = read(FORMAT, lines({"event_type": "ssh", **ENDS}) * 2 + b'{"timestamp": "2022-')
    assert len(cut.rows()) == 2 and cut.damage == "line 3: the last line is cut"


def test_fields_of_other_types_are_null():
    strange: list[Any] = [None, 5, "x", [], {}, [{}], True, -1, 2**70, 1.5]
    for value in strange:
        for kind in ("flow", "netflow", "http", "dns", "tls", "smtp", "fileinfo", "alert"):
            event = {
                "event_type": kind,
                **ENDS,
                kind: value,
                "tcp": value,
                "vlan": value,
                "app_proto": value,
                "tx_id": value,
                "email": value,
            }
            read(FORMAT, lines(event))
            inner = dict.fromkeys(
                (
                    "start",
                    "end",
                    "pkts_toserver",
                    "status",
                    "url",
                    "request_headers",
                    "type",
                    "id",
                    "queries",
                    "answers",
                    "rdata",
                    "rrname",
                    "ttl",
                    "version",
                    "chain",
                    "certificate",
                    "ja3",
                    "subjectaltname",
                    "rcpt_to",
                    "signature_id",
                    "metadata",
                    "size",
                    "rcode",
                    "flags",
                ),
                value,
            )
            read(FORMAT, lines({**event, kind: inner}, {**event, kind: {**inner, "type": "answer"}}))
            read(FORMAT, lines({**ENDS, "event_type": kind, "src_port": value, "proto": value, "dest_ip": value}))


def test_pieces_do_not_matter():
    data = lines({"event_type": "ssh", **ENDS}, {"event_type": "dns", **ASK, "dns": QUERY}, {"event_type": "dns", **ANSWER, "dns": V2})
    whole = read(FORMAT, data)
    for step in (1, 77):
        assert read(FORMAT, data, step=step).rows() == whole.rows()
