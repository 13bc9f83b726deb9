"""In: logs of anti-virus programs. Out: what they found and where, and that a scan ran. Never here: names of malware that we know.

Sources: clamscan(1), clamd.conf(5) (LogTime); Microsoft's documentation of Defender's MPLog and of Get-MpThreatDetection. Any other
program's log can be read with patterns of one's own (`patterns`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tracehound.hostlogs.event import MONTHS, Bad, Context, Event, Lines, clipped, iso_ns, moment_ns

_CLAM_TIME: Final = (
    r"(?:[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<h>\d{2}):(?P<m>\d{2}):(?P<s>\d{2}) (?P<year>\d{4}) -> )?"
)
_CLAM: Final = re.compile(
    _CLAM_TIME + r"(?P<path>\S.*?): (?P<name>\S+?)(?:\((?P<md5>[0-9a-f]{32}):(?P<size>\d+)\))? FOUND"
)
_CLAM_OTHER: Final = re.compile(_CLAM_TIME + r"(?P<words>.*)")
_CLAM_START: Final = re.compile(r"(?:Scan started:|Start Date:|Start time:) *(?P<time>.*)")
_CLAM_SIGNS: Final = (" FOUND", "SCAN SUMMARY", "Known viruses:", "Scan started:", "Infected files:", ": OK")


def is_clamav(line: str) -> bool:
    return any(sign in line for sign in _CLAM_SIGNS) or line.startswith("-----------") or _timed(line)


def _timed(line: str) -> bool:
    found = _CLAM_OTHER.fullmatch(line)
    return found is not None and found["month"] is not None


def clamav(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """clamscan's and clamd's log: `PATH: NAME FOUND`, with a time before it where LogTime is on; else the scan's own start."""
    started: int | None = None
    for number, line in lines:
        begun = _CLAM_START.match(line)
        if begun is not None:
            started = iso_ns(begun["time"].replace(":", "-", 2), context.zone) or _asctime(begun["time"], context) or started
            if started is not None:
                yield Event(number, started, "started", "scan", message=clipped(line))
            continue
        found = _CLAM.fullmatch(line)
        if found is not None:
            ns = _clam_time(found, context)
            note = None if ns is not None or started is None else "time is the scan's start"
            yield Event(
                number, ns if ns is not None else started, "logged" if ns is not None or started is not None else "seen", "detection",
                clipped(found["path"]), size=int(found["size"]) if found["size"] else None, md5=found["md5"],
                detection=clipped(found["name"]), message=clipped(line), note=note,
            )  # fmt: skip
            continue
        other = _CLAM_OTHER.fullmatch(line)
        ns = None if other is None else _clam_time(other, context)
        if ns is not None and other is not None:
            yield Event(number, ns, "logged", "scan", message=clipped(other["words"]))


def _clam_time(found: re.Match[str], context: Context) -> int | None:
    if not found["month"] or found["month"].lower() not in MONTHS:
        return None
    day = int(found["year"]), MONTHS[found["month"].lower()], int(found["day"])
    return moment_ns(day, (int(found["h"]), int(found["m"]), int(found["s"])), context.zone)


def _asctime(text: str, context: Context) -> int | None:
    found = _CLAM_OTHER.fullmatch(text.strip() + " -> ")
    return None if found is None else _clam_time(found, context)


_MPLOG: Final = re.compile(r"(?P<time>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z?)\s+(?P<rest>.*)")
_MP_FOUND: Final = re.compile(r"DETECTION(?:_\w+)?[: ]+(?:#\s*)?(?P<name>[A-Z]\w+:[\w./!-]+)\s+(?P<where>\w+):(?:_?)(?P<path>.+)")
_MP_EXPLICIT: Final = re.compile(
    r"(?P<key>ThreatName|Threat Name|ThreatID|Resources|InitialDetectionTime|ProcessName|DomainUser) *: (?P<value>.*)"
)


def is_defender(line: str) -> bool:
    return "DETECTION" in line or "MPLog" in line or _MP_EXPLICIT.match(line) is not None or line.startswith("MPSUPPORT")


def defender(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """MPLog-*.log (its DETECTION lines), or the list that Get-MpThreatDetection prints, blocks apart by an empty line."""
    block: dict[str, str] = {}
    first = 0
    for number, line in lines:
        timed = _MPLOG.fullmatch(line)
        found = None if timed is None else _MP_FOUND.search(timed["rest"])
        if timed is not None and found is not None:
            yield Event(
                number, iso_ns(timed["time"] if timed["time"].endswith("Z") else timed["time"] + "Z", context.zone), "logged", "detection",
                clipped(found["path"].strip()), detection=clipped(found["name"]), message=clipped(timed["rest"]),
            )  # fmt: skip
            continue
        item = _MP_EXPLICIT.match(line)
        if item is not None:
            first = first or number
            block[item["key"].replace(" ", "")] = item["value"].strip()
        elif not line.strip() and block:
            yield _detected(first, block, context)
            block, first = {}, 0
    if block:
        yield _detected(first, block, context)


def _detected(number: int, block: dict[str, str], context: Context) -> Event:
    path = block.get("Resources", "").strip("{}").split(",")[0]
    ns = iso_ns(block.get("InitialDetectionTime", ""), context.zone)
    return Event(
        number, ns, "logged" if ns is not None else "seen", "detection", clipped(re.sub(r"^\w+:_?", "", path)),
        clipped(block.get("ProcessName", "")), user=clipped(block.get("DomainUser", "")),
        detection=clipped(block.get("ThreatName") or block.get("ThreatID", "")),
        message=clipped("; ".join(f"{k}={v}" for k, v in block.items())),
    )  # fmt: skip


# -- any other program ------------------------------------------------------------------------------------------------------

NAMED: Final = frozenset({"time", "path", "detection", "user", "process", "message"})


def patterns(text: str) -> list[re.Pattern[str]]:
    """A file of patterns, one regular expression a line, # comments; groups are named after columns: time, path, detection, user,
    process, message. Raises re.error or ValueError with the line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            pattern = re.compile(line.strip())
        except re.error as cause:
            raise ValueError(f"line {number}: {cause}") from None
        unknown = set(pattern.groupindex) - NAMED
        if unknown or not pattern.groupindex:
            raise ValueError(f"line {number}: groups are {', '.join(sorted(NAMED))}, not {', '.join(sorted(unknown)) or 'unnamed'}")
        found.append(pattern)
    return found


def by_pattern(tried: list[re.Pattern[str]], lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """Lines that match the first pattern that does; others are no statement."""
    for number, line in lines:
        found = next((m for m in (p.search(line) for p in tried) if m is not None), None)
        if found is None:
            continue
        got = {k: v for k, v in found.groupdict().items() if v}
        ns = (iso_ns(got["time"], context.zone) or _asctime(got["time"], context)) if "time" in got else None
        yield Event(
            number, ns, "logged" if ns is not None else "seen", "detection" if "detection" in got else "log", clipped(got.get("path")),
            clipped(got.get("process")), user=clipped(got.get("user")), detection=clipped(got.get("detection")),
            message=clipped(got.get("message") or line),
        )  # fmt: skip
