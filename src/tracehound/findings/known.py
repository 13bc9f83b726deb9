"""In: a way to ask the tables, and the profiles. Out: the hosts that show at least one telling sign of a profile, so that the
profiles are then weighed for them; probing is not needed for it. Never here: weighing (profiles/match.py).

One pass a table: the signs of all profiles are joined to one regular expression (RE2, in the database or in Arrow), and
only hosts with a hit are looked at more closely."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tracehound.detectors.catalog import Ask
from tracehound.findings.observed import BOTH_ENDS, PLACES, Columns, expression
from tracehound.profiles.match import SPECIFIC_WEIGHT, weights
from tracehound.profiles.profile import Profile

HEADS_AT_ONCE: Final = 200_000
"""Flows whose first bytes are looked at in one go."""
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$")
_REQUEST_TEXT: Final = (
    "method || ' ' || COALESCE(uri, '') || ' HTTP/' || COALESCE(version, '') || chr(10) || COALESCE(array_to_string("
    "[pair[1] || ': ' || pair[2] for pair in list_zip(header_names, header_values)], chr(10)), '')"
)


def literal(text: str) -> str:
    """A text as a regular expression of RE2; bytes outside ASCII as \\xNN."""
    return "".join(
        "\\" + c if c in _SPECIAL else c if " " <= c <= "~" else f"\\x{{{ord(c):x}}}" for c in text
    )


_PATTERNS: Final[dict[str, Callable[[str], str]]] = {
    "request_literal": literal,
    "request_regex": lambda value: value,
    "user_agent": lambda value: value,
    "payload_regex": lambda value: value,
    "payload_hex": lambda value: literal(bytes.fromhex(value).decode("latin-1")),
    "reply_regex": lambda value: value,
    "reply_hex": lambda value: literal(bytes.fromhex(value).decode("latin-1")),
    "domain": lambda value: value,
    "query": lambda value: value,
    "certificate": lambda value: value,
    "irc": lambda value: value,
    "ja3": lambda value: f"^{literal(value)}$",
    "ja3s": lambda value: f"^{literal(value)}$",
    "ja4": lambda value: f"^{literal(value)}$",
    "hash": lambda value: f"^{literal(value)}$",
    "mail_subject": lambda value: f"(?i){literal(value)}",
    "mail_regex": lambda value: value,
    "attachment": lambda value: rf"(?i)(?:^|[\\/]){literal(value)}$",
    "file": lambda value: rf"(?i)(?:^|[\\/]){literal(value)}$",
}
_OF_ATTRIBUTE: Final[dict[str, tuple[str, ...]]] = {
    "domains": ("domain",),
    "certificates": ("certificate",),
    "ja3": ("ja3",),
    "ja3s": ("ja3s",),
    "ja4": ("ja4",),
    "mail_subjects": ("mail_subject", "mail_regex"),
    "attachments": ("attachment",),
    "files": ("file",),
    "hashes": ("hash",),
    "irc": ("irc",),
}


_BOUNDED: Final = re.compile(r"\{([01]),\d{2,}\}")
"""Upper bounds keep Python's matching short; a linear matcher only pays for them with states."""


def _looser(pattern: str) -> str:
    """A pattern that finds all that `pattern` finds, cheaper for RE2."""
    return _BOUNDED.sub(lambda bound: "*" if bound[1] == "0" else "+", pattern)


def patterns(profiles: Sequence[Profile]) -> dict[str, str]:
    """Kind of indicator -> one regular expression for all telling signs of that kind."""
    weight = weights(profiles)
    parts: dict[str, list[str]] = {}
    for profile in profiles:
        for i in profile.indicators:
            if i.kind in _PATTERNS and i.mark != "R" and weight[i.kind, i.value] >= SPECIFIC_WEIGHT:
                parts.setdefault(i.kind, []).append(f"(?:{_looser(_PATTERNS[i.kind](i.value))})")
    return {kind: "|".join(dict.fromkeys(some)) for kind, some in parts.items()}


def candidates(profiles: Sequence[Profile], ask: Ask, available: frozenset[str], columns: Columns) -> Counter[str]:
    """Hosts that show a telling sign, with how many rows show one."""
    if not profiles:
        return Counter()
    wanted = patterns(profiles)
    found: Counter[str] = Counter()
    if "http" in available:
        found.update(_requests(ask, wanted))
    if "dns" in available:
        found.update(_names(ask, wanted))
    if "heads" in available:
        found.update(_heads(ask, wanted))
    for place in PLACES:
        text = expression(place, columns)
        pattern = "|".join(wanted[k] for k in _OF_ATTRIBUTE.get(place.attribute, ()) if k in wanted)
        if text is None or not pattern:
            continue
        both = place.attribute in BOTH_ENDS
        rows = ask(
            f"SELECT src, dst, COUNT(*) AS n FROM (SELECT src, dst, {text} AS text FROM {place.table}"
            f"{' WHERE ' + place.only if place.only else ''}) AS t WHERE regexp_matches(text, $pattern) GROUP BY src, dst",
            {"pattern": pattern},
        )
        found.update(_counted(rows.to_pylist(), ("src", "dst") if both else ("src",)))
    return found


def _counted(rows: Iterable[dict[str, object]], ends: Sequence[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        for end in ends:
            found[str(row[end])] += int(str(row["n"]))
    return found


def _requests(ask: Ask, wanted: dict[str, str]) -> Counter[str]:
    tests, parameters = [], {}
    line = "|".join(wanted[k] for k in ("request_literal", "request_regex") if k in wanted)
    for name, text, pattern in (
        ("line", _REQUEST_TEXT, line),
        ("agent", "user_agent", wanted.get("user_agent", "")),
        ("domain", "host", wanted.get("domain", "")),
    ):
        if pattern:
            tests.append(f"regexp_matches({text}, ${name})")
            parameters[name] = pattern
    if not tests:
        return Counter()
    sql = f"SELECT src, COUNT(*) AS n FROM http WHERE method IS NOT NULL AND ({' OR '.join(tests)}) GROUP BY src"
    return _counted(ask(sql, parameters).to_pylist(), ("src",)) + (_bodies(ask, line) if line else Counter())


def _bodies(ask: Ask, pattern: str) -> Counter[str]:
    """Signs in what requests carry. Each stands in the head or in the body of a request, none reaches from one into the other."""
    found: Counter[str] = Counter()
    bounds = ask("SELECT MIN(flow_id) AS low, MAX(flow_id) AS high FROM http WHERE request_preview IS NOT NULL", {}).to_pylist()[0]
    if bounds["low"] is None:
        return found
    for low in range(bounds["low"], bounds["high"] + 1, HEADS_AT_ONCE):
        page = ask(
            "SELECT src, request_preview FROM http WHERE flow_id >= $low AND flow_id < $high AND method IS NOT NULL "
            "AND request_preview IS NOT NULL",
            {"low": low, "high": low + HEADS_AT_ONCE},
        )
        if page.num_rows:
            found.update(page.filter(_matches(page["request_preview"], pattern))["src"].to_pylist())
    return found


def _names(ask: Ask, wanted: dict[str, str]) -> Counter[str]:
    tests, parameters = [], {}
    for name, text in (("domain", "query"), ("query", QUERY_TEXT)):
        if name in wanted:
            tests.append(f"regexp_matches({text}, ${name})")
            parameters[name] = wanted[name]
    if not tests:
        return Counter()
    sql = f"SELECT src, COUNT(*) AS n FROM dns WHERE query IS NOT NULL AND ({' OR '.join(tests)}) GROUP BY src"
    return _counted(ask(sql, parameters).to_pylist(), ("src",))


QUERY_TEXT: Final = "concat_ws(' ', qtype, CASE WHEN proto = 6 THEN 'tcp' ELSE 'udp' END, query)"
"""A DNS question as the indicator `query` sees it: 'SIG tcp www.example.com'."""


def _heads(ask: Ask, wanted: dict[str, str]) -> Counter[str]:
    sent = "|".join(wanted[k] for k in ("payload_regex", "payload_hex") if k in wanted)
    got = "|".join(wanted[k] for k in ("reply_regex", "reply_hex") if k in wanted)
    if not sent and not got:
        return Counter()
    bounds = ask("SELECT MIN(flow_id) AS low, MAX(flow_id) AS high FROM heads", {}).to_pylist()[0]
    found: Counter[str] = Counter()
    if bounds["low"] is None:
        return found
    hits: dict[tuple[int, bool], int] = {}
    for low in range(bounds["low"], bounds["high"] + 1, HEADS_AT_ONCE):
        page = ask(
            "SELECT flow_id, from_originator, head FROM heads WHERE flow_id >= $low AND flow_id < $high",
            {"low": low, "high": low + HEADS_AT_ONCE},
        )
        for pattern, by_sender in ((sent, True), (got, False)):
            if pattern and page.num_rows:
                mine = page.filter(_matches(page["head"], pattern))
                for flow, from_originator in zip(
                    mine["flow_id"].to_pylist(), mine["from_originator"].to_pylist(), strict=True
                ):
                    key = flow, from_originator == by_sender
                    hits[key] = hits.get(key, 0) + 1
    flows = sorted({flow for flow, _ in hits})
    sql = "SELECT flow_id, src, dst FROM flows WHERE flow_id IN (SELECT UNNEST($flows))"
    for at in range(0, len(flows), 50_000):
        for row in ask(sql, {"flows": flows[at : at + 50_000]}).to_pylist():
            for is_src, end in ((True, "src"), (False, "dst")):
                n = hits.get((row["flow_id"], is_src), 0)
                if n:
                    found[row[end]] += n
    return found


def _matches(heads: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    # Arrow's RE2 takes binary as Latin-1: one byte, one character, as in profiles/match.py.
    return pc.match_substring_regex(heads, pattern=pattern)
