"""In: a small capture with a little of everything. Out: every table that the program builds has exactly the columns, types
and nullability that tables.py promises. Never here: whether the values are right (the tests of each stage)."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.wire import Wire, dns_query, dns_response
from tracehound import tables
from tracehound.edges.investigation import host_tables_of, verdict_of
from tracehound.edges.reading import read
from tracehound.pipeline import Wanted


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    wire = Wire()
    client, server, resolver = wire.host("10.1.0.5"), wire.host("192.0.2.80"), wire.host("10.1.0.1")
    name = "www.example"
    answered = dns_response(7, name, answers=(server.address,))
    client.exchange(resolver, 53, dns_query(7, name), answered, 1.0)
    asked = b"GET / HTTP/1.1\r\nHost: www.example\r\nAuthorization: Basic YTpi\r\n\r\n"
    talk = client.connect(server, 80, 2.0).send(asked)
    talk.reply(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi").close()
    chat = client.connect(server, 81, 2.5).send(b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    chat.reply(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi").close()
    client.arp(resolver, 0.5)
    client.connect(server, 25, 3.0).reply(b"220 ready\r\n").close()
    mail = client.connect(server, 110, 3.1).reply(b"+OK ready\r\n").send(b"USER a\r\n").reply(b"+OK\r\n")
    mail.send(b"PASS b\r\n").reply(b"+OK\r\n").send(b"RETR 1\r\n").reply(b"+OK\r\nSubject: x\r\n\r\nhello\r\n.\r\n").close()
    client.connect(server, 143, 3.2).reply(b"* OK IMAP4 ready\r\n").send(b"a NOOP\r\n").reply(b"a OK done\r\n").close()
    client.connect(server, 21, 3.3).reply(b"220 FTP ready\r\n").send(b"QUIT\r\n").reply(b"221 bye\r\n").close()
    client.connect(server, 6667, 3.4).send(b"NICK a\r\nUSER a 0 * :a\r\n").reply(b":s 001 a :hello\r\n").close()
    client.connect(server, 23, 3.5).reply(b"\xff\xfd\x18\xff\xfd\x20hello\r\nlogin: ").send(b"root\r\n").close()
    head = b"Via: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    client.exchange(server, 5060, b"OPTIONS sip:b SIP/2.0\r\n" + head, b"SIP/2.0 200 OK\r\n" + head, 3.6)
    client.ping(server, 4.0, 1, 1, b"abcdefgh", answered=True)
    client.port_unreachable(server, 161, b"x" * 20, 5.0)
    login = client.connect(server, 80, 5.5).send(b"GET /in HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n")
    login.reply(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").close()
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-"
    asked = b"GET /ws HTTP/1.1\r\nHost: a\r\n" + upgrade + b"Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    socket = client.connect(server, 80, 6.0).send(asked)
    socket.reply(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"Accept: x\r\n\r\n\x81\x02hi").close()
    hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0"
    client.connect(server, 443, 7.0).send(hello).close()
    kex = bytes([20]) + bytes(16) + (b"\0\0\0\x01a" * 8) + bytes(13)
    said = b"SSH-2.0-x\r\n" + (len(kex) + 5).to_bytes(4, "big") + b"\x04" + kex + bytes(4)
    client.connect(server, 22, 7.1).send(said).reply(said).close()
    client.exchange(server, 67, b"\x01\x01\x06" + bytes(233) + b"\x63\x82\x53\x63\x35\x01\x01\xff", b"", 7.2)
    client.exchange(server, 547, b"\x01\0\0\1", b"", 7.3)
    bind = b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\1\0\0\0" + bytes(8) + b"\1\0\0\0\0\0\1\0" + bytes(40)
    client.connect(server, 135, 7.4).send(bind + b"\x05\0\0\x03\x10\0\0\0\x18\0\0\0\2\0\0\0" + bytes(8)).close()
    ntlm = b"NTLMSSP\0\3\0\0\0" + bytes(60)
    setup = b"\xfeSMB\x40\0\0\0\0\0\0\0\1\0" + bytes(50) + b"\x19\0" + bytes(10) + b"\x58\0\x48\0" + bytes(8) + ntlm
    client.connect(server, 445, 7.5).send(b"\0\0\0" + bytes((len(setup),)) + setup).reply(
        b"\0\0\0\x48\xfeSMB\x40\0\0\0\0\0\0\0\1\0\1\0\1" + bytes(47) + bytes(8)).close()
    client.connect(server, 3389, 7.6).send(b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0").close()
    client.exchange(server, 443, b"\xc3\0\0\0\1\x08" + bytes(8) + b"\0\0\x40\x40" + bytes(64), None, 7.7)
    fetch = client.exchange(server, 69, b"\0\1a\0octet\0", None, 7.8)
    server.exchange(client, fetch, b"\0\3\0\1hello", None, 7.9)
    client.exchange(server, 161, b"\x30\x1a\2\1\0\4\6public\xa0\x0d\2\1\1\2\1\0\2\1\0\x30\2\x30\0", None, 8.0)
    client.exchange(server, 123, b"\x23" + bytes(47), None, 8.1)
    client.exchange(server, 137, b"\0\1\1\x10\0\1\0\0\0\0\0\0\x20" + b"CK" * 16 + b"\0\0\x20\0\1", None, 8.2, sport=137)
    client.exchange(server, 88, b"\x6a\x19\x30\x17\xa1\3\2\1\5\xa2\3\2\1\x0a\xa4\x0b\x30\x09\xa2\7\x1b\5REALM", None, 8.3)
    client.connect(server, 389, 8.4).send(b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0").close()
    client.exchange(server, 111, b"\0\0\0\1\0\0\0\0\0\0\0\2\0\1\x86\xa0\0\0\0\2" + bytes(20), None, 8.5)
    client.exchange(server, 1812, b"\1\1\0\x14" + bytes(16), None, 8.6)
    client.exchange(server, 514, b"<13>hello", None, 8.7)
    client.exchange(server, 1900, b"M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n", None, 8.8)
    client.connect(server, 6379, 8.9).send(b"*1\r\n$4\r\nPING\r\n").reply(b"+PONG\r\n").close()
    for i in range(1, 60):
        client.unanswered(wire.host(f"198.51.100.{i}"), 445, 10.0 + i * 10)
    v6, other = wire.host("2001:db8::5"), wire.host("2001:db8::80")
    v6.connect(other, 80, 700.0).send(b"GET /6 HTTP/1.0\r\n\r\n").reply(b"HTTP/1.0 404 Not Found\r\n\r\n").close()
    path = tmp_path_factory.mktemp("columns") / "small.pcap"
    path.write_bytes(wire.pcap())
    with read([str(path)], wanted=Wanted(packets=True, link_addresses=True), hashes=True) as reading:
        verdict_of(reading)
        for made, table in host_tables_of(reading).items():
            reading.register(made, table)
        yield reading


BUILT = [n for n, table in tables.ALL.items() if n not in ("findings", "host_events") and table not in tables.LOGS]
"""Those of a reading of captures; host_events is held in tests/hostlogs, the tables of logs in tests/flowlogs."""


@pytest.mark.parametrize("name", BUILT)
def test_table_is_as_promised(reading, name):
    table, promised = reading.table(name), tables.ALL[name]
    assert table.schema.names == promised.names
    assert [str(f.type) for f in table.schema] == [str(c.type) for c in promised.columns]
    for column in promised.columns:
        if not column.nullable:
            assert table[column.name].null_count == 0, f"{name}.{column.name} is null somewhere"
    table.validate(full=True)


@pytest.mark.parametrize("name", [n for n in BUILT if n != "capture_notes"])
def test_the_small_capture_fills_the_table(reading, name):
    assert len(reading.table(name)) > 0


def test_every_table_that_is_built_is_promised(reading):
    assert set(reading.names()) <= set(tables.ALL)


def plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def test_one_name_has_one_type():
    seen: dict[str, dict[str, list[str]]] = {}
    for table in tables.ALL.values():
        for column in table.columns:
            seen.setdefault(column.name, {}).setdefault(str(plain(column.type)), []).append(table.name)
    assert {name: kinds for name, kinds in seen.items() if len(kinds) > 1} == {}


def test_one_name_has_one_unit():
    seen: dict[str, set[str]] = {}
    for table in tables.ALL.values():
        for column in table.columns:
            seen.setdefault(column.name, set()).add(column.unit)
    assert {name: units for name, units in seen.items() if len(units) > 1} == {}


def test_every_pointer_leads_to_a_column():
    for table in tables.ALL.values():
        assert len(set(table.names)) == len(table.names)
        for column in table.columns:
            assert column.meaning
            if column.upstream:
                target, _, key = column.upstream.partition(".")
                assert key in tables.ALL[target].names, f"{table.name}.{column.name} -> {column.upstream}"


def test_pointers_of_the_small_capture_lead_somewhere(reading):
    for table in tables.ALL.values():
        for column in table.columns:
            if not column.upstream or table.name not in BUILT or column.upstream.split(".")[0] not in BUILT:
                continue
            target, _, key = column.upstream.partition(".")
            lost = reading.ask(
                f'SELECT count(*) AS n FROM "{table.name}" a WHERE a."{column.name}" IS NOT NULL '
                f'AND NOT EXISTS (SELECT 1 FROM "{target}" b WHERE b."{key}" = a."{column.name}")'
            )
            assert lost["n"].to_pylist() == [0], f"{table.name}.{column.name}"
