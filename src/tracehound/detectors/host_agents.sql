-- id: host_agents
-- version: 1
-- title: Kinds of browser behind one address
-- question: Do many users share this address?
-- what: Distinct User-Agents that one address sent.
-- why: Behind address translation or a proxy the failures of many honest users add up to what looks like one prober.
-- look-alikes: A crawler may send several User-Agents
-- parameter: min_agents = 4 (User-Agents) addresses with fewer are left out
-- tables: http
-- cannot: see users who speak only encrypted protocols
-- source: methods of the field
-- technique: none
SELECT src, COUNT(DISTINCT user_agent) AS agents
FROM http
WHERE user_agent IS NOT NULL
GROUP BY src
HAVING COUNT(DISTINCT user_agent) >= $min_agents
ORDER BY src
