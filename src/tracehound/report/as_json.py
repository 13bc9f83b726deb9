"""In: a verdict. Out: the same verdict as one JSON document for other programs.
Never here: choice or judgement. Nothing is left out, renamed or rounded.

Keys come in the order of the dataclasses of findings/model.py, which document them; the first key, `schema`, names that
order and changes only with it. A field `x_ns` is printed as `x`, RFC 3339 text in UTC with nine digits; only `bin_ns` stays a
number, for it is a length. Text is ASCII with \\u escapes, so that hostile evidence cannot reach a terminal through it; the
parsed value is the evidence's own. A figure that JSON cannot write (NaN, infinity) is null."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from tracehound.findings.model import Verdict, as_dict

SCHEMA: Final = "tracehound.verdict/1"


def as_json(verdict: Verdict, *, indent: int | None = 2) -> str:
    """The verdict as JSON text ending in a line end; equal verdicts give equal bytes."""
    document = {"schema": SCHEMA, **plain(as_dict(verdict))}
    document["extra"] = dict(sorted(document["extra"].items()))
    return json.dumps(document, indent=indent, ensure_ascii=True, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON's own types: bytes as hex, sets in order, anything else that JSON lacks as its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    item = getattr(value, "item", None)  # a numpy scalar gives its Python number
    return plain(item()) if callable(item) else str(value)
