"""In: one network as a capture, as Argus records and as a Zeek log whose clock is wrong. Out: each connection is one flow with three
witnesses, and what they do not agree in is said. Never here: the readers."""

from __future__ import annotations

import pytest

from tests.wire import Wire
from tracehound.edges.reading import read
from tracehound.flowlogs.argus_write import write_flows
from tracehound.pipeline import Wanted

AHEAD_S = 5400.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("witnesses")
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    for n in range(6):
        talk = client.connect(server, 80, 10.0 + 20 * n).send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n)
        talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").close()
    client.unanswered(wire.host("198.51.100.9"), 445, 200.0)
    (at / "capture.pcap").write_bytes(wire.pcap())
    with read([str(at / "capture.pcap")], wanted=Wanted(transactions=False)) as reading:
        flows = reading.flows
    (at / "probe.argus").write_bytes(b"".join(write_flows(iter([flows.slice(0, 5)]))))
    fields = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto duration orig_bytes resp_bytes conn_state history orig_pkts resp_pkts"
    lines = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
    lines.append("#fields\t" + "\t".join(fields.split()))
    lines.append("#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tinterval\tcount\tcount\tstring\tstring\tcount\tcount")
    for n, flow in enumerate(flows.to_pylist()):
        start = flow["start"].value / 1e9 + AHEAD_S
        more = 1000 if n == 2 else 0
        cells = [
            f"{start:.6f}", f"C{n}", flow["src"], flow["sport"], flow["dst"], flow["dport"], "tcp",
            f"{(flow['end'] - flow['start']).value / 1e9:.6f}",
            flow["payload_src"], flow["payload_dst"] + more, flow["conn_state"], flow["history"], flow["pkts_src"], flow["pkts_dst"],
        ]  # fmt: skip
        lines.append("\t".join(map(str, cells)))
    (at / "conn.log").write_text("\n".join(lines) + "\n")
    return at


@pytest.fixture(scope="module")
def mixed(folder):
    with read([str(folder)]) as reading:
        yield reading


def test_a_connection_is_one_flow(folder, mixed):
    with read([str(folder / "capture.pcap")]) as alone:
        wanted = alone.flows.drop(["flow_id", "evidence_id", "first_packet_id", "last_packet_id"])
        assert mixed.flows.drop(["flow_id", "evidence_id", "first_packet_id", "last_packet_id"]).to_pylist() == wanted.to_pylist()
        assert mixed.http.num_rows == alone.http.num_rows == 6


def test_each_source_is_a_witness(mixed):
    seen = mixed.ask("SELECT flow_id, COUNT(*) AS n FROM witnesses GROUP BY flow_id ORDER BY flow_id").to_pylist()
    assert [row["n"] for row in seen] == [3, 3, 3, 3, 3, 2, 2]
    lost = mixed.ask("SELECT COUNT(*) AS n FROM records WHERE flow_id NOT IN (SELECT flow_id FROM flows)")["n"].to_pylist()
    assert lost == [0]


def test_the_wrong_clock_is_told_and_stated(mixed):
    ahead = mixed.ask("SELECT DISTINCT w.clock_ahead_s AS s FROM witnesses w JOIN evidence e USING (evidence_id) WHERE e.kind = 'zeek'")
    assert ahead["s"].to_pylist() == [pytest.approx(AHEAD_S, abs=1e-3)]
    notes = [r["note"] for r in mixed.table("quality").to_pylist() if r["item"] == "connections that other sources saw as well"]
    assert any("+5400.250 s ahead" in note for note in notes)


def test_a_contradiction_is_shown(mixed):
    said = mixed.ask("SELECT contradiction FROM witnesses WHERE contradiction IS NOT NULL")["contradiction"].to_pylist()
    assert said == ["payload of the responder: 1040, not 40"]


def test_without_the_capture_the_logs_stand_for_themselves(folder):
    with read([str(folder / "probe.argus"), str(folder / "conn.log")]) as reading:
        assert reading.flows.num_rows == 7
        assert reading.flows["outcome"].to_pylist().count("answered") == 6
        assert set(reading.flows["history"].to_pylist()) >= {"S"}


def test_large_evidence_is_rewritten_where_it_lies(folder, monkeypatch):
    monkeypatch.setattr("tracehound.limits.STORE_MEMORY_BYTES", 1)
    monkeypatch.setattr("tracehound.edges.store.Store.__init__.__kwdefaults__", {"memory_bytes": 1, "folder": None})
    with read([str(folder)]) as reading:
        assert reading.flows.num_rows == 7
