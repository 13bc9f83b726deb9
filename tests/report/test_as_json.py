"""The JSON form: nothing left out, plain ASCII, stable."""

import json

import pytest

from tests.report import sample
from tracehound.report.as_json import SCHEMA, as_json


@pytest.mark.parametrize("name", sample.ALL)
def test_round_trip_is_ascii_and_stable(name):
    text = as_json(sample.ALL[name]())
    assert text.isascii() and "\x1b" not in text and text == as_json(sample.ALL[name]())
    parsed = json.loads(text)
    assert list(parsed)[:3] == ["schema", "summary", "findings"] and parsed["schema"] == SCHEMA
    assert parsed["summary"] == sample.ALL[name]().summary


def test_times_and_nested_values():
    parsed = json.loads(as_json(sample.model_case()))
    probing = parsed["findings"][0]["probing"]
    assert probing["end"] == "2002-08-02T04:30:09.402113000Z" and probing["bin_ns"] == 900_000_000_000
    assert probing["turning_points"][1]["candidates"][0]["sha256"] == sample.sha("c")


def test_what_json_lacks():
    import dataclasses

    import numpy as np

    verdict = dataclasses.replace(sample.quiet(), extra={"b": b"\x00\xff", "a": np.int64(3), "c": float("inf")})
    assert json.loads(as_json(verdict))["extra"] == {"a": 3, "b": "00ff", "c": None}
