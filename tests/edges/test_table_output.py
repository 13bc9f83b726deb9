"""In: places to write to. Out: files that are whole or not there, devices and pipes that stay what they are. Never here: formats."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tracehound.edges.table_output import opened
from tracehound.errors import UsageError


def test_a_file_is_whole_or_not_there(tmp_path):
    with opened(str(tmp_path / "a")) as out:
        out.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), opened(str(tmp_path / "b")) as out:
        out.write(b"half")
        raise ZeroDivisionError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    with pytest.raises(UsageError, match="cannot write"), opened(str(tmp_path / "none" / "c")):
        pass


def test_a_pipe_is_written_to_and_never_replaced(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with opened(str(pipe)) as out:
        out.write(b"through")
    reader.join(10)
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_the_place_for_nothing_stays_a_device():
    with opened(os.devnull) as out:
        out.write(b"x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
