"""What a failed try does: to its page, which is tried again or given up, to its region, which may be held, to the run.

`retry_policy` decides what an error calls for; this module does it.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING

from crawler.api.signing import hint_at_clocks
from crawler.core.errors import GatewayError, NotSentError, TooLargeError
from crawler.core.events import ClockCorrected, RegionHeld, RegionReleased, Throttled, TryFailed
from crawler.engine.page_size import SMALL
from crawler.engine.passes import Failure
from crawler.engine.retry_policy import (
    FAILURE_KINDS,
    MAX_TRIES,
    TRIES_AT_A_SIZE,
    Action,
    classify,
    is_improper,
    is_outage,
    may_be_too_heavy,
    pause_s,
)
from crawler.engine.size_search import has_asked_for_less
from crawler.engine.spec import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.errors import RequestError
    from crawler.core.events import Observer
    from crawler.engine.interfaces import Fetcher
    from crawler.engine.scheduler import PageTask, RegionQueue


class FailedTries:
    """Deals with the failed tries of one crawl.

    Args:
        fetcher: slows down, and sends back what waits for its turn in a region that is held.
        observe: is told.
        stop: ends the crawl.
        now_s: the clock of the schedule, monotonic seconds.

    Attributes:
        rate_per_s: the account's rate after the last throttling; infinity if there was none.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        observe: Observer,
        *,
        stop: Callable[[StopReason, str], None],
        now_s: Callable[[], float],
    ) -> None:
        self.rate_per_s = inf
        self._fetcher = fetcher
        self._observe = observe
        self._stop = stop
        self._now_s = now_s
        self._warned_of_clock = False

    def answered(self, queue: RegionQueue) -> None:
        """Let the region's health know of an answer."""
        if queue.health.answered():
            self._observe(RegionReleased(queue.region.code))

    def failed(self, queue: RegionQueue, job: PageTask, error: RequestError) -> Failure | None:
        """Take in a failed try; return what its listing is told, or None: it is tried again, or the crawl stops."""
        if isinstance(error, NotSentError):
            queue.retry_at(job, self._now_s())
            return None
        if _may_be_for_its_size(queue, job, error) and queue.search.must_wait(job, queue.tasks):
            self._put_off(queue, job, error)
            return None
        action = _called_for(queue, job, error)
        job.was_improper = job.was_improper or is_improper(error)
        job.task.throttled += action is Action.SLOW_DOWN
        self._count_against(queue, job, error)
        if action is Action.STOP_KEY and isinstance(error, GatewayError):
            self._key_refused(queue, job, error)
        elif action is Action.STOP_QUOTA:
            self._stop(StopReason.QUOTA, f"{StopReason.QUOTA.value}: {error}")
        elif action is Action.STOP_PROXY:
            self._stop(StopReason.PROXY, str(error))
        elif action is Action.SLOW_DOWN or (action is Action.RETRY and _has_tries_left(queue, job)):
            self._try_again(queue, job, action, error=error)
        else:
            queue.proved = queue.proved or (isinstance(error, GatewayError) and action is not Action.BAD_REQUEST)
            return self.given_up(job, action, str(error))
        return None

    def _put_off(self, queue: RegionQueue, job: PageTask, error: RequestError) -> None:
        """Let a page wait until another listing has found out how large one may be: it says nothing of the region."""
        queue.trouble = job.task.trouble = str(error)
        job.tries += 1
        job.task.retries += 1
        self._observe(TryFailed(queue.region.code, job.task.registry, job.page, str(error), 0.0))

    def given_up(self, job: PageTask, action: Action, reason: str) -> Failure | None:
        """Return what a listing is told of a page that cannot be had; None for a probe, which nobody waits for."""
        if job.is_probe:
            return None
        self._observe(TryFailed(job.task.region.code, job.task.registry, job.page, reason, None))
        tried = f"{reason} ({job.tries + 1} tries)" if job.tries else reason
        return Failure(FAILURE_KINDS[action], tried)

    def _count_against(self, queue: RegionQueue, job: PageTask, error: RequestError) -> None:
        """Let the region's health know of a failure: an outage's, or an answer all the same."""
        if not is_outage(error):
            self.answered(queue)
            return
        asked_s = error.retry_after_s or 0.0
        if queue.health.failed(self._now_s(), _chance(), tries=job.tries, is_probe=job.is_probe, asked_s=asked_s):
            self._observe(RegionHeld(queue.region.code, str(error)))
            self._fetcher.send_back(queue.region.code)

    def _key_refused(self, queue: RegionQueue, job: PageTask, error: GatewayError) -> None:
        """Stop, unless the clock was why: then try with the right one, which is said once."""
        if not self._fetcher.clock_explains(error):
            self._stop(
                StopReason.KEY_REFUSED, f"{StopReason.KEY_REFUSED.value}: {error}{hint_at_clocks(error.clock_skew_s)}"
            )
            return
        if not self._warned_of_clock:
            self._warned_of_clock = True
            self._observe(ClockCorrected(self._fetcher.clock_offset_s))
        job.task.retries += 1
        queue.retry_at(job, self._now_s())

    def _try_again(self, queue: RegionQueue, job: PageTask, action: Action, *, error: RequestError) -> None:
        queue.trouble = str(error)
        if action is Action.SLOW_DOWN:
            self.rate_per_s = self._fetcher.refuse(error.retry_after_s or 0.0)
            self._observe(Throttled(queue.region.code, str(error), self.rate_per_s))
        if job.is_probe:
            return
        job.tries += action is Action.RETRY and not queue.health.is_held
        job.task.retries += 1
        job.task.trouble = queue.trouble
        wait_s = pause_s(action, job.tries, _chance(), asked_s=error.retry_after_s)
        if action is Action.RETRY:
            self._observe(TryFailed(queue.region.code, job.task.registry, job.page, str(error), wait_s))
        queue.retry_at(job, self._now_s() + wait_s)


def _called_for(queue: RegionQueue, job: PageTask, error: RequestError) -> Action:
    """Return what an error calls for, where a page that keeps failing may be to blame for its size."""
    action = classify(error, tries=job.tries, was_improper=job.was_improper)
    if action is not Action.RETRY or queue.health.is_held or job.is_probe or not may_be_too_heavy(error):
        return action
    if job.page == 1 and job.task.listing.may_ask_for_less:
        at_a_size = 1 if has_asked_for_less(job) else TRIES_AT_A_SIZE
        return Action.TOO_HEAVY if job.tries + 1 >= at_a_size else action
    is_large = job.page_size is not None and job.page_size > SMALL
    return Action.TOO_HEAVY if is_large and job.page > 1 and not _has_tries_left(queue, job) else action


def _may_be_for_its_size(queue: RegionQueue, job: PageTask, error: RequestError) -> bool:
    """Whether a large first page failed, in a way in which one that is too large fails."""
    is_first = job.page == 1 and not (job.is_probe or queue.health.is_held) and job.task.listing.may_ask_for_less
    return is_first and (may_be_too_heavy(error) or isinstance(error, TooLargeError))


def _has_tries_left(queue: RegionQueue, job: PageTask) -> bool:
    return job.tries + 1 < MAX_TRIES or queue.health.is_held  # what fails while it is held counts against no page


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter is no secret
