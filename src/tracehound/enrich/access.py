"""In: an organisation's name and number, and a host name seen in the evidence. Out: what kind of network it is, and whether
an address looks like an access line (cable, DSL, dial-up, mobile), with the reason. Never here: finding names (names.py) or
looking anything up.

The points are those of a table of words in reverse names (after Cai and Heidemann, SIGCOMM 2010, and
draft-msullivan-dnsop-generic-naming-schemes-00). It was fitted by hand on few names: it gives a hint with its reason, not a
measured precision. An address without a name is never evidence by itself: 40 to 50 % of all addresses have none (Xie et
al., SIGCOMM 2007)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Final

from tracehound.errors import RuleError

KINDS: Final = ("access", "mobile", "hosting", "content", "education", "government", "enterprise", "transit")
ACCESS_POINTS: Final = 2
SERVER_POINTS: Final = -1


# -- provider kinds ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ProviderKinds:
    """The table of provider kinds: by AS number first, then by words in the organisation's name, in order."""

    asns: dict[int, str]
    words: tuple[tuple[str, re.Pattern[str]], ...]
    any_word: re.Pattern[str]
    reasons: dict[str, str]

    def kind(self, asn: int, provider: str | None) -> str | None:
        """Kind of one AS, None = unknown."""
        if asn in self.asns:
            return self.asns[asn]
        if provider:
            lower = provider.lower()
            if not self.any_word.search(lower):
                return None
            for kind, pattern in self.words:
                if pattern.search(lower):
                    return kind
        return None


def parse_kinds(text: str, source: str = "providers.toml") -> ProviderKinds:
    """The table from its TOML text (enrich/data/providers.toml shows the form). Raises RuleError."""
    try:
        classes = tomllib.loads(text)["class"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise RuleError(source, 1, f"not a table of provider kinds: {error}") from None
    asns: dict[int, str] = {}
    words: list[tuple[str, re.Pattern[str]]] = []
    every: list[str] = []
    for c in classes:
        if c.get("kind") not in KINDS:
            raise RuleError(source, 1, f"unknown kind {c.get('kind')}")
        for number in c.get("asns", []):
            asns.setdefault(int(number), c["kind"])
        patterns = [re.escape(w).replace(r"\*", r"\w*") for w in c.get("words", [])]
        if patterns:
            words.append((c["kind"], _whole("|".join(patterns))))
            every += patterns
    return ProviderKinds(
        asns, tuple(words), _whole("|".join(every) or "(?!)"), {c["kind"]: c["reason"] for c in classes}
    )


def _whole(pattern: str) -> re.Pattern[str]:
    """The pattern with no letter before or after it."""
    return re.compile(rf"(?<![^\W\d_])(?:{pattern})(?![^\W\d_])")


# -- names ------------------------------------------------------------------------------------------------------------
_SECOND_LEVEL: Final = frozenset(
    ["ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "go", "gen", "id", "iwi", "ltd", "maori", "me", "mil"]
).union(["ne", "net", "or", "org", "plc", "sch", "school"])
"""Second-level names under country domains below which people register (co.nz, ne.jp); no public-suffix list is shipped."""


def left_of_registrable(name: str) -> str:
    """Labels left of the registrable domain, lower-case; the whole name where nothing stands left of it."""
    labels = name.lower().rstrip(".").split(".")
    own = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[:-own] or labels)


def _word(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{pattern})(?![a-z])")


_ROWS: Final[tuple[tuple[str, int, re.Pattern[str]], ...]] = (
    ("DSL", 2, _word(r"(?:adsl|xdsl|vdsl|sdsl|hdsl|dsl)\d*")),
    ("cable", 2, _word(r"cable|modemcable|catv|docsis|cm\d+|cpe")),
    ("dial-up or PPP", 2, _word(r"ppp(?:oe)?|dial(?:up|in)?|dip|isdn|modem|slip")),
    ("dynamic address", 2, _word(r"dyn|dynamic|dynip|dhcp\d*|pool|ip-?pool|dynpool")),
    ("customer", 1, _word(r"cust(?:omer)?|client\d*|res(?:net|idential)?|home|subscr?|user|host-\d+")),
    ("wireless or fibre line", 1, _word(r"wireless|wlan|umts|lte|gprs|4g|mobile|fttx|ftth|fios|broadband|bb\d")),
    ("static or business line", -3, _word(r"static|fix(?:ed)?(?:ip)?|business|biz|corp|ded(?:icated)?")),
    (
        "server or router",
        -3,
        _word(
            r"srv|server\d*|vps|colo|hosting|cloud|compute|cdn|deploy|lb|edge|mail|mx\d|smtp|ns\d|www|gw|router|core|ae-\d|xe-\d"
        ),
    ),
)
"""What it says, points, pattern; each adds once."""


def _numbers(label: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d{1,9}", label)]


def address_in_name(name: str, address: str) -> bool:
    """Whether the name is made from the IPv4 address: written out forward or reversed, as 12 digits, as 8 hex digits, split
    over two labels, or as its network with the last octet before it."""
    octets = address.split(".")
    if len(octets) != 4 or not all(o.isdigit() and int(o) < 256 for o in octets):
        return False
    numbers = [int(o) for o in octets]
    # Plain containment first: a pattern of its own for every address would have to be compiled for every address.
    spelled = all(str(n) in name for n in numbers)
    for order in (numbers, numbers[::-1]):
        digits, hexadecimal = "".join(f"{n:03d}" for n in order), "".join(f"{n:02x}" for n in order)
        if spelled and re.search(r"(?<!\d)0*" + r"[-._x]0*".join(map(str, order)) + r"(?!\d)", name):
            return True
        if digits in name and re.search(rf"(?<!\d){digits}(?!\d)", name):
            return True
        if hexadecimal in name and re.search(rf"(?<![0-9a-f]){hexadecimal}(?![0-9a-f])", name.replace("0x", " ")):
            return True
    if not any(c.isdigit() for c in name):
        return False
    labels = [_numbers(label) for label in name.split(".")]
    for i, last in enumerate(labels):
        if numbers[3] not in last:
            continue
        for j, rest in enumerate(labels):
            if i != j and (sorted(rest) == sorted(numbers[:3]) or (rest[:4] == [*numbers[:3], 0] and len(rest) == 5)):
                return True
    return False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Points and what they come from; `kind` is access, server or unknown."""

    points: int
    reasons: tuple[str, ...]

    @property
    def kind(self) -> str:
        if not self.reasons:
            return "unknown"
        return "access" if self.points >= ACCESS_POINTS else "server" if self.points <= SERVER_POINTS else "unknown"


def judge_name(name: str, address: str = "") -> Judgement:
    """Points for a name alone (rows 1 to 13 of the table); rows 1 to 5, the address in the name, are one category."""
    left = left_of_registrable(name[:255])
    points, reasons = 0, []
    if address_in_name(left, address):
        points, reasons = 2, ["address in the name +2"]
    for what, value, pattern in _ROWS:
        hit = pattern.search(left)
        if hit:
            points += value
            reasons.append(f"{what} ({hit.group()}) {value:+d}")
    return Judgement(points, tuple(reasons))


_PROVIDER_POINTS: Final[dict[str, int]] = {"access": 2, "mobile": 2, "hosting": -3, "content": -3}


def judge(name: str | None, address: str, kind: str | None, provider: str | None) -> Judgement:
    """Points for name and provider kind together (row 14: access +2, hosting or content -3, all others 0)."""
    named = judge_name(name, address) if name else Judgement(0, ())
    points, reasons = named.points, list(named.reasons)
    if kind is not None and kind in _PROVIDER_POINTS:
        points += _PROVIDER_POINTS[kind]
        reasons.append(f"{provider or 'provider'} is {kind} {_PROVIDER_POINTS[kind]:+d}")
    return Judgement(points, tuple(reasons))


def reason_text(judgement: Judgement, name: str | None) -> str:
    """One line for access_reason."""
    if not judgement.reasons:
        return f"name {name} says nothing of the line" if name else "no name seen and the kind of provider says nothing"
    tail = "" if name else "; no name seen"
    return f"{', '.join(judgement.reasons)} = {judgement.points:+d}{tail}"


def is_access(judgement: Judgement) -> bool | None:
    verdicts: dict[str, bool | None] = {"access": True, "server": False}
    return verdicts.get(judgement.kind)
