"""In: the documentation. Out: its examples run as shown, its reference pages say what the code says, its links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.documents import FENCE, PAGES, ROOT, Example, commands, examples, matches, name_of, run
from tracehound.cli import docs, main
from tracehound.demo.model_case import FILE_NAME, evidence
from tracehound.packets.batch import NOTES

EXAMPLES = [e for page in PAGES for e in examples(page)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where `make demo` has been: the examples of the pages are written for it."""
    where = tmp_path_factory.mktemp("docs")
    (where / "demo").mkdir()
    with (where / "demo" / FILE_NAME).open("wb") as out:
        out.writelines(evidence())
    return where


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_runs_as_shown(example: Example, folder: Path) -> None:
    if example.language == "console":
        assert re.match(r"(tracehound|cat \S+ \| tracehound) ", example.text), "use ```sh for what is not to be run"
    done = run(example, folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if example.shown is not None:
        assert matches(example.shown, done.stdout), done.stdout


def test_pages_have_examples():
    assert {e.page for e in EXAMPLES} >= {"README.md", "docs/tutorial.md"}
    assert {e.language for e in EXAMPLES} == {"console", "python"}


def test_a_wrong_example_is_noticed():
    assert matches("a\n...\nd", "a\nb\nc\nd\n")
    assert matches("...\nx ... y", "1\n2\nx 17 y\n")
    assert not matches("a\n...\nd", "a\nb\n")
    assert not matches("x ... y", "x 17\ny\n")
    found = list(commands("p", 1, "$ tracehound a \\\n  b\nout\n$ tracehound c\n"))
    assert [(e.text, e.shown) for e in found] == [("tracehound a \\\n  b", "out"), ("tracehound c", None)]


@pytest.mark.parametrize("page", docs.PAGES)
def test_reference_page_is_what_the_code_says(page):
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == docs.PAGES[page](), "run make docs"


@pytest.mark.parametrize("words", docs.verbs(), ids=" ".join)
def test_verb_is_explained(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main.run([*words, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, text.splitlines())) < 80
    parser = docs.verb_parser(*words)
    assert parser.description
    assert [a for a in parser._actions if not a.help] == []
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"# {' '.join(words)}\n" in page
    for action in parser._actions:
        assert all(f"{option}" in page for option in action.option_strings if action.dest != "help")


def test_help_of_the_program_is_narrow(capsys):
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in main.VERBS)
    assert [line for line in text.splitlines() if len(line) >= 80] == []


def quality_items() -> set[str]:
    """Every item that the code can write into table `quality`, read from the code itself."""
    found = {f"not decoded: {note}" for note in NOTES if note not in ("", "ARP")}
    sources = {"packets/quality.py": "items", "edges/reading.py": "_quality"}
    for file, function in sources.items():
        tree = ast.parse((ROOT / "src" / "tracehound" / file).read_text(encoding="utf-8"))
        body = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function)
        for node in ast.walk(body):
            if isinstance(node, ast.Tuple):
                words = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
                # An item is the first text of a row that also holds its count.
                if words and len(node.elts) >= 3:
                    found.add(words[0])
    return found


def test_every_item_of_the_quality_record_is_explained():
    page = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    items = quality_items()
    assert {"packets", "duplicated packets", "packets dropped by the capturing machine"} <= items
    assert sorted(item for item in items if f"`{item}`" not in page) == []


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(target)
    assert lost == []


def test_files_that_pages_name_exist():
    """Paths written as code, `src/...` or `tests/...`, are links too."""
    lost = []
    for page in PAGES:
        for target in re.findall(r"`((?:src|tests|docs|bench|tools)/[\w./\-]+)`", page.read_text(encoding="utf-8")):
            lost += [] if (ROOT / target).exists() else [f"{name_of(page)}: {target}"]
    assert lost == []
