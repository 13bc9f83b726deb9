"""In: samples of malicious flows. Out: parts of them, each to be held out once. Never here: drafting or trying (draft.py, the engine).

Samples of one flow, and over targets those of one target, always lie in the same part: else a rule is tried on what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from tracehound.findings.template import Sample

Over = Literal["targets", "time", "flows"]
LEAST_FLOWS: Final = 2


def parts(samples: Sequence[Sample], count: int, over: Over) -> list[tuple[str, list[Sample]]]:
    """(name, samples) of at most `count` parts, none empty, of about equal size.

    over   targets: whole targets, in turn; time: stretches of time; flows: flows in turn (odd and even for two parts)"""
    return [(name, part) for name, part in _WAYS[over](sorted(samples, key=lambda s: s.ts_ns), count) if part]


def _targets(samples: Sequence[Sample], count: int) -> list[tuple[str, list[Sample]]]:
    place = {t: i % count for i, t in enumerate(dict.fromkeys(s.target for s in samples))}
    return [(f"targets {i + 1}/{count}", [s for s in samples if place[s.target] == i]) for i in range(count)]


def _time(samples: Sequence[Sample], count: int) -> list[tuple[str, list[Sample]]]:
    flows = list(dict.fromkeys(s.flow_id for s in samples))
    place = {f: i * count // len(flows) for i, f in enumerate(flows)}
    return [(f"time {i + 1}/{count}", [s for s in samples if place[s.flow_id] == i]) for i in range(count)]


def _flows(samples: Sequence[Sample], count: int) -> list[tuple[str, list[Sample]]]:
    place = {f: i % count for i, f in enumerate(dict.fromkeys(s.flow_id for s in samples))}
    return [(f"flows {i + 1}/{count}", [s for s in samples if place[s.flow_id] == i]) for i in range(count)]


_WAYS: Final[dict[str, Callable[[Sequence[Sample], int], list[tuple[str, list[Sample]]]]]] = {
    "targets": _targets, "time": _time, "flows": _flows,
}  # fmt: skip
