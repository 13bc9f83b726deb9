"""In: the values of the options that look at headers of a packet or facts of its flow. Out: their tests in the assembly.
Never here: options that look at bytes (payload.py) or at what an application protocol says (services.py).

Sources: Suricata 8 user guide (header keywords, flow keywords), Snort 2.9 manual 3.6, Snort 3 reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

from tracehound.rules.keywords.assembly import Assembly
from tracehound.rules.keywords.keyword import ContradictionError, Keyword, KeywordError
from tracehound.rules.keywords.numbers import numbers
from tracehound.rules.keywords.payload import no_value, required, unquoted
from tracehound.rules.rule import LARGEST, FlagTest, Flow, Numbers, NumberTest, Side, WordTest

U8: Final = 255
U16: Final = 65535
U32: Final = 2**32 - 1

IP_PROTOCOLS: Final[dict[str, int]] = {
    "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipip": 4, "ip-encap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "igrp": 9, "pup": 12,
    "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41,
    "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57, "ipv6-icmp": 58, "icmpv6": 58,
    "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "etherip": 97,
    "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135,
    "udplite": 136, "mpls-in-ip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142,
}  # fmt: skip
"""Names of /etc/protocols -> IP protocol numbers."""


HIGHEST: Final[dict[str, int]] = {
    "dsize": U16, "seq": U32, "ack": U32, "ip_proto": U8, "fragoffset": U16, "stream_size": U32, "flow.pkts": U32,
    "flow.bytes": LARGEST, "vlan.id": 4095, "filesize": LARGEST, "urilen": U16, "iprep": 127, "dcerpc.opnum": U16,
}  # fmt: skip
"""Keyword -> the largest number it can have: where an open end is, when a rule is printed."""


SCTP_CHUNKS: Final[dict[str, int]] = {
    "data": 0, "init": 1, "init_ack": 2, "sack": 3, "heartbeat": 4, "hb_ack": 5, "abort": 6, "shutdown": 7, "shutdown_ack": 8,
    "error": 9, "cookie_echo": 10, "cookie_ack": 11, "ecne": 12, "cwr": 13, "shutdown_complete": 14, "forward_tsn": 192,
}  # fmt: skip
"""Names of SCTP chunks (RFC 9260 3.2, RFC 3758)."""


def number_test(
    keyword: str, high: int, names: Mapping[str, int] | None = None, low: int = 0
) -> Callable[[Assembly, str | None], None]:
    """A reader for a number that is compared."""
    HIGHEST[keyword] = high

    def read(a: Assembly, value: str | None) -> None:
        a.tests.append(NumberTest(keyword, numbers(unquoted(value), low, high, names)))
        a.need("test:" + keyword)

    return read


def word_test(keyword: str, words: str = "", *, alone: bool = False) -> Callable[[Assembly, str | None], None]:
    """A reader for words after commas, each one of `words` (any if empty), as a whole negated by `!`."""
    known = frozenset(words.split())

    def read(a: Assembly, value: str | None) -> None:
        if alone:
            no_value(value)
            a.tests.append(WordTest(keyword))
        else:
            text = unquoted(value).strip()
            negated = text.startswith("!")
            given = tuple(w.strip() for w in text.lstrip("! ").split(","))
            for word in given:
                if not word or (known and word.lower() not in known):
                    raise KeywordError(f"{word[:40]!r} is not one of {', '.join(sorted(known))}")
            a.tests.append(WordTest(keyword, given, negated))
        a.need("test:" + keyword)

    return read


def _dsize(a: Assembly, value: str | None) -> None:
    a.once("dsize")
    a.tests.append(NumberTest("dsize", numbers(required(value), 0, U16)))
    a.need("test:dsize")


_FLAG_BITS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "2": 64, "C": 128, "1": 128, "0": 0}
_FRAGMENT_BITS: Final = {"M": 1, "D": 2, "R": 4}


def _bits(text: str, known: Mapping[str, int]) -> int:
    bits = 0
    for letter in text:
        if letter.upper() not in known:
            raise KeywordError(f"{letter!r} is no flag")
        bits |= known[letter.upper()]
    return bits


def _flag_test(keyword: str, known: Mapping[str, int]) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        first, comma, second = required(value).replace(" ", "").partition(",")
        sign = first[0] if first and first[0] in "+*!" else first[-1] if first and first[-1] in "+*!" else "="
        letters = first.strip("+*!")
        if not letters:
            raise KeywordError("names no flag")
        bits = _bits(letters, known)
        ignored = _bits(second, known) if comma else 0
        a.tests.append(FlagTest(keyword, cast('Literal["=", "+", "*", "!"]', sign), bits, ignored))
        a.need("test:" + keyword)

    return read


_IP_OPTIONS: Final = "rr eol nop ts sec esec lsrr lsrre ssrr satid cipso rtralt any"


def _ip_proto(a: Assembly, value: str | None) -> None:
    a.tests.append(NumberTest("ip_proto", numbers(required(value), 0, U8, IP_PROTOCOLS)))
    a.need("test:ip_proto")


def _geoip(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    where = "any"
    if words[0] in ("src", "dst", "both", "any", "dest"):
        where = words.pop(0)
    negated = all(w.startswith("!") for w in words)
    if not words or any(not w.lstrip("!") for w in words) or (not negated and any(w.startswith("!") for w in words)):
        raise KeywordError("needs countries, all of them negated or none")
    a.tests.append(WordTest("geoip", tuple(w.lstrip("!").upper() for w in words), negated, where))
    a.need("test:geoip")


# -- flow -----------------------------------------------------------------------------------------------------------------------

_FLOW: Final[dict[str, tuple[str, str]]] = {
    "to_server": ("side", "to_server"), "from_client": ("side", "to_server"),
    "to_client": ("side", "to_client"), "from_server": ("side", "to_client"),
    "established": ("state", "established"), "not_established": ("state", "not_established"), "stateless": ("state", "stateless"),
    "only_stream": ("stream", "only_stream"), "no_stream": ("stream", "no_stream"),
    "only_frag": ("fragments", "only_frag"), "no_frag": ("fragments", "no_frag"),
}  # fmt: skip


def _flow(a: Assembly, value: str | None) -> None:
    a.once("flow")
    said: dict[str, str] = {}
    for raw in required(value).lower().split(","):
        word = raw.strip()
        part = _FLOW.get(word)
        if part is None:
            raise KeywordError(f"{word[:40]!r} is none of {', '.join(sorted(_FLOW))}")
        if said.setdefault(part[0], part[1]) != part[1]:
            raise ContradictionError(f"{said[part[0]]} and {part[1]} exclude each other")
        if part[0] == "fragments":
            a.need("flow:" + word)
    if "only_stream" in said.values() and "fragments" in said:
        raise ContradictionError(f"only_stream and {said['fragments']} exclude each other")
    a.flow = Flow(
        cast("Side | None", said.get("side")),
        cast('Literal["established", "not_established", "stateless"] | None', said.get("state")),
        cast('Literal["only_stream", "no_stream"] | None', said.get("stream")),
        cast('Literal["only_frag", "no_frag"] | None', said.get("fragments")),
    )
    a.flow_option = a.option
    a.need("flow")


_STREAM_SIZE: Final = re.compile(r"(server|client|both|either)\s*,\s*(<=|>=|!=|[<>=])\s*,?\s*(\d{1,10})")
_STREAM_SIZE_3: Final = re.compile(r"([<>=!\d][<>=\d]*)\s*(?:,\s*(to_server|to_client|both|either))?")


def _stream_size(a: Assembly, value: str | None) -> None:
    m = _STREAM_SIZE.fullmatch(required(value))
    other = _STREAM_SIZE_3.fullmatch(required(value))
    if other is not None:
        # Snort 3: comparison, then direction.
        side = {"to_server": "server", "to_client": "client"}.get(other[2] or "either", other[2] or "either")
        a.tests.append(NumberTest("stream_size", numbers(other[1], 0, U32), side))
        a.need("test:stream_size")
        return
    if m is None:
        raise KeywordError("needs server, client, both or either, a comparison, a number")
    a.tests.append(NumberTest("stream_size", numbers(m[2] + m[3], 0, U32), m[1]))
    a.need("test:stream_size")


_FLOW_SIDES: Final = ("toserver", "toclient", "either", "both")


def _flow_count(keyword: str, high: int) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        side, comma, rest = required(value).partition(",")
        if not comma or side.strip() not in _FLOW_SIDES:
            raise KeywordError(f"needs one of {', '.join(_FLOW_SIDES)}, then a number")
        a.tests.append(NumberTest(keyword, numbers(rest, 0, high), side.strip()))
        a.need("test:" + keyword)

    return read


def _flow_count_side(keyword: str, high: int, side: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        a.tests.append(NumberTest(keyword, numbers(required(value), 0, high), side))
        a.need("test:" + keyword)

    return read


def _vlan_id(a: Assembly, value: str | None) -> None:
    text, comma, layer = required(value).rpartition(",")
    if not comma:
        text, layer = layer, "any"
    if layer.strip() not in ("any", "all", "-3", "-2", "-1", "0", "1", "2"):
        raise KeywordError(f"{layer.strip()[:20]!r} is no layer: any, all, or -3 to 2")
    a.tests.append(NumberTest("vlan.id", numbers(text, 0, 4095), layer.strip()))
    a.need("test:vlan.id")


def _tcp_seq(keyword: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        a.tests.append(NumberTest(keyword, numbers(required(value), 0, U32)))
        a.need("test:" + keyword)

    return read


def _fragoffset(a: Assembly, value: str | None) -> None:
    a.tests.append(NumberTest("fragoffset", numbers(required(value), 0, U16)))
    a.need("test:fragoffset")


ANY_NUMBER: Final = Numbers(((0, LARGEST),))


def _n(name: str, high: int, meaning: str, aliases: str = "", dialects: str = "s", names: Mapping[str, int] | None = None) -> Keyword:
    return Keyword(name, "header", meaning, number_test(name, high, names), (), tuple(aliases.split()), dialects)


KEYWORDS: Final = (
    Keyword("dsize", "header", "bytes of payload in the packet", _dsize, dialects="s23"),
    _n("ttl", U8, "IPv4 time to live, IPv6 hop limit", dialects="s23"),
    _n("id", U16, "IPv4 identification", dialects="s23"),
    _n("tos", U8, "IPv4 type of service, IPv6 traffic class", dialects="s23"),
    _n("ipv4.len", U16, "IPv4 total length"),
    Keyword("seq", "header", "TCP sequence number", _tcp_seq("seq"), (), ("tcp.seq",), "s23"),
    Keyword("ack", "header", "TCP acknowledgement number", _tcp_seq("ack"), (), ("tcp.ack",), "s23"),
    _n("window", U16, "TCP window as sent", "tcp.window", dialects="s23"),
    _n("tcp.mss", U16, "TCP maximum segment size option"),
    _n("tcp.wscale", U8, "TCP window scale option"),
    _n("itype", U8, "ICMP type", dialects="s23"),
    _n("icode", U8, "ICMP code", dialects="s23"),
    _n("icmp_id", U16, "ICMP identifier", dialects="s23"),
    _n("icmp_seq", U16, "ICMP sequence number", dialects="s23"),
    _n("icmpv6.mtu", U32, "MTU of ICMPv6 packet too big"),
    _n("igmp.type", U8, "IGMP type"),
    Keyword("ip_proto", "header", "IP protocol by number or name", _ip_proto, dialects="s23"),
    Keyword("tcp.flags", "header", "TCP flags; `+` these and any, `*` any of these, `!` none of these", _flag_test("tcp.flags", _FLAG_BITS),
            (), ("flags",), "s23"),
    Keyword("fragbits", "header", "IPv4 fragmentation bits", _flag_test("fragbits", _FRAGMENT_BITS), dialects="s23"),
    Keyword("fragoffset", "header", "IPv4 fragment offset", _fragoffset, dialects="s23"),
    Keyword("ipopts", "header", "an IPv4 option is present", word_test("ipopts", _IP_OPTIONS), dialects="s23"),
    Keyword("sameip", "header", "source and destination are the same address", word_test("sameip", alone=True), dialects="s23"),
    Keyword("geoip", "header", "country of an address", _geoip),
    Keyword("flow", "flow", "direction, whether established, whether reassembled", _flow, dialects="s23"),
    Keyword("stream_size", "flow", "bytes of the stream so far, by sequence numbers", _stream_size, dialects="s23"),
    _n("flow.age", U32, "seconds since the flow began"),
    Keyword("flow.pkts", "flow", "packets of the flow so far", _flow_count("flow.pkts", U32)),
    Keyword("flow.bytes", "flow", "bytes of the flow so far", _flow_count("flow.bytes", LARGEST)),
    Keyword("flow.pkts_toserver", "flow", "packets to the server so far", _flow_count_side("flow.pkts", U32, "toserver")),
    Keyword("flow.pkts_toclient", "flow", "packets to the client so far", _flow_count_side("flow.pkts", U32, "toclient")),
    Keyword("flow.bytes_toserver", "flow", "bytes to the server so far", _flow_count_side("flow.bytes", LARGEST, "toserver")),
    Keyword("flow.bytes_toclient", "flow", "bytes to the client so far", _flow_count_side("flow.bytes", LARGEST, "toclient")),
    Keyword("flow.elephant", "flow", "an elephant flow", word_test("flow.elephant", "toserver toclient either both")),
    Keyword("vlan.id", "header", "VLAN tag", _vlan_id),
    _n("vlan.layers", 3, "number of VLAN tags"),
    _n("sctp.chunk_type", U8, "type of an SCTP chunk", names=SCTP_CHUNKS),
    _n("sctp.chunk_cnt", U16, "number of SCTP chunks"),
    _n("sctp.vtag", U32, "SCTP verification tag"),
    Keyword("l3_csum", "header", "IP checksum", word_test("l3_csum")),
    *(
        Keyword(f"{name}-csum", "header", f"whether the checksum of {name} holds", word_test(f"{name}-csum", "valid invalid"))
        for name in ("ipv4", "tcpv4", "tcpv6", "udpv4", "udpv6", "icmpv4", "icmpv6")
    ),
)  # fmt: skip
"""Keywords of this file."""
