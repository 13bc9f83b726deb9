"""In: the values of the options that change a buffer before it is looked at. Out: transforms in the assembly.
Never here: changing anything (the engine does).

Source: Suricata 8 user guide, transformations."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tracehound.rules.keywords.assembly import Assembly, as_int
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.payload import no_value, quoted, required, unquoted
from tracehound.rules.rule import Transform


def _plain(name: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        no_value(value)
        a.transform(Transform(name))

    return read


def _pcrexform(a: Assembly, value: str | None) -> None:
    negated, text = quoted(value)
    if negated or not text:
        raise KeywordError("needs an expression with a group")
    a.transform(Transform("pcrexform", text))


def _xor(a: Assembly, value: str | None) -> None:
    key = unquoted(value).strip()
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){1,255}", key):
        raise KeywordError("needs a key in hexadecimal")
    a.transform(Transform("xor", key.lower()))


_MODES: Final = ("rfc4648", "rfc2045", "strict")


def _from_base64(a: Assembly, value: str | None) -> None:
    count, offset, mode = 0, 0, "rfc4648"
    for word in (value or "").split(","):
        name, _, rest = word.strip().partition(" ")
        rest = rest.strip()
        if not name:
            continue
        number = as_int(rest)
        if name == "mode":
            mode = rest.lower()
            if mode not in _MODES:
                raise KeywordError(f"mode {rest[:20]!r} is not {', '.join(_MODES)}")
        elif name in ("bytes", "offset") and number is not None and 0 <= number <= 65535:
            count, offset = (number, offset) if name == "bytes" else (count, number)
        else:
            raise KeywordError(f"{word.strip()[:40]!r} is none of its options")
    a.transform(Transform("from_base64", f"bytes {count}, offset {offset}, mode {mode}"))


def _inflate(name: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        m = re.fullmatch(r"(?:max-size\s+(\d{1,10})\s*([kKmM]?[iI]?[bB]?))?", value or "")
        if m is None:
            raise KeywordError(f"{value!r} is not `max-size BYTES`")
        size = int(m[1] or 0) * {"k": 1 << 10, "m": 1 << 20}.get(m[2][:1].lower() if m[2] else "", 1)
        if m[1] and not 0 < size <= 16 << 20:
            raise KeywordError("max-size is at most 16 MiB")
        a.transform(Transform(name, f"max-size {size}" if size else ""))

    return read


def _subslice(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    numbers = [as_int(w) for w in words if w != "truncate"]
    if not 1 <= len(numbers) <= 2 or None in numbers:
        raise KeywordError("needs an offset and, after a comma, a length")
    a.transform(Transform("subslice", ", ".join(words)))


def _never(a: Assembly, value: str | None) -> None:
    """The catalogue's `never` refuses the rule before this is called."""


KEYWORDS: Final = (
    *(
        Keyword(name, "transform", meaning, _plain(name))
        for name, meaning in (
            ("to_lowercase", "letters in lower case"),
            ("to_uppercase", "letters in upper case"),
            ("strip_whitespace", "without white space"),
            ("compress_whitespace", "each run of white space one blank"),
            ("url_decode", "percent and plus decoded"),
            ("dotprefix", "a dot before it"),
            ("to_md5", "its MD5, 16 bytes"),
            ("to_sha1", "its SHA-1, 20 bytes"),
            ("to_sha256", "its SHA-256, 32 bytes"),
            ("header_lowercase", "names of headers in lower case"),
            ("strip_pseudo_headers", "without HTTP/2 pseudo headers"),
            ("domain", "registered domain of a name"),
            ("tld", "public suffix of a name"),
        )
    ),
    Keyword("pcrexform", "transform", "the first group of an expression", _pcrexform),
    Keyword("xor", "transform", "exclusive or with a key", _xor),
    Keyword("from_base64", "transform", "base64 decoded", _from_base64),
    Keyword("gunzip", "transform", "gzip decompressed", _inflate("gunzip")),
    Keyword("zlib_deflate", "transform", "zlib decompressed", _inflate("zlib_deflate")),
    Keyword("subslice", "transform", "a part of it", _subslice),
    Keyword("luaxform", "transform", "what a Lua script makes of it", _never, never="rules do not run programs here"),
)  # fmt: skip
"""Keywords of this file."""
