"""In: tables.py, limits.py, the detectors' pages, the profiles and the verbs' parsers. Out: docs/tables.md, docs/limits.md,
docs/detectors.md, docs/profiles.md, docs/rule-keywords.md, docs/rule-checks.md and docs/cli.md, so that they are never out of date.
Never here: words that only the documentation needs.

    python -m tracehound.cli.docs docs           write the pages
    python -m tracehound.cli.docs --check docs   say which pages differ; status 1 if any does

Help texts are laid out here and not by argparse, whose layout changes from one Python to the next."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa

from tracehound import tables
from tracehound.cli.group import Group
from tracehound.cli.main import ELSEWHERE, GROUPS, USAGE, VERBS, run
from tracehound.detectors.catalog import Catalog, Detector, Parameter, load
from tracehound.edges.packaged import detector_pages, profile_texts
from tracehound.profiles.profile import parse_profile

_WRITTEN_BY: Final = "<!-- Written by `make docs` from {source}; changes here are lost. -->\n"


def _cell(text: str) -> str:
    """Text for one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return "text"
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {"string": "text", "double": "float64"}.get(str(kind), str(kind))


def tables_page() -> str:
    """docs/tables.md: every table, column by column."""
    parts = [
        _WRITTEN_BY.format(source="src/tracehound/tables.py"),
        "# Tables\n\nOne name means one thing in every table. Times are `timestamp(ns, UTC)`; sizes are bytes; addresses are\n"
        "canonical text (RFC 5952 for IPv6). Text that repeats is dictionary-encoded in Arrow. A column that *leads to* another\n"
        "is the way back towards the packet: `packet_id = evidence_id << 40 | frame`.\n",
        "\n".join(f"- [{t.name}](#{t.name}): {t.meaning}" for t in tables.ALL.values()) + "\n",
    ]
    for table in tables.ALL.values():
        rows = [
            (
                f"`{c.name}`",
                _type(c.type) + (", or null" if c.nullable else ""),
                _cell(c.unit),
                _cell(c.meaning),
                f"`{c.upstream}`" if c.upstream else "",
            )
            for c in table.columns
        ]
        parts.append(
            f"## {table.name}\n\n{table.meaning}\n\n" + _rows(("column", "type", "unit", "meaning", "leads to"), rows)
        )
    outcomes = [(f"`{name}`", _cell(meaning)) for name, meaning in tables.OUTCOMES.items()]
    parts.append("## Outcomes\n\nThe words of `flows.outcome`.\n\n" + _rows(("outcome", "meaning"), outcomes))
    return "\n".join(parts)


def _sections(text: str) -> Iterator[tuple[int, str]]:
    """(line, title) of every `# -- title ----` comment."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# -- "):
            yield number, line[5:].strip(" -")


def limits_page() -> str:
    """docs/limits.md: every bound with its value and reason, in the order of limits.py."""
    source = resources.files("tracehound").joinpath("limits.py").read_text(encoding="utf-8")
    module = importlib.import_module("tracehound.limits")
    body = ast.parse(source).body
    rows: list[tuple[int, str, int, str]] = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        said = (
            isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
        )
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and said:
            assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            rows.append((node.lineno, node.target.id, getattr(module, node.target.id), str(after.value.value)))
    parts = [
        _WRITTEN_BY.format(source="src/tracehound/limits.py"),
        "# Limits\n\nEvery bound of the program. Evidence is hostile: a length that it names is checked against one of these before\n"
        "anything is read or kept. What a limit cuts is counted and said in the result.\n",
    ]
    sections = list(_sections(source))
    for (line, title), (end, _) in zip(sections, [*sections[1:], (1 << 30, "")], strict=True):
        inside = [(f"`{name}`", f"{value:,}", _cell(why)) for at, name, value, why in rows if line < at < end]
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n" + _rows(("limit", "value", "why"), inside))
    return "\n".join(parts)


def _parameter(p: Parameter) -> tuple[str, ...]:
    default = f"{p.default:,}" if isinstance(p.default, int | float) else p.default
    return (f"`{p.name}`", default, _cell(p.unit), _cell(p.meaning))


def _detector(detector: Detector) -> str:
    facts = [
        ("what", detector.what),
        ("why", detector.why),
        ("look-alikes", detector.look_alikes),
        ("cannot", detector.cannot),
        ("source", detector.source),
        ("seen in", detector.seen or ""),
        ("ATT&CK technique", detector.technique or ""),
    ]
    text = f"## {detector.id}\n\n**{detector.question}** {detector.title}, version {detector.version}.\n\n"
    text += "".join(f"- *{name}*: {_cell(words)}\n" for name, words in facts if words and words != "none")
    text += "- *asks*: " + ", ".join(f"`{name}`" for name in (*detector.tables, *detector.optional)) + "\n"
    if detector.parameters:
        rows = [_parameter(p) for p in detector.parameters]
        text += "\n" + _rows(("parameter", "default", "unit", "meaning"), rows)
    return text


def detectors_page() -> str:
    """docs/detectors.md: every detector's page without its query."""
    catalog: Catalog = load(detector_pages())
    found = [catalog.detectors[name] for name in sorted(catalog.detectors)]
    intro = (
        "# Detectors\n\nA detector is one question as one SQL query over the [tables](tables.md), with its page on top.\n"
        "`tracehound detectors ID` prints page and query; every finding names the detector and version that it rests on.\n"
    )
    listed = "\n".join(f"- [{d.id}](#{d.id}): {d.question}" for d in found) + "\n"
    return "\n".join(
        [_WRITTEN_BY.format(source="src/tracehound/detectors/*.sql"), intro, listed, *map(_detector, found)]
    )


class _Built(Exception):
    """Carries a verb's parser out of the verb, which builds it and parses in one go."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


def verb_parser(*words: str) -> argparse.ArgumentParser:
    """The parser of one verb (or of one inner verb: its group's name and its own), without running it."""

    def stop(parser: argparse.ArgumentParser, *_words: object) -> NoReturn:
        raise _Built(parser)

    kept = argparse.ArgumentParser.parse_intermixed_args
    argparse.ArgumentParser.parse_intermixed_args = stop  # type: ignore[method-assign, assignment]
    try:
        run(list(words))
    except _Built as built:
        return built.parser
    finally:
        argparse.ArgumentParser.parse_intermixed_args = kept  # type: ignore[method-assign]
    raise AssertionError(f"{' '.join(words)} does not parse its words")


def _option(action: argparse.Action) -> tuple[str, str]:
    value = (
        ""
        if action.nargs == 0
        else str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
    )
    names = ", ".join(action.option_strings)
    spelled = f"`{names} {value}`" if names and value else f"`{names or value}`"
    said = (action.help or "") % {**vars(action), "prog": "tracehound"}
    return spelled, _cell(said)


def group_of(verb: str) -> Group:
    """The group of a verb that has verbs of its own."""
    group: Group = importlib.import_module(ELSEWHERE.get(verb, f"tracehound.cli.{verb}")).GROUP
    return group


def verbs() -> list[tuple[str, ...]]:
    """Every verb that parses words: an inner verb with its group's name before it."""
    return [words for verb in VERBS for words in ([(verb, inner) for inner in group_of(verb).verbs] if verb in GROUPS else [(verb,)])]


def _verb(verb: str) -> str:
    if verb in GROUPS:
        group = group_of(verb)
        return f"## {verb}\n\n{group.summary}\n\n" + "\n".join(_one(f"### {verb} {inner}", verb, inner) for inner in group.verbs)
    return _one(f"## {verb}", verb)


def _one(heading: str, *named: str) -> str:
    parser = verb_parser(*named)
    actions = [a for a in parser._actions if a.dest != "help"]  # argparse gives no public list
    words = [
        str(a.metavar or a.dest).upper() + ("..." if a.nargs == "+" else "") for a in actions if not a.option_strings
    ]
    optional = any(a.nargs == "?" for a in actions if not a.option_strings)
    spelled = " ".join(f"[{w}]" if optional else w for w in words)
    rows = [_option(a) for a in actions]
    return (
        f"{heading}\n\n`tracehound {' '.join(named)} [options] {spelled}`\n\n{' '.join((parser.description or '').split())}\n\n"
        + _rows(("word", "meaning"), [(left.replace("|", "\\|"), right) for left, right in rows])
    )


def cli_page() -> str:
    """docs/cli.md: every verb with its options, and the exit status."""
    entry = (
        ast.get_docstring(ast.parse(resources.files("tracehound.cli").joinpath("main.py").read_text(encoding="utf-8")))
        or ""
    )
    status = " ".join(entry[entry.index("Exit status:") :].split())
    intro = (
        f"# Command line\n\n```text\n{USAGE.strip()}\n```\n\n"
        "Data goes to standard output: a table on a terminal, JSON lines in a pipe or file. Progress and notes go to standard\n"
        f"error. {status}\n"
    )
    listed = "\n".join(f"- [{verb}](#{verb}): {what}" for verb, what in VERBS.items()) + "\n"
    return "\n".join([_WRITTEN_BY.format(source="src/tracehound/cli"), intro, listed, *map(_verb, VERBS)])


_CATEGORY_TITLES: Final = {
    "malware": "Malware",
    "tool": "Tools",
    "exploit": "Exploits",
    "victim": "Victims of exploits",
}


def profiles_page() -> str:
    """docs/profiles.md: every profile with its signs and sources."""
    found = [parse_profile(text, name) for name, text in sorted(profile_texts().items())]
    parts = [
        _WRITTEN_BY.format(source="src/tracehound/profiles/families/*.toml"),
        "# Profiles\n\nWhat `tracehound investigate` recognises, by what is publicly known of it. A sign is *decisive* where nothing\n"
        "else is known to produce it, and *recalled* where it is shown but not scored, because it was not read again at its\n"
        "source. A host is named for one decisive sign or for two specific ones, never for ports and rates alone.\n",
    ]
    for category, title in _CATEGORY_TITLES.items():
        rows = []
        for p in sorted((p for p in found if p.category == category), key=lambda p: p.name.lower()):
            counts = [
                (sum(i.decisive for i in p.indicators), "decisive"),
                (sum(not i.decisive and i.mark != "R" for i in p.indicators), "other"),
                (sum(i.mark == "R" for i in p.indicators), "recalled"),
            ]
            signs = ", ".join(f"{n} {word}" for n, word in counts if n)
            since = p.first_seen.isoformat() if p.first_seen else ""
            names = p.name + (f" ({', '.join(p.aliases)})" if p.aliases else "")
            rows.append((_cell(names), since, _cell(p.summary), signs, _cell("; ".join(p.sources))))
        parts.append(f"## {title}\n\n" + _rows(("name", "since", "what it is", "signs", "sources"), rows))
    return "\n".join(parts)


_KEYWORD_TITLES: Final = {
    "meta": "About the rule",
    "action": "What happens besides the alert",
    "header": "Headers",
    "flow": "Flow",
    "payload": "Bytes",
    "modifier": "Modifiers of a content",
    "buffer": "Buffers",
    "transform": "Transforms",
    "protocol": "Fields of application protocols",
    "event": "Events",
    "file": "Files",
    "state": "State",
}
_DIALECT_NAMES: Final = {"s": "Suricata", "2": "Snort 2", "3": "Snort 3"}


def rule_keywords_page() -> str:
    """docs/rule-keywords.md: every keyword of rules with what becomes of rules that have it."""
    from tracehound.rules.honours import HONOURS
    from tracehound.rules.support import table

    rows = table(HONOURS)
    counts = {word: sum(r.status == word for r in rows) for word in ("yes", "some", "not yet", "never")}
    parts = [
        _WRITTEN_BY.format(source="src/tracehound/rules/keywords and rules/honours.py"),
        "# Rule keywords\n\nEvery keyword of Suricata 8, Snort 2.9 and Snort 3 that is read. *yes*: rules with it are matched exactly.\n"
        "*some*: with these values. *not yet* and *never*: such rules are refused, naming file, line, column and keyword; the\n"
        "others still load. [rules.md](rules.md) explains how rules are read.\n",
        f"{counts['yes']} yes, {counts['some']} some, {counts['not yet']} not yet, {counts['never']} never.\n",
    ]
    for kind, title in _KEYWORD_TITLES.items():
        shown = [
            (
                ", ".join(f"`{name}`" for name in (r.keyword.name, *r.keyword.aliases)),
                _cell(r.keyword.meaning),
                ", ".join(_DIALECT_NAMES[letter] for letter in r.keyword.dialects),
                r.status,
                _cell(r.reason),
            )
            for r in rows
            if r.keyword.kind == kind
        ]
        parts.append(f"## {title}\n\n" + _rows(("keyword", "meaning", "of", "matched", "which, or why not"), shown))
    return "\n".join(parts)


def rule_checks_page() -> str:
    """docs/rule-checks.md: every check of `rules check`."""
    from tracehound.rules.checks.catalog import CHECKS

    parts = [
        _WRITTEN_BY.format(source="src/tracehound/rules/checks"),
        "# Checks of rules\n\nWhat `tracehound rules check` looks for. Errors keep a rule from loading. `--only` and `--skip` take\n"
        "the names.\n",
        _rows(("check", "level", "what"), [(f"[{c.id}](#{c.id})", c.level, _cell(c.title)) for c in CHECKS.values()]),
        *(f"## {c.id}\n\n*{c.level}* {c.title}.\n\n{c.page}\n" for c in CHECKS.values()),
    ]
    return "\n".join(parts)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "tables.md": tables_page,
    "limits.md": limits_page,
    "detectors.md": detectors_page,
    "profiles.md": profiles_page,
    "rule-keywords.md": rule_keywords_page,
    "rule-checks.md": rule_checks_page,
    "cli.md": cli_page,
}


def main(argv: list[str]) -> int:
    """Write or check the pages; returns the exit status."""
    p = argparse.ArgumentParser(
        prog="python -m tracehound.cli.docs", description="Write the reference pages from the code."
    )
    p.add_argument("folder", type=Path)
    p.add_argument("--check", action="store_true", help="write nothing; status 1 where a page differs")
    args = p.parse_intermixed_args(argv)
    differing = 0
    for name, page in PAGES.items():
        path, text = args.folder / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        differing += 1
        if args.check:
            print(f"{path} is not what the code says; run make docs")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return int(args.check and differing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
