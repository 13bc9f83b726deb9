-- id: vertical_scans
-- version: 1
-- title: Many ports tried on one target
-- question: Which hosts try many ports of one target?
-- what: Per source, target and protocol: distinct ports, those that failed or stayed silent, their share with its Wilson
--   bound, and whether the ports are those of traceroute.
-- why: A port scan asks what a machine offers; most of the answers are no.
-- look-alikes: FTP and RPC data connections succeed; traceroute counts UDP ports up from 33434; a client that retries one
--   dead port is one port.
-- parameter: min_ports = 10 (ports) fewest distinct ports
-- parameter: fail_low = 0.5 (share) lower 95 % Wilson bound of ports that failed (UDP: failed or silent)
-- parameter: udp_ports = 20 (ports) fewest ports where UDP silence is all there is
-- divided: src
-- tables: contacts
-- cannot: see ports that a firewall before the capture has dropped
-- source: Zeek scan.zeek (15 ports in 5 minutes); Snort 3 port_scan
-- technique: T1046
WITH groups AS (
  SELECT src, dst, proto, COUNT(*) AS ports,
         CAST(SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) AS BIGINT) AS dead,
         CAST(SUM(CASE WHEN successes = 0 AND failures = 0 THEN 1 ELSE 0 END) AS BIGINT) AS silent,
         CAST(SUM(CASE WHEN successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS open,
         CAST(SUM(CASE WHEN dport BETWEEN 33434 AND 33690 THEN 1 ELSE 0 END) AS BIGINT) AS traceroute_ports,
         CAST(SUM(attempts) AS BIGINT) AS attempts, MIN(first_ns) AS first_ns, MAX(last_ns) AS last_ns,
         MAX(CASE WHEN named THEN 1 ELSE 0 END) AS named, CAST(SUM(payload_dst) AS BIGINT) AS payload_dst,
         CAST(SUM(CASE WHEN dport < 1024 THEN 1 ELSE 0 END) AS BIGINT) AS low_ports
  FROM contacts
  WHERE proto IN (6, 17, 132)
  GROUP BY src, dst, proto
  HAVING COUNT(*) >= $min_ports),
bounded AS (
  SELECT *, CAST(dead + CASE WHEN proto = 17 THEN silent ELSE 0 END AS DOUBLE) / ports AS fail_share,
         ((dead + CASE WHEN proto = 17 THEN silent ELSE 0 END) / CAST(ports AS DOUBLE) + 1.9207294 / ports
            - 1.959964 * SQRT((dead + CASE WHEN proto = 17 THEN silent ELSE 0 END) / CAST(ports AS DOUBLE)
                * (1 - (dead + CASE WHEN proto = 17 THEN silent ELSE 0 END) / CAST(ports AS DOUBLE)) / ports
                + 0.9603647 / (CAST(ports AS DOUBLE) * ports))) / (1 + 3.8414588 / ports) AS fail_lo
  FROM groups)
SELECT src, dst, proto,
       CASE
         WHEN proto = 17 AND traceroute_ports >= 0.9 * ports THEN NULL
         WHEN proto = 17 AND dead < 5 AND (ports < $udp_ports OR low_ports = 0) THEN NULL
         WHEN fail_lo >= $fail_low THEN 'failures'
       END AS rule,
       ports, dead, silent, open, traceroute_ports, low_ports, attempts, first_ns, last_ns, named, payload_dst,
       fail_share, fail_lo
FROM bounded
ORDER BY ports DESC, src, dst, proto
