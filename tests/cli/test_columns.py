"""Tables fit, whatever is in them; columns that have no room are summed up rather than left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.cli.columns import LONGEST_ROW, fitted
from crawler.core.model import Verdict

HEADS = ("region", "registries", *Verdict, "images", "requests", "retries", "throttled", "seconds")
OPTIONAL = {*Verdict, "retries", "throttled"} - {Verdict.COMPLETE}


def table(numbers: list[int]) -> list[tuple[str, ...]]:
    """Return a table of one row, with a column for each number."""
    return [HEADS, ("kr", *(f"{number:,}" for number in numbers))]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=len(HEADS) - 1, max_size=len(HEADS) - 1))
def test_every_row_fits_and_no_number_is_lost(numbers: list[int]) -> None:
    """Rows have one length, of 80 at most; each number that is not zero stands in a row or in the line below."""
    head, row, *below = fitted(table(numbers))
    assert len(head) == len(row)
    assert max(map(len, (head, *below))) <= LONGEST_ROW
    cells = dict(zip(head.split(), row.split(), strict=True))
    told = {
        name: number
        for number, name in (part.split(" ") for part in " ".join(map(str.strip, below))[9:].split(", ") if part)
    }
    assert cells.keys() >= set(HEADS) - OPTIONAL
    assert not cells.keys() & told.keys()
    for name, number in zip(HEADS[1:], numbers, strict=True):
        assert (cells | told).get(name, "0") == f"{number:,}"


def test_what_has_room_stays() -> None:
    """Names are to the left and numbers to the right; nothing gives way before it has to."""
    assert fitted([("region", "images", "retries"), ("kr", "1,200", "0"), ("total", "1", "2")]) == [
        "region  images  retries",
        "kr       1,200        0",
        "total        1        2",
    ]


@pytest.mark.parametrize(("most", "below"), [(22, "besides: 2 retries"), (14, "besides: 2 retries"), (23, None)])
def test_what_has_none_is_said(most: int, below: str | None) -> None:
    """The last row is that of the sums."""
    lines = fitted([("region", "images", "retries"), ("kr", "1,200", "0"), ("total", "1", "2")], most)
    assert lines[3:] == ([below] if below else [])
