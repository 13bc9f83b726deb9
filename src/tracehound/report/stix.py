"""In: an incident. Out: a STIX 2.1 bundle as text. Never here: sending it.

Source: OASIS STIX Version 2.1 (2021). An incident object is a stub in 2.1, so the whole is a `report`; identifiers are UUIDs version 5
(section 2.9 allows any for domain objects and asks for version 5 over the id-contributing properties for observables, with the
namespace 00abedb4-aa42-466c-9c01-fed23315a9b7)."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

from tracehound.report.incident import PROGRAM, Incident, Sign, probing

_NAMESPACE: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_MARKINGS: Final = {
    "TLP:CLEAR": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "TLP:GREEN": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "TLP:AMBER": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "TLP:AMBER+STRICT": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "TLP:RED": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
"""FIRST's TLP 2.0 marking definitions (oasis-open/cti-stix-common-objects, extension definition of TLP 2.0)."""
_TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_PATTERNS: Final[dict[str, Callable[[str], str]]] = {
    "ip-src": lambda v: f"[{_ip_type(v)}:value = {_quoted(v)}]",
    "domain": lambda v: f"[domain-name:value = {_quoted(v)}]",
    "sha256": lambda v: f"[file:hashes.'SHA-256' = {_quoted(v)}]",
    "md5": lambda v: f"[file:hashes.MD5 = {_quoted(v)}]",
    "user-agent": lambda v: f"[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = {_quoted(v)}]",
}
"""Type of sign -> STIX pattern."""


def _ip_type(address: str) -> str:
    return "ipv6-addr" if ":" in address else "ipv4-addr"


def _quoted(text: str) -> str:
    """A string literal of the patterning language (section 9.1)."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def stamp(ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=ns // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _observable(kind: str, **contributing: Any) -> dict[str, Any]:
    """A cyber observable; its id is made of its contributing properties as canonical JSON."""
    text = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(_NAMESPACE, text)}", **contributing}


class _Bundle:
    """Objects of one bundle, each with the times and the marking that all have."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.objects: list[dict[str, Any]] = []
        self.marking = f"marking-definition--{_MARKINGS[incident.tlp]}"
        self.objects.append(
            {
                "type": "marking-definition", "spec_version": "2.1", "id": self.marking, "created": "2022-10-01T00:00:00.000Z",
                "name": incident.tlp,
                "extensions": {_TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": incident.tlp[4:].lower()}},
            }
        )  # fmt: skip
        self.author = self.add("identity", "author", name=PROGRAM, identity_class="system")

    def add(self, kind: str, *key: str, **more: Any) -> str:
        """Add a domain object; returns its id."""
        i = self.incident
        made: dict[str, Any] = {
            "type": kind, "spec_version": "2.1", "id": f"{kind}--{i.uuid('stix', kind, *key)}",
            "created": stamp(i.opened_ns), "modified": stamp(max(i.made_ns, i.opened_ns)),
        }  # fmt: skip
        if key != ("author",):
            made["created_by_ref"] = self.author
            made["object_marking_refs"] = [self.marking]
        self.objects.append({**made, **{k: v for k, v in more.items() if v is not None}})
        return str(made["id"])

    def observe(self, kind: str, **contributing: Any) -> str:
        made = _observable(kind, **contributing)
        if all(o["id"] != made["id"] for o in self.objects):
            self.objects.append(made)
        return str(made["id"])

    def relate(self, source: str, how: str, target: str) -> None:
        self.add("relationship", source, how, target, relationship_type=how, source_ref=source, target_ref=target)


def _indicators(b: _Bundle, start: str) -> list[str]:
    made = []
    for sign in b.incident.signs:
        pattern = _PATTERNS.get(sign.type)
        if pattern is not None:
            made.append(
                b.add("indicator", sign.type, sign.value, name=f"{sign.type} {sign.value}", pattern=pattern(sign.value),
                      pattern_type="stix", valid_from=start, indicator_types=["malicious-activity"],
                      description=f"From finding {sign.source}.")
            )  # fmt: skip
    for number, rule in enumerate(b.incident.rules):
        made.append(
            b.add("indicator", "rule", str(number), name="Suricata rule", pattern=rule, pattern_type="suricata", valid_from=start,
                  indicator_types=["malicious-activity"])
        )  # fmt: skip
    return made


def _families(b: _Bundle) -> list[str]:
    signs = [s for s in b.incident.signs if s.type == "malware-family"]
    return [b.add("malware", s.value, name=s.value, is_family=True, malware_types=["unknown"]) for s in signs]


def _observed(b: _Bundle) -> str | None:
    """What was seen on the wire: the strongest probing, as traffic from its host to its service."""
    p = probing(b.incident)
    if not p or b.incident.start_ns is None or b.incident.end_ns is None:
        return None
    host = b.observe(_ip_type(p["host"]), value=p["host"])
    protocols = [{6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp"}.get(p["proto"], "ip")]
    ports = {"dst_port": p["dport"]} if p["dport"] is not None and p["proto"] in (6, 17) else {}
    if p["template"] and p["template"]["protocol"] == "http":
        protocols.append("http")
    traffic = b.observe("network-traffic", src_ref=host, protocols=protocols, **ports)
    return b.add(
        "observed-data", "probing", first_observed=stamp(b.incident.start_ns), last_observed=stamp(b.incident.end_ns),
        number_observed=min(max(int(p["attempts"]), 1), 999_999_999), object_refs=[host, traffic],
    )  # fmt: skip


def bundle(incident: Incident) -> str:
    """The incident as a STIX 2.1 bundle."""
    b = _Bundle(incident)
    start = stamp(incident.start_ns if incident.start_ns is not None else incident.opened_ns)
    indicators, families, observed = _indicators(b, start), _families(b), _observed(b)
    for indicator in indicators:
        for family in families:
            b.relate(indicator, "indicates", family)
        if observed is not None:
            b.relate(indicator, "based-on", observed)
    for t in incident.techniques:
        references = [{"source_name": "mitre-attack", "external_id": t}]
        b.add("attack-pattern", t, name=t, external_references=references)
    for ns, who, text in incident.notes:
        b.add("note", str(ns), who, abstract=f"Note of {who}", content=text, authors=[who], object_refs=[b.author])
    described = [o["id"] for o in b.objects if o["type"] != "marking-definition"]
    b.add(
        "report", "report", name=incident.title, description=incident.summary or incident.title, published=stamp(incident.made_ns),
        report_types=["observed-data", "indicator"] if not families else ["malware", "indicator"], object_refs=described,
        labels=list(incident.tags) or None,
    )  # fmt: skip
    document = {"type": "bundle", "id": f"bundle--{incident.uuid('stix', 'bundle')}", "objects": b.objects}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


_READ: Final[dict[str, str]] = {
    "ipv4-addr:value": "ip-src", "ipv6-addr:value": "ip-src", "domain-name:value": "domain", "url:value": "url",
    "file:hashes.'SHA-256'": "sha256", "file:hashes.MD5": "md5", "file:hashes.'MD5'": "md5", "file:name": "filename",
    "email-addr:value": "email",
}  # fmt: skip


def signs_of(text: str) -> list[Sign]:
    """Indicators of a bundle that somebody else made: comparisons of one value in its patterns; what is more than that is left out.

    Raises ValueError where it is no bundle."""
    import re

    document = json.loads(text)
    if not isinstance(document, dict) or document.get("type") != "bundle" or not isinstance(document.get("objects"), list):
        raise ValueError("is no STIX bundle")
    comparison = re.compile(r"([a-z0-9-]+:[A-Za-z0-9_.'-]+)\s*=\s*'((?:[^'\\]|\\.)*)'")
    out: dict[tuple[str, str], Sign] = {}
    for o in document["objects"]:
        if not isinstance(o, dict) or o.get("type") != "indicator" or o.get("pattern_type", "stix") != "stix":
            continue
        for path, value in comparison.findall(str(o.get("pattern", ""))[:10_000]):
            if path in _READ:
                plain = re.sub(r"\\(.)", r"\1", value)
                out.setdefault((_READ[path], plain), Sign(_READ[path], plain, str(o.get("name") or o.get("id") or "STIX")))
    return list(out.values())
