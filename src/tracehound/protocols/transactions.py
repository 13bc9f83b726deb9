"""In: batches of packets with their flows. Out: finished rows of the tables `heads`, `http` and `dns`, and what each flow
speaks. Never here: a protocol's own rules.

START HERE for the protocols: `Transactions.add` for a batch, `end` when flows end."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.dns import DnsState
from tracehound.protocols.http import Connection, Ends, http_table, row
from tracehound.protocols.identify import SERVICE_CODE, Heads, code_of, heads, service_column
from tracehound.streams.reassemble import Chunk, StreamState, end_flow, reassemble

_HTTP = SERVICE_CODE["http"]
_DNS = SERVICE_CODE["dns"]
_TOO_SHORT = 12
"""Bits of Heads.seen: a beginning was met that is too short to tell the protocol by."""
_SYN = 2


class Transactions:
    """What the protocols keep between batches."""

    def __init__(self) -> None:
        self.heads = Heads()
        self.streams = StreamState()
        self.dns = DnsState()
        self._http: dict[int, Connection] = {}
        self._ends: dict[int, Ends] = {}
        self._undecided: dict[int, list[Chunk]] = {}
        self._rows: list[tuple[Any, ...]] = []

    def add(self, packets: PacketBatch, assignment: Assignment) -> dict[str, pa.Table]:
        """Read one batch; returns the rows that are finished."""
        head_rows = heads(packets, assignment, self.heads)
        codes = code_of(self.heads.codes, assignment.flow_id)
        short = (codes == 0) & ((code_of(self.heads.seen, assignment.flow_id) & _TOO_SHORT) > 0)
        wanted = (codes == _HTTP) | (codes == _DNS) | short | ((packets.tcp_flags & _SYN) > 0)
        for chunk in reassemble(packets, assignment, wanted, self.streams):
            if chunk.flow_id not in self._ends:
                self._ends[chunk.flow_id] = _ends(packets, chunk)
            self._feed(chunk)
        dns = self.dns.add_udp(packets, assignment, self.heads.codes)
        return {"heads": head_rows, "http": self._take_rows(), "dns": dns}

    def _feed(self, chunk: Chunk) -> None:
        """Hand a chunk to the protocol of its flow; keep it while that is not known."""
        flow_id = chunk.flow_id
        code = int(self.heads.codes[flow_id])
        reader = _READERS.get(code)
        if reader is None:
            self._undecided.setdefault(flow_id, []).append(chunk)
            return
        for earlier in self._undecided.pop(flow_id, ()):
            reader(self, earlier)
        reader(self, chunk)

    def _feed_http(self, chunk: Chunk) -> None:
        connection = self._http.get(chunk.flow_id)
        if connection is None:
            connection = self._http[chunk.flow_id] = _connection(chunk, self._ends[chunk.flow_id])
        connection.feed(chunk)
        if connection.done:
            self._rows += [row(t, connection) for t in connection.done]
            connection.done.clear()

    def _feed_dns(self, chunk: Chunk) -> None:
        ends = self._ends[chunk.flow_id]
        if chunk.gap_before:
            self.dns.gap(chunk.flow_id, chunk.from_originator)
        packet_id, ts_ns = chunk.segments.packet_at(chunk.offset)
        originator, responder = (ends.client, ends.client_port), (ends.server, ends.server_port)
        sender, receiver = (originator, responder) if chunk.from_originator else (responder, originator)
        self.dns.add_tcp(chunk.flow_id, chunk.from_originator, chunk.data, ts_ns, packet_id, *sender, *receiver)

    def _take_rows(self) -> pa.Table:
        rows, self._rows = self._rows, []
        return http_table(rows)

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """These flows are over; returns the rows that this finishes."""
        for flow_id in flow_ids.tolist():
            for chunk in end_flow(flow_id, self.streams):
                self._feed(chunk)
            self._ends.pop(flow_id, None)
            self._undecided.pop(flow_id, None)
            connection = self._http.pop(flow_id, None)
            differs = flow_id in self.streams.differing
            self.streams.differing.discard(flow_id)
            if connection is not None:
                if differs:
                    connection.note = "retransmitted with other bytes; the first were taken"
                connection.close()
                self._rows += [row(t, connection) for t in connection.done]
        return {"http": self._take_rows(), "dns": self.dns.end(flow_ids)}

    def with_service(self, flows: pa.Table) -> pa.Table:
        """Fill the column `service` of finished flows."""
        at = flows.schema.get_field_index("service")
        return flows.set_column(
            at, flows.schema.field(at), service_column(flows.column("flow_id").to_numpy(), self.heads.codes)
        )


_READERS: Final = {_HTTP: Transactions._feed_http, _DNS: Transactions._feed_dns}


def _ends(packets: PacketBatch, chunk: Chunk) -> Ends:
    """Originator and responder of a chunk's flow, as client and server."""
    i = chunk.first_row
    version = int(packets.ip_version[i])
    src = address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i])
    dst = address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i])
    return Ends(*src, *dst) if chunk.from_originator else Ends(*dst, *src)


def _connection(chunk: Chunk, ends: Ends) -> Connection:
    """A connection from its first chunk. Who sends "HTTP/" is the server, whatever the ports or the start of the capture
    made of it."""
    from_client = chunk.data[:5] != b"HTTP/"
    if chunk.from_originator == from_client:
        return Connection(chunk.flow_id, ends, originator_is_client=True)
    turned = Ends(ends.server, ends.server_port, ends.client, ends.client_port)
    return Connection(chunk.flow_id, turned, originator_is_client=False)
