"""In: rows of one of Zeek's logs as columns by Zeek's names. Out: a block of the contract: the connections, and rows of the tables
http, dns, tls, files, smtp. Never here: how the log was written (zeek_log.py).

Words: Zeek's documentation of conn_state and history; the outcome of an attempt is read from them as flows/tcp_outcome.py reads it
from packets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound import tables
from tracehound.flowlogs.lines import iso_times, seconds_ns, whole_numbers
from tracehound.flowlogs.reader import MENTION, MISSING, WHOLE, Block, Ends
from tracehound.flowlogs.table_rows import rows_of
from tracehound.flows.tcp_outcome import CONN_STATES, OUTCOME_NAMES
from tracehound.packets.addresses import dictionary

_FIRST_NS: Final = 0
_LAST_NS: Final = 2**62

PROTOCOLS: Final[dict[str, int]] = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58, "sctp": 132, "igmp": 2, "gre": 47, "esp": 50}


Column: TypeAlias = Any
"""Text (plain or dictionary) or lists of it; whole numbers and times in ns, MISSING where unset; addresses as numbers."""


def _part(column: Column, rows: NDArray[np.bool_] | slice) -> Column:
    if isinstance(column, Ends):
        return Ends(column.hi[rows], column.lo[rows], column.version[rows])
    if isinstance(column, np.ndarray):
        return column[rows]
    return column.slice(rows.start, rows.stop - rows.start) if isinstance(rows, slice) else column.filter(pa.array(rows))


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of one log: numbers of their lines, and the columns that the log has."""

    number: NDArray[np.int64]
    fields: dict[str, Column]

    def __len__(self) -> int:
        return len(self.number)

    def text(self, name: str) -> pa.Array:
        column = self.fields.get(name)
        return pa.nulls(len(self), pa.string()) if column is None else column

    def ends(self, name: str) -> Ends | pa.Array:
        return self.text(name)

    def number_of(self, name: str) -> NDArray[np.int64]:
        column = self.fields.get(name)
        numbers: NDArray[np.int64] = column if isinstance(column, np.ndarray) else whole_numbers(column, len(self))
        return numbers

    def ns(self, name: str) -> NDArray[np.int64]:
        """A time or an interval; MISSING where there is none."""
        column = self.fields.get(name)
        if column is None:
            return np.full(len(self), MISSING, dtype=np.int64)
        ns: NDArray[np.int64] = column if isinstance(column, np.ndarray) else times_ns(column)
        return ns

    def truth(self, name: str) -> NDArray[np.int64]:
        """1 true, 0 false, MISSING."""
        column = self.text(name)
        words = column.dictionary_encode()
        codes = np.array([{"T": 1, "true": 1, "1": 1, "F": 0, "false": 0, "0": 0}.get(w, MISSING) for w in words.dictionary.to_pylist()])
        places = pc.fill_null(words.indices, len(codes)).to_numpy(zero_copy_only=False)
        known: NDArray[np.int64] = np.append(codes, MISSING).astype(np.int64)[places]
        return known

    def lists(self, name: str) -> pa.Array:
        column = self.fields.get(name)
        return pa.nulls(len(self), pa.list_(pa.string())) if column is None else column

    def sound(self) -> NDArray[np.bool_]:
        """Rows that have a time of this world."""
        ts = self.ns("ts")
        return (ts > _FIRST_NS) & (ts < _LAST_NS)

    def where(self, keep: NDArray[np.bool_]) -> Columns:
        return Columns(self.number[keep], {n: _part(c, keep) for n, c in self.fields.items()})

    def parts(self, rows: int) -> Iterator[Columns]:
        for begin in range(0, len(self), rows):
            part = slice(begin, min(begin + rows, len(self)))
            yield Columns(self.number[part], {n: _part(c, part) for n, c in self.fields.items()})


def times_ns(column: pa.Array) -> NDArray[np.int64]:
    """Times as text: seconds since 1970, or ISO 8601 (JSON logs may be written so, and zeek-cut -d makes them so)."""
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    if pc.any(pc.match_substring(column, ":")).as_py():
        iso = iso_times(column)
        return np.where(iso != MISSING, iso, seconds_ns(column))
    return seconds_ns(column)


# -- connections --------------------------------------------------------------------------------------------------------------

_STATE: Final = {name: code for code, name in enumerate(CONN_STATES)}
_OUT: Final = {name: code for code, name in enumerate(OUTCOME_NAMES)}
_BY_STATE: Final[dict[str, str]] = {
    "S0": "unanswered", "REJ": "refused", "RSTOS0": "unanswered", "SH": "one_sided", "SHR": "one_sided", "RSTRH": "one_sided",
    "OTH": "midstream",
}  # fmt: skip
"""Where there is no history: what the state alone tells. S1, S2, S3, SF, RSTO and RSTR are handshakes: payload decides."""


def _words(column: pa.Array) -> pa.Array:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _codes(column: pa.Array, known: dict[str, int]) -> NDArray[np.int64]:
    """Words as their codes; MISSING for others."""
    words = _words(column)
    table = [known.get(w, MISSING) if w is not None else MISSING for w in words.dictionary.to_pylist()]
    places = pc.fill_null(words.indices, len(table)).to_numpy(zero_copy_only=False)
    found: NDArray[np.int64] = np.array([*table, MISSING], dtype=np.int64)[places]
    return found


_LETTERS: Final = {letter: 1 << k for k, letter in enumerate("SHADFRshadfr")}


def _letters(history: pa.Array) -> NDArray[np.int64]:
    """Which letters each history has, as bits; 0 where there is none. Histories repeat: each one is looked at once."""
    words = _words(history)
    bits = []
    for word in words.dictionary.to_pylist():
        seen = 0
        for letter in (word or "")[:200]:
            seen |= _LETTERS.get(letter, 0)
        bits.append(seen)
    places = pc.fill_null(words.indices, len(bits)).to_numpy(zero_copy_only=False)
    found: NDArray[np.int64] = np.array([*bits, 0], dtype=np.int64)[places]
    return found


def outcomes(
    proto: NDArray[np.int64], state: pa.Array, history: pa.Array, pkts: tuple[NDArray[np.int64], NDArray[np.int64]],
    payload_dst: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Codes into OUTCOME_NAMES; MISSING where the log cannot tell. pkts and payload: MISSING = not said."""
    tcp, udp = proto == 6, proto == 17
    has = _letters(history)

    def seen(letters: str) -> NDArray[np.bool_]:
        mask = sum(_LETTERS[letter] for letter in letters)
        return has & mask > 0

    told = tcp & (has > 0)
    syn, syn_ack, reset, spoke_on = seen("S"), seen("h"), seen("r"), seen("ADF")
    silent = (pkts[1] == 0) | ((pkts[1] == MISSING) & ~seen("shadfr"))
    only_reply = (pkts[0] == 0) | ((pkts[0] == MISSING) & ~seen("SHADFR"))
    payload = (payload_dst > 0) | ((payload_dst == MISSING) & seen("d"))
    by_state = _codes(state, {name: _OUT[outcome] for name, outcome in _BY_STATE.items()})
    handshake = _codes(state, dict.fromkeys(("S1", "S2", "S3", "SF", "RSTO", "RSTR"), 1)) == 1
    udp_state = _codes(state, {"S0": 0, "SF": 1, "SHR": 2})
    rules: list[tuple[NDArray[np.bool_], NDArray[np.int64] | int]] = [
        (told & only_reply, _OUT["one_sided"]),
        (told & syn & silent & spoke_on, _OUT["one_sided"]),
        (told & syn & silent, _OUT["unanswered"]),
        (told & syn & ~syn_ack & reset, _OUT["refused"]),
        (told & ~syn & ~syn_ack, _OUT["midstream"]),
        (told & payload, _OUT["answered"]),
        (told & syn_ack, _OUT["accepted"]),
        (told, _OUT["midstream"]),
        (tcp & (by_state >= 0), by_state),
        (tcp & handshake & (payload_dst > 0), _OUT["answered"]),
        (tcp & handshake & (payload_dst == 0), _OUT["accepted"]),
        (udp & (udp_state == 2), _OUT["one_sided"]),
        (udp & (udp_state == 0), _OUT["unanswered"]),
        (udp & (udp_state == 1) & (payload_dst != 0), _OUT["answered"]),
        (udp & (udp_state == 1), _OUT["accepted"]),
    ]
    n = len(proto)
    chosen = [np.broadcast_to(np.asarray(value, dtype=np.int64), (n,)) for _, value in rules]
    return np.select([condition for condition, _ in rules], chosen, default=MISSING).astype(np.int64)


def _ends(c: Columns) -> dict[str, Any]:
    """What every log says of its connection."""
    start = c.ns("ts")
    return {
        "number": c.number,
        "start": start,
        "src": c.ends("id.orig_h"),
        "dst": c.ends("id.resp_h"),
        "sport": _port(c.number_of("id.orig_p")),
        "dport": _port(c.number_of("id.resp_p")),
    }


def _port(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((numbers >= 0) & (numbers <= 65535), numbers, MISSING)


def _counter(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((numbers >= 0) & (numbers < 2**50), numbers, MISSING)


def _of_ipv6(hosts: Ends | pa.Array) -> NDArray[np.bool_]:
    if isinstance(hosts, Ends):
        return np.equal(hosts.version, 6)
    words = _words(hosts)
    six = [w is not None and ":" in w for w in words.dictionary.to_pylist()]
    places = pc.fill_null(words.indices, len(six)).to_numpy(zero_copy_only=False)
    found: NDArray[np.bool_] = np.array([*six, False])[places]
    return found


def _proto(c: Columns) -> NDArray[np.int64]:
    """By name; icmp of IPv6 is told by the addresses; others by number (`ip_proto`, newer logs)."""
    number = _codes(c.text("proto"), PROTOCOLS)
    icmp = number == 1
    if icmp.any():
        number = np.where(icmp & _of_ipv6(c.ends("id.orig_h")), 58, number)
    said = c.number_of("ip_proto")
    return np.where((number == MISSING) & (said >= 0) & (said < 256), said, number)


def _conn(c: Columns) -> Block:
    ends = _ends(c)
    duration = c.ns("duration")
    proto = _proto(c)
    state, history = c.text("conn_state"), c.text("history")
    pkts_src, pkts_dst = _counter(c.number_of("orig_pkts")), _counter(c.number_of("resp_pkts"))
    payload_src, payload_dst = _counter(c.number_of("orig_bytes")), _counter(c.number_of("resp_bytes"))
    # "duration and byte counts are logged only if duration > 0": unset bytes of a connection whose packets were counted and that
    # lasted no time are unknown, unless there was no packet.
    payload_dst = np.where((payload_dst == MISSING) & (pkts_dst == 0), 0, payload_dst)
    attempts = (proto == 6) & (_codes(history, {"S": 1}) == 1)
    vlan = c.number_of("vlan")
    outcome = outcomes(proto, state, history, (pkts_src, pkts_dst), payload_dst)
    bytes_dst = _counter(c.number_of("resp_ip_bytes"))
    return Block(
        **ends,
        end=ends["start"] + np.clip(duration, 0, 2**60),
        source="zeek conn",
        proto=proto,
        pkts_src=pkts_src,
        pkts_dst=pkts_dst,
        bytes_src=_counter(c.number_of("orig_ip_bytes")),
        bytes_dst=bytes_dst,
        payload_src=payload_src,
        payload_dst=payload_dst,
        # Without state, history, packets and bytes (columns may be cut out) the line says that the connection was there, not how it went.
        joins=np.where((pkts_dst == MISSING) & (bytes_dst == MISSING) & (outcome == MISSING), MENTION, WHOLE).astype(np.uint8),
        # A retransmitted SYN leaves no second letter: where the history is "S", every packet was one.
        syn_count=np.where(attempts, pkts_src, MISSING),
        outcome=outcome,
        conn_state=_codes(state, _STATE),
        certain=np.ones(len(c), dtype=np.bool_),
        vlan=np.where((vlan > 0) & (vlan < 4096), vlan, MISSING),
        texts={
            "uid": c.text("uid"), "proto_name": c.text("proto"), "state": state, "service": _service(c.text("service")),
            "history": history,
        },
    )  # fmt: skip


def _service(column: pa.Array) -> pa.Array:
    """Zeek lists every analyzer that was sure ("gssapi,smb"); the last of them is the one that is carried. "" is none."""
    words = _words(column)
    names = [(w.split(",")[-1].replace("-", "_") or None) if w else None for w in words.dictionary.to_pylist()]
    places = pc.fill_null(words.indices, len(names)).to_numpy(zero_copy_only=False)
    return pa.array([*names, None], pa.string()).take(pa.array(places))


# -- transactions -------------------------------------------------------------------------------------------------------------


def _common(c: Columns) -> dict[str, Any]:
    """The first columns of every table of transactions. What has no ports has port 0 there; the record says that it does not know."""
    ends = _ends(c)
    return {
        "txn_id": c.number, "flow_id": c.number, "ts": ends["start"], "end_ts": ends["start"],
        "src": _filled(ends["src"]), "dst": _filled(ends["dst"]),
        "sport": np.maximum(ends["sport"], 0), "dport": np.maximum(ends["dport"], 0), "packet_id": c.number,
    }  # fmt: skip


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _filled(column: pa.Array) -> pa.Array:
    return pc.fill_null(_plain(column), "") if column.null_count else column


def _mention(c: Columns, log: str, proto: NDArray[np.int64], service: str | None, rows: pa.Table | None, **texts: pa.Array) -> Block:
    ends = _ends(c)
    said: dict[str, pa.Array] = {"uid": c.text("uid"), **texts}
    if service is not None:
        said["service"] = dictionary(np.zeros(len(c), dtype=np.int32), (service,))
    return Block(
        **ends, end=ends["start"], source=f"zeek {log}", proto=proto, joins=MENTION,
        certain=np.ones(len(c), dtype=np.bool_), texts=said, tables={} if rows is None else {rows_name(log): rows},
    )  # fmt: skip


_TABLES: Final = {"http": "http", "dns": "dns", "ssl": "tls", "files": "files", "smtp": "smtp"}


def rows_name(log: str) -> str:
    """The table that a log of transactions fills."""
    return _TABLES[log]


def _tcp(c: Columns) -> NDArray[np.int64]:
    return np.full(len(c), 6, dtype=np.int64)


def _first_of(lists: pa.Array) -> pa.Array:
    """The first value of each list; null where it is empty."""
    length = pc.fill_null(pc.list_value_length(lists), 0)
    some = pc.greater(length, 0)
    if not pc.any(some).as_py():
        return pa.nulls(len(lists), pa.string())
    padded = pc.if_else(some, lists, pa.scalar([None], lists.type))
    return pc.list_element(padded, 0)


MIME_KINDS: Final[dict[str, str]] = {
    "application/x-dosexec": "pe", "application/x-executable": "elf", "application/x-sharedlib": "elf", "application/x-elf": "elf",
    "application/x-mach-o-executable": "macho", "application/java-archive": "jar", "application/x-java-applet": "class",
    "application/zip": "zip", "application/x-gzip": "gzip", "application/gzip": "gzip", "application/x-bzip2": "bzip2",
    "application/x-xz": "xz", "application/x-rar": "rar", "application/x-7z-compressed": "7z", "application/x-tar": "tar",
    "application/vnd.ms-cab-compressed": "cab", "application/pdf": "pdf", "application/postscript": "postscript", "text/rtf": "rtf",
    "application/msword": "ole", "application/vnd.ms-office": "ole", "application/x-shockwave-flash": "swf",
    "application/vnd.openxmlformats-officedocument": "ooxml", "image/gif": "gif", "image/png": "png", "image/jpeg": "jpeg",
    "image/x-ms-bmp": "bmp", "image/bmp": "bmp", "image/x-icon": "ico", "image/webp": "webp", "image/tiff": "tiff",
    "image/svg+xml": "svg", "text/html": "html", "text/xml": "xml", "application/xml": "xml", "text/json": "json",
    "application/json": "json", "application/javascript": "javascript", "text/x-shellscript": "shell", "text/x-python": "python",
    "text/x-perl": "perl", "text/x-php": "php", "text/plain": "text", "application/pkix-cert": "der",
    "application/x-x509-ca-cert": "der", "application/x-x509-user-cert": "der", "application/ocsp-response": "der",
    "audio/mpeg": "mp3", "video/mp4": "mp4", "audio/x-wav": "wav", "video/x-flv": "flv", "application/font-woff": "woff",
    "application/vnd.ms-fontobject": "ttf",
}  # fmt: skip
"""MIME types that Zeek recognises from content, by our names of kinds (protocols/body_kind.py). Others stay as they are."""


def _kind(column: pa.Array) -> pa.Array:
    words = column.dictionary_encode()
    names = [None if not w else MIME_KINDS.get(w, w) for w in words.dictionary.to_pylist()]
    places = pc.fill_null(words.indices, len(names)).to_numpy(zero_copy_only=False)
    return pa.array([*names, None], pa.string()).take(pa.array(places))


def _http(c: Columns) -> Block:
    method, status = c.text("method"), c.number_of("status_code")
    has_method = method.is_valid().to_numpy(zero_copy_only=False)
    answered = status > 0
    response_bytes = np.where(answered, c.number_of("response_body_len"), MISSING)
    kind = _kind(_first_of(c.lists("resp_mime_types")))
    rows = rows_of(tables.HTTP, len(c), {
        **_common(c),
        "trans_depth": np.maximum(c.number_of("trans_depth"), 1),
        "method": method, "uri": c.text("uri"), "version": c.text("version"), "host": _host(c.text("host")),
        "user_agent": c.text("user_agent"), "referer": c.text("referrer"),
        "request_bytes": c.number_of("request_body_len"), "status": np.where(answered, status, MISSING), "reason": c.text("status_msg"),
        "request_body_kind": _kind(_first_of(c.lists("orig_mime_types"))),
        "response_bytes": response_bytes, "body_kind": kind, "complete": has_method & answered,
    })  # fmt: skip
    return _mention(c, "http", _tcp(c), "http", rows)


def _host(column: pa.Array) -> pa.Array:
    """Table http has the host without its port."""
    return pc.replace_substring_regex(column, r"^(\[[^\]]*\]|[^:]*):\d*$", r"\1")


def _dns(c: Columns) -> Block:
    proto = np.where(_codes(c.text("proto"), {"tcp": 1}) == 1, 6, 17).astype(np.int64)
    rtt, start = c.ns("rtt"), c.ns("ts")
    rcode = c.text("rcode_name")
    qtype = c.text("qtype_name")
    number = c.number_of("qtype")
    if qtype.null_count and (number >= 0).any():
        qtype = pc.coalesce(qtype, pa.array([f"TYPE{n}" if n >= 0 else None for n in number.tolist()], pa.string()))
    ttls = c.lists("TTLs")
    rows = rows_of(tables.DNS, len(c), {
        **_common(c),
        "response_ts": np.where(rtt >= 0, start + np.clip(rtt, 0, 2**60), MISSING),
        "proto": proto, "trans_id": np.clip(c.number_of("trans_id"), 0, 65535), "opcode": np.clip(c.number_of("opcode"), 0, 15),
        "query": c.text("query"), "qtype": qtype, "qclass": c.number_of("qclass"), "rcode": rcode,
        "authoritative": c.truth("AA"), "truncated": c.truth("TC"), "recursion_desired": c.truth("RD") == 1,
        "recursion_available": c.truth("RA"), "answers": c.lists("answers"), "answer_ttls_s": _seconds_lists(ttls),
    })  # fmt: skip
    return _mention(c, "dns", proto, "dns", rows)


def _seconds_lists(lists: pa.Array) -> pa.Array:
    """Lists of "60.000000" as lists of whole seconds."""
    wanted = pa.list_(pa.uint32())
    if lists.null_count == len(lists):
        return pa.nulls(len(lists), wanted)
    made = [None if values is None else [_seconds(v) for v in values] for values in lists.to_pylist()]
    return pa.array(made, wanted)


def _seconds(value: str | None) -> int | None:
    try:
        number = int(float(value or ""))
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 2**32 else None


def _ssl(c: Columns) -> Block:
    established = c.truth("established")
    alpn = c.text("next_protocol")
    rows = rows_of(tables.TLS, len(c), {
        **_common(c),
        "version": c.text("version"), "cipher": c.text("cipher"), "curve": c.text("curve"), "server_name": c.text("server_name"),
        "resumed": c.truth("resumed"), "next_protocol": alpn, "established": established == 1, "last_alert": c.text("last_alert"),
        "ja3": c.text("ja3"), "ja3s": c.text("ja3s"), "ja4": c.text("ja4"), "subject": c.text("subject"), "issuer": c.text("issuer"),
        "client_subject": c.text("client_subject"), "chain_sha256": _sha256_chain(c.lists("cert_chain_fps")),
    })  # fmt: skip
    return _mention(c, "ssl", _tcp(c), "ssl", rows)


def _sha256_chain(lists: pa.Array) -> pa.Array:
    """Fingerprints of the chain; Zeek before 5 writes SHA-1 there, which is another thing."""
    first = _first_of(lists)
    right = pc.fill_null(pc.equal(pc.utf8_length(first), 64), fill_value=False)
    return pc.if_else(right, lists, pa.scalar(None, lists.type))


def _smtp(c: Columns) -> Block:
    none: pa.Array = pa.scalar([], pa.list_(pa.string()))
    received = [c.text("first_received"), c.text("second_received")]
    pairs = [[x for x in pair if x is not None] for pair in zip(*(r.to_pylist() for r in received), strict=True)]
    rows = rows_of(tables.SMTP, len(c), {
        **_common(c),
        "trans_depth": np.maximum(c.number_of("trans_depth"), 1), "helo": c.text("helo"), "mailfrom": c.text("mailfrom"),
        "rcptto": pc.coalesce(c.lists("rcptto"), none), "date": c.text("date"), "mail_from": c.text("from"),
        "mail_to": pc.coalesce(c.lists("to"), none), "mail_cc": pc.coalesce(c.lists("cc"), none), "reply_to": c.text("reply_to"),
        "message_id": c.text("msg_id"), "in_reply_to": c.text("in_reply_to"), "mail_subject": c.text("subject"),
        "x_originating_ip": c.text("x_originating_ip"), "received": pa.array(pairs, pa.list_(pa.string())),
        "mail_path": pc.coalesce(c.lists("path"), none), "mailer": c.text("user_agent"), "last_reply": c.text("last_reply"),
        "tls": c.truth("tls") == 1, "complete": np.zeros(len(c), dtype=np.bool_),
    })  # fmt: skip
    return _mention(c, "smtp", _tcp(c), "smtp", rows)


def _files(c: Columns) -> Block:
    """Older logs name the hosts that sent and received, and no ports; newer ones the connection."""
    sent = c.truth("is_orig")
    sender, receiver = _first_of(c.lists("tx_hosts")), _first_of(c.lists("rx_hosts"))
    up = pa.array(sent == 1)
    src = pc.coalesce(_plain(c.text("id.orig_h")), pc.if_else(up, sender, receiver))
    dst = pc.coalesce(_plain(c.text("id.resp_h")), pc.if_else(up, receiver, sender))
    uid = pc.coalesce(c.text("uid"), _first_of(c.lists("conn_uids")))
    c = Columns(c.number, {**c.fields, "id.orig_h": src, "id.resp_h": dst, "uid": uid})
    seen, total = c.number_of("seen_bytes"), c.number_of("total_bytes")
    whole = (c.number_of("missing_bytes") <= 0) & (c.number_of("overflow_bytes") <= 0) & (c.truth("timedout") != 1)
    has_ports = c.number_of("id.orig_p") >= 0
    source = c.text("source")
    rows = rows_of(tables.FILES, len(c), {
        **_common(c),
        "service": pc.fill_null(pc.replace_substring(pc.utf8_lower(source), "-", "_"), "unknown"), "sent_by_src": sent == 1,
        "name": c.text("filename"), "kind": _kind(c.text("mime_type")), "bytes": np.maximum(seen, 0), "sha256": c.text("sha256"),
        "md5": c.text("md5"), "complete": whole & ((total == MISSING) | (seen >= total)),
        "note": pa.array([None if p else "the log does not say the ports" for p in has_ports.tolist()], pa.string()),
    })  # fmt: skip
    return _mention(c, "files", _tcp(c), None, rows)


def _weird(c: Columns) -> Block:
    details = [
        None if addl is None else json.dumps({"addl": addl}, ensure_ascii=False) for addl in c.text("addl").to_pylist()
    ]
    ends = _ends(c)
    return Block(
        **ends, end=ends["start"], source="zeek weird", joins=MENTION,
        texts={
            "uid": c.text("uid"), "state": c.text("name"), "details": pa.array(details, pa.string()), "sensor": c.text("peer"),
        },
    )  # fmt: skip


BLOCKS: Final[dict[str, Callable[[Columns], Block]]] = {
    "conn": _conn, "http": _http, "dns": _dns, "ssl": _ssl, "files": _files, "smtp": _smtp, "weird": _weird,
}  # fmt: skip
