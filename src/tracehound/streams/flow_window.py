"""In: flow numbers (dense, growing). Out: a few small columns per flow over a sliding window of flow numbers, indexed without
hashing. Never here: what the columns mean to a protocol.

`want` is the array that kernels consult before anything else: a flow that no parser wants costs one byte and one look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracehound.limits import MAX_FLOW_WINDOW

UNDECIDED: Final = 0
UNWANTED: Final = 255
"""`want` is UNDECIDED, UNWANTED, or the number of the parser that wants the flow."""

HEAD_SEEN: Final = 1
"""`seen`: HEAD_SEEN << side, the first payload of that side was met (side 0 = originator)."""
SYN_SEEN: Final = 4
"""`seen`: SYN_SEEN << side, `isn` of that side is known."""

_FIRST: Final = 4096


@dataclass(slots=True)
class FlowWindow:
    """Columns for flow numbers base, base + 1, ...

    want     uint8, see UNDECIDED
    seen     uint8, bits HEAD_SEEN, SYN_SEEN
    tries    uint8, payload packets looked at while undecided
    service  uint8, number of the service recognised, 0 = none
    slot     int32, row of the stream table, -1 = none
    isn      uint32 (n, 2), sequence number of the SYN
    """

    base: int = 0
    want: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FIRST, dtype=np.uint8))
    seen: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FIRST, dtype=np.uint8))
    tries: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FIRST, dtype=np.uint8))
    service: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FIRST, dtype=np.uint8))
    slot: NDArray[np.int32] = field(default_factory=lambda: np.full(_FIRST, -1, dtype=np.int32))
    isn: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((_FIRST, 2), dtype=np.uint32))


def _moved(old: NDArray[Any], shift: int, size: int, fill: int) -> NDArray[Any]:
    """`old` from `shift` on, in an array of `size` rows."""
    new = np.full((size, *old.shape[1:]), fill, dtype=old.dtype)
    kept = old[shift : shift + size]
    new[: len(kept)] = kept
    return new


def make_room(window: FlowWindow, highest: int) -> NDArray[np.int64]:
    """Make the window reach flow `highest`. Returns the flows with a stream that fall out of it: they must be finished."""
    need = highest - window.base + 1
    size = window.want.size
    if need <= size:
        return np.empty(0, dtype=np.int64)
    shift = 0
    if need > MAX_FLOW_WINDOW:
        shift = need - MAX_FLOW_WINDOW // 2
        need -= shift
    fallen = np.nonzero(window.slot[:shift] >= 0)[0] + window.base
    size = min(MAX_FLOW_WINDOW, max(_FIRST, 1 << (need - 1).bit_length()))
    window.want = _moved(window.want, shift, size, UNDECIDED)
    window.seen = _moved(window.seen, shift, size, 0)
    window.tries = _moved(window.tries, shift, size, 0)
    window.service = _moved(window.service, shift, size, 0)
    window.slot = _moved(window.slot, shift, size, -1)
    window.isn = _moved(window.isn, shift, size, 0)
    window.base += shift
    return fallen.astype(np.int64)


def inside(window: FlowWindow, flow_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `flow_ids` that the window covers."""
    at = flow_ids - window.base
    return flow_ids[(at >= 0) & (at < window.want.size)]
