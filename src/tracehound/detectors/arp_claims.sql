-- id: arp_claims
-- version: 1
-- title: Addresses that are claimed by ARP
-- question: Does a host claim the addresses of others on its own network?
-- what: One row a hardware address that claims two IPv4 addresses or more, or one that another claims as well: the addresses, how
--   often they were claimed with and without having been asked for, whether it asks for an address that it claims itself, and
--   whether addresses of other networks came in its frames after they had come in another's.
-- why: ARP believes whoever answers. A host that claims the router's address gets everything that the others send out, and can
--   read and change it.
-- look-alikes: Routers that answer for others (proxy ARP) claim many addresses; a machine may have several; a spare takes over the
--   address of a failed one and announces it; leases move an address to another machine; virtual routers have addresses of their own
--   (VRRP, HSRP). findings/arp_spoofing.py tells them apart.
-- parameter: samples = 20 (addresses) addresses given
-- tables: arp
-- optional: link_addresses
-- cannot: see anything of networks that the capture was not taken in; nothing of IPv6, whose neighbour discovery is not looked at
-- source: RFC 826, RFC 5227; LBL arpwatch (flip flop); Nachreiner, Anatomy of an ARP Poisoning Attack, 2003
-- seen: a gateway's address claimed by another host in chrissanders/arppoison.pcapng
-- technique: T1557.002
WITH claims AS (
  SELECT sender_mac AS mac, sender_addr AS address, operation, target_mac, target_addr, epoch_ns(ts) AS ts_ns,
         epoch_ns(last_ts) AS last_ns, messages, frame_mac, packet_id
  FROM arp
  WHERE operation IN ('request', 'reply', 'announcement') AND sender_addr <> '0.0.0.0' AND sender_mac <> '00:00:00:00:00:00'),
holders AS (
  SELECT address, COUNT(DISTINCT mac) AS macs FROM claims GROUP BY address),
asked AS (
  SELECT target_addr AS address, address AS asker, CAST(SUM(messages) AS BIGINT) AS requests
  FROM claims WHERE operation = 'request' GROUP BY target_addr, address),
replies AS (
  SELECT c.mac, c.address, c.target_addr, CAST(SUM(c.messages) AS BIGINT) AS sent
  FROM claims AS c WHERE c.operation = 'reply' GROUP BY c.mac, c.address, c.target_addr),
unasked AS (
  SELECT r.mac, CAST(SUM(GREATEST(r.sent - COALESCE(a.requests, 0), 0)) AS BIGINT) AS unasked, CAST(SUM(r.sent) AS BIGINT) AS replies
  FROM replies AS r LEFT JOIN asked AS a ON a.address = r.address AND a.asker = r.target_addr
  GROUP BY r.mac),
selves AS (
  SELECT c.mac, MIN(c.target_addr) AS self_asked
  FROM claims AS c JOIN (SELECT DISTINCT mac, address FROM claims) AS d ON d.mac = c.mac AND d.address = c.target_addr
  WHERE c.operation = 'request' AND c.target_addr <> c.address
  GROUP BY c.mac),
moved AS (
  SELECT b.mac, COUNT(DISTINCT b.address) AS moved
  FROM link_addresses AS b
  JOIN link_addresses AS a ON a.address = b.address AND a.evidence_id = b.evidence_id AND a.mac <> b.mac AND a.ts < b.ts
  LEFT JOIN (SELECT DISTINCT address FROM claims) AS l ON l.address = b.address
  WHERE l.address IS NULL AND strpos(b.address, ':') = 0
  GROUP BY b.mac),
by_mac AS (
  SELECT c.mac, COUNT(DISTINCT c.address) AS addresses, LIST(DISTINCT c.address)[1:$samples] AS claimed,
         COUNT(DISTINCT CASE WHEN h.macs > 1 THEN c.address END) AS shared,
         LIST(DISTINCT CASE WHEN h.macs > 1 THEN c.address END)[1:$samples] AS shared_addresses,
         CAST(SUM(CASE WHEN c.frame_mac <> c.mac THEN c.messages ELSE 0 END) AS BIGINT) AS borrowed,
         CAST(SUM(c.messages) AS BIGINT) AS messages, MIN(c.ts_ns) AS first_ns, MAX(c.last_ns) AS last_ns,
         LIST(c.packet_id ORDER BY c.packet_id)[1:5] AS packet_ids
  FROM claims AS c JOIN holders AS h ON h.address = c.address
  GROUP BY c.mac)
SELECT b.*, COALESCE(u.unasked, 0) AS unasked, COALESCE(u.replies, 0) AS replies, s.self_asked, COALESCE(m.moved, 0) AS moved
FROM by_mac AS b
LEFT JOIN unasked AS u ON u.mac = b.mac
LEFT JOIN selves AS s ON s.mac = b.mac
LEFT JOIN moved AS m ON m.mac = b.mac
WHERE b.addresses >= 2 OR b.shared >= 1
ORDER BY b.addresses DESC, b.mac
