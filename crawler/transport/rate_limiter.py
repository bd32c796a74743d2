"""Let requests pass at the pace that `gcra` decides: in order within a region, the regions by turns."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from crawler.core.errors import NotSentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.transport.gcra import Pace, RateLimits


class RateLimiter:
    """Every wire attempt enters here, and is counted as it passes.

    Mutable state: the queue of waiting futures of each region, and the timer for the next one that may pass.
    Nobody holds a place in the future, so a refusal slows down also those who wait. O(regions) a passage.
    """

    def __init__(self, pace: RateLimits, regions: list[str]) -> None:
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time if isinstance(self._loop, asyncio.BaseEventLoop) else time.monotonic
        self._queues: dict[str, deque[asyncio.Future[None]]] = {region: deque() for region in regions}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pace(self) -> Pace:
        """How fast requests may go, and how many have gone."""
        return self._pace.pace(self._loop.time())

    async def enter(self, region: str) -> None:
        """Wait until one more request to ``region`` may start.

        Raises:
            NotSentError: it was sent back.
        """
        now_s = self._loop.time()
        if not any(self._queues.values()) and self._pace.earliest(region, now_s) <= now_s:
            self._pace.take(region, now_s)
            return
        place = self._loop.create_future()
        self._queues[region].append(place)
        self._let_pass()
        await place

    def writer(self, region: str) -> Callable[[], float]:
        """Return what to call when a request to ``region`` is about to be written.

        It counts the request, or returns the seconds, above 0, that it has to wait first. By a clock that goes on while
        callbacks run: uvloop's own does not.
        """
        return partial(self._write, region) if self._pace.is_limited else _at_once

    def _write(self, region: str) -> float:
        return self._pace.write(region, self._now_s())

    def refuse(self, region: str, pause_s: float) -> float:
        """Slow down after the gateway of ``region`` said that requests come too fast; return the new rate a second."""
        return self._pace.refuse(region, self._loop.time(), pause_s)

    def send_back(self, region: str) -> None:
        """Let nobody pass who waits for ``region`` now: their `enter` raises NotSentError."""
        while self._queues[region]:
            place = self._queues[region].popleft()
            if not place.done():
                place.set_exception(NotSentError("its region is held"))

    def _let_pass(self) -> None:
        """Let everybody pass whose time has come, one of each region by turns; set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = self._loop.time()
        while passing := [region for region in self._queues if self._pass_one(region, now_s)]:
            self._queues[passing[0]] = self._queues.pop(passing[0])  # whoever came first comes last next time
        times = [self._pace.earliest(region, now_s) for region, queue in self._queues.items() if queue]
        if times:
            self._timer = self._loop.call_at(min(times), self._let_pass)

    def _pass_one(self, region: str, now_s: float) -> bool:
        queue = self._queues[region]
        while queue and queue[0].done():  # cancelled while it waited
            queue.popleft()
        if not queue or self._pace.earliest(region, now_s) > now_s:
            return False
        self._pace.take(region, now_s)
        queue.popleft().set_result(None)
        return True


def _at_once() -> float:
    return 0.0
