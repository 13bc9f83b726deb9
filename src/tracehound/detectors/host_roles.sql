-- id: host_roles
-- version: 1
-- title: What a host is for
-- question: Is a host that contacts many others a peer-to-peer client, resolver, mail server, crawler or monitor?
-- what: Per host: outbound pairs, ports above 1023 and how lively they are, inbound clients and on which ports, lookups,
--   mail and name service, revisits and successes.
-- why: Look-alikes have the numbers of a scanner and an honest trade; each trade leaves signs that scanning does not.
-- look-alikes: A host can have an honest trade and probe beside it: a role explains only the services that belong to it.
-- tables: host_outbound, contacts
-- cannot: tell a peer-to-peer client from a random block scan when no peer ever answers
-- source: features after Karagiannis, Papagiannaki, Faloutsos, BLINC, SIGCOMM 2005
-- technique: none
WITH inbound AS (
  SELECT c.dst AS src, COUNT(DISTINCT c.src) AS clients,
         COUNT(DISTINCT CASE WHEN c.proto IN (6, 17) AND c.dport = 53 THEN c.src END) AS dns_clients,
         COUNT(DISTINCT CASE WHEN c.proto = 6 AND c.dport IN (25, 465, 587) THEN c.src END) AS mail_clients,
         COUNT(DISTINCT CASE WHEN c.dport > 1023 THEN c.src END) AS high_clients
  FROM contacts AS c
  JOIN host_outbound AS o ON o.src = c.dst
  WHERE c.answered > 0
  GROUP BY c.dst)
SELECT o.*, COALESCE(i.clients, 0) AS clients, COALESCE(i.dns_clients, 0) AS dns_clients,
       COALESCE(i.mail_clients, 0) AS mail_clients, COALESCE(i.high_clients, 0) AS high_clients,
       CASE WHEN o.high_ports >= 15 AND o.high_pairs <= 8 * o.high_ports
             AND (o.high_talks + COALESCE(i.high_clients, 0) >= 3 OR o.high_answered >= 0.1 * o.high_pairs)
            THEN 1 ELSE 0 END AS peer_to_peer
FROM host_outbound AS o
LEFT JOIN inbound AS i ON i.src = o.src
ORDER BY o.targets DESC, o.src
