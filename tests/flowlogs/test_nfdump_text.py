"""What nfdump prints: lines of several kinds and versions, JSON of both; what surrounds them; what is lost by shortening."""

from __future__ import annotations

import pytest

from tests.flowlogs.reading import read
from tracehound.flowlogs.nfdump_text import JSON_FORMAT, LINES_FORMAT
from tracehound.flowlogs.reader import ONE_WAY, PART, Options

LINE = b"""Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
2022-11-16 08:08:18.757     0.214 TCP          127.0.0.1:58634 ->        127.0.0.1:21          23     1.2 M     1
2022-11-16 08:08:18.757     0.214 TCP                ::1.21    ->              ::1.58634       17     1205     1
2012-07-04 21:13:44.204     0.000 ICMP        10.10.25.1:0     ->      192.168.1.2:8.0          1      100     1
2012-07-27 21:33:26.014     9.284 TCP   2400:30..100::46.21    -> 2001:47..fd:6b88.58895       27     2811     1
Summary: total flows: 4, total bytes: 4.5 M, total packets: 15070, avg bps: 0, avg pps: 0, avg bpp: 299
Time window: 2012-07-04 21:13:44 - 2022-11-16 08:08:18
Total flows processed: 4, Blocks skipped: 0, Bytes read: 217344
Sys: 0.0000s flows/second: 411723.9  Wall: 0.0066s flows/second: 411723.9
"""


def test_lines_of_1_6():
    assert LINES_FORMAT.recognise(LINE)
    got = read(LINES_FORMAT, LINE)
    one, two, ping = got.rows()
    assert (one["src"], one["sport"], one["dport"], one["pkts_src"], one["bytes_src"]) == ("127.0.0.1", 58634, 21, 23, 1_200_000)
    assert (one["end"] - one["start"], one["joins"], one["number"]) == (214_000_000, ONE_WAY, 2)
    assert (two["src"], two["sport"], two["dport"]) == ("::1", 21, 58634)
    assert (ping["sport"], ping["dport"], ping["proto"]) == (8, 0, 1)
    # an address that nfdump shortened is not guessed
    assert got.counts == {"lines that could not be read": 1}
    assert "line 5" in got.note("lines that could not be read")
    for step in (1, 100):
        assert read(LINES_FORMAT, LINE, step=step).rows() == got.rows()


def test_lines_of_1_7_with_flags_and_both_directions():
    text = (
        b"2022-11-16 08:08:18.757     1d 00:00:01.214 TCP 127.0.0.1:58634 ->  127.0.0.1:21 ...AP.SF   0  23  1562  107 58392  67  1\n"
        b"2022-11-16 08:08:18.757     00:00:00.214 UDP 10.0.0.1:5353 <->  10.0.0.2:53 ........   0  2  3  180  200     1\n"
    )
    assert LINES_FORMAT.recognise(text)
    one, two = read(LINES_FORMAT, text).rows()
    assert (one["tcp_flags_src"], one["end"] - one["start"]) == (0x1B, 86_401_214_000_000)
    assert (two["pkts_src"], two["pkts_dst"], two["bytes_src"], two["bytes_dst"], two["joins"]) == (3, 2, 200, 180, PART)


def test_times_are_local_to_whoever_ran_nfdump():
    (here, *_), (there, *_) = (read(LINES_FORMAT, LINE, options=Options(utc_offset_s=s)).rows() for s in (0, 3600))
    assert here["start"] - there["start"] == 3600 * 10**9


OBJECT = (
    b'{\n\t"type" : "FLOW",\n\t"export_sysid" : 0,\n\t"sampled" : %d,\n\t"%s" : "2022-11-16T08:08:18.757",'
    b'\n\t"%s" : "2022-11-16T08:08:18.971",'
    b'\n\t"in_packets" : 23,\n\t"in_bytes" : 1562,\n\t"proto" : 6,\n\t"tcp_flags" : "...AP.SF",\n\t"src_port" : 58634,\n\t"dst_port" : 21,'
    b'\n\t"src4_addr" : "127.0.0.1",\n\t"dst4_addr" : "127.0.0.1",\n\t"label" : "<none>"\n}'
)
OLD = OBJECT % (0, b"t_first", b"t_last")
NEW = OBJECT % (1, b"first", b"last")


@pytest.mark.parametrize("step", [None, 1, 97])
def test_json(step):
    data = b"[\n" + OLD + b"\n,\n" + NEW + b"\n]\n"
    assert JSON_FORMAT.recognise(data)
    got = read(JSON_FORMAT, data, step=step)
    assert [(r["src"], r["dport"], r["pkts_src"], r["tcp_flags_src"], r["number"]) for r in got.rows()] == [
        ("127.0.0.1", 21, 23, 0x1B, 1),
        ("127.0.0.1", 21, 23, 0x1B, 2),
    ]
    assert got.rows()[0]["start"] == got.rows()[1]["start"] == 1_668_586_098_757_000_000
    assert got.counts == {"sampled records": 1}
    assert got.damage is None


def test_json_damage():
    got = read(JSON_FORMAT, b"[\n" + OLD + b",\n" + NEW[:100])
    assert len(got.rows()) == 1
    assert got.damage == f"byte {len(OLD) + 4}, record 2: the last record is cut"
    spoilt = NEW.replace(b'"proto" : 6', b'"proto" ! 6')
    got = read(JSON_FORMAT, b"[\n" + spoilt + b",\n" + OLD + b"\n]")
    assert len(got.rows()) == 1 and got.damage is None
    assert got.counts == {"records that could not be read": 1}


def test_other_text_is_not_theirs():
    for text in (b"", b"hello\n", b'{"type": "FLOW"}', b"[1, 2]", b"2022-11-16 08:08:18 something else\n"):
        assert not LINES_FORMAT.recognise(text)
        assert not JSON_FORMAT.recognise(text)
