"""pcap by hand, by chance, and against damage."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.files import SECOND, pcap_header, pcap_record
from tests.capture.walking import read
from tracehound import limits
from tracehound.capture import pcap

TS = 1_030_000_000 * SECOND + 123_456_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "tick"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_reads_both_byte_orders_and_resolutions(order, magic, tick):
    ts = TS + (789 if tick == 1 else 0)
    data = (
        pcap_header(order, magic)
        + pcap_record(b"abc", ts, 60, order, tick)
        + pcap_record(b"", ts + 5000, 0, order, tick)
    )
    records, notes, damage, _ = read("pcap", data)
    assert records == [(ts, b"abc", 60, 1), (ts + 5000, b"", 0, 1)]
    assert (notes, damage) == ([], None)


@pytest.mark.parametrize("order", ["<", ">"])
def test_modified_header_has_eight_more_bytes_a_record(order):
    data = pcap_header(order, 0xA1B2CD34) + b"".join(
        pcap_record(b"data%d" % i, TS, order=order, extra=struct.pack(order + "IHBB", 2, 0x800, 0, 0)) for i in range(3)
    )
    records, _, damage, _ = read("pcap", data)
    assert [r[1] for r in records] == [b"data0", b"data1", b"data2"]
    assert damage is None


def test_link_type_shares_its_field_with_the_fcs_length():
    state = pcap.open_state(pcap_header(link=0x2400_0001))
    assert state is not None
    assert (state.link_type, state.fcs_bytes) == (1, 4)


def test_old_versions_swap_the_lengths():
    record = struct.pack("<IIII", 5, 6, 60, 3) + b"abc"
    for version in [(2, 2), (2, 3), (543, 0)]:
        records, _, damage, _ = read("pcap", pcap_header(version=version) + record)
        assert records == [(5 * SECOND + 6000, b"abc", 60, 1)]
        assert damage is None


def test_sub_second_field_beyond_a_second_is_added():
    data = pcap_header() + struct.pack("<IIII", 10, 2_500_000, 1, 1) + b"x"
    assert read("pcap", data)[0][0][0] == 12 * SECOND + SECOND // 2


def test_sub_second_field_below_zero_is_taken_off():
    data = pcap_header() + struct.pack("<IiII", 10, -250_000, 1, 1) + b"x"
    assert read("pcap", data)[0][0][0] == 9 * SECOND + 3 * SECOND // 4


def test_a_capture_without_packets_is_whole():
    assert read("pcap", pcap_header())[0::2] == ([], None)


@pytest.mark.parametrize("cut", [1, 15, 16, 19])
def test_cut_within_a_record_keeps_what_came_before(cut):
    whole = pcap_header() + pcap_record(b"abcd", TS)
    data = whole + pcap_record(b"efgh", TS)[:cut]
    records, _, damage, state = read("pcap", data)
    assert [r[1] for r in records] == [b"abcd"]
    assert damage is not None
    assert damage.startswith(f"cut short at byte {len(data)}, frame 2")
    assert state.position == len(whole)


@pytest.mark.parametrize(("cap", "wire"), [(limits.MAX_CAPLEN_BYTES + 1, 60), (0xFFFF_FFFF, 60), (4, 0x8000_0000)])
def test_absurd_lengths_are_damage_at_their_place(cap, wire):
    data = pcap_header() + pcap_record(b"abcd", TS) + struct.pack("<IIII", 1, 1, cap, wire) + bytes(100)
    records, _, damage, _ = read("pcap", data)
    assert len(records) == 1
    assert damage is not None
    assert "byte 44, frame 2" in damage


def test_not_a_pcap():
    assert pcap.open_state(b"\0" * 24) is None
    assert pcap.open_state(pcap_header()[:23]) is None


RECORDS = st.lists(
    st.tuples(st.integers(0, 2**32 * SECOND - 1), st.binary(max_size=40), st.integers(0, 2**31 - 1)), max_size=12
)


@given(RECORDS, st.sampled_from("<>"), st.integers(1, 90))
def test_what_is_written_is_read_whole_or_in_pieces(rows, order, chunk):
    data = pcap_header(order, 0xA1B23C4D, link=101)
    data += b"".join(pcap_record(packet, ts, wire, order, 1) for ts, packet, wire in rows)
    expected = [(ts, packet, wire, 101) for ts, packet, wire in rows]
    assert read("pcap", data)[0::2] == (expected, None) or not rows
    assert read("pcap", data, chunk)[0] == expected


@given(st.binary(max_size=300), st.integers(1, 64), st.sampled_from([0xA1B2C3D4, 0xA1B2CD34]))
@settings(max_examples=200)
def test_any_bytes_are_read_alike_whole_or_in_pieces(tail, chunk, magic):
    data = pcap_header(magic=magic) + tail
    assert read("pcap", data) == read("pcap", data, chunk)


@given(st.binary(max_size=300), st.booleans())
def test_kernel_compiled_and_plain_agree(tail, zeros):
    raw = np.frombuffer(bytearray(tail.replace(b"\xff", b"\0") if zeros else tail), np.uint8)
    for big in (0, 1):
        for lengths in (0, 1, 2):
            runs = []
            for function in (pcap._walk_records, getattr(pcap._walk_records, "py_func", pcap._walk_records)):
                columns: list[Any] = [np.zeros(40, dtype) for dtype in (np.int64, np.int32, np.int32, np.int64)]
                fixed = (0, len(raw), big, 1000, 16, lengths, 1 << 20, (1 << 31) - 1)
                runs.append((tuple(map(int, function(raw, *fixed, *columns))), [c.tolist() for c in columns]))
            assert runs[0] == runs[1]
