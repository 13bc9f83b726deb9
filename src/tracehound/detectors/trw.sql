-- id: trw
-- version: 1
-- title: Sequential hypothesis test over first contacts
-- question: Does the order in which a host's first contacts fail and succeed fit a scanner?
-- what: Threshold Random Walk per source, protocol and port over unnamed first contacts: a failure and a success move the
--   walk by the logarithm of their likelihood ratio; whichever of two barriers is crossed first decides. The same walk
--   reflected at zero (TRW-CB's reverse test, a CUSUM) finds the moment a host that was good turned bad, and the first
--   contact after its last zero is the onset.
-- why: Four failures in a row decide, at any speed: the test counts contacts, not contacts per second.
-- look-alikes: A single outage makes everybody fail, peer-to-peer clients and dead mail exchangers fail often: the verdict
--   of the walk alone accuses nobody (see probing_hosts).
-- parameter: theta0 = 0.8 (probability) an innocent host's first contact succeeds
-- parameter: theta1 = 0.2 (probability) a scanner's first contact succeeds
-- parameter: pd = 0.99 (probability) wanted detection rate
-- parameter: pf = 0.01 (probability) accepted false alarm rate
-- parameter: min_contacts = 4 (first contacts) fewest first contacts of a group that is looked at
-- parameter: hosts = all (addresses) sources to look at, as text with a comma before and after each, or all
-- divided: src
-- tables: contacts
-- cannot: use UDP silence, which is neither success nor failure
-- source: Jung, Paxson, Berger, Balakrishnan, Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P 2004;
--   Schechter, Jung, Berger, Fast Detection of Scanning Worm Infections, RAID 2004 (theta0 .7, theta1 .1, pf 5e-5)
-- technique: T1046
WITH eligible AS (
  SELECT src, proto, dport FROM contacts
  WHERE NOT wanted AND first_class <> 'neutral' AND ($hosts = 'all' OR strpos($hosts, ',' || src || ',') > 0)
  GROUP BY src, proto, dport HAVING COUNT(*) >= $min_contacts),
steps AS (
  SELECT c.src, c.proto, c.dport, c.dst, c.first_ns, c.first_flow_id,
         CASE WHEN c.first_class = 'failure' THEN LN((1 - $theta1) / (1 - $theta0)) ELSE LN($theta1 / $theta0) END AS x
  FROM contacts AS c
  JOIN eligible AS e ON e.src = c.src AND e.proto = c.proto AND e.dport = c.dport
  WHERE NOT c.wanted AND c.first_class <> 'neutral'),
walk AS (
  SELECT *,
         SUM(x) OVER (PARTITION BY src, proto, dport ORDER BY first_ns, first_flow_id, dst
                      ROWS UNBOUNDED PRECEDING) AS s,
         ROW_NUMBER() OVER (PARTITION BY src, proto, dport ORDER BY first_ns, first_flow_id, dst) AS n
  FROM steps),
reflected AS (
  SELECT *, s - LEAST(0.0, MIN(s) OVER (PARTITION BY src, proto, dport ORDER BY n ROWS UNBOUNDED PRECEDING)) AS cusum
  FROM walk),
onsets AS (
  SELECT *,
         COALESCE(MAX(CASE WHEN cusum < 1e-9 THEN n END)
                    OVER (PARTITION BY src, proto, dport ORDER BY n ROWS UNBOUNDED PRECEDING), 0) + 1 AS onset
  FROM reflected),
decided AS (
  SELECT src, proto, dport, COUNT(*) AS contacts,
         MIN(CASE WHEN s >= LN($pd / $pf) - 1e-9 THEN n END) AS scanner_at,
         MIN(CASE WHEN s <= LN((1 - $pd) / (1 - $pf)) + 1e-9 THEN n END) AS benign_at,
         MIN(CASE WHEN cusum >= LN($pd / $pf) - 1e-9 THEN n END) AS alarm_at,
         MAX(cusum) AS cusum_max
  FROM onsets GROUP BY src, proto, dport)
SELECT d.src, d.proto, d.dport,
       CASE WHEN d.scanner_at IS NOT NULL AND (d.benign_at IS NULL OR d.scanner_at < d.benign_at) THEN 'scanner'
            WHEN d.benign_at IS NOT NULL THEN 'benign' ELSE 'pending' END AS verdict,
       d.scanner_at, d.benign_at, d.alarm_at, o.first_ns AS alarm_ns, o.onset AS onset_at, d.cusum_max, d.contacts
FROM decided AS d
LEFT JOIN onsets AS o ON o.src = d.src AND o.proto = d.proto AND o.dport = d.dport AND o.n = d.alarm_at
ORDER BY d.src, d.proto, d.dport
