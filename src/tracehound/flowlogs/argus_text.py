"""In: what argus' clients print: `ra` with any -s columns and any -c separator (or none), CTU-13 binetflow, ra -M xml, ra -M json.
Out: blocks, as from the binary records. Never here: how lines are cut into columns (lines.py), binary records (argus.py).

Read by title, in any order. A row is one record of argus, or, after racluster, a whole flow: both are joined by their flags. What a
column that is not there would have told stays unknown: binetflow has packets of both directions together, so they are split only
where one direction was silent. Binetflow: https://www.stratosphereips.org/datasets-ctu13."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs.argus_names import PROTOCOLS
from tracehound.flowlogs.delimited import over_words
from tracehound.flowlogs.lines import (
    Cut,
    any_times,
    csv_columns,
    decoded,
    json_objects,
    seconds_ns,
    split,
    text_array,
    whole_lines,
    whole_numbers,
)
from tracehound.flowlogs.reader import MISSING, PART, Block, Format, Options, Took
from tracehound.flows.tcp_outcome import OUTCOME_NAMES
from tracehound.tables import ARGUS

NAMES: Final[dict[str, str]] = {
    "stime": "StartTime", "ltime": "LastTime", "dur": "Dur", "trans": "Trans", "flgs": "Flgs", "cause": "Cause", "seq": "Seq",
    "srcid": "SrcId", "sid": "SrcId", "proto": "Proto", "saddr": "SrcAddr", "sport": "Sport", "dir": "Dir", "daddr": "DstAddr",
    "dport": "Dport", "stos": "sTos", "dtos": "dTos", "sttl": "sTtl", "dttl": "dTtl", "sipid": "sIpId", "dipid": "dIpId",
    "smac": "SrcMac", "dmac": "DstMac", "pkts": "TotPkts", "spkts": "SrcPkts", "dpkts": "DstPkts", "bytes": "TotBytes",
    "sbytes": "SrcBytes", "dbytes": "DstBytes", "appbytes": "TotAppByte", "sappbytes": "SAppBytes", "dappbytes": "DAppBytes",
    "stcpb": "SrcTCPBase", "dtcpb": "DstTCPBase", "swin": "SrcWin", "dwin": "DstWin", "synack": "SynAck", "ackdat": "AckDat",
    "sloss": "SrcLoss", "dloss": "DstLoss", "sgap": "SrcGap", "dgap": "DstGap", "tcpopt": "TcpOpt", "sminsz": "sMinPktSz",
    "smaxsz": "sMaxPktSz", "dminsz": "dMinPktSz", "dmaxsz": "dMaxPktSz", "sintpktact": "SIntPktAct", "sjitact": "SrcJitAct",
    "dintpktact": "DIntPktAct", "djitact": "DstJitAct", "inode": "Inode", "sco": "sCo", "dco": "dCo", "svlan": "sVlan",
    "dvlan": "dVlan", "smpls": "sMpls", "dmpls": "dMpls", "sstime": "SrcStartTime", "sltime": "SrcLastTime",
    "dstime": "DstStartTime", "dltime": "DstLastTime", "label": "Label", "state": "State",
}  # fmt: skip
"""`-s` names and their titles: keys of JSON, and titles of text."""
ATTRIBUTES: Final[dict[str, str]] = {
    "StartTime": "StartTime", "LastTime": "LastTime", "Duration": "Dur", "Flags": "Flgs", "Proto": "Proto", "SrcAddr": "SrcAddr",
    "SrcPort": "Sport", "DstAddr": "DstAddr", "DstPort": "Dport", "SrcPkts": "SrcPkts", "DstPkts": "DstPkts", "Pkts": "TotPkts",
    "SrcBytes": "SrcBytes", "DstBytes": "DstBytes", "Bytes": "TotBytes", "SrcAppBytes": "SAppBytes", "DstAppBytes": "DAppBytes",
    "State": "State", "Cause": "Cause", "SrcTos": "sTos", "DstTos": "dTos", "SrcTtl": "sTtl", "DstTtl": "dTtl", "SrcIpId": "sIpId",
    "DstIpId": "dIpId", "SrcMacAddr": "SrcMac", "DstMacAddr": "DstMac", "Trans": "Trans", "SeqNumber": "Seq", "SourceId": "SrcId",
    "Label": "Label", "Dir": "Dir",
}  # fmt: skip
"""Attributes of ra's XML. The Dir attribute is cut off in what 3.0.8.2 writes, so the XML is read attribute by attribute."""
TITLES: Final = frozenset(NAMES.values())
_NEEDED: Final = frozenset({"SrcAddr", "DstAddr"})
_PROTO: Final = {name: number for number, name in reversed(list(enumerate(PROTOCOLS))) if name not in ("any", "ip")} | {
    "rtp": 17, "rtcp": 17, "udt": 17, "icmp6": 58, "ipv6-icmp": 58,
}  # fmt: skip
"""By ra's names; `ip` is a flow of addresses only."""
_NOT_FLOWS: Final = ("man", "evt")
_FLAG: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "7": 64, "8": 128}
_FLAGS_STATE: Final = r"^[FSRPAUEC78]*_[FSRPAUEC78]*$"
_OUTCOME: Final = {name: code for code, name in enumerate(OUTCOME_NAMES)}
_TCP_OPTIONS: Final = "MwsSeETcNOSD"
_EMPTY_FRAME: Final = 66
"""Bytes of a frame with IPv4 and TCP headers with time stamps, and no payload."""
_XML_RECORD: Final = re.compile(rb"<Argus(?:Flow|Event|Management)Record\b(.*?)(?:/>|></Argus)", re.S)
_XML_ATTRIBUTE: Final = re.compile(rb'(\w+)\s*=\s*"([^"]*)"')
_FIRST_TITLE: Final = re.compile(r"\s*\w+(\W)")


@dataclass(frozen=True, slots=True)
class Header:
    """The line of titles: our titles by place, and the separator (" " where columns are as wide as they need).

    joined  an address and its port are put together with a full stop: columns of fixed width"""

    places: Mapping[str, int]
    delimiter: str
    width: int
    joined: bool = False


def header_of(line: str) -> Header | None:
    """What the first line says, or None if it holds no titles of ra."""
    if "SrcAddr" not in line or "DstAddr" not in line:
        return None
    match = _FIRST_TITLE.match(line)
    if match is None:
        return None
    delimiter = match[1]
    titles = line.split() if delimiter == " " else [t.strip() for t in line.split(delimiter)]
    places = {title: place for place, title in reversed(list(enumerate(titles))) if title in TITLES}
    if not places.keys() >= _NEEDED or not places.keys() & {"StartTime", "LastTime", "SrcStartTime"}:
        return None
    return Header(places, delimiter, len(titles), delimiter == " " and "  " in line.strip())


@dataclass(slots=True)
class Rows:
    """Rows by title: numbers of their lines, and columns of text; null where there is nothing."""

    number: NDArray[np.int64]
    columns: dict[str, pa.Array]

    def has(self, *titles: str) -> bool:
        return all(title in self.columns for title in titles)

    def text(self, title: str) -> pa.Array:
        return self.columns.get(title, pa.nulls(len(self.number), pa.string()))

    def whole(self, title: str) -> NDArray[np.int64]:
        values = whole_numbers(self.columns.get(title), len(self.number))
        return np.where(values <= limits.MAX_LOG_COUNTER, values, MISSING)

    def each(self, title: str, of: Callable[[str], int]) -> NDArray[np.int64]:
        return np.array(over_words(self.text(title), of), dtype=np.int64)

    def filter(self, keep: NDArray[np.bool_]) -> Rows:
        mask = pa.array(keep)
        return Rows(self.number[keep], {title: column.filter(mask) for title, column in self.columns.items()})


# -- values ---------------------------------------------------------------------------------------------------------------


def _protocol(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 4 and int(text) < 256:
        return int(text)
    return _PROTO.get(text.lower(), MISSING)


def _port(text: str) -> int:
    try:
        value = int(text, 16) if text[:2].lower() == "0x" else int(text)
    except ValueError:
        return _SERVICE_PORTS.get(text.lower(), MISSING)
    return value if 0 <= value <= 0xFFFF else MISSING


_SERVICE_PORTS: Final = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80,
    "kerberos": 88, "pop3": 110, "sunrpc": 111, "auth": 113, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
    "imap2": 143, "snmp": 161, "snmp-trap": 162, "ldap": 389, "https": 443, "microsoft-ds": 445, "isakmp": 500, "syslog": 514,
    "submission": 587, "ldaps": 636, "imaps": 993, "pop3s": 995, "socks": 1080, "ms-sql-s": 1433, "ms-sql-m": 1434, "mysql": 3306,
    "ms-wbt-server": 3389, "mdns": 5353, "postgresql": 5432, "ircd": 6667, "http-alt": 8080,
}  # fmt: skip
"""Names that ra prints without -n; those of its reader's machine, which are Debian's for these."""


def _hexadecimal(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        return MISSING
    return value if 0 <= value <= 0xFFFF else MISSING


def _identification(text: str) -> int:
    value = _hexadecimal(text)
    return value if value < 0 else (value & 0xFF) << 8 | value >> 8


def _letters(text: str) -> int:
    bits = 0
    for letter in text:
        bits |= _FLAG[letter]
    return bits


def _times(values: pa.Array, options: Options) -> tuple[NDArray[np.int64], int]:
    """Times, and how many of them are of an unknown day (ra's default format is the time of day)."""
    found = any_times(values, options.utc_offset_s)
    clock = pc.fill_null(pc.match_substring_regex(values, r"^\d{1,2}:\d{2}:\d{2}"), fill_value=False).to_numpy(zero_copy_only=False)
    if not clock.any():
        return found, 0
    parts = pc.extract_regex(values.filter(pa.array(clock)), r"^(?P<h>\d{1,2}):(?P<m>\d{2}):(?P<s>\d{2}(?:\.\d{1,9})?)")
    hours, minutes = (whole_numbers(parts.field(k), int(clock.sum())) for k in ("h", "m"))
    of_day = (hours * 60 + minutes) * 60_000_000_000 + seconds_ns(parts.field("s")) - options.utc_offset_s * 1_000_000_000
    # The last of them was written before the file was: so the day is that of the file, or the day before.
    day_ns = 86_400 * 1_000_000_000
    written = (options.written_s or 0) * 1_000_000_000
    day = written // day_ns * day_ns
    found[clock] = np.where(day + of_day > max(written, 0) + 1_000_000_000, day + of_day - day_ns, day + of_day) if written else of_day
    return found, int(clock.sum())


def _micro(column: pa.Array) -> NDArray[np.int64]:
    ns = seconds_ns(column)
    return np.where(ns >= 0, (ns + 500) // 1000, MISSING)


# -- blocks ---------------------------------------------------------------------------------------------------------------


def _sides(rows: Rows, total: str, src: str, dst: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A counter of both directions, from whichever two of the three columns there are."""
    both, one, other = rows.whole(total), rows.whole(src), rows.whole(dst)
    other = np.where((other < 0) & (both >= 0) & (one >= 0) & (both >= one), both - one, other)
    one = np.where((one < 0) & (both >= 0) & (other >= 0) & (both >= other), both - other, one)
    return one, other


def _payload_of(appbytes: NDArray[np.int64], pkts: NDArray[np.int64], nbytes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Payload where it was counted: ra prints 0 for records without that counter, so 0 beside large packets is no count."""
    uncounted = (appbytes == 0) & (nbytes > np.maximum(pkts, 0) * (_EMPTY_FRAME + 16))
    return np.where(uncounted, MISSING, appbytes)


def block_of(rows: Rows, options: Options, count: Callable[[str, int, str], None]) -> Block | None:
    """Rows as a block; None where no row is a record of a flow with a time. `count` hears of what is odd."""
    proto_word = pc.utf8_lower(rows.text("Proto"))
    managed = pc.fill_null(pc.is_in(proto_word, pa.array(_NOT_FLOWS)), fill_value=False).to_numpy(zero_copy_only=False)
    if managed.any():
        rows = rows.filter(~managed)
    begins = next((title for title in ("StartTime", "SrcStartTime") if rows.has(title)), "LastTime")
    start, undated = _times(rows.text(begins), options)
    timeless = start == MISSING
    if timeless.any():
        count("lines without a time", int(timeless.sum()), "left out: nothing says when")
        rows, start = rows.filter(~timeless), start[~timeless]
    n = len(rows.number)
    if n == 0:
        return None
    if undated:
        count("times without a date", undated, "taken as of the day on which the file was written; print them with ra -u or a date")
    end = start
    if rows.has("LastTime"):
        end = np.maximum(start, _times(rows.text("LastTime"), options)[0])
    elif rows.has("Dur"):
        end = start + np.maximum(seconds_ns(rows.text("Dur")), 0)
    proto = rows.each("Proto", _protocol)
    sport, dport = rows.each("Sport", _port), rows.each("Dport", _port)
    icmp = proto == 1
    # ra prints code * 256 + type as the source port of ICMP, and an identifier as the destination port.
    kind = np.where(icmp & (sport >= 0), sport & 0xFF, sport)
    code = np.where(icmp & (sport >= 0), sport >> 8, np.where(icmp, MISSING, dport))
    state = rows.text("State")
    flagged = pc.fill_null(pc.match_substring_regex(state, _FLAGS_STATE), fill_value=False).to_numpy(zero_copy_only=False)
    flags_src = np.where(flagged, np.array(over_words(state, lambda s: _flag_side(s, 0)), dtype=np.int64), MISSING)
    flags_dst = np.where(flagged, np.array(over_words(state, lambda s: _flag_side(s, 1)), dtype=np.int64), MISSING)
    pkts_src, pkts_dst = _sides(rows, "TotPkts", "SrcPkts", "DstPkts")
    bytes_src, bytes_dst = _sides(rows, "TotBytes", "SrcBytes", "DstBytes")
    total = rows.whole("TotPkts")
    # Packets of both directions in one number belong to the one that was not silent.
    silent_dst = (bytes_dst == 0) | (flagged & (flags_dst == 0))
    silent_src = (bytes_src == 0) | (flagged & (flags_src == 0))
    pkts_dst = np.where((pkts_dst < 0) & silent_dst, 0, np.where((pkts_dst < 0) & silent_src, total, pkts_dst))
    pkts_src = np.where((pkts_src < 0) & silent_src, 0, np.where((pkts_src < 0) & silent_dst, total, pkts_src))
    app_src, app_dst = _sides(rows, "TotAppByte", "SAppBytes", "DAppBytes")
    tcp = proto == 6
    word = pc.fill_null(state, "")
    outcome, opens, closes = _plain_states(word, rows.text("Flgs"), tcp & ~flagged, pkts_src, pkts_dst, bytes_dst)
    unsure = pc.fill_null(pc.match_substring(rows.text("Dir"), "?"), fill_value=False).to_numpy(zero_copy_only=False)
    outcome = np.where(unsure & tcp & ~flagged, _OUTCOME["midstream"], outcome)
    syn = flagged & (flags_src >= 0) & (flags_src & 2 > 0)
    opens |= syn & tcp
    closes |= flagged & tcp & ((np.maximum(flags_src, 0) | np.maximum(flags_dst, 0)) & 5 > 0)
    only_syn = (flagged & (flags_src == 2)) | (~flagged & (outcome == _OUTCOME["unanswered"]))
    unreachable = pc.fill_null(pc.match_substring_regex(rows.text("Flgs"), "^.{1,2}U"), fill_value=False).to_numpy(zero_copy_only=False)
    texts = {
        "sensor": rows.text("SrcId"),
        "proto_name": rows.text("Proto"),
        "state": state,
        "state_flags": rows.text("Flgs"),
        "direction": rows.text("Dir"),
        "cause": rows.text("Cause"),
        "label": rows.text("Label"),
    }
    return Block(
        number=rows.number, start=start, end=end, src=_address(rows.text("SrcAddr")), dst=_address(rows.text("DstAddr")),
        source="argus text", proto=proto, sport=kind, dport=code, pkts_src=pkts_src, pkts_dst=pkts_dst, bytes_src=bytes_src,
        bytes_dst=bytes_dst, payload_src=_payload_of(app_src, pkts_src, bytes_src), payload_dst=_payload_of(app_dst, pkts_dst, bytes_dst),
        tcp_flags_src=np.where(tcp, flags_src, MISSING), tcp_flags_dst=np.where(tcp, flags_dst, MISSING), joins=PART,
        syn_count=np.where(tcp & only_syn, pkts_src, np.where(tcp & opens, 1, MISSING)), outcome=outcome, opens=opens & tcp,
        closes=closes, certain=~tcp | (syn & ~unsure) | (~flagged & ~unsure),
        icmp_type=np.where(unreachable & ~icmp, 3, MISSING), ttl_src=rows.whole("sTtl"), texts=texts,
        tables={"argus": argus_rows(rows, options)} if options.details else {},
    )  # fmt: skip


def _flag_side(text: str, side: int) -> int:
    halves = text.split("_")
    return _letters(halves[side]) if len(halves) == 2 and all(c in _FLAG for c in halves[side]) else MISSING


def _address(column: pa.Array) -> pa.Array:
    """Addresses without what ra hangs on them: a prefix length, or a star where the column was too narrow."""
    return pc.replace_substring_regex(column, r"/\d+$", "")


def _plain_states(
    state: pa.Array, flgs: pa.Array, tcp: NDArray[np.bool_], pkts_src: NDArray[np.int64], pkts_dst: NDArray[np.int64],
    bytes_dst: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """(outcome, opens, closes) of TCP rows whose state is one word (section 8.8); MISSING and False for all others."""
    n = len(state)

    def among(*words: str) -> NDArray[np.bool_]:
        picked: NDArray[np.bool_] = pc.is_in(state, pa.array(words)).to_numpy(zero_copy_only=False)
        return tcp & picked

    told = pc.fill_null(pc.match_substring(flgs, "U"), fill_value=False).to_numpy(zero_copy_only=False)
    quiet = (pkts_dst == 0) | ((pkts_dst < 0) & (bytes_dst <= 0))
    spoke = bytes_dst > np.maximum(pkts_dst, 1) * (_EMPTY_FRAME + 16)
    # A RST to each SYN: as many packets back as forth, and none larger than a header.
    refused = among("RST") & ~quiet & ~spoke & ((pkts_src < 0) | (pkts_src <= pkts_dst))
    outcome = np.select(
        [
            among("REQ") & told, among("REQ") & quiet, among("RST", "TIM", "INT") & quiet & told, refused,
            among("ACC"), among("CON", "FIN", "CLO", "RST", "TIM", "EST") & spoke, among("CON", "FIN", "CLO", "RST", "TIM", "EST") & ~quiet,
        ],
        [
            _OUTCOME["unreachable"], _OUTCOME["unanswered"], _OUTCOME["unreachable"], _OUTCOME["refused"], _OUTCOME["accepted"],
            _OUTCOME["answered"], _OUTCOME["accepted"],
        ],
        default=MISSING,
    )  # fmt: skip
    return outcome.astype(np.int64).reshape(n), among("REQ", "ACC"), among("FIN", "CLO", "RST")


def argus_rows(rows: Rows, options: Options) -> pa.Table:
    """Rows of table `argus`, as far as the columns go; `record_id` holds the number of the line."""
    n = len(rows.number)
    schema = ARGUS.schema
    built: dict[str, pa.Array] = {"record_id": pa.array(rows.number)}

    def put(name: str, values: NDArray[np.int64]) -> None:
        kind = schema.field(name).type
        top = 2 ** (kind.bit_width - (0 if str(kind).startswith("u") else 1)) - 1
        missing = (values < 0) | (values > top)
        built[name] = pa.array(np.where(missing, 0, values).astype(kind.to_pandas_dtype()), mask=missing)

    def put_time(name: str, title: str) -> None:
        ns, _ = _times(rows.text(title), options)
        built[name] = pa.array(np.maximum(ns, 0), mask=ns < 0).cast(schema.field(name).type)

    transactions = rows.whole("Trans")
    put("transactions", np.where(transactions < 0, 1, transactions))
    wholes = {
        "seq_number": "Seq", "tos_src": "sTos", "tos_dst": "dTos", "ttl_src": "sTtl", "ttl_dst": "dTtl", "tcp_base_src": "SrcTCPBase",
        "tcp_base_dst": "DstTCPBase", "window_src": "SrcWin", "window_dst": "DstWin", "lost_src": "SrcLoss", "lost_dst": "DstLoss",
        "gap_src": "SrcGap", "gap_dst": "DstGap", "min_size_src": "sMinPktSz", "max_size_src": "sMaxPktSz",
        "min_size_dst": "dMinPktSz", "max_size_dst": "dMaxPktSz", "mpls_src": "sMpls", "mpls_dst": "dMpls",
    }  # fmt: skip
    for name, title in wholes.items():
        if rows.has(title):
            put(name, rows.whole(title))
    for name, title in (("ip_id_src", "sIpId"), ("ip_id_dst", "dIpId")):
        if rows.has(title):
            put(name, rows.each(title, _identification))
    for name, title in (("vlan_src", "sVlan"), ("vlan_dst", "dVlan")):
        if rows.has(title):
            put(name, rows.each(title, _hexadecimal))
    for name, title in (("syn_ack_us", "SynAck"), ("ack_data_us", "AckDat")):
        if rows.has(title):
            put(name, _micro(rows.text(title)))
    for name, title in (
        ("src_start", "SrcStartTime"), ("src_end", "SrcLastTime"), ("dst_start", "DstStartTime"), ("dst_end", "DstLastTime"),
    ):  # fmt: skip
        if rows.has(title):
            put_time(name, title)
    for name, title in (
        ("interval_src_us", "SIntPktAct"), ("jitter_src_us", "SrcJitAct"), ("interval_dst_us", "DIntPktAct"),
        ("jitter_dst_us", "DstJitAct"),
    ):  # fmt: skip
        if rows.has(title):
            numbers = over_words(rows.text(title), _milliseconds, None)
            built[name] = pa.array(numbers, pa.float32())
    if rows.has("TcpOpt"):
        put("tcp_options", np.array(over_words(rows.text("TcpOpt"), _options), dtype=np.int64))
    for name, title in (
        ("mac_src", "SrcMac"), ("mac_dst", "DstMac"), ("icmp_node", "Inode"), ("country_src", "sCo"), ("country_dst", "dCo"),
    ):  # fmt: skip
        if rows.has(title):
            column = pc.replace_substring(rows.text(title), "Broadcast", "ff:ff:ff:ff:ff:ff")
            built[name] = column.dictionary_encode().cast(schema.field(name).type)
    return pa.table([built.get(name, pa.nulls(n, schema.field(name).type)) for name in ARGUS.names], schema=schema)


def _milliseconds(text: str) -> float | None:
    try:
        return float(text) * 1000
    except ValueError:
        return None


def _options(text: str) -> int:
    """Twelve letters, one an option bit from 0x00100000 upward; left of them may be trimmed only where they are blank."""
    bits = 0
    place = 0
    for letter in text:
        if letter == " ":
            place += 1
            continue
        at = _TCP_OPTIONS.find(letter, place)
        if at < 0:
            return MISSING
        bits |= 0x00100000 << at
        place = at + 1
    return bits


# -- readers --------------------------------------------------------------------------------------------------------------


_BAD_LINES: Final = "lines that could not be read"


class _Lines:
    """What the readers of this file share: lines, counted."""

    def __init__(self, options: Options) -> None:
        self.counts: dict[str, tuple[int, str | None]] = {}
        self.words: list[str] = []
        self.options = options
        self.line = 0
        self.base = 0
        self.last_bad = 0

    def count(self, item: str, number: int, note: str | None) -> None:
        self.counts[item] = (self.counts.get(item, (0, None))[0] + number, note)

    def bad(self, line: int, number: int = 1) -> None:
        """Lines that do not read, the last of which is `line`."""
        self.last_bad = line
        self.count(_BAD_LINES, number, "left out")

    def cut_line(self) -> str:
        """The last line does not read and has no end: the file was cut there."""
        left = self.counts.pop(_BAD_LINES, (1, None))[0] - 1
        if left:
            self.count(_BAD_LINES, left, "left out")
        return f"line {self.line}: the last line is cut"

    def rows(self, cut: Cut) -> Iterable[Rows]:
        raise NotImplementedError

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        took = Took(cut.consumed)
        if cut.too_long:
            took.damage = f"byte {self.base}, line {self.line + 1}: the line is longer than {limits.MAX_LOG_RECORD_BYTES} bytes"
            return took
        for rows in self.rows(cut):
            if len(rows.number):
                block = block_of(rows, self.options, self.count)
                if block is not None:
                    took.blocks.append(block)
        if cut.open_end and self.last_bad == self.line:
            took.damage = self.cut_line()
        self.base += cut.consumed
        return took


class RaText(_Lines):
    """ra's columns under a line of titles."""

    def __init__(self, header: Header, options: Options) -> None:
        super().__init__(options)
        self.header = header

    def rows(self, cut: Cut) -> Iterable[Rows]:
        lines = split(cut.text)
        first = self.line + 1
        self.line += len(lines)
        # The titles come again where outputs were put together.
        numbered = [(n, line) for n, line in enumerate(lines, first) if line.strip() and not self._is_header(line)]
        for begin in range(0, len(numbered), limits.LOG_ROWS_AT_ONCE):
            part = numbered[begin : begin + limits.LOG_ROWS_AT_ONCE]
            numbers = np.array([n for n, _ in part], dtype=np.int64)
            if self.header.delimiter == " ":
                yield self._by_pattern(numbers, [line for _, line in part])
                continue
            # A last line without an end that lacks a field was cut.
            whole = len(part) - 1 if cut.open_end and part[-1][0] == self.line else len(part)
            text = b"\n".join([*(self._padded(line) for _, line in part[:whole]), *(line for _, line in part[whole:])]) + b"\n"
            places = self.header.places
            columns, kept, bad = csv_columns(
                text, 0, len(part), self.header.delimiter, self.header.width, list(places.values()),
                untrimmed=[places[t] for t in ("Flgs", "TcpOpt") if t in places],
            )  # fmt: skip
            if bad:
                self.bad(int(numbers[bad[-1]]), len(bad))
            yield Rows(numbers[kept], {title: columns[place] for title, place in places.items()})

    def _is_header(self, line: bytes) -> bool:
        return b"SrcAddr" in line and b"DstAddr" in line

    def _padded(self, line: bytes) -> bytes:
        """Rows of events lack one field (ra prints no address there)."""
        missing = self.header.width - 1 - line.count(self.header.delimiter.encode())
        return line + self.header.delimiter.encode() * missing if missing == 1 else line

    def _by_pattern(self, numbers: NDArray[np.int64], lines: list[bytes]) -> Rows:
        pattern = pattern_of(self.header)
        found: list[dict[str, str | None]] = []
        kept = []
        for number, line in zip(numbers.tolist(), lines, strict=True):
            match = pattern.match(decoded(line))
            if match is None:
                self.bad(number)
                continue
            kept.append(number)
            found.append({title: value or None for title, value in match.groupdict().items()})
        titles = list(pattern.groupindex)
        return Rows(np.array(kept, dtype=np.int64), {t: pa.array([f[t] for f in found], pa.string()) for t in titles})


_PIECES: Final[dict[str, str]] = {
    "StartTime": r"\s*(?P<StartTime>(?:\d{4}[/-]\d\d[/-]\d\d[ T.])?[\d:]+(?:\.\d+)?)",
    "LastTime": r"\s*(?P<LastTime>(?:\d{4}[/-]\d\d[/-]\d\d[ T.])?[\d:]+(?:\.\d+)?)",
    "Flgs": r" ?(?P<Flgs>.{9,10}?)",
    "Proto": r"\s*(?P<Proto>[a-z][\w./+-]*|\d+)",
    "SrcAddr": r"\s*(?P<SrcAddr>\d+\.\d+\.\d+\.\d+|[0-9a-f:]*:[0-9a-f:]*\*?|\S+?)",
    "Sport": r"(?:[. ]\s*(?P<Sport>0x[0-9a-f]+|\d+|[a-z][\w*-]*))?",
    "Dir": r"\s*(?P<Dir>[<?>-]+|who|tel)?",
    "DstAddr": r"\s*(?P<DstAddr>\d+\.\d+\.\d+\.\d+|[0-9a-f:]*:[0-9a-f:]*\*?|\S+?)",
    "Dport": r"(?:[. ]\s*(?P<Dport>0x[0-9a-f]+|\d+(?=\s)|[a-z][\w*-]*(?=\s)))?",
    "State": r"\s*(?P<State>[A-Z][A-Z0-9-]*|[FSRPAUEC]*_[FSRPAUEC]*)?",
    "Label": r"\s*(?P<Label>\S.*)?",
}


def pattern_of(header: Header) -> re.Pattern[str]:
    """A line of columns as wide as they need. An address and its port are put together with a full stop there."""
    titles = {place: title for title, place in header.places.items()}
    pieces = []
    for place in range(header.width):
        title = titles.get(place, "")
        other = rf"\s*(?P<{title}>-?[\w.:*]+)?" if title else r"\s*(?:\S+)?"
        piece = _PIECES.get(title, other)
        if title in ("Sport", "Dport") and header.joined:
            piece = piece.replace(r"[. ]\s*", r"\.")
        if title == "Dport" and place + 1 == header.width:
            piece = piece.replace(r"(?=\s)", "")
        pieces.append(piece)
    return re.compile("".join(pieces) + r"\s*$")


class RaJson(_Lines):
    """ra -M json of 5.0: an object a line."""

    def rows(self, cut: Cut) -> Iterable[Rows]:
        lines = split(cut.text)
        first = self.line + 1
        self.line += len(lines)
        objects = json_objects(lines, first, self.bad)
        objects = [(n, o) for n, o in objects if o.get("type", "flow") in ("flow", "netflow", "aflow")]
        titles = {key for _, o in objects for key in o if key in NAMES}
        columns: dict[str, pa.Array] = {NAMES[key]: text_array([o.get(key) for _, o in objects]) for key in titles}
        for title, column in columns.items():
            if title not in ("Flgs", "TcpOpt"):
                trimmed = pc.utf8_trim_whitespace(column)
                columns[title] = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
        yield Rows(np.array([n for n, _ in objects], dtype=np.int64), columns)


class RaXml(_Lines):
    """ra -M xml: read element by element, for it is not well formed."""

    def rows(self, cut: Cut) -> Iterable[Rows]:
        lines = split(cut.text)
        found: list[dict[str, str]] = []
        numbers = []
        last = self.line + len(lines)
        for number, line in enumerate(lines, self.line + 1):
            match = _XML_RECORD.search(line)
            if match is None:
                if (b"Record" in line and b"<Argus" in line) or (number == last and cut.open_end and line.strip()):
                    self.bad(number)
                continue
            values = {
                ATTRIBUTES[name]: value.decode("utf-8", "backslashreplace")
                for name, value in ((n.decode(), v) for n, v in _XML_ATTRIBUTE.findall(match[1]))
                if name in ATTRIBUTES
            }
            numbers.append(number)
            found.append(values)
        self.line += len(lines)
        titles = {title for values in found for title in values}
        columns: dict[str, pa.Array] = {t: pa.array([_meant(t, v.get(t)) for v in found], pa.string()) for t in titles}
        yield Rows(np.array(numbers, dtype=np.int64), columns)


def _meant(title: str, value: str | None) -> str | None:
    if value is None:
        return None
    return (value.rstrip() if title in ("Flgs", "TcpOpt") else value.strip()) or None


def _first_line(head: bytes) -> str:
    line = next((piece for piece in head.lstrip(b"\xef\xbb\xbf").split(b"\n") if piece.strip()), b"")
    return decoded(line.rstrip(b"\r"))


def recognise_text(head: bytes) -> bool:
    return header_of(_first_line(head)) is not None


def _open_text(head: bytes, options: Options) -> RaText:
    header = header_of(_first_line(head))
    return RaText(header or Header({}, ",", 1), options)


def recognise_json(head: bytes) -> bool:
    line = _first_line(head)
    return line.lstrip().startswith("{") and '"saddr"' in line and '"daddr"' in line


def recognise_xml(head: bytes) -> bool:
    return b"<ArgusDataStream" in head or b"<ArgusFlowRecord" in head


TEXT_FORMAT: Final = Format(recognise_text, _open_text)
JSON_FORMAT: Final = Format(recognise_json, lambda _, options: RaJson(options))
XML_FORMAT: Final = Format(recognise_xml, lambda _, options: RaXml(options))

