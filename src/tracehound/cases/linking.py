"""In: what people's words name (correspondence/mentions.py), findings and indicators of a case, profiles. Out: which finding each name
belongs to, and which names several cases share. Never here: reading text.

A name links only if it is particular: a common word (b.cgi, setup.exe) in a mail accuses nobody, and says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tracehound.correspondence.mentions import Mention
from tracehound.profiles.profile import Profile

_VENDOR: Final = re.compile(r"\s*\([^)]*\)\s*$")
_LEAST_ALIAS: Final = 5
"""Letters of the shortest alias that is looked for in prose: shorter ones are words of their own (Bot, Cutwail's "pan")."""
_ORDINARY: Final = frozenset({"scanner", "worm", "virus", "trojan", "proxy", "agent", "generic", "exploit"})
SAME_KIND: Final[dict[str, frozenset[str]]] = {
    "ip": frozenset({"ip-src", "ip-dst", "ip"}),
    "domain": frozenset({"domain", "hostname"}),
    "sha256": frozenset({"sha256"}),
    "md5": frozenset({"md5"}),
    "malware-family": frozenset({"malware-family"}),
    "sid": frozenset({"sid"}),
    "vulnerability": frozenset({"vulnerability"}),
}
"""Type of a mention -> types of indicators that it can be."""


def known_aliases(profiles: Iterable[Profile]) -> list[tuple[str, str]]:
    """(alias, name) of every profile, longest first; names of one vendor lose the vendor's name."""
    found: dict[str, str] = {}
    for p in profiles:
        for name in (p.family, p.name, *p.aliases):
            alias = _VENDOR.sub("", name).strip()
            if len(alias) >= _LEAST_ALIAS and alias.lower() not in _ORDINARY:
                found.setdefault(alias, p.name)
    return sorted(found.items(), key=lambda pair: (-len(pair[0]), pair[0]))


class Link(NamedTuple):
    """A text names something that a finding is about."""

    ref: str
    finding_id: str
    type: str
    value: str
    why: str


def links(
    ref: str, mentioned: Sequence[Mention], findings: Sequence[Mapping[str, Any]], indicators: Sequence[Mapping[str, Any]]
) -> list[Link]:
    """Links of one text (`ref`) to findings: it names their host, or an indicator that came from them."""
    by_host: dict[str, list[str]] = {}
    for f in findings:
        if f["host"]:
            by_host.setdefault(f["host"], []).append(f["finding_id"])
    out: list[Link] = []
    for m in mentioned:
        if m.type == "ip" and m.value in by_host:
            out += [Link(ref, f, m.type, m.value, "names the host") for f in by_host[m.value]]
        kinds = SAME_KIND.get(m.type, frozenset())
        out += [
            Link(ref, i["source"], m.type, m.value, f"names its {i['type']}")
            for i in indicators
            if i["type"] in kinds and i["value"].lower() == m.value.lower() and m.type != "ip"
        ]
    return list(dict.fromkeys(out))


class Shared(NamedTuple):
    """An indicator that another case has, too."""

    type: str
    value: str
    other: str
    others: int


def shared(own: Iterable[Mapping[str, Any]], cases: Mapping[str, Iterable[Mapping[str, Any]]], *, most: int = 5) -> list[Shared]:
    """Indicators of a case that others have as well, rarest first. One that more than `most` cases share (a scanner of the whole
    Internet, a family that is everywhere) ties nothing and is left out."""
    holders: dict[tuple[str, str], list[str]] = {}
    for name, indicators in cases.items():
        for key in {(i["type"], i["value"]) for i in indicators}:
            holders.setdefault(key, []).append(name)
    out = [
        Shared(*key, other, len(holders[key]))
        for key in dict.fromkeys((i["type"], i["value"]) for i in own)
        if 0 < len(holders.get(key, ())) <= most
        for other in holders[key]
    ]
    return sorted(out, key=lambda s: (s.others, s.type, s.value, s.other))
