"""In: a way to ask the tables, the detectors, and what is known of the run (home networks, files, quality). Out: the
verdict. Never here: a statement's making (the other files of this folder); this file only calls them in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tracehound.detectors.catalog import Ask, Catalog, tables_of
from tracehound.findings import answers as answering
from tracehound.findings import conduct
from tracehound.findings import outcomes as outcoming
from tracehound.findings.citations import Citer
from tracehound.findings.identity import HostSigns, host_measures, identities, named, observations, service_name
from tracehound.findings.known import candidates
from tracehound.findings.model import (
    AnswerKind,
    Citation,
    Confidence,
    EvidenceItem,
    Finding,
    Identity,
    Innocent,
    OutcomeCount,
    Probing,
    QualityItem,
    TargetSummary,
    TimelineBin,
    TurningPoint,
    Verdict,
)
from tracehound.findings.naming import finding as name_finding
from tracehound.findings.naming import outside_sentence, told
from tracehound.findings.observed import PLACES, Columns, columns_of, of_hosts
from tracehound.findings.order import first_rows, port_order, revisits, target_order
from tracehound.findings.probes import Probes, from_table
from tracehound.findings.samples import samples
from tracehound.findings.setting import Setting
from tracehound.findings.stack import stack
from tracehound.findings.suspects import Answers, Suspect, choose
from tracehound.findings.template import align
from tracehound.findings.turning_point import phases, phases_text, stands_out, turning_points
from tracehound.findings.wording import S_NS, count, duration, listing, moment, per_minute, percent, service
from tracehound.profiles.profile import Profile

MAX_PROBES: Final = 200_000
"""Attempts of one suspect looked at one by one; beyond it runs of neighbouring flows are taken at equal distances."""
MAX_PROBING: Final = 20
"""Suspects of the home networks described in full."""
MAX_EXTERNAL: Final = 10
"""Outside scanners described in full; the others are counted."""
MAX_KNOWN: Final = 50
"""Home hosts with a telling sign of known malware that are weighed in full, those with most signs first; others are counted."""
MAX_KNOWN_OUTSIDE: Final = 16
"""The same for outside hosts; worms of the day come from hundreds, and a few tell what they are."""
FEWEST_IN_PERCENT: Final = 5
"""Of fewer targets the sentence gives no share."""
HOSTS_AT_ONCE: Final = 64
"""Hosts whose signs are gathered with one question a table; each may show some thousand of each kind."""
MAX_INNOCENTS: Final = 20
MAX_LISTED: Final = 200
"""Hosts that a query is narrowed to by name."""
TIERS: Final = ("confirmed", "likely", "possible")
ONE_SIDED_SHARE: Final = 0.5
"""Share of conversations of which only one direction is in the evidence, from which on failures are not believed."""
BINS_NS: Final = tuple(
    int(s * S_NS)
    for s in (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
)

TargetsOf = Callable[[Probing, Probes, Ask], TargetSummary]
"""Who the targets are, by the address table."""


def tables_asked(catalog: Catalog) -> frozenset[str]:
    """Every table that a verdict may ask: those of the detectors' pages, those where signs of known malware stand, and those that
    name addresses (enrich/names.py). A run for a verdict alone needs no other."""
    return catalog.reads() | {place.table for place in PLACES} | {"dns", "http", "heads"}


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of the run beside the tables."""

    evidence: tuple[EvidenceItem, ...] = ()
    quality: tuple[QualityItem, ...] = ()
    home_networks: tuple[str, ...] = ()
    home_reason: str = ""
    version: str = ""
    synthetic: str = ""


def judge(
    ask: Ask,
    catalog: Catalog,
    run: Run,
    *,
    host: str | None = None,
    profiles: Sequence[Profile] = (),
    targets_of: TargetsOf | None = None,
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> Verdict:
    """The verdict over the tables that `ask` reaches (at least `flows`).

    `host` narrows the findings to one host; `overrides` are detector parameters (detector id -> name -> value)."""
    available = tables_of(ask)
    given = overrides or {}
    health = catalog.run("capture_health", ask, available).to_pylist()[0]
    if not health["flows"]:
        return _without_flows(ask, catalog, run, available, host)
    for name in ("attempts", "contacts"):
        catalog = catalog.materialise(name, ask, available, **given.get(name, {}))
    available = available | {"attempts", "contacts"}

    def answer(name: str, **parameters: object) -> list[dict[str, Any]]:
        table = catalog.run(name, ask, available, **{**given.get(name, {}), **parameters})
        # Python's own datetime has no nanoseconds: times go on as numbers.
        schema = pa.schema([pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in table.schema])
        rows: list[dict[str, Any]] = table.cast(schema).to_pylist()
        return rows

    home = _home(ask, available)
    tried = ask("SELECT DISTINCT src FROM contacts WHERE successes > 0", {})["src"].to_pylist()
    hosts = len(home.intersection(tried)) if home else len(tried)
    view = _View(ask, catalog, available, _citer(ask, available, run), health, answer, hosts, columns_of(ask, available))
    unanswerable = _unanswerable(view)
    one_sided = one_sided_reason(health)
    roles = answer("host_roles")
    if one_sided is not None:
        suspects: list[Suspect] = []
        innocents: list[Innocent] = []
        unanswerable.append(("Which hosts probe others?", one_sided))
    else:
        services = answer("probing_hosts")
        walkers = sorted({r["src"] for r in services if r["rule"] is not None})
        suspects, innocents = choose(
            Answers(
                services=services,
                verticals=answer("vertical_scans"),
                blocks=answer("block_scans"),
                walks=answer("trw", hosts=_listed(walkers)) if walkers else [],
                roles=roles,
                outages=answer("outages"),
                agents=answer("host_agents") if "http" in available else [],
            ),
            home,
        )
    inside = [s for s in suspects if not home or s.host in home]
    outside = [s for s in suspects if home and s.host not in home]
    if host is not None:
        inside = [s for s in inside if s.host == host]
        outside = [s for s in outside if s.host == host]
    accused = {s.host for s in inside} | {s.host for s in outside}
    innocents = [
        i for i in innocents if i.host not in accused and (not home or i.host in home) and host in (None, i.host)
    ]
    findings: list[Finding] = []
    described = [s for s in (*inside[:MAX_PROBING], *outside[:MAX_EXTERNAL]) if profiles and s.shape != "vertical"]
    shown = _signs(view, [s.host for s in described])
    for suspect in inside[:MAX_PROBING]:
        probing, citer_findings = _describe(view, suspect, _probed(inside, suspect.host), profiles, targets_of, shown)
        findings += _findings(view, suspect, probing, citer_findings, "probing_host", len(findings))
    for suspect in outside[:MAX_EXTERNAL]:
        probing, citer_findings = _describe(view, suspect, _probed(outside, suspect.host), profiles, None, shown)
        findings += _findings(view, suspect, probing, citer_findings, "external_scan", len(findings))[:1]
    recognised, groups, not_weighed = _known(view, profiles, findings, home, host)
    first = _first_flows(view, [hosts[0] for hosts, _, _ in groups])
    abroad = [
        name_finding(
            hosts, one, span, len(recognised) + n, view.citer, more=not_weighed > 0, otherwise=first[hosts[0]]
        )
        for n, (hosts, one, span) in enumerate(groups, 1)
    ]
    behaving, regular, needs = _conduct(view, home, host, suspects, roles)
    unanswerable += needs
    exposures = [f for f in behaving if f.kind in conduct.EXPOSURES]
    near = conduct.EXPOSURES | conduct.ON_LINK
    far = [f for f in behaving if f.kind not in near and home and f.host is not None and f.host not in home]
    recognised += [f for f in behaving if f not in exposures and f not in far]
    recognised.sort(key=lambda f: -f.confidence.value)
    innocents = [i for i in [*innocents, *regular] if i.host not in {f.host for f in recognised}]
    verdict_findings = (*findings, *recognised, *abroad, *far, *exposures)
    others = outside_sentence([group[:2] for group in groups], not_weighed > 0) + "".join(
        f" From outside: {f.statement}" for f in far[:2]
    )
    return Verdict(
        summary=summary(verdict_findings, inside, outside, one_sided, health, host, recognised, others),
        findings=verdict_findings,
        innocents=tuple(innocents[:MAX_INNOCENTS]),
        unanswerable=tuple(unanswerable),
        quality=run.quality,
        evidence=run.evidence,
        home_networks=run.home_networks,
        home_reason=run.home_reason,
        counts=_counts(view, available, suspects),
        method=_method(catalog),
        looked_for=_looked_for(catalog, profiles),
        version=run.version,
        synthetic=run.synthetic,
        start_ns=min(_known_times(health["first_ns"], *(e.start_ns for e in run.evidence)), default=None),
        end_ns=max(_known_times(health["last_ns"], *(e.end_ns for e in run.evidence)), default=None),
        extra={
            **({"hosts_with_signs_not_weighed": not_weighed} if not_weighed else {}),
            "suspects_not_described": max(0, len(inside) - MAX_PROBING),
            "external_scanners": len({s.host for s in outside}),
        },
    )


def _known_times(*times_ns: int | None) -> list[int]:
    """Evidence spans its packets, also those that belong to no flow; a log may not say its span, and nothing has no flows."""
    return [t for t in times_ns if t is not None]


def _listed(hosts: Sequence[str]) -> str:
    """Hosts as the detectors take them; so many that a list would not help: all."""
    return f",{','.join(hosts)}," if len(hosts) <= MAX_LISTED else "all"


@dataclass(frozen=True, slots=True)
class _View:
    ask: Ask
    catalog: Catalog
    available: frozenset[str]
    citer: Citer
    health: Mapping[str, Any]
    answer: Callable[..., list[dict[str, Any]]]
    hosts: int
    columns: Columns


def one_sided_reason(health: Mapping[str, Any]) -> str | None:
    """Why failures cannot be believed, or None. A scan alone also fails nearly always, but nobody acknowledges replies that
    are not there."""
    one_way = health["one_way"] + health["one_way_midstream"] + health["reply_only"]
    both = health["succeeded"]
    if one_way >= 20 and one_way > ONE_SIDED_SHARE * (one_way + both):
        return (
            f"a capture of both directions: {one_way:,} of {one_way + both:,} TCP conversations show one direction only, "
            "so a failed attempt cannot be told from a reply that was not captured"
        )
    return None


# -- one suspect ------------------------------------------------------------------------------------------------------------


def _describe(
    view: _View,
    suspect: Suspect,
    probed: frozenset[str],
    profiles: Sequence[Profile],
    targets_of: TargetsOf | None,
    signs: Iterator[tuple[str, HostSigns]],
) -> tuple[Probing, Probes]:
    """`signs` are those of the suspects that profiles are weighed for, in the order in which they are described."""
    parameters = suspect.parameters
    stride = max(1, math.ceil(suspect.attempts / MAX_PROBES))
    table: pa.Table = view.catalog.run("probe_attempts", view.ask, view.available, stride=stride, **parameters)
    probes = from_table(table, stride)
    counts = outcoming.outcome_counts(
        view.answer("probe_outcomes", **parameters), probes, view.citer, version6=":" in suspect.host
    )
    requests = _with_ns(view.answer("probe_http", **parameters)) if "http" in view.available else []
    heads = view.answer("probe_heads", **parameters) if "heads" in view.available else []
    kinds = _answers(requests, heads, view.citer)
    first, last = int(probes.start_ns[0]), int(probes.start_ns[-1])
    span_min = max((last - first) / (60 * S_NS), 1e-9)
    firsts = probes.start_ns[first_rows(probes)]
    new_span = max((int(firsts[-1]) - first) / (60 * S_NS), 1e-9)
    attempts = sum(c.attempts for c in counts)
    order = port_order(probes) if suspect.shape == "vertical" else target_order(probes)
    again = revisits(probes)
    active = _active_share(probes)
    distinct = len(probes.targets) if suspect.shape != "horizontal" else max(len(probes.targets), _targets(suspect))
    bin_ns = _bin_ns(view.health["first_ns"], view.health["last_ns"])
    spans = phases(probes, view.health["first_ns"], view.health["last_ns"] + 1)
    probing = Probing(
        host=suspect.host,
        service=service(suspect.proto, suspect.dport),
        proto=suspect.proto,
        dport=suspect.dport,
        shape=suspect.shape,
        start_ns=first,
        end_ns=last,
        attempts=attempts,
        targets=distinct,
        attempts_per_min=round((attempts - 1) / span_min, 3) if attempts > 1 else 0.0,
        new_targets_per_min=round((distinct - 1) / new_span, 3) if distinct > 1 else 0.0,
        active_share=round(active, 3),
        order=order.text,
        revisits=again.text,
        stack=stack(probes, suspect.proto),
        outcomes=counts,
        answers=tuple(kinds),
        template=align(samples(requests, heads, suspect.host, view.citer)),
        target_summary=TargetSummary(targets=distinct, order=order.text, revisits=again.text),
        turning_points=_turning_points(view, suspect, probes),
        identities=(),
        timeline=timeline(probes, view.health["first_ns"], view.health["last_ns"], bin_ns),
        bin_ns=bin_ns,
        measures=(*suspect.figures, *((("pace", phases_text(spans)),) if spans else ()), *_retries(counts)),
        payload_seen=bool(requests or heads) or table["first_packet_id"].null_count < table.num_rows,
    )
    if targets_of is not None:
        probing = replace(probing, target_summary=targets_of(probing, probes, view.ask))
    if profiles and suspect.shape != "vertical":
        _, shown = next(signs)
        probing = replace(
            probing, identities=identities(profiles, probing, probes, replace(shown, probed=probed), view.citer)
        )
    return probing, probes


def _probed(suspects: Sequence[Suspect], host: str) -> frozenset[str]:
    """All services that one host probes, as profiles name them."""
    names = set()
    for s in suspects:
        if s.host == host and s.shape != "vertical":
            ports = [int(p) for p in s.ports.split(",") if p.isdigit()] if s.ports != "all" else []
            names |= {service_name(s.proto, p) for p in ports} or {service_name(s.proto, None)}
    return frozenset(names)


def _signs(view: _View, hosts: Sequence[str]) -> Iterator[tuple[str, HostSigns]]:
    """(host, signs) of each host, in their order; some hosts are asked for at once, since each question goes through all of
    the evidence."""
    packets = bool(view.health["from_packets"])
    for at in range(0, len(hosts), HOSTS_AT_ONCE):
        some = hosts[at : at + HOSTS_AT_ONCE]
        listed = ",".join(dict.fromkeys(some))

        def by_host(name: str, table: str, owner: str, listed: str = listed) -> dict[str, list[dict[str, Any]]] | None:
            if table not in view.available:
                return None
            rows: dict[str, list[dict[str, Any]]] = {}
            for row in view.answer(name, hosts=listed):
                rows.setdefault(row[owner], []).append(row)
            return rows

        def of(rows: dict[str, list[dict[str, Any]]] | None, host: str) -> list[dict[str, Any]] | None:
            # A flow log that shows nothing of a host could not have shown it.
            return None if rows is None or (not packets and host not in rows) else rows.get(host, [])

        requests = by_host("host_requests", "http", "src")
        payloads = by_host("host_payloads", "heads", "host")
        names = by_host("host_names", "dns", "src")
        services = by_host("host_services", "contacts", "host") or {}
        more = of_hosts(view.ask, view.columns, list(dict.fromkeys(some)))
        for host in some:
            yield host, HostSigns(
                requests=of(requests, host), payloads=of(payloads, host), names=of(names, host),
                services=services.get(host, []), probed=frozenset(), more=more[host],
            )  # fmt: skip


_Group = tuple[list[str], Identity, tuple[int, int]]
"""Hosts that were recognised at the same, the best fitting identity among them, and when they were seen."""


def _known(
    view: _View, profiles: Sequence[Profile], described: Sequence[Finding], home: frozenset[str], host: str | None
) -> tuple[list[Finding], list[_Group], int]:
    """Hosts that are recognised by what they send, whether they probe or not: a finding a home host, outside hosts by family;
    and how many were too many to weigh."""
    already = {f.host for f in described if f.probing is not None and f.probing.identities}
    hosts = candidates(profiles, view.ask, view.available, view.columns)
    drops = {r["src"]: (r,) for r in view.answer("dropped_handshakes")} if profiles else {}
    hosts.update(drops.keys() - {f.host for f in described})
    ranked = sorted((h for h in hosts if host in (None, h) and h not in already), key=lambda h: (-hosts[h], h))
    near = [h for h in ranked if not home or h in home]
    far = [h for h in ranked if home and h not in home]
    weighed = [*near[:MAX_KNOWN], *far[:MAX_KNOWN_OUTSIDE]]
    found: list[tuple[str, Identity, tuple[int, int]]] = []
    spans = _spans(view, weighed)
    for one, signs in _signs(view, weighed):
        low, high = spans[one]
        figures = host_measures(signs, drops.get(one, ()), high - low)
        seen = observations(signs, figures, low)
        found += [(one, identity, (low, high)) for identity in told(named(profiles, seen, view.citer))]
    found.sort(key=lambda f: (TIERS.index(f[1].tier), -f[1].score, f[0]))
    inside = [f for f in found if not home or f[0] in home]
    first = _first_flows(view, sorted({one for one, _, _ in inside}))
    findings = [
        name_finding([one], identity, span, n, view.citer, otherwise=first[one])
        for n, (one, identity, span) in enumerate(inside, 1)
    ]
    groups: dict[str, _Group] = {}
    for one, identity, span in found:
        if home and one not in home:
            those, best, when = groups.get(identity.family, ([], identity, span))
            groups[identity.family] = [*those, one], best, (min(when[0], span[0]), max(when[1], span[1]))
    return findings, list(groups.values()), len(ranked) - len(weighed)


_AMONG: Final = "IN (SELECT UNNEST(string_split($hosts, ',')))"


def _spans(view: _View, hosts: Sequence[str]) -> dict[str, tuple[int, int]]:
    """When the first and the last flow of each host began."""
    if not hosts:
        return {}
    ends = " UNION ALL ".join(f"SELECT {end} AS host, epoch_ns(start) AS ns FROM flows WHERE {end} {_AMONG}" for end in ("src", "dst"))
    rows = view.ask(
        f"SELECT host, MIN(ns) AS low, MAX(ns) AS high FROM ({ends}) AS t GROUP BY host", {"hosts": ",".join(hosts)}
    ).to_pylist()
    return {r["host"]: (r["low"], r["high"]) for r in rows}


def _first_flows(view: _View, hosts: Sequence[str]) -> dict[str, list[Citation]]:
    """The first flows that each host began."""
    found: dict[str, list[Citation]] = {host: [] for host in hosts}
    if hosts:
        rows = view.ask(
            "SELECT * FROM (SELECT src, flow_id, first_packet_id, evidence_id, epoch_ns(start) AS start_ns, "
            "ROW_NUMBER() OVER (PARTITION BY src ORDER BY start, flow_id) AS place FROM flows "
            f"WHERE src {_AMONG}) AS t WHERE place <= 6 ORDER BY src, place",
            {"hosts": ",".join(hosts)},
        ).to_pylist()
        for r in rows:
            found[r["src"]].append(
                view.citer.packet(
                    r["first_packet_id"], flow_id=r["flow_id"], ts_ns=r["start_ns"], evidence_id=r["evidence_id"]
                )
            )
    return found


def _conduct(
    view: _View, home: frozenset[str], host: str | None, suspects: Sequence[Suspect], roles: Sequence[Mapping[str, Any]]
) -> tuple[list[Finding], list[Innocent], list[tuple[str, str]]]:
    """What hosts do beside probing."""
    accused = frozenset((s.host, s.proto, s.dport if s.shape == "horizontal" else None) for s in suspects)

    def setting(detector: str, technique: str | None) -> Setting:
        return Setting(
            first_ns=view.health["first_ns"],
            last_ns=view.health["last_ns"],
            home=home,
            hosts=view.hosts,
            citer=view.citer,
            detector=detector,
            technique=technique,
            accused=accused,
            roles={r["src"]: r for r in roles},
            host=host,
            packets=bool(view.health["from_packets"]),
        )

    return conduct.judged(view.catalog, view.answer, setting)


def _targets(suspect: Suspect) -> int:
    for name, value in suspect.figures:
        if name == "distinct targets":
            return int(value.replace(",", ""))
    return 0


def _retries(counts: Sequence[OutcomeCount]) -> tuple[tuple[str, str], ...]:
    text = outcoming.retries_text(counts)
    return (("retries", text),) if text else ()


def _with_ns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row["ts_ns"] = row["ts"]
    return rows


def _answers(
    requests: Sequence[Mapping[str, Any]], heads: Sequence[Mapping[str, Any]], citer: Citer
) -> list[AnswerKind]:
    kinds = answering.http_answers(requests, citer)
    spoken = {r["flow_id"] for r in requests}
    rest = [h for h in heads if not h["from_originator"] and h["flow_id"] not in spoken]
    return [*kinds, *answering.head_answers(rest, citer)]


def _turning_points(view: _View, suspect: Suspect, probes: Probes) -> tuple[TurningPoint, ...]:
    first, last = int(probes.start_ns[0]), int(probes.start_ns[-1])
    activity = view.answer("host_activity", host=suspect.host, from_ns=first, to_ns=last)[0]
    return turning_points(
        probes,
        evidence_from_ns=view.health["first_ns"],
        evidence_to_ns=view.health["last_ns"],
        activity=activity,
        transfers=lambda: view.answer("transfers", host=suspect.host),
        probe_flows=frozenset(probes.flow_id.tolist()),
        hosts=view.hosts,
        citer=view.citer,
    )


def _active_share(probes: Probes) -> float:
    """Share of the time between first and last probe in which probing went on: bins of five median gaps."""
    starts = probes.start_ns
    if len(starts) < 3 or starts[-1] == starts[0]:
        return 1.0
    width = max(float(np.median(np.diff(starts))) * 5, 1.0, float(starts[-1] - starts[0]) / 100_000)
    bins = math.ceil(float(starts[-1] - starts[0]) / width)
    used = len(np.unique(((starts - starts[0]) / width).astype(np.int64)))
    return min(1.0, used / max(1, bins))


def _bin_ns(first_ns: int, last_ns: int) -> int:
    span = max(1, last_ns - first_ns)
    return next((b for b in BINS_NS if span / b <= 180), BINS_NS[-1])


def timeline(probes: Probes, first_ns: int, last_ns: int, bin_ns: int) -> tuple[TimelineBin, ...]:
    """Attempts by outcome in every bin of the evidence, empty bins too."""
    origin = first_ns - first_ns % bin_ns
    bins = min((last_ns - origin) // bin_ns + 1, 10_000)
    place = np.minimum((probes.start_ns - origin) // bin_ns, bins - 1)
    grid = np.zeros((bins, len(probes.outcomes)), dtype=np.int64)
    np.add.at(grid, (place, probes.outcome), probes.stride)
    names = [o for o in outcoming.ORDER if o in probes.outcomes]
    columns = [probes.outcomes.index(o) for o in names]
    return tuple(
        TimelineBin(
            int(origin + n * bin_ns),
            tuple((o, int(grid[n, c])) for o, c in zip(names, columns, strict=True) if grid[n, c]),
        )
        for n in range(bins)
    )


# -- statements -------------------------------------------------------------------------------------------------------------


def probing_sentence(p: Probing) -> str:
    """Who tries what on whom, since when, until when, how fast."""
    span = p.end_ns - p.start_ns
    when = f"from {moment(p.start_ns)} to {moment(p.end_ns)} ({duration(span)})"
    pace = f"{per_minute(p.attempts_per_min)}" if p.attempts > 1 and span > 0 else ""
    if p.shape == "vertical":
        what = f"tries {p.order.split(', ')[0]} of one target over {p.service}"
    elif p.shape == "block":
        what = f"tries many ports of {count(p.targets, 'target')} over {p.service}"
    else:
        what = f"tries {p.service} on {count(p.targets, 'target')}"
    return f"{p.host} {what}, {p.attempts:,} attempts {when}{', ' + pace if pace else ''}"


def _findings(view: _View, suspect: Suspect, p: Probing, probes: Probes, kind: str, already: int) -> list[Finding]:
    detector = view.catalog[suspect.detector]
    serial = already + 1
    made: list[Finding] = []

    def add(name: str, statement: str, confidence: Confidence, by: str, technique: str | None, **more: Any) -> None:
        made.append(
            Finding(
                finding_id=f"{name}-{serial + len(made)}",
                kind=name,
                host=p.host,
                from_ns=more.pop("from_ns", p.start_ns),
                to_ns=more.pop("to_ns", p.end_ns),
                statement=statement,
                confidence=confidence,
                citations=more.pop("citations", None) or probes.cite(view.citer, None, p.attempts),
                detector=by,
                technique=technique,
                **more,
            )
        )

    target = f" {suspect.target}" if suspect.target else ""
    add(
        kind,
        probing_sentence(p).replace("one target", f"one target,{target},") + ".",
        suspect.confidence,
        detector.label,
        detector.technique,
        probing=p,
    )
    outcomes = view.catalog["probe_outcomes"]
    add(
        "outcomes",
        outcoming.statement(p.outcomes) + ".",
        Confidence(0.95, ("counted from the flows",)),
        outcomes.label,
        outcomes.technique,
    )
    if p.answers:
        merged = [c for a in p.answers for c in a.citations.shown]
        add(
            "answers",
            f"Answers: {answering.statement(p.answers)}.",
            Confidence(0.95, ("counted from the transactions",)),
            view.catalog["probe_http"].label,
            None,
            citations=view.citer.some(merged, sum(a.citations.total for a in p.answers)),
        )
    if p.template is not None:
        add(
            "request_template",
            f"What the probes send: {p.template.text}" if p.template.text else p.template.note,
            Confidence(0.9, (f"aligned over {count(p.template.samples, 'request')}",)),
            view.catalog["probe_http"].label,
            None,
            citations=p.template.citations,
        )
    add(
        "targets",
        f"Targets: {p.target_summary.spread or p.order}; {p.revisits}.",
        Confidence(0.9, ("order and revisits counted from the flows",)),
        view.catalog["probe_attempts"].label,
        None,
    )
    add(
        "stack",
        f"Stack: {p.stack.verdict}; source ports {p.stack.source_ports}; {p.stack.syn_retries}.",
        Confidence(0.8 if p.stack.reasons else 0.4, p.stack.reasons or ("too little to tell",)),
        view.catalog["probe_attempts"].label,
        None,
    )
    for point in p.turning_points:
        if point.at_edge:
            continue
        sure = stands_out(point.candidates)
        cited = [*point.citations.shown, *(c for one in point.candidates[:1] if sure for c in one.citations.shown)]
        add(
            "turning_point",
            point.statement,
            Confidence(
                0.8 if sure else 0.6,
                (
                    "the silence is far longer than the pace of the probing",
                    f"candidate's placebo p = {point.candidates[0].placebo_p}"
                    if point.candidates
                    else "no transfer before it",
                ),
            ),
            view.catalog["transfers"].label,
            None,
            from_ns=point.bracket_from_ns or point.ts_ns,
            to_ns=point.bracket_to_ns or point.ts_ns,
            citations=view.citer.some(cited),
        )
    if p.identities and p.identities[0].tier != "none":
        one = p.identities[0]
        add(
            "identity",
            f"Behaves as {one.family} ({one.tier}): {one.explanation}",
            Confidence(
                round(one.probability, 2),
                (f"score {one.score:.1f}, {percent(one.coverage)} of its indicators observable",),
            ),
            "profiles",
            None,
        )
    return made


def summary(
    findings: Sequence[Finding],
    inside: Sequence[Suspect],
    outside: Sequence[Suspect],
    one_sided: str | None,
    health: Mapping[str, Any],
    host: str | None,
    recognised: Sequence[Finding] = (),
    abroad: str = "",
) -> str:
    """The verdict in a few sentences. `recognised` are findings about home hosts that need no probing, `abroad` the sentence
    about others."""
    who = f"host {host}" if host else "host"
    tail = abroad
    if one_sided is not None:
        named_ = " ".join(f.statement for f in recognised[:3])
        return f"{named_}{' ' if named_ else ''}No verdict on probing: it needs {one_sided}.{tail}"
    if outside:
        hosts = sorted({s.host for s in outside})
        tail += f" From outside, {count(len(hosts), 'host scans', 'hosts scan')} the home networks ({listing(hosts)})."
        fits = {f.host: f.probing.identities[0] for f in findings if f.kind == "external_scan" and f.probing and f.probing.identities}
        tail += "".join(f" {h} fits {i.family} ({i.tier})." for h, i in list(fits.items())[:3])
    if not inside and not recognised:
        span = duration(health["last_ns"] - health["first_ns"])
        none = (
            f"{who[0].upper()}{who[1:]} does not behave"
            if host
            else "No host of the home networks behaves"
            if outside or abroad
            else "No host behaves"
        )
        over = f" over {span}" if health["last_ns"] > health["first_ns"] else ""
        return f"{none} strangely in this evidence ({count(health['flows'], 'flow')}{over}).{tail}"
    hosts = list(dict.fromkeys([*(s.host for s in inside), *(f.host for f in recognised if f.host is not None)]))
    strange = [f for f in findings if f.probing is not None and f.kind == "probing_host"]
    head = f"{count(len(hosts), 'host behaves', 'hosts behave')} strangely: {listing(hosts, 10)}."
    body = " ".join([*(_story(f) for f in strange[:3]), *(f.statement for f in recognised[:3])])
    left = max(0, len(inside) - 3) + max(0, len(recognised) - 3)
    more = f" {count(left, 'more finding')}." if left else ""
    return f"{head} {body}{more}{tail}"


def _story(finding: Finding) -> str:
    p = finding.probing
    assert p is not None
    parts = [finding.statement]
    best = max(p.outcomes, key=lambda c: c.attempts)
    words = {
        "unanswered": "went unanswered",
        "refused": "were refused",
        "unreachable": "were unreachable",
        "accepted": "were accepted without a word",
        "answered": "were answered",
    }
    fared = f"{percent(best.share)} of the attempts {words[best.outcome]}{_answered(p.outcomes, best)}."
    parts.append(fared[0].upper() + fared[1:])
    opened = [c for c in p.outcomes if c.outcome in outcoming.OPEN]
    parts += [f"{label.capitalize()} ({n:,} {c.outcome})." for c in opened for label, n in c.detail]
    if p.template is not None and p.template.text:
        parts.append(f"Each sends {p.template.text[:160]}.")
    if p.target_summary.access_share is not None and p.targets >= FEWEST_IN_PERCENT:
        parts.append(
            f"{percent(p.target_summary.access_share)} of the targets are access lines (cable, DSL, dial-up, mobile)."
        )
    parts += [t.statement for t in p.turning_points if not t.at_edge and p.shape == "horizontal"]
    if p.identities and p.identities[0].tier in ("confirmed", "likely", "possible"):
        one = p.identities[0]
        parts.append(f"It fits {one.family} ({one.tier}).")
    return " ".join(parts)


def _answered(counts: Sequence[OutcomeCount], best: OutcomeCount) -> str:
    for c in counts:
        if c.outcome == "answered" and c is not best:
            return f", {percent(c.share)} were answered"
    return "" if best.outcome == "answered" else ", none was answered"


# -- the frame --------------------------------------------------------------------------------------------------------------


def _citer(ask: Ask, available: frozenset[str], run: Run) -> Citer:
    if "evidence" in available:
        rows = ask("SELECT evidence_id, path FROM evidence", {}).to_pylist()
        return Citer({r["evidence_id"]: r["path"] for r in rows})
    return Citer({n: item.path for n, item in enumerate(run.evidence)})


def _home(ask: Ask, available: frozenset[str]) -> frozenset[str]:
    """Sources inside the home networks; empty when nothing is known of home."""
    if "addresses" not in available:
        return frozenset()
    return frozenset(ask("SELECT address FROM addresses WHERE is_home", {})["address"].to_pylist())


def _unanswerable(view: _View) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not view.health["from_packets"]:
        found.append(("What do the probes send, and what answers them?", "packets: flow logs carry no payload"))
        found.append(
            ("Is the stack that sends the probes an ordinary one?", "packets: flow logs carry no header fields")
        )
    elif "http" not in view.available:
        found.append(("What do the requests have in common?", "the table http"))
    if "dns" not in view.available:
        found.append(("Were the targets looked up by name?", "DNS in the evidence"))
    return found


def _counts(view: _View, available: frozenset[str], suspects: Sequence[Suspect]) -> tuple[tuple[str, int], ...]:
    found = []
    if "evidence" in available:
        packets = view.ask("SELECT CAST(COALESCE(SUM(packets), 0) AS BIGINT) AS n FROM evidence", {})["n"][0].as_py()
        found.append(("packets", int(packets)))
        records = view.ask("SELECT CAST(COALESCE(SUM(records), 0) AS BIGINT) AS n FROM evidence", {})["n"][0].as_py()
        if records:
            found.append(("records of flow logs", int(records)))
    found.append(("flows", int(view.health["flows"])))
    row = view.ask(
        "SELECT COUNT(*) AS attempts, COUNT(DISTINCT src) AS hosts, COUNT(DISTINCT dst) AS targets FROM attempts", {}
    )
    one = row.to_pylist()[0]
    found += [("attempts", one["attempts"]), ("hosts that tried something", one["hosts"]), ("targets", one["targets"])]
    for name in ("http", "dns"):
        if name in available:
            found.append(
                (f"{name} transactions", int(view.ask(f"SELECT COUNT(*) AS n FROM {name}", {})["n"][0].as_py()))
            )
    found.append(("suspects", len({s.host for s in suspects})))
    return tuple(found)


def _method(catalog: Catalog) -> tuple[str, ...]:
    names = (
        "attempts",
        "contacts",
        "capture_health",
        "probing_hosts",
        "vertical_scans",
        "block_scans",
        "trw",
        "host_roles",
        "outages",
        "transfers",
        *conduct.JUDGES,
    )
    return tuple(f"{catalog[n].label}: {catalog[n].question}" for n in names)


def _looked_for(catalog: Catalog, profiles: Sequence[Profile]) -> tuple[str, ...]:
    """What a reader would ask for, of all that was looked for; the detectors behind it stand in `method`."""
    asked = [f"{catalog[n].label}: {catalog[n].question}" for n in ("probing_hosts", "vertical_scans", "block_scans", *conduct.JUDGES)]
    families = len({p.family for p in profiles})
    if families:
        asked.append(f"profiles: Does a host behave as one of {families} known families of malware, tools and exploits?")
    return tuple(asked)


def _without_flows(ask: Ask, catalog: Catalog, run: Run, available: frozenset[str], host: str | None) -> Verdict:
    """What can be judged where nothing but the link layer was seen."""

    def setting(detector: str, technique: str | None) -> Setting:
        return Setting(0, 0, frozenset(), 0, _citer(ask, available, run), detector, technique, host=host)

    findings, innocents, _needs = conduct.judged(
        catalog, lambda name: catalog.run(name, ask, available).to_pylist(), setting, conduct.WITHOUT_FLOWS
    )
    told = " ".join(f.statement for f in findings)
    return Verdict(
        summary=f"{told}{' ' if told else ''}No flows in this evidence, so there is nothing {'else ' if told else ''}to judge.",
        findings=tuple(findings),
        innocents=tuple(innocents),
        unanswerable=(("Which hosts behave strangely?", "at least one IP packet or flow"),),
        quality=run.quality,
        evidence=run.evidence,
        home_networks=run.home_networks,
        home_reason=run.home_reason,
        counts=(("flows", 0),),
        method=tuple(f"{catalog[n].label}: {catalog[n].question}" for n in conduct.WITHOUT_FLOWS),
        version=run.version,
        synthetic=run.synthetic,
    )
