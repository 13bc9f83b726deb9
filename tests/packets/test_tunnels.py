"""A conversation is the same on every link and in every tunnel; what only looks like a tunnel is not one."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import ARP, IP, TCP, UDP, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment, fragment6
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.dot11 import Dot11, RadioTap
from scapy.layers.l2 import GRE, LLC, SNAP
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.layers.vxlan import VXLAN

from tests.capture.files import enhanced, interface, pcap_header, pcap_record, section
from tests.packets.test_decode import batch_of, payload
from tests.packets.wrapping import WRAPPINGS, Ether, datagram, ethernet, outer, rewrapped, subframe, tunnel_of, wlan
from tests.tables_of import tables
from tests.test_chunking import mixed
from tracehound.edges.reading import read
from tracehound.limits import MAX_TUNNEL_DEPTH
from tracehound.packets.addresses import tunnel_text
from tracehound.packets.batch import NOTES, one_a_record
from tracehound.pipeline import Wanted

OWN = ["flow_id", "first_packet_id", "last_packet_id", "tunnel", "vlan", "evidence_id"]


def inner_flows(table):
    rows = [r for r in table.to_pylist() if not r["src"].startswith(("203.0.113.", "2001:db8:ffff:"))]
    return sorted(({k: v for k, v in r.items() if k not in OWN} for r in rows), key=lambda r: (r["start"], r["src"], r["sport"]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain"
    path.write_bytes(mixed())
    return tables([path], packets=True)


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_conversation_is_the_same_in_every_wrapping(tmp_path, plain, name):
    """Flows, transactions and fragments of many conversations: only the columns that name the way differ."""
    wrapping = WRAPPINGS[name]
    path = tmp_path / "wrapped"
    path.write_bytes(rewrapped(mixed(), wrapping))
    found = tables([path], packets=True)
    assert inner_flows(found["flows"]) == inner_flows(plain["flows"])
    assert found["http"].drop(["flow_id", "txn_id", "request_packet_id", "response_packet_id"]).num_rows == plain["http"].num_rows
    assert found["http"]["uri"].to_pylist() == plain["http"]["uri"].to_pylist()
    assert found["dns"].num_rows == plain["dns"].num_rows
    assert found["packets"].num_rows == plain["packets"].num_rows
    for row in found["packets"].to_pylist():
        assert (row["tunnel"], row["vlan"]) == (tunnel_of(wrapping, 6 if ":" in row["src"] else 4), wrapping.vlan)
    own = [r for r in found["flows"].to_pylist() if r["src"] == "203.0.113.1"]
    assert bool(own) == wrapping.own_flow


@pytest.mark.parametrize("name", ["802.11 A-MSDU", "gtp", "gre in vxlan", "4in4 or 6in4"])
def test_batches_of_any_size_give_the_same_tables(tmp_path, name):
    path = tmp_path / "wrapped"
    path.write_bytes(rewrapped(mixed(), WRAPPINGS[name]))
    whole, cut = tables([path], packets=True), tables([path], packets=True, chunk_bytes=900)
    for table in ("flows", "packets", "http", "dns"):
        assert cut[table].to_pylist() == whole[table].to_pylist()


def shown(p, i=-1):
    """The row that stands for the last record."""
    rows = one_a_record(p)
    at = i if rows is None else int(rows[i])
    address = socket.inet_ntoa(struct.pack("!I", int(p.src_lo[at]) & 0xFFFFFFFF)) if p.ip_version[at] == 4 else None
    return address, int(p.sport[at]), int(p.dport[at]), tunnel_text(int(p.tunnel[at])), NOTES[p.note[at]], payload(p, at)


INNER = IP(src="10.1.1.1", dst="10.2.2.2") / TCP(sport=1000, dport=80, flags="PA") / b"hello"
OUT = Ether() / IP(src="203.0.113.1", dst="203.0.113.2")


@pytest.mark.parametrize(
    ("frame", "link", "tunnel"),
    [
        (OUT / GRE(key_present=1, key=7, seqnum_present=1, sequence_number=3) / INNER, 1, "gre"),
        (OUT / UDP(sport=5, dport=4789) / VXLAN(vni=9, flags=8) / Ether() / INNER, 1, "vxlan"),
        (OUT / UDP(sport=5, dport=6081) / GENEVE(vni=9, proto=0x6558) / Ether() / INNER, 1, "geneve"),
        (OUT / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=9, gtp_type=255) / INNER, 1, "gtp"),
        (Ether() / MPLS(label=16, s=0) / MPLS(label=17, s=1) / INNER, 1, "mpls"),
        (Ether() / PPPoE(sessionid=3) / PPP() / INNER, 1, "pppoe"),
        (HDLC() / PPP() / INNER, 50, ""),
        (Ether(type=0x894F) / NSH() / Ether() / INNER, 1, "nsh"),
        (RadioTap() / Dot11(type=2, subtype=0, FCfield=1) / LLC() / SNAP() / INNER, 127, ""),
        (Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / INNER, 1, "4in6"),
    ],
)
def test_scapy_writes_what_is_read(frame, link, tunnel):
    p = batch_of([bytes(frame)], link)
    assert shown(p) == ("10.1.1.1", 1000, 80, tunnel, "", b"hello")


def test_teredo_on_its_port_and_by_its_address():
    inside = bytes(IPv6(src="2001:0:4137:9e50:8000:f12a:b9c8:2815", dst="2001:db8::68") / TCP(sport=9, dport=80) / b"x")
    other = bytes(IPv6(src="2001:db8::1", dst="2001:db8::68") / TCP(sport=9, dport=80) / b"x")
    origin = b"\0\0\x12\x34\1\2\3\4"
    authentication = b"\0\x01\0\0" + bytes(9)
    for port, body, tunnel in [
        (3544, inside, "teredo"), (3544, other, "teredo"), (3544, origin + inside, "teredo"),
        (3544, authentication + origin + inside, "teredo"), (32900, inside, "teredo"), (32900, origin + inside, "teredo"),
        (32900, other, ""), (3544, inside + b"y", ""), (3544, inside[:-1], ""),
    ]:  # fmt: skip
        assert shown(batch_of([datagram(3797, port, body)]))[3] == tunnel, (port, body)


@pytest.mark.parametrize(
    ("sport", "dport", "body"),
    [
        (53, 4789, b"\x08\x01\x81\x80\0\1\0\1\0\0\0\0\1a\0\0\1\0\1" + bytes(40)),
        (53, 6081, b"\0\0\x81\x80\0\1\0\1\0\0\0\0\1a\0\0\1\0\1" + bytes(40)),
        (2152, 53, b"0\xff\x01\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1" + bytes(40)),
        (5072, 53, b"\x01\x02\x01\x00\0\1\0\0\0\0\0\0\1a\0\0\1\0\1" + bytes(40)),
        (1701, 53, b"\x00\x02\x01\x00\0\1\0\0\0\0\0\0\1a\0\0\1\0\1" + bytes(40)),
        (40000, 40001, b"\x60" + bytes(80)),
        (69, 40001, b"\0\1file\0octet\0" + bytes(80)),
    ],
)
def test_ordinary_datagrams_on_a_tunnel_port_are_no_tunnel(sport, dport, body):
    p = batch_of([datagram(sport, dport, body)])
    assert p.ts.size == 1 and shown(p)[1:] == (sport, dport, "", "", body)


@pytest.mark.parametrize(
    ("frame", "link", "note"),
    [
        (wlan(bytes(Ether() / INNER), flags=0x41), 105, "802.11 encrypted (WEP, WPA)"),
        (b"\x80\0" + bytes(30), 105, "802.11 management or control"),
        (b"\xd4\0" + bytes(8), 105, "802.11 management or control"),
        (b"\x48\x01" + bytes(22), 105, "802.11 management or control"),
        (wlan(bytes(Ether() / INNER), fragment=2), 105, "802.11 fragment, not put together"),
        (ethernet(0x8863, b"\x11\x09\0\0\0\0"), 1, "link-layer control (LLC, LLDP, STP, CDP, LCP)"),
        (b"\xff\x03\xc0\x21\1\1\0\4", 9, "link-layer control (LLC, LLDP, STP, CDP, LCP)"),
        (b"\xff\x03\0\xfd" + bytes(20), 9, "encrypted or compressed link (MACsec, PPP)"),
        (ethernet(0x88E5, b"\x2c\0" + bytes(60)), 1, "encrypted or compressed link (MACsec, PPP)"),
        (b"\x8f\0\x80\x35" + bytes(14), 104, "link-layer control (LLC, LLDP, STP, CDP, LCP)"),
        (bytes(64), 220, "unknown link type"),
        (outer(47, b"\0\0\x12\x34" + bytes(40)), 1, "tunnelled in an encapsulation that is not followed"),
        (outer(47, struct.pack("!HHHHI", 0x3001, 0x880B, 20, 9, 4) + b"\xff\x03\0\xfd" + bytes(16)), 1,
         "encrypted or compressed link (MACsec, PPP)"),
    ],
)  # fmt: skip
def test_what_is_not_followed_says_so(frame, link, note):
    p = batch_of([frame], link)
    assert (p.ts.size, NOTES[p.note[0]]) == (1, note)


def test_a_tunnel_that_is_not_followed_is_a_flow(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(pcap_header() + pcap_record(outer(47, b"\0\0\x12\x34" + bytes(40))))
    (flow,) = tables([path], transactions=False)["flows"].to_pylist()
    assert (flow["src"], flow["dst"], flow["proto"], flow["bytes_src"]) == ("203.0.113.1", "203.0.113.2", 47, 64)


def test_a_bundle_of_frames_is_one_record_of_several_packets(tmp_path):
    frames = [bytes(Ether() / IP(src="10.1.1.1", dst="10.2.2.2") / UDP(sport=n, dport=9) / (b"x" * n)) for n in (1, 2, 7)]
    parts = [subframe(f) for f in frames]
    body = b"".join(p + bytes(-len(p) % 4) for p in parts[:-1]) + parts[-1]
    frame = wlan(b"", qos=True, amsdu=True, body=body)
    p = batch_of([frame, frame], 105)
    assert p.sport.tolist() == [1, 2, 7, 1, 2, 7] and (p.packet_id & 0xFF).tolist() == [1, 1, 1, 2, 2, 2]
    path = tmp_path / "x"
    path.write_bytes(pcap_header(link=105) + pcap_record(frame) * 2)
    found = tables([path], packets=True)
    assert found["packets"]["sport"].to_pylist() == [1, 1] and found["flows"]["pkts_src"].to_pylist() == [2, 2, 2]


def test_tunnels_in_tunnels_end_at_the_limit():
    packet = INNER
    for _ in range(MAX_TUNNEL_DEPTH):
        packet = IP(src="203.0.113.1", dst="203.0.113.2") / packet
    assert shown(batch_of([bytes(Ether() / packet)]))[3:5] == (".".join(["4in4"] * MAX_TUNNEL_DEPTH), "")
    deeper = batch_of([bytes(Ether() / IP(src="203.0.113.1", dst="203.0.113.2") / packet)])
    assert shown(deeper)[4] == "tunnelled deeper than is followed"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_fragments_inside_fragments(order):
    """An inner datagram in fragments, each of which travels in GTP datagrams that are in fragments themselves."""
    inner = [bytes(f) for f in fragment(IP(src="10.1.1.1", dst="10.2.2.2", id=5) / UDP(sport=7, dport=8) / (b"a" * 3000), 1200)]
    frames = []
    for number, piece in enumerate(inner[i] for i in order):
        whole = IP(src="203.0.113.1", dst="203.0.113.2", id=100 + number) / UDP(sport=2152, dport=2152, chksum=0)
        frames += [bytes(Ether() / f) for f in fragment(whole / struct.pack("!BBHI", 0x30, 255, len(piece), 1) / piece, 800)]
    p = batch_of(frames)
    done = [i for i in range(p.ts.size) if p.dport[i] == 8]
    assert len(done) == 1 and payload(p, done[0]) == b"a" * 3000 and tunnel_text(int(p.tunnel[done[0]])) == "gtp"
    assert int(p.packet_id[done[0]] & 0xFF) == len(frames)


def test_ipv6_fragments_of_a_tunnel_keep_their_header():
    whole = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=33) / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(id=5) / INNER
    p = batch_of([bytes(Ether() / f) for f in fragment6(whole / (b"z" * 2000), 1280)])
    assert shown(p)[:5] == ("10.1.1.1", 1000, 80, "4in6", "") and payload(p, -1) == b"hello" + b"z" * 2000


@pytest.mark.parametrize(("chunk", "outcome"), [(2, "answered"), (6, "refused"), (None, "unanswered")])
def test_sctp_is_a_flow_with_ports(tmp_path, chunk, outcome):
    there = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / SCTP(sport=5000, dport=2905, tag=0) / SCTPChunkInit()
    back = Ether() / IP(src="10.0.0.2", dst="10.0.0.1") / SCTP(sport=2905, dport=5000, tag=1) / SCTPChunkInit(type=chunk or 2)
    path = tmp_path / "x"
    answer = pcap_record(bytes(back), ts_ns=10**6) if chunk else b""
    path.write_bytes(pcap_header() + pcap_record(bytes(there)) + answer)
    found = tables([path], packets=True, transactions=False)
    (flow,) = found["flows"].to_pylist()
    assert (flow["src"], flow["sport"], flow["dport"], flow["proto"], flow["outcome"]) == ("10.0.0.1", 5000, 2905, 132, outcome)
    assert (flow["tcp_flags_dst"], flow["conn_state"]) == (None, "OTH")
    assert found["packets"]["sport"].to_pylist()[:1] == [5000] and found["packets"]["tcp_flags"].null_count == (2 if chunk else 1)


def test_checksums_of_joined_datagrams_and_inner_packets_hold():
    pieces = [bytes(Ether() / f) for f in fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=9) / UDP(sport=5, dport=6) / (b"q" * 2000), 800)]
    good = bytes(OUT / GRE() / INNER)
    bad = bytearray(good)
    bad[-1] ^= 1
    notes = [NOTES[n] for n in batch_of([*pieces, good, bytes(bad)], verify_checksums=True).note]
    assert notes == [*["fragment, waiting for the rest"] * (len(pieces) - 1), "", "", "bad checksum"]


def test_arp_shows_who_asks_for_whom(tmp_path):
    path = tmp_path / "x"
    asks = bytes(Ether() / ARP(psrc="10.0.0.1", pdst="10.0.0.9", hwsrc="02:00:00:00:00:07"))
    path.write_bytes(pcap_header() + pcap_record(asks) + pcap_record(asks[:30]))
    found = tables([path], packets=True, transactions=False)
    assert [(r["src"], r["dst"], r["proto"]) for r in found["packets"].to_pylist()] == [("10.0.0.1", "10.0.0.9", None), (None, None, None)]
    assert found["flows"].num_rows == 0


def test_the_quality_record_counts_by_kind(tmp_path):
    path = tmp_path / "x.pcapng"
    blocks = [section(), interface(link=1), interface(link=220), interface(link=189)]
    inner = WRAPPINGS["vxlan"].wrap(bytes(Ether() / INNER))
    for which, frame in [(0, ethernet(0x8892, bytes(40))), (0, inner), (0, inner), (1, bytes(64)), (1, bytes(64)), (2, bytes(64))]:
        blocks.append(enhanced(frame, which=which))
    path.write_bytes(b"".join(blocks))
    with read([str(path)], wanted=Wanted(transactions=False)) as reading:
        counted = {r["item"]: r["count"] for r in reading.quality.to_pylist()}
    assert counted["packets"] == 6 and counted["packets inside tunnels: vxlan"] == 2
    assert counted["not decoded: unknown link type: USB_LINUX_MMAPPED (220)"] == 2
    assert counted["not decoded: unknown link type: USB_LINUX (189)"] == 1
    assert counted["not decoded: not IP: EtherType 0x8892"] == 1


@given(st.sampled_from(sorted(WRAPPINGS)), st.data())
def test_damaged_frames_are_rows(name, data):
    """Any change, any cut: at least one row a record, lengths that hold, and no exception."""
    wrapping = WRAPPINGS[name]
    frame = bytearray(wrapping.wrap(bytes(Ether() / INNER)))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    p = batch_of([bytes(frame), bytes(frame)], wrapping.link, caplens=[cut, len(frame)])
    assert set((p.packet_id & 0xFF).tolist()) == {1, 2}
    assert set(p.note.tolist()) <= set(range(len(NOTES)))
    inside = p.payload_offset >= 0
    assert (p.payload_caplen >= 0).all() and (p.payload_caplen[inside] <= p.payload_len[inside]).all()
    assert (p.payload_offset[inside] + p.payload_caplen[inside] <= p.buffer.size).all()
