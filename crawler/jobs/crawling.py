"""Put the parts of one crawl together and run it: what every job does."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES
from crawler.api.dialect import DIALECTS
from crawler.core.patterns import Patterns
from crawler.core.text import writable
from crawler.engine.crawl import Crawl
from crawler.engine.page_size import LARGEST
from crawler.engine.spec import CrawlSpec
from crawler.jobs.events import ClientTaken, Warned
from crawler.jobs.neighbours import with_neighbours
from crawler.jobs.progress import Meter, WatchedOutput, heartbeats
from crawler.settings.table import CRAWL_OPTIONS, PRIVATE_OPTIONS
from crawler.transport import Transport, check_files, find_proxy, open_clients
from crawler.transport.gcra import RateLimits
from crawler.transport.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Collection as Names

    from crawler.core.collection import Collection
    from crawler.engine.interfaces import Output
    from crawler.engine.spec import CrawlResult, Root
    from crawler.jobs.caller import Caller
    from crawler.jobs.events import Observer
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings


def check_surroundings(settings: Settings, observe: Observer) -> None:
    """Make sure that what libraries take from the environment can be used: a proxy, certificates.

    Raises:
        UsageError: it cannot; nothing was begun.
    """
    for warning in check_files(trust_env=settings.trust_env):
        observe(Warned(warning))
    if settings.trust_env:
        for origin in set(settings.origins.values()):
            find_proxy(origin)


def crawl_spec(settings: Settings, account: str, roots: list[Root] | None, *, level: Collection = IMAGES) -> CrawlSpec:
    """Return what to crawl."""
    return CrawlSpec(
        account=account,
        regions=settings.region,
        roots=roots,
        level=level,
        page_size=settings.page_size if isinstance(settings.page_size, int) else LARGEST,
        verify=settings.verify,
        concurrency=settings.concurrency,
        deadline_s=settings.deadline,
        excluded=Patterns(settings.exclude),
        expected_gaps=Patterns(settings.expect_gap),
        dialect=DIALECTS[settings.api],
    )


def open_transport(settings: Settings, found: FoundKeys, observe: Observer) -> Transport:
    """Return what sends the requests of crawls of one account; a context of its own."""
    regions = [region.code for region in settings.region]
    origins = settings.origins
    has_own_hosts = len(set(origins.values())) > 1
    limits = RateLimits(settings.rate, settings.region_rate, regions, has_own_hosts=has_own_hosts)
    clients, why = open_clients(origins, trust_env=settings.trust_env)
    observe(ClientTaken(why))
    return Transport(found.credentials, RateLimiter(limits, regions), clients, dialect=DIALECTS[settings.api])


async def crawl(
    spec: CrawlSpec,
    output: Output,
    *,
    settings: Settings,
    found: FoundKeys,
    caller: Caller,
    waits_for: str = "the reader",
    knows_neighbours: bool = False,
) -> CrawlResult:
    """Crawl, until all is listed or the deadline comes, or what goes on beside it stops it.

    Args:
        spec: what to crawl.
        output: where records go.
        settings: how to crawl.
        found: the keys.
        caller: is told.
        waits_for: whom the crawl waits for where the output takes nothing.
        knows_neighbours: finds out which registries there are where one was named that there is not.

    Raises:
        OutputError: the output cannot be written.
    """
    async with open_transport(settings, found, caller.observe) as transport:
        watched = WatchedOutput(output, waits_for)

        async def attended(one: Crawl) -> CrawlResult:
            meter = Meter(one, lambda: transport.pace, watched)
            return await run_attended(one, meter, settings=settings, caller=caller)

        left = replace(spec, deadline_s=caller.left_s(settings))
        result = await attended(Crawl(left, transport, watched, observe=caller.observe))
        if not knows_neighbours:
            return result
        return await with_neighbours(result, spec, transport, left_s=caller.left_s(settings), run=attended)


async def run_attended(one: Crawl, meter: Meter, *, settings: Settings, caller: Caller) -> CrawlResult:
    """Run a crawl with what goes on beside it, and tell now and then where it stands.

    Raises:
        OutputError: the output cannot be written.
    """
    look = meter.look
    async with caller.beside(one, look), heartbeats(settings.heartbeat, look, caller.observe):
        return await one.run()


def options_of(settings: Settings, more: Names[str] = ()) -> dict[str, object]:
    """Return the settings of a crawl, and ``more`` of them, as JSON can hold them; keys are never settings."""
    names = {*CRAWL_OPTIONS, *more} - {*PRIVATE_OPTIONS}
    options = {name: _as_json(value) for name, value in asdict(settings).items() if name in names}
    options["region"] = [region.code for region in settings.region]
    options["gateway"] = settings.gateway[0] if len(settings.gateway) == 1 else list(settings.gateway)
    for name in ("rate", "region_rate"):
        if options[name] == float("inf"):
            options[name] = "unlimited"
    return options


def _as_json(value: object) -> object:
    """Return a path whose bytes are no UTF-8 as one that can be written down, and a list as one."""
    if isinstance(value, tuple):
        return list(map(_as_json, value))
    return writable(value) if isinstance(value, str) else value
