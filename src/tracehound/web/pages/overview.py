"""In: a folder of cases, or one case. Out: the list, the case's overview, its report, its jobs. Never here: rows of tables (tables.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tracehound.cases import lifecycle
from tracehound.cases.hypotheses import MARKS, compete
from tracehound.edges import case_answers
from tracehound.edges.case_runs import TRAFFIC, latest_run, runs, tables_of
from tracehound.edges.casefile import Case, case_folders, new_case_folder
from tracehound.errors import UsageError
from tracehound.findings.model import rfc3339
from tracehound.pipeline import Question
from tracehound.report.incident import probing_parts
from tracehound.web.page import Action, Ask, NotFound, Page, Param

_FACTS: Final = ("number", "title", "status", "severity", "tlp", "host", "assignee", "resolution", "case_id")


def facts(case: Case) -> dict[str, Any]:
    """What every page of a case shows at its top."""
    last = case.last_entry()
    return {
        **{name: case.fact(name) for name in _FACTS},
        "opened": rfc3339(case.fact("opened_ns")),
        "changed": rfc3339(last.at_ns) if last else None,
        "entries": last.seq if last else 0,
        "head": last.hash if last else None,
        "next_statuses": sorted(lifecycle.STATUS_AFTER[case.status]),
    }


def cases(ask: Ask) -> dict[str, Any]:
    wanted = {k: ask.query[k] for k in ("status", "severity", "assignee", "tag") if ask.query.get(k)}
    words = ask.query.get("q", "").lower().split()
    rows = []
    for folder in case_folders(ask.cases):
        with Case(folder) as case:
            row = facts(case)
            row["tags"] = [r["tag"] for r in case.rows("SELECT tag FROM tags ORDER BY tag")]
            row["summary"] = next((r["summary"] for r in case.rows("SELECT summary FROM runs ORDER BY run_id DESC LIMIT 1")), "")
        text = f"{row['title']} {row['host'] or ''} {row['summary']}".lower()
        tagged = wanted.get("tag") is None or wanted["tag"] in row["tags"]
        if tagged and all(row[k] == v for k, v in wanted.items() if k != "tag") and all(w in text for w in words):
            rows.append(row)
    rows.sort(key=lambda r: str(r["changed"]), reverse=True)
    return {"cases": rows, "filter": {**wanted, "q": ask.query.get("q", "")}, "statuses": list(lifecycle.STATUS_AFTER),
            "severities": list(lifecycle.SEVERITIES)}  # fmt: skip


def overview(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        latest, found = latest_run(case), runs(case)
        verdict = case_answers.verdict_json(case) or {}
        return {
            "case": facts(case),
            "summary": verdict.get("summary", ""),
            "synthetic": verdict.get("synthetic", ""),
            "run": latest[0] if latest else None,
            "runs": found,
            "chosen": _usual(case, found),
            "findings": case.rows(
                "SELECT * FROM findings WHERE run_id = ? ORDER BY confidence DESC, finding_id", (latest[0] if latest else -1,)
            ),
            "probing": [probing_parts(f) for f in verdict.get("findings", ()) if f.get("probing")],
            "quality": verdict.get("quality", [])[:200],
            "unanswerable": verdict.get("unanswerable", []),
            "evidence": case.rows("SELECT * FROM evidence ORDER BY evidence_id"),
            "indicators": case.rows("SELECT type, value, source FROM indicators ORDER BY seq, type, value LIMIT 500"),
            "host_changes": [c.statement for c in case_answers.host_changes(case)],
            "clock": case_answers.skew_words(case_answers.clock_skew(case)),
            "seen_before": [s._asdict() for s in case_answers.seen_before(case, ask.cases)][:50],
            "rechecks": [{**r, "asked": rfc3339(r["asked_ns"])} for r in case.rows("SELECT * FROM rechecks ORDER BY seq DESC LIMIT 50")],
            "tables": sorted(tables_of(case)),
            "tags": [r["tag"] for r in case.rows("SELECT tag FROM tags ORDER BY tag")],
            "techniques": [r["technique"] for r in case.rows("SELECT technique FROM techniques ORDER BY technique")],
            "people": case.rows("SELECT * FROM people ORDER BY person_id"),
            "severities": list(lifecycle.SEVERITIES), "tlps": list(lifecycle.TLP), "resolutions": list(lifecycle.RESOLUTIONS),
            "roles": list(lifecycle.ROLES),
        }  # fmt: skip


def _usual(case: Case, found: list[dict[str, Any]]) -> list[int]:
    """What an investigation reads unless told otherwise: what the newest one read and what came after it; the first time all."""
    rows = case.rows("SELECT evidence_id, kind FROM evidence ORDER BY evidence_id")
    there = [int(r["evidence_id"]) for r in rows if r["kind"] in TRAFFIC]
    if not found:
        return there
    return [n for n in there if n in found[0]["evidence"] or n > found[0]["run_id"]]


def timeline(ask: Ask) -> dict[str, Any]:
    """Moments of all sides; host events only around a moment, for there can be hundreds of thousands."""
    with ask.case() as case:
        around = ask.query.get("around", "")
        moments = case_answers.moments(case, host=bool(around))
        if around:
            try:
                at = case_answers.ns_of(around)
            except ValueError:
                raise NotFound(f"around: {around!r} is no time") from None
            moments = [m for m in moments if abs(m.ts_ns - at) <= 3600 * 10**9]
        else:
            changes = [c for found in case_answers.host_changes(case) for c in found.changes]
            near = {(c.ts_ns, f"{c.source}:{c.line}") for c in changes}
            everything = case_answers.moments(case)
            moments = [m for m in everything if m.side != "host" or (m.ts_ns, m.source) in near]
        verdict = case_answers.verdict_json(case) or {}
        bins = [_chart(case, f["probing"]) for f in verdict.get("findings", ()) if f.get("probing")]
        return {
            "case": facts(case),
            "moments": [{**m._asdict(), "ts": rfc3339(m.ts_ns)} for m in moments[:5_000]],
            "charts": bins,
            "around": around,
        }


def _chart(case: Case, probing: Mapping[str, Any]) -> dict[str, Any]:
    """One probing host's attempts over time, and beside them what happened on the host."""
    bins, bin_ns = probing["timeline"], int(probing["bin_ns"])
    from_ns, to_ns = case_answers.ns_of(bins[0]["start"]), case_answers.ns_of(bins[-1]["start"]) + bin_ns
    own = probing["host"] == (case.fact("host") or probing["host"])
    return {
        "host": probing["host"], "service": probing["service"], "bin_ns": bin_ns, "bins": bins,
        "marks": [{"ts": t["ts"], "change": t["change"]} for t in probing["turning_points"] if not t["at_edge"]],
        "host_bins": [
            {"start": rfc3339(b["start_ns"]), "width_ns": b["width_ns"], "counts": list(b["counts"].items())}
            for b in (case_answers.host_bins(case, from_ns, to_ns, bin_ns) if own else ())
        ],
        "changes": [
            {"ts": rfc3339(c.ts_ns), "what": c.what, "kind": f"{c.kind} {c.time_kind}", "score": c.score, "reasons": list(c.reasons)}
            for found in (case_answers.host_changes(case) if own else ()) for c in found.changes[:8]
        ],
    }  # fmt: skip


def hypotheses(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        table = compete(
            case.rows("SELECT * FROM hypotheses ORDER BY hypothesis_id"), case.rows("SELECT * FROM weighings ORDER BY rowid")
        )
        return {
            "case": facts(case),
            "hypotheses": [
                {"hypothesis_id": n, "statement": s, "against": table.against[i], "unweighed": table.unweighed[i],
                 "rank": table.order.index(i) + 1}
                for i, (n, s) in enumerate(table.hypotheses)
            ],
            "rows": [
                {"item": r.item, "marks": list(r.marks), "reasons": list(r.reasons), "decides": r.decides} for r in table.rows
            ],
            "marks": MARKS,
        }  # fmt: skip


def words(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        return {
            "case": facts(case),
            "notes": case.rows("SELECT * FROM notes ORDER BY note_id DESC"),
            "tasks": case.rows("SELECT * FROM tasks ORDER BY state = 'open' DESC, task_id"),
        }


def mail(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        named = case_answers.mail_mentions(case)
        linked = case_answers.mail_links(case)
        rows = case.rows("SELECT * FROM messages ORDER BY thread, sent_ns")
        return {
            "case": facts(case),
            "messages": [
                {**r, "sent": rfc3339(r["sent_ns"]) if r["sent_ns"] is not None else None,
                 "mentions": [{"type": m.type, "value": m.value} for m in named.get(r["message_key"], ())],
                 "links": [{"finding_id": k.finding_id, "why": k.why, "value": k.value} for k in linked if k.ref == r["message_key"]]}
                for r in rows
            ],
        }  # fmt: skip


def jobs(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        return {"case": facts(case), "jobs": [j.as_dict() for j in ask.jobs.of(str(case.fact("number")))]}


def log(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        size = ask.number("size", 200, least=1, most=2_000)
        entries = list(case.entries())[-size:]
        return {
            "case": facts(case),
            "log": [
                {"seq": e.seq, "at": rfc3339(e.at_ns), "who": e.who, "action": e.action, "hash": e.hash, "data": e.data}
                for e in reversed(entries)
            ],
        }


def verified(ask: Ask) -> dict[str, Any]:
    with ask.case() as case:
        wrong = case.verify()
        return {"case": facts(case), "holds": not wrong, "wrong": wrong}


def found(ask: Ask) -> dict[str, Any]:
    from tracehound.edges.case_library import search

    q = ask.query.get("q", "")
    return {"q": q, "hits": [f._asdict() for f in search(ask.cases, q)] if q.strip() else []}


PAGES: Final = (
    Page("/", "Cases", cases, "cases.html", (
        Param("status", "string", "only this status", tuple(lifecycle.STATUS_AFTER)),
        Param("severity", "string", "only this severity", lifecycle.SEVERITIES),
        Param("assignee", "string", "only cases of this person"), Param("tag", "string", "only with this tag"),
        Param("q", "string", "words of title, host and summary"),
    )),
    Page("/search", "Search", found, "search.html", (Param("q", "string", "words and quoted phrases"),)),
    Page("/cases/{number}", "Case", overview, "case.html"),
    Page("/cases/{number}/timeline", "Timeline", timeline, "timeline.html", (Param("around", "string", "an hour around this time"),)),
    Page("/cases/{number}/hypotheses", "Hypotheses", hypotheses, "hypotheses.html"),
    Page("/cases/{number}/words", "Notes and tasks", words, "words.html"),
    Page("/cases/{number}/mail", "Correspondence", mail, "mail.html"),
    Page("/cases/{number}/jobs", "Jobs", jobs, "jobs.html"),
    Page("/cases/{number}/log", "Log", log, "log.html", (Param("size", "integer", "newest entries, 1 to 2000"),)),
    Page("/cases/{number}/custody", "Custody", verified, "custody.html"),
)  # fmt: skip


# -- changes ------------------------------------------------------------------------------------------------------------

Form = Mapping[str, Any]
Done = tuple[dict[str, Any], str]


def _text(form: Form, name: str) -> str:
    return str(form.get(name) or "")


def _maybe(form: Form, name: str) -> str | None:
    return _text(form, name).strip() or None


def new_case(ask: Ask, form: Form) -> Done:
    title = lifecycle.text("title", _text(form, "title"))
    severity = lifecycle.one_of("severity", _text(form, "severity") or "medium", lifecycle.SEVERITIES)
    tlp = lifecycle.tlp(_text(form, "tlp") or "AMBER")
    host = lifecycle.address(_text(form, "host")) if _maybe(form, "host") else None
    number, folder = new_case_folder(ask.cases, title)
    with Case.create(folder, ask.user.name, title=title, number=number, severity=severity, tlp=tlp) as case:
        if host:
            case.act(ask.user.name, "host", {"host": host})
    return {"number": number}, f"/cases/{number}"


def _entry(ask: Ask, action: str, data: Any, page: str = "") -> Done:
    with ask.case() as case:
        entry = case.act(ask.user.name, action, (lambda: data(case)) if callable(data) else data)
        return {"entry": entry.seq, "hash": entry.hash}, f"/cases/{case.fact('number')}{page}"


def note(ask: Ask, form: Form) -> Done:
    text = lifecycle.text("note", _text(form, "text"))
    return _entry(ask, "note", {"text": text, "about": _maybe(form, "about")}, "/words")


def task(ask: Ask, form: Form) -> Done:
    text = lifecycle.text("task", _text(form, "text"))
    return _entry(ask, "task", {"text": text, "assignee": _maybe(form, "assignee"), "due_ns": None}, "/words")


def task_state(ask: Ask, form: Form) -> Done:
    state = lifecycle.one_of("state", _text(form, "state"), lifecycle.TASK_STATES)

    def moved(case: Case) -> dict[str, Any]:
        number = int(_text(form, "task_id") or 0) if _text(form, "task_id").isdigit() else 0
        if not case.rows("SELECT 1 FROM tasks WHERE task_id = ?", (number,)):
            raise NotFound(f"there is no task {number}")
        return {"task_id": number, "state": state}

    return _entry(ask, "task_state", moved, "/words")


def status(ask: Ask, form: Form) -> Done:
    def moved(case: Case) -> dict[str, Any]:
        wanted = lifecycle.next_status(case.status, _text(form, "status"))
        resolution = _maybe(form, "resolution")
        if wanted == lifecycle.CLOSED:
            resolution = lifecycle.one_of("resolution", resolution or "", lifecycle.RESOLUTIONS)
        return {"status": wanted, "before": case.status, "resolution": resolution, "reason": _maybe(form, "reason")}

    return _entry(ask, "status", moved)


_SET: Final[dict[str, Callable[[str], str]]] = {
    "title": lambda w: lifecycle.text("title", w), "severity": lambda w: lifecycle.one_of("severity", w, lifecycle.SEVERITIES),
    "tlp": lifecycle.tlp, "host": lifecycle.address, "assignee": lambda w: lifecycle.text("assignee", w),
}  # fmt: skip


def set_facts(ask: Ask, form: Form) -> Done:
    wanted = {name: check(_text(form, name)) for name, check in _SET.items() if _maybe(form, name)}
    with ask.case() as case:
        for name, value in wanted.items():
            if case.fact(name) != value:
                case.act(ask.user.name, "assign" if name == "assignee" else name, {name: value})
        return {"set": wanted}, f"/cases/{case.fact('number')}"


def person(ask: Ask, form: Form) -> Done:
    data = {
        "role": lifecycle.one_of("role", _text(form, "role"), lifecycle.ROLES), "name": lifecycle.text("name", _text(form, "name")),
        "contact": _maybe(form, "contact"), "organisation": _maybe(form, "organisation"), "note": None,
    }  # fmt: skip
    return _entry(ask, "person", data)


def tag(ask: Ask, form: Form) -> Done:
    return _entry(ask, "untag" if form.get("remove") else "tag", {"tag": lifecycle.tag(_text(form, "tag"))})


def technique(ask: Ask, form: Form) -> Done:
    named = {"technique": lifecycle.technique(_text(form, "technique"))}
    return _entry(ask, "untechnique" if form.get("remove") else "technique", named)


def hypothesis(ask: Ask, form: Form) -> Done:
    statement = lifecycle.text("hypothesis", _text(form, "statement"))
    return _entry(ask, "hypothesis", {"statement": statement, "source": ask.user.name}, "/hypotheses")


def weigh(ask: Ask, form: Form) -> Done:
    def weighed(case: Case) -> dict[str, Any]:
        text = _text(form, "hypothesis_id")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        if not case.rows("SELECT 1 FROM hypotheses WHERE hypothesis_id = ?", (number,)):
            raise NotFound(f"there is no hypothesis {text[:20]}")
        return {
            "hypothesis_id": number, "item": lifecycle.text("item", _text(form, "item")),
            "mark": lifecycle.one_of("mark", _text(form, "mark"), tuple(MARKS)), "reason": lifecycle.text("reason", _text(form, "reason")),
            "source": ask.user.name,
        }  # fmt: skip

    return _entry(ask, "weigh", weighed, "/hypotheses")


def investigate(ask: Ask, form: Form) -> Done:
    """Begin an investigation in the background: of the evidence that is named, else as the last time."""
    from tracehound.edges.case_runs import propose, run

    with ask.case() as case:
        folder, number = case.folder, str(case.fact("number"))
        question = Question(host=case.fact("host"))
        usual = _usual(case, runs(case))
    who, named = ask.user.name, _text(form, "evidence").replace(",", " ").split()
    if not all(n.isascii() and n.isdigit() and len(n) < 16 for n in named):
        raise UsageError("evidence: numbers of evidence, with commas between them")
    chosen = [int(n) for n in named] or usual

    def work(progress: Any) -> str:
        with Case(folder) as case:
            kept = run(case, who, question, progress=progress, evidence=chosen)
            propose(case, who, kept.verdict)
            return kept.verdict.summary

    job = ask.jobs.start(number, "investigate", who, work)
    return {"job": job.job_id}, f"/cases/{number}/jobs"


_TITLE: Final = Param("title", "string", "what the case is called", required=True)
_SEVERITY: Final = Param("severity", "string", "how bad it is", lifecycle.SEVERITIES)
_TLP: Final = Param("tlp", "string", "who may know (TLP 2.0)", lifecycle.TLP)
_HOST: Final = Param("host", "string", "address of the host that the case is about")

ACTIONS: Final = (
    Action("/cases", "open a case", new_case, (_TITLE, _SEVERITY, _TLP, _HOST)),
    Action("/cases/{number}/note", "write a note", note, (
        Param("text", "string", "Markdown", required=True, long=True), Param("about", "string", "finding or evidence it is about"))),
    Action("/cases/{number}/task", "add a task", task, (
        Param("text", "string", "what is to be done", required=True), Param("assignee", "string", "who is to do it"))),
    Action("/cases/{number}/task-state", "finish, drop or reopen a task", task_state, (
        Param("task_id", "string", "its number", required=True),
        Param("state", "string", "its state", lifecycle.TASK_STATES, required=True))),
    Action("/cases/{number}/status", "move the case on", status, (
        Param("status", "string", "the next status", tuple(lifecycle.STATUS_AFTER), required=True),
        Param("resolution", "string", "when closing", lifecycle.RESOLUTIONS), Param("reason", "string", "why"))),
    Action("/cases/{number}/set", "change title, severity, TLP, host or assignee", set_facts, (
        _TITLE._replace(required=False), _SEVERITY, _TLP, _HOST, Param("assignee", "string", "who has the case"))),
    Action("/cases/{number}/person", "name somebody the case concerns", person, (
        Param("role", "string", "their part in it", lifecycle.ROLES, required=True), Param("name", "string", "their name", required=True),
        Param("contact", "string", "address, telephone"), Param("organisation", "string", "where they belong"))),
    Action("/cases/{number}/tag", "add or remove a tag", tag, (
        Param("tag", "string", "a-z, 0-9 and :._=/-", required=True), Param("remove", "string", "anything: remove it"))),
    Action("/cases/{number}/technique", "add or remove an ATT&CK technique", technique, (
        Param("technique", "string", "T1046, T1059.003", required=True), Param("remove", "string", "anything: remove it"))),
    Action("/cases/{number}/hypothesis", "state a hypothesis", hypothesis, (Param("statement", "string", "one sentence", required=True),)),
    Action("/cases/{number}/weigh", "weigh a piece of evidence", weigh, (
        Param("hypothesis_id", "string", "its number", required=True), Param("item", "string", "the piece of evidence", required=True),
        Param("mark", "string", "how it bears on the hypothesis", tuple(MARKS), required=True),
        Param("reason", "string", "why", required=True))),
    Action("/cases/{number}/investigate", "investigate captures and flow logs", investigate, (
        Param("evidence", "string", "numbers of evidence; else what was read the last time, and what came since"),)),
)  # fmt: skip
