"""In: a decoded batch and the flow of each packet. Out: rows of table `packets`. Never here: decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.packets.addresses import address_column, tunnel_column, vlan_column
from tracehound.packets.batch import NOTES, PacketBatch, one_a_record
from tracehound.tables import EVIDENCE_SHIFT, FRAME_MASK, PACKETS


def packet_table(p: PacketBatch, flow_id: NDArray[np.int64], base_offset: int, length: int) -> pa.Table:
    """Every record of the batch as a row. Columns that a packet does not have are null.

    base_offset and length are those of the RawBatch: payloads behind `length` were put together from fragments.
    A record that holds several packets is shown by the innermost (the first of them), as Wireshark's columns do."""
    rows = one_a_record(p)
    if rows is not None:
        columns_left: Any = [column[rows] for column in p[1:]]
        p, flow_id = PacketBatch(p.buffer, *columns_left), flow_id[rows]
    not_ip = p.ip_version == 0
    arp = p.note == NOTES.index("ARP")
    version = np.where(arp, 4, p.ip_version)
    nameless = not_ip & ~(arp & (p.src_lo != 0))
    tcp = ~not_ip & (p.proto == 6)
    decoded = ~not_ip & ((p.note == 0) | (p.note == NOTES.index("bad checksum")))
    has_ports = decoded & np.isin(p.proto, (1, 6, 17, 58, 132))
    outside = (p.payload_offset < 0) | (p.payload_offset >= length)
    schema = PACKETS.schema
    columns = {
        "packet_id": pa.array(p.packet_id),
        "evidence_id": pa.array((p.packet_id >> EVIDENCE_SHIFT).astype(np.int32)),
        "frame": pa.array(p.packet_id & FRAME_MASK),
        "file_offset": pa.array(p.file_offset),
        "ts": pa.array(p.ts).cast(schema.field("ts").type),
        "caplen": pa.array(p.caplen),
        "wirelen": pa.array(p.wirelen),
        "src": address_column(p.src_hi, p.src_lo, version, nameless),
        "dst": address_column(p.dst_hi, p.dst_lo, version, nameless),
        "proto": pa.array(p.proto, mask=not_ip),
        "sport": pa.array(p.sport, mask=~has_ports),
        "dport": pa.array(p.dport, mask=~has_ports),
        "tcp_flags": pa.array(p.tcp_flags, mask=~(tcp & decoded)),
        "seq": pa.array(p.seq, mask=~(tcp & decoded)),
        "ack": pa.array(p.ack, mask=~(tcp & decoded)),
        "window": pa.array(p.window, mask=~(tcp & decoded)),
        "ttl": pa.array(p.ttl, mask=not_ip),
        "ip_id": pa.array(p.ip_id, mask=not_ip),
        "payload_offset": pa.array(p.payload_offset + base_offset, mask=outside),
        "payload_len": pa.array(p.payload_len, mask=not_ip),
        "vlan": vlan_column(p.vlan.astype(np.int64)),
        "tunnel": tunnel_column(p.tunnel),
        "flow_id": pa.array(flow_id, mask=flow_id < 0),
        "decode_note": pa.DictionaryArray.from_arrays(pa.array(p.note.astype(np.int32), mask=p.note == 0), list(NOTES)),
    }
    return pa.table([columns[name] for name in PACKETS.names], schema=schema)
