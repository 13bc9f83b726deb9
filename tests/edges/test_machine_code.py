"""Machine code that is kept: the same answers as numba's, whoever compiled it; nothing wrong is ever run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tracehound.edges import machine_code
from tracehound.kernels import Kernel, kernel, shape_of

machine_code_of: Any = machine_code.machine_code
digest: Any = machine_code._digest

FACTOR = 3
TABLE = np.arange(4)
plain = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="kernels run as plain Python")
pytestmark = plain


class Pair(NamedTuple):
    left: np.ndarray
    right: np.ndarray


@kernel
def thrice(value):
    return value * FACTOR


@kernel
def totals(pair, at, whole):
    """A total, an element of one side, whether it is even."""
    total = 0
    for i in range(pair.left.size):
        total += thrice(pair.left[i]) + pair.right[0, i]
    return total, pair.left[at], total % 2 == 0 and whole


plain_totals: Any = getattr(totals, "py_func")  # noqa: B009


@kernel
def fill(out, value):
    for i in range(out.size):
        out[i] = value


@kernel
def looked_up(at):
    return TABLE[at]


@kernel
def gives_an_array(values):
    return values


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def run(function, *args):
    call = machine_code_of(function, args, tuple(map(shape_of, args)))
    assert call is not None
    return call(*args)


def test_results_are_those_of_the_plain_function(folder):
    pair = Pair(np.arange(5, dtype=np.uint16), np.ones((2, 5), np.int32))
    for whole in (True, False):
        got = run(totals, pair, 4, whole)
        assert got == plain_totals(pair, 4, whole) == (35, 4, False)
        assert [type(v) for v in got] == [int, int, bool]
    out = np.zeros(3, np.uint8)
    assert run(fill, out, 7) is None
    assert out.tolist() == [7, 7, 7]
    assert run(looked_up, 2) == 2
    assert {"totals", "fill", "looked_up"} <= {p.name.partition("-")[0] for p in folder.glob("*.kernel")}


def test_an_index_outside_is_an_error(folder):
    with pytest.raises(IndexError, match="looked_up"):
        run(looked_up, 4)


def test_damaged_code_is_compiled_again(folder):
    assert run(looked_up, 3) == 3
    (path,) = folder.glob("looked_up*.kernel")
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", b"x" + whole, whole[:-9] + bytes(9)):
        path.write_bytes(damaged)
        assert run(looked_up, 3) == 3
        assert machine_code._kept(path) is not None


def test_what_a_kernel_names_is_part_of_its_name(folder, monkeypatch):
    args = (np.uint8(5),)
    before = digest(thrice, tuple(map(shape_of, args)))
    above = digest(totals, ())
    assert before != digest(thrice, ("<i8",))
    monkeypatch.setitem(globals(), "FACTOR", 4)
    assert before != digest(thrice, tuple(map(shape_of, args)))
    assert above != digest(totals, ())


def test_what_does_not_fit_is_left_to_numba(folder):
    values = np.arange(4)
    assert machine_code_of(gives_an_array, (values,), (shape_of(values),)) is None
    assert isinstance(gives_an_array, Kernel)


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "folder"))
    assert run(looked_up, 1) == 1


def test_numba_is_not_loaded_once_the_code_is_there(tmp_path):
    code = (
        "import sys\nfrom tracehound.edges import machine_code\nmachine_code.install()\n"
        "from tracehound.edges.first_use import compile_flows\ncompile_flows()\nprint('numba' in sys.modules)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path("src").resolve())}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
