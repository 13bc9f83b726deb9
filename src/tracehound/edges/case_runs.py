"""In: a case and a question. Out: the case's evidence investigated, and all that it gave kept in the case: verdict, report, tables.
Never here: a judgement (findings/), or how a case is kept (casefile.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tracehound.cases.hypotheses import ENGINE, proposals
from tracehound.cases.indicators import of_verdict
from tracehound.edges.casefile import Case
from tracehound.edges.duck import Duck
from tracehound.edges.investigation import verdict_of
from tracehound.edges.reading import Progress, Reading, read
from tracehound.errors import UsageError
from tracehound.findings.model import Verdict
from tracehound.flowlogs.formats import FORMATS
from tracehound.pipeline import Question, Wanted

_ROWS: Final = 100_000
CAPTURES: Final = frozenset({"pcap", "pcapng"})
"""Kinds of evidence that rules can be tried on."""
TRAFFIC: Final = CAPTURES | frozenset(FORMATS)
"""Kinds of evidence that an investigation reads: captures and flow logs."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run as it was kept: its number in the log, its folder, its verdict."""

    run_id: int
    folder: Path
    verdict: Verdict


def run(
    case: Case, who: str, question: Question | None = None, *, progress: Progress | None = None, evidence: Sequence[int] | None = None
) -> Kept:
    """Investigate captures and flow logs of the case: all, or those with the numbers `evidence`. Raises UsageError where there are
    none, EvidenceError where one is gone."""
    rows = [r for r in case.rows("SELECT * FROM evidence ORDER BY evidence_id") if r["kind"] in TRAFFIC]
    if evidence is not None:
        there = {int(r["evidence_id"]) for r in rows}
        for number in evidence:
            if number not in there:
                raise UsageError(f"evidence {number}: is no capture or flow log of this case")
        rows = [r for r in rows if r["evidence_id"] in set(evidence)]
    if not rows:
        raise UsageError(f"{case.folder}: the case has no capture or flow log yet (tracehound case add)")
    if question is None:
        question = Question(host=case.fact("host"))
    paths = [str(case.evidence_path(r)) for r in rows]
    with read(paths, wanted=Wanted(packets=True, file_details=True), hashes=True, progress=progress) as reading:
        return keep(case, who, reading, verdict_of(reading, question), question, [int(r["evidence_id"]) for r in rows])


def runs(case: Case) -> list[dict[str, Any]]:
    """Every investigation, newest first: run_id, at_ns, who, summary, and the numbers of its evidence."""
    found = case.rows(
        "SELECT r.*, l.data AS data FROM runs r JOIN log l ON l.seq = r.run_id ORDER BY r.run_id DESC"
    )  # the evidence stands in the log alone
    return [{k: v for k, v in r.items() if k != "data"} | {"evidence": json.loads(r["data"])["evidence"]} for r in found]


def keep(case: Case, who: str, reading: Reading, verdict: Verdict, question: Question, evidence: Sequence[int]) -> Kept:
    """Write what an investigation gave into the case, then say so in its log: a run that the log does not name did not happen."""
    from tracehound.report.as_json import as_json
    from tracehound.report.html import render

    folder = case.next_run()
    (folder / "verdict.json").write_text(as_json(verdict), encoding="utf-8")
    (folder / "report.html").write_text(render(verdict), encoding="utf-8", errors="replace")
    made = [folder / "verdict.json", folder / "report.html", *_tables(reading, folder / "tables")]
    entry = case.act(
        who, "run",
        {
            "version": verdict.version,
            "question": {"host": question.host, "home": list(question.home)},
            "evidence": list(evidence),
            "summary": verdict.summary,
            "files": [case.describe(path) for path in made],
            "findings": [
                {
                    "finding_id": f.finding_id, "kind": f.kind, "host": f.host, "from_ns": f.from_ns, "to_ns": f.to_ns,
                    "statement": f.statement, "confidence": f.confidence.value, "technique": f.technique,
                }
                for f in verdict.findings
            ],
            "indicators": [i._asdict() for i in of_verdict(verdict)],
        },
    )  # fmt: skip
    return Kept(entry.seq, folder, verdict)


def propose(case: Case, who: str, verdict: Verdict) -> int:
    """Enter the hypotheses that the engine can test, and what the evidence says of each; returns how many are new."""
    known = {h["statement"]: int(h["hypothesis_id"]) for h in case.rows("SELECT * FROM hypotheses")}
    new = 0
    for p in proposals(verdict):
        number = known.get(p.statement)
        if number is None:
            number, new = case.act(who, "hypothesis", {"statement": p.statement, "source": ENGINE}).seq, new + 1
        for c in p.cells:
            fields = {"hypothesis_id": number, "item": c.item, "mark": c.mark, "reason": c.reason, "source": ENGINE}
            before = case.rows("SELECT mark, reason, source FROM weighings WHERE hypothesis_id = ? AND item = ?", (number, c.item))
            # What a person weighed stands; what did not change is not said again.
            if not before or (before[0]["source"] == ENGINE and (before[0]["mark"], before[0]["reason"]) != (c.mark, c.reason)):
                case.act(who, "weigh", fields)
    return new


def _tables(reading: Reading, folder: Path) -> list[Path]:
    """Every table with rows as a Parquet file, a batch at a time. LZ4 is a third larger than Zstandard and read in half the time:
    pages of rows from all over a table wait for that (bench/case_pages.py)."""
    folder.mkdir()
    duck = reading.duck()
    written = []
    for name in reading.names():
        path = folder / f"{name}.parquet"
        rows = 0
        with pq.ParquetWriter(path, duck.schema(f'SELECT * FROM "{name}"'), compression="lz4") as out:
            for batch in duck.stream(f'SELECT * FROM "{name}"', _ROWS):
                out.write_batch(batch)
                rows += batch.num_rows
        if rows:
            written.append(path)
        else:
            path.unlink()
    return written


def latest_run(case: Case, run_id: int | None = None) -> tuple[int, Path] | None:
    """Number and folder of the newest run, or of the one that is named; None where there is none."""
    found = case.rows(
        "SELECT r.run_id AS run_id, f.name AS name FROM runs r JOIN files f ON f.seq = r.run_id "
        "WHERE f.name LIKE '%/verdict.json' AND (:run IS NULL OR r.run_id = :run) ORDER BY r.run_id DESC LIMIT 1", {"run": run_id},
    )  # fmt: skip
    return (int(found[0]["run_id"]), (case.folder / found[0]["name"]).parent) if found else None


def tables_of(case: Case) -> dict[str, list[Path]]:
    """Table -> its Parquet files: those of the newest run, and those made of host evidence."""
    latest = latest_run(case)
    found = {} if latest is None else {p.stem: [p] for p in sorted((latest[1] / "tables").glob("*.parquet"))}
    events = [case.folder / r["name"] for r in case.rows("SELECT name FROM host_sources ORDER BY seq")]
    return {**found, "host_events": events} if events else found


def duck_of(case: Case) -> Duck:
    """A locked database over the case's tables: what a user's SQL may reach."""
    duck = Duck()
    tables = tables_of(case)
    if tables:
        duck.allow_files([path for paths in tables.values() for path in paths])
    for name, paths in tables.items():
        duck.register(name, paths)
    for name in ("notes", "tasks", "evidence", "findings", "indicators", "hypotheses", "weighings", "messages"):
        duck.register(f"case_{name}", pa.Table.from_pylist(case.rows(f"SELECT * FROM {name}") or [{"empty": None}]))
    duck.lock()
    return duck
