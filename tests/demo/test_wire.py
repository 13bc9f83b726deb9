import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader, PcapReader

from tests import wire as short
from tracehound.demo.wire import (
    AAAA,
    CNAME,
    HAND_MADE,
    LINK_COOKED,
    LINK_COOKED2,
    LINK_NULL,
    LINK_RAW,
    MX,
    WINDOWS_98,
    A,
    Interface,
    Wire,
    checksum,
    dns_query,
    dns_response,
    number,
    pcapng_chunks,
)


def varied(vlan=(), link_type=1):
    """A bit of everything, over IPv4 and IPv6."""
    wire = Wire(start_ns=10**18, seed=3, link_type=link_type)
    a, b = wire.host("10.0.0.1", vlan=vlan), wire.host("192.0.2.1", WINDOWS_98)
    c, d = wire.host("2001:db8::1", vlan=vlan), wire.host("2001:db8::2", HAND_MADE)
    for x, y in ((a, b), (c, d)):
        talk = x.connect(y, 80, at=1).send(b"odd", repeated=(0,))
        talk.reply(bytes(range(256)) * 19, lost=(1,), order=(0, 2, 1, 3)).server_close()
        x.unanswered(y, 81, at=2)
        x.refused(y, 82, at=3)
        x.unreachable(y, 83, 4, y)
        x.ping(y, 5)
        x.datagram(y, 53, bytes(3000), 6, fragment=1480)
        x.exchange(y, 53, dns_query(1, "a.example"), dns_response(1, "a.example", A, ["192.0.2.9"]), 7)
        x.port_unreachable(y, 9, b"zz", 8)
    return wire


def with_fresh_checksums(packet):
    """scapy's own idea of the packet: every checksum left out and worked out anew."""
    copy = packet.copy()
    layer = copy
    while layer:
        for name in ("chksum", "cksum"):
            if name in layer.fields and layer.name not in ("IP in ICMP", "TCP in ICMP", "UDP in ICMP"):
                layer.delfieldval(name)
        layer = layer.payload
        if layer.name.endswith("in ICMP") or "Destination Unreachable" in layer.name:
            for name in ("chksum", "cksum"):
                if name in layer.fields and "in ICMP" not in layer.name:
                    layer.delfieldval(name)
            break
    return copy


@pytest.mark.parametrize("vlan", [(), (7,), (7, 9)])
def test_scapy_finds_every_checksum_right(vlan):
    checked = fragments = 0
    for frame in varied(vlan).frames():
        packet = Ether(frame.data)
        if (IP in packet and (packet[IP].frag or "MF" in packet[IP].flags)) or (
            IPv6 in packet and packet[IPv6].nh == 44
        ):
            fragments += 1
        else:
            assert bytes(with_fresh_checksums(packet)) == frame.data, packet.summary()
            checked += 1
    assert (checked, fragments) == (54, 6)


@given(st.binary(max_size=70))
def test_checksum_is_rfc_1071(data):
    words = data + b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    # A sum of zero needs data that are all zero, which no header is.
    assert checksum(number(data)) == (~total & 0xFFFF if any(data) else 0)


def test_conversation_has_the_sequence_numbers_it_should():
    wire = Wire()
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1")
    a.connect(b, 80, at=1, seq=100, server_seq=4_294_967_290).send(b"hello").reply(b"answer!").close()
    seen = [
        (str(p[TCP].flags), p[TCP].seq, p[TCP].ack, len(p[TCP].payload)) for p in (Ether(f.data) for f in wire.frames())
    ]
    assert seen == [
        ("S", 100, 0, 0),
        ("SA", 4_294_967_290, 101, 0),
        ("A", 101, 4_294_967_291, 0),
        ("PA", 101, 4_294_967_291, 5),
        ("A", 4_294_967_291, 106, 0),
        ("PA", 4_294_967_291, 106, 7),
        ("A", 106, 2, 0),
        ("FA", 106, 2, 0),
        ("FA", 2, 107, 0),
        ("A", 107, 3, 0),
    ]


def test_unanswered_syns_repeat_with_one_port_and_one_sequence_number():
    wire = Wire()
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1")
    a.unanswered(b, 80, at=1, times=(0, 3, 9))
    a.unanswered(b, 80, at=2, times=(0,))
    frames = [(f.ts_ns, Ether(f.data)[TCP]) for f in wire.frames()]
    assert [t // 10**9 for t, _ in frames] == [1, 2, 4, 10]
    assert [t.sport for _, t in frames] == [32768, 32769, 32768, 32768]
    assert len({t.seq for _, t in frames}) == 2


def test_identification_counts_up_in_the_order_of_the_capture_in_both_byte_orders():
    wire = Wire()
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1", WINDOWS_98)
    a.ip_id_start, b.ip_id_start = 0xFFFF, 0x00FF
    for at in (3, 1, 2):
        a.ping(b, at=at)
    ids = [(Ether(f.data)[IP].src, Ether(f.data)[IP].id) for f in wire.frames()]
    assert [i for s, i in ids if s == "10.0.0.1"] == [0xFFFF, 0, 1]
    assert [i for s, i in ids if s == "192.0.2.1"] == [0xFF00, 0x0001, 0x0101]


def test_ports_wrap_within_the_range_of_the_stack():
    wire = Wire()
    host = wire.host("10.0.0.1", WINDOWS_98)
    host.next_port = 4999
    assert [host.take_port() for _ in range(3)] == [4999, 5000, 1024]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_is_read_by_scapy(order, nanoseconds):
    wire = varied()
    read = list(PcapReader(io.BytesIO(wire.pcap(nanoseconds, order, snaplen=60))))
    frames = list(wire.frames())
    assert len(read) == len(frames)
    assert [bytes(p) for p in read] == [f.data[:60] for f in frames]
    assert [p.wirelen for p in read] == [len(f.data) for f in frames]
    unit = 1 if nanoseconds else 1000
    assert [round(p.time * 10**9) for p in read] == [f.ts_ns // unit * unit for f in frames]


def test_pcapng_is_read_by_scapy_with_its_comments():
    wire = Wire(start_ns=5 * 10**9)
    a, b = wire.host("10.0.0.1"), wire.host("192.0.2.1")
    a.datagram(b, 9, b"x", at=1.000000123, comment="the one")
    a.datagram(b, 9, b"yyyy", at=2)
    interfaces = (Interface(name="eth0"), Interface(101, resolution=6))
    data = b"".join(pcapng_chunks(wire.frames(), interfaces, "a section", "program", [("192.0.2.1", "b.example")]))
    assert b"a section" in data
    assert b"b.example\0" in data
    read = list(PcapNgReader(io.BytesIO(data)))
    assert [bytes(p) for p in read] == [f.data for f in wire.frames()]
    assert round(read[0].time * 10**9) == 6_000_000_123
    assert read[0].comments == [b"the one"]


@pytest.mark.parametrize(("link_type", "head"), [(LINK_RAW, 0), (LINK_NULL, 4), (LINK_COOKED, 16), (LINK_COOKED2, 20)])
def test_other_links_carry_the_same_ip_packets(link_type, head):
    plain = [f.data[14:] for f in varied().frames()]
    assert [f.data[head:] for f in varied(link_type=link_type).frames()] == plain


def test_dns_messages_are_read_by_scapy():
    query = DNS(dns_query(77, "www.example.org", AAAA))
    assert (query.id, query.qd[0].qname, query.qd[0].qtype, query.rd) == (77, b"www.example.org.", 28, 1)
    reply = DNS(dns_response(77, "example.org", A, [(CNAME, "b.example"), "192.0.2.7", (MX, "10 mx.example")], code=0))
    assert (reply.qr, reply.ancount, reply.an[1].rdata) == (1, 3, "192.0.2.7")
    assert reply.an[0].rdata == b"b.example."
    assert DNS(dns_response(1, "gone.example", code=3)).rcode == 3


def test_same_seed_same_bytes_and_another_seed_others():
    def write(seed):
        wire = Wire(seed=seed)
        wire.host("10.0.0.1").connect(wire.host("192.0.2.1", HAND_MADE), 80, at=1)
        return wire.pcapng()

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_shortcuts_for_tests():
    read = list(PcapReader(io.BytesIO(short.exchange(b"ping", b"pong"))))
    assert b"".join(bytes(p[TCP].payload) for p in read) == b"pingpong"
    data = short.capture(lambda wire, a, b: a.unanswered(b, 25, at=0), start_ns=10**9)
    assert [int(p.time) for p in PcapReader(io.BytesIO(data))] == [1, 4, 10]
