"""In: a frame that is not as it should be. Out: the names of what is wrong with it, as decode-event and stream-event know them.
Never here: packets that are well."""

from __future__ import annotations

from typing import Final

DECODE: Final[frozenset[str]] = frozenset()
STREAM: Final[frozenset[str]] = frozenset()
