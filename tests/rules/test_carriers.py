"""Packets inside packets: rules see each carrier and what it carries; a datagram of fragments, its fragments and the whole."""

from scapy.layers.inet import ICMP, IP, TCP, fragment
from scapy.layers.l2 import GRE, Ether

from tests.rules.alerting import alerts
from tests.wire import Wire


def of(*packets) -> bytes:
    wire = Wire()
    for number, packet in enumerate(packets):
        wire.add(1.0 + number / 10, bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet))
    return wire.pcap()


def test_every_layer_of_nested_tunnels_is_a_packet(tmp_path):
    inner = IP(src="2.0.0.1", dst="2.0.0.2") / GRE() / IP(src="3.0.0.1", dst="3.0.0.2") / ICMP()
    nested = IP(src="1.0.0.1", dst="1.0.0.2") / GRE() / inner
    rules = "".join(f'alert ip {net}.0.0.1 any -> any any (msg:"x"; sid:{net};)\n' for net in (1, 2, 3))
    assert sorted(sid for sid, *_ in alerts(tmp_path, of(nested), rules)) == [1, 2, 3]


def test_fragments_of_a_syn_are_seen_and_so_is_the_syn(tmp_path):
    whole = IP(src="1.0.0.1", dst="1.0.0.2", id=7) / TCP(dport=80, flags="S", options=[("MSS", 1460)] * 4)
    rules = (
        "alert tcp any any -> any any (fragbits:!M; fragoffset:>0; sid:1;)\n"
        "alert tcp any any -> any 80 (flags:S; sid:2;)\n"
        "alert tcp any any -> any any (fragbits:M; sid:3;)\n"
    )
    found = alerts(tmp_path, of(*fragment(whole, fragsize=24)), rules)
    assert sorted((sid, frame) for sid, frame, *_ in found) == [(1, 2), (2, 2), (3, 1)]
