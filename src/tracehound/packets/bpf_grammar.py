"""In: a capture filter in the language of tcpdump. Out: what it asks of a packet's bytes, as a tree. Never here: packets.

pcap-filter(7). It means what libpcap's compiler makes of it, also where that surprises: `and` and `or` bind alike, from the left; an
address or a port without a word before it takes the words of the one before (`port 80 or 443`); after `vlan`, `mpls` and
`pppoes` everything to the right looks behind that header; `tcp[...]` sees IPv4 only; what a load does not find rejects the packet."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracehound.errors import UsageError
from tracehound.limits import MAX_FILTER_CHARACTERS, MAX_FILTER_DEPTH
from tracehound.packets.bpf_words import (
    ETHER_NAMES,
    ETHER_PROTOCOLS,
    ICMP6,
    IP_PROTOCOLS,
    PORT_PROTOCOLS,
    PORTS,
    PROTOCOL_NAMES,
    REFUSED,
    V4_ONLY,
    VALUES,
)

LINK, NETWORK, TRANSPORT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Const:
    value: int


@dataclass(frozen=True, slots=True)
class Load:
    """`size` bytes, big-endian, at `at` behind `base`; shift: how far the network layer lies behind its first place."""

    base: int
    shift: int
    at: Value
    size: int


@dataclass(frozen=True, slots=True)
class Length:
    """Bytes on the wire."""


@dataclass(frozen=True, slots=True)
class LinkType:
    """EtherType of the frame, whatever its link."""


@dataclass(frozen=True, slots=True)
class IsEthernet:
    """1 where the frame has Ethernet addresses."""


@dataclass(frozen=True, slots=True)
class Math:
    sign: str
    left: Value
    right: Value


Value = Const | Load | Length | LinkType | IsEthernet | Math


@dataclass(frozen=True, slots=True)
class Compare:
    """sign: one of = > >= ; the others are turned round."""

    sign: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Compare | All | Any | Not
ALWAYS: Final = All(())
NEVER: Final = Any(())


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<mac>(?:[0-9A-Fa-f]{1,2}[:-]){5}[0-9A-Fa-f]{1,2}(?![0-9A-Za-z:.-])|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![0-9A-Za-z:.-]))
    |(?P<six>[0-9A-Fa-f]*:(?:[0-9A-Fa-f]*:)[0-9A-Fa-f:]*(?:\d+\.\d+\.\d+\.\d+)?)
    |(?P<four>\d+(?:\.\d+){1,3}(?![-_.0-9A-Za-z]))
    |(?P<number>(?:0[xX][0-9A-Fa-f]+|\d+)(?![-_.0-9A-Za-z]))
    |(?P<word>\\?[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?)
    |(?P<sign>&&|\|\||<<|>>|<=|>=|==|!=|[-+*/%&|^<>=!()\[\]:])""",
    re.VERBOSE,
)
_AND: Final = ("and", "&&")
_OR: Final = ("or", "||")
_NOT: Final = ("not", "!")
_RELATIONS: Final = (">", ">=", "<", "<=", "=", "==", "!=")
_PRECEDENCE: Final[tuple[tuple[str, ...], ...]] = (("|", "^"), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
_ARITHMETIC: Final = tuple(sign for signs in _PRECEDENCE for sign in signs)
_TYPES: Final = ("host", "net", "port", "portrange", "proto")
_PROTOCOLS: Final = ("ether", "link", "icmp6", *ETHER_PROTOCOLS, *IP_PROTOCOLS)
_VLAN_TYPES: Final = (0x8100, 0x88A8, 0x9100)
_PPP_PROTOCOLS: Final = {0x0800: 0x21, 0x86DD: 0x57, 0x8847: 0x281}


class Qualifiers(NamedTuple):
    """The words before an address, a port or a number."""

    protocol: str = ""
    direction: str = ""
    type: str = ""


def equal(left: Value, value: int) -> Compare:
    return Compare("=", left, Const(value))


def masked(left: Value, mask: int, value: int) -> Compare:
    return equal(Math("&", left, Const(mask)), value)


@dataclass(slots=True)
class _Headers:
    """Where the network layer begins for what stands further right, and how its protocol is told: by the frame's EtherType, by the
    type behind a tag, by PPP, or by MPLS."""

    shift: int = 0
    told_by: str = "frame"


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_FILTER_CHARACTERS:
        raise UsageError(f"filter: longer than {MAX_FILTER_CHARACTERS} characters")
    out, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UsageError(f"filter: character {at + 1}: {text[at]!r} means nothing here\n  {text}\n  {' ' * at}^")
        if match.lastgroup != "space":
            out.append(_Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return out


class _Parser:
    """One pass over the words, which writes the tree as it goes: some words change what those to their right mean."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0
        self.headers = _Headers()

    # -- words ---------------------------------------------------------------------------------------------------------

    def wrong(self, cause: str, token: _Token | None = None) -> UsageError:
        """What is wrong, at a word (or at the next one)."""
        at = token.at if token else self.tokens[self.at].at if self.at < len(self.tokens) else len(self.text)
        return UsageError(f"filter: character {at + 1}: {cause}\n  {self.text}\n  {' ' * at}^")

    def peek(self, ahead: int = 0) -> str:
        """The next word, in lower case; empty at the end."""
        place = self.at + ahead
        return self.tokens[place].text.lower() if place < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def take(self) -> _Token:
        if self.at >= len(self.tokens):
            raise self.wrong("the filter ends where something is missing")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, sign: str) -> None:
        if self.peek() != sign:
            raise self.wrong(f"{sign!r} is missing")
        self.at += 1

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_FILTER_DEPTH:
            raise self.wrong(f"nested deeper than {MAX_FILTER_DEPTH}")

    # -- expressions ---------------------------------------------------------------------------------------------------

    def whole(self) -> Condition:
        if not self.tokens:
            return ALWAYS
        condition = self.expression()
        if self.at < len(self.tokens):
            raise self.wrong(f"{self.peek()!r} does not belong here")
        return condition

    def expression(self) -> Condition:
        """Terms joined by `and` and `or`, which bind alike, from the left."""
        left, words = self.term()
        while self.peek() in (*_AND, *_OR):
            both = self.take().text.lower() in _AND
            if words is not None and self.begins_identifier():
                right: Condition = self.identifier(words)
            else:
                right, own = self.term()
                words = own if own is not None else words
            left = All((left, right)) if both else Any((left, right))
        return left

    def begins_identifier(self) -> bool:
        """Whether an address, a port or a number stands here, rather than a primitive."""
        ahead = 0
        while self.peek(ahead) in _NOT:
            ahead += 1
        place = self.at + ahead
        if place >= len(self.tokens):
            return False
        kind, word, after = self.tokens[place].kind, self.peek(ahead), self.peek(ahead + 1)
        if kind in ("mac", "six", "four"):
            return True
        if kind == "number":
            return after not in (*_RELATIONS, *_ARITHMETIC)
        return kind == "word" and (word.startswith("\\") or not self.is_primitive(word))

    def is_primitive(self, word: str) -> bool:
        return word in _PRIMITIVES or word in _PROTOCOLS or word in _TYPES or word in VALUES or word in REFUSED or word in (
            "src", "dst", "len", *_NOT, *_AND, *_OR,
        )  # fmt: skip

    def term(self) -> tuple[Condition, Qualifiers | None]:
        """Returns the condition, and the words that a bare identifier to the right takes over."""
        self.deeper()
        try:
            word = self.peek()
            if word in _NOT:
                self.take()
                part, words = self.term()
                return Not(part), words
            if word == "(" and not self.parenthesis_is_arithmetic():
                self.take()
                inner = self.expression()
                self.expect(")")
                return inner, None
            if self.kind() in ("number", "sign") or word in VALUES or word == "len" or self.peek(1) == "[":
                return self.relation(), None
            if word in _PRIMITIVES:
                self.take()
                return _PRIMITIVES[word](self, ""), None
            return self.qualified()
        finally:
            self.depth -= 1

    def parenthesis_is_arithmetic(self) -> bool:
        """Whether the parenthesis that opens here is part of a sum: an operator follows the one that closes it."""
        open_ones = 0
        for place in range(self.at, len(self.tokens)):
            text = self.tokens[place].text
            open_ones += (text == "(") - (text == ")")
            if open_ones == 0:
                after = self.tokens[place + 1].text if place + 1 < len(self.tokens) else ""
                return after in (*_RELATIONS, *_ARITHMETIC)
        raise self.wrong("this parenthesis is never closed")

    # -- primitives with qualifiers --------------------------------------------------------------------------------------

    def qualified(self) -> tuple[Condition, Qualifiers | None]:
        start = self.tokens[self.at] if self.at < len(self.tokens) else None
        protocol = direction = kind = ""
        if self.peek() in _PROTOCOLS and self.kind() == "word":
            protocol = self.take().text.lower()
            if self.peek() in ("broadcast", "multicast"):
                return _PRIMITIVES[self.take().text.lower()](self, protocol), None
        direction = self.direction()
        if self.peek() in _TYPES:
            kind = self.take().text.lower()
        words = Qualifiers(protocol, direction, kind)
        if protocol and not direction and not kind and not self.begins_identifier():
            return self.protocol_alone(protocol, start), words
        if not (protocol or direction or kind):
            token = self.tokens[self.at] if self.at < len(self.tokens) else None
            if token is None:
                raise self.wrong("the filter ends where a primitive is missing")
            if token.text.lower() in REFUSED:
                raise self.wrong(f"primitive {token.text!r} is not supported", token)
            if token.kind == "word":
                raise self.wrong(f"unknown primitive {token.text!r}", token)
        if self.peek() == "(":
            return self.group(words), words
        return self.identifier(words), words

    def direction(self) -> str:
        if self.peek() not in ("src", "dst"):
            return ""
        first = self.take().text.lower()
        if self.peek() in (*_AND, *_OR) and self.peek(1) in ("src", "dst") and self.peek(1) != first:
            joined = "both" if self.take().text.lower() in _AND else ""
            self.take()
            return joined or "either"
        return first

    def group(self, words: Qualifiers) -> Condition:
        """`port (80 or 443)`."""
        self.deeper()
        self.expect("(")
        left = self.group(words) if self.peek() == "(" else self.identifier(words)
        while self.peek() in (*_AND, *_OR):
            both = self.take().text.lower() in _AND
            right = self.group(words) if self.peek() == "(" else self.identifier(words)
            left = All((left, right)) if both else Any((left, right))
        self.expect(")")
        self.depth -= 1
        return left

    def identifier(self, words: Qualifiers) -> Condition:
        if self.peek() in _NOT:
            self.take()
            return Not(self.identifier(words))
        token = self.take()
        kind = words.type or "host"
        return {
            "host": self.host, "net": self.net, "port": self.port, "portrange": self.port_range, "proto": self.protocol_number,
        }[kind](token, words)  # fmt: skip

    def protocol_alone(self, protocol: str, token: _Token | None) -> Condition:
        if protocol in ETHER_PROTOCOLS:
            return self.linked(ETHER_PROTOCOLS[protocol])
        if protocol == "icmp6":
            return self.six_protocol(ICMP6)
        if protocol in V4_ONLY:
            return self.four_protocol(IP_PROTOCOLS[protocol])
        if protocol in IP_PROTOCOLS:
            return Any((self.four_protocol(IP_PROTOCOLS[protocol]), self.six_protocol(IP_PROTOCOLS[protocol])))
        raise self.wrong(f"{protocol!r} alone asks nothing", token)

    # -- what is loaded ----------------------------------------------------------------------------------------------------

    def net_load(self, at: int, size: int) -> Load:
        return Load(NETWORK, self.headers.shift, Const(at), size)

    def linked(self, ether_type: int) -> Condition:
        """The network layer is of this EtherType."""
        if self.headers.told_by == "frame":
            return equal(LinkType(), ether_type)
        if self.headers.told_by == "mpls":
            # The label at the bottom of the stack, and the version nibble behind it.
            nibble = {0x0800: 4, 0x86DD: 6}.get(ether_type)
            bottom = masked(self.net_load(-2, 1), 1, 1)
            return NEVER if nibble is None else All((bottom, masked(self.net_load(0, 1), 0xF0, nibble << 4)))
        if self.headers.told_by == "ppp":
            ether_type = _PPP_PROTOCOLS.get(ether_type, ether_type)
        return equal(self.net_load(-2, 2), ether_type)

    def four_protocol(self, number: int) -> Condition:
        return All((self.linked(0x0800), equal(self.net_load(9, 1), number)))

    def six_protocol(self, number: int) -> Condition:
        """IPv6 with this next header, also behind a fragment header."""
        behind = All((equal(self.net_load(6, 1), 44), equal(self.net_load(40, 1), number)))
        return All((self.linked(0x86DD), Any((equal(self.net_load(6, 1), number), behind))))

    def first_fragment(self) -> Condition:
        return masked(self.net_load(6, 2), 0x1FFF, 0)

    @staticmethod
    def directed(words: Qualifiers, source: Condition, destination: Condition) -> Condition:
        if words.direction == "src":
            return source
        if words.direction == "dst":
            return destination
        return All((source, destination)) if words.direction == "both" else Any((source, destination))

    # -- hosts and networks ------------------------------------------------------------------------------------------------

    def host(self, token: _Token, words: Qualifiers) -> Condition:
        if token.kind == "mac":
            return self.ether_host(token, words)
        if words.protocol in ("ether", "link"):
            raise self.wrong(f"{token.text!r} is no Ethernet address", token)
        if self.peek() == "/":
            raise self.wrong("a prefix length needs the word net")
        if token.kind == "six":
            return self.six(ipaddress.IPv6Network(self.six_address(token)), words, token)
        value, bits = self.four_parts(token)
        return self.four(value, (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF, words, token)

    def net(self, token: _Token, words: Qualifiers) -> Condition:
        length: int | None = None
        mask: int | None = None
        if self.peek() == "/":
            self.take()
            length = self.number(self.take(), 128 if token.kind == "six" else 32, "prefix length")
        elif self.peek() == "mask":
            self.take()
            mask_token = self.take()
            mask = self.four_parts(mask_token)[0]
        if token.kind == "six":
            if mask is not None:
                raise self.wrong("an IPv6 network has a prefix length", token)
            address = self.six_address(token)
            try:
                return self.six(ipaddress.IPv6Network((address, 128 if length is None else length)), words, token)
            except ValueError:
                raise self.wrong(f"bits of {token.text!r} are set behind the prefix", token) from None
        value, bits = self.four_parts(token)
        if mask is None:
            if length is None and token.kind == "number":
                # A number stands for its leading bytes: net 10 is 10.0.0.0/8.
                bits = 32
                while value and not value & 0xFF000000:
                    value, bits = value << 8, bits - 8
            mask = (0xFFFFFFFF << (32 - (bits if length is None else length))) & 0xFFFFFFFF
        if value & ~mask & 0xFFFFFFFF:
            raise self.wrong(f"bits of {token.text!r} are set behind the mask", token)
        return self.four(value, mask, words, token)

    def six_address(self, token: _Token) -> ipaddress.IPv6Address:
        try:
            return ipaddress.IPv6Address(token.text)
        except ValueError:
            raise self.wrong(f"{token.text!r} is no address", token) from None

    def four_parts(self, token: _Token) -> tuple[int, int]:
        """An IPv4 address or its first bytes: (value as 32 bits, bits given)."""
        if token.kind == "number":
            return self.number(token, 0xFFFFFFFF, "address"), 32
        if token.kind != "four":
            raise self.wrong(f"{token.text!r} is no address (names are not resolved)", token)
        parts = [int(p) for p in token.text.split(".")]
        if max(parts) > 255:
            raise self.wrong(f"{token.text!r} is no address", token)
        bits = 8 * len(parts)
        return int.from_bytes(bytes(parts), "big") << (32 - bits), bits

    def four(self, value: int, mask: int, words: Qualifiers, token: _Token) -> Condition:
        def at(where: int) -> Condition:
            load = self.net_load(where, 4)
            return equal(load, value) if mask == 0xFFFFFFFF else masked(load, mask, value)

        # RFC 791: source 12, destination 16. RFC 826 over Ethernet: sender 14, target 24.
        ends = {"ip": (0x0800, 12, 16), "arp": (0x0806, 14, 24), "rarp": (0x8035, 14, 24)}
        if words.protocol and words.protocol not in ends:
            raise self.wrong(f"{words.protocol!r} does not go with an IPv4 address", token)
        chosen = [ends[words.protocol]] if words.protocol else list(ends.values())
        return Any(tuple(All((self.linked(kind), self.directed(words, at(src), at(dst)))) for kind, src, dst in chosen))

    def six(self, network: ipaddress.IPv6Network, words: Qualifiers, token: _Token) -> Condition:
        if words.protocol not in ("", "ip6"):
            raise self.wrong(f"{words.protocol!r} does not go with an IPv6 address", token)
        address, mask = network.network_address.packed, network.netmask.packed

        def at(where: int) -> Condition:
            parts: list[Condition] = []
            for word in range(0, 16, 4):
                bits = int.from_bytes(mask[word : word + 4], "big")
                wanted = int.from_bytes(address[word : word + 4], "big")
                if bits == 0xFFFFFFFF:
                    parts.append(equal(self.net_load(where + word, 4), wanted))
                elif bits:
                    parts.append(masked(self.net_load(where + word, 4), bits, wanted))
            return All(tuple(parts))

        # RFC 8200: source 8, destination 24.
        return All((self.linked(0x86DD), self.directed(words, at(8), at(24))))

    def ether_host(self, token: _Token, words: Qualifiers) -> Condition:
        if words.protocol not in ("ether", "link") or words.type not in ("", "host"):
            raise self.wrong(f"{token.text!r} needs the word ether before it", token)
        if "." in token.text:
            address = bytes.fromhex(token.text.replace(".", ""))
        else:
            address = bytes(int(part, 16) for part in re.split("[:-]", token.text))
        return All((equal(IsEthernet(), 1), self.directed(words, self.ether_address(6, address), self.ether_address(0, address))))

    @staticmethod
    def ether_address(at: int, address: bytes) -> Condition:
        return All((
            equal(Load(LINK, 0, Const(at), 4), int.from_bytes(address[:4], "big")),
            equal(Load(LINK, 0, Const(at + 4), 2), int.from_bytes(address[4:], "big")),
        ))  # fmt: skip

    # -- ports and protocols -----------------------------------------------------------------------------------------------

    def number(self, token: _Token, largest: int, what: str) -> int:
        if token.kind != "number":
            raise self.wrong(f"{token.text!r} is no {what}", token)
        digits = token.text.lower()
        # As in C: 0x is hexadecimal, a leading 0 octal.
        octal = len(digits) > 1 and digits[0] == "0" and digits[1] != "x"
        try:
            value = int(digits, 16 if digits[:2] == "0x" else 8 if octal else 10)
        except ValueError:
            raise self.wrong(f"{token.text!r} is no number", token) from None
        if value > largest:
            raise self.wrong(f"{what} {token.text} is larger than {largest}", token)
        return value

    def port_number(self, text: str, token: _Token, words: Qualifiers) -> tuple[int, tuple[str, ...]]:
        """(number, protocols) of a port, by number or by name."""
        asked = (words.protocol,) if words.protocol else PORT_PROTOCOLS
        if text.isdigit() or text.lower().startswith("0x"):
            return self.number(_Token("number", text, token.at), 65535, "port"), asked
        if text.lower().lstrip("\\") not in PORTS:
            raise self.wrong(f"unknown port {text!r}", token)
        port, named = PORTS[text.lower().lstrip("\\")]
        if words.protocol and words.protocol not in named:
            raise self.wrong(f"port {text!r} is one of {' and '.join(named)}", token)
        # A name of both stands for all that has ports.
        return port, asked if words.protocol or len(named) > 1 else named

    def check_port_words(self, words: Qualifiers, token: _Token) -> None:
        if words.protocol and words.protocol not in PORT_PROTOCOLS:
            raise self.wrong(f"{words.protocol!r} has no ports", token)

    def port(self, token: _Token, words: Qualifiers) -> Condition:
        self.check_port_words(words, token)
        port, protocols = self.port_number(token.text, token, words)
        return self.ports(port, port, protocols, words)

    def port_range(self, token: _Token, words: Qualifiers) -> Condition:
        self.check_port_words(words, token)
        whole = re.fullmatch(r"(.+?)-(\d+|[A-Za-z].*)", token.text)
        if whole is None:
            port, protocols = self.port_number(token.text, token, words)
            return self.ports(port, port, protocols, words)
        first, protocols = self.port_number(whole[1], token, words)
        last, _ = self.port_number(whole[2], token, words)
        return self.ports(min(first, last), max(first, last), protocols, words)

    def ports(self, first: int, last: int, protocols: tuple[str, ...], words: Qualifiers) -> Condition:
        numbers = [IP_PROTOCOLS[p] for p in protocols]

        def within(load: Load) -> Condition:
            return equal(load, first) if first == last else All((Compare(">=", load, Const(first)), Compare(">=", Const(last), load)))

        def over(proto_at: int, base: int, skip: int) -> tuple[Condition, Condition]:
            ends = [within(Load(base, self.headers.shift, Const(skip + at), 2)) for at in (0, 2)]
            return Any(tuple(equal(self.net_load(proto_at, 1), n) for n in numbers)), self.directed(words, ends[0], ends[1])

        four_protocol, four_ports = over(9, TRANSPORT, 0)
        six_protocol, six_ports = over(6, NETWORK, 40)
        return Any((
            All((self.linked(0x86DD), six_protocol, six_ports)),
            All((self.linked(0x0800), four_protocol, self.first_fragment(), four_ports)),
        ))  # fmt: skip

    def protocol_number(self, token: _Token, words: Qualifiers) -> Condition:
        name = token.text.lower().lstrip("\\")
        over_link = words.protocol in ("ether", "link")
        names = ETHER_NAMES if over_link else PROTOCOL_NAMES
        if words.direction:
            raise self.wrong("a protocol has no direction", token)
        if token.kind == "word" and name not in names:
            raise self.wrong(f"unknown protocol {token.text!r}", token)
        number = names[name] if token.kind == "word" else self.number(token, 0xFFFF if over_link else 255, "protocol")
        if over_link:
            return self.linked(number)
        if words.protocol not in ("", "ip", "ip6"):
            raise self.wrong(f"{words.protocol!r} carries no protocol that has a number", token)
        four, six = self.four_protocol(number), self.six_protocol(number)
        return {"": Any((four, six)), "ip": four, "ip6": six}[words.protocol]

    # -- primitives of one word ----------------------------------------------------------------------------------------------

    def optional_number(self, largest: int, what: str) -> int | None:
        if self.kind() != "number" or self.peek(1) in (*_RELATIONS, *_ARITHMETIC):
            return None
        return self.number(self.take(), largest, what)

    def vlan(self, _protocol: str) -> Condition:
        if self.headers.told_by == "mpls":
            raise self.wrong("no vlan behind mpls", self.tokens[self.at - 1])
        vlan = self.optional_number(4095, "VLAN")
        found: Condition = Any(tuple(self.linked(kind) for kind in _VLAN_TYPES))
        if vlan is not None:
            found = All((found, masked(self.net_load(0, 2), 0x0FFF, vlan)))
        self.headers = _Headers(self.headers.shift + 4, "ppp" if self.headers.told_by == "ppp" else "tag")
        return found

    def mpls(self, _protocol: str) -> Condition:
        label = self.optional_number(0xFFFFF, "MPLS label")
        if self.headers.told_by == "mpls":
            # Not the bottom of the stack: one more label follows.
            found: Condition = masked(self.net_load(-2, 1), 1, 0)
        else:
            found = self.linked(0x8847)
        if label is not None:
            found = All((found, masked(self.net_load(0, 4), 0xFFFFF000, label << 12)))
        self.headers = _Headers(self.headers.shift + 4, "mpls")
        return found

    def pppoed(self, _protocol: str) -> Condition:
        return self.linked(0x8863)

    def pppoes(self, _protocol: str) -> Condition:
        session = self.optional_number(0xFFFF, "PPPoE session")
        found = self.linked(0x8864)
        if session is not None:
            found = All((found, equal(self.net_load(2, 2), session)))
        self.headers = _Headers(self.headers.shift + 8, "ppp")
        return found

    def less(self, _protocol: str) -> Condition:
        return Compare(">=", Const(self.number(self.take(), 0xFFFFFFFF, "length")), Length())

    def greater(self, _protocol: str) -> Condition:
        return Compare(">=", Length(), Const(self.number(self.take(), 0xFFFFFFFF, "length")))

    def broadcast(self, protocol: str) -> Condition:
        if protocol == "ip":
            # A capture does not tell a netmask; tcpdump takes 0 when it reads a file, which leaves these two.
            ends = (equal(self.net_load(16, 4), 0), equal(self.net_load(16, 4), 0xFFFFFFFF))
            return All((self.linked(0x0800), Any(ends)))
        if protocol not in ("", "ether", "link"):
            raise self.wrong(f"{protocol!r} has no broadcast", self.tokens[self.at - 1])
        return All((equal(IsEthernet(), 1), self.ether_address(0, b"\xff" * 6)))

    def multicast(self, protocol: str) -> Condition:
        if protocol in ("", "ether", "link"):
            return All((equal(IsEthernet(), 1), masked(Load(LINK, 0, Const(0), 1), 1, 1)))
        if protocol == "ip":
            return All((self.linked(0x0800), Compare(">=", self.net_load(16, 1), Const(224))))
        if protocol == "ip6":
            return All((self.linked(0x86DD), equal(self.net_load(24, 1), 255)))
        raise self.wrong(f"{protocol!r} has no multicast", self.tokens[self.at - 1])

    def stp(self, _protocol: str) -> Condition:
        # IEEE 802.1D over LLC: a length instead of an EtherType, DSAP and SSAP 0x42.
        return All((Compare(">=", Const(1500), LinkType()), equal(self.net_load(0, 2), 0x4242)))

    # -- numbers ---------------------------------------------------------------------------------------------------------------

    def relation(self) -> Condition:
        checks: list[Condition] = []
        left = self.sum(0, checks)
        sign = self.peek()
        if sign not in _RELATIONS:
            raise self.wrong("a comparison is missing" if sign == "" else f"{sign!r} compares nothing")
        self.take()
        right = self.sum(0, checks)
        turned = {"<": (">", right, left), "<=": (">=", right, left), "!=": ("=", left, right), "==": ("=", left, right)}
        sign_now, a, b = turned.get(sign, (sign, left, right))
        compared: Condition = Compare(sign_now, a, b)
        if sign == "!=":
            compared = Not(compared)
        return All((*dict.fromkeys(checks), compared))

    def sum(self, level: int, checks: list[Condition]) -> Value:
        if level == len(_PRECEDENCE):
            return self.factor(checks)
        left = self.sum(level + 1, checks)
        while self.peek() in _PRECEDENCE[level]:
            token = self.take()
            right = self.sum(level + 1, checks)
            if token.text in ("/", "%") and right == Const(0):
                raise self.wrong("division by zero", token)
            left = Math(token.text, left, right)
        return left

    def factor(self, checks: list[Condition]) -> Value:
        self.deeper()
        try:
            token = self.take()
            word = token.text.lower()
            if word == "(":
                inner = self.sum(0, checks)
                self.expect(")")
                return inner
            if word == "-":
                return Math("-", Const(0), self.factor(checks))
            if token.kind == "number":
                return Const(self.number(token, 0xFFFFFFFF, "number"))
            if word in VALUES:
                return Const(VALUES[word])
            if word == "len":
                return Length()
            if self.peek() == "[":
                return self.load(word, token, checks)
            raise self.wrong(f"{token.text!r} is no number", token)
        finally:
            self.depth -= 1

    def load(self, protocol: str, token: _Token, checks: list[Condition]) -> Load:
        """`proto[at:size]`: the bytes, and in `checks` what must hold for them to be there."""
        self.expect("[")
        at = self.sum(0, checks)
        size = 1
        if self.peek() == ":":
            self.take()
            size_token = self.take()
            size = self.number(size_token, 4, "size")
            if size not in (1, 2, 4):
                raise self.wrong("a load has 1, 2 or 4 bytes", size_token)
        self.expect("]")
        if protocol in ("ether", "link"):
            return Load(LINK, 0, at, size)
        shift = self.headers.shift
        if protocol in ETHER_PROTOCOLS:
            checks.append(self.linked(ETHER_PROTOCOLS[protocol]))
            return Load(NETWORK, shift, at, size)
        if protocol == "icmp6":
            checks += [self.linked(0x86DD), equal(self.net_load(6, 1), ICMP6)]
            return Load(NETWORK, shift, Math("+", Const(40), at), size)
        if protocol in IP_PROTOCOLS:
            checks += [self.linked(0x0800), equal(self.net_load(9, 1), IP_PROTOCOLS[protocol]), self.first_fragment()]
            return Load(TRANSPORT, shift, at, size)
        known = "is not supported" if protocol in REFUSED else "is unknown"
        raise self.wrong(f"protocol {token.text!r} {known}", token)


_PRIMITIVES: Final = {
    "vlan": _Parser.vlan, "mpls": _Parser.mpls, "pppoed": _Parser.pppoed, "pppoes": _Parser.pppoes, "less": _Parser.less,
    "greater": _Parser.greater, "broadcast": _Parser.broadcast, "multicast": _Parser.multicast, "stp": _Parser.stp,
}  # fmt: skip
"""Primitives that stand alone (with a number, some of them)."""


def parse(text: str) -> Condition:
    """What a filter asks. Raises UsageError, which names the word and its place."""
    return _Parser(text).whole()


def begins_filter(word: str) -> bool:
    """Whether a word of a command line can only be the beginning of a filter: a keyword, an address, a number, a parenthesis."""
    first = _TOKEN.match(word)
    if first is None:
        return False
    known = (*_PRIMITIVES, *_PROTOCOLS, *_TYPES, *VALUES, *REFUSED, "src", "dst", "len", *_NOT, "(")
    return first.lastgroup in ("mac", "six", "four") or first.group().lower() in known
