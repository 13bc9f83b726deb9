"""The capture of the benchmarks: built of a few conversations, and read. Never here: timing."""

from __future__ import annotations

from bench.build_capture import build

from tests.wire import exchange
from tracehound.edges.reading import read
from tracehound.pipeline import Wanted


def test_a_small_capture_is_built_and_read(tmp_path):
    """Copies hold the same conversations between other hosts, and checksums are right as they were."""
    source, folder = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    for number in range(2):
        (source / f"{number}.pcap").write_bytes(exchange(b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 3000, 80 + number))
    wanted = Wanted(transactions=False, verify_checksums=True)
    with read(str(source), wanted=wanted) as reading:
        once = reading.flows.to_pylist()
        packets = sum(row["packets"] for row in reading.evidence.to_pylist())
    assert len(once) == 2

    one_copy = sum(p.stat().st_size - 24 for p in source.iterdir())
    built = build(24 + one_copy * 5 // 2, folder=folder, source=source)
    assert (built.files, built.left_out, built.copies, built.packets) == (2, 0, 3, 3 * packets)
    assert built.size_bytes == (folder / built.path).stat().st_size == 24 + 3 * one_copy
    with read(built.path, wanted=wanted) as reading:
        flows = reading.flows.to_pylist()
        kinds = {row["item"] for row in reading.quality.to_pylist()}
    assert len(flows) == 6 and len({(f["src"], f["dst"]) for f in flows}) == 3
    assert sorted(_fate(f) for f in flows) == sorted(_fate(f) for f in once * 3)
    assert kinds == {"packets"}
    starts = sorted(f["start"] for f in flows)
    assert starts[0].year == 2023 and (starts[-1] - starts[0]).total_seconds() > 60

    again = build(24 + one_copy * 5 // 2, folder=folder, source=source)
    assert again == built and len(list(folder.iterdir())) == 2


def _fate(flow):
    return flow["dport"], flow["conn_state"], flow["history"], flow["pkts_src"], flow["pkts_dst"], flow["payload_dst"], flow["outcome"]
