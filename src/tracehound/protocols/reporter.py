"""In: a flow's ends, and what was read of it. Out: the columns that rows of every protocol begin with, rows of `logins`, numbers
and notes of rows. Never here: a protocol, or a byte of evidence."""

from __future__ import annotations

from typing import Any

from tracehound.limits import MAX_TEXT_COMMANDS
from tracehound.protocols.session import TXN_SHIFT, Datagram, Emit, FlowEnds


def swapped(ends: FlowEnds) -> FlowEnds:
    """The ends the other way round."""
    e = ends
    return e._replace(
        originator=e.responder, originator_port=e.responder_port, responder=e.originator, responder_port=e.originator_port
    )


def ends_of(datagram: Datagram) -> FlowEnds:
    """The ends of a datagram's flow."""
    d = datagram
    near, far = (d.src, d.sport), (d.dst, d.dport)
    both = (*near, *far) if d.from_originator else (*far, *near)
    return FlowEnds(d.flow_id, *both, d.interest)


class Reporter:
    """One flow's rows. `ends` are those of its rows: the originator is whoever is taken as the client."""

    service = ""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self.ends = ends
        self.emit = emit
        self.notes: list[str] = []
        self._numbers: dict[str, int] = {}

    def note(self, words: str) -> None:
        """Something to be said of every row that follows."""
        if words and words not in self.notes:
            self.notes.append(words)

    @property
    def said(self) -> str | None:
        """The notes as a cell."""
        return "; ".join(self.notes) or None

    def number(self, table: str) -> int | None:
        """Number of the next row in a table; None once there are too many."""
        n = self._numbers.get(table, 0)
        if n >= MAX_TEXT_COMMANDS:
            return None
        self._numbers[table] = n + 1
        return n

    def begin(self, number: int, ts_ns: int) -> tuple[Any, ...]:
        """The first columns of every protocol's table."""
        e = self.ends
        return (e.flow_id << TXN_SHIFT | number, e.flow_id, ts_ns, e.originator, e.originator_port, e.responder, e.responder_port)

    def row(self, table: str, ts_ns: int, *rest: Any) -> None:
        """A row, numbered in its table; `rest` are its columns after the ends."""
        number = self.number(table)
        if number is not None:
            self.emit(table, (*self.begin(number, ts_ns), *rest))

    def login(
        self, user: str | None, method: str | None, *, cleartext: bool, accepted: bool | None, answer: str | None, packet_id: int,
        ts_ns: int, note: str | None = None,
    ) -> None:  # fmt: skip
        """A row of table `logins`."""
        self.row("logins", ts_ns, self.service, user, method, cleartext, accepted, answer, packet_id, note or self.said)
