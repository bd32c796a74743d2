"""Where a crawl stands: what is done of what is known, what is left, what is looked at again, who does not answer."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.api.zones import ZONES
from crawler.core.model import Page, VerifyMode
from crawler.core.patterns import Patterns
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.scheduler import RegionQueue
from crawler.engine.spec import CrawlSpec
from crawler.engine.standing import Amount, Held, Proving, Standing, standing
from crawler.engine.tasks import ListingTask
from crawler.engine.verdicts import Verdicts

if TYPE_CHECKING:
    from crawler.core.collection import Collection

KR, SGN = ZONES["public"].regions[:2]
SIZE = 10


class Crawled:
    """The parts of a crawl, as a test has them: one region or two, and the lists in it."""

    def __init__(self, level: Collection) -> None:
        self.level = level
        spec = CrawlSpec("a", (KR, SGN), None, level, SIZE, VerifyMode.AUTO, 8, 60.0, expected_gaps=Patterns())
        self.verdicts = Verdicts(spec, lambda _event: None, lambda: 0)
        self.queues = [RegionQueue(region, self._begin, REGISTRIES) for region in (KR, SGN)]
        self.found: dict[Collection, int] = dict.fromkeys(level.lineage, 0)

    def _begin(self, _region: object, collection: Collection, within: tuple[str, ...]) -> ListingTask:
        return self.task(collection, *within)

    def task(self, collection: Collection, *within: str, started_ms: int = 0) -> ListingTask:
        """Begin a list."""
        task = ListingTask(KR, collection, within, Listing(PageSize(SIZE), VerifyMode.AUTO), b"", started_ms=started_ms)
        task.listing.next_page()
        self.queues[0].tasks.add(task)
        return task

    def receive(self, task: ListingTask, total: int, number: int = 1) -> None:
        """Take a page of a list of so many records, and end the list if it was the last of them."""
        names = [f"i{at:04}" for at in range(SIZE * (number - 1), min(SIZE * number, total))]
        page = Page(total, number + 1 if number * SIZE < total else None, names, [b"{}"] * len(names))
        task.listing.receive(number, page)
        self.found[task.collection] += len(names)
        if task.listing.outcome is not None:
            self.queues[0].tasks.discard(task)
            self.verdicts.end(task)

    def stands(self, now_s: float = 0.0) -> Standing:
        """Say where it stands."""
        return standing(self.queues, self.verdicts, self.found, level=self.level, now_s=now_s)


def test_nothing_is_known_yet() -> None:
    """Before the first list of registries is over nobody knows how long it takes."""
    crawl = Crawled(IMAGES)
    crawl.queues[0].waiting.expect_top(REGISTRIES)
    assert crawl.stands() == Standing((Amount("registries", 0, 0), Amount("images", 0)), False, 0, None, (), None)


def test_what_is_done_and_left() -> None:
    """Registries that wait take what those took that are done; of one under way its count tells, with a second look."""
    crawl = Crawled(IMAGES)
    crawl.receive(crawl.task(IMAGES, "a"), total=7)
    crawl.queues[0].waiting.expect(IMAGES, (), ["c", "d"], is_open=False)
    assert crawl.stands().amounts == (Amount("registries", 1, 3), Amount("images", 7))
    assert crawl.stands().pages_left == 2 * 1
    crawl.receive(crawl.task(IMAGES, "b"), total=45)
    assert crawl.stands().amounts == (Amount("registries", 1, 4), Amount("images", 17))
    assert crawl.stands().pages_left == 2 * 1 + 4 + 5
    assert crawl.stands().pages == 2
    crawl.task(IMAGES, "e")
    assert crawl.stands().pages_left == 2 * 1 + 4 + 5 + 1


def test_lists_without_a_measure() -> None:
    """Before any list of a kind is done, nobody knows what the others take; one alone says it by itself."""
    crawl = Crawled(IMAGES)
    crawl.receive(crawl.task(IMAGES, "a"), total=30)
    assert crawl.stands().pages_left == 2 + 3
    crawl.queues[0].waiting.expect(IMAGES, (), ["b"], is_open=False)
    assert crawl.stands().pages_left is None


def test_a_level_deeper() -> None:
    """A registry that waits takes its images' lists of tags as well, as many as others have."""
    crawl = Crawled(TAGS)
    crawl.receive(crawl.task(IMAGES, "a"), total=4)
    for name in "wxy":
        crawl.receive(crawl.task(TAGS, "a", name), total=1)
    crawl.queues[0].waiting.expect(TAGS, ("a",), ["z"], is_open=False)
    assert crawl.stands().amounts == (Amount("registries", 1, 1), Amount("images", 3, 4), Amount("tags", 3))
    assert crawl.stands().pages_left == 1
    crawl.queues[0].waiting.expect(IMAGES, (), ["b"], is_open=False)
    assert crawl.stands().pages_left == 1 + (1 + 4)


def test_what_is_looked_at_again() -> None:
    """The list that was begun first is named, with its pass, and how many others there are."""
    crawl = Crawled(IMAGES)
    tasks = [crawl.task(IMAGES, name, started_ms=started_ms) for name, started_ms in (("b", 2), ("a", 1), ("c", 3))]
    for task in tasks:
        crawl.receive(task, total=15)
    assert crawl.stands().proving is None
    for task in tasks[:2]:
        task.listing.next_page()
        crawl.receive(task, total=15, number=2)
    assert crawl.stands().proving == Proving("kr/a", 2, others=1)


def test_regions_that_do_not_answer() -> None:
    """Since when, from the first try that failed, and when the next one goes; not a region with nothing left to do."""
    crawl = Crawled(IMAGES)
    kr, sgn = crawl.queues
    for queue in (kr, sgn):
        queue.health.answered()
        at_s = 100.0
        while not queue.health.failed(at_s, 0.0, tries=0, is_probe=False, asked_s=0.0):
            at_s += 0.25
    kr.waiting.expect_top(REGISTRIES)
    (held,) = crawl.stands(now_s=at_s).held
    assert held == Held("kr", at_s - 100.0, kr.health.probe_at_s - at_s)
    kr.in_flight = 1
    assert crawl.stands(now_s=at_s + 60).held == (Held("kr", at_s - 40.0, 0.0),)
    kr.health.answered()
    assert crawl.stands(now_s=200.0).held == ()


@given(total=st.integers(1, 200))
def test_what_is_left_gets_less(total: int) -> None:
    """With each page of a list that does not change it is one page less, down to none."""
    crawl = Crawled(IMAGES)
    task = crawl.task(IMAGES, "a")
    left = []
    number: int | None = 1
    while number is not None and task.listing.passes == 1:
        crawl.receive(task, total, number)
        left.append(crawl.stands().pages_left)
        number = task.listing.next_page()
    pages = ceil(total / SIZE)
    assert left == ([0] if pages == 1 else [*range(2 * pages - 1, pages, -1), left[-1]])


def test_registries_alone() -> None:
    """Where registries are all that is asked for, they are counted, and nothing more is known."""
    crawl = Crawled(REGISTRIES)
    crawl.receive(crawl.task(REGISTRIES), total=3)
    assert crawl.stands().amounts == (Amount("registries", 3),)
    assert crawl.stands().pages_left == pytest.approx(0)
