"""In: rows of Argus records as they were stored (argus_records.py). Out: the same rows with the rules applied by which argus'
own clients read them: which times count, who the originator is. Never here: bytes of a file, or words.

Sections are those of the format description that the reader was written from; the rules were found by comparing with `ra` 3.0.8.2
row by row. What `ra` only does by mistake is left out here, and said where argus_text.py writes as `ra` prints."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flowlogs.argus_layout import (
    BEGIN,
    BYTES,
    DIRECTION,
    ESTABLISHED,
    FIN,
    FIN_ACK,
    FINISH,
    FLAGS,
    HI,
    ICMP,
    KEY,
    KEY_ARP,
    KEY_IPV4,
    KEY_IPV6,
    KEY_QUALIFIER,
    LO,
    METER,
    NET,
    NET_ICMP,
    NET_TCP_PERFORMANCE,
    NET_TCP_STATUS,
    NORMAL_CLOSE,
    PAIRS,
    PKTS,
    PORT,
    PROTO,
    REVERSED,
    SAW_SYN,
    SAW_SYN_SENT,
    STATUS,
    WIDTH,
    WINDOW,
)
from tracehound.flowlogs.argus_records import Rows
from tracehound.kernels import Bool, Int, kernel

TURNED_BY_TCP: Final = 1
"""REVERSED: the record's first packet was the SYN-ACK."""
TURNED_BY_PORT: Final = 2
"""REVERSED: no SYN was seen, and the ports say who serves."""
STORED_REPLY_FIRST: Final = 3
"""REVERSED, ARP as stored: the pairs belong to the other end of the key."""

SERVICES: Final = (
    1080, 1093, 1094, 1099, 1127, 1178, 1194, 1236, 1313, 1314, 1352, 1433, 1524, 1645, 1646, 1649, 1677, 1812, 1813, 2000, 2049,
    2086, 2101, 2119, 2121, 2135, 2401, 2430, 2431, 2432, 2433, 2583, 2600, 2601, 2602, 2603, 2604, 2605, 2606, 2607, 2608, 2628,
    2792, 2811, 2947, 3050, 3205, 3260, 3306, 3389, 3493, 3632, 3689, 3690, 4031, 4094, 4190, 4353, 4369, 4373, 4460, 4557, 4559,
    4691, 4899, 4949, 5060, 5061, 5222, 5269, 5308, 5432, 5556, 5666, 5667, 5671, 5672, 5680, 6000, 6001, 6002, 6003, 6004, 6005,
    6006, 6007, 6346, 6347, 6379, 6444, 6445, 6446, 6514, 6566, 6667, 6697, 7000, 7100, 8021, 8080, 8081, 8088, 8140, 8990, 9098,
    9101, 9102, 9103, 9418, 9667, 9673, 10000, 10050, 10051, 10080, 10081, 10082, 10083, 10809, 11112, 11371, 17004, 17500, 22125,
    22128, 22273, 24554, 27374, 30865, 57000, 60177, 60179,
)  # fmt: skip
"""TCP ports above 1,023 that Debian's /etc/services names: what RA_PORT_DIRECTION "services" means there."""
KNOWN_PORT: Final = np.zeros(65_536, dtype=np.bool_)
KNOWN_PORT[list(SERVICES)] = True


@kernel
def _turn(row: Rows, begin: Int) -> None:
    """Exchange source and destination in all pairs from `begin` on."""
    for place in range(begin, WIDTH, 2):
        row[place], row[place + 1] = row[place + 1], row[place]


@kernel
def _turn_record(row: Rows, ports: Bool) -> None:
    _turn(row, PAIRS)
    if not ports:
        row[PORT], row[PORT + 1] = row[PORT + 1], row[PORT]


@kernel
def settle_times(row: Rows) -> None:
    """Section 7.2: which of the four times stand for which direction, by who sent packets. 0 = unset."""
    sent, back = row[PKTS], row[PKTS + 1]
    if sent > 0 and back > 0:
        if sent == 1 and back == 1:
            # A request and its answer in a record with one start and one end.
            if row[BEGIN] == 0 and row[BEGIN + 1] != 0:
                row[BEGIN] = row[FINISH] = row[FINISH + 1]
                row[FINISH + 1] = row[BEGIN + 1]
            elif row[BEGIN] != 0 and row[BEGIN + 1] == 0:
                row[BEGIN + 1] = row[FINISH + 1] = row[FINISH]
                row[FINISH] = row[BEGIN]
        else:
            for end in range(2):
                if row[BEGIN + end] == 0:
                    row[BEGIN + end] = row[BEGIN + 1 - end]
                    row[FINISH + end] = row[FINISH + 1 - end]
            for end in range(2):
                if row[PKTS + end] == 1 and row[BEGIN + end] // 1_000_000_000 != row[FINISH + end] // 1_000_000_000:
                    row[FINISH + end] = row[BEGIN + end]
    elif sent > 0 or back > 0:
        end = 0 if sent > 0 else 1
        other = 1 - end
        if row[BEGIN + end] == 0 and row[BEGIN + other] != 0:
            row[BEGIN + end], row[FINISH + end] = row[BEGIN + other], row[FINISH + other]
        row[BEGIN + other] = row[FINISH + other] = 0
    for end in range(2):
        if row[FINISH + end] < row[BEGIN + end]:
            row[BEGIN + end], row[FINISH + end] = row[FINISH + end], row[BEGIN + end]
    if sent + back == 1 and not (sent == 1 and row[ICMP] >= 0):
        end = 0 if sent == 1 else 1
        row[BEGIN + end] = row[FINISH + end]


@kernel
def _tcp_was_turned(row: Rows) -> Bool:
    """Section 7.3: an IPv4 TCP record that begins with the SYN-ACK."""
    if row[KEY] != KEY_IPV4 or row[PROTO] != 6 or row[KEY_QUALIFIER] & DIRECTION:
        return False
    if row[NET] != NET_TCP_PERFORMANCE and row[NET] != NET_TCP_STATUS:
        return False
    status = row[STATUS]
    if not status & SAW_SYN_SENT or status & SAW_SYN:
        return False
    if status & (ESTABLISHED | NORMAL_CLOSE | FIN | FIN_ACK):
        return True
    if not row[FLAGS] & 2 or row[FLAGS + 1] & 4:
        return False
    sent, back = row[PKTS], row[PKTS + 1]
    if sent > 5 and back > 5:
        return True
    return back == 0 and row[FLAGS] & 1 and sent > 0 and row[BYTES] // sent > 60


@kernel
def _icmp_reply_first(row: Rows) -> None:
    """Section 7.3: an IPv4 ICMP reply without its request; type and code are those that were on the wire."""
    if row[KEY] != KEY_IPV4 or row[PROTO] != 1 or not row[KEY_QUALIFIER] & DIRECTION or row[PKTS] == 0 or row[PKTS + 1] > 0:
        return
    if row[NET_ICMP] >= 0:
        row[PORT] = row[NET_ICMP] >> 8
        row[PORT + 1] = row[NET_ICMP] & 0xFF
    kind = row[PORT]
    if kind == 0 or kind == 14 or kind == 16 or kind == 18:
        _turn_record(row, False)


@kernel
def unsure(row: Rows) -> Bool:
    """TCP without a SYN or a SYN-ACK: what `ra` prints as a direction with a question mark (section 8.7)."""
    if row[PROTO] != 6 or (row[KEY] != KEY_IPV4 and row[KEY] != KEY_IPV6):
        return False
    return row[METER] != 0 and row[NET] > 0 and not row[STATUS] & (SAW_SYN | SAW_SYN_SENT)


@kernel
def _ports_say_turn(row: Rows, known: NDArray[np.bool_]) -> Bool:
    """Section 7.5 with "services,wellknown": whether the source is the one that serves. ra looks at the wrong bytes of an IPv6 key,
    and in effect leaves it as it is: so does this; who is the originator of such a flow is decided when flows are made."""
    if row[KEY] != KEY_IPV4:
        return False
    sport, dport = row[PORT], row[PORT + 1]
    if sport < 0 or dport < 0:
        return False
    if sport < 1024 or dport < 1024:
        return sport < dport
    if known[sport]:
        return not known[dport] or sport < dport
    return False


@kernel
def settle(row: Rows, known: NDArray[np.bool_], correct: Bool) -> None:
    """Apply the rules to a row that is no management record. `correct`: also decide anew who the originator is (7.3, 7.5)."""
    if row[KEY] == KEY_ARP and row[REVERSED] == STORED_REPLY_FIRST:
        # The key says who asks; everything else is the answerer's first.
        _turn(row, PORT)
        row[REVERSED] = 0
    # Section 7.4: flags of a side that sent nothing are left over from before.
    if row[NET] == NET_TCP_PERFORMANCE or row[NET] == NET_TCP_STATUS:
        for end in range(2):
            if row[PKTS + end] == 0:
                row[FLAGS + end] = 0
                row[WINDOW + end] = 0
    settle_times(row)
    if not correct:
        return
    if _tcp_was_turned(row):
        _turn_record(row, True)
        row[REVERSED] = TURNED_BY_TCP
    else:
        _icmp_reply_first(row)
        if unsure(row) and _ports_say_turn(row, known):
            _turn_record(row, True)
            row[REVERSED] = TURNED_BY_PORT


assert PORT == PAIRS + 4 and HI == PAIRS and LO == PAIRS + 2
