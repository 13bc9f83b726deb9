"""In: a batch of capture records, decoded. Out: its packets as rules see them: with the carriers of tunnels and the fragments of
datagrams as rows of their own, and where each IP header begins. Never here: flows or rules, or what a tunnel looks like (packets/).

Decoding leaves a tunnel without ports no row of its own, and a datagram put together takes the place of its last fragment. A rule
may ask about either (GRE, fragment bits), so those rows are added here."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch
from tracehound.kernels import kernel
from tracehound.limits import MAX_TUNNEL_DEPTH
from tracehound.packets import columns
from tracehound.packets.batch import NOTE, TUNNEL, TUNNEL_BITS, PacketBatch
from tracehound.packets.link import network_layer
from tracehound.packets.tunnels import ip_tunnel

_WAITING: Final = NOTE["fragment, waiting for the rest"]
_WHOLE: Final = (0, NOTE["bad checksum"], NOTE["transport not decoded"], NOTE["encrypted (ESP)"])
_FRAGMENT_HEADER: Final = 44
_OTHER: Final = NOTE["transport not decoded"]
_IN_FRAME: Final = frozenset(TUNNEL[name] for name in ("", "mpls", "pppoe", "nsh", "vntag", "pbb", "macsec") if name in TUNNEL)
"""Encapsulations below IP: the packet inside is the frame's only one."""
_LEVELS: Final = 31 // TUNNEL_BITS


Part = tuple[PacketBatch, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""A batch, then of each row: where its IP header begins and ends, where its frame begins, its record."""


class Frames(NamedTuple):
    """packets: rows in order, those inside a tunnel before their carrier. ip_at: where the IP header begins in the buffer (-1:
    not known); ip_end: end of what was captured of it; link_at: where the frame begins. fragment: IPv4 flags and fragment offset
    as they stand in the header; header_len: bytes of the IPv4 header; link_type: of the frame (LINKTYPE_)."""

    packets: PacketBatch
    ip_at: NDArray[np.int64]
    ip_end: NDArray[np.int64]
    link_at: NDArray[np.int64]
    fragment: NDArray[np.uint16]
    header_len: NDArray[np.uint8]
    link_type: NDArray[np.int32]


@kernel
def find_ip(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], link_type: NDArray[np.int32],
    ip_at: NDArray[np.int64],
) -> None:
    """Where the IP header of each record begins, -1 where there is none."""
    for i in range(offset.size):
        start = offset[i]
        end = start + np.int64(caplen[i])
        if link_type[i] == 1 and start + 14 <= end and buffer[start + 12] == 8 and buffer[start + 13] == 0:
            ip_at[i] = start + 14
            continue
        version, at, _vlan, _path, _kind, _note = network_layer(buffer, start, end, np.int64(link_type[i]))
        ip_at[i] = at if version != 0 else -1


@kernel
def header_fields(
    buffer: NDArray[np.uint8], ip_at: NDArray[np.int64], ip_end: NDArray[np.int64], fragment: NDArray[np.uint16],
    header_len: NDArray[np.uint8],
) -> None:
    """Of each IPv4 header its fragment field and its length."""
    for i in range(ip_at.size):
        at = ip_at[i]
        if at >= 0 and at + 20 <= ip_end[i] and buffer[at] >> 4 == 4:
            # RFC 791 3.1: length in 4 bytes in the low half of byte 0; flags and offset in bytes 6 and 7.
            header_len[i] = (buffer[at] & 15) * 4
            fragment[i] = np.int64(buffer[at + 6]) << 8 | np.int64(buffer[at + 7])


def inside_ip(tunnel: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Rows that were carried by another IP packet."""
    out = np.zeros(tunnel.size, np.bool_)
    below = np.zeros(1 << TUNNEL_BITS, np.bool_)
    below[list(_IN_FRAME)] = True
    for level in range(_LEVELS):
        out |= ~below[tunnel >> (level * TUNNEL_BITS) & ((1 << TUNNEL_BITS) - 1)]
    return out


@kernel
def find_carried(
    buffer: NDArray[np.uint8], payload_offset: NDArray[np.int64], payload_caplen: NDArray[np.int32], version: NDArray[np.uint8],
    proto: NDArray[np.uint8], inner_at: NDArray[np.int64], link_type: NDArray[np.int32],
) -> None:
    """What each carrier carries: where it begins (-1: nothing that is known) and its link type."""
    for i in range(payload_offset.size):
        at = payload_offset[i]
        _code, inner, link = ip_tunnel(buffer, at, at + np.int64(payload_caplen[i]), np.int64(version[i]), np.int64(proto[i]))
        inner_at[i] = inner if link >= 0 else -1
        link_type[i] = link


def _carriers(raw: RawBatch, p: PacketBatch, record: NDArray[np.int64], at_record: NDArray[np.int64],
              rows: NDArray[np.int64]) -> list[Part]:
    """The IP packets that carried the given rows without ports of their own (GRE, IP in IP), as rows, level by level."""
    out: list[Part] = []
    number, first = np.unique(record[rows], return_index=True)
    source = rows[first]
    r = raw.records
    begin = r.offset[number].astype(np.int64)
    end, wire_end = begin + r.caplen[number], begin + r.wirelen[number]
    at, ip_at = begin, at_record[number]
    link_type = r.link_type[number]
    for _ in range(MAX_TUNNEL_DEPTH):
        seen = columns.Frames(at, (end - at).astype(np.int32), (wire_end - at).astype(np.int32), link_type)
        blocks, _ = columns.decode_frames(p.buffer, seen, False)
        made = blocks.columns()
        wanted = np.flatnonzero(made["note"] == columns.CARRIER)
        if not wanted.size:
            break
        own = {name: getattr(p, name)[source] for name in ("packet_id", "ts", "caplen", "wirelen", "file_offset")}
        kept: dict[str, NDArray[Any]] = {name: column[wanted] for name, column in (own | made).items()}
        kept["note"] = np.full(wanted.size, _OTHER, np.uint8)
        number, source, end, wire_end, begin = (a[wanted] for a in (number, source, end, wire_end, begin))
        out.append((PacketBatch(p.buffer, **{n: kept[n] for n in PacketBatch._fields[1:]}), ip_at[wanted], end, begin, number))
        at, link_type = np.empty(wanted.size, np.int64), np.empty(wanted.size, np.int32)
        find_carried(p.buffer, kept["payload_offset"], kept["payload_caplen"], kept["ip_version"], kept["proto"], at, link_type)
        deeper = np.flatnonzero(at >= 0)
        if not deeper.size:
            break
        number, source, end, wire_end, begin, at = (a[deeper] for a in (number, source, end, wire_end, begin, at))
        link_type = link_type[deeper]
        ip_at = np.full(deeper.size, -1, np.int64)
        find_ip(p.buffer, at, (end - at).astype(np.int32), link_type, ip_at)
    return out


def frames(raw: RawBatch, packets: PacketBatch) -> Frames:
    """What rules see of a batch."""
    p, r = packets, raw.records
    n = r.offset.size
    at_record = np.full(n, -1, np.int64)
    find_ip(p.buffer, r.offset, r.caplen, r.link_type, at_record)
    if p.ts.size == n:
        record = np.arange(n)
    else:
        record = np.cumsum(np.concatenate([[0], p.packet_id[1:] != p.packet_id[:-1]])) if p.ts.size else np.zeros(0, np.int64)
    link_at = r.offset[record].astype(np.int64)
    ip_at, ip_end = at_record[record], link_at + r.caplen[record]
    rebuilt = p.payload_offset >= raw.length
    own = np.zeros(p.ts.size, np.uint16)
    header_fields(p.buffer, ip_at, ip_end, own, np.zeros(p.ts.size, np.uint8))
    # RFC 791: more fragments, or an offset: what stands in a fragment's place without being one is the whole datagram, even where
    # it has no payload.
    rebuilt |= ((own & 0x3FFF) != 0) & (p.tunnel == 0) & np.isin(p.note, _WHOLE)
    moved = rebuilt.copy()
    deep = np.zeros(p.ts.size, np.bool_)
    if p.tunnel.any():
        deep = inside_ip(p.tunnel)
        moved |= deep
    longer = (ip_at >= 0) & ~moved & (p.ip_bytes > p.wirelen - (ip_at - link_at))
    if longer.any():
        # decode-ipv4.c: a header that claims more than the frame had on the wire is no header.
        p = p._replace(ip_version=np.where(longer, 0, p.ip_version).astype(np.uint8))
    if moved.any():
        # The header of a packet inside another one, or of a datagram put together, stands before its payload.
        known = moved & (p.payload_offset >= 0)
        ip_at = np.where(known, np.maximum(0, p.payload_offset + p.payload_len - p.ip_bytes), np.where(moved, -1, ip_at))
        ip_end = np.where(known, p.payload_offset + p.payload_caplen, ip_end)
    parts = [(p, ip_at, ip_end, link_at, record)]
    if deep.any():
        parts += _carriers(raw, p, record, at_record, np.flatnonzero(deep))
    again = np.flatnonzero(rebuilt & ~deep)
    if again.size:
        parts.append(_fragments(p, again, record, at_record, raw))
    if len(parts) > 1:
        whole = {name: np.concatenate([getattr(part[0], name) for part in parts]) for name in PacketBatch._fields[1:]}
        order = np.argsort(np.concatenate([part[4] for part in parts]), kind="stable")
        p = PacketBatch(p.buffer, **{name: column[order] for name, column in whole.items()})
        ip_at, ip_end, link_at, record = (np.concatenate([part[k] for part in parts])[order] for k in (1, 2, 3, 4))
    parted = (p.note == _WAITING) & (p.ip_version == 6)
    if parted.any():
        # RFC 8200 4.5: what a fragment carries is known when it is put together; by itself it is protocol 44.
        p = p._replace(proto=np.where(parted, _FRAGMENT_HEADER, p.proto).astype(np.uint8))
    fragment, header_len = np.zeros(p.ts.size, np.uint16), np.zeros(p.ts.size, np.uint8)
    header_fields(p.buffer, ip_at, ip_end, fragment, header_len)
    return Frames(p, ip_at, ip_end, link_at, fragment, header_len, r.link_type[record])


def _fragments(
    p: PacketBatch, rows: NDArray[np.int64], record: NDArray[np.int64], at_record: NDArray[np.int64], raw: RawBatch
) -> Part:
    """The fragments that completed datagrams, as packets of their own."""
    made = {name: getattr(p, name)[rows] for name in PacketBatch._fields[1:]}
    for name in ("sport", "dport", "tcp_flags", "seq", "ack", "window", "option_len", "payload_len", "payload_caplen"):
        made[name] = np.zeros_like(made[name])
    made["payload_offset"] = np.full(rows.size, -1, np.int64)
    made["note"] = np.full(rows.size, _WAITING, np.uint8)
    number = record[rows]
    begin = raw.records.offset[number].astype(np.int64)
    return PacketBatch(p.buffer, **made), at_record[number], begin + raw.records.caplen[number], begin, number
