"""In: flow logs in delimited text: nfdump -o csv (1.6 and 1.7), SiLK's rwcut, cloud flow logs, and any CSV whose columns are named or
mapped by the user. Out: blocks. Never here: what titles mean (delimited_titles.py), nfdump's lines for people (nfdump_text.py).

Sources: nfdump's output_csv.c, rwcut's manual page, RFC 4180 for CSV."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import delimited_titles as titles
from tracehound.flowlogs.lines import (
    AMBIGUOUS_DATES,
    BAD_LINES,
    any_times,
    csv_columns,
    day_order,
    decoded,
    first_of_them,
    seconds_ns,
    split,
    whole_lines,
    whole_numbers,
)
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, PART, WHOLE, Block, Format, Options, Took
from tracehound.flows.tcp_outcome import CONN_STATES, OUTCOME_NAMES

DELIMITERS: Final = (",", "\t", ";", "|", " ")
PROTOCOLS: Final[dict[str, int]] = {
    "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipip": 4, "ipinip": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12,
    "udp": 17, "hmp": 20, "xnsidp": 22, "rdp": 27, "isotp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idprcmtp": 38, "ipv6": 41,
    "ipv6route": 43, "rte6": 43, "ipv6frag": 44, "frag6": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57,
    "icmp6": 58, "icmpv6": 58, "ipv6icmp": 58, "ipv6nonxt": 59, "nonxt6": 59, "ipv6opts": 60, "opts6": 60, "rspf": 73, "vmtp": 81,
    "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112,
    "carp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobilityheader": 135, "mhead": 135, "udplite": 136,
    "mplsinip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142,
}  # fmt: skip
"""IANA's names without hyphens, and those that nfdump and others print instead."""
_FLAG_LETTERS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
_REFUSALS: Final = frozenset({"reject", "rejected", "drop", "dropped", "deny", "denied", "block", "blocked"})
_TAIL: Final = re.compile(rb"(?:^|\n)Summary[:\r\n]")
"""nfdump ends its output with a summary."""


def over_words(column: pa.Array, of: Callable[[str], Any], missing: Any = MISSING) -> list[Any]:
    """`of` each distinct text, for every row. Texts of logs repeat."""
    words = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    table = [missing if w is None else of(w) for w in words.dictionary.to_pylist()] + [missing]
    places = pc.fill_null(words.indices, len(table) - 1).to_numpy(zero_copy_only=False)
    return [table[p] for p in places.tolist()]


def protocol_number(text: str) -> int:
    """A protocol by name or number; MISSING for what is neither."""
    word = text.strip().lower().replace("-", "").replace("_", "")
    if word.isascii() and word.isdecimal() and len(word) < 4:
        return int(word) if int(word) < 256 else MISSING
    return PROTOCOLS.get(word, MISSING)


def flag_bits(text: str) -> int:
    """TCP flags as letters ("...AP.SF", "FS PA"), hexadecimal (0x1b) or decimal; MISSING for what is none of them."""
    word = text.strip()
    if word[:2].lower() == "0x":
        try:
            return int(word, 16) & 0xFF
        except ValueError:
            return MISSING
    if word.isascii() and word.isdecimal():
        return int(word) & 0xFF if len(word) < 6 else MISSING
    bits = 0
    for letter in word.upper():
        if letter in "._- ":
            continue
        if letter not in _FLAG_LETTERS:
            return MISSING
        bits |= _FLAG_LETTERS[letter]
    return bits


def address_of(text: str) -> str | None:
    """An address as people write it: brackets, padding zeros (SiLK's zero-padded), a whole number (SiLK's decimal, hexadecimal).
    None for what is no address."""
    word = text.strip().strip("[]")
    try:
        if word.isascii() and word.isdecimal() and len(word) < 40:
            number = int(word)
            return str(ipaddress.IPv4Address(number) if number < 2**32 else ipaddress.IPv6Address(number))
        if word[:2].lower() == "0x":
            number = int(word, 16)
            return str(ipaddress.IPv4Address(number) if number < 2**32 else ipaddress.IPv6Address(number))
        if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", word, re.ASCII):
            return str(ipaddress.IPv4Address(".".join(str(int(part)) for part in word.split("."))))
        return str(ipaddress.ip_address(word.split("%")[0]))
    except ValueError:
        return None


def port_of(text: str) -> int:
    """A port; nfdump writes an ICMP type and code as "8.0"."""
    word = text.strip()
    if word.isascii() and word.isdecimal() and len(word) < 6 and int(word) < 65536:
        return int(word)
    if re.fullmatch(r"\d{1,3}\.\d{1,3}", word, re.ASCII):
        kind, code = (int(part) for part in word.split("."))
        return kind << 8 | code if kind < 256 and code < 256 else MISSING
    return MISSING


@dataclass(slots=True)
class Rows:
    """Rows of one log: numbers of their lines, text columns by our words (delimited_titles.TITLES), surrounding spaces taken off."""

    number: NDArray[np.int64]
    columns: Mapping[str, pa.Array]

    def has(self, name: str) -> bool:
        return name in self.columns

    def text(self, name: str) -> pa.Array:
        column = self.columns.get(name)
        return pa.nulls(len(self.number), pa.string()) if column is None else column

    def whole(self, name: str) -> NDArray[np.int64] | None:
        if name not in self.columns:
            return None
        numbers = whole_numbers(_counts(self.columns[name]), len(self.number))
        return np.where((numbers >= 0) & (numbers < 2**50), numbers, MISSING)

    def bits(self, name: str) -> NDArray[np.int64] | None:
        if name not in self.columns:
            return None
        return np.array(over_words(self.columns[name], flag_bits), dtype=np.int64)


def _counts(column: pa.Array) -> pa.Array:
    """Counters: "1562", with a fraction ("1562.0"), or shortened by nfdump ("1.2 M", in steps of 1000)."""
    if pc.any(pc.match_substring_regex(column, r"[^0-9]")).as_py():
        return pa.array(over_words(column, _count, None), pa.int64())
    return column


def _count(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,15})(\.\d+)?\s*([kKMGT]?)", text.strip(), re.ASCII)
    if match is None:
        return None
    scale = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}[match[3].replace("K", "k")]
    return round(float(match[1] + (match[2] or "")) * scale) if match[2] or scale > 1 else int(match[1])


_DURATION_UNITS: Final = (("duration", 1), ("duration_ms", 1_000), ("duration_us", 1_000_000))


def _clock(text: str) -> str | None:
    """nfdump 1.7 writes a duration as [days d ]hours:minutes:seconds."""
    match = re.fullmatch(r"(?:(\d{1,6})d[ +]?)?(\d{1,6}):(\d{2}):(\d{2})(\.\d+)?", text.strip(), re.ASCII)
    if match is None:
        return text
    seconds = int(match[1] or 0) * 86_400 + int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
    return f"{seconds}{match[5] or ''}"


def _durations(rows: Rows) -> NDArray[np.int64] | None:
    for name, per_second in _DURATION_UNITS:
        if rows.has(name):
            column = rows.text(name)
            if pc.any(pc.match_substring(column, ":")).as_py():
                column = pa.array(over_words(column, _clock, None), pa.string())
            ns = seconds_ns(column)
            return np.where(ns >= 0, ns // per_second, MISSING)
    return None


def _ports(rows: Rows, proto: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sport, dport = (np.array(over_words(rows.text(name), port_of), dtype=np.int64) for name in ("sport", "dport"))
    icmp = (proto == 1) | (proto == 58)
    if icmp.any():
        kind, code = rows.whole("icmp_type"), rows.whole("icmp_code")
        if kind is not None:
            sport = np.where(icmp, np.where(kind < 256, kind, MISSING), sport)
            dport = np.where(icmp, MISSING if code is None else np.where(code < 256, code, MISSING), dport)
        else:
            # Type * 256 + code in the destination port, as NetFlow has it; a source port that is not 0 is a type by itself.
            joined = icmp & (sport <= 0) & (dport >= 0)
            sport, dport = np.where(joined, dport >> 8, sport), np.where(joined, dport & 0xFF, dport)
    return sport, dport


_STATE: Final = {name.lower(): code for code, name in enumerate(CONN_STATES)}
_UNANSWERED: Final = OUTCOME_NAMES.index("unanswered")


_SLASHED: Final = r"^\d{1,2}[/.]\d{1,2}[/.]\d{4}"
_TUNNELS: Final = (4, 41, 47, 94, 97, 115, 137)


def _outer_lines(rows: Rows, proto: NDArray[np.int64]) -> NDArray[np.bool_]:
    """nfdump 1.7 prints a line of its own for the tunnel that a record came through: neither packets nor ports."""
    nothing = np.isin(proto, _TUNNELS)
    for name in ("pkts_src", "bytes_src", "sport", "dport"):
        number = rows.whole(name)
        nothing &= np.zeros(len(proto), dtype=np.bool_) if number is None else number == 0
    return nothing


def block(
    rows: Rows, source: str, joins: int | None, utc_offset_s: int, *, month_first: bool = False
) -> tuple[Block | None, list[int]]:
    """Rows as a block, and the numbers of the lines that say too little to be one. joins: None = by the columns that there are."""
    start = any_times(rows.text("start"), utc_offset_s, month_first=month_first)
    src, dst = (pa.array(over_words(rows.text(name), address_of, None), pa.string()) for name in ("src", "dst"))
    sound = (start != MISSING) & src.is_valid().to_numpy(zero_copy_only=False) & dst.is_valid().to_numpy(zero_copy_only=False)
    bad: list[int] = rows.number[~sound].tolist()
    proto = np.array(over_words(rows.text("proto"), protocol_number), dtype=np.int64)
    if source in ("nfdump csv", "nfdump line"):
        sound &= ~_outer_lines(rows, proto)
    if not sound.all():
        mask = pa.array(sound)
        rows = Rows(rows.number[sound], {name: column.filter(mask) for name, column in rows.columns.items()})
        start, src, dst, proto = start[sound], src.filter(mask), dst.filter(mask), proto[sound]
    if not len(rows.number):
        return None, bad
    duration = _durations(rows)
    end = np.full(len(start), MISSING, dtype=np.int64)
    if rows.has("end"):
        end = any_times(rows.text("end"), utc_offset_s, month_first=month_first)
    if duration is not None:
        # A duration has more digits than an end in whole seconds (nfdump's csv).
        end = np.where(duration >= 0, start + np.clip(duration, 0, 2**60), end)
    end = np.maximum(end, start)
    sport, dport = _ports(rows, proto)
    back = [rows.whole(name) for name in ("pkts_dst", "bytes_dst", "payload_dst")]
    told_back = [b for b in back if b is not None]
    forth = [rows.whole(name) for name in ("pkts_src", "bytes_src")]
    # nfdump's csv has columns for the other direction in every record; they are zero where it was not seen.
    if joins == ONE_WAY and told_back:
        answered = np.any([b > 0 for b in told_back], axis=0)
        back = [None if b is None else np.where(answered, b, MISSING) for b in back]
        kinds: NDArray[np.uint8] | int = np.where(answered, PART, ONE_WAY).astype(np.uint8)
    else:
        answered = np.zeros(len(start), dtype=np.bool_)
        # A list of connections without any counter is no more than a mention of them.
        forward = any(f is not None for f in forth)
        kinds = joins if joins is not None else (WHOLE if told_back else ONE_WAY if forward else MENTION)
    flags = rows.bits("flags")
    first, later = rows.bits("initial_flags"), rows.bits("session_flags")
    if first is not None and later is not None:
        flags = np.where((first >= 0) & (later >= 0), first | later, MISSING if flags is None else flags)
    if flags is not None:
        # Flags of a joined record are those of both sides, and nobody knows whose.
        flags = np.where((proto == 6) & (flags > 0) & ~answered, flags, MISSING)
    opens = None if flags is None else (flags > 0) & (flags & 2 > 0)
    syns = None
    if flags is not None and forth[0] is not None and isinstance(kinds, int):
        syns = np.where((flags > 0) & (flags & 0x1F == 2), forth[0], MISSING)
    state = rows.text("state")
    refused = np.array(over_words(state, lambda w: w.strip().lower() in _REFUSALS, missing=False), dtype=np.bool_)
    vlan, ttl = rows.whole("vlan"), rows.whole("ttl")
    made = Block(
        number=rows.number, start=start, end=end, src=src, dst=dst, source=source, proto=proto, sport=sport, dport=dport,
        pkts_src=forth[0], bytes_src=forth[1], payload_src=rows.whole("payload_src"),
        pkts_dst=back[0], bytes_dst=back[1], payload_dst=back[2],
        tcp_flags_src=flags, tcp_flags_dst=rows.bits("flags_dst"), joins=kinds, opens=opens, syn_count=syns,
        outcome=np.where(refused, _UNANSWERED, MISSING).astype(np.int64) if refused.any() else None,
        conn_state=np.array(over_words(state, lambda w: _STATE.get(w.strip().lower(), MISSING)), dtype=np.int64),
        certain=None if first is None else (first >= 0) & (first & 0x12 == 2),
        ttl_src=None if ttl is None else np.where((ttl > 0) & (ttl < 256), ttl, MISSING),
        vlan=None if vlan is None else np.where((vlan > 0) & (vlan < 4096), vlan, MISSING),
        texts={
            "proto_name": rows.text("proto"),
            **{name: rows.text(name) for name in ("state", "service", "label", "sensor", "uid") if rows.has(name)},
        },
    )  # fmt: skip
    return made, bad


# -- the file ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited log is laid out.

    places  our columns -> place in a row
    width   columns of a row
    header  the header line, which may come again where files were put together; b"" = there is none
    month_first  how dates with slashes are written; None = they are not there, or do not tell"""

    source: str
    delimiter: str
    places: Mapping[str, int]
    width: int
    header: bytes
    joins: int | None
    month_first: bool | None = None


def titles_of(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [title.strip().strip('"') for title in line.split(delimiter)]


def _first_line(head: bytes) -> bytes:
    """The first line that is not empty; comments ("#", not Zeek's) may stand before it."""
    for line in split(head):
        if line.strip() and not (line.startswith(b"#") and not line.startswith((b"#fields", b"#separator"))):
            return line
    return b""


def dialect(head: bytes, columns: Mapping[str, str] | None = None) -> Dialect | None:
    """How the log that begins with `head` is laid out, or None if it is no delimited flow log. `columns`: our columns -> titles, or
    numbers of columns from 1 where there is no header, as the user says."""
    line = _first_line(head)
    text = decoded(line).lstrip("\ufeff")
    best: Dialect | None = None
    for delimiter in DELIMITERS:
        named = titles_of(text, delimiter)
        if len(named) < 3:
            continue
        places, has_header = _places(named, columns or {})
        if not titles.looks_like_flows(places) and not (columns and {"src", "dst", "start"} <= set(places)):
            continue
        source, joins = _kind(named, delimiter)
        found = Dialect(source, delimiter, places, len(named), line if has_header else b"", joins)
        if best is None or len(found.places) > len(best.places):
            best = found
    if best is None:
        return None
    at = best.places["start"]
    sample = [titles_of(decoded(row), best.delimiter) for row in split(head)[1:500]]
    return replace(best, month_first=day_order([row[at] for row in sample if len(row) > at]))


def _places(named: list[str], columns: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    """Where our columns stand, and whether the line is a header."""
    chosen = {ours: theirs for ours, theirs in columns.items() if ours in titles.TITLES}
    if chosen and all(v.isascii() and v.isdecimal() for v in chosen.values()) and not set(chosen.values()) & set(named):
        return {ours: int(v) - 1 for ours, v in chosen.items() if 0 < int(v) <= len(named)}, False
    places = titles.guess(named)
    exact = {title: place for place, title in reversed(list(enumerate(named)))}
    plain = {titles.plain(title): place for place, title in reversed(list(enumerate(named)))}
    for ours, theirs in chosen.items():
        place = exact.get(theirs, plain.get(titles.plain(theirs)))
        if place is not None:
            places[ours] = place
    return places, True


def _kind(named: list[str], delimiter: str) -> tuple[str, int | None]:
    """Which program wrote it, by its titles, and how its records are joined."""
    if named[:5] == ["ts", "te", "td", "sa", "da"] or named[:4] == ["firstSeen", "duration", "proto", "srcAddr"]:
        return "nfdump csv", ONE_WAY
    if delimiter == "|" and {"sIP", "dIP"} <= set(named):
        return "silk", ONE_WAY
    if {"srcaddr", "dstaddr", "action"} <= set(named):
        return "vpc flow log", ONE_WAY
    return "csv", None


class DelimitedFile:
    """Reader of one delimited log."""

    def __init__(self, layout: Dialect, utc_offset_s: int) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._layout = layout
        self._offset_s = utc_offset_s
        self._line = 0
        self._base = 0
        self._ended = False
        self._begun = not layout.header
        self._bad_lines = 0
        self._first_bad = 0
        self._last_bad = 0

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        if cut.too_long:
            return Took(0, [], f"byte {self._base}, line {self._line + 1}: a line longer than {limits.MAX_LOG_RECORD_BYTES} bytes")
        self._last_bad = 0
        blocks: list[Block] = []
        for text in self._stretches(cut.text):
            blocks += self._rows(text)
        damage = None
        if cut.open_end and self._last_bad == self._line:
            damage = f"line {self._line}: the last line is cut"
            self._bad_lines -= 1
        if self._bad_lines:
            self.counts[BAD_LINES] = (self._bad_lines, first_of_them(self._first_bad))
        self._base += cut.consumed
        return Took(cut.consumed, blocks, damage)

    def _stretches(self, text: bytes) -> Iterable[bytes]:
        """Rows between headers and summaries; what is passed over is counted as lines."""
        header = self._layout.header
        at = 0
        while at < len(text):
            if self._ended or not self._begun:
                # A summary goes on to the next header (several outputs behind one another), or the file has not begun.
                place = _line_at(text, header, at) if header else -1
                if place < 0:
                    self._line += text.count(b"\n", at) + (not text.endswith(b"\n"))
                    return
                end = text.find(b"\n", place)
                end = len(text) if end < 0 else end + 1
                self._line += text.count(b"\n", at, end)
                self._ended, self._begun, at = False, True, end
                continue
            end = len(text)
            tail = _TAIL.search(text, at)
            again = _line_at(text, header, at) if header else -1
            if tail is not None:
                end = tail.start() + (text[tail.start() : tail.start() + 1] == b"\n")
                self._ended = again < 0 or again > end
            if 0 <= again < end:
                end = again
                self._ended, self._begun = False, False
            if end > at:
                yield text[at:end]
            at = end

    def _rows(self, text: bytes) -> list[Block]:
        layout = self._layout
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        first = self._line + 1
        self._line += lines
        columns, numbers, bad = csv_columns(text, first, lines, layout.delimiter, layout.width, sorted(set(layout.places.values())))
        for number in bad:
            self._bad(number)
        blocks = []
        for begin in range(0, len(numbers), limits.LOG_ROWS_AT_ONCE):
            part = slice(begin, begin + limits.LOG_ROWS_AT_ONCE)
            rows = Rows(numbers[part], {n: columns[place].slice(begin, limits.LOG_ROWS_AT_ONCE) for n, place in layout.places.items()})
            made, wrong = block(rows, layout.source, layout.joins, self._offset_s, month_first=bool(layout.month_first))
            for number in wrong:
                self._bad(number)
            if made is not None:
                blocks.append(made)
            if layout.month_first is None and pc.any(pc.match_substring_regex(rows.text("start"), _SLASHED)).as_py():
                before = self.counts.get(AMBIGUOUS_DATES, (0, None))[0]
                self.counts[AMBIGUOUS_DATES] = (before + len(rows.number), "the day is taken to come first")
        return blocks

    def _bad(self, number: int) -> None:
        self._bad_lines += 1
        self._first_bad = self._first_bad or number
        self._last_bad = max(self._last_bad, number)


def _line_at(text: bytes, line: bytes, at: int) -> int:
    """Where a line that is `line` begins, at or behind `at`; -1 = nowhere."""
    while (place := text.find(line, at)) >= 0:
        end = place + len(line)
        if (place == 0 or text[place - 1] == 10) and (end == len(text) or text[end] in b"\r\n"):
            return place
        at = place + 1
    return -1


def recognise(head: bytes) -> bool:
    return dialect(head) is not None


def _open_file(head: bytes, options: Options) -> DelimitedFile:
    layout = dialect(head, options.columns)
    if layout is None:
        layout = Dialect("csv", ",", {}, 1, b"", None)
    return DelimitedFile(layout, options.utc_offset_s)


FORMAT: Final = Format(recognise, _open_file)
