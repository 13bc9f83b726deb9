-- id: probe_attempts
-- version: 1
-- title: The attempts of one probing host
-- question: What exactly did one host try, in order?
-- what: The attempts of one host on the probed ports of targets that no name led to, in order of time. Where there are
--   more than can be looked at one by one, whole runs of neighbouring flows are taken at equal distances.
-- why: Order, pace, retries, source ports and header fields tell an ordinary stack from packets made by hand.
-- look-alikes: none; the host has been chosen by other detectors
-- parameter: host = none (address) the probing host
-- parameter: proto = 6 (protocol number) IP protocol of the probes
-- parameter: ports = all (ports) ports of the probes, as text with a comma before and after each, or all
-- parameter: target = all (address) the one target, or all
-- parameter: stride = 1 (runs) one run of flows in so many is taken
-- parameter: run_flows = 4096 (flows) length of a run
-- tables: attempts, contacts
-- cannot: show header fields that a flow log does not have
-- source: methods of the field
-- technique: T1046
SELECT a.flow_id, a.evidence_id, a.start_ns, a.end_ns, a.dst, a.sport, a.dport, a.outcome, a.class, a.tries, a.service,
       a.payload_src, a.payload_dst, a.icmp_type, a.icmp_code, a.ttl_src, a.syn_seq, a.syn_window, a.syn_options,
       a.ip_id_src, a.tcp_flags_src, a.first_packet_id, a.last_packet_id, c.first_flow_id = a.flow_id AS first_contact
FROM attempts AS a
JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
WHERE a.src = $host AND c.src = $host AND c.proto = $proto
    AND ($ports = 'all' OR strpos($ports, ',' || CAST(c.dport AS VARCHAR) || ',') > 0)
    AND ($target = 'all' OR c.dst = $target) AND (NOT c.wanted OR $target = c.dst)
    AND MOD(CAST(FLOOR(a.flow_id / $run_flows) AS BIGINT), $stride) = 0
ORDER BY a.start_ns, a.flow_id
