"""In: nothing. Out: the row that stands for one record of a flow exporter (NetFlow, IPFIX, nfdump, SiLK): what was sent in one
direction, and the other direction where the exporter says it in the same record. Never here: a format, or what belongs together
(pairing.py).

Records are one array of shape (FIELDS, n), int64: one type in every kernel, whole columns for numpy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

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
SAMPLING: Final = 19  # one packet in so many was looked at; 1 = all
DENIED: Final = 20  # 1 = the exporter is a firewall that says it let the flow not pass
RECORD: Final = 21  # number of the record in its file, from 1
FIELDS: Final = 22

UNKNOWN: Final = np.int64(-1)

Records = NDArray[np.int64]
"""(FIELDS, n)."""


def empty(n: int) -> Records:
    """Room for `n` records that say nothing yet."""
    records = np.zeros((FIELDS, n), dtype=np.int64)
    for field in (FLAGS, REPLY_PKTS, REPLY_BYTES, REPLY_FLAGS, INITIATOR, VLAN, TTL):
        records[field] = UNKNOWN
    records[SAMPLING] = 1
    return records
