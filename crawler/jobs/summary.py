"""What a run says of itself: the manifest object."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler.core.model import Verdict
from crawler.core.version import __version__
from crawler.snapshot.manifest import (
    ExcludedRegistry,
    ExpectedGap,
    Manifest,
    RegionRecord,
    RegistryRecord,
    Run,
    TakenOver,
    Tool,
)
from crawler.snapshot.totals import RegionTotals, Totals, VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.manifest import StoredFile


class Extent(NamedTuple):
    """The bytes that a registry takes in a snapshot's file, and the SHA-256 of its plain lines."""

    length: int
    sha256: str


def iso(time_ms: float) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC with ``Z``."""
    seconds, milliseconds = divmod(int(time_ms), 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03}Z"


@lru_cache(2)  # what ends in one second is told one after the other
def _to_the_second(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def run_id(started_ms: int) -> str:
    """Return an id for a run that makes no snapshot: its start, to the millisecond."""
    return iso(started_ms).replace("-", "").replace(":", "").replace(".", "")


def is_complete(result: CrawlResult) -> bool:
    """Whether nothing is missing, expected gaps aside: a registry that is gone since it was discovered is not."""
    lists_are_whole = all(one.verdict.is_good or one.verdict is Verdict.GONE for one in result.discoveries)
    return result.stop is None and lists_are_whole and all(map(result.is_expected, result.missing))


def manifest(
    result: CrawlResult,
    *,
    account: str,
    run: Run,
    files: Sequence[StoredFile],
    extents: Mapping[tuple[str, str | None], Extent] | None = None,
) -> Manifest:
    """Return the object that ``--summary`` writes and that a snapshot's manifest is.

    Args:
        result: how every listing ended.
        account: first field of every record.
        run: when and how.
        files: what was written.
        extents: a snapshot's: for each (region, registry) how many bytes it takes; they stand in the records' order.
    """
    ordered = sorted(result.registries, key=attrgetter("region", "registry"))
    records = [_registry_record(account, one) for one in ordered]
    if extents is not None:
        records = _with_extents(records, extents)
    return Manifest(
        tool=Tool(name="ncrawl", version=__version__),
        run=run,
        verdict="complete" if is_complete(result) else "incomplete",
        totals=_totals(result, records, files, run=run, extents=extents),
        files=tuple(files),
        registries=tuple(records),
        regions=tuple(_region_record(one) for one in sorted(result.discoveries, key=attrgetter("region"))),
        excluded=tuple(
            ExcludedRegistry(account=account, region=region, registry=registry, pattern=pattern)
            for (region, registry), pattern in sorted(result.excluded.items())
        ),
        expected_gaps=tuple(
            ExpectedGap(
                account=account, region=one.region, registry=one.registry or "", verdict=one.verdict, reason=one.reason
            )
            for one in sorted(filter(result.is_expected, result.missing), key=attrgetter("region", "registry"))
        ),
        observed=_observed(result),
    )


def _totals(
    result: CrawlResult,
    records: list[RegistryRecord],
    files: Sequence[StoredFile],
    *,
    run: Run,
    extents: Mapping[tuple[str, str | None], Extent] | None,
) -> Totals:
    regions = dict.fromkeys(sorted(one.region for one in result.everything))
    started_s, finished_s = (datetime.fromisoformat(time).timestamp() for time in (run.started, run.finished))
    return Totals(
        registries=VerdictCounts.of(records),
        images=sum(one.images for one in result.registries),
        **_costs(result.everything),
        bytes=sum(file.bytes for file in files),
        seconds=round(max(0.0, finished_s - started_s), 3),
        regions={
            region: _region_totals(region, result, records, started_s=started_s, extents=extents) for region in regions
        },
    )


def _region_totals(
    region: str,
    result: CrawlResult,
    records: list[RegistryRecord],
    *,
    started_s: float,
    extents: Mapping[tuple[str, str | None], Extent] | None,
) -> RegionTotals:
    everything = [one for one in result.everything if one.region == region]
    started_ms = max(started_s * 1000, min(one.started_ms for one in everything))  # what was taken over is older
    finished_ms = max(one.finished_ms for one in everything)
    listed = [one for one in (*result.registries, *result.discoveries) if one.region == region]
    stored = [(region, one.registry) for one in listed]
    return RegionTotals(
        registries=VerdictCounts.of(record for record in records if record.region == region),
        images=sum(one.images for one in listed if one.registry is not None),
        **_costs(everything),
        bytes=None if extents is None else sum(extents[key].length for key in stored if key in extents),
        seconds=round(max(0.0, finished_ms - started_ms) / 1000, 3),
    )


def _costs(listings: Collection[ListingResult]) -> dict[str, int]:
    names = ("pages", "requests", "retries", "throttled")
    return {name: sum(map(attrgetter(name), listings)) for name in names}


def _with_extents(
    records: list[RegistryRecord], extents: Mapping[tuple[str, str | None], Extent]
) -> list[RegistryRecord]:
    placed, offset = [], 0
    for record in records:
        extent = extents[record.region, record.registry]
        placed.append(msgspec.structs.replace(record, offset=offset, length=extent.length, sha256=extent.sha256))
        offset += extent.length
    return placed


def _registry_record(account: str, one: ListingResult) -> RegistryRecord:
    return RegistryRecord(
        account=account,
        region=one.region,
        registry=one.registry or "",
        verdict=one.verdict,
        reason=one.reason,
        images=one.images,
        count=one.count,
        pages=one.pages,
        passes=one.passes,
        requests=one.requests,
        offset=None,
        length=None,
        sha256=None,
        started=iso(one.started_ms),
        finished=iso(one.finished_ms),
        taken_from=one.taken_from,
    )


def _region_record(one: ListingResult) -> RegionRecord:
    return RegionRecord(
        region=one.region,
        verdict=one.verdict,
        reason=one.reason,
        registries=one.images,
        taken_from=one.taken_from,
    )


def taken_over(result: CrawlResult, snapshot: str) -> TakenOver:
    """Return how much of a result is copied from an earlier snapshot, which is named."""
    taken = [one for one in result.registries if one.taken_from is not None]
    return TakenOver(snapshot=snapshot, registries=len(taken), images=sum(one.images for one in taken))


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
                one.count == one.images for one in here if one.count is not None and one.verdict is Verdict.COMPLETE
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
