"""In: the text of one profile (TOML; edges/packaged.py reads the files). Out: a Profile: a known malware with its
indicators. Never here: weighing them (match.py) or reading files.

    family = "Frethem"                     aliases are matched at family level: vendors number variants differently
    name = "W32/Frethem.K"
    category = "malware"                   malware (default), tool, exploit or victim (of an exploit)
    first_seen = "2002-06-11"              ISO date; end_of_life likewise, both optional
    sources = ["..."]
    [[indicator]]
    kind = "request_regex"                 see KINDS
    value = '^GET /b\\.cgi\\?[a-z]{1,8}&'    literal, regex, bytes in hex, or 'measure low..high'
    mark = "V"                             V verified at its source, C computed here, R recalled: shown, never scored
    required = false                       true: what shows no sign of it, though it could, is not this malware
    decisive = false                       true: nothing else is known to produce it, so that it alone names the family
    benign = 0.001                         share of ordinary hosts that show it too (default 0)
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tracehound.errors import RuleError

KINDS: Final[dict[str, str]] = {
    "port": "behaviour",
    "contact": "behaviour",
    "proto": "behaviour",
    "rate": "behaviour",
    "target_pattern": "behaviour",
    "tell": "behaviour",
    "time": "behaviour",
    "payload_size": "content",
    "request_literal": "content",
    "request_regex": "content",
    "user_agent": "content",
    "payload_hex": "content",
    "payload_regex": "content",
    "reply_hex": "content",
    "reply_regex": "content",
    "domain": "content",
    "query": "content",
    "certificate": "content",
    "ja3": "content",
    "ja3s": "content",
    "ja4": "content",
    "irc": "content",
    "hash": "content",
    "mail_subject": "mail",
    "mail_regex": "mail",
    "mail_body": "mail",
    "attachment": "mail",
    "file": "host",
    "mutex": "host",
    "regkey": "host",
    "regval": "host",
}
"""Kind of indicator -> kind of evidence; tiers ask for two independent kinds of evidence."""
MEASURED: Final = frozenset({"rate", "target_pattern", "tell"})
CATEGORIES: Final = ("malware", "tool", "exploit", "victim")
REGEX: Final = frozenset(
    {"request_regex", "payload_regex", "reply_regex", "domain", "query", "user_agent", "certificate", "irc", "mail_regex"}
)
HEX: Final = frozenset({"payload_hex", "reply_hex"})
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_MEASURE = re.compile(r"([a-z0-9_]+) (-?[0-9.]+)\.\.(-?[0-9.]+)")
_PORT = re.compile(r"(tcp|udp|icmp)(/\d{1,5}(-\d{1,5})?)?")
_SIZE = re.compile(r"\d+(-\d+)?")


@dataclass(frozen=True, slots=True)
class Indicator:
    """One sign of a malware; `low`, `high`, `measure` are set for kinds in MEASURED."""

    kind: str
    value: str
    mark: str = "V"
    required: bool = False
    decisive: bool = False
    benign: float = 0.0
    note: str = ""
    measure: str = ""
    low: float = 0.0
    high: float = 0.0

    @property
    def evidence(self) -> str:
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Profile:
    family: str
    name: str
    summary: str
    indicators: tuple[Indicator, ...]
    aliases: tuple[str, ...] = ()
    first_seen: datetime.date | None = None
    end_of_life: datetime.date | None = None
    attack_id: str = ""
    category: str = "malware"
    sources: tuple[str, ...] = ()
    source_file: str = ""


def _lines(text: str, start: str) -> list[int]:
    return [i for i, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start)]


def parse_profile(text: str, source: str) -> Profile:
    """Profile from TOML text. Raises RuleError naming `source` and the line."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        raise RuleError(source, int(place[1]) if place else text.count("\n") + 1, str(error)) from None
    known = {"family", "name", "summary", "aliases", "first_seen", "end_of_life", "attack_id", "sources", "indicator",
             "category"}  # fmt: skip
    for key in raw:
        if key not in known:
            raise RuleError(source, (_lines(text, key) or [1])[0], f"unknown key {key}")
    for key in ("family", "name", "summary"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise RuleError(source, (_lines(text, key) or [1])[0], f"{key} must be a text")
    if raw.get("category", "malware") not in CATEGORIES:
        raise RuleError(source, (_lines(text, "category") or [1])[0], f"category must be one of {', '.join(CATEGORIES)}")
    tables = raw.get("indicator", [])
    if not isinstance(tables, list) or not tables:
        raise RuleError(source, 1, "a profile needs at least one [[indicator]]")
    starts = [*_lines(text, "[[indicator]]"), *([1] * len(tables))]
    return Profile(
        raw["family"],
        raw["name"],
        raw["summary"],
        tuple(_indicator(t, source, starts[i]) for i, t in enumerate(tables)),
        _texts(raw, "aliases", source, text),
        _date(raw, "first_seen", source, text),
        _date(raw, "end_of_life", source, text),
        str(raw.get("attack_id", "")),
        raw.get("category", "malware"),
        _texts(raw, "sources", source, text),
        source,
    )


def _texts(raw: Mapping[str, Any], key: str, source: str, text: str) -> tuple[str, ...]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise RuleError(source, (_lines(text, key) or [1])[0], f"{key} must be a list of texts")
    return tuple(value)


def _date(raw: Mapping[str, Any], key: str, source: str, text: str) -> datetime.date | None:
    value = raw.get(key)
    if value is None:
        return None
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise RuleError(source, (_lines(text, key) or [1])[0], f"{key} must be a date YYYY-MM-DD") from None


def _indicator(raw: Any, source: str, line: int) -> Indicator:
    def wrong(cause: str) -> RuleError:
        return RuleError(source, line, cause)

    if not isinstance(raw, dict):
        raise wrong("an indicator is a table")
    if unknown := set(raw) - {"kind", "value", "mark", "required", "decisive", "benign", "note"}:
        raise wrong(f"unknown key {sorted(unknown)[0]}")
    kind, value = raw.get("kind"), raw.get("value")
    mark, benign = raw.get("mark", "V"), raw.get("benign", 0.0)
    required, decisive = raw.get("required", False), raw.get("decisive", False)
    if kind not in KINDS:
        raise wrong(f"unknown kind {kind}")
    if not isinstance(value, str) or not value:
        raise wrong("value must be a text")
    if mark not in ("V", "C", "R"):
        raise wrong(f"mark must be V, C or R, not {mark}")
    if not isinstance(benign, int | float) or not 0 <= benign <= 1:
        raise wrong("benign must be a share between 0 and 1")
    if not isinstance(required, bool) or not isinstance(decisive, bool):
        raise wrong("required and decisive must be true or false")
    if decisive and KINDS[kind] == "behaviour":
        raise wrong("behaviour is never decisive: ports and rates fit too many programs")
    measure, low, high = "", 0.0, 0.0
    if kind in MEASURED:
        match = _MEASURE.fullmatch(value)
        if match is None:
            raise wrong(f"{kind} must read 'measure low..high'")
        try:
            measure, low, high = match[1], float(match[2]), float(match[3])
        except ValueError:
            raise wrong(f"{kind} must read 'measure low..high'") from None
    elif kind in REGEX:
        try:
            re.compile(value)
        except re.error as error:
            raise wrong(f"{kind}: {error}") from None
    elif kind in HEX:
        try:
            bytes.fromhex(value)
        except ValueError:
            raise wrong(f"{kind} must be bytes in hex") from None
    elif kind in ("port", "contact", "proto"):
        if not all(_PORT.fullmatch(v) for v in value.split("|")):
            raise wrong(f"{kind} must read tcp/80 or tcp/80|udp/53 or tcp/80-90")
    elif kind == "payload_size" and not _SIZE.fullmatch(value):
        raise wrong("payload_size must read 376 or 768-1307")
    elif kind in ("hash", "ja3", "ja3s") and not _HASH.fullmatch(value):
        raise wrong(f"{kind} must be MD5 or SHA-256 in small hex digits")
    note = str(raw.get("note", ""))
    return Indicator(kind, value, mark, required, decisive, float(benign), note, measure, low, high)
