"""How large a page is, is found out for few requests, whatever the gateway does with one that is too large for it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from math import ceil
from typing import TYPE_CHECKING

import orjson
import pytest
from engine.test_crawl import KR, Fake, crawl_with, spec
from support.lists import registry_of

from crawler.core.errors import GatewayError, TimedOutError, TooLargeError
from crawler.core.events import RegionHeld
from crawler.core.model import Page, Verdict
from crawler.engine.page_size import LARGEST, PageSize, is_full, may_be_clamped, other_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.model import PageRequest
    from crawler.engine.tasks import ListingTask

# ── what is learned ──


def test_the_usual_limits_are_tried_after_a_refusal() -> None:
    """From 1,000 down; nothing below 10 is asked for, and then the gateway may choose."""
    size, asked = PageSize(LARGEST), [1000, 300, 100, 50, 30, 20, 10, None]
    assert [size.after_refusal(refused) for refused in asked if refused is not None] == asked[1:]


@pytest.mark.parametrize(
    ("taken", "known", "other"),
    [
        ([100], 250, 84),
        ([100, 84], 250, 63),
        ([100], 50, 99),
        ([3], 5, 2),
        ([2], 5, 1),
        ([1], 5, 2),  # nothing is smaller
        ([2, 1], 5, 4),
    ],
)
def test_another_size_puts_boundaries_elsewhere(taken: list[int], known: int, other: int) -> None:
    """For one page more, as evenly as can be; where nothing smaller is left, one that was not asked for yet."""
    assert other_size(taken, known=known) == other


def held(names: int, following: int | None = None, count: int | None = None) -> Page:
    """Return a page of so many names."""
    return Page(count=count, next=following, names=[str(n) for n in range(names)], records=[b""] * names)


@pytest.mark.parametrize(
    ("page", "size", "full"),
    [
        (held(100, 2), 100, True),
        (held(100, 2), 1000, False),  # it may be short for another reason
        (held(100, 2, 100), 1000, False),
        (held(100, 2, 101), 1000, True),  # there is more, and it says so
        (held(100, 2), None, False),
        (held(100, 2, 101), None, True),
        (held(0, 2, 1), 1000, True),
        (held(100), 100, False),
        (held(100, None, 300), 100, False),
    ],
)
def test_a_full_page(page: Page, size: int | None, full: bool) -> None:  # noqa: FBT001 - a parameter
    """As many as were asked for, or fewer than are counted; an only page is never known to be."""
    assert is_full(page, size) is full


@pytest.mark.parametrize(
    ("page", "size", "most", "clamped"),
    [
        (held(100), 1000, 0, True),
        (held(100), 1000, 100, True),
        (held(100), 1000, 101, False),
        (held(99), 1000, 0, False),
        (held(100), 101, 0, True),
        (held(100), 100, 0, False),
        (held(100), None, 0, False),
        (held(100, 2), 1000, 0, False),
        (held(100, None, 100), 1000, 0, False),
        (held(100, None, 0), 1000, 0, False),
    ],
)
def test_an_only_page_that_may_be_clamped(page: Page, size: int | None, most: int, clamped: bool) -> None:  # noqa: FBT001
    """A usual limit, less than was asked for, no less than any page held, and no count beside it."""
    assert may_be_clamped(page, size, most=most) is clamped


def test_a_smaller_size_that_was_given_is_asked_for_from_then_on() -> None:
    """After a refusal whatever the page held; what others are refused later goes down to it at once."""
    size = PageSize(LARGEST)
    size.given(100, refused=True)
    assert (size.ask, size.is_known, size.limit) == (100, True, 100)
    assert size.after_refusal(1000) == 100
    size.given(300)
    assert size.ask == 100


def test_what_was_refused_is_told_from_what_failed() -> None:
    """A limit holds; that a smaller page was given after a larger one failed is another thing."""
    found = []
    for given in (
        [(1000, False)],
        [(100, True)],
        [(500, False)],
        [(500, False), (500, True)],
        [(100, True), (50, False)],
    ):
        size = PageSize(LARGEST)
        for asked, refused in given:
            size.given(asked, refused=refused, is_full=True)
        found.append((size.ask, size.limit, size.reduced))
    assert found == [(1000, None, None), (100, 100, None), (500, None, 500), (500, 500, 500), (50, 100, 50)]


def test_another_kind_of_list_is_asked_for_as_much_as_can_be_and_told_of_the_limit() -> None:
    """Its limit may be another one; if it is not, one refusal is enough."""
    of_registries = PageSize(LARGEST)
    of_images = PageSize(LARGEST, of_registries)
    of_registries.given(30, refused=True)
    assert of_images.ask == LARGEST
    assert of_images.after_refusal(LARGEST) == 30


def test_a_tiny_limit_is_taken_to_hold_for_all_kinds() -> None:
    """It has cost five refusals: to try a large one again would be one more for nothing."""
    of_registries = PageSize(LARGEST)
    of_images = PageSize(LARGEST, of_registries)
    of_registries.given(20, refused=True)
    assert of_images.ask == 20
    of_images.given(20)
    assert PageSize(LARGEST, of_images).ask == 20


def test_a_limit_of_two_kinds_is_taken_to_hold_for_the_third() -> None:
    """Only of the third: a list of registries may be limited otherwise than the others."""
    of_registries = PageSize(LARGEST)
    of_images = PageSize(LARGEST, of_registries)
    of_tags = PageSize(LARGEST, of_images)
    of_registries.given(100, refused=True)
    assert (of_images.ask, of_tags.ask) == (LARGEST, LARGEST)
    of_images.given(100, refused=True)
    assert of_tags.ask == 100


def test_one_that_failed_is_halved() -> None:
    """Or is what others have come to."""
    size = PageSize(LARGEST)
    assert size.after_failure(LARGEST) == 500
    size.given(250, is_full=True)
    assert size.after_failure(LARGEST) == 250
    assert size.after_failure(250) == 125
    assert PageSize(150).after_failure(150) == 100
    assert [PageSize(100).after_failure(failed) for failed in (100, 3, 1)] == [50, 1, 0]


def test_what_failed_for_another_kind_of_list_is_believed_at_the_second_failure() -> None:
    """It is asked for as much as can be all the same; if that fails, what the other came to is next, not half."""
    of_registries = PageSize(LARGEST)
    of_images = PageSize(LARGEST, of_registries)
    of_tags = PageSize(LARGEST, of_images)
    believed = [of_tags.has_failed_elsewhere]
    of_registries.given(250)
    believed.append(of_tags.has_failed_elsewhere)
    assert believed == [False, True]
    assert (of_tags.ask, of_tags.after_failure(LARGEST), of_tags.after_failure(250)) == (LARGEST, 250, 125)


def test_a_size_is_a_risk_until_a_page_was_full() -> None:
    """Pages of small lists show nothing; pages of a hundred are not to blame for their size."""
    size = PageSize(LARGEST)
    risks = []
    for asked, full in ((LARGEST, False), (LARGEST, True), (LARGEST, False)):
        size.given(asked, is_full=full)
        risks.append(size.is_a_risk)
    size.given(500, refused=True)
    assert [*risks, size.is_a_risk] == [True, False, False, True]
    assert not PageSize(100).is_a_risk
    assert not PageSize(None).is_a_risk


@pytest.mark.parametrize(("is_full", "is_known", "ask"), [(False, False, 500), (True, True, 500), (False, True, 1000)])
def test_a_failure_may_have_been_chance(is_full: bool, is_known: bool, ask: int) -> None:  # noqa: FBT001
    """Where pages as large are given, a smaller one shows something only if the larger one would have held more."""
    size = PageSize(LARGEST)
    if is_known:
        size.given(LARGEST)
    size.given(500, is_full=is_full)
    assert size.ask == ask


# ── what it costs ──


class Sized(Fake):
    """One region with registries of so many images each.

    Attributes:
        answer: what becomes of a page, by the size asked for and the records that it would hold: the size given, or an
            error.
        by_kind: requests, those for registries first.
        asked_for: page sizes asked for, by kind, in the order of the requests.
    """

    has_counts = True

    def __init__(self, images: list[int], answer: Callable[[int, int], int | Exception]) -> None:
        super().__init__({"kr": {}})
        self.images = {f"team-{number:04}": count for number, count in enumerate(images)}
        self.answer = answer
        self.by_kind: Counter[bool] = Counter()
        self.asked_for: defaultdict[bool, list[int]] = defaultdict(list)

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Answer after a turn of the event loop."""
        counter.requests += 1
        is_list = registry_of(request) is None
        self.by_kind[is_list] += 1
        size = request.page_size or 10
        self.asked_for[is_list].append(size)
        await asyncio.sleep(0)
        total = self.images[request.within[0]] if request.within else len(self.images)
        held = max(0, min(size, total - (request.page - 1) * size))
        given = self.answer(size, held)
        if isinstance(given, Exception):
            raise given
        first = (request.page - 1) * given
        names = [f"{number:05}" for number in range(first, min(first + given, total))]
        if is_list:
            names = list(self.images)[first : first + given]
        following = request.page + 1 if request.page * given < total else None
        count = total if self.has_counts else None
        return orjson.dumps({"count": count, "next": following, "results": [{"name": name} for name in names]})

    @property
    def total(self) -> int:
        """All requests."""
        return self.by_kind.total()


def clamped(cap: int) -> Callable[[int, int], int | Exception]:
    """Give no more than ``cap``."""
    return lambda size, _held: min(size, cap)


def refused(cap: int) -> Callable[[int, int], int | Exception]:
    """Refuse what is larger than ``cap``."""
    return lambda size, _held: size if size <= cap else GatewayError(400, "100", "Bad Request Exception")


def failing(cap: int, error: Exception, *, by_records: bool = False) -> Callable[[int, int], int | Exception]:
    """Fail where more than ``cap`` are asked for, or would come."""
    return lambda size, held: size if (held if by_records else size) <= cap else error


def heavy_tailed(registries: int, images: int, seed: int = 0) -> list[int]:
    """Return how many images each registry has."""
    weights = [random.Random(seed + number).paretovariate(1.1) for number in range(registries)]
    return [ceil(images * weight / sum(weights)) for weight in weights]


def least(images: list[int], page: int) -> int:
    """Return the fewest requests that prove lists of so many: one a page, two passes where there are several."""
    pages = [max(1, ceil(count / page)) for count in (*images, len(images))]
    return sum(number if number == 1 else 2 * number for number in pages)


class Countless(Sized):
    """The same, where `count` is null."""

    has_counts = False


async def cost(
    images: list[int],
    answer: Callable[[int, int], int | Exception],
    page_size: int = LARGEST,
    gateway_of: type[Sized] = Sized,
) -> Sized:
    """List everything, see that it is whole and that the region was never held, and return what counted."""
    gateway = gateway_of(images, answer)
    outcome = await crawl_with(gateway, spec(regions=(KR,), page_size=page_size, concurrency=16))
    assert {one.verdict for one in outcome.result.everything} <= {Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT}
    assert sum(one.records for one in outcome.result.registries) == sum(images)
    assert outcome.told(RegionHeld) == []
    return gateway


@pytest.mark.long
async def test_large_pages_cost_hardly_more_than_the_least_that_proves() -> None:
    """300 registries of 613,000 images, heavy-tailed, where 1,000 a page are given."""
    images = heavy_tailed(300, 613_000)
    found = await cost(images, clamped(1000))
    assert found.total <= 1.1 * least(images, 1000)
    assert set(found.asked_for[True]) == {1000}


@pytest.mark.long
@pytest.mark.parametrize("gateway_of", [Sized, Countless])
@pytest.mark.parametrize("seed", [1000, 2000, 3000])
async def test_lists_of_any_length_cost_hardly_more_than_the_least(seed: int, gateway_of: type[Sized]) -> None:
    """A tenth of such an account, where 100 a page are given; whether the gateway counts or not."""
    images = heavy_tailed(300, 61_300, seed)
    found = await cost(images, clamped(100), gateway_of=gateway_of)
    assert found.total <= 1.1 * least(images, 100)


@pytest.mark.parametrize("gateway_of", [Sized, Countless])
async def test_only_a_list_that_fills_its_last_page_costs_one_request_more(gateway_of: type[Sized]) -> None:
    """Two passes of k full pages would have the same boundaries: a list of 200 has no other two pages of 100."""
    images = [200] * 17 + [210] * 13 + [100, 99, 0, 198, 199, 5_000]
    found = await cost(images, clamped(100), gateway_of=gateway_of)
    full = sum(count > (100 - 1) * ceil(count / 100) for count in images if count > 100)
    assert full == 17 + 2
    doubted = 0 if gateway_of.has_counts else 2  # 100 of 1,000 that were asked for may be a page that claims to be all
    assert found.total == least(images, 100) + full + doubted


@pytest.mark.no_cover
@pytest.mark.parametrize("limit", [clamped, refused])
@pytest.mark.parametrize("cap", [1000, 300, 100, 50, 30, 20])
async def test_a_limit_is_found_for_five_requests(
    limit: Callable[[int], Callable[[int, int], int | Exception]], cap: int
) -> None:
    """Clamped or refused: no more than five above a run that knew it; and larger ones are asked for by nobody again."""
    images = heavy_tailed(40, 4000)
    knowing = await cost(images, limit(cap), page_size=cap)
    found = await cost(images, limit(cap))
    assert found.total <= knowing.total + 5
    if limit is refused:
        for asked_for in found.asked_for.values():
            learned = asked_for.index(max(size for size in asked_for if size <= cap))
            assert max(asked_for[learned:]) <= cap


@pytest.mark.parametrize("by_records", [False, True])
@pytest.mark.parametrize(
    "error",
    [GatewayError(504, "510", "Endpoint Timeout"), TimedOutError("no answer for 20 s"), TooLargeError("too large")],
)
async def test_large_pages_that_fail_cost_twenty_requests(error: Exception, by_records: bool) -> None:  # noqa: FBT001
    """More than 300 at once are too much for the gateway: half is found, remembered, and no region is held for it."""
    images = [5, 2000, 400, *heavy_tailed(40, 4000)]
    knowing = await cost(images, failing(300, error, by_records=by_records), page_size=250)
    found = await cost(images, failing(300, error, by_records=by_records))
    assert found.total <= knowing.total + 20


@pytest.mark.parametrize("error", [GatewayError(504, "510", "Endpoint Timeout"), TooLargeError("too large")])
async def test_large_lists_that_come_after_small_ones_find_the_size_out_together(error: Exception) -> None:
    """Pages of small lists are given at any size: one of those that fail finds out, and the others wait for it."""
    images = [5] * 20 + [700, 5, 5] * 30
    knowing = await cost(images, failing(300, error, by_records=True), page_size=250)
    found = await cost(images, failing(300, error, by_records=True))
    assert found.total <= knowing.total + 20


async def test_pages_of_a_hundred_that_are_the_most_are_found_before_the_region_is_held() -> None:
    """Whatever asks for more fails, and nothing was answered yet: that is no outage."""
    images = [5, 2000, *heavy_tailed(40, 4000)]
    error = GatewayError(504, "510", "Endpoint Timeout")
    knowing = await cost(images, failing(100, error), page_size=100)
    found = await cost(images, failing(100, error))
    assert found.total <= knowing.total + 20


async def test_a_page_that_fails_by_chance_makes_no_page_smaller() -> None:
    """One of five fails: no more than that is asked for again."""
    chance = random.Random(3)
    images = heavy_tailed(60, 6000)
    found = await cost(images, lambda size, _held: GatewayError(500, "900", "no") if chance.random() < 0.2 else size)
    assert found.total <= 1.35 * least(images, 1000) + 4
