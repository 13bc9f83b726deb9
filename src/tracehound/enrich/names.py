"""In: the tables dns, http and capture_notes (through `ask`). Out: names of addresses that the evidence itself shows.
Never here: resolving anything over the network, or judging a name (access.py).

A name of the time is worth more than one of today: names of an old incident must come from its own evidence. The order of
trust: reverse names, name records of the capture, names that were asked for, Host headers (which a client may invent)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from tracehound.detectors.catalog import Ask

MAX_NAMES: Final = 1_000_000
"""Names read per source."""
MAX_HOSTS_OF_SERVER: Final = 8
"""An address that is asked for more Host names than this is a proxy or a shared server: no one of them is its name."""
_NAME = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_V4_LITERAL = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


class Name(NamedTuple):
    name: str
    source: str


_FORWARD: Final = """
SELECT address, min(name) AS name FROM (
    SELECT unnest(answers) AS address, unnest(answer_types) AS kind, query AS name
    FROM dns WHERE query IS NOT NULL AND answers IS NOT NULL
) WHERE kind IN ('A', 'AAAA') GROUP BY address ORDER BY address LIMIT $most
"""
_REVERSE: Final = """
SELECT owner AS address, min(name) AS name FROM (
    SELECT unnest(answers) AS name, unnest(answer_types) AS kind, unnest(answer_names) AS owner
    FROM dns WHERE answers IS NOT NULL
) WHERE kind = 'PTR' AND lower(owner) LIKE '%.arpa' GROUP BY owner ORDER BY owner LIMIT $most
"""
_HTTP: Final = """
SELECT CAST(dst AS VARCHAR) AS address, mode(host) AS name, count(DISTINCT host) AS hosts
FROM http WHERE host IS NOT NULL AND host <> '' GROUP BY 1 HAVING count(DISTINCT host) <= $hosts ORDER BY 1 LIMIT $most
"""
_NOTES: Final = """
SELECT subject AS address, min(text) AS name FROM capture_notes
WHERE kind = 'name' AND subject IS NOT NULL GROUP BY subject ORDER BY subject LIMIT $most
"""


def reverse_address(owner: str) -> str | None:
    """1.2.0.192.in-addr.arpa -> 192.0.2.1; the nibbles of ip6.arpa likewise; None where it is no whole address."""
    labels = owner.lower().rstrip(".").split(".")
    if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
        text = ".".join(labels[3::-1])
        return text if _canonical(text) == text else None
    if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34 and all(re.fullmatch("[0-9a-f]", n) for n in labels[:32]):
        nibbles = "".join(labels[31::-1])
        return str(ipaddress.IPv6Address(int(nibbles, 16)))
    return None


def _canonical(address: str) -> str | None:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def clean(name: str) -> str | None:
    """A host name fit to be shown: letters, digits, hyphens and dots; None for addresses and for what is no name."""
    stripped = name.strip().rstrip(".")
    if not _NAME.fullmatch(stripped) or _V4_LITERAL.fullmatch(stripped):
        return None
    return stripped


def names(ask: Ask, available: Collection[str] = ("dns", "http", "capture_notes")) -> dict[str, Name]:
    """Address -> its name with the source: ptr, capture_notes, dns or http_host. `available`: tables that there are."""
    found: dict[str, Name] = {}

    def add(address: str | None, name: str, source: str) -> None:
        tidy = clean(name)
        key = _canonical(address) if address else None
        if key is not None and tidy is not None:
            found.setdefault(key, Name(tidy, source))

    most = {"most": MAX_NAMES}
    if "dns" in available:
        for row in ask(_REVERSE, most).to_pylist():
            add(reverse_address(row["address"]), row["name"], "ptr")
    if "capture_notes" in available:
        for row in ask(_NOTES, most).to_pylist():
            add(row["address"], row["name"], "capture_notes")
    if "dns" in available:
        for row in ask(_FORWARD, most).to_pylist():
            add(row["address"], row["name"], "dns")
    if "http" in available:
        for row in ask(_HTTP, {**most, "hosts": MAX_HOSTS_OF_SERVER}).to_pylist():
            add(row["address"], row["name"], "http_host")
    return found
