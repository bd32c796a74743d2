"""Decide which pages of one listing to ask for, what each page proves, and the verdict. Pure: no I/O, no clock.

A `Listing` is fed pages and failures and is asked what to fetch, as h11 is fed bytes and asked for events:

    page = listing.next_page()             # a page number, or None: wait, or it is over
    fresh = listing.receive(page, answer)  # records that were never seen before: write them
    listing.fail(page, failure)            # or it could not be had
    listing.outcome                        # not None once it is over

One pass: page 1 alone, then every page that `count` promises at once, then whatever the chain of `next` still
demands. The chain is the authority: a pass is closed when pages 1 to n all came, each names the one after it, and
page n says null. `count` only says how far to look ahead; it may be wrong, null, or count something else.

What a pass can prove (an argument, and `tests/test_listing.py` runs it against a changing registry):

- A pass of one page is a snapshot by itself: nothing that was there can be missing.
- An image that was there throughout can hide from a pass of several pages only because others moved over a page
  boundary while it was read. A move that is no insertion and no deletion brings some name twice. So two closed
  passes with other boundaries that hold the same names, none of them twice, miss nothing.
- On a registry that never stands still no two passes agree. Each pass then misses some share of what is known; with
  other boundaries each time the misses are as good as independent, and passes go on until the expected number of
  images that all of them missed is below `ACCEPTED_LOSS`, or `MAX_PASSES` are spent: then it is incomplete. Some
  images may be missed more often than others, those that are pushed all day for one: what passes miss twice shows it.

Costs: O(1) a record; memory is the registry's names, once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from math import ceil, comb, inf, prod
from typing import TYPE_CHECKING

from crawler.model import Verdict, VerifyMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.model import Page

MAX_PASSES = 8
"""The passes that saw a name are the bits of one small integer, which CPython shares up to 256."""
MAX_UNCLOSED_PASSES = 3
ACCEPTED_LOSS = 1e-6
FEWEST_PASSES_TO_ESTIMATE = 5
"""Before that nothing shows whether some images are missed more often than others."""
FEWEST_BOUNDARIES_TO_ESTIMATE = 4
PASSES_TO_AGREE_UNMOVED = 5
"""A gateway that gives the same pages whatever size is asked for could hide the same image from two passes."""
MAX_PAGES_BY_COUNT = 100_000
"""However much `count` promises: what it says may be nonsense, and the requests are bounded all the same."""
MAX_PAGES_BEYOND_COUNT = 20_000
MAX_STALE_PAGES = 3
"""So many pages in a row without a name that is new to the pass, and still a next one: no end is to be expected."""
SMALLEST_PAGE_SIZE = 10

LARGEST_STRETCH = 1000
STRETCHED_PASS = 2

_SHRINK_PERCENT = (0, 3, 7, 11, 17, 23, 29, 37)


class FailureKind(Enum):
    """Why a page could not be had, as far as a listing cares."""

    BAD_REQUEST = "bad request"
    DENIED = "denied"
    NOT_FOUND = "not found"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that is given up; ``reason`` is for people."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
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


@dataclass(slots=True)
class _Pass:
    """One walk over the pages: the facts of it, judged only when it is over, so that no order of arrival matters."""

    bit: int
    size: int | None
    asked: int = 0
    pending: int = 0
    expected: int = 1
    demanded: int = 1
    past_end: int | None = None
    end: int | None = None
    contiguous: int = 0
    ahead: set[int] = field(default_factory=set)
    given: int | None = None
    counts: set[int] = field(default_factory=set)
    stale: int = 0
    records: int = 0
    names: int = 0
    shared: int = 0
    twice: int = 0
    defects: int = 0
    irregular: int = 0
    last_filled: int = 0
    first_empty: int | None = None
    broken: str | None = None
    failures: dict[int, Failure] = field(default_factory=dict)

    def next_page(self) -> int | None:
        """Return the next page to ask for; None: wait for an answer, or there is none left."""
        if self.asked == 0:
            return 1
        if self.contiguous == 0:
            return None
        last = self.demanded if self.stale >= MAX_STALE_PAGES else max(self.expected, self.demanded)
        if self.end is not None:
            last = min(last, self.end)
        if self.past_end is not None:
            last = min(last, max(self.demanded, self.past_end - 1))
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
            self.expected = min(ceil(page.count / total), MAX_PAGES_BY_COUNT) if page.count else 1
        if total:
            self.last_filled = max(self.last_filled, number)
        elif number > 1:
            self.first_empty = min(number, self.first_empty or number)
        self._advance(number)
        self._follow(number, page.next, total)

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
            self.irregular += 1

    def fail(self, number: int, failure: Failure) -> None:
        """Take down that page ``number`` could not be had."""
        self.failures[number] = failure
        if failure.kind in (FailureKind.NOT_FOUND, FailureKind.BAD_REQUEST):
            self.past_end = number if self.past_end is None else min(self.past_end, number)

    @property
    def is_closed(self) -> bool:
        """The chain of ``next`` was walked to its end without a hole."""
        return self.broken is None and self.end is not None and self.contiguous >= self.end

    @property
    def boundaries(self) -> int | None:
        """Where its pages ended: multiples of what the gateway gave."""
        return self.given or self.size

    @property
    def is_atomic(self) -> bool:
        """One answer held the whole list."""
        return self.is_closed and self.end == 1 and self.last_filled <= 1 and not self.twice

    def missing(self) -> list[tuple[int, Failure]]:
        """Return the failures that left a hole: those past the end of the chain did not."""
        return [(n, f) for n, f in sorted(self.failures.items()) if self.end is None or n <= self.end]

    def signs(self) -> list[str]:
        """Return what shows that the registry changed while this pass read it, a phrase each."""
        found = []
        if self.twice:
            found.append(f"{self.twice} {'name' if self.twice == 1 else 'names'} came twice")
        if len(self.counts) > 1:
            found.append(f"count went from {min(self.counts)} to {max(self.counts)}")
        if self.broken:
            found.append(self.broken)
        if self.irregular:
            found.append(f"{self.irregular} pages in the middle were not full")
        if self.end is not None and self.last_filled > self.end:
            found.append(f"page {self.last_filled} had images although page {self.end} was the last")
        found += [f"page {n} was demanded and not there ({f.reason})" for n, f in self.missing()[:3] if n > 1]
        return found

    def doubts(self) -> bool:
        """Whether a closed pass is odd, which proves no change: worth a second look, and forgiven if that agrees."""
        assert self.end is not None
        if self.is_atomic:
            cut_off = not self.records or self.records == self.size
            return cut_off and any(count > self.records for count in self.counts)
        ends_empty = self.first_empty is not None and self.first_empty <= self.end
        off = any(ceil(c / (self.given or 1)) == self.end and c != self.records for c in self.counts)
        return ends_empty or off


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
        self._seen: dict[str, int] = {}
        self._passes: list[_Pass] = []
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
        if number == 1 and failure.kind is FailureKind.BAD_REQUEST and self._shrink():
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

    def _begin_pass(self, size: int | None) -> _Pass:
        self._current = _Pass(bit=1 << len(self._passes), size=size)
        self._passes.append(self._current)
        return self._current

    def _sift(self, page: Page) -> tuple[list[str], list[bytes]]:
        """Mark the page's names as seen in this pass; return those that no pass saw before, with their records."""
        current, seen, bit = self._current, self._seen, self._current.bit
        if bit == 1 and seen.keys().isdisjoint(page.names) and len(set(page.names)) == len(page.names):
            seen.update(dict.fromkeys(page.names, bit))
            current.names += len(page.names)
            return page.names, page.records
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

    def _shrink(self) -> bool:
        """After a refused page size: ask for half of it, at last for none; False if that was tried."""
        current = self._current
        if current.size is None:
            return False
        half = current.size // 2
        if len(self._passes) > 1:
            smaller = self._smaller_page_size()
            current.size = smaller if smaller < current.size else None
        else:
            current.size = half if half >= SMALLEST_PAGE_SIZE else None
        current.asked = current.pending = 0
        if len(self._passes) == 1:
            self._page_size = current.size
        return True

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
        lost = [(n, f) for n, f in current.missing() if f.kind in (FailureKind.LOST, FailureKind.DENIED)]
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
        signs = self._signs()
        defects = max(p.defects for p in self._passes)
        if defects:
            self._end(Verdict.INCOMPLETE, f"{defects} records without a usable name")
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
            self._end(Verdict.COMPLETE, None)
        else:
            self._end(Verdict.INCOMPLETE, f"changed while it was listed once: {'; '.join(signs)}")

    def _end_proved(self, signs: list[str]) -> None:
        if signs:
            self._end(Verdict.COMPLETE_WITH_DRIFT, "; ".join(signs))
        else:
            self._end(Verdict.COMPLETE, None)

    def _is_proved(self) -> bool:
        """Whether nothing that was there throughout can be missing; see the module's text for the three grounds."""
        passes = self._passes
        if any(p.is_atomic and not p.doubts() and (p.records or not self._seen) for p in passes):
            return len(passes) > 1 or self._is_first_enough()
        return self._do_passes_agree() or self._expected_loss() <= ACCEPTED_LOSS

    def _expected_loss(self) -> float:
        """Estimate how many images all closed passes missed; infinity while there are too few passes to tell."""
        closed = [p for p in self._passes if p.is_closed]
        boundaries = {p.boundaries for p in closed}
        if len(closed) < FEWEST_PASSES_TO_ESTIMATE or len(boundaries) < FEWEST_BOUNDARIES_TO_ESTIMATE:
            return inf
        known = len(self._seen)
        alike = known * prod((known - p.names + 1) / (known + 1) for p in closed)
        return max(alike, _loss_of_unlike(Counter(self._seen.values()), [p.bit for p in closed]))

    def _do_passes_agree(self) -> bool:
        """Whether the last passes hold the same names: two with other boundaries, or five if those cannot be moved."""
        after = self._passes[-1]
        boundaries = {after.boundaries}
        for agreeing, before in enumerate(reversed(self._passes[:-1]), start=2):
            clean = all(p.is_closed and not p.signs() for p in (before, after))
            if not (clean and before.names == after.names == after.shared):
                return False
            boundaries.add(before.boundaries)
            if len(boundaries) > 1 or agreeing == PASSES_TO_AGREE_UNMOVED:
                return True
            after = before
        return False

    def _is_spent(self) -> bool:
        unclosed = sum(not p.is_closed for p in self._passes)
        endless = unclosed and self._pages > MAX_PAGES_BEYOND_COUNT
        return bool(len(self._passes) >= MAX_PASSES or unclosed >= MAX_UNCLOSED_PASSES or endless)

    def _signs(self) -> list[str]:
        """Return every sign of change, within the passes and between them, each phrase once."""
        found = [sign for p in self._passes for sign in p.signs()]
        counts = {min(p.counts) for p in self._passes if p.counts}
        if len(counts) > 1:
            found.append(f"count went from {min(counts)} to {max(counts)} between passes")
        known = len(self._seen)
        if any(p.names != known for p in self._passes if p.is_closed):
            fewest = min(p.names for p in self._passes)
            found.append(f"a pass held {fewest} of {known} names")
        return list(dict.fromkeys(found))

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


def _loss_of_unlike(held_by: Mapping[int, int], bits: list[int]) -> float:
    """Estimate how many names all passes missed when some names are missed more often than others.

    Taken from the names that were surely there: a pass between two that held them missed them. What they miss twice
    beyond chance is the square of the coefficient of variation of the chance to be missed; with that chance spread as
    a gamma distribution the expectation has a closed form.

    Args:
        held_by: how many names were held by just the passes in each set of bits.
        bits: one a pass, in order.
    """
    total = sum(held_by.values())
    passes = len(bits)
    pairs = comb(passes, 2)
    once = twice = 0
    for held, names in held_by.items():
        missed = "".join("-" if held & bit else "m" for bit in bits)
        if missed.strip("m").count("m") or (missed.startswith("m") and missed.endswith("m")):
            misses = missed.count("m")
            once += names * misses
            twice += names * comb(misses, 2)
    mean = once / (total * (passes - 2))
    square = twice / (total * (pairs - 2))
    if not twice:
        return 0.0
    unlike = max(square / mean**2 - 1, 0.0)
    return total * mean**passes * prod(1 + n * unlike for n in range(1, passes))
