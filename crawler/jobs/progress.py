"""Where a run stands: what is done, how fast, how long it takes yet, and why nothing moves where nothing does.

The facts are the crawl's, the rate limiter's and the output's. They are taken when somebody looks, and cost a run
nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from crawler.engine.standing import Amount, Held, Proving  # noqa: TC001 - part of what is told
from crawler.jobs.events import Heartbeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from crawler.core.model import ListingResult
    from crawler.engine.crawl import Crawl
    from crawler.engine.interfaces import Output
    from crawler.engine.standing import Standing
    from crawler.engine.tasks import ListingTask
    from crawler.jobs.events import Observer
    from crawler.transport.gcra import Pace

WINDOW_S = 5.0
"""The requests of this time say how fast it goes."""
LEAST_WINDOW_S = 1.0
"""What goes at once in the beginning is no rate yet."""
TELLING_S = 3.0
"""What a run has taken until then says nothing of how long it will."""
READER_PATIENCE_S = 1.0
"""An output that takes something within it is not waited for."""


class Throttled(Struct, frozen=True):
    """What the gateway has slowed down: ``region``, or everything where it is empty; nothing goes for ``pause_s``."""

    region: str
    rate_per_s: float
    pause_s: float = 0.0


class Waiting(Struct, frozen=True):
    """Whom the crawl waits for because they take nothing, and for how long: ``the reader``, ``the disk``."""

    whom: str
    seconds: float


class Progress(Struct, frozen=True, kw_only=True):
    """Where a run stands, as of a moment.

    Attributes:
        seconds: since its first request could go.
        amounts: how many registries, images, tags are done, of how many that are known.
        is_discovered: no more registries will become known.
        requests: attempts on the wire so far.
        requests_per_s: as they went lately.
        allowed_per_s: what limits and throttling allow now; None if nothing limits them.
        left_s: until all is done, as it goes; None while that cannot be told.
        deadline_s: until the run stops by itself; None if it does not.
        waiting: for whom, if for anybody.
        held: regions that do not answer.
        throttled: what the gateway has slowed down.
        proving: what is looked at again.
        is_unanswered: no page came of any request so far, for a while.
    """

    seconds: float
    amounts: tuple[Amount, ...]
    is_discovered: bool
    requests: int
    requests_per_s: float
    allowed_per_s: float | None
    left_s: float | None
    deadline_s: float | None
    waiting: Waiting | None = None
    held: tuple[Held, ...] = ()
    throttled: tuple[Throttled, ...] = ()
    proving: Proving | None = None
    is_unanswered: bool = False

    @property
    def is_late(self) -> bool:
        """Whether the deadline comes before all is done, as it goes."""
        return self.left_s is not None and self.deadline_s is not None and self.left_s > self.deadline_s


class WatchedOutput:
    """Passes on to an output, and knows since when that has been taking nothing.

    Mutable state: how many calls wait, and since when.

    Args:
        output: takes the records.
        whom: who is waited for where it does not.
    """

    def __init__(self, output: Output, whom: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._whom = whom
        self._clock_s = clock_s
        self._calls: dict[Awaitable[None], float] = {}

    @property
    def waiting(self) -> Waiting | None:
        """For whom it waits, if it has for a while."""
        seconds = self._clock_s() - min(self._calls.values()) if self._calls else 0.0
        return Waiting(self._whom, seconds) if seconds >= READER_PATIENCE_S else None

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Pass records on."""
        await self._watch(self._output.take(task, names, records))

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Pass on that a listing ended."""
        await self._watch(self._output.end(task, result))

    async def flush(self) -> None:
        """Pass on that what was taken is to go out."""
        await self._watch(self._output.flush())

    async def _watch(self, call: Awaitable[None]) -> None:
        self._calls[call] = self._clock_s()
        try:
            await call
        finally:
            del self._calls[call]


class Meter:
    """Says where a crawl stands.

    Mutable state: how many requests had gone when somebody looked, lately.

    Args:
        crawl: knows what is done.
        pace: how fast requests may go now.
        output: what the crawl's records go to.
    """

    def __init__(
        self,
        crawl: Crawl,
        pace: Callable[[], Pace],
        output: WatchedOutput,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._crawl = crawl
        self._pace = pace
        self._output = output
        self._clock_s = clock_s
        self._started = (clock_s(), pace().requests)
        self._looks = deque([self._started])

    def look(self) -> Progress:
        """Return where it stands now."""
        pace, standing, now_s = self._pace(), self._crawl.standing, self._clock_s()
        seconds, requests = now_s - self._started[0], pace.requests - self._started[1]
        per_s = self._requests_per_s(now_s, pace.requests)
        return Progress(
            seconds=seconds,
            amounts=standing.amounts,
            is_discovered=standing.is_discovered,
            requests=requests,
            requests_per_s=per_s,
            allowed_per_s=_finite(pace.allowed_per_s),
            left_s=_left_s(standing, requests, per_s) if seconds >= TELLING_S else None,
            deadline_s=_finite(self._crawl.left_s),
            waiting=self._output.waiting,
            held=standing.held,
            throttled=tuple(Throttled(region, rate, pace.paused_s) for region, rate in pace.throttled.items()),
            proving=standing.proving,
            is_unanswered=requests > 0 and not standing.pages and seconds >= TELLING_S,
        )

    def _requests_per_s(self, now_s: float, requests: int) -> float:
        looks = self._looks
        looks.append((now_s, requests))
        while len(looks) > 2 and looks[1][0] <= now_s - WINDOW_S:
            looks.popleft()
        since_s, before = looks[0]
        return (requests - before) / max(now_s - since_s, LEAST_WINDOW_S)


def _left_s(standing: Standing, requests: int, per_s: float) -> float | None:
    """Return how long the rest takes, as it goes; None where that cannot be told."""
    if standing.pages_left is None or standing.held or not (per_s and standing.pages):
        return None
    return standing.pages_left * requests / standing.pages / per_s


def _finite(number: float) -> float | None:
    return number if number < inf else None


@asynccontextmanager
async def heartbeats(every_s: float, look: Callable[[], Progress], observe: Observer) -> AsyncIterator[None]:
    """Tell an observer again and again where a run stands, until what it is around has ended; 0 never does."""
    beating = asyncio.ensure_future(_beat(every_s, look, observe)) if every_s else None
    try:
        yield
    finally:
        if beating is not None:
            beating.cancel()


async def _beat(every_s: float, look: Callable[[], Progress], observe: Observer) -> None:
    while True:
        await asyncio.sleep(every_s)
        observe(Heartbeat(look()))
