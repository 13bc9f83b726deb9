"""The kernel's short way for ordinary packets says what its long way says; wide loads are what bytes one by one would be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import ICMP, IP, TCP, UDP, Dot1Q, IPv6
from scapy.layers.sctp import SCTP

from tests.packets.test_decode import records_of
from tests.packets.wrapping import Ether
from tracehound.packets import columns, octets
from tracehound.packets.batch import NOTES

FRAMES = [
    bytes(Ether() / packet)
    for packet in (
        IP(src="10.0.0.1", dst="192.0.2.1", options=b"\1\1\1\1") / TCP(options=[("MSS", 1460)]) / b"payload",
        IP() / UDP(sport=5, dport=3544) / (b"\x60" * 60),
        IP() / UDP(sport=5, dport=53) / b"payload",
        IP(frag=3) / UDP() / b"payload",
        IP() / ICMP() / b"payload",
        IP() / SCTP() / b"payload",
        Dot1Q(vlan=3) / IP() / TCP() / b"payload",
        IPv6() / TCP() / b"payload",
    )
]


def decoded(buffer, records, verify):
    frames = columns.Frames(records.offset, records.caplen, records.wirelen, records.link_type)
    blocks, rare = columns.decode_frames(buffer, frames, verify)
    return {name: column.tolist() for name, column in blocks.columns().items()}, rare.tolist()


@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4), st.data())
def test_the_short_way_is_the_long_way(frames, data):
    """With checksums verified every packet goes the long way."""
    damaged = []
    for frame in frames:
        changed = bytearray(frame)
        for _ in range(data.draw(st.integers(0, 3))):
            changed[data.draw(st.integers(12, len(frame) - 1))] = data.draw(st.integers(0, 255))
        damaged.append(bytes(changed) + bytes(data.draw(st.integers(0, 20))))
    caplens = [data.draw(st.integers(0, len(f))) if data.draw(st.booleans()) else None for f in damaged]
    buffer, records = records_of(damaged, caplens=caplens)
    short, rare = decoded(buffer, records, verify=False)
    long, rare_too = decoded(buffer, records, verify=True)
    bad = NOTES.index("bad checksum")
    long["note"] = [a if b == bad else b for a, b in zip(short["note"], long["note"], strict=True)]
    assert short == long and rare == rare_too


@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=3), st.integers(0, 80), st.sampled_from([1, 101, 105, 113]))
def test_compiled_and_plain_are_the_same(frames, cut, link):
    buffer, records = records_of([f[:cut] for f in frames], link)
    compiled = decoded(buffer, records, verify=False)
    out, rare = columns.blocks(len(frames)), np.empty(len(frames), np.int32)
    count = columns.decode_records.py_func(  # type: ignore[attr-defined]
        buffer, records.offset, records.caplen, records.wirelen, records.link_type, False, out.addresses, out.ports, out.numbers,
        out.small, out.payload_offset, out.payload, rare,
    )  # fmt: skip
    assert ({name: column.tolist() for name, column in out.columns().items()}, rare[:count].tolist()) == compiled


@given(st.binary(min_size=8, max_size=40), st.integers(-2, 45))
def test_numbers_are_read_within_the_buffer_only(data, at):
    buffer = np.frombuffer(data, np.uint8)
    for size, compiled in ((2, octets.be16), (4, octets.be32), (8, octets.be64)):
        plain = getattr(compiled, "py_func", compiled)
        if 0 <= at <= len(data) - size:
            assert int(compiled(buffer, at)) == int(plain(buffer, at)) == int.from_bytes(data[at : at + size], "big")
        else:
            for read in (compiled, plain):
                with pytest.raises(IndexError):
                    read(buffer, at)
    octets.ask_for(buffer, at)
