"""Delimited flow logs: SiLK, cloud logs, CSV of any titles; dates, delimiters, a mapping by the user; what is guessed is said."""

from __future__ import annotations

import pytest

from tests.flowlogs.reading import read
from tracehound.flowlogs.delimited import FORMAT, address_of, dialect, flag_bits, port_of
from tracehound.flowlogs.reader import MENTION, MISSING, ONE_WAY, PART, WHOLE, Options

SILK = b"""        sIP|        dIP|sPort|dPort|pro| packets|   bytes|   flags|                  sTime| duration|                  eTime|sen|
192.168.1.5|  10.0.0.80|40000|   80|  6|       5|     400|FS PA   |2009/02/12T00:00:00.123|    1.500|2009/02/12T00:00:01.623| S0|
  10.0.0.80|192.168.1.5|   80|40000|  6|       4|    4000| S  A   |2009/02/12T00:00:00.125|    1.400|2009/02/12T00:00:01.525| S0|
192.168.1.5|  10.0.0.80|    0| 2048|  1|       1|      84|        |2009/02/12T00:00:02.000|    0.000|2009/02/12T00:00:02.000| S0|
"""


def test_silk():
    assert FORMAT.recognise(SILK)
    got = read(FORMAT, SILK)
    one, two, ping = got.rows()
    assert one == {
        "number": 2,
        "start": 1_234_396_800_123_000_000,
        "end": 1_234_396_801_623_000_000,
        "src": "192.168.1.5",
        "sport": 40000,
        "dst": "10.0.0.80",
        "dport": 80,
        "proto": 6,
        "proto_name": "6",
        "joins": ONE_WAY,
        "source": "silk",
        "pkts_src": 5,
        "bytes_src": 400,
        "tcp_flags_src": 0x1B,
        "sensor": "S0",
    }
    assert two["tcp_flags_src"] == 0x12 and (ping["sport"], ping["dport"]) == (8, 0)
    for step in (1, 100):
        assert read(FORMAT, SILK, step=step).rows() == got.rows()


def test_silk_in_its_other_forms():
    text = (
        b"sIP,dIP,sPort,dPort,pro,flags,initialFlags,sessionFlags,sTime,iType,iCode\n"
        b"3221225985,010.000.000.080,40000,80,6,FS PA,S,F  PA,1234396800.123,,\n192.0.2.1,10.0.0.80,0,0,1,,,,1234396800.123,3,1\n"
    )
    one, two = read(FORMAT, text).rows()
    assert (one["src"], one["dst"], one["tcp_flags_src"], one["certain"]) == ("192.0.2.1", "10.0.0.80", 0x1B, True)
    assert one["start"] == 1_234_396_800_123_000_000 and (two["sport"], two["dport"]) == (3, 1)


def test_csv_of_a_dataset_with_quotes():
    text = (
        b'"Flow ID","Source IP","Source Port","Destination IP","Destination Port","Protocol","Timestamp","Flow Duration",'
        b'"Total Fwd Packets","Total Backward Packets","Label"\n'
        b'"x","10.0.0.1",1234,"10.0.0.2",80,6,"13/07/2017 08:55:58",1500000,3,4,"DDoS, really"\n'
        b'"x","10.0.0.1",1234,"10.0.0.2",80,6,"03/07/2017 8:55",1500000,3,4,"BENIGN"\n'
    )
    got = read(FORMAT, text)
    one, two = got.rows()
    assert (one["label"], one["pkts_dst"], one["joins"], one["end"] - one["start"]) == ("DDoS, really", 4, WHOLE, 1_500_000_000)
    assert two["start"] == 1_499_072_100 * 10**9  # the third of July
    assert got.counts == {}


def test_dates_that_may_be_read_in_two_ways_are_said():
    text = b"time,src,dst,dport\n03/07/2017 08:55:58,10.0.0.1,10.0.0.2,80\n"
    got = read(FORMAT, text)
    assert got.counts == {"dates that may be read in two ways": 1}
    assert got.rows()[0]["joins"] == MENTION
    american = text + b"07/13/2017 08:55:58,10.0.0.1,10.0.0.2,80\n"
    got = read(FORMAT, american)
    assert got.counts == {} and got.rows()[0]["start"] == 1_488_876_958 * 10**9


def test_nfdump_csv_of_two_versions():
    old = b"ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out\n"
    old += b"2022-11-16 08:08:18,2022-11-16 08:08:18,0.214,127.0.0.1,::1,58634,21,TCP,...AP.SF,0,0,23,1562,0,0,0,0\n"
    old += b"2022-11-16 08:08:18,2022-11-16 08:08:18,0.214,127.0.0.1,::1,58634,21,TCP,...AP.SF,0,0,23,1562,3,180,0,0\n"
    old += b"Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n2,1562,23,0,0,67\n"
    new = b"firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
    new += b"2022-11-16 08:08:18.757,0.214,TCP,127.0.0.1,58634,::1,21,23,1562,1\n"
    for step in (None, 1, 90):
        one, both = read(FORMAT, old, step=step).rows()
        assert (one["joins"], one["pkts_src"], one.get("pkts_dst"), one["tcp_flags_src"]) == (ONE_WAY, 23, None, 0x1B)
        # flags of a record of both directions are those of both, and nobody knows whose
        assert (both["joins"], both["pkts_dst"], both["bytes_dst"], both.get("tcp_flags_src")) == (PART, 3, 180, None)
        assert len(read(FORMAT, old + old, step=step).rows()) == 4
        (row,) = read(FORMAT, new, step=step).rows()
        assert (row["source"], row["joins"], row["bytes_src"]) == ("nfdump csv", ONE_WAY, 1562)
        assert row["end"] - row["start"] == 214_000_000


def test_cloud_flow_log():
    text = (
        b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
        b"2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK\n"
        b"2 123456789010 eni-1 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK\n"
        b"2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA\n"
    )
    got = read(FORMAT, text)
    one, two = got.rows()
    assert ("outcome" in one, two["outcome"], two["state"]) == (False, "unanswered", "REJECT")
    assert got.counts == {"lines that could not be read": 1}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1418530010", 1_418_530_010 * 10**9),
        ("1418530010.25", 1_418_530_010_250_000_000),
        ("1418530010250", 1_418_530_010_250_000_000),
        ("1418530010250001", 1_418_530_010_250_001_000),
        ("1418530010250001002", 1_418_530_010_250_001_002),
        ("2014-12-14T04:06:50Z", 1_418_530_010 * 10**9),
        ("2014-12-14 05:06:50.5 +0100", 1_418_530_010_500_000_000),
        ("2014/12/14 04:06", 1_418_529_960 * 10**9),
        ("14.12.2014 04:06:50", 1_418_530_010 * 10**9),
        ("14/12/2014 4:06 PM", 1_418_573_160 * 10**9),
    ],
)
def test_times(text, ns):
    (row,) = read(FORMAT, f"start,src,dst,dport\n{text},10.0.0.1,10.0.0.2,80\n".encode()).rows()
    assert row["start"] == ns


def test_a_zone_can_be_given():
    (row,) = read(
        FORMAT, b"start,src,dst,dport\n2014-12-14T04:06:50,10.0.0.1,10.0.0.2,80\n", options=Options(utc_offset_s=-3600)
    ).rows()
    assert row["start"] == 1_418_533_610 * 10**9


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    text = "ts,source_ip,src-port,Dest IP,DstPort,proto,bytes\n1418530010,10.0.0.1,1,2001:db8::2,80,TCP,5\n".replace(",", delimiter)
    (row,) = read(FORMAT, text.encode()).rows()
    assert (row["src"], row["dst"], row["sport"], row["dport"], row["bytes_src"], row["proto"]) == (
        "10.0.0.1",
        "2001:db8::2",
        1,
        80,
        5,
        6,
    )


def test_columns_named_by_the_user():
    text = b"when,who,whom,door,how much\n1418530010,10.0.0.1,10.0.0.2,80,77\n"
    assert not FORMAT.recognise(text)
    columns = {"start": "when", "src": "who", "dst": "whom", "dport": "door", "bytes_src": "How Much"}
    (row,) = read(FORMAT, text, options=Options(columns=columns)).rows()
    assert (row["src"], row["dport"], row["bytes_src"]) == ("10.0.0.1", 80, 77)
    # without a header the columns have numbers
    columns = {"start": "1", "src": "2", "dst": "3", "dport": "4"}
    (row,) = read(FORMAT, text.split(b"\n", 1)[1], options=Options(columns=columns)).rows()
    assert (row["number"], row["src"], row["dport"]) == (1, "10.0.0.1", 80)


def test_bad_lines_and_a_cut_end():
    text = b"start,src,dst,dport\n1418530010,10.0.0.1,10.0.0.2,80\n1418530010,nobody,10.0.0.2,80\nx,10.0.0.1,10.0.0.2,80\n\n1,2\n"
    text += b"1418530010,10.0.0.1,10.0.0.2,eighty\n1418530011,10.0.0.1,10.0.0.\xff"
    got = read(FORMAT, text)
    assert [(r["number"], r.get("dport")) for r in got.rows()] == [(2, 80), (7, None)]
    assert got.counts == {"lines that could not be read": 4}
    assert got.damage == "line 8: the last line is cut"


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("...AP.SF", 0x1B),
        (".AP.SF", 0x1B),
        ("FS PA", 0x1B),
        ("0x1b", 0x1B),
        ("27", 27),
        ("", 0),
        ("CEUAPRSF", 255),
        ("xyz", MISSING),
        ("0xzz", MISSING),
    ],
)
def test_flags(text, bits):
    assert flag_bits(text) == bits


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("010.001.000.255", "10.1.0.255"),
        ("167772161", "10.0.0.1"),
        ("0x0a000001", "10.0.0.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("256.1.1.1", None),
        ("host", None),
        ("", None),
        ("9" * 39, None),
        ("٣.1.1.1", None),
    ],
)
def test_addresses(text, address):
    assert address_of(text) == address


def test_ports():
    assert [port_of(t) for t in ("80", "8.0", "70000", "-1", "x", "300.1")] == [80, 2048, MISSING, MISSING, MISSING, MISSING]


def test_other_text_is_not_taken_for_flows():
    for head in (b"", b"a,b,c\n1,2,3\n", b"name,size,time\n", b"From: a\nTo: b\n", b"src dst\n", b"ts,user,host,event\n1,a,b,c\n"):
        assert dialect(head) is None
