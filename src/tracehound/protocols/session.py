"""In: nothing. Out: the shapes that every protocol reader has. Never here: a protocol, or the table that names the readers
(transactions.py).

A protocol over TCP is a function that opens a `Session` for one flow; a protocol in datagrams is one `DatagramReader` for all
of its flows. Both hand finished rows to `emit(table, row)`, a row being a tuple in the order of the table's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from tracehound.streams.reassemble import Chunk
from tracehound.tables import Table

Row = tuple[Any, ...]
Emit = Callable[[str, Row], None]

TXN_SHIFT = 20
"""txn_id = flow_id << 20 | number within the flow: the same in whatever order flows are read."""


Keep = Callable[[int, bytes], None]
"""Takes the next bytes of the file with this txn_id. Where they are kept is the edge's business."""


def _no_opener(_service: str) -> None:
    return None


@dataclass(slots=True)
class Interest:
    """What the run wants of a flow beside its rows; a session has it from its FlowEnds.

    details     md5, entropy and facts of files are wanted, which cost more than all the rest of a file's row
    keep        takes the content of files; None = nobody wants it
    opener      the opener of another service, for what travels inside this one (a CONNECT proxy, a WebSocket)
    nesting     how deep this flow lies inside others; 0 = it is a flow of its own
    held_bytes  content of unfinished files held for their facts (limits.MAX_FACT_TOTAL_BYTES over all flows)
    tables      tables whose rows somebody asks for; None = all. A reader may leave out whatever serves no other"""

    details: bool = True
    keep: Keep | None = None
    opener: Callable[[str], Opener | None] = _no_opener
    nesting: int = 0
    held_bytes: int = 0
    tables: frozenset[str] | None = None

    def asks(self, table: str) -> bool:
        """Whether somebody asks for rows of this table."""
        return self.tables is None or table in self.tables


_ORDINARY = Interest()


class FlowEnds(NamedTuple):
    """A flow and its two ends, addresses as canonical text."""

    flow_id: int
    originator: str
    originator_port: int
    responder: str
    responder_port: int
    interest: Interest = _ORDINARY


class Session(Protocol):
    """One flow of one protocol. `finished` is True once no further byte is of use: the flow is then no longer reassembled.

    A session that finds out that its flow speaks something else than its first bytes said has `spoken`, the service's name; it
    is taken after each feed."""

    finished: bool

    def feed(self, chunk: Chunk) -> None:
        """The next bytes of one direction, in order; chunk.gap_before bytes are missing before them."""

    def close(self, note: str) -> None:
        """The flow is over. `note` says what reassembly met ("" = nothing); emit what is unfinished."""


class Expected(NamedTuple):
    """A TCP connection that a session was told of: whoever it is that opens it, one end is `address` and `port`.

    opener opens its session; service is what its flow is then called."""

    address: str
    port: int
    service: str
    opener: Opener


class Announcing(Session, Protocol):
    """A session that knows of connections to come; they are taken from `expected` after each feed."""

    expected: list[Expected]


Opener = Callable[[FlowEnds, Chunk, Emit], Session]
"""Opens a session; the chunk is the first one that will be fed, to see who speaks first."""


class Datagram(NamedTuple):
    """One UDP datagram: `data` is what was captured, `length` what was sent; `interest` is for the FlowEnds of its files.

    times   how many like it were met in the batch, this one included; sum_bytes is their length together"""

    flow_id: int
    from_originator: bool
    ts_ns: int
    packet_id: int
    src: str
    sport: int
    dst: str
    dport: int
    data: bytes
    length: int
    interest: Interest = _ORDINARY
    times: int = 1
    sum_bytes: int = 0


class DatagramReader(Protocol):
    """All flows of one protocol that travels in datagrams.

    A reader that knows of flows to come has `expected`: (address, port) of one of their ends -> what the flow is then called."""

    def datagram(self, datagram: Datagram) -> bool:
        """Read one; returns True once no further datagram of this flow is of use."""

    def end(self, flow_id: int) -> None:
        """The flow is over; emit what is unfinished."""


DatagramOpener = Callable[[Emit], DatagramReader]


def column_array(values: Any, field: pa.Field) -> pa.Array:
    """Python values as one column of a table."""
    if pa.types.is_dictionary(field.type):
        return pa.array(values, pa.string()).dictionary_encode().cast(field.type)
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.int64()).cast(field.type)
    return pa.array(values, field.type)


def rows_table(table: Table, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows as an Arrow table."""
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
    arrays = [column_array(values, field) for values, field in zip(columns, table.schema, strict=True)]
    return pa.table(arrays, schema=table.schema)
