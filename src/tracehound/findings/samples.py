"""In: HTTP transactions and payload heads of one suspect's probes, as rows. Out: the samples that a template is aligned over.
Never here: aligning them (template.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracehound.findings.citations import Citer
from tracehound.findings.template import Sample

Row = Mapping[str, Any]


def samples(requests: Sequence[Row], heads: Sequence[Row], host: str, citer: Citer) -> list[Sample]:
    """HTTP requests where there are any, otherwise the first payload bytes that the host sent. The majority wins: a service
    that is HTTP now and then (a probe that some targets take for HTTP) is aligned by its bytes."""
    spoken = [r for r in requests if r["method"] is not None]
    sent = [h for h in heads if h["from_originator"] and h["head"]]
    if len(spoken) >= 0.5 * len({h["flow_id"] for h in sent}):
        return [_request(r, host, citer) for r in spoken]
    return [_head(h, host, citer) for h in sent]


def _request(r: Row, host: str, citer: Citer) -> Sample:
    return Sample(
        method=r["method"],
        uri=r["uri"] or "",
        version=r["version"] or "",
        header_names=tuple(r["header_names"] or ()),
        header_values=tuple(r["header_values"] or ()),
        length=(r["request_head_bytes"] or 0) + (r["request_bytes"] or 0),
        target=r["dst"],
        own=host,
        ts_ns=r["ts_ns"],
        flow_id=r["flow_id"],
        txn_id=r["txn_id"],
        citation=citer.packet(r["request_packet_id"], flow_id=r["flow_id"], http_txn_id=r["txn_id"], ts_ns=r["ts_ns"]),
    )


def _head(h: Row, host: str, citer: Citer) -> Sample:
    return Sample(
        payload=h["head"],
        length=h["payload_len"],
        target=h["dst"],
        own=host,
        ts_ns=h["start_ns"],
        flow_id=h["flow_id"],
        citation=citer.packet(h["packet_id"], flow_id=h["flow_id"], ts_ns=h["start_ns"]),
    )
