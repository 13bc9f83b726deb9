"""In: nothing. Out: the fields of Zeek's logs that tracehound reads, as data, and by which fields a JSON line tells its log.
Never here: reading (zeek_log.py), what fields become (zeek_rows.py).

Source: Zeek's base scripts (conn, http, dns, ssl, files, smtp, weird). Fields are looked up by name: scripts add, leave out and
reorder them."""

from __future__ import annotations

from typing import Final

TIME: Final = "time"
INTERVAL: Final = "interval"
COUNT: Final = "count"
BOOL: Final = "bool"
TEXT: Final = "string"
WORD: Final = "word"
"""Text of which there is little that differs: kept as dictionary."""
ADDRESS: Final = "addr"
"""An address that is wanted as a number."""
LIST: Final = "list"

ID: Final[dict[str, str]] = {
    "ts": TIME, "uid": TEXT, "id.orig_h": WORD, "id.orig_p": COUNT, "id.resp_h": WORD, "id.resp_p": COUNT,
}  # fmt: skip

LOGS: Final[dict[str, dict[str, str]]] = {
    "conn": {
        **ID, "id.orig_h": ADDRESS, "id.resp_h": ADDRESS,
        "proto": WORD, "service": WORD, "duration": INTERVAL, "orig_bytes": COUNT, "resp_bytes": COUNT, "conn_state": WORD,
        "history": WORD, "orig_pkts": COUNT, "orig_ip_bytes": COUNT, "resp_pkts": COUNT, "resp_ip_bytes": COUNT, "ip_proto": COUNT,
        "vlan": COUNT, "missed_bytes": COUNT,
    },
    "http": {
        **ID, "trans_depth": COUNT, "method": TEXT, "host": TEXT, "uri": TEXT, "referrer": TEXT, "version": TEXT, "user_agent": TEXT,
        "request_body_len": COUNT, "response_body_len": COUNT, "status_code": COUNT, "status_msg": TEXT, "resp_mime_types": LIST,
        "orig_mime_types": LIST,
    },
    "dns": {
        **ID, "proto": WORD, "trans_id": COUNT, "rtt": INTERVAL, "query": TEXT, "qclass": COUNT, "qtype_name": TEXT, "qtype": COUNT,
        "rcode": COUNT, "rcode_name": TEXT, "AA": BOOL, "TC": BOOL, "RD": BOOL, "RA": BOOL, "answers": LIST, "TTLs": LIST,
        "rejected": BOOL, "opcode": COUNT,
    },
    "ssl": {
        **ID, "version": TEXT, "cipher": TEXT, "curve": TEXT, "server_name": TEXT, "resumed": BOOL, "last_alert": TEXT,
        "next_protocol": TEXT, "established": BOOL, "subject": TEXT, "issuer": TEXT, "client_subject": TEXT, "ja3": TEXT,
        "ja3s": TEXT, "ja4": TEXT, "cert_chain_fps": LIST,
    },
    "files": {
        **ID, "fuid": TEXT, "tx_hosts": LIST, "rx_hosts": LIST, "conn_uids": LIST, "source": TEXT, "mime_type": TEXT,
        "filename": TEXT, "duration": INTERVAL, "is_orig": BOOL, "seen_bytes": COUNT, "total_bytes": COUNT, "missing_bytes": COUNT,
        "overflow_bytes": COUNT, "timedout": BOOL, "md5": TEXT, "sha256": TEXT, "entropy": INTERVAL,
    },
    "smtp": {
        **ID, "trans_depth": COUNT, "helo": TEXT, "mailfrom": TEXT, "rcptto": LIST, "date": TEXT, "from": TEXT, "to": LIST,
        "cc": LIST, "reply_to": TEXT, "msg_id": TEXT, "in_reply_to": TEXT, "subject": TEXT, "x_originating_ip": TEXT,
        "first_received": TEXT, "second_received": TEXT, "last_reply": TEXT, "path": LIST, "user_agent": TEXT, "tls": BOOL,
    },
    "weird": {**ID, "name": TEXT, "addl": TEXT, "notice": BOOL, "peer": TEXT, "source": TEXT},
}  # fmt: skip

TELLING: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("conn", frozenset({"conn_state"})),
    ("http", frozenset({"trans_depth", "method"})),
    ("http", frozenset({"trans_depth", "status_code"})),
    ("smtp", frozenset({"trans_depth", "helo"})),
    ("smtp", frozenset({"trans_depth", "mailfrom"})),
    ("smtp", frozenset({"trans_depth", "last_reply"})),
    ("http", frozenset({"trans_depth", "request_body_len"})),
    ("dns", frozenset({"trans_id", "rejected"})),
    ("dns", frozenset({"trans_id", "qtype_name"})),
    ("dns", frozenset({"trans_id", "proto"})),
    ("ssl", frozenset({"established"})),
    ("ssl", frozenset({"cipher"})),
    ("files", frozenset({"fuid", "seen_bytes"})),
    ("files", frozenset({"fuid", "source"})),
    ("weird", frozenset({"name", "notice"})),
    ("weird", frozenset({"name", "peer"})),
    ("conn", frozenset({"proto", "orig_pkts"})),
    ("conn", frozenset({"proto", "duration"})),
    ("conn", frozenset({"proto", "uid", "id.resp_p", "history"})),
)
"""A JSON line is of the first log whose fields it has (JSON leaves out what is unset). zeek-cut's output with a header line, too."""


def log_of(fields: frozenset[str]) -> str | None:
    """The log that has these fields, or None: one of another kind."""
    return next((log for log, needed in TELLING if needed <= fields), None)
