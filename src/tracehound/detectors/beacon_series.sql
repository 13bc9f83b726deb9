-- id: beacon_series
-- version: 1
-- title: Series of contacts at regular times
-- question: Which contacts of a host with one place follow each other at regular times?
-- what: One row a source, place, protocol and port with enough contacts whose distances in time spread little: their times,
--   distances, sizes and how they fared. A place is the name that requests (Host) or handshakes (SNI) carry, otherwise the address.
-- why: Of all contacts few are regular; what is asked about the others of a place (beacons) is asked about these only.
-- look-alikes: Whatever works by the clock.
-- parameter: min_beats = 10 (contacts) fewer tell nothing
-- parameter: same_beat_ns = 1000000000 (ns) contacts closer than this are one beat
-- parameter: least_gap_ns = 2000000000 (ns) a shorter usual distance is a busy conversation, not a beacon
-- parameter: max_spread = 1.2 (share) median absolute deviation of the distances, as a share of their median; where it is above
--   0.4, beats are missing, and a period that the others keep must be found
-- parameter: max_listed = 20000 (contacts) beats whose times are given
-- divided: src
-- tables: attempts
-- optional: http, tls
-- cannot: see beats inside one long connection
-- source: eligibility after RITA v5 (activecm/rita); methods of the field
-- technique: T1071
WITH named AS (
  SELECT flow_id, MIN(host) AS host, BOOL_AND(user_agent IS NULL) AS bare FROM http GROUP BY flow_id),
greeted AS (
  SELECT flow_id, MIN(lower(server_name)) AS server_name, BOOL_OR(COALESCE(self_signed, FALSE)) AS self_signed
  FROM tls GROUP BY flow_id),
contacted AS (
  SELECT a.src, COALESCE(n.host, g.server_name, a.dst) AS place, a.dst, a.proto, a.dport, a.service, a.start_ns, a.flow_id, a.class,
         a.outcome, a.payload_src, a.first_packet_id,
         COALESCE(n.bare, FALSE) AS bare, COALESCE(g.self_signed, FALSE) AS self_signed,
         g.flow_id IS NOT NULL AND g.server_name IS NULL AS nameless
  FROM attempts AS a
  LEFT JOIN named AS n ON n.flow_id = a.flow_id
  LEFT JOIN greeted AS g ON g.flow_id = a.flow_id
  WHERE a.proto IN (6, 17)
    AND a.dport NOT IN (53, 67, 68, 123, 137, 138, 161, 162, 514, 546, 547, 1900, 3702, 5351, 5353, 5355)),
busy AS (
  SELECT src, place, proto, dport FROM contacted GROUP BY src, place, proto, dport HAVING COUNT(*) >= $min_beats),
spaced AS (
  SELECT c.*, c.start_ns - LAG(c.start_ns) OVER (PARTITION BY c.src, c.place, c.proto, c.dport
                                                 ORDER BY c.start_ns, c.flow_id) AS before_ns
  FROM contacted AS c
  JOIN busy AS b ON b.src = c.src AND b.place = c.place AND b.proto = c.proto AND b.dport = c.dport),
beats AS (
  SELECT *, start_ns - LAG(start_ns) OVER (PARTITION BY src, place, proto, dport ORDER BY start_ns, flow_id) AS gap_ns
  FROM spaced
  WHERE before_ns IS NULL OR before_ns >= $same_beat_ns),
series AS (
  SELECT src, place, proto, dport, COUNT(*) AS beats, MIN(start_ns) AS first_ns, MAX(start_ns) AS last_ns,
         CAST(MEDIAN(gap_ns) AS DOUBLE) AS gap_median_ns, CAST(MAD(gap_ns) AS DOUBLE) AS gap_mad_ns,
         CAST(MEDIAN(payload_src) AS DOUBLE) AS size_median, CAST(MAD(payload_src) AS DOUBLE) AS size_mad,
         CAST(SUM(CASE WHEN class = 'failure' THEN 1 ELSE 0 END) AS BIGINT) AS failures,
         CAST(SUM(CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END) AS BIGINT) AS answered,
         COUNT(first_packet_id) AS captured, MODE(outcome) AS usual_outcome, MODE(service) AS service, MODE(dst) AS dst, COUNT(DISTINCT dst) AS addresses,
         CAST(SUM(CASE WHEN bare THEN 1 ELSE 0 END) AS BIGINT) AS bare,
         CAST(SUM(CASE WHEN self_signed THEN 1 ELSE 0 END) AS BIGINT) AS self_signed,
         CAST(SUM(CASE WHEN nameless THEN 1 ELSE 0 END) AS BIGINT) AS nameless,
         LIST(start_ns ORDER BY start_ns, flow_id)[1:$max_listed] AS times_ns,
         LIST(payload_src ORDER BY start_ns, flow_id)[1:$max_listed] AS sizes,
         LIST(flow_id ORDER BY start_ns, flow_id)[1:5] AS flow_ids,
         LIST(first_packet_id ORDER BY start_ns, flow_id)[1:5] AS packet_ids
  FROM beats
  GROUP BY src, place, proto, dport
  HAVING COUNT(*) >= $min_beats)
SELECT * FROM series
WHERE gap_median_ns >= $least_gap_ns AND gap_mad_ns <= $max_spread * gap_median_ns
ORDER BY beats DESC, src, place, proto, dport
