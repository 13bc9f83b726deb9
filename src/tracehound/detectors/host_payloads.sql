-- id: host_payloads
-- version: 3
-- title: First bytes that hosts sent or got
-- question: How do each host's conversations begin?
-- what: Distinct first payload bytes that a host sent (sent is true) or got, with length and service, and the packet of
--   the first of each.
-- why: Worms send the same bytes to all; profiles know them.
-- look-alikes: Common protocols begin alike; profiles weigh that
-- parameter: hosts = none (addresses) the hosts, with a comma between them
-- parameter: max_rows = 5000 (rows) distinct beginnings returned a host
-- tables: heads, flows
-- cannot: show more than the first bytes (limits.HEAD_BYTES); echo replies are left out, since they repeat the request
-- source: methods of the field
-- technique: none
WITH mine AS (
  SELECT flow_id, src AS host, dst AS peer, TRUE AS is_src, proto, dport FROM flows WHERE src IN (SELECT UNNEST(string_split($hosts, ',')))
  UNION ALL
  SELECT flow_id, dst AS host, src AS peer, FALSE AS is_src, proto, dport FROM flows WHERE dst IN (SELECT UNNEST(string_split($hosts, ','))) AND dst <> src),
beginnings AS (
  SELECT f.host, h.head, h.payload_len, f.is_src = h.from_originator AS sent, CAST(f.proto AS INTEGER) AS proto,
         CAST(f.dport AS INTEGER) AS dport, MIN(f.peer) AS dst, MIN(h.packet_id) AS packet_id, MIN(h.flow_id) AS flow_id,
         COUNT(*) AS times
  FROM heads AS h
  JOIN mine AS f ON f.flow_id = h.flow_id
  WHERE f.proto NOT IN (1, 58) OR h.from_originator
  GROUP BY f.host, h.head, h.payload_len, f.is_src = h.from_originator, f.proto, f.dport),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY host ORDER BY times DESC, packet_id, payload_len, sent) AS place FROM beginnings)
SELECT host, head, payload_len, sent, proto, dport, dst, packet_id, flow_id, times
FROM ranked
WHERE place <= $max_rows
ORDER BY host, place
