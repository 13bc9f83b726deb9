"""Reading in several processes gives the tables that reading in one does; a process that dies is said, not waited for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import SHARED, needs_shared
from tracehound import limits
from tracehound.edges import reading, shards
from tracehound.packets.decode import no_packets
from tracehound.tables import FLOWS, TRANSACTIONS


@needs_shared
def test_several_processes_say_what_one_says(monkeypatch):
    folder = str(SHARED / "captures" / "zeek")
    with reading.read(folder) as alone:
        monkeypatch.setattr(limits, "SHARD_FROM_BYTES", 0)
        monkeypatch.setattr("os.cpu_count", lambda: 3)
        with reading.read(folder) as shared:
            for table in (FLOWS, *TRANSACTIONS):
                whole = [r.ask(f'SELECT * FROM "{table.name}" ORDER BY ALL') for r in (alone, shared)]
                assert whole[0].equals(whole[1]), table.name
            assert alone.http.num_rows > 50
            assert alone.dns.num_rows > 50
            assert "ftp_data" in alone.flows["service"].to_pylist()


def test_both_directions_go_to_one_process():
    rng = np.random.default_rng(1)
    batch = no_packets()
    hi, lo = rng.integers(0, 1 << 63, (2, 2, 1000)).astype(np.uint64)
    there = shards.pair_of(batch._replace(src_hi=hi[0], src_lo=lo[0], dst_hi=hi[1], dst_lo=lo[1]))
    back = shards.pair_of(batch._replace(src_hi=hi[1], src_lo=lo[1], dst_hi=hi[0], dst_lo=lo[0]))
    assert (there == back).all()
    assert np.bincount(there % 4, minlength=4).min() > 150


def test_a_process_that_dies_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "false")
    group = shards.Shards(2, tmp_path / "work")
    for _ in range(3 * limits.PARCELS_WAITING):
        group.end(np.arange(100_000))
    group.finish()
    with pytest.raises(RuntimeError, match="ended with status 1"):
        group.collect(lambda name, paths: None)
    group.stop()


def test_shared_memory_is_given_out_round_and_round():
    rng = np.random.default_rng(2)
    ring = shards.Ring(1000)
    held: list[tuple[int, int]] = []
    sizes = rng.integers(0, 400, 3000).tolist()
    for size in sizes:
        while (place := ring.place(size)) is None:
            assert held, "an empty ring has room"
            ring.free()
            held.pop(0)
        assert place % 64 == 0 and place >= 0 and place + size <= 1000
        assert all(place + size <= begin or end <= place for begin, end in held if begin < end and size)
        held.append((place, place + size))
        assert ring.waiting == len(held)
    assert max(ring.waiting, 1) < 1000


def test_a_parcel_larger_than_the_shared_memory_goes_by_the_pipe(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHARD_MEMORY_BYTES", 4096)
    group = shards.Shards(2, tmp_path / "work")
    group.end(np.arange(100_000))
    group.end(np.arange(10))
    group.finish()
    files: list[object] = []
    assert group.collect(lambda name, paths: files.append(name)) == {}
