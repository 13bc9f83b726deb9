-- id: host_names
-- version: 3
-- title: Names that hosts asked for
-- question: Which names did each host look up?
-- what: Distinct DNS questions (name, type, transport) of a host, and the packet of the first of each.
-- why: Profiles know some names; and a machine that generates names asks for many that do not exist.
-- look-alikes: Search domains make honest hosts ask for names that do not exist
-- parameter: hosts = none (addresses) the hosts, with a comma between them
-- parameter: max_rows = 5000 (rows) distinct names returned a host
-- tables: dns
-- cannot: see names asked by DNS over HTTPS or TLS
-- source: RFC 1035
-- technique: none
SELECT src, query, qtype, proto, packet_id, flow_id, times
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY src ORDER BY times DESC, query, qtype, proto) AS place
  FROM (
    SELECT src, query, qtype, CAST(proto AS INTEGER) AS proto, MIN(query_packet_id) AS packet_id, MIN(flow_id) AS flow_id,
           COUNT(*) AS times
    FROM dns
    WHERE src IN (SELECT UNNEST(string_split($hosts, ','))) AND query IS NOT NULL
    GROUP BY src, query, qtype, dns.proto) AS distinct_names) AS ranked
WHERE place <= $max_rows
ORDER BY src, place
