"""Columns out of delimited text: the kernels say what Python's own readers say, compiled and plain."""

from __future__ import annotations

import ipaddress
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.flowlogs import text_fields as t
from tracehound.flowlogs.reader import MISSING
from tracehound.packets.addresses import address_text


def column(*values: str) -> t.Fields:
    text = "\n".join(f"a|{v}|z" for v in values).encode()
    return t.find_fields(text, len(values), ord("|"), 3, [1])


def test_fields_are_found_where_they_lie():
    text = b"a|bb||d\nx|y\n\n1|2|3|4\n|||\n9|8|7|6"
    found = t.find_fields(text, 6, ord("|"), 4, [1, 2])
    assert found.line.tolist() == [0, 3, 4, 5]
    assert found.bad.tolist() == [1, 2]
    assert t.texts(found, 0, b"-").to_pylist() == ["bb", "2", "", "8"]
    assert t.texts(found, 1, b"-").to_pylist() == ["", "3", "", "7"]


@given(st.lists(st.text(alphabet="0123456789-.ex", max_size=22), min_size=1, max_size=8))
def test_numbers_and_seconds(values):
    found = column(*values)
    whole = [int(v) if v.isdecimal() and len(v) < 19 else MISSING for v in values]
    assert t.counts(found, 0).tolist() == whole

    def ns(text: str) -> int:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return MISSING
        cut, _, fraction = text.partition(".")
        digits = cut.removeprefix("-") + fraction
        if cut in ("", "-") or not digits.isdecimal() or "e" in text or int(cut.removeprefix("-")) > 9_000_000_000:
            return MISSING
        return int(number.copy_abs() * 10**9) * (-1 if text.startswith("-") else 1)

    assert t.seconds_ns(found, 0).tolist() == [ns(v) for v in values]


def as_text(ends: Any) -> list[str | None]:
    return [address_text(int(h), int(lo), int(v)) if v else None for h, lo, v in zip(*ends, strict=True)]


def canonical(text: str) -> str | None:
    if text.count(".") == 3 and ":" not in text:
        # As Zeek never writes them, leading zeros are taken for what they are in decimal.
        parts = text.split(".")
        sound = all(p.isascii() and p.isdecimal() and len(p) < 4 and int(p) < 256 for p in parts)
        return ".".join(str(int(p)) for p in parts) if sound else None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@given(
    st.lists(
        st.one_of(
            st.ip_addresses().map(str),
            st.ip_addresses(v=6).map(lambda a: a.exploded),
            st.ip_addresses(v=6).map(lambda a: a.compressed.upper()),
            st.text(alphabet="0123456789abcdefg:.", max_size=20),
            st.sampled_from(["::", "::1", "1::", "::ffff:10.0.0.1", "1:2:3:4:5:6:7::", "-", ""]),
        ),
        min_size=1,
        max_size=6,
    )
)  # fmt: skip
def test_addresses(values):
    expected = [canonical(v) for v in values]
    # ::ffff:a.b.c.d is written so by one library and as groups by the other.
    read = [None if a is None else ipaddress.ip_address(a) for a in as_text(t.addresses(column(*values), 0))]
    assert read == [None if e is None else ipaddress.ip_address(e) for e in expected]


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::1.2.3",
        "1:2:3:4:5:6:7:1.2.3.4", "::1:", "g::", "1:2:3:4:5:6:7:8::",
    ],
)  # fmt: skip
def test_what_is_no_address(text):
    assert as_text(t.addresses(column(text), 0)) == [None]


def test_words_are_numbered_and_null_where_unset():
    found = column("SF", "-", "S0", "SF", "", "é")
    assert t.words(found, 0, b"-").to_pylist() == ["SF", None, "S0", "SF", "", "é"]
    assert len(t.words(found, 0, b"-").dictionary) == 4
    many = column(*(str(k) for k in range(5000)), "-")
    assert t.words(many, 0, b"-").to_pylist() == [*(str(k) for k in range(5000)), None]


def test_kernels_are_the_same_as_plain_python():
    text = b"10.0.0.1|5|1.5|SF\n2001:db8::1|x|-2.25|S0\n::ffff:1.2.3.4|99999999999999999999|.5|SF\n-|-|-|-\n"
    find: Any = t._find
    kept = []
    for kernel in (find, find.py_func):
        starts, sizes = np.zeros((4, 5), np.int64), np.zeros((4, 5), np.int64)
        row_of, bad = np.zeros(5, np.int64), np.zeros(5, np.int64)
        said = kernel(np.frombuffer(text, np.uint8), 124, 4, np.arange(4), starts, sizes, row_of, bad)
        kept.append((tuple(int(v) for v in said), starts.tolist(), sizes.tolist()))
    assert kept[0] == kept[1]
    found = t.find_fields(text, 4, 124, 4, [0, 1, 2, 3])
    for name, place, outs in (("_counts", 1, [np.int64]), ("_seconds", 2, [np.int64]), ("_addresses", 0, [np.int64, np.int64, np.uint8])):
        compiled: Any = getattr(t, name)
        results = []
        for kernel in (compiled, _plain(compiled)):
            columns = [np.zeros(4, kind) for kind in outs]
            room = [np.zeros(8, np.int64)] if name == "_addresses" else []
            kernel(found.text, found.starts[place], found.sizes[place], *columns, *room)
            results.append([c.tolist() for c in columns])
        assert results[0] == results[1]


def _plain(kernel: Any) -> Any:
    return kernel.py_func
