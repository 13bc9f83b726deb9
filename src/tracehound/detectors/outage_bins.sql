-- id: outage_bins
-- version: 1
-- title: Times at which most hosts failed
-- question: When did most of the hosts that tried anything reach nothing?
-- what: Time is cut into bins; a bin is an outage when most of the hosts that tried anything in it reached nothing, although
--   hosts ordinarily do. One row an outage bin (its number since 1970).
-- why: A site outage makes every host fail on every new target.
-- look-alikes: Several scanners at once do not make an outage: the other hosts still reach their targets.
-- parameter: bin_ns = 300000000000 (ns) length of a bin
-- parameter: min_sources = 3 (hosts) fewest hosts that reach nothing in an outage
-- parameter: outage_share = 0.6 (share) of the hosts active in the bin
-- parameter: usual_share = 0.3 (share) hosts that reach nothing in an ordinary bin, at most, for outages to be told at all
-- tables: attempts
-- cannot: see an outage where fewer than three hosts are seen
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
  SELECT COALESCE(SUM(lost) * 1.0 / NULLIF(SUM(sources), 0), 1.0) AS share FROM bins)
SELECT b.bin FROM bins AS b CROSS JOIN usual AS u
WHERE b.lost >= $min_sources AND b.lost >= $outage_share * b.sources AND u.share <= $usual_share
ORDER BY b.bin
