"""In: records of finished flows. Out: the rows of table `flows`: conn_state as Zeek decides it, history, outcome.
Never here: packets."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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
    KEPT,
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
    Flat,
)
from tracehound.kernels import Bool, Int, kernel
from tracehound.packets.addresses import address_column, key_column, tunnel_column, vlan_column
from tracehound.tables import EVIDENCE_SHIFT, FLOWS

CONN_STATES: Final = ("S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH")
_CODE: Final = {name: code for code, name in enumerate(CONN_STATES)}
OUTCOME_NAMES: Final = ("unanswered", "refused", "unreachable", "accepted", "answered", "one_sided", "midstream")
_OUTCOME: Final = {name: code for code, name in enumerate(OUTCOME_NAMES)}

# numpy numbers, so that a kernel that gives one back is compiled for one type.
_S0, _S1, _SF, _REJ, _S2, _S3, _RSTO, _RSTR, _RSTOS0, _RSTRH, _SH, _SHR, _OTH = map(np.int64, range(len(CONN_STATES)))
_UNANSWERED, _REFUSED, _UNREACHABLE, _ACCEPTED, _ANSWERED, _ONE_SIDED, _MIDSTREAM = map(np.int64, range(len(OUTCOME_NAMES)))
_NO_OUTCOME: Final = np.int64(-1)
_TCP: Final = 6
_UDP: Final = 17
_SCTP: Final = 132

_WIDE: Final = (
    "flow_id", "start", "end", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst", "payload_src", "payload_dst", "missed",
    "first_packet_id", "last_packet_id",
)  # fmt: skip
_WORDS: Final = ("evidence_id", "syn_count", "syn_seq", "ip_id_src")
_CODES: Final = ("conn_state", "outcome", "originator_reason")
_HALVES: Final = ("sport", "dport", "syn_window")
_SMALL: Final = ("proto", "tcp_flags_src", "tcp_flags_dst", "icmp_type", "icmp_code", "ttl_src", "syn_options")
_MISSING: Final = ("not TCP", "no SYN", "no ICMP", "no packet of the originator", "no attempt", "no history")
_WHERE_MISSING: Final[dict[str, str]] = {
    "missed": "not TCP", "syn_count": "not TCP", "tcp_flags_src": "not TCP", "tcp_flags_dst": "not TCP", "syn_seq": "no SYN",
    "syn_window": "no SYN", "syn_options": "no SYN", "icmp_type": "no ICMP", "icmp_code": "no ICMP",
    "ttl_src": "no packet of the originator", "ip_id_src": "no packet of the originator", "outcome": "no attempt",
}  # fmt: skip
"""Columns that are null in some rows: why."""
_WORDS_OF: Final[dict[str, tuple[str, ...]]] = {
    "conn_state": CONN_STATES, "outcome": OUTCOME_NAMES, "originator_reason": REASONS,
}  # fmt: skip


class Columns(NamedTuple):
    """Columns of finished flows by width, as `describe` fills them; rows of each block are those of the names above.

    ends      int64 (2, n, 3): the originator's and the responder's address (upper, lower half) and the IP version
    letters   the histories one behind the other; row i's are those from ends_at[i] to ends_at[i + 1]"""

    wide: NDArray[np.int64]
    words: NDArray[np.uint32]
    codes: NDArray[np.int32]
    halves: NDArray[np.uint16]
    small: NDArray[np.uint8]
    missing: NDArray[np.bool_]
    ends: NDArray[np.int64]
    letters: NDArray[np.uint8]
    ends_at: NDArray[np.int32]


# A kernel sees all records as one flat array; `k` is where a record begins.


@kernel
def tcp_size(f: Flat, k: Int, side: Int) -> Int:
    """Payload by sequence numbers: what was sent or acknowledged, less the SYN and the FIN."""
    unanswered = f[k + BEFORE + side] == SYN_SENT and f[k + STATE + 1 - side] == INACTIVE
    if unanswered and f[k + STATE + side] == RESET and f[k + ACK_REL + side] > 1:
        # A SYN and then a RST, nothing back: the RST's sequence number says nothing about payload.
        return np.int64(0)
    size = max(f[k + LAST_REL + side], f[k + ACK_REL + side])
    size = max(size - 1, np.int64(0))
    return size - 1 if f[k + FINS + side] > 0 and size > 0 else size


@kernel
def letter(f: Flat, k: Int, n: Int) -> Int:
    """Letter n of a history."""
    return f[k + HISTORY + (n >> 3)] >> ((n & 7) * 8) & 0xFF


@kernel
def reset_half_open(f: Flat, k: Int) -> Bool:
    """The history begins with the originator's SYN, and the next that matters is its RST: ^?S, none of H A F G I Q, R."""
    n = 1 if f[k + HISTORY_LEN] > 0 and letter(f, k, 0) == 94 else 0
    if n >= f[k + HISTORY_LEN] or letter(f, k, n) != 83:
        return False
    for place in range(n + 1, f[k + HISTORY_LEN]):
        code = letter(f, k, place)
        if code == 82:
            return True
        if code in (72, 65, 70, 71, 73, 81):
            return False
    return False


@kernel
def conn_state(f: Flat, k: Int) -> Int:
    """A code of CONN_STATES, in the order of decision that Zeek documents (base/protocols/conn)."""
    orig = f[k + ORIG]
    o, r = f[k + STATE + orig], f[k + STATE + 1 - orig]
    if f[k + PROTO] == _UDP:
        if o != INACTIVE:
            return _SF if r != INACTIVE else _S0
        return _SHR if r != INACTIVE else _OTH
    if f[k + PROTO] != _TCP:
        return _OTH
    if r == RESET:
        if o == SYN_SENT or o == SYN_ACK_SENT:
            return _REJ
        if o == RESET and tcp_size(f, k, orig) == 0 and tcp_size(f, k, 1 - orig) == 0:
            return _REJ
        return _RSTRH if o == INACTIVE or o == PARTIAL else _RSTR
    if o == RESET:
        if r != INACTIVE:
            return _RSTO
        return _RSTOS0 if reset_half_open(f, k) else _OTH
    if o == CLOSED:
        return _SF if r == CLOSED else _SH if r == INACTIVE else _S2
    if r == CLOSED:
        return _SHR if o == INACTIVE else _S3
    if o == SYN_SENT and r == INACTIVE:
        return _S0
    return _S1 if o == ESTABLISHED and r == ESTABLISHED else _OTH


@kernel
def tcp_outcome(f: Flat, k: Int, payload_dst: Int) -> Int:
    """A code of OUTCOME_NAMES for a TCP flow."""
    orig = f[k + ORIG]
    resp = 1 - orig
    syn_ack = f[k + SYN_ACK + resp] > 0
    if f[k + PKTS + orig] == 0:
        return _ONE_SIDED
    if f[k + SYNS] > 0:
        if f[k + PKTS + resp] == 0:
            if f[k + ICMP] > 0:
                return _UNREACHABLE
            # SYN and later an ACK, but never a packet back: the other direction is not in this evidence.
            return _ONE_SIDED if f[k + FLAGS + orig] & 16 else _UNANSWERED
        if not syn_ack and f[k + FLAGS + resp] & 4:
            return _REFUSED
    elif not syn_ack:
        return _MIDSTREAM
    if payload_dst > 0:
        return _ANSWERED
    if syn_ack:
        return _ACCEPTED
    return _UNREACHABLE if f[k + ICMP] > 0 else _MIDSTREAM


@kernel
def outcome(f: Flat, k: Int, payload_dst: Int) -> Int:
    """A code of OUTCOME_NAMES; -1 where the flow is no attempt (one-way ICMP, protocols without ports)."""
    proto = f[k + PROTO]
    if proto == _TCP:
        return tcp_outcome(f, k, payload_dst)
    if not (proto == _UDP or proto == _SCTP or ((proto == 1 or proto == 58) and f[k + ONE_WAY] == 0)):
        return _NO_OUTCOME
    orig = f[k + ORIG]
    resp = 1 - orig
    if f[k + PKTS + orig] == 0:
        return _ONE_SIDED
    if proto == _SCTP and f[k + PKTS + resp] == 1 and f[k + FLAGS + resp] & 4:
        return _REFUSED
    if f[k + PKTS + resp] > 0:
        return _ANSWERED if payload_dst > 0 or proto != _UDP else _ACCEPTED
    return _UNREACHABLE if f[k + ICMP] > 0 else _UNANSWERED


@kernel
def describe(f: Flat, out: Columns) -> None:
    """Fill the columns from as many records as they have rows."""
    at = np.int64(0)
    out.ends_at[0] = 0
    for i in range(out.ends_at.size - 1):
        k = i * KEPT
        orig = f[k + ORIG]
        resp = 1 - orig
        proto = f[k + PROTO]
        tcp = proto == _TCP
        payload_src = tcp_size(f, k, orig) if tcp else f[k + PAYLOAD + orig]
        payload_dst = tcp_size(f, k, resp) if tcp else f[k + PAYLOAD + resp]
        fate = outcome(f, k, payload_dst)
        out.wide[0, i], out.wide[1, i], out.wide[2, i] = f[k + FLOW_ID], f[k + START], f[k + END]
        out.wide[3, i], out.wide[4, i] = f[k + PKTS + orig], f[k + PKTS + resp]
        out.wide[5, i], out.wide[6, i] = f[k + BYTES + orig], f[k + BYTES + resp]
        out.wide[7, i], out.wide[8, i], out.wide[9, i] = payload_src, payload_dst, f[k + MISSED]
        out.wide[10, i], out.wide[11, i] = f[k + FIRST_PACKET], f[k + LAST_PACKET]
        out.words[0, i], out.words[1, i] = f[k + FIRST_PACKET] >> EVIDENCE_SHIFT, f[k + SYNS]
        out.words[2, i], out.words[3, i] = f[k + SYN_SEQ], f[k + IP_ID]
        out.codes[0, i], out.codes[1, i], out.codes[2, i] = conn_state(f, k), fate, f[k + REASON]
        out.halves[0, i], out.halves[1, i], out.halves[2, i] = f[k + PORT + orig], f[k + PORT + resp], f[k + SYN_WINDOW]
        out.small[0, i], out.small[1, i], out.small[2, i] = proto, f[k + FLAGS + orig], f[k + FLAGS + resp]
        out.small[3, i], out.small[4, i] = f[k + ICMP_TYPE], f[k + ICMP_CODE]
        out.small[5, i], out.small[6, i] = f[k + TTL], f[k + SYN_OPTIONS]
        out.missing[0, i], out.missing[1, i] = not tcp, not tcp or f[k + SYNS] == 0
        out.missing[2, i], out.missing[3, i] = f[k + ICMP] == 0, f[k + PKTS + orig] == 0
        out.missing[4, i], out.missing[5, i] = fate < 0, not tcp and proto != _UDP
        for end in range(2):
            side = orig if end == 0 else resp
            out.ends[end, i, 0], out.ends[end, i, 1] = f[k + HI + side], f[k + LO + side]
            out.ends[end, i, 2] = f[k + VERSION]
        if tcp or proto == _UDP:
            for n in range(f[k + HISTORY_LEN]):
                out.letters[at] = letter(f, k, n)
                at += 1
        out.ends_at[i + 1] = at


def columns_of(records: NDArray[np.int64]) -> Columns:
    """Records (n, KEPT) as columns."""
    n = records.shape[0]
    out = Columns(
        np.empty((len(_WIDE), n), np.int64), np.empty((len(_WORDS), n), np.uint32), np.empty((len(_CODES), n), np.int32),
        np.empty((len(_HALVES), n), np.uint16), np.empty((len(_SMALL), n), np.uint8), np.empty((len(_MISSING), n), np.bool_),
        np.empty((2, n, 3), np.int64), np.empty(n * HISTORY_BYTES, np.uint8), np.empty(n + 1, np.int32),
    )  # fmt: skip
    describe(records.ravel(), out)
    return out


def flow_table(closed: Closed, *, with_community_id: bool = True) -> pa.Table:
    """Finished flows as rows of table `flows` (service is filled later, from payload)."""
    n = closed.shape[1]
    c = columns_of(np.ascontiguousarray(closed.T))
    schema = FLOWS.schema
    there = {why: pa.py_buffer(np.packbits(~row, bitorder="little")) for why, row in zip(_MISSING, c.missing, strict=True)}

    def numbers(name: str, values: NDArray[Any]) -> pa.Array:
        kind = schema.field(name).type
        why = _WHERE_MISSING.get(name)
        stored = pa.int32() if name in _WORDS_OF else kind
        column = pa.Array.from_buffers(stored, n, [there[why] if why else None, pa.py_buffer(values)])
        return pa.DictionaryArray.from_arrays(column, pa.array(_WORDS_OF[name], pa.string())) if name in _WORDS_OF else column

    blocks = ((_WIDE, c.wide), (_WORDS, c.words), (_CODES, c.codes), (_HALVES, c.halves), (_SMALL, c.small))
    columns = {name: numbers(name, row) for names, block in blocks for name, row in zip(names, block, strict=True)}
    letters = c.letters[: int(c.ends_at[-1])].copy()
    unsigned = closed.view(np.uint64)
    columns |= {
        "community_id": community_ids(closed) if with_community_id else pa.nulls(n, pa.string()),
        "src": key_column(c.ends[0]),
        "dst": key_column(c.ends[1]),
        "service": pa.nulls(n, schema.field("service").type),
        "history": pa.Array.from_buffers(pa.string(), n, [there["no history"], pa.py_buffer(c.ends_at), pa.py_buffer(letters)]),
        "icmp_from": address_column(unsigned[ICMP_HI], unsigned[ICMP_LO], closed[VERSION], c.missing[2]),
        "vlan": vlan_column(closed[VLAN]),
        "tunnel": tunnel_column(closed[TUNNEL]),
        "first_record_id": pa.nulls(n, pa.int64()),
    }
    return pa.table([columns[name] for name in FLOWS.names], schema=schema)
