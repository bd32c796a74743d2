"""The crawl: one task group, a fixed set of workers, and a task for every listing under way.

A worker takes a page from the schedule, fetches it, feeds it to its task's listing and hands fresh records to the
output. The two ways back, "next page" and "try again", both end in the schedule. The crawl is over when no region has
anything left, or when it is stopped; then every listing gets its verdict all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from itertools import islice
from math import inf
from operator import le
from typing import TYPE_CHECKING

import anyio

from crawler.api.records import line_prefix
from crawler.core.errors import CredentialsError, InvalidNameError, RequestError
from crawler.core.events import FieldOverridden, RunStopped
from crawler.core.model import PageRequest, VerifyMode
from crawler.engine.discovery import Discovery
from crawler.engine.failed_tries import FailedTries
from crawler.engine.listing import Listing
from crawler.engine.page_size import page_sizes
from crawler.engine.retry_policy import Action
from crawler.engine.scheduler import RegionQueue, Schedule
from crawler.engine.spec import CrawlResult, StopReason, told_stop, without_wrong_regions
from crawler.engine.standing import standing
from crawler.engine.taking_over import take_over
from crawler.engine.task_groups import one_error
from crawler.engine.tasks import ListingTask
from crawler.engine.verdicts import Verdicts

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.core.events import Observer
    from crawler.core.model import Page, Region
    from crawler.engine.interfaces import Fetcher, Output
    from crawler.engine.passes import Failure
    from crawler.engine.spec import CrawlSpec, Earlier
    from crawler.engine.standing import Standing
    from crawler.engine.tasks import PageTask

FLUSH_EVERY_S = 0.25
SETTLE_S = 1.0
"""Back-ends that lag by less cannot hide what was pushed meanwhile from two passes that are so far apart."""


class Crawl:
    """One run. Mutable state: the schedule, the results so far, and the workers that wait for something to do."""

    def __init__(self, spec: CrawlSpec, fetcher: Fetcher, output: Output, *, observe: Observer) -> None:
        self._spec = spec
        self._fetcher = fetcher
        self._output = output
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._epoch_s = time.time() - self._loop.time()  # a wall clock that jumps in mid-run changes no duration
        self._discovery = Discovery(spec)
        self._queues = {region.code: RegionQueue(region, self._begin, self._discovery.top) for region in spec.regions}
        self._schedule = Schedule(spec.concurrency, list(self._queues.values()))
        self._page_sizes = {region.code: page_sizes(spec.page_size, spec.level) for region in spec.regions}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._scope = anyio.CancelScope()
        self._verdicts = Verdicts(spec, observe, self._now_ms)
        self._failed_tries = FailedTries(fetcher, observe, dialect=spec.dialect, stop=self.stop, now_s=self._loop.time)
        self._stop: StopReason | None = None
        self._stop_reason: str | None = None
        self._stop_told: str | None = None
        self._warned_of_override = False
        self._found: Counter[Collection] = Counter()
        self._flushing = anyio.CancelScope()

    async def run(self) -> CrawlResult:
        """Crawl until everything has its verdict, or `stop` is called, or the deadline comes.

        Raises:
            OutputError: the output cannot be written.
        """
        self._discovery.begin(self._queues)
        with self._scope:
            self._scope.deadline = anyio.current_time() + self._spec.deadline_s
            with one_error():
                await self._run_workers()
            await self._output.flush()
        if self._scope.cancelled_caught and self._stop is None:
            self._note_stop(StopReason.DEADLINE, StopReason.DEADLINE.value)
        for queue in self._queues.values():
            self._verdicts.abandon(queue, self._stop, self._stop_reason or "")
        return self._result()

    def _result(self) -> CrawlResult:
        results = self._verdicts.results
        found, absent = without_wrong_regions([one for one in results if one.within], self._spec)
        return CrawlResult(
            registries=[one for one in found if one.depth == 1],
            discoveries=[one for one in results if not one.within],
            deeper=[one for one in found if one.depth > 1],
            stop=self._stop,
            stop_reason=self._stop_reason,
            stop_told=self._stop_told,
            rate_per_s=self._failed_tries.rate_per_s,
            clock_offset_s=self._fetcher.clock_offset_s,
            beside=[*absent, *self._verdicts.beside],
            excluded=self._discovery.excluded,
            expected_gaps=self._spec.expected_gaps,
        )

    async def _run_workers(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(self._spec.concurrency):
                group.start_soon(self._work)
            with anyio.CancelScope() as self._flushing:
                while True:
                    await anyio.sleep(FLUSH_EVERY_S)
                    await self._output.flush()

    def stop(self, why: StopReason, reason: str | None = None) -> None:
        """End the crawl now: no request is begun any more, what was had is kept."""
        if self._stop is None:
            self._note_stop(why, reason or why.value)
            self._scope.cancel()

    @property
    def level(self) -> Collection:
        """How deep it goes."""
        return self._spec.level

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        queues, now_s = list(self._queues.values()), self._loop.time()
        return standing(queues, self._verdicts, self._found, level=self._spec.level, now_s=now_s)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._scope.deadline - anyio.current_time())

    def _note_stop(self, why: StopReason, reason: str) -> None:
        """Take down why the crawl stops, and say so: what a region lacked when the deadline came is the cause."""
        cut_off = [queue for queue in self._queues.values() if why is StopReason.DEADLINE and not queue.is_finished]
        told = told_stop(reason, {queue.region.code: queue.last_trouble for queue in cut_off})
        self._stop, self._stop_reason, self._stop_told = why, reason, told
        self._observe(RunStopped(told))

    def _begin(self, region: Region, collection: Collection, within: tuple[str, ...]) -> ListingTask | None:
        """Return the task of a list; None where an earlier run has it, so that only its children are left to do."""
        if self._discovery.is_finished(region.code, collection, within):
            queue = self._queues[region.code]
            self._discovery.take_up(queue, collection, within)
            self._left(queue, within)
            return None
        return self._task(region, collection, within)

    def _task(self, region: Region, collection: Collection, within: tuple[str, ...]) -> ListingTask:
        return ListingTask(
            region,
            collection,
            within,
            Listing(self._page_sizes[region.code][collection], self._spec.verify),
            line_prefix(collection.fields, (self._spec.account, region.code, *within)),
            started_ms=self._now_ms(),
            is_asked_for=self._discovery.is_asked_for(region.code, within),
        )

    def _now_ms(self) -> int:
        return int((self._epoch_s + self._loop.time()) * 1000)

    async def _work(self) -> None:
        while self._stop is None:
            taken = self._schedule.take(self._loop.time())
            if taken is not None:
                self._wake_one()  # where there was one page there may be more
                await self._try(*taken)
            elif self._schedule.is_finished:
                break
            else:
                await self._wait()
        while self._idle:
            self._wake_one()
        self._flushing.cancel()

    async def _wait(self) -> None:
        """Wait until there may be something to do: an answer came, or a retry is due."""
        place = self._loop.create_future()
        self._idle.append(place)
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._schedule.next_due_s
        self._timer = self._loop.call_at(due_s, self._wake_one) if due_s < inf else None
        await place

    def _wake_one(self) -> None:
        if self._idle and not (place := self._idle.popleft()).done():
            place.set_result(None)

    async def _try(self, queue: RegionQueue, job: PageTask) -> None:
        task = job.task
        request = PageRequest(task.region, task.collection, task.within, job.page, job.page_size)
        try:
            body = await self._fetcher.fetch(request, task)
            page = self._spec.dialect.decode(body, task.collection, job.page)
        except RequestError as error:
            await self._lost(queue, job, self._failed_tries.failed(queue, job, error))
        except InvalidNameError as error:
            await self._lost(queue, job, self._failed_tries.given_up(job, Action.GIVE_UP, str(error)))
        except CredentialsError as error:
            self.stop(StopReason.KEY_REFUSED, str(error))
        else:
            queue.proved = True
            self._failed_tries.answered(queue)
            if not job.is_probe:
                await self._received(queue, job, page)
        finally:
            queue.in_flight -= 1

    async def _received(self, queue: RegionQueue, job: PageTask, page: Page) -> None:
        task = job.task
        if page.overridden:
            self._warn_of_override(task)
        if job.page == 1 and len(page.names) > 1:
            task.is_sorted = all(map(le, page.names, islice(page.names, 1, None)))
        names, records = task.listing.receive(job.page, page)
        if task.named is not None:
            task.named.update(names)
        elif names:
            await self._fresh(queue, task, names, records=records)
        await self._after_answer(queue, task)

    async def _fresh(self, queue: RegionQueue, task: ListingTask, names: list[str], *, records: list[bytes]) -> None:
        """Take in what no page held before; each is listed in its turn, whichever pass brought it to light."""
        self._discovery.named(queue, task.collection, task.within, names=names, is_open=True)
        self._found[task.collection] += len(names)
        await self._output.take(task, names, records)

    async def _lost(self, queue: RegionQueue, job: PageTask, failure: Failure | None) -> None:
        if failure is not None:
            job.task.listing.fail(job.page, failure)
            await self._after_answer(queue, job.task)

    async def _after_answer(self, queue: RegionQueue, task: ListingTask) -> None:
        if task.listing.outcome is None:
            self._go_on(queue, task)
        elif task in queue.tasks:
            queue.tasks.remove(task)
            ended = self._verdicts.end(task)
            if task.named is None:
                self._left(queue, task.within)
            elif self._verdicts.is_undecided(queue.region.code, about := task.about or task.within) and task.within:
                self._read_list_again(queue, task.collection, task.within[:-1], about=about)
            for one, result in ended:
                await self._output.end(one, result)
                if self._spec.earlier is not None:
                    await self._take_over(self._spec.earlier, queue, one)

    async def _take_over(self, earlier: Earlier, queue: RegionQueue, task: ListingTask) -> None:
        taken = await take_over(earlier, queue, task, clock_offset_s=self._fetcher.clock_offset_s)
        self._verdicts.taken_over[self._spec.level] += len(taken)
        self._found[self._spec.level] += sum(taken.values())

    def _go_on(self, queue: RegionQueue, task: ListingTask) -> None:
        """Let a task ask for more pages; a second look waits until a back-end that lags shows what the others show.

        Only what is pushed meanwhile can be missed twice in a row, and only in a list that is not in its names' order.
        """
        is_second_look = task.listing.passes == 2 and not task.has_rested
        if is_second_look and task.is_sorted is False:
            task.has_rested = True
            queue.enlist_at(task, self._loop.time() + SETTLE_S)
        else:
            queue.enlist(task)

    def _left(self, queue: RegionQueue, within: tuple[str, ...]) -> None:
        """Take in that nothing is left to do for a list; see what a 404 meant where it was the last of its family."""
        for family in queue.waiting.end(within):
            if self._verdicts.is_undecided(queue.region.code, family.within):
                self._read_list_again(queue, family.collection, family.within)

    def _read_list_again(
        self, queue: RegionQueue, below: Collection, within: tuple[str, ...], *, about: tuple[str, ...] | None = None
    ) -> None:
        """Read the list that named others after the last 404 among them: what it still names is not gone."""
        parent = below.parent
        assert parent is not None
        task = self._task(queue.region, parent, within)
        task.listing = Listing(self._page_sizes[queue.region.code][parent], VerifyMode.ALWAYS)  # one may lag behind
        task.named, task.about = set(), about
        queue.add(task)
        queue.enlist(task)

    def _warn_of_override(self, task: ListingTask) -> None:
        if not self._warned_of_override:
            self._warned_of_override = True
            self._observe(FieldOverridden(task.region.code, *task.what))
