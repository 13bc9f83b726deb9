"""In: batches of packets with their flows. Out: finished rows of the table `heads` and of every protocol's table, and what
each flow speaks. Never here: a protocol's own rules.

START HERE for the protocols: `Transactions.add` for a batch, `end` when flows end. A protocol is one file and one line in
STREAMS (over TCP) or DATAGRAMS (over UDP), by the service name that identify.py gives; it is loaded when it is first met."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.dns import DnsState
from tracehound.protocols.expectations import Expectations
from tracehound.protocols.identify import ANNOUNCED, ENOUGH, SERVICE_CODE, Heads, code_of, heads, service_column
from tracehound.protocols.session import Datagram, DatagramReader, Expected, FlowEnds, Opener, Row, Session, rows_table
from tracehound.streams.reassemble import Chunk, StreamState, end_flow, reassemble
from tracehound.tables import ALL

STREAMS: Final[dict[str, str]] = {
    "http": "tracehound.protocols.http:open_session",
    "smtp": "tracehound.protocols.smtp:open_session",
    "pop3": "tracehound.protocols.pop:open_session",
    "imap": "tracehound.protocols.imap:open_session",
    "ftp": "tracehound.protocols.ftp:open_session",
    "irc": "tracehound.protocols.irc:open_session",
    "telnet": "tracehound.protocols.telnet:open_session",
    "sip": "tracehound.protocols.sip:open_session",
}
"""Service over TCP: where its opener is."""

DATAGRAMS: Final[dict[str, str]] = {
    "sip": "tracehound.protocols.sip:SipDatagrams",
}
"""Service over UDP: where its reader is."""

_DNS = SERVICE_CODE["dns"]
_TOO_SHORT = 12
"""Bits of Heads.seen: a beginning was met that is too short to tell the protocol by."""
_SYN = 2
_TCP, _UDP = 6, 17
_CODES: Final = 256
_NONE_EXPECTED: Final[list[Expected]] = []


def _located(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _lookup(services: Mapping[str, str]) -> NDArray[np.bool_]:
    wanted = np.zeros(_CODES, np.bool_)
    wanted[[SERVICE_CODE[name] for name in services]] = True
    return wanted


_SERVICE_OF: Final = {code: name for name, code in SERVICE_CODE.items()}


class _DnsSession:
    """DNS over TCP; its messages are paired by the state that DNS over UDP has, too."""

    finished = False

    def __init__(self, dns: DnsState, ends: FlowEnds) -> None:
        self._dns = dns
        self._ends = ends

    def feed(self, chunk: Chunk) -> None:
        if chunk.gap_before:
            self._dns.gap(chunk.flow_id, chunk.from_originator)
        packet_id, ts_ns = chunk.segments.packet_at(chunk.offset)
        e = self._ends
        originator, responder = (e.originator, e.originator_port), (e.responder, e.responder_port)
        sender, receiver = (originator, responder) if chunk.from_originator else (responder, originator)
        self._dns.add_tcp(chunk.flow_id, chunk.from_originator, chunk.data, ts_ns, packet_id, *sender, *receiver)

    def close(self, note: str) -> None:
        """DnsState.end closes the flow."""


class Transactions:
    """What the protocols keep between batches."""

    def __init__(self) -> None:
        self.heads = Heads()
        self.streams = StreamState()
        self.dns = DnsState()
        self._openers: dict[int, Opener] = {_DNS: lambda ends, _chunk, _emit: _DnsSession(self.dns, ends)}
        self._stream_codes = _lookup(STREAMS)
        self._stream_codes[_DNS] = True
        self._stream_codes[[SERVICE_CODE[name] for name in ANNOUNCED]] = True
        self._datagram_codes = _lookup(DATAGRAMS)
        self._readers: dict[int, DatagramReader] = {}
        self._sessions: dict[int, Session] = {}
        self._ends: dict[int, FlowEnds] = {}
        self._undecided: dict[int, list[Chunk]] = {}
        self._expectations = Expectations()
        self._announced: dict[int, Opener] = {}
        self._rows: dict[str, list[Row]] = {}

    def _emit(self, table: str, row: Row) -> None:
        self._rows.setdefault(table, []).append(row)

    def add(self, packets: PacketBatch, assignment: Assignment) -> dict[str, pa.Table]:
        """Read one batch; returns the rows that are finished."""
        head_rows = heads(packets, assignment, self.heads)
        codes = code_of(self.heads.codes, assignment.flow_id)
        seen = code_of(self.heads.seen, assignment.flow_id)
        enough = (seen & ENOUGH) > 0
        short = (codes == 0) & ((seen & _TOO_SHORT) > 0)
        wanted = ((self._stream_codes[codes] | short) & ~enough) | ((packets.tcp_flags & _SYN) > 0)
        for chunk in reassemble(packets, assignment, wanted, self.streams):
            if chunk.flow_id not in self._ends:
                self._ends[chunk.flow_id] = _ends(packets, chunk)
            self._feed(chunk)
        if self._expectations.waiting:
            self._read_announced(packets, assignment, wanted)
        if self._datagram_codes.any():
            self._add_datagrams(packets, assignment, self._datagram_codes[codes] & ~enough)
        dns = self.dns.add_udp(packets, assignment, self.heads.codes)
        return {"heads": head_rows, "dns": dns, **self._take_rows()}

    # -- connections that another has announced ---------------------------------------------------------------------------
    def _read_announced(self, packets: PacketBatch, assignment: Assignment, read: NDArray[np.bool_]) -> None:
        """Tie flows of this batch to what was announced, and read those of their packets that were not read as something else."""
        tied = self._expectations.met(packets, assignment, self._announced.keys())
        if not tied:
            return
        for flow_id, expected in tied.items():
            self._announced[flow_id] = expected.opener
            self.heads.codes[flow_id] = SERVICE_CODE[expected.service]
            self.heads.seen[flow_id] &= 0xFF ^ ENOUGH
            self._sessions.pop(flow_id, None)
        mine = np.isin(assignment.flow_id, np.fromiter(tied, np.int64)) & ~(read & ((packets.tcp_flags & _SYN) == 0))
        for chunk in reassemble(packets, assignment, mine, self.streams):
            if chunk.flow_id not in self._ends:
                self._ends[chunk.flow_id] = _ends(packets, chunk)
            self._feed(chunk)
        for flow_id in tied:
            earlier = self._undecided.pop(flow_id, [])
            if earlier:
                self._open_announced(flow_id, earlier)

    def _open_announced(self, flow_id: int, earlier: list[Chunk]) -> None:
        session = self._sessions[flow_id] = self._announced[flow_id](self._ends[flow_id], earlier[0], self._emit)
        for waiting in earlier:
            session.feed(waiting)

    # -- streams ------------------------------------------------------------------------------------------------------
    def _feed(self, chunk: Chunk) -> None:
        """Hand a chunk to the session of its flow; keep it while it is not known what the flow speaks."""
        flow_id = chunk.flow_id
        session = self._sessions.get(flow_id)
        if session is None:
            code = int(self.heads.codes[flow_id])
            if not self._stream_codes[code] and flow_id not in self._announced:
                self._undecided.setdefault(flow_id, []).append(chunk)
                return
            earlier = self._undecided.pop(flow_id, [])
            session = self._open(code, flow_id, earlier[0] if earlier else chunk)
            for waiting in earlier:
                session.feed(waiting)
        if not session.finished:
            session.feed(chunk)
        expected: list[Expected] = getattr(session, "expected", _NONE_EXPECTED)
        if expected:
            self._expectations.add(expected)
            expected.clear()
        if session.finished:
            self.heads.seen[flow_id] |= ENOUGH

    def _open(self, code: int, flow_id: int, chunk: Chunk) -> Session:
        opener = self._announced.get(flow_id) or self._openers.get(code)
        if opener is None:
            opener = self._openers[code] = _located(STREAMS[_SERVICE_OF[code]])
        session = self._sessions[flow_id] = opener(self._ends[flow_id], chunk, self._emit)
        return session

    # -- datagrams ------------------------------------------------------------------------------------------------------
    def _add_datagrams(self, packets: PacketBatch, assignment: Assignment, wanted: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(
            wanted & (packets.proto == _UDP) & (packets.payload_caplen > 0) & (packets.payload_offset >= 0)
        )
        columns = (
            assignment.flow_id, assignment.from_originator, packets.ts, packets.packet_id, packets.src_hi, packets.src_lo,
            packets.dst_hi, packets.dst_lo, packets.ip_version, packets.sport, packets.dport, packets.payload_offset,
            packets.payload_caplen, packets.payload_len,
        )  # fmt: skip
        buffer = packets.buffer.data
        for flow, sent, ts, packet, s_hi, s_lo, d_hi, d_lo, version, sport, dport, offset, size, length in zip(
            *(column[rows].tolist() for column in columns), strict=True
        ):
            if self.heads.seen[flow] & ENOUGH:
                continue
            code = int(self.heads.codes[flow])
            reader = self._readers.get(code)
            if reader is None:
                reader = self._readers[code] = _located(DATAGRAMS[_SERVICE_OF[code]])(self._emit)
            src, dst = address_text(s_hi, s_lo, version), address_text(d_hi, d_lo, version)
            data = bytes(buffer[offset : offset + size])
            if reader.datagram(Datagram(flow, sent, ts, packet, src, sport, dst, dport, data, length)):
                self.heads.seen[flow] |= ENOUGH

    # -- rows -----------------------------------------------------------------------------------------------------------
    def _take_rows(self) -> dict[str, pa.Table]:
        rows, self._rows = self._rows, {}
        return {name: rows_table(ALL[name], some) for name, some in rows.items()}

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """These flows are over; returns the rows that this finishes."""
        codes = code_of(self.heads.codes, flow_ids)
        for flow_id in flow_ids[self._datagram_codes[codes]].tolist():
            reader = self._readers.get(int(self.heads.codes[flow_id]))
            if reader is not None:
                reader.end(flow_id)
        for flow_id in self.streams.known(flow_ids):
            self._end_stream(flow_id)
        return {"dns": self.dns.end(flow_ids), **self._take_rows()}

    def _end_stream(self, flow_id: int) -> None:
        for chunk in end_flow(flow_id, self.streams):
            if flow_id in self._ends:
                self._feed(chunk)
        self._ends.pop(flow_id, None)
        self._announced.pop(flow_id, None)
        self._undecided.pop(flow_id, None)
        session = self._sessions.pop(flow_id, None)
        differs = flow_id in self.streams.differing
        self.streams.differing.discard(flow_id)
        if session is not None:
            session.close("retransmitted with other bytes; the first were taken" if differs else "")

    def with_service(self, flows: pa.Table) -> pa.Table:
        """Fill the column `service` of finished flows."""
        at = flows.schema.get_field_index("service")
        return flows.set_column(
            at, flows.schema.field(at), service_column(flows.column("flow_id").to_numpy(), self.heads.codes)
        )


def _ends(packets: PacketBatch, chunk: Chunk) -> FlowEnds:
    """Originator and responder of a chunk's flow."""
    i = chunk.first_row
    version = int(packets.ip_version[i])
    src = address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i])
    dst = address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i])
    return FlowEnds(chunk.flow_id, *src, *dst) if chunk.from_originator else FlowEnds(chunk.flow_id, *dst, *src)
