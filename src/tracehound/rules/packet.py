"""In: one row of a batch and the bytes of its frame. Out: the packet as rules ask about it: header fields, options, buffers.
Never here: the rules, or many packets at once (scan.py works on columns).

RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58
SCTP: Final = 132
IGMP: Final = 2
ETHERNET: Final = 1
"""LINKTYPE_ETHERNET."""
WITH_PORTS: Final = frozenset((TCP, UDP, SCTP))


class Packet:
    """One packet. `ip` is the packet from its IP header on, as captured (b"" where there is none); `payload` what the transport
    carries. to_server and established are what the flow says when the packet is met. pseudo: no packet of the capture, but the
    end of a session at which what is left is inspected."""

    __slots__ = (
        "_l4",
        "ack",
        "added",
        "dport",
        "dst",
        "established",
        "events",
        "family",
        "flags",
        "flow",
        "flow_id",
        "fragment",
        "has_flow",
        "headed",
        "ip",
        "link",
        "link_type",
        "matched",
        "number",
        "payload",
        "payload_len",
        "place",
        "proto",
        "pseudo",
        "rebuilt",
        "row",
        "seq",
        "sport",
        "src",
        "stream_match",
        "to_server",
        "ts",
        "window",
    )  # fmt: skip

    def __init__(self) -> None:
        self.number = 0
        self.row = self.place = -1
        self.ts = 0
        self.family = 0
        self.proto = 0
        self.src = self.dst = 0
        self.sport = self.dport = 0
        self.flags = 0
        self.seq = self.ack = self.window = 0
        self.payload = b""
        self.payload_len = 0
        self.ip = b""
        self.to_server = True
        self.established = False
        self.has_flow = False
        self.pseudo = False
        self.added = False
        self.fragment = False
        self.rebuilt = False
        self.stream_match = False
        self.flow: Any = None
        self.flow_id = -1
        self.headed = True
        self.events: tuple[str, ...] = ()
        self.matched: list[Any] = []
        self.link = b""
        self.link_type = -1
        self._l4 = -1

    def swapped(self, to_server: bool) -> Packet:
        """The pseudo packet in a direction that stands for the end of this packet's session."""
        other = Packet()
        other.place = self.place
        other.number, other.row, other.ts, other.family, other.proto = self.number, self.row, self.ts, self.family, self.proto
        ends = (self.src, self.sport), (self.dst, self.dport)
        if to_server != self.to_server:
            ends = ends[1], ends[0]
        (other.src, other.sport), (other.dst, other.dport) = ends
        other.to_server, other.established, other.has_flow = to_server, self.established, self.has_flow
        other.flow, other.pseudo, other.added = self.flow, True, True
        other.flags = 16
        return other

    def forget_places(self) -> None:
        """`ip` is about to be another."""
        self._l4 = -1

    # -- headers --------------------------------------------------------------------------------------------------------------

    @property
    def l4(self) -> int:
        """Where the transport header begins in `ip`; len(ip) where there is none."""
        if self._l4 < 0:
            self._l4 = transport_at(self.ip)
        return self._l4

    def byte(self, at: int) -> int | None:
        return self.ip[at] if at < len(self.ip) else None

    @property
    def ttl(self) -> int | None:
        return self.byte(8 if self.family == 4 else 7)

    @property
    def tos(self) -> int | None:
        if len(self.ip) < 2:
            return None
        return self.ip[1] if self.family == 4 else (self.ip[0] & 15) << 4 | self.ip[1] >> 4

    @property
    def ip_id(self) -> int | None:
        return int.from_bytes(self.ip[4:6], "big") if self.family == 4 and len(self.ip) >= 6 else None

    @property
    def fragment_field(self) -> int:
        return int.from_bytes(self.ip[6:8], "big") if self.family == 4 and len(self.ip) >= 8 else 0

    @property
    def ip_header(self) -> bytes | None:
        if not self.ip:
            return None
        return self.ip[: (self.ip[0] & 15) * 4] if self.family == 4 else self.ip[: self.l4]

    @property
    def transport_header(self) -> bytes | None:
        """The TCP header with its options, the UDP header, or the ICMP header."""
        at = self.l4
        rest = self.ip[at:]
        if self.proto == TCP:
            return rest[: (rest[12] >> 4) * 4] if len(rest) >= 20 else None
        if self.proto == UDP:
            return rest[:8] if len(rest) >= 8 else None
        if self.proto in (ICMP, ICMPV6):
            return rest[:8] if self.proto == ICMP else rest[:4] if len(rest) >= 4 else None
        return rest or None

    def tcp_options(self) -> Iterator[tuple[int, bytes]]:
        """(kind, value) of each TCP option (RFC 9293 3.2)."""
        header = self.transport_header if self.proto == TCP else None
        if header is None:
            return
        at = 20
        while at < len(header):
            kind = header[at]
            if kind == 0:
                return
            if kind == 1:
                at += 1
                continue
            size = header[at + 1] if at + 1 < len(header) else 0
            if size < 2 or at + size > len(header):
                return
            yield kind, header[at + 2 : at + size]
            at += size

    @property
    def fast_open(self) -> bool:
        """RFC 7413: the SYN carries a fast open cookie, or asks for one."""
        return any(kind == 34 or (kind == 254 and value[:2] == b"\xf9\x89") for kind, value in self.tcp_options())

    def ip_options(self) -> Iterator[tuple[int, bytes]]:
        """(kind, value) of each IPv4 option (RFC 791 3.1)."""
        header = self.ip_header if self.family == 4 else None
        if header is None:
            return
        at = 20
        while at < len(header):
            kind = header[at]
            if kind in (0, 1):
                yield kind, b""
                if kind == 0:
                    return
                at += 1
                continue
            size = header[at + 1] if at + 1 < len(header) else 0
            if size < 2 or at + size > len(header):
                return
            yield kind, header[at + 2 : at + size]
            at += size

    def icmp_word(self, at: int) -> int | None:
        """A 16-bit word of the ICMP header."""
        rest = self.ip[self.l4 + at : self.l4 + at + 2]
        return int.from_bytes(rest, "big") if len(rest) == 2 else None


def transport_at(ip: bytes) -> int:
    """Offset of the transport header behind IPv4 options or IPv6 extension headers."""
    if not ip:
        return 0
    if ip[0] >> 4 == 4:
        return min(len(ip), (ip[0] & 15) * 4)
    if len(ip) < 40:
        return len(ip)
    kind, at = ip[6], 40
    for _ in range(16):
        if kind in (0, 43, 60) and at + 2 <= len(ip):
            kind, at = ip[at], at + (ip[at + 1] + 1) * 8
        elif kind == 44 and at + 8 <= len(ip):
            kind, at = ip[at], at + 8
        elif kind == 51 and at + 2 <= len(ip):
            kind, at = ip[at], at + (ip[at + 1] + 2) * 4
        else:
            break
    return min(at, len(ip))


def _of(proto: int | tuple[int, ...]) -> Callable[[Packet], bytes | None]:
    wanted = (proto,) if isinstance(proto, int) else proto
    return lambda p: p.transport_header if p.proto in wanted and not p.pseudo else None


def _address(address: int, family: int) -> bytes | None:
    """Network order: 4 bytes of IPv4, 16 of IPv6."""
    return address.to_bytes(16, "big")[12 if family == 4 else 0 :] if family else None


def arp_message(p: Packet) -> bytes | None:
    """RFC 826, behind Ethernet and VLAN tags."""
    if p.family or p.link_type != ETHERNET:
        return None
    at = 12
    while p.link[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return p.link[at + 2 :] or None if p.link[at : at + 2] == b"\x08\x06" else None


def sum_holds(p: Packet, layer: str) -> bool | None:
    """Whether the checksum of `ipv4`, or of the transport above IP, is right (RFC 1071); None where there is none to verify: of
    another protocol, a fragment, a packet that was cut, a UDP datagram without one."""
    if p.pseudo or p.fragment or p.rebuilt or not p.ip:
        return None
    ip = p.ip
    if layer == "ipv4":
        return _folded(ip[: (ip[0] & 15) * 4]) == 0xFFFF if p.family == 4 and len(ip) >= (ip[0] & 15) * 4 else None
    proto = {"tcp": TCP, "udp": UDP, "icmp": ICMP if p.family == 4 else ICMPV6}[layer]
    end = int.from_bytes(ip[2:4], "big") if p.family == 4 else 40 + int.from_bytes(ip[4:6], "big")
    if p.proto != proto or end > len(ip) or end <= p.l4:
        return None
    body = ip[p.l4 : end]
    if proto == UDP and body[6:8] == b"\0\0":
        return None
    if proto == ICMP:
        return _folded(body) == 0xFFFF
    ends = ip[12:20] if p.family == 4 else ip[8:40]
    return _folded(ends + len(body).to_bytes(4, "big") + proto.to_bytes(4, "big") + body) == 0xFFFF


def _folded(data: bytes) -> int:
    """The ones' complement sum of 16-bit words."""
    total = sum(int.from_bytes(data[k : k + 2].ljust(2, b"\0"), "big") for k in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def sctp_chunks(p: Packet) -> list[int]:
    """Types of the chunks of an SCTP packet (RFC 9260 3.2)."""
    data, out, at = p.ip[p.l4 :] if p.proto == SCTP else b"", [], 12
    while at + 4 <= len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4:
            break
        out.append(data[at])
        at += (size + 3) & ~3
    return out


BUFFERS: Final[dict[str, Callable[[Packet], bytes | None]]] = {
    "ipv4.hdr": lambda p: p.ip_header if p.family == 4 and not p.pseudo else None,
    "ipv6.hdr": lambda p: p.ip_header if p.family == 6 and not p.pseudo else None,
    "tcp.hdr": _of(TCP),
    "udp.hdr": _of(UDP),
    "icmpv4.hdr": _of(ICMP),
    "icmpv6.hdr": _of(ICMPV6),
    "igmp.hdr": lambda p: p.ip[p.l4 :] or None if p.proto == IGMP and not p.pseudo else None,
    "sctp.hdr": lambda p: p.ip[p.l4 :] or None if p.proto == SCTP and not p.pseudo else None,
    "ip.src": lambda p: _address(p.src, p.family),
    "ip.dst": lambda p: _address(p.dst, p.family),
    "ether.hdr": lambda p: p.link[:14] if p.link_type == ETHERNET and len(p.link) >= 14 else None,
    "arp.hdr": arp_message,
    "raw_data": lambda p: p.payload or None,
}
"""Buffers that a packet has by itself."""
