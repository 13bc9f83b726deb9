"""In: an incident. Out: a report to the provider of the strange host: XARF v4 for its machines, mail for its people.
Never here: sending it, or finding out whose the host is (enrich/).

Source: XARF version 4 (the schemas of the package `xarf`): category `connection`, types `port_scan` and `infected_host`."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from typing import Any, Final

from tracehound.report.incident import PROGRAM, Incident, Person, defanged, probing

_NO_CONTACT: Final = "abuse@example.invalid"


def _iso(ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=ns // 1_000_000_000)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _contact(person: Person | None) -> dict[str, str]:
    contact = (person.contact if person else None) or _NO_CONTACT
    organisation = (person.organisation or person.name) if person else PROGRAM
    return {"org": organisation, "contact": contact, "domain": contact.rpartition("@")[2] or "example.invalid"}


def reporter(incident: Incident) -> Person | None:
    """Who reports: the case's reporter, else its first analyst."""
    return next((p for role in ("reporter", "analyst") for p in incident.people if p.role == role), None)


def _base(path: str) -> str:
    """The name of a file without our folders, which are nobody's business."""
    return path.replace("\\", "/").rpartition("/")[2]


def evidence_lines(incident: Incident, most: int = 20) -> str:
    """Attempts of the strange host as lines that a provider can compare with its own logs: time in UTC, from, to."""
    p = probing(incident)
    rows = []
    for outcome in p.get("outcomes", ()):
        rows += [
            f"{c['ts'][:19]}Z {p['host']} -> {p['service']} {outcome['outcome']} ({_base(c['file'])} frame {c['frame']})"
            for c in outcome["citations"]["shown"]
            if c.get("ts")
        ]
    return "\n".join(sorted(rows)[:most]) or incident.summary


def xarf(incident: Incident) -> str:
    """XARF v4 as JSON. Raises ValueError where no host stands out that somebody could be told of."""
    p = probing(incident)
    host = p.get("host") or incident.host
    if not host:
        raise ValueError("no host to report: the case names none and the verdict found none")
    family = next((s.value for s in incident.signs if s.type == "malware-family"), None)
    payload = evidence_lines(incident).encode("utf-8")
    made: dict[str, Any] = {
        "xarf_version": "4.2.0",
        "report_id": incident.uuid("xarf"),
        "timestamp": _iso(incident.made_ns),
        "reporter": _contact(reporter(incident)),
        "sender": _contact(reporter(incident)),
        "source_identifier": host,
        "category": "connection",
        "type": "infected_host" if family else "port_scan",
        "evidence_source": "flow_analysis",
        "first_seen": _iso(incident.start_ns if incident.start_ns is not None else incident.opened_ns),
        "last_seen": _iso(incident.end_ns if incident.end_ns is not None else incident.made_ns),
        "protocol": {6: "tcp", 17: "udp", 1: "icmp"}.get(p.get("proto", 6), "tcp"),
        "description": incident.summary[:1000],
        "evidence": [
            {
                "content_type": "text/plain", "description": "attempts, times in UTC", "payload": base64.b64encode(payload).decode("ascii"),
                "hash": "sha256:" + hashlib.sha256(payload).hexdigest(), "size": len(payload),
            }
        ],
        "tags": [f"tlp:{incident.tlp[4:].lower().replace('+', '-')}"],
        "confidence": round(max((f.confidence for f in incident.findings if f.host == host), default=0.5), 2),
    }  # fmt: skip
    if family:
        made |= {"bot_type": "malicious", "bot_name": family, "total_requests": p.get("attempts") or None}
    # RFC 6302 asks for the source port: behind a provider's address translation only it tells whose host it was.
    made["source_port"] = incident.source_port
    made["destination_port"] = p.get("dport") or None
    return json.dumps({k: v for k, v in made.items() if v is not None}, indent=2, ensure_ascii=True) + "\n"


def mail(incident: Incident) -> str:
    """The same for people: a mail as text, addresses defanged in prose."""
    p = probing(incident)
    host = p.get("host") or incident.host
    if not host:
        raise ValueError("no host to report: the case names none and the verdict found none")
    to = next((c.contact for role in ("provider", "owner") for c in incident.people if c.role == role and c.contact), "")
    who = reporter(incident)
    lines = [
        f"To: {to or 'abuse contact of ' + host}",
        f"Subject: [{incident.tlp}] {'Infected host' if 'malware-family' in {s.type for s in incident.signs} else 'Scanning host'} {host}",
        "",
        f"Dear abuse team,\n\nthe host {host} in your network behaves as follows (all times UTC):\n",
        _wrapped(incident.summary),
        "\nSome of what we saw:\n",
        evidence_lines(incident, 12),
        "\nPlease have a look at the host, and tell us what you find. The full evidence is kept under",
        f"case {incident.number} ({incident.case_id}); its files have these SHA-256 hashes:\n",
        *(f"  {e.sha256}  {e.name}" for e in incident.evidence),
        f"\nThe machine-readable form of this report (XARF v4) has the id {incident.uuid('xarf')}.",
        f"\n{who.name if who else PROGRAM}" + (f"\n{who.organisation}" if who and who.organisation else ""),
    ]
    if incident.synthetic:
        lines.insert(3, f"NOTE: {incident.synthetic}\n")
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    import textwrap

    return textwrap.fill(defanged_addresses(text), 76, break_long_words=False, break_on_hyphens=False)


def defanged_addresses(text: str) -> str:
    """Addresses and URLs within prose defanged, everything else as it is."""
    import re

    return re.sub(r"https?://\S+|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)", lambda m: defanged(m[0]), text)
