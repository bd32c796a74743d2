"""Give every listing its verdict, once; what a 404 meant is decided by a list of registries that is read after it.

One page of the provider's documents explains 404/300 as "no permission", and one back-end may lag behind the others.
So a discovered registry that answers 404 has no verdict yet. When its region has nothing else left to do, the region's
list of registries is read once more: what that still names is there, and denied; what it lacks is gone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.core.events import ListingEnded
from crawler.core.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from crawler.core.events import Observer
    from crawler.core.model import ListingResult
    from crawler.engine.scheduler import ListingTask, RegionQueue
    from crawler.engine.spec import CrawlSpec, StopReason

    Ended = list[tuple[ListingTask, ListingResult]]


class Verdicts:
    """The verdicts of one crawl.

    Mutable state: the results so far, and by region the listings that answered 404 and wait for what shows why.

    Attributes:
        results: how listings ended, in the order of their verdicts.
        beside: what only cost requests: lists that were read once more, and probes.
    """

    def __init__(self, spec: CrawlSpec, observe: Observer, now_ms: Callable[[], int]) -> None:
        self.results: list[ListingResult] = []
        self.beside: list[ListingResult] = []
        self._observe = observe
        self._now_ms = now_ms
        self._are_discovered = spec.registries is None
        self._expected_gaps = spec.expected_gaps
        self._suspects: defaultdict[str, list[ListingTask]] = defaultdict(list)

    @property
    def undecided(self) -> int:
        """How many registries answered 404 and have no verdict yet."""
        return sum(map(len, self._suspects.values()))

    def is_undecided(self, region: str) -> bool:
        """Whether registries of ``region`` answered 404 and have no verdict yet."""
        return bool(self._suspects[region])

    def end(self, task: ListingTask) -> Ended:
        """Take in that a listing is over; return those that have their verdict now: it, or none, or many."""
        if task.named is not None:
            return self._decide(task, task.named)
        outcome = task.listing.outcome
        assert outcome is not None
        if outcome.verdict is Verdict.GONE and task.registry is not None and self._are_discovered:
            self._suspects[task.region.code].append(task)
            return []
        return [(task, self._note(task.result(self._now_ms())))]

    def abandon(self, queue: RegionQueue, stop: StopReason | None, reason: str) -> None:
        """Give every listing of a region that has none its verdict, because the crawl is over.

        Args:
            queue: the region's; nothing is left in it.
            stop: what ended the crawl early, if anything did.
            reason: why, for people.
        """
        in_region = _why(reason, queue, stop, queue.last_trouble)
        for task in queue.tasks:
            task.listing.abandon(_why(reason, queue, stop, task.trouble) if task.trouble else in_region)
            self.end(task)
        queue.tasks.clear()
        for registry in queue.waiting:
            task = queue.begin(queue.region, registry)
            task.listing.abandon(f"not begun: {in_region}")
            self.end(task)
        queue.waiting.clear()
        self._judge(queue.region.code, (), in_region)
        if queue.probe is not None:
            queue.probe.listing.abandon("a probe")
            self.beside.append(queue.probe.result(queue.probe.started_ms))

    def _decide(self, again: ListingTask, named: Collection[str]) -> Ended:
        """Judge what answered 404 by the list of registries that was read after it."""
        listed = again.result(self._now_ms())
        self.beside.append(listed)
        doubt = None if listed.verdict.is_whole else f"the list of registries read after it: {listed.reason}"
        return self._judge(again.region.code, named, doubt)

    def _judge(self, region: str, named: Collection[str], doubt: str | None) -> Ended:
        """Give the registries of a region that answered 404 their verdicts.

        Args:
            region: its code.
            named: those that the list still names.
            doubt: why the list does not prove that the others are gone, or None.
        """
        ended = []
        for task in self._suspects.pop(region, []):
            result = task.result(self._now_ms())
            if task.registry in named:
                verdict, more = Verdict.DENIED, ", although the list of registries read after it still names it"
            elif doubt is None:
                verdict, more = Verdict.GONE, ""
            else:
                verdict, more = Verdict.FAILED, f"; whether it is gone could not be confirmed: {doubt}"
            ended.append((task, self._note(replace(result, verdict=verdict, reason=f"{result.reason}{more}"))))
        return ended

    def _note(self, result: ListingResult) -> ListingResult:
        self.results.append(result)
        region, registry = result.region, result.registry
        is_expected = bool(registry and self._expected_gaps.match(region, registry))
        self._observe(ListingEnded(region, registry, result.verdict, result.reason, result.images, is_expected))
        return result


def _why(reason: str, queue: RegionQueue, stop: StopReason | None, trouble: str) -> str:
    """Return why a listing was cut off, with what went wrong last where that may be why its time did not suffice."""
    is_held = queue.health.is_held
    last = f"; last: {trouble}" if trouble and (is_held or stop is None or not stop.is_cause) else ""
    return f"{reason}{last}{'; the region was held' if is_held else ''}"
