"""In: flows joined from the records of a log (joining.py). Out: which end of each is the originator, and why. Never here: what the
flow means (flow_rows.py).

A source that saw both directions has decided already, with more at hand than its log says. Records of one direction are decided
here: by the flags, by who came first, by the ports."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flowlogs import joining as j
from tracehound.flowlogs.reader import ONE_WAY
from tracehound.flows.key import SERVER_PORTS
from tracehound.flows.state import REASONS

_REASON: Final = {name: code for code, name in enumerate(REASONS)}
_FIN: Final = 1
_SYN: Final = 2
_RST: Final = 4
_ACK: Final = 16


def originators(rows: j.Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which end (0 or 1) of each flow is the originator, and why (codes into flows.state.REASONS).

    Flags are or-ed over a record, so a SYN-ACK shows as SYN and ACK on the server's side, and SYN and ACK are what a client's
    whole connection shows as well: the earlier side that shows a SYN is the client. Where both begin in the same instant (exporters
    count milliseconds) the ports decide, as they do where no SYN was seen and only the answer's port is one that servers use."""
    n = len(rows)
    flags = [np.maximum(rows[:, j.FLAGS + d], 0) for d in (0, 1)]
    starts = [rows[:, j.SIDE_START + d] for d in (0, 1)]
    pkts = [rows[:, j.PKTS + d] for d in (0, 1)]
    ports = [np.clip(rows[:, j.PORT + d], 0, 65535) for d in (0, 1)]
    tcp, udp = rows[:, j.PROTO] == 6, rows[:, j.PROTO] == 17
    kind = np.where(udp, 1, 0)
    ported = tcp | udp
    server = [SERVER_PORTS[kind, ports[d]] & ported for d in (0, 1)]
    low = [(ports[d] < 1024) & ported for d in (0, 1)]
    first = np.where(starts[1] < starts[0], 1, 0)
    tie = (starts[0] == starts[1]) & (starts[0] != j.NEVER)
    # The end whose port looks like a client's: 0, 1, or -1 where ports do not tell.
    by_port = np.full(n, -1, dtype=np.int64)
    for sign in (low, server):
        by_port[sign[1] & ~sign[0]] = 0
        by_port[sign[0] & ~sign[1]] = 1
    syn = [tcp & (flags[d] & _SYN > 0) for d in (0, 1)]
    pure = [syn[d] & (flags[d] & (_ACK | _FIN | _RST) == 0) for d in (0, 1)]
    # One packet with SYN and ACK is a SYN-ACK.
    answer = [syn[d] & (flags[d] & _ACK > 0) & (flags[d] & (_RST | _FIN) == 0) & (pkts[d] == 1) for d in (0, 1)]
    both_seen = (rows[:, j.ANSWERS] > 0) & (rows[:, j.ANSWERS + 1] > 0)
    sure = rows[:, j.CERTAIN]
    sure_syn = tcp & (np.where(sure == 1, flags[1], flags[0]) & _SYN > 0)
    both_ways = rows[:, j.JOINS] != ONE_WAY
    rules: list[tuple[NDArray[np.bool_], NDArray[np.int64] | int, str]] = [
        (both_ways & (sure >= 0) & sure_syn, sure, "syn"),
        (both_ways & (sure >= 0) & tcp & (rows[:, j.FLAGS] >= 0), sure, "syn_ack"),
        (both_ways & (sure >= 0), sure, "first_packet"),
        (both_ways & tcp & ~syn[0] & ~syn[1] & (by_port >= 0), by_port, "port"),
        (both_ways, 0, "first_packet"),
        (sure >= 0, sure, "message"),
        (pure[0] & ~pure[1], 0, "syn"),
        (pure[1] & ~pure[0], 1, "syn"),
        (answer[0] & ~answer[1], 1, "syn_ack"),
        (answer[1] & ~answer[0], 0, "syn_ack"),
        (both_seen & syn[0] & ~syn[1], 0, "syn"),
        (both_seen & syn[1] & ~syn[0], 1, "syn"),
        (syn[0] & syn[1] & ~tie, first, "syn"),
        (tie & (by_port >= 0), by_port, "port"),
        (~(syn[0] | syn[1]) & (server[0] != server[1]), by_port, "port"),
        (~both_seen & (by_port >= 0), by_port, "port"),
    ]
    conditions = [c for c, _, _ in rules]
    ends = np.select(conditions, [np.broadcast_to(np.asarray(e), (n,)) for _, e, _ in rules], default=first)
    reasons = np.select(conditions, [np.full(n, _REASON[r]) for _, _, r in rules], default=_REASON["first_packet"])
    return ends.astype(np.int64), reasons.astype(np.int64)
