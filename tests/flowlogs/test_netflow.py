"""NetFlow v1, v5, v7, v9 and IPFIX: every field, late templates, options, sampling, gaps, damage."""

from __future__ import annotations

import struct
import subprocess
from typing import Any

import numpy as np
import pytest

from tests.flowlogs import exports as x
from tests.flowlogs.reading import read
from tracehound import limits
from tracehound.flowlogs import netflow, netflow_fixed, templates
from tracehound.flowlogs.netflow import FORMAT, Collector
from tracehound.flowlogs.one_way import empty
from tracehound.flowlogs.reader import MENTION, ONE_WAY, PART

FLOW = x.Flow()
LOST = "records lost by gaps in sequence numbers"
LOST_DATAGRAMS = "export datagrams lost by gaps in sequence numbers"
MS = 1_000_000


def told(row):
    return {n: row.get(n) for n in ("src", "dst", "sport", "dport", "proto", "pkts_src", "bytes_src", "tcp_flags_src", "start", "end")}


def expected(flow):
    return {
        "src": flow.src, "dst": flow.dst, "sport": flow.sport, "dport": flow.dport, "proto": flow.proto, "pkts_src": flow.pkts,
        "bytes_src": flow.octets, "tcp_flags_src": flow.flags, "start": flow.start_ms * MS, "end": flow.end_ms * MS,
    }  # fmt: skip


@pytest.mark.parametrize("datagram", [x.v1, x.v5, x.v7])
def test_fixed_versions_give_every_field(datagram):
    flows = [FLOW, x.Flow(dst="203.0.113.9", flags=2, pkts=3, octets=180)]
    data = datagram(flows) + datagram([FLOW])
    assert FORMAT.recognise(data)
    got = read(FORMAT, data)
    assert [told(r) for r in got.rows()] == [expected(f) for f in [*flows, FLOW]]
    assert [r["number"] for r in got.rows()] == [1, 2, 3]
    assert {r["joins"] for r in got.rows()} == {ONE_WAY}
    assert got.damage is None
    # A record of SYNs and nothing else says how often it was tried.
    assert [r.get("syn_count") for r in got.rows()] == [None, 3, None]


def test_icmp_lies_in_the_destination_port():
    (row,) = read(FORMAT, x.v5([x.Flow(proto=1, sport=0, dport=8 << 8, flags=0)])).rows()
    assert (row["sport"], row["dport"]) == (8, 0)
    assert "tcp_flags_src" not in row


def test_tcp_without_flags_is_an_exporter_that_does_not_tell():
    (row,) = read(FORMAT, x.v5([x.Flow(flags=0)])).rows()
    assert "tcp_flags_src" not in row


def test_uptime_wraps_after_49_days():
    # First lies before the wrap of a 32-bit count of milliseconds, the datagram behind it.
    data = bytearray(x.v5([FLOW]))
    struct.pack_into("!I", data, 4, 500)
    struct.pack_into("!II", data, 24 + 24, 2**32 - 1500, 100)
    (row,) = read(FORMAT, bytes(data)).rows()
    assert (row["start"], row["end"]) == ((x.NOW * 1000 - 2000) * MS, (x.NOW * 1000 - 400) * MS)


def test_gaps_in_v5_are_lost_flows_of_their_engine():
    data = x.v5([FLOW], sequence=10) + x.v5([FLOW], sequence=11) + x.v5([FLOW], sequence=100, engine=7) + x.v5([FLOW], sequence=20)
    assert read(FORMAT, data).counts == {LOST: 8}
    # Cut anywhere, the same.
    assert read(FORMAT, data, step=100).counts == {LOST: 8}


def test_a_late_datagram_and_a_restart_are_no_gap():
    assert read(FORMAT, b"".join(x.v5([FLOW], sequence=s) for s in (10, 12, 11, 13, 0, 1, 2))).counts == {}
    assert read(FORMAT, b"".join(x.v5([FLOW], sequence=s) for s in (10, 13, 11, 14))).counts == {LOST: 1}
    assert (
        read(FORMAT, b"".join(x.v5([FLOW], sequence=s) for s in (2**32 - 1, 0, 4_000_000, 3))).counts[LOST] == 3_999_999
    )


def test_sampling_of_v5_is_said():
    got = read(FORMAT, x.v5([FLOW], sampling=1 << 14 | 100))
    assert got.counts == {"sampled records": 1}
    assert "1 in 100" in got.note("sampled records")
    assert got.rows()[0]["sampled_one_in"] == 100
    # A lone SYN of a sampling exporter was perhaps answered: it is a mention, which nobody takes for an attempt that failed.
    one, two = read(FORMAT, x.v5([x.Flow(flags=2), FLOW], sampling=1 << 14 | 100)).rows()
    assert (one["joins"], two["joins"]) == (MENTION, ONE_WAY)
    assert "syn_count" not in one


def test_v9_with_its_template():
    data = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, x.v9_record(FLOW) * 2)])
    assert FORMAT.recognise(data)
    got = read(FORMAT, data)
    assert [told(r) for r in got.rows()] == [expected(FLOW)] * 2
    assert got.counts == {}


@pytest.mark.parametrize("step", [None, 1, 50, 1000])
def test_a_template_may_come_late(step):
    first = x.v9([x.one_set(256, x.v9_record(FLOW))], sequence=0)
    second = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, x.v9_record(x.Flow(pkts=9)))], sequence=1)
    got = read(FORMAT, first + second, step=step)
    assert [r["pkts_src"] for r in got.rows()] == [5, 9]
    assert got.counts == {"data sets read once their template came": 1}


def test_sets_whose_template_never_comes_are_counted_and_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MAX_TEMPLATE_WAIT_BYTES", 200)
    data = b"".join(x.v9([x.one_set(300, bytes(100))], sequence=n) for n in range(10))
    got = read(FORMAT, data)
    assert got.rows() == []
    assert got.counts == {"data sets without their template": 10}


def test_templates_belong_to_their_source():
    data = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS))], source=1) + x.v9([x.one_set(256, x.v9_record(FLOW))], source=2)
    assert read(FORMAT, data).counts == {"data sets without their template": 1}


def test_a_template_may_change():
    changed = [*x.V9_FIELDS[:6], (2, 8), *x.V9_FIELDS[7:]]
    record = x.v9_record(FLOW)
    data = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, record)])
    data += x.v9([x.one_set(0, x.template(256, changed)), x.one_set(256, record[:14] + bytes(4) + record[14:])], sequence=1)
    assert [told(r) for r in read(FORMAT, data).rows()] == [expected(FLOW)] * 2


def test_v9_sampling_is_told_by_options():
    # scope system (type 1), then sampler id, mode and interval
    options = struct.pack("!HHH", 257, 4, 12) + struct.pack("!HHHHHHHH", 1, 4, 48, 1, 49, 1, 50, 4)
    fields = [*x.V9_FIELDS, (48, 1)]
    data = x.v9([x.one_set(0, x.template(256, fields)), x.one_set(1, options)])
    data += x.v9([x.one_set(257, bytes(4) + struct.pack("!BBI", 3, 2, 1000))], sequence=1)
    data += x.v9([x.one_set(256, x.v9_record(FLOW) + b"\x03" + x.v9_record(FLOW) + b"\x00")], sequence=2)
    got = read(FORMAT, data)
    assert [r.get("sampled_one_in") for r in got.rows()] == [1000, 1000]
    assert got.counts == {"sampled records": 2}


def test_v9_counts_lost_datagrams():
    one = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS))], sequence=5)
    assert read(FORMAT, one + x.v9([x.one_set(256, x.v9_record(FLOW))], sequence=9)).counts == {LOST_DATAGRAMS: 3}


def test_ipfix_over_ipv6():
    flow = x.Flow(src="2001:db8::1", dst="2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", pkts=2**33)
    data = x.ipfix([x.one_set(2, x.template(300, x.IPFIX_FIELDS)), x.one_set(300, x.ipfix_record(flow))])
    assert FORMAT.recognise(data)
    assert [told(r) for r in read(FORMAT, data).rows()] == [expected(flow)]


def test_ipfix_skips_what_it_does_not_know_by_length():
    # an enterprise's own field, and one of variable length in its short and its long form
    fields = [(99, 3, 12345), *x.IPFIX_FIELDS[:8], (82, 65535), *x.IPFIX_FIELDS[8:]]
    flow = x.Flow(src="2001:db8::1", dst="2001:db8::2")
    record = x.ipfix_record(flow)
    split = 16 + 16 + 2 + 2 + 1 + 2 + 8 + 8
    short = b"abc" + record[:split] + b"\x04name" + record[split:]
    long = b"abc" + record[:split] + b"\xff\x01\x2c" + b"n" * 300 + record[split:]
    data = x.ipfix([x.one_set(2, x.template(300, fields)), x.one_set(300, short + long + short)])
    assert [told(r) for r in read(FORMAT, data).rows()] == [expected(flow)] * 3


def test_ipfix_biflow_has_both_directions():
    # RFC 5103: the same elements under enterprise 29305; biflowDirection 2 = the source is the responder
    fields = [*x.IPFIX_FIELDS, (1, 8, 29305), (2, 8, 29305), (6, 2, 29305), (239, 1)]
    flow = x.Flow(src="2001:db8::1", dst="2001:db8::2")
    forth = x.ipfix_record(flow) + struct.pack("!QQHB", 999, 7, 0x12, 1)
    back = x.ipfix_record(flow) + struct.pack("!QQHB", 999, 7, 0x12, 2)
    data = x.ipfix([x.one_set(2, x.template(300, fields)), x.one_set(300, forth + back)])
    one, other = read(FORMAT, data).rows()
    assert (one["src"], one["pkts_src"], one["pkts_dst"], one["bytes_dst"], one["tcp_flags_dst"]) == ("2001:db8::1", 5, 7, 999, 0x12)
    assert one["joins"] == PART and one["certain"]
    assert (other["src"], other["sport"], other["pkts_src"], other["pkts_dst"]) == ("2001:db8::2", 80, 7, 5)
    assert (other["tcp_flags_src"], other["tcp_flags_dst"]) == (0x12, 0x1B)


@pytest.mark.parametrize(
    ("fields", "values", "start_ns"),
    [
        ([(150, 4), (151, 4)], struct.pack("!II", x.NOW - 5, x.NOW - 1), (x.NOW - 5) * 10**9),
        (
            [(156, 8), (157, 8)],
            struct.pack("!IIII", x.NOW + 2_208_988_800, 1 << 31, x.NOW + 2_208_988_801, 0),
            x.NOW * 10**9 + 500_000_000,
        ),
        ([(158, 4), (159, 4)], struct.pack("!II", 2_000_000, 1_000_000), (x.NOW - 2) * 10**9),
        ([(153, 8), (161, 4)], struct.pack("!QI", x.NOW * 1000, 1500), x.NOW * 10**9 - 1_500_000_000),
        ([(160, 8), (22, 4), (21, 4)], struct.pack("!QII", (x.NOW - 100) * 1000, 10_000, 20_000), (x.NOW - 90) * 10**9),
        ([(323, 8)], struct.pack("!Q", x.NOW * 1000 - 7), x.NOW * 10**9 - 7_000_000),
        ([], b"", x.NOW * 10**9),
    ],
)
def test_times_are_told_in_many_ways(fields, values, start_ns):
    flow = x.Flow(src="2001:db8::1", dst="2001:db8::2")
    data = x.ipfix([
        x.one_set(2, x.template(300, [*x.IPFIX_FIELDS[:8], *fields])), x.one_set(300, x.ipfix_record(flow)[:55] + values),
    ])  # fmt: skip
    (row,) = read(FORMAT, data).rows()
    assert row["start"] == start_ns


def test_ipfix_icmp_and_firewall_events():
    fields = [(8, 4), (12, 4), (4, 1), (176, 1), (177, 1), (233, 1)]
    values = bytes([192, 0, 2, 1, 192, 0, 2, 2, 1, 11, 1, 3])
    (row,) = read(FORMAT, x.ipfix([x.one_set(2, x.template(300, fields)), x.one_set(300, values)])).rows()
    assert (row["sport"], row["dport"], row["state"], row["outcome"]) == (11, 1, "denied", "unanswered")


def test_ipfix_counts_lost_records():
    head = x.ipfix([x.one_set(2, x.template(300, x.IPFIX_FIELDS))])
    record = x.ipfix_record(x.Flow(src="2001:db8::1", dst="2001:db8::2"))
    data = head + x.ipfix([x.one_set(300, record * 2)], sequence=0) + x.ipfix([x.one_set(300, record)], sequence=6)
    assert read(FORMAT, data).counts == {LOST: 4}


def test_templates_can_be_withdrawn():
    record = x.one_set(300, x.ipfix_record(x.Flow(src="2001:db8::1", dst="2001:db8::2")))
    data = x.ipfix([x.one_set(2, x.template(300, x.IPFIX_FIELDS)), record]) + x.ipfix([x.one_set(2, struct.pack("!HH", 300, 0))])
    got = read(FORMAT, data + x.ipfix([record]))
    assert len(got.rows()) == 1
    assert got.counts["data sets without their template"] == 1


@pytest.mark.parametrize("cut", [1, 20, 30, 60, 71])
def test_a_cut_file_is_read_up_to_the_cut(cut):
    data = x.v5([FLOW, FLOW])
    got = read(FORMAT, data + data[:-cut])
    assert len(got.rows()) == 2 + (1 if cut <= 48 else 0)
    assert got.damage.startswith(f"byte {len(data)}, record 3: the last datagram is cut")


def test_a_cut_v9_file_gives_its_whole_sets():
    data = x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, x.v9_record(FLOW)), x.one_set(256, x.v9_record(FLOW))])
    got = read(FORMAT, data[:-1])
    assert len(got.rows()) == 1
    assert "is cut" in got.damage


def test_other_bytes_behind_datagrams_are_damage_with_a_place():
    data = x.v5([FLOW])
    got = read(FORMAT, data + b"\xab\xcd" * 40)
    assert len(got.rows()) == 1
    assert got.damage == "byte 72, record 2: no datagram of NetFlow or IPFIX begins here (version 43981)"


def test_captured_export_traffic_is_read_datagram_by_datagram():
    collector = Collector()
    parts = [
        x.v5([FLOW]),
        x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, x.v9_record(FLOW))]),
        b"\0\5\0\x1e" + bytes(20),
    ]
    buffer = np.frombuffer(bytearray(b"".join(parts)), dtype=np.uint8)
    collector.begin(buffer, 0)
    wrong, at = [], 0
    for part, exporter in zip(parts, ("10.0.0.1", "10.0.0.2", "10.0.0.1"), strict=True):
        wrong.append(collector.datagram(at, at + len(part), exporter))
        at += len(part)
    blocks = collector.flush()
    assert [b.texts["sensor"].to_pylist() for b in blocks] == [["10.0.0.1"], ["10.0.0.2"]]
    assert wrong[:2] == [None, None] and "30 records" in str(wrong[2])
    assert collector.counts["malformed export datagrams"][0] == 1


def test_every_way_of_cutting_gives_the_same():
    data = x.v5([FLOW, FLOW]) + x.v9([x.one_set(0, x.template(256, x.V9_FIELDS)), x.one_set(256, x.v9_record(FLOW) * 3)])
    data += x.ipfix([x.one_set(2, x.template(300, x.IPFIX_FIELDS)), x.one_set(300, x.ipfix_record(x.Flow(src="::1", dst="::2")))])
    data += x.v5([FLOW], sequence=2)
    whole = read(FORMAT, data).rows()
    assert len(whole) == 7
    for step in (1, 7, 24, 100, 333):
        assert read(FORMAT, data, step=step).rows() == whole


def test_kernels_are_the_same_as_plain_python():
    data = np.frombuffer(bytearray(x.v5([FLOW, x.Flow(proto=1, dport=2048)])), dtype=np.uint8)
    fixed: Any = netflow_fixed.read_fixed
    found: list[Any] = []
    for kernel in (fixed, fixed.py_func):
        out, offset, headers = empty(4), np.zeros(4, np.int64), np.zeros((netflow_fixed.HEADER_FIELDS, 2), np.int64)
        stopped = kernel(data, 0, data.size, 5, 24, 48, out, offset, headers)
        found.append((tuple(int(v) for v in stopped), out.tolist(), offset.tolist()))
    assert found[0] == found[1]
    template = templates.parse_templates(x.template(300, x.IPFIX_FIELDS), ipfix=True, options=False).found[300]
    assert template is not None
    record = np.frombuffer(bytearray(x.ipfix_record(x.Flow(src="2001:db8::1", dst="ffff::2"))), dtype=np.uint8)
    sets = np.array([[0], [record.size], [0], [x.NOW * 10**9], [-1], [0]], dtype=np.int64)
    by_template: Any = templates.read_sets
    found = []
    for kernel in (by_template, by_template.py_func):
        out, offset = templates.wide(2), np.zeros(2, np.int64)
        found.append((int(kernel(record, sets, *templates.flatten([template]), out, offset)), out.tolist()))
    assert found[0] == found[1]


def test_nobody_recognises_other_things():
    for data in (
        b"",
        b"\0\5",
        b"\0\5\0\1" + bytes(100),
        b"\0\x09" + b"x" * 100,
        b"\0\x0a\0\x20" + b"y" * 60,
        b"\x0c\xa5\2\0" + bytes(60),
    ):
        assert not netflow.recognise(data)


@pytest.mark.skipif(subprocess.run(["which", "nfdump"], capture_output=True, check=False).returncode != 0, reason="needs nfdump")
def test_nfdump_reads_the_written_layout_as_we_do(tmp_path):
    """Our writer of nfdump's layout 2 is checked by nfdump itself; test_nfdump_file.py relies on it."""
    path = tmp_path / "nfcapd"
    path.write_bytes(x.nfdump_v2([x.nfdump_v3_record(FLOW) * 2], [2]))
    out = subprocess.run(
        ["nfdump", "-r", str(path), "-o", "csv"], capture_output=True, text=True, env={"TZ": "UTC"}, check=False
    ).stdout
    assert out.splitlines()[1].startswith("2022-11-16 08:08:17,2022-11-16 08:08:19,2.000,192.0.2.1,198.51.100.7,40000,80,TCP,...AP.SF")
