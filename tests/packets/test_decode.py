"""Frames of every kind become rows; scapy is the second opinion; hostile bytes never raise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import (
    ARP,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Raw,
    fragment,
    fragment6,
)

from tracehound.capture.records import RawBatch, Records
from tracehound.packets.batch import NOTES
from tracehound.packets.decode import DecodeState, decode


def records_of(frames, link_type=1, caplens=None):
    """(buffer, records) of frames one behind the other."""
    caps = [len(f) if c is None else min(len(f), c) for f, c in zip(frames, caplens or [None] * len(frames), strict=True)]
    data = b"".join(f[:c] for f, c in zip(frames, caps, strict=True))
    records = Records(
        np.arange(len(frames), dtype=np.int64) * 1000,
        np.array(caps, dtype=np.int32),
        np.array([len(f) for f in frames], dtype=np.int32),
        (np.cumsum(caps) - caps).astype(np.int64),
        np.full(len(frames), link_type, dtype=np.int32),
    )
    buffer = np.zeros(len(data) + 70000, dtype=np.uint8)
    buffer[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return buffer, records


def batch_of(frames, link_type=1, caplens=None, **state):
    buffer, records = records_of(frames, link_type, caplens)
    return decode(RawBatch(buffer, buffer.size - 70000, 0, 1, 1, records), DecodeState(**state))


def payload(p, i):
    at = int(p.payload_offset[i])
    return p.buffer[at : at + int(p.payload_caplen[i])].tobytes() if at >= 0 else b""


def test_tcp_fields_agree_with_scapy():
    packet = (
        Ether()
        / Dot1Q(vlan=7)
        / IP(src="10.1.2.3", dst="192.0.2.9", ttl=61, id=777)
        / TCP(sport=1234, dport=80, seq=5, ack=6, flags="PA", window=8760, options=[("MSS", 1460)])
        / b"GET / HTTP/1.0"
    )
    p = batch_of([bytes(packet)])
    assert (p.sport[0], p.dport[0], p.seq[0], p.ack[0], p.tcp_flags[0], p.window[0]) == (1234, 80, 5, 6, 0x18, 8760)
    assert (p.ttl[0], p.ip_id[0], p.option_len[0], p.vlan[0]) == (61, 777, 4, 8)
    assert payload(p, 0) == b"GET / HTTP/1.0" and NOTES[p.note[0]] == ""
    assert p.ip_bytes[0] == len(bytes(packet[IP]))


def test_ethernet_padding_is_no_payload():
    frame = bytes(Ether() / IP() / UDP(sport=1, dport=2) / b"abc").ljust(60, b"\0")
    p = batch_of([frame])
    assert (p.payload_len[0], payload(p, 0)) == (3, b"abc")


@pytest.mark.parametrize(
    ("frame", "note"),
    [
        (bytes(Ether() / ARP()), "ARP"),
        (b"\0" * 12, "link header cut"),
        (bytes(Ether(type=0x0800) / Raw(b"\x45" + b"\0" * 10)), "IP header cut"),
        (bytes(Ether(type=0x0800) / Raw(b"\x42" + b"\0" * 30)), "IP header malformed"),
        (bytes(Ether() / IP(proto=6) / Raw(b"\0" * 12)), "transport header cut"),
        (bytes(Ether() / IP() / TCP(dataofs=3) / Raw(b"x")), "transport header malformed"),
        (bytes(Ether() / IP(proto=50) / Raw(b"x" * 20)), "transport not decoded"),
        (bytes(Ether(type=0x88CC) / Raw(b"x" * 20)), "link-layer control (LLC, LLDP, STP, CDP, LCP)"),
    ],
)
def test_what_cannot_be_decoded_is_a_row_with_a_note(frame, note):
    assert NOTES[batch_of([frame]).note[0]] == note


def test_ipv6_extension_headers():
    packet = (
        Ether()
        / IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=9)
        / IPv6ExtHdrHopByHop()
        / UDP(sport=53, dport=53)
        / b"q"
    )
    p = batch_of([bytes(packet)])
    assert (p.ip_version[0], p.proto[0], p.sport[0], p.ttl[0], payload(p, 0)) == (6, 17, 53, 9, b"q")
    assert int(p.src_hi[0]) == 0x20010DB800000000 and int(p.src_lo[0]) == 1


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 0, 1, 2]])
def test_fragments_are_put_together_in_any_order(order):
    whole = bytes(range(256)) * 10
    pieces = [bytes(Ether() / f) for f in fragment(IP(id=9) / UDP(sport=5, dport=6) / whole, fragsize=1000)]
    assert len(pieces) == 3
    p = batch_of([pieces[i] for i in order])
    assert [NOTES[n] for n in p.note[:-1]] == ["fragment, waiting for the rest"] * (len(order) - 1)
    assert payload(p, len(order) - 1) == whole and (p.sport[-1], p.dport[-1]) == (5, 6)
    assert p.ip_bytes[-1] == 20 + 8 + len(whole)


def test_ipv6_fragments():
    whole = b"abcdefgh" * 300
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(id=5) / UDP(sport=5, dport=6) / whole
    pieces = [bytes(Ether() / f) for f in fragment6(packet, 1280)]
    p = batch_of(pieces)
    assert payload(p, len(pieces) - 1) == whole and p.proto[-1] == 17


def test_fragments_cut_by_the_snap_length_make_no_large_datagrams():
    """Two small records may claim 65,535 bytes; only what was captured is kept."""
    whole = bytes(range(256)) * 200
    pieces = [bytes(Ether() / f) for f in fragment(IP(id=9) / UDP(sport=5, dport=6) / whole, fragsize=48_000)]
    p = batch_of(pieces, caplens=[64, 64])
    assert (p.sport[-1], p.payload_len[-1], payload(p, 1)) == (5, len(whole), whole[: 64 - 42])
    assert p.buffer.size < 100_000 and p.ip_bytes[-1] == 28 + len(whole)


def test_overlong_fragment_is_given_up():
    ping_of_death = Ether() / IP(frag=8189, flags=0, proto=1) / Raw(b"x" * 1000)
    p = batch_of([bytes(ping_of_death)])
    assert NOTES[p.note[0]] == "fragment, waiting for the rest"


def test_checksums_are_verified_only_when_asked():
    good, bad = Ether() / IP() / TCP() / b"data", Ether() / IP() / TCP(chksum=1) / b"data"
    six = Ether() / IPv6() / UDP(sport=1, dport=2) / b"odd"
    ping = Ether() / IP() / ICMP() / b"x"
    frames = [bytes(f) for f in (good, bad, six, ping)]
    assert [NOTES[n] for n in batch_of(frames).note] == ["", "", "", ""]
    assert [NOTES[n] for n in batch_of(frames, verify_checksums=True).note] == ["", "bad checksum", "", ""]


def test_short_snap_length():
    frame = bytes(Ether() / IP() / TCP(dport=80) / (b"x" * 100))
    p = batch_of([frame], caplens=[64])
    assert (p.payload_len[0], p.payload_caplen[0], NOTES[p.note[0]]) == (100, 64 - 54, "")


@pytest.mark.parametrize(
    ("link_type", "header"), [(101, b""), (12, b""), (0, b"\x02\0\0\0"), (0, b"\0\0\0\x02"), (108, b"\0\0\0\x02")]
)
def test_links_without_ethernet(link_type, header):
    p = batch_of([header + bytes(IP() / UDP(sport=9, dport=10) / b"x")], link_type)
    assert (p.sport[0], p.dport[0]) == (9, 10)


LINKS = st.sampled_from([0, 1, 12, 101, 105, 108, 113, 228, 229, 239, 276, 99999])


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=6), LINKS)
def test_any_bytes_are_rows(frames, link_type):
    p = batch_of(frames, link_type)
    assert set((p.packet_id & 0xFF).tolist()) == set(range(1, len(frames) + 1))
    inside = p.payload_offset >= 0
    assert np.all(p.payload_caplen >= 0) and np.all(p.payload_caplen[inside] <= p.payload_len[inside])


@given(st.data())
def test_any_change_of_a_real_frame_is_a_row(data):
    frame = bytearray(
        bytes(Ether() / Dot1Q(vlan=5) / IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment() / TCP() / b"payload")
    )
    for _ in range(data.draw(st.integers(1, 6))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    p = batch_of([bytes(frame[: data.draw(st.integers(0, len(frame)))])])
    assert p.note.size == 1
