"""In: rules, what a trial measured of them, what the author says. Out: the texts of a submission: documentation block, test.yaml, line of
sid-msg.map; and which bytes of a stream a rule looks at. Never here: files, zip, running anything.

The documentation has the headings of Snort's rule documentation (README of doc/signatures): Summary, Impact, Detailed Information,
Affected Systems, Attack Scenarios, Ease of Attack, False Positives, False Negatives, Corrective Action, Contributors, References."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracehound.lab.anonymise import Looks
from tracehound.lab.trial import Outcome
from tracehound.rules.render import content_text
from tracehound.rules.rule import Content, Pcre, Rule, Threshold

_LINK: Final = {
    "url": "http://", "cve": "https://www.cve.org/CVERecord?id=CVE-", "bugtraq": "http://www.securityfocus.com/bid/",
    "md5": "https://www.virustotal.com/gui/file/", "nessus": "https://www.tenable.com/plugins/nessus/",
}  # fmt: skip
_ENDS: Final = {
    ("$HOME_NET", "$EXTERNAL_NET"): "from the home network outwards", ("$EXTERNAL_NET", "$HOME_NET"): "from outside into the home network",
    ("any", "any"): "between any hosts",
}  # fmt: skip
_MOST_PLACES: Final = 64
HOW_MUCH: Final = (
    "payload is kept only where the rule looks; every other byte but line ends is an x",
    "payload is kept as far as the last byte that the rule looks at; what follows is x",
    "payload is kept whole: with less of it the rule stays silent",
)
"""What is said of a capture's payload, for each level of `looks`, the tightest first."""


@dataclass(frozen=True, slots=True)
class Author:
    """What only a person can say of a rule; empty fields are worded from the rule and its measures."""

    contributors: tuple[str, ...] = ()
    impact: str = ""
    affected: str = ""
    scenarios: str = ""
    ease: str = ""
    corrective: str = ""


# -- words ----------------------------------------------------------------------------------------------------------------

def _place(c: Content) -> str:
    words = []
    if c.startswith:
        words.append("at the start")
    if c.offset is not None and c.depth is not None:
        words.append(f"in the {c.depth} bytes from byte {c.offset} on")
    elif c.depth is not None:
        words.append(f"in the first {c.depth} bytes")
    elif c.offset is not None:
        words.append(f"from byte {c.offset} on")
    if c.distance is not None and c.within is not None:
        words.append(f"within {c.within} bytes, {c.distance} or more after the one before")
    elif c.distance is not None:
        words.append(f"{c.distance} or more bytes after the one before")
    elif c.within is not None:
        words.append(f"within {c.within} bytes after the one before")
    if c.endswith:
        words.append("at the end")
    return " " + ", ".join(words) if words else ""


def looked_at(rule: Rule) -> list[str]:
    """What a rule asks for, a line each, in its order."""
    out = []
    for group in rule.groups:
        for step in group.steps:
            if isinstance(step, Content):
                sense = "does not hold" if step.negated else "holds"
                case = ", whatever the case" if step.nocase else ""
                out.append(f'{group.buffer.name} {sense} "{content_text(step.pattern)}"{_place(step)}{case}')
            elif isinstance(step, Pcre):
                sense = "does not fit" if step.negated else "fits"
                out.append(f"{group.buffer.name} {sense} /{step.pattern.decode('latin-1')}/{step.flags}")
    return out


def _family(rule: Rule) -> str:
    named = next((m.split(" ", 1)[1] for m in rule.metadata if m.startswith("malware_family ")), "")
    return named.replace("_", "/", 1) if named.startswith("W32_") else named


def _alarms(o: Outcome | None) -> str:
    if o is None or not o.benign:
        return "Not measured on other traffic."
    e = o.exposure
    told = (
        f"{o.false_alarms:,} in {o.benign:,} other flows, of which {e.header:,} passed the rule's header, {e.buffer:,} have the buffer "
        f"that it looks at and {e.prefilter:,} hold its fast pattern ({e.word}); the rate among flows with the buffer is at most "
        f"{o.bound:.2g} (95 %)."
    )
    return ("None known: " if not o.false_alarms else "") + told


def _misses(rule: Rule, o: Outcome | None) -> str:
    told = [] if o is None or o.recall is None else [f"{o.hit:,} of {o.malicious:,} labelled flows were hit ({o.recall:.1%})."]
    told.append("Variants that change what the rule asks for are missed, and so is what is encrypted or not captured from its beginning.")
    if rule.threshold is not None and rule.threshold.kind == "limit":
        told.append("Notices are limited: one alert may stand for many requests.")
    return " ".join(told)


def documentation(rule: Rule, outcome: Outcome | None, author: Author) -> str:
    """The documentation block of one rule, as text in 100 columns or less a line."""
    family = _family(rule)
    what = family or "the program described below"
    ends = _ENDS.get((rule.written.src, rule.written.dst), "between the networks of its header")
    references = [_LINK.get(kind.lower(), f"{kind} ") + value for kind, value in rule.references]
    away = f"This event is generated when traffic of {what} is seen {ends}."
    sections = (
        ("Rule", rule.msg), ("Sid", f"{rule.sid}, revision {rule.rev}"), ("Summary", away),
        ("Impact", author.impact or (f"The host that sends it most likely runs {what}." if rule.classtype == "trojan-activity"
                                     else f"Class {rule.classtype or 'not given'}.")),
        ("Detailed Information", "The rule asks for all of these:\n" + "\n".join(f"- {line}" for line in looked_at(rule))),
        ("Affected Systems", author.affected or "Not stated by the author."),
        ("Attack Scenarios", author.scenarios or "Not stated by the author."),
        ("Ease of Attack", author.ease or "Not stated by the author."),
        ("False Positives", _alarms(outcome)), ("False Negatives", _misses(rule, outcome)),
        ("Corrective Action", author.corrective or "Take the host off the network, find out what runs on it, and keep the evidence."),
        ("Contributors", "\n".join(author.contributors) or "Not stated."),
        ("Additional References", "\n".join(references) or "None."),
    )  # fmt: skip
    return "\n".join(f"{title}:\n{_folded(text)}\n\n--" for title, text in sections) + "\n"


def _folded(text: str) -> str:
    import textwrap

    return "\n".join("\n".join(textwrap.wrap(line, 78, subsequent_indent="  " if line.startswith("- ") else "", break_long_words=False))
                     for line in text.split("\n"))  # fmt: skip


def sid_msg(rule: Rule) -> str:
    """The rule's line in sid-msg.map (barnyard2, version 1)."""
    return " || ".join([str(rule.sid), rule.msg, *(f"{kind},{value}" for kind, value in rule.references)])


def event_filter(sid: int, limit: Threshold) -> str:
    """A limit on notices as an entry of Snort 3's table event_filter."""
    track, count, seconds = limit.track, limit.count, limit.seconds
    return f"{{ gid = 1, sid = {sid}, type = 'limit', track = '{track}', count = {count}, seconds = {seconds} }}"


def test_yaml(counts: Mapping[int, int], variables: Mapping[str, str], says: str) -> str:
    """A test.yaml of suricata-verify: so many alerts of each sid, and none of any other."""
    lines = [f"# {says}"] if says else []
    if variables:
        lines.append("args:")
        lines += [f"- {json.dumps(f'--set vars.address-groups.{name}={value}')}" for name, value in variables.items()]
    lines.append("checks:")
    for sid, count in sorted(counts.items()):
        lines += ["- filter:", f"    count: {count}", "    match:", "      event_type: alert", f"      alert.signature_id: {sid}"]
    lines += ["- filter:", f"    count: {sum(counts.values())}", "    match:", "      event_type: alert"]
    return "\n".join(lines) + "\n"


# -- which bytes a rule looks at ------------------------------------------------------------------------------------------

_REQUEST: Final = re.compile(rb"(?:^|(?<=\n))[A-Z]{3,20} [^\r\n]* HTTP/\d\.\d\r?\n|(?:^|(?<=\n))HTTP/\d\.\d [^\r\n]*\r?\n")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)\r?\n")
_FRAMING: Final = (b"content-length", b"transfer-encoding", b"content-encoding", b"connection", b"upgrade")
_VALUE_OF: Final = {
    "http.host": b"host", "http.user_agent": b"user-agent", "http.referer": b"referer", "http.cookie": b"cookie", "http.accept": b"accept",
    "http.content_type": b"content-type", "http.server": b"server", "http.location": b"location", "http.accept_lang": b"accept-language",
    "http.accept_enc": b"accept-encoding",
}  # fmt: skip


def _literals(rules: Sequence[Rule], stream: bytes) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for rule in rules:
        for group in rule.groups:
            for step in group.steps:
                if isinstance(step, Content) and not step.negated and step.pattern:
                    pattern = re.compile(re.escape(step.pattern), re.IGNORECASE if step.nocase else 0)
                    out += [m.span() for _, m in zip(range(_MOST_PLACES), pattern.finditer(stream), strict=False)]
    return out


def _http_frame(rules: Sequence[Rule], stream: bytes) -> list[tuple[int, int]]:
    """Start lines, names of header fields, fields that frame a body, and values of the fields whose buffers are looked at."""
    buffers = {g.buffer.name for r in rules for g in r.groups}
    values = {_VALUE_OF[b] for b in buffers if b in _VALUE_OF} | set(_FRAMING)
    whole = bool(buffers & {"http.header", "http.request_header", "http.response_header", "http.header.raw"})
    uri = any(b.startswith(("http.uri", "http.request_line", "http.response_line", "http.stat", "urilen")) for b in buffers)
    out: list[tuple[int, int]] = []
    for start in _REQUEST.finditer(stream):
        line = start.group()
        if uri or line.startswith(b"HTTP/"):
            out.append(start.span())
        else:
            first, last = line.find(b" "), line.rfind(b" ")
            out += [(start.start(), start.start() + first + 2), (start.start() + last, start.end())]
        at = start.end()
        while (field := _HEADER.match(stream, at)) is not None:
            keep = whole or field[1].lower() in values
            out.append((field.start(), field.end() if keep else field.start(2)))
            at = field.end()
    return out


def looks(rules: Sequence[Rule], level: int) -> Looks | None:
    """Which bytes of a stream these rules look at, for `level` of HOW_MUCH; None keeps all."""
    if level >= 2:
        return None

    def tight(stream: bytes) -> list[tuple[int, int]]:
        return [*_literals(rules, stream), *_http_frame(rules, stream)]

    def wide(stream: bytes) -> list[tuple[int, int]]:
        spans = tight(stream)
        return [(0, max((end for _, end in spans), default=0))]

    return wide if level else tight
