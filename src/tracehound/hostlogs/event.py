"""In: nothing. Out: the shape of one statement of a host about itself, what its readers are, and how times in text are read.
Never here: a format."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracehound import limits

S_NS: Final = 1_000_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MONTHS: Final = {m: i for i, m in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}


class Event(NamedTuple):
    """One row of table `host_events` as a reader gives it; times are the host's own, ns UTC."""

    line: int
    ts_ns: int | None
    time_kind: str
    kind: str
    path: str | None = None
    process: str | None = None
    pid: int | None = None
    user: str | None = None
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    peer: str | None = None
    peer_port: int | None = None
    detection: str | None = None
    message: str | None = None
    note: str | None = None


class Bad(NamedTuple):
    """A line that a reader could make nothing of."""

    line: int
    cause: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a listing does not say itself.

    zone      its time zone where it names none
    made_ns   when it was made (the file's own time): the year of times that have none"""

    zone: datetime.tzinfo = datetime.UTC
    made_ns: int | None = None


Lines = Iterable[tuple[int, str]]
"""Lines with their numbers from 1, without their ends."""
Reader = Callable[[Lines, Context], Iterator[Event | Bad]]


def clipped(text: str | None) -> str | None:
    """Text within the bound of a cell; empty text is null."""
    return text[: limits.MAX_HOST_TEXT_CHARACTERS] or None if text else None


def epoch_ns(text: str) -> int | None:
    """Seconds since 1970 as text, with a fraction or without; 0 and negative ones mean "not known" (The Sleuth Kit, body file)."""
    whole, _, fraction = text.strip().partition(".")
    if not whole.isdigit() or len(whole) > 11 or (fraction and not fraction.isdigit()):
        return None
    ns = int(whole) * S_NS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    return ns if 0 < ns < 2**63 else None


_ISO: Final = re.compile(
    r"(\d{4})[-/](\d{2})[-/](\d{2})(?:[T +]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)


def iso_ns(text: str, zone: datetime.tzinfo) -> int | None:
    """A time as ISO 8601 and its relatives write it (2002-08-12T04:30:00.5+12:00); `zone` where it names none. None = not one."""
    found = _ISO.match(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    where: datetime.tzinfo = zone
    if offset in ("Z", "UTC", "GMT"):
        where = datetime.UTC
    elif offset:
        sign = -1 if offset[0] == "-" else 1
        digits = offset[1:].replace(":", "")
        where = _offset(sign * (int(digits[:2]) * 60 + int(digits[2:])))
    ns = moment_ns((int(year), int(month), int(day)), (int(hour or 0), int(minute or 0), int(second or 0)), where)
    return None if ns is None else ns + (int(fraction.ljust(9, "0")) if fraction else 0)


def _offset(minutes: int) -> datetime.tzinfo:
    return datetime.timezone(datetime.timedelta(minutes=minutes)) if abs(minutes) < 24 * 60 else datetime.UTC


def moment_ns(day: tuple[int, int, int], clock: tuple[int, int, int], zone: datetime.tzinfo) -> int | None:
    """ns UTC of (year, month, day) and (hour, minute, second); None where there is no such moment."""
    try:
        moment = datetime.datetime(*day, *clock, tzinfo=zone)
        ns = (moment - _EPOCH) // datetime.timedelta(seconds=1) * S_NS
    except (ValueError, OverflowError):
        return None
    return ns if -(2**63) < ns < 2**63 else None


def year_for(month: int, day: int, context: Context) -> tuple[int, str]:
    """The year of a time without one: the latest that is not after the listing was made; and the note that says so."""
    if context.made_ns is None:
        return 1970, "no year is said, and none is known: 1970"
    made = _EPOCH + datetime.timedelta(seconds=context.made_ns // S_NS)
    year = made.year if (month, day) <= (made.month, made.day) else made.year - 1
    return year, f"no year is said: {year} from when the listing was made"
