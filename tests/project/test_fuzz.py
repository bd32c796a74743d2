"""A short, seeded part of `make fuzz`, and proof that its check would see what is wrong."""

from __future__ import annotations

import pytest
from long.fuzz import PREFIX, fuzz, wrong, wrong_line

SEED = 20_261_123


@pytest.mark.long
def test_fuzz() -> None:
    """20,000 bodies of three kinds end as pages or as PageErrors, and every line is valid."""
    assert fuzz(20_000, SEED).total() == 20_000


@pytest.mark.parametrize(
    "line",
    [
        PREFIX + b'"name":"x"',
        PREFIX + b'"name":"y"}',
        PREFIX + b'"name":"x","x":NaN}',
        PREFIX + b'"name":"x","region":"sgn"}',
        PREFIX + b'"name":"x"}\r',
        b'{"name":"x"}',
    ],
)
def test_wrong_lines_are_seen(line: bytes) -> None:
    """The fuzzer's own check is not blind."""
    assert wrong_line("x", line)


def test_right_page_is_right() -> None:
    """And it is content with what is right."""
    assert wrong(b'{"count":1,"next":null,"results":[{"name":"x","y":1.10}]}') is None
