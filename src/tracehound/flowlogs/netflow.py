"""In: datagrams of NetFlow v1, v5, v7, v9 and IPFIX: a file in which they lie one behind another, or the UDP payloads of captured
export traffic. Out: blocks of records, one direction each, and what is missing, counted. Never here: sockets, pairing.

RFC 3954 (v9), RFC 7011 (IPFIX), Cisco's "NetFlow Export Datagram Format" (v1, v5, v7). A v9 datagram does not say how long it is:
in a file it ends where the next one begins, which the reserved set numbers (2 to 255) make plain."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import templates as t
from tracehound.flowlogs.netflow_fixed import (
    H_COUNT,
    H_ENGINE,
    H_SEQUENCE,
    HEADER_FIELDS,
    LAYOUTS,
    MAX_RECORDS,
    read_fixed,
)
from tracehound.flowlogs.one_way import FIELDS, RECORD, SAMPLING, Records, block, empty
from tracehound.flowlogs.reader import Block, Format, Options, Took
from tracehound.packets.addresses import dictionary

V9_HEADER: Final = 20
IPFIX_HEADER: Final = 16
_SOURCES: Final[dict[int, str]] = {1: "netflow1", 5: "netflow5", 7: "netflow7", 9: "netflow9", 10: "ipfix"}
_REORDERED: Final = 10_000
"""A sequence number so little below the expected one is a datagram that came late; further below, the exporter began anew."""

_LOST: Final = {
    "flows": "records lost by gaps in sequence numbers", "records": "records lost by gaps in sequence numbers",
    "datagrams": "export datagrams lost by gaps in sequence numbers",
}  # fmt: skip
"""v5 and v7 count flows, v9 datagrams, IPFIX data records: what the quality record calls them."""

Key = tuple[str, int, int]
"""Exporter, version, observation domain (v9: source id; v5: engine)."""


@dataclass(slots=True)
class _Waiting:
    """A data set whose template has not come."""

    key: Key
    number: int
    data: bytes
    export_ns: int
    boot_ns: int
    at: int


@dataclass(slots=True)
class _Open:
    """Data sets that wait to be read together."""

    sets: list[tuple[int, ...]] = field(default_factory=list)
    templates: list[t.Template] = field(default_factory=list)
    index: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    version: int = 0
    exporter: str = ""


def _u16(b: NDArray[np.uint8], at: int) -> int:
    return int(b[at]) << 8 | int(b[at + 1])


def _u32(b: NDArray[np.uint8], at: int) -> int:
    return int(b[at]) << 24 | int(b[at + 1]) << 16 | int(b[at + 2]) << 8 | int(b[at + 3])


class Collector:
    """What a collector knows between datagrams: templates, sampling, sequence numbers, sets that wait."""

    def __init__(self) -> None:
        self.records = 0
        self._templates: dict[tuple[Key, int], t.Template] = {}
        self._sampling: dict[Key, dict[int, int]] = {}
        self._expected: dict[Key, tuple[int, int]] = {}
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._open = _Open()
        self._domains: list[Key] = []
        self._blocks: list[Block] = []
        self._base = 0
        self._buffer = np.zeros(0, dtype=np.uint8)
        self._dropped_sets = 0
        self._late_sets = 0
        self._lost = {"flows": 0, "datagrams": 0, "records": 0}
        self._sampled = 0
        self._rates: set[int] = set()
        self._bad = 0
        self._bad_note = ""

    # -- what the quality record says ------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, tuple[int, str | None]]:
        found: dict[str, tuple[int, str | None]] = {}
        without = self._dropped_sets + len(self._waiting)
        if without:
            found["data sets without their template"] = (without, "their records cannot be read")
        if self._late_sets:
            found["data sets read once their template came"] = (self._late_sets, "nothing of them is lost")
        for kind, n in self._lost.items():
            if n:
                found[_LOST[kind]] = (found.get(_LOST[kind], (0, None))[0] + n, "what they told is not in the evidence")
        if self._sampled:
            rates = ", ".join(f"1 in {n}" for n in sorted(self._rates)[:8])
            note = f"the exporter looked at {rates} packets: counts are of what it saw, and what it did not see proves nothing"
            found["sampled records"] = (self._sampled, note)
        if self._bad:
            found["malformed export datagrams"] = (self._bad, self._bad_note)
        return found

    def _spoilt(self, cause: str) -> None:
        self._bad += 1
        self._bad_note = self._bad_note or f"first of them: {cause}"

    # -- datagrams ---------------------------------------------------------------------------------------------------------

    def begin(self, buffer: NDArray[np.uint8], base: int) -> None:
        """The datagrams that follow lie in `buffer`, whose first byte is byte `base` of the file. `flush` before it is reused."""
        self._buffer = buffer
        self._base = base

    def fixed(self, at: int, end: int, version: int, exporter: str = "") -> int:
        """Read datagrams of one fixed version from the buffer; returns where they end (`at` = not one is whole)."""
        header_bytes, record_bytes = LAYOUTS[version]
        self._switch(version, exporter)
        while True:
            room = min(limits.LOG_ROWS_AT_ONCE, (end - at) // record_bytes + 1)
            out = empty(room)
            offset = np.empty(room, dtype=np.int64)
            headers = np.empty((HEADER_FIELDS, max(room, 64)), dtype=np.int64)
            n, datagrams, stop = read_fixed(
                self._buffer, at, end, version, header_bytes, record_bytes, out, offset, headers
            )
            if datagrams == 0:
                return at
            self._fixed_sequence(headers[:, :datagrams], version, exporter)
            if n:
                self._emit(out[:, :n], offset[:n], version, exporter)
            at = int(stop)

    def _fixed_sequence(self, headers: NDArray[np.int64], version: int, exporter: str) -> None:
        """v5 and v7: flow_sequence counts the flows exported before this datagram."""
        if version == 1:
            return
        for engine in np.unique(headers[H_ENGINE]).tolist():
            mine = headers[:, headers[H_ENGINE] == engine]
            key = (exporter, version, engine)
            sequence, count = mine[H_SEQUENCE], mine[H_COUNT]
            following = (sequence + count) & 0xFFFFFFFF
            known = self._expected.get(key)
            if (known is None or known[0] == sequence[0]) and np.array_equal(sequence[1:], following[:-1]):
                # Nothing is missing: the rule.
                if known is not None or len(self._expected) < limits.MAX_EXPORTERS:
                    self._expected[key] = (int(following[-1]), int(following[-1]))
                continue
            for number, n in zip(sequence.tolist(), count.tolist(), strict=True):
                self._sequence("flows", key, number, n)

    def _sequence(self, kind: str, key: Key, number: int, count: int) -> None:
        """A datagram that bears `number` and counts `count`: what lies between it and what was expected is lost, until it comes late.
        Numbers that go back and go on from there are an exporter that began anew. All modulo 2^32."""
        following = (number + count) & 0xFFFFFFFF
        if key not in self._expected:
            if len(self._expected) < limits.MAX_EXPORTERS:
                self._expected[key] = (following, following)
            return
        expected, last = self._expected[key]
        ahead = (number - expected) & 0xFFFFFFFF
        if ahead < 0x80000000:
            self._lost[kind] += ahead
        elif 0x100000000 - ahead < _REORDERED and number != last:
            self._lost[kind] = max(self._lost[kind] - count, 0)
            self._expected[key] = (expected, following)
            return
        self._expected[key] = (following, following)

    def datagram(self, at: int, end: int, exporter: str = "") -> str | None:
        """Read one datagram that fills buffer[at:end]; returns what is wrong with it, if anything is."""
        if end - at < 4:
            return self._wrong("a datagram of less than 4 bytes")
        version = _u16(self._buffer, at)
        if version in LAYOUTS:
            stop = self.fixed(at, end, version, exporter)
            if stop == at:
                claimed = _u16(self._buffer, at + 2)
                return self._wrong(f"a NetFlow v{version} datagram of {end - at} bytes says that it holds {claimed} records")
            return None
        reader = {9: self._v9, 10: self._ipfix}.get(version)
        if reader is None:
            return self._wrong(f"a datagram of version {version}")
        return reader(at, end, exporter)

    def _wrong(self, cause: str) -> str:
        self._spoilt(cause)
        return cause

    def _v9(self, at: int, end: int, exporter: str) -> str | None:
        if end - at < V9_HEADER:
            return self._wrong("a NetFlow v9 header that is cut")
        b = self._buffer
        # RFC 3954 5.1: version, count, sysUpTime ms, unix seconds, sequence number, source id
        export_ns = _u32(b, at + 8) * 1_000_000_000
        boot_ns = export_ns - _u32(b, at + 4) * 1_000_000
        key = (exporter, 9, _u32(b, at + 16))
        self._sequence("datagrams", key, _u32(b, at + 12), 1)
        return self._sets(at + V9_HEADER, end, key, export_ns, boot_ns)[0]

    def _ipfix(self, at: int, end: int, exporter: str) -> str | None:
        if end - at < IPFIX_HEADER:
            return self._wrong("an IPFIX header that is cut")
        b = self._buffer
        # RFC 7011 3.1: version, length, export time s, sequence number, observation domain
        end = min(end, at + _u16(b, at + 2))
        export_ns = _u32(b, at + 4) * 1_000_000_000
        key = (exporter, 10, _u32(b, at + 12))
        sequence = _u32(b, at + 8)
        cause, records = self._sets(at + IPFIX_HEADER, end, key, export_ns, -1)
        # RFC 7011 3.1: the sequence number counts data records; a set that cannot be read hides how many it holds.
        self._sequence("records", key, sequence, records or 0)
        if records is None:
            self._expected.pop(key, None)
        return cause

    def _sets(self, at: int, end: int, key: Key, export_ns: int, boot_ns: int) -> tuple[str | None, int | None]:
        """Read the sets of one datagram. Returns (what is wrong, data records in it or None where that cannot be told)."""
        b = self._buffer
        records: int | None = 0
        ipfix = key[1] == 10
        kinds = (2, 3) if ipfix else (0, 1)
        while at + 4 <= end:
            number, size = _u16(b, at), _u16(b, at + 2)
            if size < 4 or at + size > end:
                return self._wrong(f"a set of {size} bytes where {end - at} are left"), None
            if number in kinds:
                self._learn(b[at + 4 : at + size].tobytes(), key, ipfix=ipfix, options=number == kinds[1])
            elif number >= 256:
                template = self._templates.get((key, number))
                if template is None:
                    self._wait(_Waiting(key, number, b[at + 4 : at + size].tobytes(), export_ns, boot_ns, at + 4 + self._base))
                    records = None
                else:
                    n = self._data(template, at + 4, at + size, key, export_ns, boot_ns)
                    records = None if n is None or records is None else records + n
            at += size
        return None, records

    # -- templates ---------------------------------------------------------------------------------------------------------

    def _learn(self, data: bytes, key: Key, *, ipfix: bool, options: bool) -> None:
        parsed = t.parse_templates(data, ipfix=ipfix, options=options)
        if parsed.wrong is not None:
            self._spoilt(parsed.wrong)
        for number, template in parsed.found.items():
            if template is None:
                self._templates.pop((key, number), None)
            elif (key, number) in self._templates or len(self._templates) < limits.MAX_TEMPLATES:
                if self._templates.get((key, number)) != template:
                    self._templates[key, number] = template
                    self._read_waiting(key, number, template)

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._waiting_bytes += len(waiting.data)
        while self._waiting_bytes > limits.MAX_TEMPLATE_WAIT_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft().data)
            self._dropped_sets += 1

    def _read_waiting(self, key: Key, number: int, template: t.Template) -> None:
        mine = [w for w in self._waiting if w.key == key and w.number == number]
        if not mine:
            return
        self._waiting = deque(w for w in self._waiting if not (w.key == key and w.number == number))
        self._late_sets += len(mine)
        self._flush_sets()
        held, base = self._buffer, self._base
        for w in mine:
            self._waiting_bytes -= len(w.data)
            # Each in a buffer of its own, so that offsets stay those of the file.
            self.begin(np.frombuffer(bytearray(w.data), dtype=np.uint8), w.at)
            self._data(template, 0, len(w.data), key, w.export_ns, w.boot_ns)
            self._flush_sets()
        self.begin(held, base)

    # -- data --------------------------------------------------------------------------------------------------------------

    def _data(self, template: t.Template, at: int, end: int, key: Key, export_ns: int, boot_ns: int) -> int | None:
        """Note a data set to be read; options at once. Returns how many records it holds, None where only reading tells."""
        if template.options:
            return self._options(template, at, end, key, export_ns, boot_ns)
        self._switch(key[1], key[0])
        o = self._open
        place = o.index.get(id(template))
        if place is None:
            place = o.index[id(template)] = len(o.templates)
            o.templates.append(template)
        if not self._domains or self._domains[-1] != key:
            self._domains.append(key)
        o.sets.append((at, end, place, export_ns, boot_ns, len(self._domains) - 1))
        o.rows += (end - at) // template.min_bytes
        if o.rows >= limits.LOG_ROWS_AT_ONCE:
            self._flush_sets()
        if any(size == t.VARIABLE for _, size in template.fields):
            return None
        return (end - at) // template.min_bytes

    def _read(self, sets: NDArray[np.int64], templates: list[t.Template]) -> tuple[Records, NDArray[np.int64]]:
        begins, fields = t.flatten(templates)
        room = t.room_for(sets, templates)
        out, offset = t.wide(room), np.empty(room, dtype=np.int64)
        n = int(t.read_sets(self._buffer, sets, begins, fields, out, offset))
        return out[:, :n], offset[:n]

    def _options(self, template: t.Template, at: int, end: int, key: Key, export_ns: int, boot_ns: int) -> int:
        sets = np.array([(at, end, 0, export_ns, boot_ns, 0)], dtype=np.int64).T
        out, _ = self._read(np.ascontiguousarray(sets), [template])
        rates = t.sampling_of(out)
        for sampler, rate in zip(out[t.X_SAMPLER].tolist(), rates.tolist(), strict=True):
            if rate > 0 and (key in self._sampling or len(self._sampling) < limits.MAX_EXPORTERS):
                known = self._sampling.setdefault(key, {})
                if sampler in known or len(known) < 256:
                    known[sampler] = min(rate, 2**31 - 1)
        return len(rates)

    def _switch(self, version: int, exporter: str) -> None:
        """Records of one block come from one exporter."""
        if (self._open.version, self._open.exporter) != (version, exporter):
            self._flush_sets()
            self._open.version, self._open.exporter = version, exporter

    def _flush_sets(self) -> None:
        o = self._open
        if not o.sets:
            return
        sets = np.ascontiguousarray(np.array(o.sets, dtype=np.int64).T)
        out, offset = self._read(sets, o.templates)
        t.settle(out)
        domain = sets[t.S_DOMAIN][out[t.X_SET]]
        for number in np.unique(domain).tolist():
            self._apply_sampling(out, domain == number, self._domains[number])
        self._open = _Open(version=o.version, exporter=o.exporter)
        self._domains = []
        for begin in range(0, out.shape[1], limits.LOG_ROWS_AT_ONCE):
            part = slice(begin, begin + limits.LOG_ROWS_AT_ONCE)
            self._emit(out[:FIELDS, part], offset[part], o.version, o.exporter)

    def _apply_sampling(self, out: Records, mine: NDArray[np.bool_], key: Key) -> None:
        rates = self._sampling.get(key)
        if not rates:
            return
        # A record names its sampler, or the exporter has one for all (an options record without a sampler), or only one.
        everywhere = rates.get(-1, next(iter(rates.values())) if len(rates) == 1 else 1)
        sampler = out[t.X_SAMPLER]
        silent = mine & (out[SAMPLING] == 1)
        out[SAMPLING][silent & ~np.isin(sampler, list(rates))] = everywhere
        for number, rate in rates.items():
            out[SAMPLING][silent & (sampler == number)] = rate

    def _emit(self, records: Records, offset: NDArray[np.int64], version: int, exporter: str) -> None:
        n = records.shape[1]
        records[RECORD] = np.arange(self.records + 1, self.records + n + 1)
        self.records += n
        sampled = records[SAMPLING] > 1
        if sampled.any():
            self._sampled += int(sampled.sum())
            self._rates |= set(np.unique(records[SAMPLING][sampled]).tolist()[:64])
        made = block(records, _SOURCES[version], offset + self._base)
        if exporter:
            made.texts = {**made.texts, "sensor": dictionary(np.zeros(n, dtype=np.int32), (exporter,))}
        self._blocks.append(made)

    def put_back(self, blocks: list[Block]) -> None:
        """Blocks that the next `flush` gives first."""
        self._blocks = blocks + self._blocks

    def flush(self) -> list[Block]:
        """The blocks of what was read so far. After this the buffer may be reused."""
        self._flush_sets()
        blocks, self._blocks = self._blocks, []
        return blocks


def v9_end(buffer: NDArray[np.uint8], at: int, end: int) -> tuple[int, bool]:
    """Where the v9 datagram at `at` ends in a file of datagrams, and whether that is certain: its last set may be followed by
    another one that has not been read yet."""
    at += V9_HEADER
    while at + 4 <= end:
        number, size = _u16(buffer, at), _u16(buffer, at + 2)
        if 1 < number < 256 or size < 4:
            return at, True
        if at + size > end:
            return at, False
        at += size
    return min(at, end), False


class NetflowFile:
    """Reader of a file of datagrams."""

    def __init__(self) -> None:
        self._collector = Collector()
        self._base = 0
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        c = self._collector
        c.begin(buffer, self._base)
        at, damage = 0, None
        while damage is None and at + 4 <= length:
            version = _u16(buffer, at)
            stop, damage = self._one(buffer, at, length, version, final=final)
            if stop == at:
                break
            at = stop
        if damage is None and final and at < length:
            damage = self._tail(buffer, at, length)
        blocks = c.flush()
        self._base += at
        self.counts = c.counts
        return Took(at, blocks, damage)

    def _place(self, at: int) -> str:
        return f"byte {self._base + at}, record {self._collector.records + 1}"

    def _one(self, buffer: NDArray[np.uint8], at: int, length: int, version: int, *, final: bool) -> tuple[int, str | None]:
        """Read what begins at `at`: where it ends (`at` = more bytes are needed), and what ends the reading."""
        c = self._collector
        if version in LAYOUTS:
            stop = c.fixed(at, length, version)
            header_bytes, record_bytes = LAYOUTS[version]
            size = header_bytes + _u16(buffer, at + 2) * record_bytes
            if stop == at and (size > 65535 or at + size <= length):
                return at, f"{self._place(at)}: a NetFlow v{version} header that says {_u16(buffer, at + 2)} records"
            return stop, None
        if version == 9:
            if at + V9_HEADER > length:
                return at, None
            stop, certain = v9_end(buffer, at, length)
            if not certain and not (final and stop == length):
                return at, None
            c.datagram(at, stop)
            return stop, None
        if version == 10:
            size = _u16(buffer, at + 2)
            if size < IPFIX_HEADER:
                return at, f"{self._place(at)}: an IPFIX message of {size} bytes"
            if at + size > length:
                return at, None
            c.datagram(at, at + size)
            return at + size, None
        return at, f"{self._place(at)}: no datagram of NetFlow or IPFIX begins here (version {version})"

    def _tail(self, buffer: NDArray[np.uint8], at: int, length: int) -> str:
        """The last datagram is cut: read what is whole of it."""
        place = self._place(at)
        version = _u16(buffer, at) if at + 2 <= length else 0
        if version in LAYOUTS and at + 4 <= length:
            header_bytes, record_bytes = LAYOUTS[version]
            whole = (length - at - header_bytes) // record_bytes
            if whole > 0:
                short = buffer[at : at + header_bytes + whole * record_bytes].copy()
                short[2], short[3] = whole >> 8, whole & 0xFF
                self._cut(short, at)
        elif version in (9, 10) and length - at > V9_HEADER:
            part = buffer[at:length].copy()
            stop = v9_end(part, 0, part.size)[0] if version == 9 else _whole_sets(part)
            if stop > V9_HEADER:
                self._cut(part[:stop].copy(), at)
        return f"{place}: the last datagram is cut after {length - at} bytes"

    def _cut(self, part: NDArray[np.uint8], at: int) -> None:
        c = self._collector
        held = c.flush()
        c.begin(part, self._base + at)
        c.datagram(0, part.size)
        late = c.flush()
        c.put_back(held + late)


def _whole_sets(part: NDArray[np.uint8]) -> int:
    """Where the last whole set of a cut IPFIX message ends."""
    at = IPFIX_HEADER
    while at + 4 <= part.size:
        size = _u16(part, at + 2)
        if size < 4 or at + size > part.size:
            break
        at += size
    return at


_YEARS_S: Final = (600_000_000, 4_200_000_000)
"""Export times that are believed when a file is looked at: 1989 to 2103."""


def recognise(head: bytes) -> bool:
    """Whether a file begins with a datagram: version, a count or length, a time, and what must follow."""
    b = np.frombuffer(head, dtype=np.uint8)
    if b.size < 16:
        return False
    version, count = _u16(b, 0), _u16(b, 2)
    if version in LAYOUTS:
        header_bytes, record_bytes = LAYOUTS[version]
        size = header_bytes + count * record_bytes
        if not 1 <= count <= 255 or not _YEARS_S[0] < _u32(b, 8) < _YEARS_S[1] or _u32(b, 12) >= 1_000_000_000:
            return False
        return b.size < size + 2 or _u16(b, size) in _SOURCES
    if version == 9 and b.size >= V9_HEADER + 4:
        number, size = _u16(b, V9_HEADER), _u16(b, V9_HEADER + 2)
        sound = 1 <= count <= MAX_RECORDS and _YEARS_S[0] < _u32(b, 8) < _YEARS_S[1] and size >= 4
        following = _u16(b, V9_HEADER + size) if V9_HEADER + size + 2 <= b.size else 0
        return sound and all(n in (0, 1, 9) or n >= 256 for n in (number, following)) and number != 9
    if version == 10 and b.size >= IPFIX_HEADER + 4:
        number, size = _u16(b, IPFIX_HEADER), _u16(b, IPFIX_HEADER + 2)
        sound = number in (2, 3) or number >= 256
        return count >= IPFIX_HEADER and _YEARS_S[0] < _u32(b, 4) < _YEARS_S[1] and sound and 4 <= size <= count
    return False


def _open_file(head: bytes, options: Options) -> NetflowFile:
    return NetflowFile()


FORMAT: Final = Format(recognise, _open_file)
