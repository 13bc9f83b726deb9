"""In: bytes of a log and its format. Out: what its reader gives, fed in pieces of any size, checked against the contract.
Never here: a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tracehound import limits, tables
from tracehound.flowlogs.reader import MISSING, Block, Ends, Format, Options, Reader
from tracehound.flows.tcp_outcome import CONN_STATES, OUTCOME_NAMES
from tracehound.packets.addresses import address_column

NUMBERS = (
    "proto", "sport", "dport", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "payload_src", "payload_dst", "tcp_flags_src",
    "tcp_flags_dst", "syn_count", "outcome", "conn_state", "icmp_type", "icmp_code", "ttl_src", "vlan",
)  # fmt: skip


class Read:
    """What one reader made of one log."""

    def __init__(self, reader: Reader, blocks: list[Block], damage: str | None) -> None:
        self.reader, self.blocks = reader, blocks
        self.damage: Any = damage  # text in most tests, and None in the others

    def note(self, item: str) -> str:
        """What the quality record says of it."""
        return self.reader.counts[item][1] or ""

    @property
    def counts(self) -> dict[str, int]:
        return {item: count for item, (count, _) in self.reader.counts.items()}

    def rows(self) -> list[dict[str, Any]]:
        return [row for block in self.blocks for row in rows_of(block)]

    def table(self, name: str) -> list[dict[str, Any]]:
        return [row for block in self.blocks if name in block.tables for row in block.tables[name].to_pylist()]


def read(form: Format, data: bytes, *, step: int | None = None, options: Options | None = None) -> Read:
    """Feed `data` in pieces of `step` bytes (None: all at once), as edges/evidence.py does."""
    reader = form.open(data[: limits.LOG_HEAD_BYTES], options or Options())
    held, at, blocks = b"", 0, []
    while True:
        piece = data[at:] if step is None else data[at : at + step]
        at += len(piece)
        held += piece
        final = at >= len(data)
        # Room behind the bytes that count, as in the ring of buffers.
        buffer = np.frombuffer(bytearray(held + bytes(16)), dtype=np.uint8)
        took = reader.feed(buffer, len(held), final=final)
        buffer[:] = 0xEE  # the buffer is reused: nothing that was given may depend on it
        assert 0 <= took.consumed <= len(held)
        for block in took.blocks:
            check(block)
        blocks += took.blocks
        held = held[took.consumed :]
        if final or took.damage is not None:
            return Read(reader, blocks, took.damage)


def check(block: Block) -> None:
    """The block keeps the contract of reader.py."""
    n = len(block)
    assert n > 0
    assert np.all(np.diff(block.number) > 0)
    for name in ("start", "end", *NUMBERS):
        column = getattr(block, name)
        if column is not None:
            assert len(column) == n, name
            assert column.dtype == np.int64, name
    assert np.all(block.end >= block.start)
    for column in (block.closes, block.opens, block.certain):
        assert column is None or (len(column) == n and column.dtype == np.bool_)
    for name, most in (("proto", 255), ("sport", 65535), ("dport", 65535), ("tcp_flags_src", 255), ("tcp_flags_dst", 255)):
        column = getattr(block, name)
        assert column is None or (np.all(column >= MISSING) and np.all(column <= most)), name
    for column in (block.src, block.dst):
        assert all(len(part) == n for part in column) if isinstance(column, Ends) else len(column) == n
    assert isinstance(block.joins, int) or len(block.joins) == n
    for name, column in block.texts.items():
        assert len(column) == n, name
        # The log's own name of a connection is source_uid in table records.
        assert name in ("service", "history", "tunnel", "uid") or name in tables.RECORDS.names, name
    for name, table in block.tables.items():
        promised = tables.ALL[name]
        assert table.schema.equals(promised.schema)
        table.validate(full=True)
        for field in promised.columns:
            assert field.nullable or table[field.name].null_count == 0, f"{name}.{field.name}"
        assert set(table["flow_id"].to_pylist()) <= set(block.number.tolist())


def _texts(column: Ends | pa.Array) -> Any:
    if isinstance(column, Ends):
        return address_column(column.hi, column.lo, column.version, column.version == 0).to_pylist()
    return column.to_pylist()


def rows_of(block: Block) -> list[dict[str, Any]]:
    """Each record as the columns that say something."""
    columns: dict[str, list[Any]] = {
        "number": block.number.tolist(), "start": block.start.tolist(), "end": block.end.tolist(), "src": _texts(block.src),
        "dst": _texts(block.dst), "joins": [block.joins] * len(block) if isinstance(block.joins, int) else block.joins.tolist(),
        "source": [block.source] * len(block) if isinstance(block.source, str) else block.source.to_pylist(),
    }  # fmt: skip
    for name in NUMBERS:
        values = getattr(block, name)
        columns[name] = [None] * len(block) if values is None else [None if v == MISSING else v for v in values.tolist()]
    for name, names in (("outcome", OUTCOME_NAMES), ("conn_state", CONN_STATES)):
        columns[name] = [None if v is None else names[v] for v in columns[name]]
    columns["icmp_from"] = [None] * len(block) if block.icmp_from is None else _texts(block.icmp_from)
    columns["certain"] = [None] * len(block) if block.certain is None else block.certain.tolist()
    columns |= {name: column.to_pylist() for name, column in block.texts.items()}
    return [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
