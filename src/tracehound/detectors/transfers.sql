-- id: transfers
-- version: 1
-- title: What reached one host
-- question: Which transfers reached the host, when, from whom, and what did they carry?
-- what: HTTP responses to the host, payload of other flows that it opened, and payload of connections that it accepted;
--   with the number of hosts that know the same peer, and whether it was the host's first contact with that peer.
--   Where a flow log does not count payload, it is bytes less 40 a packet (IP and TCP headers), and marked as estimated.
-- why: A turning point has a cause, and the cause often came over the network shortly before.
-- look-alikes: Most transfers before any moment are innocent; see the ranking and its placebo test.
-- parameter: host = none (address) the host
-- parameter: from_ns = 0 (ns) transfers that ended at or after this time
-- parameter: to_ns = 9223372036854775807 (ns) transfers that began before this time
-- parameter: max_rows = 50000 (rows) latest transfers returned
-- tables: flows, contacts
-- optional: http
-- cannot: see what came by disk, by mail read elsewhere, or before the evidence begins; encrypted content shows its size only
-- source: candidate causes after King, Chen, Backtracking Intrusions, SOSP 2003
-- technique: none
WITH mine AS (
  SELECT flow_id, evidence_id, epoch_ns(start) AS start_ns, epoch_ns("end") AS end_ns, src, dst, CAST(proto AS INTEGER) AS proto,
         CAST(dport AS INTEGER) AS dport, service,
         COALESCE(payload_src, GREATEST(bytes_src - 40 * COALESCE(pkts_src, 1), 0), 0) AS payload_src,
         COALESCE(payload_dst, GREATEST(bytes_dst - 40 * COALESCE(pkts_dst, 1), 0), 0) AS payload_dst, outcome, first_packet_id, last_packet_id,
         payload_src IS NULL OR payload_dst IS NULL AS estimated
  FROM flows
  WHERE (src = $host OR dst = $host) AND outcome IN ('answered', 'midstream', 'one_sided', 'accepted')
    AND proto IN (6, 17) AND NOT (proto = 17 AND dport IN (53, 67, 68, 123, 137, 138, 1900, 5353, 5355))),
peers AS (
  SELECT DISTINCT CASE WHEN src = $host THEN dst ELSE src END AS peer FROM mine),
known AS (
  SELECT c.dst AS peer, COUNT(DISTINCT c.src) AS hosts
  FROM contacts AS c JOIN peers AS p ON p.peer = c.dst GROUP BY c.dst),
met AS (
  SELECT CASE WHEN src = $host THEN dst ELSE src END AS peer, MIN(first_ns) AS met_ns
  FROM contacts WHERE src = $host OR dst = $host GROUP BY 1),
web AS (
  SELECT h.txn_id, h.flow_id, COALESCE(epoch_ns(h.response_ts), epoch_ns(h.ts)) AS ts_ns, epoch_ns(h.end_ts) AS end_ns,
         h.method, h.uri, h.host, CAST(h.status AS INTEGER) AS status, h.content_type, h.response_bytes, h.body_sha256,
         h.body_kind, h.body_preview, h.response_packet_id, h.reason, h.src, h.dst, CAST(h.dport AS INTEGER) AS dport
  FROM http AS h
  WHERE h.src = $host AND (h.status IS NOT NULL OR h.body_sha256 IS NOT NULL)),
found AS (
  SELECT 'http' AS kind, w.ts_ns, w.end_ns, w.dst AS peer, w.dport, 6 AS proto, w.flow_id, w.txn_id,
         COALESCE(w.method, '?') || ' ' || COALESCE(w.uri, '?') AS request, w.status, w.body_kind, w.content_type,
         COALESCE(w.response_bytes, 0) AS size_bytes, w.body_sha256, w.body_preview, w.response_packet_id AS packet_id,
         w.host AS name, CAST(NULL AS VARCHAR) AS service, CAST(NULL AS INTEGER) AS evidence_id,
         FALSE AS estimated
  FROM web AS w
  UNION ALL
  SELECT CASE WHEN m.src = $host THEN 'flow' ELSE 'inbound' END, m.start_ns, m.end_ns,
         CASE WHEN m.src = $host THEN m.dst ELSE m.src END, m.dport, m.proto, m.flow_id, NULL, NULL, NULL, NULL, NULL,
         CASE WHEN m.src = $host THEN m.payload_dst ELSE m.payload_src END, NULL, NULL, m.last_packet_id, NULL, m.service,
         CAST(m.evidence_id AS INTEGER), m.estimated
  FROM mine AS m
  LEFT JOIN (SELECT DISTINCT flow_id FROM web) AS w ON w.flow_id = m.flow_id
  WHERE w.flow_id IS NULL AND CASE WHEN m.src = $host THEN m.payload_dst ELSE m.payload_src END > 0)
SELECT t.*, COALESCE(k.hosts, 1) AS peer_hosts, COALESCE(n.met_ns, t.ts_ns) AS met_ns
FROM found AS t
LEFT JOIN known AS k ON k.peer = t.peer
LEFT JOIN met AS n ON n.peer = t.peer
WHERE t.end_ns >= $from_ns AND t.ts_ns <= $to_ns
ORDER BY t.ts_ns DESC, t.flow_id DESC, t.txn_id DESC
LIMIT $max_rows
