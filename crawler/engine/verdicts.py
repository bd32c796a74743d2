"""Give every listing its verdict, once; what a 404 meant is decided by the parent's list, which is read after it.

One page of the provider's documents explains 404/300 as "no permission", and one back-end may lag behind the others.
So what another list named, and what answers 404, has no verdict yet. When nothing else that this list named is left to
do, the list is read once more: what it still names is there, and denied; what it lacks is gone. Where that list is not
there itself any more, the one above it is read: what that lacks is gone with all that it held. Where the table says
that what is gone may fail in other ways too, so is what kept failing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.core.events import ListingEnded
from crawler.core.model import Verdict
from crawler.core.sums import Sums, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Collection as Names

    from crawler.core.collection import Collection
    from crawler.core.events import Observer
    from crawler.core.model import ListingResult
    from crawler.engine.scheduler import RegionQueue
    from crawler.engine.spec import CrawlSpec, StopReason
    from crawler.engine.tasks import ListingTask

    Ended = list[tuple[ListingTask, ListingResult]]


class Verdicts:
    """The verdicts of one crawl.

    Mutable state: the results so far, those that are plain as sums; and by region and list those that answered 404 and
    wait for what shows why.

    Attributes:
        beside: what only cost requests: lists that were read once more, and probes.
        listed: how many lists of each kind have their verdict.
        pages: how many pages they took.
        taken_over: how many lists of each kind an earlier run had, so that nobody asked for them.
    """

    def __init__(self, spec: CrawlSpec, observe: Observer, now_ms: Callable[[], int]) -> None:
        self.beside: list[ListingResult] = []
        self.listed: Counter[Collection] = Counter()
        self.pages: Counter[Collection] = Counter()
        self.taken_over: Counter[Collection] = Counter()
        self._results: list[ListingResult] = []
        self._sums = Sums()
        self._observe = observe
        self._now_ms = now_ms
        self._expected_gaps = spec.expected_gaps
        self._suspects: defaultdict[tuple[str, tuple[str, ...]], list[ListingTask]] = defaultdict(list)

    @property
    def results(self) -> list[ListingResult]:
        """How listings ended, in the order of their verdicts; then sums of what is whole below registries' lists."""
        return [*self._results, *self._sums]

    @property
    def undecided(self) -> Counter[Collection]:
        """How many lists of each kind answered 404 and have no verdict yet."""
        return Counter(task.collection for tasks in self._suspects.values() for task in tasks)

    def is_undecided(self, region: str, within: tuple[str, ...]) -> bool:
        """Whether something answered 404 that the list within these names had named, and has no verdict yet."""
        return (region, within) in self._suspects

    def end(self, task: ListingTask) -> Ended:
        """Take in that a listing is over; return those that have their verdict now: it, or none, or many."""
        if task.named is not None:
            return self._decide(task, task.named)
        if _is_suspect(task):
            self._suspects[task.region.code, task.within[:-1]].append(task)
            return []
        return [(task, self._note(task.result(self._now_ms()), may_sum_up=not task.is_asked_for))]

    def abandon(self, queue: RegionQueue, stop: StopReason | None, reason: str) -> None:
        """Give every listing of a region that has none its verdict, because the crawl is over.

        Args:
            queue: the region's; nothing is left in it.
            stop: what ended the crawl early, if anything did.
            reason: why, for people.
        """
        in_region = _why(reason, queue, stop, trouble=queue.last_trouble)
        for task in queue.tasks:
            self._cut_off(task, _why(reason, queue, stop, trouble=task.trouble) if task.trouble else in_region)
        queue.tasks.clear()
        queue.waiting.release_all()
        not_begun = f"not begun: {in_region}"
        while (due := queue.begin_next()) is not None:
            self._cut_off(due, not_begun)
            queue.tasks.clear()  # there may be a million of them
        for region, within in list(self._suspects):
            if region == queue.region.code:
                self._judge(region, within, (), doubt=in_region)
        if queue.probe is not None:
            queue.probe.listing.abandon("a probe")
            self.beside.append(queue.probe.result(queue.probe.started_ms))

    def _cut_off(self, task: ListingTask, reason: str) -> None:
        task.listing.abandon(reason)
        if task.named is not None:
            self._decide(task, task.named)
        else:
            self._note(task.result(self._now_ms()))

    def _decide(self, again: ListingTask, named: Names[str]) -> Ended:
        """Judge what answered 404 by the list that was read after it; not yet, where that may be gone as well."""
        listed = again.result(self._now_ms())
        self.beside.append(listed)
        if not listed.exists and again.within and not again.is_asked_for:
            return []
        doubt, about = None, again.about
        if not listed.verdict.is_whole:
            doubt = f"the list of {again.collection.name} read after it: {listed.reason}"
        if about is None:
            return self._judge(again.region.code, again.within, named, doubt=doubt)
        if about[len(again.within)] in named:
            doubt = f"its own list answers so as well, although that of {again.collection.name} still names it"
        return self._judge(again.region.code, about, (), doubt=doubt)

    def _judge(self, region: str, within: tuple[str, ...], named: Names[str], *, doubt: str | None) -> Ended:
        """Give what answered 404 its verdict.

        Args:
            region: its code.
            within: what the list that named it is within.
            named: what that list still names.
            doubt: why the list does not prove that the others are gone, or None.
        """
        ended = []
        for task in self._suspects.pop((region, within), []):
            result = task.result(self._now_ms())
            if task.within[-1] in named:
                parent = task.collection.lineage[-2]
                verdict = result.verdict if result.exists else Verdict.DENIED
                more = f", although the list of {parent.name} read after it still names it"
            elif doubt is None:
                verdict, more = Verdict.GONE, ""
            else:
                verdict, more = Verdict.FAILED, f"; whether it is gone could not be confirmed: {doubt}"
            ended.append((task, self._note(replace(result, verdict=verdict, reason=f"{result.reason}{more}"))))
        return ended

    def _note(self, result: ListingResult, *, may_sum_up: bool = False) -> ListingResult:
        (self._sums.add if may_sum_up and is_plain(result) else self._results.append)(result)
        self.listed[result.collection] += 1
        self.pages[result.collection] += result.pages
        is_expected = bool(result.within and self._expected_gaps.match(result.region, result.within[0]))
        told = (result.region, result.collection, result.within, result.verdict, result.reason, result.records)
        self._observe(ListingEnded(*told, is_expected=is_expected))
        return result


def _is_suspect(task: ListingTask) -> bool:
    """Whether what another list had named may be gone: it answered 404, or failed in a way in which that may show."""
    if not task.within or task.is_asked_for or not task.requests:
        return False
    outcome = task.listing.outcome
    assert outcome is not None
    is_failed = outcome.verdict is Verdict.FAILED and task.collection.fails_when_gone
    return outcome.verdict is Verdict.GONE or is_failed


def _why(reason: str, queue: RegionQueue, stop: StopReason | None, *, trouble: str) -> str:
    """Return why a listing was cut off, with what went wrong last where that may be why its time did not suffice."""
    is_held = queue.health.is_held
    last = f"; last: {trouble}" if trouble and (is_held or stop is None or not stop.is_cause) else ""
    return f"{reason}{last}{'; the region was held' if is_held else ''}"
