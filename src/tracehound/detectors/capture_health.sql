-- id: capture_health
-- version: 1
-- title: Does the evidence show both directions?
-- question: May failures be believed, or does the capture miss the replies?
-- what: TCP flows by what the evidence shows of them: both directions, an originator who acknowledges replies that are not
--   there, replies without their request (data or FIN, not the lone SYN-ACK and RST of backscatter), failed attempts.
-- why: A capture of one direction makes every conversation a failure, and every host a scanner.
-- look-alikes: A scan alone also fails nearly always, but its SYNs are never followed by acknowledgments.
-- tables: flows
-- cannot: tell anything of UDP
-- source: methods of the field: tcpdump one-way captures at asymmetric routes
-- technique: none
SELECT COUNT(*) AS flows,
       CAST(COALESCE(SUM(CASE WHEN proto = 6 AND outcome IN ('answered', 'accepted') THEN 1 ELSE 0 END), 0) AS BIGINT)
         AS succeeded,
       CAST(COALESCE(SUM(CASE WHEN proto = 6 AND outcome IN ('unanswered', 'refused', 'unreachable') THEN 1 ELSE 0 END), 0)
         AS BIGINT) AS failed,
       CAST(COALESCE(SUM(CASE WHEN proto = 6 AND outcome = 'unanswered' AND pkts_dst = 0
                               AND COALESCE(tcp_flags_src & 16, 0) <> 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS one_way,
       CAST(COALESCE(SUM(CASE WHEN proto = 6 AND outcome = 'midstream' AND (pkts_dst = 0 OR pkts_src = 0)
                               AND pkts_src + pkts_dst >= 3 THEN 1 ELSE 0 END), 0) AS BIGINT) AS one_way_midstream,
       CAST(COALESCE(SUM(CASE WHEN outcome = 'one_sided' AND proto = 6
                               AND (COALESCE(payload_dst, 0) + COALESCE(payload_src, 0) > 0
                                    OR COALESCE(tcp_flags_dst & 9, 0) <> 0 OR COALESCE(tcp_flags_src & 16, 0) <> 0) THEN 1 ELSE 0 END), 0) AS BIGINT) AS reply_only,
       CAST(COUNT(first_packet_id) AS BIGINT) AS from_packets,
       epoch_ns(MIN(start)) AS first_ns, epoch_ns(MAX("end")) AS last_ns
FROM flows
