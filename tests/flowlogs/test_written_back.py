"""In: a small network. Out: its flows, written as Argus, ra's CSV, EVE, NetFlow v5 and Zeek write theirs, are the same flows when they are
read again. Never here: what other programs say of these files (bench/)."""

from __future__ import annotations

import pytest

from tests.wire import Wire
from tracehound.cli import flows as verb
from tracehound.cli.main import run
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


BINETFLOW = """StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label
2011/08/10 09:46:53.047277,3.550372,tcp,147.32.84.165,1577,   ->,77.75.73.9,80,FSPA_FSPA,0,0,12,9000,900,flow=From-Botnet-V42
2011/08/10 09:46:54.047277,9.000000,tcp,147.32.84.165,1578,   ->,77.75.73.10,25,S_,0,,3,186,186,flow=From-Botnet-V42-TCP-Attempt-SPAM
2011/08/10 09:46:55.047277,0.400000,tcp,147.32.84.165,1579,   ->,77.75.73.11,25,S_RA,0,0,2,122,62,flow=From-Botnet-V42-TCP-Attempt-SPAM
2011/08/10 09:46:56.047277,0.200000,udp,147.32.84.165,1580,  <->,147.32.80.9,53,CON,0,0,2,214,81,flow=From-Botnet-V42-UDP-DNS
"""
"""Lines as those of CTU-13, which counts packets of both ends together: of neither end are they known where both sent."""


def test_packets_that_nobody_counted_are_no_silence(tmp_path):
    (tmp_path / "a.binetflow").write_text(BINETFLOW)

    def told(path) -> list[tuple[object, ...]]:
        with read([str(path)]) as reading:
            rows = reading.ask("SELECT dport, conn_state, outcome FROM flows ORDER BY start").to_pylist()
        return [tuple(r.values()) for r in rows]

    wanted = [(80, "SF", "answered"), (25, "S0", "unanswered"), (25, "REJ", "refused"), (53, "SF", "answered")]
    assert told(tmp_path / "a.binetflow") == wanted
    for kind in ("zeek", "argus", "netflow5"):
        assert run(["flows", "-q", str(tmp_path / "a.binetflow"), "--format", kind, "-o", str(tmp_path / kind)]) == 0
        fared = [(port, outcome) for port, _, outcome in told(tmp_path / kind)]
        assert [p for p, _ in fared] == [80, 25, 25, 53]
        assert [o for _, o in fared[1:3]] == ["unanswered", "refused"]
        assert {fared[0][1], fared[3][1]} <= {"answered", "accepted"}, kind
