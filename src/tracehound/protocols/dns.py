"""In: DNS datagrams (batch columns) and DNS streams (bytes of a direction in order). Out: rows of table `dns`, each a query
with its response, or whichever of them is in the evidence.
Never here: the wire format of a message (dns_message.py), reassembly (streams/), or what a flow speaks (identify.py).

A response belongs to the oldest query of its flow with the same id and question that went the other way. A query that is
repeated is a row of its own. Where a message asks several questions (multicast DNS), each is a row."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.limits import MAX_DNS_STREAM_BYTES, MAX_PENDING_QUERIES
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.dns_message import HEADER_BYTES, Message, parse_message
from tracehound.protocols.dns_registry import rcode_name, type_name
from tracehound.protocols.identify import SERVICE_CODE, code_of
from tracehound.protocols.session import TXN_SHIFT, rows_table
from tracehound.tables import DNS

DNS_PORT: Final = 53
MDNS_PORT: Final = 5353
_TCP, _UDP = 6, 17

Row = list[Any]
"""A row of table `dns`, in the order of its columns."""
(
    _TXN_ID, _FLOW_ID, _TS, _RESPONSE_TS, _SRC, _SPORT, _DST, _DPORT, _PROTO, _TRANS_ID, _OPCODE, _QUERY, _QTYPE, _QCLASS,
    _RCODE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE, _ANSWERS, _ANSWER_TYPES, _ANSWER_NAMES,
    _ANSWER_TTLS, _QUERY_PACKET, _RESPONSE_PACKET, _NOTE,
) = range(len(DNS.columns))  # fmt: skip

Question = tuple[str, int, int]
Waiting = dict[tuple[bool, Question | None], deque[Row]]
"""Rows of queries that wait, oldest first, by whether the originator sent them and by their question with the name in lower case."""


class TcpDns:
    """Splits one direction of a TCP stream into messages (RFC 1035 section 4.2.2: each behind its length in two bytes).

    A message has the time and packet of the bytes with which it begins. `lost` is True once the boundaries are lost: after a
    gap, or a length that no message has; nothing more comes out then."""

    __slots__ = ("lost", "packet_id", "rest", "ts_ns")

    def __init__(self) -> None:
        self.rest = b""
        self.ts_ns = 0
        self.packet_id = 0
        self.lost = False

    def feed(self, data: bytes, ts_ns: int, packet_id: int) -> list[tuple[bytes, int, int]]:
        """Add bytes in order; gives (message, ts_ns, packet_id) for each that is whole."""
        if self.lost or not data:
            return []
        if not self.rest:
            self.ts_ns, self.packet_id = ts_ns, packet_id
        else:
            data = self.rest + data
        messages: list[tuple[bytes, int, int]] = []
        at, end = 0, len(data)
        while at + 2 <= end:
            size = data[at] << 8 | data[at + 1]
            if size < HEADER_BYTES:
                self.lost = True
                self.rest = b""
                return messages
            if at + 2 + size > end:
                break
            messages.append((data[at + 2 : at + 2 + size], self.ts_ns, self.packet_id))
            self.ts_ns, self.packet_id = ts_ns, packet_id
            at += 2 + size
        self.rest = data[at:]
        return messages


def may_be_dns(batch: PacketBatch, codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each packet whether its flow is identified as dns, or is on port 53 and nothing else claims it.

    codes   for each packet what its flow speaks"""
    on_port = (batch.sport == DNS_PORT) | (batch.dport == DNS_PORT)
    may: NDArray[np.bool_] = (codes == SERVICE_CODE["dns"]) | ((codes == 0) & on_port)
    return may


def udp_messages(batch: PacketBatch, assignment: Assignment, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Rows of the batch that are DNS datagrams."""
    datagram = (batch.proto == _UDP) & (assignment.flow_id >= 0) & (batch.payload_caplen > 0) & (batch.payload_offset >= 0)
    return np.flatnonzero(datagram & may_be_dns(batch, code_of(codes, assignment.flow_id)))


_NO_ROWS: Final = DNS.schema.empty_table()


class DnsState:
    """What DNS keeps between batches: queries that wait for their response, and beginnings of messages in TCP streams.

    rows_at_once  fewer rows than these stay here until `finish`
    evicted       queries let go early because more than MAX_PENDING_QUERIES waited; they are rows without a response"""

    def __init__(self, *, rows_at_once: int = 1) -> None:
        self._rows_at_once = rows_at_once
        self._numbers: dict[int, int] = {}
        self._waiting: dict[int, dict[int, Waiting]] = {}
        self._waiting_count = 0
        self._streams: dict[tuple[int, bool], tuple[TcpDns, tuple[str, int, str, int]]] = {}
        self._stream_bytes = 0
        self._done: list[Row] = []
        self.evicted = 0

    # -- messages come in ---------------------------------------------------------------------------------------------
    def add_udp(self, batch: PacketBatch, assignment: Assignment, codes: NDArray[np.uint8]) -> pa.Table:
        """Read the DNS datagrams of a batch; gives the rows finished so far (those of TCP streams too).

        codes   service of each flow (identify.Heads.codes)"""
        rows = udp_messages(batch, assignment, codes)
        columns = (
            assignment.flow_id, assignment.from_originator, batch.ts, batch.packet_id, batch.src_hi, batch.src_lo,
            batch.dst_hi, batch.dst_lo, batch.ip_version, batch.sport, batch.dport, batch.payload_offset,
            batch.payload_caplen, batch.payload_len,
        )  # fmt: skip
        buffer = batch.buffer.data
        for flow, sent, ts, packet, s_hi, s_lo, d_hi, d_lo, version, sport, dport, offset, size, length in zip(
            *(column[rows].tolist() for column in columns), strict=True
        ):
            message = parse_message(bytes(buffer[offset : offset + size]), cut=size < length)
            ends = (address_text(s_hi, s_lo, version), sport, address_text(d_hi, d_lo, version), dport)
            self._message(message, flow, sent, ts, packet, ends, _UDP)
        return self.take()

    def add_tcp(
        self,
        flow_id: int,
        from_originator: bool,
        data: bytes,
        ts_ns: int,
        packet_id: int,
        src: str,
        sport: int,
        dst: str,
        dport: int,
    ) -> None:
        """Add bytes of a TCP stream in order; src and sport are the sender's. Rows come out with the next table."""
        key = (flow_id, from_originator)
        entry = self._streams.get(key)
        if entry is None:
            entry = self._streams[key] = (TcpDns(), (src, sport, dst, dport))
        stream, ends = entry
        before = len(stream.rest)
        messages = stream.feed(data, ts_ns, packet_id)
        self._stream_bytes += len(stream.rest) - before
        for message, ts, packet in messages:
            self._message(parse_message(message), flow_id, from_originator, ts, packet, ends, _TCP)
        if self._stream_bytes > MAX_DNS_STREAM_BYTES:
            self._stream_bytes -= len(stream.rest)
            stream.rest = b""
            stream.lost = True

    def gap(self, flow_id: int, from_originator: bool) -> None:
        """Bytes of this direction are lost: what is begun is a cut message, and nothing after it can be told apart."""
        entry = self._streams.get((flow_id, from_originator))
        if entry is not None:
            self._end_stream(flow_id, from_originator, *entry)
            entry[0].lost = True

    # -- rows come out ------------------------------------------------------------------------------------------------
    def take(self) -> pa.Table:
        """The rows finished so far, if they are enough."""
        return self._take() if len(self._done) >= self._rows_at_once else _NO_ROWS

    def _take(self) -> pa.Table:
        done, self._done = self._done, []
        return rows_table(DNS, done)

    def end(self, flow_ids: NDArray[np.int64]) -> pa.Table:
        """These flows are over: their queries get no response any more."""
        for flow_id in flow_ids.tolist():
            if flow_id in self._numbers:
                self._end_flow(flow_id)
                del self._numbers[flow_id]
        return self.take()

    def finish(self) -> pa.Table:
        """The evidence is over."""
        for flow_id in sorted({*self._waiting, *(flow_id for flow_id, _ in self._streams)}):
            self._end_flow(flow_id)
        return self._take()

    # -- pairing --------------------------------------------------------------------------------------------------------
    def _row(
        self,
        message: Message,
        flow_id: int,
        ts_ns: int,
        asker: tuple[str, int, str, int],
        proto: int,
        question: Question | None,
    ) -> Row:
        row: Row = [None] * len(DNS.columns)
        number = self._numbers.get(flow_id, 0) + 1
        self._numbers[flow_id] = number
        row[_TXN_ID] = flow_id << TXN_SHIFT | number
        row[_FLOW_ID] = flow_id
        row[_TS] = ts_ns
        row[_SRC], row[_SPORT], row[_DST], row[_DPORT] = asker
        row[_PROTO] = proto
        row[_TRANS_ID] = message.trans_id
        row[_OPCODE] = message.opcode
        row[_RECURSION_DESIRED] = message.recursion_desired
        row[_NOTE] = message.note
        if question is not None:
            row[_QUERY], row[_QCLASS] = question[0], question[2]
            row[_QTYPE] = type_name(question[1])
        return row

    def _message(
        self,
        message: Message,
        flow_id: int,
        sent: bool,
        ts_ns: int,
        packet_id: int,
        ends: tuple[str, int, str, int],
        proto: int,
    ) -> None:
        """One message from ends[0:2] to ends[2:4]; sent = by the flow's originator."""
        is_response = message.is_response if message.readable else not sent
        asker = (ends[2], ends[3], ends[0], ends[1]) if is_response else ends
        if not message.readable:
            row = self._row(message, flow_id, ts_ns, asker, proto, None)
            row[_RESPONSE_PACKET if is_response else _QUERY_PACKET] = packet_id
            if is_response:
                row[_RESPONSE_TS] = ts_ns
            self._done.append(row)
            return
        questions: list[Question | None] = [*message.questions] or [None]
        if MDNS_PORT in (ends[1], ends[3]):
            # RFC 6762 section 5.4: the top bit of the class asks for a unicast response and is not part of the class.
            questions = [q and (q[0], q[1], q[2] & 0x7FFF) for q in questions]
        if is_response:
            self._response(message, flow_id, sent, ts_ns, packet_id, asker, proto, questions)
            return
        for question in questions:
            row = self._row(message, flow_id, ts_ns, asker, proto, question)
            row[_QUERY_PACKET] = packet_id
            waiting = self._waiting.setdefault(flow_id, {}).setdefault(message.trans_id, {})
            waiting.setdefault((sent, _folded(question)), deque()).append(row)
            self._waiting_count += 1
        while self._waiting_count > MAX_PENDING_QUERIES:
            before = self._waiting_count
            self._end_waiting(next(iter(self._waiting)))
            self.evicted += before - self._waiting_count

    def _response(
        self,
        message: Message,
        flow_id: int,
        sent: bool,
        ts_ns: int,
        packet_id: int,
        asker: tuple[str, int, str, int],
        proto: int,
        questions: list[Question | None],
    ) -> None:
        rows = []
        flow = self._waiting.get(flow_id)
        queue = flow.get(message.trans_id) if flow else None
        if flow and queue:
            for question in questions:
                row = _answered(queue, sent, question)
                if row is not None:
                    rows.append(row)
            self._waiting_count -= len(rows)
            if not queue:
                del flow[message.trans_id]
                if not flow:
                    del self._waiting[flow_id]
        if not rows:
            rows.append(self._row(message, flow_id, ts_ns, asker, proto, questions[0]))
        for row in rows:
            row[_RESPONSE_TS] = ts_ns
            row[_RESPONSE_PACKET] = packet_id
            row[_RCODE] = rcode_name(message.rcode)
            row[_AUTHORITATIVE] = message.authoritative
            row[_TRUNCATED] = message.truncated
            row[_RECURSION_AVAILABLE] = message.recursion_available
            row[_ANSWERS] = message.answers
            row[_ANSWER_TYPES] = message.answer_types
            row[_ANSWER_NAMES] = message.answer_names
            row[_ANSWER_TTLS] = message.answer_ttls_s
            if message.note is not None and row[_QUERY_PACKET] is not None:
                row[_NOTE] = f"response: {message.note}" + (f"; query: {row[_NOTE]}" if row[_NOTE] else "")
        self._done += rows

    def _end_flow(self, flow_id: int) -> None:
        for sent in (True, False):
            entry = self._streams.pop((flow_id, sent), None)
            if entry is not None:
                self._end_stream(flow_id, sent, *entry)
        self._end_waiting(flow_id)

    def _end_waiting(self, flow_id: int) -> None:
        for queue in self._waiting.pop(flow_id, {}).values():
            for rows in queue.values():
                self._waiting_count -= len(rows)
                self._done += rows

    def _end_stream(self, flow_id: int, sent: bool, stream: TcpDns, ends: tuple[str, int, str, int]) -> None:
        self._stream_bytes -= len(stream.rest)
        if len(stream.rest) > 2:
            message = parse_message(stream.rest[2:], cut=True)
            self._message(message, flow_id, sent, stream.ts_ns, stream.packet_id, ends, _TCP)
        stream.rest = b""


def _folded(question: Question | None) -> Question | None:
    """A question with its name in lower case (RFC 1035 section 2.3.3)."""
    return question and (question[0].lower(), question[1], question[2])


def _answered(waiting: Waiting, sent: bool, question: Question | None) -> Row | None:
    """Take the oldest query out of those that this response answers. A response that repeats no question (some servers
    do so with FORMERR) answers by its id alone; so does one whose query could not be read."""
    asker, wanted = not sent, _folded(question)
    if wanted is None:
        keys = [key for key in waiting if key[0] == asker]
    else:
        keys = [key for key in ((asker, wanted), (asker, None)) if key in waiting]
    if not keys:
        return None
    # Numbers within a flow rise as its messages come.
    oldest = min(keys, key=lambda key: waiting[key][0][_TXN_ID])
    rows = waiting[oldest]
    row = rows.popleft()
    if not rows:
        del waiting[oldest]
    return row
