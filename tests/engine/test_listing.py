"""A listing ends whatever a gateway answers, and what it calls whole misses nothing: rule by rule, then by simulation.

`test_nothing_that_was_there_throughout_is_missing` is the proof of the module's argument: a thousand seeded runs
against a registry that changes while it is read, not one loss.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count as counted
from math import ceil, exp, inf, lgamma, prod
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.changing_registry import ChangingRegistry, crawl

from crawler.core.model import Outcome, Page, Verdict, VerifyMode
from crawler.engine.listing import MAX_PASSES, Listing
from crawler.engine.page_size import PageSize
from crawler.engine.passes import (
    MAX_PAGES_BEYOND_COUNT,
    MAX_PAGES_BY_COUNT,
    MAX_STALE_PAGES,
    Failure,
    FailureKind,
    Pass,
)
from crawler.engine.proof import (
    ACCEPTED_LOSS,
    FEWEST_PASSES_TO_ESTIMATE,
    _loss_of_unlike,
    expected_loss,
    one_answer_proves,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Gateway = Callable[[int, int | None], Page | Failure]

AUTO, ALWAYS, NEVER = VerifyMode.AUTO, VerifyMode.ALWAYS, VerifyMode.NEVER
UNTRACED = pytest.mark.no_cover  # tracing would make the thousands of runs four times slower, and shows nothing new
EVERY_MODE = pytest.mark.parametrize("verify", list(VerifyMode))
LOST = Failure(FailureKind.LOST, "timed out (10 tries)")
LOST_BY_SIZE = Failure(FailureKind.TOO_LARGE, "the body is larger than 8388608 bytes")
DENIED = Failure(FailureKind.DENIED, "401/210 Permission Denied")
NOT_FOUND = Failure(FailureKind.NOT_FOUND, "404/300 Not Found Exception")
REFUSED = Failure(FailureKind.BAD_REQUEST, "400/100 Bad Request Exception")


def image(number: int) -> str:
    """Return the name of an image."""
    return f"image-{number:06}"


def good(verify: VerifyMode) -> Verdict:
    """Return how a listing ends that nothing is amiss with."""
    return Verdict.UNVERIFIED if verify is NEVER else Verdict.COMPLETE


def page(names: Sequence[str], following: int | None = None, count: int | None = None, defects: int = 0) -> Page:
    """Return a page of these names."""
    return Page(count=count, next=following, names=list(names), records=[n.encode() for n in names], defects=defects)


@dataclass
class Shelf:
    """A gateway whose registry never changes.

    Attributes:
        images: how many there are.
        says: what it gives as `count`; None means null.
        largest: page sizes above are clamped.
        fixed: the only page size it gives, whatever is asked for.
        refused_above: page sizes above are refused.
        past_end: what a page past the end answers; None means an empty page.
        instead: answers that take the place of its own, by page number.
    """

    images: int
    says: int | None = None
    largest: int = 1000
    fixed: int | None = None
    refused_above: int = 10_000
    past_end: Failure | None = None
    instead: dict[int, Page | Failure] = field(default_factory=dict)

    def __call__(self, number: int, size: int | None) -> Page | Failure:
        """Answer a request."""
        if size is not None and size > self.refused_above:
            return REFUSED
        if number in self.instead:
            return self.instead[number]
        size = self.fixed or min(size or 20, self.largest)
        names = [image(n) for n in range((number - 1) * size, min(number * size, self.images))]
        if not names and number > 1 and self.past_end is not None:
            return self.past_end
        return page(names, number + 1 if number * size < self.images else None, self.says)


@dataclass
class Run:
    """What a listing asked for, gave out and came to."""

    outcome: Outcome
    written: list[str]
    asked: list[tuple[int, int | None]]

    @property
    def verdict(self) -> Verdict:
        """The outcome's."""
        return self.outcome.verdict

    @property
    def reason(self) -> str:
        """The outcome's, for people."""
        return self.outcome.reason or ""


def run(
    gateway: Gateway,
    verify: VerifyMode = AUTO,
    *,
    page_size: int | None = 100,
    in_flight: int = 8,
    arrivals: random.Random | None = None,
    at_most: int = 200,
) -> Run:
    """List what ``gateway`` serves; fail if that takes more than ``at_most`` requests."""
    listing = Listing(PageSize(page_size), verify)
    asked: list[tuple[int, int | None]] = []
    written: list[str] = []
    waiting: list[tuple[int, int | None]] = []
    while listing.outcome is None:
        while len(waiting) < in_flight and (number := listing.next_page()) is not None:
            waiting.append((number, listing.page_size))
        asked_for = waiting.pop(arrivals.randrange(len(waiting)) if arrivals else 0)
        asked.append(asked_for)
        assert len(asked) <= at_most, "requests are not bounded"
        answer = gateway(*asked_for)
        if isinstance(answer, Failure):
            listing.fail(asked_for[0], answer)
            continue
        names, records = listing.receive(asked_for[0], answer)
        assert [record.decode() for record in records] == names
        written += names
    assert not waiting
    assert not listing.has_work
    assert listing.next_page() is None
    assert len(set(written)) == len(written) == listing.outcome.records
    assert listing.outcome.reason or listing.outcome.verdict is good(verify)
    return Run(listing.outcome, written, asked)


# ── which pages, and when ──


def test_page_one_alone_and_then_all_the_rest_at_once() -> None:
    """Nothing is known before the first answer; after it every page that `count` promises can be asked for."""
    listing = Listing(PageSize(10), AUTO)
    had_work = [listing.has_work]
    assert (listing.next_page(), listing.next_page()) == (1, None)
    had_work.append(listing.has_work)
    listing.receive(1, page(images_of(0, 10), 2, 42))
    had_work.append(listing.has_work)
    assert had_work == [True, False, True]
    assert [listing.next_page() for _ in range(6)] == [2, 3, 4, 5, None, None]
    assert listing.page_size == 10


def images_of(first: int, last: int) -> list[str]:
    """Return the names of a range of images."""
    return [image(number) for number in range(first, last)]


def test_without_count_the_chain_is_followed_one_by_one() -> None:
    """A page is asked for when the one before names it."""
    listing = Listing(PageSize(10), NEVER)
    for number in (1, 2, 3):
        assert (listing.next_page(), listing.next_page()) == (number, None)
        listing.receive(number, page(images_of(number * 10, number * 10 + 10), number + 1 if number < 3 else None))
    assert listing.outcome == Outcome(Verdict.UNVERIFIED, None, 30, None, 3, 1, 10)


@pytest.mark.parametrize(("verify", "requests"), [(AUTO, 1), (ALWAYS, 2), (NEVER, 1)])
@pytest.mark.parametrize("images", [0, 1, 50, 97])
def test_a_registry_of_one_page(verify: VerifyMode, requests: int, images: int) -> None:
    """One request is enough, and two if a second look is wanted: whatever was there is in a single answer."""
    found = run(Shelf(images, says=images), verify)
    assert found.verdict is good(verify)
    assert len(found.asked) == requests
    assert found.written == images_of(0, images)


@EVERY_MODE
@pytest.mark.parametrize("says", [None, 0, 1, 37, 240, 250, 251, 999, 10**6], ids=str)
@pytest.mark.parametrize("past_end", [None, NOT_FOUND, REFUSED], ids=["empty", "404", "400"])
def test_count_changes_nothing(verify: VerifyMode, says: int | None, past_end: Failure | None) -> None:
    """Null, the number of registries, too small, too large or right: the same names, `complete`, few requests more."""
    found = run(Shelf(250, says=says, past_end=past_end), verify)
    assert found.verdict is good(verify)
    assert found.written == images_of(0, 250)
    assert found.outcome.count == says
    assert len(found.asked) <= 2 * (3 + 8)


def test_never_looks_once() -> None:
    """Three pages are three requests, and no proof."""
    found = run(Shelf(250, says=250), NEVER)
    assert found.asked == [(1, 100), (2, 100), (3, 100)]
    assert (found.outcome.pages, found.outcome.passes, found.outcome.page_size) == (3, 1, 100)
    assert (found.verdict, found.outcome.reason) == (Verdict.UNVERIFIED, None)


def test_never_says_what_it_doubts() -> None:
    """A count that is larger than what came is no sign of change, and is told."""
    found = run(Shelf(250, says=251), NEVER)
    assert (found.verdict, found.reason) == (Verdict.UNVERIFIED, "count is 251, and 250 came")


@pytest.mark.parametrize("verify", [AUTO, ALWAYS])
@pytest.mark.parametrize(("images", "pages", "size"), [(250, 3, 84), (297, 3, 99), (300, 4, 99), (5000, 51, 99)])
def test_several_pages_are_looked_at_again_with_other_boundaries(
    verify: VerifyMode, images: int, pages: int, size: int
) -> None:
    """What hid at a boundary is inside of a page then, for no page more where that can be."""
    found = run(Shelf(images, says=images, largest=100), verify)
    assert [asked for asked in found.asked if asked[1] != 100] == [(number, size) for number in range(1, pages + 1)]
    assert (found.verdict, found.outcome.passes) == (Verdict.COMPLETE, 2)


@EVERY_MODE
def test_clamped_page_sizes(verify: VerifyMode) -> None:
    """A gateway that gives fewer records than asked for is measured and believed."""
    found = run(Shelf(95, says=95, largest=20), verify)
    assert (found.verdict, found.outcome.page_size, len(found.written)) == (good(verify), 20, 95)


@pytest.mark.parametrize(
    ("refused_above", "asked", "accepted"),
    [
        (1000, [1000], 1000),
        (999, [1000, 300], 300),
        (100, [1000, 300, 100], 100),
        (50, [1000, 300, 100, 50], 50),
        (30, [1000, 300, 100, 50, 30], 30),
        (20, [1000, 300, 100, 50, 30, 20], 20),
        (12, [1000, 300, 100, 50, 30, 20, 10], 10),
        (9, [1000, 300, 100, 50, 30, 20, 10, None], None),
    ],
)
def test_refused_page_sizes(refused_above: int, asked: list[int | None], accepted: int | None) -> None:
    """After a refusal the usual limits are tried, and then it is left to the gateway; the next listing knows."""
    size_of_kind = PageSize(1000)
    listing = Listing(size_of_kind, AUTO)
    shelf = Shelf(7, refused_above=refused_above)
    for size in asked:
        assert listing.next_page() == 1
        assert listing.page_size == size
        answer = shelf(1, listing.page_size)
        if isinstance(answer, Failure):
            listing.fail(1, answer)
        else:
            listing.receive(1, answer)
    assert (size_of_kind.ask, size_of_kind.is_known) == (accepted, True)
    assert size_of_kind.limit == (accepted if asked != [1000] else None)
    assert listing.outcome is not None
    assert listing.outcome.verdict is Verdict.COMPLETE


def test_pages_that_are_too_large() -> None:
    """Half as many records are asked for, down to one; others learn of it when a page was given (P6)."""
    size_of_kind = PageSize(100)
    listing = Listing(size_of_kind, AUTO)
    asked = []
    while listing.next_page() == 1:
        asked.append(listing.page_size)
        listing.fail(1, Failure(FailureKind.TOO_LARGE, "the body is larger than 8388608 bytes"))
    assert asked == [100, 50, 25, 12, 6, 3, 1]
    assert (size_of_kind.ask, size_of_kind.is_known) == (100, False)
    assert listing.outcome is not None
    assert (listing.outcome.verdict, listing.outcome.reason) == (
        Verdict.FAILED,
        "the body is larger than 8388608 bytes",
    )


@pytest.mark.parametrize("kind", [FailureKind.TOO_LARGE, FailureKind.TOO_HEAVY])
def test_a_later_page_that_is_too_large_is_fetched_in_halves(kind: FailureKind) -> None:
    """By another pass, as large as can be: what came stays, and the listing is whole in the end."""

    def gateway(number: int, size: int | None) -> Page | Failure:
        too_large = size is not None and size > 25 and number * size > 150
        return Failure(kind, "too much") if too_large else Shelf(250, says=250)(number, size)

    found = run(gateway)
    assert first_pages(found)[:3] == [100, 50, 25]
    assert (sorted(found.written), found.verdict) == (images_of(0, 250), Verdict.COMPLETE_WITH_DRIFT)


def test_a_record_that_is_too_large_is_a_hole() -> None:
    """Where even a page of it alone is too large, what came is there, and the page is named."""

    def gateway(number: int, size: int | None) -> Page | Failure:
        first, last = (number - 1) * (size or 1), number * (size or 1)
        if first <= 37 < last:
            return Failure(FailureKind.TOO_LARGE, "the body is larger than 8388608 bytes")
        return Shelf(40, says=40)(number, size)

    found = run(gateway, page_size=10)
    assert found.verdict is Verdict.INCOMPLETE
    assert "page 19 was demanded and not there (the body is larger than 8388608 bytes)" in found.reason
    assert sorted(found.written) == [name for name in images_of(0, 40) if name not in images_of(36, 38)]


def test_a_full_page_shows_what_the_gateway_can_do() -> None:
    """One that is as large as was asked for and names another: the next list may ask for as much without a risk."""
    size_of_kind = PageSize(1000)
    listing = Listing(size_of_kind, AUTO)
    assert listing.next_page() == 1
    assert size_of_kind.is_a_risk
    listing.receive(1, page(images_of(0, 1000), 2))
    assert not size_of_kind.is_a_risk


def test_pages_of_one_record_cannot_be_halved() -> None:
    """Where a gateway gives no more anyway, another pass would meet the same."""
    found = run(Shelf(5, says=5, fixed=1, instead={3: Failure(FailureKind.TOO_LARGE, "too large")}))
    assert (found.verdict, found.outcome.passes, found.reason) == (Verdict.INCOMPLETE, 1, "page 3: too large")


def test_a_record_that_is_too_large_is_the_only_one_that_is_missing() -> None:
    """Where halves come down to single records before passes run out."""
    shelf = Shelf(20, instead={})

    def gateway(number: int, size: int | None) -> Page | Failure:
        assert size is not None
        return LOST_BY_SIZE if (number - 1) * size <= 7 < number * size else shelf(number, size)

    found = run(gateway, page_size=4)
    assert first_pages(found) == [4, 2, 1]
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, f"page 8: {LOST_BY_SIZE.reason}")


@pytest.mark.parametrize(("images", "second"), [(100, 88), (24, 21), (9, 8), (2, 1), (1, 2)])
def test_a_page_that_is_doubted_is_asked_for_in_two(images: int, second: int) -> None:
    """An eighth less than came, so that the gateway has to go on; of a single record two, which are then not full."""
    assert first_pages(run(Shelf(images, says=images + 7), page_size=1000))[:2] == [1000, second]


def test_a_list_in_no_order_ends_when_passes_enough_agree() -> None:
    """Each pass misses another image, and in the fifth it is known that none misses more of them than chance has it."""

    def gateway(number: int, size: int | None) -> Page:
        assert size is not None
        chance = random.Random(size)
        names = chance.sample(images_of(0, 250), 249)
        return page(names[(number - 1) * size : number * size], number + 1 if number * size < 249 else None)

    found = run(gateway)
    assert (found.verdict, found.outcome.passes) == (Verdict.COMPLETE_WITH_DRIFT, FEWEST_PASSES_TO_ESTIMATE)
    assert sorted(found.written) == images_of(0, 250)


def test_the_smallest_page_size_that_is_asked_for() -> None:
    """Ten is still asked for; nothing smaller is."""
    assert [size for _, size in run(Shelf(7, refused_above=10), page_size=20).asked] == [20, 10]


def never_still(number: int, size: int | None) -> Page:
    """Answer with a page of a registry in which nothing stays where it was: no pass proves anything."""
    names = random.Random(number * 1000 + (size or 0)).sample(images_of(0, 1000), min(size or 100, 100))
    return page(names, number + 1 if number < 3 else None)


def first_pages(found: Run) -> list[int | None]:
    """Return the page size of each page 1 that was asked for."""
    return [size for number, size in found.asked if number == 1]


@pytest.mark.parametrize("page_size", [1, 2, 3, 10, 100])
def test_every_pass_has_boundaries_of_its_own(page_size: int) -> None:
    """What hides at a boundary of one pass is inside of a page of every other, however small the pages are."""
    found = run(never_still, ALWAYS, page_size=page_size)
    assert found.reason.startswith(f"kept changing in {MAX_PASSES} passes: ")
    sizes = first_pages(found)
    assert len(set(sizes)) == len(sizes) == MAX_PASSES
    assert all(size is not None and size >= 1 for size in sizes)


@pytest.mark.parametrize("refused", [2, 3, 4, MAX_PASSES - 1])
def test_a_later_pass_whose_page_size_is_refused(refused: int) -> None:
    """It asks for somewhat less than the first pass had, not for half and not for whatever the gateway likes."""
    first_asked = counted(1)
    found = run(lambda n, size: REFUSED if n == 1 and next(first_asked) == refused else never_still(n, size))
    sizes = first_pages(found)
    assert found.outcome.passes == MAX_PASSES
    assert len(sizes) == MAX_PASSES + 1
    assert 50 <= (sizes[refused] or 0) < 100


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 11, 100, None])
@pytest.mark.parametrize("accepted", [0, 1, 2, 7, 50, 10_000])
@EVERY_MODE
def test_refusals_in_any_pass_come_to_an_end(page_size: int | None, accepted: int, verify: VerifyMode) -> None:
    """Also where a later pass wants another size than the one that was good: a smaller one, then none, then the end."""
    found = run(Shelf(30, says=30, refused_above=accepted), verify, page_size=page_size, at_most=600)
    assert found.verdict is good(verify)
    assert len(found.written) == 30


@pytest.mark.parametrize("page_size", [1, 2, 10, 100, None])
def test_a_gateway_that_refuses_everything_after_a_while(page_size: int | None) -> None:
    """The first pass goes well and shows change, then every page 1 is refused: the end, with what was had."""
    requests = counted(1)

    def gateway(number: int, _size: int | None) -> Page | Failure:
        return REFUSED if next(requests) > 4 else page(images_of(number, number + 2), number + 1, 8)

    found = run(gateway, ALWAYS, page_size=page_size)
    assert (found.verdict, bool(found.written)) == (Verdict.INCOMPLETE, True)


def test_everything_is_refused() -> None:
    """Without any good page size there is nothing, and that is said."""
    found = run(lambda _number, _size: REFUSED)
    assert (found.verdict, found.reason) == (Verdict.FAILED, "400/100 Bad Request Exception")
    assert [size for _, size in found.asked] == [100, 50, 30, 20, 10, None]


# ── answers that make no sense ──


def ever_new(number: int, following: int | None, count: int | None = None) -> Page:
    """Return a page that nobody saw before."""
    return page([f"page-{number}"], following, count)


SAME = [f"same-{n}" for n in range(5)]
NEVER_ENDING: list[tuple[str, Gateway, int]] = [
    ("names page 1 again", lambda n, _: ever_new(n, 1 if n == 3 else n + 1), 10),
    ("names itself", lambda n, _: ever_new(n, n), 10),
    ("names the one before", lambda n, _: ever_new(n, max(n - 1, 1)), 10),
    ("jumps far ahead", lambda n, _: ever_new(n, n + 1000), 10),
    ("jumps by two", lambda n, _: ever_new(n, n + 2), 10),
    ("jumps to 2^53", lambda n, _: ever_new(n, 2**53), 10),
    ("is the same page for ever", lambda n, _: page(SAME, n + 1), 3 * 4),
    ("is the same page, and count is nonsense", lambda n, _: page(SAME, n + 1, 10**15), 3 * (4 + 8)),
    ("is empty for ever", lambda n, _: page([], n + 1), 3 * 4),
    ("is empty for ever, and count is nonsense", lambda n, _: page([], n + 1, 10**15), 3 * 12),
    ("becomes empty and goes on", lambda n, _: page([] if n > 4 else ever_new(n, 0).names, n + 1, 10**15), 3 * 16),
    ("is new for ever", lambda n, _: ever_new(n, n + 1), MAX_PAGES_BEYOND_COUNT + 2),
    ("is new for ever, count is registries", lambda n, _: ever_new(n, n + 1, 37), MAX_PAGES_BEYOND_COUNT + 40),
]


@UNTRACED
@EVERY_MODE
@pytest.mark.parametrize(
    ("gateway", "bound"), [(g, b) for _, g, b in NEVER_ENDING], ids=[name for name, _, _ in NEVER_ENDING]
)
def test_a_chain_without_end(verify: VerifyMode, gateway: Gateway, bound: int) -> None:
    """Loops, jumps and endless lists end as `incomplete`, in bounded requests, with what was had."""
    found = run(gateway, verify, at_most=bound)
    assert found.verdict is Verdict.INCOMPLETE
    assert found.outcome.passes <= 3


@pytest.mark.parametrize("stale", range(6))
@pytest.mark.parametrize("says", [None, 1000], ids=["null", "1000"])
def test_pages_without_anything_new(stale: int, says: int | None) -> None:
    """Two in a row may happen where images move; after three no end is to be expected, whatever `count` promises."""

    def gateway(number: int, _size: int | None) -> Page:
        return page(SAME, number + 1, says) if number <= 1 + stale else ever_new(number, None, says)

    found = run(gateway, NEVER, in_flight=1)
    given_up = stale >= MAX_STALE_PAGES
    assert len(found.asked) == 1 + min(stale + 1, MAX_STALE_PAGES)
    assert ("nothing new for 3 pages up to page 4, and still a next one" in found.reason) is given_up


def test_pages_that_count_never_promised() -> None:
    """What is new for ever ends far beyond `count`, and the reason says so."""
    last = MAX_PAGES_BEYOND_COUNT + 37
    found = run(lambda n, _: ever_new(n, n + 1, 37), NEVER, at_most=last)
    reason = f"page {last} still names a next one, far beyond what count says"
    assert found.reason == f"changed while it was listed once: {reason}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "bound"), [(1, MAX_PAGES_BY_COUNT + MAX_PAGES_BEYOND_COUNT + 2), (2, MAX_PAGES_BY_COUNT)]
)
def test_a_count_that_is_nonsense(step: int, bound: int) -> None:
    """New pages for ever and a count of 10^15: the worst that a gateway can do is bounded too."""
    found = run(lambda n, _: ever_new(n, n + step, 10**15), ALWAYS, at_most=bound)
    assert (found.verdict, found.outcome.passes) == (Verdict.INCOMPLETE, 1)


@EVERY_MODE
@pytest.mark.parametrize("says", [None, 500], ids=["null", "500"])
def test_the_page_number_is_ignored(verify: VerifyMode, says: int | None) -> None:
    """D4: the same rows whatever page is asked for are noticed and never called whole."""
    found = run(lambda n, _: page(images_of(0, 100), n + 1, says), verify)
    assert (found.verdict, len(found.written)) == (Verdict.INCOMPLETE, 100)


@pytest.mark.parametrize("verify", [AUTO, ALWAYS])
def test_every_page_says_that_it_is_the_last(verify: VerifyMode) -> None:
    """A page full to the brim, no next one, and a larger count: that is no registry of one page."""
    found = run(lambda _, size: page(images_of(0, size or 20), None, 5000), verify)
    assert found.verdict is Verdict.INCOMPLETE


def test_the_page_size_is_ignored() -> None:
    """Boundaries that cannot be moved could hide an image twice: then five passes have to agree, not two."""
    for verify in (AUTO, ALWAYS):
        found = run(Shelf(250, says=250, fixed=100), verify)
        assert (found.verdict, found.outcome.passes) == (Verdict.COMPLETE, 5)


@pytest.mark.parametrize("past_end", [page([]), NOT_FOUND], ids=["empty", "404"])
@pytest.mark.parametrize("images", [100, 200])
def test_a_full_last_page_that_names_another(images: int, past_end: Page | Failure) -> None:
    """A gateway that cannot tell at 200 of 200 whether more follows costs a second look, and no verdict."""
    gateway = Shelf(images, says=images)

    def naive(number: int, size: int | None) -> Page | Failure:
        answer = gateway(number, size)
        assert isinstance(answer, Page)
        full = len(answer.names) == size
        return past_end if not answer.names else page(answer.names, number + 1 if full else None, images)

    found = run(naive)
    assert found.verdict.is_whole
    assert found.written == images_of(0, images)
    assert found.outcome.passes > 1


# ── failures ──


@EVERY_MODE
@pytest.mark.parametrize(
    ("failure", "verdict"),
    [(LOST, Verdict.FAILED), (DENIED, Verdict.DENIED), (NOT_FOUND, Verdict.GONE), (REFUSED, Verdict.FAILED)],
)
def test_page_one_cannot_be_had(verify: VerifyMode, failure: Failure, verdict: Verdict) -> None:
    """Nothing is known of the registry: the verdict says why, and it is not asked for again."""
    found = run(lambda _number, _size: failure, verify, page_size=None)
    assert (found.verdict, found.reason, found.asked) == (verdict, failure.reason, [(1, None)])


@EVERY_MODE
@pytest.mark.parametrize("failure", [LOST, DENIED])
def test_a_later_page_cannot_be_had(verify: VerifyMode, failure: Failure) -> None:
    """The other pages are kept, the verdict is `incomplete`, and no pass is wasted on what would fail again."""
    found = run(Shelf(450, says=450, instead={2: failure}), verify)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, f"page 2: {failure.reason}")
    assert found.written == images_of(0, 100) + images_of(200, 450)
    assert len(found.asked) == 5


def test_several_pages_cannot_be_had() -> None:
    """The reason names the first and how many more."""
    lost: dict[int, Page | Failure] = {2: LOST, 4: DENIED}
    assert run(Shelf(450, says=450, instead=lost)).reason == "page 2: timed out (10 tries) (and 1 more)"
    assert run(Shelf(450, says=450, instead=lost | {5: LOST})).reason == "page 2: timed out (10 tries) (and 2 more)"


def test_a_lost_page_past_the_end_is_no_hole() -> None:
    """`count` promised too much; that such a page failed means nothing."""
    found = run(Shelf(250, says=450, instead={5: LOST}))
    assert (found.verdict, len(found.written)) == (Verdict.COMPLETE, 250)


@pytest.mark.parametrize("verify", [AUTO, ALWAYS])
@pytest.mark.parametrize(
    "afterwards", [NOT_FOUND, DENIED, LOST, page([], None, 0)], ids=["404", "denied", "lost", "empty"]
)
@pytest.mark.parametrize("says", [None, 450], ids=["null", "450"])
def test_a_registry_vanishes_on_page_three(verify: VerifyMode, afterwards: Page | Failure, says: int | None) -> None:
    """D5: from page 3 on everything fails or is empty with a count of 0: never published as whole."""
    requests = counted(1)
    shelf = Shelf(450, says=says)
    found = run(lambda n, size: shelf(n, size) if next(requests) < 3 else afterwards, verify, in_flight=1)
    assert found.verdict is Verdict.INCOMPLETE
    assert found.written == images_of(0, 200)
    assert found.reason


@EVERY_MODE
def test_a_registry_vanishes_and_count_is_large(verify: VerifyMode) -> None:
    """After a 404 nothing is asked for beyond it, whatever `count` promised."""
    found = run(Shelf(10**6, says=10**6, instead=dict.fromkeys(range(3, 10_001), NOT_FOUND)), verify, at_most=3 * 12)
    assert found.verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("verify", [AUTO, ALWAYS])
def test_a_hole_in_the_middle(verify: VerifyMode) -> None:
    """A page that is never there although those around it are: three passes do not close, and that is enough."""
    last = page(images_of(200, 250), None, 249)
    found = run(Shelf(250, says=250, largest=100, instead={2: NOT_FOUND, 3: last}), verify)
    assert (found.verdict, found.outcome.passes) == (Verdict.INCOMPLETE, 3)
    signs = "count went from 249 to 250; page 2 was demanded and not there (404/300 Not Found Exception)"
    assert found.reason.startswith(f"the listing does not close in 3 passes: {signs}")


def test_many_holes_are_not_all_named() -> None:
    """Three say enough; the reason stays short however many pages are gone."""
    found = run(Shelf(950, says=950, largest=100, instead=dict.fromkeys((2, 4, 6, 8), NOT_FOUND)), NEVER)
    assert [f"page {n} " in found.reason for n in (2, 4, 6, 8)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("page_one", "reason"),
    [
        (NOT_FOUND, "vanished while it was listed: 404/300 Not Found Exception"),
        (DENIED, "pass 2, page 1: 401/210 Permission Denied"),
        (LOST, "pass 2, page 1: timed out (10 tries)"),
        (page([], None, 0), "fell empty while it was listed"),
    ],
    ids=["404", "denied", "lost", "empty"],
)
def test_a_registry_vanishes_between_two_passes(page_one: Page | Failure, reason: str) -> None:
    """The first pass was good, the second finds nothing: what was had stays, and the verdict says what happened."""
    requests = counted(1)
    shelf = Shelf(250, says=250)
    found = run(lambda n, size: shelf(n, size) if next(requests) < 4 else page_one, ALWAYS)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, reason)
    assert found.written == images_of(0, 250)


@pytest.mark.parametrize(("verify", "says"), [(AUTO, 450), (ALWAYS, None)])
def test_an_empty_answer_does_not_prove_what_came_later(verify: VerifyMode, says: int | None) -> None:
    """One that is empty by mistake holds everything that is there as little as it proves the passes after it."""
    requests = counted(1)
    registry = ChangingRegistry(seed=3, images=450, change_rate=2, largest=100)

    def gateway(number: int, size: int | None) -> Page | Failure:
        return page([], None, says) if next(requests) == 1 else registry.page(number, size)

    found = run(gateway, verify)
    assert found.outcome.passes > 2


def delete_the_first(registry: ChangingRegistry, number: int) -> None:
    """Delete an image of page 1 after it was read, once."""
    if number == 1 and registry.requests == 1:
        registry.delete(0)


def replace_count(answer: Page | Failure, says: int | None) -> Page:
    """Return a page with another count."""
    assert isinstance(answer, Page)
    return page(answer.names, answer.next, says)


# ── signs of change ──


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ({2: page([image(99), *images_of(101, 200)], 3, 250)}, "1 name came twice"),
        ({2: page([image(98), image(99), *images_of(102, 200)], 3, 250)}, "2 names came twice"),
        ({3: page(images_of(200, 250), None, 249)}, "count went from 249 to 250"),
        ({2: page(images_of(100, 200), 4, 250)}, "page 2 names page 4 as the next"),
        ({2: page(images_of(100, 200), None, 250)}, "page 3 had images although page 2 was the last"),
        ({3: NOT_FOUND}, "page 3 was demanded and not there (404/300 Not Found Exception)"),
        ({2: page(images_of(99, 199), 3, 249)}, "count went from 249 to 250; 1 name came twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_sign_of_change(instead: dict[int, Page | Failure], reason: str) -> None:
    """Each is reported by `never`, and makes `auto` look again: then the registry stands still and is whole."""
    moved = Shelf(250, says=250, instead=instead)
    assert run(moved, NEVER).verdict is Verdict.INCOMPLETE
    assert run(moved, NEVER).reason == f"changed while it was listed once: {reason}"
    requests = counted(1)
    still = Shelf(250, says=250)
    found = run(lambda n, size: moved(n, size) if next(requests) <= 3 else still(n, size), AUTO)
    assert found.verdict is Verdict.COMPLETE_WITH_DRIFT
    assert reason in found.reason
    assert set(found.written) >= set(images_of(0, 250))


def test_signs_between_passes() -> None:
    """Passes that are clean by themselves but hold other names are drift, and say so."""
    requests = counted(1)

    def gateway(number: int, size: int | None) -> Page | Failure:
        images = 250 if next(requests) <= 3 else 251
        return Shelf(images, says=images)(number, size)

    found = run(gateway, ALWAYS)
    assert found.verdict is Verdict.COMPLETE_WITH_DRIFT
    assert found.reason == "count went from 250 to 251 between passes; a pass held 250 of 251 names"


@pytest.mark.parametrize(
    ("images", "says", "requests"),
    [
        (100, 101, 7),  # as many as were asked for, and count says more: cut off? three passes of two pages say no
        (100, 100, 1),
        (99, 500, 3),  # one page, and count says more: two pages hold the same
        (99, 37, 1),
        (2, 37, 3),
        (1, 37, 2),  # cannot be asked for in two pages: a page of two is not full
        (0, 37, 2),
        (0, 0, 1),
        (250, 249, 6),
        (250, 251, 10),  # count says more than came: a third pass has to agree
        (250, 37, 6),
    ],
)
def test_doubts_cost_a_second_look_in_auto_and_are_forgiven(images: int, says: int, requests: int) -> None:
    """What is odd but no proof of change is looked at again; if that agrees it is whole, and mostly plainly so."""
    found = run(Shelf(images, says=says))
    assert found.verdict is (Verdict.COMPLETE_WITH_DRIFT if (images, says) == (100, 101) else Verdict.COMPLETE)
    assert (len(found.asked), found.written) == (requests, images_of(0, images))


@EVERY_MODE
def test_records_without_a_name_are_flagged(verify: VerifyMode) -> None:
    """P7: what could not be taken is counted, and the registry is not called whole."""
    found = run(Shelf(250, instead={3: page(images_of(200, 240), None, defects=10)}), verify)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, "10 records without a usable name")
    assert len(found.written) == 240
    one = run(Shelf(250, instead={3: page(images_of(200, 249), None, defects=1)}), verify)
    assert one.reason == "1 record without a usable name"


def test_records_without_a_name_fill_their_pages() -> None:
    """They are counted over all pages, and no page is taken for smaller than it is."""
    shelf = Shelf(
        250, says=250, instead={n: page(images_of(n * 100 - 100, n * 100 - 40), n + 1, 250, 40) for n in (1, 2)}
    )
    found = run(shelf, NEVER)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, "80 records without a usable name")
    assert (found.asked, found.outcome.page_size) == ([(1, 100), (2, 100), (3, 100)], 100)


def test_a_name_that_always_comes_twice() -> None:
    """It is given out once, costs a second look, and is no change, on one page or over several."""
    found = run(lambda _number, _size: page(["a", "b", "a"], None, 3))
    assert (found.written, found.verdict, found.outcome.passes) == (["a", "b"], Verdict.COMPLETE, 2)
    names = [*images_of(0, 150), image(7), *images_of(150, 240)]

    def gateway(number: int, size: int | None) -> Page:
        size = size or 20
        return page(names[(number - 1) * size : number * size], number + 1 if number * size < len(names) else None, 241)

    found = run(gateway)
    assert (sorted(found.written), found.verdict, found.reason) == (images_of(0, 240), Verdict.COMPLETE, "")


def test_a_name_that_comes_twice_once_is_a_sign() -> None:
    """It may have been pushed meanwhile: that nothing is missing takes a pass without it."""
    requests = counted(1)
    found = run(lambda _number, _size: page(["a", "b", "a"] if next(requests) == 1 else ["a", "b"], None, 3))
    assert (found.written, found.verdict) == (["a", "b"], Verdict.COMPLETE_WITH_DRIFT)
    assert "1 name came twice" in found.reason


@pytest.mark.parametrize("hidden", [3, 7])
def test_a_gateway_that_filters_after_paging(hidden: int) -> None:
    """Pages in the middle are not full, in every pass: the gateway's way, and no change."""

    def gateway(number: int, size: int | None) -> Page:
        size = size or 20
        kept = [image(n) for n in range((number - 1) * size, min(number * size, 500)) if n % hidden]
        return page(kept, number + 1 if number * size < 500 else None, 500)

    found = run(gateway)
    assert (found.verdict, found.reason) == (Verdict.COMPLETE, "")
    assert found.written == [image(n) for n in range(500) if n % hidden]


def test_a_page_that_is_cut_off_and_says_that_it_is_the_last() -> None:
    """Clamped to 200 without a next page, and count says 450: two pages of fewer bring the rest to light."""

    def gateway(number: int, size: int | None) -> Page:
        answer = Shelf(450, says=450, largest=200)(number, size)
        assert isinstance(answer, Page)
        return answer if size is not None and size < 200 else page(answer.names, None, 450)

    found = run(gateway, page_size=1000)
    assert (found.written, found.verdict) == (images_of(0, 450), Verdict.COMPLETE_WITH_DRIFT)


@pytest.mark.parametrize("says", [501, None])
def test_one_that_went_after_page_one_was_read(says: int | None) -> None:
    """The next page begins one too late and nothing comes twice: no sign but in count, and one is missed."""
    registry = ChangingRegistry(seed=1, images=501, order="name", largest=100, after_page=delete_the_first)
    found = run(lambda n, size: replace_count(registry.page(n, size), says))
    assert found.verdict.is_whole
    assert registry.throughout <= set(found.written)


# ── the end ──


def test_abandoned_before_anything_came() -> None:
    """The run ended: nothing was had, and the reason is the run's."""
    listing = Listing(PageSize(100), AUTO)
    assert listing.abandon("the deadline came").verdict is Verdict.FAILED
    assert (listing.next_page(), listing.has_work) == (None, False)


def test_abandoned_on_the_way() -> None:
    """What was had counts, pages still asked for do not."""
    listing = Listing(PageSize(100), AUTO)
    listing.next_page()
    listing.receive(1, page(images_of(0, 100), 2, 250))
    listing.next_page()
    expected = Outcome(Verdict.INCOMPLETE, "stopped by SIGINT", 100, 250, 1, 1, 100)
    assert listing.abandon("stopped by SIGINT") == expected
    assert listing.abandon("again") == expected


def test_abandoned_after_its_verdict() -> None:
    """A verdict stays."""
    listing = Listing(PageSize(100), AUTO)
    listing.next_page()
    listing.receive(1, page(["a"], None, 1))
    assert listing.abandon("too late").verdict is Verdict.COMPLETE


# ── properties ──


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    images=st.integers(0, 400),
    says=st.none() | st.integers(0, 2000),
    past_end=st.sampled_from([None, NOT_FOUND, REFUSED]),
    page_size=st.sampled_from([7, 10, 50, 100, None]),
    largest=st.sampled_from([13, 1000]),
    verify=st.sampled_from(VerifyMode),
    holes=st.dictionaries(st.integers(2, 12), st.sampled_from([LOST, DENIED]), max_size=2),
    seed=st.integers(0, 2**32),
)
def test_no_order_of_arrival_matters(
    images: int, verify: VerifyMode, page_size: int | None, seed: int, **other: Any
) -> None:
    """An unchanging registry gives the same names and the same verdict one by one and at once, in any order."""
    shelf = Shelf(images, other["says"], largest=other["largest"], past_end=other["past_end"], instead=other["holes"])
    one_by_one = run(shelf, verify, page_size=page_size, in_flight=1)
    chance = random.Random(seed)
    at_once = run(shelf, verify, page_size=page_size, in_flight=chance.choice((2, 8, 64)), arrivals=chance, at_most=900)
    assert at_once.verdict is one_by_one.verdict
    assert set(at_once.written) == set(one_by_one.written)
    if not other["holes"]:
        assert at_once.verdict is good(verify)
        assert sorted(at_once.written) == images_of(0, images)


ANSWERS = st.one_of(
    st.builds(
        page,
        st.lists(st.integers(0, 30).map(image), max_size=6),
        st.none() | st.integers(1, 6),
        st.none() | st.integers(0, 60),
        st.integers(0, 1),
    ),
    st.sampled_from([LOST, DENIED, NOT_FOUND, REFUSED]),
)


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    answers=st.lists(ANSWERS, min_size=1, max_size=25),
    follow=st.booleans(),
    verify=st.sampled_from(VerifyMode),
    page_size=st.sampled_from([1, 2, 5, 100, None]),
    seed=st.integers(0, 2**32),
)
def test_any_gateway_comes_to_an_end(
    *, answers: list[Page | Failure], follow: bool, verify: VerifyMode, page_size: int | None, seed: int
) -> None:
    """Answers drawn at random, again and again: always a verdict with its reason, in bounded requests, names once."""
    chance = random.Random(seed)

    def gateway(number: int, _size: int | None) -> Page | Failure:
        answer = chance.choice(answers)
        if follow and isinstance(answer, Page) and answer.next is not None:
            return page(answer.names, number + 1, answer.count)
        return answer

    found = run(gateway, verify, page_size=page_size, in_flight=chance.choice((1, 8)), arrivals=chance, at_most=3000)
    assert found.outcome.passes <= MAX_PASSES


# ── against registries that change ──

SIZES = (5, 10, 20, 50, 100)


def simulate(seeds: range, rate: float, verify: VerifyMode = ALWAYS, **fixed: Any) -> Counter[str]:
    """List a registry a seed, each of another kind; count verdicts, and losses that no verdict tells of."""
    tally: Counter[str] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        size, in_flight = chance.choice(SIZES), chance.choice((1, 2, 8, 64))
        settings: dict[str, Any] = {
            "images": chance.choice((chance.randrange(size + 1), *[chance.randrange(min(2500, 40 * size))] * 3)),
            "order": chance.choice(("name", "updated", "placed")),
            "count": chance.choice(("images", "registries", "null", "wrong")),
            "past_end": chance.choice(("empty", "404")),
            "largest": chance.choice((size, 1000)),
        }
        settings |= fixed
        size = settings.pop("size", size)
        registry = ChangingRegistry(seed=seed, change_rate=rate, **settings)
        outcome, written = crawl(registry, verify, page_size=size, in_flight=in_flight)
        assert len(set(written)) == len(written) == outcome.records
        assert outcome.passes <= MAX_PASSES
        assert registry.requests <= MAX_PASSES * (
            4 * ceil(2 * settings["images"] / min(size, settings["largest"])) + 80
        )
        tally["whole"] += outcome.verdict.is_whole
        tally[outcome.verdict.value] += 1
        tally["lost"] += outcome.verdict.is_whole and not registry.throughout <= set(written)
    return tally


@pytest.mark.long
@pytest.mark.parametrize(("rate", "whole"), [(0.05, 0.95), (0.1, 0.91), (0.3, 0.76), (1.0, 0.58)])
def test_nothing_that_was_there_throughout_is_missing(rate: float, whole: float) -> None:
    """1,000 runs over every kind of gateway: no loss behind a good verdict, and most of them end with one."""
    tally = simulate(range(250), rate)
    assert tally["lost"] == 0
    assert tally["whole"] >= whole * 250


@UNTRACED
def test_what_stands_still_is_complete_in_two_passes() -> None:
    """`auto` proves everything: one page by itself, more by a second pass, for hardly a page more than the first."""
    for seed in range(300):
        chance = random.Random(seed)
        size = chance.choice(SIZES)
        registry = ChangingRegistry(
            seed=seed, images=chance.randrange(40 * size), order="name", past_end=chance.choice(("empty", "404"))
        )
        outcome, written = crawl(registry, AUTO, page_size=size)
        pages = max(1, ceil(len(registry.names) / size))
        assert (outcome.verdict, outcome.passes, outcome.reason) == (Verdict.COMPLETE, 1 + (pages > 1), None)
        assert set(written) == set(registry.names)
        assert pages * outcome.passes <= registry.requests <= 2 * pages + ceil(pages / (size - 1)) + 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("rate", "fixed"),
    [
        (0.3, {"kinds": ("delete",)}),
        (1.0, {"kinds": ("delete-front",), "count": "null"}),
        (0.3, {"kinds": ("insert",), "order": "placed"}),
        (1.0, {"kinds": ("touch",), "order": "updated"}),
        (0.3, {"kinds": ("replace",), "order": "name"}),
        (0.1, {"kinds": ("replace",), "order": "placed", "fixed_size": 20}),
        (0.1, {"kinds": ("insert", "delete", "touch"), "burst": 10}),
        (0.3, {"kinds": ("recreate",), "order": "placed"}),
        # An image that comes and goes, and boundaries that cannot be moved: agreement of two passes is not enough.
        (0.3, {"kinds": ("recreate",), "hot": 1, "order": "name", "count": "null", "fixed_size": 20, "images": 70}),
        # A few images are pushed all day: they are missed far more often than the others.
        (1.0, {"kinds": ("touch",), "hot": 30, "order": "updated", "size": 5, "largest": 5, "images": 300}),
        (0.5, {"kinds": ("touch",), "hot": 10, "order": "updated", "size": 5, "largest": 5, "images": 400}),
        (
            1.0,
            {"kinds": ("touch",), "hot": 30, "burst": 5, "order": "updated", "size": 20, "largest": 20, "images": 700},
        ),
    ],
    ids=str,
)
def test_change_of_one_kind(rate: float, fixed: dict[str, Any]) -> None:
    """Only deletions, only touches of a few, bursts, swaps that keep the count: a whole verdict misses nothing."""
    assert simulate(range(60), rate, **fixed)["lost"] == 0


@pytest.mark.long
def test_random_order_at_every_request() -> None:
    """D2: a list without an order is whole only where one page or a proof by agreement holds it all."""
    tally = simulate(range(400), 0.0, order="random", images=60, count="images")
    assert tally["lost"] == 0
    assert 0 < tally["whole"] < 400


def shrink_behind_the_reader(registry: ChangingRegistry, number: int) -> None:
    """Delete an image of the page that was just read, so that the next page begins one too late."""
    if registry.names and number % 3 == 1:
        registry.delete(0)


def swap_around_the_reader(registry: ChangingRegistry, number: int) -> None:
    """Delete one that was read and put a new one at the end: the count stays, nothing comes twice, one is missed."""
    if registry.names and number < 4:
        registry.delete(0)
        registry.names.append(f"later-{registry.requests}")


def touch_ahead_of_the_reader(registry: ChangingRegistry, number: int) -> None:
    """Move an image that was not read yet to the front, where it was read already."""
    if len(registry.names) > 45:
        registry.names.insert(0, registry.names.pop(min(number * 20 + 5, len(registry.names) - 1)))


@pytest.mark.long
@pytest.mark.parametrize("adversary", [shrink_behind_the_reader, swap_around_the_reader, touch_ahead_of_the_reader])
@pytest.mark.parametrize("count", ["images", "null"])
def test_changes_that_follow_the_reader(adversary: Callable[[ChangingRegistry, int], None], count: str) -> None:
    """An adversary that acts just behind or ahead of the page that was read: flagged, or nothing is missing."""
    tally = simulate(
        range(200), 0.0, order="placed", after_page=adversary, count=count, size=20, largest=20, images=110
    )
    assert tally["lost"] == 0


# ── the estimate ──


def test_the_estimate_needs_boundaries_that_move() -> None:
    """Five passes with the same boundaries can miss the same image five times: they prove nothing."""
    hidden = Shelf(250, fixed=100, instead={2: page([image(0), *images_of(101, 200)], 3)})
    found = run(hidden, AUTO)
    assert image(100) not in found.written
    assert (found.verdict, found.outcome.passes) == (Verdict.INCOMPLETE, MAX_PASSES)


@EVERY_MODE
def test_the_estimate_needs_a_name(verify: VerifyMode) -> None:
    """Empty pages that name each other, pass after pass, are no bug of ours and prove nothing."""
    found = run(lambda number, _: page([], 2 if number == 1 else None, 0), verify)
    assert (found.verdict, found.written) == (Verdict.INCOMPLETE, [])


def test_the_estimate_knows_when_some_are_missed_more_often() -> None:
    """As many misses, spread over all or on a few: beside the few that were seen others stay unseen."""
    bits = [1, 2, 4, 8, 16]
    everywhere = 31
    spread = {everywhere: 990, 0b11011: 3, 0b10111: 4, 0b11101: 3}
    on_a_few = {everywhere: 995, 0b10011: 2, 0b11001: 2, 0b10101: 1}
    assert _loss_of_unlike(spread, bits) == 0
    assert _loss_of_unlike(on_a_few, bits) > 1e-4
    assert _loss_of_unlike({everywhere: 995, 0b01110: 5}, bits) > 1e-4  # by the first and by the last


def names_by_passes(total: int, passes: int, alpha: float, mean: float) -> dict[int, int]:
    """Return the names that each set of passes held if the chance to be missed is spread as a beta distribution."""
    beta = alpha / mean - alpha

    def weight(missed: int) -> float:
        held = passes - missed
        spread = lgamma(alpha + missed) - lgamma(alpha) + lgamma(beta + held) - lgamma(beta)
        return exp(spread + lgamma(alpha + beta) - lgamma(alpha + beta + passes))

    return {held: round(total * weight(passes - held.bit_count())) for held in range(1, 2**passes)}


@pytest.mark.parametrize("passes", [5, 6, MAX_PASSES])
@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_estimate_finds_how_unlike_the_chances_are(passes: int, alpha: float) -> None:
    """From what was seen, and with every kind of spread, it comes to the expected number of those that were not."""
    total, mean = 10**13, 1e-4
    beta = alpha / mean - alpha
    unseen = total * prod((alpha + n) / (alpha + beta + n) for n in range(passes))
    estimate = _loss_of_unlike(names_by_passes(total, passes, alpha, mean), [1 << n for n in range(passes)])
    assert estimate == pytest.approx(unseen, rel=0.02)


def test_the_estimate_by_hand() -> None:
    """Ten of a thousand are missed three times, far more than chance; or hundreds once and one of them twice, less."""
    bits = [1, 2, 4, 8, 16]
    mean, square = 30 / (1000 * 3), 30 / (1000 * 8)
    by_hand = 1000 * mean**5 * prod(1 + n * (square / mean**2 - 1) for n in (1, 2, 3, 4))
    assert _loss_of_unlike({31: 990, 0b10001: 10}, bits) == pytest.approx(by_hand)
    alike = {31: 699, 0b11101: 100, 0b11011: 100, 0b10111: 100, 0b10101: 1}
    assert _loss_of_unlike(alike, bits) == pytest.approx(1000 * (302 / 3000) ** 5)


def five_passes(names: int, boundaries: Sequence[int]) -> list[Pass]:
    """Return passes that are closed and held as many names each, with those boundaries."""
    return [
        Pass(bit=1 << place, size=size, given=size, end=2, contiguous=2, names=names)
        for place, size in enumerate(boundaries)
    ]


def test_the_estimate_where_all_are_missed_alike() -> None:
    """One more than was missed of one more than there are, pass by pass: to have missed none proves no certainty."""
    assert expected_loss(five_passes(99, [50, 51, 52, 53, 50]), {31: 99}) == pytest.approx(99 / 100**5)
    assert expected_loss(five_passes(90, [50, 51, 52, 53, 54]), {31: 99}) == pytest.approx(99 * (10 / 100) ** 5)


@pytest.mark.parametrize(
    ("names", "boundaries"),
    [({31: 99}, [50, 51, 52, 50, 51]), ({31: 99}, [50, 51, 52, 53]), ({}, [50, 51, 52, 53, 54])],
)
def test_too_little_to_estimate(names: dict[int, int], boundaries: list[int]) -> None:
    """Fewer than five passes, four boundaries, a name."""
    assert expected_loss(five_passes(99, boundaries), names) == inf


def test_the_estimate_does_not_take_newcomers_for_misses() -> None:
    """Names that begin or end with some pass were created or deleted: no pass missed them."""
    bits = [1, 2, 4, 8, 16]
    assert _loss_of_unlike({31: 900, 0b10000: 20, 0b11000: 20, 0b00011: 20, 0b01111: 20}, bits) == 0


@pytest.mark.parametrize("count", [201, 300, 1000])
@pytest.mark.parametrize("past_end", [1, 2, None], ids=["first page", "last page", "empty page with a next one"])
def test_count_that_promises_too_much_where_pages_past_the_end_are_odd(past_end: int | None, count: int) -> None:
    """What an overstated `count` brings is no change: the next passes ask for no more than there is, and agree."""
    names = [f"app-{number:03}" for number in range(120)]
    listing = Listing(PageSize(100), VerifyMode.AUTO)
    while listing.outcome is None:
        asked = list(iter(listing.next_page, None))
        assert listing.page_size is not None
        size = min(listing.page_size, 100)
        for number in asked:
            pages = ceil(len(names) / size)
            page = number if number <= pages else pages if past_end == 2 else past_end
            held = [] if page is None else names[(page - 1) * size : page * size]
            following = number + 1 if page is None else page + 1 if page * size < len(names) else None
            listing.receive(number, Page(count, following, held, [b"{}"] * len(held)))
    assert listing.outcome.verdict.is_whole
    assert listing.outcome.records == len(names)
    assert listing.outcome.passes <= 4


# ── gateways that hide the rest ──


@pytest.mark.parametrize("pages", [2, 3, 30])
@pytest.mark.parametrize("says", [None, 5_000])
def test_a_gateway_that_gives_so_many_pages_and_no_more_hides_the_rest(pages: int, says: int | None) -> None:
    """Smaller pages then end earlier, and always with a full one; that is no list from which some were deleted."""
    whole = Shelf(5_000, says)

    def gateway(number: int, size: int | None) -> Page | Failure:
        answer = whole(number, size)
        assert isinstance(answer, Page)
        return page(answer.names, answer.next if number < pages else None, says)

    found = run(gateway, at_most=500)
    assert found.verdict is Verdict.INCOMPLETE
    assert f"the last page is always page {pages} and always full" in found.reason


def test_a_list_that_loses_its_end_between_passes_is_no_such_gateway() -> None:
    """Unless by chance it ends with the same page, full again: another pass shows then that it does not."""
    before, after = Shelf(40), Shelf(38)
    requests = 0

    def gateway(number: int, size: int | None) -> Page | Failure:
        nonlocal requests
        requests += 1
        return (before if requests <= 2 else after)(number, size)

    found = run(gateway, page_size=20)
    assert (found.verdict, found.outcome.passes) == (Verdict.COMPLETE_WITH_DRIFT, 3)


def clamping(images: int, largest: int, *, count: bool) -> Gateway:
    """Give smaller pages than asked for, but take the next one's number from what was asked for."""

    def gateway(number: int, size: int | None) -> Page:
        assert size is not None
        given = min(size, largest)
        names = images_of((number - 1) * given, max(min(number * given, images), (number - 1) * given))
        return page(names, number + 1 if number * size < images else None, images if count else None)

    return gateway


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("images", [101, 150, 1000])
def test_a_clamped_page_that_claims_to_be_all_is_looked_at_again(images: int, count: bool) -> None:  # noqa: FBT001
    """It holds a usual number, less than was asked for: by count, or where there is none by another pass."""
    found = run(clamping(images, 100, count=count), page_size=1000)
    assert len(found.written) == images
    assert found.verdict.is_whole


def test_a_larger_page_of_another_list_shows_that_pages_are_not_clamped_so() -> None:
    """Or every list of such a number would cost two requests more."""
    size = PageSize(1000)
    for images, requests in ((100, 3), (60, 1), (200, 3), (203, 1), (100, 1), (200, 1)):
        listing, asked = Listing(size, AUTO), 0
        while (number := listing.next_page()) is not None:
            asked += 1
            answer = Shelf(images)(number, listing.page_size)
            assert isinstance(answer, Page)
            listing.receive(number, answer)
        assert asked == requests
        assert listing.outcome is not None
        assert listing.outcome.verdict is Verdict.COMPLETE


@pytest.mark.parametrize(("counts", "is_told"), [({6000}, True), (set(), True), ({9000}, False)])
def test_what_the_gateway_counts_above_what_came_is_no_loss_that_can_be_estimated(
    counts: set[int],
    is_told: bool,  # noqa: FBT001
) -> None:
    """The estimate goes by what came at least once; of the rest it knows nothing."""
    passes = [
        Pass(bit=1 << n, size=100 - n, given=100 - n, end=61, contiguous=61, names=5_999, counts=set(counts))
        for n in range(5)
    ]
    held_by = {0b11111 ^ 1 << n: 1 for n in range(5)} | {0b11111: 5_995}
    assert (expected_loss(passes, held_by) < ACCEPTED_LOSS) is is_told


@pytest.mark.parametrize(
    ("answer", "is_proof"),
    [
        (page([]), True),
        (page([], None, 0), True),
        (page(["a", "b"]), True),
        (page(["a", "b"], None, 2), True),
        (page(["a", "b"], None, 1), True),
        (page(["a", "b"], None, 3), False),
        (page([], None, 1), False),
        (page(["a", "a"]), False),
        (page(["a", "b"], 2), False),
        (page(["a", "b"], defects=1), False),
    ],
)
def test_what_one_answer_proves(answer: Page, is_proof: bool) -> None:  # noqa: FBT001 - a parameter
    """An only page that holds all that is counted, each name once; of a first pass, and no usual clamp."""
    assert one_answer_proves(answer, [Pass(bit=1, size=100)]) is is_proof
    assert not one_answer_proves(answer, [Pass(bit=1, size=100), Pass(bit=2, size=97)])
    assert not one_answer_proves(answer, [Pass(bit=1, size=100, is_usual_clamp=True)])


@given(
    names=st.lists(st.sampled_from("abcd"), max_size=6),
    following=st.sampled_from([None, None, None, 2]),
    says=st.one_of(st.none(), st.integers(0, 8)),
    defects=st.integers(0, 1),
    page_size=st.sampled_from([None, 2, 4, 100, 1000]),
    failures=st.lists(st.sampled_from([REFUSED, Failure(FailureKind.TOO_HEAVY, "504")]), max_size=2),
    times=st.sampled_from([1, 25]),
    verify=st.sampled_from(VerifyMode),
)
@settings(deadline=None, max_examples=1_000)
def test_what_one_answer_proves_all_the_grounds_prove(
    names: list[str],
    following: int | None,
    says: int | None,
    defects: int,
    page_size: int | None,
    failures: list[Failure],
    times: int,
    verify: VerifyMode,
) -> None:
    """Whether a list is judged by its only page at once, or by all that is known of it: the outcome is the same."""
    answer = page([name * (1 + n // len(names)) for n, name in enumerate(names * times)], following, says, defects)
    outcomes: list[Outcome | None] = []
    for shortcut in (one_answer_proves, lambda *_: False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("crawler.engine.listing.one_answer_proves", shortcut)
            listing = Listing(PageSize(page_size), verify)
            for failure in failures:
                if listing.next_page() is not None:
                    listing.fail(1, failure)
            if (number := listing.next_page()) is not None:
                assert listing.receive(number, answer)[0] == list(dict.fromkeys(answer.names))
            outcomes.append(listing.outcome)
            assert listing.has_work is (listing.outcome is None)
    assert outcomes[0] == outcomes[1]
