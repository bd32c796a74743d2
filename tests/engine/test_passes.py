"""One pass by itself: what of it is odd, and what is the way in which its gateway ends a list."""

from __future__ import annotations

import pytest

from crawler.core.model import Page
from crawler.engine.passes import Pass


def taken(*sizes: int) -> Pass:
    """Return a pass that took in pages of so many names; each but the last names the one after it."""
    one, last = Pass(bit=1, size=100), len(sizes)
    for number, size in enumerate(sizes, 1):
        names = [f"{number}/{place}" for place in range(size)]
        one.note(
            number, Page(count=None, next=number + 1 if number < last else None, names=names, records=[b""] * size)
        )
    return one


@pytest.mark.parametrize(
    ("sizes", "uneven"),
    [
        ((10, 10, 4), 0),
        ((10, 10, 4, 0), 0),  # some gateways go on to the first empty page
        ((10, 10, 4, 0, 0), 2),
        ((10, 4, 10), 1),
        ((10, 4, 10, 0), 1),
        ((10, 0, 4), 1),
        ((10, 12, 10), 1),
    ],
)
def test_pages_that_are_not_full(sizes: tuple[int, ...], uneven: int) -> None:
    """The last page need not be full, nor one that only an empty one follows; any other is odd."""
    assert taken(*sizes).oddities() == ([f"{uneven} pages in the middle were not full"] if uneven else [])
