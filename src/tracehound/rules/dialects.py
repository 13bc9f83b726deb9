"""In: a rule's meaning. Out: its text in Suricata's, Snort 2's or Snort 3's spelling, or the reason why that dialect cannot say
it. Never here: reading text.

Every text is read again before it is handed out, and must mean the same (`same_meaning`): what is said here is said exactly or
not at all. Two ways to say one thing count as one: `startswith` and `depth` of the content's length, `urilen` and the length of
the buffer, a service in the header and a buffer that only this service has, the order in which buffers are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from tracehound.errors import RuleError
from tracehound.rules.keywords.assembly import covered_by
from tracehound.rules.keywords.buffers import BASE64_DATA, BUFFERS, PAYLOAD, PCRE_LETTERS, spelled
from tracehound.rules.keywords.catalog import COMMON
from tracehound.rules.keywords.packet import HIGHEST
from tracehound.rules.render import content_text, message_text, numbers_text
from tracehound.rules.rule import (
    LARGEST,
    Asn1,
    Base64Decode,
    Bits,
    Bsize,
    Buffer,
    ByteExtract,
    ByteJump,
    ByteMath,
    ByteTest,
    Content,
    Datarep,
    Dataset,
    Entropy,
    Event,
    FastPattern,
    FlagTest,
    FlowInt,
    Group,
    Hash,
    HashList,
    IsDataAt,
    Numbers,
    NumberTest,
    Other,
    Pcre,
    Rule,
    Step,
    Tag,
    Test,
    Threshold,
    Transform,
    WordTest,
)
from tracehound.rules.ruleset import parse_rule
from tracehound.rules.variables import Variables

Dialect = Literal["suricata", "snort2", "snort3"]
DIALECTS: Final[tuple[Dialect, ...]] = ("suricata", "snort2", "snort3")
_NAMES: Final = {"suricata": "Suricata", "snort2": "Snort 2", "snort3": "Snort 3"}


class _CannotSayError(Exception):
    """Why."""


def convert(rule: Rule, dialect: Dialect, variables: Variables) -> str:
    """The rule in a dialect's spelling; raises RuleError, at the rule's place, where the dialect cannot say it."""
    w = rule.written
    try:
        text = _Writer(rule, dialect).text()
        again = parse_rule(text, variables, w.source)
        if not same_meaning(again, rule):
            raise _CannotSayError(f"{_NAMES[dialect]} would read it otherwise")
    except _CannotSayError as why:
        raise RuleError(w.source, w.line, f"sid {rule.sid}: {why}", column=w.column) from None
    except RuleError as why:
        raise RuleError(w.source, w.line, f"sid {rule.sid}: {_NAMES[dialect]}: {why.keyword} {why.cause}", column=w.column) from None
    return text


# -- what counts as the same ------------------------------------------------------------------------------------------------------


def same_meaning(a: Rule, b: Rule) -> bool:
    """Whether two rules match and alert alike."""
    return normal(a) == normal(b)


def normal(rule: Rule) -> Rule:
    """The rule in the one form that stands for all ways to say it."""
    groups: list[Group] = []
    tests: list[Test] = [
        replace(t, numbers=_open_ended(t.numbers)) if isinstance(t, NumberTest) and t.keyword == "urilen" else t for t in rule.tests
    ]
    for group in rule.groups:
        steps: list[Step] = []
        for step in group.steps:
            if isinstance(step, Content):
                steps += _normal_content(step)
            elif isinstance(step, Bsize) and _is_urilen(group, step):
                tests.append(NumberTest("urilen", step.length, "raw" if group.buffer.name == "http.uri.raw" else "norm"))
            else:
                steps.append(step)
        if steps or group.absent:
            groups.append(replace(group, steps=tuple(steps)))
    if not _ordered(rule):
        groups.sort(key=lambda g: (g.buffer.name, g.transforms, g.detail))
    header = rule.header
    services = rule.services
    service = header.protocol.service
    if service and services in ((), (service,)):
        services = (service,)
        header = replace(header, protocol=replace(header.protocol, name="tcp", ip_protocols=(6,), service=""))
    if len(services) == 1 and any(_tells_service(g, services[0]) for g in groups):
        # A buffer that only this service has says what the header says.
        services = ()
    if header.direction == "<>" and header.src == header.dst and header.src_ports == header.dst_ports:
        header = replace(header, direction="->") if header.src.is_any and header.src_ports.is_any else header
    return replace(
        rule,
        header=header,
        groups=tuple(groups),
        tests=tuple(sorted(tests, key=repr)),
        services=services,
        prefilter="",
        requires=(),
    )


def _normal_content(c: Content) -> list[Step]:
    after: list[Step] = []
    if c.startswith:
        c = replace(c, startswith=False, depth=len(c.pattern))
    if c.endswith and not c.negated:
        c = replace(c, endswith=False)
        after = [IsDataAt(1, True, True)]
    if c.offset == 0:
        c = replace(c, offset=None)
    if c.fast_pattern is not None and c.fast_pattern.only:
        c = replace(c, fast_pattern=FastPattern(False, c.fast_pattern.chop))
    return [c, *after]


def _is_urilen(group: Group, step: Bsize) -> bool:
    plain = not group.transforms and not group.absent and not group.detail
    return plain and group.buffer.name in ("http.uri", "http.uri.raw") and step.variable is None and not step.relative


def _tells_service(group: Group, service: str) -> bool:
    if not group.buffer.protocols or group.absent:
        return False
    return covered_by(group.buffer.protocols) <= covered_by((service,))


def _ordered(rule: Rule) -> bool:
    """Whether the order of the buffers means something: a number of one is used in another, or base64 is handed on."""
    return any(isinstance(s, ByteExtract | ByteMath | Base64Decode) for g in rule.groups for s in g.steps)


def _with_length(groups: list[Group], buffer: Buffer, length: Numbers) -> None:
    """Snort 3 says the length of a URI as that of its buffer."""
    step = Bsize(_open_ended(length))
    for n, group in enumerate(groups):
        if group.buffer is buffer and not group.transforms and not group.absent and not group.detail:
            groups[n] = replace(group, steps=(step, *group.steps))
            return
    groups.append(Group(buffer, (step,)))


def _open_ended(numbers: Numbers) -> Numbers:
    """The same where the largest length of a URI is no bound."""
    return replace(numbers, spans=tuple((a, LARGEST if b == HIGHEST["urilen"] else b) for a, b in numbers.spans))


# -- the text ------------------------------------------------------------------------------------------------------------------------


class _Writer:
    """One rule in one dialect."""

    def __init__(self, rule: Rule, dialect: Dialect) -> None:
        self.rule = rule
        self.dialect: Dialect = dialect
        self.name = _NAMES[dialect]
        self.out: list[str] = []

    def cannot(self, what: str) -> _CannotSayError:
        return _CannotSayError(f"{self.name} has no {what}")

    def text(self) -> str:
        head = self._head()
        rule = self.rule
        self.say("msg", f'"{message_text(rule.msg)}"', bool(rule.msg))
        self._flow()
        for test in rule.tests:
            if not (self.dialect == "snort3" and isinstance(test, NumberTest) and test.keyword == "urilen"):
                self._test(test)
        for group in self._groups():
            self._group(group)
        for state in rule.states:
            self._state(state)
        for limit in (rule.threshold, rule.detection_filter):
            if limit is not None:
                self._threshold(limit)
        for tag in rule.tags:
            self._tag(tag)
        if rule.noalert:
            self.say("noalert" if self.dialect == "suricata" else "flowbits", None if self.dialect == "suricata" else "noalert")
        for name, value in rule.extra:
            self._extra(name, value)
        self._labels()
        return f"{head} ({' '.join(self.out)})"

    def say(self, name: str, value: str | None = None, when: bool = True) -> None:
        if when:
            self.out.append(f"{name};" if value is None else f"{name}:{value};")

    # -- header

    def _head(self) -> str:
        w, header = self.rule.written, self.rule.header
        action = header.action
        if self.dialect != "suricata" and action not in ("alert", "drop", "pass", "reject", "log"):
            raise self.cannot(f"action {action}")
        if self.dialect == "suricata" and action == "log":
            raise self.cannot("action log")
        direction = header.direction
        if direction == "=>" and self.dialect != "suricata":
            raise self.cannot("rules over both directions of a transaction (=>)")
        parts = (w.src or "any", w.src_ports or "any", direction, w.dst or "any", w.dst_ports or "any")
        return " ".join((action, self._protocol(), *parts))

    def _protocol(self) -> str:
        p = self.rule.header.protocol
        if self.dialect == "suricata":
            if len(self.rule.services) > 1:
                raise self.cannot("rules for several services")
            if p.name in ("file", "user"):
                raise self.cannot(f"protocol {p.name}")
            return self.rule.services[0] if self.rule.services else p.name
        if p.service:
            if self.dialect == "snort3":
                return p.service if p.service in _SNORT3_SERVICES else self._only_buffers(p.service)
            return self._only_buffers(p.service)
        if p.name in ("file", "user") and self.dialect == "snort3":
            return p.name
        if p.name not in ("tcp", "udp", "icmp", "ip"):
            raise self.cannot(f"protocol {p.name}")
        return p.name

    def _only_buffers(self, service: str) -> str:
        if any(_tells_service(g, service) for g in self.rule.groups):
            return "tcp"
        raise self.cannot(f"protocol {service} in a header")

    def _flow(self) -> None:
        f = self.rule.flow
        if f is not None:
            words = [x for x in (f.state, f.side, f.stream, f.fragments) if x]
            self.say("flow", ",".join(words))

    # -- tests

    def _test(self, test: Test) -> None:
        if isinstance(test, NumberTest):
            self._number(test)
        elif isinstance(test, FlagTest):
            letters = _FLAG_LETTERS if test.keyword == "tcp.flags" else _FRAGMENT_LETTERS
            word = "".join(x for bit, x in letters if test.bits & bit) or "0"
            sign = "" if test.mode == "=" else test.mode
            ignored = "".join(x for bit, x in letters if test.ignored & bit)
            self.say("flags" if test.keyword == "tcp.flags" else "fragbits", sign + word + (f",{ignored}" if ignored else ""))
        elif isinstance(test, Event):
            self.known(f"{test.kind}-event")
            self.say(f"{test.kind}-event", test.name)
        elif isinstance(test, HashList):
            self.known(f"file{test.algorithm}")
            self.say(f"file{test.algorithm}", ("!" if test.negated else "") + test.path)
        else:
            self._words(test)

    def known(self, keyword: str) -> None:
        """Refuse what the dialect has no keyword for."""
        entry = COMMON.get(keyword)
        letter = {"suricata": "s", "snort2": "2", "snort3": "3"}[self.dialect]
        if entry is None or letter not in entry.dialects:
            raise self.cannot(f"keyword {keyword}")

    def _number(self, test: NumberTest) -> None:
        keyword, detail = test.keyword, test.detail
        text = numbers_text(test.numbers, 0, HIGHEST.get(keyword, LARGEST))
        if keyword == "dcerpc.opnum":
            self.say("dce_opnum", ",".join(str(a) if a == b else f"{a}-{b}" for a, b in test.numbers.spans))
            return
        if text is None:
            raise self.cannot(f"way to say {keyword} of these numbers")
        self.known(keyword)
        if keyword == "urilen":
            self.say("urilen", text + (",raw" if detail == "raw" else ""))
        elif keyword == "stream_size":
            self._stream_size(text, detail)
        elif keyword in ("flow.pkts", "flow.bytes"):
            self.say(keyword, f"{detail},{text}")
        elif keyword == "iprep":
            sign = text if text[0] in "<>!" else "=" + text
            cut = 2 if sign[1:2] == "=" else 1
            self.say(keyword, f"{detail},{sign[:cut] if sign[0] != '!' else '!='},{sign[cut:]}")
        elif detail == "count":
            self.say(keyword, f"count {text}")
        else:
            self.say(keyword, f"{text},{detail}" if detail and (keyword != "vlan.id" or detail != "any") else text)

    def _stream_size(self, text: str, detail: str) -> None:
        if self.dialect == "snort3":
            side = {"server": "to_server", "client": "to_client"}.get(detail, detail)
            self.say("stream_size", f"{text},{side}")
            return
        sign, rest = ("=", text) if text[0].isdigit() else ("!=", text[1:]) if text[0] == "!" else (text[0], text[1:])
        if rest.startswith("="):
            sign, rest = sign + "=", rest[1:]
        if not rest.isdigit():
            raise self.cannot(f"way to say stream_size {text}")
        self.say("stream_size", f"{detail},{sign},{rest}")

    def _words(self, test: WordTest) -> None:
        keyword = test.keyword
        self.known(keyword)
        sign = "!" if test.negated else ""
        words = test.words
        if keyword in ("filename", "fileext", "filemagic"):
            self.say(keyword, f'{sign}"{content_text(words[0].encode("latin-1"))}"')
        elif keyword == "app-layer-protocol":
            self.say(keyword, sign + words[0] + (f",{test.detail}" if test.detail else ""))
        elif keyword == "geoip":
            self.say(keyword, ",".join((test.detail, *(sign + w for w in words))))
        elif keyword == "ssl_state" and self.dialect == "suricata":
            self.say(keyword, sign + "|".join(words))
        elif keyword in ("tls_cert_notbefore", "tls_cert_notafter"):
            self.say(keyword, words[1] if words[0] == "=" else f"{words[1]}<>{words[2]}" if words[0] == "<>" else words[0] + words[1])
        elif keyword == "dcerpc.iface":
            self.say("dce_iface", ",".join(words))
        elif not words:
            self.say(keyword)
        else:
            self.say(keyword, sign + ",".join(words))

    # -- buffers

    def _groups(self) -> list[Group]:
        groups = list(self.rule.groups)
        if self.dialect == "snort3":
            for test in self.rule.tests:
                if isinstance(test, NumberTest) and test.keyword == "urilen":
                    _with_length(groups, BUFFERS["http.uri.raw" if test.detail == "raw" else "http.uri"], test.numbers)
        if not _ordered(self.rule):
            # What has no name comes first: then nothing has to say pkt_data. In Snort 3 it comes last, so that `http_uri;` never
            # stands behind a content, where older dialects read it as a modifier.
            groups.sort(key=lambda g: (g.buffer is not PAYLOAD) != (self.dialect == "snort3"))
        return groups

    def _group(self, group: Group) -> None:
        if group.buffer is PAYLOAD:
            if any(x.rstrip(";").split(":")[0] in _OPENED for x in self.out) or self._sticky_open():
                self.say("pkt_data")
            self._steps(group, "")
            return
        if group.absent and self.dialect != "suricata":
            raise self.cannot("keyword absent")
        if group.buffer is BASE64_DATA:
            self.say("base64_data")
            self._steps(group, "")
            return
        word = spelled(group.buffer, self.dialect)
        if not word:
            raise self.cannot(f"buffer {group.buffer.name}")
        moved = self.dialect == "snort2" and group.buffer.modifier == word
        if not moved:
            detail = group.detail if self.dialect == "snort3" or group.buffer.name == "frame" else group.side
            if group.detail and not detail:
                raise self.cannot(f"part {group.detail!r} of {group.buffer.name}")
            self.say("frame" if group.buffer.name == "frame" else word, detail or None)
        elif self._sticky_open():
            self.say("pkt_data")
        for t in group.transforms:
            self._transform(t)
        if group.absent:
            self.say("absent", "or_else" if group.absent == "or_else" else None)
        self._steps(group, word if moved else "")

    def _sticky_open(self) -> bool:
        """Whether a buffer was opened and not closed yet."""
        for said in reversed(self.out):
            name = said.rstrip(";").split(":")[0]
            if name == "pkt_data":
                return False
            if name in _STICKY[self.dialect]:
                return True
        return False

    def _transform(self, t: Transform) -> None:
        self.known(t.name)
        argument = f'"{t.argument}"' if t.name in ("pcrexform", "xor") else t.argument
        self.say(t.name, argument or None)

    def _steps(self, group: Group, modifier: str) -> None:
        matched = False
        for step in group.steps:
            if isinstance(step, Content):
                self._content(step, modifier)
                matched = True
            elif isinstance(step, Pcre):
                self._pcre(step, group, modifier)
                matched = True
            elif modifier and not (matched and _is_relative(step)):
                raise _CannotSayError(f"{self.name} looks at {group.buffer.name} with contents and expressions only")
            else:
                _STEPS[type(step)](self, step)

    def _content(self, c: Content, modifier: str) -> None:
        text = ("!" if c.negated else "") + f'"{content_text(c.pattern)}"'
        words: list[tuple[str, str | None]] = []
        if c.nocase:
            words.append(("nocase", None))
        for name in ("offset", "depth", "distance", "within"):
            value = getattr(c, name)
            if value is not None:
                words.append((name, str(value)))
        isdataat = False
        if c.startswith:
            words.append(("startswith", None) if self.dialect == "suricata" else ("depth", str(len(c.pattern))))
        if c.endswith:
            if self.dialect == "suricata":
                words.append(("endswith", None))
            elif c.negated:
                raise self.cannot("way to say that a content does not end a buffer")
            else:
                isdataat = True
        if c.replace is not None:
            words.append(("replace", f'"{content_text(c.replace)}"'))
        if self.dialect == "snort3":
            self._content3(text, words, c.fast_pattern)
        else:
            self.say("content", text)
            for name, value in words:
                self.say(name, value)
            f = c.fast_pattern
            if f is not None:
                self.say("fast_pattern", "only" if f.only else f"{f.chop[0]},{f.chop[1]}" if f.chop else None)
            if modifier:
                self.say(modifier)
        if isdataat:
            self.say("isdataat", "!1,relative")

    def _content3(self, text: str, words: list[tuple[str, str | None]], fast: FastPattern | None) -> None:
        said = [name if value is None else f"{name} {value}" for name, value in words if name != "replace"]
        if any(name == "replace" for name, _ in words):
            raise _CannotSayError("Snort 3 says replace of the whole rule")
        if fast is not None:
            said.append("fast_pattern")
            if fast.chop is not None:
                said += [f"fast_pattern_offset {fast.chop[0]}", f"fast_pattern_length {fast.chop[1]}"]
        self.say("content", ",".join((text, *said)))

    def _pcre(self, p: Pcre, group: Group, modifier: str) -> None:
        letters = "".join(f for f in p.flags) + ("R" if p.relative else "")
        if modifier:
            letter = next((x for x, name in PCRE_LETTERS.items() if name == group.buffer.name), "")
            if not letter or letter in "QVWZ":
                raise self.cannot(f"expression on {group.buffer.name}")
            letters += letter
        if p.captures and self.dialect != "suricata":
            raise self.cannot("variables that an expression sets")
        pattern = p.pattern.decode("utf-8", "surrogateescape")
        captures = "".join(f",{c}" for c in p.captures)
        self.say("pcre", ("!" if p.negated else "") + f'"/{pattern}/{letters}{captures}"')

    # -- state and words about the rule

    def _state(self, s: Bits | FlowInt) -> None:
        if isinstance(s, FlowInt):
            self.known("flowint")
            self.say("flowint", ",".join(str(x) for x in (s.name, s.command, s.value) if x is not None))
            return
        self.known(s.kind)
        words = [s.command, s.join.join(s.names)]
        if s.kind == "xbits":
            words += [f"track {s.track}"] + ([f"expire {s.expire_s}"] if s.expire_s is not None else [])
        elif s.kind == "hostbits":
            words += [s.track] + ([str(s.expire_s)] if s.expire_s is not None else [])
        self.say(s.kind, ",".join(words))

    def _threshold(self, t: Threshold) -> None:
        keyword = "detection_filter" if t.kind == "detection_filter" else "threshold"
        if self.dialect == "snort3" and keyword == "threshold":
            raise _CannotSayError("Snort 3 has thresholds in its configuration (event_filter), not in rules")
        self.known(keyword)
        if self.dialect != "suricata" and (t.track not in ("by_src", "by_dst") or t.unique_on or t.kind == "backoff"):
            raise self.cannot(f"{keyword} with {t.kind}, {t.track}{', unique_on' if t.unique_on else ''}")
        words = [] if keyword == "detection_filter" else [f"type {t.kind}"]
        words += [f"track {t.track}", f"count {t.count}"]
        words += [f"seconds {t.seconds}"] if t.seconds else []
        words += [f"multiplier {t.multiplier}"] if t.multiplier else []
        words += [f"unique_on {t.unique_on}"] if t.unique_on else []
        self.say(keyword, ",".join(words))

    def _tag(self, t: Tag) -> None:
        if self.dialect == "snort3":
            scope = f"host_{t.direction}" if t.scope == "host" else "session"
            self.say("tag", f"{scope},{t.metric} {t.count}")
        else:
            self.say("tag", ",".join((t.scope, str(t.count), t.metric, *([t.direction] if t.direction else []))))

    def _extra(self, name: str, value: str) -> None:
        self.known(name)
        self.say(name, value or None)

    def _labels(self) -> None:
        rule = self.rule
        if self.dialect == "snort3" and rule.services:
            self.say("service", ",".join(rule.services))
        elif rule.services and self.dialect == "snort2":
            raise self.cannot("rules for a service")
        if self.dialect == "suricata":
            for required in rule.requires:
                self.say("requires", required)
        for kind, text in rule.references:
            self.say("reference", f"{kind},{text}")
        self.say("classtype", rule.classtype, bool(rule.classtype))
        self.say("priority", str(rule.priority), rule.priority is not None)
        self.say("gid", str(rule.gid), rule.gid != 1)
        self.say("sid", str(rule.sid))
        self.say("rev", str(rule.rev), rule.rev != 0)
        self.say("metadata", ", ".join(rule.metadata), bool(rule.metadata))
        if rule.target:
            self.known("target")
            self.say("target", rule.target)


def _is_relative(step: Step) -> bool:
    """Whether a step belongs to the buffer of the match before it, where none is open."""
    return isinstance(step, Base64Decode) or (
        isinstance(step, ByteTest | ByteJump | ByteExtract | ByteMath | IsDataAt) and step.relative
    )


_FLAG_LETTERS: Final = ((1, "F"), (2, "S"), (4, "R"), (8, "P"), (16, "A"), (32, "U"), (64, "E"), (128, "C"))
_FRAGMENT_LETTERS: Final = ((1, "M"), (2, "D"), (4, "R"))
_SNORT3_SERVICES: Final = frozenset((
    "http", "http2", "tls", "ftp", "smtp", "imap", "pop3", "ssh", "telnet", "dns", "dcerpc", "sip", "modbus", "dnp3", "rdp", "krb5",
))  # fmt: skip
_OPENED: Final = frozenset({"base64_data"})
_STICKY: Final[dict[Dialect, frozenset[str]]] = {
    "suricata": frozenset(k.name for k in COMMON.values() if k.kind == "buffer" and k.name != "pkt_data"),
    "snort2": frozenset({"file_data", "base64_data", "dce_stub_data", "sip_header", "sip_body", "dnp3_data", "modbus_data", "gtp_info"}),
    "snort3": frozenset(
        {"base64_data"} | {k.aliases[0] if k.aliases else k.name for k in COMMON.values() if k.kind == "buffer" and "3" in k.dialects}
        | {"http_uri", "http_raw_uri", "http_header", "http_raw_header", "http_cookie", "http_raw_cookie", "http_client_body",
           "http_method", "http_stat_code", "http_stat_msg", "http_version", "http_raw_request", "http_raw_status", "http_param",
           "http_trailer", "http_raw_trailer", "http_raw_body", "http_true_ip", "file_data", "js_data", "vba_data", "raw_data",
           "sip_method", "dce_stub_data"}
    ) - {"pkt_data"},
}  # fmt: skip


# -- steps -------------------------------------------------------------------------------------------------------------------------


def _byte_words(relative: bool, endian: str, digits: str) -> list[str]:
    words = ["relative"] if relative else []
    if endian != "big":
        words.append(endian)
    if digits:
        words += ["string", *([digits] if digits != "auto" else [])]
    return words


def _byte_test(w: _Writer, s: ByteTest) -> None:
    words = [str(s.count), ("!" if s.negated else "") + s.operator, str(s.value), str(s.offset)]
    words += _byte_words(s.relative, s.endian, s.digits) + ([f"bitmask {s.bitmask:#x}"] if s.bitmask is not None else [])
    w.say("byte_test", ",".join(words))


def _byte_jump(w: _Writer, s: ByteJump) -> None:
    words = [str(s.count), str(s.offset), *_byte_words(s.relative, s.endian, s.digits)]
    words += [f"multiplier {s.multiplier}"] if s.multiplier != 1 else []
    words += ["align"] if s.align == 4 else [f"align {s.align}"] if s.align else []
    words += [] if s.origin == "here" else [f"from_{s.origin}"]
    words += [f"post_offset {s.post_offset}"] if s.post_offset != 0 else []
    words += [f"bitmask {s.bitmask:#x}"] if s.bitmask is not None else []
    w.say("byte_jump", ",".join(words))


def _byte_extract(w: _Writer, s: ByteExtract) -> None:
    words = [str(s.count), str(s.offset), s.name, *_byte_words(s.relative, s.endian, s.digits)]
    words += [f"multiplier {s.multiplier}"] if s.multiplier != 1 else []
    words += [f"align {s.align}"] if s.align else []
    words += [f"bitmask {s.bitmask:#x}"] if s.bitmask is not None else []
    w.say("byte_extract", ",".join(words))


def _byte_math(w: _Writer, s: ByteMath) -> None:
    words = [f"bytes {s.count}", f"offset {s.offset}", f"oper {s.operator}", f"rvalue {s.rvalue}", f"result {s.result}"]
    words += ["relative"] if s.relative else []
    words += [f"endian {s.endian}"] if s.endian in ("little",) else ["dce"] if s.endian == "dce" else []
    words += [f"string {s.digits}" if s.digits != "auto" else "string"] if s.digits else []
    words += [f"bitmask {s.bitmask:#x}"] if s.bitmask is not None else []
    w.say("byte_math", ",".join(words))


def _isdataat(w: _Writer, s: IsDataAt) -> None:
    w.say("isdataat", ("!" if s.negated else "") + str(s.at) + (",relative" if s.relative else ""))


def _bsize(w: _Writer, s: Bsize) -> None:
    if w.dialect == "snort2":
        raise w.cannot("length of a buffer")
    if s.variable is not None:
        if w.dialect == "snort3":
            raise w.cannot("length of a buffer that is a variable")
        operator, name = s.variable
        w.say("bsize", name if operator == "=" else operator + name)
        return
    text = numbers_text(s.length, 0, LARGEST)
    if text is None:
        raise w.cannot("way to say these lengths")
    if w.dialect == "snort3":
        w.say("bufferlen", text + (",relative" if s.relative else ""))
        return
    if s.relative:
        raise w.cannot("length behind the last match")
    w.say("bsize", text)


def _base64_decode(w: _Writer, s: Base64Decode) -> None:
    words = [f"bytes {s.count}"] if s.count is not None else []
    words += [f"offset {s.offset}"] if s.offset else []
    words += ["relative"] if s.relative else []
    w.say("base64_decode", ",".join(words) or None)


def _stored(s: Dataset | Datarep) -> list[str]:
    words = [f"type {s.kind}"] if s.kind else []
    words += [f"load {s.load}"] if s.load is not None else []
    words += [f"state {s.state}"] if s.state is not None and s.load is None else [f"save {s.state}"] if s.state is not None else []
    words += [f"memcap {s.memcap}"] if s.memcap is not None else []
    return words + ([f"hashsize {s.hashsize}"] if s.hashsize is not None else [])


def _dataset(w: _Writer, s: Dataset) -> None:
    w.known("dataset")
    words = [s.command, s.name, *_stored(s)]
    words += [f"format {s.form}"] if s.form != "csv" else []
    for name in ("enrichment_key", "value_key", "array_key"):
        words += [f"{name} {getattr(s, name)}"] if getattr(s, name) else []
    w.say("dataset", ",".join(words + (["remove_key"] if s.remove_key else [])))


def _datarep(w: _Writer, s: Datarep) -> None:
    w.known("datarep")
    w.say("datarep", ",".join([s.name, s.operator, str(s.value), *_stored(s)]))


def _entropy(w: _Writer, s: Entropy) -> None:
    w.known("entropy")
    words = [f"bytes {s.count}"] if s.count else []
    words += [f"offset {s.offset}"] if s.offset else []
    value = f"{s.operator} {s.low}" if s.high is None else f"{'!' if s.operator == 'outside' else ''}{s.low}-{s.high}"
    w.say("entropy", ",".join([*words, f"value {value}"]))


def _asn1(w: _Writer, s: Asn1) -> None:
    words = ["bitstring_overflow"] if s.bitstring_overflow else []
    words += ["double_overflow"] if s.double_overflow else []
    words += [f"oversize_length {s.oversize_length}"] if s.oversize_length is not None else []
    words += [f"relative_offset {s.offset}"] if s.relative else [f"absolute_offset {s.offset}"] if s.offset else []
    w.say("asn1", ",".join(words))


def _hash(w: _Writer, s: Hash) -> None:
    if w.dialect != "snort3":
        raise w.cannot(f"{s.algorithm} of a part of a buffer")
    words = [f"length {s.length}"]
    words += ["relative"] if s.distance is not None else []
    place = s.distance if s.distance is not None else s.offset
    words += [f"offset {place}"] if place else []
    w.say(s.algorithm, ("!" if s.negated else "") + f'"{s.digest.hex()}",' + ",".join(words))


def _other(w: _Writer, s: Other) -> None:
    w.known(s.keyword)
    w.say(s.keyword, ",".join(s.words) or None)


_STEPS: Final[dict[type, Callable[..., None]]] = {
    ByteTest: _byte_test, ByteJump: _byte_jump, ByteExtract: _byte_extract, ByteMath: _byte_math, IsDataAt: _isdataat,
    Bsize: _bsize, Base64Decode: _base64_decode, Dataset: _dataset, Datarep: _datarep, Entropy: _entropy, Asn1: _asn1,
    Hash: _hash, Other: _other,
}  # fmt: skip
