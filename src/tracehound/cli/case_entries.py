"""In: what people say about a case. Out: it entered in the case, and one line that says so. Never here: evidence or views."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from tracehound.cases import lifecycle
from tracehound.cases.hypotheses import MARKS
from tracehound.cli.case import acting, cases_folder, parser
from tracehound.edges.casefile import Case, find_case, new_case_folder
from tracehound.edges.clock import who
from tracehound.errors import UsageError

Parse = Callable[[argparse.ArgumentParser], None]


def case_of(args: argparse.Namespace) -> Case:
    """The case that the command line names."""
    return Case(find_case(cases_folder(args), args.case))


def said(words: list[str]) -> str:
    """Words of the command line as one text; a lone '-' reads standard input."""
    return sys.stdin.read() if words == ["-"] else " ".join(words)


def new(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    p.add_argument("title", nargs="+", metavar="TITLE", help="what the case is called")
    p.add_argument("--severity", default="medium", help=f"{', '.join(lifecycle.SEVERITIES)} (default: %(default)s)")
    p.add_argument("--tlp", default="AMBER", help="TLP 2.0 label (default: %(default)s)")
    p.add_argument("--host", metavar="ADDR", help="the host that the case is about")
    p.add_argument("--as", dest="who", metavar="WHO", default=who(), help="who acts (default: %(default)s)")
    args = p.parse_intermixed_args(argv)
    title = lifecycle.text("title", " ".join(args.title))
    severity, tlp = lifecycle.one_of("severity", args.severity, lifecycle.SEVERITIES), lifecycle.tlp(args.tlp)
    host = lifecycle.address(args.host) if args.host else None
    number, folder = new_case_folder(cases_folder(args), title)
    with Case.create(folder, args.who, title=title, number=number, severity=severity, tlp=tlp) as case:
        if host:
            case.act(args.who, "host", {"host": host})
    print(f"case {number}: {folder}")
    return 0


def _entry(
    args: argparse.Namespace, action: str, data: Mapping[str, Any] | Callable[[Case], Mapping[str, Any]], line: str
) -> int:
    """Enter one action and say so; `{n}` in the line is the entry's number."""
    with case_of(args) as case:
        made = (lambda: data(case)) if callable(data) else data
        entry = case.act(args.who, action, made)
    print(line.format(n=entry.seq))
    return 0


def set_fact(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("--title", help="what the case is called")
    p.add_argument("--severity", help="low, medium, high, critical")
    p.add_argument("--tlp", help="TLP 2.0 label: RED, AMBER+STRICT, AMBER, GREEN, CLEAR")
    p.add_argument("--host", metavar="ADDR", help="the host that the case is about")
    args = p.parse_intermixed_args(argv)
    checks: dict[str, Callable[[str], str]] = {
        "title": lambda w: lifecycle.text("title", w),
        "severity": lambda w: lifecycle.one_of("severity", w, lifecycle.SEVERITIES),
        "tlp": lifecycle.tlp,
        "host": lifecycle.address,
    }
    wanted = {fact: check(getattr(args, fact)) for fact, check in checks.items() if getattr(args, fact) is not None}
    if not wanted:
        raise UsageError("case set: nothing to set (--title, --severity, --tlp, --host)")
    with case_of(args) as case:
        for fact, value in wanted.items():
            case.act(args.who, fact, {fact: value})
            print(f"{fact}: {value}")
    return 0


def status(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("status", metavar="STATUS", help=", ".join(lifecycle.STATUS_AFTER))
    p.add_argument("--resolution", help=f"when closing: {', '.join(lifecycle.RESOLUTIONS)}")
    p.add_argument("--reason", help="why, in words")
    args = p.parse_intermixed_args(argv)
    resolution = lifecycle.one_of("resolution", args.resolution, lifecycle.RESOLUTIONS) if args.resolution else None

    def moved(case: Case) -> Mapping[str, Any]:
        wanted = lifecycle.next_status(case.status, args.status)
        if wanted == lifecycle.CLOSED and resolution is None:
            raise UsageError(f"case status closed: needs --resolution ({', '.join(lifecycle.RESOLUTIONS)})")
        return {"status": wanted, "before": case.status, "resolution": resolution, "reason": args.reason}

    return _entry(args, "status", moved, f"status: {args.status.lower()}")


def assign(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("assignee", metavar="WHOM", help="who is to have it")
    args = p.parse_intermixed_args(argv)
    return _entry(args, "assign", {"assignee": lifecycle.text("assignee", args.assignee)}, f"assigned to {args.assignee}")


def note(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("text", nargs="+", metavar="TEXT", help="Markdown; - reads standard input")
    p.add_argument("--about", metavar="FINDING", help="finding, evidence or message that the note is about")
    args = p.parse_intermixed_args(argv)
    return _entry(args, "note", {"text": lifecycle.text("note", said(args.text)), "about": args.about}, "note {n}")


def retract(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("note", type=int, metavar="NOTE", help="number of the note")
    p.add_argument("reason", nargs="+", metavar="REASON", help="why")
    args = p.parse_intermixed_args(argv)

    def taken_back(case: Case) -> Mapping[str, Any]:
        if not case.rows("SELECT 1 FROM notes WHERE note_id = ?", (args.note,)):
            raise UsageError(f"case retract: there is no note {args.note}")
        return {"note_id": args.note, "reason": lifecycle.text("reason", " ".join(args.reason))}

    return _entry(args, "retract", taken_back, f"note {args.note} is marked as retracted")


def _day_ns(word: str) -> int:
    try:
        day = datetime.datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(f"--due: {word!r} is no date (2026-11-30, 2026-11-30T12:00Z)") from None
    if day.tzinfo is None:
        day = day.replace(tzinfo=datetime.UTC)
    return int(day.timestamp()) * 1_000_000_000


def task(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("text", nargs="*", metavar="TEXT", help="what is to be done; - reads standard input")
    p.add_argument("--to", metavar="WHOM", help="who is to do it")
    p.add_argument("--due", metavar="DAY", help="when it is due (UTC unless it says)")
    for state in lifecycle.TASK_STATES:
        p.add_argument(f"--{state}", type=int, metavar="N", help=f"task N is {state}")
    args = p.parse_intermixed_args(argv)
    for state in lifecycle.TASK_STATES:
        number = getattr(args, state)
        if number is not None:
            def moved(case: Case, number: int = number, state: str = state) -> Mapping[str, Any]:
                if not case.rows("SELECT 1 FROM tasks WHERE task_id = ?", (number,)):
                    raise UsageError(f"case task: there is no task {number}")
                return {"task_id": number, "state": state}

            return _entry(args, "task_state", moved, f"task {number}: {state}")
    fields = {
        "text": lifecycle.text("task", said(args.text)), "assignee": args.to, "due_ns": _day_ns(args.due) if args.due else None,
    }  # fmt: skip
    return _entry(args, "task", fields, "task {n}")


def person(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("role", help=", ".join(lifecycle.ROLES))
    p.add_argument("name", nargs="+", metavar="NAME", help="their name")
    p.add_argument("--contact", help="address, telephone")
    p.add_argument("--organisation", help="where they belong")
    p.add_argument("--note", help="anything else worth knowing")
    args = p.parse_intermixed_args(argv)
    fields = {
        "role": lifecycle.one_of("role", args.role, lifecycle.ROLES), "name": lifecycle.text("name", " ".join(args.name)),
        "contact": args.contact, "organisation": args.organisation, "note": args.note,
    }  # fmt: skip
    return _entry(args, "person", fields, f"{fields['role']}: {fields['name']}")


def _many(what: str, check: Callable[[str], str]) -> Callable[[str, str, list[str]], int]:
    """A verb that adds words of one kind, or removes them with --remove."""

    def verb(name: str, says: str, argv: list[str]) -> int:
        p = parser(name, says)
        acting(p)
        p.add_argument("words", nargs="+", metavar=what.upper(), help="one or several")
        p.add_argument("--remove", action="store_true", help="remove instead of add")
        args = p.parse_intermixed_args(argv)
        words = [check(w) for w in args.words]
        with case_of(args) as case:
            for word in words:
                case.act(args.who, f"un{what}" if args.remove else what, {what: word})
        print(f"{what} {'removed' if args.remove else 'added'}: {', '.join(words)}")
        return 0

    return verb


def link(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("other", metavar="OTHER", help="number or folder of the other case")
    p.add_argument("why", nargs="+", metavar="WHY", help="why they belong together")
    args = p.parse_intermixed_args(argv)
    with Case(find_case(cases_folder(args), args.other)) as other:
        other_id = f"case {other.fact('number')}: {other.fact('title')} ({other.fact('case_id')})"
    return _entry(args, "link", {"other": other_id, "why": lifecycle.text("why", " ".join(args.why))}, f"tied to {other_id}")


def hypothesis(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("statement", nargs="+", metavar="STATEMENT", help="the hypothesis in one sentence")
    args = p.parse_intermixed_args(argv)
    fields = {"statement": lifecycle.text("hypothesis", said(args.statement)), "source": args.who}
    return _entry(args, "hypothesis", fields, "hypothesis {n}")


def weigh(name: str, says: str, argv: list[str]) -> int:
    p = parser(name, says)
    acting(p)
    p.add_argument("hypothesis", type=int, metavar="HYPOTHESIS", help="its number")
    p.add_argument("mark", metavar="MARK", help=", ".join(f"{m} {meaning}" for m, meaning in MARKS.items()))
    p.add_argument("item", metavar="ITEM", help="the piece of evidence, in words")
    p.add_argument("reason", nargs="+", metavar="REASON", help="why")
    args = p.parse_intermixed_args(argv)
    mark = lifecycle.one_of("mark", args.mark, tuple(MARKS))

    def weighed(case: Case) -> Mapping[str, Any]:
        if not case.rows("SELECT 1 FROM hypotheses WHERE hypothesis_id = ?", (args.hypothesis,)):
            raise UsageError(f"case weigh: there is no hypothesis {args.hypothesis}")
        return {
            "hypothesis_id": args.hypothesis, "item": lifecycle.text("item", args.item), "mark": mark,
            "reason": lifecycle.text("reason", " ".join(args.reason)), "source": args.who,
        }  # fmt: skip

    return _entry(args, "weigh", weighed, f"hypothesis {args.hypothesis}: {mark} {args.item}")


VERBS: Final[dict[str, Callable[[str, str, list[str]], int]]] = {
    "new": new,
    "set": set_fact,
    "status": status,
    "assign": assign,
    "note": note,
    "retract": retract,
    "task": task,
    "person": person,
    "tag": _many("tag", lifecycle.tag),
    "technique": _many("technique", lifecycle.technique),
    "link": link,
    "hypothesis": hypothesis,
    "weigh": weigh,
}
