-- id: host_services
-- version: 1
-- title: Services that one host had to do with
-- question: Which services did the host use or offer?
-- what: Distinct protocols and ports of the attempts that the host made or received, with the number of peers.
-- why: Profiles know companions of a probed port, such as a download service of their own.
-- look-alikes: Every host uses many services
-- parameter: host = none (address) the host
-- parameter: max_rows = 2000 (rows) services returned
-- tables: contacts
-- cannot: see services that nobody used in the evidence
-- source: methods of the field
-- technique: none
SELECT proto, dport, COUNT(DISTINCT CASE WHEN src = $host THEN dst ELSE src END) AS peers
FROM contacts
WHERE src = $host OR dst = $host
GROUP BY proto, dport
ORDER BY peers DESC, proto, dport
LIMIT $max_rows
