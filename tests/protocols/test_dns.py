"""DNS: messages, pairing, TCP framing; hand-written, built by scapy, of any bytes, and real."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.packets import Sent, batch
from tracehound.limits import MAX_DNS_POINTERS
from tracehound.protocols import dns
from tracehound.protocols.dns import DnsState, TcpDns
from tracehound.protocols.dns_message import parse_message
from tracehound.protocols.dns_registry import opcode_name, rcode_name, type_name
from tracehound.protocols.identify import Heads, heads
from tracehound.tables import DNS

ID = 0x1234


def name(text: str) -> bytes:
    return b"".join(bytes((len(x),)) + x.encode() for x in text.split(".") if x) + b"\0"


def header(flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0), number: int = ID) -> bytes:
    return struct.pack(">6H", number, flags, *counts)


def question(text: str = "www.example.com", kind: int = 1, klass: int = 1) -> bytes:
    return name(text) + struct.pack(">HH", kind, klass)


def record(owner: bytes, kind: int, data: bytes, ttl: int = 60) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def query(text: str = "www.example.com", kind: int = 1, number: int = ID) -> bytes:
    return header(number=number) + question(text, kind)


def response(
    *records: bytes, text: str = "www.example.com", kind: int = 1, number: int = ID, flags: int = 0x8180
) -> bytes:
    return header(flags, (1, len(records), 0, 0), number) + question(text, kind) + b"".join(records)


A = record(b"\xc0\x0c", 1, bytes((192, 0, 2, 80)))


def rows(*packets: Sent, end: bool = True) -> list[dict[str, Any]]:
    state, found = DnsState(), Heads()
    packet_batch, assignment = batch(packets)
    heads(packet_batch, assignment, found)
    tables = [state.add_udp(packet_batch, assignment, found.codes)]
    if end:
        tables += [state.end(np.unique(assignment.flow_id)), state.finish()]
    table = pa.concat_tables(tables)
    assert table.schema == DNS.schema
    return sorted(table.to_pylist(), key=lambda r: r["txn_id"])


# -- messages


def test_query():
    m = parse_message(query("WwW.Example.com", 28))
    assert (m.trans_id, m.is_response, m.recursion_desired, m.questions) == (
        ID,
        False,
        True,
        [("WwW.Example.com", 28, 1)],
    )
    assert m.note is None


def test_edns_is_no_answer_and_extends_the_response_code():
    opt = b"\0" + struct.pack(">HHIH", 41, 4096, 1 << 24, 0)
    m = parse_message(header(0x8180, (1, 0, 0, 1)) + question() + opt)
    assert (m.answers, rcode_name(m.rcode), m.note) == ([], "BADVERS", None)


WWW = b"\xc0\x0c"
DATA = [
    (1, bytes((10, 0, 0, 1)), "10.0.0.1"),
    (28, bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    (5, b"\3ftp\xc0\x10", "ftp.example.com"),
    (2, name("ns.example.net"), "ns.example.net"),
    (12, name("host.example.net"), "host.example.net"),
    (15, b"\0\x0a" + name("mail.example.net"), "10 mail.example.net"),
    (16, b"\5v=spf\4 -al", '"v=spf" " -al"'),
    (16, b'\4a"\\\x01', '"a\\"\\\\\\x01"'),
    (6, name("ns.x") + name("root.x") + struct.pack(">5I", 1, 2, 3, 4, 5), "ns.x root.x 1 2 3 4 5"),
    (33, struct.pack(">3H", 1, 2, 5060) + name("sip.x"), "1 2 5060 sip.x"),
    (35, struct.pack(">HH", 1, 2) + b"\1s\7SIP+D2U\0" + name("_sip.x"), '1 2 "s" "SIP+D2U" "" _sip.x'),
    (257, b"\0\5issueca.example", '0 issue "ca.example"'),
    (43, struct.pack(">HBB", 60485, 5, 1) + b"\xab\xcd", "60485 5 1 abcd"),
    (48, struct.pack(">HBB", 256, 3, 8) + b"\1\2\3", "256 3 8 AQID"),
    (
        46,
        struct.pack(">HBBIIIH", 1, 8, 3, 300, 1_000_000_000, 0, 7) + name("x") + b"\1",
        "A 8 3 300 20010909014640 19700101000000 7 x AQ==",
    ),
    (47, name("b.x") + b"\0\1\x40", "b.x A"),
    (64, b"\0\1" + name("svc.x") + b"\0\3\0\2\x20\xfb", "1 svc.x port=8443"),
    (65, b"\0\1\0" + b"\0\1\0\6\2h3\2h2" + b"\0\4\0\4\1\2\3\4", "1 . alpn=h3,h2 ipv4hint=1.2.3.4"),
    (13, b"\3VAX\3VMS", '"VAX" "VMS"'),
    (65280, b"\1\2\xff", "0102ff"),
]


@pytest.mark.parametrize(("kind", "data", "text"), DATA)
def test_record_data(kind, data, text):
    m = parse_message(response(record(WWW, kind, data, 7)))
    assert m.note is None
    assert list(zip(m.answer_names, m.answer_types, m.answers, m.answer_ttls_s, strict=True)) == [
        ("www.example.com", type_name(kind), text, 7)
    ]


@pytest.mark.parametrize(("kind", "data", "text"), [d for d in DATA if d[0] < 65280])
def test_record_data_cut_anywhere_is_a_note_or_text(kind, data, text):
    for size in range(1, len(data)):
        m = parse_message(response(record(WWW, kind, data[:size])))
        assert len(m.answers) == 1
        if kind in (1, 28, 33, 35):
            assert m.note is not None


def test_odd_bytes_in_names_are_escaped():
    m = parse_message(header() + b"\4a.b\x00\3\\\xff \0" + struct.pack(">HH", 1, 1))
    assert m.questions[0][0] == r"a\.b\x00.\\\xff "


def test_root_is_a_dot():
    assert parse_message(header() + question("", 2)).questions == [(".", 2, 1)]


def test_compression_loops_end():
    for loop in (b"\xc0\x0c", b"\1a\xc0\x0c", b"\xc0\x0e\xc0\x0c"):
        m = parse_message(header() + loop + struct.pack(">HH", 1, 1))
        assert not m.readable
        assert m.note is not None
        assert "not a DNS message" in m.note


def test_a_chain_of_pointers_is_followed_as_far_as_allowed():
    for depth, readable in ((MAX_DNS_POINTERS - 1, True), (MAX_DNS_POINTERS + 1, False)):
        at = 12 + 2
        chain = b"".join(struct.pack(">H", 0xC000 | at + 4 + 2 * (i + 1)) for i in range(depth)) + b"\1x\0"
        message = header() + struct.pack(">H", 0xC000 | at + 4) + struct.pack(">HH", 1, 1) + chain
        m = parse_message(message)
        assert m.readable is readable
        if readable:
            assert m.questions[0][0] == "x"


def test_names_longer_than_255_bytes_are_refused():
    label = b"\x3f" + b"a" * 63
    assert parse_message(header() + label * 3 + b"\x3d" + b"b" * 61 + b"\0\0\1\0\1").note is None
    assert not parse_message(header() + label * 4 + b"\0\0\1\0\1").readable


def test_names_of_numbers():
    assert (type_name(65), type_name(65280), rcode_name(3), rcode_name(12), opcode_name(5)) == (
        "HTTPS",
        "TYPE65280",
        "NXDOMAIN",
        "RCODE12",
        "UPDATE",
    )


@given(st.binary(max_size=300))
def test_any_bytes(data):
    parse_message(data)
    parse_message(data, cut=True)
    parse_message(header(0x8180, (1, 2, 1, 1)) + data)


@given(st.binary(min_size=1, max_size=64), st.sampled_from([d[0] for d in DATA]))
def test_any_record_data(data, kind):
    assert len(parse_message(response(record(WWW, kind, data))).answers) == 1


labels = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_", min_size=1, max_size=20)


@given(st.lists(labels, min_size=1, max_size=6), st.sampled_from([1, 2, 28, 16]), st.binary(min_size=4, max_size=4))
def test_built_messages_come_back(parts, kind, address):
    text = ".".join(parts)
    m = parse_message(response(record(WWW, 1, address), text=text, kind=kind))
    assert m.questions == [(text, kind, 1)]
    assert m.answer_names == [text]
    assert m.answers == [".".join(map(str, address))]
    assert m.note is None


@pytest.mark.filterwarnings("ignore")
def test_scapy_agrees():
    layers = pytest.importorskip("scapy.layers.dns")
    built = layers.DNS(
        id=7,
        qr=1,
        aa=1,
        qd=[layers.DNSQR(qname="Shop.example.org", qtype="A")],
        an=[
            layers.DNSRR(rrname="Shop.example.org", type="CNAME", rdata="a.example.org", ttl=5),
            layers.DNSRR(rrname="a.example.org", type="A", rdata="198.51.100.9", ttl=6),
            layers.DNSRRSRV(rrname="_x._tcp.example.org", priority=1, weight=2, port=3, target="b.example.org"),
            layers.DNSRRMX(rrname="example.org", preference=9, exchange="mx.example.org"),
        ],
        ar=[layers.DNSRROPT()],
    )
    m = parse_message(bytes(built))
    assert (m.trans_id, m.authoritative, m.questions) == (7, True, [("Shop.example.org", 1, 1)])
    assert m.answer_types == ["CNAME", "A", "SRV", "MX"]
    assert m.answers == ["a.example.org", "198.51.100.9", "1 2 3 b.example.org", "9 mx.example.org"]
    assert m.note is None


# -- pairing


def test_a_query_and_its_response_are_one_row():
    (row,) = rows(Sent(1, True, query()), Sent(1, False, response(A)))
    assert (row["src"], row["sport"], row["dst"], row["dport"]) == ("10.0.0.1", 5000, "192.0.2.80", 53)
    assert (row["query"], row["qtype"], row["rcode"], row["answers"]) == (
        "www.example.com",
        "A",
        "NOERROR",
        ["192.0.2.80"],
    )
    assert (row["query_packet_id"], row["response_packet_id"], row["note"]) == (1, 2, None)
    assert row["response_ts"] > row["ts"]


def test_queries_in_flight_are_told_apart_by_id_and_question():
    found = rows(
        Sent(1, True, query("a.x", number=1)),
        Sent(1, True, query("a.x", 28, number=1)),
        Sent(1, True, query("b.x", number=2)),
        Sent(1, False, response(text="b.x", number=2, flags=0x8183)),
        Sent(1, False, response(text="A.x", kind=28, number=1)),
    )
    assert [(r["query"], r["qtype"], r["rcode"], r["response_packet_id"]) for r in found] == [
        ("a.x", "A", None, None),
        ("a.x", "AAAA", "NOERROR", 5),
        ("b.x", "A", "NXDOMAIN", 4),
    ]


def test_a_repeated_query_is_a_row_of_its_own():
    found = rows(Sent(1, True, query()), Sent(1, True, query()), Sent(1, False, response(A)))
    assert [(r["query_packet_id"], r["response_packet_id"]) for r in found] == [(1, 3), (2, None)]
    assert found[1]["answers"] is None


def test_a_response_without_a_query_stands_alone_and_names_who_would_have_asked():
    (row,) = rows(Sent(1, False, response(A)))
    assert (row["src"], row["dst"], row["query_packet_id"], row["response_packet_id"]) == (
        "10.0.0.1",
        "192.0.2.80",
        None,
        1,
    )
    assert row["query"] == "www.example.com"


def test_a_forged_response_with_another_id_does_not_take_the_query():
    found = rows(Sent(1, True, query()), Sent(1, False, response(A, number=9)), Sent(1, False, response(A)))
    assert [(r["trans_id"], r["query_packet_id"], r["response_packet_id"]) for r in found] == [(ID, 1, 3), (9, None, 2)]


def test_a_response_without_question_answers_by_id():
    (row,) = rows(Sent(1, True, query()), Sent(1, False, header(0x8181, (0, 0, 0, 0))))
    assert (row["query"], row["rcode"]) == ("www.example.com", "FORMERR")


def test_what_does_not_parse_on_port_53_is_a_row_with_a_note():
    (row,) = rows(Sent(1, True, b"XXXX"))
    assert row["query"] is None
    assert "not a DNS message" in row["note"]
    assert rows(Sent(1, True, b"XXXX", dport=54)) == []


def test_dns_on_another_port_is_read():
    (row,) = rows(Sent(1, True, query(), dport=5300), Sent(1, False, response(A), dport=5300))
    assert (row["dport"], row["rcode"]) == (5300, "NOERROR")


def test_a_message_cut_by_the_capture_says_so():
    (row,) = rows(Sent(1, False, response(A), cut=40))
    assert row["note"] == "message cut in the capture"


def test_multicast_questions_are_rows_and_their_class_has_no_unicast_bit():
    message = header(0, (2, 0, 0, 0), 0) + question("a.local", 12, 0x8001) + question("b.local", 1, 1)
    found = rows(Sent(1, True, message, 5353, 5353))
    assert [(r["query"], r["qclass"]) for r in found] == [("a.local", 1), ("b.local", 1)]


def test_pending_queries_are_bounded(monkeypatch):
    monkeypatch.setattr(dns, "MAX_PENDING_QUERIES", 10)
    state = DnsState()
    packet_batch, assignment = batch([Sent(i, True, query(number=i)) for i in range(1, 31)])
    table = state.add_udp(packet_batch, assignment, np.zeros(40, np.uint8))
    assert (table.num_rows, state.evicted) == (20, 20)
    assert state.finish().num_rows == 10


def test_transactions_are_numbered_within_their_flow():
    state = DnsState()
    packet_batch, assignment = batch([Sent(flow, True, query(number=n)) for n, flow in enumerate((1, 3, 1), 1)])
    state.add_udp(packet_batch, assignment, np.zeros(4, np.uint8))
    numbers = state.end(np.array([1, 2, 3])).column("txn_id").to_pylist()
    assert sorted(numbers) == [1 << 20 | 1, 1 << 20 | 2, 3 << 20 | 1]


# -- TCP


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(m)) + m for m in messages)


@given(st.lists(st.binary(min_size=12, max_size=60), max_size=6), st.lists(st.integers(0, 400), max_size=12))
def test_a_stream_may_be_cut_anywhere(messages, cuts):
    data = framed(*messages)
    places = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    stream = TcpDns()
    found = []
    for begin, end in pairwise(places):
        found += [m for m, _, _ in stream.feed(data[begin:end], begin, begin)]
    assert found == messages
    assert stream.rest == b""


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_stream(pieces):
    state = DnsState()
    for i, piece in enumerate(pieces):
        state.add_tcp(1, i % 2 == 0, piece, i, i, "10.0.0.1", 1, "10.0.0.2", 53)
    state.finish()
    assert state._stream_bytes == 0


def test_tcp_messages_pair_and_know_their_packets():
    state = DnsState()
    there, back = ("10.0.0.1", 4000, "10.0.0.2", 53), ("10.0.0.2", 53, "10.0.0.1", 4000)
    asked = framed(query("a.x", number=1), query("b.x", number=2))
    state.add_tcp(5, True, asked[:2], 10, 1, *there)
    state.add_tcp(5, True, asked[2:40], 20, 2, *there)
    state.add_tcp(5, True, asked[40:], 30, 3, *there)
    state.add_tcp(5, False, framed(response(text="b.x", number=2), response(A, text="a.x", number=1)), 40, 4, *back)
    found = state.take().to_pylist()
    assert [(r["query"], r["query_packet_id"], r["response_packet_id"], r["proto"]) for r in found] == [
        ("b.x", 2, 4, 6),
        ("a.x", 1, 4, 6),
    ]


def test_a_gap_or_the_end_inside_a_message_is_a_note():
    state = DnsState()
    state.add_tcp(1, True, framed(query())[:20], 1, 1, "10.0.0.1", 4000, "10.0.0.2", 53)
    state.gap(1, True)
    (row,) = state.end(np.array([1])).to_pylist()
    assert row["note"] == "message cut in the capture"


# -- real captures


def real(path: str) -> list[dict[str, Any]]:
    from tracehound.edges.evidence import list_evidence, read_batches
    from tracehound.flows import assemble
    from tracehound.flows.state import FlowState
    from tracehound.packets.decode import DecodeState, decode

    state, found, flow_state, decoding = DnsState(), Heads(), FlowState(), DecodeState()
    tables = []
    for raw in read_batches(list_evidence([str(SHARED / "captures" / path)])):
        packets = decode(raw, decoding)
        assignment, _ = assemble.assemble(packets, flow_state)
        heads(packets, assignment, found)
        tables.append(state.add_udp(packets, assignment, found.codes))
    return sorted(pa.concat_tables([*tables, state.finish()]).to_pylist(), key=lambda r: r["txn_id"])


@needs_shared
@pytest.mark.parametrize(
    ("path", "query_name", "qtype", "rcode", "answer"),
    [
        ("zeek/dns-caa.pcap", "google.com", "CAA", "NOERROR", '0 issue "symantec.com"'),
        ("zeek/dns-svcb.pcap", "example.com", "SVCB", "NOERROR", "0 foo.example.com"),
        ("zeek/dns/hinfo.pcap", "zeek.example.net", "HINFO", "NOERROR", '"INTEL-386" "Windows"'),
        ("zeek/dns/dns_extended_rcode.pcap", "test.example.com", "A", "BADVERS", None),
    ],
)
def test_real_messages(path, query_name, qtype, rcode, answer):
    (row,) = real(path)
    assert (row["query"], row["qtype"], row["rcode"]) == (query_name, qtype, rcode)
    assert (row["answers"] or [None])[0] == answer
    assert row["note"] is None


@needs_shared
def test_real_names_that_are_malformed_are_rows_with_notes():
    found = real("zeek/dns/dns-invalid-names.pcap")
    assert len(found) == 3
    assert all("not a DNS message" in row["note"] for row in found)


@needs_shared
def test_a_long_real_conversation_pairs_every_query():
    found = real("zeek/dns/long-connection.pcap")
    assert len(found) == 11
    assert all(row["query_packet_id"] and row["response_packet_id"] for row in found)
    assert [row["rcode"] for row in found].count("NXDOMAIN") == 1
