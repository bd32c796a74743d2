"""Where a run stands, for any caller: the same facts as a terminal shows, taken when somebody looks."""

from __future__ import annotations

import asyncio
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.night import a_night

import crawler
from crawler.emulation import EmulatorOptions
from crawler.engine.standing import Amount, Held, Standing
from crawler.jobs.events import Heartbeat, RunEnded, RunNamed
from crawler.jobs.progress import READER_PATIENCE_S, WINDOW_S, Meter, Progress, Throttled, WatchedOutput, heartbeats
from crawler.transport.gcra import Pace

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.engine.crawl import Crawl

STANDING = Standing(
    amounts=(Amount("registries", 1, 2), Amount("images", 3)),
    is_discovered=True,
    pages=100,
    pages_left=50.0,
    held=(),
    proving=None,
)


class Bench:
    """A meter whose crawl, pace and clock are a test's."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.requests = 7
        self.allowed_per_s = inf
        self.throttled: dict[str, float] = {}
        self.standing = STANDING
        self.left_s = inf
        self.calls = count()
        self.output = WatchedOutput(self, "the reader", self.clock_s)
        self.meter = Meter(cast("Crawl", self), self.pace, self.output, clock_s=self.clock_s)
        self.go_on = asyncio.Event()

    def clock_s(self) -> float:
        """Return the time."""
        return self.now_s

    def pace(self) -> Pace:
        """Return how fast requests may go."""
        return Pace(self.requests, self.allowed_per_s, self.throttled, paused_s=2.0)

    def after(self, seconds: float, requests: int) -> Progress:
        """Let time pass, and so many requests; look."""
        self.now_s += seconds
        self.requests += requests
        return self.meter.look()

    async def take(self, *_: object) -> None:
        """Take nothing until it is told to."""
        next(self.calls)
        await self.go_on.wait()

    end = flush = take


async def test_how_fast() -> None:
    """Requests are those of this run, and their rate is that of late, not of the beginning."""
    bench = Bench()
    assert bench.meter.look().requests_per_s == 0
    assert Bench().after(0.1, 10).requests_per_s == 10  # what went at once, and no hundred a second
    now = bench.after(10.0, 100)
    assert (now.seconds, now.requests, now.requests_per_s) == (10.0, 100, 10.0)
    for _ in range(10):
        now = bench.after(WINDOW_S / 4, 10)
    assert now.requests_per_s == pytest.approx(4 * 10 / WINDOW_S)
    assert bench.after(60.0, 60).requests_per_s == pytest.approx(70 / (60 + WINDOW_S / 4), rel=0.2)


async def test_how_long() -> None:
    """What is left takes as many requests a page as so far; not said at once, nor while a region does not answer."""
    bench = Bench()
    assert bench.after(1.0, 100).left_s is None
    now = bench.after(9.0, 180)
    assert now.left_s == pytest.approx(50 * 2.8 / 20)
    bench.left_s = 6.0
    assert bench.meter.look().is_late
    bench.left_s = 8.0
    assert not bench.meter.look().is_late
    for change in ({"held": (Held("kr", 1.0, 2.0),)}, {"pages_left": None}):
        facts = {name: getattr(STANDING, name) for name in STANDING.__struct_fields__}
        bench.standing = Standing(**facts | change)
        assert bench.meter.look().left_s is None


async def test_no_answer_yet() -> None:
    """Said after a while of requests of which no page came; by then a region is not held yet."""
    bench = Bench()
    bench.standing = Standing(**{name: getattr(STANDING, name) for name in STANDING.__struct_fields__} | {"pages": 0})
    assert not bench.after(2.9, 5).is_unanswered
    assert bench.after(0.2, 0).is_unanswered
    bench.standing = STANDING
    assert not bench.meter.look().is_unanswered
    assert not Bench().after(9.0, 0).is_unanswered


async def test_what_is_without_limit_is_none() -> None:
    """So that it is JSON: no limit, no deadline."""
    bench = Bench()
    assert (bench.meter.look().allowed_per_s, bench.meter.look().deadline_s) == (None, None)
    bench.allowed_per_s, bench.left_s, bench.throttled = 4.3, 60.0, {"": 4.3}
    now = bench.meter.look()
    assert (now.allowed_per_s, now.deadline_s) == (4.3, 60.0)
    assert now.throttled == (Throttled("", 4.3, 2.0),)


@pytest.mark.parametrize("call", ["take", "end", "flush"])
async def test_who_is_waited_for(call: str) -> None:
    """An output that takes nothing for a while is named, from the call that has waited longest, until it takes it."""
    bench = Bench()
    arguments: tuple[Any, ...] = {"take": (None, [], []), "end": (None, None), "flush": ()}[call]
    first = asyncio.ensure_future(getattr(bench.output, call)(*arguments))
    await asyncio.sleep(0)
    assert bench.meter.look().waiting is None
    bench.now_s += READER_PATIENCE_S
    second = asyncio.ensure_future(bench.output.flush())
    await asyncio.sleep(0)
    waiting = bench.meter.look().waiting
    assert waiting is not None
    assert (waiting.whom, waiting.seconds) == ("the reader", READER_PATIENCE_S)
    bench.go_on.set()
    await asyncio.gather(first, second)
    bench.now_s += 10
    assert bench.meter.look().waiting is None


async def test_heartbeats_end_with_what_they_are_around() -> None:
    """Each is told to the observer; none comes after the end, and none at all where nobody wants any."""
    told: list[object] = []
    bench, beaten = Bench(), asyncio.Event()

    def observe(event: object, /) -> None:
        told.append(event)
        if len(told) == 2:
            beaten.set()

    async with heartbeats(0.0, bench.meter.look, observe):
        await asyncio.sleep(0)
    assert told == []
    async with asyncio.timeout(30):
        async with heartbeats(0.001, bench.meter.look, observe):
            await beaten.wait()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(isinstance(event, Heartbeat) for event in told)


async def test_a_client_says_where_it_stands() -> None:
    """While it lists. Nothing is under way before, nor when all pages have come, though some are to be read."""
    async with crawler.emulator(registries=2, images=300, max_page_size=5) as emulator:
        keys = crawler.Keys(emulator.access_key, emulator.secret_key)
        async with crawler.connect(gateway=emulator.url, keys=keys, rate=None) as client:
            looks = [client.progress, *[client.progress async for _ in client.images()], client.progress]
    assert (looks[0], looks[-1]) == (None, None)
    seen = [one for one in looks if one is not None]
    assert all(isinstance(one, crawler.Progress) and one.deadline_s is None for one in seen)
    assert 0 < seen[0].requests < seen[-1].requests
    assert 250 < seen[-1].amounts[1].done <= 300


def test_a_snapshot_tells_where_it_stands(tmp_path: Path) -> None:
    """Whoever observes is told the id first, then where it stands as often as was asked for, then how it ended."""
    told: list[Any] = []
    with a_night(tmp_path, EmulatorOptions(registries=2, images=60, max_page_size=5, latency_ms=60)) as night:
        done = crawler.take_snapshot(
            night.folder,
            gateway=night.account.url,
            keys=night.keys,
            concurrency=1,
            heartbeat="1s",
            observe=told.append,
        )
    (named,) = [event for event in told if isinstance(event, RunNamed)]
    beats = [event.progress for event in told if isinstance(event, Heartbeat)]
    (ended,) = [event for event in told if isinstance(event, RunEnded)]
    assert named.id == done.id
    assert beats[0].seconds > 0.9
    assert beats[0].amounts[0].what == "registries"
    assert beats[0].deadline_s is not None
    assert (ended.exit_code, ended.place) == (0, done.path)
    assert ended.seconds >= beats[-1].seconds
