"""In: nothing. Out: where the shared captures and oracles lie, and settings for all tests. Never here: a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")

# The first example of a test may compile a kernel, which takes seconds. A gate says the same of the same change every time: new
# examples are looked for on developers' machines.
settings.register_profile("tracehound", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tracehound")
