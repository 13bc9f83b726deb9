"""In: nothing. Out: pandas is not imported behind our back. Never here: anything that needs pandas."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    """pyarrow imports pandas, where it is installed, as soon as an array is made, which takes longer than looking at a small
    capture does. No verb needs it; the library leaves the choice to its users."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no verb uses pandas", name=fullname)


def leave_pandas_out() -> None:
    """For programs of ours, never for the library."""
    sys.meta_path.insert(0, _NoPandas())
