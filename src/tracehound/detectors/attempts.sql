-- id: attempts
-- version: 1
-- title: Connection attempts
-- question: What did each host try, and how did each try fare?
-- what: One row an attempt: flows of one 5-tuple that failed and follow each other within the merge time are one
--   attempt. Each row has a class: success, failure, or neutral (silence on UDP proves nothing).
-- why: A log writes one unanswered connection as up to three records, and a stack sends its SYN up to seven times;
--   counted raw, a stubborn client looks like a scanner.
-- look-alikes: Backscatter and replies seen without their request are left out, as are multicast and broadcast,
--   connections met in their middle, and conversations of which the capture shows one direction only. First packets
--   with the flags NULL, FIN or FIN PSH URG open nothing that an ordinary stack would open: they are attempts.
-- parameter: merge_ns = 75000000000 (ns) failed flows of one 5-tuple at most this far apart are one attempt
-- divided: src
-- tables: flows
-- cannot: tell silence from loss of the reply in the capture; the one-sided check of capture_health does that for all
-- source: methods of the field: Zeek conn_state timers; Jung, Paxson, Berger, Balakrishnan, IEEE S&P 2004
-- technique: none
WITH base AS (
  SELECT flow_id, evidence_id, epoch_ns(start) AS start_ns, epoch_ns("end") AS end_ns, src, dst, CAST(proto AS INTEGER) AS proto,
         CAST(sport AS INTEGER) AS sport, CAST(dport AS INTEGER) AS dport, service,
         CASE
           WHEN outcome <> 'midstream' THEN outcome
           WHEN (tcp_flags_dst & 4) <> 0 THEN 'refused'
           ELSE 'unanswered'
         END AS outcome,
         CASE
           WHEN outcome IN ('answered', 'accepted') THEN 'success'
           WHEN outcome = 'midstream' THEN 'failure'
           WHEN outcome = 'unreachable' THEN 'failure'
           WHEN proto IN (1, 6, 58) THEN 'failure'
           ELSE 'neutral'
         END AS class,
         COALESCE(syn_count, 0) AS tries, pkts_src, pkts_dst,
         COALESCE(payload_src, 0) AS payload_src, COALESCE(payload_dst, 0) AS payload_dst,
         icmp_type, icmp_code, icmp_from, ttl_src, syn_seq, syn_window, syn_options, ip_id_src,
         tcp_flags_src, first_packet_id, last_packet_id
  FROM flows
  WHERE outcome <> 'one_sided'
    AND (proto NOT IN (1, 58) OR (proto = 1 AND sport IN (8, 13, 15, 17)) OR (proto = 58 AND sport = 128))
    AND (outcome <> 'midstream'
         OR (proto = 6 AND tcp_flags_src IN (0, 1, 41) AND COALESCE(payload_src, 0) = 0 AND pkts_src <= 4))
    AND NOT (proto = 6 AND outcome = 'unanswered' AND pkts_dst = 0 AND COALESCE(tcp_flags_src & 16, 0) <> 0)
    AND NOT (proto = 17 AND outcome = 'unanswered' AND dport >= 1024
             AND sport IN (53, 67, 68, 69, 123, 137, 138, 161, 443, 500, 514, 1900, 5353, 5355))
    AND src NOT IN ('0.0.0.0', '::')
    AND dst NOT LIKE 'ff%:%'
    AND (strpos(dst, ':') > 0 OR CAST(split_part(dst, '.', 1) AS INTEGER) BETWEEN 1 AND 223)),
failing AS (
  SELECT flow_id, src, dst, proto, sport, dport, start_ns, end_ns,
         LAG(end_ns) OVER (PARTITION BY src, sport, dst, dport, proto ORDER BY start_ns, flow_id) AS before_ns
  FROM base
  WHERE proto = 6 AND class = 'failure'),
marked AS (
  SELECT *, SUM(CASE WHEN before_ns IS NULL OR start_ns - before_ns > $merge_ns THEN 1 ELSE 0 END)
              OVER (PARTITION BY src, sport, dst, dport, proto ORDER BY start_ns, flow_id
                    ROWS UNBOUNDED PRECEDING) AS attempt
  FROM failing),
joined AS (
  SELECT flow_id, FIRST_VALUE(flow_id) OVER (PARTITION BY src, sport, dst, dport, proto, attempt
                                             ORDER BY start_ns, flow_id ROWS UNBOUNDED PRECEDING) AS head_id
  FROM marked
  WHERE attempt IS NOT NULL),
merged AS (
  SELECT j.head_id, MAX(b.end_ns) AS end_ns, CAST(SUM(b.tries) AS BIGINT) AS tries,
         CAST(SUM(b.pkts_src) AS BIGINT) AS pkts_src, CAST(SUM(b.pkts_dst) AS BIGINT) AS pkts_dst,
         MAX(CASE b.outcome WHEN 'unreachable' THEN 3 WHEN 'refused' THEN 2 ELSE 1 END) AS hardest,
         MAX(b.icmp_type) AS icmp_type, MAX(b.icmp_code) AS icmp_code, MAX(b.icmp_from) AS icmp_from,
         MAX(b.last_packet_id) AS last_packet_id, COUNT(*) AS flows
  FROM joined AS j JOIN base AS b ON b.flow_id = j.flow_id
  GROUP BY j.head_id
  HAVING COUNT(*) > 1),
later AS (
  SELECT j.flow_id FROM joined AS j WHERE j.flow_id <> j.head_id)
SELECT b.flow_id, b.evidence_id, b.start_ns, COALESCE(m.end_ns, b.end_ns) AS end_ns, b.src, b.dst, b.proto, b.sport, b.dport, b.service,
       CASE m.hardest WHEN 3 THEN 'unreachable' WHEN 2 THEN 'refused' WHEN 1 THEN 'unanswered' ELSE b.outcome
       END AS outcome,
       b.class, COALESCE(m.tries, b.tries) AS tries, COALESCE(m.pkts_src, b.pkts_src) AS pkts_src,
       COALESCE(m.pkts_dst, b.pkts_dst) AS pkts_dst, b.payload_src, b.payload_dst,
       COALESCE(m.icmp_type, b.icmp_type) AS icmp_type, COALESCE(m.icmp_code, b.icmp_code) AS icmp_code,
       COALESCE(m.icmp_from, b.icmp_from) AS icmp_from, b.ttl_src, b.syn_seq, b.syn_window, b.syn_options, b.ip_id_src,
       b.tcp_flags_src, b.first_packet_id, COALESCE(m.last_packet_id, b.last_packet_id) AS last_packet_id,
       CAST(COALESCE(m.flows, 1) AS BIGINT) AS flows
FROM base AS b
LEFT JOIN merged AS m ON m.head_id = b.flow_id
LEFT JOIN later AS l ON l.flow_id = b.flow_id
WHERE l.flow_id IS NULL
ORDER BY b.start_ns, b.flow_id
