"""In: the beginning of a syslog line. Out: its time, the host that wrote it, and the message. Never here: what a message means.

RFC 3164 ("Nov 27 07:00:00 host ..."), RFC 5424 ("<134>1 2026-11-27T07:00:00.5Z host app - - - ..."), and what rsyslog, Cisco and
tcpdump make of them. RFC 3164 has no year: the first line's is the latest that does not lie behind the time at which the file was
written, and it goes on where December turns into January."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from tracehound.flowlogs.reader import Options

_MONTHS: Final = {m: n for n, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}
_RFC3164: Final = re.compile(
    r"^(?:<\d{1,3}>)?(?:\d+: )?[*.]?([A-Z][a-z]{2}) +(\d{1,2})(?:,)? +(?:(\d{4}) +)?"
    r"(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?: ([A-Z]{3,4}))?:? +"
)
_RFC5424: Final = re.compile(r"^<\d{1,3}>1 (\S+) (\S+) (\S+) (\S+) (\S+) (?:-|(?:\[[^\]]*\])+) ?")
_ISO: Final = re.compile(r"^(?:<\d{1,3}>)?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) +")
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:(Z)|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_CLOCK: Final = re.compile(r"^(\d{2}):(\d{2}):(\d{2})\.(\d{1,9}) +")
_HOST: Final = re.compile(r"^(?!rule\b|%|IN=|\[)([\w.:-]+)(?: :)? +")
_DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class Times:
    """What is known of the log's time between lines.

    year      of the line before; None = not known yet
    month     of the line before
    guessed   lines whose year was inferred
    unknown   nothing says which year it is"""

    options: Options
    year: int | None = None
    month: int = 0
    day_s: int | None = None
    clock_s: int = 0
    guessed: int = 0
    unknown: bool = False

    def head(self, line: str) -> tuple[int, str | None, str] | None:
        """(ns since 1970, host, message) of a line; None if it does not begin with a time."""
        m = _RFC3164.match(line)
        if m is not None and m[1].lower() in _MONTHS:
            return self._rfc3164(m, line[m.end() :])
        m = _RFC5424.match(line)
        if m is not None:
            ns = self._iso(m[1])
            return None if ns is None else (ns, None if m[2] == "-" else m[2], f"{m[3]}: {line[m.end() :]}")
        m = _ISO.match(line)
        if m is not None:
            ns = self._iso(m[1])
            return None if ns is None else (ns, *_host(line[m.end() :]))
        m = _CLOCK.match(line)
        return None if m is None else (self._clock(m), None, line[m.end() :])

    def _iso(self, text: str) -> int | None:
        m = _TIME.fullmatch(text)
        day = None if m is None else _day(int(m[1]), int(m[2]), int(m[3]))
        if m is None or day is None:
            return None
        offset = 0 if m[8] else self.options.utc_offset_s
        if m[9]:
            offset = (-1 if m[9] == "-" else 1) * (int(m[10]) * 3600 + int(m[11]) * 60)
        clock = int(m[4]) * 3600 + int(m[5]) * 60 + int(m[6])
        return (day * _DAY_S + clock - offset) * 1_000_000_000 + int((m[7] or "").ljust(9, "0"))

    def _rfc3164(self, m: re.Match[str], rest: str) -> tuple[int, str | None, str] | None:
        month, day = _MONTHS[m[1].lower()], int(m[2])
        if m[3] is not None:
            self.year = int(m[3])
        else:
            self._roll(month, day)
        since = _day(self.year if self.year is not None else 1970, month, day)
        if since is None:
            return None
        self.month = month
        clock = int(m[4]) * 3600 + int(m[5]) * 60 + int(m[6])
        offset = 0 if m[8] in ("UTC", "GMT") else self.options.utc_offset_s
        ns = (since * _DAY_S + clock - offset) * 1_000_000_000
        return ns + int((m[7] or "").ljust(9, "0")), *_host(rest)

    def _roll(self, month: int, day: int) -> None:
        """The year of a line without one."""
        self.guessed += 1
        if self.year is None:
            self.year = self.options.year
            if self.year is None:
                written = self.options.written_s
                self.unknown = written is None
                self.year = 1970 if written is None else _year_before(written + self.options.utc_offset_s, month, day)
        elif month < self.month - 6:
            self.year += 1
        elif month > self.month + 6 and self.month:
            # A late line of December behind the first of January.
            self.year -= 1

    def _clock(self, m: re.Match[str]) -> int:
        """A time of day only (tcpdump without -tttt): on the day that the file was written, and the next where it goes back."""
        clock = int(m[1]) * 3600 + int(m[2]) * 60 + int(m[3])
        if self.day_s is None:
            written = self.options.written_s
            self.unknown = written is None
            self.day_s = 0 if written is None else (written + self.options.utc_offset_s) // _DAY_S * _DAY_S
        elif clock < self.clock_s - _DAY_S // 2:
            self.day_s += _DAY_S
        self.clock_s = clock
        self.guessed += 1
        return (self.day_s + clock - self.options.utc_offset_s) * 1_000_000_000 + int(m[4].ljust(9, "0"))


def _host(rest: str) -> tuple[str | None, str]:
    m = _HOST.match(rest)
    return (None, rest) if m is None else (m[1].rstrip(":"), rest[m.end() :])


def _day(year: int, month: int, day: int) -> int | None:
    """Days since 1970; None for a day that there is not, or one whose nanoseconds do not fit into 64 bits."""
    if not 1678 <= year <= 2261:
        return None
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def _year_before(written_s: int, month: int, day: int) -> int:
    """The latest year in which that day does not lie behind the time of writing (a day is forgiven: clocks and zones differ)."""
    written = min(max(written_s // _DAY_S + _EPOCH, 1), date.max.toordinal())
    year = date.fromordinal(written).year
    since = _day(year, month, day)
    return year if since is not None and since + _EPOCH <= written + 1 else year - 1
