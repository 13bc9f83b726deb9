"""In: an incident, or a MISP event of somebody else. Out: a MISP event as JSON text, or its indicators. Never here: a MISP server.

Source: the MISP core format (draft-18): numbers are strings, `to_ids` says that an attribute may raise an alarm."""

from __future__ import annotations

import datetime
import json
from typing import Any, Final

from tracehound.report.incident import PROGRAM, Incident, Sign

_LEVEL: Final = {"critical": "1", "high": "1", "medium": "2", "low": "3"}
_ANALYSIS: Final = {"new": "0", "triage": "0", "closed": "2"}
"""Status -> analysis (0 initial, 1 ongoing, 2 complete); all others are ongoing."""
_DISTRIBUTION: Final = {"TLP:CLEAR": "3", "TLP:GREEN": "1", "TLP:AMBER": "0", "TLP:AMBER+STRICT": "0", "TLP:RED": "0"}
_ATTRIBUTES: Final[dict[str, tuple[str, str, bool]]] = {
    "ip-src": ("ip-src", "Network activity", True),
    "ip-dst": ("ip-dst", "Network activity", True),
    "domain": ("domain", "Network activity", True),
    "url": ("url", "Network activity", True),
    "user-agent": ("user-agent", "Network activity", False),
    "http-request": ("pattern-in-traffic", "Network activity", False),
    "pattern-in-traffic": ("pattern-in-traffic", "Network activity", False),
    "ja3-fingerprint-md5": ("ja3-fingerprint-md5", "Network activity", True),
    "sha256": ("sha256", "Payload delivery", True),
    "md5": ("md5", "Payload delivery", True),
    "filename": ("filename", "Payload delivery", False),
    "email": ("email", "Payload delivery", True),
    "malware-family": ("text", "Antivirus detection", False),
}
"""Type of sign -> MISP's type, category, and whether it may raise an alarm."""
READ: Final = {
    "ip-src": "ip-src", "ip-dst": "ip-src", "domain": "domain", "hostname": "domain", "url": "url", "sha256": "sha256", "md5": "md5",
    "filename": "filename", "user-agent": "user-agent", "email-src": "email", "ja3-fingerprint-md5": "ja3-fingerprint-md5",
}  # fmt: skip
"""MISP's type -> type of sign."""


def _seconds(ns: int) -> str:
    return str(ns // 1_000_000_000)


def _attribute(incident: Incident, kind: str, category: str, value: str, comment: str, *, to_ids: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "uuid": incident.uuid("misp", kind, value), "type": kind, "category": category, "value": value, "to_ids": to_ids,
        "comment": comment, "timestamp": _seconds(incident.made_ns), "distribution": "5", "disable_correlation": False,
    }  # fmt: skip
    if incident.start_ns is not None and incident.end_ns is not None:
        made["first_seen"], made["last_seen"] = _iso(incident.start_ns), _iso(incident.end_ns)
    return made


def _iso(ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=ns // 1000)
    return moment.isoformat(timespec="microseconds")


def _file_name(evidence: str) -> str:
    return evidence.replace("|", "_")


def event(incident: Incident) -> str:
    """The incident as a MISP event, ready to be imported."""
    attributes = [
        _attribute(incident, kind, category, s.value, f"finding {s.source}", to_ids=to_ids)
        for s in incident.signs
        if s.type in _ATTRIBUTES
        for kind, category, to_ids in (_ATTRIBUTES[s.type],)
    ]
    attributes += [_attribute(incident, "snort", "Network activity", rule, "Suricata syntax", to_ids=True) for rule in incident.rules]
    attributes += [
        _attribute(incident, "filename|sha256", "External analysis", f"{_file_name(e.name)}|{e.sha256}", e.kind, to_ids=False)
        for e in incident.evidence
    ]
    tags = [incident.tlp.lower(), *incident.tags, *(f"misp-galaxy:mitre-attack-pattern=\"{t}\"" for t in incident.techniques)]
    made = {
        "uuid": incident.uuid("misp", "event"),
        "info": incident.title,
        "date": _iso(incident.start_ns if incident.start_ns is not None else incident.opened_ns)[:10],
        "threat_level_id": _LEVEL[incident.severity],
        "analysis": _ANALYSIS.get(incident.status, "1"),
        "timestamp": _seconds(incident.made_ns),
        "published": False,
        "distribution": _DISTRIBUTION[incident.tlp],
        "Orgc": {"name": PROGRAM, "uuid": incident.uuid("misp", "organisation")},
        "Attribute": attributes,
        "Object": [],
        "Tag": [{"name": t} for t in tags],
    }
    return json.dumps({"Event": made}, indent=2, ensure_ascii=True) + "\n"


def signs_of(text: str) -> list[Sign]:
    """Indicators of an event (or of a list of events, as an export has them). Raises ValueError where it is none."""
    document = json.loads(text)
    events = document.get("response", [document]) if isinstance(document, dict) else document
    if not isinstance(events, list) or not all(isinstance(e, dict) and isinstance(e.get("Event"), dict) for e in events):
        raise ValueError("is no MISP event")
    out: dict[tuple[str, str], Sign] = {}
    for e in (e["Event"] for e in events):
        objects = [o for o in e.get("Object") or [] if isinstance(o, dict)]
        attributes = [a for holder in (e, *objects) for a in holder.get("Attribute") or [] if isinstance(a, dict)]
        for a in attributes:
            kinds, values = str(a.get("type", "")).split("|"), str(a.get("value", "")).split("|")
            for kind, value in zip(kinds, values, strict=False):
                if kind in READ and value:
                    out.setdefault((READ[kind], value), Sign(READ[kind], value, str(e.get("info") or "MISP")))
    return list(out.values())
