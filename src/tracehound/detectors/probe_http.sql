-- id: probe_http
-- version: 1
-- title: What probes asked over HTTP, and what they got
-- question: What did the requests of one probing host look like, and what answered them?
-- what: HTTP transactions on the flows of the probes.
-- why: Constant parts of the requests make a rule; the answers tell a live controller from a chance web server.
-- look-alikes: A status of 400 or 404 is a web server that knows nothing of the request
-- parameter: host = none (address) the probing host
-- parameter: proto = 6 (protocol number) IP protocol of the probes
-- parameter: ports = all (ports) ports of the probes, as text with a comma before and after each, or all
-- parameter: target = all (address) the one target, or all
-- parameter: max_rows = 20000 (rows) transactions returned at most
-- tables: attempts, contacts, http
-- cannot: read encrypted requests
-- source: RFC 9112
-- technique: T1071.001
SELECT h.*
FROM http AS h
JOIN attempts AS a ON a.flow_id = h.flow_id
JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto AND c.dport = a.dport
WHERE a.src = $host AND c.src = $host AND c.proto = $proto
    AND ($ports = 'all' OR strpos($ports, ',' || CAST(c.dport AS VARCHAR) || ',') > 0)
    AND ($target = 'all' OR c.dst = $target) AND (NOT c.wanted OR $target = c.dst)
ORDER BY h.ts, h.txn_id
LIMIT $max_rows
