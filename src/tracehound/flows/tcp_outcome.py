"""In: records of finished flows. Out: the rows of table `flows`: conn_state as Zeek decides it, history, outcome.
Never here: packets."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.key import community_ids
from tracehound.flows.state import (
    ACK_REL,
    BEFORE,
    BYTES,
    CLOSED,
    END,
    ESTABLISHED,
    FINS,
    FIRST_PACKET,
    FLAGS,
    FLOW_ID,
    HI,
    HISTORY,
    HISTORY_BYTES,
    HISTORY_LEN,
    ICMP,
    ICMP_CODE,
    ICMP_HI,
    ICMP_LO,
    ICMP_TYPE,
    INACTIVE,
    IP_ID,
    LAST_PACKET,
    LAST_REL,
    LO,
    MISSED,
    ONE_WAY,
    ORIG,
    PARTIAL,
    PAYLOAD,
    PKTS,
    PORT,
    PROTO,
    REASON,
    REASONS,
    RESET,
    START,
    STATE,
    SYN_ACK,
    SYN_ACK_SENT,
    SYN_OPTIONS,
    SYN_SENT,
    SYN_SEQ,
    SYN_WINDOW,
    SYNS,
    TTL,
    TUNNEL,
    VERSION,
    VLAN,
    Closed,
    at_end,
)
from tracehound.packets.addresses import address_column, dictionary, tunnel_column, vlan_column
from tracehound.tables import EVIDENCE_SHIFT, FLOWS

CONN_STATES: Final = ("S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH")
_CODE: Final = {name: code for code, name in enumerate(CONN_STATES)}
OUTCOME_NAMES: Final = ("unanswered", "refused", "unreachable", "accepted", "answered", "one_sided", "midstream")
_OUTCOME: Final = {name: code for code, name in enumerate(OUTCOME_NAMES)}
_RSTOS0: Final = re.compile(rb"^\^?S[^HAFGIQ]*R")


def _letters(closed: Closed) -> NDArray[np.uint8]:
    """The history of each row as HISTORY_BYTES letters, of which the first HISTORY_LEN count."""
    packed = np.ascontiguousarray(closed[HISTORY : HISTORY + HISTORY_BYTES // 8].T).astype("<i8", copy=False)
    return packed.view(np.uint8)


def _history_column(closed: Closed, present: NDArray[np.bool_]) -> pa.Array:
    """Histories as text; null where not `present`."""
    length = np.where(present, closed[HISTORY_LEN], 0)
    ends = np.zeros(length.size + 1, dtype=np.int32)
    np.cumsum(length, out=ends[1:])
    letters = _letters(closed)[np.arange(HISTORY_BYTES) < length[:, None]]
    buffers = [pa.py_buffer(b) for b in (np.packbits(present, bitorder="little"), ends, letters)]
    return pa.Array.from_buffers(pa.string(), length.size, buffers)


def conn_states(closed: Closed) -> NDArray[np.int8]:
    """Codes into CONN_STATES, in the order of decision that Zeek documents (base/protocols/conn)."""
    orig = closed[ORIG]
    o, r = at_end(closed, STATE, orig), at_end(closed, STATE, 1 - orig)
    o_size, r_size = tcp_size(closed, orig), tcp_size(closed, 1 - orig)
    tcp, udp = closed[PROTO] == 6, closed[PROTO] == 17
    o_quiet = (o == INACTIVE) | (o == PARTIAL)
    both_reset = (o == RESET) & (o_size == 0) & (r_size == 0)
    rules: list[tuple[NDArray[np.bool_], str]] = [
        (tcp & (r == RESET) & ((o == SYN_SENT) | (o == SYN_ACK_SENT) | both_reset), "REJ"),
        (tcp & (r == RESET) & o_quiet, "RSTRH"),
        (tcp & (r == RESET), "RSTR"),
        (tcp & (o == RESET) & (r == INACTIVE), "OTH"),
        (tcp & (o == RESET), "RSTO"),
        (tcp & (o == CLOSED) & (r == CLOSED), "SF"),
        (tcp & (o == CLOSED) & (r == INACTIVE), "SH"),
        (tcp & (o == CLOSED), "S2"),
        (tcp & (r == CLOSED) & (o == INACTIVE), "SHR"),
        (tcp & (r == CLOSED), "S3"),
        (tcp & (o == SYN_SENT) & (r == INACTIVE), "S0"),
        (tcp & (o == ESTABLISHED) & (r == ESTABLISHED), "S1"),
        (udp & (o != INACTIVE) & (r != INACTIVE), "SF"),
        (udp & (o != INACTIVE), "S0"),
        (udp & (r != INACTIVE), "SHR"),
    ]
    codes = np.select([c for c, _ in rules], [_CODE[s] for _, s in rules], default=_CODE["OTH"]).astype(np.int8)
    for i in np.flatnonzero(tcp & (o == RESET) & (r == INACTIVE)):
        if _RSTOS0.match(_letters(closed[:, i : i + 1])[0, : closed[HISTORY_LEN, i]].tobytes()):
            codes[i] = _CODE["RSTOS0"]
    return codes


def tcp_size(closed: Closed, side: NDArray[np.int64]) -> NDArray[np.int64]:
    """Payload by sequence numbers: what was sent or acknowledged, less the SYN and the FIN."""
    last, acked = at_end(closed, LAST_REL, side), at_end(closed, ACK_REL, side)
    size = np.maximum(last, acked)
    size = np.where(size > 0, size - 1, 0)
    size = np.where((at_end(closed, FINS, side) > 0) & (size > 0), size - 1, size)
    # A SYN and then a RST, nothing back: the RST's sequence number says nothing about payload.
    half_open = (
        (at_end(closed, BEFORE, side) == SYN_SENT) & (at_end(closed, STATE, side) == RESET)
        & (at_end(closed, STATE, 1 - side) == INACTIVE) & (acked > 1)
    )  # fmt: skip
    return np.where(half_open, 0, size)


def outcomes(closed: Closed) -> NDArray[np.int8]:
    """Codes into OUTCOME_NAMES; -1 where the flow is no attempt (one-way ICMP, protocols without ports)."""
    orig = closed[ORIG]
    resp = 1 - orig
    pkts_src, pkts_dst = at_end(closed, PKTS, orig), at_end(closed, PKTS, resp)
    proto = closed[PROTO]
    tcp = proto == 6
    syn = closed[SYNS] > 0
    syn_ack = at_end(closed, SYN_ACK, resp) > 0
    payload_dst = np.where(tcp, tcp_size(closed, resp), at_end(closed, PAYLOAD, resp))
    reset_dst = at_end(closed, FLAGS, resp) & 4 > 0
    spoke_on = at_end(closed, FLAGS, orig) & 16 > 0
    told = closed[ICMP] > 0
    answerable = (proto == 17) | (proto == 132) | (((proto == 1) | (proto == 58)) & (closed[ONE_WAY] == 0))
    rules: list[tuple[NDArray[np.bool_], str]] = [
        (tcp & (pkts_src == 0), "one_sided"),
        (tcp & syn & (pkts_dst == 0) & told, "unreachable"),
        # SYN and later an ACK, but never a packet back: the other direction is not in this evidence.
        (tcp & syn & (pkts_dst == 0) & spoke_on, "one_sided"),
        (tcp & syn & (pkts_dst == 0), "unanswered"),
        (tcp & syn & ~syn_ack & reset_dst, "refused"),
        (tcp & ~syn & ~syn_ack, "midstream"),
        (tcp & (payload_dst > 0), "answered"),
        (tcp & syn_ack, "accepted"),
        (tcp & told, "unreachable"),
        (tcp, "midstream"),
        (answerable & (pkts_src == 0), "one_sided"),
        ((proto == 132) & (pkts_dst == 1) & reset_dst, "refused"),
        (answerable & (pkts_dst > 0) & ((payload_dst > 0) | (proto != 17)), "answered"),
        (answerable & (pkts_dst > 0), "accepted"),
        (answerable & told, "unreachable"),
        (answerable, "unanswered"),
    ]
    return np.select([c for c, _ in rules], [_OUTCOME[s] for _, s in rules], default=-1).astype(np.int8)


def flow_table(closed: Closed, *, with_community_id: bool = True) -> pa.Table:
    """Finished flows as rows of table `flows` (service is filled later, from payload)."""
    n = closed.shape[1]
    ids = community_ids(closed) if with_community_id else pa.nulls(n, pa.string())
    orig = closed[ORIG]
    resp = 1 - orig
    unsigned = closed.view(np.uint64)
    version = closed[VERSION]
    proto = closed[PROTO]
    tcp = proto == 6
    no_syn = ~tcp | (closed[SYNS] == 0)
    no_icmp = closed[ICMP] == 0
    outcome = outcomes(closed)
    schema = FLOWS.schema

    def payload(side: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(tcp, tcp_size(closed, side), at_end(closed, PAYLOAD, side))

    def number(name: str, values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
        kind = schema.field(name).type
        if pa.types.is_timestamp(kind):
            # A copy: a column that shares the records' memory would keep all 550 bytes of each alive with its 8.
            return pa.array(values.copy()).cast(kind)
        return pa.array(values.astype(kind.to_pandas_dtype()), mask=missing)

    numbers: dict[str, tuple[NDArray[Any], NDArray[np.bool_] | None]] = {
        "flow_id": (closed[FLOW_ID], None),
        "evidence_id": (closed[FIRST_PACKET] >> EVIDENCE_SHIFT, None),
        "start": (closed[START], None),
        "end": (closed[END], None),
        "proto": (proto, None),
        "sport": (at_end(closed, PORT, orig), None),
        "dport": (at_end(closed, PORT, resp), None),
        "pkts_src": (at_end(closed, PKTS, orig), None),
        "pkts_dst": (at_end(closed, PKTS, resp), None),
        "bytes_src": (at_end(closed, BYTES, orig), None),
        "bytes_dst": (at_end(closed, BYTES, resp), None),
        "payload_src": (payload(orig), None),
        "payload_dst": (payload(resp), None),
        "missed": (closed[MISSED], ~tcp),
        "syn_count": (closed[SYNS], ~tcp),
        "tcp_flags_src": (at_end(closed, FLAGS, orig), ~tcp),
        "tcp_flags_dst": (at_end(closed, FLAGS, resp), ~tcp),
        "icmp_type": (closed[ICMP_TYPE], no_icmp),
        "icmp_code": (closed[ICMP_CODE], no_icmp),
        "ttl_src": (closed[TTL], at_end(closed, PKTS, orig) == 0),
        "syn_seq": (closed[SYN_SEQ], no_syn),
        "syn_window": (closed[SYN_WINDOW], no_syn),
        "syn_options": (closed[SYN_OPTIONS], no_syn),
        "ip_id_src": (closed[IP_ID], at_end(closed, PKTS, orig) == 0),
        "first_packet_id": (closed[FIRST_PACKET], None),
        "last_packet_id": (closed[LAST_PACKET], None),
    }
    columns = {name: number(name, values, missing) for name, (values, missing) in numbers.items()}
    columns |= {
        "community_id": ids,
        "src": address_column(at_end(unsigned, HI, orig), at_end(unsigned, LO, orig), version),
        "dst": address_column(at_end(unsigned, HI, resp), at_end(unsigned, LO, resp), version),
        "service": pa.nulls(n, schema.field("service").type),
        "conn_state": dictionary(conn_states(closed), CONN_STATES),
        "history": _history_column(closed, tcp | (proto == 17)),
        "outcome": dictionary(outcome, OUTCOME_NAMES, outcome < 0),
        "originator_reason": dictionary(closed[REASON], REASONS),
        "icmp_from": address_column(unsigned[ICMP_HI], unsigned[ICMP_LO], version, no_icmp),
        "vlan": vlan_column(closed[VLAN]),
        "tunnel": tunnel_column(closed[TUNNEL]),
        "first_record_id": pa.nulls(n, pa.int64()),
    }
    return pa.table([columns[name] for name in FLOWS.names], schema=schema)
