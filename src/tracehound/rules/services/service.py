"""In: nothing. Out: the shape of what every application protocol gives to the rule engine. Never here: a protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

Bytes = bytes | None
COMPLETE: Final = 100
"""Progress of a side of a transaction that is over; the steps before it are each protocol's own small numbers."""


class Source(NamedTuple):
    """How a buffer is had from a transaction.

    to_server  the side that has it; None: both
    progress   how far that side must have come
    get        (transaction, to_server) -> bytes; None where it does not exist; a list where there may be several
    grows      more of it may come until the side is complete
    """

    to_server: bool | None
    progress: int
    get: Callable[[Any, bool], Any]
    grows: bool = False

    def size(self, tx: Any, to_server: bool) -> int:
        """Bytes there are of a buffer that grows."""
        data = self.get(tx, to_server)
        return len(data) if isinstance(data, bytes) else sum(map(len, data)) if data else 0


@dataclass(slots=True)
class File:
    """A file that a transaction carries. `content` is what is kept of it for inspection; hashes are of all."""

    name: str
    to_server: bool
    content: bytearray = field(default_factory=bytearray)
    size: int = 0
    done: bool = False
    gap: bool = False
    hashes: dict[str, Any] = field(default_factory=dict)
    started: bool = True


@dataclass(slots=True)
class Transaction:
    """One exchange. progress: [to_client, to_server]; events: (name, to_server)."""

    number: int
    progress: list[int] = field(default_factory=lambda: [0, 0])
    events: list[tuple[str, bool]] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    verdicts: dict[int, int] = field(default_factory=dict)
    """What rules have come to: rule index * 2 + side -> FIRED or FAILED; kept by the engine."""

    def event(self, name: str, to_server: bool) -> None:
        if (name, to_server) not in self.events:
            self.events.append((name, to_server))

    def done(self, to_server: bool) -> bool:
        return self.progress[to_server] >= COMPLETE


class Service:
    """One application protocol over one flow.

    transactions  those that are not over; the engine takes out what it has done with
    wants_raw     sides whose bytes as such shall be inspected now
    encrypted     payload says nothing any more
    stopped       nothing more is read
    now_ns        time of the packet that brought the bytes; kept by the engine
    """

    name: ClassVar[str] = ""
    sources: ClassVar[dict[str, Source]] = {}
    events: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.transactions: list[Any] = []
        self.count = 0
        self.wants_raw: set[bool] = set()
        self.encrypted = False
        self.stopped = False
        self.upgrade: str | None = None
        self.now_ns = 0

    def feed(self, to_server: bool, data: bytes) -> None:
        """The next bytes of one side."""
        raise NotImplementedError

    def gap(self, to_server: bool, size: int) -> None:
        """Bytes of one side are missing. Most protocols cannot go on."""
        self.stopped = True

    def end(self, to_server: bool) -> None:
        """One side sends no more."""
        for tx in self.transactions:
            tx.progress[to_server] = COMPLETE

    def summary(self, tx: Any) -> dict[str, Any] | None:
        """What an alert on `tx` says of it: {"http": {...}}."""
        return None
