"""What cannot be true of a manifest, whatever the files of its snapshot hold."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.model import Verdict
from crawler.output.compression import compressor
from crawler.snapshot.manifest import IMAGES, REGISTRIES
from crawler.snapshot.totals import VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    yield from _contradictions_of_extents(manifest)


def _contradictions_of_files(manifest: Manifest) -> Iterator[Contradiction]:
    known = [manifest.stored_file(IMAGES), manifest.stored_file(REGISTRIES)]
    if None in known or len(manifest.files) != len(known):
        yield Contradiction(None, f"lists other files than one {IMAGES} and one {REGISTRIES}")


def _contradictions_of_order(manifest: Manifest) -> Iterator[Contradiction]:
    for one, other in pairwise(manifest.registries):
        if one.place >= other.place:  # code points sort as UTF-8 does
            yield Contradiction(other.label, f"is listed after {one.label}: not sorted, or twice")
    for region, next_region in pairwise(sorted(record.region for record in manifest.regions)):
        if region == next_region:
            yield Contradiction(None, f"lists region {region} twice")


def _contradictions_of_totals(manifest: Manifest) -> Iterator[Contradiction]:
    totals, registries = manifest.totals, manifest.registries
    if totals.registries != VerdictCounts.of(registries):
        yield Contradiction(None, "totals.registries does not add up")
    images = sum(registry.images for registry in registries)
    file = manifest.stored_file(IMAGES)
    if totals.images != images or (file and file.lines != images):
        yield Contradiction(None, f"totals.images or the lines of {IMAGES} do not add up to {images}")
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
    lists = [one for one in manifest.regions if not one.verdict.is_good and one.verdict is not Verdict.GONE]
    records: tuple[RegistryRecord | RegionRecord, ...] = (*manifest.missing, *lists)
    for record in records:
        yield Contradiction(None, f"its verdict is complete, but {record.region} has what is {record.verdict}")


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


def _contradictions_of_extents(manifest: Manifest) -> Iterator[Contradiction]:
    position = 0
    for registry in manifest.registries:
        if registry.offset is None or registry.length is None or registry.sha256 is None:
            yield Contradiction(registry.label, "has no offset, length or sha256")
            continue
        if registry.offset != position:
            yield Contradiction(registry.label, f"its offset is {registry.offset}, where {position} is next")
        if bool(registry.length) != bool(registry.images):
            yield Contradiction(registry.label, f"{registry.images} images cannot take {registry.length} bytes")
        position = registry.offset + registry.length
    file = manifest.stored_file(IMAGES)
    if file and file.bytes != position and (position or file.bytes != len(compressor(file.name).flush())):
        yield Contradiction(None, f"its registries end at byte {position} of {file.name}, not at {file.bytes}")
