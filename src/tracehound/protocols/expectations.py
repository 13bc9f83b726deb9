"""In: connections that sessions were told of, and batches of packets. Out: which flows they are. Never here: who announces them
(ftp.py, irc.py), or reading them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.limits import MAX_EXPECTED_FLOWS
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch
from tracehound.protocols.session import Expected

_TCP = 6
Where = tuple[str, int]


@dataclass(slots=True)
class Expectations:
    """What is announced and has not come, by (address, port), oldest first."""

    waiting: dict[Where, list[Expected]] = field(default_factory=dict)
    count: int = 0
    ports: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(65_536, np.bool_))

    def add(self, expected: list[Expected]) -> None:
        """Announce connections."""
        for one in expected:
            self.waiting.setdefault((one.address, one.port), []).append(one)
            self.ports[one.port] = True
            self.count += 1
        while self.count > MAX_EXPECTED_FLOWS:
            self._take(next(iter(self.waiting)))

    def _take(self, where: Where) -> Expected:
        some = self.waiting[where]
        one = some.pop(0)
        self.count -= 1
        if not some:
            del self.waiting[where]
            self.ports[where[1]] = any(port == where[1] for _, port in self.waiting)
        return one

    def met(self, packets: PacketBatch, assignment: Assignment, known: Container[int]) -> dict[int, Expected]:
        """Flows of this batch that were announced, each with its announcement, which is then over."""
        rows = np.flatnonzero(
            (packets.proto == _TCP) & (assignment.flow_id >= 0) & (self.ports[packets.sport] | self.ports[packets.dport])
        )
        flows, first = np.unique(assignment.flow_id[rows], return_index=True)
        tied: dict[int, Expected] = {}
        for flow_id, i in zip(flows.tolist(), rows[first].tolist(), strict=True):
            if flow_id in known:
                continue
            version = int(packets.ip_version[i])
            for where in (
                (address_text(int(packets.dst_hi[i]), int(packets.dst_lo[i]), version), int(packets.dport[i])),
                (address_text(int(packets.src_hi[i]), int(packets.src_lo[i]), version), int(packets.sport[i])),
            ):
                if where in self.waiting:
                    tied[flow_id] = self._take(where)
                    break
        return tied
