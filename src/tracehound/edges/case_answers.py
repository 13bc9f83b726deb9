"""In: a case on disk. Out: what it says, put together: the timeline, what changed on the host, links of its mail, ties to other cases.
Never here: how any of it is judged (cases/) or shown (cli/, report/, web/)."""

from __future__ import annotations

import datetime
import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracehound.cases import timeline
from tracehound.cases.host_changes import Changes, Skew, around, estimate_skew
from tracehound.cases.linking import Link, Shared, known_aliases, links, shared
from tracehound.correspondence.mentions import Mention, mentions
from tracehound.edges.case_library import other_indicators
from tracehound.edges.case_runs import latest_run
from tracehound.edges.casefile import Case
from tracehound.edges.investigation import knowledge
from tracehound.report.incident import Moment

_DAY_NS = 86_400 * 1_000_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def ns_of(text: str) -> int:
    """RFC 3339 text with up to nine digits (as a verdict's JSON has it) in ns."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.UTC)
    return int((moment - _EPOCH).total_seconds()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)


_ONE_ASKS = threading.RLock()
"""What many ask at once is worked out by the first, and waited for by the others."""
File = tuple[str, int, int]
"""A file by its path, size and time of change: as long as these stay, so does what it says."""


def _file(path: Path) -> File:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _document(file: File) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(file[0]).read_text(encoding="utf-8"))
    return document


def verdict_json(case: Case) -> dict[str, Any] | None:
    """The newest run's verdict as it was kept; None where the case was never investigated. Not to be altered: it is remembered."""
    latest = latest_run(case)
    if latest is None:
        return None
    with _ONE_ASKS:
        return _document(_file(latest[1] / "verdict.json"))


def host_events(case: Case) -> list[dict[str, Any]]:
    """All host events of the case as dicts, times in ns."""
    return _events(_host_files(case))


def _host_files(case: Case) -> tuple[File, ...]:
    return tuple(_file(case.folder / r["name"]) for r in case.rows("SELECT name FROM host_sources ORDER BY seq"))


def _events(files: tuple[File, ...]) -> list[dict[str, Any]]:
    tables = [pq.read_table(name) for name, _, _ in files]
    if not tables:
        return []
    return _dicts(pa.concat_tables(tables))


def _dicts(table: pa.Table) -> list[dict[str, Any]]:
    for name in ("ts", "ts_host"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def host_bins(case: Case, from_ns: int, to_ns: int, bin_ns: int) -> list[dict[str, Any]]:
    """How much happened on the host when, for a chart: bins of `bin_ns` within the traffic's time, of a day outside of it.

    Each has start_ns, width_ns and counts by what happened (born, modified, accessed, changed, and the kind of what is no file)."""
    names = [r["name"] for r in case.rows("SELECT name FROM host_sources ORDER BY seq")]
    if not names:
        return []
    tables = [pq.read_table(case.folder / name, columns=["ts", "kind", "time_kind"]) for name in names]
    table = pa.concat_tables([t.unify_dictionaries() for t in tables], promote_options="permissive")
    table = table.filter(table["ts"].is_valid())
    ts = table["ts"].cast(pa.int64()).to_numpy()
    kind, time_kind = table["kind"].cast(pa.string()), table["time_kind"].cast(pa.string())
    what = pc.if_else(pc.equal(kind, "file"), time_kind, kind)
    inside = (ts >= from_ns) & (ts < to_ns)
    day = ts // _DAY_NS * _DAY_NS
    # A day that the traffic begins or ends in is cut there.
    start = np.where(inside, from_ns + (ts - from_ns) // bin_ns * bin_ns, np.where(ts >= to_ns, np.maximum(day, to_ns), day))
    end = np.where(inside, start + bin_ns, np.where(ts < from_ns, np.minimum(day + _DAY_NS, from_ns), day + _DAY_NS))
    width = end - start
    events = pa.table({"start_ns": start, "width_ns": width, "what": what})
    counted = events.group_by(["start_ns", "width_ns", "what"]).aggregate([([], "count_all")])
    bins: dict[tuple[int, int], dict[str, int]] = {}
    for r in counted.sort_by([("start_ns", "ascending"), ("what", "ascending")]).to_pylist():
        bins.setdefault((r["start_ns"], r["width_ns"]), {})[r["what"]] = r["count_all"]
    return [{"start_ns": s, "width_ns": w, "counts": counts} for (s, w), counts in bins.items()]


def moments(case: Case, *, host: bool = True) -> list[Moment]:
    """The case's timeline. `host` false leaves single host events out (there can be hundreds of thousands)."""
    latest = latest_run(case)
    found = [] if latest is None else case.rows("SELECT * FROM findings WHERE run_id = ?", (latest[0],))
    verdict = verdict_json(case)
    return timeline.merged(
        timeline.of_findings(found),
        timeline.of_turning_points(verdict, ns_of) if verdict else (),
        timeline.of_mail(case.rows("SELECT * FROM messages")),
        timeline.of_log(case.entries()),
        timeline.of_host(host_events(case)) if host else (),
    )


def turning_points(case: Case) -> list[tuple[str, int, str, str | None]]:
    """(finding_id, ts_ns, began or stopped, identified family) of every turning point inside the evidence, strongest finding first."""
    verdict = verdict_json(case) or {}
    out = []
    for f in verdict.get("findings", ()):
        probing = f.get("probing") or {}
        family = next((i["family"] for i in probing.get("identities", ()) if i["tier"] in ("confirmed", "likely")), None)
        out += [
            (f["finding_id"], ns_of(t["ts"]), t["change"], family) for t in probing.get("turning_points", ()) if not t.get("at_edge")
        ]
    return out


def host_changes(case: Case, at_ns: int | None = None) -> list[Changes]:
    """What changed on the host around each turning point (or around `at_ns`)."""
    points = [(at_ns, None)] if at_ns is not None else [(ts, family) for _, ts, _, family in turning_points(case)]
    if not points:
        return []
    with _ONE_ASKS:
        return list(_changes(_host_files(case), tuple(points)))


@lru_cache(maxsize=16)
def _changes(files: tuple[File, ...], points: tuple[tuple[int, str | None], ...]) -> tuple[Changes, ...]:
    """Remembered, for every view of a case asks it, and a host's records are long."""
    events = _events(files)
    return tuple(around(events, ts, known=_known_files(family)) for ts, family in points)


def _known_files(family: str | None) -> frozenset[str]:
    return frozenset(
        i.value.lower() for p in knowledge().profiles if p.family == family for i in p.indicators if i.kind == "file"
    )


def clock_skew(case: Case) -> Skew | None:
    """How far the host's clock was off, from files that it received over the network; None where that cannot be told."""
    files, path = _host_files(case), _carried_file(case)
    if not files or path is None:
        return None
    with _ONE_ASKS:
        return _skew(files, path)


def skew_of(case: Case, events: pa.Table) -> Skew | None:
    """The same for host events that are no part of the case yet."""
    path = _carried_file(case)
    return None if path is None else estimate_skew(_dicts(events), _carried(path))


def _carried_file(case: Case) -> File | None:
    latest = latest_run(case)
    path = None if latest is None else latest[1] / "tables" / "files.parquet"
    return None if path is None or not path.is_file() else _file(path)


@lru_cache(maxsize=16)
def _skew(files: tuple[File, ...], path: File) -> Skew | None:
    return estimate_skew(_events(files), _carried(path))


def _carried(path: File) -> list[dict[str, Any]]:
    carried = pq.read_table(path[0], columns=["ts", "name", "bytes", "sha256", "md5"])
    rows: list[dict[str, Any]] = carried.set_column(0, "ts", carried["ts"].cast(pa.int64())).to_pylist()
    return rows


def skew_words(found: Skew | None) -> str:
    """The estimate as a sentence; empty where there is none."""
    if found is None:
        return ""
    how = "ahead" if found.seconds >= 0 else "behind"
    return f"The host's clock was about {abs(found.seconds):,.0f} s {how}: {found.reason}, within {found.spread_s:.0f} s of each other."


def mail_mentions(case: Case) -> dict[str, list[Mention]]:
    """Message key -> what the mail names."""
    aliases = known_aliases(knowledge().profiles)
    return {
        r["message_key"]: mentions(r["subject"] + "\n" + r["text"], aliases)
        for r in case.rows("SELECT message_key, subject, text FROM messages ORDER BY sent_ns")
    }


def mail_links(case: Case) -> list[Link]:
    """Which mail names what a finding is about."""
    latest = latest_run(case)
    if latest is None:
        return []
    rows = case.rows("SELECT finding_id, kind, host FROM findings WHERE run_id = ?", (latest[0],))
    findings = [r for r in rows if r["kind"] not in timeline.FACETS]
    indicators = case.rows("SELECT type, value, source FROM indicators")
    return [link for key, named in mail_mentions(case).items() for link in links(key, named, findings, indicators)]


def seen_before(case: Case, cases: Path | None = None) -> list[Shared]:
    """Indicators that other cases of the same folder have, too."""
    cases = cases if cases is not None else case.folder.parent
    return shared(case.rows("SELECT type, value FROM indicators"), other_indicators(cases, case.folder))
