"""No region and no registry starves another, everything is taken once, and what is under way stays bounded.

The schedule is driven here by time that only this file lets pass: each answer takes its region's latency.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lists import registry_of

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.core.model import Page, Region, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.scheduler import MOST_SCOUTS, RESTING_FOR_EACH, TASKS_A_SLOT, RegionQueue, Schedule
from crawler.engine.tasks import ListingTask, PageTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawler.core.collection import Collection

    Failing = Callable[[PageTask], float | None]  # seconds after which a page is tried again; None: it is answered

KR = Region("kr", "/kr")


def begin(region: Region, collection: Collection, within: tuple[str, ...]) -> ListingTask:
    """Make the task of a list where the page size is known."""
    size = PageSize(100)
    size.given(100)
    return ListingTask(region, collection, within, Listing(size, VerifyMode.NEVER), b"", started_ms=0)


def expect(queue: RegionQueue, registries: Iterable[str]) -> None:
    """Let registries wait."""
    queue.waiting.expect(IMAGES, (), registries, is_open=False)


def queue_of(code: str, *registries: str, proved: bool = True) -> RegionQueue:
    """Return the queue of a region in which these registries wait."""
    queue = RegionQueue(Region(code, f"/{code}"), begin, REGISTRIES, proved=proved)
    expect(queue, registries)
    return queue


@dataclass
class World:
    """Regions with registries of so many pages each, and what happened in them.

    Attributes:
        pages: of each registry, by region.
        latency_s: of each region's answers.
        slots: requests in flight at most, over everything.
        failing: whether a try fails.
        finished_s: when each registry was done.
        taken: how often each page was asked for.
        answered: pages that came, by region, with their times.
        held: most requests in flight at once, by region.
        tasks: most tasks under way at once, by region.
    """

    pages: dict[str, dict[str, int]]
    latency_s: dict[str, float] = field(default_factory=dict)
    slots: int = 12
    failing: Failing = lambda _job: None
    proved: bool = True
    finished_s: dict[str, float] = field(default_factory=dict)
    taken: Counter[tuple[str, str | None, int]] = field(default_factory=Counter)
    answered: dict[str, list[float]] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)

    def crawl(self, *, until_s: float = inf) -> float:
        """Crawl as the workers do; return when it was over."""
        self.answered = {code: [] for code in self.pages}
        queues = [queue_of(code, *names, proved=self.proved) for code, names in self.pages.items()]
        schedule = Schedule(self.slots, queues)
        under_way: list[tuple[float, int, RegionQueue, PageTask]] = []
        now_s = 0.0
        while not schedule.is_finished and now_s < until_s:
            while len(under_way) < self.slots and (taken := schedule.take(now_s)) is not None:
                self._note(*taken)
                done_s = now_s + self.latency_s.get(taken[0].region.code, 1.0)
                heappush(under_way, (done_s, self.taken.total(), *taken))
            due_s = schedule.next_due_s if len(under_way) < self.slots else inf
            assert due_s > now_s, "a worker would spin"
            if under_way and under_way[0][0] <= due_s:
                now_s, _, queue, job = heappop(under_way)
                self._answer(queue, job, now_s)
            else:
                now_s = due_s
            assert now_s < inf, "nothing is under way and nothing is due, but it is not over"
        return now_s

    def _note(self, queue: RegionQueue, job: PageTask) -> None:
        code = queue.region.code
        self.taken[code, registry_of(job.task), job.page] += 1
        self.held[code] = max(self.held[code], queue.in_flight)
        self.tasks[code] = max(self.tasks[code], len(queue.tasks))

    def _answer(self, queue: RegionQueue, job: PageTask, now_s: float) -> None:
        queue.in_flight -= 1
        pause_s = self.failing(job)
        if pause_s is not None:
            job.tries += 1
            queue.retry_at(job, now_s + pause_s)
            return
        queue.proved = True
        registry = registry_of(job.task)
        assert registry is not None
        last = self.pages[queue.region.code][registry]
        following = job.page + 1 if job.page < last else None
        job.task.listing.receive(job.page, Page(last, following, [f"image-{job.page}"], [b"{}"]))
        self.answered[queue.region.code].append(now_s)
        if job.task.listing.outcome is None:
            queue.enlist(job.task)
        else:
            queue.tasks.remove(job.task)
            self.finished_s[registry] = now_s


def registries(number: int, pages: int = 1, prefix: str = "r") -> dict[str, int]:
    """Return so many registries of so many pages."""
    return {f"{prefix}-{n}": pages for n in range(number)}


# ── everything, once ──

WORLDS = st.dictionaries(
    st.sampled_from(["kr", "sgn", "jpn"]),
    st.lists(st.integers(1, 30), max_size=25).map(lambda sizes: {f"r-{n}": size for n, size in enumerate(sizes)}),
    min_size=1,
)


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=200)
@given(pages=WORLDS, slots=st.integers(1, 40), latencies=st.tuples(*[st.sampled_from([0.1, 1.0, 7.0])] * 3))
def test_every_page_is_taken_exactly_once(
    pages: dict[str, dict[str, int]], slots: int, latencies: tuple[float, float, float]
) -> None:
    """Whatever the world, it comes to an end; every page of every registry was asked for once, and no other."""
    world = World(pages, dict(zip(("kr", "sgn", "jpn"), latencies, strict=True)), slots)
    world.crawl()
    expected = {
        (code, name, page) for code, names in pages.items() for name, n in names.items() for page in range(1, n + 1)
    }
    assert set(world.taken) == expected
    assert set(world.taken.values()) <= {1}


@pytest.mark.long
@settings(deadline=None, derandomize=True, max_examples=100)
@given(pages=WORLDS, slots=st.integers(1, 40), faults=st.lists(st.none() | st.floats(0, 20), min_size=1, max_size=40))
def test_with_failures_every_page_is_answered_once(
    pages: dict[str, dict[str, int]], slots: int, faults: list[float | None]
) -> None:
    """Pages that fail now and then are taken again until they are answered; no worker ever spins meanwhile."""
    turn = iter(faults)
    world = World(pages, slots=slots, failing=lambda _job: next(turn, None), proved=False)
    world.crawl()
    assert sum(map(len, world.answered.values())) == sum(sum(names.values()) for names in pages.values())
    assert world.taken.total() - sum(map(len, world.answered.values())) <= len(faults)


# ── regions ──


@pytest.mark.parametrize("slots", [1, 2, 3, 12, 13, 64])
def test_no_region_holds_more_than_its_share(slots: int) -> None:
    """With three regions unfinished none ever has more than a third of the slots, rounded up, in flight."""
    world = World({code: registries(100, 10) for code in ("kr", "sgn", "jpn")}, slots=slots)
    world.crawl(until_s=20)
    assert max(world.held.values()) <= -(-slots // 3)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 5, 8, 64])
def test_regions_advance_side_by_side(slots: int) -> None:
    """Also with fewer slots than regions: none waits until another is done."""
    world = World({code: registries(200) for code in ("kr", "sgn", "jpn", "krs")}, slots=slots)
    world.crawl(until_s=100 / slots)
    came = [len(times) for times in world.answered.values()]
    assert min(came) >= 0.7 * max(came)
    assert sum(came) >= 100 - slots


def test_a_slow_region_slows_nobody() -> None:
    """Two regions keep more than 90 % of their share of the slots busy while the third is fifty times slower."""
    pages = {code: registries(400) for code in ("kr", "sgn", "jpn")}
    world = World(pages, {"kr": 50.0, "sgn": 1.0, "jpn": 1.0}, slots=12)
    world.crawl(until_s=100)
    for code in ("sgn", "jpn"):
        busy_s = world.answered[code][-1]
        assert len(world.answered[code]) / busy_s >= 0.9 * 4


def test_the_last_region_gets_all_slots() -> None:
    """Once the others are done their slots are used."""
    world = World({"kr": registries(300), "sgn": registries(1)}, slots=12)
    assert world.crawl() <= 300 / 12 + 3
    assert world.held["kr"] == 12


def test_before_the_first_answer_one_request_is_all() -> None:
    """Until a region has answered it is asked for one page at a time: a refused key costs one request a region."""
    queues = [queue_of(code, "a", "b", "c", proved=False) for code in ("kr", "sgn")]
    schedule = Schedule(64, queues)
    first = [schedule.take(0.0), schedule.take(0.0)]
    assert {taken[0].region.code for taken in first if taken} == {"kr", "sgn"}
    assert schedule.take(0.0) is None
    queues[0].proved = True
    after = [schedule.take(0.0) for _ in range(3)]
    assert [taken and taken[0].region.code for taken in after] == ["kr", "kr", None]


# ── registries ──


def test_a_large_registry_holds_nobody_up() -> None:
    """300 of one page are done in about twice the time they need alone, with one of 1,000 pages among them."""
    alone_s = World({"kr": registries(300)}).crawl()
    world = World({"kr": {"large": 1000} | registries(300)})
    world.crawl()
    last_s = max(finished_s for name, finished_s in world.finished_s.items() if name != "large")
    assert last_s <= 2.2 * alone_s
    assert world.finished_s["large"] <= 1300 / 12 * 1.1


def test_a_small_one_behind_large_ones_is_not_held_up() -> None:
    """Large ones that are under way take turns, a few pages each, with those that wait."""
    world = World({"kr": registries(10, 500, "large") | registries(100)})
    over_s = world.crawl()
    assert max(at_s for name, at_s in world.finished_s.items() if name.startswith("r-")) <= over_s / 4


def test_the_oldest_are_asked_for_first() -> None:
    """However many large ones have begun, two at a time are between their second page and their last one asked for.

    The second of them gets two pages in ten, so that they do not both hold nearly all of their names.
    """
    world = World({"kr": registries(20, 30)})
    world.crawl()
    left = dict.fromkeys(world.pages["kr"], 30)
    between: dict[str, int] = {}  # name to pages asked for
    for _, registry, _page in world.taken:
        assert registry is not None
        left[registry] -= 1
        between = {name: 30 - pages for name, pages in left.items() if 0 < pages < 29}
        assert len(between) <= 2
        assert left[registry] or max(between.values(), default=0) <= 10
    assert not between
    order = sorted(world.finished_s, key=world.finished_s.__getitem__)
    assert [int(name.partition("-")[2]) // 2 for name in order] == sorted(n // 2 for n in range(20))


def test_a_place_in_the_round_is_by_age() -> None:
    """Whoever gets more pages to ask for late, because a chain goes on, is not put behind those that began after it."""
    queue = queue_of("kr", "older", "younger")
    begun = [job for job in (queue.take(0.0, 10), queue.take(0.0, 10)) if job is not None]
    for job in reversed(begun):
        job.task.listing.receive(1, Page(3, 2, ["image"], [b"{}"]))
        queue.enlist(job.task)
    following = queue.take(0.0, 10)
    assert following is not None
    assert (registry_of(following.task), following.page) == ("older", 2)


def test_pages_of_one_registry_come_close_together() -> None:
    """So that it has less time to change: one of 9 pages among 200 others is read within a few seconds."""
    world = World({"kr": registries(100) | {"middle": 9} | registries(100, 1, "s")}, slots=8)
    seen: list[float] = []
    clock = Counter[str]()

    def failing(job: PageTask) -> None:
        clock["answers"] += 1
        if registry_of(job.task) == "middle":
            seen.append(clock["answers"])

    world.failing = failing
    world.crawl()
    assert len(seen) == 9
    assert seen[-1] - seen[0] <= 40


@pytest.mark.long
def test_what_is_under_way_is_bounded() -> None:
    """10,000 registries wait as names; a few for each slot are tasks, small or not."""
    for pages in (1, 3):
        world = World({"kr": registries(10_000, pages), "sgn": registries(10_000, pages)}, slots=16)
        world.crawl(until_s=400)
        assert max(world.tasks.values()) <= TASKS_A_SLOT * 8


# ── retries ──


def test_retries_come_first_when_due_and_not_before() -> None:
    """A page to be tried again waits for its time, and then goes before everything else."""
    queue = queue_of("kr", "a", "b", "c", "d")
    schedule = Schedule(8, [queue])
    jobs = [taken[1] for _ in range(2) if (taken := schedule.take(0.0))]
    queue.in_flight = 0
    queue.retry_at(jobs[0], 5.0)
    queue.retry_at(jobs[1], 4.0)
    assert schedule.next_due_s == 4.0
    order = [taken[1] for now_s in (3.9, 4.0, 9.0, 9.0) if (taken := schedule.take(now_s))]
    assert [registry_of(job.task) for job in order] == ["c", "b", "a", "d"]
    assert schedule.next_due_s == inf


def test_a_retry_that_is_due_wakes_nobody_while_its_region_is_full() -> None:
    """Else an idle worker would turn in circles until an answer makes room."""
    full, other = queue_of("kr", *registries(50)), queue_of("sgn", "a")
    schedule = Schedule(4, [full, other])
    jobs = [taken for _ in range(3) if (taken := schedule.take(0.0))]
    retried = next(job for queue, job in jobs if queue is full)
    full.retry_at(retried, 1.0)
    full.in_flight = 2
    assert schedule.take(2.0) is None
    assert schedule.next_due_s == inf
    full.in_flight = 1
    assert schedule.next_due_s == 1.0
    taken = schedule.take(2.0)
    assert taken is not None
    assert taken[1] is retried


def test_a_held_region_is_probed_when_it_is_time_and_takes_no_share() -> None:
    """While it is held nothing of it goes out but one probe, and the others have all the slots."""
    down, up = queue_of("kr", *registries(50)), queue_of("sgn", *registries(50))
    schedule = Schedule(8, [down, up])
    while not down.health.failed(100.0, 0.0, tries=0, is_probe=False, asked_s=0.0):
        pass
    taken = [found[0] for _ in range(9) if (found := schedule.take(100.0))]
    assert taken == [up] * 8
    assert schedule.next_due_s == down.health.probe_at_s
    probe = schedule.take(down.health.probe_at_s)
    assert probe is not None
    assert (probe[0], probe[1].is_probe, probe[1].page, registry_of(probe[1].task)) == (down, True, 1, None)
    assert schedule.take(down.health.probe_at_s) is None
    assert schedule.next_due_s == inf
    assert down.probe is probe[1].task


def test_a_probe_asks_for_no_large_page() -> None:
    """A gateway whose large pages fail would never end a hold that such a page is to end."""
    queue = RegionQueue(
        KR,
        lambda *_: ListingTask(KR, REGISTRIES, (), Listing(PageSize(1000), VerifyMode.AUTO), b"", started_ms=0),
        REGISTRIES,
    )
    queue.waiting.expect_top(REGISTRIES)
    while not queue.health.failed(100.0, 0.0, tries=0, is_probe=False, asked_s=0.0):
        pass
    probe = queue.take(queue.health.probe_at_s, 8)
    assert probe is not None
    assert (probe.is_probe, probe.page_size) == (True, 100)


def test_a_held_region_that_is_finished_wakes_nobody() -> None:
    """Its last page was given up while it was held: a probe that nobody sends must not be due for ever."""
    down, up = queue_of("kr"), queue_of("sgn", "slow", proved=False)
    schedule = Schedule(8, [down, up])
    while not down.health.failed(100.0, 0.0, tries=0, is_probe=False, asked_s=0.0):
        pass
    assert schedule.take(100.0) is not None
    assert schedule.take(down.health.probe_at_s) is None
    assert schedule.next_due_s == inf


def test_nothing_to_do() -> None:
    """Without registries, and without regions, it is finished at once."""
    for queues in ([], [queue_of("kr")]):
        schedule = Schedule(4, queues)
        assert schedule.is_finished
        assert schedule.take(0.0) is None
        assert schedule.next_due_s == inf


# ── finding out how large a page is, and waiting before a second look ──


def unknowing(size: PageSize) -> Callable[[Region, Collection, tuple[str, ...]], ListingTask]:
    """Make tasks of a kind of list whose page size nobody knows yet."""
    return lambda region, collection, within: ListingTask(
        region, collection, within, Listing(size, VerifyMode.AUTO), b"", started_ms=0
    )


def test_one_listing_finds_out_how_large_a_page_is() -> None:
    """The others of its kind wait for its first page, however many slots are free."""
    size = PageSize(1000)
    queue = RegionQueue(Region("kr", "/kr"), unknowing(size), REGISTRIES, proved=True)
    expect(queue, "abc")
    schedule = Schedule(8, [queue])
    taken = schedule.take(0.0)
    assert taken is not None
    assert schedule.take(0.0) is None
    size.given(1000)
    assert schedule.take(0.0) is not None
    assert schedule.take(0.0) is not None


def test_a_few_listings_that_tell_nothing_are_enough() -> None:
    """Where the first ones are refused, the others are not begun one by one for ever."""
    queue = RegionQueue(Region("kr", "/kr"), unknowing(PageSize(1000)), REGISTRIES, proved=True)
    expect(queue, map(str, range(MOST_SCOUTS + 5)))
    schedule = Schedule(16, [queue])
    for _ in range(MOST_SCOUTS):
        taken = schedule.take(0.0)
        assert taken is not None
        assert schedule.take(0.0) is None
        queue.tasks.remove(taken[1].task)
        queue.in_flight -= 1
    assert sum(schedule.take(0.0) is not None for _ in range(10)) == 5


def test_a_walk_that_rests_is_asked_when_its_time_has_come() -> None:
    """Others are begun in its place meanwhile, and somebody is woken for it."""
    queue = queue_of("kr", *map(str, range(20)))
    schedule = Schedule(1, [queue])
    taken = schedule.take(0.0)
    assert taken is not None
    task = taken[1].task
    task.listing.receive(1, Page(20, 2, ["a"], [b"}"]))
    queue.in_flight = 0
    queue.enlist_at(task, 5.0)
    assert queue.next_due_s == 5.0
    other = queue.take(4.9, TASKS_A_SLOT)
    assert other is not None
    assert other.task is not task
    again = [queue.take(5.0, TASKS_A_SLOT) for _ in range(3)]
    assert task in [job.task for job in again if job is not None]


def test_walks_that_rest_are_bounded() -> None:
    """What they hold are their names."""
    queue = queue_of("kr", *map(str, range(100)))
    begun = 0
    while (job := queue.take(0.0, TASKS_A_SLOT)) is not None:
        job.task.listing.receive(job.page, Page(9, 2, [f"{begun}"], [b"}"]))
        queue.enlist_at(job.task, 1000.0)
        begun += 1
    assert begun == RESTING_FOR_EACH * TASKS_A_SLOT
