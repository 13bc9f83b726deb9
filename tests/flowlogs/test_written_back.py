"""In: a small network. Out: its flows, written as Argus, ra's CSV, EVE, NetFlow v5 and Zeek write theirs, are the same flows when they are
read again. Never here: what other programs say of these files (bench/)."""

from __future__ import annotations

import pytest

from tests.wire import Wire
from tracehound.cli import flows as verb
from tracehound.edges.reading import read

SAME = "src, sport, dst, dport, proto, pkts_src, pkts_dst, bytes_src, bytes_dst, outcome, epoch_ns(start) // 1000000 AS start_ms"
COUNTED = {
    "argus": "conn_state, payload_src, payload_dst, ttl_src",
    "eve": "",
    "argus-csv": "payload_src, payload_dst",
    "netflow5": "conn_state",
}
WHEN = 1_000_000_000.0


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    talk = client.connect(server, 80, WHEN).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200).close()
    client.unanswered(wire.host("198.51.100.9"), 445, WHEN + 200.0)
    client.exchange(wire.host("10.1.0.1"), 53, b"question?", b"an answer", WHEN + 300.0)
    path = tmp_path_factory.mktemp("written") / "a.pcap"
    path.write_bytes(wire.pcap())
    return path


@pytest.mark.parametrize("form", sorted(COUNTED))
def test_what_is_written_reads_as_the_same_flows(tmp_path, capture, form):
    written = tmp_path / "flows"
    assert verb.main([str(capture), "--format", form, "-o", str(written), "-q"]) == 0
    asked = f"SELECT {SAME}{', ' + COUNTED[form] if COUNTED[form] else ''} FROM flows ORDER BY start, dport"
    with read([str(capture)]) as before, read([str(written)]) as after:
        assert after.ask(asked).to_pylist() == before.ask(asked).to_pylist()


def test_only_the_flows_asked_for_are_written(tmp_path, capture):
    written = tmp_path / "flows"
    assert verb.main([str(capture), "--format", "argus", "--where", "dport = 445", "-o", str(written), "-q"]) == 0
    with read([str(written)]) as after:
        assert after.flows["dport"].to_pylist() == [445]
