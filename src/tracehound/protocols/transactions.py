"""In: batches of packets with their flows. Out: finished rows of the tables `heads`, `http` and `dns`, and what each flow
speaks. Never here: a protocol's own rules.

START HERE for the protocols: one call a batch, one call when flows end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.dns import DnsState
from tracehound.protocols.http import Connection, Ends, http_table, row
from tracehound.protocols.identify import SERVICES, Identified
from tracehound.streams.reassemble import Chunk, StreamState, end_flow, reassemble

_HTTP = SERVICES.index("http")
_DNS = SERVICES.index("dns")


class Transactions:
    """What the protocols keep between batches."""

    def __init__(self) -> None:
        self.identified = Identified()
        self.streams = StreamState()
        self.dns = DnsState()
        self._http: dict[int, Connection] = {}
        self._rows: list[tuple[Any, ...]] = []

    def add(self, packets: PacketBatch, assignment: Assignment) -> dict[str, pa.Table]:
        """Read one batch; returns the rows that are finished."""
        heads = self.identified.add(packets, assignment)
        codes = self.identified.codes_of(assignment.flow_id)
        wanted = (codes == _HTTP) | (codes == _DNS) | ((packets.tcp_flags & 2) > 0)
        for chunk in reassemble(packets, assignment, wanted, self.streams):
            self._feed(chunk, packets)
        dns = self.dns.add_udp(packets, assignment, codes == _DNS)
        return {"heads": heads, "http": self._take_rows(), "dns": dns}

    def _feed(self, chunk: Chunk, packets: PacketBatch | None) -> None:
        code = self.identified.code_of(chunk.flow_id)
        if code == _DNS:
            ends = _ends(packets, chunk) if packets is not None else None
            self.dns.add_tcp(chunk, ends)
            return
        connection = self._http.get(chunk.flow_id)
        if connection is None:
            if packets is None:
                return
            connection = self._http[chunk.flow_id] = _connection(packets, chunk)
        connection.feed(chunk)
        if connection.done:
            self._rows += [row(t, connection) for t in connection.done]
            connection.done.clear()

    def _take_rows(self) -> pa.Table:
        rows, self._rows = self._rows, []
        return http_table(rows)

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """These flows are over; returns the rows that this finishes."""
        for flow_id in flow_ids.tolist():
            for chunk in end_flow(flow_id, self.streams):
                self._feed(chunk, None)
            connection = self._http.pop(flow_id, None)
            if connection is not None:
                if flow_id in self.streams.differing:
                    self.streams.differing.discard(flow_id)
                    connection.note = "retransmitted with other bytes; the first were taken"
                connection.close()
                self._rows += [row(t, connection) for t in connection.done]
        return {"http": self._take_rows(), "dns": self.dns.end(flow_ids)}

    def with_service(self, flows: pa.Table) -> pa.Table:
        """Fill the column `service` of finished flows."""
        codes = self.identified.codes_of(flows.column("flow_id").to_numpy())
        names = pa.array(["", *SERVICES[1:]], pa.string())
        service = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes == 0), names)
        at = flows.schema.get_field_index("service")
        return flows.set_column(at, flows.schema.field(at), service)


def _ends(packets: PacketBatch, chunk: Chunk) -> Ends:
    """Sender and receiver of a chunk as client and server, the sender first."""
    i = chunk.first_row
    version = int(packets.ip_version[i])
    return Ends(
        address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i]),
        address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i]),
    )  # fmt: skip


def _connection(packets: PacketBatch, chunk: Chunk) -> Connection:
    """A connection from its first chunk. Who sends "HTTP/" is the server, whatever the ports or the start of the capture
    made of it."""
    answers = chunk.data[:5] == b"HTTP/"
    ends = _ends(packets, chunk)
    if answers:
        ends = Ends(ends.server, ends.server_port, ends.client, ends.client_port)
    # The first chunk comes from the server only if its request is missing or lies in a later batch.
    return Connection(chunk.flow_id, ends, originator_is_client=chunk.from_originator != answers)
