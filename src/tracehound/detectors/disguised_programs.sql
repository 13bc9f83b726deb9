-- id: disguised_programs
-- version: 1
-- title: Programs under another name
-- question: Is a program passed on as a picture, a text or a document?
-- what: One row a sender, receiver and service with files whose first bytes are those of a program while their declared type or the
--   ending of their name says picture, sound, film, font or text, or whose name ends twice, as photo.jpg.exe, and Windows programs
--   under a short XOR key: names, types, kinds, hashes of some.
-- why: Filters and people look at names. Loaders fetch their next stage as a picture; worms mail programs as documents.
-- look-alikes: Web servers that do not know .exe call it text/plain: a declared text counts only where the name is no program's
--   either; archives and scripts are left out, since their kinds are told from less.
-- parameter: samples = 5 (files) files that are named
-- tables: files
-- cannot: see inside archives and encrypted transfers; tell what a program does
-- source: MITRE ATT&CK T1036.007 (double file extension), T1036.008 (masquerade file type); CERT CA-2000-04 and later worms of mail
-- seen: a Windows program declared image/png in exe_download_as_png.pcap of the tests of nDPI 4.2
-- technique: T1036
WITH named AS (
  SELECT txn_id, flow_id, packet_id, epoch_ns(ts) AS ts_ns, service, kind, name, declared_type, sha256, bytes,
         CASE WHEN sent_by_src THEN src ELSE dst END AS sender, CASE WHEN sent_by_src THEN dst ELSE src END AS receiver, sent_by_src,
         kind IN ('pe', 'pe_xor', 'dos_exe', 'elf', 'macho', 'dex', 'lnk') AS program,
         lower(regexp_extract(COALESCE(name, ''), '[.]([A-Za-z0-9]{1,5})\s*$', 1)) AS ending,
         lower(COALESCE(declared_type, '')) AS type
  FROM files
  WHERE kind IS NOT NULL OR name IS NOT NULL),
judged AS (
  SELECT *,
         CASE
           WHEN kind = 'pe_xor' THEN 'key'
           WHEN program AND regexp_matches(type, '^(image|audio|video|font)/') THEN 'type'
           WHEN program AND ending IN ('jpg', 'jpeg', 'png', 'gif', 'bmp', 'ico', 'tif', 'tiff', 'webp', 'svg', 'mp3', 'wav', 'avi', 'mpg',
                                       'mpeg', 'mp4', 'mov', 'pdf', 'doc', 'docx', 'xls', 'xlsx', 'ppt', 'pptx', 'rtf', 'txt', 'css', 'htm',
                                       'html', 'xml', 'json', 'woff', 'woff2', 'ttf') THEN 'name'
           WHEN program AND regexp_matches(type, '^text/(css|html|xml)') AND ending NOT IN ('exe', 'dll', 'scr', 'com', 'msi', 'sys', 'ocx', 'cpl',
                                                                                            'bin', 'php', 'asp', 'aspx', 'jsp', 'cgi', 'pl', '')
             THEN 'type'
           WHEN regexp_matches(lower(COALESCE(name, '')), '[.](jpe?g|png|gif|bmp|pdf|docx?|xlsx?|pptx?|rtf|txt|html?|mp3|mp4|avi|mpe?g|wav|csv)\s*[.](exe|scr|pif|com|bat|cmd|vbs|vbe|js|jse|wsf|hta|lnk|cpl)\s*$')
             THEN 'double' END AS disguise
  FROM named)
SELECT sender, receiver, service, disguise, sent_by_src, COUNT(*) AS files, COUNT(DISTINCT sha256) AS contents,
       CAST(SUM(CASE WHEN program THEN 1 ELSE 0 END) AS BIGINT) AS programs, MIN(ts_ns) AS first_ns, MAX(ts_ns) AS last_ns,
       LIST(COALESCE(name, '') ORDER BY ts_ns, txn_id)[1:$samples] AS names,
       LIST(COALESCE(type, '') ORDER BY ts_ns, txn_id)[1:$samples] AS types,
       LIST(COALESCE(kind, '') ORDER BY ts_ns, txn_id)[1:$samples] AS kinds,
       LIST(COALESCE(bytes, 0) ORDER BY ts_ns, txn_id)[1:$samples] AS sizes,
       LIST(COALESCE(sha256, '') ORDER BY ts_ns, txn_id)[1:$samples] AS hashes,
       LIST(flow_id ORDER BY ts_ns, txn_id)[1:$samples] AS flow_ids, LIST(packet_id ORDER BY ts_ns, txn_id)[1:$samples] AS packet_ids
FROM judged
WHERE disguise IS NOT NULL
GROUP BY sender, receiver, service, disguise, sent_by_src
ORDER BY files DESC, sender, receiver, service, disguise, sent_by_src
