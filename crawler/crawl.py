"""The crawl: one task group, a fixed set of workers, and a walk for every listing under way.

A worker takes a page from the schedule, fetches it, feeds it to its walk's listing and hands fresh records to the
output. The two ways back, "next page" and "try again", both end in the schedule. The crawl is over when no region has
anything left, or when it is stopped; then every listing gets its verdict all the same.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from itertools import islice
from math import inf
from operator import le
from typing import TYPE_CHECKING

import anyio

from crawler.decoding import IMAGE_FIELDS, REGISTRY_FIELDS, decode_page, line_prefix
from crawler.errors import (
    CredentialsError,
    GatewayError,
    InvalidRegistryNameError,
    NotSentError,
    RequestError,
)
from crawler.events import (
    ClockCorrected,
    FieldOverridden,
    ListingEnded,
    RegionHeld,
    RegionReleased,
    RunStopped,
    Throttled,
    TryFailed,
)
from crawler.groups import one_error
from crawler.listing import Listing
from crawler.model import ListingResult, PageRequest
from crawler.passes import Failure
from crawler.plan import CrawlResult, Stop, without_wrong_regions
from crawler.retrying import FAILURE_KINDS, MAX_TRIES, Action, classify, is_improper, is_outage, pause_s
from crawler.scheduling import Job, RegionQueue, Schedule, Walk
from crawler.signing import hint_at_clocks
from crawler.text import writable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crawler.events import Observer
    from crawler.model import Page, Region
    from crawler.plan import Plan
    from crawler.seams import Fetcher, Output

FLUSH_EVERY_S = 0.25


class Crawl:
    """One run. Mutable state: the schedule, the results so far, and the workers that wait for something to do."""

    def __init__(self, plan: Plan, fetcher: Fetcher, output: Output, observe: Observer) -> None:
        self._plan = plan
        self._fetcher = fetcher
        self._output = output
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._epoch_s = time.time() - self._loop.time()  # a wall clock that jumps in mid-run changes no duration
        self._queues = {region.code: RegionQueue(region, self._begin) for region in plan.regions}
        self._schedule = Schedule(plan.concurrency, list(self._queues.values()))
        self._page_sizes: dict[str, int | None] = {region.code: plan.page_size for region in plan.regions}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._scope = anyio.CancelScope()
        self._results: list[ListingResult] = []
        self._stop: Stop | None = None
        self._stop_reason: str | None = None
        self._rate_per_s = inf
        self._warned_of_override = False
        self._warned_of_clock = False
        self._images = 0
        self._flushing = anyio.CancelScope()

    async def run(self) -> CrawlResult:
        """Crawl until everything has its verdict, or `stop` is called, or the deadline comes.

        Raises:
            OutputError: the output cannot be written.
        """
        self._fill()
        with self._scope:
            self._scope.deadline = anyio.current_time() + self._plan.deadline_s
            with one_error():
                await self._run_workers()
            await self._output.flush()
        if self._scope.cancelled_caught and self._stop is None:
            self._note_stop(Stop.DEADLINE, Stop.DEADLINE.value)
        self._abandon_the_rest()
        found, absent = without_wrong_regions([r for r in self._results if r.registry is not None], self._plan)
        return CrawlResult(
            registries=found,
            discoveries=[result for result in self._results if result.registry is None],
            stop=self._stop,
            stop_reason=self._stop_reason,
            rate_per_s=self._rate_per_s,
            clock_offset_s=self._fetcher.clock_offset_s,
            beside=[*absent, *self._probes()],
        )

    async def _run_workers(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(self._plan.concurrency):
                tasks.start_soon(self._work)
            with anyio.CancelScope() as self._flushing:
                while True:
                    await anyio.sleep(FLUSH_EVERY_S)
                    await self._output.flush()

    def stop(self, why: Stop, reason: str | None = None) -> None:
        """End the crawl now: no request is begun any more, what was had is kept."""
        if self._stop is None:
            self._note_stop(why, reason or why.value)
            self._scope.cancel()

    @property
    def progress(self) -> tuple[int, int, int]:
        """Listings with a verdict, listings under way or waiting, and images so far."""
        open_walks = sum(len(queue.walks) + len(queue.waiting) for queue in self._queues.values())
        return len(self._results), open_walks, self._images

    def _note_stop(self, why: Stop, reason: str) -> None:
        self._stop, self._stop_reason = why, reason
        self._observe(RunStopped(reason))

    def _fill(self) -> None:
        if self._plan.registries is not None:
            for code, name in dict.fromkeys((named.region.code, named.name) for named in self._plan.registries):
                self._queues[code].waiting.append(name)
            return
        for code, queue in self._queues.items():
            if code in self._plan.known:
                self._discovered(queue, self._plan.known[code])
            else:
                queue.waiting.append(None)

    def _begin(self, region: Region, registry: str | None) -> Walk:
        if registry is None:
            prefix = line_prefix(REGISTRY_FIELDS, (self._plan.account, region.code))
        else:
            prefix = line_prefix(IMAGE_FIELDS, (self._plan.account, region.code, registry))
        listing = Listing(self._page_sizes[region.code], self._plan.verify)
        return Walk(region, registry, listing, prefix, started_ms=self._now_ms())

    def _now_ms(self) -> int:
        return int((self._epoch_s + self._loop.time()) * 1000)

    # ── workers ──

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
        if self._idle:
            place = self._idle.popleft()
            if not place.done():
                place.set_result(None)

    async def _try(self, queue: RegionQueue, job: Job) -> None:
        walk = job.walk
        request = PageRequest(walk.region, walk.registry, job.page, job.page_size)
        ours = REGISTRY_FIELDS if walk.registry is None else IMAGE_FIELDS
        try:
            page = decode_page(await self._fetcher.fetch(request, walk), ours)
        except RequestError as error:
            await self._failed(queue, job, error)
        except InvalidRegistryNameError as error:
            await self._give_up(queue, job, Action.GIVE_UP, str(error))
        except CredentialsError as error:
            self.stop(Stop.KEY_REFUSED, str(error))
        else:
            queue.proved = True
            self._answered(queue)
            if not job.is_probe:
                await self._received(queue, job, page)
        finally:
            queue.in_flight -= 1

    async def _received(self, queue: RegionQueue, job: Job, page: Page) -> None:
        walk = job.walk
        if page.overridden:
            self._warn_of_override(walk)
        if job.page == 1:
            self._learn(queue, walk, page)
        names, records = walk.listing.receive(job.page, page)
        self._images += 0 if walk.registry is None else len(names)
        if walk.registry is None and self._plan.images:
            self._discovered(queue, names)
        if names:
            await self._output.take(walk, names, records)
        await self._after_answer(queue, walk)

    def _learn(self, queue: RegionQueue, walk: Walk, first: Page) -> None:
        """Note the order; begin later listings of the region with what was accepted, if a larger page was refused."""
        if len(first.names) > 1:
            walk.is_sorted = all(map(le, first.names, islice(first.names, 1, None)))
        given, usual = walk.listing.accepted_page_size, self._page_sizes[queue.region.code]
        if usual is not None and (given is None or given < usual):
            self._page_sizes[queue.region.code] = given

    def _discovered(self, queue: RegionQueue, names: Iterable[str]) -> None:
        names = map(writable, names)
        queue.waiting.extend(name for name in names if (queue.region.code, name) not in self._plan.finished)

    async def _after_answer(self, queue: RegionQueue, walk: Walk) -> None:
        if walk.listing.outcome is None:
            queue.enlist(walk)
        elif walk in queue.walks:
            queue.walks.remove(walk)
            await self._output.end(walk, self._end(walk))

    # ── failures ──

    def _answered(self, queue: RegionQueue) -> None:
        if queue.health.answered():
            self._observe(RegionReleased(queue.region.code))

    def _count_against(self, queue: RegionQueue, job: Job, error: RequestError) -> None:
        """Let the region's health know of a failure: an outage's, or an answer all the same."""
        queue.trouble = str(error)
        if not is_outage(error):
            self._answered(queue)
            return
        asked_s, now_s = error.retry_after_s or 0.0, self._loop.time()
        if queue.health.failed(now_s, _chance(), tries=job.tries, is_probe=job.is_probe, asked_s=asked_s):
            self._observe(RegionHeld(queue.region.code, str(error)))
            self._fetcher.send_back(queue.region.code)

    async def _failed(self, queue: RegionQueue, job: Job, error: RequestError) -> None:
        if isinstance(error, NotSentError):
            queue.retry_at(job, self._loop.time())
            return
        action = classify(error, tries=job.tries, was_improper=job.was_improper)
        job.was_improper = job.was_improper or is_improper(error)
        job.walk.throttled += action is Action.SLOW_DOWN
        self._count_against(queue, job, error)
        if action is Action.STOP_KEY and isinstance(error, GatewayError):
            if self._fetcher.clock_explains(error):
                self._try_with_right_clock(queue, job)
            else:
                hint = hint_at_clocks(error.clock_skew_s)
                self.stop(Stop.KEY_REFUSED, f"{Stop.KEY_REFUSED.value}: {error}{hint}")
        elif action is Action.STOP_QUOTA:
            self.stop(Stop.QUOTA, f"{Stop.QUOTA.value}: {error}")
        elif action is Action.STOP_PROXY:
            self.stop(Stop.PROXY, str(error))
        elif action is Action.SLOW_DOWN or (action is Action.RETRY and _has_tries_left(queue, job)):
            self._try_again(queue, job, action, error)
        else:
            queue.proved = queue.proved or (isinstance(error, GatewayError) and action is not Action.BAD_REQUEST)
            await self._give_up(queue, job, action, str(error))

    def _try_with_right_clock(self, queue: RegionQueue, job: Job) -> None:
        if not self._warned_of_clock:
            self._warned_of_clock = True
            self._observe(ClockCorrected(self._fetcher.clock_offset_s))
        job.walk.retries += 1
        queue.retry_at(job, self._loop.time())

    def _try_again(self, queue: RegionQueue, job: Job, action: Action, error: RequestError) -> None:
        if action is Action.SLOW_DOWN:
            self._rate_per_s = self._fetcher.refuse(error.retry_after_s or 0.0)
            self._observe(Throttled(queue.region.code, str(error), self._rate_per_s))
        if job.is_probe:
            return
        job.tries += action is Action.RETRY and not queue.health.is_held
        job.walk.retries += 1
        wait_s = pause_s(action, job.tries, _chance(), asked_s=error.retry_after_s)
        if action is Action.RETRY:
            self._observe(TryFailed(queue.region.code, job.walk.registry, job.page, str(error), wait_s))
        queue.retry_at(job, self._loop.time() + wait_s)

    async def _give_up(self, queue: RegionQueue, job: Job, action: Action, reason: str) -> None:
        if job.is_probe:
            return
        self._observe(TryFailed(queue.region.code, job.walk.registry, job.page, reason, None))
        tried = f"{reason} ({job.tries + 1} tries)" if job.tries else reason
        job.walk.listing.fail(job.page, Failure(FAILURE_KINDS[action], tried))
        await self._after_answer(queue, job.walk)

    # ── results ──

    def _end(self, walk: Walk) -> ListingResult:
        is_known_to_exist = walk.registry is not None and self._plan.registries is None
        result = walk.result(self._now_ms(), may_be_gone=is_known_to_exist)
        self._results.append(result)
        self._observe(ListingEnded(result.region, result.registry, result.verdict, result.reason, result.images))
        return result

    def _abandon_the_rest(self) -> None:
        """Give every listing that has none its verdict, with the reason why the crawl stopped."""
        for queue in self._queues.values():
            for walk in queue.walks:
                walk.listing.abandon(self._reason_of_stop(queue))
                self._end(walk)
            queue.walks.clear()
            for registry in queue.waiting:
                walk = self._begin(queue.region, registry)
                walk.listing.abandon(f"not begun: {self._reason_of_stop(queue)}")
                self._end(walk)
            queue.waiting.clear()

    def _probes(self) -> Iterator[ListingResult]:
        for probe in (queue.probe for queue in self._queues.values() if queue.probe):
            probe.listing.abandon("a probe")
            yield probe.result(probe.started_ms, may_be_gone=False)

    def _reason_of_stop(self, queue: RegionQueue) -> str:
        held = f"; the region was held: {queue.trouble}" if queue.health.is_held else ""
        return f"{self._stop_reason}{held}"

    def _warn_of_override(self, walk: Walk) -> None:
        if not self._warned_of_override:
            self._warned_of_override = True
            self._observe(FieldOverridden(walk.region.code, walk.registry))


def _has_tries_left(queue: RegionQueue, job: Job) -> bool:
    return job.tries + 1 < MAX_TRIES or queue.health.is_held  # what fails while it is held counts against no page


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter is no secret
