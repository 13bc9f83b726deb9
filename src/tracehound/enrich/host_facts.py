"""In: the tables of a run (through `ask`). Out: what they tell of each host, one row a fact with what told it and where: names,
hardware addresses, software, services offered and used, accounts, domains. Never here: judging operating systems (systems.py), or
the summary by host (hosts.py).

One entry of `QUESTIONS` a source. Each asks one table and answers with address, told, n (how often), ts_ns, packet_id; a table that
is not there, or has no row, is not asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracehound.detectors.catalog import Ask

FRAMES: Final = "sender of its frames"
MAX_FACTS: Final = 200_000
"""Facts taken from one source, those told most often first."""


class Fact(NamedTuple):
    """One thing that the evidence tells of a host."""

    address: str
    fact: str
    told: str
    told_by: str
    times: int
    ts_ns: int | None
    packet_id: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """fact     what it tells: name, mac, software, ...
    told_by   table and column, as a reader calls it
    table     the table that is asked
    sql       columns address, told, ts (may be null), packet_id (may be null), over that table"""

    fact: str
    told_by: str
    table: str
    sql: str


def _column(fact: str, table: str, column: str, side: str, more: str = "", packet: str = "packet_id") -> Question:
    """A column that tells something of the client (src) or the server (dst) of its row."""
    where = f' WHERE "{column}" IS NOT NULL AND "{column}" <> \'\'' + (f" AND {more}" if more else "")
    sql = f'SELECT CAST({side} AS VARCHAR) AS address, CAST("{column}" AS VARCHAR) AS told, ts, {packet} AS packet_id FROM {table}{where}'
    return Question(fact, f"{table}.{column}", table, sql)


_LEASES: Final = """
WITH given AS (
  SELECT mac, CAST(COALESCE(assigned_addr, client_addr) AS VARCHAR) AS address, ts, packet_id
  FROM dhcp WHERE message_type = 'ACK' AND mac IS NOT NULL AND COALESCE(assigned_addr, client_addr) IS NOT NULL
  UNION
  SELECT mac, CAST(client_addr AS VARCHAR), ts, packet_id FROM dhcp WHERE mac IS NOT NULL AND client_addr IS NOT NULL
  UNION
  SELECT mac, CAST(requested_addr AS VARCHAR), ts, packet_id FROM dhcp
  WHERE mac IS NOT NULL AND message_type = 'REQUEST' AND requested_addr IS NOT NULL)
"""


def _of_lease(fact: str, column: str) -> Question:
    """A column of a client's DHCP message, told of the address that its hardware address holds."""
    return Question(
        fact, f"dhcp.{column}", "dhcp",
        f'{_LEASES} SELECT g.address, CAST(d."{column}" AS VARCHAR) AS told, d.ts, d.packet_id FROM dhcp AS d '
        f"JOIN (SELECT DISTINCT mac, address FROM given) AS g ON g.mac = d.mac WHERE d.\"{column}\" IS NOT NULL "
        f"AND d.message_type NOT IN ('OFFER', 'ACK', 'NAK', 'BOOTREPLY')",
    )  # fmt: skip


_REVERSE: Final = """
SELECT array_to_string(list_reverse(string_split(replace(lower(owner), '.in-addr.arpa', ''), '.')), '.') AS address, told, ts, packet_id
FROM (SELECT unnest(answers) AS told, unnest(answer_types) AS kind, unnest(answer_names) AS owner, ts, response_packet_id AS packet_id
      FROM dns WHERE answers IS NOT NULL) AS r
WHERE kind = 'PTR' AND regexp_matches(lower(owner), '^[0-9]{1,3}([.][0-9]{1,3}){3}[.]in-addr[.]arpa$')
"""
_FORWARD: Final = """
SELECT address, told, ts, packet_id
FROM (SELECT unnest(answers) AS address, unnest(answer_types) AS kind, query AS told, ts, response_packet_id AS packet_id, dport
      FROM dns WHERE answers IS NOT NULL AND query IS NOT NULL) AS f
WHERE kind IN ('A', 'AAAA') AND dport NOT IN (5353, 5355)
"""
_MULTICAST: Final = """
SELECT address, told, ts, packet_id
FROM (SELECT unnest(answers) AS address, unnest(answer_types) AS kind, unnest(answer_names) AS told, ts,
             response_packet_id AS packet_id, dport
      FROM dns WHERE answers IS NOT NULL) AS f
WHERE kind IN ('A', 'AAAA') AND dport IN (5353, 5355) AND told IS NOT NULL
"""
_NETBIOS_OWN: Final = """
SELECT CAST(src AS VARCHAR) AS address, netbios_name AS told, ts, packet_id FROM netbios
WHERE netbios_name IS NOT NULL AND NOT COALESCE(is_group, FALSE) AND NOT is_response
  AND operation IN ('registration', 'refresh', 'release', 'datagram', 'session')
"""
_SERVICES: Final = """
SELECT CAST(dst AS VARCHAR) AS address,
       CASE proto WHEN 6 THEN 'tcp/' WHEN 17 THEN 'udp/' ELSE 'ip' || CAST(proto AS VARCHAR) || '/' END || CAST(dport AS VARCHAR)
         || COALESCE(' ' || CAST(MODE(service) AS VARCHAR), '') AS told,
       COUNT(DISTINCT src) AS n, MIN(epoch_ns(start)) AS ts_ns, MIN(first_packet_id) AS packet_id
FROM flows
WHERE proto IN (6, 17, 132) AND outcome IN ('answered', 'accepted') AND (outcome = 'answered' OR proto = 6)
  AND (proto <> 17 OR service IS NOT NULL OR dport < 1024) AND CAST(dst AS VARCHAR) NOT LIKE 'ff%:%'
  AND NOT regexp_matches(CAST(dst AS VARCHAR), '^(22[4-9]|23[0-9]|255)[.]')
GROUP BY dst, proto, dport
"""
_USES: Final = """
SELECT CAST(src AS VARCHAR) AS address,
       CASE proto WHEN 6 THEN 'tcp/' WHEN 17 THEN 'udp/' ELSE 'ip' || CAST(proto AS VARCHAR) || '/' END || CAST(dport AS VARCHAR)
         || COALESCE(' ' || CAST(MODE(service) AS VARCHAR), '') AS told,
       COUNT(DISTINCT dst) AS n, MIN(epoch_ns(start)) AS ts_ns, MIN(first_packet_id) AS packet_id
FROM flows
WHERE proto IN (6, 17, 132) AND outcome = 'answered' AND (proto <> 17 OR service IS NOT NULL OR dport < 1024)
GROUP BY src, proto, dport
"""
COUNTED: Final = frozenset({"service", "uses"})
"""Facts whose `times` is a number of hosts, which their query counts itself."""

QUESTIONS: Final[tuple[Question, ...]] = (
    _of_lease("name", "host_name"),
    _of_lease("name", "client_fqdn"),
    _column("name", "ntlm", "server_dns_computer_name", "dst"),
    Question("name", "dns answer to a reverse question", "dns", _REVERSE),
    Question("name", "NetBIOS, its own words", "netbios", _NETBIOS_OWN),
    Question("name", "multicast DNS", "dns", _MULTICAST),
    _column("name", "netbios", "host_name", "src"),
    _column("name", "ntlm", "host_name", "src"),
    _column("name", "ntlm", "server_nb_computer_name", "dst"),
    _column("name", "smb", "host_name", "src"),
    _column("name", "rdp", "client_name", "src"),
    _column("name", "kerberos", "host_name", "src"),
    _column("name", "snmp", "host_name", "dst"),
    _column("name", "sunrpc", "host_name", "src"),
    _column("name", "syslog", "host_name", "src"),
    _column("name", "database", "host_name", "src"),
    Question("name", "capture_notes.name", "capture_notes",
             "SELECT subject AS address, text AS told, NULL AS ts, NULL AS packet_id FROM capture_notes WHERE kind = 'name'"),
    Question("name", "dns answer", "dns", _FORWARD),
    _column("name", "tls", "server_name", "dst"),
    _column("name", "quic", "server_name", "dst"),
    _column("name", "http", "host", "dst", packet="request_packet_id"),
    _column("name", "smtp", "helo", "src"),
    Question("mac", "arp", "arp",
             "SELECT sender_addr AS address, sender_mac AS told, ts, packet_id FROM arp WHERE sender_addr <> '0.0.0.0' "
             "AND operation IN ('request', 'reply', 'announcement')"),
    Question("mac", "dhcp.mac", "dhcp", f"{_LEASES} SELECT address, mac AS told, ts, packet_id FROM given"),
    _column("mac", "netbios", "mac", "src"),
    Question("mac", FRAMES, "link_addresses",
             "SELECT address, mac AS told, ts, packet_id FROM link_addresses WHERE mac IN (SELECT mac FROM link_addresses GROUP BY mac "
             "HAVING COUNT(DISTINCT CASE WHEN strpos(address, ':') > 0 THEN NULL ELSE address END) <= 1 AND COUNT(DISTINCT address) <= 8)"),
    _of_lease("vendor class", "vendor_class"),
    _column("user agent", "http", "user_agent", "src", packet="request_packet_id"),
    _column("client version", "ntlm", "client_os_version", "src"),
    _column("server version", "ntlm", "server_os_version", "dst"),
    _column("client version", "netbios", "os_version", "src"),
    _column("software", "http", "server", "dst", packet="response_packet_id"),
    _column("software", "ssh", "server_banner", "dst"),
    _column("software", "ssh", "client_banner", "src"),
    _column("software", "ftp", "reply_msg", "dst", more="command IS NULL AND reply_code = 220"),
    _column("software", "telnet", "banner", "dst"),
    _column("software", "smtp", "mailer", "src"),
    _column("software", "sip", "user_agent", "src"),
    _column("software", "database", "server_version", "dst"),
    _column("software", "database", "client_software", "src"),
    _column("software", "snmp", "display_string", "dst"),
    _column("software", "ssdp", "server", "src"),
    _column("software", "quic", "user_agent", "src"),
    _column("client build", "rdp", "client_build", "src"),
    _column("user", "logins", "user", "src"),
    _column("user", "ntlm", "user", "src"),
    _column("user", "kerberos", "client", "src"),
    _column("user", "rdp", "cookie", "src"),
    _column("user", "smb", "user", "src"),
    _of_lease("domain", "dns_domain"),
    _column("domain", "ntlm", "domain", "src"),
    _column("domain", "ntlm", "server_dns_domain_name", "dst"),
    _column("domain", "kerberos", "realm", "src"),
    Question("role", "dhcp.routers", "dhcp",
             "SELECT unnest(routers) AS address, 'router' AS told, ts, packet_id FROM dhcp WHERE routers IS NOT NULL"),
    Question("role", "dhcp.dns_servers", "dhcp",
             "SELECT unnest(dns_servers) AS address, 'name server' AS told, ts, packet_id FROM dhcp WHERE dns_servers IS NOT NULL"),
    Question("role", "dhcp messages", "dhcp",
             "SELECT CAST(src AS VARCHAR) AS address, 'DHCP server' AS told, ts, packet_id FROM dhcp "
             "WHERE message_type IN ('OFFER', 'ACK', 'NAK') AND CAST(src AS VARCHAR) <> '0.0.0.0'"),
    Question("role", "sends packets of many addresses", "link_addresses",
             "SELECT a.sender_addr AS address, 'router' AS told, MIN(a.ts) AS ts, MIN(a.packet_id) AS packet_id FROM arp AS a "
             "JOIN (SELECT mac FROM link_addresses GROUP BY mac HAVING COUNT(DISTINCT address) >= 4) AS m ON m.mac = a.sender_mac "
             "WHERE a.sender_addr <> '0.0.0.0' GROUP BY a.sender_addr"),
    Question("service", "flows", "flows", _SERVICES),
    Question("uses", "flows", "flows", _USES),
)  # fmt: skip
"""In order of trust: of two names, the one that an earlier question tells is shown first."""


def facts(ask: Ask, available: Collection[str]) -> list[Fact]:
    """All facts, in the order of `QUESTIONS`, those told most often first."""
    there = {t for t in {q.table for q in QUESTIONS} & set(available) if ask(f"SELECT 1 AS there FROM {t} LIMIT 1", {}).num_rows}
    found: list[Fact] = []
    for question in QUESTIONS:
        if question.table not in there:
            continue
        sql = question.sql
        if question.fact not in COUNTED:
            sql = (
                "SELECT address, told, COUNT(*) AS n, MIN(epoch_ns(CAST(ts AS TIMESTAMP_NS))) AS ts_ns, MIN(packet_id) AS packet_id "
                f"FROM ({sql}) AS q WHERE address IS NOT NULL AND address <> '' AND told IS NOT NULL GROUP BY address, told"
            )
        rows = ask(f"SELECT * FROM ({sql}) AS o ORDER BY n DESC, address, told LIMIT {MAX_FACTS}", {}).to_pylist()
        found += [Fact(r["address"], question.fact, r["told"], question.told_by, r["n"], r["ts_ns"], r["packet_id"]) for r in rows]
    return found
