"""In: nothing. Out: the row that stands for one record of a flow exporter (NetFlow, IPFIX, nfdump, SiLK): what was sent in one
direction, and the other direction where the exporter says it in the same record; and such records as a block of the contract
(reader.py). Never here: a format, or what belongs together (joining.py).

Records are one array of shape (FIELDS, n), int64: one type in every kernel, whole columns for numpy."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, PART, Block, Ends
from tracehound.flows.tcp_outcome import OUTCOME_NAMES
from tracehound.packets.addresses import dictionary

START: Final = 0  # first packet, ns since 1970 UTC
END: Final = 1  # last packet, ns
PROTO: Final = 2  # IP protocol
VERSION: Final = 3  # 4 or 6
SRC_HI: Final = 4  # address, upper 64 bits as int64; 0 for IPv4
SRC_LO: Final = 5  # address, lower 64 bits; IPv4 as ::ffff:a.b.c.d, as in packets/
DST_HI: Final = 6
DST_LO: Final = 7
SPORT: Final = 8  # ICMP: type
DPORT: Final = 9  # ICMP: the type that answers, or the code, as in table flows
PKTS: Final = 10
BYTES: Final = 11
FLAGS: Final = 12  # TCP flags or-ed; UNKNOWN where the record does not say
REPLY_PKTS: Final = 13  # the other direction, UNKNOWN in a record of one direction
REPLY_BYTES: Final = 14
REPLY_FLAGS: Final = 15
INITIATOR: Final = 16  # which side began, if the exporter says so: 0 = src, 1 = dst; UNKNOWN
VLAN: Final = 17  # UNKNOWN or tag
TTL: Final = 18  # UNKNOWN or TTL of the sender's packets
SAMPLING: Final = 19  # one packet in so many was looked at; 1 = all, UNKNOWN_RATE = some
DENIED: Final = 20  # 1 = the exporter is a firewall that says it let the flow not pass
RECORD: Final = 21  # number of the record in its file, from 1
FIELDS: Final = 22

UNKNOWN: Final = np.int64(-1)
UNKNOWN_RATE: Final = 0

Records = NDArray[np.int64]
"""(FIELDS, n)."""


def empty(n: int) -> Records:
    """Room for `n` records that say nothing yet."""
    records = np.zeros((FIELDS, n), dtype=np.int64)
    for field in (FLAGS, REPLY_PKTS, REPLY_BYTES, REPLY_FLAGS, INITIATOR, VLAN, TTL):
        records[field] = UNKNOWN
    records[SAMPLING] = 1
    return records


def icmp_ports(records: Records, told: NDArray[np.bool_] | None = None) -> None:
    """Bring the ports of ICMP records into the form of table `flows`: type and code. Exporters put type * 256 + code into the
    destination port (Cisco's NetFlow v5, and IPFIX element 32); `told`: those that already have type and code."""
    icmp = (records[PROTO] == 1) | (records[PROTO] == 58)
    if told is not None:
        icmp &= ~told
    if icmp.any():
        both = records[DPORT][icmp]
        records[SPORT][icmp] = both >> 8 & 0xFF
        records[DPORT][icmp] = both & 0xFF


def turn_round(records: Records) -> None:
    """Exchange the two sides where the exporter says that `dst` began."""
    turned = records[INITIATOR] == 1
    if not turned.any():
        return
    for a, b in ((SRC_HI, DST_HI), (SRC_LO, DST_LO), (SPORT, DPORT), (PKTS, REPLY_PKTS), (BYTES, REPLY_BYTES), (FLAGS, REPLY_FLAGS)):
        one, other = records[a][turned], records[b][turned]
        records[a, turned], records[b, turned] = other, one
    # A record of one direction only is now one of the other side.
    for counter in (PKTS, BYTES):
        records[counter, turned] = np.maximum(records[counter, turned], 0)
    records[TTL, turned] = UNKNOWN
    records[INITIATOR, turned] = 0


_DENIED_STATE: Final = ("denied",)
_SYN: Final = 2
_ACK: Final = 16
_NOT_ALONE: Final = 1 | 4 | 8 | _ACK


def block(records: Records, source: str, offset: NDArray[np.int64] | None = None) -> Block:
    """Records as a block of the contract. Whoever reads them pairs them (`joins`), so no more is said than the record says."""
    turn_round(records)
    n = records.shape[1]
    biflow = records[REPLY_PKTS] >= 0
    sampled = records[SAMPLING] != 1
    denied = records[DENIED] > 0
    texts: dict[str, pa.Array] = {}
    if sampled.any():
        texts["sampled_one_in"] = pa.array(records[SAMPLING].astype(np.int32), mask=records[SAMPLING] <= 1)
    outcome = None
    if denied.any():
        texts["state"] = dictionary(np.zeros(n, dtype=np.int32), _DENIED_STATE, ~denied)
        # What a firewall says it let not pass was not answered; whether it told the sender so is not in the record.
        outcome = np.where(denied, OUTCOME_NAMES.index("unanswered"), MISSING).astype(np.int64)
    version = records[VERSION].astype(np.uint8)
    tcp = records[PROTO] == 6
    flags = np.where(tcp, records[FLAGS], MISSING)
    syn = (flags > 0) & (flags & _SYN > 0)
    # A record whose flags are SYN and nothing else is so many SYNs.
    syns = np.where(syn & (flags & _NOT_ALONE == 0) & ~sampled, records[PKTS], MISSING)
    joins = np.where(biflow, PART, ONE_WAY).astype(np.uint8)
    # What a sampling exporter did not see proves nothing: a lone SYN or datagram of it is a mention. An ACK is a proof of its own.
    joins[sampled & ~((flags > 0) & (flags & _ACK > 0))] = MENTION
    return Block(
        number=records[RECORD].copy(),
        start=records[START].copy(),
        end=np.maximum(records[END], records[START]),
        src=Ends(records[SRC_HI].view(np.uint64).copy(), records[SRC_LO].view(np.uint64).copy(), version),
        dst=Ends(records[DST_HI].view(np.uint64).copy(), records[DST_LO].view(np.uint64).copy(), version),
        source=source,
        proto=records[PROTO].copy(),
        sport=records[SPORT].copy(),
        dport=records[DPORT].copy(),
        pkts_src=records[PKTS].copy(),
        bytes_src=records[BYTES].copy(),
        pkts_dst=records[REPLY_PKTS].copy() if biflow.any() else None,
        bytes_dst=records[REPLY_BYTES].copy() if biflow.any() else None,
        tcp_flags_src=flags,
        tcp_flags_dst=np.where(tcp, records[REPLY_FLAGS], MISSING) if biflow.any() else None,
        offset=offset,
        joins=joins if biflow.any() or sampled.any() else ONE_WAY,
        syn_count=syns,
        outcome=outcome,
        opens=syn,
        certain=records[INITIATOR] == 0 if (records[INITIATOR] == 0).any() else None,
        ttl_src=np.where(records[PKTS] > 0, records[TTL], MISSING),
        vlan=records[VLAN].copy(),
        texts=texts,
    )
