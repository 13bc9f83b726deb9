"""In: rules as text and a capture's bytes. Out: the alerts, as `tracehound alerts` finds them. Never here: a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tracehound.edges import alerting
from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.rules.engine import Engine, Options
from tracehound.rules.inspect import Note
from tracehound.rules.ruleset import parse_rules
from tracehound.rules.settings import Settings


def ready(text: str) -> alerting.Ready:
    """Rules that must all be honoured."""
    made = alerting.make_ready(parse_rules([("test.rules", text)], Settings().variables), Settings())
    assert not made.refused, [str(e) for e in made.refused]
    return made


def alerts(tmp_path: Any, capture: bytes, text: str, *, jobs: int = 1, notes: list[Note] | None = None, **options: Any) -> list[Any]:
    """(sid, frame, from port, to port) of each alert."""
    path = tmp_path / "test.pcap"
    path.write_bytes(capture)
    files = list_evidence([str(path)])
    return [brief(f.eve("")) for f in alerting.alerts(files, ready(text), Options(**options), jobs=jobs, notes=notes)]


def brief(event: dict[str, Any]) -> tuple[int, int, int, int]:
    return event["alert"]["signature_id"], event["pcap_cnt"], event.get("src_port", 0), event.get("dest_port", 0)


def in_batches(tmp_path: Any, capture: bytes, text: str, records: int, *, everything: bool = False) -> list[tuple[int, int, bool]]:
    """(sid, frame, at the end of a session) of all matches, read `records` packets at a time."""
    path = tmp_path / "test.pcap"
    path.write_bytes(capture)
    made = ready(text)
    engine = Engine(made.plans, made.filter, Options(everything=everything))
    out = []
    for raw in _cut(path, records):
        out += engine.add(raw)
    out += engine.finish()
    return sorted((m.plan.rule.sid, m.packet.number & 0xFFFFFF, m.packet.pseudo) for m in out)


def _cut(path: Any, size: int) -> Iterator[Any]:
    for raw in read_batches(list_evidence([str(path)])):
        n = raw.records.ts.size
        for begin in range(0, n, size):
            columns: list[Any] = [column[begin : begin + size] for column in raw.records]
            part = type(raw.records)(*columns)
            yield replace(raw, buffer=np.array(raw.buffer), records=part, first_frame=raw.first_frame + begin)
