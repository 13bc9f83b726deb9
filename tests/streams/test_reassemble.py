"""Segments in any order, repeated, overlapping, contradicting, wrapped, lost: the stream is what was sent, or says why not."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.flows.assignment import Assignment
from tracehound.packets.batch import PacketBatch
from tracehound.streams.interleave import in_turns, interleave
from tracehound.streams.reassemble import StreamState, _survey, end_flow, gather, reassemble
from tracehound.streams.segment_map import SegmentMap

ISN = 2**32 - 20


def plain(kernel: Any) -> Any:
    return kernel.py_func


def batch(segments, first_id=1):
    """segments: (offset in the stream, data, {flags, wire, ack, flow, orig}) -> PacketBatch, Assignment."""
    n = len(segments)
    data = b"".join(s[1] for s in segments)
    lengths = np.array([len(s[1]) for s in segments])
    more = [s[2] if len(s) > 2 else {} for s in segments]
    begins = [
        (ISN + 1 + s[0] - (1 if m.get("flags", 16) & 2 else 0)) % 2**32 for s, m in zip(segments, more, strict=True)
    ]
    z8, z16, z64 = np.zeros(n, np.uint8), np.zeros(n, np.uint16), np.zeros(n, np.uint64)
    packets = PacketBatch(
        buffer=np.frombuffer(data + b"\0", dtype=np.uint8).copy(),
        packet_id=np.arange(first_id, first_id + n), ts=np.arange(first_id, first_id + n) * 1000,
        caplen=np.zeros(n, np.int32), wirelen=np.zeros(n, np.int32), file_offset=np.zeros(n, np.int64),
        ip_version=np.full(n, 4, np.uint8), src_hi=z64, src_lo=z64, dst_hi=z64, dst_lo=z64,
        proto=np.full(n, 6, np.uint8), sport=z16, dport=z16,
        tcp_flags=np.array([m.get("flags", 16) for m in more], np.uint8),
        seq=np.array(begins, np.uint32),
        ack=np.array([m.get("ack", 0) % 2**32 for m in more], np.uint32),
        window=z16, ttl=z8, ip_id=np.zeros(n, np.uint32), ip_bytes=np.zeros(n, np.int32),
        payload_offset=np.where(lengths > 0, np.cumsum(lengths) - lengths, -1),
        payload_len=np.array([m.get("wire", len(s[1])) for s, m in zip(segments, more, strict=True)], np.int32),
        payload_caplen=lengths.astype(np.int32), option_len=z8, vlan=np.zeros(n, np.int32), tunnel=np.zeros(n, np.int32), note=z8,
    )  # fmt: skip
    return packets, Assignment(
        np.array([m.get("flow", 1) for m in more], np.int64), np.array([m.get("orig", True) for m in more], np.bool_)
    )


def read(*batches, state=None):
    """Feed batches; returns (list of (offset, gap_before, data), state) of the originator's side of flow 1."""
    state = state or StreamState()
    out = []
    first = 1
    for segments in batches:
        p, a = batch(segments, first)
        first += len(segments)
        out += list(reassemble(p, a, np.ones(p.ts.size, np.bool_), state))
    out += end_flow(1, state)
    return [c for c in out if c.flow_id == 1 and c.from_originator], state


def text(chunks):
    return b"".join(c.data for c in chunks)


TEXT = bytes(range(97, 123)) * 4


def pieces(cuts):
    edges = [0, *sorted(set(cuts)), len(TEXT)]
    return [(a, TEXT[a:b]) for a, b in pairwise(edges) if b > a]


SYN = (0, b"", {"flags": 2})


@given(st.data())
def test_any_order_repeats_and_batches_give_the_stream(data):
    segments = pieces(data.draw(st.lists(st.integers(1, len(TEXT) - 1), max_size=8)))
    shuffled = data.draw(st.permutations(segments + data.draw(st.lists(st.sampled_from(segments), max_size=4))))
    cut = data.draw(st.integers(0, len(shuffled)))
    chunks, state = read([SYN, *shuffled[:cut]], shuffled[cut:])
    assert text(chunks) == TEXT
    assert all(c.gap_before == 0 for c in chunks)
    assert [c.offset for c in chunks] == list(np.cumsum([0, *[len(c.data) for c in chunks]])[:-1])
    assert state.counts["retransmitted with other bytes"] == 0 and not state.directions and state.pending_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), min_size=1, max_size=10))
def test_overlaps_deliver_every_byte_once(spans):
    chunks, _ = read([SYN, *[(a, TEXT[a : a + n]) for a, n in spans]])
    covered = set()
    for a, n in spans:
        covered |= set(range(a, min(a + n, len(TEXT))))
    got = {}
    for c in chunks:
        got.update({c.offset + i: c.data[i : i + 1] for i in range(len(c.data))})
    assert set(got) == covered and all(got[i] == TEXT[i : i + 1] for i in covered)
    assert sum(c.gap_before for c in chunks) == max(covered) + 1 - len(covered)


@given(st.data())
def test_turns_are_what_cutting_whole_directions_gives(data):
    """Two flows with both directions in any order, with or without a lost, repeated or late segment, in batches cut anywhere."""
    places = {(flow, orig): iter(pieces(range(0, 104, 8))) for flow in (1, 2) for orig in (True, False)}
    order = data.draw(st.lists(st.sampled_from(sorted(places)), max_size=40))
    segments = []
    for flow, orig in order:
        at, part = next(places[flow, orig], (0, b""))
        if part:
            segments.append((at, part, {"flow": flow, "orig": orig, "ack": ISN + 1 + data.draw(st.integers(0, 104))}))
    for _ in range(data.draw(st.integers(0, 3)) if segments else 0):
        i = data.draw(st.integers(0, len(segments) - 1))
        kind = data.draw(st.sampled_from(["lost", "again", "late"]))
        if kind == "again":
            segments.append(segments[i])
        elif len(segments) > 1:
            moved = segments.pop(i)
            if kind == "late":
                segments.insert(data.draw(st.integers(0, len(segments))), moved)
    cut = data.draw(st.integers(0, len(segments)))
    one, other = StreamState(), StreamState()
    for part, first in ((segments[:cut], 1), (segments[cut:], 1 + cut)):
        p, a = batch(part, first)
        every = np.ones(p.ts.size, np.bool_)
        turns, cuts = list(in_turns(p, a, every, one)), list(interleave(reassemble(p, a, every, other)))
        assert [(*c[:5], *map(list, c.segments), c.first_row) for c in turns] == [
            (*c[:5], *map(list, c.segments), c.first_row) for c in cuts
        ]
    assert one == other


def test_missing_segment_is_a_gap_that_says_its_size():
    chunks, _ = read([SYN, (0, b"abc"), (10, b"xyz")])
    assert [(c.offset, c.gap_before, c.data) for c in chunks] == [(0, 0, b"abc"), (10, 7, b"xyz")]


def test_acknowledged_hole_is_not_waited_for():
    state = StreamState()
    p, a = batch([SYN, (0, b"abc"), (10, b"xyz"), (0, b"r", {"orig": False, "ack": ISN + 1 + 13})])
    list(reassemble(p, a, np.ones(4, np.bool_), state))
    p, a = batch([(13, b"!")], 5)
    chunks = list(reassemble(p, a, np.ones(1, np.bool_), state))
    assert [(c.offset, c.gap_before, c.data) for c in chunks if c.from_originator] == [(10, 7, b"xyz!")]


def test_snap_length_leaves_a_gap():
    chunks, _ = read([SYN, (0, b"abc", {"wire": 8}), (8, b"next")])
    assert [(c.offset, c.gap_before, c.data) for c in chunks] == [(0, 0, b"abc"), (8, 5, b"next")]


def test_first_bytes_win_and_the_contradiction_is_counted():
    chunks, state = read([SYN, (0, b"hello world")], [(6, b"WORLD"), (11, b"!")])
    assert text(chunks) == b"hello world!"
    assert state.counts["retransmitted with other bytes"] == 1 and state.differing == {1}


def test_keep_alive_is_no_data():
    chunks, state = read([SYN, (0, b"abc")], [(2, b"\0"), (3, b"def")])
    assert text(chunks) == b"abcdef" and state.counts["retransmitted"] == 0


def test_midstream_begins_with_the_first_segment():
    chunks, _ = read([(500, b"abc"), (503, b"def")])
    assert [(c.offset, c.data) for c in chunks] == [(0, b"abcdef")]


def test_reset_carries_no_stream():
    chunks, _ = read([SYN, (0, b"abc"), (3, b"error text", {"flags": 4})])
    assert text(chunks) == b"abc"


def test_data_on_the_syn():
    chunks, _ = read([(0, b"early", {"flags": 2}), (5, b"late")])
    assert text(chunks) == b"earlylate"


def test_unwanted_flows_cost_nothing():
    p, a = batch([(0, b"abc")])
    state = StreamState()
    assert list(reassemble(p, a, np.zeros(1, np.bool_), state)) == [] and not state.directions


def test_segment_map_names_the_packet_of_a_byte():
    chunks, _ = read([SYN, (0, b"abc"), (3, b"def"), (6, b"ghi")])
    segments = chunks[0].segments
    assert [segments.packet_at(i)[0] for i in (0, 2, 3, 8)] == [2, 2, 3, 4]
    assert SegmentMap([10, 20], [1, 2], [5, 6]).packet_at(0) == (1, 5)


@pytest.mark.parametrize("kernel", [gather, plain(gather)])
def test_gather_compiled_and_plain(kernel):
    out = np.empty(5, np.uint8)
    kernel(np.arange(20, dtype=np.uint8), np.array([3, 10]), np.array([2, 3]), out)
    assert out.tolist() == [3, 4, 10, 11, 12]


def test_survey_compiled_and_plain():
    """Flows with one direction or two, in and out of order, cut short: the compiled text and the plain one see the same."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        n = int(rng.integers(1, 60))
        keys = np.sort(rng.integers(0, 12, n))
        rows = np.concatenate([np.sort(rng.permutation(1000)[: int((keys == k).sum())]) for k in np.unique(keys)]).astype(np.int64)
        length = rng.integers(1, 4, n)
        seq = (np.cumsum(length) - length + (rng.random(n) < 0.1)) & 0xFFFFFFFF
        held = length - (rng.random(n) < 0.05)
        found = []
        for survey in (_survey, plain(_survey)):
            starts, turns, first_turn = (np.zeros(n + 1, np.int64) for _ in range(3))
            odd = np.zeros(n, np.bool_)
            count, turn = survey(keys, rows, seq, length, held, starts, odd, turns, first_turn)
            found.append((count, turn, starts[: count + 1].tolist(), odd[:count].tolist(), turns[:turn].tolist(),
                          first_turn[: count + 1].tolist()))  # fmt: skip
        assert found[0] == found[1]
        assert found[0][0] == np.unique(keys).size and sorted(found[0][4])[0] == 0
