"""NetFlow and IPFIX in a capture: told by content, exporter by exporter; other datagrams are let be."""

from __future__ import annotations

import shutil
import socket
import subprocess

import pytest

from tests.flowlogs import exports as x
from tests.flowlogs.reading import check, rows_of
from tests.wire import Wire, dns_query, dns_response
from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.edges.reading import read as open_evidence
from tracehound.flowlogs.export_traffic import ExportTraffic, is_datagram
from tracehound.packets.decode import DecodeState, decode

FLOW = x.Flow()


def taken(path, chunk_bytes=8 << 20):
    traffic, state, blocks = ExportTraffic(), DecodeState(), []
    for raw in read_batches(list_evidence([str(path)]), chunk_bytes=chunk_bytes):
        for block in traffic.add(decode(raw, state)):
            check(block)
            blocks.append(block)
    return traffic, [row for block in blocks for row in rows_of(block)]


def test_datagrams_of_several_exporters_among_other_traffic(tmp_path):
    wire = Wire()
    collector, one, other, resolver = (wire.host(a) for a in ("10.0.0.9", "10.0.0.1", "2001:db8::1", "10.0.0.2"))
    six = wire.host("2001:db8::9")
    template, data = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS))]), x.v9([x.one_set(256, x.v9_record(FLOW))], sequence=1)
    other.datagram(six, 2055, data, 1.0)
    one.datagram(collector, 9995, x.v5([FLOW, FLOW]), 2.0)
    # cut short by whoever sent it: its exporter is known, so it is counted
    one.datagram(collector, 9995, x.v5([FLOW])[:60], 2.5)
    other.datagram(six, 2055, template, 3.0)
    one.datagram(collector, 9995, x.v5([FLOW], sequence=5), 3.5)
    one.exchange(resolver, 53, dns_query(5, "www.example"), dns_response(5, "www.example"), 4.0)
    path = tmp_path / "export.pcap"
    path.write_bytes(wire.pcap())
    traffic, rows = taken(path)
    assert [(r["sensor"], r["source"], r["number"]) for r in rows] == [
        ("10.0.0.1", "netflow5", 1), ("10.0.0.1", "netflow5", 2), ("2001:db8::1", "netflow9", 3), ("10.0.0.1", "netflow5", 4),
    ]  # fmt: skip
    assert {item: count for item, (count, _) in traffic.counts.items()} == {
        "data sets read once their template came": 1, "malformed export datagrams": 1, "records lost by gaps in sequence numbers": 3,
    }  # fmt: skip


def test_a_capture_of_export_traffic_is_evidence(tmp_path):
    wire = Wire()
    exporter, collector = wire.host("10.0.0.1"), wire.host("10.0.0.9")
    back = x.Flow(src=FLOW.dst, dst=FLOW.src, sport=80, dport=40_000, pkts=4, octets=4000)
    exporter.datagram(collector, 9995, x.v5([FLOW, back, x.Flow(dst="203.0.113.5", flags=2, pkts=3, octets=180)]), 1.0)
    path = tmp_path / "export.pcap"
    path.write_bytes(wire.pcap())
    with open_evidence([str(path)]) as reading:
        rows = reading.ask("SELECT src, dst, dport, pkts_src, pkts_dst, outcome FROM flows ORDER BY dport, dst").to_pylist()
        assert [tuple(r.values()) for r in rows] == [
            ("192.0.2.1", "198.51.100.7", 80, 5, 4, "answered"),
            ("192.0.2.1", "203.0.113.5", 80, 3, 0, "unanswered"),
            ("10.0.0.1", "10.0.0.9", 9995, 1, 0, "unanswered"),
        ]
        assert reading.ask("SELECT count(DISTINCT flow_id) AS n FROM flows")["n"].to_pylist() == [3]
        (sensor,) = set(reading.ask("SELECT sensor FROM records")["sensor"].to_pylist())
        assert sensor == "10.0.0.1"
        items = dict(zip(*reading.ask("SELECT item, count FROM quality").to_pydict().values(), strict=True))
        assert items["flow records in export traffic"] == 3


def test_what_is_a_datagram():
    whole = [x.v1([FLOW]), x.v5([FLOW] * 30), x.v7([FLOW]), x.v9([x.one_set(0, x.template(256, x.V9_FIELDS))])]
    whole.append(x.ipfix([x.one_set(2, x.template(300, x.IPFIX_FIELDS))]))
    assert all(is_datagram(d) for d in whole)
    assert not any(is_datagram(d[:-1]) or is_datagram(d + b"\0\0") for d in whole)
    assert not any(is_datagram(d) for d in (b"", bytes(100), b"\0\5" * 50, dns_query(5, "www.example")))


@pytest.mark.skipif(shutil.which("nfreplay") is None, reason="needs nfreplay")
@pytest.mark.parametrize("version", ["5", "9"])
def test_a_real_exporters_datagrams(tmp_path, version):
    """nfreplay sends the flows of an nfdump file to this process; what arrives is what it was."""
    flows = [x.Flow(dst=f"198.51.100.{k % 250}", sport=1024 + k, pkts=1 + k % 9) for k in range(100)]
    source = tmp_path / "nfcapd"
    source.write_bytes(x.nfdump_v2([b"".join(x.nfdump_v3_record(f) for f in flows)], [len(flows)]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        here.bind(("127.0.0.1", 0))
        here.settimeout(1)
        port = here.getsockname()[1]
        words = ["nfreplay", "-r", str(source), "-v", version, "-H", "127.0.0.1", "-p", str(port)]
        subprocess.run(words, capture_output=True, check=True, timeout=30)
        datagrams: list[bytes] = []
        while sum(len(d) for d in datagrams) < 48 * len(flows):
            try:
                datagrams.append(here.recv(65536))
            except TimeoutError:
                break
    assert datagrams and all(is_datagram(d) for d in datagrams)
    wire = Wire()
    exporter, collector = wire.host("192.0.2.9"), wire.host("192.0.2.10")
    for number, data in enumerate(datagrams):
        exporter.datagram(collector, 2055, data, 1.0 + number)
    path = tmp_path / "export.pcap"
    path.write_bytes(wire.pcap())
    traffic, rows = taken(path, chunk_bytes=4096)
    assert [(r["src"], r["dst"], r["sport"], r["dport"], r["pkts_src"], r["tcp_flags_src"]) for r in rows] == [
        (f.src, f.dst, f.sport, f.dport, f.pkts, f.flags) for f in flows
    ]
    assert traffic.counts == {}
