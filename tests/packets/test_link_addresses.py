"""ARP messages by kind, senders of frames: whole, in pieces, and in frames that are cut."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import Wire
from tracehound.edges.reading import read
from tracehound.packets.link_addresses import mac_text
from tracehound.pipeline import Wanted


def tables(tmp_path, capture):
    path = tmp_path / "a.pcap"
    path.write_bytes(capture)
    with read([str(path)], wanted=Wanted(transactions=False, link_addresses=True)) as reading:
        return reading.table("arp").to_pylist(), reading.table("link_addresses").to_pylist()


@pytest.fixture
def wire():
    return Wire()


def test_requests_and_replies(tmp_path, wire):
    a, b = wire.host("10.1.0.5", mac=b"\0\x1b\x21\0\0\x05"), wire.host("10.1.0.1", mac=b"\0\x1b\x21\0\0\x01")
    for n in range(3):
        a.arp(b, float(n))
    arp, _ = tables(tmp_path, wire.pcap())
    assert [(r["operation"], r["sender_addr"], r["sender_mac"], r["target_addr"], r["messages"]) for r in arp] == [
        ("request", "10.1.0.5", "00:1b:21:00:00:05", "10.1.0.1", 3),
        ("reply", "10.1.0.1", "00:1b:21:00:00:01", "10.1.0.5", 3),
    ]
    assert (arp[0]["last_ts"] - arp[0]["ts"]).total_seconds() == 2


def frame(operation, sender, target, mac=b"\2\0\0\0\0\7"):
    head = b"\xff" * 6 + mac + b"\x81\x00\x00\x0a\x08\x06"
    return head + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + bytes(sender) + bytes(6) + bytes(target)


def test_announcements_and_probes_behind_a_tag(tmp_path, wire):
    wire.add(1.0, frame(1, (10, 0, 0, 7), (10, 0, 0, 7)))
    wire.add(2.0, frame(1, (0, 0, 0, 0), (10, 0, 0, 7)))
    wire.add(3.0, frame(1, (10, 0, 0, 7), (10, 0, 0, 9))[:40])  # cut
    arp, _ = tables(tmp_path, wire.pcap())
    assert [r["operation"] for r in arp] == ["announcement", "probe"]
    assert mac_text(0x0200_0000_0007) == arp[0]["frame_mac"] == "02:00:00:00:00:07"


def test_senders(tmp_path, wire):
    a, b = wire.host("10.1.0.5", mac=b"\0\x1b\x21\0\0\x05"), wire.host("198.51.100.9", mac=b"\0\x1b\x21\0\0\x01")
    c, d = wire.host("2001:db8::5", mac=b"\0\x1b\x21\0\0\x05"), wire.host("2001:db8::9", mac=b"\0\x1b\x21\0\0\x01")
    a.connect(b, 80, 1.0).send(b"x").reply(b"y").close()
    c.connect(d, 80, 2.0).send(b"x").reply(b"y").close()
    _, senders = tables(tmp_path, wire.pcap())
    assert {(r["mac"][-2:], r["address"]) for r in senders} == {
        ("05", "10.1.0.5"), ("01", "198.51.100.9"), ("05", "2001:db8::5"), ("01", "2001:db8::9"),
    }  # fmt: skip
    assert sum(r["pkts"] for r in senders) == len(wire)


@settings(max_examples=30, deadline=None)
@given(frames=st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_are_met(tmp_path_factory, frames):
    wire = Wire()
    for n, some in enumerate(frames):
        wire.add(float(n), b"\xff" * 6 + b"\2\0\0\0\0\7" + some)
    tables(tmp_path_factory.mktemp("any"), wire.pcap())
