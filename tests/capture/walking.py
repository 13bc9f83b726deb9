"""In: bytes of a capture file. Out: what its walker finds, read at once or in pieces of any size. Never here: files."""

from __future__ import annotations

import numpy as np

from tracehound.capture import pcap, pcapng

FORMATS = {"pcap": pcap, "pcapng": pcapng}


def read(kind, data: bytes, chunk: int | None = None):
    """(records as (ts, packet bytes, wirelen, link type), notes, damage, last state)."""
    form = FORMATS[kind]
    state = form.open_state(data[:24])
    assert state is not None
    found, notes = [], []
    have, position = b"", 0
    step = chunk or max(len(data), 1)
    while True:
        have += data[position : position + step]
        position += step
        final = position >= len(data)
        array = np.frombuffer(bytearray(have), np.uint8)
        if state.position == 0 and len(have) < 24 and not final:
            continue
        walked = form.walk(array, len(array), state, final=final)
        records = walked.records
        for ts, cap, wire, offset, link in zip(*(column.tolist() for column in records), strict=True):
            assert offset >= 0 and offset + cap <= len(have)
            found.append((ts, have[offset : offset + cap], wire, link))
        notes += walked.notes
        assert walked.state.frames == len(found)
        state = walked.state
        have = have[walked.consumed :]
        if walked.damage is not None or final:
            return found, notes, walked.damage, state
