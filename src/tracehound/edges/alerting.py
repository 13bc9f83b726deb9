"""In: evidence, rule files, settings. Out: alerts, one after another, as they are found; by one process or by several that share
the flows. Never here: a rule's meaning or how it is matched (rules/).

Several processes: each reads all of the evidence and assigns all flows, which is cheap, and inspects those whose pair of hosts is
its own. They are forked when the rules are ready, and hand their matches back a batch at a time as lines of JSON; thresholds, which
count over flows, are applied to the merged matches. So the output is the same for any number of processes."""

from __future__ import annotations

import heapq
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound import limits
from tracehound.edges.evidence import EvidenceFile, list_evidence, read_batches
from tracehound.edges.shards import pair_of
from tracehound.errors import RuleError
from tracehound.packets.batch import PacketBatch
from tracehound.rules import plan as plans
from tracehound.rules import prefilter
from tracehound.rules.engine import Engine, Options
from tracehound.rules.hits import Descriptions, Ends, ends_of
from tracehound.rules.honours import HONOURS
from tracehound.rules.inspect import Match, Note
from tracehound.rules.outline import looked_at
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Datarep, Dataset, HashList, Rule
from tracehound.rules.ruleset import RuleSet
from tracehound.rules.sets import Load, SetError, Sets, digests_of
from tracehound.rules.settings import Settings, Suppression
from tracehound.rules.state import Memory, Told, above_rate, becomes_alert
from tracehound.rules.support import missing, prefixes_of
from tracehound.tables import EVIDENCE_SHIFT

Progress = Callable[[int, int | None], None]
_END: Final = "end"


@dataclass(slots=True)
class Ready:
    """Rules ready to be carried out, and those that cannot be."""

    plans: Sequence[Plan]
    filter: prefilter.Prefilter
    refused: list[RuleError]
    descriptions: Descriptions
    settings: Settings
    notes: list[str] = field(default_factory=list)


def refusal(rule: Rule, prefixes: tuple[str, ...]) -> RuleError | None:
    """Why the engine cannot honour a rule; None where it can."""
    need = missing(rule, HONOURS, prefixes)
    if need is None:
        return None
    written = rule.written
    if need.option < 0:
        return RuleError(written.source, written.line, f"needs {need.name}, which is not done yet", column=written.column)
    option = written.options[need.option]
    return RuleError(
        written.source, option.line, f"needs {need.name}, which is not done yet", column=option.column, keyword=option.name
    )


class Lists:
    """Digests of the files that a rule names; paths count from the rule file's folder."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def digests(self, asked: HashList) -> frozenset[str]:
        try:
            return digests_of(asked, _beside(self._rule)(asked.path))
        except OSError as problem:
            raise SetError(f"{asked.path}: {problem.strerror}") from None


def _beside(rule: Rule) -> Load:
    folder = Path(rule.written.source).parent

    def load(name: str) -> bytes:
        with (folder / name).open("rb") as file:
            return file.read(limits.MAX_RULE_SOURCE_BYTES)

    return load


def _open_sets(rule: Rule, sets: Sets) -> Sets:
    for group in rule.groups:
        for step in group.steps:
            if isinstance(step, Dataset):
                sets.open_set(step, _beside(rule))
            elif isinstance(step, Datarep):
                sets.open_reputations(step, _beside(rule))
    return sets


def make_ready(rules: RuleSet, settings: Settings) -> Ready:
    """Plans of all rules that can be honoured, in order, with their prefilter."""
    refused = list(rules.refused)
    prefixes = prefixes_of(HONOURS)
    made: list[Plan] = []
    sets = Sets()
    for rule in rules.rules:
        wrong = refusal(rule, prefixes)
        if wrong is not None:
            refused.append(wrong)
            continue
        try:
            made.append(plans.plan_of(rule, lists=Lists(rule), sets=_open_sets(rule, sets)))
        except SetError as problem:
            refused.append(RuleError(rule.written.source, rule.written.line, str(problem), column=rule.written.column))
    made = plans.put_in_order(made, settings.priority_of)
    return Ready(made, prefilter.build(made), refused, Descriptions(dict(settings.classes)), settings)


def shared_state(ready: Ready) -> bool:
    """Whether rules remember something over flows while they match, so that one process must see all flows."""
    return ready.filter.outline.shared


# -- matches and alerts -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Found:
    """A match with what is needed to print it. place: where it stands in its batch."""

    place: tuple[int, bool, int, int]
    plan: Plan
    told: Told
    evidence_id: int
    eve: Callable[[str], dict[str, Any]]
    fast: Callable[[], str]


def _found(m: Match, say: Descriptions) -> Found:
    p = m.packet
    flow_id = p.flow.flow_id if p.flow is not None else p.flow_id
    return Found(
        (p.number, p.pseudo, p.place, m.plan.order), m.plan, Told(p.ts, p.src, p.dst, p.sport, p.dport, flow_id),
        p.number >> EVIDENCE_SHIFT, lambda path: say.eve(m, path), lambda: say.fast(m.plan.rule, ends_of(p)),
    )  # fmt: skip


class Filters:
    """What the user's threshold file says of alerts: suppress, event_filter, rate_filter (Suricata's threshold.config)."""

    def __init__(self, settings: Settings) -> None:
        self._suppressions = settings.suppressions
        self._events = {(f.gid, f.sid): f.threshold for f in settings.event_filters}
        self._rates = {(f.gid, f.sid): f for f in settings.rate_filters}

    def _suppressed(self, s: Suppression, rule: Rule, told: Told) -> bool:
        if (s.gid and s.gid != rule.gid) or (s.sid and s.sid != rule.sid):
            return False
        if s.addresses is None:
            return True
        check = plans.address_check(s.addresses)
        if check is None or not s.track:
            return True
        return (s.track != "by_dst" and check(told.src)) or (s.track != "by_src" and check(told.dst))

    def passes(self, rule: Rule, told: Told, memory: Memory) -> bool:
        replaced = self._events.get((rule.gid, rule.sid)) or self._events.get((rule.gid, 0))
        if not becomes_alert(rule, told, memory, replaced):
            return False
        rate = self._rates.get((rule.gid, rule.sid)) or self._rates.get((rule.gid, 0))
        if rate is not None and above_rate(rate.threshold, rate.timeout_s, rule, told, memory) and rate.new_action == "pass":
            # A capture is only read: of the other actions (drop, reject) nothing is to be seen but the alert.
            return False
        return not any(self._suppressed(s, rule, told) for s in self._suppressions)


@dataclass(slots=True)
class Summary:
    """What is said when all is over: flows that could only be inspected from the middle, rules whose expressions gave up."""

    lost: int = 0
    exhausted: set[int] = field(default_factory=set)


def _mine(number: int, count: int) -> Callable[[PacketBatch], NDArray[np.bool_]]:
    return lambda p: pair_of(p) % count == number


def _engine(ready: Ready, options: Options, number: int, count: int, notes: list[Note] | None) -> Engine:
    mine = _mine(number, count) if count > 1 else None
    return Engine(ready.plans, ready.filter, options, notes, mine, limits.MAX_RULE_HISTORY_BYTES // count)


def _work(files: Sequence[EvidenceFile], ready: Ready, options: Options, number: int, count: int, out: IO[str]) -> None:
    """A forked process: its matches, a batch at a time, and at the end what it counted."""
    engine = _engine(ready, options, number, count, None)

    def tell(matches: list[Match]) -> None:
        for m in matches:
            found = _found(m, ready.descriptions)
            # What is never printed need not be described.
            eve = None if m.plan.quiet else found.eve("")
            out.write(json.dumps([found.place, m.plan.order, found.told, eve, ends_of(m.packet)]) + "\n")
        out.write(_END + "\n")

    for raw in read_batches(files):
        tell(engine.add(raw))
        out.flush()
    tell(engine.finish())
    counts = {p.order: [p.counts.candidates, p.counts.checked, p.counts.passed, p.counts.time_ns, p.counts.exhausted]
              for p in looked_at(ready.plans) if p.counts.checked or p.counts.candidates}  # fmt: skip
    out.write(json.dumps({"lost": engine.lost.flows, "exhausted": sorted(engine.inspector.exhausted), "counts": counts}) + "\n")
    out.flush()


class _Helper:
    """A forked process and the pipe that its matches come through."""

    def __init__(self, files: Sequence[EvidenceFile], ready: Ready, options: Options, number: int, count: int) -> None:
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(read_end)
                with os.fdopen(write_end, "w", encoding="utf-8") as out:
                    _work(files, ready, options, number, count, out)
                status = 0
            except BrokenPipeError:
                status = 0
            except BaseException as problem:
                print(f"tracehound: a process that inspects flows ended: {problem!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(status)
        os.close(write_end)
        self._ready = ready
        self._in = os.fdopen(read_end, encoding="utf-8")

    def batch(self) -> list[Found]:
        """Its matches of the next batch."""
        out: list[Found] = []
        for line in self._in:
            if line == _END + "\n":
                return out
            place, order, told, eve, ends = json.loads(line)
            plan = self._ready.plans[order]
            fast = partial(self._ready.descriptions.fast, plan.rule, Ends(*ends))
            out.append(Found(tuple(place), plan, Told(*told), place[0] >> EVIDENCE_SHIFT, _with_path(eve or {}), fast))
        raise RuleError("alerts", 0, "a process that inspects flows ended before its time")

    def finish(self, told: Summary) -> None:
        summary = json.loads(self._in.readline())
        told.lost += summary["lost"]
        told.exhausted |= set(summary["exhausted"])
        for order, (candidates, checked, passed, time_ns, exhausted) in summary["counts"].items():
            c = self._ready.plans[int(order)].counts
            c.candidates += candidates
            c.checked += checked
            c.passed += passed
            c.time_ns += time_ns
            c.exhausted += exhausted
        self.close()

    def close(self) -> None:
        if not self._in.closed:
            self._in.close()
            os.waitpid(self.pid, 0)


def _with_path(eve: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    def get(path: str) -> dict[str, Any]:
        eve["pcap_filename"] = path
        return eve

    return get


def processes(files: Sequence[EvidenceFile], ready: Ready, jobs: int | None) -> int:
    """How many processes share the work: those asked for, or all processors where there is enough to do."""
    sizes = [file.size for file in files]
    if None in sizes or shared_state(ready) or not hasattr(os, "fork"):
        return 1
    if jobs is None and sum(s or 0 for s in sizes) < limits.ALERT_JOBS_FROM_BYTES:
        return 1
    return max(1, min(jobs or os.cpu_count() or 1, limits.MAX_SHARDS))


def alerts(
    files: Sequence[EvidenceFile], ready: Ready, options: Options, *, jobs: int = 1, progress: Progress | None = None,
    notes: list[Note] | None = None, told: Summary | None = None,
) -> Iterator[Found]:
    """Alerts in packet order within each batch, as the evidence is read."""
    told = told if told is not None else Summary()
    filters = Filters(ready.settings)
    memories: dict[int, Memory] = {}
    chains: dict[int, int] = {}
    helpers = [_Helper(files, ready, options, number, jobs) for number in range(1, jobs)]
    engine = _engine(ready, options, 0, jobs, notes)

    def passed(mine: list[Match]) -> Iterator[Found]:
        parts = [[_found(m, ready.descriptions) for m in mine], *(h.batch() for h in helpers)]
        for found in heapq.merge(*parts, key=lambda f: f.place) if helpers else parts[0]:
            memory = memories.setdefault(chains.get(found.evidence_id, 0), Memory())
            if filters.passes(found.plan.rule, found.told, memory) and not found.plan.quiet:
                yield found

    try:
        for raw in read_batches(files, progress=progress):
            chains[raw.evidence_id] = raw.chain
            yield from passed(engine.add(raw))
        yield from passed(engine.finish())
        told.lost += engine.lost.flows
        told.exhausted |= engine.inspector.exhausted
        for helper in helpers:
            helper.finish(told)
    finally:
        for helper in helpers:
            helper.close()


__all__ = ["EvidenceFile", "Found", "Ready", "alerts", "list_evidence", "make_ready", "processes"]
