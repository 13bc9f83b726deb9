"""In: evidence, and a condition on flows or rules. Out: the packets of the flows that fit, as frames with comments that say why.
Never here: matching (rules/), the words of pcapng (demo/wire.py), or anonymising (lab/anonymise.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracehound.demo.wire import Frame, Interface, pcapng_chunks
from tracehound.edges import alerting
from tracehound.edges.evidence import EvidenceFile, list_evidence, read_batches
from tracehound.edges.reading import Reading, read
from tracehound.errors import UsageError
from tracehound.pipeline import Wanted
from tracehound.rules.engine import Options
from tracehound.tables import EVIDENCE_SHIFT


@dataclass(slots=True)
class Carving:
    """What is to be cut out: packets with a comment (or None), their files, and the flows they belong to.

    packets   packet_id -> comment
    flows     flow_id -> why it was chosen
    fired     flow_id -> packets that an alert was given on, with the sids
    owner     packet_id -> flow_id"""

    files: list[EvidenceFile]
    packets: dict[int, str | None] = field(default_factory=dict)
    flows: dict[int, str] = field(default_factory=dict)
    fired: dict[int, dict[int, set[int]]] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)

    @property
    def link_types(self) -> list[int]:
        """Link types of the files, each once, in ascending order: the interfaces of the capture to be written."""
        return sorted({link for file in self.files for link in file.link_types})


def chosen(evidence: Sequence[str], *, where: str | None = None, ready: alerting.Ready | None = None) -> Carving:
    """The packets of the flows for which a condition on table `flows` holds, or in which a rule matches (both: of both).

    Raises UsageError where the condition is no SQL or nothing fits, EvidenceError."""
    alerts = _alerts(evidence, ready) if ready is not None else {}
    with read(evidence, wanted=Wanted(packets=True, transactions=where is not None, file_details=False)) as reading:
        out = Carving(reading.files)
        if where is not None:
            rows = reading.sql(f"SELECT flow_id FROM flows WHERE ({where}\n)")
            out.flows = {int(x): f"flow {int(x)} chosen: {where}" for x in rows.column(0).to_pylist()}
        _take_alerts(reading, alerts, out)
        if not out.flows:
            raise UsageError(f"carve: no flow fits {where!r}" if ready is None else "carve: the rules match in no flow")
        rows = reading.ask(
            "SELECT packet_id, flow_id FROM packets WHERE list_contains($ids, flow_id) ORDER BY packet_id", {"ids": sorted(out.flows)}
        )
        seen: set[int] = set()
        for packet_id, flow_id in zip(rows.column(0).to_pylist(), rows.column(1).to_pylist(), strict=True):
            words = [] if flow_id in seen else [out.flows[flow_id]]
            seen.add(flow_id)
            words += alerts.get(packet_id, {}).values()
            out.owner[packet_id] = flow_id
            out.packets[packet_id] = "; ".join(words) or None
    return out


def _alerts(evidence: Sequence[str], ready: alerting.Ready) -> dict[int, dict[int, str]]:
    """packet_id -> sid -> what the alert says."""
    out: dict[int, dict[int, str]] = {}
    for found in alerting.alerts(list_evidence(list(evidence)), ready, Options()):
        sid = int(found.plan.rule.sid)
        out.setdefault(found.place[0], {})[sid] = f"alert of sid {sid}: {found.plan.rule.msg or ''}"
    return out


def _take_alerts(reading: Reading, alerts: Mapping[int, Mapping[int, str]], out: Carving) -> None:
    if not alerts:
        return
    rows = reading.ask(
        "SELECT packet_id, flow_id FROM packets WHERE list_contains($ids, packet_id) AND flow_id IS NOT NULL", {"ids": sorted(alerts)}
    ).to_pylist()
    sids: dict[int, set[int]] = {}
    for r in rows:
        packet_id, flow_id = r["packet_id"], r["flow_id"]
        out.fired.setdefault(flow_id, {})[packet_id] = set(alerts[packet_id])
        sids.setdefault(flow_id, set()).update(alerts[packet_id])
    for flow_id, numbers in sids.items():
        why = "flow {} chosen: hit by sid {}".format(flow_id, ", ".join(map(str, sorted(numbers))))
        out.flows[flow_id] = f"{out.flows[flow_id]}; {why}" if flow_id in out.flows else why


def frames(carving: Carving) -> Iterator[tuple[int, int, Frame]]:
    """(packet_id, link type, frame) of every packet to be cut out, in the order of the evidence. Reads the files again.

    A frame's interface is the place of its link type in `carving.link_types`."""
    places = {link: i for i, link in enumerate(carving.link_types)}
    wanted = np.array(sorted(carving.packets), dtype=np.int64)
    for raw in read_batches(carving.files):
        ids = (np.int64(raw.evidence_id) << EVIDENCE_SHIFT) | raw.frame_numbers()
        r: Any = raw.records
        for i in np.flatnonzero(np.isin(ids, wanted)):
            begin = int(r.offset[i])
            data = raw.buffer[begin : begin + int(r.caplen[i])].tobytes()
            link = int(r.link_type[i])
            yield int(ids[i]), link, Frame(int(r.ts[i]), data, carving.packets[int(ids[i])], places.get(link, 0))


def capture(carving: Carving, cut: Iterable[tuple[int, int, Frame]], comment: str) -> Iterator[bytes]:
    """The frames as a pcapng file, in pieces."""
    interfaces = tuple(Interface(link) for link in carving.link_types)
    return pcapng_chunks((frame for _, _, frame in cut), interfaces, comment, "tracehound")
