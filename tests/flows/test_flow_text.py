"""In: finished flow rows, made up and from real captures. Out: whether the fast ways to write their text (Community IDs,
addresses, histories) say the same as the plain ones. Never here: how rows come about (test_assemble.py)."""

from __future__ import annotations

import socket

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.flows import assemble
from tracehound.flows.key import V4_MAPPED, community_id, community_ids, write_community_ids
from tracehound.flows.state import (
    HI,
    HISTORY,
    HISTORY_LEN,
    KEPT,
    LO,
    ONE_WAY,
    ORIG,
    PORT,
    PROTO,
    VERSION,
    WIDTH,
    FlowState,
    at_end,
)
from tracehound.flows.tcp_outcome import Columns, columns_of, describe, flow_table
from tracehound.packets.addresses import address_column, address_text, number_keys, packed
from tracehound.packets.decode import DecodeState, decode

U64 = st.integers(0, 2**64 - 1)
PORTS = st.integers(0, 65535)


def expected(row):
    orig = int(row[ORIG])
    unsigned, version = row.view(np.uint64), int(row[VERSION])
    ends = [
        (packed(int(unsigned[HI + e]), int(unsigned[LO + e]), version), int(row[PORT + e])) for e in (orig, 1 - orig)
    ]
    has_ports = int(row[PROTO]) in (1, 6, 17, 58, 132)
    return community_id(
        ends[0][0], ends[1][0], int(row[PROTO]), ends[0][1], ends[1][1],
        one_way=has_ports and bool(row[ONE_WAY]), has_ports=has_ports,
    )  # fmt: skip


def made(version, proto, ends, orig, one_way):
    row = np.zeros(WIDTH, np.int64)
    for e, (hi, lo, port) in enumerate(ends):
        row.view(np.uint64)[HI + e] = 0 if version == 4 else hi
        row.view(np.uint64)[LO + e] = V4_MAPPED | lo & 0xFFFFFFFF if version == 4 else lo
        row[PORT + e] = port
    row[VERSION], row[PROTO], row[ORIG], row[ONE_WAY] = version, proto, orig, one_way
    return row


@given(
    st.sampled_from((4, 6)), st.sampled_from((0, 1, 6, 17, 47, 58, 132, 255)),
    st.tuples(*[st.tuples(U64, U64, PORTS)] * 2), st.integers(0, 1), st.booleans(), st.booleans(),
)  # fmt: skip
def test_community_ids_of_made_up_rows(version, proto, ends, orig, one_way, same_address):
    if same_address:
        ends = (ends[0], (*ends[0][:2], ends[1][2]))
    row = made(version, proto, ends, orig, one_way)
    assert community_ids(row[:, None]).to_pylist() == [expected(row)]


def test_community_ids_plain_and_compiled_agree():
    closed = np.stack([made(v, p, ((1, 2, 3), (4, 5, 6)), 1, False) for v in (4, 6) for p in (6, 47)], axis=1)
    text = np.empty((closed.shape[1], 30), np.uint8)
    write_community_ids.py_func(closed, text, np.empty(80, np.int64), np.empty(64, np.int64))  # type: ignore[attr-defined]
    assert [bytes(t).decode() for t in text] == community_ids(closed).to_pylist()


def test_addresses_of_both_versions_and_missing_ones():
    lo = np.array([V4_MAPPED | 0x7F000001, 1, V4_MAPPED | 0x7F000001, 1, 0], np.uint64)
    hi = np.array([0, 0x20010DB8 << 32, 0, 0x20010DB8 << 32, 0], np.uint64)
    version, missing = np.array([4, 6, 6, 6, 0], np.uint8), np.array([False, False, False, False, True])
    got = address_column(hi, lo, version, missing)
    assert got.to_pylist() == ["127.0.0.1", "2001:db8::1", "::ffff:127.0.0.1", "2001:db8::1", None]
    assert len(got.dictionary) == 3
    assert address_column(hi[:0], lo[:0], version[:0]).to_pylist() == []


@needs_shared
def test_real_flows_say_the_same_as_the_plain_way():
    state, decoding, rows = FlowState(), DecodeState(), []
    state.clock[1] = 1
    batches = read_batches(list_evidence([str(SHARED / "captures" / "zeek")])[:120])
    rows += [assemble.assemble(decode(raw, decoding), state)[1] for raw in batches]
    rows.append(assemble.finish(state))
    closed = np.concatenate(rows, axis=1)
    table = flow_table(closed)
    assert table.num_rows == closed.shape[1] > 100
    assert table["community_id"].to_pylist() == [expected(row) for row in closed.T]
    unsigned = closed.view(np.uint64)
    for name, side in (("src", closed[ORIG]), ("dst", 1 - closed[ORIG])):
        ends = zip(at_end(unsigned, HI, side).tolist(), at_end(unsigned, LO, side).tolist(), strict=True)
        texts = [address_text(hi, lo, v) for (hi, lo), v in zip(ends, closed[VERSION].tolist(), strict=True)]
        assert table[name].to_pylist() == texts
        assert all(socket.getaddrinfo(t, None, flags=socket.AI_NUMERICHOST) for t in texts[:50])
    for row, history in zip(closed.T, table["history"].to_pylist(), strict=True):
        letters = row[HISTORY : HISTORY + 5].tobytes()[: row[HISTORY_LEN]].decode()
        assert history == (letters if row[PROTO] in (6, 17) else None)


@given(st.lists(st.lists(st.integers(0, 5), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=4), st.data())
def test_columns_of_finished_flows_plain_and_compiled_agree(rows, data):
    records = np.array(rows, np.int64)[:, :KEPT]
    for record in records:
        record[PROTO] = data.draw(st.sampled_from((1, 6, 17, 47, 58, 132)))
        record[ORIG] &= 1
        letters = data.draw(st.text(alphabet="^SHADFRGTWIQshadfr", max_size=40)).encode()
        record[HISTORY : HISTORY + 5] = np.frombuffer(letters.ljust(40, b"\0"), np.int64)
        record[HISTORY_LEN] = len(letters)
    compiled, plain = columns_of(records), columns_of(records)
    for block in plain:
        block[...] = 0
    describe.py_func(records.ravel(), plain)  # type: ignore[attr-defined]
    used = int(compiled.ends_at[-1])
    assert np.array_equal(compiled.letters[:used], plain.letters[:used])
    for name in set(Columns._fields) - {"letters"}:
        assert np.array_equal(getattr(compiled, name), getattr(plain, name)), name


@given(st.lists(st.tuples(U64, U64, st.sampled_from((4, 6))), max_size=30), st.data())
def test_addresses_numbered_and_written_plain_and_compiled(keys, data):
    # Few distinct ones, and some that are left out.
    keys = [data.draw(st.sampled_from(keys)) for _ in keys]
    missing = np.array([data.draw(st.booleans()) for _ in keys], np.bool_)
    hi, lo, version = (np.array([k[n] for k in keys], np.uint64) for n in range(3))
    got = address_column(hi, lo, version, missing)
    assert got.to_pylist() == [None if gone else address_text(*k) for k, gone in zip(keys, missing.tolist(), strict=True)]
    flat = np.ascontiguousarray(np.stack([hi, lo, version], axis=1)).view(np.int64).reshape(-1)
    results = []
    for run in (number_keys, number_keys.py_func):  # type: ignore[attr-defined]
        codes, distinct = np.empty(len(keys), np.int32), np.zeros(3 * len(keys), np.int64)
        with np.errstate(over="ignore"):
            count = run(flat, missing, np.full(64, -1, np.int32), codes, distinct)
        results.append((int(count), codes.tolist(), distinct.tolist()))
    assert results[0] == results[1]
