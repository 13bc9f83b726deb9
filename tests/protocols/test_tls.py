"""Hellos written by hand and by the standard library, certificates real and broken: what the row says, and that nothing throws."""

from __future__ import annotations

import hashlib
import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.fuzz.parsers import conversation
from tracehound.edges.reading import read
from tracehound.protocols.certificate import parse_certificate
from tracehound.protocols.tls import is_grease, open_session, parse_client_hello
from tracehound.tables import TLS

NAMES = TLS.names


def client_hello(name: str = "www.example", protocols: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """A ClientHello record as the standard library makes it."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def server_hello(cipher: int = 0xC02F, extensions: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\x00" + cipher.to_bytes(2, "big") + b"\x00"
    return message(2, body + len(extensions).to_bytes(2, "big") + extensions)


def rows(*spoken):
    got = conversation(open_session, [(sent, 0, data) for sent, data in spoken]).rows.get("tls", [])
    return [dict(zip(NAMES, row, strict=True)) for row in got]


DATA = record(23, bytes(40))
CHANGE = record(20, b"\x01")


def test_a_handshake_of_tls_1_2():
    alpn = b"\x00\x10\x00\x05\x00\x03\x02h2"
    answer = record(22, server_hello(extensions=alpn))
    (r,) = rows((True, client_hello()), (False, answer), (True, CHANGE), (False, CHANGE + DATA), (True, DATA))
    assert (r["version"], r["cipher"]) == ("TLSv12", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
    assert (r["server_name"], r["next_protocol"], r["client_protocols"]) == ("www.example", "h2", ["h2", "http/1.1"])
    assert r["established"] is True and r["note"] is None and r["src"] == "10.0.0.1"
    assert r["ja3s"] == hashlib.md5(b"771,49199,16").hexdigest()
    assert r["ja4"].startswith("t13d") and r["ja4"][4:8].isdigit() and r["ja4"].split("_")[0].endswith("h2")


def test_a_retry_request_is_not_the_answer():
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    hello = server_hello()
    asked = hello[:6] + retry + hello[38:]
    tls13 = server_hello(0x1301, b"\x00\x2b\x00\x02\x03\x04")
    (r,) = rows((True, client_hello()), (False, record(22, asked)), (False, record(22, tls13)), (True, DATA), (False, DATA))
    assert (r["version"], r["cipher"], r["established"]) == ("TLSv13", "TLS_AES_128_GCM_SHA256", True)


def test_an_alert_ends_it():
    (r,) = rows((True, client_hello()), (False, record(21, b"\x02\x28")))
    assert (r["last_alert"], r["established"], r["version"]) == ("handshake_failure", False, None)


def heartbeat(kind: int, declared: int, payload: bytes, padding: int = 16) -> bytes:
    """RFC 6520 4: type, length of the payload, payload, padding."""
    return record(24, bytes((kind,)) + declared.to_bytes(2, "big") + payload + bytes(padding))


@pytest.mark.parametrize(
    ("beats", "note"),
    [
        ([(True, heartbeat(1, 40, bytes(40))), (False, heartbeat(2, 40, bytes(40)))], None),
        ([(True, heartbeat(1, 16384, b"", 0))], "client's heartbeat asks for more than it brought"),
        ([(True, heartbeat(1, 40, bytes(40), 15))], "client's heartbeat asks for more than it brought"),
        ([(False, heartbeat(1, 4000, b"x", 0)), (True, heartbeat(2, 4000, bytes(4000)))],
         "server's heartbeat asks for more than it brought; server's heartbeat is answered with more than it brought"),
        ([(True, record(24, b""))], None),
    ],
)  # fmt: skip
def test_heartbeats_before_encryption(beats, note):
    (r,) = rows((True, client_hello()), (False, record(22, server_hello())), *beats)
    assert r["note"] == note


@pytest.mark.parametrize(("answer_bytes", "note"), [(120, None), (16000, "client's heartbeat is answered with more than it brought")])
def test_heartbeats_under_encryption_are_known_by_their_length(answer_bytes, note):
    asked, answered = record(24, bytes(48)), record(24, bytes(answer_bytes))
    # Each side may ask, and a longer question later is no answer (path MTU discovery asks for more and more).
    later = (True, record(24, bytes(1200)))
    said = [(True, client_hello()), (False, record(22, server_hello())), (True, CHANGE), (False, CHANGE), (True, asked), (False, answered)]
    (r,) = rows(*said, later)
    assert r["note"] == note


@given(st.lists(st.integers(1, 300), max_size=8))
def test_cut_anywhere_gives_the_same_row(cuts):
    sent = client_hello("cut.example")
    edges = [0, *sorted({c for c in cuts if c < len(sent)}), len(sent)]
    pieces = [(True, sent[a:b]) for a, b in pairwise(edges)]
    answer = (False, record(22, server_hello()[:9]) + record(22, server_hello()[9:]))
    (r,) = rows(*pieces, answer)
    (whole,) = rows((True, sent), answer)
    assert {**r, "packet_id": 0, "ts": 0} == {**whole, "packet_id": 0, "ts": 0}
    assert r["server_name"] == "cut.example"


@given(st.data())
def test_any_damage_to_a_hello(data):
    sent = bytearray(client_hello() + record(22, message(11, b"\x00\x00\x10" + bytes(30))))
    for _ in range(data.draw(st.integers(1, 6))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    rows((True, bytes(sent)), (False, record(22, server_hello())))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_with_a_fingerprint(data):
    assert parse_certificate(data).sha256 == hashlib.sha256(data).hexdigest()


def test_grease_is_left_out():
    assert [n for n in (0x0A0A, 0x1A1A, 0xFAFA, 0x0A1A, 0x1301) if is_grease(n)] == [0x0A0A, 0x1A1A, 0xFAFA]
    hello = parse_client_hello(client_hello()[9:])
    plain = hello.ja3()
    hello.ciphers.insert(0, 0x2A2A)
    hello.extensions.append((0x3A3A, b""))
    assert hello.ja3() == plain


@needs_shared
def test_certificates_of_a_real_capture():
    with read(str(SHARED / "captures" / "zeek" / "tls" / "tls1.2.pcap")) as reading:
        (r,) = reading.ask("SELECT * EXCLUDE (ts, not_before, not_after), epoch_ns(not_after) AS until FROM tls").to_pylist()
    assert r["subject"].startswith("CN=*.taleo.net,OU=Comodo PremiumSSL Wildcard") and r["issuer"].startswith("CN=COMODO")
    assert r["self_signed"] is False and r["key"] == "rsa 2048" and "*.taleo.net" in r["names"]
    assert len(r["chain_sha256"]) >= 2 and r["established"] and r["until"] > 1.3e18
