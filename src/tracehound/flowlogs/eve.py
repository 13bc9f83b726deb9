"""In: Suricata's EVE JSON, a line an event. Out: blocks: flow and netflow events as connections, http, dns (all three versions), tls,
smtp, fileinfo and alert events as rows of tables, the rest as mentions of their connection. Never here: rules, packets.

Source: Suricata's documentation "EVE JSON Output" and its JSON schema. Every field may be absent, and may be of another type than
expected (users rewrite these lines): then it is null."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits, tables
from tracehound.flowlogs.lines import (
    BAD_LINES,
    first_of_them,
    iso_times,
    json_objects,
    number_array,
    split,
    text_array,
    whole_lines,
)
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, WHOLE, Block, Format, Options, Took
from tracehound.flowlogs.table_rows import rows_of
from tracehound.flows.key import SERVER_PORTS
from tracehound.packets.addresses import dictionary

Event = dict[str, Any]

PROTOCOLS: Final[dict[str, int]] = {
    "tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "icmpv6": 58, "sctp": 132, "gre": 47, "esp": 50, "ah": 51, "igmp": 2,
}  # fmt: skip
SERVICES: Final[dict[str, str | None]] = {
    "tls": "ssl", "http2": "http", "http1": "http", "failed": None, "unknown": None, "krb5": "krb", "dcerpc": "dce_rpc",
    "ikev2": "ike", "pgsql": "postgresql",
}  # fmt: skip
"""Suricata's names where ours (Zeek's) differ."""


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _inside(events: list[Event], part: str, name: str) -> list[Any]:
    """Field `name` of the object `part` of each event."""
    return [_of(e.get(part), name) for e in events]


def _texts(events: list[Event], part: str, name: str) -> pa.Array:
    return text_array(_inside(events, part, name))


def _numbers(events: list[Event], part: str, name: str, most: int = 2**50) -> NDArray[np.int64]:
    return number_array(_inside(events, part, name), most)


def _list_of(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else None


def _lists(values: list[Any], *, empty: bool = False) -> pa.Array:
    made = [_list_of(v) for v in values]
    return pa.array([[] if v is None and empty else v for v in made], pa.list_(pa.string()))


def _flags(values: list[Any]) -> NDArray[np.int64]:
    """Flags in hexadecimal ("1b")."""
    found = np.full(len(values), MISSING, dtype=np.int64)
    for place, value in enumerate(values):
        if isinstance(value, str) and 0 < len(value) <= 4:
            try:
                found[place] = int(value, 16) & 0xFF
            except ValueError:
                continue
    return found


class Ends:
    """Who talked to whom, in which protocol: columns that every event has."""

    def __init__(self, events: list[Event], turned: NDArray[np.bool_] | None = None) -> None:
        names = [e.get("proto") for e in events]
        self.proto = np.array(
            [PROTOCOLS.get(n.lower(), int(n) if n.isascii() and n.isdecimal() and len(n) < 4 else MISSING) if isinstance(n, str)
             else MISSING for n in names], dtype=np.int64,
        )  # fmt: skip
        self.proto[self.proto > 255] = MISSING
        self.proto_name = text_array(names)
        ends = [(e.get("src_ip"), e.get("dest_ip")) for e in events]
        sport, dport = (number_array([e.get(n) for e in events], 65535) for n in ("src_port", "dest_port"))
        kind, code = (number_array([e.get(n) for e in events], 255) for n in ("icmp_type", "icmp_code"))
        icmp = (self.proto == 1) | (self.proto == 58)
        sport, dport = np.where(icmp, kind, sport), np.where(icmp, code, dport)
        if turned is not None and turned.any():
            ends = [(b, a) if t else (a, b) for (a, b), t in zip(ends, turned.tolist(), strict=True)]
            sport, dport = np.where(turned, dport, sport), np.where(turned, sport, dport)
        self.sport, self.dport = sport, dport
        self.src, self.dst = text_array([a for a, _ in ends]), text_array([b for _, b in ends])


def _client_behind(events: list[Event]) -> NDArray[np.bool_]:
    """Events whose source is the server: events of one packet (an answer, a file sent to the client) name its direction."""
    sport, dport = (number_array([e.get(n) for e in events], 65535) for n in ("src_port", "dest_port"))
    known = (sport != MISSING) & (dport != MISSING)
    a, b = np.where(known, sport, 0), np.where(known, dport, 0)
    kind = np.array([1 if str(e.get("proto")).lower() == "udp" else 0 for e in events], dtype=np.int64)
    served, serves = SERVER_PORTS[kind, a] | (a < 1024), SERVER_PORTS[kind, b] | (b < 1024)
    behind: NDArray[np.bool_] = known & served & ~serves
    return behind


def _block(
    numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64], source: str, *, joins: int = MENTION,
    end: NDArray[np.int64] | None = None, turned: NDArray[np.bool_] | None = None, service: str | None = None, **more: Any,
) -> tuple[Block, Ends]:  # fmt: skip
    """A block of these events with what they all say."""
    ends = Ends(events, turned)
    n = len(events)
    said = [e.get("app_proto") for e in events]
    services = [SERVICES.get(s, s.replace("-", "_")) if isinstance(s, str) else None for s in said]
    texts: dict[str, pa.Array] = {
        "uid": text_array([e.get("flow_id") for e in events]),
        "sensor": text_array([e.get("host") for e in events]),
        "proto_name": ends.proto_name,
        "service": pa.array(services, pa.string()) if service is None else dictionary(np.zeros(n, dtype=np.int32), (service,)),
        **more.pop("texts", {}),
    }
    vlans = [e.get("vlan") for e in events]
    vlan = number_array([v[0] if isinstance(v, list) and v else v for v in vlans], 4095)
    block = Block(
        number=numbers, start=start, end=start if end is None else np.maximum(end, start), src=ends.src, dst=ends.dst, source=source,
        proto=ends.proto, sport=ends.sport, dport=ends.dport, joins=joins, vlan=np.where(vlan > 0, vlan, MISSING), texts=texts, **more,
    )  # fmt: skip
    return block, ends


def _common(numbers: NDArray[np.int64], ends: Ends, start: NDArray[np.int64]) -> dict[str, Any]:
    """First columns of every table. Where the event has no address or port, "" and 0 stand there, as the schema wants something."""
    return {
        "txn_id": numbers, "record_id": numbers, "flow_id": numbers, "packet_id": numbers, "ts": start, "end_ts": start,
        "src": ends.src.fill_null(""), "dst": ends.dst.fill_null(""),
        "sport": np.maximum(ends.sport, 0), "dport": np.maximum(ends.dport, 0),
    }  # fmt: skip


# -- one kind of event each ---------------------------------------------------------------------------------------------------


def _times(events: list[Event], part: str, start: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, last = (iso_times(_texts(events, part, name)) for name in ("start", "end"))
    first = np.where(first == MISSING, start, first)
    return first, np.where(last == MISSING, first, last)


def _flow(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    first, last = _times(events, "flow", start)
    flags = [_flags(_inside(events, "tcp", name)) for name in ("tcp_flags_ts", "tcp_flags_tc")]
    states = _inside(events, "flow", "state")
    inner = _inside(events, "tcp", "state")
    state = [f"{a}/{b}" if isinstance(b, str) else a for a, b in zip(states, inner, strict=True)]
    pkts = [_numbers(events, "flow", name) for name in ("pkts_toserver", "pkts_toclient")]
    block, ends = _block(
        numbers, events, first, "eve flow", joins=WHOLE, end=last, pkts_src=pkts[0], pkts_dst=pkts[1],
        bytes_src=_numbers(events, "flow", "bytes_toserver"), bytes_dst=_numbers(events, "flow", "bytes_toclient"),
        # A side that sent nothing has flags "00".
        tcp_flags_src=flags[0], tcp_flags_dst=flags[1],
        certain=np.ones(len(events), dtype=np.bool_),
        texts={"state": text_array(state), "cause": _texts(events, "flow", "reason")},
    )  # fmt: skip
    syn_only = (ends.proto == 6) & (flags[0] == 2) & (pkts[1] == 0)
    block.syn_count = np.where(syn_only, pkts[0], MISSING)
    return block


def _netflow(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    first, last = _times(events, "netflow", start)
    ttl = _numbers(events, "netflow", "min_ttl", 255)
    block, _ = _block(
        numbers, events, first, "eve netflow", joins=ONE_WAY, end=last,
        pkts_src=_numbers(events, "netflow", "pkts"), bytes_src=_numbers(events, "netflow", "bytes"),
        tcp_flags_src=_flags(_inside(events, "tcp", "tcp_flags")), ttl_src=np.where(ttl > 0, ttl, MISSING),
    )  # fmt: skip
    return block


def _http(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    block, ends = _block(numbers, events, start, "eve http", service="http", turned=_client_behind(events))
    method, status = _texts(events, "http", "http_method"), _numbers(events, "http", "status", 999)
    has_method = method.is_valid().to_numpy(zero_copy_only=False)
    versions = [v.removeprefix("HTTP/") if isinstance(v, str) else None for v in _inside(events, "http", "protocol")]
    kinds = [v.split(";")[0].strip() if isinstance(v, str) else None for v in _inside(events, "http", "http_content_type")]
    tx = number_array([e.get("tx_id") for e in events], 2**30)
    headers = [_headers(_of(e.get("http"), "request_headers")) for e in events]
    replies = [_headers(_of(e.get("http"), "response_headers")) for e in events]
    answered = status > 0
    rows = rows_of(tables.HTTP, len(events), {
        **_common(numbers, ends, start),
        "trans_depth": np.maximum(tx, 0) + 1, "method": method, "uri": _texts(events, "http", "url"),
        "version": pa.array([v if v and len(v) < 8 else None for v in versions], pa.string()),
        "host": _texts(events, "http", "hostname"), "user_agent": _texts(events, "http", "http_user_agent"),
        "referer": _texts(events, "http", "http_refer"), "status": np.where(answered, status, MISSING),
        "content_type": pa.array(kinds, pa.string()), "complete": has_method & answered,
        "response_bytes": np.where(answered, _numbers(events, "http", "length"), MISSING),
        "header_names": pa.array([h and h[0] for h in headers], pa.list_(pa.string())),
        "header_values": pa.array([h and h[1] for h in headers], pa.list_(pa.string())),
        "response_header_names": pa.array([h and h[0] for h in replies], pa.list_(pa.string())),
        "response_header_values": pa.array([h and h[1] for h in replies], pa.list_(pa.string())),
    })  # fmt: skip
    block.tables = {"http": rows}
    return block


def _headers(value: Any) -> tuple[list[str], list[str]] | None:
    """[{"name": ..., "value": ...}] as two lists."""
    if not isinstance(value, list):
        return None
    pairs = [(_of(h, "name"), _of(h, "value")) for h in value[: limits.MAX_HTTP_HEADERS]]
    sound = [(a, b if isinstance(b, str) else "") for a, b in pairs if isinstance(a, str)]
    return [a for a, _ in sound], [b for _, b in sound]


_RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def _dns(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    """A query and its answer are two events (version 1: an event each answer record): those of one message pair that stand near
    enough together become one row."""
    turned = _client_behind(events)
    answers = np.array([_of(e.get("dns"), "type") in ("answer", "response") for e in events], dtype=np.bool_)
    # Suricata up to 7 names the answer's packet, which comes from the server; later ones the client first.
    block, ends = _block(numbers, events, start, "eve dns", service="dns", turned=turned)
    sides = list(zip(ends.src.to_pylist(), ends.sport.tolist(), ends.dst.to_pylist(), ends.dport.tolist(), strict=True))
    rows: list[dict[str, Any]] = []
    open_rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for place, event in enumerate(events):
        d = event.get("dns")
        question = _question(d)
        number = _of(d, "id")
        key = (sides[place], number if type(number) is int else None, question[0])
        row = open_rows.get(key)
        if not answers[place]:
            row = {"place": place, "ts": int(start[place]), "dns": d, "question": question, "answers": [], "answer": None}
            rows.append(row)
            open_rows[key] = row
        elif row is None or (row["answer"] is not None and _of(d, "version") is not None):
            row = {"place": place, "ts": int(start[place]), "dns": None, "question": question, "answers": [], "answer": None}
            rows.append(row)
            open_rows[key] = row
        if answers[place]:
            if row["answer"] is None:
                row["answer"], row["answer_ts"] = d, int(start[place])
            row["answers"] += _answers(d)
    block.tables = {"dns": _dns_rows(rows, numbers, ends)}
    return block


def _question(d: Any) -> tuple[Any, Any]:
    """Name and type asked for; version 3 has a list of queries."""
    queries = _of(d, "queries")
    first = queries[0] if isinstance(queries, list) and queries else d
    name, kind = _of(first, "rrname"), _of(first, "rrtype")
    return name if isinstance(name, str) else None, kind if isinstance(kind, str) else None


def _answers(d: Any) -> list[tuple[str | None, str | None, str | None, int | None]]:
    """(name, type, data, TTL) of the records of one answer event."""
    records = _of(d, "answers")
    if not isinstance(records, list):
        # Version 1: the event is the record.
        records = [d] if _of(d, "rdata") is not None else []
    found = []
    for record in records[: limits.MAX_DNS_RECORDS]:
        name, kind, data, ttl = (_of(record, n) for n in ("rrname", "rrtype", "rdata", "ttl"))
        if isinstance(data, dict | list):
            data = json.dumps(data)
        elif data is None:
            # Version 2 writes SOA, SRV and others as objects under their own names.
            data = next((json.dumps(v) for k, v in record.items() if isinstance(v, dict)), None) if isinstance(record, dict) else None
        life = ttl if type(ttl) is int and 0 <= ttl < 2**32 else None
        words = [v if isinstance(v, str) else None for v in (name, kind)]
        found.append((words[0], words[1], None if data is None else str(data), life))
    return found


def _dns_rows(rows: list[dict[str, Any]], numbers: NDArray[np.int64], ends: Ends) -> pa.Table:
    place = np.array([r["place"] for r in rows], dtype=np.int64)
    both = [r["answer"] if r["answer"] is not None else r["dns"] for r in rows]
    replied = [r["answer"] is not None for r in rows]
    rcode = [_of(r["answer"], "rcode") for r in rows]
    flag = {n: [_of(r["answer"], n) for r in rows] for n in ("aa", "tc", "ra")}
    lists = [r["answers"] if r["answer"] is not None else None for r in rows]

    def part(k: int) -> list[list[Any] | None]:
        return [None if v is None else [a[k] for a in v] for v in lists]

    def truths(name: str) -> pa.Array:
        # Flags of the answer are there only where they are set; version 1 does not write them.
        told = [_of(r["answer"], "flags") is not None for r in rows]
        return pa.array([v if isinstance(v, bool) else (False if t else None) for v, t in zip(flag[name], told, strict=True)], pa.bool_())

    ids = number_array([_of(d, "id") for d in both], 65535)
    start = np.array([r["ts"] for r in rows], dtype=np.int64)
    return rows_of(tables.DNS, len(rows), {
        "txn_id": numbers[place], "flow_id": numbers[place], "ts": start,
        "response_ts": np.array([r.get("answer_ts", MISSING) for r in rows], dtype=np.int64),
        "src": ends.src.take(pa.array(place)).fill_null(""), "dst": ends.dst.take(pa.array(place)).fill_null(""),
        "sport": np.maximum(ends.sport[place], 0), "dport": np.maximum(ends.dport[place], 0),
        "proto": np.where(ends.proto[place] == 6, 6, 17).astype(np.int64), "trans_id": np.maximum(ids, 0),
        "opcode": np.maximum(number_array([_of(d, "opcode") for d in both], 15), 0),
        "query": text_array([r["question"][0] for r in rows]), "qtype": text_array([r["question"][1] for r in rows]),
        "rcode": pa.array([_rcode(c) if r else None for c, r in zip(rcode, replied, strict=True)], pa.string()),
        "authoritative": truths("aa"), "truncated": truths("tc"), "recursion_available": truths("ra"),
        "recursion_desired": np.array([bool(_of(d, "rd")) for d in both], dtype=np.bool_),
        "answers": pa.array([None if v is None else [x for x in v if x is not None] for v in part(2)], pa.list_(pa.string())),
        "answer_types": pa.array(part(1), pa.list_(pa.string())), "answer_names": pa.array(part(0), pa.list_(pa.string())),
        "answer_ttls_s": pa.array(part(3), pa.list_(pa.uint32())),
    })  # fmt: skip


def _rcode(value: Any) -> str | None:
    if type(value) is int:
        return _RCODES.get(value, f"RCODE{value}")
    return value if isinstance(value, str) else None


_TLS_VERSIONS: Final = {
    "TLSv1": "TLSv10", "TLS 1.0": "TLSv10", "TLS 1.1": "TLSv11", "TLS 1.2": "TLSv12", "TLS 1.3": "TLSv13", "SSLv2": "SSLv2",
    "SSLv3": "SSLv3", "TLSv1.1": "TLSv11", "TLSv1.2": "TLSv12", "TLSv1.3": "TLSv13",
}  # fmt: skip


def _tls(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    block, ends = _block(numbers, events, start, "eve tls", service="ssl", turned=_client_behind(events))
    parts: list[Any] = [e.get("tls") for e in events]
    version = [_TLS_VERSIONS.get(v, v) if isinstance(v := _of(p, "version"), str) and v != "UNDETERMINED" else None for p in parts]
    sha1 = [v.replace(":", "").lower() if isinstance(v := _of(p, "fingerprint"), str) else None for p in parts]
    serial = [v.replace(":", "").lower() if isinstance(v := _of(p, "serial"), str) else None for p in parts]
    resumed = [v if isinstance(v := _of(p, "session_resumed"), bool) else None for p in parts]
    chains = [_chain(p) for p in parts]
    rows = rows_of(tables.TLS, len(events), {
        **_common(numbers, ends, start),
        "version": pa.array(version, pa.string()), "server_name": _texts(events, "tls", "sni"),
        "subject": _texts(events, "tls", "subject"), "issuer": _texts(events, "tls", "issuerdn"),
        "serial": pa.array(serial, pa.string()), "certificate_sha1": pa.array(sha1, pa.string()),
        "not_before": iso_times(_texts(events, "tls", "notbefore")), "not_after": iso_times(_texts(events, "tls", "notafter")),
        "ja3": text_array([_of(_of(p, "ja3"), "hash") for p in parts]), "ja3s": text_array([_of(_of(p, "ja3s"), "hash") for p in parts]),
        "ja4": _texts(events, "tls", "ja4"), "resumed": pa.array(resumed, pa.bool_()),
        "names": _lists([_of(p, "subjectaltname") for p in parts]),
        "client_protocols": _lists([_of(p, "client_alpns") for p in parts]),
        "chain_sha256": pa.array(chains, pa.list_(pa.string())),
        # The event is written once the handshake is over.
        "established": np.array([v is not None for v in version], dtype=np.bool_),
    })  # fmt: skip
    block.tables = {"tls": rows}
    return block


def _chain(part: Any) -> list[str] | None:
    """SHA-256 of the certificates that the event carries in base64."""
    chain = _of(part, "chain")
    if not isinstance(chain, list):
        chain = [c] if isinstance(c := _of(part, "certificate"), str) else []
    found = []
    for text in chain[: limits.MAX_CERTIFICATES]:
        try:
            found.append(hashlib.sha256(base64.b64decode(text, validate=True)).hexdigest())
        except (TypeError, ValueError, binascii.Error):
            return None
    return found or None


def _smtp(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    block, ends = _block(numbers, events, start, "eve smtp", service="smtp", turned=_client_behind(events))
    n = len(events)
    tx = number_array([e.get("tx_id") for e in events], 2**30)

    def mail(name: str) -> list[Any]:
        return _inside(events, "email", name)

    rows = rows_of(tables.SMTP, n, {
        **_common(numbers, ends, start),
        "trans_depth": np.maximum(tx, 0) + 1, "helo": _texts(events, "smtp", "helo"), "mailfrom": _texts(events, "smtp", "mail_from"),
        "rcptto": _lists(_inside(events, "smtp", "rcpt_to"), empty=True), "date": text_array(mail("date")),
        "mail_from": text_array(mail("from")), "mail_to": _lists(mail("to"), empty=True), "mail_cc": _lists(mail("cc"), empty=True),
        "reply_to": text_array(mail("reply_to")), "message_id": text_array(mail("message_id")),
        "mail_subject": text_array(mail("subject")), "mailer": text_array(mail("x_mailer")),
        "received": _lists(mail("received"), empty=True), "mail_path": pa.array([[]] * n, pa.list_(pa.string())),
        "tls": np.zeros(n, dtype=np.bool_), "complete": np.zeros(n, dtype=np.bool_),
    })  # fmt: skip
    block.tables = {"smtp": rows}
    return block


def _fileinfo(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    behind = _client_behind(events)
    # "direction" (Suricata 8) is that of the file; before it the packet's own ends are.
    said = [e.get("direction") for e in events]
    up = np.array([d == "to_server" if isinstance(d, str) else not b for d, b in zip(said, behind.tolist(), strict=True)])
    block, ends = _block(numbers, events, start, "eve fileinfo", turned=behind)
    state, gaps = _inside(events, "fileinfo", "state"), _inside(events, "fileinfo", "gaps")
    whole = np.array([s == "CLOSED" and g is not True for s, g in zip(state, gaps, strict=True)], dtype=np.bool_)
    rows = rows_of(tables.FILES, len(events), {
        **_common(numbers, ends, start),
        "service": block.texts["service"].cast(pa.string()).fill_null("unknown"), "sent_by_src": up,
        "name": _texts(events, "fileinfo", "filename"), "bytes": np.maximum(_numbers(events, "fileinfo", "size"), 0),
        "sha256": _texts(events, "fileinfo", "sha256"), "md5": _texts(events, "fileinfo", "md5"),
        "facts": _texts(events, "fileinfo", "magic"), "complete": whole,
    })  # fmt: skip
    block.tables = {"files": rows}
    return block


def _alert(numbers: NDArray[np.int64], events: list[Event], start: NDArray[np.int64]) -> Block:
    block, ends = _block(numbers, events, start, "eve alert")
    metadata = [json.dumps(m, ensure_ascii=False) if isinstance(m := _of(e.get("alert"), "metadata"), dict) else None for e in events]
    rows = rows_of(tables.LOG_ALERTS, len(events), {
        **_common(numbers, ends, start),
        "proto": ends.proto, "action": _texts(events, "alert", "action"), "gid": _numbers(events, "alert", "gid", 2**31 - 1),
        "sid": _numbers(events, "alert", "signature_id", 2**40), "rev": _numbers(events, "alert", "rev", 2**31 - 1),
        "message": _texts(events, "alert", "signature"), "category": _texts(events, "alert", "category"),
        "alert_severity": _numbers(events, "alert", "severity", 255), "metadata": pa.array(metadata, pa.string()),
    })  # fmt: skip
    block.tables = {"log_alerts": rows}
    return block


EVENTS: Final[dict[str, Callable[[NDArray[np.int64], list[Event], NDArray[np.int64]], Block]]] = {
    "flow": _flow, "netflow": _netflow, "http": _http, "dns": _dns, "tls": _tls, "smtp": _smtp, "fileinfo": _fileinfo,
    "alert": _alert,
}  # fmt: skip


class EveFile:
    """Reader of one EVE file."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.counts: dict[str, tuple[int, str | None]] = {}
        self._line = 0
        self._base = 0
        self._bad: list[int] = []
        self._bad_lines = 0
        self._first_bad = 0

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        cut = whole_lines(buffer, length, final=final)
        if cut.too_long:
            return Took(0, [], f"byte {self._base}, line {self._line + 1}: a line longer than {limits.MAX_LOG_RECORD_BYTES} bytes")
        lines = split(cut.text)
        blocks: list[Block] = []
        self._bad = []
        for begin in range(0, len(lines), limits.LOG_ROWS_AT_ONCE):
            part = lines[begin : begin + limits.LOG_ROWS_AT_ONCE]
            blocks += self._blocks(json_objects(part, self._line + 1, self._bad.append))
            self._line += len(part)
        damage = None
        if cut.open_end and self._bad and self._bad[-1] == self._line:
            self._bad.pop()
            damage = f"line {self._line}: the last line is cut"
        self._count_bad()
        self._base += cut.consumed
        return Took(cut.consumed, blocks, damage)

    def _count_bad(self) -> None:
        if self._bad:
            self._first_bad = self._first_bad or self._bad[0]
            self._bad_lines += len(self._bad)
            self.counts[BAD_LINES] = (self._bad_lines, first_of_them(self._first_bad))

    def _blocks(self, found: list[tuple[int, Event]]) -> list[Block]:
        kinds: dict[str, tuple[list[int], list[Event]]] = {}
        for number, event in found:
            kind = event.get("event_type")
            if not isinstance(kind, str):
                self._bad.append(number)
            elif not (isinstance(event.get("src_ip"), str) and isinstance(event.get("dest_ip"), str)):
                self._other(kind)
            else:
                numbers, events = kinds.setdefault(kind if kind in kinds or len(kinds) < 64 else "other", ([], []))
                numbers.append(number)
                events.append(event)
        return [b for kind, (numbers, events) in kinds.items() if (b := self._block(kind, numbers, events)) is not None]

    def _other(self, kind: str) -> None:
        item = "events that tell of no connection"
        self.counts[item] = (self.counts.get(item, (0, None))[0] + 1, f"events of the kind {kind!r} and others that tell of no connection")

    def _block(self, kind: str, numbers: list[int], events: list[Event]) -> Block | None:
        start = iso_times(text_array([e.get("timestamp") for e in events]))
        sound = start != MISSING
        if not sound.all():
            self._bad += np.array(numbers)[~sound].tolist()
            self._bad.sort()
            events = [e for e, s in zip(events, sound.tolist(), strict=True) if s]
            if not events:
                return None
        chosen = np.array(numbers, dtype=np.int64)[sound]
        make = EVENTS.get(kind)
        if make is not None:
            return make(chosen, events, start[sound])
        return _block(chosen, events, start[sound], f"eve {kind}"[:40])[0]


def recognise(head: bytes) -> bool:
    """Whether the first line is an object with an event_type."""
    line = head.lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{") or b'"event_type"' not in line:
        return False
    try:
        return isinstance(json.loads(line).get("event_type"), str)
    except (ValueError, RecursionError):
        # A first line that is longer than what is looked at, or cut.
        return b'"timestamp"' in line


def _open_file(head: bytes, options: Options) -> EveFile:
    return EveFile()


FORMAT: Final = Format(recognise, _open_file)
