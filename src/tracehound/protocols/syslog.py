"""In: syslog over UDP or TCP. Out: one row of table `syslog` a message. Never here: what a program means by its words.

RFC 3164 and 5424 (messages), 6587 (TCP: lines, or lengths in decimal)."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_TEXT_COMMANDS, MAX_TEXT_LINE_BYTES
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, swapped
from tracehound.protocols.session import Datagram, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_FACILITIES: Final = (
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "NTP", "AUDIT", "ALERT", "CLOCK",
    "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
)  # fmt: skip
_SEVERITIES: Final = ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")
_PRIORITY: Final = re.compile(rb"<(\d{1,3})>")
_OLD: Final = re.compile(
    rb"(?:\d{1,10}: )?\*?[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)? (?:[A-Z]{3}: )?"
    rb"(?:([^\s:\[]{1,255}) )?([^\s:\[]{1,64})?[:\[]"
)
"""RFC 3164 4.1: time, host, tag; some leave the host out."""
_NEW: Final = re.compile(rb"1 \S{1,64} (\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} ")
"""RFC 5424 6: version, time, host, program, process, kind of message; "-" where nothing is said."""
_TAG: Final = re.compile(rb"([\w./-]{1,48})(?:\[\d{1,10}\])?: ")
_COUNTED: Final = re.compile(rb"([1-9]\d{0,4}) (?=<)")


def _word(raw: bytes | None) -> str | None:
    return words_of(raw) if raw and raw != b"-" else None


def cells(raw: bytes) -> tuple[str | None, str | None, str | None, str | None, str]:
    """facility, severity, host_name, program, message"""
    found = _PRIORITY.match(raw)
    facility = severity = None
    if found is not None:
        number = int(found.group(1))
        raw = raw[found.end() :]
        facility = _FACILITIES[number >> 3] if number >> 3 < len(_FACILITIES) else str(number >> 3)
        severity = _SEVERITIES[number & 7]
    head = _NEW.match(raw) or _OLD.match(raw)
    host, program = (head.group(1), head.group(2)) if head is not None else (None, None)
    if head is None:
        tag = _TAG.match(raw)
        program = tag.group(1) if tag is not None else None
    return facility, severity, _word(host), _word(program), words_of(raw.rstrip(b"\0\r\n"))


class SyslogDatagrams:
    """All flows of syslog over UDP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, Reporter] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = Reporter(FlowEnds(d.flow_id, "", 0, "", 0), self._emit)
        flow.ends = FlowEnds(d.flow_id, d.src, d.sport, d.dst, d.dport)
        number = flow.number("syslog")
        if number is None:
            return True
        note = "cut" if len(d.data) < d.length else None
        self._emit("syslog", (*flow.begin(number, d.ts_ns), *cells(d.data), d.packet_id, note))
        return False

    def end(self, flow_id: int) -> None:
        self._flows.pop(flow_id, None)


class SyslogSession(Reporter):
    """Syslog over TCP. Who sends messages is the client."""

    def __init__(self, ends: FlowEnds, emit: Emit, sender: bool) -> None:
        super().__init__(ends if sender else swapped(ends), emit)
        self.finished = False
        self._sender = sender
        self._held = b""
        self._where = (0, 0)
        self._rows = 0
        self._skip = False

    def feed(self, chunk: Chunk) -> None:
        if chunk.from_originator != self._sender:
            return
        if chunk.gap_before:
            self.note("bytes are missing")
            self._held, self._skip = b"", True
        data, at = self._held + chunk.data, 0
        base = chunk.offset - len(self._held)
        while at < len(data):
            counted = _COUNTED.match(data, at)
            if counted is not None:
                begin, stop = counted.end(), counted.end() + int(counted.group(1))
                end = stop
            else:
                begin, stop = at, data.find(b"\n", at)
                end = stop + 1
            if stop < 0 or stop > len(data):
                if len(data) - at <= MAX_TEXT_LINE_BYTES:
                    break
                begin, stop, end = at, at + MAX_TEXT_LINE_BYTES, at + MAX_TEXT_LINE_BYTES
            where = self._where if at < len(self._held) else chunk.segments.packet_at(base + at)
            message = data[begin:stop]
            if message.strip() and not self._skip:
                self.row("syslog", where[1], *cells(message), where[0], self.said)
                self._rows += 1
            self._skip = False
            at = end
        if at < len(data) and at >= len(self._held):
            self._where = chunk.segments.packet_at(base + at)
        self._held = data[at:]
        self.finished = self._rows >= MAX_TEXT_COMMANDS

    def close(self, note: str) -> None:
        if self._held.strip() and not self._skip:
            self.row("syslog", self._where[1], *cells(_COUNTED.sub(b"", self._held, count=1)), self._where[0], "cut")


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> SyslogSession:
    """Opener for STREAMS."""
    return SyslogSession(ends, emit, chunk.from_originator)
