"""In: batches of packets with their flows, and what those speak. Out: finished rows of every protocol's table.
Never here: a protocol's own rules, or what a flow speaks (identify.py).

START HERE for the protocols: `Transactions.add` for a batch, `end` when flows end. A protocol is one file and one line in
STREAMS (over TCP) or DATAGRAMS (over UDP), by the service name that identify.py gives; it is loaded when it is first met."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.dns import DnsState, may_be_dns
from tracehound.protocols.expectations import Expectations
from tracehound.protocols.identify import ANNOUNCED, SERVICE_CODE, Spoken
from tracehound.protocols.session import (
    Datagram,
    DatagramReader,
    Expected,
    FlowEnds,
    Interest,
    Opener,
    Row,
    Session,
    rows_table,
)
from tracehound.streams.interleave import in_turns
from tracehound.streams.reassemble import Chunk, StreamState, end_flow, forget
from tracehound.tables import ALL

STREAMS: Final[dict[str, str]] = {
    "http": "tracehound.protocols.http:open_session",
    "ssl": "tracehound.protocols.tls:open_session",
    "smtp": "tracehound.protocols.smtp:open_session",
    "pop3": "tracehound.protocols.pop:open_session",
    "imap": "tracehound.protocols.imap:open_session",
    "ftp": "tracehound.protocols.ftp:open_session",
    "irc": "tracehound.protocols.irc:open_session",
    "telnet": "tracehound.protocols.telnet:open_session",
    "sip": "tracehound.protocols.sip:open_session",
    "ssh": "tracehound.protocols.ssh:open_session",
    "dce_rpc": "tracehound.protocols.dce_rpc:open_session",
    "smb": "tracehound.protocols.smb:open_session",
    "netbios_ssn": "tracehound.protocols.smb:open_session",
    "rdp": "tracehound.protocols.rdp:open_session",
    "krb_tcp": "tracehound.protocols.kerberos:open_session",
    "ldap_tcp": "tracehound.protocols.ldap:open_session",
    "portmapper": "tracehound.protocols.sunrpc:open_session",
    "nfs": "tracehound.protocols.sunrpc:open_session",
    "mount": "tracehound.protocols.sunrpc:open_session",
    "sunrpc": "tracehound.protocols.sunrpc:open_session",
    "syslog": "tracehound.protocols.syslog:open_session",
    "mysql": "tracehound.protocols.mysql:open_session",
    "postgresql": "tracehound.protocols.postgresql:open_session",
    "tds": "tracehound.protocols.tds:open_session",
    "redis": "tracehound.protocols.redis:open_session",
}
"""Service over TCP: where its opener is."""

DATAGRAMS: Final[dict[str, str]] = {
    "sip": "tracehound.protocols.sip:SipDatagrams",
    "dhcp": "tracehound.protocols.dhcp:DhcpDatagrams",
    "dhcpv6": "tracehound.protocols.dhcp_six:Dhcpv6Datagrams",
    "dce_rpc": "tracehound.protocols.dce_rpc:RpcDatagrams",
    "quic": "tracehound.protocols.quic:QuicDatagrams",
    "tftp": "tracehound.protocols.tftp:TftpDatagrams",
    "tftp_data": "tracehound.protocols.tftp:TftpDatagrams",
    "snmp": "tracehound.protocols.snmp:SnmpDatagrams",
    "ntp": "tracehound.protocols.ntp:NtpDatagrams",
    "netbios_ns": "tracehound.protocols.netbios:NetbiosDatagrams",
    "netbios_dgm": "tracehound.protocols.netbios:NetbiosDatagrams",
    "krb": "tracehound.protocols.kerberos:KerberosDatagrams",
    "ldap_udp": "tracehound.protocols.ldap:LdapDatagrams",
    "portmapper": "tracehound.protocols.sunrpc:RpcDatagrams",
    "nfs": "tracehound.protocols.sunrpc:RpcDatagrams",
    "mount": "tracehound.protocols.sunrpc:RpcDatagrams",
    "sunrpc": "tracehound.protocols.sunrpc:RpcDatagrams",
    "radius": "tracehound.protocols.radius:RadiusDatagrams",
    "syslog": "tracehound.protocols.syslog:SyslogDatagrams",
    "ssdp": "tracehound.protocols.ssdp:SsdpDatagrams",
    "dtls": "tracehound.protocols.dtls:DtlsDatagrams",
}
"""Service over UDP: where its reader is."""

FILLS: Final[dict[str, tuple[str, ...]]] = {
    "dhcp": ("dhcp",),
    "dhcpv6": ("dhcpv6",),
    "dce_rpc": ("dce_rpc", "ntlm", "logins"),
    "quic": ("quic", "tls"),
    "snmp": ("snmp", "logins"),
    "ntp": ("ntp",),
    "netbios_ns": ("netbios",),
    "netbios_dgm": ("netbios",),
    "krb": ("kerberos", "logins"),
    "krb_tcp": ("kerberos", "logins"),
    "ldap_tcp": ("ldap", "kerberos", "ntlm", "logins", "tls"),
    "ldap_udp": ("ldap", "kerberos", "ntlm", "logins", "tls"),
    "portmapper": ("sunrpc",),
    "nfs": ("sunrpc",),
    "mount": ("sunrpc",),
    "sunrpc": ("sunrpc",),
    "radius": ("radius", "logins"),
    "syslog": ("syslog",),
    "ssdp": ("ssdp",),
    "dtls": ("tls",),
    "ssl": ("tls",),
    "ssh": ("ssh", "logins"),
    "rdp": ("rdp", "logins", "tls"),
    "telnet": ("telnet", "logins"),
    "sip": ("sip", "logins"),
    "mysql": ("database", "logins", "tls"),
    "postgresql": ("database", "logins", "tls"),
    "tds": ("database", "logins", "tls"),
    "redis": ("database", "logins"),
}
"""The tables that a service's reader fills. A service is read where somebody asks for one of them; one that is not named here is
always read: it carries other services (http), or announces flows to come, or tells what its flow speaks (smb)."""

ALIKE: Final[dict[str, tuple[int, ...]]] = {
    "ntp": (0, 1, 3),
}
"""Services over UDP of whose datagrams only the first of a kind is read: the bytes that tell kinds apart."""

_DNS = SERVICE_CODE["dns"]
_SYN = 2
_ROWS_AT_ONCE: Final = 2048
"""Rows that are collected before they become a table: making one costs as much as a few hundred rows."""
_ENOUGH, _MET, _TIED = 1, 2, 4
"""Bits by flow: its protocol needs no more of its bytes; packets of it were handed in; another flow has announced it."""
_NO_OTHERS: Final[dict[int, tuple[int, int]]] = {}
_NONE_EXPECTED: Final[list[Expected]] = []
_TCP, _UDP = 6, 17
_CODES: Final = 256


def _located(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _lookup(services: Iterable[str]) -> NDArray[np.bool_]:
    wanted = np.zeros(_CODES, np.bool_)
    wanted[[SERVICE_CODE[name] for name in services]] = True
    return wanted


_SERVICE_OF: Final = {code: name for name, code in SERVICE_CODE.items()}
ANNOUNCERS: Final = _lookup(("ftp", "irc", "tftp"))
"""Services that announce connections to come, by code."""


class Reads(NamedTuple):
    """What is read, given the tables that are asked for: by service code, bool (256).

    streams, datagrams   services over TCP and UDP that have a reader of use here
    dns                  whether DNS is read"""

    streams: NDArray[np.bool_]
    datagrams: NDArray[np.bool_]
    dns: bool


def reads(tables: frozenset[str] | None) -> Reads:
    """What is to be read for these tables (None = all)."""

    def of_use(service: str) -> bool:
        return tables is None or service not in FILLS or not tables.isdisjoint(FILLS[service])

    dns = tables is None or "dns" in tables
    streams = _lookup([*filter(of_use, STREAMS), *ANNOUNCED, *(["dns"] if dns else [])])
    return Reads(streams, _lookup([*filter(of_use, DATAGRAMS)]), dns)


def useful_rows(
    packets: PacketBatch, assignment: Assignment, spoken: Spoken, announced: NDArray[np.bool_], read: Reads
) -> NDArray[np.int64]:
    """Rows of a batch that `Transactions.add` has a use for: all others may be left out.

    read        what is read at all
    announced   for each packet whether its flow may be one that another flow announces"""
    payload = (packets.payload_caplen > 0) | (packets.payload_len > 0)
    tcp, udp = packets.proto == _TCP, packets.proto == _UDP
    stream = tcp & ((payload & (read.streams[spoken.codes] | spoken.undecided | announced)) | ((packets.tcp_flags & _SYN) > 0))
    named = read.datagrams[spoken.codes]
    if read.dns:
        named = named | may_be_dns(packets, spoken.codes)
    datagram = udp & payload & (named | (announced & (spoken.codes == 0)))
    return np.flatnonzero((stream | datagram) & (assignment.flow_id >= 0))


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
    """What the protocols keep between batches.

    What a flow speaks is told by the caller (identify.py), for each packet, as known at the end of its batch."""

    def __init__(self, interest: Interest | None = None) -> None:
        """interest   what is wanted of files (default: all but their content); its opener is set here"""
        self.interest = interest if interest is not None else Interest()
        self.interest.opener = self._opener_of
        self._read = reads(self.interest.tables)
        self.streams = StreamState()
        self.dns = DnsState(rows_at_once=_ROWS_AT_ONCE)
        self._codes = np.zeros(4096, np.uint8)
        self._flags = np.zeros(4096, np.uint8)
        self._openers: dict[int, Opener] = {_DNS: lambda ends, _chunk, _emit: _DnsSession(self.dns, ends)}
        self._readers: dict[str, DatagramReader] = {}
        self._sessions: dict[int, Session] = {}
        self._ends: dict[int, FlowEnds] = {}
        self._undecided: dict[int, list[Chunk]] = {}
        self._expectations = Expectations()
        self._announced: dict[int, Opener] = {}
        self._told: dict[int, int] = {}
        self._rows: dict[str, list[Row]] = {}

    def _emit(self, table: str, row: Row) -> None:
        if self.interest.tables is None or table in self.interest.tables:
            self._rows.setdefault(table, []).append(row)

    def add(self, packets: PacketBatch, assignment: Assignment, spoken: Spoken) -> dict[str, pa.Table]:
        """Read one batch; returns the rows that are finished."""
        flow_id = assignment.flow_id
        if flow_id.size:
            self._learn(flow_id, spoken.codes)
        codes = np.where(flow_id >= 0, self._codes[flow_id], 0)
        enough = (np.where(flow_id >= 0, self._flags[flow_id], 0) & _ENOUGH) > 0
        wanted = ((self._read.streams[codes] | spoken.undecided) & ~enough) | ((packets.tcp_flags & _SYN) > 0)
        for chunk in in_turns(packets, assignment, wanted, self.streams):
            if chunk.flow_id not in self._ends:
                self._ends[chunk.flow_id] = _ends(packets, chunk, self.interest)
            self._feed(chunk)
        if self._expectations.waiting:
            self._read_announced(packets, assignment, wanted)
        self._add_datagrams(packets, assignment, codes, (flow_id >= 0) & ~enough)
        return {"dns": self.dns.add_udp(packets, assignment, self._codes), **self._take_rows(_ROWS_AT_ONCE)}

    def _learn(self, flow_id: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
        """Take over what the flows speak, and that they were met."""
        flows = int(flow_id.max()) + 1
        if flows > self._codes.size:
            more = max(flows, self._codes.size * 2) - self._codes.size
            self._codes = np.concatenate((self._codes, np.zeros(more, np.uint8)))
            self._flags = np.concatenate((self._flags, np.zeros(more, np.uint8)))
        inside = flow_id >= 0
        tied = np.where(inside, self._flags[flow_id], 0) & _TIED > 0
        self._codes[flow_id[inside & ~tied]] = codes[inside & ~tied]
        self._flags[flow_id[inside]] |= _MET

    # -- connections that another has announced ---------------------------------------------------------------------------
    def _read_announced(self, packets: PacketBatch, assignment: Assignment, read: NDArray[np.bool_]) -> None:
        """Tie flows of this batch to what was announced, and read those of their packets that were not read as something else."""
        tied = self._expectations.met(packets, assignment, self._announced.keys())
        if not tied:
            return
        for flow_id, expected in tied.items():
            self._announced[flow_id] = expected.opener
            self._codes[flow_id] = self._told[flow_id] = SERVICE_CODE[expected.service]
            self._flags[flow_id] = _MET | _TIED
            self._sessions.pop(flow_id, None)
        mine = np.isin(assignment.flow_id, np.fromiter(tied, np.int64)) & ~(read & ((packets.tcp_flags & _SYN) == 0))
        for chunk in in_turns(packets, assignment, mine, self.streams):
            if chunk.flow_id not in self._ends:
                self._ends[chunk.flow_id] = _ends(packets, chunk, self.interest)
            self._feed(chunk)
        for flow_id in tied:
            earlier = self._undecided.pop(flow_id, [])
            if earlier:
                self._open_announced(flow_id, earlier)

    def take_services(self) -> dict[int, int]:
        """What flows speak because another flow has said so, as far as it was not taken yet: flow_id -> code."""
        told, self._told = self._told, {}
        return told

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
            code = int(self._codes[flow_id])
            if not self._read.streams[code] and flow_id not in self._announced:
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
        spoken: str = getattr(session, "spoken", "")
        if spoken:
            self._told[flow_id] = SERVICE_CODE[spoken]
            session.spoken = ""  # type: ignore[attr-defined]
        if session.finished:
            self._flags[flow_id] |= _ENOUGH

    def _open(self, code: int, flow_id: int, chunk: Chunk) -> Session:
        opener = self._announced.get(flow_id) or self._opener_of(_SERVICE_OF[code])
        assert opener is not None
        session = self._sessions[flow_id] = opener(self._ends[flow_id], chunk, self._emit)
        return session

    def _opener_of(self, service: str) -> Opener | None:
        """The opener of a service over TCP; None where no reader is there for it."""
        code = SERVICE_CODE.get(service, 0)
        opener = self._openers.get(code)
        if opener is None and service in STREAMS:
            opener = self._openers[code] = _located(STREAMS[service])
        return opener

    # -- datagrams ------------------------------------------------------------------------------------------------------
    def _add_datagrams(self, packets: PacketBatch, assignment: Assignment, codes: NDArray[np.uint8], open_: NDArray[np.bool_]) -> None:
        """Read the datagrams of flows that are still read.

        open_   for each packet whether more of its flow is of use"""
        there = open_ & (packets.proto == _UDP) & (packets.payload_caplen > 0) & (packets.payload_offset >= 0)
        rows = np.flatnonzero(there & self._read.datagrams[codes])
        for service, places in ALIKE.items():
            mine = codes[rows] == SERVICE_CODE[service]
            if mine.any():
                self._read_alike(packets, assignment, rows[mine], places)
                rows = rows[~mine]
        self._read_datagrams(packets, assignment, rows)
        waiting = {where: service for reader in self._readers.values() for where, service in getattr(reader, "expected", {}).items()}
        if waiting:
            rows = np.flatnonzero(there & (codes == 0))
            self._read_datagrams(packets, assignment, self._tied_datagrams(packets, assignment, rows, waiting))

    def _tied_datagrams(
        self, packets: PacketBatch, assignment: Assignment, rows: NDArray[np.int64], waiting: Mapping[tuple[str, int], str]
    ) -> NDArray[np.int64]:
        """Those of the rows whose flow has an end that a reader waits for."""
        ports = np.fromiter({port for _, port in waiting}, np.uint16)
        rows = rows[np.isin(packets.sport[rows], ports) | np.isin(packets.dport[rows], ports)]
        flows, first = np.unique(assignment.flow_id[rows], return_index=True)
        tied = []
        for flow_id, i in zip(flows.tolist(), rows[first].tolist(), strict=True):
            version = int(packets.ip_version[i])
            ends = (
                (address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i])),
                (address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i])),
            )
            service = next((waiting[end] for end in ends if end in waiting), None)
            if service is not None:
                self._codes[flow_id] = self._told[flow_id] = SERVICE_CODE[service]
                self._flags[flow_id] = _MET | _TIED
                tied.append(flow_id)
        return rows[np.isin(assignment.flow_id[rows], np.array(tied, np.int64))]

    def _read_alike(
        self, packets: PacketBatch, assignment: Assignment, rows: NDArray[np.int64], places: tuple[int, ...]
    ) -> None:
        """Of datagrams that are alike (same flow, direction and bytes at `places`) only the first is read, and told how many they
        are: a million of them cost no more than one."""
        at, size = packets.payload_offset[rows], packets.payload_caplen[rows]
        key = np.zeros(rows.size, np.int64)
        for place in places:
            inside = size > place
            key = key << 8 | np.where(inside, packets.buffer[np.where(inside, at + place, 0)], 0)
        flow = assignment.flow_id[rows] * 2 + assignment.from_originator[rows]
        pairs = np.stack((flow, key), axis=1)
        _, first, inverse, count = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
        length = np.bincount(inverse.ravel(), weights=packets.payload_len[rows]).astype(np.int64)
        order = np.argsort(first)
        alike = {int(rows[first[i]]): (int(count[i]), int(length[i])) for i in order.tolist()}
        self._read_datagrams(packets, assignment, rows[first[order]], alike)

    def _read_datagrams(
        self, packets: PacketBatch, assignment: Assignment, rows: NDArray[np.int64], alike: Mapping[int, tuple[int, int]] = _NO_OTHERS
    ) -> None:
        columns = (
            rows, assignment.flow_id[rows], assignment.from_originator[rows], packets.ts[rows], packets.packet_id[rows],
            packets.src_hi[rows], packets.src_lo[rows], packets.dst_hi[rows], packets.dst_lo[rows], packets.ip_version[rows],
            packets.sport[rows], packets.dport[rows], packets.payload_offset[rows], packets.payload_caplen[rows],
            packets.payload_len[rows],
        )  # fmt: skip
        buffer = packets.buffer.data
        for row, flow, sent, ts, packet, s_hi, s_lo, d_hi, d_lo, version, sport, dport, offset, size, length in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if self._flags[flow] & _ENOUGH:
                continue
            place = DATAGRAMS[_SERVICE_OF[int(self._codes[flow])]]
            reader = self._readers.get(place)
            if reader is None:
                reader = self._readers[place] = _located(place)(self._emit)
            src, dst = address_text(s_hi, s_lo, version), address_text(d_hi, d_lo, version)
            data = bytes(buffer[offset : offset + size])
            count, sum_bytes = alike.get(row, (1, length))
            datagram = Datagram(flow, sent, ts, packet, src, sport, dst, dport, data, length, self.interest, count, sum_bytes)
            if reader.datagram(datagram):
                self._flags[flow] |= _ENOUGH

    # -- rows -----------------------------------------------------------------------------------------------------------
    def _take_rows(self, at_least: int) -> dict[str, pa.Table]:
        full = [name for name, rows in self._rows.items() if len(rows) >= at_least]
        return {name: rows_table(ALL[name], self._rows.pop(name)) for name in full}

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """These flows are over; returns the rows that this finishes."""
        flow_ids = flow_ids[flow_ids < self._flags.size]
        flow_ids = flow_ids[(self._flags[flow_ids] & _MET) > 0]
        for flow_id in flow_ids[self._read.datagrams[self._codes[flow_ids]]].tolist():
            reader = self._readers.get(DATAGRAMS[_SERVICE_OF[int(self._codes[flow_id])]])
            if reader is not None:
                reader.end(flow_id)
        for flow_id in flow_ids.tolist():
            if flow_id in self._ends:
                self._end_stream(flow_id)
            else:
                forget(flow_id, self.streams)
                self._announced.pop(flow_id, None)
        return {"dns": self.dns.end(flow_ids), **self._take_rows(_ROWS_AT_ONCE)}

    def finish(self) -> dict[str, pa.Table]:
        """The evidence is over, and all flows were ended: the last rows."""
        return {"dns": self.dns.finish(), **self._take_rows(1)}

    def _end_stream(self, flow_id: int) -> None:
        for chunk in end_flow(flow_id, self.streams):
            self._feed(chunk)
        del self._ends[flow_id]
        self._undecided.pop(flow_id, None)
        self._announced.pop(flow_id, None)
        session = self._sessions.pop(flow_id, None)
        differs = flow_id in self.streams.differing
        if differs:
            self.streams.differing.discard(flow_id)
        if session is not None:
            session.close("retransmitted with other bytes; the first were taken" if differs else "")
            _let_go(session)


def _let_go(session: Session) -> None:
    """What a session is made of mostly knows it in turn: once it has let go of its parts they go at once, and nobody has to look for
    them among all others (edges/lean_imports.py)."""
    if hasattr(session, "__dict__"):
        vars(session).clear()


def _ends(packets: PacketBatch, chunk: Chunk, interest: Interest) -> FlowEnds:
    """Originator and responder of a chunk's flow."""
    i = chunk.first_row
    version = int(packets.ip_version[i])
    src = address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i])
    dst = address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i])
    both = (*src, *dst) if chunk.from_originator else (*dst, *src)
    return FlowEnds(chunk.flow_id, *both, interest)
