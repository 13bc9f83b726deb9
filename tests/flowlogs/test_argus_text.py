"""In: lines as ra, CTU-13 and others write them. Out: what is read of them. Never here: agreement with ra (test_argus_samples.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracehound.edges.reading import read
from tracehound.flowlogs import argus_text
from tracehound.flowlogs.formats import log_kind
from tracehound.flowlogs.reader import Options

BINETFLOW = """\
StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label
2011/08/10 09:46:59.607825,1.026539,tcp,147.32.84.165,1577,   ->,77.75.73.33,6881,S_RA,0,0,4,244,124,flow=From-Botnet-V42-TCP-Attempt
2011/08/10 09:47:00.634364,1.009595,tcp,147.32.84.165,1578,   ->,38.229.70.20,80,FSPA_FSPA,0,0,12,1500,700,flow=Background-TCP-Established
2011/08/10 09:47:48.185538,3.056586,tcp,147.32.84.165,1579,   ->,198.51.100.7,445,S_,0,,3,186,186,flow=From-Botnet-V42-TCP-Attempt
2011/08/10 09:47:49.000000,0.000500,udp,147.32.84.165,1025,  <->,147.32.80.9,53,CON,0,0,2,214,81,flow=Background-UDP-Established
2011/08/10 09:47:50.000000,0.000000,arp,147.32.84.165,,  who,147.32.84.1,,CON,,,2,120,60,flow=Background
2011/08/10 09:47:51.000000,5.000000,tcp,147.32.84.165,1580,  <?>,203.0.113.4,80,PA_A,0,0,7,900,600,
"""


@pytest.fixture
def binetflow(tmp_path):
    path = tmp_path / "capture.binetflow"
    path.write_text(BINETFLOW)
    with read([str(path)]) as reading:
        yield reading


def test_binetflow_is_read_by_its_titles(binetflow):
    assert binetflow.files[0].kind == "argus text"
    rows = binetflow.ask("SELECT outcome, pkts_src, pkts_dst, bytes_src, bytes_dst FROM flows ORDER BY start").to_pylist()
    assert [r["outcome"] for r in rows] == ["refused", "answered", "unanswered", "answered", "midstream"]
    # Packets of both directions in one number are not split by guessing.
    assert (rows[1]["pkts_src"], rows[1]["pkts_dst"], rows[1]["bytes_dst"]) == (None, None, 800)
    assert (rows[2]["pkts_src"], rows[2]["pkts_dst"]) == (3, 0)


def test_labels_are_kept(binetflow):
    labels = binetflow.ask("SELECT label, COUNT(*) AS n FROM records WHERE label LIKE '%Botnet%' GROUP BY label").to_pylist()
    assert labels == [{"label": "flow=From-Botnet-V42-TCP-Attempt", "n": 2}]


def test_what_is_no_flow_stays_a_record(binetflow):
    arp = binetflow.ask("SELECT flow_id, proto, src FROM records WHERE proto_name = 'arp'").to_pylist()
    assert arp == [{"flow_id": None, "proto": None, "src": "147.32.84.165"}]


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_any_separator(tmp_path, separator):
    path = tmp_path / "x"
    path.write_text(BINETFLOW.replace(",", separator))
    with read([str(path)]) as reading:
        assert reading.flows.num_rows == 5


def test_json_of_version_5(tmp_path):
    path = tmp_path / "x"
    line = '{ "type":"flow","stime":"2015-11-22T17:58:11.400170","proto":"tcp","saddr":"172.16.16.128","sport":2826,"dir":" ->",'
    path.write_text(line + '"daddr":"212.58.226.142","dport":80,"spkts":3,"dpkts":2,"sbytes":186,"dbytes":1400,"state":"CON" }\nnot json\n')
    with read([str(path)]) as reading:
        (flow,) = reading.flows.to_pylist()
        assert (flow["src"], flow["dport"], flow["pkts_src"], flow["outcome"]) == ("172.16.16.128", 80, 3, "answered")
        assert any(r["count"] == 1 for r in reading.table("quality").to_pylist() if r["item"] == "lines that could not be read")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="0123456789,;<>-_FSRPA.:x/ \n\"\\abcé", max_size=80), max_size=8))
def test_no_text_raises(lines):
    data = (BINETFLOW.splitlines()[0] + "\n" + "\n".join(lines)).encode()
    assert log_kind(data) == "argus text"
    header = argus_text.header_of(BINETFLOW.splitlines()[0])
    assert header is not None
    argus_text.RaText(header, Options()).feed(np.frombuffer(bytearray(data), np.uint8), len(data), final=True)
