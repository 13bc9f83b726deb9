"""pcapng by hand, by chance, and against damage."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture import files as w
from tests.capture.walking import read
from tracehound import limits
from tracehound.capture import pcapng
from tracehound.capture.records import Note

US = 1_030_000_000_123_456


@pytest.mark.parametrize("order", ["<", ">"])
def test_packet_blocks_of_all_three_kinds(order):
    data = w.section(order) + w.interface(113, 4, order)
    data += w.enhanced(b"abc", US, wirelen=60, order=order)
    data += w.obsolete(b"defgh", US + 1, order=order)
    data += w.simple(b"wxyz", wirelen=99, order=order)
    records, notes, damage, _ = read("pcapng", data)
    assert records == [
        (US * 1000, b"abc", 60, 113),
        ((US + 1) * 1000, b"defgh", 5, 113),
        (0, b"wxyz", 99, 113),
    ]
    assert (notes, damage) == ([], None)


def test_sections_change_byte_order_and_interfaces():
    data = w.section("<") + w.interface(1) + w.interface(101, opts=[(9, b"\x09")])
    data += w.enhanced(b"a", US) + w.enhanced(b"b", US * 1000 + 7, which=1)
    data += w.section(">") + w.interface(276, order=">", opts=[(9, b"\x03")]) + w.enhanced(b"c", 5, order=">")
    records, _, damage, _ = read("pcapng", data)
    assert records == [(US * 1000, b"a", 1, 1), (US * 1000 + 7, b"b", 1, 101), (5_000_000, b"c", 1, 276)]
    assert damage is None


def test_offset_is_added_but_not_to_packets_without_time():
    opts = [(9, b"\x8a"), (14, struct.pack("<q", 1_000_000_000))]
    data = w.section() + w.interface(opts=opts) + w.enhanced(b"a", 1536) + w.simple(b"bbbb") + w.enhanced(b"c", 0)
    times = [r[0] for r in read("pcapng", data)[0]]
    assert times == [1_000_000_001_500_000_000, 0, 1_000_000_000_000_000_000]


@given(st.integers(0, 2**64 - 1), st.integers(0, 255), st.integers(-(2**63), 2**63 - 1) | st.just(0))
@settings(max_examples=500)
def test_every_resolution_is_exact(ticks, tsresol, offset):
    power = tsresol & 0x7F
    exact = Fraction(ticks * 10**9, (2 if tsresol & 0x80 else 10) ** power)
    top = 2**63 - 1
    got = int(pcapng.to_ns(np.array([ticks], np.uint64), tsresol, offset)[0])
    if exact < top - 2 * 10**9 and abs(offset * 10**9) <= top:
        assert got == min(exact.__floor__() + offset * 10**9, top)
    else:
        assert -top <= got <= top


def test_words_are_kept_with_their_place():
    data = w.section(opts=[(1, b"seized host"), (2, b"x86"), (3, b"Linux"), (4, b"dumpcap")])
    data += w.interface(opts=[(2, b"eth0"), (1, b"mirror port"), (12, b"Linux 6")])
    names = struct.pack("<HH", 1, 4 + 14) + bytes([192, 0, 2, 1]) + b"a.test\0b.test\0" + bytes(2)
    names += struct.pack("<HH", 2, 16 + 7) + bytes(15) + b"\x01" + b"c.test\0" + bytes(1) + bytes(4)
    data += w.block(4, names + w.options([(1, b"by hand")]))
    data += w.enhanced(b"x", US) + w.enhanced(b"abc", US, opts=[(2, bytes(4)), (1, "schön".encode()), (1, b"two")])
    data += w.obsolete(b"abcde", US, opts=[(1, b"old")])
    records, notes, damage, _ = read("pcapng", data)
    assert len(records) == 3
    assert damage is None
    assert notes[:7] == [
        Note("comment_section", "seized host"),
        Note("hardware", "x86"),
        Note("os", "Linux"),
        Note("application", "dumpcap"),
        Note("comment_interface", "mirror port"),
        Note("os", "Linux 6"),
        Note("name", "a.test", subject="192.0.2.1"),
    ]
    assert notes[7:] == [
        Note("name", "b.test", subject="192.0.2.1"),
        Note("name", "c.test", subject="::1"),
        Note("comment_section", "by hand"),
        Note("comment_packet", "schön", frame=2),
        Note("comment_packet", "two", frame=2),
        Note("comment_packet", "old", frame=3),
    ]


def test_notes_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MAX_COMMENTS", 3)
    data = w.section() + w.interface() + w.enhanced(b"x", 1, opts=[(1, b"c" * 9000)]) * 9
    records, notes, _, _ = read("pcapng", data)
    assert len(records) == 9
    assert [len(note.text) for note in notes] == [limits.MAX_COMMENT_BYTES] * 3


def test_drops_are_the_latest_statistics_of_each_interface():
    def statistics(which, dropped):
        return w.block(5, struct.pack("<III", which, 0, 0) + w.options([(5, struct.pack("<Q", dropped))]))

    data = w.section() + w.interface() * 2 + statistics(0, 5) + statistics(0, 8) + statistics(1, 1)
    data += w.section() + w.interface() + statistics(0, 2)
    assert read("pcapng", data)[3].dropped == 11
    assert read("pcapng", w.section() + w.interface())[3].dropped is None


def test_other_blocks_are_passed_over():
    data = w.section() + w.block(0x0BAD, b"custom") + w.block(10, bytes(40)) + w.interface()
    data += w.block(0x7777, b"") + w.enhanced(b"x", US) + w.block(0x40000BAD, bytes(5))
    assert [r[1] for r in read("pcapng", data)[0]] == [b"x"]


def test_a_length_without_its_padding_is_tolerated():
    good = w.section() + w.interface()
    body = struct.pack("<IIIII", 0, 0, 9, 3, 3) + b"abc" + bytes(1)
    data = good + struct.pack("<II", 6, 35) + body + struct.pack("<I", 35) + w.enhanced(b"y", 1)
    records, _, damage, _ = read("pcapng", data)
    assert [r[1] for r in records] == [b"abc", b"y"]
    assert damage is None


GOOD = w.section() + w.interface() + w.enhanced(b"abcd", US)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (w.enhanced(b"abcd", US)[:-4] + struct.pack("<I", 99), "two lengths"),
        (struct.pack("<II", 6, 8) + bytes(20), "no block has"),
        (struct.pack("<II", 6, 0xFFFF_FFF0) + bytes(20), "no block has"),
        (w.enhanced(b"abcd", US, which=1), "was not described"),
        (w.block(6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"abcd"), "its own length"),
        (w.block(6, struct.pack("<IIIII", 0, 0, 0, 1 << 30, 5)), "absurd"),
        (w.block(6, b"abcd"), "its own length"),
        (w.block(0x0A0D0D0A, bytes(16)), "byte-order magic"),
        (w.section() + w.simple(b"abcd"), "was not described"),
    ],
)
def test_damage_is_told_with_its_place(bad, words):
    records, _, damage, _ = read("pcapng", GOOD + bad + w.enhanced(b"later", US))
    assert [r[1] for r in records] == [b"abcd"]
    assert damage is not None
    assert words in damage
    place = len(GOOD) + (len(w.section()) if bad.startswith(w.section()) else 0)
    assert f"byte {place}, after frame 1" in damage


@pytest.mark.parametrize("tail", [w.enhanced(b"efgh", US), w.interface(), w.section()])
def test_cut_within_a_block_keeps_what_came_before(tail):
    for cut in range(1, len(tail)):
        data = GOOD + tail[:cut]
        records, _, damage, _ = read("pcapng", data)
        assert len(records) == 1
        assert damage is not None
        assert damage.startswith(f"cut short at byte {len(data)}, frame 2")


def test_too_many_interfaces_or_sections_are_hostile(monkeypatch):
    monkeypatch.setattr(limits, "MAX_INTERFACES", 4)
    monkeypatch.setattr(limits, "MAX_SECTIONS", 4)
    assert "interface 4" in str(read("pcapng", w.section() + w.interface() * 5)[2])
    assert "section 5" in str(read("pcapng", w.section() * 5)[2])


ORDERS = st.sampled_from("<>")


@st.composite
def captures(draw):
    """A file of random sections, interfaces, packets and words, and what must be read from it."""
    data, expected = b"", []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(ORDERS)
        data += w.section(order, [(1, b"words")] if draw(st.booleans()) else [])
        faces = draw(st.lists(st.tuples(st.sampled_from([1, 101, 113]), st.integers(0, 9)), min_size=1, max_size=3))
        for link, resol in faces:
            data += w.interface(link, 0, order, [(9, bytes([resol]))])
        for _ in range(draw(st.integers(0, 6))):
            packet, ticks = draw(st.binary(max_size=20)), draw(st.integers(0, 2**32))
            which = draw(st.integers(0, len(faces) - 1))
            make = draw(st.sampled_from([w.enhanced, w.obsolete]))
            opts = [(1, b"note")] if draw(st.booleans()) else []
            data += make(packet, ticks, which, order=order, opts=opts)
            scale = 10 ** (9 - faces[which][1])
            expected.append((min(ticks, (2**63 - 1) // scale) * scale, packet, len(packet), faces[which][0]))
    return data, expected


@given(captures(), st.integers(1, 120))
def test_what_is_written_is_read_whole_or_in_pieces(capture, chunk):
    data, expected = capture
    whole = read("pcapng", data)
    assert (whole[0], whole[2]) == (expected, None)
    assert read("pcapng", data, chunk) == whole


@given(captures(), st.data())
def test_changed_bytes_never_raise_and_read_alike_in_pieces(capture, data):
    raw = bytearray(capture[0])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(12, len(raw) - 1))] = data.draw(st.integers(0, 255))
    whole = read("pcapng", bytes(raw))
    assert read("pcapng", bytes(raw), data.draw(st.integers(1, 100))) == whole


@given(st.binary(max_size=300))
def test_any_bytes_after_a_section_never_raise(tail):
    records, _, damage, state = read("pcapng", w.section() + tail)
    assert damage is not None or state.position == len(w.section() + tail)
    assert len(records) == state.frames


@given(captures(), st.data())
def test_kernel_compiled_and_plain_agree(capture, data):
    raw = np.frombuffer(bytearray(capture[0]), np.uint8)
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(raw) // 4)) * 4
    runs = []
    for function in (pcapng._walk_blocks, getattr(pcapng._walk_blocks, "py_func", pcapng._walk_blocks)):
        c = pcapng._Columns(len(raw))
        filled: list[Any] = [c.ticks, c.caplen, c.wirelen, c.offset, c.interface]
        for column in (*filled, c.wordy):
            column[:] = 0
        args = (raw, start, len(raw), 0, 2, 0, 1, 1 << 24, 1 << 20, (1 << 31) - 1, 0, *filled, 0, c.wordy)
        result = tuple(map(int, function(*args)))
        runs.append((result, [column.tolist() for column in (*filled, c.wordy)]))
    assert runs[0] == runs[1]
