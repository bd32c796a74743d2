"""What a manifest says of each registry, and the sums: a registry with all that was listed in it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from crawler.api.collections import IMAGES
from crawler.core.model import Verdict
from crawler.core.text import iso, visible
from crawler.snapshot.manifest import kinds_of
from crawler.snapshot.totals import VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Collection as Some
    from collections.abc import Iterable, Mapping, Sequence

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult, Place
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.manifest import Extent, RegistryRecord, Run, StoredFile
    from crawler.snapshot.totals import Totals

    Deeper = tuple[Collection, ...]
    Extents = Mapping[Place, Extent]


def registry_records(
    result: CrawlResult, account: str, deeper: Deeper, *, extents: Extents | None
) -> list[RegistryRecord]:
    """Return an entry for each registry, by region and name; a registry is whole only if all that is in it is.

    Args:
        result: how every listing ended.
        account: first field of every record.
        deeper: the levels below images that were listed.
        extents: where each registry stands in each file of a snapshot.
    """
    kind = kinds_of(deeper).registry_type
    below: defaultdict[tuple[str, str | None], list[ListingResult]] = defaultdict(list)
    for one in result.deeper:
        below[one.region, one.registry].append(one)
    ordered = sorted(result.registries, key=attrgetter("region", "registry"))
    return [
        kind(
            account=account,
            **_of_registry(one, below[one.region, one.registry]),
            **_where(one, extents),
            **(_of_deeper(one, below[one.region, one.registry], deeper, extents=extents) if deeper else {}),
        )
        for one in ordered
    ]


def _of_registry(one: ListingResult, below: Sequence[ListingResult]) -> dict[str, Any]:
    everything = (one, *below)
    verdict, reason = _with_what_is_below(one, below)
    return {
        "region": one.region,
        "registry": one.registry,
        "verdict": verdict,
        "reason": reason,
        "images": one.records,
        "count": one.count,
        "pages": sum(each.pages for each in everything),
        "passes": one.passes,
        "requests": sum(each.requests for each in everything),
        "started": iso(min(each.started_ms for each in everything)),
        "finished": iso(max(each.finished_ms for each in everything)),
        "taken_from": one.taken_from if all(each.taken_from for each in below) else None,
    }


def _where(one: ListingResult, extents: Extents | None) -> dict[str, Any]:
    if extents is None:
        return {"offset": None, "length": None, "sha256": None}
    extent = extents[one.place]
    return {"offset": extent.offset, "length": extent.length, "sha256": extent.sha256}


def _of_deeper(
    one: ListingResult, below: Sequence[ListingResult], deeper: Deeper, *, extents: Extents | None
) -> dict[str, Any]:
    """Return what a registry's entry says of deeper levels; where it has nothing there, it stands nowhere."""
    said: dict[str, Any] = {
        level.name: sum(each.records for each in below if each.collection is level) for level in deeper
    }
    said["list_verdict"] = one.verdict
    if reused := sum(each.lists for each in below if each.taken_from and not one.taken_from):
        said["reused"] = reused
    if extents is not None:
        places = {level.name: (level.name, *one.place[1:]) for level in deeper}
        said["extents"] = {name: extents[place] for name, place in places.items() if place in extents}
    return said


def _with_what_is_below(one: ListingResult, below: Sequence[ListingResult]) -> tuple[Verdict, str | None]:
    """Return the verdict of a registry with all that is in it, and why it is not plainly complete."""
    if not one.verdict.is_good:
        return one.verdict, one.reason
    gaps = [each for each in below if each.verdict.is_gap]
    if gaps:
        more = f" (and {len(gaps) - 1:,} more)" if len(gaps) > 1 else ""
        first = gaps[0]
        return Verdict.INCOMPLETE, f"{first.collection.name} of {visible(first.label)}: {first.reason}{more}"
    weakest = max((one, *(each for each in below if each.verdict.is_good)), key=lambda each: _GOOD.index(each.verdict))
    return weakest.verdict, weakest.reason


_GOOD = [verdict for verdict in Verdict if verdict.is_good]
"""From the strongest to the weakest."""


def totals(
    result: CrawlResult,
    records: Sequence[RegistryRecord],
    files: Sequence[StoredFile],
    *,
    run: Run,
    extents: Extents | None,
    deeper: Deeper,
) -> Totals:
    """Return the sums over a run, and over each region."""
    kind = kinds_of(deeper).totals_type
    regions = dict.fromkeys(sorted(one.region for one in result.everything))
    started_s, finished_s = (datetime.fromisoformat(time).timestamp() for time in (run.started, run.finished))
    listed = [*result.discoveries, *result.registries, *result.deeper]
    return kind(
        registries=VerdictCounts.of(records),
        **_lines(listed, deeper),
        **_costs(result.everything),
        bytes=sum(file.bytes for file in files),
        seconds=round(max(0.0, finished_s - started_s), 3),
        regions={
            region: _region_totals(region, result, records, started_s=started_s, extents=extents, deeper=deeper)
            for region in regions
        },
    )


def _region_totals(
    region: str,
    result: CrawlResult,
    records: Sequence[RegistryRecord],
    *,
    started_s: float,
    extents: Extents | None,
    deeper: Deeper,
) -> Any:
    everything = [one for one in result.everything if one.region == region]
    started_ms = max(started_s * 1000, min(one.started_ms for one in everything))  # what was taken over is older
    finished_ms = max(one.finished_ms for one in everything)
    listed = [one for one in (*result.registries, *result.deeper, *result.discoveries) if one.region == region]
    framed = {(one.collection.name, region, one.within[:1]) for one in listed}
    return kinds_of(deeper).region_totals_type(
        registries=VerdictCounts.of(record for record in records if record.region == region),
        **_lines(listed, deeper),
        **_costs(everything),
        bytes=None if extents is None else sum(extents[place].length for place in framed if place in extents),
        seconds=round(max(0.0, finished_ms - started_ms) / 1000, 3),
    )


def _lines(listed: Iterable[ListingResult], deeper: Deeper) -> dict[str, int]:
    """Return how many records there are of each collection below the registries."""
    lines = dict.fromkeys((one.name for one in (IMAGES, *deeper)), 0)
    for one in listed:
        if one.collection.name in lines:
            lines[one.collection.name] += one.records
    return lines


def _costs(listings: Some[ListingResult]) -> dict[str, int]:
    names = ("pages", "requests", "retries", "throttled")
    return {name: sum(map(attrgetter(name), listings)) for name in names}
