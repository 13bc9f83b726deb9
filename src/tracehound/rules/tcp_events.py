"""In: the TCP packets of one flow in order, and the state of its session before each. Out: the names of what is odd about each, as
stream-event knows them. Never here: reassembly (tcp.py), rules.

Conditions as in Suricata's stream engine (stream-tcp.c: StreamTcpState*, StreamTcpValidateAck, StreamTcpPacketIsRetransmission);
RFC 9293, RFC 7323. Kept apart from tcp.py: it is asked only where a rule asks for such an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tracehound.rules import tcp
from tracehound.rules.packet import Packet
from tracehound.rules.tcp import ACK, FIN, RST, SYN, Session, ahead

_CLOSE_WAIT: Final = "closewait"
_FIN_WAIT1: Final = "fin1"
_FIN_WAIT2: Final = "fin2"
_CLOSING: Final = "closing"
_LAST_ACK: Final = "lastack"
_TIME_WAIT: Final = "timewait"
_CLOSED: Final = "closed"

_INVALID_ACK: Final = {
    "": "est_invalid_ack", _CLOSE_WAIT: "closewait_invalid_ack", _FIN_WAIT1: "fin1_invalid_ack", _FIN_WAIT2: "fin2_invalid_ack",
    _CLOSING: "closing_invalid_ack", _LAST_ACK: "lastack_invalid_ack", _TIME_WAIT: "timewait_invalid_ack",
}  # fmt: skip
_WRONG_SEQ: Final = {
    _FIN_WAIT1: "fin1_ack_wrong_seq", _FIN_WAIT2: "fin2_ack_wrong_seq", _CLOSING: "closing_ack_wrong_seq",
    _LAST_ACK: "lastack_ack_wrong_seq",
    _TIME_WAIT: "timewait_ack_wrong_seq", _CLOSE_WAIT: "closewait_ack_out_of_window",
}  # fmt: skip
_WRONG_FIN: Final = {
    "": "fin_out_of_window", _CLOSE_WAIT: "closewait_fin_out_of_window", _FIN_WAIT1: "fin1_fin_wrong_seq", _FIN_WAIT2: "fin2_fin_wrong_seq",
}  # fmt: skip
STREAM: Final[frozenset[str]] = frozenset((
    "fin_but_no_session", "rst_but_no_session", "pkt_broken_ack", "pkt_invalid_ack", "pkt_retransmission", "pkt_spurious_retransmission",
    "pkt_invalid_timestamp", "3whs_synack_in_wrong_direction", "3whs_synack_with_wrong_ack",
    "3whs_synack_toserver_on_syn_recv", "3whs_synack_resend_with_different_ack", "3whs_synack_resend_with_diff_seq",
    "3whs_syn_toclient_on_syn_recv", "3whs_syn_resend_diff_seq_on_syn_recv", "3whs_ack_in_wrong_dir", "3whs_ack_data_inject",
    "3whs_right_seq_wrong_ack_evasion", "3whs_wrong_seq_wrong_ack", "4whs_synack_with_wrong_ack", "4whs_synack_with_wrong_syn",
    "est_packet_out_of_window", "est_pkt_before_last_ack", "closewait_pkt_before_last_ack", "est_synack_resend", "est_synack_toserver",
    "est_synack_resend_with_different_ack", "est_synack_resend_with_diff_seq", "est_syn_resend", "est_syn_resend_diff_seq",
    "est_syn_toclient", "shutdown_syn_resend", "rst_invalid_ack", "suspected_rst_inject", "reassembly_overlap_different_data",
)) | frozenset(_INVALID_ACK.values()) | frozenset(_WRONG_SEQ.values()) | frozenset(_WRONG_FIN.values())  # fmt: skip


@dataclass(slots=True)
class _Side:
    """What one side has sent, by sequence number. isn: of its SYN; following: the next it will send; acked: what the other side has
    acknowledged; limit: where the window that the other side grants ends; stamp: its last timestamp."""

    isn: int | None = None
    following: int | None = None
    acked: int | None = None
    limit: int | None = None
    scale: int = 0
    stamp: int | None = None
    fin: bool = False
    known: bool = False


def _further(a: int | None, b: int) -> int:
    return b if a is None or ahead(b, a) > 0 else a


class Watch:
    """Notes on one session."""

    __slots__ = ("_client", "_closing", "_confirmed", "_four_way", "_reset", "_server")

    def __init__(self) -> None:
        self._client, self._server = _Side(), _Side()
        self._closing = ""
        self._confirmed = self._four_way = self._reset = False

    def packet(self, p: Packet, session: Session) -> tuple[str, ...]:
        """What is odd about the next packet. session: as it was before the packet."""
        out: list[str] = []
        if not p.flags & ACK and p.ack and not p.flags & RST:
            out.append("pkt_broken_ack")
        before = session.state
        if before == tcp.NONE:
            if p.flags & RST:
                out.append("rst_but_no_session")
            elif p.flags & FIN:
                out.append("fin_but_no_session")
        elif before == tcp.SYN_SENT:
            self._syn_sent(p, out)
        elif before == tcp.SYN_RECEIVED:
            self._syn_received(p, out)
        else:
            self._open(p, session, out)
        self._note(p, before)
        return tuple(dict.fromkeys(out))

    # -- states -----------------------------------------------------------------------------------------------------------

    def _syn_sent(self, p: Packet, out: list[str]) -> None:
        if p.flags & RST or not p.flags & SYN:
            return
        isn = self._client.isn
        if p.flags & ACK:
            if self._four_way:
                if p.to_server and self._server.isn is not None and p.ack != (self._server.isn + 1) & 0xFFFFFFFF:
                    out.append("4whs_synack_with_wrong_ack")
                elif p.to_server and isn is not None and p.seq != isn:
                    out.append("4whs_synack_with_wrong_syn")
            elif p.to_server:
                out.append("3whs_synack_in_wrong_direction")
            elif isn is not None and not 0 <= ahead(p.ack, isn) - 1 <= self._sent(self._client):
                out.append("3whs_synack_with_wrong_ack")

    @staticmethod
    def _sent(side: _Side) -> int:
        return ahead(side.following, side.isn) - 1 if side.following is not None and side.isn is not None else 0

    def _syn_received(self, p: Packet, out: list[str]) -> None:
        client, server = self._client, self._server
        if p.flags & RST:
            return
        if p.flags & SYN and p.flags & ACK:
            if self._four_way:
                if server.isn is not None and p.to_server and p.ack != (server.isn + 1) & 0xFFFFFFFF:
                    out.append("4whs_synack_with_wrong_ack")
                elif client.isn is not None and p.to_server and p.seq != client.isn:
                    out.append("4whs_synack_with_wrong_syn")
            elif p.to_server:
                out.append("3whs_synack_toserver_on_syn_recv")
            elif client.acked is not None and p.ack != client.acked:
                out.append("3whs_synack_resend_with_different_ack")
            elif server.isn is not None and p.seq != server.isn:
                out.append("3whs_synack_resend_with_diff_seq")
        elif p.flags & SYN:
            if not p.to_server:
                out.append("3whs_syn_toclient_on_syn_recv")
            elif client.isn is not None and p.seq != client.isn:
                out.append("3whs_syn_resend_diff_seq_on_syn_recv")
        elif p.flags & ACK and server.isn is not None and client.isn is not None and not p.flags & FIN:
            self._handshake(p, out)

    def _handshake(self, p: Packet, out: list[str]) -> None:
        """The acknowledgement that ends the handshake, or should."""
        client, server = self._client, self._server
        expected = (((client if p.to_server else server).isn or 0) + 1) & 0xFFFFFFFF
        answered = (((server if p.to_server else client).isn or 0) + 1) & 0xFFFFFFFF
        if not p.to_server and not self._four_way:
            if p.payload and self._sent(client) <= 0 and p.ack == answered:
                out.append("3whs_ack_data_inject")
            elif not p.payload:
                out.append("3whs_ack_in_wrong_dir")
            return
        if p.ack == answered:
            return
        # Data of the client may follow an acknowledgement that was not captured.
        if ahead(p.ack, answered) > 0 and ahead(p.seq, expected) >= 0 and self._sent(server) >= ahead(p.ack, answered):
            return
        out.append("3whs_right_seq_wrong_ack_evasion" if p.seq == expected else "3whs_wrong_seq_wrong_ack")

    def _open(self, p: Packet, session: Session, out: list[str]) -> None:
        """Established, or on the way to its end."""
        mine, other = (self._client, self._server) if p.to_server else (self._server, self._client)
        if self._reset:
            if p.payload and not p.flags & (SYN | RST):
                out.append("suspected_rst_inject")
            return
        if p.flags & RST:
            if p.flags & ACK and other.following is not None and ahead(p.ack, _further(other.following, other.limit or p.ack)) > 0:
                out.append("rst_invalid_ack")
            return
        if p.flags & SYN:
            self._syn_again(p, out)
            return
        if mine.isn is None and mine.following is None:
            return
        if p.flags & ACK and self._bad_ack(p, other):
            out += [_INVALID_ACK.get(self._closing, "pkt_invalid_ack"), "pkt_invalid_ack"]
            return
        stamp = self._stamp(p)
        if stamp is not None and mine.stamp is not None and ahead(stamp, mine.stamp) < 0 and p.payload_len:
            out.append("pkt_invalid_timestamp")
        end = (p.seq + p.payload_len) & 0xFFFFFFFF
        self._data(p, session, mine, end, out)

    def _data(self, p: Packet, session: Session, mine: _Side, end: int, out: list[str]) -> None:
        acked, state = mine.acked, self._closing
        if p.payload_len and acked is not None:
            if ahead(end, acked) <= 0 and not (p.payload_len == 1 and p.seq == (acked - 1) & 0xFFFFFFFF):
                out.append("pkt_spurious_retransmission")
            elif mine.following is not None and ahead(end, mine.following) <= 0:
                out.append("pkt_retransmission")
        side = session.side(p.to_server)
        if p.payload and side.first is not None and _differs(side, ahead(p.seq, side.first), p.payload):
            out.append("reassembly_overlap_different_data")
        if acked is not None and ahead(end, acked) < 0:
            keep_alive = end == (acked - 1) & 0xFFFFFFFF and p.payload_len <= 1
            if state in ("", _CLOSE_WAIT) and not keep_alive:
                out.append("closewait_pkt_before_last_ack" if state else "est_pkt_before_last_ack")
        elif mine.limit is not None and ahead(end, mine.limit) > 0 and not session.midstream:
            if p.flags & FIN:
                out.append(_WRONG_FIN.get(state, "fin_out_of_window"))
            else:
                out.append(_WRONG_SEQ.get(state, "est_packet_out_of_window"))

    def _bad_ack(self, p: Packet, other: _Side) -> bool:
        """Acknowledges what the other side has not sent and had no room for (StreamTcpValidateAck)."""
        if other.following is None:
            return False
        beyond = _further(other.following, other.limit if other.limit is not None else other.following)
        return ahead(p.ack, beyond) > (1 if other.fin else 0)

    def _syn_again(self, p: Packet, out: list[str]) -> None:
        client, server = self._client, self._server
        if p.flags & ACK:
            if self._closing:
                out.append("shutdown_syn_resend")
            elif p.to_server:
                out.append("est_synack_toserver")
            elif client.isn is not None and p.ack != (client.isn + 1) & 0xFFFFFFFF and p.ack != client.acked:
                out.append("est_synack_resend_with_different_ack")
            elif server.isn is not None and p.seq != server.isn:
                out.append("est_synack_resend_with_diff_seq")
            elif self._confirmed:
                out.append("est_synack_resend")
            return
        if self._closing:
            out.append("shutdown_syn_resend")
        elif not p.to_server:
            out.append("est_syn_toclient")
        elif client.isn is not None and p.seq != client.isn:
            out.append("est_syn_resend_diff_seq")
        elif self._confirmed:
            out.append("est_syn_resend")

    # -- what is remembered -------------------------------------------------------------------------------------------------

    @staticmethod
    def _stamp(p: Packet) -> int | None:
        for kind, value in p.tcp_options():
            if kind == 8 and len(value) == 8:
                return int.from_bytes(value[:4], "big")
        return None

    def _note(self, p: Packet, before: int) -> None:
        mine, other = (self._client, self._server) if p.to_server else (self._server, self._client)
        if p.flags & RST:
            self._reset = self._reset or before >= tcp.SYN_RECEIVED
            return
        if p.flags & SYN:
            if before <= tcp.SYN_RECEIVED and (before < tcp.SYN_RECEIVED or mine.isn is None):
                self._begin(p, mine, other, before)
            return
        end = (p.seq + p.payload_len + bool(p.flags & FIN)) & 0xFFFFFFFF
        if mine.following is None or ahead(end, mine.following) > 0:
            mine.following = end
        if before >= tcp.ESTABLISHED:
            self._confirmed = True
        if p.flags & ACK:
            if other.acked is None or ahead(p.ack, other.acked) > 0:
                other.acked = p.ack
            # The window in a SYN is never scaled (RFC 7323 2.2).
            scale = mine.scale if mine.scale >= 0 and other.scale >= 0 and mine.known and other.known else 0
            other.limit = _further(other.limit, (p.ack + (p.window << max(0, scale))) & 0xFFFFFFFF)
        stamp = self._stamp(p) if p.payload_len else None
        if stamp is not None:
            mine.stamp = stamp if mine.stamp is None or ahead(stamp, mine.stamp) > 0 else mine.stamp
        if p.flags & FIN and not mine.fin:
            mine.fin = True
            self._closing = {
                "": _CLOSE_WAIT if p.to_server else _FIN_WAIT1, _CLOSE_WAIT: _LAST_ACK, _FIN_WAIT1: _CLOSING, _FIN_WAIT2: _TIME_WAIT,
            }.get(self._closing, self._closing)  # fmt: skip
        elif p.flags & ACK and other.fin and other.following is not None and p.ack == other.following:
            self._closing = {_FIN_WAIT1: _FIN_WAIT2, _CLOSING: _TIME_WAIT, _LAST_ACK: _CLOSED}.get(self._closing, self._closing)

    def _begin(self, p: Packet, mine: _Side, other: _Side, before: int) -> None:
        if before == tcp.SYN_SENT and not p.flags & ACK and not p.to_server:
            self._four_way = True
        if p.flags & ACK and p.to_server:
            return
        mine.isn, mine.following = p.seq, (p.seq + 1 + p.payload_len) & 0xFFFFFFFF
        mine.known, mine.scale = True, -1
        for kind, value in p.tcp_options():
            if kind == 3 and len(value) == 1:
                mine.scale = min(value[0], 14)
        if p.flags & ACK:
            other.acked = p.ack
            other.limit = (p.ack + p.window) & 0xFFFFFFFF
        else:
            # What the other side may send before it has heard of more.
            other.limit = None


def _differs(side: tcp.Direction, at: int, data: bytes) -> bool:
    """Whether bytes that have come already have come otherwise."""
    end = at + len(data)
    for block in side.blocks:
        low, high = max(at, block.start), min(end, block.stop)
        if low < high and block.data[low - block.start : high - block.start] != data[low - at : high - at]:
            return True
    return False
