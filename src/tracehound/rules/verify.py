"""In: the bytes of one buffer and the steps that a rule asks of it, in order. Out: whether they hold, and where they failed.
Never here: where the bytes come from (inspect.py and services/), or packets.

The order of search, what is tried again and from where is Suricata's (detect-engine-content-inspection.c): a content that a
later step refers to is tried at its next place when what follows fails; a content that refers to nothing and is missing ends
the search, because no other place of an earlier one could help.

Regular expressions are PCRE2's with its own limit of steps (`MATCH_LIMIT`), which the pattern carries in itself; a rule that
reaches it is counted in `Verifier.exhausted`, and does not match, as in Suricata."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pcre2

from tracehound.limits import MAX_RULE_STEPS, PCRE_MATCH_LIMIT
from tracehound.rules.rule import (
    Asn1,
    Base64Decode,
    Bsize,
    ByteExtract,
    ByteJump,
    ByteMath,
    ByteTest,
    Content,
    Datarep,
    Dataset,
    Entropy,
    Group,
    Hash,
    IsDataAt,
    Other,
    Pcre,
    Step,
    Value,
)

HONOURS: Final = frozenset({
    "content", "pcre", "byte_test", "byte_jump", "byte_extract", "byte_math", "isdataat", "bsize", "base64_decode",
    "dataset", "dataset:json", "datarep", "entropy", "asn1", "hash", "absent", "buffer:base64_data",
})  # fmt: skip


@dataclass(slots=True)
class Trace:
    """How far the verification of one buffer came: the furthest step and place, for `rules explain`."""

    step: int = -1
    offset: int = 0
    why: str = ""

    def fail(self, step: int, offset: int, why: str) -> None:
        if step >= self.step:
            self.step, self.offset, self.why = step, offset, why


@dataclass(slots=True)
class Sight:
    """A buffer under inspection.

    data        its bytes
    start       place of data[0] in the stream or body it is a window of
    offset      end of the last match: what relative steps count from
    names       variables of the rule, as byte_extract and byte_math set them
    captures    groups of regular expressions that the rule keeps
    context     what data sets say of the values found in them, by the name that the rule gives it
    budget      steps left before the search is given up (Suricata's inspection-recursion-limit)
    """

    data: bytes
    start: int = 0
    offset: int = 0
    names: dict[str, int] = field(default_factory=dict)
    captures: list[tuple[str, bytes]] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)
    budget: int = MAX_RULE_STEPS
    stop: bool = False
    trace: Trace | None = None
    exhausted: bool = False
    _lower: bytes | None = None

    @property
    def lower(self) -> bytes:
        if self._lower is None:
            self._lower = self.data.lower()
        return self._lower



def value_of(sight: Sight, value: Value) -> int:
    """A number, or what the variable holds now (0 where it was never set)."""
    return value if isinstance(value, int) else sight.names.get(value, 0)


# -- content ------------------------------------------------------------------------------------------------------------


def _content(step: Content, retry: bool) -> Callable[[Chain, Sight, int], bool]:
    pattern = step.pattern.lower() if step.nocase else step.pattern
    size = len(pattern)
    nocase, negated, ends = step.nocase, step.negated, step.endswith
    relative = step.relative
    distance, within = step.distance, step.within
    offset_, depth_ = (0, size) if step.startswith and not relative else (step.offset, step.depth)

    def check(chain: Chain, s: Sight, k: int) -> bool:
        data = s.lower if nocase else s.data
        length = len(data)
        before = s.offset
        again = 0
        while True:
            if relative:
                d = 0 if distance is None else value_of(s, distance)
                at, end = max(0, before + d), length
                if within is not None:
                    # detect-engine-content-inspection.c: within counts from where distance leads, also behind the last match's start.
                    end = min(end, before + d + value_of(s, within))
                    if s.start and not before:
                        if end <= s.start:
                            return _absent(s, k, at, negated, chain)
                        if end < s.start + length:
                            end -= s.start
            else:
                at = value_of(s, offset_) if offset_ is not None else 0
                end = length
                if depth_ is not None:
                    depth = value_of(s, depth_)
                    end = (depth if depth >= size else size) + (at if offset_ is not None else 0)
                    if s.start:
                        if end <= s.start:
                            s.stop = True
                            return _absent(s, k, at, negated, chain)
                        if end < s.start + length:
                            end -= s.start
            if again:
                at = again
            end = min(end, length)
            if at > end or end <= 0:
                found = -1
            else:
                found = data.find(pattern, at, end)
                if ends and found >= 0 and found + size != length:
                    found = length - size if length - size >= at and data.endswith(pattern) and length <= end else -1
            if found < 0:
                if negated:
                    return chain.rest(s, k)
                if not relative or within is None:
                    # What is not there from here on is not there from any later place either.
                    s.stop = True
                if s.trace is not None:
                    s.trace.fail(k, at, f"not found in bytes {at} to {end} of {length}")
                return False
            if negated:
                s.stop = True
                if s.trace is not None:
                    s.trace.fail(k, found, f"found at byte {found}, and must not be there")
                return False
            s.offset = found + size
            if chain.rest(s, k):
                return True
            if not retry or s.stop:
                return False
            again = found + 1

    return check


def _absent(s: Sight, k: int, at: int, negated: bool, chain: Chain) -> bool:
    if negated:
        s.stop = False
        return chain.rest(s, k)
    if s.trace is not None:
        s.trace.fail(k, at, "the window lies before the bytes at hand")
    return False


# -- regular expressions ----------------------------------------------------------------------------------------------

_PCRE_FLAGS: Final = {"i": pcre2.IGNORECASE, "m": pcre2.MULTILINE, "s": pcre2.DOTALL, "x": pcre2.VERBOSE}
_PCRE_WORDS: Final = {"G": b"(?U)", "O": b""}


def compile_pcre(step: Pcre) -> Any:
    """The pattern as PCRE2 compiles it, with its limit of steps. Raises pcre2.PatternError (a ValueError's cousin)."""
    flags = 0
    for letter in step.flags:
        flags |= _PCRE_FLAGS.get(letter, 0)
    pattern = step.pattern
    if "G" in step.flags:
        pattern = b"(?U)" + pattern
    if "A" in step.flags:
        pattern = b"\\A(?:" + pattern + b"\n)" if "x" in step.flags else b"\\A(?:" + pattern + b")"
    if "E" in step.flags:
        pattern = _dollar_only_at_end(pattern)
    limit = b"" if "O" in step.flags else b"(*LIMIT_MATCH=%d)" % PCRE_MATCH_LIMIT
    return pcre2.compile(limit + pattern, flags)


def _dollar_only_at_end(pattern: bytes) -> bytes:
    """PCRE's DOLLAR_ENDONLY: every `$` outside classes and escapes is the very end."""
    out, at, inside = bytearray(), 0, False
    while at < len(pattern):
        c = pattern[at : at + 1]
        if c == b"\\":
            out += pattern[at : at + 2]
            at += 2
            continue
        inside = (inside or c == b"[") and c != b"]"
        out += b"\\z" if c == b"$" and not inside else c
        at += 1
    return bytes(out)


_COMPILED: dict[Pcre, Any] = {}


def pcre_of(step: Pcre) -> Any:
    found = _COMPILED.get(step)
    if found is None:
        found = _COMPILED[step] = compile_pcre(step)
    return found


def _pcre(step: Pcre, retry: bool) -> Callable[[Chain, Sight, int], bool]:
    relative, negated, captures = step.relative, step.negated, step.captures
    search: Any = None

    def check(chain: Chain, s: Sight, k: int) -> bool:
        nonlocal search
        if search is None:
            search = pcre_of(step).search
        base = s.offset if relative else 0
        data = s.data[base:] if base else s.data
        begin = 0
        while True:
            if begin > len(data) or (relative and not data):
                match = None
            else:
                try:
                    match = search(data, begin)
                except pcre2.LibraryError:
                    s.exhausted = True
                    match = None
            if match is None:
                if negated:
                    return chain.rest(s, k)
                if not relative:
                    s.stop = True
                if s.trace is not None:
                    s.trace.fail(k, base + begin, "the expression does not match" + (" within its limit of steps" if s.exhausted else ""))
                return False
            if negated:
                s.stop = s.stop or not relative
                if s.trace is not None:
                    s.trace.fail(k, base + match.start(), "the expression matches, and must not")
                return False
            for number, name in enumerate(captures, 1):
                if number <= len(match.groups()) and match.group(number) is not None:
                    s.captures.append((name, match.group(number)))
            s.offset = base + match.end()
            if chain.rest(s, k):
                return True
            if not retry or s.stop:
                return False
            begin = match.start() + 1

    return check


# -- numbers in bytes -------------------------------------------------------------------------------------------------

_BASES: Final = {"dec": 10, "hex": 16, "oct": 8, "auto": 0}
_DIGITS: Final = {
    "dec": re.compile(rb"[ \t\n\r\v\f]*([+-]?)([0-9]+)"),
    "hex": re.compile(rb"[ \t\n\r\v\f]*([+-]?)(?:0[xX])?([0-9a-fA-F]+)"),
    "oct": re.compile(rb"[ \t\n\r\v\f]*([+-]?)([0-7]+)"),
    "auto": re.compile(rb"[ \t\n\r\v\f]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)"),
}


def number_at(data: bytes, at: int, count: int, endian: str, digits: str) -> tuple[int, int] | None:
    """(number, bytes it took) at `at`; None where it does not lie inside or is no number."""
    if at < 0 or count < 0 or at + count > len(data):
        return None
    field_ = data[at : at + count]
    if not digits:
        if not 0 < count <= 8:
            return None
        return int.from_bytes(field_, "little" if endian == "little" else "big"), count
    found = _DIGITS[digits].match(field_)
    if found is None:
        return None
    text = found.group(2)
    base = _BASES[digits] or (16 if text[:2].lower() == b"0x" else 8 if text[:1] == b"0" else 10)
    number = int(text, base)
    return (-number if found.group(1) == b"-" else number) & 0xFFFFFFFFFFFFFFFF, found.end()


def _masked(number: int, mask: int | None) -> int:
    """The bits of the mask, moved down by its trailing zeros (byte_test's bitmask)."""
    if mask is None:
        return number
    number &= mask
    while mask and not mask & 1:
        mask >>= 1
        number >>= 1
    return number


_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "=": lambda a, b: a == b, "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b, "&": lambda a, b: bool(a & b), "^": lambda a, b: bool(a ^ b), "!=": lambda a, b: a != b,
}  # fmt: skip


def number_fits(step: ByteTest, number: int) -> bool:
    """Whether a number that was read is what a test with a fixed value asks for."""
    return isinstance(step.value, int) and _COMPARE[step.operator](_masked(number, step.bitmask), step.value) != step.negated


def _byte_test(step: ByteTest, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    compare = _COMPARE[step.operator]

    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = value_of(s, step.offset) + (s.offset if step.relative else 0)
        found = number_at(s.data, at, value_of(s, step.count), step.endian, step.digits)
        if found is None:
            if s.trace is not None:
                s.trace.fail(k, at, "no number of that size there")
            return False
        number = _masked(found[0], step.bitmask)
        if compare(number, value_of(s, step.value)) == step.negated:
            if s.trace is not None:
                s.trace.fail(k, at, f"the number there is {number}")
            return False
        return chain.rest(s, k)

    return check


def _byte_jump(step: ByteJump, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = value_of(s, step.offset) + (s.offset if step.relative else 0)
        count = value_of(s, step.count)
        number, took = 0, 0
        if count:
            found = number_at(s.data, at, count, step.endian, step.digits)
            if found is None:
                if s.trace is not None:
                    s.trace.fail(k, at, "no number of that size there")
                return False
            number, took = found
        elif at < 0 or at > len(s.data):
            return False
        number = _masked(number, step.bitmask) * step.multiplier
        if step.align and number % step.align:
            number += step.align - number % step.align
        number += value_of(s, step.post_offset)
        place = {"here": at + took + number, "beginning": number, "end": len(s.data) + number}[step.origin]
        if not 0 <= place < len(s.data):
            if s.trace is not None:
                s.trace.fail(k, at, f"the jump leads to byte {place} of {len(s.data)}")
            return False
        s.offset = place
        return chain.rest(s, k)

    return check


def _byte_extract(step: ByteExtract, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = value_of(s, step.offset) + (s.offset if step.relative else 0)
        found = number_at(s.data, at, step.count, step.endian, step.digits)
        if found is None:
            if s.trace is not None:
                s.trace.fail(k, at, "no number of that size there")
            return False
        number = _masked(found[0], step.bitmask) * step.multiplier
        if step.align and number % step.align:
            number += step.align - number % step.align
        s.names[step.name] = number
        s.offset = at + found[1]
        return chain.rest(s, k)

    return check


_MATH: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "<<": lambda a, b: a << b if b < 64 else 0, ">>": lambda a, b: a >> b if b < 64 else 0,
}  # fmt: skip


def _byte_math(step: ByteMath, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = value_of(s, step.offset) + (s.offset if step.relative else 0)
        found = number_at(s.data, at, value_of(s, step.count), step.endian, step.digits)
        if found is None:
            if s.trace is not None:
                s.trace.fail(k, at, "no number of that size there")
            return False
        right = value_of(s, step.rvalue)
        if step.operator == "/":
            if right == 0:
                if s.trace is not None:
                    s.trace.fail(k, at, "division by zero")
                return False
            number = found[0] // right
        else:
            number = _MATH[step.operator](found[0], right)
        number &= 0xFFFFFFFFFFFFFFFF
        s.names[step.result] = _masked(number, step.bitmask)
        s.offset = at + found[1]
        return chain.rest(s, k)

    return check


def _isdataat(step: IsDataAt, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = value_of(s, step.at)
        # detect-engine-content-inspection.c: relative counts from the end of the last match and may reach the end itself.
        there = s.offset + at <= len(s.data) if step.relative else at < len(s.data)
        if there == step.negated:
            if s.trace is not None:
                s.trace.fail(k, s.offset if step.relative else 0, f"the buffer has {len(s.data)} bytes")
            return False
        return chain.rest(s, k)

    return check


def _bsize(step: Bsize, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        size = len(s.data) - (s.offset if step.relative else 0)
        held = step.length.holds(size)
        if held and step.variable is not None:
            held = _COMPARE[step.variable[0]](size, s.names.get(step.variable[1], 0))
        if not held:
            s.stop = True
            if s.trace is not None:
                s.trace.fail(k, 0, f"the buffer has {size} bytes")
            return False
        return chain.rest(s, k)

    return check


# -- base64 -----------------------------------------------------------------------------------------------------------

_BASE64_RUN: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_BASE64_RUN_2045: Final = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")


def decoded_base64(data: bytes) -> bytes:
    """RFC 4648 letters from the beginning up to the first that is none; an incomplete end is decoded as far as it goes."""
    found = _BASE64_RUN.match(data)
    if found is None:
        return b""
    letters = found.group().rstrip(b"=")
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return b""


def decoded_base64_2045(data: bytes) -> bytes:
    """RFC 2045: what is no letter of the alphabet is skipped, up to the padding."""
    return decoded_base64(_NOT_BASE64.sub(b"", data.split(b"=", 1)[0]))


def _base64_decode(step: Base64Decode, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        begin = step.offset + (s.offset if step.relative else 0)
        source = s.data[begin:]
        if step.count:
            source = source[: step.count]
        found = decoded_base64(source)
        if not found:
            if s.trace is not None:
                s.trace.fail(k, begin, "nothing there is base64")
            return False
        if chain.decoded is not None:
            inner = Sight(found, names=s.names, captures=s.captures, budget=s.budget, trace=None)
            held = chain.decoded.holds(inner)
            if not held and s.trace is not None:
                s.trace.fail(k, begin, f"what it decodes to does not match: {found[:40]!r}")
            return held and chain.rest(s, k)
        return chain.rest(s, k)

    return check


# -- the rest ---------------------------------------------------------------------------------------------------------


def entropy_of(data: bytes) -> float:
    """Shannon entropy in bits a byte."""
    if not data:
        return 0.0
    return -sum(n / len(data) * math.log2(n / len(data)) for n in Counter(data).values())


def _entropy(step: Entropy, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        part = s.data[step.offset :]
        if step.count:
            part = part[: step.count]
        bits = entropy_of(part)
        held = step.low < bits < step.high if step.high is not None else _FLOAT[step.operator](bits, step.low)
        if not held:
            if s.trace is not None:
                s.trace.fail(k, step.offset, f"the entropy is {bits:.3f}")
            return False
        return chain.rest(s, k)

    return check


_FLOAT: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "=": lambda a, b: math.isclose(a, b, abs_tol=1e-9), "==": lambda a, b: math.isclose(a, b, abs_tol=1e-9),
    "!=": lambda a, b: not math.isclose(a, b, abs_tol=1e-9),
}  # fmt: skip


def _hash(step: Hash, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        at = s.offset + value_of(s, step.distance) if step.distance is not None else value_of(s, step.offset or 0)
        part = s.data[max(0, at) : max(0, at) + step.length]
        held = len(part) == step.length and hashlib.new(step.algorithm, part).digest() == step.digest
        if held == step.negated:
            if s.trace is not None:
                s.trace.fail(k, at, f"the digest of the {len(part)} bytes there is another")
            return False
        s.offset = max(0, at) + len(part) if held else s.offset
        return chain.rest(s, k)

    return check


def _asn1(step: Asn1, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        from tracehound.rules.ber import malformed

        at = step.offset + (s.offset if step.relative else 0)
        if not 0 <= at < len(s.data) or not malformed(s.data[at:], step):
            if s.trace is not None:
                s.trace.fail(k, at, "no such ASN.1 there")
            return False
        return chain.rest(s, k)

    return check


def _dataset(step: Dataset, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        if chain.sets is None or not chain.sets.holds(step, s.data):
            if s.trace is not None:
                s.trace.fail(k, 0, f"data set {step.name} says no")
            return False
        if step.enrichment_key and step.command == "isset":
            s.context[step.enrichment_key] = chain.sets.about(step, s.data)
        return chain.rest(s, k)

    return check


def _datarep(step: Datarep, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    def check(chain: Chain, s: Sight, k: int) -> bool:
        if chain.sets is None or not chain.sets.reputation_holds(step, s.data):
            if s.trace is not None:
                s.trace.fail(k, 0, f"reputation list {step.name} says no")
            return False
        return chain.rest(s, k)

    return check


def _never(_step: Other, _retry: bool) -> Callable[[Chain, Sight, int], bool]:
    """Rules with such a step are refused before they come here (honours.py)."""

    def check(_chain: Chain, _s: Sight, _k: int) -> bool:
        return False

    return check


_CHECKS: Final[dict[type, Callable[[Any, bool], Callable[[Chain, Sight, int], bool]]]] = {
    Content: _content, Pcre: _pcre, ByteTest: _byte_test, ByteJump: _byte_jump, ByteExtract: _byte_extract,
    ByteMath: _byte_math, IsDataAt: _isdataat, Bsize: _bsize, Base64Decode: _base64_decode, Entropy: _entropy, Hash: _hash,
    Asn1: _asn1, Dataset: _dataset, Datarep: _datarep, Other: _never,
}  # fmt: skip


def _is_relative(step: Step) -> bool:
    return bool(getattr(step, "relative", False)) or (isinstance(step, Hash) and step.distance is not None)


def _referred_to(steps: tuple[Step, ...], k: int) -> bool:
    """Whether a step behind content or expression k counts from its match."""
    if not isinstance(steps[k], Content | Pcre):
        return False
    for step in steps[k + 1 :]:
        if _is_relative(step):
            return True
        if isinstance(step, Content | Pcre):
            return False
    return False


class Chain:
    """The steps of one group, ready to be carried out.

    decoded   the steps asked of what a base64_decode of this group finds
    sets      data sets of the run, where the group asks one"""

    __slots__ = ("_checks", "decoded", "negative", "sets", "steps")

    def __init__(self, steps: tuple[Step, ...], decoded: Chain | None = None, sets: Any = None) -> None:
        self.steps = steps
        self.decoded = decoded
        self.sets = sets
        self._checks: list[Callable[[Chain, Sight, int], bool]] | None = None

    def rest(self, s: Sight, k: int) -> bool:
        """The steps behind step k."""
        k += 1
        if k == len(self.steps):
            return True
        s.budget -= 1
        if s.budget < 0:
            s.stop = True
            return False
        checks = self._checks
        if checks is None:
            # Of thousands of rules few are ever carried out.
            steps = self.steps
            checks = self._checks = [_CHECKS[type(step)](step, _referred_to(steps, n)) for n, step in enumerate(steps)]
        return checks[k](self, s, k)

    def holds(self, s: Sight) -> bool:
        return self.rest(s, -1)


def chain_of(group: Group, decoded: Group | None = None, sets: Any = None) -> Chain:
    """The steps of a group as a chain."""
    return Chain(group.steps, Chain(decoded.steps, None, sets) if decoded is not None else None, sets)
