-- id: outward_transfers
-- version: 1
-- title: Much sent, little received
-- question: Does a host carry large amounts of data out?
-- what: One row a source, destination, protocol and port to which the source, who opened the connections, sent much more than it
--   got: bytes, connections, days, how many other hosts use the destination, when the first of them began, whether a name led
--   there, and which kinds of file went out where the protocol can be read.
-- why: What was stolen must leave. Ordinary use of a network fetches; a host that sends many times what it fetches to a place that
--   nobody else knows is worth a look.
-- look-alikes: Backups and mail go out every day to the same places; uploads to well-known services have a name and other users;
--   calls go both ways; peer-to-peer clients send to many; printers, file servers and loggers get much, at home.
--   findings/outward.py weighs what is odd.
-- tables: outward_loads, flows, contacts
-- optional: files, tls, http
-- cannot: tell what encrypted connections carried; see what was fetched from outside, or went out in small pieces to many places
-- source: methods of the field: bytes by pair and direction (producer-consumer ratio, Bullard and Gerth, FloCon 2014)
-- technique: T1048
WITH counted AS (
  SELECT flow_id, src, dst, CAST(proto AS INTEGER) AS proto, CASE WHEN proto IN (1, 58) THEN 0 ELSE CAST(dport AS INTEGER) END AS dport
  FROM flows
  WHERE proto IN (1, 6, 17, 58) AND outcome IN ('answered', 'accepted', 'midstream', 'unanswered')),
users AS (
  SELECT c.dst, c.proto, c.dport, COUNT(DISTINCT c.src) AS users
  FROM counted AS c
  JOIN (SELECT DISTINCT dst, proto, dport FROM outward_loads) AS l ON l.dst = c.dst AND l.proto = c.proto AND l.dport = c.dport
  GROUP BY c.dst, c.proto, c.dport),
carried AS (
  SELECT c.src, c.dst, c.proto, c.dport, COUNT(*) AS files, string_agg(DISTINCT f.kind, ', ' ORDER BY f.kind) AS kinds
  FROM files AS f JOIN counted AS c ON c.flow_id = f.flow_id
  WHERE f.sent_by_src
  GROUP BY c.src, c.dst, c.proto, c.dport),
sni AS (
  SELECT src, dst, CAST(dport AS INTEGER) AS dport, MIN(server_name) AS name FROM tls WHERE server_name IS NOT NULL GROUP BY src, dst, dport),
web AS (
  SELECT src, dst, CAST(dport AS INTEGER) AS dport, MIN(host) AS name FROM http WHERE host IS NOT NULL GROUP BY src, dst, dport)
SELECT l.*, u.users, COALESCE(s.name, w.name) AS name, COALESCE(n.named, FALSE) AS named,
       COALESCE(n.asks_dns, FALSE) AS asks_dns, COALESCE(k.files, 0) AS files, k.kinds
FROM outward_loads AS l
JOIN users AS u ON u.dst = l.dst AND u.proto = l.proto AND u.dport = l.dport
LEFT JOIN contacts AS n ON n.src = l.src AND n.dst = l.dst AND n.proto = l.proto AND n.dport = l.dport
LEFT JOIN carried AS k ON k.src = l.src AND k.dst = l.dst AND k.proto = l.proto AND k.dport = l.dport
LEFT JOIN sni AS s ON s.src = l.src AND s.dst = l.dst AND s.dport = l.dport
LEFT JOIN web AS w ON w.src = l.src AND w.dst = l.dst AND w.dport = l.dport
ORDER BY l.sent DESC, l.src, l.dst, l.proto, l.dport
