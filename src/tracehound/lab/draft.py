"""In: requests (or first payload bytes) of a malicious program, and of everything else. Out: a rule for each kind of request, as a person
would write it, or the reason why none is written. Never here: trying the rule (trial.py), choosing the samples.

The method is Polygraph's token subsequence (Newsome, Karp, Song 2005) with position constraints: samples are grouped by kind, aligned
token by token, what is the same in all becomes contents in the buffer it stands in, with anchors and distances where those are the
same too, and what varies becomes its tightest class in one anchored expression. A gate (gate.py) refuses what too much would match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tracehound.findings.model import TemplatePart
from tracehound.findings.template import Sample, align_texts, cluster
from tracehound.lab.gate import Token, judged, strength
from tracehound.rules.render import content_text, message_text

LEAST_SAMPLES: Final = 2
LEAST_SHARE: Final = 0.05
"""Kinds of request with fewer samples, or a smaller share of them, are named but give no rule."""
_MOST_CONTENTS: Final = 6
_LONGEST_CONTENT: Final = 64
_RUN: Final = re.compile(rb"(.)\1{7,}", re.DOTALL)
_TELLING_ABSENCE: Final = ("Referer", "User-Agent", "Accept")
"""Headers whose absence a rule may ask for: what every browser sends (RFC 9110 10.1.3, 10.1.5, 12.5.1)."""
_ABSENT_AT_MOST: Final = 0.2
"""A header's absence is worth asking for where at most this share of other requests lacks it, too."""
_NORMALISED: Final = re.compile(r"%[0-9A-Fa-f]{2}|//|\\|/\.{1,2}(?:/|$)")
_CLASS: Final = re.compile(r"(?:counter )?(\w+)\{(\d+)(?:,(\d+))?\}")
_CLASS_REGEX: Final = {
    "digit": r"\d", "lower": "[a-z]", "upper": "[A-Z]", "letter": "[A-Za-z]", "hex": "[0-9A-Fa-f]", "alnum": "[A-Za-z0-9]",
    "base64": "[A-Za-z0-9+/=_-]", "byte": "[\\x00-\\xff]",
}  # fmt: skip


ATTACKS: Final = frozenset({"exploit", "tool"})
_CATEGORIES: Final[dict[str, tuple[str, str]]] = {
    "malware": ("MALWARE", "trojan-activity"), "victim": ("MALWARE", "trojan-activity"), "exploit": ("EXPLOIT", "attempted-admin"),
    "tool": ("SCAN", "attempted-recon"),
}  # fmt: skip
"""Category of a profile -> word of the message, classtype; both as Emerging Threats uses them."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What a rule says of itself. `made` is the day as 2026_11_27; `sid` comes from the site's register."""

    sid: int
    made: str
    family: str | None = None
    references: tuple[str, ...] = ()
    proto: int = 6
    dport: int | None = None
    originator_at_home: bool = True
    rate_per_min: float | None = None
    category: str = "malware"
    """Of profiles/profile.py. An attack on a service comes from anywhere; malware calls out from home."""

    def ends(self) -> str:
        """Networks and direction of a rule on what the originator sends, without the ports' end."""
        if self.category in ATTACKS:
            return "any any -> $HOME_NET"
        return "$HOME_NET any -> $EXTERNAL_NET" if self.originator_at_home else "$EXTERNAL_NET any -> $HOME_NET"

    def message(self, what: str) -> str:
        return f"LOCAL {_CATEGORIES[self.category][0]} {self.family or 'Unknown'} {what}"

    @property
    def classtype(self) -> str:
        return _CATEGORIES[self.category][1]


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule, what it is made of, how many samples of how many it stands for, and what a reader should know."""

    text: str
    sid: int
    samples: int
    total: int
    tokens: tuple[Token, ...]
    notes: tuple[str, ...]
    chosen: tuple[Sample, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Refused:
    """No rule for this kind of request, why, and what evidence would change that."""

    kind: str
    samples: int
    why: str
    needs: str


def drafts(samples: Sequence[Sample], benign: Sequence[Sample], naming: Naming) -> list[Draft | Refused]:
    """A rule (or a refusal) for each kind of request among `samples`, the most common first.

    benign   requests of everything else, in the same shape: what the tokens are weighed against"""
    out: list[Draft | Refused] = []
    sid = naming.sid
    for group in cluster(sorted(samples, key=lambda s: s.ts_ns)):
        kind = _kind(group[0])
        if len(samples) >= LEAST_SAMPLES and (len(group) < LEAST_SAMPLES or len(group) < LEAST_SHARE * len(samples)):
            out.append(Refused(kind, len(group), f"{len(group)} of {len(samples)} requests only", "more requests of this kind"))
            continue
        made = (_http if group[0].method is not None else _payload)(group, benign, replace(naming, sid=sid), len(samples))
        sid += isinstance(made, Draft)
        out.append(made)
    return out


def _kind(s: Sample) -> str:
    return f"{s.method} {s.uri[:60]}" if s.method is not None else content_text(s.payload[:16])


# -- what is the same, as tokens ------------------------------------------------------------------------------------------

def _width(part: TemplatePart) -> tuple[int, int | None]:
    """Least and most characters of a part; most is None where nobody knows."""
    if part.constant:
        return len(part.text), len(part.text)
    found = _CLASS.fullmatch(part.text)
    if found is None:
        return (7, 15) if part.text in ("dotted quad", "target address", "own address") else (0, None)
    low = int(found[2])
    return low, int(found[3] or low)


def _tokens(buffer: str, parts: Sequence[TemplatePart]) -> list[Token]:
    """Constant parts of one buffer as tokens with their place: from the start, or from the token before."""
    out: list[Token] = []
    low, high = 0, 0  # how far the next part is from the end of the token before (or from the start)
    known = True
    for i, part in enumerate(parts):
        least, most = _width(part)
        if not part.constant or (least < 2 and len(parts) > 1 and not (i == 0 and part.text != "/")):
            low += least
            known = known and most is not None
            high += most or 0
            continue
        data = part.text.encode("latin-1", "replace")
        out.append(Token(buffer, data, first=not out, low=low, high=high if known else None, last=i == len(parts) - 1))
        low, high, known = 0, 0, True
    return out


def _regex(parts: Sequence[TemplatePart]) -> str | None:
    """The whole buffer as one anchored expression; None where nothing varies or what varies has no class."""
    out = ""
    for part in parts:
        if part.constant:
            out += re.sub(r"([^A-Za-z0-9 _&=<>:;,@!~%'-])", r"\\\1", part.text)
            continue
        found = _CLASS.fullmatch(part.text)
        if found is None or found[1] not in _CLASS_REGEX:
            if part.text in ("dotted quad", "target address", "own address"):
                out += r"\d{1,3}(?:\.\d{1,3}){3}"
                continue
            return None
        size = found[2] if found[3] in (None, found[2]) else f"{found[2]},{found[3]}"
        out += _CLASS_REGEX[found[1]] + ("" if size == "1" else f"{{{size}}}")
    varies = any(not p.constant for p in parts)
    # A comma of a count, a semicolon or a quote would end the option or need an escape of its own in older engines.
    return f"/^{out.replace(';', chr(92) + 'x3b').replace(chr(34), chr(92) + 'x22')}$/" if varies else None


def _contents(tokens: Sequence[Token], length: tuple[int, int] | None, *, stream: bool = False) -> list[str]:
    """Options of one buffer's tokens, in order, the longest as the fast pattern."""
    chosen = sorted(sorted(range(len(tokens)), key=lambda i: -strength(tokens[i].data))[:_MOST_CONTENTS])
    fastest = max(chosen, key=lambda i: strength(tokens[i].data), default=None)
    out: list[str] = []
    before: int | None = None
    for i in chosen:
        t = tokens[i]
        words = [f'content:"{content_text(t.data)}"']
        near = before is not None and before == i - 1
        if t.first and t.low == t.high == 0:
            whole = not stream and length is not None and length == (len(t.data), len(t.data))
            words += [] if whole else ["startswith"] if not stream else [f"depth:{len(t.data)}"]
        elif t.first and t.high is not None:
            words += [f"offset:{t.low}", f"depth:{t.high - t.low + len(t.data)}"]
        elif near and t.high is not None:
            words += [f"distance:{t.low}", f"within:{t.high - t.low + len(t.data)}"]
        elif before is not None:
            words.append("distance:0")
        if t.last and not stream and not (t.first and t.low == t.high == 0) and length is not None:
            words.append("endswith")
        if i == fastest and len(tokens) > 1:
            words.append("fast_pattern")
        out += [w + ";" for w in words]
        before = i
    return out


# -- HTTP -------------------------------------------------------------------------------------------------------------------

def _http(group: Sequence[Sample], benign: Sequence[Sample], naming: Naming, total: int) -> Draft | Refused:
    others = [s for s in benign if s.method is not None]
    uris = [s.uri for s in group]
    parts = align_texts("uri", uris, group)
    raw = any(_NORMALISED.search(u) for u in uris)
    buffer = "http.uri.raw" if raw else "http.uri"
    tokens = _tokens(buffer, parts)
    sizes = (min(map(len, uris)), max(map(len, uris)))
    options = ["http.method;", f'content:"{content_text((group[0].method or "").encode("latin-1", "replace"))}";', f"{buffer};"]
    options += [f"urilen:{sizes[0]}{',raw' if raw else ''};"] if sizes[0] == sizes[1] else []
    options += _contents(tokens, sizes)
    regex = _regex(parts)
    options += [f'pcre:"{regex}";'] if regex is not None and tokens else []
    agent_tokens, agent = _agent(group, others)
    lacking, absent = _absent(group, others)
    body_tokens, body = _body(group)
    tokens += agent_tokens + body_tokens
    options += [*agent, *body, *absent]
    gate = judged(tokens, group, others)
    if gate.refused:
        return Refused(_kind(group[0]), len(group), gate.refused, gate.needs)
    notes = [*gate.notes, *_about(group, parts)]
    if lacking:
        notes.append(f"asks for the absence of {', '.join(lacking)}: other requests of this evidence have it")
    return _finished("http", options, group, tokens, notes, naming, total, what=_called(group[0].uri))


def _agent(group: Sequence[Sample], others: Sequence[Sample]) -> tuple[list[Token], list[str]]:
    """A User-Agent that is the same in all and that others do not send."""
    agents = {_header(s, "user-agent") for s in group}
    if len(agents) != 1 or (agent := agents.pop()) is None or len(agent) < 3:
        return [], []
    shared = sum(_header(s, "user-agent") == agent for s in others)
    if shared or agent.startswith("Mozilla/"):
        return [], []
    data = agent.encode("latin-1", "replace")
    options = ["http.user_agent;", f'content:"{content_text(data)}";', f"bsize:{len(data)};"]
    return [Token("http.user_agent", data, True, 0, 0, True)], options


def _header(s: Sample, name: str) -> str | None:
    return next((v for n, v in zip(s.header_names, s.header_values, strict=False) if n.lower() == name), None)


def _absent(group: Sequence[Sample], others: Sequence[Sample]) -> tuple[list[str], list[str]]:
    """Headers that no sample has and that nearly all other requests have."""
    lacking = []
    for name in _TELLING_ABSENCE:
        low = name.lower()
        if any(low in {n.lower() for n in s.header_names} for s in group) or not others:
            continue
        without = sum(low not in {n.lower() for n in s.header_names} for s in others)
        if without <= _ABSENT_AT_MOST * len(others) or name == "Referer":
            lacking.append(name)
    if not lacking:
        return [], []
    # Not http.header_names: Snort has no such buffer, and a rule is handed over in its words, too.
    return lacking, ["http.header;", *(f'content:!"{n}|3a|"; nocase;' for n in lacking)]


def _body(group: Sequence[Sample]) -> tuple[list[Token], list[str]]:
    bodies = [s.payload for s in group]
    if not all(bodies):
        return [], []
    tokens = _byte_tokens("http.request_body", bodies)
    return tokens, ["http.request_body;", *_contents(tokens, None, stream=True)] if tokens else []


# -- payload ----------------------------------------------------------------------------------------------------------------

def _byte_tokens(buffer: str, payloads: Sequence[bytes]) -> list[Token]:
    """Runs of byte positions that are the same in all payloads: as long as all of them are."""
    size = min(len(p) for p in payloads)
    same = [len({p[i] for p in payloads}) == 1 for i in range(size)]
    out: list[Token] = []
    start, end_before = 0, 0
    while start < size:
        if not same[start]:
            start += 1
            continue
        end = start
        while end < size and same[end]:
            end += 1
        # A run of one byte tells nothing and hides what does: contents end where one begins.
        run = _RUN.search(payloads[0], start, end)
        if run is not None:
            end = run.start() + 1 if run.start() > start else run.end()
        end = min(end, start + _LONGEST_CONTENT)
        data = payloads[0][start:end]
        if len(data) >= 2 and len(set(data)) > 1:
            gap = start - end_before
            out.append(Token(buffer, data, first=not out, low=gap, high=gap, last=False))
            end_before = end
        start = end
    return out


def _payload(group: Sequence[Sample], benign: Sequence[Sample], naming: Naming, total: int) -> Draft | Refused:
    payloads = [s.payload for s in group]
    tokens = _byte_tokens("payload", payloads)
    others = [s for s in benign if s.method is None and s.payload]
    gate = judged(tokens, group, others)
    if gate.refused:
        return Refused(_kind(group[0]), len(group), gate.refused, gate.needs)
    lengths = {s.length for s in group}
    options = _contents(tokens, None, stream=True)
    if len(lengths) == 1 and naming.proto == 17:
        options.insert(0, f"dsize:{lengths.pop()};")
    return _finished({6: "tcp", 17: "udp", 1: "icmp"}.get(naming.proto, "ip"), options, group, tokens, list(gate.notes), naming, total,
                     what="payload")  # fmt: skip


# -- the rule's text ----------------------------------------------------------------------------------------------------------

def _about(group: Sequence[Sample], parts: Sequence[TemplatePart]) -> list[str]:
    distinct = len({s.uri for s in group})
    notes = []
    if distinct == 1 and len(group) > 1:
        notes.append("all samples are the same: what varies is not known")
    if len(group) == 1:
        notes.append("one sample: its classes are guesses")
    free = sum(not p.constant and p.text.startswith("free") for p in parts)
    if free:
        notes.append(f"{free} parts of the URI vary without a class")
    return notes


def _called(uri: str) -> str:
    """The last piece of the path, as people call such a request."""
    piece = uri.partition("?")[0].rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "", piece)[:40] or "request"


def rule_text(header: str, message: str, options: Sequence[str], naming: Naming) -> str:
    """A rule of a header and options (empty ones are left out), with what it says of itself, in the order that ET rules have."""
    tags = [f"created_at {naming.made}", f"updated_at {naming.made}", "deployment Perimeter", "signature_severity Major"]
    if naming.family:
        tags.insert(1, f"malware_family {re.sub(r'[^A-Za-z0-9_.-]', '_', naming.family)}")
    words = [
        f'msg:"{message_text(message)}";', *options, *(f"reference:{r};" for r in naming.references), f"classtype:{naming.classtype};",
        f"sid:{naming.sid};", "rev:1;", f"metadata:{', '.join(tags)};",
    ]  # fmt: skip
    return f"{header} ({' '.join(w for w in words if w)})"


def _finished(
    proto: str, options: list[str], group: Sequence[Sample], tokens: Sequence[Token], notes: list[str], naming: Naming, total: int,
    *, what: str,
) -> Draft:
    """Header, message, flow, contents, threshold, and what the rule says of itself, in the order that ET rules have."""
    # The port is part of the behaviour where it is always the same and the protocol does not say it already.
    port = str(naming.dport) if naming.dport is not None and proto != "http" else "any"
    message = naming.message(f"Request ({what})" if proto == "http" else f"{proto.upper()} Traffic")
    flow = "flow:established,to_server;" if proto in ("http", "tcp") else ""
    limit = "threshold:type limit, track by_src, count 1, seconds 600;" if (naming.rate_per_min or 0) >= 1 else ""
    text = rule_text(f"alert {proto} {naming.ends()} {port}", message, [flow, *options, limit], naming)
    if len(group) < total:
        notes.append(f"stands for {len(group)} of {total} requests; the others are of other kinds")
    return Draft(text, naming.sid, len(group), total, tuple(tokens), tuple(notes), tuple(group))
