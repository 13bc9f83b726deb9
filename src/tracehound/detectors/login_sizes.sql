-- id: login_sizes
-- version: 1
-- title: Connections to login services of one size
-- question: Which hosts open many connections of nearly one size to a login service?
-- what: One row a source, server and service (by content, otherwise by port) with enough answered TCP connections whose originator
--   sent nearly the same amount each time; how many they are, and the longest of another size.
-- why: Where logins are encrypted or the evidence is flows only, this is what is left of guessing (login_guessing, way `flows`).
-- look-alikes: Monitoring and deployment by the clock; findings/login_guessing.py tells them apart.
-- parameter: min_tries = 3 (attempts) fewer between one pair are not listed
-- parameter: alike = 0.25 (share) median absolute deviation of the bytes sent, as a share of their median, for one size
-- parameter: most_bytes = 8000 (bytes) a connection whose originator sends more does more than log in
-- divided: src
-- tables: flows
-- cannot: tell a refused login from an accepted one
-- source: Hellemans et al., SSHCure, AIMS 2012 (phases, alike flows); Hofstede et al., SSH Compromise Detection using NetFlow/IPFIX,
--   CCR 2014
-- technique: T1110
WITH known AS (
  SELECT flow_id, src, dst, CAST(dport AS INTEGER) AS dport, epoch_ns(start) AS ts_ns, epoch_ns("end") AS end_ns,
         CASE
           WHEN service IN ('ssh', 'ftp', 'telnet', 'rdp', 'mysql', 'rfb', 'pop3', 'imap', 'smb', 'postgresql', 'ldap') THEN service
           WHEN service IS NOT NULL THEN NULL
           WHEN dport = 22 THEN 'ssh' WHEN dport = 21 THEN 'ftp' WHEN dport IN (23, 2323) THEN 'telnet'
           WHEN dport = 3389 THEN 'rdp' WHEN dport = 3306 THEN 'mysql' WHEN dport BETWEEN 5900 AND 5906 THEN 'rfb'
           WHEN dport = 1433 THEN 'mssql' WHEN dport = 5432 THEN 'postgresql' WHEN dport IN (5985, 5986) THEN 'winrm'
           WHEN dport = 445 THEN 'smb' END AS kind,
         LEAST(COALESCE(payload_src, 0), bytes_src) AS sent, LEAST(COALESCE(payload_dst, 0), bytes_dst) AS got,
         first_packet_id
  FROM flows
  WHERE proto = 6 AND outcome = 'answered'),
paired AS (
  SELECT src, dst, dport, kind, CAST(MEDIAN(sent) AS DOUBLE) AS size_median, CAST(MAD(sent) AS DOUBLE) AS size_mad
  FROM known WHERE kind IS NOT NULL
  GROUP BY src, dst, dport, kind
  HAVING COUNT(*) >= $min_tries AND MEDIAN(sent) BETWEEN 1 AND $most_bytes AND MAD(sent) <= $alike * MEDIAN(sent)),
sized AS (
  SELECT k.*, p.size_median, p.size_mad,
         CASE WHEN k.sent BETWEEN 0.5 * p.size_median AND 2 * p.size_median THEN 1 ELSE 0 END AS guess
  FROM known AS k
  JOIN paired AS p ON p.src = k.src AND p.dst = k.dst AND p.dport = k.dport AND p.kind = k.kind)
SELECT 'flows' AS way, src, dst, dport, kind, CAST(SUM(guess) AS BIGINT) AS tries, CAST(NULL AS BIGINT) AS refused,
       CAST(NULL AS BIGINT) AS accepted, CAST(NULL AS BIGINT) AS users, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
       MAX(size_median) AS size_median, MAX(size_mad) AS size_mad, CAST(NULL AS BIGINT) AS accepted_ns,
       CAST(MAX(CASE WHEN guess = 0 AND sent + got > 10 * size_median THEN sent + got END) AS BIGINT) AS longer_bytes,
       CAST(NULL AS VARCHAR) AS account,
       CAST(NULL AS VARCHAR) AS page, LIST(flow_id ORDER BY ts_ns, flow_id)[1:5] AS flow_ids,
       LIST(first_packet_id ORDER BY ts_ns, flow_id)[1:5] AS packet_ids
FROM sized
GROUP BY src, dst, dport, kind
HAVING SUM(guess) >= $min_tries
ORDER BY tries DESC, src, dst, dport, kind
