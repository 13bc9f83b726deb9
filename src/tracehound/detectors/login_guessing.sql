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
-- parameter: max_rows = 20000 (rows) pairs returned, those with most attempts first
-- tables: login_sizes
-- optional: logins, http
-- cannot: tell a refused login from an accepted one where the protocol is encrypted or only flows are at hand
-- source: Zeek policy/protocols/ssh/detect-bruteforcing and ftp/detect-bruteforcing (thresholds); Hellemans et al., SSHCure,
--   AIMS 2012 (phases, alike flows); Hofstede et al., SSH Compromise Detection using NetFlow/IPFIX, CCR 2014
-- seen: 30 refused logins of FTP in zeek/ftp/bruteforce.pcap
-- technique: T1110
WITH by_logins AS (
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
SELECT * FROM login_sizes
UNION ALL SELECT * FROM by_logins
UNION ALL SELECT * FROM by_forms
ORDER BY tries DESC, way, src, dst, dport, kind, page
LIMIT $max_rows
