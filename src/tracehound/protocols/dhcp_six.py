"""In: DHCPv6 datagrams. Out: one row of table `dhcpv6` each; of a relayed message that of the message inside. Never here: putting
messages of one exchange together (xid and client_duid join them).

RFC 8415 (DHCPv6), 3646 (DNS), 4704 (client FQDN)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from tracehound.limits import MAX_DHCP_OPTIONS
from tracehound.protocols.dhcp import domain_name
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_TYPES: Final[dict[int, str]] = {
    1: "SOLICIT", 2: "ADVERTISE", 3: "REQUEST", 4: "CONFIRM", 5: "RENEW", 6: "REBIND", 7: "REPLY", 8: "RELEASE", 9: "DECLINE",
    10: "RECONFIGURE", 11: "INFORMATION-REQUEST", 12: "RELAY-FORW", 13: "RELAY-REPL", 14: "LEASEQUERY", 15: "LEASEQUERY-REPLY",
}  # fmt: skip
_STATUS: Final[dict[int, str]] = {
    0: "Success", 1: "UnspecFail", 2: "NoAddrsAvail", 3: "NoBinding", 4: "NotOnLink", 5: "UseMulticast", 6: "NoPrefixAvail",
}  # fmt: skip
_RELAY_FORW, _RELAY_REPL = 12, 13
_RELAYS: Final = 8
"""RFC 8415 7.6: HOP_COUNT_LIMIT."""
(_CLIENT, _SERVER, _IA_NA, _IA_TA, _IAADDR, _RELAY_MSG, _STATUS_CODE, _VENDOR, _DNS, _DOMAINS, _IA_PD, _IAPREFIX, _FQDN) = (
    1, 2, 3, 4, 5, 9, 13, 16, 23, 24, 25, 26, 39)  # fmt: skip


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """RFC 8415 21.1: number and length in two bytes each. A length that reaches beyond the end gives number -1."""
    at = 0
    for _ in range(MAX_DHCP_OPTIONS):
        if at + 4 > len(data):
            return
        number, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 + size > len(data):
            yield -1, b""
            return
        yield number, data[at + 4 : at + 4 + size]
        at += 4 + size


def _mac(duid: bytes) -> str | None:
    """RFC 8415 11: type 1 (with time) and 3 hold a link-layer address, of hardware type 1 = Ethernet."""
    kind, hardware = duid[:2], duid[2:4]
    if hardware not in (b"\0\1", b"\0\6"):
        return None
    if kind == b"\0\1" and len(duid) == 14:
        return duid[8:].hex(":")
    return duid[4:].hex(":") if kind == b"\0\3" and len(duid) == 10 else None


class _Message:
    """What the options of one message say."""

    def __init__(self) -> None:
        self.client: bytes | None = None
        self.server: bytes | None = None
        self.addresses: list[str] = []
        self.lease_s: int | None = None
        self.fqdn: str | None = None
        self.vendor: str | None = None
        self.dns: list[str] | None = None
        self.domains: list[str] | None = None
        self.status: str | None = None
        self.answer: str | None = None
        self.note: str | None = None

    def read(self, data: bytes, depth: int = 0) -> None:
        for number, value in _options(data):
            if number == -1:
                self.note = "options cut"
            elif number == _CLIENT:
                self.client = value
            elif number == _SERVER:
                self.server = value
            elif number in (_IA_NA, _IA_PD, _IA_TA) and depth == 0:
                # RFC 8415 21.4, 21.5: IAID, T1, T2; a temporary association has no times.
                self.read(value[4 if number == _IA_TA else 12 :], 1)
            elif number == _IAADDR and len(value) >= 24:
                self._address(str(ipaddress.IPv6Address(value[:16])), value[20:24])
            elif number == _IAPREFIX and len(value) >= 25:
                self._address(f"{ipaddress.IPv6Address(value[9:25])}/{value[8]}", value[4:8])
            elif number == _STATUS_CODE and len(value) >= 2:
                code = int.from_bytes(value[:2], "big")
                self.status, self.answer = _STATUS.get(code, str(code)), words_of(value[2:]) or None
            elif number == _FQDN and len(value) > 1:
                self.fqdn = domain_name(value[1:])
            elif number == _VENDOR and len(value) > 6:
                self.vendor = words_of(value[6 : 6 + int.from_bytes(value[4:6], "big")]) or None
            elif number == _DNS:
                self.dns = [str(ipaddress.IPv6Address(value[i : i + 16])) for i in range(0, len(value) - 15, 16)]
            elif number == _DOMAINS:
                self.domains = [words_of(name) for name in _names(value)]

    def _address(self, text: str, lifetime: bytes) -> None:
        self.addresses.append(text)
        if self.lease_s is None:
            self.lease_s = int.from_bytes(lifetime, "big")


def _names(raw: bytes) -> Iterator[bytes]:
    """Names one behind the other, as labels."""
    labels: list[bytes] = []
    at = 0
    while at < len(raw):
        size = raw[at]
        if size == 0:
            if labels:
                yield b".".join(labels)
            labels = []
        else:
            labels.append(raw[at + 1 : at + 1 + size])
        at += 1 + size


class Dhcpv6Datagrams:
    """All flows of DHCPv6."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, Reporter] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = Reporter(FlowEnds(d.flow_id, "", 0, "", 0), self._emit)
        number = flow.number("dhcpv6")
        if number is None:
            return True
        data, relay = d.data, None
        for _ in range(_RELAYS):
            # RFC 8415 9: type, hops, link and peer address, options, of which one is the message.
            if data[:1] not in (b"\x0c", b"\x0d") or len(data) < 34:
                break
            relay = str(ipaddress.IPv6Address(data[2:18]))
            inner = next((value for number, value in _options(data[34:]) if number == _RELAY_MSG), None)
            if inner is None:
                break
            data = inner
        m = _Message()
        relayed = data[:1] in (b"\x0c", b"\x0d")
        m.read(data[34 if relayed else 4 :])
        flow.ends = FlowEnds(d.flow_id, d.src, d.sport, d.dst, d.dport)
        self._emit("dhcpv6", (
            *flow.begin(number, d.ts_ns), _TYPES.get(data[0], f"TYPE{data[0]}") if data else None,
            int.from_bytes(data[1:4], "big") if len(data) >= 4 and not relayed else None, m.client.hex() if m.client else None,
            m.server.hex() if m.server else None, _mac(m.client or b""), m.addresses or None, m.lease_s, m.fqdn, m.vendor, m.dns or None,
            m.domains or None, relay, m.status, m.answer, d.packet_id, m.note or (None if len(data) >= 4 else "shorter than a message"),
        ))  # fmt: skip
        return False

    def end(self, flow_id: int) -> None:
        self._flows.pop(flow_id, None)
