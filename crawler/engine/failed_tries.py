"""What a failed try does: to its page, which is tried again or given up, to its region, which may be held, to the run.

`retry_policy` decides what an error calls for; this module does it.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING

from crawler.api.signing import hint_at_clocks
from crawler.core.errors import GatewayError, NotSentError, ProxyError
from crawler.core.events import ClockCorrected, RegionHeld, RegionReleased, Throttled, TryFailed
from crawler.engine.page_size import SMALL
from crawler.engine.passes import Failure
from crawler.engine.retry_policy import (
    MAX_TRIES,
    TRIES_AT_A_SIZE,
    Action,
    called_for,
    is_improper,
    pause_s,
    rule_for,
)
from crawler.engine.size_search import has_asked_for_less
from crawler.engine.spec import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.api.dialect import Dialect
    from crawler.core.errors import RequestError
    from crawler.core.events import Observer
    from crawler.engine.interfaces import Fetcher
    from crawler.engine.retry_policy import Rule
    from crawler.engine.scheduler import RegionQueue
    from crawler.engine.tasks import PageTask


class FailedTries:
    """Deals with the failed tries of one crawl.

    Args:
        fetcher: slows down, and sends back what waits for its turn in a region that is held.
        observe: is told.
        dialect: knows what the gateway's errors mean.
        stop: ends the crawl.
        now_s: the clock of the schedule, monotonic seconds.

    Attributes:
        rate_per_s: the rate after the last throttling; infinity if there was none.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        observe: Observer,
        *,
        dialect: Dialect,
        stop: Callable[[StopReason, str], None],
        now_s: Callable[[], float],
    ) -> None:
        self.rate_per_s = inf
        self._fetcher = fetcher
        self._observe = observe
        self._dialect = dialect
        self._stop = stop
        self._now_s = now_s
        self._warned_of_clock = False

    def answered(self, queue: RegionQueue) -> None:
        """Let the region's health know of an answer."""
        if queue.health.answered():
            silent_s = self._now_s() - queue.health.failing_since_s
            self._observe(RegionReleased(queue.region.code, silent_s))

    def failed(self, queue: RegionQueue, job: PageTask, error: RequestError) -> Failure | None:
        """Take in a failed try; return what its listing is told, or None: it is tried again, or the crawl stops."""
        if isinstance(error, NotSentError):
            queue.retry_at(job, self._now_s())
            return None
        rule = rule_for(error, self._dialect)
        if _may_be_for_its_size(queue, job, rule) and queue.search.must_wait(job, queue.tasks):
            self._put_off(queue, job, error)
            return None
        action = _called_for(queue, job, rule, error=error)
        job.was_improper = job.was_improper or is_improper(error)
        job.was_refused = job.was_refused or rule.is_of_key
        job.task.throttled += action.value.slows_down
        self._count_against(queue, job, error, is_outage=rule.is_outage)
        if action.value.stop is not None:
            self._stop_unless_mended(queue, job, error, why=action.value.stop)
        elif action.value.slows_down or (action.value.is_retried and _has_tries_left(queue, job)):
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
        self._observe(TryFailed(queue.region.code, *job.task.what, job.page, str(error), 0.0))

    def given_up(self, job: PageTask, action: Action, reason: str) -> Failure | None:
        """Return what a listing is told of a page that cannot be had; None for a probe, which nobody waits for."""
        if job.is_probe:
            return None
        self._observe(TryFailed(job.task.region.code, *job.task.what, job.page, reason, None))
        tried = f"{reason} ({job.tries + 1} tries)" if job.tries else reason
        return Failure(action.value.failure, tried)

    def _count_against(self, queue: RegionQueue, job: PageTask, error: RequestError, *, is_outage: bool) -> None:
        """Let the region's health know of a failure: an outage's, or an answer all the same."""
        if not is_outage:
            self.answered(queue)
            return
        asked_s = error.retry_after_s or 0.0
        if queue.health.failed(self._now_s(), _chance(), tries=job.tries, is_probe=job.is_probe, asked_s=asked_s):
            self._observe(RegionHeld(queue.region.code, str(error)))
            self._fetcher.send_back(queue.region.code)

    def _stop_unless_mended(self, queue: RegionQueue, job: PageTask, error: RequestError, *, why: StopReason) -> None:
        """Stop, unless it is a refused key and the clock was why: then try with the right one, which is said once."""
        if why is StopReason.KEY_REFUSED and isinstance(error, GatewayError):
            if self._fetcher.clock_explains(error):
                self._try_with_right_clock(queue, job)
                return
            self._stop(why, f"{why.value}: {error}{hint_at_clocks(error.clock_skew_s)}")
        else:
            self._stop(why, str(error) if isinstance(error, ProxyError) else f"{why.value}: {error}")

    def _try_with_right_clock(self, queue: RegionQueue, job: PageTask) -> None:
        if not self._warned_of_clock:
            self._warned_of_clock = True
            self._observe(ClockCorrected(self._fetcher.clock_offset_s))
        job.task.retries += 1
        queue.retry_at(job, self._now_s())

    def _try_again(self, queue: RegionQueue, job: PageTask, action: Action, *, error: RequestError) -> None:
        queue.trouble = str(error)
        if action.value.slows_down:
            self.rate_per_s = self._fetcher.refuse(queue.region.code, error.retry_after_s or 0.0)
            self._observe(Throttled(queue.region.code, str(error), self.rate_per_s))
        if job.is_probe:
            return
        job.tries += not (action.value.slows_down or queue.health.is_held)
        job.task.retries += 1
        job.task.trouble = queue.trouble
        wait_s = pause_s(action, job.tries, _chance(), asked_s=error.retry_after_s)
        if not action.value.slows_down:
            self._observe(TryFailed(queue.region.code, *job.task.what, job.page, str(error), wait_s))
        queue.retry_at(job, self._now_s() + wait_s)


def _called_for(queue: RegionQueue, job: PageTask, rule: Rule, *, error: RequestError) -> Action:
    """Return what an error calls for, where a page that keeps failing may be to blame for its size."""
    is_expected = rule.action is Action.TOO_LARGE and has_asked_for_less(job)  # more was too large, so this may be
    tries = int(job.was_refused or not queue.proved) if rule.is_of_key else max(job.tries, is_expected)
    action = called_for(rule, tries=tries, is_improper_again=job.was_improper and is_improper(error))
    if action is not Action.RETRY or queue.health.is_held or job.is_probe or not rule.is_of_weight:
        return action
    if job.page == 1 and job.task.listing.may_ask_for_less:
        at_a_size = 1 if has_asked_for_less(job) else TRIES_AT_A_SIZE
        return Action.TOO_HEAVY if job.tries + 1 >= at_a_size else action
    is_large = job.page_size is not None and job.page_size > SMALL
    return Action.TOO_HEAVY if is_large and job.page > 1 and not _has_tries_left(queue, job) else action


def _may_be_for_its_size(queue: RegionQueue, job: PageTask, rule: Rule) -> bool:
    """Whether a large first page failed, in a way in which one that is too large fails."""
    is_first = job.page == 1 and not (job.is_probe or queue.health.is_held) and job.task.listing.may_ask_for_less
    return is_first and (rule.is_of_weight or rule.action is Action.TOO_LARGE)


def _has_tries_left(queue: RegionQueue, job: PageTask) -> bool:
    return job.tries + 1 < MAX_TRIES or queue.health.is_held  # what fails while it is held counts against no page


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter is no secret
