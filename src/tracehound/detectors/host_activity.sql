-- id: host_activity
-- version: 1
-- title: The host's other traffic
-- question: Was the host on the network before the probing began, and after it stopped?
-- what: Flows of one host that begin before, within and after a span of time, with the last before and the first after.
-- why: A host that falls silent altogether was switched off or cut off; one that goes on without probing has changed.
-- look-alikes: none
-- parameter: host = none (address) the host
-- parameter: from_ns = 0 (ns) begin of the span
-- parameter: to_ns = 0 (ns) end of the span
-- tables: flows
-- cannot: see a host that is on but silent
-- source: methods of the field
-- technique: none
SELECT CAST(COALESCE(SUM(CASE WHEN epoch_ns(start) < $from_ns THEN 1 ELSE 0 END), 0) AS BIGINT) AS before,
       CAST(COALESCE(SUM(CASE WHEN epoch_ns(start) > $to_ns THEN 1 ELSE 0 END), 0) AS BIGINT) AS after,
       MAX(CASE WHEN epoch_ns(start) < $from_ns THEN epoch_ns(start) END) AS last_before_ns,
       MIN(CASE WHEN epoch_ns(start) > $to_ns THEN epoch_ns(start) END) AS first_after_ns,
       COUNT(*) AS flows
FROM flows
WHERE src = $host OR dst = $host
