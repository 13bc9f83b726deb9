-- id: spreaders
-- version: 1
-- title: Hosts that try one service on many targets
-- question: Which hosts try one service on many unnamed targets, and since when?
-- what: Per source, protocol and port: distinct targets, those never reached, first and last moment, the usual size of a request.
-- why: Only such hosts can be parents and children of a spreading program (internal_spread).
-- look-alikes: Clients of many servers; alone it accuses nobody.
-- parameter: min_targets = 8 (targets) distinct targets of one service that make a spreader
-- divided: src
-- tables: contacts
-- cannot: tell why the targets were tried
-- source: Ellis, Aiken, Attwood, Tenaglia, A Behavioral Approach to Worm Detection, WORM 2004 (fan-out)
-- technique: none
SELECT src, proto, dport, COUNT(*) AS targets, CAST(SUM(CASE WHEN successes = 0 THEN 1 ELSE 0 END) AS BIGINT) AS dead,
       MIN(first_ns) AS onset_ns, MAX(last_ns) AS last_ns, CAST(MEDIAN(request_max) AS DOUBLE) AS request_median,
       MIN(first_flow_id) AS flow_id
FROM contacts
WHERE NOT wanted AND proto IN (6, 17)
  AND dport NOT IN (25, 53, 67, 68, 123, 137, 138, 465, 587, 853, 1900, 5353, 5355)
GROUP BY src, proto, dport
HAVING COUNT(*) >= $min_targets
ORDER BY src, proto, dport
