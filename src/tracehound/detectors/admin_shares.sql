-- id: admin_shares
-- version: 1
-- title: Administrative shares and remote services
-- question: Does a host go from machine to machine by administrative shares and remote services?
-- what: One row a source and target: administrative shares (ADMIN$, C$ and other drives) connected to, programs written there, pipes
--   opened and calls made that create or start services, tasks, processes or printer drivers, accounts used, answers, moments.
-- why: Whoever has an administrator's password goes on with it: write a program to ADMIN$, make a service of it, start it (PsExec and
--   what imitates it, ransomware, worms). On an ordinary network few machines do that, and mostly the same ones.
-- look-alikes: Software deployment writes to the same shares, from one server to all and for ever; backups read; administrators open
--   a drive now and then; inventory asks services and registries without writing. Shares of domain controllers (SYSVOL, NETLOGON) and
--   IPC$ alone are no administrative share. findings/admin_shares.py weighs them.
-- parameter: max_rows = 20000 (rows) pairs returned, those with most actions first
-- parameter: samples = 12 (names) names given of each kind
-- tables: smb
-- optional: dce_rpc
-- cannot: see inside SMB 3 encryption; tell an administrator from somebody who has the administrator's password
-- source: MITRE ATT&CK T1021.002, T1569.002, T1570; Microsoft MS-SCMR, MS-TSCH, MS-RRP (interfaces and operations)
-- technique: T1021.002
WITH shared AS (
  SELECT txn_id, flow_id, epoch_ns(ts) AS ts_ns, src, dst, action, "user" AS account, lower(COALESCE(name, '')) AS name,
         upper(regexp_extract(COALESCE(share, ''), '[^\\/]+$', 0)) AS share, COALESCE(access, '') AS access, COALESCE(data_bytes, 0) AS data_bytes,
         disposition, COALESCE(result, '') AS result, packet_id
  FROM smb),
marked AS (
  SELECT *, regexp_matches(share, '^(ADMIN|[A-Z])[$]$') AS is_admin,
         action = 'write' OR (action = 'open' AND disposition IN ('created', 'overwritten', 'superseded')) AS is_write,
         regexp_matches(name, '[.](exe|dll|sys|bat|cmd|ps1|vbs|js|hta|scr|com|msi|pif)$') AS is_program
  FROM shared),
by_share AS (
  SELECT src, dst, CAST(SUM(CASE WHEN is_admin THEN 1 ELSE 0 END) AS BIGINT) AS actions,
         CAST(SUM(CASE WHEN is_admin AND action = 'tree_connect' AND result IN ('SUCCESS', '') THEN 1 ELSE 0 END) AS BIGINT) AS connected,
         CAST(SUM(CASE WHEN is_admin AND action = 'tree_connect' AND result NOT IN ('SUCCESS', '') THEN 1 ELSE 0 END) AS BIGINT) AS denied,
         CAST(SUM(CASE WHEN is_admin AND is_write AND is_program THEN 1 ELSE 0 END) AS BIGINT) AS programs,
         CAST(SUM(CASE WHEN is_admin AND action = 'write' THEN data_bytes ELSE 0 END) AS BIGINT) AS written_bytes,
         CAST(SUM(CASE WHEN is_admin AND action = 'read' THEN data_bytes ELSE 0 END) AS BIGINT) AS read_bytes,
         LIST(DISTINCT CASE WHEN is_admin THEN share END)[1:$samples] AS shares,
         LIST(DISTINCT CASE WHEN is_admin AND is_write AND is_program THEN name END)[1:$samples] AS program_names,
         LIST(DISTINCT CASE WHEN regexp_matches(name, '^\\?(svcctl|atsvc|winreg|spoolss|psexesvc|remcom|paexec|csexec|wkssvc|samr)')
                            THEN name END)[1:$samples] AS pipes,
         LIST(DISTINCT account)[1:$samples] AS users, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
         LIST(flow_id ORDER BY is_program DESC, is_admin DESC, ts_ns, txn_id)[1:5] AS flow_ids,
         LIST(packet_id ORDER BY is_program DESC, is_admin DESC, ts_ns, txn_id)[1:5] AS packet_ids
  FROM marked
  GROUP BY src, dst
  HAVING SUM(CASE WHEN is_admin THEN 1 ELSE 0 END) > 0),
calls AS (
  SELECT src, dst, epoch_ns(ts) AS ts_ns, txn_id, flow_id, packet_id, COALESCE(operation, '') AS operation,
         CASE
           WHEN endpoint = 'svcctl' AND (operation LIKE 'CreateService%' OR opnum IN (12, 24, 44, 45, 60)) THEN 'creates a service'
           WHEN endpoint = 'svcctl' AND (operation LIKE 'StartService%' OR opnum IN (19, 31)) THEN 'starts a service'
           WHEN endpoint IN ('ITaskSchedulerService', 'atsvc') AND (operation LIKE 'SchRpcRegister%' OR operation LIKE '%JobAdd' OR opnum IN (0, 1))
             THEN 'registers a task'
           WHEN endpoint IN ('IWbemServices', 'IWbemLevel1Login') THEN 'asks WMI'
         END AS doing
  FROM dce_rpc),
by_call AS (
  SELECT src, dst, CAST(SUM(CASE WHEN doing = 'creates a service' THEN 1 ELSE 0 END) AS BIGINT) AS creates,
         CAST(SUM(CASE WHEN doing = 'starts a service' THEN 1 ELSE 0 END) AS BIGINT) AS starts,
         CAST(SUM(CASE WHEN doing = 'registers a task' THEN 1 ELSE 0 END) AS BIGINT) AS tasks,
         CAST(SUM(CASE WHEN doing = 'asks WMI' THEN 1 ELSE 0 END) AS BIGINT) AS wmi,
         MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns, LIST(flow_id ORDER BY ts_ns, txn_id)[1:5] AS flow_ids,
         LIST(packet_id ORDER BY ts_ns, txn_id)[1:5] AS packet_ids
  FROM calls WHERE doing IS NOT NULL
  GROUP BY src, dst)
SELECT COALESCE(s.src, c.src) AS src, COALESCE(s.dst, c.dst) AS dst, COALESCE(s.actions, 0) AS actions, COALESCE(s.connected, 0) AS connected,
       COALESCE(s.denied, 0) AS denied, COALESCE(s.programs, 0) AS programs, COALESCE(s.written_bytes, 0) AS written_bytes,
       COALESCE(s.read_bytes, 0) AS read_bytes, s.shares, s.program_names, s.pipes, s.users, COALESCE(c.creates, 0) AS creates,
       COALESCE(c.starts, 0) AS starts, COALESCE(c.tasks, 0) AS tasks, COALESCE(c.wmi, 0) AS wmi,
       LEAST(COALESCE(s.first_ns, c.first_ns), COALESCE(c.first_ns, s.first_ns)) AS first_ns,
       GREATEST(COALESCE(s.last_ns, c.last_ns), COALESCE(c.last_ns, s.last_ns)) AS last_ns,
       COALESCE(s.flow_ids, c.flow_ids) AS flow_ids, COALESCE(s.packet_ids, c.packet_ids) AS packet_ids
FROM by_share AS s
FULL OUTER JOIN by_call AS c ON c.src = s.src AND c.dst = s.dst
ORDER BY actions DESC, src, dst
LIMIT $max_rows
