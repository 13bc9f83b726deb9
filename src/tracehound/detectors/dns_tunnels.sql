-- id: dns_tunnels
-- version: 2
-- title: Names that carry data
-- question: Does a host carry data out, or fetch orders, in DNS names?
-- what: One row a source and zone (the registered name: the last two labels, three under a two-letter suffix such as co.uk; where
--   the last label can be no top-level domain, as when dnscat2 asks its server directly, the first label, written dnscat.*) with
--   many different names under it: how many, how long, the bytes that the names carry up and the answers carry down, types
--   asked for, how answers look, and some of the names.
-- why: DNS passes nearly every firewall. A tunnel must put what it sends into names, so it needs ever new, long ones under one zone.
-- look-alikes: Anti-virus and reputation services ask for hashes and get 127.x.y.z or nothing; block lists ask for addresses
--   written backwards; content networks use long names, but few and again and again; reverse lookups have 32 labels in IPv6;
--   browsers try names that do not exist; a resolver repeats what its clients ask. findings/dns_tunnels.py tells them apart.
-- parameter: min_names = 25 (names) fewest distinct names under one zone
-- parameter: min_length = 12 (characters) shortest mean length of what stands before the zone
-- parameter: samples = 200 (names) names that are given
-- tables: dns
-- cannot: see DNS over HTTPS or TLS; tell a tunnel that takes days for every name
-- source: iodine and dnscat2 manuals (encodings, types); Paxson et al., Practical Comprehensive Bounds on Surreptitious
--   Communication over DNS, USENIX Security 2013 (bytes by zone and day); Born, Gustafson, 2010 (character frequencies)
-- seen: iodine, and dnscat2 with a zone and without, in dns-tunnel-iodine.pcap, bad-dns-traffic.pcap and dns_exfiltration.pcap of the
--   tests of nDPI 4.2
-- technique: T1071.004
WITH asked AS (
  SELECT txn_id, epoch_ns(ts) AS ts_ns, src, dst, lower(query) AS query, qtype, rcode, query_packet_id, flow_id,
         array_to_string(answers, ' ') AS answer, array_to_string(answer_types, ' ') AS kinds,
         string_split(lower(query), '.') AS labels
  FROM dns
  WHERE query IS NOT NULL AND strpos(query, '.') > 0 AND dport NOT IN (5353, 5355, 137) AND opcode = 0
    AND NOT regexp_matches(lower(query), '[.](arpa|local|localdomain|lan|internal|home|corp)$')),
-- RFC 1123 2.1, RFC 5890: a top-level domain is letters only, or an encoded name of another script.
zoned AS (
  SELECT *, NOT regexp_matches(labels[-1], '^([a-z]{2,24}|xn--[a-z0-9-]{1,59})$') AS rootless,
         CASE WHEN NOT regexp_matches(labels[-1], '^([a-z]{2,24}|xn--[a-z0-9-]{1,59})$') THEN labels[1] || '.*'
              WHEN len(labels) > 2 AND length(labels[-1]) = 2
                   AND labels[-2] IN ('co', 'com', 'net', 'org', 'ac', 'gov', 'gob', 'edu', 'or', 'ne', 'go', 'mil', 'gen', 'nom')
              THEN labels[-3] || '.' || labels[-2] || '.' || labels[-1]
              ELSE labels[-2] || '.' || labels[-1] END AS zone
  FROM asked),
parts AS (
  SELECT *, CASE WHEN rootless THEN substr(query, length(labels[1]) + 2)
                 WHEN length(query) > length(zone) + 1 THEN substr(query, 1, length(query) - length(zone) - 1) ELSE '' END AS sub
  FROM zoned),
users AS (
  SELECT zone, COUNT(DISTINCT src) AS users FROM parts GROUP BY zone)
SELECT p.src, p.zone, COUNT(*) AS queries, COUNT(DISTINCT p.sub) AS names, MIN(p.ts_ns) AS first_ns, MAX(p.ts_ns) AS last_ns,
       CAST(AVG(length(p.sub)) AS DOUBLE) AS length_mean, MAX(length(p.sub)) AS length_max,
       CAST(SUM(length(p.sub)) AS BIGINT) AS up_bytes, CAST(COALESCE(SUM(length(p.answer)), 0) AS BIGINT) AS down_bytes,
       CAST(SUM(CASE WHEN p.qtype IN ('TXT', 'NULL', 'CNAME', 'MX', 'SRV', 'KEY', 'DNSKEY') OR p.qtype LIKE 'TYPE%' THEN 1 ELSE 0 END) AS BIGINT)
         AS carriers,
       CAST(SUM(CASE WHEN p.qtype = 'NULL' OR p.qtype LIKE 'TYPE%' THEN 1 ELSE 0 END) AS BIGINT) AS rare_types,
       CAST(SUM(CASE WHEN p.rcode = 'NXDOMAIN' THEN 1 ELSE 0 END) AS BIGINT) AS nxdomain,
       CAST(SUM(CASE WHEN p.rcode IS NOT NULL THEN 1 ELSE 0 END) AS BIGINT) AS replies,
       CAST(SUM(CASE WHEN p.answer LIKE '127.%' THEN 1 ELSE 0 END) AS BIGINT) AS listed,
       CAST(SUM(CASE WHEN regexp_matches(p.sub, '^[0-9]{1,3}([.][0-9]{1,3}){3}$|^([0-9a-f][.]){20,}[0-9a-f]$') THEN 1 ELSE 0 END) AS BIGINT)
         AS backward,
       MODE(p.qtype) AS qtype, MODE(p.dst) AS server, MAX(u.users) AS users,
       LIST(p.sub ORDER BY p.ts_ns, p.txn_id)[1:$samples] AS subs,
       LIST(p.flow_id ORDER BY p.ts_ns, p.txn_id)[1:5] AS flow_ids,
       LIST(p.query_packet_id ORDER BY p.ts_ns, p.txn_id)[1:5] AS packet_ids
FROM parts AS p
JOIN users AS u ON u.zone = p.zone
GROUP BY p.src, p.zone
HAVING COUNT(DISTINCT p.sub) >= $min_names AND AVG(length(p.sub)) >= $min_length
ORDER BY names DESC, p.src, p.zone
