"""What application protocols tell rules: names of DNS sections, dates of certificates, files over SMB, odd HTTP and SMTP."""

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR

from tests.rules.alerting import alerts
from tests.wire import capture, exchange
from tracehound.edges import alerting
from tracehound.edges.evidence import list_evidence
from tracehound.edges.rule_files import load_rules
from tracehound.rules.engine import Options
from tracehound.rules.settings import Settings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def event(name: str) -> str:
    return f"alert {name.partition('.')[0]} any any -> any any (app-layer-event:{name}; sid:1;)\n"


@pytest.mark.parametrize(
    ("name", "request_", "response"),
    [
        ("http.missing_host_header", b"GET / HTTP/1.1\r\n\r\n", OK),
        ("http.request_field_missing_colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", OK),
        ("http.request_header_invalid", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", OK),
        ("http.request_header_repetition", b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n", OK),
        ("http.invalid_request_field_folding", b"GET / HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n", OK),
        ("http.invalid_content_length_field_in_request", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n", OK),
        ("http.duplicate_content_length_field_in_request",
         b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", OK),
        ("http.invalid_transfer_encoding_value_in_request", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", OK),
        ("http.host_header_ambiguous", b"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", OK),
        ("http.request_header_host_invalid", b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", OK),
        ("http.invalid_server_port_in_request", b"GET http://a:99999/ HTTP/1.1\r\nHost: a:99999\r\n\r\n", OK),
        ("http.method_delim_non_compliant", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", OK),
        ("http.uri_delim_non_compliant", b"GET /a\tHTTP/1.1\r\nHost: a\r\n\r\n", OK),
        ("http.request_auth_unrecognized", b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Odd x\r\n\r\n", OK),
        ("http.response_invalid_protocol", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/7.7 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("http.response_chunked_old_proto", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("http.response_abnormal_transfer_encoding", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"),
        ("http.gzip_decompression_failed", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip"),
        ("http.response_multipart_byteranges", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         b"HTTP/1.1 206 Partial\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 2\r\n\r\nhi"),
    ],
)  # fmt: skip
def test_odd_http(tmp_path, name, request_, response):
    assert len(alerts(tmp_path, exchange(request_, response), event(name))) == 1
    plain = exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK)
    assert alerts(tmp_path, plain, event(name)) == []


def mail(*lines: tuple[bool, bytes]) -> bytes:
    """Lines of the client (True) and the server."""

    def write(wire, a, b):
        talk = a.connect(b, 25, at=1.0)
        for client, line in lines:
            talk = talk.send(line + b"\r\n") if client else talk.reply(line + b"\r\n")
        talk.close()

    return capture(write)


ORDERLY = ((False, b"220 hello"), (True, b"EHLO a"), (False, b"250 PIPELINING"), (True, b"QUIT"), (False, b"221 bye"))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("smtp.no_server_welcome_message", ((True, b"EHLO a"), (False, b"250 ok"))),
        ("smtp.unable_to_match_reply_with_request", (*ORDERLY[:3], (False, b"250 more"))),
        ("smtp.invalid_pipelined_sequence", ((False, b"220 hello"), (True, b"EHLO a\r\nMAIL FROM:<a@b>"), (False, b"250 ok"))),
        ("smtp.mime_invalid_base64", (
            *ORDERLY[:3], (True, b"DATA"), (False, b"354 go"),
            (True, b"Content-Transfer-Encoding: base64\r\n\r\nabc*\r\n."), (False, b"250 ok"))),
        ("smtp.mime_long_line", (*ORDERLY[:3], (True, b"DATA"), (False, b"354 go"), (True, b"A: b\r\n\r\n" + b"x" * 1200 + b"\r\n."))),
    ],
)  # fmt: skip
def test_odd_mail(tmp_path, name, lines):
    assert len(alerts(tmp_path, mail(*lines), event(name))) == 1
    assert alerts(tmp_path, mail(*ORDERLY), event(name)) == []


def test_names_of_all_sections(tmp_path):
    answer = DNS(
        id=1, qr=1, qd=DNSQR(qname="asked.example"), an=DNSRR(rrname="answer.example", type="CNAME", rdata="target.example"),
        ns=DNSRR(rrname="authority.example", type="NS", rdata="server.example"),
        ar=DNSRR(rrname="more.example", type="A", rdata="10.0.0.1"),
    )  # fmt: skip
    query = bytes(DNS(id=1, qd=DNSQR(qname="asked.example")))
    found = capture(lambda wire, a, b: a.exchange(b, 53, query, bytes(answer), at=1.0))
    buffers = ("dns.queries.rrname", "dns.answers.rrname", "dns.authorities.rrname", "dns.additionals.rrname", "dns.response.rrname")
    words = ("asked", "answer", "authority", "more", "target")
    rules = "".join(
        f'alert dns any any -> any any ({buffer}; content:"{word}.example"; sid:{10 * k + n};)\n'
        for k, buffer in enumerate(buffers, 1) for n, word in enumerate(words)
    )  # fmt: skip
    sids = sorted({sid for sid, *_ in alerts(tmp_path, found, rules)})
    assert sids == [10, 21, 32, 43, 50, 51, 52, 53, 54]


def test_neighbours_ask_without_a_server(tmp_path):
    query = bytes(DNS(id=0, qd=DNSQR(qname="printer.local")))
    found = capture(lambda wire, a, b: a.datagram(b, 5353, query, at=1.0, sport=5353))
    rules = (
        'alert mdns any any -> any any (mdns.queries.rrname; content:"printer"; sid:1;)\n'
        'alert dns any any -> any any (dns.query; content:"printer"; sid:2;)\n'
    )
    assert [sid for sid, *_ in alerts(tmp_path, found, rules)] == [1]


@pytest.mark.parametrize(
    ("form", "text", "keys"),
    [
        ("json", '{"list": {"of": [{"name": "asked.example", "why": "bad"}]}}', "value_key name,array_key list.of"),
        ("json", '[{"name": "asked.example", "why": "bad"}]', "value_key name"),
        ("ndjson", '{"at": {"name": "other"}}\n{"at": {"name": "asked.example"}, "why": "bad"}\n', "value_key at.name"),
    ],
)
def test_sets_in_json_say_more_of_a_value(tmp_path, form, text, keys):
    (tmp_path / "set").write_text(text)
    (tmp_path / "a.rules").write_text(
        f"alert dns any any -> any any (dns.query; dataset:isset,s,type string,load set,format {form},context_key ctx,{keys}; sid:1;)\n"
    )
    query = bytes(DNS(id=1, qd=DNSQR(qname="asked.example")))
    (tmp_path / "a.pcap").write_bytes(capture(lambda wire, a, b: a.exchange(b, 53, query, None, at=1.0)))
    made = alerting.make_ready(load_rules([str(tmp_path / "a.rules")], Settings()), Settings())
    assert not made.refused
    (found,) = alerting.alerts(list_evidence([str(tmp_path / "a.pcap")]), made, Options())
    assert found.eve("")["alert"]["context"]["ctx"]["why"] == "bad"


@pytest.mark.parametrize("text", ["{", '{"list": 3}', '[{"other": "x"}]', "[1]"])
def test_a_set_that_cannot_be_read_refuses_its_rule(tmp_path, text):
    (tmp_path / "set").write_text(text)
    (tmp_path / "a.rules").write_text(
        "alert dns any any -> any any (dns.query; dataset:isset,s,type string,load set,format json,value_key name; sid:1;)\n"
    )
    made = alerting.make_ready(load_rules([str(tmp_path / "a.rules")], Settings()), Settings())
    assert len(made.refused) == 1 and "set: " in str(made.refused[0])
