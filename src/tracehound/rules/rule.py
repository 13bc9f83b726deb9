"""In: nothing. Out: what a rule is, at two levels: as it is written (header words and options in order, each with its place,
so that a rule prints back), and what it means (predicates, buffers with ordered steps, state). Never here: reading text
(grammar.py and keywords/) or matching.

Every part of the meaning is a frozen value. Numbers that the rule text gives directly are ints; those that byte_extract or
byte_math set while the rule is verified are names (`Value`). All bounds are inclusive, whatever the keyword's spelling was.

Sources: the Suricata 8 user guide (docs.suricata.io), the Snort 2.9 users manual, the Snort 3 rule writing guide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Value = int | str
"""A number, or the name of a variable of the rule."""

SMALLEST: Final = -(2**63)
LARGEST: Final = 2**63 - 1
"""Open ends of a span."""

Unit = Literal["packet", "stream", "transaction", "file"]
Side = Literal["to_server", "to_client"]


# -- as it is written -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """One option as written: `name`, or `name:value`. The value is the text between colon and semicolon, unescaped only
    for `\\;`'s sake of finding its end: `\\;`, `\\"` and `|41|` still stand in it. `line` and `column` count from 1."""

    name: str
    value: str | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Written:
    """A rule as its author wrote it. A part of the header that the author left out (Snort 3's `alert http (…)`) is empty."""

    source: str
    line: int
    column: int
    action: str
    protocol: str
    src: str
    src_ports: str
    direction: str
    dst: str
    dst_ports: str
    options: tuple[Option, ...]
    dialect: Literal["common", "snort3"] = "common"
    """snort3: written with Snort 3's inline modifiers or header, where `http_uri;` opens a buffer instead of moving a content."""


# -- sets in the header ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Inclusive ranges of 128-bit addresses, ascending and apart; IPv4 is ::ffff:a.b.c.d. An IPv4 set that is only negated
    is all of IPv4 without it and no IPv6, as in Suricata (detect-engine-address.c), and the other way round."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def is_any(self) -> bool:
        return self.ranges == ((0, 2**128 - 1),)


@dataclass(frozen=True, slots=True)
class PortSet:
    """Inclusive ranges of ports, ascending and apart."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def is_any(self) -> bool:
        return self.ranges == ((0, 65535),)


ANY_ADDRESS: Final = AddressSet(((0, 2**128 - 1),))
ANY_PORT: Final = PortSet(((0, 65535),))


@dataclass(frozen=True, slots=True)
class Protocol:
    """What the header's protocol word asks for."""

    name: str
    """The canonical word: tcp, tcp-pkt, tcp-stream, udp, icmp, sctp, ip, ipv4, ipv6, pkthdr, or an application protocol."""
    ip_protocols: tuple[int, ...] = ()
    """IP protocol numbers it runs over; () is all."""
    family: Literal["", "ipv4", "ipv6"] = ""
    service: str = ""
    """Application protocol that the flow must have been recognised as (http, tls, dns, ...); "" is any."""
    only: Literal["", "packet", "stream"] = ""
    """packet: tcp-pkt (payload of packets only); stream: tcp-stream (reassembled bytes only)."""


@dataclass(frozen=True, slots=True)
class Header:
    action: str
    """alert, drop, pass, reject, rejectsrc, rejectdst, rejectboth, log, config."""
    protocol: Protocol
    src: AddressSet
    src_ports: PortSet
    direction: Literal["->", "<>", "=>"]
    """`=>` (Suricata 8): one rule over both directions of a transaction."""
    dst: AddressSet
    dst_ports: PortSet


@dataclass(frozen=True, slots=True)
class Flow:
    """The `flow` option."""

    side: Side | None = None
    state: Literal["established", "not_established", "stateless"] | None = None
    stream: Literal["only_stream", "no_stream"] | None = None
    fragments: Literal["only_frag", "no_frag"] | None = None


# -- numbers and words ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbers:
    """Holds for x when `x & mask` (x itself where mask is None) lies in one of the inclusive spans (never, where there
    are none); `!=` and negation are written as spans as well."""

    spans: tuple[tuple[int, int], ...]
    mask: int | None = None

    def holds(self, x: int) -> bool:
        if self.mask is not None:
            x &= self.mask
        return any(low <= x <= high for low, high in self.spans)


@dataclass(frozen=True, slots=True)
class FastPattern:
    """`fast_pattern` on a content. `only` (Snort: no need to verify it again; Suricata: the same, as a hint) and chop
    (offset, length) select what goes to the prefilter; neither changes what the rule matches."""

    only: bool = False
    chop: tuple[int, int] | None = None


# -- steps: verified in order within their buffer -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Content:
    """`content`. offset and depth count from the buffer's start (depth from offset); distance from the end of the previous match
    of this buffer, within from where distance leads (a content with either is relative). startswith: at byte 0; endswith: ends at
    the buffer's end. A negated content holds where the pattern is not found in that window."""

    pattern: bytes
    negated: bool = False
    nocase: bool = False
    offset: Value | None = None
    depth: Value | None = None
    distance: Value | None = None
    within: Value | None = None
    startswith: bool = False
    endswith: bool = False
    fast_pattern: FastPattern | None = None
    replace: bytes | None = None
    """What an inline engine would write instead; no influence on alerts."""

    @property
    def relative(self) -> bool:
        return self.distance is not None or self.within is not None


@dataclass(frozen=True, slots=True)
class Pcre:
    """`pcre` (and Snort 3's `regex`). `flags` are of `imsxAEGO`: i caseless, m multiline, s dotall, x extended, A anchored at
    the start, E dollar only at the very end, G ungreedy, O no match limits. The buffer letters (U I P H D M C S Y B W V Z K)
    are not among them: they decided the group. `pattern` is the text between the slashes."""

    pattern: bytes
    flags: str = ""
    relative: bool = False
    negated: bool = False
    captures: tuple[str, ...] = ()
    """Where groups are kept, as written (`flow:name`, `pkt:name`, `alert:name`)."""


Endian = Literal["big", "little", "dce"]
Digits = Literal["", "dec", "hex", "oct", "auto"]
"""How text is read as a number: "" reads bytes; auto goes by the prefix 0x or 0, as strtoul does with base 0."""


@dataclass(frozen=True, slots=True)
class ByteTest:
    """`byte_test`: `count` bytes at `offset` compared with `value`. operator: < > = <= >= & ^, negated as a whole by `!`."""

    count: Value
    operator: Literal["<", ">", "=", "<=", ">=", "&", "^"]
    negated: bool
    value: Value
    offset: Value
    relative: bool = False
    endian: Endian = "big"
    digits: Digits = ""
    bitmask: int | None = None


@dataclass(frozen=True, slots=True)
class ByteJump:
    """`byte_jump`: moves the place that relative steps count from. count 0 jumps by post_offset alone."""

    count: Value
    offset: Value
    relative: bool = False
    multiplier: int = 1
    endian: Endian = "big"
    digits: Digits = ""
    align: int = 0
    """Round the jump up to a multiple of this; 0 is not at all."""
    origin: Literal["here", "beginning", "end"] = "here"
    """Where the jump counts from: after the bytes read, the buffer's start (from_beginning), its end (from_end)."""
    post_offset: Value = 0
    bitmask: int | None = None


@dataclass(frozen=True, slots=True)
class ByteExtract:
    """`byte_extract`: the number becomes the variable `name`."""

    count: int
    offset: Value
    name: str
    relative: bool = False
    multiplier: int = 1
    endian: Endian = "big"
    digits: Digits = ""
    align: int = 0
    bitmask: int | None = None


@dataclass(frozen=True, slots=True)
class ByteMath:
    """`byte_math`: `result` = number `operator` rvalue, unsigned."""

    count: Value
    offset: Value
    operator: Literal["+", "-", "*", "/", "<<", ">>"]
    rvalue: Value
    result: str
    relative: bool = False
    endian: Endian = "big"
    digits: Digits = ""
    bitmask: int | None = None


@dataclass(frozen=True, slots=True)
class IsDataAt:
    """`isdataat`: the buffer has more than `at` bytes after its start, or after the last match if relative."""

    at: Value
    relative: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Bsize:
    """`bsize` (Snort 3: bufferlen): the buffer's length. relative (Snort 3): what is left after the last match."""

    length: Numbers
    variable: tuple[str, str] | None = None
    """(operator, variable) where the bound is a variable; `length` is then every length."""
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Base64Decode:
    """`base64_decode`: what it decodes is the buffer `base64_data` of a later group."""

    count: int | None = None
    offset: int = 0
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """`dataset` on a buffer."""

    command: Literal["set", "unset", "isset", "isnotset"]
    name: str
    kind: str
    """string, md5, sha256, ip, ipv4, ipv6."""
    load: str | None = None
    state: str | None = None
    memcap: int | None = None
    hashsize: int | None = None
    form: str = "csv"
    """csv, json, ndjson (`format`)."""
    enrichment_key: str = ""
    value_key: str = ""
    array_key: str = ""
    remove_key: bool = False


@dataclass(frozen=True, slots=True)
class Datarep:
    """`datarep` on a buffer: the value's reputation compared with `value`."""

    name: str
    operator: Literal["<", ">", "=", "!=", "<=", ">="]
    value: int
    kind: str
    load: str | None = None
    state: str | None = None
    memcap: int | None = None
    hashsize: int | None = None


@dataclass(frozen=True, slots=True)
class Entropy:
    """`entropy` (Suricata 8): Shannon entropy in bits per byte of `count` bytes (0: all) from `offset`, compared. operator:
    < <= > >= = !=, or `between` and `outside` of `low` to `high` (between excludes both ends)."""

    operator: str
    low: float
    high: float | None = None
    count: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Asn1:
    """`asn1`: malformed ASN.1 at offset (absolute or relative)."""

    bitstring_overflow: bool = False
    double_overflow: bool = False
    oversize_length: int | None = None
    offset: int = 0
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Hash:
    """`md5`, `sha256`, `sha512` of Snort 3 and protected_content of Snort 2: the digest of `length` bytes."""

    algorithm: str
    digest: bytes
    length: int
    offset: Value | None = None
    distance: Value | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Other:
    """A step of a buffer with words only (cvs, rpc, ber_data, ...): `keyword` and what it was given."""

    keyword: str
    words: tuple[str, ...] = ()
    negated: bool = False


Step = (
    Content | Pcre | ByteTest | ByteJump | ByteExtract | ByteMath | IsDataAt | Bsize | Base64Decode | Dataset | Datarep
    | Entropy | Asn1 | Hash | Other
)  # fmt: skip


# -- buffers ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Buffer:
    """One place where bytes are looked for. The table of all is keywords/buffers.py."""

    name: str
    """Suricata's name (http.uri); Snort's own buffers keep Snort's. `payload` is what has no name: packet and stream."""
    protocols: tuple[str, ...]
    """Application protocols that have it; () is any."""
    unit: Unit
    side: Side | None
    """Direction that has it; None is both."""
    multi: bool
    """Several values per transaction: each is inspected by itself, and naming the buffer again asks for another value."""
    meaning: str
    aliases: tuple[str, ...] = ()
    """Other spellings that open it."""
    modifier: str = ""
    """The spelling that moves the content before it here (http_uri)."""
    snort2: str = ""
    snort3: str = ""
    """How these dialects say it; "" is not at all."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One transformation of a buffer. `argument` is as written, without quotes."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """What is asked of one buffer (after its transforms): the steps hold in order. Groups are in the order of the rule;
    naming a buffer twice with the same transforms continues its group, unless it is multi. `detail` selects a part
    (`http_header: field host` of Snort 3, `frame:http1.response`, an index)."""

    buffer: Buffer
    steps: tuple[Step, ...] = ()
    transforms: tuple[Transform, ...] = ()
    absent: Literal["", "only", "or_else"] = ""
    """`absent`: only: holds where the buffer does not exist; or_else: holds then too, else the steps decide."""
    detail: str = ""
    side: Side | None = None
    """`to_server`/`to_client` said of this buffer in a transactional rule; None is the buffer's own."""


# -- tests of packet, flow, transaction, file -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NumberTest:
    """A field compared with numbers: dsize, ttl, id, ack, seq, window, itype, icode, icmp_id, icmp_seq, icmpv6.mtu, tcp.mss,
    ip_proto, urilen, filesize, stream_size, flow.age, dns.opcode, tls.cert_chain_len, ... `detail` is what else was said
    (urilen: `norm` or `raw`; stream_size: `server`, `client`, `both`, `either`)."""

    keyword: str
    numbers: Numbers
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FlagTest:
    """tcp.flags and fragbits. mode: `=` exactly these, `+` these and any, `*` any of these, `!` none of these; bits in
    `ignored` are cleared first. tcp.flags: FIN 1 SYN 2 RST 4 PSH 8 ACK 16 URG 32 ECE 64 CWR 128. fragbits: MF 1 DF 2 RF 4."""

    keyword: str
    mode: Literal["=", "+", "*", "!"]
    bits: int
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class WordTest:
    """A field compared with words, any of which will do: ipopts, ssl_version, ssl_state, tls.version, app-layer-protocol,
    dns.rrtype by name, filemagic, filename, fileext, sameip, tls_cert_expired, ... Negation is of the whole."""

    keyword: str
    words: tuple[str, ...] = ()
    negated: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """app-layer-event, decode-event, stream-event, engine-event."""

    kind: Literal["app-layer", "decode", "stream", "engine"]
    name: str


@dataclass(frozen=True, slots=True)
class HashList:
    """filemd5, filesha1, filesha256: the file's digest is (not) in a list of the user's."""

    algorithm: Literal["md5", "sha1", "sha256"]
    path: str
    negated: bool = False


Test = NumberTest | FlagTest | WordTest | Event | HashList


# -- state over packets ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bits:
    """flowbits, xbits, hostbits. command: set, unset, toggle, isset, isnotset. Of several names any one will do for isset and
    none may be set for isnotset where `join` is `|`; all where it is `&`."""

    kind: Literal["flowbits", "xbits", "hostbits"]
    command: Literal["set", "unset", "toggle", "isset", "isnotset"]
    names: tuple[str, ...]
    join: Literal["|", "&"] = "|"
    track: str = ""
    """xbits: ip_src, ip_dst, ip_pair, tx; hostbits: src, dst, both."""
    expire_s: int | None = None


@dataclass(frozen=True, slots=True)
class FlowInt:
    """`flowint`: command + - = < > <= >= == != isset notset; value is a number or another flowint's name."""

    name: str
    command: str
    value: Value | None = None


State = Bits | FlowInt


@dataclass(frozen=True, slots=True)
class Threshold:
    """`threshold` (kind limit, threshold, both, backoff) and `detection_filter` (kind detection_filter; rate_filter in a
    threshold.config). Counts what matched per `track`."""

    kind: Literal["limit", "threshold", "both", "backoff", "detection_filter"]
    track: Literal["by_src", "by_dst", "by_both", "by_rule", "by_flow"]
    count: int
    seconds: int = 0
    multiplier: int = 0
    unique_on: Literal["", "src_port", "dst_port"] = ""


@dataclass(frozen=True, slots=True)
class Tag:
    """`tag`: packets kept after the alert."""

    scope: Literal["session", "host"]
    count: int
    metric: Literal["packets", "seconds", "bytes"]
    direction: Literal["", "src", "dst"] = ""


# -- the rule ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """Something that the matching engine must be able to do for this rule to be honoured: its name (support.py explains the
    names) and the option that asks for it (index into `written.options`; -1 is the header)."""

    name: str
    option: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's meaning. `written` says it in its author's words; two rules that mean the same differ in nothing else."""

    written: Written = field(compare=False)
    header: Header
    flow: Flow | None
    groups: tuple[Group, ...]
    tests: tuple[Test, ...]
    states: tuple[State, ...]
    """In the order of the rule; those that set are carried out after everything else held."""
    threshold: Threshold | None
    detection_filter: Threshold | None
    tags: tuple[Tag, ...]
    sid: int
    gid: int
    rev: int
    msg: str
    classtype: str
    priority: int | None
    """As given by `priority`; without it the classtype's."""
    references: tuple[tuple[str, str], ...]
    metadata: tuple[str, ...]
    """Each `key value` of the metadata options, in order."""
    target: Literal["", "src_ip", "dest_ip"]
    noalert: bool
    services: tuple[str, ...]
    """Snort 3's `service` option: application protocols, any of which will do."""
    prefilter: str
    """Keyword that `prefilter` was put on; a hint."""
    requires: tuple[str, ...]
    needs: tuple[Need, ...] = field(compare=False)
    extra: tuple[tuple[str, str], ...] = ()
    """Options with no influence on matching that print back: (name, value): rem, replace, bypass, filestore, config, ..."""
