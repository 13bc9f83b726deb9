-- id: internal_spread
-- version: 1
-- title: One host's pattern, taken up by those it contacted
-- question: Does one host's pattern of contacts go on from the hosts that it reached?
-- what: Hosts that try one service on many targets (spreaders), and for each the host that reached it on that very service before it
--   began, being a spreader already: pairs of parent and child with the moments of contact and beginning.
-- why: A worm that takes a host goes on from there in the same way. Two hosts that scan are two findings; a host that begins to scan
--   just after another that scans had reached it on that port is an infection.
-- look-alikes: Mail and name servers pass on what they get; peers of a peer-to-peer network contact each other; a jump host, a
--   deployment or a monitoring server contacts many after somebody logged in to it: such a child succeeds nearly always.
-- parameter: max_delay_ns = 86400000000000 (ns) longest time from contact to beginning
-- tables: attempts, spreaders
-- cannot: see an infection by another way than the spreading service; order events of files whose clocks differ
-- source: Ellis, Aiken, Attwood, Tenaglia, A Behavioral Approach to Worm Detection, WORM 2004 (alpha-in alpha-out, fan-out, tree);
--   Staniford-Chen et al., GrIDS, NISSC 1996
-- technique: T1210
WITH reached AS (
  SELECT a.src AS parent, a.dst AS child, a.proto, a.dport, a.start_ns AS contact_ns, a.flow_id, a.first_packet_id,
         c.onset_ns, c.targets, c.dead, c.last_ns, c.request_median, p.targets AS parent_targets, p.onset_ns AS parent_onset_ns,
         p.request_median AS parent_request, c.flow_id AS onset_flow_id,
         ROW_NUMBER() OVER (PARTITION BY a.dst, a.proto, a.dport ORDER BY a.start_ns DESC, a.flow_id DESC) AS place
  FROM attempts AS a
  JOIN spreaders AS c ON c.src = a.dst AND c.proto = a.proto AND c.dport = a.dport
  JOIN spreaders AS p ON p.src = a.src AND p.proto = a.proto AND p.dport = a.dport
  WHERE (a.class = 'success' OR (a.proto = 17 AND a.class = 'neutral')) AND a.start_ns < c.onset_ns AND a.start_ns >= p.onset_ns
    AND c.onset_ns - a.start_ns <= $max_delay_ns)
SELECT parent, child, proto, dport, contact_ns, onset_ns, targets, dead, last_ns, request_median, parent_targets, parent_onset_ns,
       parent_request, LIST_VALUE(flow_id, onset_flow_id) AS flow_ids, first_packet_id AS packet_id
FROM reached
WHERE place = 1
ORDER BY onset_ns, child, proto, dport
