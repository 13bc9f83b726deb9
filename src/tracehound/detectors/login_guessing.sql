-- id: login_guessing
-- version: 1
-- title: Many attempts to log in
-- question: Does a host guess logins of a server, or of many?
-- what: One row a source, server, service and way of seeing it. Way `logins`: attempts that the table of logins holds, how many
--   were refused and accepted, how many accounts. Way `forms`: requests that post to a page whose address speaks of a login,
--   with ever other words. Way `flows`: connections to a login service (by content, otherwise by port) of nearly one size.
-- why: A password that is not known must be guessed, and guessing repeats. Refused logins prove it; where they are encrypted or
--   the evidence is flows only, many short connections of one size in a row are what is left of it.
-- look-alikes: A program with an old password fails for one account at a slow, even pace; monitoring opens connections by the
--   clock and sends little; backups and deployment log in often, with sizes that vary; many people behind one address fail now
--   and then. findings/login_guessing.py tells them apart.
-- parameter: min_tries = 3 (attempts) fewer between one pair are not listed
-- parameter: alike = 0.25 (share) median absolute deviation of the bytes sent, as a share of their median, for one size
-- parameter: most_bytes = 8000 (bytes) a connection whose originator sends more does more than log in
-- parameter: max_rows = 20000 (rows) pairs returned, those with most attempts first
-- tables: flows
-- optional: logins, http
-- cannot: tell a refused login from an accepted one where the protocol is encrypted or only flows are at hand
-- source: Zeek policy/protocols/ssh/detect-bruteforcing and ftp/detect-bruteforcing (thresholds); Hellemans et al., SSHCure,
--   AIMS 2012 (phases, alike flows); Hofstede et al., SSH Compromise Detection using NetFlow/IPFIX, CCR 2014
-- seen: 30 refused logins of FTP in zeek/ftp/bruteforce.pcap
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
  JOIN paired AS p ON p.src = k.src AND p.dst = k.dst AND p.dport = k.dport AND p.kind = k.kind),
by_flows AS (
  SELECT 'flows' AS way, src, dst, dport, kind, CAST(SUM(guess) AS BIGINT) AS tries, CAST(NULL AS BIGINT) AS refused,
         CAST(NULL AS BIGINT) AS accepted, CAST(NULL AS BIGINT) AS users, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
         MAX(size_median) AS size_median, MAX(size_mad) AS size_mad, CAST(NULL AS BIGINT) AS accepted_ns,
         CAST(MAX(CASE WHEN guess = 0 AND sent + got > 10 * size_median THEN sent + got END) AS BIGINT) AS longer_bytes,
         CAST(NULL AS VARCHAR) AS account,
         CAST(NULL AS VARCHAR) AS page, LIST(flow_id ORDER BY ts_ns, flow_id)[1:5] AS flow_ids,
         LIST(first_packet_id ORDER BY ts_ns, flow_id)[1:5] AS packet_ids
  FROM sized
  GROUP BY src, dst, dport, kind
  HAVING SUM(guess) >= $min_tries),
by_logins AS (
  SELECT 'logins' AS way, src, dst, CAST(dport AS INTEGER) AS dport, service AS kind, COUNT(*) AS tries,
         CAST(SUM(CASE WHEN accepted = FALSE THEN 1 ELSE 0 END) AS BIGINT) AS refused,
         CAST(SUM(CASE WHEN accepted THEN 1 ELSE 0 END) AS BIGINT) AS accepted,
         COUNT(DISTINCT "user") AS users, MIN(epoch_ns(ts)) AS first_ns, MAX(epoch_ns(ts)) AS last_ns,
         CAST(NULL AS DOUBLE) AS size_median, CAST(NULL AS DOUBLE) AS size_mad,
         MAX(CASE WHEN accepted THEN epoch_ns(ts) END) AS accepted_ns, CAST(NULL AS BIGINT) AS longer_bytes,
         MIN("user") AS account, CAST(NULL AS VARCHAR) AS page, LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids,
         LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
  FROM logins
  GROUP BY src, dst, dport, service
  HAVING COUNT(*) >= $min_tries),
posted AS (
  SELECT src, dst, CAST(dport AS INTEGER) AS dport, split_part(uri, '?', 1) AS page, epoch_ns(ts) AS ts_ns, flow_id, txn_id,
         request_packet_id, request_body_sha256, CAST(status AS INTEGER) AS status, COALESCE(response_bytes, 0) AS got
  FROM http
  WHERE method = 'POST'
    AND regexp_matches(lower(uri), '(log-?in|log-?on|signin|sign-in|auth|session|account|passw|xmlrpc[.]php|/admin)')),
by_forms AS (
  SELECT 'forms' AS way, src, dst, dport, 'http' AS kind, COUNT(*) AS tries,
         CAST(SUM(CASE WHEN status IN (401, 403) THEN 1 ELSE 0 END) AS BIGINT) AS refused, CAST(NULL AS BIGINT) AS accepted,
         COUNT(DISTINCT request_body_sha256) AS users, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
         CAST(MEDIAN(got) AS DOUBLE) AS size_median, CAST(MAD(got) AS DOUBLE) AS size_mad,
         CAST(NULL AS BIGINT) AS accepted_ns, CAST(NULL AS BIGINT) AS longer_bytes, CAST(NULL AS VARCHAR) AS account, page,
         LIST(flow_id ORDER BY ts_ns, txn_id)[1:5] AS flow_ids,
         LIST(request_packet_id ORDER BY ts_ns, txn_id)[1:5] AS packet_ids
  FROM posted
  GROUP BY src, dst, dport, page
  HAVING COUNT(*) >= $min_tries)
SELECT * FROM by_flows
UNION ALL SELECT * FROM by_logins
UNION ALL SELECT * FROM by_forms
ORDER BY tries DESC, way, src, dst, dport, kind, page
LIMIT $max_rows
