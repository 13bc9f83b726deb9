-- id: probe_outcomes
-- version: 2
-- title: How the attempts of one probing host fared
-- question: How many attempts were unanswered, refused, unreachable, accepted without a word, or answered?
-- what: Attempts, distinct targets and SYNs by outcome, ICMP type and code, over all attempts of one host on the probed
--   ports; the lowest of the ports that took a connection or answered.
-- why: Those few who answered are the finding: live controllers, infected peers, or honest servers at a wrong address.
-- look-alikes: An ICMP prohibition comes from a filter and says nothing of the target
-- parameter: host = none (address) the probing host
-- parameter: proto = 6 (protocol number) IP protocol of the probes
-- parameter: ports = all (ports) ports of the probes, as text with a comma before and after each, or all
-- parameter: target = all (address) the one target, or all
-- parameter: shown_ports = 24 (ports) how many of the ports that accepted or answered are named
-- tables: attempts, contacts
-- cannot: tell an accepted connection without payload from a reply that the capture cut away
-- source: RFC 792, RFC 1122 3.2.2.1, RFC 4443; Zeek conn_state
-- technique: T1046
SELECT a.outcome, a.icmp_type, a.icmp_code, COUNT(*) AS attempts, COUNT(DISTINCT a.dst) AS targets,
       CAST(SUM(a.tries) AS BIGINT) AS tries, COUNT(DISTINCT a.dport) AS ports,
       list_sort(LIST(DISTINCT a.dport) FILTER (a.outcome IN ('accepted', 'answered')))[1:$shown_ports] AS open_ports, MIN(a.start_ns) AS first_ns, MAX(a.start_ns) AS last_ns
FROM attempts AS a
JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
WHERE a.src = $host AND c.src = $host AND c.proto = $proto
    AND ($ports = 'all' OR strpos($ports, ',' || CAST(c.dport AS VARCHAR) || ',') > 0)
    AND ($target = 'all' OR c.dst = $target) AND (NOT c.wanted OR $target = c.dst)
GROUP BY a.outcome, a.icmp_type, a.icmp_code
ORDER BY attempts DESC, a.outcome, a.icmp_type, a.icmp_code
