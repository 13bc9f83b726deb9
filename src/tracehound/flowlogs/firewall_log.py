"""In: a log of a firewall's lines (iptables, nftables, ufw, Cisco ASA/FTD/PIX, pf, pfSense), other lines of a syslog between them. Out:
blocks: what was refused as attempts with their outcome, what was let pass as mentions, and the connections whose beginning and end
an ASA tells, tied together. Never here: how a line reads (firewall_lines.py), times of lines (syslog_times.py)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import firewall_lines as f
from tracehound.flowlogs.delimited import address_of, protocol_number
from tracehound.flowlogs.lines import decoded, split, whole_lines
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, Block, Format, Options, Took
from tracehound.flowlogs.syslog_times import Times
from tracehound.flows.tcp_outcome import CONN_STATES, OUTCOME_NAMES

_OUT: Final = {name: code for code, name in enumerate(OUTCOME_NAMES)}
_STATE: Final = {name: code for code, name in enumerate(CONN_STATES)}

_COLUMNS: Final = (
    "number", "start", "end", "src", "dst", "proto", "sport", "dport", "pkts_src", "bytes_src", "tcp_flags_src", "joins", "syn_count",
    "outcome", "conn_state", "ttl_src", "icmp_type", "icmp_code", "icmp_from", "sensor", "state", "cause", "uid", "proto_name", "certain",
)  # fmt: skip
_TEXTS: Final = ("sensor", "state", "cause", "uid", "proto_name")
_ADDRESSES: Final = ("src", "dst", "icmp_from")

Record = dict[str, Any]


class _Remembered:
    """Addresses of a log repeat: each text is read once, up to a bound."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def __call__(self, text: str) -> str | None:
        if text not in self._known:
            if len(self._known) > 65_536:
                self._known.clear()
            self._known[text] = address_of(text)
        return self._known[text]


class FirewallFile:
    """Reader of one log."""

    def __init__(self, options: Options) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._times = Times(options)
        self._line = 0
        self._base = 0
        self._built: dict[tuple[str | None, str], tuple[int, int, f.Said]] = {}
        self._rows: dict[str, list[Record]] = {}
        self._others = 0
        self._address = _Remembered()

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        if cut.too_long:
            return Took(0, [], f"byte {self._base}, line {self._line + 1}: a line longer than {limits.MAX_LOG_RECORD_BYTES} bytes")
        for line in split(cut.text):
            self._line += 1
            self._read(decoded(line[: limits.MAX_SYSLOG_CHARACTERS]))
        if final:
            for (host, _), (number, start, said) in self._built.items():
                self._add("asa", self._connection(said, number, start, start, host))
            self._built.clear()
        self._base += cut.consumed
        self._tell()
        rows, self._rows = self._rows, {}
        return Took(cut.consumed, [b for source, found in rows.items() for b in _blocks(source, found, self._address)])

    def _tell(self) -> None:
        if self._others:
            note = "they are no firewall's word on a packet or a connection"
            self.counts["lines that tell of no flow"] = (self._others, note)
        if self._times.guessed:
            note = "the year is inferred from when the file was written"
            if self._times.unknown:
                note = "nothing says which year it is: 1970 is taken"
            self.counts["times without a year"] = (self._times.guessed, note)

    def _read(self, line: str) -> None:
        head = self._times.head(line)
        found = f.read(head[2]) if head is not None else None
        if head is None or found is None:
            self._others += 1 if line.strip() else 0
            return
        start, host, _ = head
        source, said = found
        if said.action == f.BUILT:
            self._begin(said, start, host)
        elif said.action == f.TEARDOWN:
            self._end(said, start, host)
        else:
            # Of an ICMP error what it answers is told: the attempt that it ended.
            answers = said.about is not None and said.icmp is not None
            self._add(source, (_answer if answers else _packet)(said, self._line, start, host))

    def _add(self, source: str, record: Record) -> None:
        self._rows.setdefault(source, []).append(record)

    # -- connections of an ASA ---------------------------------------------------------------------------------------------------

    def _begin(self, said: f.Said, start: int, host: str | None) -> None:
        self._built[host, said.key or ""] = (self._line, start, said)
        if len(self._built) > limits.MAX_BUILT_CONNECTIONS:
            oldest = next(iter(self._built))
            number, began, given_up = self._built.pop(oldest)
            self._add("asa", self._connection(given_up, number, began, began, oldest[0]))

    def _end(self, said: f.Said, end: int, host: str | None) -> None:
        began = self._built.pop((host, said.key or ""), None)
        start = end - (said.duration_s or 0) * 1_000_000_000
        if began is None:
            self._add("asa", self._connection(said, self._line, start, end, host, teardown=said))
        else:
            self._add("asa", self._connection(began[2], self._line, min(began[1], end), end, host, teardown=said))

    def _connection(
        self, said: f.Said, number: int, start: int, end: int, host: str | None, *, teardown: f.Said | None = None
    ) -> Record:
        record = _common(said, number, start, host)
        # A mention, as the packets of each side are not told.
        record |= {"end": end, "joins": MENTION, "state": "built" if teardown is None else "teardown"}
        record["certain"] = said.whole
        record["uid"] = said.key
        if teardown is not None:
            record["cause"] = teardown.word
            record["outcome"], record["conn_state"] = _how_it_went(said.proto, teardown, known=said.whole)
        return record


def _how_it_went(proto: str, teardown: f.Said, *, known: bool) -> tuple[int, int]:
    """Outcome and conn_state as far as an ASA's word for the end tells. Its bytes are payload of both sides together: none at all
    means that nothing was said; some do not tell who spoke."""
    reason, silent = teardown.word or "", teardown.size == 0
    if proto.upper() != "TCP":
        return MISSING, MISSING
    if "SYN Timeout" in reason:
        return _OUT["unanswered"], _STATE["S0"]
    if "TCP FINs" in reason:
        return (_OUT["accepted"] if silent else MISSING), _STATE["SF"]
    if known and silent and teardown.duration_s == 0 and "TCP Reset" in reason:
        # A reset at once, before a byte: the SYN was answered so.
        return _OUT["refused"], _STATE["REJ"]
    return MISSING, MISSING


def _common(said: f.Said, number: int, start: int, host: str | None) -> Record:
    return {
        "number": number, "start": start, "end": start, "src": said.src, "dst": said.dst, "proto": protocol_number(said.proto),
        "proto_name": said.proto or None, "sport": said.sport, "dport": said.dport, "sensor": host, "certain": True,
        "icmp": said.icmp,
    }  # fmt: skip


def _packet(said: f.Said, number: int, start: int, host: str | None) -> Record:
    """A packet that a rule met. What was refused is an attempt; of what was let pass the line does not tell what became of it."""
    record = _common(said, number, start, host)
    record["state"], record["cause"] = said.action, said.word
    if said.icmp is not None:
        record["sport"], record["dport"] = said.icmp
    flags = said.flags
    # A SYN says who began; any other packet may be an answer.
    record["certain"] = flags is None or flags & 0x12 == 2
    if said.action not in (f.DENIED, f.REJECTED):
        return record | {"joins": MENTION}
    tcp = record["proto"] == 6
    attempt = not tcp or flags is None or flags & 0x12 == 2
    record |= {
        "joins": ONE_WAY, "pkts_src": said.packets, "bytes_src": said.size, "tcp_flags_src": flags, "ttl_src": said.ttl,
        "syn_count": said.packets if tcp and flags is not None and flags & 0x17 == 2 else None,
    }  # fmt: skip
    if attempt:
        refusal = "refused" if tcp else "unreachable"
        record["outcome"] = _OUT[refusal if said.action == f.REJECTED else "unanswered"]
    return record


def _answer(said: f.Said, number: int, start: int, host: str | None) -> Record:
    """An ICMP error in the log, as the packet that it answers: that one could not be delivered."""
    quoted = said.about
    assert quoted is not None and said.icmp is not None
    record = _common(quoted, number, start, host)
    return record | {
        "joins": MENTION, "icmp_type": said.icmp[0], "icmp_code": said.icmp[1], "icmp_from": said.src, "state": "icmp error",
    }  # fmt: skip


def _line_of(record: Record) -> int:
    number: int = record["number"]
    return number


def _numbers(found: list[Record], name: str) -> NDArray[np.int64]:
    return np.array([MISSING if (v := r.get(name)) is None else v for r in found], dtype=np.int64)


def _blocks(source: str, found: list[Record], address: _Remembered) -> list[Block]:
    """Records as blocks; those without addresses are no records (a rule that logs other than IP)."""
    found.sort(key=_line_of)
    ends = {name: [None if (v := r.get(name)) is None else address(v) for r in found] for name in _ADDRESSES}
    sound = [a is not None and b is not None for a, b in zip(ends["src"], ends["dst"], strict=True)]
    if not all(sound):
        found = [r for r, s in zip(found, sound, strict=True) if s]
        ends = {name: [v for v, s in zip(values, sound, strict=True) if s] for name, values in ends.items()}
    blocks = []
    for begin in range(0, len(found), limits.LOG_ROWS_AT_ONCE):
        part = slice(begin, begin + limits.LOG_ROWS_AT_ONCE)
        blocks.append(_block(source, found[part], {name: values[part] for name, values in ends.items()}))
    return blocks


def _block(source: str, found: list[Record], ends: dict[str, list[str | None]]) -> Block:
    icmp = np.array([r["icmp"] is not None for r in found], dtype=np.bool_)
    sport, dport = _numbers(found, "sport"), _numbers(found, "dport")
    if icmp.any():
        sport = np.where(icmp, np.array([r["icmp"][0] if r["icmp"] else 0 for r in found]), sport)
        dport = np.where(icmp, np.array([r["icmp"][1] if r["icmp"] else 0 for r in found]), dport)
    return Block(
        number=_numbers(found, "number"), start=_numbers(found, "start"), end=_numbers(found, "end"),
        src=pa.array(ends["src"], pa.string()), dst=pa.array(ends["dst"], pa.string()), source=f"firewall {source}",
        proto=_numbers(found, "proto"), sport=sport, dport=dport, pkts_src=_numbers(found, "pkts_src"),
        bytes_src=_numbers(found, "bytes_src"), tcp_flags_src=_numbers(found, "tcp_flags_src"),
        joins=_numbers(found, "joins").astype(np.uint8), syn_count=_numbers(found, "syn_count"),
        outcome=_numbers(found, "outcome"), conn_state=_numbers(found, "conn_state"), ttl_src=_numbers(found, "ttl_src"),
        certain=np.array([bool(r["certain"]) for r in found], dtype=np.bool_), icmp_type=_numbers(found, "icmp_type"),
        icmp_code=_numbers(found, "icmp_code"), icmp_from=pa.array(ends["icmp_from"], pa.string()),
        texts={name: pa.array([r.get(name) for r in found], pa.string()) for name in _TEXTS},
    )  # fmt: skip


def recognise(head: bytes) -> bool:
    """Whether one of the first lines is a firewall's, behind a time."""
    times = Times(Options(year=2000))
    for line in split(head)[:200]:
        found = times.head(decoded(line[: limits.MAX_SYSLOG_CHARACTERS]))
        if found is not None and f.read(found[2]) is not None:
            return True
    return False


def _open_file(head: bytes, options: Options) -> FirewallFile:
    return FirewallFile(options)


FORMAT: Final = Format(recognise, _open_file)
