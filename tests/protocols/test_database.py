"""Connections to databases: who, to what, with which software, and how it fared. Secrets are never kept."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import talk
from tracehound.edges.reading import read


def my(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((number,)) + body


GREETING = my(0, b"\x0a8.0.1\0" + bytes(40))
FLAGS = 0x8 | 0x200 | 0x8000 | 0x80000 | 0x100000
ATTRIBUTES = b"\x0cprogram_name\x05mysql"
HELLO = my(1, struct.pack("<II", FLAGS, 0) + bytes(24) + b"joe\0" + b"\x04abcd" + b"shop\0" + b"mysql_native_password\0"
           + bytes((len(ATTRIBUTES),)) + ATTRIBUTES)  # fmt: skip
MYSQL = [(False, GREETING), (True, HELLO), (False, my(2, b"\0\0\0\2\0\0\0")),
         (True, my(0, b"\x03ALTER USER x IDENTIFIED BY 's3cret'") + my(0, b"\x01")), (False, b"results are not read")]  # fmt: skip


def pg(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", 4 + len(body)) + body


START = b"\0\3\0\0user\0joe\0database\0shop\0application_name\0psql\0\0"
POSTGRES = [
    (True, struct.pack(">II", 8, 80877103)), (False, b"N"), (True, struct.pack(">I", 4 + len(START)) + START),
    (False, pg(b"R", struct.pack(">I", 3))), (True, pg(b"p", b"s3cret\0")),
    (False, pg(b"R", bytes(4)) + pg(b"S", b"server_version\x0016.4\0")), (True, pg(b"Q", b"select 1\0") + pg(b"P", b"s\0select 2\0\0\0")),
]  # fmt: skip


def tds(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBHHBB", kind, 1, 8 + len(body), 0, 0, 0) + body


def login7(*texts: str) -> bytes:
    at, table, values = 94, b"", b""
    for text in texts:
        raw = text.encode("utf-16-le")
        table += struct.pack("<HH", at + len(values), len(text))
        values += raw
    return (bytes(36) + table).ljust(94, b"\0") + values


ACK = "Microsoft SQL Server".encode("utf-16-le")
ACK = b"\xad" + struct.pack("<H", 10 + len(ACK)) + bytes(5) + bytes((20,)) + ACK + b"\x0f\0\x10\x7a"
TDS = [
    (True, tds(18, b"\0\0\6\0\6\xff" + bytes(6))), (False, tds(4, b"\0\0\6\0\6\xff\x0f\0\x10\x7a\0\0")),
    (True, tds(16, login7("PC7", "sa", "s3cret", "SSMS", "srv", "", "ODBC", "", "master"))), (False, tds(4, ACK)),
    (True, tds(1, "select 1".encode("utf-16-le"))),
]  # fmt: skip
DENIED = "Login failed".encode("utf-16-le")
DENIED = b"\xaa" + struct.pack("<HIBBH", 8 + len(DENIED), 18456, 1, 14, 12) + DENIED


def resp(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


REDIS = [
    (True, resp(b"AUTH", b"s3cret") + resp(b"INFO") + resp(b"CONFIG", b"SET", b"requirepass", b"s3cret")
     + resp(b"SLAVEOF", b"10.0.0.9", b"1")),
    (False, b"+OK\r\n$21\r\nredis_version:7.0.11\n\r\n*2\r\n$1\r\na\r\n:1\r\n-ERR no\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("service,said,expected,first", [
    ("mysql", MYSQL, ("8.0.1", "joe", "shop", "mysql_native_password", True), "QUERY ALTER USER x IDENTIFIED BY '<hidden>'"),
    ("postgresql", POSTGRES, ("16.4", "joe", "shop", "password", True), "select 1"),
    ("tds", TDS, ("Microsoft SQL Server 15.0.4218", "sa", "master", "password", True), "select 1"),
    ("redis", REDIS, ("Redis 7.0.11", "default", None, "AUTH", True), "AUTH <hidden>"),
])  # fmt: skip
def test_connections(service, said, expected, first):
    rows = talk(service, said)
    (row,) = rows["database"]
    assert tuple(row[c] for c in ("server_version", "user", "database", "method", "accepted")) == expected
    assert row["first_commands"][0] == first and row["commands"] == {"mysql": 2, "postgresql": 2, "tds": 1, "redis": 4}[service]
    (login,) = rows["logins"]
    assert (login["service"], login["user"], login["accepted"]) == (service, expected[1], True)
    assert login["cleartext"] == (service != "mysql") and "s3cret" not in str(rows)


@pytest.mark.parametrize("service,said", [("mysql", MYSQL), ("postgresql", POSTGRES), ("tds", TDS), ("redis", REDIS)])
@given(cuts=st.lists(st.integers(1, 300), max_size=6))
def test_cut_anywhere(service, said, cuts):
    assert talk(service, said, cuts) == talk(service, said)


def test_refused():
    mysql = talk("mysql", [*MYSQL[:2], (False, my(2, b"\xff\x15\x04#28000Access denied"))])
    assert (mysql["database"][0]["accepted"], mysql["database"][0]["answer"]) == (False, "Access denied")
    refused = pg(b"E", b"SFATAL\0C28P01\0Mpassword authentication failed\0\0")
    assert talk("postgresql", [*POSTGRES[:5], (False, refused)])["logins"][0]["answer"] == "password authentication failed"
    assert talk("tds", [*TDS[:3], (False, tds(4, DENIED))])["database"][0]["answer"] == "Login failed"
    assert talk("redis", [REDIS[0], (False, b"-WRONGPASS bad\r\n")])["logins"][0]["accepted"] is False


def test_tls():
    hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0"
    asked = my(1, struct.pack("<II", FLAGS | 0x800, 0) + bytes(24))
    for service, said in (("mysql", [(False, GREETING), (True, asked), (True, hello)]),
                          ("postgresql", [POSTGRES[0], (False, b"S"), (True, hello)])):  # fmt: skip
        rows = talk(service, said)
        assert rows["database"][0]["tls"] and len(rows["tls"]) == 1, service


@needs_shared
@pytest.mark.parametrize("path,expected", [
    ("mysql/mysql8-navicat-login-failed.pcap", {("dsm1", False)}),
    ("postgresql/psql-login-fail.pcap", {("postgres", False)}),
    ("mysql/change-user-success.pcap", {("root", True)}),
])  # fmt: skip
def test_real_logins(path, expected):
    with read(str(SHARED / "captures/zeek" / path)) as reading:
        assert expected <= {(r["user"], r["accepted"]) for r in reading.table("logins").to_pylist()}
