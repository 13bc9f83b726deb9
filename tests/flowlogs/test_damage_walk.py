"""In: one network's flows as logs of every kind that is written, cut and changed at many places. Out: what stands before the damage is
read, the exit status says that there is damage, and nothing but EvidenceError is raised. Never here: readers alone (test_any_bytes.py)."""

from __future__ import annotations

import gzip
import random

import pytest

from tests.wire import Wire
from tracehound.cli.main import run
from tracehound.edges.reading import read
from tracehound.errors import EvidenceError
from tracehound.pipeline import Wanted

KINDS = ("argus", "argus-csv", "eve", "netflow5", "zeek")
FLOWS = 40
CUTS = 20
FLIPS = 50


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    at = tmp_path_factory.mktemp("walk")
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    for n in range(FLOWS):
        talk = client.connect(server, 80, 1_600_000_000.0 + 20 * n).send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n)
        talk.reply(b"HTTP/1.1 200 OK\r\n\r\nhi").close()
    (at / "capture.pcap").write_bytes(wire.pcap())
    logs = {}
    for kind in KINDS:
        assert run(["flows", "-q", str(at / "capture.pcap"), "--format", kind, "-o", str(at / kind)]) == 0
        logs[kind] = (at / kind).read_bytes()
    logs["argus.gz"], logs["zeek.gz"] = gzip.compress(logs["argus"]), gzip.compress(logs["zeek"])
    return logs


def _read(path, data: bytes) -> tuple[int, bool, list[str]] | None:
    """Flows, whether there is damage, and who they go to; None where nothing could be read."""
    path.write_bytes(data)
    try:
        with read([str(path)], wanted=Wanted(records=False, transactions=False)) as reading:
            return reading.flows.num_rows, reading.damaged, sorted(reading.flows["dst"].to_pylist())
    except EvidenceError:
        return None


@pytest.mark.parametrize("kind", [*KINDS, "argus.gz", "zeek.gz"])
def test_cut(kind, logs, tmp_path):
    data = logs[kind]
    seen = []
    for place in range(1, CUTS + 1):
        got = _read(tmp_path / "log", data[: len(data) * place // (CUTS + 1)])
        seen.append(0 if got is None else got[0])
    assert seen == sorted(seen)
    # What is packed says itself in larger pieces only.
    slack = 0.5 if kind.endswith(".gz") else 0.12
    assert all(n >= FLOWS * (place / (CUTS + 1) - slack) - 2 for place, n in enumerate(seen, 1))
    assert seen[-1] >= FLOWS * 0.8


@pytest.mark.parametrize("kind", [*KINDS, "argus.gz", "zeek.gz"])
def test_cut_in_a_record_ends_with_status_4(kind, logs, tmp_path, capsys):
    data = logs[kind]
    end = len(data) * 2 // 3 + 7
    if kind in ("argus-csv", "eve", "zeek"):
        # In the middle of a line: where it ends by chance, nobody can tell.
        end = data.rindex(b"\n", 0, end) + 20
    (tmp_path / "log").write_bytes(data[:end])
    assert run(["flows", str(tmp_path / "log"), "--format", "csv", "-o", str(tmp_path / "out")]) == 4
    assert "log: " in capsys.readouterr().err
    assert len((tmp_path / "out").read_text().splitlines()) > FLOWS // 3


@pytest.mark.parametrize("kind", [*KINDS, "argus.gz", "zeek.gz"])
def test_changed(kind, logs, tmp_path):
    data, chance = logs[kind], random.Random(kind)
    for _ in range(FLIPS):
        bad = bytearray(data)
        at = chance.randrange(len(bad))
        bad[at] ^= 1 << chance.randrange(8)
        got = _read(tmp_path / "log", bytes(bad))
        if got is not None and not kind.endswith(".gz"):
            assert got[0] >= FLOWS * (at / len(data) - 0.15) - 2
