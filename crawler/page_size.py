"""The largest page that a region gives of one kind of list, learned from what it refuses or cannot do. Pure.

One request a page and a list of one page that proves itself: the largest page is the cheapest inventory. Nobody
documents how large it is, so the first listing of a kind finds out while the others of its kind wait, and nobody tries
a larger one again in that run. A gateway that gives less than was asked for is left as it is: that costs nothing.
"""

from __future__ import annotations

LARGEST = 1000
"""What `auto` asks for at first: version 3 of the API documents it as its limit, version 2 documents none."""
USUAL_LIMITS = (300, 100, 50, 30, 20, 10)
"""What is asked for after a refusal: limits that gateways have, few enough that to find one costs five requests."""
SMALL = 100
"""A page of so many that fails is not to blame for its size."""


class PageSize:
    """What to ask for in one region, for one kind of list.

    Attributes:
        ask: records a page; None leaves it to the gateway.
        is_known: a page of that size was given.
        is_limit: a larger one was refused.
    """

    def __init__(self, ask: int | None, sibling: PageSize | None = None) -> None:
        self.ask = ask
        self.is_known = False
        self.is_limit = False
        self._sibling = sibling

    def after_refusal(self, refused: int) -> int | None:
        """Return the size to try when ``refused`` was: what another kind of list came to, or the next usual limit."""
        found = [self.ask, self._sibling.ask if self._sibling is not None and self._sibling.is_limit else None]
        smaller = [size for size in found if size is not None and size < refused]
        return max(smaller, default=next((limit for limit in USUAL_LIMITS if limit < refused), None))

    def after_failure(self, failed: int) -> int:
        """Return the size to try when a page of ``failed`` was more than the gateway can do."""
        return self.ask if self.ask is not None and self.ask < failed else failed // 2

    def given(self, size: int | None, *, refused: bool = False, is_full: bool = False) -> None:
        """Take in that a first page of ``size`` was given, perhaps after larger ones were refused or had failed.

        That a smaller one was given after a larger one failed may be chance: it counts where none as large was ever
        given, or where the page is full, so that the larger one would have held more.
        """
        if size != self.ask:
            may_learn = refused or is_full or not self.is_known
            is_smaller = self.ask is not None and (size is None or size < self.ask)
            if not (may_learn and is_smaller):
                return
            self.ask = size
            self.is_limit = refused
        self.is_known = True
