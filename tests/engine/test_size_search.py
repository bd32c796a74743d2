"""What it costs to find out how large a page may be, in a whole crawl: requests are counted, time passes at once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from engine.test_crawl import KR, Fake, crawl_with, spec
from support.hurried_loop import run_hurried

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.api.dialect import DIALECTS
from crawler.core.errors import GatewayError, TimedOutError, TooLargeError
from crawler.core.events import RegionHeld
from crawler.core.model import Page, Verdict, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.scheduler import RegionQueue, Schedule
from crawler.engine.size_search import MOST_AT_RISK
from crawler.engine.tasks import ListingTask
from crawler.jobs.plan.costs import Held, PageSizes, requests_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.model import PageRequest

    Answer = Callable[[int, int], int | Exception]
    Within = tuple[str, ...]

AGES_S = 1e6
FOUND = 250
"""Half of half of 1,000: what is come to where more than 300 are too much."""
ERRORS = {
    "500": GatewayError(500, "900", "Unexpected Error"),
    "504": GatewayError(504, "510", "Endpoint Timeout"),
    "time-out": TimedOutError("no answer for 20 s"),
    "above the cap": TooLargeError("too large"),
}


def small_first(number: int = 20, *, large: int = 30) -> dict[Within, int]:
    """Return lists of images: small ones give pages of any size, and then come many that do not."""
    images = [5] * number + [700, 5, 5] * large
    return {(): len(images)} | {(f"{at:05}",): count for at, count in enumerate(images)}


def of_tags() -> dict[Within, int]:
    """Return lists of three levels; on each some are too large, after some that are not."""
    images = [20, 20, 400, 20, 30]
    lists: dict[Within, int] = {(): len(images)} | {(f"{at:05}",): count for at, count in enumerate(images)}
    tags = {(f"{at:05}", f"{n:05}"): 4 for at, count in enumerate(images) for n in range(count)}
    large = {within: 700 for within in tags if within[0] > "00002" and int(within[1]) % 3 == 0}
    return lists | tags | large


class Account(Fake):
    """One region of lists, by what each is within.

    Attributes:
        lists: how many names each holds; they count up from 0.
        answer: what becomes of a page, by the size asked for and the records that it would hold: the size given, or an
            error.
        denied: how many registries, the first ones, are not for this key.
        total: all requests.
    """

    def __init__(self, lists: dict[Within, int], answer: Answer, *, denied: int = 0, version: str = "v2") -> None:
        super().__init__({"kr": {}})
        self.lists = lists
        self.answer = answer
        self.denied = denied
        self.version = version
        self.total = 0
        self._chance = random.Random(1)

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Answer after a while, or not at all."""
        counter.requests += 1
        self.total += 1
        size, held = request.page_size or 10, self.lists[request.within]
        given = self.answer(size, max(0, min(size, held - (request.page - 1) * size)))
        await asyncio.sleep(20 if isinstance(given, TimedOutError) else self._chance.uniform(0.02, 0.1))
        if len(request.within) == 1 and int(request.within[0]) < self.denied:
            raise GatewayError(401, "210", "Permission Denied")
        if isinstance(given, Exception):
            raise given
        first = (request.page - 1) * given
        records = [{"name": f"{number:05}"} for number in range(first, min(first + given, held))]
        return orjson.dumps(getattr(self, f"_{self.version}")(request.page, given, held) | {"results": records})

    def _v2(self, page: int, given: int, held: int) -> dict[str, Any]:
        return {"count": held, "next": page + 1 if page * given < held else None}

    def _v3(self, page: int, given: int, held: int) -> dict[str, Any]:
        totals = {"pageNo": page - 1, "pageSize": given, "totalElements": held}
        return totals | {"totalPages": ceil(held / given)}

    def least(self, page: int) -> int:
        """Return what a run takes that knows how large a page may be."""
        denied = {within for within in self.lists if len(within) == 1 and int(within[0]) < self.denied}
        counts = [1 if within in denied else count for within, count in self.lists.items()]
        return sum(requests_for(Held(count, count), PageSizes(page, page), VerifyMode.AUTO) for count in counts)

    def excess(self, *, of: int, **changes: Any) -> int:
        """List everything, see that it is whole and the region never held; return the requests above such a run's."""
        level = TAGS if max(map(len, self.lists)) > 1 else IMAGES
        plan = spec(regions=(KR,), page_size=1000, level=level, dialect=DIALECTS[self.version], deadline_s=AGES_S)
        self.total = 0
        outcome = run_hurried(crawl_with(self, replace(plan, **changes), patience_s=AGES_S))
        verdicts = {one.verdict for one in outcome.result.everything}
        assert verdicts <= {Verdict.COMPLETE, *([Verdict.DENIED] if self.denied else [])}
        assert outcome.told(RegionHeld) == []
        return self.total - self.least(of)


def failing(error: Exception, *, above: int = 300, by_records: bool = False) -> Answer:
    """Fail where more are asked for, or would come."""
    return lambda size, held: size if (held if by_records else size) <= above else error


@pytest.mark.long
@pytest.mark.parametrize("concurrency", [4, 16, 64])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("by_records", [False, True])
@pytest.mark.parametrize("small", [20, 200])
def test_large_pages_that_fail_cost_twenty_requests_however_many_are_in_flight(
    concurrency: int,
    error: Exception,
    by_records: bool,  # noqa: FBT001
    small: int,
) -> None:
    """Whatever a failure looks like, and although small lists first show nothing; no region is held for it."""
    account = Account(small_first(small), failing(error, by_records=by_records))
    assert account.excess(of=FOUND, concurrency=concurrency) <= 20


@pytest.mark.long
@pytest.mark.parametrize("concurrency", [4, 64])
@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("by_records", [False, True])
def test_all_levels_together_cost_twenty_requests(concurrency: int, version: str, by_records: bool) -> None:  # noqa: FBT001
    """Registries, images and tags find out apart, and learn from each other."""
    account = Account(of_tags(), failing(ERRORS["504"], by_records=by_records), version=version)
    assert account.excess(of=FOUND, concurrency=concurrency) <= 20


@pytest.mark.parametrize("by_records", [False, True])
def test_registries_that_are_denied_do_not_let_the_others_fail_at_once(by_records: bool) -> None:  # noqa: FBT001
    """They tell nothing of page sizes, so the next one is begun alone, too."""
    account = Account(small_first(8), failing(ERRORS["504"], by_records=by_records), denied=6)
    assert account.excess(of=FOUND, concurrency=64) <= 20


@pytest.mark.long
@pytest.mark.parametrize("concurrency", [4, 64])
@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("cap", [300, 100, 50, 30, 20])
def test_refusals_cost_five_requests_over_all_levels(concurrency: int, version: str, cap: int) -> None:
    """A limit is found once; the second kind of list confirms it, and the third one takes it for granted."""
    refusal = GatewayError(400, "InvalidParameter" if version == "v3" else "100", "Bad Request")
    account = Account(of_tags(), failing(refusal, above=cap), version=version)
    assert account.excess(of=cap, concurrency=concurrency) <= 5


@pytest.mark.no_cover
@pytest.mark.parametrize("cap", [100, 30, 20])
def test_smaller_pages_than_asked_for_cost_nothing(cap: int) -> None:
    """What the gateway gives is taken for what it is, on all levels."""
    assert Account(of_tags(), lambda size, _held: min(size, cap)).excess(of=cap, concurrency=64) == 0


def _begun_at_once(slots: int, held: Page, *, lists: int) -> list[int]:
    """Return how many lists are begun at once where each ends with its first page, time after time."""
    size = PageSize(1000)
    size.given(1000)
    begin = lambda region, collection, within: ListingTask(  # noqa: E731
        region, collection, within, Listing(size, VerifyMode.AUTO), b"", started_ms=0
    )
    queue = RegionQueue(KR, begin, REGISTRIES, proved=True)
    queue.waiting.expect(IMAGES, (), map(str, range(lists)), is_open=False)
    schedule, begun = Schedule(slots, [queue]), []
    while queue.waiting:
        jobs = [taken[1] for taken in iter(lambda: schedule.take(0.0), None)]
        for job in jobs:
            job.task.listing.receive(1, held)
            queue.tasks.remove(job.task)
            queue.in_flight -= 1
        begun.append(len(jobs))
    return begun


def test_small_lists_are_soon_begun_with_all_slots() -> None:
    """None shows that a large page is given, but with each of them it is less likely that the next one is large."""
    small = Page(count=1, next=None, names=["a"], records=[b""])
    begun = _begun_at_once(64, small, lists=2500)
    assert begun[0] == MOST_AT_RISK
    assert sum(number < 64 for number in begun) < 45
    assert set(begun[-5:-1]) == {64}


def test_a_full_page_lets_all_slots_begin_lists() -> None:
    """As much as was asked for was given, so no other page is larger."""
    names = [str(number) for number in range(1000)]
    full = Page(count=1000, next=2, names=names, records=[b""] * 1000)
    assert _begun_at_once(64, full, lists=200) == [MOST_AT_RISK, 64, 64, 64, 2]
