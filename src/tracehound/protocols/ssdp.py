"""In: SSDP datagrams. Out: rows of table `ssdp`, one a kind of message in a flow. Never here: the description that `location` leads to.

UPnP Device Architecture 2.0, section 1 (discovery)."""

from __future__ import annotations

import re
from typing import Any, Final

from tracehound.limits import MAX_SSDP_KINDS
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_LINE: Final = re.compile(rb"^([A-Za-z0-9.-]{1,64}):[ \t]*([^\r\n]*)", re.MULTILINE)
_HEADER_BYTES: Final = 4_096


def _fields(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _LINE.findall(data[:_HEADER_BYTES]):
        found.setdefault(name.decode().lower(), words_of(value.strip()))
    return found


def _cells(data: bytes) -> tuple[str, str | None, str | None, str | None, str | None, str | None]:
    """operation, target, usn, location, server, user_agent"""
    fields = _fields(data)
    if data[:8].upper() == b"M-SEARCH":
        operation = "search"
    elif data[:6].upper() == b"NOTIFY":
        operation = fields.get("nts", "ssdp:notify").removeprefix("ssdp:")
    else:
        operation = "response"

    def get(name: str) -> str | None:
        return fields.get(name) or None

    return operation, get("st") or get("nt"), get("usn"), get("location"), get("server"), get("user-agent")


class _Flow(Reporter):
    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.kinds: dict[tuple[Any, ...], tuple[tuple[str | None, ...], Datagram]] = {}
        self.counts: dict[tuple[Any, ...], int] = {}


class SsdpDatagrams:
    """All flows of SSDP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Flow] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = _Flow(ends_of(d), self._emit)
        cells = _cells(d.data)
        key = (d.from_originator, *cells)
        if key not in flow.kinds and len(flow.kinds) < MAX_SSDP_KINDS:
            flow.kinds[key] = cells, d._replace(data=b"")
        if key in flow.kinds:
            flow.counts[key] = flow.counts.get(key, 0) + 1
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        for key, (cells, d) in flow.kinds.items():
            flow.ends = FlowEnds(flow_id, d.src, d.sport, d.dst, d.dport)
            flow.row("ssdp", d.ts_ns, *cells, flow.counts[key], d.packet_id, None)
