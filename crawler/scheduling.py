"""Decide whose page is fetched next, so that no region and no registry starves another. Pure: times are passed in.

Two levels. Among regions: the one with the fewest requests in flight goes first, and none may hold more than its share
of the slots while others are unfinished, so a slow region cannot fill them. Within a region: pages to try again whose
time has come, then the walks by turns, a few pages a turn, and after each turn a few registries are begun, so one of
1,000 pages and 300 of one page go on side by side. Costs: O(regions) a page, O(log retries) a retry.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.listing import Listing
    from crawler.model import Region

PAGES_A_TURN = 8
"""Pages of one walk close together leave its registry less time to change in between."""
WALKS_A_SLOT = 4
"""Walks under way in a region, for each of its slots: enough to keep them busy, and a bound on memory."""


@dataclass(slots=True, eq=False)
class Walk:
    """One listing under way: a registry's images, or with ``registry`` None a region's registries.

    Attributes:
        prefix: how each of its lines begins.
        started_ms: milliseconds since 1970, UTC.
        requests: wire attempts, counted where they are made.
        tries: fetches begun, the first of each page among them.
        throttled: answers that said "too fast".
        overridden: records that brought a field of ours along.
    """

    region: Region
    registry: str | None
    listing: Listing
    prefix: bytes
    started_ms: int
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    overridden: int = 0
    is_in_round: bool = False


@dataclass(slots=True)
class Job:
    """One page of one walk to be fetched; ``tries`` counts the ones that failed."""

    walk: Walk
    page: int
    page_size: int | None
    tries: int = 0


@dataclass(slots=True, eq=False)
class RegionQueue:
    """What is to be done in one region.

    Attributes:
        begin: makes the walk of a registry.
        waiting: registries whose listing has not begun: names only, so that 10,000 cost little.
        walks: listings under way.
        proved: an answer was had, so that more than one request at once is worth it.
    """

    region: Region
    begin: Callable[[Region, str | None], Walk]
    waiting: deque[str | None] = field(default_factory=deque)
    walks: set[Walk] = field(default_factory=set)
    in_flight: int = 0
    proved: bool = False
    _round: deque[Walk] = field(default_factory=deque)
    _retries: list[tuple[float, int, Job]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _pages_left: int = PAGES_A_TURN
    _begins_left: int = PAGES_A_TURN

    @property
    def is_finished(self) -> bool:
        """Nothing waits, nothing is under way."""
        return not (self.waiting or self.walks)

    @property
    def next_retry_s(self) -> float:
        """When the next page may be tried again; infinity if none waits."""
        return self._retries[0][0] if self._retries else inf

    def enlist(self, walk: Walk) -> None:
        """Give a walk that has pages to ask for its place in the round."""
        if not walk.is_in_round and walk.listing.has_work:
            walk.is_in_round = True
            self._round.append(walk)

    def retry_at(self, job: Job, due_s: float) -> None:
        """Put a page back that is to be tried again at ``due_s``."""
        heappush(self._retries, (due_s, next(self._order), job))

    def take(self, now_s: float, most_walks: int) -> Job | None:
        """Return the next page to fetch in this region; None if there is none now."""
        if self.next_retry_s <= now_s:
            return heappop(self._retries)[2]
        may_begin = bool(self.waiting) and len(self.walks) < most_walks
        if may_begin and self._begins_left:
            self._begins_left -= 1
            return self._begin_next()
        return self._take_turn() or (self._begin_next() if may_begin else None)

    def _begin_next(self) -> Job:
        walk = self.begin(self.region, self.waiting.popleft())
        self.walks.add(walk)
        page = walk.listing.next_page()
        assert page is not None
        return Job(walk, page, walk.listing.page_size)

    def _take_turn(self) -> Job | None:
        while self._round:
            walk = self._round[0]
            if self._pages_left and (page := walk.listing.next_page()) is not None:
                self._pages_left -= 1
                return Job(walk, page, walk.listing.page_size)
            self._round.popleft()
            walk.is_in_round = False
            self.enlist(walk)
            self._pages_left = self._begins_left = PAGES_A_TURN
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
    def next_retry_s(self) -> float:
        """When the next page may be tried again; infinity if none waits."""
        return min(queue.next_retry_s for queue in self._queues)

    def take(self, now_s: float) -> tuple[RegionQueue, Job] | None:
        """Return the next page to fetch and count it as in flight; None if there is none now."""
        unfinished = [queue for queue in self._queues if not queue.is_finished]
        share = ceil(self._slots / max(len(unfinished), 1))
        for queue in sorted(unfinished, key=lambda queue: queue.in_flight):
            if queue.in_flight < (share if queue.proved else 1):
                job = queue.take(now_s, WALKS_A_SLOT * share)
                if job is not None:
                    queue.in_flight += 1
                    return queue, job
        return None
