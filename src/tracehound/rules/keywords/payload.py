"""In: the values of the options that look at bytes: content and its modifiers, pcre, byte_*, isdataat, bsize, base64, datasets,
entropy, asn1, hashes. Out: their steps in the assembly. Never here: running them.

Sources: Suricata 8 user guide (payload keywords, datasets), Suricata detect-content.c, detect-pcre.c, detect-bytetest.c,
detect-bytejump.c, detect-byte-extract.c, detect-bytemath.c; Snort 2.9 manual 3.5; Snort 3 reference (ips options)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, cast

import pcre2

from tracehound.limits import MAX_RULE_PATTERN_BYTES
from tracehound.rules.keywords.assembly import Assembly, ContentDraft, as_int
from tracehound.rules.keywords.buffers import BASE64_DATA, PCRE_LETTERS
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.numbers import numbers
from tracehound.rules.rule import (
    LARGEST,
    Asn1,
    Base64Decode,
    Bsize,
    ByteExtract,
    ByteJump,
    ByteMath,
    ByteTest,
    Datarep,
    Dataset,
    Digits,
    Endian,
    Entropy,
    FastPattern,
    Hash,
    IsDataAt,
    Numbers,
    Other,
    Pcre,
    Value,
)

MAX_DISTANCE: Final = 1 << 20
"""Suricata: "the absolute value for distance must be less than or equal to 1MB"; the same for within."""
_QUOTED: Final = re.compile(r'(!?)\s*"(.*)"\s*', re.DOTALL)
_INLINE: Final = re.compile(r'(!?)\s*+"((?:[^"\\]|\\.)*+)"\s*+(?:,(.*))?', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.?)", re.DOTALL)
_HEX: Final = re.compile(r"[0-9a-fA-F\s]*")
_PCRE: Final = re.compile(r"(?:m(?P<own>[^\w\s])(?P<a>.*)(?P=own)|/(?P<b>.*)/)(?P<flags>[A-Za-z]*)\s*", re.DOTALL)
_CAPTURES: Final = re.compile(r"/[A-Za-z]*(\s*,\s*(?:flow|pkt|alert):)")
_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*")


def required(value: str | None) -> str:
    """The value of an option that must have one."""
    if value is None or not value:
        raise KeywordError("needs a value")
    return value


def no_value(value: str | None) -> None:
    """Refuse a value where none is meant."""
    if value:
        raise KeywordError(f"takes no value, not {value[:40]!r}")


def quoted(value: str | None) -> tuple[bool, str]:
    """(negated, text between the quotes)."""
    m = _QUOTED.fullmatch(required(value))
    if m is None:
        raise KeywordError("needs a value in double quotes")
    return m[1] == "!", m[2]


def unquoted(value: str | None) -> str:
    """The value, without quotes if it has them."""
    text = required(value)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    elif text[0] == '"' or text[-1] == '"':
        raise KeywordError("has a quote at one end only")
    return text


def pattern_bytes(text: str) -> bytes:
    """The bytes of a content: `|41 42|` is hexadecimal, a backslash stands before `; : " \\`."""
    if "|" not in text and "\\" not in text:
        return text.encode("utf-8", "surrogateescape")
    out = bytearray()
    for n, part in enumerate(text.split("|") if "\\|" not in text else _bars(text)):
        if n & 1:
            if _HEX.fullmatch(part) is None:
                raise KeywordError(f"|{part[:40]}| is not hexadecimal")
            try:
                out += bytes.fromhex(part)
            except ValueError:
                digits = "".join(part.split())
                if len(digits) & 1:
                    raise KeywordError(f"|{part[:40]}| has an odd number of digits") from None
                out += bytes.fromhex(digits)
        elif "\\" in part:
            out += _ESCAPED.sub(_escape, part).encode("utf-8", "surrogateescape")
        else:
            out += part.encode("utf-8", "surrogateescape")
    if text.count("|") & 1 and "\\|" not in text:
        raise KeywordError("a hexadecimal part is not closed by |")
    return bytes(out)


def _bars(text: str) -> list[str]:
    raise KeywordError("\\| is no escape: write |7C|")


def _escape(m: re.Match[str]) -> str:
    if m[1] in (";", ":", '"', "\\"):
        return m[1]
    raise KeywordError(f"{m[0]!r} is no escape: only \\; \\: \\\" and \\\\ are")


# -- content and its modifiers ------------------------------------------------------------------------------------------------


def _content(a: Assembly, value: str | None) -> None:
    negated, text = quoted(value)
    pattern = pattern_bytes(text)
    if not pattern:
        raise KeywordError("an empty content")
    if len(pattern) > 255 * 256:
        raise KeywordError("a content of more than 65,280 bytes")
    a.content(pattern, negated)
    a.need("content")


def _inline_content(a: Assembly, value: str | None) -> None:
    """Snort 3: modifiers stand behind the text, after commas."""
    m = _INLINE.fullmatch(required(value))
    if m is None:
        raise KeywordError("needs a text in double quotes, and modifiers after commas")
    pattern = pattern_bytes(m[2])
    if not pattern:
        raise KeywordError("an empty content")
    draft = a.content(pattern, m[1] == "!")
    a.need("content")
    chop: dict[str, int] = {}
    for word in (m[3] or "").split(","):
        words = word.split()
        if not words:
            if m[3] is not None and m[3].strip():
                raise KeywordError("nothing stands between two commas")
            continue
        name, rest = words[0], " ".join(words[1:])
        if name in ("fast_pattern_offset", "fast_pattern_length"):
            chop[name] = _plain(rest, 0, 65535)
            draft.fast_pattern = draft.fast_pattern or FastPattern()
            continue
        reader = _INLINE_MODIFIERS.get(name)
        if reader is None:
            raise KeywordError(f"{name!r} modifies no content")
        reader(a, rest or None)
    if chop:
        offset = chop.get("fast_pattern_offset", 0)
        draft.fast_pattern = FastPattern(chop=(offset, chop.get("fast_pattern_length", len(pattern) - offset)))


def _plain(text: str | None, low: int, high: int) -> int:
    n = as_int(required(text))
    if n is None or not low <= n <= high:
        raise KeywordError(f"{text!r} is no number of {low} to {high}")
    return n


def _nocase(a: Assembly, value: str | None) -> None:
    no_value(value)
    a.modified().nocase = True


def _rawbytes(a: Assembly, value: str | None) -> None:
    no_value(value)
    a.modified().rawbytes = True


def _set_once(draft: ContentDraft, name: Literal["offset", "depth", "distance", "within"], value: Value) -> None:
    if getattr(draft, name) is not None:
        raise KeywordError(f"the content has {name} already")
    setattr(draft, name, value)


def _offset(a: Assembly, value: str | None) -> None:
    _set_once(a.modified(), "offset", a.value(required(value), -65535, 65535))


def _depth(a: Assembly, value: str | None) -> None:
    _set_once(a.modified(), "depth", a.value(required(value), 0, 65535))


def _distance(a: Assembly, value: str | None) -> None:
    _set_once(a.modified(), "distance", a.value(required(value), -MAX_DISTANCE, MAX_DISTANCE))


def _within(a: Assembly, value: str | None) -> None:
    _set_once(a.modified(), "within", a.value(required(value), 1, MAX_DISTANCE))


def _startswith(a: Assembly, value: str | None) -> None:
    no_value(value)
    a.modified().startswith = True


def _endswith(a: Assembly, value: str | None) -> None:
    no_value(value)
    a.modified().endswith = True


def _fast_pattern(a: Assembly, value: str | None) -> None:
    draft = a.modified()
    if draft.fast_pattern is not None:
        raise KeywordError("the content has fast_pattern already")
    if not value:
        draft.fast_pattern = FastPattern()
    elif value == "only":
        draft.fast_pattern = FastPattern(only=True)
    else:
        first, comma, length = value.partition(",")
        if not comma:
            raise KeywordError(f"{value[:40]!r} is neither `only` nor `offset,length`")
        draft.fast_pattern = FastPattern(chop=(_plain(first.strip(), 0, 65535), _plain(length.strip(), 1, 65535)))


_INLINE_MODIFIERS: Final[dict[str, Callable[[Assembly, str | None], None]]] = {
    "nocase": _nocase, "offset": _offset, "depth": _depth, "distance": _distance, "within": _within,
    "fast_pattern": _fast_pattern, "rawbytes": _rawbytes, "startswith": _startswith, "endswith": _endswith,
}  # fmt: skip


def _uricontent(a: Assembly, value: str | None) -> None:
    negated, text = quoted(value)
    pattern = pattern_bytes(text)
    if not pattern:
        raise KeywordError("an empty content")
    if a.sticky is not None:
        raise KeywordError(f"stands in the buffer {a.sticky.buffer.name}; end that with pkt_data")
    a.content(pattern, negated, a.elsewhere("http.uri"))
    a.need("content")


def _replace(a: Assembly, value: str | None) -> None:
    draft = a.modified()
    text = pattern_bytes(unquoted(value))
    if len(text) != len(draft.pattern):
        raise KeywordError(f"has {len(text)} bytes, the content that it replaces {len(draft.pattern)}")
    draft.replace = text


# -- pcre -------------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16_384)
def _expression_problem(pattern: bytes, extended: bool) -> str:
    """Why PCRE2 does not take an expression; "" if it does."""
    if len(pattern) > MAX_RULE_PATTERN_BYTES:
        return f"more than {MAX_RULE_PATTERN_BYTES} bytes"
    try:
        pcre2.compile(pattern, pcre2.X if extended else 0)
    except (pcre2.error, ValueError) as wrong:
        return str(wrong)
    return ""


def _pcre(a: Assembly, value: str | None) -> None:
    negated, text = quoted(value)
    names = ""
    kept = _CAPTURES.search(text)
    if kept is not None:
        text, names = text[: kept.start(1)], text[kept.start(1) :]
    m = _PCRE.fullmatch(text)
    if m is None:
        raise KeywordError("is not of the form /expression/flags")
    expression = m["b"] if m["b"] is not None else m["a"]
    letters, flags, relative = [], "", False
    for letter in m["flags"]:
        if letter in "imsxAEGO":
            flags += letter if letter not in flags else ""
        elif letter == "R":
            relative = True
        elif letter in PCRE_LETTERS:
            letters.append(letter)
        elif letter != "B":
            raise KeywordError(f"{letter!r} is no flag")
    if len(set(letters)) > 1:
        raise KeywordError(f"{' and '.join(letters)} name two buffers")
    captures = tuple(word.strip() for word in names.split(",")[1:])
    if any(not re.fullmatch(r"(?:flow|pkt|alert):\S+", word) for word in captures):
        raise KeywordError(f"{names.strip(', ')[:40]!r} names no variable for a group")
    pattern = expression.encode("utf-8", "surrogateescape")
    problem = _expression_problem(pattern, "x" in flags)
    if problem:
        raise KeywordError(f"the expression is broken: {problem}")
    step = Pcre(pattern, "".join(sorted(flags)), relative, negated, captures)
    # The letter names the buffer, whichever is open (Snort 2; Suricata refuses another than the open one since version 5).
    letter = letters[0] if letters and (a.sticky is None or a.sticky.buffer.name != PCRE_LETTERS[letters[0]]) else ""
    if relative and (a.sticky is None or letter):
        group = a.elsewhere(PCRE_LETTERS[letter]) if letter else a.here()
        if not any(isinstance(s, Pcre | ContentDraft) for s in group.steps):
            # Suricata: "pcre with /R (relative) needs preceding match in the same buffer".
            raise KeywordError("R counts from a match before it in the same buffer, and there is none")
    group = a.elsewhere(PCRE_LETTERS[letter]) if letter else a.here()
    group.steps.append(step)
    a.last_match = group
    a.need("pcre")


# -- byte_test, byte_jump, byte_extract, byte_math ----------------------------------------------------------------------------------

_ENDIANS: Final[dict[str, Endian]] = {"big": "big", "little": "little", "dce": "dce"}
_DIGITS: Final[dict[str, Digits]] = {"dec": "dec", "hex": "hex", "oct": "oct"}


class _Words:
    """The words after commas that the byte keywords share."""

    __slots__ = ("align", "bitmask", "digits", "endian", "multiplier", "origin", "post_offset", "relative")

    def __init__(self) -> None:
        self.relative = False
        self.endian: Endian = "big"
        self.digits: Digits = ""
        self.multiplier = 1
        self.align = 0
        self.origin: Literal["here", "beginning", "end"] = "here"
        self.post_offset: Value = 0
        self.bitmask: int | None = None

    def read(self, a: Assembly, words: list[str], allowed: str) -> None:
        endian_given = False
        for word in words:
            name, *rest = word.split()
            if name not in allowed.split():
                raise KeywordError(f"{word[:40]!r} is none of its options")
            if name == "relative":
                self.relative = True
            elif name in _ENDIANS or name == "endian":
                text = name if name != "endian" else " ".join(rest)
                if text not in _ENDIANS or endian_given:
                    raise KeywordError(f"{word[:40]!r}: the order of bytes is big, little or dce, once")
                self.endian = _ENDIANS[text]
                endian_given = True
            elif name == "string":
                if rest and rest[0] not in _DIGITS:
                    raise KeywordError(f"{rest[0]!r} is not dec, hex or oct")
                self.digits = _DIGITS[rest[0]] if rest else self.digits or "auto"
            elif name in _DIGITS:
                self.digits = _DIGITS[name]
            elif name == "multiplier":
                self.multiplier = _plain(" ".join(rest), 1, 65535)
            elif name == "align":
                self.align = _plain(" ".join(rest), 2, 4) if rest else 4
                if self.align == 3:
                    raise KeywordError("align is 2 or 4")
            elif name == "from_beginning":
                self.origin = "beginning"
            elif name == "from_end":
                self.origin = "end"
            elif name == "post_offset":
                self.post_offset = a.value(" ".join(rest), -65535, 65535)
            elif name == "bitmask":
                mask = as_int(" ".join(rest))
                if mask is None or not 0 < mask <= 0xFFFFFFFF:
                    raise KeywordError(f"{word[:40]!r}: a mask is a number of 1 to 0xffffffff")
                self.bitmask = mask
        if self.endian == "dce":
            a.speaks(("dcerpc", "smb"))
            if self.digits:
                raise KeywordError("dce and string do not go together")


def _split(value: str | None, least: int) -> list[str]:
    words = [w.strip() for w in required(value).split(",")]
    if words and not words[-1]:
        words.pop()
    if len(words) < least or not all(words):
        raise KeywordError(f"needs {least} values between commas")
    return words


def _count(a: Assembly, text: str, digits: Digits, low: int) -> Value:
    count = a.value(text, low, 23)
    if isinstance(count, int) and not digits and count > 8:
        raise KeywordError(f"{count} bytes are no number: 8 at most")
    return count


_BYTE_TEST_OPERATOR: Final = re.compile(r"(!?)\s*(<=|>=|[<>=&^])?")
_BYTE_TEST_SHORT: Final = re.compile(r"(!?(?:<=|>=|[<>=&^])|!)\s*(\S.*)")


def _byte_test(a: Assembly, value: str | None) -> None:
    words = _split(value, 3)
    m = _BYTE_TEST_OPERATOR.fullmatch(words[1])
    short = _BYTE_TEST_SHORT.fullmatch(words[1])
    if m is None and short is not None:
        # Snort reads `byte_test:4,>1000,0` as well.
        words[1:2] = [short[1], short[2]]
        m = _BYTE_TEST_OPERATOR.fullmatch(words[1])
    if len(words) < 4:
        raise KeywordError("needs count, operator, value, offset")
    if m is None:
        raise KeywordError(f"{words[1][:20]!r} is no operator")
    w = _Words()
    w.read(a, words[4:], "relative big little endian string dec hex oct dce bitmask")
    operator = cast('Literal["<", ">", "=", "<=", ">=", "&", "^"]', m[2] or "=")
    step = ByteTest(
        _count(a, words[0], w.digits, 1), operator, m[1] == "!", a.value(words[2], 0, 2**64 - 1), a.value(words[3], -65535, 65535),
        w.relative, w.endian, w.digits, w.bitmask,
    )  # fmt: skip
    a.add(step, "byte_test", relative=w.relative)


def _byte_jump(a: Assembly, value: str | None) -> None:
    words = _split(value, 2)
    w = _Words()
    w.read(
        a, words[2:], "relative big little endian string dec hex oct dce bitmask multiplier align from_beginning from_end post_offset"
    )
    step = ByteJump(
        _count(a, words[0], w.digits, 0), a.value(words[1], -65535, 65535), w.relative, w.multiplier, w.endian, w.digits,
        w.align, w.origin, w.post_offset, w.bitmask,
    )  # fmt: skip
    a.add(step, "byte_jump", relative=w.relative)


def _named(a: Assembly, text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise KeywordError(f"{text[:40]!r} is no name for a variable")
    return text


def _byte_extract(a: Assembly, value: str | None) -> None:
    words = _split(value, 3)
    w = _Words()
    w.read(a, words[3:], "relative big little endian string dec hex oct dce bitmask multiplier align")
    count = _count(a, words[0], w.digits, 1)
    if not isinstance(count, int):
        raise KeywordError(f"{count!r}: the number of bytes cannot be a variable")
    name = _named(a, words[2])
    step = ByteExtract(
        count, a.value(words[1], -65535, 65535), name, w.relative, w.multiplier, w.endian, w.digits, w.align, w.bitmask
    )
    a.add(step, "byte_extract", relative=w.relative)
    a.variables.add(name)


def _byte_math(a: Assembly, value: str | None) -> None:
    given: dict[str, str] = {}
    flags = []
    for word in _split(value, 5):
        name, _, rest = word.partition(" ")
        if name in ("bytes", "offset", "oper", "rvalue", "result"):
            if name in given:
                raise KeywordError(f"{name} is given twice")
            given[name] = rest.strip()
        else:
            flags.append(word)
    for name in ("bytes", "offset", "oper", "rvalue", "result"):
        if not given.get(name):
            raise KeywordError(f"{name} is missing")
    w = _Words()
    w.read(a, flags, "relative big little endian string dec hex oct dce bitmask")
    operator = given["oper"]
    if operator not in ("+", "-", "*", "/", "<<", ">>"):
        raise KeywordError(f"{operator[:20]!r} is no operator")
    rvalue = a.value(given["rvalue"], 0, 2**32 - 1)
    if operator == "/" and rvalue == 0:
        raise KeywordError("divides by zero")
    result = _named(a, given["result"])
    count: Value = a.value(given["bytes"], 1, 10)
    if isinstance(count, int) and not w.digits and count > 4 and operator in ("<<", ">>"):
        raise KeywordError("shifts at most 4 bytes")
    step = ByteMath(
        count, a.value(given["offset"], -65535, 65535),
        cast('Literal["+", "-", "*", "/", "<<", ">>"]', operator), rvalue, result, w.relative, w.endian, w.digits, w.bitmask,
    )  # fmt: skip
    a.add(step, "byte_math", relative=w.relative)
    a.variables.add(result)


def _isdataat(a: Assembly, value: str | None) -> None:
    words = _split(value, 1)
    negated = words[0].startswith("!")
    at = a.value(words[0].lstrip("! "), 0, 65535)
    if any(word not in ("relative", "rawbytes") for word in words[1:]):
        raise KeywordError(f"{', '.join(words[1:])[:40]!r}: only relative and rawbytes go with it")
    a.add(IsDataAt(at, "relative" in words, negated), "isdataat", relative="relative" in words)


_BSIZE_VARIABLE: Final = re.compile(r"(!=|<=|>=|[=!<>])?\s*([A-Za-z_]\w*)")


def _bsize(a: Assembly, value: str | None) -> None:
    text = required(value)
    if a.sticky is None:
        raise KeywordError("stands after no buffer")
    m = _BSIZE_VARIABLE.fullmatch(text)
    if m is not None and m[2] in a.variables:
        a.add(Bsize(Numbers(((0, LARGEST),)), (m[1] or "=", m[2])), "bsize")
        return
    a.add(Bsize(numbers(text, 0, LARGEST)), "bsize")


def _bufferlen(a: Assembly, value: str | None) -> None:
    words = _split(value, 1)
    if words[1:] not in ([], ["relative"]):
        raise KeywordError(f"{', '.join(words[1:])[:40]!r}: only relative goes with it")
    a.add(Bsize(numbers(words[0], 0, LARGEST), None, len(words) > 1), "bsize")


def _absent(a: Assembly, value: str | None) -> None:
    group = a.sticky
    if group is None:
        raise KeywordError("stands after no buffer")
    if group.steps or group.absent:
        raise KeywordError("must be the first thing asked of its buffer")
    if value not in (None, "", "or_else"):
        raise KeywordError(f"{value!r} is not or_else")
    a.here().absent = "or_else" if value else "only"
    a.need("absent")


# -- base64 ---------------------------------------------------------------------------------------------------------------------------


def _base64_decode(a: Assembly, value: str | None) -> None:
    count: int | None = None
    offset, relative = 0, False
    for word in (value or "").split(","):
        name, _, rest = word.strip().partition(" ")
        if name == "":
            continue
        if name == "relative" and not rest:
            relative = True
        elif name == "bytes":
            count = _plain(rest.strip(), 1, 65535)
        elif name == "offset":
            offset = _plain(rest.strip(), 0, 65535)
        else:
            raise KeywordError(f"{word.strip()[:40]!r} is none of its options")
    # Relative or not, it looks where the last match was (detect-base64-decode.c).
    a.add(Base64Decode(count, offset, relative), "base64_decode", relative=True)
    a.base64_open = True


def _base64_data(a: Assembly, value: str | None) -> None:
    no_value(value)
    if not a.base64_open:
        raise KeywordError("stands before any base64_decode")
    a.open(BASE64_DATA)


# -- datasets -------------------------------------------------------------------------------------------------------------------------

_DATASET_KINDS: Final = ("string", "md5", "sha256", "ip", "ipv4", "ipv6")


def _settings(words: list[str], allowed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, _, rest = word.strip().partition(" ")
        if name not in allowed.split():
            raise KeywordError(f"{word[:40]!r} is none of its options")
        if name in found:
            raise KeywordError(f"{name} is given twice")
        found[name] = rest.strip()
    return found


def _bytes_size(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    span = numbers(text, 0, LARGEST).spans
    if len(span) != 1 or span[0][0] != span[0][1]:
        raise KeywordError(f"{name} is no size")
    return span[0][0]


def _dataset(a: Assembly, value: str | None) -> None:
    words = _split(value, 2)
    command, name = words[0], words[1]
    if command not in ("set", "unset", "isset", "isnotset"):
        raise KeywordError(f"{command[:40]!r} is not set, unset, isset or isnotset")
    if a.sticky is None:
        raise KeywordError("stands after no buffer")
    s = _settings(words[2:], "type load state save memcap hashsize format enrichment_key context_key value_key array_key remove_key")
    kind = s.get("type", "")
    if kind not in (*_DATASET_KINDS, ""):
        raise KeywordError(f"{kind!r} is no type of a dataset")
    if "state" in s and ("load" in s or "save" in s):
        raise KeywordError("state stands for both load and save")
    form = s.get("format", "csv")
    if form not in ("csv", "json", "ndjson", "jsonline"):
        raise KeywordError(f"{form!r} is no format of a dataset")
    step = Dataset(
        cast('Literal["set", "unset", "isset", "isnotset"]', command), name, kind, s.get("load"), s.get("state", s.get("save")),
        _bytes_size(s.get("memcap"), "memcap"), _bytes_size(s.get("hashsize"), "hashsize"), form,
        s.get("enrichment_key", s.get("context_key", "")), s.get("value_key", ""), s.get("array_key", ""), "remove_key" in s,
    )  # fmt: skip
    a.add(step, "dataset" if form == "csv" else "dataset:json")


def _datarep(a: Assembly, value: str | None) -> None:
    words = _split(value, 3)
    if a.sticky is None:
        raise KeywordError("stands after no buffer")
    if words[1] not in ("<", ">", "=", "==", "!=", "<=", ">="):
        raise KeywordError(f"{words[1][:20]!r} is no comparison")
    s = _settings(words[3:], "type load state save memcap hashsize")
    if s.get("type") not in _DATASET_KINDS:
        raise KeywordError("needs a type: string, md5, sha256, ip, ipv4 or ipv6")
    operator = "=" if words[1] == "==" else words[1]
    step = Datarep(
        words[0], cast('Literal["<", ">", "=", "!=", "<=", ">="]', operator), _plain(words[2], 0, 65535), s["type"], s.get("load"),
        s.get("state", s.get("save")), _bytes_size(s.get("memcap"), "memcap"), _bytes_size(s.get("hashsize"), "hashsize"),
    )  # fmt: skip
    a.add(step, "datarep")


# -- the rest ---------------------------------------------------------------------------------------------------------------------------

_ENTROPY: Final = re.compile(r"(!=|<=|>=|[=<>!])?\s*(\d+(?:\.\d+)?)(?:\s*(?:-|<>)\s*(\d+(?:\.\d+)?))?")


def _entropy(a: Assembly, value: str | None) -> None:
    count = offset = 0
    spec = ""
    for word in _split(value, 1):
        name, _, rest = word.partition(" ")
        if name == "bytes":
            count = _plain(rest.strip(), 0, 65535)
        elif name == "offset":
            offset = _plain(rest.strip(), 0, 65535)
        elif spec:
            raise KeywordError("more than one value")
        else:
            spec = rest.strip() if name == "value" else word
    m = _ENTROPY.fullmatch(spec)
    if m is None:
        raise KeywordError(f"{spec[:40]!r} compares with no entropy")
    low, high = float(m[2]), None if m[3] is None else float(m[3])
    if low > 8 or (high is not None and (high > 8 or low >= high or m[1] not in (None, "!"))):
        raise KeywordError("an entropy lies between 0 and 8 bits per byte")
    operator = ("outside" if m[1] else "between") if high is not None else {"!": "!="}.get(m[1] or "=", m[1] or "=")
    a.add(Entropy(operator, low, high, count, offset), "entropy")


def _asn1(a: Assembly, value: str | None) -> None:
    bitstring = double = relative = False
    length: int | None = None
    offset = 0
    words = required(value).replace(",", " ").split()
    while words:
        word = words.pop(0)
        if word == "bitstring_overflow":
            bitstring = True
        elif word == "double_overflow":
            double = True
        elif word in ("oversize_length", "absolute_offset", "relative_offset") and words:
            n = _plain(words.pop(0), -65535, 2**31 - 1)
            if word == "oversize_length":
                length = n
            else:
                offset, relative = n, word == "relative_offset"
        else:
            raise KeywordError(f"{word[:40]!r} is none of its options")
    if not (bitstring or double or length is not None):
        raise KeywordError("asks for nothing")
    a.add(Asn1(bitstring, double, length, offset, relative), "asn1")


_ALGORITHMS: Final = {"md5": 16, "sha256": 32, "sha512": 64}


def _hash(algorithm: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        m = _INLINE.fullmatch(required(value))
        if m is None:
            raise KeywordError("needs a digest in double quotes")
        try:
            digest = bytes.fromhex(m[2])
        except ValueError:
            raise KeywordError("the digest is not hexadecimal") from None
        length: int | None = None
        offset: Value | None = None
        relative = False
        for word in (m[3] or "").split(","):
            name, _, rest = word.strip().partition(" ")
            if name == "length":
                length = _plain(rest.strip(), 1, 65535)
            elif name == "offset":
                offset = a.value(rest.strip(), -65535, 65535)
            elif name == "relative":
                relative = True
            elif name:
                raise KeywordError(f"{word.strip()[:40]!r} is none of its options")
        if length is None or len(digest) != _ALGORITHMS[algorithm]:
            raise KeywordError(f"needs a digest of {_ALGORITHMS[algorithm]} bytes and the length of what it is of")
        a.add(Hash(algorithm, digest, length, None if relative else offset, offset or 0 if relative else None, m[1] == "!"), "hash")

    return read


def _rpc(a: Assembly, value: str | None) -> None:
    words = tuple(w.strip() for w in required(value).split(","))
    if not 1 <= len(words) <= 3 or any(w != "*" and as_int(w) is None for w in words) or words[0] == "*":
        raise KeywordError("needs application, version or *, procedure or *")
    a.add(Other("rpc", (*words, "*", "*")[:3]), "other:rpc")


def _words(keyword: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        words = tuple(w.strip() for w in value.split(",")) if value else ()
        a.add(Other(keyword, words), "other:" + keyword)

    return read


def _never(a: Assembly, value: str | None) -> None:
    """The catalogue's `never` refuses the rule before this is called."""


KEYWORDS: Final = (
    Keyword("content", "payload", "bytes that are (`!`: are not) in the buffer; `|41 42|` is hexadecimal", _content, dialects="s23"),
    Keyword("uricontent", "payload", "a content in the normalised URI", _uricontent, dialects="s2"),
    Keyword("nocase", "modifier", "letters of the content match in either case", _nocase, dialects="s23"),
    Keyword("offset", "modifier", "the content lies at or behind this byte", _offset, dialects="s23"),
    Keyword("depth", "modifier", "the content lies within this many bytes from offset", _depth, dialects="s23"),
    Keyword("distance", "modifier", "the content lies at least this far behind the last match", _distance, dialects="s23"),
    Keyword("within", "modifier", "the content ends within this many bytes of where distance leads", _within, dialects="s23"),
    Keyword("startswith", "modifier", "the content begins the buffer", _startswith),
    Keyword("endswith", "modifier", "the content ends the buffer", _endswith),
    Keyword("rawbytes", "modifier", "no influence, as in Suricata", _rawbytes, dialects="s23"),
    Keyword("fast_pattern", "modifier", "the content to look for first; no influence on what matches", _fast_pattern, dialects="s23"),
    Keyword("replace", "modifier", "rewriting of traffic; the alert is the same", _replace, dialects="s23"),
    Keyword("pcre", "payload", "a regular expression, flags `imsxAEGORB` and a buffer's letter", _pcre, aliases=("regex",), dialects="s23"),
    Keyword("byte_test", "payload", "a number in the buffer compared", _byte_test, dialects="s23"),
    Keyword("byte_jump", "payload", "a number in the buffer moves the place that relative options count from", _byte_jump, dialects="s23"),
    Keyword("byte_extract", "payload", "a number in the buffer becomes a variable", _byte_extract, dialects="s23"),
    Keyword("byte_math", "payload", "a number in the buffer, calculated with, becomes a variable", _byte_math, dialects="s23"),
    Keyword("isdataat", "payload", "there is data at that place", _isdataat, dialects="s23"),
    Keyword("bsize", "payload", "length of the buffer", _bsize),
    Keyword("bufferlen", "payload", "length of the buffer", _bufferlen, dialects="3"),
    Keyword("absent", "payload", "the buffer does not exist (`or_else`: or what follows holds)", _absent),
    Keyword("base64_decode", "payload", "decodes base64 for base64_data", _base64_decode, dialects="s23"),
    Keyword("base64_data", "buffer", "what base64_decode decoded", _base64_data, dialects="s23"),
    Keyword("dataset", "payload", "whether the buffer's value is in a set; puts it there or takes it out", _dataset),
    Keyword("datarep", "payload", "reputation of the buffer's value", _datarep),
    Keyword("entropy", "payload", "Shannon entropy of the buffer", _entropy),
    Keyword("asn1", "payload", "malformed ASN.1", _asn1, dialects="s23"),
    Keyword("rpc", "payload", "Sun RPC call: application, version, procedure", _rpc, dialects="s23"),
    *(
        Keyword(name, "payload", f"the {name} digest of some bytes", _hash(name), dialects="3") for name in ("md5", "sha256", "sha512")
    ),
    Keyword("cvs", "payload", "malformed CVS", _words("cvs"), dialects="23"),
    Keyword("ber_data", "payload", "BER element of a type", _words("ber_data"), dialects="3"),
    Keyword("ber_skip", "payload", "skips a BER element", _words("ber_skip"), dialects="3"),
    Keyword(
        "protected_content", "payload", "digest of bytes", _never, dialects="2",
        never="only the digest is known of what it looks for; Snort 3's sha256 is read",
    ),
    Keyword("sd_pattern", "payload", "personal data", _never, dialects="23", never="needs the preprocessor's lists of numbers"),
)  # fmt: skip
"""Keywords of this file."""
