"""In: the text of a rule file. Out: its rules as written (header words, options in order, the place of each), the variables it
defines, the files it includes, and what is no rule. Never here: what an option means (keywords/), opening files (edges/).

One grammar for Snort 2, Snort 3 and Suricata:

    action protocol src sports direction dst dports ( name; name:value; ... )

- a backslash at a line's end continues it; a rule whose parenthesis is still open continues without one (Snort 3);
- `;` ends an option unless a backslash stands before it, inside quotes as well (Suricata, Snort 2); where that would cut a quoted
  text in two, the quotes decide (Snort 3);
- `#` begins a line that is not read; a rule in it is disabled and counted;
- `var`, `ipvar`, `portvar` define variables, `include` names another file; the other lines of a snort.conf are passed over.

Bytes that are not UTF-8 are kept (surrogateescape), so that a content has the bytes of the file.
Sources: Suricata detect-parse.c, Snort 2.9 manual 3.1, Snort 3 rule writing guide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from tracehound.errors import RuleError
from tracehound.limits import MAX_RULE_BYTES
from tracehound.rules.rule import Option, Written

ACTIONS: Final = frozenset((
    "alert", "drop", "pass", "reject", "rejectsrc", "rejectdst", "rejectboth", "log", "config", "block", "sdrop", "activate",
    "dynamic", "react", "rewrite", "accept",
))  # fmt: skip
DIRECTIONS: Final = ("->", "<>", "=>")
_OPTION: Final = re.compile(r"\s*+([\w.\-]++)\s*+(?::\s*+([^;]*+(?:(?<=\\);[^;]*+)*+))?;")
_QUOTED_OPTION: Final = re.compile(r'\s*+([\w.\-]++)\s*+:\s*+([^;"]*+(?:"(?:[^"\\]|\\.)*+"[^;"]*+)++);', re.DOTALL)
_CUT_QUOTE: Final = re.compile(r'[^"]*"(?:[^"\\]|\\.)*\Z', re.DOTALL)
_BLANK: Final = re.compile(r"\s*+")
_WORD: Final = re.compile(r"\s*(\S+)")
_SETTING: Final = re.compile(r"\s*(var|ipvar|portvar)\s+(\S+)\s+(.*\S)\s*\Z", re.DOTALL)
_INCLUDE: Final = re.compile(r"\s*include\s+(.*\S)\s*\Z")
_OTHER_SETTING: Final = re.compile(r"\s*(?:config|preprocessor|output|dynamic(?:preprocessor|engine|detection)|ruletype)\s[^(]*\Z")
"""Lines of a snort.conf that have no bearing on what a rule means."""
_DISABLED: Final = re.compile(r"\s*#[#\s]*(" + "|".join(sorted(ACTIONS)) + r")\s[^(]*\(.*\bsid\s*:\s*\d+.*\)\s*\Z")
_SNORT3_QUOTE: Final = re.compile(r'!?\s*+"(?:[^"\\]|\\.)*+"\s*+,', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable that a rule file or snort.conf defines."""

    kind: Literal["var", "ipvar", "portvar"]
    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Include:
    """A file that the rule file includes, as written."""

    path: str
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class Disabled:
    """A rule that is commented out."""

    text: str
    line: int


_KINDS: Final[dict[str, Literal["var", "ipvar", "portvar"]]] = {"var": "var", "ipvar": "ipvar", "portvar": "portvar"}

Item = Written | Setting | Include | Disabled | RuleError


def decoded(text: bytes | str) -> str:
    """Rule text with every byte kept."""
    return text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text


def encoded(text: str) -> bytes:
    """The bytes of a part of a rule's text; characters that stand for no byte are an error of whoever made the text."""
    return text.encode("utf-8", "surrogateescape")


def items(text: bytes | str, source: str) -> Iterator[Item]:
    """Everything that stands in a rule file, in order; what is no rule comes as a RuleError and the rest follows."""
    yield from _items(lines_of(text), 0, source)


def lines_of(text: bytes | str) -> list[str]:
    """The lines of a rule file."""
    return decoded(text).removeprefix("\ufeff").splitlines() if isinstance(text, str) else _lines(text)


def item_at(lines: list[str], line: int, source: str) -> Item | None:
    """What begins on a line (the first is 1) or is the first thing after it."""
    return next(_items(lines, line - 1, source), None)


def _items(lines: list[str], at: int, source: str) -> Iterator[Item]:
    while at < len(lines):
        first = at
        line = lines[at]
        at += 1
        bare = line.strip()
        if not bare:
            continue
        if bare[0] == "#":
            if "(" in bare and _DISABLED.match(line):
                yield Disabled(bare.lstrip("# \t"), first + 1)
            continue
        pieces = [line]
        while pieces[-1].rstrip().endswith("\\") and at < len(lines):
            pieces.append(lines[at])
            at += 1
        if len(pieces) == 1 and not bare.endswith(")") and "(" in bare and _begins_rule(bare):
            at = _open_rule(lines, at, pieces)
        if not _OTHER_SETTING.match(" ".join(pieces)):
            yield _item(pieces, first + 1, source)


def _lines(text: bytes) -> list[str]:
    # Only line feeds end lines: str.splitlines would also cut at U+0085 and the like, which may stand in a content.
    whole = decoded(text.removeprefix(b"\xef\xbb\xbf"))
    return [line.removesuffix("\r") for line in whole.split("\n")]


def _begins_rule(bare: str) -> bool:
    return bare.split(None, 1)[0] in ACTIONS


def _open_rule(lines: list[str], at: int, pieces: list[str]) -> int:
    """Snort 3: lines that belong to a rule whose parenthesis is open; `pieces` grows if it closes. Returns the next line."""
    taken = []
    for k in range(at, min(at + 400, len(lines))):
        bare = lines[k].strip()
        if bare.startswith("#"):
            taken.append("")
            continue
        if not bare or (_begins_rule(bare) and "(" in bare):
            return at
        taken.append(lines[k])
        if bare.endswith(")"):
            pieces.extend(taken)
            return k + 1
    return at


def _item(pieces: list[str], line: int, source: str) -> Item:
    starts = [0]
    parts = []
    for n, piece in enumerate(pieces):
        stripped = piece.rstrip()
        if stripped.endswith("\\") and n < len(pieces) - 1:
            piece = stripped[:-1]  # noqa: PLW2901
        elif n < len(pieces) - 1:
            piece += " "  # noqa: PLW2901
        parts.append(piece)
        starts.append(starts[-1] + len(piece))
    text = "".join(parts)
    setting = _SETTING.match(text)
    if setting is not None:
        return Setting(_KINDS[setting[1]], setting[2], setting[3], line)
    include = _INCLUDE.match(text)
    if include is not None:
        return Include(include[1].strip('"'), line, source)
    if len(text) > MAX_RULE_BYTES:
        return RuleError(source, line, f"a rule of more than {MAX_RULE_BYTES} bytes", column=1)
    return written_rule(text, source, line, starts if len(pieces) > 1 else None)


def _place(offset: int, line: int, starts: list[int] | None) -> tuple[int, int]:
    if starts is None:
        return line, offset + 1
    n = 0
    while n + 2 < len(starts) and starts[n + 1] <= offset:
        n += 1
    return line + n, offset - starts[n] + 1


class _Wrong(Exception):
    def __init__(self, cause: str, offset: int, keyword: str = "") -> None:
        self.cause, self.offset, self.keyword = cause, offset, keyword


def written_rule(text: str, source: str, line: int = 1, starts: list[int] | None = None) -> Written | RuleError:
    """One rule from its text. `starts`: where each physical line begins in it, if there are several."""
    try:
        return _read_rule(text, source, line, starts)
    except _Wrong as wrong:
        at, column = _place(wrong.offset, line, starts)
        return RuleError(source, at, wrong.cause, column=column, keyword=wrong.keyword)


def _read_rule(text: str, source: str, line: int, starts: list[int] | None) -> Written:
    begin = len(text) - len(text.lstrip())
    paren = _options_begin(text)
    if paren < 0:
        word = text.split(None, 1)[0]
        cause = "the rule has no options in parentheses" if word in ACTIONS else f"{word[:40]!r} begins no rule"
        raise _Wrong(cause, begin)
    head = _header(text[begin:paren])
    if isinstance(head, tuple) and isinstance(head[0], int):
        raise _Wrong(str(head[1]), begin + head[0])
    options = []
    at = paren + 1
    match = _OPTION.match
    snort3 = len(head) < 7
    single = starts is None
    while True:
        m = match(text, at)
        if m is None:
            break
        value = m[2]
        if value is not None:
            if '"' in value:
                if value.count('"') & 1 and _CUT_QUOTE.match(value):
                    quoted = _QUOTED_OPTION.match(text, at)
                    if quoted is not None:
                        m = quoted
                        value = m[2]
                        snort3 = True
                if not snort3 and m[1] == "content" and _SNORT3_QUOTE.match(value):
                    snort3 = True
            value = value.rstrip()
        if single:
            options.append(Option(m[1], value, line, m.start(1) + 1))
        else:
            options.append(Option(m[1], value, *_place(m.start(1), line, starts)))
        at = m.end()
    blank = _BLANK.match(text, at)
    at = blank.end() if blank else at
    if at >= len(text) or text[at] != ")":
        if at >= len(text):
            raise _Wrong("the closing parenthesis is missing", at)
        name = re.match(r"[\w.\-]+", text[at:])
        if name is None:
            raise _Wrong(f"an option begins with {text[at]!r}", at)
        raise _Wrong("has no semicolon at its end", at, name[0])
    rest = text[at + 1 :].strip()
    if rest and not rest.startswith("#"):
        raise _Wrong(f"{rest[:40]!r} after the closing parenthesis", at + 1)
    if not options:
        raise _Wrong("a rule without options", paren)
    action, protocol, src, src_ports, direction, dst, dst_ports = (*(str(w) for w in head), *[""] * (7 - len(head)))
    dialect: Literal["common", "snort3"] = "snort3" if snort3 or _speaks_snort3(options) else "common"
    return Written(
        source, line, begin + 1, action, protocol, src, src_ports, direction, dst, dst_ports, tuple(options), dialect
    )


_SNORT3_ONLY: Final = frozenset((
    "service", "file_type", "bufferlen", "regex", "http_param", "rem", "js_data", "vba_data", "http_version", "http_raw_body",
    "http_trailer", "http_raw_trailer", "http_true_ip", "http_raw_request", "http_raw_status", "raw_data", "ber_data",
))  # fmt: skip
_STICKY_THERE: Final = frozenset((
    "http_uri", "http_raw_uri", "http_header", "http_raw_header", "http_cookie", "http_raw_cookie", "http_client_body",
    "http_method", "http_stat_code", "http_stat_msg",
))  # fmt: skip


def _speaks_snort3(options: list[Option]) -> bool:
    """Whether the options are Snort 3's: words that only it has, or buffers opened before there is a content to move."""
    contents = 0
    for option in options:
        name = option.name
        if name == "content" or name == "uricontent":
            contents += 1
        elif (name in _STICKY_THERE and contents == 0) or name in _SNORT3_ONLY:
            return True
    return False


def _options_begin(text: str) -> int:
    """Where the parenthesis of the options is: the first that belongs to no `$(NAME)`."""
    at = text.find("(")
    while at > 0 and text[at - 1] == "$":
        at = text.find("(", text.find(")", at) + 1) if ")" in text[at:] else -1
    return at


@lru_cache(maxsize=4096)
def _header(text: str) -> tuple[str, ...] | tuple[int, str]:
    """The words of a header; brackets may have blanks inside. (place, cause) where it is none."""
    words: list[str] = []
    at = 0
    while True:
        m = _WORD.match(text, at)
        if m is None:
            break
        start = m.start(1)
        depth = 0
        end = start
        while end < len(text) and (depth > 0 or not text[end].isspace()):
            depth += (text[end] == "[") - (text[end] == "]")
            end += 1
        word = text[start:end]
        if words and words[-1] == "!":
            # `! 10.0.0.0/8`: a negation may stand apart.
            word = words.pop() + word
        words.append(word)
        at = end
    if not words:
        return 0, "the rule has no header"
    if words[0] not in ACTIONS:
        if words[0].split(":")[0] in ACTIONS:
            return 0, f"{words[0]!r} is an action of firewall mode, which is not read"
        return 0, f"{words[0][:40]!r} is no action"
    if len(words) in (1, 2):
        return tuple(words)
    if len(words) != 7:
        return 0, f"the header has {len(words)} words, not action, protocol, source, ports, direction, destination, ports"
    if words[4] not in DIRECTIONS:
        return text.find(words[4], len(words[0])), f"{words[4]!r} is no direction; there are {', '.join(DIRECTIONS)}"
    return tuple(words)
