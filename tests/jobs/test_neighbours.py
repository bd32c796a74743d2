"""Which registries there are is asked only where one was named that there is not, and while there is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.tree import BROKEN, KR, Tree, spec_of, tree

from crawler.api.collections import IMAGES, TAGS
from crawler.core.model import Verdict
from crawler.engine.crawl import Crawl
from crawler.engine.spec import CrawlResult, Root, StopReason
from crawler.jobs.ends import exit_code
from crawler.jobs.neighbours import Names, with_neighbours

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.engine.spec import CrawlSpec


def there_are() -> Tree:
    """Return a region of five registries."""
    return Tree(tree(3, 5, 2, 1), most=2)


def spec_for(*within: str, level: Collection = IMAGES) -> CrawlSpec:
    """Return the spec of a crawl of what is named."""
    return spec_of(level, roots=[Root(KR, level, within)])


async def crawled(spec: CrawlSpec, there: Tree) -> CrawlResult:
    """Return how such a crawl ends."""
    return await Crawl(spec, there, Names(), observe=lambda _event: None).run()


async def test_what_there_is() -> None:
    """All names of the region, over as many pages as they take, each request counted beside the run's own."""
    there, spec = there_are(), spec_for("none")
    before = await crawled(spec, there)
    assert [one.verdict for one in before.registries] == [Verdict.FAILED]
    after = await with_neighbours(before, spec, there, left_s=60.0)
    assert after.neighbours == {"kr": tuple(there.names)}
    assert sum(one.requests for one in after.everything) == there.asked.total()
    assert (after.registries, after.discoveries, after.stop) == (before.registries, [], None)


@pytest.mark.parametrize(("named", "left_s"), [("0", 60.0), ("none", 0.0)], ids=["it is there", "no time is left"])
async def test_nothing_is_asked(named: str, left_s: float) -> None:
    """Where nobody named what is not there, or the deadline has come."""
    there, spec = there_are(), spec_for(named)
    before = await crawled(spec, there)
    assert await with_neighbours(before, spec, there, left_s=left_s) is before
    assert () not in there.asked


async def test_a_stopped_run_asks_nothing() -> None:
    """Whoever stopped it wants an end."""
    there, spec = there_are(), spec_for("none")
    ended = await crawled(spec, there)
    ended = CrawlResult(ended.registries, [], StopReason.INTERRUPTED, "stopped by SIGINT", ended.rate_per_s)
    assert await with_neighbours(ended, spec, there, left_s=60.0) is ended


async def test_a_signal_meanwhile_stops_the_run() -> None:
    """It ends as one that was stopped: with that exit code, and without a file under its name."""

    async def stopped(one: Crawl) -> CrawlResult:
        one.stop(StopReason.TERMINATED)
        return await one.run()

    there, spec = there_are(), spec_for("none")
    before = await crawled(spec, there)
    after = await with_neighbours(before, spec, there, left_s=60.0, run=stopped)
    assert (after.stop, after.stop_told, after.registries) == (
        StopReason.TERMINATED, "stopped by SIGTERM", before.registries,
    )  # fmt: skip
    assert exit_code(after) == 143


async def test_an_image_that_is_not_there() -> None:
    """Of images nothing is asked: their registry may hold thousands."""
    there, spec = there_are(), spec_for("0", "none", level=TAGS)
    before = await crawled(spec, there)
    assert await with_neighbours(before, spec, there, left_s=60.0) is before


async def test_what_cannot_be_found_out() -> None:
    """Is no matter of the run's: its result stays as it was."""
    there, spec = there_are(), spec_for("none")
    before = await crawled(spec, there)
    there.errors[()] = BROKEN
    after = await with_neighbours(before, spec, there, left_s=0.1)
    assert (after.neighbours, after.stop, after.registries) == ({}, None, before.registries)
