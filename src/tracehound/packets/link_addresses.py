"""In: batches of capture records. Out: which hardware addresses belong to which network addresses: rows of table `arp` (who asks
for, and who claims, an address), and rows of table `link_addresses` (which Ethernet sender sends packets of which address).
Never here: what a tunnel carries (the outer header alone lies beside its sender), or a judgement.

ARP: RFC 826, announcements and probes: RFC 5227. Ethernet: IEEE 802.3, 802.1Q."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits, tables
from tracehound.capture.records import RawBatch
from tracehound.kernels import Int, kernel
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import NOTE, PacketBatch
from tracehound.packets.octets import be16, be32, be64

_ARP: Final = NOTE["ARP"]
_V4_MAPPED: Final = 0xFFFF00000000
_OPERATIONS: Final[dict[int, str]] = {1: "request", 2: "reply", 3: "RARP request", 4: "RARP reply"}


class ArpKind(NamedTuple):
    """What messages of one kind have in common; hardware addresses as numbers, IPv4 addresses as numbers."""

    evidence_id: int
    operation: str
    sender_mac: int
    sender: int
    target_mac: int
    target: int
    frame_mac: int


class Sender(NamedTuple):
    """A hardware address that sends packets of a network address (128 bits in two halves)."""

    evidence_id: int
    mac: int
    hi: int
    lo: int


@dataclass(slots=True)
class Seen:
    """First and last moment, how often, and the first packet."""

    first_ns: int
    last_ns: int
    packet_id: int
    count: int


@dataclass(slots=True)
class LinkState:
    """What is kept between batches: bounded by limits.MAX_ARP_KINDS and limits.MAX_LINK_SENDERS."""

    arp: dict[ArpKind, Seen] = field(default_factory=dict)
    senders: dict[Sender, Seen] = field(default_factory=dict)


@kernel
def behind_tags(buffer: NDArray[np.uint8], start: Int, end: Int) -> tuple[Int, Int]:
    """EtherType behind at most two VLAN tags, and where its content begins; (0, start) where the frame is cut."""
    at = start + 14
    if at > end:
        return np.int64(0), start
    kind = be16(buffer, at - 2)
    for _ in range(2):
        if kind != 0x8100 and kind != 0x88A8 and kind != 0x9100:
            break
        if at + 4 > end:
            return np.int64(0), start
        kind = be16(buffer, at + 2)
        at += 4
    return kind, at


@kernel
def senders(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], link_type: NDArray[np.int32],
    keys: NDArray[np.uint64],
) -> None:
    """Fill `keys` (4 rows: sender's hardware address, both halves of its network address, a hash of all) for every Ethernet frame
    that carries IP; the others stay 0."""
    for i in range(offset.size):
        if link_type[i] != 1:
            continue
        start = offset[i]
        end = start + np.int64(caplen[i])
        kind, at = behind_tags(buffer, start, end)
        if kind == 0x0800:
            # RFC 791 3.1: source address in bytes 12 to 15.
            if at + 20 > end or buffer[at] >> 4 != 4:
                continue
            low = np.uint64(_V4_MAPPED) | np.uint64(be32(buffer, at + 12))
            high = np.uint64(0)
        elif kind == 0x86DD:
            # RFC 8200 3: source address in bytes 8 to 23.
            if at + 40 > end or buffer[at] >> 4 != 6:
                continue
            high = be64(buffer, at + 8)
            low = be64(buffer, at + 16)
        else:
            continue
        # Destination 6, source 6. The lowest bit of the first byte marks a group, which sends nothing.
        if buffer[start + 6] & 1:
            continue
        mac = np.uint64(be16(buffer, start + 6)) << np.uint64(32) | np.uint64(be32(buffer, start + 8))
        keys[0, i] = mac
        keys[1, i] = high
        keys[2, i] = low
        h = mac * np.uint64(0x9E3779B97F4A7C15) ^ low * np.uint64(0xBF58476D1CE4E5B9) ^ high * np.uint64(0x94D049BB133111EB)
        keys[3, i] = h ^ h >> np.uint64(31)


def observe_senders(raw: RawBatch, packets: PacketBatch, state: LinkState) -> None:
    """Note which hardware address sends packets of which network address. (Some 0.1 s a million packets.)"""
    r = raw.records
    keys = np.zeros((4, r.offset.size), np.uint64)
    with np.errstate(over="ignore"):
        senders(raw.buffer, r.offset, r.caplen, r.link_type, keys)
    there = np.flatnonzero(keys[0])
    if not there.size:
        return
    rows = _rows(packets)
    hashed = keys[3, there]
    _, first, counts = np.unique(hashed, return_index=True, return_counts=True)
    last = hashed.size - 1 - np.unique(hashed[::-1], return_index=True)[1]
    for a, z, n in zip(there[first].tolist(), there[last].tolist(), counts.tolist(), strict=True):
        key = Sender(raw.evidence_id, int(keys[0, a]), int(keys[1, a]), int(keys[2, a]))
        seen = Seen(int(r.ts[a]), int(r.ts[z]), int(packets.packet_id[rows[a]]), n)
        _add(state.senders, key, seen, limits.MAX_LINK_SENDERS)


def _rows(packets: PacketBatch) -> NDArray[np.int64]:
    """For each record its first row: the rows of a record whose tunnel was opened follow one another."""
    return np.flatnonzero(np.diff(packets.packet_id, prepend=-1))


@kernel
def arp_messages(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32], link_type: NDArray[np.int32],
    ts: NDArray[np.int64], packet_id: NDArray[np.int64], note: NDArray[np.uint8], index: NDArray[np.int32],
    found: NDArray[np.int64],
) -> Int:
    """The ARP messages of a batch, those alike as one, in order of their first; returns how many kinds there are.

    found   columns: one for each kind. Rows: operation code, sender's hardware and network address, target's, sender of the frame;
            first and last time, first packet_id, messages. Room for as many as there are rows with the note
    index   an empty (-1) hash table of columns, a power of two and larger than they are many"""
    kinds = np.int64(0)
    record = np.int64(-1)
    mask = index.size - 1
    for i in range(packet_id.size):
        # The rows of a record follow one another, and the first is that of the frame itself.
        if i > 0 and packet_id[i] == packet_id[i - 1]:
            continue
        record += 1
        if note[i] != _ARP or link_type[record] != 1:
            continue
        start = offset[record]
        end = start + np.int64(caplen[record])
        kind, at = behind_tags(buffer, start, end)
        # RFC 826: hardware type 2 (1 Ethernet), protocol 2 (0800), lengths 1 (6) and 1 (4), operation 2, sender 6 + 4, target 6 + 4.
        if kind not in (0x0806, 0x8035) or at + 28 > end or be32(buffer, at) != 0x00010800 or be16(buffer, at + 4) != 0x0604:
            continue
        code = be16(buffer, at + 6)
        sender_mac, sender = be16(buffer, at + 8) << 32 | be32(buffer, at + 10), be32(buffer, at + 14)
        target_mac, target = be16(buffer, at + 18) << 32 | be32(buffer, at + 20), be32(buffer, at + 24)
        frame_mac = be16(buffer, start + 6) << 32 | be32(buffer, start + 8)
        # Any mixing will do: kinds are compared whole. Kept below 2^63, so that plain Python's numbers do not wrap round either.
        mixed = (sender_mac ^ target_mac << 3 ^ sender << 7 ^ target << 14 ^ code << 1 ^ frame_mac << 5) & 0xFFFFFFFFFFFF
        place = (mixed ^ mixed >> 15 ^ mixed >> 31) & mask
        k = np.int64(index[place])
        while k >= 0 and not (
            found[0, k] == code and found[1, k] == sender_mac and found[2, k] == sender and found[3, k] == target_mac
            and found[4, k] == target and found[5, k] == frame_mac
        ):
            place = (place + 1) & mask
            k = np.int64(index[place])
        if k < 0:
            k = kinds
            index[place] = k
            kinds += 1
            found[0, k], found[1, k], found[2, k] = code, sender_mac, sender
            found[3, k], found[4, k], found[5, k] = target_mac, target, frame_mac
            found[6, k], found[7, k], found[8, k], found[9, k] = ts[record], ts[record], packet_id[i], 0
        found[6, k] = min(found[6, k], ts[record])
        found[7, k] = max(found[7, k], ts[record])
        found[9, k] += 1
    return kinds


def observe_arp(raw: RawBatch, packets: PacketBatch, state: LinkState) -> None:
    """Note the ARP messages of one batch."""
    r = raw.records
    most = int(np.count_nonzero(packets.note == _ARP))
    if not most:
        return
    found = np.empty((10, most), np.int64)
    index = np.full(2 << most.bit_length(), -1, np.int32)
    kinds = arp_messages(raw.buffer, r.offset, r.caplen, r.link_type, r.ts, packets.packet_id, packets.note, index, found)
    for code, sender_mac, sender, target_mac, target, frame_mac, first, last, packet_id, count in found[:, : int(kinds)].T.tolist():
        operation = _OPERATIONS.get(code, f"operation {code}")
        if sender == target and code in (1, 2):
            operation = "announcement"  # RFC 5227 1.1: sender and target address alike, whether request or reply
        elif sender == 0 and code == 1:
            operation = "probe"  # RFC 5227 1.1: sender address 0, asks whether anybody has the target address
        key = ArpKind(raw.evidence_id, operation, sender_mac, sender, target_mac, target, frame_mac)
        _add(state.arp, key, Seen(first, last, packet_id, count), limits.MAX_ARP_KINDS)


def _add(known: dict[Any, Seen], key: Any, new: Seen, most: int) -> None:
    old = known.get(key)
    if old is None:
        if len(known) < most:
            known[key] = new
        return
    old.first_ns, old.last_ns = min(old.first_ns, new.first_ns), max(old.last_ns, new.last_ns)
    old.count += new.count


def mac_text(mac: int) -> str:
    """Six pairs of hexadecimal digits with colons."""
    digits = f"{mac:012x}"
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def _v4(number: int) -> str:
    return address_text(0, number, 4)


def arp_table(state: LinkState) -> pa.Table:
    """Rows of table `arp`, in order of their first packet."""
    rows = [
        {
            "evidence_id": k.evidence_id, "ts": s.first_ns, "last_ts": s.last_ns, "operation": k.operation,
            "sender_mac": mac_text(k.sender_mac), "sender_addr": _v4(k.sender), "target_mac": mac_text(k.target_mac),
            "target_addr": _v4(k.target), "frame_mac": mac_text(k.frame_mac), "messages": s.count, "packet_id": s.packet_id,
        }
        for k, s in sorted(state.arp.items(), key=lambda item: item[1].packet_id)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=tables.ARP.schema)


def senders_table(state: LinkState) -> pa.Table:
    """Rows of table `link_addresses`, in order of their first packet."""
    rows = [
        {
            "evidence_id": k.evidence_id, "mac": mac_text(k.mac),
            "address": _v4(k.lo & 0xFFFFFFFF) if k.hi == 0 and k.lo >> 32 == 0xFFFF else address_text(k.hi, k.lo, 6),
            "ts": s.first_ns, "last_ts": s.last_ns, "pkts": s.count, "packet_id": s.packet_id,
        }
        for k, s in sorted(state.senders.items(), key=lambda item: item[1].packet_id)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=tables.LINK_ADDRESSES.schema)
