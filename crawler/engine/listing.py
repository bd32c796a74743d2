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

from typing import TYPE_CHECKING

from crawler.core.model import Outcome, Verdict, VerifyMode
from crawler.engine.page_size import SMALL, PageSize, is_full, may_be_clamped, other_size
from crawler.engine.passes import MAX_PAGES_BEYOND_COUNT, Failure, FailureKind, Pass
from crawler.engine.proof import (
    ACCEPTED_LOSS,
    FEWEST_PASSES_TO_ESTIMATE,
    ends_at_a_page,
    expected_loss,
    one_answer_proves,
    one_pass_was_atomic,
    passes_agree,
    passes_overlap,
    signs_of_change,
)
from crawler.engine.sightings import Sightings

if TYPE_CHECKING:
    from crawler.core.model import Page

MAX_PASSES = 8
"""The passes that saw a name are the lowest bits of one small integer."""
MAX_UNCLOSED_PASSES = 3

_OF_SIZE = (FailureKind.BAD_REQUEST, FailureKind.TOO_LARGE, FailureKind.TOO_HEAVY)
_LOST_FOR_GOOD = (FailureKind.LOST, FailureKind.DENIED, FailureKind.TOO_LARGE, FailureKind.TOO_HEAVY)


class Listing:
    """The state of one listing, from its first page to its verdict.

    Args:
        size: what its first page is asked for with; learns from it.
        verify: when to take another pass.
    """

    def __init__(self, size: PageSize, verify: VerifyMode) -> None:
        self.outcome: Outcome | None = None
        self.size = size
        self._verify = verify
        self._seen = Sightings()
        self._passes: list[Pass] = []
        self._pages = 0
        self._count: int | None = None
        self._was_refused = False
        self._current = self._begin_pass(size.ask)

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
    def passes(self) -> int:
        """How many were begun."""
        return len(self._passes)

    @property
    def pages(self) -> int:
        """How many have come, in all passes."""
        return self._pages

    @property
    def pages_left(self) -> int | None:
        """How many are still to come, as far as the gateway has told, with a second pass; None before the first."""
        if not self._pages:
            return None
        current = self._current
        is_looked_at_again = len(self._passes) == 1 and current.last > 1 and self._verify is not VerifyMode.NEVER
        return max(0, current.last - current.received) + (current.last if is_looked_at_again else 0)

    @property
    def has_work(self) -> bool:
        """Whether `next_page` would return a page now."""
        return self.outcome is None and self._current.next_page() is not None

    @property
    def may_ask_for_less(self) -> bool:
        """Whether a first page that keeps failing may be to blame for its size: large, and none as large was given."""
        size, taken = self._current.size, len(self._passes)
        return taken == 1 and size is not None and size > SMALL and self._current.contiguous == 0

    def receive(self, number: int, page: Page) -> tuple[list[str], list[bytes]]:
        """Take an answer in; return names and records that no page held before, in the gateway's order."""
        current = self._current
        self._pages += 1
        if page.count is not None:
            self._count = page.count
        if number == 1 and len(self._passes) == 1:
            self.size.given(current.size, refused=self._was_refused, is_full=is_full(page, current.size))
        if number == 1 and self._verify is not VerifyMode.NEVER:
            current.is_usual_clamp = may_be_clamped(page, current.size, most=self.size.most)
        self.size.most = max(self.size.most, len(page.names))
        if number == 1 and self._verify is not VerifyMode.ALWAYS and one_answer_proves(page, self._passes):
            verdict = Verdict.COMPLETE if self._verify is VerifyMode.AUTO else Verdict.UNVERIFIED
            self._end(verdict, None, records=len(page.names))
            return page.names, page.records
        before = current.names
        fresh = self._sift(number, page)
        current.stale = 0 if current.names > before else current.stale + 1
        current.note(number, page)
        self._settle()
        return fresh

    def fail(self, number: int, failure: Failure) -> None:
        """Take in that a page could not be had, for good."""
        current = self._current
        if number == 1 and failure.kind in _OF_SIZE and self._ask_for_less(failure.kind):
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

    def _sift(self, number: int, page: Page) -> tuple[list[str], list[bytes]]:
        """Take the page's names in; return those that no page held before, with their records."""
        new = self._seen.take(page.names, into=self._current, page=number)
        if new is None:
            return page.names, page.records
        return [page.names[place] for place in new], [page.records[place] for place in new]

    def _ask_for_less(self, why: FailureKind) -> bool:
        """After a page size that was refused, too large or too much, ask for less; False if that helps no more."""
        current = self._current
        smaller = self._smaller_than(current.size, why)
        if smaller is None and (current.size is None or why is not FailureKind.BAD_REQUEST):
            return False
        self._was_refused = self._was_refused or why is FailureKind.BAD_REQUEST
        current.size, current.asked, current.pending = smaller, 0, 0
        return True

    def _smaller_than(self, size: int | None, why: FailureKind) -> int | None:
        if size is None:
            return None
        if why is not FailureKind.BAD_REQUEST:
            return self.size.after_failure(size) or None
        if len(self._passes) == 1:
            return self.size.after_refusal(size)
        smaller = self._other_page_size()
        return smaller if smaller < size else None

    def _settle(self) -> None:
        """An answer came: when it was the last of its pass, judge the pass."""
        current = self._current
        current.pending -= 1
        if current.pending or current.next_page() is not None:
            return
        if not (self._judge_failures() or self._judge_proof()):
            self._begin_pass(self._next_size())

    def _judge_failures(self) -> bool:
        """End the listing when pages are missing for reasons that another pass would meet again."""
        current = self._current
        first = current.failures.get(1)
        if first is not None:
            self._end(*self._verdict_without_first_page(first))
            return True
        lost = [(n, f) for n, f in current.missing() if f.kind in _LOST_FOR_GOOD]
        if lost and not self._may_halve(lost):
            number, failure = lost[0]
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            self._end(Verdict.INCOMPLETE, f"page {number}: {failure.reason}{more}")
            return True
        return False

    def _may_halve(self, lost: list[tuple[int, Failure]]) -> bool:
        """Whether pages were lost that may have been too large, so that another pass may fetch them in halves."""
        is_of_size = all(failure.kind in _OF_SIZE for _, failure in lost)
        return is_of_size and (self._current.boundaries or 0) > 1

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
        elif self._verify is VerifyMode.NEVER:
            self._end_unverified(signs)
        elif self._seen and not last.names and last.is_closed:
            self._end(Verdict.INCOMPLETE, "fell empty while it was listed")
        elif self._is_proved():
            self._end(Verdict.COMPLETE_WITH_DRIFT if signs else Verdict.COMPLETE, "; ".join(signs) or None)
        elif self._is_spent():
            why = "the listing does not close" if not last.is_closed else "kept changing"
            self._end(Verdict.INCOMPLETE, f"{why} in {len(self._passes)} passes: {'; '.join(signs)}")
        return self.outcome is not None

    def _end_unverified(self, signs: list[str]) -> None:
        current = self._current
        if current.is_closed and not signs:
            doubt = f"count is {self._count}, and {len(self._seen)} came"
            self._end(Verdict.UNVERIFIED, doubt if current.is_doubted else None)
        else:
            self._end(Verdict.INCOMPLETE, f"changed while it was listed once: {'; '.join(signs)}")

    def _is_proved(self) -> bool:
        """Whether nothing that was there throughout can be missing; `proof` gives the grounds."""
        passes, known = self._passes, len(self._seen)
        if one_pass_was_atomic(passes, known):
            return len(passes) > 1 or self._verify is VerifyMode.AUTO
        if passes_agree(passes):
            return True
        if ends_at_a_page(passes):
            return False
        if passes_overlap(passes, known):
            return True
        may_tell = len(passes) >= FEWEST_PASSES_TO_ESTIMATE
        return may_tell and expected_loss(passes, self._seen.held_by()) <= ACCEPTED_LOSS

    def _is_spent(self) -> bool:
        unclosed = sum(not p.is_closed for p in self._passes)
        endless = unclosed and self._pages > MAX_PAGES_BEYOND_COUNT
        return bool(len(self._passes) >= MAX_PASSES or unclosed >= MAX_UNCLOSED_PASSES or endless)

    def _next_size(self) -> int:
        """Return the page size of the next pass: half where pages were lost as too large, else another one."""
        current = self._current
        lost = any(failure.kind in _OF_SIZE for _, failure in current.missing())
        return max((current.boundaries or 2) // 2, 1) if lost else self._other_page_size()

    def _other_page_size(self) -> int:
        """Return a page size that puts the boundaries elsewhere, for as few pages more as can be.

        A pass of one page that is doubted is asked for in two: a gateway that gives less than it has, and says that
        this is all, has to go on then. One record cannot be: a page of two that is not full shows as much.
        """
        current, known = self._current, len(self._seen)
        if current.is_atomic and current.is_doubted:
            return max(current.records - max(current.records // 8, 1), 1) if current.records != 1 else 2
        boundaries = [p.boundaries or SMALL for p in self._passes]
        return other_size(boundaries, known=known)

    def _end(self, verdict: Verdict, reason: str | None, *, records: int | None = None) -> None:
        first = self._passes[0]
        self.outcome = Outcome(
            verdict=verdict,
            reason=reason,
            records=len(self._seen) if records is None else records,
            count=self._count,
            pages=self._pages,
            passes=len(self._passes),
            page_size=first.given or first.size,
        )
        self._seen.forget()
