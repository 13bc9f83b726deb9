"""In: rule files and settings. Out: rules ready to be carried out, from disk where an earlier run kept them. Never here: what a
rule means or how it is matched (rules/).

What is kept is one file a rule set: the outline (rules/outline.py), the refused rules, the place of every rule in its order, and
the patterns as Hyperscan wrote them. The rules themselves stay where they are: one is read from its line in the rule file when
the prefilter first lets something through to it. The name of the file is a digest of all it depends on: the bytes of the rule files
and their names, the settings, the program's version and the text of the code that reads rules, and Hyperscan's version. A file whose
digest is wrong is as good as none. It is written under another name and then renamed, so no process meets half of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tracehound import limits, rules
from tracehound.edges.alerting import Lists, Ready, make_ready
from tracehound.edges.rule_files import STDIN, Texts, parsed, rule_texts
from tracehound.errors import RuleError
from tracehound.rules import prefilter
from tracehound.rules.grammar import item_at, lines_of
from tracehound.rules.hits import Descriptions
from tracehound.rules.outline import LatePlans, outline_from_json
from tracehound.rules.plan import Plan, plan_of
from tracehound.rules.rule import Datarep, Dataset, HashList, Rule, Written
from tracehound.rules.ruleset import RuleSet, meaning
from tracehound.rules.sets import Sets
from tracehound.rules.settings import Settings
from tracehound.version import __version__

_MAGIC: Final = b"tracehound rules 1\n"
_ENDING: Final = ".rules"
_DIGEST_BYTES: Final = 64


def ready_rules(paths: Sequence[str], settings: Settings, *, keep: bool = True) -> Ready:
    """The rules of some files, ready to be carried out. keep: take them from disk, and keep them there.

    Raises UsageError where a file cannot be read."""
    texts = rule_texts(paths)
    if not keep or any(path == STDIN for path, _ in texts):
        return make_ready(parsed(texts, settings), settings)
    kept = folder() / f"{_name(texts, settings)}{_ENDING}"
    found = _kept(kept, texts, settings)
    if found is not None:
        return found
    loaded = parsed(texts, settings)
    made = make_ready(loaded, settings)
    if _may_be_kept(loaded, settings):
        _keep(kept, made, texts)
    return made


def folder() -> Path:
    """Where compiled rule sets are kept: in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracehound" / "rules"


def _may_be_kept(loaded: RuleSet, settings: Settings) -> bool:
    """Whether all that the rules depend on is in the name: no file beside the rule files, no variables that they define."""
    return (
        len(loaded.rules) >= limits.RULE_CACHE_FROM_RULES
        and not loaded.includes
        and loaded.variables == settings.variables
        and not any(_asks_files(rule) for rule in loaded.rules)
    )


def _asks_files(rule: Rule) -> bool:
    steps = (step for group in rule.groups for step in group.steps)
    return any(isinstance(t, HashList) for t in rule.tests) or any(isinstance(s, Dataset | Datarep) for s in steps)


def _name(texts: Texts, settings: Settings) -> str:
    """A digest of everything that a compiled rule set depends on."""
    digest = hashlib.sha256(_MAGIC)
    parts: list[bytes] = [__version__.encode(), prefilter.MAKER.encode(), repr(settings).encode("utf-8", "surrogateescape"), _code()]
    for path, text in texts:
        parts += [os.fsencode(path), text]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:40]


def _code() -> bytes:
    """The text of the code that gives rules their meaning: between two releases the version stays, and it does not."""
    digest = hashlib.sha256()
    for path in sorted(Path(next(iter(rules.__path__))).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


# -- keeping ------------------------------------------------------------------------------------------------------------------


def _keep(path: Path, ready: Ready, texts: Texts) -> None:
    """Write what was compiled. Where nothing can be written, the next run compiles again."""
    numbers = {name: number for number, (name, _) in enumerate(texts)}
    said = {
        "outline": ready.filter.outline.as_json(),
        "places": [[numbers[p.rule.written.source], p.rule.written.line] for p in ready.plans],
        "refused": [[r.source, r.line, r.cause, r.column, r.keyword, r.kind] for r in ready.refused],
    }
    head = json.dumps(said, separators=(",", ":")).encode()
    body = len(head).to_bytes(8, "big") + head + prefilter.written(ready.filter)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = tempfile.NamedTemporaryFile(dir=path.parent, prefix="part-", delete=False)  # noqa: SIM115
        try:
            with part:
                part.write(_MAGIC + hashlib.sha256(body).hexdigest().encode() + body)
            Path(part.name).replace(path)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise
        _make_room(path)


def _make_room(newest: Path) -> None:
    """Let go of what was not used for longest, and of what writers that were stopped left behind, until the rest is within bounds."""
    held: list[tuple[float, int, Path]] = []
    for path in newest.parent.iterdir():
        # Another process may have let go of it meanwhile.
        with contextlib.suppress(OSError):
            known = path.stat()
            held.append((known.st_mtime, known.st_size, path))
    room = limits.MAX_RULE_CACHE_BYTES
    for _, size, path in sorted(held, reverse=True):
        room -= size
        if room < 0 and path != newest:
            path.unlink(missing_ok=True)


def _kept(path: Path, texts: Texts, settings: Settings) -> Ready | None:
    """What an earlier run kept; None where there is nothing, or nothing sound."""
    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    at = len(_MAGIC) + _DIGEST_BYTES
    body = memoryview(data)[at:]
    if not data.startswith(_MAGIC) or hashlib.sha256(body).hexdigest().encode() != data[len(_MAGIC) : at]:
        return None
    size = int.from_bytes(body[:8], "big")
    try:
        said: dict[str, Any] = json.loads(bytes(body[8 : 8 + size]))
        outline = outline_from_json(said["outline"])
        filters = prefilter.read_back(bytes(body[8 + size :]), outline)
    except (KeyError, TypeError, ValueError):
        return None
    refused = [
        RuleError(source, line, cause, column=column, keyword=keyword, kind=kind)
        for source, line, cause, column, keyword, kind in said["refused"]
    ]
    plans = LatePlans(len(said["places"]), _Reader(texts, settings, said["places"]).plan)
    return Ready(plans, filters, refused, Descriptions(dict(settings.classes)), settings)


class _Reader:
    """Reads a rule from its place when it is asked for."""

    def __init__(self, texts: Texts, settings: Settings, places: list[list[int]]) -> None:
        self._texts = texts
        self._lines: dict[int, list[str]] = {}
        self._settings = settings
        self._places = places

    def plan(self, order: int) -> Plan:
        number, line = self._places[order]
        name, text = self._texts[number]
        if number not in self._lines:
            self._lines[number] = lines_of(text)
        written = item_at(self._lines[number], line, name)
        if not isinstance(written, Written):
            raise RuleError(name, line, "is no rule, but it was one when the rules were compiled")
        rule = meaning(written, self._settings.variables)
        return plan_of(rule, lists=Lists(rule), sets=Sets())
