"""In: a case or a folder of cases. Out: it shown, in 80 columns or as JSON. Never here: changing one."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tracehound.cases.hypotheses import compete
from tracehound.cli.case import cases_folder, parser
from tracehound.edges.casefile import Case, case_folders, find_case
from tracehound.errors import UsageError
from tracehound.findings.model import rfc3339
from tracehound.report.visible import visible

FACTS: Final = ("number", "title", "status", "severity", "tlp", "host", "assignee", "resolution", "case_id")
_WIDTH: Final = 80


def _viewing(p: argparse.ArgumentParser) -> None:
    p.add_argument("case", metavar="CASE", help="the case's number or folder")
    p.add_argument("--json", action="store_true", help="print JSON")


def _opened(args: argparse.Namespace) -> Case:
    return Case(find_case(cases_folder(args), args.case))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=True))


def _stamp(ns: int | None) -> str:
    return "" if ns is None else rfc3339(ns)[:19] + "Z"


def facts_of(case: Case) -> dict[str, Any]:
    """The case's facts and when it was opened and last touched."""
    last = case.last_entry()
    return {
        **{name: case.fact(name) for name in FACTS},
        "opened": _stamp(case.fact("opened_ns")),
        "changed": _stamp(last.at_ns if last else None),
        "folder": str(case.folder),
    }


def list_cases(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    p.add_argument("--status", help="only cases with this status")
    p.add_argument("--severity", help="only cases of this severity")
    p.add_argument("--tag", help="only cases with this tag")
    p.add_argument("--assignee", help="only cases of this person")
    p.add_argument("--json", action="store_true", help="print JSON")
    args = p.parse_intermixed_args(argv)
    shown = []
    for folder in case_folders(cases_folder(args)):
        with Case(folder) as case:
            facts = facts_of(case)
            tags = [r["tag"] for r in case.rows("SELECT tag FROM tags ORDER BY tag")]
        wanted = {"status": args.status, "severity": args.severity, "assignee": args.assignee}
        if all(v is None or facts[k] == v for k, v in wanted.items()) and (args.tag is None or args.tag in tags):
            shown.append({**facts, "tags": tags})
    if args.json:
        _print_json(shown)
        return 0
    for f in shown:
        print(f"{f['number']:>4}  {f['status']:<10} {f['severity']:<8} {f['changed'][:10]}  {visible(str(f['title']), 44)}")
    if not shown:
        print(f"no cases in {cases_folder(args)}", file=sys.stderr)
    return 0


_SECTIONS: Final[dict[str, str]] = {
    "evidence": "SELECT evidence_id, name, kind, size_bytes, sha256, who, at_ns, stored, path, note FROM evidence ORDER BY evidence_id",
    "findings": "SELECT * FROM findings WHERE run_id = (SELECT max(run_id) FROM runs) ORDER BY confidence DESC, finding_id",
    "indicators": "SELECT type, value, source FROM indicators ORDER BY seq, type, value",
    "notes": "SELECT note_id, at_ns, who, about, text, retracted FROM notes ORDER BY note_id",
    "tasks": "SELECT task_id, text, assignee, due_ns, state FROM tasks ORDER BY task_id",
    "people": "SELECT person_id, role, name, contact, organisation, note FROM people ORDER BY person_id",
    "techniques": "SELECT technique FROM techniques ORDER BY technique",
    "tags": "SELECT tag FROM tags ORDER BY tag",
    "links": "SELECT other, why FROM links ORDER BY seq",
    "messages": "SELECT message_key, thread, sent_ns, sender, subject FROM messages ORDER BY thread, sent_ns",
    "rechecks": "SELECT asked_ns, host, port, how, outcome, detail, took_ms FROM rechecks ORDER BY seq",
    "shares": "SELECT at_ns, who, format, recipient, name, sha256 FROM shares ORDER BY seq",
}
"""Parts of a case that `show --json` gives as they are."""

_LINES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "evidence": lambda r: f"{r['evidence_id']:>4}  {r['name']} ({r['kind']}, {r['size_bytes']:,} bytes, SHA-256 {r['sha256'][:16]}...)",
    "findings": lambda r: f"{r['finding_id']}: {r['statement']} (confidence {r['confidence']:.2f})",
    "indicators": lambda r: f"{r['type']}: {r['value']}",
    "notes": lambda r: f"{r['note_id']:>4}  {_stamp(r['at_ns'])} {r['who']}: {'[retracted] ' if r['retracted'] else ''}{r['text']}",
    "tasks": lambda r: f"{r['task_id']:>4}  [{'x' if r['state'] == 'done' else ' '}] {r['text']}"
    + (f" ({r['assignee']})" if r["assignee"] else "") + (f", due {_stamp(r['due_ns'])[:10]}" if r["due_ns"] else ""),
    "people": lambda r: f"{r['role']}: {r['name']}" + (f" <{r['contact']}>" if r["contact"] else ""),
    "links": lambda r: f"{r['other']}: {r['why']}",
    "messages": lambda r: f"{_stamp(r['sent_ns'])}  {r['sender']}: {r['subject']}",
    "rechecks": lambda r: f"{_stamp(r['asked_ns'])}  {r['host']} port {r['port']}: {r['outcome']}",
}  # fmt: skip


def _section(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        print(f"\n{title}")
        for line in lines:
            shown = visible(" ".join(line.split()) if line.lstrip() == line else line, 1000)
            print(textwrap.fill(shown, _WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False))


def show(name: str, says: str, argv: list[str]) -> int:
    from tracehound.edges import case_answers

    p = parser(name, says)
    _viewing(p)
    args = p.parse_intermixed_args(argv)
    with _opened(args) as case:
        facts = facts_of(case)
        parts = {part: case.rows(sql) for part, sql in _SECTIONS.items()}
        table = compete(case.rows("SELECT * FROM hypotheses ORDER BY hypothesis_id"), case.rows("SELECT * FROM weighings ORDER BY rowid"))
        changes = case_answers.host_changes(case)
        before = case_answers.seen_before(case, cases_folder(args))
        mail = case_answers.mail_links(case)
        clock = case_answers.clock_skew(case)
        last = case.last_entry()
    if args.json:
        _print_json({
            **facts, **parts, "host_changes": [_plain(c) for c in changes], "seen_before": [s._asdict() for s in before],
            "clock_skew": None if clock is None else _plain(clock), "mail_links": [m._asdict() for m in mail],
            "hypotheses": [
                {"hypothesis_id": n, "statement": s, "against": table.against[i], "unweighed": table.unweighed[i],
                 "weighings": {r.item: {"mark": r.marks[i], "reason": r.reasons[i]} for r in table.rows if r.marks[i]}}
                for i, (n, s) in enumerate(table.hypotheses)
            ],
            "log_head": last.hash if last else None,
        })  # fmt: skip
        return 0
    print(f"CASE {facts['number']}: {visible(str(facts['title']), 200)}")
    print(f"{facts['status']}, severity {facts['severity']}, {facts['tlp']}")
    print(f"opened {facts['opened']}, changed {facts['changed']}")
    for fact in ("host", "assignee", "resolution"):
        if facts[fact]:
            print(f"{fact}: {visible(str(facts[fact]), 200)}")
    words = [r["tag"] for r in parts["tags"]] + [r["technique"] for r in parts["techniques"]]
    if words:
        print("tags: " + ", ".join(words))
    for part, line in _LINES.items():
        _section(part.capitalize(), (line(r) for r in parts[part]))
    _section("What changed on the host", (c.statement for c in changes))
    _section("The host's clock", [case_answers.skew_words(clock)] if clock is not None else [])
    _section("Seen before", (f"{s.type} {s.value}: in {s.other}" for s in before))
    _section("Mail that names a finding", (f"{m.ref}: {m.why} of {m.finding_id} ({m.value})" for m in mail))
    _section("Hypotheses, least contradicted first", (
        f"{table.hypotheses[i][0]:>4}  {table.hypotheses[i][1]}: {table.against[i]} against, {table.unweighed[i]} not weighed"
        for i in table.order
    ))  # fmt: skip
    print(f"\nLog of {last.seq if last else 0} entries, head\n{last.hash if last else ''}")
    return 0


def _plain(value: Any) -> Any:
    import dataclasses

    return dataclasses.asdict(value)


def timeline(name: str, says: str, argv: list[str]) -> int:
    from tracehound.edges import case_answers

    p = parser(name, says)
    _viewing(p)
    p.add_argument("--no-host", action="store_true", help="leave single host events out")
    p.add_argument("--around", metavar="TIME", help="only an hour around this time (RFC 3339, UTC)")
    args = p.parse_intermixed_args(argv)
    with _opened(args) as case:
        moments = case_answers.moments(case, host=not args.no_host)
    if args.around:
        try:
            at = case_answers.ns_of(args.around)
        except ValueError:
            raise UsageError(f"--around: {args.around!r} is no time (2002-08-01T16:30:00Z)") from None
        moments = [m for m in moments if abs(m.ts_ns - at) <= 3600 * 10**9]
    if args.json:
        for m in moments:
            print(json.dumps({**m._asdict(), "ts": rfc3339(m.ts_ns)}, ensure_ascii=True))
        return 0
    for m in moments:
        print(f"{_stamp(m.ts_ns)}  {m.side:<7} {visible(f'{m.kind}: {m.what}', 400)}  [{visible(m.source, 80)}]")
    return 0


def search(name: str, says: str, argv: list[str]) -> int:
    from tracehound.edges import case_library

    p = parser(name, says)
    p.add_argument("words", nargs="*", metavar="WORD", help='words and "quoted phrases"; the rarer they are, the more they count')
    p.add_argument("--library", metavar="FILE", nargs="+", default=[], help="first add advisories (text, mail, mailbox) to the library")
    p.add_argument("--json", action="store_true", help="print JSON")
    args = p.parse_intermixed_args(argv)
    cases = cases_folder(args)
    for file in args.library:
        print(f"{file}: {case_library.add(cases, Path(file))} new documents", file=sys.stderr)
    found = case_library.search(cases, " ".join(f'"{w}"' if " " in w else w for w in args.words)) if args.words else []
    if args.json:
        _print_json([f._asdict() for f in found])
        return 0
    for f in found:
        print(f"{f.score:6.2f}  {f.where} {f.kind} {visible(f.ref, 60)}: {visible(f.title, 100)}")
        print(textwrap.fill(visible(f.snippet, 400), _WIDTH, initial_indent="        ", subsequent_indent="        "))
        print(f"        holds {', '.join(f.held)}")
    if args.words and not found:
        print("nothing holds any of these words", file=sys.stderr)
    return 0


def verify(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    _viewing(p)
    p.add_argument("--head", metavar="HASH", help="a hash of the log that was noted down earlier")
    args = p.parse_intermixed_args(argv)
    with _opened(args) as case:
        wrong = case.verify(head=args.head)
        last = case.last_entry()
    if args.json:
        _print_json({"holds": not wrong, "wrong": wrong, "head": last.hash if last else None, "entries": last.seq if last else 0})
    else:
        for line in wrong:
            print(visible(line, 600))
        print(f"{'custody holds' if not wrong else f'{len(wrong)} things do not hold'}; log of {last.seq if last else 0} entries")
        print(f"head {last.hash if last else ''}")
    return 1 if wrong else 0


VERBS: Final[dict[str, Callable[[str, str, list[str]], int]]] = {
    "list": list_cases, "show": show, "timeline": timeline, "search": search, "verify": verify,
}  # fmt: skip
