"""Decide which pages of one listing to ask for, and its verdict. Pure: no I/O, no clock.

A `Listing` is fed pages and failures and is asked what to fetch, as h11 is fed bytes and asked for events:

    page = listing.next_page()             # a page number, or None: wait, or it is over
    fresh = listing.receive(page, answer)  # records that were never seen before: write them
    listing.fail(page, failure)            # or it could not be had
    listing.outcome                        # not None once it is over

It takes passes (`passes`) until they prove that nothing is missing (`proof`), or `MAX_PASSES` are spent.
Costs: O(1) a record; memory is the registry's names, once.
"""

from __future__ import annotations

from itertools import repeat
from math import ceil
from typing import TYPE_CHECKING

from msgspec import Struct

from crawler.model import Verdict, VerifyMode
from crawler.passes import MAX_PAGES_BEYOND_COUNT, Failure, FailureKind, Pass
from crawler.proof import ACCEPTED_LOSS, expected_loss, one_pass_was_atomic, passes_agree, signs_of_change

if TYPE_CHECKING:
    from crawler.model import Page

MAX_PASSES = 8
"""The passes that saw a name are the bits of one small integer, which CPython shares up to 256."""
MAX_UNCLOSED_PASSES = 3
SMALLEST_PAGE_SIZE = 10
LARGEST_STRETCH = 1000
STRETCHED_PASS = 2

_LOST_FOR_GOOD = (FailureKind.LOST, FailureKind.DENIED, FailureKind.TOO_LARGE)
_SHRINK_PERCENT = (0, 3, 7, 11, 17, 23, 29, 37)


class Outcome(Struct, frozen=True):
    """How a listing ended.

    Attributes:
        verdict: what can be relied on.
        reason: why it is not plainly complete; None if it is.
        images: distinct records that were given out.
        count: the last ``count`` that the gateway gave, or None.
        pages: pages received in all passes.
        passes: passes begun.
        page_size: records a page that the gateway gives, or that were asked for if one page held all.
    """

    verdict: Verdict
    reason: str | None
    images: int
    count: int | None
    pages: int
    passes: int
    page_size: int | None


class Listing:
    """The state of one listing, from its first page to its verdict.

    Args:
        page_size: asked for at first; None leaves it to the gateway.
        verify: when to take another pass.
    """

    def __init__(self, page_size: int | None, verify: VerifyMode) -> None:
        self.outcome: Outcome | None = None
        self._page_size = page_size
        self._verify = verify
        self._seen: dict[str, int] = {}  # name to the bits of the passes that saw it
        self._passes: list[Pass] = []
        self._pages = 0
        self._count: int | None = None
        self._current = self._begin_pass(page_size)

    @property
    def accepted_page_size(self) -> int | None:
        """What the gateway did not refuse so far; the next listing may begin with it."""
        return self._page_size

    def next_page(self) -> int | None:
        """Return the number of a page to ask for now and count it as asked; None: wait, or it is over."""
        if self.outcome is not None:
            return None
        number = self._current.next_page()
        if number is not None:
            self._current.asked = number
            self._current.pending += 1
        return number

    @property
    def page_size(self) -> int | None:
        """Return the page size to ask for with the page that `next_page` returned."""
        return self._current.size

    @property
    def has_work(self) -> bool:
        """Whether `next_page` would return a page now."""
        return self.outcome is None and self._current.next_page() is not None

    def receive(self, number: int, page: Page) -> tuple[list[str], list[bytes]]:
        """Take an answer in; return names and records that no page held before, in the gateway's order."""
        current = self._current
        self._pages += 1
        if page.count is not None:
            self._count = page.count
        before = current.names
        fresh = self._sift(page)
        current.stale = 0 if current.names > before else current.stale + 1
        current.note(number, page)
        self._settle()
        return fresh

    def fail(self, number: int, failure: Failure) -> None:
        """Take in that a page could not be had, for good."""
        current = self._current
        is_of_size = failure.kind in (FailureKind.BAD_REQUEST, FailureKind.TOO_LARGE)
        if number == 1 and is_of_size and self._shrink(failure.kind):
            return
        current.fail(number, failure)
        self._settle()

    def abandon(self, reason: str) -> Outcome:
        """End the listing now, because the run ends, and return what can be said of it."""
        if self.outcome is None:
            verdict = Verdict.INCOMPLETE if self._seen else Verdict.FAILED
            self._end(verdict, reason)
        assert self.outcome is not None
        return self.outcome

    def _begin_pass(self, size: int | None) -> Pass:
        known = len(self._seen) if self._passes and self._current.has_reached_end else None
        self._current = Pass(bit=1 << len(self._passes), size=size, known=known)
        self._passes.append(self._current)
        return self._current

    def _sift(self, page: Page) -> tuple[list[str], list[bytes]]:
        """Take the page's names in; return those that no page held before, with their records."""
        if len(self._passes) == 1 and self._are_new(page.names):
            self._current.names += len(page.names)
            return page.names, page.records
        return self._sift_one_by_one(page)

    def _are_new(self, names: list[str]) -> bool:
        """Take names of the first pass in if none came before, nor twice now; else none of them."""
        seen, before = self._seen, len(self._seen)
        seen.update(zip(names, repeat(1)))
        if len(seen) == before + len(names):
            return True
        while len(seen) > before:
            seen.popitem()  # the latest first
        return False

    def _sift_one_by_one(self, page: Page) -> tuple[list[str], list[bytes]]:
        current, seen, bit = self._current, self._seen, self._current.bit
        names: list[str] = []
        records: list[bytes] = []
        for name, record in zip(page.names, page.records, strict=True):
            passes = seen.get(name, 0)
            if passes & bit:
                current.twice += 1
                continue
            seen[name] = passes | bit
            current.names += 1
            current.shared += bool(passes & (bit >> 1))
            if not passes:
                names.append(name)
                records.append(record)
        return names, records

    def _shrink(self, why: FailureKind) -> bool:
        """After a refused page size, or a page that was too large: ask for less; False if that helps no more.

        A size that is refused is halved, at last left to the gateway, and not asked of other registries any more; that
        a page is too large is this registry's own affair.
        """
        current = self._current
        if current.size is None or (why is FailureKind.TOO_LARGE and current.size == 1):
            return False
        if why is FailureKind.TOO_LARGE:
            current.size //= 2
        else:
            current.size = self._size_after_refusal(current.size)
            if len(self._passes) == 1:
                self._page_size = current.size
        current.asked = current.pending = 0
        return True

    def _size_after_refusal(self, refused: int) -> int | None:
        if len(self._passes) == 1:
            return refused // 2 if refused // 2 >= SMALLEST_PAGE_SIZE else None
        smaller = self._smaller_page_size()
        return smaller if smaller < refused else None

    def _settle(self) -> None:
        """An answer came: when it was the last of its pass, judge the pass."""
        current = self._current
        current.pending -= 1
        if current.pending or current.next_page() is not None:
            return
        if not (self._judge_failures() or self._judge_proof()):
            self._begin_pass(self._other_page_size())

    def _judge_failures(self) -> bool:
        """End the listing when pages are missing for reasons that another pass would meet again."""
        current = self._current
        first = current.failures.get(1)
        if first is not None:
            self._end(*self._verdict_without_first_page(first))
            return True
        lost = [(n, f) for n, f in current.missing() if f.kind in _LOST_FOR_GOOD]
        if lost:
            number, failure = lost[0]
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            self._end(Verdict.INCOMPLETE, f"page {number}: {failure.reason}{more}")
            return True
        return False

    def _verdict_without_first_page(self, failure: Failure) -> tuple[Verdict, str]:
        if failure.kind is FailureKind.NOT_FOUND:
            if self._seen:
                return Verdict.INCOMPLETE, f"vanished while it was listed: {failure.reason}"
            return Verdict.GONE, failure.reason
        if self._seen:
            return Verdict.INCOMPLETE, f"pass {len(self._passes)}, page 1: {failure.reason}"
        denied = failure.kind is FailureKind.DENIED
        return (Verdict.DENIED if denied else Verdict.FAILED), failure.reason

    def _judge_proof(self) -> bool:
        """End the listing when the passes so far prove enough, or when no further pass is to be taken."""
        last = self._passes[-1]
        signs = signs_of_change(self._passes, len(self._seen))
        defects = max(p.defects for p in self._passes)
        if defects:
            counted = "1 record" if defects == 1 else f"{defects} records"
            self._end(Verdict.INCOMPLETE, f"{counted} without a usable name")
        elif self._verify is VerifyMode.NEVER or (self._is_first_enough() and not signs):
            self._end_unverified(signs)
        elif self._seen and not last.names and last.is_closed:
            self._end(Verdict.INCOMPLETE, "fell empty while it was listed")
        elif self._is_proved():
            self._end_proved(signs)
        elif self._is_spent():
            why = "the listing does not close" if not last.is_closed else "kept changing"
            self._end(Verdict.INCOMPLETE, f"{why} in {len(self._passes)} passes: {'; '.join(signs)}")
        return self.outcome is not None

    def _is_first_enough(self) -> bool:
        only = len(self._passes) == 1 and self._verify is VerifyMode.AUTO
        return only and self._current.is_closed and not self._current.doubts()

    def _end_unverified(self, signs: list[str]) -> None:
        if self._current.is_closed and not signs:
            self._end(Verdict.UNVERIFIED if self._verify is VerifyMode.NEVER else Verdict.COMPLETE, None)
        else:
            self._end(Verdict.INCOMPLETE, f"changed while it was listed once: {'; '.join(signs)}")

    def _end_proved(self, signs: list[str]) -> None:
        if signs:
            self._end(Verdict.COMPLETE_WITH_DRIFT, "; ".join(signs))
        else:
            self._end(Verdict.COMPLETE, None)

    def _is_proved(self) -> bool:
        """Whether nothing that was there throughout can be missing; `proof` gives the three grounds."""
        passes = self._passes
        if one_pass_was_atomic(passes, len(self._seen)):
            return len(passes) > 1 or self._is_first_enough()
        return passes_agree(passes) or expected_loss(passes, self._seen) <= ACCEPTED_LOSS

    def _is_spent(self) -> bool:
        unclosed = sum(not p.is_closed for p in self._passes)
        endless = unclosed and self._pages > MAX_PAGES_BEYOND_COUNT
        return bool(len(self._passes) >= MAX_PASSES or unclosed >= MAX_UNCLOSED_PASSES or endless)

    def _first_page_size(self) -> int:
        first = self._passes[0]
        return first.given or first.size or 100

    def _other_page_size(self) -> int:
        """Return a page size that puts the boundaries elsewhere.

        A little smaller each pass; but the third asks for one page that holds all that is known and some more: if the
        gateway gives that much, the answer is atomic and proves the listing, whatever moves.
        """
        known = len(self._seen)
        one_page = known + known // 8 + 8
        if len(self._passes) == STRETCHED_PASS and one_page <= LARGEST_STRETCH:
            return max(one_page, self._first_page_size())
        return self._smaller_page_size()

    def _smaller_page_size(self) -> int:
        size, taken = self._first_page_size(), len(self._passes)
        smaller = size - max(taken, ceil(size * _SHRINK_PERCENT[min(taken, MAX_PASSES - 1)] / 100))
        return smaller if smaller >= 1 else size + taken

    def _end(self, verdict: Verdict, reason: str | None) -> None:
        first = self._passes[0]
        self.outcome = Outcome(
            verdict=verdict,
            reason=reason,
            images=len(self._seen),
            count=self._count,
            pages=self._pages,
            passes=len(self._passes),
            page_size=first.given or first.size,
        )
        self._seen = {}
