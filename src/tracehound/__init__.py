"""The public Python names of tracehound; each is loaded when it is first used, so that `import tracehound` costs nothing.

Never here: code."""

from __future__ import annotations

from tracehound.version import __version__

__all__ = ["__version__"]
