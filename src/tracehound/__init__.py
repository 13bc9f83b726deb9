"""The public Python names of tracehound; each is loaded when it is first used, so that `import tracehound` costs nothing.

    investigate(paths, *, host, home)   -> Verdict     the whole job
    read(paths, *, wanted)              -> Reading     evidence as Arrow tables: .flows .http .dns .heads, .sql("...")

Never here: code that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracehound.version import __version__

if TYPE_CHECKING:
    from tracehound.edges.investigation import investigate
    from tracehound.edges.reading import Reading, read
    from tracehound.errors import EvidenceError, RuleError, TracehoundError, Unanswerable, UsageError
    from tracehound.findings.model import Verdict
    from tracehound.pipeline import Wanted

__all__ = [
    "EvidenceError",
    "Reading",
    "RuleError",
    "TracehoundError",
    "Unanswerable",
    "UsageError",
    "Verdict",
    "Wanted",
    "__version__",
    "investigate",
    "read",
]

_HOME = {
    "EvidenceError": "tracehound.errors",
    "Reading": "tracehound.edges.reading",
    "RuleError": "tracehound.errors",
    "TracehoundError": "tracehound.errors",
    "Unanswerable": "tracehound.errors",
    "UsageError": "tracehound.errors",
    "Verdict": "tracehound.findings.model",
    "Wanted": "tracehound.pipeline",
    "investigate": "tracehound.edges.investigation",
    "read": "tracehound.edges.reading",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOME:
        raise AttributeError(f"module 'tracehound' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
