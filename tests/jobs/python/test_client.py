"""The client: records with their places, verdicts afterwards, back-pressure, and loops that are left at any time."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from support.marks import world_of

import crawler
from crawler.core.model import Verdict
from crawler.emulation import Emulator
from crawler.emulation.options import REGIONS
from crawler.jobs.python.client import MOST_PAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crawler.jobs.python.client import Client

pytestmark = pytest.mark.on_both_loops


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """An emulator with the options that the test is marked with."""
    async with Emulator(world_of(request, registries=4, images=300)) as emulator:
        yield emulator


def connected(emulator: Emulator, **options: Any) -> Client:
    """Return a client of the emulated account."""
    keys = crawler.Keys(emulator.access_key, emulator.secret_key)
    return crawler.connect(**{"gateway": emulator.url, "keys": keys, "rate": None, **options})


def tasks_of_others() -> set[asyncio.Task[Any]]:
    """Return the tasks of the loop but this one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_images(emulator: Emulator) -> None:
    """Every image of every registry comes once, with its place, and the object is the gateway's own."""
    async with connected(emulator, account="acme") as client:
        images = [image async for image in client.images()]
    world = emulator.world
    expected = {
        (region, name, record["name"]): record
        for region in world.regions
        for name in world.registry_names(region)
        for record in world.images(region, name)
    }
    assert {(one.region, one.registry, one.name): one.json() for one in images} == expected
    assert len(images) == len(expected) == 300
    assert {one.account for one in images} == {"acme"}
    assert all(json.loads(one.raw) == one.json() and "account" not in one.json() for one in images)
    assert client.result.is_complete
    assert (client.result.found, client.result.missing, client.result.stopped) == (300, (), None)


@pytest.mark.world(registries=3, images=40)
async def test_tags(emulator: Emulator) -> None:
    """Every tag of every image comes once, with its registry and its image; what was found are the tags."""
    async with connected(emulator) as client:
        tags = [one async for one in client.tags()]
        result = client.result
    world = emulator.world
    expected = {
        (region, name, image["name"], tag["name"]): tag
        for region in world.regions
        for name in world.registry_names(region)
        for image in world.images(region, name)
        for tag in world.tags(region, name, image["name"])
    }
    assert {(one.region, one.registry, one.image, one.name): one.json() for one in tags} == expected
    assert (result.level, result.found, result.is_complete, result.missing) == ("tags", len(expected), True, ())
    assert len(tags) == len(expected) > 40


@pytest.mark.world(registries=3, images=40)
async def test_tags_of_what_is_named(emulator: Emulator) -> None:
    """Of a registry; of an image, in one region or wherever it is; what is nowhere is missing, by its name."""
    world = emulator.world
    registry = next(name for name in world.registry_names("kr") if list(world.images("kr", name)))
    image = next(image["name"] for image in world.images("kr", registry) if world.tags("kr", registry, image["name"]))
    there = {tag["name"] for tag in world.tags("kr", registry, image)}
    async with connected(emulator) as client:
        assert {one.registry async for one in client.tags(f"kr/{registry}")} == {registry}
        for region in (None, "kr"):
            found = [one async for one in client.tags(registry, image=image, region=region)]
            assert {one.name for one in found} == there
            assert {(one.registry, one.image) for one in found} == {(registry, image)}
            assert client.result.is_complete
        assert [one async for one in client.tags(f"kr/{registry}", image="no/where")] == []
        (missing,) = client.result.missing
        assert (missing.level, missing.registry, missing.image) == ("tags", registry, "no/where")
        for named in ((), ("a", "b")):
            with pytest.raises(crawler.UsageError, match=r"^tags: an image is of one registry"):
                client.tags(*named, image="app")
        with pytest.raises(crawler.UsageError, match=r"^tags: 'mars/a' is not in a region"):
            client.tags("mars/a")


async def test_registries(emulator: Emulator) -> None:
    """Likewise; a registry is its own registry, and is in none."""
    async with connected(emulator) as client:
        found = [one async for one in client.registries(region="sgn")]
        assert {one.name for one in found} == set(emulator.world.registry_names("sgn"))
        assert all((one.registry, one.within, one.account) == (one.name, (), "default") for one in found)
        assert {one.image for one in found} == {None}
        (listing,) = client.result.listings
        assert (listing.region, listing.registry, listing.found, listing.verdict) == ("sgn", None, 4, Verdict.COMPLETE)
        assert client.result.found == 4


async def test_what_is_named(emulator: Emulator) -> None:
    """By name, by region and name, and in one region only; what is not there is missing, by a verdict."""
    first, second = emulator.world.registry_names("kr")[:2]
    async with connected(emulator) as client:
        named = {one.registry async for one in client.images(first, f"kr/{second}", region="kr")}
        assert named <= {first, second}
        assert {one.registry for one in client.result.listings} == {first, second}
        assert [one async for one in client.images("kr/nowhere")] == []
        (missing,) = client.result.missing
        assert (missing.registry, missing.verdict, client.result.is_complete) == ("nowhere", Verdict.FAILED, False)


@pytest.mark.world(denied=1)
async def test_incomplete_is_a_result(emulator: Emulator) -> None:
    """Not an exception: what was refused is named with its reason, and an expected gap is nobody's fault."""
    async with connected(emulator, regions=["kr"]) as client:
        assert [one async for one in client.images()]
        (denied,) = client.result.missing
        assert denied.verdict is Verdict.DENIED
        assert "401/210" in (denied.reason or "")
    async with connected(emulator, regions=["kr"], expected_gaps=[f"kr/{denied.registry}"]) as client:
        assert [one async for one in client.images()]
        assert client.result.is_complete
        assert client.result.missing == ()


async def test_a_key_that_is_refused_is_a_result(emulator: Emulator) -> None:
    """It says so in the reason why it stopped."""
    async with connected(emulator, keys=crawler.Keys(emulator.access_key, "wrong")) as client:
        assert [one async for one in client.images()] == []
        assert not client.result.is_complete
        assert "the gateway refuses the key or the clock" in (client.result.stopped or "")


@pytest.mark.parametrize("name", ["../x", "mars/team", "a/b/c", ""])
async def test_names_that_cannot_be(emulator: Emulator, name: str) -> None:
    """They are refused before a request is made."""
    async with connected(emulator) as client:
        with pytest.raises(crawler.UsageError, match=r"^images: "):
            client.images(name)
        with pytest.raises(crawler.UsageError, match="region: 'mars' is none of those"):
            client.registries(region="mars")
    assert emulator.statistics.requests == 0


async def test_nothing_without_a_connection(emulator: Emulator) -> None:
    """Neither before it is entered nor after it was left, nor is there a result by then."""
    client = connected(emulator)
    for _ in range(2):
        with pytest.raises(crawler.UsageError, match="not connected"):
            await anext(client.registries())
        async with client:
            pass
    with pytest.raises(crawler.UsageError, match="nothing has been listed"):
        _ = client.result


@pytest.mark.world(registries=40, images=6000)
async def test_a_reader_that_is_slow_slows_the_requests(emulator: Emulator) -> None:
    """What is fetched ahead is what the hand-over and the requests in flight hold, and no more."""
    async with connected(emulator, concurrency=4, page_size=20, verify="never") as client, aclosing(
        client.images()
    ) as images:  # fmt: skip
        await anext(images)
        before = -1
        while emulator.statistics.requests > before:
            before = emulator.statistics.requests
            await asyncio.sleep(0.1)  # nobody tells that nothing happens
        lists = 3 * 2
        assert before <= lists + MOST_PAGES + 1 + 4 + 40, "registries without images hand nothing over"
        assert before < 6000 / 20


@pytest.mark.world(registries=40, images=6000)
@pytest.mark.parametrize("how", ["break", "aclose", "error", "cancelled", "client"])
async def test_a_loop_that_is_left_early(emulator: Emulator, how: str) -> None:
    """Requests end, no task is left, nothing warns, and the result says that something is missing."""
    others = tasks_of_others()
    async with connected(emulator, page_size=20) as client:
        await leave(client, how)
        if how != "client":
            await until_alone(others)
            assert client.result.stopped == "the caller wanted no more"
            before = emulator.statistics.requests
            assert len([one async for one in client.registries()]) == 40 * len(REGIONS), "and it can be used further"
            assert emulator.statistics.requests - before <= 6 * len(REGIONS)
            assert client.result.is_complete
    await until_alone(others)
    assert emulator.statistics.requests < 3 * 6000 / 20
    if how == "client":
        assert not client.result.is_complete


async def leave(client: Client, how: str) -> None:
    """Read one image, and leave the loop."""
    if how == "client":
        images = client.images()
        await anext(images)
    elif how == "aclose":
        async with aclosing(client.images()) as images:
            await anext(images)
    elif how == "break":
        async for _ in client.images():
            break
    elif how == "error":
        with suppress(ZeroDivisionError):
            async for _ in client.images():
                raise ZeroDivisionError
    else:
        with anyio.CancelScope() as scope:
            async for _ in client.images():
                scope.cancel()


async def until_alone(others: set[asyncio.Task[Any]]) -> None:
    """Wait until no task is left but those that there were."""
    async with asyncio.timeout(60):
        while tasks_of_others() - others:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


@pytest.mark.world(latency_ms=600_000)
async def test_a_task_that_is_cancelled_while_it_waits(emulator: Emulator) -> None:
    """It ends at once, as any task, and nothing of it goes on."""
    others = tasks_of_others()
    async with connected(emulator) as client:
        reading = asyncio.create_task(anext(client.images()))
        while not emulator.statistics.requests:  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.001)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(60):
                await reading
        await until_alone(others | {reading})


@pytest.mark.world(latency_ms=5000)
async def test_a_time_limit(emulator: Emulator) -> None:
    """What a listing has by then is what it gives, and the result says why there is no more."""
    async with connected(emulator, timeout=0.2) as client:
        assert [one async for one in client.images()] == []
        assert (client.result.stopped or "").startswith("the deadline came")


async def test_listings_side_by_side(emulator: Emulator) -> None:
    """Several at once share connections and limits, and each gives all of its own."""
    async with connected(emulator) as client:

        async def count(region: str) -> int:
            return len([one async for one in client.images(region=region)])

        assert sum(await asyncio.gather(*(count(region.code) for region in REGIONS))) == 300


@pytest.mark.world(registries=2, images=10)
async def test_the_observer_is_told(emulator: Emulator) -> None:
    """Of what the crawl does; whoever gives none is told nothing."""
    events: list[object] = []
    async with connected(emulator, observe=events.append) as client:
        assert [one async for one in client.images(region="kr")]
    assert [type(one).__name__ for one in events] == ["ClientTaken", *["ListingEnded"] * 3]
