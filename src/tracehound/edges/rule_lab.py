"""In: evidence and which of its flows are malicious, or rules and evidence. Out: drafted rules; what rules did, flow by flow.
Never here: how a rule is drafted or judged (lab/), or matched (rules/).

Every statement about a rule comes from the engine that `alerts` uses, run over the same files."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from tracehound.demo.wire import Wire
from tracehound.detectors.catalog import Ask
from tracehound.edges import alerting
from tracehound.edges.clock import now_ns
from tracehound.edges.evidence import list_evidence
from tracehound.edges.investigation import verdict_of
from tracehound.edges.reading import Reading, read
from tracehound.edges.rule_files import load_rules, read_settings
from tracehound.edges.sid_register import FIRST_SID
from tracehound.errors import RuleError, UsageError
from tracehound.findings.model import DraftedRule, Finding, Identity, IndicatorHit, Probing, Verdict
from tracehound.findings.template import Sample
from tracehound.lab.draft import Draft, Naming, Refused, drafts
from tracehound.lab.heldout import Over, parts
from tracehound.lab.named import Named, named_drafts
from tracehound.lab.signs import showing
from tracehound.lab.trial import Exposure, Fold, Outcome, Twin, as_dict, table
from tracehound.lab.twins import request, twins
from tracehound.rules.engine import Options
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Content, Rule
from tracehound.rules.settings import Settings
from tracehound.rules.state import Memory, becomes_alert

MOST_SAMPLES: Final = 2_000
MOST_BENIGN: Final = 200_000
LEAST_MEGABYTES: Final = 1.0
"""With less evidence a rule's cost is that of its first use, and is not told."""
RULES_UP_TO_BYTES: Final = 32_000_000
"""Evidence up to this size is read a second time by `investigate`, to try the rule that it drafts."""
_MOST_TWINS: Final = 12
_SHOWN: Final = 5
_PROTO: Final = {"TCP": 6, "UDP": 17, "ICMP": 1, "IPv6-ICMP": 58, "SCTP": 132}


def captures_of(paths: Sequence[str]) -> list[str]:
    """Evidence paths, with a case's folder replaced by the captures of the case. Raises UsageError where a case has none."""
    from tracehound.edges.casefile import DATABASE, Case

    out: list[str] = []
    for path in paths:
        if not (Path(path) / DATABASE).is_file():
            out.append(path)
            continue
        with Case(Path(path)) as case:
            rows = case.rows("SELECT * FROM evidence WHERE kind = 'capture' ORDER BY evidence_id")
            out += [str(case.evidence_path(r)) for r in rows]
        if not rows:
            raise UsageError(f"{path}: the case has no capture")
    return out


# -- samples ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Chosen:
    """The malicious flows of a reading, and what is known of them."""

    flow_ids: frozenset[int]
    family: str | None = None
    references: tuple[str, ...] = ()
    proto: int = 6
    dport: int | None = None
    rate_per_min: float | None = None
    says: str = ""
    category: str = "malware"
    originator_at_home: bool = True
    signs: tuple[IndicatorHit, ...] = ()
    """What of a profile was matched: of these flows, only requests and names that show some of it are samples."""

    def naming(self, sid: int, made: str, family: str | None = None) -> Naming:
        """What rules for these flows say of themselves."""
        return Naming(
            sid, made, family or self.family, self.references, self.proto, self.dport, self.originator_at_home, self.rate_per_min,
            self.category,
        )  # fmt: skip


def finding_of(verdict: Verdict, named: str | None) -> Finding:
    """The finding that a rule is drafted for: as named, else the strongest with traffic of its own. Raises UsageError."""
    if named is not None:
        found = next((f for f in verdict.findings if f.finding_id == named), None)
        if found is None:
            known = ", ".join(f.finding_id for f in verdict.findings) or "none"
            raise UsageError(f"--finding: there is no {named!r}; there are {known}")
        return found
    best = next((f for f in verdict.findings if f.probing is not None), None) or next((f for f in verdict.findings if f.host), None)
    if best is None:
        raise UsageError("rules draft: the verdict names no host; say which flows are malicious with --flows")
    return best


def flows_of(reading: Reading, verdict: Verdict, finding: Finding) -> Chosen:
    """The flows that a finding is about: a probing host's attempts; of what a known program did, the flows that show a sign of it;
    otherwise the flows it cites and others between the same ends by the same service. Raises UsageError where there is none."""
    identity = finding.identity or next((i for i in (finding.probing.identities if finding.probing else ()) if i.tier != "none"), None)
    family = identity.family if identity is not None and identity.tier in ("confirmed", "likely") else None
    references = tuple(f"url,{s.split('://', 1)[1].split(' ')[0]}" for s in (identity.sources if identity else ()) if "://" in s)[:2]
    p = finding.probing
    if p is not None:
        ids = _flow_ids(
            reading, "SELECT a.flow_id FROM attempts AS a JOIN contacts AS c ON c.src = a.src AND c.dst = a.dst AND c.proto = a.proto "
            "AND c.dport = a.dport WHERE a.src = $host AND a.proto = $proto AND ($port < 0 OR a.dport = $port) AND NOT c.wanted",
            {"host": p.host, "proto": p.proto, "port": -1 if p.dport is None else p.dport},
        )  # fmt: skip
        return Chosen(ids, family, references, p.proto, p.dport, p.attempts_per_min, finding.statement)
    shown = _of_identity(reading, finding, identity) if identity is not None else frozenset[int]()
    ids = shown or _of_citations(reading, finding)
    category = identity.category if identity is not None else "malware"
    at_home = _begun_at_home(reading, verdict, ids)
    signs = identity.indicators if identity is not None and shown else ()
    return Chosen(ids, family, references, *_service(reading.ask, ids), None, finding.statement, category, at_home, signs)


def _flow_ids(reading: Reading, sql: str, parameters: Mapping[str, Any]) -> frozenset[int]:
    return frozenset(int(x) for x in reading.ask(sql, dict(parameters)).column(0).to_pylist())


def _of_identity(reading: Reading, finding: Finding, identity: Identity) -> frozenset[int]:
    """The host's flows that show a sign of the identity themselves."""
    mine = "SELECT flow_id FROM flows WHERE $host = '' OR src = $host OR dst = $host"
    ids = _flow_ids(reading, mine, {"host": finding.host or ""})
    requests, named = showing(identity.indicators, samples(reading, ids, MOST_BENIGN), names(reading, ids))
    return frozenset(int(s.flow_id) for s in requests if s.flow_id is not None) | {n.flow_id for n in named}


def _of_citations(reading: Reading, finding: Finding) -> frozenset[int]:
    cited = {c.flow_id for c in finding.citations.shown if c.flow_id is not None}
    if not cited:
        raise UsageError(f"--finding {finding.finding_id}: none of its flows can be told by itself; say which are malicious with --flows")
    return _flow_ids(
        reading, "SELECT DISTINCT f.flow_id FROM flows AS f "
        "JOIN (SELECT DISTINCT src, proto, dport FROM flows WHERE list_contains($ids, flow_id)) AS c "
        "ON f.src = c.src AND f.proto = c.proto AND f.dport = c.dport "
        "WHERE list_contains($ids, f.flow_id) OR f.dst IN (SELECT dst FROM flows WHERE list_contains($ids, flow_id))",
        {"ids": sorted(cited)},
    )  # fmt: skip


def _begun_at_home(reading: Reading, verdict: Verdict, ids: Collection[int]) -> bool:
    """Whether the first of these flows was begun in the home networks."""
    rows = reading.ask(
        "SELECT src::VARCHAR AS src FROM flows WHERE list_contains($ids, flow_id) ORDER BY start LIMIT 1", {"ids": sorted(ids)}
    ).to_pylist()
    nets = [ip_network(n) for n in verdict.home_networks]
    return not rows or not nets or any(ip_address(rows[0]["src"]) in n for n in nets)


def _service(ask: Ask | Any, ids: Iterable[int]) -> tuple[int, int | None]:
    rows = ask("SELECT DISTINCT proto, dport FROM flows WHERE list_contains($ids, flow_id)", {"ids": sorted(ids)}).to_pylist()
    ports = {r["dport"] for r in rows}
    return (rows[0]["proto"] if rows else 6), (ports.pop() if len(ports) == 1 else None)


def flows_where(reading: Reading, condition: str) -> Chosen:
    """The flows for which a user's SQL condition over table `flows` holds. Raises UsageError."""
    rows = reading.sql(f"SELECT flow_id FROM flows WHERE ({condition}\n)")
    ids = frozenset(int(x) for x in rows.column(0).to_pylist())
    if not ids:
        raise UsageError(f"--flows: no flow fits {condition!r}")
    proto, port = _service(reading.ask, ids) if len(ids) < 10_000 else (6, None)
    return Chosen(ids, proto=proto, dport=port, says=f"flows where {condition}")


def samples(reading: Reading, wanted: frozenset[int] | None, most: int) -> list[Sample]:
    """Requests of the wanted flows (None: of all), HTTP where there is HTTP, else the first payload bytes; evenly over time."""
    found: list[Sample] = []
    spoken: set[int] = set()
    for r in _rows(reading, _HTTP, wanted):
        spoken.add(r["flow_id"])
        found.append(
            Sample(
                method=r["method"], uri=r["uri"] or "", version=r["version"] or "", header_names=tuple(r["header_names"] or ()),
                header_values=tuple(r["header_values"] or ()), length=(r["head"] or 0) + (r["body"] or 0), target=r["dst"], own=r["src"],
                ts_ns=r["ts_ns"], flow_id=r["flow_id"], txn_id=r["txn_id"],
            )
        )  # fmt: skip
    found += [
        Sample(payload=r["head"], length=r["payload_len"], target=r["dst"], own=r["src"], ts_ns=r["ts_ns"], flow_id=r["flow_id"])
        for r in _rows(reading, _HEADS, wanted)
        if r["flow_id"] not in spoken
    ]
    found.sort(key=lambda s: s.ts_ns)
    step = max(1, -(-len(found) // most))
    return found[::step]


_HTTP: Final = (
    "SELECT flow_id, txn_id, method, uri, version, header_names, header_values, src::VARCHAR AS src, dst::VARCHAR AS dst, "
    "epoch_ns(ts) AS ts_ns, request_head_bytes AS head, request_bytes AS body FROM http WHERE method IS NOT NULL"
)
_HEADS: Final = (
    "SELECT h.flow_id AS flow_id, h.head AS head, h.payload_len AS payload_len, f.src::VARCHAR AS src, f.dst::VARCHAR AS dst, "
    "epoch_ns(f.start) AS ts_ns FROM heads AS h JOIN flows AS f ON f.flow_id = h.flow_id "
    "WHERE h.from_originator AND octet_length(h.head) > 0"
)


def _rows(reading: Reading, sql: str, wanted: frozenset[int] | None) -> list[dict[str, Any]]:
    if wanted is None:
        rows: list[dict[str, Any]] = reading.ask(f"{sql} LIMIT {MOST_BENIGN}").to_pylist()
        return rows
    chosen: list[dict[str, Any]] = reading.ask(
        f"SELECT * FROM ({sql}) AS t WHERE list_contains($ids, t.flow_id)", {"ids": sorted(wanted)}
    ).to_pylist()
    return chosen


_TLS: Final = (
    "SELECT flow_id, epoch_ns(ts) AS ts_ns, dport, server_name, ja3, subject, issuer FROM tls "
    "WHERE server_name IS NOT NULL OR ja3 IS NOT NULL OR subject IS NOT NULL"
)
_DNS: Final = "SELECT flow_id, epoch_ns(ts) AS ts_ns, query FROM dns WHERE query IS NOT NULL"


def names(reading: Reading, wanted: frozenset[int] | None) -> list[Named]:
    """What TLS handshakes and DNS queries of the wanted flows (None: of all) name, in order of time."""
    out: list[Named] = []
    if "tls" in reading.names():
        out += [
            Named("tls", {"tls.sni": r["server_name"], "ja3.hash": r["ja3"], "tls.cert_subject": r["subject"],
                          "tls.cert_issuer": r["issuer"]}, r["flow_id"], r["ts_ns"], r["dport"])
            for r in _rows(reading, _TLS, wanted)
        ]  # fmt: skip
    if "dns" in reading.names():
        out += [Named("dns", {"dns.query": r["query"]}, r["flow_id"], r["ts_ns"]) for r in _rows(reading, _DNS, wanted)]
    return sorted(out, key=lambda n: n.ts_ns)


@dataclass(slots=True)
class Material:
    """What rules are drafted from: requests and names of the malicious flows (bad), and those of all others (good)."""

    chosen: Chosen
    bad: list[Sample]
    good: list[Sample]
    bad_names: list[Named]
    good_names: list[Named]

    def drafts(self, naming: Naming, without: Collection[int] = ()) -> list[Draft | Refused]:
        """Rules on what handshakes and queries name, and on requests and payload of the flows that name nothing.

        without   malicious flows that are held out"""
        bad_names = [n for n in self.bad_names if n.flow_id not in without]
        first = named_drafts(bad_names, self.good_names, naming)
        spoken = {n.flow_id for n in bad_names}
        rest = [s for s in self.bad if s.flow_id not in spoken and s.flow_id not in without]
        sid = naming.sid + sum(isinstance(d, Draft) for d in first)
        return [*first, *drafts(rest, self.good, replace(naming, sid=sid))]


def material(reading: Reading, chosen: Chosen, benign: Sequence[str] = ()) -> Material:
    """The malicious flows of a reading against everything else of it, and of the captures `benign`."""
    made = Material(
        chosen, samples(reading, chosen.flow_ids, MOST_SAMPLES),
        [s for s in samples(reading, None, MOST_BENIGN) if s.flow_id not in chosen.flow_ids],
        names(reading, chosen.flow_ids), [n for n in names(reading, None) if n.flow_id not in chosen.flow_ids],
    )  # fmt: skip
    if chosen.signs:
        made.bad, made.bad_names = showing(chosen.signs, made.bad, made.bad_names)
    for path in benign:
        with read([path]) as other:
            made.good += samples(other, None, MOST_BENIGN)
            made.good_names += names(other, None)
    return made


@dataclass(slots=True)
class Drafted:
    """Drafts and refusals, the flows they are for, and how many requests of others they were weighed against."""

    results: list[Draft | Refused]
    chosen: Chosen
    samples: int
    others: int


def draft(
    evidence: Sequence[str], *, finding: str | None = None, flows: str | None = None, benign: Sequence[str] = (), family: str | None = None,
    sid: int = FIRST_SID, half: bool = False,
) -> Drafted:  # fmt: skip
    """Rules for the malicious flows of some evidence; everything else of it, and of `benign`, is what they are weighed against.

    half   use every other sample only, so that the rest can test the rule
    Raises UsageError, EvidenceError."""
    with read(evidence) as reading:
        chosen = _chosen(reading, flows, finding)
        made = material(reading, chosen, benign)
    day = datetime.datetime.fromtimestamp(now_ns() / 1e9, datetime.UTC)
    naming = chosen.naming(sid, f"{day:%Y_%m_%d}", family)
    if half:
        made.bad, made.bad_names = made.bad[::2], made.bad_names[::2]
    return Drafted(made.drafts(naming), chosen, len(made.bad), len(made.good))


# -- held out ---------------------------------------------------------------------------------------------------------

def held_out(
    evidence: Sequence[str], settings: Settings, *, flows: str | None = None, finding: str | None = None, benign: Sequence[str] = (),
    count: int = 2, over: Over = "flows",
) -> list[Fold]:  # fmt: skip
    """Rules drafted anew without each part of the malicious flows, tried with the engine on that part and on all else.

    Raises UsageError, EvidenceError."""
    with read(evidence) as reading:
        chosen = _chosen(reading, flows, finding)
        pool = material(reading, chosen, benign)
        ends = {flow_id: e for e, flow_id in named_flows(reading)}
    texts: list[str] = []
    made: list[tuple[str, set[Ends], list[int], str]] = []
    sid = FIRST_SID
    for name, part in parts(pool.bad, count, over):
        mine = {int(s.flow_id) for s in part if s.flow_id is not None}
        naming = replace(chosen.naming(sid, "2026_01_01"), references=(), rate_per_min=None)
        found = pool.drafts(naming, without=mine)
        rules = [d for d in found if isinstance(d, Draft)]
        why = next((r.why for r in found if isinstance(r, Refused)), "no flow is left") if not rules else ""
        made.append((name, {ends[f] for f in mine if f in ends}, [d.sid for d in rules], why))
        texts += [d.text for d in rules]
        sid += len(rules)
    if not texts:
        return [Fold(name, len(held), 0, 0, why) for name, held, _, why in made]
    labelled = {ends[f] for f in chosen.flow_ids if f in ends}
    with tempfile.TemporaryDirectory(prefix="tracehound-held-out-") as folder:
        rules_file = Path(folder) / "held-out.rules"
        rules_file.write_text("".join(t + "\n" for t in texts), encoding="utf-8")
        ready = make_ready([str(rules_file)], settings, rationed=False)
        bad_run, good_run = run(ready, evidence), run(ready, benign)
    out = []
    for name, held, sids, why in made:
        hits = set[Ends]().union(*(bad_run.hits.get(s, set()) for s in sids))
        alarms = (hits - labelled) | set[Ends]().union(*(good_run.hits.get(s, set()) for s in sids))
        out.append(Fold(name, len(held), len(hits & held), len(alarms), why))
    return out


def _chosen(reading: Reading, flows: str | None, finding: str | None) -> Chosen:
    """Flows where a condition holds, or those of a finding (None and "strongest": of the strongest)."""
    if flows is not None:
        return flows_where(reading, flows)
    verdict = verdict_of(reading)
    return flows_of(reading, verdict, finding_of(verdict, None if finding == "strongest" else finding))


# -- trials -----------------------------------------------------------------------------------------------------------

Ends = tuple[str, int, frozenset[tuple[str, int]]]
"""A flow as an alert names it: file, protocol, both ends."""


@dataclass(slots=True)
class Ran:
    """What rules did on some evidence: alerts by sid as flows, and as EVE events."""

    plans: Sequence[Plan]
    refused: list[RuleError]
    hits: dict[int, set[Ends]] = field(default_factory=dict)
    files: dict[int, set[str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    alerts: Counter[int] = field(default_factory=Counter)


def make_ready(rules: Sequence[str], settings: Settings, *, rationed: bool = True) -> alerting.Ready:
    """Rules as `run` takes them, read and compiled once for all evidence.

    rationed   False: without the thresholds that only ration notices (`limit`, `backoff`), so that every flow in which a rule
               matches is seen; a limit would hide hits and false alarms alike
    Raises UsageError where none can be loaded."""
    loaded = load_rules(rules, settings)
    if not rationed:
        loaded = replace(loaded, rules=type(loaded.rules)(_unrationed(rule) for rule in loaded.rules))
    ready = alerting.make_ready(loaded, settings)
    if not ready.plans:
        raise UsageError(f"no rule could be loaded from {', '.join(rules)}" + (f": {ready.refused[0]}" if ready.refused else ""))
    return ready


def rations_of(rules: Sequence[str], settings: Settings) -> dict[int, Rule]:
    """Rules that ration their notices, by sid: with these `run` tells which matches would have been notices."""
    return {int(r.sid): replace(r, detection_filter=None) for r in load_rules(rules, settings).rules if _unrationed(r) is not r}


def run(
    ready: alerting.Ready, evidence: Sequence[str], options: Options | None = None, rations: Mapping[int, Rule] | None = None
) -> Ran:
    """What rules do on some evidence.

    rations   limits that the rules of `ready` go without: they count for events and alerts, not for hits"""
    memory = Memory()
    out = Ran(ready.plans, ready.refused)
    if not evidence:
        return out
    files = list_evidence(list(evidence))
    paths = {file.evidence_id: file.path for file in files}
    for found in alerting.alerts(files, ready, options or Options()):
        path = paths[found.evidence_id]
        event = found.eve(path)
        sid = int(found.plan.rule.sid)
        rationed = (rations or {}).get(sid)
        if rationed is None or becomes_alert(rationed, found.told, memory, None):
            out.alerts[sid] += 1
            out.events.append(event)
        out.hits.setdefault(sid, set()).add(_ends(event, path))
        out.files.setdefault(sid, set()).add(path)
    return out


def _unrationed(rule: Rule) -> Rule:
    t = rule.threshold
    return replace(rule, threshold=None) if t is not None and t.kind in ("limit", "backoff") else rule


def _ends(event: Mapping[str, Any], path: str) -> Ends:
    proto = _PROTO.get(str(event.get("proto")), 0)
    pairs = [(str(event.get(f"{e}_ip")), int(event.get(f"{e}_port") or 0) if proto in (6, 17, 132) else 0) for e in ("src", "dest")]
    return path, proto, frozenset(pairs)


def named_flows(reading: Reading) -> list[tuple[Ends, int]]:
    """Every flow as alerts would name it, with its id."""
    path = {f.evidence_id: f.path for f in reading.files}
    rows = reading.ask(
        "SELECT flow_id, evidence_id, proto, src::VARCHAR AS src, sport, dst::VARCHAR AS dst, dport FROM flows "
        "WHERE evidence_id IS NOT NULL"
    ).to_pylist()
    return [(
        (path[r["evidence_id"]], r["proto"], frozenset(
            (r[a], r[p] if r["proto"] in (6, 17, 132) else 0) for a, p in (("src", "sport"), ("dst", "dport")))), r["flow_id"],
    ) for r in rows]  # fmt: skip


_BUFFERS: Final[dict[str, tuple[str, str, str]]] = {
    "http.uri": ("http", "uri", "method IS NOT NULL"), "http.uri.raw": ("http", "uri", "method IS NOT NULL"),
    "http.method": ("http", "method", "method IS NOT NULL"), "http.host": ("http", "host", "host IS NOT NULL"),
    "http.user_agent": ("http", "user_agent", "user_agent IS NOT NULL"), "http.referer": ("http", "referer", "referer IS NOT NULL"),
    "http.request_body": ("http", "", "request_bytes > 0"), "http.response_body": ("http", "", "response_bytes > 0"),
    "http.stat_code": ("http", "status", "status IS NOT NULL"), "file.data": ("files", "", "bytes > 0"),
    "dns.query": ("dns", "query", "query IS NOT NULL"), "tls.sni": ("tls", "server_name", "server_name IS NOT NULL"),
    "tls.cert_subject": ("tls", "subject", "subject IS NOT NULL"), "tls.cert_issuer": ("tls", "issuer", "issuer IS NOT NULL"),
    "ja3.hash": ("tls", "ja3", "ja3 IS NOT NULL"),
}  # fmt: skip
"""Buffer -> table, column that holds it ('' where the table keeps no bytes of it), and which rows have it."""


def exposure(reading: Reading, plan: Plan, outside: frozenset[int]) -> Exposure:
    """How far the flows that are not in `outside` could have come with this rule."""
    register = [f for f in reading.ask("SELECT flow_id, proto, dport, sport FROM flows").to_pylist() if f["flow_id"] not in outside]
    protos, dports, sports = plan.protos, plan.dports, plan.sports
    passed = {
        f["flow_id"]
        for f in register
        if (protos is None or f["proto"] in protos)
        and ((dports is None or dports(f["dport"])) or (plan.both_ways and dports(f["sport"])))
        and (sports is None or sports(f["sport"]))
    }
    group, content = _first(plan.rule)
    there, holding = _with_buffer(reading, group, content)
    return Exposure(len(register), len(passed), len(passed & there), len(passed & there & holding))


def _first(rule: Rule) -> tuple[str, Content | None]:
    """The buffer and the literal that the engine looks for first: the one marked, else the longest."""
    found = [(g.buffer.name if hasattr(g.buffer, "name") else str(g.buffer), s) for g in rule.groups for s in g.steps
             if isinstance(s, Content) and not s.negated]  # fmt: skip
    marked = [x for x in found if x[1].fast_pattern is not None]
    best = max(marked or found, key=lambda x: len(x[1].pattern), default=None)
    if best is None:
        return (str(rule.groups[0].buffer) if rule.groups else "", None)
    return best


def _with_buffer(reading: Reading, buffer: str, content: Content | None) -> tuple[set[int], set[int]]:
    source, column, there = _BUFFERS.get(buffer, ("", "", ""))
    if source and source in reading.names():
        have = {int(x) for x in reading.ask(f"SELECT DISTINCT flow_id FROM {source} WHERE {there}").column(0).to_pylist()}
        if not column or content is None:
            return have, have
        literal = content.pattern.decode("latin-1").lower()
        sql = f"SELECT DISTINCT flow_id FROM {source} WHERE contains(lower({column}::VARCHAR), $literal)"
        return have, {int(x) for x in reading.ask(sql, {"literal": literal}).column(0).to_pylist()}
    sql = "SELECT flow_id FROM flows WHERE coalesce(payload_src, 0) + coalesce(payload_dst, 0) > 0"
    have = {int(x) for x in reading.ask(sql).column(0).to_pylist()}
    if content is None or "heads" not in reading.names():
        return have, have
    rows = reading.ask("SELECT flow_id, head FROM heads").to_pylist()
    wanted = content.pattern.lower()
    # Beyond the first bytes nobody looked: such flows count as holding it, so that exposure is never understated.
    return have, {r["flow_id"] for r in rows if wanted in r["head"].lower() or len(r["head"]) >= 256}


def trial(
    rules: Sequence[str], malicious: Sequence[str], benign: Sequence[str], settings: Settings, *,
    flows: str | None = None, finding: str | None = None, others: Sequence[str] = (), made_of: Mapping[int, Draft] | None = None,
    events: list[dict[str, Any]] | None = None,
) -> list[Outcome]:  # fmt: skip
    """Test every rule. Labelled are the flows that `flows` or `finding` choose in the malicious evidence; without either, each malicious
    file counts as one, and is hit if the rule fires anywhere in it.

    others    rule sets that may cover the same flows already
    made_of   drafts by sid: their near misses are tried, too
    events    takes the alerts of the malicious evidence, with all limits on notices in force
    Raises UsageError, EvidenceError."""
    ready = make_ready(rules, settings, rationed=False)
    timed = Options(clock=time.perf_counter_ns)
    bad, good = run(ready, malicious, timed, rations_of(rules, settings)), run(ready, benign, timed)
    if events is not None:
        events += bad.events
    megabytes = sum(f.size or 0 for f in list_evidence([*malicious, *benign])) / 1e6
    cost = {_sid_of(p): p.counts.time_ns / 1e3 / megabytes for p in bad.plans if megabytes >= LEAST_MEGABYTES}
    labelled: set[Ends] = set()
    rest: list[Ends] = []
    exposures: dict[int, list[Exposure]] = {_sid_of(p): [] for p in bad.plans}
    if malicious:
        with read(list(malicious)) as reading:
            asked = flows is not None or finding is not None
            chosen = _chosen(reading, flows, finding).flow_ids if asked else frozenset[int]()
            labelled, rest = _labelled(reading, chosen)
            if chosen:
                for p in bad.plans:
                    exposures[_sid_of(p)].append(exposure(reading, p, chosen))
    for path in benign:
        with read([path]) as reading:
            rest += [ends for ends, _ in named_flows(reading)]
            for p in bad.plans:
                exposures[_sid_of(p)].append(exposure(reading, p, frozenset()))
    covering = run(make_ready(others, settings, rationed=False), malicious) if others else None
    made = made_of or {}
    return [
        _outcome(p.rule, bad, good, labelled, malicious, rest, exposures[_sid_of(p)], covering, made.get(_sid_of(p)), ready, cost)
        for p in bad.plans
    ]


def _sid_of(plan: Plan) -> int:
    return int(plan.rule.sid)


def _labelled(reading: Reading, chosen: frozenset[int]) -> tuple[set[Ends], list[Ends]]:
    """(those of the chosen flows that a rule can hit, all flows that are not chosen)."""
    spoken = _spoken(reading, chosen)
    named = named_flows(reading)
    marked = {ends for ends, flow_id in named if flow_id in chosen}
    return {ends for ends, flow_id in named if flow_id in spoken}, [ends for ends, _ in named if ends not in marked]


def _spoken(reading: Reading, chosen: frozenset[int]) -> frozenset[int]:
    """Of the chosen flows those with payload: a rule cannot hit an attempt that nobody answered."""
    if not chosen:
        return frozenset()
    sql = "SELECT flow_id FROM flows WHERE list_contains($ids, flow_id) AND coalesce(payload_src, 0) > 0"
    return frozenset(int(x) for x in reading.ask(sql, {"ids": sorted(chosen)}).column(0).to_pylist())


def _outcome(
    rule: Rule, bad: Ran, good: Ran, labelled: set[Ends], malicious: Sequence[str], rest: Sequence[Ends], exposures: Sequence[Exposure],
    covering: Ran | None, made: Draft | None, ready: alerting.Ready, cost: Mapping[int, float],
) -> Outcome:  # fmt: skip
    sid = int(rule.sid)
    hits = bad.hits.get(sid, set())
    if labelled:
        hit, total = hits & labelled, len(labelled)
        alarms = (hits - labelled) | good.hits.get(sid, set())
        missed = sorted(labelled - hits, key=str)
        count = len(hit)
    else:
        files = bad.files.get(sid, set())
        count, total = len(files), len(malicious)
        alarms, missed = good.hits.get(sid, set()), []
    covers = Counter({s: len(f & (labelled or hits)) for s, f in covering.hits.items() if s != sid}) if covering else Counter()
    sums = list(zip(*((e.flows, e.header, e.buffer, e.prefilter) for e in exposures), strict=True))
    return Outcome(
        sid, rule.msg or "", total, count, len(rest), len(alarms), Exposure(*(sum(p) for p in sums)) if sums else Exposure(0, 0, 0, 0),
        twins=tuple(_tried(made, ready)) if made is not None else (),
        covered_by=tuple((s, n) for s, n in covers.most_common(_SHOWN) if n),
        cost_us=cost.get(sid),
        missed=tuple(_shown(e) for e in missed[:_SHOWN]), alarmed=tuple(_shown(e) for e in sorted(alarms, key=str)[:_SHOWN]),
    )  # fmt: skip


def _shown(ends: Ends) -> str:
    path, proto, pair = ends
    return f"{Path(path).name}: " + " and ".join(f"{a} port {p}" for a, p in sorted(pair)) + f" (protocol {proto})"


def _tried(made: Draft, ready: alerting.Ready) -> list[Twin]:
    """Every near miss of a draft, written as a conversation and given to the engine."""
    if not made.chosen:
        return []
    out = []
    with tempfile.TemporaryDirectory(prefix="tracehound-twins-") as folder:
        for number, (what, twin) in enumerate(twins(made.chosen[0], made.tokens)):
            if number >= _MOST_TWINS:
                break
            path = Path(folder) / f"{number}.pcap"
            path.write_bytes(conversation(twin))
            out.append(Twin(what, made.sid in run(ready, [str(path)]).hits))
    return out


def conversation(sample: Sample, port: int = 80) -> bytes:
    """A sample as the only conversation of a capture, from the home network outwards."""
    wire = Wire(now_ns())
    host, target = wire.host("192.168.1.2"), wire.host("203.0.113.9")
    talk = host.connect(target, port, 1.0).send(request(sample))
    talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if sample.method is not None else b"ok").close()
    return wire.pcap()


# -- in the verdict -------------------------------------------------------------------------------------------------------

def with_drafts(reading: Reading, verdict: Verdict, home: Sequence[str] = ()) -> Verdict:
    """The verdict with rules drafted for its strongest probing host, tried where the evidence is small enough to be read again
    (RULES_UP_TO_BYTES); unchanged where no host probes."""
    finding = next((f for f in verdict.findings if f.probing is not None), None)
    if finding is None or finding.probing is None:
        return verdict
    return replace(verdict, drafted_rules=tuple(_drafted(reading, verdict, finding, finding.probing, home)))


def _drafted(reading: Reading, verdict: Verdict, finding: Finding, probing: Probing, home: Sequence[str]) -> Iterator[DraftedRule]:
    nothing = DraftedRule(f"{probing.host} {probing.service}", 0, refused="the evidence holds nothing that these flows say")
    if not probing.payload_seen or "heads" not in reading.names():
        yield replace(nothing, needs="a capture with payload of this host, from the beginning of its connections on")
        return
    chosen = flows_of(reading, verdict, finding)
    made = material(reading, chosen)
    if not made.bad:
        yield replace(nothing, needs="attempts that are answered (a service that listens for them, such as a honeypot), and their payload")
        return
    day = datetime.datetime.fromtimestamp((verdict.end_ns or now_ns()) / 1e9, datetime.UTC)
    naming = chosen.naming(FIRST_SID, f"{day:%Y_%m_%d}")
    found = made.drafts(naming)
    tried, why = _tried_again(reading, [d for d in found if isinstance(d, Draft)], chosen, home or verdict.home_networks)
    for r in found:
        if isinstance(r, Refused):
            yield DraftedRule(r.kind, r.samples, refused=r.why, needs=r.needs)
            continue
        outcome = tried.get(r.sid)
        yield DraftedRule(
            nothing.kind, r.samples, r.total, r.text, r.sid, r.notes, as_dict([outcome], [])["rules"][0] if outcome else None,
            table([replace(outcome, cost_us=None)], []).rstrip("\n") if outcome else why,
        )  # fmt: skip


def _tried_again(reading: Reading, made: Sequence[Draft], chosen: Chosen, home: Sequence[str]) -> tuple[dict[int, Outcome], str]:
    """What the engine finds when the evidence is read once more; or why that was not done."""
    captures = [f for f in reading.files if not f.is_log]
    if not made:
        return {}, ""
    if any(f.size is None for f in captures) or sum(f.size or 0 for f in captures) > RULES_UP_TO_BYTES:
        return {}, "not tried: the evidence is large or a pipe; tracehound rules draft and rules test do it"
    settings, _ = read_settings(None, assignments=[], home=list(home), classification=None, thresholds=None)
    paths = [f.path for f in captures]
    with tempfile.TemporaryDirectory(prefix="tracehound-draft-") as folder:
        path = Path(folder) / "drafted.rules"
        path.write_text("".join(d.text + "\n" for d in made), encoding="utf-8")
        ready = make_ready([str(path)], settings, rationed=False)
        ran = run(ready, paths)
    labelled, rest = _labelled(reading, chosen.flow_ids)
    none = Ran([], [])
    return {
        _sid_of(p): _outcome(p.rule, ran, none, labelled, paths, rest, [exposure(reading, p, chosen.flow_ids)], None, None, ready, {})
        for p in ready.plans
    }, ""
