"""In: nothing. Out: where the shared captures and oracles lie, and settings for all tests. Never here: a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")

# The first example of a test may compile a kernel, which takes seconds.
settings.register_profile("tracehound", deadline=None)
settings.load_profile("tracehound")
