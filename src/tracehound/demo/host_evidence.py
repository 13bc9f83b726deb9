"""In: nothing. Out: what the model case's host and its people left beside the traffic, as text: a body file, an anti-virus log, a mailbox.
Never here: packets (model_case.py), or anything taken from the real host: none of it is public, all of this is invented and says so.

What is public and kept (specs of the case: incidents list, August 2002): a Windows 98 machine, a process taskbar.exe, an anti-virus
program that was up to date and found nothing, its schedule switched off, the stop at 04:30 on 2 August, New Zealand time."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from tracehound.demo.chance import Chance
from tracehound.demo.model_case import HOST, STOP_NS

BODY_NAME: Final = "SYNTHETIC-geb-disk.body"
ANTIVIRUS_NAME: Final = "SYNTHETIC-geb-antivirus.log"
MAIL_NAME: Final = "SYNTHETIC-thread.mbox"
SAYS: Final = "SYNTHETIC: written for the worked example; no such file was ever seen"
_S: Final = 1_000_000_000
_STOP_S: Final = STOP_NS // _S
_DAY_S: Final = 86_400
_INFECTED_S: Final = _STOP_S - 20 * _DAY_S
_SCHEDULE_OFF_S: Final = _INFECTED_S + 95
_FOLDERS: Final = (
    ("/WINDOWS/SYSTEM", ("dll", "vxd", "drv"), 420), ("/WINDOWS", ("exe", "ini", "log"), 160), ("/WINDOWS/HELP", ("hlp", "chm"), 120),
    ("/Program Files/Lab", ("exe", "dll", "dat"), 140), ("/My Documents", ("doc", "xls", "txt"), 180),
    ("/WINDOWS/Temporary Internet Files/Content.IE5/8DQRSTUV", ("htm", "gif", "jpg"), 600),
)  # fmt: skip
_SYLLABLES: Final = ("win", "net", "sys", "mon", "dat", "cal", "geo", "phy", "lab", "run", "set", "mod", "vid", "snd", "prn", "cfg")


def _line(name: str, size: int, accessed: int, modified: int, changed: int, born: int, inode: int) -> str:
    """One line of a body file (The Sleuth Kit 3): MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime."""
    return f"0|{name}|{inode}|r/rrwxrwxrwx|0|0|{size}|{accessed}|{modified}|{changed}|{born}"


def body(seed: int = 2002) -> str:
    """The listing of the host's disk, made the morning after. FAT keeps the day of an access only, and no time of change."""
    chance = Chance(seed)
    lines = [f"# {SAYS}"]
    inode = 3
    for folder, endings, count in _FOLDERS:
        cached = "Internet Files" in folder
        for _ in range(count):
            inode += 1
            name = "".join(chance.choice(_SYLLABLES) for _ in range(2)) + f"{chance.below(90) + 10}.{chance.choice(endings)}"
            born = _STOP_S - (chance.below(30 * _DAY_S) if cached else 200 * _DAY_S + chance.below(600 * _DAY_S))
            modified = born + chance.below(5) * 60
            seen = _STOP_S - chance.below(25 * _DAY_S)
            lines.append(_line(f"{folder}/{name}", 200 + chance.below(200_000), seen - seen % _DAY_S, modified, 0, born, inode))
    notable = (
        ("/WINDOWS/taskbar.exe", 35_840, _INFECTED_S, _INFECTED_S),
        ("/WINDOWS/Start Menu/Programs/StartUp/setup.exe", 35_840, _INFECTED_S + 2, _INFECTED_S + 2),
        ("/Program Files/AntiVirus/schedule.dat", 512, _SCHEDULE_OFF_S, _INFECTED_S - 400 * _DAY_S),
        ("/WINDOWS/SYSTEM/status.ini", 4_096, _STOP_S + 2, _STOP_S + 2),
        ("/WINDOWS/win386.swp", 67_108_864, _STOP_S - 40, _STOP_S - 9 * 3600),
    )
    for name, size, modified, born in notable:
        inode += 1
        lines.append(_line(name, size, _STOP_S - _STOP_S % _DAY_S, modified, 0, born, inode))
    return "\n".join(lines) + "\n"


def antivirus_log() -> str:
    """The anti-virus program's log, in the shape of clamd's: scans every night, until its schedule was switched off."""
    out = [f"{_stamp(_INFECTED_S - 6 * _DAY_S)} -> {SAYS}"]
    for night in range(5, 0, -1):
        at = _INFECTED_S - night * _DAY_S
        at -= at % _DAY_S - 14 * 3600
        out += [f"{_stamp(at)} -> Scheduled scan started", f"{_stamp(at + 1_900)} -> Scheduled scan finished: nothing found"]
    out.append(f"{_stamp(_SCHEDULE_OFF_S)} -> Schedule changed: automatic scans off")
    out.append(f"{_stamp(_STOP_S + 7 * 3600)} -> Manual scan started (signatures of 1 August 2002)")
    out.append(f"{_stamp(_STOP_S + 7 * 3600 + 2_400)} -> Manual scan finished: nothing found")
    return "\n".join(out) + "\n"


def _stamp(seconds: int) -> str:
    import datetime

    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%a %b %d %H:%M:%S %Y}"


_THREAD: Final[tuple[tuple[str, str, str, int, str, str], ...]] = (
    (
        "officer-1@example.ac.nz", "", "Security officer <officer@example.ac.nz>", 6 * 3600,
        "Strange web requests from a Windows 98 machine",
        f"A Windows 98 machine here, {HOST}, has been asking port 80 of scattered addresses for days, three to four a minute,\n"
        "four or five SYNs where nobody answers. Whoever answers gets GET /b.cgi?alt& and a number. The scanner finds nothing; a\n"
        "process taskbar.exe has the connections open. It went quiet by itself at 04:30 after one answer of about 4 KB. "
        "Has anybody seen this?",
    ),
    (
        "reader-1@example.org", "officer-1@example.ac.nz", "A reader <reader@example.org>", 9 * 3600,
        "Re: Strange web requests from a Windows 98 machine",
        "Could it be click fraud? Somebody may be earning money with every b.cgi that is asked for. Is there a Referer in the requests?",
    ),
    (
        "officer-2@example.ac.nz", "reader-1@example.org", "Security officer <officer@example.ac.nz>", 11 * 3600,
        "Re: Strange web requests from a Windows 98 machine",
        "No Referer in any of them, and nearly all addresses are cable and DSL lines: a poor place for an advertiser's server.",
    ),
    (
        "vendor-1@example.com", "officer-2@example.ac.nz", "An analyst <analyst@example.com>", 38 * _DAY_S,
        "Re: Strange web requests from a Windows 98 machine",
        "b.cgi in such a request is typical of Frethem. The addresses are other infected machines; it asks them for code or orders.",
    ),
)  # fmt: skip
"""message id, answers, sender, seconds after the stop, subject, text: our words, invented people."""


def thread() -> Iterator[str]:
    """The correspondence as an mbox file, mail by mail."""
    import datetime

    for key, answers, sender, after, subject, text in _THREAD:
        sent = datetime.datetime.fromtimestamp(_STOP_S + after, datetime.UTC)
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, "incidents@example.org", subject
        mail["Date"], mail["Message-ID"], mail["X-Note"] = format_datetime(sent), f"<{key}>", SAYS
        if answers:
            mail["In-Reply-To"] = f"<{answers}>"
        mail.set_content(text + "\n")
        yield f"From {key} {sent:%a %b %d %H:%M:%S %Y}\n{mail.as_string()}\n"
