"""One walk over the pages of a listing: which page is next, and the facts that each answer adds. Pure.

Page 1 alone, then every page that `count` promises at once, then whatever the chain of `next` still demands. The chain
is the authority: a pass is closed when pages 1 to n all came, each names the one after it, and page n says null.
`count` only says how far to look ahead; it may be wrong, null, or count something else.
"""

from __future__ import annotations

from enum import Enum
from math import ceil
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from crawler.core.model import Page

MAX_PAGES_BY_COUNT = 100_000
"""However much `count` promises: what it says may be nonsense, and the requests are bounded all the same."""
MAX_PAGES_BEYOND_COUNT = 20_000
MAX_STALE_PAGES = 3
"""So many pages in a row without a name that is new to the pass, and still a next one: no end is to be expected."""


class FailureKind(Enum):
    """Why a page could not be had, as far as a listing cares."""

    BAD_REQUEST = "bad request"
    DENIED = "denied"
    NOT_FOUND = "not found"
    TOO_LARGE = "too large"
    TOO_HEAVY = "too heavy"
    LOST = "lost"


class Failure(Struct, frozen=True):
    """A page that is given up; ``reason`` is for people."""

    kind: FailureKind
    reason: str


class Overlap(Struct, frozen=True):
    """Which pages of the pass before held the names of a page, in its order: first and last of two parts.

    Attributes:
        head: of the part at its beginning that stands in the order of then.
        tail: likewise at its end; the same part if all of it does.
    """

    head: tuple[int, int]
    tail: tuple[int, int]
    is_ordered: bool


class Pass(Struct):
    """One walk over the pages: the facts of it, judged only when it is over, so that no order of arrival matters.

    Attributes:
        known: names that were seen before it, if the pass before it came to an end: what lies beyond, which `count` may
            promise all the same, may be answered with pages that look like change.
        uneven: pages that were not as full as the first and named a next one.
        twice: names that came twice.
        is_usual_clamp: its only page may be all that a gateway gives of more, which does not count.
        overlaps: page to the pages of the pass before that held its names, where that is known.
    """

    bit: int
    size: int | None
    known: int | None = None
    asked: int = 0
    pending: int = 0
    expected: int = 1
    demanded: int = 1
    is_past_end: bool = False
    end: int | None = None
    contiguous: int = 0
    ahead: set[int] = set()
    given: int | None = None
    counts: set[int] = set()
    stale: int = 0
    records: int = 0
    names: int = 0
    shared: int = 0
    twice: set[str] = set()
    overlaps: dict[int, Overlap] = {}
    defects: int = 0
    is_usual_clamp: bool = False
    uneven: list[int] = []
    last_filled: int = 0
    broken: str | None = None
    failures: dict[int, Failure] = {}

    def next_page(self) -> int | None:
        """Return the next page to ask for; None: wait for an answer, or there is none left."""
        if self.asked == 0:
            return 1
        if self.contiguous == 0:
            return None
        looks_ahead = self.stale < MAX_STALE_PAGES and not self.is_past_end
        last = max(self.expected, self.demanded) if looks_ahead else self.demanded
        if self.end is not None:
            last = min(last, self.end)
        return self.asked + 1 if self.asked < last else None

    def note(self, number: int, page: Page) -> None:
        """Take down what page ``number`` says of the whole listing."""
        total = len(page.names) + page.defects
        self.defects += page.defects
        self.records += total
        if page.count is not None:
            self.counts.add(page.count)
        if number == 1 and page.next is not None and total:
            self.given = total
            self.expected = self._pages_to_expect(page.count, total)
        if total:
            self.last_filled = max(self.last_filled, number)
        self._advance(number)
        self._follow(number, page.next, total)

    def _pages_to_expect(self, count: int | None, total: int) -> int:
        """Return how many pages `count` promises, but no more than take what is known once an earlier pass ended."""
        promised = count or 1 if self.known is None else min(count or 1, self.known)
        return min(ceil(promised / total), MAX_PAGES_BY_COUNT)

    def _advance(self, number: int) -> None:
        self.ahead.add(number)
        while self.contiguous + 1 in self.ahead:
            self.contiguous += 1
            self.ahead.remove(self.contiguous)

    def _follow(self, number: int, following: int | None, total: int) -> None:
        if following is None:
            self.end = number if self.end is None else min(self.end, number)
        elif following != number + 1:
            self.broken = f"page {number} names page {following} as the next"
        elif self.stale >= MAX_STALE_PAGES:
            self.broken = f"nothing new for {self.stale} pages up to page {number}, and still a next one"
        elif number >= self.expected + MAX_PAGES_BEYOND_COUNT:
            self.broken = f"page {number} still names a next one, far beyond what count says"
        else:
            self.demanded = max(self.demanded, following)
        if following is not None and total != self.given:
            self.uneven.append(number)

    def fail(self, number: int, failure: Failure) -> None:
        """Take down that page ``number`` could not be had."""
        self.failures[number] = failure
        if failure.kind in (FailureKind.NOT_FOUND, FailureKind.BAD_REQUEST):
            self.is_past_end = True

    @property
    def last(self) -> int:
        """The last page that is to be expected."""
        return max(self.expected, self.demanded) if self.end is None else self.end

    @property
    def received(self) -> int:
        """How many pages came."""
        return self.contiguous + len(self.ahead)

    @property
    def is_closed(self) -> bool:
        """The chain of ``next`` was walked to its end without a hole."""
        return self.broken is None and self.has_reached_end

    @property
    def has_reached_end(self) -> bool:
        """Every page up to one that names no other came, whatever else did."""
        return self.end is not None and self.contiguous >= self.end

    @property
    def boundaries(self) -> int | None:
        """Where its pages ended: multiples of what the gateway gave."""
        return self.given or self.size

    @property
    def is_atomic(self) -> bool:
        """One answer held the whole list."""
        return self.end == 1 and not self.twice

    @property
    def is_filled(self) -> bool:
        """Each of its pages held as much as the first one, the last one as well, and there were several."""
        return self.end is not None and self.given is not None and self.records >= self.given * self.end

    def missing(self) -> list[tuple[int, Failure]]:
        """Return the failures that left a hole: those past the end of the chain did not."""
        return [(n, f) for n, f in sorted(self.failures.items()) if self.end is None or n <= self.end]

    @property
    def is_doubted(self) -> bool:
        """The gateway counts more than it gave: no sign of change, and perhaps no count of this list at all.

        Or it does not count, and what it gave is a number that it may give no more than of any list.
        """
        return self.is_usual_clamp or any(count > self.records for count in self.counts)

    def signs(self) -> list[str]:
        """Return what shows that this pass is not to be relied on: mostly change while it read, a phrase each."""
        found = []
        if self.is_atomic and self.is_doubted and self.records == self.size:
            found.append(f"count is {max(self.counts)}, and the only page ends with its {self.records}")
        if len(self.counts) > 1:
            found.append(f"count went from {min(self.counts)} to {max(self.counts)}")
        if self.broken:
            found.append(self.broken)
        if self.end is not None and self.last_filled > self.end:
            found.append(f"page {self.last_filled} had images although page {self.end} was the last")
        found += [f"page {n} was demanded and not there ({f.reason})" for n, f in self.missing()[:3]]
        return found

    def _is_last_but_for_an_empty_one(self, number: int) -> bool:
        """Whether a page is the last that holds anything, of a list that goes on to its first empty page."""
        return number == self.last_filled and self.end == number + 1

    def oddities(self) -> list[str]:
        """Return what may be change or the gateway's way, a phrase each: another pass that has the same tells."""
        found = []
        if self.twice:
            found.append(f"{len(self.twice)} {'name' if len(self.twice) == 1 else 'names'} came twice")
        middle = [number for number in self.uneven if not self._is_last_but_for_an_empty_one(number)]
        if middle:
            found.append(f"{len(middle)} pages in the middle were not full")
        return found
