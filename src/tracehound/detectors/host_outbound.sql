-- id: host_outbound
-- version: 1
-- title: What a host contacts
-- question: How many targets does a host contact, on which ports, and how do these contacts fare?
-- what: Per source: outbound pairs, ports above 1023 and how lively they are, lookups, mail and web, revisits and successes.
-- why: The half of a host's role (host_roles) that its own contacts show.
-- look-alikes: The same numbers belong to scanners and to honest trades; host_roles weighs them with what comes in.
-- parameter: min_targets = 10 (targets) hosts with fewer distinct targets are not looked at
-- divided: src
-- tables: contacts
-- cannot: see who contacts the host
-- source: features after Karagiannis, Papagiannaki, Faloutsos, BLINC, SIGCOMM 2005
-- technique: none
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
FROM contacts GROUP BY src HAVING COUNT(DISTINCT dst) >= $min_targets OR SUM(failures) >= $min_targets
ORDER BY targets DESC, src
