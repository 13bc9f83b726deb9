"""In: the words of a rule's header (`[10.0.0.0/8,!10.1.0.0/16]`, `$HTTP_PORTS`, `1024:`) and what the variables stand for.
Out: sets of addresses and ports as ascending ranges. Never here: where variables come from (settings.py).

Follows Suricata (detect-engine-address.c, detect-engine-port.c): a list that only negates means everything else of the address
family it names; a set that comes out empty is an error, and so is `!any`. A negated list inside a list is taken as the set it
describes, where Suricata refuses or flattens it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_RULE_SET_ITEMS, MAX_RULE_SET_NESTING
from tracehound.rules.keywords.keyword import ContradictionError, KeywordError, UndefinedVariableError
from tracehound.rules.rule import ANY_ADDRESS, ANY_PORT, AddressSet, PortSet

Ranges = tuple[tuple[int, int], ...]
_ALL: Final[Ranges] = ((0, 2**128 - 1),)
_V4: Final = (0xFFFF_0000_0000, 0xFFFF_FFFF_FFFF)
_V6: Final[Ranges] = ((0, _V4[0] - 1), (_V4[1] + 1, 2**128 - 1))
_ALL_PORTS: Final[Ranges] = ((0, 65535),)
_TOKEN: Final = re.compile(r"\s*(!|\[|\]|,|\$\([^)]*\)|[^\s!\[\],]+)\s*")
_PORT_TOKEN: Final = re.compile(r"\s*(!|\[|\]|,|\$\([^)]*\)|\d+\s*:\s*\d*|:\s*\d+|[^\s!\[\],]+)\s*")
_NUMBER: Final = re.compile(r"\d{1,5}")


@dataclass(frozen=True, slots=True)
class Variables:
    """What `$NAME` stands for: text as written in a configuration. Ports and addresses have a name space each; a name that
    only the other one has is found there (Snort 2's `var` knows no difference)."""

    addresses: dict[str, str] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)
    _cache: dict[tuple[str, str], AddressSet | PortSet] = field(default_factory=dict, repr=False, compare=False)

    def with_values(self, addresses: dict[str, str], ports: dict[str, str]) -> Variables:
        """The same with some names set anew."""
        return Variables({**self.addresses, **addresses}, {**self.ports, **ports})

    def address_set(self, text: str) -> AddressSet:
        """The set that `text` describes; raises KeywordError where it describes none."""
        key = ("a", text)
        found = self._cache.get(key)
        if found is None:
            ranges = _Reader(self, ports=False).read(text)
            found = self._cache[key] = ANY_ADDRESS if ranges == _ALL else AddressSet(ranges)
        assert isinstance(found, AddressSet)
        return found

    def port_set(self, text: str) -> PortSet:
        """The set that `text` describes; raises KeywordError where it describes none."""
        key = ("p", text)
        found = self._cache.get(key)
        if found is None:
            ranges = _Reader(self, ports=True).read(text)
            found = self._cache[key] = ANY_PORT if ranges == _ALL_PORTS else PortSet(ranges)
        assert isinstance(found, PortSet)
        return found


def union(ranges: list[tuple[int, int]]) -> Ranges:
    """Ascending ranges that do not touch."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            if high > out[-1][1]:
                out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return tuple(out)


def difference(a: Ranges, b: Ranges) -> Ranges:
    """What of `a` is not in `b`; both ascending and apart."""
    out = []
    j = 0
    for low, high in a:
        at = low
        while j < len(b) and b[j][1] < at:
            j += 1
        k = j
        while k < len(b) and b[k][0] <= high:
            if b[k][0] > at:
                out.append((at, b[k][0] - 1))
            at = max(at, b[k][1] + 1)
            k += 1
        if at <= high:
            out.append((at, high))
    return tuple(out)


def _parts(ranges: Ranges) -> tuple[Ranges, Ranges]:
    """The IPv4 part and the IPv6 part."""
    outside = difference(ranges, (_V4,))
    return difference(ranges, outside), outside


class _Reader:
    """One set of the header, read once."""

    def __init__(self, variables: Variables, *, ports: bool) -> None:
        self.variables = variables
        self.ports = ports
        self.items = 0

    def read(self, text: str) -> Ranges:
        tokens = self._tokens(text)
        value, at = self._list(tokens, 0, "", 0, ())
        if at != len(tokens):
            raise KeywordError(f"{text!r}: unbalanced brackets")
        return value

    def _tokens(self, text: str) -> list[str]:
        tokens = []
        at = 0
        pattern = _PORT_TOKEN if self.ports else _TOKEN
        while at < len(text):
            m = pattern.match(text, at)
            if m is None:
                break
            tokens.append("".join(m[1].split()) if self.ports and ":" in m[1] else m[1])
            at = m.end()
        self.items += len(tokens)
        if self.items > MAX_RULE_SET_ITEMS:
            raise KeywordError(f"more than {MAX_RULE_SET_ITEMS} parts in one set")
        if not tokens:
            raise KeywordError("an empty set")
        return tokens

    def _list(self, tokens: list[str], at: int, end: str, depth: int, inside: tuple[str, ...]) -> tuple[Ranges, int]:
        """`[!]item, ...` up to `end`; returns the set and the place after it."""
        if depth > MAX_RULE_SET_NESTING:
            raise KeywordError(f"sets nested deeper than {MAX_RULE_SET_NESTING}")
        wanted: list[tuple[int, int]] = []
        unwanted: list[tuple[int, int]] = []
        expect_item = True
        while True:
            word = tokens[at] if at < len(tokens) else ""
            if word == end:
                if expect_item:
                    raise KeywordError("a list that ends with a comma or has nothing in it")
                at += 1 if end else 0
                break
            if word in ("", "]"):
                raise KeywordError("unbalanced brackets")
            if word == ",":
                if expect_item:
                    raise KeywordError("a list with nothing between two commas")
                expect_item = True
                at += 1
                continue
            if not expect_item:
                raise KeywordError(f"a comma is missing before {word!r}")
            negated = False
            while word == "!":
                negated = not negated
                at += 1
                word = tokens[at] if at < len(tokens) else ""
            if word == "[":
                value, at = self._list(tokens, at + 1, "]", depth + 1, inside)
            else:
                value = self._item(word, depth, inside)
                at += 1
            (unwanted if negated else wanted).extend(value)
            expect_item = False
            if depth == 0 and not end and at < len(tokens) and tokens[at] == ",":
                # `a,b` without brackets is a list too, as in Snort's variables.
                continue
        return self._combine(union(wanted), union(unwanted)), at

    def _combine(self, wanted: Ranges, unwanted: Ranges) -> Ranges:
        if self.ports:
            if not wanted:
                wanted = _ALL_PORTS
        elif unwanted:
            v4, v6 = _parts(wanted)
            not_v4, not_v6 = _parts(unwanted)
            # "if the gh list is empty, but the ghn list isn't, we have a pure not thingy": per family.
            if not v4 and not_v4:
                v4 = (_V4,)
            if not v6 and not_v6:
                v6 = _V6
            wanted = union([*v4, *v6])
        left = difference(wanted, unwanted) if unwanted else wanted
        if not left:
            raise ContradictionError("the negations leave nothing of the set")
        return left

    def _item(self, token: str, depth: int, inside: tuple[str, ...]) -> Ranges:
        if token.startswith("$"):
            return self._variable(token, depth, inside)
        if token.lower() == "any":
            return _ALL_PORTS if self.ports else _ALL
        return (_port_range(token),) if self.ports else (address_range(token),)

    def _variable(self, token: str, depth: int, inside: tuple[str, ...]) -> Ranges:
        name, default = token[1:], None
        if name.startswith("("):
            # Snort 2: $(NAME), $(NAME:-default), $(NAME:?message)
            name, _, rest = name[1:-1].partition(":")
            default = rest[1:] if rest.startswith("-") else None
        if name in inside:
            raise KeywordError(f"${name} stands for itself")
        first, second = self.variables.addresses, self.variables.ports
        if self.ports:
            first, second = second, first
        text = first.get(name, second.get(name, default))
        if text is None:
            raise UndefinedVariableError(f"no {'port' if self.ports else 'address'} variable ${name}")
        tokens = self._tokens(str(text))
        value, at = self._list(tokens, 0, "", depth + 1, (*inside, name))
        if at != len(tokens):
            raise KeywordError(f"${name} stands for {text!r}: unbalanced brackets")
        return value


def _port_range(word: str) -> tuple[int, int]:
    low, colon, high = word.partition(":")
    if not colon:
        high = low
    ends = []
    for end, default in ((low, 0), (high, 65535)):
        if end == "" and colon:
            ends.append(default)
        elif _NUMBER.fullmatch(end) and int(end) <= 65535:
            ends.append(int(end))
        else:
            raise KeywordError(f"{word!r} is no port")
    if ends[0] > ends[1] or word == ":":
        raise KeywordError(f"{word!r} is no range of ports")
    return ends[0], ends[1]


def _number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    return int(address) | (_V4[0] if address.version == 4 else 0)


def address_range(token: str) -> tuple[int, int]:
    """An address, a network (with prefix length or mask) or `a-b` as a range; raises KeywordError."""
    try:
        first, dash, last = token.partition("-")
        if dash:
            low, high = _number(ipaddress.ip_address(first)), _number(ipaddress.ip_address(last))
        else:
            network = ipaddress.ip_network(token, strict=False)
            low, high = _number(network[0]), _number(network[-1])
    except ValueError:
        raise KeywordError(f"{token!r} is no address") from None
    if low > high or (low <= _V4[1]) != (high <= _V4[1]) or (low < _V4[0]) != (high < _V4[0]):
        raise KeywordError(f"{token!r} is no range of addresses")
    return low, high
