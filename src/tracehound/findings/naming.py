"""In: identities of a host that need no probing to be told. Out: the findings that name them, and their sentences.
Never here: which hosts are weighed (known.py) or how (profiles/match.py)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tracehound.findings.citations import Citer
from tracehound.findings.model import Citation, Confidence, Finding, Identity, IndicatorHit
from tracehound.findings.wording import count, listing, percent

KIND: Final = "known_behaviour"
_SHOWN_SIGNS: Final = 3
_SHOWN_GROUPS: Final = 3
_VALUE_LENGTH: Final = 60
_TIER_VALUE: Final[dict[str, float]] = {"confirmed": 0.95, "likely": 0.85, "possible": 0.45}
_VERBS: Final[dict[str, tuple[str, str]]] = {
    "malware": ("behaves as", "behave as"),
    "tool": ("uses", "use"),
    "exploit": ("attacks with", "attack with"),
    "victim": ("behaves as a victim of", "behave as victims of"),
}
_SIGN_WORDS: Final[dict[str, str]] = {
    "request_literal": "request with",
    "request_regex": "request",
    "user_agent": "User-Agent",
    "payload_hex": "bytes",
    "payload_regex": "sends",
    "payload_size": "payload of bytes",
    "reply_hex": "gets bytes",
    "reply_regex": "gets",
    "domain": "name",
    "query": "DNS question",
    "certificate": "certificate",
    "irc": "IRC line",
    "hash": "file with hash",
    "mail_subject": "mail subject",
    "mail_regex": "mail subject",
    "attachment": "attachment",
    "file": "file",
    "contact": "service",
    "tell": "figure",
    "target_pattern": "figure",
    "rate": "figure",
    "ja3": "JA3",
    "ja3s": "JA3S",
    "ja4": "JA4",
}


def told(identities: Sequence[Identity]) -> list[Identity]:
    """What is worth a finding: all that is confirmed or likely, otherwise the best alone."""
    sure = [i for i in identities if i.tier in ("confirmed", "likely")]
    return sure or list(identities[:1])


def finding(
    hosts: Sequence[str],
    one: Identity,
    span: tuple[int, int],
    serial: int,
    citer: Citer,
    *,
    more: bool = False,
    otherwise: Sequence[Citation] = (),
) -> Finding:
    """One identity of a host, or of several that show the same; `span` is when they were seen, `more` that not all hosts
    were weighed, `otherwise` what is cited where the signs are figures over many packets."""
    cited: dict[Citation, None] = {c: None for hit in _matched(one) for c in hit.citations.shown}
    return Finding(
        finding_id=f"{KIND}-{serial}",
        kind=KIND,
        host=hosts[0] if len(hosts) == 1 else None,
        from_ns=span[0],
        to_ns=span[1],
        statement=statement(hosts, one, more),
        confidence=Confidence(
            _TIER_VALUE.get(one.tier, 0.4),
            (f"{one.tier}: score {one.score:.1f}, coverage {percent(one.coverage)}, next best {one.runner_up or 'none'}",),
        ),
        citations=citer.some(list(cited) or list(otherwise)),
        detector="profiles",
        identity=one,
    )


def statement(hosts: Sequence[str], one: Identity, more: bool = False) -> str:
    """'192.0.2.1 behaves as X (likely): what X is. Signs: ...'."""
    told_of = f" of {hosts[0]}" if len(hosts) > 1 else ""
    return f"{who(hosts, one, more)} ({one.tier}): {one.summary} Signs{told_of}: {signs(one)}."


def who(hosts: Sequence[str], one: Identity, more: bool = False) -> str:
    """'192.0.2.1 behaves as X', 'at least 40 outside hosts (192.0.2.1, ...) behave as X'."""
    if len(hosts) == 1:
        return f"{hosts[0]} {_VERBS[one.category][0]} {one.family}"
    least = "at least " if more else ""
    return f"{least}{count(len(hosts), 'outside host')} ({listing(list(hosts))}) {_VERBS[one.category][1]} {one.family}"


def signs(one: Identity) -> str:
    """The strongest matched signs, each with its place and frame."""
    matched = _matched(one)
    parts = []
    for hit in matched[:_SHOWN_SIGNS]:
        value = shown(hit.seen or hit.value)
        place = _place(hit)
        parts.append(f"{_SIGN_WORDS.get(hit.kind, hit.kind)} {value}" + (f" ({place})" if place else ""))
    more = len(matched) - _SHOWN_SIGNS
    return "; ".join(parts) + (f"; {more} more" if more > 0 else "")


def _place(hit: IndicatorHit) -> str:
    """Where a sign was seen; nothing for a figure, which is of all packets, or where the sign says it itself."""
    if hit.kind in ("contact", "tell") or hit.where == hit.seen:
        return ""
    frame = next((c.frame for c in hit.citations.shown if c.frame is not None), None)
    return hit.where + (f", frame {frame}" if frame is not None else "")


def shown(text: str) -> str:
    """A matched text in one short line: bytes that are not printable ASCII as \\xNN, runs of one byte shortened."""
    short = re.sub(r"(.)\1{15,}", lambda run: run[1] * 4 + "..." if run[1].isprintable() else run[1] * 2, text, flags=re.DOTALL).strip(" ")
    line = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" if ord(c) < 256 else "?" for c in short)
    return line if len(line) <= _VALUE_LENGTH else line[: _VALUE_LENGTH - 3] + "..."


def _matched(one: Identity) -> list[IndicatorHit]:
    return sorted((h for h in one.indicators if h.state == "matched" and h.weight > 0), key=lambda h: -h.weight)


def outside_sentence(groups: Sequence[tuple[Sequence[str], Identity]], more: bool = False) -> str:
    """What hosts outside the home networks were recognised at, by family; empty where there are none."""
    parts = []
    for hosts, one in groups:
        subject = who(hosts, one, more) if len(hosts) > 1 else f"outside host {who(hosts, one)}"
        parts.append(f" {subject[0].upper()}{subject[1:]} ({one.tier}).")
    return "".join(parts[:_SHOWN_GROUPS])
