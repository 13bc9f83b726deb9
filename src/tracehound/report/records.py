"""In: an incident. Out: it as records for other programs: VERIS (one JSON document), Timesketch (JSON lines), indicators (CSV).
Never here: documents for people (incident_text.py).

Sources: VERIS 1.3.7 (veriscommunity.net, schema verisc-merged); Timesketch's import format (message, datetime, timestamp_desc)."""

from __future__ import annotations

import csv
import datetime
import json
from typing import Any, Final

from tracehound.report.incident import PROGRAM, Incident, probing

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_CONFIRMED: Final = {"true-positive": "Confirmed", "false-positive": "False positive", "benign": "False positive", "duplicate": "Near miss"}
_SIDES: Final = {"network": "Network event", "host": "Host event", "mail": "Mail sent", "case": "Case action"}


def _moment(ns: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=ns // 1000)


def veris(incident: Incident) -> str:
    """The incident for yearly statistics. What nobody said is "Unknown", which VERIS has a word for."""
    start = _moment(incident.start_ns if incident.start_ns is not None else incident.opened_ns)
    infected = any(s.type == "malware-family" for s in incident.signs)
    scans = bool(probing(incident))
    family = next((s.value for s in incident.signs if s.type == "malware-family"), None)
    action: dict[str, Any] = {}
    if infected:
        action["malware"] = {"variety": ["Scan network"] if scans else ["Unknown"], "vector": ["Unknown"], "name": family}
    elif scans:
        action["hacking"] = {"variety": ["Footprinting"], "vector": ["Other network service"]}
    else:
        action["unknown"] = {}
    made: dict[str, Any] = {
        "schema_version": "1.3.7",
        "incident_id": incident.case_id,
        "source_id": PROGRAM,
        "summary": incident.summary or incident.title,
        "security_incident": _CONFIRMED.get(incident.resolution or "", "Confirmed" if incident.status != "new" else "Suspected"),
        "confidence": _word(max((f.confidence for f in incident.findings), default=0.0)),
        "timeline": {"incident": {"year": start.year, "month": start.month, "day": start.day, "time": f"{start:%H:%M}"}},
        "victim": {"victim_id": "Unknown", "industry": "000000", "country": ["Unknown"], "employee_count": "Unknown"},
        "actor": {"unknown": {}},
        "action": action,
        "asset": {"assets": [{"variety": "U - Unknown"}], "notes": incident.host or ""},
        "attribute": {"integrity": {"variety": ["Software installation"] if infected else ["Unknown"]}},
        "discovery_method": {"internal": {"variety": ["NIDS"]}},
        "plus": {"timeline": {"created": _moment(incident.made_ns).isoformat()}, "master_id": incident.case_id, "tlp": incident.tlp},
    }
    if incident.start_ns is not None and incident.end_ns is not None:
        hours = max(1, round((incident.end_ns - incident.start_ns) / 3.6e12))
        made["timeline"]["discovery"] = {"unit": "Hours", "value": hours}
    return json.dumps(made, indent=2, ensure_ascii=True) + "\n"


def _word(confidence: float) -> str:
    return "High" if confidence >= 0.8 else "Medium" if confidence >= 0.5 else "Low"


def timesketch(incident: Incident) -> str:
    """The timeline as JSON lines that Timesketch imports."""
    lines = [
        json.dumps(
            {
                "datetime": _moment(m.ts_ns).isoformat(timespec="microseconds"), "timestamp": m.ts_ns // 1000, "message": m.what,
                "timestamp_desc": f"{_SIDES.get(m.side, m.side)}: {m.kind}", "data_type": f"{PROGRAM}:{m.side}:{m.kind.replace(' ', '_')}",
                "source": m.source, "case": incident.case_id,
            },
            ensure_ascii=True,
        )
        for m in incident.timeline
    ]  # fmt: skip
    return "".join(line + "\n" for line in lines)


class _Written:
    """What csv writes to: pieces of text."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def write(self, text: str) -> None:
        self.pieces.append(text)


def indicators_csv(incident: Incident) -> str:
    """Indicators as CSV, as they are: defanging is for prose."""
    out = _Written()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["type", "value", "finding", "first_seen", "last_seen", "tlp", "case"])
    seen = [
        "" if ns is None else _moment(ns).isoformat(timespec="seconds") for ns in (incident.start_ns, incident.end_ns)
    ]
    for s in incident.signs:
        rows.writerow([s.type, _no_formula(s.value), s.source, *seen, incident.tlp, incident.case_id])
    for rule in incident.rules:
        rows.writerow(["suricata", _no_formula(rule), "rule", *seen, incident.tlp, incident.case_id])
    return "".join(out.pieces)


def _no_formula(value: str) -> str:
    """A cell that a spreadsheet would run (=, +, -, @ first) is quoted for it; evidence decides what stands here."""
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
