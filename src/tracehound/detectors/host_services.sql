-- id: host_services
-- version: 2
-- title: Services that hosts had to do with
-- question: Which services did each host use or offer?
-- what: Distinct protocols and ports of the attempts that a host made or received, with the number of peers.
-- why: Profiles know companions of a probed port, such as a download service of their own.
-- look-alikes: Every host uses many services
-- parameter: hosts = none (addresses) the hosts, with a comma between them
-- parameter: max_rows = 2000 (rows) services returned a host
-- tables: contacts
-- cannot: see services that nobody used in the evidence
-- source: methods of the field
-- technique: none
WITH mine AS (
  SELECT src AS host, dst AS peer, proto, dport FROM contacts WHERE src IN (SELECT UNNEST(string_split($hosts, ',')))
  UNION ALL
  SELECT dst AS host, src AS peer, proto, dport FROM contacts WHERE dst IN (SELECT UNNEST(string_split($hosts, ',')))),
services AS (
  SELECT host, proto, dport, COUNT(DISTINCT peer) AS peers FROM mine GROUP BY host, proto, dport),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY host ORDER BY peers DESC, proto, dport) AS place FROM services)
SELECT host, proto, dport, peers
FROM ranked
WHERE place <= $max_rows
ORDER BY host, place
