"""Service identification: what each protocol begins with, on any port; heads that come once however the capture is cut."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.protocols.packets import Sent, batch
from tracehound.limits import HEAD_BYTES
from tracehound.protocols import identify
from tracehound.protocols.identify import SERVICE_CODE, SERVICES, Heads, code_of, heads, service_column, service_of
from tracehound.tables import HEADS

TCP, UDP = 6, 17
DNS_QUERY = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\3www\7example\3com\0\0\1\0\1"
DHCP = bytes((1, 1, 6, 0)) + bytes(232) + b"\x63\x82\x53\x63\x35\1\1\xff"
TLS_HELLO = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(192)

SPOKEN = [
    ("http", TCP, b"GET /b.cgi?alt&1 HTTP/1.1\r\n\r\n", b"", 80),
    ("http", TCP, b"GET /b.cgi?alt&1&0 HTTP\xe2\x80\xa6\r\n", b"", 4711),
    ("http", TCP, b"", b"HTTP/1.0 200 OK\r\n\r\n", 8080),
    ("http", TCP, b"OPTIONS / HTTP/1.1\r\n\r\n", b"", 80),
    ("http", TCP, b"MKCOL /x HTTP/1.1\r\nHost: a\r\n\r\n", b"", 80),
    ("rtsp", TCP, b"OPTIONS rtsp://a/b RTSP/1.0\r\n\r\n", b"", 554),
    ("sip", UDP, b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n", b"", 5060),
    ("sip", TCP, b"INVITE sip:bob@example.org SIP/2.0\r\n", b"", 5061),
    ("dns", UDP, DNS_QUERY, b"", 53),
    ("dns", UDP, DNS_QUERY, b"", 4444),
    ("dns", TCP, struct.pack(">H", len(DNS_QUERY)) + DNS_QUERY, b"", 53),
    ("ssl", TCP, TLS_HELLO, b"", 4433),
    ("ssl", TCP, b"", b"\x17\x03\x03\x00\x13" + bytes(19), 8412),
    ("ssh", TCP, b"", b"SSH-2.0-OpenSSH_9.0\r\n", 2222),
    ("smtp", TCP, b"", b"220 mail.example.org ESMTP Postfix\r\n", 25),
    ("smtp", TCP, b"EHLO x\r\n", b"220 ready\r\n", 4000),
    ("ftp", TCP, b"", b"220 (vsFTPd 3.0.3)\r\n", 2121),
    ("ftp", TCP, b"USER anonymous\r\n", b"220 welcome\r\n", 2121),
    ("pop3", TCP, b"USER bob\r\n", b"+OK ready\r\n", 110),
    ("imap", TCP, b"", b"* OK [CAPABILITY IMAP4rev1] ready\r\n", 143),
    ("irc", TCP, b"NICK bot\r\nUSER a b c :d\r\n", b"", 4711),
    ("irc", TCP, b"", b":irc.x NOTICE AUTH :*** hi\r\n", 6667),
    ("smb", TCP, b"\x00\x00\x00\x54\xffSMB" + bytes(70), b"", 445),
    ("smb", TCP, b"\x00\x00\x00\x54\xfeSMB" + bytes(70), b"", 445),
    ("netbios_ssn", TCP, b"\x81\x00\x00\x44\x20" + b"CA" * 16 + bytes(35), b"", 139),
    ("dce_rpc", TCP, bytes.fromhex("05000b03100000004800000001000000"), b"", 135),
    ("rdp", TCP, bytes.fromhex("0300002a25e00000000000") + b"Cookie: mstshash=a\r\n", b"", 3390),
    ("telnet", TCP, b"", b"\xff\xfd\x18\xff\xfd\x20", 23),
    ("bittorrent", TCP, b"\x13BitTorrent protocol" + bytes(48), b"", 6881),
    ("bittorrent", UDP, b"d1:ad2:id20:" + bytes(20), b"", 6881),
    ("mysql", TCP, b"", b"\x4a\x00\x00\x00\x0a5.7.30\x00" + bytes(66), 3306),
    ("ldap_tcp", TCP, bytes.fromhex("300c020101600702010304008000"), b"", 389),
    ("krb_tcp", TCP, bytes.fromhex("000000206a1e301ca103020105a2030201" + "0a" * 19), b"", 88),
    ("modbus", TCP, bytes.fromhex("000100000006010300000001"), b"", 502),
    ("mqtt", TCP, b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd", b"", 1883),
    ("rfb", TCP, b"", b"RFB 003.008\n", 5900),
    ("socks", TCP, b"\x05\x01\x00", b"", 1080),
    ("socks", TCP, b"\x04\x01\x00\x50\xc0\x00\x02\x01bob\x00", b"", 1080),
    ("redis", TCP, b"*1\r\n$4\r\nPING\r\n", b"", 6379),
    ("ntp", UDP, b"\x23" + bytes(47), b"", 123),
    ("dhcp", UDP, DHCP, b"", 67),
    ("snmp", UDP, bytes.fromhex("302602010104067075626c6963a019"), b"", 161),
    ("tftp", UDP, b"\x00\x01boot.ini\x00octet\x00", b"", 69),
    ("syslog", UDP, b"<34>Oct 11 22:14:15 su: failed", b"", 514),
    ("ssdp", UDP, b"M-SEARCH * HTTP/1.1\r\n", b"", 1900),
    ("netbios_ns", UDP, struct.pack(">6H", 1, 0x110, 1, 0, 0, 0) + b"\x20" + b"CK" * 16 + b"\0\0\x21\0\1", b"", 137),
    ("stun", UDP, b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), b"", 3478),
    ("quic", UDP, b"\xc3\x00\x00\x00\x01\x08" + bytes(1200), b"", 443),
]


@pytest.mark.parametrize(("service", "proto", "originator", "responder", "port"), SPOKEN)
def test_what_is_spoken(service, proto, originator, responder, port):
    assert service_of(proto, originator, responder, 40_000, port) == service


@pytest.mark.parametrize(
    ("proto", "originator", "responder", "port"),
    [
        (TCP, b"", b"", 80),
        (TCP, b"hello world, this is no protocol\r\n", b"", 80),
        (TCP, bytes(200), b"", 53),
        (UDP, bytes(200), b"", 53),
        (UDP, b"XXXX", b"", 53),
        (UDP, b"\xff" * 60, b"", 4000),
        (UDP, b"\x23" + bytes(47), b"", 4000),
        (1, b"GET / HTTP/1.0\r\n\r\n", b"", 80),
    ],
)
def test_what_is_not_recognised(proto, originator, responder, port):
    assert service_of(proto, originator, responder, 40_000, port) is None


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from([TCP, UDP, 1]), st.integers(0, 65535))
def test_any_bytes(originator, responder, proto, port):
    found = service_of(proto, originator, responder, 40_000, port)
    assert found is None or found in SERVICES


@given(st.binary(min_size=60, max_size=200))
def test_random_bytes_are_rarely_taken_for_dns(data):
    if service_of(UDP, data, b"", 40_000, 4000) == "dns":
        assert data[4:6] == b"\0\1"


def test_names_are_few_enough_for_a_byte_and_unique():
    assert len(SERVICES) == len(set(SERVICES)) < 256
    assert SERVICES[0] == ""
    assert SERVICE_CODE["http"] > 0


CONVERSATION = [
    Sent(1, True, b"", 4000, 80, TCP, flags=2),
    Sent(1, True, b"SYN data", 4000, 80, TCP, flags=2),
    Sent(1, True, b"GET / HTTP/1.0\r\n\r\n", 4000, 80, TCP),
    Sent(1, True, b"GET / HTTP/1.0\r\n\r\n", 4000, 80, TCP),
    Sent(2, True, DNS_QUERY, 4001, 53, UDP),
    Sent(1, False, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(600), 4000, 80, TCP),
    Sent(-1, True, b"no flow", 1, 2, UDP),
    Sent(3, False, b"go away", 4002, 81, TCP, flags=4),
    Sent(3, False, b"\x00\x01\x02", 4002, 81, TCP),
    Sent(4, True, b"\xaa" * 64, 8, 0, 1),
    Sent(5, True, b"G", 4003, 80, TCP),
    Sent(5, True, b"ET /x HTTP/1.1\r\n\r\n", 4003, 80, TCP),
]


def run(pieces):
    state = Heads()
    tables, at = [], 1
    for piece in pieces:
        packet_batch, assignment = batch(piece, at)
        at += len(piece)
        tables.append(heads(packet_batch, assignment, state))
    table = pa.concat_tables(tables)
    assert table.schema == HEADS.schema
    table.validate(full=True)
    return table.to_pylist(), code_of(state.codes, np.arange(8)).tolist()


def test_heads_are_the_first_payload_of_each_direction():
    rows, codes = run([CONVERSATION])
    assert [(r["flow_id"], r["from_originator"], r["packet_id"]) for r in rows] == [
        (1, True, 3),
        (2, True, 5),
        (1, False, 6),
        (3, False, 9),
        (4, True, 10),
        (5, True, 11),
        (5, True, 12),
    ]
    assert [r["head"] for r in rows[-2:]] == [b"G", b"GET /x HTTP/1.1\r\n\r\n"], "a short head is joined with what follows"
    assert [r["payload_len"] for r in rows[-2:]] == [1, 19]
    assert rows[2]["head"] == (b"HTTP/1.0 200 OK\r\n\r\n" + bytes(600))[:HEAD_BYTES]
    assert rows[2]["payload_len"] == 619
    assert [SERVICES[c] for c in codes] == ["", "http", "dns", "", "", "http", "", ""]


@given(st.sets(st.integers(1, len(CONVERSATION) - 1)))
def test_batches_may_be_cut_anywhere(cuts):
    places = [0, *sorted(cuts), len(CONVERSATION)]
    assert run([CONVERSATION[a:b] for a, b in pairwise(places)]) == run([CONVERSATION])


def test_an_empty_batch():
    rows, codes = run([[]])
    assert rows == []
    assert sum(codes) == 0


def test_one_letter_at_a_time_is_recognised_in_the_end():
    rows, codes = run([[Sent(1, True, bytes((c,)), 4000, 8000, TCP) for c in b"SSH-2.0-x"]])
    assert [r["head"] for r in rows] == [b"S", b"SSH-2."]
    assert SERVICES[codes[1]] == "ssh"


def test_a_length_in_a_segment_of_its_own_is_still_dns():
    _, codes = run(
        [[Sent(1, True, struct.pack(">H", len(DNS_QUERY)), 4000, 53, TCP), Sent(1, True, DNS_QUERY, 4000, 53, TCP)]]
    )
    assert SERVICES[codes[1]] == "dns"


def test_short_heads_are_bounded(monkeypatch):
    monkeypatch.setattr(identify, "MAX_SHORT_HEADS", 4)
    state = Heads()
    heads(*batch([Sent(i, True, b"G", 4000, 80, TCP) for i in range(1, 21)]), state)
    assert len(state.short) == 4
    assert np.count_nonzero(state.seen & 12) == 4


def test_headers_without_payload_bytes_give_no_head():
    rows, codes = run([[Sent(1, True, b"GET / HTTP/1.0\r\n", 4000, 80, TCP, cut=0)]])
    assert rows == []
    assert codes[1] == 0


def test_the_order_of_directions_does_not_matter():
    banner, user = Sent(1, False, b"+OK hi\r\n", 4000, 4711, TCP), Sent(1, True, b"USER bob\r\n", 4000, 4711, TCP)
    assert run([[banner], [user]])[1] == run([[user], [banner]])[1] == run([[user, banner]])[1]


def test_compiled_and_plain_kernels_agree():
    packet_batch, assignment = batch(CONVERSATION)
    plain: Any = getattr(identify.pick_heads, "py_func", identify.pick_heads)
    compiled: Any = identify.pick_heads
    results = []
    for pick in (compiled, plain):
        n = len(CONVERSATION)
        out: list[NDArray[Any]] = [
            np.zeros(9, np.uint8),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.zeros(4000, np.uint8),
        ]
        out += [np.zeros(n + 1, np.int32), np.zeros((n, 32), np.uint8)]
        counts = pick(
            assignment.flow_id,
            assignment.from_originator,
            packet_batch.proto,
            packet_batch.tcp_flags,
            packet_batch.payload_offset,
            packet_batch.payload_len,
            packet_batch.payload_caplen,
            packet_batch.buffer,
            *out,
            HEAD_BYTES,
            16,
        )
        results.append((tuple(map(int, counts)), [array.tolist() for array in out]))
    assert results[0] == results[1]


def test_service_column():
    codes = np.array([0, SERVICE_CODE["http"]], np.uint8)
    assert service_column(np.array([0, 1, 7]), codes).to_pylist() == [None, "http", None]
