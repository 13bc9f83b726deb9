-- id: outages
-- version: 1
-- title: Failures during an outage
-- question: Which targets of a host failed only while most hosts failed?
-- what: Time is cut into bins; a bin is an outage when most of the hosts that tried anything in it reached nothing, although
--   hosts ordinarily do. Per source, protocol and port: targets that were never reached and all of whose attempts fall into
--   outages.
-- why: A site outage makes every host fail on every new target, and a sequential test would accuse them all.
-- look-alikes: Several scanners at once do not make an outage: the other hosts still reach their targets.
-- parameter: bin_ns = 300000000000 (ns) length of a bin
-- parameter: min_sources = 3 (hosts) fewest hosts that reach nothing in an outage
-- parameter: outage_share = 0.6 (share) of the hosts active in the bin
-- parameter: usual_share = 0.3 (share) hosts that reach nothing in an ordinary bin, at most, for outages to be told at all
-- tables: attempts, contacts
-- cannot: see an outage that began before and ended after the evidence, or where fewer than three hosts are seen
-- source: freezing of scores for a destination network, after the failure modes of TRW
-- technique: none
WITH binned AS (
  SELECT CAST(FLOOR(start_ns / $bin_ns) AS BIGINT) AS bin, src,
         SUM(CASE WHEN class = 'success' THEN 1 ELSE 0 END) AS good, SUM(CASE WHEN class = 'failure' THEN 1 ELSE 0 END) AS bad
  FROM attempts WHERE class <> 'neutral'
  GROUP BY 1, 2),
bins AS (
  SELECT bin, COUNT(*) AS sources, SUM(CASE WHEN good = 0 AND bad >= 1 THEN 1 ELSE 0 END) AS lost
  FROM binned GROUP BY bin),
usual AS (
  SELECT COALESCE(SUM(lost) * 1.0 / NULLIF(SUM(sources), 0), 1.0) AS share FROM bins),
outage AS (
  SELECT b.bin FROM bins AS b CROSS JOIN usual AS u
  WHERE b.lost >= $min_sources AND b.lost >= $outage_share * b.sources AND u.share <= $usual_share),
tried AS (
  SELECT a.src, a.proto, a.dport, a.dst, COUNT(*) AS attempts, COUNT(o.bin) AS inside
  FROM attempts AS a
  JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
  LEFT JOIN outage AS o ON o.bin = CAST(FLOOR(a.start_ns / $bin_ns) AS BIGINT)
  WHERE NOT c.wanted AND c.successes = 0 AND EXISTS (SELECT 1 FROM outage)
  GROUP BY a.src, a.proto, a.dport, a.dst)
SELECT src, proto, dport, COUNT(*) AS excused
FROM tried WHERE inside = attempts
GROUP BY src, proto, dport
ORDER BY src, proto, dport
