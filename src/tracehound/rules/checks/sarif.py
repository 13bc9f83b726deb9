"""In: findings. Out: a SARIF 2.1.0 log as a tree for JSON, for code review and CI. Never here: finding.

Source: OASIS Static Analysis Results Interchange Format (SARIF) Version 2.1.0."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from tracehound.rules.checks.catalog import CHECKS
from tracehound.rules.checks.finding import Finding
from tracehound.version import __version__

_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def _uri(path: str) -> str:
    """A path as a URI reference (RFC 3986)."""
    return "".join(chr(b) if b in _SAFE else f"%{b:02X}" for b in path.encode("utf-8", "surrogateescape"))


def _fingerprint(f: Finding) -> str:
    """The same as long as the finding is the same, wherever its line moves (3.27.17)."""
    return hashlib.sha256("\0".join((f.check, str(f.sid), f.keyword, f.message)).encode("utf-8", "replace")).hexdigest()[:32]


def sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """The log of one run."""
    index = {name: n for n, name in enumerate(CHECKS)}
    results = [
        {
            "ruleId": f.check,
            "ruleIndex": index[f.check],
            "level": f.level,
            "message": {"text": f"{f.keyword}: {f.message}" if f.keyword else f.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(f.source)},
                        "region": {"startLine": f.line, "startColumn": f.column},
                    }
                }
            ],
            "partialFingerprints": {"tracehound/v1": _fingerprint(f)},
            "properties": {"sid": f.sid} if f.sid else {},
        }
        for f in findings
    ]
    driver = {
        "name": "tracehound",
        "version": __version__,
        "rules": [
            {
                "id": c.id,
                "shortDescription": {"text": c.title},
                "fullDescription": {"text": c.page},
                "help": {"text": c.page},
                "defaultConfiguration": {"level": c.level},
            }
            for c in CHECKS.values()
        ],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
