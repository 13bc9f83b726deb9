-- id: bare_programs
-- version: 1
-- title: Programs fetched from a bare address
-- question: Does a host fetch programs from an address that bears no name?
-- what: One row a host that fetched, a host that served and a port, over the programs that came by HTTP from a server that was called
--   by its address: how many, their kinds, names, hashes, agents of the requests, and what is odd of each.
-- why: Loaders and worms carry the address of their next stage with them, and those who rent a machine for a week give it no name.
-- look-alikes: Software that keeps itself up to date from fixed addresses: its programs are signed, are named as programs, and are fetched by
--   an agent that says who it is. Servers of the home network are left out by findings/bare_programs.py; what is declared a picture,
--   sound or film is told by disguised_programs.
-- parameter: samples = 5 (files) files that are named
-- tables: files, http
-- cannot: see encrypted transfers; tell what a program does
-- source: MITRE ATT&CK T1105 (ingress tool transfer); Emerging Threats, "executable download from dotted-quad host"
-- seen: a program that /solar.php serves to an agent of 29 random letters, in exe_download.pcap of the tests of nDPI 4.2
-- technique: T1105
WITH fetched AS (
  SELECT f.src AS receiver, f.dst AS sender, CAST(f.dport AS INTEGER) AS dport, f.txn_id, f.flow_id, f.packet_id, epoch_ns(f.ts) AS ts_ns,
         f.kind, f.sha256, f.bytes, COALESCE(f.facts, '') AS facts, h.uri, h.user_agent, h.referer,
         regexp_extract(split_part(COALESCE(h.uri, ''), '?', 1), '[^/]*$') AS page
  FROM (SELECT * FROM files WHERE service = 'http' AND NOT sent_by_src AND kind IN ('pe', 'dos_exe', 'elf', 'macho', 'dex', 'msi')
          AND NOT regexp_matches(lower(COALESCE(declared_type, '')), '^(image|audio|video|font)/')) f
  ASOF JOIN (SELECT * FROM http WHERE host IS NULL OR regexp_matches(host, '^(\d{1,3}([.]\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])(:\d+)?$')) h
    ON f.flow_id = h.flow_id AND f.ts >= h.ts),
judged AS (
  SELECT *,
         user_agent IS NULL OR regexp_matches(user_agent, '^[A-Za-z0-9]{10,}$') AS odd_agent,
         kind <> 'elf' AND NOT regexp_matches(lower(page), '[.](exe|dll|msi|com|scr|sys|ocx|cpl|apk|dex|dmg|bin|dat)$') AS odd_name,
         facts LIKE '%not signed%' AS unsigned,
         kind = 'elf' AND regexp_matches(COALESCE(user_agent, ''), '(?i)^(wget|curl|busybox|hello|python|go-http)') AS by_script
  FROM fetched)
SELECT receiver, sender, dport, COUNT(*) AS files, COUNT(DISTINCT sha256) AS contents,
       bool_or(odd_agent) AS odd_agent, bool_or(odd_name) AS odd_name, bool_or(unsigned) AS unsigned, bool_or(by_script) AS by_script,
       bool_and(referer IS NULL) AS no_referer,
       COUNT(DISTINCT split_part(facts, ';', 1)) FILTER (WHERE kind = 'elf') AS processors,
       MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
       LIST(COALESCE(uri, '') ORDER BY ts_ns, txn_id)[1:$samples] AS uris,
       LIST(kind ORDER BY ts_ns, txn_id)[1:$samples] AS kinds,
       LIST(COALESCE(user_agent, '') ORDER BY ts_ns, txn_id)[1:$samples] AS agents,
       LIST(COALESCE(bytes, 0) ORDER BY ts_ns, txn_id)[1:$samples] AS sizes,
       LIST(COALESCE(sha256, '') ORDER BY ts_ns, txn_id)[1:$samples] AS hashes,
       LIST(flow_id ORDER BY ts_ns, txn_id)[1:$samples] AS flow_ids, LIST(packet_id ORDER BY ts_ns, txn_id)[1:$samples] AS packet_ids
FROM judged
GROUP BY receiver, sender, dport
ORDER BY first_ns, receiver, sender, dport
