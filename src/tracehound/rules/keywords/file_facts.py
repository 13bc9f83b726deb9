"""In: the values of the options that look at a transferred file as a whole. Out: their tests in the assembly.
Never here: its bytes, which are the buffer file.data.

Sources: Suricata 8 user guide, file keywords; Snort 3 reference, file_type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from tracehound.rules.keywords.assembly import Assembly
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.numbers import numbers
from tracehound.rules.keywords.payload import pattern_bytes, required
from tracehound.rules.rule import LARGEST, HashList, NumberTest, WordTest


def _text_test(keyword: str) -> Callable[[Assembly, str | None], None]:
    """A text in quotes (or without), negated by `!`; compared without regard to case, as a part (fileext: as the end)."""

    def read(a: Assembly, value: str | None) -> None:
        text = required(value).strip()
        negated = text.startswith("!")
        text = text.lstrip("! ")
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if not text or '"' in text:
            raise KeywordError("needs a text")
        # Bytes of the text as a content has them, one character a byte.
        words = (pattern_bytes(text).decode("latin-1"),)
        a.tests.append(WordTest(keyword, words, negated))
        a.need("test:" + keyword)

    return read


def _filesize(a: Assembly, value: str | None) -> None:
    a.tests.append(NumberTest("filesize", numbers(required(value), 0, LARGEST)))
    a.need("test:filesize")


def _hash_list(algorithm: Literal["md5", "sha1", "sha256"]) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        text = required(value)
        path = text.lstrip("! ").strip('"').strip()
        if not path:
            raise KeywordError("needs the name of a file with digests")
        a.tests.append(HashList(algorithm, path, text.startswith("!")))
        a.need("test:file" + algorithm)

    return read


def _file_type(a: Assembly, value: str | None) -> None:
    words = tuple(required(value).strip('"').replace(",", " ").split())
    a.tests.append(WordTest("file_type", words))
    a.need("test:file_type")


KEYWORDS: Final = (
    Keyword("filename", "file", "a part of the file's name", _text_test("filename")),
    Keyword("fileext", "file", "the ending of the file's name", _text_test("fileext")),
    Keyword("filemagic", "file", "a part of what libmagic says of the file", _text_test("filemagic")),
    Keyword("filesize", "file", "size of the whole file", _filesize),
    Keyword("filemd5", "file", "MD5 is in a list", _hash_list("md5")),
    Keyword("filesha1", "file", "SHA-1 is in a list", _hash_list("sha1")),
    Keyword("filesha256", "file", "SHA-256 is in a list", _hash_list("sha256")),
    Keyword("file_type", "file", "type of the file by Snort's names", _file_type, dialects="3"),
)  # fmt: skip
"""Keywords of this file."""
