"""In: the bytes of a log of text. Out: whole lines with their numbers, and columns made of values as text: times, numbers, words.
Never here: what a line means (the reader of each log).

Values come as Arrow text columns, null where the log has none. What does not read as what it should be becomes null and is counted
by the reader: a bad value is not a bad line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs.reader import MISSING

DECIMAL_NS: Final = pa.decimal128(28, 9)
"""Seconds with nine decimals: the number behind it is nanoseconds, exactly."""
_NUMBER: Final = r"^[+-]?\d{1,18}(\.\d+)?$"
_WHOLE: Final = r"^[+-]?\d{1,18}$"


BAD_LINES: Final = "lines that could not be read"
AMBIGUOUS_DATES: Final = "dates that may be read in two ways"
"""Items of the quality record that several readers count."""


def first_of_them(line: int) -> str:
    """What the quality record says of bad lines."""
    return f"the first of them is line {line}"


@dataclass(slots=True)
class Cut:
    """What `whole_lines` found.

    text      whole lines, each with its end ("\\n"), but perhaps the last of the file
    consumed  bytes of the buffer that they are
    too_long  no line ends within limits.MAX_LOG_RECORD_BYTES
    open_end  the last line has no end: the file was cut, or is still being written"""

    text: bytes
    consumed: int
    too_long: bool
    open_end: bool


def whole_lines(buffer: NDArray[np.uint8], length: int, *, final: bool) -> Cut:
    """The whole lines of buffer[:length]."""
    text = buffer[:length].tobytes()
    end = length if final else text.rfind(b"\n") + 1
    if end == 0 and length >= limits.MAX_LOG_RECORD_BYTES:
        return Cut(b"", 0, too_long=True, open_end=False)
    text = text[:end]
    return Cut(text, end, too_long=False, open_end=bool(text) and not text.endswith(b"\n"))


def split(text: bytes) -> list[bytes]:
    """The lines of `text` without their ends ("\\n" or "\\r\\n")."""
    lines = text.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line[:-1] if line.endswith(b"\r") else line for line in lines]


def one_kind_of_end(text: bytes) -> bytes:
    """Lines that end in "\n" only: a carriage return elsewhere would be an end of line to Arrow."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b" ") if b"\r" in text else text


def is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decoded(line: bytes) -> str:
    """A line as text; bytes that are no UTF-8 as \\xNN, as Zeek itself writes them."""
    return line.decode("utf-8", "backslashreplace")


_DECODER: Final = json.JSONDecoder(parse_float=str)
"""Fractions stay text: a float has not enough digits for nanoseconds."""


def _loads(data: bytes) -> Any:
    return _DECODER.decode(data.decode("utf-8", "backslashreplace"))


def json_objects(lines: list[bytes], first: int, bad: Callable[[int], None]) -> list[tuple[int, dict[str, Any]]]:
    """The objects of JSON lines with their line numbers (`first` is that of lines[0]); empty lines are passed over, `bad` hears the
    numbers of the others that are no objects. Fractions are text."""
    try:
        # One call for all lines, which is faster; a line that is no JSON spoils it.
        objects = _loads(b"[" + b",".join(lines) + b"]")
        if len(objects) == len(lines) and all(type(o) is dict for o in objects):
            return list(enumerate(objects, first))
    except (ValueError, RecursionError):
        pass
    found = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            row = _loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            found.append((number, row))
        else:
            bad(number)
    return found


def text_array(values: list[Any]) -> pa.Array:
    """Values as a text column: text as it is, numbers in words, everything else null."""
    return pa.array([v if isinstance(v, str) else _word(v) for v in values], pa.string())


def number_array(values: list[Any], most: int = 2**62) -> NDArray[np.int64]:
    """Values of JSON as whole numbers, text of digits included; MISSING for what is none, is negative or beyond `most`."""
    found = np.full(len(values), MISSING, dtype=np.int64)
    for place, value in enumerate(values):
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)  # noqa: PLW2901
        if type(value) is int and 0 <= value <= most:
            found[place] = value
    return found


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _only(values: pa.Array, pattern: str) -> pa.Array:
    """Null instead of what does not match."""
    return pc.if_else(pc.fill_null(pc.match_substring_regex(values, pattern), fill_value=False), values, pa.scalar(None, values.type))


def _ns_of_decimal(values: pa.Array, missing: int) -> NDArray[np.int64]:
    """The number behind a column of DECIMAL_NS; `missing` where it is null or too large for 64 bits."""
    words = np.frombuffer(values.buffers()[1], dtype=np.int64)
    start = values.offset * 2
    low, high = words[start : start + 2 * len(values) : 2], words[start + 1 : start + 2 * len(values) : 2]
    ns: NDArray[np.int64] = np.where(high == low >> 63, low, missing)
    if values.null_count:
        ns[values.is_null().to_numpy(zero_copy_only=False)] = missing
    return ns


def seconds_ns(values: pa.Array, missing: int = MISSING) -> NDArray[np.int64]:
    """Seconds as text or as DECIMAL_NS ("1668586098.757001"), as nanoseconds; `missing` where there are none."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.type != DECIMAL_NS:
        try:
            values = values.cast(DECIMAL_NS)
        except pa.ArrowInvalid:
            values = pc.utf8_slice_codeunits(_only(values, _NUMBER), 0, 28)
            # A number may have more decimals than nine, or more digits before them than a time has.
            values = _only(values, r"^[+-]?\d{1,10}(\.\d*)?$")
            values = pc.replace_substring_regex(values, r"(\.\d{9})\d+$", r"\1").cast(DECIMAL_NS)
    return _ns_of_decimal(values, missing)


def whole_numbers(values: pa.Array | None, count: int, missing: int = MISSING) -> NDArray[np.int64]:
    """Whole numbers as text or int64; `missing` where there are none."""
    if values is None:
        return np.full(count, missing, dtype=np.int64)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.type != pa.int64():
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:
            values = _only(values, _WHOLE).cast(pa.int64())
    if values.null_count:
        values = pc.fill_null(values, missing)
    numbers: NDArray[np.int64] = values.to_numpy(zero_copy_only=False)
    return numbers.astype(np.int64, copy=False)


def iso_times(values: pa.Array, utc_offset_s: int = 0, missing: int = MISSING) -> NDArray[np.int64]:
    """ISO 8601 and its relatives ("2022-11-16T08:08:18.214Z", "2022/11/16 08:08:18,214 +0100") as ns since 1970; a time without a
    zone is `utc_offset_s` ahead of UTC."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    parts = pc.extract_regex(
        values,
        r"^\s*(?P<date>\d{4}[-/]\d{1,2}[-/]\d{1,2})[T ]+(?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d{1,9})\d*)?\s*"
        r"(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?\s*$",
    )
    found = ~parts.is_null().to_numpy(zero_copy_only=False)
    out = np.full(len(values), missing, dtype=np.int64)
    if not found.any():
        return out
    parts = parts.filter(pa.array(found))
    date = pc.split_pattern_regex(parts.field("date"), r"[-/]")
    y, m, d = (whole_numbers(pc.list_element(date, k), len(parts)) for k in range(3))
    clock = pc.split_pattern(parts.field("time"), ":")
    fields = pc.list_value_length(clock).to_numpy(zero_copy_only=False)
    hour, minute = (whole_numbers(pc.list_element(clock, k), len(parts)) for k in range(2))
    padded = pc.split_pattern(pc.binary_join_element_wise(parts.field("time"), ":0", ""), ":")
    second = np.where(fields == 3, whole_numbers(pc.list_element(padded, 2), len(parts)), 0)
    fraction = pc.utf8_rpad(pc.fill_null(parts.field("fraction"), ""), 9, "0")
    nanos = whole_numbers(fraction, len(parts))
    zone = parts.field("zone")
    named = np.array([_offset_s(z, utc_offset_s) for z in zone.dictionary_encode().dictionary.to_pylist()] or [0], dtype=np.int64)
    codes = zone.dictionary_encode().indices
    offset = np.where(
        codes.is_null().to_numpy(zero_copy_only=False), utc_offset_s, named[pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)]
    )
    sound = (m >= 1) & (m <= 12) & (d >= 1) & (d <= 31) & (hour < 24) & (minute < 60) & (second <= 60) & (y >= 1678) & (y <= 2261)
    ns = (days(y, m, d) * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1_000_000_000 + nanos
    out[np.flatnonzero(found)] = np.where(sound, ns, missing)
    return out


def _offset_s(zone: str | None, default: int) -> int:
    if not zone:
        return default
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "") + "00"
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:4]) * 60)


def days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01 of the proleptic Gregorian calendar (years are counted from March, so that leap days end one)."""
    y = year - (month <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    since: NDArray[np.int64] = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return since


def epoch_times(values: pa.Array, missing: int = MISSING) -> NDArray[np.int64]:
    """Times as numbers since 1970, in s (with a fraction), ms, us or ns, which their size tells."""
    plain = pc.utf8_trim_whitespace(values)
    digits = pc.fill_null(pc.match_substring_regex(plain, r"^\d{12,19}$"), fill_value=False)
    out = seconds_ns(pc.if_else(digits, pa.scalar(None, pa.string()), plain), missing)
    large = digits.to_numpy(zero_copy_only=False)
    if large.any():
        numbers = whole_numbers(plain.filter(digits), int(large.sum()))
        scaled = np.where(numbers < 10**14, numbers * 1_000_000, np.where(numbers < 10**17, numbers * 1_000, numbers))
        out[large] = np.where(numbers == MISSING, missing, scaled)
    return out


def any_times(values: pa.Array, utc_offset_s: int = 0, *, month_first: bool = False) -> NDArray[np.int64]:
    """Times as whoever wrote the log writes them: since 1970, ISO 8601, or day and month with slashes or dots; MISSING for what is
    none."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    out = epoch_times(values)
    rest = (out == MISSING) & values.is_valid().to_numpy(zero_copy_only=False)
    if rest.any():
        out[rest] = iso_times(values.filter(pa.array(rest)), utc_offset_s)
        rest &= out == MISSING
    if rest.any():
        out[rest] = day_times(values.filter(pa.array(rest)), utc_offset_s, month_first=month_first)
    return out


def day_order(values: list[str]) -> bool | None:
    """Whether the month comes first in dates with slashes or dots: a number above 12 is a day. None = they do not tell."""
    pairs = [m for v in values if (m := re.match(r"\s*\"?(\d{1,2})[/.](\d{1,2})[/.]\d{4}\b", v)) is not None]
    day_first, month_first = any(int(m[1]) > 12 for m in pairs), any(int(m[2]) > 12 for m in pairs)
    return None if day_first == month_first else month_first


def day_times(values: pa.Array, utc_offset_s: int = 0, *, month_first: bool = False) -> NDArray[np.int64]:
    """Times that begin with day and month or month and day ("03/07/2017 08:55:58", "7/3/2017 8:55 AM")."""
    parts = pc.extract_regex(
        values,
        r"^\s*(?P<a>\d{1,2})[/.](?P<b>\d{1,2})[/.](?P<y>\d{4})[T ,]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}))?"
        r"(?:\.(?P<f>\d{1,9}))?\s*(?P<p>[AaPp][Mm])?\s*$",
    )
    found = parts.is_valid().to_numpy(zero_copy_only=False)
    out = np.full(len(values), MISSING, dtype=np.int64)
    if not found.any():
        return out
    parts = parts.filter(pa.array(found))
    n = len(parts)

    def number(name: str) -> NDArray[np.int64]:
        column = parts.field(name)
        return np.maximum(whole_numbers(pc.if_else(pc.equal(column, ""), "0", column), n), 0)

    a, b = number("a"), number("b")
    month, day = (a, b) if month_first else (b, a)
    half = pc.utf8_lower(parts.field("p"))
    hour = number("h")
    morning, evening = (pc.fill_null(pc.equal(half, w), fill_value=False).to_numpy(zero_copy_only=False) for w in ("am", "pm"))
    hour = np.where(morning & (hour == 12), 0, np.where(evening & (hour < 12), hour + 12, hour))
    nanos = whole_numbers(pc.utf8_rpad(pc.fill_null(parts.field("f"), ""), 9, "0"), n)
    sound = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour < 24) & (number("y") >= 1678) & (number("y") <= 2261)
    seconds = days(number("y"), month, day) * 86_400 + hour * 3600 + number("m") * 60 + number("s") - utc_offset_s
    out[found] = np.where(sound, seconds * 1_000_000_000 + nanos, MISSING)
    return out


def csv_columns(
    text: bytes, first: int, lines: int, delimiter: str, width: int, wanted: list[int], untrimmed: Sequence[int] = ()
) -> tuple[dict[int, pa.Array], NDArray[np.int64], list[int]]:
    """Columns of delimited text, trimmed (but for the left of `untrimmed`); "" and "-" are null. Returns (place -> column, numbers of
    the lines, numbers of the lines that have another number of columns). `first` is the number of the first of the `lines` lines."""
    if delimiter == " ":
        # Runs of spaces are one delimiter.
        text = b"\n".join(b" ".join(line.split()) for line in split(text)) + b"\n"
    text = one_kind_of_end(text)
    bad: list[int] = []

    def skip(row: Any) -> str:
        bad.append(first + (row.number or 1) - 1)
        return "skip"

    names = [str(place) for place in range(width)]
    if not is_utf8(text):
        text = text.decode("utf-8", "backslashreplace").encode()
    try:
        table = _read_csv(text, names, [str(w) for w in wanted], delimiter, skip)
    except pa.ArrowInvalid:
        return {w: pa.nulls(0, pa.string()) for w in wanted}, np.zeros(0, dtype=np.int64), list(range(first, first + lines))
    numbers = np.arange(first, first + lines, dtype=np.int64)
    if bad:
        numbers = numbers[~np.isin(numbers, bad)]
    # A quote that is never closed takes lines together.
    numbers = numbers[: table.num_rows]
    table = table.slice(0, len(numbers))
    columns = {w: table.column(str(w)).combine_chunks() for w in wanted}
    columns = {w: pc.utf8_rtrim_whitespace(c) if w in untrimmed else pc.utf8_trim_whitespace(c) for w, c in columns.items()}
    columns = {w: pc.if_else(pc.is_in(c, pa.array(["", "-"])), pa.scalar(None, pa.string()), c) for w, c in columns.items()}
    return columns, numbers, bad


def _read_csv(text: bytes, names: list[str], wanted: list[str], delimiter: str, skip: Callable[[Any], str]) -> pa.Table:
    return pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            include_columns=wanted, column_types={w: pa.string() for w in wanted}, strings_can_be_null=False
        ),
    )
