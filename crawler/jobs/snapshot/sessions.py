"""The sessions of a run: what is left to crawl after the earlier ones, and the result of them all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from crawler.api.collections import COLLECTIONS
from crawler.core.model import Verdict
from crawler.core.patterns import Patterns
from crawler.core.text import writable
from crawler.jobs.crawling import crawl, crawl_spec
from crawler.jobs.ends import INTERRUPTIONS
from crawler.jobs.snapshot.reusing import open_reuse
from crawler.snapshot.unfinished.batches import family_of
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from crawler.core.model import ListingResult, Place
    from crawler.engine.spec import CrawlResult, CrawlSpec
    from crawler.jobs.caller import Caller
    from crawler.jobs.snapshot.beginning import Begun
    from crawler.snapshot.unfinished.batches import Family
    from crawler.snapshot.unfinished.reuse import Reuse
    from crawler.snapshot.unfinished.run import UnfinishedRun


async def crawl_rest(begun: Begun, caller: Caller) -> CrawlResult:
    """Crawl what earlier sessions did not finish; what a run that ends by itself cut off is put down as it is.

    Raises:
        OutputError: the run cannot be written.
    """
    with open_reuse(begun.run, caller.observe) as reuse:
        if reuse is not None and begun.run.header.resumed:
            await reuse.catch_up()
        return await _crawl_into(SnapshotWriter(begun.run, reuse), _rest(begun, reuse), begun, caller=caller)


async def _crawl_into(writer: SnapshotWriter, rest: CrawlSpec, begun: Begun, *, caller: Caller) -> CrawlResult:
    try:
        result = await crawl(
            rest, writer, settings=begun.settings, found=begun.found, caller=caller, waits_for="the disk"
        )
        if result.stop in INTERRUPTIONS:
            await writer.end_batches()
        else:
            await writer.end_the_rest(result.listed)
    finally:
        writer.close()
    return result


def has_anything(run: UnfinishedRun) -> bool:
    """Whether the run itself has had a record, or an answer that settles what is there."""
    listed = (one for one in run.results if one.taken_from is None)
    return any(one.records or one.verdict is not Verdict.FAILED for one in listed)


def of_all_sessions(begun: Begun, result: CrawlResult) -> CrawlResult:
    """Return the result of all sessions of the run, without what is excluded.

    What an earlier session listed is left out where a whole list that was read since lacks it by now.
    """
    run, excluded = begun.run, Patterns(begun.settings.exclude)
    since = _Since(run, {one.place for one in result.listed})
    for family in list(run.earlier):
        if since.has_list_of(family):
            run.break_up(family)
    results = run.results
    kept = [
        one for one in results if one.within and not since.lacks(one) and not excluded.match(one.region, one.within[0])
    ]
    return replace(
        result,
        registries=[one for one in kept if one.depth == 1],
        discoveries=[one for one in results if not one.within],
        deeper=[one for one in kept if one.depth > 1],
    )


class _Since:
    """What the lists that were read in this session still name.

    Mutable state: the names of those that were asked about.

    Args:
        run: has the lists.
        listed: places of those that were read in this session.
    """

    def __init__(self, run: UnfinishedRun, listed: set[Place]) -> None:
        self._run = run
        self._listed = listed
        self._families = {family_of(place) for place in listed if place[2]}
        self._names: dict[Place, set[str] | None] = {}

    def has_list_of(self, family: Family) -> bool:
        """Whether this session read a list that names lists of a family, so that some may be gone."""
        above = COLLECTIONS[family[0]].lineage[1:-1]
        return any((one.name, *family[1:]) in self._families for one in above)

    def lacks(self, one: ListingResult) -> bool:
        """Whether something that a list is within was listed earlier, and is not there any more."""
        above = zip(one.collection.lineage, range(len(one.within) + 1), strict=False)
        places = [(collection.name, one.region, one.within[:depth]) for collection, depth in above]
        return any(
            place not in self._listed and parent in self._listed and self._is_unnamed(parent, place[2][-1])
            for parent, place in pairwise(places)
        )

    def _is_unnamed(self, parent: Place, name: str) -> bool:
        if parent not in self._names:
            is_known = self._run.parts[parent].result.verdict.is_good
            self._names[parent] = set(map(writable, self._run.names_of(parent))) if is_known else None
        names = self._names[parent]
        return names is not None and name not in names


def _rest(begun: Begun, reuse: Reuse | None) -> CrawlSpec:
    """Return the crawl of what is not finished yet."""
    return replace(
        crawl_spec(begun.settings, begun.found.account, None, level=begun.level),
        finished=Finished(begun.run),
        names_of=begun.run.names_of,
        earlier=reuse,
    )
