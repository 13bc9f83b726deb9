"""Lines of firewalls: what was refused, let pass, built and torn down; years that are not there; other lines between them."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.flowlogs.reading import read
from tracehound import limits
from tracehound.flowlogs.firewall_log import FORMAT
from tracehound.flowlogs.reader import MENTION, ONE_WAY, Options

WRITTEN = Options(written_s=int(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp()))


def rows(*lines, options=WRITTEN):
    return read(FORMAT, "\n".join(lines).encode() + b"\n", options=options).rows()


def one(message, options=WRITTEN):
    (row,) = rows(f"Dec 31 23:59:58 gw {message}", options=options)
    return row


def ends(row):
    return row["src"], row.get("sport"), row["dst"], row.get("dport"), row["proto"]


def test_netfilter():
    row = one(
        "kernel: [12345.678901] [UFW BLOCK] IN=eth0 OUT= MAC=aa SRC=192.0.2.1 DST=10.0.0.5 LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID=1 DF "
        "PROTO=TCP SPT=40000 DPT=22 WINDOW=29200 RES=0x00 SYN URGP=0 "
    )  # fmt: skip
    assert row == {
        "number": 1, "start": 1_767_225_598 * 10**9, "end": 1_767_225_598 * 10**9, "src": "192.0.2.1", "sport": 40000, "dst": "10.0.0.5",
        "dport": 22, "proto": 6, "proto_name": "TCP", "joins": ONE_WAY, "source": "firewall netfilter", "pkts_src": 1, "bytes_src": 60,
        "tcp_flags_src": 2, "syn_count": 1, "outcome": "unanswered", "ttl_src": 52, "certain": True, "sensor": "gw", "state": "deny",
        "cause": "UFW BLOCK",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("prefix", "proto", "state", "outcome", "joins"),
    [
        ("iptables DROP: ", "PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 SYN URGP=0", "deny", "unanswered", ONE_WAY),
        ("REJECT-IN ", "PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 SYN URGP=0", "reject", "refused", ONE_WAY),
        ("REJECT-IN ", "PROTO=UDP SPT=1 DPT=2 LEN=40", "reject", "unreachable", ONE_WAY),
        ("[UFW ALLOW] ", "PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 SYN URGP=0", "allow", None, MENTION),
        # the rule does not say what became of the packet
        ("LOG7 ", "PROTO=UDP SPT=1 DPT=2 LEN=40", None, None, MENTION),
        # an ACK that is refused is no attempt
        ("DROP ", "PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 ACK URGP=0", "deny", None, ONE_WAY),
    ],
)
def test_what_the_prefix_says(prefix, proto, state, outcome, joins):
    row = one(f"kernel: {prefix}IN=eth0 OUT=eth1 SRC=192.0.2.1 DST=10.0.0.5 LEN=60 TTL=52 ID=1 {proto} ")
    assert (row.get("state"), row.get("outcome"), row["joins"]) == (state, outcome, joins)


def test_netfilter_ipv6_and_icmp():
    row = one(
        "kernel: DROP IN=e OUT= SRC=2001:0db8:0000::1 DST=2001:db8::2 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=ICMPv6 TYPE=128 CODE=0 ID=1"
    )
    assert ends(row) == ("2001:db8::1", 128, "2001:db8::2", 0, 58) and row["ttl_src"] == 64


def test_an_icmp_error_tells_of_what_it_answers():
    row = one(
        "kernel: ALL IN=e OUT= SRC=203.0.113.254 DST=10.0.0.5 LEN=56 TTL=250 ID=1 PROTO=ICMP TYPE=3 CODE=1 "
        "[SRC=10.0.0.5 DST=198.51.100.7 LEN=60 TTL=50 ID=1 DF PROTO=TCP SPT=1026 DPT=80 WINDOW=1 RES=0x00 SYN URGP=0 ]"
    )
    assert ends(row) == ("10.0.0.5", 1026, "198.51.100.7", 80, 6)
    assert (row["icmp_type"], row["icmp_code"], row["icmp_from"]) == (3, 1, "203.0.113.254")


@pytest.mark.parametrize(
    ("message", "expected", "extra"),
    [
        ('%ASA-4-106023: Deny tcp src outside:192.0.2.1/1234 dst inside:10.0.0.5/80 by access-group "OUT" [0x0, 0x0]',
         ("192.0.2.1", 1234, "10.0.0.5", 80, 6), {"outcome": "unanswered", "pkts_src": 1}),
        ('%ASA-4-106023: Deny icmp src outside:192.0.2.1 dst inside:10.0.0.5 (type 8, code 0) by access-group "OUT" [0x0, 0x0]',
         ("192.0.2.1", 8, "10.0.0.5", 0, 1), {"outcome": "unanswered"}),
        ('%ASA-4-106023: Deny udp src outside:192.0.2.1/5(LOCAL\\bob) dst inside:10.0.0.5/53 by access-group "OUT"',
         ("192.0.2.1", 5, "10.0.0.5", 53, 17), {}),
        ("%ASA-4-106100: access-list OUT denied tcp outside/192.0.2.1(5000) -> inside/10.0.0.5(23) hit-cnt 3 300-second interval [0x1]",
         ("192.0.2.1", 5000, "10.0.0.5", 23, 6), {"pkts_src": 3, "cause": "OUT", "outcome": "unanswered"}),
        ("%FTD-6-106100: access-list OUT permitted udp inside/10.0.0.5(5000) -> outside/192.0.2.1(53) hit-cnt 1 first hit [0x1, 0x2]",
         ("10.0.0.5", 5000, "192.0.2.1", 53, 17), {"joins": MENTION}),
        ("%PIX-2-106001: Inbound TCP connection denied from 192.0.2.1/1234 to 10.0.0.5/80 flags SYN  on interface outside",
         ("192.0.2.1", 1234, "10.0.0.5", 80, 6), {"tcp_flags_src": 2, "syn_count": 1, "outcome": "unanswered"}),
        ("%ASA-2-106006: Deny inbound UDP from 192.0.2.1/1234 to 10.0.0.5/137 on interface outside",
         ("192.0.2.1", 1234, "10.0.0.5", 137, 17), {"outcome": "unanswered"}),
        ("%ASA-6-106015: Deny TCP (no connection) from 192.0.2.1/1234 to 10.0.0.5/80 flags RST ACK  on interface outside",
         ("192.0.2.1", 1234, "10.0.0.5", 80, 6), {"tcp_flags_src": 20}),
        ("%ASA-6-302020: Built inbound ICMP connection for faddr 192.0.2.1/0 gaddr 203.0.113.5/0 laddr 10.0.0.5/0 type 8 code 0",
         ("192.0.2.1", 8, "10.0.0.5", 0, 1), {"joins": MENTION}),
        ("%ASA-3-710003: TCP access denied by ACL from 192.0.2.1/5000 to outside:10.0.0.1/ssh",
         ("192.0.2.1", 5000, "10.0.0.1", 22, 6), {"outcome": "unanswered"}),
    ],
)  # fmt: skip
def test_asa(message, expected, extra):
    row = one(message)
    assert ends(row) == expected
    assert {name: row.get(name) for name in extra} == extra


BUILT_IN = (
    "fw %ASA-6-302013: Built inbound TCP connection 4711 for outside:192.0.2.1/1235 (192.0.2.1/1235) "
    "to inside:10.0.0.5/80 (203.0.113.5/80)"
)
BUILT_OUT = (
    "fw %ASA-6-302013: Built outbound TCP connection 4712 for outside:192.0.2.7/443 (192.0.2.7/443) "
    "to inside:10.0.0.9/40001 (203.0.113.5/1099) (bob)"
)


def down(number, a, b, duration, size, reason):
    return f"fw %ASA-6-302014: Teardown TCP connection {number} for outside:{a} to inside:{b} duration {duration} bytes {size} {reason}"


@pytest.mark.parametrize(
    ("size", "reason", "duration", "outcome", "state"),
    [
        (1234, "TCP FINs", "0:00:10", None, "SF"), (0, "TCP FINs", "0:00:10", "accepted", "SF"),
        (0, "SYN Timeout", "0:00:30", "unanswered", "S0"),
        (0, "TCP Reset-I", "0:00:00", "refused", "REJ"), (900, "TCP Reset-O", "0:01:00", None, None),
        (7, "Idle Timeout", "1:00:00", None, None),
    ],
)  # fmt: skip
def test_beginning_and_end_are_tied_together(size, reason, duration, outcome, state):
    found = rows(
        f"Jan  1 10:00:00 {BUILT_IN}", f"Jan  1 10:00:01 {BUILT_OUT}",
        f"Jan  1 10:00:10 {down(4711, '192.0.2.1/1235', '10.0.0.5/80', duration, size, reason)}",
        f"Jan  1 10:00:12 {down(4712, '192.0.2.7/443', '10.0.0.9/40001', duration, size, reason)}",
    )  # fmt: skip
    assert [ends(r) for r in found] == [("192.0.2.1", 1235, "10.0.0.5", 80, 6), ("10.0.0.9", 40001, "192.0.2.7", 443, 6)]
    assert [(r["end"] - r["start"]) // 10**9 for r in found] == [10, 11]
    assert {(r.get("outcome"), r.get("conn_state"), r["cause"]) for r in found} == {(outcome, state, reason)}
    assert [(r["uid"], r["certain"], r["number"]) for r in found] == [("4711", True, 3), ("4712", True, 4)]


def test_an_end_without_beginning_and_a_beginning_without_end():
    found = rows(f"Jan  1 10:00:10 {down(1, '192.0.2.1/1235', '10.0.0.5/80', '0:00:10', 5, 'TCP FINs')}", f"Jan  1 10:00:11 {BUILT_IN}")
    assert [(r["state"], r["certain"], (r["end"] - r["start"]) // 10**9) for r in found] == [
        ("teardown", False, 10),
        ("built", True, 0),
    ]


def test_connections_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUILT_CONNECTIONS", 2)
    found = rows(*(f"Jan  1 10:00:0{k} {BUILT_IN.replace('4711', str(k))}" for k in range(5)))
    assert sorted(r["number"] for r in found) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("line", "expected", "extra"),
    [
        ("2026-01-01 00:00:41.123456 rule 5/0(match): block in on em0: 192.0.2.1.1234 > 10.0.0.5.23: Flags [S], seq 1, win 65535, length 0",
         ("192.0.2.1", 1234, "10.0.0.5", 23, 6), {"tcp_flags_src": 2, "syn_count": 1, "outcome": "unanswered", "cause": "rule 5/0"}),
        ("2026-01-01 00:00:42.1 rule 6/0(match): pass out on em0: 10.0.0.5.1234 > 8.8.8.8.53: 1+ A? x. (20)",
         ("10.0.0.5", 1234, "8.8.8.8", 53, 17), {"joins": MENTION, "state": "allow"}),
        ("2026-01-01 00:00:43 rule 5/0(match): block in on em0: 192.0.2.1 > 10.0.0.5: ICMP echo request, id 1, seq 1, length 64",
         ("192.0.2.1", 8, "10.0.0.5", 0, 1), {"bytes_src": 64}),
        ("2026-01-01 00:00:44 rule 5/0(match): block in on em0: IP6 2001:db8::1.1234 > 2001:db8::2.80: Flags [S], seq 1, length 0",
         ("2001:db8::1", 1234, "2001:db8::2", 80, 6), {}),
        ("Jan 01 00:00:45.123456 rule 0/(match) block in on fxp0: 192.0.2.1.3456 > 10.0.0.5.135: S 12345:12345(0) win 65535",
         ("192.0.2.1", 3456, "10.0.0.5", 135, 6), {"tcp_flags_src": 2}),
        ("Jan  1 00:00:39 pf filterlog[123]: 5,,,1000000103,em0,match,block,in,4,0x0,,64,12345,0,none,"
         "6,tcp,60,192.0.2.1,10.0.0.5,1234,22,0,S,1,,9,,",
         ("192.0.2.1", 1234, "10.0.0.5", 22, 6), {"tcp_flags_src": 2, "bytes_src": 60, "ttl_src": 64, "outcome": "unanswered"}),
        ("Jan  1 00:00:40 pf filterlog[123]: 7,,,1000000104,em0,match,pass,out,6,0x00,0x00000,64,udp,17,"
         "80,2001:db8::1,2001:db8::2,546,547,40",
         ("2001:db8::1", 546, "2001:db8::2", 547, 17), {"joins": MENTION}),
        ("Jan  1 00:00:40 pf filterlog: 7,,,1,em0,match,block,in,4,0x0,,64,1,0,none,1,icmp,84,192.0.2.1,10.0.0.5,request,1,2",
         ("192.0.2.1", 8, "10.0.0.5", 0, 1), {}),
        ("<134>1 2026-01-01T00:00:45.5Z fw app 1 - - %ASA-4-106023: Deny udp src outside:192.0.2.1/1234 dst inside:10.0.0.5/53 by",
         ("192.0.2.1", 1234, "10.0.0.5", 53, 17), {"sensor": "fw", "start": 1_767_225_645_500_000_000}),
        ("<166>Jan 01 2026 00:00:45: %ASA-4-106023: Deny udp src outside:192.0.2.1/1234 dst inside:10.0.0.5/53 by access-group",
         ("192.0.2.1", 1234, "10.0.0.5", 53, 17), {"start": 1_767_225_645 * 10**9}),
    ],
)  # fmt: skip
def test_pf_and_other_heads(line, expected, extra):
    assert FORMAT.recognise(line.encode())
    (row,) = rows(line)
    assert ends(row) == expected
    assert {name: row.get(name) for name in extra} == extra


DROP = "gw kernel: DROP IN=e OUT= SRC=192.0.2.1 DST=10.0.0.5 LEN=40 TTL=5 ID=1 PROTO=UDP SPT=1 DPT=2 LEN=20"


def years(*dates, options):
    got = read(FORMAT, "".join(f"{d} {DROP}\n" for d in dates).encode(), options=options)
    return [dt.datetime.fromtimestamp(r["start"] / 1e9, dt.UTC).year for r in got.rows()], got


def test_the_year_is_inferred_and_said():
    found, got = years("Nov  5 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:59:59", "Jan  2 00:00:00", options=WRITTEN)
    assert found == [2025, 2025, 2026, 2025, 2026]
    assert got.counts["times without a year"] == 5
    assert "inferred" in got.note("times without a year")
    assert years("Jan  1 00:00:00", options=WRITTEN)[0] == [2026]
    assert years("Feb 29 00:00:00", options=Options(year=2024))[0] == [2024]
    found, got = years("Feb  1 00:00:00", options=Options())
    assert found == [1970] and "nothing says which year" in got.note("times without a year")


def test_a_zone_can_be_given():
    utc, east = (one(f"x kernel: {DROP[11:]}", options=Options(year=2025, utc_offset_s=s))["start"] for s in (0, 3600))
    assert utc - east == 3600 * 10**9


def test_other_lines_are_counted_and_pieces_do_not_matter():
    text = f"Jan  1 00:00:00 {DROP}\nJan  1 00:00:01 gw sshd[1]: Accepted password\nno time at all\n\nJan  1 00:00:02 {DROP}".encode()
    got = read(FORMAT, text, options=WRITTEN)
    assert [r["number"] for r in got.rows()] == [1, 5]
    assert got.counts["lines that tell of no flow"] == 2
    for step in (1, 100):
        assert read(FORMAT, text, step=step, options=WRITTEN).rows() == got.rows()


def test_mail_and_other_syslog_is_not_a_firewalls():
    for text in (b"", b"Jan  1 00:00:00 a sshd[1]: hello\n", b"hello\n", b"2026-01-01 00:00:00 rule one\n", b"SRC= DST=\n"):
        assert not FORMAT.recognise(text)


def test_lines_that_are_made_to_be_slow():
    for text in ("IN=" * 900, "(" * 3000, "%ASA-6-302014: Teardown TCP connection 1 for a:1.1.1.1/1" + "()" * 1500, "rule " * 700 + " on ",
                 "%ASA-4-106023: Deny tcp src " + "a:" * 1500, "filterlog: " + "1," * 1500):  # fmt: skip
        read(FORMAT, f"Jan  1 00:00:00 gw {text}\n".encode() * 5, options=WRITTEN)
