"""What cannot be true of a manifest, whatever the files of its snapshot hold."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.output.compression import compressor
from crawler.snapshot.rotation import CLASSES
from crawler.snapshot.totals import VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import Manifest, RegionRecord, RegistryRecord


class Contradiction(NamedTuple):
    """Something in a manifest that cannot be true, and the registry that it is about, if it is about one."""

    registry: str | None
    problem: str


def contradictions(manifest: Manifest) -> Iterator[Contradiction]:
    """Find what cannot be true of a snapshot's manifest, whatever the files hold. Costs O(registries)."""
    yield from _contradictions_of_files(manifest)
    yield from _contradictions_of_order(manifest)
    yield from _contradictions_of_totals(manifest)
    yield from _contradictions_of_verdict(manifest)
    yield from _contradictions_of_exceptions(manifest)
    yield from _contradictions_of_reuse(manifest)
    for collection in (IMAGES, *manifest.deeper):
        yield from _contradictions_of_extents(manifest, collection)


def _contradictions_of_files(manifest: Manifest) -> Iterator[Contradiction]:
    due = [IMAGES, REGISTRIES, *manifest.deeper] if manifest.has_images else [REGISTRIES]
    if None in map(manifest.stored_file, due) or len(manifest.files) != len(due):
        yield Contradiction(None, f"lists other files than one {' and one '.join(one.file for one in due)}")


def _contradictions_of_order(manifest: Manifest) -> Iterator[Contradiction]:
    for one, other in pairwise(manifest.registries):
        if one.place >= other.place:  # code points sort as UTF-8 does
            yield Contradiction(other.label, f"is listed after {one.label}: not sorted, or twice")
    for region, next_region in pairwise(sorted(record.label for record in manifest.regions)):
        if region == next_region:
            yield Contradiction(None, f"lists region {region} twice")


def _contradictions_of_totals(manifest: Manifest) -> Iterator[Contradiction]:
    totals, registries = manifest.totals, manifest.registries
    if totals.registries != VerdictCounts.of(registries):
        yield Contradiction(None, "totals.registries does not add up")
    for collection in (IMAGES, *manifest.deeper):
        lines = sum(registry.lines_of(collection) for registry in registries)
        file = manifest.stored_file(collection)
        if getattr(totals, collection.name) != lines or (file and file.lines != lines):
            told = f"totals.{collection.name} or the lines of {collection.file} do not add up to {lines}"
            yield Contradiction(None, told)
    if totals.regions and {name: one.registries for name, one in totals.regions.items()} != {
        name: VerdictCounts.of(one for one in registries if one.region == name) for name in totals.regions
    }:
        yield Contradiction(None, "totals.regions does not add up")
    if totals.pages < sum(registry.pages for registry in registries):
        yield Contradiction(None, "totals.pages is less than its registries' pages")
    if totals.requests < sum(registry.requests for registry in registries):
        yield Contradiction(None, "totals.requests is less than its registries' requests")


def _contradictions_of_verdict(manifest: Manifest) -> Iterator[Contradiction]:
    if manifest.verdict == "incomplete":  # a run can be so as a whole, because it was stopped
        return
    # What is gone counts if it was asked for by name, and does not if it was discovered: both are possible.
    lists = [one for one in manifest.regions if one.verdict.is_gap]
    records: tuple[RegistryRecord | RegionRecord, ...] = (*manifest.missing, *lists)
    for record in records:
        yield Contradiction(None, f"its verdict is complete, but {record.region} has what is {record.verdict}")
    for account in manifest.lacking_accounts:
        yield Contradiction(None, f"its verdict is complete, but account {account.account} is {account.verdict}")


def _contradictions_of_exceptions(manifest: Manifest) -> Iterator[Contradiction]:
    verdicts = {registry.place: registry.verdict for registry in manifest.registries}
    for excluded in manifest.excluded:
        if excluded.place in verdicts:
            yield Contradiction(f"{excluded.region}/{excluded.registry}", "is excluded, and listed all the same")
    for gap in manifest.expected_gaps:
        if verdicts.get(gap.place) is not gap.verdict or gap.verdict.is_good:
            yield Contradiction(
                f"{gap.region}/{gap.registry}", f"is an expected gap, {gap.verdict}, and not listed as one"
            )


def _contradictions_of_reuse(manifest: Manifest) -> Iterator[Contradiction]:
    run, marked = manifest.run, sum(one.reused or 0 for one in manifest.registries)
    for one in manifest.registries:
        if (one.reused or 0) > one.images:
            yield Contradiction(one.label, f"reuses tags of {one.reused} images, and has {one.images}")
    if marked != (run.reuse.reused if run.reuse else 0):
        yield Contradiction(None, f"run.reuse does not add up to {marked}, which its registries reuse")
    if run.reuse and run.reuse.refreshed_and_different > run.reuse.refreshed:
        yield Contradiction(None, "run.reuse counts more that is different than was refreshed")
    if run.reuse and not run.tags_listed_since:
        yield Contradiction(None, "reuses tags, and does not say since when they were listed")
    if run.tags_listed_since and not _are_times_before(run.tags_listed_since, run.started):
        yield Contradiction(None, f"run.tags_listed_since is not {CLASSES} times up to its start")


def _are_times_before(times: tuple[str, ...], end: str) -> bool:
    try:
        return len(times) == CLASSES and max(map(datetime.fromisoformat, times)) <= datetime.fromisoformat(end)
    except (ValueError, TypeError):  # no times, or of no zone
        return False


def _contradictions_of_extents(manifest: Manifest, collection: Collection) -> Iterator[Contradiction]:
    position = 0
    for registry in manifest.registries:
        extent, lines = registry.extent_of(collection), registry.lines_of(collection)
        if extent is None:
            if collection is IMAGES or lines:
                yield Contradiction(registry.label, f"has no offset, length or sha256{_in(collection)}")
            continue
        if extent.offset != position:
            problem = f"its offset is {extent.offset}, where {position} is next{_in(collection)}"
            yield Contradiction(registry.label, problem)
        if bool(extent.length) != bool(lines):
            yield Contradiction(registry.label, f"{lines} {collection.name} cannot take {extent.length} bytes")
        position = extent.offset + extent.length
    file = manifest.stored_file(collection)
    if file and file.bytes != position and (position or file.bytes != len(compressor(file.name).flush())):
        yield Contradiction(None, f"its registries end at byte {position} of {file.name}, not at {file.bytes}")


def _in(collection: Collection) -> str:
    return "" if collection is IMAGES else f" in {collection.file}"
