-- id: host_requests
-- version: 2
-- title: Distinct HTTP requests of one host
-- question: What did the host ever ask over HTTP?
-- what: Distinct request lines with their headers, and the packet and target of the first of each.
-- why: Profiles of known malware know requests by their literal parts.
-- look-alikes: A literal such as b.cgi is a common word; profiles weigh it
-- parameter: host = none (address) the host
-- parameter: max_rows = 5000 (rows) distinct requests returned
-- tables: http
-- cannot: read encrypted requests
-- source: RFC 9112
-- technique: none
SELECT method, uri, version, user_agent, host AS name, header_names, header_values, MIN(dst) AS dst, MIN(request_packet_id) AS packet_id,
       MIN(flow_id) AS flow_id, COUNT(*) AS times
FROM http
WHERE src = $host AND method IS NOT NULL
GROUP BY method, uri, version, user_agent, host, header_names, header_values
ORDER BY times DESC, packet_id, flow_id, method, uri, version, user_agent, name
LIMIT $max_rows
