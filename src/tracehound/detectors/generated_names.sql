-- id: generated_names
-- version: 1
-- title: Names that do not exist, by the dozen
-- question: Does a host try names that a program makes up?
-- what: One row a source: how many different registered names it asked for that do not exist, how many that do, under how many
--   suffixes, and the made part of those that do not exist.
-- why: Malware finds its master by names that it computes from the date; of hundreds that it tries only a few are registered, the
--   others get NXDOMAIN.
-- look-alikes: Mail servers look up senders that were made up; resolvers repeat what their clients ask; browsers try single words
--   of random letters; a search suffix that is no longer there makes every name fail, all under one zone; crawlers meet dead links.
--   The names of people are pronounceable: findings/generated_names.py looks at the letters.
-- parameter: min_missing = 10 (names) fewest registered names that do not exist
-- parameter: samples = 1000 (names) names that are given
-- tables: dns
-- cannot: see lookups over HTTPS or TLS; tell words of a dictionary put together by a program from words put together by people
-- source: Antonakakis et al., From Throw-Away Traffic to Bots: Detecting the Rise of DGA-Based Malware, USENIX Security 2012;
--   Schiavoni et al., Phoenix, DIMVA 2014 (linguistic features)
-- technique: T1568.002
WITH asked AS (
  SELECT txn_id, epoch_ns(ts) AS ts_ns, src, dst, lower(query) AS query, rcode, query_packet_id, flow_id,
         string_split(lower(query), '.') AS labels
  FROM dns
  WHERE query IS NOT NULL AND strpos(query, '.') > 0 AND dport NOT IN (5353, 5355, 137) AND opcode = 0
    AND rcode IN ('NOERROR', 'NXDOMAIN') AND qtype IN ('A', 'AAAA', 'HTTPS')
    AND NOT regexp_matches(lower(query), '[.](arpa|local|localdomain|lan|internal|home|corp)$')),
zoned AS (
  SELECT src, dst, ts_ns, txn_id, rcode, flow_id, query_packet_id, query,
         CASE WHEN len(labels) > 2 AND length(labels[-1]) = 2
                   AND labels[-2] IN ('co', 'com', 'net', 'org', 'ac', 'gov', 'gob', 'edu', 'or', 'ne', 'go', 'mil', 'gen', 'nom')
              THEN labels[-3] ELSE labels[-2] END AS made,
         labels[-1] AS suffix, len(labels) AS depth
  FROM asked),
each AS (
  SELECT src, made, suffix, MIN(ts_ns) AS first_ns, MIN(txn_id) AS txn_id,
         MAX(CASE WHEN rcode = 'NOERROR' THEN 1 ELSE 0 END) AS there, MIN(flow_id) AS flow_id, MIN(query_packet_id) AS packet_id,
         MODE(dst) AS server, MAX(depth) AS depth
  FROM zoned GROUP BY src, made, suffix)
SELECT src, COUNT(*) AS zones, CAST(SUM(1 - there) AS BIGINT) AS missing,
       COUNT(DISTINCT CASE WHEN there = 0 THEN suffix END) AS suffixes,
       MIN(CASE WHEN there = 0 THEN first_ns END) AS first_ns, MAX(CASE WHEN there = 0 THEN first_ns END) AS last_ns,
       MODE(server) AS server,
       LIST(CASE WHEN there = 0 THEN made || '.' || suffix END ORDER BY there, first_ns, txn_id)[1:$samples] AS names,
       LIST(CASE WHEN there = 1 THEN made || '.' || suffix END ORDER BY there DESC, first_ns, txn_id)[1:$samples] AS found,
       LIST(flow_id ORDER BY there, first_ns, txn_id)[1:5] AS flow_ids,
       LIST(packet_id ORDER BY there, first_ns, txn_id)[1:5] AS packet_ids
FROM each
GROUP BY src
HAVING SUM(1 - there) >= $min_missing
ORDER BY missing DESC, src
