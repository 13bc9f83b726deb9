-- id: outward_loads
-- version: 1
-- title: Pairs that send much and get little
-- question: To which destinations does a host send much more than it gets?
-- what: One row a source, destination, protocol and port: bytes, connections, days, the largest connections, and what the source sent in
--   all to how many places.
-- why: What outward_transfers weighs; of all pairs few are such.
-- look-alikes: Backups, mail, uploads, printing and logging.
-- parameter: min_bytes = 500000 (bytes) least sent
-- parameter: least_ratio = 3.0 (ratio) bytes sent for each byte received
-- divided: src
-- tables: flows
-- cannot: tell what was sent
-- source: bytes by pair and direction (producer-consumer ratio, Bullard and Gerth, FloCon 2014)
-- technique: none
WITH counted AS (
  SELECT flow_id, src, dst, CAST(proto AS INTEGER) AS proto, CASE WHEN proto IN (1, 58) THEN 0 ELSE CAST(dport AS INTEGER) END AS dport,
         service, epoch_ns(start) AS start_ns, epoch_ns("end") AS end_ns, LEAST(COALESCE(payload_src, bytes_src), bytes_src) AS sent,
         LEAST(COALESCE(payload_dst, bytes_dst), bytes_dst) AS got, first_packet_id
  FROM flows
  WHERE proto IN (1, 6, 17, 58) AND outcome IN ('answered', 'accepted', 'midstream', 'unanswered')),
pairs AS (
  SELECT src, dst, proto, dport, COUNT(*) AS flows, CAST(SUM(sent) AS BIGINT) AS sent, CAST(SUM(got) AS BIGINT) AS got,
         MIN(start_ns) AS first_ns, MAX(end_ns) AS last_ns, MAX(sent) AS largest
  FROM counted
  GROUP BY src, dst, proto, dport),
loads AS (
  SELECT * FROM pairs WHERE sent >= $min_bytes AND sent >= $least_ratio * (got + 1)),
-- Lists cannot be spilled: they are made of those pairs only that carried much.
listed AS (
  SELECT c.src, c.dst, c.proto, c.dport, MODE(c.service) AS service, COUNT(DISTINCT c.start_ns // 86400000000000) AS days,
         LIST(c.flow_id ORDER BY c.sent DESC, c.flow_id)[1:5] AS flow_ids,
         LIST(c.first_packet_id ORDER BY c.sent DESC, c.flow_id)[1:5] AS packet_ids
  FROM counted AS c
  JOIN loads AS l ON l.src = c.src AND l.dst = c.dst AND l.proto = c.proto AND l.dport = c.dport
  GROUP BY c.src, c.dst, c.proto, c.dport),
large AS (
  SELECT p.src, p.dst, p.proto, p.dport, p.flows, p.sent, p.got, d.service, p.first_ns, p.last_ns, d.days, p.largest, d.flow_ids,
         d.packet_ids
  FROM loads AS p
  JOIN listed AS d ON d.src = p.src AND d.dst = p.dst AND d.proto = p.proto AND d.dport = p.dport),
totals AS (
  SELECT p.src, CAST(SUM(p.sent) AS BIGINT) AS total_sent, COUNT(DISTINCT p.dst) AS places
  FROM pairs AS p JOIN (SELECT DISTINCT src FROM large) AS l ON l.src = p.src
  GROUP BY p.src)
SELECT l.*, t.total_sent, t.places
FROM large AS l
JOIN totals AS t ON t.src = l.src
ORDER BY l.sent DESC, l.src, l.dst, l.proto, l.dport
