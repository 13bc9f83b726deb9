"""In: where an IEEE 802.11 frame, or what capturing put before it, begins. Out: where its LLC begins, or why not.
Never here: LLC and what follows it (link.py), and keys: what is encrypted stays so.

IEEE 802.11-2020 chapter 9; https://www.radiotap.org; https://www.tcpdump.org/linktypes.html for PPI, Prism and AVS. All
numbers of 802.11 and radiotap are little-endian."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.kernels import Int, kernel
from tracehound.packets.batch import NOTE
from tracehound.packets.octets import be32, le16, le32

_CUT: Final = NOTE["link header cut"]
_MANAGEMENT: Final = NOTE["802.11 management or control"]
_ENCRYPTED: Final = NOTE["802.11 encrypted (WEP, WPA)"]
_FRAGMENT: Final = NOTE["802.11 fragment, not put together"]

AVS_MAGIC: Final = 0x80211000


@kernel
def data_frame(buffer: NDArray[np.uint8], at: Int, end: Int, align: Int) -> tuple[Int, Int, Int]:
    """Returns (where the frame's body begins, note, 1 if the body bundles several frames (A-MSDU)).

    align   4 where the capture pads the header to four bytes, otherwise 1"""
    # 9.2.4.1 frame control: version 2 bits, type 2, subtype 4; ToDS, FromDS, more fragments, retry, power management, more data,
    # protected, +HTC. Then duration 2, three addresses, sequence control 2, the fourth address if ToDS and FromDS.
    if at + 2 > end:
        return at, _CUT, 0
    kind = np.int64(buffer[at])
    flags = np.int64(buffer[at + 1])
    # Type 2 is data; subtypes with bit 2 carry none (Null, CF-Ack).
    if kind & 3 != 0 or kind >> 2 & 3 != 2 or kind & 0x40:
        return at, _MANAGEMENT, 0
    header = 24
    if flags & 3 == 3:
        header += 6
    control = at + header
    bundled: Int = 0
    if kind & 0x80:
        # QoS data: QoS control 2, whose bit 7 says A-MSDU; with the last flag, HT control 4 more.
        header += 2
        if flags & 0x80:
            header += 4
        if control + 1 > end:
            return at, _CUT, 0
        bundled = np.int64(buffer[control]) >> 7
    body = at + (header + align - 1) // align * align
    if body > end:
        return at, _CUT, 0
    if flags & 0x40:
        return body, _ENCRYPTED, 0
    # Sequence control: fragment number 4 bits, sequence number 12. Only the first fragment has an LLC header.
    if buffer[at + 22] & 15:
        return body, _FRAGMENT, 0
    return body, 0, bundled


@kernel
def radiotap(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """Returns (where the 802.11 frame begins, or -1; how its header is aligned)."""
    # Version 1 (0), pad 1, length 2, present 4; bit 31 of present says that another present word follows.
    if at + 8 > end or buffer[at] != 0:
        return -1, 1
    begin = at + le16(buffer, at + 2)
    if begin > end or begin < at + 8:
        return -1, 1
    align = 1
    present = le32(buffer, at + 4)
    here = at + 8
    word = present
    while word >> 31 and here + 4 <= begin:
        word = le32(buffer, here)
        here += 4
    # Fields stand in the order of their bits, aligned to their size: bit 0 is TSFT (8 bytes), bit 1 is flags (1 byte).
    if present & 1:
        here = at + (here - at + 7) // 8 * 8 + 8
    # Flag 0x20: padding between the 802.11 header and its body.
    if present & 2 and here < begin and buffer[here] & 0x20:
        align = 4
    return begin, align


@kernel
def prism_or_avs(buffer: NDArray[np.uint8], at: Int, end: Int) -> Int:
    """LINKTYPE_IEEE802_11_PRISM and _AVS: where the 802.11 frame begins, or -1."""
    if at + 8 > end:
        return -1
    # AVS: version (0x80211001, 0x80211002), length, both big-endian. Drivers write it under either link type.
    if be32(buffer, at) & 0xFFFFF000 == AVS_MAGIC:
        begin = at + be32(buffer, at + 4)
    else:
        # Prism: message code 4, length 4, in the byte order of the machine; the shorter reading is the right one.
        begin = at + min(le32(buffer, at + 4), be32(buffer, at + 4))
    if begin < at + 8 or begin > end:
        return -1
    return begin


@kernel
def ppi(buffer: NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """LINKTYPE_PPI: (where the frame begins, or -1; its link type)."""
    # Version 1 (0), flags 1, length 2, DLT 4, little-endian; then fields up to `length`.
    if at + 8 > end or buffer[at] != 0:
        return -1, 0
    begin = at + le16(buffer, at + 2)
    if begin < at + 8 or begin > end:
        return -1, 0
    return begin, le32(buffer, at + 4)
