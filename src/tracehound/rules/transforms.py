"""In: a buffer's bytes and a rule's transformation of it. Out: the transformed bytes. Never here: buffers or matching.

Names and results as in the Suricata 8 user guide, "Transformations"."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import pcre2

from tracehound.limits import MAX_RULE_BODY_BYTES, PCRE_MATCH_LIMIT
from tracehound.rules.rule import Transform
from tracehound.rules.verify import decoded_base64, decoded_base64_2045

Change = Callable[[bytes], bytes]

_SPACE: Final = re.compile(rb"[ \t\n\r\v\f]")
_SPACES: Final = re.compile(rb"[ \t\n\r\v\f]{2,}")
_ESCAPE: Final = re.compile(rb"%([0-9a-fA-F]{2})|\+")
_PSEUDO: Final = re.compile(rb"^:[^\r\n]*\r?\n", re.M)


def _url_decode(_argument: str) -> Change:
    def change(data: bytes) -> bytes:
        if b"%" not in data and b"+" not in data:
            return data
        return _ESCAPE.sub(lambda m: b" " if m.group(1) is None else bytes((int(m.group(1), 16),)), data)

    return change


def _xor(argument: str) -> Change:
    key = bytes.fromhex(argument.strip().strip('"').removeprefix("0x"))

    def change(data: bytes) -> bytes:
        if not key:
            return data
        whole = key * (len(data) // len(key) + 1)
        return bytes(a ^ b for a, b in zip(data, whole, strict=False))

    return change


def _pcrexform(argument: str) -> Change:
    search = pcre2.compile(b"(*LIMIT_MATCH=%d)" % PCRE_MATCH_LIMIT + argument.strip().strip('"').encode("latin1"), 0).search

    def change(data: bytes) -> bytes:
        try:
            found = search(data)
        except pcre2.LibraryError:
            return data
        # detect-transform-pcrexform.c: the first group is the result; without a match the buffer stays.
        if found is None or not found.groups() or found.group(1) is None:
            return data
        return bytes(found.group(1))

    return change


def _words(argument: str) -> dict[str, str]:
    out = {}
    for word in argument.split(","):
        name, _, value = word.strip().partition(" ")
        if name:
            out[name] = value.strip()
    return out


_STRICT: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def _from_base64(argument: str) -> Change:
    words = _words(argument)
    offset, count = int(words.get("offset", "0")), int(words.get("bytes", "0"))
    mode = words.get("mode", "rfc4648").lower()

    def change(data: bytes) -> bytes:
        part = data[offset:]
        if count:
            part = part[:count]
        if mode == "strict":
            # detect-transform-base64.c: what cannot be decoded leaves the buffer as it was.
            return decoded_base64(part) if _STRICT.match(part) and part else data
        if mode == "rfc2045":
            return decoded_base64_2045(part) or data
        return decoded_base64(part) or data

    return change


def _inflate(window: int) -> Callable[[str], Change]:
    def make(argument: str) -> Change:
        most = int(_words(argument).get("max-size", "1024") or 1024)
        most = min(most, MAX_RULE_BODY_BYTES)

        def change(data: bytes) -> bytes:
            try:
                return zlib.decompressobj(window).decompress(data, most)
            except zlib.error:
                return b""

        return change

    return make



def _plain(change: Change) -> Callable[[str], Change]:
    return lambda _argument: change


TRANSFORMS: Final[dict[str, Callable[[str], Change]]] = {
    "to_lowercase": _plain(bytes.lower),
    "to_uppercase": _plain(bytes.upper),
    "strip_whitespace": _plain(lambda d: _SPACE.sub(b"", d)),
    "compress_whitespace": _plain(lambda d: _SPACES.sub(b" ", d)),
    "dotprefix": _plain(lambda d: b"." + d),
    "url_decode": _url_decode,
    "xor": _xor,
    "to_md5": _plain(lambda d: hashlib.md5(d, usedforsecurity=False).digest()),
    "to_sha1": _plain(lambda d: hashlib.sha1(d, usedforsecurity=False).digest()),
    "to_sha256": _plain(lambda d: hashlib.sha256(d).digest()),
    "pcrexform": _pcrexform,
    "header_lowercase": _plain(lambda d: re.sub(rb"(?m)^[^:\r\n]+(?=:)", lambda m: m.group().lower(), d)),
    "strip_pseudo_headers": _plain(lambda d: _PSEUDO.sub(b"", d)),
    "from_base64": _from_base64,
    "gunzip": _inflate(zlib.MAX_WBITS + 16),
    "zlib_deflate": _inflate(zlib.MAX_WBITS),
}

HONOURS: Final = frozenset(f"transform:{name}" for name in TRANSFORMS)


@lru_cache(maxsize=4096)
def transform(given: Transform) -> Change:
    """The function that a rule's transformation means."""
    return TRANSFORMS[given.name](given.argument)


def apply(data: bytes, transforms: tuple[Transform, ...]) -> bytes:
    for given in transforms:
        data = transform(given)(data)
    return data
