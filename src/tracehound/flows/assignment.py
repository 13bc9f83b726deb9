"""In: nothing. Out: the shape of what flow assembly says of each packet of a batch. Never here: assembly (assemble.py)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Assignment(NamedTuple):
    """For each packet of a batch (arrays of length n):

    flow_id           int64, the flow it belongs to; -1 where it belongs to none (not IP, waiting fragment, ...)
    from_originator   bool, sent by the flow's originator (as known when the packet was met)
    """

    flow_id: NDArray[np.int64]
    from_originator: NDArray[np.bool_]
