-- id: contacts
-- version: 1
-- title: Contacts
-- question: Which services of which targets did each host try, how often, and was the target looked up by name first?
-- what: One row a source, target, protocol and port: attempts by outcome, first and last moment, how the first contact
--   fared, whether a DNS answer had named the target before, and whether the target was wanted: named, or, where the host's
--   DNS is not in the evidence, answered a request of quite another size than the machine-made ones of that service.
--   `watched` says whether a lookup before the contact could have been seen: a capture saw the first contact, or DNS of the
--   same hour is in the evidence. Flow logs that reach beyond the capture beside them are not watched there.
-- why: Retries and revisits are not evidence of scanning; distinct targets are. A target that a name led to was
--   wanted by somebody; a scanner takes addresses, not names.
-- look-alikes: A host whose DNS is not in the evidence is judged by all DNS answers that are; where there is none at
--   all, no target counts as named. Where nobody watched, a name that led to the target at any time counts.
-- parameter: watch_ns = 3600000000000 (ns) a contact that no capture saw counts as watched if DNS is in the evidence in the same
--   stretch of this length, or the one before or after
-- parameter: alike = 3 (targets) fewest answering targets that were all sent one and the same size
-- parameter: steady_visits = 5 (attempts) visits that make a target's one size no chance
-- parameter: alike_share = 0.15 (share) or this share of the reached targets was sent that size
-- parameter: dead_targets = 10 (targets) fewest dead targets of a service for its answered requests to be told apart by size
-- divided: src
-- tables: attempts
-- optional: dns
-- cannot: see names that were resolved before the evidence begins, by DNS over HTTPS, or out of sight of the capture
-- source: methods of the field: whole-evidence first contacts, Schechter, Jung, Berger, RAID 2004
-- technique: none
WITH looked_up AS (
  SELECT src, unnest(answers) AS address, epoch_ns(COALESCE(response_ts, ts)) AS named_ns
  FROM dns
  WHERE rcode = 'NOERROR' AND answers IS NOT NULL),
own_names AS (
  SELECT src, address, MIN(named_ns) AS named_ns FROM looked_up GROUP BY src, address),
any_names AS (
  SELECT address, MIN(named_ns) AS named_ns FROM looked_up GROUP BY address),
askers AS (
  SELECT src, COUNT(*) AS lookups FROM looked_up GROUP BY src),
watch AS (
  SELECT DISTINCT epoch_ns(ts) // $watch_ns + unnest([-1, 0, 1]) AS stretch FROM dns),
pairs AS (
  SELECT src, dst, proto, dport, COUNT(*) AS attempts,
         CAST(SUM(CASE WHEN class = 'failure' THEN 1 ELSE 0 END) AS BIGINT) AS failures,
         CAST(SUM(CASE WHEN class = 'success' THEN 1 ELSE 0 END) AS BIGINT) AS successes,
         CAST(SUM(CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END) AS BIGINT) AS answered,
         CAST(SUM(CASE WHEN outcome = 'unreachable' THEN 1 ELSE 0 END) AS BIGINT) AS unreachable,
         MIN(start_ns) AS first_ns, MAX(start_ns) AS last_ns, ARG_MIN(said, moment) AS first_said,
         MIN(CASE WHEN class = 'success' OR proto <> 6 THEN payload_src END) AS request_min,
         MAX(CASE WHEN class = 'success' OR proto <> 6 THEN payload_src END) AS request_max,
         CAST(SUM(payload_src) AS BIGINT) AS payload_src, CAST(SUM(payload_dst) AS BIGINT) AS payload_dst,
         MIN(sport) AS sport_min, MAX(sport) AS sport_max, MAX(syn_options) AS options_max
  -- Numbers of flows follow time within one source only: a moment is a time, and of equal ones the lower number.
  -- What the first contact said is one number: its flow, how it fared, whether a capture saw it.
  FROM (SELECT *, CAST(start_ns AS HUGEINT) * 1152921504606846976 + flow_id AS moment,
               flow_id * 8 + CASE class WHEN 'failure' THEN 0 WHEN 'success' THEN 2 ELSE 4 END
               + CASE WHEN first_packet_id IS NULL THEN 0 ELSE 1 END AS said
        FROM attempts) AS told
  GROUP BY src, dst, proto, dport),
firsts AS (
  SELECT * EXCLUDE (first_said), first_said // 8 AS first_flow_id,
         CASE first_said % 8 // 2 WHEN 0 THEN 'failure' WHEN 1 THEN 'success' ELSE 'neutral' END AS first_class,
         first_said % 2 = 1 AS captured
  FROM pairs),
sizes AS (
  SELECT src, proto, dport, request_min AS size, COUNT(*) AS targets, CAST(SUM(attempts) AS BIGINT) AS attempts,
         CAST(SUM(CASE WHEN attempts >= $steady_visits THEN 1 ELSE 0 END) AS BIGINT) AS steady
  FROM pairs
  WHERE proto = 6 AND answered > 0 AND request_min = request_max AND request_min > 0
  GROUP BY src, proto, dport, request_min
  HAVING COUNT(*) >= $alike),
fates AS (
  SELECT src, proto, dport, SUM(CASE WHEN successes > 0 THEN 1 ELSE 0 END) AS reached,
         SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) AS dead
  FROM pairs
  WHERE proto = 6
  GROUP BY src, proto, dport
  HAVING SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) >= $dead_targets),
usual AS (
  SELECT s.src, s.proto, s.dport, ARG_MAX(s.size, s.attempts * 100000 - s.size) AS size
  FROM sizes AS s JOIN fates AS f ON f.src = s.src AND f.proto = s.proto AND f.dport = s.dport
  WHERE s.steady >= $alike OR s.targets >= $alike_share * f.reached
  GROUP BY s.src, s.proto, s.dport),
placed AS (
  SELECT p.* EXCLUDE (captured), p.captured OR w.stretch IS NOT NULL AS watched,
         a.lookups IS NOT NULL AND (p.captured OR w.stretch IS NOT NULL) AS asks_dns,
         CASE WHEN NOT p.captured AND w.stretch IS NULL THEN n.address IS NOT NULL
              WHEN a.lookups IS NULL THEN COALESCE(n.named_ns <= p.first_ns, FALSE)
              ELSE COALESCE(o.named_ns <= p.first_ns, FALSE) END AS named
  FROM firsts AS p
  LEFT JOIN watch AS w ON w.stretch = p.first_ns // $watch_ns
  LEFT JOIN askers AS a ON a.src = p.src
  LEFT JOIN own_names AS o ON o.src = p.src AND o.address = p.dst
  LEFT JOIN any_names AS n ON n.address = p.dst)
SELECT p.*,
       CASE WHEN strpos(p.dst, ':') > 0
            THEN split_part(p.dst, ':', 1) || ':' || split_part(p.dst, ':', 2) || ':' || split_part(p.dst, ':', 3)
            ELSE split_part(p.dst, '.', 1) || '.' || split_part(p.dst, '.', 2) END AS net,
       CASE WHEN strpos(p.dst, ':') > 0
            THEN split_part(p.dst, ':', 1) || ':' || split_part(p.dst, ':', 2) || ':' || split_part(p.dst, ':', 3)
                 || ':' || split_part(p.dst, ':', 4)
            ELSE split_part(p.dst, '.', 1) || '.' || split_part(p.dst, '.', 2) || '.' || split_part(p.dst, '.', 3)
            END AS subnet,
       p.named OR (NOT p.asks_dns AND COALESCE(p.answered > 0 AND (p.request_max < u.size - 16 OR p.request_min > u.size + 16), FALSE))
         AS wanted
FROM placed AS p
LEFT JOIN usual AS u ON u.src = p.src AND u.proto = p.proto AND u.dport = p.dport
ORDER BY p.first_ns, p.first_flow_id
