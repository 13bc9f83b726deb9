"""In: Windows event logs as they are exported: XML (wevtutil, Event Viewer, EvtxECmd) or CSV (Event Viewer, PowerShell). Out: events.
Never here: the binary .evtx, or an event's meaning beyond the fields that name who, what and where.

Sources: Microsoft's event schema (http://schemas.microsoft.com/win/2004/08/events/event), the documentation of the security audit
events 4624, 4625, 4688, 4697, 1102, of the service control manager's 7045, of Defender's 1116 and 1117, and of Sysmon."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from tracehound import limits
from tracehound.hostlogs.event import Bad, Context, Event, Lines, clipped, iso_ns

_NAMESPACE: Final = re.compile(r"\sxmlns(?::\w+)?=(?:'[^']*'|\"[^\"]*\")")
_END: Final = "</Event>"


class Meaning(NamedTuple):
    """What an event id says: kind and time_kind of the row, and which data fields hold its columns (first come)."""

    kind: str
    time_kind: str = "logged"
    path: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    pid: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    peer: tuple[str, ...] = ()
    peer_port: tuple[str, ...] = ()
    detection: tuple[str, ...] = ()


_SYSMON: Final = ("Image",)
_WHO: Final = ("TargetUserName", "SubjectUserName", "User")
MEANINGS: Final[dict[tuple[str, int], Meaning]] = {
    ("sysmon", 1): Meaning("process", "started", ("Image",), ("ParentImage",), ("ProcessId",), ("User",)),
    ("sysmon", 2): Meaning("file", "changed", ("TargetFilename",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 3): Meaning("connection", "started", (), _SYSMON, ("ProcessId",), ("User",), ("DestinationIp",), ("DestinationPort",)),
    ("sysmon", 5): Meaning("process", "ended", ("Image",), (), ("ProcessId",), ("User",)),
    ("sysmon", 6): Meaning("file", "logged", ("ImageLoaded",)),
    ("sysmon", 7): Meaning("file", "logged", ("ImageLoaded",), _SYSMON, ("ProcessId",)),
    ("sysmon", 11): Meaning("file", "born", ("TargetFilename",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 12): Meaning("registry", "changed", ("TargetObject",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 13): Meaning("registry", "changed", ("TargetObject",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 14): Meaning("registry", "changed", ("TargetObject",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 15): Meaning("file", "born", ("TargetFilename",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 22): Meaning("connection", "logged", ("QueryName",), _SYSMON, ("ProcessId",), ("User",)),
    ("sysmon", 23): Meaning("file", "ended", ("TargetFilename",), _SYSMON, ("ProcessId",), ("User",)),
    ("security", 4624): Meaning("login", user=_WHO, process=("ProcessName",), peer=("IpAddress",), peer_port=("IpPort",)),
    ("security", 4625): Meaning("login", user=_WHO, process=("ProcessName",), peer=("IpAddress",), peer_port=("IpPort",)),
    ("security", 4648): Meaning("login", user=_WHO, process=("ProcessName",), peer=("IpAddress",), peer_port=("IpPort",)),
    ("security", 4688): Meaning("process", "started", ("NewProcessName",), ("ParentProcessName",), ("NewProcessId",), _WHO),
    ("security", 4689): Meaning("process", "ended", ("ProcessName",), (), ("ProcessId",), _WHO),
    ("security", 4697): Meaning("service", path=("ServiceFileName",), user=_WHO),
    ("security", 4698): Meaning("service", path=("TaskName",), user=_WHO),
    ("security", 5156): Meaning("connection", "started", ("Application",), (), ("ProcessID",), (), ("DestAddress",), ("DestPort",)),
    ("service control manager", 7045): Meaning("service", path=("ImagePath",), process=("ServiceName",)),
    ("windows defender", 1006): Meaning("detection", path=("Path",), user=("Detection User",), detection=("Threat Name",)),
    ("windows defender", 1116): Meaning("detection", path=("Path",), user=("Detection User",), detection=("Threat Name",)),
    ("windows defender", 1117): Meaning("detection", path=("Path",), user=("Detection User",), detection=("Threat Name",)),
    ("windows defender", 5001): Meaning("service"),
}
"""Word of the provider's name, event id -> meaning. Others are kind `log` with their data as the message."""


def is_xml(line: str) -> bool:
    return "<Event " in line or "<Event>" in line or "<Events" in line


def xml(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """Event after event, with or without a root around them; `line` counts events."""
    held = ""
    count = 0
    for _, line in lines:
        held += line + "\n"
        while _END in held:
            piece, held = held.split(_END, 1)
            count += 1
            start = max(piece.rfind("<Event>"), piece.rfind("<Event "))
            if start < 0:
                yield Bad(count, "an event that has no beginning")
                continue
            yield _event(count, piece[start:] + _END, context)
        if len(held) > limits.MAX_HOST_LINE_BYTES:
            yield Bad(count + 1, f"an event longer than {limits.MAX_HOST_LINE_BYTES:,} characters")
            held = ""
    if "<Event>" in held or "<Event " in held:
        yield Bad(count + 1, "an event that is cut short")


def _event(number: int, text: str, context: Context) -> Event | Bad:
    try:
        # Exports agree on names, not on namespaces: some write prefixes, some none.
        root = fromstring(_NAMESPACE.sub("", text), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as cause:
        return Bad(number, f"is no XML: {cause}")
    system = root.find("System")
    if system is None:
        return Bad(number, "has no System part")
    created = system.find("TimeCreated")
    stamp = "" if created is None else created.get("SystemTime", "")
    provider = system.find("Provider")
    data = {_name(item, i): (item.text or "").strip() for i, item in enumerate(_data(root))}
    written = iso_ns(data.get("UtcTime", ""), context.zone) if data.get("UtcTime") else None
    identifier = _text(system, "EventID")
    return _row(
        number, written or iso_ns(stamp, context.zone), "" if provider is None else provider.get("Name", ""),
        int(identifier) if identifier.isdigit() and len(identifier) < 9 else 0, data, "",
    )  # fmt: skip


def _data(root: Element) -> list[Element]:
    block = next((b for b in (root.find("EventData"), root.find("UserData")) if b is not None), None)
    return [] if block is None else [item for item in block.iter() if len(item) == 0]


def _name(item: Element, place: int) -> str:
    return item.get("Name") or (item.tag if item.tag != "Data" else f"Data{place}")


def _text(parent: Element, name: str) -> str:
    found = parent.find(name)
    return "" if found is None or found.text is None else found.text.strip()


def _row(number: int, ns: int | None, provider: str, event_id: int, data: Mapping[str, str], message: str) -> Event:
    lower = provider.lower()
    meaning = next((m for (word, n), m in MEANINGS.items() if n == event_id and word in lower), Meaning("log"))

    def first(names: tuple[str, ...]) -> str | None:
        return clipped(next((data[n] for n in names if data.get(n, "-") not in ("", "-")), None))

    pid, port = _number(first(meaning.pid)), _number(first(meaning.peer_port))
    hashes = dict(part.split("=", 1) for part in data.get("Hashes", "").split(",") if "=" in part)
    told = message or "; ".join(f"{k}={v}" for k, v in data.items() if v and k != "Hashes")
    return Event(
        number, ns, meaning.time_kind if ns is not None else "seen", meaning.kind, first(meaning.path), first(meaning.process), pid,
        first(meaning.user), md5=_hash(hashes.get("MD5"), 32), sha256=_hash(hashes.get("SHA256"), 64), peer=first(meaning.peer),
        peer_port=port if port is not None and port < 65_536 else None, detection=first(meaning.detection),
        message=clipped(f"{provider} {event_id}: {told}" if told else f"{provider} {event_id}"),
    )  # fmt: skip


def _number(text: str | None) -> int | None:
    """A number as decimal or as Windows writes process ids, 0x1a4."""
    if text is None:
        return None
    try:
        value = int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        return None
    return value if 0 <= value < 2**63 else None


def _hash(text: str | None, length: int) -> str | None:
    return text.lower() if text is not None and len(text) == length else None


_TIME_NAMES: Final = ("timecreated", "date and time", "time generated", "timegenerated", "systemtime", "time")
_ID_NAMES: Final = ("event id", "eventid", "id", "instanceid")
_PROVIDER_NAMES: Final = ("source", "providername", "provider")


def is_csv(line: str) -> bool:
    lower = line.lower()
    return ("event id" in lower or "eventid" in lower or '"id"' in lower) and any(n in lower for n in _TIME_NAMES) and "," in line


def csv_export(lines: Lines, context: Context) -> Iterator[Event | Bad]:
    """Event Viewer's "Level,Date and Time,Source,Event ID,Task Category" (the message follows unnamed) or PowerShell's Export-Csv."""
    names: list[str] = []
    number = 0

    def feed() -> Iterator[str]:
        nonlocal number
        for number, line in lines:  # noqa: B007
            if not line.startswith("#TYPE"):
                yield line.lstrip("\ufeff") + "\n"

    for row in _rows(feed()):
        if not names:
            names = [n.strip().lower() for n in row]
            continue
        record = dict(zip(names, row, strict=False))
        ns = _when(next((record[n] for n in _TIME_NAMES if n in record), ""), context)
        if ns is None:
            yield Bad(number, "has no time")
            continue
        identifier = next((record[n] for n in _ID_NAMES if n in record), "")
        provider = next((record[n] for n in _PROVIDER_NAMES if n in record), "")
        message = record.get("message", "") or (row[len(names)] if len(row) > len(names) else "")
        yield _row(number, ns, provider, int(identifier) if identifier.isdigit() else 0, _labelled(message), " ".join(message.split()))


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    reader = csv.reader(lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if row:
            yield row


_LABEL: Final = re.compile(r"^\s*([A-Z][\w /-]{1,40}):[ \t]+(\S.*?)\s*$", re.MULTILINE)
_LABELS: Final[dict[str, str]] = {
    "Account Name": "TargetUserName", "New Process Name": "NewProcessName", "Creator Process Name": "ParentProcessName",
    "Source Network Address": "IpAddress", "Source Port": "IpPort", "Service File Name": "ServiceFileName", "Service Name": "ServiceName",
    "New Process ID": "NewProcessId", "Process Name": "ProcessName", "Name": "Threat Name",
}  # fmt: skip
"""Labels of the message texts -> the names that the same fields have in XML."""


def _labelled(message: str) -> dict[str, str]:
    """`Label: value` lines of a message. Of a label that comes twice (subject and new account) the last counts, as in 4624."""
    return {_LABELS.get(label, label): value for label, value in _LABEL.findall(message[: limits.MAX_HOST_TEXT_CHARACTERS])}


_US: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})(?: ([AP])M)?")


def _when(text: str, context: Context) -> int | None:
    ns = iso_ns(text, context.zone)
    found = _US.fullmatch(text.strip())
    if ns is not None or found is None:
        return ns
    from tracehound.hostlogs.event import moment_ns

    first, second, year, hour, minute, sec = (int(x) for x in found.groups()[:6])
    month, day = (second, first) if first > 12 else (first, second)
    if found[7]:
        hour = hour % 12 + (12 if found[7] == "P" else 0)
    return moment_ns((year, month, day), (hour, minute, sec), context.zone)


