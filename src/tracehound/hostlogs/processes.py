"""In: lists of processes and connections as ps, tasklist, netstat and ss print them. Out: what was running or open when they ran.
Never here: histories. These lists say no time of their own beyond a process's start.

Sources: ps(1), netstat(8), ss(8) of Linux; Microsoft's pages of tasklist and netstat."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Final

from tracehound.hostlogs.event import Bad, Context, Event, Lines, clipped

_PS: Final = re.compile(r"\s*(?:USER|UID)\s+PID\s+.*(?:COMMAND|CMD)\s*")
_TASKLIST: Final = re.compile(r"\s*(?:\"?Image Name\"?|\"?Abbildname\"?)[,\s]+\"?PID\"?", re.IGNORECASE)
_TASK_ROW: Final = re.compile(r"(?P<name>\S.*?)\s{1,}(?P<pid>\d+)\s+(?:(?P<session>\S+)\s+\d+\s+)?(?P<memory>[\d.,]+ K)?.*")
_ADDRESS: Final = r"(?:\[[0-9a-fA-F:.%\w]+\]|[0-9a-fA-F:.*]+?(?:%\w+)?|\*)"
_SOCKET: Final = re.compile(
    rf"\s*(?P<proto>tcp6?|udp6?|TCP|UDP)\s+(?:[A-Z-]+\d?\s+)?(?:\d+\s+\d+\s+)?(?P<local>{_ADDRESS}):(?P<lport>\d+|\*)\s+"
    rf"(?P<peer>{_ADDRESS}):(?P<pport>\d+|\*)(?:\s+(?P<state>[A-Z_]+\d?))?(?:\s+(?P<rest>.*))?"
)


def is_processes(line: str) -> bool:
    return _PS.fullmatch(line) is not None or _TASKLIST.match(line) is not None


def processes(lines: Lines, _context: Context) -> Iterator[Event | Bad]:
    """ps aux, ps -ef, tasklist (table or /fo csv)."""
    command_at: int | None = None
    columns: list[str] = []
    for number, line in lines:
        if _PS.fullmatch(line):
            columns, command_at = line.split(), len(line.split()) - 1
        elif command_at is not None and line.strip():
            words = line.split(None, command_at)
            if len(words) <= command_at or not words[columns.index("PID")].isdigit():
                yield Bad(number, "is no line of ps")
                continue
            command = words[command_at].strip()
            yield Event(
                number, None, "seen", "process", clipped(command.split()[0]), pid=_pid(words[columns.index("PID")]), user=clipped(words[0]),
                message=clipped(command),
            )  # fmt: skip
        elif line.lstrip().startswith('"'):
            row = next(csv.reader([line]), [])
            if len(row) > 1 and row[1].isdigit():
                account = clipped(row[6]) if len(row) > 6 else None
                yield Event(number, None, "seen", "process", clipped(row[0]), pid=_pid(row[1]), user=account)
        elif line.strip() and not line.startswith("=") and not _TASKLIST.match(line):
            found = _TASK_ROW.fullmatch(line)
            if found is None:
                yield Bad(number, "is no line of tasklist")
                continue
            yield Event(number, None, "seen", "process", clipped(found["name"]), pid=_pid(found["pid"]), message=clipped(line.strip()))


def _pid(text: str) -> int | None:
    return int(text) if len(text) < 19 else None


def is_connections(line: str) -> bool:
    return _SOCKET.fullmatch(line) is not None or line.strip() in ("Active Connections", "Aktive Verbindungen") or line.startswith(
        ("Active Internet connections", "Netid ")
    )


def connections(lines: Lines, _context: Context) -> Iterator[Event | Bad]:
    """netstat -ano, -anp, -anb and ss -tunap: what was open, to whom, and by which process where it says."""
    for number, line in lines:
        found = _SOCKET.fullmatch(line)
        if found is None:
            continue
        rest = found["rest"] or ""
        pid, process = _owner(rest)
        port = found["pport"]
        peer = found["peer"].strip("[]")
        open_to = peer.strip("0.:*") != "" and port.isdigit() and port != "0"
        yield Event(
            number, None, "seen", "connection", process=process, pid=pid, peer=peer if open_to else None,
            peer_port=int(port) if open_to and int(port) < 65_536 else None,
            message=clipped(" ".join(line.split())),
        )  # fmt: skip


_LINUX_OWNER: Final = re.compile(r"(?P<pid>\d+)/(?P<name>\S+)")
_SS_OWNER: Final = re.compile(r'users:\(\("(?P<name>[^"]+)",pid=(?P<pid>\d+)')


def _owner(rest: str) -> tuple[int | None, str | None]:
    found = _SS_OWNER.search(rest) or _LINUX_OWNER.search(rest)
    if found is not None:
        return _pid(found["pid"]), clipped(found["name"])
    words = rest.split()
    return (_pid(words[-1]), None) if words and words[-1].isdigit() else (None, None)
