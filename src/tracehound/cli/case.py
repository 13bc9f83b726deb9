"""In: the words after `tracehound case`. Out: one thing done to a case, or shown of it, and the exit status.
Never here: what an action means (cases/), how a case is kept (edges/casefile.py).

The inner verbs stand in four files: case_entries.py (what people say), case_evidence.py (what is taken in), case_views.py (what
is shown), case_sharing.py (what is handed on)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from tracehound.cli.group import Group
from tracehound.edges.clock import who

CASES: Final = "TRACEHOUND_CASES"

GROUP: Final = Group("case", "Keep an incident: evidence in custody, notes, tasks, status, timeline, exports.", {
    "new": ("case_entries", "open a case"),
    "list": ("case_views", "list the cases"),
    "show": ("case_views", "show one case"),
    "set": ("case_entries", "change title, severity, TLP or host"),
    "status": ("case_entries", "move the case on: triage, confirmed, contained, closed, reopened"),
    "assign": ("case_entries", "give the case to someone"),
    "note": ("case_entries", "write a note (Markdown; - reads standard input)"),
    "retract": ("case_entries", "take a note back; it stays, marked"),
    "task": ("case_entries", "add a task, or finish one"),
    "person": ("case_entries", "name somebody the case concerns"),
    "tag": ("case_entries", "add or remove tags"),
    "technique": ("case_entries", "add or remove ATT&CK techniques"),
    "link": ("case_entries", "tie the case to another"),
    "hypothesis": ("case_entries", "state a hypothesis"),
    "weigh": ("case_entries", "say how a piece of evidence bears on a hypothesis"),
    "add": ("case_evidence", "take evidence into custody: captures, logs, host listings, mail"),
    "run": ("case_evidence", "investigate the case's evidence and keep what it gives"),
    "rules": ("case_evidence", "draft rules for the strongest finding, or test rules on the case's captures, and keep what it gives"),
    "timeline": ("case_views", "print everything in order of time"),
    "search": ("case_views", "search notes, mail, findings of all cases"),
    "export": ("case_sharing", "write the case for others: reports, STIX, MISP, IODEF, XARF ..."),
    "publish": ("case_sharing", "write a static, searchable archive of the case and its correspondence"),
    "import": ("case_sharing", "take indicators of others (STIX, MISP) and look for them"),
    "verify": ("case_views", "prove custody: name every altered log entry, table, evidence, file"),
})  # fmt: skip


def cases_folder(args: argparse.Namespace) -> Path:
    """The folder of cases: --cases, else TRACEHOUND_CASES, else ./cases."""
    return Path(args.cases or os.environ.get(CASES, "") or "cases")


def parser(name: str, summary: str) -> argparse.ArgumentParser:
    """The parser of one inner verb, with the options that all share."""
    p = argparse.ArgumentParser(prog=f"tracehound {name}", description=summary[:1].upper() + summary[1:] + ".", allow_abbrev=False)
    p.add_argument("--cases", metavar="DIR", help=f"folder of cases (default: ${CASES}, else ./cases)")
    return p


def acting(p: argparse.ArgumentParser) -> None:
    """Options of what changes a case."""
    p.add_argument("case", metavar="CASE", help="the case's number or folder")
    p.add_argument("--as", dest="who", metavar="WHO", default=who(), help="who acts (default: %(default)s)")


def main(argv: list[str]) -> int:
    """`tracehound case`."""
    return GROUP.run(argv)
