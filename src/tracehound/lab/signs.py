"""In: what of a profile was matched in a finding, and requests and names of its flows. Out: those that show such a sign
themselves, so that a rule is drafted from them and not from all that went to the same place.
Never here: matching whole profiles (profiles/match.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tracehound.findings.model import IndicatorHit
from tracehound.findings.template import Sample
from tracehound.lab.named import Named
from tracehound.profiles.match import MATCHED, SPECIFIC_WEIGHT

Test = Callable[[str], bool]


def _regex(value: str) -> Test:
    search = re.compile(value).search
    return lambda text: search(text) is not None


def _literal(value: str) -> Test:
    return lambda text: value.lower() in text.lower()


def _hex(value: str) -> Test:
    wanted = bytes.fromhex(value).decode("latin-1")
    return lambda text: wanted in text


def _same(value: str) -> Test:
    return lambda text: value == text


def _request(s: Sample) -> str:
    if s.method is None:
        return ""
    line = f"{s.method} {s.uri} HTTP/{s.version}" if s.version else f"{s.method} {s.uri}"
    return "\n".join([line, *(f"{name}: {value}" for name, value in zip(s.header_names, s.header_values, strict=False))])


def _agent(s: Sample) -> str:
    pairs = zip(s.header_names, s.header_values, strict=False)
    return next((value for name, value in pairs if name.lower() == "user-agent"), "")


def _payload(s: Sample) -> str:
    return s.payload.decode("latin-1") if s.method is None else ""


OF_REQUESTS: Final[dict[str, tuple[Callable[[str], Test], Callable[[Sample], str]]]] = {
    "request_literal": (_literal, _request),
    "request_regex": (_regex, _request),
    "user_agent": (_regex, _agent),
    "payload_regex": (_regex, _payload),
    "payload_hex": (_hex, _payload),
}
"""Kind of indicator -> how its value is tried, and on what of a request."""
OF_NAMES: Final[dict[str, tuple[Callable[[str], Test], tuple[str, ...]]]] = {
    "certificate": (_regex, ("tls.cert_subject", "tls.cert_issuer")),
    "domain": (_regex, ("tls.sni", "dns.query")),
    "query": (_regex, ("dns.query",)),
    "ja3": (_same, ("ja3.hash",)),
}
"""Likewise for the fields of handshakes and queries."""


def showing(matched: Iterable[IndicatorHit], requests: Sequence[Sample], names: Sequence[Named]) -> tuple[list[Sample], list[Named]]:
    """Requests and names with a telling sign of their own: one that weighs enough, since honest flows show the others, too."""
    of_requests: list[tuple[Test, Callable[[Sample], str]]] = []
    of_names: list[tuple[Test, tuple[str, ...]]] = []
    for sign in matched:
        if sign.state != MATCHED or sign.weight < SPECIFIC_WEIGHT:
            continue
        if sign.kind in OF_REQUESTS:
            make, text = OF_REQUESTS[sign.kind]
            of_requests.append((make(sign.value), text))
        elif sign.kind in OF_NAMES:
            make, places = OF_NAMES[sign.kind]
            of_names.append((make(sign.value), places))
    return (
        [s for s in requests if any((said := text(s)) and test(said) for test, text in of_requests)],
        [n for n in names if any(test(n.fields.get(place) or "") for test, places in of_names for place in places)],
    )
