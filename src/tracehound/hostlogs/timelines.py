"""In: lines of forensic timelines. Out: their events. Never here: making timelines, or formats of single machines (listings.py).

Sources: The Sleuth Kit wiki, "Body file" (3.x: 11 fields, 2.x: 16) and mactime(1); log2timeline's l2t_csv (17 fields);
Plaso's output modules `l2t_csv`, `dynamic` and `json_line`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tracehound.hostlogs.event import MONTHS, Bad, Context, Event, Lines, clipped, epoch_ns, iso_ns, moment_ns

BODY_FIELDS: Final = (11, 16)
_BODY_TIMES: Final = ("accessed", "modified", "changed", "born")
MAC_TIMES: Final = {"m": "modified", "a": "accessed", "c": "changed", "b": "born"}
L2T_HEADER: Final = "date,time,timezone,macb,source,"


def is_body(line: str) -> bool:
    """A body file: 11 fields (16 before version 3) between bars, the last four or so whole numbers."""
    parts = line.split("|")
    if len(parts) < BODY_FIELDS[0]:
        return False
    return all(p.strip().lstrip("-").replace(".", "", 1).isdigit() for p in parts[-4:]) and len(parts[0]) in (0, 1, 32)


def body(lines: Lines, _context: Context) -> Iterator[Event | Bad]:
    """MD5|name|inode|mode_as_string|UID|GID|size|atime|mtime|ctime|crtime. A file gives one event a time it has."""
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split("|")
        if len(parts) >= BODY_FIELDS[1] and parts[-2].isdigit() and not _mode(parts[-8]):
            # 2.x: MD5|path|device|inode|mode|mode_string|nlink|uid|gid|rdev|size|atime|mtime|ctime|block_size|blocks
            name, size, times = "|".join(parts[1:-14]), parts[-6], parts[-5:-2]
        elif len(parts) >= BODY_FIELDS[0]:
            # A name may hold bars itself: the fields after it are counted from the end.
            name, size, times = "|".join(parts[1:-9]), parts[-5], parts[-4:]
        else:
            yield Bad(number, f"{len(parts)} fields where a body file has {BODY_FIELDS[0]}")
            continue
        md5 = parts[0].lower() if len(parts[0]) == 32 and int(parts[0] or "0", 16) else None
        yield from _file_events(number, name, dict(zip(_BODY_TIMES, times, strict=False)), size, md5)


def _mode(text: str) -> bool:
    return "/" in text or text.startswith(("-", "d", "l", "r"))


def _file_events(number: int, name: str, times: Mapping[str, str], size: str, md5: str | None) -> Iterator[Event]:
    # mactime's own words for entries of a deleted name and of NTFS's second set of times.
    note = "deleted" if name.endswith(" (deleted)") else "NTFS $FILE_NAME" if name.endswith("($FILE_NAME)") else None
    path = name.removesuffix(" (deleted)").removesuffix(" ($FILE_NAME)")
    for kind, text in times.items():
        ns = epoch_ns(text)
        if ns is not None:
            yield Event(
                number, ns, kind, "file", clipped(path), size=int(size) if size.isdigit() and len(size) < 19 else None, md5=md5, note=note
            )


def is_mactime(line: str) -> bool:
    return line.lower().startswith("date,size,type,mode,")


def mactime(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """mactime -d: Date,Size,Type,Mode,UID,GID,Meta,File Name; Type has the letters of macb that fell on this moment."""
    for number, row in _csv(lines):
        if len(row) < 8:
            yield Bad(number, f"{len(row)} fields where mactime writes 8")
            continue
        if row[0].lower() == "date":
            continue
        ns = iso_ns(row[0], context.zone) or _mactime_ns(row[0], context)
        if ns is None:
            yield Bad(number, f"{row[0]!r} is no time")
            continue
        name = ",".join(row[7:])
        note = "deleted" if "(deleted" in name else None
        for letter in row[2].lower():
            if letter in MAC_TIMES:
                yield Event(number, ns, MAC_TIMES[letter], "file", clipped(name.split(" (deleted")[0]), size=_whole(row[1]), note=note)


def _mactime_ns(text: str, context: Context) -> int | None:
    """Mon Aug 12 2002 04:30:00"""
    words = text.split()
    if len(words) != 5 or words[1].lower() not in MONTHS:
        return None
    clock = _clock(words[4])
    if clock is None or not (words[2].isdigit() and words[3].isdigit()):
        return None
    return moment_ns((int(words[3]), MONTHS[words[1].lower()], int(words[2])), clock, context.zone)


def _clock(text: str) -> tuple[int, int, int] | None:
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(p.isdigit() for p in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2]) if len(parts) == 3 else 0


def _whole(text: str) -> int | None:
    text = text.strip().replace(",", "")
    return int(text) if text.isdigit() and len(text) < 19 else None


def _csv(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """CSV rows with the number of the line that each begins on; a quoted field may hold line ends."""
    numbers: list[int] = []

    def feed() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line + "\n"

    reader = csv.reader(feed(), strict=False)
    begun = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as cause:
            row = [str(cause)]
        if row:
            yield (numbers[begun] if begun < len(numbers) else numbers[-1]), row
        begun = len(numbers)


def is_l2t(line: str) -> bool:
    return line.lower().startswith(L2T_HEADER)


def l2t(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """date,time,timezone,MACB,source,sourcetype,type,user,host,short,desc,version,filename,inode,notes,format,extra"""
    for number, row in _csv(lines):
        if row[0].lower() == "date":
            continue
        if len(row) < 15:
            yield Bad(number, f"{len(row)} fields where l2t_csv has 17")
            continue
        day, clock = row[0].split("/"), _clock(row[1])
        # l2t_csv writes MM/DD/YYYY whatever the locale.
        ns = (
            moment_ns((int(day[2]), int(day[0]), int(day[1])), clock, _zone(row[2], context))
            if len(day) == 3 and all(d.isdigit() for d in day) and clock is not None
            else None
        )
        if ns is None:
            yield Bad(number, f"{row[0]!r} {row[1]!r} is no time")
            continue
        kind = SOURCES.get(row[4].upper(), "log")
        times = [MAC_TIMES[c] for c in row[3].lower() if c in MAC_TIMES] if kind == "file" else ["logged"]
        for time_kind in times or ["logged"]:
            yield Event(
                number, ns, time_kind, kind, clipped(row[12] if row[12] != "-" else ""), user=clipped(row[7] if row[7] != "-" else ""),
                message=clipped(row[10]),
            )  # fmt: skip


SOURCES: Final[dict[str, str]] = {
    "FILE": "file", "REG": "registry", "EVT": "log", "EVTX": "log", "LOG": "log", "AV": "detection", "WEBHIST": "log", "LNK": "file",
    "PE": "file", "OLECF": "file", "META": "file", "RECBIN": "file",
}  # fmt: skip
"""log2timeline's short source names."""


def _zone(name: str, context: Context) -> Any:
    import datetime

    return datetime.UTC if name.upper() in ("UTC", "GMT", "Z") else context.zone


def is_plaso_csv(line: str) -> bool:
    return line.lower().startswith("datetime,timestamp_desc,")


def plaso_csv(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """datetime,timestamp_desc,source,source_long,message,parser,display_name,tag"""
    names: list[str] = []
    for number, row in _csv(lines):
        if not names:
            names = [name.lower() for name in row]
            continue
        record = dict(zip(names, row, strict=False))
        ns = iso_ns(record.get("datetime", ""), context.zone)
        if ns is None:
            yield Bad(number, f"{record.get('datetime', '')!r} is no time")
            continue
        kind = SOURCES.get(record.get("source", "").upper(), "log")
        yield Event(
            number, ns, _described(record.get("timestamp_desc", "")), kind,
            clipped(_display(record.get("display_name", ""))), message=clipped(record.get("message", "")),
        )  # fmt: skip


def _display(name: str) -> str:
    """Plaso's display names begin with the path specification: OS:/x, TSK:/x, NTFS:\\x."""
    head, colon, rest = name.partition(":")
    return rest if colon and head.isalnum() and len(head) > 1 else name


DESCRIBED: Final = (
    ("creation", "born"), ("birth", "born"), ("added", "born"), ("modification", "modified"), ("written", "modified"),
    ("access", "accessed"), ("metadata", "changed"), ("change", "changed"), ("last run", "started"), ("start", "started"),
    ("exit", "ended"), ("end", "ended"),
)  # fmt: skip
"""Words of Plaso's timestamp descriptions, tried in order."""


def _described(text: str) -> str:
    lower = text.lower()
    return next((kind for word, kind in DESCRIBED if word in lower), "logged")


def is_plaso_json(line: str) -> bool:
    return line.startswith("{") and '"timestamp_desc"' in line


def plaso_json(lines: Lines, _context: Context) -> Iterator[Event | Bad]:
    """psort -o json_line (also Timesketch's JSONL): `timestamp` in microseconds since 1970 UTC, or `datetime` in ISO 8601."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield Bad(number, "is not JSON")
            continue
        if not isinstance(record, dict):
            yield Bad(number, "is no JSON object")
            continue
        stamp, written = record.get("timestamp"), record.get("datetime")
        ns = iso_ns(written, _context.zone) if isinstance(written, str) else None
        if ns is None and isinstance(stamp, int) and 0 < stamp < 2**63 // 1000:
            ns = stamp * 1000
        kind = _kind_of_data(str(record.get("data_type", "")))
        path = record.get("filename") or record.get("path") or record.get("key_path") or _display(str(record.get("display_name", "")))
        pid = record.get("pid")
        yield Event(
            number, ns, _described(str(record.get("timestamp_desc", ""))) if ns is not None else "seen", kind, clipped(str(path or "")),
            pid=pid if isinstance(pid, int) and 0 <= pid < 2**63 else None, user=clipped(str(record.get("username") or "")),
            size=record["file_size"] if isinstance(record.get("file_size"), int) and 0 <= record["file_size"] < 2**63 else None,
            md5=_hash(record.get("md5_hash"), 32), sha256=_hash(record.get("sha256_hash"), 64),
            message=clipped(str(record.get("message") or "")),
        )  # fmt: skip


def _hash(value: object, length: int) -> str | None:
    return value.lower() if isinstance(value, str) and len(value) == length else None


def _kind_of_data(data_type: str) -> str:
    head = data_type.split(":", 1)[0]
    named = {"fs": "file", "pe": "file", "olecf": "file", "msie": "log", "windows": "log", "av": "detection"}
    if data_type.startswith("windows:registry"):
        return "registry"
    if data_type.startswith("windows:prefetch"):
        return "process"
    return named.get(head, "log")

