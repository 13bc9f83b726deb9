"""In: NetBIOS datagrams (names on port 137, datagrams on port 138), and the request that opens a NetBIOS session. Out: rows of table
`netbios`, one a kind of message in a flow. Never here: SMB in a session (smb.py), or DNS.

RFC 1001 14.1 (names as letters), RFC 1002 4.2 (name service), 4.3.2 (session request), 4.4 (datagrams), [MS-BRWS] 2.2 (browser
announcements in mailslots); meanings of the sixteenth byte: [MS-NBTE] 1.8 and Microsoft's list of NetBIOS suffixes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_NETBIOS_KINDS
from tracehound.protocols.dns_registry import rcode_name
from tracehound.protocols.lines import visible
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_OPERATIONS: Final[dict[int, str]] = {
    0: "query", 5: "registration", 6: "release", 7: "wait", 8: "refresh", 9: "refresh", 15: "registration",
}  # fmt: skip
_NB, _NBSTAT = 0x20, 0x21
_DATAGRAMS: Final[dict[int, str]] = {
    0x10: "datagram", 0x11: "datagram", 0x12: "datagram", 0x13: "datagram error", 0x14: "datagram query", 0x15: "datagram query",
    0x16: "datagram query",
}  # fmt: skip
_TYPES: Final[dict[int, str]] = {
    0x00: "workstation", 0x01: "messenger", 0x03: "messenger", 0x06: "RAS server", 0x1B: "domain master browser",
    0x1C: "domain controllers", 0x1D: "master browser", 0x1E: "browser elections", 0x1F: "NetDDE", 0x20: "file server", 0x21: "RAS client",
    0xBE: "network monitor agent", 0xBF: "network monitor",
}  # fmt: skip
_GROUP_TYPES: Final[dict[int, str]] = {0x00: "domain", 0x01: "master browser"}
_MAILSLOT: Final = b"\\MAILSLOT\\BROWSE\0"
_ANNOUNCEMENTS: Final[dict[int, str]] = {
    1: "host announcement", 2: "announcement request", 8: "election", 9: "backup list request", 10: "backup list response",
    11: "become backup", 12: "domain announcement", 13: "master announcement", 15: "local master announcement",
}  # fmt: skip
_NAMES_MOST: Final = 255


def decoded_name(data: bytes, at: int) -> tuple[bytes, int]:
    """RFC 1001 14.1: a label of 32 letters, two to a byte; a scope may follow. Gives 16 bytes (b"" where there are none) and where it
    ends."""
    if at + 34 > len(data) or data[at] != 0x20:
        # RFC 1002 4.2.1.2: or a pointer to one.
        return b"", at + 2
    label = data[at + 1 : at + 33]
    end = at + 33
    while end < len(data) and data[end] and data[end] < 64:
        end += 1 + data[end]
    end += 2 if end < len(data) and data[end] >= 0xC0 else 1
    if any(not 0x41 <= c <= 0x50 for c in label):
        return b"", end
    return bytes((a - 0x41) << 4 | (b - 0x41) for a, b in zip(label[::2], label[1::2], strict=True)), end


def name_text(name: bytes) -> str | None:
    """The first fifteen bytes as text."""
    return visible(name[:15].rstrip(b" \0").decode("latin-1")) or None


def _type(name: bytes, group: bool | None) -> str | None:
    if len(name) < 16:
        return None
    suffix = name[15]
    return (_GROUP_TYPES.get(suffix) if group else None) or _TYPES.get(suffix, f"0x{suffix:02x}")


@dataclass(slots=True)
class _Message:
    operation: str
    is_response: bool
    name: bytes = b""
    called: bytes = b""
    group: bool | None = None
    addresses: list[str] = field(default_factory=list)
    node_names: list[str] = field(default_factory=list)
    mac: str | None = None
    rcode: str | None = None
    host_name: str | None = None
    os_version: str | None = None
    comment: str | None = None
    note: str | None = None

    def cells(self, count: int) -> tuple[Any, ...]:
        return (
            self.operation, self.is_response, name_text(self.name), _type(self.name, self.group), name_text(self.called), self.group,
            self.addresses or None, self.node_names or None, self.mac, self.rcode, self.host_name, self.os_version, self.comment, count,
        )  # fmt: skip


def _name_service(data: bytes) -> _Message | None:
    """RFC 1002 4.2.1."""
    if len(data) < 12:
        return None
    flags = int.from_bytes(data[2:4], "big")
    questions, answers, additional = (int.from_bytes(data[i : i + 2], "big") for i in (4, 6, 10))
    response = bool(flags & 0x8000)
    m = _Message(_OPERATIONS.get(flags >> 11 & 15, f"opcode {flags >> 11 & 15}"), response)
    if response:
        m.rcode = rcode_name(flags & 15)
    at = 12
    if questions:
        m.name, at = decoded_name(data, at)
        if int.from_bytes(data[at : at + 2], "big") == _NBSTAT:
            m.operation = "node_status"
        at += 4
    if (answers or additional) and at < len(data):
        name, at = decoded_name(data, at)
        m.name = m.name or name
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 8 : at + 10], "big")
        value = data[at + 10 : at + 10 + size]
        if kind == _NBSTAT:
            m.operation = "node_status"
            _node_status(m, value)
        elif kind == _NB:
            # 4.2.1.3: flags, whose top bit says group, and an address each.
            m.group = bool(value[0] & 0x80) if value else None
            m.addresses = [str(ipaddress.IPv4Address(value[i + 2 : i + 6])) for i in range(0, len(value) - 5, 6)]
    return m


def _node_status(m: _Message, value: bytes) -> None:
    """4.2.18: number of names; each with 16 bytes and flags; then the statistics, which begin with the hardware address."""
    count = min(value[0] if value else 0, _NAMES_MOST)
    for i in range(count):
        entry = value[1 + 18 * i : 19 + 18 * i]
        if len(entry) < 18:
            m.note = "names cut"
            return
        group = bool(entry[16] & 0x80)
        m.node_names.append(f"{name_text(entry) or ''}<{entry[15]:02X}>" + (" group" if group else ""))
        if entry[15] == 0 and not group and m.host_name is None:
            m.host_name = name_text(entry)
    unit = value[1 + 18 * count : 7 + 18 * count]
    m.mac = unit.hex(":") if len(unit) == 6 and any(unit) else None


def _datagram_service(data: bytes) -> _Message | None:
    """RFC 1002 4.4.1 to 4.4.3."""
    if len(data) < 10:
        return None
    m = _Message(_DATAGRAMS.get(data[0], f"type 0x{data[0]:02x}"), False)
    m.addresses = [str(ipaddress.IPv4Address(data[4:8]))]
    if data[0] not in (0x10, 0x11, 0x12):
        return m
    m.name, at = decoded_name(data, 14)
    m.called, at = decoded_name(data, at)
    slot = data.find(_MAILSLOT, at)
    if data[at : at + 4] == b"\xffSMB" and slot > 0:
        # [MS-MAIL] 2.2.1: a transaction; the offset of its data stands at 24 of its words.
        offset = int.from_bytes(data[at + 57 : at + 59], "little")
        _announcement(m, data[at + offset :])
    return m


def _announcement(m: _Message, body: bytes) -> None:
    """[MS-BRWS] 2.2.1: opcode, count, period, name, version, type, browser's version and signature, comment."""
    kind = body[0] if body else 0
    m.operation = _ANNOUNCEMENTS.get(kind, m.operation)
    if kind in (1, 12, 15) and len(body) >= 24:
        name = visible(body[6:22].split(b"\0", 1)[0].decode("latin-1")) or None
        words = visible(body[32:].split(b"\0", 1)[0].decode("latin-1")) or None
        if kind == 12:
            # 2.2.3: the name is the domain's, the comment its master browser's.
            m.host_name, m.comment = words, f"domain {name}" if name else None
        else:
            m.host_name, m.comment = name, words
            m.os_version = f"{body[22]}.{body[23]}"


def session_request(reporter: Reporter, message: bytes, packet_id: int, ts_ns: int) -> None:
    """A row for the request that opens a session (RFC 1002 4.3.2: called name, then calling name)."""
    called, at = decoded_name(message, 4)
    calling, _ = decoded_name(message, at)
    m = _Message("session", False, calling, called)
    reporter.row("netbios", ts_ns, *m.cells(1), packet_id, None)


class _Flow(Reporter):
    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.kinds: dict[tuple[Any, ...], tuple[_Message, Datagram]] = {}
        self.counts: dict[tuple[Any, ...], int] = {}


class NetbiosDatagrams:
    """All flows of the name and datagram services."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Flow] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = _Flow(ends_of(d), self._emit)
        message = _datagram_service(d.data) if 138 in (d.sport, d.dport) else _name_service(d.data)
        if message is None:
            return False
        key = (d.from_originator, message.operation, message.is_response, message.name, message.called, message.rcode, message.host_name)
        if key not in flow.kinds and len(flow.kinds) < MAX_NETBIOS_KINDS:
            flow.kinds[key] = message, d._replace(data=b"")
        if key in flow.kinds:
            flow.counts[key] = flow.counts.get(key, 0) + 1
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        for key, (message, d) in flow.kinds.items():
            flow.ends = FlowEnds(flow_id, d.src, d.sport, d.dst, d.dport)
            flow.row("netbios", d.ts_ns, *message.cells(flow.counts[key]), d.packet_id, message.note)
