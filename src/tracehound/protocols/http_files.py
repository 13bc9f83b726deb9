"""In: heads of HTTP messages. Out: bodies that know which file they are, or which files they carry: uploads in forms, ranges of
one file that come one after the other. Never here: framing, or the row of a transaction."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_RANGED_FILES
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.form_data import FormParts, parameters, unescaped
from tracehound.protocols.http_message import Body, Message, RangedPart, host_of
from tracehound.protocols.session import Emit, FlowEnds

_RANGE: Final = re.compile(r"bytes\s{1,8}(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
_NAME_CHARACTERS: Final = 255

_Whole = tuple[str, str, str]
"""What makes two ranges parts of one file: host, target and validator (RFC 9110 15.3.7.3)."""


def name_in_target(uri: str | None) -> str | None:
    """The last segment of a request target's path; None where it has none."""
    if not uri:
        return None
    path = uri.split("?", 1)[0].split("#", 1)[0]
    if "://" in path[:12]:
        path = path.split("://", 1)[1].partition("/")[2]
    last = path.rsplit("/", 1)[-1]
    return (unescaped(last) if "%" in last else last)[:_NAME_CHARACTERS] or None


def file_name(message: Message, request: Message | None) -> str | None:
    """The name that a message gives its body: Content-Disposition (RFC 6266), else the target's where the body is what the
    target names (a response, a PUT)."""
    said = message.first.get("content-disposition")
    if said is not None:
        name = parameters(";" + said.partition(";")[2]).get("filename")
        if name:
            return unescaped(name)[:_NAME_CHARACTERS]
    if request is None or (request is message and message.method != "PUT"):
        return None
    return name_in_target(request.uri)


class Bodies:
    """The bodies of one connection."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self._ends = ends
        self._emit = emit
        self._number = 0
        self._ranged: dict[_Whole, RangedPart] = {}

    def _file(
        self, name: str | None, declared: str | None, *, by_client: bool, ts_ns: int, packet_id: int, is_file: bool = True
    ) -> CarriedFile:
        file = CarriedFile(
            self._ends, "http", self._number, sent_by_src=by_client, ts_ns=ts_ns, packet_id=packet_id, name=name,
            declared_type=declared, is_file=is_file,
        )  # fmt: skip
        self._number += is_file
        return file

    def open(self, message: Message, request: Message | None, *, by_client: bool, ts_ns: int, packet_id: int) -> Body:
        """The body that follows a head. ts_ns and packet_id are those of its first byte."""
        encoding = message.first.get("content-encoding", "")
        declared = message.media_type()
        sink: FormParts | RangedPart | None = None
        if declared == "multipart/form-data":

            def part(name: str, part_type: str | None) -> CarriedFile:
                return self._file(name, part_type, by_client=by_client, ts_ns=ts_ns, packet_id=packet_id)

            sink = FormParts(message.first["content-type"], part, self._emit)
        elif message.status == 206:
            sink = self._range(message, request, by_client=by_client, ts_ns=ts_ns, packet_id=packet_id)
        name = file_name(message, request)
        # A part of a file is no file; a form is one, and so is each upload in it.
        is_file = not isinstance(sink, RangedPart)
        whole = self._file(name, declared, by_client=by_client, ts_ns=ts_ns, packet_id=packet_id, is_file=is_file)
        return Body(encoding, whole, sink)

    def _range(
        self, message: Message, request: Message | None, *, by_client: bool, ts_ns: int, packet_id: int
    ) -> RangedPart | None:
        match = _RANGE.match(message.first.get("content-range", ""))
        if match is None:
            return None
        first, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        validator = message.first.get("etag") or message.first.get("last-modified") or str(total)
        key = (host_of(request) or "", (request.uri if request is not None else None) or "", validator)
        before = self._ranged.pop(key, None)
        if before is not None and before.last + 1 == first and not before.missing:
            part = RangedPart(before.file, before.first, last, total)
        else:
            if before is not None:
                self._end_ranged(before)
            file = self._file(
                file_name(message, request), message.media_type(), by_client=by_client, ts_ns=ts_ns, packet_id=packet_id
            )
            part = RangedPart(file, first, last, total)
        while len(self._ranged) >= MAX_RANGED_FILES:
            self._end_ranged(self._ranged.pop(next(iter(self._ranged))))
        self._ranged[key] = part
        return part

    def _end_ranged(self, part: RangedPart) -> None:
        if not part.file.bytes:
            return
        whole = part.first == 0 and part.total is not None and part.last + 1 == part.total
        size = "unknown size" if part.total is None else f"{part.total}"
        note = None if whole else f"bytes {part.first}-{part.last} of {size}"
        part.file.close(self._emit, complete=whole and not part.missing, note=note)

    def finish(self, message: Message) -> None:
        """The message is over: its file, or the files in it, go out."""
        body = message.body
        if body is None or body.closed:
            return
        body.closed = True
        sink = body.sink
        if isinstance(sink, RangedPart):
            sink.missing = not message.complete
            if sink.missing or (sink.total is not None and sink.last + 1 >= sink.total):
                self._forget(sink)
                self._end_ranged(sink)
            return
        notes = [n for n in (body.note, f"{message.missing} bytes not in the capture" if message.missing else "") if n]
        if isinstance(sink, FormParts):
            sink.close()
            notes += [f"form with {sink.files} uploads, which are files of their own"] if sink.files else []
        if body.length:
            if message.foreign:
                notes.append("answer without a status line")
            body.whole.close(self._emit, complete=message.complete, note="; ".join(notes))

    def _forget(self, part: RangedPart) -> None:
        for key, held in self._ranged.items():
            if held is part:
                del self._ranged[key]
                return

    def close(self) -> None:
        """The connection is over."""
        for part in self._ranged.values():
            self._end_ranged(part)
        self._ranged.clear()
