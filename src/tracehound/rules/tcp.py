"""In: the TCP packets of one flow in order. Out: its state, and for each direction the bytes that have been acknowledged, in
order, with holes. Never here: what the bytes say, or rules.

Follows Suricata's stream engine (stream-tcp.c, stream-tcp-reassemble.c) as it works on captures: a session needs its
handshake (unless midstream sessions are asked for), bytes are read by the application layer when the other side has
acknowledged them, and what was never acknowledged is read when the session ends. The first arrival of a byte stays.

`streams/reassemble.py` orders bytes a batch at a time; a rule needs to know what was known at each single packet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_RULE_STREAM_BYTES
from tracehound.rules.events import SYN_QUEUE

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16

NONE: Final = 0
SYN_SENT: Final = 1
SYN_RECEIVED: Final = 2
ESTABLISHED: Final = 3
CLOSING: Final = 4
CLOSED: Final = 5


def ahead(a: int, b: int) -> int:
    """RFC 1982: how far sequence number a is ahead of b."""
    d = (a - b) & 0xFFFFFFFF
    return d - 0x100000000 if d >= 0x80000000 else d


@dataclass(slots=True)
class Block:
    """A stretch of a stream without a hole."""

    start: int
    data: bytearray

    @property
    def stop(self) -> int:
        return self.start + len(self.data)


@dataclass(slots=True)
class Direction:
    """What one side sends. Offsets count from the first byte behind the SYN.

    first       sequence number of offset 0; None until it is known
    blocks      ascending, apart: what has arrived
    acked       offset up to which the other side has acknowledged
    read        offset up to which the application layer has read
    raw         offset up to which the bytes as such have been inspected
    trigger     the application layer asks for inspection of what there is
    fin         offset of the FIN
    """

    first: int | None = None
    blocks: list[Block] = field(default_factory=list)
    acked: int = 0
    read: int = 0
    raw: int = 0
    seen: int = 0
    trigger: bool = False
    fin: int | None = None
    ended: bool = False
    depth_reached: bool = False
    gap: bool = False
    window_before: int = 0
    stream_off: bool = False

    def add(self, seq: int, data: bytes) -> bool:
        """Take a segment; returns whether any of it belongs to the stream."""
        if self.first is None:
            self.first = seq
        at = ahead(seq, self.first)
        if at < 0:
            if at + len(data) <= 0:
                return False
            data, at = data[-at:], 0
        if self.stream_off or at >= MAX_RULE_STREAM_BYTES:
            self.depth_reached = True
            return False
        if at + len(data) >= MAX_RULE_STREAM_BYTES:
            data = data[: MAX_RULE_STREAM_BYTES - at]
            self.depth_reached = True
        end = at + len(data)
        self.seen = max(self.seen, end)
        blocks = self.blocks
        if blocks:
            if blocks[-1].stop == at:
                blocks[-1].data += data
                return True
        elif at == 0:
            blocks.append(Block(0, bytearray(data)))
            return True
        self._fill(at, data)
        return True

    def _fill(self, at: int, data: bytes) -> None:
        """Put the bytes where none stand yet, and join what has become contiguous."""
        pieces: list[Block] = []
        here, end = at, at + len(data)
        for block in self.blocks:
            if block.stop <= here or block.start >= end:
                continue
            if block.start > here:
                pieces.append(Block(here, bytearray(data[here - at : block.start - at])))
            here = max(here, block.stop)
        if here < end:
            pieces.append(Block(here, bytearray(data[here - at :])))
        joined: list[Block] = []
        for block in sorted(self.blocks + pieces, key=lambda b: b.start):
            if joined and joined[-1].stop == block.start:
                joined[-1].data += block.data
            else:
                joined.append(block)
        self.blocks = joined

    def acknowledge(self, ack: int) -> None:
        """The other side has everything before `ack`."""
        if self.first is None:
            return
        at = ahead(ack, self.first)
        if self.fin is not None and at > self.fin:
            at = self.fin
        if at > self.acked and at - self.seen < 0x40000000:
            self.acked = at

    def chunks(self, begin: int, limit: int) -> list[tuple[int, bytes]]:
        """(offset, bytes) of what there is from `begin` to `limit`."""
        out: list[tuple[int, bytes]] = []
        for block in self.blocks:
            here, stop = max(begin, block.start), min(limit, block.stop)
            if here < stop:
                out.append((here, bytes(block.data[here - block.start : stop - block.start])))
        return out

    def window(self, begin: int, limit: int) -> tuple[int, bytes]:
        """The last stretch without a hole that ends at `limit` or before, not before `begin`."""
        found = self.chunks(begin, limit)
        return found[-1] if found else (begin, b"")


@dataclass(slots=True)
class Segment:
    """What the session must know of a packet."""

    to_server: bool
    flags: int
    seq: int
    ack: int
    window: int
    payload: bytes
    fast_open: bool = False


@dataclass(slots=True)
class Outcome:
    """What a packet did: added: its payload became part of the stream; session: it belongs to a session; ended: the session
    ended with it, so that what is left must be read."""

    added: bool = False
    session: bool = False
    ended: bool = False
    event: str = ""


class Session:
    """One TCP session."""

    __slots__ = ("by_reset", "client", "midstream", "server", "state", "syns")

    def __init__(self) -> None:
        self.state = NONE
        self.client = Direction()
        self.server = Direction()
        self.midstream = False
        self.by_reset = False
        self.syns = 0

    def side(self, to_server: bool) -> Direction:
        """The direction that bytes to the server (or to the client) travel in."""
        return self.client if to_server else self.server

    @property
    def established(self) -> bool:
        return self.state >= ESTABLISHED

    def packet(self, s: Segment, midstream: bool) -> Outcome:
        """Take the next packet."""
        return _ON[self.state](self, s, midstream)

    # -- one method a state ---------------------------------------------------------------------------------------------

    def _none(self, s: Segment, midstream: bool) -> Outcome:
        if s.flags & RST:
            return Outcome()
        if s.flags & (SYN | ACK) == SYN and s.to_server:
            self.state = SYN_SENT
            self.client.first = (s.seq + 1) & 0xFFFFFFFF
            out = Outcome(session=True)
            if s.fast_open and s.payload:
                out.added = self.client.add((s.seq + 1) & 0xFFFFFFFF, s.payload)
            return out
        if not midstream:
            return Outcome()
        self.midstream = True
        if s.flags & SYN and s.flags & ACK:
            self.state = SYN_RECEIVED
            self.side(s.to_server).first = (s.seq + 1) & 0xFFFFFFFF
            self.side(not s.to_server).first = s.ack
            return Outcome(session=True)
        if not s.flags & ACK:
            return Outcome()
        self.state = ESTABLISHED
        self.side(s.to_server).first = s.seq
        self.side(not s.to_server).first = s.ack
        return self._data(s)

    def _syn_sent(self, s: Segment, midstream: bool) -> Outcome:
        if s.flags & RST:
            if not s.to_server and s.flags & ACK:
                self.state, self.by_reset = CLOSED, True
                return Outcome(session=True, ended=True)
            if s.to_server and self.client.first is not None and ahead(s.seq, self.client.first) in (-1, 0):
                self.state, self.by_reset = CLOSED, True
                return Outcome(session=True, ended=True)
            return Outcome()
        if s.flags & SYN and s.flags & ACK:
            if s.to_server or self.client.first is None:
                return Outcome(session=True)
            # The SYN-ACK acknowledges the SYN and perhaps the data that came with it.
            if ahead(s.ack, self.client.first) < 0 or ahead(s.ack, self.client.first) > max(0, self.client.seen):
                return Outcome()
            if s.ack == self.client.first and self.client.blocks:
                # RFC 7413: the data in the SYN was not accepted; it will be sent again.
                self.client.blocks, self.client.seen = [], 0
            self.server.first = (s.seq + 1) & 0xFFFFFFFF
            self.state = SYN_RECEIVED
            self.client.acknowledge(s.ack)
            out = Outcome(session=True)
            if s.payload and self.client.seen:
                out.added = self.server.add((s.seq + 1) & 0xFFFFFFFF, s.payload)
            return out
        if s.flags & SYN:
            if s.to_server:
                event = ""
                if self.client.first != (s.seq + 1) & 0xFFFFFFFF:
                    self.syns += 1
                    event = "3whs_syn_flood" if self.syns > SYN_QUEUE else ""
                self.client.first = (s.seq + 1) & 0xFFFFFFFF
                if event:
                    return Outcome(session=True, event=event)
                if s.fast_open and s.payload and not self.client.blocks:
                    return Outcome(session=True, added=self.client.add((s.seq + 1) & 0xFFFFFFFF, s.payload))
            else:
                # A split handshake: the server answers with a SYN of its own (RFC 9293 3.5, simultaneous open).
                self.server.first = (s.seq + 1) & 0xFFFFFFFF
                self.state = SYN_RECEIVED
            return Outcome(session=True)
        if s.fast_open and s.payload:
            return Outcome(session=True, added=self.side(s.to_server).add(s.seq, s.payload))
        if midstream and s.flags & ACK and s.to_server and self.client.first is not None and s.seq == self.client.first:
            # One side only was captured.
            self.state = ESTABLISHED
            self.server.first = s.ack
            return self._data(s)
        return Outcome(session=True)

    def _syn_received(self, s: Segment, midstream: bool) -> Outcome:
        if s.flags & RST:
            return self._reset(s)
        if s.flags & SYN:
            if s.flags & ACK and not s.to_server and self.client.first is not None:
                self.server.first = (s.seq + 1) & 0xFFFFFFFF
                self.client.acknowledge(s.ack)
            elif s.flags & ACK and s.to_server:
                # The client acknowledges the server's SYN of a split handshake with one of its own.
                return Outcome(session=True)
            elif not s.flags & ACK and s.to_server:
                self.client.first = (s.seq + 1) & 0xFFFFFFFF
            return Outcome(session=True)
        if not s.flags & ACK:
            return Outcome(session=True)
        mine, other = self.side(s.to_server), self.side(not s.to_server)
        if mine.first is None:
            mine.first = s.seq
        if other.first is None:
            other.first = s.ack
        if ahead(s.ack, other.first) < 0 or ahead(s.ack, other.first) > 0x40000000:
            return Outcome()
        if s.to_server or self.midstream or s.payload or self.client.seen:
            # Data of the server may come before the client's acknowledgement was seen (fast open, or loss in the capture).
            self.state = ESTABLISHED
        return self._data(s)

    def _established(self, s: Segment, midstream: bool) -> Outcome:
        if s.flags & RST:
            return self._reset(s)
        if s.flags & SYN:
            return Outcome(session=True)
        return self._data(s)

    def _closed(self, s: Segment, midstream: bool) -> Outcome:
        if s.flags & (SYN | RST):
            return Outcome()
        return Outcome(session=True) if not s.payload else self._data(s, late=True)

    def _reset(self, s: Segment) -> Outcome:
        mine = self.side(s.to_server)
        if mine.first is not None and s.seq and ahead(s.seq, mine.first) < -1:
            return Outcome(session=True)
        if s.flags & ACK:
            self.side(not s.to_server).acknowledge(s.ack)
        self.state, self.by_reset = CLOSED, True
        return Outcome(session=True, ended=True)

    def _data(self, s: Segment, late: bool = False) -> Outcome:
        mine, other = self.side(s.to_server), self.side(not s.to_server)
        if mine.first is None:
            mine.first = s.seq
        if other.first is None and s.flags & ACK:
            other.first = s.ack
        out = Outcome(session=True)
        if s.flags & ACK:
            other.acknowledge(s.ack)
        if s.payload:
            at = ahead(s.seq, mine.first)
            if len(s.payload) == 1 and at == mine.acked - 1:
                # RFC 1122 4.2.3.6: a keep-alive.
                return out
            if at + len(s.payload) > mine.acked or at + len(s.payload) > mine.seen:
                out.added = mine.add(s.seq, s.payload)
            elif at >= 0:
                out.added = False
        if s.flags & FIN:
            mine.fin = ahead(s.seq, mine.first) + len(s.payload)
            if self.state == ESTABLISHED:
                self.state = CLOSING
        if self.state == CLOSING and not late and mine.fin is not None and other.fin is not None:
            # Both FINs are acknowledged.
            done = all(d.acked >= (d.fin or 0) for d in (mine, other))
            if done and s.flags & ACK and not s.flags & FIN:
                self.state = CLOSED
                out.ended = True
        return out


_ON: Final = {
    NONE: Session._none, SYN_SENT: Session._syn_sent, SYN_RECEIVED: Session._syn_received,
    ESTABLISHED: Session._established, CLOSING: Session._established, CLOSED: Session._closed,
}  # fmt: skip
