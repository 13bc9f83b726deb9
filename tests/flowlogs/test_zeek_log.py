"""Zeek's logs: TSV and JSON say the same; any order of fields, any separator; broken lines cost themselves only."""

from __future__ import annotations

import random

import pytest

from tests.conftest import needs_shared
from tests.flowlogs import zeek_logs as z
from tests.flowlogs.reading import read
from tracehound.flowlogs.reader import MENTION, WHOLE, Options
from tracehound.flowlogs.zeek_log import FORMAT

ROW = {
    "ts": "1668586098.757001",
    "uid": "CAbc",
    "id.orig_h": "192.0.2.1",
    "id.orig_p": "40000",
    "id.resp_h": "198.51.100.7",
    "id.resp_p": "80",
    "proto": "tcp",
    "service": "http",
    "duration": "1.500000",
    "orig_bytes": "117",
    "resp_bytes": "4096",
    "conn_state": "SF",
    "history": "ShADadFf",
    "orig_pkts": "5",
    "orig_ip_bytes": "400",
    "resp_pkts": "6",
    "resp_ip_bytes": "4400",
}
FIELDS = list(z.CONN)


def test_conn_has_every_field():
    data = z.tsv("conn", FIELDS, [ROW])
    assert FORMAT.recognise(data)
    got = read(FORMAT, data)
    (row,) = got.rows()
    assert row == {
        "number": 9,
        "start": 1_668_586_098_757_001_000,
        "end": 1_668_586_100_257_001_000,
        "src": "192.0.2.1",
        "sport": 40000,
        "dst": "198.51.100.7",
        "dport": 80,
        "joins": WHOLE,
        "source": "zeek conn",
        "proto": 6,
        "pkts_src": 5,
        "pkts_dst": 6,
        "bytes_src": 400,
        "bytes_dst": 4400,
        "payload_src": 117,
        "payload_dst": 4096,
        "outcome": "answered",
        "conn_state": "SF",
        "certain": True,
        "uid": "CAbc",
        "proto_name": "tcp",
        "state": "SF",
        "service": "http",
        "history": "ShADadFf",
    }
    assert got.counts == {} and got.damage is None


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"conn_state": "S0", "history": "S", "resp_pkts": "0", "resp_bytes": "0"}, "unanswered"),
        ({"conn_state": "REJ", "history": "Sr", "resp_bytes": "0"}, "refused"),
        ({"conn_state": "S1", "history": "ShA", "resp_bytes": "0"}, "accepted"),
        ({"conn_state": "S1", "history": "ShADad"}, "answered"),
        ({"conn_state": "RSTO", "history": "ShR", "resp_bytes": "0"}, "accepted"),
        ({"conn_state": "RSTR", "history": "ShADr", "resp_bytes": "0"}, "accepted"),
        ({"conn_state": "RSTOS0", "history": "SR", "resp_pkts": "0", "resp_bytes": "0"}, "unanswered"),
        ({"conn_state": "SH", "history": "SAF", "resp_pkts": "0", "resp_bytes": "0"}, "one_sided"),
        ({"conn_state": "SHR", "history": "hf", "orig_pkts": "0"}, "one_sided"),
        ({"conn_state": "OTH", "history": "DdAa"}, "midstream"),
        ({"conn_state": "S0", "history": "-", "orig_pkts": "-", "resp_pkts": "-", "resp_bytes": "-"}, "unanswered"),
        ({"conn_state": "REJ", "history": "-", "resp_bytes": "-", "resp_pkts": "-"}, "refused"),
        ({"conn_state": "SF", "history": "-"}, "answered"),
        ({"conn_state": "SF", "history": "-", "resp_bytes": "-", "resp_pkts": "-"}, None),
        ({"proto": "udp", "conn_state": "S0", "history": "D", "resp_pkts": "0", "resp_bytes": "0"}, "unanswered"),
        ({"proto": "udp", "conn_state": "SF", "history": "Dd"}, "answered"),
        ({"proto": "udp", "conn_state": "SHR", "history": "^d", "orig_pkts": "0"}, "one_sided"),
        ({"proto": "icmp", "conn_state": "OTH", "history": "-"}, None),
    ],
)
def test_how_it_went(changes, outcome):
    (row,) = read(FORMAT, z.tsv("conn", FIELDS, [{**ROW, **changes}])).rows()
    assert row.get("outcome") == outcome
    (row,) = read(FORMAT, z.json_lines([{f: v for f, v in {**ROW, **changes}.items() if v != "-"}])).rows()
    assert row.get("outcome") == outcome


def test_a_lone_syn_is_counted_by_packets():
    (row,) = read(
        FORMAT, z.tsv("conn", FIELDS, [{**ROW, "conn_state": "S0", "history": "S", "orig_pkts": "4", "resp_pkts": "0"}])
    ).rows()
    assert row["syn_count"] == 4


def test_icmp_of_ipv6_is_told_by_its_addresses():
    six = {**ROW, "proto": "icmp", "id.orig_h": "2001:db8::1", "id.resp_h": "2001:db8::2", "id.orig_p": "128", "id.resp_p": "129"}
    rows = read(
        FORMAT, z.tsv("conn", FIELDS, [six, {**ROW, "proto": "icmp"}, {**ROW, "proto": "unknown_transport", "ip_proto": "47"}])
    ).rows()
    assert [r["proto"] for r in rows] == [58, 1, 47]


def test_details_can_be_left_out():
    (row,) = read(FORMAT, z.tsv("conn", FIELDS, [ROW]), options=Options(details=False)).rows()
    assert "uid" not in row and row["history"] == "ShADadFf"


def test_order_separator_and_pieces_do_not_matter():
    rows = [{**ROW, "ts": f"{1_668_586_098 + k}.000000", "id.orig_p": str(k + 1)} for k in range(40)]
    plain = read(FORMAT, z.tsv("conn", FIELDS, rows)).rows()
    shuffled = random.Random(1).sample(FIELDS, len(FIELDS))
    for data in (z.tsv("conn", shuffled, rows), z.tsv("conn", FIELDS, rows, separator="|"), z.tsv("conn", FIELDS, rows, separator=" ")):
        assert read(FORMAT, data).rows() == plain
        for step in (1, 50, 999):
            assert read(FORMAT, data, step=step).rows() == plain
    json = read(FORMAT, z.json_lines(rows))
    assert [{**r, "number": 0} for r in json.rows()] == [{**r, "number": 0} for r in plain]
    crlf = z.tsv("conn", FIELDS, rows).replace(b"\n", b"\r\n")
    assert read(FORMAT, crlf).rows() == plain


def test_columns_cut_by_zeek_cut():
    # zeek-cut -c keeps the header, and of its fields those that were asked for
    data = z.tsv("conn", ["ts", "id.resp_h", "id.orig_h", "id.resp_p"], [ROW])
    (row,) = read(FORMAT, data).rows()
    assert (row["src"], row["dst"], row["dport"], row["joins"]) == ("192.0.2.1", "198.51.100.7", 80, MENTION)
    bare = b"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n" + b"\t".join(
        ROW[f].encode() for f in ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state")
    )
    assert FORMAT.recognise(bare)
    assert read(FORMAT, bare + b"\n").rows()[0]["conn_state"] == "SF"


def test_times_in_words_of_zeek_cut():
    # zeek-cut -d
    (row,) = read(FORMAT, z.tsv("conn", FIELDS, [{**ROW, "ts": "2022-11-16T09:08:18+0100"}])).rows()
    assert row["start"] == 1_668_586_098 * 10**9


def test_rotated_logs_behind_one_another():
    data = z.tsv("conn", FIELDS, [ROW]) + z.tsv("conn", list(reversed(FIELDS)), [ROW, ROW]) + z.tsv("dns", ["ts", "uid"], [])
    assert [r["number"] for r in read(FORMAT, data).rows()] == [9, 19, 20]


def test_broken_lines_cost_themselves():
    lines = z.tsv("conn", FIELDS, [ROW] * 5).split(b"\n")
    lines[9] = lines[9].replace(b"40000", b"4x000")  # one field that does not read
    lines[10] = b"\t".join(lines[10].split(b"\t")[:5])  # too few fields
    lines[11] = lines[11].replace(b"CAbc", b"C\xff\xfe")  # no UTF-8
    lines[12] = lines[12].replace(b"1668586098", b"yesterday")
    got = read(FORMAT, b"\n".join(lines))
    assert [(r["number"], r.get("sport"), r["uid"]) for r in got.rows()] == [
        (9, 40000, "CAbc"),
        (10, None, "CAbc"),
        (12, 40000, "C\\xff\\xfe"),
    ]
    assert got.counts == {"lines that could not be read": 2}
    assert "line 11" in got.note("lines that could not be read")


def test_a_cut_last_line_is_damage():
    data = z.tsv("conn", FIELDS, [ROW, ROW], closed=False)
    got = read(FORMAT, data[:-30])
    assert len(got.rows()) == 1
    assert got.damage == "line 10: the last line is cut"
    got = read(FORMAT, z.json_lines([ROW, ROW])[:-30])
    assert len(got.rows()) == 1 and got.damage == "line 2: the last line is cut"
    # A log that is still being written has no end mark, and nothing is wrong with it.
    assert read(FORMAT, data).damage is None


def test_a_line_without_end_is_damage(monkeypatch):
    monkeypatch.setattr("tracehound.limits.MAX_LOG_RECORD_BYTES", 5000)
    got = read(FORMAT, z.tsv("conn", FIELDS, [ROW], closed=False) + b"x" * 10_000 + b"\n", step=1000)
    assert len(got.rows()) == 1
    assert "a line longer than 5000 bytes" in got.damage


def test_http():
    fields = [
        "ts",
        "uid",
        "id.orig_h",
        "id.orig_p",
        "id.resp_h",
        "id.resp_p",
        "trans_depth",
        "method",
        "host",
        "uri",
        "referrer",
        "version",
        "user_agent",
        "request_body_len",
        "response_body_len",
        "status_code",
        "status_msg",
        "tags",
        "resp_mime_types",
    ]
    row = {
        **ROW,
        "trans_depth": "1",
        "method": "GET",
        "host": "198.51.100.7:8080",
        "uri": "/b.cgi?alt\\x09\\xc3\\xa4",
        "version": "1.0",
        "request_body_len": "0",
        "response_body_len": "4096",
        "status_code": "200",
        "status_msg": "OK",
        "tags": "(empty)",
        "user_agent": "(empty)",
        "resp_mime_types": "application/x-dosexec,text/plain",
    }
    got = read(FORMAT, z.tsv("http", fields, [row]))
    (http,) = got.table("http")
    assert (http["method"], http["host"], http["uri"], http["status"]) == ("GET", "198.51.100.7", "/b.cgi?alt\tä", 200)
    assert (http["user_agent"], http["referer"], http["body_kind"], http["response_bytes"]) == ("", None, "pe", 4096)
    assert http["complete"] and http["flow_id"] == 9
    (mention,) = got.rows()
    assert (mention["joins"], mention["service"], mention["uid"]) == (MENTION, "http", "CAbc")


def test_dns_ssl_smtp_files_weird():
    base = ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"]
    dns = {
        **ROW,
        "proto": "udp",
        "trans_id": "7",
        "rtt": "0.25",
        "query": "www.example",
        "qclass": "1",
        "qtype_name": "A",
        "rcode_name": "NOERROR",
        "AA": "F",
        "TC": "F",
        "RD": "T",
        "RA": "T",
        "answers": "192.0.2.80,192.0.2.81",
        "TTLs": "60.000000,61.000000",
        "rejected": "F",
    }
    (row,) = read(FORMAT, z.tsv("dns", [*base, *[f for f in dns if f not in ROW], "proto"], [dns])).table("dns")
    assert (row["query"], row["rcode"], row["answers"], row["answer_ttls_s"]) == (
        "www.example",
        "NOERROR",
        ["192.0.2.80", "192.0.2.81"],
        [60, 61],
    )
    assert row["response_ts"].value - row["ts"].value == 250_000_000 and row["recursion_desired"] and row["authoritative"] is False
    ssl = {**ROW, "version": "TLSv12", "cipher": "TLS_X", "server_name": "www.example", "resumed": "F", "established": "T"}
    (row,) = read(FORMAT, z.tsv("ssl", [*base, "version", "cipher", "server_name", "resumed", "established"], [ssl])).table("tls")
    assert (row["version"], row["server_name"], row["established"], row["resumed"]) == ("TLSv12", "www.example", True, False)
    smtp = {
        **ROW,
        "trans_depth": "1",
        "helo": "a",
        "mailfrom": "x@y",
        "rcptto": "p@q,r@s",
        "subject": "hi",
        "path": "192.0.2.1",
        "tls": "F",
    }
    (row,) = read(FORMAT, z.tsv("smtp", [*base, *[f for f in smtp if f not in ROW]], [smtp])).table("smtp")
    assert (row["mailfrom"], row["rcptto"], row["mail_subject"], row["mail_path"]) == ("x@y", ["p@q", "r@s"], "hi", ["192.0.2.1"])
    old = {
        "ts": ROW["ts"],
        "fuid": "F1",
        "tx_hosts": "198.51.100.7",
        "rx_hosts": "192.0.2.1",
        "conn_uids": "CAbc",
        "source": "HTTP",
        "is_orig": "F",
        "seen_bytes": "100",
        "total_bytes": "100",
        "missing_bytes": "0",
        "overflow_bytes": "0",
        "timedout": "F",
        "mime_type": "text/html",
        "sha256": "ab",
    }
    got = read(FORMAT, z.tsv("files", list(old), [old]))
    (row,) = got.table("files")
    assert (row["src"], row["dst"], row["sent_by_src"], row["kind"], row["complete"]) == (
        "192.0.2.1",
        "198.51.100.7",
        False,
        "html",
        True,
    )
    assert row["note"] == "the log does not say the ports" and got.rows()[0]["uid"] == "CAbc"
    weird = {**ROW, "name": "bad_TCP_checksum", "addl": "x", "notice": "F", "peer": "zeek"}
    (row,) = read(FORMAT, z.tsv("weird", [*base, "name", "addl", "notice", "peer"], [weird])).rows()
    assert (row["state"], row["details"], row["sensor"]) == ("bad_TCP_checksum", '{"addl": "x"}', "zeek")


def test_logs_of_other_kinds_are_counted():
    got = read(FORMAT, z.tsv("kerberos", ["ts", "uid", "client"], [ROW, ROW]))
    assert got.rows() == [] and got.counts == {"lines of other logs (kerberos)": 2}


def test_json_streaming_mixes_logs():
    data = (
        z.json_lines([ROW], "conn") + z.json_lines([{**ROW, "trans_depth": "1", "method": "GET"}], "http") + z.json_lines([ROW], "ntp")
    )
    assert FORMAT.recognise(data)
    got = read(FORMAT, data)
    assert sorted(r["source"] for r in got.rows()) == ["zeek conn", "zeek http"]
    assert got.counts == {"lines of other logs (ntp)": 1}
    iso = data.replace(b'"ts": 1668586098.757001', b'"ts": "2022-11-16T08:08:18.757001Z"')
    assert read(FORMAT, iso).rows() == got.rows()


def test_bad_json_lines_are_counted():
    data = z.json_lines([ROW]) + b"{broken\n" + b"[" * 5000 + b"\n\n" + z.json_lines([ROW])
    got = read(FORMAT, data)
    assert [r["number"] for r in got.rows()] == [1, 5]
    assert got.counts == {"lines that could not be read": 2}


@needs_shared
def test_rows_of_zeeks_own_tests_read_alike_in_both_forms():
    rows = z.oracle("zeek-conn.jsonl.gz")
    assert len(rows) > 100
    one = read(FORMAT, z.tsv("conn", FIELDS, rows)).rows()
    other = read(FORMAT, z.json_lines(rows)).rows()
    assert [{**r, "number": 0} for r in one] == [{**r, "number": 0} for r in other]
    for row, given in zip(one, rows, strict=True):
        assert (row["src"], row.get("conn_state"), row.get("history")) == (
            given["id.orig_h"],
            given.get("conn_state"),
            given.get("history"),
        )
        assert row["pkts_dst"] == int(given["resp_pkts"])
    http = z.oracle("zeek-http.jsonl.gz")
    fields = sorted({f for row in http for f in row})
    read_back = read(FORMAT, z.tsv("http", fields, http)).table("http")
    assert [r["uri"] for r in read_back] == ["" if r.get("uri") == "(empty)" else r.get("uri") for r in http]
    assert [r["status"] for r in read_back] == [int(r.get("status_code", 0)) or None for r in http]
