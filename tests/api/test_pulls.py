"""What a pull changes in records."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.api.pulls import without_times


@pytest.mark.parametrize("time", ["null", "1764547200000", '"2026-11-26T02:00:00Z"', "-1.5e3"])
@pytest.mark.parametrize("field", ["latest_pulled", "lastPulledDateTime"])
def test_only_times_of_pulls_are_left_out(field: str, time: str) -> None:
    """Whatever form they have."""
    line = b'{"name":"a","images":[{"digest":"d","%b": %b,"size":1}]}\n'
    told = line % (field.encode(), time.encode())
    assert without_times(told) == b'{"name":"a","images":[{"digest":"d",,"size":1}]}\n'


@given(st.text())
def test_a_text_that_looks_like_one_stays(text: str) -> None:
    """Quotes in a text are escaped, so nothing in it is a field."""
    line = json.dumps({"name": f'"latest_pulled":1,{text}"latest_pulled":null'}).encode()
    assert without_times(line) == line
