"""In: nothing. Out: the interpreter as our programs want it: pandas is not imported behind our back, garbage is looked for seldom.
Never here: anything that needs pandas; and nothing of this for the library, which is a guest in other people's programs."""

from __future__ import annotations

import gc
import sys


class _NoPandas:
    """pyarrow imports pandas, where it is installed, as soon as an array is made, which takes longer than looking at a small
    capture does. No verb needs it; the library leaves the choice to its users."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no verb uses pandas", name=fullname)


def leave_pandas_out() -> None:
    """For programs of ours, never for the library."""
    sys.meta_path.insert(0, _NoPandas())


def collect_seldom() -> None:
    """Conversations keep tens of thousands of objects alive, none of them in circles. To look through them all after every
    700 new ones, as Python does, takes a tenth of the time of reading them; what was loaded so far stays to the end."""
    gc.freeze()
    gc.set_threshold(1_500_000, 20, 50)
