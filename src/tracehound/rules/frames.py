"""In: a batch of capture records, decoded. Out: the same with the packets inside tunnels and link protocols that the decoder does
not follow, each a row of its own with the frame number of its carrier; where each IP header begins; what was odd about a frame.
Never here: flows or rules.

Encapsulations as Suricata decodes them (decode-*.c): IP in IP (RFC 2003), 6in4 (RFC 4213), GRE (RFC 2784, 2890), VXLAN (RFC
7348), Teredo (RFC 4380), Geneve (RFC 8926); in place: PPPoE (RFC 2516), PPP, MPLS (RFC 3032), NSH (RFC 8300), Cisco HDLC, 802.1ah."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch, Records
from tracehound.kernels import kernel
from tracehound.limits import MAX_TUNNEL_NESTING_RULES
from tracehound.packets.batch import NOTE, PacketBatch
from tracehound.packets.decode import DecodeState, decode
from tracehound.packets.link import network_layer

_ETHERNET, _RAW, _PPP, _CHDLC = 1, 101, 9, 104
_ETHER_LINK: Final = {0x8864: "pppoe", 0x8847: "mpls", 0x8848: "mpls", 0x894F: "nsh", 0x88E7: "pbb"}


class Frames(NamedTuple):
    """packets: rows in order, those inside a tunnel before their carrier. ip_at: where the IP header begins in the buffer (-1:
    none); ip_end: end of what was captured of it; link_at: where the frame begins. inner: rows that are inside a tunnel. fragment:
    IPv4 flags and fragment offset as they stand in the header; header_len: bytes of the IPv4 header."""

    packets: PacketBatch
    ip_at: NDArray[np.int64]
    ip_end: NDArray[np.int64]
    link_at: NDArray[np.int64]
    inner: NDArray[np.bool_]
    fragment: NDArray[np.uint16]
    header_len: NDArray[np.uint8]


@kernel
def find_ip(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], link_type: NDArray[np.int32],
    ip_at: NDArray[np.int64], fragment: NDArray[np.uint16], header_len: NDArray[np.uint8],
) -> None:
    """Where the IP header of each record begins, -1 where there is none; of IPv4 its fragment field and its length."""
    for i in range(offset.size):
        start = offset[i]
        version, at, _vlan, _note = network_layer(buffer, start, start + np.int64(caplen[i]), np.int64(link_type[i]))
        ip_at[i] = at if version != 0 else -1
        if version == 4 and at + 20 <= start + np.int64(caplen[i]):
            # RFC 791 3.1: length in 4 bytes in the low half of byte 0; flags and offset in bytes 6 and 7.
            header_len[i] = (buffer[at] & 15) * 4
            fragment[i] = np.int64(buffer[at + 6]) << 8 | np.int64(buffer[at + 7])


class _Inner(NamedTuple):
    offset: int
    end: int
    link: int
    replaces: bool


def _u16(data: NDArray[np.uint8], at: int) -> int:
    return int(data[at]) << 8 | int(data[at + 1])


def _ppp(data: NDArray[np.uint8], at: int, end: int, replaces: bool) -> _Inner | None:
    """RFC 1661: protocol (one byte where it is odd), then the packet."""
    if at + 2 > end:
        return None
    if data[at] == 0xFF and data[at + 1] == 0x03:
        at += 2
        if at + 2 > end:
            return None
    if data[at] & 1:
        proto, at = int(data[at]), at + 1
    else:
        proto, at = _u16(data, at), at + 2
    return _Inner(at, end, _RAW, replaces) if proto in (0x21, 0x57) else None


def _by_type(data: NDArray[np.uint8], kind: int, at: int, end: int, replaces: bool) -> _Inner | None:
    """What an EtherType announces."""
    if kind in (0x0800, 0x86DD):
        return _Inner(at, end, _RAW, replaces)
    if kind == 0x8864:
        # RFC 2516: version and type 1, code 1, session 2, length 2, then PPP.
        return _ppp(data, at + 6, end, replaces) if at + 8 <= end and data[at + 1] == 0 else None
    if kind in (0x8847, 0x8848):
        while at + 4 <= end:
            bottom = data[at + 2] & 1
            at += 4
            if bottom:
                if at < end and data[at] >> 4 in (4, 6):
                    return _Inner(at, end, _RAW, replaces)
                if at + 4 <= end and not data[at] and not data[at + 1]:
                    # RFC 4448: a pseudo wire's control word before an Ethernet frame.
                    return _Inner(at + 4, end, _ETHERNET, replaces)
                return None
        return None
    if kind == 0x894F:
        # RFC 8300 2.2: version 2, O 1, U 1, TTL 6, length 6 (of 4 bytes), ..., next protocol 1, service path 4.
        if at + 8 > end:
            return None
        size = (_u16(data, at) & 0x3F) * 4
        after = int(data[at + 3])
        if size < 8 or at + size > end:
            return None
        link = {1: _RAW, 2: _RAW, 3: _ETHERNET}.get(after)
        if link is not None:
            return _Inner(at + size, end, link, replaces)
        return _by_type(data, 0x8847, at + size, end, replaces) if after == 5 else None
    if kind == 0x88E7:
        return _Inner(at + 4, end, _ETHERNET, replaces) if at + 18 <= end else None
    if kind in (0x8100, 0x88A8, 0x9100):
        return _by_type(data, _u16(data, at + 2), at + 4, end, replaces) if at + 4 <= end else None
    if kind == 0x6558:
        return _Inner(at, end, _ETHERNET, replaces)
    if kind == 0x880B:
        return _ppp(data, at, end, replaces)
    return None


def _gre(data: NDArray[np.uint8], at: int, end: int) -> _Inner | None:
    """RFC 2784, RFC 2890, RFC 2637: flags and version 2, protocol 2, then what the flags announce."""
    if at + 4 > end:
        return None
    flags, kind = _u16(data, at), _u16(data, at + 2)
    version = flags & 7
    here = at + 4
    if version == 0:
        here += 4 if flags & 0xC000 else 0
        here += 4 if flags & 0x2000 else 0
        here += 4 if flags & 0x1000 else 0
        if flags & 0x4000:
            while here + 4 <= end and data[here + 3]:
                here += 4 + int(data[here + 3])
            here += 4
    elif version == 1:
        here += 4
        here += 4 if flags & 0x1000 else 0
        here += 4 if flags & 0x80 else 0
    else:
        return None
    return _by_type(data, kind, here, end, False) if here < end else None


_UDP_TUNNELS: Final = (4789, 3544, 6081)


def _inside(p: PacketBatch, row: int, ip_at: int, ip_end: int, offset: int, link: int) -> _Inner | None:
    """What is inside row `row`."""
    data = p.buffer
    if ip_at < 0:
        end = offset + int(p.caplen[row])
        if link == _PPP:
            return _ppp(data, offset, end, True)
        if link == _CHDLC:
            return _by_type(data, _u16(data, offset + 2), offset + 4, end, True) if offset + 4 <= end else None
        if link == _ETHERNET and offset + 14 <= end:
            at = offset + 12
            kind = _u16(data, at)
            while kind in (0x8100, 0x88A8, 0x9100) and at + 6 <= end:
                at += 4
                kind = _u16(data, at)
            return _by_type(data, kind, at + 2, end, True) if kind in _ETHER_LINK else None
        return None
    proto = int(p.proto[row])
    at = int(p.payload_offset[row])
    if at < 0:
        return None
    end = at + int(p.payload_caplen[row])
    if proto in (4, 41):
        return _Inner(at, end, _RAW, False)
    if proto == 47:
        return _gre(data, at, end)
    ports = (int(p.sport[row]), int(p.dport[row]))
    if ports[1] == 4789 and at + 8 < end and data[at] & 8:
        return _Inner(at + 8, end, _ETHERNET, False)
    if 3544 in ports and at + 40 <= end and data[at] >> 4 == 6:
        return _Inner(at, end, _RAW, False)
    if ports[1] == 6081 and at + 8 < end:
        size = 8 + (int(data[at]) & 0x3F) * 4
        return _by_type(data, _u16(data, at + 2), at + size, end, False) if at + size < end else None
    return None


def _interesting(p: PacketBatch, ip_at: NDArray[np.int64], link: NDArray[np.int32]) -> NDArray[np.int64]:
    with_ip = ip_at >= 0
    tunnel = with_ip & np.isin(p.proto, (4, 41, 47)) & (p.payload_offset >= 0)
    udp = with_ip & (p.proto == 17) & (np.isin(p.dport, _UDP_TUNNELS) | (p.sport == 3544))
    other = ~with_ip & np.isin(link, (_ETHERNET, _PPP, _CHDLC)) & (p.ip_version == 0)
    return np.flatnonzero(tunnel | udp | other)


def frames(raw: RawBatch, packets: PacketBatch, inner_state: DecodeState) -> Frames:
    """Add rows for what is inside tunnels; `inner_state` is kept by the caller from batch to batch."""
    records = raw.records
    n = records.offset.size
    ip_at = np.full(n, -1, np.int64)
    fragment, header_len = np.zeros(n, np.uint16), np.zeros(n, np.uint8)
    find_ip(packets.buffer, records.offset, records.caplen, records.link_type, ip_at, fragment, header_len)
    link_at = records.offset.astype(np.int64)
    ip_end = link_at + records.caplen
    out = Frames(packets, ip_at, ip_end, link_at, np.zeros(n, np.bool_), fragment, header_len)
    rows, links = np.arange(n), records.link_type
    rebuilt = np.flatnonzero(packets.payload_offset >= raw.length)
    if rebuilt.size:
        out, rows, links = _with_fragments(out, rebuilt, links)
    for _ in range(MAX_TUNNEL_NESTING_RULES):
        p = out.packets
        wanted = _interesting(p, out.ip_at[rows], links) if rows.size == p.ts.size else rows[
            _interesting(_take(p, rows), out.ip_at[rows], links)
        ]
        found: list[tuple[int, _Inner]] = []
        link_of = dict(zip(rows.tolist(), links.tolist(), strict=True))
        for row in wanted.tolist():
            inner = _inside(p, row, int(out.ip_at[row]), int(out.ip_end[row]), int(out.link_at[row]), int(link_of[row]))
            if inner is not None and inner.offset < inner.end:
                found.append((row, inner))
        if not found:
            return out
        out, rows, links = _with_inner(raw, out, found, inner_state)
    return out


def _with_fragments(
    out: Frames, rebuilt: NDArray[np.int64], links: NDArray[np.int32]
) -> tuple[Frames, NDArray[np.int64], NDArray[np.int32]]:
    """The fragment that completed a datagram is a packet of its own, behind the datagram."""
    p = out.packets
    order = np.sort(np.concatenate([np.arange(p.ts.size), rebuilt]), kind="stable")
    again = np.zeros(order.size, np.bool_)
    again[1:] = order[1:] == order[:-1]
    columns = {name: getattr(p, name)[order] for name in PacketBatch._fields[1:]}
    for name in ("sport", "dport", "tcp_flags", "seq", "ack", "window", "option_len", "payload_len", "payload_caplen"):
        columns[name][again] = 0
    columns["payload_offset"][again] = -1
    columns["note"][again] = NOTE["fragment, waiting for the rest"]
    whole = Frames(PacketBatch(p.buffer, **columns), *(column[order] for column in out[1:]))
    return whole, np.arange(order.size), links[order]


def _take(p: PacketBatch, rows: NDArray[np.int64]) -> PacketBatch:
    return PacketBatch(p.buffer, *(column[rows] for column in p[1:]))


def _with_inner(
    raw: RawBatch, out: Frames, found: list[tuple[int, _Inner]], state: DecodeState
) -> tuple[Frames, NDArray[np.int64], NDArray[np.int32]]:
    p = out.packets
    carriers = np.array([row for row, _ in found], np.int64)
    offset = np.array([i.offset for _, i in found], np.int64)
    size = np.array([i.end - i.offset for _, i in found], np.int32)
    link = np.array([i.link for _, i in found], np.int32)
    tail = max(raw.length, int((p.payload_offset + p.payload_caplen).max()))
    records = Records(p.ts[carriers], size, size.copy(), offset, link)
    inner = decode(RawBatch(p.buffer, tail, raw.base_offset, raw.evidence_id, raw.first_frame, records), state)
    inner = inner._replace(packet_id=p.packet_id[carriers], vlan=p.vlan[carriers])
    buffer = inner.buffer
    ip_at = np.full(len(found), -1, np.int64)
    fragment, header_len = np.zeros(len(found), np.uint16), np.zeros(len(found), np.uint8)
    find_ip(buffer, offset, size, link, ip_at, fragment, header_len)
    keep = np.ones(p.ts.size, np.bool_)
    keep[[row for row, i in found if i.replaces]] = False
    order_old = np.flatnonzero(keep)
    order = np.argsort(np.concatenate([carriers * 2, order_old * 2 + 1]), kind="stable")
    columns = [np.concatenate([a, b[order_old]])[order] for a, b in zip(inner[1:], p[1:], strict=True)]
    merged = PacketBatch(buffer, *columns)
    n = len(found)
    whole = Frames(
        merged, np.concatenate([ip_at, out.ip_at[order_old]])[order], np.concatenate([offset + size, out.ip_end[order_old]])[order],
        np.concatenate([offset, out.link_at[order_old]])[order],
        np.concatenate([np.array([not i.replaces for _, i in found]), out.inner[order_old]])[order],
        np.concatenate([fragment, out.fragment[order_old]])[order],
        np.concatenate([header_len, out.header_len[order_old]])[order],
    )  # fmt: skip
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    return whole, place[:n], link
