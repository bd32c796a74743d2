"""What a run says of itself: the manifest object."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from crawler.api.collections import IMAGES, TAGS
from crawler.core.model import Verdict
from crawler.core.text import iso
from crawler.core.version import __version__
from crawler.jobs.entries import registry_records, totals
from crawler.snapshot.manifest import (
    ExcludedRegistry,
    ExpectedGap,
    RegionRecord,
    TakenOver,
    Tool,
    gaps_key,
    kinds_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult, Place
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.manifest import Extent, Gap, Manifest, RegistryRecord, RegistrySize, Run, StoredFile


def run_id(started_ms: int) -> str:
    """Return an id for a run that makes no snapshot: its start, to the millisecond."""
    return iso(started_ms).replace("-", "").replace(":", "").replace(".", "")


def is_complete(result: CrawlResult) -> bool:
    """Whether nothing is missing, expected gaps aside: a registry that is gone since it was discovered is not."""
    lists_are_whole = not any(one.verdict.is_gap for one in result.discoveries)
    return result.stop is None and lists_are_whole and all(map(result.is_expected, result.missing))


def manifest(
    result: CrawlResult,
    *,
    account: str,
    run: Run,
    files: Sequence[StoredFile],
    extents: Mapping[Place, Extent] | None = None,
    level: Collection = IMAGES,
    sizes: Sequence[RegistrySize] = (),
) -> Manifest:
    """Return the object that ``--summary`` writes and that a snapshot's manifest is.

    Args:
        result: how every listing ended.
        account: first field of every record.
        run: when and how.
        files: what was written.
        extents: a snapshot's: where each registry stands in each file, and each region in that of the registries.
        level: how deep the crawl went.
        sizes: what the tags of each registry come to.
    """
    deeper = level.lineage[2:]
    records = registry_records(result, account, deeper, extents=extents)
    return kinds_of(deeper).manifest_type(
        tool=Tool(name="ncrawl", version=__version__),
        run=run,
        verdict="complete" if is_complete(result) else "incomplete",
        totals=totals(result, records, files, run=run, extents=extents, deeper=deeper),
        files=tuple(files),
        registries=tuple(records),
        regions=tuple(_region_record(one) for one in sorted(result.discoveries, key=attrgetter("region"))),
        excluded=tuple(_excluded(result, account)),
        expected_gaps=tuple(_expected_gaps(result, records)),
        observed=_observed(result),
        **_of_levels_below(result, account, deeper=deeper, sizes=sizes),
    )


def _of_levels_below(
    result: CrawlResult, account: str, *, deeper: Iterable[Collection], sizes: Iterable[RegistrySize]
) -> dict[str, Any]:
    """Return what a manifest has only where the crawl went below images."""
    below: dict[str, Any] = {gaps_key(one): tuple(_gaps(result, account, one)) for one in deeper}
    return below | ({"sizes": tuple(sizes)} if TAGS in deeper else {})


def _excluded(result: CrawlResult, account: str) -> Iterator[ExcludedRegistry]:
    for (region, registry), pattern in sorted(result.excluded.items()):
        yield ExcludedRegistry(account=account, region=region, registry=registry, pattern=pattern)


def _expected_gaps(result: CrawlResult, records: Iterable[RegistryRecord]) -> Iterator[ExpectedGap]:
    for one in records:
        if one.verdict.is_gap and result.expected_gaps.match(one.region, one.registry):
            yield ExpectedGap(
                account=one.account, region=one.region, registry=one.registry, verdict=one.verdict, reason=one.reason
            )


def _gaps(result: CrawlResult, account: str, collection: Collection) -> Iterator[Gap]:
    """Yield the lists of a deeper level that are not whole, by place."""
    lacking = [one for one in result.deeper if one.collection is collection and not one.verdict.is_good]
    for one in sorted(lacking, key=attrgetter("place")):
        named = zip(collection.named_by, (account, one.region, *one.within), strict=True)
        yield {**dict(named), "verdict": one.verdict.value, "reason": one.reason}


def _region_record(one: ListingResult) -> RegionRecord:
    return RegionRecord(
        region=one.region,
        verdict=one.verdict,
        reason=one.reason,
        registries=one.records,
        taken_from=one.taken_from,
    )


def taken_over(result: CrawlResult, snapshot: str) -> TakenOver:
    """Return how much of a result is copied from an earlier snapshot, which is named."""
    taken = [one for one in result.registries if one.taken_from is not None]
    return TakenOver(snapshot=snapshot, registries=len(taken), images=sum(one.records for one in taken))


def _observed(result: CrawlResult) -> dict[str, object]:
    """Return what the provider does not document and this run saw, by region."""
    regions = {}
    listed = [one for one in result.everything if one.taken_from is None]
    for region in sorted({one.region for one in listed}):
        here = [one for one in listed if one.region == region]
        regions[region] = {
            "page_sizes": sorted({one.page_size for one in here if one.page_size is not None and one.pages > 1}),
            "throttled": sum(one.throttled for one in here),
            "sorted_by_name": _consensus(one.is_sorted for one in here),
            "count_is_images": _consensus(
                one.count == one.records for one in here if one.count is not None and one.verdict is Verdict.COMPLETE
            ),
        }
    rate = None if result.rate_per_s == float("inf") else result.rate_per_s
    return {
        "regions": regions,
        "rate_after_throttling": rate,
        "clock_skew_s": result.clock_offset_s,
        "stopped": result.stop_reason,
    }


def _consensus(observations: Iterable[bool | None]) -> bool | None:
    """Return what all observations say; None if there is none, or if they contradict each other."""
    seen = {one for one in observations if one is not None}
    return seen.pop() if len(seen) == 1 else None
