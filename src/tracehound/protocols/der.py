"""In: bytes in DER (ITU-T X.690). Out: its elements, one at a time, and the values of the simple types. Never here: what a
structure means (certificate.py).

Lengths are checked against the element that holds them; nothing recurses."""

from __future__ import annotations

import calendar
import re
from typing import Final, NamedTuple

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_ID, UTF8_STRING = 2, 3, 4, 5, 6, 12
SEQUENCE, SET, UTC_TIME, GENERALIZED_TIME, BMP_STRING = 0x30, 0x31, 23, 24, 30
_CODINGS: Final[dict[int, str]] = {UTF8_STRING: "utf-8", BMP_STRING: "utf-16-be", 28: "utf-32-be"}
_REST: Final = rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\.\d+)?(Z|[+-]\d{4})?\Z"
_TIMES: Final = {UTC_TIME: re.compile(rb"(\d\d)" + _REST), GENERALIZED_TIME: re.compile(rb"(\d{4})" + _REST)}
_MAX_ARCS: Final = 64


class Broken(Exception):
    """The bytes are not DER here; becomes a note."""


class Element(NamedTuple):
    """One element: its tag, and where its value begins and ends in `data`."""

    tag: int
    start: int
    stop: int


def element(data: bytes, at: int, stop: int) -> Element:
    """The element at offset `at`, which must end by `stop`. X.690 8.1: tag, length in one byte or as a number of bytes."""
    if at + 2 > stop:
        raise Broken("element cut")
    tag, size = data[at], data[at + 1]
    if tag & 31 == 31:
        raise Broken("tag of several bytes")
    at += 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or at + count > stop:
            raise Broken("length malformed")
        size = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + size > stop:
        raise Broken("element runs past what holds it")
    return Element(tag, at, at + size)


def elements(data: bytes, outer: Element, limit: int) -> list[Element]:
    """The elements inside one, at most `limit` of them."""
    found: list[Element] = []
    at = outer.start
    while at < outer.stop and len(found) < limit:
        one = element(data, at, outer.stop)
        found.append(one)
        at = one.stop
    return found


def object_id(data: bytes, e: Element) -> str:
    """'2.5.4.3' (X.690 8.19)."""
    arcs: list[int] = []
    value = 0
    for byte in data[e.start : e.stop]:
        value = value << 7 | byte & 0x7F
        if value >> 128:
            raise Broken("object identifier too large")
        if not byte & 0x80:
            arcs.append(value)
            value = 0
            if len(arcs) > _MAX_ARCS:
                raise Broken("object identifier too long")
    if not arcs:
        raise Broken("object identifier empty")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def text(data: bytes, e: Element) -> str:
    """A string of whatever type, undecodable bytes as replacement characters."""
    return data[e.start : e.stop].decode(_CODINGS.get(e.tag, "latin-1"), "replace")


def time_ns(data: bytes, e: Element) -> int:
    """UTCTime or GeneralizedTime as ns since 1970 (RFC 5280 4.1.2.5: years 50 to 99 of two digits are 19xx)."""
    pattern = _TIMES.get(e.tag)
    found = pattern.match(data[e.start : e.stop]) if pattern else None
    if found is None:
        raise Broken("time malformed")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if e.tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
    zone = found[7] or b"Z"
    shift = 0 if zone == b"Z" else (int(zone[1:3]) * 3600 + int(zone[3:5]) * 60) * (1 if zone[:1] == b"+" else -1)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and second <= 60 and 1 <= year <= 9999):
        raise Broken("time malformed")
    return (calendar.timegm((year, month, day, hour, minute, second)) - shift) * 1_000_000_000
