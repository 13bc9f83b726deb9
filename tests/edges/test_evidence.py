"""Files, folders, pipes and compressions; order, chains and damage; and the real captures against a second reader."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.capture import files as w
from tests.conftest import SHARED, needs_shared
from tracehound import limits, tables
from tracehound.demo.wire import Wire
from tracehound.edges import evidence
from tracehound.errors import EvidenceError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
S = w.SECOND


def packets(count, start=0, step=S):
    generator = np.random.default_rng(start % 2**32)
    return [(start + i * step, generator.bytes(60)) for i in range(count)]


def pcap(rows):
    return w.pcap_header() + b"".join(w.pcap_record(data, ts) for ts, data in rows)


def everything(files, **how):
    """All records as (evidence_id, frame, ts, bytes, chain, offset in the file)."""
    found = []
    for batch in evidence.read_batches(files, **how):
        assert len(batch.buffer) >= batch.length + limits.BATCH_SLACK_BYTES
        assert len(batch.records.ts)
        for i in range(len(batch.records.ts)):
            offset, cap = int(batch.records.offset[i]), int(batch.records.caplen[i])
            data = batch.buffer[offset : offset + cap].tobytes()
            where = batch.base_offset + offset
            frame = batch.first_frame + i
            found.append((batch.evidence_id, frame, int(batch.records.ts[i]), data, batch.chain, where))
    return found


def put(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def one(path):
    files = evidence.list_evidence([path])
    assert len(files) == 1
    return files[0], [(ts, data) for _, _, ts, data, _, _ in everything(files)]


# -- kinds and compressions -------------------------------------------------------------------------------------------


def test_content_decides_and_the_name_does_not(tmp_path):
    rows = packets(3)
    file, got = one(put(tmp_path, "notes.txt", pcap(rows)))
    assert (file.kind, file.compression, got) == ("pcap", None, rows)
    assert file.size == Path(file.path).stat().st_size
    data = w.section() + w.interface() + b"".join(w.enhanced(d, ts // 1000) for ts, d in rows)
    file, got = one(put(tmp_path, "x.pcap.gz", data))
    assert (file.kind, file.compression, got) == ("pcapng", None, rows)


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_whole_and_in_members(tmp_path, name):
    rows = packets(3000)
    data = pcap(rows)
    assert one(put(tmp_path, "a", COMPRESS[name](data)))[1] == rows
    parts = COMPRESS[name](data[:1000]) + COMPRESS[name](b"") + COMPRESS[name](data[1000:])
    file, got = one(put(tmp_path, "b", parts))
    assert (file.compression, file.damage) == (name, None)
    assert got == rows


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_and_cut_is_read_up_to_the_cut(tmp_path, name):
    rows = packets(30_000)
    squeezed = COMPRESS[name](pcap(rows))
    file, got = one(put(tmp_path, "a", squeezed[: len(squeezed) * 3 // 4]))
    assert file.damage is not None
    assert f"{name} data is cut short at byte {len(squeezed) * 3 // 4}" in file.damage
    assert got == rows[: len(got)]
    assert len(got) > len(rows) * 0.4  # bzip2 gives whole blocks of 900 kB only


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd", "lz4"])
def test_bad_checksum_is_damage_but_loses_little(tmp_path, name):
    rows = packets(3000)
    squeezed = bytearray(COMPRESS[name](pcap(rows)))
    at = {"gzip": -8, "xz": -40, "zstd": -1, "lz4": -1}[name]
    squeezed[at] ^= 0x55
    file, got = one(put(tmp_path, "a", bytes(squeezed)))
    assert file.damage is not None
    assert f"{name} data is damaged" in file.damage
    assert got == rows[: len(got)]
    assert len(got) == 3000 if name == "gzip" else len(got) > 1000


def test_other_bytes_after_a_compressed_file_are_told(tmp_path):
    rows = packets(3)
    assert one(put(tmp_path, "a", gzip.compress(pcap(rows)) + bytes(600)))[0].damage is None
    squeezed = gzip.compress(pcap(rows))
    file, got = one(put(tmp_path, "b", squeezed + b"rubbish"))
    assert got == rows
    assert file.damage == f"gzip data is followed by other bytes at byte {len(squeezed)}"


@pytest.mark.parametrize("name", ["bzip2", "zstd"])
def test_bombs_are_not_blown_up(tmp_path, name, monkeypatch):
    monkeypatch.setattr(limits, "DECOMPRESSED_HEADSTART_BYTES", limits.MIB)
    bomb = w.pcap_header() + (w.pcap_record(bytes(1000)) * 100_000)
    file, got = one(put(tmp_path, "a", COMPRESS[name](bomb)))
    assert file.damage is not None
    assert "more than 2000 times" in file.damage
    assert 0 < len(got) < 100_000


# -- what is no evidence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello, world\n" * 9, "plain text"),
        (b"\x01\x02\x03" * 20, "begins with 01 02 03"),
        (w.pcap_header()[:20], "cut short within its file header"),
        (gzip.compress(b"words", mtime=0), "gzip data, but no capture file and no flow log inside: it looks like plain text"),
        (gzip.compress(pcap(packets(2)), mtime=0)[:12], "gzip data is cut short"),
        (b"\x1f\x8b\x08" + b"\xff" * 60, "gzip data is damaged"),
        (b"\x0a\x0d\x0d\x0a" + bytes(60), "unknown format"),
    ],
)
def test_what_the_user_names_must_be_evidence(tmp_path, data, words):
    path = put(tmp_path, "a.pcap", data)
    with pytest.raises(EvidenceError) as caught:
        evidence.list_evidence([path])
    assert words in str(caught.value)
    assert path in str(caught.value)


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(EvidenceError, match="cannot be opened: No such file"):
        evidence.list_evidence([str(tmp_path / "none.pcap")])
    with pytest.raises(EvidenceError, match="folder holds no capture"):
        evidence.list_evidence([str(tmp_path)])


def test_capture_without_packets_is_evidence(tmp_path):
    file, got = one(put(tmp_path, "a", w.pcap_header()))
    assert (got, file.packets, file.start_ns, file.damage) == ([], 0, None, None)
    assert evidence.evidence_table([file]).to_pylist()[0]["start"] is None


def test_folders_are_read_through_and_others_skipped(tmp_path):
    put(tmp_path, "b/later", pcap(packets(2, 9 * S)))
    put(tmp_path, "a/README", b"read me")
    put(tmp_path, "z", pcap(packets(2, 5 * S)))
    os.mkfifo(tmp_path / "pipe")
    skipped = []
    files = evidence.list_evidence([str(tmp_path)], skipped=lambda path, what: skipped.append((path, what)))
    assert [Path(file.path).name for file in files] == ["z", "later"]
    assert [file.evidence_id for file in files] == [1, 2]
    assert skipped == [(str(tmp_path / "a/README"), "is no capture file and no flow log: it looks like plain text")]
    again = evidence.list_evidence([str(tmp_path / "z"), str(tmp_path), str(tmp_path / "z")])
    assert len(again) == 2


@given(st.data())
def test_changed_bytes_give_damage_or_an_evidence_error_and_nothing_else(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    name = data.draw(st.sampled_from(["plain", *COMPRESS]))
    raw = pcap([(i * S, bytes(i)) for i in range(20)])
    raw = bytearray(COMPRESS.get(name, bytes)(raw))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = put(folder, "a", bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        file, got = one(path)
    except EvidenceError as problem:
        assert problem.path == path
    else:
        assert file.packets == len(got)


# -- order and chains -------------------------------------------------------------------------------------------------


def chains(tmp_path, *spans):
    paths = [put(tmp_path, f"{i}", pcap([(a * S, b"x"), (b * S, b"y")])) for i, (a, b) in enumerate(spans)]
    files = evidence.list_evidence(paths[::-1])
    seen = {}
    for batch in evidence.read_batches(files):
        name = int(Path(files[batch.evidence_id - 1].path).name)
        seen[name] = (batch.chain, batch.finished_chains)
    return [seen[i] for i in range(len(spans))]


def test_rotated_files_continue_and_overlapping_ones_do_not(tmp_path):
    assert chains(tmp_path, (10, 20), (20, 30), (31, 40)) == [(0, ()), (0, ()), (0, ())]
    assert chains(tmp_path, (10, 20), (19, 30)) == [(0, ()), (1, ())]
    # The third begins after both: it continues the one that ended last.
    assert chains(tmp_path, (10, 50), (20, 40), (60, 90), (70, 80), (85, 99)) == [
        (0, ()),
        (1, ()),
        (0, ()),
        (1, ()),
        (1, ()),
    ]


def test_a_chain_idle_too_long_is_finished_once(tmp_path):
    got = chains(tmp_path, (10, 20), (15, 30), (321, 400), (322, 330), (9000, 9001))
    assert got == [(0, ()), (1, ()), (1, (0,)), (2, ()), (3, (1, 2))]


def test_unsorted_file_ends_at_its_latest_packet(tmp_path):
    first = put(tmp_path, "a", pcap([(10 * S, b"x"), (50 * S, b"y"), (20 * S, b"z")]))
    second = put(tmp_path, "b", pcap([(30 * S, b"x")]))
    files = evidence.list_evidence([first, second])
    assert [row[4] for row in everything(files)] == [0, 0, 0, 1]
    assert (files[0].start_ns, files[0].end_ns) == (10 * S, 50 * S)


# -- reading in pieces ------------------------------------------------------------------------------------------------


@given(st.integers(1, 700))
def test_small_chunks_give_the_same(tmp_path_factory, chunk):
    folder = tmp_path_factory.mktemp("chunks")
    rows = [(i * S, bytes([i]) * (i * 7)) for i in range(40)]
    plain = put(folder, "plain", pcap(rows))
    ng = w.section() + w.interface() + b"".join(w.enhanced(d, ts // 1000) for ts, d in rows)
    squeezed = put(folder, "squeezed", gzip.compress(ng))
    for path in (plain, squeezed):
        files = evidence.list_evidence([path])
        assert everything(files, chunk_bytes=chunk) == everything(files)
        assert files[0].packets == 40


def test_a_buffer_stays_valid_while_three_more_are_asked_for(tmp_path):
    files = evidence.list_evidence([put(tmp_path, "a", pcap(packets(400)))])
    kept = []
    for batch in evidence.read_batches(files, chunk_bytes=1000):
        kept.append((batch.buffer, batch.length, batch.buffer[: batch.length].tobytes()))
        for buffer, length, was in kept[-(evidence.BUFFERS - 1) :]:
            assert buffer[:length].tobytes() == was
    assert len(kept) > 20
    assert len({id(buffer) for buffer, _, _ in kept}) == evidence.BUFFERS


def test_progress_counts_bytes_on_disk(tmp_path):
    paths = [put(tmp_path, "a", pcap(packets(100))), put(tmp_path, "b", gzip.compress(pcap(packets(100, 999 * S))))]
    total = sum(Path(path).stat().st_size for path in paths)
    told = []
    everything(evidence.list_evidence(paths), chunk_bytes=1000, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_damage_stops_one_file_only(tmp_path):
    cut = put(tmp_path, "a", pcap(packets(5))[:-3])
    bad = put(tmp_path, "b", pcap(packets(5, 100 * S)) + struct.pack("<IIII", 1, 1, 2**31, 2**31) + bytes(99))
    good = put(tmp_path, "c", pcap(packets(5, 200 * S)))
    files = evidence.list_evidence([cut, bad, good])
    assert len(everything(files)) == 14
    assert [file.packets for file in files] == [4, 5, 5]
    damage = [row["damage"] for row in evidence.evidence_table(files).to_pylist()]
    assert damage[0] is not None and "cut short" in damage[0] and "frame 5" in damage[0]
    assert damage[1] is not None and "absurd" in damage[1] and "frame 6" in damage[1]
    assert damage[2] is None


def test_gone_or_changed_since_it_was_listed(tmp_path):
    path = put(tmp_path, "a", pcap(packets(5)))
    files = evidence.list_evidence([path])
    put(tmp_path, "a", b"something else")
    with pytest.raises(EvidenceError, match="no longer the file"):
        everything(files)
    Path(path).unlink()
    with pytest.raises(EvidenceError, match="cannot be opened"):
        everything(files)


# -- pipes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("squeeze", [bytes, *COMPRESS.values()])
def test_pipes_are_read_once_and_hashed(tmp_path, squeeze):
    rows = packets(5000)
    data = squeeze(pcap(rows))
    path = str(tmp_path / "pipe")
    os.mkfifo(path)

    def write():
        Path(path).write_bytes(data)

    writer = threading.Thread(target=write)
    writer.start()
    file, got = one(path)
    writer.join()
    assert got == rows
    assert (file.size, file.sha256) == (None, hashlib.sha256(data).hexdigest())


def test_standard_input(tmp_path, monkeypatch):
    rows = packets(50)
    with Path(put(tmp_path, "a", pcap(rows))).open("rb") as stream:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
        files = evidence.list_evidence(["-", "-"])
        assert [(file.path, file.size) for file in files] == [("-", None)]
        assert [(ts, data) for _, _, ts, data, _, _ in everything(files)] == rows


# -- tables and hashes ------------------------------------------------------------------------------------------------


def test_tables_follow_the_contract(tmp_path):
    data = w.section(opts=[(4, b"dumpcap")]) + w.interface(113) + w.interface(1) + w.interface(9999)
    data += w.enhanced(b"x", 7, which=2) + w.enhanced(b"y", 5, which=1, opts=[(1, b"look")])
    path = put(tmp_path, "a", data)
    files = evidence.list_evidence([path])
    wait = evidence.hash_in_background(files)
    everything(files)
    wait()
    table, notes = evidence.evidence_table(files), evidence.notes_table(files)
    assert table.schema == tables.EVIDENCE.schema
    assert notes.schema == tables.NOTES.schema
    row = table.to_pylist()[0]
    assert row["link_types"] == "9999 LINKTYPE 9999, 1 ETHERNET"
    assert (row["start"].value, row["end"].value, row["packets"]) == (5000, 7000, 2)
    assert row["sha256"] == hashlib.sha256(data).hexdigest() == evidence.sha256(path)
    assert [(n["kind"], n["frame"], n["text"]) for n in notes.to_pylist()] == [
        ("application", None, "dumpcap"),
        ("comment_packet", 2, "look"),
    ]


# -- the real captures ------------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.shared
def test_real_captures_agree_with_scapy():
    from scapy.utils import RawPcapNgReader, RawPcapReader

    paths = sorted(path for path in (SHARED / "captures").rglob("*") if path.is_file() and path.stat().st_size < 60_000)
    checked = 0
    for path in paths[::6]:
        file, got = one(str(path))
        assert file.damage is None
        expected = []
        reader = RawPcapReader if file.kind == "pcap" else RawPcapNgReader
        with reader(str(path)) as second:
            for data, meta in second:
                if file.kind == "pcap":
                    ns = meta.sec * S + meta.usec * (1 if second.nano else 1000)
                else:
                    ns = ((meta.tshigh << 32) + meta.tslow) * S // meta.tsresol
                expected.append((ns, data))
        assert got == expected, path
        checked += len(got)
    assert checked > 1000


@needs_shared
@pytest.mark.shared
def test_real_captures_in_small_chunks_are_the_same():
    paths = sorted(str(path) for path in (SHARED / "captures").rglob("*") if path.is_file())[::40]
    files = evidence.list_evidence(paths)
    assert everything(files, chunk_bytes=777) == everything(files)


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
def test_stretches_are_the_bytes_of_the_capture_wherever_they_lie(tmp_path, squeeze):
    wire = Wire(10**18)
    for i in range(9_000):
        wire.host("10.0.0.1").datagram(wire.host("10.0.0.2"), 53, bytes([i % 251]) * 60, float(i))
    whole = wire.pcap()
    path = tmp_path / "capture"
    path.write_bytes(squeeze(whole))
    wanted = [(len(whole) - 7, 7), (0, 24), (700_000, 300_000), (700_100, 5), (24, 0)]
    assert evidence.read_stretches(str(path), wanted, most_passed=1 << 30) == [whole[b : b + n] for b, n in wanted]
    with pytest.raises(EvidenceError, match="ends before"):
        evidence.read_stretches(str(path), [(len(whole), 1)], most_passed=1 << 30)
    if squeeze is not bytes:
        with pytest.raises(EvidenceError, match="not looked up"):
            evidence.read_stretches(str(path), [(5_000, 1)], most_passed=4_000)
