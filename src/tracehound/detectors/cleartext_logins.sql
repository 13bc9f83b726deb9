-- id: cleartext_logins
-- version: 1
-- title: Passwords that anybody on the way can read
-- question: Do logins cross the network so that the password can be read?
-- what: One row a server and service with logins whose secret is readable in the evidence: clients, accounts, how many were accepted.
-- why: Whoever could capture this evidence has these passwords. They are to be changed, and the service is to be encrypted.
-- look-alikes: Anonymous FTP has no secret; a community of SNMP that no agent answers is a guess; a login on the host itself crosses
--   no network: all are left out. It is a weakness of the service, and accuses nobody.
-- tables: logins
-- cannot: see logins inside tunnels that were not opened, or in protocols without a reader
-- source: methods of the field: tcpdump, dsniff; MITRE ATT&CK T1040, T1552
-- seen: malcolm/protocols/Telnet.pcap, zeek/smtp.pcap, and Agent Tesla's mail in
--   malcolm/plugins/zeek-agenttesla-detector/a30789ce-1e1c-4f96-a097-78c34b9fb612.pcap
-- technique: T1040
SELECT dst, CAST(dport AS INTEGER) AS dport, service, COUNT(*) AS logins, COUNT(DISTINCT src) AS clients, MIN(src) AS client,
       COUNT(DISTINCT "user") AS users, MIN("user") AS account,
       CAST(SUM(CASE WHEN accepted THEN 1 ELSE 0 END) AS BIGINT) AS accepted,
       CAST(SUM(CASE WHEN accepted = FALSE THEN 1 ELSE 0 END) AS BIGINT) AS refused,
       MIN(epoch_ns(ts)) AS first_ns, MAX(epoch_ns(ts)) AS last_ns, string_agg(DISTINCT method, ', ' ORDER BY method) AS methods,
       LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
FROM logins
WHERE cleartext AND src <> dst AND CAST(dst AS VARCHAR) NOT LIKE '127.%' AND (service <> 'ftp' OR COALESCE(lower("user"), '') NOT IN ('anonymous', 'ftp'))
GROUP BY dst, dport, service
HAVING SUM(CASE WHEN accepted = FALSE OR (accepted IS NULL AND method = 'community') THEN 0 ELSE 1 END) > 0
ORDER BY logins DESC, dst, dport, service
