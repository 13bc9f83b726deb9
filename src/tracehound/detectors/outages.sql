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
-- divided: src
-- tables: attempts, contacts, outage_bins
-- cannot: see an outage that began before and ended after the evidence, or where fewer than three hosts are seen
-- source: freezing of scores for a destination network, after the failure modes of TRW
-- technique: none
WITH tried AS (
  SELECT a.src, a.proto, a.dport, a.dst, COUNT(*) AS attempts, COUNT(o.bin) AS inside
  FROM attempts AS a
  JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
  LEFT JOIN outage_bins AS o ON o.bin = CAST(FLOOR(a.start_ns / $bin_ns) AS BIGINT)
  WHERE NOT c.wanted AND c.successes = 0 AND EXISTS (SELECT 1 FROM outage_bins)
  GROUP BY a.src, a.proto, a.dport, a.dst)
SELECT src, proto, dport, COUNT(*) AS excused
FROM tried WHERE inside = attempts
GROUP BY src, proto, dport
ORDER BY src, proto, dport
