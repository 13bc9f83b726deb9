-- id: host_payloads
-- version: 2
-- title: First bytes that one host sent or got
-- question: How do the host's conversations begin?
-- what: Distinct first payload bytes that the host sent (sent is true) or got, with length and service, and the packet of
--   the first of each.
-- why: Worms send the same bytes to all; profiles know them.
-- look-alikes: Common protocols begin alike; profiles weigh that
-- parameter: host = none (address) the host
-- parameter: max_rows = 5000 (rows) distinct beginnings returned
-- tables: heads, flows
-- cannot: show more than the first bytes (limits.HEAD_BYTES); echo replies are left out, since they repeat the request
-- source: methods of the field
-- technique: none
SELECT h.head, h.payload_len, (f.src = $host) = h.from_originator AS sent, CAST(f.proto AS INTEGER) AS proto,
       CAST(f.dport AS INTEGER) AS dport, MIN(CASE WHEN f.src = $host THEN f.dst ELSE f.src END) AS dst, MIN(h.packet_id) AS packet_id,
       MIN(h.flow_id) AS flow_id, COUNT(*) AS times
FROM heads AS h
JOIN flows AS f ON f.flow_id = h.flow_id
WHERE (f.src = $host OR f.dst = $host) AND (f.proto NOT IN (1, 58) OR h.from_originator)
GROUP BY h.head, h.payload_len, sent, f.proto, f.dport
ORDER BY times DESC, packet_id, h.payload_len, sent
LIMIT $max_rows
