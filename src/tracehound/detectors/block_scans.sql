-- id: block_scans
-- version: 1
-- title: Many ports on many targets
-- question: Which hosts try many services of many targets, too few of each to show alone?
-- what: Per source and protocol: distinct target and port pairs over unnamed targets, those that failed, ports, targets.
-- why: A scan that walks ports and addresses together touches each service on few targets and each target on few
--   services; the pairs show it.
-- look-alikes: Peer-to-peer clients have the same shape with nearly all ports above 1023 and some lively peers
--   (host_roles); a client of many dead services is rare.
-- parameter: min_pairs = 30 (pairs) fewest distinct target and port pairs for the rule failures
-- parameter: few_pairs = 8 (pairs) fewest pairs that are looked at, all of them dead (rule few)
-- parameter: min_ports = 3 (ports) fewest ports
-- parameter: min_targets = 3 (targets) fewest targets
-- parameter: fail_low = 0.5 (share) lower 95 % Wilson bound of pairs that failed
-- divided: src
-- tables: contacts
-- cannot: count UDP silence as failure
-- source: Snort 3 port_scan; bro-simple-scan (random scan)
-- technique: T1046
WITH groups AS (
  SELECT src, proto, COUNT(*) AS pairs, COUNT(DISTINCT dport) AS ports, COUNT(DISTINCT dst) AS targets,
         CAST(SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) AS DOUBLE) AS dead,
         CAST(SUM(CASE WHEN successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS reached,
         CAST(SUM(attempts) AS BIGINT) AS attempts, MIN(first_ns) AS first_ns, MAX(last_ns) AS last_ns,
         CAST(COUNT(*) AS DOUBLE) AS n
  FROM contacts
  WHERE NOT wanted AND proto IN (6, 17, 132)
  GROUP BY src, proto
  HAVING COUNT(*) >= $few_pairs AND COUNT(DISTINCT dport) >= $min_ports AND COUNT(DISTINCT dst) >= $min_targets),
bounded AS (
  SELECT *, dead / n AS fail_share,
         (dead / n + 1.9207294 / n - 1.959964 * SQRT(dead / n * (1 - dead / n) / n + 0.9603647 / (n * n)))
           / (1 + 3.8414588 / n) AS fail_lo
  FROM groups)
SELECT src, proto, CASE WHEN pairs >= $min_pairs AND fail_lo >= $fail_low THEN 'failures'
                         WHEN pairs < $min_pairs AND reached = 0 AND dead = pairs THEN 'few' END AS rule, pairs, ports, targets,
       CAST(dead AS BIGINT) AS dead, reached, attempts, first_ns, last_ns, fail_share, fail_lo
FROM bounded
ORDER BY pairs DESC, src, proto
