"""nfdump's own files: both layouts, both byte orders, every packing; nfdump itself as the second opinion."""

from __future__ import annotations

import bz2
import shutil
import struct
import subprocess

import lz4.block
import pytest
import zstandard

from tests.conftest import SHARED, needs_shared
from tests.flowlogs import exports as x
from tests.flowlogs.reading import read
from tests.flowlogs.test_netflow import expected, told
from tracehound.flowlogs.delimited import FORMAT as CSV
from tracehound.flowlogs.nfdump_file import FORMAT
from tracehound.flowlogs.nfdump_text import JSON_FORMAT, LINES_FORMAT

FLOWS = [x.Flow(), x.Flow(src="2001:db8::1", dst="2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"), x.Flow(proto=17, flags=0, dport=53)]
needs_nfdump = pytest.mark.skipif(shutil.which("nfdump") is None or shutil.which("nfpcapd") is None, reason="needs nfdump")


def as_told(flow):
    row = expected(flow)
    return row if flow.proto == 6 else row | {"tcp_flags_src": None}


@pytest.mark.parametrize("order", ["<", ">"])
def test_layout_2(order):
    block = b"".join(x.nfdump_v3_record(f, order=order) for f in FLOWS)
    data = x.nfdump_v2([block, block[:76]], [3, 1], order=order)
    assert FORMAT.recognise(data)
    got = read(FORMAT, data)
    assert [told(r) for r in got.rows()] == [as_told(f) for f in (*FLOWS, FLOWS[0])]
    assert got.damage is None and got.counts == {}
    for step in (1, 40, 100):
        assert read(FORMAT, data, step=step).rows() == got.rows()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 10])
@pytest.mark.parametrize("wide", [False, True])
def test_layout_1(order, kind, wide):
    # packets and bytes of the other direction stand behind AS numbers of 4 bytes each, and a VLAN
    extensions = struct.pack(order + "IIHHIQ", 64500, 64501, 42, 0, 7, 900)
    block = x.nfdump_v1_map(3, [7, 13, 14, 17], order=order)
    block += b"".join(x.nfdump_v1_record(f, 3, extensions, order=order, wide=wide, kind=kind) for f in FLOWS)
    data = x.nfdump_v1([block], [4], order=order)
    assert FORMAT.recognise(data)
    rows = read(FORMAT, data).rows()
    assert [told(r) for r in rows] == [as_told(f) for f in FLOWS]
    assert {(r["pkts_dst"], r["bytes_dst"], r["vlan"]) for r in rows} == {(7, 900, 42)}


def lzo_block(data):
    """One long run of literals."""
    more = len(data) - 18
    return b"\0" + b"\0" * ((more - 1) // 255) + bytes([(more - 1) % 255 + 1]) + data + b"\x11\0\0"


PACKED = {
    1: lzo_block,
    2: bz2.compress,
    3: lambda data: lz4.block.compress(data, store_size=False),
    4: lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("packing", PACKED)
def test_packed_blocks(packing):
    block = b"".join(x.nfdump_v3_record(f) for f in FLOWS * 20)
    data = x.nfdump_v2([PACKED[packing](block)], [60], packing=packing)
    got = read(FORMAT, data)
    assert len(got.rows()) == 60
    assert "offset" not in got.rows()[0]
    spoilt = bytearray(data + data[40:])
    spoilt[len(data) + 12 : len(data) + 40] = b"\xff" * 28
    got = read(FORMAT, bytes(spoilt))
    assert len(got.rows()) == 60
    assert got.damage.startswith(f"byte {len(data)}, record 61: a block packed with ")


@pytest.mark.parametrize(("flags", "packing"), [(1, 1), (8, 2), (16, 3)])
def test_packed_blocks_of_layout_1(flags, packing):
    block = x.nfdump_v1_map(0, []) + b"".join(x.nfdump_v1_record(f, 0) for f in FLOWS)
    assert len(read(FORMAT, x.nfdump_v1([PACKED[packing](block)], [4], flags=flags)).rows()) == 3


def test_a_block_that_unpacks_without_end_is_damage():
    bomb = zstandard.ZstdCompressor().compress(bytes(20 << 20))
    got = read(FORMAT, x.nfdump_v2([bomb], [1], packing=4))
    assert "Zstandard" in got.damage
    assert "bzip2" in read(FORMAT, x.nfdump_v2([bz2.compress(bytes(20 << 20))], [1], packing=2)).damage


def test_biflow_exporter_and_sampled():
    exporter = struct.pack("<HHIQQHHI", 7, 32, 9, 0, 0xC0000201, 2, 5, 0)
    record = bytearray(x.nfdump_v3_record(FLOWS[0], out=(3, 120), flags=2))
    struct.pack_into("<H", record, 8, 5)
    got = read(FORMAT, x.nfdump_v2([exporter + bytes(record)], [2]))
    (row,) = got.rows()
    assert (row["pkts_dst"], row["bytes_dst"], row["sensor"]) == (3, 120, "192.0.2.1")
    assert got.counts == {"sampled records": 1}


def test_damage():
    block = x.nfdump_v3_record(FLOWS[0]) * 2
    data = x.nfdump_v2([block, block], [2, 2])
    got = read(FORMAT, data[:-80])
    assert len(got.rows()) == 2
    assert got.damage == f"byte {52 + len(block)}, record 3: the last block is cut after {len(block) + 12 - 80} bytes"
    got = read(FORMAT, data[:-10])
    assert len(got.rows()) == 3
    bad = bytearray(data)
    struct.pack_into("<H", bad, 52 + 2, 3)
    got = read(FORMAT, bytes(bad))
    assert len(got.rows()) == 2 and got.damage is None
    assert got.counts == {"damaged blocks": 1}
    assert "layout 9" in read(FORMAT, b"\x0c\xa5\x09\0" + bytes(60)).damage
    encrypted = bytearray(data)
    encrypted[17] = 1
    assert "encrypted" in read(FORMAT, bytes(encrypted)).damage


CAPTURES = (
    "chrissanders/arppoison.pcapng",
    "zeek/ipv6-http-atomic-frag.trace",
    "zeek/icmp/icmp-ping.trace",
    "chrissanders/http_espn.pcapng",
)


def _files(folder, name, switch):
    source = SHARED / "captures" / name
    if not source.exists():
        pytest.skip(f"needs {name}")
    subprocess.run(["nfpcapd", "-r", str(source), "-w", str(folder), *switch], capture_output=True, check=False, timeout=60)
    return sorted(p for p in folder.iterdir() if p.name.startswith("nfcapd."))


def _key(row):
    return tuple(row.get(n) for n in ("src", "dst", "sport", "dport", "proto", "pkts_src", "bytes_src", "tcp_flags_src"))


@needs_shared
@needs_nfdump
@pytest.mark.parametrize("switch", [(), ("-z",), ("-y",), ("-j",)], ids=["plain", "lzo", "lz4", "bz2"])
def test_nfdump_agrees(tmp_path, switch):
    compared = 0
    for number, name in enumerate(CAPTURES[:1] + CAPTURES[3:]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path in _files(folder, name, switch):
            mine = read(FORMAT, path.read_bytes())
            assert mine.damage is None
            for form, words in ((CSV, ("csv",)), (JSON_FORMAT, ("json",)), (LINES_FORMAT, ("extended", "-6", "-N"))):
                told_by = subprocess.run(
                    ["nfdump", "-r", str(path), "-o", *words], capture_output=True, env={"TZ": "UTC"}, check=True, timeout=60
                ).stdout
                assert form.recognise(told_by[:16384])
                theirs = read(form, told_by)
                assert theirs.damage is None and theirs.counts == {}
                assert [_key(r) for r in theirs.rows()] == [_key(r) for r in mine.rows()]
                if words[0] != "csv":
                    assert [(r["start"], r["end"]) for r in theirs.rows()] == [(r["start"], r["end"]) for r in mine.rows()]
                compared += len(theirs.rows())
    if compared == 0:
        pytest.skip(f"this nfpcapd does not know {' '.join(switch)}")
    assert compared > 100
