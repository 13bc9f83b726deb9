"""In: records of one log, made by hand. Out: which of them are one flow, and what the flow says. Never here: formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracehound.flowlogs import argus, flow_rows
from tracehound.flowlogs.argus_write import write_flows
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, PART, WHOLE, Block

S = 1_000_000_000
T0 = 1_700_000_000 * S


def block(rows: list[dict[str, Any]], joins: int) -> Block:
    def numbers(name: str, default: int = MISSING) -> np.ndarray:
        return np.array([row.get(name, default) for row in rows], dtype=np.int64)

    return Block(
        number=np.arange(1, len(rows) + 1), start=T0 + (numbers("at", 0) * S), end=T0 + numbers("until", 0) * S,
        src=pa.array([row.get("src", "10.0.0.1") for row in rows]), dst=pa.array([row.get("dst", "192.0.2.1") for row in rows]),
        source="test", proto=numbers("proto", 6), sport=numbers("sport", 1025), dport=numbers("dport", 80),
        pkts_src=numbers("pkts_src"), pkts_dst=numbers("pkts_dst"), bytes_src=numbers("bytes_src"), bytes_dst=numbers("bytes_dst"),
        payload_src=numbers("payload_src"), payload_dst=numbers("payload_dst"), tcp_flags_src=numbers("f"), tcp_flags_dst=numbers("g"),
        opens=np.array([bool(row.get("opens", False)) for row in rows]), joins=joins,
    )  # fmt: skip


def flows(*blocks: Block) -> list[dict[str, Any]]:
    state, number = flow_rows.LogState(), 1
    out = []
    for b in blocks:
        made = flow_rows.take(b, state, number, 1, with_records=True, with_community_id=True)
        number = made.next_flow_id
        out.append(made.tables.get("flows"))
        assert made.tables["records"].num_rows == len(b)
    out.append(flow_rows.finish(state, with_community_id=True))
    whole = pa.concat_tables([t for t in out if t is not None]).unify_dictionaries().sort_by("flow_id")
    rows: list[dict[str, Any]] = whole.to_pylist()
    return rows


def test_intervals_of_one_connection_are_one_flow():
    first = {"at": 0, "until": 5, "pkts_src": 4, "pkts_dst": 3, "payload_src": 100, "payload_dst": 900, "f": 26, "g": 26, "opens": True}
    second = {"at": 5, "until": 9, "pkts_src": 2, "pkts_dst": 2, "payload_src": 0, "payload_dst": 300, "f": 17, "g": 17}
    (flow,) = flows(block([first, second], PART))
    assert (flow["pkts_src"], flow["pkts_dst"], flow["payload_dst"]) == (6, 5, 1200)
    assert (flow["outcome"], flow["conn_state"]) == ("answered", "SF")


def test_syns_that_repeat_are_one_attempt_and_a_new_connection_is_not():
    syn = {"f": 2, "g": 0, "pkts_dst": 0, "opens": True}
    rows: list[dict[str, Any]] = [{**syn, "at": 0, "until": 3, "pkts_src": 2}, {**syn, "at": 9, "until": 9, "pkts_src": 1}]
    (flow,) = flows(block(rows, PART))
    assert (flow["outcome"], flow["syn_count"], flow["pkts_src"]) == ("unanswered", 3, 3)
    again = {"at": 40, "until": 41, "f": 27, "g": 27, "pkts_src": 5, "pkts_dst": 4, "payload_dst": 10, "opens": True}
    assert [f["outcome"] for f in flows(block([*rows, again], PART))] == ["unanswered", "answered"]
    assert len(flows(block([*rows, {**syn, "at": 200, "until": 200, "pkts_src": 1}], PART))) == 2


def test_two_directions_are_one_flow_whichever_comes_first():
    there: dict[str, Any] = {"at": 1, "until": 4, "pkts_src": 5, "bytes_src": 400, "f": 27}
    ends = {"src": "192.0.2.1", "dst": "10.0.0.1", "sport": 80, "dport": 1025}
    back: dict[str, Any] = {**ends, "at": 1, "until": 4, "pkts_src": 6, "bytes_src": 5000, "f": 27}
    for rows in ([there, back], [back, there]):
        (flow,) = flows(block(rows, ONE_WAY))
        assert (flow["src"], flow["dport"], flow["pkts_src"], flow["pkts_dst"]) == ("10.0.0.1", 80, 5, 6)
        assert flow["outcome"] == "answered"
    (flow,) = flows(block([{**there, "f": 2, "pkts_src": 1}], ONE_WAY))
    assert (flow["outcome"], flow["pkts_dst"]) == ("unanswered", 0)


def test_a_mention_says_that_there_was_a_connection_and_not_how_large():
    (flow,) = flows(block([{"at": 0, "until": 0}, {"at": 3, "until": 3}], MENTION))
    assert (flow["pkts_src"], flow["bytes_dst"], flow["outcome"], flow["conn_state"]) == (None, None, None, None)


def test_whole_flows_stay_apart():
    row = {"pkts_src": 5, "pkts_dst": 4, "payload_dst": 10, "f": 27, "g": 27}
    assert len(flows(block([{**row, "at": 0, "until": 1}, {**row, "at": 2, "until": 3}], WHOLE))) == 2


@pytest.mark.parametrize("cut", range(1, 6))
def test_where_blocks_are_cut_does_not_matter(cut):
    rows: list[dict[str, Any]] = [
        {"at": n, "until": n + 1, "sport": 1025 + n % 3, "pkts_src": n + 1, "pkts_dst": n, "f": 2 if n < 3 else 24, "g": 18, "opens": n < 3}
        for n in range(6)
    ]
    whole = flows(block(rows, PART))
    one, two = block(rows[:cut], PART), block(rows[cut:], PART)
    two.number = two.number + cut
    assert flows(one, two) == whole


# -- Argus files, damaged ---------------------------------------------------------------------------------------------------


def argus_file() -> bytes:
    rows = [
        {"at": n, "until": n + 2, "sport": 2000 + n, "pkts_src": 4, "pkts_dst": 3, "bytes_src": 400, "bytes_dst": 900, "payload_src": 9,
         "payload_dst": 99, "f": 27, "g": 27, "opens": True}
        for n in range(8)
    ]  # fmt: skip
    state = flow_rows.LogState()
    flow_rows.take(block(rows, PART), state, 1, 1, with_records=False, with_community_id=False)
    return b"".join(write_flows(iter([flow_rows.finish(state, with_community_id=False)]), "SYNTHETIC: a test"))


FILE = argus_file()


def read(data: bytes, *, step: int | None = None) -> tuple[int, str | None]:
    """Records read and the damage; `step`: bytes fed at once."""
    reader = argus.ArgusReader()
    buffer = np.frombuffer(bytearray(data), np.uint8)
    count, at, end = 0, 0, step or len(data)
    while True:
        final = end >= len(data)
        took = reader.feed(buffer[at : min(end, len(data))], min(end, len(data)) - at, final=final)
        for b in took.blocks:
            made = flow_rows.take(b, flow_rows.LogState(), 1, 1, with_records=True, with_community_id=True)
            made.tables["records"].validate(full=True)
            made.tables["argus"].validate(full=True)
            count += len(b)
        at += took.consumed
        if took.damage is not None or final:
            return count, took.damage
        end += step or 0


def test_a_file_cut_anywhere_is_read_up_to_the_cut():
    for length in range(128, len(FILE), 7):
        count, damage = read(FILE[:length])
        assert 0 <= count <= 8
        whole = length in (128, len(FILE)) or damage is None
        assert whole or "cut short" in (damage or "")
    assert read(FILE) == (8, None)


def test_pieces_of_any_size_give_the_same_records():
    assert {read(FILE, step=step) for step in (40, 128, 333, 1000)} == {(8, None)}


def test_words_of_this_program_are_found():
    reader = argus.ArgusReader()
    reader.feed(np.frombuffer(bytearray(FILE), np.uint8), len(FILE), final=True)
    assert reader.words == ["SYNTHETIC: a test"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_no_damage_raises(changes):
    data = bytearray(FILE)
    for place, value in changes:
        data[place] = value
    count, _ = read(bytes(data))
    assert 0 <= count <= 20


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600))
def test_arbitrary_bytes_behind_a_good_beginning(data):
    read(FILE[:128] + data)
