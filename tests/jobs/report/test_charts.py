"""Bars and lines say what the numbers say."""

from __future__ import annotations

import re

import pytest

from crawler.jobs.report.charts import bar, line


@pytest.mark.parametrize(
    ("value", "largest", "width"),
    [(5, 10, "50.00%"), (10, 10, "100.00%"), (1, 10**6, "0.50%"), (0, 10, "0"), (0, 0, "0")],
)
def test_a_bar_is_as_long_as_its_number(value: int, largest: int, width: str) -> None:
    """And what is not 0 can be seen."""
    assert f'width="{width}"' in bar(value, largest)


def points(drawn: str) -> list[tuple[float, float]]:
    (path,) = re.findall(r'd="M([^"]*)" class="line"', drawn)
    return [(float(x), float(y)) for x, y in (point.split() for point in path.split("L"))]


def test_a_line_spans_its_frame() -> None:
    """In time and in value; what is not known has no point."""
    assert points(line([0, 10, 20, 40], [5, None, 10, 0], [False] * 4)) == [(0, 50), (200, 0), (400, 100)]


def test_a_line_that_does_not_move() -> None:
    """It runs in the middle; a single point is in the middle."""
    assert points(line([0, 10], [5, 5], [False] * 2)) == [(0, 50), (400, 50)]
    assert points(line([7], [5], [False])) == [(200, 50)]


def test_marks() -> None:
    """Odd points are marked however many there are; the others only where they are few."""
    many = list(range(100))
    drawn = line(many, many, [number == 50 for number in many])
    assert 'class="dot"' not in drawn
    assert re.findall(r'd="([^"]*)" class="dot odd"', drawn) == ["M202 49h.01"]
    assert 'd="M0 100h.01M400 0h.01" class="dot"' in line([0, 1], [0, 1], [False, True])


def test_a_line_of_years_stays_small() -> None:
    """However many snapshots there are, four hundred points tell how it went; the last is one of them."""
    found = points(line(range(10_000), range(10_000), [False] * 10_000))
    assert len(found) == 401
    assert found[-1] == (400, 0)
