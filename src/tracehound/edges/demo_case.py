"""In: the worked example's evidence. Out: a whole case made of it: custody, host records, correspondence, investigation, hypotheses.
Never here: what the example says (demo/)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Final

from tracehound.demo import host_evidence
from tracehound.demo.model_case import FLOW_LOG_NAME, HOST, SYNTHETIC, ModelCase, evidence
from tracehound.edges import case_rules
from tracehound.edges.case_intake import take
from tracehound.edges.case_runs import propose, run
from tracehound.edges.casefile import Case, case_folders, new_case_folder
from tracehound.edges.reading import Progress, read
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError
from tracehound.flowlogs.argus_write import write_flows
from tracehound.pipeline import Wanted

TITLE: Final = "Web requests from a Windows 98 machine (worked example)"
_PEOPLE: Final = (
    ("owner", "Laboratory of the example", "lab@example.ac.nz"),
    ("reporter", "Security officer", "officer@example.ac.nz"),
)
_FIVE_DAYS_H: Final = 116.5
_ROWS: Final = 50_000
_NOTE_FLOWS: Final = (
    "Flow records name the host, its fixed list of targets and the moment it stopped; **what** it asked and what was answered needs "
    "packets. Asked the border for its capture. Synthetic, as all of this is."
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


def write_flow_log(folder: Path, capture: Path) -> Path:
    """Five days of the worked example's network as a probe of Argus 3 would have recorded them: the days before the capture, and then
    the capture's own flows, so that both tell the same of the time that they share. Raises UsageError."""
    path = folder / FLOW_LOG_NAME
    if path.exists():
        return path
    long = path.with_name(path.name + ".pcapng")
    try:
        with long.open("wb") as out:
            for chunk in evidence(ModelCase(probing_hours=_FIVE_DAYS_H)):
                out.write(chunk)
        wanted = Wanted(transactions=False)
        with read([str(long)], wanted=wanted) as before, read([str(capture)], wanted=wanted) as shared, opened(str(path)) as log:
            begins = int(shared.ask("SELECT min(epoch_ns(start)) AS t FROM flows")["t"][0].as_py())
            ordered = "ORDER BY start, flow_id"
            earlier = before.ask(f'SELECT * FROM flows WHERE epoch_ns("end") < $begins {ordered}', {"begins": begins})
            pieces = chain(earlier.to_batches(_ROWS), shared.duck().stream(f"SELECT * FROM flows {ordered}", _ROWS))
            for piece in write_flows(pieces, SYNTHETIC):
                log.write(piece)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from None
    finally:
        long.unlink(missing_ok=True)
    return path


def build(
    cases: Path, capture: Path, who: str, *, flow_log: Path | None = None, rules: bool = False, progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Path, str]:  # fmt: skip
    """The worked example as a case in `cases`, made once; returns its folder and the verdict's summary.

    flow_log   taken into custody and investigated for itself, before the capture
    rules      draft a rule for the finding, test it on the capture, and bundle it
    say        what is being done, for who waits"""
    for folder in case_folders(cases):
        with Case(folder) as case:
            if case.fact("title") == TITLE:
                return folder, next((r["summary"] for r in case.rows("SELECT summary FROM runs ORDER BY run_id DESC LIMIT 1")), "")
    files = write_host_evidence(capture.parent)
    number, folder = new_case_folder(cases, "worked example")
    with Case.create(folder, who, title=TITLE, number=number, severity="medium", tlp="TLP:CLEAR") as case:
        case.act(who, "host", {"host": HOST})
        for role, name, contact in _PEOPLE:
            case.act(who, "person", {"role": role, "name": name, "contact": contact, "organisation": None, "note": None})
        if flow_log is not None:
            taken = take(case, who, flow_log, note="flow records of the border router, five days; synthetic")
            case.act(who, "status", {"status": "triage", "before": "new", "resolution": None, "reason": None})
            say("investigating five days of flow records")
            run(case, who, progress=progress, evidence=[taken.evidence_id])
            case.act(who, "note", {"text": _NOTE_FLOWS, "about": None})
        else:
            case.act(who, "status", {"status": "triage", "before": "new", "resolution": None, "reason": None})
        taken = take(case, who, capture, note="packets of the border router, the last thirty hours; synthetic")
        for path in files:
            take(case, who, path, copy=True, note="synthetic", host=HOST, zone="UTC")
        say("investigating the capture")
        kept = run(case, who, progress=progress, evidence=[taken.evidence_id])
        propose(case, who, kept.verdict)
        case.act(who, "technique", {"technique": "T1071.001"})
        case.act(who, "note", {"text": _NOTE, "about": None})
        case.act(who, "task", {"text": "Ask the owner for the disk", "assignee": None, "due_ns": None})
        if rules:
            say("drafting, testing and bundling a rule")
            case_rules.test(case, who, case_rules.draft(case, who).text)
            case_rules.bundle(case, who)
        why = "verdict and host records agree"
        case.act(who, "status", {"status": "confirmed", "before": "triage", "resolution": None, "reason": why})
        return folder, kept.verdict.summary
