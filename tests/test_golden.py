"""In: the golden files. Out: whether the program still says the same of the demo's scenarios and the model case. Where it says
something else on purpose: make golden, and read the difference."""

from __future__ import annotations

import pytest

from tests.golden import CASES, FOLDER, differences, outputs, parsed


@pytest.mark.parametrize("name", CASES)
def test_says_what_it_said(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, text in outputs(name, tmp_path):
        kept = (FOLDER / file).read_text(encoding="utf-8")
        if file.endswith(".json"):
            assert list(differences(parsed(kept), parsed(text))) == []
        else:
            assert text == kept


def test_every_file_belongs_to_a_case():
    files = {p.name.partition(".")[0] for p in FOLDER.iterdir() if p.suffix in (".txt", ".json")}
    assert files == set(CASES)


def test_a_difference_is_noticed():
    assert list(differences({"a": [1.0, "x"]}, {"a": [1.0 + 1e-12, "x"]})) == []
    assert list(differences({"a": [1.0]}, {"a": [1.1]}))
    assert list(differences({"a": 1}, {"b": 1}))
    assert list(differences([1, 2], [1]))
