"""In: an incident. Out: documents for people as Markdown: the analyst's report, the management's page, an advisory.
Never here: HTML or PDF (made of this Markdown by the edge), or machine formats (records.py, stix.py, misp.py, ...).

Every page carries its TLP label. Addresses of the outside world are defanged in prose; what comes out of evidence is never markup."""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

from tracehound import limits
from tracehound.report.abuse import defanged_addresses
from tracehound.report.incident import PROGRAM, Incident, probing
from tracehound.report.visible import clip, visible

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+|!~-])")
_MOST_ROWS: Final = 200


def stamp(ns: int | None) -> str:
    return "unknown" if ns is None else f"{_EPOCH + datetime.timedelta(seconds=ns // 1_000_000_000):%Y-%m-%d %H:%M:%S} UTC"


def plain(text: object) -> str:
    """Text out of evidence as text of a Markdown document: nothing in it is obeyed."""
    shown = visible(" ".join(str(text).split()), limits.MAX_REPORT_TEXT)
    return _MARKUP.sub(r"\\\1", shown)


def code(text: str) -> str:
    """Text as a code span, whatever backticks it holds."""
    shown = visible(text, limits.MAX_REPORT_TEXT)
    fence = "`" * (max((len(m) for m in re.findall(r"`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    shown = ["| " + " | ".join(r) + " |" for r in rows[:_MOST_ROWS]]
    more = f"\n\n{len(rows) - _MOST_ROWS:,} more rows are in the case." if len(rows) > _MOST_ROWS else ""
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *shown]) + more + "\n"


def _head(incident: Incident, kind: str) -> list[str]:
    parts = [f"**{incident.tlp}**\n", f"# {plain(incident.title)}\n", f"{kind}, case {incident.number}, {stamp(incident.made_ns)}\n"]
    if incident.synthetic:
        parts.append(f"> {plain(incident.synthetic)}\n")
    return parts


def _foot(incident: Incident) -> str:
    made_by = f"{PROGRAM} {incident.version}"
    return f"---\n\n{incident.tlp} · case {incident.case_id} · made by {made_by} · log head {code(incident.head)}\n"


def _section(title: str, *body: str) -> list[str]:
    kept = [b for b in body if b.strip()]
    return [f"## {title}\n", *kept] if kept else []


def _lines(items: list[str]) -> str:
    return "".join(f"- {item}\n" for item in items)


def analyst(incident: Incident) -> str:
    """Everything that is known, each statement with its confidence and where it comes from."""
    p = probing(incident)
    parts = _head(incident, "Analyst's report")
    facts = [
        ("status", incident.status), ("severity", incident.severity), ("host", incident.host or p.get("host") or "none named"),
        ("from", stamp(incident.start_ns)), ("to", stamp(incident.end_ns)), ("assigned to", incident.assignee or "nobody"),
    ]  # fmt: skip
    parts.append(_table(("fact", ""), [(k, plain(v)) for k, v in facts]))
    parts += _section("What was found", plain(incident.summary) + "\n" if incident.summary else "", _table(
        ("finding", "statement", "confidence", "technique"),
        [(code(f.finding_id), plain(f.statement), f"{f.confidence:.2f}", f.technique or "") for f in incident.findings],
    ))  # fmt: skip
    parts += _section("What the host sends", _template(p))
    parts += _section("How the attempts fared", _table(
        ("outcome", "attempts", "share", "targets"),
        [(o["outcome"], f"{o['attempts']:,}", f"{o['share']:.1%}", f"{o['targets']:,}") for o in p.get("outcomes", ())],
    ))  # fmt: skip
    parts += _section("What changed the behaviour", _turns(p))
    parts += _section("What changed on the host", _lines([plain(c) for c in incident.host_changes]))
    parts += _section("What it is", _lines([
        f"{plain(i['family'])}: {i['tier']}, probability {i['probability']:.2f}. {plain(i['explanation'])}"
        for i in p.get("identities", ())[:3]
    ]))  # fmt: skip
    parts += _section("Hypotheses, least contradicted first", _lines([
        f"{plain(h.statement)}: {h.against} against" + "".join(f"\n    - {m}: {plain(item)} ({plain(why)})" for m, item, why in h.cells)
        for h in incident.hypotheses
    ]))  # fmt: skip
    parts += _section("How to detect it", *(f"```\n{visible(r)}\n```\n" for r in incident.rules))
    parts += _section("Indicators", _table(
        ("type", "value", "from"), [(s.type, code(s.value), code(s.source)) for s in incident.signs]
    ))  # fmt: skip
    parts += _section("Timeline", _table(
        ("when", "side", "what", "from"),
        [(stamp(m.ts_ns), m.side, plain(f"{m.kind}: {m.what}"), code(m.source)) for m in incident.timeline],
    ))  # fmt: skip
    parts += _section("Evidence", _table(
        ("name", "kind", "bytes", "SHA-256", "taken"),
        [
            (code(e.name), e.kind, f"{e.size_bytes:,}", code(e.sha256), f"{stamp(e.taken_ns)} by {plain(e.taken_by)}")
            for e in incident.evidence
        ],
    ))  # fmt: skip
    parts += _section("Notes", *(f"**{plain(who)}**, {stamp(ns)}:\n\n{quoted(text)}\n" for ns, who, text in incident.notes))
    parts += _section("People", _lines([
        f"{person.role}: {plain(person.name)}" + (f", {plain(person.organisation)}" if person.organisation else "")
        + (f", {code(person.contact)}" if person.contact else "") for person in incident.people
    ]))  # fmt: skip
    return "\n".join([*parts, _foot(incident)])


def quoted(text: str) -> str:
    """A note as a block quote. Notes are Markdown of our own people; raw HTML in them stays text."""
    return "\n".join("> " + line.replace("<", "&lt;") for line in visible_lines(text))


def visible_lines(text: str) -> list[str]:
    return [visible(line) for line in text.splitlines()] or [""]


def _template(p: dict[str, Any]) -> str:
    t = p.get("template")
    if not t:
        return ""
    names = ", ".join(map(code, t["headers_absent"][:12]))
    absent = f"\n\nAbsent in all {t['samples']:,} requests: {names}." if names else ""
    return f"{code(t['text'])}, {t['length_min']} to {t['length_max']} bytes.{absent}\n"


def _turns(p: dict[str, Any]) -> str:
    out = []
    for t in p.get("turning_points", ()):
        out.append(plain(t["statement"]))
        out += [
            f"candidate {c['rank']} (score {c['score']:.2f}): {plain(c['what'])}, {c['seconds_before']:.0f} s before, "
            f"{plain(c['judgement'])}"
            for c in t["candidates"][:3]
        ]
    return _lines(out)


def management(incident: Incident) -> str:
    """One page: what happened, how sure we are, what was done, what is open."""
    p = probing(incident)
    best = max((f.confidence for f in incident.findings), default=0.0)
    sure = "well supported" if best >= 0.8 else "probable" if best >= 0.5 else "an open question"
    family = next((i for i in p.get("identities", ()) if i["tier"] in ("confirmed", "likely")), None)
    parts = _head(incident, "Summary for management")
    happened = defanged_addresses(plain(incident.summary)) if incident.summary else "The evidence was not investigated yet."
    parts += _section("What happened", happened + "\n")
    parts += _section("How sure we are", f"The main finding is {sure} (confidence {best:.2f} of 1)."
                      + (f" The behaviour fits {plain(family['family'])} ({family['tier']})." if family else "") + "\n")  # fmt: skip
    parts += _section("Where it stands", f"Status: {incident.status}. Severity: {incident.severity}."
                      + (f" Resolution: {incident.resolution}." if incident.resolution else "")
                      + (f" Assigned to {plain(incident.assignee)}." if incident.assignee else "") + "\n")  # fmt: skip
    done = [m for m in incident.timeline if m.side == "case" and m.kind in ("status", "recheck", "share", "run", "open")]
    parts += _section("What was done", _lines([f"{stamp(m.ts_ns)}: {plain(clip(m.what, 160))}" for m in done[-12:]]))
    return "\n".join([*parts, _foot(incident)])


def advisory(incident: Incident) -> str:
    """Text for a list or for other CERTs: what to look for, how to detect it, what to do."""
    p = probing(incident)
    parts = _head(incident, "Advisory")
    parts += _section("Summary", defanged_addresses(plain(incident.summary)) + "\n" if incident.summary else "")
    stack = p.get("stack", {})
    told = (stack.get("source_ports"), stack.get("syn_retries"), p.get("order"), p.get("revisits"))
    parts += _section("How to recognise it", _template(p), _lines([plain(s) for s in told if s]))
    parts += _section("Indicators", _lines([f"{s.type}: {code(s.value)}" for s in incident.signs if s.type != "ip-src"]))
    parts += _section("Rule", *(f"```\n{visible(r)}\n```\n" for r in incident.rules))
    sources = [s for i in p.get("identities", ())[:1] for s in i["sources"]]
    parts += _section("References", _lines([plain(s) for s in sources]))
    return "\n".join([*parts, _foot(incident)])
