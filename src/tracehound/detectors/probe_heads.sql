-- id: probe_heads
-- version: 2
-- title: First bytes of the probes and of their answers
-- question: What did the probes of one host send, and what came back, where there is no parser for it?
-- what: First payload bytes of both directions on the flows of the probes; of a short first payload and the same joined with
--   what followed it, the longer.
-- why: Worms and scanners send the same bytes to all; the first bytes of an answer name the protocol.
-- look-alikes: Ordinary clients of one protocol also begin alike
-- parameter: host = none (address) the probing host
-- parameter: proto = 6 (protocol number) IP protocol of the probes
-- parameter: ports = all (ports) ports of the probes, as text with a comma before and after each, or all
-- parameter: target = all (address) the one target, or all
-- parameter: max_rows = 20000 (rows) heads returned at most
-- tables: attempts, contacts, heads
-- cannot: show more than the first bytes (limits.HEAD_BYTES)
-- source: methods of the field
-- technique: none
SELECT h.flow_id, h.from_originator, h.packet_id, h.payload_len, h.head, a.dst, a.dport, a.start_ns
FROM heads AS h
JOIN attempts AS a ON a.flow_id = h.flow_id
JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
WHERE a.src = $host AND c.src = $host AND c.proto = $proto
    AND ($ports = 'all' OR strpos($ports, ',' || CAST(c.dport AS VARCHAR) || ',') > 0)
    AND ($target = 'all' OR c.dst = $target) AND (NOT c.wanted OR $target = c.dst)
QUALIFY ROW_NUMBER() OVER (PARTITION BY h.flow_id, h.from_originator ORDER BY h.payload_len DESC, h.packet_id) = 1
ORDER BY a.start_ns, h.flow_id, h.from_originator
LIMIT $max_rows
