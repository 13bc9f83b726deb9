"""In: lines of directory listings. Out: one event a file. Never here: forensic timelines (timelines.py).

`find -printf` in the orders that people write, `ls -lR` with and without --full-time, `dir /s` of DOS, Windows 9x, NT and later in
the date orders of their locales. A listing shows the time of last modification unless it was asked for another, which it does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tracehound.hostlogs.event import MONTHS, Bad, Context, Event, Lines, clipped, epoch_ns, iso_ns, moment_ns, year_for

# -- find -printf ---------------------------------------------------------------------------------------------------------

_FIND: Final = re.compile(
    r"(?P<time>\d{9,11}(?:\.\d{1,10})?|\d{4}-\d{2}-\d{2}[+T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,10})?(?:\s?[+-]\d{4}|Z)?)"
    r"[\s|,;]+(?:(?P<size>\d{1,18})[\s|,;]+)?(?P<path>\S.*)"
)


def is_find(line: str) -> bool:
    """%T@ or %T+ or %TY-..., then perhaps %s, then %p, which contains a slash."""
    found = _FIND.fullmatch(line)
    return found is not None and "/" in found["path"] and "|" not in line[len(found["time"]) + 2 :]


def find(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """find -printf '%T@ %s %p\\n' and its relatives."""
    for number, line in lines:
        if not line.strip():
            continue
        found = _FIND.fullmatch(line)
        ns = None
        if found is not None:
            text = found["time"]
            # %T+ writes the day and the time with a plus between them.
            ns = epoch_ns(text) if text[:9].isdigit() else iso_ns(text, context.zone)
        if found is None or ns is None:
            yield Bad(number, "is not a time, perhaps a size, and a path")
            continue
        yield Event(number, ns, "modified", "file", clipped(found["path"]), size=int(found["size"]) if found["size"] else None)


# -- ls -lR ---------------------------------------------------------------------------------------------------------------

_LS: Final = re.compile(
    r"(?P<mode>[-dlbcpsDC][-rwxsStTl]{9}[.+@]?)\s+\d+\s+(?P<user>\S+)\s+\S+\s+(?P<size>\d+|\d+,\s*\d+)\s+"
    r"(?:(?P<full>\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: [+-]\d{4})?)|"
    r"(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<clock>\d{1,2}:\d{2})|(?P<year>\d{4})))\s(?P<name>.+)"
)


def is_ls(line: str) -> bool:
    return _LS.fullmatch(line) is not None


def ls(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """ls -lR: a folder's name and a colon, `total N`, then its entries."""
    folder = ""
    for number, line in lines:
        if not line.strip() or re.fullmatch(r"(?:total|insgesamt|итого) \S+", line):
            continue
        found = _LS.fullmatch(line)
        if found is None:
            if line.endswith(":"):
                folder = line[:-1]
            else:
                yield Bad(number, "is no line of ls -l")
            continue
        ns, note = _ls_time(found, context)
        if ns is None:
            yield Bad(number, "has a time that does not exist")
            continue
        name = found["name"].split(" -> ")[0] if found["mode"].startswith("l") else found["name"]
        path = f"{folder.rstrip('/')}/{name}" if folder else name
        size = int(found["size"]) if found["size"].isdigit() and len(found["size"]) < 19 else None
        yield Event(number, ns, "modified", "file", clipped(path), user=found["user"], size=size, note=note)


def _ls_time(found: re.Match[str], context: Context) -> tuple[int | None, str | None]:
    if found["full"]:
        return iso_ns(found["full"], context.zone), None
    month, day = MONTHS.get(found["month"].lower()), int(found["day"])
    if month is None:
        return None, None
    if found["year"]:
        return moment_ns((int(found["year"]), month, day), (0, 0, 0), context.zone), "the day only is said"
    hour, minute = found["clock"].split(":")
    year, note = year_for(month, day, context)
    return moment_ns((year, month, day), (int(hour), int(minute), 0), context.zone), note


# -- dir /s ---------------------------------------------------------------------------------------------------------------

_DIR_FOLDER: Final = re.compile(
    r"\s*(?:Directory of|Verzeichnis von|R.pertoire de|Directorio de|Directory di|Map van|Katalog von|Diret.rio de)\s+(?P<folder>\S.*)",
    re.IGNORECASE,
)
_DAY: Final = r"(?P<date>\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4})"
_CLOCK: Final = r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})\s*(?P<half>[aApP]\.?[mM]?\.?)?"
_DIR_LATE: Final = re.compile(rf"{_DAY}\s+{_CLOCK}\s+(?:<(?P<dir>\w+)>|(?P<size>[\d.,\s\u00a0]+?))\s+(?P<name>\S.*)")
"""Windows NT and later: date, time, <DIR> or size, name."""
_DIR_DOS: Final = re.compile(
    rf"(?P<stem>\S{{1,8}})\s+(?P<ext>\S{{1,3}}\s)?\s*(?:<(?P<dir>DIR)>|(?P<size>[\d.,]+))\s+{_DAY}\s+{_CLOCK}(?:\s+(?P<name>\S.*))?"
)
"""DOS and Windows 9x: stem, extension, size, date, time, then the long name."""
_DIR_REST: Final = re.compile(
    r"\s*(?:Volume\b|\d[\d.,\s]*\s+(?:File|Dir|Datei|Verzeichnis|bytes)|Total Files|Total dir|Anzahl|Datentr|File Not Found)",
    re.IGNORECASE,
)


def is_dir(line: str) -> bool:
    return _DIR_FOLDER.fullmatch(line) is not None


def dir_listing(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """dir /s. Whether the month or the day comes first is decided once for the whole listing, from a date that allows one only."""
    held: list[tuple[int, str, re.Match[str]]] = []
    order: str | None = None
    folder = ""
    for number, line in lines:
        where = _DIR_FOLDER.fullmatch(line)
        if where is not None:
            folder = where["folder"].strip()
            continue
        found = _DIR_LATE.fullmatch(line.strip()) or _DIR_DOS.fullmatch(line.strip())
        if found is None:
            if line.strip() and not _DIR_REST.match(line):
                yield Bad(number, "is no line of dir")
            continue
        if order is None:
            order = _order(found["date"])
            held.append((number, folder, found))
            if order is not None or len(held) >= _MOST_HELD:
                yield from _dir_events(held, order, context)
                order = order or "month"
                held = []
            continue
        yield from _dir_events([(number, folder, found)], order, context)
    yield from _dir_events(held, order, context)


_MOST_HELD: Final = 50_000
"""Entries that wait for a date that tells the order of day and month."""


def _order(date: str) -> str | None:
    """'year', 'month' or 'day': what comes first; None where both of the last two fit."""
    first, second = (int(p) for p in re.split(r"[-/.]", date)[:2])
    if first > 31:
        return "year"
    if "." in date:  # dd.mm.yyyy is written with points, mm/dd/yyyy never is
        return "day"
    return "day" if first > 12 else "month" if second > 12 else None


def _dir_events(held: list[tuple[int, str, re.Match[str]]], order: str | None, context: Context) -> Iterator[Event | Bad]:
    note = None if order is not None else "month before day is assumed: no date of the listing tells"
    for number, folder, found in held:
        parts = [int(p) for p in re.split(r"[-/.]", found["date"])]
        year, month, day = {"year": (0, 1, 2), "day": (2, 1, 0)}.get(order or "", (2, 0, 1))
        full = parts[year] if parts[year] > 99 else parts[year] + (1900 if parts[year] >= 80 else 2000)
        ns = moment_ns((full, parts[month], parts[day]), _half_day(found), context.zone)
        if ns is None:
            yield Bad(number, f"{found['date']} {found['hour']}:{found['minute']} is no time")
            continue
        name = found["name"] or found["stem"] + (f".{found['ext'].strip()}" if found["ext"] else "")
        if found["dir"] and name.strip() in (".", ".."):
            continue
        size = re.sub(r"\D", "", found["size"] or "")
        path = f"{folder.rstrip(chr(92))}{chr(92)}{name}" if folder else name
        yield Event(number, ns, "modified", "file", clipped(path), size=int(size) if size and len(size) < 19 else None, note=note)


def _half_day(found: re.Match[str]) -> tuple[int, int, int]:
    hour, half = int(found["hour"]), (found["half"] or "").lower()[:1]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour, int(found["minute"]), 0


