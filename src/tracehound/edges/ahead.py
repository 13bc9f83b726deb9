"""In: an iterator. Out: the same items in the same order, produced in a background thread while the consumer works.
Never here: what the items are."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class _End:
    """The producer's last word: the iterator ended, or failed with `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """Yield `items`, of which a thread holds `depth` ready and one more in the making.

    An exception of `items` is raised where the item would have come. When the consumer stops early (closes the generator,
    or drops it), the thread finishes the item it is making and ends; the iterator's own clean-up runs in that thread."""
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def hand_over(item: T | _End) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def produce() -> None:
        error: BaseException | None = None
        source = iter(items)
        try:
            for item in source:
                hand_over(item)
                if stop.is_set():
                    break
        except BaseException as problem:
            error = problem
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        hand_over(_End(error))

    thread = threading.Thread(target=produce, name="tracehound-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        # Empty the queue, so that a producer that waits for room sees `stop` at once.
        while not ready.empty():
            try:
                ready.get_nowait()
            except queue.Empty:
                break
        thread.join()
