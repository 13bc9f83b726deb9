"""In: what TLS handshakes and DNS queries of malicious flows name, and those of everything else. Out: a rule on the name that tells them
apart, or why there is none. Never here: HTTP and payload (draft.py), reading evidence.

One rule looks one way: certificates come from the server, server names and JA3 from the client. The first candidate that all
samples share and that next to no other handshake has is taken: certificate, server name, queried name, then JA3, which only names the
TLS library and is therefore never enough where others use it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tracehound.lab.draft import Draft, Naming, Refused, rule_text
from tracehound.lab.gate import COMMON, LEAST_TOTAL_BYTES, MOST_BENIGN_SHARE, SMALL_POOL, Token
from tracehound.rules.render import content_text


@dataclass(frozen=True, slots=True)
class Named:
    """What one flow names. service: tls or dns; fields: buffer -> value, None where it is not there."""

    service: str
    fields: Mapping[str, str | None]
    flow_id: int
    ts_ns: int
    dport: int | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    buffer: str
    side: str
    shared: Callable[[Sequence[str]], str]
    what: str


def _same(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _suffix(values: Sequence[str]) -> str:
    """The name, or the longest common end of it from a dot on with two labels at least."""
    low = [v.lower().rstrip(".") for v in values]
    if len(set(low)) == 1:
        return low[0]
    first, last = min(v[::-1] for v in low), max(v[::-1] for v in low)  # what these two share at the end, all share
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    end = first[:same][::-1]
    end = end[end.find(".") :] if "." in end else ""
    return end if end.count(".") >= 2 else ""


_WAYS: Final[dict[str, tuple[_Way, ...]]] = {
    "tls": (
        _Way("tls.cert_subject", "to_client", _same, "Certificate"), _Way("tls.cert_issuer", "to_client", _same, "Certificate Issuer"),
        _Way("tls.sni", "to_server", _suffix, "TLS Server Name"), _Way("ja3.hash", "to_server", _same, "JA3"),
    ),
    "dns": (_Way("dns.query", "to_server", _suffix, "DNS Query"),),
}  # fmt: skip


def _port(samples: Sequence[Named]) -> int | None:
    """The servers' port where it is one and not the usual one of HTTPS."""
    ports = {s.dport for s in samples}
    return ports.pop() if len(ports) == 1 and not ports & {443, None} else None


def _fits(value: str | None, shared: str, way: _Way) -> bool:
    if value is None:
        return False
    return value.lower().rstrip(".").endswith(shared) if way.shared is _suffix else value == shared


def named_drafts(samples: Sequence[Named], others: Sequence[Named], naming: Naming) -> list[Draft | Refused]:
    """A rule (or a refusal) for each service among the samples."""
    out: list[Draft | Refused] = []
    sid = naming.sid
    for service in dict.fromkeys(s.service for s in samples):
        mine = [s for s in samples if s.service == service]
        made = _one(mine, [o for o in others if o.service == service], naming, sid)
        sid += isinstance(made, Draft)
        out.append(made)
    return out


def _one(samples: Sequence[Named], others: Sequence[Named], naming: Naming, sid: int) -> Draft | Refused:
    service, why = samples[0].service, ""
    for way in _WAYS[service]:
        values = [s.fields.get(way.buffer) for s in samples]
        # A handshake that was cut short names nothing; it is left aside, but most must.
        known = [v for v in values if v]
        shared = way.shared(known) if known and len(known) >= 0.95 * len(values) else ""
        if not shared:
            continue
        if len(shared) < LEAST_TOTAL_BYTES or shared.lower().encode("utf-8", "replace") in COMMON:
            why = f"{way.buffer} is always {shared!r}: too short to tell anything"
            continue
        port = _port(samples) if way.buffer == "ja3.hash" else None
        # A fingerprint of a library says more on a port where nobody else speaks TLS.
        alike = sum((port is None or o.dport == port) and _fits(o.fields.get(way.buffer), shared, way) for o in others)
        if alike > MOST_BENIGN_SHARE * len(others):
            why = f"{way.buffer} is always {shared[:60]!r}, and {alike:,} of {len(others):,} other flows have it, too"
            continue
        return _written(way, shared, samples, len(others), naming, sid, port)
    why = why or "no certificate, server name or queried name is the same in all of them"
    return Refused(f"{service} {len(samples)} flows", len(samples), why, "flows of one program only, or what is inside the encryption")


def _written(
    way: _Way, shared: str, samples: Sequence[Named], others: int, naming: Naming, sid: int, port: int | None
) -> Draft:
    service = samples[0].service
    data = shared.encode("utf-8", "replace")
    whole = way.shared is _same or not shared.startswith(".")
    ends = ("$HOME_NET any -> $EXTERNAL_NET any", "$EXTERNAL_NET any -> $HOME_NET any")
    inward = (way.side == "to_client") == naming.originator_at_home
    if port is not None:
        ends = (f"$HOME_NET any -> $EXTERNAL_NET {port}", f"$EXTERNAL_NET any -> $HOME_NET {port}")
    if service == "dns":
        ends = ("$HOME_NET any -> any any", "any any -> $HOME_NET any")
    place = f"bsize:{len(data)};" if whole else "endswith;"
    nocase = " nocase;" if way.shared is _suffix else ""
    flow = f"flow:established,{way.side};" if service == "tls" else ""
    options = [flow, f'{way.buffer}; content:"{content_text(data)}"; {place}{nocase}']
    message = naming.message(f"{way.what} Observed")
    text = rule_text(f"alert {service} {ends[inward]}", message, options, replace(naming, sid=sid))
    notes = [f"weighed against {others:,} other {service} flows only: a zero there says little"] if others < SMALL_POOL else []
    if way.buffer == "ja3.hash":
        notes.append("JA3 names a TLS library, not a program: expect others that use it")
    return Draft(text, sid, len(samples), len(samples), (Token(way.buffer, data, True, 0, 0, whole),), tuple(notes))
