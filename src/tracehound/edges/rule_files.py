"""In: paths of rule files, of a suricata.yaml or snort.conf. Out: the settings and the rules in them. Never here: understanding
their text (rules/settings.py, rules/ruleset.py)."""

from __future__ import annotations

import gc
import glob
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tracehound.errors import UsageError
from tracehound.limits import MAX_RULE_INCLUDES, MAX_RULE_SOURCE_BYTES
from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.ruleset import RuleSet, parse_rules
from tracehound.rules.settings import (
    Settings,
    read_classification,
    read_references,
    read_snort_conf,
    read_thresholds,
    read_yaml,
    with_variable,
)

STDIN: Final = "-"


def _text(path: str, option: str) -> bytes:
    try:
        if path == STDIN:
            text = sys.stdin.buffer.read(MAX_RULE_SOURCE_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                text = file.read(MAX_RULE_SOURCE_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"{option} {path}: {problem.strerror}") from None
    if len(text) > MAX_RULE_SOURCE_BYTES:
        raise UsageError(f"{option} {path}: more than {MAX_RULE_SOURCE_BYTES} bytes")
    return text


def _beside(path: str, name: str) -> str:
    """A file that another one names: beside it where the name is no whole path."""
    return str(Path(path).parent / Path(name).expanduser())


def _same(path: str) -> str:
    """One name for one file, however it is reached."""
    return path if path == STDIN else str(Path(path).resolve())


def read_settings(
    config: str | None = None,
    *,
    assignments: Iterable[str] = (),
    home: Sequence[str] = (),
    classification: str | None = None,
    references: str | None = None,
    thresholds: str | None = None,
) -> tuple[Settings, list[str]]:
    """Suricata's defaults, then `config`, the files it names, the files given beside it, and NAME=VALUE assignments.

    Returns (settings, notes): a note for each file that `config` names and that is not there. Raises UsageError and RuleError."""
    settings = Settings()
    notes: list[str] = []
    if config is not None:
        settings = _read_config(config, settings, 0)
    named = (
        ("classification-file", settings.classification_file, classification, read_classification),
        ("reference-config-file", settings.reference_file, references, read_references),
        ("threshold-file", settings.threshold_file, thresholds, read_thresholds),
    )
    if home:
        assignments = [f"HOME_NET=[{','.join(home)}]", *assignments]
    for assignment in assignments:
        try:
            settings = with_variable(settings, assignment)
        except KeywordError as wrong:
            raise UsageError(f"--set {assignment}: {wrong}") from None
    for setting, name, given, reader in named:
        if given is not None:
            settings = reader(_text(given, f"--{setting}"), given, settings)
        elif name and config is not None:
            path = _beside(config, name)
            if Path(path).is_file():
                settings = reader(_text(path, setting), path, settings)
            else:
                notes.append(f"{config}: {setting} {path} is not there; Suricata's defaults hold")
    return settings, notes


def _read_config(path: str, settings: Settings, depth: int) -> Settings:
    if depth > MAX_RULE_INCLUDES:
        raise UsageError(f"-c {path}: files include each other more than {MAX_RULE_INCLUDES} deep")
    text = _text(path, "-c")
    lines = [line.strip() for line in text.split(b"\n")]
    if any(line.startswith((b"ipvar ", b"portvar ", b"var ", b"include ", b"preprocessor ")) for line in lines):
        return read_snort_conf(text, path, settings)
    settings = read_yaml(text, path, settings)
    for name in settings.includes:
        settings = _read_config(_beside(path, name), settings, depth + 1)
    return settings


def find_rule_files(paths: Sequence[str]) -> list[str]:
    """Files that PATHS name: a file, `-`, a pattern, or a folder with its *.rules. Raises UsageError for what is not there."""
    found: list[str] = []
    for path in paths:
        if path == STDIN or Path(path).is_file():
            found.append(path)
        elif Path(path).is_dir():
            inside = sorted(str(p) for p in Path(path).rglob("*.rules") if p.is_file())
            if not inside:
                raise UsageError(f"-S {path}: no *.rules in that folder")
            found += inside
        else:
            matched = sorted(p for p in glob.glob(path, recursive=True) if Path(p).is_file())  # noqa: PTH207
            if not matched:
                raise UsageError(f"-S {path}: no such file")
            found += matched
    return list(dict.fromkeys(found))


def configured_rule_files(config: str, settings: Settings) -> list[str]:
    """The rule files that a configuration names."""
    folder = settings.rule_folder
    return find_rule_files([_beside(config, str(Path(folder) / f) if folder else f) for f in settings.rule_files])


Texts = list[tuple[str, bytes]]
"""Rule files: path and text."""


def rule_texts(paths: Sequence[str]) -> Texts:
    """The files that PATHS name, read."""
    return [(path, _text(path, "-S")) for path in find_rule_files(paths)]


def load_rules(paths: Sequence[str], settings: Settings) -> RuleSet:
    """All rules of some files, folders or patterns, with the files that they include."""
    return parsed(rule_texts(paths), settings)


def parsed(texts: Texts, settings: Settings) -> RuleSet:
    """The rules of files that were read, with the files that they include."""
    collecting = gc.isenabled()
    # Hundreds of thousands of small values that all stay: looking for garbage among them takes as long as reading them.
    gc.disable()
    try:
        return _parsed(texts, settings)
    finally:
        if collecting:
            gc.enable()


def _parsed(texts: Texts, settings: Settings) -> RuleSet:
    files = list(texts)
    read = {_same(path) for path, _ in files}
    at = 0
    while True:
        result = parse_rules(files, settings.variables)
        more = [path for i in result.includes if _same(path := _beside(i.source, i.path)) not in read]
        at += 1
        if not more:
            return result
        if at > MAX_RULE_INCLUDES:
            raise UsageError(f"-S {texts[0][0]}: files include each other more than {MAX_RULE_INCLUDES} deep")
        for path in dict.fromkeys(more):
            if _same(path) not in read:
                files.append((path, _text(path, "include")))
                read.add(_same(path))
