"""In: a case and a format. Out: the case in that format, kept in it and noted in its log; a published archive; foreign indicators taken.
Never here: a format (report/), or a case's meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from tracehound.cases.hypotheses import compete
from tracehound.edges import case_answers, case_rules
from tracehound.edges.case_runs import latest_run
from tracehound.edges.casefile import Case
from tracehound.edges.clock import now_ns
from tracehound.errors import EvidenceError, UsageError
from tracehound.report import abuse, document, incident_text, iodef, misp, records, stix
from tracehound.report.incident import Evidence, Incident, Moment, Person, Sign, Standing, Statement
from tracehound.version import __version__

_MOST_MOMENTS: Final = 5_000


def incident_of(case: Case) -> Incident:
    """The case as it is handed to others."""
    latest = latest_run(case)
    run_id = latest[0] if latest else -1
    last = case.last_entry()
    verdict = case_answers.verdict_json(case) or {}
    table = compete(
        case.rows("SELECT * FROM hypotheses ORDER BY hypothesis_id"), case.rows("SELECT * FROM weighings ORDER BY rowid")
    )
    standings = tuple(
        Standing(
            table.hypotheses[i][1], table.against[i], tuple((r.marks[i], r.item, r.reasons[i]) for r in table.rows if r.marks[i])
        )
        for i in table.order
    )
    findings = case.rows("SELECT * FROM findings WHERE run_id = ? ORDER BY confidence DESC, finding_id", (run_id,))
    return Incident(
        case_id=case.fact("case_id"), number=case.fact("number"), title=case.fact("title"), status=case.status,
        severity=case.fact("severity"), tlp=case.fact("tlp"), opened_ns=case.fact("opened_ns"), made_ns=now_ns(),
        head=last.hash if last else "", version=__version__, host=case.fact("host"), source_port=_source_port(latest, verdict),
        assignee=case.fact("assignee"), resolution=case.fact("resolution"), synthetic=verdict.get("synthetic", ""),
        summary=verdict.get("summary", ""),
        findings=tuple(Statement(*(r[k] for k in Statement._fields)) for r in findings),
        signs=tuple(Sign(r["type"], r["value"], r["source"]) for r in case.rows("SELECT type, value, source FROM indicators ORDER BY seq")),
        evidence=tuple(
            Evidence(r["name"], r["kind"], r["size_bytes"], r["sha256"], r["at_ns"], r["who"])
            for r in case.rows("SELECT * FROM evidence ORDER BY evidence_id")
        ),
        timeline=tuple(_told(case)),
        people=tuple(
            Person(r["role"], r["name"], r["contact"], r["organisation"]) for r in case.rows("SELECT * FROM people ORDER BY person_id")
        ),
        techniques=tuple(
            dict.fromkeys(
                [r["technique"] for r in case.rows("SELECT technique FROM techniques ORDER BY seq")]
                + [r["technique"] for r in findings if r["technique"]]
            )
        ),
        tags=tuple(r["tag"] for r in case.rows("SELECT tag FROM tags ORDER BY tag")),
        notes=tuple(
            (r["at_ns"], r["who"], r["text"]) for r in case.rows("SELECT * FROM notes WHERE retracted IS NULL ORDER BY note_id")
        ),
        hypotheses=standings,
        host_changes=tuple(c.statement for c in case_answers.host_changes(case)),
        rules=case_rules.held(case), verdict=verdict,
    )  # fmt: skip


def _told(case: Case) -> list[Moment]:
    """The timeline; of a host's events only those near a turning point: a listing has hundreds of thousands."""
    near = [c for changes in case_answers.host_changes(case) for c in changes.changes]
    wanted = {(c.ts_ns, f"{c.source}:{c.line}") for c in near}
    found = [m for m in case_answers.moments(case) if m.side != "host" or (m.ts_ns, m.source) in wanted]
    return found[:_MOST_MOMENTS]


def _source_port(latest: tuple[int, Path] | None, verdict: dict[str, Any]) -> int | None:
    """The source port of the first attempt of the strongest probing."""
    p = next((f["probing"] for f in verdict.get("findings", ()) if f.get("probing")), None)
    path = None if latest is None else latest[1] / "tables" / "flows.parquet"
    if p is None or path is None or not path.is_file() or p["proto"] not in (6, 17):
        return None
    wanted = [("src", "=", p["host"]), ("proto", "=", p["proto"]), *([("dport", "=", p["dport"])] if p["dport"] is not None else [])]
    flows = pq.read_table(path, columns=["start", "sport"], filters=wanted)
    return int(flows.sort_by("start")["sport"][0].as_py()) or None if flows.num_rows else None


def _html(markdown: str, incident: Incident) -> str:
    return document.page(markdown, f"{incident.tlp} {incident.title}")


def _pdf(incident: Incident) -> bytes:
    try:
        from weasyprint import HTML
    except (ImportError, OSError) as cause:
        raise UsageError(f"case export --format pdf: needs the extra [pdf] (pip install 'tracehound[pdf]') and Pango: {cause}") from None

    def nothing_is_fetched(url: str, *_more: object, **_named: object) -> dict[str, Any]:
        raise ValueError(f"{url} is not fetched")

    return bytes(HTML(string=_html(incident_text.analyst(incident), incident), url_fetcher=nothing_is_fetched).write_pdf())


FORMATS: Final[dict[str, tuple[str, Callable[[Incident], str | bytes]]]] = {
    "html": ("html", lambda i: _html(incident_text.analyst(i), i)),
    "pdf": ("pdf", _pdf),
    "markdown": ("md", incident_text.analyst),
    "management": ("html", lambda i: _html(incident_text.management(i), i)),
    "management-markdown": ("md", incident_text.management),
    "advisory": ("md", incident_text.advisory),
    "abuse": ("txt", abuse.mail),
    "xarf": ("json", abuse.xarf),
    "stix": ("json", stix.bundle),
    "misp": ("json", misp.event),
    "iodef": ("xml", iodef.document),
    "veris": ("json", records.veris),
    "timesketch": ("jsonl", records.timesketch),
    "csv": ("csv", records.indicators_csv),
}
"""Format -> suffix of its file, and who writes it."""


def export(case: Case, form: str) -> bytes:
    """The case in one format. Raises UsageError."""
    if form not in FORMATS:
        raise UsageError(f"--format: {form!r} is none of {', '.join(FORMATS)}")
    try:
        made = FORMATS[form][1](incident_of(case))
    except ValueError as cause:
        raise UsageError(f"case export --format {form}: {cause}") from None
    return made if isinstance(made, bytes) else made.encode("utf-8", "replace")


def share(case: Case, who: str, form: str, to: str | None, name: str, data: bytes) -> None:
    """Note in the log that something left the case."""
    case.act(who, "share", {"format": form, "to": to, "name": name, "sha256": hashlib.sha256(data).hexdigest()})


READERS: Final[dict[str, Callable[[str], list[Sign]]]] = {"stix": stix.signs_of, "misp": misp.signs_of}


def take_indicators(case: Case, who: str, path: Path) -> tuple[str, int]:
    """Take the indicators of a STIX bundle or a MISP event of somebody else; returns the format and how many are new."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        document_ = json.loads(text)
    except OSError as cause:
        raise EvidenceError(str(path), cause.strerror or str(cause)) from None
    except (ValueError, RecursionError) as cause:
        raise EvidenceError(str(path), f"is no JSON: {cause}") from None
    form = "stix" if isinstance(document_, dict) and document_.get("type") == "bundle" else "misp"
    try:
        signs = READERS[form](text)
    except (ValueError, TypeError, AttributeError) as cause:
        raise EvidenceError(str(path), str(cause)) from None
    known = {(r["type"], r["value"]) for r in case.rows("SELECT type, value FROM indicators")}
    new = [s for s in signs if (s.type, s.value) not in known]
    for s in new:
        case.act(who, "indicator", {"type": s.type, "value": s.value, "source": f"{path.name}: {s.source}"[:400]})
    return form, len(new)


def sightings(case: Case) -> list[dict[str, Any]]:
    """Which of the case's indicators its own traffic shows: addresses, names, requests, files, fingerprints."""
    latest = latest_run(case)
    if latest is None:
        return []
    from tracehound.edges.case_runs import duck_of

    places = {
        "ip-src": ("flows", ("src", "dst")), "ip": ("flows", ("src", "dst")), "domain": ("dns", ("query",)),
        "sha256": ("files", ("sha256",)), "md5": ("files", ("md5",)), "filename": ("files", ("name",)),
        "user-agent": ("http", ("user_agent",)), "ja3-fingerprint-md5": ("tls", ("ja3",)),
    }  # fmt: skip
    out = []
    with duck_of(case) as duck:
        there = {p.stem for p in (latest[1] / "tables").glob("*.parquet")}
        for r in case.rows("SELECT type, value, source FROM indicators ORDER BY seq"):
            table, columns = places.get(r["type"], ("", ()))
            if table not in there:
                continue
            where = " OR ".join(f"lower({c}) = lower($value)" for c in columns)
            rows = duck.ask(f"SELECT count(*) AS n FROM {table} WHERE {where}", {"value": r["value"]}).to_pylist()
            if rows[0]["n"]:
                out.append({**r, "table": table, "rows": rows[0]["n"]})
    return out
