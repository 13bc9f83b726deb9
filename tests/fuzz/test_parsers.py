"""Whatever bytes a parser meets: no exception, no endless loop, rows that fit their tables."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.parsers import CORPUS, TARGETS, conversation, datagrams, turns
from tracehound.protocols import transactions

_SECONDS = 60
"""Of the process's own time, so that a busy machine fails nothing; the first call of a kernel may compile it."""


@contextmanager
def within_seconds() -> Iterator[None]:
    """Fails where the code inside does not come to an end."""

    def stop(_number: int, _frame: object) -> None:
        raise AssertionError(f"no end after {_SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize("name", [n for n in TARGETS if n != "capture"])
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=600))
def test_any_bytes(name, data):
    with within_seconds():
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_kept_corpus(name):
    for path in sorted((CORPUS / name).glob("*")):
        with within_seconds():
            TARGETS[name](path.read_bytes())


_WORDS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"GET /a?b\r1",
    b"POST / HTTP/1.1\r\n", b"\r\n\r\n", b"220 mail ready\r\n", b"EHLO a\r\n", b"USER a\r\n", b"PASS b\r\n", b"250 ok\r\n",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"SSH-2.0-x\r\n", b"\x00\x00\x00\x20\xffSMB",
    b"\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00", b"\xff\xfd\x18", b"\x00\x01a\x00octet\x00",
    b"\x30\x20\x02\x01\x00\x04\x06public", b"INVITE sip:a@b SIP/2.0\r\n", b"NICK a\r\n", b"* OK imap\r\n", b"+OK pop\r\n",
    b"\xff" * 40, b"\x00" * 40,
)  # fmt: skip


@pytest.mark.parametrize("service", [*transactions.STREAMS, *transactions.DATAGRAMS])
def test_pieces_of_protocols_in_any_order(service):
    """Words that parsers look for, cut, damaged and shuffled: chosen by a fixed seed, so that a failure comes again."""
    stream = transactions.STREAMS.get(service)
    place = stream or transactions.DATAGRAMS[service]
    feed = conversation if stream else datagrams
    chance = random.Random(service)
    for _ in range(150):
        spoken = []
        for _ in range(chance.randint(1, 6)):
            part = bytearray(b"".join(chance.choices(_WORDS, k=chance.randint(1, 4))))
            for _ in range(chance.choice((0, 0, 1, 4))):
                part[chance.randrange(len(part))] = chance.choice((0, 10, 13, 32, 255, chance.randrange(256)))
            spoken.append((chance.random() < 0.5, chance.choice((0, 0, 0, 3)), bytes(part[: chance.randint(1, len(part))])))
        with within_seconds():
            feed(transactions._located(place), spoken)


def test_turns_take_every_byte():
    assert turns(b"\x01\x02ab\x02\x01c") == [(True, 0, b"ab"), (False, 0, b"c")]
    assert turns(b"\xc3\x05abc") == [(True, 3, b"abc")]
