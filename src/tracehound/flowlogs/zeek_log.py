"""In: a log of Zeek: TSV with its header (any separator, any order of fields, also what zeek-cut leaves, several logs one behind
another), or JSON lines (also JSON streaming, several logs mixed). Out: blocks. Never here: what fields become (zeek_rows.py).

Format: Zeek's documentation, "Log Files" and "ASCII writer": header lines `#separator \\x09` (a space before its value, everywhere
else the separator itself), `#set_separator`, `#empty_field`, `#unset_field`, `#path`, `#fields`, `#types`; bytes that would be read
wrongly as \\xNN; JSON lines leave unset fields out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import text_fields as t
from tracehound.flowlogs import zeek_fields as z
from tracehound.flowlogs.lines import (
    BAD_LINES,
    Cut,
    decoded,
    first_of_them,
    is_utf8,
    json_objects,
    one_kind_of_end,
    split,
    text_array,
    whole_lines,
)
from tracehound.flowlogs.reader import MISSING, Block, Format, Options, Took
from tracehound.flowlogs.zeek_rows import BLOCKS, Column, Columns, times_ns

_ESCAPED: Final = re.compile(r"\\x([0-9a-fA-F]{2})")

def _unescape(text: str) -> str:
    """\\xNN taken back, where what comes out is text."""
    if "\\x" not in text:
        return text
    raw = _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


@dataclass(slots=True)
class _Header:
    """What the lines with "#" say."""

    separator: str = "\t"
    set_separator: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    path: str | None = None
    fields: tuple[str, ...] = ()
    lines: int = 0
    """Lines in front of the first row."""

    def read(self, line: str) -> None:
        key, _, value = line[1:].partition(" ") if line.startswith("#separator ") else line[1:].partition(self.separator)
        reader = {
            "separator": self._separator, "set_separator": self._set_separator, "empty_field": self._empty,
            "unset_field": self._unset, "path": self._path, "fields": self._fields,
        }.get(key)  # fmt: skip
        if reader is not None:
            reader(value)

    def _separator(self, value: str) -> None:
        self.separator = _unescape(value) or "\t"

    def _set_separator(self, value: str) -> None:
        self.set_separator = _unescape(value) or ","

    def _empty(self, value: str) -> None:
        self.empty = _unescape(value)

    def _unset(self, value: str) -> None:
        self.unset = _unescape(value)

    def _path(self, value: str) -> None:
        self.path = value.strip()

    def _fields(self, value: str) -> None:
        self.fields = tuple(value.split(self.separator))

    @property
    def log(self) -> str | None:
        """Which log this is: by its path, and where that is not said (zeek-cut -C keeps it), by its fields."""
        path = (self.path or "").split("_")[0]
        return path if path in z.LOGS else z.log_of(frozenset(self.fields))


def _next_header(text: bytes, at: int) -> int:
    """Where the next line that begins with "#" begins. One byte is found many times faster than two: "#" is rare in most logs."""
    place = at
    for _ in range(64):
        place = text.find(b"#", place)
        if place < 0:
            return len(text)
        if text[place - 1] == 10:
            return place
        place += 1
    place = text.find(b"\n#", place - 1)
    return len(text) if place < 0 else place + 1


class ZeekFile:
    """Reader of one file of Zeek logs."""

    def __init__(self, *, json_lines: bool, details: bool = True) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._json = json_lines
        self._details = details
        self._header = _Header()
        self._line = 0
        self._base = 0
        self._bad_lines = 0
        self._first_bad = 0

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        if cut.too_long:
            return Took(0, [], f"byte {self._base}, line {self._line + 1}: a line longer than {limits.MAX_LOG_RECORD_BYTES} bytes")
        bad_before = self._bad_lines
        blocks = self._json_blocks(cut.text) if self._json else self._tsv_blocks(cut.text)
        damage = self._open_end(cut, bad_before)
        self._base += cut.consumed
        return Took(cut.consumed, [b for b in blocks if len(b)], damage)

    def _open_end(self, cut: Cut, bad_before: int) -> str | None:
        """A last line without an end that does not read is a file that was cut."""
        if cut.open_end and self._bad_lines > bad_before and self._last_bad == self._line:
            self._bad_lines -= 1
            self._tell_bad()
            return f"line {self._line}: the last line is cut"
        return None

    _last_bad = 0

    def _bad(self, line: int) -> None:
        self._bad_lines += 1
        self._last_bad = line
        self._first_bad = self._first_bad or line
        self._tell_bad()

    def _tell_bad(self) -> None:
        if self._bad_lines:
            self.counts[BAD_LINES] = (self._bad_lines, first_of_them(self._first_bad))
        else:
            self.counts.pop(BAD_LINES, None)

    def _other(self, log: str | None, rows: int) -> None:
        item = f"lines of other logs ({log})" if log else "lines of other logs"
        before = self.counts.get(item, (0, None))[0]
        self.counts[item] = (before + rows, "lines of logs that tell nothing of flows, http, dns, tls, files or mail")

    # -- TSV -----------------------------------------------------------------------------------------------------------------

    def _tsv_blocks(self, text: bytes) -> list[Block]:
        """Stretches of rows between header lines."""
        text = one_kind_of_end(text)
        blocks: list[Block] = []
        at = 0
        while at < len(text):
            if text.startswith(b"#", at):
                end = text.find(b"\n", at)
                end = len(text) if end < 0 else end + 1
                self._header.read(decoded(text[at:end].rstrip(b"\r\n")))
                self._line += 1
                at = end
                continue
            end = _next_header(text, at)
            blocks += self._rows(text[at:end])
            at = end
        return blocks

    def _rows(self, text: bytes) -> list[Block]:
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        first = self._line + 1
        self._line += lines
        header, log = self._header, self._header.log
        if log is None or not header.fields:
            if header.fields:
                self._other(header.path, lines)
            else:
                for line in range(first, first + min(lines, 1)):
                    self._bad(line)
                self._bad_lines += lines - 1
                self._tell_bad()
            return []
        known = z.LOGS[log]
        # Names of connections cost as much as all numbers, and only table records has them.
        left_out = () if self._details else ("uid",)
        wanted = {name: known[name] for name in header.fields if name in known and name not in left_out}
        # One byte between fields: longer separators give way to one that Zeek would have escaped.
        separator = header.separator.encode()
        if len(separator) != 1:
            text, separator = text.replace(separator, b"\x1f"), b"\x1f"
        if not is_utf8(text):
            text = text.decode("utf-8", "backslashreplace").encode()
        place_of = {name: header.fields.index(name) for name in wanted}
        places = sorted(set(place_of.values()))
        found = t.find_fields(text, lines, separator[0], len(header.fields), places)
        for line in found.bad.tolist():
            self._bad(first + line)
        unset = header.unset.encode()
        columns = {n: self._column(found, places.index(place_of[n]), kind, unset) for n, kind in wanted.items()}
        return self._made(log, Columns(found.line + first, columns))

    def _column(self, found: t.Fields, column: int, kind: str, unset: bytes) -> Column:
        if kind == z.COUNT:
            return t.counts(found, column)
        if kind == z.ADDRESS:
            return t.addresses(found, column)
        if kind == z.WORD:
            return t.words(found, column, unset)
        if kind in (z.TIME, z.INTERVAL):
            ns = t.seconds_ns(found, column)
            unread = kind == z.TIME and bool((ns == MISSING).any())
            return np.where(ns == MISSING, times_ns(t.texts(found, column, unset)), ns) if unread else ns
        return self._settle(t.texts(found, column, unset), kind)

    def _settle(self, column: pa.Array, kind: str) -> pa.Array:
        """Empty and escaped values, and lists."""
        header = self._header
        if kind == z.LIST:
            column = pc.if_else(pc.equal(column, header.empty), "", column)
            lists = pc.split_pattern(column, header.set_separator)
            none = pc.equal(column, "")
            if pc.any(none).as_py():
                lists = pc.if_else(none, pa.scalar([], lists.type), lists)
            if pc.any(pc.match_substring(column, "\\x")).as_py():
                lists = pa.array([None if v is None else [_unescape(x) for x in v] for v in lists.to_pylist()], lists.type)
            return lists
        if pc.any(pc.match_substring(column, "\\x")).as_py():
            column = pa.array([None if v is None else _unescape(v) for v in column.to_pylist()], pa.string())
        if header.empty and pc.any(pc.equal(column, header.empty)).as_py():
            column = pc.if_else(pc.equal(column, header.empty), "", column)
        return column

    # -- JSON ----------------------------------------------------------------------------------------------------------------

    def _json_blocks(self, text: bytes) -> list[Block]:
        blocks: list[Block] = []
        lines = split(text)
        for begin in range(0, len(lines), limits.LOG_ROWS_AT_ONCE):
            part = lines[begin : begin + limits.LOG_ROWS_AT_ONCE]
            first = self._line + 1
            self._line += len(part)
            by_log: dict[str, tuple[list[int], list[dict[str, Any]]]] = {}
            for number, row in json_objects(part, first, self._bad):
                path = row.get("_path")
                log = path.split("_")[0] if isinstance(path, str) else z.log_of(frozenset(row))
                if log is None or log not in z.LOGS:
                    self._other(path if isinstance(path, str) else None, 1)
                    continue
                numbers, rows = by_log.setdefault(log, ([], []))
                numbers.append(number)
                rows.append(row)
            for log, (numbers, rows) in by_log.items():
                columns = {n: _json_column([r.get(n) for r in rows], kind) for n, kind in z.LOGS[log].items() if _has(rows, n)}
                blocks += self._made(log, Columns(np.array(numbers, dtype=np.int64), columns))
        return blocks

    def _made(self, log: str, columns: Columns) -> list[Block]:
        before = len(columns)
        keep = columns.sound()
        if not keep.all():
            for number in columns.number[~keep].tolist()[:1]:
                self._bad(number)
            self._bad_lines += before - int(keep.sum()) - 1
            self._tell_bad()
            columns = columns.where(keep)
        if not len(columns):
            return []
        return [BLOCKS[log](part) for part in columns.parts(limits.LOG_ROWS_AT_ONCE)]


def _has(rows: list[dict[str, Any]], name: str) -> bool:
    return any(name in row for row in rows)


def _json_column(values: list[Any], kind: str) -> pa.Array:
    """Values of one field as the column that TSV gives."""
    if kind == z.LIST:
        lists = [[_text(x) for x in v] if isinstance(v, list) else ([_text(v)] if isinstance(v, str) else None) for v in values]
        return pa.array(lists, pa.list_(pa.string()))
    if kind == z.BOOL:
        return pa.array([None if not isinstance(v, bool) else ("T" if v else "F") for v in values], pa.string())
    return text_array(values)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_tsv(head: bytes) -> bool:
    return head.startswith((b"#separator ", b"#fields", b"#path", b"#set_separator", b"#empty_field", b"#unset_field"))


def _is_json(head: bytes) -> bool:
    """Whether the first line is an object with fields that only Zeek names so."""
    line = head.lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{"):
        return False
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        # A first line that is longer than what is looked at.
        return b'"id.orig_h"' in line or b'"_path"' in line
    if not isinstance(row, dict) or not ({"ts", "_write_ts"} & set(row)):
        return False
    return "id.orig_h" in row or row.get("_path") in z.LOGS or z.log_of(frozenset(row)) is not None


def recognise(head: bytes) -> bool:
    return _is_tsv(head) or _is_json(head)


def _open_file(head: bytes, options: Options) -> ZeekFile:
    return ZeekFile(json_lines=not head.startswith(b"#"), details=options.details)


FORMAT: Final = Format(recognise, _open_file)
