"""In: an incident. Out: an IODEF version 2 document as XML text. Never here: sending it.

Source: RFC 7970. Mandatory: IncidentID, GenerationTime, Contact; the restriction follows the case's TLP label (section 3.3.1)."""

from __future__ import annotations

import datetime
import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tracehound.report.incident import PROGRAM, Incident, Sign, probing

NAMESPACE: Final = "urn:ietf:params:xml:ns:iodef-2.0"
_RESTRICTION: Final = {"TLP:RED": "red", "TLP:AMBER+STRICT": "amber", "TLP:AMBER": "amber", "TLP:GREEN": "green", "TLP:CLEAR": "white"}
_SEVERITY: Final = {"low": "low", "medium": "medium", "high": "high", "critical": "high"}
_STATUS: Final = {"new": "new", "triage": "in-progress", "confirmed": "in-progress", "contained": "in-progress", "reopened": "in-progress",
                  "closed": "resolved"}  # fmt: skip
_ROLES: Final = {"owner": "irt", "analyst": "creator", "reporter": "reporter", "cert": "irt", "provider": "provider", "vendor": "vendor"}
_RATINGS: Final = ((0.8, "high"), (0.5, "medium"), (0.0, "low"))
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _iso(ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=ns // 1_000_000_000)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _text(text: str) -> str:
    """Text with only what XML 1.0 (section 2.2) allows; evidence holds anything."""
    return _NOT_XML.sub("\ufffd", text)


def _sub(parent: Element, tag: str, text: str | None = None, /, **attributes: str) -> Element:
    made = SubElement(parent, tag, {k.replace("_", "-"): _text(v) for k, v in attributes.items()})
    if text is not None:
        made.text = _text(text)
    return made


def document(incident: Incident) -> str:
    """The incident as an IODEF document."""
    root = Element("IODEF-Document", {"version": "2.00", "xmlns": NAMESPACE, "xml:lang": "en"})
    one = _sub(root, "Incident", purpose="reporting", restriction=_RESTRICTION[incident.tlp], status=_STATUS[incident.status])
    _sub(one, "IncidentID", f"{incident.number}", name=incident.case_id)
    if incident.start_ns is not None:
        _sub(one, "StartTime", _iso(incident.start_ns))
    if incident.end_ns is not None:
        _sub(one, "EndTime", _iso(incident.end_ns))
    _sub(one, "ReportTime", _iso(incident.opened_ns))
    _sub(one, "GenerationTime", _iso(incident.made_ns))
    _sub(one, "Description", incident.title)
    if incident.summary:
        _sub(one, "Description", incident.summary)
    _assessment(one, incident)
    _contacts(one, incident)
    _event(one, incident)
    _indicators(one, incident)
    history = [m for m in incident.timeline if m.side == "case"]
    if history:
        part = _sub(one, "History")
        for m in history:
            item = _sub(part, "HistoryItem", action="other", ext_action=m.kind)
            _sub(item, "DateTime", _iso(m.ts_ns))
            _sub(item, "Description", m.what)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _assessment(one: Element, incident: Incident) -> None:
    best = max((f.confidence for f in incident.findings), default=0.0)
    part = _sub(one, "Assessment", occurrence="actual")
    impact = _sub(part, "SystemImpact", severity=_SEVERITY[incident.severity], completion="succeeded", type="unknown")
    _sub(impact, "Description", incident.summary or incident.title)
    _sub(part, "Confidence", rating=next(word for least, word in _RATINGS if best >= least))


def _contacts(one: Element, incident: Incident) -> None:
    if not incident.people:
        contact = _sub(one, "Contact", role="creator", type="organization")
        _sub(contact, "ContactName", PROGRAM)
    for p in incident.people:
        role = _ROLES.get(p.role)
        more = {"role": role} if role else {"role": "ext-value", "ext_role": p.role}
        contact = _sub(one, "Contact", type="person", **more)
        _sub(contact, "ContactName", p.name)
        if p.contact and "@" in p.contact:
            _sub(_sub(contact, "Email"), "EmailTo", p.contact)


def _event(one: Element, incident: Incident) -> None:
    p = probing(incident)
    host = p.get("host") or incident.host
    if not host:
        return
    data = _sub(one, "EventData")
    flow = _sub(data, "Flow")
    source = _sub(flow, "System", category="source")
    node = _sub(source, "Node")
    _sub(node, "Address", host, category="ipv6-addr" if ":" in host else "ipv4-addr")
    if p.get("proto") is not None and p.get("dport") is not None:
        target = _sub(flow, "System", category="target")
        _sub(_sub(target, "Node"), "Address", "0.0.0.0/0", category="ipv4-net")
        service = _sub(target, "Service", ip_protocol=str(p["proto"]))
        _sub(service, "Port", str(p["dport"]))
        _sub(target, "Description", f"{p['targets']} targets, {p['attempts']} attempts")



def _indicators(one: Element, incident: Incident) -> None:
    if not incident.signs and not incident.rules:
        return
    part = _sub(one, "IndicatorData")
    for sign in incident.signs:
        _indicator(part, incident, sign)
    for number, rule in enumerate(incident.rules):
        made = _sub(part, "Indicator")
        _sub(made, "IndicatorID", incident.uuid("iodef", "rule", str(number)), name=PROGRAM, version="1")
        _sub(made, "Description", "Suricata rule")
        _bulk(made, "ext-value", rule, ext_type="suricata-rule")


def _indicator(part: Element, incident: Incident, sign: Sign) -> None:
    made = _sub(part, "Indicator")
    _sub(made, "IndicatorID", incident.uuid("iodef", sign.type, sign.value), name=PROGRAM, version="1")
    _sub(made, "Description", f"{sign.type} from finding {sign.source}")
    if sign.type == "ip-src":
        system = _sub(_sub(made, "Observable"), "System", category="source")
        _sub(_sub(system, "Node"), "Address", sign.value, category="ipv6-addr" if ":" in sign.value else "ipv4-addr")
    else:
        _bulk(made, "ext-value", sign.value, ext_type=sign.type)


def _bulk(made: Element, kind: str, value: str, **more: str) -> None:
    """RFC 7970 3.29.4: a list of one kind, one a line."""
    bulk = _sub(_sub(made, "Observable"), "BulkObservable", type=kind, **more)
    _sub(bulk, "BulkObservableList", value)
