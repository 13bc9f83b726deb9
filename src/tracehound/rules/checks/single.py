"""In: one rule. Out: what is wrong with it by itself. Never here: comparing rules (together.py), or faults that keep a rule from
loading (those come as RuleError)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tracehound.rules.checks.finding import Check
from tracehound.rules.rule import (
    Bsize,
    Content,
    Event,
    FlagTest,
    Group,
    HashList,
    IsDataAt,
    Numbers,
    NumberTest,
    Pcre,
    Rule,
    WordTest,
)
from tracehound.rules.settings import Settings

SHORTEST_PATTERN: Final = 4
"""Bytes: with fewer the prefilter lets most traffic through; ET and Talos ask authors for four."""
COMMON_TOKENS: Final = frozenset(
    token.lower()
    for token in (
        b"GET ", b"POST ", b"GET", b"POST", b"HEAD", b"PUT", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.", b"HTTP/", b"User-Agent: ",
        b"User-Agent:", b"User-Agent", b"Host: ", b"Host:", b"Host", b"Accept: ", b"Accept", b"Cookie: ", b"Content-Type: ",
        b"Content-Type", b"Content-Length: ", b"Content-Length", b"Connection: ", b"Mozilla/", b"Mozilla/4.0", b"Mozilla/5.0", b"\r\n\r\n",
        b"Server: ", b"Server", b".php", b".html", b".htm", b".com", b".exe", b".js", b"http://", b"https://", b"www.", b"index",
        b"id=", b"<html", b"<html>", b"<script", b"</script>", b"text/html", b"Referer: ", b"Referer",
    )
)  # fmt: skip
"""What nearly every conversation of its kind has: no such content tells one from another."""


def option_at(rule: Rule, *names: str) -> int:
    """Index of the first option with one of these names, or -1."""
    return next((n for n, o in enumerate(rule.written.options) if o.name in names), -1)


def option_of(rule: Rule, need: str, nth: int = 0) -> int:
    """Index of the option that asks for something of the engine."""
    found = [n.option for n in rule.needs if n.name == need]
    return found[nth] if nth < len(found) else -1


def contents(rule: Rule) -> list[tuple[Group, Content]]:
    """All contents that have to be there, with their buffer."""
    return [(g, s) for g in rule.groups for s in g.steps if isinstance(s, Content) and not s.negated]


def _is_run(pattern: bytes) -> bool:
    return len(set(pattern)) == 1


def _value(group: Group, content: Content) -> int:
    """How much a content narrows: its length, less for runs of one byte and what everything has."""
    pattern = content.pattern
    if content.fast_pattern is not None and content.fast_pattern.chop is not None:
        first, length = content.fast_pattern.chop
        pattern = pattern[first : first + length]
    if _is_run(pattern):
        return 1
    if pattern.lower() in COMMON_TOKENS and (len(pattern) < 8 or group.buffer.name in ("payload", "http.header", "http.method")):
        return 2
    return len(pattern)


def _weak_fast_pattern(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    found = contents(rule)
    if not found:
        return
    chosen = [x for x in found if x[1].fast_pattern is not None]
    group, content = (chosen or sorted(found, key=lambda x: -_value(*x)))[0]
    value = _value(group, content)
    if value >= SHORTEST_PATTERN:
        return
    at = option_at(rule, "fast_pattern") if chosen else option_at(rule, "content", "uricontent")
    shown = content.pattern[:40].decode("latin-1")
    if _is_run(content.pattern) and len(content.pattern) > 1:
        why = "is a run of one byte"
    elif content.pattern.lower() in COMMON_TOKENS:
        why = "is in nearly all such traffic"
    else:
        why = f"has {len(content.pattern)} byte{'s' if len(content.pattern) > 1 else ''}"
    better = max((_value(*x) for x in found), default=0)
    more = "; another content of the rule is better" if chosen and better >= SHORTEST_PATTERN else ""
    yield f"what is looked for first, {shown!r} in {group.buffer.name}, {why}{more}", at


def _pcre_alone(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    if contents(rule) or _narrow_tests(rule):
        return
    if any(isinstance(s, Pcre) for g in rule.groups for s in g.steps):
        yield "an expression without any content: it runs on everything that the header lets through", option_at(rule, "pcre", "regex")


_HEAD: Final = re.compile(rb"\^?(?:\.[*+]\??|\[\^?[^\]]{1,8}\][*+]\??)")
_NESTED: Final = re.compile(rb"\((?:\?:)?(?:[^()\\]|\\.){0,60}[+*]\)[+*]")


def _slow_expression(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    nth = 0
    for g in rule.groups:
        for s in g.steps:
            if not isinstance(s, Pcre):
                continue
            at = option_of(rule, "pcre", nth)
            nth += 1
            if _NESTED.search(s.pattern):
                yield "a repeated group that repeats inside: its time can grow with the square of the data or worse", at
            elif s.pattern.startswith((b".*", b".+")) and not s.relative:
                yield "the expression begins with .* and is tried at every byte", at


def _narrow_tests(rule: Rule) -> bool:
    """Whether something besides bytes narrows the rule enough: events, states that must be set, rare header values."""
    if any(isinstance(s, FlagTest | Event | HashList) for s in rule.tests):
        return True
    return any(isinstance(t, WordTest | NumberTest) and t.keyword not in ("dsize", "urilen", "ttl") for t in rule.tests)


def _matches_everything(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    header = rule.header
    if rule.groups or rule.tests or rule.states or rule.threshold or rule.detection_filter or rule.noalert:
        return
    if header.action in ("pass", "config"):
        return
    broad = header.src.is_any and header.dst.is_any and header.src_ports.is_any and header.dst_ports.is_any
    if broad and not header.protocol.service:
        yield "nothing narrows the rule: it alerts on every packet of the protocol", -1


def _only_absence(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    steps = [s for g in rule.groups for s in g.steps]
    if steps and all(isinstance(s, Content | Pcre) and s.negated for s in steps) and not _narrow_tests(rule) and not rule.states:
        yield "only says what is not there: everything else that the header lets through matches", option_at(rule, "content", "pcre")


def _fits(a: Numbers, b: Numbers) -> bool:
    return any(max(p, r) <= min(q, s) for p, q in a.spans for r, s in b.spans)


def _never_matches(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    seen: dict[tuple[str, str], Numbers] = {}
    for test in rule.tests:
        if not isinstance(test, NumberTest) or test.numbers.mask is not None:
            continue
        at = option_at(rule, test.keyword, test.keyword.rpartition(".")[2])
        if not test.numbers.spans:
            yield "no number lies between those two: the rule never matches", at
            continue
        before = seen.setdefault((test.keyword, test.detail), test.numbers)
        if before is not test.numbers and not _fits(before, test.numbers) and test.keyword not in ("itype", "icode"):
            yield "no number fits both of its comparisons: the rule never matches", at
    dsize = seen.get(("dsize", ""))
    if dsize is not None and dsize.spans:
        need = max((_least(c) for g, c in contents(rule) if g.buffer.name == "payload"), default=0)
        if need > dsize.spans[-1][1]:
            yield f"the contents need {need} bytes, dsize allows {dsize.spans[-1][1]}: the rule never matches", option_at(rule, "dsize")
    for group in rule.groups:
        wanted = {(s.pattern, s.nocase) for s in group.steps if isinstance(s, Content) and not s.negated}
        for s in group.steps:
            anywhere = isinstance(s, Content) and s.negated and not s.relative and s.offset is None and s.depth is None
            if anywhere and isinstance(s, Content) and not s.startswith and not s.endswith and (s.pattern, s.nocase) in wanted:
                yield f"{s.pattern[:40].decode('latin-1')!r} must be and must not be in {group.buffer.name}", -1


def _least(c: Content) -> int:
    return (c.offset if isinstance(c.offset, int) else 0) + len(c.pattern)


def _missing_metadata(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    lacking = []
    if not rule.msg:
        lacking.append("msg")
    if not rule.classtype and rule.priority is None:
        lacking.append("classtype")
    if rule.rev == 0:
        lacking.append("rev")
    if lacking:
        yield f"has no {', no '.join(lacking)}", -1


def _undated(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    keys = {m.split(" ", 1)[0] for m in rule.metadata}
    if "created_at" not in keys and not rule.references:
        yield "says neither when it was made (metadata: created_at) nor where its knowledge comes from (reference)", -1


def _unknown_class(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    if rule.classtype and rule.classtype not in settings.classes:
        yield f"no class {rule.classtype!r} in classification.config: alerts get the lowest common priority", option_at(rule, "classtype")


def _unknown_reference(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    for kind in dict.fromkeys(kind for kind, _ in rule.references):
        if kind not in settings.references:
            named = [n for n, o in enumerate(rule.written.options) if o.name == "reference" and (o.value or "").lower().startswith(kind)]
            at = named[0] if named else -1
            yield f"no kind of reference {kind!r} in reference.config", at


def _distance_of_nothing(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    for group in rule.groups:
        if not group.steps or group.buffer.name == "base64_data":
            continue
        first = group.steps[0]
        if group.buffer.name == "payload" and isinstance(first, Content) and first.relative:
            at = option_at(rule, "distance", "within")
            yield "counts from a match before it, and there is none in the payload: it counts from the start", at
        elif isinstance(first, IsDataAt) and first.relative and (group.buffer.name == "payload" or not first.negated):
            yield "counts from a match before it, and there is none: it counts from the start", option_at(rule, "isdataat")


def _length_and_startswith(rule: Rule, settings: Settings) -> Iterator[tuple[str, int]]:
    for group in rule.groups:
        bounds = [s.length.spans for s in group.steps if isinstance(s, Bsize)]
        sizes = [spans[0][0] for spans in bounds if len(spans) == 1 and spans[0][0] == spans[0][1]]
        for s in group.steps:
            exact = isinstance(s, Content) and not s.negated and bool(sizes) and len(s.pattern) == sizes[0]
            if exact and isinstance(s, Content) and (s.startswith or s.endswith or s.depth is not None):
                yield "the length alone says that this content is the whole buffer", option_at(rule, "bsize")
                break


CHECKS: Final = (
    Check(
        "weak-fast-pattern", "warning", "The content that is looked for first tells little",
        "An engine looks for one content of each rule in all traffic and verifies the rest where it was found. A content of less "
        "than four bytes, a run of one byte, or a word that all such traffic has lets nearly everything through. Give "
        "`fast_pattern` to a longer and rarer content, or add one.",
        _weak_fast_pattern,
    ),
    Check(
        "pcre-without-content", "warning", "A regular expression with no content to anchor it",
        "Without a content the expression runs on every packet or buffer that the header lets through. Add the longest text that "
        "the expression cannot do without as a content before it.",
        _pcre_alone,
    ),
    Check(
        "slow-expression", "warning", "A regular expression whose time can explode",
        "Repetitions inside repetitions and a leading `.*` make an expression try again from every byte. Engines stop it at a step "
        "limit and then miss. Anchor it, use `[^x]*` or possessive quantifiers, or R after a content.",
        _slow_expression,
    ),
    Check(
        "matches-everything", "warning", "Nothing narrows the rule",
        "From any to any with no content, test or state, the rule alerts on every packet of its protocol.",
        _matches_everything,
    ),
    Check(
        "only-absence", "note", "The rule only says what is not there",
        "All contents and expressions are negated: whatever else the header lets through matches. Add what must be there.",
        _only_absence,
    ),
    Check(
        "never-matches", "warning", "No traffic can match",
        "Ranges exclude their ends (`urilen:33<>34` is empty), two comparisons have no number in common, contents are longer than "
        "dsize allows, or the same content must and must not be there.",
        _never_matches,
    ),
    Check(
        "missing-metadata", "warning", "msg, classtype or rev is missing",
        "Without msg nobody knows what an alert means, without classtype or priority it sorts with everything else, without rev a "
        "correction cannot be told from the first version.",
        _missing_metadata,
    ),
    Check(
        "undated", "note", "Neither created_at nor reference",
        "Whoever meets the alert in two years wants to know when the rule was written and where its knowledge comes from.",
        _undated,
    ),
    Check(
        "unknown-classtype", "warning", "The class is not in classification.config",
        "Its alerts get priority 3 and no category. Older Suricata and Snort refuse the rule.",
        _unknown_class,
    ),
    Check(
        "unknown-reference", "note", "The kind of reference is not in reference.config",
        "No address can be made of it. Suricata drops the reference, Snort prints it as it is.",
        _unknown_reference,
    ),
    Check(
        "relative-to-nothing", "note", "distance, within or isdataat with nothing before it",
        "The option counts from the last match in the same buffer. Where there is none it counts from the start; offset and depth say "
        "that openly.",
        _distance_of_nothing,
    ),
    Check(
        "length-says-it", "note", "startswith, endswith or depth beside an exact bsize",
        "A content as long as `bsize` asks for can stand nowhere but at the start; the position is said twice.",
        _length_and_startswith,
    ),
)  # fmt: skip
"""Checks of one rule by itself."""
