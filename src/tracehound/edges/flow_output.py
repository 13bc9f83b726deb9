"""In: flows, as SQL over the tables. Out: the same flows written as other tools write theirs: Argus (binary, and ra's CSV), EVE, NetFlow
v5. Never here: formats that any table can have (table_output.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from tracehound.edges.table_output import opened, rfc3339_sql
from tracehound.errors import UsageError

if TYPE_CHECKING:
    from tracehound.edges.duck import Duck

_ROWS: Final = 50_000
_SECONDS: Final = "printf('%d.%06d', epoch_ns({0}) // 1000000000, epoch_ns({0}) % 1000000000 // 1000)"
_RA_PROTO: Final = (
    "CASE proto WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' WHEN 1 THEN 'icmp' WHEN 58 THEN 'ipv6-icmp' WHEN 2 THEN 'igmp' WHEN 47 THEN 'gre' "
    "WHEN 50 THEN 'esp' WHEN 132 THEN 'sctp' WHEN 89 THEN 'ospf' WHEN 103 THEN 'pim' ELSE proto::VARCHAR END"
)
_SAW: Final = "COALESCE({} & {}, 0) > 0"
_RA_STATE: Final = (
    "CASE WHEN proto = 6 THEN CASE "
    f"WHEN {_SAW.format('tcp_flags_src', 4)} OR {_SAW.format('tcp_flags_dst', 4)} THEN 'RST' "
    f"WHEN {_SAW.format('tcp_flags_src', 1)} OR {_SAW.format('tcp_flags_dst', 1)} THEN 'FIN' "
    f"WHEN {_SAW.format('tcp_flags_src', 2)} AND pkts_dst = 0 THEN 'REQ' "
    f"WHEN {_SAW.format('tcp_flags_dst', 2)} AND NOT {_SAW.format('tcp_flags_src', 16)} THEN 'ACC' "
    "WHEN pkts_src > 0 AND pkts_dst > 0 THEN 'CON' ELSE 'INT' END "
    "WHEN proto = 1 THEN CASE sport WHEN 8 THEN 'ECO' WHEN 0 THEN 'ECR' WHEN 3 THEN 'UR' || CASE dport WHEN 0 THEN 'N' WHEN 1 THEN 'H' "
    "WHEN 2 THEN 'O' WHEN 3 THEN 'P' WHEN 4 THEN 'F' WHEN 13 THEN 'FIL' ELSE '' END WHEN 5 THEN 'RED' WHEN 11 THEN 'TXD' ELSE 'UNK' END "
    "WHEN pkts_src > 0 AND pkts_dst > 0 THEN 'CON' WHEN pkts_src > 0 THEN 'INT' ELSE 'RSP' END"
)
_RA_DIR: Final = (
    "CASE WHEN proto = 6 AND NOT (COALESCE(tcp_flags_src & 2, 0) > 0 OR COALESCE(tcp_flags_dst & 2, 0) > 0) "
    "THEN CASE WHEN pkts_dst = 0 THEN '   ?>' WHEN pkts_src = 0 THEN '  <?' ELSE '  <?>' END "
    "WHEN proto = 6 THEN '   ->' WHEN pkts_dst = 0 THEN '   ->' WHEN pkts_src = 0 THEN '  <-' ELSE '  <->' END"
)
_RA_PORT: Final = (
    "CASE WHEN proto IN (6, 17, 132) THEN {0}::VARCHAR WHEN proto = 1 THEN {1} WHEN proto = 58 THEN {0}::VARCHAR ELSE '' END"
)
_ARGUS_CSV: Final[dict[str, str]] = {
    "StartTime": _SECONDS.format("start"),
    "LastTime": _SECONDS.format('"end"'),
    "Dur": "printf('%.6f', (epoch_ns(\"end\") - epoch_ns(start)) / 1e9)",
    "Flgs": "' e' || CASE WHEN icmp_type = 3 THEN 'U' WHEN icmp_type = 11 THEN 'T' ELSE ' ' END || "
    "CASE WHEN syn_count > 1 THEN 's' ELSE ' ' END || '     '",
    "Proto": _RA_PROTO,
    "SrcAddr": "src",
    "Sport": _RA_PORT.format("sport", "printf('0x%04x', CASE WHEN sport IN (8, 10, 13, 15, 17) THEN sport ELSE dport * 256 + sport END)"),
    "Dir": _RA_DIR,
    "DstAddr": "dst",
    "Dport": _RA_PORT.format("dport", "'0x0000'"),
    "SrcPkts": "COALESCE(pkts_src, 0)",
    "DstPkts": "COALESCE(pkts_dst, 0)",
    "SrcBytes": "COALESCE(bytes_src, 0)",
    "DstBytes": "COALESCE(bytes_dst, 0)",
    "SAppBytes": "COALESCE(payload_src, 0)",
    "DAppBytes": "COALESCE(payload_dst, 0)",
    "sTtl": "ttl_src",
    "State": _RA_STATE,
}
_EVE_STATE: Final = (
    "CASE WHEN proto = 6 AND (COALESCE(tcp_flags_src & 5, 0) > 0 OR COALESCE(tcp_flags_dst & 5, 0) > 0) THEN 'closed' "
    "WHEN pkts_dst > 0 AND outcome NOT IN ('unanswered', 'unreachable') THEN 'established' ELSE 'new' END"
)
_EVE_TCP: Final = (
    "CASE WHEN proto = 6 THEN {'tcp_flags': printf('%02x', COALESCE(tcp_flags_src, 0) | COALESCE(tcp_flags_dst, 0)), "
    "'tcp_flags_ts': printf('%02x', COALESCE(tcp_flags_src, 0)), 'tcp_flags_tc': printf('%02x', COALESCE(tcp_flags_dst, 0)), "
    "'syn': COALESCE((tcp_flags_src | tcp_flags_dst) & 2, 0) > 0, 'fin': COALESCE((tcp_flags_src | tcp_flags_dst) & 1, 0) > 0, "
    "'rst': COALESCE((tcp_flags_src | tcp_flags_dst) & 4, 0) > 0, 'psh': COALESCE((tcp_flags_src | tcp_flags_dst) & 8, 0) > 0, "
    "'ack': COALESCE((tcp_flags_src | tcp_flags_dst) & 16, 0) > 0} END"
)
_EVE: Final = (
    "{'timestamp': " + rfc3339_sql('"end"').replace("'Z'", "'+0000'") + ", 'flow_id': flow_id, 'event_type': 'flow', 'src_ip': src, "
    "'src_port': CASE WHEN proto IN (6, 17, 132) THEN sport END, 'dest_ip': dst, "
    "'dest_port': CASE WHEN proto IN (6, 17, 132) THEN dport END, "
    "'proto': CASE proto WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 1 THEN 'ICMP' WHEN 58 THEN 'IPv6-ICMP' ELSE printf('%03d', proto) END, "
    "'icmp_type': CASE WHEN proto IN (1, 58) THEN sport END, "
    "'icmp_code': CASE WHEN proto IN (1, 58) THEN CASE WHEN sport IN (8, 10, 13, 15, 17, 128, 130, 133, 135) THEN 0 ELSE dport END END, "
    "'app_proto': service, 'community_id': community_id, "
    "'flow': {'pkts_toserver': pkts_src, 'pkts_toclient': pkts_dst, 'bytes_toserver': bytes_src, 'bytes_toclient': bytes_dst, "
    "'start': " + rfc3339_sql("start").replace("'Z'", "'+0000'") + ", 'end': " + rfc3339_sql('"end"').replace("'Z'", "'+0000'") + ", "
    "'age': (epoch_ns(\"end\") - epoch_ns(start)) // 1000000000, 'state': " + _EVE_STATE + ", 'reason': 'shutdown', 'alerted': false}, "
    "'tcp': " + _EVE_TCP + "}"
)


def _argus_csv(duck: Duck, sql: str, out: IO[bytes]) -> None:
    columns = ", ".join(f'{expression} AS "{title}"' for title, expression in _ARGUS_CSV.items())
    out.write((",".join(_ARGUS_CSV) + "\n").encode())
    line = " || ',' || ".join(f"COALESCE(\"{title}\"::VARCHAR, '')" for title in _ARGUS_CSV)
    for batch in duck.stream(f"SELECT {line} AS line FROM (SELECT {columns} FROM ({sql}))", _ROWS):
        out.write("".join(f"{text}\n" for text in batch.column(0).to_pylist()).encode())


def _eve(duck: Duck, sql: str, out: IO[bytes]) -> None:
    # Suricata leaves out what it does not know.
    without = r"""regexp_replace(to_json(event)::VARCHAR, '"[a-z_]+":null,?', '', 'g')"""
    for batch in duck.stream(f"SELECT replace({without}, ',}}', '}}') AS line FROM (SELECT {_EVE} AS event FROM ({sql}))", _ROWS):
        out.write("".join(f"{text}\n" for text in batch.column(0).to_pylist()).encode())


def _netflow5(duck: Duck, sql: str, out: IO[bytes]) -> None:
    from tracehound.flowlogs.netflow_write import write_flows

    for piece in write_flows(duck.stream(sql, _ROWS)):
        out.write(piece)


def _argus(duck: Duck, sql: str, out: IO[bytes]) -> None:
    from tracehound.flowlogs.argus_write import write_flows

    for piece in write_flows(duck.stream(sql, _ROWS)):
        out.write(piece)


WRITERS: Final[dict[str, Callable[[Duck, str, IO[bytes]], None]]] = {
    "argus": _argus,
    "argus-csv": _argus_csv,
    "eve": _eve,
    "netflow5": _netflow5,
}
BINARY: Final = ("argus", "netflow5")


def write_flows_as(duck: Duck, sql: str, form: str, target: str) -> None:
    """Write the flows that `sql` gives (all columns of table `flows`, in order of time). Raises UsageError."""
    duck.schema(sql)
    if form not in WRITERS:
        raise UsageError(f"flows cannot be written as {form}")
    with opened(target) as out:
        WRITERS[form](duck, sql, out)
