-- id: host_roles
-- version: 1
-- title: What a host is for
-- question: Is a host that contacts many others a peer-to-peer client, resolver, mail server, crawler or monitor?
-- what: Per host: outbound pairs, ports above 1023 and how lively they are, inbound clients and on which ports, lookups,
--   mail and name service, revisits and successes.
-- why: Look-alikes have the numbers of a scanner and an honest trade; each trade leaves signs that scanning does not.
-- look-alikes: A host can have an honest trade and probe beside it: a role explains only the services that belong to it.
-- parameter: min_targets = 10 (targets) hosts with fewer distinct targets are not looked at
-- tables: contacts
-- cannot: tell a peer-to-peer client from a random block scan when no peer ever answers
-- source: features after Karagiannis, Papagiannaki, Faloutsos, BLINC, SIGCOMM 2005
-- technique: none
WITH outbound AS (
  SELECT src, COUNT(*) AS pairs, COUNT(DISTINCT dst) AS targets, COUNT(DISTINCT net) AS nets,
         COUNT(DISTINCT CASE WHEN dport > 1023 AND proto IN (6, 17) THEN dport END) AS high_ports,
         CAST(SUM(CASE WHEN dport > 1023 AND proto IN (6, 17) THEN 1 ELSE 0 END) AS BIGINT) AS high_pairs,
         CAST(SUM(CASE WHEN dport > 1023 AND proto IN (6, 17) AND answered > 0 THEN 1 ELSE 0 END) AS BIGINT)
           AS high_answered,
         CAST(SUM(CASE WHEN dport > 1023 AND proto = 6 AND answered > 0 AND payload_src > 0 AND payload_dst > 0
                       THEN 1 ELSE 0 END) AS BIGINT) AS high_talks,
         CAST(SUM(CASE WHEN successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS reached,
         CAST(SUM(CASE WHEN named THEN 1 ELSE 0 END) AS BIGINT) AS named,
         CAST(SUM(CASE WHEN proto IN (6, 17) AND dport = 53 THEN 1 ELSE 0 END) AS BIGINT) AS dns_pairs,
         CAST(SUM(CASE WHEN proto IN (6, 17) AND dport = 53 AND successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS dns_reached,
         CAST(SUM(CASE WHEN proto = 6 AND dport IN (25, 465, 587) THEN 1 ELSE 0 END) AS BIGINT) AS mail_pairs,
         CAST(SUM(CASE WHEN proto = 6 AND dport IN (25, 465, 587) AND answered > 0 THEN 1 ELSE 0 END) AS BIGINT)
           AS mail_answered,
         CAST(SUM(CASE WHEN proto = 6 AND dport IN (80, 443, 8080) THEN 1 ELSE 0 END) AS BIGINT) AS web_pairs,
         CAST(SUM(CASE WHEN proto = 6 AND dport IN (80, 443, 8080) AND answered > 0 THEN 1 ELSE 0 END) AS BIGINT)
           AS web_answered,
         CAST(SUM(attempts) AS BIGINT) AS attempts, CAST(SUM(successes) AS BIGINT) AS successes,
         CAST(SUM(failures) AS BIGINT) AS failures,
         CAST(MEDIAN(attempts) AS DOUBLE) AS visits_median,
         CAST(SUM(CASE WHEN successes > 0 AND failures > 0 THEN 1 ELSE 0 END) AS BIGINT) AS sometimes,
         CAST(SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) AS BIGINT) AS dead,
         CAST(SUM(payload_src) AS BIGINT) AS sent, CAST(SUM(payload_dst) AS BIGINT) AS received,
         MIN(first_ns) AS first_ns, MAX(last_ns) AS last_ns
  FROM contacts GROUP BY src HAVING COUNT(DISTINCT dst) >= $min_targets OR SUM(failures) >= $min_targets),
inbound AS (
  SELECT c.dst AS src, COUNT(DISTINCT c.src) AS clients,
         COUNT(DISTINCT CASE WHEN c.proto IN (6, 17) AND c.dport = 53 THEN c.src END) AS dns_clients,
         COUNT(DISTINCT CASE WHEN c.proto = 6 AND c.dport IN (25, 465, 587) THEN c.src END) AS mail_clients,
         COUNT(DISTINCT CASE WHEN c.dport > 1023 THEN c.src END) AS high_clients
  FROM contacts AS c
  JOIN outbound AS o ON o.src = c.dst
  WHERE c.answered > 0
  GROUP BY c.dst)
SELECT o.*, COALESCE(i.clients, 0) AS clients, COALESCE(i.dns_clients, 0) AS dns_clients,
       COALESCE(i.mail_clients, 0) AS mail_clients, COALESCE(i.high_clients, 0) AS high_clients,
       CASE WHEN o.high_ports >= 15 AND o.high_pairs <= 8 * o.high_ports
             AND (o.high_talks + COALESCE(i.high_clients, 0) >= 3 OR o.high_answered >= 0.1 * o.high_pairs)
            THEN 1 ELSE 0 END AS peer_to_peer
FROM outbound AS o
LEFT JOIN inbound AS i ON i.src = o.src
ORDER BY o.targets DESC, o.src
