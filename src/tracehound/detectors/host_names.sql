-- id: host_names
-- version: 2
-- title: Names that one host asked for
-- question: Which names did the host look up?
-- what: Distinct DNS questions (name, type, transport) of one host, and the packet of the first of each.
-- why: Profiles know some names; and a machine that generates names asks for many that do not exist.
-- look-alikes: Search domains make honest hosts ask for names that do not exist
-- parameter: host = none (address) the host
-- parameter: max_rows = 5000 (rows) distinct names returned
-- tables: dns
-- cannot: see names asked by DNS over HTTPS or TLS
-- source: RFC 1035
-- technique: none
SELECT query, qtype, CAST(proto AS INTEGER) AS proto, MIN(query_packet_id) AS packet_id, MIN(flow_id) AS flow_id, COUNT(*) AS times
FROM dns
WHERE src = $host AND query IS NOT NULL
GROUP BY query, qtype, dns.proto
ORDER BY times DESC, query, qtype, proto
LIMIT $max_rows
