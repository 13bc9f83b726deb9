"""In: lines of delimited text as bytes. Out: where their fields lie, and whole columns of fields as numbers, times, addresses, words and
text. Never here: what a field is called or means (zeek_log.py).

A field that does not read as what is asked for is MISSING (addresses: version 0): the rest of its line still counts. Columns are read
where they lie: no field becomes a Python object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flowlogs.reader import MISSING, Ends
from tracehound.flows.key import V4_MAPPED
from tracehound.kernels import Bool, Int, kernel

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_WORDS: Final = 4096
"""Distinct words of one column that are told apart here; columns with more are left to Arrow."""
_SLOTS: Final = 4 * _WORDS
_MAX_SECONDS: Final = 9_000_000_000
"""Seconds since 1970 that fit into 64 bits as ns."""


@kernel
def _find(
    b: Bytes, separator: Int, width: Int, wanted: Places, starts: Places, sizes: Places, row_of: Places, bad: Places
) -> tuple[Int, Int, Int]:
    """Write where the `wanted` fields (ascending) of each line with `width` fields lie into (wanted, row) of `starts` and `sizes`, the
    number of its line (from 0) into `row_of`, and numbers of the other lines into `bad`. Returns (rows, bad lines, lines)."""
    rows, wrong, line = 0, 0, 0
    at, end = 0, b.size
    count = wanted.size
    while at < end:
        field, take, begin = 0, 0, at
        while True:
            stop = at == end or b[at] == 10
            if stop or b[at] == separator:
                if take < count and wanted[take] == field:
                    starts[take, rows] = begin
                    sizes[take, rows] = at - begin
                    take += 1
                field += 1
                begin = at + 1
                if stop:
                    break
            at += 1
        at += 1
        if field == width:
            row_of[rows] = line
            rows += 1
        else:
            bad[wrong] = line
            wrong += 1
        line += 1
    return rows, wrong, line


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of some lines.

    text      the lines
    line      int64[rows]: number of each row's line, from 0
    bad       numbers of the lines that have another number of fields
    starts, sizes   int64 (wanted, rows): where each field lies in `text`"""

    text: Bytes
    line: NDArray[np.int64]
    bad: NDArray[np.int64]
    starts: Places
    sizes: Places


def find_fields(text: bytes, lines: int, separator: int, width: int, wanted: list[int]) -> Fields:
    """Where the `wanted` fields (numbers from 0, ascending) of each of the `lines` lines lie. Lines end in "\\n"."""
    b = np.frombuffer(text, dtype=np.uint8)
    starts, sizes = np.empty((len(wanted), lines), np.int64), np.empty((len(wanted), lines), np.int64)
    row_of, bad = np.empty(lines, np.int64), np.empty(lines, np.int64)
    rows, wrong, _ = _find(b, separator, width, np.array(wanted, dtype=np.int64), starts, sizes, row_of, bad)
    return Fields(b, row_of[:rows], bad[:wrong], starts[:, :rows], sizes[:, :rows])


@kernel
def _is(b: Bytes, start: Int, size: Int, word: Bytes) -> Bool:
    same = 0
    if size == word.size:
        while same < size and b[start + same] == word[same]:
            same += 1
    return size == word.size and same == size


@kernel
def _counts(b: Bytes, starts: Places, sizes: Places, out: Places) -> None:
    for row in range(starts.size):
        value = np.int64(MISSING)
        if 0 < sizes[row] < 19:
            value = np.int64(0)
            for k in range(starts[row], starts[row] + sizes[row]):
                digit = np.int64(b[k]) - 48
                if digit < 0 or digit > 9:
                    value = np.int64(MISSING)
                    break
                value = value * 10 + digit
        out[row] = value


@kernel
def _seconds(b: Bytes, starts: Places, sizes: Places, out: Places) -> None:
    for row in range(starts.size):
        at, end = starts[row], starts[row] + sizes[row]
        sign = 1
        if at < end and b[at] == 45:
            sign = -1
            at += 1
        value, digits, scale = np.int64(0), 0, np.int64(1_000_000_000)
        fraction = False
        sound = True
        for k in range(at, end):
            digit = np.int64(b[k]) - 48
            if b[k] == 46 and not fraction:
                fraction = True
            elif digit < 0 or digit > 9:
                sound = False
                break
            elif not fraction:
                value = value * 10 + digit
                digits += 1
                if value > _MAX_SECONDS:
                    sound = False
                    break
            elif scale > 1:
                value = value * 10 + digit
                scale //= 10
        # The digits behind the point were counted in: what is missing of nine are zeros.
        out[row] = sign * value * scale if sound and digits > 0 else np.int64(MISSING)


@kernel
def _hexadecimal(byte: Int) -> Int:
    if 48 <= byte <= 57:
        return byte - 48
    if 97 <= byte <= 102:
        return byte - 87
    if 65 <= byte <= 70:
        return byte - 55
    return -1


@kernel
def _quad(b: Bytes, at: Int, end: Int) -> Int:
    """An IPv4 address in b[at:end] as a number, or -1."""
    value, octet, digits, octets = np.int64(0), np.int64(0), 0, 0
    for k in range(at, end + 1):
        byte = np.int64(b[k]) if k < end else np.int64(46)
        if byte == 46:
            if digits == 0 or digits > 3 or octet > 255 or octets == 4:
                return np.int64(-1)
            value = value << 8 | octet
            octet, digits = np.int64(0), 0
            octets += 1
        elif 48 <= byte <= 57:
            octet = octet * 10 + byte - 48
            digits += 1
            if digits > 3:
                return np.int64(-1)
        else:
            return np.int64(-1)
    return value if octets == 4 else np.int64(-1)


@kernel
def _groups(b: Bytes, at: Int, end: Int, groups: Places) -> Bool:
    """RFC 4291 2.2: eight groups of an IPv6 address in b[at:end], "::" once for a run of zeros, the last 32 bits perhaps as a quad."""
    count, gap = 0, -1
    groups[:] = 0
    k = at
    if end - at >= 2 and b[at] == 58 and b[at + 1] == 58:
        gap = 0
        k = at + 2
    while k < end:
        value, digits, begin = np.int64(0), 0, k
        while k < end and digits < 5:
            digit = _hexadecimal(np.int64(b[k]))
            if digit < 0:
                break
            value = value << 4 | digit
            digits += 1
            k += 1
        if k < end and b[k] == 46:
            quad = _quad(b, begin, end)
            if quad < 0 or count > 6:
                return False
            groups[count], groups[count + 1] = quad >> 16, quad & 0xFFFF
            count += 2
            break
        if digits == 0 or digits > 4 or count > 7:
            return False
        groups[count] = value
        count += 1
        if k == end:
            break
        if b[k] != 58 or k + 1 == end:
            return False
        k += 1
        if b[k] == 58:
            if gap >= 0:
                return False
            gap = count
            k += 1
    if gap < 0:
        return count == 8
    if count > 7:
        return False
    for n in range(count - gap):
        groups[7 - n] = groups[count - 1 - n]
        groups[count - 1 - n] = 0
    return True


@kernel
def _addresses(b: Bytes, starts: Places, sizes: Places, hi: Places, lo: Places, version: Bytes, groups: Places) -> None:
    """`groups` is room for the eight groups of one address: kernels allocate nothing (kernels.py)."""
    for row in range(starts.size):
        at, end = starts[row], starts[row] + sizes[row]
        hi[row], lo[row], version[row] = 0, 0, 0
        quad = _quad(b, at, end) if sizes[row] < 16 else np.int64(-1)
        if quad >= 0:
            lo[row] = V4_MAPPED | quad
            version[row] = 4
        elif 1 < sizes[row] < 46 and _groups(b, at, end, groups):
            for k in range(4):
                # The first group of each half carries its sign.
                high = groups[k] - 0x10000 if k == 0 and groups[k] > 0x7FFF else groups[k]
                low = groups[4 + k] - 0x10000 if k == 0 and groups[4 + k] > 0x7FFF else groups[4 + k]
                hi[row] = hi[row] << 16 | high if k else high
                lo[row] = lo[row] << 16 | low if k else low
            version[row] = 6


@kernel
def _code_words(b: Bytes, starts: Places, sizes: Places, unset: Bytes, slots: Places, codes: NDArray[np.int32], first: Places) -> Int:
    """Number the distinct words in order of appearance; the unset word is -1. Writes the row where each first stands into `first`.
    Returns how many there are, or -1 if there are more than `first` has room for."""
    count = 0
    mask = slots.size - 1
    for row in range(starts.size):
        start, size = starts[row], sizes[row]
        if _is(b, start, size, unset):
            codes[row] = -1
            continue
        # FNV-1a, 32 bits
        key = np.int64(2166136261)
        for k in range(start, start + size):
            key = ((key ^ np.int64(b[k])) * 16777619) & 0xFFFFFFFF
        slot = key & mask
        while True:
            known = slots[slot] - 1
            if known < 0:
                if count == first.size:
                    return -1
                slots[slot] = count + 1
                first[count] = row
                codes[row] = count
                count += 1
                break
            other = first[known]
            same = sizes[other] == size
            if same:
                for k in range(size):
                    if b[start + k] != b[starts[other] + k]:
                        same = False
                        break
            if same:
                codes[row] = known
                break
            slot = (slot + 1) & mask
    return count


@kernel
def _gather(b: Bytes, starts: Places, sizes: Places, unset: Bytes, ends: NDArray[np.int32], out: Bytes, valid: NDArray[np.bool_]) -> None:
    at = 0
    for row in range(starts.size):
        valid[row] = not _is(b, starts[row], sizes[row], unset)
        if valid[row]:
            for k in range(sizes[row]):
                out[at + k] = b[starts[row] + k]
            at += sizes[row]
        ends[row + 1] = at


def counts(fields: Fields, column: int) -> NDArray[np.int64]:
    """Whole numbers; MISSING for anything else."""
    out = np.empty(len(fields.line), dtype=np.int64)
    _counts(fields.text, fields.starts[column], fields.sizes[column], out)
    return out


def seconds_ns(fields: Fields, column: int) -> NDArray[np.int64]:
    """Seconds with a fraction, as ns; digits beyond the ninth are left out. MISSING for anything else."""
    out = np.empty(len(fields.line), dtype=np.int64)
    _seconds(fields.text, fields.starts[column], fields.sizes[column], out)
    return out


def addresses(fields: Fields, column: int) -> Ends:
    """IPv4 and IPv6 addresses; version 0 for anything else."""
    n = len(fields.line)
    hi, lo, version = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.uint8)
    _addresses(fields.text, fields.starts[column], fields.sizes[column], hi, lo, version, np.zeros(8, np.int64))
    return Ends(hi.view(np.uint64), lo.view(np.uint64), version)


def texts(fields: Fields, column: int, unset: bytes) -> pa.Array:
    """Text; null where it is `unset`. The bytes must be UTF-8."""
    starts, sizes = fields.starts[column], fields.sizes[column]
    n = len(fields.line)
    ends, valid = np.zeros(n + 1, dtype=np.int32), np.empty(n, dtype=np.bool_)
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    _gather(fields.text, starts, sizes, np.frombuffer(unset, np.uint8), ends, out, valid)
    mask = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), n, [mask, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])])


def words(fields: Fields, column: int, unset: bytes) -> pa.Array:
    """Text of which there is little that differs, as a dictionary; null where it is `unset`."""
    starts, sizes = fields.starts[column], fields.sizes[column]
    codes, first = np.empty(len(fields.line), dtype=np.int32), np.empty(_WORDS, dtype=np.int64)
    found = int(_code_words(fields.text, starts, sizes, np.frombuffer(unset, np.uint8), np.zeros(_SLOTS, np.int64), codes, first))
    if found < 0:
        return texts(fields, column, unset).dictionary_encode()
    distinct = [fields.text[starts[row] : starts[row] + sizes[row]].tobytes().decode() for row in first[:found].tolist()]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(distinct, pa.string()))
