"""Crawls over version 3: whatever its envelope looks like, the output is the world, and failures are told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, get_args

import orjson
import pytest
from engine.test_crawl import CODES, PATIENT, Outcome, assert_consistent, crawl_with, spec

from crawler.api.collections import IMAGES
from crawler.api.dialect import DIALECTS
from crawler.core.events import Throttled
from crawler.core.model import Verdict, VerifyMode
from crawler.core.secret import KeyPair, Secret
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.options import Count, Envelope
from crawler.settings.credentials import Credentials
from crawler.transport import Transport
from crawler.transport.direct import DirectClient
from crawler.transport.gcra import RateLimits
from crawler.transport.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

V3 = DIALECTS["v3"]


@asynccontextmanager
async def transport_to(emulator: Emulator, rate: float = inf) -> AsyncIterator[Transport]:
    """Send requests to a port for each region."""
    keys = KeyPair(Secret(emulator.access_key), Secret(emulator.secret_key), "the test")
    rate_limiter = RateLimiter(RateLimits(rate, inf, CODES, has_own_hosts=True), CODES)
    clients = {region: DirectClient(origin, PATIENT) for region, origin in emulator.urls.items()}
    async with Transport(Credentials(keys), rate_limiter, clients, dialect=V3) as transport:
        yield transport


async def crawl(emulator: Emulator, rate: float = inf, **changes: Any) -> Outcome:
    """Crawl all of an emulated account over version 3."""
    async with transport_to(emulator, rate) as transport:
        return await crawl_with(
            transport, spec(dialect=V3, page_size=1000) if not changes else spec(dialect=V3, **changes)
        )


def lines_of(emulator: Emulator) -> list[bytes]:
    """Return the lines that a complete crawl gives, sorted."""
    world, api = emulator.world, emulator.gateway.api
    return sorted(
        orjson.dumps({"account": "default", "region": region, "registry": name} | api.record(IMAGES, image))
        for region in world.regions
        for name in world.registry_names(region)
        for image in world.images(region, name)
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("envelope", get_args(Envelope))
@pytest.mark.parametrize("page_size", [1000, 30, 7])
@pytest.mark.parametrize("verify", VerifyMode)
async def test_output_is_the_world(envelope: Envelope, page_size: int, verify: VerifyMode) -> None:
    """Every record once, byte for byte, and all verdicts as good as can be; at any page size, however it is proved."""
    async with Emulator(EmulatorOptions(api="v3", envelope=envelope, registries=4, images=300)) as emulator:
        outcome = await crawl(emulator, page_size=page_size, verify=verify)
    assert sorted(outcome.output.lines) == lines_of(emulator)
    right = Verdict.UNVERIFIED if verify is VerifyMode.NEVER else Verdict.COMPLETE
    assert set(outcome.verdicts.values()) == {right}
    assert {one.verdict for one in outcome.result.discoveries} == {right}
    assert_consistent(outcome)
    assert all("sort=name,asc" in target for target in emulator.statistics.targets)


@pytest.mark.parametrize("count", get_args(Count))
async def test_counts_are_advice(count: Count) -> None:
    """A total that is wrong, null or another's changes nothing of what is fetched; a doubt is looked into."""
    async with Emulator(EmulatorOptions(api="v3", count=count, registries=4, images=300)) as emulator:
        outcome = await crawl(emulator, page_size=20)
    assert sorted(outcome.output.lines) == lines_of(emulator)
    assert {verdict.is_whole for verdict in outcome.verdicts.values()} == {True}


@pytest.mark.parametrize("envelope", ["inner", "none"])
async def test_with_faults_and_change(envelope: Envelope) -> None:
    """Failures heal, and what was there throughout is in the output of each registry that is called whole."""
    faults: dict[Any, float] = {"503": 0.03, "reset": 0.02, "html": 0.02, "truncate": 0.02, "error-body": 0.02}
    options = EmulatorOptions(
        api="v3", envelope=envelope, registries=4, images=600, change_rate=0.2, faults=faults, denied=1, gone=1
    )
    async with Emulator(options) as emulator:
        denied, gone = emulator.gateway.denied, emulator.gateway.gone
        outcome = await crawl(emulator, page_size=20)
    written = {(line["region"], line["registry"], line["name"]) for line in map(orjson.loads, outcome.output.lines)}
    for one in outcome.result.registries:
        where = (one.region, str(one.registry))
        if where in denied:
            assert one.verdict is Verdict.DENIED
        elif where in gone:
            assert one.verdict is Verdict.GONE
        elif one.verdict.is_whole:
            names = emulator.world.images_throughout(*where)
            assert {(*where, name) for name in names} <= written
    assert len(denied) == len(gone) == len(CODES)
    assert_consistent(outcome)


async def test_throttling_slows_the_region_that_it_came_from() -> None:
    """Each port has a limit of its own; crawls finish, and no other rate than that region's is told."""
    options = EmulatorOptions(api="v3", registries=12, images=60, rate_limit=40)
    async with Emulator(options) as emulator:
        outcome = await crawl(emulator, deadline_s=300.0)
    assert sorted(outcome.output.lines) == lines_of(emulator)
    assert {event.region for event in outcome.told(Throttled)} <= set(CODES)
    assert set(outcome.verdicts.values()) == {Verdict.COMPLETE}


async def test_one_request_a_registry_where_it_is_one_page() -> None:
    """With totals a list of one page costs one request; without, the empty page after it, and a second look."""
    async with Emulator(EmulatorOptions(api="v3", registries=20, images=400)) as emulator:
        await crawl(emulator)
    assert emulator.statistics.requests == len(CODES) * 21
