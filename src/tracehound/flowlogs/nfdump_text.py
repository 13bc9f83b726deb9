"""In: what nfdump prints for people (-o line, long, extended, biline, bilong) and for programs (-o json, ndjson), versions 1.6 and 1.7.
Out: blocks. Never here: -o csv (delimited.py), nfdump's own files (nfdump_file.py).

Source: nfdump's output formats (nfdump(1)). Times are local to whoever ran nfdump, without saying where. Lines for people shorten
IPv6 addresses unless -6 was given, and large numbers ("1.2 M") unless -N was: what is lost so is not guessed."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs.delimited import Rows, block, over_words
from tracehound.flowlogs.lines import BAD_LINES, decoded, first_of_them, split, text_array, whole_lines
from tracehound.flowlogs.reader import ONE_WAY, Block, Format, Options, Took

_COUNT: Final = r"\d+(?:\.\d+)?(?: [KMGT]\b)?"
LINE: Final = (
    r"^(?P<start>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\s+(?P<duration>(?:\d+d[ +]?)?[\d:.]+)\s+(?P<proto>\S+)\s+"
    r"(?P<src>\S+)\s+(?P<arrow><?->)\s+(?P<dst>\S+)\s+(?:(?P<flags>[A-Z.]{6,8})\s+\d+\s+)?"
    rf"(?P<a>{_COUNT})\s+(?P<b>{_COUNT})(?:\s+(?P<c>{_COUNT}))?(?:\s+(?P<d>{_COUNT}))?(?:\s+.*)?$"
)
"""Date first seen, Duration, Proto, Src IP Addr:Port, arrow, Dst IP Addr:Port, [Flags, Tos], Packets, Bytes, ...; with "<->": Out Pkt,
In Pkt, Out Byte, In Byte ("in" is what the source sent)."""
_HEADER: Final = b"Date first seen"
_PASSED_OVER: Final = (
    "Date first seen", "Date flow start", "Summary:", "Time window:", "Total flows processed:", "Sys:", "Aggregated flows", "Top ",
    "No matching flows", "Byte limit",
)  # fmt: skip
"""Lines around the records."""


def _end_of(token: str) -> tuple[str, str]:
    """Address and port of "10.0.0.1:80", "10.0.0.1:8.0" (ICMP) or "2001:db8::1.80"."""
    if token.count(":") == 1:
        address, _, port = token.partition(":")
        return address, port
    match = re.fullmatch(r"(.*?[:0-9a-fA-F])\.(\d+(?:\.\d+)?)", token)
    return (match[1], match[2]) if match else (token, "")


class NfdumpLines:
    """Reader of lines for people."""

    def __init__(self, utc_offset_s: int) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._offset_s = utc_offset_s
        self._line = 0
        self._base = 0
        self._bad_lines = 0
        self._first_bad = 0

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        if cut.too_long:
            return Took(0, [], f"byte {self._base}, line {self._line + 1}: a line longer than {limits.MAX_LOG_RECORD_BYTES} bytes")
        lines = split(cut.text)
        blocks: list[Block] = []
        last_bad = 0
        for begin in range(0, len(lines), limits.LOG_ROWS_AT_ONCE):
            part = lines[begin : begin + limits.LOG_ROWS_AT_ONCE]
            made, bad = self._block(part, self._line + 1)
            blocks += [made] if made is not None else []
            self._line += len(part)
            if bad:
                last_bad = max(bad)
                self._bad_lines += len(bad)
                self._first_bad = self._first_bad or min(bad)
        damage = None
        if cut.open_end and last_bad == self._line:
            damage = f"line {self._line}: the last line is cut"
            self._bad_lines -= 1
        if self._bad_lines:
            note = f"{first_of_them(self._first_bad)} (nfdump shortens IPv6 addresses without -6)"
            self.counts[BAD_LINES] = (self._bad_lines, note)
        self._base += cut.consumed
        return Took(cut.consumed, blocks, damage)

    def _block(self, lines: list[bytes], first: int) -> tuple[Block | None, list[int]]:
        texts = pa.array([decoded(line) for line in lines], pa.string())
        parts = pc.extract_regex(texts, LINE)
        found = parts.is_valid().to_numpy(zero_copy_only=False)
        strange = [k for k in np.flatnonzero(~found).tolist() if not _passed_over(texts[k].as_py())]
        bad = [first + k for k in strange]
        if not found.any():
            return None, bad
        parts = parts.filter(pa.array(found))
        both = pc.equal(parts.field("arrow"), "<->")
        ends = {side: over_words(parts.field(side), _end_of, ("", "")) for side in ("src", "dst")}
        flags = parts.field("flags")
        rows = Rows(
            first + np.flatnonzero(found).astype(np.int64),
            {
                "start": parts.field("start"), "duration": parts.field("duration"), "proto": parts.field("proto"),
                "src": pa.array([a for a, _ in ends["src"]], pa.string()), "sport": pa.array([p for _, p in ends["src"]], pa.string()),
                "dst": pa.array([a for a, _ in ends["dst"]], pa.string()), "dport": pa.array([p for _, p in ends["dst"]], pa.string()),
                "flags": pc.if_else(pc.equal(flags, ""), pa.scalar(None, pa.string()), flags),
                "pkts_src": pc.if_else(both, parts.field("b"), parts.field("a")),
                "bytes_src": pc.if_else(both, parts.field("d"), parts.field("b")),
                "pkts_dst": pc.if_else(both, parts.field("a"), "0"), "bytes_dst": pc.if_else(both, parts.field("c"), "0"),
            },
        )  # fmt: skip
        made, wrong = block(rows, "nfdump line", ONE_WAY, self._offset_s)
        return made, sorted(bad + wrong)


def _passed_over(line: str) -> bool:
    return not line.strip() or line.startswith(_PASSED_OVER)


# -- JSON ----------------------------------------------------------------------------------------------------------------------

_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "start": ("first", "t_first", "firstSeen"), "end": ("last", "t_last", "lastSeen"), "proto": ("proto",),
    "src": ("src4_addr", "src6_addr", "srcAddr"), "dst": ("dst4_addr", "dst6_addr", "dstAddr"),
    "sport": ("src_port",), "dport": ("dst_port",), "icmp_type": ("icmp_type",), "icmp_code": ("icmp_code",),
    "pkts_src": ("in_packets", "packets"), "bytes_src": ("in_bytes", "bytes"), "pkts_dst": ("out_packets",), "bytes_dst": ("out_bytes",),
    "flags": ("tcp_flags",), "vlan": ("src_vlan", "vlanID"), "sensor": ("ip4_router", "ip6_router", "exporter"), "label": ("label",),
}  # fmt: skip
_DECODER: Final = json.JSONDecoder(parse_float=str)


class NfdumpJson:
    """Reader of the objects of -o json (an array over many lines) and ndjson (an object a line)."""

    def __init__(self, utc_offset_s: int) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._offset_s = utc_offset_s
        self._records = 0
        self._base = 0
        self._bad = 0
        self._first_bad = 0

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        # One letter a byte, so that places in the text are places in the file.
        text = buffer[:length].tobytes().decode("latin-1")
        at, damage = 0, None
        numbers: list[int] = []
        found: list[dict[str, Any]] = []
        blocks: list[Block] = []
        while True:
            start = text.find("{", at)
            if start < 0:
                at = length if final else max(at, length - 1)
                break
            try:
                value, end = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError):
                following = text.find("\n{", start + 1)
                if following < 0:
                    at = start
                    if final:
                        damage = f"byte {self._base + start}, record {self._records + 1}: the last record is cut"
                    elif length - start >= limits.MAX_LOG_RECORD_BYTES:
                        damage = f"byte {self._base + start}: a record longer than {limits.MAX_LOG_RECORD_BYTES} bytes"
                    break
                self._spoilt(start)
                at = following + 1
                continue
            at = end
            self._records += 1
            if isinstance(value, dict):
                numbers.append(self._records)
                found.append(value)
            if len(found) >= limits.LOG_ROWS_AT_ONCE:
                blocks += self._block(numbers, found)
                numbers, found = [], []
        blocks += self._block(numbers, found)
        self._base += at
        return Took(at, blocks, damage)

    def _spoilt(self, start: int) -> None:
        self._bad += 1
        self._first_bad = self._first_bad or self._base + start
        self.counts["records that could not be read"] = (self._bad, f"the first of them is at byte {self._first_bad}")

    def _block(self, numbers: list[int], found: list[dict[str, Any]]) -> list[Block]:
        if not found:
            return []
        columns = {}
        for ours, theirs in _FIELDS.items():
            values = [next((o[t] for t in theirs if t in o), None) for o in found]
            if any(v is not None for v in values):
                columns[ours] = text_array(values)
        for name in ("pkts_dst", "bytes_dst"):
            columns.setdefault(name, pa.array(["0"] * len(found)))
        if "label" in columns:
            label = columns["label"]
            columns["label"] = pc.if_else(pc.is_in(label, pa.array(["<none>", ""])), pa.scalar(None, pa.string()), label)
        sampled = sum(1 for o in found if o.get("sampled") in (1, True))
        if sampled:
            before = self.counts.get("sampled records", (0, None))[0]
            note = "the exporter looked at a part of the packets only; nfdump does not say which part, and has scaled the counts"
            self.counts["sampled records"] = (before + sampled, note)
        made, wrong = block(Rows(np.array(numbers, dtype=np.int64), columns), "nfdump json", ONE_WAY, self._offset_s)
        for _ in wrong:
            self._spoilt(0)
        return [made] if made is not None else []


def _is_line(head: bytes) -> bool:
    lines = split(head)[:20]
    return any(line.startswith(_HEADER) and b"Src IP" in line for line in lines) or any(
        re.match(LINE, decoded(line)) is not None for line in lines[:2]
    )


def _is_json(head: bytes) -> bool:
    begin = head.lstrip()[:4096]
    return begin[:1] in (b"[", b"{") and re.search(rb'"type"\s*:\s*"(FLOW|EVENT)"', begin) is not None and b'"export' in begin


def _open_lines(head: bytes, options: Options) -> NfdumpLines:
    return NfdumpLines(options.utc_offset_s)


def _open_json(head: bytes, options: Options) -> NfdumpJson:
    return NfdumpJson(options.utc_offset_s)


LINES_FORMAT: Final = Format(_is_line, _open_lines)
JSON_FORMAT: Final = Format(_is_json, _open_json)
