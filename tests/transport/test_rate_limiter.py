"""The rate limiter on a real event loop: order, turns, cancellation, refusals, and the bound that it is there for."""

from __future__ import annotations

import asyncio
import time
from math import inf

import pytest

from crawler.core.errors import NotSentError
from crawler.emulation.ledger import most_in_window
from crawler.transport.gcra import RateLimits
from crawler.transport.rate_limiter import RateLimiter

REGIONS = ["kr", "sgn", "jpn"]


class CountedPace(RateLimits):
    """Counts what was taken."""

    taken = 0

    def take(self, region: str, now_s: float) -> None:
        """Count one."""
        self.taken += 1
        super().take(region, now_s)


def limiter_at(rate: float, region_rate: float = inf) -> tuple[RateLimiter, CountedPace]:
    pace = CountedPace(rate, region_rate, REGIONS)
    return RateLimiter(pace, REGIONS), pace


async def passed(rate_limiter: RateLimiter, waiters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Let (region, number) queue in this order; return them in the order in which they passed."""
    order: list[tuple[str, int]] = []

    async def one(region: str, number: int) -> None:
        await rate_limiter.enter(region)
        order.append((region, number))

    await asyncio.gather(*(one(*waiter) for waiter in waiters))
    return order


@pytest.mark.on_both_loops
async def test_first_come_first_served() -> None:
    """Within a region nobody overtakes, burst or not.

    Who comes in the very moment that others are let pass need not wait for the event loop to wake those up: a step or
    two ahead is no overtaking.
    """
    rate_limiter, _ = limiter_at(400)
    order = await passed(rate_limiter, [("kr", number) for number in range(80)])
    assert max(abs(place - number) for place, (_, number) in enumerate(order)) <= 3


async def test_without_a_limit_nobody_waits() -> None:
    """At an unlimited rate a passage is no more than a call: no future, no timer."""
    rate_limiter, pace = limiter_at(inf)
    for _ in range(1000):
        await rate_limiter.enter("kr")
    assert pace.taken == 1000
    assert rate_limiter._timer is None


async def test_regions_pass_by_turns() -> None:
    """A region of many waiters who came first holds up no other: each third passage is its own."""
    rate_limiter, _ = limiter_at(300)
    waiters = [("kr", number) for number in range(60)] + [(r, number) for r in REGIONS[1:] for number in range(15)]
    order = await passed(rate_limiter, waiters)
    assert sorted(order) == sorted(waiters)
    first = [region for region, _ in order[30:75]]  # a burst of 30 passed before anybody else was there
    assert first.count("sgn") >= 12
    assert first.count("jpn") >= 12


async def test_slow_region_holds_up_no_other() -> None:
    """Where a limit of each region's own is the tight one, all go on at that pace, side by side."""
    rate_limiter, pace = limiter_at(inf, region_rate=50)
    order = await passed(rate_limiter, [("kr", number) for number in range(16)] + [("sgn", 0), ("jpn", 0)])
    assert {("sgn", 0), ("jpn", 0)} <= set(order[:12])
    assert pace.taken == 18


async def test_cancelled_waiters_take_no_slot_and_block_nobody() -> None:
    """Those who left, from the head, the middle and the end of the queue, are as if they had never come."""
    rate_limiter, pace = limiter_at(10)
    await rate_limiter.enter("kr")
    waiters = [asyncio.create_task(rate_limiter.enter("kr")) for _ in range(20)]
    other = asyncio.create_task(rate_limiter.enter("sgn"))
    await asyncio.sleep(0)
    for leaving in (*waiters[:10], *waiters[11:]):
        leaving.cancel()
    await asyncio.gather(waiters[10], other)
    assert pace.taken == 3
    await asyncio.gather(*waiters, return_exceptions=True)
    await rate_limiter.enter("kr")  # a queue of nobody but those who left is passed as well
    assert pace.taken == 4


async def test_only_cancelled_waiters_left() -> None:
    """When everybody left, the next one in passes at the next moment that is free."""
    rate_limiter, pace = limiter_at(10)
    await rate_limiter.enter("kr")
    waiters = [asyncio.create_task(rate_limiter.enter("kr")) for _ in range(3)]
    await asyncio.sleep(0)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    await rate_limiter.enter("jpn")
    assert pace.taken == 2


async def test_those_who_wait_can_be_sent_back() -> None:
    """Only those of the region, who take no slot; others go on, and so does the region with whoever comes next."""
    rate_limiter, pace = limiter_at(10)
    await rate_limiter.enter("kr")
    waiters = [asyncio.create_task(rate_limiter.enter("kr")) for _ in range(5)]
    other = asyncio.create_task(rate_limiter.enter("sgn"))
    await asyncio.sleep(0)
    waiters[2].cancel()
    rate_limiter.send_back("kr")
    ended = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(error) for error in ended].count(NotSentError) == 4
    await other
    await rate_limiter.enter("kr")
    assert pace.taken == 3


@pytest.mark.on_both_loops
async def test_refusal_slows_those_who_wait() -> None:
    """Nobody has a place in the future: a pause holds everybody up, and then the rate is half of what it was."""
    rate_limiter, pace = limiter_at(100)
    loop = asyncio.get_running_loop()
    for _ in range(10):
        await rate_limiter.enter("kr")
    tasks = [asyncio.create_task(rate_limiter.enter(region)) for region in REGIONS for _ in range(10)]
    await asyncio.sleep(0)
    while pace.taken > 10 + sum(task.done() for task in tasks):  # noqa: ASYNC110 - some passed if the machine was busy
        await asyncio.sleep(0)
    waiters = [task for task in tasks if not task.done()]
    before, refused_s = pace.taken, loop.time()
    assert rate_limiter.refuse("kr", 0.3) == 50
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    assert loop.time() - refused_s > 0.29
    await asyncio.gather(*waiters)
    assert pace.taken == before + len(waiters)
    # The burst of a tenth of a second lets five pass at once.
    assert loop.time() - refused_s > 0.3 + (len(waiters) - 6) / 51


async def test_no_second_lets_more_pass_than_rate_and_burst() -> None:
    """64 waiters at 1,000 a second: in no second more than the rate, a tenth of it as a burst, and 1 %."""
    rate_limiter, _ = limiter_at(1000)
    times_s: list[float] = []

    async def task(region: str) -> None:
        while len(times_s) < 1600:
            await rate_limiter.enter(region)
            times_s.append(time.monotonic())

    started_s = time.monotonic()
    await asyncio.gather(*(task(REGIONS[number % 3]) for number in range(64)))
    assert most_in_window(times_s, 1.0) <= 1.01 * (1000 + 100)
    assert most_in_window(times_s, 0.25) <= 1.02 * (250 + 100)
    assert time.monotonic() - started_s >= 1.4
