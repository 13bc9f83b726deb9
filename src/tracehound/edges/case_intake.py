"""In: a file for a case. Out: it in custody, told from its content what it is; host records and mail made into tables.
Never here: a format (capture/, flowlogs/, hostlogs/, correspondence/), or an investigation (case_runs.py)."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from tracehound import limits
from tracehound.cases.linking import known_aliases
from tracehound.correspondence import mailbox
from tracehound.correspondence.mentions import mentions
from tracehound.correspondence.threads import threads
from tracehound.edges.case_answers import skew_of, skew_words
from tracehound.edges.casefile import Case
from tracehound.edges.evidence import list_evidence
from tracehound.edges.investigation import knowledge
from tracehound.errors import EvidenceError, UsageError
from tracehound.hostlogs import antivirus
from tracehound.hostlogs.event import Bad, Context, Event, Lines, Reader
from tracehound.hostlogs.kinds import BY_NAME, FIRST_LINES, Events, events, kind_of

ESTIMATE: Final = "estimate"
OTHER: Final = "other"
MAIL: Final = "mail"
PATTERNS: Final = "patterns:"
_HEAD_BYTES: Final = 64 * limits.KIB
_ENCODINGS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file, in words for the one who added it."""

    path: Path
    evidence_id: int
    kind: str
    says: str

    def __str__(self) -> str:
        return f"evidence {self.evidence_id}: {self.path}: {self.kind}{': ' + self.says if self.says else ''}"


def take(
    case: Case,
    who: str,
    path: Path,
    *,
    copy: bool = False,
    note: str | None = None,
    host: str | None = None,
    skew_s: float | str | None = None,
    zone: str = "UTC",
    kind: str | None = None,
) -> Taken:
    """Add one file to a case.

    copy     keep a read-only copy in the case
    host     the host that a listing or log was made on
    skew_s   how far its clock was ahead, in seconds; ESTIMATE: from files that the newest investigation saw on the wire and the records
             show on the disk
    zone     time zone of records that name none
    kind     treat it as this kind (a name of hostlogs/kinds.py, 'mail', 'patterns:FILE' or 'other') instead of telling it
    Raises EvidenceError where the file cannot be read, UsageError where an option makes no sense."""
    context = Context(_zone(zone), path.stat().st_mtime_ns)
    told, reader = (_named(kind) if kind is not None else _told(path))
    evidence_id = case.add_evidence(who, path, kind=told, copy=copy, note=note).seq
    if told == MAIL:
        return Taken(path, evidence_id, told, _take_mail(case, who, path))
    if reader is not None:
        says = _take_host_records(case, who, path, reader, context, host=host, skew_s=skew_s, evidence_id=evidence_id)
        return Taken(path, evidence_id, told, says)
    return Taken(path, evidence_id, told, "" if told != OTHER else "no kind that is read; kept as it is")


def _zone(name: str) -> datetime.tzinfo:
    offset = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return datetime.timezone(datetime.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise UsageError(f"--tz: {name!r} is neither a time zone (Pacific/Auckland) nor an offset (+12:00)") from None


def _named(kind: str) -> tuple[str, Reader | None]:
    if kind.startswith(PATTERNS):
        file = Path(kind.removeprefix(PATTERNS))
        try:
            tried = antivirus.patterns(file.read_text(encoding="utf-8"))
        except OSError as cause:
            raise UsageError(f"--kind: {file}: {cause.strerror}") from None
        except ValueError as cause:
            raise UsageError(f"--kind: {file}: {cause}") from None

        def read(lines: Lines, context: Context) -> Iterator[Event | Bad]:
            return antivirus.by_pattern(tried, lines, context)

        return f"log by patterns of {file.name}", read
    if kind in (MAIL, OTHER):
        return kind, None
    if kind not in BY_NAME:
        raise UsageError(f"--kind: {kind!r} is none of {', '.join([*BY_NAME, MAIL, OTHER])} and {PATTERNS}FILE")
    return kind, BY_NAME[kind].read


def _told(path: Path) -> tuple[str, Reader | None]:
    """The kind of a file from its content, and who reads it if it is a host's record."""
    try:
        return list_evidence([str(path)])[0].kind, None
    except EvidenceError:
        pass  # no traffic: perhaps something else
    head = _head(path)
    if mailbox.is_mbox(head) or mailbox.is_mail(head):
        return MAIL, None
    kind = kind_of([line for _, line in zip(range(FIRST_LINES), _text(head, _encoding(head)).splitlines(), strict=False)])
    return (OTHER, None) if kind is None else (kind.name, kind.read)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as cause:
        raise EvidenceError(str(path), cause.strerror or str(cause)) from None


def _encoding(head: bytes) -> str:
    """Windows exports are UTF-16 or UTF-8 with a mark; what is not UTF-8 is taken byte for byte."""
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            return name
    if len(head) > 3 and head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    try:
        head[: len(head) - 4].decode("utf-8")
    except UnicodeDecodeError as cause:
        return "utf-8" if cause.start >= len(head) - 8 else "latin-1"
    return "utf-8"


def _text(data: bytes, encoding: str) -> str:
    return data.decode(encoding, "replace")


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without their ends, each within its bound."""
    with path.open(encoding=encoding, errors="replace", newline=None) as file:
        number = 0
        while line := file.readline(limits.MAX_HOST_LINE_BYTES):
            number += 1
            yield number, line.rstrip("\r\n").replace("\x00", "")
            while len(line) == limits.MAX_HOST_LINE_BYTES and not line.endswith("\n"):
                line = file.readline(limits.MAX_HOST_LINE_BYTES)


def _take_host_records(
    case: Case, who: str, path: Path, reader: Reader, context: Context, *, host: str | None, skew_s: float | str | None,
    evidence_id: int,
) -> str:
    first = int(case.rows("SELECT coalesce(sum(rows), 0) AS n FROM host_sources")[0]["n"]) + 1

    def taken(skew_ns: int) -> Events:
        return events(reader, _lines(path, _encoding(_head(path))), context, source=path.name, skew_ns=skew_ns, first_id=first)

    skew_ns = round(skew_s * 1e9) if isinstance(skew_s, int | float) else 0
    got, told = taken(skew_ns), ""
    if skew_s == ESTIMATE:
        found = skew_of(case, got.table)
        told = "; " + (skew_words(found) or "how far the host's clock was off cannot be told: no file was seen on the wire and on the disk")
        if found is not None and (skew_ns := round(found.seconds * 1e9)):
            got = taken(skew_ns)
    made = case.folder / "made"
    made.mkdir(exist_ok=True)
    target = made / f"host_events-{evidence_id}.parquet"
    pq.write_table(got.table, target, compression="zstd")
    case.act(
        who, "host_events",
        {"source": path.name, "host": host, "rows": got.table.num_rows, "skew_ns": skew_ns, **case.describe(target)},
    )  # fmt: skip
    return _counted(got) + told


def _counted(got: Events) -> str:
    says = f"{got.table.num_rows:,} events"
    if got.bad_count:
        says += f"; {got.bad_count:,} lines not understood, the first at line {got.bad[0].line}: {got.bad[0].cause}"
    return says


def _take_mail(case: Case, who: str, path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise EvidenceError(str(path), cause.strerror or str(cause)) from None
    parts = list(mailbox.split(data)) if mailbox.is_mbox(data) else [data]
    messages = [mailbox.message(part) for part in parts]
    # Messages that the case holds already are threads to be continued.
    placed = threads(messages)
    known = {r["message_key"]: r["thread"] for r in case.rows("SELECT message_key, thread FROM messages")}
    fresh = [p for p in placed if p.message.key not in known]
    continued = {p.thread: known[r] for p in placed for r in (p.message.key, *p.message.references) if r in known}
    case.act(
        who, "mail",
        {
            "source": path.name,
            "messages": [
                {
                    "message_key": p.message.key, "thread": continued.get(p.thread, p.thread), "sent_ns": p.message.sent_ns,
                    "sender": p.message.sender, "recipients": ", ".join(p.message.recipients), "subject": p.message.subject,
                    "in_reply_to": p.message.in_reply_to, "sha256": p.message.sha256, "text": p.message.text,
                }
                for p in fresh
            ],
        },
    )  # fmt: skip
    aliases = known_aliases(knowledge().profiles)
    named = {(m.type, m.value) for p in fresh for m in mentions(p.message.subject + "\n" + p.message.text, aliases)}
    return f"{len(fresh):,} messages in {len({p.thread for p in placed}):,} threads, {len(placed) - len(fresh):,} known before; " + (
        f"they name {len(named):,} addresses, names, hashes and families"
    )
