"""Which registries there are where one was named that there is not: so that people can be told which may be meant."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.api.collections import REGISTRIES
from crawler.core.model import Verdict, VerifyMode
from crawler.engine.crawl import Crawl
from crawler.jobs.ends import INTERRUPTIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crawler.core.model import ListingResult
    from crawler.engine.interfaces import Fetcher
    from crawler.engine.spec import CrawlResult, CrawlSpec
    from crawler.engine.tasks import ListingTask

PATIENCE_S = 5.0
"""Finding out may take so long: a run that has its result ends soon."""


class Names:
    """Takes the names of registries.

    Mutable state: those of each region.
    """

    def __init__(self) -> None:
        self.by_region: defaultdict[str, list[str]] = defaultdict(list)

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:  # noqa: ARG002 - names do
        """Take the names on a page."""
        self.by_region[task.region.code] += names

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Do without a verdict: nothing is proved by what is found."""

    async def flush(self) -> None:
        """Keep what was taken."""


def is_absent(one: ListingResult, result: CrawlResult) -> bool:
    """Whether a registry or an image was named, rather than found in a list, and nothing but 404 came of it."""
    if one.verdict is not Verdict.FAILED or one.exists or result.is_expected(one) or result.discoveries:
        return False
    return len(one.within) == 1 or not any(each.within == one.within[:1] for each in result.registries)


async def with_neighbours(
    result: CrawlResult,
    spec: CrawlSpec,
    fetcher: Fetcher,
    *,
    left_s: float,
    run: Callable[[Crawl], Awaitable[CrawlResult]] = Crawl.run,
) -> CrawlResult:
    """Return a result with the registries of each region in which one was named that is not there.

    They take a request a region, which is counted, and are not looked for where the run was stopped. A signal meanwhile
    stops the run.

    Args:
        result: how a crawl ended.
        spec: what it was asked for.
        fetcher: its own, so that its limits hold.
        left_s: until its deadline.
        run: runs a crawl, with what goes on beside it.
    """
    regions = {one.region for one in result.registries if is_absent(one, result)}
    if not regions or result.stop is not None or left_s <= 0:
        return result
    wanted = replace(
        spec,
        regions=tuple(region for region in spec.regions if region.code in regions),
        roots=None,
        level=REGISTRIES,
        verify=VerifyMode.NEVER,
        deadline_s=min(left_s, PATIENCE_S),
    )
    names = Names()
    asked = await run(Crawl(wanted, fetcher, names, observe=lambda _event: None))
    if asked.stop in INTERRUPTIONS:
        result = replace(result, stop=asked.stop, stop_reason=asked.stop_reason, stop_told=asked.stop_told)
    beside = [*result.beside, *asked.everything]
    return replace(result, beside=beside, neighbours={region: tuple(some) for region, some in names.by_region.items()})
