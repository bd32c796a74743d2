"""The largest page that a region gives of one kind of list, learned from what it refuses or cannot do. Pure.

One request a page and a list of one page that proves itself: the largest page is the cheapest inventory. Nobody
documents how large it is, so the first listing of a kind finds out while the others of its kind wait, and nobody tries
a larger one again in that run. A gateway that gives less than was asked for is left as it is: that costs nothing.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 1000
"""What `auto` asks for at first: version 3 of the API documents it as its limit, version 2 documents none."""
USUAL_LIMITS = (300, 100, 50, 30, 20, 10)
"""What is asked for after a refusal: limits that gateways have, few enough that to find one costs five requests."""
SMALL = 100
"""A page of so many that fails is not to blame for its size."""
TINY = 20
"""A limit as small as this is taken to hold for all kinds of lists: to find it has cost enough."""


class PageSize:
    """What to ask for in one region, for one kind of list.

    Attributes:
        is_known: a page of that size was given.
        limit: what was given after a larger one was refused; None if none was.
    """

    def __init__(self, ask: int | None, sibling: PageSize | None = None) -> None:
        self._ask = ask
        self.is_known = False
        self.limit: int | None = None
        self._sibling = sibling

    @property
    def ask(self) -> int | None:
        """Records a page to ask for; None leaves it to the gateway."""
        elsewhere = self._limit_elsewhere
        return elsewhere if elsewhere is not None and elsewhere <= TINY and not self.is_known else self._ask

    @property
    def _limit_elsewhere(self) -> int | None:
        return None if self._sibling is None else self._sibling.limit

    def after_refusal(self, refused: int) -> int | None:
        """Return the size to try when ``refused`` was: what another kind of list came to, or the next usual limit."""
        smaller = [size for size in (self.ask, self._limit_elsewhere) if size is not None and size < refused]
        return max(smaller, default=next((limit for limit in USUAL_LIMITS if limit < refused), None))

    def after_failure(self, failed: int) -> int:
        """Return the size to try when a page of ``failed`` was more than the gateway can do."""
        return self.ask if self.ask is not None and self.ask < failed else max(failed // 2, min(failed - 1, SMALL))

    def given(self, size: int | None, *, refused: bool = False, is_full: bool = False) -> None:
        """Take in that a first page of ``size`` was given, perhaps after larger ones were refused or had failed.

        That a smaller one was given after a larger one failed may be chance: it counts where none as large was ever
        given, or where the page is full, so that the larger one would have held more.
        """
        is_smaller = self.ask is not None and (size is None or size < self.ask)
        if size == self.ask or (is_smaller and (refused or is_full or not self.is_known)):
            self._ask, self.is_known = size, True
            self.limit = size if refused else self.limit


def other_size(taken: Sequence[int], *, known: int) -> int:
    """Return a page size that puts boundaries elsewhere, for one page more than the last one at most.

    Args:
        taken: the sizes of the passes so far.
        known: how many records there are, as far as is known.
    """
    first, smallest = taken[0], min(taken)
    even = ceil(known / (ceil(known / first) + len(taken) - 1)) if known > first else first
    smaller = min(even, smallest - 1)
    return smaller if smaller >= 1 else first + len(taken)
