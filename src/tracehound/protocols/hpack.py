"""In: header blocks of one direction of an HTTP/2 connection, in order. Out: their headers. Never here: frames, or what a header
means. RFC 7541.

Blocks build on one another: once one is lost or malformed, nothing later of its direction can be read."""

from __future__ import annotations

from collections import deque
from typing import Final

from tracehound.limits import MAX_HPACK_TABLE_BYTES, MAX_HTTP_HEADERS, MAX_HTTP_LINE_BYTES

_STATIC_ENTRIES: Final = (
    ":authority;:method=GET;:method=POST;:path=/;:path=/index.html;:scheme=http;:scheme=https;:status=200;:status=204;"
    ":status=206;:status=304;:status=400;:status=404;:status=500;accept-charset;accept-encoding=gzip, deflate;"
    "accept-language;accept-ranges;accept;access-control-allow-origin;age;allow;authorization;cache-control;"
    "content-disposition;content-encoding;content-language;content-length;content-location;content-range;content-type;"
    "cookie;date;etag;expect;expires;from;host;if-match;if-modified-since;if-none-match;if-range;if-unmodified-since;"
    "last-modified;link;location;max-forwards;proxy-authenticate;proxy-authorization;range;referer;refresh;retry-after;"
    "server;set-cookie;strict-transport-security;transfer-encoding;user-agent;vary;via;www-authenticate"
)
_STATIC: Final = tuple((n, v) for n, _, v in (e.encode().partition(b"=") for e in _STATIC_ENTRIES.split(";")))
"""Appendix A; index 1 is the first."""

# Appendix B: bits of the code of each octet, then of the end mark. Codes of one length are consecutive in order of the octet,
# shorter ones come first; so the lengths tell the codes.
_CODE_BITS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)  # fmt: skip
_EOS: Final = 256
_DEFAULT_TABLE_BYTES: Final = 4096
_ENTRY_BYTES: Final = 32
"""4.1: what an entry counts beside its octets."""


def _codes() -> dict[tuple[int, int], int]:
    """(bits, code) -> octet."""
    out: dict[tuple[int, int], int] = {}
    code = bits = 0
    for length, octet in sorted((length, octet) for octet, length in enumerate(_CODE_BITS)):
        code <<= length - bits
        out[length, code] = octet
        code, bits = code + 1, length
    return out


_CODES: Final = _codes()


class HpackError(Exception):
    """The block cannot be read."""


def huffman(data: bytes) -> bytes:
    """5.2: a Huffman-coded string. Raises HpackError."""
    out = bytearray()
    code = bits = 0
    for octet in data:
        for shift in range(7, -1, -1):
            code = code << 1 | octet >> shift & 1
            bits += 1
            symbol = _CODES.get((bits, code))
            if symbol is not None:
                if symbol == _EOS:
                    raise HpackError("end mark inside a string")
                out.append(symbol)
                code = bits = 0
            elif bits > 30:
                raise HpackError("no such code")
    # Padding is the beginning of the end mark: ones, fewer than eight.
    if bits > 7 or code != (1 << bits) - 1:
        raise HpackError("padding")
    return bytes(out)


def _integer(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    """5.1: an integer whose first octet has `prefix` bits of it, and where it ends."""
    if at >= len(block):
        raise HpackError("cut")
    most = (1 << prefix) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        if at >= len(block):
            raise HpackError("cut")
        octet = block[at]
        at += 1
        value += (octet & 127) << shift
        if octet < 128:
            return value, at
    raise HpackError("integer too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(block):
        raise HpackError("cut")
    coded = block[at] & 128
    length, at = _integer(block, at, 7)
    if length > min(len(block) - at, MAX_HTTP_LINE_BYTES):
        raise HpackError("string longer than its block or the limit")
    raw = block[at : at + length]
    return (huffman(raw) if coded else raw), at + length


class Hpack:
    """The decoder of one direction, with its dynamic table."""

    def __init__(self) -> None:
        self._table: deque[tuple[bytes, bytes]] = deque()
        self._size = 0
        self._limit = _DEFAULT_TABLE_BYTES

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if 1 <= index <= len(_STATIC):
            return _STATIC[index - 1]
        if index - len(_STATIC) - 1 < len(self._table) and index:
            return self._table[index - len(_STATIC) - 1]
        raise HpackError("no such entry")

    def _evict(self) -> None:
        while self._size > self._limit and self._table:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES

    def _add(self, name: bytes, value: bytes) -> None:
        self._table.appendleft((name, value))
        self._size += len(name) + len(value) + _ENTRY_BYTES
        self._evict()

    def _literal(self, block: bytes, at: int, prefix: int) -> tuple[bytes, bytes, int]:
        index, at = _integer(block, at, prefix)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return name, value, at

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Headers of one block. Raises HpackError."""
        out: list[tuple[bytes, bytes]] = []
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:  # 6.1: indexed
                index, at = _integer(block, at, 7)
                out.append(self._entry(index))
            elif first & 0x40:  # 6.2.1: literal, kept
                name, value, at = self._literal(block, at, 6)
                self._add(name, value)
                out.append((name, value))
            elif first & 0x20:  # 6.3: size of the table
                self._limit, at = _integer(block, at, 5)
                if self._limit > MAX_HPACK_TABLE_BYTES:
                    raise HpackError("table larger than the limit")
                self._evict()
            else:  # 6.2.2 and 6.2.3: literal, not kept
                name, value, at = self._literal(block, at, 4)
                out.append((name, value))
            if len(out) > MAX_HTTP_HEADERS:
                raise HpackError("more headers than the limit")
        return out
