"""In: profiles, and what was observed of one host. Out: model.Identity-like matches: which known malware the behaviour
fits, how well, and why. Never here: filling the observations (findings/) or reading profiles (profile.py).

The method (methods of the field, naive Bayes over weighted indicators):

- weight of indicator i: w = ln((N+1)/(df+1/2)), N profiles, df of them naming it; where ordinary hosts show it at rate b, at
  most -ln(b + 1/(BENIGN_HOSTS+1)); 0 for a recalled (R) one. A decisive sign that one family alone names weighs that bound
  itself: how rare it is among hosts, whatever the size of the pack;
- S = sum of w over matched ones, less half of w over contradicted ones; coverage = S / sum of w over observable ones;
- P is proportional to prior * e^S, beside a class "none" with e^3: weak evidence identifies nothing;
- two indicators of one packet count at most.

States: matched; contradicted (what was measured is another value); not seen (it could have shown itself, and did not; no
penalty, since most malware shows part of what it can do); not observable (this evidence cannot show it)."""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from tracehound.profiles.profile import Indicator, Profile

BENIGN_HOSTS: Final = 200
"""Hosts that a benign rate is taken to rest on; bounds a weight at ln(201) = 5.3."""
NONE_SCORE: Final = 3.0
CONFIRMED_RARITY: Final = 4.0
"""Rarity from which a decisive sign may confirm: at most about one ordinary host in eighty shows it."""
LIKELY_PROBABILITY: Final = 0.8
SPECIFIC_WEIGHT: Final = 1.5
"""Weight from which a matched indicator of content, host or mail is specific: more than one shared token."""
PER_PACKET: Final = 2
BEFORE_FIRST_SEEN: Final = 0.1
LONG_DEAD: Final = 0.3
LONG_DEAD_DAYS: Final = 5 * 365
MAX_TEXT: Final = 8_192
"""Characters of one observed text that regular expressions are tried on."""

MATCHED: Final = "matched"
CONTRADICTED: Final = "contradicted"
NOT_SEEN: Final = "not seen"
NOT_OBSERVABLE: Final = "not observable"


@dataclass(frozen=True, slots=True)
class Seen:
    """A text or bytes seen at a place. `packet` ties signs that are not independent: one value a packet (or request).

    text      the text; bytes as latin-1
    where     for the reader, for instance 'request to 192.0.2.1' or 'file list'
    length    bytes on the wire (payloads)
    """

    text: str
    where: str = ""
    packet: str = ""
    length: int = 0
    service: str = ""


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known of one host. A text kind that is None cannot be seen in this evidence; () means looked for, nothing.

    services      services that are probed: 'tcp/80', 'icmp'
    contacts      all services that the host had to do with (as client, or offered), 'tcp/4444'
    requests      HTTP requests, one a distinct request: 'GET /b.cgi?x HTTP/1.1', then a line 'Name: value' a header
    user_agents, payloads (first bytes that the host sent, latin-1), replies (first bytes that it got), domains (names asked by
                  DNS, Host header or SNI); queries 'SIG tcp www.example.com': type and transport with them
    certificates  of the servers that it spoke to: 'subject=... issuer=... serial=...'; ja3, ja3s, ja4 of its TLS
    irc           lines of IRC, sent or received; hashes: SHA-256 and MD5 of files that it got or sent
    mail_subjects, mail_bodies, attachments, files (file and process names), mutexes, regkeys, regvals
    measures      figures by name, absent = cannot be told: attempts_per_min, new_targets_per_min, targets, revisits,
                  syn_per_silent_target (median SYNs to a silent target), own_16_share, own_8_share, access_share,
                  days, seq_equals_dst_share, no_options_share, ttl_64_share, one_source_port_share, source_port_step,
                  icmp_aa_share, udp_sport_4000_share, payload_size_share (share of payloads of one size)
    partial       text kinds of which only a part can be seen (files on a host, by those that were transferred): what is not
                  among them is not observable
    start         first day of the behaviour
    """

    services: frozenset[str] = frozenset()
    contacts: frozenset[str] | None = None
    requests: tuple[Seen, ...] | None = None
    user_agents: tuple[Seen, ...] | None = None
    payloads: tuple[Seen, ...] | None = None
    replies: tuple[Seen, ...] | None = None
    domains: tuple[Seen, ...] | None = None
    queries: tuple[Seen, ...] | None = None
    certificates: tuple[Seen, ...] | None = None
    ja3: tuple[Seen, ...] | None = None
    ja3s: tuple[Seen, ...] | None = None
    ja4: tuple[Seen, ...] | None = None
    irc: tuple[Seen, ...] | None = None
    hashes: tuple[Seen, ...] | None = None
    mail_subjects: tuple[Seen, ...] | None = None
    mail_bodies: tuple[Seen, ...] | None = None
    attachments: tuple[Seen, ...] | None = None
    files: tuple[Seen, ...] | None = None
    mutexes: tuple[Seen, ...] | None = None
    regkeys: tuple[Seen, ...] | None = None
    regvals: tuple[Seen, ...] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    start: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One indicator of a profile against the observations; `counted` is what entered the score."""

    indicator: Indicator
    state: str
    weight: float
    counted: float
    where: str = ""
    packet: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """One profile against the observations. `tier` is confirmed, likely, possible or none; `none` the probability of none of the
    known."""

    profile: Profile
    tier: str
    score: float
    probability: float
    coverage: float
    hits: tuple[Hit, ...]
    runner_up: str
    none: float

    @property
    def explanation(self) -> str:
        """Why, in a few sentences: of most profiles nobody asks."""
        return explain(self.profile, self.hits, self.tier, self.probability, self.none)


# -- one indicator ----------------------------------------------------------------------------------------------------
Result = tuple[str, str, str, str]
"""state, where, packet, what was seen"""
EXCERPT: Final = 80
"""Characters of a matched text that are kept to be shown."""


Test = Callable[[Seen], str]
"""Gives the text that matches, or ''."""


def _texts(attribute: str, prepare: Callable[[str], Test]) -> Callable[[Indicator, Observations], Result]:
    """`prepare` makes the test of an indicator's value; it is then tried on thousands of texts."""

    def evaluate(indicator: Indicator, seen: Observations) -> Result:
        texts: tuple[Seen, ...] | None = getattr(seen, attribute)
        if texts is None:
            return NOT_OBSERVABLE, "", "", ""
        test = prepare(indicator.value)
        for text in texts:
            if found := test(text):
                return MATCHED, text.where, text.packet, found[:EXCERPT]
        return (NOT_OBSERVABLE if attribute in seen.partial else NOT_SEEN), "", "", ""

    return evaluate


def _literal(value: str) -> Test:
    lower = value.lower()
    return lambda seen: value if lower in seen.text[:MAX_TEXT].lower() else ""


def _exact_case(value: str) -> Test:
    return lambda seen: value if value in seen.text[:MAX_TEXT] else ""


def _regex(value: str) -> Test:
    search = re.compile(value).search

    def test(seen: Seen) -> str:
        found = search(seen.text[:MAX_TEXT])
        return "" if found is None else found[0] or seen.text[:EXCERPT] or value

    return test


def _same(value: str) -> Test:
    return lambda seen: value if value == seen.text else ""


def _hex(value: str) -> Test:
    wanted = bytes.fromhex(value).decode("latin-1")
    return lambda seen: value if wanted in seen.text else ""


def _size(value: str) -> Test:
    low, _, high = value.partition("-")
    least, most = int(low), int(high or low)

    def test(seen: Seen) -> str:
        size = seen.length or len(seen.text)
        return str(size) if least <= size <= most else ""

    return test


def _base_name(value: str) -> Test:
    """A file is matched by its whole name, whatever the folder: taskbar.exe is not mytaskbar.exe."""
    wanted = value.lower().rpartition("\\")[2]
    return lambda seen: value if seen.text.replace("/", "\\").lower().rpartition("\\")[2] == wanted else ""


def services_match(value: str, services: frozenset[str]) -> str:
    """First of `services` that `value` ('tcp/80|tcp/8000-8010|icmp') names, or ''."""
    for alternative in value.split("|"):
        proto, _, port = alternative.partition("/")
        low, _, high = port.partition("-")
        for service in sorted(services):
            kind, _, number = service.partition("/")
            if kind != proto or (port and not number.isdigit()):
                continue
            if not port or int(low) <= int(number) <= int(high or low):
                return service
    return ""


def _port(indicator: Indicator, seen: Observations) -> Result:
    """The probed service; probing something else contradicts it."""
    if not seen.services:
        return NOT_OBSERVABLE, "", "", ""
    service = services_match(indicator.value, seen.services)
    if service:
        return MATCHED, f"probes {service}", "", service
    return CONTRADICTED, "probes " + ", ".join(sorted(seen.services)), "", ""


def _contact(indicator: Indicator, seen: Observations) -> Result:
    if seen.contacts is None:
        return NOT_OBSERVABLE, "", "", ""
    service = services_match(indicator.value, seen.contacts)
    return (MATCHED, f"traffic on {service}", "", service) if service else (NOT_SEEN, "", "", "")


def _measured(indicator: Indicator, seen: Observations) -> Result:
    value = seen.measures.get(indicator.measure)
    if value is None or math.isnan(value):
        return NOT_OBSERVABLE, "", "", ""
    text = f"{indicator.measure} = {value:.3g}"
    return (MATCHED if indicator.low <= value <= indicator.high else CONTRADICTED), text, "", text


def _time(indicator: Indicator, seen: Observations) -> Result:
    """Active dates, 'YYYY-MM-DD..YYYY-MM-DD'; shown only where they hold, since clocks and captures lie."""
    if seen.start is None:
        return NOT_OBSERVABLE, "", "", ""
    first, _, last = indicator.value.partition("..")
    day = seen.start.isoformat()
    return (MATCHED, day, "", day) if first <= day <= (last or "9999") else (NOT_SEEN, day, "", "")


_EVALUATE: Final[dict[str, Callable[[Indicator, Observations], Result]]] = {
    "port": _port,
    "proto": _port,
    "contact": _contact,
    "rate": _measured,
    "target_pattern": _measured,
    "tell": _measured,
    "time": _time,
    "request_literal": _texts("requests", _exact_case),
    "request_regex": _texts("requests", _regex),
    "user_agent": _texts("user_agents", _regex),
    "payload_hex": _texts("payloads", _hex),
    "payload_regex": _texts("payloads", _regex),
    "payload_size": _texts("payloads", _size),
    "reply_hex": _texts("replies", _hex),
    "reply_regex": _texts("replies", _regex),
    "domain": _texts("domains", _regex),
    "query": _texts("queries", _regex),
    "certificate": _texts("certificates", _regex),
    "ja3": _texts("ja3", _same),
    "ja3s": _texts("ja3s", _same),
    "ja4": _texts("ja4", _same),
    "irc": _texts("irc", _regex),
    "hash": _texts("hashes", _same),
    "mail_subject": _texts("mail_subjects", _literal),
    "mail_regex": _texts("mail_subjects", _regex),
    "mail_body": _texts("mail_bodies", _literal),
    "attachment": _texts("attachments", _base_name),
    "file": _texts("files", _base_name),
    "mutex": _texts("mutexes", _literal),
    "regkey": _texts("regkeys", _literal),
    "regval": _texts("regvals", _literal),
}


# -- scores -----------------------------------------------------------------------------------------------------------
def rarity(benign: float) -> float:
    """Weight of a sign by the share of ordinary hosts that show it: bounded, because only BENIGN_HOSTS stand behind it."""
    return -math.log(min(1.0, benign + 1 / (BENIGN_HOSTS + 1)))


def weights(profiles: Sequence[Profile]) -> dict[tuple[str, str], float]:
    """Weight of every (kind, value) of the pack before marks: IDF bounded by its benign rate; rarity for a decisive sign of
    one family."""
    total = len(profiles)
    named = Counter(key for p in profiles for key in {(i.kind, i.value) for i in p.indicators})
    families: dict[tuple[str, str], set[str]] = {}
    for p in profiles:
        for i in p.indicators:
            families.setdefault((i.kind, i.value), set()).add(p.family)
    decisive = {
        (i.kind, i.value) for p in profiles for i in p.indicators if i.decisive and len(families[i.kind, i.value]) == 1
    }
    benign: dict[tuple[str, str], float] = {}
    for p in profiles:
        for i in p.indicators:
            benign[i.kind, i.value] = max(benign.get((i.kind, i.value), 0.0), i.benign)
    result = {}
    for key, df in named.items():
        weight = rarity(benign[key]) if key in decisive else math.log((total + 1) / (df + 0.5))
        result[key] = max(0.0, min(weight, rarity(benign[key])) if benign[key] > 0 else weight)
    return result


_remembered = lru_cache(maxsize=4)(weights)
"""Every host is weighed with the same pack."""


def _hits(profile: Profile, seen: Observations, weight: Mapping[tuple[str, str], float]) -> list[Hit]:
    found: list[Hit] = []
    for i in profile.indicators:
        state, where, packet, excerpt = _EVALUATE[i.kind](i, seen)
        w = 0.0 if i.mark == "R" else weight[i.kind, i.value]
        counted = w if state == MATCHED else -0.5 * w if state == CONTRADICTED else 0.0
        found.append(Hit(i, state, w, counted, where, packet, excerpt))
    used: Counter[str] = Counter()
    result = {}
    for place in sorted(range(len(found)), key=lambda k: (-found[k].counted, k)):
        hit = found[place]
        if hit.state == MATCHED and hit.packet and hit.weight > 0:
            used[hit.packet] += 1
            if used[hit.packet] > PER_PACKET:
                where = f"{hit.where} (same packet as two others: not counted)"
                hit = Hit(hit.indicator, hit.state, hit.weight, 0.0, where, hit.packet, hit.seen)
        result[place] = hit
    return [result[k] for k in range(len(found))]


def coverage(hits: Sequence[Hit]) -> float:
    """Score over the weight of all that this evidence can show, 0..1."""
    observable = sum(h.weight for h in hits if h.state != NOT_OBSERVABLE)
    return 0.0 if observable <= 0 else min(1.0, max(0.0, sum(h.counted for h in hits) / observable))


def _prior(profile: Profile, seen: Observations, hits: Sequence[Hit]) -> float:
    prior = 1.0
    if seen.start is None:
        return prior
    if profile.first_seen is not None and seen.start < profile.first_seen:
        prior *= BEFORE_FIRST_SEEN
    if profile.end_of_life is not None and (seen.start - profile.end_of_life).days > LONG_DEAD_DAYS:
        if not any(_specific(h) for h in hits):
            prior *= LONG_DEAD
    return prior


def _specific(hit: Hit) -> bool:
    """A matched sign that is more than a common word: content, mail or host, of some weight."""
    return hit.state == MATCHED and hit.counted >= SPECIFIC_WEIGHT and hit.indicator.evidence != "behaviour"


def _decisive(hit: Hit) -> bool:
    """A matched sign that nothing else is known to produce."""
    return hit.state == MATCHED and hit.indicator.decisive and hit.counted >= CONFIRMED_RARITY


def _tell(hit: Hit) -> bool:
    """An oddity of packets that hardly any other program shows."""
    rare = rarity(hit.indicator.benign) >= CONFIRMED_RARITY
    return hit.state == MATCHED and hit.counted >= SPECIFIC_WEIGHT and hit.indicator.kind == "tell" and rare


def _telling(matched: Sequence[Hit]) -> bool:
    """Whether the matched signs may name anybody at all: one that is decisive or required, or two that are specific. Rates,
    ports and one shared word fit too many programs, whatever weight a large pack gives them."""
    if any(_decisive(h) or _tell(h) for h in matched):
        return True
    if any(h.indicator.required and _specific(h) for h in matched):
        return True
    return sum(_specific(h) for h in matched) >= 2


def _tier(hits: Sequence[Hit], probability: float, none: float) -> str:
    matched = [h for h in hits if h.state == MATCHED and h.counted > 0]
    if probability <= none or not matched:
        return "none"
    if any(h.indicator.required and h.state in (NOT_SEEN, CONTRADICTED) for h in hits):
        return "none"
    if not _telling(matched):
        return "none"
    clash = any(h.state == CONTRADICTED and h.indicator.kind in ("port", "proto") for h in hits)
    # Compatible behaviour: some of it matches, or the family is known by what it says alone. A companion port need not show.
    scored = [h for h in hits if h.indicator.evidence == "behaviour" and h.indicator.kind != "contact" and h.weight > 0]
    if any(_decisive(h) for h in matched) and not clash:
        return "confirmed" if not scored or any(h.counted > 0 for h in scored) else "likely"
    kinds = {h.indicator.evidence for h in matched if h.counted >= 0.5}
    apart = len(kinds) >= 2 or any(_tell(h) for h in matched)
    if probability >= LIKELY_PROBABILITY and apart and len(matched) >= 3 and not clash:
        return "likely"
    return "possible"


def match(profiles: Sequence[Profile], seen: Observations) -> list[Match]:
    """Every profile against the observations, most probable first (see Match); `tier` none means: not this one."""
    weight = _remembered(tuple(profiles))
    hits = [_hits(p, seen, weight) for p in profiles]
    scores = [sum(h.counted for h in each) for each in hits]
    barred = [any(h.indicator.required and h.state in (NOT_SEEN, CONTRADICTED) for h in each) for each in hits]
    mass = [
        0.0 if stop else _prior(p, seen, h) * math.exp(s)
        for p, h, s, stop in zip(profiles, hits, scores, barred, strict=True)
    ]
    none = math.exp(NONE_SCORE)
    total = sum(mass) + none
    order = sorted(range(len(profiles)), key=lambda k: (-mass[k], -scores[k], profiles[k].name))
    result = []
    for k in order:
        rival = next((o for o in order if o != k and profiles[o].family != profiles[k].family), None)
        runner_up = (
            ""
            if rival is None or scores[rival] <= 0
            else f"{profiles[rival].name} (score {scores[rival]:.1f}, {scores[k] - scores[rival]:+.1f})"
        )
        tier = _tier(hits[k], mass[k] / total, none / total)
        result.append(
            Match(
                profiles[k],
                tier,
                scores[k],
                mass[k] / total,
                coverage(hits[k]),
                tuple(hits[k]),
                runner_up,
                none / total,
            )
        )
    return result


def explain(profile: Profile, hits: Sequence[Hit], tier: str, probability: float, none: float) -> str:
    """Why, in a few sentences: what matched, what speaks against it, what this evidence cannot show."""

    def listed(state: str, most: int = 6) -> str:
        chosen = sorted((h for h in hits if h.state == state), key=lambda h: -h.weight)
        shown = [f"{h.indicator.kind} {_short(h.indicator.value)} ({h.counted:+.1f})" for h in chosen[:most]]
        return ", ".join(shown) + (f" and {len(chosen) - most} more" if len(chosen) > most else "")

    def names(state: str) -> str:
        kinds = Counter(h.indicator.kind for h in hits if h.state == state)
        return ", ".join(f"{kind} ({n})" if n > 1 else kind for kind, n in kinds.items())

    sentences = [f"{profile.name}: {tier}, probability {probability:.2f} beside {none:.2f} for none of the known."]
    if text := listed(MATCHED):
        sentences.append(f"Matched: {text}.")
    if text := listed(CONTRADICTED):
        sentences.append(f"Speaks against it: {text}.")
    if text := names(NOT_SEEN):
        sentences.append(f"Not seen, though it could have been: {text}.")
    if text := names(NOT_OBSERVABLE):
        sentences.append(f"Not observable in this evidence: {text}.")
    if tier in ("possible", "likely") and any(
        h.indicator.evidence in ("host", "mail") and h.state == NOT_OBSERVABLE for h in hits
    ):
        sentences.append("Evidence from the host or its mail could settle it.")
    return " ".join(sentences)


def _short(value: str) -> str:
    return value if len(value) <= 48 else value[:45] + "…"
