"""In: blocks of records (reader.py) of one chain of log files. Out: rows of the tables `flows`, `records` and of those that the
records carry (http, dns, argus, ...), with their numbers. Never here: a format, files, or what is joined with what (joining.py).

What a log says of how a connection went is taken from it (its own state); otherwise it follows from flags, packets and payload, in
the order of flows/tcp_outcome.py, as far as a log can tell: it does not know in which order the flags came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import joining as j
from tracehound.flowlogs.originator import originators
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, Block, Ends, filled
from tracehound.flows import state as packet_flows
from tracehound.flows.key import ICMP_PAIRS, ICMPV6_PAIRS, V4_MAPPED, community_ids
from tracehound.flows.state import REASONS
from tracehound.flows.tcp_outcome import CONN_STATES, OUTCOME_NAMES
from tracehound.packets.addresses import address_column, address_number, address_text, dictionary
from tracehound.tables import ALL, EVIDENCE_SHIFT, FLOWS, RECORDS

TXN_SHIFT: Final = 20
TXN_MASK: Final = (1 << TXN_SHIFT) - 1
_HARDWARE: Final = 48
_WORDS: Final = ("service", "history", "tunnel")
_COUNTERPART: Final = np.full((2, 256), -1, dtype=np.int64)
for _version, _pairs in enumerate((ICMP_PAIRS, ICMPV6_PAIRS)):
    for _a, _b in _pairs.items():
        _COUNTERPART[_version, _a] = _b


@dataclass(slots=True)
class LogState:
    """One chain of log files between blocks.

    words   texts that flows carry (service, history, tunnel) as numbers: one list for all, bounded by limits.MAX_LOG_WORDS
    closed  flows that are over and not yet rows of a table: made so limits.LOG_ROWS_AT_ONCE at a time"""

    joins: j.JoinState = field(default_factory=j.JoinState)
    words: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    closed: list[j.Rows] = field(default_factory=list)
    closed_rows: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """What one block gave: rows by table name, and the number that the next flow gets."""

    tables: dict[str, pa.Table]
    next_flow_id: int


# -- addresses ------------------------------------------------------------------------------------------------------------


def numbers_of(texts: pa.Array) -> Ends:
    """A text column of addresses as numbers; each distinct text is read once. What is no address has version 0."""
    if not pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_encode()
    distinct = [address_number(text) for text in texts.dictionary.to_pylist()]
    table = np.array([*distinct, (0, 0, 0)], dtype=np.uint64).reshape(-1, 3)
    codes = pc.fill_null(texts.indices.cast(pa.int64()), len(distinct)).to_numpy(zero_copy_only=False)
    picked = table[codes]
    return Ends(
        np.ascontiguousarray(picked[:, 0]), np.ascontiguousarray(picked[:, 1]), picked[:, 2].astype(np.uint8)
    )  # fmt: skip


def _ends(value: Ends | pa.Array) -> Ends:
    return value if isinstance(value, Ends) else numbers_of(value)


def _end_column(given: Ends | pa.Array, ends: Ends) -> pa.Array:
    """Canonical text of each end, hardware addresses included; null where there is none."""
    if not isinstance(given, Ends):
        return _canonical(given, ends)
    missing = ends.version == 0
    if not (ends.version == _HARDWARE).any():
        return address_column(ends.hi, ends.lo, ends.version, missing if missing.any() else None)
    keys = np.stack([ends.hi, ends.lo, ends.version.astype(np.uint64)], axis=1)
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(24), len(keys), [None, pa.py_buffer(keys)]).dictionary_encode()
    distinct = np.frombuffer(b"".join(column.dictionary.to_pylist()), np.uint64).reshape(-1, 3).tolist()
    texts = [_end_text(*key) for key in distinct]
    codes = column.indices.to_numpy()
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), pa.array(texts, pa.string()))


def _end_text(hi: int, lo: int, version: int) -> str:
    if version == 0:
        return ""
    if version == _HARDWARE:
        return ":".join(f"{lo >> shift & 0xFF:02x}" for shift in (40, 32, 24, 16, 8, 0))
    return address_text(hi, lo, version)


def _canonical(given: pa.Array, ends: Ends) -> pa.Array:
    """Texts as given, but for addresses, which are spelled canonically."""
    encoded = given if pa.types.is_dictionary(given.type) else given.dictionary_encode()
    spelled: list[str | None] = []
    for text in encoded.dictionary.to_pylist():
        number = address_number(text)
        spelled.append(_end_text(*number) if number[2] else text)
    # Two spellings of one address become one entry.
    place = {text: i for i, text in enumerate(dict.fromkeys(spelled))}
    moved = pa.array([place[text] for text in spelled], pa.int32())
    return pa.DictionaryArray.from_arrays(pc.take(moved, encoded.indices), pa.array(list(place), pa.string()))


# -- records ----------------------------------------------------------------------------------------------------------------


def _codes(block: Block, name: str, state: LogState) -> NDArray[np.int64]:
    """A text column as numbers of `state.words`; MISSING where it is null or not there."""
    column = block.texts.get(name)
    if column is None or column.null_count == len(column):
        return np.full(len(block), MISSING, np.int64)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    numbers = []
    for text in encoded.dictionary.to_pylist():
        if text not in state.words and len(state.texts) < limits.MAX_LOG_WORDS:
            state.words[text] = len(state.texts)
            state.texts.append(text)
        numbers.append(state.words.get(text, MISSING))
    table = np.array([*numbers, MISSING], dtype=np.int64)
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), len(numbers)).to_numpy(zero_copy_only=False)
    picked: NDArray[np.int64] = table[codes]
    return picked


def _yes(values: NDArray[np.bool_] | None, count: int) -> NDArray[np.int64]:
    return np.zeros(count, np.int64) if values is None else values.astype(np.int64)


def inputs_of(block: Block, src: Ends, dst: Ends, state: LogState) -> j.Inputs:
    """A block as the array that joining.py reads."""
    n = len(block)
    out = np.empty((n, j.FIELDS), dtype=np.int64)
    out[:, j.I_START], out[:, j.I_END] = block.start, np.maximum(block.start, block.end)
    out[:, j.I_PROTO] = filled(block.proto, n)
    out[:, j.I_VERSION] = src.version
    for side, ends in enumerate((src, dst)):
        out[:, j.I_HI + side], out[:, j.I_LO + side] = ends.hi.view(np.int64), ends.lo.view(np.int64)
    pairs = (
        (j.I_PORT, block.sport, block.dport), (j.I_PKTS, block.pkts_src, block.pkts_dst), (j.I_BYTES, block.bytes_src, block.bytes_dst),
        (j.I_PAYLOAD, block.payload_src, block.payload_dst), (j.I_FLAGS, block.tcp_flags_src, block.tcp_flags_dst),
    )  # fmt: skip
    for place, first, second in pairs:
        out[:, place], out[:, place + 1] = filled(first, n), filled(second, n)
    # A counter that no record can have is no counter: sums stay far from the end of 64 bits.
    for place in (j.I_PKTS, j.I_BYTES, j.I_PAYLOAD):
        counts = out[:, place : place + 2]
        counts[counts > limits.MAX_LOG_COUNTER] = MISSING
    _counterparts(out)
    out[:, j.I_PORT : j.I_PORT + 2] = np.clip(out[:, j.I_PORT : j.I_PORT + 2], 0, 65535)
    out[:, j.I_SYNS] = filled(block.syn_count, n)
    out[:, j.I_OPENS], out[:, j.I_CLOSES], out[:, j.I_CERTAIN] = (_yes(v, n) for v in (block.opens, block.closes, block.certain))
    out[:, j.I_JOINS] = block.joins
    out[:, j.I_OUTCOME], out[:, j.I_STATE] = filled(block.outcome, n), filled(block.conn_state, n)
    out[:, j.I_ICMP_TYPE], out[:, j.I_ICMP_CODE] = filled(block.icmp_type, n), filled(block.icmp_code, n)
    teller = Ends(np.zeros(n, np.uint64), np.zeros(n, np.uint64), np.zeros(n, np.uint8))
    if block.icmp_from is not None:
        teller = _ends(block.icmp_from)
    out[:, j.I_ICMP_HI], out[:, j.I_ICMP_LO], out[:, j.I_ICMP_VERSION] = teller.hi.view(np.int64), teller.lo.view(np.int64), teller.version
    out[:, j.I_TTL], out[:, j.I_VLAN] = filled(block.ttl_src, n), filled(block.vlan, n)
    out[:, j.I_SERVICE], out[:, j.I_HISTORY], out[:, j.I_TUNNEL] = (_codes(block, name, state) for name in _WORDS)
    out[:, j.I_RECORD] = block.number
    return out


def _counterparts(inputs: j.Inputs) -> None:
    """ICMP messages that expect an answer have the type that answers in place of their code, as in Zeek and Community ID."""
    for row, proto in enumerate((1, 58)):
        icmp = inputs[:, j.I_PROTO] == proto
        if icmp.any():
            answer = _COUNTERPART[row][np.clip(inputs[icmp, j.I_PORT], 0, 255)]
            inputs[icmp, j.I_PORT + 1] = np.where(answer >= 0, answer, inputs[icmp, j.I_PORT + 1])


def take(
    block: Block, state: LogState, next_flow_id: int, evidence_id: int, *, with_records: bool, with_community_id: bool
) -> Made:
    """Join the records of one block into flows: rows of tables that are finished."""
    src, dst = _ends(block.src), _ends(block.dst)
    both = (src.version == dst.version) & ((src.version == 4) | (src.version == 6))
    inputs = block.inputs if block.inputs is not None else inputs_of(block, src, dst, state)
    proto = inputs[:, j.I_PROTO]
    of_flow = both & (proto >= 0) & (proto <= 255) & (block.start < j.NEVER) & (block.start > -j.NEVER)
    flow_id = np.zeros(len(block), dtype=np.int64)
    base = evidence_id << EVIDENCE_SHIFT
    made: dict[str, pa.Table] = {}
    if of_flow.any():
        chosen = inputs if of_flow.all() else inputs[of_flow]
        chosen[:, j.I_RECORD] |= base
        closed, ids, next_flow_id = j.join(chosen, state.joins, next_flow_id)
        flow_id[of_flow] = ids
        state.closed.append(closed)
        state.closed_rows += len(closed)
        if state.closed_rows >= limits.LOG_ROWS_AT_ONCE:
            made["flows"] = _emit(state, with_community_id=with_community_id)
    if with_records:
        made["records"] = record_rows(block, src, dst, flow_id, base)
        made |= {name: numbered(table, name, block.number, flow_id, base) for name, table in block.tables.items()}
    else:
        made |= {
            name: numbered(table, name, block.number, flow_id, base)
            for name, table in block.tables.items()
            if "record_id" not in table.column_names
        }
    return Made(made, next_flow_id)


def record_rows(block: Block, src: Ends, dst: Ends, flow_id: NDArray[np.int64], base: int) -> pa.Table:
    """Rows of table `records`."""
    n = len(block)
    schema = RECORDS.schema

    def number(name: str, values: NDArray[Any] | None, highest: int) -> pa.Array:
        kind = schema.field(name).type
        v = filled(values, n)
        missing = (v < 0) | (v > highest)
        return pa.array(np.where(missing, 0, v).astype(kind.to_pandas_dtype()), mask=missing)

    def text(name: str) -> pa.Array:
        kind = schema.field(name).type
        column = block.texts.get("uid" if name == "source_uid" else name)
        if column is None:
            return pa.nulls(n, kind)
        return column if column.type == kind else _text_as(column, kind)

    source = pa.array([block.source] * n, pa.string()) if isinstance(block.source, str) else block.source
    columns: dict[str, pa.Array] = {
        "record_id": pa.array(block.number + base),
        "evidence_id": pa.array(np.full(n, base >> EVIDENCE_SHIFT, np.int32)),
        "record": pa.array(block.number),
        "file_offset": number("file_offset", block.offset, 2**62),
        "flow_id": pa.array(flow_id, mask=flow_id == 0),
        "source": _text_as(source, schema.field("source").type),
        "start": pa.array(block.start).cast(schema.field("start").type),
        "end": pa.array(np.maximum(block.start, block.end)).cast(schema.field("end").type),
        "proto": number("proto", block.proto, 255),
        "src": _end_column(block.src, src),
        "dst": _end_column(block.dst, dst),
        "sport": number("sport", block.sport, 65535),
        "dport": number("dport", block.dport, 65535),
        "tcp_flags_src": number("tcp_flags_src", block.tcp_flags_src, 255),
        "tcp_flags_dst": number("tcp_flags_dst", block.tcp_flags_dst, 255),
    }
    for name in ("pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "payload_src", "payload_dst"):
        columns[name] = number(name, getattr(block, name), limits.MAX_LOG_COUNTER)
    for name in RECORDS.names:
        if name not in columns:
            columns[name] = text(name)
    return pa.table([columns[name] for name in RECORDS.names], schema=schema)


def _text_as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column of text as plain or dictionary text, whichever `kind` is."""
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode().cast(kind)
    return column.cast(kind)


def numbered(table: pa.Table, name: str, numbers: NDArray[np.int64], flow_id: NDArray[np.int64], base: int) -> pa.Table:
    """Rows that the records carry, with real numbers in place of the record's number."""
    schema = ALL[name].schema
    columns: dict[str, pa.ChunkedArray | pa.Array] = {c: table[c] for c in table.column_names}
    key = next(c for c in ("record_id", "flow_id") if c in columns)
    mine = columns[key].to_numpy()
    place = np.clip(np.searchsorted(numbers, mine), 0, max(len(numbers) - 1, 0))
    flow = flow_id[place] if len(numbers) else np.zeros(len(mine), np.int64)
    for column in table.column_names:
        if column == "record_id":
            columns[column] = pa.array(mine + base)
        elif column == "flow_id":
            columns[column] = pa.array(flow)
        elif column == "txn_id":
            columns[column] = pa.array(flow << TXN_SHIFT | mine & TXN_MASK)
        elif column.endswith("packet_id") and columns[column].null_count < len(mine):
            columns[column] = pa.array(mine + base)
    rows = pa.table([columns[c] for c in schema.names], schema=schema)
    # What belongs to no flow (a line without addresses) has nothing to hang on.
    return rows if key == "record_id" or (flow > 0).all() else rows.filter(pa.array(flow > 0))


# -- flows ------------------------------------------------------------------------------------------------------------------


def finish(state: LogState, *, with_community_id: bool) -> pa.Table:
    """The chain is over: rows of `flows` of what is still open."""
    state.closed.append(j.finish(state.joins))
    return _emit(state, with_community_id=with_community_id)


def _emit(state: LogState, *, with_community_id: bool) -> pa.Table:
    # One column behind the other: from here on they are read a column at a time.
    rows = np.asfortranarray(np.concatenate(state.closed))
    state.closed.clear()
    state.closed_rows = 0
    return flow_rows(rows, state, with_community_id=with_community_id)


def _of_side(rows: j.Rows, place: int, end: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(end == 0, rows[:, place], rows[:, place + 1])


def community_id_column(rows: j.Rows, one_way: NDArray[np.bool_]) -> pa.Array:
    """Community IDs, by the same kernel as for packets."""
    closed = np.zeros((packet_flows.KEPT, len(rows)), dtype=np.int64)
    pairs = ((packet_flows.HI, j.HI), (packet_flows.LO, j.LO), (packet_flows.PORT, j.PORT))
    for place, source in pairs:
        closed[place], closed[place + 1] = rows[:, source], rows[:, source + 1]
    closed[packet_flows.PROTO], closed[packet_flows.VERSION] = rows[:, j.PROTO], rows[:, j.VERSION]
    closed[packet_flows.ONE_WAY] = one_way
    return community_ids(closed)


def conn_states(rows: j.Rows, src: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes into CONN_STATES; MISSING where a log says too little. Without the order of flags the later stages of a connection
    count before the earlier ones; of two RSTs it is not known which was first: the responder's is taken."""
    dst = 1 - src
    tcp, udp = rows[:, j.PROTO] == 6, rows[:, j.PROTO] == 17
    told = rows[:, j.STATE] >= 0
    f, g = (_of_side(rows, j.FLAGS, end) for end in (src, dst))
    known = tcp & ((f >= 0) | (g >= 0))
    f, g = np.maximum(f, 0), np.maximum(g, 0)
    # Of an originator that nobody counted it is known that it was there; of a responder it is not.
    # Packets that nobody counted show as bytes or flags.
    pkts_dst, bytes_dst = _of_side(rows, j.PKTS, dst), _of_side(rows, j.BYTES, dst)
    here, there = _of_side(rows, j.PKTS, src) != 0, (pkts_dst > 0) | ((pkts_dst < 0) & ((bytes_dst > 0) | (tcp & (g > 0))))
    mention = rows[:, j.JOINS] == MENTION
    syn, syn_ack = f & 2 > 0, g & 2 > 0
    code = {name: n for n, name in enumerate(CONN_STATES)}
    rules: list[tuple[NDArray[np.bool_], NDArray[np.int64] | int]] = [
        (told, rows[:, j.STATE]),
        (mention | (tcp & ~known), MISSING),
        (tcp & syn & ~there & (f & 4 > 0), code["RSTOS0"]),
        (tcp & syn & ~there & (f & 1 > 0), code["SH"]),
        (tcp & syn & ~there & (f & 16 == 0), code["S0"]),
        (tcp & ~here & syn_ack & (g & 4 > 0), code["RSTRH"]),
        (tcp & ~here & syn_ack & (g & 1 > 0), code["SHR"]),
        (tcp & syn & ~syn_ack & (g & 4 > 0), code["REJ"]),
        (tcp & ~syn & ~syn_ack, code["OTH"]),
        (tcp & syn_ack & (g & 4 > 0), code["RSTR"]),
        (tcp & syn_ack & (f & 4 > 0), code["RSTO"]),
        (tcp & syn_ack & (f & 1 > 0) & (g & 1 > 0), code["SF"]),
        (tcp & syn_ack & (f & 1 > 0), code["S2"]),
        (tcp & syn_ack & (g & 1 > 0), code["S3"]),
        (tcp & syn & syn_ack, code["S1"]),
        (udp & here & there, code["SF"]),
        (udp & here, code["S0"]),
        (udp & there, code["SHR"]),
    ]
    n = len(rows)
    return np.select([c for c, _ in rules], [np.broadcast_to(np.asarray(v), (n,)) for _, v in rules], default=code["OTH"])


_LONGEST_HEADERS: Final = 14 + 4 + 40 + 60
"""Link, VLAN, IPv6 and TCP with all options: what goes beyond it in every packet is payload."""


def outcomes(rows: j.Rows, src: NDArray[np.int64], one_way_icmp: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Codes into OUTCOME_NAMES; MISSING where the flow is no attempt or the log says too little."""
    dst = 1 - src
    proto = rows[:, j.PROTO]
    tcp = proto == 6
    pkts_src, pkts_dst = (_of_side(rows, j.PKTS, end) for end in (src, dst))
    f, g = (_of_side(rows, j.FLAGS, end) for end in (src, dst))
    flags_known = (f >= 0) | (g >= 0)
    f, g = np.maximum(f, 0), np.maximum(g, 0)
    payload_dst, bytes_dst = _of_side(rows, j.PAYLOAD, dst), _of_side(rows, j.BYTES, dst)
    told = rows[:, j.ICMP_TYPE] >= 0
    syn, syn_ack = f & 2 > 0, g & 2 > 0
    tried = syn | ~flags_known
    # Payload that nobody counted shows as PUSH, or as more bytes than headers can have.
    spoke = np.where(payload_dst >= 0, payload_dst > 0, (g & 8 > 0) | (bytes_dst > np.maximum(pkts_dst, 0) * _LONGEST_HEADERS))
    mention = rows[:, j.JOINS] == MENTION
    # Packets that nobody counted show as bytes or flags.
    silent = (pkts_dst == 0) | ((pkts_dst < 0) & (bytes_dst <= 0) & (g == 0))
    answerable = (proto == 17) | (((proto == 1) | (proto == 58)) & ~one_way_icmp)
    code = {name: n for n, name in enumerate(OUTCOME_NAMES)}
    rules: list[tuple[NDArray[np.bool_], NDArray[np.int64] | int]] = [
        (rows[:, j.OUTCOME] >= 0, rows[:, j.OUTCOME]),
        (mention, MISSING),
        (tcp & (pkts_src == 0), code["one_sided"]),
        (tcp & tried & silent & told, code["unreachable"]),
        (tcp & syn & silent & (f & 16 > 0), code["one_sided"]),
        (tcp & tried & silent, code["unanswered"]),
        (tcp & syn & ~syn_ack & (g & 4 > 0), code["refused"]),
        (tcp & flags_known & ~syn & ~syn_ack, code["midstream"]),
        (tcp & spoke, code["answered"]),
        (tcp & syn_ack, code["accepted"]),
        (tcp & told, code["unreachable"]),
        (tcp & flags_known, code["midstream"]),
        (tcp, MISSING),
        (answerable & (pkts_src == 0), code["one_sided"]),
        (answerable & ~silent & ((payload_dst != 0) | (proto != 17)), code["answered"]),
        (answerable & ~silent, code["accepted"]),
        (answerable & told, code["unreachable"]),
        (answerable, code["unanswered"]),
    ]
    n = len(rows)
    return np.select([c for c, _ in rules], [np.broadcast_to(np.asarray(v), (n,)) for _, v in rules], default=MISSING)


def flow_rows(rows: j.Rows, state: LogState, *, with_community_id: bool) -> pa.Table:
    """Finished flows as rows of table `flows`."""
    n = len(rows)
    # A source of one direction a record that has none of the other has seen nothing of it.
    for end in (0, 1):
        unseen = (rows[:, j.JOINS] == ONE_WAY) & (rows[:, j.ANSWERS + end] == 0)
        for place in (j.PKTS, j.BYTES, j.PAYLOAD):
            rows[unseen, place + end] = 0
    proto, version = rows[:, j.PROTO], rows[:, j.VERSION]
    kind = rows[:, j.PORT] & 0xFF
    counterpart = np.select([proto == 1, proto == 58], [_COUNTERPART[0][kind], _COUNTERPART[1][kind]], default=-1)
    icmp = (proto == 1) | (proto == 58)
    one_way = icmp & (counterpart < 0)
    src, reason = originators(rows)
    # A message that nobody answers has no responder to be taken for the originator.
    src = np.where(one_way, 0, src)
    dst = 1 - src
    schema = FLOWS.schema
    tcp = proto == 6
    no_icmp = rows[:, j.ICMP_TYPE] < 0
    outcome, conn_state = outcomes(rows, src, one_way), conn_states(rows, src)
    unsigned = rows.view(np.uint64)

    def number(name: str, values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
        k = schema.field(name).type
        if pa.types.is_timestamp(k):
            return pa.array(values).cast(k)
        blank = values < 0 if missing is None else missing | (values < 0)
        return pa.array(np.where(blank, 0, values).astype(k.to_pandas_dtype()), mask=blank)

    def word(place: int) -> pa.Array:
        codes = rows[:, place]
        return dictionary(codes, state.texts, codes < 0)

    syns = _of_side(rows, j.SYNS, src)
    # Where only SYNs were seen, each packet is one.
    only_syn = tcp & (syns < 0) & (_of_side(rows, j.FLAGS, src) == 2)
    syns = np.where(only_syn, _of_side(rows, j.PKTS, src), syns)
    first_id = _of_side(rows, j.FIRST, np.zeros(n, dtype=np.int64))
    columns: dict[str, pa.Array] = {
        "flow_id": pa.array(np.ascontiguousarray(rows[:, j.ID])),
        "community_id": community_id_column(rows, one_way) if with_community_id else pa.nulls(n, pa.string()),
        "evidence_id": pa.array((rows[:, j.FIRST] >> EVIDENCE_SHIFT).astype(np.int32)),
        "start": number("start", np.ascontiguousarray(rows[:, j.START])),
        "end": number("end", np.ascontiguousarray(rows[:, j.END])),
        "proto": number("proto", proto),
        "src": _address(unsigned, version, src),
        "dst": _address(unsigned, version, dst),
        "sport": number("sport", _of_side(rows, j.PORT, src)),
        "dport": number("dport", _of_side(rows, j.PORT, dst)),
        "service": word(j.SERVICE),
        "missed": pa.nulls(n, pa.int64()),
        "syn_count": number("syn_count", np.minimum(syns, 2**31 - 1), ~tcp),
        "tcp_flags_src": number("tcp_flags_src", _of_side(rows, j.FLAGS, src), ~tcp),
        "tcp_flags_dst": number("tcp_flags_dst", _of_side(rows, j.FLAGS, dst), ~tcp),
        "conn_state": dictionary(conn_state, CONN_STATES, conn_state < 0),
        "history": pc.cast(word(j.HISTORY), pa.string()),
        "outcome": dictionary(outcome, OUTCOME_NAMES, outcome < 0),
        "originator_reason": dictionary(reason, REASONS),
        "icmp_type": number("icmp_type", rows[:, j.ICMP_TYPE] & 0xFF, no_icmp),
        "icmp_code": number("icmp_code", rows[:, j.ICMP_CODE] & 0xFF, no_icmp),
        "icmp_from": address_column(
            np.ascontiguousarray(unsigned[:, j.ICMP_HI]), np.ascontiguousarray(unsigned[:, j.ICMP_LO]), rows[:, j.ICMP_VERSION],
            no_icmp | (rows[:, j.ICMP_VERSION] <= 0),
        ),
        "ttl_src": number("ttl_src", np.minimum(_of_side(rows, j.TTL, src), 255)),
        "vlan": _vlans(rows[:, j.VLAN]),
        "tunnel": word(j.TUNNEL),
        "first_record_id": pa.array(first_id),
    }  # fmt: skip
    for name, place in (("pkts", j.PKTS), ("bytes", j.BYTES), ("payload", j.PAYLOAD)):
        columns[f"{name}_src"] = number(f"{name}_src", _of_side(rows, place, src))
        columns[f"{name}_dst"] = number(f"{name}_dst", _of_side(rows, place, dst))
    for name in FLOWS.names:
        if name not in columns:
            columns[name] = pa.nulls(n, schema.field(name).type)
    return pa.table([columns[name] for name in FLOWS.names], schema=schema)


def _address(unsigned: NDArray[np.uint64], version: NDArray[np.int64], end: NDArray[np.int64]) -> pa.Array:
    hi = np.where(end == 0, unsigned[:, j.HI], unsigned[:, j.HI + 1])
    lo = np.where(end == 0, unsigned[:, j.LO], unsigned[:, j.LO + 1])
    return address_column(hi, lo, version)


def _vlans(vlan: NDArray[np.int64]) -> pa.Array:
    distinct, inverse = np.unique(vlan, return_inverse=True)
    return dictionary(inverse, [str(v) for v in distinct.tolist()], vlan < 0)


def quality_rows(
    evidence_id: int, records: int, counts: Mapping[str, tuple[int, str | None]]
) -> list[tuple[int, str, int, str | None]]:
    """Rows (evidence_id, item, count, note) of table `quality` for one log."""
    return [
        (evidence_id, "records", records, None),
        *((evidence_id, item, count, note) for item, (count, note) in counts.items() if count),
    ]


assert V4_MAPPED == 0xFFFF00000000
