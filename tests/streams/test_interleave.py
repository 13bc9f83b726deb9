"""Chunks come in the order in which their bytes could be read, whatever direction they went."""

from hypothesis import given
from hypothesis import strategies as st

from tracehound.streams.interleave import interleave, packets_of
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap


def chunk(sent: bool, packets: list[int], *, flow: int = 1, offset: int = 0, gap: int = 0) -> Chunk:
    """Two bytes a packet; the packet's number is its time, too."""
    data = b"".join(b"%02d" % (p % 100) for p in packets)
    segments = SegmentMap([offset + 2 * i for i in range(len(packets))], packets, packets)
    return Chunk(flow, sent, data, offset, gap, segments, 0)


def said(chunks):
    return [(c.from_originator, c.data) for c in chunks]


def test_one_word_each_way_passes_as_it_is():
    sent, back = chunk(True, [1, 2]), chunk(False, [3])
    assert [c is o for c, o in zip(interleave([sent, back]), [sent, back], strict=True)] == [True, True]


def test_who_greets_comes_first():
    assert said(interleave([chunk(True, [5]), chunk(False, [3])])) == [(False, b"03"), (True, b"05")]


def test_turns_cut_chunks():
    out = list(interleave([chunk(True, [1, 2, 5], offset=10, gap=7), chunk(False, [3, 4, 6])]))
    assert said(out) == [(True, b"0102"), (False, b"0304"), (True, b"05"), (False, b"06")]
    assert [(c.offset, c.gap_before) for c in out] == [(10, 7), (0, 0), (14, 0), (4, 0)]
    assert out[2].segments.packet_at(14) == (5, 5)


def test_bytes_that_waited_come_with_what_they_waited_for():
    # Packet 2 arrived before 4 but stands behind it in the stream: neither can be read before 4.
    assert said(interleave([chunk(True, [4, 2]), chunk(False, [3])])) == [(False, b"03"), (True, b"0402")]


def test_flows_stay_apart():
    chunks = [chunk(True, [1, 9]), chunk(True, [2], flow=2), chunk(False, [1], flow=2), chunk(False, [4], flow=3)]
    assert [(c.flow_id, c.data) for c in interleave(chunks)] == [(1, b"0109"), (2, b"01"), (2, b"02"), (3, b"04")]


def test_packets_of_a_chunk():
    parts = list(packets_of(chunk(True, [1, 2], offset=4, gap=3)))
    assert [(p.data, p.offset, p.gap_before) for p in parts] == [(b"01", 4, 3), (b"02", 6, 0)]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.integers(0, 29), max_size=4))
def test_whole_is_what_came_packet_by_packet(turns, cuts):
    """Any cut of either direction into chunks gives the order of the packets."""
    chunks = []
    for way in (True, False):
        packets = [i for i, sent in enumerate(turns, start=1) if sent == way]
        at = 0
        for end in [*sorted(c for c in cuts if c < len(packets)), len(packets)]:
            if end > at:
                chunks.append(chunk(way, packets[at:end], offset=2 * at))
                at = end
    out = [(p.from_originator, p.segments.packet_ids[0]) for c in interleave(chunks) for p in packets_of(c)]
    assert out == [(sent, i) for i, sent in enumerate(turns, start=1)]
