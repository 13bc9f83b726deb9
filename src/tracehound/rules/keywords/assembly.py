"""In: the options of one rule, one after another, as the keywords' readers understand them. Out: the rule's meaning.
Never here: text (grammar.py splits it, the readers in payload.py, packet.py, ... understand the values).

How options bind to each other, as in Suricata (detect-parse.c, detect-engine.c):
- a sticky buffer (`http.uri;`) takes all payload keywords after it until another buffer or `pkt_data`;
- a content modifier (`http_uri;`) moves the content before it, and may not follow a sticky buffer;
- a transform changes the sticky buffer for what follows; given after contents it begins a new view of the same buffer;
- naming a buffer again continues it, unless a transaction may have several: then it asks for another one;
- `offset`, `nocase`, ... belong to the content last written, wherever it went."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

from tracehound.rules.keywords.buffers import BASE64_DATA, BUFFERS, PAYLOAD
from tracehound.rules.keywords.keyword import ContradictionError, KeywordError, UndefinedVariableError
from tracehound.rules.rule import (
    Bsize,
    Buffer,
    Content,
    FastPattern,
    Flow,
    Group,
    Header,
    Need,
    Rule,
    Side,
    State,
    Step,
    Tag,
    Test,
    Threshold,
    Transform,
    Value,
    Written,
)

SERVICES: Final[dict[str, frozenset[str]]] = {
    "http": frozenset({"http", "http1", "http2", "doh2"}),
    "http1": frozenset({"http1"}),
    "http2": frozenset({"http2", "doh2"}),
    "dns": frozenset({"dns", "doh2"}),
}
"""What a word for a service covers, where that is more than itself (app-layer.c, AppProtoEquals)."""


@lru_cache(maxsize=1024)
def covered_by(protocols: tuple[str, ...]) -> frozenset[str]:
    """All services that some words for services cover."""
    return frozenset[str]().union(*(SERVICES.get(p, frozenset({p})) for p in protocols))


OF_ONE_PACKET: Final = frozenset((
    "test:dsize", "test:tcp.flags", "test:ttl", "test:id", "test:tos", "test:seq", "test:ack", "test:window", "test:fragbits",
    "test:fragoffset", "test:ipopts", "test:tcp.mss", "test:sameip", "test:itype", "test:icode", "test:icmp_id", "test:icmp_seq",
))  # fmt: skip
"""Needs of options that look at the headers of one packet."""


class ContentDraft:
    """A content that modifiers may still change."""

    __slots__ = (
        "depth",
        "distance",
        "endswith",
        "fast_pattern",
        "group",
        "negated",
        "nocase",
        "offset",
        "option",
        "pattern",
        "rawbytes",
        "replace",
        "startswith",
        "within",
    )  # fmt: skip

    def __init__(self, pattern: bytes, negated: bool, option: int, group: GroupDraft) -> None:
        self.pattern = pattern
        self.negated = negated
        self.option = option
        self.group = group
        self.nocase = False
        self.rawbytes = False
        self.offset: Value | None = None
        self.depth: Value | None = None
        self.distance: Value | None = None
        self.within: Value | None = None
        self.startswith = False
        self.endswith = False
        self.fast_pattern: FastPattern | None = None
        self.replace: bytes | None = None

    def settled(self) -> Content:
        return Content(
            self.pattern, self.negated, self.nocase, self.offset, self.depth, self.distance, self.within,
            self.startswith, self.endswith, self.fast_pattern, self.replace,
        )  # fmt: skip


class GroupDraft:
    """A buffer that steps are still added to."""

    __slots__ = ("absent", "buffer", "detail", "option", "placed", "side", "steps", "transforms")

    def __init__(self, buffer: Buffer, option: int, transforms: tuple[Transform, ...] = (), detail: str = "") -> None:
        self.buffer = buffer
        self.option = option
        self.transforms = transforms
        self.detail = detail
        self.steps: list[Step | ContentDraft] = []
        self.absent: Literal["", "only", "or_else"] = ""
        self.side: Side | None = None
        self.placed = False


class Assembly:
    """The rule as far as it is read. Readers call the methods; `option` is the index of the option being read."""

    __slots__ = (
        "base64_open", "classtype", "detection_filter", "extra", "flow", "flow_option", "gid", "groups", "header",
        "last_content", "last_match", "metadata", "msg", "named_services", "needs", "noalert", "option", "prefilter", "priority",
        "references", "requires", "rev", "seen", "services", "sid", "snort3", "states", "sticky", "tags", "target", "tests",
        "threshold", "variables",
    )  # fmt: skip

    def __init__(self, header: Header, *, snort3: bool) -> None:
        self.header = header
        self.snort3 = snort3
        self.option = -1
        self.groups: list[GroupDraft] = []
        self.sticky: GroupDraft | None = None
        self.last_content: ContentDraft | None = None
        self.last_match: ContentDraft | GroupDraft | None = None
        self.base64_open = False
        self.variables: set[str] = set()
        self.needs: list[Need] = []
        self.flow: Flow | None = None
        self.flow_option = -1
        self.tests: list[Test] = []
        self.states: list[State] = []
        self.threshold: Threshold | None = None
        self.detection_filter: Threshold | None = None
        self.tags: list[Tag] = []
        self.sid = 0
        self.gid = 1
        self.rev = 0
        self.msg = ""
        self.classtype = ""
        self.priority: int | None = None
        self.references: list[tuple[str, str]] = []
        self.metadata: list[str] = []
        self.target: Literal["", "src_ip", "dest_ip"] = ""
        self.noalert = False
        self.services: frozenset[str] | None = None
        self.named_services: tuple[str, ...] = ()
        self.prefilter = ""
        self.requires: list[str] = []
        self.extra: list[tuple[str, str]] = []
        self.seen: set[str] = set()
        if header.protocol.service:
            self.speaks((header.protocol.service,))

    # -- what readers use ---------------------------------------------------------------------------------------------

    def need(self, name: str) -> None:
        """The engine must be able to do this for the option being read."""
        self.needs.append(Need(name, self.option))

    def once(self, keyword: str) -> None:
        """Refuse an option that is given twice and may be given once."""
        if keyword in self.seen:
            raise KeywordError("is given twice")
        self.seen.add(keyword)

    def speaks(self, protocols: tuple[str, ...]) -> None:
        """What is asked needs one of these application protocols; refuse what no flow can speak."""
        covered = covered_by(protocols)
        both = covered if self.services is None else self.services & covered
        if not both:
            assert self.services is not None
            raise ContradictionError(f"asks for {' or '.join(protocols)}, the rest of the rule for {' or '.join(sorted(self.services))}")
        self.services = both

    def open(self, buffer: Buffer, detail: str = "") -> GroupDraft:
        """A sticky buffer begins."""
        self._nothing_asked(buffer)
        if buffer.protocols:
            self.speaks(buffer.protocols)
        if buffer is PAYLOAD:
            self.sticky = None
            return GroupDraft(buffer, self.option)
        self.sticky = GroupDraft(buffer, self.option, (), detail)
        self.need("buffer:" + buffer.name)
        return self.sticky

    def _nothing_asked(self, buffer: Buffer) -> None:
        """Suricata: "previous sticky buffer has no matches"; the same one said twice does no harm."""
        group = self.sticky
        if group is not None and not group.placed and group.buffer is not buffer:
            raise KeywordError(f"nothing is asked of {group.buffer.name} before it")

    def transform(self, transform: Transform) -> None:
        """The sticky buffer is changed for what follows."""
        group = self.sticky
        if group is None or group.buffer is BASE64_DATA:
            raise KeywordError("stands after no buffer that it could change")
        if group.steps or group.absent:
            self.sticky = GroupDraft(group.buffer, self.option, (*group.transforms, transform), group.detail)
            self.sticky.side = group.side
        else:
            group.transforms = (*group.transforms, transform)
        self.need("transform:" + transform.name)

    def here(self) -> GroupDraft:
        """The group that the next step belongs to, in its place among the groups."""
        group = self.sticky
        if group is None:
            return self._placed(PAYLOAD)
        if not group.placed:
            if not group.buffer.multi:
                for other in self.groups:
                    if other.buffer is group.buffer and other.transforms == group.transforms and other.detail == group.detail:
                        group.placed = True
                        self.sticky = other
                        return other
            group.placed = True
            self.groups.append(group)
        return group

    def elsewhere(self, name: str) -> GroupDraft:
        """The group of a content modifier's or a pcre letter's buffer."""
        buffer = BUFFERS[name]
        if buffer.protocols:
            self.speaks(buffer.protocols)
        return self._placed(buffer)

    def _placed(self, buffer: Buffer) -> GroupDraft:
        for other in self.groups:
            if other.buffer is buffer and not other.transforms and not other.detail:
                return other
        group = GroupDraft(buffer, self.option)
        group.placed = True
        self.groups.append(group)
        self.need("buffer:" + buffer.name)
        return group

    def add(self, step: Step, need: str, *, relative: bool = False) -> None:
        """One more step of the buffer that is open. Where none is, a relative one belongs to the buffer of the content or
        expression before it, as in Suricata: `content:".exe"; http_uri; isdataat:!1,relative;` asks for the end of the URI."""
        group = self.here() if self.sticky is not None or not relative else self.of_last_match()
        group.steps.append(step)
        self.need(need)

    def of_last_match(self) -> GroupDraft:
        """The group of the last content or expression, or of what has no name."""
        last = self.last_match
        if last is None:
            return self._placed(PAYLOAD)
        return last.group if isinstance(last, ContentDraft) else last

    def content(self, pattern: bytes, negated: bool, group: GroupDraft | None = None) -> ContentDraft:
        """One more content."""
        group = group or self.here()
        draft = ContentDraft(pattern, negated, self.option, group)
        group.steps.append(draft)
        self.last_content = self.last_match = draft
        return draft

    def modified(self) -> ContentDraft:
        """The content that a modifier belongs to."""
        draft = self.last_content
        if draft is None:
            raise KeywordError("stands after no content")
        if self.sticky is not None and draft.group is not self.sticky:
            raise KeywordError(f"stands after no content of {self.sticky.buffer.name}")
        return draft

    def move(self, name: str) -> None:
        """A content modifier: the content before it belongs to this buffer."""
        if self.sticky is not None:
            raise KeywordError(f"cannot move a content that stands in the buffer {self.sticky.buffer.name}; end that with pkt_data")
        draft = self.modified()
        if draft.group.buffer is not PAYLOAD:
            raise KeywordError(f"the content before it is in {draft.group.buffer.name} already")
        if draft.rawbytes:
            raise KeywordError("cannot follow rawbytes")
        draft.group.steps.remove(draft)
        group = self.elsewhere(name)
        group.steps.append(draft)
        draft.group = group

    def value(self, text: str, low: int, high: int) -> Value:
        """A number of `low` to `high`, or the name of a variable that was set before."""
        number = as_int(text)
        if number is None:
            if text not in self.variables:
                raise UndefinedVariableError(f"{text!r} is neither a number nor a variable that byte_extract or byte_math sets before")
            return text
        if not low <= number <= high:
            raise KeywordError(f"{number} is not within {low} to {high}")
        return number

    # -- the end ----------------------------------------------------------------------------------------------------------

    def finish(self, written: Written) -> Rule:
        """The rule; raises KeywordError with `option` at the option that contradicts the rest."""
        if self.sticky is not None and not self.sticky.placed:
            self.option = self.sticky.option
            raise KeywordError("nothing is asked of this buffer")
        self.option = -1
        if self.sid <= 0:
            raise KeywordError("the rule has no sid")
        groups = tuple(
            Group(
                g.buffer,
                tuple(s.settled() if isinstance(s, ContentDraft) else s for s in g.steps),
                g.transforms,
                g.absent,
                g.detail,
                g.side,
            )
            for g in self.groups
            if g.steps or g.absent
        )
        self._contradictions()
        return Rule(
            written=written,
            header=self.header,
            flow=self.flow,
            groups=groups,
            tests=tuple(self.tests),
            states=tuple(self.states),
            threshold=self.threshold,
            detection_filter=self.detection_filter,
            tags=tuple(self.tags),
            sid=self.sid,
            gid=self.gid,
            rev=self.rev,
            msg=self.msg,
            classtype=self.classtype,
            priority=self.priority,
            references=tuple(self.references),
            metadata=tuple(self.metadata),
            target=self.target,
            noalert=self.noalert,
            services=self.named_services,
            prefilter=self.prefilter,
            requires=tuple(self.requires),
            needs=tuple(self.needs),
            extra=tuple(self.extra),
        )

    def _contradictions(self) -> None:
        """Refuse what can never match, as Suricata does (SigValidate, DetectBsizeValidateContentCallback)."""
        fast = 0
        for group in self.groups:
            shortest = 0
            for step in group.steps:
                if isinstance(step, ContentDraft):
                    self.option = step.option
                    fast += step.fast_pattern is not None
                    self._content_alone(step)
                    if not step.negated:
                        shortest = max(shortest, _end_of(step))
            for step in group.steps:
                if isinstance(step, Bsize) and step.variable is None and not step.relative:
                    longest = step.length.spans[-1][1] if step.length.spans else shortest
                    if shortest > longest:
                        self.option = group.option
                        raise ContradictionError(f"bsize allows {longest} bytes at most, the contents need {shortest}")
        if fast > 1:
            raise ContradictionError("more than one content has fast_pattern")
        self._packet_and_transaction()
        self.option = -1
        if self.header.direction != "=>":
            self._directions()

    def _packet_and_transaction(self) -> None:
        """Suricata: "Signature combines packet specific matches (like dsize, flags, ttl) with stream / state matching by matching
        on app layer proto (like using http_* keywords)"."""
        for need in self.needs:
            if need.name in OF_ONE_PACKET:
                for group in self.groups:
                    if group.steps and group.buffer.unit in ("transaction", "file"):
                        self.option = need.option
                        raise ContradictionError(f"is a fact of one packet, {group.buffer.name} of a whole transaction")

    def _content_alone(self, c: ContentDraft) -> None:
        absolute = c.offset is not None or c.depth is not None
        relative = c.distance is not None or c.within is not None
        size = len(c.pattern)
        if absolute and relative:
            raise ContradictionError("a content cannot have offset or depth together with distance or within")
        if c.startswith and (absolute or relative):
            raise ContradictionError("startswith cannot stand with offset, depth, distance or within")
        for name, bound in (("depth", c.depth), ("within", c.within)):
            if isinstance(bound, int) and bound < size:
                raise ContradictionError(f"{name} {bound} is less than the {size} bytes of the content: it can never match")
        if c.fast_pattern is not None:
            if c.negated and (absolute or relative or c.startswith or c.endswith):
                raise ContradictionError("fast_pattern on a negated content with a position")
            if c.fast_pattern.only and (c.negated or absolute or relative):
                raise ContradictionError("fast_pattern:only on a content that is negated or has a position")
            if c.fast_pattern.chop is not None and sum(c.fast_pattern.chop) > size:
                first, length = c.fast_pattern.chop
                raise ContradictionError(f"fast_pattern:{first},{length} lies outside the content's {size} bytes")

    def _directions(self) -> None:
        """`rule mixes keywords with conflicting directions`."""
        side = self.flow.side if self.flow else None
        who = "flow"
        for group in self.groups:
            own = group.side or group.buffer.side
            if own is None or not (group.steps or group.absent):
                continue
            if side is not None and own != side:
                self.option = group.option
                raise ContradictionError(f"{group.buffer.name} is {own}, {who} is {side}")
            side, who = own, group.buffer.name


def _end_of(c: ContentDraft) -> int:
    """The least length of a buffer in which this content is found, as far as it alone says."""
    start = c.offset if isinstance(c.offset, int) else 0
    return start + len(c.pattern)


def as_int(text: str) -> int | None:
    """A decimal or 0x number with an optional sign, or None."""
    if not text.isascii() or "_" in text:
        return None
    try:
        return int(text, 16 if text.lstrip("-+")[:2] in ("0x", "0X") else 10)
    except ValueError:
        return None
