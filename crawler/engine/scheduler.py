"""Decide whose page is fetched next, so that no region and no registry starves another. Pure: times are passed in.

Two levels. Among regions: they go by turns, and none may hold more than its share of the slots while others are
unfinished, so a slow region cannot fill them; one that is held gets a probe now and then. Within a region: pages to try
again whose time has come, then the oldest tasks by turns, a few pages a turn, and after each turn a few lists are begun
(`families` says which), so one of 1,000 pages and 300 of one page go on side by side. Only the oldest: the pages of a
list close together leave it less time to change in between, and what a listing holds are its names.
Costs: O(regions) a page, O(tasks under way) a task that gets more pages to ask for, O(log retries) a retry.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf
from operator import attrgetter
from typing import TYPE_CHECKING

from crawler.engine.families import Families
from crawler.engine.page_size import SMALL
from crawler.engine.retry_policy import CircuitBreaker
from crawler.engine.size_search import SizeSearch
from crawler.engine.tasks import ListingTask, PageTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.collection import Collection
    from crawler.core.model import Region

PAGES_A_TURN = (8, 2)
"""Pages that a region's oldest task is asked for, and then the next one, by turns; the others have had their first
page, and wait. Not as many of the next: both would hold all their names at the end."""
MOST_SCOUTS = 20
"""Listings of a kind that are begun one at a time to learn the page size; those that are refused tell nothing."""
TASKS_A_SLOT = 2
"""Listings under way in a region, for each of its slots: enough to keep them busy, and a bound on memory."""
RESTING_FOR_EACH = 4
"""So many times as many may be under way while most of them wait for their second look."""


@dataclass(slots=True, eq=False)
class RegionQueue:
    """What is to be done in one region.

    Attributes:
        begin: makes the task of a list; None if there is nothing to do for it.
        top: the list that a probe asks for.
        waiting: lists that have not begun.
        tasks: listings under way.
        proved: an answer was had, so that more than one request at once is worth it.
        health: whether the region is held.
        probe: what probes of a held region are counted on.
        trouble: what went wrong last, if anything did that was worth another try.
        search: for a page size, after large first pages failed.
    """

    region: Region
    begin: Callable[[Region, Collection, tuple[str, ...]], ListingTask | None]
    top: Collection
    waiting: Families = field(default_factory=Families)
    tasks: set[ListingTask] = field(default_factory=set)
    in_flight: int = 0
    proved: bool = False
    health: CircuitBreaker = field(default_factory=CircuitBreaker)
    trouble: str = ""
    probe: ListingTask | None = None
    search: SizeSearch = field(default_factory=SizeSearch)
    _scout: ListingTask | None = None
    _scouts: Counter[Collection] = field(default_factory=Counter)
    _round: list[ListingTask] = field(default_factory=list)
    _turn: int = 0
    _begun: int = 0
    _retries: list[tuple[float, int, PageTask]] = field(default_factory=list)
    _resting: list[tuple[float, int, ListingTask]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _pages_taken: int = 0
    _begins_left: int = PAGES_A_TURN[0]

    @property
    def is_finished(self) -> bool:
        """Nothing waits, nothing is under way."""
        return not (self.tasks or self.waiting)

    @property
    def next_due_s(self) -> float:
        """When there is something to do that only waits for its time: a probe or a retry; infinity if nothing is."""
        if self.health.is_held:
            return inf if self.in_flight else self.health.probe_at_s
        return min(self._retries[0][0] if self._retries else inf, self._resting[0][0] if self._resting else inf)

    @property
    def last_trouble(self) -> str:
        """What went wrong last, or that nothing was answered at all; empty if nothing is known to be wrong."""
        is_silent = not self.proved and any(task.requests for task in self.tasks)
        return self.trouble or ("no answer so far" if is_silent else "")

    def has_room(self, share: int) -> bool:
        """Whether one more request may go out now; before the first answer one at a time is all."""
        return self.in_flight < (share if self.proved else 1)

    def add(self, task: ListingTask) -> None:
        """Take up a task: it is the youngest of the region."""
        task.age, self._begun = self._begun, self._begun + 1
        self.tasks.add(task)

    def enlist(self, task: ListingTask) -> None:
        """Give a task that has pages to ask for its place in the round, which is in the order of their ages."""
        if not task.is_in_round and task.listing.has_work:
            task.is_in_round = True
            insort(self._round, task, key=attrgetter("age"))

    def enlist_at(self, task: ListingTask, due_s: float) -> None:
        """Let a task rest until ``due_s``, and then give it its place in the round."""
        heappush(self._resting, (due_s, next(self._order), task))

    def retry_at(self, job: PageTask, due_s: float) -> None:
        """Put a page back that is to be tried again at ``due_s``."""
        heappush(self._retries, (due_s, next(self._order), job))

    def take(self, now_s: float, most_tasks: int) -> PageTask | None:
        """Return the next page to fetch in this region; None if there is none now."""
        if self.health.is_held:
            return self._probe() if self.next_due_s <= now_s else None
        while self._resting and self._resting[0][0] <= now_s:
            self.enlist(heappop(self._resting)[2])
        if self._retries and self._retries[0][0] <= now_s:
            return heappop(self._retries)[2]
        if (resumed := self.search.resume(self.tasks)) is not None:
            return resumed
        may_begin = bool(self.waiting) and self._has_room_for_task(most_tasks) and not self._is_scouting
        if may_begin and self._begins_left and (job := self._first_page()) is not None:
            self._begins_left -= 1
            return job
        return self._take_turn() or (self._first_page() if may_begin else None)

    def _has_room_for_task(self, most: int) -> bool:
        """Whether one more listing may be begun: those that rest keep no slot busy, and their names in memory."""
        return len(self.tasks) - len(self._resting) < most and len(self.tasks) < RESTING_FOR_EACH * most

    @property
    def _is_scouting(self) -> bool:
        """Whether a listing under way is to find out how large a page is given before others ask for the same."""
        scout = self._scout
        is_first = scout is not None and scout in self.tasks and not scout.listing.size.is_known
        return is_first or self.search.is_crowded(self.tasks)

    def _probe(self) -> PageTask:
        """Return a request for the list of registries, which is sure to be there, and for a page that is not large."""
        self.probe = self.probe or self.begin(self.region, self.top, ())
        assert self.probe is not None
        return PageTask(self.probe, 1, min(self.probe.listing.page_size or SMALL, SMALL), is_probe=True)

    def begin_next(self) -> ListingTask | None:
        """Begin the next list that waits, and return it; None if nothing waits any more."""
        while (due := self.waiting.begin()) is not None:
            task = self.begin(self.region, *due)
            if task is not None:
                self.add(task)
                return task
        return None

    def _first_page(self) -> PageTask | None:
        task = self.begin_next()
        if task is None:
            return None
        if not task.listing.size.is_known and self._scouts[task.collection] < MOST_SCOUTS:
            self._scout = task
            self._scouts[task.collection] += 1
        self.search.begun(task)
        page = task.listing.next_page()
        assert page is not None
        return PageTask(task, page, task.listing.page_size)

    def _take_turn(self) -> PageTask | None:
        while self._round:
            at = self._turn % min(len(self._round), len(PAGES_A_TURN))
            task = self._round[at]
            if self._pages_taken < PAGES_A_TURN[at] and (page := task.listing.next_page()) is not None:
                self._pages_taken += 1
                return PageTask(task, page, task.listing.page_size)
            if task.listing.has_work:
                self._turn = at + 1
            else:
                task.is_in_round = False
                del self._round[at]
            self._pages_taken, self._begins_left = 0, PAGES_A_TURN[at]
        return None


class Schedule:
    """The queues of all regions and the slots that they share.

    Args:
        slots: requests in flight at most, over everything.
        queues: one for each region.
    """

    def __init__(self, slots: int, queues: list[RegionQueue]) -> None:
        self._slots = slots
        self._queues = queues

    @property
    def is_finished(self) -> bool:
        """Nothing is left to do, in any region."""
        return all(queue.is_finished for queue in self._queues)

    @property
    def next_due_s(self) -> float:
        """When there is something to do that only waits for its time, not for an answer; infinity if nothing is."""
        share = self._share()
        able = (queue for queue in self._queues if not queue.is_finished and queue.has_room(share))
        return min((queue.next_due_s for queue in able), default=inf)

    def take(self, now_s: float) -> tuple[RegionQueue, PageTask] | None:
        """Return the next page to fetch and count it as in flight; None if there is none now."""
        share = self._share()
        for queue in self._queues:
            if not queue.is_finished and queue.has_room(share):
                job = queue.take(now_s, TASKS_A_SLOT * share)
                if job is not None:
                    queue.in_flight += 1
                    self._queues.remove(queue)
                    self._queues.append(queue)  # whoever was served last comes last next time
                    return queue, job
        return None

    def _share(self) -> int:
        """Return the slots that each region may hold: those that are done or held need none."""
        sharing = sum(not (queue.is_finished or queue.health.is_held) for queue in self._queues)
        return ceil(self._slots / max(sharing, 1))
