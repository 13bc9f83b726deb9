"""In: hardware addresses, and the table of their makers as a value (edges/packaged.py loads it). Out: who made each, or what kind
of address it is. Never here: files.

A prefix of 24, 28 or 36 bits is assigned to a maker (IEEE MA-L, MA-M, MA-S): the longest that fits holds. Addresses with the bit
0x02 in their first byte are given by software (IEEE 802, universal/local bit): virtual machines, containers, and telephones that
hide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE)
_DIGITS: Final = 9
_LENGTHS: Final = (9, 7, 6)
LOCAL: Final[dict[str, str]] = {
    "02:42": "Docker (by software)",
    "52:54:00": "QEMU or KVM (by software)",
    "0a:00:27": "VirtualBox host adapter (by software)",
    "08:00:27": "VirtualBox (by software)",
    "00:00:5e:00:01": "virtual router (VRRP)",
    "00:00:5e:00:02": "virtual router (VRRP, IPv6)",
    "00:00:0c:07:ac": "virtual router (HSRP)",
}
"""Prefixes that a convention, not the IEEE, has given a meaning (RFC 9568 7.3; Docker, libvirt, VirtualBox, Cisco manuals)."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HardwareTable:
    """Makers by prefix. prefix: sorted numbers of 36 bits (shorter ones padded with zeros); digits: how many of their nine
    hexadecimal digits count; maker: names."""

    prefix: NDArray[np.int64]
    digits: NDArray[np.uint8]
    maker: pa.DictionaryArray
    date: str
    attribution: str

    def made_by(self, mac: str) -> str | None:
        """Maker of one hardware address ('00:1b:21:..'), what its prefix stands for, or None where nobody knows."""
        if not _MAC.fullmatch(mac):
            return None
        tidy = mac.lower().replace("-", ":")
        for start, meaning in LOCAL.items():
            if tidy.startswith(start):
                return meaning
        plain = tidy.replace(":", "")
        for length in _LENGTHS:
            wanted = int(plain[:length].ljust(_DIGITS, "0"), 16)
            at = int(np.searchsorted(self.prefix, wanted))
            while at < len(self.prefix) and self.prefix[at] == wanted:
                if self.digits[at] == length:
                    return str(self.maker[at].as_py())
                at += 1
        return "given by software" if int(plain[1], 16) & 2 else None
