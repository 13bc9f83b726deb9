"""Whole = cut anywhere = one row at a time: the size of a batch never changes a table."""

import numpy as np
import pytest

from tests.conftest import SHARED, needs_shared
from tests.tables_of import KEYS, tables
from tests.wire import Wire

TABLES = ("flows", "packets", "http", "dns", "heads")


def mixed() -> bytes:
    """Conversations side by side: pipelined and chunked HTTP, loss, disorder, fragments, DNS, scans, resets."""
    wire = Wire(start_ns=10**18, seed=7)
    a, b, c = wire.host("10.0.0.1"), wire.host("192.0.2.1"), wire.host("2001:db8::1")
    d = wire.host("2001:db8::2")
    get = b"GET /%d HTTP/1.1\r\nHost: example\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    a.connect(b, 80, at=1).send(get % 1 + get % 2).reply(answer + chunked).send(get % 3).reply(answer).close()
    a.connect(b, 8080, at=1.01).send(get % 4).reply(answer, order=(2, 0, 1)).close()
    a.connect(b, 80, at=1.02).send(get % 5).reply(answer, lost=(1,)).send(get % 6).reply(chunked).close()
    c.connect(d, 80, at=1.03).send(get % 7).reply(answer, repeated=(0, 1)).server_close()
    a.datagram(b, 5000, b"f" * 4000, at=1.04, fragment=1000)
    for n in range(40):
        a.unanswered(wire.host(f"198.51.100.{n + 1}"), 23, at=2 + n / 10, times=(0, 3))
        a.exchange(
            b, 53, b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b"\0\1\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", at=2 + n / 10
        )
    return wire.pcap()


def same(left, right, names=TABLES):
    for name in names:
        assert left[name].num_rows == right[name].num_rows, name
        for column in left[name].column_names:
            assert left[name][column].to_pylist() == right[name][column].to_pylist(), (name, column)


@pytest.mark.parametrize("chunk_bytes", [64, 700, 4096, 50_000])
def test_batches_of_any_size_give_the_same_tables(tmp_path, chunk_bytes):
    path = tmp_path / "mixed.pcap"
    path.write_bytes(mixed())
    whole = tables([path], packets=True)
    assert whole["http"].num_rows == 7 and whole["dns"].num_rows == 40
    same(tables([path], packets=True, chunk_bytes=chunk_bytes), whole)


def test_midstream_in_batches_of_any_size(tmp_path):
    """A capture that begins inside conversations: the end of one answer, then requests and answers."""
    wire = Wire(start_ns=10**18, seed=7)
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d"
    talk = a.connect(b, 80, at=1)
    for n in range(6):
        talk = talk.send(b"GET /%d HTTP/1.1\r\nHost: example\r\n\r\n" % n).reply(answer % n)
    talk.close()
    data = wire.pcap()
    ends, at = [], 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        ends.append(at)
    path = tmp_path / "midstream.pcap"
    for first in range(2, 9):
        path.write_bytes(data[:24] + data[ends[first] :])
        whole = tables([path], packets=True)
        by_uri = {r["uri"]: bytes(r["body_preview"]) for r in whole["http"].to_pylist() if r["uri"] and r["body_preview"]}
        assert by_uri and all(body == b"%04d" % int(uri[1:]) for uri, body in by_uri.items())
        for chunk_bytes in (64, 300, 997):
            same(tables([path], packets=True, chunk_bytes=chunk_bytes), whole, KEYS)


@needs_shared
def test_real_captures_in_small_batches():
    names = [
        "zeek/http/100-continue.pcap",
        "chrissanders/http_espn.pcapng",
        "zeek/ipv6-fragmented-dns.pcap",
        "zeek/smtp.pcap",
    ]
    for name in names:
        path = SHARED / "captures" / name
        same(tables([path], packets=True, chunk_bytes=997), tables([path], packets=True))


@needs_shared
def test_what_flows_say_in_small_batches():
    names = [
        "zeek/smb/smb2readwrite.pcap",
        "zeek/smb/smb1.pcap",
        "malcolm/plugins/zerologon/CVE-2020-1472_exploit_win2019.pcap",
        "malcolm/plugins/zeek-EternalSafety/eternalromance-success-2008r2.pcap",
        "zeek/ldap/missing_krbtgt_ldap_request.pcapng",
        "zeek/ldap/aduser1.pcap",
        "zeek/quic/quicv2-echo-dpd-custom-port-4433.pcap",
        "zeek/rdp/rdp-x509.pcap",
        "zeek/ssh/ssh_version_199.pcap",
        "zeek/dhcp/dhcp.pcap",
        "zeek/nfs/nfs_write.pcap",
        "zeek/postgresql/psql-login-fail.pcap",
        "zeek/redis/set.pcap",
        # Who speaks first, and what came before the first request, is told by the order of the packets.
        "zeek/irc-basic.pcap",
        "zeek/dce-rpc/mapi.pcap",
        "malcolm/protocols/MySQL.pcap",
        "malcolm/plugins/CVE-2022-30216/successful.pcap",
        "zeek/ldap/krb5-sign-seal-01.pcap",
        "zeek/smb/smb311.pcap",
        # A hole is given up at the packet behind it, not at the end of a batch.
        "zeek/http/zero-length-bodies-with-drops.pcap",
        "zeek/krb/smb2_krb.pcap",
        # A body begins in the packet that has its first byte, not in that of its head.
        "zeek/http/100-continue.pcap",
        "zeek/http/content-range-gap.pcap",
        "zeek/smtp/smtp-bdat-pipeline-8bitmime.pcap",
        "malcolm/plugins/zeek-agenttesla-detector/a30789ce-1e1c-4f96-a097-78c34b9fb612.pcap",
    ]
    for name in names:
        path = SHARED / "captures" / name
        same(tables([path], chunk_bytes=997), tables([path]), KEYS.keys() - {"packets"})


def test_rotated_captures_are_one(tmp_path):
    """A capture cut into files at any packet has the flows of the whole."""
    wire = Wire(start_ns=10**18)
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1")
    for n in range(5):
        a.connect(b, 80, at=1 + n).send(b"GET / HTTP/1.0\r\n\r\n").reply(
            b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 5000
        ).server_close()
    data = wire.pcap()
    ends, at = [], 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        ends.append(at)
    cut = ends[len(ends) // 2]
    whole, first, second = tmp_path / "whole", tmp_path / "second-by-name", tmp_path / "first-by-name"
    whole.write_bytes(data)
    first.write_bytes(data[:cut])
    second.write_bytes(data[:24] + data[cut:])
    one = tables([whole])
    two = tables([second, first])
    columns = ["start", "end", "src", "sport", "pkts_src", "pkts_dst", "payload_dst", "conn_state", "history"]
    assert two["flows"].select(columns).equals(one["flows"].select(columns))
    assert np.array_equal(two["http"]["response_bytes"].to_numpy(), [5000] * 5)


def test_copies_of_one_capture_are_separate_witnesses(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(mixed())
    assert tables([tmp_path], transactions=False)["flows"].num_rows == 2 * (
        tables([tmp_path / "a"], transactions=False)["flows"].num_rows
    )
