"""In: rows of table `flows`. Out: bytes of an Argus file, version 3, that argus' clients read: a record a flow.
Never here: files, or reading (argus.py).

What a flow does not know is not written: payload that nobody counted leaves the short meter, a TTL that is null leaves no attributes.
Times are cut to microseconds, as a probe of version 3 writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound.flowlogs import argus_layout as a
from tracehound.flowlogs.flow_rows import numbers_of
from tracehound.flowlogs.reader import Ends

Bytes = NDArray[np.uint8]

_TIME_WORDS: Final = 5
_STATUS_WORDS: Final = 3
_ATTRIBUTE_WORDS: Final = 2
_ICMP_WORDS: Final = 8
COOKIE: Final = 0xE5712DCB
START: Final = 0x10
STOP: Final = 0x30


def _word(*octets: int) -> int:
    return int.from_bytes(bytes(octets), "big")


def management_record(cause: int, start_s: int, now_s: int, sequence: int, records: int) -> bytes:
    """The 128 bytes that begin (START) or end (STOP) a file."""
    words = np.zeros(32, dtype=">u4")
    words[0] = _word(0x83, cause, 0, 32)
    words[1] = 0x00800000  # the probe's id is an IPv4 address: none
    words[2] = COOKIE if cause == START else 0
    words[5] = sequence
    words[6], words[8] = start_s & 0xFFFFFFFF, now_s & 0xFFFFFFFF
    words[10] = _word(3, 0, 0, 0)
    words[11] = _word(0, 5, 0, 60)  # status intervals, s
    words[18] = records
    words[31] = 0xFFFFFFFF
    return words.tobytes()


class Flows:
    """Columns of `flows` as numbers; -1 where null."""

    def __init__(self, table: pa.Table | pa.RecordBatch) -> None:
        self.n = table.num_rows

        def number(name: str) -> NDArray[np.int64]:
            column = table[name]
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
            values: NDArray[np.int64] = pc.fill_null(column.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
            return values

        def address(name: str) -> Ends:
            column = table[name]
            column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            return numbers_of(column)

        for name in (
            "start", "end", "proto", "sport", "dport", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "payload_src", "payload_dst",
            "tcp_flags_src", "tcp_flags_dst", "icmp_type", "icmp_code", "ttl_src", "syn_count",
        ):  # fmt: skip
            setattr(self, name, number(name))
        # Packets that nobody counted, of an end that sent bytes: one at least.
        for side in ("src", "dst"):
            pkts, sent = getattr(self, f"pkts_{side}"), getattr(self, f"bytes_{side}")
            setattr(self, f"pkts_{side}", np.where((pkts < 0) & (sent > 0), 1, pkts))
        self.src, self.dst, self.teller = address("src"), address("dst"), address("icmp_from")

    def __getattr__(self, name: str) -> NDArray[np.int64]:
        raise AttributeError(name)


def tcp_status(flows: Flows) -> NDArray[np.int64]:
    """TCP status bits that follow from flags and counts."""
    f, g = np.maximum(flows.tcp_flags_src, 0), np.maximum(flows.tcp_flags_dst, 0)
    both = (f & 2 > 0) & (g & 2 > 0)
    fins = (f & 1) + (g & 1)
    bits = np.where(f & 2 > 0, a.SAW_SYN, 0) | np.where(g & 2 > 0, a.SAW_SYN_SENT, 0)
    bits |= np.where(both & (f & 16 > 0), a.ESTABLISHED, 0)
    bits |= np.where(fins == 1, a.FIN, 0) | np.where(fins == 2, a.FIN | a.FIN_ACK, 0)
    bits |= np.where(f & 4 > 0, 0x1000, 0) | np.where(g & 4 > 0, 0x2000, 0)
    # A flow without any of it, in mid stream, is connected.
    bits |= np.where((bits == 0) & (flows.pkts_src > 0) & (flows.pkts_dst > 0), a.ESTABLISHED, 0)
    bits |= np.where(flows.syn_count > 1, a.SRC_RETRANS, 0)
    return bits.astype(np.int64)


def _records(flows: Flows, sequence: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(words, words of each record): every record as a row of the widest, of which its first words count."""
    n = flows.n
    v6 = flows.src.version == 6
    tcp = flows.proto == 6
    counted = (flows.payload_src >= 0) & (flows.payload_dst >= 0)
    mapped = (flows.icmp_type >= 0) & (flows.teller.version == 4) & ~np.isin(flows.proto, (1, 58))
    timed = flows.ttl_src >= 0
    # One column a word; where a DSR is left out its words are, too: they are squeezed out at the end.
    parts: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
    every = np.ones(n, dtype=np.bool_)

    def put(value: NDArray[np.int64] | int, where: NDArray[np.bool_]) -> None:
        parts.append((np.broadcast_to(np.asarray(value, dtype=np.int64), (n,)), where))

    def put_time(ns: NDArray[np.int64]) -> None:
        put(ns // 1_000_000_000, every)
        put(ns % 1_000_000_000 // 1000, every)

    put(0, every)  # header: filled in below
    put(_word(0x01, 0x03, 0x00, 3), every)
    put(0, every)
    put(np.arange(sequence, sequence + n), every)
    put(_word(0x02, 0x01, 0x01, 5), ~v6)
    put((flows.src.lo & np.uint64(0xFFFFFFFF)).astype(np.int64), ~v6)
    put((flows.dst.lo & np.uint64(0xFFFFFFFF)).astype(np.int64), ~v6)
    sport, dport = np.maximum(flows.sport, 0), np.maximum(flows.dport, 0)
    icmp = np.isin(flows.proto, (1, 58))
    # ICMP: type and code; of a message that is answered the code is 0, and dport holds the type of the answer.
    code = np.where(icmp & np.isin(sport, (8, 13, 15, 17, 10, 128, 130, 133, 135, 139, 144)), 0, dport)
    ends4 = np.where(icmp, (sport & 0xFF) << 8 | code & 0xFF, sport)
    put(flows.proto << 24 | ends4, ~v6)
    put(np.where(icmp, 0, dport << 16), ~v6)
    put(_word(0x02, 0x01, 0x02, 11), v6)
    for end in (flows.src, flows.dst):
        for half in (end.hi, end.lo):
            put((half >> np.uint64(32)).astype(np.int64), v6)
            put((half & np.uint64(0xFFFFFFFF)).astype(np.int64), v6)
    put(flows.proto << 24, v6)
    put(np.where(icmp, (sport & 0xFF) << 24 | (code & 0xFF) << 16, sport << 16 | dport), v6)
    put(_word(0x03, 0x02, 0x18, _TIME_WORDS), every)
    put_time(flows.start)
    put_time(flows.end)
    for side in range(2):
        pkts, size, app = (
            (flows.pkts_src, flows.bytes_src, flows.payload_src), (flows.pkts_dst, flows.bytes_dst, flows.payload_dst),
        )[side]  # fmt: skip
        if side == 0:
            put(_word(0x10, 0x04, 0x04, 13), counted)
            put(_word(0x10, 0x01, 0x04, 9), ~counted)
        for value, where in ((pkts, every), (size, every), (app, counted)):
            put(np.maximum(value, 0) >> 32, where)
            put(np.maximum(value, 0) & 0xFFFFFFFF, where)
    put(_word(0x30, 0x04, 0x00, _STATUS_WORDS), tcp)
    put(tcp_status(flows), tcp)
    put(np.maximum(flows.tcp_flags_src, 0) << 24 | np.maximum(flows.tcp_flags_dst, 0) << 16, tcp)
    put(_word(0x48, 0x00, 0x01, _ATTRIBUTE_WORDS), timed)
    put(np.maximum(flows.ttl_src, 0) << 24, timed)
    qualifier = np.select([flows.icmp_type == 3, flows.icmp_type == 11], [1, 4], default=1)
    put(0x34340000 | qualifier << 8 | _ICMP_WORDS, mapped)
    put(np.maximum(flows.icmp_type, 0) << 24 | np.maximum(flows.icmp_code, 0) << 16, mapped)
    put((flows.teller.lo & np.uint64(0xFFFFFFFF)).astype(np.int64), mapped)
    for _ in range(_ICMP_WORDS - 3):
        put(0, mapped)
    words = np.stack([value for value, _ in parts], axis=1).astype(np.uint32)
    present = np.stack([where for _, where in parts], axis=1)
    length = present.sum(axis=1)
    words[:, 0] = _word(0x13, START, 0, 0) | length.astype(np.uint32)
    return words[present], length


def write_flows(batches: Iterator[pa.RecordBatch] | Iterator[pa.Table], words: str = "") -> Iterator[bytes]:
    """An Argus file of these flows, piece by piece.

    words   a remark, kept as the text of an event record"""
    sequence = 1
    started = False
    last_s = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        flows = Flows(batch)
        first_s, last_s = int(flows.start.min() // 1_000_000_000), int(flows.end.max() // 1_000_000_000)
        if not started:
            yield management_record(START, first_s, first_s, 0, 0)
            if words:
                yield remark(words, first_s)
            started = True
        made, _ = _records(flows, sequence)
        sequence += flows.n
        yield made.astype(">u4").tobytes()
    if not started:
        yield management_record(START, 0, 0, 0, 0)
    yield management_record(STOP, last_s, last_s, sequence, sequence - 1)


def remark(text: str, at_s: int) -> bytes:
    """An event record that carries words: section 6.20 of the format, as argus' own event programs write them."""
    said = b"prog:tracehound\n" + text.encode("ascii", "replace") + b"\0"
    padded = said + bytes(-len(said) % 4)
    data = np.array([_word(0x50, 0x90, 0, 0) | 2 + len(padded) // 4, len(said) << 16 | len(said)], dtype=">u4").tobytes() + padded
    time = np.array([_word(0x03, 0x01, 0x18, 3), at_s & 0xFFFFFFFF, 0], dtype=">u4").tobytes()
    body = np.array([_word(0x01, 0x03, 0x00, 3), 0, 0], dtype=">u4").tobytes() + time + data
    return np.array([_word(0x43, START, 0, 0) | 1 + len(body) // 4], dtype=">u4").tobytes() + body
