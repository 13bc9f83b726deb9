"""In: decoded packets of a capture. Out: the flow records that the datagrams of NetFlow and IPFIX among them carry, as blocks of the
contract, and what is missing, counted. Never here: how a datagram reads (netflow.py).

Exporters may send to any port, so a datagram is told by its content: a version, a plausible time, and lengths that come out even. A
collector that once took a datagram of an exporter takes the later ones, too, if only their version is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tracehound import limits
from tracehound.flowlogs.export_candidates import candidates
from tracehound.flowlogs.netflow import IPFIX_HEADER, Collector, recognise, v9_end
from tracehound.flowlogs.netflow_fixed import LAYOUTS
from tracehound.flowlogs.reader import Block
from tracehound.packets.addresses import address_text
from tracehound.packets.batch import PacketBatch


def is_datagram(payload: bytes) -> bool:
    """Whether this is one whole datagram of NetFlow or IPFIX."""
    if not recognise(payload):
        return False
    version, count = payload[1], payload[2] << 8 | payload[3]
    if version in LAYOUTS:
        header_bytes, record_bytes = LAYOUTS[version]
        return header_bytes + count * record_bytes == len(payload)
    if version == 10:
        return count == len(payload) > IPFIX_HEADER
    return v9_end(np.frombuffer(payload, dtype=np.uint8), 0, len(payload))[0] == len(payload)


class ExportTraffic:
    """Reads the export traffic of one capture, batch after batch. Records are numbered as they come, from 1."""

    def __init__(self) -> None:
        self._collector = Collector()
        self._known: set[tuple[int, int, int, int]] = set()

    @property
    def counts(self) -> dict[str, tuple[int, str | None]]:
        """For the quality record, as of a reader of logs."""
        return self._collector.counts

    @property
    def records(self) -> int:
        """Records so far."""
        return self._collector.records

    def add(self, packets: PacketBatch) -> list[Block]:
        """The records in these packets."""
        chosen = candidates(packets)
        if not chosen.size:
            return []
        collector = self._collector
        collector.begin(packets.buffer, 0)
        for i in chosen.tolist():
            at = int(packets.payload_offset[i])
            end = at + int(packets.payload_caplen[i])
            who = (int(packets.src_hi[i]), int(packets.src_lo[i]), int(packets.dport[i]), int(packets.buffer[at + 1]))
            if who not in self._known:
                if not is_datagram(packets.buffer[at:end].tobytes()) or len(self._known) >= limits.MAX_EXPORTERS:
                    continue
                self._known.add(who)
            collector.datagram(at, end, address_text(who[0], who[1], int(packets.ip_version[i])))
        # Where a record begins in the file is told by its datagram's packet, not by a place in this buffer.
        return [replace(block, offset=None) for block in collector.flush()]
