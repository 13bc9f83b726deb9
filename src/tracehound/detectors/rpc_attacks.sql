-- id: rpc_attacks
-- version: 1
-- title: Remote calls that attacks are made of
-- question: Does a host call what only attacks on Windows call over the network?
-- what: One row a source, target and kind of attack, by interface and operation of DCE/RPC calls: how many, which answers, when.
--   Also: SMB1's Trans2 SESSION_SETUP, which no client sends (DoublePulsar answers it), a compressed message of SMB 3 whose lengths
--   overflow, and a port mapper's answer that is longer than any address.
-- why: Some calls have no honest use from one workstation to another server: a printer driver added from afar, an encrypted file
--   opened on a server so that it logs in elsewhere, the secrets of a directory asked for by what is no domain controller.
-- look-alikes: Domain controllers replicate among themselves, and administrators of printers add drivers: findings/rpc_attacks.py lets
--   go controllers, and is less sure where a single call may be an administrator's.
-- tables: dce_rpc, flows
-- optional: kerberos, smb, sunrpc
-- cannot: see calls under encryption of the transport (SMB 3), or their arguments where packets are protected
-- source: CVE-2021-1675, CVE-2021-34527 (MS-RPRN 3.1.4.4.8, MS-PAR 3.1.4.2.2); PetitPotam (MS-EFSR); Printerbug (MS-RPRN 3.1.4.10.4);
--   DFSCoerce (MS-DFSNM); ShadowCoerce (MS-FSRVP); CVE-2022-30216 (Akamai, server service); DCSync (MS-DRSR 4.1.10);
--   CVE-2020-1472 (MS-NRPC 3.5.4.4.5); DoublePulsar (RiskSense, 2017; multiplex id answered with 16 more = installed);
--   CVE-2020-0796 (MS-SMB2 2.2.42.1; McAfee Labs, SMBGhost, 2020); CVE-2022-26937 (Trend Micro ZDI, port mapper's answer to an NFS server)
-- seen: a printer driver added in malcolm/plugins/CVE-2021-1675/PrintNightmare.pcap, DoublePulsar asked for in
--   malcolm/plugins/zeek-EternalSafety/eternalromance-success-2008r2.pcap
-- technique: T1210
WITH known AS (
  SELECT * FROM (VALUES
    ('12345678-1234-abcd-ef00-0123456789ab', 9, 'driver'), ('12345678-1234-abcd-ef00-0123456789ab', 89, 'driver'),
    ('76f03f96-cdfd-44fc-a22c-64950a001209', 39, 'driver'),
    ('12345678-1234-abcd-ef00-0123456789ab', 65, 'coerce_print'), ('12345678-1234-abcd-ef00-0123456789ab', 62, 'coerce_print'),
    ('c681d488-d850-11d0-8c52-00c04fd90f7e', -1, 'coerce_efs'), ('df1941c5-fe89-4e79-bf10-463657acf44d', -1, 'coerce_efs'),
    ('4fc742e0-4a10-11cf-8273-00aa004ae673', 12, 'coerce_dfs'), ('4fc742e0-4a10-11cf-8273-00aa004ae673', 13, 'coerce_dfs'),
    ('a8e0653c-2744-4389-a61d-7373df8b2292', 8, 'coerce_shadow'), ('a8e0653c-2744-4389-a61d-7373df8b2292', 9, 'coerce_shadow'),
    ('4b324fc8-1670-01d3-1278-5a47bf6ee188', 74, 'coerce_server'), ('4b324fc8-1670-01d3-1278-5a47bf6ee188', 73, 'coerce_server'),
    ('e3514235-4b06-11d1-ab04-00c04fc2dcd2', 3, 'dcsync'),
    ('12345678-1234-abcd-ef00-01234567cffb', 30, 'netlogon_password')
  ) AS k (interface_uuid, opnum, attack)),
calls AS (
  SELECT d.src, d.dst, k.attack, epoch_ns(d.ts) AS ts_ns, d.txn_id, d.flow_id, d.packet_id, d.operation, d.result
  FROM dce_rpc AS d
  JOIN known AS k ON k.interface_uuid = lower(CAST(d.interface_uuid AS VARCHAR)) AND k.opnum IN (CAST(d.opnum AS INTEGER), -1)
  WHERE d.src <> d.dst),
tries AS (
  SELECT src, dst, 'zerologon' AS attack, MIN(epoch_ns(ts)) AS ts_ns, MAX(epoch_ns(ts)) AS last_ns, COUNT(*) AS calls,
         LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
  FROM dce_rpc
  WHERE lower(CAST(interface_uuid AS VARCHAR)) = '12345678-1234-abcd-ef00-01234567cffb' AND opnum IN (5, 15, 26) AND src <> dst
  GROUP BY src, dst
  HAVING COUNT(*) >= 20),
pulsars AS (
  SELECT src, dst, CASE WHEN MAX(CASE WHEN TRY_CAST(regexp_extract(note, 'multiplex id ([0-9]+)', 1) AS INTEGER) + 16
                                           = TRY_CAST(regexp_extract(note, 'answered with ([0-9]+)', 1) AS INTEGER) THEN 1 ELSE 0 END) = 1
                        THEN 'doublepulsar_there' ELSE 'doublepulsar' END AS attack,
         COUNT(*) AS calls, MIN(epoch_ns(ts)) AS ts_ns, MAX(epoch_ns(ts)) AS last_ns,
         CAST(SUM(CASE WHEN result IS NOT NULL THEN 1 ELSE 0 END) AS BIGINT) AS answered,
         LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
  FROM smb WHERE action = 'trans2_session_setup'
  GROUP BY src, dst),
ghosts AS (
  SELECT src, dst, COUNT(*) AS calls, MIN(epoch_ns(ts)) AS ts_ns, MAX(epoch_ns(ts)) AS last_ns,
         LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
  FROM smb WHERE action = 'compressed' AND note LIKE '%overflow 32 bits%'
  GROUP BY src, dst),
mappers AS (
  SELECT dst AS src, src AS dst, COUNT(*) AS calls, MIN(epoch_ns(ts)) AS ts_ns, MAX(epoch_ns(ts)) AS last_ns,
         LIST(flow_id ORDER BY ts, txn_id)[1:5] AS flow_ids, LIST(packet_id ORDER BY ts, txn_id)[1:5] AS packet_ids
  FROM sunrpc WHERE operation IN ('GETADDR', 'GETPORT', 'GETVERSADDR') AND length(answer) > 128
  GROUP BY dst, src),
controllers AS (
  SELECT dst AS host FROM kerberos WHERE request_type IN ('AS', 'TGS') UNION SELECT dst FROM flows WHERE service IN ('ldap_tcp', 'ldap_udp', 'ldap'))
SELECT c.src, c.dst, c.attack, COUNT(*) AS calls, MIN(c.ts_ns) AS first_ns, MAX(c.ts_ns) AS last_ns,
       MODE(c.operation) AS operation, CAST(SUM(CASE WHEN c.result = 'response' THEN 1 ELSE 0 END) AS BIGINT) AS answered,
       MAX(CASE WHEN h.host IS NOT NULL THEN 1 ELSE 0 END) AS from_controller,
       LIST(c.flow_id ORDER BY c.ts_ns, c.txn_id)[1:5] AS flow_ids, LIST(c.packet_id ORDER BY c.ts_ns, c.txn_id)[1:5] AS packet_ids
FROM calls AS c LEFT JOIN controllers AS h ON h.host = c.src
GROUP BY c.src, c.dst, c.attack
UNION ALL
SELECT t.src, t.dst, t.attack, t.calls, t.ts_ns, t.last_ns, 'NetrServerAuthenticate', t.calls, 0, t.flow_ids, t.packet_ids FROM tries AS t
UNION ALL
SELECT p.src, p.dst, p.attack, p.calls, p.ts_ns, p.last_ns, 'Trans2 SESSION_SETUP', p.answered, 0, p.flow_ids, p.packet_ids FROM pulsars AS p
UNION ALL
SELECT g.src, g.dst, 'smbghost', g.calls, g.ts_ns, g.last_ns, 'compressed message', 0, 0, g.flow_ids, g.packet_ids FROM ghosts AS g
UNION ALL
SELECT m.src, m.dst, 'portmap_overflow', m.calls, m.ts_ns, m.last_ns, 'GETADDR', m.calls, 0, m.flow_ids, m.packet_ids FROM mappers AS m
ORDER BY first_ns, src, dst, attack
