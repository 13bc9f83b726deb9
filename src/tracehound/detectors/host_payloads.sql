-- id: host_payloads
-- version: 1
-- title: First bytes that one host sent
-- question: How do the host's conversations begin?
-- what: Distinct first payload bytes that the host sent, with length and service, and the packet of the first of each.
-- why: Worms send the same bytes to all; profiles know them.
-- look-alikes: Common protocols begin alike; profiles weigh that
-- parameter: host = none (address) the host
-- parameter: max_rows = 5000 (rows) distinct beginnings returned
-- tables: heads, flows
-- cannot: show more than the first bytes (limits.HEAD_BYTES)
-- source: methods of the field
-- technique: none
SELECT h.head, h.payload_len, CAST(f.proto AS INTEGER) AS proto, CAST(f.dport AS INTEGER) AS dport,
       MIN(f.dst) AS dst, MIN(h.packet_id) AS packet_id, MIN(h.flow_id) AS flow_id, COUNT(*) AS times
FROM heads AS h
JOIN flows AS f ON f.flow_id = h.flow_id
WHERE (f.src = $host AND h.from_originator) OR (f.dst = $host AND NOT h.from_originator)
GROUP BY h.head, h.payload_len, f.proto, f.dport
ORDER BY times DESC, packet_id, h.payload_len
LIMIT $max_rows
