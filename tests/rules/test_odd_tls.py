"""Events of TLS: certificates, names, records and heartbeats that are not as they should be."""

import pytest

from tracehound.rules.services.tls import Tls


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes((tag,)) + size + body


NAME = tlv(0x30, tlv(0x31, tlv(0x30, b"\x06\x03\x55\x04\x03", tlv(0x0C, b"host"))))
ALGORITHM = tlv(0x30, b"\x06\x03\x2a\x03\x04")
TIMES = tlv(0x30, tlv(0x17, b"200101000000Z"), tlv(0x17, b"300101000000Z"))
KEY = tlv(0x30, ALGORITHM, tlv(0x03, b"\0key"))


def certificate(
    version: bytes = tlv(0xA0, tlv(2, b"\2")), serial: bytes = tlv(2, b"\x12\x34"), algorithm: bytes = ALGORITHM, issuer: bytes = NAME,
    times: bytes = TIMES,
) -> bytes:  # fmt: skip
    return tlv(0x30, tlv(0x30, version, serial, algorithm, issuer, times, NAME, KEY), ALGORITHM, tlv(0x03, b"\0signature"))


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def message(kind: int, body: bytes) -> bytes:
    return record(22, bytes((kind,)) + len(body).to_bytes(3, "big") + body)


def shown(data: bytes) -> bytes:
    return message(11, (len(data) + 3).to_bytes(3, "big") + len(data).to_bytes(3, "big") + data)


def hello(*extensions: bytes) -> bytes:
    inner = b"".join(extensions)
    return message(1, b"\3\3" + b"r" * 32 + b"\0" + b"\0\2\0\x2f" + b"\1\0" + len(inner).to_bytes(2, "big") + inner)


def name(text: bytes, kind: int = 0, longer: int = 0) -> bytes:
    entry = bytes((kind,)) + (len(text) + longer).to_bytes(2, "big") + text
    value = len(entry).to_bytes(2, "big") + entry
    return b"\0\0" + len(value).to_bytes(2, "big") + value


def events(data: bytes, to_server: bool = False) -> set[str]:
    service = Tls()
    service.feed(to_server, data)
    (tx,) = service.transactions
    return {event for event, _ in tx.events}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (certificate(), set()),
        (certificate(version=tlv(0xA0, tlv(2, b"\x09"))), {"invalid_certificate", "certificate_invalid_version"}),
        (certificate(serial=tlv(4, b"\1")), {"invalid_certificate", "certificate_invalid_serial"}),
        (certificate(algorithm=tlv(4, b"\1")), {"invalid_certificate", "certificate_invalid_algorithmidentifier"}),
        (certificate(issuer=tlv(0x30, tlv(0x31, tlv(0x30, b"\x06\x7f\x55")))), {"invalid_certificate", "certificate_invalid_x509name"}),
        (certificate(times=tlv(0x30, tlv(0x17, b"2001"), tlv(0x17, b"3001"))), {"invalid_certificate", "certificate_invalid_date"}),
        (certificate()[:40], {"invalid_certificate", "certificate_invalid_der", "certificate_invalid_length", "invalid_handshake_message"}),
    ],
)
def test_certificates(data, found):
    assert events(shown(data)) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (hello(name(b"a.example")), set()),
        (hello(name(b"a.example"), name(b"b.example")), {"multiple_sni_extensions"}),
        (hello(name(b"a.example", kind=7)), {"invalid_sni_type"}),
        (hello(name(b"a.example", longer=3)), {"invalid_sni_length"}),
        (hello() + record(24, b"\1\0\x20" + b"p" * 48), set()),
        (hello() + record(24, b"\1\x40\0" + b"p" * 19), {"overflow_heartbeat_message"}),
        (hello() + record(24, b"\1\0\x20" + b"p" * 34), {"invalid_heartbeat_message"}),
        (hello() + record(24, b"\x07\0\x20" + b"p" * 48), {"invalid_heartbeat_message"}),
        (record(99, b"x"), {"invalid_record_type", "invalid_ssl_record"}),
        (b"\x16\x03\x03\xff\xff" + b"x" * 10, {"invalid_record_length", "invalid_ssl_record"}),
        (b"\x16\x09\x03\0\x05" + b"x" * 10, {"invalid_record_version", "invalid_ssl_record"}),
    ],
)
def test_hellos_and_records(data, found):
    assert events(data, to_server=True) == found
