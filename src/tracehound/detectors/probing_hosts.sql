-- id: probing_hosts
-- version: 1
-- title: One service tried on many targets
-- question: Which hosts try one service on many targets, and how did that fare over the whole evidence?
-- what: Per source, protocol and port, over the targets that no name led to: distinct targets, those never reached, their
--   share with its 95 % Wilson bounds, revisits, gaps between first contacts, order of addresses, networks, sizes.
--   A group is called probing by one of the rules: failures (most targets were never reached), revisits (many dead targets
--   tried again and again), sweep (addresses in order, each tried a few times), silence (UDP of one size that nobody
--   answers), mixed (some fail, and the way of trying is a machine's), few (some targets, all
--   dead: enough only where nothing honest would try them).
-- why: Rates say nothing about a slow prober: three new targets a minute for days, or one every few minutes for a week,
--   hide below every per-minute threshold but not in the whole evidence. A fixed list of targets stops growing, but its
--   dead targets are tried again and again.
-- look-alikes: Peer-to-peer clients, crawlers, mail servers, resolvers and monitoring are told apart by host_roles;
--   targets looked up by name are left out here; a target that was ever reached does not count as failed, so one outage
--   of a monitored site accuses nobody.
-- parameter: min_targets = 10 (targets) fewest distinct targets of a group for every rule but few
-- parameter: few_targets = 5 (targets) fewest distinct targets of a group that is looked at, all of them dead (rule few)
-- parameter: fail_low = 0.5 (share) lower 95 % Wilson bound of never-reached targets for the rule failures
-- parameter: revisit_attempts = 5 (attempts) a dead target tried at least so often counts as revisited
-- parameter: revisit_span_ns = 3600000000000 (ns) and over at least this time
-- parameter: revisit_targets = 10 (targets) dead targets revisited for the rule revisits
-- parameter: mixed_targets = 20 (targets) fewest targets for the rules mixed, sweep and silence
-- parameter: mixed_fail = 0.2 (share) lower share of never-reached targets for the rule mixed
-- parameter: every_group = 0 (0 or 1) 1 shows every group with enough targets, also those that no rule can call probing
-- parameter: ordered = 0.9 (share) steps in one direction that make an order
-- divided: src
-- tables: contacts
-- cannot: tell a prober from a mail relay or crawler with dead targets where neither DNS nor successes are in the evidence
-- source: Jung et al., IEEE S&P 2004; Wilson, JASA 1927; whole-evidence features after Zeek scan.zeek, Slips and RITA
-- seen: TCP port 445 of 9 hosts in malcolm/plugins/bro-simple-scan/445_scan.pcap
-- technique: T1046
WITH likely AS (
  SELECT src, proto, dport
  FROM contacts WHERE NOT wanted
  GROUP BY src, proto, dport
  HAVING COUNT(*) >= $few_targets
     AND (SUM(CASE WHEN successes = 0 THEN 1 ELSE 0 END) >= $mixed_fail * COUNT(*)
          OR SUM(CASE WHEN successes = 0 AND attempts >= $revisit_attempts THEN 1 ELSE 0 END) >= $revisit_targets
          OR COUNT(*) >= $mixed_targets OR $every_group = 1)),
unnamed AS (
  SELECT c.*, CASE WHEN strpos(c.dst, ':') > 0 THEN NULL ELSE
              CAST(split_part(c.dst, '.', 1) AS BIGINT) * 16777216 + CAST(split_part(c.dst, '.', 2) AS BIGINT) * 65536
              + CAST(split_part(c.dst, '.', 3) AS BIGINT) * 256 + CAST(split_part(c.dst, '.', 4) AS BIGINT) END AS address
  FROM contacts AS c
  JOIN likely AS k ON k.src = c.src AND k.proto = c.proto AND k.dport = c.dport
  WHERE NOT c.wanted),
groups AS (
  SELECT src, proto, dport, COUNT(*) AS targets,
         CAST(SUM(CASE WHEN successes = 0 AND failures > 0 THEN 1 ELSE 0 END) AS BIGINT) AS dead,
         CAST(SUM(CASE WHEN successes = 0 AND failures = 0 THEN 1 ELSE 0 END) AS BIGINT) AS silent,
         CAST(SUM(CASE WHEN successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS reached,
         CAST(SUM(CASE WHEN successes > 0 AND answered = 0 THEN 1 ELSE 0 END) AS BIGINT) AS accepted_only,
         CAST(SUM(CASE WHEN successes = 0 AND failures > 0 AND attempts >= $revisit_attempts
                        AND last_ns - first_ns >= $revisit_span_ns THEN 1 ELSE 0 END) AS BIGINT) AS dead_revisited,
         CAST(SUM(CASE WHEN unreachable > 0 THEN 1 ELSE 0 END) AS BIGINT) AS unreachable,
         CAST(SUM(attempts) AS BIGINT) AS attempts, MIN(first_ns) AS first_ns, MAX(last_ns) AS last_ns,
         CAST(MEDIAN(attempts) AS DOUBLE) AS visits_median,
         COUNT(DISTINCT net) AS nets, COUNT(DISTINCT subnet) AS subnets,
         CASE WHEN MIN(request_min) = MAX(request_max) AND MAX(request_max) > 0 THEN 1 ELSE 0 END AS one_size,
         CAST(MEDIAN(request_max) AS DOUBLE) AS request_median, CAST(MEDIAN(payload_dst) AS DOUBLE) AS reply_median,
         CASE WHEN MIN(sport_min) = MAX(sport_max) THEN 1 ELSE 0 END AS one_sport,
         MAX(options_max) AS options_max,
         -- Of most of its targets it must be known whether a name led there.
         CASE WHEN 2 * SUM(CASE WHEN asks_dns THEN 1 ELSE 0 END) >= COUNT(*) THEN 1 ELSE 0 END AS asks_dns,
         CASE WHEN 2 * SUM(CASE WHEN watched THEN 1 ELSE 0 END) >= COUNT(*) THEN 1 ELSE 0 END AS watched
  FROM unnamed
  GROUP BY src, proto, dport
  -- Only what a rule could call probing: enough failed, or the targets lie together, so that an order may show.
  HAVING COUNT(*) >= $few_targets
     AND (SUM(CASE WHEN successes = 0 THEN 1 ELSE 0 END) >= $mixed_fail * COUNT(*)
          OR SUM(CASE WHEN successes = 0 AND attempts >= $revisit_attempts THEN 1 ELSE 0 END) >= $revisit_targets
          OR (COUNT(*) >= $mixed_targets AND (proto IN (1, 58) OR COUNT(DISTINCT net) <= 0.5 * COUNT(*)))
          OR $every_group = 1)),
-- Beside them, what names led to: where it is not known of most that none did, a client is judged by all that it visits.
visits AS (
  SELECT c.src, c.proto, c.dport, COUNT(*) AS all_targets, CAST(SUM(c.attempts) AS BIGINT) AS all_attempts,
         CAST(SUM(CASE WHEN c.successes > 0 THEN 1 ELSE 0 END) AS BIGINT) AS all_reached
  FROM contacts AS c JOIN groups AS g ON g.src = c.src AND g.proto = c.proto AND g.dport = c.dport
  WHERE NOT c.wanted OR c.named
  GROUP BY c.src, c.proto, c.dport),
steps AS (
  SELECT u.src, u.proto, u.dport,
         u.first_ns - LAG(u.first_ns) OVER w AS gap_ns, u.address - LAG(u.address) OVER w AS step
  FROM unnamed AS u
  JOIN groups AS g ON g.src = u.src AND g.proto = u.proto AND g.dport = u.dport
  WINDOW w AS (PARTITION BY u.src, u.proto, u.dport ORDER BY u.first_ns, u.first_flow_id)),
medians AS (
  SELECT src, proto, dport, CAST(MEDIAN(gap_ns) AS DOUBLE) AS gap_median_ns,
         CAST(SUM(CASE WHEN step > 0 THEN 1 ELSE 0 END) AS DOUBLE) / NULLIF(COUNT(step), 0) AS ascending,
         CAST(SUM(CASE WHEN step BETWEEN -4 AND 4 THEN 1 ELSE 0 END) AS DOUBLE) / NULLIF(COUNT(step), 0) AS neighbours
  FROM steps GROUP BY src, proto, dport),
spreads AS (
  SELECT s.src, s.proto, s.dport, CAST(MEDIAN(ABS(s.gap_ns - m.gap_median_ns)) AS DOUBLE) AS gap_mad_ns
  FROM steps AS s JOIN medians AS m ON m.src = s.src AND m.proto = s.proto AND m.dport = s.dport
  GROUP BY s.src, s.proto, s.dport),
largest AS (
  SELECT src, proto, dport, MAX(n) AS largest_net
  FROM (SELECT u.src, u.proto, u.dport, u.net, COUNT(*) AS n
        FROM unnamed AS u JOIN groups AS g ON g.src = u.src AND g.proto = u.proto AND g.dport = u.dport
        GROUP BY u.src, u.proto, u.dport, u.net) AS by_net
  GROUP BY src, proto, dport),
features AS (
  SELECT g.*, m.gap_median_ns, d.gap_mad_ns, m.ascending, m.neighbours, l.largest_net,
         v.all_targets, v.all_attempts, v.all_reached,
         CAST(g.dead + CASE WHEN g.proto IN (1, 6, 58) THEN 0 ELSE g.silent END AS DOUBLE) AS failed,
         CAST(g.targets AS DOUBLE) AS n
  FROM groups AS g
  JOIN medians AS m ON m.src = g.src AND m.proto = g.proto AND m.dport = g.dport
  JOIN spreads AS d ON d.src = g.src AND d.proto = g.proto AND d.dport = g.dport
  JOIN visits AS v ON v.src = g.src AND v.proto = g.proto AND v.dport = g.dport
  JOIN largest AS l ON l.src = g.src AND l.proto = g.proto AND l.dport = g.dport),
bounded AS (
  SELECT *, failed / n AS fail_share,
         (failed / n + 1.9207294 / n - 1.959964 * SQRT(failed / n * (1 - failed / n) / n + 0.9603647 / (n * n)))
           / (1 + 3.8414588 / n) AS fail_lo,
         (dead / n + 1.9207294 / n - 1.959964 * SQRT(dead / n * (1 - dead / n) / n + 0.9603647 / (n * n)))
           / (1 + 3.8414588 / n) AS dead_lo,
         CASE WHEN gap_mad_ns <= 0.5 * gap_median_ns THEN 1 ELSE 0 END AS regular,
         CASE WHEN ascending >= $ordered OR ascending <= 1 - $ordered THEN 1 ELSE 0 END AS in_order,
         CASE WHEN largest_net >= 0.9 * targets OR nets >= 0.8 * targets THEN 1 ELSE 0 END AS spread,
         CASE WHEN reached > 0 AND accepted_only >= 0.5 * reached THEN 1 ELSE 0 END AS wordless,
         CASE WHEN proto = 6 AND options_max = 0 THEN 1 ELSE 0 END AS no_options
  FROM features),
scored AS (
  SELECT *, regular + in_order + spread + wordless + no_options + one_size
            + CASE WHEN proto = 17 THEN one_sport ELSE 0 END AS traits
  FROM bounded)
SELECT src, proto, dport,
       CASE
         WHEN targets < $min_targets THEN CASE WHEN dead = targets THEN 'few' END
         WHEN proto <> 17 AND fail_lo >= $fail_low THEN 'failures'
         WHEN proto = 17 AND dead_lo >= $fail_low THEN 'failures'
         WHEN dead_revisited >= $revisit_targets THEN 'revisits'
         WHEN targets >= $mixed_targets AND in_order = 1 AND (visits_median < 5 OR fail_share >= $mixed_fail)
              AND (neighbours >= 0.5 OR largest_net >= 0.9 * targets) THEN 'sweep'
         WHEN proto = 17 AND targets >= $mixed_targets AND fail_lo >= $fail_low AND traits >= 2 THEN 'silence'
         WHEN targets >= $mixed_targets AND fail_share >= $mixed_fail AND traits >= 3 THEN 'mixed'
         WHEN proto IN (1, 58) AND targets >= $mixed_targets AND visits_median < 3 THEN 'sweep'
       END AS rule,
       targets, dead, silent, reached, accepted_only, dead_revisited, unreachable, attempts, first_ns, last_ns,
       visits_median, nets, subnets, largest_net, fail_share, fail_lo, gap_median_ns, gap_mad_ns, ascending, neighbours,
       one_size, request_median, reply_median, one_sport, regular, in_order, spread, wordless, no_options, traits, asks_dns,
       watched, all_targets, all_attempts, all_reached
FROM scored
ORDER BY targets DESC, src, proto, dport
