"""In: evidence, rule files, settings. Out: alerts, one after another, as they are found. Never here: a rule's meaning or how it is
matched (rules/)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tracehound import limits
from tracehound.edges.evidence import EvidenceFile, list_evidence, read_batches
from tracehound.errors import RuleError
from tracehound.rules import plan as plans
from tracehound.rules import prefilter
from tracehound.rules.engine import Engine, Options
from tracehound.rules.hits import Descriptions
from tracehound.rules.honours import HONOURS
from tracehound.rules.inspect import Match, Note
from tracehound.rules.plan import Plan
from tracehound.rules.rule import Datarep, Dataset, HashList, Rule
from tracehound.rules.ruleset import RuleSet
from tracehound.rules.sets import Load, SetError, Sets, digests_of
from tracehound.rules.settings import Settings
from tracehound.rules.support import missing, prefixes_of

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Ready:
    """Rules ready to be carried out, and those that cannot be."""

    plans: list[Plan]
    filter: prefilter.Prefilter
    refused: list[RuleError]
    descriptions: Descriptions
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
    return Ready(made, prefilter.build(made), refused, Descriptions(dict(settings.classes)))


def alerts(
    files: Sequence[EvidenceFile], ready: Ready, options: Options, *, progress: Progress | None = None, notes: list[Note] | None = None
) -> Iterator[tuple[Match, str]]:
    """Alerts with the path of their capture, in packet order within each file, as the evidence is read."""
    paths = {file.evidence_id: file.path for file in files}
    engine = Engine(ready.plans, ready.filter, options, notes)

    def named(matches: list[Match]) -> Iterator[tuple[Match, str]]:
        for m in matches:
            yield m, paths[m.packet.number >> 40]

    for raw in read_batches(files, progress=progress):
        yield from named(engine.add(raw))
    yield from named(engine.finish())
    if engine.lost.flows:
        print(f"tracehound: {engine.lost.flows} flows were inspected from the middle to stay within memory", file=sys.stderr)


__all__ = ["EvidenceFile", "Ready", "alerts", "limits", "list_evidence", "make_ready"]
