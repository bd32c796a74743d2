"""The sessions of a run: what is left to crawl after the earlier ones, and the result of them all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.core.model import Verdict
from crawler.core.patterns import Patterns
from crawler.core.text import writable
from crawler.jobs.crawling import crawl, crawl_spec
from crawler.jobs.ends import INTERRUPTIONS
from crawler.snapshot.reading.records import RegistryKey, parse_keys
from crawler.snapshot.unfinished.run import FINISHED
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.engine.spec import CrawlResult, CrawlSpec
    from crawler.jobs.beginning import Begun
    from crawler.jobs.caller import Caller
    from crawler.snapshot.unfinished.journal import Part
    from crawler.snapshot.unfinished.run import UnfinishedRun


async def crawl_rest(begun: Begun, caller: Caller) -> CrawlResult:
    """Crawl what earlier sessions did not finish; what a run that ends by itself cut off is put down as it is.

    Raises:
        OutputError: the run cannot be written.
    """
    writer = SnapshotWriter(begun.run)
    try:
        result = await crawl(_rest(begun), writer, settings=begun.settings, found=begun.found, caller=caller)
        if result.stop not in INTERRUPTIONS:
            await writer.end_the_rest([*result.discoveries, *result.registries])
    finally:
        writer.close()
    return result


def has_anything(run: UnfinishedRun) -> bool:
    """Whether the run itself has had a record, or an answer that settles what is there."""
    listed = (part for part in run.parts.values() if part.result.taken_from is None)
    return any(part.lines or part.result.verdict is not Verdict.FAILED for part in listed)


def of_all_sessions(begun: Begun, result: CrawlResult) -> CrawlResult:
    """Return the result of all sessions of the run, without what is excluded.

    A registry of an earlier session that a whole list lacks by now is left out.
    """
    run, excluded = begun.run, Patterns(begun.settings.exclude)
    listed_now = {(one.region, one.registry) for one in result.registries}
    lists, of_images = _lists_and_others(run.parts.values())
    known = {one.result.region: set(_names(run, one)) for one in lists if one.result.verdict.is_good}
    registries = [
        one
        for one, name in ((part.result, part.result.registry or "") for part in of_images)
        if ((one.region, name) in listed_now or one.region not in known or name in known[one.region])
        and not excluded.match(one.region, name)
    ]
    return replace(result, registries=registries, discoveries=[part.result for part in lists])


def _rest(begun: Begun) -> CrawlSpec:
    """Return the crawl of what is not finished yet."""
    parts = begun.run.parts.values()
    lists, of_images = _lists_and_others(part for part in parts if part.result.verdict in FINISHED)
    return replace(
        crawl_spec(begun.settings, begun.found.account, None),
        known={part.result.region: _names(begun.run, part) for part in lists},
        finished={(part.result.region, part.result.registry or "") for part in of_images},
    )


def _lists_and_others(parts: Iterable[Part]) -> tuple[list[Part], list[Part]]:
    """Tell the lists of registries from the lists of images."""
    lists: list[Part] = []
    others: list[Part] = []
    for part in parts:
        (lists if part.result.registry is None else others).append(part)
    return lists, others


def _names(run: UnfinishedRun, part: Part) -> list[str]:
    lines = b"".join(run.read_part(part))
    return [writable(key.name) for key in parse_keys(lines, RegistryKey)] if lines else []
