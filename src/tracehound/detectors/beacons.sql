-- id: beacons
-- version: 2
-- title: Contacts at regular times
-- question: Does a host contact one place again and again at regular times?
-- what: One row a source, place, protocol and port with enough contacts whose distances in time spread little: their times,
--   distances, sizes, how they fared, how many hosts contact the place, and whether a name led there. A place is the name that
--   requests (Host) or handshakes (SNI) carry, where they carry one (its addresses may change), otherwise the address.
-- why: Malware asks its master for orders by the clock, and goes on asking when the master is gone. Failed contacts are beats
--   like others; contacts within a second of each other are one beat (retries, a page and its pictures).
-- look-alikes: Clocks, updates, mail polling, monitoring and telemetry are perfect beacons, too: regularity alone accuses nobody
--   (findings/beacons.py weighs what else is odd). Name service, time, leases, management and discovery are not looked at.
-- tables: beacon_series, attempts, contacts
-- optional: http, tls
-- cannot: see beats inside one long connection, or places that change name and address alike
-- source: eligibility after RITA v5 (activecm/rita); methods of the field
-- seen: Quasar, every 3.5 s, in malcolm/plugins/zeek-quasarrat-detector/09ffabf7-774a-43a3-8c97-68f2046fd385.pcap
-- technique: T1071
WITH named AS (
  SELECT flow_id, MIN(host) AS host FROM http GROUP BY flow_id),
greeted AS (
  SELECT flow_id, MIN(lower(server_name)) AS server_name FROM tls GROUP BY flow_id),
places AS (
  SELECT DISTINCT place, proto, dport FROM beacon_series),
contacted AS (
  SELECT COALESCE(n.host, g.server_name, a.dst) AS place, a.proto, a.dport, a.src
  FROM attempts AS a
  LEFT JOIN named AS n ON n.flow_id = a.flow_id
  LEFT JOIN greeted AS g ON g.flow_id = a.flow_id
  WHERE a.dport IN (SELECT dport FROM places)),
users AS (
  SELECT c.place, c.proto, c.dport, COUNT(DISTINCT c.src) AS users
  FROM contacted AS c JOIN places AS p ON p.place = c.place AND p.proto = c.proto AND p.dport = c.dport
  GROUP BY c.place, c.proto, c.dport)
SELECT s.*, u.users, s.place <> s.dst OR COALESCE(c.named, FALSE) AS named, COALESCE(c.asks_dns, FALSE) AS asks_dns
FROM beacon_series AS s
JOIN users AS u ON u.place = s.place AND u.proto = s.proto AND u.dport = s.dport
LEFT JOIN contacts AS c ON c.src = s.src AND c.dst = s.dst AND c.proto = s.proto AND c.dport = s.dport
ORDER BY s.beats DESC, s.src, s.place, s.proto, s.dport
