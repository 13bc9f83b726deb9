-- id: dropped_handshakes
-- version: 1
-- title: Connections opened and reset without a byte
-- question: Which hosts only look whether a port is open?
-- what: Hosts nearly all of whose TCP attempts are opened, then reset by the host itself before either side has said anything,
--   on several services, each at most a few times.
-- why: A connect scan learns from the handshake alone; an ordinary client opens a connection to say something.
-- look-alikes: A health check does the same, but to one service again and again; browsers drop spare connections, beside others
--   that they use
-- parameter: host = all (address) only this host
-- parameter: min_share = 0.9 (share) of the host's answered attempts that are dropped
-- parameter: min_pairs = 2 (pairs) distinct targets and ports that were dropped
-- parameter: max_visits = 3 (attempts) attempts on one target and port on average
-- divided: src
-- tables: flows
-- cannot: see half-open scans, which never finish the handshake
-- source: Nmap reference guide, TCP connect scan
-- technique: T1046
WITH opened AS (
  SELECT src, dst, dport,
         outcome = 'accepted' AND COALESCE(payload_src, 0) = 0 AND COALESCE(payload_dst, 0) = 0
           AND (COALESCE(tcp_flags_src, 0) & 4) > 0 AS dropped
  FROM flows
  WHERE proto = 6 AND outcome IN ('accepted', 'answered'))
SELECT src, COUNT(*) AS attempts, CAST(SUM(CASE WHEN dropped THEN 1 ELSE 0 END) AS BIGINT) AS dropped,
       COUNT(DISTINCT CASE WHEN dropped THEN dst || ' ' || CAST(dport AS VARCHAR) END) AS pairs,
       AVG(CASE WHEN dropped THEN 1.0 ELSE 0.0 END) AS share
FROM opened
WHERE $host = 'all' OR src = $host
GROUP BY src
HAVING AVG(CASE WHEN dropped THEN 1.0 ELSE 0.0 END) >= $min_share
   AND COUNT(DISTINCT CASE WHEN dropped THEN dst || ' ' || CAST(dport AS VARCHAR) END) >= $min_pairs
   AND COUNT(*) <= $max_visits * COUNT(DISTINCT dst || ' ' || CAST(dport AS VARCHAR))
ORDER BY pairs DESC, src
