"""In: batches of decoded packets. Out: for each packet its flow, and the flows that are finished, as records.
Never here: payload (streams/), or the words for how a flow fared (tcp_outcome.py).

The TCP state machine gives the same conn_state and history as Zeek; its rules are those of Zeek's TCP session analyzer as
documented (conn.log's conn_state and history) and observed. Deliberate departures:

- an unanswered attempt stays one flow while its SYNs repeat (limits.ATTEMPT_MERGE_NS); Zeek writes one S0 row per 5 seconds;
- a capture's clock never runs backwards: time-outs use the latest time seen, as Zeek's network time does."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.flows.key import SERVER_PORTS, V4_MAPPED, flow_hash, icmp_counterpart
from tracehound.flows.state import (
    ACK_REL,
    ACK_SEQ,
    AGAIN,
    AGAIN_AT,
    BEFORE,
    BYTES,
    CLOSED,
    CLOSED_ROWS,
    DELIVERED,
    DISORDER,
    END,
    ESTABLISHED,
    EVICTED,
    FEWEST_TO_SWEEP,
    FIN_REL,
    FINS,
    FIRST_PACKET,
    FIRST_SEEN,
    FLAGS,
    FLOW_ID,
    GAPS,
    GAPS_AT,
    HASH,
    HI,
    HIST_FIN,
    HIST_RST,
    HIST_SYN,
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
    LAST,
    LAST_PACKET,
    LAST_REL,
    LAST_SEQ,
    LINE,
    LO,
    MISSED,
    NEXT_ID,
    NOW,
    ONE_WAY,
    OPEN,
    ORIG,
    PACKETS_AT_ONCE,
    PARTIAL,
    PARTIAL_START,
    PAYLOAD,
    PKTS,
    PORT,
    PROTO,
    RANGE_FROM,
    RANGE_TO,
    RANGES,
    REASON,
    RESET,
    SEEN,
    SHUT,
    START,
    START_SEQ,
    STATE,
    STRETCHES,
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
    WIDTH,
    ZERO,
    ZERO_AT,
    Closed,
    Flat,
    FlowState,
    empty_rows,
)
from tracehound.kernels import Bool, Int, kernel
from tracehound.limits import ATTEMPT_MERGE_NS, MAX_OPEN_FLOWS, TCP_IDLE_NS, UDP_IDLE_NS
from tracehound.loads import ask, copy_elements
from tracehound.packets.batch import ENCRYPTED, NOTES, PacketBatch
from tracehound.packets.octets import be16, be32, be64

_FLOWS: Final = np.array(
    [text == "" or "tunnelled" in text or text in ("transport not decoded", *ENCRYPTED) for text in NOTES], dtype=np.bool_
)
"""Notes of packets that belong to a flow of their IP protocol although their transport was not read."""
_SECOND: Final = 1_000_000_000
_CLOSE_DELAY_NS: Final = 5 * _SECOND
_LOGIN_IDLE_NS: Final = 3600 * _SECOND
_TOO_LARGE_DELTA: Final = 1 << 20
_TOGETHER: Final = 32
"""Packets whose flows are asked for before they are looked at."""
_LINES_ASKED: Final = 5
"""Cache lines of a row that every packet of a TCP flow reads."""

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16

# Letters of the history, and the bits that say which were already written.
_S: Final = np.int64(83)
_H: Final = np.int64(72)
_A: Final = np.int64(65)
_D: Final = np.int64(68)
_F: Final = np.int64(70)
_R: Final = np.int64(82)
_G: Final = np.int64(71)
_T: Final = np.int64(84)
_W: Final = np.int64(87)
_I: Final = np.int64(73)
_Q: Final = np.int64(81)
_FLIP: Final = np.int64(94)
_H_SYN: Final = np.int64(1)
_H_FIN: Final = np.int64(2)
_H_RST: Final = np.int64(4)
_H_DATA: Final = np.int64(8)
_H_ACK: Final = np.int64(16)
_H_MULTI: Final = np.int64(32)
_H_FINRST: Final = np.int64(64)


_FRESH: Final = np.zeros(WIDTH, np.int64)
"""The row of a flow that begins."""
for _column in (DELIVERED, AGAIN_AT, ZERO_AT, GAPS_AT):
    _FRESH[_column : _column + 2] = 1

# A kernel sees all rows as one flat array; `k` is where a flow's row begins, so `f[k + COLUMN + side]` is one of its columns.


@kernel
def seq_delta(a: Int, b: Int) -> Int:
    """RFC 1982: how far sequence number a is ahead of b, -2^31 .. 2^31-1."""
    d = (a - b) & 0xFFFFFFFF
    return d - 0x100000000 if d >= 0x80000000 else d


@kernel
def add_letter(f: Flat, k: Int, side: Int, letter: Int) -> None:
    """Append a history letter: upper case for the originator, lower for the responder."""
    n = f[k + HISTORY_LEN]
    if n < HISTORY_BYTES:
        code = letter if side == f[k + ORIG] else letter + 32
        f[k + HISTORY + (n >> 3)] |= code << ((n & 7) * 8)
        f[k + HISTORY_LEN] = n + 1


@kernel
def letter_once(f: Flat, k: Int, side: Int, bit: Int, letter: Int) -> Bool:
    """Append the letter if this side has not shown it yet; returns whether it had."""
    if f[k + SEEN + side] & bit:
        return True
    f[k + SEEN + side] |= bit
    add_letter(f, k, side, letter)
    return False


@kernel
def expired(f: Flat, k: Int, now: Int) -> Bool:
    """Whether the flow's time is over at the network clock `now`."""
    idle = now - f[k + LAST]
    if f[k + PROTO] != 6:
        return idle > UDP_IDLE_NS
    a, b = f[k + STATE], f[k + STATE + 1]
    if a == INACTIVE or b == INACTIVE:
        if a in (SYN_SENT, SYN_ACK_SENT) or b in (SYN_SENT, SYN_ACK_SENT):
            return idle > ATTEMPT_MERGE_NS
        if f[k + SHUT] or f[k + SHUT + 1]:
            return idle > _CLOSE_DELAY_NS
        return idle > TCP_IDLE_NS
    if a == RESET or b == RESET or (f[k + SHUT] and f[k + SHUT + 1]):
        return idle > _CLOSE_DELAY_NS
    port = f[k + PORT + 1 - f[k + ORIG]]
    if port == 21 or port == 22 or port == 23 or port == 513:
        return idle > _LOGIN_IDLE_NS
    return idle > TCP_IDLE_NS


@kernel
def is_reuse(f: Flat, k: Int, side: Int, flags: Int, seq: Int) -> Bool:
    """Whether a SYN on a known 5-tuple begins a new connection."""
    if not flags & SYN:
        return False
    end = f[k + ORIG]
    if flags & ACK:
        if f[k + STATE + f[k + ORIG]] != INACTIVE:
            return False
        end = 1 - f[k + ORIG]
    if not (f[k + SHUT] and f[k + SHUT + 1]):
        if seq == f[k + START_SEQ + end]:
            return False
        other = 1 - f[k + ORIG]
        if (
            not flags & ACK
            and f[k + STATE + f[k + ORIG]] == SYN_ACK_SENT
            and f[k + STATE + other] == INACTIVE
            and seq == f[k + START_SEQ + other]
        ):
            # SYN and SYN-ACK the wrong way round (two interfaces): not a new connection.
            return False
    return True


@kernel
def set_state(f: Flat, k: Int, side: Int, state: Int) -> None:
    if f[k + STATE + side] != state:
        f[k + BEFORE + side] = f[k + STATE + side]
        f[k + STATE + side] = state


@kernel
def closely(f: Flat, k: Int, a: Int, b: Int) -> Bool:
    """Both established, or one of them cleanly closing: only then is missing payload called a gap."""
    x, y = f[k + STATE + a], f[k + STATE + b]
    if x == ESTABLISHED and y == ESTABLISHED:
        return True
    if x == ESTABLISHED and y == CLOSED and f[k + BEFORE + b] == ESTABLISHED:
        return True
    if x == CLOSED and y == ESTABLISHED and f[k + BEFORE + a] == ESTABLISHED:
        return True
    return x == CLOSED and y == CLOSED and f[k + BEFORE + a] == ESTABLISHED and f[k + BEFORE + b] == ESTABLISHED


@kernel
def deliver(f: Flat, k: Int, side: Int, begin: Int, end: Int) -> None:
    """Payload of `side` from relative position begin to end is in the capture; move `delivered` over what is contiguous."""
    if end <= f[k + DELIVERED + side]:
        return
    if begin > f[k + DELIVERED + side]:
        for r in range(RANGES):
            if f[k + RANGE_TO + side * RANGES + r] == 0:
                f[k + RANGE_FROM + side * RANGES + r] = begin
                f[k + RANGE_TO + side * RANGES + r] = end
                f[k + STRETCHES] += 1
                return
            if begin <= f[k + RANGE_TO + side * RANGES + r] and end >= f[k + RANGE_FROM + side * RANGES + r]:
                f[k + RANGE_FROM + side * RANGES + r] = min(begin, f[k + RANGE_FROM + side * RANGES + r])
                f[k + RANGE_TO + side * RANGES + r] = max(end, f[k + RANGE_TO + side * RANGES + r])
                return
        # More stretches than are kept: widen the last, which can only hide a gap, never invent one.
        f[k + RANGE_FROM + side * RANGES + RANGES - 1] = min(begin, f[k + RANGE_FROM + side * RANGES + RANGES - 1])
        f[k + RANGE_TO + side * RANGES + RANGES - 1] = max(end, f[k + RANGE_TO + side * RANGES + RANGES - 1])
        return
    f[k + DELIVERED + side] = end
    absorb(f, k, side)


@kernel
def absorb(f: Flat, k: Int, side: Int) -> None:
    """Join remembered stretches that the delivered part has reached."""
    if f[k + STRETCHES] == 0:
        return
    for _ in range(RANGES):
        for r in range(RANGES):
            if f[k + RANGE_TO + side * RANGES + r] != 0 and f[k + RANGE_FROM + side * RANGES + r] <= f[k + DELIVERED + side]:
                f[k + DELIVERED + side] = max(f[k + DELIVERED + side], f[k + RANGE_TO + side * RANGES + r])
                f[k + RANGE_TO + side * RANGES + r] = 0
                f[k + STRETCHES] -= 1


@kernel
def acknowledged(f: Flat, k: Int, side: Int, ack_rel: Int) -> None:
    """The peer acknowledged `side` up to ack_rel: what is still missing below that was lost by the capture."""
    if f[k + FINS + side] and ack_rel > f[k + FIN_REL + side]:
        # The FIN takes a sequence number but is no payload.
        ack_rel = f[k + FIN_REL + side]
    while f[k + DELIVERED + side] < ack_rel:
        begin = f[k + DELIVERED + side]
        end = ack_rel
        for r in range(RANGES):
            if f[k + RANGE_TO + side * RANGES + r] != 0 and f[k + RANGE_FROM + side * RANGES + r] < end:
                end = f[k + RANGE_FROM + side * RANGES + r]
        f[k + DELIVERED + side] = end
        absorb(f, k, side)
        if end <= 2 and f[k + PARTIAL_START]:
            continue
        peer = 1 - side
        if closely(f, k, side, peer):
            f[k + MISSED] += end - begin
            f[k + GAPS + side] += 1
            if f[k + GAPS + side] == f[k + GAPS_AT + side]:
                add_letter(f, k, side, _G)
                f[k + GAPS_AT + side] *= 10


@kernel
def begin_flow(f: Flat, k: Int) -> None:
    """Clear a slot for a new flow."""
    if k < 0 or k + WIDTH > f.size:
        raise IndexError("no such row")
    copy_elements(f, k, _FRESH, np.int64(0), np.int64(WIDTH))


@kernel
def keep_record(f: Flat, k: Int, out: Flat, closed: Int) -> None:
    """The record of a flow that is over becomes row `closed` of `out`."""
    if k < 0 or k + KEPT > f.size or closed < 0 or (closed + 1) * KEPT > out.size:
        raise IndexError("no such row")
    copy_elements(out, closed * KEPT, f, k, np.int64(KEPT))


@kernel
def choose_originator(f: Flat, k: Int, flags: Int, answers: Bool) -> None:
    """Who began? A SYN says so, or the message itself (`answers`: it is a reply by its own words); otherwise the ports do, as
    Zeek's likely server ports decide."""
    if f[k + PROTO] == 6:
        if flags & SYN and not flags & ACK:
            f[k + REASON] = 1
            return
        if flags & SYN:
            # Zeek lets the ports decide here too; but nobody sends a SYN-ACK to begin a conversation, except stealth scans,
            # which are rarer than captures that lack the SYN.
            flip = True
            f[k + REASON] = 2
        else:
            src, dst = SERVER_PORTS[0, f[k + PORT]], SERVER_PORTS[0, f[k + PORT + 1]]
            flip = src and (not dst or f[k + PORT] < f[k + PORT + 1])
            if flip:
                f[k + REASON] = 3
    elif f[k + PROTO] == 17:
        flip = SERVER_PORTS[1, f[k + PORT]] and not SERVER_PORTS[1, f[k + PORT + 1]]
        if flip:
            f[k + REASON] = 3
        if answers:
            flip = True
            f[k + REASON] = 4
    else:
        flip = False
    # Never make a broadcast address the originator.
    if flip and not (f[k + VERSION] == 4 and f[k + LO + 1] & 0xFFFFFFFF == 0xFFFFFFFF):
        f[k + HISTORY] = _FLIP
        f[k + HISTORY_LEN] = 1
        f[k + ORIG] = 1


@kernel
def start_sequence(f: Flat, k: Int, side: Int, flags: Int, seq: Int, seq_end: Int) -> None:
    """Set the sequence base of one side from its first packet, and again from a SYN that contradicts it."""
    state = f[k + STATE + side]
    fresh = False
    if state == INACTIVE:
        fresh = True
    elif flags & SYN:
        if state in (SYN_SENT, SYN_ACK_SENT):
            fresh = seq != f[k + START_SEQ + side]
        elif state in (ESTABLISHED, PARTIAL):
            fresh = True
        elif state == RESET:
            fresh = f[k + BEFORE + side] == INACTIVE
    if not fresh:
        return
    base = seq if flags & SYN else (seq - 1) & 0xFFFFFFFF
    if state == INACTIVE and not flags & SYN:
        # The first packet of a side whose SYN was not seen must not look like a retransmission.
        seq_end = seq
    f[k + START_SEQ + side] = base
    f[k + ACK_SEQ + side] = base
    f[k + ACK_REL + side] = 0
    f[k + LAST_SEQ + side] = seq_end & 0xFFFFFFFF
    f[k + LAST_REL + side] = seq_delta(seq_end & 0xFFFFFFFF, base)
    f[k + DELIVERED + side] = 1
    if f[k + STRETCHES]:
        for r in range(RANGES):
            if f[k + RANGE_TO + side * RANGES + r] != 0:
                f[k + RANGE_TO + side * RANGES + r] = 0
                f[k + STRETCHES] -= 1


@kernel
def note_history(f: Flat, k: Int, side: Int, flags: Int, rel: Int, length: Int) -> None:
    """Zeek's history letters for one packet."""
    control = (1 if flags & SYN else 0) + (1 if flags & FIN else 0) + (1 if flags & RST else 0)
    if control > 1:
        if flags & FIN and flags & RST:
            letter_once(f, k, side, _H_FINRST, _I)
        else:
            letter_once(f, k, side, _H_MULTI, _Q)
    elif control == 1:
        if flags & SYN:
            letter = _H if flags & ACK else _S
            if letter_once(f, k, side, _H_SYN, letter) and rel != f[k + HIST_SYN + side]:
                add_letter(f, k, side, letter)
            f[k + HIST_SYN + side] = rel
        elif flags & FIN:
            if letter_once(f, k, side, _H_FIN, _F) and rel + length != f[k + HIST_FIN + side]:
                add_letter(f, k, side, _F)
            f[k + HIST_FIN + side] = rel + length
        else:
            if letter_once(f, k, side, _H_RST, _R) and rel != f[k + HIST_RST + side]:
                add_letter(f, k, side, _R)
            f[k + HIST_RST + side] = rel
    elif length:
        letter_once(f, k, side, _H_DATA, _D)
    elif flags & ACK:
        letter_once(f, k, side, _H_ACK, _A)


@kernel
def move_state(f: Flat, k: Int, side: Int, flags: Int, seq: Int, length: Int) -> Bool:
    """The endpoint state machine; returns whether this packet closes the side."""
    peer = 1 - side
    is_orig = side == f[k + ORIG]
    close = False
    state = f[k + STATE + side]
    if state == INACTIVE:
        if flags & SYN:
            if is_orig:
                set_state(f, k, side, SYN_ACK_SENT if flags & ACK else SYN_SENT)
            else:
                if (
                    not flags & ACK
                    and f[k + STATE + peer] == SYN_ACK_SENT
                    and seq == f[k + START_SEQ + side]
                ):
                    # The SYN came after its SYN-ACK: the roles are the other way round.
                    f[k + PARTIAL_START] = 0
                    add_letter(f, k, f[k + ORIG], _FLIP)
                    f[k + ORIG] = side
                    f[k + REASON] = 1
                    set_state(f, k, peer, ESTABLISHED)
                elif f[k + STATE + peer] == SYN_SENT:
                    set_state(f, k, peer, ESTABLISHED)
                set_state(f, k, side, ESTABLISHED)
        if flags & FIN:
            set_state(f, k, side, CLOSED)
            close = True
        if flags & RST:
            set_state(f, k, side, RESET)
            close = True
        if f[k + STATE + side] == INACTIVE:
            if not is_orig and length == 0 and f[k + STATE + f[k + ORIG]] == SYN_SENT:
                # Some stacks acknowledge a SYN before they answer it.
                pass
            elif flags & ACK and f[k + STATE + peer] == ESTABLISHED:
                # SYN-ACK and now the ACK: only the SYN itself was missed.
                set_state(f, k, side, ESTABLISHED)
                f[k + PARTIAL_START] = 0
            else:
                set_state(f, k, side, PARTIAL)
    elif state in (SYN_SENT, SYN_ACK_SENT):
        if flags & FIN:
            set_state(f, k, side, CLOSED)
            close = True
        if flags & RST:
            set_state(f, k, side, RESET)
            close = True
    elif state in (ESTABLISHED, PARTIAL):
        if flags & SYN and state == PARTIAL and f[k + STATE + peer] == INACTIVE and not flags & ACK:
            set_state(f, k, side, SYN_SENT)
        if flags & FIN and not flags & RST:
            set_state(f, k, side, CLOSED)
            if f[k + STATE + peer] == RESET and f[k + BEFORE + peer] == CLOSED:
                # The peer sent FIN, then RST: an ordinary end after all.
                set_state(f, k, peer, CLOSED)
            close = True
        if flags & RST:
            set_state(f, k, side, RESET)
            close = True
    elif state == CLOSED and flags & RST and f[k + STATE + peer] != CLOSED:
        set_state(f, k, side, RESET)
        close = not f[k + SHUT + side]
    return close


@kernel
def tcp_packet(f: Flat, k: Int, side: Int, flags: Int, seq: Int, ack: Int, window: Int, length: Int, whole: bool) -> None:
    """Move one TCP flow by one packet; `whole`: all of its payload was captured."""
    peer = 1 - side
    # RFC 9293 3.4: SYN and FIN take one sequence number each; the payload of a RST is no part of the stream.
    seg_len = (0 if flags & RST else length) + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
    seq_end = (seq + seg_len) & 0xFFFFFFFF
    is_orig = side == f[k + ORIG]
    if is_orig:
        if not f[k + FIRST_SEEN] & 1:
            f[k + PARTIAL_START] = 1 if not flags & SYN or flags & ACK else 0
        f[k + FIRST_SEEN] |= 1
    else:
        if not f[k + FIRST_SEEN] & 2 and not f[k + PARTIAL_START]:
            f[k + PARTIAL_START] = 0 if flags & SYN else 1
        f[k + FIRST_SEEN] |= 2
    start_sequence(f, k, side, flags, seq, seq_end)
    rel = f[k + LAST_REL + side] + seq_delta(seq, f[k + LAST_SEQ + side])
    note_history(f, k, side, flags, rel, length)
    if window == 0 and not flags & RST and f[k + STATE + peer] != CLOSED and f[k + STATE + side] != RESET:
        f[k + ZERO + side] += 1
        if f[k + ZERO + side] == f[k + ZERO_AT + side]:
            add_letter(f, k, side, _W)
            f[k + ZERO_AT + side] *= 10
    if flags & FIN:
        f[k + FINS + side] = 1
        f[k + FIN_REL + side] = rel + length + (1 if flags & SYN else 0)
    ack_rel = np.int64(0)
    if flags & ACK:
        if f[k + STATE + peer] == INACTIVE:
            ack_rel = np.int64(1)
            f[k + START_SEQ + peer] = (ack - 1) & 0xFFFFFFFF
            f[k + ACK_SEQ + peer] = f[k + START_SEQ + peer]
            f[k + LAST_SEQ + peer] = f[k + START_SEQ + peer]
            f[k + ACK_REL + peer] = 0
            f[k + LAST_REL + peer] = 0
        else:
            delta = seq_delta(ack, f[k + ACK_SEQ + peer])
            ack_rel = f[k + ACK_REL + peer] + delta
            if ack_rel < 0:
                ack_rel = np.int64(0)
            elif not flags & RST and delta > 0 and not (ack == 0 and delta > _TOO_LARGE_DELTA):
                f[k + ACK_SEQ + peer] = ack
                f[k + ACK_REL + peer] += delta
    delta_last = seq_delta(seq_end, f[k + LAST_SEQ + side])
    if flags & (SYN | RST) and (delta_last > _TOO_LARGE_DELTA or delta_last < -_TOO_LARGE_DELTA):
        pass
    elif flags & FIN and f[k + LAST_REL + side] == 1:
        # A long connection of which only SYN and FIN were captured: the FIN's position is the size.
        f[k + LAST_REL + side] += delta_last if delta_last >= 0 else delta_last + 0x100000000
        f[k + LAST_SEQ + side] = seq_end
    elif f[k + STATE + side] == RESET:
        pass
    elif delta_last > 0:
        f[k + LAST_REL + side] += delta_last
        f[k + LAST_SEQ + side] = seq_end
    elif length > 0:
        f[k + AGAIN + side] += 1
        if f[k + AGAIN + side] == f[k + AGAIN_AT + side]:
            add_letter(f, k, side, _T)
            f[k + AGAIN_AT + side] *= 10
    close = move_state(f, k, side, flags, seq, length)
    if flags & ACK:
        acknowledged(f, k, peer, ack_rel)
    if length > 0 and whole and not flags & RST and rel >= 0:
        begin = rel + (1 if flags & SYN else 0)
        deliver(f, k, side, begin, begin + length)
    if close:
        f[k + SHUT + side] = 1


@kernel
def find_slot(
    f: Flat, index: NDArray[np.int32], key: Int,
    src_hi: Int, src_lo: Int, sport: Int, dst_hi: Int, dst_lo: Int, dport: Int, proto: Int, one_way: Int,
) -> tuple[Int, Int]:
    """Look a 5-tuple up. Returns (where its row begins or -1, side of the packet's sender)."""
    mask = index.size - 1
    at = key & mask
    while index[at] != -1:
        k = np.int64(index[at]) * WIDTH
        if f[k + HASH] == key and f[k + PROTO] == proto and f[k + ONE_WAY] == one_way:
            if (
                f[k + HI] == src_hi and f[k + LO] == src_lo and f[k + PORT] == sport
                and f[k + HI + 1] == dst_hi and f[k + LO + 1] == dst_lo and f[k + PORT + 1] == dport
            ):
                return k, 0
            if (
                not one_way
                and f[k + HI + 1] == src_hi and f[k + LO + 1] == src_lo and f[k + PORT + 1] == sport
                and f[k + HI] == dst_hi and f[k + LO] == dst_lo and f[k + PORT] == dport
            ):
                return k, 1
        at = (at + 1) & mask
    return np.int64(-1), 0


@kernel
def put_index(index: NDArray[np.int32], key: Int, slot: Int) -> None:
    mask = index.size - 1
    at = key & mask
    while index[at] >= 0:
        at = (at + 1) & mask
    index[at] = slot


@kernel
def rebuild_index(rows: Flat, live: NDArray[np.int32], index: NDArray[np.int32]) -> None:
    """Fill an empty index with the live slots."""
    for n in range(live.size):
        slot = np.int64(live[n])
        put_index(index, rows[slot * WIDTH + HASH], slot)


@kernel
def quoted_flow(
    buffer: NDArray[np.uint8], at: Int, end: Int, proto: Int, kind: Int, code: Int, f: Flat, index: NDArray[np.int32]
) -> Int:
    """An ICMP error quotes the packet it answers, from `at`: where the row of that packet's flow begins if
    its originator sent the packet, otherwise -1."""
    if proto == 1:
        # RFC 792: unreachable 3, quench 4, time exceeded 11, parameter problem 12 quote the IP header and 8 bytes.
        # Fragmentation needed (3/4) is path MTU discovery and no verdict on the attempt.
        if kind not in (3, 4, 11, 12) or (kind == 3 and code == 4) or at + 20 > end:
            return np.int64(-1)
        header = (np.int64(buffer[at]) & 15) * 4
        if np.int64(buffer[at]) >> 4 != 4 or header < 20 or at + header + 4 > end:
            return np.int64(-1)
        inner = np.int64(buffer[at + 9])
        src_hi, dst_hi = np.int64(0), np.int64(0)
        src_lo = V4_MAPPED | be32(buffer, at + 12)
        dst_lo = V4_MAPPED | be32(buffer, at + 16)
        here = at + header
    else:
        # RFC 4443: unreachable 1, time exceeded 3, parameter problem 4 (too big, 2, is no verdict on the attempt).
        if kind not in (1, 3, 4) or at + 44 > end:
            return np.int64(-1)
        inner = np.int64(buffer[at + 6])
        src_hi, src_lo = np.int64(be64(buffer, at + 8)), np.int64(be64(buffer, at + 16))
        dst_hi, dst_lo = np.int64(be64(buffer, at + 24)), np.int64(be64(buffer, at + 32))
        here = at + 40
    sport, dport = np.int64(0), np.int64(0)
    if inner in (6, 17, 132):
        sport, dport = be16(buffer, here), be16(buffer, here + 2)
    elif inner in (1, 58):
        sport = np.int64(buffer[here])
        dport = icmp_counterpart(inner, sport)
        if dport < 0:
            return np.int64(-1)
    key = flow_hash(src_hi, src_lo, sport, dst_hi, dst_lo, dport, inner)
    k, side = find_slot(f, index, key, src_hi, src_lo, sport, dst_hi, dst_lo, dport, inner, np.int64(0))
    if k < 0 or side != f[k + ORIG]:
        return np.int64(-1)
    return k


@kernel
def ahead(p: PacketBatch, begin: Int, f: Flat, index: NDArray[np.int32], keys: NDArray[np.int64]) -> None:
    """Hash the ends of the packets that come next, and ask for what will be read of their flows: open flows fill more than a near
    cache, and two places in it are waited for one after the other, the index and the row. ICMP is not looked at."""
    mask = index.size - 1
    end = min(p.ts.size, begin + _TOGETHER)
    for i in range(begin, end):
        keys[i - begin] = flow_hash(
            np.int64(p.src_hi[i]), np.int64(p.src_lo[i]), np.int64(p.sport[i]),
            np.int64(p.dst_hi[i]), np.int64(p.dst_lo[i]), np.int64(p.dport[i]), np.int64(p.proto[i]),
        )  # fmt: skip
        ask(index, keys[i - begin] & mask)
    for i in range(begin, end):
        slot = np.int64(index[keys[i - begin] & mask])
        if slot >= 0:
            for line in range(_LINES_ASKED):
                ask(f, slot * WIDTH + line * LINE)


@kernel
def assemble_packets(
    p: PacketBatch, f: Flat, free: NDArray[np.int32], index: NDArray[np.int32],
    clock: NDArray[np.int64], out: Flat, keys: NDArray[np.int64], flow_id: NDArray[np.int64],
    from_originator: NDArray[np.bool_],
) -> None:
    """One pass over a batch. `f` must have a free slot and `out` a free row for every packet; `keys` is room for _TOGETHER."""
    closed = np.int64(0)
    for i in range(p.ts.size):
        if i % _TOGETHER == 0:
            ahead(p, i, f, index, keys)
        flow_id[i] = -1
        from_originator[i] = False
        note = np.int64(p.note[i])
        if p.ip_version[i] == 0 or (note != 0 and not _FLOWS[note]):
            continue
        ts = p.ts[i]
        if ts >= clock[NOW]:
            clock[NOW] = ts
        else:
            clock[DISORDER] += 1
        now = clock[NOW]
        proto = np.int64(p.proto[i])
        sport, dport = np.int64(p.sport[i]), np.int64(p.dport[i])
        src_hi, src_lo = np.int64(p.src_hi[i]), np.int64(p.src_lo[i])
        dst_hi, dst_lo = np.int64(p.dst_hi[i]), np.int64(p.dst_lo[i])
        one_way = np.int64(0)
        key = keys[i % _TOGETHER]
        if proto == 1 or proto == 58:
            if p.payload_offset[i] >= 0:
                at = p.payload_offset[i]
                told = quoted_flow(p.buffer, at, at + p.payload_caplen[i], proto, sport, dport, f, index)
                if told >= 0 and not f[told + ICMP] and not expired(f, told, now):
                    f[told + ICMP] = 1
                    f[told + ICMP_TYPE] = sport
                    f[told + ICMP_CODE] = dport
                    f[told + ICMP_HI] = src_hi
                    f[told + ICMP_LO] = src_lo
            answer = icmp_counterpart(proto, sport)
            if answer < 0:
                one_way = np.int64(1)
            else:
                dport = answer
            key = flow_hash(src_hi, src_lo, sport, dst_hi, dst_lo, dport, proto)
        k, side = find_slot(f, index, key, src_hi, src_lo, sport, dst_hi, dst_lo, dport, proto, one_way)
        flags = np.int64(p.tcp_flags[i])
        seq = np.int64(p.seq[i])
        fresh = k < 0
        if fresh:
            clock[OPEN] += 1
            slot = np.int64(free[free.size - clock[OPEN]])
            put_index(index, key, slot)
            k = slot * WIDTH
        elif expired(f, k, now) or (proto == 6 and is_reuse(f, k, side, flags, seq)):
            # The slot and its place in the index go on to the new flow: same 5-tuple, same hash.
            keep_record(f, k, out, closed)
            closed += 1
            fresh = True
        if fresh:
            begin_flow(f, k)
            f[k + HI] = src_hi
            f[k + LO] = src_lo
            f[k + HI + 1] = dst_hi
            f[k + LO + 1] = dst_lo
            f[k + PORT] = sport
            f[k + PORT + 1] = dport
            f[k + PROTO] = proto
            f[k + VERSION] = p.ip_version[i]
            f[k + ONE_WAY] = one_way
            f[k + HASH] = key
            f[k + FLOW_ID] = clock[NEXT_ID]
            f[k + START] = ts
            f[k + END] = ts
            f[k + FIRST_PACKET] = p.packet_id[i]
            f[k + VLAN] = p.vlan[i]
            f[k + TUNNEL] = p.tunnel[i]
            f[k + TTL] = p.ttl[i]
            f[k + IP_ID] = p.ip_id[i]
            clock[NEXT_ID] += 1
            answers = False
            if proto == 17 and sport == 123 and dport == 123 and p.payload_caplen[i] > 0 and p.payload_offset[i] >= 0:
                # RFC 5905 7.3: the low three bits are the mode; 4 is a server's reply (zeek/ntp/misordered-ntp.pcap).
                answers = p.buffer[p.payload_offset[i]] & 7 == 4
            choose_originator(f, k, flags, answers)
            side = np.int64(0)
        if f[k + PKTS + side] == 0 and side == f[k + ORIG]:
            f[k + TTL] = p.ttl[i]
            f[k + IP_ID] = p.ip_id[i]
        f[k + PKTS + side] += 1
        f[k + BYTES + side] += p.ip_bytes[i]
        if ts == now:
            f[k + END] = ts
        else:
            f[k + START] = min(f[k + START], ts)
            f[k + END] = max(f[k + END], ts)
        f[k + LAST_PACKET] = p.packet_id[i]
        if not (proto == 6 and f[k + SHUT] and f[k + SHUT + 1]):
            f[k + LAST] = now
        length = np.int64(p.payload_len[i])
        if proto == 6:
            f[k + FLAGS + side] |= flags
            if flags & SYN:
                if flags & ACK:
                    f[k + SYN_ACK + side] = 1
                elif side == f[k + ORIG]:
                    if f[k + SYNS] == 0:
                        f[k + SYN_SEQ] = seq
                        f[k + SYN_WINDOW] = p.window[i]
                        f[k + SYN_OPTIONS] = p.option_len[i]
                    f[k + SYNS] += 1
            whole = p.payload_caplen[i] >= p.payload_len[i]
            tcp_packet(f, k, side, flags, seq, np.int64(p.ack[i]), np.int64(p.window[i]), length, whole)
        else:
            f[k + PAYLOAD + side] += length
            f[k + FLAGS + side] |= flags
            if proto == 17:
                letter_once(f, k, side, _H_DATA, _D)
            f[k + STATE + side] = ESTABLISHED
        flow_id[i] = f[k + FLOW_ID]
        from_originator[i] = side == f[k + ORIG]
    clock[CLOSED_ROWS] = closed


@kernel
def find_expired(rows: Flat, live: NDArray[np.int32], now: Int, gone: NDArray[np.bool_]) -> None:
    for n in range(live.size):
        gone[n] = expired(rows, np.int64(live[n]) * WIDTH, now)


def _live(state: FlowState) -> NDArray[np.int32]:
    return state.index[state.index >= 0]


@kernel
def take_records(rows: Flat, slots: NDArray[np.int32], out: Flat) -> None:
    """Copy the records of the flows in `slots` into the rows of `out`."""
    for n in range(slots.size):
        keep_record(rows, np.int64(slots[n]) * WIDTH, out, n)


def _close(state: FlowState, live: NDArray[np.int32], gone: NDArray[np.bool_]) -> Closed:
    """Take the flows in `gone` out of the table and return their records."""
    slots = live[gone]
    closed = np.empty((slots.size, KEPT), dtype=np.int64)
    take_records(state.rows.ravel(), slots, closed.ravel())
    state.clock[OPEN] -= slots.size
    keep = live[~gone]
    used = np.zeros(state.rows.shape[0], dtype=np.bool_)
    used[keep] = True
    # The stack is consumed from its end: clock[OPEN] entries at the end are in use.
    state.free = np.concatenate([np.flatnonzero(~used).astype(np.int32)[::-1], keep]).astype(np.int32)
    state.index = np.full(state.index.size, -1, dtype=np.int32)
    rebuild_index(state.rows.ravel(), keep, state.index)
    return closed.T


def _grow(state: FlowState, need: int) -> None:
    """Make room for `need` more flows."""
    size = state.rows.shape[0]
    if size - int(state.clock[OPEN]) >= need:
        return
    wanted = 1 << (int(state.clock[OPEN]) + need - 1).bit_length()
    live = _live(state)
    rows = empty_rows(wanted)
    rows[: state.rows.shape[0]] = state.rows
    state.rows = rows
    used = np.zeros(wanted, dtype=np.bool_)
    used[live] = True
    state.free = np.concatenate([np.flatnonzero(~used).astype(np.int32)[::-1], live]).astype(np.int32)
    state.index = np.full(wanted * 4, -1, dtype=np.int32)
    rebuild_index(state.rows.ravel(), live, state.index)


def _sweep(state: FlowState) -> Closed:
    """Close what has expired; beyond MAX_OPEN_FLOWS also those idle longest, which is counted."""
    now = int(state.clock[NOW])
    live = _live(state)
    gone = np.zeros(live.size, dtype=np.bool_)
    find_expired(state.rows.ravel(), live, now, gone)
    left = live.size - int(gone.sum())
    if left > MAX_OPEN_FLOWS // 2:
        idle_since = np.where(gone, np.iinfo(np.int64).max, state.rows[live, LAST])
        over = left - MAX_OPEN_FLOWS // 2
        gone[np.argpartition(idle_since, over)[:over]] = True
        state.clock[EVICTED] += over
    # Twice what is left: a sweep then costs each flow that begins a constant share, however many live on.
    state.sweep_above = max(FEWEST_TO_SWEEP, 2 * (live.size - int(gone.sum())))
    return _close(state, live, gone)




def _slice(p: PacketBatch, begin: int, end: int) -> PacketBatch:
    columns: Any = [column[begin:end] for column in p[1:]]
    return PacketBatch(p.buffer, *columns)


def assemble(packets: PacketBatch, state: FlowState) -> tuple[Assignment, Closed]:
    """Assign the packets of one batch to flows. Returns the assignment and the records of flows that ended."""
    n = packets.ts.size
    flow_id = np.empty(n, dtype=np.int64)
    from_originator = np.empty(n, dtype=np.bool_)
    closed: list[Closed] = []
    keys = np.empty(_TOGETHER, np.int64)
    for begin in range(0, max(n, 1), PACKETS_AT_ONCE):
        end = min(n, begin + PACKETS_AT_ONCE)
        if state.clock[OPEN] > state.sweep_above:
            closed.append(_sweep(state))
        _grow(state, end - begin)
        assemble_packets(
            _slice(packets, begin, end), state.rows.ravel(), state.free, state.index, state.clock, state.closing.ravel(), keys,
            flow_id[begin:end], from_originator[begin:end],
        )
        closed.append(state.closing[: int(state.clock[CLOSED_ROWS])].copy().T)
    return Assignment(flow_id, from_originator), closed[0] if len(closed) == 1 else np.concatenate(closed, axis=1)


def finish(state: FlowState) -> Closed:
    """Close everything that is still open and return its records."""
    live = _live(state)
    return _close(state, live, np.ones(live.size, dtype=np.bool_))
