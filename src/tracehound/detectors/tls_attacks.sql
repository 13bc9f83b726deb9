-- id: tls_attacks
-- version: 1
-- title: Handshakes that are made to deceive
-- question: Does a certificate or a handshake attack who reads it?
-- what: One row a server, client and kind of oddity that the reader of TLS noted: a certificate whose curve is spelled out instead of
--   named, a name in a certificate that is longer than any name may be, a session ticket under a key of zeros, a heartbeat that asks for
--   more bytes than it brought or is answered with more.
-- why: Such certificates are not issued by anybody; they exist to pass for another's key (CVE-2020-0601) or to overflow a reader
--   (CVE-2022-3602). A ticket under a key of zeros lets whoever records the connection read it (CVE-2020-13777). OpenSSL 1.0.1 to
--   1.0.1f answers a heartbeat that asks for too much with what lies behind it in memory, keys among it (CVE-2014-0160, Heartbleed).
-- look-alikes: Certificates of test laboratories and of some old smart cards spell their curves out, too. Scanners that look for
--   Heartbleed on their own servers send the same message.
-- tables: tls
-- cannot: see certificates of TLS 1.3, which are encrypted, or a heartbeat after the first application data of both sides
-- source: NSA, CVE-2020-0601 advisory; OpenSSL advisory of 2022-11-01; GNUTLS-SA-2020-06-03; RFC 5480 2.1.1, RFC 1035 2.3.4, RFC 6520 4
-- seen: a heartbeat that asks for 16,365 bytes and brings as many without padding in zeek/tls/heartbleed.pcap
-- technique: T1557
WITH odd AS (
  SELECT src, dst, CAST(dport AS INTEGER) AS dport, epoch_ns(ts) AS ts_ns, txn_id, flow_id, packet_id, subject, client_subject, server_name,
         CASE
           WHEN strpos(note, 'client''s certificate: punycode label') > 0 THEN 'client_label'
           WHEN strpos(note, 'punycode label') > 0 THEN 'server_label'
           WHEN strpos(note, 'client''s heartbeat') > 0 THEN 'client_heartbeat'
           WHEN strpos(note, 'server''s heartbeat') > 0 THEN 'server_heartbeat'
           WHEN strpos(note, 'curve given by explicit parameters') > 0 THEN 'curve'
           WHEN strpos(note, 'key whose name is all zeros') > 0 THEN 'ticket' END AS attack,
         strpos(note, 'heartbeat is answered with more') > 0 AS leaked
  FROM tls
  WHERE note IS NOT NULL)
SELECT src, dst, dport, attack, COUNT(*) AS handshakes, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
       MIN(CASE WHEN attack = 'client_label' THEN client_subject ELSE subject END) AS subject, MIN(server_name) AS server_name,
       COUNT(*) FILTER (WHERE leaked) AS leaks,
       LIST(flow_id ORDER BY ts_ns, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts_ns, txn_id)[1:5] AS packet_ids
FROM odd
WHERE attack IS NOT NULL
GROUP BY src, dst, dport, attack
ORDER BY first_ns, src, dst, dport, attack
