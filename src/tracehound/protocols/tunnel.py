"""In: the bytes that two ends exchange inside another protocol (behind a proxy's CONNECT, in a WebSocket). Out: they are
identified again by content and handed to that service's own reader. Never here: a service, or how the tunnel was agreed.

Rows of what travels inside have the flow of the outer conversation. Their numbers within the flow begin at half (a quarter, ...)
of what a flow has, so that none is used twice."""

from __future__ import annotations

from dataclasses import replace

from tracehound.limits import HEAD_BYTES, MAX_TUNNEL_NESTING, MAX_TUNNEL_WAIT_BYTES
from tracehound.protocols.identify import service_of
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds, Interest, Row, Session
from tracehound.streams.reassemble import Chunk

_TCP = 6
_ENOUGH_BYTES = 16
"""As with flows: a first payload shorter than this that tells nothing is looked at again with what follows it."""


def _inner_interest(outer: Interest, first: int) -> Interest:
    keep = outer.keep
    return replace(
        outer, nesting=outer.nesting + 1, held_bytes=0,
        keep=None if keep is None else lambda txn_id, data: keep(txn_id + first, data),
    )  # fmt: skip


class Tunnel:
    """What is spoken inside. `service` is its name once it is known; `finished` is True once no more of it is of use.

    ends   client and server as the inner service shall see them, originator first
    port   the port that the inner service is asked at, which tells some services apart"""

    def __init__(self, ends: FlowEnds, emit: Emit, port: int) -> None:
        first = 1 << TXN_SHIFT - 1 >> ends.interest.nesting
        self._ends = ends._replace(interest=_inner_interest(ends.interest, first))
        self._port = port
        self._waiting: list[Chunk] = []
        self._held = 0
        self._session: Session | None = None
        self.service: str | None = None
        self.finished = ends.interest.nesting >= MAX_TUNNEL_NESTING

        def numbered(table: str, row: Row) -> None:
            emit(table, (row[0] + first, *row[1:]))

        self._emit = numbered

    def feed(self, chunk: Chunk) -> None:
        """The next bytes of one direction; chunk.from_originator means the client."""
        if self.finished or not chunk.data:
            return
        if self._session is not None:
            self._session.feed(chunk)
            self.finished = self._session.finished
            return
        self._waiting.append(chunk)
        self._held += len(chunk.data)
        self._identify()

    def _identify(self) -> None:
        heads = {True: b"", False: b""}
        for chunk in self._waiting:
            if len(heads[chunk.from_originator]) < HEAD_BYTES:
                heads[chunk.from_originator] += chunk.data[:HEAD_BYTES]
        self.service = service_of(_TCP, heads[True], heads[False], self._ends.originator_port, self._port)
        if self.service is None:
            both = len(heads[True]) >= _ENOUGH_BYTES and len(heads[False]) >= _ENOUGH_BYTES
            if both or self._held > MAX_TUNNEL_WAIT_BYTES:
                self._give_up()
            return
        opener = self._ends.interest.opener(self.service)
        if opener is None:
            self._give_up()
            return
        self._session = opener(self._ends, self._waiting[0], self._emit)
        waiting, self._waiting = self._waiting, []
        for chunk in waiting:
            if not self._session.finished:
                self._session.feed(chunk)
        self.finished = self._session.finished

    def _give_up(self) -> None:
        self.finished = True
        self._waiting.clear()

    def close(self, note: str) -> None:
        """The conversation is over."""
        if self._session is not None:
            self._session.close(note)
            self._session = None
        self.finished = True
        self._waiting.clear()
