"""Every parser that meets bytes of evidence, as a function of bytes alone. Used by test_parsers.py (any bytes, in every test
run) and by atheris (coverage-guided, for hours):

    python -m tests.fuzz.parsers                      the names of the targets
    python -m tests.fuzz.parsers NAME [FOLDER] [-max_total_time=600 ...]

A target returns normally or fails: an exception is a bug, and so is a row that does not fit its table."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.errors import EvidenceError
from tracehound.flowlogs.formats import FORMATS
from tracehound.packets.decode import DecodeState, decode
from tracehound.protocols import transactions
from tracehound.protocols.body_kind import body_kind
from tracehound.protocols.dns_message import parse_message
from tracehound.protocols.identify import service_of
from tracehound.protocols.session import Datagram, FlowEnds, Row, rows_table
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap
from tracehound.tables import ALL

ENDS: Final = FlowEnds(7, "10.0.0.1", 40_000, "192.0.2.1", 80)
CORPUS: Final = Path(__file__).with_name("corpus")


class Rows:
    """Takes rows as the pipeline does: they must fit their table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}

    def emit(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)

    def tables(self) -> dict[str, Any]:
        return {name: rows_table(ALL[name], rows) for name, rows in self.rows.items()}


def turns(data: bytes) -> list[tuple[bool, int, bytes]]:
    """Bytes as a conversation: a byte that says who speaks, how much is missing before it and how long the turn is, then as many
    bytes. (direction, gap, bytes)"""
    out = []
    at = 0
    while at + 2 < len(data):
        how, size = data[at], data[at + 1] | (data[at] & 0x38) << 5
        part = data[at + 2 : at + 2 + size]
        at += 2 + size
        if part:
            out.append((bool(how & 1), how >> 6 if how & 2 else 0, part))
    return out


def conversation(opener: Callable[..., Any], spoken: list[tuple[bool, int, bytes]]) -> Rows:
    """Feed one session of a protocol over TCP."""
    rows = Rows()
    session = None
    offset = {True: 0, False: 0}
    for number, (sent, gap, part) in enumerate(spoken):
        offset[sent] += gap
        chunk = Chunk(7, sent, part, offset[sent], gap, SegmentMap([offset[sent]], [number], [number * 1000]), 0)
        offset[sent] += len(part)
        if session is None:
            session = opener(ENDS, chunk, rows.emit)
        if session.finished:
            break
        session.feed(chunk)
    if session is not None:
        session.close("")
    rows.tables()
    return rows


def datagrams(opener: Callable[..., Any], spoken: list[tuple[bool, int, bytes]]) -> Rows:
    """Feed one flow of a protocol in datagrams."""
    rows = Rows()
    reader = opener(rows.emit)
    for number, (sent, gap, part) in enumerate(spoken):
        there, here = (ENDS.originator, ENDS.originator_port), (ENDS.responder, ENDS.responder_port)
        source, target = (there, here) if sent else (here, there)
        if reader.datagram(Datagram(7, sent, number * 1000, number, *source, *target, part, len(part) + gap)):
            break
    reader.end(7)
    rows.tables()
    return rows


def capture(data: bytes) -> None:
    """A capture file of any kind: records, packets."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            state = DecodeState()
            for raw in read_batches(list_evidence([file.name])):
                decode(raw, state)
        except EvidenceError:
            return


def _identify(data: bytes) -> None:
    for transport in (6, 17):
        service_of(transport, data[: len(data) // 2], data[len(data) // 2 :], 40_000, 53)


def _stream(place: str) -> Callable[[bytes], object]:
    return lambda data: conversation(transactions._located(place), turns(data))


def _datagram(place: str) -> Callable[[bytes], object]:
    return lambda data: datagrams(transactions._located(place), turns(data))


def _log(kind: str) -> Callable[[bytes], object]:
    """A flow log, told by content or not: whole, and in small pieces."""
    from tests.flowlogs.reading import read

    def both(data: bytes) -> None:
        FORMATS[kind].recognise(data)
        read(FORMATS[kind], data)
        read(FORMATS[kind], data, step=37)

    return both


TARGETS: Final[dict[str, Callable[[bytes], object]]] = {
    "capture": capture,
    "identify": _identify,
    "body_kind": lambda data: body_kind(data, None),
    "dns_message": parse_message,
    **{f"log_{kind.replace(' ', '_')}": _log(kind) for kind in FORMATS},
    **{f"tcp_{service}": _stream(place) for service, place in transactions.STREAMS.items()},
    **{f"udp_{service}": _datagram(place) for service, place in transactions.DATAGRAMS.items()},
}


def main(words: list[str]) -> None:
    if not words or words[0] not in TARGETS:
        print("\n".join(TARGETS))
        return
    import atheris

    folder = CORPUS / words[0]
    folder.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *(words[1:] or [str(folder)])], TARGETS[words[0]])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
