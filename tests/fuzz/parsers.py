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

import numpy as np

from tracehound.capture.records import RawBatch, Records
from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.errors import EvidenceError, UsageError
from tracehound.flowlogs.formats import FORMATS
from tracehound.packets.bpf_machine import compiled
from tracehound.packets.decode import DecodeState, decode
from tracehound.packets.packet_table import packet_table
from tracehound.protocols import transactions
from tracehound.protocols.body_kind import body_kind
from tracehound.protocols.dns_message import parse_message
from tracehound.protocols.identify import service_of
from tracehound.protocols.session import Datagram, FlowEnds, Row, rows_table
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap
from tracehound.tables import ALL, EVIDENCE_SHIFT

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


def frames(data: bytes) -> None:
    """Frames of one link type: its number in two bytes, then each frame behind the two bytes of its length."""
    link, at, cut = int.from_bytes(data[:2], "big") % 300, 2, []
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        cut.append((at + 2, max(0, min(size, len(data) - at - 2)), size))
        at += 2 + size
    offset, caplen, wirelen = (np.array([f[i] for f in cut], t) for i, t in enumerate((np.int64, np.int32, np.int32)))
    records = Records(np.arange(len(cut), dtype=np.int64), caplen, wirelen, offset, np.full(len(cut), link, np.int32))
    buffer = np.frombuffer(data + bytes(64), np.uint8).copy()
    packets = decode(RawBatch(buffer, len(data), 0, 1, 1, records), DecodeState())
    assert set(packets.packet_id.tolist()) == {(1 << EVIDENCE_SHIFT) + n + 1 for n in range(len(cut))}
    rows = packet_table(packets, np.full(packets.ts.size, -1, np.int64), 0, len(data))
    assert rows.num_rows == len(cut)


def _filter(data: bytes) -> None:
    try:
        compiled(data.decode("latin-1"))
    except UsageError:
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
    "frames": frames,
    "filter": _filter,
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
