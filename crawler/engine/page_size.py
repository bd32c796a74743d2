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

    from crawler.core.collection import Collection
    from crawler.core.model import Page

LARGEST = 1000
"""What `auto` asks for at first: version 3 of the API documents it as its limit, version 2 documents none."""
USUAL_LIMITS = (300, 100, 50, 30, 20, 10)
"""What is asked for after a refusal: limits that gateways have, few enough that to find one costs five requests."""
SMALL = 100
"""A page of so many that fails is not to blame for its size."""
USUAL_CLAMPS = frozenset({20, 25, 30, 50, 100, 200, 250, 300, 500})
"""What gateways may give at most, whatever they are asked for."""
TINY = 20
"""A limit as small as this is taken to hold for all kinds of lists: to find it has cost enough."""


class PageSize:
    """What to ask for in one region, for one kind of list.

    Attributes:
        is_known: a page of that size was given.
        is_proved: and one that held as much as the gateway gives.
        limit: what was given after a larger one was refused; None if none was.
        reduced: what was given after a larger one had failed; None if none had.
        most: records that a page held at most.
    """

    def __init__(self, ask: int | None, sibling: PageSize | None = None) -> None:
        self._ask = ask
        self.is_known = self.is_proved = False
        self.limit: int | None = None
        self.reduced: int | None = None
        self.most = 0
        self._sibling = sibling

    @property
    def ask(self) -> int | None:
        """Records a page to ask for; None leaves it to the gateway."""
        return self._limit_elsewhere if not self.is_known and self._is_like_the_others else self._ask

    @property
    def is_a_risk(self) -> bool:
        """Whether a page of so many may still be more than the gateway can do: those so far held less."""
        return not self.is_proved and self.ask is not None and self.ask > SMALL

    @property
    def has_failed_elsewhere(self) -> bool:
        """Whether pages of another kind of list were too much for the gateway."""
        return self._reduced_elsewhere is not None

    @property
    def _is_like_the_others(self) -> bool:
        """Whether the limit of other kinds is taken for this one's: it is tiny, or two kinds have it."""
        elsewhere, sibling = self._limit_elsewhere, self._sibling
        if elsewhere is None or sibling is None:
            return False
        return elsewhere <= TINY or sibling.limit == sibling._limit_elsewhere  # noqa: SLF001 - one of us

    @property
    def _limit_elsewhere(self) -> int | None:
        sibling = self._sibling
        return None if sibling is None else sibling.limit or sibling._limit_elsewhere  # noqa: SLF001 - one of us

    @property
    def _reduced_elsewhere(self) -> int | None:
        sibling = self._sibling
        return None if sibling is None else sibling.reduced or sibling._reduced_elsewhere  # noqa: SLF001 - one of us

    def after_refusal(self, refused: int) -> int | None:
        """Return the size to try when ``refused`` was: what another kind of list came to, or the next usual limit."""
        smaller = [size for size in (self.ask, self._limit_elsewhere) if size is not None and size < refused]
        return max(smaller, default=next((limit for limit in USUAL_LIMITS if limit < refused), None))

    def after_failure(self, failed: int) -> int:
        """Return the size to try when a page of ``failed`` was too much: what others came to, or half; 0 if none is."""
        smaller = [size for size in (self.ask, self._reduced_elsewhere) if size is not None and size < failed]
        half = failed // 2
        return max(smaller, default=half if failed <= SMALL else max(half, SMALL))

    def given(self, size: int | None, *, refused: bool = False, is_full: bool = False) -> None:
        """Take in that a first page of ``size`` was given, perhaps after larger ones were refused or had failed.

        That a smaller one was given after a larger one failed may be chance: it counts where none as large was ever
        given, or where the page is full, so that the larger one would have held more.
        """
        is_smaller = self.ask is not None and (size is None or size < self.ask)
        if size == self.ask or (is_smaller and (refused or is_full or not self.is_known)):
            self.is_proved = is_full or (self.is_proved and not is_smaller)
            self.limit = size if refused else self.limit
            self.reduced = size if is_smaller and not refused else self.reduced
            self._ask, self.is_known = size, True


def page_sizes(ask: int, level: Collection) -> dict[Collection, PageSize]:
    """Return what is known of a region's page sizes, for each kind of list; each may learn from those above it."""
    sizes: dict[Collection, PageSize] = {}
    for collection in level.lineage:
        sizes[collection] = PageSize(ask, sizes[collection.parent] if collection.parent else None)
    return sizes


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


def is_full(page: Page, size: int | None) -> bool:
    """Whether a page holds as much as was asked for, or as the gateway gives: there is more, and it says so."""
    return page.next is not None and (len(page.names) == size or (page.count or 0) > len(page.names))


def may_be_clamped(page: Page, size: int | None, *, most: int) -> bool:
    """Whether an only page holds less than was asked for, and perhaps as much as the gateway gives of any list.

    One that clamps a page and takes the next one's number from what was asked for says that a list ends there. A count
    shows it; where there is none, a larger page of another list shows that it does not clamp so.
    """
    held = len(page.names)
    is_clamped = size is not None and most <= held < size and held in USUAL_CLAMPS
    return is_clamped and page.next is None and page.count is None
