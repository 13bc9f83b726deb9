"""Items in order, exceptions in place, no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from tracehound.edges.ahead import ahead


def running():
    return [thread for thread in threading.enumerate() if thread.name == "tracehound-ahead"]


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order(depth):
    assert list(ahead(iter(range(1000)), depth)) == list(range(1000))
    assert running() == []


def test_exception_comes_where_the_item_would_have():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    got = []
    with pytest.raises(ValueError, match="third"):
        for item in ahead(items()):
            got.append(item)  # noqa: PERF402
    assert got == [1, 2]
    assert running() == []


def test_consumer_stops_early_and_the_source_is_closed():
    closed = []

    def items():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append(threading.current_thread().name)

    source = ahead(items())
    assert next(source) == 0
    assert isinstance(source, Generator)
    source.close()
    assert closed == ["tracehound-ahead"]
    assert running() == []


def test_never_started_leaves_no_thread():
    source = ahead(iter(range(3)))
    del source
    assert running() == []


def test_no_more_is_made_than_depth_allows():
    made = []
    reached = threading.Event()

    def items():
        for number in range(10):
            made.append(number)
            if len(made) == 3:
                reached.set()
            yield number

    source = ahead(items(), 1)
    assert next(source) == 0
    reached.wait(5)
    # One is with the consumer, one is ready, one waits for room.
    assert made == [0, 1, 2]
    assert list(source) == list(range(1, 10))
