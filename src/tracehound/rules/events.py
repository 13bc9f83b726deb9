"""In: a frame that is not as it should be. Out: the names of what is wrong with it, as decode-event and stream-event know them.
Never here: packets that are well; rules.

Conditions as in Suricata's decoders (decode-*.c). Only what can be told from the frame is here; each name stands for one test."""

from __future__ import annotations

from typing import Final

from tracehound.rules.packet import ICMP, ICMPV6, SCTP, TCP, UDP, Packet

DECODE: Final[frozenset[str]] = frozenset((
    "ipv4.pkt_too_small", "ipv4.hlen_too_small", "ipv4.iplen_smaller_than_hlen", "ipv4.trunc_pkt", "ipv4.wrong_ip_version",
    "ipv4.unknown_protocol", "ipv6.pkt_too_small", "ipv6.trunc_pkt", "ipv6.wrong_ip_version", "ipv6.unknown_next_header",
    "ipv6.ipv6_in_ipv6_wrong_version", "ipv6.ipv6_in_ipv6_too_small", "ipv6.ipv4_in_ipv6_too_small", "ipv6.ipv4_in_ipv6_wrong_version",
    "tcp.pkt_too_small", "tcp.hlen_too_small", "tcp.invalid_optlen", "udp.pkt_too_small", "udp.hlen_too_small", "udp.hlen_invalid",
    "udp.len_invalid", "icmpv4.pkt_too_small", "icmpv6.pkt_too_small", "gre.pkt_too_small", "sctp.pkt_too_small", "sctp.too_many_chunks",
    "ethernet.pkt_too_small",
))  # fmt: skip
STREAM: Final[frozenset[str]] = frozenset(("3whs_syn_flood", "reassembly_seq_gap"))
SYN_QUEUE: Final = 10
"""SYNs with another sequence number that are remembered for one handshake (stream.max-syn-queued)."""
_MAX_CHUNKS: Final = 64
_KNOWN: Final = frozenset((0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 139, 140))


def _tcp(data: bytes, out: list[str]) -> None:
    if len(data) < 20:
        out.append("tcp.pkt_too_small")
    elif (data[12] >> 4) * 4 < 20 or (data[12] >> 4) * 4 > len(data):
        out.append("tcp.hlen_too_small")
    else:
        at, end = 20, (data[12] >> 4) * 4
        while at < end and data[at] != 0:
            if data[at] == 1:
                at += 1
                continue
            size = data[at + 1] if at + 1 < end else 0
            if size < 2 or at + size > end:
                out.append("tcp.invalid_optlen")
                return
            at += size


def _udp(data: bytes, out: list[str]) -> None:
    if len(data) < 8:
        out.append("udp.hlen_too_small")
        return
    size = int.from_bytes(data[4:6], "big")
    if 0 < size < 8:
        out.append("udp.len_invalid")
    elif size > len(data):
        out.append("udp.pkt_too_small")
    elif size != len(data) and size:
        out.append("udp.hlen_invalid")


def _icmp4(data: bytes, out: list[str]) -> None:
    if len(data) < 8:
        out.append("icmpv4.pkt_too_small")


def _icmp6(data: bytes, out: list[str]) -> None:
    if len(data) < 8:
        out.append("icmpv6.pkt_too_small")


def _gre(data: bytes, out: list[str]) -> None:
    if len(data) < 4:
        out.append("gre.pkt_too_small")


def _sctp(data: bytes, out: list[str]) -> None:
    if len(data) < 12:
        out.append("sctp.pkt_too_small")
        return
    # RFC 9260 3.2: type 1, flags 1, length 2 (header included), padded to 4.
    at, chunks = 12, 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4:
            return
        chunks += 1
        if chunks > _MAX_CHUNKS:
            out.append("sctp.too_many_chunks")
            return
        at += (size + 3) & ~3


def _inside(version: int, name: str) -> object:
    def check(data: bytes, out: list[str]) -> None:
        if len(data) < (40 if version == 6 else 20):
            out.append(f"ipv6.{name}_in_ipv6_too_small")
        elif data[0] >> 4 != version:
            out.append(f"ipv6.{name}_in_ipv6_wrong_version")

    return check


_ipv6_in_ipv6 = _inside(6, "ipv6")
_ipv4_in_ipv6 = _inside(4, "ipv4")
_TRANSPORT: Final = {TCP: _tcp, UDP: _udp, ICMP: _icmp4, ICMPV6: _icmp6, 47: _gre, SCTP: _sctp}


def decode_events(p: Packet, ip: bytes) -> tuple[str, ...]:
    """What is wrong with a packet whose IP header begins at ip[0]."""
    out: list[str] = []
    if not ip:
        return ()
    version = ip[0] >> 4
    if p.family == 6 or version == 6:
        if len(ip) < 40:
            return ("ipv6.pkt_too_small",)
        size = int.from_bytes(ip[4:6], "big")
        if size > len(ip) - 40:
            return ("ipv6.trunc_pkt",)
        body = ip[p.l4 : 40 + size] if size else ip[p.l4 :]
        proto = p.proto
        if proto == 41:
            _ipv6_in_ipv6(body, out)  # type: ignore[operator]
        elif proto == 4:
            _ipv4_in_ipv6(body, out)  # type: ignore[operator]
        elif proto not in _KNOWN:
            out.append("ipv6.unknown_next_header")
    else:
        if len(ip) < 20:
            return ("ipv4.pkt_too_small",)
        if version != 4:
            return ("ipv4.wrong_ip_version",)
        header, size = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
        if header < 20:
            return ("ipv4.hlen_too_small",)
        if 0 < size < header:
            return ("ipv4.iplen_smaller_than_hlen",)
        if size > len(ip):
            return ("ipv4.trunc_pkt",)
        proto = ip[9]
        if p.fragment:
            return ()
        body = ip[header : size or len(ip)]
        if proto not in _KNOWN:
            out.append("ipv4.unknown_protocol")
    check = _TRANSPORT.get(proto)
    if check is not None and not p.fragment:
        check(body, out)
    return tuple(out)
