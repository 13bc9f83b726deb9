"""In: bytes that should be BER, and what a rule's `asn1` asks. Out: whether some element is malformed that way.
Never here: structures of a protocol (protocols/der.py reads certificates).

detect-asn1.c, util-decode-asn1.c; X.690 8.1. Nothing recurses, and the number of elements is bounded."""

from __future__ import annotations

from typing import Final

from tracehound.rules.rule import Asn1

_MAX_ELEMENTS: Final = 256
_BIT_STRING, _REAL = 3, 9


def malformed(data: bytes, asked: Asn1) -> bool:
    """Whether one of the elements in `data` is what the rule looks for."""
    at = 0
    for _ in range(_MAX_ELEMENTS):
        if at + 2 > len(data):
            return False
        tag = data[at]
        at += 1
        universal, constructed, number = tag >> 6 == 0, bool(tag & 0x20), tag & 0x1F
        if number == 0x1F:
            number = 0
            while at < len(data):
                number = number << 7 | data[at] & 0x7F
                at += 1
                if not data[at - 1] & 0x80:
                    break
            if at >= len(data):
                return False
        size = data[at]
        at += 1
        indefinite = size == 0x80
        if size & 0x80 and not indefinite:
            count = size & 0x7F
            if at + count > len(data) or count > 8:
                return asked.oversize_length is not None and count > 8
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        elif indefinite:
            size = 0
        if asked.oversize_length is not None and size > asked.oversize_length:
            return True
        if universal and not constructed and size and at < len(data):
            # A bit string whose first byte says that more bits are unused than there are.
            if asked.bitstring_overflow and number == _BIT_STRING and size << 3 < data[at]:
                return True
            # A real in decimal encoding that is longer than any number needs.
            if asked.double_overflow and number == _REAL and data[at] & 0xC0 == 0 and size > 256:
                return True
        if not constructed and not indefinite:
            at += size
    return False
