-- id: host_requests
-- version: 4
-- title: Distinct HTTP requests of hosts
-- question: What did each host ever ask over HTTP?
-- what: Distinct request lines with their headers and the first bytes of their bodies, and the packet and target of the first of each.
-- why: Profiles of known malware know requests by their literal parts.
-- look-alikes: A literal such as b.cgi is a common word; profiles weigh it
-- parameter: hosts = none (addresses) the hosts, with a comma between them
-- parameter: max_rows = 5000 (rows) distinct requests returned a host
-- tables: http
-- cannot: read encrypted requests
-- source: RFC 9112
-- technique: none
SELECT src, method, uri, version, user_agent, name, header_names, header_values, body, dst, packet_id, flow_id, times
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY src ORDER BY times DESC, packet_id, flow_id, method, uri, version, user_agent, name, body) AS place
  FROM (
    SELECT src, method, uri, version, user_agent, host AS name, header_names, header_values, request_preview AS body, MIN(dst) AS dst,
           MIN(request_packet_id) AS packet_id, MIN(flow_id) AS flow_id, COUNT(*) AS times
    FROM http
    WHERE src IN (SELECT UNNEST(string_split($hosts, ','))) AND method IS NOT NULL
    GROUP BY src, method, uri, version, user_agent, host, header_names, header_values, request_preview) AS distinct_requests) AS ranked
WHERE place <= $max_rows
ORDER BY src, place
