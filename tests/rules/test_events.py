"""What is odd about packets, frames and sessions, as rules ask for it: each event by a packet that has it and one that has not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Pad1,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Raw

from tests.rules.alerting import alerts
from tests.wire import Wire, capture
from tracehound.rules import events, link_events, tcp_events
from tracehound.rules.packet import Packet


def odd(ip: bytes, proto: int = 0) -> set[str]:
    p = Packet()
    p.ip, p.family, p.proto = ip, ip[0] >> 4 if ip else 0, proto
    return set(events.decode_events(p, ip))


def v4(payload: bytes = b"x" * 20, **fields) -> bytes:
    return bytes(IP(src="10.0.0.1", dst="10.0.0.2", **fields) / Raw(payload))


def optioned(options: bytes) -> bytes:
    size = 20 + len(options)
    rest = b"\0\1\0\0\x40\x02\0\0" + b"\x0a\0\0\1\x0a\0\0\2" + options + b"x" * 8
    return bytes((0x40 | size // 4, 0)) + (size + 8).to_bytes(2, "big") + rest


def v6(*headers, payload: bytes = b"x" * 8, **fields) -> bytes:
    whole = IPv6(src="2001:db8::1", dst="2001:db8::2", **fields)
    for header in headers:
        whole = whole / header
    return bytes(whole / Raw(payload))


TCP_PLAIN = bytes(IP(dst="10.0.0.2") / TCP(options=[("MSS", 1460), ("WScale", 2)]))


@pytest.mark.parametrize(
    ("ip", "found"),
    [
        (TCP_PLAIN, set()),
        (TCP_PLAIN[:10], {"ipv4.pkt_too_small"}),
        (TCP_PLAIN[:-3], {"ipv4.trunc_pkt"}),
        (b"\x42" + TCP_PLAIN[1:], {"ipv4.hlen_too_small"}),
        (TCP_PLAIN[:2] + b"\0\x10" + TCP_PLAIN[4:], {"ipv4.iplen_smaller_than_hlen"}),
        (v4(proto=254), {"ipv4.unknown_protocol"}),
        (v4(proto=58), {"ipv4.icmpv6"}),
        (v4(proto=253, frag=8190, payload=b"x" * 100), {"ipv4.frag_pkt_too_large"}),
        (optioned(b"\x94\x04\0\0"), {"ipv4.opt_pad_required"}),
        (optioned(b"\x94\x04\0\0\x94\x04\0\0"), {"ipv4.opt_duplicate"}),
        (optioned(b"\x94\x09\0\0\0\0\0\0"), {"ipv4.opt_invalid_len"}),
        (optioned(b"\x83\x07\x03\0\0\0\0\0"), {"ipv4.opt_malformed"}),
        (optioned(b"\x55\x04\0\0\0\0\0\0"), {"ipv4.opt_unknown"}),
        (v4(proto=6, payload=b"x" * 10), {"tcp.pkt_too_small"}),
        (v4(proto=6, payload=b"x" * 12 + b"\xf0" + b"x" * 10), {"tcp.hlen_too_small"}),
        (v4(proto=6, payload=b"x" * 12 + b"\x40" + b"x" * 10), {"tcp.invalid_optlen"}),
        (v4(proto=6, payload=b"x" * 12 + b"\x60" + b"x" * 7 + b"\x02\x03\0\0"), {"tcp.opt_invalid_len"}),
        (v4(proto=6, payload=b"x" * 12 + b"\x70" + b"x" * 7 + b"\x02\x04\5\xb4\x02\x04\5\xb4"), {"tcp.opt_duplicate"}),
        (v4(proto=17, payload=b"x" * 5), {"udp.hlen_too_small"}),
        (v4(proto=17, payload=b"\0\1\0\1\0\x05\0\0"), {"udp.len_invalid"}),
        (v4(proto=17, payload=b"\0\1\0\1\0\x20\0\0"), {"udp.pkt_too_small"}),
        (bytes(IP(dst="10.0.0.2") / UDP() / b"abc"), set()),
        (bytes(IP(dst="10.0.0.2") / ICMP()), set()),
        (bytes(IP(dst="10.0.0.2") / ICMP(type=250)), {"icmpv4.unknown_type"}),
        (bytes(IP(dst="10.0.0.2") / ICMP(type=8, code=3)), {"icmpv4.unknown_code"}),
        (bytes(IP(dst="10.0.0.2") / ICMP(type=3, code=1) / b"E123"), {"icmpv4.ipv4_trunc_pkt"}),
        (bytes(IP(dst="10.0.0.2") / ICMP(type=3, code=1) / (b"\x65" + b"x" * 20)), {"icmpv4.ipv4_unknown_ver"}),
        (bytes(IP(dst="10.0.0.2") / GRE(proto=0x800) / IP()), set()),
        (v4(proto=47, payload=b"\x01\0\x08\0xxxx"), {"gre.version0_recur"}),
        (v4(proto=47, payload=b"\0\x08\x08\0xxxx"), {"gre.version0_flags"}),
        (v4(proto=47, payload=b"\xb0\0\x08\0xxxx"), {"gre.version0_hdr_too_big"}),
        (v4(proto=47, payload=b"\x20\x01\x08\0xxxx"), {"gre.version1_wrong_protocol"}),
        (v4(proto=47, payload=b"\0\x02\x08\0xxxx"), {"gre.wrong_version"}),
        (v4(proto=50, payload=b"xx"), {"esp.pkt_too_small"}),
        (v6(nh=17, payload=bytes(UDP() / b"ab")), set()),
        (v6(nh=200), {"ipv6.unknown_next_header"}),
        (v6(nh=1), {"ipv6.icmpv4"}),
        (v6(nh=59), {"ipv6.data_after_none_header"}),
        (v6(nh=59)[:-3], {"ipv6.trunc_pkt"}),
        (v6(IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")], nh=59), payload=b""), {"ipv6.zero_len_padn"}),
        (v6(IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)], nh=59), payload=b""), {"ipv6.hopopts_only_padding"}),
        (v6(IPv6ExtHdrDestOpt(options=[Pad1()] * 6, nh=59), payload=b""), {"ipv6.dstopts_only_padding"}),
        (v6(IPv6ExtHdrRouting(type=0, addresses=["::1"], nh=59), payload=b""), {"ipv6.rh_type_0"}),
        (v6(IPv6ExtHdrFragment(nh=59), payload=b""), {"ipv6.exthdr_useless_fh"}),
        (v6(IPv6ExtHdrFragment(nh=17, m=1), payload=b"x" * 9), {"ipv6.frag_invalid_length"}),
        (v6(nh=58, payload=b"\x83\0\0\0" + b"\0" * 20, hlim=64), {"icmpv6.mld_message_with_invalid_hl"}),
        (v6(nh=58, payload=b"\x83\0\0\0" + b"\0" * 20, hlim=1), set()),
        (v6(nh=58, payload=b"\x32\0\0\0" + b"\0" * 20), {"icmpv6.unassigned_type"}),
        (v6(nh=58, payload=b"\x64\0\0\0" + b"\0" * 20), {"icmpv6.experimentation_type"}),
        (v6(nh=0, payload=b"\x06"), {"ipv6.trunc_exthdr"}),
    ],
)  # fmt: skip
def test_packets(ip, found):
    assert odd(ip) == found


E = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"))[:12]


@pytest.mark.parametrize(
    ("link_type", "frame", "found"),
    [
        (1, E + b"\x08\x00" + TCP_PLAIN, []),
        (1, E, ["ethernet.pkt_too_small"]),
        (1, E + b"\x99\x99data", ["ethernet.unknown_ethertype"]),
        (1, E + b"\x81\x00\0", ["vlan.header_too_small"]),
        (1, E + b"\x81\x00\0\x05\x99\x99", ["vlan.unknown_type"]),
        (1, E + b"\x81\x00\0\x05" * 4 + b"\x08\0", ["vlan.too_many_layers"]),
        (1, E + b"\x88\x47\0\0\x01\x40" + b"E" * 20, []),
        (1, E + b"\x88\x47\0\0\x11\x40" + b"E" * 20, ["mpls.bad_label_router_alert"]),
        (1, E + b"\x88\x47\0\0\x31\x40" + b"E" * 20, ["mpls.bad_label_implicit_null"]),
        (1, E + b"\x88\x47\0\0\x51\x40" + b"E" * 20, ["mpls.bad_label_reserved"]),
        (1, E + b"\x88\x47\0\x02\x01\x40" + b"\x99", ["mpls.unknown_payload_type"]),
        (1, E + b"\x88\x47\0", ["mpls.header_too_small"]),
        (1, E + b"\x88\x64\x11\0\0\x01\0\x0a\xc0\x21\x01\x01\0\x08", []),
        (1, E + b"\x88\x64\x11\0\0\x01\0\x04\0\x21xx", ["ppp.ip4_pkt_too_small"]),
        (1, E + b"\x88\x63\x11\x33\0\0\0\0", ["pppoe.wrong_code"]),
        (1, E + b"\x88\x63\x11\x09\0\0\0\x08\x01\x01\0\x09abcd", ["pppoe.malformed_tags"]),
        (1, E + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + b"x" * 20, []),
        (1, E + b"\x08\x06\0\x02\x08\0\x06\x04\0\x01" + b"x" * 20, ["arp.unsupported_hardware"]),
        (1, E + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + b"x" * 2, ["arp.invalid_pkt"]),
        (1, E + b"\x89\x4f\x40" + b"\0" * 7, ["nsh.unsupported_version"]),
        (1, E + b"\x89\x4f\0\x02\x00\x01" + b"\0" * 4, ["nsh.reserved_type"]),
        (9, b"\xff\x03\x00\x21" + TCP_PLAIN, []),
        (9, b"\xff\x03\x12\x34", ["ppp.wrong_type"]),
        (0, b"\x1e\0\0\0" + b"`" * 40, []),
        (0, b"\x63\0\0\0", ["ltnull.unsupported_type"]),
        (101, b"\x99", ["ipraw.invalid_ip_version"]),
        (113, b"\0" * 10, ["sll.pkt_too_small"]),
        (104, b"\x0f", ["chdlc.pkt_too_small"]),
    ],
)  # fmt: skip
def test_frames(link_type, frame, found):
    assert link_events.link_events(frame, link_type) == found


@given(st.binary(max_size=120), st.sampled_from((0, 1, 9, 12, 101, 104, 113, 276)))
def test_any_bytes_give_known_names(data, link_type):
    assert set(link_events.link_events(data, link_type)) <= link_events.LINK
    assert odd(data) <= events.PACKET


@given(st.integers(0, 2**32), st.integers(0, 119))
def test_a_packet_with_one_byte_changed_gives_known_names(seed, at):
    headers = (IPv6ExtHdrHopByHop(options=[RouterAlert()]), IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0")]), UDP())
    ip = bytearray(v6(*headers, payload=b"x" * 40))
    ip[at % len(ip)] = random.Random(seed).randrange(256)
    assert odd(bytes(ip)) <= events.PACKET


# -- sessions ---------------------------------------------------------------------------------------------------------


def stream(name: str) -> str:
    return f"alert tcp any any -> any any (stream-event:{name}; sid:1;)\n"


def frames(*packets) -> bytes:
    """A capture of TCP segments: (to the server, flags, seq, ack, payload, options)."""
    wire = Wire()
    for number, (to_server, flags, seq, ack, payload, *rest) in enumerate(packets):
        ends = ("10.0.0.1", "10.0.0.2", 4000, 80) if to_server else ("10.0.0.2", "10.0.0.1", 80, 4000)
        segment = TCP(sport=ends[2], dport=ends[3], flags=flags, seq=seq, ack=ack, window=8192, options=rest[0] if rest else [])
        wire.add(1.0 + number / 10, E + b"\x08\x00" + bytes(IP(src=ends[0], dst=ends[1]) / segment / Raw(payload)))
    return wire.pcap()


OPEN = [(True, "S", 100, 0, b""), (False, "SA", 900, 101, b""), (True, "A", 101, 901, b"")]
ABC = (True, "PA", 101, 901, b"abc")


@pytest.mark.parametrize(
    ("name", "packets", "at"),
    [
        ("fin_but_no_session", [(True, "FA", 5, 5, b"")], [1]),
        ("rst_but_no_session", [(True, "R", 5, 0, b"")], [1]),
        ("3whs_synack_with_wrong_ack", [OPEN[0], (False, "SA", 900, 555, b"")], [2]),
        ("3whs_synack_in_wrong_direction", [OPEN[0], (True, "SA", 100, 5, b"")], [2]),
        ("3whs_syn_resend_diff_seq_on_syn_recv", [*OPEN[:2], (True, "S", 7777, 0, b"")], [3]),
        ("3whs_wrong_seq_wrong_ack", [*OPEN[:2], (True, "A", 5000, 5000, b"")], [3]),
        ("3whs_right_seq_wrong_ack_evasion", [*OPEN[:2], (True, "A", 101, 5000, b"")], [3]),
        ("est_packet_out_of_window", [*OPEN, (True, "PA", 101 + 90000, 901, b"far")], [4]),
        ("est_invalid_ack", [*OPEN, (True, "PA", 101, 999_999, b"x")], [4]),
        ("pkt_invalid_ack", [*OPEN, (True, "PA", 101, 999_999, b"x")], [4]),
        ("est_synack_toserver", [*OPEN, (True, "A", 101, 901, b""), (True, "SA", 101, 901, b"")], [5]),
        ("est_syn_toclient", [*OPEN, (False, "S", 900, 0, b"")], [4]),
        ("pkt_broken_ack", [*OPEN, (True, "P", 101, 901, b"x")], [4]),
        ("pkt_spurious_retransmission", [*OPEN, ABC, (False, "A", 901, 104, b""), ABC], [6]),
        ("pkt_retransmission", [*OPEN, ABC, ABC], [5]),
        ("reassembly_overlap_different_data", [*OPEN, ABC, (True, "PA", 101, 901, b"xbc")], [5]),
        ("suspected_rst_inject", [*OPEN, (False, "RA", 901, 101, b""), ABC], [5]),
        ("pkt_retransmission", [*OPEN, ABC, (True, "PA", 104, 901, b"def")], []),
        ("reassembly_overlap_different_data", [*OPEN, ABC, ABC], []),
        ("reassembly_seq_gap", [*OPEN, (True, "PA", 120, 901, b"abc"), (False, "A", 901, 123, b"")], [5]),
    ],
)  # fmt: skip
def test_sessions(tmp_path, name, packets, at):
    assert [frame for _, frame, _, _ in alerts(tmp_path, frames(*packets), stream(name))] == at


@pytest.mark.parametrize("name", sorted(tcp_events.STREAM))
def test_an_ordinary_session_has_no_event(tmp_path, name):
    ordinary = capture(lambda wire, a, b: a.connect(b, 80, at=1.0).send(b"GET / HTTP/1.0\r\n\r\n").reply(b"x" * 5000).server_close())
    assert alerts(tmp_path, ordinary, stream(name)) == []


def test_syns_with_ever_new_sequence_numbers_are_one_attempt(tmp_path):
    syns = [(True, "S", 1000 * k, 0, b"") for k in range(1, 15)]
    assert len(alerts(tmp_path, frames(*syns), stream("3whs_syn_flood"))) == 3
