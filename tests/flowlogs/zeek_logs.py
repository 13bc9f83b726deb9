"""In: rows of Zeek's logs as Zeek's own tests expect them (../shared/oracles), or written here. Out: the same rows as Zeek writes
them: TSV with its header, JSON lines. Never here: a test."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.conftest import SHARED

CONN = {
    "ts": "time",
    "uid": "string",
    "id.orig_h": "addr",
    "id.orig_p": "port",
    "id.resp_h": "addr",
    "id.resp_p": "port",
    "proto": "enum",
    "service": "string",
    "duration": "interval",
    "orig_bytes": "count",
    "resp_bytes": "count",
    "conn_state": "string",
    "local_orig": "bool",
    "local_resp": "bool",
    "missed_bytes": "count",
    "history": "string",
    "orig_pkts": "count",
    "orig_ip_bytes": "count",
    "resp_pkts": "count",
    "resp_ip_bytes": "count",
    "tunnel_parents": "set[string]",
    "ip_proto": "count",
    "vlan": "int",
}
START = 1_668_586_098.757001


def oracle(name: str) -> list[dict[str, str]]:
    """Rows of an oracle, with the times and uids that it leaves out."""
    rows: list[dict[str, str]] = []
    with gzip.open(SHARED / "oracles" / name, "rt") as lines:
        for line in lines:
            for row in json.loads(line)["rows"]:
                number = len(rows)
                rows.append({**row, "ts": f"{START + number:.6f}", "uid": f"C{number:017d}"})
    return rows


def tsv(path: str, fields: list[str], rows: list[dict[str, str]], *, separator: str = "\t", closed: bool = True) -> bytes:
    s = separator
    lines = [f"#separator \\x{ord(s):02x}", f"#set_separator{s},", f"#empty_field{s}(empty)", f"#unset_field{s}-", f"#path{s}{path}"]
    lines += [
        f"#open{s}2022-11-16-08-08-18",
        f"#fields{s}{s.join(fields)}",
        f"#types{s}{s.join(CONN.get(f, 'string') for f in fields)}",
    ]
    lines += [s.join(row.get(f, "-") for f in fields) for row in rows]
    if closed:
        lines.append(f"#close{s}2022-11-16-09-00-00")
    return "\n".join(lines).encode() + b"\n"


def _value(field: str, text: str) -> Any:
    kind = CONN.get(field, "string")
    if kind in ("count", "port", "int"):
        return int(text)
    if kind in ("time", "interval"):
        return float(text)
    return text == "T" if kind == "bool" else text


def json_lines(rows: list[dict[str, str]], path: str | None = None) -> bytes:
    """As Zeek's JSON writer: unset fields left out. With `path` as its JSON streaming logs."""
    made = []
    for row in rows:
        extra = {} if path is None else {"_path": path, "_write_ts": "2022-11-16T08:08:20.000000Z"}
        made.append(json.dumps({**extra, **{f: _value(f, v) for f, v in row.items()}}))
    return "\n".join(made).encode() + b"\n"
