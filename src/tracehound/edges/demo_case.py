"""In: the worked example's evidence. Out: a whole case made of it: custody, host records, correspondence, investigation, hypotheses.
Never here: what the example says (demo/)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tracehound.demo import host_evidence
from tracehound.demo.model_case import HOST
from tracehound.edges.case_intake import take
from tracehound.edges.case_runs import propose, run
from tracehound.edges.casefile import Case, case_folders, new_case_folder
from tracehound.edges.reading import Progress
from tracehound.errors import UsageError

TITLE: Final = "Web requests from a Windows 98 machine (worked example)"
_PEOPLE: Final = (
    ("owner", "Laboratory of the example", "lab@example.ac.nz"),
    ("reporter", "Security officer", "officer@example.ac.nz"),
)
_NOTE: Final = (
    "**The schedule of the anti-virus program was switched off** when `taskbar.exe` came to the disk. Synthetic, as all of this is."
)


def write_host_evidence(folder: Path) -> list[Path]:
    """The host's records and the mail thread, as files below `folder`. Raises UsageError."""
    texts = {
        host_evidence.BODY_NAME: host_evidence.body(),
        host_evidence.ANTIVIRUS_NAME: host_evidence.antivirus_log(),
        host_evidence.MAIL_NAME: "".join(host_evidence.thread()),
    }
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as cause:
        raise UsageError(f"cannot write {folder}: {cause.strerror}") from None
    return [folder / name for name in texts]


def build(cases: Path, capture: Path, who: str, *, progress: Progress | None = None) -> tuple[Path, str]:
    """The worked example as a case in `cases`, made once; returns its folder and the verdict's summary."""
    for folder in case_folders(cases):
        with Case(folder) as case:
            if case.fact("title") == TITLE:
                return folder, next((r["summary"] for r in case.rows("SELECT summary FROM runs ORDER BY run_id DESC LIMIT 1")), "")
    files = write_host_evidence(capture.parent)
    number, folder = new_case_folder(cases, "worked example")
    with Case.create(folder, who, title=TITLE, number=number, severity="medium", tlp="TLP:CLEAR") as case:
        case.act(who, "host", {"host": HOST})
        take(case, who, capture, note="border router; synthetic")
        for path in files:
            take(case, who, path, copy=True, note="synthetic", host=HOST, zone="UTC")
        for role, name, contact in _PEOPLE:
            case.act(who, "person", {"role": role, "name": name, "contact": contact, "organisation": None, "note": None})
        case.act(who, "status", {"status": "triage", "before": "new", "resolution": None, "reason": None})
        kept = run(case, who, progress=progress)
        propose(case, who, kept.verdict)
        case.act(who, "technique", {"technique": "T1071.001"})
        case.act(who, "note", {"text": _NOTE, "about": None})
        case.act(who, "task", {"text": "Ask the owner for the disk", "assignee": None, "due_ns": None})
        why = "verdict and host records agree"
        case.act(who, "status", {"status": "confirmed", "before": "triage", "resolution": None, "reason": why})
        return folder, kept.verdict.summary
